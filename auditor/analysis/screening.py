"""What hurts most, from the rows of a screen: paired drops of the DSC, and their order.

**Conventions.** A screen has one case a patient. Drops are clean minus perturbed (positive: worse), mean
over the labels of which both have a value. Of a failed evaluation the named worst value stands in
(DSC 0). A patient whose clean scan failed has no drop: there is nothing to compare with.

The order is that of the *area*: the mean over the severities of a patient's drop, mean over the patients
that have a drop at every one of them. Severities at which no patient has one (a level without effect, a
scan that cannot be perturbed) are left out and named. What prints alike (three decimals) shares a rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.intervals import FEW, bootstrap_weights, seed_of, studentized_interval
from auditor.analysis.promises import main_columns
from auditor.analysis.table import Column, Key, counted, measurements, of_kind
from auditor.metrics.policy import FAILURES, NOT_ASKED
from auditor.schema import CLEAN, CaseRecord, Estimate, PerturbationSpec, Record, StatusCount
from auditor.schema.screen import CleanValue, DrawnCase, Drop, LabelDrop, Vulnerability

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Screened", "clean_failures", "screened"]

Floats = NDArray[np.float64]

_PLACES = 3
"""Decimals that are printed: what is equal there shares a rank."""

_LEVEL = 0.95
"""Of the interval of an area."""


@dataclass(frozen=True, slots=True)
class Screened:
    """The numbers of a screen."""

    drawn: tuple[DrawnCase, ...]
    """Every drawn case with its clean values."""
    vulnerabilities: tuple[Vulnerability, ...]
    """Ranked ones first."""
    statuses: tuple[StatusCount, ...]
    """Of every evaluation that was done."""
    done: int
    """Evaluations."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the numbers are about."""

    cases: tuple[CaseRecord, ...]
    labels: tuple[str, ...]
    distance: str
    seed: int


def screened(
    table: pa.Table,
    *,
    cases: Sequence[CaseRecord],
    labels: Sequence[str],
    perturbations: Sequence[PerturbationSpec],
    families: Mapping[str, str],
    distance: str,
    seed: int,
) -> Screened:
    """Rank the perturbations of a screen.

    Parameters
    ----------
    table : pyarrow.Table
        The rows that are stored; their order does not matter.
    cases : sequence of CaseRecord
        The drawn ones.
    labels : sequence of str
        Names.
    perturbations : sequence of PerturbationSpec
        As planned.
    families : mapping
        Perturbation -> family.
    distance : str
        Name of the distance metric.
    seed : int
        Of the screen, for the draws of intervals.

    Returns
    -------
    Screened
        One entry per planned perturbation, whatever came of it.
    """
    asked = _Asked(tuple(cases), tuple(labels), distance, seed)
    names = [case.case for case in cases]
    columns = measurements(of_kind(table, Record.MEASUREMENT), names)
    found = {metric: _placed(columns, metric) for metric in ("dsc", distance)}
    rows = [_vulnerability(spec, families[spec.name], found, asked) for spec in perturbations]
    counts: dict[str, int] = {}
    for (_, _, label), column in found["dsc"].items():
        if label == asked.labels[0]:
            for status in counted(column.statuses.ravel()):
                counts[status.status] = counts.get(status.status, 0) + status.n
    return Screened(
        drawn=_drawn(found, perturbations, asked),
        vulnerabilities=_ranked(rows),
        statuses=tuple(StatusCount(name, n) for name, n in sorted(counts.items())),
        done=sum(counts.values()),
    )


def clean_failures(table: pa.Table, cases: Sequence[str]) -> tuple[str, ...]:
    """Return why the system failed on its clean scans; nothing when one of them was evaluated.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of the clean scans.
    cases : sequence of str
        Names of the cases.

    Returns
    -------
    tuple of str
        Each reason once, with its status.
    """
    columns = _placed(measurements(of_kind(table, Record.MEASUREMENT), cases), "dsc")
    told: dict[str, None] = {}
    for column in columns.values():
        for status, reason in zip(column.statuses[:, 0], column.reasons, strict=True):
            if status and status not in FAILURES:
                return ()
            if status:
                told[f"{status}: {reason}"] = None
    return tuple(told)


Placed = Mapping[tuple[str, float, str], Column]
"""(perturbation, severity, label) -> column."""


