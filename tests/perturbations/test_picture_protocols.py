"""Protocols for pictures of 8 bits, held against their published definitions by arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage, stats

import perturbations
from perturbations import CATALOG, PRESETS, Scan

WINDOW = (100.0, 300.0)
ZOOMS = ((1, 1.11, 0.01), (1, 1.16, 0.01), (1, 1.21, 0.02), (1, 1.26, 0.02), (1, 1.31, 0.03))
"""Arguments of np.arange in zoom_blur of make_imagenet_c.py; by rounding the first ends at 1.11."""

ROWS: Mapping[str, tuple[float, ...]] = {
    "gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "shot_noise": (60, 25, 12, 5, 3),
    "impulse_noise": (0.03, 0.06, 0.09, 0.17, 0.27),
    "speckle_noise": (0.15, 0.2, 0.35, 0.45, 0.6),
    "gaussian_blur": (1, 2, 3, 4, 6),
    "defocus_blur": (3, 4, 6, 8, 10),
    "motion_blur": (3, 5, 8, 12, 15),
    "zoom_blur": tuple(float(np.arange(*zooms)[-1]) - 1 for zooms in ZOOMS),
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "jpeg": (25, 18, 15, 10, 7),
    "pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),
    "elastic": (12.5, 16.25, 21.25, 25, 30),
}
"""The tables of make_imagenet_c.py (hendrycks/robustness), elastic of imagecorruptions."""


def picture(grey: NDArray[np.float64], **facts: Any) -> Scan:
    """A picture of grey levels 0 to 1, shown between 100 and 300."""
    values = torch.from_numpy((100 + 200 * grey).astype(np.float32))[None]
    spacing = (1.0,) * grey.ndim if grey.ndim == 2 else (4.0, 1.0, 1.0)
    return Scan(image=values, spacing=spacing, unit="px", modality="xray", **facts)


def grey_of(image: torch.Tensor) -> NDArray[np.float64]:
    return np.asarray((image[0].double().numpy() - 100) / 200)


def made(name: str, scan: Scan, level: float, **options: Any) -> NDArray[np.float64]:
    drawn = perturbations.realise(name, scan, seed=5, window=list(WINDOW), **options)
    return grey_of(drawn.at(level=level).image)


def even(value: float, shape: tuple[int, ...] = (160, 200)) -> NDArray[np.float64]:
    return np.full(shape, value)


@pytest.mark.parametrize("name", ROWS)
def test_levels_are_the_published_ones(name: str) -> None:
    levels = CATALOG[f"imagenet_c_{name}"].body.values
    published = ROWS[name] if name != "shot_noise" else [1 / c for c in ROWS[name]]
    assert list(levels) == pytest.approx(list(published))


def test_noise_has_its_standard_deviation_in_grey_levels() -> None:
    change = made("imagenet_c_gaussian_noise", picture(even(0.5)), 0.08) - 0.5
    # 32 000 pixels: the standard error of an sd is 0.08 / sqrt(64000) = 0.0003
    assert change.std() == pytest.approx(0.08, abs=0.0013)
    assert change.mean() == pytest.approx(0.0, abs=0.002)
    # and is clipped to the window: at 0.38 a share of 2 Phi(-0.5 / 0.38) = 0.188 lies on its ends
    strong = made("imagenet_c_gaussian_noise", picture(even(0.5)), 0.38)
    at_ends = np.isclose(strong, 0, atol=1e-6) | np.isclose(strong, 1, atol=1e-6)
    assert at_ends.mean() == pytest.approx(0.188, abs=0.01)


def test_speckle_grows_with_the_grey_level() -> None:
    dark, bright = (
        made("imagenet_c_speckle_noise", picture(even(value)), 0.15).std() for value in (0.2, 0.6)
    )
    assert dark == pytest.approx(0.15 * 0.2, rel=0.02)
    # beyond 1 it is clipped, which 0.4 / 0.09 = 4.4 sd never reach
    assert bright == pytest.approx(0.15 * 0.6, rel=0.02)


@pytest.mark.parametrize(("photons", "grey"), [(60, 0.5), (12, 0.5), (3, 0.3)])
def test_shot_noise_counts_photons(photons: int, grey: float) -> None:
    values = made("imagenet_c_shot_noise", picture(even(grey)), 1 / photons)
    counts = np.rint(values * photons)
    assert np.abs(values * photons - counts).max() < 1e-3
    expected = stats.poisson(photons * grey)
    for number in range(photons):  # what is brighter than white is clipped
        share = float(expected.pmf(number))
        error = 4 * np.sqrt(max(share * (1 - share), 1e-6) / counts.size)
        assert (counts == number).mean() == pytest.approx(share, abs=error)


def test_impulses_are_black_and_white_in_equal_numbers_and_stay() -> None:
    few = made("imagenet_c_impulse_noise", picture(even(0.5)), 0.03)
    many = made("imagenet_c_impulse_noise", picture(even(0.5)), 0.27)
    for values, share in ((few, 0.03), (many, 0.27)):
        # 32 000 pixels: four standard errors of a share p are 4 sqrt(p / 32000)
        slack = 4 * np.sqrt(share / 32000)
        assert (values < 1e-6).mean() == pytest.approx(share / 2, abs=slack)
        assert (values > 1 - 1e-6).mean() == pytest.approx(share / 2, abs=slack)
    assert (many[few < 1e-6] < 1e-6).all()
    assert (many[few > 1 - 1e-6] > 1 - 1e-6).all()


def test_a_point_is_spread_over_the_published_kernels() -> None:
    point = even(0.0, (61, 63))
    point[30, 31] = 1.0
    blurred = made("imagenet_c_gaussian_blur", picture(point), 2.0)
    y, x = np.mgrid[-30:31, -31:32]
    expected = np.exp(-(y**2 + x**2) / 8) / (8 * np.pi)
    assert np.abs(blurred - expected).max() < 2e-4
    disk = made("imagenet_c_defocus_blur", picture(point), 6.0)
    inside = (y**2 + x**2 <= 36).sum()
    # flat within 6 px but for the soft edge, and nothing beyond 6 + 1.5
    assert disk[y**2 + x**2 <= 16] == pytest.approx(1 / inside, rel=0.01)
    assert np.abs(disk[y**2 + x**2 > 7.5**2]).max() < 1e-6


@pytest.mark.parametrize(("radius", "sigma"), [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5)])
def test_the_rim_of_the_disk_is_softened_as_published(radius: int, sigma: float) -> None:
    point = even(0.0, (61, 63))
    point[30, 31] = 1.0
    disk = made("imagenet_c_defocus_blur", picture(point), float(radius))
    y, x = np.mgrid[-30:31, -31:32]
    # three taps exp(-k^2 / (2 sigma^2)) over their sum; beyond the rim on an axis one pixel is inside
    aside = math.exp(-1 / (2 * sigma**2))
    middle, tap = 1 / (1 + 2 * aside), aside / (1 + 2 * aside)
    inside = (y**2 + x**2 <= radius**2).sum()
    assert disk[30, 31 + radius + 1] == pytest.approx(tap * middle / inside, abs=1e-6)
    assert disk[30 - radius - 1, 31] == pytest.approx(tap * middle / inside, abs=1e-6)


def test_motion_blur_smears_along_a_line_without_a_shift() -> None:
    point = even(0.0, (121, 121))
    point[60, 60] = 1.0
    smeared = made("imagenet_c_motion_blur", picture(point), 5.0)
    y, x = np.mgrid[-60:61, -60:61]
    total = smeared.sum()
    assert total == pytest.approx(1.0, abs=1e-3)
    assert (smeared * y).sum() / total == pytest.approx(0.0, abs=1e-3)
    assert (smeared * x).sum() / total == pytest.approx(0.0, abs=1e-3)
    # the published one-sided weights exp(-k^2 / 50), k = 0 to 30, have an sd of 2.89 px about their mean
    k = np.arange(31)
    weights = np.exp(-(k**2) / 50) / np.exp(-(k**2) / 50).sum()
    spread = np.sqrt((weights * k**2).sum() - (weights * k).sum() ** 2)
    covariance = np.array([[(smeared * a * b).sum() / total for a in (y, x)] for b in (y, x)])
    long, thin = np.linalg.eigvalsh(covariance)[::-1]
    assert np.sqrt(long) == pytest.approx(spread, rel=0.06)
    assert np.sqrt(thin) < 0.6


def test_zoom_blur_keeps_the_centre_and_smears_outward() -> None:
    y, x = np.mgrid[-40:41, -40:41]
    ring = (np.abs(np.hypot(y, x) - 30) < 1.5).astype(float)
    smeared = made("imagenet_c_zoom_blur", picture(ring), 0.2)
    radius = np.hypot(y, x)
    assert smeared[radius < 27].max() == pytest.approx(0.0, abs=1e-6)
    # zooms of 1 to 1.2 carry the ring from 30 to 36 px
    assert smeared[np.abs(radius - 35) < 0.5].min() > 0
    assert smeared[radius > 39].max() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("level", "zooms"), [(0.11, ZOOMS[0]), (0.2, ZOOMS[2]), (0.3, ZOOMS[4])])
def test_zoom_blur_is_the_published_mean_over_zooms_and_the_picture_once_more(
    level: float, zooms: tuple[float, float, float]
) -> None:
    away = np.abs(np.arange(-60, 61))
    bar = np.broadcast_to((away <= 30).astype(float), (41, 121))
    smeared = made("imagenet_c_zoom_blur", picture(bar.copy()), level)
    # a zoom f shows at x what lay at x / f, linearly between 30, bright, and 31, dark
    factors = np.arange(*zooms)
    zoomed = np.clip(31 - away[None] / factors[:, None], 0, 1)
    expected = (bar[0] + zoomed.sum(axis=0)) / (len(factors) + 1)
    assert np.abs(smeared - expected).max() < 1e-5


def test_contrast_and_brightness_are_affine() -> None:
    ramp = np.linspace(0.1, 0.4, 80 * 60).reshape(80, 60)
    pulled = made("imagenet_c_contrast", picture(ramp), 0.3)
    assert np.abs(pulled - (0.25 + 0.3 * (ramp - 0.25))).max() < 1e-5
    raised = made("imagenet_c_brightness", picture(ramp), 0.3)
    assert np.abs(raised - (ramp + 0.3)).max() < 1e-5
    bright = made("imagenet_c_brightness", picture(ramp + 0.5), 0.3)
    assert bright.max() == pytest.approx(1.0, abs=1e-6)


def test_pixelation_shows_the_means_of_boxes() -> None:
    drawn = np.random.default_rng(1).uniform(0.1, 0.9, (60, 80))
    boxes = made("imagenet_c_pixelate", picture(drawn), 0.25)
    means = drawn.reshape(15, 4, 20, 4).mean(axis=(1, 3))
    assert np.abs(boxes - np.kron(means, np.ones((4, 4)))).max() < 1e-5


def test_glass_moves_pixels_no_further_than_its_steps_and_none_on_average() -> None:
    point = even(0.0, (61, 61))
    point[20:41, 20:41] = 1.0
    changed = made("imagenet_c_glass_blur", picture(point), 3.0)
    # steps of up to 2 px, 3 rounds, and two Gaussians of 1 px that end at 5 px
    reach = 3 * 2 + 10
    still = ndimage.binary_dilation(point > 0, np.ones((3, 3)), reach)
    assert np.abs(changed[~still]).max() < 1e-6
    y, x = np.mgrid[-30:31, -30:31]
    # the centre of 441 px whose rims move by up to 6 px stays within 0.25 px
    assert abs((changed * y).sum() / changed.sum()) < 0.25
    assert abs((changed * x).sum() / changed.sum()) < 0.25


def test_glass_looks_as_far_as_its_largest_step() -> None:
    # row 2: one round of steps up to 2 px between two Gaussians of .9 px, on a ramp of .003 per px
    ramp = np.broadcast_to(np.linspace(0.2, 0.8, 201), (160, 201)).copy()
    rough = made("imagenet_c_glass_blur", picture(ramp), 2.0) - ramp
    # a uniform number within +-2, rounded, is +-2 at 1/8 and +-1 at 1/4 each: a variance of 1.5; the second
    # Gaussian leaves the sum of its squared weights of the sd of white noise
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 0.9**2))
    left = (taps**2).sum() / taps.sum() ** 2
    assert rough[12:-12, 12:-12].std() == pytest.approx(0.003 * math.sqrt(1.5) * left, rel=0.05)


def test_the_elastic_row_moves_by_three_published_standard_deviations_in_pixels() -> None:
    # uniform +-0.005 of the side, smoothed by 0.01 of it, times alpha: .005/sqrt(3)/(2 sqrt(pi) .01) = .0814
    drawn = perturbations.realise("imagenet_c_elastic", picture(even(0.5, (120, 140))), seed=3)
    warp = drawn.at(level=12.5).warp
    assert warp is not None
    assert float(warp.displacement().max()) == pytest.approx(3 * 0.0814 * 12.5, rel=0.01)
    assert warp.smallest_jacobian() > 0


@pytest.mark.parametrize("name", [n for n in PRESETS["imagenet-c"] if "elastic" not in n])
def test_values_beyond_the_window_keep_what_they_have_beyond(name: str) -> None:
    grey = np.random.default_rng(2).uniform(0.2, 0.8, (48, 52))
    grey[:4] = 1.5  # 400, 100 above white
    scan = picture(grey)
    drawn = perturbations.realise(name, scan, seed=5, window=list(WINDOW))
    changed = grey_of(drawn.at(severity=1).image)
    assert changed[:4].max() <= 1.5 + 1e-5
    assert changed[:4].min() >= 0.5 - 1e-5
    assert changed[8:].max() <= 1 + 1e-5


@pytest.mark.parametrize("name", ["imagenet_c_gaussian_noise", "kamath_speckle"])
def test_a_round_trip_leaves_only_256_grey_levels(name: str) -> None:
    grey = np.random.default_rng(2).uniform(0.2, 0.8, (48, 52))
    whole = made(name, picture(grey), 0.1, round_trip=True) * 255
    assert np.abs(whole - np.rint(whole)).max() < 1e-2
    # a fraction is cut: on average half a level darker than without
    free = made(name, picture(np.rint(grey * 255) / 255), 0.1) * 255
    assert (free - whole).mean() == pytest.approx(0.5, abs=0.03)
    assert (free - whole).max() < 1.01


def test_slices_are_pictures_of_their_own() -> None:
    grey = np.random.default_rng(2).uniform(0.2, 0.8, (5, 40, 44))
    grey[2] += 0.15
    changed = made("imagenet_c_contrast", picture(grey), 0.2)
    for before, after in zip(grey, changed, strict=True):
        mean = before.mean()
        assert np.abs(after - (mean + 0.2 * (before - mean))).max() < 1e-4


def test_kamath_blurs_the_background_and_lets_the_object_be() -> None:
    grey = np.random.default_rng(3).uniform(0.3, 0.7, (80, 90))
    region = np.zeros((80, 90), dtype=bool)
    region[20:50, 30:60] = True
    scan = picture(grey, region=torch.from_numpy(region))
    changed = made("kamath_background_blur", scan, 3.0)
    assert np.abs(changed - grey)[region].max() < 1e-6
    # as the study's code: the whole picture blurred (skimage: nearest, cut at 4 sd), then pasted
    expected = ndimage.gaussian_filter(grey, 3.0, mode="nearest", truncate=4.0)
    assert np.abs(changed - expected)[~region].max() < 2e-3


@pytest.mark.parametrize(("variance", "spread"), [(0.1, 0.158), (0.3, 0.258)])
def test_kamath_speckle_on_an_even_picture_of_128_has_the_study_s_spread(
    variance: float, spread: float
) -> None:
    # measured with skimage's random_noise(mode="speckle") on a flat image of 128 / 255
    values = made("kamath_speckle", picture(even(128 / 255, (400, 400))), variance)
    assert values.std() == pytest.approx(spread, abs=0.002)
    if variance == 0.3:
        ends = np.isclose(values, 0, atol=1e-6) | np.isclose(values, 1, atol=1e-6)
        assert ends.mean() == pytest.approx(0.069, abs=0.004)


def test_kamath_blends_in_nine_steps() -> None:
    for name in ("kamath_texture_blend", "kamath_texture_blend_foreground"):
        assert CATALOG[name].body.values == tuple(k / 10 for k in range(1, 10))


def test_the_preset_holds_the_study_s_perturbations_and_both_directions() -> None:
    assert {name: CATALOG[name].body.values for name in PRESETS["kamath2023"][:2]} == {
        "kamath_background_blur": (3.0, 7.0),
        "kamath_speckle": (0.1, 0.3),
    }
    assert [(name, CATALOG[name].options["direction"]) for name in PRESETS["kamath2023"][2:]] == [
        ("kamath_texture_blend", "background"),
        ("kamath_texture_blend_foreground", "foreground"),
    ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"window": [3.0, 1.0]}, "black before white"),
        ({"window": "soft"}, "window of two numbers"),
        ({"round_trip": 2}, "true or false"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        perturbations.realise("imagenet_c_gaussian_noise", picture(even(0.5)), seed=1, **options)
