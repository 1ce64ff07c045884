"""Measure one label of one prediction by every declared metric.

**Conventions.** Each metric ends as one `Measured`, whatever happened: a value, or a status that
says why there is none. What an empty mask means is decided in `auditor.metrics.policy` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.metrics.catalog import check_spec
from auditor.metrics.outlines import BoolArray
from auditor.metrics.pair import MaskPair
from auditor.metrics.policy import (
    EMPTY,
    EMPTY_MASK_POLICY,
    POLICY,
    Extent,
    status_of,
    worst_of_row,
)
from auditor.metrics.reference import (
    Reference,
    check_mask,
    prepare_reference,
    restrict,
)
from auditor.metrics.volume import mask_volume
from auditor.schema import MetricSpec, Status

__all__ = [
    "NO_PROBABILITY",
    "Measured",
    "Reference",
    "mask_volume",
    "measure_label",
    "prepare_reference",
    "restrict",
    "undefined",
]

NO_PROBABILITY = "the system gives labels without probabilities"
"""Why a metric that needs probabilities is not applicable, where nothing else is said."""

_REASONS = {
    Status.PREDICTION_EMPTY: "the prediction has no voxel of this label, the reference has",
    Status.REFERENCE_EMPTY: "the reference has no voxel of this label, the prediction has",
    Status.BOTH_EMPTY: "neither the reference nor the prediction has a voxel of this label",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of one label in one evaluation."""

    metric: str
    """Name in the catalogue."""
    value: float | None
    """In the metric's unit; None: see `status`."""
    status: Status
    """Why there is a value, or why there is none."""
    worst: float | None
    """What stands in for a missing value in the worst-case analysis; None: nothing may."""
    reason: str = ""
    """One sentence when the status is not ok."""


def measure_label(
    prediction: torch.Tensor,
    reference: Reference,
    *,
    metrics: Sequence[MetricSpec],
    region: torch.Tensor | None = None,
    probability: torch.Tensor | None = None,
    no_probability: str = NO_PROBABILITY,
) -> list[Measured]:
    """Measure one label of one prediction.

    Parameters
    ----------
    prediction : bool, the shape of the reference
    reference : see `prepare_reference`
    metrics : what to measure
    region : bool, the shape of the reference; both masks are cut to it. To score many predictions
        in one region, pass `restrict(reference, region)` and predictions that are cut already.
    probability : floating point in [0, 1], the shape of the reference: of the label, never cut; only
        what lies in the region counts. None: metrics that need it are not applicable.
    no_probability : why there is none, one sentence

    Returns
    -------
    One per entry of `metrics`, in its order.

    Raises
    ------
    TypeError, ValueError
        When a mask is not a bool tensor of the reference's shape, or a probability is none.
    ConfigError
        When a metric is unknown, or a parameter of it is missing.

    Examples
    --------
    >>> mask = torch.zeros(6, 6, dtype=torch.bool)
    >>> mask[2:4, 2:4] = True
    >>> reference = prepare_reference(mask, (1.0, 1.0))
    >>> [found] = measure_label(mask, reference, metrics=[MetricSpec("dsc")])
    >>> found.value, str(found.status)
    (1.0, 'ok')
    """
    check_mask("prediction", prediction, shape=reference.mask.shape)
    if region is not None:
        reference = restrict(reference, region)
        prediction = prediction & region.to(prediction.device)
    array: BoolArray = prediction.detach().cpu().numpy()
    known = None if probability is None else _checked(probability, tuple(reference.mask.shape))
    pair = MaskPair(prediction=array, reference=reference, probability=known)
    return [_measure(pair, spec, no_probability) for spec in metrics]


def undefined(
    metrics: Sequence[MetricSpec],
    status: Status,
    reason: str,
    reference: Reference | None = None,
    no_probability: str = "",
) -> list[Measured]:
    """Give the rows of an evaluation that brought no mask.

    Parameters
    ----------
    metrics : what would have been measured
    status : why it was not: failed, crashed, timed_out, rejected, quarantined, not_finite or
        no_effect
    reason : one sentence
    reference : for the worst cases; without it only those that are 0 or 1 are known
    no_probability : one sentence, when there would have been no probability either: metrics that need
        it are then not applicable, as in every other row of that system; empty: there would have been

    Returns
    -------
    One per entry of `metrics`, without values.

    Raises
    ------
    ValueError
        When the status says that there are masks.
    ConfigError
        When a metric is unknown, or a parameter of it is missing.
    """
    if status is Status.OK or status in EMPTY:
        msg = f"status must be one of an evaluation without a mask, got {str(status)!r}"
        raise ValueError(msg)
    extent = Extent(None, None, None) if reference is None else reference.extent
    return [_missing(spec, status, reason, extent, no_probability) for spec in metrics]


def _missing(
    spec: MetricSpec, status: Status, reason: str, extent: Extent, no_probability: str
) -> Measured:
    metric = check_spec(spec)
    if metric.needs_probabilities and no_probability:
        status, reason = Status.NOT_APPLICABLE, no_probability
    worst = worst_of_row(metric.name, status, extent)
    return Measured(metric.name, None, status, worst, reason)


def _measure(pair: MaskPair, spec: MetricSpec, no_probability: str) -> Measured:
    """Measure one metric, or do what the policy says when a mask is empty."""
    metric = check_spec(spec)
    reference = pair.reference
    if metric.needs_probabilities and pair.probability is None:
        return Measured(metric.name, None, Status.NOT_APPLICABLE, None, no_probability)
    status = status_of(prediction_empty=pair.n_prediction == 0, reference_empty=reference.is_empty)
    given = "formula" if status is Status.OK else EMPTY_MASK_POLICY[metric.name, status].value
    reason = _REASONS.get(status, "")
    value: float | None = None
    if given == "zero":
        value = 0.0
    elif given == "formula":
        value = metric.resolve()(pair, spec)
        if value is None:
            status, reason = Status.NOT_APPLICABLE, POLICY[metric.name].not_applicable
    worst = worst_of_row(metric.name, status, reference.extent)
    return Measured(metric.name, value, status, worst, reason)


def _checked(probability: torch.Tensor, shape: tuple[int, ...]) -> NDArray[np.floating]:
    """Refuse what is no probability of the label at every voxel."""
    if not probability.is_floating_point() or tuple(probability.shape) != shape:
        msg = (
            f"probability must be floating point with the shape of the reference, {shape}, got "
            f"{probability.dtype} {tuple(probability.shape)}"
        )
        raise TypeError(msg)
    if not bool(((probability >= 0.0) & (probability <= 1.0)).all()):  # NaN fails both
        msg = "probability must lie in [0, 1], got others"
        raise ValueError(msg)
    wide = probability.detach().cpu()
    array: NDArray[np.floating] = (wide.float() if wide.dtype == torch.bfloat16 else wide).numpy()
    return array
