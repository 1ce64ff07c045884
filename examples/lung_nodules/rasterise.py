"""From contours to masks, by the convention of LIDC-IDRI.

Readers drew the *outer* border: its pixels lie just outside the nodule (Armato et al. 2011). So a pixel
belongs to the nodule when its centre lies strictly inside a contour of inclusion; on the line it does
not. What a contour of exclusion encloses, its line with it, is cut out, as in a cavity. Several contours
of inclusion in a slice are united; slices without a contour stay empty.

All points are whole pixels, so that inside and outside are decided in whole numbers, without rounding.
For a contour that does not cross itself the count is that of Pick's theorem: interior = area - border /
2 + 1, with the area of the polygon through the drawn points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from contours import Annotation, Contour
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Box:
    """Part of a scan's grid; it may reach beyond the scan."""

    first: tuple[int, int, int]
    """Slice, row and column of the first voxel."""
    shape: tuple[int, int, int]


def inside(points: NDArray[np.int64]) -> tuple[tuple[int, int], Mask, Mask]:
    """Find the pixels that a closed line encloses.

    Parameters
    ----------
    points : (point, 2)
        Rows and columns; the last point joins the first. Where a line crosses itself, the even-odd
        rule decides.

    Returns
    -------
    (first row, first column), interior, line
        Two masks (row, column) over the box of the points: pixels strictly inside, pixels on the line.
    """
    low = points.min(axis=0)
    high = points.max(axis=0)
    start = points - low
    stop = np.roll(start, -1, axis=0)
    rows, columns = np.indices(high - low + 1)[:, None]  # (1, row, column)
    row, column = start.T[:, :, None, None]
    down, right = (stop - start).T[:, :, None, None]
    turn = down * (columns - column) - right * (rows - row)  # 0 on the edge's infinite line
    between = ((rows - row) * (rows - row - down) <= 0) & (
        (columns - column) * (columns - column - right) <= 0
    )
    line = ((turn == 0) & between).any(axis=0)
    crossed = (row <= rows) != (row + down <= rows)
    left_of = np.where(down > 0, turn < 0, turn > 0)  # the edge lies to the right of the pixel
    odd = (crossed & left_of).sum(axis=0) % 2 == 1
    return (int(low[0]), int(low[1])), odd & ~line, line


def box_of(annotations: tuple[Annotation, ...]) -> Box:
    """Return the smallest box that holds every point of some annotations."""
    contours = [it for annotation in annotations for it in annotation.contours]
    points = np.concatenate([it.points for it in contours])
    slices = [it.slice for it in contours]
    low, high = points.min(axis=0), points.max(axis=0)
    return Box(
        (min(slices), int(low[0]), int(low[1])),
        (max(slices) - min(slices) + 1, int(high[0] - low[0]) + 1, int(high[1] - low[1]) + 1),
    )


def mask_of(annotation: Annotation, box: Box) -> Mask:
    """Rasterise one reader's contours.

    Parameters
    ----------
    annotation : Annotation
    box : Box
        Holds every point of the annotation, see `box_of`.

    Returns
    -------
    bool, (slice, row, column)
    """
    mask = np.zeros(box.shape, dtype=bool)
    for contour in sorted(annotation.contours, key=lambda it: not it.inclusion):
        window, interior, line = _window(contour, box, mask)
        if contour.inclusion:
            window |= interior
        else:
            window &= ~(interior | line)
    return mask


def _window(contour: Contour, box: Box, mask: Mask) -> tuple[Mask, Mask, Mask]:
    """View the part of a mask that a contour's box covers, with the contour's own two masks."""
    (row, column), interior, line = inside(contour.points)
    row, column = row - box.first[1], column - box.first[2]
    rows, columns = interior.shape
    plane = mask[contour.slice - box.first[0]]
    return plane[row : row + rows, column : column + columns], interior, line


def covered(annotation: Annotation) -> NDArray[np.int64]:
    """List the voxels inside or on a reader's lines, (voxel, 3): slice, row, column.

    Exclusions are no holes here: they tell of a nodule's inside, not of where it is.
    """
    found = []
    for contour in annotation.contours:
        (row, column), interior, line = inside(contour.points)
        places = np.add(np.argwhere(interior | line), (row, column))
        found.append(np.insert(places, 0, contour.slice, axis=1))
    return np.concatenate(found)
