"""The scores that a recipe weighs: one number per system, condition and patient.

Failures count at the metric's worst value. A case enters when every system has a number under every
condition of the mix; what that leaves out is counted, condition by condition. A condition outside the mix
that lacks a number for a case that entered is itself left out of the map and of the worst case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.promises import main_columns
from auditor.analysis.summaries import clean_key
from auditor.analysis.table import Column, Key
from auditor.schema import CLEAN, Status
from auditor.schema.recipe import LeftOut

__all__ = [
    "CLEAN_CONDITION",
    "Condition",
    "ScoreTable",
    "blend",
    "score_table",
    "weights_at",
    "with_clean",
]

Floats = NDArray[np.float64]
Condition = tuple[str, float]
"""(perturbation, severity)."""

CLEAN_CONDITION: Condition = (CLEAN, 0.0)


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores of the patients that are complete under a mix."""

    systems: tuple[str, ...]
    conditions: tuple[Condition, ...]
    """Without those that lack a number for one of these patients."""
    levels: Mapping[Condition, tuple[float | None, str]]
    """(level, unit) of each."""
    values: Floats
    """(patients, conditions, systems); without NaN."""
    patients: tuple[int, ...]
    """Number of each patient."""
    left_out: tuple[LeftOut, ...]
    counted_clean: int = 0
    """Cases that count with their clean scan under the condition named so; see `score_table`."""

    @property
    def n(self) -> int:
        """Patients."""
        return len(self.values)

    def place(self, condition: Condition) -> int:
        """Find the place of a condition; ValueError when it was left out."""
        return self.conditions.index(condition)

    def shares(self, mix: Mapping[Condition, float]) -> Floats:
        """Arrange the shares of a mix over the conditions, (conditions,)."""
        found = np.zeros(len(self.conditions))
        for condition, share in mix.items():
            found[self.place(condition)] += share
        return found


def score_table(
    columns: Mapping[Key, Column],
    patients: NDArray[np.intp],
    *,
    systems: Sequence[str],
    label: str,
    metric: str,
    needed: Iterable[Condition],
    as_clean: Condition | None = None,
) -> ScoreTable:
    """Arrange the scores of a run.

    Parameters
    ----------
    columns : Key -> Column
        Over the cases of the run.
    patients : (cases,)
        Number of each case's patient.
    systems : sequence of str
        In order.
    label, metric : str
        What is scored.
    needed : conditions of the mix
    as_clean : Condition, optional
        A joint condition of a site: where it has no effect, the drawn scan of the site is like the test set,
        and the case counts with its clean scan. Leaving it out would leave out the clean scans of the site.

    Returns
    -------
    ScoreTable
        Cases are averaged within their patient; patients in the order of their numbers.

    Raises
    ------
    KeyError
        When a system lacks one of the needed conditions altogether.
    """
    found: dict[Condition, dict[str, Column]] = {}
    for key, column in main_columns(columns, metric).items():
        if key.label == label and key.system in systems:
            found.setdefault((key.perturbation, key.severity), {})[key.system] = column
    counted_clean = 0
    if as_clean is not None and as_clean in found and CLEAN_CONDITION in found:
        clean = found[CLEAN_CONDITION]
        row = {it: _filled(c, clean[it]) for it, c in found[as_clean].items() if it in clean}
        counted_clean = max(_without_effect(c).any(axis=-1).sum() for c in row.values())
        found[as_clean] = row
    whole = {it: found[it] for it in sorted(found, key=_order) if len(found[it]) == len(systems)}
    for condition in needed:
        if condition not in whole:
            raise KeyError(condition)
    known = {
        it: np.logical_and.reduce([~np.isnan(c.judged) for c in row.values()])
        for it, row in whole.items()
    }
    wanted = set(needed)
    complete = np.logical_and.reduce([known[it] for it in wanted])
    kept = [it for it in whole if bool((known[it] | ~complete).all())]
    values = [
        [_per_patient(whole[it][system].judged, complete, patients) for system in systems]
        for it in kept
    ]
    entered = tuple(int(it) for it in np.unique(patients[complete]))
    n = len(entered)
    return ScoreTable(
        systems=tuple(systems),
        conditions=tuple(kept),
        levels={it: _level(row) for it, row in whole.items()},
        values=np.moveaxis(np.array(values).reshape(len(kept), len(systems), n), 2, 0),
        patients=entered,
        left_out=tuple(
            _left_out(it, whole[it], known[it], patients, used=it in wanted)
            for it in whole
            if not (known[it].all() if it in wanted else it in kept)
        ),
        counted_clean=int(counted_clean),
    )


