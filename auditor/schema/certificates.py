"""The certificate of one system and label: what a new scan is rated with.

**Conventions.** Patients and cases appear under display ids; there is no path and no voxel. A number that
does not exist is None with a status. Sets of voxels are told by the smallest distance (mm; px for images
without a spacing) or probability that reaches the declared share, see `auditor.metrics.mask_families`.

A calibration scan is a clean scan of the audit, or one of its scans under a calibrated perturbation. Each
planned draw of a perturbation is a scan of its own; a patient's worst scan counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auditor.schema.inputs import PerturbationSpec, ReferenceRule
from auditor.schema.labels import ScoredLabel
from auditor.schema.site import SeverityAxis

__all__ = ["CERTIFICATE_VERSION", "CalibrationScan", "Certificate", "CertificateSpec"]

CERTIFICATE_VERSION = 1
"""Raised when a field is added or its meaning changes."""


@dataclass(frozen=True, slots=True)
class CertificateSpec:
    """What is declared of one certificate."""

    system: str
    """Name of the system in the audit."""
    label: str
    """Name of the label, or of a group of labels."""
    perturbations: tuple[str, ...] = ()
    """Planned perturbations whose severities are calibrated too; none: clean scans only."""
    alpha: float = 0.10
    """Share of new scans for which the bound may fail."""
    delta: float = 0.10
    """Probability that the calibration set is a bad one."""
    grades: tuple[float, float] = (0.0, 0.0)
    """Declared: lower bounds on the DSC from which a scan is graded A, and B; C below."""
    outer_share: float = 0.99
    """Share of the reference that the outer mask shall hold."""
    inner_share: float = 0.95
    """Share of the inner mask that shall belong to the reference."""
    copies: int = 8
    """Mildly perturbed copies of a scan whose masks are compared with its own; 0: no extra passes, the
    proxy is the self-DSC."""
    edges: tuple[float, ...] = ()
    """Of the *predicted* foreground ratio: each group is calibrated apart where patients suffice."""


@dataclass(frozen=True, slots=True)
class CalibrationScan:
    """One calibration scan under one condition."""

    case: str
    patient: str
    perturbation: str
    """``clean``, or the name of the axis."""
    severity: float
    replicate: int
    status: str
    """Of its DSC. ok; prediction_empty or reference_empty: the DSC is 0; both_empty, no_effect,
    not_applicable: there is nothing to calibrate; everything else failed and counts with DSC 0."""
    dsc: float | None
    """With the reference; None where the status says so."""
    agreement: float | None
    """Mean DSC of its mask with those of its mildly perturbed copies; None: not measured, or no copy of
    this scan could be made."""
    copies: int
    """Copies that took part in the agreement."""
    self_dsc: float | None
    """Of the probabilities with their own mask; None without probabilities, or without a mask."""
    foreground_ratio: float | None
    """Of the prediction: its voxels over those of the scan; None without a prediction."""
    estimate: float | None
    """Estimated level of the scan on the axis of `perturbation`; None on clean scans."""
    estimates: tuple[tuple[str, float | None], ...]
    """(axis, estimate) of every axis of the audit that has an estimator; None where it gives nothing."""
    outer_distance: float | None
    """Of `auditor.metrics.mask_scores`, as the three below. None: no distance reaches the share, as where
    the prediction is empty or failed."""
    inner_distance: float | None
    outer_probability: float | None
    """None also where the system gives no probabilities."""
    inner_probability: float | None


@dataclass(frozen=True, slots=True)
class Certificate:
    """The calibrated object with which a new scan is rated."""

    version: int
    tool: str
    """segaudit and its version."""
    audit: str
    """Name of the audit whose scans calibrated it."""
    plan_digest: str
    declared: CertificateSpec
    system: Mapping[str, Any]
    """How it is run: its entry of audit.yaml (input, window, output, flips, ..), without paths."""
    identity: str
    """Digest of checkpoint, contract and settings: what a prediction depends on."""
    sha256: str
    """Of the checkpoint."""
    label_members: tuple[str, ...]
    """Name of the label; of a group those of its labels."""
    label_numbers: tuple[int, ...]
    """In the label maps, of each member."""
    reference: str
    """What the DSC is measured against, in words."""
    reference_rule: ReferenceRule
    """The same as it was declared: further patients are scored against a mask made in the same way."""
    pre_declared: bool
    """Whether what is declared stood before the first result of the audit."""
    modality: str
    state: str
    """raw, windowed, normalised, skull_stripped."""
    channels: int
    """Of a scan."""
    length_unit: str
    """mm or px."""
    ndim: int
    """2 or 3."""
    spacing_low: tuple[float, ...]
    """Smallest spacing of the calibration scans along each array axis."""
    spacing_high: tuple[float, ...]
    copies: tuple[PerturbationSpec, ...]
    """The mild perturbations of the copies, each with the one level that is used."""
    seed: int
    """From which the draws of the copies derive, with the digest of the voxels."""
    axes: tuple[SeverityAxis, ...]
    """The run's own table from estimate to severity."""
    scans: tuple[CalibrationScan, ...]
    voxel_digests: tuple[str, ...]
    """SHA-256 of the voxels of every calibration scan as it is."""
    """Sorted; scans that could not be read have none."""
    digest: str = ""
    """SHA-256 of the rest, so that an edit by hand shows."""

    @property
    def scored(self) -> ScoredLabel:
        """What is certified."""
        return ScoredLabel(self.declared.label, self.label_members, self.label_numbers)
