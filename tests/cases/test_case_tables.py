"""Tables and folders become case records: ids, digests, and every problem with its row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from volumes import box, scan, write_cases, write_table, write_volume

from auditor.cases import read_manifest, read_table
from auditor.errors import DataError
from auditor.schema import ReferenceRule


@dataclass(frozen=True)
class Source:
    """What the configuration says of the cases."""

    table: Path | None = None
    folder: Path | None = None
    images: Path | None = None
    references: Path | None = None
    modality: str = "mr"
    state: str = "raw"
    reference: ReferenceRule = field(default_factory=ReferenceRule)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def write_text(folder: Path, text: str) -> Path:
    path = folder / "cases.csv"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(read: Callable[[], object]) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        read()
    return caught.value.problems


def test_rows_become_records_with_display_ids_in_the_order_of_patient_and_case(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "a.nii", "b.nii", "c.nii", "m.nii")
    table = write_text(
        tmp_path,
        "case,patient,image,reference,site\n"
        "zoe-2,zoe,a.nii,m.nii,north\n"
        "zoe-1,zoe,b.nii,m.nii,\n"
        "adam-9,adam,c.nii,m.nii,south\n",
    )
    cases = read_table(table)
    assert [(it.case, it.display_case, it.display_patient) for it in cases] == [
        ("adam-9", "C001", "P001"),
        ("zoe-1", "C002", "P002"),
        ("zoe-2", "C003", "P002"),
    ]
    assert cases[0].metadata == (("site", "south"),)
    assert cases[1].metadata == (("site", ""),)
    assert cases == read_manifest(Source(table=table))


def test_digests_are_those_of_the_files_and_name_no_path(tmp_path: Path) -> None:
    (case, *_) = read_table(write_cases(tmp_path))
    told = dict(case.digests)
    assert set(told) == {"image_1", "reference"}
    assert told["image_1"] == hashlib.sha256(Path(case.images[0]).read_bytes()).hexdigest()
    assert told["reference"] == hashlib.sha256(Path(str(case.reference)).read_bytes()).hexdigest()


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_the_digest_covers_voxels_in_a_file_of_their_own(tmp_path: Path, suffix: str) -> None:
    table = write_cases(tmp_path, count=1, suffix=suffix)
    (before,) = read_table(table)
    write_volume(tmp_path / f"scan0{suffix}", scan(99))  # other voxels under the same header
    (after,) = read_table(table)
    assert dict(before.digests)["image_1"] != dict(after.digests)["image_1"]
    assert dict(before.digests)["reference"] == dict(after.digests)["reference"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_delimiters_and_byte_order_marks_of_spreadsheets_are_understood(
    tmp_path: Path, delimiter: str, start: str
) -> None:
    touch(tmp_path, "a.nii", "m.nii")
    rows = ["case,patient,image,reference,note", 'x, p ,a.nii,m.nii,"one, two; three"', ",,,,"]
    lines = "\r\n".join(row.replace(",", delimiter) for row in rows)
    (case,) = read_table(write_text(tmp_path, start + lines))
    assert (case.case, case.patient) == ("x", "p")
    assert dict(case.metadata)["note"].endswith("three")


def test_columns_of_channels_and_raters_are_ordered_by_their_numbers(tmp_path: Path) -> None:
    names = [f"r{i}.nii" for i in range(1, 11)]
    touch(tmp_path, "t1.nii", "t2.nii", *names)
    row = {"case": "x", "image_2": "t2.nii", "image_1": "t1.nii", "image_quality": "good"}
    raters = {f"rater_{i}": f"r{i}.nii" for i in (10, *range(1, 10))}
    (case,) = read_table(write_table(tmp_path / "cases.csv", [{**row, **raters}]))
    assert [Path(path).name for path in case.images] == ["t1.nii", "t2.nii"]
    assert [Path(path).name for path in case.raters] == names
    assert case.metadata == (("image_quality", "good"),)
    assert case.patient == "x"
    assert [role for role, _ in case.digests][:3] == ["image_1", "image_2", "rater_1"]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("image,reference", r"a column case is required, there are image, reference"),
        ("case,reference", r"a column image is required"),
        ("case,image", r"a column reference, or rater_1 and on, is required"),
        ("case,image,image_1,reference", r"image and image_1 exclude each other"),
        ("case,image,reference,case", r"the column 'case' stands 2 times"),
        ("case,image,rater_1,rater_3", r"raters must be numbered from rater_1 on.*rater_3"),
        ("", r"a column case is required, there are none"),
    ],
)
def test_a_header_without_what_is_needed_is_refused(tmp_path: Path, header: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_table(write_text(tmp_path, f"{header}\n1,2,3,4\n"))


def test_problems_of_all_rows_are_told_together_with_their_row(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "m.nii")
    table = write_text(
        tmp_path,
        "case,patient,image,reference,rater_1,rater_2\n"
        "x,p,a.nii,m.nii,,\n"
        ",p,a.nii,m.nii,,\n"
        "x,q,a.nii,m.nii,,\n"
        "y,p,,m.nii,,\n"
        "z,p,b.nii,,,\n"
        "w,p,a.nii,,,n.nii\n"
        "v,,a.nii,m.nii,,\n",
    )
    assert problems_of(lambda: read_table(table)) == (
        "row 3: the cell case is empty",
        "row 4: the case 'x' stands in row 2 already",
        "row 5: case 'y' has no file in the column image",
        "row 6: case 'z' has neither a reference nor a rater",
        "row 6: case 'z': the file of image_1 must exist, b.nii does not",
        "row 7: case 'w': the file of rater_2 must exist, n.nii does not",
        "row 8: the cell patient is empty; fill it in, or leave the whole column out",
    )


def test_a_row_with_too_many_cells_is_refused_with_advice(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "m.nii")
    table = write_text(tmp_path, "case,image,reference\nx,a.nii,m.nii,one, two\n")
    (problem,) = problems_of(lambda: read_table(table))
    assert problem.startswith("row 2: must have at most 3 cells, has 5; a ',' inside")


def test_an_empty_or_unreadable_table_is_refused(tmp_path: Path) -> None:
    table = write_text(tmp_path, "case,image,reference\n")
    assert problems_of(lambda: read_table(table)) == ("the table has no rows below its header",)
    table.write_bytes(b"case,image\xff\n")
    with pytest.raises(DataError, match=r"cases\.csv must be a readable CSV file: it is no UTF-8"):
        read_table(table)
    with pytest.raises(DataError, match="must be a readable CSV file: No such file"):
        read_table(tmp_path / "nowhere.csv")


def test_header_and_voxels_that_are_apart_must_both_exist(tmp_path: Path) -> None:
    table = write_cases(tmp_path, count=1, suffix=".mhd")
    voxels = next(path for path in tmp_path.iterdir() if path.suffix in {".raw", ".zraw"})
    voxels.unlink()
    with pytest.raises(DataError, match="must be readable with its voxels"):
        read_table(table)


@pytest.mark.parametrize("references", ["references", "labels", "masks", "labelsTr"])
def test_paired_folders_are_recognised_by_their_names(tmp_path: Path, references: str) -> None:
    touch(tmp_path, "images/b.nii.gz", "images/a.nii.gz", "images/notes.txt")
    touch(tmp_path, f"{references}/a.mha", f"{references}/b.nii.gz")
    cases = read_manifest(Source(folder=tmp_path))
    assert [(it.case, it.patient, Path(str(it.reference)).name) for it in cases] == [
        ("a", "a", "a.mha"),
        ("b", "b", "b.nii.gz"),
    ]
    assert [it.display_patient for it in cases] == ["P001", "P002"]


def test_two_named_folders_need_no_recognised_names(tmp_path: Path) -> None:
    touch(tmp_path, "scans/a.png", "drawn/a.png")
    source = Source(images=tmp_path / "scans", references=tmp_path / "drawn")
    assert [it.case for it in read_manifest(source)] == ["a"]


def test_numbered_channels_of_a_case_belong_together(tmp_path: Path) -> None:
    touch(tmp_path, "imagesTr/x_12_0000.nii", "imagesTr/x_12_0001.nii", "labelsTr/x_12.nii")
    touch(tmp_path, "imagesTr/y_0007.nii", "labelsTr/y_0007.nii")  # a case with such a name
    found = {
        it.case: [Path(p).name for p in it.images] for it in read_manifest(Source(folder=tmp_path))
    }
    assert found == {"x_12": ["x_12_0000.nii", "x_12_0001.nii"], "y_0007": ["y_0007.nii"]}


def test_files_without_a_partner_are_all_named(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.nii", "images/b.nii", "images/c.nii", "images/c.nii.gz")
    touch(tmp_path, "masks/a.nii", "masks/c.nii", "masks/d.nii", "masks/a.mha")
    assert problems_of(lambda: read_manifest(Source(folder=tmp_path))) == (
        "a.mha and a.nii are one reference twice",
        "b.nii has no reference in masks/",
        "c.nii and c.nii.gz are one image twice",
        "d.nii of masks/ has no image in images/",
    )


def test_a_folder_in_no_known_layout_says_what_is_recognised(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"recognised: a folder of images \(images, .*write a table"
    ):
        read_manifest(Source(folder=tmp_path))
    touch(tmp_path, "images/notes.txt", "masks/notes.txt")
    with pytest.raises(DataError, match=r"images/ must hold images \(\.nii\.gz"):
        read_manifest(Source(folder=tmp_path))
    with pytest.raises(DataError, match="must come from a table, a folder"):
        read_manifest(Source())


def test_volumes_of_the_support_module_are_cases(tmp_path: Path) -> None:
    cases = read_table(write_cases(tmp_path, count=3))
    assert [it.patient for it in cases] == ["patient-1", "patient-1", "patient-2"]
    assert np.count_nonzero(box()) == 2 * 3 * 3
