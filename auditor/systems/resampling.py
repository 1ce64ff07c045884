"""From one grid of voxels to another, and back.

**Conventions.** Along each axis, voxel j of the new grid lies at ``first + j * ratio`` of the old one
(voxel centres; ratio is the length of a new voxel in old ones). Positions outside are moved to the
edge. Where the new voxels lie is a choice that moves masks by part of a voxel, and makers differ in it:

* centre: both grids share their physical centre; exactly the declared spacing; round(n old / new) voxels;
* corner: both share the centre of the first voxel; exactly the declared spacing; round((n - 1) old /
  new) + 1 voxels. So MONAI's ``Spacing`` places them;
* extent: both fill the same box, so the spacing is rounded to whole voxels; round(n old / new) voxels.
  So nnU-Net and ``skimage.transform.resize`` place them.

Cubic is the interpolating B-spline of order 3 of ``scipy.ndimage``, with the edge repeated.
``cubic_in_plane`` is what nnU-Net does to scans (``resample_data_or_seg`` with order 3, order_z 0 and
force_separate_z None): values are clipped to the range of the channel; along an axis whose spacing, before
or after, is more than 3 times another's (and the only longest one) the nearest slice is taken, and each
slice keeps its own range. The way back is linear in every case (order 1 there), to the nearest slice
along such an axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Resampling", "resample", "to_sizes", "to_spacing"]

Interpolation = Literal["linear", "cubic", "cubic_in_plane"]
Grid = Literal["centre", "corner", "extent"]

THICK = 3.0
"""From this ratio of spacings on (exclusive) nnU-Net treats an axis by itself."""

TIE = 1e-9
"""Voxels by which a position half way between two may be off: spacings are no binary fractions."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """A change of grid."""

    before: tuple[int, ...]
    """Sizes of the old grid."""
    after: tuple[int, ...]
    """Sizes of the new grid."""
    ratio: tuple[float, ...]
    """Length of a new voxel in old voxels, along each axis."""
    first: tuple[float, ...]
    """Where the first new voxel lies in the old grid, along each axis."""
    interpolation: Interpolation = "linear"
    """Between voxels."""
    slices: int | None = None
    """Axis along which the nearest slice is taken."""
    slices_back: int | None = None
    """The same on the way back."""

    @property
    def back(self) -> Resampling:
        """The way back, linear."""
        return Resampling(
            before=self.after,
            after=self.before,
            ratio=tuple(1 / r for r in self.ratio),
            first=tuple(-f / r for f, r in zip(self.first, self.ratio, strict=True)),
            slices=self.slices_back,
            slices_back=self.slices,
        )


def to_sizes(before: Sequence[int], after: Sequence[int]) -> Resampling:
    """Fill the same box with another number of voxels, linearly.

    Parameters
    ----------
    before, after : sizes along each axis.
    """
    ratio = tuple(b / a for b, a in zip(before, after, strict=True))
    return Resampling(tuple(before), tuple(after), ratio, _same_extent(ratio))


def to_spacing(
    sizes: tuple[int, ...],
    old: Sequence[float],
    new: Sequence[float],
    *,
    grid: Grid = "centre",
    interpolation: Interpolation = "linear",
) -> Resampling | None:
    """Find the grid of a declared spacing.

    Parameters
    ----------
    sizes : of the old grid.
    old, new : spacing in mm along each axis.
    grid, interpolation : of the contract, see the module.

    Returns
    -------
    The change of grid; None when it changes nothing.
    """
    ratio = tuple(n / o for n, o in zip(new, old, strict=True))
    if grid == "corner":
        after = tuple(round((n - 1) / r) + 1 for n, r in zip(sizes, ratio, strict=True))
    else:
        after = tuple(max(1, round(n / r)) for n, r in zip(sizes, ratio, strict=True))
    # headers carry 0.70000001: less than a hundredth of a voxel over a whole axis is no change
    if after == sizes and all(abs(r - 1) * n < 0.01 for r, n in zip(ratio, sizes, strict=True)):
        return None
    if grid == "extent":
        if after == sizes:
            return None
        ratio = tuple(b / a for b, a in zip(sizes, after, strict=True))
    first = {
        "centre": tuple(
            (n - 1) / 2 - (m - 1) / 2 * r for n, m, r in zip(sizes, after, ratio, strict=True)
        ),
        "corner": (0.0,) * len(sizes),
        "extent": _same_extent(ratio),
    }[grid]
    apart = interpolation == "cubic_in_plane"
    return Resampling(
        before=sizes,
        after=after,
        ratio=ratio,
        first=first,
        interpolation=interpolation,
        slices=_thick_axis(old, new) if apart else None,
        slices_back=_thick_axis(new, old) if apart else None,
    )


def _same_extent(ratio: Sequence[float]) -> tuple[float, ...]:
    return tuple(r / 2 - 0.5 for r in ratio)


def _thick_axis(spacing: Sequence[float], other: Sequence[float]) -> int | None:
    """Find the one axis of 3 whose voxels are by far the longest, in the first grid or else the second."""
    for lengths in (spacing, other):
        if max(lengths) / min(lengths) > THICK:
            longest = [i for i, length in enumerate(lengths) if max(lengths) / length == 1]
            return longest[0] if len(lengths) == 3 and len(longest) == 1 else None
    return None


def resample(values: Tensor, step: Resampling, *, nearest: bool = False) -> Tensor:
    """Bring values onto another grid.

    Parameters
    ----------
    values : (channel, *step.before).
    step : the two grids.
    nearest : take the nearest voxel (label numbers) whatever the step says.

    Returns
    -------
    (channel, *step.after), of the same type.
    """
    cubic = step.interpolation != "linear" and not nearest
    if cubic:
        values = torch.stack([_cubic(channel, step) for channel in values])
    for axis, (n, m, ratio) in enumerate(zip(step.before, step.after, step.ratio, strict=True)):
        slices = axis == step.slices
        if (n == m and ratio == 1) or (cubic and not slices):
            continue
        j = torch.arange(m, dtype=torch.float64)
        position = (step.first[axis] + j * ratio).clamp(0, n - 1)
        if slices and not nearest:
            # in the very operations of nnU-Net: half way between two slices the last bit decides
            position = ((j + 0.5) * (n / m) - 0.5).clamp(0, n - 1)
            values = values.index_select(axis + 1, torch.floor(position + 0.5).long())
        elif nearest:
            # half way between two voxels goes to the first
            values = values.index_select(
                axis + 1, torch.ceil(position - 0.5 - TIE).long().clamp(min=0)
            )
        else:
            values = _linear(values, axis + 1, position)
    return values


def _linear(values: Tensor, axis: int, position: Tensor) -> Tensor:
    n = values.shape[axis]
    low = position.floor().long().clamp(max=max(0, n - 2))
    share = (position - low).to(values.dtype)
    share = share.reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    first = values.index_select(axis, low)
    second = values.index_select(axis, (low + 1).clamp(max=n - 1))
    return torch.lerp(first, second, share)


def _cubic(channel: Tensor, step: Resampling) -> Tensor:
    """Interpolate along all axes but that of `step.slices`, which is left as it is."""
    array = channel.numpy().astype(np.float64)
    if step.slices is None:
        return torch.from_numpy(_spline(array, step, range(array.ndim))).to(channel.dtype)
    inside = [axis for axis in range(array.ndim) if axis != step.slices]
    pieces = [_spline(piece, step, inside) for piece in np.moveaxis(array, step.slices, 0)]
    return torch.from_numpy(np.stack(pieces, axis=step.slices)).to(channel.dtype)


def _spline(
    array: NDArray[np.float64], step: Resampling, axes: Sequence[int]
) -> NDArray[np.float64]:
    from scipy.ndimage import affine_transform

    found: NDArray[np.float64] = affine_transform(
        array,
        [step.ratio[axis] for axis in axes],
        offset=[step.first[axis] for axis in axes],
        output_shape=tuple(step.after[axis] for axis in axes),
        order=3,
        mode="nearest",
    )
    return found.clip(array.min(), array.max()) if step.interpolation == "cubic_in_plane" else found
