"""One `Summary` per system, condition, label, metric, region and group of cases.

The intervals of all columns with the same number of patients are computed together, from one matrix of
weights.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.groups import Group, groups
from auditor.analysis.intervals import (
    bca_interval,
    clopper_pearson,
    studentized_interval,
)
from auditor.analysis.means import described, interval_estimate, unseen
from auditor.analysis.phantom import phantom_lower
from auditor.analysis.proven import betting_lower, hoeffding_lower
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Column, Key, counted, over_patients
from auditor.schema import CLEAN, Estimate, MetricInfo, Region, Summary

__all__ = ["clean_key", "drops", "summaries", "worst_drops"]

Floats = NDArray[np.float64]

PHANTOM = "phantom-zero bound"
_PROVEN = (("betting bound", betting_lower), ("Hoeffding's bound", hoeffding_lower))
"""Bounds that rest on no conjecture, the closer one first."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One summary to be made."""

    key: Key
    column: Column
    group: Group
    values: Floats
    drops: Floats


def clean_key(key: Key) -> Key:
    """Return the clean column that a perturbed one is paired with."""
    return key._replace(perturbation=CLEAN, severity=0.0, region=Region.WHOLE.value)


def drops(before: Floats, after: Floats, info: MetricInfo) -> Floats:
    """Change for the worse from clean: positive is worse, whatever the metric's direction.

    Parameters
    ----------
    before, after : (cases,)
        Values on the clean scan and under the condition; NaN where there is none.
    """
    return before - after if info.higher_is_better else after - before


def worst_drops(column: Column, clean: Column, info: MetricInfo) -> Floats:
    """Change for the worse from clean, with what failed counted against the system.

    A failure under the condition counts at its named worst value. A failure on the clean scan counts at
    the metric's best value there: at its worst, a crash would look like an improvement.
    """
    best = info.high if info.higher_is_better else info.low
    before = np.where(clean.missing, np.nan if best is None else best, clean.judged)
    return drops(before, column.judged, info)


def summaries(columns: Mapping[Key, Column], setup: AnalysisSetup) -> tuple[Summary, ...]:
    """Summarise every column for all cases and for every stratum."""
    patients = setup.patient_numbers
    jobs = []
    for key, column in columns.items():
        if key.system.startswith("control:"):
            continue
        clean = columns.get(clean_key(key))
        info = setup.metric(key.metric)
        for group in groups(setup):
            if group.label not in ("", key.label):
                continue
            change = (
                np.full(len(patients), np.nan)
                if clean is None or key.perturbation == CLEAN
                else drops(clean.value, column.value, info)
            )
            jobs.append(
                _Job(
                    key,
                    column,
                    group,
                    over_patients(column.value, patients, group.inside),
                    over_patients(change, patients, group.inside),
                )
            )
    bounded = [_bounded(job, setup) for job in jobs]
    minimum = [job.group.minimum for job in jobs]
    means = _intervals(
        [job.values for job in jobs], [0.0 if it else None for it in bounded], minimum, setup
    )
    means = _cross_checked(jobs, means, setup)
    changes = _intervals(
        [job.drops for job in jobs], [-1.0 if it else None for it in bounded], minimum, setup
    )
    lowers = _lower_bounds(jobs, setup)
    proven = _proven_bounds(jobs, lowers, setup)
    made = [
        replace(_summary(job, mean, lower, change, setup), proven=also)
        for job, mean, lower, change, also in zip(jobs, means, lowers, changes, proven, strict=True)
    ]
    return tuple(
        sorted(
            made,
            key=lambda it: (
                it.system, it.perturbation, it.severity, it.label, it.metric, it.region, it.axis,
                it.stratum,
            ),
        )
    )  # fmt: skip


def _bounded(job: _Job, setup: AnalysisSetup) -> bool:
    return setup.metric(job.key.metric).high == 1.0


def _intervals(
    samples: list[Floats], least: list[float | None], minimum: list[int], setup: AnalysisSetup
) -> list[Estimate]:
    """Two-sided interval of each sample's mean; descriptive where patients are too few.

    Parameters
    ----------
    least : Smallest value that the mean can have, the largest being 1; None: no range
    minimum : Fewest patients of each sample that are inferred from
    """
    level = setup.audit.interval_level
    results: list[Estimate | None] = [None] * len(samples)
    enough = []
    for i, sample in enumerate(samples):
        if len(sample) < minimum[i]:
            results[i] = described(sample, level=level, few=minimum[i])
        else:
            enough.append(i)
    for n, members, values in _of_one_size(samples, enough):
        low, high = studentized_interval(values, setup.weights(n), level=level, bounded=False)
        for i, ends in zip(members, zip(low.tolist(), high.tolist(), strict=True), strict=True):
            results[i] = interval_estimate(samples[i], ends, least[i], level)
    return [result for result in results if result is not None]


def _of_one_size(
    samples: Sequence[Floats], chosen: Iterable[int]
) -> Iterator[tuple[int, list[int], Floats]]:
    """Group samples of the same number of patients as columns: n, their places, (patients, samples)."""
    together: dict[int, list[int]] = defaultdict(list)
    for i in chosen:
        together[len(samples[i])].append(i)
    for n, members in together.items():
        yield n, members, np.stack([samples[i] for i in members], axis=1)


