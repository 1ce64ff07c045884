"""Whether the promise made on clean scans carries over: by severity, and by group of cases.

For every patient the marginal bound is made of the clean scores of all *other* patients, and compared with
the patient's score under the condition. A bound speaks of all patients together: within a group it may hold
less often already on clean scans, so that only the clean count over all patients holds by construction.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.conformal import (
    BROKEN,
    UNBROKEN,
    coverage_law,
    left_out_bounds,
    marginal_rank,
    needed_marginal,
)
from auditor.analysis.groups import Group, groups
from auditor.analysis.intervals import clopper_pearson
from auditor.analysis.promises import main_columns, worst_per_patient
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.summaries import clean_key
from auditor.analysis.table import Column, Key
from auditor.schema import CLEAN, CoverageRow, Estimate

__all__ = ["coverage_rows"]

Floats = NDArray[np.float64]

METHOD = "leave-one-patient-out count, Clopper-Pearson"
APPROXIMATE = "approximate: the calibration set is shared"

_ALWAYS = "foreground_ratio"
"""Axis of which every group is shown: how small an object is decides most on its DSC."""


@dataclass(frozen=True, slots=True)
class _Members:
    """Groups whose patients are counted, as matrices."""

    groups: tuple[Group, ...]
    inside: Floats
    """(groups, cases), 1 inside."""
    of_patient: Floats
    """(cases, patients), 1 where a case is the patient's."""
    sizes: NDArray[np.intp]
    """(groups,), patients of each."""

    def patients(self, cases: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell for (groups, patients) whether a patient has such a case in the group."""
        return np.asarray((self.inside * cases) @ self.of_patient > 0)


@dataclass(frozen=True, slots=True)
class _Counts:
    """Of one group at one condition."""

    held: int
    counted: int
    missing: int
    mean_bound: float | None


def coverage_rows(columns: Mapping[Key, Column], setup: AnalysisSetup) -> tuple[CoverageRow, ...]:
    """Count the kept promises of every system, label and condition, for all cases and by stratum.

    Groups are those of the foreground ratio, and of every other axis that was frozen before the first
    prediction and has enough patients.
    """
    members = {label: _members(label, setup) for label in setup.labels}
    bounds: dict[Key, tuple[Floats, int]] = {}
    rows = []
    for key, column in main_columns(columns, "dsc").items():
        clean = clean_key(key)
        if clean not in bounds:
            bounds[clean] = _clean_bounds(columns.get(clean), setup)
        found, n = bounds[clean]
        mine = members[key.label]
        counts = _counts(column, found, mine, setup)
        rows += [
            _row(key, column, group, n, it, setup)
            for group, it in zip(mine.groups, counts, strict=True)
        ]
    return tuple(
        sorted(
            rows,
            key=lambda it: (
                it.system, it.label, it.perturbation, it.severity, it.axis != "all", it.axis, it.stratum,
            ),
        )
    )  # fmt: skip


def _members(label: str, setup: AnalysisSetup) -> _Members:
    numbers = setup.patient_numbers
    chosen = tuple(it for it in groups(setup) if _counts_here(it, label, numbers))
    inside = np.array([it.inside for it in chosen], dtype=np.float64)
    of_patient = np.eye(setup.patients)[numbers]
    return _Members(chosen, inside, of_patient, (inside @ of_patient > 0).sum(axis=1))


def _counts_here(group: Group, label: str, numbers: NDArray[np.intp]) -> bool:
    if group.label not in ("", label):
        return False
    if group.axis in ("all", _ALWAYS):
        return True
    return group.inferential and len(set(numbers[group.inside].tolist())) >= group.minimum


def _clean_bounds(clean: Column | None, setup: AnalysisSetup) -> tuple[Floats, int]:
    """Bound of each patient from the others, NaN without one; and the patients with a clean score."""
    bounds = np.full(setup.patients, np.nan)
    if clean is None:
        return bounds, 0
    scores = worst_per_patient(clean.judged, setup)
    known = ~np.isnan(scores)
    made = left_out_bounds(scores[known], setup.alpha)
    if made is not None:
        bounds[known] = made
    return bounds, int(known.sum())


def _counts(
    column: Column, bounds: Floats, members: _Members, setup: AnalysisSetup
) -> list[_Counts]:
    scores = column.judged
    limit = bounds[setup.patient_numbers]
    known = ~np.isnan(scores) & ~np.isnan(limit)
    counted = members.patients(known)
    missed = members.patients(known & (scores < limit))
    n, lost = counted.sum(axis=1), missed.sum(axis=1)
    totals = counted @ np.nan_to_num(bounds)
    return [
        _Counts(
            held=int(n[i] - lost[i]),
            counted=int(n[i]),
            missing=int(members.sizes[i] - n[i]),
            mean_bound=float(totals[i] / n[i]) if n[i] else None,
        )
        for i in range(len(n))
    ]


def _row(
    key: Key, column: Column, group: Group, n: int, counts: _Counts, setup: AnalysisSetup
) -> CoverageRow:
    alpha = setup.alpha
    rank = marginal_rank(n - 1, alpha)
    needed = needed_marginal(alpha) + 1
    law = coverage_law(n - 1, rank) if rank else None
    enough = counts.counted >= group.minimum
    chance = None if law is None or not counts.counted else law.chance(counts.counted)
    share = _share(counts, group, setup.audit.interval_level)
    if not rank:
        note = f"not certifiable with n = {n}; needs n >= {needed}"
        share = Estimate(None, n, METHOD, status="not_certifiable", note=note)
    verdict = _verdict(share, alpha, clean=key.perturbation == CLEAN and group.axis == "all")
    return CoverageRow(
        system=key.system,
        label=key.label,
        perturbation=key.perturbation,
        severity=key.severity,
        level=column.level,
        unit=column.unit,
        axis=group.axis,
        stratum=group.name,
        alpha=alpha,
        n=n,
        rank=rank,
        needed=needed,
        held=counts.held,
        counted=counts.counted,
        missing=counts.missing if rank else 0,
        share=share,
        mean_bound=counts.mean_bound,
        chance_low=None if chance is None or not enough else chance[0],
        chance_high=None if chance is None or not enough else chance[1],
        verdict=verdict,
    )


def _share(counts: _Counts, group: Group, level: float) -> Estimate:
    if not counts.counted:
        note = "no patient has a score here and on clean scans"
        return Estimate(None, 0, METHOD, status="not_assessable", note=note)
    value = counts.held / counts.counted
    if counts.counted < group.minimum:
        note = f"{counts.counted} patient(s): described, not inferred from (needs n >= {group.minimum})"
        return Estimate(value, counts.counted, "descriptive", status="too_few", note=note)
    low, high = _interval(counts.held, counts.counted, level)
    return Estimate(value, counts.counted, METHOD, "two-sided", level, low, high, note=APPROXIMATE)


def _verdict(share: Estimate, alpha: float, *, clean: bool) -> str:
    words = {
        "not_certifiable": "not certifiable",
        "not_assessable": "nothing to count",
        "too_few": "too few patients",
    }
    if share.high is None:
        return words[share.status]
    if clean:
        return "by construction"
    return BROKEN if share.high < 1 - alpha else UNBROKEN


@functools.lru_cache(maxsize=4096)
def _interval(held: int, counted: int, level: float) -> tuple[float, float]:
    return clopper_pearson(held, counted, level=level)
