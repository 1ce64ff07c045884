"""Borders, centrelines, lesions and probabilities small enough to draw, with the arithmetic beside them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from metric_specs import measured, spec_of
from numpy.typing import NDArray
from scipy import ndimage

from auditor.metrics import boundary
from auditor.metrics.boundary import inner_band
from auditor.metrics.boxes import Part, bounding_box, cut_out, shared
from auditor.metrics.centreline import skeleton_of
from auditor.metrics.lesions import components_of, overlaps_of
from auditor.metrics.measure import measure_label, prepare_reference
from auditor.metrics.pair import MaskPair
from auditor.schema import MetricSpec, Status

BoolArray = NDArray[np.bool_]


def draw(*rows: str) -> torch.Tensor:
    """Turn rows of # and . into a mask."""
    return torch.tensor([[sign == "#" for sign in row] for row in rows])


def value(
    spec: MetricSpec,
    prediction: torch.Tensor,
    reference: torch.Tensor,
    spacing: tuple[float, ...] = (3.0, 0.5),
    probability: torch.Tensor | None = None,
) -> float:
    found = measured(spec, prediction, reference, spacing, probability)
    assert found.status is Status.OK
    assert found.value is not None
    return found.value


REFERENCE = draw("......", ".###..", ".###..", "......")  # 6 of 24 pixels
PREDICTION = draw("......", "..###.", "..#...", "......")  # 4 pixels, 3 of them common


def test_specificity_counts_what_is_left_alone_outside_the_reference() -> None:
    # 24 - 6 = 18 pixels outside, one of them marked
    assert value(spec_of("specificity"), PREDICTION, REFERENCE) == 17 / 18


def test_specificity_in_a_region_knows_the_region_only() -> None:
    region = torch.zeros(4, 6, dtype=torch.bool)
    region[1] = True  # ".###.." and "..###.": 3 pixels outside, one marked
    [found] = measure_label(
        PREDICTION,
        prepare_reference(REFERENCE, (3.0, 0.5)),
        metrics=[spec_of("specificity")],
        region=region,
    )
    assert found.value == 2 / 3


def test_volumes_are_compared_in_per_cent_and_as_a_similarity() -> None:
    # 4 against 6 pixels, whatever their size
    assert value(spec_of("relative_volume_difference"), PREDICTION, REFERENCE) == 100 * 2 / 6
    assert value(spec_of("volume_similarity"), PREDICTION, REFERENCE) == 1 - 2 / 10
    # the other way round it is per cent of another volume
    assert value(spec_of("relative_volume_difference"), REFERENCE, PREDICTION) == 100 * 2 / 4


BLOCK = draw("........", ".#####..", ".#####..", ".#####..", "........")
SHIFTED = draw("........", "..#####.", "..#####.", "..#####.", "........")


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        # rows are 3 mm apart: only those that touch the outside, the first and the last, belong.
        # Columns are .5 mm apart: two from either side belong, so of 15 pixels only the middle one
        # does not. Common are 4 columns of 3 rows, less the two middle pixels: 10 of 14 + 14 - 10.
        (1.0, 10 / 18),
        # a band is at least one pixel thick: the ring of 12; common are 12 less 4 in the middle row
        (0.1, 8 / 16),
        # so wide that it is the whole mask: the IoU of the masks
        (9.0, 12 / 18),
    ],
)
def test_boundary_iou_compares_bands_of_a_width_in_mm(width: float, expected: float) -> None:
    spec = spec_of("boundary_iou", width_mm=width)
    assert value(spec, SHIFTED, BLOCK) == pytest.approx(expected)


def test_a_wide_band_forgives_less_than_the_whole_mask() -> None:
    prediction, reference = (torch.zeros(5, 40, 40, dtype=torch.bool) for _ in range(2))
    reference[1:4, 5:35, 5:35] = True
    prediction[1:4, 6:36, 5:35] = True
    spacing = (8.0, 1.0, 1.0)
    boundary = value(spec_of("boundary_iou", width_mm=2.0), prediction, reference, spacing)
    assert boundary < value(spec_of("iou"), prediction, reference, spacing)


