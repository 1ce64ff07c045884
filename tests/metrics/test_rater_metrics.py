"""A prediction beside several raters: drawn masks, published rules, and what empties mean."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from auditor.metrics.rater_metrics import (
    CURVAS_BINS,
    QUBIQ_THRESHOLDS,
    consensus_dsc,
    leave_one_out_scores,
    qubiq_dice,
    rater_ece,
    scores_against_raters,
)
from auditor.metrics.rater_volumes import sample_crps, volume_crps, volume_crps_gaussian
from auditor.schema import Status

SHAPE = (3, 8, 20)


def columns(first: int, end: int) -> torch.Tensor:
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    mask[1, 2:6, first:end] = True
    return mask


RATERS = [columns(2, 12), columns(4, 12), columns(4, 14)]  # 10, 8 and 10 columns of 4 voxels
EMPTY = columns(0, 0)


def mean_map(raters: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(raters).float().mean(dim=0)


# ------------------------------------------------------------------------------ QUBIQ


def test_a_probability_at_the_end_of_a_bin_lies_in_the_lower_one() -> None:
    """CURVAS: (0, 1/2] and (1/2, 1]; two voxels, .5 marked and .3 not, are of one bin."""
    probability = torch.tensor([[[0.5, 0.3]]])
    marked = torch.tensor([[[True, False]]])
    found = rater_ece(probability, [marked], bins=2)
    assert found.value == pytest.approx(abs(0.5 + 0.3 - 1) / 2)


def test_one_rater_who_marked_something_is_enough_for_a_reference() -> None:
    found = rater_ece(RATERS[0].float(), [RATERS[0], EMPTY], bins=10)
    assert found.status is Status.OK


@pytest.mark.parametrize("raters", [1, 2, 3, 5, 6, 7, 10])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_mean_of_the_raters_has_a_qubiq_score_of_1(raters: int, dtype: torch.dtype) -> None:
    # with 5 and 10 raters shares lie on thresholds, and .2, .6 and .7 are no binary numbers
    masks = [columns(i, 12 + i % 4) for i in range(raters)]
    mean = torch.stack(masks).to(dtype).mean(dim=0)
    found = qubiq_dice(mean, masks)
    assert (found.value, found.status, found.metric) == (1.0, Status.OK, "qubiq_dice")
    # stored in single precision and read in double, .2 is a little more than .2
    assert qubiq_dice(mean.float().double(), masks).value == 1.0


def test_qubiq_score_of_a_mask_by_hand() -> None:
    # shares: columns 2-3 and 12-13 one third, 4-11 all three. Up to .3 the map has 12 columns, above 8.
    found = qubiq_dice(columns(4, 12), RATERS)
    assert found.value == pytest.approx((3 * 2 * 8 / (8 + 12) + 6 * 1.0) / 9)


def test_qubiq_score_of_a_probability_by_hand() -> None:
    probability = torch.zeros(SHAPE)
    probability[1, 2:6, 4:12] = 0.55
    # up to .5 predicted: 3 thresholds against 12 columns, 2 against 8; above, nothing against 8
    found = qubiq_dice(probability, RATERS)
    assert found.value == pytest.approx((3 * 0.8 + 2 * 1.0 + 4 * 0.0) / 9)


def test_a_threshold_at_which_nothing_is_marked_or_predicted_counts_as_agreement() -> None:
    # one of three raters marked something: a share of 1/3 is above .1, .2 and .3 only
    found = qubiq_dice(EMPTY, [columns(2, 12), EMPTY, EMPTY])
    assert found.value == pytest.approx(6 / 9)
    assert found.status is Status.PREDICTION_EMPTY
    assert found.reason == "the prediction has no voxel of this label, the raters have"


def test_qubiq_score_where_nobody_marked_anything() -> None:
    both = qubiq_dice(EMPTY, [EMPTY, EMPTY])
    assert (both.value, both.status, both.worst) == (None, Status.BOTH_EMPTY, None)
    alarm = qubiq_dice(columns(0, 1), [EMPTY, EMPTY])
    assert (alarm.value, alarm.status, alarm.worst) == (0.0, Status.REFERENCE_EMPTY, 0.0)


def test_there_are_nine_thresholds() -> None:
    assert QUBIQ_THRESHOLDS == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


# ------------------------------------------------------------------------------ consensus


def test_consensus_dsc_leaves_out_what_raters_dispute() -> None:
    # columns 4-11 are agreed, 2-3 and 12-13 disputed: any border there is right
    for first, end in ((4, 12), (2, 14), (3, 13)):
        assert consensus_dsc(columns(first, end), RATERS).value == 1.0
    # two columns too far, and two agreed ones missed: 6 of 8, 2 beyond
    found = consensus_dsc(columns(6, 16), RATERS)
    assert found.value == pytest.approx(2 * 6 / (8 + (6 + 2)))
    assert found.status is Status.OK


def test_consensus_dsc_without_a_voxel_that_all_marked() -> None:
    apart = [columns(2, 6), columns(10, 14)]
    assert consensus_dsc(columns(2, 6), apart).status is Status.BOTH_EMPTY  # it lies in the dispute
    assert consensus_dsc(columns(2, 6), apart).value is None
    found = consensus_dsc(columns(6, 9), apart)
    assert (found.value, found.status) == (0.0, Status.REFERENCE_EMPTY)
    missed = consensus_dsc(EMPTY, RATERS)
    assert (missed.value, missed.status, missed.worst) == (0.0, Status.PREDICTION_EMPTY, 0.0)


def test_consensus_dsc_of_one_rater_is_the_dsc() -> None:
    assert consensus_dsc(columns(4, 14), [columns(2, 12)]).value == pytest.approx(2 * 8 / 20)


# ------------------------------------------------------------------------------ calibration


def test_calibration_error_by_hand() -> None:
    probability = torch.zeros(1, 10)
    probability[0, :4] = 0.75
    rater_1 = torch.zeros(1, 10, dtype=torch.bool)
    rater_1[0, :3] = True  # .75 of the four: no error
    rater_2 = torch.zeros(1, 10, dtype=torch.bool)
    rater_2[0, :1] = True  # .25 of the four: an error of .5 on .4 of the voxels
    found = rater_ece(probability, [rater_1, rater_2], bins=2)
    assert found.value == pytest.approx((0.0 + 0.5 * 0.4) / 2)
    assert (found.metric, found.status, found.worst) == ("rater_ece", Status.OK, 1.0)


def test_calibration_error_falls_with_the_field_of_view_and_stays_in_a_region() -> None:
    probability = torch.where(columns(2, 12), 0.6, 0.0)
    raters = [columns(2, 12)]
    inside = rater_ece(probability, raters, bins=CURVAS_BINS, region=columns(2, 12))
    assert inside.value == pytest.approx(0.4)
    whole = rater_ece(probability, raters, bins=CURVAS_BINS)
    assert whole.value == pytest.approx(0.4 * 40 / math.prod(SHAPE))


def test_calibration_error_agrees_with_the_slow_way() -> None:
    rng = np.random.default_rng(50)
    p = rng.random((4, 30, 20)).astype(np.float32)
    marked = rng.random(p.shape) < p**2
    edges = np.linspace(0, 1, 51)
    error = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (p > low) & (p <= high)
        if inside.any():
            error += inside.mean() * abs(p[inside].mean(dtype=np.float64) - marked[inside].mean())
    found = rater_ece(torch.from_numpy(p), [torch.from_numpy(marked)] * 2, bins=CURVAS_BINS)
    assert found.value == pytest.approx(error, rel=1e-6)


def test_probabilities_of_0_and_1_have_a_bin() -> None:
    mask = columns(2, 12)
    assert rater_ece(mask.float(), [mask], bins=1).value == 0.0
    assert rater_ece(mask.double(), [mask], bins=CURVAS_BINS).value == 0.0
    assert rater_ece(1 - mask.float(), [mask], bins=CURVAS_BINS).value == 1.0
    nothing = rater_ece(EMPTY.float(), [EMPTY], bins=10)
    assert (nothing.value, nothing.status) == (0.0, Status.BOTH_EMPTY)


# ------------------------------------------------------------------------------ volumes


def test_score_of_a_normal_law_is_that_of_its_closed_form() -> None:
    # CRPS of N(0, 1) at 0 is (sqrt 2 - 1) / sqrt pi = .23369 (Gneiting & Raftery 2007, eq. 5 there)
    quantiles = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    assert sample_crps(0.0, list(quantiles)) == pytest.approx((2**0.5 - 1) / math.pi**0.5, abs=2e-5)
    drawn = np.random.default_rng(0).normal(size=20_000)
    assert sample_crps(0.0, list(drawn)) == pytest.approx(0.23369, abs=0.01)


def test_score_is_the_integral_it_stands_for() -> None:
    sample = [8.0, 9.5, 9.5, 14.0]
    for value in (3.0, 9.0, 9.5, 12.0, 20.0):
        grid = np.linspace(0.0, 25.0, 250_001)
        law = np.searchsorted(sample, grid, side="right") / len(sample)
        exact = float(integrate.trapezoid((law - (grid >= value)) ** 2, grid))
        assert sample_crps(value, sample) == pytest.approx(exact, abs=1e-3)


def test_volume_score_by_hand() -> None:
    # mean distance to 8, 10, 12 of 15 is 5; pairs: (2 + 4 + 2) 2 / 9, half of it 8 / 9
    found = volume_crps(15.0, [8.0, 10.0, 12.0], image_volume=1000.0)
    assert found.value == pytest.approx(5 - 8 / 9)
    assert found.worst == pytest.approx(990 - 8 / 9)
    relative = volume_crps(15.0, [8.0, 10.0, 12.0], relative=True, image_volume=100.0)
    assert relative.worst == pytest.approx((90 - 8 / 9) / 10)  # the whole image, of a mean of 10
    assert relative.metric == "relative_volume_crps"
    assert relative.value == pytest.approx((5 - 8 / 9) / 10)


def test_one_rater_makes_it_the_absolute_difference() -> None:
    assert volume_crps(7.0, [10.0]).value == 3.0
    assert volume_crps(7.0, [10.0, 10.0]).value == 3.0


def test_volumes_of_nothing_have_a_score_and_no_relative_one() -> None:
    found = volume_crps(0.0, [0.0, 0.0])
    assert (found.value, found.status) == (0.0, Status.BOTH_EMPTY)
    alarm = volume_crps(2.0, [0.0, 0.0], relative=True)
    assert (alarm.value, alarm.status) == (None, Status.REFERENCE_EMPTY)
    assert alarm.reason == "no rater marked any, so that no mean divides"
    assert volume_crps(0.0, [4.0, 0.0]).status is Status.PREDICTION_EMPTY


@pytest.mark.parametrize("volume", [60.0, 96.0, 101.0, 115.0, 140.0])
def test_the_form_of_curvas_is_its_integral(volume: float) -> None:
    raters = [100.0, 110.0, 95.0]
    mean, sd = np.mean(raters), np.std(raters)
    cut = stats.norm.ppf(0.99) * sd

    def integrand(y: float) -> float:
        law = stats.norm.cdf(y, mean, sd)
        law = 0.0 if y < mean - cut else 1.0 if y > mean + cut else law
        return (law - (y >= volume)) ** 2

    corners = [it for it in (mean - cut, volume, mean + cut) if abs(it - mean) < 3 * sd]
    exact, _ = integrate.quad(integrand, mean - 3 * sd, mean + 3 * sd, points=corners, limit=200)
    assert volume_crps_gaussian(volume, raters).value == pytest.approx(exact, rel=1e-7)


def test_the_form_of_curvas_saturates_and_the_score_does_not() -> None:
    raters = [100.0, 110.0, 95.0]
    far, further = (volume_crps_gaussian(v, raters) for v in (200.0, 1000.0))
    assert far.value == further.value == far.worst
    assert (volume_crps(1000.0, raters).value or 0) > (volume_crps(200.0, raters).value or 0) + 700


def test_raters_of_equal_volume_have_no_normal_law() -> None:
    found = volume_crps_gaussian(90.0, [0.1 + 0.2, 0.3, 0.3])
    assert (found.value, found.status) == (None, Status.NOT_APPLICABLE)
    assert found.reason == "all raters have the same volume, and a normal law needs a spread"


# ------------------------------------------------------------------------------ scores by rater


def test_both_sides_are_scored_against_the_other_raters() -> None:
    prediction = columns(4, 12)
    model, raters = leave_one_out_scores(prediction, RATERS, tie="above_half")
    # without 1: both of 2 and 3 marked columns 4-11; without 2: 4-11; without 3: 4-11
    assert model == (1.0, 1.0, 1.0)
    assert raters == pytest.approx((2 * 8 / 18, 1.0, 2 * 8 / 18))
    # half is enough: 4-13, 2-13 and 2-11
    model, raters = leave_one_out_scores(prediction, RATERS, tie="at_least_half")
    assert model == pytest.approx((16 / 18, 16 / 20, 16 / 18))
    assert raters == pytest.approx((2 * 8 / 20, 2 * 8 / 20, 2 * 8 / 20))


def test_nothing_beside_nothing_agrees_on_both_sides() -> None:
    assert scores_against_raters(EMPTY, [EMPTY, RATERS[0]]) == (1.0, 0.0)
    assert leave_one_out_scores(EMPTY, [EMPTY, EMPTY, EMPTY], tie="above_half") == (
        (1.0, 1.0, 1.0), (1.0, 1.0, 1.0),
    )  # fmt: skip


# ------------------------------------------------------------------------------ hostile input


def test_what_is_no_prediction_or_no_rater_is_refused() -> None:
    with pytest.raises(ValueError, match="raters must be one mask or more, got none"):
        qubiq_dice(RATERS[0], [])
    with pytest.raises(ValueError, match="rater_2 must have the shape"):
        consensus_dsc(RATERS[0], [RATERS[0], RATERS[0][:2]])
    with pytest.raises(TypeError, match="rater_1 must be a bool tensor"):
        qubiq_dice(RATERS[0], [RATERS[0].int()])
    with pytest.raises(TypeError, match=r"a probability or a bool mask, got torch.int64"):
        qubiq_dice(RATERS[0].long(), RATERS)
    with pytest.raises(
        ValueError, match=r"prediction must have the shape of the raters, \(3, 8, 20\)"
    ):
        qubiq_dice(RATERS[0][:2], RATERS)
    for bad in (math.nan, math.inf, -0.1, 1.1):
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\] everywhere"):
            qubiq_dice(torch.full(SHAPE, bad), RATERS)
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\] everywhere"):
            rater_ece(torch.full(SHAPE, bad), RATERS, bins=10)
    with pytest.raises(TypeError, match="a mask has none"):
        rater_ece(RATERS[0], RATERS, bins=10)
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        rater_ece(RATERS[0].float(), RATERS, bins=0)
    with pytest.raises(ValueError, match="region must have at least one voxel"):
        rater_ece(RATERS[0].float(), RATERS, bins=10, region=EMPTY)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_volumes_are_finite_and_not_negative(bad: float) -> None:
    for volume, raters in ((bad, [1.0]), (1.0, [1.0, bad])):
        for score in (volume_crps, volume_crps_gaussian):
            with pytest.raises(ValueError, match="volumes must be finite and >= 0"):
                score(volume, raters)
    with pytest.raises(ValueError, match="one volume or more, got none"):
        volume_crps(1.0, [])
