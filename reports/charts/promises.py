"""Conformal bounds by severity, and the share of patients for which a promise was kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from markupsafe import Markup

from auditor.schema import ConformalBound, CoverageRow
from reports import svg
from reports.charts.axes import Scale, vertical_axis
from reports.svg import Mark
from reports.view import View
from reports.wording import digits, heading

LEFT, RIGHT, TOP, BOTTOM = 46.0, 362.0, 30.0, 204.0

Row = TypeVar("Row", ConformalBound, CoverageRow)

Height = Callable[[Row], float | None]
"""What is drawn of a row, in [0, 1]; None: nothing can be."""

_APART = 5.0
"""Between the intervals of two systems at the same severity."""


def bounds(view: View, perturbation: str, label: str) -> Markup:
    """Draw the conformal lower bound of each system by severity."""
    rows = view.bounds(perturbation, label)
    words = "; ".join(f"{_where(row)}: {_bound(row)}" for row in rows) or "No bounds"
    return svg.drawing(
        380,
        244,
        _panel(view, perturbation, rows, lambda row: row.bound),
        svg.text(RIGHT, 14, f"lower bound on DSC of {label}", class_="tick", text_anchor="end"),
        title=f"{heading(perturbation)}: lower bound on the DSC of {label} of a new case",
        description=f"{words}.",
    )


def kept(view: View, rows: Sequence[CoverageRow], perturbation: str, label: str) -> Markup:
    """Draw for which share of patients the bound made on clean scans held, beside the nominal share.

    Parameters
    ----------
    rows
        All patients of one label, clean scans included, by system and severity.
    """
    up = Scale(0.0, 1.0, BOTTOM, TOP)
    nominal = [up(1.0 - row.alpha) for row in rows[:1]]
    lines = [svg.line(LEFT, y, RIGHT, y, class_="nominal") for y in nominal]
    # at the end of its line: inside the panel it would lie under the intervals
    lines += [svg.text(RIGHT + 3, y + 3, "nominal", class_="small") for y in nominal]
    counted = (f"{_where(row)}: {row.held} of {row.counted}" for row in rows if row.counted)
    words = "; ".join(counted) or "Nothing was counted"
    return svg.drawing(
        408,
        244,
        _panel(view, perturbation, rows, lambda row: row.share.value, apart=_APART),
        _intervals(view, perturbation, rows, up),
        *lines,
        svg.text(RIGHT, 14, "patients above the clean bound", class_="tick", text_anchor="end"),
        title=f"{heading(perturbation)}: patients above the bound on {label} made on clean scans",
        description=f"{words}.",
    )


def _intervals(view: View, perturbation: str, rows: Sequence[CoverageRow], up: Scale) -> Markup:
    across = _across(view, perturbation)
    bars = []
    for place, name in enumerate(view.systems):
        for row in rows:
            if row.system == name and row.share.low is not None and row.share.high is not None:
                x = across(row.severity) + _shift(view, place, _APART)
                look = f"whisker s{view.marks[name].index}"
                bars.append(svg.line(x, up(row.share.low), x, up(row.share.high), class_=look))
    return Markup("").join(bars)


def _shift(view: View, place: int, apart: float) -> float:
    """Move a system sideways, so that its marks stand beside those of the others."""
    return (place - (len(view.systems) - 1) / 2) * apart


def _across(view: View, perturbation: str) -> Scale:
    severities = (0.0, *view.severities(perturbation))
    return Scale(0.0, max(severities[-1], 1.0), LEFT + 26, RIGHT - 16)


def _where(row: ConformalBound | CoverageRow) -> str:
    return f"{row.system} at severity {row.severity:g}"


def _bound(row: ConformalBound) -> str:
    return "not certifiable" if row.bound is None else digits(row.bound)


def _panel(
    view: View,
    perturbation: str,
    rows: Sequence[Row],
    height: Height[Row],
    *,
    apart: float = 0.0,
) -> Markup:
    severities = (0.0, *view.severities(perturbation))
    across = _across(view, perturbation)
    up = Scale(0.0, 1.0, BOTTOM, TOP)
    parts = [vertical_axis(up, LEFT, RIGHT), svg.line(LEFT, BOTTOM, RIGHT, BOTTOM, class_="axis")]
    for severity in severities:
        cell = view.grid.get((perturbation, severity))
        words = "clean" if cell is None or cell.level is None else f"{cell.level:.4g}"
        place = across(severity)
        parts.append(svg.text(place, BOTTOM + 14, words, class_="tick", text_anchor="middle"))
    for order, name in enumerate(view.systems):
        mine = [
            (across(row.severity) + _shift(view, order, apart), up(value))
            for row in rows
            if row.system == name and (value := height(row)) is not None
        ]
        parts.append(_dots(mine, view.marks[name]))
    if rows and all(height(row) is None for row in rows):
        middle = (LEFT + RIGHT) / 2
        words = "not certifiable"
        parts.append(svg.text(middle, 120, words, class_="tick strong", text_anchor="middle"))
    unit = next((row.unit for row in rows if row.unit), "")
    axis = f"level{f' in {unit}' if unit else ''} · worse to the right →"
    parts.append(svg.text(12, 14, heading(perturbation), class_="panel-title"))
    parts.append(svg.text(RIGHT, BOTTOM + 32, axis, class_="tick", text_anchor="end"))
    return Markup("").join(parts)


def _dots(points: Sequence[tuple[float, float]], mark: Mark) -> Markup:
    """Draw marks and a thin guide: a bound holds at what was measured, not between."""
    if not points:
        return Markup("")
    guide = svg.element(
        "path",
        d=svg.path(points),
        class_=f"guide s{mark.index}",
        stroke_dasharray=mark.dash or None,
    )
    marks = [svg.marker(mark.shape, x, y, class_=f"mark f{mark.index}") for x, y in points]
    return Markup("").join([guide, *marks])
