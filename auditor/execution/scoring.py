"""From one prediction to its rows: masks, proxies and metrics of every label.

A geometric perturbation is scored in the original frame: probabilities are warped back and decided
there, against the unchanged reference. Its main row counts only what stayed inside the field of
view (`retained`), a second one the whole image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from auditor.metrics.measure import (
    NO_PROBABILITY,
    Measured,
    Reference,
    measure_label,
    prepare_reference,
    undefined,
)
from auditor.proxies import agreement, self_dsc
from auditor.schema import (
    Geometry,
    MetricSpec,
    OutputSpec,
    Record,
    Region,
    Row,
    ScoredLabel,
    Status,
)
from perturbations import Warp

__all__ = ["Scorer", "mask_digest", "measured_rows", "probability_of", "without_probability"]


def mask_digest(labels: Tensor) -> str:
    """First 16 hex digits of the SHA-256 of a label map (16 bits each, C order), however it is kept."""
    content = labels.contiguous().numpy().astype(np.uint16).tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def without_probability(label: ScoredLabel, output: OutputSpec | None) -> str:
    """Say why a system gives no probability of a label; empty when it gives one.

    Parameters
    ----------
    label : ScoredLabel
        A label or a group.
    output : OutputSpec or None
        Of the system; None for a control, which is a mask.

    Returns
    -------
    str
        The probability of a group is the sum of those of its labels where they exclude each other
        (softmax). Sigmoid channels may hold at once, and nothing says how often they do.
    """
    if output is None or output.activation == "labels":
        return NO_PROBABILITY
    if label.is_group and "sigmoid" in output.activation:
        return (
            "the probability of a group is not defined for sigmoid outputs, whose channels do not "
            "exclude each other"
        )
    return ""


def probability_of(
    label: ScoredLabel, output: OutputSpec | None, probabilities: Tensor | None
) -> Tensor | None:
    """Probability map of a label, or of a group: the sum of its labels'; None where there is none.

    Parameters
    ----------
    label : ScoredLabel
    output : OutputSpec or None
        Of the system: what its probabilities are of; None for a control.
    probabilities : (label, z, y, x) or None
        One channel per label of the output.
    """
    if probabilities is None or output is None:
        return None
    if label.is_group and "sigmoid" in output.activation:
        return None
    order = [name for name, _ in output.labels]
    chosen = [probabilities[order.index(member)] for member in label.members]
    if len(chosen) == 1:
        return chosen[0]
    # rounding may lift a sum above 1
    return torch.stack(chosen).sum(dim=0).clamp(max=1.0)


@dataclass(frozen=True, slots=True)
class Scorer:
    """The references of one case, prepared once, against which all its predictions are scored."""

    labels: tuple[ScoredLabel, ...]
    """Labels and groups."""
    metrics: tuple[MetricSpec, ...]
    references: Mapping[str, Reference]
    """Per label, of the reference that counts."""
    voxel_ml: float
    """Volume of one voxel in ml; 1 pixel for images without a spacing."""

    @staticmethod
    def of(
        mask: Tensor,
        geometry: Geometry,
        *,
        labels: tuple[ScoredLabel, ...],
        metrics: tuple[MetricSpec, ...],
    ) -> Scorer:
        """Prepare the reference of one case.

        Parameters
        ----------
        mask : (z, y, x) or (y, x), int16 or int32
            Label numbers.
        geometry : Geometry
            Of the mask.
        labels, metrics
            What to measure.
        """
        volume = 1.0
        for spacing in geometry.spacing:
            volume *= spacing
        return Scorer(
            labels=labels,
            metrics=metrics,
            references={
                label.name: prepare_reference(
                    label.mask(mask), spacing=geometry.spacing, unit=geometry.unit
                )
                for label in labels
            },
            voxel_ml=volume / 1000.0 if geometry.unit == "mm" else volume,
        )

    def rows(
        self,
        labels: Tensor,
        *,
        template: Row,
        output: OutputSpec | None = None,
        probabilities: Tensor | None = None,
        clean: Tensor | None = None,
        warp: Warp | None = None,
        seconds: float | None = None,
    ) -> list[Row]:
        """Score one predicted label map.

        Parameters
        ----------
        labels : (z, y, x) or (y, x), int16 or int32
            Prediction in the original frame.
        template : Row
            System, case and condition; the rest is filled in here.
        output : OutputSpec, optional
            Of the system: what its probabilities are of; a control has none.
        probabilities : (label, z, y, x), optional
            In the original frame, one channel per label of the output; for the self-DSC and for
            metrics that need them.
        clean : like labels, optional
            The same system's prediction of the clean scan.
        warp : Warp, optional
            Of a geometric perturbation: adds the retained region as the main one.
        seconds : float, optional
            Wall time of the prediction.
        """
        digest = mask_digest(labels)
        rows: list[Row] = []
        for label in self.labels:
            mask = label.mask(labels)
            probability = probability_of(label, output, probabilities)
            why_not = without_probability(label, output)
            rows.append(
                replace(
                    template,
                    record=Record.EVALUATION.value,
                    label=label.name,
                    predicted_volume_ml=float(mask.sum()) * self.voxel_ml,
                    # label maps are no probabilities: they would always be sure of themselves
                    self_dsc=(None if probability is None or why_not else self_dsc(probability)),
                    clean_agreement=None if clean is None else agreement(mask, label.mask(clean)),
                    mask_digest=digest,
                    seconds=seconds,
                )
            )
            regions: list[tuple[Region, Tensor | None]] = [(Region.WHOLE, None)]
            if warp is not None:
                regions.insert(0, (Region.RETAINED, warp.retained))
            for region, inside in regions:
                measured = measure_label(
                    mask,
                    self.references[label.name],
                    metrics=self.metrics,
                    region=inside,
                    probability=None if why_not else probability,
                    no_probability=why_not,
                )
                rows += measured_rows(measured, template, label.name, region)
        return rows

    def failed(
        self,
        template: Row,
        status: Status,
        reason: str,
        *,
        geometric: bool,
        output: OutputSpec | None = None,
    ) -> list[Row]:
        """Rows of an evaluation that has no prediction: every planned number, with the status."""
        template = replace(template, status=status.value, reason=reason)
        regions = (Region.RETAINED, Region.WHOLE) if geometric else (Region.WHOLE,)
        rows: list[Row] = []
        for label in self.labels:
            rows.append(replace(template, record=Record.EVALUATION.value, label=label.name))
            measured = undefined(
                self.metrics,
                status,
                reason,
                self.references[label.name],
                no_probability=without_probability(label, output),
            )
            for region in regions:
                rows += measured_rows(measured, template, label.name, region)
        return rows


def measured_rows(
    found: Sequence[Measured], template: Row, label: str, region: Region
) -> list[Row]:
    """Write what was measured of one label in one region as rows; the template says the rest."""
    return [
        replace(
            template,
            record=Record.MEASUREMENT.value,
            label=label,
            region=region.value,
            metric=measured.metric,
            value=measured.value,
            status=measured.status.value,
            reason=measured.reason,
            worst=measured.worst,
        )
        for measured in found
    ]
