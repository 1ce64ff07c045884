"""What is promised for a new patient, and what is preferable: per condition, on the DSC."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.comparison import Pair, best_set, paired
from auditor.analysis.conformal import (
    coverage_law,
    leave_one_out,
    lower_bound,
    marginal_rank,
    needed_marginal,
    needed_pac,
    pac_rank,
    transfer_verdict,
    transferred,
)
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.summaries import clean_key
from auditor.analysis.table import Column, Key, worst_of_cases
from auditor.schema import CLEAN, Comparison, ConformalBound, Region

__all__ = ["best_at", "comparisons", "conformal_bounds", "main_columns", "worst_per_patient"]

Floats = NDArray[np.float64]


def main_columns(
    columns: Mapping[Key, Column], metric: str, *, controls: bool = False
) -> dict[Key, Column]:
    """Columns of one metric in the main region of their condition.

    Parameters
    ----------
    columns : Key -> Column
    metric : str
    controls : bool
        Those of the control systems instead of the audited ones.
    """
    kept: dict[tuple[str, str, float, str], Key] = {}
    for key in columns:
        if key.metric != metric or key.system.startswith("control:") != controls:
            continue
        place = (key.system, key.perturbation, key.severity, key.label)
        if place not in kept or key.region == Region.RETAINED.value:
            kept[place] = key
    return {key: columns[key] for key in kept.values()}


def conformal_bounds(
    columns: Mapping[Key, Column], setup: AnalysisSetup
) -> tuple[ConformalBound, ...]:
    """Bound the DSC of a new patient, for every system, label and condition."""
    rows = []
    for key, column in main_columns(columns, "dsc").items():
        scores = worst_per_patient(column.judged, setup)
        clean_column = columns.get(clean_key(key))
        clean = worst_per_patient(clean_column.judged, setup) if clean_column else scores
        rows.append(_bound(key, column, scores, clean, setup))
    return tuple(sorted(rows, key=lambda it: (it.system, it.label, it.perturbation, it.severity)))


def _bound(
    key: Key, column: Column, scores: Floats, clean: Floats, setup: AnalysisSetup
) -> ConformalBound:
    alpha, delta = setup.alpha, setup.delta
    known = scores[~np.isnan(scores)]
    n = len(known)
    rank, strict = marginal_rank(n, alpha), pac_rank(n, alpha, delta)
    held = leave_one_out(known, alpha)
    # the clean bound is that of all patients with a clean score; who has none here is not counted
    calibrating = ~np.isnan(clean)
    carried = transferred(clean[calibrating], scores[calibrating], alpha)
    law = coverage_law(n, rank)
    return ConformalBound(
        system=key.system,
        label=key.label,
        perturbation=key.perturbation,
        severity=key.severity,
        level=column.level,
        unit=column.unit,
        alpha=alpha,
        delta=delta,
        n=n,
        rank=rank,
        bound=lower_bound(known, rank),
        pac_rank=strict,
        pac_bound=lower_bound(known, strict),
        needed=needed_marginal(alpha),
        needed_pac=needed_pac(alpha, delta),
        held=held.held,
        counted=held.counted,
        clean_held=carried.held,
        clean_verdict=transfer_verdict(carried, alpha, clean=key.perturbation == CLEAN),
        status="ok" if rank else "not_certifiable",
        clean_counted=carried.counted,
        coverage_low=None if law is None else law.quantile(0.05),
        shortfall=None if law is None else law.shortfall(alpha),
    )


def worst_per_patient(values: Floats, setup: AnalysisSetup) -> Floats:
    """One score per patient: the smallest of its cases; NaN where none has one."""
    return worst_of_cases(values, setup.patient_numbers, setup.patients)


def comparisons(
    columns: Mapping[Key, Column], setup: AnalysisSetup, metric: str
) -> tuple[Comparison, ...]:
    """Compare every pair of systems at every condition; failed cases count at their worst value."""
    grouped: dict[tuple[str, float, str], dict[str, Column]] = {}
    for key, column in main_columns(columns, metric).items():
        grouped.setdefault((key.perturbation, key.severity, key.label), {})[key.system] = column
    info = setup.metric(metric)
    rows = []
    for (perturbation, severity, label), found in sorted(grouped.items()):
        ordered = {it.name: found[it.name] for it in setup.systems if it.name in found}
        values, n = _common(ordered, setup)
        if len(values) < 2 or n == 0:
            continue
        first = next(iter(ordered.values()))
        for pair in paired(
            values,
            setup.weights(n),
            level=setup.audit.interval_level,
            higher_is_better=info.higher_is_better,
            reach=1.0 if info.high == 1.0 else None,
        ):
            rows.append(
                Comparison(
                    first=pair.first,
                    second=pair.second,
                    perturbation=perturbation,
                    severity=severity,
                    level=first.level,
                    unit=first.unit,
                    label=label,
                    metric=metric,
                    difference=pair.difference,
                    adjusted=True,
                    verdict=pair.verdict,
                )
            )
    return tuple(rows)


def best_at(
    rows: tuple[Comparison, ...],
    setup: AnalysisSetup,
    perturbation: str,
    severity: float,
    label: str,
) -> tuple[str, ...]:
    """Systems that none beats significantly at one condition."""
    pairs = [
        Pair(row.first, row.second, row.difference, row.verdict)
        for row in rows
        if (row.perturbation, row.severity, row.label) == (perturbation, severity, label)
    ]
    return best_set([record.name for record in setup.systems], pairs)


def _common(found: Mapping[str, Column], setup: AnalysisSetup) -> tuple[dict[str, Floats], int]:
    """Patient means of the cases that every system has a number for."""
    numbers = setup.patient_numbers
    known = np.logical_and.reduce([~np.isnan(column.judged) for column in found.values()])
    count = np.bincount(numbers[known], minlength=setup.patients)
    values = {
        name: np.bincount(numbers[known], weights=column.judged[known], minlength=setup.patients)[
            count > 0
        ]
        / count[count > 0]
        for name, column in found.items()
    }
    return values, int((count > 0).sum())
