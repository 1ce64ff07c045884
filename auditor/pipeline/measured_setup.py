"""What the analysis of a table must know beside its rows: groups, claims, names, stamps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from auditor.analysis.setup import AnalysisSetup
from auditor.config.claims import Declared, read_criteria
from auditor.config.problems import Problems
from auditor.config.sentences import read_shape
from auditor.documents import read_text, yaml_content
from auditor.errors import ConfigError, DataError
from auditor.metrics.catalog import METRICS
from auditor.pipeline.folder import tool_version
from auditor.pipeline.measured_decisions import table_decisions
from auditor.pipeline.measured_metrics import TableMetric
from auditor.pipeline.measured_options import TableOptions
from auditor.pipeline.measured_rows import Placed
from auditor.pipeline.measured_subjects import Subjects, numbers
from auditor.schema import (
    CLEAN,
    AuditInfo,
    CaseRecord,
    CriterionSpec,
    Geometry,
    MeasuredElsewhere,
    PerturbationSpec,
    Record,
    Row,
    Status,
    StratumSpec,
)
from auditor.strata.assign import FrozenStratum, freeze
from auditor.strata.axes import AXES
from perturbations import CATALOG

__all__ = ["Digests", "criteria_of", "frozen_columns", "property_rows", "setup_of_table"]

_BESIDE: Mapping[str, Any] = {
    "audit": "table",
    "purpose": "confirmatory",
    "cases": {"folder": ".", "modality": "other"},
    "perturbations": {},
    "metrics": {},
}
"""What an audit.yaml has beside its criteria; none of it is read here."""

_CHOSEN_LATE = "the measurements existed before the groups were named"

Digests = tuple[str, str, str]
"""Of the rows, of the options, of the files."""


def setup_of_table(
    name: str,
    found: Placed,
    subjects: Subjects,
    metrics: Mapping[str, TableMetric],
    options: TableOptions,
    measured: MeasuredElsewhere,
    digests: Digests,
) -> AnalysisSetup:
    """Put together what `auditor.analysis.summarise` needs.

    Raises
    ------
    ConfigError
        With every problem of groups and criteria at once.
    """
    problems: list[str] = []
    perturbations = perturbations_of(found)
    labels = tuple(dict.fromkeys(at.label for at in found.values))
    strata = frozen_columns(subjects.cases, options, problems)
    criteria = criteria_of(options.criteria, subjects, labels, metrics, perturbations, problems)
    if problems:
        msg = "these groups and criteria do not fit the table:"
        raise ConfigError(msg, problems)
    evaluations = {(*at[:3], at.case, at.replicate) for at in found.values}
    rows_digest, options_digest, files_digest = digests
    return AnalysisSetup(
        audit=AuditInfo(
            name=name,
            # a claim is judged, and stamped: it was written when the measurements existed
            purpose="confirmatory" if criteria else "exploratory",
            stamp="EXPLORATORY",
            modality=options.modality,
            state="not stated",
            seed=options.seed,
            tool_version=tool_version(),
            plan_digest=rows_digest,
            config_digest=options_digest,
            manifest_digest=files_digest,
            preview=False,
            criteria_level=options.criteria_level,
            interval_level=options.interval_level,
            reference_rule="not known, measured elsewhere",
            length_unit=options.length_unit or "mm",
        ),
        systems=subjects.systems,
        cases=subjects.cases,
        geometries={record.case: Geometry((), ()) for record in subjects.cases},
        perturbations=perturbations,
        families={name: entry.family for name, entry in CATALOG.items()},
        labels=labels,
        metrics=tuple(metric.info for metric in metrics.values()),
        strata=strata,
        criteria=criteria,
        alpha=options.alpha,
        delta=options.delta,
        exhibits=0,
        planned=len(evaluations),
        measured=measured,
        response_margin=options.margin,
        response_floor=options.floor,
        decisions=table_decisions(options, measured.clean, criteria),
    )


def perturbations_of(found: Placed) -> tuple[PerturbationSpec, ...]:
    """List the conditions of a table as a grid, in the order in which it names them.

    Raises
    ------
    DataError
        When one severity has two levels, or two units.
    """
    levels: dict[str, dict[float, tuple[float, str]]] = {}
    counts: dict[str, int] = {}
    problems: list[str] = []
    for at, it in found.values.items():
        if at.perturbation == CLEAN:
            continue
        assert it.level is not None  # every perturbed measurement has one
        own = levels.setdefault(at.perturbation, {})
        here = (it.level, it.cell.get("unit"))
        if own.setdefault(at.severity, here) != here:
            told = f"{own[at.severity][0]:g} {own[at.severity][1]} and {here[0]:g} {here[1]}"
            problems.append(
                f"{at.perturbation} at severity {at.severity:g}: must have one level, has {told}"
            )
        counts[at.perturbation] = max(counts.get(at.perturbation, 1), at.replicate + 1)
    if problems:
        msg = "these conditions contradict themselves:"
        raise DataError(msg, list(dict.fromkeys(problems)))
    return tuple(
        PerturbationSpec(
            name=name,
            severities=tuple(sorted(own)),
            levels=tuple(own[it][0] for it in sorted(own)),
            unit=next(iter(own.values()))[1],
            replicates=counts[name],
        )
        for name, own in levels.items()
    )


def frozen_columns(
    cases: Sequence[CaseRecord], options: TableOptions, problems: list[str]
) -> tuple[FrozenStratum, ...]:
    """Group the cases by columns; always descriptive, for the measurements existed before."""
    found = []
    for axis in options.strata:
        texts = {record.case: dict(record.metadata).get(axis, "") for record in cases}
        edges = options.edges.get(axis)
        values = numbers(texts) if edges is not None else texts
        try:
            frozen = freeze(
                values,
                StratumSpec(axis=axis, edges=edges),
                length_unit=options.length_unit or "mm",
                before_predictions=False,
            )
        except ConfigError as error:
            problems += [
                str(error).replace(f"strata.{axis}.edges", f"--edges {axis}=NUMBER,NUMBER")
            ]
            continue
        note = "; ".join(filter(None, (_CHOSEN_LATE, frozen.note)))
        found.append(replace(frozen, note=note))
    return tuple(found)


def criteria_of(
    given: str | Path | Mapping[str, Any] | None,
    subjects: Subjects,
    labels: Sequence[str],
    metrics: Mapping[str, TableMetric],
    perturbations: Sequence[PerturbationSpec],
    problems: list[str],
) -> tuple[CriterionSpec, ...]:
    """Read claims in the grammar of audit.yaml: ``criteria:``, or its content alone."""
    if given is None:
        return ()
    content: Any = given
    what = "the criteria"
    if isinstance(given, str | Path):
        what = Path(given).name
        content = yaml_content(read_text(Path(given), what=what), what=what)
    if isinstance(content, Mapping) and "criteria" in content:
        content = content["criteria"]
    if not isinstance(content, Mapping) or not content:
        problems.append(f"{what}: must hold criteria: {{C-01: {{label: .., metric: .., ..}}}}")
        return ()
    shaped = read_shape({**_BESIDE, "criteria": dict(content)})
    problems += shaped.problems
    own = Problems()
    found = read_criteria(
        shaped.shape.criteria,
        Declared(
            systems=(names := tuple(record.name for record in subjects.systems)),
            unablated=names,
            labels=tuple(labels),
            metrics=tuple(metrics),
            perturbations=tuple(perturbations),
            strata=(),
            broken={"systems": frozenset(), "metrics": frozenset(), "perturbations": frozenset()},
            levels_known=True,
        ),
        problems=own,
    )
    problems += own
    for spec in found:
        info = metrics[spec.metric].info
        if spec.metric in METRICS or spec.form == "share_of_patients_at_least":
            continue
        if info.high != 1.0 or (spec.form == "mean_at_least" and not info.higher_is_better):
            problems.append(
                f"criteria.{spec.id}: a mean can be claimed of a metric in [0, 1] of which more is better; "
                f"declare share_of_patients_at_least: .. of {spec.metric}"
            )
    return found


def property_rows(
    cases: Sequence[CaseRecord], labels: Sequence[str], options: TableOptions
) -> list[Row]:
    """Store columns that are named as a measured property, so that difficulty is read from them, too."""
    kept = [it for it in (*options.strata, *options.metadata) if it in AXES]
    rows = []
    for axis in dict.fromkeys(kept):
        values = numbers({it.case: dict(it.metadata).get(axis, "") for it in cases})
        for record in cases:
            value = values[record.case]
            known = isinstance(value, float)
            rows += [
                Row(
                    record=Record.PROPERTY.value,
                    system="controls",
                    case=record.case,
                    patient=record.patient,
                    perturbation=CLEAN,
                    severity=0.0,
                    level=None,
                    unit="",
                    replicate=0,
                    status=(Status.OK if known else Status.FAILED).value,
                    reason="" if known else "the table has no number",
                    label=label,
                    metric=axis,
                    value=float(value) if isinstance(value, float) else None,
                )
                for label in (labels if AXES[axis].of_label else ("",))
            ]
    return rows
