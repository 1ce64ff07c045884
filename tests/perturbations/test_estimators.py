"""What the estimators recover of injected levels; their docstrings state the limits tested here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scans import abdomen, body, cells, head, padded_ct, slice_of_a_head

import perturbations
from auditor.demo.audit import COHORT_SEED
from auditor.demo.phantoms import phantom
from perturbations import Scan, estimate
from perturbations.estimate_noise import chi_sigma, koay, noise_sigma

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
    # axis, phantom, lowest and highest bias over the severities, largest spread; three standard errors
    # of six phantoms (bias) and twice the spread beyond what was measured, for draws of noise differ
    ("gaussian_noise", "head", -0.17, 0.0, 0.08),
    ("gaussian_noise", "textured head", -0.05, 0.04, 0.05),
    ("gaussian_noise", "abdomen", 0.0, 0.14, 0.02),
    ("rician_noise", "head", -0.17, 0.0, 0.08),
    ("rician_noise", "textured head", -0.06, 0.03, 0.05),
    ("gaussian_blur", "head", -0.04, 0.06, 0.04),
    ("gaussian_blur", "textured head", -0.03, 0.04, 0.04),
    ("gaussian_blur", "abdomen", -0.02, 0.08, 0.01),
    ("bias_field", "head", -0.01, 0.01, 0.01),
    ("bias_field", "textured head", -0.05, 0.05, 0.20),
    ("thick_slices", "textured head", -0.27, 0.02, 0.03),
    ("thick_slices", "abdomen", -0.21, 0.04, 0.03),
]


@pytest.mark.slow
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


def test_the_coils_of_a_background_are_told_apart() -> None:
    # chi of 2 L degrees of freedom: sqrt of a sum of 2 L squares of normal noise
    rng = np.random.default_rng(4)
    for coils in (1, 2, 8, 32):
        air = np.sqrt((rng.normal(0, 5.0, (2 * coils, 60_000)) ** 2).sum(axis=0))
        found = chi_sigma(air)
        assert found is not None
        assert found[0] == pytest.approx(5.0, rel=0.03)
        assert found[1] == pytest.approx(coils, rel=0.06)
    assert chi_sigma(np.zeros(500)) is None


def test_noise_of_eight_coils_is_found_in_its_background() -> None:
    # level 5 %: sigma of each coil is 5 % of the signal of 200, which each coil has to 1 / sqrt(8)
    rng = np.random.default_rng(5)
    signal = np.zeros((16, 48, 48))
    signal[4:12, 10:38, 10:38] = 200.0
    parts = rng.normal(0, 10.0, (16, *signal.shape))
    parts[:8] += signal / math.sqrt(8)
    image = np.sqrt((parts**2).sum(axis=0))
    scan = Scan(image=torch.from_numpy(image.astype(np.float32))[None], spacing=(4.0, 1.0, 1.0),
                modality="mr")  # fmt: skip
    assert estimate.estimate_level("noncentral_chi_noise", scan) == pytest.approx(5.0, rel=0.06)


def test_the_deviation_of_a_magnitude_is_corrected_for_what_it_hides() -> None:
    # at a signal of twice sigma the deviation of a magnitude is .9 sigma and less
    rng = np.random.default_rng(6)
    for signal in (0.0, 1.0, 2.0, 5.0, 50.0):
        values = np.hypot(signal + rng.standard_normal(400_000), rng.standard_normal(400_000))
        assert koay(float(values.std()), float(values.mean())) == pytest.approx(1.0, abs=0.05)


def test_strong_noise_does_not_raise_the_signal_that_it_is_related_to() -> None:
    scan = head(noise=0.2, texture=0.1, seed=1)
    noisy = perturbations.realise("rician_noise", scan, seed=1).at(level=25.0).image
    found = noise_sigma(replace(scan, image=noisy))
    assert found is not None
    assert found.signal == pytest.approx(scan.s_ref, rel=0.06)
    # without the correction
    assert replace(scan, image=noisy).s_ref > 1.2 * scan.s_ref


def ghosted(scan: Scan, ratio: float, shift: int, axis: int, phase: float) -> Scan:
    """Add two ghosts by the shift theorem, without the library."""
    x = scan.image.numpy().astype(complex)
    forth, back = np.roll(x, shift, axis + 1), np.roll(x, -shift, axis + 1)
    y = np.abs(x + ratio * (np.exp(1j * phase) * forth + np.exp(-1j * phase) * back))
    return replace(scan, image=torch.from_numpy(y.astype(np.float32)))


def roomy(seed: int) -> Scan:
    """Put a head into a field of view of twice its size, with the same noise."""
    small = head(noise=0.5, seed=seed)
    rng = np.random.default_rng(seed)
    image = np.hypot(*rng.normal(0, 0.5, (2, 1, 24, 96, 80))).astype(np.float32)
    image[:, :, 24:72, 20:60] = small.image.numpy()
    return Scan(image=torch.from_numpy(image), spacing=small.spacing, modality="mr")


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("phase", [0.3, 1.2])
def test_a_ghost_in_the_background_has_the_amplitude_it_was_given(axis: int, phase: float) -> None:
    scan = roomy(2)
    for share in (0.15, 0.3, 0.45):
        shift = round(share * scan.spatial_shape[axis])
        found = [
            estimate.estimate_level("ghosting", ghosted(scan, r, shift, axis, phase))
            for r in (0.05, 0.10, 0.25)
        ]
        assert found == pytest.approx([5.0, 10.0, 25.0], rel=0.25)


def test_a_scan_without_a_ghost_has_none() -> None:
    for seed in range(3):
        assert estimate.estimate_ghosting(head(noise=1.0, texture=0.1, seed=seed)) == 0.0
    for name in ("rician_noise", "bias_field"):
        changed = perturbations.realise(name, head(), seed=3).at(severity=5).image
        found = estimate.estimate_ghosting(replace(head(), image=changed))
        assert found is not None
        assert found < 3.0


def phantom_of_the_demo(number: int) -> Scan:
    """A body with an organ and its equally bright twin on the other side."""
    drawn = phantom(number, seed=COHORT_SEED)
    image = torch.from_numpy(drawn.image.astype(np.float32))[None]
    return Scan(image=image, spacing=drawn.spacing, modality="mr")


@pytest.mark.parametrize("number", range(12))
def test_a_second_organ_like_the_first_is_no_ghost(number: int) -> None:
    assert estimate.estimate_ghosting(phantom_of_the_demo(number)) == 0.0


@pytest.mark.parametrize("number", [0, 1, 5])
def test_a_ghost_is_found_beside_a_second_organ(number: int) -> None:
    scan = phantom_of_the_demo(number)
    # a third of the field of view: much of either ghost falls beside the body
    found = [
        estimate.estimate_level("ghosting", ghosted(scan, r, 21, 1, 1.2))
        for r in (0.05, 0.10, 0.25)
    ]
    assert found == pytest.approx([5.0, 10.0, 25.0], rel=0.3)


def test_a_ghost_that_falls_upon_the_object_is_not_seen() -> None:
    # 2 voxels from its parent there is no background
    assert estimate.estimate_ghosting(ghosted(head(noise=0.5), 0.2, 2, 1, 0.3)) == 0.0


def test_thickness_is_what_the_file_tells() -> None:
    assert estimate.estimate_slice_thickness(head()) == 3.0
    assert estimate.estimate_slice_thickness(replace(head(), slice_thickness=4.5)) == 4.5
    assert estimate.estimate_slice_thickness(slice_of_a_head()) is None


def test_thick_slices_are_measured_against_what_the_file_tells() -> None:
    # slices that overlap by half: the same image is half as thick in units of its slices
    once = estimate.estimate_level("thick_slices", head())
    overlapping = estimate.estimate_level("thick_slices", replace(head(), slice_thickness=6.0))
    assert once is not None
    assert overlapping == pytest.approx(once / 2)


def test_a_blur_inside_a_cut_out_brain_is_not_hidden_by_the_edge_of_the_mask() -> None:
    whole = head(noise=0.2, seed=1)
    brain = whole.image * whole.foreground
    scan = replace(whole, image=brain, state="skull_stripped")
    blurred = perturbations.realise("gaussian_blur", scan, seed=1).at(level=4.0).image
    own = estimate.estimate_blur(scan)
    found = estimate.estimate_blur(replace(scan, image=blurred))
    assert own is not None
    assert found is not None
    assert found == pytest.approx(math.hypot(4.0, own), rel=0.3)


def test_noise_hardly_changes_the_blur_that_is_found() -> None:
    scan = head(noise=0.2, seed=1)
    own = estimate.estimate_blur(scan)
    noisy = perturbations.realise("rician_noise", scan, seed=1).at(level=9.0).image
    assert own is not None
    assert estimate.estimate_blur(replace(scan, image=noisy)) == pytest.approx(own, rel=0.15)


def test_everything_is_estimated_at_once_with_reasons_where_it_cannot_be() -> None:
    found = estimate.estimate_all(head())
    assert [it.name for it in found] == [
        "noise", "blur", "bias", "ghosting", "slice_thickness", "intensity_low", "intensity_high",
        "s_ref",
    ]  # fmt: skip
    assert found.noise.value == estimate.estimate_noise(head())
    assert found.s_ref.value == head().s_ref
    low, high = np.quantile(head().image.numpy(), [0.01, 0.99])
    assert (found.intensity_low.value, found.intensity_high.value) == pytest.approx((low, high))
    of_ct = estimate.estimate_all(body())
    assert (of_ct.noise.unit, of_ct.intensity_low.unit) == ("HU", "HU")
    assert of_ct.bias.reason == "HU have no coil to be uneven by"
    assert of_ct.ghosting.reason == "ghosts are looked for in magnitude images of MR"
    assert estimate.estimate_all(cells()).blur.unit == "px"


def test_the_range_of_a_cut_out_scan_leaves_out_what_was_cut() -> None:
    image = torch.zeros(1, 10, 20, 20)
    image[:, 2:8, 5:15, 5:15] = torch.linspace(100, 200, 600).reshape(6, 10, 10)
    scan = Scan(image=image, spacing=(1, 1, 1), modality="mr", state="skull_stripped")
    found = estimate.estimate_all(scan)
    assert found.intensity_low.value == pytest.approx(101.0, abs=0.01)
    assert found.intensity_high.value == pytest.approx(199.0, abs=0.01)


def drawn(*shape: int) -> torch.Tensor:
    """Uniform values, the same at every run."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(7))


