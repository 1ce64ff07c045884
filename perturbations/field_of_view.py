"""Field of view: some of the anatomy is not shown.

**Conventions.** No voxel moves. A point is retained when the perturbed scan still shows it where it
was; predictions are scored there first, then on the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.chunks import empty
from perturbations.geometry import (
    background,
    image_plane,
    is_padded,
    movable_axes,
    stacking_axis,
    unmoved,
)
from perturbations.scan import Scan

__all__ = ["FieldOfView", "crop", "extent_along", "missing_slices", "occlusion"]

_BEYOND = 5e-4
"""Share of the foreground that may lie beyond either end of its extent."""

_BRIGHT = 0.99
"""Quantile of a bright occlusion."""

_ASPECT = (0.5, 1.0)
"""Range of the ratio of an occlusion's axes."""

Floats = NDArray[np.float64]


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


def crop(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, FieldOfView | None]]:
    """End the field of view inside the anatomy, at one end of one axis.

    Axis (of more than one voxel) and end are drawn. The level is the share of the foreground's extent along
    that axis that is lost; everything beyond is the background's value (air). The voxel in which the cut
    lies keeps its share; of padded CT it is whole or lost, for padding mixed with tissue is neither.
    """
    axes = np.flatnonzero(movable_axes(scan.spatial_shape)).tolist()
    if not axes:
        return unmoved(scan)
    axis = int(axes[int(generator.integers(len(axes)))])
    first_end = bool(generator.integers(2))
    low, high = extent_along(scan, axis)
    size = scan.spatial_shape[axis]
    filling = background(scan)
    mixes = not is_padded(scan)

    def at(level: float) -> tuple[Tensor, FieldOfView]:
        lost = (high - low) * level / 100.0
        centres = np.arange(size, dtype=np.float64)
        # how much of each voxel lies inside the field of view
        kept = centres + 0.5 - (low + lost) if first_end else (high - lost) - (centres - 0.5)
        share = torch.from_numpy(np.clip(kept, 0.0, 1.0))
        shown = share >= 0.5
        return (
            _weighted(scan, axis, share if mixes else shown.double(), filling),
            _along(scan, axis, shown),
        )

    return at


def missing_slices(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, FieldOfView]]:
    """Lose slices: they hold the background's value.

    Among the slices that hold foreground, in an order that is drawn once: what is lost at a level is lost
    at every higher one. Of two or more, at least one is lost and one is kept; an image, and a volume of
    one slice, has none to lose.
    """
    axis = stacking_axis(scan)
    size = scan.spatial_shape[axis]
    held = scan.foreground.movedim(axis, 0).flatten(1).any(dim=1).nonzero()[:, 0].numpy()
    order = generator.permutation(held) if scan.ndim == 3 else held[:0]
    filling = background(scan)

    def at(level: float) -> tuple[Tensor, FieldOfView]:
        count = min(max(1, round(level / 100.0 * len(order))), max(0, len(order) - 1))
        share = torch.ones(size, dtype=torch.float64)
        share[torch.from_numpy(order[:count].copy())] = 0.0
        return _weighted(scan, axis, share, filling), _along(scan, axis, share > 0)

    return at


def occlusion(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, FieldOfView]]:
    """Hide a part of the image behind an ellipse, dark or bright.

    Its centre (in the foreground), aspect, angle and value are drawn; it grows with the level, which is
    the share of the image's area, in whole voxels: a level of less than half a voxel hides none. In a
    volume every slice is hidden alike.
    """
    plane = image_plane(scan)
    shape = [scan.spatial_shape[axis] for axis in plane]
    seen = scan.foreground if scan.ndim == 2 else scan.foreground.any(dim=stacking_axis(scan))
    inside = seen.nonzero().numpy()
    place, aspect, angle = (
        generator.random(),
        generator.uniform(*_ASPECT),
        generator.uniform(0, np.pi),
    )
    centre = inside[min(int(place * len(inside)), len(inside) - 1)]
    order = np.argsort(
        _elliptic(shape, [scan.spacing[axis] for axis in plane], centre, aspect, angle).ravel(),
        kind="stable",
    )
    values = background(scan)
    if generator.integers(2):
        flat = scan.image.flatten(1).numpy()
        values = torch.from_numpy(np.quantile(flat, _BRIGHT, axis=1).astype(np.float32))

    def at(level: float) -> tuple[Tensor, FieldOfView]:
        shown = np.ones(order.size, dtype=bool)
        shown[order[: round(level / 100.0 * order.size)]] = False
        wide = [size if axis in plane else 1 for axis, size in enumerate(scan.spatial_shape)]
        retained = torch.from_numpy(shown.reshape(wide)).expand(scan.spatial_shape)
        result = empty(scan.image.shape)
        for channel, out in enumerate(result):
            torch.where(retained, scan.image[channel], values[channel], out=out)
        return result, FieldOfView(retained.clone())

    return at


def extent_along(scan: Scan, axis: int) -> tuple[float, float]:
    """Where the foreground begins and ends along a spatial axis, in voxels, -.5 to n - .5.

    All but 1 in 1000 of its voxels lie between the ends, as many beyond either; found along the
    cumulative volume, which is linear within a voxel. Stray bright voxels do not count, and an extent in
    mm hardly depends on the spacing.
    """
    across = [other for other in range(scan.ndim) if other != axis]
    filled = scan.foreground.cpu().sum(dim=across).numpy().astype(np.float64)
    cumulative = np.concatenate([[0.0], np.cumsum(filled)]) / filled.sum()
    edges = np.arange(len(filled) + 1) - 0.5
    low = np.interp(_BEYOND, cumulative, edges)
    high = np.interp(1.0 - _BEYOND, cumulative, edges)
    return float(low), float(high)


def _weighted(scan: Scan, axis: int, share: Tensor, filling: Tensor) -> Tensor:
    """Mix the scan with what lies beyond it, slice by slice along an axis."""
    result = empty(scan.image.shape)
    source, target = scan.image.movedim(axis + 1, 1), result.movedim(axis + 1, 1)
    for place, kept in enumerate(share.tolist()):
        for channel, value in enumerate(filling.tolist()):
            if kept == 1.0:
                target[channel, place] = source[channel, place]
            elif kept == 0.0:
                target[channel, place] = value
            else:
                target[channel, place] = source[channel, place] * kept + value * (1.0 - kept)
    return result


def _along(scan: Scan, axis: int, shown: Tensor) -> FieldOfView:
    """Return the field of view that shows some slices of an axis."""
    wide = [-1 if other == axis else 1 for other in range(scan.ndim)]
    return FieldOfView(shown.reshape(wide).expand(scan.spatial_shape).clone())


def _elliptic(
    shape: list[int], spacing: list[float], centre: NDArray[np.int64], aspect: float, angle: float
) -> Floats:
    """Distance from a centre in units of a growing ellipse."""
    y, x = np.meshgrid(
        *((np.arange(n) - c) * s for n, s, c in zip(shape, spacing, centre, strict=True)),
        indexing="ij",
    )
    along = math.cos(angle) * y + math.sin(angle) * x
    across = -math.sin(angle) * y + math.cos(angle) * x
    return np.asarray(np.hypot(along, across / aspect))
