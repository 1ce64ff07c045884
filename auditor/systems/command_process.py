"""One start of a command: a scratch folder, a guard beside it, what it printed, how it ended.

The guard (`auditor.systems.guard`) outlives this process, so that neither a command nor its folder is
left behind by an interruption, a kill, or a time-out.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from auditor.errors import StoreError
from auditor.schema import Status
from auditor.systems import guard
from auditor.systems.reasons import how_it_ended, plain

__all__ = ["CommandProcess", "Ended"]

_KEPT_OUTPUT = 8192
_LONGEST_S = 1e8
"""Three years: more than a timer can wait for would be an error."""

_GRACE_S = 60.0
"""Longest time for the guard to end what it started and to say so."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: Status
    """ok, failed (could not be started, or says so itself), crashed (by a signal) or timed_out."""
    reason: str
    """One sentence; empty when all is well. Names no folder of this machine."""
    last_line: str
    """What it printed last."""


class CommandProcess:
    """A scratch folder in which one command may run; a context manager.

    Raises
    ------
    StoreError
        When there is no room for temporary files, or no process can be started.
    """

    def __init__(self) -> None:
        self._guard: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._printed = b""
        self._scratch = ""

    @property
    def folder(self) -> Path:
        """The scratch folder."""
        return Path(self._scratch)

    def __enter__(self) -> Self:
        try:
            self._scratch = tempfile.mkdtemp(prefix="segaudit-")
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(guard.__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
                start_new_session=os.name == "posix",
            )
            self._tell({"scratch": self._scratch})
        except OSError as error:
            self.__exit__(None, None, None)
            msg = (
                "a command cannot be prepared: the folder for temporary files (TMPDIR) must be writable "
                f"and have room: {error.strerror or error}"
            )
            raise StoreError(msg) from error
        self._reader = threading.Thread(target=self._listen, args=(self._guard,), daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process, self._guard = self._guard, None
        if process is not None:
            assert process.stdin is not None  # asked for by PIPE
            with contextlib.suppress(OSError):
                process.stdin.close()
            try:
                process.wait(timeout=_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._reader is not None:
            self._reader.join(timeout=5)
            self._reader = None
        if process is not None:
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        shutil.rmtree(self._scratch, ignore_errors=True)  # when the guard itself was killed

    def run(self, command: Sequence[str], *, folder: Path, limit_s: float) -> Ended:
        """Start the command and wait for its end.

        Parameters
        ----------
        command : sequence of str
            Program and arguments.
        folder : Path
            In which it runs.
        limit_s : float
            Wall clock; then it is ended, with everything it started.
        """
        assert self._guard is not None  # used as a context manager
        process = self._guard
        assert process.stdout is not None  # asked for by PIPE
        hidden = (self._scratch, str(folder))
        answer: dict[str, object] = {}
        watch = threading.Timer(min(limit_s, _LONGEST_S) + _GRACE_S, process.kill)
        watch.daemon = True
        watch.start()
        try:
            self._tell({"command": list(command), "folder": str(folder), "limit_s": limit_s})
            answer = json.loads(process.stdout.readline() or b"{}")
        except (OSError, ValueError):
            pass  # the guard was ended from outside
        finally:
            watch.cancel()
        if self._reader is not None:
            self._reader.join(timeout=2)  # the guard has closed the pipe; a survivor may hold it
        last_line = plain(self._last_line(), folders=hidden)[:200]
        if answer.get("late"):
            said = f"; it last printed: {last_line}" if last_line else ""
            reason = f"the command did not end within {limit_s:g} s and was stopped{said}"
            return Ended(Status.TIMED_OUT, reason, last_line)
        if "error" in answer:
            reason = plain(f"the command could not be started: {answer['error']}", folders=hidden)
            return Ended(Status.FAILED, reason, last_line)
        code = answer.get("code")
        if code == 0:
            return Ended(Status.OK, "", last_line)
        if not isinstance(code, int):
            return Ended(Status.CRASHED, "the command was ended from outside", last_line)
        told = how_it_ended(code, self._printed).replace("its process", "the command")
        status = Status.CRASHED if code < 0 else Status.FAILED
        return Ended(status, plain(told, folders=hidden), last_line)

    def _tell(self, line: dict[str, object]) -> None:
        assert self._guard is not None  # used as a context manager
        assert self._guard.stdin is not None  # asked for by PIPE
        self._guard.stdin.write(json.dumps(line).encode() + b"\n")
        self._guard.stdin.flush()

    def _last_line(self) -> str:
        lines = self._printed.decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None  # asked for by PIPE
        # read in pieces: a command may print without ever ending a line
        with contextlib.suppress(OSError, ValueError):
            while piece := os.read(process.stderr.fileno(), 4096):
                self._printed = (self._printed + piece)[-_KEPT_OUTPUT:]
