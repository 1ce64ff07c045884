"""How the frame of a perturbed scan relates to the original one."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

__all__ = ["Warp"]


class Warp(Protocol):
    """What a line of the catalogue that moves or hides anatomy returns beside the image.

    Predictions on the perturbed scan are brought back to the original frame and scored there against
    the unchanged reference: first where the anatomy stayed inside the field of view (`retained`), then
    on the whole image.
    """

    @property
    def moves(self) -> bool:
        """True when voxels move; False when the field of view only loses some of them."""
        ...

    @property
    def retained(self) -> Tensor:
        """(z, y, x), bool: points of the original frame that the perturbed scan still shows."""
        ...

    def pull_back(self, values: Tensor) -> Tensor:
        """Bring (channel, z, y, x) float32 values from the perturbed to the original frame."""
        ...

    def push_forward(self, mask: Tensor) -> Tensor:
        """Bring a (z, y, x) mask of label numbers from the original to the perturbed frame."""
        ...

    def displacement(self) -> Tensor:
        """(z, y, x): how far each point moves, in mm (px); 0 when none moves."""
        ...

    def smallest_jacobian(self) -> float:
        """Smallest local change of volume; above 0 when the map does not fold."""
        ...
