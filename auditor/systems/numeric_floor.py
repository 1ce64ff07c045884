"""The numeric floor: by how much two runs of the same scan differ.

**Conventions.** One scan is predicted twice in calls of their own, so that nothing of the first is
left in a batch of the second. Effects that are not larger than the difference are noise of the
machine. On a CPU with a fixed number of threads it is usually exactly 0; on a GPU it need not be.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from torch import Tensor

from auditor.proxies import agreement
from auditor.schema import Geometry
from auditor.systems.running import Asked, Failure, System

__all__ = ["UNSTEADY", "NumericFloor", "numeric_floor"]

UNSTEADY = "two runs of the same scan give different answers"
"""Finding on a system that does not repeat itself."""


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
    )
