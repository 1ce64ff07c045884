"""Masks small enough to draw, with the arithmetic beside them; anisotropic throughout."""

from __future__ import annotations

import math

import pytest
import torch

from auditor.metrics.measure import mask_volume, measure_label, prepare_reference
from auditor.schema import MetricSpec, Status


def draw(*rows: str) -> torch.Tensor:
    """Turn rows of # and . into a mask."""
    return torch.tensor([[sign == "#" for sign in row] for row in rows])


def value(
    metric: str,
    prediction: torch.Tensor,
    reference: torch.Tensor,
    spacing: tuple[float, ...],
    tolerance_mm: float | None = None,
) -> float:
    [found] = measure_label(
        prediction,
        prepare_reference(reference, spacing),
        metrics=[MetricSpec(metric, tolerance_mm)],
    )
    assert found.status is Status.OK
    assert found.value is not None
    return found.value


REFERENCE = draw("......", ".###..", ".###..", "......")  # 6 pixels
PREDICTION = draw("......", "..###.", "..#...", "......")  # 4 pixels, 3 of them common


def test_overlaps_of_a_drawn_pair_are_ratios_of_counted_pixels() -> None:
    found = {
        metric: value(metric, PREDICTION, REFERENCE, (3.0, 0.5))
        for metric in ("dsc", "iou", "precision", "sensitivity")
    }
    assert found == {"dsc": 2 * 3 / (4 + 6), "iou": 3 / 7, "precision": 3 / 4, "sensitivity": 3 / 6}


def test_volume_difference_is_an_area_in_2d_and_millilitres_in_3d() -> None:
    # 6 - 4 = 2 pixels of 3 mm x 0.5 mm
    assert value("volume_difference", PREDICTION, REFERENCE, (3.0, 0.5)) == 2 * 1.5
    # the same drawing once per slice: 4 voxels of 2 x 3 x 0.5 = 3 mm3 = 0.003 ml
    prediction, reference = (torch.stack([mask, mask]) for mask in (PREDICTION, REFERENCE))
    found = value("volume_difference", prediction, reference, (2.0, 3.0, 0.5))
    assert found == pytest.approx(4 * 0.003)


def test_volume_difference_has_no_sign() -> None:
    forth = value("volume_difference", PREDICTION, REFERENCE, (3.0, 0.5))
    assert forth == value("volume_difference", REFERENCE, PREDICTION, (3.0, 0.5)) > 0


def test_volume_of_a_mask_counts_voxels_without_a_spacing() -> None:
    mask = torch.ones(2, 3, 4, dtype=torch.bool)
    assert mask_volume(mask, spacing=(5.0, 2.0, 1.0), unit="mm") == pytest.approx(24 * 10 / 1000)
    assert mask_volume(mask, spacing=(1.0, 1.0, 1.0), unit="px") == 24
    assert mask_volume(mask[0], spacing=(2.0, 1.5), unit="mm") == 12 * 3


def test_two_pixels_apart_have_distances_of_their_corners() -> None:
    # Corners of the first pixel lie at x = 0 and 1, of the second at x = 3 and 4, spacing 2 mm:
    # the near corners are 2 steps = 4 mm from the other pixel, the far ones 3 steps = 6 mm.
    # All eight corners weigh the same (half a diagonal), so half of each contour is at 4 mm.
    first, second = draw("#....", "....."), draw("...#.", ".....")
    spacing = (1.0, 2.0)
    assert value("assd", first, second, spacing) == pytest.approx((4 + 6) / 2)
    assert value("hd95", first, second, spacing) == pytest.approx(6.0)
    assert value("nsd", first, second, spacing, tolerance_mm=4.0) == pytest.approx(0.5)
    assert value("nsd", first, second, spacing, tolerance_mm=3.9) == 0.0
    assert value("nsd", first, second, spacing, tolerance_mm=6.0) == 1.0


