"""The measured effect, by arithmetic and against scikit-image."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scans import head, slice_of_a_head

import perturbations
from perturbations import Scan, effect
from perturbations.estimate_noise import residual_sigma
from perturbations.similarity import structural_similarity


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


def reference_ssim(clean: NDArray[np.float64], image: NDArray[np.float64]) -> float:
    from skimage.metrics import structural_similarity

    found = structural_similarity(  # type: ignore[no-untyped-call]  # scikit-image has no types
        clean, image, data_range=clean.max() - clean.min(), use_sample_covariance=False
    )
    return float(found)


@pytest.mark.parametrize("name", ["rician_noise", "gaussian_blur", "gamma_up"])
def test_ssim_agrees_with_the_reference_implementation(name: str) -> None:
    for scan in (head(), slice_of_a_head()):
        image = perturbations.realise(name, scan, seed=3).at(severity=2).image
        a, b = scan.image[0].numpy().astype(float), image[0].numpy().astype(float)
        assert effect.measure(scan, image).ssim == pytest.approx(reference_ssim(a, b), abs=1e-6)


def test_ssim_agrees_where_values_lie_far_from_zero_and_on_more_than_one_piece() -> None:
    # float32 squares of CT numbers lose what a window varies by, unless taken about a middle
    rng = np.random.default_rng(4)
    a = rng.normal(-1000, 20, (40, 270, 260)).astype(np.float32)
    a[10:30] += 1500.0
    b = (a + rng.normal(0, 40, a.shape)).astype(np.float32)
    found = structural_similarity(torch.from_numpy(a), torch.from_numpy(b), float(np.ptp(a)))
    assert found == pytest.approx(reference_ssim(a.astype(float), b.astype(float)), abs=1e-5)


@pytest.mark.parametrize(("shape", "window"), [((5, 9, 9), 5), ((4, 30, 30), 3)])
def test_ssim_of_thin_volumes_has_a_smaller_window(shape: tuple[int, ...], window: int) -> None:
    from skimage.metrics import structural_similarity as reference

    rng = np.random.default_rng(5)
    a, b = rng.random((2, *shape)).astype(np.float32)
    expected = reference(  # type: ignore[no-untyped-call]  # scikit-image has no types
        a.astype(float),
        b.astype(float),
        data_range=1.0,
        win_size=window,
        use_sample_covariance=False,
    )
    found = structural_similarity(torch.from_numpy(a), torch.from_numpy(b), 1.0)
    assert found == pytest.approx(expected, abs=1e-6)


def test_ssim_of_one_or_two_slices_is_that_of_the_slices() -> None:
    rng = np.random.default_rng(6)
    a, b = (torch.from_numpy(x.astype(np.float32)) for x in rng.random((2, 2, 30, 30)))
    apart = [structural_similarity(a[z], b[z], 1.0) for z in range(2)]
    assert apart[0] is not None
    assert apart[1] is not None
    assert structural_similarity(a, b, 1.0) == pytest.approx((apart[0] + apart[1]) / 2, abs=1e-6)


def test_ssim_of_a_masked_scan_does_not_depend_on_how_much_was_masked() -> None:
    scan = head(noise=0.2)
    brain = (scan.image * scan.foreground)[:, :, 2:-2, 2:-2].contiguous()
    small = Scan(image=brain, spacing=scan.spacing, modality="mr", state="skull_stripped")
    wide = replace(small, image=torch.nn.functional.pad(brain, (20, 20, 20, 20, 20, 20)))
    noisy = perturbations.realise("rician_noise", small, seed=1).at(level=9.0).image
    padded = torch.nn.functional.pad(noisy, (20, 20, 20, 20, 20, 20))
    one, other = effect.measure(small, noisy).ssim, effect.measure(wide, padded).ssim
    assert one is not None
    assert one < 0.9
    assert other == pytest.approx(one, abs=0.01)
    # by hand: the mean of the map over the windows centred in the support
    from skimage.metrics import structural_similarity as reference

    a, b = wide.image[0].numpy().astype(float), padded[0].numpy().astype(float)
    _, scores = reference(  # type: ignore[no-untyped-call]  # scikit-image has no types
        a, b, data_range=np.ptp(a), use_sample_covariance=False, full=True
    )
    assert other == pytest.approx(scores[wide.support.numpy()].mean(), abs=1e-6)


def test_the_number_of_threads_changes_no_bit_of_an_effect() -> None:
    rng = np.random.default_rng(7)
    image = torch.from_numpy(rng.normal(100, 20, (1, 40, 270, 260)).astype(np.float32))
    region = torch.zeros(40, 270, 260, dtype=torch.bool)
    region[10:30, 50:90, 60:99] = True
    scan = Scan(image=image, spacing=(1, 1, 1), modality="mr", region=region)
    other = image + torch.from_numpy(rng.normal(0, 5, image.shape).astype(np.float32))
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(effect.measure(scan, other))
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1] == found[2]


def test_the_contrast_to_noise_is_the_arithmetic_it_says() -> None:
    rng = np.random.default_rng(3)
    region = torch.zeros(16, 80, 80, dtype=torch.bool)
    region[5:11, 12:68, 12:68] = True
    image = torch.full((1, 16, 80, 80), 100.0)
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
    line = Scan(image=torch.rand(1, 2, 2, 1), spacing=(4, 1, 1), modality="other")
    assert effect.measure(line, line.image).ssim is None


def test_the_surroundings_of_a_region_are_two_voxels_wide_also_at_the_border() -> None:
    from scipy import ndimage

    rng = np.random.default_rng(8)
    image = torch.from_numpy(rng.normal(50, 5, (1, 12, 30, 30)).astype(np.float32))
    region = torch.from_numpy(rng.random((12, 30, 30)) < 0.003)
    region[0, :6, 25:] = True
    scan = Scan(image=image, spacing=(3, 1, 1), modality="mr", region=region)
    inside = region.numpy()
    around = ndimage.binary_dilation(inside, iterations=2) & ~inside
    values = image[0].numpy().astype(float)
    sigma = residual_sigma(image[0].numpy(), scan.foreground.numpy(), scan.spacing)
    assert sigma is not None
    expected = abs(values[inside].mean() - values[around].mean()) / sigma
    assert effect.measure(scan, image).contrast_to_noise == pytest.approx(expected, rel=1e-9)
