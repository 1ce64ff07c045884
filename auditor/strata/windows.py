"""How much of a window a label fills: the share of foreground where a system looks.

**Conventions.** The mask is brought onto the grid that the windows slide over (the nearest voxel when the
spacing changes), padded with background as the scan is, and cut by the very rule that cuts the scan
(`auditor.systems.window.window_starts`). The share of a window is its voxels of the label over all its
voxels, padding included: what a training patch of that size would log. Windows without a voxel of the
label are not counted, as they say nothing of it.

The protocol of the foreground ratio of patches is Kamath et al., "How do 3D image segmentation networks
behave across the context versus foreground ratio trade-off?", Medical Imaging meets NeurIPS 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.metrics.reference import check_mask
from auditor.schema import Geometry, WindowSpec
from auditor.strata.size import boxed
from auditor.strata.window_rules import WindowRule
from auditor.systems.preparation import fed_mask
from auditor.systems.window import window_starts

__all__ = ["WindowShares", "native_window", "shares_of", "window_shares"]


@dataclass(frozen=True, slots=True)
class WindowShares:
    """Share of foreground in the windows that hold any."""

    mean: float
    """Over those windows, in (0, 1]."""
    low: float
    """The smallest."""
    high: float
    """The largest."""
    windows: int
    """How many there are in all."""
    holding: int
    """How many of them hold the label."""


def window_shares(
    mask: torch.Tensor, image: torch.Tensor, geometry: Geometry, rule: WindowRule
) -> WindowShares | None:
    """Measure the share of a label in the windows of a rule.

    Parameters
    ----------
    mask : (z, y, x) or (y, x), bool: the reference of one label on the clean scan
    image : (channel, *mask.shape): looked at only where the rule crops what is 0
    geometry : of the scan
    rule : window and grid

    Returns
    -------
    None when no window holds the label.

    Raises
    ------
    CheckpointError, DataError, ValueError
        When the rule does not fit this scan: axes, spacing, number of sizes.
    """
    check_mask("reference", mask, shape=geometry.shape)
    fed = fed_mask(mask, image, geometry, rule.grid)
    slicewise = rule.grid.dims == 2 and fed.ndim == 3
    return shares_of(fed, rule.window, slicewise=slicewise)


def shares_of(
    mask: NDArray[np.bool_], window: WindowSpec | None, *, slicewise: bool = False
) -> WindowShares | None:
    """Measure the share of foreground in sliding windows over one array.

    Parameters
    ----------
    mask : (*sizes), on the grid that the windows slide over
    window : None: the whole array (of a slice-wise system: each slice) is one window
    slicewise : the first axis is gone through slice by slice; the window has the other two

    Returns
    -------
    None when nothing is marked.

    Raises
    ------
    ValueError
        When the window has another number of sizes than the array, or one below 1.

    Examples
    --------
    >>> mask = np.zeros((1, 8), dtype=bool)
    >>> mask[0, 2:5] = True
    >>> shares_of(mask, WindowSpec((1, 4), overlap=0.0))
    WindowShares(mean=0.375, low=0.25, high=0.5, windows=2, holding=2)
    """
    leading = 1 if slicewise else 0
    size = mask.shape[leading:] if window is None else window.size
    if len(size) != mask.ndim - leading:
        msg = (
            f"the window must have {mask.ndim - leading} sizes as the image has, got {tuple(size)}"
        )
        raise ValueError(msg)
    size = (*(1,) * leading, *size)
    # an image smaller than its window is padded, wherever: its one window holds all of it
    padded = [max(n, w) for n, w in zip(mask.shape, size, strict=True)]
    slices = [list(range(n)) for n in mask.shape[:leading]]
    starts = slices + (
        [[0] for _ in size[leading:]]
        if window is None
        else window_starts(padded[leading:], size[leading:], window.overlap, window.placement)
    )
    inside, first = boxed(mask)
    if not inside.size:
        return None
    counts: NDArray[Any] = inside.view(np.uint8)
    for axis, (own, width) in enumerate(zip(starts, size, strict=True)):
        low = np.asarray(own) - first[axis]
        counts = _sums(counts, low, low + width, axis)
    held = counts[counts > 0] / float(np.prod(size, dtype=np.float64))
    return WindowShares(
        mean=float(held.mean()),
        low=float(held.min()),
        high=float(held.max()),
        windows=int(counts.size),
        holding=int(held.size),
    )


def native_window(rule: WindowRule, geometry: Geometry) -> tuple[float, ...] | None:
    """Translate the window of a rule into voxels of the scan's own grid.

    Parameters
    ----------
    rule : window and grid
    geometry : of the scan

    Returns
    -------
    One length per native axis, in native voxels (no whole numbers where the spacing differs; of a
    slice-wise window 1 across the slices); None for the whole image, and where the whole image is
    resampled to a fixed size.

    Raises
    ------
    CheckpointError
        When the axes of the rule do not fit this scan.
    """
    from auditor.systems.orientation import match_axes

    grid = rule.grid
    if rule.size is None or (grid.size is not None and grid.fit == "resize"):
        return None
    slicewise = grid.dims == 2 and len(geometry.shape) == 3
    orientation = match_axes(grid.axes, geometry, slicewise=slicewise, transpose=grid.transpose)
    size = (1, *rule.size) if slicewise else rule.size
    native = [0.0] * len(size)
    given = grid.spacing_mm or ()
    for fed, axis in enumerate(orientation.order):
        place = fed - (len(size) - len(given))
        old = geometry.spacing[axis]
        native[axis] = size[fed] * (given[place] / old if given and place >= 0 else 1.0)
    return tuple(native)


def _sums(
    values: NDArray[Any], low: NDArray[np.intp], high: NDArray[np.intp], axis: int
) -> NDArray[Any]:
    """Add up [low, high) along one axis, for every pair of ends; what lies outside counts nothing."""
    n = values.shape[axis]
    ends = zip(low.clip(0, n), high.clip(0, n), strict=True)
    if axis == 0:
        # plane by plane: running sums of a whole volume would take several times its memory
        return np.stack([values[a:b].sum(axis=0, dtype=np.int64) for a, b in ends])
    running = np.zeros((*values.shape[:axis], n + 1, *values.shape[axis + 1 :]), dtype=np.int64)
    np.cumsum(values, axis=axis, out=running[(slice(None),) * axis + (slice(1, None),)])
    found: NDArray[Any] = np.take(running, high.clip(0, n), axis) - np.take(
        running, low.clip(0, n), axis
    )
    return found
