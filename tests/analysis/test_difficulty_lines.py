"""Percentiles of difficulty and the running mean along them: drawn by hand, and under their laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.difficulty_lines import (
    case_weights,
    percentiles,
    places,
    running_band,
    running_mean,
    window_patients,
)
from auditor.analysis.intervals import bootstrap_weights

ONES = np.ones(4)


def test_a_percentile_is_the_middle_of_the_stretch_that_a_patient_takes() -> None:
    found = percentiles(np.array([5.0, 2.0, 9.0, 1.0, 3.0]), np.ones(5))
    assert found.tolist() == [70, 30, 90, 10, 50]


def test_equally_difficult_cases_share_their_percentile() -> None:
    assert percentiles(np.array([1.0, 1.0, 1.0, 4.0]), ONES).tolist() == [37.5, 37.5, 37.5, 87.5]
    assert percentiles(np.full(4, 2.0), ONES).tolist() == [50.0] * 4


def test_a_patient_weighs_the_same_however_many_cases_it_has() -> None:
    weights = case_weights(np.array([0, 0, 1, 2]))
    assert weights.tolist() == [0.5, 0.5, 1.0, 1.0]
    # stretches: 1/6, 1/6, 1/3, 1/3
    assert percentiles(np.array([1.0, 2.0, 3.0, 4.0]), weights) == pytest.approx(
        [100 / 12, 300 / 12, 50.0, 1000 / 12]
    )


def test_the_running_mean_of_four_cases_is_the_one_drawn_by_hand() -> None:
    # sorted by difficulty the scores are 1.0 0.8 0.4 0.2; each takes a quarter, a window a half
    found = running_mean(np.array([3.0, 1.0, 4.0, 2.0]), np.array([0.4, 1.0, 0.2, 0.8]), ONES, 0.5)
    where = places(0.5)
    assert (where[0], where[-1], len(where)) == (25.0, 75.0, 21)
    # at 25: (1.0 + 0.8) / 2; at 50: (0.8 + 0.4) / 2; at 75: (0.4 + 0.2) / 2
    assert found[[0, 10, 20]] == pytest.approx([0.9, 0.6, 0.3])
    # at 27.5 a tenth of a case leaves on the left and one enters on the right:
    # nine tenths of 1.0, all of 0.8 and a tenth of 0.4, over two cases
    assert found[1] == pytest.approx(0.87)


def test_no_order_is_invented_among_equally_difficult_cases() -> None:
    scores = np.array([1.0, 0.0, 0.6, 0.2])
    tied = np.array([1.0, 1.0, 2.0, 3.0])
    found = running_mean(tied, scores, ONES, 0.25)
    assert found[0] == pytest.approx(0.5)  # the mean of the tied ones, in either order
    order = np.array([1, 0, 2, 3])
    assert running_mean(tied[order], scores[order], ONES, 0.25).tolist() == found.tolist()


def test_a_weight_of_two_is_the_case_twice_and_of_nought_is_no_case() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 1, (2, 8))
    times = np.array([2, 0, 1, 3, 1, 0, 1, 2])
    whole = running_mean(np.repeat(x, times), np.repeat(y, times), np.ones(10), 0.4)
    assert running_mean(x, y, times.astype(np.float64), 0.4) == pytest.approx(whole)


def test_a_window_is_a_third_of_the_patients_and_never_fewer_than_ten() -> None:
    assert [window_patients(n) for n in (0, 1, 9, 10, 30, 31, 60, 100)] == [
        0, 0, 0, 10, 10, 11, 20, 34,
    ]  # fmt: skip


@pytest.mark.parametrize("n", [0, 1, 2, 9])
def test_too_few_patients_have_no_line(n: int) -> None:
    x = np.arange(n, dtype=np.float64)
    assert running_band(x, x, np.arange(n), np.ones((5, n)), level=0.95) == ()


def test_ten_patients_have_one_place_with_their_mean() -> None:
    x = np.arange(10, dtype=np.float64)
    drawn = bootstrap_weights(10, 7)[:500]
    ((where, mean, low, high),) = running_band(x, 1 - x / 20, np.arange(10), drawn, level=0.95)
    assert where == 50.0
    assert mean == pytest.approx(1 - 4.5 / 20)
    assert low < mean < high


def test_a_band_holds_its_line_and_scores_that_are_alike_have_none() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(0, 1, 40), rng.uniform(0.5, 1, 40)
    drawn = bootstrap_weights(40, 7)[:400]
    band = running_band(x, y, np.arange(40), drawn, level=0.95)
    assert len(band) == 21
    assert all(low <= mean <= high for _, mean, low, high in band)
    flat = running_band(x, np.full(40, 0.8), np.arange(40), drawn, level=0.95)
    assert all(it[1:] == pytest.approx((0.8, 0.8, 0.8)) for it in flat)


def test_a_band_does_not_change_when_a_patient_brings_the_same_case_thrice() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(0, 1, 12), rng.uniform(0.2, 1, 12)
    y[4] = 0.0  # who counts thrice must be seen
    drawn, once = bootstrap_weights(12, 7)[:400], np.arange(12)
    thrice = np.r_[once, 4, 4]
    band = running_band(x, y, once, drawn, level=0.9)
    assert np.ptp([high - low for _, _, low, high in band]) > 0
    assert list(running_band(x[thrice], y[thrice], thrice, drawn, level=0.9)) == [
        pytest.approx(it) for it in band
    ]


@pytest.mark.slow
def test_the_band_covers_the_smoothed_truth_at_a_place_about_as_often_as_it_says() -> None:
    rng, n, runs = np.random.default_rng(3), 45, 300

    def law(count: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.uniform(0, 1, count)
        return x, 0.95 - 0.2 * x * x - 0.08 * rng.exponential(size=count) * (0.3 + x)

    x, y = law(400_000)
    truth = running_mean(x, y, np.ones(len(x)), 1 / 3)
    kept = np.zeros(21)
    drawn = bootstrap_weights(n, 5)[:400]
    for _ in range(runs):
        band = np.array(running_band(*law(n), np.arange(n), drawn, level=0.95))
        kept += (band[:, 2] <= truth) & (truth <= band[:, 3])
    # a percentile band of means of 15 patients of a skew law: below nominal, and not by much
    assert kept.min() >= stats.binom.ppf(0.001, runs, 0.90)
