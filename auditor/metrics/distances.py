"""Distances from every element of one mask's border to the nearest element of another's.

**Conventions.** Elements lie on a grid and are given by their indices; both definitions of a border
(`auditor.metrics.outlines`) use the same search. Whatever finds the nearest element, its distance is
computed from the difference of the indices in one and the same order of operations. Which way is
taken depends on the two borders alone, never on what was measured before or on threads, so that a
pair of masks has the same bits always.

Three ways, all exact: a map that says for every place of a box which element is nearest, for a
border that is asked often; a search through the shells of near places, which settles most elements
of masks that overlap well; a k-d tree, or a map of the common box, for the rest.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from auditor.metrics.outlines import BoolArray, FloatArray, IntArray, Surface

LARGEST_MAP = 1 << 24
"""Places up to which a map is computed: 64 MiB, with about four times as much in passing."""

_SHELL_STEPS = 3.0
"""Shells are searched up to this many of the smallest spacings: 123 places in isotropic voxels."""

_TABLE = 1 << 12
"""Entries up to which all neighbours of all places are looked at in one table."""

_FEW = 12
"""Points up to which all elements are tried: a tree would take longer to build."""

_SAMPLED = 16
"""Elements that are asked what a k-d tree would cost."""

# Costs in ns, as measured on one core; they decide which way is taken, not what it finds.
_MAP_NS = 110.0
"""Of a map, a place."""
_BUILD_NS = 150.0
"""Of a k-d tree, an element."""
_TREE_NS = 1200.0
"""Of a question to a k-d tree, without the square of the number of elements that are about as near."""
_LOOK_NS = 10.0
"""Of looking whether a place is occupied."""


@dataclass(frozen=True, slots=True)
class Directed:
    """Distances from every element of one border to the nearest one of the other."""

    distances: FloatArray
    """(n,), mm or px."""
    areas: FloatArray
    """(n,), of the elements that the distances start from."""


@dataclass(frozen=True, slots=True)
class NearestMap:
    """For every place of a box, which element of a border is nearest."""

    low: IntArray
    """(axes,), first index along each axis."""
    shape: tuple[int, ...]
    """Places along each axis."""
    nearest: NDArray[np.int32]
    """Flat; the place of the nearest element, counted through the box."""
    spacing: tuple[float, ...]
    """Along each axis."""

    def holds(self, points: IntArray) -> BoolArray:
        """Say for each point, (n, axes), whether it lies in the box."""
        inside = np.ones(len(points), dtype=np.bool_)
        for axis, (low, n) in enumerate(zip(self.low.tolist(), self.shape, strict=True)):
            column = points[:, axis]
            inside &= (column >= low) & (column < low + n)
        return inside

    def distances(self, points: IntArray) -> FloatArray:
        """Give the distance to the border from each point, (n, axes), in the box."""
        local = points - self.low
        places = local[:, 0]
        for axis in range(1, len(self.shape)):
            places = places * self.shape[axis] + local[:, axis]
        rest = self.nearest[places]
        offsets = np.empty(local.shape)
        for axis in reversed(range(1, len(self.shape))):
            above = rest // np.int32(self.shape[axis])
            offsets[:, axis] = rest - above * np.int32(self.shape[axis]) - local[:, axis]
            rest = above
        offsets[:, 0] = rest - local[:, 0]
        return lengths(offsets, self.spacing)


def lengths(offsets: FloatArray | IntArray, spacing: tuple[float, ...]) -> FloatArray:
    """Give the length of differences of indices, (n, axes); the one formula of this module."""
    total = np.zeros(len(offsets))
    for axis, step in enumerate(spacing):
        along = offsets[:, axis] * step
        total += along * along
    return np.sqrt(total, out=total)


def nearest_map(surface: Surface, low: IntArray, shape: tuple[int, ...]) -> NearestMap:
    """Find the nearest element of a border for every place of a box.

    Parameters
    ----------
    surface : at least one element, all in the box
    low : (axes,), first index of the box along each axis
    shape : places along each axis, at most `LARGEST_MAP` together
    """
    away = np.ones(shape, dtype=np.bool_)
    away[tuple((surface.points - low).T)] = False
    found = ndimage.distance_transform_edt(
        away, sampling=surface.spacing, return_distances=False, return_indices=True
    )
    places = found[0]
    for axis in range(1, len(shape)):
        places *= shape[axis]
        places += found[axis]
    # a copy, so that the other axes are given back
    return NearestMap(low=low, shape=shape, nearest=places.ravel().copy(), spacing=surface.spacing)


def nearest(surface: Surface, other: Surface) -> Directed:
    """Find the distance from each element of a border to the nearest one of another.

    Parameters
    ----------
    surface, other : at least one element each, of images with the same spacing
    """
    distances = np.zeros(len(surface.points))
    shells, margin = _shells(surface.spacing)
    low = np.minimum(surface.low, other.low) - margin
    high = np.maximum(surface.high, other.high) + margin
    strides, occupied = _occupancy(other, low, high)
    places = (surface.points - low) @ strides
    still = np.flatnonzero(~occupied[places])
    places = places[still]
    steps = sum(len(offsets) for _, offsets in shells)
    for distance, offsets in shells:
        if still.size == 0:
            break
        hit = _any_occupied(occupied, places, offsets @ strides)
        n_hit = int(np.count_nonzero(hit))
        distances[still[hit]] = distance
        steps -= len(offsets)
        worth = n_hit * _TREE_NS >= len(offsets) * _LOOK_NS * len(still)
        still, places = still[~hit], places[~hit]
        if not worth and steps * len(still) * _LOOK_NS > len(other.points) * _BUILD_NS:
            break  # the shells farther out will not be worth it either, and a tree soon is
    if still.size:
        distances[still] = far(surface.points[still], other)
    return Directed(distances=distances, areas=surface.areas)


def far(points: IntArray, other: Surface, cost: float | None = None) -> FloatArray:
    """Find the distances of points to a border that is not near, the cheaper way.

    Parameters
    ----------
    points : (n, axes), n >= 1, indices
    other : at least one element
    cost : of asking its k-d tree, where it is known already; see `tree_cost`
    """
    if len(points) <= _FEW:
        return np.asarray([lengths(other.points - it, other.spacing).min() for it in points])
    low = np.minimum(points.min(axis=0), other.low)
    shape = tuple((np.maximum(points.max(axis=0), other.high) - low + 1).tolist())
    size = math.prod(shape)
    cost = tree_cost(points, other) if cost is None else cost
    if size <= LARGEST_MAP and size * _MAP_NS < cost:
        return nearest_map(other, low, shape).distances(points)
    steps = np.asarray(other.spacing)
    found = other.tree.query(points * steps)[1]
    return lengths(other.points[found] - points, other.spacing)


def tree_cost(points: IntArray, other: Surface) -> float:
    """Estimate the time in ns that a k-d tree of a border takes to answer for points.

    A tree is slow where much of the border is about equally near, as it is for a small object
    within a full prediction. That is counted for a sample, so that the estimate is the same always.
    """
    if len(points) <= 32 * _SAMPLED:  # too few for the estimate to pay
        return _TREE_NS * len(points)
    sample = points[:: len(points) // _SAMPLED] * np.asarray(other.spacing)
    reach, _ = other.tree.query(sample)
    about = other.tree.query_ball_point(sample, 1.05 * reach, return_length=True)
    return len(points) * (_TREE_NS + float(np.mean(about)) ** 2)


def _any_occupied(occupied: BoolArray, places: IntArray, steps: IntArray) -> BoolArray:
    """Say for each place of a flat array whether one of its neighbours is occupied."""
    if places.size * steps.size <= _TABLE:
        found: BoolArray = occupied[places[:, None] + steps].any(axis=1)
        return found
    hit = np.zeros(places.size, dtype=np.bool_)
    for step in steps:  # one table of all would take gigabytes for a large image
        hit |= occupied[places + step]
    return hit


@functools.lru_cache(maxsize=64)
def _shells(spacing: tuple[float, ...]) -> tuple[tuple[tuple[float, IntArray], ...], IntArray]:
    """List the near places by increasing distance, and how far they reach along each axis."""
    radius = _SHELL_STEPS * min(spacing)
    margin = np.asarray([int(radius / step + 1e-9) for step in spacing])
    offsets = np.asarray(list(itertools.product(*(range(-m, m + 1) for m in margin))))
    away = lengths(offsets, spacing)
    distances, group = np.unique(away, return_inverse=True)
    shells = tuple(
        (float(distance), offsets[group == k])
        for k, distance in enumerate(distances)
        if 0.0 < distance <= radius * (1.0 + 1e-9)
    )
    return shells, margin


def _occupancy(surface: Surface, low: IntArray, high: IntArray) -> tuple[IntArray, BoolArray]:
    """Mark the elements of a border in a flat array of a box; also give its strides."""
    sizes = high - low + 1
    strides = np.append(np.cumprod(sizes[:0:-1])[::-1], 1)
    occupied = np.zeros(int(np.prod(sizes)), dtype=np.bool_)
    occupied[(surface.points - low) @ strides] = True
    return strides, occupied
