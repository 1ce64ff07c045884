"""Groups of cases: how they were made, how a system does in each, and crosses of two axes."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema import StratumInfo, Summary
from reports.charts import points
from reports.charts import response as curves
from reports.charts.crosses import Cell, heat_map
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

_SHARES = ("foreground_ratio", "window_foreground_ratio")
"""Axes whose edges are printed in %, as the names of their groups are."""

_RULES = {
    "declared edges": "declared edges",
    "tertiles": "tertiles of the references",
    "training range": "training range, both ends outside",
    "categories": "values of the column",
    "cross": "pairs of groups",
}


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
    single = [s for s in usable if not s.cross]
    if usable:
        blocks.append(_definitions(usable))
    if single:
        blocks.append(_forests(view, single))
    blocks += [_cross(view, info) for info in usable if info.cross]
    if usable:
        blocks.append(_under(view, usable))
    lead = (
        "Groups are inferential when their edges were frozen before the first prediction, "
        "descriptive otherwise. Hollow marks are descriptive, or of too few patients to infer from. "
        "Groups are made of cases: a patient with cases in several groups counts in each. "
        "Differences between groups are not tested."
    )
    return Section("strata", "Groups of cases", lead, tuple(blocks))


def _definitions(infos: list[StratumInfo]) -> Table:
    rows: list[tuple[Text, ...]] = []
    for info in infos:
        groups = [
            Markup("{}: {}{}").format(
                plain(name), count(n), ", too few" if n < info.minimum else ""
            )
            for name, n in zip(info.names, info.patients, strict=False)
        ]
        rows.append(
            (
                heading(info.axis),
                info.label or "all labels",
                info.kind,
                _made(info),
                lines(groups) if not info.cross else "see the table of the cross",
                count(info.minimum),
                _remark(info),
            )
        )
    columns = (
        *(Column("Axis"), Column("Label"), Column("Kind"), Column("Made by")),
        Column("Patients in each group"),
        *(Column("Fewest inferred from", "number"), Column("Remark", "wide")),
    )
    return Table("How cases are grouped.", columns, tuple(rows), stacked=True)


def _made(info: StratumInfo) -> Text:
    """Say how groups were made: rule, edges with their unit, windows."""
    parts: list[Text] = [_RULES.get(info.rule, info.rule) or "not stated"]
    if info.cross:
        parts.append(" × ".join(plain(axis) for axis, _ in info.cross))
    if info.edges:
        unit = f" {info.unit}" if info.unit else ""
        shown = (
            percent(edge)
            if info.axis in _SHARES
            else number(edge, text=f"{edge:.6g}".replace("-", "−")) + unit
            for edge in info.edges
        )
        parts.append(Markup("edges {}").format(Markup(", ").join(shown)))
    if info.system:
        parts.append(f"of {info.system}")
    if info.window:
        parts.append(f"windows {info.window}")
    return lines(parts)


def _remark(info: StratumInfo) -> Text:
    shared = (
        Markup("{} with cases in several groups").format(
            Markup("{} patient").format(count(1))
            if info.shared == 1
            else Markup("{} patients").format(count(info.shared))
        )
        if info.shared
        else ""
    )
    return lines([part for part in (info.note, shared) if part]) or "none"


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
        first = True
        for name in info.names:
            key = (system, "clean", 0.0, head.label, head.metric, info.axis, name)
            found = view.index.get(key)
            if found:
                group = heading(info.axis) if first else ""
                rows.append(points.ForestRow(plain(name), found.mean, group, _hollow(info, found)))
                first = False
    return rows


def _hollow(info: StratumInfo, row: Summary) -> bool:
    return info.kind != "inferential" or row.mean.status == "too_few"


def _cross(view: View, info: StratumInfo) -> Gallery:
    """Show one cross: a heat map for each system, and all cells as one table."""
    head = view.results.headline
    metric = view.metric(head.metric)
    figures = []
    rows: list[tuple[Text, ...]] = []
    for system in view.systems:
        cells = _cells(view, info, system)
        for (first, second), cell in cells.items():
            words: Text = "no case"
            if cell is not None:
                words = value_of(cell.estimate, unit=metric.unit)
            n = count(cell.estimate.n) if cell is not None else count(0)
            kind = "none" if cell is None else "too few" if cell.hollow else "inferential"
            if cell is not None and info.kind != "inferential":
                kind = "descriptive"
            rows.append((system, plain(first), plain(second), words, n, kind))
        if any(cell is not None for cell in cells.values()):
            svg = heat_map(info, cells, view.marks[system], metric, title=system)
            figures.append(Figure(svg, f"{system}: {short(metric)} of {head.label}, clean scans"))
    (first, _), (second, _) = info.cross
    columns = (
        *(Column("System"), Column(heading(first)), Column(heading(second))),
        *(Column("Mean [interval]", "number"), Column("n", "number"), Column("Kind")),
    )
    title = f"{heading(first)} × {plain(second)}: {short(metric)} of {head.label} on clean scans"
    caption = Markup("{}; {} intervals.").format(title, percent(view.results.audit.interval_level))
    table = Table(caption, columns, tuple(rows), summary="Numbers of this cross")
    return Gallery(tuple(figures), table=table, title=title)


def _cells(view: View, info: StratumInfo, system: str) -> dict[tuple[str, str], Cell | None]:
    """Find the summary behind every pair of groups; None where there is no case."""
    head = view.results.headline
    (_, across), (_, down) = info.cross
    found: dict[tuple[str, str], Cell | None] = {}
    for place, name in enumerate(info.names):
        row = view.index.get((system, "clean", 0.0, head.label, head.metric, info.axis, name))
        pair = across[place // len(down)], down[place % len(down)]
        found[pair] = None if row is None else Cell(row.mean, _hollow(info, row))
    return found


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
    return Table(
        caption,
        columns,
        tuple(rows),
        note="Without interval: too few patients to infer from. Loss: paired with the clean scans.",
        summary="Groups under perturbations",
    )
