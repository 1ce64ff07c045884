"""Thresholds that control a risk: reference values, exact counts, and what is refused."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.risk_control import (
    RiskBound,
    RiskStatus,
    crc_threshold,
    hoeffding_bentkus_upper,
    rcps_threshold,
    risk_upper,
)


def test_nine_patients_without_a_loss_are_the_fewest_for_a_tenth() -> None:
    # (0 + 1) / (9 + 1) = 0.1 <= 0.1, and 1 / 9 > 0.1
    found = crc_threshold(np.zeros((9, 4)), alpha=0.1)
    assert (found.status, found.column, found.bound) == (RiskStatus.OK, 0, 0.1)
    few = crc_threshold(np.zeros((8, 4)), alpha=0.1)
    assert (few.status, few.column, few.n, few.needed) == (RiskStatus.NOT_CERTIFIABLE, None, 8, 9)


def test_conformal_risk_control_takes_the_first_threshold_by_hand() -> None:
    losses = np.zeros((19, 3))
    losses[:4, 0] = 1.0  # (4 + 1) / 20 = 0.25
    losses[:2, 1] = 0.5  # (1 + 1) / 20 = 0.10
    found = crc_threshold(losses, alpha=0.1)
    assert (found.column, found.bound) == (1, 0.1)
    assert found.risk == pytest.approx(1 / 19)
    assert crc_threshold(losses, alpha=0.25).column == 0
    losses[0, 1] += 1e-6
    assert crc_threshold(losses, alpha=0.1).column == 2


def test_the_adjusted_risk_is_that_of_mapie() -> None:
    mapie = pytest.importorskip("mapie.risk_control.methods")
    losses = np.sort(np.random.default_rng(3).random((40, 7)))[:, ::-1]
    ours = [crc_threshold(losses[:, [k]] / 3, alpha=0.5).bound for k in range(7)]
    # n / (n + 1) R + 1 / (n + 1)
    expected = 40 / 41 * losses.mean(axis=0) / 3 + 1 / 41
    assert ours == pytest.approx(expected.tolist(), abs=1e-12)
    _, theirs = mapie.get_r_hat_plus(losses / 3, np.arange(7), "crc", None, None, None)
    assert np.asarray(theirs).tolist() == pytest.approx(expected.tolist(), abs=1e-12)


def test_where_no_threshold_keeps_the_risk_there_is_none() -> None:
    losses = np.full((50, 3), 0.4)
    assert crc_threshold(losses, alpha=0.1).status is RiskStatus.NOT_REACHED
    found = rcps_threshold(losses, alpha=0.1, delta=0.1)
    assert (found.status, found.column, found.bound) == (RiskStatus.NOT_REACHED, None, None)


@pytest.mark.parametrize(
    ("alpha", "delta", "needed"),
    [(0.05, 0.05, 59), (0.1, 0.05, 29), (0.1, 0.1, 22), (0.01, 0.05, 299)],  # Wilks
)
@pytest.mark.parametrize("bound", [RiskBound.HOEFFDING_BENTKUS, RiskBound.BINOMIAL])
def test_risk_controlling_sets_need_as_many_patients_as_a_pac_bound(
    alpha: float, delta: float, needed: int, bound: RiskBound
) -> None:
    enough = rcps_threshold(np.zeros((needed, 2)), alpha=alpha, delta=delta, bound=bound)
    assert (enough.status, enough.column) == (RiskStatus.OK, 0)
    few = rcps_threshold(np.zeros((needed - 1, 2)), alpha=alpha, delta=delta, bound=bound)
    assert (few.status, few.needed) == (RiskStatus.NOT_CERTIFIABLE, needed)


def test_the_binomial_bound_is_that_of_clopper_and_pearson() -> None:
    losses = np.zeros((30, 1))
    losses[:3] = 1.0
    found = risk_upper(losses, level=0.95, bound=RiskBound.BINOMIAL)
    # 27 of 30: 1 - 0.7614, one-sided
    assert found.tolist() == pytest.approx([1 - 0.7614], abs=5e-5)
    binomial = stats.binomtest(3, 30, alternative="less").proportion_ci(0.95, method="exact")
    assert found.tolist() == pytest.approx([binomial.high])


def test_hoeffding_bentkus_solves_its_own_equation() -> None:
    n, level = 60, 0.9
    means = np.asarray([0.0, 0.03, 0.1, 0.42, 0.97, 1.0])
    upper = hoeffding_bentkus_upper(means, n, level=level)
    assert upper[0] == pytest.approx(1 - 0.1 ** (1 / 60))  # (1 - r)^n = 0.1
    assert upper[-1] == 1.0
    for mean, bound in zip(means[1:-1], upper[1:-1], strict=True):
        entropy = mean * math.log(mean / bound) + (1 - mean) * math.log((1 - mean) / (1 - bound))
        hoeffding = math.exp(-n * entropy)
        bentkus = math.e * stats.binom.cdf(math.ceil(round(n * mean, 9)), n, bound)
        assert min(hoeffding, bentkus) == pytest.approx(0.1, rel=1e-6)


@pytest.mark.parametrize("n", [25, 80])
def test_hoeffding_bentkus_covers_every_binary_law_exactly(n: int) -> None:
    # by summing the binomial, not by drawing: P(upper < p) over the counts
    level = 0.9
    upper = hoeffding_bentkus_upper(np.arange(n + 1) / n, n, level=level)
    for p in np.linspace(0.01, 0.99, 99):
        missed = stats.binom.pmf(np.arange(n + 1), n, p)[upper < p].sum()
        assert missed <= 1 - level + 1e-12


def test_the_betting_bound_is_closer_for_losses_that_vary_little() -> None:
    # five losses around a twentieth, forty times
    losses = np.tile([[0.03], [0.04], [0.05], [0.06], [0.07]], (40, 1))
    betting, other = (
        risk_upper(losses, level=0.9, bound=bound)[0]
        for bound in (RiskBound.BETTING, RiskBound.HOEFFDING_BENTKUS)
    )
    assert 0.05 < betting < other
    assert rcps_threshold(losses, alpha=0.07, delta=0.1, bound=RiskBound.BETTING).column == 0


def test_a_bound_is_never_below_the_mean_and_tightens_with_patients() -> None:
    means = np.linspace(0, 1, 21)
    few, many = (hoeffding_bentkus_upper(means, n, level=0.95) for n in (30, 300))
    assert (few >= many).all()
    assert (many >= means).all()
    assert (np.diff(few) >= -1e-12).all()


@pytest.mark.parametrize("bound", list(RiskBound))
def test_a_longer_wish_is_never_cheaper(bound: RiskBound) -> None:
    rng = np.random.default_rng(5)
    losses = (rng.random((200, 1)) < np.linspace(0.5, 0.0, 26)).astype(float)
    losses = np.minimum.accumulate(losses, axis=1)
    found = [
        [
            rcps_threshold(losses, alpha=alpha, delta=delta, bound=bound).column
            for alpha in (0.3, 0.2, 0.1)
        ]
        for delta in (0.2, 0.1, 0.01)
    ]
    table = np.asarray(found)
    assert (np.diff(table, axis=0) >= 0).all()
    assert (np.diff(table, axis=1) > 0).all()
    crc = crc_threshold(losses, alpha=0.1).column
    assert crc is not None
    assert crc <= table[0, 2]


def test_losses_that_rise_are_refused_and_named() -> None:
    losses = np.asarray([[0.5, 0.4, 0.3], [0.5, 0.2, 0.6]])
    said = r"row 1 rises from column 1 \(0.2\) to 2 \(0.6\)"
    with pytest.raises(ValueError, match=said):
        crc_threshold(losses, alpha=0.4)
    with pytest.raises(ValueError, match=said):
        rcps_threshold(losses, alpha=0.4, delta=0.1)
    assert crc_threshold(np.asarray([[0.2, 0.2 + 1e-15]] * 30), alpha=0.5).column == 0


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf])
def test_losses_outside_0_and_1_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\]; a failed scan has loss 1"):
        crc_threshold(np.full((30, 1), value), alpha=0.1)


def test_hostile_shapes_and_levels() -> None:
    for shape in ((5,), (5, 0), (2, 2, 2)):
        with pytest.raises(ValueError, match="patients, thresholds"):
            crc_threshold(np.zeros(shape), alpha=0.1)
    for bad in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"alpha, .* must lie above 0 and up to 0\.5"):
            crc_threshold(np.zeros((30, 1)), alpha=bad)
        with pytest.raises(ValueError, match=r"delta, .* must lie between 0 and 1"):
            rcps_threshold(np.zeros((30, 1)), alpha=0.1, delta=bad)
    with pytest.raises(ValueError, match="losses of 0 and 1 only"):
        rcps_threshold(np.full((30, 1), 0.5), alpha=0.1, delta=0.1, bound=RiskBound.BINOMIAL)


@pytest.mark.parametrize(("n", "alpha"), list(itertools.product((0, 1), (0.1, 0.5))))
def test_nobody_or_one_patient_certifies_nothing(n: int, alpha: float) -> None:
    found = crc_threshold(np.zeros((n, 2)), alpha=alpha)
    assert (found.status, found.column, found.risk) == (RiskStatus.NOT_CERTIFIABLE, None, None)
    found = rcps_threshold(np.zeros((n, 2)), alpha=0.1, delta=0.1)
    assert found.status is RiskStatus.NOT_CERTIFIABLE
