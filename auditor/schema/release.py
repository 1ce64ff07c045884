"""Two finished runs on the same cases: whether a new release is as good as the one before.

**Conventions.** Differences are changes for the worse, *after* against *before*: positive is worse, whatever
the direction of the metric. Cases and patients appear under the display ids of the run after. There is no
path, no date and no name of a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from auditor.schema.estimates import Estimate

__all__ = [
    "RELEASE_VERSION",
    "Flip",
    "ReleaseChange",
    "ReleaseComparison",
    "ReleasePair",
    "ReleaseStratum",
    "ReleaseVerdict",
    "RunAsCompared",
]

RELEASE_VERSION = 1
"""Of compare.json."""


class ReleaseVerdict(StrEnum):
    """What the evidence says of a change."""

    NON_INFERIOR = "NON-INFERIOR"
    """The assured bound of the loss lies within the margin."""
    CONDITIONAL = "NON-INFERIOR (conditional)"
    """The resampled bound does, given no unseen collapse."""
    INFERIOR = "INFERIOR"
    """The simultaneous interval of the loss lies beyond the margin, or its lower phantom bound does, at a
    level shared between the conditions."""
    UNDECIDED = "UNDECIDED"
    """Neither: the note of the assured bound says when no data of so many patients could assure the
    margin."""


@dataclass(frozen=True, slots=True)
class ReleaseChange:
    """One label of one system at one condition, before and after."""

    perturbation: str
    severity: float
    level: float | None
    unit: str
    label: str
    before: float | None
    """Mean of the metric over the patients of both runs; failures at their worst value."""
    after: float | None
    loss: Estimate
    """Mean change for the worse, paired; the interval holds for all conditions of the label at once."""
    assured: Estimate
    """Upper bound of the loss, by one phantom patient who goes from perfect to zero."""
    conditional: Estimate
    """Upper studentized bound of the loss."""
    verdict: ReleaseVerdict
    left_out: int
    """Patients of both runs without a number in one of them."""


@dataclass(frozen=True, slots=True)
class ReleaseStratum:
    """One group of cases, on clean scans."""

    axis: str
    stratum: str
    label: str
    loss: Estimate
    """Mean change for the worse; the interval holds for all groups of the label at once."""
    regression: bool
    """True: the interval lies above 0."""


@dataclass(frozen=True, slots=True)
class Flip:
    """One case that changed sides."""

    case: str
    patient: str
    perturbation: str
    severity: float
    label: str
    before: float | None
    after: float | None
    status_before: str
    status_after: str
    way: Literal["lost", "gained"]
    """lost: reached the threshold before, not after."""


@dataclass(frozen=True, slots=True)
class ReleasePair:
    """One system before and after."""

    before: str
    """Name of the system in the run before."""
    after: str
    same_predictions: int
    """Predictions with the same mask in both runs."""
    compared_predictions: int
    changes: tuple[ReleaseChange, ...]
    """Clean first."""
    strata: tuple[ReleaseStratum, ...]
    flips: tuple[Flip, ...]
    """At most 200; lost ones first, the largest loss first."""
    lost: int
    """All flips of that way, over conditions and labels."""
    gained: int
    verdict: ReleaseVerdict
    """Over all conditions: NON-INFERIOR when each is, INFERIOR when one is."""


@dataclass(frozen=True, slots=True)
class RunAsCompared:
    """One of the two runs."""

    name: str
    """Of its audit."""
    tool_version: str
    plan_digest: str
    cases: int
    patients: int
    alone: int
    """Cases that the other run does not have."""


@dataclass(frozen=True, slots=True)
class ReleaseComparison:
    """The whole of compare.json."""

    version: int
    before: RunAsCompared
    after: RunAsCompared
    metric: str
    margin: float
    """Largest loss that still counts as none."""
    threshold: float
    """Value at which a case changes sides."""
    level: float
    """One-sided, of bounds; two-sided, of intervals."""
    patients: int
    """In both runs."""
    pairs: tuple[ReleasePair, ...]
    not_compared: tuple[str, ...]
    """Conditions, labels, systems and cases of one run alone, in words."""
    sentences: tuple[str, ...]
    """The answer in words."""
    limits: tuple[str, ...]