def _placed(columns: Mapping[Key, Column], metric: str) -> Placed:
    return {
        (key.perturbation, key.severity, key.label): column
        for key, column in main_columns(columns, metric).items()
    }


def _judged(placed: Placed, name: str, severity: float, label: str, n: int) -> Floats:
    column = placed.get((name, severity, label))
    return np.full(n, np.nan) if column is None else column.judged


def _mean_of_labels(values: Sequence[Floats]) -> Floats:
    """Mean over the labels that are known of a case; NaN where none is."""
    stacked = np.stack(values)
    known = ~np.isnan(stacked)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def _drops(placed: Placed, name: str, severity: float, asked: _Asked) -> dict[str, Floats]:
    """Label -> (cases,) clean minus perturbed, NaN without both."""
    n = len(asked.cases)
    found = {}
    for label in asked.labels:
        clean = placed.get((CLEAN, 0.0, label))
        if clean is None:
            found[label] = np.full(n, np.nan)
            continue
        # a failed clean scan is no baseline, not even a bad one
        base = np.where(clean.missing, np.nan, clean.judged)
        found[label] = base - _judged(placed, name, severity, label, n)
    return found


def _vulnerability(
    spec: PerturbationSpec, family: str, found: Mapping[str, Placed], asked: _Asked
) -> Vulnerability:
    placed = found["dsc"]
    drops, rows = [], []
    for severity, level in zip(spec.severities, spec.levels, strict=True):
        each = _drops(placed, spec.name, severity, asked)
        mean = _mean_of_labels(list(each.values()))
        rows.append(mean)
        drops.append(_drop(spec, severity, level, mean, each, found, asked))
    met = _met(placed, spec, asked)
    used = [i for i, mean in enumerate(rows) if not np.isnan(mean).all()]
    severities = tuple(spec.severities[i] for i in used)
    values = np.stack([rows[i] for i in used]).mean(axis=0) if used else np.full(0, np.nan)
    values = values[~np.isnan(values)]
    return Vulnerability(
        perturbation=spec.name,
        family=family,
        rank=None,
        area=_area(values, asked, spec.name),
        severities=severities,
        drops=tuple(drops),
        reached=int(met.sum()),
        note=_note(drops, int(met.sum()), severities, spec, len(values)),
    )


def _met(placed: Placed, spec: PerturbationSpec, asked: _Asked) -> NDArray[np.bool_]:
    """Cases of which a row of this perturbation is stored."""
    met = np.zeros(len(asked.cases), dtype=bool)
    for severity in spec.severities:
        column = placed.get((spec.name, severity, asked.labels[0]))
        if column is not None:
            met |= column.statuses[:, 0] != ""
    return met


def _drop(
    spec: PerturbationSpec,
    severity: float,
    level: float,
    mean: Floats,
    each: Mapping[str, Floats],
    found: Mapping[str, Placed],
    asked: _Asked,
) -> Drop:
    known = mean[~np.isnan(mean)]
    column = found["dsc"].get((spec.name, severity, asked.labels[0]))
    statuses = np.empty(0, dtype=object) if column is None else column.statuses[:, 0]
    reasons = np.empty(0, dtype=object) if column is None else column.reasons
    failed = np.isin(statuses.astype(str), sorted(FAILURES)) if len(statuses) else statuses == ""
    rises = _rises(found[asked.distance], spec.name, severity, asked)
    return Drop(
        severity=severity,
        level=level,
        unit=spec.unit,
        n=len(known),
        mean=float(known.mean()) if len(known) else None,
        smallest=float(known.min()) if len(known) else None,
        largest=float(known.max()) if len(known) else None,
        failures=int((failed & ~np.isnan(mean)).sum()) if len(statuses) else 0,
        statuses=counted(statuses),
        reasons=tuple(
            dict.fromkeys(
                reason
                for status, reason in zip(statuses, reasons, strict=True)
                if reason and status in FAILURES | NOT_ASKED
            )
        ),
        distance_rise=float(np.median(rises)) if len(rises) else None,
        distance_n=len(rises),
        labels=tuple(
            LabelDrop(
                label,
                int((~np.isnan(values)).sum()),
                float(values[~np.isnan(values)].mean()) if not np.isnan(values).all() else None,
            )
            for label, values in each.items()
        ),
    )


