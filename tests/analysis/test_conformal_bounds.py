"""Conformal ranks against published tables, leave-one-out counts against the slow way."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.conformal import (
    CoverageLaw,
    LeaveOneOut,
    check_alpha,
    coverage_law,
    leave_one_out,
    lower_bound,
    marginal_rank,
    needed_marginal,
    needed_pac,
    pac_rank,
    transfer_verdict,
    transferred,
)


@pytest.mark.parametrize(
    ("alpha", "delta", "needed"),
    [(0.05, 0.05, 59), (0.10, 0.05, 29), (0.10, 0.10, 22), (0.01, 0.05, 299), (0.20, 0.10, 11)],
)
def test_needed_patients_are_those_of_wilks(alpha: float, delta: float, needed: int) -> None:
    # Wilks 1941: 95/95 needs 59, 95/99 needs 299
    assert needed_pac(alpha, delta) == needed
    assert pac_rank(needed, alpha, delta) == 1
    assert pac_rank(needed - 1, alpha, delta) == 0


@pytest.mark.parametrize(("alpha", "needed"), [(0.2, 4), (0.1, 9), (0.05, 19), (0.01, 99)])
def test_a_marginal_bound_needs_one_over_alpha_less_one(alpha: float, needed: int) -> None:
    assert needed_marginal(alpha) == needed
    assert marginal_rank(needed, alpha) == 1
    assert marginal_rank(needed - 1, alpha) == 0


@pytest.mark.parametrize(
    ("alpha", "needed"),
    [(0.20, (8, 11, 14)), (0.10, (16, 22, 29)), (0.05, (32, 45, 59)), (0.01, (161, 230, 299))],
)
def test_needed_patients_of_a_pac_bound(alpha: float, needed: tuple[int, int, int]) -> None:
    # (1 - alpha)^n <= delta, delta .20, .10, .05
    assert tuple(needed_pac(alpha, delta) for delta in (0.20, 0.10, 0.05)) == needed
    for delta, n in zip((0.20, 0.10, 0.05), needed, strict=True):
        assert (pac_rank(n - 1, alpha, delta), pac_rank(n, alpha, delta)) == (0, 1)


@pytest.mark.parametrize(
    ("n", "rank", "strict", "low", "short"),
    [
        (19, 2, 0, 0.774, 0.420),
        (30, 3, 1, 0.805, 0.411),
        (50, 5, 2, 0.826, 0.431),
        (100, 10, 6, 0.848, 0.451),
        (200, 20, 15, 0.864, 0.466),
        (500, 50, 41, 0.877, 0.478),
    ],
)
def test_ranks_and_coverage_at_one_tenth(
    n: int, rank: int, strict: int, low: float, short: float
) -> None:
    # P(Bin(n, .1) <= k - 1) <= .1, from the binomial law; coverage: 5 % quantile of Beta(n + 1 - k, k),
    # and its share below .9
    assert (marginal_rank(n, 0.1), pac_rank(n, 0.1, 0.1)) == (rank, strict)
    law = coverage_law(n, rank)
    assert law == CoverageLaw(n, rank)
    assert law is not None
    assert round(law.quantile(0.05), 3) == low
    assert round(law.shortfall(0.1), 3) == short


def test_the_law_of_a_thousand_patients_is_that_of_the_tutorial() -> None:
    # Angelopoulos & Bates: n = 1000, alpha = .1 -> Beta(901, 100)
    law = coverage_law(1000, marginal_rank(1000, 0.1))
    assert law is not None
    assert law.mean == pytest.approx(901 / 1001)
    for share in (0.05, 0.5, 0.95):
        assert law.quantile(share) == pytest.approx(stats.beta.ppf(share, 901, 100))


@pytest.mark.parametrize(("n", "further"), [(30, 40), (50, 7), (100, 100)])
def test_a_pac_rank_is_where_the_law_promises_enough(n: int, further: int) -> None:
    strict = pac_rank(n, 0.1, 0.1)
    law, next_law = coverage_law(n, strict), coverage_law(n, strict + 1)
    assert law is not None
    assert next_law is not None
    assert law.shortfall(0.1) <= 0.1 < next_law.shortfall(0.1)
    # of further patients: the shares of the beta-binomial law outside its range are at most .025 each
    low, high = law.chance(further)
    outside = stats.betabinom(further, n + 1 - strict, strict)
    assert outside.cdf(low - 1) < 0.025 <= outside.cdf(low)
    assert outside.cdf(high - 1) < 0.975 <= outside.cdf(high)


def test_chance_by_hand() -> None:
    # two calibrating scores, the lower one is the bound: P(both of two further ones lie above) =
    # P(the lowest of four is the calibrating minimum) = 1/2, none: P(the two lowest are the further ones) = 1/6
    law = coverage_law(2, 1)
    assert law is not None
    assert law.chance(2, level=0.6) == (1, 2)  # tails of .2: P(0) = 1/6 < .2, P(0 or 1) = 1/2
    assert law.chance(2, level=0.7) == (0, 2)  # tails of .15 < 1/6
    assert law.mean == pytest.approx(2 / 3)


def test_what_is_no_bound_is_refused() -> None:
    for alpha in (0.0, -0.1, 0.51, 1.0, float("nan")):
        for refuses in (marginal_rank, lambda n, a: pac_rank(n, a, 0.1)):
            with pytest.raises(ValueError, match="alpha"):
                refuses(30, alpha)
        with pytest.raises(ValueError, match="alpha"):
            needed_marginal(alpha)
    with pytest.raises(ValueError, match="delta"):
        check_alpha(0.1, 1.0)
    with pytest.raises(ValueError, match="without NaN"):
        lower_bound(np.array([0.5, float("nan"), 0.7]), 1)  # sorting puts NaN above every score
    for rank in (-1, 4):
        with pytest.raises(ValueError, match="rank"):
            lower_bound(np.ones(3), rank)
        with pytest.raises(ValueError, match="rank"):
            coverage_law(3, rank)
    assert coverage_law(3, 0) is None


@pytest.mark.parametrize("n", [0, 1])
def test_one_patient_certifies_nothing_at_any_alpha(n: int) -> None:
    assert (marginal_rank(n, 0.5), pac_rank(n, 0.5, 0.9)) == (0, 0)
    assert (needed_marginal(0.5), needed_pac(0.5, 0.9)) == (2, 2)


def test_equal_scores_are_their_own_bound() -> None:
    assert lower_bound(np.full(30, 0.8), 3) == 0.8
    assert leave_one_out(np.full(30, 0.8), 0.1) == LeaveOneOut(30, 30)
    assert leave_one_out(np.zeros(30), 0.1) == LeaveOneOut(30, 30)  # all failed: the bound is 0


@pytest.mark.parametrize("alpha", ["1/100", "1/20", "1/10", "3/20", "1/5"])
def test_ranks_do_not_depend_on_how_alpha_was_rounded(alpha: str) -> None:
    exact = Fraction(alpha)
    for n in range(1, 400):
        right = floor((n + 1) * exact)
        # 1 - .9 is a little below .1 in floating point; (n + 1) (1 - .9) is 1.9999999999999996 at 19
        assert marginal_rank(n, float(exact)) == right
        assert marginal_rank(n, 1 - float(1 - exact)) == right


def test_the_bound_is_an_order_statistic() -> None:
    scores = np.array([0.9, 0.5, 0.7, 0.7, 0.95])
    assert lower_bound(scores, 1) == 0.5
    assert lower_bound(scores, 3) == 0.7
    assert lower_bound(scores, 0) is None


@pytest.mark.parametrize("n", [9, 10, 11, 25, 40])
@pytest.mark.parametrize("ties", [False, True])
def test_leaving_one_out_equals_doing_it_one_by_one(n: int, ties: bool) -> None:  # noqa: FBT001  # a parameter of the test
    rng = np.random.default_rng(n)
    clean, noisy = rng.beta(9, 2, n), rng.beta(6, 3, n)
    if ties:
        clean, noisy = clean.round(1), noisy.round(1)
    rank = marginal_rank(n - 1, 0.1)
    held = sum(noisy[i] >= np.sort(np.delete(clean, i))[rank - 1] for i in range(n) if rank)
    assert transferred(clean, noisy, 0.1) == LeaveOneOut(int(held), n if rank else 0)


def test_too_few_patients_count_nothing() -> None:
    for n in (0, 1, 9):  # of 9, eight calibrate: floor(9 * .1) = 0
        assert leave_one_out(np.linspace(0, 1, n), 0.1) == LeaveOneOut(0, 0)


def test_a_bound_holds_for_all_but_about_alpha_of_its_own_patients() -> None:
    # 40 different scores: without one, the bound is the 4th smallest; the 4 lowest patients miss it
    assert leave_one_out(np.linspace(0.5, 0.9, 40), 0.1) == LeaveOneOut(36, 40)


def test_verdicts_of_a_transferred_bound() -> None:
    # Clopper-Pearson upper, .975: 20 of 40 -> .66 < .9; 36 of 40 -> .97; 33 of 40 -> .927
    assert transfer_verdict(LeaveOneOut(20, 40), 0.1, clean=False) == "BROKEN"
    assert transfer_verdict(LeaveOneOut(36, 40), 0.1, clean=False) == "no evidence of breaking"
    assert transfer_verdict(LeaveOneOut(33, 40), 0.1, clean=False) == "no evidence of breaking"
    assert transfer_verdict(LeaveOneOut(36, 40), 0.1, clean=True) == "by construction"
    assert transfer_verdict(LeaveOneOut(0, 0), 0.1, clean=False) == "not certifiable"


@pytest.mark.parametrize("n", [20, 50])
def test_marginal_and_pac_bounds_keep_what_they_promise(n: int) -> None:
    # uniform scores: the coverage of a bound L is exactly 1 - L
    rng = np.random.default_rng(n)
    scores = np.sort(rng.uniform(size=(4000, n)), axis=1)
    marginal = 1 - scores[:, marginal_rank(n, 0.1) - 1]
    expected = (n + 1 - marginal_rank(n, 0.1)) / (n + 1)  # mean of Beta(n + 1 - k, k)
    assert marginal.mean() == pytest.approx(expected, abs=4 * marginal.std() / np.sqrt(4000))
    assert expected >= 0.9
    strict = pac_rank(n, 0.1, 0.1)
    if strict:
        unlucky = int((1 - scores[:, strict - 1] < 0.9).sum())
        assert unlucky <= stats.binom.ppf(0.9999, 4000, 0.1)
