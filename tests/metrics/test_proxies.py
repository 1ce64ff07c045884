"""Proxies that need no reference."""

from __future__ import annotations

import pytest
import torch

from auditor.proxies import agreement, self_dsc


def test_self_dsc_is_twice_the_probability_in_the_mask_over_both_volumes() -> None:
    probability = torch.tensor([[[0.9, 0.6, 0.5], [0.2, 0.0, 0.3]]])
    # in the mask (p > .5): .9 + .6 = 1.5; voxels: 2; all: 2.5
    assert self_dsc(probability) == pytest.approx(2 * 1.5 / (2 + 2.5))


def test_self_dsc_of_a_decided_map_is_one_and_falls_with_doubt() -> None:
    decided = torch.zeros(3, 5, 4)
    decided[1, 1:3, 1:3] = 1.0
    doubts = [self_dsc(decided.clamp(0.5 - c / 2, 0.5 + c / 2)) for c in (1.0, 0.8, 0.4)]
    assert doubts[0] == 1.0
    values = [doubt for doubt in doubts if doubt is not None]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 3


@pytest.mark.parametrize("probability", [torch.zeros(4, 4), torch.full((4, 4), 0.5)])
def test_self_dsc_of_no_predicted_voxel_is_undefined(probability: torch.Tensor) -> None:
    assert self_dsc(probability) is None


@pytest.mark.parametrize("wrong", [1.5, -0.1, float("nan"), float("inf")])
def test_self_dsc_refuses_what_is_no_probability(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        self_dsc(torch.tensor([[0.9, wrong]]))


def test_self_dsc_refuses_masks() -> None:
    with pytest.raises(TypeError, match="floating point"):
        self_dsc(torch.ones(3, 3, dtype=torch.bool))


def test_self_dsc_adds_many_small_probabilities_exactly() -> None:
    # One single-precision sum of 4 million times 1e-7 and 1000 ones would lose the tail's digits.
    probability = torch.full((200, 200, 100), 1e-7)
    probability.view(-1)[:1000] = 1.0
    tail = (200 * 200 * 100 - 1000) * 1e-7
    assert self_dsc(probability) == pytest.approx(2 * 1000 / (2000 + tail), rel=1e-9)


def test_agreement_is_the_dsc_of_two_masks() -> None:
    a = torch.tensor([[True, True, False], [False, True, False]])
    b = torch.tensor([[True, False, False], [False, True, True]])
    assert agreement(a, b) == agreement(b, a) == pytest.approx(2 * 2 / 6)
    assert agreement(a, a) == 1.0
    assert agreement(a, ~a) == 0.0


def test_two_empty_masks_agree_and_one_empty_mask_does_not() -> None:
    empty, full = torch.zeros(2, 3, dtype=torch.bool), torch.ones(2, 3, dtype=torch.bool)
    assert agreement(empty, empty) == 1.0
    assert agreement(empty, full) == agreement(full, empty) == 0.0


def test_agreement_refuses_what_it_would_have_to_guess() -> None:
    mask = torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(TypeError, match=r"bool tensors, got torch\.bool and torch\.uint8"):
        agreement(mask, mask.to(torch.uint8))
    with pytest.raises(ValueError, match=r"one shape, got \(2, 3\) and \(2, 2\)"):
        agreement(mask, mask[:, :2])
