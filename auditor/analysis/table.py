"""From stored rows to arrays over cases and patients.

**Conventions.** A *column* is one (system, perturbation, severity, label, metric, region). Its arrays run
over the cases in the order of the names. ``value`` is NaN where there is none; ``judged`` has the
metric's named worst case there instead, and NaN only where even that is undefined (both masks empty,
a level without effect). Several replicates of a case are averaged; cases are averaged within their
patient by `over_patients`. Rows are sorted first, so the order in which they came changes no bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from auditor.metrics.policy import FAILURES
from auditor.schema import Record, StatusCount

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Column", "Key", "Rows", "counted", "measurements", "of_kind", "over_patients"]

Floats = NDArray[np.float64]
Texts = NDArray[np.object_]

_TEXTS = (
    "system", "case", "perturbation", "unit", "status", "reason", "label", "metric", "region",
    "reference", "mask_digest", "facts",
)  # fmt: skip
_SORTED_BY = (
    "system", "perturbation", "severity", "label", "metric", "region", "case", "replicate",
    "reference",
)  # fmt: skip
_SCORED = "reference"
"""What a measurement that counts is scored against."""


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
    first: Floats
    """(cases,), value of replicate 0 alone: what a picture of one evaluation must reproduce."""
    statuses: Texts
    """(cases, replicates); empty text where there is no row."""
    reasons: Texts
    """(cases,), of the first replicate that gives one."""
    draws: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """(cases, replicates), as `judged`, before replicates are averaged."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one kind as plain columns, sorted."""

    columns: Mapping[str, NDArray[Any]]
    """Name to values: texts as objects, None where null; numbers as float64, NaN where null."""

    def __len__(self) -> int:
        return len(self.columns["case"])


def of_kind(table: pa.Table, record: Record) -> Rows:
    """Take the rows of one kind, sorted by what they are about."""
    import pyarrow as pa
    import pyarrow.compute as pc

    part = table.filter(pc.equal(table["record"].cast(pa.string()), record.value))
    columns: dict[str, NDArray[Any]] = {}
    ranks: dict[str, NDArray[Any]] = {}
    for name in part.column_names:
        if name in _TEXTS:
            columns[name], ranks[name] = _texts(part[name])
        elif name not in ("record", "patient", "seconds"):
            columns[name] = part[name].cast(pa.float64()).to_numpy().astype(np.float64)
    keys = [ranks.get(name, columns[name]) for name in reversed(_SORTED_BY)]
    order = np.lexsort(keys) if len(part) else np.arange(0)
    return Rows({name: values[order] for name, values in columns.items()})


def _texts(column: pa.ChunkedArray) -> tuple[Texts, NDArray[np.intp]]:
    """Objects of a text column, and the alphabetical rank of each (0: null)."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    coded = column.unify_dictionaries().combine_chunks()
    if isinstance(coded, pa.ChunkedArray):  # a column without rows stays in chunks
        return np.empty(0, dtype=object), np.empty(0, dtype=np.intp)
    words = coded.dictionary.to_pylist()
    codes = coded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False).astype(np.intp)
    ranks = np.zeros(len(words) + 1, dtype=np.intp)
    for rank, place in enumerate(sorted(range(len(words)), key=words.__getitem__), start=1):
        ranks[place] = rank
    return np.array([*words, None], dtype=object)[codes], ranks[codes]


def measurements(rows: Rows, cases: Sequence[str]) -> dict[Key, Column]:
    """Arrange measurement rows as columns over the cases, sorted by key.

    Raises
    ------
    ValueError
        When a row is about a case that is not listed.
    """
    rows = _scored(rows)
    if not len(rows):
        return {}
    columns = rows.columns
    first = _first_of_each(rows)
    key = np.cumsum(first) - 1
    place = _places(columns["case"], cases)
    replicate = columns["replicate"].astype(np.intp)
    shape = (int(key[-1]) + 1, len(cases), int(replicate.max()) + 1)
    at = (key, place, replicate)

    def spread(values: NDArray[Any], *, blank: object = np.nan, kind: type = float) -> NDArray[Any]:
        cells: NDArray[Any] = np.full(shape, blank, dtype=kind)
        cells[at] = values
        return cells

    value = spread(columns["value"])
    worst = spread(columns["worst"])
    draws = np.where(np.isnan(value), worst, value)
    judged = _mean_of_known(draws)
    mean = _mean_of_known(value)
    statuses = spread(columns["status"], blank="", kind=object)
    failures = np.isin(columns["status"].astype(str), sorted(FAILURES))
    missing = np.isnan(value) & (~np.isnan(worst) | spread(failures, blank=False, kind=bool))
    reasons = spread(columns["reason"], blank="", kind=object)
    starts = np.flatnonzero(first)
    return {
        _key(rows, int(start)): Column(
            level=_or_none(columns["level"][start]),
            unit=columns["unit"][start],
            value=mean[i],
            judged=judged[i],
            missing=missing[i].any(axis=-1),
            first=value[i, :, 0],
            statuses=statuses[i],
            reasons=_first_text(reasons[i]),
            draws=draws[i],
        )
        for i, start in enumerate(starts)
    }


def _scored(rows: Rows) -> Rows:
    """Keep what is scored against the reference that counts."""
    against = rows.columns["reference"]
    kept = (against == _SCORED) | (against == None)  # noqa: E711  # elementwise on objects
    return rows if kept.all() else Rows({name: it[kept] for name, it in rows.columns.items()})


def _first_of_each(rows: Rows) -> NDArray[np.bool_]:
    """Mark the first row of every key; rows are sorted."""
    new = np.zeros(len(rows), dtype=bool)
    new[0] = True
    for name in Key._fields:
        values = rows.columns[name]
        new[1:] |= values[1:] != values[:-1]
    return new


def _key(rows: Rows, i: int) -> Key:
    system, perturbation, severity, label, metric, region = (
        rows.columns[name][i] for name in Key._fields
    )
    return Key(system, perturbation, float(severity), label, metric, region)


def _places(names: Texts, cases: Sequence[str]) -> NDArray[np.intp]:
    known = {name: i for i, name in enumerate(cases)}
    strangers = sorted(set(names.tolist()) - set(known))
    if strangers:
        msg = f"every stored row must be about a case of the audit, got {strangers[0]!r}"
        raise ValueError(msg)
    return np.array([known[name] for name in names.tolist()], dtype=np.intp)


def _mean_of_known(values: Floats) -> Floats:
    """Mean over the last axis without NaN; NaN where there is nothing else."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _first_text(texts: Texts) -> Texts:
    return np.array([next((text for text in row if text), "") for row in texts], dtype=object)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


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


def counted(statuses: Iterable[str]) -> tuple[StatusCount, ...]:
    """Count statuses, sorted by name; empty texts are no statuses."""
    found = Counter(status for status in statuses if status)
    return tuple(StatusCount(name, n) for name, n in sorted(found.items()))
