"""What a metric says when a mask is empty or an evaluation failed: the one table.

**The table.** A value that the metric's definition gives stays a value; what it does not give is no
value with a status. *Worst* is what the worst-case analysis puts in the place of a missing value;
a dash there means that the row leaves that analysis too.

======================  ====================  ====================  ==========
metric                  prediction empty,     prediction not empty, both empty
                        reference not         reference empty
======================  ====================  ====================  ==========
dsc, iou, nsd           0                     0                     none, -
precision               none, worst 0         0                     none, -
sensitivity             0                     none, -               none, -
volume_difference       volume of reference   volume of prediction  0
hd95, assd              none, worst diagonal  none, worst diagonal  none, -
status                  prediction_empty      reference_empty       both_empty
======================  ====================  ====================  ==========

Reasons. Finding nothing where there is nothing is right, and no metric of agreement can grade it:
it neither raises a mean as a 1 nor lowers it as a 0. A total miss is exactly 0 by the formula of
the DSC (IoU, sensitivity, NSD), so it must not be lost as undefined. Nothing can be said of the
sensitivity to an empty reference, whatever is predicted; false alarms there are counted by DSC,
IoU, NSD and precision.

**Failed evaluations** (failed, crashed, timed_out, rejected, quarantined, not_finite) have no value
and always a worst case. ``no_effect`` and ``not_applicable`` have neither: nothing new was evaluated,
for the perturbed scan is the clean one, or there is none.

**Worst cases.** ``zero``: 0, for metrics in [0, 1]. ``diagonal``: the diagonal of the image, which
no distance between two surfaces in it exceeds. ``largest_volume_difference``: the larger of the
reference's volume (nothing found) and the rest of the image (everything found), which no mask
exceeds. The last two depend on the field of view; a report names them with their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from auditor.metrics.catalog import METRICS, get
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
"""Statuses of an evaluation for which there was no perturbed scan."""

EMPTY = frozenset({Status.PREDICTION_EMPTY, Status.REFERENCE_EMPTY, Status.BOTH_EMPTY})
"""Statuses of an evaluation with at least one empty mask."""

Value = Literal["zero", "volume", "none"]
"""zero: 0; volume: of the mask that is not empty; none: the definition gives no value."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One cell of the table."""

    value: Value
    """What the definition gives."""
    counts: bool
    """False: no worst case stands in for a missing value."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What the worst cases of one reference depend on."""

    diagonal: float | None
    """Diagonal of the image, mm or px; None: unknown."""
    reference_volume: float | None
    """In the unit of volumes; None: unknown."""
    image_volume: float | None
    """In the unit of volumes; None: unknown."""


_ZERO = Rule("zero", counts=True)
_VOLUME = Rule("volume", counts=True)
_MISSED = Rule("none", counts=True)
_NOT_ASKED = Rule("none", counts=False)

_ROWS: dict[str, tuple[Rule, Rule, Rule]] = {
    "dsc": (_ZERO, _ZERO, _NOT_ASKED),
    "iou": (_ZERO, _ZERO, _NOT_ASKED),
    "nsd": (_ZERO, _ZERO, _NOT_ASKED),
    "precision": (_MISSED, _ZERO, _NOT_ASKED),
    "sensitivity": (_ZERO, _NOT_ASKED, _NOT_ASKED),
    "volume_difference": (_VOLUME, _VOLUME, _ZERO),
    "hd95": (_MISSED, _MISSED, _NOT_ASKED),
    "assd": (_MISSED, _MISSED, _NOT_ASKED),
}
_COLUMNS = (Status.PREDICTION_EMPTY, Status.REFERENCE_EMPTY, Status.BOTH_EMPTY)

EMPTY_MASK_POLICY: Mapping[tuple[str, Status], Rule] = MappingProxyType(
    {
        (name, status): rule
        for name in METRICS
        for status, rule in zip(_COLUMNS, _ROWS[name], strict=True)
    }
)
"""(metric, status) -> rule: the table of the module's docstring."""


def status_of(*, prediction_empty: bool, reference_empty: bool) -> Status:
    """Name the column of the table; ``ok`` when neither mask is empty."""
    if prediction_empty and reference_empty:
        return Status.BOTH_EMPTY
    if prediction_empty:
        return Status.PREDICTION_EMPTY
    return Status.REFERENCE_EMPTY if reference_empty else Status.OK


def empty_value(metric: str, status: Status, *, volume: float) -> float | None:
    """Give the value of a metric when a mask is empty.

    Parameters
    ----------
    metric : name in the catalogue
    status : one of `EMPTY`
    volume : of the mask that is not empty, in the unit of volumes; 0 when both are

    Returns
    -------
    The value that the definition gives, or None.
    """
    rule = EMPTY_MASK_POLICY[metric, status].value
    if rule == "none":
        return None
    return volume if rule == "volume" else 0.0


def worst_value(metric: str, extent: Extent) -> float | None:
    """Give the named worst case of a metric on one scan; None when its extent is unknown.

    Parameters
    ----------
    metric : name in the catalogue
    extent : of the scan and its reference
    """
    rule = get(metric).worst
    if rule == "zero":
        return 0.0
    if rule == "diagonal":
        return extent.diagonal
    if extent.reference_volume is None or extent.image_volume is None:
        return None
    return max(extent.reference_volume, extent.image_volume - extent.reference_volume)


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
