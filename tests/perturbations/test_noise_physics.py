"""Noise and the reference signal it is related to, by arithmetic and against SciPy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scans import cells, flat, head, padded_ct, sonogram
from scipy import stats

import perturbations
from perturbations import Scan, effect
from perturbations.chunks import unit_field


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
    for name in ("gaussian_noise", "rician_noise", "noncentral_chi_noise", "speckle_noise"):
        result = perturbations.realise(name, scan, seed=4).at(severity=5).image
        assert bool((result[image == 0] == 0).all())
        assert float((result - image)[image > 0].std()) > 5


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


def test_a_drawn_field_is_standard_normal_far_into_its_tails() -> None:
    field = unit_field((1, 40, 256, 256), np.random.default_rng(3)).double().flatten()
    count = field.numel()  # 2,621,440
    assert abs(float(field.mean())) < 4 / math.sqrt(count)
    # the variance of n normal numbers has a standard error of sqrt(2 / n)
    assert float(field.var()) == pytest.approx(1.0, abs=4 * math.sqrt(2 / count))
    for far in (1.0, 2.0, 3.0, 4.0, 4.5):
        expected = 2 * stats.norm.sf(far) * count
        assert abs(int((field.abs() > far).sum()) - expected) < 4 * math.sqrt(expected)
    assert stats.kstest(field[:200_000].numpy(), "norm").pvalue > 0.001
    # cosine and sine of one angle stand in the two halves of a piece: they are uncorrelated, and so are
    # their sizes
    one, two = field[: 1 << 16], field[1 << 16 : 1 << 17]
    for pair in ((one, two), (one.square() - 1, two.square() - 1)):
        correlation = float(torch.corrcoef(torch.stack(pair))[0, 1])
        assert abs(correlation) < 4 / math.sqrt(1 << 16)


@pytest.mark.parametrize(("coils", "signal"), [(1, 10.0), (8, 10.0), (8, 0.0), (32, 40.0)])
def test_coils_combined_by_the_sum_of_squares_have_a_noncentral_chi_distribution(
    coils: int, signal: float
) -> None:
    image = torch.full((1, 30, 60, 60), 100.0)
    image[0, 15:] = signal or 1e-6  # exact zeros would be taken for a masked background
    scan = Scan(image=image, spacing=(2.0, 1.0, 1.0), modality="mr")
    drawn = perturbations.realise("noncentral_chi_noise", scan, seed=3, coils=coils)
    result = drawn.at(level=5.0).image[0, 15:].double().flatten().numpy()
    # sum over coils of |x / sqrt(L) + sigma n|^2, over sigma^2: chi-square of 2 L degrees of freedom with
    # noncentrality x^2 / sigma^2; sigma = 5 % of 100
    chi = stats.ncx2(2 * coils, (signal / 5.0) ** 2) if signal else stats.chi2(2 * coils)
    assert stats.kstest((result / 5.0) ** 2, chi.cdf).pvalue > 0.001
    error = 25.0 * float(chi.std()) / math.sqrt(len(result))
    assert float((result**2).mean()) == pytest.approx(25.0 * float(chi.mean()), abs=4 * error)


def test_two_fields_say_what_sixteen_channels_of_eight_coils_say() -> None:
    scan = flat(10.0)
    drawn = perturbations.realise("noncentral_chi_noise", scan, seed=8)
    made = drawn.at(level=8.0).image[0, :, 30:].double().flatten().numpy()
    # coil by coil, with NumPy's own normal numbers
    parts = 8.0 * np.random.default_rng(1).standard_normal((16, made.size))
    parts[::2] += 10.0 / math.sqrt(8)
    assert stats.ks_2samp(made, np.sqrt((parts**2).sum(axis=0))).pvalue > 0.001


def test_the_background_of_eight_coils_is_no_longer_dark() -> None:
    scan = flat(1e-6)
    result = perturbations.realise("noncentral_chi_noise", scan, seed=5).at(level=3.0).image
    background = result[0, :, 30:].double()
    # sigma sqrt(2) Gamma(8.5) / Gamma(8) = 3 * 3.937 (one coil: 3 * 1.253)
    expected = 3.0 * math.sqrt(2) * math.gamma(8.5) / math.gamma(8)
    assert expected == pytest.approx(11.81, abs=0.01)
    assert float(background.mean()) == pytest.approx(expected, rel=0.002)


@pytest.mark.parametrize("coils", [0, -1, 257, 2.0, True, "8"])
def test_a_number_of_coils_that_is_none_is_refused(coils: object) -> None:
    with pytest.raises(ValueError, match="noncentral_chi_noise: coils must be a whole number"):
        perturbations.realise("noncentral_chi_noise", head(), seed=1, coils=coils)


def bright_and_dark() -> Scan:
    """Half at 100, which is S_ref, half at 10."""
    return replace(flat(10.0), modality="other")


@pytest.mark.parametrize("counts", [1000.0, 4000])
def test_variance_of_counts_is_in_proportion_to_signal_and_to_what_the_dose_lacks(
    counts: float,
) -> None:
    scan = bright_and_dark()
    drawn = perturbations.realise("poisson_noise", scan, seed=2, counts=counts)
    for dose in (0.5, 0.25, 1 / 32):
        added = (drawn.at(level=dose).image - scan.image)[0].double()
        # (1 / a - 1) x S_ref / counts: 30 and 3 at a quarter of the dose and 1000 counts
        lacking = 1 / dose - 1
        for half, signal in ((added[:, :30], 100.0), (added[:, 30:], 10.0)):
            expected = lacking * signal * 100.0 / counts
            # 54,000 voxels: a standard error of sqrt(2 / 54000) = .6 %
            assert float(half.var()) == pytest.approx(expected, rel=4 * 0.0061)
            assert abs(float(half.mean())) < 4 * math.sqrt(expected / 54000)


def test_a_scan_made_of_counts_gets_the_noise_of_an_eighth_of_its_dose() -> None:
    # 1000 photons per voxel of brightness 100: variance 100 * 100 / 1000 = 10, at an eighth 80
    photons = np.random.default_rng(4).poisson(1000, (1, 30, 60, 60))
    scan = Scan(
        image=torch.from_numpy((photons / 10).astype(np.float32)),
        spacing=(1.0, 1.0, 1.0),
        modality="xray",
    )
    # S_ref of a flat scan is its noisy 95th percentile; what is declared belongs to that brightness
    counts = 1000 * scan.s_ref / 100
    drawn = perturbations.realise("poisson_noise", scan, seed=5, counts=counts)
    image = drawn.at(level=1 / 8).image.double()
    assert float(scan.image.double().var()) == pytest.approx(10.0, rel=0.02)
    assert float(image.var()) == pytest.approx(80.0, rel=0.02)
    assert float(image.mean()) == pytest.approx(100.0, rel=0.002)


@pytest.mark.parametrize("counts", [0, -5.0, math.nan, math.inf, True, "many"])
def test_a_number_of_photons_that_is_none_is_refused(counts: object) -> None:
    with pytest.raises(ValueError, match="counts of poisson_noise must be a positive number"):
        perturbations.realise("poisson_noise", cells(), seed=1, counts=counts)


@pytest.mark.parametrize("name", ["noncentral_chi_noise", "poisson_noise"])
def test_negative_values_are_neither_magnitudes_nor_counts(name: str) -> None:
    modality = "mr" if name == "noncentral_chi_noise" else "xray"
    image = torch.full((1, 5, 6, 7), 3.0)
    image[0, 0, 0, 0] = -2.0
    scan = Scan(image=image, spacing=(1.0, 1.0, 1.0), modality=modality)
    with pytest.raises(ValueError, match=f"{name} needs .* got a minimum of -2; audit the scan"):
        perturbations.realise(name, scan, seed=1)


def test_speckle_is_in_proportion_to_the_signal() -> None:
    scan = flat(10.0)
    added = perturbations.realise("speckle_noise", scan, seed=6).at(level=0.2).image - scan.image
    assert float(added[0, :, :30].std()) == pytest.approx(20.0, rel=0.02)
    assert float(added[0, :, 30:].std()) == pytest.approx(2.0, rel=0.02)


def test_failed_voxels_are_as_many_as_stated_half_bright_half_dark_and_nested() -> None:
    rng = np.random.default_rng(7)
    values = rng.uniform(50, 60, (1, 20, 120, 100)).astype(np.float32)
    scan = Scan(image=torch.from_numpy(values), spacing=(4.0, 1.0, 2.0), modality="xray")
    dark, bright = np.quantile(values, [0.001, 0.999])
    drawn = perturbations.realise("salt_and_pepper", scan, seed=8)
    failed_before = np.zeros(values.shape, dtype=bool)
    shown_before = values
    for fraction in (0.001, 0.003, 0.01, 0.03, 0.08, 0.5):
        image = drawn.at(level=fraction).image.numpy()
        failed = image != values
        expected = fraction * values.size
        assert abs(int(failed.sum()) - expected) < 4 * math.sqrt(expected)
        salt = image[failed] == np.float32(bright)
        assert (salt | (image[failed] == np.float32(dark))).all()
        assert abs(int(salt.sum()) - expected / 2) < 4 * math.sqrt(expected / 2)
        # nested: what had failed has failed in the same way, and no voxel recovers
        assert (failed | ~failed_before).all()
        assert np.array_equal(image[failed_before], shown_before[failed_before])
        failed_before, shown_before = failed, image
    everything = drawn.at(level=1.0).image
    assert set(np.unique(everything.numpy()).tolist()) == {
        float(np.float32(dark)),
        float(np.float32(bright)),
    }


def test_no_voxel_fails_where_no_echo_was_recorded_and_each_channel_has_its_endpoints() -> None:
    scan = sonogram()
    assert scan.masked_background
    image = perturbations.realise("salt_and_pepper", scan, seed=9).at(level=0.08).image
    outside = ~scan.support[None]
    assert torch.equal(image[outside], scan.image[outside])
    lowest = np.quantile(scan.image[~outside].numpy(), 0.001)
    failed = torch.ne(image, scan.image)
    assert float(image[failed].min()) == pytest.approx(float(lowest))
    two = replace(cells(), image=torch.cat([cells().image[:1], 7 * cells().image[:1]]))
    marred = perturbations.realise("salt_and_pepper", two, seed=9).at(level=0.08).image
    assert float(marred[1].max()) > 5 * float(marred[0].max())


@pytest.mark.parametrize(
    ("name", "level"),
    [("rician_noise", 9.0), ("noncentral_chi_noise", 3.0), ("poisson_noise", 0.1)],
)
@pytest.mark.parametrize("scale", [1e-9, 1e30])
def test_noise_does_not_depend_on_the_unit_of_the_scan(
    name: str, level: float, scale: float
) -> None:
    modality = "other" if name == "poisson_noise" else "mr"
    scan = replace(head(), modality=modality)
    scaled = replace(scan, image=scan.image * scale)
    plain = perturbations.realise(name, scan, seed=3).at(level=level).image
    image = perturbations.realise(name, scaled, seed=3).at(level=level).image
    # squares of the larger ones would leave float32
    assert torch.allclose(image.double() / scale, plain.double(), rtol=2e-5, atol=2e-4)


def test_a_little_padding_of_ct_receives_no_noise() -> None:
    # 1 % of the voxels: padding, though too few for a masked background
    image = torch.full((1, 6, 40, 44), -1000.0)
    image[:, :, 8:32, 8:36] = 40.0
    image[:, :, :4, :4] = -2000.0
    scan = Scan(image=image, spacing=(4.0, 0.9, 1.2), modality="ct")
    made = perturbations.realise("gaussian_noise", scan, seed=3).at(severity=5).image
    assert torch.equal(made[:, ~scan.support], image[:, ~scan.support])
    assert float((made - image)[:, scan.support].std()) == pytest.approx(100.0, rel=0.02)
