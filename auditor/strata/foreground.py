"""How much of the image a label fills.

**Conventions.** Masks are bool tensors (z, y, x) or (y, x) on the grid of the clean scan. The ratio
has no unit, and depends on the field of view as well as on the object: it is a property of the
scan.
"""

from __future__ import annotations

import torch

from auditor.metrics.reference import check_mask


def foreground_ratio(mask: torch.Tensor) -> float:
    """Compute the voxels of a label over the voxels of the image.

    Parameters
    ----------
    mask : (z, y, x) or (y, x), bool: the reference of one label on the clean scan

    Returns
    -------
    In [0, 1]; 0 for an empty reference.

    Raises
    ------
    TypeError, ValueError
        When the mask is not a bool tensor of two or three axes.

    Examples
    --------
    >>> foreground_ratio(torch.tensor([[True, False], [False, False]]))
    0.25
    """
    check_mask("reference", mask)
    return int(torch.count_nonzero(mask)) / mask.numel()
