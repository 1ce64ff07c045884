"""Intervals and bounds of means and shares: pure functions on numpy arrays.

**Conventions.** Rows are patients, columns are whatever is estimated on the same patients; one set of
resampling weights serves all columns, so that differences stay paired. Levels are confidence levels
(0.95). Two-sided intervals and one-sided bounds are told apart by name. Nothing is clipped silently:
where a metric lives in [0, 1] the caller says so.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from auditor.analysis.blocks import by_blocks

__all__ = [
    "DRAWS",
    "FEW",
    "acceleration",
    "bca_interval",
    "bootstrap_weights",
    "checked_level",
    "clopper_pearson",
    "clopper_pearson_lower",
    "clopper_pearson_upper",
    "half_width",
    "order_statistic",
    "seed_of",
    "studentized_bounds",
    "studentized_draws",
    "studentized_interval",
    "unseen_rate",
]

Floats = NDArray[np.float64]

DRAWS = 4000
"""Bootstrap draws."""

_ROUNDING = 1e-12
"""A spread below this share of the mean is rounding."""

_BLOCK = 64
"""Columns that are resampled together: it bounds the memory and changes no number."""

FEW = 10
"""Fewer patients are described, not inferred from."""


def checked_level(level: float) -> float:
    """Return a confidence level that can be one.

    Raises
    ------
    ValueError
        When it lies outside [.5, 1): an alpha outside (0, .5] is a mistake, such as 95 for .95.
    """
    if not 0.5 <= level < 1:
        msg = f"a confidence level must lie in [.5, 1), got {level:g}"
        raise ValueError(msg)
    return level


def seed_of(*parts: object) -> int:
    """Derive a seed from what is estimated, never from order or time."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


@functools.lru_cache(maxsize=16)
def bootstrap_weights(n: int, seed: int, draws: int = DRAWS) -> Floats:
    """Multinomial(n, 1/n) counts, one row a draw (Efron 1979); read-only.

    Returns
    -------
    (draws, n)
    """
    picked = np.random.default_rng([seed, n]).integers(0, n, (draws, n))
    flat = (picked + np.arange(draws)[:, None] * n).ravel()
    weights = np.bincount(flat, minlength=draws * n).reshape(draws, n).astype(np.float64)
    weights.setflags(write=False)  # every caller gets the same array
    return weights


