"""`segaudit profile`: scans of a site, alone and placed by a run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import SimpleITK
from PIL import Image
from tiny_audits import tiny_config

import auditor
from auditor.cases import read_volume
from auditor.cli import _run, segaudit
from auditor.confidence import axes_of_run
from auditor.errors import DataError
from auditor.exhibits.profile_picture import draw_profile
from auditor.pipeline import profile_lines
from auditor.schema import decode
from auditor.schema.site import Measured, Side, SiteProfile


def call(*arguments: str | Path) -> int:
    """Run the command; the exit status."""
    return _run([str(it) for it in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run under two severities of noise, one of blur and one of bias."""
    home = tmp_path_factory.mktemp("profile")
    config = tiny_config(
        home,
        patients=8,
        perturbations={
            "rician_noise": {"severities": [1, 3, 5]},
            "gaussian_blur": {"severities": [2, 5]},
        },
    )
    auditor.audit(config, out=home / "run")
    (home / "scans").mkdir()
    for image in sorted((home / "cases").rglob("*.nii.gz")):
        if "reference" not in image.name and "rater" not in image.name:
            shutil.copy(image, home / "scans" / image.name)
    return home


def profiled(folder: Path, *arguments: str | Path) -> SiteProfile:
    """Profile and read what was written."""
    out = folder / "site.json"
    assert call("profile", *arguments, "-o", out, "--force") == 0
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    return decode(out.read_text(encoding="utf-8"), SiteProfile)


def test_the_test_set_itself_lies_at_severity_0(folder: Path) -> None:
    site = profiled(folder, folder / "scans", "--run", folder / "run")
    assert {axis.perturbation for axis in site.axes} == {"rician_noise", "gaussian_blur"}
    for axis in site.axes:
        assert axis.usable, axis.reason
    zero = [all(it.severity == 0.0 for it in scan.placements) for scan in site.scans]
    assert len(zero) == 8
    assert np.mean(zero) >= 0.9


def test_noisier_scans_lie_at_the_severity_that_made_them(folder: Path, tmp_path: Path) -> None:
    import perturbations

    for image in sorted((folder / "scans").iterdir()):
        values, _ = read_volume([str(image)])
        written: Any = SimpleITK.ReadImage(str(image))
        scan = perturbations.Scan(image=values, spacing=written.GetSpacing()[::-1], modality="mr")
        noisy = perturbations.realise("rician_noise", scan, seed=99).at(severity=3).image[0]
        changed: Any = SimpleITK.GetImageFromArray(noisy.numpy())
        changed.CopyInformation(written)
        SimpleITK.WriteImage(changed, str(tmp_path / image.name))
    site = profiled(folder, tmp_path, "--run", folder / "run")
    placed = [
        it for scan in site.scans for it in scan.placements if it.perturbation == "rician_noise"
    ]
    assert all(it.side is Side.WITHIN for it in placed)
    severities = [it.severity for it in placed if it.severity is not None]
    assert np.median(severities) == pytest.approx(3.0, abs=0.5)


