"""Resolution: coarser sampling than the scan has.

**Conventions.** A level multiplies the native slice thickness. The grid stays as it is: thick slices
are interpolated back onto it, so that the reference fits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.scan import Scan

__all__ = ["thick_slices", "thickening"]


def thick_slices(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
) -> Callable[[float], tuple[Tensor, None]]:
    """Average over thick contiguous slices, then interpolate back.

    Along the axis of the largest spacing. A 2-D image has no slices: every level is without effect.
    """
    axis = scan.slice_axis + 1
    slices = scan.image.shape[axis]

    def at(level: float) -> tuple[Tensor, None]:
        if scan.ndim == 2 or slices == 1:
            return scan.image.clone(), None
        operator = torch.from_numpy(thickening(slices, level).astype(np.float32))
        moved = scan.image.movedim(axis, 0)
        # one thread: the order of a sum must not depend on the number of threads
        flat = moved.reshape(slices, -1).numpy()
        thick = torch.from_numpy(np.einsum("ij,jk->ik", operator.numpy(), flat, optimize=False))
        return thick.reshape(moved.shape).movedim(0, axis).contiguous(), None

    return at


def thickening(slices: int, factor: float) -> NDArray[np.float64]:
    """Operator along one axis: boxcar averages of `factor` slices, interpolated linearly.

    Parameters
    ----------
    slices : int
        Number of native slices.
    factor : float
        Thickness over native thickness, > 1.

    Returns
    -------
    (slices, slices)
        Rows sum to 1. Thick slices are contiguous and centred on the volume; the first and last may
        reach beyond it and average what lies inside.
    """
    count = max(1, int(np.ceil(slices / factor - 1e-9)))
    start = slices / 2 - count * factor / 2
    edges = start + factor * np.arange(count + 1)
    low = np.maximum(edges[:-1, None], np.arange(slices)[None])
    high = np.minimum(edges[1:, None], np.arange(slices)[None] + 1)
    average = np.clip(high - low, 0.0, None)
    average /= average.sum(axis=1, keepdims=True)
    centres = (edges[:-1] + edges[1:]) / 2
    place = np.clip((np.arange(slices) + 0.5 - centres[0]) / factor, 0.0, count - 1.0)
    below = np.minimum(place.astype(int), max(count - 2, 0))
    share = place - below
    back = np.zeros((slices, count))
    rows = np.arange(slices)
    back[rows, below] += 1.0 - share
    if count > 1:
        back[rows, below + 1] += share
    return np.asarray(back @ average)