def brute_band(mask: BoolArray, spacing: tuple[float, ...], width: float) -> BoolArray:
    """Compare every voxel of a mask with every voxel outside, a layer around the image included."""
    padded = np.pad(mask, 1)
    outside = np.argwhere(~padded)
    found = np.zeros_like(padded)
    for voxel in np.argwhere(padded):
        steps = np.abs(outside - voxel)
        distances = np.sqrt(((steps * spacing) ** 2).sum(axis=1))
        found[tuple(voxel)] = (distances <= width * (1 + 1e-9)).any() or (
            steps.sum(axis=1) == 1
        ).any()
    return found[(slice(1, -1),) * mask.ndim]


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("shifts", [0, 10**6])
def test_both_ways_to_find_a_band_are_the_definition(
    ndim: int, shifts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boundary, "_MOST_SHIFTS", shifts)
    rng = np.random.default_rng(ndim)
    for _ in range(12):
        shape = tuple(rng.integers(1, 8, ndim))
        spacing = tuple(float(it) for it in rng.choice([0.5, 0.7, 1.0, 1.1, 3.0], ndim))
        mask = rng.random(shape) < rng.uniform(0.4, 0.98)
        if not mask.any():
            continue
        width = float(rng.choice([0.1, 0.5, 1.0, 1.4, 2.2, 3.0, 1e9]))
        part = inner_band(mask, spacing, width)
        whole = np.zeros_like(mask)
        whole[part.box] = part.values
        assert (whole == brute_band(mask, spacing, width)).all()


def test_a_centreline_is_one_of_course_and_not_of_thickness() -> None:
    thin = torch.zeros(5, 12, dtype=torch.bool)
    thin[2, 1:10] = True
    thick = torch.zeros(5, 12, dtype=torch.bool)
    thick[1:4, 1:10] = True
    # scikit-image 0.26 thins it to 7 pixels of the middle row and one at a corner: 7/8 and 9/9 of
    # them lie in the other mask, where they need not all
    skeleton = skeleton_of(thick.numpy()).values
    assert skeleton.sum() == 8
    assert skeleton[1].sum() == 7
    found = value(spec_of("centreline_dsc"), thick, thin)
    assert found == pytest.approx(2 * (7 / 8) / (1 + 7 / 8))
    assert value(spec_of("dsc"), thick, thin) == 2 * 9 / (9 + 27)


def test_a_centreline_that_is_half_found_and_half_invented() -> None:
    # straight lines are their own skeletons
    vessel = draw(".........", ".######..", ".........", ".........")
    found = draw(".........", ".####....", ".........", ".##......")
    # 4 of 6 predicted pixels lie in the vessel, 4 of its 6 in the prediction
    assert value(spec_of("centreline_dsc"), found, vessel) == pytest.approx(2 / 3)
    shorter = draw(".........", ".####....", ".........", ".........")
    # all of the 4 lie in the vessel: 2 * 1 * (4/6) / (1 + 4/6)
    assert value(spec_of("centreline_dsc"), shorter, vessel) == pytest.approx(0.8)
    elsewhere = draw(".........", ".........", ".........", ".######..")
    assert value(spec_of("centreline_dsc"), elsewhere, vessel) == 0.0


def test_centrelines_run_through_slices() -> None:
    vessel = torch.zeros(9, 5, 5, dtype=torch.bool)
    vessel[1:8, 2, 2] = True
    half = vessel.clone()
    half[4:] = False  # 3 of 7
    found = value(spec_of("centreline_dsc"), half, vessel, (3.0, 0.7, 1.1))
    assert found == pytest.approx(2 * (3 / 7) / (1 + 3 / 7))


@pytest.mark.parametrize(("side", "kept"), [(2, 8), (4, 8), (1, 1)])
def test_a_box_that_the_thinning_erases_keeps_its_deepest_voxels(side: int, kept: int) -> None:
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[2 : 2 + side, 2 : 2 + side, 2 : 2 + side] = True
    skeleton = skeleton_of(mask)
    assert skeleton.values.sum() == kept
    centre = mask[2 : 2 + side, 2 : 2 + side, 2 : 2 + side].shape[0] / 2 - 0.5
    assert (np.argwhere(skeleton.values).mean(axis=0) == centre).all()


@pytest.mark.parametrize("ndim", [2, 3])
def test_every_component_has_a_skeleton_inside_it(ndim: int) -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        mask = rng.random((6,) * ndim) < rng.uniform(0.1, 0.9)
        mask.flat[0] = True
        part = skeleton_of(mask)
        whole = np.zeros_like(mask)
        whole[part.box] = part.values
        assert not (whole & ~mask).any()
        labels, count = ndimage.label(mask, structure=np.ones((3,) * ndim))
        assert set(labels[whole]) == set(range(1, count + 1))


LESIONS = draw(
    "##......#.",
    "##.....#..",  # touches the one above at a corner: one lesion of 2
    "..........",
    "######....",
)  # 4, 2 and 6 pixels
FOUND = draw(
    "#.......#.",
    "#.....##..",
    ".....#....",
    "###.......",
)  # 2 of the 4; a chain of 4, of which 2 are right; 3 of the 6: each has an IoU of 1/2


