"""The measured effect, by arithmetic and against scikit-image."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scans import head

import perturbations
from perturbations import Scan, effect


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
    thin = Scan(image=torch.rand(1, 2, 30, 30), spacing=(4, 1, 1), modality="other")
    assert effect.measure(thin, thin.image).ssim is None
