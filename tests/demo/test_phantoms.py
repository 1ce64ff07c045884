"""The phantom patients keep what their docstrings promise."""

from __future__ import annotations

import csv
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from auditor.demo import phantoms
from auditor.demo.phantoms import Mask, phantom, write_cohort


@pytest.fixture(scope="module")
def cohort() -> list[phantoms.Phantom]:
    return [phantom(index, seed=5) for index in range(40)]


def _dsc(first: Mask, second: Mask) -> float:
    return float(2.0 * (first & second).sum() / (first.sum() + second.sum()))


def test_the_same_arguments_give_the_same_bits() -> None:
    first, second = phantom(3, seed=9), phantom(3, seed=9)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.metadata == second.metadata
    for one, other in zip(first.raters, second.raters, strict=True):
        assert one.tobytes() == other.tobytes()


def test_other_seeds_and_other_indices_give_other_patients() -> None:
    images = {phantom(i, seed=s).image.tobytes() for i, s in itertools.product(range(3), range(3))}
    assert len(images) == 9


def test_foreground_ratios_run_from_a_thousandth_to_a_tenth(cohort: list[phantoms.Phantom]) -> None:
    ratios = sorted(float(p.reference.mean()) for p in cohort)
    assert 0.001 <= ratios[0] < 0.002
    assert 0.06 < ratios[-1] <= 0.1
    # log-uniform: the middle of 40 patients lies near the geometric mean sqrt(.0011 * .095) = .0102
    assert 0.006 < ratios[20] < 0.017


def test_rater_disagreement_differs_from_patient_to_patient(cohort: list[phantoms.Phantom]) -> None:
    agreement = [
        np.mean([_dsc(a, b) for a, b in itertools.combinations(p.raters, 2)]) for p in cohort
    ]
    assert max(agreement) > 0.93
    assert min(agreement) < 0.80
    assert all(rater.any() for p in cohort for rater in p.raters)


def test_rater_disagreement_is_no_mere_effect_of_size(cohort: list[phantoms.Phantom]) -> None:
    # the displacement in mm: volume between two raters' boundaries over the boundary's area
    small = [p for p in cohort if p.reference.mean() < 0.005]
    agreement = [_dsc(p.raters[0], p.raters[1]) for p in small]
    assert max(agreement) - min(agreement) > 0.1


def test_the_grid_is_anisotropic_and_oblique() -> None:
    patient = phantom(0, seed=5)
    axes = np.array(patient.direction)
    assert len(set(patient.spacing)) == 2
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    # towards superior, posterior, left (LPS+: z, y, x), none of them exactly
    assert np.array_equal(np.abs(axes).argmax(axis=1), [2, 1, 0])
    assert np.all(np.diag(axes[:, ::-1]) > 0.9)
    assert np.all(np.diag(axes[:, ::-1]) < 1.0)


def test_the_image_centre_is_the_origin_of_the_patient() -> None:
    patient = phantom(4, seed=5)
    half = (np.array(patient.image.shape) - 1) / 2 * patient.spacing
    centre = np.array(patient.origin) + half @ np.array(patient.direction)
    np.testing.assert_allclose(centre, 0.0, atol=1e-9)


def test_images_are_magnitudes_in_whole_numbers(cohort: list[phantoms.Phantom]) -> None:
    for patient in cohort[:5]:
        assert patient.image.dtype == np.float32
        assert patient.image.shape == phantoms.SHAPE
        assert patient.image.min() >= 0
        assert np.array_equal(patient.image, np.round(patient.image))


def test_the_background_of_site_b_is_noisier(cohort: list[phantoms.Phantom]) -> None:
    # Rayleigh background: mean sigma sqrt(pi / 2); sigma = 12 at A, 30 at B, times a gain near 1
    means: dict[str, list[float]] = {"A": [], "B": []}
    for patient in cohort:
        means[dict(patient.metadata)["site"]].append(float(patient.image[:, :4, :4].mean()))
    assert 12 < np.mean(means["A"]) < 18
    assert 38 < np.mean(means["B"]) < 50


def test_both_sites_several_scanners_and_both_sexes_occur(cohort: list[phantoms.Phantom]) -> None:
    columns = [dict(p.metadata) for p in cohort]
    assert {c["site"] for c in columns} == {"A", "B"}
    assert {c["scanner"] for c in columns} == {"A1", "A2", "B1", "B2"}
    assert {c["sex"] for c in columns} == {"F", "M"}


@pytest.mark.parametrize(("index", "seed"), [(-1, 0), (0, -1)])
def test_negative_arguments_are_refused(index: int, seed: int) -> None:
    with pytest.raises(ValueError, match="index and seed must be at least 0"):
        phantom(index, seed=seed)


def test_a_cohort_without_patients_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="patients must be at least 1, got 0"):
        write_cohort(tmp_path, patients=0, seed=1)


def test_the_table_names_files_that_hold_the_phantoms(tmp_path: Path) -> None:
    table = write_cohort(tmp_path / "cohort", patients=3, seed=5)
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        *("case", "patient", "image", "rater_1", "rater_2", "rater_3", "site", "scanner", "sex")
    ]
    for index, row in enumerate(rows):
        drawn = phantom(index, seed=5)
        image: Any = SimpleITK.ReadImage(os.fspath(table.parent / row["image"]))
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), drawn.image)
        mask = SimpleITK.ReadImage(os.fspath(table.parent / row["rater_2"]))
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(mask), drawn.raters[1])
        # NIfTI keeps single precision
        np.testing.assert_allclose(image.GetSpacing(), drawn.spacing[::-1], atol=1e-5)
        # the step to the next slice is the third axis of the file, the first of the array
        step = np.subtract(
            image.TransformIndexToPhysicalPoint((0, 0, 1)),
            image.TransformIndexToPhysicalPoint((0, 0, 0)),
        )
        np.testing.assert_allclose(step / 3.0, drawn.direction[0], atol=1e-4)
        step = np.subtract(
            image.TransformIndexToPhysicalPoint((1, 0, 0)),
            image.TransformIndexToPhysicalPoint((0, 0, 0)),
        )
        np.testing.assert_allclose(step / 1.2, drawn.direction[2], atol=1e-4)


def test_writing_a_cohort_twice_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_cohort(tmp_path / name, patients=2, seed=5)
    for path in sorted((tmp_path / "first").iterdir()):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
