"""Raters with each other and a system with the raters, case by case."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import RaterCase, RaterLabel, RaterSystem
from reports import svg
from reports.charts.axes import Scale, horizontal_axis, spread_scale, vertical_axis
from reports.svg import Mark
from reports.wording import digits, status_words

MOST = 60
"""Cases side by side; with more, evenly spaced ones of the order are drawn."""


def paired(row: RaterSystem, mark: Mark) -> Markup:
    """Draw, case by case, the raters' DSC with each other and the system's with them.

    Cases run from the worst agreement of the raters to the best. The strip below shows the difference:
    above its line the system agrees better with the raters than they do with each other.

    Parameters
    ----------
    row
        With at least one point.
    mark
        Of the system.
    """
    points = _thinned(sorted(row.points, key=lambda it: (it[1], it[0])))
    left, right = 44.0, 452.0
    floor = math.floor(min(min(raters, own) for _, raters, own in points) * 10.0) / 10.0
    up = Scale(min(floor, 0.9), 1.0, 176.0, 40.0)
    gaps = [own - raters for _, raters, own in points]
    reach = max(0.05, math.ceil(max(abs(gap) for gap in gaps) * 20.0) / 20.0)
    strip = Scale(-reach, reach, 262.0, 206.0)
    step = (right - left) / len(points)
    places = [left + (place + 0.5) * step for place in range(len(points))]
    stems = [
        svg.line(x, up(raters), x, up(own), class_="guide axis")
        for x, (_, raters, own) in zip(places, points, strict=True)
    ]
    bars = [
        svg.line(x, strip(0.0), x, strip(gap), class_=f"bar s{mark.index}")
        for x, gap in zip(places, gaps, strict=True)
    ]
    mean = row.difference
    told = _words(mean.value, mean.status)
    margin = _margin(row, strip, left, right)
    dashed = "; dashed: the declared margin" if margin else ""
    return svg.drawing(
        460,
        300,
        vertical_axis(up, left, right),
        *stems,
        svg.markers("circle", [(x, up(it[1])) for x, it in zip(places, points, strict=True)],
                    size=2.6, class_="hollow axis"),
        svg.markers(mark.shape, [(x, up(it[2])) for x, it in zip(places, points, strict=True)],
                    size=2.8, class_=f"dot f{mark.index}"),
        svg.line(left, strip(0.0), right, strip(0.0), class_="axis"),
        *(
            svg.text(left - 6, strip(v) + 3.5, digits(v, unit="u"), class_="tick", text_anchor="end")
            for v in (-reach, 0.0, reach)
        ),
        *bars,
        *margin,
        svg.text(8, 14, row.system, class_="panel-title"),
        svg.text(8, 30, "DSC with the raters (filled) and of the raters (hollow)", class_="tick"),
        svg.text(8, 197, f"Difference: mean {told}, n = {mean.n}{dashed}", class_="tick"),
        svg.text(right, 290, "cases, raters agree more to the right →", class_="tick",
                 text_anchor="end"),
        title=f"Agreement of {row.system} with the raters on {row.label}, case by case",
        description=(
            f"{len(points)} of {len(row.points)} cases; mean difference {told}, above 0 where the "
            "system agrees better with the raters than they do with each other."
        ),
    )  # fmt: skip


def _margin(row: RaterSystem, strip: Scale, left: float, right: float) -> list[Markup]:
    if row.test is None or row.test.margin > strip.high:
        return []
    y = strip(-row.test.margin)
    return [svg.line(left, y, right, y, class_="nominal")]


def agreement(
    label: RaterLabel, cases: Sequence[RaterCase], *, unit: str, volume_unit: str
) -> Markup:
    """Draw the disagreement of each case against the size of its object, as DSC and as a width.

    Parameters
    ----------
    label
        What is drawn.
    cases
        Of this label.
    unit, volume_unit
        Of lengths and of volumes.
    """
    drawn = [it for it in cases if it.volume and it.assd is not None and it.dsc is not None]
    if not drawn:
        return Markup("")
    left, right = 44.0, 452.0
    across = spread_scale([it.volume or 0.0 for it in drawn], left, right)
    loss = [1.0 - (it.dsc or 0.0) for it in drawn]
    width = [it.assd or 0.0 for it in drawn]
    parts: list[Markup] = []
    described = []
    rows = (
        ("1 − DSC of the raters", loss, label.size_and_dsc, 0),
        (f"ASSD of the raters, {unit}", width, label.size_and_assd, 1),
    )
    for place, (words, values, rho, colour) in enumerate(rows):
        top, bottom = 44.0 + place * 148.0, 148.0 + place * 148.0
        up = Scale(0.0, max(*values, 1e-9) * 1.08, bottom, top)
        told = _words(rho.value, rho.status)
        parts += [
            vertical_axis(up, left, right),
            svg.line(left, bottom, right, bottom, class_="axis"),
            svg.markers(
                ("circle", "square")[place],
                [(across(it.volume or 0.0), up(v)) for it, v in zip(drawn, values, strict=True)],
                size=2.7,
                class_=f"dot f{colour}",
            ),
            svg.text(8, top - 12, f"{words} · rank correlation with size {told}", class_="tick"),
        ]
        described.append(f"{words}: rank correlation with size {told}")
    log = " (log scale)" if across.log else ""
    return svg.drawing(
        460,
        334,
        *parts,
        horizontal_axis(across, 44.0, 296.0),
        svg.text(8, 16, label.label, class_="panel-title"),
        svg.text(right, 328, f"mean volume, {volume_unit}{log}", class_="tick", text_anchor="end"),
        title=f"Disagreement of the raters on {label.label} against the size of the object",
        description=f"{len(drawn)} cases; {'; '.join(described)}.",
    )


def _thinned(points: list[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    if len(points) <= MOST:
        return points
    last = len(points) - 1
    return [points[round(place * last / (MOST - 1))] for place in range(MOST)]


def _words(value: float | None, status: str) -> str:
    return status_words(status) if value is None else digits(value)
