"""Order statistics as intervals of quantiles: tabulated ranks, numbers of Wilks, ties, failures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.laws import LAWS
from auditor.analysis.quantiles import (
    median_interval,
    needed_for_quantile,
    quantile_bounds,
    quantile_interval,
    quantile_ranks,
)


@pytest.mark.parametrize(("n", "rank"), [(6, 1), (10, 2), (20, 6), (30, 10), (50, 18), (100, 40)])
def test_median_interval_uses_the_tabulated_ranks(n: int, rank: int) -> None:
    # ranks of the sign test, 95 %: e.g. Conover, Practical Nonparametric Statistics, table A3
    assert median_interval(np.arange(1.0, n + 1), level=0.95) == (rank, n + 1 - rank)


def test_five_patients_have_no_median_interval() -> None:
    # 2 * (1/2)^5 = .0625 > .05
    assert median_interval(np.arange(5.0), level=0.95) is None


@pytest.mark.parametrize(
    ("share", "level", "least"), [(0.95, 0.95, 59), (0.9, 0.95, 29), (0.99, 0.95, 299)]
)
def test_the_largest_value_bounds_a_high_quantile_from_the_numbers_of_wilks_on(
    share: float, level: float, least: int
) -> None:
    # .95^59 = .0485 <= .05 < .95^58; 59 and 299 are the textbook 95/95 and 95/99
    assert needed_for_quantile(share, level=level)[1] == least
    assert needed_for_quantile(1 - share, level=level)[0] == least
    values = np.arange(1.0, least + 1)
    assert quantile_bounds(values, share, level=level)[1] == least
    assert quantile_bounds(values[:-1], share, level=level)[1] is None
    assert quantile_bounds(-values, 1 - share, level=level)[0] == -least
    assert quantile_interval(values[:-1], share, level=level) is None


def test_ranks_by_hand() -> None:
    # Bin(10, .5): P(<= 1) = 11/1024 = .0107, P(<= 2) = 56/1024 = .0547 > .05, so l = 2; upwards u = 9
    assert quantile_ranks(10, 0.5, level=0.95) == (2, 9)
    # Bin(20, .9): P(>= 20) = .9^20 = .12 > .05: no upper bound; P(<= 15) = .0432, P(<= 16) = .133: l = 16
    assert quantile_ranks(20, 0.9, level=0.95) == (16, 21)
    assert quantile_ranks(0, 0.9, level=0.95) == (0, 1)


@pytest.mark.parametrize("n", [1, 2, 7, 40, 333])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_ranks_promise_the_level_and_no_rank_nearer_would(n: int, share: float) -> None:
    lower, upper = quantile_ranks(n, share, level=0.95)
    law = stats.binom(n, share)
    assert lower == 0 or law.cdf(lower - 1) <= 0.05
    assert law.cdf(lower) > 0.05
    assert upper == n + 1 or law.sf(upper - 1) <= 0.05
    assert law.sf(upper - 2) > 0.05


def test_scipy_has_the_same_interval() -> None:
    values = np.random.default_rng(4).normal(size=50)
    for share in (0.3, 0.5, 0.8):
        theirs = stats.quantile_test(values, q=0.0, p=share).confidence_interval(0.95)
        assert quantile_interval(values, share, level=0.95) == (theirs.low, theirs.high)


def test_patients_who_failed_are_the_last_ranks() -> None:
    # twelve finite distances and eight failures: the upper end of the median is among the failures
    values = np.array([*range(1, 13), *[np.inf] * 8], dtype=float)
    assert median_interval(values, level=0.95) == (6.0, np.inf)
    with pytest.raises(ValueError, match="must not be NaN"):
        median_interval(np.array([1.0, np.nan]), level=0.95)


def test_no_patient_and_one_patient_have_no_interval() -> None:
    for n in (0, 1, 2):
        assert median_interval(np.zeros(n), level=0.95) is None
    assert median_interval(np.full(9, 0.5), level=0.95) == (0.5, 0.5)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 90.0])
def test_a_share_must_be_one(share: float) -> None:
    with pytest.raises(ValueError, match=r"share of a quantile must lie in \(0, 1\)"):
        quantile_interval(np.arange(9.0), share, level=0.95)


@pytest.mark.parametrize("level", [95, 1.0, 0.49, 0.0, -1, float("nan")])
def test_a_level_must_be_one(level: float) -> None:
    with pytest.raises(ValueError, match="confidence level must lie in"):
        quantile_interval(np.arange(9.0), 0.5, level=level)


@pytest.mark.parametrize("name", LAWS)
def test_the_interval_covers_every_law_ties_and_failures_included(name: str) -> None:
    law, rng = LAWS[name], np.random.default_rng(seed=ord(name))
    for share in (0.5, 0.8):
        truth = law.quantile(share)
        drawn = np.sort(law.draw((30, 1000), rng), axis=0)
        lower, upper = quantile_ranks(30, share, level=0.975)
        covered = int(((drawn[lower - 1] <= truth) & (truth <= drawn[upper - 1])).sum())
        # at exactly .95 fewer than 923 of 1000 would cover once in ten thousand simulations
        assert covered >= stats.binom.ppf(1e-4, 1000, 0.95)
