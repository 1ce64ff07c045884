"""Blur and thick slices, by arithmetic and against SciPy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scans import SPACING, cells, head, padded_ct
from scipy import ndimage

import perturbations
from perturbations import Scan
from perturbations.blur import kernel
from perturbations.catalog import levels_for
from perturbations.resolution import thickening


def test_channels_get_their_own_noise_and_a_shared_blur() -> None:
    scan = replace(cells(), image=cells().image[:1].repeat(2, 1, 1))
    noisy = perturbations.realise("gaussian_noise", scan, seed=6).at(severity=3).image
    assert not torch.equal(noisy[0], noisy[1])
    blurred = perturbations.realise("gaussian_blur", scan, seed=6).at(severity=3).image
    assert torch.equal(blurred[0], blurred[1])


def test_blur_equals_the_reference_filter() -> None:
    scan = head()
    # 9 mm are 1.27 voxels of 3 mm: what the grid resolves is the plain sampled Gaussian
    result = perturbations.realise("gaussian_blur", scan, seed=1).at(level=9.0).image[0]
    sigma = [9.0 / 2.354820045 / s for s in SPACING]
    reference = ndimage.gaussian_filter(
        scan.image[0].numpy().astype(np.float64), sigma, mode="nearest", truncate=5.0
    )
    assert float(np.abs(result.numpy() - reference).max()) < 1e-3


def test_a_point_becomes_as_wide_in_mm_as_was_asked_along_every_axis() -> None:
    spacing = (3.0, 1.0, 1.5)
    image = torch.zeros(1, 31, 61, 61)
    image[0, 15, 30, 30] = 1.0
    image += 1e-9
    scan = Scan(image=image, spacing=spacing, modality="mr")
    point = perturbations.realise("gaussian_blur", scan, seed=1).at(level=9.0).image[0].double()
    for axis, size in enumerate(point.shape):
        profile = point.sum(dim=[other for other in range(3) if other != axis])
        place = (torch.arange(size) - (size - 1) / 2) * spacing[axis]
        sigma = math.sqrt(float((profile * place**2).sum() / profile.sum()))
        assert 2.354820045 * sigma == pytest.approx(9.0, rel=0.02)


def test_blur_in_mm_does_not_depend_on_spacing() -> None:
    widths = []
    for step in (1.0, 2.0):
        size = round(80 / step)
        image = torch.zeros(1, 8, size, size)
        image[0, :, size // 4 : 3 * size // 4] = 100.0
        scan = Scan(image=image, spacing=(4.0, step, step), modality="mr")
        blurred = perturbations.realise("gaussian_blur", scan, seed=1).at(level=8.0).image
        edge = blurred[0, 4, : size // 2, size // 2].numpy()
        places = np.interp([10.0, 90.0], edge, np.arange(len(edge)) * step)
        widths.append(places[1] - places[0])
    # 10 to 90 % of an edge is 2.563 sigma = 8.71 mm, a little more where voxels are coarse
    assert widths[0] == pytest.approx(2.563 * 8.0 / 2.3548, rel=0.05)
    assert widths[1] == pytest.approx(widths[0], rel=0.08)


@pytest.mark.parametrize("factor", [1.5, 2.0, 3.0, 4.0, 6.0, 2.7])
@pytest.mark.parametrize("slices", [5, 24, 25])
def test_thick_slices_average_and_keep_constants(slices: int, factor: float) -> None:
    operator = thickening(slices, factor)
    assert operator.sum(axis=1) == pytest.approx(np.ones(slices))
    assert (operator >= -1e-12).all()
    # what a slice weighs in the mean of the volume stays: exactly where thick slices tile it
    tiles = slices % factor == 0
    assert operator.sum(axis=0) == pytest.approx(np.ones(slices), abs=1e-12 if tiles else 0.12)


def test_two_slices_become_one_and_are_interpolated_back() -> None:
    # by hand: slices 0 2 4 6 in pairs are 1 and 5, centred between their pairs (positions .5, 2.5)
    operator = thickening(4, 2.0)
    assert operator @ np.array([0.0, 2.0, 4.0, 6.0]) == pytest.approx([1.0, 2.0, 4.0, 5.0])


def test_thick_slices_conserve_the_mean_of_a_scan() -> None:
    scan = head()
    for level in (1.5, 2.0, 3.0, 4.0, 6.0):
        image = perturbations.realise("thick_slices", scan, seed=1).at(level=level).image
        assert float(image.mean()) == pytest.approx(float(scan.image.mean()), rel=1e-5)
        assert float(image.std()) < float(scan.image.std())
    # 24 slices are no whole number of 2.7
    image = perturbations.realise("thick_slices", scan, seed=1).at(level=2.7).image
    assert float(image.mean()) == pytest.approx(float(scan.image.mean()), rel=0.003)


def test_overlapping_slices_are_averaged_over_what_their_profile_lacks() -> None:
    # slices of 4 mm every 2 mm, asked for 6 mm: w = sqrt(36 - 16 + 4) = 4.899 mm = 2.449 slices
    operator = thickening(48, 3.0, width=math.sqrt(24) / 2)
    image = torch.zeros(1, 48, 8, 8)
    image[0, 24] = 100.0
    scan = Scan(image=image + 1, spacing=(2.0, 1.0, 1.0), modality="mr", slice_thickness=4.0)
    result = perturbations.realise("thick_slices", scan, seed=1).at(level=1.5).image
    expected = operator @ (image[0, :, 0, 0].numpy() + 1)
    assert result[0, :, 3, 3].numpy() == pytest.approx(expected, rel=1e-5)


def test_slices_further_apart_than_the_thickness_asked_for_stay_as_they_are() -> None:
    # 3 mm slices every 9 mm: contiguous slices of 2 x 3 mm would lie closer than these
    scan = replace(head(), spacing=(9.0, 1.2, 1.5), slice_thickness=3.0)
    drawn = perturbations.realise("thick_slices", scan, seed=1)
    assert drawn.at(level=2.0).status == "no_effect"
    assert drawn.at(level=4.0).status == "ok"


def test_a_flat_image_has_no_slices_to_thicken() -> None:
    image = torch.rand(1, 16, 16)
    scan = Scan(image=image, spacing=(1.0, 1.0), modality="mr")
    result = perturbations.realise("thick_slices", scan, seed=1).at(severity=3)
    assert result.status == "no_effect"
    assert "changes no voxel of this scan" in result.reason


@pytest.mark.parametrize("name", ["gaussian_noise", "gaussian_blur", "thick_slices"])
def test_ct_padding_stays_padding_and_does_not_leak(name: str) -> None:
    scan = padded_ct()
    image = replace(scan).image + torch.arange(6.0).reshape(1, 6, 1, 1) * (scan.image > 0)
    scan = replace(scan, image=image)
    result = perturbations.realise(name, scan, seed=2).at(severity=3).image
    padding = scan.image == -3024.0
    assert bool((result[padding] == -3024.0).all())
    assert not torch.equal(result, scan.image)
    # air stays air up to the edge of the field of view: 5 sigma of 35 HU
    assert float(result[~padding].min()) > -1000 - 5 * 35


def test_light_blurs_into_an_empty_background_but_not_out_of_a_stripped_skull() -> None:
    image = torch.zeros(1, 16, 32, 32)
    image[0, 5:11, 8:24, 8:24] = 100.0
    drawn = {
        state: perturbations.realise(
            "gaussian_blur",
            Scan(image=image, spacing=(4.0, 1.0, 1.0), modality="mr", state=state),
            seed=1,
        )
        .at(level=6.0)
        .image
        for state in ("raw", "skull_stripped")
    }
    assert float(drawn["raw"][image == 0].max()) > 20
    assert float(drawn["skull_stripped"][image == 0].abs().max()) == 0.0
    # weights sum to 1 inside the mask, so that a flat brain stays flat
    assert float((drawn["skull_stripped"][image > 0] - 100.0).abs().max()) < 1e-3


@pytest.mark.parametrize("sigma", [0.05, 0.212, 0.35, 0.5, 0.85, 1.27, 3.8])
def test_a_kernel_has_the_variance_that_was_asked_for(sigma: float) -> None:
    weights = kernel(sigma)
    place = np.arange(len(weights)) - len(weights) // 2
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert math.sqrt((weights * place**2).sum()) == pytest.approx(sigma, rel=1e-3)


@pytest.mark.parametrize("level", [1.5, 2.5, 4.0, 6.0, 9.0])
def test_a_point_has_the_stated_width_on_slices_wider_than_the_blur(level: float) -> None:
    spacing = (3.0, 1.0, 1.5)
    image = torch.zeros(1, 21, 61, 61)
    image[0, 10, 30, 30] = 1.0
    scan = Scan(image=image, spacing=spacing, modality="mr")
    point = perturbations.realise("gaussian_blur", scan, seed=1).at(level=level).image[0].double()
    assert float(point.sum()) == pytest.approx(1.0, rel=1e-5)
    for axis, size in enumerate(point.shape):
        profile = point.sum(dim=[other for other in range(3) if other != axis])
        place = (torch.arange(size) - (size - 1) / 2) * spacing[axis]
        sigma = math.sqrt(float((profile * place**2).sum()))
        assert 2.354820045 * sigma == pytest.approx(level, rel=0.005)


def test_a_point_falls_to_half_its_height_at_half_the_width() -> None:
    image = torch.zeros(1, 9, 101, 101)
    image[0, :, :, 50] = 1.0
    scan = Scan(image=image, spacing=(6.0, 2.0, 0.25), modality="mr")
    line = perturbations.realise("gaussian_blur", scan, seed=1).at(level=4.0).image[0, 4, 50]
    # 2 mm are 8 voxels of .25 mm
    assert float(line[58] / line[50]) == pytest.approx(0.5, rel=1e-3)
    assert float(line[42] / line[50]) == pytest.approx(0.5, rel=1e-3)


PLANES = [
    ("microscopy", (1.0, 1.0)),
    ("xray", (0.5, 1.0)),
    ("other", (0.5, 1.0)),
]
"""Modality and spacing of planes; whether a level is in pixels or in mm, the catalogue says."""


def spread_of_a_point(
    name: str, level: float, modality: str, spacing: tuple[float, float]
) -> NDArray[np.float64]:
    """Covariance of a blurred point along rows and columns, in the unit of the level."""
    image = torch.zeros(1, 121, 91)
    image[0, 60, 45] = 1.0
    scan = Scan(image=image, spacing=spacing, modality=modality)
    point = perturbations.realise(name, scan, seed=5).at(level=level).image[0].double().numpy()
    assert point.sum() == pytest.approx(1.0, rel=1e-5)
    in_mm = levels_for(name, modality)[1] == "mm"
    steps = spacing if in_mm else (1.0, 1.0)
    places = np.meshgrid(
        *((np.arange(n) - n // 2) * s for n, s in zip(point.shape, steps, strict=True)),
        indexing="ij",
    )
    return np.array([[(point * a * b).sum() for a in places] for b in places])


@pytest.mark.parametrize("level", [3.0, 9.0, 19.0])
@pytest.mark.parametrize(("modality", "spacing"), PLANES)
def test_motion_smears_a_point_along_a_line_of_its_length(
    level: float, modality: str, spacing: tuple[float, float]
) -> None:
    covariance = spread_of_a_point("motion_blur", level, modality, spacing)
    # a line of length L has its points at a mean square distance of L^2 / 12 from its centre, all of it
    # along the line but for what sharing between voxels takes: at most .25 voxels^2 an axis
    assert np.trace(covariance) == pytest.approx(level**2 / 12, rel=1e-4)
    across, along = np.linalg.eigvalsh(covariance)
    assert across <= 0.25
    assert along >= level**2 / 12 - 0.25


@pytest.mark.parametrize("level", [2.0, 5.0, 9.0])
@pytest.mark.parametrize(("modality", "spacing"), PLANES)
def test_defocus_spreads_a_point_over_a_disk_of_its_diameter(
    level: float, modality: str, spacing: tuple[float, float]
) -> None:
    covariance = spread_of_a_point("defocus", level, modality, spacing)
    # a disk of diameter D has D^2 / 16 along each axis, the same along both but for the voxels' shape
    assert np.trace(covariance) == pytest.approx(level**2 / 8, rel=1e-4)
    assert covariance[0, 0] == pytest.approx(covariance[1, 1], abs=0.12)
    assert covariance[0, 1] == pytest.approx(0.0, abs=1e-6)
