"""How far perturbations move the activations of a network, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.schema.estimates import Estimate

__all__ = ["LayerPoint", "LayerSpec", "LayerSusceptibility"]


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """Whose activations are compared, and how."""

    systems: tuple[str, ...]
    """Names of systems with a checkpoint, in the order of the configuration."""
    bins: int = 64
    """Bins of equal width between the smallest and the largest clean activation of a channel; two more
    hold what lies beyond."""


@dataclass(frozen=True, slots=True)
class LayerPoint:
    """One layer of a network under one condition."""

    place: int
    """In the order in which the layers run, from 0."""
    name: str
    """Of the value, as `segaudit skips` names values."""
    operator: str
    """That makes it: Conv, add .."""
    resolution: tuple[int, ...]
    """Spatial sizes at the fed size of the first case; empty where the layout is not known."""
    channels: int
    """Number of channels."""
    distance: Estimate
    """Mean over patients of the Hellinger distance to the clean scan, in [0, 1]."""
    between: Estimate
    """The same between the clean scans of different patients: what is usual; not assessable for one
    patient."""


@dataclass(frozen=True, slots=True)
class LayerSusceptibility:
    """All layers of one system under one condition."""

    system: str
    perturbation: str
    severity: float
    level: float | None
    unit: str
    points: tuple[LayerPoint, ...]
    """In the order in which they run."""
    note: str = ""
    """What is missing, in words."""
