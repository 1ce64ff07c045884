"""Bounds with a phantom patient: exact cases, the slow way, and counted coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.intervals import (
    clopper_pearson_lower,
    clopper_pearson_upper,
    unseen_rate,
)
from auditor.analysis.phantom import paired_bounds, phantom_lower, phantom_upper


def column(values: object) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)[:, None]


@pytest.mark.parametrize("n", [1, 2, 10, 59, 300])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.975])
def test_bounds_of_zeros_and_ones_are_those_of_clopper_and_pearson(n: int, level: float) -> None:
    for successes in {0, 1, n // 2, n - 1, n}:
        values = column([1.0] * successes + [0.0] * (n - successes))
        low = phantom_lower(values, level=level)[0]
        high = phantom_upper(values, level=level)[0]
        assert low == pytest.approx(clopper_pearson_lower(successes, n, level=level), abs=1e-6)
        assert high == pytest.approx(clopper_pearson_upper(successes, n, level=level), abs=1e-6)


@pytest.mark.parametrize("n", [2, 20, 59, 200])
def test_equal_patients_are_bounded_by_what_none_of_them_shows(n: int) -> None:
    # sum v_i c = c (1 - v_0) with v_0 ~ Beta(1, n): the bound is c .05^(1/n)
    assert phantom_lower(column(np.full(n, 0.9)), level=0.95)[0] == pytest.approx(
        0.9 * (1 - unseen_rate(n, level=0.95)), abs=1e-6
    )


def test_two_patients_by_hand() -> None:
    # points 0, 0, 1 have the mean v_2 ~ Beta(1, 2): 1 - (1 - t)^2 = .1 at t = 1 - sqrt(.9)
    low = phantom_lower(column([0.0, 1.0]), level=0.9)[0]
    assert low == pytest.approx(1 - 0.9**0.5, abs=1e-7)


@pytest.mark.parametrize("n", [3, 12, 40])
def test_the_quantile_agrees_with_drawing_it(n: int) -> None:
    rng = np.random.default_rng(n)
    values = rng.beta(6, 2, n)
    weights = rng.standard_exponential((400_000, n + 1))
    drawn = (weights[:, 1:] @ values) / weights.sum(axis=1)
    low = phantom_lower(column(values), level=0.95)[0]
    # the share of draws below it has a standard error of sqrt(.05 .95 / 400 000) = .00034
    assert np.mean(drawn <= low) == pytest.approx(0.05, abs=4 * 0.00035)


def test_columns_do_not_depend_on_their_neighbours() -> None:
    values = np.random.default_rng(1).beta(9, 2, (20, 300))
    together = phantom_lower(values, level=0.95)
    assert together[[0, 150, 299]] == pytest.approx(
        [phantom_lower(values[:, [i]], level=0.95)[0] for i in (0, 150, 299)], abs=1e-9
    )


def test_the_order_of_patients_changes_no_digit_that_is_shown() -> None:
    values = np.random.default_rng(2).beta(9, 2, 50)
    assert phantom_lower(column(values), level=0.95)[0] == pytest.approx(
        phantom_lower(column(values[::-1]), level=0.95)[0], abs=1e-9
    )


@pytest.mark.parametrize("place", [0, 10, 24])
def test_a_worse_patient_never_raises_a_bound(place: int) -> None:
    values = np.random.default_rng(5).beta(9, 2, 25)
    missed = values.copy()
    missed[place] = 0.0
    both = np.stack([values, missed], axis=1)
    for bound in (phantom_lower, phantom_upper):
        before, after = bound(both, level=0.95)
        assert after <= before


def test_bounds_lie_on_their_side_of_the_mean() -> None:
    values = np.random.default_rng(3).beta(2, 2, (15, 40))
    mean = values.mean(axis=0)
    assert (phantom_lower(values, level=0.9) <= mean).all()
    assert (phantom_upper(values, level=0.9) >= mean).all()


@pytest.mark.parametrize(("n", "drop"), [(20, 0.1391), (40, 0.0722), (59, 0.0495)])
def test_no_drop_at_all_bounds_the_drop_by_the_rule_of_three(n: int, drop: float) -> None:
    # 1 - .05^(1/n): .1391, .0722, .0495
    high = paired_bounds(np.zeros((n, 1)), level=0.95)[1][0]
    assert high == pytest.approx(drop, abs=1e-4)


def test_values_outside_the_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"values must lie in \[0, 1\], got 0.5 to 12"):
        phantom_lower(column([0.5, 12.0]), level=0.95)
    with pytest.raises(ValueError, match="must lie in"):
        phantom_lower(column([0.5, np.nan]), level=0.95)


def test_no_columns_give_no_bounds() -> None:
    assert phantom_lower(np.empty((5, 0)), level=0.95).shape == (0,)


LAWS = {
    "smooth": (0.0, 18.0, 2.0),
    "one in twenty collapses": (0.05, 18.0, 2.0),
    "one in fifty collapses": (0.02, 18.0, 2.0),
    "half collapses": (0.45, 9.0, 3.0),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("n", [10, pytest.param(60, marks=pytest.mark.slow)])
def test_the_bound_covers_means_with_rare_collapses(law: str, n: int) -> None:
    collapse, a, b = LAWS[law]
    truth = (1 - collapse) * a / (a + b)
    rng = np.random.default_rng(n)
    values = rng.beta(a, b, (n, 1000)) * (rng.uniform(size=(n, 1000)) >= collapse)
    missed = int((phantom_lower(values, level=0.95) > truth).sum())
    # at exactly .95 more than 75 of 1000 would miss once in ten thousand simulations
    assert missed <= stats.binom.ppf(0.9999, 1000, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 120])
def test_a_paired_drop_is_assured_wrongly_in_at_most_one_audit_of_twenty(n: int) -> None:
    # no patient loses anything but one in eleven, who loses all: mean drop .091, claimed at most .09
    rng = np.random.default_rng(n)
    drops = (rng.uniform(size=(n, 1000)) < 0.091).astype(np.float64)
    wrong = int((paired_bounds(drops, level=0.95)[1] <= 0.09).sum())
    assert wrong <= stats.binom.ppf(0.9999, 1000, 0.05)


def test_a_row_that_counts_several_times_stands_for_as_many_patients() -> None:
    values = column([0.3, 0.7, 0.9])
    repeated = np.repeat(values, [4, 1, 15], axis=0)
    counts = np.array([4.0, 1.0, 15.0])
    for bound in (phantom_lower, phantom_upper):
        assert bound(values, level=0.95, counts=counts)[0] == pytest.approx(
            bound(repeated, level=0.95)[0], abs=1e-8
        )
