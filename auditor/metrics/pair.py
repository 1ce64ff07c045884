"""A prediction beside its reference: what the metrics are computed from.

**Conventions.** Counts are in voxels. The costly parts are computed when first asked for, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from auditor.metrics.distances import BoolArray, Directed, Surface, extract_surface, nearest
from auditor.metrics.reference import Reference


@dataclass(frozen=True)
class MaskPair:
    """Two masks of one label on one grid."""

    prediction: BoolArray
    """The shape of the reference."""
    reference: Reference
    """See `auditor.metrics.reference.prepare_reference`."""

    @cached_property
    def n_prediction(self) -> int:
        """Voxels of the prediction."""
        return int(np.count_nonzero(self.prediction))

    @property
    def n_reference(self) -> int:
        """Voxels of the reference."""
        return self.reference.n_foreground

    @cached_property
    def n_common(self) -> int:
        """Voxels of both."""
        return int(np.count_nonzero(self.prediction & self.reference.mask))

    @cached_property
    def surface(self) -> Surface:
        """Surface elements of the prediction."""
        return extract_surface(self.prediction, self.reference.spacing)

    @cached_property
    def surface_distances(self) -> tuple[Directed, Directed]:
        """Distances from the prediction to the reference, then from the reference to it.

        Both masks must have at least one voxel.
        """
        return (
            self.reference.distances_from(self.surface),
            nearest(self.reference.surface, self.surface),
        )
