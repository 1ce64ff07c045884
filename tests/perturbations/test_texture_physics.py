"""Blends of texture: what the changed side takes from the donor, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

import perturbations
from perturbations import CATALOG, Scan
from perturbations.stationary import autocovariance

Mask = NDArray[np.bool_]
SHAPE = (16, 64, 96)
BOX = (slice(3, 13), slice(12, 52), slice(20, 70))


def smooth(shape: tuple[int, ...], sigma: tuple[float, ...], seed: int) -> NDArray[np.float64]:
    """Draw a texture of mean 0 and standard deviation 1."""
    white = np.random.default_rng(seed).normal(size=shape)
    drawn = ndimage.gaussian_filter(white, sigma, mode="wrap") if any(sigma) else white
    return np.asarray((drawn - drawn.mean()) / drawn.std())


def two_textures(shape: tuple[int, ...] = SHAPE) -> tuple[Scan, Mask]:
    """A box of 200 with a coarse texture of sd 12, in 100 with white noise of sd 5; 4 x 1 x 1 mm."""
    box, thick = BOX[3 - len(shape) :], (0.5, 2.0, 2.0)[3 - len(shape) :]
    region = np.zeros(shape, dtype=bool)
    region[box] = True
    coarse, white = smooth(shape, thick, 1), smooth(shape, (), 2)
    image = np.where(region, 200 + 12 * coarse, 100 + 5 * white).astype(np.float32)
    scan = Scan(
        image=torch.from_numpy(image)[None],
        spacing=(4.0, 1.0, 1.0)[3 - len(shape) :],
        modality="mr",
        region=torch.from_numpy(region),
    )
    return scan, region


def blended(scan: Scan, level: float, direction: str, seed: int = 3) -> NDArray[np.float32]:
    drawn = perturbations.realise("texture_blend", scan, seed=seed, direction=direction)
    image: NDArray[np.float32] = drawn.at(level=level).image[0].numpy()
    return image


def along(values: NDArray[np.float32], axis: int, lag: int) -> float:
    """Correlation at a lag along one axis."""
    centred = np.moveaxis(values.astype(np.float64) - values.mean(dtype=np.float64), axis, 0)
    return float((centred[:-lag] * centred[lag:]).mean() / centred.var())


@pytest.mark.parametrize("shape", [SHAPE, SHAPE[1:]])
@pytest.mark.parametrize("direction", ["background", "foreground"])
def test_the_donor_side_keeps_its_bits(shape: tuple[int, ...], direction: str) -> None:
    scan, region = two_textures(shape)
    donor = region if direction == "background" else ~region
    clean = scan.image[0].numpy()
    changed = blended(scan, 0.9, direction)
    assert (changed[donor] == clean[donor]).all()
    assert (changed[~donor] != clean[~donor]).mean() > 0.99


def test_a_background_at_level_1_has_the_texture_of_the_region() -> None:
    scan, region = two_textures()
    values = blended(scan, 1.0, "background")
    outside = values[~region]
    donor = scan.image[0].numpy()[region]
    assert outside.mean() == pytest.approx(donor.mean(), abs=1.0)
    # what varies more slowly than 15 mm is not texture; the texture's own width is 2 sigma sqrt(2 ln 2)
    # = 4.7 mm, so that most of the 12 remains
    assert 0.8 * 12 < outside.std() < 1.05 * 12
    right = values[:, :, 72:]
    # a Gaussian of sigma 2 voxels correlates by exp(-h^2 / (4 sigma^2)): .94, .78, .37 at 1, 2, 4 mm
    assert along(right, 2, 1) == pytest.approx(np.exp(-1 / 16), abs=0.05)
    assert along(right, 2, 2) == pytest.approx(np.exp(-4 / 16), abs=0.08)
    assert along(right, 2, 4) == pytest.approx(np.exp(-16 / 16), abs=0.12)
    assert along(right, 2, 16) == pytest.approx(0.0, abs=0.1)
    # and along the slices, 4 mm apart, as the donor does
    assert along(right, 0, 1) == pytest.approx(along(scan.image[0].numpy()[BOX], 0, 1), abs=0.12)


def test_a_region_at_level_1_has_the_white_texture_of_what_surrounds_it() -> None:
    scan, region = two_textures()
    values = blended(scan, 1.0, "foreground")
    inside = values[BOX]
    # 20 000 voxels: the standard error of the mean is 5 / sqrt(20000) = 0.035, of the sd 0.025
    assert inside.mean() == pytest.approx(100.0, abs=0.3)
    assert inside.std() == pytest.approx(5.0, rel=0.05)
    assert abs(along(inside, 2, 1)) < 0.05
    assert abs(along(inside, 0, 1)) < 0.05
    # nothing of the shape is left: the same mean on both sides of the border
    rim = ndimage.binary_dilation(region) & ~region
    assert inside.mean() - values[rim].mean() == pytest.approx(0.0, abs=0.5)


@pytest.mark.parametrize("name", ["texture_blend", "kamath_texture_blend"])
def test_both_directions_are_lines_of_their_own(name: str) -> None:
    """Perturbations are keyed by name: one audit holds both directions, each with its own draw."""
    scan, region = two_textures(SHAPE[1:])
    clean = scan.image[0].numpy()
    background, foreground = CATALOG[name], CATALOG[f"{name}_foreground"]
    assert (background.body, background.limits) == (foreground.body, foreground.limits)
    for entry, target in ((background, ~region), (foreground, region)):
        made = perturbations.realise(entry.name, scan, seed=3).at(level=0.5).image[0].numpy()
        assert (made[~target] == clean[~target]).all()
        assert (made[target] != clean[target]).mean() > 0.99
    # level 1 of the foreground: what surrounds the box has mean 100 and sd 5, white: 5 / sqrt(2000) = .11
    whole = perturbations.realise(foreground.name, scan, seed=3).at(level=1.0).image[0].numpy()
    assert whole[region].mean() == pytest.approx(100.0, abs=1.0)
    assert whole[region].std() == pytest.approx(5.0, rel=0.15)


def test_a_level_blends_in_proportion() -> None:
    scan, region = two_textures()
    clean, full = scan.image[0].double().numpy(), blended(scan, 1.0, "background").astype(float)
    part = blended(scan, 0.3, "background")
    expected = 0.7 * clean + 0.3 * full
    assert np.abs(part - expected)[~region].max() < 1e-4


def test_channels_share_the_draw_and_keep_their_own_strength() -> None:
    scan, region = two_textures()
    both = Scan(
        image=torch.cat([scan.image, 3 * scan.image + 50]),
        spacing=scan.spacing,
        modality="mr",
        region=scan.region,
    )
    first, second = perturbations.realise("texture_blend", both, seed=3).at(level=1.0).image.numpy()
    # the second channel is an affine image of the first, and so is its blend
    assert np.abs(second - (3 * first + 50))[~region].max() < 0.05


def test_a_removed_background_stays_empty() -> None:
    scan, region = two_textures()
    image = scan.image.clone()
    image[:, :, :8] = 0
    image[:, :, 56:] = 0
    image[:, :, :, :16] = 0
    stripped = Scan(
        image=image, spacing=scan.spacing, modality="mr", state="skull_stripped", region=scan.region
    )
    changed = perturbations.realise("texture_blend", stripped, seed=3).at(level=0.8).image
    assert (changed[image == 0] == 0).all()
    assert (changed != image)[0].numpy()[~region].any()


def test_non_negative_scans_stay_so() -> None:
    scan, _ = two_textures()
    assert scan.region is not None
    faint = torch.where(scan.region, (scan.image - 200).abs(), scan.image)
    dark = Scan(image=faint, spacing=scan.spacing, modality="mr", region=scan.region)
    assert (perturbations.realise("texture_blend", dark, seed=3).at(level=1.0).image >= 0).all()


def test_the_autocovariance_of_drawn_noise_is_that_of_its_kernel() -> None:
    # an L-shaped mask, so that its shape would show if it were not divided out
    mask = np.zeros((200, 240), dtype=bool)
    mask[20:180, 30:90] = True
    mask[120:180, 30:220] = True
    values = (7 * smooth(mask.shape, (1.0, 2.0), 5)).astype(np.float32)
    measured = autocovariance(values, mask, (2.0, 1.0), 60.0)
    centre = tuple(n // 2 for n in measured.shape)
    variance = measured[centre]
    assert variance == pytest.approx(49.0, rel=0.08)
    for lag in (1, 2, 3):
        # sigma 1 voxel down, 2 voxels to the right: exp(-h^2 / (4 sigma^2))
        down = measured[centre[0] + lag, centre[1]] / variance
        right = measured[centre[0], centre[1] + lag] / variance
        assert down == pytest.approx(np.exp(-(lag**2) / 4), abs=0.06)
        assert right == pytest.approx(np.exp(-(lag**2) / 16), abs=0.06)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"direction": "inside"}, "'background' or 'foreground'"),
        ({"scale": 0.0}, "positive number of mm"),
        ({"scale": "wide"}, "positive number of mm"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], told: str) -> None:
    scan, _ = two_textures(SHAPE[1:])
    with pytest.raises(ValueError, match=told):
        perturbations.realise("texture_blend", scan, seed=1, **options)


def test_both_sides_are_needed() -> None:
    scan, _ = two_textures(SHAPE[1:])
    bare = Scan(image=scan.image, spacing=scan.spacing, modality="mr")
    with pytest.raises(ValueError, match="needs the region of the reference"):
        perturbations.realise("texture_blend", bare, seed=1)
    sides = {"missing or empty": torch.zeros, "both sides of the": torch.ones}
    for told, made in sides.items():
        region = made(SHAPE[1:], dtype=torch.bool)
        one = Scan(image=scan.image, spacing=scan.spacing, modality="mr", region=region)
        with pytest.raises(ValueError, match=told):
            perturbations.realise("texture_blend", one, seed=1)
