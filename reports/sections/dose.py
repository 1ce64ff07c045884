"""Dose-response: the clean DSC over the foreground ratio."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import DoseResponse
from reports.charts import difficulty as chart
from reports.charts.response import legend
from reports.document import Block, Column, Figure, Gallery, Prose, Table, Text
from reports.view import View
from reports.wording import count, heading, number, percent, status_words, value_of


def dose_blocks(view: View, labels: Sequence[str]) -> list[Block]:
    """Show the monotone curves of every label that has any; the headline label open."""
    blocks: list[Block] = []
    for label in labels:
        order = {name: place for place, name in enumerate(view.systems)}
        rows = [it for it in view.results.dose if it.label == label and it.system in order]
        rows.sort(key=lambda it: order[it.system])
        points = _points(view, label)
        if rows and any(points.values()):
            blocks.append(_gallery(view, label, rows, points))
        elif rows and label == view.results.headline.label:
            why = next((it.note for it in rows if it.note), "no values")
            blocks.append(Prose(f"DSC over the foreground ratio: not assessed: {why}.", "empty"))
    return blocks


def _points(view: View, label: str) -> dict[str, list[tuple[float, float]]]:
    return {
        d.system: [(value, score) for _, value, score, _ in d.points]
        for d in view.results.difficulty
        if d.label == label and d.axis == "foreground_ratio" and d.system in view.marks
    }


def _gallery(
    view: View,
    label: str,
    rows: list[DoseResponse],
    points: dict[str, list[tuple[float, float]]],
) -> Gallery:
    is_open = label == view.results.headline.label
    title = f"DSC of {label} over the foreground ratio"
    figure = Figure(chart.dose(rows, points, view.marks), title)
    return Gallery(
        (figure,),
        legend=legend(view),
        table=_table(label, rows),
        title=title if is_open else "",
        summary="" if is_open else title,
    )


def _table(label: str, rows: list[DoseResponse]) -> Table:
    body = tuple(
        (
            it.system,
            _curve(it),
            value_of(it.violation),
            _groups(it),
            _crossing(it),
            count(it.n),
        )
        for it in rows
    )
    columns = (
        *(Column("System"), Column("Rising curve, from least to most foreground", "wide")),
        Column("Largest fall between groups", "number"),
        *(Column("Mean DSC of groups, least foreground first", "wide"), Column("Declared value")),
        Column("n", "number"),
    )
    levels = {it.level for it in rows}
    note = Markup(
        "Curve: isotonic regression over patients, pointwise {} bootstrap band; it describes, as the "
        "bootstrap of such a fit is not exact where the curve is flat. Fall: the mean of a group less that "
        "of a group with more foreground, simultaneous over all pairs (negative: it rises); an interval above "
        "0 contradicts a rising curve, which is then not drawn: bars show the means of the groups."
    ).format(percent(max(levels)))
    return Table(
        f"DSC of {label} over the foreground ratio.", columns, body, note=note, stacked=True
    )


def _curve(it: DoseResponse) -> Text:
    if not it.curve:
        words = "contradicted by the data" if it.status == "contradicted" else ""
        return f"none: {words or status_words(it.status, it.note)}"
    (low, first, a, b), (high, last, c, d) = it.curve[0], it.curve[-1]
    ends = [
        Markup("{} [{}, {}] at {}").format(
            number(y), number(down), number(up), number(x, text=f"{x:.4g}")
        )
        for x, y, down, up in ((low, first, a, b), (high, last, c, d))
    ]
    return Markup("{} to {}").format(*ends)


def _groups(it: DoseResponse) -> Text:
    if not it.groups:
        return "none: too few patients"
    return Markup(", ").join(
        Markup("{} (n {})").format(number(mean), count(n)) for _, _, n, mean in it.groups
    )


def _crossing(it: DoseResponse) -> Text:
    if it.crossing is None:
        return "none declared (within)"
    at = it.crossing.at
    start = Markup("mean of at least {}: ").format(number(it.crossing.declared))
    if at.value is None:
        return start + heading(at.note)
    tail = f" ({at.note})" if at.note else ""
    shown = number(at.value, text=f"{at.value:.4g}")
    if at.low is not None and at.high is not None:
        shown += Markup(' <span class="interval">[{}, {}]</span>').format(
            number(at.low, text=f"{at.low:.4g}"), number(at.high, text=f"{at.high:.4g}")
        )
    elif at.low is not None:
        shown += Markup(" (interval from {})").format(number(at.low, text=f"{at.low:.4g}"))
    elif at.high is not None:
        shown += Markup(" (interval up to {})").format(number(at.high, text=f"{at.high:.4g}"))
    return start + Markup("from a ratio of {}").format(shown) + tail
