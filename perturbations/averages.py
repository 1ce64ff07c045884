"""Averages over neighbouring voxels, which stop where the scan was cut out.

What lies outside the support of a skull-stripped or padded scan was taken away after the acquisition: it
neither blurs in nor changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.chunks import elementwise, empty, spread
from perturbations.operators import AxisOperator, along
from perturbations.scan import Scan

__all__ = ["averaged", "averaged_in_plane", "correlated", "within_support"]

_LINES = 2048
"""Lines along the first axis in one piece."""

_TILE = 1 << 16
"""Values of one piece of a plane."""

_LEAST = 1e-30
"""Far below any weight, so that nothing is divided by 0."""


def averaged(scan: Scan, operators: Sequence[AxisOperator | None]) -> Tensor:
    """Apply an operator along each spatial axis.

    Parameters
    ----------
    scan : Scan
        Where its background was cut out, those voxels keep their values and weigh nothing; the weights of
        the others are raised so that they sum to 1.
    operators : sequence of AxisOperator or None
        One a spatial axis, with weights >= 0 that sum to 1; None leaves the axis alone.

    Returns
    -------
    float32 of the shape of the image
        New, and all that is allocated beside pieces: a cut-out scan is done in slabs.
    """
    image = scan.image.contiguous()
    if scan.cut_out:
        return _averaged_inside(image, scan.support, operators)
    result: Tensor | None = None
    for axis, operator in enumerate(operators, start=1):
        if operator is not None:
            result = along(image if result is None else result, axis, operator, out=result)
    return image.clone() if result is None else result


def _averaged_inside(
    image: Tensor, support: Tensor, operators: Sequence[AxisOperator | None]
) -> Tensor:
    """Average values and support, slab by slab along the first spatial axis, and divide."""
    result = empty(image.shape)
    first_axis = operators[0] or AxisOperator.of(np.eye(image.shape[1]))

    def slab(block: tuple[int, int, int, int, Tensor], values: Tensor | None) -> Tensor:
        start, stop, first, last, weights = block
        part = empty((1, stop - start, *support.shape[1:]))
        inside = support.reshape(len(support), -1)[first:last]
        source = None if values is None else values.view(len(support), -1)[first:last]

        def columns(left: int, right: int) -> None:
            known = inside[:, left:right].to(torch.float32)
            if source is not None:
                known *= source[:, left:right]
            torch.mm(weights, known, out=part.view(stop - start, -1)[:, left:right])

        spread(columns, inside.shape[1], _LINES)
        for axis, operator in enumerate(operators[1:], start=2):
            if operator is not None:
                along(part, axis, operator, out=part)
        return part[0]

    for block in first_axis.blocks:
        rows = slice(*block[:2])
        share = slab(block, None)
        for channel in range(image.shape[0]):
            total = slab(block, image[channel])
            elementwise(
                _divide, result[channel, rows], total, share, image[channel, rows], support[rows]
            )
    return result


def averaged_in_plane(scan: Scan, kernel: NDArray[np.float64]) -> Tensor:
    """Average every plane across the slice axis with one kernel.

    Parameters
    ----------
    scan : Scan
        Cut-out backgrounds as in `averaged`.
    kernel : (2 r + 1, 2 q + 1)
        Weights >= 0 that sum to 1, centred, symmetric about the centre, along the two axes of a plane in
        the order of the array. Beyond the border the nearest voxel counts.

    Returns
    -------
    float32 of the shape of the image
    """
    image = scan.image.contiguous()
    result = empty(image.shape)
    # (channel, slice, row, column); a two-dimensional image is one slice
    axis = 1 if scan.ndim == 2 else scan.slice_axis + 1
    clean, made = (
        volume.unsqueeze(1) if scan.ndim == 2 else volume.movedim(axis, 1)
        for volume in (image, result)
    )
    inside = scan.support[None] if scan.ndim == 2 else scan.support.movedim(axis - 1, 0)
    slices, height, width = clean.shape[1:]
    rows = max(1, _TILE // width)
    tiles = -(-height // rows)

    def piece(start: int, stop: int) -> None:
        for number in range(start, stop):
            plane, tile = divmod(number, tiles)
            channel, place = divmod(plane, slices)
            top, bottom = tile * rows, min((tile + 1) * rows, height)
            around = _surrounded(clean[channel, place], kernel, top, bottom)
            if scan.cut_out:
                known = _surrounded(inside[place], kernel, top, bottom)
                share, sums = _correlated(known, kernel), _correlated(around * known, kernel)
                outcome = torch.empty_like(sums)
                own = clean[channel, place, top:bottom]
                _divide(outcome, sums, share, own, inside[place, top:bottom])
            else:
                outcome = _correlated(around, kernel)
            made[channel, place, top:bottom] = outcome

    spread(piece, clean.shape[0] * slices * tiles, 1)
    return result


def correlated(plane: Tensor, kernel: NDArray[np.float64]) -> Tensor:
    """Average one plane with a kernel.

    Parameters
    ----------
    plane : (row, column), float32
        Beyond the border the nearest voxel counts.
    kernel : (2 r + 1, 2 q + 1)
        As in `averaged_in_plane`.
    """
    return _correlated(_surrounded(plane, kernel, 0, plane.shape[0]), kernel)


def _surrounded(plane: Tensor, kernel: NDArray[np.float64], top: int, bottom: int) -> Tensor:
    """Copy rows of a plane with all that a kernel reaches around them."""
    reach, aside = (size // 2 for size in kernel.shape)
    height, width = plane.shape
    rows = torch.arange(top - reach, bottom + reach).clamp_(0, height - 1)
    columns = torch.arange(-aside, width + aside).clamp_(0, width - 1)
    return plane[rows][:, columns].to(torch.float32)


def _correlated(around: Tensor, kernel: NDArray[np.float64]) -> Tensor:
    """Weigh tap by tap; taps of weight 0 are passed over."""
    height, width = (size - taps + 1 for size, taps in zip(around.shape, kernel.shape, strict=True))
    total = torch.zeros(height, width)
    for down, right in zip(*np.nonzero(kernel), strict=True):
        moved = around[down : down + height, right : right + width]
        total.add_(moved, alpha=float(kernel[down, right]))
    return total


def within_support(scan: Scan, average: Callable[[Tensor], Tensor]) -> Tensor:
    """Average what was acquired, with weights that sum to 1 inside the support of a cut-out scan.

    Parameters
    ----------
    scan : Scan
        Where its background was cut out, those voxels keep their values and weigh nothing.
    average : function of a (channel, z, y, x) image
        Linear, with positive weights that sum to 1. It is given whole volumes; `averaged` needs less
        memory where operators along the axes do.
    """
    if not scan.cut_out:
        return average(scan.image)
    support = scan.support
    weight = average(support[None].to(torch.float32))
    total = average(scan.image * support)
    return torch.where(support & (weight > 0), total / weight.clamp(min=_LEAST), scan.image)


def _divide(out: Tensor, total: Tensor, share: Tensor, clean: Tensor, inside: Tensor) -> None:
    """Put total / share where there is any inside, the clean values elsewhere."""
    torch.where(inside & (share > 0), total / share.clamp(min=_LEAST), clean, out=out)
