"""Layers that a child process puts around itself before it loads anything of a checkpoint.

Each layer is best effort; which ones hold is told to the parent and printed in the report. Together they
reduce harm on Linux. Elsewhere a crash or a hang is still only a row, but nothing keeps a hostile
checkpoint from reading files: run unknown ones in a container there. Standard library only, because
this must run before torch or onnxruntime is imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["confine", "describe_sandbox"]

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000

# Landlock (Linux >= 5.13): three system calls, the same numbers on all current architectures
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ = 0b1101  # execute, read file, read folder
_ALL_V1 = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_CONNECT_AND_BIND = 0b11


def confine(
    *, readable: Iterable[Path], writable: Iterable[Path], memory_gb: float | None
) -> tuple[str, ...]:
    """Put every layer around this process that the system has.

    Parameters
    ----------
    readable : iterable of Path
        Files and folders that may be read: the interpreter, the packages, the checkpoint.
    writable : iterable of Path
        Folders that may be written: scratch.
    memory_gb : float or None
        Limit of the address space; None on a GPU, whose drivers reserve far more than they use.

    Returns
    -------
    tuple of str
        The layers that hold, in words.
    """
    layers = ["own process"]
    if sys.platform == "linux":
        layers += _process_flags()
    layers += _resources(memory_gb)
    if sys.platform == "linux":
        layers += _no_network()
        layers += _files(readable, writable)
    return tuple(layers)


def describe_sandbox() -> str:
    """Say which layers this system offers, without applying any."""
    if sys.platform != "linux":
        return "own process and time limit only (file and network layers need Linux)"
    version = _landlock_version()
    return f"own process, limits; Landlock {f'ABI {version}' if version > 0 else 'not available'}"


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _process_flags() -> list[str]:
    libc = _libc()
    layers = []
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0:
        layers.append("ends with its parent")
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        layers.append("no new privileges")
    return layers


def _resources(memory_gb: float | None) -> list[str]:
    try:
        import resource
    except ImportError:  # not on Windows
        return []
    layers = []
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        layers.append("no core dumps")
    if memory_gb is not None:
        limit = int(memory_gb * 2**30)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            layers.append(f"at most {memory_gb:g} GB of address space")
    return layers


def _no_network() -> list[str]:
    """Leave the network namespace; refused on some hardened hosts."""
    before = os.getuid(), os.getgid()
    if _libc().unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return []
    # keep the user's own number inside, so that files look as before
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{before[0]} {before[0]} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{before[1]} {before[1]} 1", encoding="ascii")
    return ["no network"]


def _landlock_version() -> int:
    libc = _libc()
    libc.syscall.restype = ctypes.c_long
    return int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


class _Ruleset(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64)]


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def _files(readable: Iterable[Path], writable: Iterable[Path]) -> list[str]:
    version = _landlock_version()
    if version < 1:
        return []
    handled = _ALL_V1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL)):
        handled |= right if version >= since else 0
    libc = _libc()
    libc.syscall.restype = ctypes.c_long
    rules = _Ruleset(handled, _CONNECT_AND_BIND if version >= 4 else 0)
    size = ctypes.c_size_t(ctypes.sizeof(rules) if version >= 4 else 8)
    ruleset = int(libc.syscall(_CREATE_RULESET, ctypes.byref(rules), size, ctypes.c_uint32(0)))
    if ruleset < 0:
        return []
    try:
        for path in readable:
            _allow(libc, ruleset, path, _READ)
        for path in writable:
            _allow(libc, ruleset, path, handled)
        if libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)) != 0:
            return []
    finally:
        os.close(ruleset)
    return [f"files by Landlock (ABI {version})"]


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what does not exist needs no rule
    try:
        if not path.is_dir():
            rights &= 0b110 | 1 | _TRUNCATE | _IOCTL  # rights that files have
        rule = _PathRule(rights, handle)
        libc.syscall(_ADD_RULE, ruleset, ctypes.c_int(1), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(handle)
