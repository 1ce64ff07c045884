"""Promises for groups of cases, and how often those made on clean scans were kept."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.schema.estimates import Estimate

__all__ = ["CoverageRow", "GroupBound", "StratumBounds"]


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """The marginal bound made on clean scans, counted at one severity on patients left out of it."""

    system: str
    label: str
    perturbation: str
    severity: float
    level: float | None
    unit: str
    axis: str
    """``all``, or the axis of strata."""
    stratum: str
    """``all``, or the name of the stratum; the bound is made on all patients, and counted in it."""
    alpha: float
    """Nominal: the bound may fail for so many."""
    n: int
    """Patients with a score on clean scans; each is judged by the bound of the others."""
    rank: int
    """Of the bound of n - 1 patients; 0: not certifiable."""
    needed: int
    """Smallest n with such a bound."""
    held: int
    """Patients of the group for whom it held at this severity, in all their cases."""
    counted: int
    """Patients of the group with a score here and on clean scans."""
    missing: int
    """Patients of the group without one of the two: no effect, not applicable, both masks empty."""
    share: Estimate
    """held of counted, Clopper-Pearson; approximate, for the calibration set is shared."""
    mean_bound: float | None
    """Over the counted patients."""
    chance_low: int | None
    """What chance alone gives for so many further patients if the bound carries over (beta-binomial,
    two-sided 95 %)."""
    chance_high: int | None
    verdict: str
    """by construction, BROKEN, no evidence of breaking, too few patients, nothing to count, not
    certifiable."""


@dataclass(frozen=True, slots=True)
class GroupBound:
    """Lower bound on the score of a new patient of one group."""

    group: str
    """Its name."""
    patients: int
    """Of the group."""
    own: bool
    """False: the bound is pooled over all groups, and holds for all patients together only."""
    n: int
    """Patients that the bound is made of."""
    rank: int
    """0: not certifiable."""
    bound: float | None
    pac_rank: int
    pac_bound: float | None
    note: str
    """Why it is pooled; empty for a bound of its own."""


@dataclass(frozen=True, slots=True)
class StratumBounds:
    """Bounds on the DSC of clean scans for the groups of one axis."""

    system: str
    label: str
    axis: str
    """Of strata."""
    alpha: float
    delta: float
    least: int
    """Patients that every group needs for bounds of its own."""
    needed: int
    """Smallest n with a marginal bound."""
    needed_pac: int
    groups: tuple[GroupBound, ...]
    """In the order of the axis; groups without a score are not listed."""
