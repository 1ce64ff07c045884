"""On which cases a system works less well, as ``results.json`` tells it.

**Conventions.** Those of `results`. *Difficulty* is a property of a case, turned so that more of it is
meant to be harder; its *percentile* is the share of patients that are easier, half of those alike
counted, in [0, 100]. All scores are those of clean scans; what failed counts at its named worst value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auditor.schema.estimates import Estimate


@dataclass(frozen=True, slots=True)
class DifficultyAxis:
    """How the clean DSC of one system depends on one meaning of difficulty."""

    system: str
    label: str
    axis: str
    """rater_disagreement, foreground_ratio, object_volume, texture_disparity, native_noise."""
    unit: str
    """Of the values; empty for a ratio."""
    harder: Literal["high", "low"]
    """Which end of the values is meant to be harder."""
    rho: Estimate
    """Spearman's rank correlation of difficulty with DSC: negative where harder cases score lower."""
    partial: Estimate
    """The same with object size held fixed (ranks partialled for size)."""
    points: tuple[tuple[str, float, float, float], ...]
    """(case, value on the axis, DSC, percentile of difficulty)."""
    window: int
    """Patients in the window of the running mean; 0: too few patients for one."""
    line: tuple[tuple[float, float, float, float], ...]
    """(percentile, running mean of the DSC, low, high): a pointwise band, descriptive."""
    note: str = ""
    """Cases without a value, and why; why there is no line."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where a monotone curve meets a declared value."""

    declared: float
    """Value of the metric that was declared good enough (`within`)."""
    at: Estimate
    """Foreground ratio from which on the fitted mean is at least that; None: see its note."""


@dataclass(frozen=True, slots=True)
class DoseResponse:
    """Monotone curve of the clean DSC of one system over the foreground ratio."""

    system: str
    label: str
    metric: str
    n: int
    """Patients."""
    level: float
    """Of the pointwise band."""
    method: str
    status: str
    """ok, too_few, not_assessable, or contradicted: the data do not rise with the ratio."""
    note: str
    """Why there is no curve, or what a reader must know of it."""
    curve: tuple[tuple[float, float, float, float], ...]
    """(foreground ratio, fitted mean, low, high), rising; empty unless the status is ok."""
    violation: Estimate
    """Largest fall of the mean from a group of patients to one with more foreground, with the lower
    bound that is simultaneous over all pairs of groups: above 0 it contradicts a rising curve."""
    groups: tuple[tuple[float, float, int, float], ...]
    """(smallest ratio, largest ratio, patients, mean) of the groups behind the violation."""
    crossing: Crossing | None
    """None: no value is declared for the metric."""


@dataclass(frozen=True, slots=True)
class WindowUse:
    """One window of a study: a system of a sweep, or training runs under the patch they were trained with."""

    name: str
    """Of the system; of training runs the family with its patch."""
    systems: tuple[str, ...]
    """The system, or the training runs whose scores are averaged within each patient."""
    window: str
    """As it was declared, in the order of the system's axes: 64x64x32; or whole image."""
    property: str
    """Name of the property that holds the share of foreground in its windows."""
    training: tuple[float, float] | None
    """Declared smallest and largest share of foreground in the training patches; of several training
    runs the range that all of them declare to have seen. None: see what is missing."""
    points: tuple[tuple[str, float, float], ...]
    """(case, share of foreground in the windows that hold any, DSC)."""


@dataclass(frozen=True, slots=True)
class WindowCell:
    """Mean DSC of one window in one group of patients."""

    use: str
    """Name of the window's use."""
    side: Literal["all", "inside", "outside", "below", "above"]
    """Where the share of foreground in the windows lies to the range of the training; outside is below
    or above, which are told apart for all sizes together only."""
    size: str
    """``all``, or the group of object size."""
    mean: Estimate


@dataclass(frozen=True, slots=True)
class WindowDifference:
    """Two windows on the same patients."""

    first: str
    """Name of a use."""
    second: str
    group: str
    """``all``, a group of object size, or ``changes side``: cases inside the training range under one of
    the two windows and outside under the other; the difference is then inside less outside."""
    difference: Estimate
    """Mean of (first - second), patients paired; simultaneous over the pairs of the group."""


@dataclass(frozen=True, slots=True)
class RangeDrop:
    """By how much a window scores less outside of the training range than inside, on other patients."""

    use: str
    size: str
    """``all``, or the group of object size."""
    drop: Estimate
    """Mean DSC inside less mean DSC outside; n counts the patients of both sides."""


@dataclass(frozen=True, slots=True)
class LossShare:
    """Which part of all that is lost (1 - DSC, summed) is lost in one group of cases."""

    use: str
    group: str
    """A group of object size, or inside, below or above the training range."""
    share: Estimate
    """Loss of the group over the loss of all cases."""
    cases: float
    """The group's share of the cases: what the loss would be if it were spread evenly."""


@dataclass(frozen=True, slots=True)
class WindowStudy:
    """Windows of several sizes, read against the share of foreground in them.

    Either one checkpoint under several windows (a sweep), or one family with checkpoints that were
    trained per patch size, each under its own patch. The two answer different questions.
    """

    label: str
    family: str
    """Whose checkpoints were trained per patch size; empty: a sweep of one checkpoint."""
    uses: tuple[WindowUse, ...]
    """From the smallest window to the largest."""
    sizes: tuple[str, ...]
    """Groups of object size, rising; empty: not assessable."""
    cells: tuple[WindowCell, ...]
    differences: tuple[WindowDifference, ...]
    drops: tuple[RangeDrop, ...]
    losses: tuple[LossShare, ...]
    missing: tuple[str, ...]
    """What could not be read, and why, in words."""


@dataclass(frozen=True, slots=True)
class RangeDropDifference:
    """Whether leaving the training range costs one family more than another, at one patch size."""

    label: str
    patch: str
    """Window and training patch of both."""
    first: str
    """Family."""
    second: str
    size: str
    """``all``, or the group of object size."""
    difference: Estimate
    """Drop of the first less drop of the second, on the same patients; positive: the first loses more.
    Simultaneous over the pairs of families of this patch and size."""
