"""What skip connections are worth: a line a skip, and curves over how much of one is replaced."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from auditor.schema import AblationPoint, Estimate
from reports import svg
from reports.charts.axes import Scale, horizontal_axis, nice_step, vertical_axis
from reports.charts.points import shorten
from reports.svg import Mark, mark_of
from reports.wording import compact, digits, status_words

__all__ = ["Ends", "ends_of", "skips", "strengths"]

Ends = tuple[float, float]
"""Smallest and largest value that is drawn, 0 among them."""

_LEFT, _RIGHT, _TOP, _ROW = 100.0, 264.0, 26.0, 24.0
_PANEL = (46.0, 290.0, 30.0, 150.0)
"""Left, right, top and bottom of a curve's panel."""


def ends_of(estimates: Iterable[Estimate]) -> Ends:
    """Find round ends that hold all values with their intervals, and 0.

    Parameters
    ----------
    estimates
        Of all figures that share a scale.
    """
    values = [v for it in estimates for v in (it.value, it.low, it.high) if v is not None]
    low, high = min([0.0, *values]), max([0.0, *values])
    if high - low < 0.02:
        low, high = low - 0.01, high + 0.01
    step = nice_step(high - low, ticks=4)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def skips(
    rows: Sequence[tuple[str, Estimate]], ends: Ends, mark: Mark, *, title: str, axis: str
) -> Markup:
    """Draw one number of every skip with its interval, n at the right; hollow: without an interval.

    Parameters
    ----------
    rows
        (skip in words, its number), in the order in which they are drawn.
    ends
        Of the axis, see `ends_of`.
    mark
        Colour and shape.
    title
        Of the panel.
    axis
        What is drawn, and its unit.
    """
    across = Scale(*ends, _LEFT, _RIGHT)
    bottom = _TOP + _ROW * len(rows) + 4
    parts = [
        horizontal_axis(across, _TOP, bottom),
        svg.line(across(0.0), _TOP, across(0.0), bottom, class_="axis"),
    ]
    for place, (name, estimate) in enumerate(rows):
        y = _TOP + _ROW * (place + 0.5) + 2
        parts.append(svg.text(4, y + 4, shorten(name, 17), class_="tick"))
        parts.append(svg.text(296, y + 4, str(estimate.n), class_="tick", text_anchor="end"))
        if estimate.value is None:
            words = shorten(status_words(estimate.status), 26)
            parts.append(svg.text(_LEFT + 4, y + 4, words, class_="small"))
        else:
            parts.append(_across(estimate, y, across, mark))
    parts.append(svg.text(4, 14, title, class_="panel-title"))
    parts.append(svg.text(296, 14, "n", class_="tick", text_anchor="end"))
    parts.append(svg.text(_RIGHT, bottom + 30, axis, class_="tick", text_anchor="end"))
    told = "; ".join(f"{name}: {_words(it)}" for name, it in rows)
    return svg.drawing(300, bottom + 36, *parts, title=f"{title}: {axis}", description=f"{told}.")


def _across(estimate: Estimate, y: float, across: Scale, mark: Mark) -> Markup:
    whisker = Markup("")
    if estimate.low is not None and estimate.high is not None:
        whisker = svg.line(
            across(estimate.low), y, across(estimate.high), y, class_=f"whisker s{mark.index}"
        )
    kind = f"hollow s{mark.index}" if estimate.low is None else f"mark f{mark.index}"
    return whisker + svg.marker(mark.shape, across(estimate.value or 0.0), y, size=4.0, class_=kind)


def _words(estimate: Estimate) -> str:
    if estimate.value is None:
        return status_words(estimate.status)
    ends = ""
    if estimate.low is not None and estimate.high is not None:
        ends = f" [{digits(estimate.low)}, {digits(estimate.high)}]"
    return f"{digits(estimate.value)}{ends}, n {estimate.n}"


def strengths(
    lines: Sequence[tuple[str, Sequence[AblationPoint]]],
    ends: Ends,
    *,
    title: str,
    axis: tuple[str, str],
) -> Markup:
    """Draw reliance over how strongly the same skips are replaced, a line a condition.

    Parameters
    ----------
    lines
        (condition in words, points by rising strength); the first one has the first mark.
    ends
        Of the upright axis, see `ends_of`.
    title
        Of the panel: which skips.
    axis
        (what is drawn upwards, what strength means).
    """
    left, right, top, bottom = _PANEL
    known = sorted({it.strength for _, points in lines for it in points if it.strength is not None})
    across = _strength_scale(known, left, right)
    up = Scale(*ends, bottom, top)
    parts = [
        vertical_axis(up, left, right),
        svg.line(left, up(0.0), right, up(0.0), class_="axis"),
        *(
            svg.text(across(it), bottom + 14, compact(it), class_="tick", text_anchor="middle")
            for it in known
        ),
        *(
            _curve(points, (across, up), mark_of(place), shift=5.0 * (place - (len(lines) - 1) / 2))
            for place, (_, points) in enumerate(lines)
        ),
        svg.text(4, 14, shorten(title, 26), class_="panel-title"),
        svg.text(296, 14, axis[0], class_="tick", text_anchor="end"),
        svg.text(right, bottom + 30, axis[1], class_="tick", text_anchor="end"),
    ]
    told = "; ".join(
        f"{name}: " + ", ".join(f"{_strength(it)} {_words(it.reliance)}" for it in points)
        for name, points in lines
    )
    return svg.drawing(
        300,
        bottom + 36,
        *parts,
        title=f"{title}: {axis[0]} by {axis[1]}",
        description=f"{told}.",
    )


def _strength_scale(known: Sequence[float], left: float, right: float) -> Scale:
    """Scale by ratio where strengths span ten fold: .1 and .25 must not run into each other."""
    first, last = known[0], known[-1]
    if first > 0 and last / first >= 10:
        return Scale(first / 1.25, last * 1.25, left, right, log=True)
    room = (last - first) * 0.08 or 0.5
    return Scale(first - room, last + room, left, right)


def _strength(point: AblationPoint) -> str:
    return "" if point.strength is None else f"at {compact(point.strength)}"


def _curve(
    points: Sequence[AblationPoint], scales: tuple[Scale, Scale], mark: Mark, *, shift: float
) -> Markup:
    """Join neighbours that have a value; a gap is not bridged. Shifted, so that whiskers stay apart."""
    across, up = scales
    runs: list[list[tuple[float, float]]] = [[]]
    parts = []
    for it in points:
        value, low, high = it.reliance.value, it.reliance.low, it.reliance.high
        if value is None or it.strength is None:
            runs.append([])
            continue
        x, y = across(it.strength) + shift, up(value)
        runs[-1].append((x, y))
        if low is not None and high is not None:
            parts.append(svg.line(x, up(low), x, up(high), class_=f"whisker s{mark.index}"))
        kind = f"hollow s{mark.index}" if low is None else f"mark f{mark.index}"
        parts.append(svg.marker(mark.shape, x, y, size=3.4, class_=kind))
    lines = [
        svg.element(
            "path",
            d=svg.path(run),
            class_=f"line s{mark.index}",
            stroke_dasharray=mark.dash or None,
        )
        for run in runs
        if len(run) > 1
    ]
    return Markup("").join([*lines, *parts])
