"""Two families of masks nested around a prediction: by distance to its border, and by probability.

**Conventions.** Both families are told by a *margin*, which is never negative: the outer mask grows
with it, the inner one shrinks, and at margin 0 both are the prediction. So inner mask, prediction and
outer mask lie in each other at every margin.

- *Distance*: the margin is a length, mm (px for images without a spacing). The outer mask is the dilation of
  the prediction with a closed ball of that radius, ``distance <= r``; the inner mask is the erosion with it,
  ``distance < -r``. The signed distance of a voxel outside is the one from its centre to the centre of the
  nearest voxel of the mask, of a voxel inside minus the one to the nearest voxel of the background.
  Outside the image is background, as in `auditor.metrics.outlines`: a mask that touches the border of the
  image ends there, and padding changes nothing.
- *Probability*: the margin is a probability t. The outer mask adds to the prediction all voxels with
  ``1 - p <= t``, the inner mask keeps those of the prediction with ``p > t``. A prediction of one label that
  was decided at 0.5 therefore changes from t = 0.5 on; others need not be decided by a threshold.

Distances are in single precision. Lengths that are equal but for the order of their additions differ
in the last bits, so that a radius is met to a relative 1e-6: outer masks are by that much larger, inner
ones smaller.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from auditor.metrics.boxes import Box, bounding_box
from auditor.metrics.outlines import BoolArray

__all__ = [
    "grown_box",
    "inner_by_distance",
    "inner_by_probability",
    "outer_by_distance",
    "outer_by_probability",
    "signed_distance",
    "union_box",
]

_ROUNDING = 1e-6
"""Relative slack of a radius; single precision has 6e-8."""

_LAYERS = 1 << 20
"""Voxels whose distances are computed together."""


def signed_distance(mask: Tensor, spacing: tuple[float, ...]) -> Tensor:
    """Measure for each voxel how far it lies outside a mask; negative inside.

    Parameters
    ----------
    mask : (z, y, x) or (y, x), bool
    spacing : along each axis, mm or px, positive

    Returns
    -------
    The shape of the mask, float32; +inf everywhere for an empty mask, never 0

    Raises
    ------
    ValueError
        When the mask is not a bool tensor of two or three axes, or the spacing does not belong to it.

    Notes
    -----
    Exact Euclidean distances (Maurer et al., IEEE TPAMI 25, 2003, as in SciPy). In passing it takes about
    20 bytes a voxel. A part of the image that holds the whole mask gives the same numbers there, so that a
    caller cuts to what it needs: see `union_box` and `grown_box`.

    Examples
    --------
    >>> signed_distance(torch.tensor([[0, 1, 1, 1, 0, 0]]).bool(), (2.0, 0.5))
    tensor([[ 0.5000, -0.5000, -1.0000, -0.5000,  0.5000,  1.0000]])
    """
    voxels = _checked(mask, spacing)
    if not voxels.any():
        return torch.full(mask.shape, math.inf)
    found = _distance_to(voxels, spacing)
    box = bounding_box(voxels)
    inside = voxels[box]
    # the frame is what lies outside the image, or the background next to the box: a voxel of
    # the background that is nearest to one of the mask is never farther away than that
    away = _distance_to(np.pad(~inside, 1, constant_values=True), spacing)
    depth = away[(slice(1, -1),) * inside.ndim]
    np.negative(depth, out=found[box], where=inside)
    return torch.from_numpy(found)


def outer_by_distance(distance: Tensor, radius: float) -> Tensor:
    """Dilate a mask with a closed ball.

    Parameters
    ----------
    distance : of `signed_distance`
    radius : in its unit, >= 0; infinite: the whole image

    Raises
    ------
    ValueError
        When the radius is negative or not a number.
    """
    return distance <= _margin(radius) * (1 + _ROUNDING)


def inner_by_distance(distance: Tensor, radius: float) -> Tensor:
    """Erode a mask with a closed ball.

    Parameters
    ----------
    distance : of `signed_distance`
    radius : in its unit, >= 0; infinite: no voxel is left

    Raises
    ------
    ValueError
        When the radius is negative or not a number.
    """
    return distance < -_margin(radius) * (1 + _ROUNDING)


def outer_by_probability(probability: Tensor, mask: Tensor, margin: float) -> Tensor:
    """Add to a mask the voxels with 1 - p <= margin.

    Parameters
    ----------
    probability : the shape of the mask, of the label; what lies outside [0, 1] is clipped
    mask : bool, the prediction
    margin : >= 0; from 1 on the whole image

    Raises
    ------
    ValueError
        When shapes differ, a probability is not a number, or the margin is negative.
    """
    return (missing_probability(probability, mask) <= _margin(margin)) | mask


def inner_by_probability(probability: Tensor, mask: Tensor, margin: float) -> Tensor:
    """Keep of a mask the voxels with p > margin.

    Parameters
    ----------
    probability : the shape of the mask, of the label; what lies outside [0, 1] is clipped
    mask : bool, the prediction
    margin : >= 0; from 1 on no voxel is left, at 0 the mask but for voxels with p = 0

    Raises
    ------
    ValueError
        When shapes differ, a probability is not a number, or the margin is negative.
    """
    return (checked_probability(probability, mask) > _margin(margin)) & mask


def checked_probability(probability: Tensor, mask: Tensor) -> Tensor:
    """Clip a probability to [0, 1], in at least single precision.

    Raises
    ------
    ValueError
        When its shape is not the mask's, or it holds what is not a number.
    """
    if probability.shape != mask.shape or mask.dtype != torch.bool:
        msg = (
            f"the probability must have the shape of a bool mask, got {tuple(probability.shape)} for a mask "
            f"of {tuple(mask.shape)}, {mask.dtype}"
        )
        raise ValueError(msg)
    exact = probability if probability.dtype == torch.float64 else probability.float()
    if bool(exact.isnan().any()):
        msg = "a probability must be a number in [0, 1], got NaN"
        raise ValueError(msg)
    return exact.clamp(0.0, 1.0)


def missing_probability(probability: Tensor, mask: Tensor) -> Tensor:
    """Compute 1 - p, the margin from which on a voxel belongs to the outer mask."""
    # always by this one expression: p >= 1 - t and 1 - p <= t may differ in the last bit
    return 1 - checked_probability(probability, mask)


def union_box(*masks: Tensor) -> Box:
    """Find the smallest box that holds all masks of one image; of empty ones the first voxel's."""
    held = [bounding_box(mask.numpy()) for mask in masks if bool(mask.any())]
    if not held:
        return (slice(0, 1),) * masks[0].ndim
    return tuple(
        slice(min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*held, strict=True)
    )


