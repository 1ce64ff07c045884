"""Intervals and bounds: published values, agreement with scipy, exact cases, counted coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.intervals import (
    bca_interval,
    bootstrap_weights,
    clopper_pearson,
    clopper_pearson_lower,
    clopper_pearson_upper,
    order_statistic,
    seed_of,
    studentized_bounds,
    studentized_draws,
    studentized_interval,
    unseen_rate,
)

AIR = np.array([10, 12, 12.5, 12.5, 13.9, 15, 21, 22, 23, 34, 50, 81, 89, 121, 134, 213.0])
"""Sample of scipy's own test of its bootstrap against R's boot (scipy/stats/tests/test_resampling)."""


def column(values: object) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)[:, None]


def test_weights_count_n_picks_and_depend_on_the_seed_alone() -> None:
    weights = bootstrap_weights(7, 3, draws=500)
    assert weights.shape == (500, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert np.array_equal(weights, bootstrap_weights(7, 3, draws=500))
    assert not np.array_equal(weights, bootstrap_weights(7, 4, draws=500))
    # multinomial(7, 1/7): each count has mean 1 and variance 7 * 1/7 * 6/7 = 6/7
    assert weights.mean() == pytest.approx(1.0)
    assert weights.var() == pytest.approx(6 / 7, abs=0.06)


def test_resampled_means_agree_with_r_and_scipy() -> None:
    drawn = bootstrap_weights(16, 1, draws=200_000) @ AIR / 16
    # R boot, percentile interval of the mean: (28.86, 84.21), as quoted by scipy's test
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx([28.86, 84.21], rel=0.01)
    theirs = stats.bootstrap(
        (AIR,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx(list(theirs), rel=0.03)


def test_bca_intervals_agree_with_r_and_scipy() -> None:
    # R boot, BCa interval of the mean: (32.31, 91.43), as quoted by scipy's test
    weights = bootstrap_weights(16, 1, draws=200_000)
    low, high = bca_interval(column(AIR), weights, level=0.95)
    assert (low[0], high[0]) == pytest.approx((32.31, 91.43), rel=0.01)


def test_studentized_interval_agrees_with_a_nested_bootstrap() -> None:
    # the long way: the standard error inside each draw by a second bootstrap of 100 draws
    rng = np.random.default_rng(0)
    outer = rng.choice(AIR, (8000, 16))
    inner = np.stack([rng.choice(row, (100, 16)).mean(axis=1).std() for row in outer])
    reach = np.quantile((outer.mean(axis=1) - AIR.mean()) / inner, [0.975, 0.025])
    expected = AIR.mean() - reach * AIR.std() / 4
    weights = bootstrap_weights(16, 2, draws=100_000)
    low, high = studentized_interval(column(AIR), weights, level=0.95, bounded=False)
    assert low[0] == pytest.approx(expected[0], rel=0.03)
    assert high[0] == pytest.approx(expected[1], rel=0.03)


def test_studentized_draws_do_not_change_with_shift_and_scale() -> None:
    weights = bootstrap_weights(16, 5, draws=2000)
    _, error, draws = studentized_draws(column(AIR), weights)
    _, scaled, same = studentized_draws(column(AIR * 7 + 1e6), weights)
    assert np.allclose(scaled, 7 * error)
    assert np.allclose(draws, same, rtol=1e-6)


def test_a_column_of_equal_large_numbers_has_no_spread() -> None:
    # averaging 1234.1 over replicates leaves last bits: they must not become an interval
    values = column([1234.1, (1234.1 + 1234.1 + 1234.1) / 3] * 10)
    mean, error, draws = studentized_draws(values, bootstrap_weights(20, 1, draws=200))
    assert error[0] == 0.0
    assert (draws == 0.0).all()
    low, high = studentized_bounds(values, bootstrap_weights(20, 1, draws=200), level=0.95)
    assert low[0] == high[0] == mean[0]


def test_columns_that_share_weights_are_paired() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.uniform(size=(2, 25))
    weights = bootstrap_weights(25, 9)
    together = weights @ np.stack([first, second], axis=1)
    assert np.allclose(together[:, 0] - together[:, 1], weights @ (first - second))


def test_an_interval_of_a_ratio_stays_inside_its_range() -> None:
    values = column([1.0] * 11 + [0.2])
    low, high = studentized_interval(values, bootstrap_weights(12, 1), level=0.95, bounded=True)
    assert 0.0 <= low[0] <= values.mean() <= high[0] <= 1.0


def test_order_statistics_are_ranks_not_interpolations() -> None:
    draws = column(np.arange(1, 20))  # 19 draws: (19 + 1) * .05 = 1
    assert order_statistic(draws, 0.05)[0] == 1
    assert order_statistic(draws, 0.95)[0] == 19
    assert order_statistic(draws, 0.5)[0] == 10


def test_clopper_pearson_gives_the_textbook_values() -> None:
    # 8 of 10, 95 %: (.4439, .9748); scipy.stats.binomtest(8, 10) prints .44390, .97479
    assert clopper_pearson(8, 10, level=0.95) == pytest.approx((0.44390, 0.97479), abs=1e-5)
    assert clopper_pearson_lower(27, 30, level=0.95) == pytest.approx(0.7614, abs=1e-4)
    assert clopper_pearson_lower(0, 30, level=0.95) == 0.0
    assert clopper_pearson_upper(30, 30, level=0.95) == 1.0


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (3, 7), (59, 60), (60, 60)])
def test_clopper_pearson_agrees_with_scipy(successes: int, n: int) -> None:
    theirs = stats.binomtest(successes, n).proportion_ci(0.9, method="exact")
    assert clopper_pearson(successes, n, level=0.9) == pytest.approx((theirs.low, theirs.high))


def test_the_rule_of_three_is_the_upper_bound_of_no_failure() -> None:
    # 1 - .05^(1/n): .139 at 20, .058 at 50, .0295 at 100, about 3 / n
    assert [round(unseen_rate(n, level=0.95), 3) for n in (20, 50, 100)] == [0.139, 0.058, 0.030]
    for n in (1, 20, 59):
        assert unseen_rate(n, level=0.95) == pytest.approx(clopper_pearson_upper(0, n, level=0.95))


def test_seeds_come_from_every_part() -> None:
    assert seed_of(1, "a", "b") == seed_of(1, "a", "b")
    assert (
        len({seed_of(1, "a", "b"), seed_of(1, "ab"), seed_of(2, "a", "b"), seed_of(1, "b", "a")})
        == 4
    )


@pytest.mark.slow
@pytest.mark.parametrize(("a", "b"), [(18, 2), (4, 1.5)])
def test_studentized_interval_covers_smooth_laws_at_its_level(a: float, b: float) -> None:
    # 2000 repeats at n = 30: .946 and .950 were simulated; the limits allow .93 to .965
    rng = np.random.default_rng(8)
    weights = bootstrap_weights(30, 8, draws=1999)
    samples = rng.beta(a, b, (30, 2000))
    low, high = studentized_interval(samples, weights, level=0.95, bounded=True)
    covered = int(((low <= a / (a + b)) & (a / (a + b) <= high)).sum())
    assert stats.binom.ppf(1e-4, 2000, 0.94) <= covered <= stats.binom.ppf(1 - 1e-4, 2000, 0.955)
