"""What a metric says when a mask is empty or an evaluation failed: the one table.

**The table** is `POLICY`, one line a metric; the report, ``segaudit ls metrics`` and the
documentation print it (`policy_words`, `worst_words`). Three rules are behind its cells.

*A value that the definition gives stays a value.* ``formula``: the metric's function is asked, empty
mask or not. ``zero``: 0 by the formula, where the function itself needs two masks. ``none``: the
definition gives no value; the status says why, and *counts* tells whether the named worst case
stands in for it in the worst-case analysis, or the row leaves that analysis too.

*Finding nothing where there is nothing is right*, and no metric of agreement can grade it: it
neither raises a mean as a 1 nor lowers it as a 0. Nothing can be said of the sensitivity to an empty
reference, whatever is predicted; false alarms there are counted by DSC, IoU, NSD, precision and all
metrics that know the whole image.

*A total miss must not be lost, nor look good.* Where it has no value, the worst case stands in.
`BLIND` names the metrics that cannot see it: a prediction that marks nothing has no false positives,
and a specificity of 1, by definition. Their values stay what the definition says, and whoever reads
or claims them is told.

**Failed evaluations** (failed, crashed, timed_out, rejected, quarantined, not_finite) have no value
and a worst case. ``no_effect`` and ``not_applicable`` have neither: nothing was evaluated, for the
perturbed scan is the clean one, or there is none, or the metric asks for what does not exist.

**Worst cases** are bounds that no prediction exceeds on that scan; see `Worst`. Those that are no
end of the metric's range depend on the field of view; a report names them with their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from auditor.schema import Status

FAILURES = frozenset(
    {
        Status.FAILED,
        Status.CRASHED,
        Status.TIMED_OUT,
        Status.REJECTED,
        Status.QUARANTINED,
        Status.NOT_FINITE,
    }
)
"""Statuses of an evaluation that gave no usable mask: the worst case stands in for the value."""

NOT_ASKED = frozenset({Status.NO_EFFECT, Status.NOT_APPLICABLE})
"""Statuses of an evaluation for which there was no perturbed scan, or nothing to measure."""

EMPTY = frozenset({Status.PREDICTION_EMPTY, Status.REFERENCE_EMPTY, Status.BOTH_EMPTY})
"""Statuses of an evaluation with at least one empty mask."""

Value = Literal["zero", "formula", "none"]
"""zero: 0; formula: what the metric's function gives; none: the definition gives no value."""

Worst = Literal[
    "zero",
    "one",
    "diagonal",
    "largest_volume_difference",
    "largest_relative_difference",
    "most_components",
]
"""Rule of a named worst case.

* ``zero``: 0, the lower end of metrics in [0, 1] of which more is better.
* ``one``: 1, the upper end of metrics in [0, 1] of which less is better.
* ``diagonal``: of the image; no distance between two surfaces in it is longer.
* ``largest_volume_difference``: the larger of the reference's volume (nothing found) and the rest of
  the image (everything found); no mask is further off.
* ``largest_relative_difference``: the same in % of the reference's volume; none for an empty one.
* ``most_components``: how many separate components fit into the image: one for each block of 2x2x2
  (2x2) voxels, for two voxels of one block always touch.
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """One cell of the table."""

    value: Value
    """What the definition gives."""
    counts: bool
    """False: no worst case stands in for a missing value."""
    words: str
    """The same for a reader."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One line of the table."""

    prediction_empty: Rule
    """The reference is not."""
    reference_empty: Rule
    """The prediction is not."""
    both_empty: Rule
    """Neither has a voxel."""
    worst: Worst
    """Named worst case."""
    not_applicable: str = ""
    """When there is no value beside the scans that do not exist, in words; empty: never."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What the worst cases of one reference depend on."""

    diagonal: float | None
    """Diagonal of the image, mm or px; None: unknown."""
    reference_volume: float | None
    """In the unit of volumes; None: unknown."""
    image_volume: float | None
    """In the unit of volumes; None: unknown."""
    most_components: int | None = None
    """How many separate components fit into the image; None: unknown."""


_ZERO = Rule("zero", counts=True, words="0")
_MISSED = Rule("none", counts=True, words="no value; the worst case stands in")
_LEFT = Rule("none", counts=False, words="no value; left out of the worst case too")


def _says(words: str) -> Rule:
    """Let the formula give the value, and say which it is."""
    return Rule("formula", counts=True, words=words)


_BLIND_MISS = "a total miss is not seen"
_OVERLAP = Policy(_ZERO, _ZERO, _LEFT, "zero")
_DISTANCE = Policy(_MISSED, _MISSED, _LEFT, "diagonal")
_NO_PROBABILITIES = "the system gives no probability of this label"
_PROBABILITIES = "by the formula, from the probabilities"
_PROBABLE_MISS = _says(f"{_PROBABILITIES}: a total miss is hardly seen")

