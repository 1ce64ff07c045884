"""Metrics of the catalogue with some parameters declared, and masks measured by one of them."""

from __future__ import annotations

from typing import Any

import torch

from auditor.metrics.catalog import METRICS
from auditor.metrics.measure import Measured, measure_label, prepare_reference
from auditor.schema import MetricSpec

DECLARED: dict[str, Any] = {"tolerance_mm": 1.5, "width_mm": 2.0, "overlap": 0.3, "bins": 10}


def spec_of(name: str, **declared: Any) -> MetricSpec:
    """Declare a metric with what it needs; `declared` wins over `DECLARED`."""
    values = {**DECLARED, **declared}
    return MetricSpec(name, **{it: values[it] for it in METRICS[name].needs})


def measured(
    spec: MetricSpec,
    prediction: torch.Tensor,
    reference: torch.Tensor,
    spacing: tuple[float, ...],
    probability: torch.Tensor | None = None,
) -> Measured:
    """Measure one pair; without probabilities those of a system that is always sure."""
    [found] = measure_label(
        prediction,
        prepare_reference(reference, spacing),
        metrics=[spec],
        probability=prediction.float() if probability is None else probability,
    )
    return found
