"""Bounds under noise hold for as many new patients as they promise, counted on drawn calibration sets.

Laws with exact coverages (`noisy_cohorts`); one new patient a set is drawn, so that the limits are those of
the binomial: what holds with the promised probability is accused once in ten thousand.
"""

from __future__ import annotations

import numpy as np
import pytest
from noisy_cohorts import HALF_BLIND, HARSH, MILD, SITE, estimates, noise_axis
from numpy.typing import NDArray
from scipy import stats

from auditor.analysis.binned_conformal import binned_lowers
from auditor.analysis.conformal import (
    left_out_bounds,
    lower_bound,
    marginal_rank,
)
from auditor.analysis.weighted_conformal import hcp_lower, weighted_lower
from auditor.confidence.noise_bins import bins_of, scores_by_bin

Floats = NDArray[np.float64]

pytestmark = pytest.mark.slow

CALIBRATED = np.arange(5.0)
SETS = 1000


def fewest(sets: int, share: float = 0.9) -> int:
    """Held promises that a right bound undercuts once in ten thousand."""
    return int(stats.binom.ppf(1e-4, sets, share))


def expected_of_the_clean_bound(n: int, mix: Floats) -> float:
    """Coverage under a mix, averaged over the law of the k-th smallest of n: Beta(k, n + 1 - k)."""
    rank = marginal_rank(n, 0.1)
    shares = (np.arange(2000) + 0.5) / 2000
    bounds = stats.norm.ppf(stats.beta.ppf(shares, rank, n + 1 - rank))
    return float(np.mean([SITE.coverage(float(it), CALIBRATED) @ mix for it in bounds]))


@pytest.mark.parametrize(
    ("mix", "n", "recorded"), [(MILD, 20, 0.941), (MILD, 80, 0.909), (HARSH, 40, 0.918)]
)
def test_a_hierarchical_bound_holds_for_its_mix(mix: Floats, n: int, recorded: float) -> None:
    rng = np.random.default_rng([n, int(mix[0] * 100)])
    found, first, pooled = np.empty((3, SETS))
    for i in range(SETS):
        scores = SITE.draw(n, CALIBRATED, rng)
        found[i] = SITE.coverage(hcp_lower(scores, mix, 0.1), CALIBRATED) @ mix
        bound = lower_bound(scores[:, 0], marginal_rank(n, 0.1))
        first[i] = SITE.coverage(bound, CALIBRATED) @ mix
        naive = lower_bound(scores.ravel(), marginal_rank(scores.size, 0.1))
        pooled[i] = SITE.coverage(naive, CALIBRATED) @ mix
    assert int((rng.uniform(size=SETS) < found).sum()) >= fewest(SETS)
    assert found.mean() == pytest.approx(recorded, abs=0.02)
    # the coverages are exact, so that their mean is known up to four of its standard errors
    exact = expected_of_the_clean_bound(n, mix)
    assert first.mean() == pytest.approx(exact, abs=4 * first.std() / SETS**0.5)
    if mix is HARSH:  # ranks among 5 n scores pretend to more patients than there are
        assert pooled.mean() + 4 * pooled.std() / SETS**0.5 < 0.9


def test_leaving_patients_out_tells_the_coverage_of_one_patient_less() -> None:
    sets, n = 500, 40
    rng = np.random.default_rng(4)
    gaps = np.empty((sets, 5))
    for i in range(sets):
        scores = SITE.draw(n, CALIBRATED, rng)
        bounds = left_out_bounds(scores[:, 0], 0.1)
        assert bounds is not None
        less = lower_bound(scores[:-1, 0], marginal_rank(n - 1, 0.1))
        gaps[i] = (scores >= bounds[:, None]).mean(axis=0) - SITE.coverage(less, CALIBRATED)
    # unbiased: the mean gap is zero up to four standard errors
    assert (np.abs(gaps.mean(axis=0)) <= 4 * gaps.std(axis=0) / sets**0.5).all()


def test_bins_of_noise_hold_at_every_calibrated_severity() -> None:
    sets, n, new = 40, 80, 20
    rng = np.random.default_rng(3)
    held, rated = np.zeros((2, sets, 5))
    clean = np.zeros(5)
    for i in range(sets):
        scores, seen = HALF_BLIND.draw(n, CALIBRATED, rng), estimates(n, CALIBRATED, rng)
        axis = noise_axis(seen, CALIBRATED)
        patients = np.repeat(np.arange(n)[:, None], 5, axis=1)
        found = scores_by_bin(axis, bins_of(axis, seen), scores, patients)
        bounds = np.array([-np.inf if b is None else b for b in binned_lowers(found, alpha=0.1)])
        assert (np.diff(bounds) <= 0).all()
        assert np.isfinite(bounds).all()
        fresh = HALF_BLIND.draw(new, CALIBRATED, rng)
        places = bins_of(axis, estimates(new, CALIBRATED, rng))
        held[i] = ((places >= 0) & (fresh >= bounds[places])).sum(axis=0)
        rated[i] = (places >= 0).sum(axis=0)
        clean += HALF_BLIND.coverage(lower_bound(scores[:, 0], 8), CALIBRATED) / sets
    # new patients of one set share its bounds: sets, not patients, give the standard error
    share = held.sum(axis=0) / rated.sum(axis=0)
    error = (held - share * rated).std(axis=0) * sets**0.5 / rated.sum(axis=0)
    assert (share >= 0.9 - 4 * error).all()
    assert (share <= 0.97).all()
    assert clean[1] < 0.8  # a clean bound does not hold there
    # the gate: 95 % of the calibrated scans of the highest severity lie inside
    assert (rated[:, :4].sum(axis=0) == sets * new).all()
    assert rated[:, 4].mean() / new == pytest.approx(0.935, abs=0.04)


def test_weights_mend_a_known_shift() -> None:
    # calibration x ~ N(0, 1), the site x ~ N(.7, 1): weight exp(.7 x - .245); score N(-x, 1)
    rng = np.random.default_rng(5)
    held = unweighted = 0
    for _ in range(SETS):
        x, new = rng.normal(size=60), rng.normal(0.7)
        scores, score = rng.normal(-x), rng.normal(-new)
        weights = np.exp(0.7 * np.append(x, new) - 0.245)
        bound = weighted_lower(scores, weights[:-1], float(weights[-1]), 0.1)
        held += bound is None or score >= bound
        plain = lower_bound(scores, marginal_rank(60, 0.1))
        assert plain is not None
        unweighted += score >= plain
    assert held >= fewest(SETS)
    assert unweighted < fewest(SETS)
