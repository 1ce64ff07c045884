"""Forest plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from auditor.schema import Estimate, MetricInfo
from reports import svg
from reports.charts.axes import (
    Scale,
    horizontal_axis,
    value_scale,
)
from reports.svg import Mark
from reports.wording import digits, short, status_words


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One line of a forest plot."""

    name: str
    """Stratum, or all cases."""
    estimate: Estimate
    """Mean with interval, or why there is none."""
    group: str = ""
    """Heading above this line; empty: none."""
    hollow: bool = False
    """Descriptive only."""


def forest(rows: Sequence[ForestRow], mark: Mark, metric: MetricInfo, *, title: str) -> Markup:
    """Draw the mean of each stratum with its interval, n at the right."""
    left, right, top = 138.0, 330.0, 30.0
    values = [
        v
        for r in rows
        for v in (r.estimate.value, r.estimate.low, r.estimate.high)
        if v is not None
    ]
    across = value_scale(values or [0.0, 1.0], metric.low, metric.high, left, right)
    heights: list[float] = []
    y = top - 6.0
    for row in rows:
        y += 40.0 if row.group else 20.0
        heights.append(y)
    bottom = y + 14.0
    parts = [horizontal_axis(across, top, bottom)]
    first = rows[0].estimate.value if rows else None
    if first is not None:
        parts.append(svg.line(across(first), top, across(first), bottom, class_="reference"))
    for row, here in zip(rows, heights, strict=True):
        parts.append(_forest_line(row, here, across, mark))
    parts.append(svg.text(12, 16, title, class_="panel-title"))
    parts.append(svg.text(372, 16, "n", class_="tick", text_anchor="end"))
    unit = f", {metric.unit}" if metric.unit else ""
    parts.append(
        svg.text(
            right, bottom + 30, f"mean {short(metric)}{unit}", class_="tick", text_anchor="end"
        )
    )
    return svg.drawing(
        380,
        bottom + 38,
        *parts,
        title=f"{title}: mean {short(metric)} by stratum",
        description="; ".join(_forest_words(row, metric) for row in rows) + ".",
    )


def _forest_words(row: ForestRow, metric: MetricInfo) -> str:
    estimate = row.estimate
    if estimate.value is None:
        return f"{row.name}: {status_words(estimate.status, estimate.note)}"
    return f"{row.name}: {digits(estimate.value, unit=metric.unit)}, n {estimate.n}"


def _forest_line(row: ForestRow, y: float, across: Scale, mark: Mark) -> Markup:
    estimate = row.estimate
    parts = []
    if row.group:
        parts.append(svg.text(12, y - 17, row.group, class_="tick strong"))
    indent = 12 if row.name == "all cases" else 22
    parts.append(svg.text(indent, y + 4, shorten(row.name, 22), class_="tick"))
    parts.append(svg.text(372, y + 4, str(estimate.n), class_="tick", text_anchor="end"))
    if estimate.value is None:
        words = status_words(estimate.status)
        parts.append(svg.text(across.start + 4, y + 4, words, class_="small"))
        return Markup("").join(parts)
    if estimate.low is not None and estimate.high is not None and estimate.n > 1:
        ends = across(estimate.low), across(estimate.high)
        parts.append(svg.line(ends[0], y, ends[1], y, class_=f"whisker s{mark.index}"))
    kind = f"hollow s{mark.index}" if row.hollow else f"mark f{mark.index}"
    parts.append(svg.marker(mark.shape, across(estimate.value), y, size=4.2, class_=kind))
    return Markup("").join(parts)


def shorten(words: str, length: int) -> str:
    """Cut words that do not fit; the table beside the figure has them whole."""
    return words if len(words) <= length else f"{words[: length - 1]}…"
