"""What a worker is given: everything that a unit's rows depend on, as one frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from auditor.config import AuditConfig
from auditor.config.certificates import calibrated_by
from auditor.plan import AuditPlan, Unit
from auditor.schema import CLEAN, CONTROLS, CaseRecord, Record, Region, Row, Status
from auditor.strata.window_rules import property_names, window_rules

__all__ = ["Job", "condition_rows", "failed_rows"]


@dataclass(frozen=True, slots=True)
class Job:
    """One audit, ready to be executed by any number of workers."""

    run: Path
    """Folder of the run."""
    config: AuditConfig
    """Resolved configuration."""
    cases: tuple[CaseRecord, ...]
    """With their files."""
    plan: AuditPlan
    """What to do."""
    identities: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each system when the plan was made; none: not compared."""

    def record(self, case: str) -> CaseRecord:
        """Return the record of a case.

        Raises
        ------
        KeyError
            When the audit has no such case.
        """
        return {record.case: record for record in self.cases}[case]


@dataclass(frozen=True, slots=True)
class ConditionRow:
    """The fields that all rows of one condition share."""

    severity: float
    level: float | None


def condition_rows(unit: Unit) -> tuple[ConditionRow, ...]:
    """Return severity and level of each evaluation of a unit; `clean` has one, at severity 0."""
    grid = unit.perturbation
    if not grid.severities:
        return (ConditionRow(0.0, None),)
    return tuple(
        ConditionRow(severity, level)
        for severity, level in zip(grid.severities, grid.levels, strict=True)
    )


def failed_rows(job: Job, unit: Unit, system: str, status: Status, reason: str) -> list[Row]:
    """Rows of a unit that ended without a prediction at any severity; needs no image.

    Returns
    -------
    list of Row
        Of a system an evaluation row per severity and label, and a measurement row for each metric and
        region, all with the status, so that nothing that was planned is missing from a denominator;
        worst values are those that are known without an image. Of the controls, which are no system,
        a scan row per severity and label, and for the clean scan a row of each property.
    """
    # this process shall not load torch, unless something failed
    from auditor.execution.calibration import lost_calibration
    from auditor.execution.layers import lost_layers
    from auditor.execution.scoring import without_probability
    from auditor.metrics.measure import undefined
    from perturbations import CATALOG

    name = unit.perturbation.name
    geometric = name != CLEAN and CATALOG[name].geometric
    regions = (Region.RETAINED, Region.WHOLE) if geometric else (Region.WHOLE,)
    outputs = {spec.name: spec.output for spec in job.config.systems}
    rows: list[Row] = []
    calibrated = calibrated_by(job.config.certificates, system, name)
    scored = job.config.scored
    first = scored[0]  # layers know no labels
    for condition in condition_rows(unit):
        for label in scored:
            row = Row(
                record=Record.SCAN.value if system == CONTROLS else Record.EVALUATION.value,
                system=system,
                case=unit.case,
                patient=job.record(unit.case).patient,
                perturbation=name,
                severity=condition.severity,
                level=condition.level,
                unit=unit.perturbation.unit,
                replicate=unit.replicate,
                status=status.value,
                reason=reason,
                label=label.name,
                reference=None if system == CONTROLS else "reference",
            )
            rows.append(row)
            if system == CONTROLS:
                if name == CLEAN:
                    rows += _lost_properties(job, row)
                continue
            own = [it for it in calibrated if it.label == label.name]
            rows += lost_calibration(row, own, status, reason)
            if label is first:
                rows += lost_layers(job.config, row)
            rows += [
                replace(
                    row,
                    record=Record.MEASUREMENT.value,
                    metric=measured.metric,
                    status=measured.status.value,
                    reason=measured.reason,
                    worst=measured.worst,
                    region=region.value,
                )
                for region in regions
                for measured in undefined(
                    job.config.metrics,
                    status,
                    reason,
                    no_probability=without_probability(label, outputs[system]),
                )
            ]
    return rows


def _lost_properties(job: Job, row: Row) -> list[Row]:
    rules = window_rules(job.config.systems, job.config.strata)
    return [
        replace(row, record=Record.PROPERTY.value, metric=name) for name in property_names(rules)
    ]
