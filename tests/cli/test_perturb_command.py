"""`segaudit perturb`: files on the very grid of the scan, and errors in words."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch
from PIL import Image
from volumes import box, oblique, write_volume

import perturbations
from auditor.cases import difference, read_volume
from auditor.cli import _run
from perturbations import Scan

sitk: Any = SimpleITK

SHAPE = (7, 24, 20)


def told(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert "internal error" not in captured.err
    return captured.out, captured.err


def head(folder: Path, name: str = "head.nii.gz", *, dtype: str = "int16") -> Path:
    """A bright ellipsoid on an oblique, anisotropic grid."""
    z, y, x = np.mgrid[-1:1:7j, -1:1:24j, -1:1:20j]
    rng = np.random.default_rng(1)
    values = 600.0 * (z**2 + y**2 + x**2 < 0.7) + rng.rayleigh(12.0, SHAPE)
    return write_volume(folder / name, values.astype(dtype))


def cells(folder: Path, name: str = "cells.png") -> Path:
    y, x = np.mgrid[:40, :52]
    values = 30 + 180 * ((y - 20) ** 2 + (x - 25) ** 2 < 80)
    path = folder / name
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


def made(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "preview.json").read_text(encoding="utf-8"))
    return content


def test_an_oblique_nifti_keeps_every_byte_of_its_grid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = head(tmp_path)
    out = tmp_path / "preview"
    assert _run(["perturb", str(scan), "rician_noise", "-o", str(out), "--seed", "7"]) == 0
    printed, progress = told(capsys)
    assert "modality mr, the only one of rician_noise" in progress
    assert "% of S_ref" in printed
    written = sorted(path.name for path in out.iterdir())
    assert written == sorted(
        ["contact_sheet.png", "preview.json"]
        + [f"head_rician_noise_s{severity}.nii.gz" for severity in range(1, 6)]
    )
    with gzip.open(scan) as stream:
        before = stream.read(352)
    with gzip.open(out / "head_rician_noise_s3.nii.gz") as stream:
        after = stream.read(352)
    # everything but datatype, bitpix (70 to 73), scl_slope and scl_inter (112 to 119)
    for first, last in ((0, 70), (74, 112), (120, 352)):
        assert before[first:last] == after[first:last]
    assert struct.unpack("<2h", after[70:74]) == (16, 32)
    first, second = sitk.ReadImage(str(scan)), sitk.ReadImage(str(out / written[3]))
    assert first.GetDirection() == second.GetDirection()
    assert first.GetOrigin() == second.GetOrigin()
    assert first.GetSpacing() == second.GetSpacing()


def test_the_record_makes_the_same_bits_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = head(tmp_path)
    out = tmp_path / "preview"
    arguments = [
        "perturb",
        str(scan),
        "rotation",
        "--modality",
        "mr",
        "-o",
        str(out),
        "--seed",
        "5",
    ]
    assert _run([*arguments, "--severities", "1.5,4", "--json", "-q"]) == 0
    printed, progress = told(capsys)
    assert progress == ""
    content = json.loads(printed)
    assert content == made(out)
    assert str(tmp_path) not in printed
    image, geometry = read_volume([str(scan)])
    clean = Scan(image=image, spacing=geometry.spacing, unit="mm", modality="mr")
    for row in content["levels"]:
        again = perturbations.replay(row["record"], clean).image
        stored, grid = read_volume([str(out / row["files"][0])])
        assert torch.equal(again, stored)
        assert grid == geometry
        assert row["displacement"] > 0
        assert 0 < row["retained"] <= 1
        measured = perturbations.effect.measure(clean, stored)
        assert row["nrmse"] == measured.nrmse
        assert row["ssim"] == measured.ssim
    assert [row["severity"] for row in content["levels"]] == [1.5, 4.0]


@pytest.mark.parametrize("name", ["head.nii", "head.mha", "head.nrrd", "head.mhd"])
def test_other_formats_keep_their_grid_too(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = head(tmp_path, name)
    out = tmp_path / "preview"
    arguments = ["perturb", str(scan), "gamma_up", "--modality", "mr", "--severities", "3"]
    assert _run([*arguments, "-o", str(out)]) == 0
    told(capsys)
    (file,) = made(out)["levels"][0]["files"]
    image, before = read_volume([str(scan)])
    stored, after = read_volume([str(out / file)])
    assert difference(after, before) == ""
    # NRRD holds spacing times direction, so that their last bits are not its own
    assert np.allclose(after.spacing, before.spacing, rtol=1e-12)
    expected = perturbations.apply(
        "gamma_up", image[0], severity=3, seed=0, modality="mr", spacing_mm=before.spacing
    )
    assert torch.equal(stored[0], torch.as_tensor(expected))


def test_a_big_endian_scaled_nifti_is_understood(tmp_path: Path) -> None:
    """The header is patched in its own byte order, and its scaling is undone."""
    values = np.arange(24, dtype=">i2").reshape(2, 3, 4)
    header = bytearray(352)
    struct.pack_into(">i", header, 0, 348)
    struct.pack_into(">8h", header, 40, 3, 4, 3, 2, 1, 1, 1, 1)
    struct.pack_into(">2h", header, 70, 4, 16)
    struct.pack_into(">8f", header, 76, 1, 1.5, 1.2, 3.0, 0, 0, 0, 0)
    struct.pack_into(">3f", header, 108, 352, 0.5, 10.0)
    header[344:348] = b"n+1\0"
    file = tmp_path / "big.nii"
    file.write_bytes(bytes(header) + values.tobytes())
    image, geometry = read_volume([str(file)])
    assert float(image.max()) == 10.0 + 0.5 * 23
    out = tmp_path / "preview"
    arguments = ["perturb", str(file), "gamma_up", "--modality", "mr", "-q"]
    assert _run([*arguments, "--severities", "3", "-o", str(out)]) == 0
    stored, grid = read_volume([str(out / made(out)["levels"][0]["files"][0])])
    assert grid == geometry
    expected = perturbations.apply(
        "gamma_up", image[0], severity=3, seed=0, modality="mr", spacing_mm=grid.spacing
    )
    assert torch.equal(stored[0], torch.as_tensor(expected))
    with (out / made(out)["levels"][0]["files"][0]).open("rb") as stream:
        assert stream.read(4) == file.read_bytes()[:4]  # still in its own byte order


def test_a_png_goes_back_to_its_number_type_and_says_what_was_clipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "preview"
    arguments = ["perturb", str(cells(tmp_path)), "gaussian_noise", "--modality", "microscopy"]
    assert _run([*arguments, "-o", str(out)]) == 0
    printed, _ = told(capsys)
    assert "clipped to uint8" in printed
    content = made(out)
    assert content["length"] == "px"
    for row in content["levels"]:
        with Image.open(out / row["files"][0]) as picture:
            assert picture.mode == "L"
            assert picture.size == (52, 40)
        assert row["dtype"] == "uint8"
    stored = read_volume([str(out / content["levels"][0]["files"][0])])[0]
    clean = read_volume([str(tmp_path / "cells.png")])[0]
    # sigma of severity 1 is 3 % of 210, and rounding adds a twelfth of a grey value squared
    assert float((stored - clean).std()) == pytest.approx(0.03 * 210, rel=0.1)


def test_colours_tiff_and_jpeg_come_back_as_they_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(2)
    colours = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "photo.jpg")
    Image.fromarray(rng.integers(0, 60000, (20, 30)).astype(np.uint16)).save(tmp_path / "deep.tif")
    Image.fromarray(rng.random((20, 30)).astype(np.float32)).save(tmp_path / "real.tiff")
    for name, ending, dtype in (
        ("photo.jpg", ".png", "uint8"), ("deep.tif", ".tif", "uint16"), ("real.tiff", ".tiff", "float32"),
    ):  # fmt: skip
        out = tmp_path / name.replace(".", "-")
        arguments = ["perturb", str(tmp_path / name), "gamma_down", "--modality", "microscopy"]
        assert _run([*arguments, "--severities", "2", "-o", str(out)]) == 0
        (row,) = made(out)["levels"]
        assert row["files"][0].endswith(ending)
        assert row["dtype"] == dtype
        stored, grid = read_volume([str(out / row["files"][0])])
        clean, before = read_volume([str(tmp_path / name)])
        assert stored.shape == clean.shape
        assert grid == before
    told(capsys)


def test_channels_in_several_files_come_back_in_several_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = head(tmp_path / "a", "t1.nii.gz"), head(tmp_path / "b", "t1.nii.gz")
    out = tmp_path / "preview"
    arguments = ["perturb", str(one), str(two), "rician_noise", "--severities", "2"]
    assert _run([*arguments, "-o", str(out)]) == 0
    told(capsys)
    files = made(out)["levels"][0]["files"]
    assert files == ["t1_rician_noise_s2.nii.gz", "t1_rician_noise_s2_2.nii.gz"]
    first, second = (read_volume([str(out / file)])[0] for file in files)
    assert not torch.equal(first, second)  # equal channels, independent noise


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["ricain_noise"], "did you mean 'rician_noise'?"),
        (["gaussian_noise"], "--modality with one of"),
        (["rician_noise", "--modality", "ct"], "rician_noise is for mr"),
        (["rician_noise", "--severities", "6"], "severity of rician_noise must lie in [0, 5]"),
        (["rician_noise", "--severities", "one"], "must be numbers with commas"),
        (["rician_noise", "--levels", "-3"], "level of rician_noise must lie between"),
        (["rician_noise", "--levels", "3", "--severities", "1"], "not both"),
        (["rician_noise", "--option", "phase_axis=1"], "unknown option 'phase_axis'"),
        (["rician_noise", "--option", "phase_axis"], "KEY=VALUE"),
        (["rician_noise", "--window", "5"], "two numbers"),
        (["rician_noise", "--state", "normalised"], "no physics on normalised scans"),
        (["rician_noise", "--region", "absent.nii.gz"], "absent.nii.gz is missing"),
        (["rician_noise", "--seed", "-1"], "Invalid value"),
    ],
)
def test_what_cannot_be_done_is_status_4_in_words(
    tmp_path: Path, arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "preview"
    assert _run(["perturb", str(head(tmp_path)), *arguments, "-o", str(out)]) == 4
    assert expected in told(capsys)[1]
    assert not out.exists()


def test_a_scan_that_is_missing_negative_or_without_spacing_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["-o", str(tmp_path / "preview")]
    assert _run(["perturb", str(tmp_path / "no.nii"), "rician_noise", *out]) == 4
    assert "no.nii is missing" in told(capsys)[1]
    negative = write_volume(tmp_path / "negative.nii", np.full(SHAPE, -5, dtype=np.int16))
    assert _run(["perturb", str(negative), "rician_noise", *out]) == 4
    assert "rician_noise" in told(capsys)[1]
    assert _run(["perturb", str(cells(tmp_path)), "rood_smoothing", "--modality", "mr", *out]) == 4
    assert "has levels in mm only" in told(capsys)[1]


def test_a_folder_in_use_is_replaced_only_by_force_and_only_what_a_preview_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan, out = head(tmp_path), tmp_path / "preview"
    out.mkdir()
    arguments = ["perturb", str(scan), "rician_noise", "-o", str(out)]
    assert _run([*arguments, "--severities", "1,2"]) == 0  # an empty folder is free
    (out / "notes.txt").write_text("mine")
    assert _run(arguments) == 4
    assert "--force" in told(capsys)[1]
    assert _run([*arguments, "--severities", "3", "--force"]) == 0
    assert {path.name for path in out.iterdir()} == {
        "contact_sheet.png", "head_rician_noise_s3.nii.gz", "notes.txt", "preview.json",
    }  # fmt: skip
    assert _run(["perturb", str(scan), "rician_noise", "-o", str(scan), "--force"]) == 4
    assert "is a file" in told(capsys)[1]


def test_an_impossible_folder_is_told_in_full_before_anything_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = head(tmp_path)
    for out in (scan / "deep" / "preview", tmp_path / ("x" * 300) / "preview"):
        assert _run(["perturb", str(scan), "rician_noise", "-o", str(out)]) == 4
        progress = told(capsys)[1]
        assert f"{out} cannot" in progress
        assert "drew" not in progress
    # nor is anything left of a folder that was made in vain
    assert _run(["perturb", str(tmp_path), "rician_noise", "-o", str(tmp_path / "a" / "b")]) == 4
    assert f"{tmp_path.name} is a folder" in told(capsys)[1]
    assert not (tmp_path / "a").exists()


def test_units_that_say_what_a_level_is_read_as_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["perturb", str(cells(tmp_path)), "--modality", "microscopy", "--severities", "1"]
    for name, footer, progress in (
        ("poisson_noise", "levels are shares of the dose;", "0.5 of the dose"),
        ("jpeg", "levels tell the quality;", "quality 90"),
    ):
        out = ["-o", str(tmp_path / name)]
        assert _run([*arguments[:2], name, *arguments[2:], *out]) == 0
        printed, shown = told(capsys)
        assert footer in printed
        assert f"1 of 1: {progress}" in shown


def test_a_single_value_that_is_no_number_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.ones((20, 40, 40), dtype=np.float32)
    values[3, 3, 3] = np.nan
    scan = write_volume(tmp_path / "nan.nii.gz", values)
    assert _run(["perturb", str(scan), "rician_noise", "-o", str(tmp_path / "out")]) == 4
    assert "(1 of 32000)" in told(capsys)[1]


def test_a_preview_that_cannot_be_finished_takes_back_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "preview"
    blocked = out / "head_rician_noise_s4.nii.gz"
    blocked.mkdir(parents=True)  # a folder where the fourth volume should be
    (blocked / "mine.txt").write_text("mine")
    arguments = ["perturb", str(head(tmp_path)), "rician_noise", "-o", str(out), "--force"]
    assert _run(arguments) == 3
    assert "could not be written (head_rician_noise_s4.nii.gz" in told(capsys)[1]
    assert [path.name for path in out.iterdir()] == [blocked.name]


def test_no_volumes_writes_the_picture_and_the_record_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "preview"
    arguments = ["perturb", str(head(tmp_path)), "rician_noise", "--no-volumes", "-o", str(out)]
    assert _run([*arguments, "--levels", "4.5,40"]) == 0
    told(capsys)
    assert {path.name for path in out.iterdir()} == {"contact_sheet.png", "preview.json"}
    rows = made(out)["levels"]
    assert [row["level"] for row in rows] == [4.5, 40.0]
    assert rows[1]["severity"] is None  # beyond the listed levels


def test_a_level_without_effect_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_volume(tmp_path / "one.nii.gz", np.full((1, 9, 9), 40, dtype=np.int16))
    out = tmp_path / "preview"
    arguments = ["perturb", str(one), "gaussian_blur", "--modality", "mr", "-o", str(out)]
    assert _run([*arguments, "--severities", "5"]) == 0
    assert "changes no voxel of this scan" in told(capsys)[0]
    assert made(out)["levels"][0]["status"] == "no_effect"


def test_a_region_on_another_grid_is_refused_and_an_oracle_asks_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = head(tmp_path)
    arguments = ["perturb", str(scan), "rician_noise", "--severities", "2"]
    turned = write_volume(tmp_path / "turned.nii.gz", box(shape=SHAPE), direction=oblique(40.0))
    assert _run([*arguments, "--region", str(turned), "-o", str(tmp_path / "a")]) == 4
    assert "must lie on one grid" in told(capsys)[1]
    mask = write_volume(tmp_path / "mask.nii.gz", box(shape=SHAPE))
    assert _run([*arguments, "--region", str(mask), "-o", str(tmp_path / "b")]) == 0
    told(capsys)
    assert made(tmp_path / "b")["levels"][0]["contrast_to_noise"] > 0
    for entry in perturbations.CATALOG.values():
        if entry.uses_region:
            modality = entry.modalities[0] if entry.modalities else "mr"
            asked = ["perturb", str(scan), entry.name, "--modality", modality]
            assert _run([*asked, "-o", str(tmp_path / "c")]) == 4
            assert "add --region" in told(capsys)[1]


@pytest.mark.parametrize("arguments", [["--help"], ["perturb", "--help"], ["ls", "--help"]])
def test_help_keeps_its_examples_on_lines_of_their_own(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(arguments) == 0
    out, _ = told(capsys)
    assert "\\b" not in out
    assert sum("segaudit " in line.strip() for line in out.splitlines()) >= 4
