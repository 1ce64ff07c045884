"""Rounded and compressed pictures: errors that are bounded, and grids that are found."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scans import body, cells, head, padded_ct, sonogram

import perturbations
from perturbations import Scan, effect
from perturbations.display import even_step
from perturbations.quantiles import robust_ranges


def ramp(values: torch.Tensor, modality: str = "other") -> Scan:
    """An image of given values."""
    return Scan(image=values.reshape(1, 1, -1), spacing=(1.0, 1.0), modality=modality)


@pytest.mark.parametrize("bits", [8, 6, 4, 1])
@pytest.mark.parametrize("make", [head, body, sonogram, cells])
def test_rounding_moves_no_value_by_more_than_half_a_step(
    make: Callable[[], Scan], bits: int
) -> None:
    scan = make()
    result = perturbations.realise("quantisation", scan, seed=1).at(level=bits).image
    for out, clean, (low, high) in zip(result, scan.image, robust_ranges(scan), strict=True):
        step = (high - low) / (2**bits - 1)
        assert float((out - clean).abs().max()) <= 0.5 * step * (1 + 1e-4)
        shown = out[(clean >= low) & (clean <= high)]
        assert np.unique(shown.numpy()).size <= 2**bits


def test_rounding_by_hand() -> None:
    # 0, 1, .., 100: q01 = 1, q99 = 99; two bits: 1, 33.67, 66.33, 99; 0 and 100 lie nearest to the ends
    row = perturbations.realise("quantisation", ramp(torch.arange(101.0)), seed=1).at(level=2)
    values = row.image[0, 0]
    assert values[[1, 17, 18, 49, 51, 99]].tolist() == pytest.approx(
        [1.0, 1.0, 1 + 98 / 3, 1 + 98 / 3, 1 + 196 / 3, 99.0], abs=1e-4
    )
    assert np.unique(values.numpy()).size == 4


def test_a_noisy_scan_gets_the_variance_of_a_uniform_error() -> None:
    values = torch.from_numpy(np.random.default_rng(1).normal(0, 30, 50_000).astype(np.float32))
    scan = ramp(values)
    result = perturbations.realise("quantisation", scan, seed=1).at(level=5).image
    low, high = robust_ranges(scan)[0]
    # Bennett 1948: the error of a fine uniform quantiser has a standard deviation of step / sqrt(12)
    expected = (high - low) / 31 / 12**0.5
    assert float((result - scan.image).std()) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("factor", [1.0, 1 / 255, 0.37])
@pytest.mark.parametrize("offset", [0.0, -64.0, 1000.0])
def test_eight_bits_of_a_picture_of_eight_bits_are_no_change(factor: float, offset: float) -> None:
    grey = np.random.default_rng(2).integers(0, 256, (1, 60, 70))
    image = torch.from_numpy(((grey + offset) * factor).astype(np.float32))
    scan = Scan(image=image, spacing=(1.0, 1.0), unit="px", modality="us")
    drawn = perturbations.realise("quantisation", scan, seed=1)
    for bits in (16, 12, 8):
        result = drawn.at(level=bits)
        assert result.status == "no_effect"
        assert torch.equal(result.image, image)
    assert drawn.at(level=7).status == "ok"
    assert np.unique(drawn.at(level=7).image.numpy()).size <= 130


def test_twelve_bits_of_whole_hounsfield_units_are_no_change_and_eight_are_one() -> None:
    scan = body()
    whole = replace(scan, image=scan.image.round())
    drawn = perturbations.realise("quantisation", whole, seed=1)
    assert drawn.at(level=12).status == "no_effect"
    assert drawn.at(level=8).status == "ok"


def test_padding_does_not_stretch_the_range_of_what_was_measured() -> None:
    scan = padded_ct()
    noisy = replace(scan, image=scan.image + torch.rand(scan.image.shape) * (scan.image > -2000))
    (low, high), *_ = robust_ranges(noisy)
    assert -1000.0 <= low < high <= 41.0
    for name, level in (("quantisation", 4), ("jpeg", 30)):
        result = perturbations.realise(name, noisy, seed=1).at(level=level).image
        assert bool((result[scan.image == -3024.0] == -3024.0).all())


@pytest.mark.parametrize(
    ("values", "step"),
    [
        (torch.tensor([3.0, 9.0, 5.0, 1.0]), 2.0),
        (torch.tensor([0.0, 6.0, 10.0, 25.0]), 1.0),  # no two neighbours differ by 1
        (torch.arange(256.0) / 255, 1 / 255),
        (torch.arange(4096.0) - 1024, 1.0),
        (torch.tensor([0.0, 1.0, 3.14159, 100.0]), 0.0),
        (torch.full((5,), 7.0), float("inf")),
        (torch.zeros(0), float("inf")),
        (torch.rand(50_000, generator=torch.Generator().manual_seed(1)), 0.0),
    ],
)
def test_the_step_of_evenly_spaced_values_is_found(values: torch.Tensor, step: float) -> None:
    assert even_step(values) == pytest.approx(step, rel=1e-5)


def test_a_single_value_off_the_grid_that_no_sample_sees_counts() -> None:
    values = torch.arange(400_000.0) % 128 * 2
    assert even_step(values) == 2.0
    values[123_457] = 31.0
    assert even_step(values) == 1.0
    values[123_457] = 31.4159
    assert even_step(values) == 0.0


def test_a_jpeg_is_what_pillow_makes_of_the_window() -> None:
    scan = body()
    window = [-160.0, 240.0]
    result = perturbations.realise("jpeg", scan, seed=1, window=window).at(level=30).image[0]
    # by hand for one slice: 400 HU on 255 steps
    shown = np.clip(scan.image[0, 7].numpy(), -160, 240)
    picture = np.rint((shown + 160) * 255 / 400).astype(np.uint8)
    memory = io.BytesIO()
    Image.fromarray(picture).save(memory, format="JPEG", quality=30)
    read = np.asarray(Image.open(memory), dtype=np.float64) * 400 / 255 - 160
    beyond = scan.image[0, 7].numpy() - shown
    assert result[7].numpy() == pytest.approx(read + beyond, abs=1e-3)


def test_the_error_of_a_jpeg_is_bounded_and_grows_as_the_quality_falls() -> None:
    scan = sonogram()
    low, high = robust_ranges(scan)[0]
    drawn = perturbations.realise("jpeg", scan, seed=1)
    errors = []
    for quality in (100, 90, 70, 50, 30, 10):
        image = drawn.at(level=quality).image
        errors.append(effect.measure(scan, image).nrmse)
        # a picture read again lies between black and white
        assert float((image - scan.image).abs().max()) <= (high - low) * (1 + 1e-6)
    assert errors == sorted(errors)
    # at quality 100 a coefficient is rounded by at most 1/2: below 1 grey level of 255 on average
    best = (drawn.at(level=100).image - scan.image).square().mean().sqrt()
    assert float(best) < (high - low) / 255


def test_a_jpeg_error_has_blocks_of_eight_pixels() -> None:
    y, x = np.mgrid[:128, :128]
    smooth = 100 + 80 * np.sin(2 * np.pi * x / 61) * np.cos(2 * np.pi * y / 47)
    scan = Scan(
        image=torch.from_numpy(smooth.astype(np.float32))[None],
        spacing=(1.0, 1.0), unit="px", modality="xray",
    )  # fmt: skip
    error = (perturbations.realise("jpeg", scan, seed=1).at(level=10).image - scan.image)[0]
    jumps = error.diff(dim=1).abs().mean(dim=0)
    between = jumps[7::8].mean()
    within = torch.cat([jumps[k::8] for k in range(7)]).mean()
    assert float(between / within) > 1.5


def test_slices_are_cut_along_the_axis_of_the_largest_spacing() -> None:
    image = torch.from_numpy(np.random.default_rng(4).random((1, 24, 20, 6), dtype=np.float32))
    scan = Scan(image=image, spacing=(1.0, 1.0, 5.0), modality="mr")
    result = perturbations.realise("jpeg", scan, seed=1, window=[0.0, 1.0]).at(level=20).image
    flat = Scan(image=image[..., 2].contiguous(), spacing=(1.0, 1.0), modality="mr")
    alone = perturbations.realise("jpeg", flat, seed=1, window=[0.0, 1.0]).at(level=20).image
    assert torch.equal(result[..., 2], alone)


@pytest.mark.parametrize(
    "window", [[240.0, -160.0], [0.0], [0.0, float("nan")], "wide", 400.0, [0.0, 0.0], ["a", "b"]]
)
def test_a_window_that_is_none_is_refused(window: object) -> None:
    with pytest.raises(ValueError, match="jpeg needs a window of two numbers, black before white"):
        perturbations.realise("jpeg", body(), seed=1, window=window)


def test_a_side_that_jpeg_cannot_store_is_refused() -> None:
    scan = ramp(torch.rand(65_501))
    with pytest.raises(ValueError, match="jpeg stores sides of at most 65500 pixels"):
        perturbations.realise("jpeg", scan, seed=1)
