"""What an audit was made of, as ``results.json`` tells it beside the numbers.

**Conventions.** Those of `results`: display ids, no NaN, no date, no duration and no path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auditor.schema.ablations import AblationSpec
from auditor.schema.inputs import Contract
from auditor.schema.systems import TrainingFacts


@dataclass(frozen=True, slots=True)
class AuditInfo:
    """What was audited, and how it was declared."""

    name: str
    purpose: str
    """confirmatory or exploratory."""
    stamp: Literal["EXPLORATORY", "PRE-DECLARED", "WITNESSED"]
    modality: str
    state: str
    """raw, windowed, normalised, skull_stripped."""
    seed: int
    tool_version: str
    plan_digest: str
    config_digest: str
    manifest_digest: str
    preview: bool
    """True after --limit: no verdicts."""
    criteria_level: float
    """One-sided confidence level of verdicts."""
    interval_level: float
    """Level of two-sided intervals."""
    reference_rule: str
    """How the reference is made: 'given', 'majority of 3 raters, ties above half'."""
    length_unit: str
    """mm or px."""
    excluded_patients: int = 0
    """Patients of the cases that were left out by a list before anything was looked at."""
    excluded_digest: str = ""
    """SHA-256 of their names."""
    label_groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(name, its labels) of the unions of labels among the labels of the results."""


@dataclass(frozen=True, slots=True)
class StatusCount:
    """How many evaluations ended how."""

    status: str
    n: int


@dataclass(frozen=True, slots=True)
class SystemRecord:
    """One audited system."""

    name: str
    family: str
    training_seed: int | None
    format: str
    """onnx, torchscript, exported, callable."""
    sha256: str
    size_bytes: int
    contract: Contract
    golden_pairs: int
    golden_agreement: float | None
    """Smallest DSC with the maker's own outputs."""
    claimed: tuple[tuple[str, float], ...]
    claimed_source: str
    sandbox: tuple[str, ...]
    """Layers that were active while it ran."""
    statuses: tuple[StatusCount, ...]
    """Of its planned evaluations."""
    findings: tuple[str, ...] = ()
    """Safety and contract findings in words."""
    settings: tuple[tuple[str, str], ...] = ()
    """(name, value) of what is set beside the contract: batch, device, flips, precision, threads."""
    training: TrainingFacts | None = None
    """Declared facts of the training."""
    architecture_group: str = ""
    """Kind of architecture that the family belongs to; empty: not stated."""
    ablation: AblationSpec | None = None
    """What is replaced in the network, without paths; None: it ran as it is."""


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case, under its display id."""

    case: str
    patient: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    raters: int
    foreground_ratio: tuple[tuple[str, float | None], ...]
    """(label, ratio)."""
    rater_assd: tuple[tuple[str, float | None], ...]
    rater_dsc: tuple[tuple[str, float | None], ...]
    native_noise: float | None
    """Estimated noise of the clean scan, % of S_ref."""
    metadata: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """One perturbation at one severity, with its measured effect (medians over scans)."""

    perturbation: str
    family: str
    """Family of the perturbation: noise, blur, geometry ..; empty for clean."""
    severity: float
    level: float | None
    unit: str
    n_scans: int
    n_no_effect: int
    nrmse: float | None
    psnr: float | None
    ssim: float | None
    contrast_to_noise: float | None
    native_level: float | None
    """Median estimated level of the clean scans on this axis."""
    native_low: float | None
    """5th percentile of it."""
    native_high: float | None
    """95th percentile of it."""
    estimated_level: float | None
    stress: bool
    """True for severities beyond what is seen in practice (4 and 5)."""
    n_not_applicable: int = 0
    """Scans of which there is no such perturbed scan."""
    axis_unit: str = ""
    """Of native and estimated levels; that of the level, where that is no similarity."""
    n_masked: int = 0
    """Scans whose background was removed before, and is left as it is."""
    facts: tuple[tuple[str, float, float, float], ...] = ()
    """(name with unit, smallest, median, largest) of what else was recorded of the scans."""
    invariant: tuple[str, ...] = ()
    """Systems whose own normalisation takes the change away exactly."""


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What a metric is; printed beside its numbers."""

    name: str
    title: str
    unit: str
    """Empty for a ratio; ml, mm², voxels, mm, px, %, lesions."""
    low: float | None
    high: float | None
    higher_is_better: bool
    definition: str
    reference: str
    parameters: tuple[tuple[str, float], ...]
    policy: tuple[tuple[str, str], ...] = ()
    """(status, words): what it says when a mask is empty or nothing was measured; ``failed`` stands
    for every evaluation without a usable mask."""
    worst: str = ""
    """What stands in for a missing value in the worst-case analysis, in words."""
    blind: str = ""
    """Why a total miss may look good on it; empty where it cannot."""


@dataclass(frozen=True, slots=True)
class StratumInfo:
    """One axis of strata."""

    axis: str
    label: str
    kind: Literal["inferential", "descriptive", "not assessable"]
    """inferential: frozen before the first prediction."""
    edges: tuple[float, ...]
    names: tuple[str, ...]
    patients: tuple[int, ...]
    """Patients in each; one with cases in several groups counts in each of them."""
    note: str
    rule: str = ""
    """How groups are made: declared edges, tertiles, training range, categories, cross."""
    unit: str = ""
    """Of values and edges; empty: a share, a number or categories."""
    minimum: int = 10
    """Groups of fewer patients are too few to infer from."""
    shared: int = 0
    """Patients with cases in more than one group."""
    window: str = ""
    """Windows in which the share of foreground is measured, in words; empty: none."""
    system: str = ""
    """Whose windows or training range they are; empty: of none."""
    cross: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(axis, its groups) of the two axes of a cross; `names` runs through the second axis first."""
