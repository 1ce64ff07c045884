"""How far perturbations move the activations of a network, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.schema.estimates import Estimate

__all__ = ["LayerCurve", "LayerFacts", "LayerSpec", "LayerSusceptibility"]


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """Whose activations are compared, and how."""

    systems: tuple[str, ...]
    """Names of systems with a checkpoint, in the order of the configuration."""
    bins: int = 64
    """Bins of equal width between the smallest and the largest clean activation of a channel; two more
    hold what lies beyond."""


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One layer of a network."""

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
    voxels: int
    """Activations of one channel on the clean scan of the first case, over all its windows."""
    floor: float
    """About the distance between two independent samples of so many voxels and one law:
    sqrt((bins - 1) / (4 voxels)), at most 1."""
    between: Estimate
    """Mean over patients of the distance between the clean scans of a patient and of the next one: what is
    usual."""


@dataclass(frozen=True, slots=True)
class LayerCurve:
    """All layers of one system under one condition."""

    perturbation: str
    severity: float
    level: float | None
    """In `unit`."""
    unit: str
    distances: tuple[Estimate, ...]
    """Of each layer: mean over patients of the Hellinger distance to the clean scan, in [0, 1]."""
    most: tuple[int, ...]
    """Places of the layers that move most, at most three, the largest distance first; without concatenations
    that hold channels of one value where an ablation put it."""
    below_from: int | None
    """Place from which on every layer that is assessed is closer to its clean scan than patients are to each
    other; None: there is none."""
    below_how: str
    """On what that rests, or why it is not told, in words."""
    missing: str = ""
    """Scans without distances, in words."""


@dataclass(frozen=True, slots=True)
class LayerSusceptibility:
    """How far perturbations move the activations of one system."""

    system: str
    layers: tuple[LayerFacts, ...]
    """In the order in which they run."""
    curves: tuple[LayerCurve, ...]
    """By perturbation and severity, in the order of the configuration."""
    note: str = ""
    """What is missing, in words."""
