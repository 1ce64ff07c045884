"""``results.json``: every number that the report shows, and nothing that it does not need.

**Conventions.** A number is an `Estimate`: value, interval, n, level, method and status together.
Cases and patients appear under display ids. There is no NaN, no date, no duration and no path, so
identical audits give identical bytes. Lists are sorted by their identifying fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from auditor.schema.ablations import AblationCurve, NetworkFacts
from auditor.schema.audited import (
    AuditInfo,
    CaseRow,
    Condition,
    MetricInfo,
    StatusCount,
    StratumInfo,
    SystemRecord,
)
from auditor.schema.claims import FailureSensitivity, Waiver
from auditor.schema.coverage import CoverageRow, StratumBounds
from auditor.schema.decisions import Decision
from auditor.schema.difficulty import DifficultyAxis, DoseResponse, RangeDropDifference, WindowStudy
from auditor.schema.estimates import Estimate
from auditor.schema.layers import LayerSusceptibility
from auditor.schema.measured import MeasuredElsewhere
from auditor.schema.raters import RaterResults
from auditor.schema.ratings import CertificateFacts
from auditor.schema.response import (
    CoefficientOfVariation,
    EnvelopeRow,
    Repeatability,
    Response,
    RobustnessMeasure,
)
from auditor.schema.textures import FailureTypes, FamilyDifference, FamilyMeasures, TrainTestMatrix

RESULTS_VERSION = 4
"""Raised when a field is added or its meaning changes."""


class Verdict(StrEnum):
    """What the evidence says about a criterion."""

    PASS = "PASS"
    PASS_CONDITIONAL = "PASS (conditional)"
    FAIL = "FAIL"
    INSUFFICIENT = "INSUFFICIENT EVIDENCE"
    NOT_ATTAINABLE = "NOT ATTAINABLE"
    NOT_RUN = "NOT RUN"
    WAIVED = "WAIVED"
    CONTRACT_IN_DOUBT = "CONTRACT IN DOUBT"


@dataclass(frozen=True, slots=True)
class Summary:
    """One metric of one label for one system, condition and stratum."""

    system: str
    perturbation: str
    severity: float
    level: float | None
    unit: str
    label: str
    metric: str
    region: str
    axis: str
    """``all``, or the axis of strata."""
    stratum: str
    """``all``, or the name of the stratum."""
    statuses: tuple[StatusCount, ...]
    """Of the evaluations that it is made of."""
    mean: Estimate
    """Two-sided; descriptive when too few patients."""
    lower: Estimate
    """Phantom-zero bound of the mean, for metrics in [0, 1]; else not_assessable."""
    drop: Estimate
    """Paired change for the worse from clean (positive: worse); at clean: not_assessable."""
    median: float | None
    minimum: float | None
    maximum: float | None
    worst_case_mean: float | None
    """Mean with failed and undefined cases at the metric's named worst value."""
    share: Estimate | None = None
    """Share of patients within the metric's declared value, failed ones beyond it; None: none is
    declared."""
    proven: tuple[Estimate, ...] = ()
    """Lower bounds of the same mean that rest on no conjecture (betting, Hoeffding), on all cases."""


@dataclass(frozen=True, slots=True)
class ConformalBound:
    """Split-conformal lower bound on the DSC of a new case, at one severity."""

    system: str
    label: str
    perturbation: str
    severity: float
    level: float | None
    unit: str
    alpha: float
    delta: float
    n: int
    rank: int
    """k = floor((n + 1) alpha); 0: not certifiable."""
    bound: float | None
    pac_rank: int
    pac_bound: float | None
    needed: int
    """Smallest n for which a marginal bound exists."""
    needed_pac: int
    held: int
    """Patients, each left out of the calibration, for which the marginal bound held."""
    counted: int
    clean_held: int
    """... for which the bound calibrated on *clean* scans held at this severity."""
    clean_verdict: str
    """by construction, BROKEN, no evidence of breaking, not certifiable."""
    status: str
    clean_counted: int = 0
    """Patients with a score here and on clean scans; 0: the clean bound is not certifiable."""
    coverage_low: float | None = None
    """5 % quantile of the coverage over calibration sets, Beta(n + 1 - rank, rank); None at rank 0."""
    shortfall: float | None = None
    """Probability that a calibration set of n patients covers less than 1 - alpha; None at rank 0."""