@pytest.mark.parametrize(
    ("overlap", "matched"),
    [(0.1, 3), (0.5, 3), (0.51, 0), (0.9, 0)],
)
def test_lesions_are_counted_at_the_declared_overlap(overlap: float, matched: int) -> None:
    for name, expected in (
        ("lesion_f1", 2 * matched / 6),
        ("lesion_sensitivity", matched / 3),
        ("lesion_false_positives", 3 - matched),
    ):
        assert value(spec_of(name, overlap=overlap), FOUND, LESIONS) == pytest.approx(expected)


def line(*runs: tuple[int, int]) -> torch.Tensor:
    """Mark runs (first, last) of pixels in the middle row of three."""
    mask = torch.zeros(3, 16, dtype=torch.bool)
    for first, last in runs:
        mask[1, first : last + 1] = True
    return mask


def test_two_predictions_of_one_lesion_are_one_match_and_one_false_positive() -> None:
    lesion, halves = line((2, 6)), line((2, 3), (5, 6))  # IoU 2/5 each
    assert value(spec_of("lesion_sensitivity", overlap=0.4), halves, lesion) == 1.0
    assert value(spec_of("lesion_false_positives", overlap=0.4), halves, lesion) == 1.0
    assert value(spec_of("lesion_f1", overlap=0.4), halves, lesion) == 2 / 3
    assert value(spec_of("lesion_false_positives", overlap=0.41), halves, lesion) == 2.0


def test_three_lesions_on_each_side_may_make_two_pairs_only() -> None:
    """One prediction holds two lesions, and one lesion holds two predictions: each pairs once."""
    lesions, found = line((0, 2), (4, 6), (9, 15)), line((0, 6), (9, 11), (13, 15))  # IoU 3/7 all
    for name, expected in (
        ("lesion_f1", 4 / 6),
        ("lesion_sensitivity", 2 / 3),
        ("lesion_false_positives", 1.0),
    ):
        assert value(spec_of(name, overlap=0.4), found, lesions) == expected


def test_as_many_lesions_as_possible_are_matched_whatever_overlaps_most() -> None:
    lesions = line((0, 5), (8, 9))
    # 3..9 has an IoU of 3/10 with the first and 2/7 with the second; 0..0 of 1/6 with the first.
    # Taking the best pair first would leave the other two alone.
    prediction = line((0, 0), (3, 9))
    assert value(spec_of("lesion_f1", overlap=0.15), prediction, lesions) == 1.0
    assert value(spec_of("lesion_f1", overlap=0.29), prediction, lesions) == 2 * 1 / 4


def brute_matches(iou: NDArray[np.float64], overlap: float) -> int:
    """Try every assignment of rows to columns."""
    rows, columns = iou.shape
    if rows > columns:
        return brute_matches(iou.T, overlap)
    return max(
        sum(bool(iou[i, j] >= overlap) for i, j in enumerate(chosen))
        for chosen in itertools.permutations(range(columns), rows)
    )


def test_matching_is_the_best_of_all_assignments() -> None:
    rng = np.random.default_rng(3)
    several = 0
    for _ in range(60):
        masks = [rng.random((5, 7)) < 0.35 for _ in range(2)]
        one, other = (components_of(mask) for mask in masks)
        if not 0 < one.count <= 5 or not 0 < other.count <= 5:
            continue
        labels = [ndimage.label(mask, structure=np.ones((3, 3)))[0] for mask in masks]
        iou = np.array(
            [
                [
                    ((labels[0] == i + 1) & (labels[1] == j + 1)).sum()
                    / ((labels[0] == i + 1) | (labels[1] == j + 1)).sum()
                    for j in range(other.count)
                ]
                for i in range(one.count)
            ]
        )
        for overlap in (0.05, 0.2, 0.6):
            assert overlaps_of(one, other).matched(overlap) == brute_matches(iou, overlap)
        several += ((iou > 0).sum(axis=0) > 1).any()
    assert several > 10  # so that there was something to choose