HOSTILE: dict[str, Scan] = {
    "tiny": Scan(image=drawn(1, 4, 4, 4), spacing=(1, 1, 1), modality="mr"),
    "one voxel": Scan(image=torch.ones(1, 1, 1), spacing=(1, 1), modality="mr"),
    "one line": Scan(image=drawn(1, 1, 400), spacing=(1, 1), modality="other"),
    "one slice": Scan(image=drawn(1, 1, 40, 40), spacing=(5, 1, 1), modality="mr"),
    "axis of one voxel": Scan(image=drawn(1, 30, 1, 40), spacing=(5, 1, 1), modality="mr"),
    "constant": Scan(image=torch.full((1, 20, 20, 20), 7.0), spacing=(1, 1, 1), modality="mr"),
    "empty": Scan(image=torch.zeros(1, 20, 20, 20), spacing=(1, 1, 1), modality="mr"),
    "empty and stripped": Scan(
        image=torch.zeros(1, 20, 20, 20), spacing=(1, 1, 1), modality="mr", state="skull_stripped"
    ),
    "negative": Scan(image=-drawn(1, 12, 20, 20) - 1, spacing=(1, 1, 1), modality="mr"),
    "huge": Scan(image=drawn(1, 12, 20, 20) * 3e38, spacing=(1, 1, 1), modality="mr"),
    "minute": Scan(image=drawn(1, 12, 20, 20) * 1e-38, spacing=(1, 1, 1), modality="mr"),
    "air": Scan(image=torch.full((1, 6, 20, 20), -1000.0), spacing=(5, 1, 1), modality="ct"),
    "padding": padded_ct(),
}


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_what_cannot_be_estimated_has_a_reason_and_is_never_nan(kind: str) -> None:
    scan = HOSTILE[kind]
    for found in estimate.estimate_all(scan):
        if found.value is None:
            assert found.reason
        else:
            assert math.isfinite(found.value)
            assert not found.reason
    for name in estimate.LEVELS:
        level = estimate.estimate_level(name, scan)
        assert level is None or (math.isfinite(level) and level >= 0)


