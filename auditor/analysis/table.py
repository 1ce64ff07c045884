"""From stored rows to arrays over cases and patients.

**Conventions.** A *column* is one (system, perturbation, severity, label, metric, region). Its arrays run
over the cases in the order of the names. ``value`` is NaN where there is none; ``judged`` has the
metric's named worst case there instead, and NaN only where even that is undefined (both masks empty,
a level without effect). Several replicates of a case are averaged; cases are averaged within their
patient by `over_patients`. Rows are sorted first, so the order in which they came changes no bit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from auditor.metrics.policy import FAILURES
from auditor.schema import Record, StatusCount

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Column",
    "Key",
    "Rows",
    "counted",
    "first_draws",
    "measurements",
    "of_kind",
    "over_patients",
    "worst_of_cases",
]

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
class Coded:
    """A text column as numbers, which sort and compare a hundred times faster than texts."""

    codes: NDArray[np.intp]
    """(rows,), places in `words`."""
    words: Texts
    """In alphabetical order, after None for null."""

    @property
    def texts(self) -> Texts:
        """(rows,), as objects; None where null."""
        return np.asarray(self.words[self.codes])


class Columns(Mapping[str, NDArray[Any]]):
    """Columns of sorted rows, each made when it is first asked for and kept."""

    def __init__(self, coded: Mapping[str, Coded], numbers: Mapping[str, Floats]) -> None:
        self.coded = coded
        """Text columns."""
        self._numbers = numbers
        self._texts: dict[str, Texts] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name in self._numbers:
            return self._numbers[name]
        if name not in self._texts:
            self._texts[name] = self.coded[name].texts
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        yield from self.coded
        yield from self._numbers

    def __len__(self) -> int:
        return len(self.coded) + len(self._numbers)

    def at(self, kept: NDArray[Any]) -> Columns:
        """Keep some rows: (rows,) of bools, or their places."""
        coded = {name: replace(it, codes=it.codes[kept]) for name, it in self.coded.items()}
        return Columns(coded, {name: it[kept] for name, it in self._numbers.items()})


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one kind as plain columns, sorted."""

    columns: Columns
    """Name to values: texts as objects, None where null; numbers as float64, NaN where null."""

    def __len__(self) -> int:
        return len(self.columns.coded["case"].codes)


def of_kind(table: pa.Table, record: Record) -> Rows:
    """Take the rows of one kind, sorted by what they are about."""
    import pyarrow as pa
    import pyarrow.compute as pc

    part = table.filter(pc.equal(table["record"].cast(pa.string()), record.value))
    coded: dict[str, Coded] = {}
    numbers: dict[str, Floats] = {}
    for name in part.column_names:
        if name in _TEXTS:
            coded[name] = _coded(part[name])
        elif name not in ("record", "patient", "seconds"):
            numbers[name] = part[name].cast(pa.float64()).to_numpy().astype(np.float64)
    columns = Columns(coded, numbers)
    return Rows(columns.at(_order(columns))) if len(part) else Rows(columns)


def _order(columns: Columns) -> NDArray[np.intp]:
    """Sort rows by what they are about; rows about the same keep their order."""
    keys, sizes = [], []
    for name in _SORTED_BY:
        if name in columns.coded:
            keys.append(columns.coded[name].codes)
            sizes.append(len(columns.coded[name].words))
        else:
            values, codes = np.unique(columns[name], return_inverse=True)
            keys.append(codes.astype(np.intp))
            sizes.append(len(values))
    if math.prod(sizes) > np.iinfo(np.int64).max:  # one number cannot hold them all
        return np.asarray(np.lexsort(keys[::-1]))
    place = np.zeros(len(keys[0]), dtype=np.int64)
    for codes, size in zip(keys, sizes, strict=True):
        place = place * size + codes
    return np.argsort(place, kind="stable")


