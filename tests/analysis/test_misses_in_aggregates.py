"""A miss never improves what a report says of a system, whatever the metric."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from metric_specs import spec_of
from rows_tables import LABEL, Cohort, setup_of, table_of

from auditor.analysis.summaries import summaries
from auditor.analysis.table import measurements, of_kind, over_patients
from auditor.metrics.catalog import METRICS, metric_info
from auditor.metrics.measure import Measured, measure_label, prepare_reference, undefined
from auditor.schema import Record, Row, Status, Summary

COHORT = Cohort(patients=100, systems=("a",), perturbations=())
SPACING = (3.0, 1.0, 0.5)
REFERENCE = torch.zeros(4, 6, 8, dtype=torch.bool)
REFERENCE[1:3, 2:4, 2:6] = True
NOTHING = torch.zeros_like(REFERENCE)
# 2 of 16 voxels missing, one too many
HIT = REFERENCE.clone()
HIT[1, 2, 2:4] = False
HIT[3, 2, 2] = True
# by definition: see auditor.metrics.policy.BLIND, and the test of it
CANNOT_SEE_A_MISS = {"specificity", "lesion_false_positives", "brier", "ece"}


def hit_and_miss(name: str, kind: str) -> tuple[Measured, Measured]:
    reference, specs = prepare_reference(REFERENCE, SPACING), [spec_of(name)]
    sure = 0.8 * HIT.float() + 0.1
    [hit] = measure_label(HIT, reference, metrics=specs, probability=sure)
    if kind != "empty":
        return hit, undefined(specs, Status(kind), "why", reference)[0]
    nowhere = torch.zeros(NOTHING.shape)
    return hit, measure_label(NOTHING, reference, metrics=specs, probability=nowhere)[0]


def analysed(name: str, found: list[Measured]) -> tuple[Summary, np.ndarray]:
    """Bring one row a patient through the analysis: its summary, and what criteria are judged on."""
    place = Row("measurement", "a", "", "", "clean", 0.0, None, "", 0, "ok")
    rows = [
        replace(
            place, case=case.case, patient=case.patient, label=LABEL, metric=name, region="whole",
            reference="reference", value=it.value, worst=it.worst, status=it.status.value,
        )
        for case, it in zip(COHORT.cases, found, strict=True)
    ]  # fmt: skip
    setup = replace(setup_of(COHORT), metrics=(metric_info(spec_of(name), "mm"),), strata=())
    columns = measurements(of_kind(table_of(rows), Record.MEASUREMENT), setup.names)
    [column] = columns.values()
    [summary] = summaries(columns, setup)
    everyone = np.ones(len(rows), dtype=bool)
    return summary, over_patients(column.judged, setup.patient_numbers, everyone)


@pytest.mark.parametrize("kind", ["empty", "crashed"])
@pytest.mark.parametrize("name", list(METRICS))
def test_more_misses_worsen_the_worst_case_mean_and_what_is_judged(name: str, kind: str) -> None:
    hit, miss = hit_and_miss(name, kind)
    means, judged = [], []
    for misses in (0, 10, 50):
        summary, values = analysed(name, [miss] * misses + [hit] * (100 - misses))
        assert summary.worst_case_mean is not None
        assert len(values) == 100  # nobody is left out
        assert sum(count.n for count in summary.statuses) == 100
        assert {count.status: count.n for count in summary.statuses}.get("ok", 0) == 100 - misses
        # the plain mean says how many it is of
        assert summary.mean.n == (100 if miss.value is not None else 100 - misses)
        means.append(summary.worst_case_mean)
        judged.append(float(values.mean()))
    if kind == "empty" and name in CANNOT_SEE_A_MISS:
        assert METRICS[name].blind
        return
    better = 1.0 if METRICS[name].higher_is_better else -1.0
    for found in (means, judged):
        assert np.all(np.diff(found) * better < 0)
