"""What hurts most, as one picture: a line per perturbation, a mark per severity."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema.screen import Drop, Vulnerability
from reports import svg
from reports.charts.axes import Scale, horizontal_axis, nice_step
from reports.charts.points import shorten
from reports.svg import mark_of
from reports.wording import digits, plain

_ROW = 22.0
_LEFT, _RIGHT = 150.0, 400.0


def vulnerabilities(rows: Sequence[Vulnerability]) -> Markup:
    """Draw the mean drop of every ranked perturbation at each severity.

    Parameters
    ----------
    rows
        In the order of the page; at least one.
    """
    values = [drop.mean for row in rows for drop in row.drops if drop.mean is not None]
    low, high = min(0.0, *values), max(0.05, *values)
    step = nice_step(high - low)
    across = Scale(math.floor(low / step) * step, math.ceil(high / step) * step, _LEFT, _RIGHT)
    top = 36.0
    bottom = top + _ROW * len(rows)
    severities = sorted({drop.severity for row in rows for drop in row.drops})
    places = {severity: place for place, severity in enumerate(severities)}
    parts = [horizontal_axis(across, top - 6, bottom)]
    parts.append(svg.line(across(0.0), top - 6, across(0.0), bottom, class_="axis"))
    for number, row in enumerate(rows):
        parts.append(_line(row, top + _ROW * (number + 0.5), across, places))
    parts += [_key(severity, place) for severity, place in places.items()]
    parts.append(svg.text(452, 14, "n", class_="tick", text_anchor="end"))
    parts.append(
        svg.text(_RIGHT, bottom + 30, "mean drop of the DSC", class_="tick", text_anchor="end")
    )
    return svg.drawing(
        460,
        bottom + 38,
        *parts,
        title="Mean drop of the DSC by perturbation and severity",
        description="; ".join(_words(row) for row in rows) + ".",
    )


def _key(severity: float, place: int) -> Markup:
    mark, x = mark_of(place), _LEFT + 88.0 * place
    return svg.marker(mark.shape, x, 10, class_=f"mark f{mark.index}") + svg.text(
        x + 8, 14, f"severity {severity:g}", class_="tick"
    )


def _line(row: Vulnerability, y: float, across: Scale, places: dict[float, int]) -> Markup:
    known = [drop for drop in row.drops if drop.mean is not None]
    parts = [
        svg.text(8, y + 4, shorten(f"{row.rank} {plain(row.perturbation)}", 25), class_="tick")
    ]
    spots = [across(drop.mean) for drop in known if drop.mean is not None]
    if len(spots) > 1:
        parts.append(svg.line(min(spots), y, max(spots), y, class_="reference"))
    for drop, x in zip(known, spots, strict=True):
        mark = mark_of(places[drop.severity])
        parts.append(svg.marker(mark.shape, x, y, size=4.0, class_=f"mark f{mark.index}"))
    parts.append(svg.text(452, y + 4, str(row.area.n), class_="tick", text_anchor="end"))
    return Markup("").join(parts)


def _words(row: Vulnerability) -> str:
    told = ", ".join(_drop_words(drop) for drop in row.drops)
    return f"{row.rank}. {plain(row.perturbation)}: {told}"


def _drop_words(drop: Drop) -> str:
    value = "none" if drop.mean is None else digits(drop.mean)
    return f"severity {drop.severity:g} {value} (n {drop.n})"
