"""A command is a system: one start a unit, its own grid, and every way to fail is a row."""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import GEOMETRY, THRESHOLD, command_spec, failures, images, write_command
from volumes import ORIGIN_XYZ, SHAPE_ZYX, SPACING_ZYX, oblique, scan

from auditor.schema import Geometry, OutputSpec, Status
from auditor.systems.golden import check_golden
from auditor.systems.running import Prediction, open_system


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files go to a folder of the test, which must be empty afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "log.txt"
    monkeypatch.setenv("COMMAND_LOG", str(path))
    return path


def test_all_severities_of_a_unit_travel_in_one_start_on_an_oblique_grid(
    tmp_path: Path, log: Path, scratch: Path
) -> None:
    program = write_command(tmp_path / "theirs", THRESHOLD)
    given = images(3)
    with open_system(command_spec(program)) as system:
        outcomes = system.predict(given, GEOMETRY)
    assert log.read_text().splitlines() == [
        "start scan_1_0000.nii.gz scan_2_0000.nii.gz scan_3_0000.nii.gz"
    ]
    for image, outcome in zip(given, outcomes, strict=True):
        assert isinstance(outcome, Prediction)
        assert torch.equal(outcome.labels, (image[0] > 500).to(torch.int16))
        assert torch.equal(outcome.scores[0], (image[0] > 500).float())
        assert torch.equal(outcome.probabilities, outcome.scores)
    assert not list(scratch.iterdir())


def test_scans_arrive_to_the_last_bit_and_on_their_grid(tmp_path: Path) -> None:
    body = """
for path, name in scans():
    image = sitk.ReadImage(str(path))
    np.save(Path.cwd() / f"{name}.npy", sitk.GetArrayFromImage(image))
    Path("grid.txt").write_text(repr((image.GetSpacing(), image.GetOrigin(), image.GetDirection())))
    sitk.WriteImage(above(image), str(target / f"{name}.nii.gz"))
"""
    program = write_command(tmp_path / "theirs", body)
    values = torch.from_numpy(scan(3)[None]) * 1.1 - 300.123
    with open_system(command_spec(program)) as system:
        system.predict([values], GEOMETRY)
    arrived = np.load(program.parent / "scan_1.npy")
    assert arrived.dtype == np.float32
    assert np.array_equal(arrived, values[0].numpy())
    spacing, origin, direction = eval((program.parent / "grid.txt").read_text(), {})
    assert np.allclose(spacing, SPACING_ZYX[::-1], atol=1e-6)
    assert np.allclose(origin, ORIGIN_XYZ, atol=1e-5)
    assert np.allclose(direction, oblique().ravel(), atol=1e-6)


def test_each_channel_is_a_file_as_nnunet_names_them(tmp_path: Path, log: Path) -> None:
    body = """
for path, name in scans():
    other = sitk.ReadImage(str(source / f"{name}_0001.nii.gz"))
    sitk.WriteImage(above(other), str(target / f"{name}.nii.gz"))
"""
    program = write_command(tmp_path / "theirs", body)
    given = images(2, channels=2)
    with open_system(command_spec(program)) as system:
        outcomes = system.predict(given, GEOMETRY)
    names = [f"scan_{n}_000{c}.nii.gz" for n in (1, 2) for c in (0, 1)]
    assert log.read_text().split()[1:] == names
    for image, outcome in zip(given, outcomes, strict=True):
        assert isinstance(outcome, Prediction)
        assert torch.equal(outcome.labels, (image[1] > 500).to(torch.int16))


def test_one_file_a_scan_when_that_is_declared(tmp_path: Path, log: Path) -> None:
    program = write_command(tmp_path / "theirs", THRESHOLD)
    with open_system(command_spec(program, files="single")) as system:
        (outcome,) = system.predict(images(1), GEOMETRY)
        assert isinstance(outcome, Prediction)
        assert log.read_text() == "start scan_1.nii.gz\n"
        told = failures(system.predict(images(2, channels=2), GEOMETRY))
    assert [status for status, _ in told] == [Status.REJECTED] * 2
    assert "this scan has 2" in told[0][1]
    assert log.read_text().count("start") == 1


def test_a_declared_number_of_channels_is_held_against_the_scan(tmp_path: Path) -> None:
    from auditor.schema import Certainty, InputSpec

    program = write_command(tmp_path / "theirs", THRESHOLD)
    spec = command_spec(
        program,
        input=InputSpec(channels=2),
        sources=(("input.channels", Certainty.DECLARED),),
    )
    with open_system(spec) as system:
        told = failures(system.predict(images(1), GEOMETRY))
    assert told == [(Status.REJECTED, "the scan must have 2 channels, it has 1")]


