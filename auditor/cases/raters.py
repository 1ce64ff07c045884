"""From several raters to the one mask that is scored against."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from auditor.cases.staple import staple
from auditor.errors import DataError
from auditor.volumes.label_numbers import label_type

__all__ = ["majority", "staple", "without"]


def majority(masks: Sequence[Tensor], labels: Sequence[int], *, tie: str) -> Tensor:
    """Majority of several label maps, label by label.

    Parameters
    ----------
    masks : sequence of (z, y, x) or (y, x), int16 or int32
        One per rater, at least one.
    labels : sequence of int
        Label numbers; where several reach the majority (possible with at_least_half), the one with
        more votes wins, then the one declared first.
    tie : str
        ``above_half``: more than half of the raters; ``at_least_half``: half is enough. With an even
        number of raters the first erodes and the second dilates; the report says which.

    Returns
    -------
    Tensor
        Of the same shape; int16, or int32 where a label needs it.
    """
    votes = torch.stack([_votes(masks, number) for number in labels])
    best, which = votes.max(dim=0)
    needed = len(masks) / 2
    wins = best > needed if tie == "above_half" else (best >= needed) & (best > 0)
    kept = label_type(max(labels))
    numbers = torch.tensor(list(labels), dtype=kept)
    return torch.where(wins, numbers[which], torch.zeros((), dtype=kept))


def without(masks: Sequence[Tensor], left_out: int, labels: Sequence[int], *, tie: str) -> Tensor:
    """Majority of all raters but one: what that one, and a system beside him, is compared with.

    A consensus that holds the rater is nearer to him than to any system, however good.

    Parameters
    ----------
    masks : sequence of (z, y, x) or (y, x), int16
        One per rater, at least two.
    left_out : int
        Place of the rater in `masks`, from 0.
    labels : sequence of int
        See `majority`.
    tie : str
        See `majority`; it decides whenever the number of the *others* is even.

    Returns
    -------
    Tensor
        int16, of the same shape; with two raters the mask of the other.

    Raises
    ------
    DataError
        When there are fewer than two raters.
    IndexError
        When there is no rater at that place.
    """
    if len(masks) < 2:
        msg = f"leaving a rater out needs two raters or more, got {len(masks)}"
        raise DataError(msg)
    if not 0 <= left_out < len(masks):
        msg = f"left_out must be 0 to {len(masks) - 1}, got {left_out}"
        raise IndexError(msg)
    others = [mask for place, mask in enumerate(masks) if place != left_out]
    return majority(others, labels, tie=tie)


def _votes(masks: Sequence[Tensor], number: int) -> Tensor:
    """Count the raters that give a label to each voxel."""
    return torch.stack([mask == number for mask in masks]).sum(dim=0)
