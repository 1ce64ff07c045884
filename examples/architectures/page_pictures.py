"""Pictures of the study's page: train-by-test matrices and curves, as SVG that stands alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from reports import svg
from reports.charts.axes import Scale, vertical_axis

__all__ = ["PICTURES", "pictures"]

PICTURES = {
    "curves-foreground": "Mean DSC of those trained on easy blends, the object growing like its surroundings",
    "curves-background": "Mean DSC of those trained on easy blends, the surroundings growing like the object",
    "matrix-foreground": "Mean DSC by what a network was trained on and tested on, foreground direction",
    "matrix-background": "Mean DSC by what a network was trained on and tested on, background direction",
}
"""Name -> what it shows."""

_STYLE = """
.study{--ink:#17202a;--soft:#4a5763;--paper:#fff;--line:#dde3e8;--cell:#0b5a8f;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#a6598a;--c4:#b37700;--c5:#3f3f3f;--c6:#8a1538;
font-family:"Segoe UI","Helvetica Neue",Helvetica,Arial,"Liberation Sans",sans-serif;font-size:12px}
@media (prefers-color-scheme:dark){.study{--ink:#e8edf2;--soft:#b3bec8;--paper:#14191f;--line:#2f3942;
--cell:#6db5e8;--c0:#6db5e8;--c1:#ff9a5c;--c2:#4fd3a8;--c3:#d79ac4;--c4:#e5b25a;--c5:#b5b5b5;
--c6:#ff8fa8}}
.study text{fill:var(--ink)}
.study .tick,.study .soft{fill:var(--soft);font-size:11px}
.study .title{font-size:14px;font-weight:650}
.ground{fill:var(--paper)}
.grid{stroke:var(--line)}
.reach{fill:none;stroke-width:1.2}
.way{fill:none;stroke-width:1.8}
.cell{fill:var(--cell)}
.edge{fill:none;stroke:var(--line)}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}.s5{stroke:var(--c5)}
.s6{stroke:var(--c6)}
.m0{fill:var(--c0)}.m1{fill:var(--c1)}.m2{fill:var(--c2)}.m3{fill:var(--c3)}.m4{fill:var(--c4)}.m5{fill:var(--c5)}
.m6{fill:var(--c6)}
"""
"""A file of its own has no style sheet of a page; it follows the light or dark of the reader."""

_LEFT, _TOP, _WIDE, _HIGH = 46.0, 40.0, 430.0, 250.0
_ROW, _COLUMN, _NAMES = 22.0, 58.0, 240.0

Summary = Mapping[str, Any]


def pictures(summary: Summary) -> dict[str, str]:
    """Draw what there is to draw: name of `PICTURES` -> SVG."""
    found = {}
    for direction, own in summary["directions"].items():
        if own["cells"]:
            found[f"curves-{direction}"] = _curves(summary, own["cells"], direction)
            found[f"matrix-{direction}"] = _matrix(summary, own["cells"], direction)
    return {name: found[name] for name in PICTURES if name in found}


def _curves(summary: Summary, cells: Sequence[Mapping[str, Any]], direction: str) -> str:
    """One line a family; bars are intervals, set a little apart."""
    easy = summary["design"]["easy"]
    tested = sorted({it["tested"] for it in cells})
    across = Scale(0.0, max(tested) or 1.0, _LEFT + 14, _LEFT + _WIDE - 14)
    upward = Scale(0.0, 1.0, _TOP + _HIGH, _TOP)
    parts = [
        svg.text(_LEFT, 20, f"Mean DSC, trained at {easy:g} ({direction})", class_="title"),
        vertical_axis(upward, _LEFT, _LEFT + _WIDE),
        *(
            svg.text(across(it), _TOP + _HIGH + 18, "clean" if it == 0 else f"{it:g}", class_="tick",
                     text_anchor="middle")
            for it in tested
        ),
        svg.text(_LEFT + _WIDE / 2, _TOP + _HIGH + 36, "share of blending in the test", class_="soft",
                 text_anchor="middle"),
    ]  # fmt: skip
    names = [it["name"] for it in summary["networks"]]
    for place, network in enumerate(summary["networks"]):
        own = sorted(
            (it for it in cells if it["family"] == network["name"] and it["trained"] == easy),
            key=lambda it: it["tested"],
        )
        known = [it for it in own if it["mean"]["value"] is not None]
        mark = _mark(place)
        aside = (place - (len(names) - 1) / 2) * 2.2
        points = [(across(it["tested"]) + aside, upward(it["mean"]["value"])) for it in known]
        reach = [
            svg.line(x, upward(it["mean"]["low"]), x, upward(it["mean"]["high"]), class_=f"reach s{mark.index}")
            for (x, _), it in zip(points, known, strict=True)
            if it["mean"]["low"] is not None
        ]  # fmt: skip
        y = _TOP + 12 + 24 * place
        parts += [
            *reach,
            svg.element("path", d=svg.path(points), class_=f"way s{mark.index}",
                        stroke_dasharray=mark.dash or None),
            svg.markers(mark.shape, points, class_=f"m{mark.index}"),
            svg.element("path", d=svg.path([(_LEFT + _WIDE + 16, y), (_LEFT + _WIDE + 46, y)]),
                        class_=f"way s{mark.index}", stroke_dasharray=mark.dash or None),
            svg.marker(mark.shape, _LEFT + _WIDE + 31, y, class_=f"m{mark.index}"),
            svg.text(_LEFT + _WIDE + 54, y + 4, network["title"]),
        ]  # fmt: skip
    told = "; ".join(
        f"{it['family']} tested at {it['tested']:g}: {it['mean']['value']:.2f}"
        for it in cells
        if it["trained"] == easy and it["mean"]["value"] is not None
    )
    return _whole(_LEFT + _WIDE + 270, _TOP + _HIGH + 48, parts, f"curves-{direction}", told)


def _mark(place: int) -> svg.Mark:
    """Tell seven networks apart, one more than the report's marks do."""
    return svg.Mark(6, "12 3", "diamond") if place == 6 else svg.mark_of(place)


def _matrix(summary: Summary, cells: Sequence[Mapping[str, Any]], direction: str) -> str:
    """One row a family and training, one column a test; the number stands in the cell."""
    tested = sorted({it["tested"] for it in cells})
    by_place = {(it["family"], it["trained"], it["tested"]): it["mean"]["value"] for it in cells}
    trained = sorted({it["trained"] for it in cells})
    rows = [(it, level) for level in trained for it in summary["networks"]]
    parts = [svg.text(8, 20, f"Mean DSC ({direction})", class_="title")]
    for column, test in enumerate(tested):
        words = "clean" if test == 0 else f"at {test:g}"
        middle = _NAMES + (column + 0.5) * _COLUMN
        parts.append(svg.text(middle, 40, words, class_="tick", text_anchor="middle"))
    for place, (network, level) in enumerate(rows):
        y = 48 + place * _ROW + 8 * trained.index(level)
        parts.append(svg.text(8, y + 15, f"{network['title']}, trained at {level:g}"))
        for column, test in enumerate(tested):
            value = by_place.get((network["name"], level, test))
            x = _NAMES + column * _COLUMN
            if value is None:
                parts.append(
                    svg.text(x + _COLUMN / 2, y + 15, "none", class_="soft", text_anchor="middle")
                )
                continue
            parts += [
                svg.rectangle(x, y, _COLUMN, _ROW, class_="cell", fill_opacity=f"{0.5 * value:.2f}"),
                svg.rectangle(x, y, _COLUMN, _ROW, class_="edge"),
                svg.text(x + _COLUMN / 2, y + 15, f"{value:.2f}", text_anchor="middle"),
            ]  # fmt: skip
    told = "; ".join(
        f"{family} trained at {level:g}, tested at {test:g}: {value:.2f}"
        for (family, level, test), value in by_place.items()
        if value is not None
    )
    width = _NAMES + len(tested) * _COLUMN + 8
    height = 56 + len(rows) * _ROW + 8 * (len(trained) - 1)
    return _whole(width, height, parts, f"matrix-{direction}", told)


def _whole(width: float, height: float, parts: Sequence[Markup], name: str, told: str) -> str:
    drawn = svg.drawing(
        width, height, svg.rectangle(0, 0, width, height, class_="ground"), *parts,
        title=PICTURES[name], description=told, class_="study",
    )  # fmt: skip
    head, rest = str(drawn).split(">", 1)
    style = svg.element("style", Markup(_STYLE))  # our own, nothing of it is given
    return f'{head} xmlns="http://www.w3.org/2000/svg">{style}{rest}\n'
