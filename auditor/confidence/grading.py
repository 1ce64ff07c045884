"""What a grade is worth: how often scans of that grade kept what their grade stands for.

A bound holds for its share of all scans together, not among those with the grade A. So beside every grade
stands what was counted: of the calibration patients with this grade, each rated by the others, so many
had a DSC that reaches the threshold.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auditor.analysis.intervals import clopper_pearson
from auditor.analysis.proxy_scores import proxy_bound
from auditor.confidence.calibration import Calibration, Family, left_out_offsets
from auditor.schema import Estimate
from auditor.schema.ratings import Grade, GradeOutcome

__all__ = ["LEVEL", "Graded", "grade_of", "left_out_outcomes", "outcomes_of"]

LEVEL = 0.95
"""Of the two-sided intervals of shares."""


@dataclass(frozen=True, slots=True)
class Graded:
    """One scan with its grade and what it turned out to be."""

    patient: str
    grade: Grade
    dsc: float


def grade_of(bound: float | None, grades: tuple[float, float]) -> Grade:
    """Grade a lower bound.

    Parameters
    ----------
    bound : float, optional
        Of the DSC; None: nothing is promised.
    grades : (float, float)
        Declared thresholds of A and B.

    Examples
    --------
    >>> [grade_of(it, (0.8, 0.6)).value for it in (0.8, 0.79, 0.1, None)]
    ['A', 'B', 'C', 'NR']
    """
    if bound is None:
        return Grade.NOT_RATED
    return Grade.A if bound >= grades[0] else Grade.B if bound >= grades[1] else Grade.C


def outcomes_of(
    scans: Sequence[Graded], grades: tuple[float, float], *, method: str
) -> tuple[GradeOutcome, ...]:
    """Count, for A, B and C, the patients whose scans of that grade reach its threshold.

    Parameters
    ----------
    scans : sequence of Graded
        Several of one patient count together: all of them must reach it.
    grades : (float, float)
        Thresholds of A and B; what is graded C is held against that of B.
    method : str
        How the grades were given, as printed.
    """
    thresholds = {Grade.A: grades[0], Grade.B: grades[1], Grade.C: grades[1]}
    return tuple(_outcome(grade, at, scans, method) for grade, at in thresholds.items())


def _outcome(grade: Grade, threshold: float, scans: Sequence[Graded], method: str) -> GradeOutcome:
    found: dict[str, list[float]] = {}
    for scan in scans:
        if scan.grade is grade:
            found.setdefault(scan.patient, []).append(scan.dsc)
    n = len(found)
    if n == 0:
        none = Estimate(None, 0, method, status="undefined", note="no patient has this grade")
        return GradeOutcome(grade, threshold, none, None)
    reached = sum(min(values) >= threshold for values in found.values())
    low, high = clopper_pearson(reached, n, level=LEVEL)
    share = Estimate(reached / n, n, method, "two-sided", LEVEL, low, high)
    mean = float(np.mean([np.mean(values) for values in found.values()]))
    return GradeOutcome(grade, threshold, share, mean)


@functools.lru_cache(maxsize=256)
def left_out_outcomes(
    calibration: Calibration, family: Family, number: int
) -> tuple[GradeOutcome, ...]:
    """Grade the calibration scans of a bin, each patient by all others, and count what they were.

    Parameters
    ----------
    calibration : Calibration
    family : Family
        One of its own.
    number : int
        Of the bin.
    """
    spec = calibration.certificate.declared
    scans = family.bins[number].scans
    offsets = {
        group: left_out_offsets(family, number, group, alpha=spec.alpha)
        for group in {scan.group for scan in scans}
    }
    graded = []
    for scan in scans:
        offset = offsets[scan.group][scan.patient]
        proxy = scan.proxy if calibration.proxy else None
        bound = None if offset is None or not scan.rated else proxy_bound(offset, proxy)
        graded.append(Graded(scan.patient, grade_of(bound, spec.grades), scan.dsc))
    return outcomes_of(graded, spec.grades, method="Clopper-Pearson, each patient left out")
