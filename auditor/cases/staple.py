"""STAPLE: the most likely mask behind several raters, and how good each of them is.

**Conventions.** Masks are label maps, int16 or int32, (z, y, x) or (y, x) on one grid, one per rater.

Expectation-maximisation of Warfield, Zou & Wells (IEEE Trans Med Imaging 23, 903-921, 2004), each
label against everything else, with one prior for all voxels: the share of votes for the label, as in
ITK. Voxels with the same votes have the same probability, so the iteration runs over the distinct
combinations of votes (at most 2^raters) with their numbers of voxels, not over the image: the same
equations, in milliseconds as a rule. What lies outside the box of all marks is one more combination.

**Limits.** The prior and the specificities count the background, so that the result depends on the
field of view. With two raters nothing says which of them is right where they differ: the answer lies
near 1/2 and depends on when the iteration is stopped. See docs/raters.md for how much.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditor.errors import DataError
from auditor.volumes.label_numbers import label_type

__all__ = ["MOST_ITERATIONS", "Performance", "Staple", "staple", "staple_of_label"]

Floats = NDArray[np.float64]

MOST_ITERATIONS = 20_000
"""Iterations after which it counts as not converged."""

_START = 0.99999
"""Sensitivity and specificity of every rater before the first iteration, as in ITK."""

_SETTLED = 1e-8
"""Largest change of a sensitivity or specificity in the last iteration. Towards the ends of [0, 1] the
steps shrink as 1 / iterations^2, so that a finer one would not end."""

_MOST_RATERS = 62
"""Votes of a voxel are kept in the bits of one number."""


@dataclass(frozen=True, slots=True)
class Performance:
    """What the iteration says of one rater."""

    sensitivity: float | None
    """Share of the estimated label that the rater marked; None when nothing is estimated."""
    specificity: float | None
    """Share of the rest that the rater left; None when there is no rest."""


@dataclass(frozen=True, slots=True)
class Staple:
    """The estimate for one label."""

    probability: Tensor
    """float32, of the shape of the masks: the probability that the label is there."""
    raters: tuple[Performance, ...]
    """One per rater, in the order of the masks."""
    prior: float
    """Share of all votes that went to the label."""
    iterations: int
    """How many it took."""
    converged: bool
    """False: stopped at `MOST_ITERATIONS`."""

    @property
    def mask(self) -> Tensor:
        """Bool: where the probability exceeds 1/2. A voxel of exactly 1/2 is left out."""
        return self.probability > 0.5


def staple_of_label(masks: Sequence[Tensor]) -> Staple:
    """Estimate one label.

    Parameters
    ----------
    masks : one per rater, at least one, bool, (z, y, x) or (y, x), of one shape

    Returns
    -------
    With one rater, or raters who all agree, their mask itself with probability 0 and 1.

    Raises
    ------
    DataError
        When there is no rater, or more than 62.
    TypeError, ValueError
        When a mask is not bool, or the shapes differ.
    """
    _check_number(masks)
    for number, mask in enumerate(masks, start=1):
        if mask.dtype != torch.bool:
            msg = f"rater_{number} must be a bool tensor, got {mask.dtype}"
            raise TypeError(msg)
        if mask.shape != masks[0].shape:
            msg = (
                f"rater_{number} must have the shape of rater_1, {tuple(masks[0].shape)}, got "
                f"{tuple(mask.shape)}"
            )
            raise ValueError(msg)
    box = _box(masks)
    codes = torch.zeros(masks[0][box].shape, dtype=torch.int64)
    for place, mask in enumerate(masks):
        codes += mask[box].to(torch.int64) << place
    patterns, where, voxels = torch.unique(codes, return_inverse=True, return_counts=True)
    outside = masks[0].numel() - codes.numel()
    if outside:  # one more combination that nobody marked, whether or not there is one inside
        patterns = torch.cat([patterns, patterns.new_zeros(1)])
        voxels = torch.cat([voxels, voxels.new_full((1,), outside)])
    votes = (patterns[:, None] >> torch.arange(len(masks)) & 1).numpy().astype(np.float64)
    found = _iterate(votes, voxels.numpy().astype(np.float64))
    weights = torch.from_numpy(found[0]).float()
    probability = torch.full(masks[0].shape, float(weights[-1]))
    probability[box] = weights[where]
    return Staple(probability, *found[1:])


def _check_number(masks: Sequence[Tensor]) -> None:
    if not 1 <= len(masks) <= _MOST_RATERS:
        msg = f"STAPLE needs 1 to {_MOST_RATERS} raters, got {len(masks)}"
        raise DataError(msg)


def _box(masks: Sequence[Tensor]) -> tuple[slice, ...]:
    """Smallest box with every marked voxel; nothing when there is none."""
    marked = functools.reduce(torch.logical_or, masks)
    axes = range(marked.ndim)
    sides = []
    for axis in axes:
        others = tuple(other for other in axes if other != axis)
        places = torch.nonzero(marked.any(dim=others) if others else marked).flatten()
        sides.append(slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0))
    return tuple(sides)


def staple(masks: Sequence[Tensor], labels: Sequence[int]) -> Tensor:
    """Combine several label maps by STAPLE, label by label.

    Parameters
    ----------
    masks : sequence of (z, y, x) or (y, x), int16 or int32
        One per rater, at least one.
    labels : sequence of int
        Label numbers; where several have a probability above 1/2, the largest one wins, then the one
        declared first.

    Returns
    -------
    Tensor
        Of the same shape, int16, or int32 where a label needs it; 0 where no label exceeds 1/2.

    Raises
    ------
    DataError
        When there is no rater, or a label did not converge.
    """
    _check_number(masks)
    best = torch.full(masks[0].shape, 0.5)
    combined = torch.zeros(masks[0].shape, dtype=label_type(max(labels, default=0)))
    for number in labels:
        estimate = staple_of_label([mask == number for mask in masks])
        if not estimate.converged:
            msg = (
                f"STAPLE of label {number} must converge, it did not in {MOST_ITERATIONS} "
                "iterations; choose cases.reference.use: majority"
            )
            raise DataError(msg)
        better = estimate.probability > best
        combined[better] = number
        best = torch.maximum(best, estimate.probability)
    return combined


def _iterate(
    votes: Floats, voxels: Floats
) -> tuple[Floats, tuple[Performance, ...], float, int, bool]:
    """Run the iteration over combinations of votes.

    Parameters
    ----------
    votes : (combinations, raters), 0 or 1
    voxels : (combinations,), how many voxels have it
    """
    raters = votes.shape[1]
    prior = float(voxels @ votes.mean(axis=1) / voxels.sum())
    if np.isin(votes.mean(axis=1), (0.0, 1.0)).all():
        return _unanimous(votes, prior)
    sensitivity = np.full(raters, _START)
    specificity = np.full(raters, _START)
    weights = np.empty(len(votes))
    for iteration in range(1, MOST_ITERATIONS + 1):
        weights = _posterior(votes, prior, sensitivity, specificity)
        inside, outside = voxels * weights, voxels * (1.0 - weights)
        # rounding may carry a share just beyond 1
        new_sensitivity = np.minimum(1.0, inside @ votes / inside.sum())
        new_specificity = np.minimum(1.0, outside @ (1.0 - votes) / outside.sum())
        change = max(
            np.abs(new_sensitivity - sensitivity).max(), np.abs(new_specificity - specificity).max()
        )
        sensitivity, specificity = new_sensitivity, new_specificity
        if change < _SETTLED:
            return weights, _performance(sensitivity, specificity), prior, iteration, True
    return weights, _performance(sensitivity, specificity), prior, MOST_ITERATIONS, False


def _posterior(votes: Floats, prior: float, sensitivity: Floats, specificity: Floats) -> Floats:
    """Probability of the label given the votes: the E step, by logarithms."""
    with np.errstate(divide="ignore"):
        yes = _log_likelihood(votes, sensitivity, 1.0 - sensitivity) + np.log(prior)
        no = _log_likelihood(votes, 1.0 - specificity, specificity) + np.log1p(-prior)
    top = np.maximum(yes, no)
    # what neither explains stays undecided
    possible = np.isfinite(top)
    shift = np.where(possible, top, 0.0)
    a, b = np.exp(yes - shift), np.exp(no - shift)
    return np.where(possible, a / np.where(possible, a + b, 1.0), 0.5)


def _log_likelihood(votes: Floats, marked: Floats, left: Floats) -> Floats:
    """Sum over raters of log P(vote), where 0 log 0 of a vote not given is 0."""
    return np.asarray(np.where(votes > 0, np.log(marked), np.log(left)).sum(axis=1))


def _performance(sensitivity: Floats, specificity: Floats) -> tuple[Performance, ...]:
    return tuple(
        Performance(float(p), float(q)) for p, q in zip(sensitivity, specificity, strict=True)
    )


def _unanimous(
    votes: Floats, prior: float
) -> tuple[Floats, tuple[Performance, ...], float, int, bool]:
    """All raters agree everywhere: nothing is left to estimate."""
    marked = votes[:, 0]
    each = Performance(1.0 if marked.any() else None, 1.0 if not marked.all() else None)
    return marked, (each,) * votes.shape[1], prior, 0, True