def test_images_without_a_spacing_have_pixels_of_one_millimetre(tmp_path: Path) -> None:
    body = """
for path, name in scans():
    image = sitk.ReadImage(str(path))
    assert image.GetDimension() == 2 and image.GetSpacing() == (1.0, 1.0), image.GetSpacing()
    mask = sitk.GetArrayFromImage(above(image))
    sitk.WriteImage(sitk.GetImageFromArray(mask), str(target / f"{name}.png"))
"""
    program = write_command(tmp_path / "theirs", body)
    flat = torch.from_numpy(scan(4, (6, 11))[None])
    grid = Geometry(shape=(6, 11), spacing=(1.0, 1.0), unit="px")
    with open_system(command_spec(program)) as system:
        (outcome,) = system.predict([flat], grid)
    assert isinstance(outcome, Prediction), outcome
    assert torch.equal(outcome.labels, (flat[0] > 500).to(torch.int16))


def test_a_turned_picture_with_a_spacing_keeps_its_grid(tmp_path: Path) -> None:
    program = write_command(tmp_path / "theirs", THRESHOLD)
    c, s = np.cos(0.3), np.sin(0.3)
    grid = Geometry(
        shape=(6, 11),
        spacing=(0.5, 0.7),
        direction=((-s, c), (c, s)),
        origin=(3.0, -2.0),
    )
    flat = torch.from_numpy(scan(4, (6, 11))[None])
    with open_system(command_spec(program)) as system:
        (outcome,) = system.predict([flat], grid)
    assert isinstance(outcome, Prediction), outcome


WRONG_GRIDS = {
    "shape": ("mask = mask[1:, :, :]", r"shape \(5, 7, 9\) against \(5, 7, 8\)"),
    "spacing": ("mask.SetSpacing((1, 1, 1))", r"spacing \(3, 0.8, 0.7\) against \(1, 1, 1\)"),
    "direction": ("mask.SetDirection(np.eye(3).ravel().tolist())", "direction .* against"),
    "origin": ("mask.SetOrigin((0, 0, 0))", r"origin \(-12.5, 40, 7.25\) against \(0, 0, 0\)"),
}


@pytest.mark.parametrize("change", WRONG_GRIDS)
def test_a_label_map_on_another_grid_is_rejected_naming_both(tmp_path: Path, change: str) -> None:
    code, told = WRONG_GRIDS[change]
    body = f"""
for path, name in scans():
    mask = above(sitk.ReadImage(str(path)))
    {code}
    sitk.WriteImage(mask, str(target / f"{{name}}.nii.gz"))
"""
    with open_system(command_spec(write_command(tmp_path / "theirs", body))) as system:
        ((status, reason),) = failures(system.predict(images(1), GEOMETRY))
    assert status is Status.REJECTED
    assert re.search(told, reason), reason


def test_a_missing_label_map_fails_its_own_severity_only(tmp_path: Path, log: Path) -> None:
    body = """
for path, name in scans():
    if name != "scan_2":
        sitk.WriteImage(above(sitk.ReadImage(str(path))), str(target / f"{name}.nii.gz"))
print("skipped scan_2: no lung found")
"""
    with open_system(command_spec(write_command(tmp_path / "theirs", body))) as system:
        outcomes = system.predict(images(3), GEOMETRY)
    assert [isinstance(it, Prediction) for it in outcomes] == [True, False, True]
    assert failures(outcomes) == [
        (
            Status.FAILED,
            (
                "the command wrote no label map scan_2.nii.gz for this scan; it last printed: skipped "
                "scan_2: no lung found"
            ),
        )
    ]
    assert log.read_text().count("start") == 1


