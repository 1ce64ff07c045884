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

from perturbations.chunks import empty, spread

__all__ = ["AxisOperator", "along"]

_ROWS = 128
"""Rows that are cut into blocks together."""

_PACE = {32: 75.0, 64: 95.0, 128: 106.0}
"""Products per time of blocks of so many rows, as measured on one core: high blocks use the matrix unit
better, low blocks leave more of the zeros beside a band out."""

_LINES = 2048
"""Lines of the volume in one piece."""

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
    size = values.shape[axis]
    before, after = math.prod(values.shape[:axis]), math.prod(values.shape[axis + 1 :])
    if after == 1:
        source, target = values.view(before, size), result.view(before, size)

        def rows(start: int, stop: int) -> None:
            # a packed copy is what the products read fastest, and frees the lines to be overwritten
            lines = source[start:stop].clone()
            for first_row, last_row, first, last, weights in operator.blocks:
                _product(lines[:, first:last], weights.T, target[start:stop, first_row:last_row])

        spread(rows, before, _LINES)
        return result
    source, target = values.view(before, size, after), result.view(before, size, after)
    group = max(1, _LINES // after)  # short rows: those of several slices make one piece
    pieces = -(-after // _LINES)

    def columns(start: int, stop: int) -> None:
        for piece in range(start, stop):
            outer, inner = divmod(piece, pieces)
            own = slice(outer * group, min((outer + 1) * group, before))
            cut = slice(inner * _LINES, min((inner + 1) * _LINES, after))
            lines = source[own, :, cut].clone()
            for first_row, last_row, first, last, weights in operator.blocks:
                repeated = weights.expand(len(lines), *weights.shape)
                _product(repeated, lines[:, first:last], target[own, first_row:last_row, cut])

    spread(columns, -(-before // group) * pieces, 1)
    return result


def _product(left: Tensor, right: Tensor, out: Tensor) -> None:
    """Multiply matrices, or stacks of matrices, into a part of a volume."""
    if left.dim() == 2:
        torch.mm(left, right, out=out)
    elif len(left) == 1:
        torch.mm(left[0], right[0], out=out[0])
    else:
        torch.bmm(left, right, out=out)
