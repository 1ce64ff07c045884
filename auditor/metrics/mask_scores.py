"""How wide a margin one scan needs: the smallest one at which a mask keeps its promise.

**Conventions.** A score is a margin of `auditor.metrics.mask_families`, never negative; smaller is better.

- The *outer* score is the smallest margin at which the outer mask holds at least a share of the voxels
  of the reference. Infinite: no margin below the whole image does, as where the prediction is empty.
- The *inner* score is the smallest margin from which on at least a share of the inner mask belongs to the
  reference, at this margin *and at every larger one*: precision may fall again as a mask shrinks, and a
  promise must survive a wider margin. A mask without voxels keeps it, so that the score is finite.

A scan whose reference is empty is *vacuous* for the outer mask (score 0) and is to be counted apart;
its inner mask keeps the promise only where nothing is left of it. Margins are not negative even where the
prediction is larger than needed, so that the masks stay around the prediction: this costs
coverage nothing, for it only makes outer masks larger and inner ones smaller.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditor.metrics.mask_families import (
    checked_probability,
    missing_probability,
    outer_by_distance,
    signed_distance,
    union_box,
)

__all__ = [
    "ScanScores",
    "inner_distance",
    "inner_probability",
    "missed_shares",
    "outer_distance",
    "outer_probability",
    "scan_scores",
]

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class ScanScores:
    """Margins that one label of one scan needs, in both families."""

    outer_distance: float
    """mm or px; infinite: no usable outer mask."""
    inner_distance: float
    """mm or px."""
    outer_probability: float | None
    """In [0, 1), or infinite; None: the system gives no probability."""
    inner_probability: float | None
    """In [0, 1]; None: the system gives no probability."""
    reference_empty: bool
    """The outer mask has nothing to hold; to be counted apart."""


def scan_scores(
    prediction: Tensor,
    reference: Tensor,
    spacing: tuple[float, ...],
    *,
    outer_share: float,
    inner_share: float,
    probability: Tensor | None = None,
) -> ScanScores:
    """Score one prediction in both families.

    Parameters
    ----------
    prediction, reference : (z, y, x) or (y, x), bool
    spacing : along each axis, mm or px
    outer_share : in (0, 1], of the reference that the outer mask shall hold
    inner_share : in (0, 1], of the inner mask that shall belong to the reference
    probability : the shape of the masks, of the label; None: there is none

    Raises
    ------
    ValueError
        When shapes differ, a share lies outside (0, 1], or a probability is not a number.

    Notes
    -----
    Only the box that holds both masks is looked at.
    """
    _same_shape(prediction, reference)
    box = union_box(prediction, reference)
    mask, truth = prediction[box], reference[box]
    soft = None if probability is None else _cut(probability, prediction)[box]
    distance = signed_distance(mask, spacing)
    return ScanScores(
        outer_distance=outer_distance(distance, truth, outer_share),
        inner_distance=inner_distance(distance, truth, inner_share),
        outer_probability=(
            None if soft is None else outer_probability(soft, mask, truth, outer_share)
        ),
        inner_probability=(
            None if soft is None else inner_probability(soft, mask, truth, inner_share)
        ),
        reference_empty=not bool(truth.any()),
    )


def outer_distance(distance: Tensor, reference: Tensor, share: float) -> float:
    """Find the smallest radius at which the outer mask holds a share of the reference.

    Parameters
    ----------
    distance : of `mask_families.signed_distance` of the prediction
    reference : the same shape, bool
    share : in (0, 1]

    Returns
    -------
    In the unit of the distance: the ceil(share n)-th smallest distance of the n voxels of the reference, at
    least 0. Infinite where the prediction is empty; 0 where the reference is

    Notes
    -----
    With the largest of n voxels in place of a quantile (share 1) one stray voxel decides. The score of
    ConSeMa (Mossina & Friedrich, MICCAI 2025, arXiv 2503.05618) in mm instead of steps of dilation.

    Examples
    --------
    >>> mask = torch.tensor([[0, 1, 1, 0, 0, 0]]).bool()
    >>> reference = torch.tensor([[0, 0, 1, 1, 1, 1]]).bool()
    >>> distance = signed_distance(mask, (1.0, 1.0))
    >>> [outer_distance(distance, reference, share) for share in (0.25, 0.5, 0.75, 1.0)]
    [0.0, 1.0, 2.0, 3.0]
    """
    _same_shape(distance, reference)
    return _reaching(distance[reference].clamp(min=0.0).numpy(), share)


def inner_distance(distance: Tensor, reference: Tensor, share: float) -> float:
    """Find the smallest radius from which on a share of the inner mask belongs to the reference.

    Parameters
    ----------
    distance : of `mask_families.signed_distance` of the prediction
    reference : the same shape, bool
    share : in (0, 1]

    Returns
    -------
    In the unit of the distance: the largest depth d at which less than the share of the voxels at
    least as deep belongs to the reference; 0 where there is none

    Examples
    --------
    >>> mask = torch.tensor([[1, 1, 1, 1, 1, 1, 1]]).bool()
    >>> reference = torch.tensor([[0, 0, 1, 1, 1, 1, 1]]).bool()
    >>> inner_distance(signed_distance(mask, (9.0, 1.0)), reference, 0.8)
    1.0
    """
    _same_shape(distance, reference)
    inside = distance < 0
    return _surviving(-distance[inside].numpy(), reference[inside].numpy(), share)


def outer_probability(probability: Tensor, mask: Tensor, reference: Tensor, share: float) -> float:
    """Find the smallest margin at which the outer mask by probability holds a share of the reference.

    Parameters
    ----------
    probability : of the label
    mask, reference : the same shape, bool; the mask is the prediction
    share : in (0, 1]

    Returns
    -------
    The ceil(share n)-th smallest of 1 - p over the n voxels of the reference, which is 0 for those in the mask.
    Infinite where only the whole image reaches the share, and where the mask is empty, whatever the
    probabilities: such a scan is given no masks. 0 where the reference is empty
    """
    _same_shape(mask, reference)
    missing = missing_probability(probability, mask)[reference]
    if missing.numel() and not bool(mask.any()):
        return math.inf
    missing[mask[reference]] = 0.0
    needed = _reaching(missing.numpy(), share)
    return needed if needed < 1 else math.inf


def inner_probability(probability: Tensor, mask: Tensor, reference: Tensor, share: float) -> float:
    """Find the smallest margin from which on a share of the inner mask belongs to the reference.

    Parameters
    ----------
    probability : of the label
    mask, reference : the same shape, bool; the mask is the prediction
    share : in (0, 1]

    Returns
    -------
    In [0, 1]: the largest p of a voxel of the mask such that less than the share of the mask's voxels
    with at least this p belongs to the reference; 0 where there is none
    """
    _same_shape(mask, reference)
    level = checked_probability(probability, mask)[mask]
    return _surviving(level.numpy(), reference[mask].numpy(), share)


def missed_shares(distance: Tensor, reference: Tensor, radii: Sequence[float]) -> Floats:
    """Compute the false-negative rate of the outer mask at each radius.

    Parameters
    ----------
    distance : of `mask_families.signed_distance` of the prediction
    reference : the same shape, bool, not empty
    radii : rising, >= 0

    Returns
    -------
    (radii,), in [0, 1], never rising; 1 everywhere where the prediction is empty: a row of losses for
    `auditor.analysis.risk_control`

    Raises
    ------
    ValueError
        When the reference is empty: nothing can be missed, and such a scan is to be counted apart.
    """
    _same_shape(distance, reference)
    there = distance[reference]
    if there.numel() == 0:
        msg = "the reference must have at least one voxel: nothing of an empty one can be missed"
        raise ValueError(msg)
    held = [int(outer_by_distance(there, radius).sum()) for radius in radii]
    return 1 - np.asarray(held, dtype=np.float64) / there.numel()


def _reaching(margins: Floats, share: float) -> float:
    """Give the smallest margin at which a share of the voxels is held; 0 where there is no voxel.

    The ceil(share n)-th smallest, not NumPy's method "higher", which takes one more at many n.
    """
    _check_share(share)
    n = margins.size
    if n == 0:
        return 0.0
    rank = max(1, math.ceil(round(share * n, 9)))
    return float(np.partition(margins, rank - 1)[rank - 1])


def _surviving(levels: Floats, hits: NDArray[np.bool_], share: float) -> float:
    """Give the largest level at which less than a share of the voxels at or above it are hits."""
    _check_share(share)
    misses = np.sort(levels[~hits])
    if misses.size == 0:
        return 0.0
    # only where a miss lies can the share fall on the way down, and misses are few
    steps, first = np.unique(misses, return_index=True)
    missed = misses.size - first
    below = np.searchsorted(steps, levels[hits], side="right")
    held = np.cumsum(np.bincount(below, minlength=len(steps) + 1)[::-1])[::-1][1:]
    failing = held < np.round(share * (held + missed), 9)
    return float(steps[failing][-1]) if failing.any() else 0.0


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        msg = f"a share must lie in (0, 1], got {share!r}"
        raise ValueError(msg)


def _same_shape(one: Tensor, reference: Tensor) -> None:
    if one.shape != reference.shape or reference.dtype != torch.bool:
        msg = (
            f"prediction and reference must be of one shape, the reference bool, got {tuple(one.shape)} and "
            f"{tuple(reference.shape)}, {reference.dtype}"
        )
        raise ValueError(msg)


def _cut(probability: Tensor, mask: Tensor) -> Tensor:
    if probability.shape != mask.shape:
        msg = (
            f"the probability must have the shape of the masks, got {tuple(probability.shape)} and "
            f"{tuple(mask.shape)}"
        )
        raise ValueError(msg)
    return probability