def _rises(placed: Placed, name: str, severity: float, asked: _Asked) -> Floats:
    """Rise of the distance of each patient, mean over labels; only where both are values."""
    found = []
    for label in asked.labels:
        clean, column = placed.get((CLEAN, 0.0, label)), placed.get((name, severity, label))
        if clean is not None and column is not None:
            found.append(column.value - clean.value)
    if not found:
        return np.empty(0)
    mean = _mean_of_labels(found)
    return mean[~np.isnan(mean)]


def _area(values: Floats, asked: _Asked, name: str) -> Estimate:
    n = len(values)
    if not n:
        return Estimate(None, 0, "descriptive", status="not_assessable", note="no patient")
    mean = float(values.mean())
    if n < FEW or np.ptp(values) == 0:
        status, note = ("too_few", f"needs n >= {FEW}") if n < FEW else ("degenerate", "")
        return Estimate(mean, n, "descriptive", status=status, note=note)
    weights = bootstrap_weights(n, seed_of(asked.seed, "screen", name))
    low, high = studentized_interval(values[:, None], weights, level=_LEVEL, bounded=False)
    # no drop of a DSC is beyond one
    ends = np.clip([low[0], high[0]], -1.0, 1.0)
    return Estimate(
        mean, n, "studentized bootstrap", "two-sided", _LEVEL, float(ends[0]), float(ends[1])
    )


def _note(
    drops: Sequence[Drop],
    reached: int,
    severities: tuple[float, ...],
    spec: PerturbationSpec,
    n: int,
) -> str:
    if not reached:
        return "not reached before the end"
    seen = {it.status for drop in drops for it in drop.statuses}
    if not severities:
        words = {"no_effect": "no level has an effect on these scans",
                 "not_applicable": "not applicable to these scans"}  # fmt: skip
        told = [words[status] for status in sorted(seen & words.keys())]
        return "; ".join(told) or "no clean scan to compare with"
    told = []
    absent = [drop for drop in drops if drop.severity not in severities]
    for drop in absent:
        names = ", ".join(it.status.replace("_", " ") for it in drop.statuses)
        told.append(f"severity {drop.severity:g} is left out: {names}")
    if not n:
        told.append("no patient has a drop at every one of these severities")
    elif n < reached:
        told.append(f"{n} of {reached} patients have a drop at every one of these severities")
    return "; ".join(told)


def _ranked(rows: Sequence[Vulnerability]) -> tuple[Vulnerability, ...]:
    """Order by the printed area; equal ones share the best rank of theirs (1, 2, 2, 4)."""

    def printed(row: Vulnerability) -> float:
        assert row.area.value is not None  # only those are ranked
        return round(row.area.value, _PLACES) + 0.0

    known = sorted(
        (row for row in rows if row.area.value is not None),
        key=lambda row: (-printed(row), row.perturbation),
    )
    values = [printed(row) for row in known]
    placed = [replace(row, rank=1 + values.index(printed(row))) for row in known]
    others = [row for row in rows if row.area.value is None]
    # those of which something is known before those that were not reached
    return (*placed, *sorted(others, key=lambda row: (row.reached == 0, row.perturbation)))


def _drawn(
    found: Mapping[str, Placed], perturbations: Sequence[PerturbationSpec], asked: _Asked
) -> tuple[DrawnCase, ...]:
    met = np.zeros(len(asked.cases), dtype=int)
    for spec in perturbations:
        met += _met(found["dsc"], spec, asked)
    return tuple(
        DrawnCase(
            patient=record.display_patient,
            case=record.display_case,
            clean=tuple(
                value
                for label in asked.labels
                if (value := _clean_value(found, label, i, asked.distance)) is not None
            ),
            perturbations=int(met[i]),
        )
        for i, record in enumerate(asked.cases)
    )


def _clean_value(
    found: Mapping[str, Placed], label: str, i: int, distance: str
) -> CleanValue | None:
    dsc, far = found["dsc"].get((CLEAN, 0.0, label)), found[distance].get((CLEAN, 0.0, label))
    if dsc is None or dsc.statuses[i, 0] == "":
        return None
    return CleanValue(
        label=label,
        dsc=_or_none(dsc.value[i]),
        distance=None if far is None else _or_none(far.value[i]),
        status=dsc.statuses[i, 0],
        reason=dsc.reasons[i],
    )


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
