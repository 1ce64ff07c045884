"""Means over a mix, with patients and the scans of the site resampled in the same loop.

The score of patient i under the mix pi is y_i = sum_s pi_s D_is. Where pi is the mean of the mixes w_j of m
scans, both vary: with m_s = mean_i D_is, the variance of pi'm is about var_i(y_i) / n + var_j(w_j'm) / m, and a
draw resamples patients and scans at once. A stated mix is one scan that does not vary.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Draws", "kendall", "mean_draws", "mixed_draws", "pairs_of", "rank_shares", "ranks_of"]

Floats = NDArray[np.float64]

_ROUNDING = 1e-12
"""A spread below this is rounding."""


@dataclass(frozen=True, slots=True)
class Draws:
    """Means of columns, and what the bootstrap says of them."""

    mean: Floats
    """(columns,)."""
    error: Floats
    """(columns,), standard error."""
    t: Floats
    """(draws, columns) of (M_b - m) / s*_b."""


def mixed_draws(
    values: Floats,
    scans: Floats,
    patient_weights: Floats,
    scan_weights: Floats | None = None,
) -> Draws:
    """Studentized bootstrap of means over a mix (Efron & Tibshirani 1993, section 12.5).

    Parameters
    ----------
    values : (patients, conditions, columns)
        Without NaN.
    scans : (scans, conditions)
        Mix of each scan; one row for a stated mix.
    patient_weights : (draws, patients)
        See `bootstrap_weights`.
    scan_weights : (draws, scans), optional
        None: the mix does not vary.
    """
    n, m = len(values), len(scans)
    mix = scans.mean(axis=0)
    of_patients = np.einsum("ncK,c->nK", values, mix)
    mean = of_patients.mean(axis=0)
    varied = scan_weights is not None and m > 1
    of_scans = scans @ values.mean(axis=0)
    variance = of_patients.var(axis=0, ddof=1) / n
    if varied:
        variance = variance + of_scans.var(axis=0, ddof=1) / m
    error = np.sqrt(variance)
    error = np.where(error > _ROUNDING * np.maximum(1.0, np.abs(mean)), error, 0.0)
    draws = len(patient_weights)
    mixes = scan_weights @ scans / m if varied and scan_weights is not None else mix[None, :]
    gap, spread = np.empty((draws, len(mean))), np.empty((draws, len(mean)))
    for k in range(len(mean)):
        column = values[:, :, k] - mean[k]  # centred: sums of shares are 1
        means = patient_weights @ column / n
        gap[:, k] = (means * mixes).sum(axis=1)
        each = mixes @ column.T
        second = (patient_weights * each * each).sum(axis=1) / n
        within = np.clip(second - gap[:, k] ** 2, 0.0, None) / (n - 1)
        if varied and scan_weights is not None:
            apart = means @ scans.T
            second = (scan_weights * apart * apart).sum(axis=1) / m
            within = within + np.clip(second - gap[:, k] ** 2, 0.0, None) / (m - 1)
        spread[:, k] = np.sqrt(within)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(spread > 1e-6 * error, gap / spread, np.sign(gap) * np.inf)
    return Draws(mean, error, np.where((error > 0) & ~np.isnan(ratio), ratio, 0.0))


def mean_draws(
    values: Floats,
    scans: Floats,
    patient_weights: Floats,
    scan_weights: Floats | None = None,
) -> Floats:
    """Drawn means of each column over the mix, (draws, columns); parameters as of `mixed_draws`."""
    n, m = len(values), len(scans)
    mixes = scans.mean(axis=0)[None, :] if scan_weights is None else scan_weights @ scans / m
    drawn = [patient_weights @ values[:, :, k] / n for k in range(values.shape[2])]
    return np.stack([(means * mixes).sum(axis=1) for means in drawn], axis=1)


def pairs_of(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every two names, in order."""
    return list(itertools.combinations(names, 2))


def ranks_of(means: Floats) -> NDArray[np.intp]:
    """Ranks along the last axis, 1 the largest; equal values share the better rank.

    Examples
    --------
    >>> ranks_of(np.array([0.8, 0.9, 0.8])).tolist()
    [2, 1, 2]
    """
    larger = means[..., None, :] > means[..., :, None]
    return np.asarray(larger.sum(axis=-1) + 1)


def rank_shares(draws: Floats) -> Floats:
    """Share of the draws in which each column has rank 1, 2, .., (columns, ranks)."""
    ranks = ranks_of(draws)
    count = draws.shape[1]
    return np.stack([(ranks == rank).mean(axis=0) for rank in range(1, count + 1)], axis=1)


def kendall(mean: Floats, draws: Floats) -> float | None:
    """Mean over draws of Kendall's tau-a between the ranking by means and the drawn one.

    (concordant - discordant pairs) / all pairs; a tie is neither (Kendall 1938).

    Returns
    -------
    float
        None with fewer than two columns.
    """
    if len(mean) < 2:
        return None
    left, right = np.triu_indices(len(mean), k=1)
    full = np.sign(mean[left] - mean[right])
    drawn = np.sign(draws[:, left] - draws[:, right])
    return float((drawn * full).mean())
