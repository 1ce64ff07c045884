"""A system that runs: scans in, predictions or failures out.

**Conventions.** Scans and predictions are native torch tensors on the CPU. All images of one call
travel together, so that windows of several severities share batches; a call belongs to one unit of
the plan, and batches never cross calls. One image's failure is a value, never an exception: the
audit stores it as a row.

A checkpoint runs in a sandboxed child process. When the child fails on a call of several images,
each of them is run once more alone, so that only the guilty one fails; a child that has crashed or
was stopped is replaced when it is next needed.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from auditor.errors import AuditError, CheckpointError
from auditor.schema import Geometry, Status, SystemSpec
from auditor.systems.decision import decide
from auditor.systems.preparation import Prepared, prepare, restore
from auditor.systems.window import run_windows

if TYPE_CHECKING:  # a callable needs no child process
    from auditor.systems.description import Description
    from auditor.systems.process import ModelProcess

CallableSystem = Callable[[NDArray[np.float32]], NDArray[Any]]
"""A system as a Python function: (channel, *fed sizes) float32, prepared as its contract says (one
window, or one slice, at a time when it says so), to (class, *fed sizes) or (*fed sizes) labels."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a system answered for one scan, on the scan's own grid."""

    scores: Tensor
    """(channel, *native) float32 in [0, 1], what `decide` decides on; for softmax channel 0 is the
    strongest class that is not declared. This is what a warp pulls back."""
    probabilities: Tensor
    """(len(labels), *native) float32 in [0, 1]: one channel per declared label, in order; a view of
    the scores."""
    labels: Tensor
    """(*native) int16: the declared label numbers, 0 elsewhere."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no prediction for one scan."""

    status: Status
    """crashed, timed_out, not_finite, rejected (the output contradicts the contract) or failed."""
    reason: str
    """One sentence."""


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
            return [run_windows(p, predict, window=spec.window, batch=1) for p in pieces]
        except ValueError as error:
            raise RunFailure(Status.REJECTED, str(error)) from error

    def _predict(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        try:
            answer = np.asarray(self._function(batch[0].copy()))
        except Exception as error:  # whatever a user's model raises is a row
            reason = f"the system raised {type(error).__name__}: {_one_line(error)}"
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
        from auditor.systems.sniff import sniff

        self._sniffed = sniff(checkpoint)
        self._spec, self._checkpoint = spec, checkpoint
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
            process = ModelProcess(
                self._checkpoint,
                self._sniffed.format,
                device=self._spec.device,
                threads=self._spec.threads,
                batch=self._spec.batch,
                timeout_s=self._spec.timeout_s,
                memory_gb=self._spec.memory_gb,
            )
            try:
                process.start()
            except ModelFailure as failure:
                process.close()
                raise RunFailure(failure.status, failure.reason) from failure
            self._process = process
        return self._process

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
        from auditor.systems.process import ModelFailure

        process = self._started()
        try:
            return process.run(pieces, spec.window, spec.output, spec.input, batch=spec.batch)
        except ModelFailure as failure:
            if failure.status in {Status.CRASHED, Status.TIMED_OUT}:
                self.close()
            raise RunFailure(failure.status, failure.reason) from failure

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
        from auditor.systems.process import ModelFailure

        try:
            return self._started().describe(shape, layout, limit_s=limit_s)
        except ModelFailure as failure:
            if failure.status in {Status.CRASHED, Status.TIMED_OUT}:
                self.close()
            raise RunFailure(failure.status, failure.reason) from failure

    def close(self) -> None:
        """End the child."""
        if self._process is not None:
            self._process.close()
            self._process = None


class RunningSystem:
    """A system with its contract, ready to predict; a context manager."""

    def __init__(self, spec: SystemSpec, runner: Runner, info: RunningInfo) -> None:
        self.spec = spec
        """Contract and settings."""
        self.info = info
        """Format, digest, sandbox, findings; as found when it was opened."""
        self._runner = runner

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child process; a later `predict` starts another one."""
        self._runner.close()

    def under(self, spec: SystemSpec) -> RunningSystem:
        """Run the same checkpoint in the same process under another contract.

        Parameters
        ----------
        spec : differs in input, output or window only.

        Returns
        -------
        A system that shares this one's process; only one of them needs to be closed.
        """
        return RunningSystem(
            replace(self.spec, input=spec.input, output=spec.output, window=spec.window),
            self._runner,
            self.info,
        )

    def predict(self, images: Sequence[Tensor], geometry: Geometry) -> list[Prediction | Failure]:
        """Predict every image of one unit.

        Parameters
        ----------
        images : each (channel, *native) float32, all on the grid of `geometry`.
        geometry : of every one of them.

        Returns
        -------
        One entry per image, in order.
        """
        results: list[Prediction | Failure | None] = [None] * len(images)
        prepared: dict[int, Prepared] = {}
        for i, image in enumerate(images):
            try:
                prepared[i] = prepare(image, geometry, self.spec.input, self.spec.window)
            except AuditError as error:
                results[i] = Failure(Status.REJECTED, _one_line(error))
        for i, answer in self._answers(prepared):
            results[i] = (
                answer if isinstance(answer, Failure) else self._finish(answer, prepared[i])
            )
        return [r for r in results if r is not None]

    def _answers(
        self, prepared: dict[int, Prepared]
    ) -> Iterator[tuple[int, NDArray[Any] | Failure]]:
        """Run all images in one call; if that fails, each of them once more alone."""
        if not prepared:
            return
        try:
            answers = self._run(list(prepared.values()))
        except RunFailure as failure:
            if len(prepared) == 1:
                yield next(iter(prepared)), Failure(failure.status, failure.reason)
                return
            for i, alone in prepared.items():
                try:
                    yield i, self._run([alone])[0]
                except RunFailure as own:
                    yield i, Failure(own.status, own.reason)
            return
        yield from zip(prepared, answers, strict=True)

    def _run(self, prepared: Sequence[Prepared]) -> list[NDArray[Any]]:
        pieces = [piece for one in prepared for piece in one.pieces]
        answers = iter(self._runner.run(pieces, self.spec))
        return [one.join([next(answers) for _ in one.pieces]) for one in prepared]

    def _finish(self, answer: NDArray[Any], prepared: Prepared) -> Prediction | Failure:
        if not np.isfinite(answer).all():
            share = 1 - float(np.isfinite(answer).mean())
            return Failure(
                Status.NOT_FINITE, f"{share:.2%} of the output's values are NaN or infinite"
            )
        try:
            scores = restore(answer, prepared, self.spec.output)
        except CheckpointError as error:
            return Failure(Status.REJECTED, _one_line(error))
        labels = decide(scores, self.spec.output)
        return Prediction(scores, scores[scores.shape[0] - len(self.spec.output.labels) :], labels)


def open_system(spec: SystemSpec, *, callable: CallableSystem | None = None) -> RunningSystem:  # noqa: A002 - the name that users know it by
    """Start a system.

    Parameters
    ----------
    spec : checkpoint, contract and settings.
    callable : a Python function instead of a checkpoint.

    Returns
    -------
    The running system, to be closed.

    Raises
    ------
    CheckpointError
        There is neither a checkpoint nor a callable, both, no declared label, or a file that
        cannot be run; the message says why.
    """
    if (spec.checkpoint is None) == (callable is None):
        told = "neither" if callable is None else "both"
        msg = f"system {spec.name!r} must have a checkpoint or a Python callable, got {told}"
        raise CheckpointError(msg)
    if not spec.output.labels:
        msg = f"system {spec.name!r} must declare output.labels, as {{spleen: 1}}"
        raise CheckpointError(msg)
    if callable is not None:
        runner: Runner = CallableRunner(callable)
        return RunningSystem(spec, runner, runner.info)
    runner = ProcessRunner(spec, Path(str(spec.checkpoint)))
    try:
        return RunningSystem(spec, runner, runner.info)
    except RunFailure as failure:
        with contextlib.suppress(AuditError):
            runner.close()
        msg = f"the checkpoint of system {spec.name!r} cannot be started: {failure.reason}"
        raise CheckpointError(msg) from failure


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
