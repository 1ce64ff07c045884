"""How much independent draws of one condition differ, with what lies between patients taken apart.

**Conventions.** A replicate is another draw of the same perturbation at the same severity on the same
scan. The within-patient SD is the root of the mean over patients of the variance between draws (Bland &
Altman, BMJ 313:744, 1996); the repeatability coefficient is 1.96 sqrt(2) of it (Raunig et al., Stat Methods
Med Res 24, 2015). Draws that failed count at their worst value. What repeats here is the draw of the
perturbation: a system that gives another answer to the same scan is another question.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.intervals import FEW, studentized_interval
from auditor.analysis.promises import main_columns
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Column, Key, over_patients
from auditor.schema import Estimate, Repeatability, RepeatabilityRow

__all__ = ["COEFFICIENT", "between_sd", "repeatability", "variances"]

Floats = NDArray[np.float64]

COEFFICIENT = 1.96 * math.sqrt(2)
METHOD = "studentized bootstrap of the mean variance over patients"


def variances(draws: Floats) -> Floats:
    """Variance between the draws of each case, with n - 1; NaN where a case has fewer than two.

    Parameters
    ----------
    draws : (cases, replicates), NaN without a number

    Returns
    -------
    (cases,)

    Examples
    --------
    >>> variances(np.array([[0.8, 0.9], [0.5, np.nan]])).round(9).tolist()
    [0.005, nan]
    """
    known = ~np.isnan(draws)
    count = known.sum(axis=1)
    total = np.where(known, draws, 0.0).sum(axis=1)
    mean = total / np.maximum(count, 1)
    squares = np.where(known, (draws - mean[:, None]) ** 2, 0.0).sum(axis=1)
    return np.where(count > 1, squares / np.maximum(count - 1, 1), np.nan)


def between_sd(means: Floats, within: Floats, counts: Floats) -> float | None:
    """SD between patients with the share of the draws taken off: a component of variance, at least 0.

    var(means) - mean(within / draws), the estimator of one-way analysis of variance where all patients
    have as many draws (Searle, Casella & McCulloch, Variance Components, 1992).

    Parameters
    ----------
    means, within, counts : (patients,)
        Mean over draws (and cases), variance between draws, number of draws behind the mean.

    Returns
    -------
    None with fewer than two patients.

    Examples
    --------
    >>> round(between_sd(np.array([0.5, 0.9]), np.array([0.02, 0.02]), np.array([2.0, 2.0])), 6)
    0.264575
    """
    if len(means) < 2:
        return None
    spread = float(means.var(ddof=1) - (within / counts).mean())
    return math.sqrt(max(0.0, spread))


def repeatability(columns: Mapping[Key, Column], setup: AnalysisSetup) -> Repeatability:
    """Describe the draws of every condition that was drawn more than once."""
    rows = [
        _row(key, column, setup)
        for info in setup.metrics
        for key, column in main_columns(columns, info.name).items()
        if ((~np.isnan(column.draws)).sum(axis=1) > 1).any()
    ]
    rows.sort(key=lambda it: (it.system, it.perturbation, it.severity, it.label, it.metric))
    drawn = {it.perturbation for it in rows}
    once = tuple(it.name for it in setup.perturbations if it.name not in drawn)
    return Repeatability(tuple(rows), once)


def _row(key: Key, column: Column, setup: AnalysisSetup) -> RepeatabilityRow:
    each = variances(column.draws)
    usable = ~np.isnan(each)
    patients = setup.patient_numbers
    within = over_patients(each, patients, usable)
    means = over_patients(column.judged, patients, usable)
    known_draws = (~np.isnan(column.draws)).sum(axis=1).astype(np.float64)
    draws = np.bincount(patients[usable], weights=known_draws[usable]).astype(np.float64)
    known = set(patients[~np.isnan(column.judged)])
    failed = set(patients[column.missing & ~np.isnan(column.judged) & usable])
    spread, coefficient, limit = _estimates(within, means, key, setup)
    return RepeatabilityRow(
        system=key.system,
        label=key.label,
        metric=key.metric,
        perturbation=key.perturbation,
        severity=key.severity,
        level=column.level,
        unit=column.unit,
        replicates=column.draws.shape[1],
        within=spread,
        coefficient=coefficient,
        limit=limit,
        between=between_sd(means, within, draws[draws > 0]),
        left_out=len(known) - len(within),
        failed=len(failed),
    )


def _estimates(
    within: Floats, means: Floats, key: Key, setup: AnalysisSetup
) -> tuple[Estimate, Estimate, Estimate]:
    """Within-patient SD, its share of the mean in per cent, and the repeatability coefficient."""
    n = len(within)
    if n == 0:
        note = "no patient has two draws with a number"
        none = Estimate(None, 0, "none", status="not_assessable", note=note)
        return none, none, none
    spread = _spread(within, setup)
    info, mean = setup.metric(key.metric), float(means.mean())
    if info.low is None or info.low < 0 or mean <= 0:
        note = "a share of the mean needs a metric that is never negative, and a mean above 0"
        coefficient = Estimate(None, n, "none", status="not_assessable", note=note)
    else:
        coefficient = _scaled(spread, lambda value: 100 * value / mean)
    return spread, coefficient, _scaled(spread, lambda value: COEFFICIENT * value)


def _spread(within: Floats, setup: AnalysisSetup) -> Estimate:
    """Root of the mean variance, with the roots of the ends of its interval."""
    n, level = len(within), setup.audit.interval_level
    value = math.sqrt(float(within.mean()))
    if n < FEW:
        note = f"{n} patient(s): described, not inferred from (needs n >= {FEW})"
        return Estimate(value, n, "descriptive", status="too_few", note=note)
    low, high = studentized_interval(within[:, None], setup.weights(n), level=level, bounded=False)
    ends = float(low[0]), float(high[0])
    if ends[0] == ends[1] or not np.isfinite(ends).all():
        note = "too few patients differ for a resampling interval"
        return Estimate(value, n, "descriptive", status="degenerate", note=note)
    low_end, high_end = (math.sqrt(max(0.0, end)) for end in ends)
    return Estimate(value, n, METHOD, "two-sided", level, low_end, high_end)


def _scaled(estimate: Estimate, change: Callable[[float], float]) -> Estimate:
    """Carry an estimate through a rising linear function of it; the mean counts as known."""

    def of(value: float | None) -> float | None:
        return None if value is None else change(value)

    return Estimate(
        of(estimate.value),
        estimate.n,
        estimate.method,
        estimate.side,
        estimate.level,
        of(estimate.low),
        of(estimate.high),
        estimate.status,
        estimate.note,
    )
