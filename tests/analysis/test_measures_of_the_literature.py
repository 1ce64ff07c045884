"""Descriptive measures of robustness, with the arithmetic of their papers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rows_tables import DSC, HD95, Cohort, setup_of

from auditor.analysis import AnalysisSetup
from auditor.analysis.robustness import (
    coefficients_of_variation,
    corruption_error,
    degradation,
    robustness_measures,
    shares_best,
    variation,
)
from auditor.analysis.table import Column, Key
from auditor.schema import RobustnessMeasure, TrainingFacts

Values = Mapping[tuple[str, float], Sequence[float]]
"""(perturbation, severity) -> one value a case."""


def columns_of(
    systems: Mapping[str, Values], metric: str = "dsc", missing: Mapping[str, Any] | None = None
) -> dict[Key, Column]:
    found = {}
    for system, conditions in systems.items():
        for (perturbation, severity), values in conditions.items():
            numbers = np.array(values, dtype=np.float64)
            found[Key(system, perturbation, severity, "organ", metric, "whole")] = Column(
                level=None,
                unit="",
                value=numbers,
                judged=numbers,
                missing=np.zeros(len(numbers), dtype=bool),
                first=numbers,
                statuses=np.full((len(numbers), 1), "ok", dtype=object),
                reasons=np.full(len(numbers), "", dtype=object),
                draws=numbers[:, None],
            )
    return found


def setup(systems: Iterable[str], cases: int = 2) -> AnalysisSetup:
    return setup_of(Cohort(patients=cases, systems=tuple(systems)))


def pick(rows: Sequence[RobustnessMeasure], measure: str) -> dict[tuple[str, str], float | None]:
    return {(it.system, it.perturbation): it.value for it in rows if it.measure == measure}


TWO: dict[str, Values] = {
    "first": {
        ("clean", 0.0): (0.9, 0.7),  # mean .8
        ("blur", 1.0): (0.8, 0.6),  # .7, drop .1
        ("blur", 2.0): (0.6, 0.4),  # .5, drop .3
        ("noise", 1.0): (0.9, 0.5),  # .7, drop .1
    },
    "second": {
        ("clean", 0.0): (0.9, 0.8),  # .85
        ("blur", 1.0): (0.8, 0.8),  # .8, drop .05
        ("blur", 2.0): (0.7, 0.6),  # .65, drop .2
        ("noise", 1.0): (0.8, 0.4),  # .6, drop .25
    },
}


def test_the_coefficient_of_variation_is_over_all_conditions_with_clean() -> None:
    rows = coefficients_of_variation(columns_of(TWO), setup(TWO))
    # first: .8 .7 .5 .7, mean .675, population variance .011875
    found = {it.system: it.value for it in rows if it.metric == "dsc"}
    assert found["first"] == pytest.approx(np.sqrt(0.011875) / 0.675)
    assert found["second"] == pytest.approx(np.std([0.85, 0.8, 0.65, 0.6]) / 0.725)
    assert {(it.n_conditions, it.n_cases, it.status) for it in rows} == {(4, 2, "ok")}
    assert variation([0.0, 0.0]) is None


def test_a_condition_may_be_a_name_alone() -> None:
    # the five texture levels of a published table: names, all of them with severity 0 but clean
    named: dict[str, Values] = {
        "only": {
            ("clean", 0.0): (0.8, 0.8),
            ("easier", 0.0): (0.9, 0.9),
            ("harder", 0.0): (0.6, 0.6),
        }
    }
    rows = coefficients_of_variation(columns_of(named), setup(named))
    assert rows[0].value == pytest.approx(np.std([0.8, 0.9, 0.6]) / np.mean([0.8, 0.9, 0.6]))
    measures = robustness_measures(columns_of(named), setup(named))
    # (.9 + .6) / 2 - .8 = -.05: each name is a perturbation of its own
    assert pick(measures, "mean_change") == {("only", ""): pytest.approx(-0.05)}
    assert pick(measures, "mean_degradation") == {
        ("only", "easier"): pytest.approx(-0.1),
        ("only", "harder"): pytest.approx(0.2),
        ("only", ""): pytest.approx(0.05),
    }


def test_there_is_no_coefficient_where_it_would_mean_nothing() -> None:
    signed = replace(DSC, name="bias", low=None, high=None)
    single = {"only": {("clean", 0.0): (0.8, 0.6)}}
    (one,) = coefficients_of_variation(columns_of(single), setup(["only"]))
    assert (one.value, one.note) == (None, "needs two conditions")
    here = replace(setup(["only"]), metrics=(signed,))
    both = {"only": {("clean", 0.0): (0.1, -0.1), ("blur", 1.0): (0.2, -0.2)}}
    (other,) = coefficients_of_variation(columns_of(both, "bias"), here)
    assert (other.value, other.status) == (None, "not_assessable")
    assert "never negative" in other.note


def test_conditions_with_other_cases_are_told() -> None:
    holes = {
        "only": {("clean", 0.0): (0.8, 0.6), ("blur", 1.0): (0.5, np.nan), ("blur", 2.0): (np.nan, np.nan)}
    }  # fmt: skip
    (row,) = coefficients_of_variation(columns_of(holes), setup(["only"]))
    # the last condition has no case and is none; the drop of blur is paired: .8 - .5
    assert (row.n_conditions, row.n_cases) == (2, 1)
    assert row.note == "conditions differ in their cases: 1 to 2"
    measures = robustness_measures(columns_of(holes), setup(["only"]))
    assert pick(measures, "mean_change") == {("only", ""): pytest.approx(-0.3)}


def test_mean_change_is_paired_and_keeps_the_direction_of_the_metric() -> None:
    measures = robustness_measures(columns_of(TWO), setup(TWO))
    # drops .1 .3 .1 of the first system, .05 .2 .25 of the second: both .5 over three conditions
    assert pick(measures, "mean_change") == {
        ("first", ""): pytest.approx(-0.5 / 3),
        ("second", ""): pytest.approx(-0.5 / 3),
    }
    distances = {"only": {("clean", 0.0): (2.0, 4.0), ("blur", 1.0): (5.0, 9.0)}}
    found = robustness_measures(columns_of(distances, "hd95"), setup(["only"]))
    assert pick(found, "mean_change") == {("only", ""): pytest.approx(4.0)}
    assert pick(found, "mean_degradation")["only", "blur"] == pytest.approx(4.0)


def test_mean_degradation_has_the_weights_of_rood_mri() -> None:
    # weights 2/3 and 4/9, as 3 to 2: (3 * .1 + 2 * .3) / 5 = .18; noise .1; mean .14
    found = pick(robustness_measures(columns_of(TWO), setup(TWO)), "mean_degradation")
    assert found["first", "blur"] == pytest.approx(0.18)
    assert found["first", "noise"] == pytest.approx(0.1)
    assert found["first", ""] == pytest.approx(0.14)
    # of five severities the last weighs 16 / 211 = 7.6 %
    assert degradation([1, 2, 3, 4, 5], [0, 0, 0, 0, 1]) == pytest.approx(16 / 211)
    assert degradation([3], [0.2]) == pytest.approx(0.2)


def test_corruption_errors_are_relative_to_the_first_system() -> None:
    rows = robustness_measures(columns_of(TWO), setup(TWO))
    found = pick(rows, "corruption_error")
    # blur: errors .2 + .35 over .3 + .5; noise: .4 over .3
    assert found["second", "blur"] == pytest.approx(0.55 / 0.8)
    assert found["second", "noise"] == pytest.approx(0.4 / 0.3)
    assert found["second", ""] == pytest.approx((0.55 / 0.8 + 0.4 / 0.3) / 2)
    assert {found["first", name] for name in ("blur", "noise", "")} == {1.0}
    relative = pick(rows, "relative_corruption_error")
    # errors less the clean error .15, over those less .2: (.05 + .2) / (.1 + .3); (.25) / (.1)
    assert relative["second", "blur"] == pytest.approx(0.25 / 0.4)
    assert relative["second", "noise"] == pytest.approx(2.5)
    assert {it.reference for it in rows if it.measure.endswith("corruption_error")} == {"first"}
    assert corruption_error([0.1], [0.0]) is None


def test_a_reference_without_errors_compares_with_nothing() -> None:
    perfect: dict[str, Values] = {
        "first": {("clean", 0.0): (1.0, 1.0), ("blur", 1.0): (1.0, 1.0)},
        "second": {("clean", 0.0): (0.9, 0.9), ("blur", 1.0): (0.8, 0.8)},
    }
    rows = robustness_measures(columns_of(perfect), setup(perfect))
    bad = [it for it in rows if it.measure == "corruption_error" and it.system == "second"]
    assert {(it.value, it.status) for it in bad} == {(None, "undefined")}


def test_ties_share_a_case() -> None:
    values = np.array([[0.9, 0.8, 0.5], [0.9, 0.7, 0.5], [0.1, 0.8, 0.5]])
    # the first case is shared by two systems, so is the second; the last one by all three
    shares = shares_best(values, higher_is_better=True)
    assert shares == pytest.approx(
        np.array([1 / 2 + 1 / 2 + 1 / 3, 1 / 2 + 1 / 3, 1 / 2 + 1 / 3]) / 3
    )
    assert shares.sum() == pytest.approx(1.0)
    assert shares_best(values, higher_is_better=False).tolist() == pytest.approx(
        [1 / 9, 1 / 3 + 1 / 9, 1 / 3 + 1 / 9]
    )
    found = pick(robustness_measures(columns_of(TWO), setup(TWO)), "share_best")
    # clean: a tie and a win of the second: .25, .75
    assert (found["first", "clean"], found["second", "clean"]) == (0.25, 0.75)
    # blur 1: .25; blur 2: 0; noise: 1; with clean: 1.5 of 4
    assert found["first", ""] == pytest.approx(1.5 / 4)


def test_the_spread_over_training_runs_needs_two_of_a_family() -> None:
    here = setup(TWO)
    runs = tuple(
        replace(record, family="unet", training_seed=seed, sha256=f"{seed:064d}")
        for record, seed in zip(here.systems, (1, 2), strict=True)
    )
    rows = robustness_measures(columns_of(TWO), replace(here, systems=runs))
    found = pick(rows, "seed_spread")
    # clean means .8 and .85; over conditions .675 and .725
    assert found["unet", "clean"] == pytest.approx(np.std([0.8, 0.85], ddof=1))
    assert found["unet", ""] == pytest.approx(np.std([0.675, 0.725], ddof=1))
    assert pick(robustness_measures(columns_of(TWO), here), "seed_spread") == {}
    # another family, the same checkpoint again, other training images: no repetitions of each other
    clean, hard = (TrainingFacts(condition=it) for it in (("clean", 0.0), ("texture_blend", 0.9)))
    for pair in (
        (runs[0], replace(runs[1], family="other")),
        (runs[0], replace(runs[1], sha256=runs[0].sha256)),
        (replace(runs[0], training=clean), replace(runs[1], training=hard)),
    ):
        one = replace(here, systems=pair)
        assert pick(robustness_measures(columns_of(TWO), one), "seed_spread") == {}


def test_cases_of_a_patient_count_once() -> None:
    cohort = Cohort(patients=2, cases_per_patient=2, systems=("only",))
    values = {
        "only": {("clean", 0.0): (1.0, 1.0, 0.5, 0.5), ("blur", 1.0): (1.0, np.nan, 0.0, 0.5)}
    }
    here = setup_of(cohort)
    (row,) = coefficients_of_variation(columns_of(values), here)
    # patients: 1, .5 on clean; 1, .25 under blur
    assert row.value == pytest.approx(np.std([0.75, 0.625]) / 0.6875)
    assert (row.n_cases, HD95.name) == (3, "hd95")
