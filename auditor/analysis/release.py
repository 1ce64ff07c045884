"""A system against its successor on the same patients: losses, non-inferiority, groups, flipped cases.

**Conventions.** Arrays run over the cases that both runs have, in one order. A loss is the change for the
worse, after against before, in [-1, 1]; failures count at their worst value on both sides. Non-inferiority
at every condition is an intersection of claims, so that each is tested at the full level; a condition is
called inferior by the interval that holds for all conditions together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.bands import simultaneous_band
from auditor.analysis.intervals import FEW, bootstrap_weights, studentized_bounds, unseen_rate
from auditor.analysis.means import described
from auditor.analysis.phantom import paired_bounds
from auditor.analysis.table import Column
from auditor.schema import CLEAN, Estimate
from auditor.schema.release import (
    Flip,
    ReleaseChange,
    ReleasePair,
    ReleaseStratum,
    ReleaseVerdict,
)

__all__ = ["Asked", "Condition", "Group", "Paired", "compare_systems"]

Floats = NDArray[np.float64]
Condition = tuple[str, float, str]
"""(perturbation, severity, label)."""

MOST_FLIPS = 200
"""Flipped cases that are listed; all are counted."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of cases, on one axis of strata."""

    axis: str
    name: str
    label: str
    """That the axis is measured on; empty: any."""
    inside: NDArray[np.bool_]
    """(cases,)."""
    minimum: int = FEW
    """Fewest patients that are inferred from."""


@dataclass(frozen=True, slots=True)
class Paired:
    """Everything that is compared of one system."""

    before: Mapping[Condition, Column]
    after: Mapping[Condition, Column]
    """The same conditions."""
    patients: NDArray[np.intp]
    """(cases,), number of each case's patient."""
    cases: tuple[str, ...]
    """Display ids."""
    patient_names: tuple[str, ...]
    """(cases,), display id of each case's patient."""
    higher_is_better: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """What was declared of a comparison."""

    margin: float
    """Largest mean loss that counts as none, in (0, 1)."""
    threshold: float
    """Value at which a case changes sides."""
    level: float
    """One-sided of bounds, two-sided of intervals."""
    seed: int
    """Of the resampling."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Of the mean loss at one condition; NaN with too few patients."""

    ends: tuple[float, float] = (math.nan, math.nan)
    """Of the simultaneous interval."""
    resampled: float = math.nan
    assured: float = math.nan
    at_least: float = math.nan
    """Lower phantom bound, at a level shared between all conditions of the label."""


def compare_systems(
    names: tuple[str, str],
    paired: Paired,
    groups: Sequence[Group],
    asked: Asked,
    same_predictions: tuple[int, int],
) -> ReleasePair:
    """Compare a system with its successor.

    Parameters
    ----------
    names : of the system before and after
    paired : what both have
    groups : of cases, for clean scans
    asked : margin, threshold, level and seed
    same_predictions : (predictions with the same mask, predictions compared)
    """
    losses = {key: _losses(paired, key) for key in paired.before}
    changes = [
        change
        for label in sorted({label for _, _, label in losses})
        for change in _changes(paired, losses, label, asked)
    ]
    flips = _flips(paired, asked.threshold)
    lost = [it for it in flips if it.way == "lost"]
    gained = [it for it in flips if it.way == "gained"]
    return ReleasePair(
        before=names[0],
        after=names[1],
        same_predictions=same_predictions[0],
        compared_predictions=same_predictions[1],
        changes=tuple(changes),
        strata=_strata(losses, paired, groups, asked),
        flips=tuple((*lost, *gained)[:MOST_FLIPS]),
        lost=len(lost),
        gained=len(gained),
        verdict=_together([it.verdict for it in changes]),
    )


def _losses(paired: Paired, key: Condition) -> Floats:
    """Change for the worse of each case; NaN where one of the runs has no number."""
    change = paired.before[key].judged - paired.after[key].judged
    return change if paired.higher_is_better else -change


