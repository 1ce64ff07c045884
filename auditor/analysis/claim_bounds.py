"""The numbers of a claim: what each patient counts as, bounds of their mean or share, and the verdict.

**Conventions.** Failed cases count at their named worst value, and as beyond the value of a share. PASS
needs the bound on the side of the claim, FAIL the opposite bound on the other side; between them the
evidence is insufficient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.intervals import (
    DRAWS,
    FEW,
    bootstrap_weights,
    clopper_pearson_lower,
    clopper_pearson_upper,
    studentized_bounds,
    unseen_rate,
)
from auditor.analysis.phantom import paired_bounds, phantom_lower, phantom_upper
from auditor.schema import CriterionSpec, Verdict

__all__ = [
    "PASSED",
    "ClaimBounds",
    "attainable",
    "claim_bounds",
    "claim_scores",
    "decide",
    "needed_at_best",
    "resampled",
    "total_miss",
]

Floats = NDArray[np.float64]

PASSED = (Verdict.PASS, Verdict.PASS_CONDITIONAL)
"""Verdicts of a claim that is met."""

_SEARCH_DRAWS = 1000
"""Draws of each step of a search, which is said to be approximate."""

_MANY = 1_000_000
"""A claim that no perfect data of so many patients could meet cannot be met."""


@dataclass(frozen=True, slots=True)
class ClaimBounds:
    """A point estimate with its one-sided bounds; None where too few patients bound anything."""

    point: float | None
    lower: float | None
    upper: float | None
    method: str


def total_miss(spec: CriterionSpec) -> float:
    """Return what a patient counts as on whom the system fails completely: drop 1, all others 0."""
    return 1.0 if spec.form == "mean_drop_at_most" else 0.0


def claim_scores(spec: CriterionSpec, values: Floats) -> Floats:
    """Share: 1 where a patient reaches the value; otherwise the values themselves."""
    if spec.form != "share_of_patients_at_least":
        return values
    if spec.value_at_least is not None:
        return (values >= spec.value_at_least).astype(np.float64)
    assert spec.value_at_most is not None  # the configuration asks for one of them
    return (values <= spec.value_at_most).astype(np.float64)


def claim_bounds(
    spec: CriterionSpec, scored: Floats, level: float, seed: int, counts: Floats | None = None
) -> ClaimBounds:
    """Bound the mean or share; `counts`: of a search, how many patients each number stands for."""
    n = len(scored)
    point = float(scored.mean())
    if spec.form == "share_of_patients_at_least":
        reached = int(scored.sum())
        return ClaimBounds(
            point,
            clopper_pearson_lower(reached, n, level=level),
            clopper_pearson_upper(reached, n, level=level),
            "Clopper-Pearson",
        )
    column = scored[:, None]
    if resampled(spec):
        weights = bootstrap_weights(n, seed, DRAWS if counts is None else _SEARCH_DRAWS)
        low, high = studentized_bounds(column, weights, level=level)
        # where hardly any patient differs the resampled bound is infinite: the range itself bounds then
        least = -1.0 if spec.form == "mean_drop_at_most" else 0.0
        low, high = np.clip(low, least, 1.0), np.clip(high, least, 1.0)
        return ClaimBounds(point, float(low[0]), float(high[0]), "studentized bootstrap")
    if spec.form == "mean_drop_at_most":
        low, high = paired_bounds(column, level=level, counts=counts)
        return ClaimBounds(point, float(low[0]), float(high[0]), "phantom bound, paired")
    low = phantom_lower(column, level=level, counts=counts)
    high = phantom_upper(column, level=level, counts=counts)
    return ClaimBounds(point, float(low[0]), float(high[0]), "phantom bound")


def resampled(spec: CriterionSpec) -> bool:
    """Tell whether a claim is judged by resampling: conditional on no unseen collapse."""
    return spec.evidence == "conditional" and spec.form != "share_of_patients_at_least"


def decide(spec: CriterionSpec, bounds: ClaimBounds) -> Verdict:
    """Compare the bounds with the threshold: met, missed, or neither."""
    if bounds.lower is None or bounds.upper is None:
        return Verdict.INSUFFICIENT
    passed = Verdict.PASS_CONDITIONAL if resampled(spec) else Verdict.PASS
    if spec.form == "mean_drop_at_most":
        if bounds.upper <= spec.threshold:
            return passed
        return Verdict.FAIL if bounds.lower > spec.threshold else Verdict.INSUFFICIENT
    if bounds.lower >= spec.threshold:
        return passed
    return Verdict.FAIL if bounds.upper < spec.threshold else Verdict.INSUFFICIENT


def attainable(spec: CriterionSpec, patients: int, *, level: float) -> bool:
    """Tell whether any data of this many patients could pass; needs no data.

    Assured claims: with n perfect patients the bound is (1 - level)^(1/n), and a drop below
    1 - (1 - level)^(1/n) cannot be assured. Conditional means need ten patients.
    """
    if patients < 2:
        return False  # one patient bounds nothing
    best = 1 - unseen_rate(patients, level=level)
    if spec.form == "share_of_patients_at_least":
        return best >= spec.threshold
    if spec.evidence == "conditional":
        return patients >= FEW
    if spec.form == "mean_drop_at_most":
        return 1 - best <= spec.threshold
    return best >= spec.threshold


def needed_at_best(spec: CriterionSpec, level: float) -> int | None:
    """Fewest patients of whom perfect data would pass; None: no number would."""
    if not attainable(spec, _MANY, level=level):
        return None
    low, high = 1, _MANY  # one patient never suffices
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if attainable(spec, middle, level=level) else (middle, high)
    return high
