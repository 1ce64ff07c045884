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

from auditor.analysis.intervals import FEW, order_statistic, studentized_draws
from auditor.schema import Estimate

__all__ = ["NO_WINNER", "Pair", "best_set", "paired"]

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
    values: Mapping[str, Floats], weights: Floats, *, level: float, higher_is_better: bool
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
    """
    pairs = list(itertools.combinations(values, 2))
    if not pairs:
        return []
    differences = np.stack([values[a] - values[b] for a, b in pairs], axis=1)
    n = len(differences)
    mean = differences.mean(axis=0)
    if n < FEW:
        note = f"{n} patients are too few to compare; at least {FEW} are needed"
        return [
            Pair(a, b, Estimate(float(m), n, "descriptive", status="too_few", note=note), NO_WINNER)
            for (a, b), m in zip(pairs, mean, strict=True)
        ]
    _, error, draws = studentized_draws(differences, weights)
    largest = np.max(np.abs(draws), axis=1, keepdims=True)
    reach = float(order_statistic(largest, level)[0])
    found = []
    for (a, b), m, e in zip(pairs, mean, error, strict=True):
        half = reach * float(e) if e > 0 and math.isfinite(reach) else (0.0 if e == 0 else math.inf)
        low, high = max(-1e9, float(m) - half), min(1e9, float(m) + half)
        estimate = Estimate(
            float(m),
            n,
            "paired studentized bootstrap, max-T over pairs",
            "two-sided",
            level,
            low,
            high,
        )
        gain = (low > 0) if higher_is_better else (high < 0)
        loss = (high < 0) if higher_is_better else (low > 0)
        found.append(Pair(a, b, estimate, a if gain else b if loss else NO_WINNER))
    return found


def best_set(systems: Sequence[str], pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Systems that no other one beats significantly, in order."""
    beaten = {
        pair.second if pair.verdict == pair.first else pair.first
        for pair in pairs
        if pair.verdict != NO_WINNER
    }
    return tuple(name for name in systems if name not in beaten)