def _over_patients(values: Floats, patients: NDArray[np.intp], count: int) -> Floats:
    """Mean of each patient's cases, (patients,); NaN without one."""
    known = ~np.isnan(values)
    number = np.bincount(patients[known], minlength=count)
    total = np.bincount(patients[known], weights=values[known], minlength=count)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _changes(
    paired: Paired,
    losses: Mapping[Condition, Floats],
    label: str,
    asked: Asked,
) -> list[ReleaseChange]:
    """Judge every condition of a label; the interval holds for all that have the same patients."""
    keys = sorted(
        (key for key in losses if key[2] == label), key=lambda key: (key[0] != CLEAN, key[:2])
    )
    count = int(paired.patients.max()) + 1 if len(paired.patients) else 0
    of_patients = {key: _over_patients(losses[key], paired.patients, count) for key in keys}
    together: dict[bytes, list[Condition]] = {}
    for key in keys:
        together.setdefault(np.isnan(of_patients[key]).tobytes(), []).append(key)
    made: dict[Condition, ReleaseChange] = {}
    for members in together.values():
        values = np.stack([of_patients[key] for key in members], axis=1)
        values = values[~np.isnan(values[:, 0])]
        # one interval for all conditions, also where they differ in patients: the level is shared
        shared = 1 - (1 - asked.level) * len(members) / len(keys)
        bounds = _bounded(values, asked, shared, 1 - (1 - asked.level) / len(keys))
        for i, key in enumerate(members):
            left_out = count - len(values)
            made[key] = _change(paired, key, values[:, i], left_out, bounds[i], asked)
    return [made[key] for key in keys]


def _bounded(values: Floats, asked: Asked, shared: float, each: float) -> list[_Bounds]:
    """Bound the mean loss at conditions that have a number for the same patients: (patients, conditions)."""
    n, columns = values.shape
    if n < FEW:
        return [_Bounds()] * columns
    weights = bootstrap_weights(n, asked.seed)
    low, high = simultaneous_band(values, weights, level=shared)
    _, resampled = studentized_bounds(values, weights, level=asked.level)
    _, assured = paired_bounds(values, level=asked.level)
    # where all patients lose alike resampling says nothing, and the phantom bound still does
    at_least, _ = paired_bounds(values, level=each)
    return [
        _Bounds(
            (float(low[i]), float(high[i])),
            float(resampled[i]),
            float(assured[i]),
            float(at_least[i]),
        )
        for i in range(columns)
    ]


def _change(
    paired: Paired,
    key: Condition,
    values: Floats,
    left_out: int,
    found: _Bounds,
    asked: Asked,
) -> ReleaseChange:
    n, level = len(values), asked.level
    column = paired.after[key]
    inside = ~np.isnan(_losses(paired, key))
    before, after = (
        _mean(it[key].judged, inside, paired.patients) for it in (paired.before, paired.after)
    )
    few = n < FEW
    loss = described(values, level=level) if few else _interval(values, found.ends, level)
    needs = f"needs at least {FEW} patients, has {n}"
    none = Estimate(None, n, "none", status="too_few", note=needs)
    least = unseen_rate(n, level=level) if n else 1.0
    beyond = f"with {n} patients no loss below {least:.3f} can be assured"
    # patients who got better can assure what no absence of a loss could
    note = beyond if min(least, found.assured) > asked.margin else ""
    bounds = (
        none
        if few
        else Estimate(found.assured, n, "phantom bound, paired", "upper", level, note=note)
    )
    flat = not few and np.ptp(values) == 0
    given = none if few else _conditional(found.resampled, n, level, flat=flat)
    return ReleaseChange(
        perturbation=key[0],
        severity=key[1],
        level=column.level,
        unit=column.unit,
        label=key[2],
        before=before,
        after=after,
        loss=loss,
        assured=bounds,
        conditional=given,
        verdict=_verdict(loss, bounds, given, asked.margin, found.at_least),
        left_out=left_out,
    )


def _mean(values: Floats, inside: NDArray[np.bool_], patients: NDArray[np.intp]) -> float | None:
    kept = np.where(inside, values, np.nan)
    found = _over_patients(kept, patients, int(patients.max()) + 1 if len(patients) else 0)
    known = found[~np.isnan(found)]
    return float(known.mean()) if len(known) else None


def _interval(values: Floats, ends: tuple[float, float], level: float) -> Estimate:
    """Put the mean loss and its interval together; one that says nothing of others is left out."""
    n, mean = len(values), float(values.mean())
    if np.ptp(values) == 0:
        note = "the change is the same in all patients; resampling says nothing of others"
        return Estimate(mean, n, "descriptive", status="degenerate", note=note)
    if not all(map(math.isfinite, ends)):
        note = "too few patients differ for a resampling interval"
        return Estimate(mean, n, "descriptive", status="degenerate", note=note)
    method = "paired studentized bootstrap, max-T over conditions"
    return Estimate(mean, n, method, "two-sided", level, max(-1.0, ends[0]), min(1.0, ends[1]))


def _conditional(bound: float, n: int, level: float, *, flat: bool) -> Estimate:
    rate = unseen_rate(n, level=level)
    note = f"given no unseen collapse: a rate of failures up to {rate:.3f} is not excluded"
    if flat:
        note = f"all patients have the same change, so resampling says nothing of others; {note}"
    return Estimate(min(1.0, bound), n, "paired studentized bootstrap", "upper", level, note=note)


