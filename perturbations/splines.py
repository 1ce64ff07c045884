"""Smooth vector fields on a coarse lattice: cubic B-splines, evaluated along the axes.

**Conventions.** Positions are relative to the centre of the scan, in its unit of length, in the order of the
array. A lattice point k of an axis lies at (k - (count - 1) / 2) times the spacing of the lattice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SplineField", "lattice_of"]

_MARGIN = 3
"""Lattice points beyond the scan on each side: a cubic spline needs two."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SplineField:
    """A vector field with one cubic B-spline per component."""

    coefficients: Floats
    """(component, lattice z, lattice y, lattice x), in the unit of length."""
    step: float
    """Spacing of the lattice, in the unit of length."""

    def on_grid(self, axes: Sequence[Floats], *, derivative: int | None = None) -> Floats:
        """Evaluate on a grid.

        Parameters
        ----------
        axes : sequence of (n,)
            Positions along each axis.
        derivative : int, optional
            Axis along which the field is differentiated.

        Returns
        -------
        (component, n_z, n_y, n_x)
        """
        values = self.coefficients
        *others, last = (
            self._weights(places, axis, derived=axis == derivative)
            for axis, places in enumerate(axes)
        )
        for axis, weights in enumerate(others, start=1):
            values = np.moveaxis(np.tensordot(weights, values, axes=(1, axis)), 0, axis)
        return np.asarray(values @ last.T)  # contiguous, as products along other axes are not

    def at(self, places: Floats) -> Floats:
        """Evaluate at scattered positions, (axis, point) to (component, point)."""
        from scipy import ndimage

        counts = np.array(self.coefficients.shape[1:])
        voxels = places / self.step + ((counts - 1) / 2)[:, None]
        return np.stack(
            [
                ndimage.map_coordinates(it, voxels, order=3, mode="nearest", prefilter=False)
                for it in self.coefficients
            ]
        )

    def _weights(self, places: Floats, axis: int, *, derived: bool) -> Floats:
        """(n, lattice): cubic B-splines, or their derivatives, at every lattice point."""
        count = self.coefficients.shape[axis + 1]
        distance = (places / self.step + (count - 1) / 2)[:, None] - np.arange(count)[None]
        # beyond the lattice the last coefficient goes on, as `at` has it
        t = np.abs(distance)
        if derived:
            inner, outer = -2 * t + 1.5 * t * t, -0.5 * (2 - t) ** 2
            weights = np.sign(distance) * np.where(t < 1, inner, np.where(t < 2, outer, 0.0))
            return np.asarray(weights / self.step)
        inner, outer = 2 / 3 - t * t + t**3 / 2, (2 - t) ** 3 / 6
        return np.asarray(np.where(t < 1, inner, np.where(t < 2, outer, 0.0)))


def lattice_of(extent: Sequence[float], step: float) -> tuple[int, ...]:
    """Count the lattice points that hold a scan of an extent, with a margin, on each axis."""
    return tuple(math.ceil(length / step) + 1 + 2 * _MARGIN for length in extent)
