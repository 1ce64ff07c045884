"""Masks nested around a prediction: drawn ones with their arithmetic, laws, and large ones."""

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
    grown_box,
    inner_by_distance,
    inner_by_probability,
    outer_by_distance,
    outer_by_probability,
    signed_distance,
    union_box,
)

SPACINGS = [(3.0, 0.7, 1.1), (0.4, 1.3)]


def drawn(*rows: str) -> Tensor:
    return torch.tensor([[sign == "#" for sign in row] for row in rows])


def blob(shape: tuple[int, ...], seed: int, share: float = 0.3) -> Tensor:
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=shape), 1.5)
    return torch.from_numpy(field > np.quantile(field, 1 - share))


masks = st.tuples(st.integers(0, 1), st.integers(0, 10_000), st.floats(0.02, 0.98)).map(
    lambda it: (blob([(6, 9, 8), (13, 11)][it[0]], it[1], it[2]), SPACINGS[it[0]])
)


def test_distances_of_a_drawn_mask_with_anisotropic_voxels() -> None:
    # two rows of 2 mm, columns of 0.5 mm; the nearest voxel of the mask is found across both
    mask = drawn(
        ".....",
        "..##.",
        "..##.",
    )
    found = signed_distance(mask, (2.0, 0.5))
    slope = math.sqrt(2.0**2 + 0.5**2)
    far = math.sqrt(2.0**2 + 1.0**2)
    expected = [
        [far, slope, 2.0, 2.0, slope],
        [1.0, 0.5, -0.5, -0.5, 0.5],
        # below is the end of the image, 2 mm away, and the side is nearer
        [1.0, 0.5, -0.5, -0.5, 0.5],
    ]
    assert torch.allclose(found, torch.tensor(expected))
    assert found.dtype == torch.float32


def test_a_ball_in_mm_reaches_fewer_of_the_thicker_slices() -> None:
    mask = torch.zeros(7, 9, 9, dtype=torch.bool)
    mask[3, 4, 4] = True
    outer = outer_by_distance(signed_distance(mask, (3.0, 1.0, 1.0)), 3.0)
    # one slice up and down on the axis itself; in the slice all i^2 + j^2 <= 9: 29 places of the grid
    assert outer.sum(dim=(1, 2)).tolist() == [0, 0, 1, 29, 1, 0, 0]


def test_the_outside_of_the_image_is_background() -> None:
    full = torch.ones(3, 3, dtype=torch.bool)
    assert signed_distance(full, (1.0, 1.0)).tolist() == [[-1, -1, -1], [-1, -2, -1], [-1, -1, -1]]


@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5)])
def test_an_empty_mask_is_infinitely_far_and_has_no_outer_mask_but_the_whole_image(
    shape: tuple[int, ...],
) -> None:
    distance = signed_distance(torch.zeros(shape, dtype=torch.bool), (1.0,) * len(shape))
    assert torch.isinf(distance).all()
    assert not outer_by_distance(distance, 1e9).any()
    assert outer_by_distance(distance, math.inf).all()
    assert not inner_by_distance(distance, 0.0).any()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(masks, st.floats(0, 9), st.floats(0, 9))
