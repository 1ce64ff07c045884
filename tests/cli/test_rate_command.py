"""`segaudit rate` and `auditor.rate`: scans to ratings, masks and pages, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
from numpy.typing import NDArray
from rated_scans import (
    GRID,
    ball,
    brightness,
    write_certificate,
    write_checkpoint,
    write_reference,
    write_scan,
)

import auditor
from auditor.cli import _run
from auditor.errors import DataError, IntegrityError
from auditor.metrics.mask_families import outer_by_distance, signed_distance
from auditor.pipeline.rated_cases import _nameless
from auditor.schema import CaseRecord, decode
from auditor.schema.ratings import Grade, RatedScans, Rating
from auditor.volumes.images import read_mask, write_image, write_mask


def told(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out, captured.err


def test_a_scan_is_rated_with_the_callable_that_was_calibrated(tmp_path: Path) -> None:
    known = write_certificate(tmp_path / "bright.ball.json")
    found = auditor.rate(known, brightness, write_scan(tmp_path / "scan.nii.gz"))
    # every score is -0.05 (all but those whose agreement is cut at 1), and the copies agree fully
    assert found.rating.bound.value == pytest.approx(0.95)
    assert (found.rating.grade, found.rating.proxy, found.rating.copies) == (Grade.A, 1.0, 2)
    assert found.rating.pac_bound.value is not None
    assert found.prediction is not None
    assert found.outer is not None
    assert found.inner is not None
    assert torch.equal(found.prediction == 1, torch.from_numpy(ball()))
    distance = signed_distance(found.prediction == 1, GRID.spacing)
    assert torch.equal(found.outer, outer_by_distance(distance, 3.5))
    assert bool((found.inner & ~(found.prediction == 1)).sum() == 0)
    # 0.0036 ml a voxel
    assert found.rating.volume == pytest.approx(ball().sum() * 0.0036)
    assert [it.plane for it in found.pictures] == ["axial", "coronal", "sagittal"]
    assert [own.name for own in found.pictures[0].contours] == ["outer", "prediction", "inner"]


def test_an_empty_or_failed_prediction_is_not_rated(tmp_path: Path) -> None:
    known = write_certificate(tmp_path / "bright.ball.json")
    dark = auditor.rate(known, brightness, write_scan(tmp_path / "dark.nii.gz", bright=0.3))
    assert (dark.rating.grade, dark.rating.status) == (Grade.NOT_RATED, "prediction_empty")
    assert dark.rating.reasons == ("its prediction holds no voxel of ball",)
    assert (dark.outer, dark.inner, dark.pictures) == (None, None, ())

    def broken(_: NDArray[np.float32]) -> NDArray[np.float32]:
        msg = "out of order"
        raise RuntimeError(msg)

    broken.__qualname__ = "brightness"
    lost = auditor.rate(known, broken, write_scan(tmp_path / "scan.nii.gz"))
    assert (lost.rating.grade, lost.rating.status, lost.prediction) == ("NR", "failed", None)
    assert "out of order" in lost.rating.reasons[0]


def test_another_modality_or_geometry_is_not_even_predicted(tmp_path: Path) -> None:
    known = write_certificate(tmp_path / "bright.ball.json")
    scan = write_scan(tmp_path / "scan.nii.gz")
    asked = []

    def seen(image: NDArray[np.float32]) -> NDArray[np.float32]:
        asked.append(image.shape)
        return image

    seen.__qualname__ = "brightness"
    other = auditor.rate(known, seen, scan, modality="ct", state="raw")
    assert other.rating.reasons == (
        "it is declared ct, raw; the certificate is for other, normalised",
    )
    flat = replace(GRID, shape=(24, 20), spacing=(1.0, 1.2), direction=(), origin=())
    write_image(tmp_path / "flat.nii.gz", torch.zeros(24, 20), flat)
    found = auditor.rate(known, seen, tmp_path / "flat.nii.gz")
    assert found.rating.reasons == ("it is 2-D; the certificate is for 3-D scans",)
    assert (found.rating.status, found.prediction, asked) == ("not_run", None, [])


def test_a_calibration_scan_is_known_again_by_its_voxels(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scan.nii.gz", seed=3)
    known = write_certificate(tmp_path / "bright.ball.json", scans=(scan,))
    moved = tmp_path / "renamed.nii"
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(scan)), str(moved))
    found = auditor.rate(known, brightness, moved).rating
    assert found.used_for_calibration
    other = auditor.rate(known, brightness, write_scan(tmp_path / "other.nii.gz", seed=4)).rating
    assert not other.used_for_calibration


def test_another_system_or_an_edited_certificate_is_refused(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scan.nii.gz")
    known = write_certificate(tmp_path / "bright.ball.json")

    def another(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return image

    with pytest.raises(IntegrityError, match="must be the one that was calibrated, bright"):
        auditor.rate(known, another, scan)
    edited = tmp_path / "edited.json"
    text = known.read_text(encoding="utf-8")
    edited.write_text(text.replace('"alpha": 0.1', '"alpha": 0.05'), encoding="utf-8")
    with pytest.raises(IntegrityError, match="changed after it was written"):
        auditor.rate(edited, brightness, scan)
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="must be a certificate"):
        auditor.rate(tmp_path / "other.json", brightness, scan)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, its certificate, and a table of four scans with references of two patients."""
    folder = tmp_path_factory.mktemp("rate")
    checkpoint = write_checkpoint(folder / "bright.onnx")
    scans = [write_scan(folder / f"secret-{i}.nii.gz", seed=i) for i in range(3)]
    scans.append(write_scan(folder / "secret-3.nii.gz", bright=0.2))
    write_certificate(
        folder / "certificates" / "bright.ball.json", checkpoint=checkpoint, scans=(scans[2],)
    )
    write_reference(folder / "true.nii.gz")
    write_reference(folder / "large.nii.gz", radius=8.0)
    rows = [
        f"hidden-{i},{patient},secret-{i}.nii.gz,{mask}.nii.gz"
        for i, (patient, mask) in enumerate(
            [("ann", "true"), ("ben", "large"), ("cat", "true"), ("dan", "true")]
        )
    ]
    text = "\n".join(["case,patient,image,reference", *rows])
    (folder / "cases.csv").write_text(f"{text}\n", encoding="utf-8")
    return folder


