"""One band, every mix: maps, the worst mix of a ball, the largest ball."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from auditor.analysis.comparison import Pair
from auditor.analysis.intervals import bootstrap_weights
from auditor.confidence.recipe_map import (
    axes_map,
    axes_of_map,
    band,
    not_beaten,
    radius_of,
    severity_map,
    worst_in_ball,
)
from auditor.confidence.recipe_scores import Condition, ScoreTable
from auditor.confidence.recipe_weighing import _pair
from auditor.schema import Estimate

CONDITIONS: tuple[Condition, ...] = (("clean", 0.0), ("blur", 2.0), ("noise", 2.0), ("noise", 4.0))


def table(values: np.ndarray, systems: tuple[str, ...] = ("A", "B")) -> ScoreTable:
    levels = dict.fromkeys(CONDITIONS, (1.0, "%"))
    return ScoreTable(systems, CONDITIONS, levels, values, tuple(range(len(values))), ())


def test_worst_mix_of_a_ball_is_that_of_a_linear_programme() -> None:
    """Minimise pi'v over the simplex with sum |pi - mix| <= 2 rho, split in moved parts."""
    rng = np.random.default_rng(1)
    for radius in (0.0, 0.05, 0.3, 0.8, 1.0):
        for _ in range(10):
            v, mix = rng.normal(size=5), rng.dirichlet(np.ones(5))
            # variables: pi (5), up (5), down (5); pi = mix + up - down
            found = optimize.linprog(
                np.concatenate([v, np.zeros(10)]),
                A_ub=[np.concatenate([np.zeros(5), np.ones(10)])],
                b_ub=[2 * radius],
                A_eq=np.vstack(
                    [
                        np.hstack([np.eye(5), -np.eye(5), np.eye(5)]),
                        np.concatenate([np.ones(5), np.zeros(10)]),
                    ]
                ),
                b_eq=[*mix, 1.0],
            )
            assert worst_in_ball(v, mix, radius) == pytest.approx(found.fun, abs=1e-8)


def test_worst_mix_by_hand() -> None:
    # .1 moves from the best condition, .4, to the worst, -.2
    assert worst_in_ball(
        np.array([0.4, 0.1, -0.2]), np.array([0.5, 0.3, 0.2]), 0.1
    ) == pytest.approx(0.5 * 0.4 + 0.3 * 0.1 - 0.2 * 0.2 - 0.1 * 0.6)


def test_largest_ball_is_where_the_worst_mix_reaches_zero() -> None:
    rng = np.random.default_rng(2)
    seen = 0
    for _ in range(60):
        v, mix = rng.normal(0.3, 1.0, 5), rng.dirichlet(np.ones(5))
        radius = radius_of(v, mix)
        if radius is None:
            assert v @ mix <= 0
            continue
        seen += 1
        if radius < 1.0:
            assert worst_in_ball(v, mix, radius) == pytest.approx(0.0, abs=1e-9)
            assert worst_in_ball(v, mix, max(0.0, radius - 0.01)) > 0
        else:
            assert worst_in_ball(v, mix, 1.0) > 0
    assert seen > 20


def test_band_by_its_parts_and_what_it_cannot_say() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0.1, 0.05, (25, 3))
    values[:, 2] = 0.2  # the same in all patients
    low, high = band(
        values, bootstrap_weights(25, 1), level=0.95, two_sided=True, reach=(-1.0, 1.0)
    )
    mean = values.mean(axis=0)
    assert np.all(low[:2] < mean[:2])
    np.testing.assert_allclose((low + high)[:2] / 2, mean[:2])
    assert (low[2], high[2]) == (-1.0, 1.0)
    one, none = band(
        values, bootstrap_weights(25, 1), level=0.95, two_sided=False, reach=(-1.0, 1.0)
    )
    assert np.all(one[:2] > low[:2])  # a lower band alone is narrower
    assert np.all(none == 1.0)


def test_not_beaten_by_hand() -> None:
    # pairs AB, AC, BC at one condition: A beats B; A and C, B and C undecided
    low, high = np.array([[0.1], [-0.1], [-0.3]]), np.array([[0.3], [0.2], [0.1]])
    assert not_beaten(("A", "B", "C"), low, high, np.array([1.0])) == ("A", "C")
    # C beats both
    low, high = np.array([[-0.1], [-0.3], [-0.3]]), np.array([[0.1], [-0.2], [-0.1]])
    assert not_beaten(("A", "B", "C"), low, high, np.array([1.0])) == ("C",)