def studentized_draws(values: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean, standard error, and the draws of T = (M_b - m) / s*_b of each column.

    s*_b is the standard error inside the draw (Efron & Tibshirani 1993, section 12.5); a draw without
    spread counts as infinitely far on its side. Columns are centred first: T does not change by it, and
    volumes of a thousand ml lose no digits in the difference of squares.

    Parameters
    ----------
    values : (patients, columns), two patients or more
    weights : (draws, patients), see `bootstrap_weights`

    Returns
    -------
    mean, error : (columns,)
        The error is 0 where all patients have the same value.
    draws : (draws, columns)
        0 where the error is.
    """
    n = len(values)
    mean = values.mean(axis=0)
    centred = values - mean
    error = centred.std(axis=0, ddof=1) / math.sqrt(n)
    # equal numbers may differ in their last bits after averaging; that is no spread
    error = np.where(error > _ROUNDING * np.abs(mean), error, 0.0)
    # draws of a column lie side by side, where they are sorted fastest
    t = centred.T @ weights.T / n
    spread = (centred * centred).T @ weights.T / n
    spread -= t * t
    np.sqrt(np.maximum(spread, 0, out=spread) / (n - 1), out=spread)
    flat = spread <= 1e-6 * error[:, None]
    some = flat.any()
    far = np.sign(t[flat]) if some else t[:0]
    with np.errstate(divide="ignore", invalid="ignore"):
        t /= spread
        if some:
            t[flat] = np.where(far == 0, 0.0, far * np.inf)
    t[error == 0] = 0.0
    return mean, error, t.T


def order_statistic(draws: Floats, share: float) -> Floats:
    """Return the ceil((B + 1) p)-th smallest of B draws, column by column."""
    return _order_statistics(draws, (share,))[0]


def _order_statistics(draws: Floats, shares: Sequence[float]) -> list[Floats]:
    """Order statistics of several shares at once."""
    count = len(draws)
    ordered = np.sort(draws.T, axis=-1)
    ranks = (min(count, max(1, math.ceil(round((count + 1) * share, 9)))) for share in shares)
    return [np.asarray(ordered[..., rank - 1]) for rank in ranks]


def studentized_interval(
    values: Floats, weights: Floats, *, level: float, bounded: bool
) -> tuple[Floats, Floats]:
    """Two-sided studentized bootstrap interval of the mean: [m - q_(1-a/2) s, m - q_(a/2) s].

    Parameters
    ----------
    values : (patients, columns)
    weights : (draws, patients), see `bootstrap_weights`
    level : confidence level
    bounded : clip to [0, 1]

    Returns
    -------
    low, high : (columns,)
        Equal to the mean where all patients have the same value.
    """
    tail = (1 - checked_level(level)) / 2
    low, high = _studentized(values, weights, 1 - tail, tail)
    if bounded:
        low, high = np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
    return low, high


def studentized_bounds(values: Floats, weights: Floats, *, level: float) -> tuple[Floats, Floats]:
    """One-sided lower and upper studentized bounds, each at the level."""
    checked_level(level)
    return _studentized(values, weights, level, 1 - level)


def _studentized(
    values: Floats, weights: Floats, below: float, above: float
) -> tuple[Floats, Floats]:
    """Mean minus the two quantiles of T times the standard error."""

    def ends(block: Floats) -> Floats:
        mean, error, draws = studentized_draws(block, weights)
        return np.stack([_from(mean, it, error) for it in _order_statistics(draws, (below, above))])

    low, high = by_blocks(ends, values, _BLOCK)
    return low, high


def _from(mean: Floats, quantile: Floats, error: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.where(error > 0, mean - quantile * error, mean)


def bca_interval(values: Floats, weights: Floats, *, level: float) -> tuple[Floats, Floats]:
    """Bias-corrected and accelerated interval of the mean of each column (Efron 1987), a cross-check.

    z0 = Phi^-1((#{M_b < m} + #{M_b = m} / 2) / B); the ends are the drawn means at the shares
    Phi(z0 + (z0 + z) / (1 - a (z0 + z))), with `acceleration` a.

    Parameters
    ----------
    values : (patients, columns)
    weights : (draws, patients), see `bootstrap_weights`
    level : in [.5, 1)

    Returns
    -------
    low, high : (columns,)
        Equal to the mean where all patients have the same value.
    """
    tail = float(stats.norm.ppf((1 - checked_level(level)) / 2))
    low, high = by_blocks(lambda block: _bca(block, weights, tail), values, _BLOCK)
    return low, high


def _bca(values: Floats, weights: Floats, tail: float) -> Floats:
    """Both ends (2, columns)."""
    n, count = len(values), len(weights)
    mean = values.mean(axis=0)
    apart = values - mean
    largest = np.abs(apart).max(axis=0)
    usable = largest > _ROUNDING * np.abs(mean)
    gaps = apart.T @ weights.T / n
    gaps.sort(axis=1)
    # draws below the mean, and half of those that are it
    near = _ROUNDING * largest
    sides = [
        (g.searchsorted(-t), g.searchsorted(t, "right")) for g, t in zip(gaps, near, strict=True)
    ]
    below = np.array(sides).reshape(-1, 2).mean(axis=1) / count
    shift = special.ndtri(np.clip(below, 0.5 / count, 1 - 0.5 / count))
    bend = acceleration(apart[:, usable])
    ends = np.stack([mean, mean])
    moved = shift[usable] + np.array([[tail], [-tail]])
    shares = special.ndtr(shift[usable] + moved / (1 - bend * moved))
    ranks = np.clip(np.ceil(np.round((count + 1) * shares, 9)), 1, count).astype(np.intp)
    ends[:, usable] += gaps[np.flatnonzero(usable), ranks - 1]
    return ends


def acceleration(influence: Floats) -> Floats:
    """Acceleration of each column: sum d^3 / (6 (sum d^2)^(3/2)) (Efron, JASA 82, 171-185, 1987).

    Parameters
    ----------
    influence : (patients, columns), not all 0
        Of a mean: the distance of each patient from it. Of a difference of the means of two groups: distances
        over the size of their own group, with the sign of the group.
    """
    squares = (influence * influence).sum(axis=0)
    return np.asarray((influence**3).sum(axis=0) / (6 * squares**1.5))


def clopper_pearson_lower(successes: int, n: int, *, level: float) -> float:
    """One-sided lower bound of a share (Clopper & Pearson 1934)."""
    if successes == 0:
        return 0.0
    return float(stats.beta.ppf(1 - level, successes, n - successes + 1))


def clopper_pearson_upper(successes: int, n: int, *, level: float) -> float:
    """One-sided upper bound of a share (Clopper & Pearson 1934)."""
    if successes == n:
        return 1.0
    return float(stats.beta.ppf(level, successes + 1, n - successes))


def clopper_pearson(successes: int, n: int, *, level: float) -> tuple[float, float]:
    """Two-sided interval of a share: both bounds at (1 + level) / 2."""
    side = (1 + checked_level(level)) / 2
    return (
        clopper_pearson_lower(successes, n, level=side),
        clopper_pearson_upper(successes, n, level=side),
    )


def unseen_rate(n: int, *, level: float) -> float:
    """Largest rate of failures that n patients without one do not exclude: 1 - (1 - level)^(1/n)."""
    return float(1 - (1 - checked_level(level)) ** (1 / n))


def half_width(spread: float, n: int, *, level: float) -> float:
    """Half the width of a normal-theory interval of a mean: z spread / sqrt(n), for planning.

    Parameters
    ----------
    spread : standard deviation over patients, expected
    n : patients, at least 1
    level : in [.5, 1)
    """
    return float(stats.norm.ppf((1 + checked_level(level)) / 2)) * spread / math.sqrt(n)
