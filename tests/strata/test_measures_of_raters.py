"""Everything that the raters of one case tell: by hand, by law, and against what is known of size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from simulated_raters import displaced, drawn

from auditor.metrics.measure import measure_label, prepare_reference
from auditor.schema import MetricSpec
from auditor.strata.rater_sets import (
    fleiss_kappa,
    generalised_energy_distance,
    iou_distance,
    voxel_kappa,
)
from auditor.strata.raters import rater_disagreement, volume_spread

SPACING = (4.0, 1.0, 0.5)
VOXEL = 4.0 * 1.0 * 0.5 / 1000  # ml


def block(*, x: slice) -> torch.Tensor:
    mask = torch.zeros(10, 24, 30, dtype=torch.bool)
    mask[2:6, 4:16, x] = True
    return mask


RATER_1 = block(x=slice(5, 21))  # 16 columns of 4 x 12 voxels
RATER_2 = block(x=slice(7, 23))  # 16, 14 of them shared with 1
RATER_3 = block(x=slice(5, 13))  # 8, all in 1, 6 in 2
EMPTY = torch.zeros_like(RATER_1)
COLUMN = 4 * 12

FLEISS_1971 = (
    (0, 0, 0, 0, 14),
    (0, 2, 6, 4, 2),
    (0, 0, 3, 5, 6),
    (0, 3, 9, 2, 0),
    (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0),
    (3, 2, 6, 3, 0),
    (2, 5, 3, 2, 2),
    (6, 5, 2, 1, 0),
    (0, 2, 2, 3, 7),
)
"""Ten subjects, 14 raters, 5 categories: the worked example of the article on Fleiss' kappa in the English
Wikipedia, kappa = 0.210 there and 0.20993 by statsmodels' fleiss_kappa."""


