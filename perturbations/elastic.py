"""Elastic deformation: organs shift against each other without folding.

**Conventions.** A point p of the anatomy goes to p + s u(p). u is a smooth field with a largest length of
1 on the voxels of the scan, s the level in mm (% of the side for display modalities). Where s times the
largest gradient of u stays below 1, the map has an inverse and its Jacobian is positive everywhere.
Along an axis of one voxel nothing is displaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.geometry import movable_axes, mover, side_unit, unmoved
from perturbations.resampling import SampledWarp, centred
from perturbations.scan import Scan
from perturbations.splines import SplineField, lattice_of

__all__ = ["ElasticWarp", "deformation", "elastic"]

_STEEPEST = 0.6
"""Largest spectral norm of the displacement's gradient at severity 5: lengths change by 60 % at most."""

_LATTICE = 4.0
"""First spacing of the lattice, over the largest displacement of severity 5; coarser until it fits."""

_COARSER = 1.25

_FINER = 4.0
"""The inverse is solved on a lattice finer by this factor."""

_TOLERANCE = 1e-4
"""Of the inverse, over the largest displacement."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ElasticWarp(SampledWarp):
    """A smooth deformation of the anatomy on one grid, and its inverse."""

    field: SplineField
    """Displacement of the anatomy."""
    inverse: SplineField
    """Displacement back, from where it is seen."""

    def moved(self, start: int, stop: int) -> list[Tensor]:
        """Where the anatomy of some slices goes."""
        return self._added(self.field, start, stop)

    def origins(self, start: int, stop: int) -> list[Tensor]:
        """Where the anatomy seen in some slices came from."""
        return self._added(self.inverse, start, stop)

    def smallest_jacobian(self) -> float:
        """Return the smallest determinant of 1 + the gradient of the displacement over the voxels."""
        axes = [axis.numpy() for axis in centred(self.shape, self.spacing)]
        smallest = np.inf
        for start in range(self.shape[0]):
            gradient = _gradient(self.field, [axes[0][start : start + 1], *axes[1:]])
            smallest = min(smallest, float(np.linalg.det(np.eye(len(axes)) + gradient).min()))
        return smallest

    def _added(self, field: SplineField, start: int, stop: int) -> list[Tensor]:
        axes = centred(self.shape, self.spacing)
        axes[0] = axes[0][start:stop]
        far = field.on_grid([axis.numpy() for axis in axes])
        grids = torch.meshgrid(*axes, indexing="ij")
        return [torch.from_numpy(it).add_(grid) for grid, it in zip(grids, far, strict=True)]


def elastic(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, ElasticWarp | None]]:
    """Deform the anatomy by a smooth random field whose largest displacement is the level.

    The field is a cubic B-spline with normal coefficients. Its lattice starts fine and is made coarser
    until severity 5 stays far from folding, so that it holds on small scans as well.

    Raises
    ------
    ValueError
        At a level at which the map of this scan would fold.
    """
    unit = side_unit(scan)
    last = 12.0 if scan.modality_class == "body" else 3.0
    return deformation(scan, generator, unit=unit, last=last, name="elastic")


def deformation(
    scan: Scan, generator: np.random.Generator, *, unit: float, last: float, name: str
) -> Callable[[float], tuple[Tensor, ElasticWarp | None]]:
    """Deform as `elastic` does, with levels of one's own.

    Parameters
    ----------
    scan : Scan
    generator : numpy.random.Generator
        Of the field.
    unit : float
        Largest displacement per unit of level, in the scan's unit of length.
    last : float
        Level that stays far from folding.
    name : str
        Of the perturbation, for messages.
    """
    if not movable_axes(scan.spatial_shape).any():
        return unmoved(scan)
    last = last * unit
    field, steepest = _unit_field(scan, generator, last)
    move = mover(scan)

    def at(level: float) -> tuple[Tensor, ElasticWarp]:
        far = level * unit
        if far * steepest >= 0.95:
            msg = (
                f"{name} would fold this scan at {level:g}; its level must stay below "
                f"{0.95 / steepest / unit:.3g}"
            )
            raise ValueError(msg)
        scaled = SplineField(field.coefficients * far, field.step)
        warp = ElasticWarp(scan.spatial_shape, scan.spacing, scaled, _inverse(scaled, far, scan))
        return move(warp), warp

    return at


def _unit_field(
    scan: Scan, generator: np.random.Generator, last: float
) -> tuple[SplineField, float]:
    """Draw a field of largest length 1 on the voxels, and tell its largest gradient."""
    seed = int(generator.integers(2**63))
    axes = [axis.numpy() for axis in centred(scan.spatial_shape, scan.spacing)]
    extent = [float(np.ptp(axis)) for axis in axes]
    movable = np.flatnonzero(movable_axes(scan.spatial_shape)).tolist()
    step = _LATTICE * last
    while True:
        own = np.random.Generator(np.random.SFC64(seed))
        counts = lattice_of(extent, step)
        drawn = np.zeros((scan.ndim, *counts))
        # nothing along an axis of one voxel, and the same wherever on it: what its image would draw
        drawn[movable] = own.standard_normal(
            (len(movable), *(n if axis in movable else 1 for axis, n in enumerate(counts)))
        )
        longest, steepest = _extremes(SplineField(drawn, step), axes)
        # on a lattice much larger than the scan the field is nearly a shift, so that this ends
        if steepest * last <= _STEEPEST * longest:
            break
        step *= _COARSER
    return SplineField(drawn / longest, step), steepest / longest


def _extremes(field: SplineField, axes: list[Floats]) -> tuple[float, float]:
    """Longest displacement on the voxels, and the largest spectral norm of the gradient.

    The gradient is taken on a coarser grid, a quarter of the lattice apart, and at the ends.
    """
    longest = max(
        float(np.linalg.norm(field.on_grid([axes[0][k : k + 1], *axes[1:]]), axis=0).max())
        for k in range(len(axes[0]))
    )
    coarse = [
        np.linspace(axis[0], axis[-1], 2 + int(np.ptp(axis) / (field.step / 4))) for axis in axes
    ]
    gradient = _gradient(field, coarse)
    return longest, float(np.linalg.norm(gradient, ord=2, axis=(-2, -1)).max())


def _gradient(field: SplineField, axes: list[Floats]) -> Floats:
    """(n_z, n_y, n_x, component, axis)."""
    parts = [field.on_grid(axes, derivative=axis) for axis in range(len(axes))]
    return np.moveaxis(np.stack(parts, axis=1), (0, 1), (-2, -1))


def _inverse(field: SplineField, far: float, scan: Scan) -> SplineField:
    """Solve w(q) = -u(q + w(q)) by iteration on a finer lattice; u contracts, so that it converges."""
    from scipy import ndimage

    step = field.step / _FINER
    extent = [
        (size - 1) * spacing + 2 * far
        for size, spacing in zip(scan.spatial_shape, scan.spacing, strict=True)
    ]
    counts = lattice_of(extent, step)
    axes = [(np.arange(count) - (count - 1) / 2) * step for count in counts]
    places = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(len(axes), -1)
    back = np.zeros_like(places)
    for _ in range(200):
        again = -field.at(places + back)
        change = float(np.abs(again - back).max())
        back = again
        if change <= _TOLERANCE * far:
            break
    samples = back.reshape(len(axes), *counts)
    return SplineField(
        np.stack([ndimage.spline_filter(it, order=3, mode="mirror") for it in samples]), step
    )
