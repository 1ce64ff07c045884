"""Measure one label of one prediction by every declared metric.

**Conventions.** Each metric ends as one `Measured`, whatever happened: a value, or a status that
says why there is none. What an empty mask means is decided in `auditor.metrics.policy` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from auditor.metrics.catalog import check_spec
from auditor.metrics.outlines import BoolArray
from auditor.metrics.pair import MaskPair
from auditor.metrics.policy import (
    EMPTY,
    Extent,
    empty_value,
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
    "Measured",
    "Reference",
    "mask_volume",
    "measure_label",
    "prepare_reference",
    "restrict",
    "undefined",
]

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
) -> list[Measured]:
    """Measure one label of one prediction.

    Parameters
    ----------
    prediction : bool, the shape of the reference
    reference : see `prepare_reference`
    metrics : what to measure
    region : bool, the shape of the reference; both masks are cut to it. To score many predictions
        in one region, pass `restrict(reference, region)` and predictions that are cut already.

    Returns
    -------
    One per entry of `metrics`, in its order.

    Raises
    ------
    TypeError, ValueError
        When a mask is not a bool tensor of the reference's shape.
    ConfigError
        When a metric is unknown, or its tolerance is missing.

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
    pair = MaskPair(prediction=array, reference=reference)
    return [_measure(pair, spec) for spec in metrics]


def undefined(
    metrics: Sequence[MetricSpec],
    status: Status,
    reason: str,
    reference: Reference | None = None,
) -> list[Measured]:
    """Give the rows of an evaluation that brought no mask.

    Parameters
    ----------
    metrics : what would have been measured
    status : why it was not: failed, crashed, timed_out, rejected, quarantined, not_finite or
        no_effect
    reason : one sentence
    reference : for the worst cases; without it only those that are 0 are known

    Returns
    -------
    One per entry of `metrics`, without values.

    Raises
    ------
    ValueError
        When the status says that there are masks.
    ConfigError
        When a metric is unknown, or its tolerance is missing.
    """
    if status is Status.OK or status in EMPTY:
        msg = f"status must be one of an evaluation without a mask, got {str(status)!r}"
        raise ValueError(msg)
    extent = Extent(None, None, None) if reference is None else reference.extent
    return [
        Measured(
            metric=check_spec(spec).name,
            value=None,
            status=status,
            worst=worst_of_row(spec.name, status, extent),
            reason=reason,
        )
        for spec in metrics
    ]


def _measure(pair: MaskPair, spec: MetricSpec) -> Measured:
    """Measure one metric, or ask the policy when a mask is empty."""
    metric = check_spec(spec)
    reference = pair.reference
    status = status_of(prediction_empty=pair.n_prediction == 0, reference_empty=reference.is_empty)
    if status is Status.OK:
        value: float | None = metric.resolve()(pair, spec)
    else:
        volume = max(pair.n_prediction, pair.n_reference) * reference.voxel_volume
        value = empty_value(metric.name, status, volume=volume)
    return Measured(
        metric=metric.name,
        value=value,
        status=status,
        worst=worst_of_row(metric.name, status, reference.extent),
        reason=_REASONS.get(status, ""),
    )
