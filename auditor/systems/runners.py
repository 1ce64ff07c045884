"""What runs prepared arrays: a checkpoint in its child process, or a Python function in this one.

**Conventions.** Pieces are float32 in the system's own axes, ``(channel, *fed sizes)``; answers are
``(class, *fed sizes)``. A runner knows nothing of scans, labels or metrics.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from auditor.errors import IntegrityError
from auditor.schema import Status, SystemSpec
from auditor.systems.reasons import one_line
from auditor.systems.window import run_windows

if TYPE_CHECKING:  # a callable needs no child process
    from auditor.systems.description import Description
    from auditor.systems.layers.answer import LayerDistances
    from auditor.systems.process import ModelProcess
    from auditor.systems.sniff import Sniffed

CallableSystem = Callable[[NDArray[np.float32]], NDArray[Any]]
"""A system as a Python function: (channel, *fed sizes) float32, prepared as its contract says (one
window, or one slice, at a time when it says so), to (class, *fed sizes) or (*fed sizes) labels."""


@dataclass(frozen=True, slots=True)
class RunningInfo:
    """What is known of a system that runs."""

    format: str
    """onnx, torchscript, .., or callable."""
    sha256: str
    """Of the checkpoint's file; empty for a callable."""
    size_bytes: int
    """Of the checkpoint's file; 0 for a callable."""
    sandbox: tuple[str, ...]
    """Layers that are active around it; none for a callable."""
    findings: tuple[str, ...]
    """Safety findings in words."""
    input_shape: tuple[int | None, ...] | None = None
    """(batch, channel, *sizes) as the file itself declares, None where it may vary."""


class RunFailure(Exception):
    """A runner could not run what it was given."""

    def __init__(self, status: Status, reason: str) -> None:
        self.status = status
        """crashed, timed_out, rejected or failed."""
        self.reason = reason
        """One sentence."""
        super().__init__(reason)


class Runner(Protocol):
    """What runs arrays in the system's own axes."""

    @property
    def info(self) -> RunningInfo:
        """Say what runs."""

    def run(self, pieces: Sequence[NDArray[np.float32]], spec: SystemSpec) -> list[NDArray[Any]]:
        """Run pieces; RunFailure when one of them cannot be run."""

    def close(self) -> None:
        """Let everything go; it may be used again afterwards."""


