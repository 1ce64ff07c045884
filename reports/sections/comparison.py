"""Systems against each other on the same patients: the recipe."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import Comparison
from reports.document import Block, Column, Prose, Section, Table, Text
from reports.view import View
from reports.wording import (
    count,
    heading,
    joined,
    level,
    method_of,
    metric_title,
    number,
    short,
    value_of,
)

MOST_PAIRS = 400
"""With more paired differences than this, only the metric of the front page is listed."""

UNDECIDED = "no clear winner"


def comparison(view: View) -> Section:
    """Say for each condition which systems no other beats."""
    lead = (
        "Systems are compared on the same patients. A system is preferred only when the "
        "simultaneous interval of the paired difference excludes zero; else there is no clear "
        "winner."
    )
    blocks: tuple[Block, ...]
    if len(view.systems) < 2:
        blocks = (Prose("Not assessable: one system was audited.", "empty"),)
    elif not view.results.comparisons:
        blocks = (Prose("Not assessable: no comparison could be made.", "empty"),)
    else:
        blocks = (_recipe(view), _pairs(view))
    return Section("comparison", "Which system for which images", lead, blocks)


def unbeaten(view: View, rows: Sequence[Comparison]) -> tuple[str, ...]:
    """Systems of a condition that lose to none of the others."""
    compared = [n for n in view.systems if any(n in (row.first, row.second) for row in rows)]
    beaten = {
        name
        for row in rows
        if row.verdict in (row.first, row.second)
        for name in (row.first, row.second)
        if name != row.verdict
    }
    return tuple(name for name in compared if name not in beaten)


def _recipe(view: View) -> Table:
    head = view.results.headline
    severities = sorted({s for _, s in view.grid if s > 0})
    here = [c for c in view.results.comparisons if (c.label, c.metric) == (head.label, head.metric)]
    rows: list[tuple[Text, ...]] = []
    for name in view.perturbations:
        cells: list[Text] = [heading(name)]
        for severity in (0.0, *severities):
            place = ("clean", 0.0) if not severity else (name, severity)
            pairs = [c for c in here if (c.perturbation, c.severity) == place]
            cells.append(_choice(view, pairs))
        rows.append(tuple(cells))
    columns = (
        Column("Perturbation"),
        Column("Clean"),
        *(Column(Markup("Severity {}").format(f"{s:g}")) for s in severities),
    )
    metric = view.metric(head.metric)
    return Table(
        caption=f"Recipe: preferred system by condition, {metric_title(metric)} of {head.label}.",
        columns=columns,
        rows=tuple(rows),
        note="Engineering advice for the images of this audit; systems trained on other data "
        "differ in more than their architecture.",
    )


def _choice(view: View, pairs: list[Comparison]) -> Text:
    if not pairs:
        return "not compared"
    best = unbeaten(view, pairs)
    if len(best) == 1:
        index = view.marks[best[0]].index
        return Markup('<strong class="choice t{}">{}</strong>').format(index, best[0])
    if 1 < len(best) < len(view.systems):
        return Markup('{}: <span class="quiet">{}</span>').format(UNDECIDED, joined(best))
    return UNDECIDED


def _pairs(view: View) -> Table:
    rows: list[tuple[Text, ...]] = []
    pairs = view.results.comparisons
    head = view.results.headline
    if len(pairs) > MOST_PAIRS:
        pairs = tuple(c for c in pairs if (c.label, c.metric) == (head.label, head.metric))
    for c in pairs:
        metric = view.metric(c.metric)
        clean = c.perturbation == "clean"
        rows.append(
            (
                f"{c.first} − {c.second}",
                heading(c.perturbation),
                "clean" if clean else level(c.level, c.unit),
                number(c.severity, text=f"{c.severity:g}"),
                f"{short(metric)}, {c.label}",
                value_of(c.difference, unit=metric.unit),
                count(c.difference.n),
                method_of(c.difference),
                "simultaneous" if c.adjusted else "single",
                c.verdict,
            )
        )
    columns = (
        *(Column("Pair"), Column("Perturbation"), Column("Level", "number")),
        *(Column("Severity", "number"), Column("Metric and label")),
        *(Column("Difference [interval]", "number"), Column("n", "number")),
        *(
            Column("Level and method", fold=True),
            Column("Intervals", fold=True),
            Column("Preferred"),
        ),
    )
    caption = "Paired differences, first minus second."
    if len(pairs) < len(view.results.comparisons):
        caption += f" Only {short(view.metric(head.metric))}; results.json has the rest."
    return Table(caption, columns, tuple(rows), summary="All paired differences")
