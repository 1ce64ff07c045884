"""Datasets of nnU-Net, MSD and BIDS become the cases that they mean."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layouts import write_bids, write_four_axes, write_json, write_msd, write_nnunet
from tiny_audits import tiny_config
from volumes import SPACING_ZYX, box, scan, write_volume

from auditor.cases import (
    Choice,
    Gathered,
    LoadedCase,
    canonical_table,
    check_cases,
    difference,
    gather,
    label_names,
    load_case,
    read_manifest,
    read_table,
    read_volume,
    recognise,
)
from auditor.cases.bids_names import BidsFile, belongs
from auditor.config import load_config
from auditor.errors import DataError
from auditor.plan import make_plan
from auditor.schema import CaseRecord, ReferenceRule


@dataclass(frozen=True)
class Source:
    """Cases in a folder."""

    folder: Path | None = None
    table: Path | None = None
    images: Path | None = None
    references: Path | None = None
    modality: str = "mr"
    state: str = "raw"
    reference: ReferenceRule = field(default_factory=ReferenceRule)


def names(gathered: Gathered) -> dict[str, list[str]]:
    return {it.case: [Path(path).name for path in it.images] for it in gathered.cases}


def test_channels_and_labels_of_nnunet_are_read_in_their_order(tmp_path: Path) -> None:
    found = gather(write_nnunet(tmp_path / "Dataset001_Liver"))
    assert found.layout == "nnunet"
    assert found.text == "nnU-Net dataset Dataset001_Liver: imagesTr/ and labelsTr/"
    assert names(found) == {
        "liver_001": ["liver_001_0000.nii.gz", "liver_001_0001.nii.gz"],
        "liver_002": ["liver_002_0000.nii.gz", "liver_002_0001.nii.gz"],
    }
    assert (
        found.labels == (("liver", 1), ("lesion", 2)) == label_names(tmp_path / "Dataset001_Liver")
    )
    assert found.channels == ("T1", "FLAIR")
    assert found.modality == "mr"
    assert not found.names_patients
    (note,) = found.notes
    assert note.startswith("these are the training cases of Dataset001_Liver")


def test_test_cases_count_before_training_cases_unless_told(tmp_path: Path) -> None:
    folder = write_nnunet(tmp_path, channels=("CT",), parts=("Tr", "Ts"))
    found = gather(folder)
    assert {Path(it.images[0]).parent.name for it in found.cases} == {"imagesTs"}
    assert found.notes == ()
    assert found.modality == "ct"
    told = gather(folder, choice=Choice(split="training"))
    assert {Path(str(it.reference)).parent.name for it in told.cases} == {"labelsTr"}


def test_channels_are_chosen_by_name(tmp_path: Path) -> None:
    folder = write_nnunet(tmp_path / "n", channels=("T1", "T2", "CT"))
    found = gather(folder, choice=Choice(images=("CT", "T1")))
    assert names(found)["liver_001"] == ["liver_001_0002.nii.gz", "liver_001_0000.nii.gz"]
    assert found.channels == ("CT", "T1")
    assert found.modality == ""  # CT and MR together say neither
    folder = write_msd(tmp_path / "m")
    assert names(gather(folder, choice=Choice(images=("ADC",)))) == {
        f"prostate_0{n}": [f"prostate_0{n}.nii.gz[1]"] for n in (0, 1)
    }


def test_the_first_version_of_nnunet_differs_from_msd_by_its_files(tmp_path: Path) -> None:
    entries = [
        {"image": f"./imagesTr/c{n}.nii.gz", "label": f"./labelsTr/c{n}.nii.gz"} for n in (1, 2)
    ]
    folder = write_nnunet(
        tmp_path,
        cases=("c1", "c2"),
        channels=("MRI",),
        channel_names=None,
        file_ending=None,
        modality={"0": "MRI"},
        labels={"0": "background", "1": "liver"},
        training=entries,
    )
    assert recognise(folder) == ("nnunet",)
    found = gather(folder)
    assert names(found) == {"c1": ["c1_0000.nii.gz"], "c2": ["c2_0000.nii.gz"]}
    assert found.labels == (("liver", 1),)
    assert found.modality == "mr"


def test_regions_are_no_labels_but_their_numbers_are(tmp_path: Path) -> None:
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}
    found = gather(write_nnunet(tmp_path, labels=labels))
    assert found.labels == (("label_1", 1), ("label_2", 2), ("enhancing", 3))
    assert any("the region 'whole' unites the labels 1, 2, 3" in it for it in found.notes)
    assert any("label 4 marks what is to be ignored" in it for it in found.notes)


def test_cases_that_dataset_json_lists_are_those_that_count(tmp_path: Path) -> None:
    write_volume(tmp_path / "far" / "t1.nii.gz", scan(1))
    write_volume(tmp_path / "far" / "m.nii.gz", box())
    listed = {"alpha": {"images": ["../far/t1.nii.gz"], "label": "../far/m.nii.gz"}}
    folder = write_nnunet(tmp_path / "n", channels=("T1",), dataset=listed, numTraining=1)
    found = gather(folder)
    assert names(found) == {"alpha": ["t1.nii.gz"]}
    assert len(read_manifest(Source(folder))) == 1


def test_volumes_along_the_fourth_axis_are_channels_of_one_oblique_scan(tmp_path: Path) -> None:
    found = gather(write_msd(tmp_path))
    (first, _) = found.cases
    image, geometry = read_volume(first.images)
    np.testing.assert_array_equal(image.numpy(), np.stack([scan(0), scan(1)]))
    alone = write_volume(tmp_path / "alone.nii.gz", scan(0))
    assert difference(geometry, read_volume([str(alone)])[1]) == ""
    assert geometry.spacing == pytest.approx(SPACING_ZYX)
    turned, _ = read_volume(first.images[::-1])
    np.testing.assert_array_equal(turned.numpy(), np.stack([scan(1), scan(0)]))
    assert found.labels == (("PZ", 1), ("TZ", 2))


def test_a_table_may_name_one_volume_of_a_file(tmp_path: Path) -> None:
    write_four_axes(tmp_path / "p.nii.gz", (1, 2, 3))
    write_volume(tmp_path / "m.nii.gz", box())
    digests = []
    for cell in ("p.nii.gz[0]", "p.nii.gz[2]"):
        table = tmp_path / "cases.csv"
        table.write_text(f"case,image,reference\nx,{cell},m.nii.gz\n")
        (record,) = read_table(table)
        image, _ = read_volume(record.images)
        np.testing.assert_array_equal(image[0].numpy(), scan(int(cell[-2]) + 1))
        digests.append(record.digests)
    # another channel of the same file is another image, and another key of every shard
    assert [role for role, _ in digests[0]] == ["image_1[0]", "reference"]
    assert [role for role, _ in digests[1]] == ["image_1[2]", "reference"]
    assert {digest for it in digests for role, digest in it if role != "reference"} == {
        digests[0][0][1]
    }


def test_a_single_modality_of_msd_is_read_as_it_is(tmp_path: Path) -> None:
    found = gather(write_msd(tmp_path, modalities=("CT",)))
    assert names(found) == {f"prostate_0{n}": [f"prostate_0{n}.nii.gz"] for n in (0, 1)}
    assert found.modality == "ct"


def test_test_cases_of_msd_count_where_they_have_labels(tmp_path: Path) -> None:
    pair = {"image": "imagesTr/prostate_01.nii.gz", "label": "labelsTr/prostate_01.nii.gz"}
    found = gather(write_msd(tmp_path, test=[pair]))
    assert list(names(found)) == ["prostate_01"]
    assert found.notes == ()


def test_subjects_sessions_and_participants_of_bids_become_columns(tmp_path: Path) -> None:
    folder = write_bids(tmp_path)
    (folder / "participants.tsv").write_text(
        "participant_id\tsex\tage\tfull_name\tscanned\tsite\tnickname\tseen\tsource\n"
        "sub-01\tF\t30\tAda\t2020-01-01\tn/a\tA\t1.2.2020\t/mnt/a\n"
        "sub-02\tM\t41\tBob\t2020-02-02\tn/a\tB\t1.2.2020\t/mnt/a\n"
        "sub-03\tM\t41\tEve\t2020-02-03\tn/a\tC\tn/a\t/mnt/b\n"
    )
    found = gather(folder)
    assert [(it.case, it.patient) for it in found.cases] == [
        ("sub-01_ses-post", "sub-01"),
        ("sub-01_ses-pre", "sub-01"),
        ("sub-02_ses-post", "sub-02"),
        ("sub-02_ses-pre", "sub-02"),
    ]
    assert found.cases[0].metadata == (
        ("sex", "F"), ("age", "30"), ("session", "post"), ("slice_thickness_mm", "4.5"),
    )  # fmt: skip
    assert found.labels == (("lesion", 1),)
    assert found.names_patients
    # names, dates, paths, and words that everybody has for himself stay out of the results
    (note,) = found.notes
    assert "left out: full_name, scanned, nickname, seen, source" in note


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"datatype": "dwi"}, False),  # of another kind of image
        ({"source": "T2w"}, False),
        ({"source": "T1w"}, True),
        (
            {"entities": (("sub", "01"), ("seg", "manual"))},
            False,
        ),  # of no session, or of all of them
        ({"entities": (("sub", "02"), ("ses", "pre"))}, False),
        ({"entities": (("sub", "01"), ("ses", "pre"), ("run", "2"))}, False),
        ({"entities": (("sub", "01"), ("ses", "pre"), ("space", "MNI"))}, False),
        ({"entities": (("sub", "01"), ("ses", "pre"), ("space", "T1w"))}, True),
        ({"entities": (("sub", "01"), ("ses", "pre"), ("desc", "ann"), ("space", "orig"))}, True),
    ],
)
def test_a_mask_belongs_to_the_image_of_its_own_names(changes: dict[str, Any], fits: bool) -> None:  # noqa: FBT001
    known = (("sub", "01"), ("ses", "pre"))
    image = BidsFile(Path("i"), "", "anat", known, "", "T1w")
    mask = BidsFile(Path("m"), "manual", "anat", known, "", "mask")
    assert belongs(replace(mask, **changes), image) is fits


def test_one_pipeline_or_several_raters_are_named(tmp_path: Path) -> None:
    folder = write_bids(tmp_path, pipelines=("ann", "ben"), sessions=())
    one = gather(folder, choice=Choice(references="ben"))
    assert all("derivatives/ben/" in str(it.reference) for it in one.cases)
    both = gather(folder, choice=Choice(raters=("ben", "ann/label-lesion_mask")))
    assert [[Path(p).parts[-4] for p in it.raters] for it in both.cases] == [["ben", "ann"]] * 2
    assert {it.reference for it in both.cases} == {None}


def test_channels_of_bids_are_images_of_one_session(tmp_path: Path) -> None:
    folder = write_bids(tmp_path, suffixes=("T1w", "FLAIR"))
    found = gather(folder, choice=Choice(images=("FLAIR", "T1w")))
    assert names(found)["sub-02_ses-pre"] == [
        "sub-02_ses-pre_FLAIR.nii.gz",
        "sub-02_ses-pre_T1w.nii.gz",
    ]
    assert found.channels == ("FLAIR", "T1w")
    assert found.modality == "mr"


@pytest.mark.parametrize("place", ["beside", "pipeline"])
def test_tables_name_the_labels_of_a_segmentation(tmp_path: Path, place: str) -> None:
    folder = write_bids(tmp_path, mask="dseg", sessions=())
    text = "index\tname\n0\tbackground\n2\tgrey matter\n1\twhite matter\n"
    if place == "beside":
        for subject in ("sub-01", "sub-02"):
            table = folder / "derivatives" / "manual" / subject / "anat" / f"{subject}_dseg.tsv"
            table.write_text(text)
    else:
        (folder / "derivatives" / "manual" / "dseg.tsv").write_text(text)
    assert gather(folder).labels == (("white matter", 1), ("grey matter", 2))


@pytest.mark.parametrize("mask", ["T1w_seg-manual", "T1w_label-SC_mask", "space-orig_dseg"])
def test_older_names_of_masks_are_understood(tmp_path: Path, mask: str) -> None:
    folder = write_bids(tmp_path, mask=mask, suffixes=("T1w", "T2w"), sessions=())
    choice = Choice(images=("T1w",)) if mask.startswith("space") else None
    found = gather(folder, choice=choice)
    assert names(found) == {f"sub-0{n}": [f"sub-0{n}_T1w.nii.gz"] for n in (1, 2)}


def test_images_without_masks_and_masks_elsewhere_are_told(tmp_path: Path) -> None:
    folder = write_bids(tmp_path, sessions=())
    write_volume(folder / "sub-03" / "anat" / "sub-03_T1w.nii.gz", scan(5))
    manual = folder / "derivatives" / "manual"
    name = "sub-01_space-MNI152NLin2009aSym_label-lesion_mask.nii.gz"
    write_volume(manual / "sub-01" / "anat" / name, box())
    write_volume(manual / "sub-09" / "anat" / "sub-09_label-lesion_mask.nii.gz", box())
    found = gather(folder)
    assert len(found.cases) == 2
    assert any(it == "1 images have no mask and are left out: sub-03" for it in found.notes)
    assert any("1 masks belong to none of these images" in it for it in found.notes)
    assert any("1 masks are of subjects without an image" in it for it in found.notes)


@pytest.mark.parametrize("place", ["out", "."])
def test_the_table_of_any_layout_reads_as_the_same_cases(tmp_path: Path, place: str) -> None:
    for name, gathered in {
        "nnunet": gather(write_nnunet(tmp_path / "nnunet")),
        "msd": gather(write_msd(tmp_path / "msd")),
        "bids": gather(
            write_bids(tmp_path / "bids", pipelines=("a", "b")), choice=Choice(raters=("a", "b"))
        ),
    }.items():
        out = tmp_path / place / f"{name}.csv"
        out.parent.mkdir(exist_ok=True)
        text = canonical_table(gathered.cases, out.parent)
        assert str(tmp_path) not in text
        out.write_text(text)
        assert [as_found(it) for it in read_table(out)] == [
            as_found(it)
            for it in sorted(gathered.cases, key=lambda record: (record.patient, record.case))
        ]


def as_found(record: CaseRecord) -> tuple[object, ...]:
    files = [*record.images, str(record.reference), *record.raters]
    return record.case, record.patient, [str(Path(it).resolve()) for it in files], record.metadata


def test_slices_know_their_thickness_from_the_sidecar(tmp_path: Path) -> None:
    folder = write_bids(tmp_path, sessions=())
    (folder / "sub-01" / "anat" / "sub-01_T1w.json").unlink()
    write_json(folder / "T1w.json", {"SliceThickness": 6})
    first, second = read_manifest(Source(folder))
    assert (first.slice_thickness_mm, second.slice_thickness_mm) == (6.0, 4.5)


def loaded(record: CaseRecord) -> LoadedCase:
    return load_case(
        record,
        modality="mr",
        state="raw",
        labels=(("organ", 1),),
        reference_rule=ReferenceRule(),
    )


def test_perturbations_of_slices_are_told_the_thickness(tmp_path: Path) -> None:
    first, second = read_manifest(Source(write_bids(tmp_path, sessions=())))
    case = loaded(first)
    assert case.scan.slice_thickness == 4.5
    assert case.scan.spacing[case.scan.slice_axis] == 3.0
    assert loaded(replace(second, slice_thickness_mm=None)).scan.slice_thickness is None


def test_a_thickness_in_a_table_must_be_a_length(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii.gz", scan())
    write_volume(tmp_path / "m.nii.gz", box())
    table = tmp_path / "cases.csv"
    lines = [f"c{n},a.nii.gz,m.nii.gz,{cell}" for n, cell in enumerate(("2.5", "", "thin", "-1"))]
    header = "case,image,reference,slice_thickness_mm"
    table.write_text("\n".join([header, *lines]))
    with pytest.raises(DataError) as caught:
        read_table(table)
    assert caught.value.problems == (
        "row 4: case 'c2': slice_thickness_mm must be a positive number, was 'thin'",
        "row 5: case 'c3': slice_thickness_mm must be a positive number, was '-1'",
    )
    table.write_text("\n".join([header, *lines[:2]]))
    assert [it.slice_thickness_mm for it in read_table(table)] == [2.5, None]


def test_another_thickness_is_another_unit_of_work(tmp_path: Path) -> None:
    config = load_config(tiny_config(tmp_path))
    cases = read_manifest(config.cases)
    plans = [
        make_plan(config, [replace(it, slice_thickness_mm=known) for it in cases], {"unet": "x"})
        for known in (None, 4.0, 5.0)
    ]
    assert len({plan.digest for plan in plans}) == 3
    assert plans[0] == make_plan(config, cases, {"unet": "x"})


def test_a_folder_is_checked_with_what_was_recognised_and_noted(tmp_path: Path) -> None:
    source = Source(write_msd(tmp_path))
    found = check_cases(read_manifest(source), source, labels=(("PZ", 1),))
    assert found.problems == ()
    assert found.warnings[0].startswith("cases: recognised MSD dataset ")
    assert found.warnings[1].startswith("cases: these are the training cases")
    assert "every case counts as a patient of its own" in found.warnings[2]
    bids = Source(write_bids(tmp_path / "bids"))
    told = check_cases(read_manifest(bids), bids, labels=(("lesion", 1),)).warnings
    assert not any("patient of its own" in it for it in told)


def test_the_colours_of_a_picture_are_channels_of_one_file(tmp_path: Path) -> None:
    colours = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    write_volume(tmp_path / "imagesTr" / "eye_0000.png", colours, vector=True)
    write_volume(tmp_path / "labelsTr" / "eye.png", np.eye(5, 7, dtype=np.uint8))
    content = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "vessel": 1},
        "numTraining": 1,
        "file_ending": ".png",
    }
    write_json(tmp_path / "dataset.json", content)
    found = gather(tmp_path)
    assert names(found) == {"eye": ["eye_0000.png"]}
    image, geometry = read_volume(found.cases[0].images)
    np.testing.assert_array_equal(image.numpy(), np.moveaxis(colours, -1, 0))
    assert geometry.unit == "px"
