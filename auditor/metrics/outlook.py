"""The border of a reference with maps of what is near it, made once and asked for every prediction.

**Conventions.** Two maps, each made when it is first needed. The near one reaches some voxels beyond
the reference: most predictions lie in it. The wide one holds the whole image, for predictions with
much outside of the near one. Which of them answers depends on the prediction alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from auditor.metrics.distances import (
    LARGEST_MAP,
    Directed,
    NearestMap,
    far,
    nearest,
    nearest_map,
    tree_cost,
)
from auditor.metrics.outlines import FloatArray, IntArray, Surface

_REACH_STEPS = 24
"""The near map reaches this many of the smallest spacings beyond the reference."""

_WIDE_NS = 10.0
"""Cost of the wide map, a place: a tenth of what it takes to make, for it serves many predictions."""


@dataclass(frozen=True)
class Outlook:
    """The elements of a reference's border, in one of the two definitions."""

    elements: Surface
    """All of them."""
    shape: tuple[int, ...]
    """Places of the image along each axis: corners, or voxels."""
    reused: bool
    """False: too short-lived for a map to pay."""

    @cached_property
    def near(self) -> NearestMap | None:
        """Map of the surroundings of the reference; None where it would be too large."""
        spacing = self.elements.spacing
        reach = np.asarray([math.ceil(_REACH_STEPS * min(spacing) / step) for step in spacing])
        low = np.maximum(self.elements.low - reach, 0)
        high = np.minimum(self.elements.high + reach, np.asarray(self.shape) - 1)
        shape = tuple((high - low + 1).tolist())
        return nearest_map(self.elements, low, shape) if math.prod(shape) <= LARGEST_MAP else None

    @cached_property
    def wide(self) -> NearestMap:
        """Map of the whole image, which must have at most `LARGEST_MAP` places."""
        return nearest_map(self.elements, np.zeros(len(self.shape), dtype=np.int64), self.shape)

    def distances_from(self, border: Surface) -> Directed:
        """Find the distance from each element of a prediction's border to the nearest one here.

        Both borders must have at least one element.
        """
        near = self.near if self.reused else None
        if near is None:
            return nearest(border, self.elements)
        inside = near.holds(border.points)
        if inside.all():
            distances = near.distances(border.points)
        else:
            distances = np.empty(len(border.points))
            distances[inside] = near.distances(border.points[inside])
            distances[~inside] = self._outside(border.points[~inside])
        return Directed(distances=distances, areas=border.areas)

    def distances_to(self, border: Surface) -> Directed:
        """Find the distance from each element here to the nearest one of a prediction's border."""
        return nearest(self.elements, border)

    def _outside(self, points: IntArray) -> FloatArray:
        """Find the distances of points beyond the near map."""
        cost = tree_cost(points, self.elements)
        size = math.prod(self.shape)
        if size <= LARGEST_MAP and _WIDE_NS * size < cost:
            return self.wide.distances(points)
        return far(points, self.elements, cost)
