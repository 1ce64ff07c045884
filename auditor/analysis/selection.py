"""Which evaluations are listed as the worst, and which are shown as pictures; the rules are stated."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.promises import main_columns
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.summaries import clean_key, drops
from auditor.analysis.table import Column, Key, Rows
from auditor.schema import CLEAN, ExhibitSelection, Status, WorstCase

__all__ = ["digests", "exhibits", "worst_cases"]

Floats = NDArray[np.float64]

LISTED = 10
"""Worst values and worst drops that are listed per system."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One evaluation that might be listed or shown."""

    key: Key
    column: Column
    place: int
    case: str
    patient: str
    value: float | None
    first: float | None
    """Value of replicate 0, which is the one that is shown."""
    judged: float
    status: str
    reason: str
    drop: float | None


def worst_cases(columns: Mapping[Key, Column], setup: AnalysisSetup) -> tuple[WorstCase, ...]:
    """List the ten worst DSC and the ten worst drops of each system."""
    rows: list[WorstCase] = []
    everyone = _pool(columns, setup)
    systems = np.array([key.system for key in everyone.keys], dtype=object)
    for record in setup.systems:
        own = everyone.among(systems[everyone.key] == record.name)
        by_value = itertools.islice(own.worst_first(), LISTED)
        fallen = itertools.islice(own.steepest_first(), LISTED)
        chosen = {(it.key, it.case): it for it in (*by_value, *fallen)}
        rows += [_worst(it) for it in sorted(chosen.values(), key=_worst_first)]
    return tuple(rows)


