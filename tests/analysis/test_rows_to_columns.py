"""From rows to arrays: averages by hand, missing values, any order, and many rows in little time."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from rows_tables import NOISE, Cohort, rows_of, table_of

from auditor.analysis.table import Column, Key, measurements, of_kind, over_patients
from auditor.schema import Record, Row

MEASURED = Row(
    *("measurement", "unet", "a", "pa", "rician_noise", 2.0, 4.0, "%", 0, "ok"),
    label="organ", metric="dsc", region="whole", reference="reference", value=0.8, worst=0.0,
)  # fmt: skip
KEY = Key("unet", "rician_noise", 2.0, "organ", "dsc", "whole")


def columns_of(*rows: Row, cases: tuple[str, ...] = ("a", "b")) -> dict[Key, Column]:
    return measurements(of_kind(table_of(rows), Record.MEASUREMENT), cases)


def test_replicates_are_averaged_and_the_first_one_kept() -> None:
    again = replace(MEASURED, replicate=1, value=0.6)
    column = columns_of(again, MEASURED, replace(MEASURED, case="b", value=0.5))[KEY]
    assert column.value.tolist() == pytest.approx([0.7, 0.5])
    assert column.first.tolist() == [0.8, 0.5]
    assert (column.level, column.unit) == (4.0, "%")
    assert [[it for it in row if it] for row in column.statuses] == [["ok", "ok"], ["ok"]]


def test_a_failure_has_no_value_and_is_judged_at_its_worst() -> None:
    crashed = replace(MEASURED, case="b", value=None, status="crashed", reason="it broke")
    column = columns_of(MEASURED, crashed)[KEY]
    assert np.isnan(column.value[1])
    assert column.judged.tolist() == [0.8, 0.0]
    assert column.missing.tolist() == [False, True]
    assert column.reasons.tolist() == ["", "it broke"]


def test_one_failed_replicate_of_two_counts_half() -> None:
    crashed = replace(MEASURED, replicate=1, value=None, status="timed_out")
    column = columns_of(MEASURED, crashed)[KEY]
    assert (column.value[0], column.judged[0]) == (0.8, 0.4)
    assert column.missing[0]


@pytest.mark.parametrize("status", ["no_effect", "both_empty"])
def test_what_was_not_asked_is_neither_judged_nor_missing(status: str) -> None:
    left = replace(MEASURED, value=None, worst=None, status=status)
    column = columns_of(left, replace(MEASURED, case="b"))[KEY]
    assert np.isnan([column.value[0], column.judged[0]]).all()
    assert not column.missing[0]


def test_a_case_without_a_row_is_empty() -> None:
    column = columns_of(replace(MEASURED, case="b"))[KEY]
    assert np.isnan(column.judged[0])
    assert column.statuses[0].tolist() == [""]


def test_scores_against_single_raters_stand_apart() -> None:
    column = columns_of(MEASURED, replace(MEASURED, reference="rater_2", value=0.1))[KEY]
    assert column.value[0] == 0.8


def test_a_row_about_a_stranger_is_refused() -> None:
    with pytest.raises(ValueError, match="must be about a case of the audit, got 'z'"):
        columns_of(replace(MEASURED, case="z"))


def test_an_empty_table_has_no_columns() -> None:
    assert columns_of() == {}
    assert len(of_kind(table_of([MEASURED]), Record.SCAN)) == 0


def test_the_order_of_rows_changes_no_bit() -> None:
    rows = rows_of(Cohort(patients=5, cases_per_patient=2))
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    cases = tuple(it.case for it in Cohort(patients=5, cases_per_patient=2).cases)
    one, other = columns_of(*rows, cases=cases), columns_of(*shuffled, cases=cases)
    assert list(one) == list(other)
    for key, column in one.items():
        assert column.judged.tobytes() == other[key].judged.tobytes()
        assert column.statuses.tolist() == other[key].statuses.tolist()


def test_cases_are_averaged_within_their_patient() -> None:
    values = np.array([0.9, 0.5, 0.7, np.nan, np.nan])
    patients = np.array([0, 0, 1, 1, 2])
    everyone = np.ones(5, dtype=bool)
    # patient 0: (.9 + .5) / 2; patient 1: .7 alone; patient 2 has no value
    assert over_patients(values, patients, everyone).tolist() == pytest.approx([0.7, 0.7])
    assert over_patients(values, patients, patients == 2).size == 0


def test_many_rows_take_little_time() -> None:
    cohort = Cohort(patients=40, perturbations=(NOISE,))
    table = table_of(rows_of(cohort))
    copies = [
        table.set_column(1, "system", pa.array([f"s{copy:03d}"] * len(table)))
        for copy in range(150)
    ]
    joined = pa.concat_tables(copies)  # every copy is a system of its own
    started = time.perf_counter()
    rows = of_kind(joined, Record.MEASUREMENT)
    found = measurements(rows, [it.case for it in cohort.cases])
    assert time.perf_counter() - started < 5.0  # 100 000 rows: .2 s on one idle core
    assert len(rows) > 100_000
    assert len(found) == 150 * 2 * 4  # metrics, conditions
