"""Exhibits: a grey crop with contours, drawn so that pixels have their physical shape."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema.rater_page import RaterPicture
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
    parts = [svg.rectangle(0, 0, width, height, class_="ground")]
    if images and plane.png:
        data = base64.b64encode(plane.png).decode("ascii")
        parts.append(
            svg.element(
                "image",
                href=f"data:image/png;base64,{data}",
                width=width,
                height=height,
                preserveAspectRatio="none",
                class_="pixels",
            )
        )
    parts += [_contour(getattr(plane, name), name, dash, stretch) for name, dash in _LINES]
    seen = [name for name in ("reference", "prediction", "clean") if getattr(plane, name)]
    absent = [name for name in ("reference", "prediction") if not getattr(plane, name)]
    words = f"Contours shown: {', '.join(seen) or 'none'}."
    if absent:
        words += f" Empty on this slice: {', '.join(absent)}."
    return svg.drawing(width, height, *parts, title=title, description=words, class_="picture")


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
    parts = [svg.rectangle(0, 0, width, height, class_="ground")]
    if picture.png:
        parts.append(
            svg.element(
                "image",
                href=f"data:image/png;base64,{picture.png}",
                width=width,
                height=height,
                preserveAspectRatio="none",
                class_="pixels",
            )
        )
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


def legend() -> Markup:
    """Say in words which contour is which."""
    words = {
        "reference": "reference: solid",
        "prediction": "prediction: dashed",
        "clean": "prediction on the clean scan: dotted",
    }
    keys = []
    for name, dash in _LINES:
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
        keys.append(Markup('<span class="key">{}{}</span>').format(sample, words[name]))
    return Markup("").join(keys)
