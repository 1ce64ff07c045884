"""What is refused and in which words, and the short way through `apply`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scans import body, cells, head

import perturbations
from perturbations import CATALOG, PRESETS, Scan
from perturbations.catalog import (
    interpolated,
    levels_for,
)


@pytest.mark.parametrize("name", list(CATALOG))
def test_every_line_says_unit_source_draws_and_note(name: str) -> None:
    entry = CATALOG[name]
    assert entry.name == name
    for text in (entry.body.unit, entry.source, entry.draws, entry.note, entry.family):
        assert text
    assert callable(entry.resolve())


def test_presets_hold_what_exists_and_fits() -> None:
    modality = {
        "mri": "mr",
        "ct": "ct",
        "ultrasound": "us",
        "xray": "xray",
        "microscopy": "microscopy",
        "rood-mri": "mr",
    }
    for preset, names in PRESETS.items():
        for name in names:
            levels_for(name, modality.get(preset, "other"))
            entry = CATALOG[name]
            if entry.protocol:
                assert entry.protocol == preset
            else:
                # site scans have no reference, and chains hold what stands in the list already
                assert not entry.uses_region
                assert entry.family != "acquisition"
    assert {"rood-mri", "imagenet-c", "kamath2023"} < set(PRESETS)
    protocols = {line.protocol for line in CATALOG.values() if line.protocol}
    assert protocols == {"rood-mri", "imagenet-c", "kamath2023"}


def test_unknown_names_and_levels_outside_are_refused_with_a_hint() -> None:
    with pytest.raises(ValueError, match="did you mean 'gaussian_noise'"):
        perturbations.realise("gaussian_nois", head(), seed=1)
    drawn = perturbations.realise("rician_noise", head(), seed=1)
    with pytest.raises(ValueError, match=r"must lie in \[0, 5\], got 6"):
        drawn.at(severity=6)
    with pytest.raises(ValueError, match=r"must lie between 0 and 1000 % of S_ref, got -1"):
        drawn.at(level=-1.0)
    beyond = drawn.at(level=26.0)
    assert (beyond.severity, beyond.level, beyond.status) == (None, 26.0, "ok")
    with pytest.raises(ValueError, match="needs a severity or a level"):
        drawn.at()
    with pytest.raises(ValueError, match="needs a severity or a level"):
        drawn.at(severity=1, level=3.0)


@pytest.mark.parametrize(
    ("name", "scan", "message"),
    [
        ("rician_noise", body, "is for mr, the scans are ct"),
        ("bias_field", cells, "is for mr, the scans are microscopy"),
        ("thick_slices", cells, "is for ct, mr, other, the scans are microscopy"),
    ],
)
def test_the_wrong_modality_is_refused(name: str, scan: Callable[[], Scan], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        perturbations.realise(name, scan(), seed=1)


def test_rician_noise_refuses_what_is_no_magnitude() -> None:
    scan = Scan(image=torch.full((1, 4, 4, 4), -1.0), spacing=(1, 1, 1), modality="mr")
    with pytest.raises(ValueError, match="magnitude image without negative values"):
        perturbations.realise("rician_noise", scan, seed=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.zeros(4, 4)}, "must be float32 of shape"),
        ({"image": torch.zeros(1, 4, 4, 4, dtype=torch.float64)}, "must be float32 of shape"),
        ({"image": torch.full((1, 4, 4, 4), float("nan"))}, "must be finite"),
        ({"spacing": (1.0, 0.0, 1.0)}, "spacing must be 3 positive numbers"),
        ({"spacing": (1.0, 1.0)}, "spacing must be 3 positive numbers"),
        ({"modality": "pet"}, "modality must be one of"),
        ({"state": "cooked"}, "state must be one of"),
        ({"unit": "cm"}, "unit must be 'mm' or 'px'"),
        ({"slice_thickness": 0.0}, "slice_thickness must be a positive number"),
        ({"image": torch.zeros(1, 4, 4, 4, requires_grad=True)}, "must not require gradients"),
        ({"image": torch.zeros(1, 0, 4, 4)}, "must be float32 of shape"),
        ({"region": torch.zeros(4, 4, 4)}, "region must be bool"),
    ],
)
def test_a_scan_that_is_none_is_refused(change: dict[str, object], message: str) -> None:
    known: dict[str, object] = {"image": torch.zeros(1, 4, 4, 4), "spacing": (3.0, 1.0, 1.0)}
    with pytest.raises(ValueError, match=message):
        Scan(**{**known, **change})  # type: ignore[arg-type]  # wrong on purpose


def test_an_image_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(TypeError, match="must be a torch tensor, got ndarray"):
        Scan(image=np.zeros((1, 4, 4, 4), np.float32), spacing=(1, 1, 1))  # type: ignore[arg-type]  # wrong on purpose


def test_seeds_depend_on_who_a_draw_is_for_and_nothing_else() -> None:
    seeds = {
        perturbations.derive_seed(audit, case, name, replicate)
        for audit in (1, 2)
        for case in ("a", "b")
        for name in ("rotation", "bias_field")
        for replicate in (0, 1)
    }
    assert len(seeds) == 16
    # neighbouring texts must not run into each other
    assert perturbations.derive_seed(1, "1a", "b") != perturbations.derive_seed(11, "a", "b")


def test_apply_takes_and_returns_numpy_and_torch() -> None:
    image = head().image[0]
    arguments = {"severity": 2, "seed": 7, "spacing_mm": (3.0, 1.2, 1.5), "modality": "mr"}
    as_torch = perturbations.apply("rician_noise", image, **arguments)  # type: ignore[arg-type]  # mixed values
    as_numpy = perturbations.apply("rician_noise", image.numpy(), **arguments)  # type: ignore[arg-type]  # mixed values
    assert isinstance(as_torch, torch.Tensor)
    assert isinstance(as_numpy, np.ndarray)
    assert np.array_equal(as_torch.numpy(), as_numpy)


def test_apply_at_severity_0_gives_the_values_back_in_memory_of_their_own() -> None:
    image = np.arange(24, dtype=np.float64).reshape(4, 6)
    result = perturbations.apply("rotation", image, severity=0, seed=1)
    assert isinstance(result, np.ndarray)
    assert result.dtype == np.float32
    assert np.array_equal(result, image)
    result[:] = -1
    assert image[0, 1] == 1


def test_whole_numbers_and_what_is_no_array_are_refused() -> None:
    with pytest.raises(TypeError, match=r"must be floating point, got int16; give image.astype"):
        perturbations.apply("rotation", np.zeros((4, 6), dtype=np.int16), severity=1, seed=1)
    with pytest.raises(
        TypeError, match="must be a numpy array without a mask or a torch tensor, got list"
    ):
        perturbations.apply("rotation", [[1.0]], severity=1, seed=1)  # type: ignore[arg-type]


def test_channels_lie_where_the_caller_says() -> None:
    image = np.random.default_rng(3).random((12, 14, 3), dtype=np.float32)
    last = perturbations.apply(
        "gaussian_noise", image, severity=2, seed=4, modality="microscopy", channel_axis=-1
    )
    first = perturbations.apply(
        "gaussian_noise", image.transpose(2, 0, 1).copy(), severity=2, seed=4,
        modality="microscopy", channel_axis=0,
    )  # fmt: skip
    assert last.shape == image.shape
    assert np.array_equal(np.asarray(last).transpose(2, 0, 1), np.asarray(first))
    with pytest.raises(
        ValueError, match="channel_axis must be one of the 3 axes of the image, got 3"
    ):
        perturbations.apply("gaussian_noise", image, severity=2, seed=4, channel_axis=3)
    with pytest.raises(ValueError, match="must have 2 or 3 spatial axes"):
        perturbations.apply("gaussian_noise", image[0, 0], severity=2, seed=4)
    with pytest.raises(ValueError, match="spacing_mm must be 2 numbers"):
        perturbations.apply(
            "gaussian_noise", image, severity=2, seed=4, channel_axis=-1, spacing_mm=(1.0,)
        )


def test_an_option_that_a_line_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown option 'axis' of rotation; it has none"):
        perturbations.realise("rotation", head(), seed=1, axis=0)


def test_levels_in_hu_refuse_what_is_no_hu_any_more() -> None:
    assert CATALOG["gaussian_noise"].on_state("windowed", "ct") == "refused"
    assert CATALOG["gaussian_noise"].on_state("windowed", "mr") == "allowed"
    assert CATALOG["rician_noise"].on_state("normalised", "mr") == "refused"
    assert CATALOG["gaussian_blur"].on_state("skull_stripped", "mr") == "masked"


def test_an_ordinal_scale_has_nothing_between_its_levels() -> None:
    bits = (16.0, 8.0, 7.0, 6.0, 5.0, 4.0)
    assert [interpolated(bits, s, "ordinal") for s in range(6)] == list(bits)
    with pytest.raises(ValueError, match=r"must be a whole number.*got 1\.5"):
        interpolated(bits, 1.5, "ordinal")
    # by hand: half way between 8 and 7, and their geometric mean
    assert interpolated(bits, 1.5, "linear") == 7.5
    assert interpolated(bits, 1.5, "log") == pytest.approx(56.0**0.5)


@pytest.mark.parametrize("severity", [-0.1, 5.1, float("nan"), float("inf")])
def test_a_severity_that_is_none_is_refused(severity: float) -> None:
    drawn = perturbations.realise("gaussian_noise", head(), seed=1)
    with pytest.raises(ValueError, match=r"severity of gaussian_noise must lie in \[0, 5\]"):
        drawn.at(severity=severity)
    with pytest.raises(ValueError, match="level of gaussian_noise must lie between"):
        drawn.at(level=float("nan"))


def test_a_scan_without_a_spacing_has_levels_in_pixels() -> None:
    image = torch.rand(1, 9, 9)
    scan = Scan(image=image, spacing=(1.0, 1.0), unit="px", modality="other")
    made = perturbations.realise("gaussian_blur", scan, seed=1).at(severity=2)
    assert (made.level, made.unit) == (2.0, "px FWHM")
    same = Scan(image=image, spacing=(1.0, 1.0), modality="microscopy")
    assert torch.equal(
        perturbations.realise("gaussian_blur", same, seed=1).at(level=2.0).image, made.image
    )


def test_a_line_that_has_levels_in_mm_only_needs_a_spacing() -> None:
    scan = Scan(image=torch.rand(1, 9, 9), spacing=(1.0, 1.0), unit="px", modality="mr")
    with pytest.raises(ValueError, match="rood_smoothing has levels in mm only"):
        perturbations.realise("rood_smoothing", scan, seed=1)


def test_a_record_in_another_unit_is_refused() -> None:
    scan = Scan(image=torch.rand(1, 9, 9), spacing=(2.0, 1.0), modality="other")
    record = perturbations.realise("gaussian_blur", scan, seed=1).record(4.0)
    bare = Scan(image=scan.image, spacing=(1.0, 1.0), unit="px", modality="other")
    with pytest.raises(ValueError, match=r"record must be in px FWHM, .* got 'mm FWHM'"):
        perturbations.replay(record, bare)


def test_values_beyond_float32_are_refused_in_words() -> None:
    scan = Scan(image=torch.full((1, 6, 6, 6), 3e38), spacing=(1, 1, 1), modality="mr")
    with pytest.raises(ValueError, match="leaves the range of float32"):
        perturbations.realise("rician_noise", scan, seed=1).at(severity=3)


def test_a_record_of_another_modality_is_refused() -> None:
    record = perturbations.realise("gaussian_noise", head(), seed=1).record(3.0)
    with pytest.raises(ValueError, match="modality ct, got 3 and 'mr'"):
        perturbations.replay(record, body())


def test_a_seed_is_the_head_of_a_digest_of_who_it_is_for() -> None:
    # the text is what `derive_seed` documents: fields parted by the ASCII unit separator
    digest = hashlib.sha256(b"7\x1fcase-1\x1frotation\x1f2").hexdigest()
    assert perturbations.derive_seed(7, "case-1", "rotation", 2) == int(digest[:16], 16)


def test_a_scan_that_is_flat_but_for_the_last_bit_has_a_foreground() -> None:
    image = torch.full((1, 1, 5), 7.0)
    image[0, 0, 2] = float(np.nextafter(np.float32(7.0), np.float32(8.0)))
    found = Scan(image=image, spacing=(1.0, 1.0), modality="mr").foreground
    assert found.sum() in (1, 5)


@pytest.mark.parametrize("wrong", ["3", [3.0], True, None, torch.tensor([1.0, 2.0])])
def test_what_is_no_number_is_no_severity_and_no_level(wrong: Any) -> None:
    drawn = perturbations.realise("gaussian_noise", head(), seed=1)
    expected = (
        r"(severity|level) of gaussian_noise must be a number, got|needs a severity or a level"
    )
    with pytest.raises((TypeError, ValueError), match=expected):
        drawn.at(severity=wrong)
    with pytest.raises((TypeError, ValueError), match=expected):
        drawn.at(level=wrong)


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (1.0, TypeError), (None, TypeError), (True, ValueError)]
)
def test_a_seed_is_a_whole_number_of_0_or_more(seed: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"seed must be .* got"):
        perturbations.realise("gaussian_noise", head(), seed=seed)


@pytest.mark.parametrize("spacing", [3, (1.0, 1.0), ("a", 1, 1), (True, 1, 1), (), "abc"])
def test_a_spacing_is_one_number_an_axis(spacing: Any) -> None:
    image = np.ones((4, 5, 6), dtype=np.float32)
    with pytest.raises(ValueError, match="spacing_mm must be 3 numbers in the order of the array"):
        perturbations.apply("rotation", image, severity=1, seed=1, spacing_mm=spacing)
