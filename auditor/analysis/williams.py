"""Agreement of a system with raters, as a share of the agreement of raters with each other.

**Conventions.** As in `auditor.analysis.rater_agreement`: one number per patient, higher is better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.clusters import ratio_bounds
from auditor.analysis.intervals import FEW, bootstrap_weights
from auditor.analysis.rater_agreement import one_per_patient, two_sided_level
from auditor.schema import Estimate, WilliamsIndex

__all__ = ["williams_index"]

Floats = NDArray[np.float64]


def williams_index(
    model: Floats, between: Floats, *, margin: float, level: float, seed: int
) -> WilliamsIndex:
    """Compute the Williams index of a system with its interval over patients.

    Parameters
    ----------
    model, between : (patients,)
        Mean score of the system with the raters, and of the raters with each other, for each patient: both
        parts of `case_agreement`, averaged by `over_cases`.
    margin : in (0, 1)
        Share of the raters' agreement that may be missing.
    level : in (.5, 1)
        Of each one-sided bound; the interval is two-sided at 2 level - 1.
    seed : of the resampling

    Returns
    -------
    *Within* only when the lower bound is at least 1 - margin: an interval that merely holds 1 is absence of
    evidence.

    Raises
    ------
    ValueError
        When the arrays differ in length, or margin or level are out of range.

    Notes
    -----
    sum_i a_i / sum_i b_i, the ratio of means over patients and not the mean of ratios, which a patient whose
    raters hardly agree would rule (Williams, Biometrics 32, 619-627, 1976; Chalana & Kim, IEEE Trans
    Med Imaging 16, 642-652, 1997); its interval is `ratio_bounds`.
    """
    if model.shape != between.shape:
        msg = f"model and between must have one shape, got {model.shape} and {between.shape}"
        raise ValueError(msg)
    a = one_per_patient(model, margin=margin, level=level)
    b = one_per_patient(between, margin=margin, level=level)
    if margin >= 1:
        msg = f"margin of the Williams index is a share and must be below 1, got {margin:g}"
        raise ValueError(msg)
    n = len(a)
    total = float(b.sum())
    if total <= 0:
        note = "the raters do not agree on anything, so that no ratio exists"
        nothing = Estimate(
            None, n, "none", status="undefined" if n else "not_assessable", note=note
        )
        return WilliamsIndex(
            nothing, margin, level, "too few patients" if n < FEW else "undetermined"
        )
    index = float(a.sum()) / total
    if n < FEW:
        note = f"{n} patient(s) are too few to compare; at least {FEW} are needed"
        point = Estimate(index, n, "descriptive", status="too_few", note=note)
        return WilliamsIndex(point, margin, level, "too few patients")
    ends = ratio_bounds(a, b, bootstrap_weights(n, seed), level=level)
    if ends is None:
        note = "the ratio is the same in all patients; resampling says nothing of others"
        point = Estimate(index, n, "descriptive", status="degenerate", note=note)
        return WilliamsIndex(point, margin, level, "undetermined")
    low, high = max(0.0, ends[0]), ends[1]
    point = Estimate(
        index,
        n,
        "studentized bootstrap of a ratio of means",
        "two-sided",
        two_sided_level(level),
        low,
        high,
    )
    if low >= 1 - margin:
        return WilliamsIndex(point, margin, level, "within (conditional)")
    return WilliamsIndex(
        point, margin, level, "outside (conditional)" if high < 1 - margin else "undetermined"
    )
