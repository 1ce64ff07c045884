"""Measures of whole sets of masks: chance-corrected agreement and the distance of two sets.

**Conventions.** Masks are bool tensors (z, y, x) or (y, x) of one shape. Both measures are reported,
and neither makes strata: kappa changes with the field of view, and the energy distance, like the
DSC, with the size of the object.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike

from auditor.metrics.reference import check_mask

__all__ = ["fleiss_kappa", "generalised_energy_distance", "iou_distance", "voxel_kappa"]


def fleiss_kappa(table: ArrayLike, weights: ArrayLike | None = None) -> float | None:
    """Compute Fleiss' kappa of a table of ratings.

    Parameters
    ----------
    table : (subjects, categories), >= 0
        How many raters put the subject into the category; every row has the same sum, at least 2.
    weights : (subjects,), >= 0
        How many subjects each row stands for; None: one.

    Returns
    -------
    (P - P_e) / (1 - P_e), at most 1; None when all ratings are of one category, where it is 0 / 0.

    Raises
    ------
    ValueError
        When a row does not hold the ratings of the same raters, at least two.

    Notes
    -----
    P is the mean over subjects of the share of pairs of raters that agree, P_e the sum of the squared
    shares of the categories (Fleiss, Psychological Bulletin 76, 378-382, 1971). Raters of a subject
    need not be those of the next.

    Examples
    --------
    >>> fleiss_kappa([[2, 0], [0, 2], [1, 1], [2, 0]])  # P = 3/4, P_e = (5/8)^2 + (3/8)^2
    0.466...
    """
    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2 or counts.size == 0 or (counts < 0).any():
        msg = f"table must be (subjects, categories) of counts, got shape {counts.shape}"
        raise ValueError(msg)
    raters = counts.sum(axis=1)
    m = float(raters[0])
    if m < 2 or (raters != m).any():
        msg = (
            "every row must hold the ratings of the same number of raters, at least 2, got "
            f"{raters.min():g} to {raters.max():g}"
        )
        raise ValueError(msg)
    each = np.ones(len(counts)) if weights is None else np.asarray(weights, dtype=np.float64)
    if each.shape != (len(counts),) or (each < 0).any() or not each.sum() > 0:
        msg = f"weights must be one number >= 0 a row, not all 0, got shape {each.shape}"
        raise ValueError(msg)
    total = each.sum()
    agreeing = (np.square(counts).sum(axis=1) - m) / (m * (m - 1))
    observed = float(each @ agreeing / total)
    shares = each @ counts / (total * m)
    if np.count_nonzero(shares) < 2:
        return None
    expected = float(np.square(shares).sum())
    return (observed - expected) / (1.0 - expected)


def voxel_kappa(masks: Sequence[torch.Tensor], *, background: int = 0) -> float | None:
    """Compute Fleiss' kappa of raters, voxel by voxel.

    Parameters
    ----------
    masks : one per rater, at least two, bool, of one shape
    background : voxels of the image that the masks were cut from and that nobody marked

    Returns
    -------
    See `fleiss_kappa`; None when no rater, or every rater, marked every voxel.

    Raises
    ------
    TypeError, ValueError
        When a mask is not bool, the shapes differ, or there are fewer than two.

    Notes
    -----
    The subjects are all voxels of the image, so that the number depends on how much background was
    stored around the object: it can be compared within one field of view only.
    """
    _check("rater", masks)
    if len(masks) < 2:
        msg = f"kappa needs two raters or more, got {len(masks)}"
        raise ValueError(msg)
    m = len(masks)
    given = torch.zeros(masks[0].shape, dtype=torch.int16)  # no 8 bytes a voxel of a CT
    for mask in masks:
        given += mask
    votes = np.arange(m + 1)
    voxels = [int(torch.count_nonzero(given == number)) for number in range(m + 1)]
    voxels[0] += background
    return fleiss_kappa(np.stack([votes, m - votes], axis=1), voxels)


def iou_distance(mask_a: torch.Tensor, mask_b: torch.Tensor) -> float:
    """Compute d = 1 - IoU of two masks; 0 when both are empty.

    Examples
    --------
    >>> iou_distance(torch.tensor([[True, True, False]]), torch.tensor([[True, False, False]]))
    0.5
    """
    union = int(torch.count_nonzero(mask_a | mask_b))
    if union == 0:
        return 0.0
    return 1.0 - int(torch.count_nonzero(mask_a & mask_b)) / union


def generalised_energy_distance(
    first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]
) -> float:
    """Compute the squared generalised energy distance of two sets of masks.

    Parameters
    ----------
    first, second : at least one mask each, bool, all of one shape
        Say the raters, and the samples of a system (one mask for a system without samples).

    Returns
    -------
    In [0, 2]; 0 for a set and itself, however its masks are ordered or repeated.

    Raises
    ------
    TypeError, ValueError
        When a mask is not bool, the shapes differ, or a set is empty.

    Notes
    -----
    GED^2 = 2 E d(S, Y) - E d(S, S') - E d(Y, Y') with d = 1 - IoU, and d = 0 for two empty masks (Kohl
    et al., A probabilistic U-Net, NeurIPS 2018). Each mean is over all pairs of the two sets, those of
    a mask with itself included: both sets count as the whole law, not as a sample of one. So a
    system with one mask is charged the diversity of the raters that it does not show, and few
    raters show less of it than many.
    """
    _check("first", first)
    _check("second", second, tuple(first[0].shape) if first else None)
    if not first or not second:
        msg = f"both sets must have a mask, got {len(first)} and {len(second)}"
        raise ValueError(msg)
    squared = 2 * _mean(first, second) - _mean(first, first) - _mean(second, second)
    return max(0.0, squared)  # 1 - IoU is a metric of negative type: below 0 is rounding


def _mean(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> float:
    """Mean distance over all pairs."""
    distances = [iou_distance(a, b) for a in first for b in second]
    return sum(distances) / len(distances)


def _check(name: str, masks: Sequence[torch.Tensor], shape: tuple[int, ...] | None = None) -> None:
    for number, mask in enumerate(masks, start=1):
        check_mask(f"{name}_{number}", mask, shape or tuple(masks[0].shape))
