"""Dose, hardening, rings and metal, by arithmetic on phantoms of known chords."""

from __future__ import annotations

import gc
import math
import weakref

import numpy as np
import pytest
import torch
from ct_phantoms import change, plane, water
from numpy.typing import NDArray
from scans import abdomen, padded_ct

import perturbations
from perturbations import Scan
from perturbations.attenuation import (
    HU_PER_MM,
    WATER_PER_MM,
    attenuation_of,
    incident_photons,
    own_noise_hu,
)
from perturbations.ct import _inverse_abel, ring_artefact
from perturbations.projector import Geometry, Grid, backproject, ramp_filter

LINES = ("ct_dose", "beam_hardening", "ring_artefact", "metal_streaks")


@pytest.mark.parametrize("kernel", ["soft", "sharp"])
@pytest.mark.parametrize("spacing", [(3.0, 1.5, 1.5), (3.0, 1.1, 1.7)])
def test_a_fraction_of_the_dose_adds_its_share_of_the_noise_in_soft_tissue(
    kernel: str, spacing: tuple[float, float, float]
) -> None:
    scan = water(spacing=spacing)
    soft = scan.image[0] > 0
    for level in (1 / 2, 1 / 8, 1 / 32):
        added = change("ct_dose", scan, level, full_dose_noise_hu=10.0, kernel=kernel)[soft]
        # 24 slices of some 3400 pixels, of which neighbours share noise
        expected = 10.0 * math.sqrt((1 - level) / level)
        assert float(added.std()) == pytest.approx(expected, rel=0.03)
        assert float(added.mean()) == pytest.approx(0.0, abs=0.02 * expected)


def test_its_variance_is_the_mean_of_exp_p_over_the_rays_through_a_place() -> None:
    radius = 75.0
    scan = water(radius, slices=64, size=(128, 128))
    added = change("ct_dose", scan, 0.5, full_dose_noise_hu=10.0)
    y, x = plane((128, 128), (1.5, 1.5))
    away = np.hypot(y, x)
    angles = np.linspace(0, np.pi, 721)
    ratios = []
    for distance in (4.0, 30.0, 60.0, 72.0, 85.0):
        # a ray at the angle a through a point at r passes the centre at r sin(a)
        t = distance * np.sin(angles)
        p = 2 * 1.04 * WATER_PER_MM * np.sqrt(np.maximum(radius**2 - t**2, 0))
        ring = torch.from_numpy(np.abs(away - distance) < 2.0)
        ratios.append(float(added[:, ring].var()) / np.exp(p).mean())
    # exp(p) falls by 3.3 from the centre to outside; the constant before it stays
    assert ratios == pytest.approx([float(np.mean(ratios))] * 5, rel=0.08)


def test_photons_follow_from_the_variance_of_filtered_rays() -> None:
    # a water cylinder, its centre: (1000 / mu)^2 (pi / views)^2 views exp(p) / I0 (2/3 r0 + 1/3 r1), with
    # r0 = 1/16 + 2 sum 1 / (pi n)^4 over odd n = 1/12, r1 = 2 (1/4) (-1 / pi^2) for the plain ramp, for
    # products of odd and even places are 0 but at n = 0; all over bin_mm^2
    scan = water(6.0, slices=4, size=(40, 40), spacing=(3.0, 1.0, 1.0))
    body = attenuation_of(scan, "ct_dose")
    rays = Geometry.covering(body.grid)
    photons = incident_photons(body, rays, 10.0, soft=False)
    factor = 2 / 3 / 12 - 1 / 3 / (2 * math.pi**2)
    p = 2 * 6.0 * 1.04 * WATER_PER_MM * 0.92  # the mean chord of rays through places in the disk
    expected = HU_PER_MM**2 * math.pi**2 / rays.views * math.exp(p) * factor / 10.0**2
    assert photons == pytest.approx(expected, rel=0.03)
    assert incident_photons(body, rays, 20.0, soft=False) == pytest.approx(photons / 4)


