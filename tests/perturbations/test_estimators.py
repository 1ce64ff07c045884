"""What the estimators recover of injected levels; their docstrings state the limits tested here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scans import abdomen, body, cells, head

import perturbations
from perturbations import Scan, estimate

COHORT = 6
"""Phantoms, each with its own draw."""

KINDS: dict[str, Callable[[int], Scan]] = {
    "head": lambda number: head(noise=0.2, seed=number),
    "textured head": lambda number: head(noise=0.2, texture=0.1, seed=number),
    "abdomen": lambda number: abdomen(seed=number),
}


@cache
def errors(name: str, kind: str) -> tuple[tuple[float, float], ...]:
    """Relative bias and spread (standard deviation) over the cohort, per severity."""
    found = []
    for severity in (1, 2, 3, 4, 5):
        relative = []
        for number in range(COHORT):
            scan = KINDS[kind](number)
            drawn = perturbations.realise(name, scan, seed=number).at(severity=severity)
            own = estimate.estimate_level(name, scan)
            total = estimate.estimate_level(name, replace(scan, image=drawn.image))
            assert own is not None
            assert total is not None
            # what the scan has of its own adds in squares: independent variances, independent fields
            relative.append(total / math.hypot(drawn.level, own) - 1)
        found.append((float(np.mean(relative)), float(np.std(relative))))
    return tuple(found)


LIMITS = [
    # axis, phantom, lowest and highest bias over the severities, largest spread
    ("gaussian_noise", "head", -0.20, 0.0, 0.08),
    ("gaussian_noise", "textured head", -0.15, 0.03, 0.03),
    ("gaussian_noise", "abdomen", 0.0, 0.14, 0.01),
    ("rician_noise", "head", -0.20, 0.0, 0.08),
    ("rician_noise", "textured head", -0.15, 0.03, 0.03),
    ("gaussian_blur", "head", -0.05, 0.05, 0.03),
    ("gaussian_blur", "textured head", -0.05, 0.05, 0.03),
    ("gaussian_blur", "abdomen", -0.05, 0.06, 0.01),
    ("bias_field", "head", -0.01, 0.01, 0.01),
    ("bias_field", "textured head", -0.05, 0.05, 0.20),
]


@pytest.mark.parametrize(("name", "kind", "low", "high", "spread"), LIMITS)
def test_injected_levels_come_back_within_the_stated_bias_and_spread(
    name: str, kind: str, low: float, high: float, spread: float
) -> None:
    for bias, deviation in errors(name, kind):
        assert low <= bias <= high
        assert deviation <= spread


@pytest.mark.parametrize(("name", "kind"), [limit[:2] for limit in LIMITS])
def test_an_estimate_rises_with_the_severity(name: str, kind: str) -> None:
    scan = KINDS[kind](0)
    drawn = perturbations.realise(name, scan, seed=3)
    levels = [
        estimate.estimate_level(name, replace(scan, image=drawn.at(severity=s).image))
        for s in range(6)
    ]
    known = [level for level in levels if level is not None]
    assert len(known) == 6
    assert known == sorted(known)


def test_the_background_of_a_magnitude_image_gives_its_noise() -> None:
    # Rayleigh: median = sigma sqrt(2 ln 2); S_ref of a flat object is its value
    rng = np.random.default_rng(1)
    signal = np.zeros((16, 48, 48))
    signal[4:12, 10:38, 10:38] = 200.0
    real, imaginary = rng.normal(0, 8.0, (2, *signal.shape))
    image = torch.from_numpy(np.hypot(signal + real, imaginary).astype(np.float32))[None]
    scan = Scan(image=image, spacing=(4.0, 1.0, 1.0), modality="mr")
    # 8 / 200 = 4 %, the 95th percentile of a noisy plateau is a little above it
    assert estimate.estimate_noise(scan) == pytest.approx(4.0, rel=0.06)


def test_the_residual_of_white_noise_is_its_sigma() -> None:
    rng = np.random.default_rng(2)
    image = rng.normal(50.0, 7.0, (12, 60, 60)).astype(np.float32)
    everywhere = np.ones(image.shape, dtype=bool)
    # 41,772 details: the standard error of a MAD is about 1.17 sigma / sqrt(n) < 1 %
    found = estimate.residual_sigma(image, everywhere, (5.0, 1.0, 1.0))
    assert found == pytest.approx(7.0, rel=0.03)


def test_a_linear_ramp_has_no_residual() -> None:
    y, x = np.mgrid[0:30, 0:30]
    ramp = (3.0 * y + 2.0 * x).astype(np.float32)
    assert estimate.residual_sigma(ramp, np.ones(ramp.shape, dtype=bool), (1.0, 1.0)) == 0.0


def test_noise_of_ct_is_estimated_in_hu() -> None:
    # the phantom has white noise of 8 HU
    assert estimate.estimate_noise(body()) == pytest.approx(8.0, rel=0.1)


def test_a_field_that_was_put_in_is_the_field_that_is_found() -> None:
    # without anatomy and noise the fit is exact
    image = torch.full((1, 16, 32, 32), 100.0)
    image[0, :3] = 1.0
    scan = Scan(image=image, spacing=(3.0, 1.0, 1.0), modality="mr")
    biased = perturbations.realise("bias_field", scan, seed=4).at(level=40.0).image
    assert estimate.estimate_bias(replace(scan, image=biased)) == pytest.approx(40.0, rel=0.02)


def test_too_little_to_estimate_from_is_none() -> None:
    tiny = Scan(image=torch.rand(1, 4, 4, 4), spacing=(1, 1, 1), modality="other")
    line = Scan(image=torch.rand(1, 1, 400), spacing=(1, 1), modality="other")
    flat = Scan(image=torch.ones(1, 20, 20, 20), spacing=(1, 1, 1), modality="other")
    assert estimate.estimate_noise(tiny) is None
    assert estimate.estimate_blur(tiny) is None
    assert estimate.estimate_bias(tiny) is None
    assert estimate.estimate_noise(line) is None
    assert estimate.estimate_blur(flat) is None


def test_axes_without_an_estimator_have_no_estimate() -> None:
    assert estimate.estimate_level("rotation", head()) is None
    assert estimate.estimate_level("thick_slices", head()) is None
    assert estimate.estimate_bias(body()) is None


def test_blur_of_pixels_is_estimated_in_pixels() -> None:
    scan = cells()
    blurred = perturbations.realise("gaussian_blur", scan, seed=1).at(level=3.0).image
    own = estimate.estimate_blur(scan)
    found = estimate.estimate_blur(replace(scan, image=blurred, spacing=(0.2, 0.2), unit="mm"))
    assert own is not None
    assert found == pytest.approx(math.hypot(3.0, own), rel=0.15)
