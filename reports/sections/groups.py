"""What makes a case difficult for a system."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema import DifficultyAxis
from reports.charts import points
from reports.document import Block, Column, Figure, Gallery, Prose, Section, Table, Text
from reports.view import View
from reports.wording import (
    count,
    heading,
    method_of,
    number,
    plain,
    value_of,
)

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