def spectrum(field: torch.Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Radial noise power of the slices' middle, over cycles per pixel."""
    n = 48
    middle = field[:, 26 : 26 + n, 26 : 26 + n].numpy()
    power = (np.abs(np.fft.fft2(middle)) ** 2).mean(axis=0)
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n))
    band = np.round(frequency * n).astype(int)
    bands = np.arange(1, n // 2)
    return bands / n, np.array([power[band == b].mean() for b in bands])


def test_its_noise_is_not_white_but_rises_with_the_frequency() -> None:
    scan = water(slices=40)
    f, sharp = spectrum(change("ct_dose", scan, 0.5, kernel="sharp"))
    # ramp noise: power in proportion to f, less what linear interpolation takes at high f
    low = f < 0.2
    assert np.corrcoef(f[low], sharp[low])[0, 1] > 0.98
    assert sharp[0] < 0.25 * sharp[low][-1]
    f, soft = spectrum(change("ct_dose", scan, 0.5, kernel="soft"))
    peak = f[soft.argmax()]
    assert 0.08 < peak < 0.25
    assert soft[0] < 0.4 * soft.max()
    assert soft[-1] < 0.4 * soft.max()


def test_its_noise_streaks_along_the_rays_that_lose_most() -> None:
    y, x = plane((100, 100), (1.5, 1.5))
    image = np.full((24, 100, 100), -1000.0, dtype=np.float32)
    image[:, np.hypot(y, x) < 65] = 40.0
    image[:, (np.hypot(y, x - 45) < 14) | (np.hypot(y, x + 45) < 14)] = 3000.0  # two hips of metal
    scan = Scan(image=torch.from_numpy(image)[None], spacing=(3.0, 1.5, 1.5), modality="ct")
    added = change("ct_dose", scan, 0.25)
    between = added[:, 46:54, 34:66].numpy()
    along = (between[:, :, 4:] * between[:, :, :-4]).mean() / between.var()
    across = (between[:, 4:] * between[:, :-4]).mean() / between.var()
    # 56 mm of 3000 HU lose exp(3.2) = 26 times as much: rays through both decide
    assert along > 0.4
    assert abs(across) < 0.1
    above = added[:, 18:26, 34:66]
    assert between.std() > 1.5 * float(above.std())


@pytest.mark.parametrize("spacing", [(3.0, 1.5, 1.5), (3.0, 1.1, 1.7)])
@pytest.mark.parametrize("level", [20.0, 70.0, 160.0])
def test_cupping_darkens_the_centre_by_its_level_and_not_the_rim(
    level: float, spacing: tuple[float, float, float]
) -> None:
    scan = water(50.0, slices=5, spacing=spacing)
    added = change("beam_hardening", scan, level)[2].numpy()
    y, x = plane((100, 100), spacing[1:])
    away = np.hypot(y, x)
    assert added[away < 2.5].mean() == pytest.approx(-level, rel=2e-3)
    # p = 2 mu sqrt(R^2 - t^2); the inverse Abel transform of p^2 is 8 / pi mu^2 sqrt(R^2 - r^2)
    inside = away < 47
    cup = -level * np.sqrt(1 - (away[inside] / 50) ** 2)
    assert np.abs(added[inside] - cup).max() < 0.06 * level
    assert abs(added[(away > 49) & (away < 51)].mean()) < 0.12 * level
    assert abs(added[(away > 53) & (away < 72)].mean()) < 0.02 * level


def test_cupping_is_about_the_body_and_not_about_the_field_of_view() -> None:
    scan = water(30.0, slices=3, centre=(18.0, -24.0))
    added = change("beam_hardening", scan, 100.0)[1].numpy()
    y, x = plane((100, 100), (1.5, 1.5), (18.0, -24.0))
    away = np.hypot(y, x)
    assert added[away < 2].mean() == pytest.approx(-100.0, rel=0.01)
    assert np.unravel_index(added.argmin(), added.shape) == pytest.approx((62, 34), abs=6)


def test_rings_are_round_about_the_iso_centre() -> None:
    scan = water(60.0, slices=6, size=(129, 161), spacing=(5.0, 1.2, 0.9))
    added = change("ring_artefact", scan, 40.0)[3].numpy()
    y, x = plane((129, 161), (1.2, 0.9))
    away = np.hypot(y, x)
    order = np.argsort(away.ravel(), kind="stable")
    sorted_change, sorted_away = added.ravel()[order], away.ravel()[order]
    same = np.diff(sorted_away) < 1e-6
    # what lies as far from the centre changes alike, also where pixels are not square
    assert same.sum() > 5000
    assert np.abs(np.diff(sorted_change)[same]).max() < 1e-3
    assert np.abs(added[away > 73]).max() < 1e-3


@pytest.mark.parametrize("level", [5.0, 70.0])
def test_rings_have_the_stated_amplitude_in_every_slice(level: float) -> None:
    scan = water(30.0, slices=8, size=(200, 200), spacing=(5.0, 0.4, 0.4))
    added = change("ring_artefact", scan, level)
    for place in range(8):
        # pixels of 0.4 mm on rings of 1.5 mm come within 2 % of the peak
        assert float(added[place].abs().max()) == pytest.approx(level, rel=0.02)
    assert not torch.equal(added[0], added[1])


def test_thin_slices_of_one_row_of_the_detector_share_their_rings() -> None:
    scan = water(30.0, slices=11, size=(60, 60), spacing=(1.0, 1.0, 1.0))
    scan = Scan(image=scan.image, spacing=(1.0, 0.9, 0.9), modality="ct")
    added = change("ring_artefact", scan, 20.0)
    inside = scan.image[0, 0] > 0
    for place in range(11):
        shared = torch.allclose(added[place][inside], added[0][inside], atol=1e-3)
        assert shared == (place < 5)


@pytest.mark.parametrize("width", [2.0, 7.0])
def test_the_inverse_abel_transform_of_a_gaussian_is_a_gaussian(width: float) -> None:
    # g(t) = exp(-t^2 / s^2) has f(r) = exp(-r^2 / s^2) / (s sqrt(pi)): the line integrals of f are g
    edges = np.arange(0.0, 6 * width, width / 40)
    slopes = np.diff(np.exp(-((edges / width) ** 2))) / edges[1]
    found = slopes @ _inverse_abel(edges)
    expected = np.exp(-((edges[:-1] / width) ** 2)) / (width * math.sqrt(math.pi))
    assert np.abs(found - expected).max() < 0.01 * expected[0]


class OneElement(np.random.Generator):
    """Draws the middle of every range, so that all twelve elements of the detector are one."""

    def uniform(self, low: float, high: float, size: tuple[int, ...]) -> NDArray[np.float64]:  # type: ignore[override]
        return np.full(size, (low + high) / 2)

    def choice(self, a: tuple[float, ...], size: tuple[int, ...]) -> NDArray[np.float64]:  # type: ignore[override]
        return np.full(size, a[-1])


def test_a_ring_is_what_a_wrong_gain_reconstructs_to() -> None:
    scan = water(40.0, slices=1, size=(161, 161), spacing=(5.0, 0.5, 0.5))
    drawn = ring_artefact(scan, OneElement(np.random.SFC64(1)), width_mm=3.0)
    added = (drawn(50.0)[0] - scan.image)[0, 0].double().numpy()
    # one element at (.05 + 1) / 2 of the half side of 40.25 mm, the same in all views: give it to the FBP
    rays = Geometry(views=252, bins=241, bin_mm=0.25)
    sigma = 3.0 / (2 * math.sqrt(2 * math.log(2)))
    gain = np.exp(-(((np.abs(rays.t) - 0.525 * 40.25) / sigma) ** 2) / 2).astype(np.float32)
    views = torch.from_numpy(np.tile(gain, (rays.views, 1)))[..., None]
    found = np.zeros((161, 161))

    def take(start: int, stop: int, piece: torch.Tensor) -> None:
        found[start:stop] = piece[..., 0].numpy()

    grid = Grid.centred((161, 161), (0.5, 0.5))
    backproject(ramp_filter(views.contiguous(), rays), rays, grid, take)
    y, x = plane((161, 161), (0.5, 0.5))
    inside = (np.hypot(y, x) < 28) & (np.hypot(y, x) > 1)
    peak = np.abs(found[inside]).max()
    assert np.abs(50.0 * found / peak - added)[inside].max() < 0.04 * 50.0


def test_only_slices_that_hold_the_body_change() -> None:
    scan = water(40.0, slices=20)
    image = scan.image.clone()
    image[:, :6] = -1000.0
    image[:, 15:] = -1000.0
    image += torch.from_numpy(np.random.default_rng(0).normal(0, 5, image.shape)).float()
    scan = Scan(image=image, spacing=scan.spacing, modality="ct")
    for name in LINES:
        added = change(name, scan, 0.25 if name == "ct_dose" else 50.0)
        touched = (added != 0).flatten(1).any(dim=1).numpy()
        # the body's slices 6 to 14 and a margin of two
        assert not touched[:4].any()
        assert not touched[17:].any()
        if name != "metal_streaks":
            assert touched[4:17].all()


@pytest.mark.parametrize("name", LINES)
def test_padding_counts_as_air_and_comes_back(name: str) -> None:
    scan = padded_ct()
    image = scan.image
    outcome = perturbations.realise(name, scan, seed=1).at(severity=4).image
    padding = image < -1500
    assert torch.equal(outcome[padding], image[padding])
    air = Scan(image=image.clamp(min=-1000.0), spacing=scan.spacing, modality="ct")
    expected = perturbations.realise(name, air, seed=1).at(severity=4).image
    assert torch.equal(outcome[~padding], expected[~padding])


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("name", LINES)
def test_slices_lie_across_the_axis_of_the_largest_spacing(name: str, axis: int) -> None:
    scan = abdomen()
    order = [1, 2]
    order.insert(axis, 0)
    spacing = tuple(scan.spacing[i] for i in order)
    turned = Scan(
        image=scan.image.permute(0, *(1 + i for i in order)).contiguous(),
        spacing=spacing,
        modality="ct",
    )
    outcome = perturbations.realise(name, turned, seed=2).at(severity=3).image
    expected = perturbations.realise(name, scan, seed=2).at(severity=3).image
    assert torch.equal(outcome, expected.permute(0, *(1 + i for i in order)))


@pytest.mark.parametrize("name", LINES)
def test_a_slice_alone_is_an_image_of_two_axes(name: str) -> None:
    whole = abdomen()
    scan = Scan(image=whole.image[:, 6].clone(), spacing=whole.spacing[1:], modality="ct")
    drawn = perturbations.realise(name, scan, seed=1)
    assert not torch.equal(drawn.at(severity=1).image, scan.image)
    # the same as a volume of one slice
    one = Scan(image=whole.image[:, 6:7].clone(), spacing=whole.spacing, modality="ct")
    expected = perturbations.realise(name, one, seed=1).at(severity=1).image[:, 0]
    assert torch.equal(drawn.at(severity=1).image, expected)


def test_a_scan_is_projected_once_and_forgotten_with_the_scan() -> None:
    scan = abdomen()
    body = attenuation_of(scan, "ct_dose")
    kept = body.sinogram.clone()
    for name in LINES:
        perturbations.realise(name, scan, seed=1).at(severity=2)
    assert attenuation_of(scan, "beam_hardening") is body
    assert torch.equal(body.sinogram, kept)
    gone = weakref.ref(body.sinogram)
    del scan, body
    gc.collect()
    assert gone() is None


def test_the_noise_of_a_scan_is_found_in_its_soft_tissue() -> None:
    clean = water(slices=16)
    assert own_noise_hu(clean) == 5.0  # the least that a scan is taken to have
    for sigma, kernel in ((15.0, "soft"), (15.0, "sharp"), (30.0, "soft"), (30.0, "sharp")):
        noise = change("ct_dose", clean, 0.5, full_dose_noise_hu=sigma, kernel=kernel)
        noisy = Scan(image=clean.image + noise.float(), spacing=clean.spacing, modality="ct")
        assert own_noise_hu(noisy) == pytest.approx(sigma, rel=0.16)
    bone = Scan(
        image=torch.where(clean.image > 0, 900.0, -1000.0), spacing=(3, 1, 1), modality="ct"
    )
    assert own_noise_hu(bone) == 12.0  # nothing to see it in


def test_the_noise_of_the_scan_itself_sets_the_photons() -> None:
    scan = water(slices=8)
    quiet = change("ct_dose", scan, 0.5, full_dose_noise_hu=6.0)
    loud = change("ct_dose", scan, 0.5, full_dose_noise_hu=18.0)
    # one draw: three times the noise is a ninth of the photons
    assert torch.allclose(loud, 3 * quiet, atol=0.01)


@pytest.mark.parametrize(
    ("offset", "scale", "shown"),
    [(1024.0, 1.0, "from 24 to"), (1000.0, 1 / 3000, "from 0 to"), (900.0, 1.0, "from -100 to")],
)
@pytest.mark.parametrize("name", LINES)
def test_values_that_cannot_be_hu_are_refused(
    name: str, offset: float, scale: float, shown: str
) -> None:
    scan = water(slices=3)
    wrong = Scan(image=(scan.image + offset) * scale, spacing=scan.spacing, modality="ct")
    with pytest.raises(
        ValueError, match=f"{name} needs HU with air near -1000, got values {shown}"
    ):
        perturbations.realise(name, wrong, seed=1)


@pytest.mark.parametrize("name", LINES)
def test_a_scan_without_mm_is_refused(name: str) -> None:
    scan = water(slices=3)
    bare = Scan(image=scan.image, spacing=(1, 1, 1), unit="px", modality="ct")
    with pytest.raises(ValueError, match=f"{name} needs a spacing in mm"):
        perturbations.realise(name, bare, seed=1)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("ct_dose", "kernel", "bone"),
        ("ct_dose", "full_dose_noise_hu", 0.0),
        ("ct_dose", "full_dose_noise_hu", math.inf),
        ("ring_artefact", "width_mm", -1.0),
    ],
)
def test_options_that_mean_nothing_are_refused(name: str, option: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{option} of {name} must be"):
        perturbations.realise(name, water(slices=3), seed=1, **{option: value})


@pytest.mark.parametrize("name", LINES)
def test_a_scan_of_air_has_no_effect(name: str) -> None:
    air = Scan(image=torch.full((1, 6, 20, 20), -1000.0), spacing=(3, 1, 1), modality="ct")
    air.image[0, 0, 0, 0] = -999.0
    result = perturbations.realise(name, air, seed=1).at(severity=5)
    assert result.status == "no_effect"


def test_the_noise_that_full_dose_stands_for_is_recorded() -> None:
    flat = Scan(image=torch.full((1, 6, 40, 40), -1000.0), spacing=(3, 1, 1), modality="ct")
    flat.image[0, :, 8:32, 8:32] = 40.0
    # no noise at all: the floor; no soft tissue to see it in: what is assumed
    found = perturbations.realise("ct_dose", flat, seed=1).at(severity=2).facts
    assert found == {"full_dose_noise_hu": 5.0, "full_dose_noise_by": "floor"}
    bone = Scan(image=flat.image.clone(), spacing=(3, 1, 1), modality="ct")
    bone.image[bone.image == 40.0] = 700.0
    found = perturbations.realise("ct_dose", bone, seed=1).at(severity=2).facts
    assert found == {"full_dose_noise_hu": 12.0, "full_dose_noise_by": "fallback"}
    given = perturbations.realise("ct_dose", flat, seed=1, full_dose_noise_hu=20)
    assert given.at(severity=2).facts["full_dose_noise_by"] == "declared"