UNUSABLE = {
    "text": 'Path(target / f"{name}.nii.gz").write_text("no image")',
    "half": 'sitk.WriteImage(mask, str(target / "x.nii")); (target / f"{name}.nii").write_bytes((target / '
    '"x.nii").read_bytes()[:500])',
    "fractions": 'sitk.WriteImage(sitk.Cast(mask, sitk.sitkFloat32) * 0.5, str(target / f"{name}.nii.gz"))',
    "negative": 'sitk.WriteImage(sitk.Cast(mask, sitk.sitkInt16) * -1, str(target / f"{name}.nii.gz"))',
    "vectors": 'sitk.WriteImage(sitk.Compose(mask, mask), str(target / f"{name}.mha"))',
    "two": '[sitk.WriteImage(mask, str(target / f"{name}.{e}")) for e in ("mha", "nrrd")]',
    "huge": 'sitk.WriteImage(sitk.Image(4000, 4000, 40, sitk.sitkUInt8), str(target / f"{name}.nii.gz"))',
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_is_no_label_map_is_rejected(tmp_path: Path, kind: str) -> None:
    body = f"""
for path, name in scans():
    mask = above(sitk.ReadImage(str(path)))
    {UNUSABLE[kind]}
"""
    with open_system(command_spec(write_command(tmp_path / "theirs", body))) as system:
        ((status, reason),) = failures(system.predict(images(1), GEOMETRY))
    assert status is Status.REJECTED, reason
    assert "/" not in reason
    assert "\n" not in reason


def test_numbers_that_nobody_declared_are_background(tmp_path: Path) -> None:
    body = """
for path, name in scans():
    image = sitk.ReadImage(str(path))
    mask = above(image, 800, 1) + above(image, 600, 4)
    sitk.WriteImage(mask, str(target / f"{name}.nii.gz"))
"""
    program = write_command(tmp_path / "theirs", body)
    output = OutputSpec(activation="labels", labels=(("rim", 4), ("core", 5)))
    given = images(1)
    with open_system(command_spec(program, output=output)) as system:
        (outcome,) = system.predict(given, GEOMETRY)
        narrow = system.under(replace(system.spec, output=replace(output, labels=(("core", 5),))))
        (alone,) = narrow.predict(given, GEOMETRY)
    assert narrow.info.findings == (
        *system.info.findings,
        "label maps hold the numbers 4, which output.labels does not name; they count as background",
    )
    assert isinstance(outcome, Prediction)
    assert isinstance(alone, Prediction)
    expected = torch.where(given[0][0] > 800, 5, torch.where(given[0][0] > 600, 4, 0))
    assert torch.equal(outcome.labels, expected.to(torch.int16))
    assert torch.equal(alone.labels, torch.where(expected == 5, 5, 0).to(torch.int16))
    assert alone.scores.shape == (1, *SHAPE_ZYX)


def test_the_command_sees_neither_case_nor_condition_nor_a_folder_of_the_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditor.systems.running import Asked

    body = """
headers = b"".join(__import__("gzip").decompress(p.read_bytes())[:352] for p in source.iterdir())
Path("seen.txt").write_text(repr(sys.argv) + repr(sorted(os.listdir(source))) + repr(headers))
Path("environment.txt").write_text(os.environ["ORT_DISABLE_TELEMETRY"] + os.environ["OWN_SETTING"])
"""
    monkeypatch.setenv("OWN_SETTING", "kept")
    program = write_command(tmp_path / "theirs", body + THRESHOLD)
    asked = [Asked("Jane-Doe-1970", "rician_noise", s, scan=f"scan_{s}") for s in (1.0, 4.0)]
    with open_system(command_spec(program)) as system:
        system.predict(images(2), GEOMETRY, asked=asked)
    seen = (program.parent / "seen.txt").read_text()
    assert "Jane" not in seen
    assert "rician" not in seen
    assert "scan_1_0000.nii.gz" in seen
    assert (program.parent / "environment.txt").read_text() == "1kept"


def test_threads_and_device_are_handed_over(tmp_path: Path) -> None:
    body = 'Path("told.txt").write_text(" ".join(sys.argv[3:]))\n'
    program = write_command(tmp_path / "theirs", body + THRESHOLD)
    words = (sys.executable, program.name, "{input}", "{output}", "-t{threads}", "--on={device}")
    with open_system(command_spec(program, command=words, threads=3, device="cuda:1")) as system:
        system.predict(images(1), GEOMETRY)
    assert (program.parent / "told.txt").read_text() == "-t3 --on=cuda:1"


def test_golden_pairs_confirm_a_command_and_only_labels_are_tried_otherwise(
    tmp_path: Path, log: Path
) -> None:
    program = write_command(tmp_path / "theirs", THRESHOLD)
    (image,) = images(1)
    own = (image[0] > 500).to(torch.int16)
    good = check_golden(command_spec(program), [(image, GEOMETRY, own)])
    assert good.status.value == "confirmed"
    assert good.agreement == 1.0
    bad = check_golden(command_spec(program), [(image, GEOMETRY, own.flip(0))])
    assert bad.status.value == "in doubt"
    assert "none of 1 contracts that are one change away agrees better" in bad.note
    assert log.read_text().count("start") == 2


def test_results_say_that_there_was_no_sandbox(tmp_path: Path) -> None:
    program = write_command(tmp_path / "theirs", THRESHOLD)
    with open_system(command_spec(program)) as system:
        info = system.info
    assert (info.format, info.sandbox) == ("command", ())
    assert "outside the sandbox" in info.findings[0]
    assert "declare version" in info.findings[1]
    assert info.size_bytes >= program.stat().st_size
    with open_system(command_spec(program, version="2.5.1")) as system:
        assert len(system.info.findings) == 1


def test_the_identity_follows_text_version_and_named_files_but_no_folder(tmp_path: Path) -> None:
    from auditor.systems.command_line import identify_command

    def digest(folder: Path, body: str = THRESHOLD, **changes: Any) -> str:
        return identify_command(command_spec(write_command(folder, body), **changes)).sha256

    first = digest(tmp_path / "a")
    assert digest(tmp_path / "elsewhere") == first
    assert digest(tmp_path / "b", THRESHOLD + "# changed\n") != first
    assert digest(tmp_path / "c", version="1") != first
    assert digest(tmp_path / "d", files="single") != first
    absolute = tmp_path / "f" / "predict.py"
    named = digest(tmp_path / "f", command=(sys.executable, str(absolute), "{input}", "{output}"))
    assert named == first
