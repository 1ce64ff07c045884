"""Noise and the reference signal it is related to, by arithmetic and against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scans import flat, head, padded_ct
from scipy import stats

import perturbations
from perturbations import Scan, effect


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


def test_s_ref_of_padded_ct_is_that_of_the_body() -> None:
    scan = padded_ct()
    assert scan.masked_background
    assert scan.cut_out
    # 40 HU above the -1000 HU of air
    assert scan.s_ref == pytest.approx(1040.0)
    assert bool((scan.image[0][scan.foreground] == 40.0).all())


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
