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

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = [
    "DRAWS",
    "FEW",
    "bca_interval",
    "bootstrap_weights",
    "checked_level",
    "clopper_pearson",
    "clopper_pearson_lower",
    "clopper_pearson_upper",
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

_BLOCK = 256
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
    """
    n = len(values)
    mean = values.mean(axis=0)
    centred = values - mean
    error = centred.std(axis=0, ddof=1) / math.sqrt(n)
    # equal numbers may differ in their last bits after averaging; that is no spread
    error = np.where(error > _ROUNDING * np.abs(mean), error, 0.0)
    gap = weights @ centred / n
    spread = np.sqrt(np.clip(weights @ (centred * centred) / n - gap * gap, 0, None) / (n - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(spread > 1e-6 * error, gap / spread, np.sign(gap) * np.inf)
    return mean, error, np.where((error > 0) & ~np.isnan(ratio), ratio, 0.0)


def order_statistic(draws: Floats, share: float) -> Floats:
    """Return the ceil((B + 1) p)-th smallest of B draws, column by column."""
    count = len(draws)
    rank = min(count, max(1, math.ceil(round((count + 1) * share, 9))))
    return np.asarray(np.partition(draws, rank - 1, axis=0)[rank - 1])


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
    tail = (1 - level) / 2
    low, high = _studentized(values, weights, 1 - tail, tail)
    if bounded:
        low, high = np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
    return low, high


def studentized_bounds(values: Floats, weights: Floats, *, level: float) -> tuple[Floats, Floats]:
    """One-sided lower and upper studentized bounds, each at the level."""
    return _studentized(values, weights, level, 1 - level)


def _studentized(
    values: Floats, weights: Floats, below: float, above: float
) -> tuple[Floats, Floats]:
    """Mean minus the two quantiles of T times the standard error."""
    low, high = [np.empty(0)], [np.empty(0)]
    for start in range(0, values.shape[1], _BLOCK):
        mean, error, draws = studentized_draws(values[:, start : start + _BLOCK], weights)
        low.append(_from(mean, order_statistic(draws, below), error))
        high.append(_from(mean, order_statistic(draws, above), error))
    return np.concatenate(low), np.concatenate(high)


def _from(mean: Floats, quantile: Floats, error: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.where(error > 0, mean - quantile * error, mean)


def bca_interval(values: Floats, weights: Floats, *, level: float) -> tuple[float, float]:
    """Bias-corrected and accelerated interval of the mean (Efron 1987), a cross-check.

    z0 = Phi^-1((#{M_b < m} + #{M_b = m} / 2) / B), a = sum d^3 / (6 (sum d^2)^(3/2)) with d = x - m;
    the ends are the quantiles Phi(z0 + (z0 + z) / (1 - a (z0 + z))) of the drawn means.

    Parameters
    ----------
    values : (patients,), not all equal
    weights : (draws, patients), see `bootstrap_weights`
    level : confidence level
    """
    mean = float(values.mean())
    apart = values - mean
    drawn = weights @ values / len(values)
    half = 0.5 / len(drawn)
    below = float(((drawn < mean).mean() + (drawn <= mean).mean()) / 2)
    shift = float(stats.norm.ppf(min(1 - half, max(half, below))))
    bend = float((apart**3).sum() / (6 * (apart * apart).sum() ** 1.5))
    tail = stats.norm.ppf((1 - level) / 2)
    low, high = (
        stats.norm.cdf(shift + (shift + z) / (1 - bend * (shift + z))) for z in (tail, -tail)
    )
    return float(order_statistic(drawn, float(low))), float(order_statistic(drawn, float(high)))


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
    side = (1 + level) / 2
    return (
        clopper_pearson_lower(successes, n, level=side),
        clopper_pearson_upper(successes, n, level=side),
    )


def unseen_rate(n: int, *, level: float) -> float:
    """Largest rate of failures that n patients without one do not exclude: 1 - (1 - level)^(1/n)."""
    return float(1 - (1 - level) ** (1 / n))
