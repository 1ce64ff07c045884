"""Geometry: the anatomy lies differently in the field of view.

**Conventions.** A rigid motion turns the anatomy about the centre of the scan, in mm, so that the same
angle does the same on anisotropic grids. The perturbed image y(p) = x(R^-1 p); a prediction made on it
is pulled back to the original frame, q(p) = prediction(R p), and scored there against the unchanged
reference. Positions are relative to the centre, in the order of the array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.scan import Scan

__all__ = ["Warp", "rotation", "rotation_matrix"]


@dataclass(frozen=True, slots=True)
class Warp:
    """A rigid motion of the anatomy on one grid."""

    matrix: tuple[tuple[float, ...], ...]
    """R: where a point of the anatomy goes, mm, array order."""
    shape: tuple[int, ...]
    """Voxels of the grid."""
    spacing: tuple[float, ...]
    """mm (px) along each axis."""

    def pull_back(self, values: Tensor) -> Tensor:
        """Bring values from the perturbed to the original frame, linearly.

        Parameters
        ----------
        values : (channel, z, y, x) or (channel, y, x), float32

        Returns
        -------
        Of the same shape; 0 where the point had left the field of view.
        """
        return _sampled(values, self._positions(np.asarray(self.matrix)), "bilinear")

    def push_forward(self, mask: Tensor) -> Tensor:
        """Bring a mask of label numbers from the original to the perturbed frame, by the nearest.

        Parameters
        ----------
        mask : (z, y, x) or (y, x), whole numbers

        Returns
        -------
        Of the same shape and type; 0 where nothing was known.
        """
        moved = mask[None].to(torch.float32)
        return _sampled(moved, self._positions(self._inverse), "nearest")[0].to(mask.dtype)

    def forward(self, values: Tensor) -> Tensor:
        """Bring values from the original to the perturbed frame, linearly; 0 beyond the scan."""
        return _sampled(values, self._positions(self._inverse), "bilinear")

    @property
    def retained(self) -> Tensor:
        """(z, y, x), bool: points of the original frame that stay inside the field of view."""
        positions = self._positions(np.asarray(self.matrix))
        limits = torch.tensor([size - 0.5 for size in self.shape])
        inside = (positions >= -0.5) & (positions <= limits)
        kept: Tensor = inside.all(dim=-1)
        return kept

    def displacement(self) -> Tensor:
        """(z, y, x): how far each point of the anatomy moves, mm (px)."""
        start = _grid(self.shape, self.spacing)
        moved = start @ torch.tensor(np.asarray(self.matrix).T)
        length: Tensor = (moved - start).norm(dim=-1)
        return length

    @property
    def _inverse(self) -> NDArray[np.float64]:
        return np.asarray(self.matrix).T  # a rotation

    def _positions(self, matrix: NDArray[np.float64]) -> Tensor:
        """Voxel coordinates from which each voxel of the result is read."""
        points = _grid(self.shape, self.spacing) @ torch.tensor(matrix.T)
        centre = torch.tensor([(size - 1) / 2 for size in self.shape], dtype=torch.float64)
        voxels: Tensor = points / torch.tensor(self.spacing, dtype=torch.float64) + centre
        return voxels


def rotation(scan: Scan, generator: np.random.Generator) -> Callable[[float], tuple[Tensor, Warp]]:
    """Turn the anatomy by a fixed angle about a random axis through the centre.

    In 3-D the axis is drawn uniformly on the sphere, in 2-D the sense. What turns in from beyond the
    scan has the background's value, the smallest of each channel.
    """
    drawn = generator.standard_normal(3)
    axis = drawn / np.linalg.norm(drawn)
    background = scan.image.flatten(1).min(dim=1).values.reshape(-1, *([1] * scan.ndim))

    def at(level: float) -> tuple[Tensor, Warp]:
        matrix = rotation_matrix(axis, np.deg2rad(level), scan.ndim)
        warp = Warp(tuple(map(tuple, matrix.tolist())), scan.spatial_shape, scan.spacing)
        return warp.forward(scan.image - background) + background, warp

    return at


def rotation_matrix(axis: NDArray[np.float64], angle: float, dims: int) -> NDArray[np.float64]:
    """Rotation by an angle in radians (Rodrigues' formula); in 2-D the sign of axis[0] is the sense."""
    if dims == 2:
        turned = np.copysign(angle, axis[0])
        return np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]])
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def _grid(shape: tuple[int, ...], spacing: tuple[float, ...]) -> Tensor:
    """Positions of all voxels relative to the centre, mm (px), array order."""
    axes = [
        (torch.arange(size, dtype=torch.float64) - (size - 1) / 2) * step
        for size, step in zip(shape, spacing, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def _sampled(values: Tensor, positions: Tensor, mode: str) -> Tensor:
    """Read values at voxel coordinates; 0 beyond the grid."""
    shape = torch.tensor(values.shape[1:], dtype=torch.float64)
    # grid_sample wants coordinates in [-1, 1] from the outer voxel edges, last axis first
    relative = ((2 * positions + 1) / shape - 1).flip(-1)
    sampled = torch.nn.functional.grid_sample(
        values[None].to(torch.float64),
        relative[None],
        mode=mode,
        padding_mode="zeros",
        align_corners=False,
    )
    return sampled[0].to(torch.float32)