POLICY: Mapping[str, Policy] = MappingProxyType(
    {
        "dsc": _OVERLAP,
        "iou": _OVERLAP,
        "precision": Policy(_MISSED, _ZERO, _LEFT, "zero"),
        "sensitivity": Policy(_ZERO, _LEFT, _LEFT, "zero"),
        "specificity": Policy(
            _says(f"1: {_BLIND_MISS}"),
            _says("by the formula"),
            _says("1"),
            "zero",
            not_applicable="the reference fills the whole image",
        ),
        "boundary_iou": _OVERLAP,
        "centreline_dsc": _OVERLAP,
        "volume_difference": Policy(
            _says("the volume of the reference"),
            _says("the volume of the prediction"),
            _says("0"),
            "largest_volume_difference",
        ),
        "relative_volume_difference": Policy(
            _says("100 %"), _LEFT, _LEFT, "largest_relative_difference"
        ),
        "volume_similarity": _OVERLAP,
        "hd95": _DISTANCE,
        "hd100": _DISTANCE,
        "assd": _DISTANCE,
        "masd": _DISTANCE,
        "nsd": _OVERLAP,
        "hd95_voxel": _DISTANCE,
        "hd100_voxel": _DISTANCE,
        "assd_voxel": _DISTANCE,
        "masd_voxel": _DISTANCE,
        "nsd_voxel": _OVERLAP,
        "lesion_f1": _OVERLAP,
        "lesion_sensitivity": Policy(_ZERO, _LEFT, _LEFT, "zero"),
        "lesion_false_positives": Policy(
            _says(f"0: {_BLIND_MISS}"),
            _says("all lesions of the prediction"),
            _says("0"),
            "most_components",
        ),
        "brier": Policy(
            _PROBABLE_MISS,
            _says(_PROBABILITIES),
            _says(_PROBABILITIES),
            "one",
            not_applicable=_NO_PROBABILITIES,
        ),
        "ece": Policy(
            _PROBABLE_MISS,
            _says(_PROBABILITIES),
            _says(_PROBABILITIES),
            "one",
            not_applicable=_NO_PROBABILITIES,
        ),
    }
)
"""Name in the catalogue -> its line of the table."""

BLIND: Mapping[str, str] = MappingProxyType(
    {
        "specificity": "a prediction that marks nothing has a specificity of 1",
        "lesion_false_positives": "a prediction that marks nothing has no false positives",
        "brier": (
            "probabilities of 0 everywhere have the share of the label in the image as their score, "
            "which is small"
        ),
        "ece": (
            "probabilities near 0 everywhere are calibrated up to the share of the label in the "
            "image, which is small"
        ),
    }
)
"""Metrics on which a total miss may look good, with the reason: no claim should rest on one alone."""

EMPTY_MASK_POLICY: Mapping[tuple[str, Status], Rule] = MappingProxyType(
    {
        (name, status): rule
        for name, line in POLICY.items()
        for status, rule in (
            (Status.PREDICTION_EMPTY, line.prediction_empty),
            (Status.REFERENCE_EMPTY, line.reference_empty),
            (Status.BOTH_EMPTY, line.both_empty),
        )
    }
)
"""(metric, status) -> rule: the same by its cells."""

_WORST_WORDS: Mapping[Worst, str] = MappingProxyType(
    {
        "zero": "0",
        "one": "1",
        "diagonal": "the diagonal of the image",
        "largest_volume_difference": (
            "the larger of the reference's volume and the rest of the image"
        ),
        "largest_relative_difference": (
            "the larger of 100 % and the rest of the image in % of the reference's volume"
        ),
        "most_components": "as many lesions as fit into the image, one for each 2x2x2 (2x2) voxels",
    }
)


def status_of(*, prediction_empty: bool, reference_empty: bool) -> Status:
    """Name the column of the table; ``ok`` when neither mask is empty."""
    if prediction_empty and reference_empty:
        return Status.BOTH_EMPTY
    if prediction_empty:
        return Status.PREDICTION_EMPTY
    return Status.REFERENCE_EMPTY if reference_empty else Status.OK


def policy_words(metric: str) -> tuple[tuple[str, str], ...]:
    """Say what a metric does in each status but ok, for reports.

    Parameters
    ----------
    metric : name in the catalogue

    Returns
    -------
    (status, words): ``prediction_empty``, ``reference_empty``, ``both_empty``, ``failed`` (which
    stands for all of `FAILURES`), ``no_effect`` and ``not_applicable``.
    """
    line = POLICY[metric]
    no_scan = "no value where there is no such scan"
    return (
        (Status.PREDICTION_EMPTY.value, line.prediction_empty.words),
        (Status.REFERENCE_EMPTY.value, line.reference_empty.words),
        (Status.BOTH_EMPTY.value, line.both_empty.words),
        (Status.FAILED.value, _MISSED.words),
        (Status.NO_EFFECT.value, _LEFT.words),
        (
            Status.NOT_APPLICABLE.value,
            f"{no_scan}, or {line.not_applicable}" if line.not_applicable else no_scan,
        ),
    )


def worst_words(metric: str) -> str:
    """Name the worst case of a metric, for reports."""
    return _WORST_WORDS[POLICY[metric].worst]


def worst_value(metric: str, extent: Extent) -> float | None:
    """Give the named worst case of a metric on one scan; None when its extent is unknown.

    Parameters
    ----------
    metric : name in the catalogue
    extent : of the scan and its reference
    """
    rule = POLICY[metric].worst
    if rule in {"zero", "one"}:
        return 0.0 if rule == "zero" else 1.0
    if rule == "diagonal":
        return extent.diagonal
    if rule == "most_components":
        return None if extent.most_components is None else float(extent.most_components)
    if extent.reference_volume is None or extent.image_volume is None:
        return None
    largest = max(extent.reference_volume, extent.image_volume - extent.reference_volume)
    if rule == "largest_volume_difference":
        return largest
    return 100.0 * largest / extent.reference_volume if extent.reference_volume else None


def worst_of_row(metric: str, status: Status, extent: Extent) -> float | None:
    """Give what a stored row names as its worst case; None where nothing may stand in.

    Parameters
    ----------
    metric : name in the catalogue
    status : of the row
    extent : of the scan and its reference
    """
    if status in EMPTY and not EMPTY_MASK_POLICY[metric, status].counts:
        return None
    if status in NOT_ASKED:
        return None
    return worst_value(metric, extent)
