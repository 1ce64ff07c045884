"""One prediction beside several raters, without a consensus that stands for all of them.

**Conventions.** Masks are bool tensors (z, y, x) or (y, x) on one grid, one per rater; a probability is
a float tensor of that shape in [0, 1], of one label. Volumes are in any one unit, ml as a rule. Each
metric ends as one `Measured` whose status says which side is empty: *reference* are all the raters
together.

======================  ==========================  ==========================  ===========
metric                  prediction empty,           prediction not empty,       both empty
                        some rater marked           no rater marked
======================  ==========================  ==========================  ===========
qubiq_dice              by the formula              by the formula              none, -
consensus_dsc           0                           0                           none, -
rater_ece               by the formula              by the formula              by formula
volume_crps             by the formula              by the formula              0
======================  ==========================  ==========================  ===========

For ``consensus_dsc`` the reference is empty as soon as there is no voxel that every rater marked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from auditor.cases.raters import without
from auditor.metrics.measure import Measured
from auditor.metrics.policy import status_of
from auditor.metrics.reference import check_mask
from auditor.proxies import agreement
from auditor.schema import Status

__all__ = [
    "CURVAS_BINS",
    "QUBIQ_THRESHOLDS",
    "consensus_dsc",
    "leave_one_out_scores",
    "qubiq_dice",
    "rater_ece",
    "scores_against_raters",
]

QUBIQ_THRESHOLDS = tuple(step / 10 for step in range(1, 10))
""".1, .2, .. .9."""

CURVAS_BINS = 50
"""Bins of the expected calibration error in the CURVAS challenge of 2024."""

_RUN = 1 << 22
"""Voxels that are read at a time."""

_SLACK = 1e-6
"""A probability in single precision this close to a threshold or to an end of a bin lies on it."""


def qubiq_dice(prediction: Tensor, raters: Sequence[Tensor]) -> Measured:
    """Compare a probability with the share of raters that marked each voxel.

    Parameters
    ----------
    prediction : probability, or bool mask (a probability of 0 and 1)
    raters : one mask per rater, at least one, bool, of the shape of the prediction

    Returns
    -------
    In [0, 1]; 1 when the prediction is the mean of the raters' masks.

    Raises
    ------
    TypeError, ValueError
        When a mask is not bool, the shapes differ, there is no rater, or the prediction is neither a mask
        nor finite and in [0, 1].

    Notes
    -----
    Mean over the thresholds .1, .2, .. .9 of the DSC of {prediction > t} with {share of raters > t} (QUBIQ
    challenge; Li et al., arXiv 2405.18435). A value equal to a threshold is not above it. Where both are
    empty the DSC of that threshold is 1: that no more than a share t of the raters marked anything is
    then predicted rightly, and nine thresholds stay nine thresholds for every case.
    """
    shape = _check_raters(raters)
    probability = _probability(prediction, shape)
    votes = _votes(raters)
    scores, predicted = [], False
    for step, threshold in enumerate(QUBIQ_THRESHOLDS, start=1):
        above = probability > threshold + _SLACK
        predicted = predicted or bool(above.any())
        # whole numbers: 3 of 10 raters are not above .3
        scores.append(agreement(above, votes * 10 > step * len(raters)))
    status = status_of(prediction_empty=not predicted, reference_empty=not bool(votes.any()))
    value = None if status is Status.BOTH_EMPTY else sum(scores) / len(scores)
    return _measured("qubiq_dice", value, status, worst=0.0)


def consensus_dsc(prediction: Tensor, raters: Sequence[Tensor]) -> Measured:
    """Compute the DSC over the voxels on which all raters agree.

    Parameters
    ----------
    prediction : bool
    raters : one mask per rater, at least one, bool, of the shape of the prediction

    Returns
    -------
    In [0, 1].

    Raises
    ------
    TypeError, ValueError
        When a mask is not bool, the shapes differ, or there is no rater.

    Notes
    -----
    Voxels that some raters marked and others did not are removed from both masks; of the rest, the
    foreground is what all raters marked, the background what none did (CURVAS challenge 2024, arXiv
    2505.08685). It does not see how a system draws a border inside the zone of disagreement, and
    the wider that zone, the easier it is.
    """
    shape = _check_raters(raters)
    check_mask("prediction", prediction, shape)
    votes = _votes(raters)
    foreground = votes == len(raters)
    kept = prediction & (foreground | (votes == 0))
    status = status_of(
        prediction_empty=not bool(kept.any()), reference_empty=not bool(foreground.any())
    )
    value = None if status is Status.BOTH_EMPTY else agreement(kept, foreground)
    return _measured("consensus_dsc", value, status, worst=0.0)


def rater_ece(
    probability: Tensor, raters: Sequence[Tensor], *, bins: int, region: Tensor | None = None
) -> Measured:
    """Compute the expected calibration error against each rater, averaged over raters.

    Parameters
    ----------
    probability : float, in [0, 1]
    raters : one mask per rater, at least one, bool, of the shape of the probability
    bins : number of bins of equal width, at least 1; `CURVAS_BINS` in that challenge
    region : bool, of that shape: the voxels that count; None: all

    Returns
    -------
    In [0, 1], lower is better.

    Raises
    ------
    TypeError, ValueError
        When a mask is not bool, the shapes differ, there is no rater, no bin, or no voxel in the region,
        or the probability is no finite number in [0, 1].

    Notes
    -----
    sum_b n_b / n |mean probability - share marked by the rater| over the bins (0, 1/B], .. (1 - 1/B, 1],
    the first with 0. Background of certain zero adds voxels without an error, so the number falls as the
    field of view grows: compare it within one region only. CURVAS pools its organs and takes the
    probability of the most likely one; here each label is its own question. Raters who disagree
    cannot all be matched: the best probability is their mean, and its error is above 0.
    """
    shape = _check_raters(raters)
    if not probability.is_floating_point():
        msg = f"probability must be floating point, got {probability.dtype}; a mask has none"
        raise TypeError(msg)
    values = _probability(probability, shape)
    if bins < 1:
        msg = f"bins must be at least 1, got {bins}"
        raise ValueError(msg)
    inside = torch.ones(shape, dtype=torch.bool)
    if region is not None:
        check_mask("region", region, shape)
        inside = region
    predicted = torch.zeros(bins, dtype=torch.float64)
    marked = torch.zeros(len(raters), bins, dtype=torch.float64)
    found, count = False, 0
    for part in _parts(values.numel()):
        here = inside.reshape(-1)[part]
        kept = values.reshape(-1)[part][here].double()
        place = (torch.ceil(kept * bins - _SLACK).long() - 1).clamp(0, bins - 1)
        predicted += torch.bincount(place, weights=kept, minlength=bins)
        for row, mask in enumerate(raters):
            theirs = mask.reshape(-1)[part][here].double()
            marked[row] += torch.bincount(place, weights=theirs, minlength=bins)
        found = found or bool((kept > 0.5).any())
        count += kept.numel()
    if count == 0:
        msg = "region must have at least one voxel, got none"
        raise ValueError(msg)
    errors = [float((predicted - own).abs().sum()) / count for own in marked]
    status = status_of(prediction_empty=not found, reference_empty=not bool(marked.any()))
    return _measured("rater_ece", sum(errors) / len(errors), status, worst=1.0)


def _parts(count: int) -> Iterator[slice]:
    """Cut voxels into runs, so that a large scan needs no copies of itself in double precision."""
    return (slice(start, start + _RUN) for start in range(0, count, _RUN))


def scores_against_raters(prediction: Tensor, raters: Sequence[Tensor]) -> tuple[float, ...]:
    """Compute the DSC of a prediction with each rater, in their order.

    Two empty masks agree (1), on this side as between the raters of `RaterDisagreement.pairwise_dsc`: a
    system is compared with raters, and both must be paid alike for rightly marking nothing.

    Parameters
    ----------
    prediction : bool
    raters : one mask per rater, bool, of the shape of the prediction
    """
    return tuple(agreement(prediction, mask) for mask in raters)


def leave_one_out_scores(
    prediction: Tensor, raters: Sequence[Tensor], *, tie: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Score a prediction and each rater against the majority of the other raters.

    Parameters
    ----------
    prediction : bool
    raters : one mask per rater, at least two, bool, of the shape of the prediction
    tie : ``above_half`` or ``at_least_half``, see `auditor.cases.raters.majority`

    Returns
    -------
    DSC of the prediction, and of rater r, with the majority of all raters but r, for each r; two empty
    masks agree.

    Raises
    ------
    TypeError, ValueError
        When a mask is not bool, or the shapes differ.
    DataError
        When there are fewer than two raters.
    """
    check_mask("prediction", prediction, _check_raters(raters))
    maps = [mask.to(torch.int16) for mask in raters]
    others = [without(maps, place, [1], tie=tie) == 1 for place in range(len(raters))]
    return (
        tuple(agreement(prediction, consensus) for consensus in others),
        tuple(agreement(mask, consensus) for mask, consensus in zip(raters, others, strict=True)),
    )