def test_too_little_to_estimate_from_is_none() -> None:
    for kind in ("tiny", "one voxel"):
        found = estimate.estimate_all(HOSTILE[kind])
        assert [found.noise.value, found.blur.value, found.bias.value] == [None] * 3
        assert found.ghosting.value is None
    assert estimate.estimate_noise(HOSTILE["one line"]) is None
    assert estimate.estimate_blur(HOSTILE["constant"]) is None
    assert estimate.estimate_all(HOSTILE["constant"]).s_ref.reason == "all voxels have one value"


def test_axes_without_an_estimator_have_no_estimate() -> None:
    assert estimate.estimate_level("rotation", head()) is None
    assert estimate.estimate_level("thick_slices", slice_of_a_head()) is None
    assert estimate.estimate_level("rician_noise", body()) is None
    assert estimate.estimate_bias(body()) is None


def test_blur_of_pixels_is_estimated_in_pixels() -> None:
    scan = cells()
    blurred = perturbations.realise("gaussian_blur", scan, seed=1).at(level=3.0).image
    own = estimate.estimate_blur(scan)
    found = estimate.estimate_blur(replace(scan, image=blurred, spacing=(0.2, 0.2), unit="mm"))
    assert own is not None
    assert found == pytest.approx(math.hypot(3.0, own), rel=0.15)


@pytest.mark.parametrize(("signal", "hidden"), [(1.5, 0.85), (2.0, 0.91)])
def test_noise_of_a_magnitude_without_a_background_is_corrected_for_what_it_hides(
    signal: float, hidden: float
) -> None:
    rng = np.random.default_rng(3)
    noise = 10.0 * rng.standard_normal((2, 16, 64, 64))
    values = np.hypot(signal * 10.0 + noise[0], noise[1])
    inside = np.zeros(values.shape, dtype=bool)
    inside[2:14, 8:56, 8:56] = True
    image = torch.from_numpy(np.where(inside, values, 0.0).astype(np.float32))[None]
    scan = Scan(image=image, spacing=(3.0, 1.0, 1.0), modality="mr", state="skull_stripped")
    # the standard deviation of the values themselves is below sigma
    assert float(values.std()) == pytest.approx(10.0 * hidden, rel=0.02)
    found = noise_sigma(scan)
    assert found is not None
    assert found.sigma == pytest.approx(10.0, rel=0.04)
