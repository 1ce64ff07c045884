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
from torch import Tensor

from auditor.metrics.measure import Reference, measure_label, prepare_reference, undefined
from auditor.proxies import agreement, self_dsc
from auditor.schema import Geometry, MetricSpec, Record, Region, Row, Status
from perturbations import Warp

__all__ = ["Scorer", "mask_digest"]


def mask_digest(labels: Tensor) -> str:
    """First 16 hex digits of the SHA-256 of a label map (16 bits each, C order), however it is kept."""
    content = labels.contiguous().numpy().astype(np.uint16).tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Scorer:
    """The references of one case, prepared once, against which all its predictions are scored."""

    labels: tuple[tuple[str, int], ...]
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
        labels: tuple[tuple[str, int], ...],
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
                name: prepare_reference(
                    mask == number, spacing=geometry.spacing, unit=geometry.unit
                )
                for name, number in labels
            },
            voxel_ml=volume / 1000.0 if geometry.unit == "mm" else volume,
        )

    def rows(
        self,
        labels: Tensor,
        *,
        template: Row,
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
        probabilities : (label, z, y, x), optional
            In the original frame; for the self-DSC.
        clean : like labels, optional
            The same system's prediction of the clean scan.
        warp : Warp, optional
            Of a geometric perturbation: adds the retained region as the main one.
        seconds : float, optional
            Wall time of the prediction.
        """
        digest = mask_digest(labels)
        rows: list[Row] = []
        for channel, (name, number) in enumerate(self.labels):
            mask = labels == number
            rows.append(
                replace(
                    template,
                    record=Record.EVALUATION.value,
                    label=name,
                    predicted_volume_ml=float(mask.sum()) * self.voxel_ml,
                    self_dsc=None if probabilities is None else self_dsc(probabilities[channel]),
                    clean_agreement=None if clean is None else agreement(mask, clean == number),
                    mask_digest=digest,
                    seconds=seconds,
                )
            )
            regions: list[tuple[Region, Tensor | None]] = [(Region.WHOLE, None)]
            if warp is not None:
                regions.insert(0, (Region.RETAINED, warp.retained))
            for region, inside in regions:
                rows += self._measured(mask, name, region, inside, template)
        return rows

    def failed(self, template: Row, status: Status, reason: str, *, geometric: bool) -> list[Row]:
        """Rows of an evaluation that has no prediction: every planned number, with the status."""
        template = replace(template, status=status.value, reason=reason)
        regions = (Region.RETAINED, Region.WHOLE) if geometric else (Region.WHOLE,)
        rows: list[Row] = []
        for name, _ in self.labels:
            rows.append(replace(template, record=Record.EVALUATION.value, label=name))
            for region in regions:
                rows += [
                    replace(
                        template,
                        record=Record.MEASUREMENT.value,
                        label=name,
                        region=region.value,
                        metric=measured.metric,
                        worst=measured.worst,
                    )
                    for measured in undefined(self.metrics, status, reason, self.references[name])
                ]
        return rows

    def _measured(
        self, mask: Tensor, name: str, region: Region, inside: Tensor | None, template: Row
    ) -> Sequence[Row]:
        return [
            replace(
                template,
                record=Record.MEASUREMENT.value,
                label=name,
                region=region.value,
                metric=measured.metric,
                value=measured.value,
                status=measured.status.value,
                worst=measured.worst,
            )
            for measured in measure_label(
                mask, self.references[name], metrics=self.metrics, region=inside
            )
        ]