@dataclass(frozen=True, slots=True)
class ControlRow:
    """One control system: what it must show, and whether it did."""

    name: str
    title: str
    expectation: str
    """In words: 'mean DSC is 1'."""
    label: str
    perturbation: str
    severity: float
    mean: float | None
    n: int
    passed: bool | None
    """None: shown for orientation, nothing is expected."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems on the same patients, at one condition."""

    first: str
    """Earlier of the two in the order of the configuration."""
    second: str
    perturbation: str
    severity: float
    level: float | None
    unit: str
    label: str
    metric: str
    difference: Estimate
    """Mean of (first - second), patients paired; positive favours the first for DSC."""
    adjusted: bool
    """The interval is simultaneous over the pairs of this condition."""
    verdict: str
    """Name of the preferred system, or 'no clear winner'."""


@dataclass(frozen=True, slots=True)
class CriterionResult:
    """One criterion with its verdict and what would change it."""

    id: str
    text: str
    system: str
    label: str
    metric: str
    perturbation: str
    severity: float
    level: float | None
    unit: str
    form: str
    threshold: float
    evidence: str
    hazard: str
    required: bool
    verdict: Verdict
    estimate: Estimate
    """The point estimate with its n."""
    bound: Estimate
    """The bound that decides a PASS."""
    opposite: Estimate
    """The bound that decides a FAIL."""
    needed_patients: int | None
    """About how many patients would decide it if they were like these; None: none would."""
    change: str
    """What would change the verdict, in words."""
    waiver: Waiver | None = None
    """Who decided not to insist on it, and why; None: nobody."""
    sensitivity: FailureSensitivity | None = None
    """What hangs on patients without a number; None: nothing was judged."""


@dataclass(frozen=True, slots=True)
class WorstCase:
    """One evaluation among the worst."""

    system: str
    case: str
    patient: str
    perturbation: str
    severity: float
    level: float | None
    unit: str
    label: str
    metric: str
    value: float | None
    status: str
    reason: str
    drop: float | None
    """From the same case's clean scan."""


@dataclass(frozen=True, slots=True)
class ExhibitSelection:
    """One evaluation of which pictures are shown, and by which rule it was chosen."""

    id: str
    """E-01."""
    rule: Literal["worst", "worst drop", "random"]
    system: str
    case: str
    perturbation: str
    severity: float
    level: float | None
    unit: str
    label: str
    metric: str
    value: float | None
    status: str
    mask_digest: str


@dataclass(frozen=True, slots=True)
class Headline:
    """The five answers of the front page, as numbers."""

    label: str
    metric: str
    clean: tuple[tuple[str, Estimate], ...]
    """(system, mean on clean scans)."""
    hardest: tuple[tuple[str, str, str, Estimate], ...]
    """(system, axis, stratum, mean): the stratum with the lowest mean."""
    steepest: tuple[tuple[str, str, float, float | None, str, Estimate], ...]
    """(system, perturbation, severity, level, unit, drop): largest drop at severity 3, the last that
    is meant to lie in what is seen in practice (or the nearest planned one)."""
    promised: tuple[tuple[str, Estimate, int, int], ...]
    """(system, marginal conformal bound on clean scans, held, counted)."""
    best_clean: tuple[str, ...]
    """Systems that none beats significantly on clean scans."""
    best_noise: tuple[str, ...]
    """Systems that none beats significantly under noise at `noise_severity`."""
    noise_perturbation: str
    noise_severity: float
    noise_level: float | None
    noise_unit: str


