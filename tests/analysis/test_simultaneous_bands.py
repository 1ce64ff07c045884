"""Bands over several means, and Holm: by hand, against one column, counted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.bands import holm, largest_t, simultaneous_band
from auditor.analysis.intervals import (
    bootstrap_weights,
    studentized_bounds,
    studentized_draws,
)

RNG = np.random.default_rng(3)
VALUES = RNG.beta(9, 2, (30, 1)) - RNG.uniform(0, 0.1, (30, 5))
"""Thirty patients at five severities."""
WEIGHTS = bootstrap_weights(30, 4)


def test_a_lower_band_over_one_column_is_the_one_sided_bound() -> None:
    low, high = simultaneous_band(VALUES[:, :1], WEIGHTS, level=0.95, side="lower")
    assert low[0] == pytest.approx(studentized_bounds(VALUES[:, :1], WEIGHTS, level=0.95)[0][0])
    assert high[0] == np.inf


def test_the_same_column_many_times_costs_nothing() -> None:
    once = simultaneous_band(VALUES[:, :1], WEIGHTS, level=0.95)
    often = simultaneous_band(np.repeat(VALUES[:, :1], 7, axis=1), WEIGHTS, level=0.95)
    assert often[0] == pytest.approx(np.repeat(once[0], 7))
    assert often[1] == pytest.approx(np.repeat(once[1], 7))


def test_more_columns_widen_the_band_and_less_than_bonferroni_would() -> None:
    low, high = simultaneous_band(VALUES, WEIGHTS, level=0.95)
    alone = simultaneous_band(VALUES[:, :1], WEIGHTS, level=0.95)
    split = simultaneous_band(VALUES[:, :1], WEIGHTS, level=1 - 0.05 / 5)
    assert split[0][0] < low[0] < alone[0][0]
    assert alone[1][0] < high[0] < split[1][0]


def test_three_patients_by_hand() -> None:
    # all 27 draws of three patients with values 0, 0, 3: 8 without a 3, 12 with one, 6 with two, 1 with three
    weights = np.array(
        [[3.0 - k, 0.0, k] for k, count in enumerate((8, 12, 6, 1)) for _ in range(count)]
    )
    values = np.array([[0.0], [0.0], [3.0]])
    # m = 1, s = sqrt(3) / sqrt(3) = 1; one 3: M = 1, T = 0; two: M = 2, s* = sqrt((6 - 4) / 2) = 1, T = 1;
    # none and three have no spread: T = -inf and inf. The ceil(28 x .6 = 16.8)-th = 17th smallest T is 0
    low, high = simultaneous_band(values, weights, level=0.6, side="lower")
    assert (low[0], high[0]) == (1.0, np.inf)
    # the 26th of 27, at level .92 (28 x .92 = 25.76), is 1: m - 1 x 1 = 0
    assert simultaneous_band(values, weights, level=0.92, side="lower")[0][0] == pytest.approx(0.0)
    # two-sided, 9 of 27 draws are infinite: nothing at .92
    assert simultaneous_band(values, weights, level=0.92)[0][0] == -np.inf


def test_a_column_without_spread_is_not_claimed_and_widens_nothing() -> None:
    flat = np.concatenate([VALUES, np.full((30, 1), 0.7)], axis=1)
    rare = np.concatenate([VALUES, np.eye(30)[:, :1]], axis=1)  # one patient differs
    for columns in (flat, rare):
        low, high = simultaneous_band(columns, WEIGHTS, level=0.95)
        assert (low[-1], high[-1]) == (-np.inf, np.inf)
        assert low[:-1] == pytest.approx(simultaneous_band(VALUES, WEIGHTS, level=0.95)[0])


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (2, 3), (30, 0)])
def test_nothing_is_claimed_of_nobody_or_one_patient(shape: tuple[int, int]) -> None:
    low, high = simultaneous_band(
        np.zeros(shape), bootstrap_weights(max(shape[0], 1), 1), level=0.9
    )
    assert low.shape == high.shape == (shape[1],)
    assert (low == -np.inf).all()
    assert (high == np.inf).all()


def test_a_level_must_be_one() -> None:
    with pytest.raises(ValueError, match="confidence level must lie in"):
        simultaneous_band(VALUES, WEIGHTS, level=95)


def test_pairs_of_systems_use_the_same_quantile() -> None:
    _, error, draws = studentized_draws(VALUES, WEIGHTS)
    times, usable = largest_t(draws, error, level=0.95)
    assert usable.all()
    low, _ = simultaneous_band(VALUES, WEIGHTS, level=0.95)
    assert low == pytest.approx(VALUES.mean(axis=0) - times * error)


def test_holm_by_hand() -> None:
    # sorted .005 .01 .03 .04 times 4 3 2 1: .02 .03 .06 .04 -> running maximum .02 .03 .06 .06
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.7, 0.6])) == pytest.approx([1.0, 1.0])
    assert holm(np.array([])).shape == (0,)
    for wrong in ([-0.1, 0.5], [0.5, 1.1], [0.5, np.nan]):
        with pytest.raises(ValueError, match="p-values must lie in"):
            holm(np.array(wrong))


def test_holm_agrees_with_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    for seed in range(20):
        p = np.random.default_rng(seed).beta(0.5, 2, 1 + seed)
        assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])


@pytest.mark.slow
@pytest.mark.parametrize(("side", "floor"), [("two-sided", 0.94), ("lower", 0.93)])
def test_a_band_holds_all_its_means_together(side: str, floor: float) -> None:
    # 40 patients, six severities that lose up to .25 on the same patients; 600 cohorts
    rng, weights = np.random.default_rng(11), bootstrap_weights(40, 2, draws=999)
    loss = np.linspace(0, 0.25, 6)
    truth = 18 / 20 * (1 - loss)
    held = 0
    for _ in range(600):
        values = rng.beta(18, 2, (40, 1)) * (1 - loss) + rng.normal(0, 0.02, (40, 6))
        low, high = simultaneous_band(values, weights, level=0.95, side=side)  # type: ignore[arg-type]
        held += bool(((low <= truth) & (truth <= high)).all())
    assert held >= stats.binom.ppf(1e-4, 600, floor)
