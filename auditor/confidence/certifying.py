"""From the stored rows of an audit to the calibration scans of a certificate."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Rows, of_kind
from auditor.execution.agreement import CopyAgreement, mean_agreement
from auditor.execution.calibration import AGREEMENT, MARGINS, PREDICTED_RATIO
from auditor.schema import (
    CLEAN,
    CalibrationScan,
    CaseRecord,
    CertificateSpec,
    PerturbationSpec,
    Record,
    Region,
    Status,
)
from perturbations.catalog import ESTIMATED

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Calibrated", "calibration_scans", "placing_axes"]

_COLUMN = {
    "gaussian_noise": "estimated_noise",
    "rician_noise": "estimated_noise",
    "gaussian_blur": "estimated_blur",
    "bias_field": "estimated_bias",
}
"""Axis -> column in which the rows of a scan hold its estimate, whatever was done to the scan."""


_READ = (
    "status", "value", "facts", "self_dsc", "clean_agreement", "native_level", "estimated_level",
    *dict.fromkeys(_COLUMN.values()),
)  # fmt: skip
"""Columns that are read of a row, apart from which scan it is about."""


class _Which(NamedTuple):
    """Which scan a row is about."""

    case: str
    perturbation: str
    severity: float
    replicate: int


Found = Mapping[_Which, Mapping[str, Any]]
"""Scan -> columns of its row."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What the rows of an audit give a certificate."""

    scans: tuple[CalibrationScan, ...]
    """By case, clean first, then in the order of the plan."""
    voxel_digests: tuple[str, ...]
    """Sorted."""
    channels: int
    """Of a scan; 0: none could be read."""


def placing_axes(planned: Sequence[PerturbationSpec]) -> tuple[str, ...]:
    """Name the planned perturbations on whose axis a scan can be placed by its estimate."""
    return tuple(it.name for it in planned if it.name in ESTIMATED and not it.iso_effect)


