"""The command score: what it prints, and what it refuses with exit status 4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from volumes import box, write_volume

import auditor
from auditor.cli import _run


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    reference = box()
    reference[4, 0, :2] = 2
    prediction = np.roll(box(), 1, axis=2)
    return (
        write_volume(folder / "reference.nii.gz", reference),
        write_volume(folder / "prediction.nii.gz", prediction),
    )


def test_a_person_reads_values_with_units_statuses_definitions_and_what_is_left_out(
    pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code = _run(["score", *map(str, pair), "--definitions"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "grid        5 x 7 x 9 voxels of 3 x 0.8 x 0.7 mm (z, y, x)" in lines
    assert "note        only reference.nii.gz holds label 2" in lines
    assert "label 2: the prediction has no voxel of this label, the reference has" in lines
    [first, second] = [line.split() for line in lines if line.startswith("  dsc ")][:2]
    assert first == ["dsc", "0.6667"]  # 12 of 18 voxels in common
    assert second == ["dsc", "0.0000", "prediction", "empty"]
    missing = [line for line in lines if line.startswith("  hd95") and "none" in line]
    assert missing[0].split()[1:4] == ["none", "prediction", "empty;"]
    assert missing[0].endswith(" mm")
    assert any(line.split() == ["nsd", "needs", "--tolerance-mm"] for line in lines)
    assert any("2 |P ∩ R|" in line for line in lines)
    assert _run(["score", *map(str, pair)]) == 0
    assert "2 |P ∩ R|" not in capsys.readouterr().out


def test_a_machine_reads_the_same_numbers_as_python_gives(
    pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--json", "--tolerance-mm", "2", "-m", "nsd", "-m", "dsc", "-l", "organ=1"]
    assert _run(["score", *map(str, pair), *asked]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["version"] == 1
    assert set(found) == {
        "version", "reference", "prediction", "shape", "spacing", "unit", "rows", "left_out",
        "notes", "warnings",
    }  # fmt: skip
    expected = auditor.score(*pair, metrics=["dsc", "nsd"], tolerance_mm=2, labels={"organ": 1})
    assert [row["value"] for row in found["rows"]] == [row.value for row in expected.rows]
    assert set(found["rows"][0]) == {
        "label", "numbers", "metric", "title", "value", "unit", "status", "reason", "worst",
        "definition", "parameters",
    }  # fmt: skip
    assert found["warnings"][0] in err
    assert "NaN" not in out


def hostile(folder: Path) -> dict[str, Path]:
    """One file of each kind that is no label map of the reference's grid."""
    values: dict[str, Any] = {
        "large": np.where(box() > 0, 65536, 0).astype(np.int32),
        "negative": -box().astype(np.int16),
        "fraction": box().astype(np.float32) * 0.5,
        "wide": np.zeros((5, 7, 10), np.uint8),
    }
    files = {name: write_volume(folder / f"{name}.nii.gz", it) for name, it in values.items()}
    files["not a number"] = write_volume(
        folder / "nan.mha", np.where(box() > 0, np.nan, 0).astype(np.float32)
    )
    files["colour"] = folder / "colour.png"
    Image.fromarray(np.zeros((7, 9, 3), np.uint8)).save(files["colour"])
    files["missing"] = folder / "missing.nii.gz"
    files["folder"] = folder
    files["no image"] = folder / "text.nii.gz"
    files["no image"].write_text("what a label map is not")
    files["four axes"] = folder / "four.nii.gz"
    four_axes(files["four axes"])
    return files


def four_axes(path: Path) -> None:
    import SimpleITK

    sitk: Any = SimpleITK  # untyped
    planes = [sitk.GetImageFromArray(box()) for _ in range(3)]
    sitk.WriteImage(sitk.JoinSeries(planes), str(path))


TOLD = {
    "large": "prediction: a mask must hold whole label numbers from 0 to 65535, large.nii.gz holds 65536",
    "negative": "negative.nii.gz holds -1",
    "fraction": "fraction.nii.gz holds 0.5, and 18 of 315 voxels are no whole numbers",
    "wide": "shape (5, 7, 9) against (5, 7, 10)",
    "not a number": "nan.mha holds NaN or infinity in 18 of 315 voxels",
    "colour": "save the label numbers themselves, as grey values, not colours",
    "missing": "missing.nii.gz is missing",
    "folder": "is a folder",
    "no image": "text.nii.gz",
    "four axes": "must have 2 or 3 axes, four.nii.gz has 4",
}


def test_what_is_no_label_map_ends_with_status_4_and_a_sentence(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, file in hostile(tmp_path).items():
        code = _run(["score", str(pair[0]), str(file)])
        out, err = capsys.readouterr()
        assert (code, out) == (4, ""), name
        assert TOLD[name] in err, (name, err)
        assert "Traceback" not in err
        assert str(tmp_path) not in err.replace(file.name, "") or name == "folder"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-m", "hd59"], "unknown metric 'hd59'; did you mean 'hd95'?"),
        (["-m", "nsd"], "needs tolerance_mm"),
        (["--tolerance-mm", "two"], "'two' is not a valid float"),
        (["--tolerance-mm", "nan"], "needs tolerance_mm, a positive number"),
        (["-l", "liver"], "--label must be NAME=NUMBER, as liver=1, or NAME=1+2; was 'liver'"),
        (["-l", "a=1", "-l", "a=2"], "'a' is there twice"),
        (["-l", "a=0"], "whole number from 1 to 65535"),
        (["--spacing-mm", "1;1"], "--spacing-mm must be numbers with commas between them"),
        (["--spacing-mm", "1,1,1"], "spacing_mm must be left out where the files have a spacing"),
    ],
)
def test_options_that_mean_nothing_end_with_status_4(
    pair: tuple[Path, Path], options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _run(["score", *map(str, pair), *options])
    out, err = capsys.readouterr()
    assert (code, out) == (4, "")
    assert told in err
