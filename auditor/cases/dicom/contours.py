"""Closed contours to voxels, by the even-odd rule.

**Conventions.** A voxel belongs to a contour when its centre lies inside. Along a row of voxels the
inside is counted by the crossings to the left of the centre: an odd number is inside. All contours of
a structure in one slice are counted together, so that a contour inside another is a hole, and the two
coinciding sides of a keyhole cancel. A centre on an edge belongs to the contour on the low side and
not on the high side of each axis, so that contours that share an edge share no voxel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["fill_even_odd"]

_ROUNDING = 6
"""Decimals of a voxel: contours through voxel centres must not depend on the last bits."""


def fill_even_odd(
    contours: Sequence[NDArray[np.float64]], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Fill polygons in one plane.

    Parameters
    ----------
    contours : sequence of (point, 2)
        Rows and columns of the corners, in voxels: 0 is the centre of the first. The last corner is
        joined to the first.
    shape : tuple of int
        Rows and columns of the plane; what lies outside is cut off.

    Returns
    -------
    (row, column), bool

    Examples
    --------
    >>> square = np.array([[0.5, 0.5], [0.5, 2.5], [2.5, 2.5], [2.5, 0.5]])
    >>> fill_even_odd([square], (4, 4)).astype(int).tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    rows, columns = shape
    crossed = np.zeros((rows, columns + 1), np.int64)
    for contour in contours:
        start = np.round(contour, _ROUNDING)
        end = np.roll(start, -1, axis=0)
        low, high = np.minimum(start, end)[:, 0], np.maximum(start, end)[:, 0]
        first = np.clip(np.ceil(low), 0, rows).astype(np.int64)
        count = np.clip(np.ceil(high), 0, rows).astype(np.int64) - first
        # one entry per edge and row that it crosses; an edge along a row crosses none
        edge = np.repeat(np.arange(len(start)), count)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        (r0, c0), (r1, c1) = start[edge].T, end[edge].T
        column = np.ceil(np.round(c0 + (row - r0) * (c1 - c0) / (r1 - r0), _ROUNDING))
        np.add.at(crossed, (row, np.clip(column, 0, columns).astype(np.int64)), 1)
    inside: NDArray[np.bool_] = np.cumsum(crossed, axis=1)[:, :columns] % 2 == 1
    return inside
