"""Starts one command, ends it with everything that it started, and clears its folder away.

A process of its own, started by the name of this file with the standard library alone. It reads one
line of JSON with the scratch folder, a second one with the command, and then waits for the end of its
input; it answers with one line. When its input ends early, because its parent was interrupted or
killed, the command ends too. Whatever happens, the scratch folder is removed last.

Whoever leaves the command's process group is found all the same on Linux: orphans come back to this
process, which asks the kernel to be their parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

__all__ = ["main"]

_PR_SET_CHILD_SUBREAPER = 36
"""Of prctl(2), Linux 3.4."""

_LONGEST_STEP_S = 0.05
_MOST_ROUNDS = 200
"""Times that survivors are looked for; each round ends one generation."""


def main() -> None:
    """Serve one command."""
    source = sys.stdin.buffer
    scratch = ""
    try:
        first = source.readline()
        if not first:
            return
        scratch = json.loads(first)["scratch"]
        second = source.readline()
        if not second:
            return
        gone = threading.Event()
        listener = threading.Thread(target=_until_end, args=(source, gone), daemon=True)
        listener.start()
        answer = _run(json.loads(second), gone)
        with contextlib.suppress(OSError):  # nobody may be left to hear it
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        gone.wait()
    finally:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)


def _until_end(source: Any, gone: threading.Event) -> None:  # noqa: ANN401  # a binary stream
    with contextlib.suppress(OSError):
        while source.read(4096):
            pass
    gone.set()


def _run(job: dict[str, Any], gone: threading.Event) -> dict[str, Any]:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        process = subprocess.Popen(
            job["command"],
            cwd=job["folder"],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            stderr=sys.stderr.fileno(),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return {"error": getattr(error, "strerror", None) or str(error)}
    deadline = time.monotonic() + job["limit_s"]
    step, late = 0.002, False
    while not _has_ended(process) and not gone.is_set():
        late = time.monotonic() > deadline
        if late:
            break
        gone.wait(step)
        step = min(_LONGEST_STEP_S, step * 1.5)
    code = _end(process)
    _let_go_of_output()
    return {"late": True} if late else {"code": code}


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Look without reaping, so that the number of the process group is not given to another one."""
    if not hasattr(os, "waitid"):
        return process.poll() is not None
    flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
    return os.waitid(os.P_PID, process.pid, flags) is not None


def _end(process: subprocess.Popen[bytes]) -> int | None:
    """End the whole group, then whoever left it; return the exit status."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    code = None
    with contextlib.suppress(subprocess.TimeoutExpired):
        code = process.wait(timeout=30)  # a driver may keep it in the kernel
    for _ in range(_MOST_ROUNDS):
        left = _children()
        if not left:
            break
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    return code


def _let_go_of_output() -> None:
    """Close the pipe of what was printed, so that its reader knows that it has everything."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stderr.fileno())
    os.close(nowhere)


def _children() -> list[int]:
    """Every process whose parent is this one; none where the kernel does not tell."""
    found: list[int] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError, ValueError):
            found += map(int, path.read_text().split())
    return found


if __name__ == "__main__":
    main()
