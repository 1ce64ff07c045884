"""Bounds for stated mixes, weights, bins of noise, groups and proxies: by hand, and at their edges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from auditor.analysis.binned_conformal import binned_lowers
from auditor.analysis.conformal import lower_bound, marginal_rank, pac_rank
from auditor.analysis.grouped_conformal import group_lowers
from auditor.analysis.proxy_scores import proxy_bound, proxy_scores, worst_of_patients
from auditor.analysis.weighted_conformal import (
    checked_mix,
    effective_n,
    hcp_lower,
    needed_effective,
    site_mix_lower,
    weighted_estimate,
    weighted_lower,
)
from auditor.errors import ConfigError

NAN = float("nan")
HALF = np.array([0.5, 0.5])


# a stated mix


def test_a_mix_by_hand() -> None:
    # 9 patients, alpha .2, mix (.75, .25): the new patient weighs .1, clean scores .075, noisy ones .025.
    # From below: noisy .10 .11 .12, clean .50, ..: weight below .10: .1; .11: .125; .12: .15; .50: .175;
    # the next score, .51: .25 > .2, so that .50 is the bound
    clean = np.linspace(0.50, 0.58, 9)
    noisy = np.array([0.10, 0.11, 0.12, *np.linspace(0.80, 0.85, 6)])
    scores = np.stack([clean, noisy], axis=1)
    assert hcp_lower(scores, np.array([0.75, 0.25]), 0.2) == 0.50
    # the shares the other way round: .1, .175, then .25 > .2: the second noisy score
    assert hcp_lower(scores, np.array([0.25, 0.75]), 0.2) == 0.11


@pytest.mark.parametrize("n", [9, 10, 19, 25, 40, 77])
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2, 0.5, 1 - 0.9])
def test_one_severity_alone_is_split_conformal(n: int, alpha: float) -> None:
    scores = np.random.default_rng(n).beta(9, 2, (n, 2)).round(2)
    for chosen in (0, 1):
        mix = np.eye(2)[chosen]
        plain = lower_bound(scores[:, chosen], marginal_rank(n, alpha))
        assert hcp_lower(scores, mix, alpha) == plain


@pytest.mark.parametrize("n", [9, 20, 41])
def test_a_severity_written_twice_changes_nothing(n: int) -> None:
    # one score per patient, three times: n patients, not 3 n
    scores = np.random.default_rng(n).beta(9, 2, n)
    thrice = np.repeat(scores[:, None], 3, axis=1)
    assert hcp_lower(thrice, np.array([0.2, 0.3, 0.5]), 0.1) == lower_bound(
        scores, marginal_rank(n, 0.1)
    )


def test_a_worse_mix_never_has_a_higher_bound() -> None:
    rng = np.random.default_rng(3)
    clean = rng.beta(12, 2, 30)
    scores = np.stack([clean, clean - rng.uniform(0, 0.3, 30)], axis=1)
    found = [hcp_lower(scores, np.array([1 - p, p]), 0.1) for p in np.linspace(0, 1, 21)]
    bounds = [bound for bound in found if bound is not None]
    assert len(bounds) == 21
    assert all(a >= b for a, b in itertools.pairwise(bounds))
    assert bounds[0] > bounds[-1]


def test_too_few_patients_certify_nothing() -> None:
    for n in (0, 1, 2, 8):
        assert hcp_lower(np.ones((n, 2)), HALF, 0.1) is None
    assert hcp_lower(np.ones((9, 2)), HALF, 0.1) == 1.0
    assert hcp_lower(np.ones((1, 2)), HALF, 0.5) is None  # one patient never certifies


def test_a_missing_score_cannot_raise_a_bound() -> None:
    # 20 patients, alpha .1: 1/21 = .048 stands for the new one; a score of the mix weighs .5/21 = .024.
    # Two missing ones: .095, and one score more would be .119: the bound is the smallest known score
    scores = np.stack([np.linspace(0.6, 0.79, 20), np.linspace(0.3, 0.49, 20)], axis=1)
    whole = hcp_lower(scores, HALF, 0.1)
    holes = scores.copy()
    holes[[18, 19], 1] = NAN
    assert hcp_lower(holes, HALF, 0.1) == 0.3
    assert whole == pytest.approx(0.32)
    holes[15:, 1] = NAN  # .048 + 5 * .024 = .167 > .1
    assert hcp_lower(holes, HALF, 0.1) is None


def test_a_site_mix_is_told_with_its_numbers() -> None:
    clean, noisy = np.linspace(0.7, 0.9, 20), np.linspace(0.5, 0.7, 20)
    noisy[19] = NAN
    scores = {0.0: clean, 1.0: noisy, 2.0: np.full(20, NAN)}
    told = site_mix_lower(scores, {0.0: 0.5, 1.0: 0.5, 2.0: 0.0}, 0.1)
    assert told.value == hcp_lower(np.stack([clean, noisy], axis=1), HALF, 0.1)
    assert (told.n, told.side, told.level) == (20, "lower", 0.9)
    assert told.note == "1 of 40 scores are missing and count as below the bound"
    # who has no score under any condition of the mix is not one of its patients
    clean[19] = NAN
    assert site_mix_lower(scores, {0.0: 0.5, 1.0: 0.5}, 0.1).n == 19
    none = site_mix_lower(scores, {2.0: 1.0}, 0.1)
    assert (none.value, none.n, none.status) == (None, 0, "not_certifiable")
    assert none.note == "not certifiable with n = 0; needs n >= 9"
    # enough patients, but 5 of 38 scores unknown: (1 + 5 / 2) / 20 = .175 > .1; more patients are not the point
    noisy[14:19] = NAN
    lacking = site_mix_lower(scores, {0.0: 0.5, 1.0: 0.5}, 0.1)
    assert (lacking.value, lacking.n, lacking.status) == (None, 19, "not_certifiable")
    assert lacking.note == (
        "not certifiable: 5 of 38 scores are missing and count as below the bound, by which more than 0.1 of "
        "the scans might lie below any bound"
    )


def test_every_mistake_of_a_mix_is_named() -> None:
    scores = {0.0: np.ones(9), 1.0: np.ones(9)}
    with pytest.raises(ConfigError) as caught:
        site_mix_lower(scores, {0.0: 0.5, 3.0: 0.6, 1.0: -0.3}, 0.1)
    assert caught.value.problems == (
        "3.0: not measured; conditions with scores are 0.0, 1.0",
        "1.0: a share must lie in [0, 1], got -0.3",
        "the shares must sum to 1, they sum to 0.8",
    )
    for mix in ({0.0: NAN}, {}, {0.0: 2.0}):
        with pytest.raises(ConfigError):
            checked_mix(mix, scores)
    checked_mix({0.0: 1 / 3, 1.0: 2 / 3}, scores)
    with pytest.raises(ValueError, match="sum to 1"):
        hcp_lower(np.ones((9, 2)), np.array([0.5, 0.6]), 0.1)
    with pytest.raises(ValueError, match="one share each"):
        hcp_lower(np.ones((9, 2)), np.ones(3) / 3, 0.1)


# weights


def test_weights_by_hand() -> None:
    # weights 1 2 3 4, new 1: of 11. Below .5: 1/11; .6: 2/11 = .18; .7: 4/11 = .36; alpha .2 -> .6
    scores, weights = np.array([0.5, 0.6, 0.7, 0.8]), np.array([1.0, 2.0, 3.0, 4.0])
    assert effective_n(weights) == pytest.approx(100 / 30)
    assert weighted_lower(scores, weights, 1.0, 0.25) == 0.6  # needs 3 effective patients, has 3.33
    assert weighted_lower(scores, weights, 1.0, 0.2) is None  # needs 4
    assert weighted_lower(scores, weights, 5.0, 0.25) is None  # the new patient weighs 1/3 > .25


@pytest.mark.parametrize("n", [9, 19, 33])
def test_equal_weights_are_split_conformal(n: int) -> None:
    scores = np.random.default_rng(n).beta(9, 2, n)
    plain = lower_bound(scores, marginal_rank(n, 0.1))
    for weight in (1.0, 0.01, 37.0):
        assert weighted_lower(scores, np.full(n, weight), weight, 0.1) == plain


def test_a_whole_weight_is_a_patient_written_so_often() -> None:
    scores, weights = np.linspace(0.3, 0.9, 12), np.array([1.0, 2.0, 1.0] * 4)
    long = np.repeat(scores, weights.astype(int))
    assert weighted_lower(scores, weights, 1.0, 0.2) == lower_bound(long, marginal_rank(16, 0.2))


def test_a_weighted_bound_tells_what_its_patients_are_worth() -> None:
    scores = np.linspace(0.5, 0.9, 30)
    told = weighted_estimate(scores, np.ones(30), 1.0, 0.1)
    assert (told.value, told.n, told.note) == (lower_bound(scores, 3), 30, "effective n = 30")
    heavy = np.append(np.full(29, 0.01), 1.0)
    lost = weighted_estimate(scores, heavy, 0.1, 0.1)
    # (1.29)^2 / (29 * .0001 + 1) = 1.66
    assert (lost.value, lost.status) == (None, "not_certifiable")
    assert lost.note == (
        "not certifiable with effective n = 1.66; needs an effective n >= 9 and a new patient of "
        "weight <= 0.1"
    )
    assert needed_effective(0.1) == 9.0


def test_weights_that_are_none_are_refused() -> None:
    scores = np.ones(4)
    for weights in (np.array([1.0, -1, 1, 1]), np.array([1.0, NAN, 1, 1]), np.ones(3)):
        with pytest.raises(ValueError, match="weight"):
            weighted_lower(scores, weights, 1.0, 0.2)
    with pytest.raises(ValueError, match="every score"):
        weighted_lower(np.array([1.0, NAN, 1, 1]), np.ones(4), 1.0, 0.2)
    assert effective_n(np.zeros(3)) == 0.0
    for n in (0, 1, 2):
        assert weighted_lower(np.ones(n), np.ones(n), 1.0, 0.1) is None


# bins of noise


def test_a_noisier_bin_never_promises_more() -> None:
    low, lucky, hard = np.linspace(0.60, 0.78, 19), np.linspace(0.70, 0.88, 19), np.full(25, 0.4)
    # 19 patients, alpha .1: rank 2
    assert binned_lowers([low, lucky, hard], alpha=0.1) == (0.61, 0.61, 0.4)
    # PAC, delta .1: 19 and 25 patients have rank 0 and 1
    assert (pac_rank(19, 0.1, 0.1), pac_rank(25, 0.1, 0.1)) == (0, 1)
    assert binned_lowers([low, lucky, hard], alpha=0.1, delta=0.1) == (None, None, 0.4)


def test_a_bin_of_too_few_borrows_from_none() -> None:
    few, many = np.full(8, 0.9), np.linspace(0.5, 0.9, 30)
    assert binned_lowers([many, few, many], alpha=0.1) == (
        lower_bound(many, 3), None, lower_bound(many, 3),
    )  # fmt: skip
    assert binned_lowers([few, np.empty(0)], alpha=0.1) == (None, None)
    assert binned_lowers([], alpha=0.1) == ()


# groups


def test_groups_with_enough_patients_have_bounds_of_their_own() -> None:
    small, large = np.linspace(0.3, 0.59, 30), np.linspace(0.7, 0.99, 30)
    scores = np.concatenate([small, large])
    found = group_lowers(scores, ["small"] * 30 + ["large"] * 30, alpha=0.1, delta=0.1)
    assert list(found) == ["small", "large"]
    assert (found["small"].bound, found["large"].bound) == (
        lower_bound(small, 3),
        lower_bound(large, 3),
    )
    assert (found["small"].pac_bound, found["small"].rank, found["small"].pac_rank) == (0.3, 3, 1)
    assert all(it.own and it.n == 30 and not it.note for it in found.values())


def test_one_small_group_pools_all_of_them() -> None:
    scores = np.linspace(0.3, 0.88, 59)
    found = group_lowers(scores, ["a"] * 30 + ["b"] * 29, alpha=0.1, delta=0.1)
    assert {(it.own, it.n, it.bound) for it in found.values()} == {
        (False, 59, lower_bound(scores, 6))
    }
    assert found["b"].note == "pooled over all groups: each needs 30 patients, b has 29"
    assert (found["a"].patients, found["b"].patients) == (30, 29)
    # a patient with scans in both groups has two scores, and is one patient of the pooled bound
    both = group_lowers(scores, ["a"] * 30 + ["b"] * 29, alpha=0.1, delta=0.1, whole=scores[:40])
    assert (both["a"].n, both["a"].bound) == (40, lower_bound(scores[:40], 4))
    assert group_lowers(np.empty(0), [], alpha=0.1, delta=0.1) == {}
    with pytest.raises(ValueError, match="one group"):
        group_lowers(scores, ["a"], alpha=0.1, delta=0.1)


# proxies


def test_a_bound_follows_an_informative_proxy() -> None:
    rng = np.random.default_rng(5)
    proxy = rng.uniform(0.5, 1.0, 40)
    dsc = np.clip(proxy - rng.uniform(0, 0.2, 40), 0, 1)
    made = proxy_scores(dsc, proxy)
    assert made.used
    assert (made.n, made.without, made.reason) == (40, 0, "")
    np.testing.assert_allclose(made.scores, dsc - proxy)
    offset = lower_bound(made.scores, marginal_rank(40, 0.1))
    assert offset is not None
    # an offset of about -.18 is carried to the level of each scan
    assert proxy_bound(offset, 0.95) - proxy_bound(offset, 0.75) == pytest.approx(0.2)


def test_a_proxy_that_tells_nothing_is_left_out() -> None:
    dsc = np.tile([0.8, 0.9], 15)
    blind = proxy_scores(dsc, np.repeat([0.7, 0.6, 0.8], 10))
    assert (blind.used, blind.scores.tolist()) == (False, dsc.tolist())
    assert blind.reason == "proxy and DSC correlate by 0.00 over 30 patients, below 0.3"
    constant = proxy_scores(dsc, np.full(30, 0.9))
    assert (constant.used, constant.correlation) == (False, None)
    assert constant.reason == "proxy and DSC cannot be correlated over 30 patient(s)"
    for n in (0, 1, 2):
        assert not proxy_scores(np.full(n, 0.5), np.full(n, 0.5)).used


def test_one_collapse_makes_no_proxy_informative() -> None:
    # Pearson's correlation of these is .98, from the single pair (0, 0)
    dsc = np.append(0.0, 0.8 + 0.01 * np.tile([0, 1, 2, 3], 10))
    proxy = np.append(0.0, 0.9 + 0.005 * np.repeat([3, 1, 2, 0], 10))
    assert np.corrcoef(dsc, proxy)[0, 1] > 0.95
    made = proxy_scores(dsc, proxy)
    assert not made.used
    assert made.correlation is not None
    assert made.correlation < 0.3


def test_a_scan_without_a_proxy_stays_at_its_worst() -> None:
    proxy = np.linspace(0.5, 0.9, 20)
    dsc = proxy - 0.05
    proxy[3], dsc[3] = NAN, 0.0  # nothing was predicted
    made = proxy_scores(dsc, proxy)
    assert (made.used, made.without, made.n, made.scores[3]) == (True, 1, 19, -1.0)
    assert made.scores.min() == -1.0


def test_scans_of_a_patient_are_one_score() -> None:
    patients = np.array([0, 0, 1, 3, 3, 3])
    scores = np.array([0.9, 0.4, 0.7, NAN, 0.8, 0.6])
    np.testing.assert_array_equal(worst_of_patients(scores, patients), [0.4, 0.7, 0.6])
    assert worst_of_patients(np.full(2, NAN), np.array([0, 1])).size == 0
    # means of the patients enter the correlation: (.3, .3), (.5, .4), (.8, .7) -> rho 1, n = 3
    made = proxy_scores(
        np.array([0.2, 0.4, 0.4, 0.7]), np.array([0.4, 0.2, 0.5, 0.8]), patients=np.array([0, 0, 1, 2])
    )  # fmt: skip
    assert (made.n, made.correlation) == (3, 1.0)


def test_numbers_outside_their_range_are_refused() -> None:
    for dsc, proxy in ((1.2, 0.5), (NAN, 0.5), (0.5, -0.1), (0.5, 1.1)):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            proxy_scores(np.array([dsc]), np.array([proxy]))
    with pytest.raises(ValueError, match="every scan"):
        proxy_scores(np.ones(3), np.ones(2))
