"""Exhibits: a grey crop with contours, drawn so that pixels have their physical shape."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema.rater_page import RaterPicture
from auditor.schema.ratings import RatingPicture
from reports import svg
from reports.document import Plane, Polygon
from reports.svg import Mark, mark_of
from reports.wording import plain

_LINES = (("reference", ""), ("clean", "1 4"), ("prediction", "7 4"))
"""Drawn in this order: where lines coincide, the gaps of the upper ones show the reference."""


def picture(plane: Plane, *, title: str, images: bool) -> Markup:
    """Draw one plane with its contours.

    Parameters
    ----------
    plane
        Picture and polygons in its pixels; the centre of the first pixel is (0.5, 0.5).
    title
        Words for those who do not see the picture.
    images
        False: contours alone, on an empty ground.
    """
    row, column = plane.spacing
    stretch = row / column
    width, height = float(plane.width), plane.height * stretch
    kept = base64.b64encode(plane.png).decode("ascii") if images else ""
    parts = _ground(width, height, kept)
    parts += [_contour(getattr(plane, name), name, dash, stretch) for name, dash in _LINES]
    seen = [name for name in ("reference", "prediction", "clean") if getattr(plane, name)]
    absent = [name for name in ("reference", "prediction") if not getattr(plane, name)]
    words = f"Contours shown: {', '.join(seen) or 'none'}."
    if absent:
        words += f" Empty on this slice: {', '.join(absent)}."
    return svg.drawing(width, height, *parts, title=title, description=words, class_="picture")


def _ground(width: float, height: float, png: str) -> list[Markup]:
    """Draw the grey picture, given in base64, or an empty ground."""
    parts = [svg.rectangle(0, 0, width, height, class_="ground")]
    if png:
        parts.append(
            svg.element(
                "image",
                href=f"data:image/png;base64,{png}",
                width=width,
                height=height,
                preserveAspectRatio="none",
                class_="pixels",
            )
        )
    return parts


def _contour(polygons: tuple[Polygon, ...], name: str, dash: str, stretch: float) -> Markup:
    """Draw the polygons of one mask over a dark edge, so that they show on any ground."""
    outline = " ".join(
        svg.path([(x, y * stretch) for x, y in polygon], closed=True) for polygon in polygons
    )
    if not outline:
        return Markup("")
    return Markup("").join(
        svg.element(
            "path",
            d=outline,
            class_=class_,
            stroke_dasharray=dash or None,
            vector_effect="non-scaling-stroke",
        )
        for class_ in ("halo", f"contour contour-{name}")
    )


def raters_picture(picture: RaterPicture, *, title: str) -> Markup:
    """Draw what each rater outlined on one slice, each with a colour and dash of his own.

    Parameters
    ----------
    picture
        Contours in pixels of the picture, and its pixels where they were kept.
    title
        Words for those who do not see the picture.
    """
    row, column = picture.spacing
    stretch = row / column
    width, height = float(picture.width), picture.height * stretch
    parts = _ground(width, height, picture.png)
    for own in picture.contours:
        mark = rater_mark(own.rater)
        outline = " ".join(
            svg.path([(x, y * stretch) for x, y in polygon], closed=True)
            for polygon in own.polygons
        )
        if outline:
            parts.append(
                svg.element(
                    "path",
                    d=outline,
                    class_=f"contour rater-{mark.index}",
                    stroke_dasharray=mark.dash or None,
                    vector_effect="non-scaling-stroke",
                )
            )
    seen = [own.rater for own in picture.contours if own.polygons]
    absent = [own.rater for own in picture.contours if not own.polygons]
    words = f"Contours shown: {plain(', '.join(seen)) or 'none'}."
    if absent:
        words += f" Empty on this slice: {plain(', '.join(absent))}."
    return svg.drawing(width, height, *parts, title=title, description=words, class_="picture")


def rater_mark(rater: str) -> Mark:
    """Give a rater the colour and dash of his number, the same on every picture."""
    return mark_of(int(rater.rpartition("_")[2]) - 1)


def raters_legend(raters: Sequence[str]) -> Markup:
    """Say in words which contour is whose."""
    keys = []
    for rater in raters:
        mark = rater_mark(rater)
        sample = svg.element(
            "svg",
            svg.element("rect", x=0, y=0, width=40, height=14, class_="ground"),
            svg.element(
                "path",
                d="M2,7 38,7",
                class_=f"contour rater-{mark.index}",
                stroke_dasharray=mark.dash or None,
            ),
            viewBox="0 0 40 14",
            class_="sample",
            aria_hidden="true",
        )
        keys.append(Markup('<span class="key">{}{}</span>').format(sample, plain(rater)))
    return Markup("").join(keys)


def rating_picture(picture: RatingPicture, *, title: str) -> Markup:
    """Draw one plane of a rated scan with the outlines of its masks.

    Parameters
    ----------
    picture
        Contours in pixels of the picture, and its pixels where they were kept.
    title
        Words for those who do not see the picture.
    """
    row, column = picture.spacing
    stretch = row / column
    width, height = float(picture.width), picture.height * stretch
    drawn = {own.name: own.polygons for own in picture.contours}
    parts = _ground(width, height, picture.png)
    parts += [_contour(drawn.get(name, ()), name, dash, stretch) for name, dash, _ in _RATED]
    seen = [name for name, _, _ in _RATED if drawn.get(name)]
    absent = [name for name, _, _ in _RATED if not drawn.get(name)]
    words = f"Contours shown: {', '.join(seen) or 'none'}."
    if absent:
        words += f" Empty on this slice, or not drawn: {', '.join(absent)}."
    return svg.drawing(width, height, *parts, title=title, description=words, class_="picture")


_RATED = (
    ("outer", "", "outer mask: solid"),
    ("prediction", "7 4", "prediction: dashed"),
    ("inner", "1 4", "inner mask: dotted"),
)
"""Masks of a rated scan, their dashes, and how a reader tells them."""


def rating_legend(names: Sequence[str]) -> Markup:
    """Say in words which contour of a rated scan is which."""
    return Markup("").join(_key(name, dash, words) for name, dash, words in _RATED if name in names)


def _key(name: str, dash: str, words: str) -> Markup:
    sample = svg.element(
        "svg",
        svg.element("rect", x=0, y=0, width=40, height=14, class_="ground"),
        svg.element(
            "path",
            d="M2,7 38,7",
            class_=f"contour contour-{name}",
            stroke_dasharray=dash or None,
        ),
        viewBox="0 0 40 14",
        class_="sample",
        aria_hidden="true",
    )
    return Markup('<span class="key">{}{}</span>').format(sample, words)


def legend() -> Markup:
    """Say in words which contour is which."""
    words = {
        "reference": "reference: solid",
        "prediction": "prediction: dashed",
        "clean": "prediction on the clean scan: dotted",
    }
    return Markup("").join(_key(name, dash, words[name]) for name, dash in _LINES)
