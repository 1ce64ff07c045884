"""Histograms of activations, channel by channel, and the Hellinger distance between them.

**Conventions.** Values are (channel, number): everything that a layer holds of one scan, or a part of it.
Bins belong to a channel: `bins` of equal width between the smallest and the largest activation of the
clean scan, one for what lies below and one for what lies above. The largest clean activation belongs to the
last bin between them. Where all clean activations of a channel are equal, they have one bin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Range", "by_channel", "counts_of", "hellinger", "joined", "range_of"]

Floats = NDArray[np.float64]

_AT_ONCE = 1 << 20
"""Numbers that are counted together: it bounds the memory and changes no count."""


@dataclass(frozen=True, slots=True)
class Range:
    """Smallest and largest activation of each channel; not finite where one is not."""

    low: Floats
    """(channel,)."""
    high: Floats
    """(channel,)."""

    @property
    def finite(self) -> bool:
        """Whether bins can be laid between them."""
        return bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())


def by_channel(value: NDArray[np.generic], axis: int) -> NDArray[np.generic]:
    """Bring a value to (channel, number).

    Parameters
    ----------
    value : with the items of a batch on its first axis.
    axis : of the channels.
    """
    return np.moveaxis(value, axis, 0).reshape(value.shape[axis], -1)


def range_of(values: NDArray[np.generic]) -> Range:
    """Find the range of each channel.

    Parameters
    ----------
    values : (channel, number), at least one number.
    """
    low, high = values.min(axis=1), values.max(axis=1)
    return Range(low.astype(np.float64), high.astype(np.float64))


def joined(first: Range | None, second: Range) -> Range:
    """Unite the ranges of two parts of the same values; NaN stays NaN."""
    if first is None:
        return second
    return Range(np.minimum(first.low, second.low), np.maximum(first.high, second.high))


def counts_of(values: NDArray[np.generic], within: Range, bins: int) -> NDArray[np.int64]:
    """Count the activations of each channel in its bins.

    Parameters
    ----------
    values : (channel, number); NaN falls into no bin.
    within : range of the clean scan, finite.
    bins : between its ends.

    Returns
    -------
    (channel, bins + 2)
        The first holds what lies below the range, the last what lies above.

    Examples
    --------
    >>> counts_of(np.array([[-1.0, 0.0, 0.6, 1.0, 1.5]]), Range(np.zeros(1), np.ones(1)), 2)
    array([[1, 1, 2, 1]])
    """
    channels, numbers = values.shape
    found = np.zeros((channels, bins + 2), dtype=np.int64)
    width = np.maximum(within.high - within.low, np.finfo(np.float64).tiny)
    step = max(1, _AT_ONCE // max(1, channels))
    first = np.arange(channels)[:, None] * (bins + 2)
    for start in range(0, numbers, step):
        part = values[:, start : start + step].astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            share = (part - within.low[:, None]) / width[:, None]
            inside = np.clip(np.floor(share * bins), 0, bins - 1)
        inside = np.where(part < within.low[:, None], -1, inside)
        inside = np.where(part > within.high[:, None], bins, inside)
        known = ~np.isnan(part)
        places = (np.where(known, inside, 0).astype(np.int64) + 1 + first)[known]
        found += np.bincount(places, minlength=found.size).reshape(found.shape)
    return found


def hellinger(first: NDArray[np.int64], second: NDArray[np.int64]) -> Floats:
    """Hellinger distance of the histograms of each channel.

    H^2 = 1 - sum sqrt(p q) = sum (sqrt p - sqrt q)^2 / 2; the second form is exactly 0 for equal
    histograms.

    Parameters
    ----------
    first, second : (channel, bin) counts, in each channel at least one.

    Returns
    -------
    (channel,)
        In [0, 1].

    References
    ----------
    Hellinger, E. (1909). Neue Begründung der Theorie quadratischer Formen von unendlichvielen Veränderlichen.
    J. reine angew. Math. 136, 210-271.

    Examples
    --------
    >>> hellinger(np.array([[2, 2, 0]]), np.array([[0, 2, 2]])).round(3)  # sqrt(1 - 1 / 2)
    array([0.707])
    """
    p = first / first.sum(axis=1, keepdims=True)
    q = second / second.sum(axis=1, keepdims=True)
    half = ((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=1) / 2
    return np.asarray(np.sqrt(np.clip(half, 0.0, 1.0)))