def test_without_a_run_the_estimates_stand_in_their_units(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = profiled(folder, folder / "scans", "--modality", "mr")
    assert not site.axes
    assert not site.scans[0].placements
    found = {it.name: it for it in site.scans[0].measured}
    assert found["noise"].value is not None
    assert found["noise"].unit == "% of S_ref"
    for it in found.values():
        assert (it.value is None) == bool(it.reason)
    shown = capsys.readouterr().out
    assert "noise            median" in shown
    # no file name leaves the site
    text = (folder / "site.json").read_text(encoding="utf-8")
    assert not any(image.name.split(".")[0] in text for image in (folder / "scans").iterdir())


def test_equal_scans_give_equal_files(folder: Path) -> None:
    profiled(folder, folder / "scans", "--modality", "mr")
    first = [(folder / name).read_bytes() for name in ("site.json", "site.png")]
    profiled(folder, folder / "scans", "--modality", "mr")
    assert first == [(folder / name).read_bytes() for name in ("site.json", "site.png")]


def test_a_file_that_cannot_be_read_is_a_row_with_a_reason(folder: Path, tmp_path: Path) -> None:
    good = min((folder / "scans").iterdir())
    shutil.copy(good, tmp_path / good.name)
    (tmp_path / "secret_name.nii.gz").write_bytes(b"no image")
    site = profiled(folder, tmp_path, "--modality", "mr", "--identities", folder / "names.csv")
    assert len(site.scans) == 1
    assert len(site.unread) == 1
    assert "secret_name" not in site.unread[0][1]
    assert "secret_name.nii.gz" in (folder / "names.csv").read_text(encoding="utf-8")


def written(path: Path, values: np.ndarray[Any, Any], spacing: tuple[float, float, float]) -> None:
    image: Any = SimpleITK.GetImageFromArray(values)
    image.SetSpacing(spacing[::-1])
    SimpleITK.WriteImage(image, str(path))


def test_the_median_of_an_even_number_lies_between_the_middle_two(folder: Path) -> None:
    base = profiled(folder, min((folder / "scans").iterdir()), "--modality", "mr")
    values = (1.0, 2.0, 4.0, 9.0)
    scans = tuple(
        replace(base.scans[0], measured=(Measured("noise", value, "% of S_ref"),))
        for value in values
    )
    site = replace(base, scans=scans)
    assert profile_lines(site) == ["noise            median 3 % of S_ref, 1 to 9 (n = 4)"]
    # the same numbers in two units are two lines, each with its own median
    mixed = replace(
        site, scans=(*scans, replace(scans[0], measured=(Measured("noise", 50.0, "HU"),)))
    )
    assert profile_lines(mixed)[1] == "noise            median 50 HU, 50 to 50 (n = 1)"
    assert draw_profile(mixed) != draw_profile(site)


def test_pixels_are_not_placed_among_millimetres(folder: Path, tmp_path: Path) -> None:
    good = min((folder / "scans").iterdir())
    values, _ = read_volume([str(good)])
    plane = values[0, values.shape[1] // 2].numpy()
    Image.fromarray(np.clip(plane / plane.max() * 255, 0, 255).astype(np.uint8)).save(
        tmp_path / "plane.png"
    )
    shutil.copy(good, tmp_path / good.name)
    site = profiled(folder, tmp_path, "--run", folder / "run")
    sides = {
        (len(scan.shape), it.perturbation): it for scan in site.scans for it in scan.placements
    }
    assert sides[3, "gaussian_blur"].side is not Side.UNDEFINED
    of_pixels = sides[2, "gaussian_blur"]
    assert of_pixels.side is Side.UNDEFINED
    assert "measured in px FWHM; the axis of the run is in mm FWHM" in of_pixels.reason
    assert sides[2, "rician_noise"].estimate is not None  # % of S_ref has no length
    assert any("undefined: its lengths are in px" in line for line in profile_lines(site))


def test_scans_of_another_modality_are_listed_with_their_reason(
    folder: Path, tmp_path: Path
) -> None:
    good = min((folder / "scans").iterdir())
    shutil.copy(good, tmp_path / good.name)
    hu = np.random.default_rng(1).normal(0.0, 300.0, (8, 24, 24)).astype(np.float32)
    hu[:, :4] = -1000.0
    written(tmp_path / "zz_body.nii.gz", hu, (3.0, 1.0, 1.0))
    site = profiled(folder, tmp_path, "--modality", "mr")
    assert [name for name, _ in site.unread] == ["S002"]
    assert "magnitude MR is never negative" in site.unread[0][1]
    site = profiled(folder, tmp_path, "--modality", "ct")
    assert [name for name, _ in site.unread] == ["S001"]
    assert "raw CT reaches the -1000 HU of air" in site.unread[0][1]
    # what is not raw may hold any values
    assert not profiled(folder, tmp_path, "--modality", "mr", "--state", "normalised").unread


def test_a_run_of_equal_effects_says_that_it_places_nothing(tmp_path: Path) -> None:
    rows = {
        "case": ["a"], "perturbation": ["rician_noise"], "severity": [1.0], "level": [0.95],
        "unit": ["SSIM"], "label": ["organ"], "status": ["ok"], "native_level": [3.0],
        "estimated_level": [5.0],
    }  # fmt: skip
    pq.write_table(pa.table(rows), tmp_path / "scans.parquet")
    with pytest.raises(DataError, match="has rician_noise at levels of equal effect only"):
        axes_of_run(tmp_path)
    other = {**rows, "native_level": pa.array([None], pa.float64())}
    pq.write_table(pa.table(other), tmp_path / "scans.parquet")
    with pytest.raises(DataError, match=r"noncentral_chi_noise.*ghosting"):
        axes_of_run(tmp_path)


def test_what_cannot_be_done_is_said_in_words(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "site.json"
    assert call("profile", folder / "scans", "-o", out) == 4
    assert "the modality of the scans must be declared" in capsys.readouterr().err
    assert call("profile", tmp_path / "none", "--modality", "mr", "-o", out) == 4
    assert "there is no such file or folder" in capsys.readouterr().err
    assert (
        call("profile", folder / "scans", "--modality", "ct", "--run", folder / "run", "-o", out)
        == 4
    )
    assert "must be that of the run, mr, was ct" in capsys.readouterr().err
    assert call("profile", folder / "scans", "--run", tmp_path, "-o", out) == 4
    assert "must be the folder of a finished run" in capsys.readouterr().err
    (tmp_path / "broken").mkdir()
    for name in ("one.nii.gz", "two.nii.gz"):
        (tmp_path / "broken" / name).write_bytes(b"no image")
    assert call("profile", tmp_path / "broken", "--modality", "mr", "-o", out) == 4
    shown = capsys.readouterr().err
    assert "one.nii.gz: " in shown
    assert "two.nii.gz: " in shown
    for wrong in (out.with_suffix(".png"), tmp_path):
        assert call("profile", folder / "scans", "--modality", "mr", "-o", wrong) == 4
        assert "-o must be the JSON file" in capsys.readouterr().err
    names = out.with_suffix(".png")
    arguments = ("--modality", "mr", "-o", out, "--identities", names)
    assert call("profile", folder / "scans", *arguments) == 4
    assert "must be another file" in capsys.readouterr().err
    assert not out.exists()
    out.write_text(json.dumps({}), encoding="utf-8")
    assert call("profile", folder / "scans", "--modality", "mr", "-o", out) == 4
    assert "site.json exists already" in capsys.readouterr().err


def test_the_command_teaches() -> None:
    from click.testing import CliRunner

    shown = CliRunner().invoke(segaudit, ["profile", "--help"]).output
    assert "severity 0 is its test set as it is" in " ".join(shown.split())
