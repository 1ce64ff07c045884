"""Write SVG by hand: small, accessible, without a single style attribute.

**Conventions.** Lengths are in units of the view box, which is drawn at about one unit a pixel. All
looks come from classes of the page's one style sheet, so that the content policy may forbid inline
styles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Number = float | int


@dataclass(frozen=True, slots=True)
class Mark:
    """How one system is drawn everywhere."""

    index: int
    """0, 1, ..: class ``s0``, ``s1`` of the style sheet (colour)."""
    dash: str
    """Dash pattern of its line; empty: solid."""
    shape: str
    """circle, square, triangle, diamond, wedge, plus."""


_DASHES = ("", "7 3", "2 2.5", "9 3 2 3", "4 2", "1 3")
_SHAPES = ("circle", "square", "triangle", "diamond", "wedge", "plus")


def mark_of(index: int) -> Mark:
    """Give system number `index` its colour, dash and shape; they repeat after six."""
    return Mark(index % 6, _DASHES[index % 6], _SHAPES[(index + index // 6) % 6])


def _attribute(value: Number | str) -> str:
    if isinstance(value, str):
        return str(escape(value))
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def element(name: str, *children: str | Markup, **attributes: Number | str | None) -> Markup:
    """Write one element.

    Parameters
    ----------
    name
        Tag.
    children
        Escaped unless they are Markup.
    attributes
        ``class_`` is class, underscores become hyphens, None is left out; numbers are written with
        one decimal.
    """
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    body = "".join(str(escape(child)) for child in children)
    return Markup(f"<{name}{pairs}>{body}</{name}>" if body else f"<{name}{pairs}/>")


def text(x: Number, y: Number, words: str | Markup, **attributes: Number | str | None) -> Markup:
    """Write words at a point."""
    return element("text", words, x=x, y=y, **attributes)


def line(
    x1: Number, y1: Number, x2: Number, y2: Number, **attributes: Number | str | None
) -> Markup:
    """Draw a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, **attributes)


def rectangle(
    x: Number, y: Number, width: Number, height: Number, **attributes: Number | str | None
) -> Markup:
    """Draw a rectangle."""
    return element("rect", x=x, y=y, width=width, height=height, **attributes)


def path(points: Sequence[tuple[float, float]], *, closed: bool = False) -> str:
    """Path data through points (x, y)."""
    steps = " ".join(f"{_attribute(x)},{_attribute(y)}" for x, y in points)
    return f"M{steps}{'Z' if closed else ''}" if steps else ""


_OUTLINES: dict[str, tuple[tuple[float, float], ...]] = {
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "triangle": ((0, -1.25), (1.15, 0.85), (-1.15, 0.85)),
    "diamond": ((0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)),
    "wedge": ((0, 1.25), (1.15, -0.85), (-1.15, -0.85)),
    "plus": (
        *((-0.45, -1.3), (0.45, -1.3), (0.45, -0.45), (1.3, -0.45)),
        *((1.3, 0.45), (0.45, 0.45), (0.45, 1.3), (-0.45, 1.3)),
        *((-0.45, 0.45), (-1.3, 0.45), (-1.3, -0.45), (-0.45, -0.45)),
    ),
}
"""Corners of each shape, for size 1."""


def marker(shape: str, x: float, y: float, *, size: float = 3.6, class_: str = "") -> Markup:
    """Draw the mark of a system at a point."""
    return markers(shape, [(x, y)], size=size, class_=class_)


def markers(
    shape: str, places: Sequence[tuple[float, float]], *, size: float = 3.6, class_: str = ""
) -> Markup:
    """Draw the mark of a system at many points, as one path: hundreds of cases stay small."""
    r = _attribute(size)
    if shape == "circle":
        outline = (
            f"a{r},{r} 0 1 0 {_attribute(2 * size)},0a{r},{r} 0 1 0 {_attribute(-2 * size)},0z"
        )
        starts = [(x - size, y) for x, y in places]
    else:
        corners = [(dx * size, dy * size) for dx, dy in _OUTLINES[shape]]
        steps = zip(corners[1:], corners, strict=False)
        outline = "".join(f"l{_attribute(b - a)},{_attribute(d - c)}" for (b, d), (a, c) in steps)
        outline += "z"
        starts = [(x + corners[0][0], y + corners[0][1]) for x, y in places]
    path_data = "".join(f"M{_attribute(x)},{_attribute(y)}{outline}" for x, y in starts)
    return element("path", d=path_data, class_=class_)


def drawing(
    width: Number,
    height: Number,
    *children: Markup,
    title: str,
    description: str,
    class_: str = "chart",
) -> Markup:
    """Wrap a picture with its role, title and description."""
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *children,
        viewBox=f"0 0 {_attribute(width)} {_attribute(height)}",
        role="img",
        class_=class_,
    )
