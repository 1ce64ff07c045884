"""Rank correlations with object size held fixed: by hand, by another formula, and by their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from auditor.analysis.difficulty_ranks import drawn, partial, spearman

Floats = NDArray[np.float64]


def array(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)


def test_the_partial_correlation_is_the_one_computed_by_hand() -> None:
    # ranks of five patients, n (n^2 - 1) = 120
    x, y, size = array(1, 2, 3, 4, 5), array(2, 1, 4, 3, 5), array(1, 3, 2, 5, 4)
    # d of (x, y): -1 1 -1 1 0, squares 4: r = 1 - 6 * 4 / 120 = 0.8
    # d of (x, size): 0 -1 1 -1 1, squares 4: r = 0.8
    # d of (y, size): 1 -2 2 -2 1, squares 14: r = 1 - 84 / 120 = 0.3
    assert spearman(x, y) == pytest.approx(0.8)
    assert spearman(x, size) == pytest.approx(0.8)
    assert spearman(y, size) == pytest.approx(0.3)
    by_hand = (0.8 - 0.8 * 0.3) / math.sqrt((1 - 0.64) * (1 - 0.09))
    assert partial(x, y, size) == pytest.approx(by_hand, abs=1e-12)


def test_equal_values_share_their_mean_rank() -> None:
    # ranks 1.5 1.5 3 4 against 1 2 3 4: covariance 4.5, variances 4.5 and 5
    found = spearman(array(7, 7, 8, 9), array(0.1, 0.2, 0.3, 0.4))
    assert found == pytest.approx(4.5 / math.sqrt(4.5 * 5))


@pytest.mark.parametrize("seed", range(5))
def test_spearman_agrees_with_scipy_and_the_partial_one_with_residuals_of_ranks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = rng.integers(0, 6, 31).astype(np.float64)  # with ties
    x, y = size + rng.normal(0, 2, 31), np.round(rng.normal(0, 2, 31) - size)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    ranks = [stats.rankdata(it) for it in (x, y, size)]
    left = [it - np.polyval(np.polyfit(ranks[2], it, 1), ranks[2]) for it in ranks[:2]]
    assert partial(x, y, size) == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-9)


@pytest.mark.parametrize("held", [False, True])
def test_a_draw_that_holds_every_patient_once_is_the_correlation_itself(*, held: bool) -> None:
    x, y, size = np.random.default_rng(3).normal(0, 1, (3, 14))
    everyone = np.random.default_rng(4).permutation(14)[None]
    expected = partial(x, y, size) if held else spearman(x, y)
    assert drawn(everyone, x, y, size if held else None)[0] == pytest.approx(expected)


def test_only_the_order_of_values_counts() -> None:
    x, y, size = np.random.default_rng(5).normal(0, 1, (3, 20))
    assert partial(np.exp(x), y**3, size) == pytest.approx(partial(x, y, size))
    assert partial(-x, y, size) == pytest.approx(-(partial(x, y, size) or 0.0))
    assert partial(x, y, -size) == pytest.approx(partial(x, y, size))


@pytest.mark.parametrize(
    ("x", "y", "size"),
    [
        (array(), array(), array()),
        (array(1), array(0.5), array(2)),
        (array(1, 2), array(0.5, 0.6), array(2, 1)),
        (array(1, 2, 3), array(0.5, 0.7, 0.6), array(2, 1, 3)),  # no degree of freedom is left
        (array(4, 4, 4, 4, 4), array(1, 2, 3, 4, 5), array(2, 1, 3, 5, 4)),
        (array(1, 2, 3, 4, 5), array(0.9, 0.9, 0.9, 0.9, 0.9), array(2, 1, 3, 5, 4)),
        (array(1, 2, 3, 4, 5), array(2, 1, 3, 5, 4), array(9, 9, 9, 9, 9)),
        (array(1, 2, 3, 4, 5), array(2, 1, 3, 5, 4), array(10, 20, 30, 40, 50)),  # size itself
        (array(1, 2, 3, 4, 5), array(2, 1, 3, 5, 4), array(-20, -10, -30, -50, -40)),
    ],
)
def test_where_nothing_is_left_there_is_no_partial_correlation(
    x: Floats, y: Floats, size: Floats
) -> None:
    assert partial(x, y, size) is None


def test_draws_without_variation_count_as_nought_and_are_never_nan() -> None:
    x, y, size = np.random.default_rng(6).normal(0, 1, (3, 6))
    same = np.zeros((1, 6), dtype=np.intp)
    two = np.array([[0, 1, 0, 1, 0, 1]])  # size tells everything of two patients
    for held in (None, size):
        assert drawn(same, x, y, held).tolist() == [0.0]
    assert drawn(two, x, y, size).tolist() == [0.0]


def cohort(law: str, n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Difficulty, DSC and size of n patients."""
    size = rng.normal(0, 1, n)
    if law == "alone":  # difficulty has nothing to do with size
        x = rng.normal(0, 1, n)
        return x, -0.5 * x + 0.5 * size + rng.normal(0, 0.7, n), size
    if law == "through size":  # all that difficulty tells, size tells
        return 0.7 * size + 0.7 * rng.normal(0, 1, n), 0.8 * size + rng.normal(0, 0.6, n), size
    x = 0.5 * size + 0.8 * rng.normal(0, 1, n)
    score = np.clip(0.88 + 0.04 * size - 0.04 * x + rng.normal(0, 0.04, n), 0, 1)
    score[rng.uniform(size=n) < 0.12] = 0.0  # failures
    return x, score, size


@pytest.mark.slow
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(("law", "n"), [("alone", 20), ("through size", 40), ("failures", 30)])
def test_intervals_cover_the_truth_as_often_as_they_say(law: str, n: int, *, held: bool) -> None:
    x, y, size = cohort(law, 400_000, np.random.default_rng(1))
    truth = (partial(x, y, size) if held else spearman(x, y)) or 0.0
    rng, runs, kept = np.random.default_rng(2), 250, 0
    for _ in range(runs):
        x, y, size = cohort(law, n, rng)
        draws = drawn(rng.integers(0, n, (250, n)), x, y, size if held else None)
        low, high = np.quantile(draws, [0.025, 0.975])
        kept += low <= truth <= high
    # nominal .95; a true coverage of .92 is allowed, one of .88 is not
    assert kept >= stats.binom.ppf(0.001, runs, 0.92)
