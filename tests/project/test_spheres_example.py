"""The sphere task of the example: what is drawn, cut, trained and said."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spheres
import torch
import yaml
from spheres import SMALL, TEST, TINY, TRAINING, Job, crops, draw_sphere, sphere_jobs, write_audit
from spheres_page import NEARLY_ALL, sphere_section

from auditor.config import load_config
from auditor.schema import Estimate


def test_a_volume_is_one_sphere_on_noise_and_radii_of_the_test_are_wider() -> None:
    drawn = [draw_sphere(i, TRAINING, SMALL) for i in range(6)]
    for sphere in drawn:
        assert SMALL.radii[0] <= sphere.radius <= SMALL.radii[1]
        # voxels of a sphere of r >= 8: 4/3 pi r^3 to a few percent, wholly inside of the volume
        assert sphere.mask.sum() == pytest.approx(4 / 3 * math.pi * sphere.radius**3, rel=0.03)
        assert (sphere.image[sphere.mask] == 1.0).all()
        assert sphere.image[~sphere.mask].max() <= spheres.NOISE
        assert sphere.image.dtype == np.float32
    radii = [draw_sphere(i, TEST, SMALL).radius for i in range(40)]
    assert min(radii) < SMALL.radii[0]
    assert max(radii) > SMALL.radii[1]
    again = draw_sphere(3, TRAINING, SMALL)
    assert np.array_equal(again.image, drawn[3].image)
    assert not np.array_equal(draw_sphere(3, TEST, SMALL).image, again.image)


def test_every_second_patch_holds_the_sphere_and_all_lie_inside_of_the_volume() -> None:
    sphere = draw_sphere(0, TRAINING, SMALL)
    rng = np.random.default_rng(1)
    for _ in range(10):
        cut = crops(sphere, 16, rng)
        assert all(image.shape == mask.shape == (16, 16, 16) for image, mask in cut)
        assert all(mask.any() for _, mask in cut[::2])
        assert all((image[mask] == 1.0).all() for image, mask in cut)
    ((_, mask),) = crops(sphere, SMALL.size, rng)
    assert np.array_equal(mask, sphere.mask)


def test_every_network_has_every_patch_that_its_tokens_allow() -> None:
    jobs = sphere_jobs(SMALL)
    assert len({job.name for job in jobs}) == len(jobs) == 3 * (3 + 3 + 2)
    assert {job.patch for job in jobs if job.network == "unetr"} == {16, 32}
    # a training run of everything comes before the next, so that what is finished is typical
    assert [job.seed for job in jobs] == sorted(job.seed for job in jobs)


def test_a_network_is_trained_once_and_declared_with_what_its_patches_held(tmp_path: Path) -> None:
    folder = tmp_path / "networks"
    folder.mkdir()
    job = Job("unet", 8, 1)
    threads = torch.get_num_threads()
    facts = spheres.train_one(job, TINY, folder)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)  # noqa: FBT003 - torch's own signature
    low, high = facts["foreground_ratio"]
    assert 0.0 <= low < high <= 1.0
    assert facts["training_patches"] == 4 * spheres.CROPS
    assert {it.name for it in folder.iterdir()} == {
        f"{job.name}.{end}" for end in ("pt", "onnx", "json")
    }
    path = write_audit(TINY, tmp_path, [facts])
    entry = yaml.safe_load(path.read_text())["systems"][job.name]
    declared = entry["training"]["foreground_ratio"]
    assert declared[0] <= low
    assert declared[1] >= high
    config = load_config(path)
    (system,) = config.systems
    assert system.training is not None
    assert system.training.patch == (8, 8, 8)
    assert (system.family, system.training_seed) == ("unet", 1)
    assert len(list((tmp_path / "cases").glob("*.nii.gz"))) == 2 * TINY.volumes[2]


def estimate(value: float | None, low: float | None, high: float | None) -> dict[str, Any]:
    made = Estimate(value, 40, "t", "two-sided", 0.95 if low is not None else None, low, high)
    return asdict(replace(made, note="" if value is not None else "no patient"))


def summary(difference: dict[str, Any], share: dict[str, Any]) -> dict[str, Any]:
    windows = [{"name": "u", "window": "16x16x16", "runs": 3, "training": None, "systems": []}]
    family = {
        "family": "unet",
        "windows": windows,
        "sizes": ["<= 1", "1 to 2", "> 2"],
        "cells": [],
        "differences": [{"first": "u", "second": "u", "group": "all", "difference": difference}],
        "drops": [],
        "losses": [{"use": "u", "group": "<= 1", "share": share, "cases": 1 / 3}],
        "missing": [],
    }
    between = {
        "label": "sphere", "patch": "16x16x16", "first": "unet", "second": "unetr", "size": "all",
        "difference": difference,
    }  # fmt: skip
    return {
        "patients": 40,
        "level": 0.95,
        "families": [family],
        "between": [between, {**between, "size": "<= 1"}],
        "sweeps": [family],
    }


@pytest.mark.parametrize(
    ("difference", "share", "told"),
    [
        # U-Net less UNETR: negative, so that UNETR loses more, as claimed
        ((-0.2, -0.3, -0.1), (0.9, 0.85, 0.95), ("UNETR: supported", "holds it in 1 of 1")),
        ((0.2, 0.1, 0.3), (0.5, 0.4, 0.6), ("UNETR: contradicted", "not in 1, and 0 leave")),
        ((-0.2, -0.5, 0.1), (0.8, 0.7, 0.9), ("UNETR: open", "not in 0, and 1 leave")),
        ((-0.2, None, None), (0.8, None, None), ("UNETR: described only", "and 1 leave it open")),
        ((None, None, None), (None, None, None), ("UNETR: not assessable", "no patient")),
    ],
)
def test_the_words_follow_the_intervals(
    difference: tuple[float | None, ...], share: tuple[float | None, ...], told: tuple[str, ...]
) -> None:
    page = sphere_section(summary(estimate(*difference), estimate(*share)))
    assert all(it in page for it in told)
    assert f"{NEARLY_ALL:.0%}" in page
    asked = int(difference[1] is not None)
    assert f"{asked} of 1 comparisons have ten patients on both sides" in page
    if difference[1] == -0.3:
        assert "UNETR less U-Net | +0.200 [+0.100, +0.300] | 40 | t, 95%" in page


def test_a_page_without_families_says_so() -> None:
    page = sphere_section(
        {"patients": 4, "level": 0.95, "families": [], "between": [], "sweeps": []}
    )
    assert page.count("Not assessable") == 3
    assert "No model was run under several windows." in page
