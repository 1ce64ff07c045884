"""Both definitions of a border beside MONAI, surface-distance, SimpleITK and scikit-image.

520 random pairs of masks, each measured in both definitions; and the known differences by name.
"""

from __future__ import annotations

import functools
import math
import warnings
from typing import Any

import numpy as np
import pytest
import SimpleITK
import surface_distance
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.surface_dice import compute_surface_dice
from monai.metrics.surface_distance import compute_average_surface_distance
from monai.metrics.utils import get_mask_edges
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import hausdorff_distance

from auditor.metrics.distances import nearest
from auditor.metrics.measure import measure_label, prepare_reference
from auditor.metrics.outlines import extract_boundary, extract_surface
from auditor.metrics.surface import percentile
from auditor.schema import MetricSpec

# MONAI passes itself an argument that it has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:monai.metrics.utils:FutureWarning")

Mask = NDArray[np.bool_]
Pair = tuple[Mask, Mask, tuple[float, ...], float]
"""Prediction, reference, spacing, tolerance in mm."""

ELEMENTS = ("hd95", "hd100", "assd", "masd", "nsd")
VOXELS = tuple(f"{name}_voxel" for name in ELEMENTS)
KINDS = ("blobs", "touching", "one_voxel", "thin", "scattered", "full", "shifted", "equal")
ITK: Any = SimpleITK  # untyped, as scikit-image's metrics are
farthest: Any = hausdorff_distance
AGREE = 1e-6
"""Relative and absolute; MONAI works in single precision."""