def test_masks_by_distance_lie_in_each_other(
    drawing: tuple[Tensor, tuple[float, ...]], one: float, other: float
) -> None:
    mask, spacing = drawing
    distance = signed_distance(mask, spacing)
    small, large = sorted((one, other))
    chain = [
        inner_by_distance(distance, large),
        inner_by_distance(distance, small),
        mask,
        outer_by_distance(distance, small),
        outer_by_distance(distance, large),
    ]
    for part, whole in itertools.pairwise(chain):
        assert not (part & ~whole).any()
    assert torch.equal(inner_by_distance(distance, 0.0), mask)
    assert torch.equal(outer_by_distance(distance, 0.0), mask)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(masks, st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_masks_by_probability_lie_in_each_other(
    drawing: tuple[Tensor, tuple[float, ...]], seed: int, one: float, other: float
) -> None:
    mask, _ = drawing
    soft = torch.from_numpy(np.random.default_rng(seed).random(mask.shape, dtype=np.float32))
    small, large = sorted((one, other))
    chain = [
        inner_by_probability(soft, mask, large),
        inner_by_probability(soft, mask, small),
        mask,
        outer_by_probability(soft, mask, small),
        outer_by_probability(soft, mask, large),
    ]
    for part, whole in itertools.pairwise(chain):
        assert not (part & ~whole).any()
    assert outer_by_probability(soft, mask, 1.0).all()
    assert not inner_by_probability(soft, mask, 1.0).any()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(masks, st.floats(0.01, 5))
def test_they_are_dilation_and_erosion_with_a_ball(
    drawing: tuple[Tensor, tuple[float, ...]], radius: float
) -> None:
    mask, spacing = drawing
    distance = signed_distance(mask, spacing)
    reach = [int(radius / step) + 1 for step in spacing]
    grid = np.meshgrid(
        *(np.arange(-n, n + 1) * step for n, step in zip(reach, spacing, strict=True)),
        indexing="ij",
    )
    ball = sum(g * g for g in grid) <= (radius * (1 + 1e-6)) ** 2
    grown = ndimage.binary_dilation(mask.numpy(), ball)
    shrunk = ndimage.binary_erosion(mask.numpy(), ball, border_value=0)
    assert np.array_equal(outer_by_distance(distance, radius).numpy(), grown)
    assert np.array_equal(inner_by_distance(distance, radius).numpy(), shrunk)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(masks)
def test_padding_and_cutting_to_a_box_change_no_distance(
    drawing: tuple[Tensor, tuple[float, ...]],
) -> None:
    mask, spacing = drawing
    whole = signed_distance(mask, spacing)
    padded = torch.from_numpy(np.pad(mask.numpy(), 2))
    middle = (slice(2, -2),) * mask.ndim
    assert torch.allclose(signed_distance(padded, spacing)[middle], whole)
    box = grown_box(union_box(mask), tuple(mask.shape), spacing, 1.0)
    assert torch.allclose(signed_distance(mask[box], spacing), whole[box])


@settings(max_examples=30, deadline=None, derandomize=True)
@given(masks, st.floats(0.1, 4))
def test_a_grown_box_holds_all_that_the_radius_reaches(
    drawing: tuple[Tensor, tuple[float, ...]], radius: float
) -> None:
    mask, spacing = drawing
    outer = outer_by_distance(signed_distance(mask, spacing), radius)
    box = grown_box(union_box(mask), tuple(mask.shape), spacing, radius)
    outer[box] = False
    assert not outer.any()


def test_lengths_that_differ_by_rounding_are_the_same_radius() -> None:
    distance = torch.tensor([1.0000005, 1.0001, -1.0000005, -1.0001])
    assert outer_by_distance(distance, 1.0).tolist() == [True, False, True, True]
    assert inner_by_distance(distance, 1.0).tolist() == [False, False, False, True]
    # 3 voxels of 0.1 mm are a little more than 0.3 mm, in the box too
    row = torch.zeros(1, 9, dtype=torch.bool)
    row[0, 4] = True
    assert int(outer_by_distance(signed_distance(row, (1.0, 0.1)), 0.3).sum()) == 7
    assert grown_box(union_box(row), (1, 9), (1.0, 0.1), 0.3)[1].start <= 1


def test_a_box_of_several_masks_holds_each_and_ignores_empty_ones() -> None:
    one, other = torch.zeros(5, 6, dtype=torch.bool), torch.zeros(5, 6, dtype=torch.bool)
    one[1, 4], other[3, 2] = True, True
    assert union_box(one, other, torch.zeros_like(one)) == (slice(1, 4), slice(2, 5))
    assert union_box(torch.zeros_like(one)) == (slice(0, 1), slice(0, 1))
    assert grown_box((slice(1, 4), slice(2, 5)), (5, 6), (1.0, 1.0), math.inf) == (
        slice(0, 5),
        slice(0, 6),
    )


def test_probabilities_beyond_their_range_are_clipped_and_half_precision_is_widened() -> None:
    mask = drawn("##..")
    soft = torch.tensor([[1.5, 0.25, 0.75, -0.5]])
    assert outer_by_probability(soft, mask, 0.25).tolist() == [[True, True, True, False]]
    assert inner_by_probability(soft, mask, 0.25).tolist() == [[True, False, False, False]]
    assert torch.equal(
        outer_by_probability(soft.half(), mask, 0.25), outer_by_probability(soft, mask, 0.25)
    )


@pytest.mark.parametrize("bad", [-1.0, math.nan])
def test_a_margin_below_0_is_refused(bad: float) -> None:
    mask = drawn("##..")
    distance = signed_distance(mask, (1.0, 1.0))
    for draw in (outer_by_distance, inner_by_distance):
        with pytest.raises(ValueError, match="margin must be a number of at least 0"):
            draw(distance, bad)
    with pytest.raises(ValueError, match="margin must be"):
        outer_by_probability(torch.zeros(1, 4), mask, bad)


@pytest.mark.parametrize(
    ("mask", "spacing", "said"),
    [
        (torch.zeros(3, 3), (1.0, 1.0), "must be bool"),
        (torch.zeros(3, dtype=torch.bool), (1.0,), "must be bool"),
        (torch.zeros(0, 3, dtype=torch.bool), (1.0, 1.0), "must be bool"),
        (torch.zeros(3, 3, dtype=torch.bool), (1.0, 1.0, 1.0), "2 positive numbers"),
        (torch.zeros(3, 3, dtype=torch.bool), (1.0, 0.0), "2 positive numbers"),
        (torch.zeros(3, 3, dtype=torch.bool), (1.0, math.inf), "2 positive numbers"),
    ],
)
def test_what_is_no_mask_or_no_spacing_is_refused(
    mask: Tensor, spacing: tuple[float, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        signed_distance(mask, spacing)


def test_probabilities_of_another_shape_or_nan_are_refused() -> None:
    mask = drawn("##..")
    with pytest.raises(ValueError, match="shape of a bool mask"):
        outer_by_probability(torch.zeros(4), mask, 0.5)
    with pytest.raises(ValueError, match="got NaN"):
        inner_by_probability(torch.full((1, 4), math.nan), mask, 0.5)
