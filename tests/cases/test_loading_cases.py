"""One case in memory: scan, region, references, and the consensus of raters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from volumes import SHAPE_ZYX, SPACING_ZYX, box, scan, write_table, write_volume

from auditor.cases import LoadedCase, load_case, read_table
from auditor.cases.raters import majority
from auditor.errors import DataError
from auditor.schema import ReferenceRule

LABELS = (("organ", 1), ("lesion", 2))


def masks(*rows: list[int]) -> list[torch.Tensor]:
    return [torch.tensor([row], dtype=torch.int16) for row in rows]


def voted(*rows: list[int], tie: str, labels: tuple[int, ...] = (1,)) -> list[int]:
    found = majority(masks(*rows), labels, tie=tie)
    assert found.dtype == torch.int16
    return [int(value) for value in found[0]]


def test_a_majority_is_more_than_half_of_the_raters() -> None:
    # votes for label 1, voxel by voxel: 3, 2, 1, 0 of 3
    raters = [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]
    assert voted(*raters, tie="above_half") == [1, 1, 0, 0]
    assert voted(*raters, tie="at_least_half") == [1, 1, 0, 0]


def test_a_tie_is_decided_as_declared() -> None:
    # votes: 2, 1, 0 of 2; one of two is exactly half
    raters = [1, 1, 0], [1, 0, 0]
    assert voted(*raters, tie="above_half") == [1, 0, 0]
    assert voted(*raters, tie="at_least_half") == [1, 1, 0]


def test_labels_are_voted_on_one_by_one() -> None:
    # voxel 0: two of three say 2; voxel 1: 1, 2 and 0 once each; voxel 2: a label nobody audits
    raters = [2, 1, 9], [2, 2, 9], [1, 0, 9]
    assert voted(*raters, tie="above_half", labels=(1, 2)) == [2, 0, 0]


def test_between_equal_votes_the_first_declared_label_wins() -> None:
    raters = [1, 2], [2, 1]
    assert voted(*raters, tie="at_least_half", labels=(1, 2)) == [1, 1]
    assert voted(*raters, tie="at_least_half", labels=(2, 1)) == [2, 2]


def load(table: Path, *, rule: ReferenceRule | None = None, modality: str = "mr") -> LoadedCase:
    (record,) = read_table(table)
    return load_case(
        record,
        modality=modality,
        state="raw",
        labels=LABELS,
        reference_rule=rule or ReferenceRule(),
    )


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """One case with a reference of both labels and three raters."""
    write_volume(tmp_path / "t1.nii.gz", scan(1))
    write_volume(tmp_path / "t2.nii.gz", scan(2))
    write_volume(tmp_path / "m.nii.gz", box() + box((4, 0, 0), (5, 2, 2), number=2))
    row = {"case": "x", "image_1": "t1.nii.gz", "image_2": "t2.nii.gz", "reference": "m.nii.gz"}
    for number in (1, 2, 3):
        name = f"r{number}.nii.gz"
        row[f"rater_{number}"] = write_volume(tmp_path / name, box(high=(3, 5, 3 + number))).name
    return write_table(tmp_path / "cases.csv", [row])


def test_a_case_is_loaded_with_channels_spacing_region_and_references(table: Path) -> None:
    case = load(table)
    assert case.scan.image.shape == (2, *SHAPE_ZYX)
    assert torch.equal(case.scan.image[1], torch.from_numpy(scan(2)))
    assert case.scan.spacing == pytest.approx(SPACING_ZYX, abs=1e-5)
    assert (case.scan.unit, case.scan.modality, case.scan.state) == ("mm", "mr", "raw")
    assert set(case.references) == {"reference", "rater_1", "rater_2", "rater_3"}
    assert all(mask.dtype == torch.int16 for mask in case.references.values())
    assert case.scan.region is not None
    # the region is both labels: a box of 2 x 3 x 3 and one of 1 x 2 x 2 voxels
    assert int(case.scan.region.sum()) == 18 + 4
    assert case.geometry.shape == SHAPE_ZYX


def test_labels_that_are_not_audited_do_not_belong_to_the_region(
    table: Path, tmp_path: Path
) -> None:
    write_volume(tmp_path / "m.nii.gz", box(number=1) + box((4, 0, 0), (5, 2, 2), number=7))
    case = load(table)
    assert case.scan.region is not None
    assert int(case.scan.region.sum()) == 18


def test_the_majority_of_the_raters_is_the_reference_when_declared(table: Path) -> None:
    case = load(table, rule=ReferenceRule("majority", "above_half"))
    # the raters' boxes end at x = 4, 5 and 6: two of three agree up to 5, which is rater 2's
    assert torch.equal(case.references["reference"], case.references["rater_2"])
    one = load(table, rule=ReferenceRule("rater_3"))
    assert torch.equal(one.references["reference"], one.references["rater_3"])


def test_a_single_rater_needs_no_rule(tmp_path: Path) -> None:
    write_volume(tmp_path / "p.mha", scan())
    write_volume(tmp_path / "r.mha", box())
    row = {"case": "x", "image": "p.mha", "rater_1": "r.mha"}
    case = load(write_table(tmp_path / "cases.csv", [row]))
    assert torch.equal(case.references["reference"], torch.from_numpy(box()).short())


def test_several_raters_without_a_rule_are_refused(table: Path) -> None:
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text(
        "\n".join([lines[0].replace("reference", "unused"), lines[1]]), encoding="utf-8"
    )
    with pytest.raises(DataError, match=r"3 raters and no reference; say cases\.reference"):
        load(table)
    with pytest.raises(DataError, match=r"must have rater_4"):
        load(table, rule=ReferenceRule("rater_4"))


def test_a_mask_on_another_grid_is_refused_not_resampled(table: Path, tmp_path: Path) -> None:
    write_volume(tmp_path / "m.nii.gz", box(), origin=(-12.5, 40.0, 7.5))
    with pytest.raises(DataError, match=r"'x': t1\.nii\.gz and m\.nii\.gz must lie .* origin"):
        load(table)


def test_an_empty_reference_leaves_the_region_open(table: Path, tmp_path: Path) -> None:
    write_volume(tmp_path / "m.nii.gz", np.zeros(SHAPE_ZYX, np.uint8))
    assert load(table).scan.region is None


def test_a_modality_that_is_unknown_is_refused_with_the_case(table: Path) -> None:
    with pytest.raises(DataError, match=r"case 'x': modality must be one of"):
        load(table, modality="mri")


def test_a_picture_is_a_case_in_two_axes_and_pixels(tmp_path: Path) -> None:
    write_volume(tmp_path / "p.png", scan(shape=(6, 11)).astype(np.uint8))
    write_volume(tmp_path / "m.png", box((1, 2), (4, 6), shape=(6, 11)))
    row = {"case": "x", "image": "p.png", "reference": "m.png"}
    case = load(write_table(tmp_path / "cases.csv", [row]), modality="us")
    assert (case.scan.ndim, case.scan.unit, case.scan.spacing) == (2, "px", (1.0, 1.0))
    assert case.scan.region is not None
    assert int(case.scan.region.sum()) == 3 * 4
