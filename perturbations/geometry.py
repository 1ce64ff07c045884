"""Geometry: the anatomy lies differently in the field of view.

**Conventions.** A point p of the anatomy goes to A p + t, in mm from the centre of the scan and in the
order of the array, so that the same angle or factor does the same on anisotropic grids. The perturbed
image is y(p) = x(A^-1 (p - t)); a prediction made on it is pulled back to the original frame, q(p) =
prediction(A p + t), and scored there against the unchanged reference.

A volume of one slice is an image: along an axis of one voxel nothing moves. Where that leaves nothing to
move, the scan stays as it is and has no warp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.attenuation import PADDING_HU
from perturbations.chunks import elementwise, empty, spread
from perturbations.resampling import SampledWarp, centred
from perturbations.scan import Scan

__all__ = [
    "AffineWarp",
    "affine",
    "background",
    "image_plane",
    "is_padded",
    "movable_axes",
    "mover",
    "rotation",
    "rotation_matrix",
    "scaling",
    "side_unit",
    "stacking_axis",
    "translation",
    "turnable_axes",
    "unmoved",
]

_AIR_HU = (-1024.0, -1000.0)
"""What lies beyond a CT scan: air, which some scanners cut off at -1024 HU."""

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
) -> Callable[[float], tuple[Tensor, AffineWarp | None]]:
    """Turn the anatomy by a fixed angle about a random axis through the centre.

    In 3-D the axis is drawn uniformly on the sphere, in 2-D (and for one slice) the sense: a patient tilts
    and nods as well as turns, also where slices are thick. What turns in from beyond the scan has the
    background's value, see `background`.
    """
    drawn = generator.standard_normal(3) * turnable_axes(scan.spatial_shape)
    if not drawn.any():
        return unmoved(scan)
    axis = drawn / np.linalg.norm(drawn)
    still = np.zeros(scan.ndim)
    return affine(scan, lambda level: (rotation_matrix(axis, np.deg2rad(level), scan.ndim), still))


def translation(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, AffineWarp | None]]:
    """Shift the anatomy by a fixed distance in a random direction.

    The direction is drawn uniformly on the sphere, for one slice in its plane. Levels are mm; for display
    modalities % of the mean side of the image.
    """
    drawn = generator.standard_normal(scan.ndim) * movable_axes(scan.spatial_shape)
    if not drawn.any():
        return unmoved(scan)
    direction = drawn / np.linalg.norm(drawn)
    unit = side_unit(scan)
    return affine(scan, lambda level: (np.eye(scan.ndim), direction * (level * unit)))


def scaling(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, AffineWarp | None]]:
    """Enlarge or shrink the anatomy about the centre by a fixed factor.

    Which of the two is drawn: patients are larger and smaller than those a system was trained on. A
    factor f multiplies lengths by f, or divides them by it.
    """
    enlarge = bool(generator.integers(2))
    still, movable = np.zeros(scan.ndim), movable_axes(scan.spatial_shape)
    if not movable.any():
        return unmoved(scan)
    return affine(
        scan, lambda f: (np.diag(np.where(movable, f if enlarge else 1.0 / f, 1.0)), still)
    )


def affine(
    scan: Scan, motion: Callable[[float], tuple[Floats, Floats]]
) -> Callable[[float], tuple[Tensor, AffineWarp]]:
    """Move the anatomy by (A, t) of a level; beyond the scan lies the background's value."""
    move = mover(scan)

    def at(level: float) -> tuple[Tensor, AffineWarp]:
        matrix, offset = motion(level)
        rows = tuple(map(tuple, matrix.tolist()))
        warp = AffineWarp(scan.spatial_shape, scan.spacing, rows, tuple(offset.tolist()))
        return move(warp), warp

    return at


def unmoved(scan: Scan) -> Callable[[float], tuple[Tensor, None]]:
    """Leave a scan as it is at every level: it has nothing that could move."""
    return lambda level: (scan.image, None)


def movable_axes(shape: Sequence[int]) -> NDArray[np.bool_]:
    """(axis), bool: spatial axes with more than one voxel, along which anatomy can move and be seen."""
    return np.array(shape) > 1


def turnable_axes(shape: Sequence[int]) -> NDArray[np.bool_]:
    """(3), bool: axes about which a scan can turn without leaving its slice.

    All of a volume, that of one voxel for a single slice, none for a line; in 2-D the first stands for
    the sense, as in `rotation_matrix`.
    """
    movable = movable_axes(shape)
    if movable.sum() < 2:
        return np.zeros(3, dtype=bool)
    if movable.size == 2:
        return np.array([True, False, False])
    return np.ones(3, dtype=bool) if movable.all() else ~movable


