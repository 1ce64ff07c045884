"""How far perturbations move the activations of a network: rows of layers beside those of an evaluation.

Every perturbed scan of a unit is compared with the clean scan of its case, and the clean scan of a case with
that of another patient, which tells what is usual. What holds of a layer itself stands in the column `facts`;
a scan without distances is one row without it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from auditor.cases import LoadedCase
from auditor.config import AuditConfig
from auditor.errors import AuditError, IntegrityError
from auditor.execution.perturbed import Scanned
from auditor.schema import CLEAN, Geometry, Record, Row, Status
from auditor.systems.layers.answer import LayerDistances
from auditor.systems.running import ENDS, Failure, Prediction, RunningSystem, System

__all__ = ["LAYER_BETWEEN", "LAYER_DISTANCE", "LayerComparer", "lost_layers"]

LAYER_DISTANCE = "layer_distance"
"""Mean over channels of the Hellinger distance of a perturbed scan's activations to the clean scan's."""

LAYER_BETWEEN = "layer_between"
"""The same between the clean scans of a case and of another patient, with the bins of the case."""

Compared = tuple[LayerDistances, ...] | Failure
GriddedScan = tuple[Tensor, Geometry]


class LayerComparer:
    """Compares the layers of the systems that an audit declares for it."""

    def __init__(self, config: AuditConfig) -> None:
        self._spec = config.layers

    def rows(
        self,
        system: Callable[[], System],
        case: LoadedCase,
        scanned: Sequence[tuple[Row, Scanned, Prediction | Failure | None]],
        other: Callable[[], LoadedCase | None],
    ) -> list[Row]:
        """Compare the scans of one unit; no rows where nobody asked for them.

        Parameters
        ----------
        system : callable
            Opens the system.
        case : LoadedCase
            With the clean scan.
        scanned : sequence of (Row, Scanned, outcome)
            Each scan with its row of system, case and condition, of which the rest is filled in here, and what
            the system answered. What it crashed on, or took too long for, is not asked again.
        other : callable
            Loads the case of another patient; None when there is none.

        Raises
        ------
        IntegrityError
            When the system is no longer what it was.
        """
        if self._spec is None or not scanned or scanned[0][0].system not in self._spec.systems:
            return []
        lost = [_lost(item, outcome) for _, item, outcome in scanned]
        clean = (case.scan.image, case.geometry)
        template = scanned[0][0]
        if template.perturbation == CLEAN:
            found = lost[0] or self._between(system, clean, other)
            return _rows(template, LAYER_BETWEEN, found)
        images = [
            (item.scan.image, case.geometry)
            for (_, item, _), failure in zip(scanned, lost, strict=True)
            if failure is None
        ]
        answers = iter(self._compared(system, clean, images))
        rows: list[Row] = []
        for (own, _, _), failure in zip(scanned, lost, strict=True):
            rows += _rows(own, LAYER_DISTANCE, failure or next(answers))
        return rows

    def _between(
        self,
        system: Callable[[], System],
        clean: GriddedScan,
        other: Callable[[], LoadedCase | None],
    ) -> Compared:
        try:
            beside = other()
        except AuditError as error:
            return Failure(Status.FAILED, str(error).splitlines()[0])
        if beside is None:
            return Failure(Status.NOT_APPLICABLE, "there is no other patient")
        return self._compared(system, clean, [(beside.scan.image, beside.geometry)])[0]

    def _compared(
        self, system: Callable[[], System], clean: GriddedScan, scans: Sequence[GriddedScan]
    ) -> list[Compared]:
        assert self._spec is not None  # asked by rows()
        if not scans:
            return []
        try:
            running = system()
        except IntegrityError:
            raise  # rows of another system must not stand under this one's name
        except AuditError as error:
            return [Failure(Status.FAILED, str(error).splitlines()[0]) for _ in scans]
        if not isinstance(running, RunningSystem):
            why = "only the layers of a checkpoint can be seen"
            return [Failure(Status.REJECTED, why) for _ in scans]
        return running.layer_distances(clean, scans, bins=self._spec.bins)


def lost_layers(config: AuditConfig, template: Row) -> list[Row]:
    """Give the row of a scan without distances; no row where nobody asked for them.

    Parameters
    ----------
    config : AuditConfig
    template : Row
        System, case, condition, status and reason.
    """
    if config.layers is None or template.system not in config.layers.systems:
        return []
    metric = LAYER_BETWEEN if template.perturbation == CLEAN else LAYER_DISTANCE
    return _rows(template, metric, Failure(Status(template.status), template.reason))


def _lost(item: Scanned, outcome: Prediction | Failure | None) -> Failure | None:
    if item.status is not Status.OK:
        return Failure(item.status, item.reason)
    ended = isinstance(outcome, Failure) and outcome.status in {*ENDS, Status.QUARANTINED}
    return outcome if isinstance(outcome, Failure) and ended else None


def _rows(template: Row, metric: str, found: Compared) -> list[Row]:
    blank = replace(
        template, record=Record.LAYER.value, metric=metric, label=None, reference=None, region=None
    )
    if isinstance(found, Failure):
        return [replace(blank, status=found.status.value, reason=found.reason)]
    return [_row(blank, place, layer) for place, layer in enumerate(found)]


def _row(blank: Row, place: int, layer: LayerDistances) -> Row:
    (value,) = layer.distances
    facts = {
        "place": place,
        "name": layer.name,
        "operator": layer.operator,
        "resolution": layer.resolution,
        "channels": layer.channels,
        "voxels": layer.voxels,
    }
    row = replace(blank, facts=json.dumps(facts))
    if value is None:
        why = "activations of this layer are NaN, or infinite on the clean scan"
        return replace(row, status=Status.NOT_FINITE.value, reason=why)
    return replace(row, value=value)
