"""The whole analysis: from the table of rows to `Results`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.ablations import ablation_curves
from auditor.analysis.answers import headline, limits, not_assessed
from auditor.analysis.controls import control_rows
from auditor.analysis.coverage_audit import coverage_rows
from auditor.analysis.criteria import Evidence, judge, overall, waived
from auditor.analysis.difficulty import difficulty
from auditor.analysis.dose_response import dose_responses
from auditor.analysis.envelope import envelope
from auditor.analysis.failure_types import failure_types
from auditor.analysis.family_measures import family_measures
from auditor.analysis.groups import stratum_infos
from auditor.analysis.intervals import FEW
from auditor.analysis.layers import layer_susceptibility
from auditor.analysis.measured import planned_conditions
from auditor.analysis.promises import comparisons, conformal_bounds, main_columns
from auditor.analysis.properties import properties
from auditor.analysis.rater_systems import rater_results
from auditor.analysis.repeatability import repeatability
from auditor.analysis.response import responses
from auditor.analysis.robustness import coefficients_of_variation, robustness_measures
from auditor.analysis.scans import case_rows, conditions
from auditor.analysis.selection import digests, exhibits, worst_cases
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.stratum_bounds import stratum_bounds
from auditor.analysis.summaries import clean_key, summaries, worst_drops
from auditor.analysis.table import Column, Key, Rows, counted, measurements, of_kind, over_patients
from auditor.analysis.train_test import family_differences, studies_of, train_test
from auditor.analysis.trained_patches import range_drops, trained_patches
from auditor.analysis.window_sweep import window_sweeps
from auditor.schema import (
    RESULTS_VERSION,
    ContractStatus,
    CriterionResult,
    CriterionSpec,
    Record,
    Results,
    StatusCount,
    Waiver,
)
from auditor.strata.assign import FrozenStratum

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["summarise"]


def summarise(table: pa.Table, *, setup: AnalysisSetup) -> Results:
    """Analyse an executed audit.

    Parameters
    ----------
    table : pyarrow.Table
        All stored rows; their order does not matter.
    setup : AnalysisSetup
        Everything that is not in the table.

    Returns
    -------
    Results
        Every number that the report shows. Deterministic: seeds come from the audit's seed and from
        what is estimated.
    """
    scans = of_kind(table, Record.SCAN)
    evaluations = of_kind(table, Record.EVALUATION)
    known = properties(table)
    measured = of_kind(table, Record.MEASUREMENT)
    columns = measurements(measured, setup.names)
    summed = summaries(columns, setup)
    has_dsc = any(info.name == "dsc" for info in setup.metrics)
    # an ablated system explains a network: nothing is promised, compared or preferred of it
    used = setup.as_used
    own = {key: column for key, column in columns.items() if key.system not in setup.ablated}
    main = "dsc" if has_dsc else setup.metrics[0].name
    bounds = conformal_bounds(own, used) if has_dsc else ()
    compared = comparisons(own, used, main)
    studied = studies_of(own, used, main)
    judged = tuple(_judged(spec, columns, setup) for spec in setup.criteria)
    per_system = _statuses(evaluations, setup)
    return Results(
        version=RESULTS_VERSION,
        audit=setup.audit,
        headline=headline(summed, bounds, compared, used),
        systems=tuple(replace(it, statuses=per_system[it.name]) for it in setup.systems),
        cases=case_rows(scans, setup),
        conditions=conditions(scans, setup) or planned_conditions(setup),
        labels=setup.labels,
        metrics=setup.metrics,
        strata=stratum_infos(setup),
        statuses=_total(per_system),
        planned=setup.planned,
        summaries=summed,
        conformal=bounds,
        comparisons=compared,
        criteria=judged,
        overall=overall(judged, purpose=setup.audit.purpose, preview=setup.audit.preview),
        worst=worst_cases(own, used),
        difficulty=difficulty(own, known, used) if has_dsc else (),
        dose=dose_responses(own, known, used) if has_dsc else (),
        sweeps=window_sweeps(own, known, used) if has_dsc else (),
        trained_patches=trained_patches(own, known, used) if has_dsc else (),
        range_drops=range_drops(own, known, used) if has_dsc else (),
        controls=control_rows(own, used),
        exhibits=exhibits(own, used, digests(evaluations)),
        not_assessed=not_assessed(used),
        limits=limits(setup),
        raters=rater_results(measured, known, used),
        coverage=coverage_rows(own, used) if has_dsc else (),
        stratum_bounds=stratum_bounds(own, used) if has_dsc else (),
        decisions=setup.decisions,
        responses=(responded := responses(own, used)),
        envelope=envelope(responded, used),
        repeatability=repeatability(own, used),
        robustness=robustness_measures(own, used),
        coefficient_of_variation=coefficients_of_variation(own, used),
        measured=setup.measured,
        networks=setup.networks,
        ablations=ablation_curves(columns, setup),
        train_test=tuple(row for it in studied for row in train_test(it)),
        family_differences=tuple(row for it in studied for row in family_differences(it)),
        families=family_measures(own, used),
        layers=layer_susceptibility(table, setup),
        failure_types=failure_types(own, evaluations, known, used) if has_dsc else (),
    )


def _statuses(evaluations: Rows, setup: AnalysisSetup) -> dict[str, tuple[StatusCount, ...]]:
    """Count how the evaluations of each system ended; one row a label counts once."""
    found: dict[str, list[str]] = {record.name: [] for record in setup.systems}
    names = ("system", "label", "status")
    for system, label, status in zip(*(evaluations.columns[name] for name in names), strict=True):
        if system in found and label == setup.labels[0]:
            found[system].append(status)
    return {name: counted(statuses) for name, statuses in found.items()}


def _total(per_system: Mapping[str, tuple[StatusCount, ...]]) -> tuple[StatusCount, ...]:
    return counted(
        [count.status for counts in per_system.values() for count in counts for _ in range(count.n)]
    )


def _judged(
    spec: CriterionSpec, columns: Mapping[Key, Column], setup: AnalysisSetup
) -> CriterionResult:
    key = next(
        (
            key
            for key in main_columns(columns, spec.metric)
            if (key.system, key.label, key.perturbation)
            == (spec.system, spec.label, spec.perturbation)
            and abs(key.severity - spec.severity) < 1e-9
        ),
        None,
    )
    record = next((it for it in setup.systems if it.name == spec.system), None)
    contract = record.contract.status if record else ContractStatus.DECLARED_ONLY
    if spec.form != "share_of_patients_at_least" and setup.metric(spec.metric).high != 1.0:
        msg = f"{spec.id}: a mean can be claimed of metrics in [0, 1] only, got {spec.metric!r}"
        raise ValueError(msg)
    values, measured, failed, left_out = np.empty(0), np.empty(0), 0, 0
    stratum = _stratum(spec, setup)
    clean = None if key is None else columns.get(clean_key(key))
    if key is not None and clean is not None:
        inside = _inside(spec, stratum, setup)
        used, missing = _evidence(spec, columns[key], clean, setup)
        values = over_patients(used, setup.patient_numbers, inside)
        measured = over_patients(used, setup.patient_numbers, inside & ~missing)
        failed = len(set(setup.patient_numbers[missing & inside]))
        left_out = len(set(setup.patient_numbers[inside])) - len(values)
    evidence = Evidence(
        values,
        failed,
        contract,
        preview=setup.audit.preview,
        exploratory=setup.audit.purpose == "exploratory",
        left_out=left_out,
        minimum=0 if stratum is None else max(FEW, stratum.minimum),
        chosen_late=stratum is not None and stratum.kind == "descriptive",
        measured=measured,
        excluded=setup.audit.excluded_patients,
        unit=setup.metric(spec.metric).unit,
    )
    # the draws of the summaries: a claim and the table beside it resample the same patients alike
    seed = setup.seed("bootstrap")
    result = judge(spec, evidence, level=setup.audit.criteria_level, seed=seed)
    aside = Waiver(spec.waived_by, spec.waived_reason)
    return waived(result, aside) if spec.waived_by else result


def _evidence(
    spec: CriterionSpec, column: Column, clean: Column, setup: AnalysisSetup
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Per case: the number that a claim is judged on, and whether a failure stands behind it."""
    if spec.form == "mean_drop_at_most":
        used = worst_drops(column, clean, setup.metric(spec.metric))
        return used, (column.missing | clean.missing) & ~np.isnan(used)
    if spec.form == "share_of_patients_at_least":
        # what failed lies beyond every value, also beyond one that the named worst value would reach
        beyond = -np.inf if spec.value_at_least is not None else np.inf
        return np.where(column.missing, beyond, column.judged), column.missing
    return column.judged, column.missing


def _stratum(spec: CriterionSpec, setup: AnalysisSetup) -> FrozenStratum | None:
    """Find the axis that a claim is about; None for a claim about all cases, or an unknown axis."""
    axis = None if spec.stratum is None else spec.stratum[0]
    found = (it for it in setup.strata if it.axis == axis and it.label in ("", spec.label))
    return next(found, None)


def _inside(
    spec: CriterionSpec, stratum: FrozenStratum | None, setup: AnalysisSetup
) -> NDArray[np.bool_]:
    if spec.stratum is None:
        return np.ones(len(setup.cases), dtype=bool)
    name = spec.stratum[1]
    member = {} if stratum is None else stratum.membership
    return np.array([member.get(case) == name for case in setup.names])