def _measured(metric: str, value: float | None, status: Status, *, worst: float) -> Measured:
    reasons = {
        Status.PREDICTION_EMPTY: "the prediction has no voxel of this label, the raters have",
        Status.REFERENCE_EMPTY: "the raters have no voxel of this label, the prediction has",
        Status.BOTH_EMPTY: "neither the raters nor the prediction have a voxel of this label",
    }
    if metric == "consensus_dsc":
        reasons = {
            Status.PREDICTION_EMPTY: "the prediction has no voxel where all raters agree",
            Status.REFERENCE_EMPTY: "no voxel was marked by every rater",
            Status.BOTH_EMPTY: "no voxel was marked by every rater, nor by the prediction outside",
        }
    counts = value is not None or status is not Status.BOTH_EMPTY
    return Measured(metric, value, status, worst if counts else None, reasons.get(status, ""))


def _votes(raters: Sequence[Tensor]) -> Tensor:
    """Count the raters who marked each voxel, in two bytes a voxel."""
    votes = torch.zeros(raters[0].shape, dtype=torch.int16)
    for mask in raters:
        votes += mask
    return votes


def _probability(prediction: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Check a probability, and turn a mask into one."""
    if tuple(prediction.shape) != shape:
        msg = (
            f"prediction must have the shape of the raters, {shape}, got {tuple(prediction.shape)}"
        )
        raise ValueError(msg)
    if prediction.dtype == torch.bool:
        return prediction.float()
    if not prediction.is_floating_point():
        msg = f"prediction must be a probability or a bool mask, got {prediction.dtype}"
        raise TypeError(msg)
    if not bool(((prediction >= 0.0) & (prediction <= 1.0)).all()):  # a NaN fails both
        msg = "prediction must lie in [0, 1] everywhere, got other values"
        raise ValueError(msg)
    return prediction


def _check_raters(raters: Sequence[Tensor]) -> tuple[int, ...]:
    """Check the raters' masks, and return their shape."""
    if not raters:
        msg = "raters must be one mask or more, got none"
        raise ValueError(msg)
    for number, mask in enumerate(raters, start=1):
        check_mask(f"rater_{number}", mask, tuple(raters[0].shape))
    return tuple(raters[0].shape)
