"""What a certificate is made of, measured where masks and references are: rows beside those of an evaluation.

Of each prediction that calibrates a certificate are stored: the share of the scan that it marks, the
margins that its outer and inner mask need to keep their promise, in mm and in probability, and under a
perturbation the agreement with its mildly perturbed copies (clean scans have it from the plan's own
evaluations). The clean scan's row of the share carries the digest of its voxels, so that the scan is
known again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from auditor.config import AuditConfig
from auditor.config.certificates import calibrated_by, certificate_seed, mild_copies
from auditor.execution.agreement import (
    CopyAgreement,
    copy_agreements,
    mean_agreement,
    voxel_digest,
)
from auditor.execution.scoring import probability_of, without_probability
from auditor.metrics.mask_scores import ScanScores, scan_scores
from auditor.metrics.policy import NOT_ASKED
from auditor.schema import (
    CLEAN,
    CertificateSpec,
    OutputSpec,
    Record,
    Row,
    Status,
)
from auditor.systems.running import Failure, Prediction
from perturbations import Scan, estimate

__all__ = [
    "AGREEMENT",
    "MARGINS",
    "PREDICTED_RATIO",
    "Calibrator",
    "lost_calibration",
]

AGREEMENT = "agreement"
"""Mean DSC of a mask with those of its mild copies; facts: how many took part, and failed."""

PREDICTED_RATIO = "predicted_ratio"
"""Voxels of the predicted mask over those of the scan; facts: what is known of the scan itself."""

MARGINS = ("outer_distance", "inner_distance", "outer_probability", "inner_probability")
"""Fields of `auditor.metrics.mask_scores.ScanScores`."""

_NOT_STORED = ("noncentral_chi_noise", "thick_slices", "ghosting")
"""Axes whose estimate has no column of its own in the rows of a scan."""


class Calibrator:
    """Measures what the certificates of an audit are made of."""

    def __init__(self, config: AuditConfig) -> None:
        self._certificates = config.certificates
        self._labels = {label.name: label for label in config.scored}
        self._planned = config.perturbations
        self._seed = certificate_seed(config.seed)

    def rows(
        self,
        template: Row,
        scan: Scan,
        outcome: Prediction | Failure,
        *,
        reference: Tensor,
        output: OutputSpec,
        predict: Callable[[Tensor], Prediction | Failure],
    ) -> list[Row]:
        """Measure one prediction; no rows where it calibrates nothing.

        Parameters
        ----------
        template : Row
            System, case and condition; the rest is filled in here.
        scan : Scan
            That was predicted, clean or perturbed.
        outcome : Prediction or Failure
            A failure gives the same rows without values.
        reference : (z, y, x) or (y, x)
            Label map.
        output : OutputSpec
            What the probabilities are of.
        predict : callable
            Asks the system for another image of the same grid.
        """
        specs = calibrated_by(self._certificates, template.system, template.perturbation)
        if not specs:
            return []
        facts = self._facts(template, scan)
        if isinstance(outcome, Failure):
            known = None if outcome.status in NOT_ASKED else facts
            return lost_calibration(template, specs, outcome.status, outcome.reason, facts=known)
        agreed = self._agreements(template, scan, outcome.labels, specs, predict)
        found: list[Row] = []
        for spec in specs:
            label = self._labels[spec.label]
            blank = _blank(template, spec)
            mask = label.mask(outcome.labels)
            ratio = float(mask.sum()) / mask.numel()
            found.append(replace(blank, metric=PREDICTED_RATIO, value=ratio, facts=facts))
            why_not = without_probability(label, output)
            scores = scan_scores(
                mask,
                label.mask(reference),
                scan.spacing,
                outer_share=spec.outer_share,
                inner_share=spec.inner_share,
                probability=(
                    None if why_not else probability_of(label, output, outcome.probabilities)
                ),
            )
            found += [_margin_row(blank, it, scores, why_not, empty=ratio == 0.0) for it in MARGINS]
            if spec.copies and template.perturbation != CLEAN:
                own = mild_copies(self._planned, spec.copies)
                found.append(_agreement_row(blank, agreed[label.name][: len(own)]))
        return found

    def _agreements(
        self,
        template: Row,
        scan: Scan,
        labels: Tensor,
        specs: Sequence[CertificateSpec],
        predict: Callable[[Tensor], Prediction | Failure],
    ) -> Mapping[str, tuple[CopyAgreement, ...]]:
        """Predict the copies once for all labels; those of clean scans are evaluations of the plan."""
        if template.perturbation == CLEAN:
            return {}
        return copy_agreements(
            scan,
            labels,
            of=[self._labels[spec.label] for spec in specs],
            copies=mild_copies(self._planned, max(spec.copies for spec in specs)),
            seed=self._seed,
            predict=predict,
        )

    def _facts(self, template: Row, scan: Scan) -> str:
        """Write down what is known of the scan itself, and stored nowhere else."""
        if template.perturbation == CLEAN:
            return json.dumps(
                {"channels": int(scan.image.shape[0]), "voxels": voxel_digest(scan.image)}
            )
        axes = [
            it.name
            for it in self._planned
            if it.name in _NOT_STORED and it.name != template.perturbation and not it.iso_effect
        ]
        found = {name: estimate.estimate_level(name, scan) for name in axes}
        return json.dumps({"estimates": found}, sort_keys=True)


def lost_calibration(
    template: Row,
    specs: Sequence[CertificateSpec],
    status: Status,
    reason: str,
    *,
    facts: str | None = None,
) -> list[Row]:
    """Give the rows of an evaluation without a prediction: every planned one, without a value."""
    found = []
    for spec in specs:
        lost = replace(_blank(template, spec), status=status.value, reason=reason)
        names = [PREDICTED_RATIO, *MARGINS]
        if spec.copies and template.perturbation != CLEAN:
            names.append(AGREEMENT)
        found += [
            replace(lost, metric=name, facts=facts if name == PREDICTED_RATIO else None)
            for name in names
        ]
    return found


def _blank(template: Row, spec: CertificateSpec) -> Row:
    return replace(template, record=Record.CALIBRATION.value, label=spec.label, region=None)


def _agreement_row(blank: Row, of_copies: Sequence[CopyAgreement]) -> Row:
    mean = mean_agreement(of_copies)
    return replace(
        blank,
        metric=AGREEMENT,
        value=mean.value,
        status=(Status.OK if mean.value is not None else Status.NOT_APPLICABLE).value,
        reason=mean.reason,
        facts=json.dumps({"copies": mean.copies, "failed": mean.failed}),
    )


def _margin_row(blank: Row, name: str, scores: ScanScores, why_not: str, *, empty: bool) -> Row:
    value: float | None = getattr(scores, name)
    row = replace(blank, metric=name)
    if value is None:
        return replace(row, status=Status.NOT_APPLICABLE.value, reason=why_not)
    if math.isfinite(value):
        return replace(row, value=value)
    if empty:
        reason = "the prediction is empty, and has no margin"
        return replace(row, status=Status.PREDICTION_EMPTY.value, reason=reason)
    reason = "no margin below the whole image holds the declared share of the reference"
    return replace(row, status=Status.NOT_FINITE.value, reason=reason)
