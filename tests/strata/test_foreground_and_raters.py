"""How much a label fills the image, and how much its raters disagree."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from auditor.metrics.measure import measure_label, prepare_reference
from auditor.schema import MetricSpec
from auditor.strata.assign import DETECTION, NOTHING
from auditor.strata.foreground import foreground_ratio
from auditor.strata.raters import rater_disagreement

SPACING = (4.0, 1.0, 0.5)


def block(*, z: slice, y: slice, x: slice) -> torch.Tensor:
    mask = torch.zeros(10, 24, 30, dtype=torch.bool)
    mask[z, y, x] = True
    return mask


RATER_1 = block(z=slice(2, 6), y=slice(4, 16), x=slice(5, 21))  # 4 x 12 x 16 = 768
RATER_2 = block(z=slice(2, 6), y=slice(4, 16), x=slice(7, 23))  # shifted by 2 voxels of 0.5 mm
RATER_3 = block(z=slice(2, 6), y=slice(4, 16), x=slice(5, 13))  # the left half: 384
EMPTY = torch.zeros_like(RATER_1)


def test_foreground_ratio_counts_voxels() -> None:
    assert foreground_ratio(RATER_1) == 768 / 7200
    assert foreground_ratio(EMPTY) == 0.0
    assert foreground_ratio(RATER_1[3]) == 12 * 16 / (24 * 30)


def test_foreground_ratio_refuses_a_label_map() -> None:
    with pytest.raises(TypeError, match="reference must be a bool tensor"):
        foreground_ratio(RATER_1.to(torch.int16))


def test_mean_pairwise_dsc_of_three_drawn_raters() -> None:
    found = rater_disagreement([RATER_1, RATER_2, RATER_3], SPACING)
    slab = 4 * 12
    pairs = [
        2 * 14 * slab / (2 * 16 * slab),  # 1 and 2 share 14 of 16 columns
        2 * 8 * slab / ((16 + 8) * slab),  # 3 lies in 1
        2 * 6 * slab / ((16 + 8) * slab),  # 2 starts two columns later
    ]
    assert found.dsc == pytest.approx(sum(pairs) / 3)
    assert (found.raters, found.empty, found.note) == (3, 0, "")


def test_mean_pairwise_assd_is_the_mean_of_the_metric_over_pairs() -> None:
    masks = [RATER_1, RATER_2, RATER_3]
    pairs = []
    for a, b in itertools.combinations(masks, 2):
        [assd] = measure_label(a, prepare_reference(b, SPACING), metrics=[MetricSpec("assd")])
        pairs.append(assd.value or math.nan)
    found = rater_disagreement(masks, SPACING)
    assert found.assd == pytest.approx(sum(pairs) / 3)
    assert found.stratum_value == found.assd


def test_raters_who_agree_have_no_width_between_them() -> None:
    found = rater_disagreement([RATER_1, RATER_1.clone()], SPACING)
    assert (found.assd, found.dsc) == (0.0, 1.0)


def test_the_order_of_the_raters_does_not_matter() -> None:
    found = [
        rater_disagreement(order, SPACING)
        for order in itertools.permutations([RATER_1, RATER_2, RATER_3])
    ]
    assert [f.assd for f in found] == pytest.approx([found[0].assd] * 6)
    assert [f.dsc for f in found] == pytest.approx([found[0].dsc] * 6)


def test_a_shift_of_one_width_looks_alike_on_small_and_large_objects_only_in_mm() -> None:
    # The same shift of 1 mm: the DSC calls the raters of the small object worse, the ASSD does not
    # (up to the share of the faces along the shift).
    found = []
    for side in (8, 24):
        mask = torch.zeros(40, 40, dtype=torch.bool)
        mask[8 : 8 + side, 8 : 8 + side] = True
        found.append(rater_disagreement([mask, torch.roll(mask, 1, 1)], (1.0, 1.0)))
    small, large = found
    assert small.dsc == 7 / 8
    assert large.dsc == 23 / 24
    assert small.assd == pytest.approx(large.assd, rel=0.05)


def test_one_rater_is_not_assessable() -> None:
    found = rater_disagreement([RATER_1], SPACING)
    assert (found.assd, found.dsc, found.stratum_value) == (None, None, None)
    assert found.note == "not assessable: 1 rater, two are needed"
    assert rater_disagreement([], SPACING).dsc is None


def test_a_rater_who_marked_nothing_makes_it_a_question_of_detection() -> None:
    found = rater_disagreement([RATER_1, EMPTY, RATER_2], SPACING)
    assert found.assd is None
    assert found.dsc == pytest.approx((0 + 0 + 14 / 16) / 3)
    assert found.stratum_value == DETECTION
    assert found.note == "no ASSD: 1 of 3 raters marked nothing"


def test_raters_who_all_marked_nothing_agree() -> None:
    found = rater_disagreement([EMPTY, EMPTY], SPACING)
    assert (found.assd, found.dsc, found.stratum_value) == (None, 1.0, NOTHING)


def test_raters_on_different_grids_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rater_2 must have the shape"):
        rater_disagreement([RATER_1, RATER_2[:5]], SPACING)
    with pytest.raises(TypeError, match="rater_2 must be a bool tensor"):
        rater_disagreement([RATER_1, RATER_2.to(torch.uint8)], SPACING)
    with pytest.raises(ValueError, match="spacing must be 3 positive numbers"):
        rater_disagreement([RATER_1, RATER_2], (1.0, 1.0))