def test_lesions_that_touch_at_a_corner_are_one_in_three_axes() -> None:
    mask = np.zeros((3, 3, 3), dtype=bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    mask[2, 0, 2] = True  # touches the middle one at a corner, too
    assert components_of(mask).count == 1
    assert components_of(mask[::2]).count == 2
    assert components_of(np.zeros((2, 2), dtype=bool)).count == 0


PROBABILITY = torch.tensor([[0.9, 0.2, 0.6, 0.1]])
TRUTH = torch.tensor([[True, False, False, False]])


def test_the_brier_score_is_the_mean_square_of_what_was_not_known() -> None:
    # .1² + .2² + .6² + .1² = .42
    found = value(spec_of("brier"), TRUTH, TRUTH, probability=PROBABILITY)
    assert found == pytest.approx(0.42 / 4)


def test_calibration_compares_what_was_said_with_what_there_was_in_each_bin() -> None:
    # [0, .5): said .2 + .1, there were 0; [.5, 1]: said .9 + .6, there was 1
    found = value(spec_of("ece", bins=2), TRUTH, TRUTH, probability=PROBABILITY)
    assert found == pytest.approx((0.3 + 0.5) / 4)
    # 10 bins: each pixel alone
    found = value(spec_of("ece", bins=10), TRUTH, TRUTH, probability=PROBABILITY)
    assert found == pytest.approx((0.1 + 0.2 + 0.6 + 0.1) / 4)


def test_a_bin_holds_its_lower_edge_and_the_last_one_both() -> None:
    # .5 lies in the upper bin of two, with 1: said 1.5, there was 1
    edges = torch.tensor([[0.5, 1.0, 0.25, 0.0]])
    truth = torch.tensor([[False, True, True, False]])
    # lower bin: said .25, there was 1
    found = value(spec_of("ece", bins=2), truth, truth, probability=edges)
    assert found == pytest.approx((0.5 + 0.75) / 4)


@pytest.mark.parametrize("name", ["brier", "ece"])
def test_probabilities_outside_a_region_do_not_count(name: str) -> None:
    region = torch.tensor([[True, True, False, False]])
    [found] = measure_label(
        TRUTH,
        prepare_reference(TRUTH, (3.0, 0.5)),
        metrics=[spec_of(name)],
        region=region,
        probability=PROBABILITY,
    )
    assert found.value == pytest.approx({"brier": 0.05 / 2, "ece": 0.3 / 2}[name])


@pytest.mark.parametrize("name", ["brier", "ece"])
def test_many_voxels_are_summed_like_few(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(1)
    probability = torch.rand(5, 6, 7, generator=generator)
    truth = torch.rand(5, 6, 7, generator=generator) < probability
    whole = value(spec_of(name), truth, truth, (3.0, 1.0, 0.5), probability)
    monkeypatch.setattr("auditor.metrics.calibration._CHUNK", 17)
    assert value(spec_of(name), truth, truth, (3.0, 1.0, 0.5), probability) == pytest.approx(whole)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (PROBABILITY + 0.2, "must lie in"),
        (PROBABILITY - 0.2, "must lie in"),
        (PROBABILITY * float("nan"), "must lie in"),
        (PROBABILITY[:, :3], "shape of the reference"),
        (TRUTH, "floating point"),
    ],
)
def test_what_is_no_probability_is_refused(wrong: torch.Tensor, error: str) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        measured(spec_of("brier"), TRUTH, TRUTH, (1.0, 1.0), wrong)


@pytest.mark.parametrize(
    ("name", "module"),
    [("boundary_iou", "boundary"), ("lesion_f1", "lesions"), ("ece", "calibration")],
)
def test_a_function_asked_without_its_parameter_says_which(name: str, module: str) -> None:
    function = getattr(__import__(f"auditor.metrics.{module}", fromlist=[name]), name)
    pair = MaskPair(
        prediction=TRUTH.numpy(),
        reference=prepare_reference(TRUTH, (1.0, 1.0)),
        probability=PROBABILITY.numpy(),
    )
    with pytest.raises(ValueError, match=f"'{name}' needs"):
        function(pair, MetricSpec(name))


def test_what_is_known_of_a_reference_is_computed_once() -> None:
    reference = prepare_reference(BLOCK, (3.0, 0.5))
    specs = [spec_of(n) for n in ("boundary_iou", "centreline_dsc", "lesion_f1")]
    measure_label(SHIFTED, reference, metrics=specs)
    known = reference.band(2.0), reference.skeleton, reference.lesions
    measure_label(BLOCK, reference, metrics=specs)
    again = reference.band(2.0), reference.skeleton, reference.lesions
    assert all(one is other for one, other in zip(known, again, strict=True))
    assert reference.band(3.0) is not reference.band(2.0)


def test_a_box_holds_a_mask_and_parts_share_what_both_hold() -> None:
    mask = np.zeros((4, 6, 8), dtype=bool)
    assert bounding_box(mask) == (slice(0, 1),) * 3
    mask[1:3, 2, 5:8] = True
    part = cut_out(mask)
    assert part.box == (slice(1, 3), slice(2, 3), slice(5, 8))
    other = Part((slice(2, 4), slice(0, 6), slice(4, 7)), np.ones((2, 6, 3), dtype=bool))
    one, two = shared(part, other)
    assert one.shape == two.shape == (1, 1, 2)
    away = Part((slice(0, 1), slice(0, 6), slice(0, 8)), np.ones((1, 6, 8), dtype=bool))
    assert shared(part, away)[0].size == 0
