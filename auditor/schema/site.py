"""What is measured on a site's own scans, and where they lie on the severity axes of a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "SITE_VERSION",
    "Measured",
    "Placement",
    "ProfiledScan",
    "SeverityAxis",
    "Side",
    "SiteProfile",
]

SITE_VERSION = 1
"""Of site.json."""


class Side(StrEnum):
    """Where a scan lies in relation to the scans of a run."""

    CLEANER = "cleaner"
    """Below what the clean scans of the run have; counts as severity 0."""
    WITHIN = "within"
    """Between severity 0 and the highest severity of the run."""
    BEYOND = "beyond"
    """Above the highest severity of the run: nothing was tested there."""
    UNDEFINED = "undefined"
    """It cannot be placed; the reason says why."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One property of one scan."""

    name: str
    """noise, blur, bias, ghosting, slice_thickness, intensity_low, intensity_high, s_ref."""
    value: float | None
    """In `unit`; None where it is not defined."""
    unit: str
    """As printed."""
    reason: str = ""
    """Why there is no value."""


@dataclass(frozen=True, slots=True)
class Placement:
    """One scan on one severity axis."""

    perturbation: str
    """Name of the axis."""
    estimate: float | None
    """Estimated level of the scan, in the unit of the axis: its total, not what was added."""
    side: Side
    """Cleaner, within, beyond or undefined."""
    severity: float | None
    """Where its estimate equals the median of the run's scans; 0 when it is no more than what the clean
    scans have; None when beyond or undefined."""
    low: float | None
    """Lowest severity that its estimate is compatible with."""
    high: float | None
    """Highest severity that its estimate is compatible with; None: beyond."""
    reason: str = ""
    """Why it could not be placed."""


@dataclass(frozen=True, slots=True)
class ProfiledScan:
    """One scan of a site: a row, so that what occurs together stays together."""

    scan: str
    """Display id, S001 and on; never a file name."""
    spacing: tuple[float, ...]
    """(z, y, x) or (y, x), mm (px)."""
    shape: tuple[int, ...]
    """Voxels along each axis."""
    measured: tuple[Measured, ...]
    """Properties of the scan."""
    placements: tuple[Placement, ...] = ()
    """One per axis of the run; empty without a run."""


@dataclass(frozen=True, slots=True)
class SeverityAxis:
    """What the estimator of an axis gives on the scans of a run at every severity."""

    perturbation: str
    """Name of the axis."""
    unit: str
    """Of levels and estimates."""
    severities: tuple[float, ...]
    """Rising, 0 first: the test set as it is."""
    levels: tuple[float, ...]
    """Added at each severity; the neutral level first."""
    median: tuple[float, ...]
    """Estimate at each severity, median over scans, made non-decreasing."""
    low: tuple[float, ...]
    """Lower limit of the estimates of scans at each severity."""
    high: tuple[float, ...]
    """Upper limit of the estimates of scans at each severity."""
    n: int
    """Scans (cases) with an estimate."""
    share: float
    """Of the scans that lie below each upper limit, and above each lower one."""
    usable: bool = True
    """False when the estimate does not rise along the axis, so that nothing can be placed."""
    reason: str = ""
    """Why it is not usable."""


@dataclass(frozen=True, slots=True)
class SiteProfile:
    """The unlabelled scans of a site, measured, as rows."""

    version: int
    tool: str
    """segaudit and its version."""
    modality: str
    """Declared for all scans."""
    state: str
    """raw, windowed, normalised, skull_stripped."""
    scans: tuple[ProfiledScan, ...]
    """One row a scan."""
    unread: tuple[tuple[str, str], ...] = ()
    """Display id and reason of every file that could not be read, or is no scan of the modality."""
    run: str = ""
    """SHA-256 of the plan of the run whose table places the scans; empty without a run."""
    axes: tuple[SeverityAxis, ...] = ()
    """The run's own table from estimate to severity."""
