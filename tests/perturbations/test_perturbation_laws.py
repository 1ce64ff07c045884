"""Laws that every line of the catalogue keeps; a new line gets them all."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import SCANS, suited

import perturbations
from perturbations import CATALOG, Scan, effect, estimate
from perturbations.catalog import (
    MODALITIES,
    STATES,
    get,
    level_at,
    levels_for,
    modality_class,
    severity_at,
)
from perturbations.chunks import unit_field

ROOT = Path(__file__).resolve().parents[2]


PAIRS = [
    (name, kind)
    for name, entry in CATALOG.items()
    for kind, make in SCANS.items()
    if not entry.modalities or make().modality in entry.modalities
]


def test_every_line_meets_two_and_three_axes_and_one_and_several_channels() -> None:
    scans = {kind: make() for kind, make in SCANS.items()}
    for name, entry in CATALOG.items():
        met = [scans[kind] for line, kind in PAIRS if line == name]
        assert {scan.ndim for scan in met} == {2, 3}
        assert {scan.image.shape[0] > 1 for scan in met} == {False, True}
        assert {scan.modality for scan in met} == set(entry.modalities or MODALITIES)
        assert any(len(set(scan.spacing)) > 1 for scan in met)


PIXELWISE = ("jpeg", "low_resolution")
"""Lines whose structure or level is one of pixels, so that finer voxels see a finer one."""

SAMPLED = ("rood_anisotropy", "imagenet_c_pixelate")
"""Published samplings whose coarse grid may by chance fit a structure better than a finer one."""

PROTOCOL_IN_MM = ("rood_affine", "rood_elastic", "rood_motion", "rood_smoothing")
"""Lines of published protocols that are graded in mm; others count voxels or pixels."""


def last(name: str) -> int:
    """The highest severity of a line: published protocols have as many as they have."""
    return len(CATALOG[name].body.values)


def some(name: str) -> int:
    """A severity of the middle of a line."""
    return min(3, last(name))


def admitted(name: str, *severities: float) -> list[float]:
    """The severities that a line has: whole ones only on an ordinal scale."""
    ordinal = CATALOG[name].scale == "ordinal"
    return [s for s in severities if s <= last(name) and (not ordinal or s == int(s))]


DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
        ],
    ),
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
    for severity in admitted(name, 0.5, 1, 2, 3, 4, 5):
        image = drawn.at(severity=severity).image
        assert image.shape == scan.image.shape
        assert image.dtype == torch.float32
        assert bool(torch.isfinite(image).all())
    assert torch.equal(scan.image, before)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_the_same_seed_gives_the_same_bits_in_any_order(name: str, kind: str) -> None:
    first = perturbations.realise(name, SCANS[kind](), seed=3)
    up = [first.at(severity=s).image for s in admitted(name, 1, 3, 5)]
    second = perturbations.realise(name, SCANS[kind](), seed=3)
    down = [second.at(severity=s).image for s in admitted(name, 5, 3, 1)]
    for one, other in zip(up, reversed(down), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_the_number_of_threads_changes_no_bit(name: str, kind: str) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = perturbations.realise(name, SCANS[kind](), seed=4).at(severity=some(name)).image
        torch.set_num_threads(2)
        two = perturbations.realise(name, SCANS[kind](), seed=4).at(severity=some(name)).image
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one, two)


@pytest.mark.parametrize("seed", [5, 6])
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_distortion_does_not_fall_when_severity_rises(name: str, kind: str, seed: int) -> None:
    scan = SCANS[kind]()
    drawn = perturbations.realise(name, scan, seed=seed)
    sizes = []
    for severity in admitted(name, *range(1, last(name) + 1)):
        result = drawn.at(severity=severity)
        if result.status == "no_effect":
            sizes.append(0.0)
        elif result.warp is not None and result.warp.moves:
            sizes.append(float(result.warp.displacement().mean()))
        else:
            sizes.append(effect.measure(scan, result.image).nrmse)
    if name in SAMPLED:
        for low, high in itertools.pairwise(sizes):
            assert high > 0.95 * low
    else:
        assert sizes == sorted(sizes)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_record_replays_to_the_same_bits(name: str, kind: str) -> None:
    scan = SCANS[kind]()
    drawn = perturbations.realise(name, scan, seed=7)
    level = level_at(name, some(name), scan.modality)
    record = json.loads(json.dumps(drawn.record(level)))
    assert torch.equal(perturbations.replay(record, scan).image, drawn.at(level=level).image)
    with pytest.raises(ValueError, match="record must be of version"):
        perturbations.replay({**record, "version": 0}, scan)


@pytest.mark.parametrize("name", list(CATALOG))
def test_a_severity_comes_back_as_it_was_given(name: str) -> None:
    modality = (CATALOG[name].modalities or ("mr",))[0]
    drawn = perturbations.realise(name, suited(name), seed=1)
    for severity in admitted(name, 0.0, 0.3, 1.0, 1.1, 2.7, 5.0):
        assert drawn.at(severity=severity).severity == severity
    assert drawn.at(level=level_at(name, some(name), modality)).severity == some(name)


@pytest.mark.parametrize("name", list(CATALOG))
def test_severity_and_level_are_inverse_and_real_valued(name: str) -> None:
    modality = (CATALOG[name].modalities or ("mr",))[0]
    for severity in admitted(name, *np.linspace(0, last(name), 5 * last(name) + 1)):
        level = level_at(name, float(severity), modality)
        assert severity_at(name, level, modality) == pytest.approx(severity, abs=1e-9)
    levels = [level_at(name, s, modality) for s in range(last(name) + 1)]
    assert levels[0] == CATALOG[name].neutral
    assert levels[1:] == list(levels_for(name, modality)[0])


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_geometric_line_moves_voxels_without_folding_and_no_other_line_does(
    name: str, kind: str
) -> None:
    scan = SCANS[kind]()
    drawn = perturbations.realise(name, scan, seed=8)
    for severity in admitted(name, 1, 3, 5):
        made = drawn.at(severity=severity)
        warp = made.warp
        # without effect there is nothing to bring back
        assert (warp is not None) == (CATALOG[name].geometric and made.status == "ok")
        if warp is not None:
            assert warp.smallest_jacobian() > 0


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_the_reference_stays_the_very_same_object(name: str, kind: str) -> None:
    scan = SCANS[kind]()
    region = scan.region
    before = None if region is None else region.clone()
    perturbations.realise(name, scan, seed=8).at(severity=some(name))
    assert scan.region is region
    if region is not None and before is not None:
        assert torch.equal(region, before)


def scene(step: float, name: str) -> Scan:
    """Smooth blobs of 8 mm and more on slices of 4 mm, sampled at `step` mm in plane; for CT in HU."""
    size = round(72 / step)
    shape, spacing = (16, size, size), (4.0, step, step)
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    image = 100 / (1 + np.exp((np.sqrt((z / 0.9) ** 2 + y**2 + x**2) - 28) / 3))
    for cz, cy, cx in ((-8, 6, 10), (4, -12, 2), (8, 10, -8)):
        image += 60 * np.exp(-((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2) / (2 * 5.0**2))
    image += 1.0
    suits = CATALOG[name].modalities or ("mr",)
    # levels in pixels belong to a grid; those in mm are what this is about
    modality = next((m for m in suits if modality_class(m) == "body"), suits[0])
    if modality == "ct":  # air at -1000 HU, the large blob at 50 HU, small ones up to 80 HU
        image = 10.4 * np.minimum(image, 101.0) + 0.5 * np.maximum(image - 101.0, 0.0) - 1000.0
    return Scan(
        image=torch.from_numpy(image.astype(np.float32))[None], spacing=spacing, modality=modality,
        region=torch.from_numpy(z**2 + y**2 + x**2 < 14.0**2),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        (name, severity)
        for name, entry in CATALOG.items()
        if name not in PIXELWISE and (not entry.protocol or name in PROTOCOL_IN_MM)
        for severity in admitted(name, 1, 3, 5)
    ],
)
def test_a_level_does_the_same_to_the_anatomy_at_1_mm_and_at_2_mm(
    name: str, severity: float
) -> None:
    changes = []
    for step in (1.0, 2.0):
        scan = scene(step, name)
        image = perturbations.realise(name, scan, seed=11).at(severity=severity).image
        changes.append(effect.measure(scan, image).nrmse)
    assert changes[0] > 0
    assert changes[1] == pytest.approx(changes[0], rel=0.08)


@pytest.mark.parametrize("name", list(CATALOG))
def test_equal_channels_stay_equal_exactly_when_the_line_says_shared(name: str) -> None:
    single = suited(name)
    scan = replace(single, image=torch.cat([single.image[:1]] * 2))
    image = perturbations.realise(name, scan, seed=12).at(severity=some(name)).image
    assert torch.equal(image[0], image[1]) == (CATALOG[name].channels == "shared")


def parts_of(options: Mapping[str, Any]) -> list[str]:
    """The perturbations that a chain or a row is made of: each answers for itself."""
    chained = [name for name, _ in options.get("parts", ())]
    return chained + [name for row in options.get("rows", ()) for name in row]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("name", "modality"),
    [(name, m) for name, entry in CATALOG.items() for m in entry.modalities or MODALITIES],
)
def test_every_line_says_what_it_does_on_every_state(name: str, state: str, modality: str) -> None:
    entry = CATALOG[name]
    image = torch.zeros(1, 12, 24, 24)
    image[0, 3:9, 5:19, 5:19] = 100.0 + (torch.arange(6 * 14 * 14.0).reshape(6, 14, 14) % 17) ** 1.1
    if entry.modalities == ("ct",) and state == "raw":
        image[image == 0] = -1000.0
    region = image[0] > 110.0
    scan = Scan(image, (4.0, 1.0, 1.0), modality=modality, state=state, region=region)
    said = entry.on_state(state, modality)
    parts = parts_of(entry.options)
    if said == "refused" or any(get(it).on_state(state, modality) == "refused" for it in parts):
        with pytest.raises(ValueError, match=f"no physics on {state} scans"):
            perturbations.realise(name, scan, seed=1)
        return
    result = perturbations.realise(name, scan, seed=1).at(severity=last(name)).image
    assert not torch.equal(result, image)
    if said == "masked" and modality != "microscopy":
        assert torch.equal(result[~scan.support[None]], image[~scan.support[None]])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_device_gets_the_bits_of_the_cpu(name: str, kind: str, device: str) -> None:
    scan = SCANS[kind]()
    moved = replace(scan, image=scan.image.to(device))
    image = perturbations.realise(name, moved, seed=4).at(severity=min(2, last(name))).image
    assert image.device == moved.image.device
    expected = perturbations.realise(name, scan, seed=4).at(severity=min(2, last(name))).image
    assert torch.equal(image.cpu(), expected)
    assert effect.measure(moved, image) == effect.measure(scan, expected)
    perturbed, known = replace(moved, image=image), replace(scan, image=expected)
    for guess in (estimate.estimate_noise, estimate.estimate_blur, estimate.estimate_bias):
        assert guess(perturbed) == guess(known)


DIGESTS = """
import hashlib, sys
import perturbations
from scans import suited
for name in perturbations.CATALOG:
    severity = min(3, len(perturbations.CATALOG[name].body.values))
    image = perturbations.realise(name, suited(name), seed=9).at(severity=severity).image
    print(name, hashlib.sha256(image.numpy().tobytes()).hexdigest())