class CallableRunner:
    """Runs a Python function in this process, one piece at a time."""

    def __init__(self, function: CallableSystem) -> None:
        self._function = function

    @property
    def info(self) -> RunningInfo:
        """Say that there is no file and no sandbox."""
        note = "a Python callable runs inside the auditor's process, without a sandbox"
        return RunningInfo("callable", "", 0, (), (note,))

    def run(self, pieces: Sequence[NDArray[np.float32]], spec: SystemSpec) -> list[NDArray[Any]]:
        """Run pieces one by one.

        Parameters
        ----------
        pieces : each (channel, *fed sizes).
        spec : contract and windows.

        Returns
        -------
        One (class, *fed sizes) array per piece.

        Raises
        ------
        RunFailure
            The function raised, or answered with something that is no array of its input's size.
        """
        try:
            predict = self._labels if spec.output.activation == "labels" else self._predict
            return [
                run_windows(p, predict, window=spec.window, batch=1, flips=spec.flips)
                for p in pieces
            ]
        except ValueError as error:
            raise RunFailure(Status.REJECTED, str(error)) from error

    def _predict(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        try:
            answer = np.array(self._function(batch[0].copy()))  # its memory may be used again
        except Exception as error:  # whatever a user's model raises is a row
            reason = f"the system raised {type(error).__name__}: {one_line(error)}"
            raise RunFailure(Status.FAILED, reason) from error
        if answer.dtype.kind not in "biuf":
            msg = f"the system must answer with an array of numbers, got {answer.dtype}"
            raise ValueError(msg)
        if answer.dtype.kind == "b":
            answer = answer.astype(np.uint8)
        return answer[None] if answer.ndim == batch.ndim - 1 else answer[None, None]

    def _labels(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        # label numbers are often given as floats; windows must not average them
        answer = self._predict(batch)
        whole = np.rint(answer)
        return whole.astype(np.int64) if np.array_equal(whole, answer) else answer

    def close(self) -> None:
        """Nothing is held."""


class ProcessRunner:
    """Runs a checkpoint in a child process, replaced after a crash when it is next needed."""

    def __init__(self, spec: SystemSpec, checkpoint: Path) -> None:
        self._spec, self._checkpoint = spec, checkpoint
        self._sniffed, self._stamps = _identified(checkpoint)
        self._process: ModelProcess | None = None

    @property
    def info(self) -> RunningInfo:
        """Say what runs; starts the child when there is none."""
        found = self._started().info
        return RunningInfo(
            format=self._sniffed.format,
            sha256=self._sniffed.sha256,
            size_bytes=self._sniffed.size_bytes,
            sandbox=tuple(found.sandbox),
            findings=tuple(found.findings),
            input_shape=found.input_shape,
        )

    def _started(self) -> ModelProcess:
        from auditor.systems.process import ModelFailure, ModelProcess

        if self._process is None:
            if self._is_changed():  # perhaps only copied anew, or linked
                found, self._stamps = _identified(self._checkpoint)
                if found != self._sniffed:
                    raise self._changed()
            process = ModelProcess(
                self._checkpoint,
                self._sniffed.format,
                device=self._spec.device,
                threads=self._spec.threads,
                batch=self._spec.batch,
                precision=self._spec.precision,
                timeout_s=self._spec.timeout_s,
                memory_gb=self._spec.memory_gb,
                ablation=self._spec.ablation,
            )
            try:
                process.start()
            except ModelFailure as failure:
                process.close()
                raise RunFailure(failure.status, failure.reason) from failure
            if self._is_changed():
                process.close()
                raise self._changed()
            self._process = process
        return self._process

    def _is_changed(self) -> bool:
        return any(_stamp(path) != stamp for path, stamp in self._stamps.items())

    def _changed(self) -> IntegrityError:
        msg = (
            f"the checkpoint of system {self._spec.name!r} must stay what it was when it was identified, its "
            "files were changed since; put them back, or start another audit in a folder of its own"
        )
        return IntegrityError(msg)

    def run(self, pieces: Sequence[NDArray[np.float32]], spec: SystemSpec) -> list[NDArray[Any]]:
        """Run all pieces in one call of the child.

        Parameters
        ----------
        pieces : each (channel, *fed sizes).
        spec : contract and windows.

        Returns
        -------
        One (class, *fed sizes) array per piece.

        Raises
        ------
        RunFailure
            The child crashed, took too long, or the model refused.
        """
        with self._failures():
            return self._started().run(
                pieces, spec.window, spec.output, spec.input, batch=spec.batch, flips=spec.flips
            )

    @property
    def peak_mb(self) -> float | None:
        """Largest resident memory of the child so far, MB; None where it is not known, or there is none."""
        from auditor.systems.peak_memory import peak_mb

        child = None if self._process is None else self._process.pid
        return None if child is None else peak_mb(child) or None

    def describe(
        self, shape: Sequence[int], layout: str, *, limit_s: float = math.inf
    ) -> Description:
        """Ask the child what network it holds.

        Parameters
        ----------
        shape : (1, channel, *sizes) of random numbers that it is fed with.
        layout : channel_first or channel_last.
        limit_s : of this call.

        Raises
        ------
        RunFailure
            As of `run`.
        """
        with self._failures():
            return self._started().describe(shape, layout, limit_s=limit_s)

    def layers(
        self, scans: Sequence[Sequence[NDArray[np.float32]]], spec: SystemSpec, *, bins: int
    ) -> tuple[LayerDistances, ...]:
        """Compare the activations of scans with those of the first one.

        Parameters
        ----------
        scans : the pieces of each, the clean one first.
        spec : contract and windows; flips are left out.
        bins : of each channel.

        Raises
        ------
        RunFailure
            As of `run`.
        """
        with self._failures():
            return self._started().layers(scans, spec.window, spec.input, bins=bins)

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """Pass failures of the model on; a child that is lost is let go."""
        from auditor.systems.process import ModelFailure

        try:
            yield
        except ModelFailure as failure:
            if failure.status in {Status.CRASHED, Status.TIMED_OUT}:
                self.close()
            raise RunFailure(failure.status, failure.reason) from failure

    def close(self) -> None:
        """End the child."""
        if self._process is not None:
            self._process.close()
            self._process = None


def _identified(checkpoint: Path) -> tuple[Sniffed, dict[Path, tuple[int, ...]]]:
    """Recognise a checkpoint, and note the state of its files: before they are read, where that is known."""
    from auditor.systems.sniff import files_beside, sniff

    before = _stamp(checkpoint)
    found = sniff(checkpoint)
    beside = files_beside(checkpoint) if found.format == "onnx" else ()
    return found, {checkpoint: before, **{path: _stamp(path) for path in beside}}


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what a file system changes when a file is written or replaced; empty when it is gone."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