def test_a_pixel_too_much_is_weighted_by_the_length_of_its_contour() -> None:
    # Prediction: two pixels side by side; reference: the left one. Spacing y = 3, x = 1.
    # The reference's four corners are corners of the prediction too: distance 0.
    # The prediction has two corners at distance 0 and, at x = 2, two at distance 1 mm, each half a
    # diagonal long, and between them (x = 1, both y) two straight pieces of 1 mm at distance 0.
    prediction, reference = draw("....", ".##.", "...."), draw("....", ".#..", "....")
    spacing = (3.0, 1.0)
    half_diagonal = 0.5 * math.hypot(3, 1)
    of_reference, of_prediction = 4 * half_diagonal, 4 * half_diagonal + 2 * 1.0
    assert value("assd", prediction, reference, spacing) == pytest.approx(
        2 * half_diagonal * 1.0 / (of_reference + of_prediction)
    )
    assert value("nsd", prediction, reference, spacing, tolerance_mm=0.5) == pytest.approx(
        1 - 2 * half_diagonal / (of_reference + of_prediction)
    )
    assert value("hd95", prediction, reference, spacing) == 1.0  # 38 % of its contour lie there


def test_surface_of_one_voxel_is_eight_triangles() -> None:
    # Spacing 4 x 2 x 1: each corner of the voxel is cut at half edges 2, 1 and 0.5.
    # Triangle with intercepts a, b, c: area sqrt(a2b2 + b2c2 + c2a2) / 2.
    mask = torch.zeros(3, 3, 3, dtype=torch.bool)
    mask[1, 1, 1] = True
    surface = prepare_reference(mask, (4.0, 2.0, 1.0)).surface.elements
    a, b, c = 2.0, 1.0, 0.5
    triangle = math.sqrt((a * b) ** 2 + (b * c) ** 2 + (c * a) ** 2) / 2
    assert surface.areas.tolist() == pytest.approx([triangle] * 8)
    assert surface.points.tolist() == [[z, y, x] for z in (1, 2) for y in (1, 2) for x in (1, 2)]


def test_a_shifted_block_has_its_shift_as_hd95_in_mm() -> None:
    reference = torch.zeros(8, 12, 12, dtype=torch.bool)
    reference[2:5, 3:9, 3:9] = True
    prediction = torch.roll(reference, 1, dims=0)  # one slice of 5 mm
    # The top and bottom faces, 2 x 25 of 2 x 25 + 60 elements about, are 5 mm away.
    assert value("hd95", prediction, reference, (5.0, 1.0, 1.0)) == 5.0


def test_pixels_are_the_unit_of_images_without_a_spacing() -> None:
    first, second = draw("#....", "....."), draw("...#.", ".....")
    reference = prepare_reference(second, (1.0, 1.0), "px")
    [hd95, volume] = measure_label(
        first, reference, metrics=[MetricSpec("hd95"), MetricSpec("volume_difference")]
    )
    assert (hd95.value, volume.value) == (3.0, 0.0)
    assert hd95.worst == math.hypot(2, 5)
    assert volume.worst == 9.0  # all ten pixels predicted, one of them rightly


def test_a_region_cuts_both_masks() -> None:
    region = draw("......", "###...", "###...", "......")
    reference = prepare_reference(REFERENCE, (3.0, 0.5))
    inside = measure_label(
        PREDICTION, reference, metrics=[MetricSpec("dsc"), MetricSpec("precision")], region=region
    )
    # Left of the cut: 4 pixels of the reference (2 columns), 2 of the prediction, 2 common.
    assert [found.value for found in inside] == [2 * 2 / (2 + 4), 1.0]


def test_a_region_without_the_object_leaves_nothing_to_score() -> None:
    region = draw("......", "......", "......", "######")
    [found] = measure_label(
        PREDICTION,
        prepare_reference(REFERENCE, (3.0, 0.5)),
        metrics=[MetricSpec("dsc")],
        region=region,
    )
    assert (found.value, found.status) == (None, Status.BOTH_EMPTY)