@dataclass(frozen=True, slots=True)
class Results:
    """The whole of results.json."""

    version: int
    audit: AuditInfo
    headline: Headline
    systems: tuple[SystemRecord, ...]
    cases: tuple[CaseRow, ...]
    conditions: tuple[Condition, ...]
    labels: tuple[str, ...]
    metrics: tuple[MetricInfo, ...]
    strata: tuple[StratumInfo, ...]
    statuses: tuple[StatusCount, ...]
    """Of all planned evaluations of the systems (controls apart)."""
    planned: int
    """Planned evaluations of the systems."""
    summaries: tuple[Summary, ...]
    conformal: tuple[ConformalBound, ...]
    comparisons: tuple[Comparison, ...]
    criteria: tuple[CriterionResult, ...]
    overall: str
    """Overall verdict, or why there is none."""
    worst: tuple[WorstCase, ...]
    difficulty: tuple[DifficultyAxis, ...]
    """Every meaning of difficulty for every system and label, in their order."""
    controls: tuple[ControlRow, ...]
    exhibits: tuple[ExhibitSelection, ...]
    not_assessed: tuple[str, ...]
    """What this audit says nothing about, in words."""
    limits: tuple[str, ...]
    """What a reader must not conclude, in words."""
    dose: tuple[DoseResponse, ...] = ()
    """How the clean DSC grows with the foreground ratio."""
    sweeps: tuple[WindowStudy, ...] = ()
    """Checkpoints that were audited under several windows."""
    trained_patches: tuple[WindowStudy, ...] = ()
    """Families with checkpoints that were trained per patch size, each under its own patch."""
    range_drops: tuple[RangeDropDifference, ...] = ()
    """What leaving the training range costs one family more than another."""
    raters: RaterResults | None = None
    """How much raters agree, and systems with them; None: no case has two raters."""
    coverage: tuple[CoverageRow, ...] = ()
    """Whether bounds made on clean scans carry over, by severity and stratum."""
    stratum_bounds: tuple[StratumBounds, ...] = ()
    """Bounds on clean scans for each group of cases, or pooled where groups are too small."""
    decisions: tuple[Decision, ...] = ()
    """Every choice behind the numbers, and who made it, in the order of the configuration."""
    responses: tuple[Response, ...] = ()
    """Response of the main metric to every perturbation, by system, label and perturbation."""
    envelope: tuple[EnvelopeRow, ...] = ()
    """What is supported of the declared limits, axis by axis."""
    repeatability: Repeatability = field(default_factory=Repeatability)
    """Independent draws of the same condition, apart from patients."""
    robustness: tuple[RobustnessMeasure, ...] = ()
    """Measures of the literature; descriptive."""
    coefficient_of_variation: tuple[CoefficientOfVariation, ...] = ()
    """Over all conditions, clean among them; descriptive."""
    measured: MeasuredElsewhere | None = None
    """How a table of measurements was read; None: the audit ran the systems itself."""
    certificates: tuple[CertificateFacts, ...] = ()
    """What new scans are rated with, in the order of the configuration; none in a preview."""
    networks: tuple[NetworkFacts, ...] = ()
    """Skip connections of the networks of which a system is ablated."""
    ablations: tuple[AblationCurve, ...] = ()
    """What replacing skip connections costs, by base, skips, kind, label and condition."""
    layers: tuple[LayerSusceptibility, ...] = ()
    """How far perturbations move activations."""
    train_test: tuple[TrainTestMatrix, ...] = ()
    """Families by the condition of their training and of the test."""
    family_differences: tuple[FamilyDifference, ...] = ()
    """Families against each other, by the condition of their training and of the test."""
    families: tuple[FamilyMeasures, ...] = ()
    """Measures of the literature by family of training runs and by group of families; descriptive."""
    failure_types: tuple[FailureTypes, ...] = ()
    """How predictions fail, by system, label and condition."""
