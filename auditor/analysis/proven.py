"""Lower bounds of a bounded mean that are proven for every law on [0, 1], and wider for it.

**Conventions.** Values lie in [0, 1]; rows are patients, columns are separate samples, each drawn from a
law of its own. An upper bound is 1 - lower(1 - values). Neither bound depends on the order of the
patients or on a seed.

The phantom-zero bound (`auditor.analysis.phantom`) is closer, and its validity rests on a conjecture; who
does not want to rest on one has these.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import elementwise

from auditor.analysis.blocks import by_blocks
from auditor.analysis.intervals import checked_level

__all__ = ["betting_lower", "hoeffding_lower"]

Floats = NDArray[np.float64]

_SPREADS = (0.08, 0.12, 0.18, 0.27, 0.4)
"""Standard deviations that the bets are made for. Any list is valid; one near the truth is closest."""

_MOST = 0.99
"""Share of its capital that a bet risks at most, so that no patient ends it."""

_NOTHING = 1e-12
"""A mean so small is bounded by 0."""

_RUN = 8
"""Factors that are multiplied before a logarithm is taken: it neither under- nor overflows."""

_BLOCK = 128
"""Columns that are solved together; it bounds the memory and changes no number."""


def hoeffding_lower(values: Floats, *, level: float) -> Floats:
    """Lower bound of the mean of each column: m - sqrt(log(1 / alpha) / (2 n)), at least 0.

    Hoeffding, JASA 58, 13-30, 1963.

    Parameters
    ----------
    values : (patients, columns), in [0, 1]
    level : one-sided confidence level, in [.5, 1)

    Returns
    -------
    (columns,)

    Raises
    ------
    ValueError
        When there is no patient, a value lies outside [0, 1], or the level is out of range.
    """
    alpha = 1 - checked_level(level)
    _check(values)
    slack = math.sqrt(math.log(1 / alpha) / (2 * len(values)))
    return np.asarray(np.maximum(0.0, values.mean(axis=0) - slack))


def betting_lower(values: Floats, *, level: float) -> Floats:
    """Lower bound of the mean of each column by betting against smaller means.

    Against the claim that the mean is m, a capital of 1 is spread evenly over a few bets; a patient with score
    x multiplies the part on bet b by 1 + b (x - m), which is never negative. Were the claim true the capital
    would be 1 in expectation, so that it reaches 1 / alpha with probability alpha at most (Markov), and
    then m is excluded. The capital falls with m: the bound is where it passes 1 / alpha (Waudby-Smith & Ramdas,
    JRSS B 86, 1-27, 2024; bets that are fixed in advance and averaged are their diversified Kelly bets).
    Each bet is the best one against a normal law of some spread, sqrt(2 log(1 / alpha) / n) / spread.

    Bets that learn from the patients before them, stopped at their largest capital, are closer by a tenth to a
    third of the distance where some patients fail, but hang on the order of the patients: by .006 to .019 at
    30 to 100 patients (simulated), which is a choice that nobody should have. To add up the largest capitals
    of parts of a cohort, as one library does, is not valid at all.

    Parameters
    ----------
    values, level
        See `hoeffding_lower`.

    Returns
    -------
    (columns,)
    """
    alpha = 1 - checked_level(level)
    _check(values)
    return by_blocks(lambda block: _solved(block, math.log(1 / alpha)), values, _BLOCK)


def _check(values: Floats) -> None:
    if not len(values):
        msg = "a bound needs at least one patient, got none"
        raise ValueError(msg)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        low, high = float(values.min()), float(values.max())
        msg = f"values must lie in [0, 1], got {low:g} to {high:g}"
        raise ValueError(msg)


def _solved(values: Floats, goal: float) -> Floats:
    """Mean at which the logarithm of the capital passes the goal, column by column."""
    mean = values.mean(axis=0)
    found = np.zeros(len(mean))
    open_ = np.flatnonzero(mean > _NOTHING)  # a column of zeros is bounded by 0
    if open_.size:
        # at the mean itself the capital is below 1, since log is concave
        solved = elementwise.find_root(
            lambda m, column: _log_capital(values[:, column.astype(np.intp)], m, goal) - goal,
            (mean[open_] * 1e-9, mean[open_]),
            args=(open_.astype(np.float64),),
            tolerances={"xatol": 1e-9, "xrtol": 0.0, "fatol": 0.0, "frtol": 0.0},
        )
        # the root may lie on either side of the true one by its tolerance
        found[open_] = np.where(solved.success, np.maximum(0.0, solved.x - 2e-9), 0.0)
    return found


def _log_capital(values: Floats, m: Floats, goal: float) -> Floats:
    """Logarithm of the capital of each column against the claim that its mean is m."""
    wished = math.sqrt(2 * goal / len(values)) / np.array(_SPREADS)
    bets = np.minimum(wished[:, None], _MOST / m)
    total = np.zeros_like(bets)
    for start in range(0, len(values), _RUN):
        product = np.ones_like(bets)
        for row in values[start : start + _RUN]:
            product *= 1 + bets * (row - m)
        total += np.log(product)
    top = total.max(axis=0)
    return np.asarray(top + np.log(np.exp(total - top).mean(axis=0)))
