"""Conformal ranks against published tables, leave-one-out counts against the slow way."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.conformal import (
    LeaveOneOut,
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
    ("n", "rank", "strict"),
    [(19, 2, 0), (30, 3, 1), (50, 5, 2), (100, 10, 6), (200, 20, 15), (500, 50, 41)],
)
def test_ranks_at_one_tenth(n: int, rank: int, strict: int) -> None:
    # P(Bin(n, .1) <= k - 1) <= .1, from the binomial law
    assert (marginal_rank(n, 0.1), pac_rank(n, 0.1, 0.1)) == (rank, strict)


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
