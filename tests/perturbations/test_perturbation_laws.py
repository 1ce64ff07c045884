"""Laws that every line of the catalogue keeps; a new line gets them all."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scans import body, cells, head

import perturbations
from perturbations import CATALOG, PRESETS, Scan, effect
from perturbations.catalog import level_at, levels_for, severity_at

SCANS: dict[str, Callable[[], Scan]] = {
    "head": head,
    "head of two channels": lambda: head(channels=2),
    "body": body,
    "cells": cells,
}

PAIRS = [
    (name, kind)
    for name, entry in CATALOG.items()
    for kind, scan in (
        ("head", "mr"),
        ("head of two channels", "mr"),
        ("body", "ct"),
        ("cells", "microscopy"),
    )
    if not entry.modalities or scan in entry.modalities
]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_severity_0_is_the_scan_itself(name: str, kind: str) -> None:
    scan = SCANS[kind]()
    drawn = perturbations.realise(name, scan, seed=1)
    for zero in (drawn.at(severity=0), drawn.at(level=CATALOG[name].neutral)):
        assert zero.image is scan.image
        assert zero.status == "ok"
        assert zero.warp is None


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_shape_type_and_input_are_kept_and_values_stay_finite(name: str, kind: str) -> None:
    scan = SCANS[kind]()
    before = scan.image.clone()
    drawn = perturbations.realise(name, scan, seed=2)
    for severity in (0.5, 1, 2, 3, 4, 5):
        image = drawn.at(severity=severity).image
        assert image.shape == scan.image.shape
        assert image.dtype == torch.float32
        assert bool(torch.isfinite(image).all())
    assert torch.equal(scan.image, before)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_the_same_seed_gives_the_same_bits_in_any_order(name: str, kind: str) -> None:
    first = perturbations.realise(name, SCANS[kind](), seed=3)
    up = [first.at(severity=s).image for s in (1, 3, 5)]
    second = perturbations.realise(name, SCANS[kind](), seed=3)
    down = [second.at(severity=s).image for s in (5, 3, 1)]
    for one, other in zip(up, reversed(down), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_the_number_of_threads_changes_no_bit(name: str, kind: str) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = perturbations.realise(name, SCANS[kind](), seed=4).at(severity=3).image
        torch.set_num_threads(2)
        two = perturbations.realise(name, SCANS[kind](), seed=4).at(severity=3).image
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one, two)


@pytest.mark.parametrize("seed", [5, 6])
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_distortion_does_not_fall_when_severity_rises(name: str, kind: str, seed: int) -> None:
    scan = SCANS[kind]()
    drawn = perturbations.realise(name, scan, seed=seed)
    sizes = []
    for severity in (1, 2, 3, 4, 5):
        result = drawn.at(severity=severity)
        if result.status == "no_effect":
            sizes.append(0.0)
        elif result.warp is not None:
            sizes.append(float(result.warp.displacement().mean()))
        else:
            sizes.append(effect.measure(scan, result.image).nrmse)
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_record_replays_to_the_same_bits(name: str, kind: str) -> None:
    scan = SCANS[kind]()
    drawn = perturbations.realise(name, scan, seed=7)
    level = levels_for(name, scan.modality)[0][2]
    record = json.loads(json.dumps(drawn.record(level)))
    assert torch.equal(perturbations.replay(record, scan).image, drawn.at(level=level).image)
    with pytest.raises(ValueError, match="record must be of version"):
        perturbations.replay({**record, "version": 0}, scan)


@pytest.mark.parametrize("name", list(CATALOG))
def test_severity_and_level_are_inverse_and_real_valued(name: str) -> None:
    modality = (CATALOG[name].modalities or ("mr",))[0]
    for severity in np.linspace(0, 5, 23):
        level = level_at(name, float(severity), modality)
        assert severity_at(name, level, modality) == pytest.approx(severity, abs=1e-9)
    levels = [level_at(name, s, modality) for s in (0, 1, 2, 3, 4, 5)]
    assert levels[0] == CATALOG[name].neutral
    assert levels[1:] == list(levels_for(name, modality)[0])


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
    }
    for preset, names in PRESETS.items():
        for name in names:
            levels_for(name, modality.get(preset, "other"))


def test_unknown_names_and_levels_outside_are_refused_with_a_hint() -> None:
    with pytest.raises(ValueError, match="did you mean 'gaussian_noise'"):
        perturbations.realise("gaussian_nois", head(), seed=1)
    drawn = perturbations.realise("rician_noise", head(), seed=1)
    with pytest.raises(ValueError, match=r"must lie in \[0, 5\], got 6"):
        drawn.at(severity=6)
    with pytest.raises(ValueError, match=r"must lie between 0 \(no change\) and 25"):
        drawn.at(level=26.0)
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
