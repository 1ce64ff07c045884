"""Scores for a bound that follows a quality proxy: s = DSC - f, and the bound f + s_(k).

A proxy f is a number in [0, 1] that needs no reference: agreement with mildly perturbed copies, self-DSC.
Nothing is fitted, so that every patient calibrates; the bound is then high where the proxy is, and low on
hard scans, where one number for all promises too much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.difficulty_ranks import spearman

__all__ = ["LEAST_CORRELATION", "ProxyScores", "proxy_bound", "proxy_scores", "worst_of_patients"]

Floats = NDArray[np.float64]

LEAST_CORRELATION = 0.3
"""Rank correlation of proxy and DSC below which the proxy is not used."""


@dataclass(frozen=True, slots=True)
class ProxyScores:
    """Calibration scores, with or without a proxy."""

    scores: Floats
    """(scans,): DSC - f, or the DSC itself."""
    used: bool
    """Whether the proxy is part of the scores, and so of the bound."""
    correlation: float | None
    """Spearman's rho of proxy and DSC over patients; None: it does not exist."""
    n: int
    """Patients with both."""
    without: int
    """Scans without a proxy: they count as if it had been perfect."""
    reason: str
    """Why the proxy is not used; empty when it is."""


def proxy_scores(
    dsc: Floats,
    proxy: Floats,
    *,
    patients: NDArray[np.intp] | None = None,
    least: float = LEAST_CORRELATION,
) -> ProxyScores:
    """Make the scores, and decide whether the proxy tells enough.

    Ranks are correlated, not values: with Pearson's correlation a single collapse on which both are 0 would
    make any proxy look informative. Of a patient with several scans the means enter.

    Parameters
    ----------
    dsc : (scans,), without NaN; what failed counts 0
    proxy : (scans,), in [0, 1]; NaN: there is none, as where nothing was predicted
    patients : (scans,), number of each scan's patient; None: one scan each
    least : correlation from which the proxy is used

    Returns
    -------
    ProxyScores
        A scan without a proxy has the score DSC - 1, the lowest that it could have: it is never dropped.

    Raises
    ------
    ValueError
        When a DSC or a proxy is not in [0, 1], or the arrays do not fit.
    """
    numbers = np.arange(len(dsc)) if patients is None else patients
    if not dsc.shape == proxy.shape == numbers.shape:
        msg = f"every scan needs a DSC, a proxy and a patient, got {dsc.shape}, {proxy.shape}, {numbers.shape}"
        raise ValueError(msg)
    absent = np.isnan(proxy)
    if not ((dsc >= 0) & (dsc <= 1)).all() or not ((proxy >= 0) & (proxy <= 1) | absent).all():
        msg = "DSC and proxy must lie in [0, 1]; a proxy that does not exist is NaN"
        raise ValueError(msg)
    known = ~absent
    x, y = (_means(it[known], numbers[known]) for it in (proxy, dsc))
    rho, n = spearman(x, y), len(x)
    if rho is None:
        reason = f"proxy and DSC cannot be correlated over {n} patient(s)"
    elif rho < least:
        reason = f"proxy and DSC correlate by {rho:.2f} over {n} patients, below {least:g}"
    else:
        scores = dsc - np.where(absent, 1.0, proxy)
        return ProxyScores(scores, True, rho, n, int(absent.sum()), "")  # noqa: FBT003  # a field of the record
    return ProxyScores(dsc.copy(), False, rho, n, int(absent.sum()), reason)  # noqa: FBT003


def proxy_bound(offset: float, proxy: float | None) -> float:
    """Bound of a new scan: offset + proxy, in [0, 1].

    Parameters
    ----------
    offset : order statistic of the scores
    proxy : of the new scan; None: the scores hold no proxy

    Examples
    --------
    >>> proxy_bound(-0.25, 0.75), proxy_bound(-0.25, 0.1), proxy_bound(0.75, None)
    (0.5, 0.0, 0.75)
    """
    return min(1.0, max(0.0, offset + (proxy or 0.0)))


def worst_of_patients(scores: Floats, patients: NDArray[np.intp]) -> Floats:
    """Return the smallest score of each patient that has one, in the order of their numbers.

    Parameters
    ----------
    scores : (scans,), NaN without a score
    patients : (scans,), number of each scan's patient
    """
    known = ~np.isnan(scores)
    if not known.any():
        return np.empty(0)
    worst = np.full(int(patients.max()) + 1, np.inf)
    np.minimum.at(worst, patients[known], scores[known])
    return np.asarray(worst[np.isfinite(worst)])


def _means(values: Floats, patients: NDArray[np.intp]) -> Floats:
    count = np.bincount(patients, minlength=1)
    total = np.bincount(patients, weights=values, minlength=1)
    return np.asarray(total[count > 0] / count[count > 0])
