"""Bounds of a bounded mean with one phantom patient at the worst end (Gaffke 2005).

**Conventions.** Values lie in [0, 1]; rows are patients, columns are separate samples. The lower bound is
the (1 - level) quantile of sum v_i x_i, where v is uniform on the simplex (Dirichlet(1, .., 1)) over
the patients and a phantom at 0; the upper bound puts the phantom at 1. On zeros and ones this is the
bound of Clopper & Pearson; its validity for every other law on [0, 1] is a conjecture (Learned-Miller
& Thomas, arXiv 1905.06208), checked here by simulation.

The quantile is not drawn but computed. With E_i standard exponential, sum v_i y_i <= t is the event
Q = sum E_i (y_i - t) <= 0, and the characteristic function of Q is prod 1 / (1 - i s (y_i - t)), so
P(Q > 0) = 1/2 + 1/pi int_0^inf Im phi(s) / s ds (Gil-Pelaez, Biometrika 38, 1951). So a verdict
does not hang on the luck of a seed, and a claim that is attainable at n patients is attained by n
perfect ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import elementwise

__all__ = ["paired_bounds", "phantom_lower", "phantom_upper"]

Floats = NDArray[np.float64]

_STEP = 0.15
"""Step of the trapezoidal rule on a logarithmic axis of frequencies, for up to 40 patients; it
shrinks with the root of their number, as the strip does in which the integrand is analytic."""

_FIRST = -6.0
"""Where the axis begins, in units of 1 / |y - t|; below, Im phi is a straight line (to e^-18)."""

_LAST = (3.0, 5.0, 7.0, 11.0, 15.0, 19.0)
"""Where it may end: as soon as |phi| is below `_GONE`."""

_GONE = 1e-10

_BLOCK = 128
"""Columns that are solved together."""


def phantom_lower(values: Floats, *, level: float, counts: Floats | None = None) -> Floats:
    """Lower bound of the mean of each column, with one phantom patient at 0.

    Parameters
    ----------
    values : (patients, columns), in [0, 1]
    level : one-sided confidence level
    counts : (patients,), > 0; how many patients each row stands for; None: one

    Returns
    -------
    (columns,)

    Raises
    ------
    ValueError
        When a value lies outside [0, 1].
    """
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        low, high = float(values.min()), float(values.max())
        msg = f"values must lie in [0, 1], got {low:g} to {high:g}"
        raise ValueError(msg)
    blocks = range(0, values.shape[1], _BLOCK)
    return np.concatenate(
        [np.empty(0), *(_quantile(values[:, i : i + _BLOCK], counts, 1 - level) for i in blocks)]
    )


def phantom_upper(values: Floats, *, level: float, counts: Floats | None = None) -> Floats:
    """Upper bound of the mean of each column, with one phantom patient at 1."""
    return np.asarray(1 - phantom_lower(1 - values, level=level, counts=counts))


def paired_bounds(
    differences: Floats, *, level: float, counts: Floats | None = None
) -> tuple[Floats, Floats]:
    """Lower and upper bound of the mean of differences in [-1, 1], each at the level.

    Rescaled to [0, 1]; the phantom patient goes from perfect to zero, or back.

    Parameters
    ----------
    differences : (patients, columns)
    level, counts
        See `phantom_lower`.
    """
    shares = (differences + 1) / 2
    low = phantom_lower(shares, level=level, counts=counts)
    high = phantom_upper(shares, level=level, counts=counts)
    return 2 * low - 1, 2 * high - 1


def _quantile(values: Floats, counts: Floats | None, share: float) -> Floats:
    """Quantile of the Dirichlet mean of each column with a phantom at 0."""
    powers = None if counts is None else np.concatenate([[1.0], counts])
    points = np.vstack([np.zeros(values.shape[1]), values])
    top = points.max(axis=0)
    found = np.zeros(len(top))
    open_ = np.flatnonzero(top > 0)  # a column of zeros is bounded by 0
    if open_.size:
        solved = elementwise.find_root(
            lambda t, column: _share_below(points[:, column.astype(np.intp)], powers, t) - share,
            (np.zeros(open_.size), top[open_]),
            args=(open_.astype(np.float64),),
            tolerances={"xatol": 1e-10, "xrtol": 0.0, "fatol": 1e-12, "frtol": 0.0},
        )
        found[open_] = solved.x
    return np.clip(found, 0.0, np.average(values, axis=0, weights=counts))


def _share_below(points: Floats, powers: Floats | None, t: Floats) -> Floats:
    """P(sum v_i y_i <= t) of each column of points (n + 1, columns)."""
    apart = points - t
    each = np.ones(len(points)) if powers is None else powers
    scale = np.sqrt(each @ (apart * apart))
    scale = np.where(scale > 0, scale, 1.0)
    step = _STEP * min(1.0, (40 / float(each.sum())) ** 0.5)
    nodes = np.exp(np.arange(_FIRST, _last(apart / scale, each), step))
    phi = np.ones((len(nodes), points.shape[1]), dtype=np.complex128)
    for row, power in zip(apart / scale, each, strict=True):
        factor = 1 - 1j * np.outer(nodes, row)
        # p patients of one value weigh like one whose share is drawn from Gamma(p)
        phi /= factor if powers is None else factor**power
    # the straight line below the first node is a geometric series
    total = phi.imag.sum(axis=0) + phi.imag[0] / np.expm1(step)
    return np.asarray(0.5 - step / np.pi * total)


def _last(apart: Floats, each: Floats) -> float:
    """End of the axis: the first at which no column is left."""
    for end in _LAST:
        size = -0.5 * (each @ np.log1p((apart * np.exp(end)) ** 2))
        if size.max() < np.log(_GONE):
            return end
    return _LAST[-1]
