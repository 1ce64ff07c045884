"""The scans of an audit as files: the very bits, names that tell nothing, nothing of others touched."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from commands import write_command
from file_audits import BRIGHT, COMMAND, LABELS, LIMIT, configured, predict, rows_of
from volumes import box, scan, write_table, write_volume

import auditor
from auditor.cases import load_case, read_volume
from auditor.cli import segaudit
from auditor.config import AuditConfig, load_config
from auditor.execution.perturbed import perturb
from auditor.pipeline import look, write_scans
from auditor.pipeline.preflight import require
from auditor.plan import make_plan, scan_name
from auditor.schema import Status


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    configured(folder, {"command": COMMAND, "output": LABELS})
    write_command(folder, BRIGHT)
    return folder


@pytest.fixture(scope="module")
def scans(place: Path) -> Path:
    config = configured(place, {"predictions": "predictions", "output": LABELS})
    found = write_scans(load_config(config), place / "scans")
    # 2 patients x (clean + 2 severities x 2 draws + 1 rotation)
    assert (found.scans, found.files, found.without) == (12, 12, 0)
    return place / "scans"


def test_the_written_scans_are_those_of_the_audit_to_the_bit(place: Path, scans: Path) -> None:
    config: AuditConfig = load_config(place / "audit.yaml")
    cases, _ = require(config)
    plan = make_plan(config, cases, {"theirs": "any"})
    rows = {row["scan"]: row for row in rows_of(scans)}
    seen = 0
    for unit in plan.units:
        record = next(it for it in cases if it.case == unit.case)
        case = load_case(
            record, modality="mr", state="raw", labels=config.labels,
            reference_rule=config.cases.reference,
        )  # fmt: skip
        for item in perturb(unit, case.scan):
            row = rows[scan_name(unit, item.condition.severity)]
            image, geometry = read_volume([str(scans / "images" / row["file"])])
            assert np.array_equal(image.numpy(), item.scan.image.numpy())
            assert auditor.cases.difference(case.geometry, geometry) == ""
            assert row["case"] == record.display_case
            assert row["perturbation"] == unit.perturbation.name
            assert float(row["severity"]) == item.condition.severity
            assert int(row["replicate"]) == unit.replicate
            seen += 1
    assert seen == len(rows) == 12


def test_what_is_handed_on_names_neither_patient_nor_condition(scans: Path) -> None:
    names = (scans / "identities.csv").read_text().splitlines()[1:]
    told = " ".join(path.name for path in (scans / "images").iterdir())
    table = (scans / "scans.csv").read_text()
    for line in names:
        _, _, case, patient = line.split(",")
        for text in (told, table):
            assert case not in text
            assert patient not in text
    assert "noise" not in told
    assert "clean" not in told


def test_writing_again_writes_nothing_and_a_damaged_or_lost_file_is_written_again(
    place: Path, scans: Path, tmp_path: Path
) -> None:
    config = load_config(place / "audit.yaml")
    out = shutil.copytree(scans, tmp_path / "scans")
    files = sorted((out / "images").iterdir())
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
    table = (out / "scans.csv").read_text()
    files[0].unlink()
    files[1].write_bytes(b"damaged")
    (out / "images" / "4711.scan_0123456789abcdef_0000.nii.gz").write_bytes(b"half")
    (out / "scans.csv").write_text(table + "scan_torn,0,sc")
    write_scans(config, out)
    assert sorted((out / "images").iterdir()) == files
    assert (out / "scans.csv").read_text() == table
    assert all(path.read_bytes() == content for path, (_, content) in before.items())
    kept = [path for path in files if path.stat().st_mtime_ns == before[path][0]]
    # units are written as a whole: each of the two files was one of at most two severities
    assert len(kept) >= len(files) - 4


def test_an_interrupted_writing_goes_on(place: Path, scans: Path, tmp_path: Path) -> None:
    config = load_config(place / "audit.yaml")
    out = tmp_path / "scans"

    class Stop(Exception):
        pass

    seen: list[int] = []

    def interrupted(progress: Any) -> None:
        seen.append(progress.done)
        if len(seen) == 3:
            raise Stop

    with pytest.raises(Stop):
        write_scans(config, out, progress=interrupted)
    first = {path.name: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    assert 0 < len(first) < 12
    write_scans(config, out)
    after = {path.name: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    assert all(after[name] == when for name, when in first.items())
    assert (out / "scans.csv").read_bytes() == (scans / "scans.csv").read_bytes()


def test_a_preview_of_scans_may_be_completed(place: Path, scans: Path, tmp_path: Path) -> None:
    config = load_config(place / "audit.yaml")
    assert write_scans(config, tmp_path / "scans", limit=1).scans == 6
    assert write_scans(config, tmp_path / "scans").scans == 12
    written = (tmp_path / "scans" / "scans.csv").read_bytes()
    assert written == (scans / "scans.csv").read_bytes()


def test_folders_of_others_are_left_alone(place: Path, scans: Path, tmp_path: Path) -> None:
    config = load_config(place / "audit.yaml")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(auditor.IntegrityError, match="other files"):
        write_scans(config, tmp_path)
    other = shutil.copytree(place, tmp_path / "other", ignore=shutil.ignore_patterns("scans"))
    seeded = load_config(configured(other, {"command": COMMAND, "output": LABELS}, seed=12))
    with pytest.raises(auditor.IntegrityError, match="another audit"):
        write_scans(seeded, scans)
    with pytest.raises(auditor.StoreError, match="is a file"):
        write_scans(config, tmp_path / "notes.txt")


def test_too_little_room_is_said_before_any_work(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(place / "audit.yaml")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(auditor.StoreError, match="0 MB are free"):
        write_scans(config, tmp_path / "scans")
    assert not (tmp_path / "scans").exists()


def test_the_command_line_writes_scans_and_says_where(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "scans"
    done = CliRunner().invoke(
        segaudit,
        [
            "scans",
            str(place / "audit.yaml"),
            "-o",
            str(out),
            "--files",
            "single",
            "--limit",
            "1",
            "-q",
        ],
    )
    assert done.exit_code == 0, done.output
    assert "6 scans in 6 files" in done.output
    assert all(
        len(path.name) == len("scan_0123456789abcdef.nii.gz") for path in (out / "images").iterdir()
    )


def test_levels_without_effect_have_a_row_and_no_file(place: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(place, tmp_path / "place", ignore=shutil.ignore_patterns("scans"))
    config = configured(
        folder, {"command": COMMAND, "output": LABELS},
        # .0001 % of 64 x 64 x 24 voxels is a tenth of one
        perturbations={"occlusion": {"levels": [0.0001, 5.0]}},
        cases={"table": "cases/cases.csv", "modality": "other", "reference": {"use": "majority"}},
    )  # fmt: skip
    found = write_scans(load_config(config), tmp_path / "scans")
    rows = rows_of(tmp_path / "scans")
    without = [row for row in rows if row["status"] != Status.OK.value]
    assert found.without == len(without) > 0
    assert all(not row["file"] and row["reason"] for row in without)
    assert (
        found.files
        == len(rows) - len(without)
        == len(list((tmp_path / "scans" / "images").iterdir()))
    )


def test_each_channel_of_a_scan_is_written_as_a_file(tmp_path: Path) -> None:
    rows = []
    for number in (1, 2):
        for name, array in (("a", scan(number)), ("b", scan(number + 5)), ("m", box())):
            write_volume(tmp_path / f"{name}{number}.nrrd", array)
        rows.append(
            {
                "case": f"c{number}", "image_1": f"a{number}.nrrd", "image_2": f"b{number}.nrrd",
                "reference": f"m{number}.nrrd",
            }
        )  # fmt: skip
    write_table(tmp_path / "cases.csv", rows)
    config = configured(
        tmp_path, {"predictions": "none yet", "output": LABELS}, strata={},
        cases={"table": "cases.csv", "modality": "mr"},
        perturbations={"rician_noise": {"severities": [3]}},
    )  # fmt: skip
    with pytest.raises(auditor.DataError, match="this scan has 2"):
        write_scans(load_config(config), tmp_path / "single", files="single")
    assert not (tmp_path / "single").exists()
    found = write_scans(load_config(config), tmp_path / "scans")
    assert (found.scans, found.files) == (4, 8)
    clean = [row for row in rows_of(tmp_path / "scans") if row["perturbation"] == "clean"]
    assert [row["channel"] for row in clean] == ["0", "1", "0", "1"]
    assert [row["file"][-12:] for row in clean[:2]] == ["_0000.nii.gz", "_0001.nii.gz"]
    paths = [str(tmp_path / "scans" / "images" / row["file"]) for row in clean[2:]]
    image, geometry = read_volume(paths)
    assert np.array_equal(image.numpy(), np.stack([scan(2), scan(7)]))
    assert auditor.cases.difference(geometry, read_volume([str(tmp_path / "a2.nrrd")])[1]) == ""


def test_pictures_are_written_with_pixels_of_one_millimetre(tmp_path: Path) -> None:
    rows = []
    for number in (1, 2):
        picture = (scan(number, (20, 31)) / 4).astype(np.uint8)
        write_volume(tmp_path / f"p{number}.png", picture)
        write_volume(tmp_path / f"m{number}.png", box((3, 4), (9, 15), shape=(20, 31)))
        rows.append(
            {"case": f"c{number}", "image": f"p{number}.png", "reference": f"m{number}.png"}
        )
    write_table(tmp_path / "cases.csv", rows)
    config = configured(
        tmp_path, {"predictions": "theirs", "output": LABELS}, strata={},
        cases={"table": "cases.csv", "modality": "us"}, metrics={"dsc": {}},
        perturbations={"gaussian_noise": {"severities": [3]}},
    )  # fmt: skip
    assert write_scans(load_config(config), tmp_path / "scans").files == 4
    program = write_command(tmp_path, BRIGHT.replace(str(LIMIT), "100"))
    predict(program, tmp_path / "scans" / "images", tmp_path / "theirs")
    row = rows_of(tmp_path / "scans")[0]
    image, geometry = read_volume([str(tmp_path / "scans" / "images" / row["file"])])
    assert image.shape == (1, 20, 31)
    assert geometry.spacing == (1.0, 1.0)
    found = look(load_config(config))
    assert not found.problems
    assert not [it for it in found.warnings if "predictions" in it]
