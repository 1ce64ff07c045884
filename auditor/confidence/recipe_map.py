"""All mixes at once: one simultaneous band over conditions, and what it proves of any mix.

With lower limits l_s of mean(D_s^A - D_s^B) that hold for all conditions at once, sum_s pi_s l_s > 0 proves A
better under the mix pi, whatever pi is: a map needs no other allowance for its many cells. The worst case over
mixes within a distance rho in total variation moves the mass rho from the best to the worst conditions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.bands import Side, simultaneous_band
from auditor.confidence.recipe_draws import pairs_of
from auditor.confidence.recipe_scores import (
    CLEAN_CONDITION,
    Condition,
    ScoreTable,
    blend,
    weights_at,
)
from auditor.schema import CLEAN
from auditor.schema.recipe import MixMap

__all__ = ["axes_map", "band", "not_beaten", "radius_of", "severity_map", "worst_in_ball"]

Floats = NDArray[np.float64]

_SHARES = tuple(k / 20 for k in range(21))
_STEP = 0.5
"""Of severities of a map."""


def band(
    values: Floats, weights: Floats, *, level: float, two_sided: bool, reach: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Simultaneous limits of the means of all columns within their range; see `simultaneous_band`.

    Parameters
    ----------
    values : (patients, columns)
    weights : (draws, patients)
        See `bootstrap_weights`.
    level : that all limits hold together
    two_sided : False: the upper limits say nothing (they are the largest possible values)
    reach : smallest and largest value that a mean can have
        What is given where resampling says nothing: a column with the same value in all patients, or in
        nearly all.

    Returns
    -------
    low, high : (columns,)
    """
    side: Side = "two-sided" if two_sided else "lower"
    low, high = simultaneous_band(values, weights, level=level, side=side)
    return np.maximum(low, reach[0]), np.minimum(high, reach[1])


def worst_in_ball(values: Floats, shares: Floats, radius: float) -> float:
    """Smallest sum of shares times values over all mixes within a total variation distance.

    Parameters
    ----------
    values, shares : (conditions,)
        Shares sum to 1.
    radius : float
        In [0, 1]: half the sum of the absolute differences of shares.

    Examples
    --------
    >>> worst_in_ball(np.array([1.0, 0.5, 0.0]), np.array([0.5, 0.5, 0.0]), 0.6)
    0.2
    """
    lowest = float(values.min())
    order = np.argsort(-values, kind="stable")
    moved = np.clip(radius - (np.cumsum(shares[order]) - shares[order]), 0.0, shares[order])
    return round(float(shares @ values - moved @ (values[order] - lowest)), 12)


def radius_of(values: Floats, shares: Floats) -> float | None:
    """Find the largest radius at which the worst sum is still above 0; None when it never is, at most 1.

    Examples
    --------
    >>> radius_of(np.array([1.0, -1.0]), np.array([1.0, 0.0]))
    0.5
    """
    total = float(shares @ values)
    if total <= 0:
        return None
    lowest = float(values.min())
    if lowest > 0:
        return 1.0
    used = 0.0
    for k in np.argsort(-values, kind="stable"):
        step = float(values[k]) - lowest
        if step * shares[k] >= total > 0:
            return round(used + total / step, 12)
        total -= step * float(shares[k])
        used += float(shares[k])
    return round(min(1.0, used), 12)


def not_beaten(systems: Sequence[str], low: Floats, high: Floats, mix: Floats) -> tuple[str, ...]:
    """Systems that the band does not prove to be worse than another under a mix.

    Parameters
    ----------
    low, high : (pairs, conditions)
        Of first - second, pairs in the order of `pairs_of`.
    mix : (conditions,)
    """
    beaten = set()
    for k, (first, second) in enumerate(pairs_of(systems)):
        if mix @ low[k] > 0:
            beaten.add(second)
        elif mix @ high[k] < 0:
            beaten.add(first)
    return tuple(name for name in systems if name not in beaten)


def severity_map(table: ScoreTable, low: Floats, high: Floats, perturbation: str) -> MixMap | None:
    """Map the mixes of one axis: so many scans at such a severity, the rest clean.

    Returns
    -------
    MixMap
        None when the axis or clean was left out.
    """
    tested = [severity for name, severity in table.conditions if name == perturbation]
    if not tested or CLEAN_CONDITION not in table.conditions:
        return None
    upward = tuple(k * _STEP for k in range(1, int(max(tested) / _STEP + 1e-9) + 1)) or (
        max(tested),
    )
    mixes = [
        [
            blend(
                (
                    ({CLEAN_CONDITION: 1.0}, 1.0 - share),
                    (weights_at(table.conditions, perturbation, y), share),
                )
            )
            for share in _SHARES
        ]
        for y in upward
    ]
    sets, cells = _cells(table, low, high, mixes)
    return MixMap("severity", (perturbation,), None, _SHARES, upward, sets, cells)


def axes_map(
    table: ScoreTable, low: Floats, high: Floats, pair: tuple[str, str], severity: float
) -> MixMap | None:
    """Map the mixes of two axes at one severity; what is on neither is clean."""
    needed = {CLEAN_CONDITION, *((name, severity) for name in pair)}
    if not needed <= set(table.conditions):
        return None
    mixes: list[list[Mapping[Condition, float] | None]] = [
        [
            {CLEAN_CONDITION: 1.0 - x - y, (pair[0], severity): x, (pair[1], severity): y}
            if x + y <= 1.0 + 1e-9
            else None
            for x in _SHARES
        ]
        for y in _SHARES
    ]
    sets, cells = _cells(table, low, high, mixes)
    return MixMap("axes", pair, severity, _SHARES, _SHARES, sets, cells)


def _cells(
    table: ScoreTable,
    low: Floats,
    high: Floats,
    mixes: Sequence[Sequence[Mapping[Condition, float] | None]],
) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[int, ...], ...]]:
    """Tell which systems are not beaten in every cell."""
    found: dict[tuple[str, ...], int] = {}

    def cell(mix: Mapping[Condition, float] | None) -> int:
        if mix is None:
            return -1
        kept = not_beaten(table.systems, low, high, table.shares(mix))
        return found.setdefault(kept, len(found))

    cells = tuple(tuple(cell(mix) for mix in row) for row in mixes)
    return tuple(found), cells


def axes_of_map(table: ScoreTable, mix: Mapping[Condition, float], most: int) -> tuple[str, ...]:
    """Axes worth a map: those with the largest shares in the mix, then those that hurt most.

    How much an axis hurts is the largest mean drop of a system at its highest severity.
    """
    shares: dict[str, float] = {}
    for (name, _), share in mix.items():
        shares[name] = shares.get(name, 0.0) + share
    means = table.values.mean(axis=0)
    clean = means[table.place(CLEAN_CONDITION)] if CLEAN_CONDITION in table.conditions else 1.0
    drops: dict[str, float] = {}
    for place, (name, _) in enumerate(table.conditions):
        if name != CLEAN:
            drops[name] = float(np.max(clean - means[place]))  # conditions rise
    names = sorted(drops, key=lambda it: (-shares.get(it, 0.0), -drops[it], it))
    return tuple(names[:most])
