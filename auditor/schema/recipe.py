"""``recipe.json``: which systems are not beaten on the scans of a site, or under a stated mix of conditions.

**Conventions.** Those of `results`: display ids, no NaN, no date, no duration and no path. A *mix* gives every
condition a share; the shares sum to 1. A system's *score* of a patient is the mean of the metric over the mix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auditor.schema.audited import MetricInfo
from auditor.schema.estimates import Estimate

__all__ = [
    "RECIPE_VERSION",
    "Interaction",
    "InteractionRow",
    "LeftOut",
    "MixMap",
    "MixShare",
    "RealityCheck",
    "RealityRow",
    "Recipe",
    "RecipePair",
    "RecipeSystem",
    "SiteUse",
]

RECIPE_VERSION = 1
"""Of recipe.json."""


@dataclass(frozen=True, slots=True)
class MixShare:
    """One condition of a mix."""

    perturbation: str
    severity: float
    level: float | None
    unit: str
    share: float
    """Above 0."""


@dataclass(frozen=True, slots=True)
class SiteUse:
    """What of a site's scans the mix is made of."""

    scans: int
    """Of the profile."""
    placed: int
    """Within what the run tested, or cleaner: the recipe speaks of these."""
    beyond: int
    """Beyond the highest severity of an axis: nothing was tested there."""
    undefined: int
    """Could not be placed on any axis."""
    several: int
    """Placed above severity 0 on more than one axis; they count on the one on which they lie furthest."""
    placed_again: bool
    """The profile was placed by another run, and its estimates were placed by this one."""
    hidden: tuple[tuple[str, float], ...] = ()
    """(axis, severity) up to which a site that is worse than the test set counts as severity 0."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Cases that a condition has no number for, on some system."""

    perturbation: str
    severity: float
    cases: int
    patients: int
    """With such a case."""
    statuses: tuple[str, ...]
    """Why."""
    used: bool
    """True: the mix holds the condition, so that these cases enter nothing. False: the condition itself is left
    out of the map and of the worst case."""


@dataclass(frozen=True, slots=True)
class RecipeSystem:
    """One system, or one family, at the mix."""

    name: str
    members: tuple[str, ...]
    """Training runs of a family; the system itself otherwise."""
    score: Estimate
    """Mean score over patients."""
    worst: Estimate
    """Smallest mean score over the mixes of the ball, a lower bound; not_assessable for families."""
    ranks: tuple[float, ...]
    """Share of the bootstrap draws in which it has rank 1, 2, ..; equal systems share the better rank."""


@dataclass(frozen=True, slots=True)
class RecipePair:
    """Two systems, or two families, at the mix."""

    first: str
    second: str
    difference: Estimate
    """Mean of (first - second), patients paired; simultaneous over the pairs."""
    verdict: str
    """Name of the preferred one, or no clear winner."""
    ball: str
    """Preferred under every mix of the ball, or no clear winner."""
    ball_low: float | None
    """Smallest difference over the ball that the band allows; None: not assessed."""
    ball_high: float | None
    radius: float | None
    """Largest radius up to which the preferred one stays preferred; None: there is none, or the
    band is too wide."""


@dataclass(frozen=True, slots=True)
class MixMap:
    """Which systems are not beaten under each of many mixes, from one simultaneous band."""

    kind: Literal["severity", "axes"]
    """severity: so many scans at such a severity, the rest clean; axes: so many on one axis, so many on
    another."""
    perturbations: tuple[str, ...]
    """One, or the two across and upwards."""
    severity: float | None
    """Of both axes; None where it runs upwards."""
    across: tuple[float, ...]
    """Shares of scans."""
    upward: tuple[float, ...]
    """Severities, or shares of scans."""
    sets: tuple[tuple[str, ...], ...]
    """The different sets of systems that are not beaten."""
    cells: tuple[tuple[int, ...], ...]
    """For each upward value a row over `across`: place in `sets`; -1: no such mix."""


@dataclass(frozen=True, slots=True)
class InteractionRow:
    """One system under two perturbations at once."""

    system: str
    together: Estimate
    """Mean drop from clean under both."""
    summed: Estimate
    """Sum of the mean drops under each alone."""
    excess: Estimate
    """Mean of (together - summed); positive: worse together than the sum says."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """Whether two perturbations together do what they do one at a time."""

    status: Literal["adds up", "does not add up", "undecided", "not assessed"]
    parts: tuple[tuple[str, float, float, str], ...]
    """(perturbation, severity, level, unit) of the two."""
    rows: tuple[InteractionRow, ...]
    margin: float
    """Difference that does not matter."""
    sentence: str
    lines: tuple[str, ...] = ()
    """What to add to audit.yaml where it was not assessed."""


@dataclass(frozen=True, slots=True)
class RealityRow:
    """One system on one group of patients, predicted from the other groups."""

    group: str
    system: str
    n: int
    """Patients of the group."""
    others: int
    """Patients of all other groups."""
    observed: float
    """Mean of the group on clean scans."""
    predicted: float
    """What the other groups have at the degradation of the group."""
    residual: Estimate
    """observed - predicted, simultaneous over systems and groups."""
    verdict: Literal["explained", "not explained", "undecided"]


@dataclass(frozen=True, slots=True)
class RealityCheck:
    """Whether the measured axes explain the differences between groups of the labelled cases."""

    status: Literal["explained", "not explained", "undecided", "not assessed"]
    column: str
    """Of the metadata that splits the cases; empty: none does."""
    axes: tuple[str, ...]
    """Measured axes."""
    tolerance: float
    """Difference that does not matter."""
    placements: tuple[tuple[str, str, float], ...]
    """(group, axis, severity) relative to the other groups; below 0: cleaner."""
    rows: tuple[RealityRow, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """The whole of recipe.json."""

    version: int
    tool: str
    audit: str
    """Name of the audit."""
    plan_digest: str
    label: str
    metric: MetricInfo
    level: float
    """Of intervals and bands."""
    seed: int
    by: Literal["system", "family"]
    source: Literal["stated mix", "site profile", "joint condition"]
    mix: tuple[MixShare, ...]
    """Shares sum to 1."""
    site: SiteUse | None
    n: int
    """Patients."""
    left_out: tuple[LeftOut, ...]
    counted_clean: int
    """Cases that drew a scan of the site that is like the test set, and count with their clean scan."""
    systems: tuple[RecipeSystem, ...]
    pairs: tuple[RecipePair, ...]
    not_beaten: tuple[str, ...]
    """Empty when the recipe is not offered."""
    added: tuple[str, ...] | None
    """Systems not beaten if the effects of all axes of a scan were added; None: no scan lies on several."""
    kendall: float | None
    """Mean rank correlation (tau-a) of the bootstrap draws with the ranking; None: fewer than two systems."""
    ball: float
    """Radius, in total variation, of the mixes of the worst case."""
    maps: tuple[MixMap, ...]
    interaction: Interaction
    reality: RealityCheck
    offered: bool
    refusal: str
    """Why it is not offered; empty when it is."""
    sentences: tuple[str, ...]
    """The answer in words, the most important first."""
    limits: tuple[str, ...]
    """What a reader must not conclude."""
    promised: tuple[tuple[str, Estimate], ...] = ()
    """(system, lower bound on the metric of one new scan that is drawn from the mix); empty when the recipe is
    not offered."""