def exhibits(
    columns: Mapping[Key, Column],
    setup: AnalysisSetup,
    known: Mapping[tuple[str, str, str, float, str], str],
) -> tuple[ExhibitSelection, ...]:
    """Choose evaluations to show: a third worst, a third worst drops, a third at random.

    At most one of each kind per case, none twice; random ones by the audit's seed, so that pictures
    cannot be chosen for how they look.

    Parameters
    ----------
    known : (system, case, perturbation, severity, label) -> digest of the mask
        Evaluations without a mask cannot be shown.
    """
    everyone = _pool(columns, setup)
    pool = everyone.among(np.array(everyone.identities(known), dtype=bool))
    share = max(1, setup.exhibits // 3) if setup.exhibits else 0
    picked: list[tuple[Literal["worst", "worst drop", "random"], _Candidate]] = []
    taken: set[tuple[Key, str]] = set()

    def take(
        rule: Literal["worst", "worst drop", "random"], ordered: Iterable[_Candidate], count: int
    ) -> None:
        cases: set[str] = set()
        for it in ordered:
            if len(cases) >= count or len(picked) >= setup.exhibits:
                return
            if (it.key, it.case) in taken or it.case in cases:
                continue
            taken.add((it.key, it.case))
            cases.add(it.case)
            picked.append((rule, it))

    take("worst", pool.worst_first(), share)
    take("worst drop", pool.steepest_first(), share)
    order = np.random.default_rng(setup.seed("exhibits")).permutation(len(pool.key))
    take("random", map(pool.candidate, order), setup.exhibits - len(picked))
    return tuple(
        ExhibitSelection(
            id=f"E-{number:02d}",
            rule=rule,
            system=it.key.system,
            case=it.case,
            perturbation=it.key.perturbation,
            severity=it.key.severity,
            level=it.column.level,
            unit=it.column.unit,
            label=it.key.label,
            metric=it.key.metric,
            value=it.first,
            status=it.status,
            mask_digest=known[_identity(it, setup)],
        )
        for number, (rule, it) in enumerate(picked, start=1)
    )


def digests(rows: Rows) -> dict[tuple[str, str, str, float, str], str]:
    """Digest of the mask of each evaluation of replicate 0 that has one."""
    names = ("system", "case", "perturbation", "severity", "label", "replicate", "mask_digest")
    return {
        (system, case, perturbation, float(severity), label): digest
        for system, case, perturbation, severity, label, replicate, digest in zip(
            *(rows.columns[name] for name in names), strict=True
        )
        if digest is not None and replicate == 0
    }


@dataclass(frozen=True, slots=True)
class _Pool:
    """All evaluations of a run as arrays: an object each is made only of those that are looked at."""

    setup: AnalysisSetup
    keys: Sequence[Key]
    columns: Sequence[Column]
    key: NDArray[np.intp]
    """(evaluations,), places in `keys` and `columns`."""
    place: NDArray[np.intp]
    """(evaluations,), places of the cases."""
    judged: Floats
    """(evaluations,), higher is better."""
    drop: Floats
    """(evaluations,), NaN where there is none."""

    def among(self, kept: NDArray[np.bool_]) -> _Pool:
        """Keep some evaluations."""
        return replace(
            self,
            key=self.key[kept],
            place=self.place[kept],
            judged=self.judged[kept],
            drop=self.drop[kept],
        )

    def worst_first(self) -> Iterator[_Candidate]:
        """Give all by value; equal ones by what they are about."""
        return map(self.candidate, self._ordered(self.judged))

    def steepest_first(self) -> Iterator[_Candidate]:
        """Give those that have a drop by it."""
        order = self._ordered(-self.drop)
        return map(self.candidate, order[~np.isnan(self.drop[order])])

    def _ordered(self, values: Floats) -> NDArray[np.intp]:
        keys = {key: rank for rank, key in enumerate(sorted(self.keys))}
        names = [record.display_case for record in self.setup.cases]
        cases = {name: rank for rank, name in enumerate(sorted(names))}
        by_key = np.array([keys[key] for key in self.keys], dtype=np.intp)
        by_case = np.array([cases[name] for name in names], dtype=np.intp)
        return np.asarray(np.lexsort((by_case[self.place], by_key[self.key], values)))

    def identities(self, known: Mapping[tuple[str, str, str, float, str], str]) -> list[bool]:
        """Tell of each evaluation whether it is known."""
        cases = self.setup.names
        return [
            (key.system, cases[place], key.perturbation, key.severity, key.label) in known
            for key, place in zip(
                (self.keys[i] for i in self.key.tolist()), self.place.tolist(), strict=True
            )
        ]

    def candidate(self, i: int) -> _Candidate:
        """Make the object of one evaluation."""
        column, place = self.columns[self.key[i]], int(self.place[i])
        record = self.setup.cases[place]
        statuses = [it for it in column.statuses[place] if it]
        return _Candidate(
            key=self.keys[self.key[i]],
            column=column,
            place=place,
            case=record.display_case,
            patient=record.display_patient,
            value=_or_none(column.value[place]),
            first=_or_none(column.first[place]),
            judged=float(self.judged[i]),
            status=next((it for it in statuses if it != Status.OK.value), Status.OK.value),
            reason=column.reasons[place],
            drop=_or_none(self.drop[i]),
        )


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _pool(columns: Mapping[Key, Column], setup: AnalysisSetup) -> _Pool:
    metric = "dsc" if any(key.metric == "dsc" for key in columns) else setup.metrics[0].name
    info = setup.metric(metric)
    found = main_columns(columns, metric)
    nothing = np.full(len(setup.cases), np.nan)
    changes = []
    for key, column in found.items():
        clean = None if key.perturbation == CLEAN else columns.get(clean_key(key))
        changes.append(nothing if clean is None else drops(clean.value, column.judged, info))
    shape = (len(found), len(setup.cases))
    judged = np.array([it.judged for it in found.values()], dtype=np.float64).reshape(shape)
    number, place = np.nonzero(~np.isnan(judged))
    sign = 1 if info.higher_is_better else -1
    drop = np.array(changes, dtype=np.float64).reshape(shape)
    return _Pool(
        setup,
        keys=list(found),
        columns=list(found.values()),
        key=number,
        place=place,
        judged=sign * judged[number, place],
        drop=drop[number, place],
    )


def _identity(it: _Candidate, setup: AnalysisSetup) -> tuple[str, str, str, float, str]:
    case = setup.cases[it.place].case
    return (it.key.system, case, it.key.perturbation, it.key.severity, it.key.label)


def _worst_first(it: _Candidate) -> tuple[object, ...]:
    return (it.judged, *it.key, it.case)


def _worst(it: _Candidate) -> WorstCase:
    return WorstCase(
        system=it.key.system,
        case=it.case,
        patient=it.patient,
        perturbation=it.key.perturbation,
        severity=it.key.severity,
        level=it.column.level,
        unit=it.column.unit,
        label=it.key.label,
        metric=it.key.metric,
        value=it.value,
        status=it.status,
        reason=it.reason,
        drop=it.drop,
    )
