"""Area of the surface inside a neighbourhood of 2x2x2 voxels, for each of its 256 patterns.

**Conventions.** The corners of the unit cube are the centres of eight voxels; bit ``k`` of a code
is set when corner ``k`` is foreground, and corner ``k`` lies at ``(k >> 2 & 1, k >> 1 & 1, k & 1)``
in (z, y, x). In 2-D the four corners are ``(k >> 1 & 1, k & 1)`` in (y, x). Surface vertices lie
half-way between a foreground and a background voxel.

Derivation (3-D). A pattern and its complement have the same surface, so at most four corners are
considered. Corners of the smaller side that share no edge are cut off one by one. What is left are
connected groups of one to four corners, and up to the symmetries of the cube there are six of
them: a corner, an edge, an L of three, a face, a claw (a corner with its three neighbours) and a
path through three directions. Each is cut off by the polygon through the midpoints of its outgoing
edges, written below as triangles for one position and moved to all others by the 48 symmetries.
All of them are made of plane pieces except the hexagon around the path, whose triangulation is a
choice; it is the one of the surface-distance package, with which all 256 areas agree.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Corner = tuple[int, int, int]
Triangle = tuple[Corner, Corner, Corner]
"""Three vertices in half edges of the cube: the midpoint of an edge has one odd coordinate."""

_CORNERS: tuple[Corner, ...] = tuple((k >> 2 & 1, k >> 1 & 1, k & 1) for k in range(8))


def _fan(*polygon: Corner) -> tuple[Triangle, ...]:
    """Cut a convex polygon into triangles from its first vertex."""
    return tuple((polygon[0], b, c) for b, c in itertools.pairwise(polygon[1:]))


_SHAPES: tuple[tuple[frozenset[Corner], tuple[Triangle, ...]], ...] = (
    # a corner
    (frozenset({(0, 0, 0)}), _fan((1, 0, 0), (0, 1, 0), (0, 0, 1))),
    # an edge along the first axis
    (frozenset({(0, 0, 0), (1, 0, 0)}), _fan((0, 1, 0), (0, 0, 1), (2, 0, 1), (2, 1, 0))),
    # an L in the plane of the first two axes: the triangle above it and the slope beside it
    (
        frozenset({(0, 0, 0), (1, 0, 0), (0, 1, 0)}),
        (
            *_fan((0, 0, 1), (2, 0, 1), (0, 2, 1)),
            *_fan((2, 0, 1), (0, 2, 1), (1, 2, 0), (2, 1, 0)),
        ),
    ),
    # a face
    (
        frozenset({(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)}),
        _fan((0, 0, 1), (2, 0, 1), (2, 2, 1), (0, 2, 1)),
    ),
    # a claw: a plane hexagon
    (
        frozenset({(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)}),
        _fan((2, 1, 0), (2, 0, 1), (1, 0, 2), (0, 1, 2), (0, 2, 1), (1, 2, 0)),
    ),
    # a path through three directions: a bent hexagon
    (
        frozenset({(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)}),
        (
            *_fan((0, 1, 0), (0, 0, 1), (2, 0, 1), (2, 1, 2)),
            *_fan((2, 1, 2), (1, 2, 2), (1, 2, 0), (0, 1, 0)),
        ),
    ),
)


def _symmetries() -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Go through the 48 symmetries of the cube: a permutation of the axes, then mirrored axes."""
    yield from itertools.product(
        itertools.permutations(range(3)), itertools.product((0, 1), repeat=3)
    )


def _move(point: Corner, order: tuple[int, ...], mirror: tuple[int, ...], size: int) -> Corner:
    """Apply a symmetry to a point with coordinates in [0, `size`]."""
    z, y, x = (
        size - point[axis] if flip else point[axis]
        for axis, flip in zip(order, mirror, strict=True)
    )
    return (z, y, x)


def _pieces() -> dict[frozenset[Corner], tuple[Triangle, ...]]:
    """List the surface of every connected group of one to four corners."""
    found: dict[frozenset[Corner], tuple[Triangle, ...]] = {}
    for (corners, triangles), (order, mirror) in itertools.product(_SHAPES, _symmetries()):
        moved = frozenset(_move(corner, order, mirror, 1) for corner in corners)
        found[moved] = tuple(
            tuple(_move(vertex, order, mirror, 2) for vertex in triangle)  # type: ignore[misc]
            for triangle in triangles
        )
    return found


def _groups(corners: frozenset[Corner]) -> Iterator[frozenset[Corner]]:
    """Split corners into groups that are connected by edges of the cube."""
    rest = set(corners)
    while rest:
        group: set[Corner] = set()
        reached = {rest.pop()}
        while reached:
            group |= reached
            reached = {c for c in rest if any(_adjacent(c, member) for member in group)}
            rest -= reached
        yield frozenset(group)


def _adjacent(one: Corner, other: Corner) -> bool:
    return sum(a != b for a, b in zip(one, other, strict=True)) == 1


@functools.cache
def _triangles() -> tuple[tuple[Triangle, ...], ...]:
    """List the triangles of each of the 256 codes."""
    pieces = _pieces()
    table = []
    for code in range(256):
        inside = frozenset(c for k, c in enumerate(_CORNERS) if code >> k & 1)
        smaller = inside if len(inside) <= 4 else frozenset(_CORNERS) - inside
        table.append(tuple(t for group in _groups(smaller) for t in pieces[group]))
    return tuple(table)


@functools.lru_cache(maxsize=64)
def surfel_areas(spacing: tuple[float, float, float]) -> FloatArray:
    """Give the surface area of each pattern of 2x2x2 voxels.

    Parameters
    ----------
    spacing : (z, y, x), distance of voxel centres, mm or px

    Returns
    -------
    (256,), mm² (px²), by code; read-only.
    """
    areas = np.zeros(256)
    for code, triangles in enumerate(_triangles()):
        if triangles:
            points = np.asarray(triangles, dtype=np.float64) * (np.asarray(spacing) / 2.0)
            normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
            areas[code] = np.linalg.norm(normals, axis=1).sum() / 2.0
    areas.flags.writeable = False
    return areas


@functools.lru_cache(maxsize=64)
def contour_lengths(spacing: tuple[float, float]) -> FloatArray:
    """Give the contour length of each pattern of 2x2 pixels.

    A single corner of either side is cut off by half a diagonal, two diagonal corners by two
    halves, and a side by a line through the neighbourhood.

    Parameters
    ----------
    spacing : (y, x), distance of pixel centres, mm or px

    Returns
    -------
    (16,), mm (px), by code; read-only.
    """
    along_y, along_x = spacing
    half_diagonal = 0.5 * float(np.hypot(along_y, along_x))
    lengths = np.zeros(16)
    for code in range(1, 15):
        inside = [(k >> 1, k & 1) for k in range(4) if code >> k & 1]
        if len(inside) != 2:
            lengths[code] = half_diagonal
        elif inside[0][0] == inside[1][0]:
            lengths[code] = along_x
        elif inside[0][1] == inside[1][1]:
            lengths[code] = along_y
        else:
            lengths[code] = 2.0 * half_diagonal
    lengths.flags.writeable = False
    return lengths
