"""Bias fields, gamma, contrast, shift and scale, by arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scans import body, head, padded_ct

import perturbations
from perturbations import CATALOG, Scan, effect
from perturbations.quantiles import quantiles, robust_ranges


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
    slack = np.maximum(1e-3, 1e-4 * np.abs(expected))
    assert (np.abs(result - expected) / slack)[inside].max() <= 1.0
    assert np.abs(result - image)[~inside].max() < 1e-3


def test_gamma_down_undoes_gamma_up() -> None:
    scan = head(noise=0.5)
    up = perturbations.realise("gamma_up", scan, seed=1).at(severity=3).image
    back = perturbations.realise("gamma_down", replace(scan, image=up), seed=1).at(severity=3).image
    assert effect.measure(scan, back).nrmse < 0.005


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


def test_a_bias_field_is_a_cubic_and_the_same_in_mm_on_finer_voxels() -> None:
    logs = []
    for count in (16, 32):
        image = torch.full((1, count, count // 2, count), 50.0)
        scan = Scan(image=image, spacing=(64 / count,) * 3, modality="mr")
        field = perturbations.realise("bias_field", scan, seed=3).at(level=60.0).image
        logs.append((field / image).double().log()[0])
    # fourth differences of a cubic are 0; the third are not
    for axis in range(3):
        assert float(logs[1].diff(n=4, dim=axis).abs().max()) < 1e-5
    # fine voxels reach nearer to the edges, where the field has its extremes: as the span is the
    # level's, the shape is the same and its size almost
    fine = torch.nn.functional.avg_pool3d(logs[1][None, None], 2)[0, 0].flatten()
    slope = float((fine * logs[0].flatten()).sum() / fine.square().sum())
    assert slope == pytest.approx(1.0, abs=0.2)
    assert np.corrcoef(fine, logs[0].flatten())[0, 1] > 0.9995


def test_a_bias_field_of_one_level_is_a_power_of_that_of_another() -> None:
    scan = head()
    drawn = perturbations.realise("bias_field", scan, seed=8)
    two, six = ((drawn.at(level=u).image / scan.image).double().log() for u in (20.0, 60.0))
    # ln(1.3 / .7) / ln(1.1 / .9) = 0.6190 / 0.2007
    assert (two * 0.6190392 / 0.2006707).numpy() == pytest.approx(six.numpy(), abs=2e-5)


def test_gamma_leaves_a_masked_background_and_its_zeros_out_of_the_range() -> None:
    image = torch.zeros(1, 40, 40)
    image[0, 10:30, 10:30] = torch.arange(400.0).reshape(20, 20) - 20.5
    scan = Scan(image=image, spacing=(1.0, 1.0), modality="mr", state="skull_stripped")
    # 1 % and 99 % of 399 steps from -20.5 on
    assert robust_ranges(scan)[0] == pytest.approx((-16.51, 374.51))
    result = perturbations.realise("gamma_up", scan, seed=1).at(level=2.0).image
    assert bool((result[image == 0] == 0).all())
    z = (100.5 + 16.51) / 391.02
    assert float(result[image == 100.5]) == pytest.approx(-16.51 + 391.02 * z**2, rel=1e-5)


def test_contrast_is_lost_about_the_mean_of_the_foreground() -> None:
    image = torch.full((1, 8, 10), 10.0)
    image[0, 2:6, 2:4] = 100.0
    image[0, 2:6, 4:6] = 140.0
    scan = Scan(image=image, spacing=(1.0, 1.0), modality="xray")
    # foreground: 8 pixels of 100 and 8 of 140, mean 120; half the contrast
    result = perturbations.realise("contrast_loss", scan, seed=1).at(level=0.5).image
    assert result[0, 3, [2, 4]].tolist() == [110.0, 130.0]
    assert float(result[0, 0, 0]) == 65.0
    nothing = perturbations.realise("contrast_loss", scan, seed=1).at(level=0.0).image
    assert bool((nothing == 120.0).all())


def test_each_channel_has_a_mean_of_its_own() -> None:
    image = torch.full((2, 6, 6), 0.0)
    image[0, 2:4, 2:4], image[1, 2:4, 2:4] = 80.0, 8.0
    scan = Scan(image=image, spacing=(1.0, 1.0), modality="microscopy")
    result = perturbations.realise("contrast_loss", scan, seed=1).at(level=0.25).image
    # 0 goes three quarters of the way to the mean
    assert result[:, 0, 0].tolist() == [60.0, 6.0]
    assert result[:, 2, 2].tolist() == [80.0, 8.0]


def test_a_shift_is_in_percent_of_the_signal_and_in_hu_for_ct() -> None:
    scan = head()
    result = perturbations.realise("intensity_shift", scan, seed=1).at(severity=3).image
    assert (result - scan.image).numpy() == pytest.approx(0.10 * scan.s_ref, rel=1e-4)
    ct = body()
    result = perturbations.realise("intensity_shift", ct, seed=1).at(severity=4).image
    assert (result - ct.image).numpy() == pytest.approx(30.0, abs=1e-3)
    back = perturbations.realise("intensity_shift", ct, seed=1).at(level=-8.0).image
    assert (back - ct.image).numpy() == pytest.approx(-8.0, abs=1e-3)


def test_a_scale_turns_about_0_and_about_air_for_ct() -> None:
    image = torch.tensor([[[-50.0, 0.0, 40.0, 100.0]]])
    scan = Scan(image=image, spacing=(1.0, 1.0), modality="mr")
    result = perturbations.realise("intensity_scale", scan, seed=1).at(severity=3).image
    assert result[0, 0].tolist() == pytest.approx([-60.0, 0.0, 48.0, 120.0], rel=1e-6)
    image = torch.tensor([[[-1000.0, 1.0, 50.0, 1000.0]]])
    scan = Scan(image=image, spacing=(1.0, 1.0), modality="ct")
    result = perturbations.realise("intensity_scale", scan, seed=1).at(level=1.04).image
    # 0, 1001, 1050 and 2000 HU above air become 0, 1041.04, 1092 and 2080
    assert result[0, 0].tolist() == pytest.approx([-1000.0, 41.04, 92.0, 1080.0], abs=1e-3)


@pytest.mark.parametrize(
    "name", ["contrast_loss", "intensity_shift", "intensity_scale", "gamma_up"]
)
def test_ct_padding_is_no_measurement_and_stays(name: str) -> None:
    padded = padded_ct()
    tissue = padded.image == 40.0
    image = padded.image + tissue * torch.arange(48.0)
    scan = replace(padded, image=image)
    result = perturbations.realise(name, scan, seed=1).at(severity=3).image
    outside = scan.image == -3024.0
    assert bool((result[outside] == -3024.0).all())
    assert not torch.equal(result[~outside], scan.image[~outside])


@pytest.mark.parametrize("name", ["contrast_loss", "intensity_shift", "intensity_scale"])
def test_an_affine_change_is_undone_by_standardising(name: str) -> None:
    scan = head()
    result = perturbations.realise(name, scan, seed=1).at(severity=5).image

    def standardised(image: torch.Tensor) -> torch.Tensor:
        return (image - image.mean()) / image.std()

    assert torch.allclose(standardised(result), standardised(scan.image), atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3, 100, 20_000, 300_001])
@pytest.mark.parametrize("kind", ["normal", "whole", "mostly zero", "sorted", "periodic"])
def test_quantiles_are_those_of_numpy_to_the_last_bit(count: int, kind: str) -> None:
    rng = np.random.default_rng(count)
    values = rng.standard_normal(count).astype(np.float32)
    values = {
        "normal": values,
        "whole": np.round(3 * values),
        "mostly zero": np.where(rng.random(count) < 0.7, np.float32(0), values),
        "sorted": np.sort(values),
        # in step with the sample of every 19th value, which sees the largest ones only
        "periodic": np.where(np.arange(count) % 19 == 0, np.float32(9), values),
    }[kind]
    shares = (0.0, 0.01, 0.25, 0.5, 0.99, 1.0)
    expected = np.quantile(values.astype(np.float64), shares)
    assert quantiles(torch.from_numpy(values), shares) == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize("size", [3.3e38, 1e-38, 1e-43])
@pytest.mark.parametrize(
    "name", [name for name, entry in CATALOG.items() if entry.family == "intensity"]
)
def test_values_at_the_ends_of_float32_come_out_finite_or_are_refused(
    name: str, size: float
) -> None:
    signs = np.random.default_rng(1).choice([-1.0, -0.5, 0.5, 1.0], (1, 30, 30))
    image = torch.from_numpy((signs * size).astype(np.float32))
    scan = Scan(image=image, spacing=(1.0, 1.0), modality="mr")
    drawn = perturbations.realise(name, scan, seed=1)
    for level in (*CATALOG[name].body.values, CATALOG[name].limits[0]):
        refusal, finite = "", False
        try:
            finite = bool(torch.isfinite(drawn.at(level=level).image).all())
        except ValueError as error:
            refusal = str(error)
        assert finite or (size > 1 and "leaves the range of float32" in refusal)