def _verdict(
    loss: Estimate, assured: Estimate, given: Estimate, margin: float, at_least: float
) -> ReleaseVerdict:
    if assured.value is None or given.value is None:
        return ReleaseVerdict.UNDECIDED
    if assured.value <= margin:
        return ReleaseVerdict.NON_INFERIOR
    if (loss.low is not None and loss.low > margin) or at_least > margin:
        return ReleaseVerdict.INFERIOR
    if given.value <= margin:
        return ReleaseVerdict.CONDITIONAL
    return ReleaseVerdict.UNDECIDED


def _together(verdicts: Sequence[ReleaseVerdict]) -> ReleaseVerdict:
    """Non-inferior when each is, and only as surely as the weakest; inferior when one is."""
    order = (
        ReleaseVerdict.INFERIOR, ReleaseVerdict.UNDECIDED, ReleaseVerdict.CONDITIONAL,
        ReleaseVerdict.NON_INFERIOR,
    )  # fmt: skip
    return next((it for it in order if it in verdicts), ReleaseVerdict.UNDECIDED)


def _strata(
    losses: Mapping[Condition, Floats],
    paired: Paired,
    groups: Sequence[Group],
    asked: Asked,
) -> tuple[ReleaseStratum, ...]:
    """Find the losses of every group on clean scans; the intervals of a label hold together.

    Groups have different patients, so that the level is shared between them (Bonferroni).
    """
    rows = []
    for (perturbation, _, label), values in losses.items():
        if perturbation != CLEAN:
            continue
        own = [group for group in groups if group.label in ("", label)]
        shared = 1 - (1 - asked.level) / max(1, len(own))
        for group in own:
            count = int(paired.patients.max()) + 1
            kept = _over_patients(np.where(group.inside, values, np.nan), paired.patients, count)
            sample = kept[~np.isnan(kept)]
            estimate = _of_group(sample, group.minimum, shared, asked)
            regression = estimate.low is not None and estimate.low > 0
            rows.append(ReleaseStratum(group.axis, group.name, label, estimate, regression))
    return tuple(rows)


def _of_group(sample: Floats, minimum: int, shared: float, asked: Asked) -> Estimate:
    if len(sample) < max(minimum, FEW):
        return described(sample, level=asked.level, few=max(minimum, FEW))
    weights = bootstrap_weights(len(sample), asked.seed)
    low, high = simultaneous_band(sample[:, None], weights, level=shared)
    found = _interval(sample, (float(low[0]), float(high[0])), asked.level)
    if found.low is None:
        return found
    method = "paired studentized bootstrap, Bonferroni over groups"
    return Estimate(found.value, found.n, method, "two-sided", asked.level, found.low, found.high)


def _flips(paired: Paired, threshold: float) -> list[Flip]:
    """List the cases that reach the threshold in one run alone; the largest change first."""
    found: list[tuple[float, Flip]] = []
    for key in paired.before:
        before, after = paired.before[key], paired.after[key]
        known = ~(np.isnan(before.judged) | np.isnan(after.judged))
        reached = [
            _reached(it, threshold, higher=paired.higher_is_better) for it in (before, after)
        ]
        for i in np.flatnonzero(known & (reached[0] != reached[1])):
            change = abs(float(before.judged[i] - after.judged[i]))
            found.append((change, _flip(paired, key, int(i), lost=bool(reached[0][i]))))
    found.sort(key=lambda it: (-it[0], it[1].case, it[1].perturbation, it[1].severity, it[1].label))
    return [flip for _, flip in found]


def _reached(column: Column, threshold: float, *, higher: bool) -> NDArray[np.bool_]:
    """Tell which cases reach the threshold; what failed does not."""
    met = column.judged >= threshold if higher else column.judged <= threshold
    return np.asarray(met & ~column.missing)


def _flip(paired: Paired, key: Condition, i: int, *, lost: bool) -> Flip:
    before, after = paired.before[key], paired.after[key]
    return Flip(
        case=paired.cases[i],
        patient=paired.patient_names[i],
        perturbation=key[0],
        severity=key[1],
        label=key[2],
        before=_number(before.value[i]),
        after=_number(after.value[i]),
        status_before=_status(before, i),
        status_after=_status(after, i),
        way="lost" if lost else "gained",
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _status(column: Column, i: int) -> str:
    """Status of the first replicate that is not ok, else ok."""
    statuses = [it for it in column.statuses[i] if it]
    return next((it for it in statuses if it != "ok"), "ok")
