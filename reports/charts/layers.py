"""Along a network: how far its activations move, a line a severity, over what is usual between patients."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import LayerCurve, LayerFacts, LayerSusceptibility
from reports import svg
from reports.charts.axes import Scale, nice_step, vertical_axis
from reports.charts.points import shorten
from reports.charts.response import key_of
from reports.svg import Mark, mark_of
from reports.wording import compact, digits, heading

__all__ = ["along", "legend", "top_of"]

WIDTH, HEIGHT = 380.0, 232.0
LEFT, RIGHT, TOP, BOTTOM = 40.0, 368.0, 34.0, 184.0
_GAP = 26.0
"""Room between two resolutions that are written below the axis."""


def top_of(found: Sequence[LayerSusceptibility]) -> float:
    """Return a round number above everything that is drawn, for one scale of all panels."""
    values = [
        v
        for it in found
        for of in (
            *(layer.between for layer in it.layers),
            *(distance for curve in it.curves for distance in curve.distances),
        )
        for v in (of.value, of.high)
        if v is not None
    ]
    top = max([0.05, *values])
    step = nice_step(top, ticks=4)
    return min(1.0, step * -(-top // step))


def along(
    found: LayerSusceptibility, curves: Sequence[LayerCurve], top: float, *, title: str
) -> Markup:
    """Draw the layers of one system under one perturbation.

    Parameters
    ----------
    found
        With the layers.
    curves
        One a severity, ascending.
    top
        Of the upright scale.
    title
        Of the panel.
    """
    last = max(1, len(found.layers) - 1)
    across = Scale(0.0, float(last), LEFT + 8, RIGHT - 8)
    up = Scale(0.0, top, BOTTOM, TOP)
    parts = [
        svg.text(6, 14, shorten(title, 48), class_="panel-title"),
        svg.text(RIGHT, 27, "Hellinger distance", class_="tick", text_anchor="end"),
        vertical_axis(up, LEFT, RIGHT),
        svg.line(LEFT, BOTTOM, RIGHT, BOTTOM, class_="axis"),
        _usual(found.layers, across, up),
        *_resolutions(found.layers, across),
        svg.text(
            RIGHT, BOTTOM + 42, "place in the network, from the image →", class_="tick",
            text_anchor="end",
        ),
    ]  # fmt: skip
    for number, curve in enumerate(curves):
        parts.append(_line(found.layers, curve, mark_of(number), across, up))
    return svg.drawing(
        WIDTH,
        HEIGHT,
        *parts,
        title=f"{title}: distance of activations to the clean scan along the network",
        description="; ".join(_words(found.layers, curve) for curve in curves) + ".",
    )


def legend(severities: Sequence[float]) -> Markup:
    """Say which line is which severity, and what is grey and hollow."""
    keys = [key_of(mark_of(i), f"severity {severity:g}") for i, severity in enumerate(severities)]
    sample = svg.element(
        "svg",
        svg.rectangle(0, 2, 34, 10, class_="stress"),
        svg.line(0, 7, 34, 7, class_="nominal"),
        viewBox="0 0 34 14",
        class_="sample",
        aria_hidden="true",
    )
    words = "between clean scans of different patients; hollow marks: no interval"
    usual = Markup('<span class="key">{}{}</span>').format(sample, words)
    return Markup("").join([*keys, usual])


def _usual(layers: Sequence[LayerFacts], across: Scale, up: Scale) -> Markup:
    """Band and line of the distance between patients."""
    bands = [
        (across(it.place), up(it.between.low), up(it.between.high))
        for it in layers
        if it.between.low is not None and it.between.high is not None
    ]
    outline = [(x, high) for x, _, high in bands] + [(x, low) for x, low, _ in reversed(bands)]
    drawn = [
        svg.element("path", d=svg.path(run), class_="nominal", fill="none")
        for run in _runs([(it.place, it.between.value) for it in layers], across, up)
    ]
    band = svg.element("path", d=svg.path(outline, closed=True), class_="stress")
    return (band if len(bands) > 1 else Markup("")) + Markup("").join(drawn)


def _runs(
    points: Sequence[tuple[int, float | None]], across: Scale, up: Scale
) -> list[list[tuple[float, float]]]:
    """Cut a line where a value is missing: a gap must not be bridged."""
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((across(place), up(value)))
    return [run for run in runs if run]


def _line(
    layers: Sequence[LayerFacts], curve: LayerCurve, mark: Mark, across: Scale, up: Scale
) -> Markup:
    points = [(it.place, d) for it, d in zip(layers, curve.distances, strict=True)]
    parts = []
    for place, distance in points:
        if distance.low is not None and distance.high is not None:
            x = across(place)
            ends = up(distance.low), up(distance.high)
            parts.append(svg.line(x, ends[0], x, ends[1], class_=f"guide s{mark.index}"))
    for run in _runs([(place, d.value) for place, d in points], across, up):
        parts.append(
            svg.element(
                "path", d=svg.path(run), class_=f"line s{mark.index}",
                stroke_dasharray=mark.dash or None,
            )
        )  # fmt: skip
    for place, distance in points:
        if distance.value is not None:
            sure = distance.low is not None
            kind = f"mark f{mark.index}" if sure else f"hollow s{mark.index}"
            x, y = across(place), up(distance.value)
            parts.append(svg.marker(mark.shape, x, y, size=1.8, class_=kind))
    return Markup("").join(parts)


def _resolutions(layers: Sequence[LayerFacts], across: Scale) -> list[Markup]:
    """Write the resolution where it changes, as far as there is room."""
    parts: list[Markup] = []
    before: tuple[int, ...] | None = None
    free = LEFT
    for it in layers:
        if it.resolution == before or not it.resolution:
            continue
        before = it.resolution
        x = across(it.place)
        parts.append(svg.line(x, BOTTOM, x, BOTTOM + 4, class_="axis"))
        if x >= free:
            words = " × ".join(map(str, it.resolution))
            parts.append(svg.text(x - 4, BOTTOM + 15, compact(it.place), class_="tick"))
            parts.append(svg.text(x - 4, BOTTOM + 27, words, class_="small"))
            free = x + max(_GAP, 5.2 * len(words))
    return parts


def _words(layers: Sequence[LayerFacts], curve: LayerCurve) -> str:
    told = [
        f"{digits(curve.distances[place].value or 0.0)} at {layers[place].name}"
        for place in curve.most
    ]
    where = f"{heading(curve.perturbation)}, severity {curve.severity:g}"
    return f"{where}: largest {', '.join(told) if told else 'none'}"
