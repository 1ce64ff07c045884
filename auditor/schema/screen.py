"""What `segaudit screen` finds in half an hour: screen.json.

**Conventions.** Patients and cases appear under display ids, no path, no NaN. A *drop* is the DSC of a
patient's clean scan minus the DSC of the same scan under a perturbation, mean over the labels of which
both have a value; positive is worse. An evaluation that failed counts as DSC 0 and is counted apart; a
level without effect and a scan that cannot be perturbed count in no drop. The only times are the limit,
what was spent, and what the whole audit is expected to take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auditor.schema.audited import MetricInfo, StatusCount, SystemRecord
from auditor.schema.estimates import Estimate

__all__ = [
    "SCREEN_VERSION",
    "AuditCost",
    "CleanValue",
    "DrawnCase",
    "Drop",
    "LabelDrop",
    "Screen",
    "Vulnerability",
]

SCREEN_VERSION = 1
"""Of screen.json."""


@dataclass(frozen=True, slots=True)
class CleanValue:
    """One label of one clean scan."""

    label: str
    dsc: float | None
    """None: see the status."""
    distance: float | None
    """In the unit of the distance metric."""
    status: str
    """Of the DSC."""
    reason: str
    """Why there is no value."""


@dataclass(frozen=True, slots=True)
class DrawnCase:
    """One drawn patient with the one case of it that is looked at."""

    patient: str
    """P007, as in every audit of the same cases."""
    case: str
    """C012, likewise."""
    clean: tuple[CleanValue, ...]
    """One per label; empty: not reached."""
    perturbations: int
    """Perturbations that this patient has met."""


@dataclass(frozen=True, slots=True)
class LabelDrop:
    """Drop of one label at one severity."""

    label: str
    n: int
    """Patients."""
    mean: float | None
    """None where no patient has both values."""


@dataclass(frozen=True, slots=True)
class Drop:
    """One perturbation at one severity, paired with the same patients' clean scans."""

    severity: float
    level: float | None
    unit: str
    n: int
    """Patients that enter the drop."""
    mean: float | None
    """None where none does."""
    smallest: float | None
    """Of one patient."""
    largest: float | None
    """Of one patient."""
    failures: int
    """Patients among n whose evaluation failed and counts as DSC 0."""
    statuses: tuple[StatusCount, ...]
    """Of every evaluation, one per patient."""
    reasons: tuple[str, ...]
    """Of the evaluations that were not ok, each once."""
    distance_rise: float | None
    """Median rise of the distance metric over the patients of which both are known."""
    distance_n: int
    """Those patients."""
    labels: tuple[LabelDrop, ...]
    """Each label on its own."""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """One perturbation: how much it hurts, and its place."""

    perturbation: str
    family: str
    rank: int | None
    """1: hurts most; those that print alike share a rank; None: nothing can be ranked, see `note`."""
    area: Estimate
    """Mean over the severities of a patient's drop, mean over the patients; no interval with too few."""
    severities: tuple[float, ...]
    """That enter the area."""
    drops: tuple[Drop, ...]
    """Of every planned severity."""
    reached: int
    """Patients whose scan was perturbed so, of those drawn."""
    note: str
    """Why there is no rank, or what was left out; empty: nothing to say."""


@dataclass(frozen=True, slots=True)
class AuditCost:
    """What the drafted audit takes."""

    patients: int
    cases: int
    evaluations: int
    seconds: float | None
    """Of one worker, from the units that were measured here; None: none was."""
    measured_units: int
    """Units behind it."""
    disk_mb: float
    free_mb: float


@dataclass(frozen=True, slots=True)
class Screen:
    """The whole of screen.json."""

    version: int
    tool: str
    """segaudit and its version."""
    name: str
    stamp: Literal["EXPLORATORY"]
    """Always: patients were looked at before anything was declared."""
    modality: str
    state: str
    """raw, windowed, normalised, skull_stripped."""
    seed: int
    preset: str
    reference_rule: str
    length_unit: str
    """mm or px."""
    system: SystemRecord
    labels: tuple[str, ...]
    metrics: tuple[MetricInfo, ...]
    """DSC, and the distance."""
    patients: int
    """Of the data."""
    drawn: tuple[DrawnCase, ...]
    """In the order of their ids."""
    vulnerabilities: tuple[Vulnerability, ...]
    """Ranked ones first."""
    planned: int
    """Evaluations."""
    done: int
    """Of them."""
    statuses: tuple[StatusCount, ...]
    """Of those that were done."""
    ended: str
    """finished, time limit, interrupted."""
    limit_s: float
    """Of this call."""
    spent_s: float
    """By this call, until the last unit."""
    cost: AuditCost
    said: tuple[str, ...]
    """What was taken for granted, in sentences: labels from the references, axes that nobody declared."""
    config_digest: str
    plan_digest: str
    manifest_digest: str
    draft_sha256: str
    """Of the drafted audit.yaml: another one was changed by somebody, and is left alone."""
    remaining: int
    """Patients that were not drawn: those of a confirmatory audit."""
