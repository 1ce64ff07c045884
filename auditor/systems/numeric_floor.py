"""The numeric floor: by how much two runs of the same scan differ.

**Conventions.** One scan is predicted twice in calls of their own, so that nothing of the first is
left in a batch of the second. Effects that are not larger than the difference are noise of the
machine. On a CPU with a fixed number of threads it is usually exactly 0; on a GPU it need not be.

Batches always have the same size, so what shares a batch with a scan must not change its answer. It does
where a network takes statistics over the whole batch (a dynamically quantised graph scales by the range of
the batch), so a system of ``batch`` above 1 is also run with another scan beside the first.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.proxies import agreement
from auditor.schema import Geometry
from auditor.systems.running import Asked, Failure, System

__all__ = ["UNSTEADY", "NumericFloor", "numeric_floor"]

UNSTEADY = "two runs of the same scan give different answers"
"""Finding on a system that does not repeat itself."""

SHARED = 1e-4
"""By so much more than two runs differ may scores change with what shares their batch."""


@dataclass(frozen=True, slots=True)
class NumericFloor:
    """Two runs of one clean scan."""

    score: float | None
    """Largest absolute difference of their scores; None when a run failed."""
    voxels: int | None
    """Voxels whose label differs."""
    dsc: float | None
    """Smallest DSC between the two, over the labels."""
    seconds: float
    """Of the second run; the first also starts what runs the system."""
    problem: str = ""
    """Why a run failed; empty when both ended."""
    beside: float | None = None
    """Largest absolute difference of the scores when another scan shares the batch; None: not asked, as
    batches hold one, or a run failed."""

    @property
    def findings(self) -> tuple[str, ...]:
        """What is worth saying in the report."""
        told = () if self.steady else (UNSTEADY,)
        if self.beside is None or self.beside <= (self.score or 0.0) + SHARED:
            return told
        depends = (
            "an answer depends on the other scans in its batch (scores differ by up to "
            f"{self.beside:.2g}); with batch: 1 it does not"
        )
        return (*told, depends)

    @property
    def steady(self) -> bool:
        """Whether both runs ended in the same way."""
        return self.score == 0.0 or (self.score is None and not self.problem.startswith("once "))


NOT_RUN = NumericFloor(None, None, None, 0.0)
"""Of a system whose predictions were made elsewhere."""


def numeric_floor(
    system: System, image: Tensor, geometry: Geometry, *, case: str = ""
) -> NumericFloor:
    """Run one scan twice.

    Parameters
    ----------
    system : open.
    image : (channel, *native).
    geometry : of the image.
    case : the user's name for the case, for systems that read and write files by name.

    Returns
    -------
    The differences, or why there are none.
    """
    asked = [Asked(case)]
    first = system.predict([image], geometry, asked=asked)[0]
    started = time.perf_counter()
    second = system.predict([image], geometry, asked=asked)[0]
    seconds = time.perf_counter() - started
    failures = [it for it in (first, second) if isinstance(it, Failure)]
    if isinstance(first, Failure) or isinstance(second, Failure):
        told = f"{failures[0].status.value}: {failures[0].reason}"
        once = "once " if len(failures) == 1 else ""
        return NumericFloor(None, None, None, seconds, f"{once}{told}")
    differing = first.labels != second.labels
    beside = None
    if system.spec.checkpoint is not None and system.spec.batch > 1:
        others = [_other(image)] * (system.spec.batch - 1)
        third = system.predict([image, *others], geometry, asked=asked * system.spec.batch)[0]
        if not isinstance(third, Failure):
            beside = float((first.scores - third.scores).abs().max())
    return NumericFloor(
        score=float((first.scores - second.scores).abs().max()),
        voxels=int(differing.sum()),
        dsc=min(
            (
                agreement(first.labels == number, second.labels == number)
                for _, number in system.spec.output.labels
            ),
            default=None,
        ),
        seconds=seconds,
        beside=beside,
    )


def _other(image: Tensor) -> Tensor:
    """Make another scan of the same range: mirrored, and darker, so that no normalisation makes them alike."""
    low, high = image.min(), image.max()
    share = (image - low) / (high - low).clamp(min=torch.finfo(image.dtype).tiny)
    return (low + share**3 * (high - low)).flip(dims=tuple(range(1, image.ndim)))
