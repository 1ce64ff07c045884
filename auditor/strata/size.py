"""How large a label is, and of how many parts it consists.

**Conventions.** Masks are bool tensors (z, y, x) or (y, x) on the grid of the clean scan. Neither
measure depends on the field of view. An empty reference has volume 0 and no part: both are values.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from auditor.metrics.reference import check_mask
from auditor.metrics.volume import mask_volume

__all__ = ["boxed", "components", "object_volume"]


def object_volume(
    mask: torch.Tensor, spacing: tuple[float, ...], unit: Literal["mm", "px"] = "mm"
) -> float:
    """Measure the volume of a label, all its parts together.

    Parameters
    ----------
    mask : (z, y, x) or (y, x), bool: the reference of one label on the clean scan
    spacing : distance of voxel centres along each axis of `mask`, in `unit`
    unit : ``mm``, or ``px`` for images without a spacing

    Returns
    -------
    ml (3-D) or mm² (2-D) in mm; a number of voxels or pixels in px. 0 for an empty reference.

    Raises
    ------
    TypeError, ValueError
        When the mask is not a bool tensor of two or three axes, or the spacing does not fit it.

    Examples
    --------
    >>> object_volume(torch.ones(2, 5, 10, dtype=torch.bool), (5.0, 2.0, 1.0))
    1.0
    """
    return mask_volume(mask, spacing=spacing, unit=unit)


def components(mask: torch.Tensor) -> int:
    """Count the connected parts of a label.

    Voxels that share a face, an edge or a corner are connected (26 neighbours in 3-D, 8 in 2-D), so that
    a thin vessel that runs obliquely through the grid is one part.

    Parameters
    ----------
    mask : (z, y, x) or (y, x), bool: the reference of one label on the clean scan

    Returns
    -------
    0 for an empty reference.

    Raises
    ------
    TypeError, ValueError
        When the mask is not a bool tensor of two or three axes.

    Examples
    --------
    >>> components(torch.tensor([[True, False], [False, True]]))
    1
    """
    check_mask("reference", mask)
    inside, _ = boxed(mask.cpu().numpy())
    if not inside.size:
        return 0
    _, count = ndimage.label(inside, structure=np.ones((3,) * mask.ndim, dtype=bool))
    return int(count)


def boxed(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], tuple[int, ...]]:
    """Cut a mask to the box around what it marks.

    Parameters
    ----------
    mask : (z, y, x) or (y, x)

    Returns
    -------
    inside : the part of the mask in the box; of size 0 for an empty mask
    first : the first voxel of the box along each axis
    """
    slices, first = [], []
    for axis in range(mask.ndim):
        others = tuple(i for i in range(mask.ndim) if i != axis)
        found = np.flatnonzero(mask.any(axis=others))
        low, high = (int(found[0]), int(found[-1]) + 1) if found.size else (0, 0)
        slices.append(slice(low, high))
        first.append(low)
    return mask[tuple(slices)], tuple(first)
