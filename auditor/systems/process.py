"""The parent's side of a child process that runs one checkpoint.

Nothing of the checkpoint is opened here but its bytes. The child leads a process group of its own, so
that a time-out ends it with everything it started; it ends itself when this process is gone, even by
a kill, because it watches a pipe that this process holds.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from auditor.errors import CheckpointError
from auditor.schema import AblationSpec, InputSpec, OutputSpec, Status, WindowSpec
from auditor.systems.closing import Closing
from auditor.systems.description import Description, description_of
from auditor.systems.environment import child_environment
from auditor.systems.layers.answer import LayerDistances, layers_of
from auditor.systems.model_info import ModelFailure, ModelInfo, TensorInfo, told_of
from auditor.systems.reasons import how_it_ended, plain
from auditor.systems.sniff import files_beside
from auditor.systems.transport import SharedMemory, TransportError, receive, send

__all__ = ["ModelFailure", "ModelInfo", "ModelProcess", "TensorInfo"]

_KEPT_OUTPUT = 8192
_IMPORTS_S = 180.0
"""Longest time for Python and the libraries to come up, which is no fault of a checkpoint."""


class ModelProcess(Closing):
    """One checkpoint in its child process; a context manager.

    Parameters
    ----------
    path : Path
        The checkpoint.
    format : str
        onnx, torchscript or exported, see `auditor.systems.sniff`.
    device : str
        cpu, cuda or cuda:1.
    threads, batch : int
        Of one stream; windows per forward pass.
    precision : str
        Number type of the weights while they run: float32, float16 or bfloat16.
    timeout_s : float
        Longest time of one call, and of loading the checkpoint; wall clock.
    memory_gb : float
        Memory of the child: of its addresses on a CPU, resident on a GPU.
    ablation : AblationSpec or None
        What is replaced in the network. By another image, each piece that is run has twice the channels:
        behind those of the image those of the other one, on the same grid.
    """

    def __init__(  # noqa: PLR0913  # one record of the contract, spelled out
        self,
        path: Path,
        format: str,  # noqa: A002  # the word of the contract
        *,
        device: str = "cpu",
        threads: int = 1,
        batch: int = 1,
        precision: str = "float32",
        timeout_s: float = 600.0,
        memory_gb: float = 8.0,
        ablation: AblationSpec | None = None,
    ) -> None:
        self._path, self._timeout = path.absolute(), timeout_s
        self._most_bytes = memory_gb * 2**30
        self._settings: dict[str, Any] = {
            "checkpoint": str(self._path),
            "format": format,
            "device": device,
            "threads": threads,
            "batch": batch,
            "precision": precision,
            "memory_gb": memory_gb,
            "ablation": None if ablation is None else _for_the_child(ablation),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._memory = SharedMemory()
        self._reader: threading.Thread | None = None
        self._scratch = ""
        self._printed = b""
        self._info: ModelInfo | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

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
        """Start the child and load the checkpoint in it; ends an earlier one.

        Raises
        ------
        ModelFailure
            When the checkpoint or a file beside it cannot be read, or it cannot be loaded, crashes
            or hangs while it is.
        """
        self.close()
        beside = self._beside()
        try:
            self._scratch = tempfile.mkdtemp(prefix="segaudit-")
            self._channel = self._launch()
            settings = {
                **self._settings,
                "scratch": self._scratch,
                "beside": list(map(str, beside)),
                "dies_with_thread": threading.current_thread() is threading.main_thread(),
            }
            ready, _ = self._ask(settings, (), limit_s=max(_IMPORTS_S, self._timeout))
            header, _ = self._answer(time.monotonic() + self._timeout, self._timeout)
            self._info = told_of(header, tuple(map(str, ready["sandbox"])), self._plain)
        except BaseException:
            self.close()
            raise

    def run(
        self,
        images: Sequence[NDArray[np.float32]],
        window: WindowSpec | None,
        output: OutputSpec,
        input: InputSpec,  # noqa: A002  # the word of the contract
        *,
        batch: int | None = None,
        flips: Sequence[int] = (),
    ) -> list[NDArray[Any]]:
        """Run images in the system's own axes.

        Parameters
        ----------
        images : each (channel, *sizes), float32, prepared.
        window : sliding window, or None for whole images.
        output, input : of the contract: which output, where the channels stand.
        batch : windows per forward pass in this call, instead of the process's own number.
        flips : axes that are mirrored, see `auditor.systems.window.run_images`.

        Returns
        -------
        One (class, *sizes) array per image: float32, or integers for labels.

        Raises
        ------
        ModelFailure
            The child crashed, took too long, or the model refused. A crashed or stopped child is
            gone; `start`, or the next `run`, begins another.
        """
        if self._process is None:
            self.start()
        header = {
            "window": None if window is None else asdict(window),
            "output": {
                "activation": output.activation,
                "index": output.index,
                "layout": output.layout,
            },
            "input_layout": input.layout,
            "batch": batch,
            "flips": list(flips),
        }
        asked = [np.ascontiguousarray(image, np.float32) for image in images]
        _, answers = self._ask(header, asked, limit_s=self._timeout)
        fits = len(asked) == len(answers) and all(
            answer.ndim == image.ndim and answer.shape[1:] == image.shape[1:]
            for image, answer in zip(asked, answers, strict=True)
        )
        if not fits:
            # the child checks its model's answers, so this child is no longer our program
            self.close()
            raise ModelFailure(Status.CRASHED, "its process sent what is no answer")
        return answers

    def describe(
        self, shape: Sequence[int], layout: str, *, limit_s: float = math.inf
    ) -> Description:
        """Ask what network the child holds, at one size of its input.

        Parameters
        ----------
        shape : (1, channel, *sizes) of random numbers that it is fed with.
        layout : channel_first or channel_last.
        limit_s : less than the process's own limit of one call, when given.

        Raises
        ------
        ModelFailure
            As of `run`.
        """
        if self._process is None:
            self.start()
        header = {"do": "describe", "shape": list(shape), "layout": layout}
        answer, _ = self._ask(header, (), limit_s=min(limit_s, self._timeout))
        try:
            told = answer["description"]
            return description_of(told if isinstance(told, dict) else {})
        except (KeyError, ValueError) as error:
            self.close()
            raise ModelFailure(Status.CRASHED, "its process sent what is no answer") from error

    def layers(
        self,
        scans: Sequence[Sequence[NDArray[np.float32]]],
        window: WindowSpec | None,
        input: InputSpec,  # noqa: A002  # the word of the contract
        *,
        bins: int,
    ) -> tuple[LayerDistances, ...]:
        """Compare the activations of scans with those of the first one, layer by layer.

        Parameters
        ----------
        scans : the pieces of each, (channel, *sizes) float32, prepared; the clean one first.
        window : sliding window, or None for whole images.
        input : of the contract: where the channels stand.
        bins : of each channel.

        Raises
        ------
        ModelFailure
            As of `run`. It may take three times as long as a run: the clean scan passes twice, and every
            activation is counted.
        """
        if self._process is None:
            self.start()
        header = {
            "do": "layers",
            "window": None if window is None else asdict(window),
            "input_layout": input.layout,
            "bins": bins,
            "pieces": [len(pieces) for pieces in scans],
        }
        asked = [np.ascontiguousarray(it, np.float32) for pieces in scans for it in pieces]
        answer, _ = self._ask(header, asked, limit_s=3 * self._timeout)
        try:
            return layers_of(answer.get("layers"), len(scans) - 1)
        except ValueError as error:
            self.close()
            raise ModelFailure(Status.CRASHED, "its process sent what is no answer") from error

    def close(self) -> None:
        """End the child and everything that it started."""
        process, self._process = self._process, None
        self._info = None
        self._memory.close()
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if process is not None:
            _kill(process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)  # a driver may keep it in the kernel, but not us
        if self._reader is not None:
            self._reader.join(timeout=5)
            self._reader = None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = ""

    def _beside(self) -> tuple[Path, ...]:
        """List the files that a graph needs beside its own; they may have gone since it was sniffed."""
        if self._settings["format"] != "onnx":
            return ()
        try:
            return files_beside(self._path)
        except (CheckpointError, OSError, ValueError) as error:
            raise ModelFailure(Status.REJECTED, self._plain(str(error))) from error

    def _launch(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "auditor.systems.child"]
        posix: dict[str, Any] = {}
        if sys.platform != "win32":
            command.append(str(theirs.fileno()))
            posix = {"pass_fds": [theirs.fileno()], "start_new_session": True}
        try:
            with theirs:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=child_environment(self._scratch, self._settings["threads"]),
                    **posix,
                )
                self._process = process
                if sys.platform == "win32":
                    assert process.stdin is not None  # asked for by PIPE
                    process.stdin.write(theirs.share(process.pid).hex().encode() + b"\n")
                    process.stdin.flush()
        except BaseException:
            ours.close()
            raise
        self._printed = b""
        self._reader = threading.Thread(target=self._listen, args=(process,), daemon=True)
        self._reader.start()
        return ours

    def _ask(
        self, header: dict[str, Any], arrays: Sequence[NDArray[Any]], *, limit_s: float
    ) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """Send a message and wait for its answer."""
        assert self._channel is not None  # called after start
        deadline = time.monotonic() + limit_s if math.isfinite(limit_s) else math.inf
        try:
            send(self._channel, header, arrays, deadline=deadline, memory=self._memory)
        except TransportError as error:
            raise self._gone() from error
        except TimeoutError as error:
            raise self._late(limit_s) from error
        return self._answer(deadline, limit_s)

    def _answer(self, deadline: float, limit_s: float) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        assert self._channel is not None  # called after start
        try:
            header, arrays = receive(self._channel, deadline=deadline, most_bytes=self._most_bytes)
        except TimeoutError as error:
            raise self._late(limit_s) from error
        except TransportError as error:
            raise self._gone() from error
        except BaseException:
            self.close()  # interrupted: a later question must not get this one's answer
            raise
        if header.get("ok") is True:
            return header, arrays
        reason = self._plain(str(header.get("reason", "it gave no reason")))
        if header.get("status") == Status.REJECTED.value:
            raise ModelFailure(Status.REJECTED, reason)
        self.close()
        raise ModelFailure(Status.CRASHED, reason)

    def _late(self, limit_s: float) -> ModelFailure:
        self.close()
        reason = f"no answer within {limit_s:g} s; the process was stopped"
        return ModelFailure(Status.TIMED_OUT, reason)

    def _gone(self) -> ModelFailure:
        """Say how the child ended."""
        process, code = self._process, None
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(timeout=5)
        if self._reader is not None:
            self._reader.join(timeout=2)
        reason = self._plain(how_it_ended(code, self._printed))
        self.close()
        return ModelFailure(Status.CRASHED, reason)

    def _plain(self, text: str) -> str:
        return plain(text, folders=(self._scratch, str(self._path.parent)))

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # asked for by PIPE
        # read in pieces: a checkpoint may print without ever ending a line
        with contextlib.suppress(OSError):
            while piece := os.read(process.stdout.fileno(), 4096):
                self._printed = (self._printed + piece)[-_KEPT_OUTPUT:]


def _for_the_child(ablation: AblationSpec) -> dict[str, Any]:
    """Leave out the files of the other image, whose voxels come with each piece."""
    return asdict(replace(ablation, images=(), images_sha256=()))


def _kill(process: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
