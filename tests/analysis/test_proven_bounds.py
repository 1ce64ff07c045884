"""Bounds that are proven for every law on [0, 1]: closed forms, order, hostile input, counted coverage."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import optimize, stats

from auditor.analysis.laws import LAWS
from auditor.analysis.phantom import phantom_lower
from auditor.analysis.proven import betting_lower, hoeffding_lower

Bound = Callable[..., np.ndarray]
BOUNDS = (hoeffding_lower, betting_lower)


def column(values: object) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)[:, None]


def test_hoeffding_by_hand() -> None:
    # .8 - sqrt(log(20) / (2 x 50)) = .8 - sqrt(.029957) = .8 - .17308
    assert hoeffding_lower(column([0.8] * 50), level=0.95)[0] == pytest.approx(0.62692, abs=1e-5)
    assert hoeffding_lower(column([0.1] * 5), level=0.95)[0] == 0.0


def test_one_patient_by_hand() -> None:
    # score 1, level .5: every bet wants sqrt(2 log 2) / spread >= 2.94 and may risk .99 / m, which is less for
    # m > .34; the capital 1 + .99 (1 - m) / m is 2 at .99 (1 - m) = m, m = .99 / 1.99 = .49749
    assert betting_lower(column([1.0]), level=0.5)[0] == pytest.approx(0.99 / 1.99, abs=1e-7)


@pytest.mark.parametrize("n", [2, 10, 60, 400])
def test_bets_on_equal_patients_by_the_formula(n: int) -> None:
    # all scores x: the capital at m is the mean of (1 + b (x - m))^n over the bets
    spreads = (0.08, 0.12, 0.18, 0.27, 0.4)

    def capital(m: float) -> float:
        bets = [min((2 * math.log(20) / n) ** 0.5 / spread, 0.99 / m) for spread in spreads]
        return float(np.mean([(1 + bet * (0.9 - m)) ** n for bet in bets]))

    expected = optimize.brentq(lambda m: capital(m) - 20, 0.1, 0.9)
    assert betting_lower(column([0.9] * n), level=0.95)[0] == pytest.approx(expected, abs=1e-7)


def test_the_order_of_patients_changes_nothing_that_is_shown() -> None:
    values = LAWS["E"].draw(70, np.random.default_rng(2))
    for bound in BOUNDS:
        assert bound(column(values), level=0.95)[0] == pytest.approx(
            bound(column(np.sort(values)), level=0.95)[0], abs=1e-8
        )


@pytest.mark.parametrize("bound", BOUNDS)
def test_columns_do_not_depend_on_their_neighbours(bound: Bound) -> None:
    values = LAWS["D"].draw((25, 300), np.random.default_rng(1))
    together = bound(values, level=0.95)
    for place in (0, 127, 128, 299):
        assert together[place] == pytest.approx(bound(values[:, [place]], level=0.95)[0], abs=4e-9)


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_worse_patient_never_raises_a_bound_and_a_higher_level_lowers_it(bound: Bound) -> None:
    values = LAWS["A"].draw(30, np.random.default_rng(5))
    missed = values.copy()
    missed[3] = 0.0
    both = np.stack([values, missed], axis=1)
    low = bound(both, level=0.95)
    assert low[1] < low[0] < values.mean()
    assert (bound(both, level=0.99) < low).all()
    assert (low >= 0).all()


def test_proven_bounds_lie_below_the_phantom_bound() -> None:
    for name in "ACE":
        values = LAWS[name].draw((60, 20), np.random.default_rng(3))
        phantom = phantom_lower(values, level=0.95)
        betting, hoeffding = (
            bound(values, level=0.95) for bound in (betting_lower, hoeffding_lower)
        )
        assert (betting < phantom).all()
        assert hoeffding.mean() < betting.mean()


@pytest.mark.parametrize("bound", BOUNDS)
def test_failures_alone_are_bounded_by_nothing(bound: Bound) -> None:
    for n in (1, 2, 100):
        assert bound(np.zeros((n, 3)), level=0.95).tolist() == [0.0, 0.0, 0.0]
    # hardly anything above zero, at the end of what a double holds
    assert 0 <= bound(column([1e-300] + [0.0] * 20), level=0.95)[0] <= 1e-300
    assert 0 <= bound(column([1.0] + [0.0] * 5000), level=0.95)[0] <= 1 / 5001


@pytest.mark.parametrize("bound", BOUNDS)
def test_hostile_input_is_refused(bound: Bound) -> None:
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got 0.5 to 12"):
        bound(column([0.5, 12.0]), level=0.95)
    with pytest.raises(ValueError, match="must lie in"):
        bound(column([0.5, np.nan]), level=0.95)
    with pytest.raises(ValueError, match="at least one patient"):
        bound(np.empty((0, 2)), level=0.95)
    for level in (95, 1.0, 0.4):
        with pytest.raises(ValueError, match="confidence level must lie in"):
            bound(column([0.5]), level=level)
    assert bound(np.empty((5, 0)), level=0.95).shape == (0,)


def learning_bets(values: np.ndarray, alpha: float) -> float:
    """The bound of bets that learn from earlier patients, on a grid (Waudby-Smith & Ramdas 2024)."""
    n = len(values)
    seen = np.arange(1, n + 1)
    mean = (0.5 + np.cumsum(values)) / (seen + 1)
    spread = (0.25 + np.cumsum((values - mean) ** 2)) / (seen + 1)
    bets = np.sqrt(2 * np.log(1 / alpha) / (n * np.concatenate([[0.25], spread[:-1]])))
    grid = np.linspace(1e-3, 1, 1000)[:, None]
    capital = np.cumsum(np.log1p(np.minimum(bets, 0.5 / grid) * (values - grid)), axis=1)
    return float(grid[capital.max(axis=1) < math.log(1 / alpha)].min())


def test_fixed_bets_are_about_as_close_as_bets_that_learn() -> None:
    rng = np.random.default_rng(6)
    for name in "ACDE":
        values = LAWS[name].draw((40, 30), rng)
        learnt = LAWS[name].mean - np.mean([learning_bets(it, 0.05) for it in values.T])
        assert LAWS[name].mean - betting_lower(values, level=0.95).mean() <= 1.4 * learnt


@pytest.mark.parametrize("share", [0.7, 0.9])
@pytest.mark.parametrize("n", [50, 100])
def test_bets_hold_where_a_sum_of_maxima_does_not(share: float, n: int) -> None:
    # shares of successes; a library that adds the largest capitals of two halves misses .13 to .19 of .10
    values = (np.random.default_rng(n).uniform(size=(n, 1000)) < share).astype(np.float64)
    missed = int((betting_lower(values, level=0.9) > share).sum())
    assert missed <= stats.binom.ppf(0.9999, 1000, 0.1)


@pytest.mark.parametrize("name", LAWS)
def test_the_bound_holds_for_every_law(name: str) -> None:
    for n in (10, 40):
        values = LAWS[name].draw((n, 1000), np.random.default_rng(ord(name)))
        for bound in BOUNDS:
            missed = int((bound(values, level=0.95) > LAWS[name].mean).sum())
            # at exactly .95 more than 76 of 1000 would miss once in ten thousand simulations
            assert missed <= stats.binom.ppf(0.9999, 1000, 0.05)
