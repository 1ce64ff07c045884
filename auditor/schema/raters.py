"""How much the raters of the clean scans agree with each other, and each system with them.

**Conventions.** DSC of two empty masks is 1 here, of one empty mask 0: whether there is an object at all
is part of the agreement. A surface distance is only there where every rater marked something. Numbers of
a case are means over its pairs of raters; estimates are means over patients, cases averaged first.
"""

from __future__ import annotations

from dataclasses import dataclass

from auditor.schema.estimates import Estimate
from auditor.schema.rater_tests import AnnotatorTest, RangeTest, WilliamsIndex

__all__ = ["RaterCase", "RaterLabel", "RaterResults", "RaterSystem"]


@dataclass(frozen=True, slots=True)
class RaterCase:
    """The raters of one case on one label."""

    label: str
    case: str
    """Display id."""
    patient: str
    """Display id."""
    raters: int
    empty: int
    """Raters that marked nothing."""
    dsc: float | None
    """Mean over the pairs of raters."""
    assd: float | None
    """Mean over the pairs, mm (px); None: some rater marked nothing."""
    volume: float | None
    """Mean over raters, in the unit of volumes."""
    volume_range: float | None
    """Largest minus smallest."""
    volume_cv: float | None
    """Standard deviation over mean; None: nobody marked anything."""
    ged: float | None
    """Squared generalised energy distance of each rater to the others, mean."""
    kappa: float | None
    """Fleiss' kappa over the voxels of the image; it depends on the field of view."""


@dataclass(frozen=True, slots=True)
class RaterLabel:
    """Agreement of the raters on one label."""

    label: str
    cases: int
    """With two raters or more."""
    patients: int
    fewest: int
    """Raters on a case."""
    most: int
    dsc: Estimate
    assd: Estimate
    volume_range: Estimate
    volume_cv: Estimate
    ged: Estimate
    kappa: Estimate
    everybody: int
    """Cases on which every rater marked something."""
    nobody: int
    """Cases on which none did."""
    disputed: int
    """Cases on which some did and some did not."""
    size_and_dsc: Estimate
    """Spearman's rank correlation of the object's volume with 1 - DSC: bound to size when far from 0."""
    size_and_assd: Estimate
    """... with ASSD: hardly bound to size."""


@dataclass(frozen=True, slots=True)
class RaterSystem:
    """One system against the raters, on one label of the clean scans; a failed prediction counts as DSC 0."""

    system: str
    label: str
    dsc: Estimate
    """With each rater, mean."""
    between: Estimate
    """Of the raters with each other, on the same cases."""
    difference: Estimate
    """Of the two; positive: the system agrees better."""
    lower: Estimate
    """One-sided lower bound of the difference, with a phantom patient where they are few."""
    upper: Estimate
    """One-sided upper bound of the difference, likewise."""
    test: RangeTest | None
    """By the declared margin; None: no margin was declared."""
    williams: Estimate
    """`dsc` over `between`, ratio of means."""
    williams_test: WilliamsIndex | None
    """By the declared margin; None: no margin was declared."""
    system_consensus: Estimate
    """DSC of the system with the consensus of all raters but one, mean over the ones."""
    rater_consensus: Estimate
    """DSC of the one left out with that consensus."""
    consensus_difference: Estimate
    """Of the two; not assessable where the tie rule that the consensus needs was not declared."""
    consensus_test: RangeTest | None
    """By the declared margin; None: no margin was declared, or there is no consensus."""
    annotators: tuple[AnnotatorTest, ...]
    """In the place of each rater: positions pooled, then, as if each kept his column, one by one."""
    scores: tuple[tuple[str, Estimate], ...]
    """(rater-aware metric, mean over patients with a value)."""
    points: tuple[tuple[str, float, float], ...]
    """(case, mean DSC of the raters with each other, mean DSC of the system with each rater)."""


@dataclass(frozen=True, slots=True)
class RaterResults:
    """Everything that several raters tell."""

    labels: tuple[RaterLabel, ...]
    systems: tuple[RaterSystem, ...]
    """Empty where raters are looked at alone."""
    cases: tuple[RaterCase, ...]
    """Of each label, the largest disagreement first: disputed objects, then by ASSD."""
    volume_unit: str
    notes: tuple[str, ...]
    """What a reader must know, in words."""