def _cross_checked(
    jobs: Sequence[_Job], means: list[Estimate], setup: AnalysisSetup
) -> list[Estimate]:
    """Name the BCa interval beside the front page's means; a large difference warns of outliers."""
    level = setup.audit.interval_level
    front = [
        i
        for i, (job, mean) in enumerate(zip(jobs, means, strict=True))
        if job.key.perturbation == CLEAN and job.group.axis == "all" and mean.side == "two-sided"
    ]
    checked = list(means)
    for n, members, values in _of_one_size([job.values for job in jobs], front):
        low, high = bca_interval(values, setup.weights(n), level=level)
        for i, a, b in zip(members, low, high, strict=True):
            told = f"{means[i].note}; BCa, as a cross-check: {a:.3g} to {b:.3g}"
            checked[i] = replace(means[i], note=told)
    return checked


def _lower_bounds(jobs: Sequence[_Job], setup: AnalysisSetup) -> list[Estimate]:
    """Phantom-zero bound of each mean, for metrics in [0, 1]."""
    level = setup.audit.criteria_level
    samples = [job.values for job in jobs]
    results: list[Estimate | None] = [None] * len(jobs)
    enough = []
    for i, job in enumerate(jobs):
        n = len(job.values)
        if not _assured(job, setup):
            note = "a mean is bounded only for metrics in [0, 1] of which more is better"
            results[i] = Estimate(None, n, "none", status="not_assessable", note=note)
        elif n < job.group.minimum:
            note = f"needs at least {job.group.minimum} patients, has {n}"
            results[i] = Estimate(None, n, "none", status="too_few", note=note)
        else:
            enough.append(i)
    for n, members, values in _of_one_size(samples, enough):
        note = unseen(n, level=level)
        for i, bound in zip(members, phantom_lower(values, level=level).tolist(), strict=True):
            results[i] = Estimate(bound, n, PHANTOM, "lower", level, note=note)
    return [result for result in results if result is not None]


def _proven_bounds(
    jobs: Sequence[_Job], lowers: Sequence[Estimate], setup: AnalysisSetup
) -> list[tuple[Estimate, ...]]:
    """Bounds of the same means that rest on no conjecture, where there is a bound; on all cases only."""
    level = setup.audit.criteria_level
    found: list[tuple[Estimate, ...]] = [()] * len(jobs)
    bounded = [
        i
        for i, (job, lower) in enumerate(zip(jobs, lowers, strict=True))
        if job.group.axis == "all" and lower.value is not None
    ]
    for n, members, values in _of_one_size([job.values for job in jobs], bounded):
        made = [(name, bound(values, level=level).tolist()) for name, bound in _PROVEN]
        for place, i in enumerate(members):
            found[i] = tuple(
                Estimate(bounds[place], n, name, "lower", level) for name, bounds in made
            )
    return found


def _assured(job: _Job, setup: AnalysisSetup) -> bool:
    """Tell whether the mean has a lower bound: a metric in [0, 1] of which more is better."""
    return _bounded(job, setup) and setup.metric(job.key.metric).higher_is_better


def _summary(
    job: _Job, mean: Estimate, lower: Estimate, change: Estimate, setup: AnalysisSetup
) -> Summary:
    key, column, group = job.key, job.column, job.group
    judged = over_patients(column.judged, setup.patient_numbers, group.inside)
    if key.perturbation == CLEAN:
        note = "clean scans are what others are compared with"
        change = Estimate(None, len(job.values), "none", status="not_assessable", note=note)
    some = len(job.values) > 0
    return Summary(
        system=key.system,
        perturbation=key.perturbation,
        severity=key.severity,
        level=column.level,
        unit=column.unit,
        label=key.label,
        metric=key.metric,
        region=key.region,
        axis=group.axis,
        stratum=group.name,
        statuses=counted(column.statuses[group.inside].ravel()),
        mean=mean,
        lower=lower,
        drop=change,
        median=float(np.median(job.values)) if some else None,
        minimum=float(job.values.min()) if some else None,
        maximum=float(job.values.max()) if some else None,
        worst_case_mean=float(judged.mean()) if len(judged) else None,
        share=_share(job, setup),
    )


def _share(job: _Job, setup: AnalysisSetup) -> Estimate | None:
    """Share of patients within the declared value, with its Clopper-Pearson interval."""
    info, level = setup.metric(job.key.metric), setup.audit.interval_level
    within = next((value for name, value in info.parameters if name.startswith("within")), None)
    if within is None:
        return None
    # what failed lies beyond the value, also where its named worst case would not
    beyond = -np.inf if info.higher_is_better else np.inf
    scored = np.where(job.column.missing, beyond, job.column.judged)
    judged = over_patients(scored, setup.patient_numbers, job.group.inside)
    n, least = len(judged), job.group.minimum
    if n == 0:
        return Estimate(None, 0, "none", status="not_assessable", note="no value")
    reached = int(((judged >= within) if info.higher_is_better else (judged <= within)).sum())
    if n < least:
        note = f"{n} patient(s): described, not inferred from (needs n >= {least})"
        return Estimate(reached / n, n, "descriptive", status="too_few", note=note)
    low, high = clopper_pearson(reached, n, level=level)
    return Estimate(reached / n, n, "Clopper-Pearson", "two-sided", level, low, high)
