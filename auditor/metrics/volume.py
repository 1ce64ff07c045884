"""Volumes of masks and their difference.

**Conventions.** ml for 3-D images in mm, mm² for 2-D images in mm; images without a spacing count
voxels (3-D) or pixels (2-D). See `auditor.metrics.catalog.volume_unit`.
"""

from __future__ import annotations

import math
from typing import Literal

import torch

from auditor.metrics.pair import MaskPair
from auditor.metrics.reference import check_mask, check_spacing, voxel_volume
from auditor.schema import MetricSpec


def mask_volume(
    mask: torch.Tensor, *, spacing: tuple[float, ...], unit: Literal["mm", "px"]
) -> float:
    """Measure the volume of a mask.

    Parameters
    ----------
    mask : (z, y, x) or (y, x), bool
    spacing : distance of voxel centres along each axis of `mask`, in `unit`
    unit : ``mm``, or ``px`` for images without a spacing

    Returns
    -------
    ml (3-D) or mm² (2-D) in mm; a number of voxels or pixels in px. 0 for an empty mask.

    Raises
    ------
    TypeError, ValueError
        When the mask is not a bool tensor of two or three axes, or the spacing does not fit it.
    """
    check_mask("mask", mask)
    check_spacing(spacing, mask.ndim)
    return int(torch.count_nonzero(mask)) * voxel_volume(spacing, unit)


def volume_difference(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute | V(P) - V(R) |, in the unit of volumes."""
    del spec
    return math.fabs(pair.n_prediction - pair.n_reference) * pair.reference.voxel_volume


def relative_volume_difference(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute 100 | V(P) - V(R) | / V(R), in %; the reference must not be empty."""
    del spec
    return 100.0 * math.fabs(pair.n_prediction - pair.n_reference) / pair.n_reference


def volume_similarity(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute 1 - | V(P) - V(R) | / (V(P) + V(R))."""
    del spec
    total = pair.n_prediction + pair.n_reference
    return 1.0 - math.fabs(pair.n_prediction - pair.n_reference) / total
