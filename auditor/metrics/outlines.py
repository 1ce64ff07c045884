"""Where the border of a mask runs: between its voxels (surface elements), or through them.

**Conventions.** Outside the image is background, so that a mask that touches the border of the image
ends there, too. Two definitions:

- *surface elements* sit at the common corner of 2x2x2 (2x2) voxels that are not all alike, and have
  an area (2-D: a length). The corner between the voxels ``i - 1`` and ``i`` of an axis has the index
  ``i``, so the corners of an image of n voxels run from 0 to n. Definition: Nikolov et al., J Med
  Internet Res 23(7):e26151 (2021), and the surface-distance package;
- *boundary voxels* are the foreground voxels that have a background voxel among their 6 (2-D: 4)
  neighbours, in other words that an erosion with that neighbourhood removes. They all count the
  same. Definition of MONAI and medpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from auditor.metrics.boxes import Box, bounding_box
from auditor.metrics.surfels import contour_lengths, surfel_areas

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Surface:
    """All elements of the border of one mask, in one of the two definitions."""

    points: IntArray
    """(n, axes), indices of corners, or of voxels."""
    areas: FloatArray
    """(n,), mm² (2-D: mm), or px² (px); 1 for boundary voxels, which have no area."""
    spacing: tuple[float, ...]
    """Distance of neighbouring corners or voxels along each axis."""
    low: IntArray
    """(axes,), smallest index of an element along each axis."""
    high: IntArray
    """(axes,), largest index of an element along each axis."""

    @cached_property
    def tree(self) -> cKDTree:
        """A k-d tree of the elements' positions."""
        # A balanced, compact tree takes twice as long to build and is no faster to ask.
        positions = self.points * np.asarray(self.spacing)
        return cKDTree(positions, leafsize=32, balanced_tree=False, compact_nodes=False)


def extract_surface(mask: BoolArray, spacing: tuple[float, ...], box: Box | None = None) -> Surface:
    """List the surface elements of a mask.

    Parameters
    ----------
    mask : (z, y, x) or (y, x), bool
    spacing : along each axis, mm or px
    box : its bounding box, where it is known already
    """
    box = box or bounding_box(mask)
    voxels, shape, strides = _framed(mask[box])
    # Of the voxels f, f + 1, f + row, ... around the corner f: is one foreground, are all?
    some = every = voxels
    for stride in reversed(strides):
        some = some[:-stride] | some[stride:]
        every = every[:-stride] & every[stride:]
    places = np.flatnonzero(some ^ every)
    codes = np.zeros(len(places), dtype=np.uint8)
    for bit in range(1 << mask.ndim):
        # The highest bit of a code's number of a voxel is the first axis; see `surfels`.
        away = sum(s for k, s in enumerate(reversed(strides)) if bit >> k & 1)
        codes |= voxels[places + away].view(np.uint8) << np.uint8(bit)
    return Surface(
        points=_points(places, shape, box, shift=0),
        areas=_areas(spacing)[codes],
        spacing=spacing,
        low=np.asarray([side.start for side in box]),
        high=np.asarray([side.stop for side in box]),
    )


def extract_boundary(
    mask: BoolArray, spacing: tuple[float, ...], box: Box | None = None
) -> Surface:
    """List the boundary voxels of a mask.

    Parameters
    ----------
    mask : (z, y, x) or (y, x), bool
    spacing : along each axis, mm or px
    box : its bounding box, where it is known already
    """
    box = box or bounding_box(mask)
    voxels, shape, strides = _framed(mask[box])
    margin = strides[0]
    middle = voxels[margin:-margin]
    inside = middle.copy()
    for stride in strides:
        inside &= voxels[margin - stride : len(voxels) - margin - stride]
        inside &= voxels[margin + stride : len(voxels) - margin + stride]
    places = np.flatnonzero(middle ^ inside) + margin
    points = _points(places, shape, box, shift=1)
    return Surface(
        points=points,
        areas=np.ones(len(points)),
        spacing=spacing,
        low=np.asarray([side.start for side in box]),
        high=np.asarray([side.stop - 1 for side in box]),
    )


def _framed(mask: BoolArray) -> tuple[BoolArray, tuple[int, ...], tuple[int, ...]]:
    """Copy a mask into a flat array with background before each row, plane and at the end.

    The background before a row is also the one behind the row before, so neighbours are found by
    adding strides, without a look at the borders.

    Returns
    -------
    The array; its shape without the end; its strides.
    """
    shape = tuple(n + 1 for n in mask.shape)
    strides = tuple(int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(mask.ndim))
    size = shape[0] * strides[0]
    voxels = np.zeros(size + sum(strides), dtype=np.bool_)
    voxels[:size].reshape(shape)[(slice(1, None),) * mask.ndim] = mask
    return voxels, shape, strides


def _points(places: NDArray[np.intp], shape: tuple[int, ...], box: Box, *, shift: int) -> IntArray:
    """Turn places of the flat array into indices of the image."""
    points = np.empty((len(places), len(shape)), dtype=np.int64)
    rest = places
    for axis in reversed(range(1, len(shape))):
        above = rest // shape[axis]
        points[:, axis] = rest - above * shape[axis] + (box[axis].start - shift)
        rest = above
    points[:, 0] = rest + (box[0].start - shift)
    return points


def _areas(spacing: tuple[float, ...]) -> FloatArray:
    if len(spacing) == 2:
        return contour_lengths((spacing[0], spacing[1]))
    return surfel_areas((spacing[0], spacing[1], spacing[2]))
