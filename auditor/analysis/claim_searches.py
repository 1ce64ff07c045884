"""Searches for what would change a verdict: more patients, or further misses.

Each step of a search bounds a cohort that was not observed: with the distribution of this one, or with
further total misses. More patients of one distribution only sharpen the bounds, and more misses only
lower them, so that both are found by halving.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.claim_bounds import (
    PASSED,
    claim_bounds,
    decide,
    resampled,
    total_miss,
)
from auditor.schema import CriterionSpec, Verdict

__all__ = [
    "MOST_PATIENTS",
    "misses_survived",
    "most_misses",
    "needed_patients",
    "needed_without_misses",
]

Floats = NDArray[np.float64]

MOST_PATIENTS = 20
"""A needed number of patients is looked for up to so many times the present one."""

_DISTINCT = 100
"""Quantiles that stand for a distribution in a search."""


def needed_patients(spec: CriterionSpec, scored: Floats, *, level: float, seed: int) -> int | None:
    """About how many patients like these would decide a claim, one way or the other.

    Parameters
    ----------
    spec : CriterionSpec
    scored : (patients,)
        Of `claim_scores`.
    level, seed : of the bounds

    Returns
    -------
    int or None
        All patients together, the present ones included; None: not within `MOST_PATIENTS` times as many.
    """
    n = len(scored)
    sizes = _sizes(n, MOST_PATIENTS * n)

    def decided(size: int) -> bool:
        grown, counts = _like(spec, scored, size)
        bounds = claim_bounds(spec, grown, level, seed, counts=counts)
        return decide(spec, bounds) is not Verdict.INSUFFICIENT

    return _first(sizes[1:], decided)


def needed_without_misses(
    spec: CriterionSpec, scored: Floats, *, level: float, seed: int
) -> int | None:
    """About how many *more* patients would make a claim met if none of them were a total miss.

    Parameters
    ----------
    spec, scored, level, seed
        As for `needed_patients`.

    Returns
    -------
    int or None
        None when there is no total miss among the patients, so that this is what `needed_patients` tells,
        or nothing but misses, or no such number within `MOST_PATIENTS` times the present one.
    """
    kept = scored[scored != total_miss(spec)]
    if len(kept) in (0, len(scored)):
        return None

    def met(more: int) -> bool:
        grown, counts = _like(spec, kept, more)
        joined = np.concatenate([scored, grown])
        weights = np.concatenate([np.ones(len(scored)), counts])
        bounds = claim_bounds(spec, joined, level, seed, counts=weights)
        return decide(spec, bounds) in PASSED

    return _first(_sizes(1, MOST_PATIENTS * len(scored)), met)


def most_misses(patients: int) -> int:
    """Most further misses that are tried: a claim that bears so many asks for next to nothing."""
    return 4 * patients + 1


def misses_survived(spec: CriterionSpec, scored: Floats, *, level: float, seed: int) -> int:
    """How many further patients could be total misses, and the claim would still be met.

    Parameters
    ----------
    spec, scored, level, seed
        As for `needed_patients`, of a claim that is met.

    Returns
    -------
    int
        At most `most_misses`, beyond which none was tried.
    """
    miss = total_miss(spec)

    def lost(misses: int) -> bool:
        joined = np.concatenate([scored, np.full(misses, miss)])
        bounds = claim_bounds(spec, joined, level, seed, counts=np.ones(len(joined)))
        return decide(spec, bounds) not in PASSED

    # as many misses as patients halve every mean and share, and leave a drop of at least a half
    most = most_misses(len(scored))
    first = _first(list(range(1, most + 1)), lost)
    return most if first is None else first - 1


def _like(spec: CriterionSpec, scored: Floats, size: int) -> tuple[Floats, Floats]:
    """Numbers of a cohort of this size with the same distribution, and how many patients each stands for."""
    kept = size if resampled(spec) else min(len(scored), _DISTINCT, size)
    grown = np.sort(scored)[((np.arange(kept) + 0.5) * len(scored) / kept).astype(int)]
    if spec.form == "share_of_patients_at_least":
        grown = (np.arange(size) < round(float(scored.mean()) * size)).astype(np.float64)
    return grown, np.full(len(grown), size / len(grown))


def _sizes(first: int, last: int) -> list[int]:
    """Numbers of patients to try: each 8 % above the one before."""
    sizes = [first]
    while sizes[-1] < last:
        sizes.append(max(sizes[-1] + 1, int(sizes[-1] * 1.08)))
    return sizes


def _first(sizes: list[int], holds: Callable[[int], bool]) -> int | None:
    """Find the first size for which it holds, if it then holds for all larger ones."""
    place = bisect.bisect_left(sizes, x=True, key=holds)
    return sizes[place] if place < len(sizes) else None
