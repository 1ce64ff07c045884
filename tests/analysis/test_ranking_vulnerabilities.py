"""The ranking of a screen, by hand: drops, areas, ties, failures, and what says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from rows_tables import LABEL, Cohort, evaluation, table_of

from auditor.analysis.screening import Screened, clean_failures, screened
from auditor.schema import CLEAN, CaseRecord, PerturbationSpec, Row, StatusCount
from auditor.schema.screen import Vulnerability

NAMES = ("noise", "blur", "gamma", "crop", "late")
SPECS = tuple(PerturbationSpec(name, (1.0, 3.0, 5.0), (10.0, 30.0, 50.0), "%") for name in NAMES)
CLEAN_DSC = (0.9, 0.8, 0.7)
Cell = float | str | None


def cases(patients: int = 3) -> tuple[CaseRecord, ...]:
    return Cohort(patients=patients).cases


def row(case: CaseRecord, name: str, severity: float) -> Row:
    level = None if name == CLEAN else severity * 10
    unit = "" if name == CLEAN else "%"
    return Row("x", "net", case.case, case.patient, name, severity, level, unit, 0, "ok")


def rows_of(found: Mapping[str, Mapping[int, tuple[Cell, Cell, Cell]]]) -> list[Row]:
    """Rows of clean scans, and per perturbation of the DSC (or status) at each severity."""
    everybody = cases()
    rows = [
        it
        for case, dsc in zip(everybody, CLEAN_DSC, strict=True)
        for it in evaluation(row(case, CLEAN, 0.0), {"dsc": dsc, "hd95": 10.0})
    ]
    for name, of_case in found.items():
        for place, cells in of_case.items():
            for severity, cell in zip((1.0, 3.0, 5.0), cells, strict=True):
                rows += one(row(everybody[place], name, severity), cell)
    return rows


def one(place: Row, cell: Cell) -> list[Row]:
    if not isinstance(cell, str):
        far = None if cell is None else 10.0 + 100 * (1 - cell)
        return evaluation(place, {"dsc": cell, "hd95": far})
    asked = cell not in ("no_effect", "not_applicable")
    made = evaluation(place, {"dsc": None, "hd95": None}, status=cell)
    return [replace(it, reason=f"it was {cell}", worst=it.worst if asked else None) for it in made]


def ranked(rows: list[Row], *, specs: tuple[PerturbationSpec, ...] = SPECS) -> Screened:
    return screened(
        table_of(rows),
        cases=cases(),
        labels=(LABEL,),
        perturbations=specs,
        families=dict.fromkeys(NAMES, "family"),
        distance="hd95",
        seed=5,
    )


def named(found: Screened) -> dict[str, Vulnerability]:
    return {it.perturbation: it for it in found.vulnerabilities}


def test_drops_are_paired_and_the_area_is_their_mean_over_severities() -> None:
    # clean .9 .8 .7; noise on the first two patients
    found = named(ranked(rows_of({"noise": {0: (0.9, 0.6, 0.3), 1: (0.7, 0.6, 0.2)}})))
    noise = found["noise"]
    assert [drop.n for drop in noise.drops] == [2, 2, 2]
    # means of two patients: of 0 and .1, of .3 and .2, of .6 and .6
    assert [drop.mean for drop in noise.drops] == pytest.approx([0.05, 0.25, 0.6])
    assert [drop.smallest for drop in noise.drops] == pytest.approx([0.0, 0.2, 0.6])
    assert [drop.largest for drop in noise.drops] == pytest.approx([0.1, 0.3, 0.6])
    assert noise.area.value == pytest.approx((0.05 + 0.25 + 0.6) / 3)
    assert (noise.area.n, noise.area.status, noise.area.low) == (2, "too_few", None)
    assert noise.area.note == "needs n >= 10"
    # HD95 rises from 10 by 100 (1 - DSC): first severity 10 and 30, median 20
    assert noise.drops[0].distance_rise == pytest.approx(20.0)
    assert (noise.reached, noise.rank, noise.note) == (2, 1, "")
    assert noise.drops[1].level == 30.0


def test_a_failed_evaluation_counts_as_zero_and_is_counted_beside() -> None:
    found = ranked(rows_of({"noise": {0: (0.9, 0.9, "crashed")}, "blur": {0: (0.9, 0.6, 0.6)}}))
    noise = named(found)["noise"]
    assert noise.drops[2].mean == pytest.approx(0.9)
    assert [drop.failures for drop in noise.drops] == [0, 0, 1]
    assert noise.drops[2].statuses == (StatusCount("crashed", 1),)
    assert noise.drops[2].reasons == ("it was crashed",)
    assert (noise.drops[2].distance_rise, noise.drops[2].distance_n) == (None, 0)
    # .9 / 3 = .3 before blur's .6 / 3 = .2
    assert [it.perturbation for it in found.vulnerabilities[:2]] == ["noise", "blur"]
    assert StatusCount("crashed", 1) in found.statuses
    assert found.done == 3 + 6


def test_what_prints_alike_shares_a_place_and_the_next_one_is_skipped() -> None:
    found = ranked(
        rows_of(
            {
                "noise": {0: (0.9, 0.9, 0.6)},
                "blur": {0: (0.6, 0.9, 0.9)},
                "gamma": {0: (0.9, 0.9, 0.9)},
                "crop": {0: (0.5, 0.5, 0.5)},
            }
        )
    )
    places = [(it.perturbation, it.rank) for it in found.vulnerabilities]
    assert places == [("crop", 1), ("blur", 2), ("noise", 2), ("gamma", 4), ("late", None)]


def test_no_effect_and_not_applicable_are_named_and_never_count_as_stability() -> None:
    found = named(
        ranked(
            rows_of(
                {
                    "noise": {0: ("no_effect", 0.6, 0.3), 1: ("no_effect", 0.8, 0.8)},
                    "blur": {0: ("not_applicable",) * 3},
                    "gamma": {0: ("no_effect",) * 3, 1: (0.8, 0.7, 0.6)},
                }
            )
        )
    )
    noise = found["noise"]
    # (.3 + .6) / 2 and (0 + 0) / 2, over severities 3 and 5 only
    assert noise.severities == (3.0, 5.0)
    assert noise.area.value == pytest.approx((0.45 + 0.0) / 2)
    assert noise.note == "severity 1 is left out: no effect"
    assert noise.drops[0].statuses == (StatusCount("no_effect", 2),)
    blur = found["blur"]
    assert (blur.rank, blur.reached, blur.area.value) == (None, 1, None)
    assert blur.note == "not applicable to these scans"
    assert blur.drops[0].reasons == ("it was not_applicable",)
    gamma = found["gamma"]
    assert (gamma.area.n, gamma.reached) == (1, 2)
    assert gamma.note == "1 of 2 patients have a drop at every one of these severities"
    late = found["late"]
    assert (late.rank, late.reached, late.note) == (None, 0, "not reached before the end")
    assert [drop.statuses for drop in late.drops] == [(), (), ()]


def test_a_patient_whose_clean_scan_failed_has_no_drop() -> None:
    rows = rows_of({"noise": {0: (0.5, 0.5, 0.5), 1: (0.8, 0.8, 0.8)}})
    first = cases()[0].case
    broken = [
        replace(it, value=None, status="timed_out", reason="too slow")
        if it.case == first and it.perturbation == CLEAN and it.record == "measurement"
        else it
        for it in rows
    ]
    found = ranked(broken)
    noise = named(found)["noise"]
    assert (noise.area.value, noise.area.n) == (0.0, 1)
    clean = found.drawn[0].clean[0]
    assert (clean.dsc, clean.status, clean.reason) == (None, "timed_out", "too slow")
    assert [case.perturbations for case in found.drawn] == [1, 1, 0]
    assert clean_failures(table_of(broken), [case.case for case in cases()]) == ()
    all_broken = [
        replace(it, value=None, status="rejected", reason="2 channels") for it in rows_of({})
    ]
    assert clean_failures(table_of(all_broken), [case.case for case in cases()]) == (
        "rejected: 2 channels",
    )


def test_labels_are_averaged_within_a_patient_and_shown_on_their_own() -> None:
    rows = rows_of({"noise": {0: (0.8, 0.8, 0.8)}})
    # a second label: clean .5, under noise .2 at every severity
    other = [
        replace(it, label="tumour", value=0.5 if it.perturbation == CLEAN else 0.2)
        for it in rows
        if it.metric == "dsc" and it.case == cases()[0].case
    ]
    found = screened(
        table_of([*rows, *other]),
        cases=cases(),
        labels=(LABEL, "tumour"),
        perturbations=SPECS[:1],
        families={"noise": "noise"},
        distance="hd95",
        seed=5,
    )
    (noise,) = found.vulnerabilities
    # half of .1 and .3 together
    assert noise.drops[0].mean == pytest.approx(0.2)
    assert [(it.label, it.n) for it in noise.drops[0].labels] == [(LABEL, 1), ("tumour", 1)]
    assert [it.mean for it in noise.drops[0].labels] == pytest.approx([0.1, 0.3])
    # an evaluation counts once, however many labels it has
    assert found.done == 3 + 3
    assert [value.label for value in found.drawn[1].clean] == [LABEL]


def test_with_ten_patients_an_interval_holds_the_mean_and_the_order_of_rows_changes_nothing() -> (
    None
):
    everybody = cases(12)
    draws = np.random.default_rng(3)
    rows = []
    for case in everybody:
        rows += evaluation(row(case, CLEAN, 0.0), {"dsc": 0.9, "hd95": 1.0})
        for severity in (1.0, 3.0, 5.0):
            dsc = 0.9 - severity / 10 * float(draws.uniform(0.5, 1.5))
            rows += evaluation(row(case, "noise", severity), {"dsc": dsc, "hd95": 2.0})

    def look(given: list[Row]) -> Screened:
        return screened(
            table_of(given),
            cases=everybody,
            labels=(LABEL,),
            perturbations=SPECS[:1],
            families={"noise": "noise"},
            distance="hd95",
            seed=5,
        )

    found = look(rows)
    area = found.vulnerabilities[0].area
    assert (area.n, area.status, area.level) == (12, "ok", 0.95)
    assert area.low is not None
    assert area.high is not None
    assert area.value is not None
    assert area.low < area.value < area.high
    shuffled = [rows[i] for i in draws.permutation(len(rows))]
    assert look(shuffled) == found


def test_without_a_single_row_every_perturbation_is_still_named() -> None:
    found = ranked([])
    assert [it.note for it in found.vulnerabilities] == ["not reached before the end"] * 5
    assert (found.done, found.statuses) == (0, ())
    assert all(case.clean == () for case in found.drawn)
