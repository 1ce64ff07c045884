"""From the margins that calibration scans needed to the margin that a new scan is given.

**Conventions.** One outer and one inner score a patient: the patient's worst over its scans, see
`auditor.metrics.mask_scores`. Infinite scores are those of scans for which no mask could keep the
promise, as where the prediction is empty or the system failed; they count as any other. A promise is
made for scans that are exchangeable with these and show the structure; patients without it are counted
apart.

The margin is the k-th largest score with the ranks of `auditor.analysis.conformal`: marginal
(probability at least 1 - alpha for a new patient), or PAC (with probability 1 - delta over calibration
sets the coverage is at least 1 - alpha).

- *Joint*: outer and inner mask at one margin, the quantile of each patient's larger score. Both
  masks keep their promise together with probability 1 - alpha.
- *Apart*: each mask at its own margin, each promise on its own. Both together hold with 1 - 2 alpha at least.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from auditor.analysis.conformal import lower_bound, needed_marginal, needed_pac, rank_of
from auditor.metrics.boxes import bounding_box
from auditor.metrics.mask_families import (
    grown_box,
    inner_by_distance,
    inner_by_probability,
    outer_by_distance,
    outer_by_probability,
    signed_distance,
)

__all__ = [
    "Margin",
    "MaskScores",
    "MaskSets",
    "OuterInner",
    "SetStatus",
    "binned_sets",
    "margin_of",
    "mask_sets",
    "masks_by_distance",
    "masks_by_probability",
    "scores_of_patients",
]

Floats = NDArray[np.float64]


class SetStatus(StrEnum):
    """Why there is a margin, or none."""

    OK = "ok"
    NOT_CERTIFIABLE = "not_certifiable"
    """Too few patients for any margin at this alpha (and delta)."""
    NO_USABLE_SET = "no_usable_set"
    """So many calibration scans had no mask that keeps the promise that only the whole image would."""


@dataclass(frozen=True, slots=True)
class MaskScores:
    """Scores of calibration patients, one row each."""

    outer: Floats
    """(patients,), margins, >= 0; infinite: no usable outer mask."""
    inner: Floats
    """(patients,), margins, >= 0; infinite: the scan failed."""
    vacuous_inner: Floats
    """Inner scores of the patients without the structure in any of their scans; not calibrated with."""


@dataclass(frozen=True, slots=True)
class Margin:
    """One margin, and what it rests on."""

    value: float | None
    """mm, px or probability; None: see the status."""
    status: SetStatus
    reason: str
    """Empty where there is a margin."""
    n: int
    """Patients."""
    rank: int
    """The margin is the rank-th largest score; 0: not certifiable."""
    needed: int
    """Fewest patients with which there is a rank at all."""


@dataclass(frozen=True, slots=True)
class MaskSets:
    """The margins of one family of masks under one condition."""

    outer: Margin
    inner: Margin
    joint: bool
    """Both promises hold together at alpha; otherwise each on its own."""
    alpha: float
    delta: float | None
    """None: the marginal promise."""
    n_vacuous: int
    """Patients without the structure, counted apart."""
    n_vacuous_marked: int | None
    """Of these, how many are still given an inner mask with voxels; None: there is no margin."""

    @property
    def status(self) -> SetStatus:
        """Of both masks together: ok only where both have a margin."""
        return self.outer.status if self.outer.status is not SetStatus.OK else self.inner.status

    @property
    def reason(self) -> str:
        """Why one of the masks has no margin; empty where both have one."""
        return self.outer.reason or self.inner.reason


@dataclass(frozen=True, slots=True)
class OuterInner:
    """Masks around one prediction; None: there is no usable one."""

    outer: Tensor | None
    inner: Tensor | None


def scores_of_patients(
    patients: Sequence[str],
    outer: Sequence[float | None],
    inner: Sequence[float | None],
    reference_empty: Sequence[bool],
) -> MaskScores:
    """Keep the worst score of each patient.

    Parameters
    ----------
    patients : of each scan
    outer, inner : of each scan; None: no margin keeps the promise, counted as infinite
    reference_empty : of each scan

    Returns
    -------
    Patients in the order of their names. Scans without the structure take no part unless the patient has
    no other

    Raises
    ------
    ValueError
        When the sequences differ in length, or a score is negative or not a number.
    """
    present: dict[str, list[tuple[float, float]]] = {}
    absent: dict[str, list[float]] = {}
    for patient, out, into, empty in zip(patients, outer, inner, reference_empty, strict=True):
        pair = (math.inf if out is None else out, math.inf if into is None else into)
        if empty:
            absent.setdefault(patient, []).append(pair[1])
        else:
            present.setdefault(patient, []).append(pair)
    worst = np.asarray(
        [[max(column) for column in zip(*present[name], strict=True)] for name in sorted(present)],
        dtype=np.float64,
    ).reshape(-1, 2)
    alone = [max(absent[name]) for name in sorted(absent) if name not in present]
    return _checked(MaskScores(worst[:, 0], worst[:, 1], np.asarray(alone, dtype=np.float64)))


def mask_sets(
    scores: MaskScores, *, alpha: float, delta: float | None = None, joint: bool = True
) -> MaskSets:
    """Calibrate the margins of both masks.

    Parameters
    ----------
    scores : one family, one condition
    alpha : share of new patients for whom the promise may fail, in (0, 0.5]
    delta : probability of a bad calibration set, in (0, 1); None: the marginal promise
    joint : one margin for both masks together; otherwise each its own

    Raises
    ------
    ValueError
        When alpha or delta lies outside its range, or a score is negative or not a number.

    Examples
    --------
    >>> needed = np.arange(19.0)  # margins of 19 patients, in mm
    >>> sets = mask_sets(MaskScores(needed, needed[::-1] / 2, np.empty(0)), alpha=0.1)
    >>> sets.outer.value, sets.outer.rank, sets.status.value  # the second largest of 19
    (17.0, 2, 'ok')
    >>> mask_sets(MaskScores(needed[:8], needed[:8], np.empty(0)), alpha=0.1).reason
    'not certifiable with 8 patients; 9 are needed'
    """
    _checked(scores)
    if joint:
        outer = inner = margin_of(np.maximum(scores.outer, scores.inner), alpha, delta)
    else:
        outer = margin_of(scores.outer, alpha, delta)
        inner = margin_of(scores.inner, alpha, delta)
    sets = MaskSets(outer, inner, joint, alpha, delta, len(scores.vacuous_inner), None)
    return _counted(sets, scores)


def binned_sets(
    bins: Sequence[MaskScores], *, alpha: float, delta: float | None = None, joint: bool = True
) -> tuple[MaskSets, ...]:
    """Calibrate each noise bin on its own, and let no margin shrink with noise.

    Parameters
    ----------
    bins : one score a patient in each bin, lowest noise first
    alpha, delta, joint
        See `mask_sets`.

    Returns
    -------
    One per bin. A margin is the largest of its own bin and those below it, which can only add coverage.
    A bin that is not certifiable stays so, and says nothing about later ones; after one without a
    usable set no later bin has one
    """
    found: list[MaskSets] = []
    outer = inner = None
    for scores in bins:
        own = mask_sets(scores, alpha=alpha, delta=delta, joint=joint)
        clamped = replace(own, outer=_at_least(own.outer, outer), inner=_at_least(own.inner, inner))
        found.append(_counted(clamped, scores))
        if own.outer.status is not SetStatus.NOT_CERTIFIABLE:
            outer = clamped.outer
        if own.inner.status is not SetStatus.NOT_CERTIFIABLE:
            inner = clamped.inner
    return tuple(found)


def margin_of(scores: Floats, alpha: float, delta: float | None) -> Margin:
    """Take the rank-th largest score.

    Parameters
    ----------
    scores : (patients,), >= 0, may be infinite
    alpha : in (0, 0.5]
    delta : in (0, 1); None: the marginal rank

    Raises
    ------
    ValueError
        When alpha or delta lies outside its range.
    """
    n = len(scores)
    rank = rank_of(n, alpha, delta)
    needed = needed_marginal(alpha) if delta is None else needed_pac(alpha, delta)
    negative = lower_bound(-scores, rank)
    if negative is None:
        reason = f"not certifiable with {n} patients; {needed} are needed"
        return Margin(None, SetStatus.NOT_CERTIFIABLE, reason, n, 0, needed)
    if math.isinf(negative):
        without = int(np.isinf(scores).sum())
        reason = (
            f"no usable set: {without} of {n} calibration patients had no mask that keeps the promise, and at "
            f"most {rank - 1} may be left uncovered"
        )
        return Margin(None, SetStatus.NO_USABLE_SET, reason, n, rank, needed)
    # no -0.0: a margin is shown
    return Margin(-negative + 0.0, SetStatus.OK, "", n, rank, needed)


def masks_by_distance(prediction: Tensor, spacing: tuple[float, ...], sets: MaskSets) -> OuterInner:
    """Draw both masks around a prediction, by distance.

    Parameters
    ----------
    prediction : (z, y, x) or (y, x), bool
    spacing : along each axis, in the unit of the margins
    sets : of scores by distance

    Returns
    -------
    Bool masks of the prediction's shape. None where there is no margin, and both None where the prediction
    is empty: nothing can be drawn around nothing

    Notes
    -----
    Only the box of the prediction, grown by the margin, is looked at.
    """
    if not bool(prediction.any()):
        return OuterInner(None, None)
    reach = sets.outer.value or 0.0
    box = bounding_box(prediction.numpy())
    box = grown_box(box, tuple(prediction.shape), spacing, reach)
    distance = signed_distance(prediction[box], spacing)
    outer = inner = None
    if sets.outer.value is not None:
        outer = prediction.new_zeros(prediction.shape)
        outer[box] = outer_by_distance(distance, sets.outer.value)
    if sets.inner.value is not None:
        inner = prediction.new_zeros(prediction.shape)
        inner[box] = inner_by_distance(distance, sets.inner.value)
    return OuterInner(outer, inner)


def masks_by_probability(prediction: Tensor, probability: Tensor, sets: MaskSets) -> OuterInner:
    """Draw both masks around a prediction, by probability.

    Parameters
    ----------
    prediction : (z, y, x) or (y, x), bool
    probability : the same shape, of the label
    sets : of scores by probability

    Returns
    -------
    See `masks_by_distance`
    """
    if not bool(prediction.any()):
        return OuterInner(None, None)
    outer = inner = None
    if sets.outer.value is not None:
        outer = outer_by_probability(probability, prediction, sets.outer.value)
    if sets.inner.value is not None:
        inner = inner_by_probability(probability, prediction, sets.inner.value)
    return OuterInner(outer, inner)


def _counted(sets: MaskSets, scores: MaskScores) -> MaskSets:
    """Count the patients without the structure who are given an inner mask with voxels."""
    margin = sets.inner.value
    marked = None if margin is None else int((scores.vacuous_inner > margin).sum())
    return replace(sets, n_vacuous_marked=marked)


def _at_least(own: Margin, below: Margin | None) -> Margin:
    """Widen a margin to the one of the bin below."""
    if own.value is None or below is None:
        return own
    if below.value is None:
        return replace(own, value=None, status=below.status, reason=below.reason)
    return replace(own, value=max(own.value, below.value))


def _checked(scores: MaskScores) -> MaskScores:
    if scores.outer.shape != scores.inner.shape or scores.outer.ndim != 1:
        shapes = f"{scores.outer.shape} and {scores.inner.shape}"
        msg = f"scores must be one outer and one inner a patient, got shapes {shapes}"
        raise ValueError(msg)
    for values in (scores.outer, scores.inner, scores.vacuous_inner):
        if not bool((values >= 0).all()):
            msg = "scores must be margins of at least 0, infinite where no margin keeps the promise"
            raise ValueError(msg)
    return scores
