"""Systems that were trained under stated conditions, tested under others; and how predictions fail."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.schema.estimates import Estimate

__all__ = ["FailureTypes", "FamilyDifference", "TrainTestCell", "TrainTestMatrix"]


@dataclass(frozen=True, slots=True)
class TrainTestCell:
    """Systems trained at one level, tested at one condition."""

    trained: float
    """Level of the training images; 0 for clean."""
    severity: float
    """Of the test; 0 for clean."""
    tested: float
    """Level of the test images; 0 for clean."""
    systems: tuple[str, ...]
    """The training runs that are averaged, in the order of the configuration."""
    mean: Estimate
    """Of the metric over patients, training runs averaged within each patient."""
    spread: float | None
    """Sample SD over training runs of their means; None for one run."""
    baseline: float
    """Level of the test from which losses count: that of the training, or 0 (clean) where that was not
    tested."""
    loss: Estimate
    """Mean paired change for the worse from the baseline; positive is worse."""


@dataclass(frozen=True, slots=True)
class TrainTestMatrix:
    """One family under one perturbation: rows are what it was trained on, columns what it was tested on."""

    family: str
    """With its training patch where the family has several."""
    group: str
    """Architecture group; empty: not stated."""
    perturbation: str
    unit: str
    label: str
    metric: str
    cells: tuple[TrainTestCell, ...]
    """By trained level, then by severity of the test."""
    left_out: tuple[str, ...] = ()
    """Systems that are no repetition, because their checkpoint or training seed is that of another run."""
    note: str = ""
    """What the columns lack, in words."""


@dataclass(frozen=True, slots=True)
class FamilyDifference:
    """Two families that were trained at the same level, tested at the same condition, on the same patients."""

    perturbation: str
    unit: str
    label: str
    metric: str
    trained: float
    """Level of the training images of both; 0 for clean."""
    severity: float
    tested: float
    """Level of the test images; 0 for clean."""
    first: str
    """Family."""
    second: str
    difference: Estimate
    """Mean of the first less mean of the second; simultaneous over the pairs of families at this place."""
    baseline: float
    """Level of the test from which losses count; see `TrainTestCell`."""
    loss: Estimate
    """Loss of the first less loss of the second, likewise; positive: the first loses more."""


@dataclass(frozen=True, slots=True)
class FailureTypes:
    """How the predictions of one system fail under one condition; every case counts once, by its first draw."""

    system: str
    label: str
    perturbation: str
    severity: float
    level: float | None
    unit: str
    n: int
    """Cases with a reference that is not empty, of which there is such a scan: the sum of what follows."""
    good: int
    """DSC of at least .5."""
    empty: int
    """DSC below .5, and no voxel predicted."""
    under: int
    """DSC below .5, and less than half the volume of the reference."""
    over: int
    """DSC below .5, and more than twice the volume of the reference."""
    misplaced: int
    """DSC below .5, and a volume in between."""
    unknown: int
    """No usable prediction; or a DSC below .5 without a volume of the prediction or the reference."""
