"""Intervals and bounds: published values, agreement with scipy, exact cases, counted coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.blocks import by_blocks
from auditor.analysis.intervals import (
    acceleration,
    bca_interval,
    bootstrap_weights,
    clopper_pearson,
    clopper_pearson_lower,
    clopper_pearson_upper,
    half_width,
    order_statistic,
    seed_of,
    studentized_bounds,
    studentized_draws,
    studentized_interval,
    unseen_rate,
)
from auditor.analysis.phantom import phantom_lower

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


def test_bca_of_many_columns_is_that_of_each_and_agrees_with_scipy() -> None:
    values = np.random.default_rng(3).beta(6, 2, (40, 130))
    weights = bootstrap_weights(40, 5)
    low, high = bca_interval(values, weights, level=0.95)
    for place in (0, 63, 64, 129):
        alone = bca_interval(values[:, [place]], weights, level=0.95)
        assert (low[place], high[place]) == pytest.approx((alone[0][0], alone[1][0]), abs=1e-12)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, axis=0, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    # both are drawn: their ends differ by a tenth of a standard error of .024 or two
    assert low == pytest.approx(theirs.low, abs=0.009)
    assert high == pytest.approx(theirs.high, abs=0.009)


def test_bca_counts_half_of_the_draws_that_are_the_mean() -> None:
    # 0 and 1 alike often: by symmetry z0 = a = 0, and the interval is the percentile interval
    values = column([0.0] * 10 + [1.0] * 10)
    weights = bootstrap_weights(20, 2)
    mirrored = np.concatenate([weights, weights[:, ::-1]])
    low, high = bca_interval(values, mirrored, level=0.9)
    drawn = mirrored @ values / 20
    assert low[0] == pytest.approx(order_statistic(drawn, 0.05)[0])
    assert high[0] == pytest.approx(order_statistic(drawn, 0.95)[0])


def test_bca_of_equal_patients_is_their_value() -> None:
    values = np.stack([np.full(12, 0.7), np.linspace(0, 1, 12)], axis=1)
    low, high = bca_interval(values, bootstrap_weights(12, 1), level=0.95)
    assert (low[0], high[0]) == (pytest.approx(0.7), pytest.approx(0.7))
    assert low[1] < 0.5 < high[1]
    nothing = bca_interval(np.empty((12, 0)), bootstrap_weights(12, 1), level=0.95)
    assert nothing[0].shape == nothing[1].shape == (0,)


def test_acceleration_of_two_groups_is_the_published_one() -> None:
    # mice of Efron & Tibshirani, as in scipy's test of its BCa: 0.011008228344026734
    y = np.array([10, 27, 31, 40, 46, 50, 52, 104, 146.0])
    z = np.array([16, 23, 38, 94, 99, 141, 197.0])
    influence = np.concatenate([(z - z.mean()) / 7, -(y - y.mean()) / 9])
    assert acceleration(column(influence))[0] == pytest.approx(0.011008228344026734, abs=1e-15)


def test_intervals_agree_with_arch() -> None:
    arch = pytest.importorskip("arch.bootstrap")
    mine = bootstrap_weights(16, 1, draws=100_000)
    values = column(AIR)
    theirs = arch.IIDBootstrap(AIR, seed=np.random.default_rng(3))
    for method, (low, high) in {
        "bca": bca_interval(values, mine, level=0.95),
        "studentized": studentized_interval(values, mine, level=0.95, bounded=False),
    }.items():
        found = theirs.conf_int(
            lambda x: x.mean(), reps=2000, method=method, size=0.95,
            std_err_func=lambda mean, x: x.std() / np.sqrt(len(x) - 1),
        )  # fmt: skip
        # 2000 draws of theirs: the ends move by about 2 % of themselves
        assert (low[0], high[0]) == pytest.approx(tuple(found.ravel()), rel=0.08)


def test_threads_and_neighbours_change_no_bit() -> None:
    values = np.random.default_rng(1).beta(9, 2, (30, 200))
    weights = bootstrap_weights(30, 1)

    def both(block: np.ndarray) -> np.ndarray:
        low, high = studentized_interval(block, weights, level=0.95, bounded=True)
        return np.stack([low, high, phantom_lower(block, level=0.95)])

    alone = by_blocks(both, values, 64, workers=1)
    assert np.array_equal(alone, by_blocks(both, values, 64, workers=4))
    assert np.array_equal(alone, by_blocks(both, values, 64))
    assert by_blocks(both, values[:, :0], 64).shape == (3, 0)


@pytest.mark.parametrize(("n", "width"), [(138, 0.01), (553, 0.005)])
def test_patients_for_a_width_as_published(n: int, width: float) -> None:
    # El Jurdi et al., arXiv 2307.10926: a spread of .03 needs (2 x 1.96 x .03 / .01)^2 = 138 for a width of .01
    assert 2 * half_width(0.03, n, level=0.95) == pytest.approx(width, rel=0.003)


@pytest.mark.parametrize("level", [95, 1.0, 0.3, float("nan")])
def test_a_level_must_be_one(level: float) -> None:
    weights = bootstrap_weights(16, 1)
    for bound in (
        lambda: bca_interval(column(AIR), weights, level=level),
        lambda: studentized_interval(column(AIR), weights, level=level, bounded=False),
        lambda: studentized_bounds(column(AIR), weights, level=level),
        lambda: clopper_pearson(3, 4, level=level),
        lambda: unseen_rate(4, level=level),
        lambda: phantom_lower(column(AIR / 300), level=level),
    ):
        with pytest.raises(ValueError, match="confidence level must lie in"):
            bound()


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
