"""Which evaluations are listed as the worst, and which are shown as pictures; the rules are stated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from auditor.analysis.promises import main_columns
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.summaries import clean_key, drops
from auditor.analysis.table import Column, Key, Rows
from auditor.schema import CLEAN, ExhibitSelection, Status, WorstCase

__all__ = ["digests", "exhibits", "worst_cases"]

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
    everyone = _candidates(columns, setup)
    for record in setup.systems:
        own = [it for it in everyone if it.key.system == record.name]
        by_value = sorted(own, key=_worst_first)[:LISTED]
        fallen = sorted((it for it in own if it.drop is not None), key=_steepest_first)[:LISTED]
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
    pool = [it for it in _candidates(columns, setup) if _identity(it, setup) in known]
    share = max(1, setup.exhibits // 3) if setup.exhibits else 0
    picked: list[tuple[Literal["worst", "worst drop", "random"], _Candidate]] = []
    taken: set[tuple[Key, str]] = set()

    def take(
        rule: Literal["worst", "worst drop", "random"], ordered: Sequence[_Candidate], count: int
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

    take("worst", sorted(pool, key=_worst_first), share)
    falls = [it for it in pool if it.drop is not None]
    take("worst drop", sorted(falls, key=_steepest_first), share)
    order = np.random.default_rng(setup.seed("exhibits")).permutation(len(pool))
    take("random", [pool[i] for i in order], setup.exhibits - len(picked))
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


def _candidates(columns: Mapping[Key, Column], setup: AnalysisSetup) -> list[_Candidate]:
    metric = "dsc" if any(key.metric == "dsc" for key in columns) else setup.metrics[0].name
    info = setup.metric(metric)
    found = []
    for key, column in main_columns(columns, metric).items():
        clean = columns.get(clean_key(key))
        change = None if clean is None else drops(clean.value, column.judged, info)
        for place, record in enumerate(setup.cases):
            if np.isnan(column.judged[place]):
                continue
            value = column.value[place]
            statuses = [it for it in column.statuses[place] if it]
            status = next((it for it in statuses if it != Status.OK.value), Status.OK.value)
            fall = None if change is None or key.perturbation == CLEAN else change[place]
            found.append(
                _Candidate(
                    key=key,
                    column=column,
                    place=place,
                    case=record.display_case,
                    patient=record.display_patient,
                    value=None if np.isnan(value) else float(value),
                    first=None if np.isnan(column.first[place]) else float(column.first[place]),
                    judged=float(column.judged[place]) * (1 if info.higher_is_better else -1),
                    status=status,
                    reason=column.reasons[place],
                    drop=None if fall is None or np.isnan(fall) else float(fall),
                )
            )
    return found


def _identity(it: _Candidate, setup: AnalysisSetup) -> tuple[str, str, str, float, str]:
    case = setup.cases[it.place].case
    return (it.key.system, case, it.key.perturbation, it.key.severity, it.key.label)


def _worst_first(it: _Candidate) -> tuple[object, ...]:
    return (it.judged, *it.key, it.case)


def _steepest_first(it: _Candidate) -> tuple[object, ...]:
    assert it.drop is not None  # callers leave the others out
    return (-it.drop, *it.key, it.case)


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
