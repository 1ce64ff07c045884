"""Strata: groups of cases on which a system works less well."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema import StratumInfo
from reports.charts import points
from reports.charts import response as curves
from reports.document import Block, Column, Figure, Gallery, Prose, Section, Table, Text
from reports.view import ALL, View
from reports.wording import (
    count,
    heading,
    level,
    lines,
    method_of,
    metric_title,
    percent,
    plain,
    short,
    value_of,
)

MOST_ROWS = 400
"""With more groups, metrics and labels than this, only the metric of the front page is listed."""


def strata(view: View) -> Section:
    """Show groups of cases beside all cases."""
    blocks: list[Block] = []
    usable = [s for s in view.results.strata if s.kind != "not assessable"]
    for info in view.results.strata:
        if info.kind == "not assessable":
            words = f"{heading(info.axis)}: not assessable: {info.note or 'no values'}."
            blocks.append(Prose(words, "empty"))
    if not view.results.strata:
        blocks.append(Prose("Not assessed: no strata were declared.", "empty"))
    if usable:
        blocks += [_definitions(usable), _forests(view, usable), _under(view, usable)]
    lead = (
        "Groups are inferential when their edges were frozen before the first prediction, "
        "descriptive otherwise (hollow marks). Differences between groups are not tested."
    )
    return Section("strata", "Groups of cases", lead, tuple(blocks))


def _definitions(infos: list[StratumInfo]) -> Table:
    rows: list[tuple[Text, ...]] = []
    for info in infos:
        edges = ", ".join(f"{edge:.4g}" for edge in info.edges)
        groups = [
            Markup("{}: {}").format(plain(name), count(n))
            for name, n in zip(info.names, info.patients, strict=False)
        ]
        rows.append(
            (
                heading(info.axis),
                info.label or "all labels",
                info.kind,
                edges or "none",
                lines(groups),
                info.note or "none",
            )
        )
    columns = (
        *(Column("Axis"), Column("Label"), Column("Kind"), Column("Edges")),
        *(Column("Patients in each group"), Column("Remark", "wide")),
    )
    return Table("How cases are grouped.", columns, tuple(rows))


def _forests(view: View, infos: list[StratumInfo]) -> Gallery:
    head = view.results.headline
    metric = view.metric(head.metric)
    figures = []
    for system in view.systems:
        rows = _rows(view, system, infos)
        if rows:
            svg = points.forest(rows, view.marks[system], metric, title=system)
            figures.append(Figure(svg, f"{system}: {short(metric)} of {head.label}, clean scans"))
    return Gallery(
        tuple(figures),
        legend=curves.legend(view),
        table=_table(view, infos),
        title=f"{metric_title(metric)} of {head.label} on clean scans, by group",
    )


def _rows(view: View, system: str, infos: list[StratumInfo]) -> list[points.ForestRow]:
    head = view.results.headline
    whole = view.index.get((system, "clean", 0.0, head.label, head.metric, ALL, ALL))
    rows = [points.ForestRow("all cases", whole.mean)] if whole else []
    for info in infos:
        for place, name in enumerate(info.names):
            key = (system, "clean", 0.0, head.label, head.metric, info.axis, name)
            found = view.index.get(key)
            if found:
                group = heading(info.axis) if place == 0 else ""
                hollow = info.kind != "inferential"
                rows.append(points.ForestRow(plain(name), found.mean, group, hollow))
    return rows


def _table(view: View, infos: list[StratumInfo]) -> Table:
    rows: list[tuple[Text, ...]] = []
    axes = {info.axis for info in infos}
    here = [r for r in view.results.summaries if r.perturbation == "clean" and r.axis in axes]
    caption = "Clean performance by group, every metric and label."
    if len(here) > MOST_ROWS:
        here = [r for r in here if r.metric == view.results.headline.metric]
        caption = "Clean performance by group; results.json has the other metrics."
    for row in here:
        metric = view.metric(row.metric)
        rows.append(
            (
                row.system,
                f"{short(metric)}, {row.label}",
                heading(row.axis),
                plain(row.stratum),
                value_of(row.mean, unit=metric.unit),
                value_of(row.lower, unit=metric.unit) if row.lower.n > 1 else "none: one patient",
                count(row.mean.n),
                method_of(row.mean),
            )
        )
    columns = (
        *(Column("System"), Column("Metric and label"), Column("Axis"), Column("Group")),
        *(Column("Mean [interval]", "number"), Column("Lower bound", "number")),
        *(Column("n", "number"), Column("Level and method", fold=True)),
    )
    return Table(
        caption, columns, tuple(rows), summary="Numbers of these figures and other metrics"
    )


def _under(view: View, infos: list[StratumInfo]) -> Block:
    """Show groups under each perturbation at severity 2 or nearest, front page metric."""
    head = view.results.headline
    metric = view.metric(head.metric)
    rows: list[tuple[Text, ...]] = []
    for name in view.perturbations:
        severity = min(view.severities(name), key=lambda s: (abs(s - 2.0), s))
        for system in view.systems:
            for info in infos:
                for group in info.names:
                    key = (system, name, severity, head.label, head.metric, info.axis, group)
                    row = view.index.get(key)
                    if row is None:
                        continue
                    rows.append(
                        (
                            heading(name),
                            level(row.level, row.unit),
                            system,
                            f"{heading(info.axis)}: {plain(group)}",
                            value_of(row.mean, unit=metric.unit),
                            value_of(row.drop, unit=metric.unit),
                            count(row.mean.n),
                        )
                    )
    if not rows:
        return Prose("Groups under perturbations are not assessable: no such values.", "empty")
    columns = (
        *(Column("Perturbation"), Column("Level", "number"), Column("System"), Column("Group")),
        *(Column("Mean [interval]", "number"), Column("Loss from clean", "number")),
        Column("n", "number"),
    )
    caption = Markup(
        "{} of {} by group at severity 2 or the nearest planned; {} intervals."
    ).format(short(metric), head.label, percent(view.results.audit.interval_level))
    return Table(caption, columns, tuple(rows), summary="Groups under perturbations")
