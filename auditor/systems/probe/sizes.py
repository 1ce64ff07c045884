"""How the sizes of the input may change."""

from __future__ import annotations

from dataclasses import replace

from auditor.systems.describing import noise
from auditor.systems.probe.attempts import Attempts
from auditor.systems.probe.candidates import Candidate

__all__ = ["divisors"]

STEPS = (1, 2, 4, 8, 16, 32, 64, 12, 14, 24, 28, 128)
"""Voxels added to one axis at a time to find the divisor; only those that divide the first size."""


def divisors(attempt: Attempts, tried: Candidate) -> tuple[int | None, ...] | None:
    """Find the divisor of each axis.

    Parameters
    ----------
    attempt : what runs.
    tried : an accepted input.

    Returns
    -------
    The smallest step by which each axis may grow, None for an axis of fixed size. Nothing at all when the
    time was over, or a try crashed: a crash is no refusal of a size.
    """
    steps: list[int | None] = []
    for axis in range(len(tried.sizes)):
        lost = attempt.lost
        steps.append(_divisor(attempt, tried, axis))
        if attempt.over or (steps[-1] is None and attempt.lost > lost):
            return None
    return tuple(steps)


def _divisor(attempt: Attempts, tried: Candidate, axis: int) -> int | None:
    for step in STEPS:
        if tried.sizes[axis] % step:
            continue
        sizes = list(tried.sizes)
        sizes[axis] += step
        grown = replace(tried, sizes=tuple(sizes))
        if attempt(noise(grown.shape), grown) is not None:
            return step
    return None
