"""Estimate how far points are spread: in the plane of the finest axes, and across the slices.

An edge of width s that is smoothed once more by t loses gradient by R = sqrt(1 + t^2 / s^2), so that
s = t / sqrt(R^2 - 1) (after Zhuo & Sim 2011, doi 10.1016/j.patcog.2011.03.009).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perturbations.blur import smoothed, within_support
from perturbations.planes import finest, sampled
from perturbations.scan import Scan

__all__ = ["edge_sigma", "plane_sigma", "slice_sigma"]

_AGAIN = 2.0
"""Second smoothing, in voxels: wide enough that noise no longer decides what is steep."""

_STEEP = 0.02
"""Share of the voxels that count as edges."""

_FEW = 50
"""Fewer steep voxels give no estimate."""


def plane_sigma(scan: Scan) -> float | None:
    """Width of the steepest edges in the plane of the two finest axes, sigma in mm (px).

    None where there is no edge, or the plane is thinner than 8 voxels.
    """
    fine = finest(scan.spacing)
    if min(scan.spatial_shape[axis] for axis in fine) < 8:
        return None
    body = scan.modality_class == "body"
    steps = [scan.spacing[axis] if body else 1.0 for axis in fine]
    return edge_sigma(sampled(scan), fine, steps)


def slice_sigma(scan: Scan) -> float | None:
    """Width of the steepest edges across the slices, sigma in slices; None with fewer than 8 slices."""
    axis = scan.slice_axis
    if scan.ndim == 2 or scan.spatial_shape[axis] < 8:
        return None
    # lines across the slices that are spread over the plane; a smoothing across reaches no other line
    cut = [slice(None)] * 4
    for other in range(3):
        if other != axis:
            cut[other + 1] = slice(None, None, 1 + scan.spatial_shape[other] // 128)
    image = scan.image[:1].cpu()[tuple(cut)].contiguous()
    thin = Scan(image, scan.spacing, scan.unit, scan.modality, scan.state)
    return edge_sigma(thin, (axis,), [1.0])


def edge_sigma(scan: Scan, axes: tuple[int, ...], steps: list[float]) -> float | None:
    """Width of the steepest edges as seen along some axes.

    Parameters
    ----------
    scan : Scan
        Its first channel counts, inside the support where the background was cut out.
    axes : tuple of int
        Gradients are taken along these.
    steps : list of float
        Distance of voxels along each.

    Returns
    -------
    float or None
        Sigma in the unit of the steps. The loss of gradient is the ratio of sums over the edges, of
        gradients along the direction that they have after the second smoothing: there noise has no
        sign, so that it averages out.
    """
    length = _AGAIN * min(steps)
    widths = [0.0] * scan.ndim
    for axis, step in zip(axes, steps, strict=True):
        widths[axis] = length / step
    largest = float(scan.image.abs().max())
    if not 0 < largest < math.inf:
        return None
    # of no consequence for a ratio, and no difference of values overflows
    scan = replace(scan, image=scan.image[:1] / largest)
    again = within_support(scan, lambda image: smoothed(image, widths))[0].numpy()
    smooth = _gradients(again, axes, steps)
    inside = _inner(scan, axes)
    steep = np.sqrt(sum(np.square(part) for part in smooth))
    if not inside.any():
        return None
    edge = inside & (steep >= float(np.quantile(steep[inside], 1.0 - _STEEP))) & (steep > 0)
    if int(edge.sum()) < _FEW:
        return None
    directions = [part[edge] / steep[edge] for part in smooth]
    own = _gradients(scan.image[0].numpy(), axes, steps)
    before = sum(
        float(np.sum(part[edge] * way, dtype=np.float64))
        for part, way in zip(own, directions, strict=True)
    )
    ratio = before / float(np.sum(steep[edge], dtype=np.float64))
    return length / math.sqrt(ratio * ratio - 1.0) if ratio > 1.0 else None


def _gradients(
    image: NDArray[np.float32], axes: tuple[int, ...], steps: list[float]
) -> list[NDArray[np.float32]]:
    """Central differences along each axis; by their length oblique edges count as wide as they are."""
    return [np.gradient(image, step, axis=a) for a, step in zip(axes, steps, strict=True)]


def _inner(scan: Scan, axes: tuple[int, ...]) -> NDArray[np.bool_]:
    """Voxels far enough from where the background was cut out: that edge is not the scanner's."""
    from scipy import ndimage

    if not scan.cut_out:
        return np.ones(scan.spatial_shape, dtype=bool)
    line = [1] * scan.ndim
    inside = scan.support.numpy()
    for axis in axes:
        line[axis] = 2 * int(2 * _AGAIN) + 1
        inside = ndimage.binary_erosion(inside, np.ones(line, dtype=bool))
        line[axis] = 1
    return np.asarray(inside)
