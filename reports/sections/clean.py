"""Performance on clean scans: every system, label and metric."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema import Estimate, Summary
from reports.document import Block, Column, Prose, Section, Table, Text
from reports.view import ALL, View
from reports.wording import (
    condition,
    count,
    digits,
    is_complete,
    lines,
    mean_of,
    method_of,
    metric_title,
    number,
    statuses,
    value_of,
)


def clean(view: View) -> Section:
    """Show means with intervals and bounds, and the worst-case reading beside them."""
    blocks: list[Block] = [_table(view, label) for label in view.results.labels]
    blocks += [table for label in view.results.labels if (table := _shares(view, label))]
    claimed = _claimed(view)
    if claimed:
        blocks.append(claimed)
    if not view.results.summaries:
        blocks = [Prose("No measurement was stored.", "empty")]
    lead = (
        "The scans as they are, with the noise they came with. The worst-case mean counts every "
        "failed or undefined case at the metric's stated worst value; where it differs from the "
        "mean, cases are missing from the mean."
    )
    return Section("clean", "Clean performance", lead, tuple(blocks))


def _table(view: View, label: str) -> Table:
    columns = (
        Column("System and metric"),
        Column("Value" if view.single else "Mean [interval]", "number"),
        Column("Lower bound of the mean", "number", fold=view.single),
        Column("Worst-case mean", "number"),
        Column("Median (range)", "number", fold=view.single),
        Column("n", "number"),
        Column("Mean", fold=True),
        Column("Bound", fold=True),
        Column("Measurements", fold=True),
    )
    rows: list[tuple[Text, ...]] = []
    unseen: dict[str, None] = {}
    for metric in view.results.metrics:
        for system in view.systems:
            row = view.index.get((system, "clean", 0.0, label, metric.name, ALL, ALL))
            if row is None:
                continue
            if row.lower.value is not None and row.lower.note:
                unseen[f"With {row.lower.n} patients {row.lower.note}."] = None
            unit = metric.unit
            spread: Text = "undefined"
            if view.single:
                spread = "none: one patient"
            elif row.median is not None and row.minimum is not None and row.maximum is not None:
                ends = [number(v, text=digits(v, unit=unit)) for v in (row.minimum, row.maximum)]
                spread = Markup('{} <span class="spread">({} to {})</span>').format(
                    number(row.median, unit=unit), *ends
                )
            rows.append(
                (
                    f"{system}, {metric_title(metric)}",
                    value_of(row.mean, unit=unit),
                    "none: one patient" if view.single else value_of(row.lower, unit=unit),
                    number(row.worst_case_mean, unit=unit)
                    if row.worst_case_mean is not None
                    else "undefined",
                    spread,
                    count(row.mean.n),
                    method_of(row.mean),
                    _bound_method(view, row, unit=unit),
                    statuses(row.statuses),
                )
            )
    return Table(f"Clean performance, {label}.", columns, tuple(rows), note=" ".join(unseen))


def _shares(view: View, label: str) -> Table | None:
    """Share of patients within a metric's declared value, at every condition; None: none declared."""
    rows: list[tuple[Text, ...]] = []
    for metric in view.results.metrics:
        within = next((v for name, v in metric.parameters if name.startswith("within")), None)
        if within is None:
            continue
        sense = "at least" if metric.higher_is_better else "at most"
        for system in view.systems:
            for it in view.results.conditions:
                place = (system, it.perturbation, it.severity, label, metric.name, ALL, ALL)
                row = view.index.get(place)
                if row is None or row.share is None:
                    continue
                rows.append(
                    (
                        f"{system}, {metric_title(metric)}",
                        Markup("{} {}").format(sense, number(within, unit=metric.unit)),
                        condition(it.perturbation, it.severity, it.level, it.unit),
                        value_of(row.share),
                        count(row.share.n),
                        method_of(row.share),
                    )
                )
    if not rows:
        return None
    columns = (
        *(Column("System and metric"), Column("Value"), Column("Condition")),
        *(Column("Share of patients [interval]", "number"), Column("n", "number")),
        Column("Share", fold=True),
    )
    title = f"Patients within the declared value, {label}. Failed ones count as beyond it."
    return Table(title, columns, tuple(rows), summary=f"{len(rows)} shares of patients")


def _bound_method(view: View, row: Summary, *, unit: str) -> Text:
    """Say how the lower bound was found, and what needs no conjecture beside it."""
    if view.single or row.lower.value is None:
        return ""
    also = [
        Markup("{} {}").format(it.method, number(it.value, unit=unit))
        for it in row.proven
        if it.value is not None
    ]
    told = Markup("wider, but proven: {}").format(Markup(", ").join(also)) if also else ""
    return lines([method_of(row.lower), told])


def _claimed(view: View) -> Table | None:
    rows: list[tuple[Text, ...]] = []
    for system in view.results.systems:
        for name, value in () if system.name in view.ablated else system.claimed:
            metric = view.metric(name)
            label = view.results.headline.label
            found = view.index.get((system.name, "clean", 0.0, label, name, ALL, ALL))
            rows.append(
                (
                    system.name,
                    metric_title(metric),
                    number(value, unit=metric.unit),
                    mean_of(found, unit=metric.unit) if found else "not measured",
                    count(found.mean.n) if found else "none",
                    system.claimed_source or "source not stated",
                )
            )
    if not rows:
        return None
    columns = (
        *(Column("System"), Column("Metric"), Column("Claimed by the maker", "number")),
        *(Column("Measured here [interval]", "number"), Column("n", "number"), Column("Source")),
    )
    return Table("What the maker claims, beside what was measured.", columns, tuple(rows))


def _clean_row(view: View, system: str, axis: str = ALL, stratum: str = ALL) -> Summary | None:
    """Find the summary that a clean mean of the front page is of."""
    head = view.results.headline
    return view.index.get((system, "clean", 0.0, head.label, head.metric, axis, stratum))


def left_out(view: View) -> Text:
    """Say what the clean means are when what is missing counts at its worst; empty where nothing is."""
    unit = view.metric(view.results.headline.metric).unit
    told = []
    for system, mean in view.results.headline.clean:
        row = _clean_row(view, system)
        if row is None or is_complete(row) or row.worst_case_mean in (None, mean.value):
            continue
        assert row.worst_case_mean is not None  # just looked at
        told.append(Markup("{} ({})").format(number(row.worst_case_mean, unit=unit), system))
    if not told:
        return ""
    return Markup(" With what is missing at its worst value: {}.").format(Markup(", ").join(told))


def with_worst(
    view: View, system: str, estimate: Estimate, axis: str = ALL, stratum: str = ALL
) -> Markup:
    """Write a clean mean of the front page, and with it what it leaves out."""
    unit = view.metric(view.results.headline.metric).unit
    row = _clean_row(view, system, axis, stratum)
    return value_of(estimate, unit=unit) if row is None else mean_of(row, unit=unit)