def _coded(column: pa.ChunkedArray) -> Coded:
    """Read a text column."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries().combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # a column without rows stays in chunks
        return Coded(np.empty(0, dtype=np.intp), np.array([None], dtype=object))
    words = column.dictionary.to_pylist()
    codes = column.indices.fill_null(len(words)).to_numpy(zero_copy_only=False).astype(np.intp)
    ranks = np.zeros(len(words) + 1, dtype=np.intp)
    for rank, place in enumerate(sorted(range(len(words)), key=words.__getitem__), start=1):
        ranks[place] = rank
    ordered = np.array([None, *sorted(words)], dtype=object)
    return Coded(ranks[codes], ordered)


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
    place = _places(columns.coded["case"], cases)
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
    ends = columns.coded["status"]
    failed = np.array([word in FAILURES for word in ends.words])[ends.codes]
    missing = np.isnan(value) & (~np.isnan(worst) | spread(failed, blank=False, kind=bool))
    missed = missing.any(axis=-1)
    reasons = _first_texts(spread(columns["reason"], blank="", kind=object))
    starts = np.flatnonzero(first)
    return {
        _key(rows, int(start)): Column(
            level=_or_none(columns["level"][start]),
            unit=columns["unit"][start],
            value=mean[i],
            judged=judged[i],
            missing=missed[i],
            first=value[i, :, 0],
            statuses=statuses[i],
            reasons=reasons[i],
            draws=draws[i],
        )
        for i, start in enumerate(starts)
    }


def first_draws(
    rows: Rows, cases: Sequence[str], column: str
) -> dict[tuple[str, str, float, str], Floats]:
    """Arrange one number of evaluation rows over the cases: of the first draw of each condition.

    Parameters
    ----------
    rows : evaluation rows
    cases : names of the cases, in order
    column : name of the number

    Returns
    -------
    (system, perturbation, severity, label) -> (cases,)
        NaN where there is no row, or no number in it.
    """
    if not len(rows):
        return {}
    columns = rows.columns
    first = _first_of_each(rows)
    key = np.cumsum(first) - 1
    cells = np.full((int(key[-1]) + 1, len(cases)), np.nan)
    kept = columns["replicate"] == 0
    places = _places(columns.coded["case"], cases)
    cells[key[kept], places[kept]] = columns[column][kept]
    return {_key(rows, int(start))[:4]: cells[i] for i, start in enumerate(np.flatnonzero(first))}


def _scored(rows: Rows) -> Rows:
    """Keep what is scored against the reference that counts."""
    against = rows.columns.coded["reference"]
    kept = np.array([word in (_SCORED, None) for word in against.words])[against.codes]
    return rows if kept.all() else Rows(rows.columns.at(kept))


def _first_of_each(rows: Rows) -> NDArray[np.bool_]:
    """Mark the first row of every key; rows are sorted."""
    new = np.zeros(len(rows), dtype=bool)
    new[0] = True
    for name in Key._fields:
        coded = rows.columns.coded.get(name)
        values = rows.columns[name] if coded is None else coded.codes
        new[1:] |= values[1:] != values[:-1]
    return new


def _key(rows: Rows, i: int) -> Key:
    system, perturbation, severity, label, metric, region = (
        rows.columns[name][i] for name in Key._fields
    )
    return Key(system, perturbation, float(severity), label, metric, region)


def _places(names: Coded, cases: Sequence[str]) -> NDArray[np.intp]:
    known = {name: i for i, name in enumerate(cases)}
    used = [names.words[code] for code in np.unique(names.codes)]
    strangers = [name for name in used if name not in known]
    if strangers:
        msg = f"every stored row must be about a case of the audit, got {strangers[0]!r}"
        raise ValueError(msg)
    return np.array([known.get(name, 0) for name in names.words], dtype=np.intp)[names.codes]


def _mean_of_known(values: Floats) -> Floats:
    """Mean over the last axis without NaN; NaN where there is nothing else."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _first_texts(texts: Texts) -> Texts:
    """First text along the last axis that is not empty; an empty one where there is none."""
    found = texts[..., 0].copy()
    for later in range(1, texts.shape[-1]):
        empty = ~found.astype(bool)
        found[empty] = texts[..., later][empty]
    found[~found.astype(bool)] = ""
    return np.asarray(found)


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


def worst_of_cases(values: Floats, patients: NDArray[np.intp], count: int) -> Floats:
    """Take the smallest value of each patient's cases.

    Parameters
    ----------
    values : (cases,)
        NaN without a value.
    patients : (cases,)
        Number of each case's patient.
    count : number of patients

    Returns
    -------
    (count,)
        NaN where no case has a value.
    """
    worst = np.full(count, np.inf)
    known = ~np.isnan(values)
    np.minimum.at(worst, patients[known], values[known])
    return np.where(np.isinf(worst), np.nan, worst)


def counted(statuses: Iterable[str]) -> tuple[StatusCount, ...]:
    """Count statuses, sorted by name; empty texts are no statuses."""
    found = Counter(status for status in statuses if status)
    return tuple(StatusCount(name, n) for name, n in sorted(found.items()))
