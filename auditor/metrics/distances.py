"""Surface elements of a mask, and the distance from each to the nearest one of another mask.

**Conventions.** An element sits at the common corner of 2x2x2 (2x2) voxels that are not all alike.
The corner between the voxels ``i - 1`` and ``i`` of an axis has the index ``i``, so the corners of
an image of n voxels run from 0 to n; outside the image is background. Definition: Nikolov et al.,
J Med Internet Res 23(7):e26151 (2021), and the surface-distance package.

Three ways to find the nearest element, all exact: a distance map of a surface that is asked often;
a search through the shells of near corners, which settles most elements of overlapping masks and of
scattered ones; a k-d tree for the rest.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from auditor.metrics.surfels import contour_lengths, surfel_areas

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_LARGEST_MAP = 1 << 24
"""Corners up to which a distance map is computed, with about 0.7 GB in passing."""

_SHELL_STEPS = 3.0
"""Shells are searched up to this many of the smallest spacings: 123 corners in isotropic voxels."""


@dataclass(frozen=True)
class Surface:
    """All surface elements of one mask."""

    points: IntArray
    """(n, axes), indices of the corners."""
    areas: FloatArray
    """(n,), mm² (2-D: mm), or px² (px)."""
    spacing: tuple[float, ...]
    """Distance of neighbouring corners along each axis."""

    @cached_property
    def tree(self) -> cKDTree:
        """A k-d tree of the elements' positions."""
        positions = self.points * np.asarray(self.spacing)
        # The balanced, compact tree takes three times as long to build and saves little here.
        return cKDTree(positions, balanced_tree=False, compact_nodes=False)


@dataclass(frozen=True, slots=True)
class Directed:
    """Distances from every element of one surface to the nearest one of the other."""

    distances: FloatArray
    """(n,), mm or px."""
    areas: FloatArray
    """(n,), of the elements that the distances start from."""


def extract_surface(mask: BoolArray, spacing: tuple[float, ...]) -> Surface:
    """List the surface elements of a mask.

    Parameters
    ----------
    mask : (z, y, x) or (y, x), bool
    spacing : along each axis, mm or px
    """
    box = bounding_box(mask)
    if box is None:
        empty = np.zeros((0, mask.ndim), dtype=np.int64)
        return Surface(points=empty, areas=np.zeros(0), spacing=spacing)
    codes = _neighbour_codes(mask[box])
    full = (1 << (1 << mask.ndim)) - 1
    # Code 0 wraps to 255 and a full code to at least full - 1, so one comparison finds the rest.
    places = np.flatnonzero((codes - np.uint8(1)) < full - 1)
    points = np.stack(np.unravel_index(places, codes.shape), axis=1)
    points += np.asarray([side.start for side in box])
    return Surface(points=points, areas=_areas(spacing)[codes.ravel()[places]], spacing=spacing)


def bounding_box(mask: BoolArray) -> tuple[slice, ...] | None:
    """Find the smallest box that holds all foreground; None for an empty mask."""
    sides = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        if occupied.size == 0:
            return None
        sides.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(sides)


def distance_map(surface: Surface, shape: tuple[int, ...]) -> FloatArray:
    """Compute the distance from every corner of an image to a surface that is not empty.

    Parameters
    ----------
    surface : at least one element
    shape : voxels along each axis

    Returns
    -------
    One longer than `shape` along each axis, mm or px.
    """
    away = np.ones([n + 1 for n in shape], dtype=np.bool_)
    away[tuple(surface.points.T)] = False
    distances: FloatArray = ndimage.distance_transform_edt(away, sampling=surface.spacing)
    return distances


def look_up(surface: Surface, distances: FloatArray) -> Directed:
    """Read the distances of a surface's elements from the other surface's map."""
    places = np.ravel_multi_index(tuple(surface.points.T), distances.shape)
    return Directed(distances=distances.ravel()[places], areas=surface.areas)


