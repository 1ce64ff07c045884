"""Systems against each other, on the same patients.

Differences are paired per patient; their intervals hold for all pairs of a condition at once (max-T over
the studentized bootstrap, Romano & Wolf 2005). A system is preferred only where its interval excludes
zero; otherwise there is no clear winner.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.bands import largest_t
from auditor.analysis.intervals import FEW, studentized_draws
from auditor.analysis.means import unseen
from auditor.schema import Estimate

__all__ = ["NO_WINNER", "Pair", "best_set", "judged", "paired", "simultaneous"]

Floats = NDArray[np.float64]

NO_WINNER = "no clear winner"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two systems, compared."""

    first: str
    second: str
    difference: Estimate
    """Mean of (first - second) over patients."""
    verdict: str
    """Name of the preferred system, or no clear winner."""


def paired(
    values: Mapping[str, Floats],
    weights: Floats,
    *,
    level: float,
    higher_is_better: bool,
    reach: float | None,
) -> list[Pair]:
    """Compare every pair of systems at one condition.

    Parameters
    ----------
    values : system -> (patients,)
        The same patients in the same order, without NaN.
    weights : (draws, patients)
        See `bootstrap_weights`.
    level : simultaneous confidence level
    higher_is_better : direction of the metric
    reach : largest difference that the metric allows (1 for metrics in [0, 1]); None: unbounded
    """
    pairs = list(itertools.combinations(values, 2))
    if not pairs:
        return []
    differences = np.stack([values[a] - values[b] for a, b in pairs], axis=1)
    n = len(differences)
    drawn = studentized_draws(differences, weights) if n >= FEW else (differences.mean(axis=0),) * 3
    estimates = simultaneous(drawn, n, level=level, reach=reach)
    return judged(pairs, estimates, higher_is_better=higher_is_better)


def judged(
    pairs: Sequence[tuple[str, str]], differences: Sequence[Estimate], *, higher_is_better: bool
) -> list[Pair]:
    """Name the preferred system of each pair, where its interval favours one."""
    sign = 1.0 if higher_is_better else -1.0
    return [
        Pair(a, b, estimate, _preferred(a, b, estimate, sign))
        for (a, b), estimate in zip(pairs, differences, strict=True)
    ]


def simultaneous(
    drawn: tuple[Floats, Floats, Floats],
    n: int,
    *,
    level: float,
    reach: float | None,
    method: str = "paired studentized bootstrap, max-T over pairs",
) -> list[Estimate]:
    """Give each mean difference its simultaneous interval, where there can be one.

    Parameters
    ----------
    drawn : mean (pairs,), standard error (pairs,), draws of T (draws, pairs)
        See `studentized_draws`; only the means are used of fewer than `FEW` patients.
    n : patients
    level : simultaneous confidence level
    reach : largest difference that the metric allows; None: unbounded
    method : as printed
    """
    mean, error, draws = drawn
    if n < FEW:
        note = f"{n} patient(s) are too few to compare; at least {FEW} are needed"
        return [Estimate(float(m), n, "descriptive", status="too_few", note=note) for m in mean]
    # nothing is claimed of a pair that differs in too few patients, so it must not widen the others
    times, usable = largest_t(draws, error, level=level)
    return [
        _estimate(float(m), float(e), times if ok else math.inf, n, level, reach, method)
        for m, e, ok in zip(mean, error, usable, strict=True)
    ]


def _estimate(
    mean: float,
    error: float,
    times: float,
    n: int,
    level: float,
    reach: float | None,
    method: str,
) -> Estimate:
    if error == 0:
        note = "the difference is the same in all patients; resampling says nothing of others"
        return Estimate(mean, n, "descriptive", status="degenerate", note=note)
    if not math.isfinite(times):
        note = "too few patients differ for a resampling interval"
        return Estimate(mean, n, "descriptive", status="degenerate", note=note)
    low, high = mean - times * error, mean + times * error
    if reach is not None:
        low, high = max(-reach, low), min(reach, high)
    told = unseen(n, level=level)
    return Estimate(mean, n, method, "two-sided", level, low, high, note=told)


def _preferred(first: str, second: str, difference: Estimate, sign: float) -> str:
    """Name the system that the interval favours; `sign` is -1 where lower is better."""
    if difference.low is None or difference.high is None:
        return NO_WINNER
    if difference.low > 0:
        return first if sign > 0 else second
    if difference.high < 0:
        return second if sign > 0 else first
    return NO_WINNER


def best_set(systems: Sequence[str], pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Systems that no other one beats significantly, in order."""
    beaten = {
        pair.second if pair.verdict == pair.first else pair.first
        for pair in pairs
        if pair.verdict != NO_WINNER
    }
    return tuple(name for name in systems if name not in beaten)
