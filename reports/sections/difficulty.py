"""Difficulty: on which cases a system works less well, and why."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import DifficultyAxis
from reports import svg
from reports.charts import difficulty as chart
from reports.charts.axes import Scale
from reports.document import Block, Column, Panel, Panels, Prose, Reading, Section, Table, Text
from reports.sections.dose import dose_blocks
from reports.sections.windows import window_blocks
from reports.svg import Mark
from reports.view import View
from reports.wording import (
    count,
    heading,
    in_words,
    method_of,
    number,
    percent,
    plain,
    status_words,
    value_of,
)

HARDER = {
    ("rater_disagreement", "high"): "harder: raters further apart",
    ("foreground_ratio", "low"): "harder: less foreground",
    ("object_volume", "low"): "harder: a smaller object",
    ("texture_disparity", "low"): "harder: lower disparity, the object looks like its surroundings",
    ("native_noise", "high"): "harder: more noise in the scan itself",
}
"""(axis, harder end) in words."""
SIZE = "object_volume"
"""The measure that is held fixed in the others."""


def difficulty(view: View) -> Section:
    """Show the DSC of each case against what may make it difficult."""
    labels = sorted(view.results.labels, key=lambda name: name != view.results.headline.label)
    rows = [d for d in view.results.difficulty if d.system in view.marks]
    blocks: list[Block] = []
    for label in labels:
        mine = [d for d in rows if d.label == label]
        if mine:
            blocks.append(_figure(view, label, mine))
    if not rows:
        blocks.append(Prose("Not assessable: no measure of difficulty is available.", "empty"))
    blocks += dose_blocks(view, labels)
    blocks += window_blocks(view, labels)
    lead = (
        "Cases are placed by how difficult each measure says they are, the easiest at 0 and the hardest at "
        "100. A negative rank correlation means that harder cases score lower; with size held fixed, it "
        "is what remains among objects of alike size. These are associations, not causes."
    )
    return Section("difficulty", "What makes a case difficult", lead, tuple(blocks))


def _figure(view: View, label: str, rows: list[DifficultyAxis]) -> Panels:
    is_open = label == view.results.headline.label
    up = chart.score_scale([score for d in rows for _, _, score, _ in d.points])
    names = tuple(dict.fromkeys(d.axis for d in rows))
    order = {name: place for place, name in enumerate(view.systems)}
    groups = [
        sorted((d for d in rows if d.axis == name), key=lambda d: order[d.system]) for name in names
    ]
    title = f"DSC of {label} by difficulty"
    return Panels(
        rows=tuple(_panel(view, group, up) for group in groups),
        caption=_caption(view, rows),
        tables=(_correlations(label, groups), _cases(view, label, groups)),
        title=title if is_open else "",
        summary="" if is_open else title,
    )


def _caption(view: View, rows: Sequence[DifficultyAxis]) -> Text:
    windows = sorted({d.window for d in rows if d.line})
    marks = "Each mark is one case on its clean scan; what failed counts at DSC 0."
    if not windows:
        return f"{marks} No line is drawn: fewer than 10 patients, or no variation."
    return Markup(
        "{} Lines are means over a window of {} patients that moves from easy to hard; they begin and end "
        "where a whole window fits. Bands are pointwise {} bootstrap bands over patients; they describe, "
        "and promise nothing of single places."
    ).format(
        marks,
        Markup(" or ").join(count(n) for n in windows),
        percent(view.results.audit.interval_level),
    )


def _panel(view: View, axes: list[DifficultyAxis], up: Scale) -> Panel:
    first = axes[0]
    unit = f", {first.unit}" if first.unit else ""
    title = f"{heading(first.axis)}{unit}"
    hint = HARDER.get((first.axis, first.harder), f"harder: {first.harder} values")
    notes = list(dict.fromkeys(d.note for d in axes if d.note))
    if not any(d.points for d in axes):
        why = "; ".join(notes) or "no case has a value"
        return Panel(title, hint, Markup(""), (), f"Not assessed: {why}.")
    # what is the same for every system is said once
    if _said_once(axes) and first.axis != SIZE:
        notes.append(f"with size held fixed, not assessable: {first.partial.note}")
    return Panel(
        title,
        hint,
        chart.row(axes, view.marks, up),
        tuple(_reading(d, view.marks[d.system], held=not _said_once(axes)) for d in axes),
        sentence("; ".join(notes)),
    )


def _said_once(axes: Sequence[DifficultyAxis]) -> bool:
    """Whether no system has a correlation with size held fixed, all for the same reason."""
    return all(d.partial.value is None for d in axes) and len({d.partial.note for d in axes}) == 1


def sentence(words: str) -> str:
    """Write words as a sentence; nothing stays nothing."""
    return f"{in_words(words[:1].upper() + words[1:])}." if words else ""


def _reading(axis: DifficultyAxis, mark: Mark, *, held: bool) -> Reading:
    entries: list[tuple[str, Text]] = [("rank correlation", _told(axis, partial=False))]
    if held:
        entries.append(("with size held fixed", _told(axis, partial=True)))
    name = Markup('{} <span class="quiet">n\u00a0=\u00a0{}</span>').format(
        axis.system, count(axis.rho.n)
    )
    return Reading(sample(mark) + name, tuple(entries))


def _told(axis: DifficultyAxis, *, partial: bool) -> Text:
    """Write a correlation, and why it has no interval or hardly means anything."""
    estimate = axis.partial if partial else axis.rho
    words = value_of(estimate)
    if estimate.value is not None and estimate.status != "ok":
        return words + Markup(" ({})").format(status_words(estimate.status, estimate.note))
    if estimate.value is not None and estimate.note:
        return words + Markup(' <span class="quiet">{}</span>').format(estimate.note)
    return words


def sample(mark: Mark) -> Markup:
    """Draw the line and mark of a system as a key."""
    line = svg.element(
        "path", d="M1,7 33,7", class_=f"line s{mark.index}", stroke_dasharray=mark.dash or None
    )
    spot = svg.marker(mark.shape, 17, 7, class_=f"mark f{mark.index}")
    return svg.element("svg", line, spot, viewBox="0 0 34 14", class_="sample", aria_hidden="true")


def _correlations(label: str, groups: list[list[DifficultyAxis]]) -> Table:
    rows: list[tuple[Text, ...]] = []
    for group in groups:
        if any(d.points for d in group):
            rows += [_correlation(d, d.system) for d in group]
        else:
            rows.append(_correlation(group[0], "all systems"))
    columns = (
        *(Column("Measure of difficulty", "wide"), Column("System")),
        *(Column("Rank correlation with DSC", "number"), Column("n", "number")),
        *(Column("With size held fixed", "number"), Column("n", "number")),
        Column("Mean DSC, easiest window", "number"),
        *(Column("Mean DSC, hardest window", "number"), Column("Level and method", fold=True)),
    )
    return Table(
        f"Spearman's rank correlation of difficulty with the clean DSC of {label}.",
        columns,
        tuple(rows),
        note="Negative: harder cases score lower. Many numbers: none of them is adjusted for the others.",
        stacked=True,
    )


def _correlation(d: DifficultyAxis, system: str) -> tuple[Text, ...]:
    return (
        Markup('{} <span class="quiet">{}</span>').format(
            heading(d.axis), HARDER.get((d.axis, d.harder), d.harder)
        ),
        system,
        _told(d, partial=False),
        count(d.rho.n),
        _told(d, partial=True),
        count(d.partial.n) if d.partial.n else "none",
        _end(d, 0),
        _end(d, -1),
        method_of(d.rho) if d.rho.n else "",
    )


def _end(axis: DifficultyAxis, place: int) -> Text:
    if not axis.line:
        return "not drawn"
    _, mean, low, high = axis.line[place]
    return number(mean) + Markup(' <span class="interval">[{}, {}]</span>').format(
        number(low), number(high)
    )


def _cases(view: View, label: str, groups: list[list[DifficultyAxis]]) -> Table:
    drawn = [group for group in groups if any(d.points for d in group)]
    values = [{case: x for d in group for case, x, _, _ in d.points} for group in drawn]
    ranks = [{case: p for d in group for case, _, _, p in d.points} for group in drawn]
    scores = [
        {
            case: y
            for group in drawn
            for d in group
            if d.system == name
            for case, _, y, _ in d.points
        }
        for name in view.systems
    ]
    names = sorted({case for found in values for case in found})
    body = tuple(
        (
            case,
            *(
                number(x[case], text=f"{x[case]:.4g}".replace("-", "−"))
                + Markup(" ({})").format(number(p[case], text=f"{p[case]:.0f}"))
                if case in x
                else "no value"
                for x, p in zip(values, ranks, strict=True)
            ),
            *(number(mine[case]) if case in mine else "no value" for mine in scores),
        )
        for case in names
    )
    heads = [f"{heading(g[0].axis)}{f', {g[0].unit}' if g[0].unit else ''}" for g in drawn]
    columns = (
        Column("Case"),
        *(Column(f"{words} (percentile)", "number") for words in heads),
        *(Column(f"DSC, {name}", "number") for name in view.systems),
    )
    measures = ", ".join(plain(g[0].axis) for g in drawn) or "no measure"
    caption = f"Clean DSC of {label} and {measures}, case by case."
    return Table(caption, columns, body, summary="Numbers of this figure, case by case")
