"""Where a case lies among the others by difficulty, and the mean score along that order.

**Conventions.** Every patient weighs the same, however many cases it has: a case weighs one over the
number of its patient's cases. Sorted by difficulty, each case takes a stretch of [0, 1] as long as its
weight; cases that are equally difficult share their stretches and their mean score, so that no order
among them is invented. The *percentile* of a case is the middle of its stretch. The running mean at a
place is the mean score over the stretch of one window around it; a window never reaches beyond the
first or the last case, so that it holds the same number of patients everywhere.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.intervals import FEW, order_statistic

__all__ = ["case_weights", "percentiles", "running_band", "running_mean", "window_patients"]

Floats = NDArray[np.float64]

_PLACES = 21
"""Points of the line."""


def case_weights(patients: NDArray[np.intp]) -> Floats:
    """Weigh each case by one over the cases of its patient.

    Parameters
    ----------
    patients : (cases,)
        Number of each case's patient.

    Returns
    -------
    (cases,)
        Their sum is the number of patients.
    """
    return np.asarray(1.0 / np.bincount(patients)[patients])


def percentiles(difficulty: Floats, weights: Floats) -> Floats:
    """Share of the weight that is easier, half of what is equally difficult counted.

    Parameters
    ----------
    difficulty, weights : (cases,)

    Returns
    -------
    (cases,)
        In [0, 100].

    Examples
    --------
    >>> percentiles(np.array([3.0, 1.0, 1.0, 9.0]), np.ones(4)).tolist()
    [62.5, 25.0, 25.0, 87.5]
    """
    _, group = np.unique(difficulty, return_inverse=True)
    total = np.bincount(group, weights=weights)
    middle = np.cumsum(total) - total / 2
    return np.asarray(100.0 * (middle / weights.sum())[group])


def window_patients(n: int) -> int:
    """Patients in the window of the running mean: a third of them, at least ten; 0 with fewer than ten.

    Examples
    --------
    >>> [window_patients(n) for n in (9, 10, 24, 31, 60)]
    [0, 10, 10, 11, 20]
    """
    return 0 if n < FEW else max(FEW, math.ceil(n / 3))


def running_mean(difficulty: Floats, scores: Floats, weights: Floats, window: float) -> Floats:
    """Mean score in a window that moves from the easiest to the most difficult.

    Parameters
    ----------
    difficulty, scores : (cases,)
    weights : (cases,) or (draws, cases)
        Zero leaves a case out.
    window : share of the weight that a window holds, in (0, 1]

    Returns
    -------
    (places,) or (draws, places)
        At `places`, equally spaced between the middles of the first window and of the last.
    """
    order = np.argsort(difficulty, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(difficulty[order]) > 0])
    rows = np.atleast_2d(weights)[:, order]
    held = np.add.reduceat(rows, starts, axis=1)
    summed = np.add.reduceat(rows * scores[order], starts, axis=1)
    nought = np.zeros((len(rows), 1))
    total = held.sum(axis=1, keepdims=True)
    ends = np.hstack([nought, np.cumsum(held, axis=1)]) / total
    area = np.hstack([nought, np.cumsum(summed, axis=1)]) / total
    middle = places(window) / 100.0
    means = np.stack(
        [
            np.interp(middle + window / 2, end, it) - np.interp(middle - window / 2, end, it)
            for end, it in zip(ends, area, strict=True)
        ]
    )
    means /= window
    return np.asarray(means if weights.ndim > 1 else means[0])


def places(window: float) -> Floats:
    """Percentiles at which the running mean is told: (places,), one alone when a window holds all."""
    if window >= 1:
        return np.array([50.0])
    return np.linspace(50.0 * window, 100.0 - 50.0 * window, _PLACES)


def running_band(
    difficulty: Floats,
    scores: Floats,
    patients: NDArray[np.intp],
    drawn: Floats,
    *,
    level: float,
) -> tuple[tuple[float, float, float, float], ...]:
    """Give the running mean with its pointwise percentile-bootstrap band over patients.

    In every draw the cases are put in order anew, so that the band also holds the uncertainty of where on
    the scale a case lies. It is descriptive: pointwise, and of a curve that the window has smoothed.

    Parameters
    ----------
    difficulty, scores : (cases,)
    patients : (cases,)
        0 .. n - 1.
    drawn : (draws, n)
        How often each draw holds each patient.
    level : of the band, at each place

    Returns
    -------
    (percentile, mean, low, high) of each place; empty with fewer than ten patients.
    """
    n = drawn.shape[1]
    window = window_patients(n) / max(1, n)
    if not window:
        return ()
    weights = case_weights(patients)
    line = running_mean(difficulty, scores, weights, window)
    draws = running_mean(difficulty, scores, drawn[:, patients] * weights, window)
    tail = (1 - level) / 2
    low, high = order_statistic(draws, tail), order_statistic(draws, 1 - tail)
    return tuple(
        (float(x), float(y), float(min(a, y)), float(max(b, y)))
        for x, y, a, b in zip(places(window), line, low, high, strict=True)
    )
