"""Meanings of difficulty in a whole analysis: their order, their harder end, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from rows_tables import LABEL, Cohort, fail, property_rows, rows_of, setup_of, table_of
from scipy import stats

from auditor.analysis import summarise
from auditor.schema import DifficultyAxis, Row

ORDER = (
    "rater_disagreement",
    "foreground_ratio",
    "object_volume",
    "texture_disparity",
    "native_noise",
)
QUIET = Cohort(patients=24, perturbations=(), raters=3)


def found_in(rows: list[Row], cohort: Cohort, system: str = "strong") -> dict[str, DifficultyAxis]:
    results = summarise(table_of(rows), setup=setup_of(cohort))
    return {it.axis: it for it in results.difficulty if it.system == system}


def clean_scores(rows: list[Row], system: str = "strong") -> dict[str, float]:
    return {
        row.case: row.value or 0.0
        for row in rows
        if (row.record, row.system, row.metric, row.perturbation)
        == ("measurement", system, "dsc", "clean")
    }


def with_properties(
    cohort: Cohort, **values: Mapping[str, float | None]
) -> tuple[list[Row], list[str]]:
    rows = rows_of(cohort)
    for name, mine in values.items():
        rows += property_rows(rows, name, mine)
    return rows, [it.case for it in cohort.cases]


def sizes(cohort: Cohort, seed: int = 1) -> dict[str, float | None]:
    rng = np.random.default_rng(seed)
    return {
        it.case: float(v) for it, v in zip(cohort.cases, rng.lognormal(2, 1, 999), strict=False)
    }


def test_meanings_come_in_their_order_with_their_harder_end_and_unit() -> None:
    rows, _ = with_properties(QUIET, object_volume=sizes(QUIET), texture_disparity=sizes(QUIET, 2))
    results = summarise(table_of(rows), setup=setup_of(QUIET))
    assert [(it.system, it.axis) for it in results.difficulty] == [
        (system, axis) for system in ("strong", "weak") for axis in ORDER
    ]
    found = {it.axis: (it.harder, it.unit) for it in results.difficulty}
    assert found == {
        "rater_disagreement": ("high", "mm"),
        "foreground_ratio": ("low", ""),
        "object_volume": ("low", "ml"),
        "texture_disparity": ("low", ""),
        "native_noise": ("high", "% of the reference signal"),
    }


@pytest.mark.parametrize(("axis", "sign"), [("object_volume", -1), ("texture_disparity", -1)])
def test_the_hardest_case_stands_at_the_right_and_a_negative_rho_says_that_it_scores_lower(
    axis: str, sign: int
) -> None:
    scores = clean_scores(rows_of(QUIET))
    values = {case: 100 * score for case, score in scores.items()}  # easy cases have large values
    rows, _ = with_properties(QUIET, **{axis: values})
    found = found_in(rows, QUIET)[axis]
    assert found.rho.value == sign
    hardest = max(found.points, key=lambda it: it[3])
    easiest = min(found.points, key=lambda it: it[3])
    assert (hardest[1], hardest[2]) == (min(values.values()), min(scores.values()))
    assert (easiest[1], easiest[2]) == (max(values.values()), max(scores.values()))
    means = [it[1] for it in found.line]
    assert means == sorted(means, reverse=True)
    assert found.window == 10
    # a perfect order: nothing is inferred from resampling it
    assert (found.rho.status, found.rho.low) == ("degenerate", None)


def test_high_disagreement_and_noise_are_the_hard_end() -> None:
    rows = rows_of(QUIET)
    found = found_in(rows, QUIET)
    scores = clean_scores(rows)
    clean = {row.case: row for row in rows if row.record == "scan"}
    for axis, field in (("rater_disagreement", "rater_assd"), ("native_noise", "estimated_noise")):
        values = [getattr(clean[case], field) for case in scores]
        expected = stats.spearmanr(values, list(scores.values())).statistic
        assert found[axis].rho.value == pytest.approx(expected)
        hardest = max(found[axis].points, key=lambda it: it[3])
        assert hardest[1] == max(values)


def test_size_is_held_fixed_in_every_meaning_but_its_own() -> None:
    cohort = replace(QUIET, patients=40)
    scores = clean_scores(rows_of(cohort))
    rng = np.random.default_rng(3)
    volume = {case: 10 * score + rng.normal(0, 0.3) for case, score in scores.items()}
    texture = {case: it + rng.normal(0, 0.6) for case, it in volume.items()}
    rows, _ = with_properties(cohort, object_volume=volume, texture_disparity=texture)
    found = found_in(rows, cohort)
    ranks = [stats.rankdata(list(it.values())) for it in (texture, scores, volume)]
    xy, xs, ys = (np.corrcoef(ranks[a], ranks[b])[0, 1] for a, b in ((0, 1), (0, 2), (1, 2)))
    by_hand = -(xy - xs * ys) / np.sqrt((1 - xs**2) * (1 - ys**2))
    partial = found["texture_disparity"].partial
    assert partial.value == pytest.approx(by_hand)
    assert partial.n == 40
    assert partial.low is not None
    assert partial.high is not None
    assert partial.low <= by_hand <= partial.high
    assert "partialled for size" in partial.method
    assert found["object_volume"].partial.status == "not_applicable"


def test_a_meaning_that_is_size_itself_leaves_nothing_and_one_close_to_it_says_so() -> None:
    rows, cases = with_properties(QUIET)
    clean = {row.case: row for row in rows if row.record == "scan"}
    same = {case: 1000 * (clean[case].foreground_ratio or 0) for case in cases}
    found = found_in([*rows, *property_rows(rows, "object_volume", same)], QUIET)
    partial = found["foreground_ratio"].partial
    assert (partial.value, partial.status) == (None, "not_assessable")
    assert partial.note == "foreground ratio puts the patients in the order of their object size"
    # the same order, and the same draws: the same interval
    assert replace(found["foreground_ratio"].rho) == found["object_volume"].rho
    order = sorted(cases, key=lambda case: same[case])
    close = {**same, order[0]: same[order[1]], order[1]: same[order[0]]}  # two ranks change places
    found = found_in([*rows, *property_rows(rows, "object_volume", close)], QUIET)
    assert "little is left" in found["foreground_ratio"].partial.note


def test_what_was_not_measured_or_has_no_value_says_why() -> None:
    cohort = replace(QUIET, raters=0)
    cases = [it.case for it in cohort.cases]
    volume = dict.fromkeys(cases, None) | {case: 5.0 + i for i, case in enumerate(cases[4:])}
    rows, _ = with_properties(cohort, object_volume=volume)
    found = found_in(rows, cohort)
    assert found["rater_disagreement"].note == "fewer than two raters"
    assert found["rater_disagreement"].rho.note == "fewer than two raters"
    assert found["texture_disparity"].note == "not measured in this run"
    assert found["object_volume"].note == "4 case(s) without a value: nothing is marked"
    assert (found["object_volume"].rho.n, len(found["object_volume"].points)) == (20, 20)
    assert found["foreground_ratio"].partial.n == 20
    nothing = found["texture_disparity"]
    assert (nothing.points, nothing.line, nothing.window, nothing.partial.value) == (
        (),
        (),
        0,
        None,
    )


def test_without_object_size_nothing_is_held_fixed_and_the_reason_is_told() -> None:
    found = found_in(rows_of(QUIET), QUIET)
    assert found["foreground_ratio"].partial.note == "object size: not measured in this run"


def test_cases_whose_raters_disagree_whether_there_is_any_are_counted_apart() -> None:
    rows = [
        replace(row, rater_assd=None) if row.case == "scan_003_0" and row.record == "scan" else row
        for row in rows_of(QUIET)
    ]
    found = found_in(rows, QUIET)["rater_disagreement"]
    assert found.note == "1 case(s) without a value: raters disagree whether there is any"
    assert found.rho.n == 23


@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_few_patients_have_dots_and_no_inference(n: int) -> None:
    cohort = replace(QUIET, patients=n)
    rows, _ = with_properties(cohort, object_volume=sizes(cohort))
    for axis in found_in(rows, cohort).values():
        assert axis.line == ()
        assert axis.rho.low is None
        assert axis.partial.low is None
        if axis.points:
            assert len(axis.points) == n
            assert f"{n} patient(s) are too few for a line" in axis.note
            assert axis.rho.status == ("too_few" if n >= 3 else "not_assessable")


def test_between_ten_and_twenty_patients_size_is_held_fixed_without_an_interval() -> None:
    cohort = replace(QUIET, patients=15)
    rows, _ = with_properties(cohort, object_volume=sizes(cohort))
    found = found_in(rows, cohort)["native_noise"]
    assert found.rho.low is not None
    assert (found.partial.low, found.partial.status) == (None, "too_few")
    assert found.partial.value is not None
    assert found.partial.note == "needs n >= 20"


def test_values_or_scores_that_are_all_equal_have_no_correlation_and_no_line() -> None:
    rows, cases = with_properties(QUIET, object_volume=dict.fromkeys(sizes(QUIET), 7.0))
    found = found_in(rows, QUIET)["object_volume"]
    assert (found.rho.value, found.rho.status, found.line) == (None, "not_assessable", ())
    assert {it[3] for it in found.points} == {50.0}
    flat = [
        replace(row, value=0.8) if row.record == "measurement" and row.metric == "dsc" else row
        for row in rows
    ]
    found = found_in(flat, QUIET)["foreground_ratio"]
    assert found.rho.status == "not_assessable"
    assert all(it[1:] == pytest.approx((0.8, 0.8, 0.8)) for it in found.line)
    assert len(cases) == 24


def test_failures_count_at_their_worst_value() -> None:
    rows = fail(rows_of(QUIET), system="strong", case="scan_002_0")
    found = found_in(rows, QUIET)["foreground_ratio"]
    assert ("C003", 0.0) in {(it[0], it[2]) for it in found.points}


def test_the_patient_is_the_unit_when_it_has_several_cases() -> None:
    cohort = replace(QUIET, patients=12, cases_per_patient=3)
    rows, _ = with_properties(cohort, object_volume=sizes(cohort))
    found = found_in(rows, cohort)["object_volume"]
    assert (len(found.points), found.rho.n, found.window) == (36, 12, 10)
    assert sum(it[3] for it in found.points) / 36 == pytest.approx(50.0)


def test_the_order_of_the_rows_changes_no_bit() -> None:
    rows, _ = with_properties(QUIET, object_volume=sizes(QUIET))
    order = np.random.default_rng(8).permutation(len(rows)).tolist()
    first = summarise(table_of(rows), setup=setup_of(QUIET))
    second = summarise(table_of(rows, order=order), setup=setup_of(QUIET))
    assert first.difficulty == second.difficulty
    assert first.dose == second.dose
    assert {it.label for it in first.difficulty} == {LABEL}
