"""Several raters, one mask: votes, leaving one out, and STAPLE beside SimpleITK's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch

from auditor.cases.raters import majority, staple, without
from auditor.cases.staple import Performance, staple_of_label
from auditor.errors import DataError

SHAPE = (6, 12, 20)
TRUTH = torch.zeros(SHAPE, dtype=torch.bool)
TRUTH[1:5, 3:9, 4:14] = True
NOTHING = torch.zeros_like(TRUTH)


def seen_by(
    rng: np.random.Generator, sensitivity: float, specificity: float, truth: torch.Tensor = TRUTH
) -> torch.Tensor:
    """A rater who decides voxel by voxel."""
    draw = torch.from_numpy(rng.random(tuple(truth.shape)))
    return torch.where(truth, draw < sensitivity, draw > specificity)


def of_simpleitk(masks: list[torch.Tensor]) -> tuple[np.ndarray, Any]:
    images = [sitk.GetImageFromArray(mask.numpy().astype(np.uint8)) for mask in masks]
    staple_filter: Any = sitk.STAPLEImageFilter()  # type: ignore[no-untyped-call]
    staple_filter.SetForegroundValue(1)
    return sitk.GetArrayFromImage(staple_filter.Execute(images)), staple_filter


def label_map(*rows: tuple[int, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.int16)


# ------------------------------------------------------------------------------ leaving one out


def test_without_a_rater_is_the_majority_of_the_others() -> None:
    masks = [label_map((1, 1, 0, 2)), label_map((1, 0, 0, 2)), label_map((1, 1, 2, 0))]
    # the others of the first are (1, 0, 0, 2) and (1, 1, 2, 0): half each on three voxels
    assert without(masks, 0, [1, 2], tie="above_half").tolist() == [[1, 0, 0, 0]]
    assert without(masks, 0, [1, 2], tie="at_least_half").tolist() == [[1, 1, 2, 2]]
    for place in range(3):
        others = [mask for i, mask in enumerate(masks) if i != place]
        for tie in ("above_half", "at_least_half"):
            assert torch.equal(
                without(masks, place, [1, 2], tie=tie), majority(others, [1, 2], tie=tie)
            )


def test_without_one_of_two_raters_is_the_other() -> None:
    masks = [label_map((1, 2, 0)), label_map((0, 2, 1))]
    assert torch.equal(without(masks, 0, [1, 2], tie="above_half"), masks[1])
    assert torch.equal(without(masks, 1, [1, 2], tie="at_least_half"), masks[0])


def test_there_must_be_a_rater_to_leave_out_and_one_to_keep() -> None:
    masks = [label_map((1, 0))] * 3
    with pytest.raises(DataError, match="two raters or more, got 1"):
        without(masks[:1], 0, [1], tie="above_half")
    for place in (-1, 3):
        with pytest.raises(IndexError, match=f"left_out must be 0 to 2, got {place}"):
            without(masks, place, [1], tie="above_half")


# ------------------------------------------------------------------------------ STAPLE


def test_the_answer_solves_its_own_equations() -> None:
    # two voxels of both raters, two of the first alone, four of neither
    first = torch.tensor([[True, True, True, True, False, False, False, False]])
    second = torch.tensor([[True, True, False, False, False, False, False, False]])
    found = staple_of_label([first, second])
    w = found.probability.flatten()
    assert found.prior == 6 / 16
    total, rest = float(w.sum()), float((1 - w).sum())
    for rater, mask in zip(found.raters, (first, second), strict=True):
        marked = mask.flatten()
        assert rater.sensitivity == pytest.approx(float(w[marked].sum()) / total, abs=1e-6)
        assert rater.specificity == pytest.approx(float((1 - w)[~marked].sum()) / rest, abs=1e-6)
    (p_1, q_1), (p_2, q_2) = ((it.sensitivity or 0.0, it.specificity or 0.0) for it in found.raters)
    yes, no = found.prior * p_1 * (1 - p_2), (1 - found.prior) * (1 - q_1) * q_2
    assert float(w[2]) == pytest.approx(yes / (yes + no), abs=1e-5)


@pytest.mark.parametrize("raters", [3, 4, 5])
def test_staple_agrees_with_simpleitk(raters: int) -> None:
    rng = np.random.default_rng(raters)
    masks = [seen_by(rng, rng.uniform(0.7, 0.95), rng.uniform(0.85, 0.99)) for _ in range(raters)]
    probability, its = of_simpleitk(masks)
    found = staple_of_label(masks)
    assert found.probability.numpy() == pytest.approx(probability, abs=1e-4)
    assert [it.sensitivity for it in found.raters] == pytest.approx(its.GetSensitivity(), abs=1e-4)
    assert [it.specificity for it in found.raters] == pytest.approx(its.GetSpecificity(), abs=1e-4)


def test_staple_recovers_how_good_seven_raters_are() -> None:
    truth = torch.zeros(12, 40, 50, dtype=torch.bool)
    truth[2:10, 10:30, 10:35] = True  # 4000 voxels, and 20000 others
    rng = np.random.default_rng(904)
    known = [
        (0.95, 0.97),
        (0.9, 0.99),
        (0.85, 0.95),
        (0.8, 0.98),
        (0.9, 0.9),
        (0.7, 0.99),
        (0.6, 0.9),
    ]
    masks = [seen_by(rng, p, q, truth) for p, q in known]
    found = staple_of_label(masks)
    for rater, (p, q) in zip(found.raters, known, strict=True):
        # four standard errors of shares of 4000 and 20000 voxels
        assert rater.sensitivity == pytest.approx(p, abs=4 * (p * (1 - p) / 4000) ** 0.5)
        assert rater.specificity == pytest.approx(q, abs=4 * (q * (1 - q) / 20000) ** 0.5)
    voted = majority([mask.to(torch.int16) for mask in masks], [1], tie="above_half") == 1
    wrong, outvoted = (int((mask != truth).sum()) for mask in (found.mask, voted))
    # it weighs raters by what they are worth
    assert wrong < outvoted


def test_the_order_of_the_raters_only_reorders_the_answer() -> None:
    rng = np.random.default_rng(2)
    masks = [seen_by(rng, 0.9 - 0.1 * i, 0.95) for i in range(3)]
    first = staple_of_label(masks)
    for order in itertools.permutations(range(3)):
        found = staple_of_label([masks[i] for i in order])
        assert found.probability.numpy() == pytest.approx(first.probability.numpy(), abs=1e-6)
        assert [it.sensitivity for it in found.raters] == pytest.approx(
            [first.raters[i].sensitivity for i in order]
        )


def test_raters_who_agree_are_right() -> None:
    for raters in (1, 2, 3):
        found = staple_of_label([TRUTH] * raters)
        assert torch.equal(found.mask, TRUTH)
        assert found.raters == (Performance(1.0, 1.0),) * raters
        assert found.converged


def test_nothing_and_everything_are_no_division_by_zero() -> None:
    # SimpleITK answers both with NaN
    probability, _ = of_simpleitk([NOTHING] * 3)
    assert np.isnan(probability).all()
    empty = staple_of_label([NOTHING] * 3)
    assert not empty.mask.any()
    assert empty.raters == (Performance(None, 1.0),) * 3
    full = staple_of_label([~NOTHING] * 2)
    assert full.mask.all()
    assert full.raters == (Performance(1.0, None),) * 2


def test_two_raters_of_whom_one_marked_nothing_are_undecided_and_nothing_is_kept() -> None:
    found = staple_of_label([TRUTH, NOTHING])
    assert found.probability[TRUTH].numpy() == pytest.approx(0.5, abs=1e-6)
    assert not staple([TRUTH.to(torch.int16), NOTHING.to(torch.int16)], [1]).any()


@pytest.mark.parametrize("full", [0, 1, 2])
def test_one_rater_who_marked_everything_among_two_who_marked_nothing_is_outvoted(
    full: int,
) -> None:
    """Every voxel has the same votes: 1/3 of them, so that 1/3 is its probability in every iteration."""
    masks = [torch.full((2, 3, 4), place == full) for place in range(3)]
    estimate = staple_of_label(masks)
    assert estimate.probability.numpy() == pytest.approx(1 / 3, abs=1e-6)
    assert not estimate.mask.any()
    assert [it.specificity for it in estimate.raters] == pytest.approx(
        [0.0 if place == full else 1.0 for place in range(3)], abs=1e-4
    )


def test_a_probability_of_exactly_one_half_is_left_out() -> None:
    """Two raters who call every voxel something else: nothing prefers either."""
    everything = torch.ones((2, 3, 4), dtype=torch.int16)
    estimate = staple_of_label([everything == 1, everything == 2])
    assert set(estimate.probability.flatten().tolist()) == {0.5}
    assert not estimate.mask.any()
    assert not staple([everything, 2 * everything], [1, 2]).any()


def test_with_two_raters_nothing_says_who_is_right() -> None:
    # Both raters erred alike. What the iteration holds for the truth where they differ depends on when it
    # is stopped: SimpleITK stops earlier and is elsewhere, so its number is no reference here.
    rng = np.random.default_rng(0)
    apart = 0.0
    for _ in range(5):
        masks = [seen_by(rng, 0.8, 0.9) for _ in range(2)]
        probability, _ = of_simpleitk(masks)
        apart = max(
            apart, float(np.abs(staple_of_label(masks).probability.numpy() - probability).max())
        )
    assert 1e-3 < apart < 0.5


def test_labels_are_estimated_one_by_one_and_the_most_probable_wins() -> None:
    truth = torch.zeros(SHAPE, dtype=torch.int16)
    truth[1:5, 3:9, 2:9] = 3
    truth[1:5, 3:9, 9:16] = 7
    rng = np.random.default_rng(31)
    masks = []
    for _ in range(5):
        wrong = torch.from_numpy(rng.random(SHAPE)) < 0.1
        other = torch.from_numpy(rng.choice(np.array([0, 3, 7], dtype=np.int16), SHAPE))
        masks.append(torch.where(wrong, other, truth))
    found = staple(masks, [3, 7])
    assert found.dtype == torch.int16
    assert set(found.flatten().tolist()) == {0, 3, 7}
    assert int((found != truth).sum()) <= 0.01 * truth.numel()
    probabilities = torch.stack(
        [staple_of_label([m == n for m in masks]).probability for n in (3, 7)]
    )
    best = torch.tensor([3, 7], dtype=torch.int16)[probabilities.argmax(dim=0)]
    assert torch.equal(
        found, torch.where(probabilities.max(dim=0).values > 0.5, best, 0).to(torch.int16)
    )


def test_background_is_counted_wherever_it_lies() -> None:
    # the same masks away from the border of the image, and SimpleITK on all of it
    rng = np.random.default_rng(8)
    masks = [seen_by(rng, 0.9, 1.0) & (TRUTH | torch.roll(TRUTH, 2, 2)) for _ in range(3)]
    wide = [torch.nn.functional.pad(mask, (7, 3, 0, 5, 4, 0)) for mask in masks]
    probability, its = of_simpleitk(wide)
    found = staple_of_label(wide)
    assert found.probability.numpy() == pytest.approx(probability, abs=1e-4)
    assert [it.specificity for it in found.raters] == pytest.approx(its.GetSpecificity(), abs=1e-4)
    assert found.prior == pytest.approx(sum(int(mask.sum()) for mask in wide) / 3 / wide[0].numel())


def test_what_cannot_be_combined_is_refused() -> None:
    with pytest.raises(DataError, match="1 to 62 raters, got 0"):
        staple_of_label([])
    with pytest.raises(DataError, match="1 to 62 raters, got 0"):
        staple([], [1])
    with pytest.raises(DataError, match="got 63"):
        staple_of_label([TRUTH] * 63)
    with pytest.raises(TypeError, match=r"rater_2 must be a bool tensor, got torch\.int16"):
        staple_of_label([TRUTH, TRUTH.to(torch.int16)])
    with pytest.raises(ValueError, match="rater_2 must have the shape of rater_1"):
        staple_of_label([TRUTH, TRUTH[:3]])


def test_sixty_two_raters_still_have_a_bit_each() -> None:
    rng = np.random.default_rng(62)
    masks = [seen_by(rng, 0.8, 0.9) for _ in range(62)]
    found = staple_of_label(masks)
    assert torch.equal(found.mask, TRUTH)


def test_an_iteration_that_does_not_end_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.cases.staple.MOST_ITERATIONS", 2)
    rng = np.random.default_rng(3)
    masks = [seen_by(rng, 0.8, 0.9).to(torch.int16) for _ in range(3)]
    with pytest.raises(
        DataError, match="STAPLE of label 1 must converge, it did not in 2 iterations"
    ):
        staple(masks, [1])
