"""Lower bounds for a new patient whose scans are not drawn as the calibration scans were.

**Conventions.** Scores are one number per patient and condition, higher is better. A weighted bound is the
largest score v for which the weight of all scores below v, together with the weight that stands for the new
patient at minus infinity, is at most alpha. None: not certifiable, even the smallest score is too high.

*A stated mix of severities* (hierarchical conformal prediction: Lee, Barber & Willett, arXiv 2306.06342;
Dunn, Wasserman & Ramdas, arXiv 1809.07441): every patient is scored at every severity of the mix. Of n
patients each weighs 1 / (n + 1), shared between their severities as the mix says, and 1 / (n + 1) stands
for the new one. Scores of one patient are not independent: ranks among n times the severities would pretend
to more patients than there are.

*Other shifts* (Tibshirani, Barber, Candes & Ramdas 2019): each patient weighs as much more often as patients
like it occur where the bound shall hold; the weights must be known.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.conformal import check_alpha, needed_marginal
from auditor.errors import ConfigError
from auditor.schema import Estimate

__all__ = [
    "checked_mix",
    "effective_n",
    "hcp_lower",
    "needed_effective",
    "site_mix_lower",
    "weighted_estimate",
    "weighted_lower",
]

Floats = NDArray[np.float64]
Condition = TypeVar("Condition", bound=Hashable)

_ROUNDING = 1e-9
"""Sums of weights are compared up to it: ten times .1 is no more than 1."""


def checked_mix(mix: Mapping[Condition, float], known: Mapping[Condition, object]) -> None:
    """Refuse a mix that is none of the measured conditions.

    Parameters
    ----------
    mix : condition (a severity, or a perturbation with one) -> share of the scans
    known : what was measured, by condition

    Raises
    ------
    ConfigError
        With every problem: unknown conditions, shares that are negative or no numbers, a sum that is not 1.
    """
    there = ", ".join(map(str, known)) or "none"
    problems = [
        f"{name}: not measured; conditions with scores are {there}"
        for name in mix
        if name not in known
    ]
    problems += [
        f"{name}: a share must lie in [0, 1], got {share}"
        for name, share in mix.items()
        if not 0 <= share <= 1
    ]
    total = math.fsum(mix.values())
    if not abs(total - 1) <= 1e-6:
        problems.append(f"the shares must sum to 1, they sum to {total:.6g}")
    if problems:
        msg = "the mix of conditions must say which share of the scans each measured condition has"
        raise ConfigError(msg, problems)


def hcp_lower(scores: Floats, mix: Floats, alpha: float) -> float | None:
    """Bound the score of a new patient whose scan has a severity drawn from a mix.

    Parameters
    ----------
    scores : (patients, severities)
        NaN: not known; it counts as below every bound, for what is not known must not raise one.
    mix : (severities,)
        Shares, at least 0, with sum 1.
    alpha : in (0, .5]

    Returns
    -------
    float or None
        None: not certifiable.

    Raises
    ------
    ValueError
        When shapes do not fit, or the shares are not those of a mix.

    Examples
    --------
    Nine patients certify at alpha = .1 nothing but their smallest score: 1 / 10 stands for the new one.

    >>> scores = np.stack([np.linspace(0.5, 0.9, 9), np.linspace(0.3, 0.7, 9)], axis=1)
    >>> hcp_lower(scores, np.array([0.5, 0.5]), 0.1)
    0.3
    """
    check_alpha(alpha)
    if scores.ndim != 2 or mix.shape != scores.shape[1:]:
        msg = f"scores must be (patients, severities) with one share each, got {scores.shape} and {mix.shape}"
        raise ValueError(msg)
    if not (np.all(mix >= 0) and abs(float(mix.sum()) - 1) <= 1e-6):
        msg = f"the shares of a mix must be at least 0 and sum to 1, got {mix.tolist()}"
        raise ValueError(msg)
    n = len(scores)
    if n < 2:
        return None
    weights = np.broadcast_to(mix / (n + 1), scores.shape)
    return _lowest(scores.ravel(), weights.ravel(), 1 / (n + 1), alpha)


def site_mix_lower(
    scores: Mapping[Condition, Floats], mix: Mapping[Condition, float], alpha: float
) -> Estimate:
    """Bound the score of a new patient under a stated mix of conditions, ready to print.

    Parameters
    ----------
    scores : condition -> (patients,)
        The same patients in the same order under every condition, the worst of their scans; NaN: not known.
    mix : condition -> share, with sum 1
    alpha : in (0, .5]

    Returns
    -------
    Estimate
        Its level is 1 - alpha; n counts patients with a score under some condition of the mix; the note
        says how many scores are missing, and with status ``not_certifiable`` how many patients it needs.

    Raises
    ------
    ConfigError
        When the mix does not sum to 1 or names a condition that is not there.

    Examples
    --------
    >>> site_mix_lower({0.0: np.ones(8), 1.0: np.ones(8)}, {0.0: 0.7, 1.0: 0.3}, 0.1).note
    'not certifiable with n = 8; needs n >= 9'
    """
    checked_mix(mix, scores)
    used = [name for name, share in mix.items() if share > 0]
    columns = np.stack([np.asarray(scores[name], dtype=np.float64) for name in used], axis=1)
    columns = columns[~np.isnan(columns).all(axis=1)]
    n, missing = len(columns), int(np.isnan(columns).sum())
    shares = np.array([mix[name] for name in used])
    value = hcp_lower(columns, shares / shares.sum(), alpha)
    told = _missing(missing, columns.size)
    method = "hierarchical conformal, stated mix"
    if value is None and n >= needed_marginal(alpha):
        note = f"not certifiable: {told}, by which more than {alpha:g} of the scans might lie below any bound"
        return Estimate(None, n, method, status="not_certifiable", note=note)
    if value is None:
        return _not_certifiable(n, method, f"n = {n}", f"n >= {needed_marginal(alpha)}", told)
    return Estimate(value, n, method, "lower", 1 - alpha, note=told)


def effective_n(weights: Floats) -> float:
    """Count the equally weighted patients that are worth as much: (sum w)^2 / sum w^2 (Kish 1965).

    Parameters
    ----------
    weights : (patients,), at least 0

    Returns
    -------
    float
        0 when all weights are 0.

    Examples
    --------
    >>> effective_n(np.array([1.0, 1.0, 1.0, 1.0])), effective_n(np.array([1.0, 0.0]))
    (4.0, 1.0)
    """
    squares = float((weights * weights).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def needed_effective(alpha: float) -> float:
    """Smallest effective number of patients from which a weighted bound is given: 1 / alpha - 1."""
    check_alpha(alpha)
    return round(1 / alpha, 9) - 1


def weighted_lower(
    scores: Floats, weights: Floats, new_weight: float, alpha: float
) -> float | None:
    """Bound the score of a new patient by weighted calibration scores.

    Parameters
    ----------
    scores : (patients,), without NaN
    weights : (patients,), at least 0
        How much more often such a patient occurs where the bound shall hold.
    new_weight : that of the new patient
    alpha : in (0, .5]

    Returns
    -------
    float or None
        None: not certifiable; the new patient weighs more than alpha, or the effective number of patients
        is below 1 / alpha - 1, so that a few of them carry the bound.

    Raises
    ------
    ValueError
        When a score is NaN, a weight negative or not finite, or all weights are 0.
    """
    check_alpha(alpha)
    if scores.ndim != 1 or scores.shape != weights.shape or np.isnan(scores).any():
        msg = (
            f"every score must be a number with one weight, got {scores.shape} and {weights.shape}"
        )
        raise ValueError(msg)
    every = np.append(weights, new_weight)
    if not (np.isfinite(every).all() and (every >= 0).all() and every.sum() > 0):
        msg = "weights must be finite, at least 0, and not all of them 0"
        raise ValueError(msg)
    if len(scores) < 2 or effective_n(weights) < needed_effective(alpha) - _ROUNDING:
        return None
    total = float(every.sum())
    return _lowest(scores, weights / total, new_weight / total, alpha)


def weighted_estimate(scores: Floats, weights: Floats, new_weight: float, alpha: float) -> Estimate:
    """Return the bound of `weighted_lower` with its effective number of patients, ready to print."""
    value = weighted_lower(scores, weights, new_weight, alpha)
    n, worth = len(scores), f"effective n = {effective_n(weights):.3g}"
    method = "weighted conformal"
    if value is None:
        needs = f"an effective n >= {needed_effective(alpha):.4g} and a new patient of weight <= {alpha:g}"
        return _not_certifiable(n, method, worth, needs, "")
    return Estimate(value, n, method, "lower", 1 - alpha, note=worth)


def _lowest(scores: Floats, weights: Floats, above: float, alpha: float) -> float | None:
    """Largest score with at most alpha below it; `above` is the weight at minus infinity.

    Scores that are not known lie at minus infinity too; scores without weight are none.
    """
    known = ~np.isnan(scores) & (weights > 0)
    values, place = np.unique(scores[known], return_inverse=True)
    if not values.size:
        return None
    mass = np.bincount(place, weights=weights[known])
    lost = above + float(weights[np.isnan(scores)].sum())
    below = lost + np.concatenate([[0.0], np.cumsum(mass)[:-1]])
    fitting = values[below <= alpha + _ROUNDING]
    return float(fitting[-1]) if fitting.size else None


def _missing(missing: int, planned: int) -> str:
    if not missing:
        return ""
    return f"{missing} of {planned} scores are missing and count as below the bound"


def _not_certifiable(n: int, method: str, found: str, needs: str, told: str) -> Estimate:
    note = f"not certifiable with {found}; needs {needs}"
    note = f"{note}; {told}" if told else note
    return Estimate(None, n, method, status="not_certifiable", note=note)
