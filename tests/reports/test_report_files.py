"""Reading the files of a run: what is refused, and in which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import results_samples

from auditor.errors import DataError, StoreError
from auditor.schema import encode
from reports.build import build, read_provenance, read_results
from reports.exhibits import read_exhibits


def test_a_folder_without_results_is_refused_by_name(tmp_path: Path) -> None:
    run = tmp_path / "spleen"
    run.mkdir()
    with pytest.raises(DataError, match=r"results\.json .* 'spleen' has none"):
        build(run)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', "\x00"])
def test_a_foreign_results_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="must be written by segaudit"):
        read_results(tmp_path)


def test_results_of_another_version_are_refused(tmp_path: Path) -> None:
    data = json.loads(encode(results_samples.samples()["one case"]))
    data["version"] = 999
    (tmp_path / "results.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(DataError, match=r"must have results version .*, got 999"):
        read_results(tmp_path)


def test_a_report_needs_neither_provenance_nor_exhibits(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(encode(results_samples.samples()["full"]))
    text = build(tmp_path).read_text(encoding="utf-8")
    assert "No provenance was stored" in text
    assert "No pictures: no exhibit is stored." in text


def test_a_report_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(encode(results_samples.samples()["one case"]))
    (tmp_path / "report.html").write_text("old")
    target = build(tmp_path)
    assert target == tmp_path / "report.html"
    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "results.json"]


def test_a_report_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(encode(results_samples.samples()["one case"]))
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written as 'report\.html'"):
        build(tmp_path, out=tmp_path / "file" / "report.html")


def test_nested_provenance_becomes_dotted_names(tmp_path: Path) -> None:
    data = {"b": {"x": 1, "y": ["p", "q"]}, "a": None}
    (tmp_path / "provenance.json").write_text(json.dumps(data))
    assert read_provenance(tmp_path) == {"b.x": "1", "b.y": "p, q", "a": "not known"}


def test_provenance_that_is_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text("[1]")
    with pytest.raises(DataError, match="must be a JSON object, got list"):
        read_provenance(tmp_path)


def stored(folder: Path, **changes: Any) -> Path:
    data = results_samples.exhibit_json("E-01")
    planes: Any = data["planes"]
    planes[0] |= {k: v for k, v in changes.items() if k in planes[0]}
    data |= {k: v for k, v in changes.items() if k not in planes[0]}
    (folder / "E-01.json").write_text(json.dumps(data))
    for name, png in results_samples.exhibit_pngs("E-01").items():
        (folder / name).write_bytes(png)
    return folder


def test_an_exhibit_is_read_with_its_polygons(tmp_path: Path) -> None:
    exhibit = read_exhibits(stored(tmp_path, extra="ignored"), ["E-01", "E-02"])["E-01"]
    plane = exhibit.planes[0]
    assert (plane.width, plane.height, plane.spacing, plane.slice) == (112, 96, (0.8, 0.75), 17)
    assert len(plane.reference) == len(plane.prediction) == len(plane.clean) == 1
    assert len(plane.reference[0]) == 40
    assert exhibit.window == (-57.0, 164.0)
    assert exhibit.reproduced


def test_missing_contours_are_empty_and_a_flat_image_has_no_slice(tmp_path: Path) -> None:
    folder = stored(tmp_path, contours={}, slice=None)
    plane = read_exhibits(folder, ["E-01"])["E-01"].planes[0]
    assert (plane.reference, plane.prediction, plane.clean, plane.slice) == ((), (), (), None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"png": "../E-01-1.png"}, "same folder"),
        ({"png": "/etc/hostname"}, "same folder"),
        ({"png": "E-01.json"}, "no PNG"),
        ({"png": "absent.png"}, "absent.png"),
        ({"width": 0}, "must be positive"),
        ({"width": "120"}, "whole number"),
        ({"spacing": [1.0]}, "two numbers"),
        ({"spacing": [1.0, -1.0]}, "must be positive"),
        ({"contours": {"reference": [[["a", 1]]]}}, "finite number"),
        ({"contours": {"reference": [[[1e999, 1]]]}}, "finite number"),
        ({"contours": {"reference": "x"}}, "lists of polygons"),
        ({"contours": [1]}, "must be an object"),
        ({"window": 3}, "two numbers"),
        ({"planes": 3}, "not iterable"),
    ],
)
def test_an_exhibit_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=rf"(?s)exhibits/E-01\.json must hold.*{words}"):
        read_exhibits(stored(tmp_path, **changes), ["E-01"])


def test_an_exhibit_without_planes_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "E-01.json").write_text('{"id": "E-01", "reproduced": true}')
    with pytest.raises(DataError, match="'planes' is missing"):
        read_exhibits(tmp_path, ["E-01"])


def test_an_exhibit_id_cannot_leave_the_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="plain name"):
        read_exhibits(tmp_path, ["../secret"])
