"""One prediction against one reference, without an audit, and as an audit does it."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tiny_audits import bright, callable_fields, tiny_config
from volumes import SHAPE_ZYX, box, oblique, write_volume

import auditor
from auditor.config import load_config
from auditor.demo import write_cohort
from auditor.errors import ConfigError, DataError
from auditor.metrics.catalog import METRICS
from auditor.pipeline.pair_asked import MOST_LABELS
from auditor.pipeline.preflight import require, too_fine
from auditor.schema import MetricSpec, Status

SPACING = (3.0, 0.8, 0.7)
GIVEN: dict[str, Any] = {"tolerance_mm": 2.0, "width_mm": 3.0, "overlap": 0.5}
"""A value for every parameter that a metric may need."""


def maps() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two boxes of 2 x 3 x 4 and 2 x 3 x 3 voxels, one in the other, and a label each of its own."""
    reference = np.zeros((6, 12, 14), dtype=np.uint8)
    prediction = reference.copy()
    reference[1:3, 2:5, 2:6] = 1
    prediction[1:3, 2:5, 2:5] = 1
    reference[4, 8:10, 8:10] = 3
    prediction[4, 8, 10:12] = 9
    return reference, prediction


def test_values_statuses_and_units_of_a_drawn_pair() -> None:
    found = auditor.score(*maps(), spacing_mm=SPACING)
    # 18 voxels in common; 24 and 18
    assert found.row("dsc", label="1").value == 2 * 18 / (24 + 18)
    volume = found.row("volume_difference", label="1")
    assert volume.value == pytest.approx(6 * 3.0 * 0.8 * 0.7 / 1000)
    assert volume.unit == "ml"
    missed, invented = found.row("dsc", label="3"), found.row("sensitivity", label="9")
    assert (missed.value, missed.status) == (0.0, Status.PREDICTION_EMPTY)
    assert (invented.value, invented.status) == (None, Status.REFERENCE_EMPTY)
    hd95 = found.row("hd95", label="3")
    assert hd95.value is None
    assert hd95.worst == pytest.approx(float(np.hypot(np.hypot(6 * 3.0, 12 * 0.8), 14 * 0.7)))
    assert hd95.reason
    assert found.notes == ("only reference holds label 3", "only prediction holds label 9")


def test_all_metrics_that_need_nothing_are_computed_in_the_order_of_the_catalogue() -> None:
    found = auditor.score(*maps(), spacing_mm=SPACING)
    done = [row.metric for row in found.rows if row.label == "1"]
    left = {it.metric: it for it in found.left_out}
    assert done == [name for name in METRICS if name not in left]
    assert {*done, *left} == {*METRICS}
    assert left["nsd"].needs == ("tolerance_mm",)
    assert left["nsd"].reason == "needs tolerance_mm"
    more = auditor.score(*maps(), spacing_mm=SPACING, **{**GIVEN, "tolerance_mm": 3.0})
    assert {it.metric for it in more.left_out} == {
        name for name, line in METRICS.items() if line.needs_probabilities
    }
    assert all(it.needs == () and "probabilities" in it.reason for it in more.left_out)
    assert more.row("nsd", label="1").parameters == (("tolerance_mm", 3.0),)


def test_named_metrics_come_alone_and_nothing_is_left_out() -> None:
    found = auditor.score(*maps(), metrics=["hd95", "dsc"], labels={"organ": 1})
    assert [row.metric for row in found.rows] == ["dsc", "hd95"]
    assert found.left_out == ()
    assert found.row("dsc").label == "organ"


def test_several_numbers_are_scored_as_one_label() -> None:
    found = auditor.score(*maps(), metrics=["dsc"], labels={"all": (1, 3, 9), "one": 1})
    # 18 in common; 24 + 4 and 18 + 2
    assert found.row("dsc", label="all").value == 2 * 18 / (28 + 20)
    assert found.row("dsc", label="all").numbers == (1, 3, 9)


