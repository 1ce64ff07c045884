"""Clean predictions against each rater, and the raters against each other.

**Conventions.** These are measurement rows beside those that count: their ``reference`` names what is scored
against. ``rater_2``: that rater; ``without_rater_2``: the consensus of all others, so that neither side of a
comparison with rater 2 has helped to make it; ``raters``: all of them together. With an even number of
others the consensus needs the declared tie rule; without one these rows are left out.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from auditor.cases import LoadedCase
from auditor.cases.raters import without
from auditor.execution.scoring import measured_rows, probability_of, without_probability
from auditor.metrics.boxes import bounding_box
from auditor.metrics.measure import Measured
from auditor.metrics.policy import status_of
from auditor.metrics.rater_metrics import (
    CURVAS_BINS,
    QUBIQ_THRESHOLDS,
    consensus_dsc,
    qubiq_dice,
    rater_ece,
)
from auditor.metrics.rater_volumes import volume_crps
from auditor.metrics.reference import voxel_volume
from auditor.schema import (
    Geometry,
    OutputSpec,
    Record,
    Region,
    Row,
    ScoredLabel,
    Status,
)
from auditor.strata.rater_sets import generalised_energy_distance
from auditor.strata.raters import RaterDisagreement, rater_disagreement

__all__ = ["ALL_RATERS", "RaterPanel", "disagreements", "rater_properties"]

ALL_RATERS = "raters"
"""What the rater-aware metrics are measured against."""

_LOWEST = QUBIQ_THRESHOLDS[0] / 2
"""Below every threshold that a probability is held against."""

_WORST = {"qubiq_dice": 0.0, "consensus_dsc": 0.0, "ged": 2.0}
"""Rater-aware metric that every prediction has -> its worst case, where it is an end of its range."""


@dataclass(frozen=True, slots=True)
class RaterPanel:
    """The raters of one case, prepared once: two or more."""

    labels: tuple[ScoredLabel, ...]
    """Labels and groups."""
    masks: Mapping[str, Tensor]
    """rater_1 and on: label maps of the whole image."""
    geometry: Geometry
    box: tuple[slice, ...]
    """Smallest box with everything that a rater marked: most of a scan is background."""
    against: Mapping[str, Tensor]
    """What is scored against: label maps of each rater, and of the consensus without each, cut to `box`."""

    @staticmethod
    def of(
        case: LoadedCase, *, labels: tuple[ScoredLabel, ...], tie: str | None
    ) -> RaterPanel | None:
        """Prepare the raters of a case; None when there are fewer than two.

        Parameters
        ----------
        case : LoadedCase
        labels : tuple of ScoredLabel
            Labels and groups; a consensus is made label by label, and a group is the union of that.
        tie : str or None
            How an even number of others is counted; None: not declared.
        """
        masks = case.raters
        if len(masks) < 2:
            return None
        box = _box([it != 0 for it in masks.values()])
        maps = {name: mask[box] for name, mask in masks.items()}
        if len(masks) % 2 == 0 or tie is not None:
            numbers = list(dict.fromkeys(number for label in labels for number in label.numbers))
            ordered = list(maps.values())
            maps |= {
                f"without_{name}": without(ordered, place, numbers, tie=tie or "above_half")
                for place, name in enumerate(masks)
            }
        return RaterPanel(labels, masks, case.geometry, box, maps)

    def rows(
        self,
        prediction: Tensor,
        *,
        template: Row,
        output: OutputSpec | None = None,
        probabilities: Tensor | None = None,
    ) -> list[Row]:
        """Score one clean prediction against every rater, every consensus, and all raters together.

        Parameters
        ----------
        prediction : (z, y, x) or (y, x), int16
        template : Row
            System, case and condition.
        output : OutputSpec, optional
            Of the system: what its probabilities are of.
        probabilities : (label, z, y, x), optional
            For the metrics that read them, one channel per label of the output.
        """
        rows: list[Row] = []
        for label in self.labels:
            mask = label.mask(prediction)
            soft = probability_of(label, output, probabilities)
            if soft is not None:  # rounding may leave [0, 1] by a last bit
                soft = None if without_probability(label, output) else soft.clamp(0.0, 1.0)
            for against, reference in self.against.items():
                found = _dsc(mask[self.box], int(mask.sum()), label.mask(reference))
                rows += _rows([found], template, label.name, against)
            rows += _rows(self._against_all(mask, soft, label), template, label.name, ALL_RATERS)
        return rows

    def failed(
        self, template: Row, status: Status, reason: str, *, output: OutputSpec | None = None
    ) -> list[Row]:
        """Give the rows of a clean prediction that does not exist, as many as if it did.

        Parameters
        ----------
        template : Row
            System, case and condition.
        status : Status
            Why there is none.
        reason : str
            One sentence.
        output : OutputSpec, optional
            Of the system: whether there would have been probabilities.
        """
        template = replace(template, status=status.value, reason=reason)
        rows: list[Row] = []
        for label in self.labels:
            for against in self.against:
                lacking = [Measured("dsc", None, status, 0.0, reason)]
                rows += _rows(lacking, template, label.name, against)
            worst = {**_WORST, "volume_crps": self._volume_crps(0.0, label).worst}
            if not without_probability(label, output):
                worst["rater_ece"] = 1.0
            lacking = [Measured(it, None, status, most, reason) for it, most in worst.items()]
            rows += _rows(lacking, template, label.name, ALL_RATERS)
        return rows

    def control_rows(self, template: Row) -> list[Row]:
        """Score each rater against each other one, and against the consensus of all others."""
        rows: list[Row] = []
        for rater, prediction in self.masks.items():
            own = replace(template, system=f"control:{rater}")
            others = [name for name in self.masks if name != rater]
            for label in self.labels:
                mask = label.mask(prediction[self.box])
                for against, reference in self.against.items():
                    if against == f"without_{rater}" or against in others:
                        found = _dsc(mask, int(mask.sum()), label.mask(reference))
                        rows += _rows([found], own, label.name, against)
        return rows

    def property_rows(self, template: Row, known: Mapping[str, RaterDisagreement]) -> list[Row]:
        """Write what several raters tell of the case, as rows of properties.

        Number of raters, how many of them marked nothing, their mean volume with its spread, Fleiss'
        kappa, and the mean squared generalised energy distance of each rater to the others.

        Parameters
        ----------
        template : Row
            Case and condition.
        known : mapping of label to RaterDisagreement
            Of these raters.
        """
        rows = []
        for label in self.labels:
            masks = [label.mask(it[self.box]) for it in self.masks.values()]
            rows += [
                replace(
                    template,
                    record=Record.PROPERTY.value,
                    reference=None,
                    label=label.name,
                    metric=name,
                    value=value,
                    status=(Status.OK if value is not None else Status.BOTH_EMPTY).value,
                    reason="" if value is not None else why,
                )
                for name, (value, why) in rater_properties(masks, known[label.name]).items()
            ]
        return rows

    def _volume_crps(self, volume: float, label: ScoredLabel) -> Measured:
        """Score a predicted volume against those of the raters."""
        step = voxel_volume(self.geometry.spacing, self.geometry.unit)
        return volume_crps(
            volume,
            [float(label.mask(it[self.box]).sum()) * step for it in self.masks.values()],
            image_volume=math.prod(self.geometry.shape) * step,
        )

    def _against_all(self, mask: Tensor, soft: Tensor | None, label: ScoredLabel) -> list[Measured]:
        """Measure a prediction beside all raters; soft: its probabilities, where it has some."""
        step = voxel_volume(self.geometry.spacing, self.geometry.unit)
        volume = float(mask.sum() if soft is None else soft.sum(dtype=torch.float64)) * step
        # what neither a rater nor the lowest threshold marks changes none of the first three
        seen = mask if soft is None else mask | (soft > _LOWEST)
        box = _united(self.box, _box([seen]))
        near = [label.mask(it[box]) for it in self.masks.values()]
        inside = mask[box]
        energy = generalised_energy_distance([inside], near)
        found = [
            qubiq_dice(inside if soft is None else soft[box], near),
            consensus_dsc(inside, near),
            Measured("ged", energy, Status.OK, _WORST["ged"]),
            self._volume_crps(volume, label),
        ]
        if soft is not None:
            whole = [label.mask(it) for it in self.masks.values()]
            found.append(rater_ece(soft, whole, bins=CURVAS_BINS))
        return found


def disagreements(case: LoadedCase, labels: Sequence[ScoredLabel]) -> dict[str, RaterDisagreement]:
    """Compare the raters of a case on every label and group; a case may have none."""
    grid = case.geometry
    return {
        label.name: rater_disagreement(
            [label.mask(mask) for mask in case.raters.values()], grid.spacing, grid.unit
        )
        for label in labels
    }


def rater_properties(
    masks: list[Tensor], found: RaterDisagreement
) -> dict[str, tuple[float | None, str]]:
    """Collect what two or more raters tell of one label: name -> (value, why there is none).

    Parameters
    ----------
    masks : one per rater, bool, (z, y, x) or (y, x)
    found : RaterDisagreement
        Of the same masks.
    """
    volume = found.volume
    assert volume is not None  # there are two raters
    apart = [
        generalised_energy_distance([mask], masks[:place] + masks[place + 1 :])
        for place, mask in enumerate(masks)
    ]
    return {
        "raters": (float(found.raters), ""),
        "raters_empty": (float(found.empty), ""),
        "rater_volume": (volume.mean, ""),
        "rater_volume_range": (volume.range, ""),
        "rater_volume_cv": (volume.cv, "no rater marked anything"),
        "rater_kappa": (found.kappa, "all raters marked nothing, or everything"),
        "rater_ged": (sum(apart) / len(apart), ""),
    }


def _dsc(mask: Tensor, size: int, reference: Tensor) -> Measured:
    """DSC of a prediction with a reference, both cut to one box; size: voxels of the whole prediction."""
    other = int(reference.sum())
    status = status_of(prediction_empty=size == 0, reference_empty=other == 0)
    if status is Status.BOTH_EMPTY:
        reason = "neither of the two has a voxel of this label"
        return Measured("dsc", None, status, None, reason)
    return Measured("dsc", 2.0 * int((mask & reference).sum()) / (size + other), status, 0.0)


def _box(masks: Sequence[Tensor]) -> tuple[slice, ...]:
    """Smallest box with every voxel of some masks; the first voxel when there is none."""
    return bounding_box(functools.reduce(torch.logical_or, masks).cpu().numpy())


def _united(first: tuple[slice, ...], second: tuple[slice, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(min(a.start, b.start), max(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    )


def _rows(found: list[Measured], template: Row, label: str, against: str) -> list[Row]:
    return measured_rows(found, replace(template, reference=against), label, Region.WHOLE)
