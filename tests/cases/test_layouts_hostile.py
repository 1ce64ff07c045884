"""Folders that are incomplete, broken or ambiguous: every problem at once, in sentences."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from layouts import write_bids, write_four_axes, write_json, write_msd, write_nnunet
from volumes import box, scan, write_volume

from auditor.cases import Choice, Gathered, gather, read_volume, recognise
from auditor.errors import DataError


def refused(folder: Path, choice: Choice | None = None) -> tuple[str, tuple[str, ...]]:
    """The message without its list, and the list."""
    with pytest.raises(DataError) as caught:
        gather(folder, choice=choice)
    text = str(caught.value)
    assert str(folder.parent) not in text
    return text.splitlines()[0], caught.value.problems


def change_json(folder: Path, **changes: object) -> None:
    path = folder / "dataset.json"
    content = {**json.loads(path.read_text()), **changes}
    write_json(path, {key: value for key, value in content.items() if value is not None})


def test_all_that_is_wrong_in_an_nnunet_dataset_comes_at_once(tmp_path: Path) -> None:
    folder = write_nnunet(tmp_path, cases=("a", "b", "c", "d"))
    (folder / "imagesTr" / "a_0001.nii.gz").unlink()
    (folder / "labelsTr" / "b.nii.gz").unlink()
    (folder / "imagesTr" / "c_0000.nii.gz").unlink()
    (folder / "imagesTr" / "c_0001.nii.gz").unlink()
    change_json(folder, labels={"liver": 1, "kidney": 1})
    message, problems = refused(folder)
    assert message.startswith("4 problem(s) with the nnU-Net dataset")
    assert problems == (
        "b_0000.nii.gz has no reference in labelsTr/",
        "c.nii.gz of labelsTr/ has no image in imagesTr/",
        "case 'a' must have the channels _0000 (T1), _0001 (FLAIR), it has _0000",
        "dataset.json: labels must have a number each; liver = 1 and kidney = 1 share one",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"channel_names": ', r"must be JSON; line 1, column 19"),
        ("[1, 2]", r"must hold a JSON object, it holds list"),
        ("[" * 100_000, r"nested too deeply"),
        ("\udcff", r"must be UTF-8 text"),
        ("{}", r"modality must name the channels from 0 on"),
        (
            '{"channel_names": {"1": "CT"}, "labels": {"a": 1}}',
            r"channel_names must name the channels",
        ),
        ('{"channel_names": {"0": "CT"}, "labels": {}}', r"labels must be an object such as"),
        ('{"channel_names": {"0": "CT"}, "labels": {"a": "x"}}', r"'a' has 'x'"),
        ('{"channel_names": {"0": "CT"}, "labels": {"a": true}}', r"'a' has True"),
        ('{"channel_names": {"0": "CT"}, "labels": {"a": 70000}}', r"from 0 to 65535"),
        ('{"channel_names": {"0": "CT"}, "labels": {"1": "a", "b": 2}}', r"'1' has 'a'"),
        (
            '{"channel_names": {"0": "CT"}, "labels": {"1": "a", "2": "a"}}',
            r"a name each; a = 1 and a",
        ),
        (
            '{"channel_names": {"0": "CT"}, "labels": {"a": 1}, "file_ending": ".npy"}',
            r"file_ending must be one of .*, was '\.npy'",
        ),
    ],
)
def test_a_broken_dataset_json_is_refused_with_its_place(
    tmp_path: Path, text: str, told: str
) -> None:
    folder = write_nnunet(tmp_path, channels=("CT",))
    (folder / "dataset.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=told):
        gather(folder)


@pytest.mark.parametrize("told", [7, "two", None])
def test_a_wrong_number_of_training_cases_is_told(tmp_path: Path, told: object) -> None:
    for folder in (
        write_nnunet(tmp_path / "n", numTraining=told),
        write_msd(tmp_path / "m", numTraining=told),
    ):
        notes = [it for it in gather(folder).notes if "numTraining" in it]
        assert len(notes) == (0 if told is None else 1)
        assert all(f"numTraining: {told!r}" in it for it in notes)


def test_files_that_dataset_json_lists_must_be_there(tmp_path: Path) -> None:
    folder = write_nnunet(
        tmp_path,
        dataset={"a": {"images": ["x.nii.gz", "y.nii.gz"], "label": "m.nii.gz"}, "b": 3},
    )
    _, problems = refused(folder)
    assert [it.split(" that ")[0] for it in problems[:3]] == [
        f"case 'a': the file {name}.nii.gz" for name in "mxy"
    ]
    assert problems[3].startswith('dataset.json: dataset.b must be {"images"')


def test_all_that_is_wrong_in_an_msd_dataset_comes_at_once(tmp_path: Path) -> None:
    folder = write_msd(tmp_path, count=3)
    entries = json.loads((folder / "dataset.json").read_text())["training"]
    (folder / "labelsTr" / "prostate_00.nii.gz").unlink()
    write_four_axes(folder / "imagesTr" / "prostate_01.nii.gz", (1, 2, 3))
    change_json(folder, training=[*entries, entries[2], "./imagesTr/alone.nii.gz"])
    _, problems = refused(folder)
    assert any("2 cases would have the name 'prostate_02'" in it for it in problems)
    assert any(
        "labelsTr/prostate_00.nii.gz, which dataset.json names as label" in it for it in problems
    )
    assert any(
        "must have 2 volumes along its fourth axis" in it and "has 3" in it for it in problems
    )
    assert any("entry 4 is './imagesTr/alone.nii.gz'" in it for it in problems)
    assert len(problems) == 4


def test_channels_and_volumes_that_are_not_there_are_refused(tmp_path: Path) -> None:
    folder = write_msd(tmp_path)
    _, problems = refused(folder, Choice(images=("T3",)))
    assert problems == ("the images T3 must be channels of dataset.json, which has T2, ADC",)
    path = folder / "imagesTr" / "prostate_00.nii.gz"
    with pytest.raises(DataError, match=r"asked for, prostate_00\.nii\.gz\[2\]; the file has 2"):
        read_volume([f"{path}[2]"])
    with pytest.raises(DataError, match=r"name the volumes of a NIfTI file that are channels"):
        read_volume([str(path)])


def test_several_runs_need_masks_that_say_which(tmp_path: Path) -> None:
    folder = write_bids(tmp_path, sessions=())
    for subject in ("01", "02"):
        place = folder / f"sub-{subject}" / "anat"
        for suffix in ("nii.gz", "json"):
            first = place / f"sub-{subject}_T1w.{suffix}"
            first.rename(place / f"sub-{subject}_run-1_T1w.{suffix}")
        write_volume(place / f"sub-{subject}_run-2_T1w.nii.gz", scan(9))
    _, problems = refused(folder)
    assert len(problems) == 2
    assert "must belong to one image, it fits sub-01_run-1, sub-01_run-2" in problems[0]
    for subject in ("01", "02"):
        place = folder / "derivatives" / "manual" / f"sub-{subject}" / "anat"
        (place / f"sub-{subject}_label-lesion_mask.nii.gz").rename(
            place / f"sub-{subject}_run-2_label-lesion_mask.nii.gz"
        )
    found = gather(folder)
    assert [it.case for it in found.cases] == ["sub-01_run-2", "sub-02_run-2"]
    assert dict(found.cases[0].metadata)["run"] == "2"


def test_several_masks_or_images_are_asked_for_by_name(tmp_path: Path) -> None:
    folder = write_bids(tmp_path / "two", pipelines=("ann", "ben"))
    message, _ = refused(folder)
    assert "there are ann/label-lesion_mask (4), ben/label-lesion_mask (4)" in message
    assert "segaudit cases two --raters ann/label-lesion_mask,ben/label-lesion_mask" in message
    message, _ = refused(folder, Choice(references="eve"))
    assert "the masks eve must be among those of the dataset: ann/label-lesion_mask" in message
    folder = write_bids(tmp_path / "kinds", suffixes=("T1w", "FLAIR"))
    message, _ = refused(folder)
    assert "FLAIR (4), T1w (4) have masks" in message
    assert "segaudit cases kinds --images FLAIR" in message


def test_every_case_must_have_every_rater(tmp_path: Path) -> None:
    folder = write_bids(tmp_path, pipelines=("ann", "ben"), sessions=())
    place = folder / "derivatives" / "ben" / "sub-02" / "anat"
    (place / "sub-02_label-lesion_mask.nii.gz").unlink()
    write_volume(place.parents[1] / "sub-01/anat/sub-01_label-scar_mask.nii.gz", box())
    _, problems = refused(folder, Choice(raters=("ann", "ben")))
    assert problems[0].startswith("sub-01 must have one mask 'ben', it has derivatives/ben/")
    assert problems[1] == "sub-02 must have the mask 'ben', it has none"


def test_broken_tables_and_sidecars_of_bids_are_all_named(tmp_path: Path) -> None:
    folder = write_bids(tmp_path, mask="dseg", sessions=())
    (folder / "participants.tsv").write_text("name\tsex\nAda\tF\n")
    (folder / "sub-01" / "anat" / "sub-01_T1w.json").write_text("{")
    write_json(folder / "sub-02" / "anat" / "sub-02_T1w.json", {"SliceThickness": -1})
    _, problems = refused(folder)
    assert problems == (
        "participants.tsv must have the column participant_id, it has name, sex",
        problems[1],
        "sub-02/anat/sub-02_T1w.json: SliceThickness must be a positive number, was -1",
    )
    assert problems[1].startswith("sub-01/anat/sub-01_T1w.json must be JSON; line 1, column 2: ")


def test_tables_of_labels_must_agree(tmp_path: Path) -> None:
    folder = write_bids(tmp_path, mask="dseg", sessions=())
    for subject, name in (("sub-01", "grey"), ("sub-02", "white")):
        table = folder / "derivatives" / "manual" / subject / "anat" / f"{subject}_dseg.tsv"
        table.write_text(f"index\tname\n1\t{name}\n")
    with pytest.raises(
        DataError, match="must name label 1 as the other tables of the masks do: 'grey'"
    ):
        gather(folder)


def test_a_bids_dataset_without_masks_says_what_is_looked_for(tmp_path: Path) -> None:
    folder = write_bids(tmp_path, pipelines=())
    with pytest.raises(DataError, match=r"it holds 4 images and 0 masks"):
        gather(folder)


def test_a_mix_of_layouts_is_refused_and_names_the_commands(tmp_path: Path) -> None:
    folder = write_nnunet(tmp_path / "mix")
    write_bids(folder)
    assert recognise(folder) == ("nnunet", "bids")
    message, commands = refused(folder)
    assert "mix could be read as nnunet and as bids" in message
    assert commands == (
        "segaudit cases mix --layout nnunet -o cases.csv",
        "segaudit cases mix --layout bids -o cases.csv",
    )
    assert gather(folder, layout="bids").layout == "bids"
    write_volume(folder / "images" / "a.nii.gz", scan())
    write_volume(folder / "masks" / "a.nii.gz", box())
    assert recognise(write_nnunet(folder)) == ("nnunet", "pairs", "bids")


def test_two_folders_of_references_are_not_chosen_from(tmp_path: Path) -> None:
    for name in ("images", "labels", "masks"):
        write_volume(tmp_path / name / "a.nii.gz", box())
    message, _ = refused(tmp_path)
    assert "it holds images/, labels/, masks/; name the two that count with cases.images" in message


@pytest.mark.parametrize("write", [write_nnunet, write_msd, write_bids])
def test_links_that_lead_in_circles_end(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    folder = write(tmp_path / "data")
    before = gather(folder)
    for place in [it for it in folder.rglob("*") if it.is_dir()]:
        (place / "back").symlink_to(folder)
    after: Gathered = gather(folder)
    assert [it.case for it in after.cases] == [it.case for it in before.cases]


def test_links_to_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    folder = write_nnunet(tmp_path / "n")
    path = folder / "imagesTr" / "liver_001_0000.nii.gz"
    path.unlink()
    path.symlink_to(tmp_path / "store" / "key.nii.gz")
    _, problems = refused(folder)
    assert "liver_001_0000.nii.gz of imagesTr/ must be a readable file" in "".join(problems)
    folder = write_bids(tmp_path / "b")
    path = folder / "sub-01" / "ses-pre" / "anat" / "sub-01_ses-pre_T1w.nii.gz"
    path.unlink()
    path.symlink_to(path)
    _, problems = refused(folder)
    assert (
        "is a link to sub-01_ses-pre_T1w.nii.gz, which is not there or leads in a circle"
        in problems[0]
    )


def test_folders_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_bids(tmp_path)
    closed = folder / "sub-01" / "ses-pre"
    real = Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:
        if path == closed:  # root, who runs tests in containers, can read everything
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    _, problems = refused(folder)
    assert "ses-pre must be a readable folder: Permission denied" in problems[0]


def test_empty_folders_and_missing_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be in a layout that is recognised"):
        gather(tmp_path)
    with pytest.raises(DataError, match="the cases must be a folder, nowhere is none"):
        gather(tmp_path / "nowhere")
    write_json(tmp_path / "dataset.json", {"channel_names": {"0": "CT"}, "labels": {"a": 1}})
    (tmp_path / "imagesTs").mkdir()
    (tmp_path / "labelsTs").mkdir()
    _, problems = refused(tmp_path)
    assert problems[0].startswith("imagesTs/ must hold images")


def test_a_label_that_would_write_several_lines_is_refused(tmp_path: Path) -> None:
    folder = write_nnunet(tmp_path, channels=("CT",))
    text = '{"channel_names": {"0": "CT"}, "labels": {"a\\nerror: b": 1}}'
    (folder / "dataset.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"each printable name .*'a\\nerror: b' has 1"):
        gather(folder)
