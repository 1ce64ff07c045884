"""What comparing layers will cost, told before the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.config import AuditConfig
from auditor.plan import AuditPlan
from auditor.schema import CLEAN

__all__ = ["LayerLook", "layer_passes", "look_at_layers"]

_OF_CLEAN = 2
"""Passes of the clean scan: for the ranges of its activations, and for their histograms."""


@dataclass(frozen=True, slots=True)
class LayerLook:
    """One system whose layers are compared, before any scan is."""

    system: str
    passes: int
    """Predictions beside the planned evaluations, at most: what is known of a clean scan serves the next unit
    of its case, when the same worker has it."""
    seconds: float | None
    """That they take on one worker; None when no dry run worked."""


def layer_passes(config: AuditConfig, plan: AuditPlan) -> dict[str, int]:
    """Count the passes that comparing layers adds at most: system -> number."""
    if config.layers is None:
        return {}
    each = sum(
        _OF_CLEAN + unit.evaluations
        for unit in plan.units
        if unit.perturbation.name != CLEAN or unit.other
    )
    return dict.fromkeys(config.layers.systems, each)


def look_at_layers(
    config: AuditConfig, plan: AuditPlan, *, seconds: Mapping[str, float]
) -> tuple[LayerLook, ...]:
    """Tell what comparing layers costs.

    Parameters
    ----------
    config : AuditConfig
    plan : AuditPlan
    seconds : mapping of system to float
        Of one prediction, for systems whose dry run worked.
    """
    return tuple(
        LayerLook(name, passes, passes * seconds[name] if name in seconds else None)
        for name, passes in layer_passes(config, plan).items()
    )
