"""Measurements made elsewhere, read as the rows and the set-up that an audit would have left.

Every problem of a kind is told at once, with its lines; nothing is dropped without being counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from auditor.analysis.setup import AnalysisSetup
from auditor.errors import ConfigError, DataError
from auditor.pipeline.measured_columns import Layout, layout_of
from auditor.pipeline.measured_metrics import TableMetric, table_metrics
from auditor.pipeline.measured_options import TableOptions, check_options
from auditor.pipeline.measured_rows import gaps_of, placed, rows_of
from auditor.pipeline.measured_setup import property_rows, setup_of_table
from auditor.pipeline.measured_sheets import Columns, Sheet, read_sheets
from auditor.pipeline.measured_subjects import subjects_of
from auditor.pipeline.measured_values import Lines, RawCell, cells_of, measured
from auditor.plan import digest_of
from auditor.schema import CLEAN, MeasuredElsewhere, MeasuredFile, ReadColumn, Row

__all__ = ["ReadTable", "Tables", "read_measurements"]

Tables = str | Path | Columns | Sequence[str | Path]
"""One table, several files, or columns in memory."""


@dataclass(frozen=True, slots=True)
class ReadTable:
    """A table of measurements, ready for the analysis."""

    rows: tuple[Row, ...]
    """Evaluations, measurements, and properties of cases."""
    setup: AnalysisSetup
    options: dict[str, object]
    """What its user said, as JSON values: frozen with the results."""


def read_measurements(tables: Tables, options: TableOptions, *, name: str) -> ReadTable:
    """Read tables of measurements.

    Parameters
    ----------
    tables : see `Tables`
    options : what the user says
    name : of the analysis

    Raises
    ------
    ConfigError
        When options contradict themselves or the table.
    DataError
        When the table is not usable: with all lines of a kind.
    """
    if wrong := check_options(options):
        msg = "these options contradict themselves:"
        raise ConfigError(msg, wrong)
    sheets = read_sheets(tables, options.name_pattern)
    layouts, cells, metrics = _understood(sheets, options)
    clean = _clean_name(cells, options)
    lines = Lines()
    found = measured(cells, metrics, options, clean, lines)
    subjects = subjects_of(found, options, lines)
    problems = lines.told()
    problems += [
        f"--strata or --metadata {column}: must be the same on all lines of a case, it differs"
        for column in subjects.varying
    ]
    if not found and not problems:
        problems.append("no line has a value: there is nothing to analyse")
    if problems:
        msg = "these measurements cannot be read:"
        raise DataError(msg, problems)
    unused = tuple(dict.fromkeys(it for layout in layouts for it in layout.unused))
    put = placed(found, subjects.of_lines, metrics, options, unused)
    labels = tuple(dict.fromkeys(at.label for at in put.values))
    record = {case.case: case for case in subjects.cases}
    rows = (
        *rows_of(put, record, metrics),
        *property_rows(subjects.cases, labels, options),
    )
    systems = [it.name for it in subjects.systems]
    told = MeasuredElsewhere(
        files=tuple(
            MeasuredFile(sheet.name, layout.kind, sheet.sha256, len(sheet.lines))
            for sheet, layout in zip(sheets, layouts, strict=True)
        ),
        columns=_columns(layouts),
        clean=clean,
        patients_are_cases=options.patients_are_cases,
        choices=(*_choices(options), *_assumed(layouts, labels, options), *put.notes),
        replaced=put.replaced,
        gaps=gaps_of(put, subjects.cases, systems, list(metrics)),
        replicates=put.replicates,
    )
    known = _plain(options)
    digests = (
        digest_of([_cells(row) for row in rows]),
        digest_of(known),
        digest_of([[sheet.name, sheet.sha256] for sheet in sheets]),
    )
    identified = replace(
        subjects,
        systems=tuple(replace(it, sha256=_identity(it.name, rows)) for it in subjects.systems),
    )
    setup = setup_of_table(name, put, identified, metrics, options, told, digests)
    return ReadTable(rows, setup, known)


def _understood(
    sheets: Sequence[Sheet], options: TableOptions
) -> tuple[list[Layout], list[RawCell], dict[str, TableMetric]]:
    """Say what the columns are, and which metrics there are."""
    problems: list[str] = []
    layouts = [layout_of(sheet, options, problems) for sheet in sheets]
    if problems:
        msg = "it is not clear what the columns are:"
        raise ConfigError(msg, list(dict.fromkeys(problems)))
    cells = [
        cell
        for sheet, layout in zip(sheets, layouts, strict=True)
        for cell in cells_of(sheet, layout, options)
    ]
    names = list(dict.fromkeys(cell.metric for cell in cells if cell.metric))
    metrics = table_metrics(names, options, problems)
    if problems:
        msg = "these metrics cannot be read:"
        raise ConfigError(msg, problems)
    # the DSC is what bounds and front page are about, wherever it stands
    return layouts, cells, {it: metrics[it] for it in sorted(metrics, key=lambda it: it != "dsc")}


def _clean_name(cells: Sequence[RawCell], options: TableOptions) -> str:
    """Return what the table calls the clean condition; empty: it has no other.

    Raises
    ------
    ConfigError
        When there are conditions, and none is known to be the clean one.
    """
    names = dict.fromkeys(
        cell.get("perturbation") or cell.get("condition")
        for cell in cells
        if {"perturbation", "condition"} & cell.texts.keys()
    )
    severities = {cell.get("severity") for cell in cells}
    listed = ", ".join(repr(it) for it in names if it) or "none"
    if options.clean:
        if options.clean not in names:
            msg = f"--clean {options.clean}: must be a condition of the table, there are {listed}"
            raise ConfigError(msg)
        return options.clean
    if unknown := [it for it in options.conditions if it not in names]:
        msg = f"--condition {unknown[0]}: must be a condition of the table, there are {listed}"
        raise ConfigError(msg)
    if CLEAN in names:
        return CLEAN
    zero = any(text and _is_zero(text) for text in severities)
    if zero or not (names or severities - {""}):
        return ""
    msg = (
        "a clean condition is required, which all others are paired with: name it with --clean NAME, or "
        f"give it severity 0; the table has the conditions {listed}"
    )
    raise ConfigError(msg)


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0.0
    except ValueError:
        return False


def _identity(system: str, rows: Sequence[Row]) -> str:
    """Digest of all measurements of a system, without its name: two runs with the same ones are one."""
    return digest_of(sorted(repr(_cells(row)[1:]) for row in rows if row.system == system))


def _cells(row: Row) -> tuple[object, ...]:
    """Return what a row of a table holds; all its other columns are empty."""
    return (
        row.system, row.record, row.case, row.patient, row.perturbation, row.severity, row.level,
        row.unit, row.replicate, row.status, row.reason, row.label, row.metric, row.value, row.worst,
    )  # fmt: skip


def _columns(layouts: Sequence[Layout]) -> tuple[ReadColumn, ...]:
    return tuple(dict.fromkeys(it for layout in layouts for it in layout.told))


def _choices(options: TableOptions) -> tuple[str, ...]:
    """Put what was declared into words."""
    told = [f"{name}: values times {value:g}" for name, value in options.scale.items()]
    told += [
        f"{name}: {value:g} stands in for what is infinite or no number, in means too"
        + (f", {options.cap_order} replicates are averaged" if options.cap_order else "")
        for name, value in options.cap.items()
    ]
    told += [
        f"{name}: {value:g} is the worst value, which failures count as"
        for name, value in options.worst.items()
    ]
    told += [
        f"{name}: {'higher' if it.higher_is_better else 'lower'} is better"
        for name, it in options.metric_info.items()
    ]
    told += [
        f"the condition {name!r} is {perturbation} at severity {severity:g}"
        for name, (perturbation, severity) in options.conditions.items()
    ]
    if options.nan == "both_empty":
        told.append("nan: two empty masks")
    return tuple(told)


def _assumed(
    layouts: Sequence[Layout], labels: Sequence[str], options: TableOptions
) -> tuple[str, ...]:
    """Say what was taken for granted because no column says it."""
    told = []
    if all("case" not in layout.roles for layout in layouts):
        told.append("there is no column of cases: each patient is one case")
    if all("label" not in layout.roles for layout in layouts) and not options.label:
        told.append(f"there is no column of labels: all is called {labels[0]!r}")
    return tuple(told)


def _plain(options: TableOptions) -> dict[str, object]:
    """Return the options as JSON values, without a path."""
    criteria = options.criteria
    named = Path(criteria).name if isinstance(criteria, str | Path) else criteria
    known = asdict(replace(options, criteria=None))
    return {**known, "criteria": named}
