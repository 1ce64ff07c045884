"""The physics of each entry, one by one, by arithmetic or against a reference implementation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scans import SPACING, body, cells, head
from scipy import ndimage, stats

import perturbations
from perturbations import Scan, effect
from perturbations.blur import kernel
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
    # what a slice weighs in the mean of the volume stays: exactly where thick slices tile it
    tiles = slices % factor == 0
    assert operator.sum(axis=0) == pytest.approx(np.ones(slices), abs=1e-12 if tiles else 0.08)


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
    assert "changes no voxel of this scan; it needs three axes" in result.reason


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
    # a ball of 14 mm on slices of 3 mm; the ceiling of a large object is high
    assert 2 * both / float(back.sum() + scan.region.sum()) > 0.95
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


def test_s_ref_of_padded_ct_is_that_of_the_body() -> None:
    scan = padded_ct()
    assert scan.masked_background
    assert scan.cut_out
    # 40 HU above the -1000 HU of air
    assert scan.s_ref == pytest.approx(1040.0)
    assert bool((scan.image[0][scan.foreground] == 40.0).all())


def padded_ct() -> Scan:
    """Soft tissue of 40 HU in air, in a round field of view outside which lies -3024."""
    y, x = np.mgrid[:48, :48] - 23.5
    image = np.full((6, 48, 48), -1000.0, dtype=np.float32)
    image[:, y**2 + x**2 < 13**2] = 40.0
    image[:, y**2 + x**2 > 22**2] = -3024.0
    return Scan(image=torch.from_numpy(image)[None], spacing=(5.0, 1.0, 1.0), modality="ct")


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


def test_standardised_scans_count_their_signal_from_the_bottom() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, (1, 12, 24, 24)).astype(np.float32)
    values[:, :, :6] = 0.0
    scan = Scan(
        image=torch.from_numpy(values), spacing=(3, 1, 1), modality="mr", state="normalised"
    )
    assert scan.masked_background
    assert torch.equal(scan.foreground, scan.support)
    # 1.645 - (-2.326) = 3.97 standard deviations from the 1st to the 95th percentile
    assert scan.s_ref == pytest.approx(3.97, rel=0.03)
    turned = perturbations.realise("rotation", scan, seed=1).at(severity=5).image
    assert float(turned[0, 0, 0, 0]) == 0.0


def test_every_channel_has_noise_in_percent_of_its_own_signal() -> None:
    bright = flat(10.0).image
    scan = Scan(image=torch.cat([bright, bright / 50]), spacing=(2, 1, 1), modality="mr")
    assert scan.signals == pytest.approx((100.0, 2.0))
    for name in ("gaussian_noise", "rician_noise"):
        image = perturbations.realise(name, scan, seed=1).at(level=5.0).image
        added = (image - scan.image)[:, :, :30]
        assert float(added[0].std()) == pytest.approx(5.0, rel=0.02)
        assert float(added[1].std()) == pytest.approx(0.1, rel=0.02)
    # 9 % of S_ref in each channel is an NRMSE of .09, whatever their scales
    noisy = perturbations.realise("gaussian_noise", scan, seed=2).at(level=9.0).image
    assert effect.measure(scan, noisy).nrmse == pytest.approx(0.09, rel=0.01)


def test_rician_noise_at_low_signal_has_the_moments_of_its_distribution() -> None:
    image = torch.full((1, 30, 60, 60), 10.0)
    image[0, :, :30] = 100.0
    scan = Scan(image=image, spacing=(2.0, 1.0, 1.0), modality="mr")
    dark = perturbations.realise("rician_noise", scan, seed=4).at(level=10.0).image[0, :, 30:]
    # A = 10, sigma = 10: SciPy's Rice distribution with b = A / sigma
    mean, variance = stats.rice.stats(1.0, scale=10.0)
    # 54,000 voxels: four standard errors are 4 sqrt(variance / 54000)
    assert float(dark.double().mean()) == pytest.approx(float(mean), abs=0.14)
    assert float(dark.double().var()) == pytest.approx(float(variance), rel=0.03)
    assert float(dark.min()) >= 0


def test_noise_is_white_and_normal() -> None:
    scan = flat(10.0)
    added = perturbations.realise("gaussian_noise", scan, seed=5).at(level=9.0).image - scan.image
    field = added[0].double()
    for axis in range(3):
        neighbours = field.narrow(axis, 0, field.shape[axis] - 1)
        shifted = field.narrow(axis, 1, field.shape[axis] - 1)
        # the correlation of n independent pairs has a standard error of 1 / sqrt(n) = .003
        assert abs(float((neighbours * shifted).mean())) / 81.0 < 4 * 0.0032
    # excess kurtosis has a standard error of sqrt(24 / n) = .015
    assert abs(float(stats.kurtosis(field.numpy().ravel()))) < 4 * 0.015


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


def test_a_bias_field_stays_in_its_range_beyond_the_foreground() -> None:
    image = torch.full((1, 20, 40, 40), 20.0)
    image[0, 4:9, 5:15, 6:16] = 500.0
    scan = Scan(image=image, spacing=(4.0, 1.0, 1.0), modality="mr")
    for seed in range(5):
        result = perturbations.realise("bias_field", scan, seed=seed).at(level=100.0).image
        gain = result / image
        inside = gain[0][scan.foreground]
        # (1 + .5) / (1 - .5) = 3
        assert float(inside.max() / inside.min()) == pytest.approx(3.0, rel=1e-4)
        assert float(gain.max()) <= float(inside.max()) * (1 + 1e-6)
        assert float(gain.min()) >= float(inside.min()) * (1 - 1e-6)


def test_gamma_by_hand() -> None:
    # values 0, 1, .., 100: q01 = 1, q99 = 99; 50 is the middle, z = .5
    image = torch.arange(101.0).repeat(9, 1)[None]
    scan = Scan(image=image, spacing=(1.0, 1.0), modality="other")
    row = perturbations.realise("gamma_up", scan, seed=1).at(level=1.5).image[0, 4]
    assert float(row[50]) == pytest.approx(1 + 98 * 0.5**1.5, rel=1e-5)
    assert torch.equal(row[[0, 1, 99, 100]], torch.tensor([0.0, 1.0, 99.0, 100.0]))
    assert bool((row.diff() > 0).all())


@pytest.mark.parametrize("level", [3.0, 10.0, 25.0])
def test_a_spot_turns_by_the_angle_in_mm_on_an_anisotropic_grid(level: float) -> None:
    spacing = (2.0, 0.8)
    y, x = ((np.arange(n) - (n - 1) / 2) * s for n, s in zip((64, 160), spacing, strict=True))
    spot = np.exp(-((y[:, None] - 20.0) ** 2 + (x[None] - 30.0) ** 2) / (2 * 4.0**2))
    image = torch.from_numpy(spot.astype(np.float32))[None]
    scan = Scan(image=image, spacing=spacing, modality="mr")
    result = perturbations.realise("rotation", scan, seed=3).at(level=level)
    turned = result.image[0].double().numpy()
    centre = np.array([(turned.sum(1) * y).sum(), (turned.sum(0) * x).sum()]) / turned.sum()
    assert np.linalg.norm(centre) == pytest.approx(math.hypot(20, 30), rel=0.005)
    angle = math.degrees(
        math.acos(centre @ np.array([20.0, 30.0]) / 1300**0.5 / np.linalg.norm(centre))
    )
    assert angle == pytest.approx(level, abs=0.1)
    assert result.warp is not None
    # every voxel moves by 2 r sin(angle / 2)
    radius = np.hypot(y[:, None], x[None])
    expected = 2 * radius * math.sin(math.radians(level / 2))
    assert result.warp.displacement().numpy() == pytest.approx(expected, abs=1e-9)


def test_the_warp_of_a_volume_is_the_same_however_it_is_cut() -> None:
    # more voxels than one slab holds
    shape = (9, 200, 200)
    values = torch.from_numpy(np.random.default_rng(1).random((1, *shape), dtype=np.float32))
    scan = Scan(image=values, spacing=(4.0, 1.0, 1.0), modality="mr")
    warp = perturbations.realise("rotation", scan, seed=5).at(severity=2).warp
    assert warp is not None
    reference = ndimage.affine_transform(
        values[0].numpy().astype(np.float64),
        np.diag(1 / np.array(scan.spacing)) @ np.asarray(warp.matrix) @ np.diag(scan.spacing),
        offset=_offset(warp.matrix, shape, scan.spacing),
        order=1,
        mode="constant",
    )
    pulled = warp.pull_back(values)[0].numpy()
    # SciPy treats the outermost half voxel differently; inside both are trilinear
    core = ndimage.binary_erosion(warp.retained.numpy(), iterations=1)
    assert pulled[core] == pytest.approx(reference[core], abs=1e-5)


def _offset(
    matrix: tuple[tuple[float, ...], ...], shape: tuple[int, ...], spacing: tuple[float, ...]
) -> np.ndarray:
    centre = (np.array(shape) - 1) / 2
    scale = np.diag(1 / np.array(spacing)) @ np.asarray(matrix) @ np.diag(spacing)
    return np.asarray(centre - scale @ centre)


def test_what_turns_in_is_background() -> None:
    def corner(scan: Scan) -> float:
        image = perturbations.realise("rotation", scan, seed=1).at(severity=5).image
        return float(image[(0, *(0,) * scan.ndim)])

    assert corner(body()) == pytest.approx(float(body().image.min()))
    bright = torch.full((1, 40, 40), 240.0)
    bright[0, 15:25, 12:28] = 60.0
    # bright-field microscopy: the border is white, black corners would be no background
    assert corner(Scan(image=bright, spacing=(1, 1), unit="px", modality="microscopy")) == 240.0


def test_values_on_another_grid_cannot_be_warped() -> None:
    warp = perturbations.realise("rotation", head(), seed=1).at(severity=1).warp
    assert warp is not None
    with pytest.raises(ValueError, match=r"values must lie on a grid of \(24, 48, 40\)"):
        warp.pull_back(torch.zeros(1, 24, 40, 48))


def test_labels_keep_their_numbers_and_probabilities_their_sum_under_a_warp() -> None:
    scan = head()
    warp = perturbations.realise("rotation", scan, seed=6).at(severity=3).warp
    assert warp is not None
    labels = torch.zeros(scan.spatial_shape, dtype=torch.int16)
    labels[8:16, 10:20, 10:20] = 3
    labels[8:16, 24:34, 20:30] = 7
    assert set(warp.push_forward(labels).unique().tolist()) == {0, 3, 7}
    probabilities = torch.rand(3, *scan.spatial_shape).softmax(dim=0)
    summed = warp.pull_back(probabilities).sum(dim=0)
    core = torch.from_numpy(ndimage.binary_erosion(warp.retained.numpy(), iterations=2))
    assert float((summed[core] - 1).abs().max()) < 1e-5


def test_the_contrast_to_noise_is_the_arithmetic_it_says() -> None:
    rng = np.random.default_rng(3)
    region = torch.zeros(16, 40, 40, dtype=torch.bool)
    region[5:11, 12:28, 12:28] = True
    image = torch.full((1, 16, 40, 40), 100.0)
    image[0][region] = 140.0
    scan = Scan(image=image, spacing=(3, 1, 1), modality="mr", region=region)
    noisy = image + torch.from_numpy(rng.normal(0, 5, image.shape).astype(np.float32))
    # (140 - 100) / 5 = 8
    assert effect.measure(scan, noisy).contrast_to_noise == pytest.approx(8.0, rel=0.05)
    assert effect.measure(replace(scan, region=None), noisy).contrast_to_noise is None


def test_the_effect_on_a_flat_or_thin_scan_has_no_structure_to_compare() -> None:
    plain = Scan(image=torch.full((1, 8, 8, 8), 3.0), spacing=(1, 1, 1), modality="other")
    found = effect.measure(plain, plain.image + 1)
    assert (found.psnr, found.ssim) == (None, None)
    thin = Scan(image=torch.rand(1, 2, 30, 30), spacing=(4, 1, 1), modality="other")
    assert effect.measure(thin, thin.image).ssim is None
