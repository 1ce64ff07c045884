"""Tables of stored rows, drawn from seeded laws: what an execution would leave behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from auditor.analysis import AnalysisSetup
from auditor.schema import (
    AuditInfo,
    CaseRecord,
    Contract,
    ContractStatus,
    CriterionSpec,
    Geometry,
    MetricInfo,
    PerturbationSpec,
    Row,
    SystemRecord,
)
from auditor.schema.rows import ROW_COLUMNS
from auditor.strata.assign import FrozenStratum

LABEL = "organ"
NOISE = PerturbationSpec("rician_noise", (1.0, 2.0, 4.0), (3.0, 6.0, 20.0), "% of S_ref")
ROTATION = PerturbationSpec("rotation", (2.0,), (10.0,), "deg")
FAMILIES = {"rician_noise": "noise", "rotation": "geometry"}

DSC = MetricInfo(*("dsc", "DSC", "", 0.0, 1.0, True), "overlap", "Dice 1945", ())
HD95 = MetricInfo(*("hd95", "HD95", "mm", 0.0, None, False), "percentile", "Huttenlocher", ())
WORST = {"dsc": 0.0, "hd95": 250.0}

_TEXT = {"record", "system", "case", "patient", "perturbation", "unit", "status", "reason", "label",
         "metric", "region", "reference", "mask_digest", "facts"}  # fmt: skip


@dataclass(frozen=True)
class Cohort:
    """How large a synthetic audit is, and how its systems behave."""

    patients: int = 24
    cases_per_patient: int = 1
    systems: tuple[str, ...] = ("strong", "weak")
    """The n-th is 0.03 n worse, and loses 0.02 more a severity."""
    perturbations: tuple[PerturbationSpec, ...] = (NOISE, ROTATION)
    raters: int = 0
    replicates: int = 1
    seed: int = 7

    @property
    def cases(self) -> tuple[CaseRecord, ...]:
        return tuple(
            CaseRecord(
                case=f"scan_{p:03d}_{c}",
                patient=f"person_{p:03d}",
                images=("image.nii.gz",),
                reference="reference.nii.gz",
                raters=tuple(f"rater_{r + 1}.nii.gz" for r in range(self.raters)),
                metadata=(("site", "AB"[p % 2]),),
                display_case=f"C{p * self.cases_per_patient + c + 1:03d}",
                display_patient=f"P{p + 1:03d}",
            )
            for p in range(self.patients)
            for c in range(self.cases_per_patient)
        )


def rows_of(cohort: Cohort) -> list[Row]:
    """Draw every planned row: scans, controls, systems."""
    rng = np.random.default_rng(cohort.seed)
    rows: list[Row] = []
    for record in cohort.cases:
        ease = float(rng.beta(30, 3))
        ratio, noise = 0.002 + 0.02 * ease, float(rng.uniform(2, 6))
        for name, severity, level, unit, replicate in _conditions(cohort):
            place = Row(
                "scan", "controls", record.case, record.patient, name, severity, level, unit,
                replicate, "ok",
            )  # fmt: skip
            rows.append(
                replace(
                    place,
                    label=LABEL,
                    nrmse=0.01 * severity,
                    psnr=40.0 - severity if severity else None,
                    ssim=1 - 0.05 * severity,
                    contrast_to_noise=8.0 - severity,
                    native_level=None if name == "clean" else noise,
                    estimated_level=None if level is None else level + noise,
                    estimated_noise=noise + severity,
                    foreground_ratio=ratio,
                    rater_assd=1.5 - ease if cohort.raters > 1 else None,
                    rater_dsc=0.8 + ease / 6 if cohort.raters > 1 else None,
                )
            )
            if name == "clean":
                for control, dsc in _controls(cohort, float(rng.uniform(0, 0.3))):
                    rows += evaluation(replace(place, system=control), {"dsc": dsc})
            for rank, system in enumerate(cohort.systems):
                loss = (0.01 + 0.02 * rank) * severity + 0.03 * rank
                dsc = float(np.clip(ease - loss + rng.normal(0, 0.01), 0.01, 0.999))
                values = {"dsc": dsc, "hd95": 2 + 40 * (1 - dsc)}
                rows += evaluation(replace(place, system=system), values)
    return rows


def _conditions(cohort: Cohort) -> Iterable[tuple[str, float, float | None, str, int]]:
    yield "clean", 0.0, None, "", 0
    for spec in cohort.perturbations:
        for severity, level in zip(spec.severities, spec.levels, strict=True):
            for replicate in range(cohort.replicates):
                yield spec.name, severity, level, spec.unit, replicate


def _controls(cohort: Cohort, other: float) -> list[tuple[str, float]]:
    raters = [(f"control:rater_{r + 1}", 0.9) for r in range(cohort.raters)]
    fixed = [("reference", 1.0), ("empty", 0.0), ("other_patient", other), ("otsu", 0.4)]
    return [*((f"control:{name}", dsc) for name, dsc in fixed), *raters]


def evaluation(place: Row, values: Mapping[str, float | None], status: str = "ok") -> list[Row]:
    """Rows of one evaluation; geometry has the retained region beside the whole one."""
    if status == "ok" and values.get("dsc") == 0.0:
        status = "prediction_empty"
    described = replace(
        place,
        record="evaluation",
        label=LABEL,
        reference="reference",
        status=status if values.get("dsc") is None else "ok",
        self_dsc=values.get("dsc"),
        mask_digest=None if values.get("dsc") is None else f"{abs(hash_of(place)):016x}"[:16],
        seconds=1.25,
    )
    regions = ("retained", "whole") if place.perturbation == "rotation" else ("whole",)
    return [
        described,
        *(
            replace(
                place, record="measurement", label=LABEL, metric=metric, region=region,
                reference="reference", value=value, worst=WORST[metric], status=status,
            )
            for region in regions
            for metric, value in values.items()
        ),
    ]  # fmt: skip


def hash_of(place: Row) -> int:
    """Stable number of one evaluation."""
    from auditor.analysis.intervals import seed_of

    return seed_of(place.system, place.case, place.perturbation, place.severity, place.replicate)


def fail(rows: Sequence[Row], status: str = "crashed", **where: Any) -> list[Row]:
    """Turn the evaluations at a place (system=.., case=.., severity=..) into failures."""
    changed = []
    for row in rows:
        here = row.record != "scan" and all(getattr(row, k) == v for k, v in where.items())
        changed.append(
            replace(row, value=None, status=status, reason="it broke", mask_digest=None,
                    self_dsc=None, clean_agreement=None, worst=None if status == "no_effect" else row.worst)
            if here
            else row
        )  # fmt: skip
    return changed


def table_of(rows: Sequence[Row], *, order: Sequence[int] | None = None) -> pa.Table:
    """Make the table that the store would read back: texts dictionary-encoded."""
    ordered = rows if order is None else [rows[i] for i in order]
    columns = list(zip(*(astuple(row) for row in ordered), strict=True)) or [()] * len(ROW_COLUMNS)
    arrays = []
    for name, values in zip(ROW_COLUMNS, columns, strict=True):
        kind = pa.string() if name in _TEXT else pa.int32() if name == "replicate" else pa.float64()
        array = pa.array(values, kind)
        arrays.append(array.dictionary_encode() if name in _TEXT else array)
    return pa.Table.from_arrays(arrays, names=list(ROW_COLUMNS))


def setup_of(
    cohort: Cohort,
    *,
    criteria: tuple[CriterionSpec, ...] = (),
    contract: ContractStatus = ContractStatus.CONFIRMED,
    preview: bool = False,
    exhibits: int = 6,
) -> AnalysisSetup:
    """What the analysis must know of a cohort beside its rows."""
    cases = cohort.cases
    conditions = 1 + sum(len(it.severities) * cohort.replicates for it in cohort.perturbations)
    return AnalysisSetup(
        audit=AuditInfo(
            name="synthetic", purpose="confirmatory" if criteria else "exploratory",
            stamp="PRE-DECLARED" if criteria else "EXPLORATORY", modality="mr", state="raw",
            seed=11, tool_version="0", plan_digest="p", config_digest="c", manifest_digest="m",
            preview=preview, criteria_level=0.95, interval_level=0.95, reference_rule="given",
            length_unit="mm",
        ),
        systems=tuple(
            SystemRecord(
                name=name, family="", training_seed=None, format="onnx", sha256="0" * 64,
                size_bytes=1, contract=Contract((), contract), golden_pairs=0,
                golden_agreement=None, claimed=(), claimed_source="", sandbox=(), statuses=(),
            )
            for name in cohort.systems
        ),
        cases=cases,
        geometries={it.case: Geometry((8, 16, 12), (3.0, 1.0, 0.8)) for it in cases},
        perturbations=cohort.perturbations,
        families=FAMILIES,
        labels=(LABEL,),
        metrics=(DSC, HD95),
        strata=(
            FrozenStratum(
                axis="site", label="", edges=(), names=("A", "B"),
                membership={it.case: dict(it.metadata)["site"] for it in cases}, note="",
                kind="inferential",
            ),
        ),
        criteria=criteria,
        alpha=0.1,
        delta=0.1,
        exhibits=exhibits,
        planned=len(cases) * len(cohort.systems) * conditions,
    )  # fmt: skip


def property_rows(
    rows: Sequence[Row],
    name: str,
    values: Mapping[str, float | None],
    *,
    status: str = "reference_empty",
    reason: str = "nothing is marked",
) -> list[Row]:
    """Rows of one property of `LABEL`, stored beside the clean scans; None: with the status and reason."""
    clean = {row.case: row for row in rows if row.record == "scan" and row.perturbation == "clean"}
    return [
        Row(
            "property", "controls", case, clean[case].patient, "clean", 0.0, None, "", 0,
            "ok" if value is not None else status, "" if value is not None else reason,
            label=LABEL, metric=name, value=value,
        )
        for case, value in values.items()
    ]  # fmt: skip
