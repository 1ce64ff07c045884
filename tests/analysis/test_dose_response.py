"""DSC over the foreground ratio: a rising curve by hand, its laws, and its refusal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from rows_tables import LABEL, Cohort, rows_of, setup_of, table_of
from scipy import stats

from auditor.analysis import AnalysisSetup, summarise
from auditor.analysis.dose_response import crossing, dose_responses, falls, monotone, ratio_groups
from auditor.analysis.properties import Property
from auditor.analysis.table import Column, Key
from auditor.schema import DoseResponse, MetricInfo

Floats = NDArray[np.float64]

WITHIN = MetricInfo(*("dsc", "DSC", "", 0.0, 1.0, True), "overlap", "Dice 1945", (("within", 0.8),))


def array(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)


def test_neighbours_that_fall_are_pooled_as_by_hand() -> None:
    # 3 2 pool to 2.5; then 2.5 2.5 against 1: three pool to 2; 0.5 before them stays, 4 after them too
    places, fitted = monotone(array(1, 2, 3, 4, 5), array(0.5, 3, 2, 1, 4))
    assert places.tolist() == [1, 2, 3, 4, 5]
    assert fitted == pytest.approx([0.5, 2, 2, 2, 4])


def test_weights_and_equal_doses_count_as_patients() -> None:
    # at dose 1 the mean of two patients is 0.4; pooled with the one at dose 2: (2 * 0.4 + 0.1) / 3
    places, fitted = monotone(array(1, 1, 2, 3), array(0.2, 0.6, 0.1, 0.9), array(1, 1, 1, 1))
    assert places.tolist() == [1, 2, 3]
    assert fitted == pytest.approx([0.3, 0.3, 0.9])
    places, fitted = monotone(array(1, 1, 2, 3), array(0.2, 0.6, 0.1, 0.9), array(1, 0, 0, 1))
    assert (places.tolist(), fitted.tolist()) == ([1, 3], [0.2, 0.9])


@pytest.mark.parametrize("seed", range(4))
def test_a_fit_rises_keeps_the_mean_and_leaves_a_rising_curve_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 12, 30).astype(np.float64), rng.uniform(0, 1, 30)
    places, fitted = monotone(x, y)
    held = np.array([(x == place).sum() for place in places])
    assert (np.diff(fitted) >= 0).all()
    assert (held * fitted).sum() == pytest.approx(y.sum())
    again = monotone(places, fitted, held.astype(np.float64))[1]
    assert again == pytest.approx(fitted)
    # no other rising curve of these means is nearer: shifted and stretched ones are not
    error = (held * (fitted - np.array([y[x == p].mean() for p in places])) ** 2).sum()
    for other in (fitted + 0.01, fitted - 0.01, np.sort(rng.uniform(0, 1, len(places)))):
        far = (held * (other - np.array([y[x == p].mean() for p in places])) ** 2).sum()
        assert far >= error - 1e-12


def test_a_curve_meets_a_value_between_two_doses_as_by_hand() -> None:
    places, fitted = array(0.01, 0.02, 0.04), array(0.6, 0.7, 0.9)
    assert crossing(places, fitted, 0.7) == pytest.approx(0.02)
    assert crossing(places, fitted, 0.75) == pytest.approx(0.02 + 0.02 * 0.05 / 0.2)
    assert crossing(places, fitted, 0.5) == -math.inf
    assert crossing(places, fitted, 0.95) == math.inf
    # on a step the value is met where the step rises, not where it begins
    assert crossing(places, array(0.6, 0.6, 0.9), 0.6) == -math.inf


def test_groups_hold_ten_patients_or_more_and_equal_ratios_together() -> None:
    sizes = {n: np.bincount(ratio_groups(np.arange(n) / n)).tolist() for n in (1, 19, 20, 33, 50)}
    assert sizes == {1: [1], 19: [19], 20: [10, 10], 33: [11, 11, 11], 50: [10] * 5}
    assert np.bincount(ratio_groups(np.arange(90) / 90)).tolist() == [18] * 5
    tied = np.repeat([1.0, 2.0, 3.0], [28, 1, 1])
    assert ratio_groups(tied).tolist() == [0] * 30  # no second group of ten
    halves = ratio_groups(np.repeat([1.0, 2.0], 15))
    assert halves.tolist() == [0] * 15 + [1] * 15
    assert ratio_groups(np.full(40, 0.3)).tolist() == [0] * 40


def test_a_fall_is_the_difference_of_the_means_of_two_groups() -> None:
    rng = np.random.default_rng(1)
    first, second = 0.9 + rng.normal(0, 0.02, 15), 0.7 + rng.normal(0, 0.02, 15)
    groups = np.repeat([0, 1], 15)
    found = falls(np.r_[first, second], groups, level=0.95, seed=3)
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < (found.value or 0) < found.high
    rising = falls(np.r_[second, first], groups, level=0.95, seed=3)
    assert (rising.value, rising.high) < (0, 0)


def test_one_group_equal_values_and_few_values_are_told() -> None:
    assert falls(np.ones(15), np.zeros(15, dtype=np.intp), level=0.95, seed=1).status == "too_few"
    equal = falls(np.repeat([0.9, 0.8], 10), np.repeat([0, 1], 10), level=0.95, seed=1)
    assert (equal.status, equal.low) == ("degenerate", None)


def test_flat_scores_are_rarely_taken_for_a_fall_and_real_falls_are_found() -> None:
    rng, runs, n, wrong, right = np.random.default_rng(2), 150, 40, 0, 0
    groups = ratio_groups(np.arange(n) / n)
    for _ in range(runs):
        flat, falling = rng.beta(18, 2, n), 0.9 - 0.15 * np.arange(n) / n + rng.normal(0, 0.05, n)
        wrong += (falls(flat, groups, level=0.95, seed=1).low or -1.0) > 0
        right += (falls(falling, groups, level=0.95, seed=1).low or -1.0) > 0
    assert wrong <= stats.binom.ppf(0.999, runs, 0.05)
    assert right >= stats.binom.ppf(0.001, runs, 0.85)


def response(
    ratio: Floats, score: Floats, *, within: bool = True
) -> tuple[DoseResponse, AnalysisSetup]:
    """Relate ratio and DSC of one system, one case a patient."""
    setup = setup_of(Cohort(patients=len(ratio), systems=("one",)))
    object.__setattr__(setup, "metrics", (WITHIN if within else setup.metrics[0],))
    n = len(ratio)
    column = Column(
        None, "", score, score, np.zeros(n, dtype=bool), score,
        np.full((n, 1), "ok", dtype=object), np.full(n, "", dtype=object),
    )  # fmt: skip
    known = {
        ("foreground_ratio", LABEL): {
            case: Property(None if np.isnan(it) else float(it), "reference_empty", "empty")
            for case, it in zip(setup.names, ratio, strict=True)
        }
    }
    key = Key("one", "clean", 0.0, LABEL, "dsc", "whole")
    (found,) = dose_responses({key: column}, known, setup)
    return found, setup


def test_a_rising_response_has_a_rising_curve_in_its_band_and_a_crossing() -> None:
    rng = np.random.default_rng(3)
    ratio = rng.uniform(0.001, 0.05, 60)
    found, _ = response(ratio, np.clip(0.6 + 8 * ratio + rng.normal(0, 0.03, 60), 0, 1))
    assert (found.status, found.n) == ("ok", 60)
    means = [it[1] for it in found.curve]
    assert means == sorted(means)
    assert all(low <= mean <= high for _, mean, low, high in found.curve)
    assert [it[2] for it in found.groups] == [12] * 5
    assert found.crossing is not None
    at = found.crossing.at
    assert found.crossing.declared == 0.8
    assert at.value == pytest.approx(0.025, abs=0.006)  # 0.6 + 8 r = 0.8
    assert at.low is not None
    assert at.high is not None
    assert at.low < 0.025 < at.high


def test_a_falling_response_has_no_curve_and_says_why() -> None:
    rng = np.random.default_rng(4)
    ratio = rng.uniform(0.001, 0.05, 60)
    found, _ = response(ratio, 0.95 - 6 * ratio + rng.normal(0, 0.03, 60))
    assert (found.status, found.curve) == ("contradicted", ())
    assert found.note == "the mean falls as the foreground ratio grows"
    assert (found.violation.low or 0) > 0
    assert len(found.groups) == 5
    assert found.crossing is not None
    assert (found.crossing.at.value, found.crossing.at.status) == (None, "not_assessable")


def test_a_curve_that_lies_above_or_below_the_value_everywhere_says_so() -> None:
    rng = np.random.default_rng(5)
    ratio = rng.uniform(0.001, 0.05, 20)
    for level, words in ((0.92, "is at least that"), (0.5, "is below that")):
        found, _ = response(ratio, level + 0.01 * rng.uniform(size=20))
        assert found.crossing is not None
        assert found.crossing.at.value is None
        assert words in found.crossing.at.note
    assert response(ratio, 0.9 + ratio, within=False)[0].crossing is None


def test_an_end_of_the_crossing_beyond_what_was_seen_is_told() -> None:
    ratio = np.linspace(0.01, 0.03, 12)
    score = np.r_[0.79, np.full(11, 0.85)]
    found, _ = response(ratio, score)
    assert found.crossing is not None
    at = found.crossing.at
    assert at.value is not None
    assert at.low is None
    assert "the lower end lies below every ratio seen" in at.note


@pytest.mark.parametrize(
    ("ratio", "status", "words"),
    [
        ([0.01], "too_few", "needs n >= 10"),
        ([0.01, 0.02], "too_few", "needs n >= 10"),
        ([0.01] * 12, "not_assessable", "the same foreground ratio"),
        ([float("nan")] * 12, "not_assessable", "empty"),
    ],
)
def test_little_or_equal_input_is_a_status_with_its_reason(
    ratio: list[float], status: str, words: str
) -> None:
    found, _ = response(np.array(ratio), np.linspace(0.5, 0.9, len(ratio)))
    assert (found.status, found.curve) == (status, ())
    assert words in found.note
    assert found.crossing is not None
    assert found.crossing.at.value is None


def test_an_audit_holds_one_response_for_every_system() -> None:
    cohort = Cohort(patients=12)
    results = summarise(table_of(rows_of(cohort)), setup=setup_of(cohort))
    assert [(it.system, it.label, it.n) for it in results.dose] == [
        ("strong", LABEL, 12),
        ("weak", LABEL, 12),
    ]
    assert all(it.curve for it in results.dose)
