"""From the margins that calibration scans needed to the masks of a new scan."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from auditor.confidence.mask_sets import (
    MaskScores,
    MaskSets,
    SetStatus,
    binned_sets,
    margin_of,
    mask_sets,
    masks_by_distance,
    masks_by_probability,
    scores_of_patients,
)

Floats = NDArray[np.float64]
NONE = np.empty(0)


def scores(outer: object, inner: object = None, vacuous: object = ()) -> MaskScores:
    out = np.asarray(outer, dtype=float)
    into = np.zeros_like(out) if inner is None else np.asarray(inner, dtype=float)
    return MaskScores(out, into, np.asarray(vacuous, dtype=float))


def margins(sets: MaskSets) -> tuple[float | None, float | None]:
    return sets.outer.value, sets.inner.value


@pytest.mark.parametrize(
    ("n", "alpha", "delta", "rank"),
    [
        (9, 0.1, None, 1),
        (19, 0.1, None, 2),  # floor(20 * 0.1)
        (100, 0.1, None, 10),
        (22, 0.1, 0.1, 1),
        (50, 0.1, 0.1, 2),
        (100, 0.1, 0.1, 6),
        (200, 0.1, 0.1, 15),
        (59, 0.05, 0.05, 1),
    ],
)
def test_the_margin_is_the_rank_th_largest_score(
    n: int, alpha: float, delta: float | None, rank: int
) -> None:
    values = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    found = margin_of(values, alpha, delta)
    assert (found.value, found.rank, found.status) == (n + 1 - rank, rank, SetStatus.OK)


def test_the_joint_margin_is_of_each_patients_larger_score() -> None:
    outer = np.arange(19.0)
    inner = outer[::-1].copy()
    # larger of k and 18 - k, k = 0..18: 18 and 17 twice each, so the second largest is 18
    joint = mask_sets(scores(outer, inner), alpha=0.1)
    assert margins(joint) == (18.0, 18.0)
    assert joint.joint
    apart = mask_sets(scores(outer, inner / 2), alpha=0.1, joint=False)
    assert margins(apart) == (17.0, 8.5)
    assert not apart.joint


def test_too_few_patients_give_no_margin_but_the_number_that_is_needed() -> None:
    found = mask_sets(scores(np.zeros(8)), alpha=0.1)
    assert found.status is SetStatus.NOT_CERTIFIABLE
    assert margins(found) == (None, None)
    assert found.reason == "not certifiable with 8 patients; 9 are needed"
    pac = mask_sets(scores(np.zeros(21)), alpha=0.1, delta=0.1)
    assert (pac.outer.needed, pac.status) == (22, SetStatus.NOT_CERTIFIABLE)
    for n in (0, 1):
        assert mask_sets(scores(np.zeros(n)), alpha=0.5).status is SetStatus.NOT_CERTIFIABLE


def test_scans_without_a_usable_mask_count_and_may_take_the_margin_with_them() -> None:
    values = np.arange(19.0)
    values[-1] = math.inf
    one = mask_sets(scores(values), alpha=0.1)
    assert margins(one) == (17.0, 17.0)  # one of 19 may be left uncovered
    values[-2] = math.inf
    two = mask_sets(scores(values), alpha=0.1)
    assert two.status is SetStatus.NO_USABLE_SET
    assert margins(two) == (None, None)
    assert "2 of 19 calibration patients" in two.reason
    assert "at most 1 may be" in two.reason


def test_apart_the_inner_mask_survives_what_the_outer_one_does_not() -> None:
    outer = np.full(19, math.inf)
    found = mask_sets(scores(outer, np.arange(19.0)), alpha=0.1, joint=False)
    assert found.outer.status is SetStatus.NO_USABLE_SET
    assert margins(found) == (None, 17.0)
    assert found.status is SetStatus.NO_USABLE_SET


def test_patients_without_the_structure_are_counted_apart() -> None:
    found = mask_sets(scores(np.arange(19.0), vacuous=[0.0, 17.0, 17.5, math.inf]), alpha=0.1)
    assert margins(found) == (17.0, 17.0)
    assert (found.outer.n, found.n_vacuous) == (19, 4)
    assert found.n_vacuous_marked == 2  # 17.5 and infinity are not emptied by a margin of 17
    assert mask_sets(scores(np.zeros(3), vacuous=[1.0]), alpha=0.1).n_vacuous_marked is None


def test_a_patient_counts_once_with_the_worst_scan() -> None:
    found = scores_of_patients(
        ["b", "a", "b", "a", "c", "d"],
        [1.0, 2.0, 3.0, None, 0.0, 0.0],
        [5.0, 1.0, 4.0, 0.0, 2.5, None],
        [False, False, False, False, True, True],
    )
    assert found.outer.tolist() == [math.inf, 3.0]
    assert found.inner.tolist() == [1.0, 5.0]
    assert found.vacuous_inner.tolist() == [2.5, math.inf]


def test_an_empty_scan_of_a_patient_with_the_structure_elsewhere_takes_no_part() -> None:
    found = scores_of_patients(["a", "a"], [2.0, 0.0], [1.0, 9.0], [False, True])
    assert (found.outer.tolist(), found.inner.tolist()) == ([2.0], [1.0])
    assert found.vacuous_inner.size == 0
    nobody = scores_of_patients([], [], [], [])
    assert nobody.outer.shape == nobody.inner.shape == (0,)


def test_margins_never_shrink_with_noise() -> None:
    bins = [scores(np.full(19, level)) for level in (2.0, 1.0, 4.0, 3.0)]
    found = binned_sets(bins, alpha=0.1)
    assert [sets.outer.value for sets in found] == [2.0, 2.0, 4.0, 4.0]
    # what a bin rests on stays its own
    assert [sets.outer.n for sets in found] == [19] * 4


def test_a_bin_with_few_patients_is_not_certifiable_and_says_nothing_of_others() -> None:
    bins = [scores(np.full(n, level)) for n, level in ((19, 2.0), (5, 9.0), (19, 1.0))]
    found = binned_sets(bins, alpha=0.1)
    assert [sets.outer.value for sets in found] == [2.0, None, 2.0]
    assert found[1].status is SetStatus.NOT_CERTIFIABLE


def test_after_a_bin_without_a_usable_set_none_has_one() -> None:
    bins = [scores(np.full(19, level)) for level in (1.0, math.inf, 2.0)]
    found = binned_sets(bins, alpha=0.1)
    assert [sets.status.value for sets in found] == ["ok", "no_usable_set", "no_usable_set"]
    assert found[2].reason == found[1].reason


def test_the_vacuous_are_counted_against_the_clamped_margin() -> None:
    bins = [scores(np.full(19, 3.0)), scores(np.full(19, 1.0), vacuous=[2.0, 4.0])]
    assert binned_sets(bins, alpha=0.1)[1].n_vacuous_marked == 1


def test_masks_around_a_prediction_by_distance_and_in_each_other() -> None:
    prediction = torch.zeros(9, 9, dtype=torch.bool)
    prediction[2:7, 2:7] = True
    sets = mask_sets(scores(np.full(19, 1.0)), alpha=0.1)
    found = masks_by_distance(prediction, (1.0, 1.0), sets)
    assert found.outer is not None
    assert found.inner is not None
    # a closed ball of radius 1 is a cross: 25 + 4 * 5 voxels, and the middle 3 x 3
    assert int(found.outer.sum()) == 45
    assert int(found.inner.sum()) == 9
    assert not (found.inner & ~prediction).any()
    assert not (prediction & ~found.outer).any()


@pytest.mark.parametrize("spacing", [(2.5, 0.8), (0.3, 1.0)])
def test_masks_are_those_of_the_whole_image(spacing: tuple[float, float]) -> None:
    from auditor.metrics.mask_families import inner_by_distance, outer_by_distance, signed_distance

    prediction = torch.zeros(40, 31, dtype=torch.bool)
    prediction[18:25, 3:9], prediction[20, 20] = True, True
    sets = mask_sets(scores(np.full(19, 1.7)), alpha=0.1)
    found = masks_by_distance(prediction, spacing, sets)
    distance = signed_distance(prediction, spacing)
    assert found.outer is not None
    assert found.inner is not None
    assert torch.equal(found.outer, outer_by_distance(distance, 1.7))
    assert torch.equal(found.inner, inner_by_distance(distance, 1.7))


def test_masks_around_a_prediction_by_probability() -> None:
    prediction = torch.tensor([[False, True, True, False]])
    soft = torch.tensor([[0.3, 0.6, 0.9, 0.1]])
    sets = mask_sets(scores(np.full(19, 0.75)), alpha=0.1)
    found = masks_by_probability(prediction, soft, sets)
    assert found.outer is not None
    assert found.inner is not None
    assert found.outer.tolist() == [[True, True, True, False]]
    assert found.inner.tolist() == [[False, False, True, False]]


def test_nothing_is_drawn_around_nothing_or_without_a_margin() -> None:
    nothing = torch.zeros(3, 4, dtype=torch.bool)
    sets = mask_sets(scores(np.full(19, 1.0)), alpha=0.1)
    for found in (
        masks_by_distance(nothing, (1.0, 1.0), sets),
        masks_by_probability(nothing, torch.zeros(3, 4), sets),
    ):
        assert found.outer is found.inner is None
    few = mask_sets(scores(np.zeros(3)), alpha=0.1)
    found = masks_by_distance(~nothing, (1.0, 1.0), few)
    assert found.outer is found.inner is None


@pytest.mark.parametrize("bad", [-1.0, math.nan, -math.inf])
def test_scores_that_are_no_margins_are_refused(bad: float) -> None:
    for broken in (scores([1.0, bad]), scores([1.0, 2.0], [bad, 0.0]), scores([1.0], None, [bad])):
        with pytest.raises(ValueError, match="margins of at least 0"):
            mask_sets(broken, alpha=0.1)
    with pytest.raises(ValueError, match="margins of at least 0"):
        scores_of_patients(["a"], [bad], [0.0], [False])
    with pytest.raises(ValueError, match="one outer and one inner"):
        mask_sets(MaskScores(np.zeros(3), np.zeros(2), NONE), alpha=0.1)


@pytest.mark.parametrize("alpha", [0.0, 0.51, -0.1, math.nan])
def test_levels_outside_their_range_are_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha, .* must lie above 0"):
        mask_sets(scores(np.zeros(50)), alpha=alpha)
    with pytest.raises(ValueError, match=r"delta, .* must lie between"):
        mask_sets(scores(np.zeros(50)), alpha=0.1, delta=1.0)