def grown_box(box: Box, shape: tuple[int, ...], spacing: tuple[float, ...], by: float) -> Box:
    """Grow a box by a length on all sides, as far as the image reaches.

    Parameters
    ----------
    box : one slice per axis
    shape : of the image
    spacing : along each axis
    by : in the unit of the spacing, >= 0, may be infinite
    """
    steps = [n if math.isinf(by) else int(by / s) + 1 for n, s in zip(shape, spacing, strict=True)]
    return tuple(
        slice(max(0, side.start - more), min(n, side.stop + more))
        for side, n, more in zip(box, shape, steps, strict=True)
    )


def _margin(value: float) -> float:
    if not value >= 0:
        msg = f"a margin must be a number of at least 0, got {value!r}"
        raise ValueError(msg)
    return value


def _checked(mask: Tensor, spacing: tuple[float, ...]) -> BoolArray:
    if mask.dtype != torch.bool or mask.ndim not in (2, 3) or mask.numel() == 0:
        msg = f"a mask must be bool and (z, y, x) or (y, x), got {mask.dtype}, {tuple(mask.shape)}"
        raise ValueError(msg)
    if len(spacing) != mask.ndim or not all(0 < step < math.inf for step in spacing):
        msg = f"the spacing must be {mask.ndim} positive numbers, got {spacing!r}"
        raise ValueError(msg)
    voxels: BoolArray = np.ascontiguousarray(mask.numpy())
    return voxels


def _distance_to(mask: BoolArray, spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """Measure the distance from each voxel to the nearest of a mask that is not empty; 0 in it."""
    found = ndimage.distance_transform_edt(
        ~mask, sampling=spacing, return_distances=False, return_indices=True
    )
    distance = np.empty(mask.shape, dtype=np.float32)
    # SciPy's own distances would take four more arrays of the image in double precision
    layers = max(1, _LAYERS * mask.shape[0] // mask.size)
    for start in range(0, mask.shape[0], layers):
        part = slice(start, start + layers)
        square = np.zeros(mask[part].shape)
        for axis, step in enumerate(spacing):
            places = np.arange(mask.shape[axis])[part if axis == 0 else slice(None)]
            along = places.reshape([-1 if k == axis else 1 for k in range(mask.ndim)])
            square += ((found[axis][part] - along) * step) ** 2
        np.sqrt(square, out=square)
        distance[part] = square
    return distance
