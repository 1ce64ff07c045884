"""The planes of a rated scan: grey crops with the outlines of inner mask, prediction and outer mask."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from auditor.exhibits.planes import contours_of, crop, display_window, png_of
from auditor.exhibits.views import View, views_of
from auditor.schema import Geometry
from auditor.schema.ratings import RatingContours, RatingPicture

__all__ = ["draw_rating"]


def draw_rating(
    image: NDArray[np.float32],
    masks: Mapping[str, NDArray[np.bool_]],
    geometry: Geometry,
    *,
    pixels: bool,
) -> tuple[RatingPicture, ...]:
    """Cut a scan through the largest area of its prediction in every plane.

    Parameters
    ----------
    image : (z, y, x) or (y, x)
        One channel.
    masks : mapping of name to array of the image's shape
        prediction, and where there are some inner and outer.
    geometry : Geometry
        Of all of them: planes are hung as radiologists do where it tells their direction.
    pixels : bool
        False: outlines alone.

    Returns
    -------
    tuple of RatingPicture
        Three in 3-D, one in 2-D; none where the prediction is empty.
    """
    prediction = masks["prediction"]
    if not prediction.any():
        return ()
    window = display_window(image)
    found = (_picture(view, image, masks, window) for view in views_of(geometry))
    return tuple(it if pixels else replace(it, png="") for it in found)


def _picture(
    view: View,
    image: NDArray[np.float32],
    masks: Mapping[str, NDArray[np.bool_]],
    window: tuple[float, float],
) -> RatingPicture:
    index = 0 if view.axis is None else _largest(masks["prediction"], view.axis)
    cuts = {name: view.cut(mask.astype(np.float32), index) > 0.5 for name, mask in masks.items()}
    rows, columns = crop(np.logical_or.reduce(list(cuts.values())))
    low, high = window
    grey = np.clip((view.cut(image, index)[rows, columns] - low) / (high - low), 0.0, 1.0)
    pixels = np.round(grey * 255.0).astype(np.uint8)
    return RatingPicture(
        plane=view.name,
        slice=None if view.axis is None else index,
        width=pixels.shape[1],
        height=pixels.shape[0],
        spacing=view.spacing,
        contours=tuple(
            RatingContours(name, tuple(tuple(line) for line in contours_of(mask[rows, columns])))
            for name, mask in cuts.items()
        ),
        png=base64.b64encode(png_of(pixels)).decode("ascii"),
    )


def _largest(mask: NDArray[np.bool_], axis: int) -> int:
    """Index of the slice that holds most voxels."""
    others = tuple(other for other in range(3) if other != axis)
    return int(np.argmax(mask.sum(axis=others)))
