"""Predictions made elsewhere: found by the name of their scan, held against its grid, never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from commands import GEOMETRY
from volumes import SHAPE_ZYX, box, oblique, write_volume

from auditor.errors import CheckpointError
from auditor.schema import OutputSpec, Status, SystemSpec
from auditor.systems.precomputed import identify_predictions
from auditor.systems.running import Asked, Failure, Prediction, open_system

FIRST, SECOND, THIRD = (f"scan_{digit * 16}" for digit in "1af")
IMAGE = torch.zeros(1, *SHAPE_ZYX)


def declared(folder: Path, **changes: str) -> SystemSpec:
    output = OutputSpec(activation="labels", labels=(("organ", 1), ("vessel", 3)))
    return SystemSpec("theirs", predictions=str(folder), output=output, **changes)  # type: ignore[arg-type]  # texts only


def asked(*names: str) -> list[Asked]:
    return [Asked("case", scan=name) for name in names]


def test_each_scan_gets_its_own_label_map_whatever_its_format(tmp_path: Path) -> None:
    write_volume(tmp_path / f"{FIRST}.nii.gz", box(number=1))
    write_volume(tmp_path / f"{SECOND}.nrrd", box(number=3))
    write_volume(tmp_path / f"{THIRD}.mha", box(number=2))
    with open_system(declared(tmp_path)) as system:
        found = system.predict([IMAGE] * 3, GEOMETRY, asked=asked(THIRD, SECOND, FIRST))
    maps = [it.labels for it in found if isinstance(it, Prediction)]
    assert [int(it.max()) for it in maps] == [0, 3, 1]
    # a box of 2 x 3 x 3 voxels
    assert [int((it > 0).sum()) for it in maps] == [0, 18, 18]
    assert isinstance(found[1], Prediction)
    assert found[1].scores.shape == (2, *SHAPE_ZYX)
    assert [float(it.sum()) for it in found[1].scores] == [0.0, 18.0]


def test_a_missing_file_fails_and_another_grid_is_rejected(tmp_path: Path) -> None:
    write_volume(tmp_path / f"{FIRST}.nii.gz", box(), direction=oblique(21.0))
    write_volume(tmp_path / f"{SECOND}.nii.gz", box())
    write_volume(tmp_path / f"{SECOND}.mha", box())
    with open_system(declared(tmp_path)) as system:
        found = system.predict([IMAGE] * 3, GEOMETRY, asked=asked(FIRST, SECOND, THIRD))
    assert all(isinstance(it, Failure) for it in found)
    told = [(it.status, it.reason) for it in found if isinstance(it, Failure)]
    assert told[0][0] is Status.REJECTED
    assert "direction" in told[0][1]
    assert told[1] == (
        Status.REJECTED,
        f"a scan must have one label map, there are {SECOND}.nii.gz, {SECOND}.mha",
    )
    assert told[2] == (
        Status.FAILED,
        f"no prediction {THIRD}.nii.gz in the folder of predictions",
    )


def test_a_scan_of_no_plan_has_no_prediction(tmp_path: Path) -> None:
    write_volume(tmp_path / f"{FIRST}.nii.gz", box())
    with open_system(declared(tmp_path)) as system:
        for names in ([], [Asked("case")]):
            (found,) = system.predict([IMAGE], GEOMETRY, asked=names)
            assert isinstance(found, Failure)
            assert found.status is Status.FAILED


def test_the_identity_follows_label_maps_and_version_and_nothing_else(tmp_path: Path) -> None:
    folder, other = tmp_path / "one", tmp_path / "two"
    for place in (folder, other):
        write_volume(place / f"{FIRST}.nii.gz", box())
        write_volume(place / f"{SECOND}.nii.gz", box(number=2))
    first = identify_predictions(declared(folder))
    assert identify_predictions(declared(other)) == first
    (other / "plans.json").write_text("{}")
    write_volume(other / "notes_of_us.nii.gz", box())
    assert identify_predictions(declared(other)) == first
    assert identify_predictions(declared(other, version="2")) != first
    write_volume(other / f"{SECOND}.nii.gz", box(number=3))
    assert identify_predictions(declared(other)) != first


def test_a_folder_without_predictions_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="segaudit scans"):
        identify_predictions(declared(tmp_path))
    with pytest.raises(CheckpointError, match="must be a folder"):
        identify_predictions(declared(tmp_path / "absent"))
    with pytest.raises(CheckpointError, match="must be a folder"):
        open_system(declared(tmp_path / "absent"))


def test_results_say_that_nothing_ran_here(tmp_path: Path) -> None:
    write_volume(tmp_path / f"{FIRST}.nii.gz", box())
    with open_system(declared(tmp_path)) as system:
        info = system.info
    assert (info.format, info.sandbox) == ("predictions", ())
    assert "made elsewhere" in info.findings[0]
