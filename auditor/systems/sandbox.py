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
import re
import signal
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["confine", "describe_sandbox", "missing_layers"]

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000

# Landlock (Linux >= 5.13): three system calls, the same numbers on all current architectures
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ = 0b1100  # read file, read folder; libraries are mapped, so nothing needs to be executed
_ALL_V1 = (1 << 13) - 1
_EXECUTE = 1
_OF_FILES = 0b111  # execute, write and read; the other rights are those of folders
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_CONNECT_AND_BIND = 0b11
_SOCKETS_AND_SIGNALS = 0b11  # abstract sockets of, and signals to, processes outside

MOST_PROCESSES = 512
"""Processes and threads of a child, where they can be counted apart from its user's others."""


def confine(
    *,
    readable: Sequence[Path],
    writable: Sequence[Path],
    memory_gb: float | None,
    file_gb: float | None = None,
    dies_with_thread: bool,
) -> tuple[str, ...]:
    """Put every layer around this process that the system has.

    Parameters
    ----------
    readable : sequence of Path
        Files and folders that may be read: the interpreter, the packages, the checkpoint.
    writable : sequence of Path
        Folders that may be written: scratch.
    memory_gb : float or None
        Limit of the address space; None on a GPU, whose drivers reserve far more than they use.
    file_gb : float or None
        Largest file that may be written; shared memory is one, so answers must fit.
    dies_with_thread : bool
        Let the kernel end this process when the *thread* that started it ends; only right when that
        is the main one.

    Returns
    -------
    tuple of str
        The layers that hold, in words.
    """
    layers = ["own process"]
    if sys.platform == "linux":
        layers += _no_new_privileges()
    layers += _resources(memory_gb, file_gb)
    if sys.platform == "linux":
        layers += _no_network([*readable, *writable])
        layers += _few_processes(layers)
        layers += _files(readable, writable)
        if dies_with_thread:
            # last, because the kernel forgets it when a namespace is left
            _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return tuple(layers)


def describe_sandbox() -> str:
    """Say which layers this system offers, without applying any."""
    if sys.platform != "linux":
        return "own process and time limit only (file and network layers need Linux)"
    version = _landlock_version()
    return f"own process, limits; Landlock {f'ABI {version}' if version > 0 else 'not available'}"


def missing_layers(layers: Sequence[str]) -> tuple[str, ...]:
    """Say what the layers that hold do not keep a hostile checkpoint from.

    Parameters
    ----------
    layers : sequence of str
        As `confine` returned them.

    Returns
    -------
    tuple of str
        Sentences for the report; none when files and network are closed.
    """
    advice = "run unknown checkpoints in a container"
    missing = []
    if not any(layer.startswith("files") for layer in layers):
        missing.append(f"nothing kept the checkpoint from the user's files; {advice}")
    if not any(layer.startswith("no network") for layer in layers):
        missing.append(f"nothing kept the checkpoint from the network; {advice}")
    return tuple(missing)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _no_new_privileges() -> list[str]:
    return ["no new privileges"] if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 else []


def _resources(memory_gb: float | None, file_gb: float | None) -> list[str]:
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
    if file_gb is not None:
        limit = int(file_gb * 2**30)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            layers.append(f"files of at most {file_gb:g} GB")
    return layers


def _few_processes(layers: Sequence[str]) -> list[str]:
    """Limit the number of processes, where a namespace counts them apart from the user's others.

    Linux does so from 5.14 on; before, the limit would be met by the user's own programs. It does not
    hold for root.
    """
    import resource

    version = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    if "no network" not in layers or version < (5, 14) or os.getuid() == 0:
        return []
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NPROC, (MOST_PROCESSES, MOST_PROCESSES))
        return [f"at most {MOST_PROCESSES} processes"]
    return []


def _no_network(needed: Iterable[Path]) -> list[str]:
    """Leave the network namespace; refused on some hardened hosts.

    A user namespace comes with it, in which nobody is privileged: good against the checkpoint, but root
    may then no longer read what only its privilege let it read, and stays where it was.
    """
    libc = _libc()
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and any(_needs_privilege(path) for path in needed):
        return ["no network"] if libc.unshare(_CLONE_NEWNET) == 0 else []
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return []
    # keep the user's own number inside, so that files look as before
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", encoding="ascii")
    return ["no network"]


def _needs_privilege(path: Path) -> bool:
    """Tell whether root reads a path only because it is root: other people's private files."""
    try:
        resolved = path.resolve()
        for part in (resolved, *resolved.parents):
            found = part.stat()
            wanted = stat.S_IROTH if part == resolved else stat.S_IXOTH
            if found.st_uid != 0 and not found.st_mode & wanted:
                return True
    except OSError:
        return False  # what cannot be seen is not needed
    return False


def _landlock_version() -> int:
    libc = _libc()
    libc.syscall.restype = ctypes.c_long
    return int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


class _Ruleset(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scope", ctypes.c_uint64)]


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
    rules = _Ruleset(
        handled,
        _CONNECT_AND_BIND if version >= 4 else 0,
        _SOCKETS_AND_SIGNALS if version >= 6 else 0,
    )
    # the record grew: older kernels refuse fields that they do not know
    size = ctypes.c_size_t(8 if version < 4 else 16 if version < 6 else 24)
    ruleset = int(libc.syscall(_CREATE_RULESET, ctypes.byref(rules), size, ctypes.c_uint32(0)))
    if ruleset < 0:
        return []
    try:
        for path in readable:
            _allow(libc, ruleset, path, _READ)
        for path in writable:
            _allow(libc, ruleset, path, handled & ~_EXECUTE)
        if libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)) != 0:
            return []
    finally:
        os.close(ruleset)
    return [f"files by Landlock (ABI {version})", "starts no programs"]


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what does not exist needs no rule
    try:
        if not path.is_dir():
            rights &= _OF_FILES | _TRUNCATE | _IOCTL
        rule = _PathRule(rights, handle)
        libc.syscall(_ADD_RULE, ruleset, ctypes.c_int(1), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(handle)