def call(home: Path, *arguments: str | Path, checkpoint: str = "bright.onnx") -> int:
    known = home / "certificates" / "bright.ball.json"
    given: Sequence[str | Path] = (known, "--checkpoint", home / checkpoint, *arguments)
    return _run(["rate", *map(str, given)])


def test_one_scan_gets_masks_on_its_own_grid_and_a_page(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert call(home, home / "secret-0.nii.gz", "-o", out) == 0
    text, _ = told(capsys)
    assert text.startswith("S001   A   DSC above 0.950 (for 90 % of scans like it, n = 30")
    assert sorted(it.name for it in out.iterdir()) == [
        "inner.nii.gz", "outer.nii.gz", "prediction.nii.gz", "rating.html", "rating.json",
    ]  # fmt: skip
    for name in ("inner", "prediction", "outer"):
        mask, grid = read_mask(str(out / f"{name}.nii.gz"))
        assert grid.shape == GRID.shape
        assert grid.spacing == pytest.approx(GRID.spacing)
        assert np.allclose(grid.direction, GRID.direction, atol=1e-6)
        assert np.allclose(grid.origin, GRID.origin, atol=1e-5)
        assert set(torch.unique(mask).tolist()) == {0, 1}
    stored = decode((out / "rating.json").read_text(encoding="utf-8"), Rating)
    page = (out / "rating.html").read_text(encoding="utf-8")
    assert stored.grade is Grade.A
    assert "secret" not in page + (out / "rating.json").read_text(encoding="utf-8")
    assert str(home) not in page
    assert page.count("data:image/png;base64,") == 3

    assert call(home, home / "secret-0.nii.gz", "-o", out) == 4
    assert "holds an earlier rating" in told(capsys)[1]
    # not rated now: no mask of the earlier rating may stay
    asked = (home / "secret-3.nii.gz", "-o", out, "--force", "--no-images", "--json")
    assert call(home, *asked) == 0
    text, _ = told(capsys)
    assert json.loads(text)["grade"] == "NR"
    assert sorted(it.name for it in out.iterdir()) == [
        "prediction.nii.gz", "rating.html", "rating.json",
    ]  # fmt: skip
    page = (out / "rating.html").read_text(encoding="utf-8")
    assert "data:image" not in page
    assert "No pixel of the scan is embedded." in page


def test_a_table_with_references_counts_the_promises(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert call(home, "--cases", home / "cases.csv", "-o", out, "--no-images") == 0
    text, err = told(capsys)
    # ann's ball is found, ben's was larger: 2 * 6^3 / (6^3 + 8^3) = 0.59; cat calibrated, dan is empty
    assert "promises   kept for 1 of 2 patients (0.013 to 0.987, 95 %, Clopper-Pearson)" in text
    assert "grade A    n = 2" in text
    assert "not rated  1 patient\n" in text
    assert "left out   1 scan used for calibration, proving no promise" in text
    assert "4 of 4 scans" in err
    stored = decode((out / "ratings.json").read_text(encoding="utf-8"), RatedScans)
    assert stored.promises is not None
    assert [it.held for it in stored.promises.scans] == [True, False, True, None]
    assert [it.used_for_calibration for it in stored.ratings] == [False, False, True, False]
    assert (out / "C001" / "outer.nii.gz").is_file()
    assert not (out / "C004" / "outer.nii.gz").exists()
    rows = (out / "ratings.csv").read_text(encoding="utf-8").splitlines()
    assert (len(rows), rows[1].split(",")[:2]) == (5, ["C001", "A"])
    kept = (out / "identities.csv").read_text(encoding="utf-8")
    assert "C001,hidden-0" in kept
    for name in ("ratings.json", "ratings.csv", "C001/rating.json", "C001/rating.html"):
        content = (out / name).read_text(encoding="utf-8")
        assert "hidden-" not in content
        assert "secret" not in content


def test_scans_that_cannot_be_read_are_told_and_stop_no_other(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torn.nii.gz").write_bytes(b"\x1f\x8bnothing")
    scans = (tmp_path / "torn.nii.gz", home / "secret-0.nii.gz")
    assert call(home, *scans, "-o", tmp_path / "out", "--no-images") == 0
    text, _ = told(capsys)
    assert "S001   NR  not read: image must be NIfTI" in text
    assert "S002   A" in text
    stored = (tmp_path / "out" / "ratings.json").read_text(encoding="utf-8")
    assert [name for name, _ in decode(stored, RatedScans).unread] == ["S001"]
    assert "torn" not in stored
    assert call(home, scans[0], "-o", tmp_path / "alone") == 4
    assert "torn.nii.gz" in told(capsys)[1]


def test_a_reference_that_cannot_be_used_costs_no_rating(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = replace(GRID, shape=(4, 24, 20))
    write_mask(home / "secret-mask.nii.gz", torch.ones(4, 24, 20, dtype=torch.int16), flat)
    rows = "case,image,reference\nhidden-0,secret-0.nii.gz[0],secret-mask.nii.gz\n"
    (home / "bad.csv").write_text(rows, encoding="utf-8")
    out = tmp_path / "out"
    assert call(home, "--cases", home / "bad.csv", "-o", out, "--no-images") == 0
    text, _ = told(capsys)
    assert "C001   A" in text
    assert "counts nowhere, not read: its reference: case 'C001': the file" in text
    stored = (out / "ratings.json").read_text(encoding="utf-8")
    assert "secret" not in stored + text
    assert "hidden" not in stored + text
    found = decode(stored, RatedScans)
    assert (len(found.ratings), found.promises, found.unread[0][0]) == (1, None, "C001")
    assert len((out / "ratings.csv").read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "checkpoint", "status", "words"),
    [
        (["-o", "out"], "bright.onnx", 4, "give the scans to rate, or a table"),
        (["a.nii.gz", "--cases", "b.csv", "-o", "out"], "bright.onnx", 4, "not both"),
        (["a.nii.gz", "-o", "out"], "cases.csv", 4, "cases.csv"),
        (["a.nii.gz", "-o", "out"], "other.onnx", 7, "must be the one that was calibrated"),
        (["a.nii.gz", "-o", "out"], "bright.onnx", 4, "a.nii.gz is missing"),
    ],
)
def test_what_is_refused(  # one parameter a column
    home: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    checkpoint: str,
    status: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if checkpoint == "other.onnx":
        content = (home / "bright.onnx").read_bytes()
        (home / checkpoint).write_bytes(content.replace(b"by hand", b"by hone"))
    assert call(home, *arguments, checkpoint=checkpoint) == status
    assert words in told(capsys)[1]
    assert not (tmp_path / "out").exists()


def test_a_folder_in_place_of_a_scan_is_named_in_words() -> None:
    # a folder such as . has no name that could be left out of the message
    record = CaseRecord(".", "S001", (".",), None)
    told = _nameless(DataError("image must be a file, . is a folder"), record, "S001")
    assert told == "image must be a file, . is a folder"
