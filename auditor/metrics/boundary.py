"""Boundary IoU: how well the borders of two masks lie on each other.

**Conventions.** Lengths are in the unit of the spacing, mm or px. Outside the image is outside every
mask, so that a border at the edge of the image is a border.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from auditor.metrics.boxes import BoolArray, Part, cut_out, shared

if TYPE_CHECKING:
    from auditor.metrics.pair import MaskPair
    from auditor.schema import MetricSpec

__all__ = ["boundary_iou", "inner_band"]

_ROUNDING = 1e-9
"""Relative slack: a width that a distance meets exactly counts as met."""

_MOST_SHIFTS = 300
"""Rows of shifts up to which moving the outside is faster than a distance transform."""


def inner_band(mask: BoolArray, spacing: tuple[float, ...], width: float) -> Part[np.bool_]:
    """Find the voxels of a mask near what lies outside it.

    Parameters
    ----------
    mask : (z, y, x) or (y, x)
    spacing : distance of voxel centres along each axis
    width : positive, in the unit of the spacing

    Returns
    -------
    The voxels whose centre lies at most `width` from the centre of a voxel outside the mask, and
    those that share a face with one: never empty where the mask is not.
    """
    whole = cut_out(mask)
    padded = np.pad(whole.values, 1)
    # nothing lies further than the diagonal of the box, and squares of huge widths are no numbers
    longest = math.hypot(*(n * step for n, step in zip(padded.shape, spacing, strict=True)))
    reach = min(width * (1.0 + _ROUNDING), longest)
    rows = _rows(spacing, reach, padded.shape)
    few = 0 < len(rows) <= _MOST_SHIFTS
    near = _moved(~padded, rows) if few else _measured(padded, spacing, reach)
    inner = tuple(slice(1, -1) for _ in spacing)
    return Part(whole.box, whole.values & near[inner])


def _rows(
    spacing: tuple[float, ...], reach: float, shape: tuple[int, ...]
) -> list[tuple[tuple[int, ...], int]]:
    """List the offsets within reach: of all axes but the last, with how far the last one goes.

    Empty when they are too many.
    """
    # beyond the box there is nothing to move
    spans = [min(int(reach / step), n) for step, n in zip(spacing, shape, strict=True)]
    spans, longest, last = spans[:-1], spans[-1], spacing[-1]
    if math.prod(2 * span + 1 for span in spans) > 2 * _MOST_SHIFTS:
        return []
    found = {}
    for offset in itertools.product(*(range(-span, span + 1) for span in spans)):
        rest = reach**2 - sum((n * step) ** 2 for n, step in zip(offset, spacing, strict=False))
        if rest >= 0.0:
            found[offset] = min(int(math.sqrt(rest) / last), longest)
    centre = (0,) * len(spans)
    found[centre] = max(1, found[centre])
    for axis, way in itertools.product(range(len(spans)), (-1, 1)):
        found.setdefault(tuple(way if it == axis else 0 for it in range(len(spans))), 0)
    return list(found.items())


def _moved(outside: BoolArray, rows: list[tuple[tuple[int, ...], int]]) -> BoolArray:
    """Spread what is outside by every offset; exact, for offsets are compared as numbers."""
    wanted = {far for _, far in rows}
    spread = outside.copy()
    by_reach = {0: spread} if 0 in wanted else {}
    for far in range(1, max(wanted) + 1):
        spread = spread.copy() if far - 1 in by_reach else spread
        spread[..., far:] |= outside[..., :-far]
        spread[..., :-far] |= outside[..., far:]
        if far in wanted:
            by_reach[far] = spread
    near = np.zeros_like(outside)
    for offset, far in rows:
        target = tuple(_ahead(n, size) for n, size in zip(offset, outside.shape, strict=False))
        source = tuple(_ahead(-n, size) for n, size in zip(offset, outside.shape, strict=False))
        near[target] |= by_reach[far][source]
    return near


def _ahead(offset: int, size: int) -> slice:
    return slice(min(offset, size), size) if offset >= 0 else slice(0, max(0, size + offset))


def _measured(padded: BoolArray, spacing: tuple[float, ...], reach: float) -> BoolArray:
    """Compare the exact distance to the outside with the reach."""
    distance: NDArray[np.float64] = ndimage.distance_transform_edt(padded, sampling=spacing)
    near: BoolArray = (distance <= reach) | ~ndimage.binary_erosion(padded)
    return near


def boundary_iou(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute the IoU of the inner bands of both masks.

    Raises
    ------
    ValueError
        When the spec declares no width.
    """
    if spec.width_mm is None:
        msg = f"metric {spec.name!r} needs width_mm, got None"
        raise ValueError(msg)
    reference = pair.reference.band(spec.width_mm)
    prediction = inner_band(pair.prediction, pair.reference.spacing, spec.width_mm)
    one, other = shared(prediction, reference)
    common = int(np.count_nonzero(one & other))
    total = int(np.count_nonzero(prediction.values)) + int(np.count_nonzero(reference.values))
    return common / (total - common)
