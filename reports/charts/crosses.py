"""A cross of two axes of groups as a small heat map: mean, interval and n in every cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from auditor.schema import Estimate, MetricInfo, StratumInfo
from reports import svg
from reports.charts.axes import value_scale
from reports.charts.points import shorten
from reports.svg import Mark
from reports.wording import digits, plain, short, status_words

_LEFT, _TOP, _WIDTH, _HEIGHT = 112.0, 62.0, 92.0, 48.0
_FAINT, _DEEP = 0.05, 0.36
"""Opacity of the lowest and of the highest value: words on top stay readable."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One pair of groups."""

    estimate: Estimate
    """Mean with interval, or why there is none."""
    hollow: bool
    """Descriptive only, or of too few patients."""


def heat_map(
    info: StratumInfo,
    cells: Mapping[tuple[str, str], Cell | None],
    mark: Mark,
    metric: MetricInfo,
    *,
    title: str,
) -> Markup:
    """Draw one cross for one system.

    Parameters
    ----------
    info
        The cross, with both axes and their groups: the first axis runs down, the second to the right.
    cells
        (group of the first axis, group of the second axis) -> cell; None: no case.
    mark
        Colour of the system. Deeper is a higher value; hollow cells have no colour.
    metric
        Of the means.
    title
        Name of the system.
    """
    (down, rows), (across, columns) = info.cross
    values = [
        cell.estimate.value
        for cell in cells.values()
        if cell is not None and cell.estimate.value is not None
    ]
    deep = value_scale(values or [0.0, 1.0], metric.low, metric.high, _FAINT, _DEEP)
    right = _LEFT + _WIDTH * len(columns)
    parts = [
        svg.text(12, 16, title, class_="panel-title"),
        svg.text(_LEFT, 36, plain(across), class_="tick strong"),
        svg.text(12, _TOP - 8, plain(down), class_="tick strong"),
    ]
    for j, name in enumerate(columns):
        x = _LEFT + _WIDTH * (j + 0.5)
        words = shorten(plain(name), 14)
        parts.append(svg.text(x, _TOP - 8, words, class_="tick", text_anchor="middle"))
    for i, row in enumerate(rows):
        y = _TOP + _HEIGHT * i
        words = shorten(plain(row), 17)
        parts.append(svg.text(12, y + _HEIGHT / 2 + 4, words, class_="tick"))
        for j, column in enumerate(columns):
            cell = cells[row, column]
            here = _LEFT + _WIDTH * j
            opacity = None
            if cell is not None and cell.estimate.value is not None:
                opacity = deep(cell.estimate.value)
            parts.append(_drawn(cell, here, y, opacity, mark, metric))
    bottom = _TOP + _HEIGHT * len(rows)
    told = f"mean {short(metric)}{f', {metric.unit}' if metric.unit else ''}, interval, patients"
    parts.append(svg.text(right, bottom + 18, told, class_="tick", text_anchor="end"))
    return svg.drawing(
        max(right + 12, 240.0),
        bottom + 26,
        *parts,
        title=f"{title}: mean {short(metric)} by {plain(down)} and {plain(across)}",
        description="; ".join(_words(pair, cell, metric) for pair, cell in cells.items()) + ".",
    )


def _drawn(
    cell: Cell | None,
    x: float,
    y: float,
    opacity: float | None,
    mark: Mark,
    metric: MetricInfo,
) -> Markup:
    middle = x + _WIDTH / 2
    box = (x + 1.5, y + 1.5, _WIDTH - 3, _HEIGHT - 3)
    if cell is None:
        empty = svg.text(middle, y + 28, "no case", class_="small", text_anchor="middle")
        return svg.rectangle(*box, class_="grid", fill="none") + empty
    estimate = cell.estimate
    if cell.hollow or opacity is None:
        frame = svg.rectangle(*box, class_=f"hollow s{mark.index}", stroke_dasharray="3 2.5")
    else:
        # two decimals are not enough for a shade: the attribute is a text
        frame = svg.rectangle(*box, class_=f"f{mark.index}", fill_opacity=f"{opacity:.3f}")
    lines = _lines(estimate, metric)
    first = y + 15 if len(lines) > 2 else y + 21
    parts = [
        svg.text(
            middle,
            first + 13 * k,
            words,
            class_="tick strong" if k == 0 else "tick",
            text_anchor="middle",
        )
        for k, words in enumerate(lines)
    ]
    return frame + Markup("").join(parts)


def _lines(estimate: Estimate, metric: MetricInfo) -> list[str]:
    if estimate.value is None:
        return [status_words(estimate.status), f"n = {estimate.n}"]
    lines = [digits(estimate.value, unit=metric.unit)]
    if estimate.low is not None and estimate.high is not None and estimate.n > 1:
        low, high = (digits(end, unit=metric.unit) for end in (estimate.low, estimate.high))
        lines.append(f"[{low}, {high}]")
    few = ", too few" if estimate.status == "too_few" else ""
    lines.append(f"n = {estimate.n}{few}")
    return lines


def _words(pair: tuple[str, str], cell: Cell | None, metric: MetricInfo) -> str:
    where = " and ".join(map(plain, pair))
    if cell is None:
        return f"{where}: no case"
    return f"{where}: {', '.join(_lines(cell.estimate, metric))}"
