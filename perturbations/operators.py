"""Linear operators along one axis, as products of small matrices.

A blur, thicker slices or a cut in k-space mix the voxels of a line and leave other lines alone. Such an
operator is a matrix of the length of the axis; most are banded. Products of blocks of it with blocks of
the volume run at the speed of the processor's matrix unit, several times faster than a loop over taps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.chunks import empty, scratch, spread

__all__ = ["AxisOperator", "along"]

_ROWS = 128
"""Rows that are cut into blocks together."""

_PACE = {8: 55.0, 16: 66.0, 32: 84.0, 64: 95.0, 128: 106.0}
"""Products per time of blocks of so many rows, as measured on one core: high blocks use the matrix unit
better, low blocks leave more of the zeros beside a band out."""

_LINES = 4096
"""Lines of the volume in one piece."""

_WIDE = 8192
"""Lines in one piece that is read where it lies: wide products pay for low blocks."""

Block = tuple[int, int, int, int, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class AxisOperator:
    """A matrix (n, n) cut into blocks of rows, each without the columns that are 0."""

    size: int
    """n."""
    blocks: tuple[Block, ...]
    """First and last row (exclusive), first and last column (exclusive), weights in float32."""

    @staticmethod
    def of(matrix: NDArray[np.float64]) -> AxisOperator:
        """Cut a matrix into blocks.

        Parameters
        ----------
        matrix : (n, n)
            Row i holds the weights of the voxels that make voxel i.
        """
        return AxisOperator.from_rows(matrix.shape[0], lambda start, stop: matrix[start:stop])

    @staticmethod
    def from_rows(size: int, rows: Callable[[int, int], NDArray[np.float64]]) -> AxisOperator:
        """Make the blocks of a matrix that is never held as a whole.

        Parameters
        ----------
        size : int
            n.
        rows : function of two int
            `rows(start, stop)` is the (stop - start, n) part of the matrix.
        """
        blocks: list[Block] = []
        for start in range(0, size, _ROWS):
            part = rows(start, min(start + _ROWS, size))
            ways = {height: _cut(part, start, height) for height in _PACE}
            blocks += ways[min(ways, key=lambda height: _time(ways[height], height))]
        return AxisOperator(size, tuple(blocks))


def _cut(part: NDArray[np.float64], offset: int, height: int) -> list[Block]:
    """Cut rows, the first of which is row `offset` of the matrix, into blocks of a height."""
    blocks: list[Block] = []
    for start in range(0, part.shape[0], height):
        rows = part[start : start + height]
        used = np.flatnonzero((rows != 0).any(axis=0))
        first, last = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
        weights = torch.from_numpy(np.ascontiguousarray(rows[:, first:last], dtype=np.float32))
        blocks.append((offset + start, offset + start + len(rows), first, last, weights))
    return blocks


def _time(blocks: list[Block], height: int) -> float:
    return sum(weights.numel() for *_, weights in blocks) / _PACE[height]


def along(
    values: Tensor, axis: int, operator: AxisOperator, *, out: Tensor | None = None
) -> Tensor:
    """Apply an operator along one axis of a contiguous tensor.

    Parameters
    ----------
    values : float32, contiguous
    axis : int
        Of the tensor, the channel axis included.
    operator : AxisOperator
        Of the length of that axis.
    out : like values, optional
        Where the outcome goes; it may be `values` itself, for pieces are copied before they change.

    Returns
    -------
    Of the same shape; `out` when it was given.
    """
    result = empty(values.shape) if out is None else out
    before, after = math.prod(values.shape[:axis]), math.prod(values.shape[axis + 1 :])
    shape = (before, values.shape[axis], after)
    if after == 1:
        _last_axis(values.view(shape[:2]), result.view(shape[:2]), operator)
    elif out is None and after >= _WIDE:
        _first_axis(values.view(shape), result.view(shape), operator)
    else:
        _other_axis(values.view(shape), result.view(shape), operator, fresh=out is None)
    return result


def _last_axis(source: Tensor, target: Tensor, operator: AxisOperator) -> None:
    """Multiply (lines, n) from the right."""

    def rows(start: int, stop: int) -> None:
        # a packed copy is what products read fastest, and lets the lines be overwritten
        lines = scratch(source[start:stop].shape).copy_(source[start:stop])
        for first_row, last_row, first, last, weights in operator.blocks:
            part = target[start:stop, first_row:last_row]
            torch.mm(lines[:, first:last], weights.T, out=part)

    spread(rows, source.shape[0], _LINES)


def _first_axis(source: Tensor, target: Tensor, operator: AxisOperator) -> None:
    """Multiply (channels, n, many lines) from the left, into another tensor."""
    channels, _, width = source.shape
    pieces = -(-width // _WIDE)

    def columns(start: int, stop: int) -> None:
        for piece in range(start, stop):
            channel, inner = divmod(piece, pieces)
            cut = slice(inner * _WIDE, (inner + 1) * _WIDE)
            for first_row, last_row, first, last, weights in operator.blocks:
                part = target[channel, first_row:last_row, cut]
                torch.mm(weights, source[channel, first:last, cut], out=part)

    spread(columns, channels * pieces, 1)


def _other_axis(source: Tensor, target: Tensor, operator: AxisOperator, *, fresh: bool) -> None:
    """Multiply (slices, n, lines) from the left."""
    slices, _, width = source.shape
    group = max(1, _LINES // width)  # of short lines, those of several slices make one piece
    pieces = -(-width // _LINES)

    def columns(start: int, stop: int) -> None:
        for piece in range(start, stop):
            outer, inner = divmod(piece, pieces)
            own = slice(outer * group, (outer + 1) * group)
            cut = slice(inner * _LINES, (inner + 1) * _LINES)
            lines = scratch(source[own, :, cut].shape).copy_(source[own, :, cut])
            for first_row, last_row, first, last, weights in operator.blocks:
                part = target[own, first_row:last_row, cut]
                if len(lines) > 1:
                    stacked = weights.expand(len(lines), *weights.shape)
                    made = torch.bmm(stacked, lines[:, first:last], out=scratch(part.shape, 1))
                    part.copy_(made)
                elif fresh:  # memory that was zeroed a moment ago lies in the cache
                    torch.mm(weights, lines[0, first:last], out=part[0])
                else:
                    part[0] = torch.mm(weights, lines[0, first:last], out=scratch(part[0].shape, 1))

    spread(columns, -(-slices // group) * pieces, 1)
