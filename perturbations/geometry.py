"""Geometry: the anatomy lies differently in the field of view.

**Conventions.** A rigid motion turns the anatomy about the centre of the scan, in mm, so that the same
angle does the same on anisotropic grids. The perturbed image y(p) = x(R^-1 p); a prediction made on it
is pulled back to the original frame, q(p) = prediction(R p), and scored there against the unchanged
reference. Positions are relative to the centre, in the order of the array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.scan import Scan

__all__ = ["AffineWarp", "rotation", "rotation_matrix"]

_SLAB = 1 << 18
"""Voxels read at once: positions of a whole volume in float64 would fill the memory."""


@dataclass(frozen=True, slots=True)
class AffineWarp:
    """A rigid motion of the anatomy on one grid."""

    matrix: tuple[tuple[float, ...], ...]
    """R: where a point of the anatomy goes, mm, array order."""
    shape: tuple[int, ...]
    """Voxels of the grid."""
    spacing: tuple[float, ...]
    """mm (px) along each axis."""

    @property
    def moves(self) -> bool:
        """True: voxels move."""
        return True

    def smallest_jacobian(self) -> float:
        """Return the determinant of the matrix, the same everywhere."""
        return float(np.linalg.det(np.asarray(self.matrix)))

    def pull_back(self, values: Tensor) -> Tensor:
        """Bring values from the perturbed to the original frame, linearly.

        Parameters
        ----------
        values : (channel, z, y, x) or (channel, y, x), float32

        Returns
        -------
        Of the same shape; 0 where the point had left the field of view.

        Raises
        ------
        ValueError
            When the values lie on another grid.
        """
        return self._read(values, np.asarray(self.matrix), "bilinear")

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
        return self._read(moved, self._inverse, "nearest")[0].to(mask.dtype)

    def forward(self, values: Tensor) -> Tensor:
        """Bring values from the original to the perturbed frame, linearly; 0 beyond the scan."""
        return self._read(values, self._inverse, "bilinear")

    @property
    def retained(self) -> Tensor:
        """(z, y, x), bool: points of the original frame that stay inside the field of view."""
        kept = []
        for places in self._moved(np.asarray(self.matrix)):
            voxels = self._voxels(places)
            within = [(v >= -0.5) & (v <= n - 0.5) for v, n in zip(voxels, self.shape, strict=True)]
            kept.append(torch.stack(within).all(dim=0))
        return torch.cat(kept)

    def displacement(self) -> Tensor:
        """(z, y, x): how far each point of the anatomy moves, mm (px)."""
        motion = np.asarray(self.matrix) - np.eye(len(self.shape))
        return torch.cat([torch.stack(places).norm(dim=0) for places in self._moved(motion)])

    @property
    def _inverse(self) -> NDArray[np.float64]:
        return np.asarray(self.matrix).T  # a rotation

    def _moved(self, matrix: NDArray[np.float64]) -> Iterator[list[Tensor]]:
        """Where the matrix takes each voxel, mm (px) from the centre, one tensor per axis.

        Some slices at a time; neither the cuts nor the order of a sum depends on the threads.
        """
        axes = [
            (torch.arange(size, dtype=torch.float64) - (size - 1) / 2) * step
            for size, step in zip(self.shape, self.spacing, strict=True)
        ]
        thick = max(1, _SLAB // math.prod(self.shape[1:]))
        for start in range(0, self.shape[0], thick):
            cut = [axes[0][start : start + thick], *axes[1:]]
            grids = torch.meshgrid(*cut, indexing="ij")
            yield [_weighted(row.tolist(), grids) for row in matrix]

    def _voxels(self, places: list[Tensor]) -> list[Tensor]:
        return [
            place / step + (size - 1) / 2
            for place, step, size in zip(places, self.spacing, self.shape, strict=True)
        ]

    def _read(self, values: Tensor, matrix: NDArray[np.float64], mode: str) -> Tensor:
        """Read values at turned positions; 0 beyond the grid."""
        if tuple(values.shape[1:]) != self.shape:
            msg = f"values must lie on a grid of {self.shape}, got {tuple(values.shape[1:])}"
            raise ValueError(msg)
        source = values[None].to(device="cpu", dtype=torch.float64)
        slabs = []
        for places in self._moved(matrix):
            # grid_sample wants coordinates in [-1, 1] from the outer voxel edges, last axis first
            relative = [
                (2 * voxel + 1) / size - 1
                for voxel, size in zip(self._voxels(places), self.shape, strict=True)
            ]
            read = torch.nn.functional.grid_sample(
                source,
                torch.stack(relative[::-1], dim=-1)[None],
                mode=mode,
                padding_mode="zeros",
                align_corners=False,
            )
            slabs.append(read[0].to(torch.float32))
        return torch.cat(slabs, dim=1).to(values.device)


def _weighted(weights: list[float], grids: tuple[Tensor, ...]) -> Tensor:
    """Sum of grids, in a fixed order."""
    total = weights[0] * grids[0]
    for weight, grid in zip(weights[1:], grids[1:], strict=True):
        total = total + weight * grid
    return total


def rotation(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, AffineWarp]]:
    """Turn the anatomy by a fixed angle about a random axis through the centre.

    In 3-D the axis is drawn uniformly on the sphere, in 2-D the sense: a patient tilts and nods as well
    as turns, also where slices are thick. What turns in from beyond the scan has the background's
    value, see `_background`.
    """
    drawn = generator.standard_normal(3)
    axis = drawn / np.linalg.norm(drawn)
    background = _background(scan).reshape(-1, *([1] * scan.ndim))

    def at(level: float) -> tuple[Tensor, AffineWarp]:
        matrix = rotation_matrix(axis, np.deg2rad(level), scan.ndim)
        warp = AffineWarp(tuple(map(tuple, matrix.tolist())), scan.spatial_shape, scan.spacing)
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


def _background(scan: Scan) -> Tensor:
    """Value per channel of what lies beyond the scan.

    Its smallest one (air); what a masked background is filled with; in microscopy, whose background
    may be bright, the median along the border.
    """
    flat = scan.image.flatten(1)
    if scan.modality == "microscopy":
        border = torch.ones(scan.spatial_shape, dtype=torch.bool)
        border[tuple(slice(1, -1) for _ in scan.spatial_shape)] = False
        return flat[:, border.flatten()].median(dim=1).values
    if scan.masked_background:
        return flat[:, ~scan.support.flatten()].median(dim=1).values
    return flat.min(dim=1).values
