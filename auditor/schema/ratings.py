"""The rating of one new scan: the content of rating.json.

**Conventions.** Scans appear under display ids; there is no path and no voxel. Bounds are of the DSC and
one-sided; a bound that does not exist is None with a status. Lengths are in mm, or px for images without a
spacing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from auditor.schema.estimates import Estimate
from auditor.schema.site import Placement, SeverityAxis

__all__ = [
    "RATING_VERSION",
    "AxisPosition",
    "CalibratedBin",
    "CertificateFacts",
    "Grade",
    "GradeOutcome",
    "MaskMargins",
    "RatedScans",
    "Rating",
    "RatingCard",
    "RatingContours",
    "RatingPicture",
    "bound_text",
]

RATING_VERSION = 1
"""Raised when a field is added or its meaning changes."""


def bound_text(bound: float, digits: int = 2) -> str:
    """Write a lower bound without promising more than it does: rounded downwards.

    Examples
    --------
    >>> bound_text(0.7999), bound_text(0.8), bound_text(0.29)
    ('0.79', '0.80', '0.29')
    """
    # .29 times 100 is 28.999999999999996
    return f"{math.floor(round(bound * 10**digits, 9)) / 10**digits:.{digits}f}"


class Grade(StrEnum):
    """What a lower bound means for the thresholds that were declared."""

    A = "A"
    """The bound reaches the first threshold."""
    B = "B"
    """It reaches the second one."""
    C = "C"
    """It reaches none."""
    NOT_RATED = "NR"
    """Nothing is promised; the reasons say why."""


@dataclass(frozen=True, slots=True)
class GradeOutcome:
    """What the scans of one grade turned out to be."""

    grade: Grade
    threshold: float
    """DSC that is asked for: the first threshold for A, the second one for B and C."""
    reached: Estimate
    """Share of the patients with that grade whose DSC reaches it (all of their scans do); two-sided."""
    mean_dsc: float | None
    """Over the same patients, each with the mean of their scans; descriptive."""


@dataclass(frozen=True, slots=True)
class CalibratedBin:
    """What was calibrated for scans of one bin of one axis."""

    axis: str
    """Name of the axis whose scans calibrate it; ``clean``: scans as they are."""
    bin: str
    """``0``, ``0-1``, and on: severity, of `auditor.confidence.severity_bin`."""
    patients: int
    """Each with the worst of their scans in the bin."""
    offset: float | None
    """What is added to the proxy, at the marginal rank; the bound itself where no proxy is used."""
    pac_offset: float | None
    """The same at the PAC rank."""
    needed: int
    """Patients from which on there is a marginal bound."""
    needed_pac: int
    """Patients from which on there is a PAC bound."""
    status: str
    """ok, or not_certifiable."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a reader of the rating must know of its certificate."""

    audit: str
    digest: str
    """SHA-256 of the certificate."""
    system: str
    sha256: str
    """Of the checkpoint."""
    label: str
    modality: str
    state: str
    length_unit: str
    alpha: float
    delta: float
    grades: tuple[float, float]
    """Declared thresholds of A and B."""
    patients: int
    """Whose scans calibrated it."""
    scans: int
    """Calibration scans, under all conditions."""
    failed: int
    """Of them without a usable prediction: they count with DSC 0."""
    axes: tuple[str, ...]
    """Perturbations whose severities were calibrated."""
    not_placed: tuple[str, ...]
    """Declared perturbations that no scan can be placed on: they calibrate nothing."""
    proxy: str
    """agreement, self_dsc; empty: one number for all scans of a bin."""
    proxy_note: str
    """Why that proxy, or none; with the correlation and its n."""
    correlation: float | None
    """Of the proxy with the DSC over the patients, clean scans; Spearman."""
    bins: tuple[CalibratedBin, ...]
    outcomes: tuple[GradeOutcome, ...]
    """Of the calibration scans in bin 0 (of the first axis), each patient rated by the others."""


@dataclass(frozen=True, slots=True)
class AxisPosition:
    """Where the scan lies on one axis, and what the calibration scans of its bin have there."""

    axis: SeverityAxis
    placement: Placement
    bin: str
    """Of `auditor.confidence.severity_bin`."""
    calibrated: bool
    """Whether severities of this axis were calibrated; else only scans like the clean ones are."""
    limit: float | None
    """Highest estimate with which the scan is rated, in the unit of the axis; None: not rated by it."""
    inside: bool