def weights_at(
    conditions: Iterable[Condition], perturbation: str, severity: float
) -> dict[Condition, float]:
    """Share a severity between its neighbours among the tested ones; clean is severity 0 of every axis.

    Raises
    ------
    ValueError
        When it lies beyond the highest tested severity, or the perturbation was not tested.

    Examples
    --------
    >>> weights_at([("clean", 0.0), ("noise", 1.0), ("noise", 3.0)], "noise", 1.5)
    {('noise', 1.0): 0.75, ('noise', 3.0): 0.25}
    >>> weights_at([("clean", 0.0), ("noise", 1.0)], "noise", 0.25)
    {('clean', 0.0): 0.75, ('noise', 1.0): 0.25}
    """
    if perturbation == CLEAN or severity == 0.0:
        return {CLEAN_CONDITION: 1.0}
    tested = sorted(it for name, it in conditions if name == perturbation)
    if not tested or severity > tested[-1] + 1e-9 or severity < 0:
        where = f"up to {tested[-1]:g}" if tested else "not at all"
        msg = f"{perturbation} was tested {where}, got severity {severity:g}"
        raise ValueError(msg)
    knots = [0.0, *tested]
    above = next(k for k, it in enumerate(knots) if severity <= it + 1e-9)
    low, high = knots[above - 1], knots[above]
    share = min(1.0, (severity - low) / (high - low))
    below: Condition = CLEAN_CONDITION if low == 0.0 else (perturbation, low)
    both = {below: 1.0 - share, (perturbation, high): share}
    return {condition: part for condition, part in both.items() if part > 0.0}


def blend(parts: Iterable[tuple[Mapping[Condition, float], float]]) -> dict[Condition, float]:
    """Add mixes, each with its own share."""
    total: dict[Condition, float] = {}
    for mix, share in parts:
        for condition, part in mix.items():
            total[condition] = total.get(condition, 0.0) + share * part
    return total


def with_clean(columns: Mapping[Key, Column], as_clean: Condition | None) -> dict[Key, Column]:
    """Let a joint condition count with the clean scan where it has no effect, as `score_table` does."""
    found = dict(columns)
    for key, column in columns.items():
        clean = columns.get(clean_key(key))
        if (key.perturbation, key.severity) == as_clean and clean is not None:
            found[key] = _filled(column, clean)
    return found


def _order(condition: Condition) -> tuple[bool, str, float]:
    return (condition != CLEAN_CONDITION, *condition)


def _without_effect(column: Column) -> NDArray[np.bool_]:
    """Replicates that change nothing, (cases, replicates)."""
    return np.asarray(column.statuses == Status.NO_EFFECT.value, dtype=bool)


def _filled(column: Column, clean: Column) -> Column:
    """Let every replicate without effect count as the clean scan."""
    none = _without_effect(column).sum(axis=-1)
    other = (column.statuses != "").sum(axis=-1) - none
    acting = np.where(other > 0, column.judged * other, 0.0)
    quiet = np.where(none > 0, clean.judged * none, 0.0)
    counts = other + none
    mixed = np.where(counts > 0, (acting + quiet) / np.maximum(counts, 1), np.nan)
    return replace(column, judged=np.where(none > 0, mixed, column.judged))


def _per_patient(values: Floats, complete: NDArray[np.bool_], patients: NDArray[np.intp]) -> Floats:
    count = np.bincount(patients[complete], minlength=1)
    total = np.bincount(patients[complete], weights=values[complete], minlength=1)
    return np.asarray(total[count > 0] / count[count > 0])


def _level(row: Mapping[str, Column]) -> tuple[float | None, str]:
    first = next(iter(row.values()))
    return first.level, first.unit


def _left_out(
    condition: Condition,
    row: Mapping[str, Column],
    known: NDArray[np.bool_],
    patients: NDArray[np.intp],
    *,
    used: bool,
) -> LeftOut:
    lost = ~known
    statuses = {
        str(status)
        for column in row.values()
        for status in np.unique(column.statuses[lost & np.isnan(column.judged)].astype(str))
        if status
    }
    return LeftOut(
        perturbation=condition[0],
        severity=condition[1],
        cases=int(lost.sum()),
        patients=len(np.unique(patients[lost])),
        statuses=tuple(sorted(statuses or {"no row"})),
        used=used,
    )
