"""Records of the comparison of a system with its raters.

**Conventions.** All numbers are over patients. A margin is in the unit of the metric, or, for the
Williams index, a share of 1. Verdicts are words, see `RangeVerdict`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auditor.schema.estimates import Estimate

__all__ = [
    "AnnotatorPosition",
    "AnnotatorTest",
    "RangeTest",
    "RangeVerdict",
    "WilliamsIndex",
]

RangeVerdict = Literal[
    "within",
    "within (conditional)",
    "outside",
    "outside (conditional)",
    "undetermined",
    "too few patients",
]
"""within, outside: by a bound that also holds for patients unlike those seen; conditional: by
resampling, given that no patient is unlike those seen; undetermined: by neither."""


@dataclass(frozen=True, slots=True)
class RangeTest:
    """Whether a system agrees with raters as well as raters do, up to a declared margin."""

    question: str
    """What was compared, in words."""
    difference: Estimate
    """Mean over patients of (system - raters), two-sided at 2 level - 1; positive: the system agrees
    better."""
    margin: float
    """Largest loss of agreement that still counts as within; > 0."""
    level: float
    """Of each one-sided bound."""
    lower: Estimate
    """One-sided lower bound by which *within* is decided."""
    upper: Estimate
    """One-sided upper bound by which *outside* is decided."""
    conditional_lower: Estimate
    """One-sided lower bound by resampling; `lower` itself from 120 patients on."""
    conditional_upper: Estimate
    """One-sided upper bound by resampling; `upper` itself from 120 patients on."""
    verdict: RangeVerdict
    equivalence: Literal["equivalent", "equivalent (conditional)", "not shown"]
    """Two one-sided tests (TOST): the system is neither worse nor better by the margin or more."""
    needed: int | None
    """Fewest patients of whom any could be shown *within* without a condition; None: no number of them,
    or bounds of no such kind."""


@dataclass(frozen=True, slots=True)
class WilliamsIndex:
    """Agreement of a system with raters, divided by that of raters with each other."""

    index: Estimate
    """Ratio of means over patients, two-sided at 2 level - 1; 1: as raters with each other."""
    margin: float
    """Largest share of the raters' agreement that may be missing; in (0, 1)."""
    level: float
    """Of each one-sided bound."""
    verdict: Literal[
        "within (conditional)", "outside (conditional)", "undetermined", "too few patients"
    ]
    """within: the whole interval is at least 1 - margin. Resampling decides, so every verdict is
    conditional."""


@dataclass(frozen=True, slots=True)
class AnnotatorPosition:
    """One rater whose place the system took."""

    rater: str
    """rater_1, ..; ``any`` when the raters change from case to case."""
    share: Estimate
    """Share of patients on whom the system agrees with the other raters at least as well as this rater
    does; two-sided, not adjusted for the number of raters."""
    p_value: float | None
    """Adjusted (Holm) exact p-value of the claim that the share exceeds the declared one; None where the
    raters are pooled or there is no patient."""
    passed: bool
    """True: the share is shown to exceed the declared one, for all raters at once."""


@dataclass(frozen=True, slots=True)
class AnnotatorTest:
    """The alternative annotator test: whether the system could stand in for a rater."""

    positions: tuple[AnnotatorPosition, ...]
    least: float
    """Declared share of patients that must be exceeded."""
    level: float
    """1 - level bounds the chance of any false pass."""
    pooled: bool
    """True: raters have no identity across cases, so only their average is tested."""
    verdict: Literal["for every rater", "for some raters", "for no rater", "too few patients"]
    """For which raters the system is shown to stand in."""
