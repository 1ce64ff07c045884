"""Cuts through a scan: windowed crops as PNG, contours as polygons in pixels of the crop.

**Conventions.** Arrays are (z, y, x) or (y, x). A plane is a cut across one array axis; its rows
and columns are the remaining axes in order. Contour points are (x, y) = (column, row); the centre
of the first pixel is (0.5, 0.5), so that they can be drawn over an image of that many pixels.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MAX_SIDE",
    "Plane",
    "contours_of",
    "crop",
    "cut",
    "cut_disputed",
    "display_window",
    "png_of",
]

MAX_SIDE = 128
"""Longest side of a crop, pixels: evidence, not a viewer."""

_MARGIN = 12


@dataclass(frozen=True, slots=True)
class Plane:
    """One cut through a scan with the outlines of every mask."""

    name: str
    """plane of the two array axes shown, in words: 'rows y, columns x'."""
    pixels: NDArray[np.uint8]
    """(rows, columns), windowed to 0..255."""
    spacing: tuple[float, float]
    """Distance of rows and of columns, mm or px."""
    slice: int
    """Index along the axis that was cut; 0 in 2-D."""
    contours: dict[str, list[list[tuple[float, float]]]]
    """Polygons of each mask: reference, prediction, clean."""


def display_window(image: NDArray[np.float32]) -> tuple[float, float]:
    """Return the 1st and 99.5th percentile: the range of intensities that is shown."""
    low, high = np.quantile(image, [0.01, 0.995])
    return float(low), float(high) if high > low else float(low) + 1.0


def cut(
    image: NDArray[np.float32],
    masks: Mapping[str, NDArray[np.bool_]],
    *,
    spacing: tuple[float, ...],
    window: tuple[float, float],
) -> list[Plane]:
    """Cut a scan through the place where the masks differ most.

    Parameters
    ----------
    image : (z, y, x) or (y, x)
        One channel.
    masks : mapping of name to array of the image's shape
        reference, prediction and, if known, clean.
    spacing : tuple of float
        Follows the array.
    window : (low, high)
        Intensities shown as black and white.

    Returns
    -------
    list of Plane
        Three in 3-D (across each array axis), one in 2-D.
    """
    names = "zyx"[-image.ndim :]
    if image.ndim == 2:
        return [_plane(image, masks, names, spacing, window, 0)]
    wrong = masks["reference"] ^ masks["prediction"]
    target = wrong if wrong.any() else np.logical_or.reduce(list(masks.values()))
    planes = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        where = int(np.argmax(target.sum(axis=others))) if target.any() else image.shape[axis] // 2
        planes.append(
            _plane(
                np.asarray(image.take(where, axis)),
                {name: np.asarray(mask.take(where, axis)) for name, mask in masks.items()},
                "".join(names[other] for other in others),
                tuple(spacing[other] for other in others),
                window,
                where,
            )
        )
    return planes


def cut_disputed(
    image: NDArray[np.float32],
    masks: Mapping[str, NDArray[np.bool_]],
    *,
    spacing: tuple[float, ...],
    window: tuple[float, float],
) -> Plane:
    """Cut a scan across its thickest axis, where several masks of equal standing differ most.

    Parameters
    ----------
    image, masks, spacing, window
        As of `cut`, the masks under any names.

    Returns
    -------
    Plane
        The slice with the most voxels that some masks hold and others do not; where they all agree, the
        one with the most voxels.
    """
    names = "zyx"[-image.ndim :]
    if image.ndim == 2:
        return _plane(image, masks, names, spacing, window, 0)
    every = list(masks.values())
    wrong = np.logical_or.reduce(every) & ~np.logical_and.reduce(every)
    target = wrong if wrong.any() else every[0]
    axis = int(np.argmax(spacing))
    others = tuple(other for other in range(3) if other != axis)
    where = int(np.argmax(target.sum(axis=others))) if target.any() else image.shape[axis] // 2
    return _plane(
        np.asarray(image.take(where, axis)),
        {name: np.asarray(mask.take(where, axis)) for name, mask in masks.items()},
        "".join(names[other] for other in others),
        tuple(spacing[other] for other in others),
        window,
        where,
    )


def contours_of(mask: NDArray[np.bool_]) -> list[list[tuple[float, float]]]:
    """Trace the outlines of a 2-D mask, along the borders between pixels at half height."""
    from skimage.measure import find_contours

    padded = np.pad(mask.astype(np.float32), 1)
    return [
        # one pixel of padding away, half a pixel to the centre convention
        [(round(float(x) - 0.5, 2), round(float(y) - 0.5, 2)) for y, x in line]
        for line in find_contours(padded, 0.5)  # type: ignore[no-untyped-call]  # scikit-image has no types
    ]


def png_of(pixels: NDArray[np.uint8]) -> bytes:
    """Encode a grey picture without loss."""
    from PIL import Image

    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, format="PNG", optimize=True)
    return sink.getvalue()


def _plane(
    image: NDArray[np.float32],
    masks: Mapping[str, NDArray[np.bool_]],
    names: str,
    spacing: tuple[float, ...],
    window: tuple[float, float],
    where: int,
) -> Plane:
    rows, columns = crop(np.logical_or.reduce(list(masks.values())))
    low, high = window
    shown = np.clip((image[rows, columns] - low) / (high - low), 0.0, 1.0)
    return Plane(
        name=f"rows {names[0]}, columns {names[1]}",
        pixels=np.round(shown * 255.0).astype(np.uint8),
        spacing=(spacing[0], spacing[1]),
        slice=where,
        contours={name: contours_of(mask[rows, columns]) for name, mask in masks.items()},
    )


def crop(shown: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Bounding box of what is outlined, with a margin, at most `MAX_SIDE` a side."""
    parts = []
    for axis in (0, 1):
        size = shown.shape[axis]
        hit = np.flatnonzero(shown.any(axis=1 - axis))
        first, last = (int(hit[0]), int(hit[-1]) + 1) if hit.size else (0, size)
        middle = (first + last) // 2
        side = min(MAX_SIDE, size, max(last - first + 2 * _MARGIN, 48))
        start = min(max(0, middle - side // 2), size - side)
        parts.append(slice(start, start + side))
    return parts[0], parts[1]