def nearest(surface: Surface, other: Surface) -> Directed:
    """Find the distance from each element of a surface to the nearest one of another.

    Parameters
    ----------
    surface, other : at least one element each, of images with the same spacing
    """
    distances = np.full(len(surface.points), -1.0)
    shells, margin = _shells(surface.spacing)
    low = np.minimum(surface.points.min(axis=0), other.points.min(axis=0)) - margin
    high = np.maximum(surface.points.max(axis=0), other.points.max(axis=0)) + margin
    strides, target = _occupancy(other, low, high)
    open_elements = np.arange(len(distances))
    places = (surface.points - low) @ strides
    for distance, offsets in shells:
        if open_elements.size == 0:
            break
        hit = _any_occupied(target, places, offsets @ strides)
        distances[open_elements[hit]] = distance
        open_elements, places = open_elements[~hit], places[~hit]
    if open_elements.size:
        distances[open_elements] = _far(surface.points[open_elements], other)
    return Directed(distances=distances, areas=surface.areas)


def _any_occupied(target: BoolArray, places: IntArray, steps: IntArray) -> BoolArray:
    """Say for each place of a flat array whether one of its neighbours is occupied."""
    if places.size * steps.size <= 1 << 20:
        found: BoolArray = target[places[:, None] + steps].any(axis=1)
        return found
    hit = np.zeros(places.size, dtype=np.bool_)
    for step in steps:  # one table of all neighbours would take gigabytes for a large image
        hit |= target[places + step]
    return hit


def _far(points: IntArray, other: Surface) -> FloatArray:
    """Find the distances of corners that are far from a surface, the cheaper way."""
    low = np.minimum(points.min(axis=0), other.points.min(axis=0))
    sizes = np.maximum(points.max(axis=0), other.points.max(axis=0)) - low + 1
    # Costs in ns as measured. A tree slows down with the width of the surface that is asked from
    # afar, because all of it is about equally near; a full prediction is the worst case.
    corners = math.prod(int(size) for size in sizes)
    cost_of_tree = 150 * len(other.points) + 200 * math.sqrt(len(other.points)) * len(points)
    if corners <= _LARGEST_MAP and 60 * corners < cost_of_tree:
        moved = Surface(points=other.points - low, areas=other.areas, spacing=other.spacing)
        distances = distance_map(moved, tuple(int(size) - 1 for size in sizes))
        near: FloatArray = distances[tuple((points - low).T)]
        return near
    return np.asarray(other.tree.query(points * np.asarray(other.spacing))[0], dtype=np.float64)


def _neighbour_codes(mask: BoolArray) -> NDArray[np.uint8]:
    """Pack the 2, 4 or 8 voxels around each corner into bits, axis by axis."""
    codes = np.pad(mask, 1).view(np.uint8)
    for axis in reversed(range(mask.ndim)):
        bits = np.uint8(1 << (mask.ndim - 1 - axis))
        upper = np.moveaxis(codes, axis, 0)[1:]
        lower = np.moveaxis(codes, axis, 0)[:-1]
        codes = np.moveaxis(lower | (upper << bits), 0, axis)
    return np.ascontiguousarray(codes)


def _areas(spacing: tuple[float, ...]) -> FloatArray:
    if len(spacing) == 2:
        return contour_lengths((spacing[0], spacing[1]))
    return surfel_areas((spacing[0], spacing[1], spacing[2]))


@functools.lru_cache(maxsize=64)
def _shells(spacing: tuple[float, ...]) -> tuple[tuple[tuple[float, IntArray], ...], IntArray]:
    """List the near corners by increasing distance, and how far they reach along each axis."""
    radius = _SHELL_STEPS * min(spacing)
    margin = np.asarray([int(radius / step + 1e-9) for step in spacing])
    offsets = np.asarray(list(itertools.product(*(range(-m, m + 1) for m in margin))))
    lengths = np.sqrt(((offsets * np.asarray(spacing)) ** 2).sum(axis=1))
    distances, group = np.unique(lengths, return_inverse=True)
    shells = tuple(
        (float(distance), offsets[group == k])
        for k, distance in enumerate(distances)
        if distance <= radius * (1.0 + 1e-9)
    )
    return shells, margin


def _occupancy(surface: Surface, low: IntArray, high: IntArray) -> tuple[IntArray, BoolArray]:
    """Mark a surface's elements in a flat array of a box of corners; also give its strides."""
    sizes = high - low + 1
    strides = np.append(np.cumprod(sizes[:0:-1])[::-1], 1)
    occupied = np.zeros(int(np.prod(sizes)), dtype=np.bool_)
    occupied[(surface.points - low) @ strides] = True
    return strides, occupied
