"""`segaudit cases`: any layout to the canonical table, and what a run of it never repeats."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from dicom_files import PATIENT, PATIENT_ID, PRIVATE, Grid, image_slices, save, segmentation
from layouts import write_bids, write_json, write_nnunet
from tiny_audits import SEED, unet
from volumes import box, write_cases

import auditor
from auditor import demo
from auditor.cases import read_mask, read_table, read_volume
from auditor.cli import _run
from auditor.demo import write_cohort


def told(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out, captured.err


def test_the_table_goes_to_stdout_with_paths_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nnunet(tmp_path / "Dataset7", channels=("CT",))
    monkeypatch.chdir(tmp_path)
    assert _run(["cases", "Dataset7"]) == 0
    out, err = told(capsys)
    assert out == (
        "case,patient,image,reference\n"
        "liver_001,liver_001,Dataset7/imagesTr/liver_001_0000.nii.gz,"
        "Dataset7/labelsTr/liver_001.nii.gz\n"
        "liver_002,liver_002,Dataset7/imagesTr/liver_002_0000.nii.gz,"
        "Dataset7/labelsTr/liver_002.nii.gz\n"
    )
    assert "recognised nnU-Net dataset Dataset7: imagesTr/ and labelsTr/" in err
    assert "every case counts as a patient of its own" in err
    assert "for audit.yaml:\nlabels:\n  liver: 1\n  lesion: 2\n" in err
    assert "segaudit init MODEL cases.csv --modality ct" in err


def test_a_written_table_is_relative_to_itself_and_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bids(tmp_path / "bids")
    out = tmp_path / "tables" / "cases.csv"
    assert _run(["cases", str(tmp_path / "bids"), "-o", str(out)]) == 0
    printed, err = told(capsys)
    assert out.read_text() == printed
    assert "../bids/sub-01/ses-post/anat/sub-01_ses-post_T1w.nii.gz" in printed
    assert len(read_table(out)) == 4
    assert "next: segaudit init MODEL" in err
    assert _run(["cases", str(tmp_path / "bids"), "-o", str(out)]) == 4
    assert "cases.csv exists already" in told(capsys)[1]


def test_a_table_is_checked_and_printed_as_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_cases(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert _run(["cases", "data/cases.csv"]) == 0
    out, err = told(capsys)
    assert out.splitlines()[1] == ("case-0,patient-1,data/scan0.nii.gz,data/mask0.nii.gz,south")
    assert "recognised table cases.csv\n3 cases of 2 patients\nwrite it" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere"], "the cases must be a folder, nowhere is none"),
        (["bids", "--references", "a", "--raters", "a,b"], "exclude each other"),
        (["bids", "--volumes", "v"], "--volumes is for DICOM; bids is in another layout"),
        (["bids", "--layout", "msd"], "MSD dataset bids"),
        (["dicom", "--volumes", "."], "new or empty folder"),
        (["dicom"], "segaudit cases dicom --volumes volumes"),
        (["bids", "--split", "validation"], "Invalid value"),
    ],
)
def test_bad_usage_is_status_4_and_says_how_to_mend_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    expected: str,
) -> None:
    write_bids(tmp_path / "bids", sessions=())
    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom" / "i.dcm").write_bytes(b"\0" * 128 + b"DICM")
    monkeypatch.chdir(tmp_path)
    assert _run(["cases", *arguments]) == 4
    assert expected in told(capsys)[1]


def test_dicom_is_converted_beside_a_file_that_says_who_is_who(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = (box() * 100).astype("int16")
    slices = image_slices(stored)
    save(tmp_path / "dicom" / "Alice", slices)
    save(tmp_path / "dicom" / "Alice", [segmentation(slices, {"the organ": box() > 0})], "s")
    monkeypatch.chdir(tmp_path)
    assert _run(["cases", "dicom", "--volumes", "volumes"]) == 0
    out, err = told(capsys)
    assert "case001,patient001,images/case001.nii.gz,references/case001.nii.gz,2.5\n" in out
    assert "who is who stands in volumes.identities.csv, which must not leave this machine" in err
    assert "labels:\n  the organ: 1" in err
    assert "next: segaudit init MODEL volumes/cases.csv --modality mr" in err
    (record,) = read_table(tmp_path / "volumes" / "cases.csv")
    assert record.slice_thickness_mm == 2.5
    assert PATIENT_ID not in out + err
    assert _run(["cases", "dicom", "--volumes", "volumes"]) == 4
    assert "new or empty folder" in told(capsys)[1]


def test_init_writes_the_names_of_the_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = {"background": 0, "left: organ": 1, "no": 2}
    write_nnunet(tmp_path / "data", channels=("MRI",), labels=labels)
    checkpoint = tmp_path / "unet.onnx"
    shutil.copy(Path(demo.__file__).parent / "checkpoints" / "unet_skips.onnx", checkpoint)
    out = tmp_path / "audit.yaml"
    command = ["init", str(checkpoint), str(tmp_path / "data"), "-o", str(out), "--modality", "mr"]
    assert _run(command) == 0
    told(capsys)
    content = yaml.safe_load(out.read_text())
    assert content["systems"]["unet"]["output"]["labels"] == {"left: organ": 1, "no": 2}
    assert content["strata"]["foreground_ratio"]["label"] == "left: organ"
    assert content["cases"]["folder"] == "data"


def audited(folder: Path, cases: dict[str, object]) -> auditor.Run:
    checkpoint = folder / "unet_skips.onnx"
    shutil.copy(Path(demo.__file__).parent / "checkpoints" / "unet_skips.onnx", checkpoint)
    content = {
        "audit": "from-layout",
        "seed": 3,
        "purpose": "exploratory",
        "cases": {"modality": "mr", **cases},
        "systems": {"unet": unet()},
        "perturbations": {"thick_slices": {"severities": [2]}},
        "metrics": {"dsc": {}},
        "keep": {"exhibits": 1, "predictions": True},
    }
    config = folder / "audit.yaml"
    config.write_text(yaml.safe_dump(content))
    run = folder / "run"
    assert _run(["run", str(config), "-o", str(run), "-j", "1", "-q"]) == 0
    return auditor.audit(config, out=run, workers=1)


def held(file: Path) -> str:
    """Everything that a file says, decompressed."""
    if file.suffix == ".parquet":
        return str(pq.read_table(file).to_pylist()) + str(pq.read_schema(file).metadata)
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return content.decode("latin-1")


def leaks(run: Path, secrets: list[str]) -> list[tuple[str, str]]:
    """Which secrets stand in which file of a run, or in its name; who is who apart."""
    files = {it.relative_to(run).as_posix(): held(it) for it in run.rglob("*") if it.is_file()}
    known = files.pop("identities.csv")
    assert "C001,P001," in known
    assert {"results.json", "report.html", "manifest.csv", "audit.lock.yaml"} <= files.keys()
    assert {Path(name).suffix for name in files} >= {".parquet", ".csv", ".png", ".html"}
    return [
        (name, secret)
        for name, text in files.items()
        for secret in secrets
        if secret in text or secret in name
    ]


def rows_of_cases(name: str) -> bool:
    """The long tables name cases and patients as the user does; nothing else may."""
    return name.endswith(".parquet") or name in ("measurements.csv", "failures.csv")


@pytest.mark.slow
def test_a_run_on_converted_dicom_repeats_no_name_no_id_and_no_path(tmp_path: Path) -> None:
    write_cohort(tmp_path / "phantoms", patients=3, seed=SEED)
    for number, record in enumerate(read_table(tmp_path / "phantoms" / "cases.csv")):
        image, geometry = read_volume(record.images)
        mask, _ = read_mask(record.raters[0])
        grid = Grid(geometry.spacing, geometry.origin)
        slices = image_slices(image[0].numpy().astype("int16"), grid, patient_id=f"MRN-{number}-X")
        place = tmp_path / "dicom" / f"Alice-{number}"
        save(place, [*slices, segmentation(slices, {"organ": mask.numpy() > 0})])
    volumes = tmp_path / "volumes"
    assert _run(["cases", str(tmp_path / "dicom"), "--volumes", str(volumes)]) == 0
    finished = audited(tmp_path, {"table": "volumes/cases.csv"})
    assert len(finished.results.cases) == 3
    secrets = [str(tmp_path), PATIENT, "Alice", "MRN-", PRIVATE, "Hatter", "18520504"]
    assert leaks(finished.folder, secrets) == []
    own = leaks(finished.folder, ["case001", "patient001"])
    assert own
    assert all(rows_of_cases(name) for name, _ in own)


@pytest.mark.slow
def test_a_run_on_a_bids_folder_repeats_no_name_no_id_and_no_path(tmp_path: Path) -> None:
    write_cohort(tmp_path / "phantoms", patients=3, seed=SEED)
    folder = tmp_path / "bids"
    lines = ["participant_id\tsex\tfull_name\tmrn"]
    for number, record in enumerate(read_table(tmp_path / "phantoms" / "cases.csv")):
        name = f"sub-alice{number}"
        place = folder / name / "anat"
        mask = folder / "derivatives" / "manual" / name / "anat"
        place.mkdir(parents=True)
        mask.mkdir(parents=True)
        shutil.copy(record.images[0], place / f"{name}_T1w.nii.gz")
        shutil.copy(record.raters[0], mask / f"{name}_label-organ_mask.nii.gz")
        write_json(place / f"{name}_T1w.json", {"SliceThickness": 5.0, "PatientName": PATIENT})
        lines.append(f"{name}\t{'FM'[number % 2]}\tAda Lovelace {number}\tMRN-{number}")
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")
    finished = audited(tmp_path, {"folder": "bids"})
    assert [dict(it.metadata)["sex"] for it in finished.results.cases] == ["F", "M", "F"]
    assert leaks(finished.folder, [str(tmp_path), "Lovelace", "MRN-", PATIENT]) == []
    own = leaks(finished.folder, ["alice"])
    assert own
    assert all(rows_of_cases(name) for name, _ in own)
