"""Field of view: some of the anatomy is not shown.

**Conventions.** No voxel moves. A point is retained when the perturbed scan still shows it where it
was; predictions are scored there first, then on the whole image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["FieldOfView"]


@dataclass(frozen=True, slots=True, eq=False)
class FieldOfView:
    """A frame in which nothing moved and some points are missing."""

    retained: Tensor
    """(z, y, x) or (y, x), bool: points that the perturbed scan still shows."""

    @property
    def moves(self) -> bool:
        """False: no voxel moves."""
        return False

    def pull_back(self, values: Tensor) -> Tensor:
        """Return the values: both frames are the same."""
        return values

    def push_forward(self, mask: Tensor) -> Tensor:
        """Return the mask: both frames are the same."""
        return mask

    def displacement(self) -> Tensor:
        """Return zeros of the spatial shape, float32."""
        return torch.zeros(self.retained.shape)

    def smallest_jacobian(self) -> float:
        """Return 1: no volume changes."""
        return 1.0
