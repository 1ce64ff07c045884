"""Lower bounds by bins of noise: each from its own patients, and never higher with more noise.

Mondrian conformal prediction (Vovk, Lindsay, Nouretdinov & Gammerman 2003): within a bin patients are
exchangeable, so that each bin has a bound of its own. The clamp is the running minimum from the lowest noise
on: it can only lower a bound, so that no promise is lost by it, and a lucky bin does not promise more than a
cleaner one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.conformal import lower_bound, rank_of

__all__ = ["binned_lowers"]

Floats = NDArray[np.float64]


def binned_lowers(
    scores: Sequence[Floats], *, alpha: float, delta: float | None = None
) -> tuple[float | None, ...]:
    """Bound the score of a new patient in each bin.

    Parameters
    ----------
    scores : one array a bin, lowest noise first
        One score per patient with a scan in the bin (several: the worst), without NaN.
    alpha : in (0, .5]
    delta : None: marginal ranks; else PAC ranks

    Returns
    -------
    tuple
        One bound a bin; None: not certifiable with its patients. Such a bin borrows from no other: a
        cleaner one promises too much, and that a noisier one promises less is a belief, not a count. A
        later bin with enough patients keeps its own bound, clamped by the certifiable ones before it.

    Examples
    --------
    >>> bins = [
    ...     np.linspace(0.6, 0.9, 9),
    ...     np.linspace(0.7, 0.9, 9),
    ...     np.array([0.2]),
    ...     np.full(9, 0.5),
    ... ]
    >>> binned_lowers(bins, alpha=0.1)
    (0.6, 0.6, None, 0.5)
    """
    least = np.inf
    bounds: list[float | None] = []
    for found in scores:
        own = lower_bound(found, rank_of(len(found), alpha, delta))
        least = least if own is None else min(least, own)
        bounds.append(None if own is None else float(least))
    return tuple(bounds)