def test_every_pair_of_raters_is_measured_once_and_written_twice() -> None:
    found = rater_disagreement([RATER_1, RATER_2, RATER_3], SPACING)
    assert found.pairwise_dsc == (
        (1.0, 2 * 14 / 32, 2 * 8 / 24),
        (2 * 14 / 32, 1.0, 2 * 6 / 24),
        (2 * 8 / 24, 2 * 6 / 24, 1.0),
    )
    alone = rater_disagreement([RATER_1, RATER_3], SPACING).assd
    assert found.pairwise_assd[0][2] == found.pairwise_assd[2][0] == pytest.approx(alone)
    assert [row[i] for i, row in enumerate(found.pairwise_assd)] == [0.0, 0.0, 0.0]
    pairs = [found.pairwise_assd[i][j] or 0.0 for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found.assd == pytest.approx(sum(pairs) / 3)


def test_masks_that_touch_the_border_of_the_image_have_the_width_of_the_metric() -> None:
    first, second = RATER_1[2:6, 4:16, 5:23], RATER_2[2:6, 4:16, 5:23]
    [expected] = measure_label(
        first, prepare_reference(second, SPACING), metrics=[MetricSpec("assd")]
    )
    assert rater_disagreement([first, second], SPACING).assd == pytest.approx(expected.value)


def test_volumes_and_their_spread_are_in_ml() -> None:
    spread = rater_disagreement([RATER_1, RATER_2, RATER_3], SPACING).volume
    assert spread is not None
    large, small = 16 * COLUMN * VOXEL, 8 * COLUMN * VOXEL
    assert spread.volumes == pytest.approx((large, large, small))
    assert spread.mean == pytest.approx((2 * large + small) / 3)
    assert spread.range == pytest.approx(large - small)
    # deviations from the mean are 1/3, 1/3 and -2/3 of the range: their squares sum to 6/9
    assert spread.sd == pytest.approx((large - small) * (6 / 9 / 2) ** 0.5)
    assert spread.cv == pytest.approx(spread.sd / spread.mean)


def test_raters_who_marked_nothing_have_no_relative_spread() -> None:
    found = rater_disagreement([EMPTY, EMPTY], SPACING)
    assert found.volume is not None
    assert (found.volume.mean, found.volume.range, found.volume.cv) == (0.0, 0.0, None)
    assert (found.kappa, found.detection) == (None, "none")
    with pytest.raises(ValueError, match="two raters or more, got 1"):
        volume_spread([3.0])


def test_detection_is_another_question_than_the_border() -> None:
    found = rater_disagreement([RATER_1, EMPTY, RATER_2], SPACING)
    assert (found.detection, found.empty, found.raters) == ("some", 1, 3)
    assert found.assd is None
    # the pair that marked something keeps its width
    alone = rater_disagreement([RATER_1, RATER_2], SPACING).assd
    assert found.pairwise_assd[0][2] == pytest.approx(alone)
    assert found.pairwise_assd[1] == (None, None, None)
    assert rater_disagreement([RATER_1, RATER_2], SPACING).detection == "all"


def test_one_rater_has_no_matrix() -> None:
    found = rater_disagreement([RATER_1], SPACING)
    assert (found.pairwise_dsc, found.pairwise_assd, found.volume, found.kappa) == (
        (),
        (),
        None,
        None,
    )


def test_kappa_of_the_published_table() -> None:
    assert fleiss_kappa(FLEISS_1971) == pytest.approx(0.20993, abs=5e-6)


def test_weights_stand_for_repeated_subjects() -> None:
    repeated = [
        row for row, times in zip(FLEISS_1971, range(10), strict=True) for _ in range(times)
    ]
    assert fleiss_kappa(FLEISS_1971, range(10)) == pytest.approx(fleiss_kappa(repeated))


def test_kappa_of_two_raters_by_hand() -> None:
    # 16 columns each, 14 shared, of 30 x 24 x 10 / 48 = 150 columns' worth of voxels
    observed = 1 - 4 / 150
    share = 32 / 300
    expected = share**2 + (1 - share) ** 2
    found = voxel_kappa([RATER_1, RATER_2])
    assert found == pytest.approx((observed - expected) / (1 - expected))
    assert (
        rater_disagreement([RATER_1, RATER_2], SPACING).kappa == found
    )  # cut, and background counted


def test_kappa_depends_on_the_field_of_view_and_the_measures_that_make_strata_do_not() -> None:
    near = [mask[2:6, 4:16, 4:24] for mask in (RATER_1, RATER_2)]
    far = [torch.nn.functional.pad(mask, (40,) * 6) for mask in (RATER_1, RATER_2)]
    kappas = [voxel_kappa(masks) or 0.0 for masks in (near, [RATER_1, RATER_2], far)]
    assert kappas[0] < kappas[1] - 0.3 < kappas[2]
    wide = rater_disagreement(far, SPACING)
    given = rater_disagreement([RATER_1, RATER_2], SPACING)
    assert wide.dsc == given.dsc
    assert wide.assd == pytest.approx(given.assd)


def test_ratings_of_one_category_have_no_kappa() -> None:
    assert fleiss_kappa([[3, 0], [3, 0]]) is None
    assert voxel_kappa([~EMPTY, ~EMPTY]) is None


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ([[1, 0], [0, 1]], "at least 2, got 1 to 1"),
        ([[2, 0], [1, 2]], "got 2 to 3"),
        ([2, 3], "got shape"),
        ([[3, -1]], "of counts"),
    ],
)
def test_a_table_that_holds_no_ratings_is_refused(table: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        fleiss_kappa(table)  # type: ignore[arg-type]  # that is the point


def test_energy_distance_by_hand() -> None:
    d_12, d_13, d_23 = 1 - 14 / 18, 1 - 8 / 16, 1 - 6 / 18
    assert iou_distance(RATER_1, RATER_2) == pytest.approx(d_12)
    found = generalised_energy_distance([RATER_3], [RATER_1, RATER_2])
    # 2 E d(S, Y) - 0 - E d(Y, Y'), the latter over all four ordered pairs
    assert found == pytest.approx(2 * (d_13 + d_23) / 2 - 2 * d_12 / 4)


def test_energy_distance_of_a_set_with_itself_is_0() -> None:
    masks = [RATER_1, RATER_2, RATER_3, EMPTY]
    for order in itertools.permutations(masks):
        assert generalised_energy_distance(order, masks) == pytest.approx(0.0, abs=1e-12)
    assert generalised_energy_distance([*masks, *masks], masks) == pytest.approx(0.0, abs=1e-12)
    assert generalised_energy_distance([EMPTY], [EMPTY, EMPTY]) == 0.0


def test_a_system_with_one_mask_is_charged_the_diversity_that_it_does_not_show() -> None:
    raters = [RATER_1, RATER_2]
    alone = generalised_energy_distance([RATER_1], raters)
    assert alone > generalised_energy_distance(raters, raters)
    assert generalised_energy_distance([EMPTY], [RATER_1]) == 2.0  # nothing shared
    assert alone == generalised_energy_distance(raters, [RATER_1])


def test_sets_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="both sets must have a mask, got 0 and 1"):
        generalised_energy_distance([], [RATER_1])
    with pytest.raises(ValueError, match="second_1 must have the shape"):
        generalised_energy_distance([RATER_1], [RATER_1[:4]])
    with pytest.raises(ValueError, match="kappa needs two raters"):
        voxel_kappa([RATER_1])


@pytest.mark.slow
def test_only_the_width_in_mm_does_not_see_the_size_of_the_object() -> None:
    """Three raters whose borders differ by .8 mm, objects of 6 to 24 mm: rank correlation with the radius.

    240 patients: the standard error of a rank correlation of 0 is 1 / sqrt(239) = .065.
    """
    rng = np.random.default_rng(67)
    radius = rng.uniform(6.0, 24.0, 240)
    borders = displaced(rng, radius, 3, noise=0.8)
    found = [
        rater_disagreement(drawn(own, (1.5, 1.0), side=2 * r + 12), (1.5, 1.0))
        for own, r in zip(borders, radius, strict=True)
    ]
    by_size = {
        "assd": [it.assd for it in found],
        "1 - dsc": [1 - (it.dsc or 0.0) for it in found],
        "1 - kappa": [1 - (it.kappa or 0.0) for it in found],
        "cv": [it.volume.cv for it in found if it.volume],
    }
    rho = {name: float(stats.spearmanr(radius, it).statistic) for name, it in by_size.items()}
    assert abs(rho["assd"]) < 0.15
    assert rho["1 - dsc"] < -0.6
    assert rho["1 - kappa"] < -0.6
    assert rho["cv"] < -0.3
