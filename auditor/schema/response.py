"""How a system responds to severity, and how it repeats: curves, breakpoints, envelope, descriptive measures.

**Conventions.** Those of `results`. A drop is a change for the worse from clean: positive is worse. What
failed counts at its named worst value; a scan that a level does not change, or that refuses it, has no
number there and is never counted as support.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from auditor.schema.estimates import Estimate

__all__ = [
    "Breakpoint",
    "BreakpointStep",
    "CoefficientOfVariation",
    "EnvelopeRow",
    "Measure",
    "Repeatability",
    "RepeatabilityRow",
    "Response",
    "ResponsePoint",
    "RobustnessMeasure",
    "SeverityCrossing",
    "StepVerdict",
]

Measure = Literal[
    "mean_change",
    "share_best",
    "mean_degradation",
    "corruption_error",
    "relative_corruption_error",
    "seed_spread",
]
"""Descriptive measures, see `auditor.analysis.robustness`."""


class StepVerdict(StrEnum):
    """What the evidence says of a declared limit at one severity, or along an axis."""

    SUPPORTED = "supported"
    """The bound meets the limit here and at every lower severity."""
    UNDETERMINED = "undetermined"
    """The bounds lie on both sides of the limit."""
    VIOLATED = "violated"
    """The opposite bound misses the limit, at this severity alone."""
    NOT_ATTAINABLE = "not attainable"
    """No absence of a drop in so few patients could meet the limit."""
    NOT_REACHED = "not reached"
    """The bound meets the limit, but the sequence ended at a lower severity."""
    NOT_ASSESSED = "not assessed"
    """No patient has a number: the level changes nothing, or no scan takes it."""


@dataclass(frozen=True, slots=True)
class ResponsePoint:
    """One severity of a response curve; all points of a curve have the same patients."""

    severity: float
    level: float | None
    mean: Estimate
    """With its pointwise interval."""
    band: Estimate
    """The same mean with the interval that holds at all severities of the curve at once."""
    drop: Estimate
    """Mean paired drop from clean, pointwise; at clean: not_assessable."""
    drop_band: Estimate
    """The same at all severities at once."""


@dataclass(frozen=True, slots=True)
class BreakpointStep:
    """One severity of a fixed sequence of tests."""

    severity: float
    level: float | None
    estimate: Estimate
    """Mean drop, or mean, over the patients that have a number here."""
    lower: Estimate
    upper: Estimate
    left_out: int
    """Patients without a number here."""
    failed: int
    """Patients that count at a worst value here, or on the clean scan."""
    verdict: StepVerdict


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """Up to which severity a declared limit is supported: fixed sequence, each step at the full level."""

    claim: Literal["drop", "mean"]
    """drop: the mean drop from clean is at most the threshold; mean: the mean is at least that."""
    threshold: float
    level: float
    """One-sided confidence level."""
    steps: tuple[BreakpointStep, ...]
    """By severity; those of a mean begin at clean."""
    supported: float | None
    """Largest severity up to which every assessed one is supported; None: none is."""
    supported_level: float | None
    violated: float | None
    """Smallest severity with evidence of violation; None: none."""
    violated_level: float | None
    status: StepVerdict
    """Of the axis: supported, or what the first assessed severity says."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class SeverityCrossing:
    """At which severity the monotone fit of the means passes a declared limit; descriptive."""

    claim: Literal["drop", "mean"]
    threshold: float
    at: Estimate
    """In severities, read by straight lines between those that were tested."""


@dataclass(frozen=True, slots=True)
class Response:
    """How one metric of one label responds to one perturbation."""

    system: str
    label: str
    metric: str
    perturbation: str
    unit: str
    """Of the levels."""
    n: int
    """Patients of the curve: those with a case that has a number at every severity of it."""
    left_out: int
    """Patients that have a clean number and are not in the curve."""
    points: tuple[ResponsePoint, ...]
    """From clean to the highest severity at which some case has a number."""
    area: Estimate
    """Mean over patients of the trapezoid over severities, divided by their range."""
    relative_area: Estimate
    """Mean area over mean clean value: a ratio of means over patients, never a mean of ratios."""
    breakpoints: tuple[Breakpoint, ...]
    """One for each declared limit."""
    rise: Estimate
    """Largest rise of the mean from one severity to the next, with its simultaneous lower bound: above 0
    it contradicts a falling curve."""
    monotone: tuple[tuple[float, float], ...]
    """(severity, falling fit of the means); empty where the response rises."""
    crossings: tuple[SeverityCrossing, ...]
    status: str
    note: str


@dataclass(frozen=True, slots=True)
class EnvelopeRow:
    """One axis of the operating envelope of one system: all declared limits together."""

    system: str
    label: str
    metric: str
    perturbation: str
    unit: str
    claims: tuple[tuple[str, float], ...]
    """(drop or mean, threshold) of every declared limit."""
    level: float
    """One-sided confidence level of each; all must hold, so none is adjusted."""
    tested: float | None
    """Highest severity at which some patient has a number; None: none."""
    tested_level: float | None
    supported: float | None
    """Severity up to which all limits are supported; None: no severity beyond clean."""
    supported_level: float | None
    degraded: float | None
    """Smallest severity at which one of them is violated; 0: already on clean scans."""
    degraded_level: float | None
    n: int
    """Fewest patients of a severity that the row speaks of."""
    status: StepVerdict
    note: str = ""


@dataclass(frozen=True, slots=True)
class RepeatabilityRow:
    """How much one metric differs between independent draws of one condition, patients apart."""

    system: str
    label: str
    metric: str
    perturbation: str
    severity: float
    level: float | None
    unit: str
    replicates: int
    """Draws of a case; some of a case may be missing."""
    within: Estimate
    """Within-patient SD: root of the mean over patients of the variance between draws."""
    coefficient: Estimate
    """Within-patient SD over the mean, %."""
    limit: Estimate
    """Repeatability coefficient 1.96 sqrt(2) SD: two draws differ by more in about 1 of 20 pairs, where
    differences are about normal."""
    between: float | None
    """SD between patients, the share of the draws taken off; 0 where the draws explain all of it."""
    left_out: int
    """Patients with fewer than two draws that have a number."""
    failed: int
    """Patients of which a draw counts at a worst value."""


@dataclass(frozen=True, slots=True)
class Repeatability:
    """Independent draws of conditions as a component of variance, shown apart from patients."""

    rows: tuple[RepeatabilityRow, ...] = ()
    not_assessed: tuple[str, ...] = ()
    """Perturbations that were drawn once a case: nothing is known of other draws."""


@dataclass(frozen=True, slots=True)
class CoefficientOfVariation:
    """Population SD of the condition means over their mean, clean among the conditions (descriptive)."""

    system: str
    label: str
    metric: str
    value: float | None
    n_conditions: int
    n_cases: int
    """Cases of the condition with the fewest."""
    status: str = "ok"
    note: str = ""


@dataclass(frozen=True, slots=True)
class RobustnessMeasure:
    """One number of the literature for one system; descriptive, without an interval."""

    measure: Measure
    system: str
    """Seed spread: the family."""
    label: str
    metric: str
    perturbation: str
    """clean, or the name of one; empty: over all of them."""
    value: float | None
    n_conditions: int
    n_cases: int
    """Cases of the condition with the fewest; seed spread: systems of the family."""
    reference: str = ""
    """Corruption errors: the system that they are relative to."""
    status: str = "ok"
    note: str = ""