def calibration_scans(
    table: pa.Table,
    spec: CertificateSpec,
    *,
    copies: Sequence[PerturbationSpec],
    setup: AnalysisSetup,
) -> Calibrated:
    """Collect the calibration scans of one certificate.

    Parameters
    ----------
    table : pyarrow.Table
        All stored rows of the audit.
    spec : CertificateSpec
        What is declared.
    copies : sequence of PerturbationSpec
        The mild ones; of clean scans they are evaluations of the plan.
    setup : AnalysisSetup
        Cases with their display ids, and the planned perturbations.

    Returns
    -------
    Calibrated
        Every planned scan is one row, also one that failed or that a perturbation refused.
    """
    rows = _Rows.of(table, spec)
    axes = placing_axes(setup.perturbations)
    calibrated = [it for it in setup.perturbations if it.name in spec.perturbations]
    scans: list[CalibrationScan] = []
    for record in setup.cases:
        scans.append(rows.scan(_Which(record.case, CLEAN, 0.0, 0), record, axes, copies))
        scans += [
            rows.scan(_Which(record.case, it.name, severity, replicate), record, axes, copies)
            for it in calibrated
            for severity in it.severities
            for replicate in range(it.replicates)
        ]
    facts = [rows.facts(_Which(record.case, CLEAN, 0.0, 0)) for record in setup.cases]
    return Calibrated(
        scans=tuple(scans),
        voxel_digests=tuple(sorted({it["voxels"] for it in facts if "voxels" in it})),
        channels=max((int(it["channels"]) for it in facts if "channels" in it), default=0),
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of one system and label, by scan."""

    dsc: Found
    evaluations: Found
    numbers: Mapping[str, Found]
    """Metric of the calibration rows -> its rows."""
    scans: Found
    natives: Mapping[tuple[str, str], float]
    """(case, axis) -> estimate of the clean scan, which stands beside every severity of the axis."""

    @staticmethod
    def of(table: pa.Table, spec: CertificateSpec) -> _Rows:
        measured, stored = of_kind(table, Record.MEASUREMENT), of_kind(table, Record.CALIBRATION)
        # what is measured on a scan is the same on the row of every label
        scans = _chosen(of_kind(table, Record.SCAN), label=spec.label)
        own = {"system": spec.system, "label": spec.label, "reference": "reference"}
        return _Rows(
            dsc=_chosen(measured, **own, metric="dsc", region=Region.WHOLE.value),
            evaluations=_chosen(of_kind(table, Record.EVALUATION), **own),
            numbers={
                name: _chosen(stored, **own, metric=name)
                for name in (PREDICTED_RATIO, AGREEMENT, *MARGINS)
            },
            scans=scans,
            natives={
                (it.case, it.perturbation): value
                for it, row in scans.items()
                if (value := _number(row, "native_level")) is not None
            },
        )

    def scan(
        self,
        which: _Which,
        record: CaseRecord,
        axes: Sequence[str],
        copies: Sequence[PerturbationSpec],
    ) -> CalibrationScan:
        """Put together what is known of one scan."""
        dsc: Mapping[str, Any] = self.dsc.get(which, {})
        numbers = {name: _number(self.numbers[name].get(which)) for name in self.numbers}
        agreement, taking_part = self._agreement(which, copies)
        estimates = self._estimates(which, axes)
        clean = which.perturbation == CLEAN
        return CalibrationScan(
            case=record.display_case,
            patient=record.display_patient,
            perturbation=which.perturbation,
            severity=which.severity,
            replicate=which.replicate,
            status=dsc.get("status", Status.FAILED.value),
            dsc=_number(dsc),
            agreement=agreement,
            copies=taking_part,
            self_dsc=_number(self.evaluations.get(which), "self_dsc"),
            foreground_ratio=numbers[PREDICTED_RATIO],
            estimate=None if clean else estimates.get(which.perturbation),
            estimates=tuple(estimates.items()),
            **{name: numbers[name] for name in MARGINS},
        )

    def facts(self, which: _Which) -> dict[str, Any]:
        """Read what stands beside the predicted share of a scan."""
        text = self.numbers[PREDICTED_RATIO].get(which, {}).get("facts")
        return dict(json.loads(text)) if text else {}

    def _agreement(
        self, which: _Which, copies: Sequence[PerturbationSpec]
    ) -> tuple[float | None, int]:
        """Return the mean agreement with the copies, and how many took part."""
        if which.perturbation != CLEAN:
            row: Mapping[str, Any] = self.numbers[AGREEMENT].get(which, {})
            facts = json.loads(row["facts"]) if row.get("facts") else {"copies": 0}
            return _number(row), int(facts["copies"])
        own = self.evaluations.get(which, {})
        if own.get("status") != Status.OK.value:
            return None, 0
        mean = mean_agreement(
            [
                CopyAgreement(it.name, found["status"], _number(found, "clean_agreement"))
                for it in copies
                if (found := self._copy(which, it))
            ]
        )
        return mean.value, mean.copies

    def _copy(self, which: _Which, copy: PerturbationSpec) -> Mapping[str, Any] | None:
        return self.evaluations.get(_Which(which.case, copy.name, copy.severities[0], 0))

    def _estimates(self, which: _Which, axes: Sequence[str]) -> dict[str, float | None]:
        if which.perturbation == CLEAN:
            return {axis: self.natives.get((which.case, axis)) for axis in axes}
        row = self.scans.get(which)
        more = self.facts(which).get("estimates", {})
        found = {axis: _number(row, _COLUMN.get(axis, "")) for axis in axes}
        found |= {axis: value for axis, value in more.items() if axis in found}
        if which.perturbation in found:
            found[which.perturbation] = _number(row, "estimated_level")
        return found


def _chosen(rows: Rows, **equal: str) -> Found:
    """Choose rows by the texts of some columns, and name each by its scan."""
    columns = rows.columns
    kept = np.ones(len(rows), dtype=bool)
    for name, value in equal.items():
        kept &= np.asarray(columns[name] == value, dtype=bool)
    names = [name for name in _READ if name in columns]
    return {
        _Which(
            columns["case"][i],
            columns["perturbation"][i],
            float(columns["severity"][i]),
            int(columns["replicate"][i]),
        ): {name: columns[name][i] for name in names}
        for i in np.flatnonzero(kept)
    }


def _number(row: Mapping[str, Any] | None, column: str = "value") -> float | None:
    value = None if row is None else row.get(column)
    return None if value is None or np.isnan(value) else float(value)
