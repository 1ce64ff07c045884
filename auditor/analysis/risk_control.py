"""Thresholds at which a risk is controlled: on average over calibration sets, or for this one.

**Conventions.** Losses are one row a patient and one column a threshold, in [0, 1], and never rise from one
column to the next (a larger radius misses no more). Column 0 is the cheapest threshold; the answer is the
first column that keeps the risk, or none. A patient whose scan failed has loss 1 in every column.

Two promises, which are not the same:

- *Conformal risk control* (Angelopoulos et al., ICLR 2024, arXiv 2208.02814): the mean loss of a new patient is
  at most alpha, on average over calibration sets. For a given set the risk may well lie above it.
- *Risk-controlling prediction sets* (Bates et al., J ACM 68(6):43, 2021, arXiv 2101.02703): with probability
  1 - delta over calibration sets the risk is at most alpha.

Both speak of a mean over patients: some may miss all while most miss nothing. A promise on a share of
patients is the one of `auditor.confidence.mask_sets`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import special

from auditor.analysis.conformal import check_alpha, needed_marginal, needed_pac
from auditor.analysis.intervals import clopper_pearson_upper
from auditor.analysis.proven import betting_lower

__all__ = [
    "RiskBound",
    "RiskStatus",
    "RiskThreshold",
    "crc_threshold",
    "hoeffding_bentkus_upper",
    "rcps_threshold",
    "risk_upper",
]

Floats = NDArray[np.float64]

_HALVINGS = 60
"""Of the interval in which a bound is searched: to the last bit of a number in [0, 1]."""

_ROUNDING = 1e-12
"""Losses are shares of voxels, computed by one division: a rise below this is rounding."""


class RiskBound(StrEnum):
    """An upper bound on the mean of losses; to be declared before the data are seen."""

    HOEFFDING_BENTKUS = "hoeffding-bentkus"
    """For losses anywhere in [0, 1]."""
    BINOMIAL = "binomial"
    """Exact, for losses that can only be 0 or 1 (Clopper & Pearson 1934)."""
    BETTING = "betting"
    """For losses anywhere in [0, 1], closer where they vary little, see `auditor.analysis.proven`."""


class RiskStatus(StrEnum):
    """Why there is a threshold, or none."""

    OK = "ok"
    NOT_CERTIFIABLE = "not_certifiable"
    """Too few patients: losses of 0 would not do."""
    NOT_REACHED = "not_reached"
    """No threshold of the grid keeps the risk."""


@dataclass(frozen=True, slots=True)
class RiskThreshold:
    """The first threshold of a grid that keeps the risk."""

    status: RiskStatus
    column: int | None
    """Of the losses; None: there is none."""
    risk: float | None
    """Mean loss of the patients at that column."""
    bound: float | None
    """What was held against alpha there: the mean with one more patient of loss 1, or the upper bound."""
    n: int
    """Patients."""
    needed: int
    """Fewer patients certify nothing at this alpha (and delta)."""


def crc_threshold(losses: Floats, *, alpha: float) -> RiskThreshold:
    """Find the first threshold with (sum of losses + 1) / (n + 1) <= alpha.

    Parameters
    ----------
    losses : (patients, thresholds), in [0, 1], never rising along a row
    alpha : largest mean loss, in (0, 0.5]

    Returns
    -------
    `bound` is (n R + 1) / (n + 1), R the mean loss. Not certifiable where 1 / (n + 1) > alpha

    Raises
    ------
    ValueError
        When losses leave [0, 1] or rise, or alpha lies outside (0, 0.5].

    Notes
    -----
    Angelopoulos et al. (arXiv 2208.02814), equation 4 with B = 1.

    Examples
    --------
    >>> (
    ...     crc_threshold(np.zeros((9, 3)), alpha=0.1).column,
    ...     crc_threshold(np.zeros((8, 3)), alpha=0.1).status.value,
    ... )
    (0, 'not_certifiable')
    """
    check_alpha(alpha)
    _check(losses)
    n = len(losses)
    needed = needed_marginal(alpha)
    risk = losses.mean(axis=0) if n else np.zeros(losses.shape[1])
    bound = (n * risk + 1) / (n + 1)
    return _first(risk, bound, bound <= alpha * (1 + _ROUNDING), n, needed)


def rcps_threshold(
    losses: Floats,
    *,
    alpha: float,
    delta: float,
    bound: RiskBound = RiskBound.HOEFFDING_BENTKUS,
) -> RiskThreshold:
    """Find the first threshold from which on the upper bound of the risk is at most alpha.

    Parameters
    ----------
    losses : (patients, thresholds), in [0, 1], never rising along a row
    alpha : largest mean loss, in (0, 0.5]
    delta : probability of a calibration set whose threshold breaks it, in (0, 1)
    bound : how the mean loss is bounded; binomial: every loss is 0 or 1

    Returns
    -------
    `bound` is the upper bound at level 1 - delta. Not certifiable with fewer patients than a
    PAC bound needs

    Raises
    ------
    ValueError
        When losses leave [0, 1] or rise, are neither 0 nor 1 for the binomial bound, or alpha or delta lies
        outside its range.

    Notes
    -----
    Bates et al. (arXiv 2101.02703), theorem 1. As the risk never rises, no correction for the number of
    thresholds is due: the last threshold that would break alpha must have passed a valid test.
    """
    check_alpha(alpha, delta)
    _check(losses)
    n = len(losses)
    needed = needed_pac(alpha, delta)
    risk = losses.mean(axis=0) if n else np.zeros(losses.shape[1])
    upper = risk_upper(losses, level=1 - delta, bound=bound)
    # the bound of a later column may be larger by rounding only; the first of an unbroken tail counts
    kept = np.minimum.accumulate((upper <= alpha)[::-1])[::-1]
    return _first(risk, upper, kept, n, needed)


def risk_upper(losses: Floats, *, level: float, bound: RiskBound) -> Floats:
    """Bound the mean loss of each column from above.

    Parameters
    ----------
    losses : (patients, thresholds), in [0, 1]
    level : one-sided confidence level
    bound : see `RiskBound`

    Returns
    -------
    (thresholds,); 1 without patients

    Raises
    ------
    ValueError
        When the bound is binomial and a loss is neither 0 nor 1.
    """
    n = len(losses)
    if n == 0:
        return np.ones(losses.shape[1])
    if bound is RiskBound.HOEFFDING_BENTKUS:
        return hoeffding_bentkus_upper(losses.mean(axis=0), n, level=level)
    if bound is RiskBound.BETTING:
        return 1 - betting_lower(1 - losses, level=level)
    if not bool(np.isin(losses, (0.0, 1.0)).all()):
        msg = "the binomial bound needs losses of 0 and 1 only; shares take hoeffding-bentkus or betting"
        raise ValueError(msg)
    counts, places = np.unique(losses.sum(axis=0).astype(int), return_inverse=True)
    upper = [clopper_pearson_upper(int(count), n, level=level) for count in counts]
    return np.asarray(upper)[places]


def hoeffding_bentkus_upper(means: Floats, n: int, *, level: float) -> Floats:
    """Bound means of n independent losses in [0, 1] from above.

    Parameters
    ----------
    means : (columns,), in [0, 1]
    n : losses behind each mean
    level : one-sided confidence level

    Returns
    -------
    (columns,)
        The largest r with min(exp(-n h(min(m, r), r)), e P(Bin(n, r) <= ceil(n m))) >= 1 - level,
        h(a, b) = a log(a / b) + (1 - a) log((1 - a) / (1 - b)).

    Notes
    -----
    Hoeffding (1963) in its Chernoff form, and Bentkus (Ann Probab 32, 2004); together as in Bates et al.
    (arXiv 2101.02703), section 3.1.
    """
    low, high = means.astype(np.float64), np.ones(len(means))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = _hoeffding_bentkus(means, middle, n) < 1 - level
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return high


def _hoeffding_bentkus(means: Floats, risk: Floats, n: int) -> Floats:
    """P-value of the hypothesis that the mean is at least `risk`."""
    least = np.minimum(means, risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.where(least > 0, least * np.log(least / risk), 0.0)
        other = np.where(least < 1, (1 - least) * np.log((1 - least) / (1 - risk)), 0.0)
    hoeffding = np.exp(-n * (one + other))
    bentkus = np.e * special.bdtr(np.ceil(np.round(n * means, 9)), n, risk)
    return np.asarray(np.minimum(hoeffding, bentkus))


def _first(
    risk: Floats, bound: Floats, kept: NDArray[np.bool_], n: int, needed: int
) -> RiskThreshold:
    if n < needed:
        return RiskThreshold(RiskStatus.NOT_CERTIFIABLE, None, None, None, n, needed)
    columns = np.flatnonzero(kept)
    if columns.size == 0:
        return RiskThreshold(RiskStatus.NOT_REACHED, None, None, None, n, needed)
    column = int(columns[0])
    return RiskThreshold(
        RiskStatus.OK, column, float(risk[column]), float(bound[column]), n, needed
    )


def _check(losses: Floats) -> None:
    if losses.ndim != 2 or losses.shape[1] == 0:
        msg = f"losses must be (patients, thresholds), got shape {losses.shape}"
        raise ValueError(msg)
    if not bool(((losses >= 0) & (losses <= 1)).all()):
        msg = "losses must be numbers in [0, 1]; a failed scan has loss 1"
        raise ValueError(msg)
    rises = np.diff(losses, axis=1) > _ROUNDING
    if rises.any():
        row, column = np.argwhere(rises)[0]
        msg = (
            f"losses must not rise from one threshold to the next, row {row} rises from column {column} "
            f"({losses[row, column]:g}) to {column + 1} ({losses[row, column + 1]:g}); a risk that is not "
            "monotone, such as 1 - DSC, cannot be controlled in this way"
        )
        raise ValueError(msg)
