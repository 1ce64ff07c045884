"""Controls: what each must show, and that a defect of the audit is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rows_tables import Cohort, rows_of, setup_of, table_of

from auditor.analysis.controls import control_rows
from auditor.analysis.table import measurements, of_kind
from auditor.schema import ControlRow, Record, Row


def controls_of(cohort: Cohort, rows: list[Row]) -> dict[tuple[str, str], ControlRow]:
    setup = setup_of(cohort)
    columns = measurements(of_kind(table_of(rows), Record.MEASUREMENT), setup.names)
    return {(it.name, it.perturbation): it for it in control_rows(columns, setup)}


def test_every_control_shows_what_it_must() -> None:
    cohort = Cohort(patients=6, cases_per_patient=2, raters=2)
    found = controls_of(cohort, rows_of(cohort))
    passed = {name: row.passed for (name, _), row in found.items()}
    assert passed == {
        "control:reference": True,
        "control:empty": True,
        "control:other_patient": True,
        "control:otsu": None,
        "control:rater_1": None,
        "control:rater_2": None,
    }
    assert {row.n for row in found.values()} == {6}  # patients, not their 12 cases
    assert found["control:reference", "clean"].mean == 1.0
    assert found["control:rater_2", "clean"].title == "Rater 2"


@pytest.mark.parametrize(
    ("control", "change"),
    [
        ("control:reference", {"value": 0.9999999}),
        ("control:empty", {"value": 0.0, "status": "ok"}),
        ("control:empty", {"value": 1e-9, "status": "prediction_empty"}),
        ("control:other_patient", {"value": 0.99}),
    ],
)
def test_one_wrong_mask_is_enough_to_fail(control: str, change: dict[str, float | str]) -> None:
    cohort = Cohort(patients=4)
    wrong = "scan_002_0" if control != "control:other_patient" else None
    rows = [
        replace(row, **change)  # type: ignore[arg-type]  # fields of Row by name
        if row.system == control
        and row.record == "measurement"
        and row.metric == "dsc"
        and wrong in (None, row.case)
        else row
        for row in rows_of(cohort)
    ]
    assert controls_of(cohort, rows)[control, "clean"].passed is False


def test_a_warped_reference_is_shown_once_and_for_orientation() -> None:
    cohort = Cohort(patients=3)
    rows = rows_of(cohort)
    turned = [
        replace(row, system="control:reference", value=0.97 if row.region == "retained" else 0.8)
        for row in rows
        if (row.system, row.perturbation, row.metric) == ("strong", "rotation", "dsc")
    ]
    row = controls_of(cohort, rows + turned)["control:reference", "rotation"]
    assert row.mean == pytest.approx(0.97)
    assert row.passed is None


def test_without_any_value_nothing_is_said() -> None:
    cohort = Cohort(patients=2)
    rows = [
        replace(row, value=None, worst=None, status="both_empty")
        if row.system.startswith("control:") and row.record == "measurement"
        else row
        for row in rows_of(cohort)
    ]
    row = controls_of(cohort, rows)["control:reference", "clean"]
    assert (row.mean, row.n, row.passed) == (None, 0, None)