def test_files_arrays_and_tensors_give_the_same_values(tmp_path: Path) -> None:
    reference, prediction = maps()
    files = [
        write_volume(tmp_path / f"{name}.nii.gz", values, spacing=SPACING)
        for name, values in (("r", reference), ("p", prediction))
    ]
    by_file = auditor.score(files[0], str(files[1]), tolerance_mm=3)
    by_array = auditor.score(
        reference.astype(np.float64),
        torch.from_numpy(prediction),
        spacing_mm=SPACING,
        tolerance_mm=3,
    )
    for one, other in zip(by_file.rows, by_array.rows, strict=True):
        assert (one.label, one.metric, one.status) == (other.label, other.metric, other.status)
        # headers keep float32
        assert (one.value is None) == (other.value is None)
        assert one.value is None or one.value == pytest.approx(other.value, rel=1e-6)
    mixed = auditor.score(files[0], prediction, tolerance_mm=3)
    assert mixed.rows == by_file.rows
    assert "prediction carries no position: only its shape was compared" in mixed.notes
    assert (by_file.reference, by_array.reference) == ("r.nii.gz", "reference")


def test_it_stores_what_an_audit_stores_for_the_same_pair(tmp_path: Path) -> None:
    cohort = tmp_path / "cases"
    write_cohort(cohort, patients=2, seed=5)
    alone = auditor.score(*maps(), spacing_mm=SPACING, **GIVEN)
    fields = callable_fields(
        tmp_path,
        metrics={row.metric: dict(row.parameters) for row in alone.rows if row.label == "1"},
        cases={
            "table": str(cohort / "cases.csv"),
            "modality": "mr",
            "reference": {"use": "rater_1"},
        },
        perturbations={"gaussian_noise": {"severities": [1]}},
        keep={"exhibits": 0, "predictions": True},
    )
    run = auditor.audit(systems={"bright": bright}, out=tmp_path / "run", **fields)
    raters = {row["case"]: cohort / row["rater_1"] for row in rows_of(cohort / "cases.csv")}
    ids = {row["case"]: row["display_case"] for row in rows_of(run.folder / "identities.csv")}
    found = {
        case: auditor.score(
            file,
            run.folder / "predictions" / "bright" / f"{ids[case]}_clean.nii.gz",
            labels={"organ": 1},
            **GIVEN,
        )
        for case, file in raters.items()
    }
    stored = {
        (row["case"], row["metric"]): row
        for row in rows_of(run.folder / "measurements.csv")
        if (row["system"], row["perturbation"], row["reference"])
        == ("bright", "clean", "reference")
    }
    assert len(stored) == 2 * len(found["phantom-001"].rows)
    for (case, metric), row in stored.items():
        same = found[case].row(metric)
        assert (same.status, same.reason) == (row["status"], row["reason"])
        for mine, theirs in ((same.value, row["value"]), (same.worst, row["worst"])):
            assert mine == (float(theirs) if theirs else None), metric


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"array": np.zeros((5, 7, 8), np.uint8)}, r"shape \(5, 7, 9\) against \(5, 7, 8\)"),
        ({"spacing": (3.0, 0.8, 0.9)}, r"spacing \(3, 0.8, 0.7\) against \(3, 0.8, 0.9\) mm"),
        ({"origin": (0.0, 40.0, 7.25)}, "origin .* against"),
        ({"direction": oblique(40.0)}, "direction .* against"),
    ],
)
def test_two_grids_are_refused_with_their_difference(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    reference = write_volume(tmp_path / "r.nii.gz", box())
    other = dict(changes)
    prediction = write_volume(tmp_path / "p.nii.gz", other.pop("array", box()), **other)
    with pytest.raises(
        DataError, match=f"r.nii.gz and p.nii.gz must lie on one grid: {told}.*nothing"
    ):
        auditor.score(reference, prediction)


def numbers(value: object, dtype: type = np.float64) -> NDArray[Any]:
    array: NDArray[Any] = np.zeros((4, 5, 6), dtype=dtype)
    array[1:3, 1:4, 1:4] = 1
    array[0, 0, 0] = value
    return array


@pytest.mark.parametrize(
    ("prediction", "told"),
    [
        (numbers(65536.0), "prediction holds 65536"),
        (numbers(-2, np.int16), "prediction holds -2"),
        (numbers(0.25), "prediction holds 0.25, and 1 of 120 voxels are no whole numbers"),
        (numbers(np.nan), "prediction holds NaN or infinity in 1 of 120 voxels"),
        (numbers(1j, np.complex128), "values of the type complex128"),
        (np.array([["a"]]), "values of the type <U1"),
        (
            np.zeros((2, 4, 5, 6), np.uint8),
            r"prediction must be \(z, y, x\).*got shape \(2, 4, 5, 6\)",
        ),
        (np.zeros((0, 5, 6), np.uint8), "at least one voxel"),
        (numbers(0)[:3], r"shape \(4, 5, 6\) against \(3, 5, 6\)"),
    ],
)
def test_arrays_that_are_no_label_maps_are_refused(prediction: NDArray[Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        auditor.score(numbers(0, np.uint8), prediction)


def test_what_is_neither_file_nor_array_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="must be a path, a NumPy array or a torch tensor, got list"
    ):
        auditor.score([[1]], [[1]])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"metrics": ["ndsc"]}, "unknown metric 'ndsc'; did you mean 'dsc'"),
        ({"metrics": ["nsd"]}, "metric 'nsd' needs tolerance_mm"),
        ({"metrics": ["brier"]}, "'brier' cannot be scored here: it needs the probabilities"),
        ({"overlap": 1.5}, "needs overlap, a number above 0 and up to 1"),
        ({"width_mm": 0}, "needs width_mm, a positive number"),
        ({"metrics": []}, "metrics must name at least one"),
        (
            {"metrics": ["dsc"], "tolerance_mm": 2},
            "tolerance_mm must be left out, none .* nsd_voxel would",
        ),
        ({"tolerance_mm": -1}, "needs tolerance_mm, a positive number"),
        ({"tolerance_mm": float("nan")}, "needs tolerance_mm, a positive number"),
        ({"labels": {}}, "labels must name at least one"),
        ({"labels": {"a": 0}}, "from 1 to 65535.*'a' has 0"),
        ({"labels": {"a": 70000}}, "from 1 to 65535.*'a' has 70000"),
        ({"labels": {"a": True}}, "'a' has True"),
        ({"labels": {"a": ()}}, r"'a' has \(\)"),
        ({"labels": [1, 2]}, "labels must be a mapping of names to numbers"),
        ({"labels": {3: 3}}, "3 has 3"),
        ({"labels": {"a": "12"}}, "'a' has '12'"),
        ({"tolerance_mm": "2"}, "tolerance_mm must be a number, got '2'"),
        ({"overlap": True}, "overlap must be a number, got True"),
        ({"metrics": "nds"}, "unknown metric 'nds'"),
        ({"spacing_mm": 3}, "spacing_mm must be 3 positive numbers"),
        ({"spacing_mm": ("a", 1, 1)}, "spacing_mm must be 3 positive numbers"),
        ({"spacing_mm": (1, 1)}, "spacing_mm must be 3 positive numbers"),
        ({"spacing_mm": (1, 0, 1)}, "spacing_mm must be 3 positive numbers"),
        # squares of such sides leave the range of numbers
        ({"spacing_mm": (1e200, 1, 1)}, "from 1e-07 to 100000, got"),
        ({"spacing_mm": (1, 1, 1e-200)}, "from 1e-07 to 100000, got"),
        ({"spacing_mm": (1, 1, float("nan"))}, "from 1e-07 to 100000, got"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        auditor.score(*maps(), **asked)


def test_a_spacing_is_not_declared_over_that_of_a_file(tmp_path: Path) -> None:
    file = write_volume(tmp_path / "r.nii.gz", box())
    with pytest.raises(
        ConfigError, match="spacing_mm must be left out where the files have a spacing"
    ):
        auditor.score(file, file, spacing_mm=(1, 1, 1))


def test_a_file_that_is_scored_against_itself_is_warned_of(tmp_path: Path) -> None:
    file = write_volume(tmp_path / "r.nii.gz", box())
    (tmp_path / "link.nii.gz").symlink_to(file)
    copy = write_volume(tmp_path / "p.nii.gz", box())
    told = "r.nii.gz is both reference and prediction: a file agrees with itself"
    assert told in auditor.score(file, file).warnings
    assert told in auditor.score(file, tmp_path / "link.nii.gz").warnings
    assert auditor.score(file, copy).warnings == ()


def test_two_empty_maps_are_scored_only_for_named_labels() -> None:
    nothing = np.zeros((4, 5, 6), np.uint8)
    with pytest.raises(DataError, match="must hold a label"):
        auditor.score(nothing, nothing)
    found = auditor.score(nothing, nothing, labels={"organ": 4})
    assert {row.status for row in found.rows if row.metric in {"dsc", "hd95"}} == {
        Status.BOTH_EMPTY
    }
    assert found.notes[0] == "neither holds label 4"


def test_an_image_is_not_taken_for_hundreds_of_labels() -> None:
    image = np.arange(MOST_LABELS + 2, dtype=np.int32).reshape(1, -1)
    with pytest.raises(DataError, match="is one of them an image"):
        auditor.score(image, image)
    assert auditor.score(image, image, labels={"a": 7}, metrics=["dsc"]).row("dsc").value == 1.0


def test_labels_up_to_65535_are_scored() -> None:
    reference, prediction = (values.astype(np.int64) for values in maps())
    high = [
        np.where(values == 1, 65535, np.where(values > 1, 40000, 0))
        for values in (reference, prediction)
    ]
    found = auditor.score(*high, metrics=["dsc"])
    assert found.row("dsc", label="65535").value == 2 * 18 / (24 + 18)
    assert found.row("dsc", label="40000").value == 0.0
    assert auditor.score(maps()[0], high[1], metrics=["dsc"]).row("dsc", label="40000").status == (
        Status.REFERENCE_EMPTY
    )


def test_pictures_are_scored_in_pixels_unless_a_spacing_is_declared(tmp_path: Path) -> None:
    drawn = np.zeros((20, 30), np.uint8)
    drawn[5:15, 5:15] = 255
    moved = np.roll(drawn, 2, axis=1)
    files = [tmp_path / "r.png", tmp_path / "p.png"]
    for file, values in zip(files, (drawn, moved), strict=True):
        Image.fromarray(values).save(file)
    found = auditor.score(*files, metrics=["hd95"])
    assert (found.unit, found.row("hd95").unit) == ("px", "px")
    assert any("no spacing: lengths are in pixels" in note for note in found.notes)
    in_mm = auditor.score(*files, metrics=["hd95"], spacing_mm=(1.0, 0.5))
    assert in_mm.row("hd95").unit == "mm"
    assert in_mm.row("hd95").value == pytest.approx(0.5 * (found.row("hd95").value or 0.0))


def test_a_tolerance_below_the_voxel_is_warned_of() -> None:
    told = auditor.score(*maps(), spacing_mm=SPACING, tolerance_mm=2, metrics=["nsd"]).warnings[0]
    assert told.startswith("nsd: a tolerance of 2 mm is below the voxel size of 3 mm")
    assert auditor.score(*maps(), spacing_mm=SPACING, tolerance_mm=3).warnings == ()
    [pixels] = auditor.score(*maps(), tolerance_mm=0.5, metrics=["nsd"]).warnings
    assert "0.5 px is below the voxel size of 1 px" in pixels


def test_a_row_that_is_not_named_alone_lists_the_choices() -> None:
    found = auditor.score(*maps(), metrics=["dsc"])
    with pytest.raises(ConfigError, match=r"'dsc' of None are 3; .* labels 1, 3, 9"):
        found.row("dsc")
    with pytest.raises(ConfigError, match="'iou' of '1' are 0"):
        found.row("iou", label="1")


def test_a_shape_alone_is_told_of_and_json_can_be_made_of_all(tmp_path: Path) -> None:
    file = write_volume(tmp_path / "r.nii.gz", box())
    flat = np.zeros(SHAPE_ZYX, np.uint8)
    json.dumps(asdict(auditor.score(file, flat)), allow_nan=False)


def test_a_check_warns_once_of_a_tolerance_and_names_the_coarsest_case(tmp_path: Path) -> None:
    path = tiny_config(
        tmp_path,
        patients=3,
        purpose="exploratory",
        criteria={},
        metrics={"nsd": {"tolerance_mm": 0.4}},
    )
    config = load_config(path)
    cases, checked = require(config)
    sides = [max(grid.spacing) for grid in checked.geometries]
    coarse = cases[sides.index(max(sides))].case
    [told] = too_fine(config, cases, checked)
    assert told == (
        f"metrics.nsd: a tolerance of 0.4 mm is below the voxel size of {max(sides):g} mm, so that along "
        "that axis it measures how the masks are cut into voxels, not how far apart they are: case "
        f"{coarse!r}, the coarsest ({len(cases)} of {len(cases)} cases are too coarse)"
    )
    wide = replace(config, metrics=(MetricSpec("nsd", tolerance_mm=max(sides)),))
    assert too_fine(wide, cases, checked) == ()
