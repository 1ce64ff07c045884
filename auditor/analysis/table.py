"""From stored rows to arrays over cases and patients.

**Conventions.** A *column* is one (system, perturbation, severity, label, metric, region). Its arrays run
over the cases in the order of the names. ``value`` is NaN where there is none; ``judged`` has the
metric's named worst case there instead, and NaN only where even that is undefined (both masks empty,
a level without effect). Several replicates of a case are averaged; cases are averaged within their
patient by `over_patients`. Rows are sorted first, so the order in which they came changes no bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from auditor.metrics.policy import FAILURES
from auditor.schema import Record, StatusCount

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Column", "Key", "Rows", "counted", "measurements", "of_kind", "over_patients"]

Floats = NDArray[np.float64]


class Key(NamedTuple):
    """What one column is about."""

    system: str
    perturbation: str
    severity: float
    label: str
    metric: str
    region: str


@dataclass(frozen=True, slots=True)
class Column:
    """One metric of one label for one system and condition, over the cases."""

    level: float | None
    """Of the condition."""
    unit: str
    """Of the level."""
    value: Floats
    """(cases,), NaN without a value."""
    judged: Floats
    """(cases,), the named worst case where there is no value."""
    missing: NDArray[np.bool_]
    """(cases,), True where an evaluation that should have a value has none."""
    statuses: tuple[tuple[str, ...], ...]
    """Per case, of each replicate."""
    reasons: tuple[str, ...]
    """Per case, of the first row that gives one."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one kind as plain columns, sorted."""

    columns: Mapping[str, NDArray[np.object_]]
    """Name to values."""

    def __len__(self) -> int:
        return len(self.columns["case"])


def of_kind(table: pa.Table, record: Record) -> Rows:
    """Take the rows of one kind, sorted by what they are about."""
    import pyarrow as pa
    import pyarrow.compute as pc

    part = table.filter(pc.equal(table["record"].cast(pa.string()), record.value))
    columns = {name: np.array(part[name].to_pylist(), dtype=object) for name in part.column_names}
    keys = ("replicate", "reference", "region", "metric", "label", "severity", "perturbation",
            "case", "system")  # fmt: skip
    text = [
        columns[key].astype(float) if key in ("severity", "replicate") else columns[key].astype(str)
        for key in keys
    ]
    order = np.lexsort(text) if len(part) else np.arange(0)
    return Rows({name: values[order] for name, values in columns.items()})


def measurements(rows: Rows, cases: Sequence[str]) -> dict[Key, Column]:
    """Arrange measurement rows as columns over the cases."""
    place = {name: i for i, name in enumerate(cases)}
    collected: dict[Key, list[list[int]]] = {}
    names = ("system", "perturbation", "severity", "label", "metric", "region", "case")
    for i, (*key, case) in enumerate(zip(*(rows.columns[name] for name in names), strict=True)):
        cells = collected.setdefault(Key(*key), [[] for _ in cases])
        cells[place[case]].append(i)
    return {key: _column(rows, cells) for key, cells in sorted(collected.items())}


def _column(rows: Rows, cells: list[list[int]]) -> Column:
    value, worst = rows.columns["value"], rows.columns["worst"]
    status = rows.columns["status"]
    values, judged, missing, statuses, reasons = [], [], [], [], []
    first = next(i for cell in cells for i in cell)
    for cell in cells:
        own = [float(value[i]) for i in cell if value[i] is not None]
        harsh = [
            float(value[i] if value[i] is not None else worst[i])
            for i in cell
            if value[i] is not None or worst[i] is not None
        ]
        values.append(np.mean(own) if own else np.nan)
        judged.append(np.mean(harsh) if harsh else np.nan)
        missing.append(
            any(value[i] is None and (worst[i] is not None or status[i] in FAILURES) for i in cell)
        )
        statuses.append(tuple(status[i] for i in cell))
        reasons.append(
            next((rows.columns["reason"][i] for i in cell if rows.columns["reason"][i]), "")
        )
    level = rows.columns["level"][first]
    return Column(
        level=None if level is None else float(level),
        unit=rows.columns["unit"][first],
        value=np.array(values, dtype=np.float64),
        judged=np.array(judged, dtype=np.float64),
        missing=np.array(missing, dtype=np.bool_),
        statuses=tuple(statuses),
        reasons=tuple(reasons),
    )


def over_patients(values: Floats, patients: NDArray[np.intp], inside: NDArray[np.bool_]) -> Floats:
    """Average cases within their patient; patients without a value are left out.

    Parameters
    ----------
    values : (cases,)
        NaN without a value.
    patients : (cases,)
        Number of each case's patient.
    inside : (cases,)
        Cases that count.

    Returns
    -------
    (patients with a value,)
        In the order of the patients.
    """
    kept = inside & ~np.isnan(values)
    count = np.bincount(patients[kept], minlength=1)
    total = np.bincount(patients[kept], weights=values[kept], minlength=1)
    return np.asarray(total[count > 0] / count[count > 0])


def counted(statuses: Sequence[str]) -> tuple[StatusCount, ...]:
    """Count statuses, sorted by name."""
    return tuple(StatusCount(name, n) for name, n in sorted(Counter(statuses).items()))
