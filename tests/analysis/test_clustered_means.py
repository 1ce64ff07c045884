"""Ratios over patients with several lesions, and means over declared strata."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.clusters import (
    ratio_bounds,
    ratio_interval,
    stratified_interval,
    stratified_mean,
)
from auditor.analysis.intervals import bootstrap_weights, studentized_interval

RNG = np.random.default_rng(8)
COUNTS = RNG.integers(1, 9, 25).astype(np.float64)
SUMS = np.array([RNG.beta(8, 2, int(n)).sum() for n in COUNTS])


def test_with_one_lesion_a_patient_the_ratio_is_the_mean() -> None:
    values, weights = RNG.beta(8, 2, 25), bootstrap_weights(25, 1)
    low, high = studentized_interval(values[:, None], weights, level=0.95, bounded=False)
    found = ratio_interval(values, np.ones(25), weights, level=0.95)
    assert found == pytest.approx((low[0], high[0]))


def test_a_ratio_is_a_ratio_of_sums_and_not_a_mean_of_ratios() -> None:
    # one patient with 90 lesions of .5, nine with one of 1: 54 / 99 = .545, mean of ratios .95
    sums, counts = np.array([45.0] + [1.0] * 9), np.array([90.0] + [1.0] * 9)
    found = ratio_bounds(sums, counts, bootstrap_weights(10, 1), level=0.5)
    assert found is not None
    assert found[0] < 0.95 - 0.2


def test_the_ratio_interval_is_that_of_the_definition() -> None:
    # every draw of three patients once, by the formula, one draw after the other
    a, b = np.array([1.0, 3.0, 4.0]), np.array([2.0, 3.0, 5.0])
    picks = list(itertools.product(range(3), repeat=3))
    weights = np.array([[pick.count(i) for i in range(3)] for pick in picks], dtype=np.float64)
    ratio = 8 / 10
    rest = a - ratio * b
    error = np.sqrt((rest**2).sum() / 2 / 3) / (10 / 3)
    t = []
    for pick in map(list, picks):
        drawn = a[pick].sum() / b[pick].sum()
        spread = np.sqrt(((a[pick] - drawn * b[pick]) ** 2).mean() / 2) / b[pick].mean()
        gap = drawn - ratio
        t.append(gap / spread if spread > 1e-9 else float("inf") if gap > -1e-9 else float("-inf"))
    ranked = np.sort(t)
    # (27 + 1) x .75 = 21, (27 + 1) x .25 = 7
    expected = (ratio - ranked[20] * error, ratio - ranked[6] * error)
    assert ratio_bounds(a, b, weights, level=0.75) == pytest.approx(expected)
    assert ratio_interval(a, b, weights, level=0.5) == pytest.approx(expected)


def test_nothing_is_said_where_nothing_differs_or_nobody_is() -> None:
    weights = bootstrap_weights(4, 1)
    assert ratio_interval(0.5 * np.arange(1.0, 5), np.arange(1.0, 5), weights, level=0.95) is None
    assert ratio_interval(np.zeros(4), np.zeros(4), weights, level=0.95) is None
    assert ratio_interval(np.ones(1), np.ones(1), bootstrap_weights(1, 1), level=0.95) is None
    assert ratio_interval(np.empty(0), np.empty(0), np.empty((9, 0)), level=0.95) is None
    with pytest.raises(ValueError, match="one shape"):
        ratio_interval(np.ones(4), np.ones(3), weights, level=0.95)
    with pytest.raises(ValueError, match="at least 0"):
        ratio_interval(np.ones(4), -np.ones(4), weights, level=0.95)
    with pytest.raises(ValueError, match="confidence level"):
        ratio_interval(np.ones(4), np.ones(4), weights, level=95)


def test_patients_without_a_lesion_carry_no_weight_in_the_ratio() -> None:
    padded = ratio_interval(
        np.append(SUMS, [0.0, 0.0]),
        np.append(COUNTS, [0.0, 0.0]),
        bootstrap_weights(27, 1),
        level=0.9,
    )
    plain = ratio_interval(SUMS, COUNTS, bootstrap_weights(25, 1), level=0.9)
    assert padded == pytest.approx(plain, abs=0.01)


def test_a_population_is_weighed_by_its_declared_shares() -> None:
    strata = (np.array([0.9, 0.8]), np.array([0.2, 0.4, 0.6, 0.4]))
    # .75 x .85 + .25 x .4 = .7375; the sample itself would say (1.7 + 1.6) / 6 = .55
    assert stratified_mean(strata, (0.75, 0.25)) == pytest.approx(0.7375)


def test_one_stratum_is_the_plain_interval() -> None:
    values = RNG.beta(8, 2, 40)
    found = stratified_interval((values,), (1.0,), level=0.95, seed=1)
    low, high = studentized_interval(
        values[:, None], bootstrap_weights(40, 77), level=0.95, bounded=False
    )
    assert found == pytest.approx((low[0], high[0]), abs=0.005)


def test_strata_of_one_size_are_resampled_apart() -> None:
    # the same numbers twice: together they are twice the patients, and the interval is 1 / sqrt(2) as wide;
    # with one matrix of weights for both it would be as wide as one
    values = RNG.normal(0, 1, 60)
    once = stratified_interval((values,), (1.0,), level=0.95, seed=1)
    twice = stratified_interval((values, values), (0.5, 0.5), level=0.95, seed=1)
    assert once is not None
    assert twice is not None
    assert (twice[1] - twice[0]) / (once[1] - once[0]) == pytest.approx(0.5**0.5, abs=0.04)


def test_strata_that_cannot_be_weighed_are_refused() -> None:
    some = np.array([0.5, 0.7])
    for strata, shares, told in (
        ((some,), (0.5, 0.5), "1 strata and 2 shares"),
        ((some, np.empty(0)), (0.5, 0.5), "at least one patient"),
        ((some, some), (0.5, 0.4), "add up to 1"),
        ((some, some), (1.5, -0.5), "at least 0"),
    ):
        with pytest.raises(ValueError, match=told):
            stratified_interval(strata, shares, level=0.95, seed=1)
    assert stratified_interval((some, np.array([0.4])), (0.5, 0.5), level=0.95, seed=1) is None
    assert stratified_interval((some, np.array([0.4])), (1.0, 0.0), level=0.95, seed=1) is not None
    assert stratified_interval((np.full(5, 0.3),), (1.0,), level=0.95, seed=1) is None


@pytest.mark.slow
def test_intervals_of_lesions_cover_when_patients_are_resampled() -> None:
    # five lesions a patient, half of their variance shared (logit scale); 20 patients. Over patients .94 is
    # simulated; over lesions .72
    rng, weights = np.random.default_rng(5), bootstrap_weights(20, 3, draws=999)
    truth = float((1 / (1 + np.exp(-(1.5 + rng.normal(0, 2**0.5, 2_000_000))))).mean())
    held = 0
    for _ in range(500):
        logits = 1.5 + rng.normal(0, 1, (20, 1)) + rng.normal(0, 1, (20, 5))
        sums = (1 / (1 + np.exp(-logits))).sum(axis=1)
        found = ratio_interval(sums, np.full(20, 5.0), weights, level=0.95)
        assert found is not None
        held += found[0] <= truth <= found[1]
    assert held >= stats.binom.ppf(1e-4, 500, 0.93)


@pytest.mark.slow
def test_stratified_intervals_cover_the_population_and_not_the_sample() -> None:
    # 20 patients from each of a common and a rare group, 90 and 10 % of the population
    rng, held = np.random.default_rng(6), 0
    truth = 0.9 * 18 / 20 + 0.1 * 4 / 10
    for seed in range(300):
        strata = (rng.beta(18, 2, 20), rng.beta(4, 6, 20))
        found = stratified_interval(strata, (0.9, 0.1), level=0.95, seed=seed % 3)
        assert found is not None
        held += found[0] <= truth <= found[1]
    assert held >= stats.binom.ppf(1e-4, 300, 0.94)
