"""The parent's side of a child process that runs one checkpoint.

Nothing of the checkpoint is opened here. The child leads a process group of its own, so that a time-out
ends it with everything it started.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from auditor.schema import InputSpec, OutputSpec, Status, WindowSpec
from auditor.systems.transport import TransportError, receive, send

__all__ = ["ModelFailure", "ModelInfo", "ModelProcess"]

_LAST_LINES = 20


class ModelFailure(Exception):  # a failure of the model, not of this program
    """A checkpoint did not answer, or not as it must."""

    def __init__(self, status: Status, reason: str) -> None:
        self.status = status
        """crashed, timed_out, rejected or failed."""
        self.reason = reason
        """One sentence."""
        super().__init__(f"{status.value}: {reason}")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a started child tells."""

    sandbox: tuple[str, ...]
    """Layers that hold."""
    findings: tuple[str, ...]
    """Worth saying in the report."""
    input_shape: tuple[int | None, ...] | None
    """Declared sizes of the input (ONNX), None where free; None: nothing declared."""


class ModelProcess:
    """One checkpoint in its child process; a context manager.

    Parameters
    ----------
    path : Path
        The checkpoint.
    format : str
        onnx or torchscript, see `auditor.systems.sniff`.
    device : str
        cpu, cuda or cuda:1.
    threads, batch : int
        Of one stream; windows per forward pass.
    timeout_s : float
        Longest time of one call, wall clock.
    memory_gb : float
        Address space on CPU.
    """

    def __init__(  # one record of the contract, spelled out
        self,
        path: Path,
        format: str,  # noqa: A002  # the word of the contract
        *,
        device: str = "cpu",
        threads: int = 1,
        batch: int = 1,
        timeout_s: float = 600.0,
        memory_gb: float = 8.0,
    ) -> None:
        self._timeout = timeout_s
        self._settings: dict[str, Any] = {
            "checkpoint": str(path.resolve()),
            "format": format,
            "device": device,
            "threads": threads,
            "batch": batch,
            "memory_gb": memory_gb,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._reader: threading.Thread | None = None
        self._scratch = ""
        self._printed: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
        self._info: ModelInfo | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def info(self) -> ModelInfo:
        """What the child told; starts it when needed."""
        if self._info is None:
            self.start()
        assert self._info is not None  # start() sets it or raises
        return self._info

    @property
    def pid(self) -> int | None:
        """Of the child; None when there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the child and load the checkpoint in it.

        Raises
        ------
        ModelFailure
            When the checkpoint cannot be loaded, crashes or hangs while it is.
        """
        self.close()
        ours, theirs = socket.socketpair()
        self._channel = ours
        self._scratch = tempfile.mkdtemp(prefix="segaudit-")
        settings = json.dumps({**self._settings, "scratch": self._scratch})
        threads = str(self._settings["threads"])
        environment = {
            **os.environ,
            "ORT_DISABLE_TELEMETRY": "1",
            "HOME": self._scratch,
            "TMPDIR": self._scratch,
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": threads,
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "auditor.systems.child", str(theirs.fileno()), settings],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                env=environment,
                start_new_session=True,
            )
        self._printed.clear()
        self._reader = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._reader.start()
        answer, _ = self._await()
        shape = answer["input_shape"]
        self._info = ModelInfo(
            sandbox=tuple(map(str, answer["sandbox"])),
            findings=(),
            input_shape=None if shape is None else tuple(shape),
        )

    def run(
        self,
        images: Sequence[NDArray[np.float32]],
        window: WindowSpec | None,
        output: OutputSpec,
        input: InputSpec,  # noqa: A002  # the word of the contract
    ) -> list[NDArray[Any]]:
        """Run images in the system's own axes.

        Parameters
        ----------
        images : each (channel, *sizes), float32, prepared.
        window : sliding window, or None for whole images.
        output, input : of the contract: which output, where the channels stand.

        Returns
        -------
        One (class, *sizes) array per image: float32, or integers for labels.

        Raises
        ------
        ModelFailure
            The child crashed, took too long, or the model refused. A crashed or stopped child is
            gone; `start` begins another.
        """
        if self._process is None or self._channel is None:
            self.start()
        assert self._channel is not None  # start() sets it or raises
        header = {
            "window": None if window is None else asdict(window),
            "output": {
                "activation": output.activation,
                "index": output.index,
                "layout": output.layout,
            },
            "input_layout": input.layout,
        }
        self._channel.settimeout(self._timeout)
        try:
            send(self._channel, header, [np.ascontiguousarray(it, np.float32) for it in images])
        except TransportError as error:
            raise self._gone() from error
        return self._await()[1]

    def close(self) -> None:
        """End the child and everything that it started."""
        process, self._process = self._process, None
        self._info = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if process is not None:
            _kill(process)
            process.wait()
        if self._reader is not None:
            self._reader.join(timeout=5)
            self._reader = None
        if process is not None and process.stdout is not None:
            process.stdout.close()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = ""

    def _await(self) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        assert self._channel is not None  # called after start
        self._channel.settimeout(self._timeout)
        try:
            header, arrays = receive(self._channel)
        except TimeoutError as error:
            self.close()
            reason = f"no answer within {self._timeout:g} s; the process was stopped"
            raise ModelFailure(Status.TIMED_OUT, reason) from error
        except TransportError as error:
            raise self._gone() from error
        if not header.get("ok"):
            status = Status(str(header.get("status", "failed")))
            reason = str(header.get("reason", "it gave no reason"))
            if status is Status.CRASHED:
                self.close()
            raise ModelFailure(status, reason)
        return header, arrays

    def _gone(self) -> ModelFailure:
        """Say how the child ended."""
        process = self._process
        code = None
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(timeout=5)
        if self._reader is not None:
            self._reader.join(timeout=2)
        printed = next((line for line in reversed(self._printed) if line.strip()), "")
        self.close()
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                how = f"its process was ended by {signal.Signals(-code).name}"
                return ModelFailure(Status.CRASHED, _with_printed(how, printed))
        return ModelFailure(
            Status.CRASHED, _with_printed(f"its process ended (exit status {code})", printed)
        )

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # asked for by PIPE
        # read in pieces: a checkpoint may print without ever ending a line
        while piece := os.read(process.stdout.fileno(), 4096):
            self._printed.extend(piece.decode(errors="replace").splitlines()[-_LAST_LINES:])


def _kill(process: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _with_printed(how: str, printed: str) -> str:
    return f"{how}; it last printed: {printed[:200]}" if printed else how