def blob(shape: tuple[int, ...], rng: np.random.Generator, share: float) -> Mask:
    """Draw an irregular object: the largest values of a smooth field."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 1.3)
    return np.asarray(field >= np.quantile(field, 1.0 - share))


def draw(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Mask, Mask]:
    """Draw a prediction and a reference."""
    reference = blob(shape, rng, rng.uniform(0.1, 0.4))
    if kind == "blobs":
        inner = tuple(slice(1, n - 1) for n in shape)
        margin = np.zeros(shape, dtype=bool)
        margin[inner] = True
        return blob(shape, rng, 0.3) & margin, reference & margin
    if kind == "touching":
        side = np.zeros(shape, dtype=bool)
        side[0] = True
        return reference | side, reference
    if kind == "one_voxel":
        single = np.zeros(shape, dtype=bool)
        single[tuple(int(rng.integers(n)) for n in shape)] = True
        return single, reference
    if kind == "thin":
        sheet, line = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        sheet[int(rng.integers(shape[0]))] = True
        line[..., int(rng.integers(shape[-1]))] = True
        return sheet, line
    if kind == "scattered":
        return rng.random(shape) < rng.uniform(0.02, 0.6), reference
    if kind == "full":
        return np.ones(shape, dtype=bool), reference
    if kind == "shifted":
        return np.roll(reference, 2, axis=int(rng.integers(len(shape)))), reference
    return reference.copy(), reference


@functools.cache
def pair(seed: int) -> Pair:
    """Make one random pair; two in five are 2-D, and all spacings are anisotropic."""
    rng = np.random.default_rng([20261129, seed])
    ndim = 2 if seed % 5 < 2 else 3
    shape = tuple(int(n) for n in rng.integers(5, 12 if ndim == 3 else 20, size=ndim))
    kind = KINDS[seed % len(KINDS)]
    prediction, reference = draw(kind, shape, rng)
    prediction.flat[int(rng.integers(prediction.size))] |= not prediction.any()
    reference.flat[int(rng.integers(reference.size))] |= not reference.any()
    spacing = tuple(float(step) for step in rng.uniform(0.4, 4.0, size=ndim))
    return prediction, reference, spacing, float(rng.uniform(0.5, 5.0))


def ours(names: tuple[str, ...], pair: Pair) -> dict[str, float]:
    prediction, reference, spacing, tolerance = pair
    found = measure_label(
        torch.from_numpy(prediction),
        prepare_reference(torch.from_numpy(reference), spacing),
        metrics=[MetricSpec(n, tolerance if n.startswith("nsd") else None) for n in names],
    )
    return {m.metric: m.value for m in found if m.value is not None}


def of_monai(pair: Pair) -> dict[str, float]:
    prediction, reference, spacing, tolerance = pair
    p, r = (torch.from_numpy(mask)[None, None] for mask in (prediction, reference))
    options: dict[str, Any] = {"include_background": True, "spacing": spacing}
    forth = compute_average_surface_distance(p, r, symmetric=False, **options)
    back = compute_average_surface_distance(r, p, symmetric=False, **options)
    return {
        "hd95_voxel": float(compute_hausdorff_distance(p, r, percentile=95, **options)),
        "hd100_voxel": float(compute_hausdorff_distance(p, r, **options)),
        "assd_voxel": float(compute_average_surface_distance(p, r, symmetric=True, **options)),
        "masd_voxel": float(forth + back) / 2,
        "nsd_voxel": float(compute_surface_dice(p, r, [tolerance], **options)),
    }


def of_surface_distance(pair: Pair) -> dict[str, float]:
    prediction, reference, spacing, tolerance = pair
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it uses SciPy's old namespaces
        found = surface_distance.compute_surface_distances(reference, prediction, spacing)
    of_reference, of_prediction = surface_distance.compute_average_surface_distance(found)
    area_r, area_p = found["surfel_areas_gt"].sum(), found["surfel_areas_pred"].sum()
    return {
        "hd95": surface_distance.compute_robust_hausdorff(found, 95),
        "hd100": surface_distance.compute_robust_hausdorff(found, 100),
        "assd": (of_reference * area_r + of_prediction * area_p) / (area_r + area_p),
        "masd": (of_reference + of_prediction) / 2,
        "nsd": surface_distance.compute_surface_dice_at_tolerance(found, tolerance),
    }


SEEDS = range(520)
BATCHES = [range(first, first + 52) for first in range(0, len(SEEDS), 52)]
every_batch = pytest.mark.parametrize("seeds", BATCHES, ids=lambda seeds: str(seeds.start))


def disagreements(
    found: dict[int, dict[str, float]], expected: dict[int, dict[str, float]]
) -> list[str]:
    """List the pairs and metrics whose values differ."""
    return [
        f"pair {seed}, {name}: {value!r} against {expected[seed][name]!r}"
        for seed, values in found.items()
        for name, value in values.items()
        if not math.isclose(value, expected[seed][name], rel_tol=AGREE, abs_tol=AGREE)
    ]


@every_batch
def test_boundary_voxels_agree_with_monai(seeds: range) -> None:
    found = {seed: ours(VOXELS, pair(seed)) for seed in seeds}
    assert all(len(values) == len(VOXELS) for values in found.values())
    assert disagreements(found, {seed: of_monai(pair(seed)) for seed in seeds}) == []


@every_batch
def test_surface_elements_agree_with_surface_distance(seeds: range) -> None:
    found = {seed: ours(ELEMENTS, pair(seed)) for seed in seeds}
    assert all(len(values) == len(ELEMENTS) for values in found.values())
    assert disagreements(found, {seed: of_surface_distance(pair(seed)) for seed in seeds}) == []


@every_batch
def test_the_largest_distance_agrees_with_scikit_image_on_the_boundary_voxels(seeds: range) -> None:
    found, expected = {}, {}
    for seed in seeds:
        prediction, reference, spacing, _ = pair(seed)
        a, b = (m & ~ndimage.binary_erosion(m) for m in (prediction, reference))
        # It measures in voxels, so a pair of equal steps stands for the drawn one.
        found[seed] = ours(("hd100_voxel",), (prediction, reference, (1.0,) * len(spacing), 1.0))
        expected[seed] = {"hd100_voxel": float(farthest(a, b))}
    assert disagreements(found, expected) == []


@every_batch
def test_overlaps_agree_with_simpleitk(seeds: range) -> None:
    names = ("dsc", "iou", "volume_similarity", "sensitivity")
    found, expected = {}, {}
    for seed in seeds:
        prediction, reference, _, _ = pair(seed)
        overlap = ITK.LabelOverlapMeasuresImageFilter()
        overlap.Execute(
            *(ITK.GetImageFromArray(m.astype(np.uint8)) for m in (prediction, reference))
        )
        found[seed] = ours(names, pair(seed))
        expected[seed] = {
            "dsc": overlap.GetDiceCoefficient(1),
            "iou": overlap.GetJaccardCoefficient(1),
            # It calls 2 (V_source - V_target) / (V_source + V_target) a similarity.
            "volume_similarity": 1.0 - abs(overlap.GetVolumeSimilarity(1)) / 2.0,
            # |target without source| / |target| of (source, target) = (prediction, reference)
            "sensitivity": 1.0 - overlap.GetFalseNegativeError(1),
        }
    assert all(len(values) == len(names) for values in found.values())
    assert disagreements(found, expected) == []


# A mask at the border of the image.


def test_monai_pads_masks_at_the_border_so_that_the_border_is_boundary_there_too() -> None:
    mask = np.zeros((4, 5), dtype=bool)
    mask[:3, :3] = True
    theirs, _ = get_mask_edges(torch.from_numpy(mask), torch.from_numpy(mask))
    assert theirs.shape == (5, 5)  # the box of the mask and one voxel more on each side
    assert theirs.sum() == 8  # a ring around one voxel, two sides of it on the image's border
    assert len(extract_boundary(mask, (3.0, 1.0)).points) == 8


@pytest.mark.parametrize("shape", [(1, 7), (6, 7), (1, 1, 5), (4, 5, 6)])
def test_a_full_image_has_its_outermost_voxels_as_boundary(shape: tuple[int, ...]) -> None:
    boundary = extract_boundary(np.ones(shape, dtype=bool), (2.0,) * len(shape))
    inner = math.prod(max(0, n - 2) for n in shape)
    assert len(boundary.points) == math.prod(shape) - inner


def test_boundary_voxels_are_those_that_an_erosion_removes() -> None:
    for seed in SEEDS[::7]:
        for mask in pair(seed)[:2]:
            expected = np.argwhere(mask & ~ndimage.binary_erosion(mask))
            np.testing.assert_array_equal(
                extract_boundary(mask, (1.0,) * mask.ndim).points, expected
            )


# Known differences.


def drawn_pair() -> Pair:
    """A block of 3 x 6 x 6 voxels, and the same with a bump of one voxel; 3 x 1 x 1 mm."""
    reference = np.zeros((7, 10, 10), dtype=bool)
    reference[2:5, 2:8, 2:8] = True
    prediction = reference.copy()
    prediction[3, 8, 4:6] = True
    return prediction, reference, (3.0, 1.0, 1.0), 0.5


def test_the_two_definitions_give_two_numbers_for_one_pair() -> None:
    found = ours((*ELEMENTS, *VOXELS), drawn_pair())
    assert found["hd100"] == found["hd100_voxel"] == 1.0
    assert all(found[f"{name}_voxel"] != found[name] for name in ("assd", "masd", "nsd"))
    # Of 3 x 36 voxels all but the 16 in the middle slice are boundary: 92. The bump covers two of
    # these; its own two voxels are 1 mm away from the reference, and the covered ones still touch
    # the background above and below or beside, so that they stay boundary but where they end it.
    boundary = [len(extract_boundary(mask, (3.0, 1.0, 1.0)).points) for mask in drawn_pair()[:2]]
    assert boundary == [92, 92]  # two more, and the two below the bump no more
    # Distances: the bump's two voxels 1 mm; and back, the two covered voxels 1 mm.
    assert found["nsd_voxel"] == pytest.approx(1 - 4 / 184)
    assert found["assd_voxel"] == found["masd_voxel"] == pytest.approx(4 / 184)


def test_the_hausdorff_filter_of_simpleitk_is_over_all_voxels_not_over_borders() -> None:
    # A square with a hole of one pixel, which the prediction fills; it also has a loose pixel, two
    # rows and two columns beyond the corner. Over all voxels that pixel is farthest: 2 sqrt 2. But
    # the pixels around the hole are border of the reference, and 3 rows from the square's border.
    reference = np.zeros((13, 13), dtype=bool)
    reference[:9, :9] = True
    prediction = reference.copy()
    reference[4, 4] = False
    prediction[10, 10] = True
    both = [ITK.GetImageFromArray(m.astype(np.uint8)) for m in (prediction, reference)]
    over_voxels = ITK.HausdorffDistanceImageFilter()
    over_voxels.Execute(*both)
    assert over_voxels.GetHausdorffDistance() == pytest.approx(2 * math.sqrt(2))
    # The corners of the hole are 4 rows from the square's edge.
    found = ours(("hd100", "hd100_voxel"), (prediction, reference, (1.0, 1.0), 1.0))
    assert found == {"hd100": 4.0, "hd100_voxel": 3.0}


def test_medpy_pools_the_distances_before_the_percentile() -> None:
    # A loose pixel among the prediction's boundary: 1 of 13 there, 1 of 25 of both together, so
    # that the 95th percentile of all is 0 and the larger of the two directed ones is not.
    reference = np.zeros((12, 16), dtype=bool)
    reference[1:5, 1:5] = True  # 16 pixels, 12 of them boundary
    prediction = reference.copy()
    prediction[3, 12] = True
    a, b = (extract_boundary(mask, (2.0, 1.0)) for mask in (prediction, reference))
    forth, back = nearest(a, b).distances, nearest(b, a).distances
    assert (len(forth), len(back)) == (13, 12)
    assert np.percentile(np.hstack([forth, back]), 95) == 0.0
    # rank .95 x 12 = 11.4 of the sorted distances 0, ..., 0, 8
    found = ours(("hd95_voxel",), (prediction, reference, (2.0, 1.0), 1.0))
    assert found["hd95_voxel"] == pytest.approx(0.4 * 8.0, rel=1e-5)


def test_ranks_are_rounded_to_single_precision_as_torch_does() -> None:
    # An exact rank is .95 x 99,999 = 94,999.05; in single precision it is a multiple of 1/128.
    values = np.arange(100_000.0)
    assert percentile(values, share=0.95) == float(
        torch.quantile(torch.from_numpy(values).float(), 0.95)
    )
    assert percentile(values, share=0.95) == 94_999.046875
    assert np.percentile(values, 95) == pytest.approx(94_999.05, abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 20, 21, 22, 101, 4097])
def test_percentiles_agree_with_torch_for_any_number_of_values(n: int) -> None:
    values = np.random.default_rng(n).gamma(2.0, size=n)
    expected = float(torch.quantile(torch.from_numpy(values).float(), 0.95))
    assert percentile(values, share=0.95) == pytest.approx(expected, rel=AGREE)


def test_a_tolerance_that_a_distance_meets_exactly_counts_as_met_in_both() -> None:
    # Three steps of .1 mm add up to .30000000000000004 mm.
    reference = np.zeros((3, 9), dtype=bool)
    reference[1, 1] = True
    prediction = np.roll(reference, 3, axis=1)
    for tolerance, expected in ((0.3, 1.0), (0.2999, 0.0)):
        case = (prediction, reference, (0.1, 0.1), tolerance)
        assert ours(("nsd_voxel",), case)["nsd_voxel"] == expected
        assert of_monai(case)["nsd_voxel"] == expected
    # Between corners the near half is 2 steps away, the far half 3.
    found = ours(("nsd",), (prediction, reference, (0.1, 0.1), 0.3))
    assert found["nsd"] in {0.5, 1.0}


def test_the_surface_elements_of_monai_are_measured_without_the_weights_of_a_percentile() -> None:
    # MONAI offers surface elements for the surface Dice alone, and it agrees there.
    for seed in SEEDS[::12]:
        prediction, reference, spacing, tolerance = pair(seed)
        p, r = (torch.from_numpy(mask)[None, None] for mask in (prediction, reference))
        theirs = compute_surface_dice(
            p, r, [tolerance], include_background=True, spacing=spacing, use_subvoxels=True
        )
        found = ours(("nsd",), pair(seed))["nsd"]
        assert found == pytest.approx(float(theirs), rel=1e-5, abs=AGREE)


def test_an_element_s_area_follows_the_spacing_and_a_boundary_voxel_has_none() -> None:
    mask = np.ones((2, 3, 4), dtype=bool)
    assert extract_boundary(mask, (3.0, 1.0, 2.0)).areas.tolist() == [1.0] * 24
    assert len(set(extract_surface(mask, (3.0, 1.0, 2.0)).areas.tolist())) > 1
