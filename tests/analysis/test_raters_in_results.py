"""From stored rows to what is said of raters and of systems beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from rater_rows import Noise, noise_of, rater_rows, score
from rows_tables import LABEL, Cohort, fail, rows_of, setup_of, table_of

from auditor.analysis import summarise
from auditor.analysis.raters import Draws, label_agreement, ranked
from auditor.schema import RaterCase, RaterResults, RaterSystem, Results, Row, decode, encode

COHORT = Cohort(patients=24, raters=3, systems=("unet",), perturbations=())


def results(
    cohort: Cohort, rows: Sequence[Row], *, margin: float | None = None
) -> tuple[Results, RaterResults]:
    setup = replace(setup_of(cohort), rater_margin=margin)
    found = summarise(table_of([*rows_of(cohort), *rows]), setup=setup)
    assert found.raters is not None
    return found, found.raters


def system_of(
    cohort: Cohort, noise: Noise, *, margin: float | None = None
) -> tuple[RaterSystem, RaterResults]:
    _, found = results(cohort, rater_rows(cohort, noise), margin=margin)
    (system,) = found.systems
    return system, found


def test_without_two_raters_there_are_no_results_of_raters() -> None:
    cohort = Cohort(patients=12, raters=1)
    assert summarise(table_of(rows_of(cohort)), setup=setup_of(cohort)).raters is None


def test_rows_of_raters_change_no_other_number() -> None:
    plain = summarise(table_of(rows_of(COHORT)), setup=setup_of(COHORT))
    with_raters, _ = results(COHORT, rater_rows(COHORT, noise_of(1)))
    assert replace(with_raters, raters=None) == plain


def test_differences_are_those_of_the_rows() -> None:
    noise = noise_of(1, bias=0.05)
    system, _ = system_of(COHORT, noise)
    names = ("rater_1", "rater_2", "rater_3")
    deltas = []
    for record in COHORT.cases:
        own = np.mean([score(noise, record.case, "unet", it) for it in names])
        pairs = [("rater_1", "rater_2"), ("rater_1", "rater_3"), ("rater_2", "rater_3")]
        deltas.append(own - np.mean([score(noise, record.case, a, b) for a, b in pairs]))
    assert system.difference.value == pytest.approx(np.mean(deltas))
    assert system.difference.n == 24
    assert system.dsc.value is not None
    assert system.between.value is not None
    assert system.dsc.value - system.between.value == pytest.approx(np.mean(deltas))
    assert system.williams.value == pytest.approx(system.dsc.value / system.between.value)
    # every consensus is the truth here: the mean distance of the raters from it, minus the system's own
    left_out = [
        np.mean([noise(it.case, name) for name in names]) - noise(it.case, "unet")
        for it in COHORT.cases
    ]
    assert system.consensus_difference.value == pytest.approx(np.mean(left_out))


def test_without_a_margin_there_are_numbers_and_no_verdict() -> None:
    system, found = system_of(COHORT, noise_of(1))
    assert system.test is None
    assert system.consensus_test is None
    assert system.williams_test is None
    assert system.lower.value is not None
    assert system.difference.low is not None
    assert any("No margin was declared" in note for note in found.notes)


def test_the_bounds_do_not_depend_on_the_margin() -> None:
    without, _ = system_of(COHORT, noise_of(1))
    strict, found = system_of(COHORT, noise_of(1), margin=0.02)
    assert (without.lower, without.upper, without.difference, without.williams) == (
        strict.lower, strict.upper, strict.difference, strict.williams
    )  # fmt: skip
    assert strict.test is not None
    assert strict.test.margin == 0.02
    assert not any("No margin was declared" in note for note in found.notes)


def test_a_clearly_worse_system_is_outside_and_an_exchangeable_one_is_not() -> None:
    cohort = replace(COHORT, patients=60)
    worse, _ = system_of(cohort, noise_of(3, bias=0.4), margin=0.02)
    assert worse.test is not None
    assert worse.test.verdict == "outside"
    alike, _ = system_of(cohort, noise_of(3), margin=0.06)
    assert alike.test is not None
    assert alike.test.verdict in ("within", "within (conditional)")
    assert [test.pooled for test in alike.annotators] == [True, False]
    assert [it.rater for it in alike.annotators[1].positions] == ["rater_1", "rater_2", "rater_3"]
    assert worse.annotators[1].verdict == "for no rater"


def test_a_prediction_that_failed_agrees_with_nobody() -> None:
    rows = rater_rows(COHORT, noise_of(1))
    _, before = results(COHORT, rows)
    case = COHORT.cases[0]
    broken = fail(rows, system="unet", case=case.case)
    _, after = results(COHORT, broken)
    assert {c: own for c, _, own in after.systems[0].points}["C001"] == 0.0
    # rows that were never written, because the worker died, count alike
    lost = [row for row in rows if (row.system, row.case) != ("unet", case.case)]
    _, without = results(COHORT, lost)
    assert without.systems[0].difference == after.systems[0].difference
    assert (
        dict(without.systems[0].scores)["qubiq_dice"]
        == (dict(after.systems[0].scores)["qubiq_dice"])
    )
    assert after.systems[0].difference.n == before.systems[0].difference.n == 24


def test_two_empty_masks_agree_on_both_sides() -> None:
    rows = rater_rows(COHORT, noise_of(1))
    case = COHORT.cases[3]
    emptied = [
        replace(row, value=None, status="both_empty", worst=None)
        if row.case == case.case and row.metric == "dsc"
        else row
        for row in rows
    ]
    _, found = results(COHORT, emptied)
    assert {c: own for c, _, own in found.systems[0].points}[case.display_case] == 1.0


def test_cases_of_one_patient_are_averaged_first() -> None:
    cohort = Cohort(patients=12, cases_per_patient=2, raters=3, systems=("unet",), perturbations=())
    system, found = system_of(cohort, noise_of(5))
    assert system.difference.n == 12
    assert len(system.points) == 24
    assert found.labels[0].cases == 24
    assert found.labels[0].patients == found.labels[0].dsc.n == 12


def test_results_with_raters_are_read_back_as_they_were_written() -> None:
    found, _ = results(COHORT, rater_rows(COHORT, noise_of(1)), margin=0.02)
    assert decode(encode(found), Results) == found


def test_metrics_of_all_raters_are_averaged_and_failures_count_at_their_worst() -> None:
    rows = rater_rows(COHORT, noise_of(1))
    _, found = results(COHORT, rows)
    scores = dict(found.systems[0].scores)
    assert set(scores) == {"qubiq_dice", "volume_crps"}
    assert scores["qubiq_dice"].value == pytest.approx(0.9)
    _, worse = results(COHORT, fail(rows, system="unet", case=COHORT.cases[0].case))
    mean = dict(worse.systems[0].scores)["qubiq_dice"].value
    assert mean == pytest.approx(0.9 * 23 / 24)


def test_nothing_where_no_rater_marked_anything_leaves_the_mean_of_all_raters() -> None:
    """It is right, and no miss: a 0 for it would punish a system for marking nothing."""
    rows = rater_rows(COHORT, noise_of(1))
    case = COHORT.cases[3].case
    emptied = [
        replace(row, value=None, status="both_empty", worst=None)
        if (row.system, row.case, row.metric) == ("unet", case, "qubiq_dice")
        else row
        for row in rows
    ]
    assert emptied != rows
    _, found = results(COHORT, emptied)
    score = dict(found.systems[0].scores)["qubiq_dice"]
    assert score.value == pytest.approx(0.9)
    assert score.n == 23


def test_a_failure_counts_at_the_worst_case_of_its_own_row() -> None:
    rows = rater_rows(COHORT, noise_of(1))
    _, found = results(COHORT, rows)
    before = dict(found.systems[0].scores)["volume_crps"]
    first = COHORT.cases[0].case
    broken = [
        replace(row, worst=50.0) if (row.case, row.metric) == (first, "volume_crps") else row
        for row in fail(rows, system="unet", case=first)
    ]
    _, worse = results(COHORT, broken)
    after = dict(worse.systems[0].scores)["volume_crps"]
    assert after.n == before.n == 24
    old = next(
        row.value
        for row in rows
        if (row.system, row.case, row.metric) == ("unet", first, "volume_crps")
    )
    assert before.value is not None
    assert old is not None
    assert after.value == pytest.approx(before.value + (50.0 - old) / 24)


def case(name: str, *, assd: float | None, dsc: float | None, empty: int = 0) -> RaterCase:
    return RaterCase(
        label=LABEL, case=name, patient=name.replace("C", "P"), raters=3, empty=empty, dsc=dsc,
        assd=assd, volume=5.0, volume_range=1.0, volume_cv=0.1, ged=0.1, kappa=0.9,
    )  # fmt: skip


def test_cases_are_ranked_by_whether_there_is_an_object_then_by_width_in_mm() -> None:
    cases = [
        case("C001", assd=0.4, dsc=0.2),
        case("C002", assd=None, dsc=1.0, empty=3),
        case("C003", assd=1.4, dsc=0.9),
        case("C004", assd=None, dsc=0.3, empty=1),
        case("C005", assd=0.4, dsc=0.2),
    ]
    assert [it.case for it in ranked(cases)] == ["C004", "C003", "C001", "C005", "C002"]


def test_a_label_counts_who_marked_anything_and_leaves_undefined_widths_out() -> None:
    cases = [case(f"C{i:03d}", assd=0.5, dsc=0.8) for i in range(10)]
    cases += [
        case("C010", assd=None, dsc=0.3, empty=1),
        case("C011", assd=None, dsc=1.0, empty=3),
    ]
    found = label_agreement(LABEL, cases, Draws(0.95, 0))
    assert (found.everybody, found.disputed, found.nobody) == (10, 1, 1)
    assert found.dsc.n == 12
    assert found.dsc.value == pytest.approx((10 * 0.8 + 0.3 + 1.0) / 12)
    assert found.assd.n == 10
    assert found.assd.status == "degenerate"


def test_agreement_of_few_patients_is_described_and_not_inferred_from() -> None:
    found = label_agreement(LABEL, [case("C001", assd=0.5, dsc=0.8)], Draws(0.95, 0))
    assert found.dsc.status == "too_few"
    assert found.dsc.low is None
    assert found.size_and_dsc.status == "not_assessable"


def test_size_is_held_against_both_kinds_of_disagreement() -> None:
    """A constant width: 1 - DSC falls with size, the width does not."""
    rng = np.random.default_rng(4)
    cases = [
        replace(case(f"C{i:03d}", assd=float(w), dsc=1 - float(w) / r), volume=float(r**3))
        for i, (r, w) in enumerate(
            zip(np.linspace(4, 20, 40), rng.uniform(0.9, 1.1, 40), strict=True)
        )
    ]
    found = label_agreement(LABEL, cases, Draws(0.95, 0))
    assert found.size_and_dsc.value is not None
    assert found.size_and_dsc.value < -0.9
    assert found.size_and_assd.value is not None
    assert abs(found.size_and_assd.value) < 0.35
    assert found.size_and_assd.low is not None


def test_a_case_whose_masks_could_not_be_read_enters_nothing() -> None:
    lost = COHORT.cases[2].case
    rows = [row for row in rater_rows(COHORT, noise_of(1)) if row.case != lost]
    _, found = results(COHORT, rows)
    assert found.labels[0].cases == 23
    assert len(found.systems[0].points) == 23