def test_severity_map_by_hand() -> None:
    """A better by .1 on clean, B by .3 at noise 4: with a share p there, A where .1 (1 - p) > .3 p."""
    low = np.array([[0.1, -0.5, -0.1, -0.3]])
    high = low.copy()
    found = severity_map(table(np.zeros((12, 4, 2))), low, high, "noise")
    assert found is not None
    assert found.upward == tuple(k / 2 for k in range(1, 9))
    top = [found.sets[it] for it in found.cells[-1]]
    expected = [
        ("A",)
        if 0.1 * (1 - p) - 0.3 * p > 1e-12
        else ("B",)
        if 0.1 * (1 - p) - 0.3 * p < -1e-12
        else None
        for p in found.across
    ]
    assert [kept for kept, it in zip(top, expected, strict=True) if it] == [
        it for it in expected if it
    ]
    # half way from clean to severity 2: difference (.1 - .1) / 2 = 0 at severity 1
    middle = found.cells[found.upward.index(1.0)]
    assert found.sets[middle[-1]] == ("A", "B")


def test_axes_map_has_no_mix_beyond_all_scans() -> None:
    low, high = np.full((1, 4), -0.2), np.full((1, 4), 0.3)
    found = axes_map(table(np.zeros((12, 4, 2))), low, high, ("noise", "blur"), 2.0)
    assert found is not None
    assert found.cells[0].count(-1) == 0
    assert found.cells[20].count(-1) == 20
    assert found.sets == (("A", "B"),)
    assert axes_map(table(np.zeros((12, 4, 2))), low, high, ("noise", "blur"), 4.0) is None


def test_axes_with_shares_come_first_then_those_that_hurt() -> None:
    values = np.full((12, 4, 2), 0.9)
    values[:, 3] = 0.5
    values[:, 1] = 0.8
    assert axes_of_map(table(values), {("clean", 0.0): 1.0}, 2) == ("noise", "blur")
    assert axes_of_map(table(values), {("blur", 2.0): 0.2, ("clean", 0.0): 0.8}, 2) == (
        "blur",
        "noise",
    )


@pytest.mark.slow
def test_no_mix_of_any_map_is_wrong_too_often() -> None:
    """Two equal systems: P(some mix is decided) is the size of the band, 400 repetitions at n = 40."""
    rng = np.random.default_rng(4)
    wrong = 0
    for _ in range(400):
        ease = rng.normal(0, 0.1, (40, 1))
        values = np.stack([ease + rng.normal(0, 0.05, (40, 6)) for _ in range(2)], axis=2)
        apart = values[:, :, 0] - values[:, :, 1]
        low, high = band(
            apart, bootstrap_weights(40, int(rng.integers(2**31)), 400), level=0.95, two_sided=True,
            reach=(-1.0, 1.0),
        )  # fmt: skip
        # some mix is decided exactly where some condition is
        wrong += bool((low > 0).any() or (high < 0).any())
    assert wrong <= stats.binom.ppf(1 - 1e-4, 400, 0.07)
    assert wrong >= stats.binom.ppf(1e-4, 400, 0.03)  # and it is not empty caution


def test_the_mixes_around_reach_from_the_smallest_lower_to_the_largest_upper_limit() -> None:
    # half of the scans may move from the first condition to the second: at least .5 * .2 + .5 * .1,
    # at most .5 * .3 + .5 * .6
    low, high, mix = np.array([0.2, 0.1]), np.array([0.3, 0.6]), np.array([1.0, 0.0])
    found = _pair(Pair("a", "b", Estimate(0.25, 20, "by hand"), "a"), (low, high), mix, 0.5)
    assert found.ball_low == pytest.approx(0.15)
    assert found.ball_high == pytest.approx(0.45)
    assert (found.ball, found.radius) == ("a", 1.0)
    other = _pair(Pair("b", "a", Estimate(-0.25, 20, "by hand"), "a"), (-high, -low), mix, 0.5)
    assert other.ball_low == pytest.approx(-0.45)
    assert other.ball_high == pytest.approx(-0.15)
    assert (other.ball, other.radius) == ("a", 1.0)
