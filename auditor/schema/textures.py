"""Systems that were trained under stated conditions, tested under others; and how predictions fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auditor.schema.estimates import Estimate

__all__ = ["FailureTypes", "FamilyDifference", "FamilyMeasures", "TrainTestCell", "TrainTestMatrix"]


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

    scope: Literal["system", "family"]
    """family: the training runs of a family that were trained alike, a case counting once a run."""
    system: str
    """Name of the system, or of the family."""
    label: str
    perturbation: str
    severity: float
    level: float | None
    unit: str
    n: int
    """Cases with a reference that is not empty, of which there is such a scan: the sum of what follows."""
    good: int
    """DSC of at least .5."""
    failures: int
    """All others, of which the types follow."""
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


@dataclass(frozen=True, slots=True)
class FamilyMeasures:
    """The measures of the literature for a family of training runs, or for a group of families; descriptive.

    Of a group each number is the mean over its families, every family weighing alike; the worst case is
    the worst of all of them.
    """

    scope: Literal["family", "group"]
    name: str
    members: tuple[str, ...]
    """Training runs of a family, families of a group."""
    training: str
    """How they were trained, where a family was trained in several ways; only what was trained alike is set
    side by side. Empty: every family was trained in one way."""
    label: str
    metric: str
    policy: Literal["each run", "any run"]
    """What a case counts where a run has no value: the mean over runs, that run at its named worst value;
    or the worst value, whichever run it was. Only *each run* is there where no run lacks a value."""
    clean: float | None
    """Mean over patients on clean scans."""
    perturbed: float | None
    """Mean over the perturbed conditions of their means."""
    change: float | None
    """Mean over the perturbed conditions of the paired mean change from clean; positive: the number grows."""
    variation: float | None
    """Population SD over mean of the condition means, clean among them; None where the metric can be
    negative, or there are fewer than two conditions."""
    best_clean: float | None
    """Share of clean cases on which the family is best; ties share a case. None: one family alone."""
    best: float | None
    """The same, mean over all conditions."""
    tail_clean: float | None
    """5th percentile over patients on clean scans; the 95th where less is better."""
    tail: float | None
    """The same over patients and all conditions pooled."""
    worst: float | None
    """Worst value of a patient under any condition."""
    spread: float | None
    """Sample SD of the mean over conditions: between runs of a family, between families of a group."""
    n_conditions: int
    n_patients: int
    """Of the condition with the fewest."""
