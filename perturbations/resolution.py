"""Resolution: coarser sampling than the scan has.

**Conventions.** A level multiplies what the scan has: the slice thickness (the spacing where it is not
known) or the pixel. The grid stays as it is: what was sampled coarsely is interpolated back onto it, so
that the reference fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from perturbations.averages import averaged
from perturbations.facts import Stated
from perturbations.operators import AxisOperator
from perturbations.scan import Scan

__all__ = ["low_resolution", "thick_slices", "thickening"]


def thick_slices(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
) -> Callable[[float], tuple[Tensor, None]]:
    """Average over thick contiguous slices, then interpolate back.

    Along the axis of the largest spacing. A 2-D image has no slices, and slices with gaps may lie
    further apart than the thickness asked for: then the level is without effect.

    Slices that overlap or leave gaps (`Scan.slice_thickness` t, spacing s) are averaged over
    w = sqrt(T^2 - t^2 + s^2) every T = level t, because the variances of profiles add: the boxcar of
    w / s samples adds (w^2 - s^2) / 12 to the t^2 / 12 they have.
    """
    slices = scan.spatial_shape[scan.slice_axis]
    step = scan.spacing[scan.slice_axis]
    native = scan.slice_thickness or step

    def at(level: float) -> tuple[Tensor, None]:
        thick = level * native
        if scan.ndim == 2 or slices == 1 or thick <= step:
            return scan.image.clone(), None
        width = min(thick, math.sqrt(thick * thick - native * native + step * step))
        operator = AxisOperator.of(thickening(slices, thick / step, width=width / step))
        return averaged(scan, _only(scan, {scan.slice_axis: operator})), None

    return Stated(at, lambda level: {f"slice_thickness_{scan.unit}": level * native})


def low_resolution(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
) -> Callable[[float], tuple[Tensor, None]]:
    """Average over pixels larger by a factor, then interpolate back.

    Along both axes of the plane across the slice axis, each in its own pixel. A coarse pixel holds the
    mean of its area, as that of a detector with larger elements does, so that nothing is aliased beyond
    what such a detector would alias.
    """
    plane = [axis for axis in range(scan.ndim) if scan.ndim == 2 or axis != scan.slice_axis]

    def at(level: float) -> tuple[Tensor, None]:
        operators = {
            axis: AxisOperator.of(thickening(scan.spatial_shape[axis], level))
            for axis in plane
            if scan.spatial_shape[axis] > 1
        }
        return averaged(scan, _only(scan, operators)), None

    return at


def _only(scan: Scan, operators: dict[int, AxisOperator]) -> list[AxisOperator | None]:
    """One operator an axis, None where there is none."""
    return [operators.get(axis) for axis in range(scan.ndim)]


def thickening(slices: int, factor: float, *, width: float | None = None) -> NDArray[np.float64]:
    """Operator along one axis: boxcar averages of `width` slices, interpolated linearly.

    Parameters
    ----------
    slices : int
        Number of native slices.
    factor : float
        Distance of the thick slices over that of the native ones, > 1.
    width : float, optional
        Slices that one average holds; `factor` where native slices touch.

    Returns
    -------
    (slices, slices)
        Rows sum to 1, so that constants stay. Columns sum to 1 where the thick slices tile the volume,
        else to .88 to 1.12 in places that alternate: the mean of a volume stays. Thick slices are centred on
        the volume; the first and last may reach beyond it and average what lies inside.
    """
    count = max(1, int(np.ceil(slices / factor - 1e-9)))
    start = slices / 2 - count * factor / 2
    edges = start + factor * np.arange(count + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    half = (width or factor) / 2
    low = np.maximum(centres[:, None] - half, np.arange(slices)[None])
    high = np.minimum(centres[:, None] + half, np.arange(slices)[None] + 1)
    average = np.clip(high - low, 0.0, None)
    average /= average.sum(axis=1, keepdims=True)
    place = np.clip((np.arange(slices) + 0.5 - centres[0]) / factor, 0.0, count - 1.0)
    below = np.minimum(place.astype(int), max(count - 2, 0))
    share = place - below
    # two thick slices make one native slice; a product of matrices would start threads for it
    above = np.minimum(below + 1, count - 1)
    return np.asarray((1.0 - share)[:, None] * average[below] + share[:, None] * average[above])
