"""Measurements that were made elsewhere: what was read as what, what is missing, means by condition."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema import Gap, MeasuredElsewhere, MetricInfo
from reports.document import Block, Column, Items, Prose, Section, Table, Text
from reports.view import ALL, View
from reports.wording import (
    condition,
    count,
    digest,
    mean_of,
    metric_title,
    short,
    statuses,
)

MOST_GAPS = 60
"""With more incomplete columns than this, the first are listed."""


def measured(view: View) -> Section:
    """Account for a table: its files, columns, choices, gaps."""
    results = view.results
    told = results.measured
    assert told is not None  # the section of analysed tables
    people = len({case.patient for case in results.cases})
    lead = Markup(
        "Nothing was run here: {} evaluations of {} systems on {} cases of {} patients were measured "
        "elsewhere and read from {}. They ended as: {}."
    ).format(
        count(results.planned),
        count(len(results.systems)),
        count(len(results.cases)),
        count(people),
        "a table" if len(told.files) == 1 else Markup("{} tables").format(count(len(told.files))),
        statuses(sorted(results.statuses, key=lambda c: c.status != "ok")),
    )
    blocks: list[Block] = []
    if told.patients_are_cases:
        words = "Assumed: no patient has two cases. The table names no patients, its user says so."
        blocks.append(Prose(words, "notice"))
    blocks += [_columns(told), *_choices(told), _files(told), *_replaced(view, told)]
    blocks.append(_gaps(view, told.gaps))
    blocks += [_cases(view)] if results.cases else []
    return Section("data", "Measurements and accounting", lead, tuple(blocks))


def _columns(told: MeasuredElsewhere) -> Table:
    rows = tuple((it.column or "without a name", it.meaning) for it in told.columns)
    columns = (Column("Column"), Column("Read as"))
    return Table("What each column was read as.", columns, rows)


def _choices(told: MeasuredElsewhere) -> list[Block]:
    said = [f"the clean condition is {told.clean!r}"] if told.clean else []
    said += told.choices
    if not said:
        return []
    return [
        Prose("Declared by the user of the table, or taken for granted where no column says it:"),
        Items(tuple(said)),
    ]


def _files(told: MeasuredElsewhere) -> Table:
    rows = tuple((it.name, it.layout, count(it.lines), digest(it.sha256)) for it in told.files)
    columns = (Column("File"), Column("Layout"), Column("Lines", "number"), Column("SHA-256"))
    many = f"All {len(rows)} files" if len(rows) > 3 else ""
    return Table("Files, as they were read.", columns, rows, summary=many)


def _replaced(view: View, told: MeasuredElsewhere) -> list[Block]:
    if not told.replaced:
        return []
    rows = tuple((short(view.metric(it.metric)), count(it.n), it.treatment) for it in told.replaced)
    columns = (Column("Metric"), Column("Values", "number"), Column("What stands in", "wide"))
    return [Table("Values that are infinite or no number.", columns, rows)]


def _gaps(view: View, gaps: tuple[Gap, ...]) -> Block:
    if not gaps:
        return Prose("The table is whole: every system has every case under every condition.")
    rows = tuple(_gap(view, it) for it in gaps[:MOST_GAPS])
    columns = (
        *(Column("System"), Column("Condition"), Column("Metric and label")),
        *(Column("Cases missing", "number"), Column("Cases with fewer replicates", "number")),
        Column("Which", "wide"),
    )
    more = len(gaps) - MOST_GAPS
    rest = f" {more} more such columns are in results.json." if more > 0 else ""
    return Table(
        "Cells that a whole table would have.",
        columns,
        rows,
        note="They are no failures known here: numbers of a system rest on the cases that it has, "
        f"comparisons on the cases that all have. At most ten cases are named.{rest}",
    )


def _gap(view: View, it: Gap) -> tuple[Text, ...]:
    more = it.missing + it.partial - len(it.cases)
    return (
        it.system,
        condition(it.perturbation, it.severity, it.level, it.unit),
        f"{short(view.metric(it.metric))}, {it.label}",
        count(it.missing),
        count(it.partial),
        ", ".join(it.cases) + (f" and {more} more" if more > 0 else ""),
    )


def _cases(view: View) -> Table:
    cases = view.results.cases
    names = tuple(dict.fromkeys(name for case in cases for name, _ in case.metadata))
    rows = tuple(
        (case.case, case.patient, *(dict(case.metadata).get(name) or "not given" for name in names))
        for case in cases
    )
    columns = (Column("Case"), Column("Patient"), *(Column(name) for name in names))
    return Table(
        "Cases under their display names.", columns, rows, summary=f"All {len(rows)} cases"
    )


def conditions(view: View) -> Section:
    """Show the mean of every system under every condition, one table a label and metric."""
    lead = (
        "Means over patients of each system under each condition of the table, with the paired loss from "
        "the clean condition in the section on curves."
    )
    head = view.results.headline
    metrics = sorted(view.results.metrics, key=lambda m: m.name != head.metric)
    blocks: list[Block] = [
        _means(view, label, metric) for metric in metrics for label in view.results.labels
    ]
    return Section("conditions", "Conditions", lead, tuple(blocks))


def _means(view: View, label: str, metric: MetricInfo) -> Table:
    rows: list[tuple[Text, ...]] = []
    for it in view.results.conditions:
        cells: list[Text] = []
        people = []
        for system in view.systems:
            place = (system, it.perturbation, it.severity, label, metric.name, ALL, ALL)
            row = view.index.get(place)
            cells.append("not measured" if row is None else mean_of(row, unit=metric.unit))
            people.append(0 if row is None else row.mean.n)
        ends = [count(n) for n in dict.fromkeys((min(people), max(people)))]
        where = condition(it.perturbation, it.severity, it.level, it.unit)
        rows.append((where, *cells, Markup(" to ").join(ends)))
    columns = (
        Column("Condition"),
        *(Column(name, "number") for name in view.systems),
        Column("n", "number"),
    )
    what = "Value" if view.single else "Mean [interval]"
    better = "higher" if metric.higher_is_better else "lower"
    caption = f"{what} of {metric_title(metric)}, {label}, by condition; {better} is better."
    return Table(caption, columns, tuple(rows))
