"""The physics of each entry, one by one, by arithmetic or against a reference implementation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scans import SPACING, cells, head
from scipy import ndimage

import perturbations
from perturbations import Scan, effect
from perturbations.resolution import thickening


def flat(value: float, shape: tuple[int, ...] = (30, 60, 60)) -> Scan:
    """A constant scan with one brighter half, so that S_ref is known."""
    image = torch.full((1, *shape), value)
    image[0, :, : shape[1] // 2] = 100.0
    return Scan(image=image, spacing=(2.0, 1.0, 1.0), modality="mr")


def test_the_reference_signal_is_the_95th_percentile_of_the_bright_part() -> None:
    assert flat(10.0).s_ref == pytest.approx(100.0)
    air = torch.full((1, 10, 10, 10), -1000.0)
    air[0, 3:7, 3:7, 3:7] = 60.0
    assert Scan(image=air, spacing=(1, 1, 1), modality="ct").s_ref == pytest.approx(1060.0)


def test_gaussian_noise_has_the_stated_sigma_and_no_mean() -> None:
    scan = flat(10.0)
    added = perturbations.realise("gaussian_noise", scan, seed=1).at(level=9.0).image - scan.image
    # 108,000 voxels: the standard error of the mean is 9 / sqrt(108000) = .027
    assert float(added.mean()) == pytest.approx(0.0, abs=4 * 0.028)
    assert float(added.std()) == pytest.approx(9.0, rel=0.01)


def test_gaussian_noise_of_ct_is_in_hu() -> None:
    image = torch.full((1, 20, 40, 40), 50.0)
    image[0, :10] = -1000.0
    scan = Scan(image=image, spacing=(5, 1, 1), modality="ct")
    added = perturbations.realise("gaussian_noise", scan, seed=1).at(level=20.0).image - image
    assert float(added.std()) == pytest.approx(20.0, rel=0.02)


def test_rician_noise_without_signal_is_rayleigh() -> None:
    image = torch.zeros(1, 30, 60, 60)
    image[0, :, :20] = 100.0
    # too few exact zeros are not masked; these are, so the background gets a trace of signal
    image[0, :, 20:] = 1e-6
    scan = Scan(image=image, spacing=(2, 1, 1), modality="mr")
    result = perturbations.realise("rician_noise", scan, seed=2).at(level=5.0).image
    background = result[0, :, 20:].double()
    # Gudbjartsson & Patz 1995: mean sigma sqrt(pi / 2), variance (2 - pi / 2) sigma^2, sigma = 5
    assert float(background.mean()) == pytest.approx(5 * math.sqrt(math.pi / 2), rel=0.01)
    assert float(background.var()) == pytest.approx((2 - math.pi / 2) * 25, rel=0.02)


def test_rician_noise_at_high_signal_is_nearly_gaussian() -> None:
    scan = flat(10.0)
    result = perturbations.realise("rician_noise", scan, seed=3).at(level=5.0).image
    bright = result[0, :, :30].double()
    # A + sigma^2 / (2 A) = 100.125
    assert float(bright.mean()) == pytest.approx(100.125, abs=0.1)
    assert float(bright.std()) == pytest.approx(5.0, rel=0.02)


def test_noise_is_not_invented_in_a_masked_background() -> None:
    image = torch.zeros(1, 20, 40, 40)
    image[0, 5:15, 10:30, 10:30] = 80.0
    scan = Scan(image=image, spacing=(3, 1, 1), modality="mr", state="skull_stripped")
    assert scan.masked_background
    for name in ("gaussian_noise", "rician_noise"):
        result = perturbations.realise(name, scan, seed=4).at(severity=5).image
        assert bool((result[image == 0] == 0).all())
        assert float((result - image)[image > 0].std()) > 10


def test_levels_share_one_draw() -> None:
    scan = head()
    drawn = perturbations.realise("gaussian_noise", scan, seed=5)
    small = drawn.at(level=3.0).image - scan.image
    large = drawn.at(level=15.0).image - scan.image
    assert torch.allclose(large, 5 * small, atol=1e-3)


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
    # the mean of a volume stays, up to the slices at its ends
    assert operator.sum(axis=0).mean() == pytest.approx(1.0)


def test_two_slices_become_one_and_are_interpolated_back() -> None:
    # by hand: slices 0 2 4 6 in pairs are 1 and 5, centred between their pairs (positions .5, 2.5)
    operator = thickening(4, 2.0)
    assert operator @ np.array([0.0, 2.0, 4.0, 6.0]) == pytest.approx([1.0, 2.0, 4.0, 5.0])


def test_a_flat_image_has_no_slices_to_thicken() -> None:
    image = torch.rand(1, 16, 16)
    scan = Scan(image=image, spacing=(1.0, 1.0), modality="mr")
    result = perturbations.realise("thick_slices", scan, seed=1).at(severity=3)
    assert result.status == "no_effect"
    assert "changes no voxel" in result.reason


@pytest.mark.parametrize("level", [20.0, 60.0, 100.0])
def test_a_bias_field_spans_exactly_its_level_and_its_log_has_no_mean(level: float) -> None:
    scan = head()
    result = perturbations.realise("bias_field", scan, seed=8).at(level=level).image
    gain = (result / scan.image)[0][scan.foreground].double()
    # BrainWeb: 20 % spans 0.90 to 1.10
    ratio = (1 + level / 200) / (1 - level / 200)
    assert float(gain.max() / gain.min()) == pytest.approx(ratio, rel=1e-4)
    assert float(gain.log().mean()) == pytest.approx(0.0, abs=1e-4)


def test_gamma_is_a_power_on_the_robust_range_and_leaves_the_rest() -> None:
    scan = head(noise=0.5)
    image = scan.image[0].numpy()
    low, high = np.quantile(image, [0.01, 0.99])
    result = perturbations.realise("gamma_up", scan, seed=1).at(level=1.5).image[0].numpy()
    inside = (image > low) & (image < high)
    expected = low + (high - low) * (np.clip(image - low, 0, None) / (high - low)) ** 1.5
    assert result[inside] == pytest.approx(expected[inside], rel=1e-4, abs=1e-3)
    assert result[~inside] == pytest.approx(image[~inside], abs=1e-3)


def test_gamma_down_undoes_gamma_up() -> None:
    scan = head(noise=0.5)
    up = perturbations.realise("gamma_up", scan, seed=1).at(severity=3).image
    back = perturbations.realise("gamma_down", replace(scan, image=up), seed=1).at(severity=3).image
    assert effect.measure(scan, back).nrmse < 0.005


def test_a_rotation_turns_by_its_angle_in_mm() -> None:
    scan = head()
    result = perturbations.realise("rotation", scan, seed=9).at(level=10.0)
    assert result.warp is not None
    matrix = np.asarray(result.warp.matrix)
    assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    assert np.degrees(np.arccos((np.trace(matrix) - 1) / 2)) == pytest.approx(10.0)
    # a point moves by at most 2 sin(angle / 2) times its distance from the centre
    corner = np.linalg.norm(
        [(n - 1) / 2 * s for n, s in zip(scan.spatial_shape, SPACING, strict=True)]
    )
    furthest = float(result.warp.displacement().max())
    assert furthest <= 2 * math.sin(math.radians(5)) * corner + 1e-6


def test_a_quarter_turn_in_two_dimensions_is_exact() -> None:
    from perturbations.geometry import Warp, rotation_matrix

    image = torch.arange(49, dtype=torch.float32).reshape(1, 7, 7)
    matrix = rotation_matrix(np.array([1.0, 0, 0]), math.pi / 2, 2)
    warp = Warp(tuple(map(tuple, matrix.tolist())), (7, 7), (1.0, 1.0))
    turned = warp.forward(image)
    assert torch.allclose(turned[0], torch.rot90(image[0], 1), atol=1e-4) or torch.allclose(
        turned[0], torch.rot90(image[0], -1), atol=1e-4
    )
    assert torch.allclose(warp.pull_back(turned), image, atol=1e-4)


def test_a_mask_survives_the_warp_there_and_back() -> None:
    scan = head()
    assert scan.region is not None
    warp = perturbations.realise("rotation", scan, seed=10).at(severity=3).warp
    assert warp is not None
    moved = warp.push_forward(scan.region.to(torch.uint8))
    back = warp.pull_back(moved[None].float())[0] > 0.5
    both = float((back & scan.region).sum())
    assert 2 * both / float(back.sum() + scan.region.sum()) > 0.93
    assert moved.dtype == torch.uint8


def test_what_leaves_the_field_of_view_is_not_retained() -> None:
    scan = head()
    warp = perturbations.realise("rotation", scan, seed=11).at(severity=5).warp
    assert warp is not None
    share = float(warp.retained.float().mean())
    assert 0.5 < share < 1.0
    ones = torch.ones(1, *scan.spatial_shape)
    # where a point stayed well inside, what was sent there comes back
    core = ndimage.binary_erosion(warp.retained.numpy(), iterations=2)
    assert float(warp.pull_back(ones)[0][torch.from_numpy(core)].min()) > 0.99


def test_the_effect_of_nothing_is_nothing() -> None:
    scan = head()
    found = effect.measure(scan, scan.image)
    assert found.nrmse == 0.0
    assert found.psnr is None
    assert found.ssim == pytest.approx(1.0)
    assert found.contrast_to_noise is not None
    assert found.contrast_to_noise > 0


def test_the_effect_is_the_arithmetic_it_says() -> None:
    scan = head()
    found = effect.measure(scan, scan.image + 5.0)
    assert found.nrmse == pytest.approx(5.0 / scan.s_ref, rel=1e-5)
    span = float(scan.image.max() - scan.image.min())
    assert found.psnr == pytest.approx(20 * math.log10(span / 5.0), rel=1e-5)
    with pytest.raises(ValueError, match="image must have shape"):
        effect.measure(scan, scan.image[:, :3])


def test_ssim_agrees_with_the_reference_implementation() -> None:
    from skimage.metrics import structural_similarity

    scan = head()
    image = perturbations.realise("rician_noise", scan, seed=3).at(severity=2).image
    a, b = scan.image[0].numpy().astype(float), image[0].numpy().astype(float)
    reference = structural_similarity(  # type: ignore[no-untyped-call]  # scikit-image has no types
        a, b, data_range=a.max() - a.min(), use_sample_covariance=False
    )
    assert effect.measure(scan, image).ssim == pytest.approx(reference, abs=1e-6)
