"""Difficulty and strata: on which cases a system works less well."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema import DifficultyAxis, StratumInfo
from reports.charts import points
from reports.charts import response as curves
from reports.document import Block, Column, Figure, Gallery, Prose, Section, Table, Text
from reports.view import ALL, View
from reports.wording import (
    count,
    heading,
    level,
    lines,
    mean_of,
    method_of,
    metric_title,
    number,
    percent,
    plain,
    short,
    statuses,
    value_of,
)

MOST_ROWS = 400
"""With more groups, metrics and labels than this, only the metric of the front page is listed."""

_UNITS = {"native_noise": "% of the reference signal"}


def difficulty(view: View) -> Section:
    """Show the DSC of each case against what may make it difficult."""
    blocks: list[Block] = []
    drawn = [d for d in view.results.difficulty if d.points and d.system in view.marks]
    for name in dict.fromkeys(d.axis for d in drawn):
        rows = [d for d in drawn if d.axis == name]
        labels = dict.fromkeys(d.label for d in rows)
        blocks += [_scatter(view, name, [d for d in rows if d.label == label]) for label in labels]
    if view.results.difficulty:
        blocks.append(_correlations(view))
    else:
        blocks.append(Prose("Not assessable: no measure of difficulty is available.", "empty"))
    lead = (
        "Each mark is one case on its clean scan. A negative rank correlation with disagreement or "
        "noise, or a positive one with size, means that harder cases score lower."
    )
    return Section("difficulty", "What makes a case difficult", lead, tuple(blocks))


def _scatter(view: View, name: str, rows: list[DifficultyAxis]) -> Gallery:
    unit = view.results.audit.length_unit if name == "rater_assd" else _UNITS.get(name, "")
    first = rows[0]
    is_open = first.label == view.results.headline.label
    title = f"DSC of {first.label} against {plain(name)}"
    figures = tuple(
        Figure(points.scatter(d, view.marks[d.system], unit=unit), _rho(d)) for d in rows
    )
    return Gallery(
        figures,
        table=_points(name, rows),
        title=title if is_open else "",
        summary="" if is_open else title,
        width="third",
    )


def _rho(axis: DifficultyAxis) -> Text:
    return Markup("{}: rank correlation {}").format(axis.system, value_of(axis.rho))


def _points(name: str, rows: list[DifficultyAxis]) -> Table:
    where = {case: x for d in rows for case, x, _ in d.points}
    scores = [{case: y for case, _, y in d.points} for d in rows]
    body = tuple(
        (
            case,
            number(x, text=f"{x:.4g}"),
            *(number(mine[case]) if case in mine else "no value" for mine in scores),
        )
        for case, x in sorted(where.items())
    )
    columns = (
        Column("Case"),
        Column(heading(name), "number"),
        *(Column(f"DSC, {d.system}", "number") for d in rows),
    )
    caption = f"{heading(name)} and clean DSC of {rows[0].label}, case by case."
    return Table(caption, columns, body, summary="Numbers of these figures")


def _correlations(view: View) -> Table:
    rows = tuple(
        (
            f"{d.system}, {d.label}",
            heading(d.axis),
            value_of(d.rho),
            count(d.rho.n),
            method_of(d.rho),
        )
        for d in view.results.difficulty
    )
    columns = (
        Column("System and label"),
        Column("Measure of difficulty"),
        Column("Rank correlation with DSC", "number"),
        *(Column("n", "number"), Column("Level and method", fold=True)),
    )
    return Table("Spearman's rank correlation of difficulty with the clean DSC.", columns, rows)


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
                mean_of(row, unit=metric.unit),
                value_of(row.lower, unit=metric.unit) if row.lower.n > 1 else "none: one patient",
                count(row.mean.n),
                method_of(row.mean),
                statuses(row.statuses),
            )
        )
    columns = (
        *(Column("System"), Column("Metric and label"), Column("Axis"), Column("Group")),
        *(Column("Mean [interval]", "number"), Column("Lower bound", "number")),
        *(Column("n", "number"), Column("Level and method", fold=True)),
        Column("Measurements", fold=True),
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
                            mean_of(row, unit=metric.unit),
                            value_of(row.drop, unit=metric.unit),
                            count(row.mean.n),
                            statuses(row.statuses),
                        )
                    )
    if not rows:
        return Prose("Groups under perturbations are not assessable: no such values.", "empty")
    columns = (
        *(Column("Perturbation"), Column("Level", "number"), Column("System"), Column("Group")),
        *(Column("Mean [interval]", "number"), Column("Loss from clean", "number")),
        *(Column("n", "number"), Column("Measurements", fold=True)),
    )
    caption = Markup(
        "{} of {} by group at severity 2 or the nearest planned; {} intervals."
    ).format(short(metric), head.label, percent(view.results.audit.interval_level))
    return Table(caption, columns, tuple(rows), summary="Groups under perturbations")