"""


def test_another_process_makes_the_same_bits() -> None:
    support = Path(__file__).parents[1] / "support"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [ROOT, support]))}
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS],
        capture_output=True, text=True, check=True, env={**environment, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    there = dict(line.split() for line in done.stdout.splitlines())
    for name in CATALOG:
        image = perturbations.realise(name, suited(name), seed=9).at(severity=some(name)).image
        assert there[name] == hashlib.sha256(image.numpy().tobytes()).hexdigest()


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(list(CATALOG)),
    modality=st.sampled_from(MODALITIES),
    shape=st.lists(st.integers(1, 9), min_size=2, max_size=3),
    channels=st.integers(1, 3),
    share=st.floats(0, 1),
    content=st.sampled_from(["flat", "noise", "zeros", "negative", "single", "tiny", "padded"]),
)
def test_any_small_scan_gives_finite_values_of_its_shape_or_a_refusal_in_words(
    name: str, modality: str, shape: list[int], channels: int, share: float, content: str
) -> None:
    image = torch.from_numpy(
        np.random.default_rng(1).random((channels, *shape), dtype=np.float32) * 100
    )
    image = {
        "flat": torch.full_like(image, 7.0),
        "noise": image,
        "zeros": torch.zeros_like(image),
        "negative": image - 200.0,
        "single": torch.where(image == image.max(), 1e6, torch.zeros_like(image)),
        "tiny": image * 1e-30,
        "padded": torch.where(image < 50, torch.full_like(image, -3024.0), image),
    }[content]
    spacing = (3.0, 0.7, 1.1)[-len(shape) :]
    scan = Scan(image=image, spacing=spacing, modality=modality)
    refusal = ""
    result = None
    try:
        result = perturbations.realise(name, scan, seed=3).at(severity=share * last(name))
    except ValueError as error:
        refusal = str(error)
    assert (result is None) == (name in refusal)
    if result is None:
        return
    assert result.image.shape == image.shape
    assert bool(torch.isfinite(result.image).all())
    assert effect.measure(scan, result.image).nrmse >= 0
    perturbed = replace(scan, image=result.image)
    for estimated in (
        estimate.estimate_noise(perturbed),
        estimate.estimate_blur(perturbed),
        estimate.estimate_bias(perturbed),
    ):
        assert estimated is None or np.isfinite(estimated)


def test_a_large_scan_draws_its_noise_in_chunks_that_do_not_depend_on_its_size() -> None:
    small = unit_field((1, 1 << 20), np.random.default_rng(1))
    large = unit_field((1, (1 << 20) + 77), np.random.default_rng(1))
    assert torch.equal(small[0], large[0, : 1 << 20])
    assert float(large[0, 1 << 20 :].abs().sum()) > 0


@pytest.mark.parametrize("name", list(CATALOG))
def test_another_seed_is_another_draw_exactly_when_the_line_draws(name: str) -> None:
    scan = suited(name)
    severity = some(name)
    first, *others = (
        perturbations.realise(name, scan, seed=s).at(severity=severity).image for s in range(1, 7)
    )
    # a draw among few (an axis, an end) may be the same now and then
    alike = all(torch.equal(first, other) for other in others)
    assert alike == (CATALOG[name].draws == "nothing")
