"""Statements that hold together: bands over several means of the same patients, and adjusted p-values.

**Conventions.** Rows are patients, columns are what is estimated on the same patients: severities, pairs
of systems. One set of resampling weights serves all columns, so that their dependence is kept and not
paid for (max-T; Westfall & Young 1993; Romano & Wolf, JASA 100, 94-108, 2005). A column of which
resampling says nothing has an infinite band, and widens no other one.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.intervals import checked_level, order_statistic, studentized_draws

__all__ = ["Side", "holm", "largest_t", "simultaneous_band"]

Floats = NDArray[np.float64]
Side = Literal["two-sided", "lower"]


def largest_t(
    draws: Floats, error: Floats, *, level: float, side: Side = "two-sided"
) -> tuple[float, NDArray[np.bool_]]:
    """How many standard errors all columns reach together, and which columns that is about.

    Parameters
    ----------
    draws : (draws, columns)
        T of each column, see `studentized_draws`.
    error : (columns,)
        Standard errors.
    level : simultaneous confidence level
    side : ``lower`` for lower bounds alone

    Returns
    -------
    times : the quantile over draws of the largest T (two-sided: of the largest |T|)
    usable : (columns,)
        False where all patients have the same value, or too few of them differ: there nothing is
        claimed, and the column must not widen the others.
    """
    size = np.abs(draws) if side == "two-sided" else draws
    usable = np.isfinite(order_statistic(size, level)) & (error > 0)
    if not usable.any():
        return math.inf, usable
    largest = size[:, usable].max(axis=1)
    return float(order_statistic(largest[:, None], level)[0]), usable


def simultaneous_band(
    values: Floats, weights: Floats, *, level: float, side: Side = "two-sided"
) -> tuple[Floats, Floats]:
    """Band that holds the means of all columns at once: m_j - c s_j to m_j + c s_j.

    c is the quantile over draws of max_j |T_bj|, or of max_j T_bj for a lower band, with
    T_bj = (M_bj - m_j) / s*_bj (studentized max-T; Romano & Wolf 2005). Where one to six patients of a
    hundred collapse only at some columns, a nominal .95 covers .93 to .95 at 20 to 200 patients, and .87 to
    .94 where all others score high and alike (simulated).

    Parameters
    ----------
    values : (patients, columns)
        Without NaN.
    weights : (draws, patients), see `bootstrap_weights`
    level : in [.5, 1)
        Simultaneous over the columns.
    side : ``two-sided``, or ``lower``: then `high` is infinite

    Returns
    -------
    low, high : (columns,)
        Not clipped to any range. -inf and inf where nothing can be claimed: a single patient, all
        patients with the same value, or too few that differ.

    Raises
    ------
    ValueError
        When the level is out of range.
    """
    checked_level(level)
    columns = values.shape[1]
    low, high = np.full(columns, -np.inf), np.full(columns, np.inf)
    if len(values) < 2 or columns == 0:
        return low, high
    mean, error, draws = studentized_draws(values, weights)
    times, usable = largest_t(draws, error, level=level, side=side)
    if math.isfinite(times):
        low[usable] = (mean - times * error)[usable]
        if side == "two-sided":
            high[usable] = (mean + times * error)[usable]
    return low, high


def holm(p: Floats) -> Floats:
    """Adjust p-values for testing all of them (Holm, Scand J Statist 6, 65-70, 1979).

    Sorted upwards, p_(i) (m - i + 1) and its running maximum, at most 1: rejecting where the result is
    at most alpha errs in the whole family with probability alpha at most, whatever their dependence.

    Parameters
    ----------
    p : (tests,), in [0, 1]

    Returns
    -------
    (tests,)
        In the given order.

    Raises
    ------
    ValueError
        When a value lies outside [0, 1] or is NaN.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03, 0.005])).round(9).tolist()
    [0.03, 0.06, 0.06, 0.02]
    """
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        msg = f"p-values must lie in [0, 1], got {float(p.min()):g} to {float(p.max()):g}"
        raise ValueError(msg)
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted
