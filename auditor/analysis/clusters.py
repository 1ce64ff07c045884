"""Means of other populations than "one number per patient": lesions of patients, and declared strata.

**Conventions.** The patient stays the unit of resampling. A mean over patients of their own means weighs
patients alike (`auditor.analysis.table.over_patients`, then any interval); the ratio here weighs lesions
alike. Resampling lesions instead of patients covers .72 to .75 where .95 is promised (five correlated lesions
a patient, simulated), and is not offered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.intervals import (
    bootstrap_weights,
    checked_level,
    order_statistic,
    seed_of,
)

__all__ = ["ratio_bounds", "ratio_interval", "stratified_interval", "stratified_mean"]

Floats = NDArray[np.float64]

_ROUNDING = 1e-12
"""A standard error below it is rounding: every patient has the same ratio."""


def ratio_interval(
    sums: Floats, counts: Floats, weights: Floats, *, level: float
) -> tuple[float, float] | None:
    """Two-sided interval of a ratio of sums: both `ratio_bounds` at (1 + level) / 2.

    Parameters
    ----------
    sums, counts, weights
        See `ratio_bounds`.
    level : in [.5, 1)
    """
    return ratio_bounds(sums, counts, weights, level=(1 + checked_level(level)) / 2)


def ratio_bounds(
    sums: Floats, counts: Floats, weights: Floats, *, level: float
) -> tuple[float, float] | None:
    """One-sided bounds of sum_i a_i / sum_i b_i over patients i, each at the level.

    The ratio of sums, in which every lesion counts alike, and not the mean of ratios. Studentized bootstrap
    over patients with the linearised standard error: e_i = (a_i - R b_i) / mean(b), s = sd(e) / sqrt(n),
    T = (R_b - R) / s_b (Davison & Hinkley, Bootstrap Methods and their Application, 1997, sections 2.4
    and 2.7.2). A draw without spread counts as infinitely far on its side, and one without any b as
    infinitely large.

    Parameters
    ----------
    sums, counts : (patients,)
        Sum of the scores of a patient's lesions, and their number (or any weight of at least 0).
    weights : (draws, patients), see `bootstrap_weights`
    level : in [.5, 1)

    Returns
    -------
    (low, high)
        Not clipped. None with fewer than two patients, without any lesion, and where every patient has the
        same ratio: resampling then says nothing of others.

    Raises
    ------
    ValueError
        When the arrays differ in length, a count is negative, or the level is out of range.
    """
    checked_level(level)
    if sums.shape != counts.shape:
        msg = f"sums and counts must have one shape, got {sums.shape} and {counts.shape}"
        raise ValueError(msg)
    if counts.size and counts.min() < 0:
        msg = f"counts must be at least 0, got {float(counts.min()):g}"
        raise ValueError(msg)
    n = len(sums)
    if n < 2 or counts.sum() <= 0:
        return None
    ratio = sums.sum() / counts.sum()
    error = (sums - ratio * counts).std(ddof=1) / math.sqrt(n) / counts.mean()
    if error <= _ROUNDING:
        return None
    draws = _ratio_draws(sums, counts, weights, float(ratio), float(error))[:, None]
    low = ratio - float(order_statistic(draws, level)[0]) * error
    high = ratio - float(order_statistic(draws, 1 - level)[0]) * error
    return float(low), float(high)


def _ratio_draws(a: Floats, b: Floats, weights: Floats, ratio: float, error: float) -> Floats:
    """T of each draw."""
    n = len(a)
    bottom = weights @ b / n
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = (weights @ a / n) / bottom
        # the residuals of each draw around its own ratio
        moment = (
            weights @ (a * a) - 2 * drawn * (weights @ (a * b)) + drawn**2 * (weights @ (b * b))
        )
        spread = np.sqrt(np.clip(moment / n, 0, None) / (n - 1)) / bottom
        far = np.sign(drawn - ratio) * np.inf
        t = np.where(spread > 1e-6 * error, (drawn - ratio) / spread, far)
    return np.where(np.isnan(t), np.inf, t)


def stratified_mean(strata: Sequence[Floats], shares: Sequence[float]) -> float:
    """Mean of a population of known composition: sum_h w_h m_h, with declared shares w_h.

    Parameters
    ----------
    strata : one array (patients,) a stratum, none empty
    shares : of the population, adding up to 1

    Raises
    ------
    ValueError
        When a stratum is empty, the numbers of strata and shares differ, or the shares do not add up to 1.
    """
    _check(strata, shares)
    return float(sum(w * values.mean() for w, values in zip(shares, strata, strict=True)))


def stratified_interval(
    strata: Sequence[Floats], shares: Sequence[float], *, level: float, seed: int
) -> tuple[float, float] | None:
    """Two-sided studentized bootstrap interval of `stratified_mean`; None where there can be none.

    Each stratum is resampled on its own, at its own size, with weights independent of the others';
    s^2 = sum_h w_h^2 s_h^2 / n_h, and the same inside each draw (Davison & Hinkley 1997, section 3.2).

    Only for a cohort that was sampled stratum by stratum, so many from each. Where patients came as they came,
    the strata are as random as the patients, and plain resampling over patients is right. The shares are
    those of the population that is spoken of, declared, and never those of the sample.

    Parameters
    ----------
    strata, shares
        See `stratified_mean`.
    level : in [.5, 1)
    seed : of the resampling

    Returns
    -------
    (low, high)
        Not clipped. None where a stratum with a share has one patient, or nobody differs within any.
    """
    tail = (1 - checked_level(level)) / 2
    _check(strata, shares)
    used = [(w, values) for w, values in zip(shares, strata, strict=True) if w > 0]
    if any(len(values) < 2 for _, values in used):
        return None
    mean = stratified_mean(strata, shares)
    gap: Floats | float = 0.0
    within: Floats | float = 0.0
    variance = 0.0
    for place, (w, values) in enumerate(used):
        n, centred = len(values), values - values.mean()
        weights = bootstrap_weights(n, seed_of(seed, "stratum", place))
        moved = weights @ centred / n
        spread = np.clip(weights @ (centred * centred) / n - moved * moved, 0, None) / (n - 1)
        gap, within = gap + w * moved, within + w * w * spread
        variance += w * w * float(centred.var(ddof=1)) / n
    error = math.sqrt(variance)
    if error <= _ROUNDING * max(1.0, abs(mean)):
        return None
    inside = np.sqrt(within)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(inside > 1e-6 * error, gap / inside, np.sign(gap) * np.inf)
    draws = np.where(np.isnan(t), 0.0, t)[:, None]
    low = mean - float(order_statistic(draws, 1 - tail)[0]) * error
    high = mean - float(order_statistic(draws, tail)[0]) * error
    return low, high


def _check(strata: Sequence[Floats], shares: Sequence[float]) -> None:
    if len(strata) != len(shares):
        msg = f"each stratum must have one share, got {len(strata)} strata and {len(shares)} shares"
        raise ValueError(msg)
    if any(len(values) == 0 for values in strata):
        msg = "each stratum must have at least one patient; an empty one has no mean to weigh"
        raise ValueError(msg)
    if min(shares, default=0.0) < 0 or abs(sum(shares) - 1) > 1e-9:
        msg = f"shares of a population must be at least 0 and add up to 1, got {list(shares)}"
        raise ValueError(msg)
