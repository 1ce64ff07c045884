"""Surface distances beside the surface-distance package, brute force, and other definitions."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
import surface_distance
import torch
from numpy.typing import NDArray
from scipy import ndimage
from surface_distance import lookup_tables

from auditor.metrics.distances import nearest, nearest_map
from auditor.metrics.measure import measure_label, prepare_reference
from auditor.metrics.outlines import Surface, extract_surface
from auditor.metrics.surface import weighted_quantile
from auditor.metrics.surfels import contour_lengths, surfel_areas
from auditor.schema import MetricSpec

Mask = NDArray[np.bool_]
TOLERANCE = 1e-9
"""Relative; both sides work in double precision and differ in the order of additions."""


def measure(
    prediction: Mask, reference: Mask, spacing: tuple[float, ...], tolerance_mm: float = 2.0
) -> dict[str, float]:
    found = measure_label(
        torch.from_numpy(prediction),
        prepare_reference(torch.from_numpy(reference), spacing),
        metrics=[MetricSpec("hd95"), MetricSpec("assd"), MetricSpec("nsd", tolerance_mm)],
    )
    return {m.metric: m.value for m in found if m.value is not None}


def peer(
    prediction: Mask, reference: Mask, spacing: tuple[float, ...], tolerance_mm: float = 2.0
) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it uses SciPy's old namespaces
        distances = surface_distance.compute_surface_distances(reference, prediction, spacing)
    of_reference, of_prediction = surface_distance.compute_average_surface_distance(distances)
    area_r = distances["surfel_areas_gt"].sum()
    area_p = distances["surfel_areas_pred"].sum()
    return {
        "hd95": surface_distance.compute_robust_hausdorff(distances, 95),
        "assd": (of_reference * area_r + of_prediction * area_p) / (area_r + area_p),
        "nsd": surface_distance.compute_surface_dice_at_tolerance(distances, tolerance_mm),
    }


def ellipsoid(shape: tuple[int, ...], centre: tuple[float, ...], radii: tuple[float, ...]) -> Mask:
    grid = np.indices(shape)
    return np.asarray(
        sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) < 1
    )


def failing_predictions(reference: Mask) -> dict[str, Mask]:
    """Predictions as an audit meets them: near, shifted, far, noisy, scattered, dotted, full."""
    rng = np.random.default_rng(20261123)
    far = np.zeros_like(reference)
    far[tuple(slice(0, 2) for _ in reference.shape)] = True
    return {
        "eroded": ndimage.binary_erosion(reference),
        "shifted": np.roll(reference, 3, axis=-1),
        "far": far,
        "noisy": reference ^ (rng.random(reference.shape) < 0.02),
        "scattered": rng.random(reference.shape) < 0.3,
        "dots": rng.random(reference.shape) < 0.005,
        "full": np.ones_like(reference),
    }


REFERENCES = {
    2: ellipsoid((30, 41), (13.2, 22.7), (7.5, 11.0)),
    3: ellipsoid((13, 30, 33), (6.3, 14.1, 17.4), (3.6, 8.2, 9.9)),
}
SPACINGS: dict[int, list[tuple[float, ...]]] = {
    2: [(1.0, 1.0), (2.3, 0.6)],
    3: [(1.0, 1.0, 1.0), (3.0, 0.8, 1.1)],
}
CASES = [
    (ndim, spacing, name)
    for ndim in (2, 3)
    for spacing in SPACINGS[ndim]
    for name in failing_predictions(REFERENCES[ndim])
]


@pytest.mark.parametrize(("ndim", "spacing", "name"), CASES)
def test_surface_metrics_agree_with_the_surface_distance_package(
    ndim: int, spacing: tuple[float, ...], name: str
) -> None:
    reference = REFERENCES[ndim]
    prediction = failing_predictions(reference)[name]
    found = measure(prediction, reference, spacing)
    assert found == pytest.approx(peer(prediction, reference, spacing), rel=TOLERANCE, abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_random_masks_agree_with_the_surface_distance_package(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(2, 9, size=2 + seed % 2))
    prediction, reference = (rng.random(shape) < rng.uniform(0.1, 0.9) for _ in range(2))
    prediction.flat[0] = reference.flat[-1] = True
    spacing = tuple(float(step) for step in rng.uniform(0.4, 4.0, size=len(shape)))
    found = measure(prediction, reference, spacing, tolerance_mm=1.3)
    expected = peer(prediction, reference, spacing, tolerance_mm=1.3)
    assert found == pytest.approx(expected, rel=TOLERANCE, abs=1e-12)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.7, 1.3), (0.2, 5.0, 1.0)])
def test_the_derived_areas_agree_with_the_lookup_table_for_all_256_patterns(
    spacing: tuple[float, float, float],
) -> None:
    # The package gives corner (z, y, x) = bits of k the weight 128 >> k, this one 1 << k.
    theirs = lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
    order = [sum(128 >> k for k in range(8) if code >> k & 1) for code in range(256)]
    np.testing.assert_allclose(surfel_areas(spacing), np.asarray(theirs)[order], rtol=1e-12)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (3.0, 0.7)])
def test_contour_lengths_agree_with_the_lookup_table_for_all_16_patterns(
    spacing: tuple[float, float],
) -> None:
    theirs = lookup_tables.create_table_neighbour_code_to_contour_length(spacing)
    order = [sum(8 >> k for k in range(4) if code >> k & 1) for code in range(16)]
    np.testing.assert_allclose(contour_lengths(spacing), np.asarray(theirs)[order], rtol=1e-12)


def test_a_pattern_and_its_complement_have_the_same_surface() -> None:
    areas = surfel_areas((3.0, 0.7, 1.3))
    np.testing.assert_allclose(areas, areas[::-1], rtol=1e-14)
    assert areas[0] == 0.0
    assert (areas[1:-1] > 0).all()


def test_the_table_of_areas_cannot_be_changed_by_a_caller() -> None:
    with pytest.raises(ValueError, match="read-only"):
        surfel_areas((1.0, 1.0, 1.0))[3] = 7.0


def brute_force(surface: Surface, other: Surface) -> NDArray[np.float64]:
    steps = np.asarray(surface.spacing)
    difference = (surface.points[:, None] - other.points[None]) * steps
    return np.asarray(np.sqrt((difference**2).sum(axis=2)).min(axis=1))


def mapped(surface: Surface, other: Surface, shape: tuple[int, ...]) -> NDArray[np.float64]:
    corners = tuple(n + 1 for n in shape)
    return nearest_map(other, np.zeros(3, dtype=np.int64), corners).distances(surface.points)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.8, 1.1), (0.9, 4.0, 0.5)])
@pytest.mark.parametrize(
    ("first", "second"), [*itertools.permutations(["near", "dots", "corner"], 2)]
)
def test_every_way_to_the_nearest_element_finds_the_same(
    spacing: tuple[float, ...], first: str, second: str
) -> None:
    shape = (16, 20, 24)
    rng = np.random.default_rng(5)
    corner = np.zeros(shape, dtype=bool)
    corner[0, 0, 0] = True  # far from all else: the tree settles it
    masks = {
        "near": ellipsoid(shape, (8.0, 10.0, 12.0), (5.0, 6.0, 7.0)),
        "dots": rng.random(shape) < 0.01,
        "corner": corner,
    }
    a, b = (extract_surface(masks[name], spacing) for name in (first, second))
    expected = brute_force(a, b)
    np.testing.assert_allclose(nearest(a, b).distances, expected, rtol=1e-12)
    np.testing.assert_allclose(mapped(a, b, shape), expected, rtol=1e-12)


def test_a_scattered_mask_of_a_large_image_is_searched_in_bounded_memory() -> None:
    # 260,000 elements with six neighbours each exceed the table that is built for small masks.
    rng = np.random.default_rng(6)
    shape = (64, 64, 64)
    dense = extract_surface(rng.random(shape) < 0.5, (1.0, 1.0, 1.0))
    sparse = extract_surface(rng.random(shape) < 0.002, (1.0, 1.0, 1.0))
    assert 6 * len(dense.points) > 1 << 20
    found = nearest(dense, sparse).distances
    expected = mapped(dense, sparse, shape)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_overlaps_agree_with_plain_counting() -> None:
    rng = np.random.default_rng(8)
    prediction, reference = (rng.random((7, 9, 11)) < share for share in (0.4, 0.6))
    names = ("dsc", "iou", "precision", "sensitivity")
    found = measure_label(
        torch.from_numpy(prediction),
        prepare_reference(torch.from_numpy(reference), (3.0, 1.0, 0.5)),
        metrics=[MetricSpec(name) for name in names],
    )
    pairs = list(zip(prediction.ravel().tolist(), reference.ravel().tolist(), strict=True))
    tp, fp, fn = (pairs.count(kind) for kind in ((True, True), (True, False), (False, True)))
    expected = [2 * tp / (2 * tp + fp + fn), tp / (tp + fp + fn), tp / (tp + fp), tp / (tp + fn)]
    assert [m.value for m in found] == pytest.approx(expected, rel=1e-15)


def test_a_quantile_is_the_first_value_that_holds_the_share() -> None:
    values, weights = np.array([4.0, 1.0, 2.0]), np.array([0.05, 0.9, 0.05])
    assert weighted_quantile(values, weights, share=0.9) == 1.0
    assert weighted_quantile(values, weights, share=0.95) == 2.0  # exactly reached, in any order
    assert weighted_quantile(values, weights, share=0.96) == 4.0


# Known differences: numbers of other definitions that must not be taken for these.


def voxel_boundary(mask: Mask) -> NDArray[np.float64]:
    """Foreground pixels with a background neighbour (4 in 2-D, 6 in 3-D), as MONAI and medpy."""
    return np.argwhere(mask & ~ndimage.binary_erosion(mask)).astype(np.float64)


def voxel_distances(a: Mask, b: Mask) -> NDArray[np.float64]:
    difference = voxel_boundary(a)[:, None] - voxel_boundary(b)[None]
    return np.asarray(np.sqrt((difference**2).sum(axis=2)).min(axis=1))


def test_boundary_voxels_without_weights_give_other_numbers() -> None:
    # Reference: one pixel; prediction: it and its right neighbour. Between boundary pixels the
    # distances are 0 | 0, 1: interpolated 95th percentile .95, mean of all 1/3. Between surface
    # elements the distance is 1 on a length of sqrt 2 of 3 sqrt 2 + (1 + 1) + ... (see drawings).
    reference = np.zeros((3, 4), dtype=bool)
    reference[1, 1] = True
    prediction = reference.copy()
    prediction[1, 2] = True
    forth, back = voxel_distances(prediction, reference), voxel_distances(reference, prediction)
    assert max(np.percentile(forth, 95), np.percentile(back, 95)) == pytest.approx(0.95)
    assert np.concatenate([forth, back]).mean() == pytest.approx(1 / 3)
    found = measure(prediction, reference, (1.0, 1.0))
    assert found["hd95"] == 1.0
    # 2 corners of half a diagonal at distance 1; contours of 4 half diagonals, and those plus 2
    assert found["assd"] == pytest.approx(math.sqrt(2) / (4 * math.sqrt(2) + 2))


def test_a_percentile_of_the_pooled_distances_misses_what_only_one_surface_has() -> None:
    # A loose pixel is 2.8 of 49.6 of the prediction's contour (5.7 %), but only 2.9 % of both
    # contours together: the larger directed percentile sees it, the pooled one (medpy) does not.
    reference = np.zeros((30, 30), dtype=bool)
    reference[2:14, 2:14] = True
    prediction = reference.copy()
    prediction[7, 25] = True
    found = measure(prediction, reference, (1.0, 1.0))
    # Its corners at x = 25 and 26 are 11 and 12 from the square's end at x = 14, 2.85 % each.
    assert found["hd95"] == 11.0
    a, b = (extract_surface(mask, (1.0, 1.0)) for mask in (prediction, reference))
    forth, back = nearest(a, b), nearest(b, a)
    pooled = weighted_quantile(
        np.concatenate([forth.distances, back.distances]),
        np.concatenate([forth.areas, back.areas]),
        share=0.95,
    )
    assert pooled == 0.0


def test_a_share_that_is_met_exactly_is_met_here_and_left_to_rounding_there() -> None:
    # Five loose pixels have 20 corners of equal weight, so that the 19th holds exactly 95 %.
    # The farthest corners lie at (y, x) = (4, 17) and (3, 17), the reference's nearest at (1, 1).
    reference = np.zeros((5, 18), dtype=bool)
    reference[0, 0] = True
    prediction = np.zeros_like(reference)
    prediction[0, [0, 4, 8, 12]] = prediction[3, 16] = True
    spacing = (1.0, 2.0)
    nineteenth, twentieth = math.hypot(2 * 1.0, 16 * 2.0), math.hypot(3 * 1.0, 16 * 2.0)
    assert measure(prediction, reference, spacing)["hd95"] == pytest.approx(nineteenth, rel=1e-12)
    theirs = peer(prediction, reference, spacing)["hd95"]
    assert min(abs(theirs - nineteenth), abs(theirs - twentieth)) < 1e-9


def test_the_mean_of_the_two_directed_means_is_another_number() -> None:
    # Metrics Reloaded calls it MASD: it gives a small surface the weight of a large one.
    reference, prediction = REFERENCES[2], failing_predictions(REFERENCES[2])["far"]
    a, b = (extract_surface(mask, (2.3, 0.6)) for mask in (prediction, reference))
    means = [
        float((d.distances * d.areas).sum() / d.areas.sum()) for d in (nearest(a, b), nearest(b, a))
    ]
    assert measure(prediction, reference, (2.3, 0.6))["assd"] != pytest.approx(sum(means) / 2)


def test_the_border_of_the_image_is_surface() -> None:
    # Implementations without padding find no contour at all around a full image.
    surface = extract_surface(np.ones((3, 5), dtype=bool), (2.0, 1.0))
    half_diagonal = 0.5 * math.hypot(2, 1)
    assert surface.areas.sum() == pytest.approx(2 * (2 * 2.0 + 4 * 1.0) + 4 * half_diagonal)
