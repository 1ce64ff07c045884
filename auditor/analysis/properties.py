"""What is known of each case before any prediction: the values that groups and difficulty are read from.

**Conventions.** A property has a name and a label (empty where it belongs to the scan as a whole). Its
value is a number, or a text for a group of its own, or None with the reason why there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from auditor.analysis.table import Rows, of_kind
from auditor.schema import CLEAN, Record, Status
from auditor.strata.assign import disagreement_value

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Properties", "Property", "properties"]


@dataclass(frozen=True, slots=True)
class Property:
    """One property of one case."""

    value: float | str | None
    """None: see `reason`."""
    status: str = Status.OK.value
    """As it was stored."""
    reason: str = ""
    """Why there is no value."""


Properties = Mapping[tuple[str, str], Mapping[str, Property]]
"""(name, label) -> case -> property."""

_OF_SCANS = {
    "native_noise": "estimated_noise",
    "native_blur": "estimated_blur",
    "native_bias": "estimated_bias",
}
"""Properties of a scan as a whole -> their column in the scan rows."""
_OF_LABELS = ("foreground_ratio", "rater_assd", "rater_dsc")


def properties(table: pa.Table) -> Properties:
    """Collect every property of every case.

    Parameters
    ----------
    table : pyarrow.Table
        All stored rows; their order does not matter.

    Returns
    -------
    mapping
        Those of the property rows; ``foreground_ratio``, ``rater_assd``, ``rater_dsc`` and
        ``rater_disagreement`` of each label; ``native_noise``, ``native_blur`` and ``native_bias`` of
        the clean scan, under the label "".
    """
    found: dict[tuple[str, str], dict[str, Property]] = {}
    _read_scans(of_kind(table, Record.SCAN), found)
    stored = of_kind(table, Record.PROPERTY)
    for i in range(len(stored)):
        text = {name: stored.columns[name][i] or "" for name in ("metric", "label", "case")}
        found.setdefault((text["metric"], text["label"]), {})[text["case"]] = Property(
            _number(stored.columns["value"][i]),
            stored.columns["status"][i],
            stored.columns["reason"][i] or "",
        )
    return found


def _read_scans(scans: Rows, found: dict[tuple[str, str], dict[str, Property]]) -> None:
    columns = scans.columns
    for i in np.flatnonzero(columns["perturbation"] == CLEAN):
        case, label = columns["case"][i], columns["label"][i] or ""
        status, reason = columns["status"][i], columns["reason"][i] or ""
        for name, column in _OF_SCANS.items():
            value = Property(_number(columns[column][i]), status, reason)
            found.setdefault((name, ""), {})[case] = value
        numbers = {name: _number(columns[name][i]) for name in _OF_LABELS}
        for name, number in numbers.items():
            found.setdefault((name, label), {})[case] = Property(number, status, reason)
        found.setdefault(("rater_disagreement", label), {})[case] = Property(
            disagreement_value(numbers["rater_assd"], numbers["rater_dsc"]), status, reason
        )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
