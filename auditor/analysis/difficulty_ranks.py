"""Rank correlations over patients: Spearman's rho, alone and with object size held fixed.

**Conventions.** Arrays have one entry a patient; ties share their mean rank. A correlation is None where
it does not exist: no variation, or nothing left once size is held fixed.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["drawn", "partial", "spearman"]

Floats = NDArray[np.float64]

_NOTHING_LEFT = 1e-9
"""Squared rank correlations closer to 1 than this are 1."""


def spearman(x: Floats, y: Floats) -> float | None:
    """Correlate ranks (Spearman 1904).

    Parameters
    ----------
    x, y : (patients,), without NaN

    Returns
    -------
    In [-1, 1]; None with fewer than three patients, or where one of the two does not vary.

    Examples
    --------
    >>> round(spearman(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.9, 0.7, 0.8, 0.2])), 12)
    -0.8
    """
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    a, b = (stats.rankdata(it) - (len(x) + 1) / 2 for it in (x, y))
    return _clipped(float((a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum())))


def partial(x: Floats, y: Floats, size: Floats) -> float | None:
    """Correlate the ranks of x and y with the ranks of size held fixed.

    r = (r_xy - r_xs r_ys) / sqrt((1 - r_xs^2) (1 - r_ys^2)), every r a Spearman correlation
    (Conover 1999, section 5.4).

    Parameters
    ----------
    x, y, size : (patients,), without NaN

    Returns
    -------
    In [-1, 1]; None with fewer than four patients, where one of the three does not vary, or where x or y
    puts the patients in the order of their size or its reverse: nothing is then left to correlate.

    Examples
    --------
    >>> partial(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4]), np.array([2.0, 1, 4, 3]))
    1.0
    """
    direct, of_x, of_y = spearman(x, y), spearman(x, size), spearman(y, size)
    if len(x) < 4 or direct is None or of_x is None or of_y is None:
        return None
    left = (1 - of_x * of_x, 1 - of_y * of_y)
    if min(left) < _NOTHING_LEFT:
        return None
    return _clipped((direct - of_x * of_y) / math.sqrt(left[0] * left[1]))


def drawn(picked: NDArray[np.intp], x: Floats, y: Floats, size: Floats | None = None) -> Floats:
    """Correlate the ranks of every bootstrap sample of patients, ranked within the sample.

    Parameters
    ----------
    picked : (draws, patients)
        Which patients each draw holds.
    x, y : (patients,)
    size : (patients,), or None
        Held fixed.

    Returns
    -------
    (draws,)
        0 for a draw in which nothing varies, or nothing is left once size is held fixed: such a draw says
        nothing in either direction, and leaving it out would narrow the interval.
    """
    a, b = _centred(x[picked]), _centred(y[picked])
    if size is None:
        return _product(a, b)
    c = _centred(size[picked])
    return _product(_residual(a, c), _residual(b, c))


def _centred(values: Floats) -> Floats:
    """Ranks of each row, less their mean."""
    return np.asarray(stats.rankdata(values, axis=1) - (values.shape[1] + 1) / 2)


def _residual(a: Floats, c: Floats) -> Floats:
    """Take from each row of a what c tells of it: the partial correlation is one of residuals."""
    total = (c * c).sum(axis=1, keepdims=True)
    slope = (a * c).sum(axis=1, keepdims=True) / np.where(total > 0, total, 1.0)
    left = a - slope * c
    some = (left * left).sum(axis=1) > _NOTHING_LEFT * (a * a).sum(axis=1)
    return np.asarray(np.where(some[:, None], left, 0.0))


def _product(a: Floats, b: Floats) -> Floats:
    size = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.asarray(np.where(size > 0, (a * b).sum(axis=1) / np.where(size > 0, size, 1), 0.0))


def _clipped(value: float) -> float:
    """Take the last bits of rounding away from the ends of the scale."""
    if 1 - abs(value) < 1e-12:
        return math.copysign(1.0, value)
    return value
