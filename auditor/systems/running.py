"""A system that runs: scans in, predictions or failures out.

**Conventions.** Scans and predictions are native torch tensors on the CPU. All images of one call
travel together, so that windows of several severities share batches; a call belongs to one unit of
the plan, and batches never cross calls. One image's failure is a value, never an exception: the
audit stores it as a row.

A checkpoint runs in a sandboxed child process. When the child fails on a call of several images,
each of them is run once more alone, so that a refused one does not take the others with it; a child
that has crashed or was stopped is replaced when it is next needed. Two crashes or time-outs on one unit
are enough: the images that were not yet tried are quarantined.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from auditor.errors import AuditError, CheckpointError
from auditor.schema import CLEAN, Geometry, Status, SystemSpec
from auditor.systems.closing import Closing
from auditor.systems.decision import decide
from auditor.systems.other_scan import OtherScan, other_scan
from auditor.systems.preparation import Prepared, prepare, restore
from auditor.systems.reasons import one_line
from auditor.systems.runners import (
    CallableRunner,
    CallableSystem,
    ProcessRunner,
    RunFailure,
    Runner,
    RunningInfo,
)

if TYPE_CHECKING:
    from auditor.systems.layers.answer import LayerDistances

_Answer = TypeVar("_Answer")

MOST_ENDS = 2
"""So many crashes or time-outs on one unit quarantine what is left of it."""

ENDS = frozenset({Status.CRASHED, Status.TIMED_OUT})
"""How a child or a command ends that did not end by itself."""


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
    """(*native), as `decide` gives them: the declared label numbers, 0 elsewhere."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no prediction for one scan."""

    status: Status
    """crashed, timed_out, quarantined, not_finite, rejected (the output contradicts the contract) or
    failed."""
    reason: str
    """One sentence."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which evaluation a scan belongs to; for systems that read and write files by name."""

    case: str
    """The user's name for the case."""
    perturbation: str = CLEAN
    """Or clean."""
    severity: float = 0.0
    """0: clean."""
    replicate: int = 0
    """Which independent draw."""
    scan: str = ""
    """Name of the scan as a file, without an ending: a digest of all that its voxels depend on; empty:
    it is no scan of the plan."""