@dataclass(frozen=True, slots=True)
class MaskMargins:
    """How far inner and outer mask lie from the border of the prediction."""

    family: str
    """distance, or probability."""
    unit: str
    """mm or px; empty for probabilities."""
    outer: float | None
    """Voxels up to so far outside belong to the outer mask; None: no usable set."""
    inner: float | None
    """Voxels at least so far inside belong to the inner mask; None: no usable set."""
    outer_share: float
    """Of the reference, that the outer mask holds."""
    inner_share: float
    """Of the inner mask, that belongs to the reference."""
    level: float
    """Share of scans for which both hold."""
    n: int
    """Patients."""
    status: str
    """ok, not_certifiable, no_usable_set, not_rated."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Rating:
    """The confidence given to one new scan."""

    version: int
    tool: str
    """segaudit and its version."""
    scan: str
    """Display id."""
    grade: Grade
    bound: Estimate
    """Lower bound of the DSC at the marginal rank: the one that is shown."""
    pac_bound: Estimate
    """At the PAC rank: holds against an unlucky calibration set too."""
    sentence: str
    """The promise in words, with its numbers."""
    reasons: tuple[str, ...]
    """Why it is not rated, one sentence each; empty when it is."""
    notes: tuple[str, ...]
    """What a reader must know of this rating."""
    calibrated_by: str
    """Axis of the bin that gives the bound; empty: none."""
    bin: str
    """The bin; empty: none."""
    group: str
    """Group of predicted foreground ratio that gives the bound; empty: all scans of the bin."""
    proxy: float | None
    """Its value on this scan, in [0, 1]."""
    copies: int
    """Mildly perturbed copies that took part in it."""
    foreground_ratio: float | None
    """Of the prediction."""
    volume: float | None
    """Of the prediction, ml (px for images without a spacing)."""
    positions: tuple[AxisPosition, ...]
    margins: MaskMargins
    outcome: GradeOutcome | None
    """What calibration scans of the same bin and grade turned out to be; None: not rated."""
    used_for_calibration: bool
    """Whether this very scan calibrated the certificate: then nothing new is learnt from it."""
    status: str
    """Of the prediction: ok, prediction_empty, failed, crashed, timed_out, ..., or not_run."""
    certificate: CertificateFacts


@dataclass(frozen=True, slots=True)
class RatingContours:
    """The outline of one mask on a picture."""

    name: str
    """inner, prediction, outer."""
    polygons: tuple[tuple[tuple[float, float], ...], ...]
    """(x, y) in pixels of the picture; the centre of the first pixel is (0.5, 0.5)."""


@dataclass(frozen=True, slots=True)
class RatingPicture:
    """One plane through a rated scan."""

    plane: str
    """Words: rows y, columns x."""
    slice: int | None
    """Index along the axis that is not shown; None: a 2-D image."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    spacing: tuple[float, float]
    """(row, column)."""
    contours: tuple[RatingContours, ...]
    png: str
    """Base64 of the grey picture; empty: without pixels."""


@dataclass(frozen=True, slots=True)
class RatingCard:
    """A rating with its pictures: what the page shows."""

    rating: Rating
    pictures: tuple[RatingPicture, ...]


@dataclass(frozen=True, slots=True)
class ScanOutcome:
    """A rated scan beside its reference."""

    scan: str
    patient: str
    """Display id."""
    dsc: float | None
    """None: undefined, `status` says why; a failed prediction counts with 0."""
    status: str
    held: bool | None
    """Whether its DSC reaches the bound; None: nothing was promised, or nothing can be said."""


@dataclass(frozen=True, slots=True)
class Promises:
    """How often bounds held on patients with references."""

    kept: Estimate
    """Share of patients for whom every bound held; two-sided."""
    held: int
    patients: int
    """With at least one rated scan."""
    nominal: float
    """1 - alpha."""
    verdict: str
    outcomes: tuple[GradeOutcome, ...]
    """Of the rated scans, by grade."""
    not_rated: int
    """Patients whose scans were all not rated."""
    calibration: int
    """Scans that calibrated the certificate, left out of the count."""
    scans: tuple[ScanOutcome, ...]


@dataclass(frozen=True, slots=True)
class RatedScans:
    """Several scans rated with one certificate: the content of ratings.json."""

    version: int
    tool: str
    certificate: CertificateFacts
    ratings: tuple[Rating, ...]
    unread: tuple[tuple[str, str], ...] = ()
    """Display id and reason of every scan that could not be read; with its reference so, it is rated."""
    promises: Promises | None = None
    """None: no references."""
