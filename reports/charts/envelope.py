"""What a response curve shows beside its means: simultaneous bands, and how far a limit is supported."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import EnvelopeRow, ResponsePoint
from reports import svg
from reports.charts.axes import Scale
from reports.view import View

_TOP, _ROOM = 20.0, 11.0
"""Where the bars of all systems lie, above the panel."""


def wide_band(points: Sequence[ResponsePoint], across: Scale, scale: Scale, index: int) -> Markup:
    """Draw the band that holds at all severities at once, cut where a severity has none."""
    runs: list[list[tuple[float, float, float]]] = [[]]
    for point in points:
        low, high = point.band.low, point.band.high
        if low is None or high is None:
            runs.append([])
        else:
            runs[-1].append((point.severity, low, high))
    drawn = []
    for run in runs:
        if len(run) < 2:
            continue
        upper = [(across(s), scale(high)) for s, _, high in run]
        lower = [(across(s), scale(low)) for s, low, _ in reversed(run)]
        outline = svg.path([*upper, *lower], closed=True)
        drawn.append(svg.element("path", d=outline, class_=f"band wide f{index}"))
    return Markup("").join(drawn)


def supported_bars(view: View, rows: Sequence[EnvelopeRow], across: Scale) -> Markup:
    """Draw one bar a system above the panel: as far as the limits are supported; a cross where one breaks.

    Without a declared limit nothing is drawn.
    """
    found = {row.system: row for row in rows if row.claims}
    if not found:
        return Markup("")
    step = min(4.0, _ROOM / max(1, len(view.systems)))
    nowhere = all(row.supported is None for row in found.values())
    words = "supported: none" if nowhere else "supported"
    parts = [svg.text(4, _TOP + _ROOM / 2 + 1, words, class_="small")]
    for place, name in enumerate(view.systems):
        row, y = found.get(name), _TOP + place * step
        if row is None:
            continue
        mark = view.marks[name]
        if row.supported is not None:
            x = across(row.supported)
            parts.append(svg.line(across(0.0), y, x, y, class_=f"whisker s{mark.index}"))
            parts.append(svg.line(x, y - 2.5, x, y + 2.5, class_=f"whisker s{mark.index}"))
        if row.degraded is not None:
            x = across(row.degraded)
            strokes = ((x - 2, y - 2, x + 2, y + 2), (x - 2, y + 2, x + 2, y - 2))
            parts += [svg.line(*stroke, class_=f"guide s{mark.index}") for stroke in strokes]
    return Markup("").join(parts)


def floor_line(rows: Sequence[EnvelopeRow], scale: Scale, left: float, right: float) -> Markup:
    """Draw the declared smallest mean, if there is one."""
    floors = {value for row in rows for claim, value in row.claims if claim == "mean"}
    return Markup("").join(
        svg.line(left, scale(it), right, scale(it), class_="nominal") for it in sorted(floors)
    )
