"""Descriptive measures of robustness, as the literature defines them; no interval, no statement about others.

**Conventions.** A *condition* is whatever has a column: a perturbation at a severity, or a name alone (with
any severity); ``clean`` is the one that others are compared with. A condition's mean is the mean over
patients of their mean over cases; what failed counts at its named worst value, and a case without a number
(the level changes nothing there) is in no mean of that condition.

- *Coefficient of variation*: population SD over mean of the condition means, clean among them (Kamath et
  al., MICCAI 2023).
- *Mean change*: mean over the perturbed conditions of the paired mean change from clean (Kamath et al.).
- *Share best*: share of cases on which a system is best; systems that tie share a case alike (Kamath et al.).
- *Mean degradation*: per perturbation the mean over severities s of the loss from clean with weights
  (2/3)^s, then the mean over perturbations (Boone et al., ROOD-MRI, NeuroImage 278, 2023, and its code).
- *Corruption error*: per perturbation the sum over severities of the error, over that of a reference
  system, then the mean over perturbations; *relative*: error less clean error (Hendrycks & Dietterich,
  ICLR 2019).
- *Seed spread*: SD (n - 1) of the means of the training runs of a family, trained alike (Kamath et al.).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.promises import main_columns
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.summaries import clean_key, worst_drops
from auditor.analysis.table import Column, Key, over_patients
from auditor.analysis.trained_systems import named_runs
from auditor.schema import CLEAN, CoefficientOfVariation, MetricInfo, RobustnessMeasure
from auditor.schema.response import Measure

__all__ = [
    "DECAY",
    "coefficients_of_variation",
    "corruption_error",
    "degradation",
    "robustness_measures",
    "shares_best",
    "variation",
]

Floats = NDArray[np.float64]

DECAY = 2 / 3
"""Weight of a severity over that of the next lower one, in the mean degradation."""

_NO_ERROR = "the reference system has no error to be compared with"


@dataclass(frozen=True, slots=True)
class _Mean:
    """One condition of one system."""

    perturbation: str
    severity: float
    mean: float
    loss: float | None
    """Paired mean change for the worse from clean; None at clean, and where no case has both."""
    cases: int


def variation(means: Sequence[float]) -> float | None:
    """Divide the population SD by the mean; None where the mean is 0.

    Examples
    --------
    >>> round(variation([0.9, 0.8, 0.7]), 6)
    0.102062
    """
    values = np.asarray(means, dtype=np.float64)
    mean = float(values.mean())
    return float(values.std()) / mean if mean else None


def degradation(severities: Sequence[float], losses: Sequence[float]) -> float:
    """Mean loss over severities with weights (2/3)^severity (ROOD-MRI).

    Examples
    --------
    >>> round(degradation([1, 2], [0.1, 0.2]), 6)  # (3 * 0.1 + 2 * 0.2) / 5
    0.14
    """
    weights = DECAY ** np.asarray(severities, dtype=np.float64)
    return float(weights @ np.asarray(losses) / weights.sum())


def corruption_error(errors: Sequence[float], reference: Sequence[float]) -> float | None:
    """Divide the sum of errors by that of the reference system; None where that is not positive."""
    below = float(np.sum(reference))
    return float(np.sum(errors)) / below if below > 0 else None


def shares_best(values: Floats, *, higher_is_better: bool) -> Floats:
    """Share of cases on which each system is best; k systems that tie get 1/k of the case each.

    Parameters
    ----------
    values : (systems, cases), without NaN

    Examples
    --------
    >>> shares_best(np.array([[0.9, 0.8], [0.7, 0.8]]), higher_is_better=True).tolist()
    [0.75, 0.25]
    """
    best = values.max(axis=0) if higher_is_better else values.min(axis=0)
    first = values == best
    return np.asarray((first / first.sum(axis=0)).mean(axis=1))


_Means = Mapping[tuple[str, str, str], Sequence[_Mean]]
"""(metric, label, system) -> its conditions, clean first."""


def coefficients_of_variation(
    columns: Mapping[Key, Column], setup: AnalysisSetup
) -> tuple[CoefficientOfVariation, ...]:
    """One coefficient for each system, label and metric, over all conditions that have a mean."""
    rows = []
    for (metric, label, system), means in _condition_means(columns, setup).items():
        value, note = _variation(setup.metric(metric), means)
        rows.append(
            CoefficientOfVariation(
                system=system,
                label=label,
                metric=metric,
                value=value,
                n_conditions=len(means),
                n_cases=min((it.cases for it in means), default=0),
                status="ok" if value is not None else "not_assessable",
                note=note,
            )
        )
    return tuple(sorted(rows, key=lambda it: (it.system, it.label, it.metric)))


def _variation(info: MetricInfo, means: Sequence[_Mean]) -> tuple[float | None, str]:
    """Coefficient and what must be known of it, or why there is none."""
    if info.low is None or info.low < 0:
        return None, "needs a metric that is never negative"
    if len(means) < 2:
        return None, "needs two conditions"
    value = variation([it.mean for it in means])
    if value is None:
        return None, "the mean over conditions is 0"
    return value, _uneven(means)


def _uneven(means: Sequence[_Mean]) -> str:
    counts = {it.cases for it in means}
    if len(counts) < 2:
        return ""
    return f"conditions differ in their cases: {min(counts)} to {max(counts)}"


def robustness_measures(
    columns: Mapping[Key, Column], setup: AnalysisSetup
) -> tuple[RobustnessMeasure, ...]:
    """All measures but the coefficient of variation, for every system, label and metric."""
    means = _condition_means(columns, setup)
    rows = [
        *(row for key, found in means.items() for row in _changes(key, found, setup)),
        *_best(columns, setup),
        *_corruption_errors(means, setup),
        *_seed_spreads(means, setup),
    ]
    return tuple(
        sorted(rows, key=lambda it: (it.measure, it.system, it.label, it.metric, it.perturbation))
    )


def _condition_means(columns: Mapping[Key, Column], setup: AnalysisSetup) -> _Means:
    everywhere = np.ones(len(setup.cases), dtype=bool)
    found: dict[tuple[str, str, str], list[_Mean]] = defaultdict(list)
    for info in setup.metrics:
        for key, column in main_columns(columns, info.name).items():
            known = int((~np.isnan(column.judged)).sum())
            if not known:
                continue
            mean = over_patients(column.judged, setup.patient_numbers, everywhere).mean()
            loss = None
            clean = columns.get(clean_key(key))
            if key.perturbation != CLEAN and clean is not None:
                lost = over_patients(
                    worst_drops(column, clean, info), setup.patient_numbers, everywhere
                )
                loss = float(lost.mean()) if len(lost) else None
            found[info.name, key.label, key.system].append(
                _Mean(key.perturbation, key.severity, float(mean), loss, known)
            )
    order = {it.name: place for place, it in enumerate(setup.systems)}
    for means in found.values():
        means.sort(key=lambda it: (it.perturbation != CLEAN, it.perturbation, it.severity))
    return dict(sorted(found.items(), key=lambda it: (it[0][:2], order.get(it[0][2], 0))))


def _measure(
    measure: Measure,
    key: tuple[str, str, str],
    value: float | None,
    *,
    at: str = "",
    conditions: int,
    cases: int,
    reference: str = "",
    note: str = "",
) -> RobustnessMeasure:
    """Write one row; `key` is (metric, label, system), `at` a perturbation, empty: over all."""
    metric, label, system = key
    return RobustnessMeasure(
        measure=measure,
        system=system,
        label=label,
        metric=metric,
        perturbation=at,
        value=value,
        n_conditions=conditions,
        n_cases=cases,
        reference=reference,
        status="ok" if value is not None else "undefined",
        note=note,
    )


def _changes(
    key: tuple[str, str, str], means: Sequence[_Mean], setup: AnalysisSetup
) -> Iterator[RobustnessMeasure]:
    """Mean change from clean, and mean degradation per perturbation and over all."""
    moved = [(it, it.loss) for it in means if it.loss is not None]
    if not moved:
        return
    sign = -1.0 if setup.metric(key[0]).higher_is_better else 1.0
    count, cases = len(moved), min(it.cases for it, _ in moved)
    change = sign * float(np.mean([loss for _, loss in moved]))
    uneven = _uneven([it for it, _ in moved])
    yield _measure("mean_change", key, change, conditions=count, cases=cases, note=uneven)
    each = []
    for name, group in itertools.groupby(moved, key=lambda pair: pair[0].perturbation):
        steps = list(group)
        value = degradation([it.severity for it, _ in steps], [loss for _, loss in steps])
        each.append(value)
        least = min(it.cases for it, _ in steps)
        yield _measure("mean_degradation", key, value, at=name, conditions=len(steps), cases=least)
    overall = float(np.mean(each))
    yield _measure("mean_degradation", key, overall, conditions=count, cases=cases, note=uneven)


def _best(columns: Mapping[Key, Column], setup: AnalysisSetup) -> Iterator[RobustnessMeasure]:
    """Share of cases on which each system is best: on clean scans, and over all conditions alike."""
    names = [record.name for record in setup.systems]
    if len(names) < 2:
        return
    for info in setup.metrics:
        grouped: dict[str, dict[tuple[str, float], dict[str, Column]]] = {}
        for key, column in main_columns(columns, info.name).items():
            places = grouped.setdefault(key.label, {})
            places.setdefault((key.perturbation, key.severity), {})[key.system] = column
        for label, places in sorted(grouped.items()):
            shares = {
                place: found
                for place, held in sorted(places.items())
                if (found := _shares(held, names, info)) is not None
            }
            clean = [it for place, it in shares.items() if place[0] == CLEAN]
            for perturbation, kept in ((CLEAN, clean), ("", list(shares.values()))):
                if not kept:
                    continue
                value = np.mean([share for share, _ in kept], axis=0)
                cases = min(it for _, it in kept)
                for system, share in zip(names, value, strict=True):
                    yield _measure(
                        "share_best",
                        (info.name, label, system),
                        float(share),
                        at=perturbation,
                        conditions=len(kept),
                        cases=cases,
                    )


def _shares(
    held: Mapping[str, Column], names: Sequence[str], info: MetricInfo
) -> tuple[Floats, int] | None:
    """Shares at one condition, over the cases that every system has a number for."""
    if any(name not in held for name in names):
        return None
    values = np.stack([held[name].judged for name in names])
    known = ~np.isnan(values).any(axis=0)
    if not known.any():
        return None
    return shares_best(values[:, known], higher_is_better=info.higher_is_better), int(known.sum())


def _corruption_errors(means: _Means, setup: AnalysisSetup) -> Iterator[RobustnessMeasure]:
    """Errors over those of the first system, which is the reference: per perturbation, and their mean."""
    names = [record.name for record in setup.systems]
    if len(names) < 2:
        return
    for key, found in means.items():
        info = setup.metric(key[0])
        reference = means.get((key[0], key[1], names[0]))
        if reference is None or not _has_error(info):
            continue
        ours, theirs = _errors(found, info), _errors(reference, info)
        cases = {name: min(it.cases for it in found if it.perturbation == name) for name in ours}
        yield from _against("corruption_error", key, names[0], (ours, theirs), cases)
        yield from _against("relative_corruption_error", key, names[0], (ours, theirs), cases)


def _has_error(info: MetricInfo) -> bool:
    """Tell whether a metric says how far it is from its best value."""
    return info.low == 0.0 and (info.high == 1.0 or not info.higher_is_better)


_Errors = Mapping[str, Mapping[float, float]]
"""Perturbation -> severity -> error."""


def _errors(means: Sequence[_Mean], info: MetricInfo) -> _Errors:
    found: dict[str, dict[float, float]] = {}
    for it in means:
        error = 1 - it.mean if info.higher_is_better else it.mean
        found.setdefault(it.perturbation, {})[it.severity] = error
    return found


def _against(
    measure: Measure,
    key: tuple[str, str, str],
    reference: str,
    errors: tuple[_Errors, _Errors],
    cases: Mapping[str, int],
) -> Iterator[RobustnessMeasure]:
    """Rows of one system beside the reference: one a perturbation, and their mean if all have one."""
    ours, theirs = errors
    each: list[float | None] = []
    conditions = 0
    for name in ours:
        shared = sorted(set(ours[name]) & set(theirs.get(name, {})))
        if name == CLEAN or not shared:
            continue
        own, other = (_above_clean(it, name, shared, measure) for it in errors)
        value = None if own is None or other is None else corruption_error(own, other)
        each.append(value)
        conditions += len(shared)
        note = "" if value is not None else _NO_ERROR
        yield _measure(
            measure, key, value, at=name, conditions=len(shared), cases=cases[name],
            reference=reference, note=note,
        )  # fmt: skip
    if each:
        known = [it for it in each if it is not None]
        value = float(np.mean(known)) if len(known) == len(each) else None
        note = "" if value is not None else _NO_ERROR
        yield _measure(
            measure, key, value, conditions=conditions, cases=min(cases.values()),
            reference=reference, note=note,
        )  # fmt: skip


def _above_clean(
    errors: _Errors, name: str, severities: Sequence[float], measure: Measure
) -> list[float] | None:
    """Errors at the severities; relative ones less the clean error, None where that is not known."""
    own = [errors[name][severity] for severity in severities]
    if measure == "corruption_error":
        return own
    clean = errors.get(CLEAN, {}).get(0.0)
    return None if clean is None else [it - clean for it in own]


def _seed_spreads(means: _Means, setup: AnalysisSetup) -> Iterator[RobustnessMeasure]:
    """SD over the training runs of a family: of their clean means, and of their means over conditions."""
    seeded = [it for it in setup.systems if it.training_seed is not None]
    families = named_runs(seeded)
    for metric, label in sorted({key[:2] for key in means}):
        for family, runs in sorted(families.items()):
            found = [means[key] for it in runs if (key := (metric, label, it.name)) in means]
            if len(found) < 2:
                continue
            clean = [[it.mean for it in one if it.perturbation == CLEAN] for one in found]
            whole = [[it.mean for it in one] for one in found]
            for perturbation, values in ((CLEAN, clean), ("", whole)):
                if len({len(it) for it in values}) != 1 or not values[0]:
                    continue
                spread = float(np.std([np.mean(it) for it in values], ddof=1))
                yield _measure(
                    "seed_spread",
                    (metric, label, family),
                    spread,
                    at=perturbation,
                    conditions=len(values[0]),
                    cases=len(found),
                )