class System(Protocol):
    """What predicts scans, whatever it is made of; a context manager."""

    @property
    def spec(self) -> SystemSpec:
        """Contract and settings."""

    @property
    def info(self) -> RunningInfo:
        """Format, digest, sandbox, findings; as found when it was opened."""

    def __enter__(self) -> Self:
        """Open."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""

    def close(self) -> None:
        """Let everything go."""

    def under(self, spec: SystemSpec) -> System:
        """Run the same thing under another contract."""

    def predict(
        self, images: Sequence[Tensor], geometry: Geometry, *, asked: Sequence[Asked] = ()
    ) -> list[Prediction | Failure]:
        """Predict every image of one unit."""


class RunningSystem(Closing):
    """A checkpoint or callable with its contract, ready to predict; a context manager."""

    def __init__(
        self,
        spec: SystemSpec,
        runner: Runner,
        info: RunningInfo,
        *,
        other: OtherScan | None = None,
    ) -> None:
        self.spec = spec
        """Contract and settings."""
        self.info = info
        """Format, digest, sandbox, findings; as found when it was opened."""
        self._runner = runner
        self._other = other

    @property
    def peak_mb(self) -> float | None:
        """Largest resident memory of its child process so far, MB; None where there is none to tell of."""
        return self._runner.peak_mb if isinstance(self._runner, ProcessRunner) else None

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
        changed = replace(self.spec, input=spec.input, output=spec.output, window=spec.window)
        return RunningSystem(changed, self._runner, self.info, other=other_scan(changed))

    def predict(
        self,
        images: Sequence[Tensor],
        geometry: Geometry,
        *,
        asked: Sequence[Asked] = (),  # a network sees only what it is fed
    ) -> list[Prediction | Failure]:
        """Predict every image of one unit.

        Parameters
        ----------
        images : each (channel, *native) float32, all on the grid of `geometry`.
        geometry : of every one of them.
        asked : not used here; see `System`.

        Returns
        -------
        One entry per image, in order.
        """
        results: list[Prediction | Failure | None] = [None] * len(images)
        prepared: dict[int, Prepared] = {}
        for i, image in enumerate(images):
            try:
                one = prepare(image, geometry, self.spec.input, self.spec.window)
                if self._other is not None:
                    self._other.check(one)
            except AuditError as error:
                results[i] = Failure(Status.REJECTED, one_line(error))
            else:
                prepared[i] = one
        answers = answered(list(prepared), lambda some: self._run([prepared[i] for i in some]))
        for i, answer in answers:
            results[i] = (
                answer if isinstance(answer, Failure) else self._finish(answer, prepared[i])
            )
        return [r for r in results if r is not None]

    def layer_distances(
        self,
        clean: tuple[Tensor, Geometry],
        others: Sequence[tuple[Tensor, Geometry]],
        *,
        bins: int,
    ) -> list[tuple[LayerDistances, ...] | Failure]:
        """Tell how far the activations of scans lie from those of a clean one, layer by layer.

        Parameters
        ----------
        clean : (channel, *native) float32 with its grid; bins are laid on its activations.
        others : to be compared with it.
        bins : of each channel.

        Returns
        -------
        For each of the others its layers, each with one distance; or why there are none.
        """
        from auditor.systems.layers.asking import layer_distances

        if not isinstance(self._runner, ProcessRunner):
            why = "only the layers of a checkpoint can be seen"
            return [Failure(Status.REJECTED, why) for _ in others]
        return layer_distances(self._runner, self.spec, clean, others, bins=bins)

    def _run(self, prepared: Sequence[Prepared]) -> list[NDArray[Any]]:
        pieces = [piece for one in prepared for piece in self._fed(one)]
        answers = iter(self._runner.run(pieces, self.spec))
        return [one.join([next(answers) for _ in one.pieces]) for one in prepared]

    def _fed(self, prepared: Prepared) -> tuple[NDArray[np.float32], ...]:
        return prepared.pieces if self._other is None else self._other.beside(prepared)

    def _finish(self, answer: NDArray[Any], prepared: Prepared) -> Prediction | Failure:
        if not np.isfinite(answer).all():
            share = 1 - float(np.isfinite(answer).mean())
            return Failure(
                Status.NOT_FINITE, f"{share:.2%} of the output's values are NaN or infinite"
            )
        try:
            scores = restore(answer, prepared, self.spec.output)
        except CheckpointError as error:
            return Failure(Status.REJECTED, one_line(error))
        labels = decide(scores, self.spec.output)
        return Prediction(scores, scores[scores.shape[0] - len(self.spec.output.labels) :], labels)


def answered(
    places: Sequence[int], ask: Callable[[Sequence[int]], Sequence[_Answer]]
) -> Iterator[tuple[int, _Answer | Failure]]:
    """Ask for everything in one call; if that fails, for each alone until the child has ended twice.

    Parameters
    ----------
    places : what can be asked for.
    ask : answers some of them, in order, or raises RunFailure.
    """
    if not places:
        return
    try:
        answers = ask(places)
    except RunFailure as failure:
        if len(places) == 1:
            yield places[0], Failure(failure.status, failure.reason)
        else:
            yield from _each_alone(places, ask, failure)
        return
    yield from zip(places, answers, strict=True)


def _each_alone(
    places: Sequence[int], ask: Callable[[Sequence[int]], Sequence[_Answer]], together: RunFailure
) -> Iterator[tuple[int, _Answer | Failure]]:
    ends = [together] if together.status in ENDS else []
    for place in places:
        if len(ends) >= MOST_ENDS:
            yield place, Failure(Status.QUARANTINED, told_ends(ends))
            continue
        try:
            yield place, ask([place])[0]
        except RunFailure as own:
            if own.status in ENDS:
                ends.append(own)
            yield place, Failure(own.status, own.reason)


def open_system(spec: SystemSpec, *, callable: CallableSystem | None = None) -> System:  # noqa: A002 - the name that users know it by
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
        There is no or more than one of checkpoint, callable, command and predictions, no declared
        label, or a file that cannot be run; the message says why.
    IntegrityError
        Another scan that its ablation takes activations from was changed.
    """
    kinds = {
        "a checkpoint": spec.checkpoint is not None,
        "a Python callable": callable is not None,
        "a command": bool(spec.command),
        "predictions": spec.predictions is not None,
    }
    if sum(kinds.values()) != 1:
        told = " and ".join(kind for kind, given in kinds.items() if given) or "neither"
        msg = f"system {spec.name!r} must have one of {', '.join(kinds)}, got {told}"
        raise CheckpointError(msg)
    if spec.ablation is not None and spec.checkpoint is None:
        msg = f"system {spec.name!r} must be a checkpoint for anything in its network to be ablated"
        raise CheckpointError(msg)
    if not spec.output.labels:
        msg = f"system {spec.name!r} must declare output.labels, as {{spleen: 1}}"
        raise CheckpointError(msg)
    if callable is not None:
        if spec.precision != "float32":
            msg = (
                f"systems.{spec.name}.precision: must be float32 for a Python callable, which casts its "
                f"own weights, was {spec.precision}"
            )
            raise CheckpointError(msg)
        runner: Runner = CallableRunner(callable)
        return RunningSystem(spec, runner, runner.info)
    if spec.checkpoint is None:
        return _of_files(spec)
    other = other_scan(spec)
    runner = ProcessRunner(spec, Path(str(spec.checkpoint)))
    try:
        return RunningSystem(spec, runner, runner.info, other=other)
    except RunFailure as failure:
        with contextlib.suppress(AuditError):
            runner.close()
        msg = f"the checkpoint of system {spec.name!r} cannot be started: {failure.reason}"
        raise CheckpointError(msg) from failure


def told_ends(ends: Sequence[RunFailure | Failure]) -> str:
    """Say why what is left of a unit is not tried.

    Parameters
    ----------
    ends : the crashes and time-outs, at least one.
    """
    first, last = ends[0], ends[-1]
    told = f"{first.status.value}: {first.reason}; {last.status.value}: {last.reason}"
    return f"not tried after two crashes or time-outs on this unit ({told})"[:500]


def _of_files(spec: SystemSpec) -> System:
    """Open what answers with label maps in files."""
    # these read images, which networks in memory do not need
    from auditor.systems.command import CommandSystem
    from auditor.systems.precomputed import PrecomputedSystem

    return CommandSystem(spec) if spec.command else PrecomputedSystem(spec)
