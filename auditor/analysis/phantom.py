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
from scipy import special

from auditor.analysis.blocks import by_blocks
from auditor.analysis.intervals import checked_level

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

_BLOCK = 64
"""Columns that are solved together."""

_FACTORS = 16
"""Factors between two divisions: the largest is e^19, so that their product does not overflow."""

_NEAR = 1e-9
"""A step so small is the last; the one after it would be far smaller."""

_SMALLEST = 1e-15
"""Probabilities nearer to 0 or 1 are rounding."""

_MOST_LOOKS = 100
"""Halving alone would need 30."""


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
        When a value lies outside [0, 1], or the level outside [.5, 1).
    """
    checked_level(level)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        low, high = float(values.min()), float(values.max())
        msg = f"values must lie in [0, 1], got {low:g} to {high:g}"
        raise ValueError(msg)
    return by_blocks(lambda block: _quantile(block, counts, 1 - level), values, _BLOCK)


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
    if not values.shape[1]:
        return np.empty(0)
    powers = None if counts is None else np.concatenate([[1.0], counts])
    points = np.vstack([np.zeros(values.shape[1]), values])
    found = np.zeros(values.shape[1])
    open_ = np.flatnonzero(points.max(axis=0) > 0)  # a column of zeros is bounded by 0
    if open_.size:
        found[open_] = _solved(points[:, open_], powers, share)
    return np.clip(found, 0.0, np.average(values, axis=0, weights=counts))


def _solved(points: Floats, powers: Floats | None, share: float) -> Floats:
    """Where P(sum v_i y_i <= t) passes the share, column by column.

    On the scale of normal quantiles that probability is nearly a straight line in t, so that the secant
    method needs four or five looks; whatever leaves what is known to hold the root is halved instead.
    """
    each = np.ones(len(points)) if powers is None else powers
    total = float(each.sum())
    mean = each @ points / total
    # of a Dirichlet mean (Ferguson 1973)
    width = np.sqrt(np.maximum(each @ points**2 / total - mean**2, 0) / (total + 1))
    goal = float(special.ndtri(share))
    low, high = np.zeros_like(mean), points.max(axis=0)
    t = _inside(mean + goal * width, low, high)
    before, gap_before = np.full_like(t, np.nan), np.full_like(t, np.nan)
    open_ = np.arange(len(t))
    for _ in range(_MOST_LOOKS):
        below = _share_below(points[:, open_], powers, t[open_])
        gap = special.ndtri(np.clip(below, _SMALLEST, 1 - _SMALLEST)) - goal
        low[open_] = np.where(gap < 0, t[open_], low[open_])
        high[open_] = np.where(gap > 0, t[open_], high[open_])
        run, rise = t[open_] - before[open_], gap - gap_before[open_]
        # the first slope is that of a normal law
        slope = np.where(rise / run > 0, rise / run, 1 / width[open_])
        step = np.where(np.isnan(before[open_]), gap * width[open_], gap / slope)
        before[open_], gap_before[open_] = t[open_], gap
        t[open_] = _inside(t[open_] - step, low[open_], high[open_])
        open_ = open_[np.abs(t[open_] - before[open_]) > _NEAR]
        if not open_.size:
            break
    return t


def _inside(t: Floats, low: Floats, high: Floats) -> Floats:
    """Keep what lies between two numbers, and take their middle for the rest."""
    return np.where((t > low) & (t < high), t, (low + high) / 2)


def _share_below(points: Floats, powers: Floats | None, t: Floats) -> Floats:
    """P(sum v_i y_i <= t) of each column of points (n + 1, columns)."""
    apart = points - t
    each = np.ones(len(points)) if powers is None else powers
    scale = np.sqrt(each @ (apart * apart))
    apart /= np.where(scale > 0, scale, 1.0)
    step = _STEP * min(1.0, (40 / float(each.sum())) ** 0.5)
    nodes = np.exp(np.arange(_FIRST, _last(apart, each), step))[:, None]
    phi = _characteristic(nodes, apart) if powers is None else _powered(nodes, apart, powers)
    # the straight line below the first node is a geometric series
    total = phi.sum(axis=0) + phi[0] / np.expm1(step)
    return np.asarray(0.5 - step / np.pi * total)


def _characteristic(nodes: Floats, apart: Floats) -> Floats:
    """Im prod_i 1 / (1 - i s a_i) at each node s (nodes, columns).

    Real and imaginary part apart, in place, and one division for several factors: the same in less than
    half the time of complex division, factor by factor.
    """
    shape = (len(nodes), apart.shape[1])
    phi = np.ones(shape, dtype=np.complex128)
    real, imag, turn, moved = (np.empty(shape) for _ in range(4))
    for start in range(0, len(apart), _FACTORS):
        real.fill(1.0)
        imag.fill(0.0)
        for row in apart[start : start + _FACTORS]:
            np.multiply(nodes, row, out=turn)
            np.multiply(imag, turn, out=moved)
            turn *= real
            real += moved
            imag -= turn
        phi /= real + 1j * imag
    return np.asarray(phi.imag)


def _powered(nodes: Floats, apart: Floats, powers: Floats) -> Floats:
    """As `_characteristic`, each row as often as it counts.

    p patients of one value weigh like one whose share is drawn from Gamma(p).
    """
    phi = np.ones((len(nodes), apart.shape[1]), dtype=np.complex128)
    for row, power in zip(apart, powers, strict=True):
        phi /= (1 - 1j * (nodes * row)) ** power
    return np.asarray(phi.imag)


def _last(apart: Floats, each: Floats) -> float:
    """End of the axis: the first at which no column is left."""
    for end in _LAST:
        size = -0.5 * (each @ np.log1p((apart * np.exp(end)) ** 2))
        if size.max() < np.log(_GONE):
            return end
    return _LAST[-1]
