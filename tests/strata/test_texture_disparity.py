"""Texture inside an object against the texture outside it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.feature import local_binary_pattern
from skimage.transform import resize

from auditor.schema import Status
from auditor.strata.texture import (
    CODES,
    _divergence,
    _steps,
    js_bits,
    kl_bits_of_shared,
    texture_codes,
    texture_disparity,
    texture_disparity_compat,
)

Array = NDArray[np.float64]


def texture(seed: int, sides: tuple[int, ...], sigma: float) -> Array:
    """A stationary texture without an edge of its own: noise, smoothed around the corner."""
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=sides), sigma, mode="wrap")
    found: Array = smooth / smooth.std()
    return found


def blob(sides: tuple[int, int], radii: tuple[float, float]) -> NDArray[np.bool_]:
    y, x = np.indices(sides)
    inside: NDArray[np.bool_] = ((y - sides[0] / 2) / radii[0]) ** 2 + (
        (x - sides[1] / 2) / radii[1]
    ) ** 2 <= 1
    return inside


def mixed(alpha: float, sides: tuple[int, int] = (256, 256)) -> tuple[torch.Tensor, torch.Tensor]:
    """The published design: an object of one texture, a background that comes nearer by alpha."""
    fg, bg = texture(1, sides, 0.7), texture(2, sides, 3.0)
    mask = blob(sides, (sides[0] / 5, sides[1] / 4))
    image = np.where(mask, fg, bg * (1 - alpha) + fg * alpha)
    return torch.from_numpy(image), torch.from_numpy(mask)


def number(value: float | None) -> float:
    assert value is not None
    return value


def by_the_letter(image: Array, label: Array) -> float:
    """The published recipe written down once more, in the words of its description."""
    small = resize(image, (256, 256), anti_aliasing=True)  # type: ignore[no-untyped-call]
    seg = resize(label, (256, 256), anti_aliasing=False)  # type: ignore[no-untyped-call]
    lbp = local_binary_pattern(small, P=24, R=3, method="uniform")  # type: ignore[no-untyped-call]
    bins = int(lbp.max() + 1)
    p, _ = np.histogram(lbp[seg > 0], density=True, bins=bins, range=(0, bins))
    q, _ = np.histogram(lbp[seg == 0], density=True, bins=bins, range=(0, bins))
    both = np.logical_and(p != 0, q != 0)
    return float(np.sum(p[both] * np.log2(p[both] / q[both])))


def test_the_divergence_of_shared_bins_by_hand() -> None:
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.75, 0.0])
    # the third bin is not in both: .5 log2 2 + .25 log2(1/3)
    assert kl_bits_of_shared(p, q) == pytest.approx(0.5 - 0.25 * math.log2(3))
    # negative: the bin in which p exceeds q most is dropped
    assert number(kl_bits_of_shared(np.array([0.2, 0.8]), np.array([1.0, 0.0]))) < 0
    assert kl_bits_of_shared(p, p) == 0.0
    assert kl_bits_of_shared(np.array([1.0, 0.0]), np.array([0.0, 1.0])) is None


def test_the_symmetric_divergence_by_hand() -> None:
    p, q = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    expected = 0.5 * (0.5 * math.log2(0.5 / 0.75) + 0.5 * math.log2(0.5 / 0.25))
    expected += 0.5 * math.log2(1.0 / 0.75)
    assert js_bits(p, q) == pytest.approx(expected) == js_bits(q, p)
    assert js_bits(p, p) == 0.0


def test_codes_are_those_of_scikit_image_and_there_are_26() -> None:
    picture = np.random.default_rng(3).integers(0, 256, (90, 70)).astype(np.uint8)
    theirs = local_binary_pattern(  # type: ignore[no-untyped-call]
        picture, P=24, R=3, method="uniform"
    )
    ours = texture_codes(picture.astype(np.float64))
    assert np.array_equal(ours, theirs)
    assert set(np.unique(ours)) <= set(range(CODES))
    assert int(ours.max()) + 1 == CODES == 26


of_floats = pytest.mark.filterwarnings("ignore:Applying `local_binary_pattern`:UserWarning")
"""What scikit-image says of every picture that the published recipe hands to it."""


@of_floats
@pytest.mark.parametrize("sides", [(256, 256), (180, 210), (400, 300)])
def test_the_published_measure_follows_its_recipe(sides: tuple[int, int]) -> None:
    image, mask = mixed(0.3, sides)
    found = texture_disparity_compat(image[None], mask)
    expected = by_the_letter(image.numpy(), mask.numpy().astype(np.uint8))
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert (found.slices, found.status, found.floor) == (1, Status.OK, None)


@of_floats
def test_a_mask_is_resized_as_numbers_and_grows_by_what_it_touches() -> None:
    image, mask = mixed(0.3, (180, 210))
    found = texture_disparity_compat(image, mask).value
    nearest = by_the_letter(image.numpy(), mask.numpy())  # scikit-image: order 0 for bool
    assert found != pytest.approx(nearest, abs=1e-6)


def test_of_a_volume_the_published_measure_is_the_mean_over_slices_with_both_regions() -> None:
    planes = [mixed(alpha) for alpha in (0.1, 0.5, 0.9)]
    images = torch.stack([image for image, _ in planes] + [planes[0][0]] * 2)
    nothing, everything = torch.zeros(256, 256).bool(), torch.ones(256, 256).bool()
    masks = torch.stack([mask for _, mask in planes] + [nothing, everything])
    found = texture_disparity_compat(images, masks)
    each = [number(texture_disparity_compat(*plane).value) for plane in planes]
    assert found.value == pytest.approx(sum(each) / 3)
    assert (found.slices, found.slices_with_object) == (3, 4)
    assert found.reason.startswith("1 of 4 slices")


def test_both_measures_fall_with_mixing_and_end_near_the_floor() -> None:
    alphas = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    published = [number(texture_disparity_compat(*mixed(a)).value) for a in alphas]
    found = [texture_disparity(*mixed(a)) for a in alphas]
    smoothed = [number(it.value) for it in found]
    for values in (published, smoothed):
        assert all(a > b for a, b in itertools.pairwise(values[:-1]))
        assert values[0] > 20 * values[-1]
    assert found[0].distinguishable
    assert not found[-1].distinguishable
    assert found[-1].reason.startswith("not distinguishable from the floor")
    assert abs(number(found[-1].above_floor)) < 0.005 < number(found[0].above_floor)


def test_published_values_saturate_where_textures_are_nearly_equal() -> None:
    # Published table, pair a: .008, .006 and .005 at alpha .8, .9 and .98: a floor, not zero.
    ends = [number(texture_disparity_compat(*mixed(a)).value) for a in (0.9, 0.95, 1.0)]
    assert all(0.0 < value < 0.02 for value in ends)


def test_the_symmetric_measure_hardly_asks_which_region_is_inside() -> None:
    sides = (120, 160)
    left = np.zeros(sides, bool)
    left[3:-3, 3:80] = True  # halves of the part that is read; each is the band of the other
    image = torch.from_numpy(np.where(left, texture(1, sides, 0.7), texture(2, sides, 2.0)))
    right = np.zeros(sides, bool)
    right[3:-3, 80:-3] = True
    one = texture_disparity(image, torch.from_numpy(left))
    other = texture_disparity(image, torch.from_numpy(right))
    assert one.value == pytest.approx(number(other.value), abs=1e-12)
    published = [
        number(texture_disparity_compat(image, torch.from_numpy(it)).value) for it in (left, right)
    ]
    assert abs(published[0] - published[1]) > 0.01


def test_outside_is_what_lies_around_the_object_not_the_air() -> None:
    sides = (90, 110)
    mask = torch.from_numpy(blob(sides, (9, 13)))
    inner = np.pad(np.ones((60, 80)), 15) > 0  # far beyond the band of as many pixels
    body = texture(1, sides, 1.0)
    air = np.where(inner, body, 0.0)
    there = texture_disparity(torch.from_numpy(body), mask).value
    assert texture_disparity(torch.from_numpy(air), mask).value == there
    published = [
        number(texture_disparity_compat(torch.from_numpy(it), mask).value) for it in (body, air)
    ]
    assert published[1] > 2 * published[0]


def test_a_rising_intensity_scale_changes_nothing() -> None:
    image, mask = mixed(0.2, (120, 100))
    one, other = texture_disparity(image, mask), texture_disparity(4.0 * image - 1024.0, mask)
    assert one.value == pytest.approx(number(other.value), abs=2e-3)
    assert one.floor == pytest.approx(number(other.floor), abs=2e-3)


def test_equal_data_have_equal_floors_and_a_seed_sets_them() -> None:
    image, mask = mixed(0.5, (80, 96))
    first, again = texture_disparity(image, mask), texture_disparity(image.clone(), mask.clone())
    assert first == again
    seeded = texture_disparity(image, mask, seed=5)
    assert seeded.value == first.value
    assert seeded.floor != first.floor
    assert seeded == texture_disparity(image, mask, seed=5)


def test_where_textures_do_not_differ_one_value_in_twenty_passes_the_floor() -> None:
    mask = torch.from_numpy(blob((48, 56), (8, 11)))
    n, passed = 120, 0
    for i in range(n):
        found = texture_disparity(torch.from_numpy(texture(i, (48, 56), 1.0)), mask)
        passed += bool(found.distinguishable)
    # chance 1/21 each; P(Binomial(120, 1/21) > 15) < 1e-3
    assert passed <= 15


def test_shapes_are_moved_a_quarter_of_the_slice_or_more() -> None:
    steps = _steps(np.random.default_rng(0), 300, (40, 60))
    assert all(0 <= down < 40 and 0 <= along < 60 for down, along in steps)
    assert all(10 <= down <= 30 or 15 <= along <= 45 for down, along in steps)
    assert any(down < 10 for down, _ in steps)
    assert any(along < 15 for _, along in steps)


def test_a_code_that_neither_region_holds_is_counted_half() -> None:
    codes = np.zeros((1, 2, 4), dtype=np.intp)
    codes[0, :, 2:] = 7
    inside = np.zeros((1, 2, 4), bool)
    inside[0, :, :2] = True
    # 4 pixels each, all of code 0 and all of code 7: 4.5 and 0.5 of 4 + 26 / 2
    p = np.full(CODES, 0.5 / 17)
    q = p.copy()
    p[0], q[7] = 4.5 / 17, 4.5 / 17
    assert _divergence(codes, inside, ~inside) == pytest.approx(js_bits(p, q))


def test_shuffled_pixels_would_give_too_low_a_floor() -> None:
    # why shapes are moved: codes of neighbours depend on each other
    image = texture(4, (96, 96), 2.0)
    mask = blob((96, 96), (12, 12))
    found = texture_disparity(torch.from_numpy(image), torch.from_numpy(mask))
    codes = texture_codes(image)[3:-3, 3:-3].ravel()
    n = int(mask.sum())
    rng = np.random.default_rng(0)
    shuffled = []
    for _ in range(20):
        drawn = rng.permutation(codes)
        one, other = (
            (np.bincount(part, minlength=CODES) + 0.5) / (n + 13)
            for part in (drawn[:n], drawn[n : 2 * n])
        )
        shuffled.append(js_bits(one, other))
    assert number(found.floor) > 1.5 * float(np.mean(shuffled))


def test_sixteen_slices_are_read_spread_over_the_object() -> None:
    sides = (40, 44)
    mask = np.stack([blob(sides, (8, 9))] * 50)
    mask[:5] = False
    mask[20, 20, 30:34] = True  # slice 20 has most of its run
    image = torch.from_numpy(texture(1, (50, *sides), 1.0))
    found = texture_disparity(image, torch.from_numpy(mask))
    assert (found.slices, found.slices_with_object) == (16, 45)
    few = texture_disparity(image, torch.from_numpy(mask), most_slices=3)
    # runs of 15 slices: 5-19, 20-34 and 35-49; of equal slices the first
    chosen = torch.tensor([5, 20, 35])
    same = texture_disparity(image[chosen], torch.from_numpy(mask)[chosen])
    assert few.value == same.value
    assert few.slices == same.slices == 3


def test_of_several_channels_the_first_counts() -> None:
    image, mask = mixed(0.2, (64, 80))
    both = torch.stack([image, torch.zeros_like(image)])
    assert texture_disparity(both, mask) == texture_disparity(image, mask)


@pytest.mark.parametrize("measure", [texture_disparity, texture_disparity_compat])
def test_what_has_no_value_says_why(measure: object) -> None:
    assert callable(measure)
    image = torch.rand(2, 30, 34, dtype=torch.float64)
    nothing = torch.zeros(2, 30, 34).bool()
    found = measure(image, nothing)
    assert (found.value, found.status) == (None, Status.REFERENCE_EMPTY)
    full = measure(image, ~nothing)
    assert (full.value, full.status) == (None, Status.NOT_APPLICABLE)
    assert "no texture outside" in full.reason
    some = nothing.clone()
    some[0, 10:20, 10:20] = True
    broken = image.clone()
    broken[0, 3, 3] = math.nan
    lost = measure(broken, some)
    assert (lost.value, lost.status) == (None, Status.NOT_FINITE)
    with pytest.raises(TypeError, match="mask must be a bool tensor"):
        measure(image, some.to(torch.int16))
    with pytest.raises(ValueError, match="image must have the shape of the mask"):
        measure(image[:, :-1], some)


def test_an_object_at_the_border_of_a_tiny_slice_has_no_value() -> None:
    mask = torch.zeros(7, 9).bool()
    mask[:2] = True
    found = texture_disparity(torch.rand(7, 9), mask)
    assert found.status is Status.NOT_APPLICABLE
    assert "3 pixels away from the border" in found.reason
    tiny = torch.zeros(4, 4).bool()
    tiny[1:3, 1:3] = True
    assert texture_disparity(torch.rand(4, 4), tiny).status is Status.NOT_APPLICABLE


def test_a_single_pixel_has_a_value_that_its_floor_explains() -> None:
    mask = torch.zeros(30, 40).bool()
    mask[15, 20] = True
    found = texture_disparity(torch.from_numpy(texture(1, (30, 40), 1.0)), mask)
    assert found.status is Status.OK
    assert found.distinguishable is False


def test_around_a_small_object_at_least_six_pixels_are_outside() -> None:
    """The band of one pixel: the 112 others of a disc of radius 6, the width of a pattern."""
    pixels = texture(1, (30, 40), 1.0)
    mask = torch.zeros(30, 40).bool()
    mask[15, 20] = True
    y, x = np.indices(mask.shape)
    away = np.hypot(y - 15, x - 20)
    codes = texture_codes(pixels)
    counts = [
        np.bincount(codes[it], minlength=CODES) for it in (away == 0, (away > 0) & (away <= 6))
    ]
    assert [int(it.sum()) for it in counts] == [1, 112]
    smoothed = [(it + 0.5) / (it.sum() + CODES / 2) for it in counts]
    found = texture_disparity(torch.from_numpy(pixels), mask)
    assert found.value == pytest.approx(js_bits(smoothed[0], smoothed[1]))


def test_flat_regions_have_one_code_whatever_their_value() -> None:
    for value in (0.0, -1000.7, 0.1, 3071.3):
        assert set(np.unique(texture_codes(np.full((20, 24), value))[3:-3, 3:-3])) == {24}


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="draws must be at least 19"):
        texture_disparity(torch.rand(20, 20), torch.ones(20, 20).bool(), draws=5)
