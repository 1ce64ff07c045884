"""Intervals and bounds of the median and of any other quantile, by order statistics alone.

**Conventions.** One number per patient. The quantile of a share p is the smallest value that at least a
share p of all patients do not exceed. With x_(1) <= .. <= x_(n), the number of patients at or below it
is Bin(n, p), so that ranks, and no law of the values, decide what covers it (Conover, Practical
Nonparametric Statistics, section 3.2). Ties only make the statements more cautious. A failure may stand
as infinity: it is the last or the first rank, and an infinite end is an honest answer.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.analysis.intervals import checked_level

__all__ = [
    "median_interval",
    "needed_for_quantile",
    "quantile_bounds",
    "quantile_interval",
    "quantile_ranks",
]

Floats = NDArray[np.float64]


@functools.lru_cache(maxsize=4096)
def quantile_ranks(n: int, share: float, *, level: float) -> tuple[int, int]:
    """Ranks of the one-sided bounds of a quantile, each at the level, counted from 1.

    Returns
    -------
    lower : the largest l with P(Bin(n, p) <= l - 1) <= 1 - level; 0: n is too small for it
    upper : the smallest u with P(Bin(n, p) >= u) <= 1 - level; n + 1: n is too small for it

    Raises
    ------
    ValueError
        When the share lies outside (0, 1), the level outside [.5, 1), or n is negative.
    """
    tail = 1 - checked_level(level)
    if not 0 < share < 1:
        msg = f"share of a quantile must lie in (0, 1), got {share:g}"
        raise ValueError(msg)
    if n < 0:
        msg = f"n must not be negative, got {n}"
        raise ValueError(msg)
    # a level computed as 1 - .05 must not lose a rank to its last bit
    tail += 1e-12
    counts = np.arange(n + 1)
    lower = int((stats.binom.cdf(counts, n, share) <= tail).sum())
    upper = n + 2 - int((stats.binom.sf(counts, n, share) <= tail).sum())
    return lower, upper


def quantile_bounds(
    values: Floats, share: float, *, level: float
) -> tuple[float | None, float | None]:
    """One-sided lower and upper bound of a quantile, each at the level; None where n is too small.

    The nonparametric tolerance limits (Wilks, Ann Math Stat 12, 91-96, 1941): x_(l) lies above the
    quantile with probability P(Bin(n, p) <= l - 1) at most, x_(u) below it with P(Bin(n, p) >= u).

    Parameters
    ----------
    values : (patients,)
        Without NaN; infinite where a patient failed.
    share : in (0, 1)
        0.5 for the median; 0.9 for the value that nine patients of ten do not exceed.
    level : in [.5, 1)

    Raises
    ------
    ValueError
        When a value is NaN, or share or level are out of range.
    """
    if np.isnan(values).any():
        msg = "values of a quantile must not be NaN; a patient who failed counts as infinite"
        raise ValueError(msg)
    n = len(values)
    lower, upper = quantile_ranks(n, share, level=level)
    ordered = np.sort(values)
    return (
        float(ordered[lower - 1]) if lower > 0 else None,
        float(ordered[upper - 1]) if upper <= n else None,
    )


def quantile_interval(values: Floats, share: float, *, level: float) -> tuple[float, float] | None:
    """Two-sided interval of a quantile: both bounds at (1 + level) / 2; None when n is too small.

    Parameters
    ----------
    values, share
        See `quantile_bounds`.
    level : in [.5, 1)

    Examples
    --------
    >>> quantile_interval(np.arange(1.0, 11.0), 0.5, level=0.95)
    (2.0, 9.0)
    >>> quantile_interval(np.arange(1.0, 6.0), 0.5, level=0.95) is None
    True
    """
    low, high = quantile_bounds(values, share, level=(1 + checked_level(level)) / 2)
    return None if low is None or high is None else (low, high)


def median_interval(values: Floats, *, level: float) -> tuple[float, float] | None:
    """Two-sided interval of the median; None when n is too small for the level (below 6 at .95)."""
    return quantile_interval(values, 0.5, level=level)


def needed_for_quantile(share: float, *, level: float) -> tuple[int, int]:
    """Fewest patients with a lower, and with an upper one-sided bound of a quantile.

    The smallest value bounds from below once (1 - p)^n <= 1 - level, the largest from above once
    p^n <= 1 - level: 59 patients for the quantile of .95 at the level .95 (Wilks 1941).
    """
    tail = math.log(1 - checked_level(level))
    below, above = (math.ceil(round(tail / math.log(it), 9)) for it in (1 - share, share))
    return below, above
