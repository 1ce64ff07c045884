"""Geometry: the anatomy lies differently in the field of view.

**Conventions.** A point p of the anatomy goes to A p + t, in mm from the centre of the scan and in the
order of the array, so that the same angle or factor does the same on anisotropic grids. The perturbed
image is y(p) = x(A^-1 (p - t)); a prediction made on it is pulled back to the original frame, q(p) =
prediction(A p + t), and scored there against the unchanged reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.resampling import SampledWarp, centred
from perturbations.scan import Scan

__all__ = [
    "AffineWarp",
    "affine",
    "background",
    "moved_image",
    "rotation",
    "rotation_matrix",
    "scaling",
    "side_unit",
    "translation",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class AffineWarp(SampledWarp):
    """An affine motion of the anatomy on one grid."""

    matrix: tuple[tuple[float, ...], ...]
    """A, array order."""
    offset: tuple[float, ...]
    """t, mm (px)."""

    def smallest_jacobian(self) -> float:
        """Return the determinant of the matrix, the same everywhere."""
        return float(np.linalg.det(np.asarray(self.matrix)))

    def moved(self, start: int, stop: int) -> list[Tensor]:
        """Where the anatomy of some slices goes: A p + t."""
        return self._taken(np.asarray(self.matrix), np.asarray(self.offset), start, stop)

    def origins(self, start: int, stop: int) -> list[Tensor]:
        """Where the anatomy seen in some slices came from: A^-1 (p - t)."""
        inverse = np.linalg.inv(np.asarray(self.matrix))
        return self._taken(inverse, -inverse @ np.asarray(self.offset), start, stop)

    def _taken(self, matrix: Floats, offset: Floats, start: int, stop: int) -> list[Tensor]:
        axes = centred(self.shape, self.spacing)
        grids = torch.meshgrid(axes[0][start:stop], *axes[1:], indexing="ij")
        return [
            _weighted(row, grids) + shift
            for row, shift in zip(matrix.tolist(), offset.tolist(), strict=True)
        ]


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
    value, see `background`.
    """
    drawn = generator.standard_normal(3)
    axis = drawn / np.linalg.norm(drawn)
    still = np.zeros(scan.ndim)
    return affine(scan, lambda level: (rotation_matrix(axis, np.deg2rad(level), scan.ndim), still))


def translation(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, AffineWarp]]:
    """Shift the anatomy by a fixed distance in a random direction.

    The direction is drawn uniformly on the sphere (circle). Levels are mm; for display modalities % of
    the mean side of the image.
    """
    drawn = generator.standard_normal(scan.ndim)
    direction = drawn / np.linalg.norm(drawn)
    unit = side_unit(scan)
    return affine(scan, lambda level: (np.eye(scan.ndim), direction * (level * unit)))


def scaling(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, AffineWarp]]:
    """Enlarge or shrink the anatomy about the centre by a fixed factor.

    Which of the two is drawn: patients are larger and smaller than those a system was trained on. A
    factor f multiplies lengths by f, or divides them by it.
    """
    enlarge = bool(generator.integers(2))
    still = np.zeros(scan.ndim)
    return affine(scan, lambda f: (np.eye(scan.ndim) * (f if enlarge else 1.0 / f), still))


def affine(
    scan: Scan, motion: Callable[[float], tuple[Floats, Floats]]
) -> Callable[[float], tuple[Tensor, AffineWarp]]:
    """Move the anatomy by (A, t) of a level; beyond the scan lies the background's value."""
    filling = background(scan).reshape(-1, *([1] * scan.ndim))

    def at(level: float) -> tuple[Tensor, AffineWarp]:
        matrix, offset = motion(level)
        rows = tuple(map(tuple, matrix.tolist()))
        warp = AffineWarp(scan.spatial_shape, scan.spacing, rows, tuple(offset.tolist()))
        return moved_image(scan.image, warp, filling), warp

    return at


def moved_image(image: Tensor, warp: SampledWarp, filling: Tensor) -> Tensor:
    """Move an image forward; beyond it lies the filling.

    Parameters
    ----------
    image : (channel, z, y, x) or (channel, y, x)
    warp : SampledWarp
    filling : (channel, 1, 1, 1) or (channel, 1, 1)
    """
    return warp.forward(image, filling=filling)


def side_unit(scan: Scan) -> float:
    """Length of one unit of level: 1 mm, or 1 % of the mean side of a display image."""
    if scan.modality_class == "body":
        return 1.0
    sides = [size * step for size, step in zip(scan.spatial_shape, scan.spacing, strict=True)]
    return float(np.mean(sides[-2:])) / 100.0


def rotation_matrix(axis: NDArray[np.float64], angle: float, dims: int) -> NDArray[np.float64]:
    """Rotation by an angle in radians (Rodrigues' formula); in 2-D the sign of axis[0] is the sense."""
    if dims == 2:
        turned = np.copysign(angle, axis[0])
        return np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]])
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def background(scan: Scan) -> Tensor:
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
