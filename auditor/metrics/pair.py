"""A prediction beside its reference: what the metrics are computed from.

**Conventions.** Counts are in voxels. The costly parts are computed when first asked for, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from auditor.metrics.boxes import Box, Part, bounding_box
from auditor.metrics.centreline import skeleton_of
from auditor.metrics.distances import Directed
from auditor.metrics.lesions import Overlaps, components_of, overlaps_of
from auditor.metrics.outlines import BoolArray, Surface, extract_boundary, extract_surface
from auditor.metrics.reference import Reference


@dataclass(frozen=True)
class MaskPair:
    """Two masks of one label on one grid."""

    prediction: BoolArray
    """The shape of the reference."""
    reference: Reference
    """See `auditor.metrics.reference.prepare_reference`."""
    probability: NDArray[np.floating] | None = None
    """The shape of the reference, in [0, 1]: of the label; None: the system gives none."""

    @cached_property
    def n_prediction(self) -> int:
        """Voxels of the prediction."""
        return int(np.count_nonzero(self.prediction[self.box]))

    @property
    def n_reference(self) -> int:
        """Voxels of the reference."""
        return self.reference.n_foreground

    @cached_property
    def n_common(self) -> int:
        """Voxels of both."""
        box = self.reference.box
        return int(np.count_nonzero(self.prediction[box] & self.reference.mask[box]))

    @cached_property
    def box(self) -> Box:
        """Smallest box that holds the prediction."""
        return bounding_box(self.prediction)

    @cached_property
    def surface(self) -> Surface:
        """Surface elements of the prediction."""
        return extract_surface(self.prediction, self.reference.spacing, self.box)

    @cached_property
    def boundary(self) -> Surface:
        """Boundary voxels of the prediction."""
        return extract_boundary(self.prediction, self.reference.spacing, self.box)

    @cached_property
    def surface_distances(self) -> tuple[Directed, Directed]:
        """Distances between surface elements: to the reference, then from the reference.

        Both masks must have at least one voxel.
        """
        surface = self.reference.surface
        return (surface.distances_from(self.surface), surface.distances_to(self.surface))

    @cached_property
    def boundary_distances(self) -> tuple[Directed, Directed]:
        """Distances between boundary voxels: to the reference, then from the reference.

        Both masks must have at least one voxel.
        """
        boundary = self.reference.boundary
        return (boundary.distances_from(self.boundary), boundary.distances_to(self.boundary))

    @cached_property
    def lesions(self) -> Overlaps:
        """Which lesions of the prediction overlap which of the reference, and how much."""
        return overlaps_of(components_of(self.prediction), self.reference.lesions)

    @cached_property
    def skeleton(self) -> Part[np.bool_]:
        """Skeleton of the prediction."""
        return skeleton_of(self.prediction)
