"""Independent draws of a condition: variance between them by hand, apart from patients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from rows_tables import NOISE, Cohort, rows_of, setup_of, table_of

from auditor.analysis import summarise
from auditor.analysis.repeatability import COEFFICIENT, between_sd, variances
from auditor.schema import RepeatabilityRow, Row

Draws = Mapping[str, tuple[float | None, ...]]
"""Case -> DSC of every draw; None: it crashed."""
TWICE = Cohort(patients=12, systems=("only",), perturbations=(NOISE,), replicates=2)


def with_draws(rows: list[Row], values: Draws) -> list[Row]:
    """Give the cases of severity 1 these values of DSC, one a replicate."""
    changed = []
    for row in rows:
        here = (
            row.record == "measurement"
            and (row.system, row.metric, row.severity) == ("only", "dsc", 1.0)
            and row.case in values
        )
        if not here:
            changed.append(row)
            continue
        value = values[row.case][row.replicate]
        status = "ok" if value is not None else "crashed"
        changed.append(replace(row, value=value, status=status))
    return changed


def row_of(cohort: Cohort, values: Draws) -> RepeatabilityRow:
    table = table_of(with_draws(rows_of(cohort), values))
    found = summarise(table, setup=setup_of(cohort)).repeatability
    (row,) = (it for it in found.rows if (it.metric, it.severity) == ("dsc", 1.0))
    return row


def all_cases(*draws: float | None) -> Draws:
    return {record.case: draws for record in TWICE.cases}


def test_the_variance_between_draws_is_that_of_the_book() -> None:
    draws = np.array([[0.8, 0.9, 1.0], [0.5, 0.5, np.nan], [0.4, np.nan, np.nan]])
    # .01 and 0; one draw has no variance
    assert variances(draws)[:2] == pytest.approx([0.01, 0.0])
    assert np.isnan(variances(draws)[2])


def test_patients_are_told_apart_from_draws() -> None:
    rng = np.random.default_rng(2)
    patients, draws = 4000, 3
    truth = rng.normal(0.8, 0.05, (patients, 1))
    seen = truth + rng.normal(0, 0.02, (patients, draws))
    within = variances(seen)
    assert math.sqrt(within.mean()) == pytest.approx(0.02, rel=0.03)
    found = between_sd(seen.mean(axis=1), within, np.full(patients, 3.0))
    assert found == pytest.approx(0.05, rel=0.05)
    # where draws explain all that differs, nothing is left for the patients
    assert between_sd(np.array([0.7, 0.71]), np.array([0.1, 0.1]), np.array([2.0, 2.0])) == 0.0
    assert between_sd(np.array([0.7]), np.array([0.1]), np.array([2.0])) is None


def test_sd_share_and_coefficient_by_hand() -> None:
    # two draws .8 and .9 in every patient: variance .005, SD .070711, mean .85
    row = row_of(TWICE, all_cases(0.8, 0.9))
    assert row.within.value == pytest.approx(math.sqrt(0.005))
    assert row.coefficient.value == pytest.approx(100 * math.sqrt(0.005) / 0.85)
    assert row.limit.value == pytest.approx(1.96 * math.sqrt(2) * math.sqrt(0.005))
    assert pytest.approx(2.7719, abs=1e-4) == COEFFICIENT
    assert row.between == 0.0
    assert (row.replicates, row.within.n, row.left_out, row.failed) == (2, 12, 0, 0)
    # all patients alike: resampling says nothing of others
    assert row.within.status == "degenerate"


def test_the_interval_is_over_patients() -> None:
    names = [record.case for record in TWICE.cases]
    values = {name: (0.8, 0.8 + 0.01 * (i + 1)) for i, name in enumerate(names)}
    row = row_of(TWICE, values)
    each = [(0.01 * (i + 1)) ** 2 / 2 for i in range(12)]
    assert row.within.value == pytest.approx(math.sqrt(np.mean(each)))
    assert row.within.low is not None
    assert row.within.high is not None
    assert row.within.low < (row.within.value or 0) < row.within.high
    assert row.limit.high == pytest.approx(COEFFICIENT * row.within.high)
    assert (row.within.level, row.within.n) == (0.95, 12)


def test_a_draw_that_failed_counts_at_its_worst_value() -> None:
    # one of twelve patients: draws .9 and 0 (crashed), variance .405; the others 0
    values = {**all_cases(0.9, 0.9), TWICE.cases[0].case: (0.9, None)}
    row = row_of(TWICE, values)
    assert row.within.value == pytest.approx(math.sqrt(0.405 / 12))
    assert row.failed == 1


def test_cases_of_a_patient_are_averaged_first() -> None:
    cohort = replace(TWICE, cases_per_patient=2)
    values = {it.case: ((0.8, 0.9) if i % 2 else (0.8, 0.8)) for i, it in enumerate(cohort.cases)}
    # variances .005 and 0 in each patient: .0025
    row = row_of(cohort, values)
    assert row.within.value == pytest.approx(0.05)
    assert row.within.n == 12


def test_single_draws_are_not_assessed_and_few_patients_described() -> None:
    once = replace(TWICE, replicates=1)
    found = summarise(table_of(rows_of(once)), setup=setup_of(once)).repeatability
    assert (found.rows, found.not_assessed) == ((), ("rician_noise",))
    few = replace(TWICE, patients=4)
    drawn = summarise(table_of(rows_of(few)), setup=setup_of(few)).repeatability
    assert drawn.not_assessed == ()
    assert {it.within.status for it in drawn.rows} == {"too_few"}
    assert all(it.within.value is not None and it.within.low is None for it in drawn.rows)
    # distances in mm have a share of the mean too
    assert {it.metric for it in drawn.rows} == {"dsc", "hd95"}
    assert all(it.coefficient.value is not None for it in drawn.rows)
