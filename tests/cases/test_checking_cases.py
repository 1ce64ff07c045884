"""Every problem of every case at once, and warnings that stop nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from volumes import SHAPE_ZYX, box, scan, write_cases, write_table, write_volume

from auditor.cases import Checked, check_cases, read_manifest, read_table
from auditor.schema import ReferenceRule

LABELS = (("organ", 1),)


@dataclass(frozen=True)
class Declared:
    """What the configuration says of the cases."""

    table: Path | None = None
    folder: Path | None = None
    images: Path | None = None
    references: Path | None = None
    modality: str = "mr"
    state: str = "raw"
    reference: ReferenceRule = field(default_factory=ReferenceRule)


def checked(table: Path, **changes: object) -> Checked:
    source = replace(Declared(table=table), **changes)  # type: ignore[arg-type]  # any field
    return check_cases(read_manifest(source), source, labels=LABELS)


def test_cases_in_order_have_neither_problems_nor_warnings(tmp_path: Path) -> None:
    found = checked(write_cases(tmp_path))
    assert (found.problems, found.warnings) == ((), ())
    assert [it.shape for it in found.geometries] == [SHAPE_ZYX] * 3


def test_problems_of_all_cases_are_told_together(tmp_path: Path) -> None:
    table = write_cases(tmp_path, count=5)
    broken = scan()
    broken[0, 0, 0] = np.nan
    write_volume(tmp_path / "scan0.nii.gz", broken)
    write_volume(tmp_path / "mask1.nii.gz", box(), spacing=(3.0, 0.8, 0.75))
    (tmp_path / "scan2.nii.gz").write_bytes(b"nothing")
    write_volume(tmp_path / "mask3.nii.gz", box().astype(np.float32) / 2)
    write_volume(tmp_path / "scan4.nii.gz", np.stack([scan(4), scan(5)], -1), vector=True)
    told = [
        r"case 'case-0': image must be finite, scan0\.nii\.gz holds NaN",
        r"case 'case-1': scan1\.nii\.gz and mask1\.nii\.gz must lie on one grid: spacing .*0\.75",
        r"case 'case-2': .*scan2\.nii\.gz cannot be read",
        r"case 'case-3': a mask must hold whole label numbers",
        r"all scans of an audit must have as many channels; there are 1 .*, 2 \(case 'case-4'\)",
    ]
    problems = checked(table).problems
    assert len(problems) == len(told)
    for pattern in told:
        assert any(re.search(pattern, problem) for problem in problems), (pattern, problems)


def test_masks_are_checked_even_where_the_image_is_unreadable(tmp_path: Path) -> None:
    table = write_cases(tmp_path, count=1)
    (tmp_path / "scan0.nii.gz").write_bytes(b"nothing")
    (tmp_path / "mask0.nii.gz").write_bytes(b"nothing")
    assert len(checked(table).problems) == 2


def test_a_label_in_no_reference_is_a_problem(tmp_path: Path) -> None:
    table = write_cases(tmp_path, count=2)
    for index in range(2):
        write_volume(tmp_path / f"mask{index}.nii.gz", box(number=6))
    found = checked(table)
    assert found.problems == ("label organ (1) must occur in a reference; all of them hold 6",)
    assert any("holds the labels 6, which no system declares" in it for it in found.warnings)


def test_an_empty_reference_is_a_warning(tmp_path: Path) -> None:
    table = write_cases(tmp_path)
    write_volume(tmp_path / "mask0.nii.gz", np.zeros(SHAPE_ZYX, np.uint8))
    found = checked(table)
    assert not found.problems
    assert found.warnings == (
        "case 'case-0': mask0.nii.gz is empty: it holds none of the audited labels",
    )


@pytest.mark.parametrize(
    ("modality", "state", "low", "told"),
    [
        ("ct", "raw", 0.0, "raw CT reaches the -1000 HU of air"),
        ("mr", "raw", -20.0, "magnitude MR is never negative"),
        ("ct", "windowed", 0.0, ""),
        ("mr", "normalised", -20.0, ""),
        ("ct", "raw", -1000.0, ""),
    ],
)
def test_voxels_that_contradict_the_declared_state_are_a_warning(
    tmp_path: Path, modality: str, state: str, low: float, told: str
) -> None:
    table = write_cases(tmp_path, count=1)
    write_volume(tmp_path / "scan0.nii.gz", scan() + np.float32(low))
    warnings = checked(table, modality=modality, state=state).warnings
    assert len(warnings) == bool(told)
    assert all(told in it and f"values run from {low:g} to" in it for it in warnings)


def test_a_normalised_scan_that_is_declared_raw_is_a_warning(tmp_path: Path) -> None:
    table = write_cases(tmp_path, count=1)
    values = scan()
    write_volume(tmp_path / "scan0.nii.gz", (values - values.mean()) / values.std())
    (warning,) = checked(table, modality="other").warnings
    assert "is it normalised already?" in warning


def test_a_constant_image_is_a_warning(tmp_path: Path) -> None:
    table = write_cases(tmp_path, count=1)
    write_volume(tmp_path / "scan0.nii.gz", np.full(SHAPE_ZYX, 7, np.float32))
    assert checked(table).warnings == ("case 'case-0': the image is constant (7)",)


def test_one_image_under_two_names_is_a_warning(tmp_path: Path) -> None:
    table = write_cases(tmp_path)
    (tmp_path / "scan2.nii.gz").write_bytes((tmp_path / "scan0.nii.gz").read_bytes())
    (warning,) = checked(table).warnings
    assert warning == (
        "cases 'case-0' and 'case-2' of two patients have the same image, byte for byte"
    )


def test_patients_that_were_never_named_are_a_warning(tmp_path: Path) -> None:
    for index in range(2):
        write_volume(tmp_path / "images" / f"c{index}.mha", scan(index))
        write_volume(tmp_path / "labels" / f"c{index}.mha", box())
    source = Declared(folder=tmp_path)
    found = check_cases(read_manifest(source), source, labels=LABELS)
    assert not found.problems
    assert found.warnings[0] == "cases: recognised paired folders images/ and labels/, 2 cases"
    assert "every case counts as a patient of its own" in found.warnings[1]


@pytest.mark.parametrize("named", [True, False])
def test_a_column_of_patients_is_believed_even_when_each_has_one_case(
    tmp_path: Path, *, named: bool
) -> None:
    rows: list[dict[str, str]] = []
    for index in range(2):
        write_volume(tmp_path / f"c{index}.mha", scan(index))
        write_volume(tmp_path / f"m{index}.mha", box())
        row = {"case": f"c{index}", "image": f"c{index}.mha", "reference": f"m{index}.mha"}
        rows.append(row | ({"patient": f"c{index}"} if named else {}))
    assert len(checked(write_table(tmp_path / "cases.csv", rows)).warnings) == (not named)


def test_scans_of_different_kinds_in_one_audit_are_a_problem(tmp_path: Path) -> None:
    table = write_cases(tmp_path, count=1)
    flat = scan(shape=(6, 11)).astype(np.uint8)
    image = write_volume(tmp_path / "p.png", flat)
    mask = write_volume(tmp_path / "m.png", box((1, 2), (4, 6), shape=(6, 11)))
    rows = [
        {"case": "a", "patient": "1", "image": image.name, "reference": mask.name},
        {"case": "b", "patient": "1", "image": "scan0.nii.gz", "reference": "mask0.nii.gz"},
    ]
    (problem,) = checked(write_table(table, rows)).problems
    assert problem == (
        "all scans of an audit must have as many axes, and all a spacing or none; there are 2-D and "
        "3-D scans in mm and px"
    )


@pytest.mark.parametrize(
    ("use", "raters", "told"),
    [
        ("given", 3, "has 3 raters and no reference; say cases.reference: {use: majority"),
        ("given", 1, ""),
        ("majority", 3, ""),
        (
            "majority",
            2,
            "has 2 raters, and a majority of them may be a tie; say cases.reference.tie",
        ),
        ("mean_over_raters", 3, ""),
        ("mean_over_raters", 2, "the majority for pictures and groups may be a tie"),
        ("staple", 3, ""),
        ("rater_2", 3, ""),
        (
            "rater_4",
            3,
            "must have rater_4 for cases.reference.use: rater_4, it has rater_1, rater_2, rater_3",
        ),
    ],
)
def test_the_rule_for_the_reference_must_fit_the_raters(
    tmp_path: Path, use: str, raters: int, told: str
) -> None:
    write_volume(tmp_path / "scan.mha", scan())
    row = {"case": "x", "image": "scan.mha"}
    for number in range(1, raters + 1):
        row[f"rater_{number}"] = write_volume(tmp_path / f"r{number}.mha", box()).name
    table = write_table(tmp_path / "cases.csv", [row])
    problems = checked(table, reference=ReferenceRule(use)).problems
    assert len(problems) == bool(told)
    assert all(told in problem for problem in problems)


def test_a_majority_without_raters_is_a_problem(tmp_path: Path) -> None:
    table = write_cases(tmp_path, count=1)
    (problem,) = checked(table, reference=ReferenceRule("majority")).problems
    assert "must have raters for cases.reference.use: majority, has none" in problem
    assert len(read_table(table)) == 1