def stacking_axis(scan: Scan) -> int:
    """Spatial axis along which slices lie: of one voxel where there is such, else `Scan.slice_axis`.

    A single slice in pixels has no largest spacing that would tell.
    """
    single = np.flatnonzero(~movable_axes(scan.spatial_shape)).tolist()
    return scan.slice_axis if not single or scan.slice_axis in single else int(single[0])


def image_plane(scan: Scan) -> tuple[int, int]:
    """Return the two spatial axes of an image, or of the slices of a volume."""
    inside = [axis for axis in range(scan.ndim) if scan.ndim == 2 or axis != stacking_axis(scan)]
    return inside[0], inside[1]


def side_unit(scan: Scan) -> float:
    """Length of one unit of level: 1 mm, or 1 % of the mean side of a display image."""
    if scan.modality_class == "body":
        return 1.0
    sides = [size * step for size, step in zip(scan.spatial_shape, scan.spacing, strict=True)]
    return float(np.mean([sides[axis] for axis in image_plane(scan)])) / 100.0


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

    Its smallest one, in HU held within the -1024 to -1000 of air, for noise and stray voxels lie below;
    what a masked background is filled with; in microscopy, whose background may be bright, the median
    along the border.
    """
    flat = scan.image.flatten(1)
    if scan.modality == "microscopy":
        border = torch.ones(scan.spatial_shape, dtype=torch.bool)
        border[tuple(slice(1, -1) for _ in scan.spatial_shape)] = False
        return flat[:, border.flatten()].median(dim=1).values
    if scan.masked_background:
        return flat[:, ~scan.support.flatten()].median(dim=1).values
    return _air(scan)


def mover(scan: Scan) -> Callable[[SampledWarp], Tensor]:
    """Return what moves the image of a scan forward; beyond it lies the background's value.

    Padding of CT is not mixed with its neighbours into what is neither: the image moves with air in its
    place, and what came from a voxel of padding, by the nearest, has its value again.
    """
    beyond, image, wide = background(scan), scan.image, (-1, *([1] * scan.ndim))
    if not is_padded(scan):
        filling = beyond.reshape(wide)
        return lambda warp: warp.forward(image, filling=filling)
    air = _air(scan)
    unpadded = empty(image.shape)
    for made, given, value in zip(unpadded, image.contiguous(), air, strict=True):
        elementwise(_with_air(value), made, given)
    outside = torch.where(beyond < PADDING_HU, air, beyond).reshape(wide)

    def move(warp: SampledWarp) -> Tensor:
        return _padded_again(warp.forward(unpadded, filling=outside), image, beyond, warp)

    return move


def is_padded(scan: Scan) -> bool:
    """Tell whether a scan is CT in HU, padded below what any tissue or air has."""
    return _in_hu(scan) and scan.cut_out and bool(scan.image.min() < PADDING_HU)


def _in_hu(scan: Scan) -> bool:
    return scan.modality == "ct" and scan.state in ("raw", "skull_stripped")


def _air(scan: Scan) -> Tensor:
    """Smallest value per channel, padding left aside; in HU no other than air may have."""
    lowest = scan.image.flatten(1).min(dim=1).values
    if not _in_hu(scan):
        return lowest
    for number, channel in enumerate(scan.image):
        if lowest[number] < PADDING_HU:
            real = channel[channel >= PADDING_HU]
            lowest[number] = real.min() if real.numel() else _AIR_HU[0]
    return lowest.clamp(*_AIR_HU)


def _with_air(air: Tensor) -> Callable[[Tensor, Tensor], None]:
    def replace(out: Tensor, given: Tensor) -> None:
        torch.where(given < PADDING_HU, air, given, out=out)

    return replace


def _padded_again(moved: Tensor, image: Tensor, beyond: Tensor, warp: SampledWarp) -> Tensor:
    """Write padding where the nearest voxel of an image is padding, or what lies beyond it is."""

    def slab(start: int, stop: int) -> None:
        index, inside = torch.zeros(()), torch.ones((), dtype=torch.bool)
        for place, size, step in zip(
            warp.origins(start, stop), warp.shape, warp.spacing, strict=True
        ):
            nearest = place.div_(step).add_((size - 1) / 2).round_()
            held = nearest.clamp(0, size - 1)
            inside = inside & (held == nearest)
            index = index * size + held
        whole = index.to(torch.int64)
        for made, source, value in zip(moved, image, beyond, strict=True):
            part = made[start:stop]
            came = torch.where(inside, source.reshape(-1)[whole], value)
            torch.where(came < PADDING_HU, came, part, out=part)

    spread(slab, warp.shape[0], 1)
    return moved
