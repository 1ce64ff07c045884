"""Difficulty in one figure: for each meaning a row, for each system its cases, line and band."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from auditor.schema import DifficultyAxis, DoseResponse, Estimate
from reports import svg
from reports.charts.axes import Scale, horizontal_axis, spread_scale, vertical_axis
from reports.svg import Mark
from reports.wording import compact, digits, plain, status_words

WIDTH = 420.0
LEFT, RIGHT, TOP, BOTTOM = 34.0, 412.0, 18.0, 142.0

Spot = tuple[float, float]
Band = Sequence[tuple[float, float, float, float]]
"""(x, y, low, high)."""


def score_scale(scores: Sequence[float]) -> Scale:
    """Upright scale of scores, from the tenth below the lowest of them to 1.

    The question is how scores change along the level axis, not how far they are from zero.
    """
    floor = math.floor(min([*scores, 0.9]) * 10.0 + 1e-9) / 10.0
    return Scale(max(0.0, floor), 1.0, BOTTOM, TOP)


def row(axes: Sequence[DifficultyAxis], marks: Mapping[str, Mark], up: Scale) -> Markup:
    """Draw one meaning of difficulty, easiest cases left, hardest right.

    Parameters
    ----------
    axes
        One entry a system, all of the same label and meaning; at least one has points.
    marks
        How systems are drawn.
    up
        Scale of the score, shared by all rows.
    """
    across = Scale(0.0, 100.0, LEFT + 8, RIGHT - 8)
    parts = [
        svg.text(4, 10, "DSC", class_="tick"),
        vertical_axis(up, LEFT, RIGHT),
        svg.line(LEFT, BOTTOM, RIGHT, BOTTOM, class_="axis"),
        *(_tick(across, value) for value in (0.0, 25.0, 50.0, 75.0, 100.0)),
        *_ends(axes),
    ]
    parts += [_dots(a, marks[a.system], across, up) for a in axes]
    parts += [_band(a.line, marks[a.system], across, up) for a in axes]
    parts += [_line(a.line, marks[a.system], across, up) for a in axes]
    first = axes[0]
    return svg.drawing(
        WIDTH,
        BOTTOM + 34,
        *parts,
        title=f"DSC of {first.label} by percentile of difficulty: {plain(first.axis)}",
        description="; ".join(_words(a) for a in axes) + ".",
    )


def _tick(across: Scale, value: float) -> Markup:
    place = across(value)
    return svg.line(place, BOTTOM, place, BOTTOM + 4, class_="axis") + svg.text(
        place, BOTTOM + 16, compact(value), class_="tick", text_anchor="middle"
    )


def _ends(axes: Sequence[DifficultyAxis]) -> list[Markup]:
    """Values of the easiest and the hardest case, under the ends of the scale."""
    points = sorted((p for a in axes for p in a.points), key=lambda p: p[3])
    easy, hard = points[0][1], points[-1][1]
    unit = axes[0].unit if len(axes[0].unit) < 8 else axes[0].unit.split()[0]
    return [
        svg.text(LEFT, BOTTOM + 30, f"easiest: {_value(easy, axes[0].axis, unit)}", class_="tick"),
        svg.text(
            (LEFT + RIGHT) / 2,
            BOTTOM + 30,
            "percentile of difficulty →",
            class_="tick",
            text_anchor="middle",
        ),
        svg.text(
            RIGHT,
            BOTTOM + 30,
            f"hardest: {_value(hard, axes[0].axis, unit)}",
            class_="tick",
            text_anchor="end",
        ),
    ]


def _value(value: float, axis: str, unit: str) -> str:
    if axis == "foreground_ratio":
        return f"{100 * value:.3g} %"
    return f"{value:.3g} {unit}".replace("-", "−").rstrip()


def _dots(axis: DifficultyAxis, mark: Mark, across: Scale, up: Scale) -> Markup:
    places = [(across(x), up(y)) for _, _, y, x in axis.points]
    return svg.markers(mark.shape, places, size=2.3, class_=f"dot faint f{mark.index}")


def _band(points: Band, mark: Mark, across: Scale, up: Scale) -> Markup:
    if len(points) == 1:
        x, _, low, high = points[0]
        place = across(x)
        return svg.line(place, up(low), place, up(high), class_=f"whisker s{mark.index}")
    upper = [(across(x), up(high)) for x, _, _, high in points]
    lower = [(across(x), up(low)) for x, _, low, _ in reversed(points)]
    outline = svg.path([*upper, *lower], closed=True)
    return svg.element("path", d=outline, class_=f"band f{mark.index}") if points else Markup("")


def _line(points: Band, mark: Mark, across: Scale, up: Scale) -> Markup:
    if not points:
        return Markup("")
    places = [(across(x), up(y)) for x, y, _, _ in points]
    ends = [places[0], places[-1]] if len(places) > 1 else places
    marks = [svg.marker(mark.shape, x, y, class_=f"mark f{mark.index}") for x, y in ends]
    shape = svg.element(
        "path",
        d=svg.path(places),
        class_=f"line s{mark.index}",
        stroke_dasharray=mark.dash or None,
    )
    return Markup("").join([shape, *marks] if len(places) > 1 else marks)


def _words(axis: DifficultyAxis) -> str:
    told = f"{axis.system}: {len(axis.points)} cases, rank correlation {strength(axis.rho)}"
    if len(axis.line) < 2:
        return told
    return (
        f"{told}, mean {digits(axis.line[0][1])} among the easiest {axis.window} patients and "
        f"{digits(axis.line[-1][1])} among the hardest"
    )


def strength(rho: Estimate) -> str:
    """Write a correlation with its interval as plain words."""
    if rho.value is None:
        return status_words(rho.status, rho.note)
    if rho.low is None or rho.high is None or rho.n <= 1:
        return digits(rho.value)
    return f"{digits(rho.value)} [{digits(rho.low)}, {digits(rho.high)}]"


def dose(
    rows: Sequence[DoseResponse],
    points: Mapping[str, Sequence[Spot]],
    marks: Mapping[str, Mark],
) -> Markup:
    """Draw the monotone curves over the foreground ratio; where there is none, the means of groups.

    Parameters
    ----------
    rows
        One a system, all of one label.
    points
        System -> (foreground ratio, DSC) of its cases; at least one.
    marks
        How systems are drawn.
    """
    spots = [spot for it in points.values() for spot in it]
    across = spread_scale([x for x, _ in spots], LEFT + 8, RIGHT - 8)
    up = score_scale([y for _, y in spots])
    parts = [
        svg.text(4, 10, "DSC", class_="tick"),
        vertical_axis(up, LEFT, RIGHT),
        horizontal_axis(across, TOP, BOTTOM),
        svg.line(LEFT, BOTTOM, RIGHT, BOTTOM, class_="axis"),
    ]
    for declared in sorted({it.crossing.declared for it in rows if it.crossing is not None}):
        parts.append(svg.line(LEFT, up(declared), RIGHT, up(declared), class_="nominal"))
        words = f"declared: {compact(declared)}"
        parts.append(
            svg.text(RIGHT - 4, up(declared) + 11, words, class_="small", text_anchor="end")
        )
    for it in rows:
        mark = marks[it.system]
        mine = [(across(x), up(y)) for x, y in points.get(it.system, ())]
        parts.append(svg.markers(mark.shape, mine, size=2.3, class_=f"dot faint f{mark.index}"))
        parts.append(_band(it.curve, mark, across, up))
        parts.append(_line(it.curve, mark, across, up))
        if not it.curve:
            parts += [_step(group, mark, across, up) for group in it.groups]
    words = f"foreground ratio{' (log scale)' if across.log else ''}"
    parts.append(svg.text(RIGHT, BOTTOM + 30, words, class_="tick", text_anchor="end"))
    return svg.drawing(
        WIDTH,
        BOTTOM + 34,
        *parts,
        title=f"DSC of {rows[0].label} over the foreground ratio",
        description="; ".join(_dose_words(it) for it in rows) + ".",
    )


def _step(group: tuple[float, float, int, float], mark: Mark, across: Scale, up: Scale) -> Markup:
    low, high, _, mean = group
    return svg.line(across(low), up(mean), across(high), up(mean), class_=f"whisker s{mark.index}")


def _dose_words(it: DoseResponse) -> str:
    if not it.curve:
        return f"{it.system}: no monotone curve, {it.note or plain(it.status)}"
    (low, first, *_), (high, last, *_) = it.curve[0], it.curve[-1]
    return (
        f"{it.system}: from {digits(first)} at a ratio of {low:.3g} to {digits(last)} at {high:.3g}"
    )
