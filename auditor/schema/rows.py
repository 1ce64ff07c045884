"""What the execution stores: one wide table of rows, six kinds of them.

**Conventions.** One shard (one Parquet file) holds all rows of one unit for one system, so that it
is written atomically. Column ``record`` tells the kind: a *scan* row measures a perturbed scan, an
*evaluation* row describes one prediction, a *measurement* row is one metric of one label, a
*property* row is one property of a case, a *calibration* row one number of a prediction that a certificate
is made of, a *layer* row how far a perturbation moves the activations of one layer (column ``metric`` names
all three). Columns that do not belong to
a kind are null. A missing number is null and its ``status`` says why.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum

SHARD_VERSION = 4
"""Raised when a column is added or its meaning changes."""

CLEAN = "clean"
"""Name of the condition that all others are paired with; severity 0, no level."""

CONTROLS = "controls"
"""Name under which the scan rows and the control systems of a unit are stored."""


class Status(StrEnum):
    """Why there is a value, or why there is none."""

    OK = "ok"
    BOTH_EMPTY = "both_empty"
    REFERENCE_EMPTY = "reference_empty"
    PREDICTION_EMPTY = "prediction_empty"
    NOT_FINITE = "not_finite"
    NO_EFFECT = "no_effect"
    """The level changes nothing on this scan."""
    NOT_APPLICABLE = "not_applicable"
    """There is no such perturbed scan: the perturbation refuses the scan, or no level has the effect."""
    FAILED = "failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"


class Record(StrEnum):
    """Kind of a stored row."""

    SCAN = "scan"
    EVALUATION = "evaluation"
    MEASUREMENT = "measurement"
    PROPERTY = "property"
    """What groups of cases and difficulty are read from: measured on a clean scan and its references,
    stored with the clean unit's scan rows."""
    CALIBRATION = "calibration"
    """What a certificate is made of: a proxy, or how far a set of voxels must reach, of one prediction."""
    LAYER = "layer"
    """How far the activations of one layer lie from those of the clean scan."""


class Region(StrEnum):
    """Which part of the image is scored."""

    WHOLE = "whole"
    """The whole image: the only region of intensity perturbations."""
    RETAINED = "retained"
    """What a geometric perturbation left inside the field of view: the main row there."""


@dataclass(frozen=True, slots=True)
class Row:
    """One stored row. See the module's conventions for which column belongs to which kind."""

    record: str
    """Kind of the row."""
    system: str
    """Name of the system; ``controls`` for scan rows."""
    case: str
    """The user's name of the case (mapped to a display id by the analysis)."""
    patient: str
    """The user's name of the patient."""
    perturbation: str
    """Name in the catalogue, or ``clean``."""
    severity: float
    """0 for clean."""
    level: float | None
    """Level in `unit`; null for clean."""
    unit: str
    """Unit of the level; empty for clean."""
    replicate: int
    """0, 1, ..: independent draws."""
    status: str
    """See `Status`."""
    reason: str = ""
    """One sentence when the status is not ok."""
    # measurement
    label: str | None = None
    """Name of the label."""
    metric: str | None = None
    """Name in the catalogue of metrics; property rows: name of the property."""
    region: str | None = None
    """See `Region`."""
    reference: str | None = None
    """What is scored against: ``reference`` or ``rater_2``."""
    value: float | None = None
    """In the metric's unit."""
    worst: float | None = None
    """The metric's named worst case on this scan, for the worst-case analysis."""
    # evaluation
    predicted_volume_ml: float | None = None
    """Volume of the label in the prediction (px images: pixels)."""
    self_dsc: float | None = None
    """2 sum_{p>.5} p / (#{p>.5} + sum p) of the label: a proxy that needs no reference."""
    clean_agreement: float | None = None
    """DSC of this mask with the same system's mask of the clean scan."""
    mask_digest: str | None = None
    """First 16 hex digits of the SHA-256 of the predicted label map: reproduces or not."""
    seconds: float | None = None
    """Wall time of the prediction; never part of results.json."""
    # scan
    nrmse: float | None = None
    """Root mean square difference from the clean scan over the clean scan's S_ref."""
    psnr: float | None = None
    """Peak signal-to-noise ratio against the clean scan, dB; null when identical."""
    ssim: float | None = None
    """Structural similarity with the clean scan."""
    contrast_to_noise: float | None = None
    """Foreground against its surroundings, over the noise estimate."""
    s_ref: float | None = None
    """Reference signal of the clean scan."""
    native_level: float | None = None
    """Estimated level of the *clean* scan on this perturbation's axis, where estimable."""
    estimated_level: float | None = None
    """Estimated level of this perturbed scan on the same axis (total, not added)."""
    estimated_noise: float | None = None
    """Estimated noise sigma, % of S_ref."""
    estimated_blur: float | None = None
    """Estimated blur, FWHM in mm (px)."""
    estimated_bias: float | None = None
    """Estimated intensity non-uniformity, %."""
    foreground_ratio: float | None = None
    """Reference volume over image volume of `label`, clean scan."""
    rater_assd: float | None = None
    """Mean pairwise ASSD of the raters for `label`, mm (px)."""
    rater_dsc: float | None = None
    """Mean pairwise DSC of the raters for `label`."""
    warp_ceiling: float | None = None
    """Geometry: DSC of the reference itself after the warp there and back, for `label`."""
    facts: str | None = None
    """JSON object of what else is recorded of the perturbation (``{"slice_thickness_mm": 15.0}``) or
    belongs to a property (``{"windows": 27, "holding": 8}``)."""


ROW_COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(Row))
"""Column names of a shard, in order."""
