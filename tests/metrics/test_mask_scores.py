"""Scores of masks: drawn ones with their arithmetic, and agreement with the masks they speak of."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from auditor.metrics.mask_families import (
    inner_by_distance,
    inner_by_probability,
    outer_by_distance,
    outer_by_probability,
    signed_distance,
)
from auditor.metrics.mask_scores import (
    inner_distance,
    inner_probability,
    missed_shares,
    outer_distance,
    outer_probability,
    scan_scores,
)

SPACINGS = [(3.0, 0.7, 1.1), (0.4, 1.3)]


def drawn(*rows: str) -> Tensor:
    return torch.tensor([[sign == "#" for sign in row] for row in rows])


def scene(which: int, seed: int) -> tuple[Tensor, Tensor, Tensor, tuple[float, ...]]:
    """Draw prediction, reference and probability that have much, little or nothing in common."""
    rng = np.random.default_rng(seed)
    shape = [(6, 9, 8), (13, 11)][which]
    truth = ndimage.gaussian_filter(rng.normal(size=shape), 1.5)
    told = truth + rng.choice([0.01, 0.1, 0.4]) * ndimage.gaussian_filter(rng.normal(size=shape), 1)
    cut = np.quantile(truth, rng.uniform(0.4, 0.95))
    soft = 1 / (1 + np.exp(-(told - cut - rng.normal(0, 0.02)) / 0.05))
    return (
        torch.from_numpy(soft > 0.5),
        torch.from_numpy(truth > cut),
        torch.from_numpy(soft.astype(np.float32)),
        SPACINGS[which],
    )


scenes = st.tuples(st.integers(0, 1), st.integers(0, 100_000)).map(lambda it: scene(*it))
shares = st.sampled_from([0.3, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0])


def share_held(outer: Tensor, reference: Tensor) -> float:
    return int((outer & reference).sum()) / int(reference.sum())


def precise(inner: Tensor, reference: Tensor, share: float) -> bool:
    n = int(inner.sum())
    return n == 0 or int((inner & reference).sum()) >= share * n - 1e-9


def test_the_outer_score_is_an_order_statistic_of_the_distances_of_the_reference() -> None:
    prediction = drawn("##........")
    reference = drawn("#####.....")
    distance = signed_distance(prediction, (1.0, 0.5))
    # distances of the five voxels of the reference: 0, 0, 0.5, 1.0, 1.5 mm; ceil(share 5)-th smallest
    expected = {0.2: 0.0, 0.4: 0.0, 0.41: 0.5, 0.6: 0.5, 0.8: 1.0, 0.81: 1.5, 1.0: 1.5}
    assert {share: outer_distance(distance, reference, share) for share in expected} == expected


def test_in_3d_the_outer_score_is_in_mm_along_every_axis() -> None:
    prediction = torch.zeros(5, 5, 5, dtype=torch.bool)
    prediction[2, 2, 2] = True
    reference = prediction.clone()
    reference[4, 2, 2] = reference[2, 3, 3] = True  # 2 slices of 3 mm; a diagonal of 1 x 2 mm
    distance = signed_distance(prediction, (3.0, 1.0, 2.0))
    assert outer_distance(distance, reference, 1 / 3) == 0.0
    assert outer_distance(distance, reference, 2 / 3) == pytest.approx(math.sqrt(5))
    assert outer_distance(distance, reference, 1.0) == 6.0


def test_a_prediction_larger_than_needed_has_an_outer_score_of_0() -> None:
    distance = signed_distance(drawn("######.."), (1.0, 1.0))
    assert outer_distance(distance, drawn("..##...."), 1.0) == 0.0


def test_the_inner_score_holds_at_every_larger_margin_too() -> None:
    # columns of 1 mm, 0.1 mm between the rows would reach the border first: they are 9 mm apart
    prediction = drawn("###########")
    reference = drawn("####...####")
    distance = signed_distance(prediction, (9.0, 1.0))
    # depths 1 2 3 4 5 6 5 4 3 2 1; inner masks {depth >= d} hold hits of voxels
    #   d = 1: 8 of 11, 2: 6 of 9, 3: 4 of 7, 4: 2 of 5, 5: 0 of 3, 6: 0 of 1
    # a share of .7 is met by the prediction itself, and then never again until nothing is left
    assert inner_distance(distance, reference, 0.7) == 6.0
    assert not inner_by_distance(distance, 6.0).any()
    assert precise(inner_by_distance(distance, 0.0), reference, 0.7)


def test_the_inner_score_cuts_off_what_sticks_out() -> None:
    prediction = drawn(".#######.")
    reference = drawn("...#####.")
    distance = signed_distance(prediction, (9.0, 1.0))
    # depths 1 2 3 4 3 2 1: d = 1: 5 of 7, 2: 4 of 5, 3: 3 of 3
    assert inner_distance(distance, reference, 0.7) == 0.0
    assert inner_distance(distance, reference, 0.8) == 1.0
    assert inner_distance(distance, reference, 0.81) == 2.0
    assert inner_by_distance(distance, 2.0).tolist() == drawn("...###...").tolist()


def test_scores_by_probability_are_levels_of_it() -> None:
    mask = drawn("####....")
    reference = drawn("..####..")
    soft = torch.tensor([[0.6, 0.7, 0.8, 0.9, 0.375, 0.125, 0.0, 0.0]])
    # 1 - p of the reference: 0 and 0 in the mask, then 0.625 and 0.875
    found = [outer_probability(soft, mask, reference, share) for share in (0.5, 0.75, 1.0)]
    assert found == [0.0, 0.625, 0.875]
    # mask voxels from high to low p: hit, hit, miss (0.7), miss (0.6)
    assert inner_probability(soft, mask, reference, 0.5) == 0.0
    assert inner_probability(soft, mask, reference, 0.6) == pytest.approx(0.6)
    assert inner_probability(soft, mask, reference, 0.67) == pytest.approx(0.7)


def test_what_only_the_whole_image_holds_has_no_usable_outer_mask() -> None:
    mask, reference = drawn("#..."), drawn("##.#")
    soft = torch.tensor([[0.9, 0.3, 0.0, 0.0]])
    assert outer_probability(soft, mask, reference, 0.6) == pytest.approx(0.7)
    assert outer_probability(soft, mask, reference, 0.7) == math.inf


def test_an_empty_prediction_has_no_usable_outer_mask_and_a_kept_inner_promise() -> None:
    nothing, reference = drawn("...."), drawn("..##")
    soft = torch.full((1, 4), 0.4)
    found = scan_scores(
        nothing, reference, (1.0, 1.0), outer_share=0.5, inner_share=0.9, probability=soft
    )
    assert found.outer_distance == found.outer_probability == math.inf
    assert found.inner_distance == found.inner_probability == 0.0
    assert not found.reference_empty


def test_an_empty_reference_is_vacuous_outside_and_only_nothing_is_right_inside() -> None:
    prediction, nothing = drawn(".###."), drawn(".....")
    soft = torch.tensor([[0.1, 0.7, 0.9, 0.8, 0.2]])
    found = scan_scores(
        prediction, nothing, (9.0, 0.5), outer_share=0.99, inner_share=0.95, probability=soft
    )
    assert found.reference_empty
    assert found.outer_distance == found.outer_probability == 0.0
    distance = signed_distance(prediction, (9.0, 0.5))
    assert found.inner_distance == 1.0  # the depth of the middle voxel
    assert not inner_by_distance(distance, 1.0).any()
    assert found.inner_probability == pytest.approx(0.9)
    assert not inner_by_probability(soft, prediction, 0.9000001).any()
    both = scan_scores(nothing, nothing, (1.0, 1.0), outer_share=0.99, inner_share=0.95)
    assert (both.outer_distance, both.inner_distance) == (0.0, 0.0)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(scenes, shares)
def test_outer_masks_reach_the_share_at_their_score_and_not_below(
    drawing: tuple[Tensor, Tensor, Tensor, tuple[float, ...]], share: float
) -> None:
    mask, reference, soft, spacing = drawing
    if not mask.any() or not reference.any():
        return
    distance = signed_distance(mask, spacing)
    radius = outer_distance(distance, reference, share)
    assert share_held(outer_by_distance(distance, radius), reference) >= share - 1e-9
    if radius > 0:
        below = outer_by_distance(distance, radius * (1 - 1e-5))
        assert share_held(below, reference) < share
    margin = outer_probability(soft, mask, reference, share)
    if math.isfinite(margin):
        held = share_held(outer_by_probability(soft, mask, margin), reference)
        assert held >= share - 1e-9
        if margin > 0:
            below = outer_by_probability(soft, mask, float(np.nextafter(np.float32(margin), 0)))
            assert share_held(below, reference) < share


@settings(max_examples=150, deadline=None, derandomize=True)
@given(scenes, shares)
def test_inner_masks_are_precise_from_their_score_on_and_not_just_below(
    drawing: tuple[Tensor, Tensor, Tensor, tuple[float, ...]], share: float
) -> None:
    mask, reference, soft, spacing = drawing
    distance = signed_distance(mask, spacing)
    radius = inner_distance(distance, reference, share)
    depths = np.unique(-distance[distance < 0]).tolist()
    for wider in [radius, *(d for d in depths if d > radius)]:
        assert precise(inner_by_distance(distance, wider), reference, share)
    if radius > 0:
        below = inner_by_distance(distance, radius * (1 - 1e-5))
        assert not precise(below, reference, share)
    margin = inner_probability(soft, mask, reference, share)
    levels = np.unique(soft[mask]).tolist()
    for wider in [margin, *(level for level in levels if level > margin)]:
        assert precise(inner_by_probability(soft, mask, wider), reference, share)
    if margin > 0:
        below = inner_by_probability(soft, mask, float(np.nextafter(np.float32(margin), 0)))
        assert not precise(below, reference, share)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(scenes)
def test_a_larger_share_never_has_a_smaller_score(
    drawing: tuple[Tensor, Tensor, Tensor, tuple[float, ...]],
) -> None:
    mask, reference, soft, spacing = drawing
    found = [
        scan_scores(
            mask, reference, spacing, outer_share=share, inner_share=share, probability=soft
        )
        for share in (0.5, 0.9, 0.99, 1.0)
    ]
    for less, more in itertools.pairwise(found):
        assert less.outer_distance <= more.outer_distance
        assert less.inner_distance <= more.inner_distance
        assert (less.outer_probability or 0.0) <= (more.outer_probability or 0.0)
        assert (less.inner_probability or 0.0) <= (more.inner_probability or 0.0)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(scenes)
def test_scores_of_a_scan_are_those_of_the_whole_image(
    drawing: tuple[Tensor, Tensor, Tensor, tuple[float, ...]],
) -> None:
    mask, reference, soft, spacing = drawing
    found = scan_scores(
        mask, reference, spacing, outer_share=0.9, inner_share=0.8, probability=soft
    )
    distance = signed_distance(mask, spacing)
    assert found.outer_distance == pytest.approx(outer_distance(distance, reference, 0.9))
    assert found.inner_distance == pytest.approx(inner_distance(distance, reference, 0.8))
    assert found.outer_probability == outer_probability(soft, mask, reference, 0.9)
    assert found.inner_probability == inner_probability(soft, mask, reference, 0.8)
    silent = scan_scores(mask, reference, spacing, outer_share=0.9, inner_share=0.8)
    assert silent.outer_probability is silent.inner_probability is None


def test_missed_shares_fall_with_the_radius() -> None:
    distance = signed_distance(drawn("##........"), (1.0, 0.5))
    reference = drawn("#####.....")
    found = missed_shares(distance, reference, (0.0, 0.5, 0.9, 1.0, 2.0))
    assert found.tolist() == pytest.approx([0.6, 0.4, 0.4, 0.2, 0.0])
    empty = signed_distance(drawn(".........."), (1.0, 0.5))
    assert missed_shares(empty, reference, (0.0, 100.0)).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="at least one voxel"):
        missed_shares(distance, drawn(".........."), (0.0,))


def test_shapes_that_differ_and_shares_beyond_their_range_are_refused() -> None:
    one, other = drawn("##.."), drawn("##.")
    with pytest.raises(ValueError, match="one shape"):
        scan_scores(one, other, (1.0, 1.0), outer_share=0.9, inner_share=0.9)
    with pytest.raises(ValueError, match="shape of the masks"):
        scan_scores(
            one, one, (1.0, 1.0), outer_share=0.9, inner_share=0.9, probability=torch.zeros(1, 3)
        )
    for share in (0.0, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"share must lie in \(0, 1\]"):
            scan_scores(one, one, (1.0, 1.0), outer_share=share, inner_share=0.9)
        with pytest.raises(ValueError, match=r"share must lie in \(0, 1\]"):
            scan_scores(one, one, (1.0, 1.0), outer_share=0.9, inner_share=share)
