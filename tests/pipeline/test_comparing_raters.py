"""Raters alone: what a table of their masks tells, and every way in which it may be wrong."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from drawn_raters import box, write_raters
from volumes import SPACING_ZYX, oblique, scan, write_table, write_volume

from auditor.errors import DataError
from auditor.pipeline import compare_raters
from auditor.schema import decode, encode
from auditor.schema.rater_page import RATERS_VERSION, RaterPage
from reports.raters import render_raters

DATA = re.compile(r'<data value="([^"]*)"(?: class="[a-z]+")?>([^<]*)</data>')


def problems_of(table: Path, **options: object) -> tuple[str, ...]:
    with pytest.raises(DataError) as refused:
        compare_raters(table, **options)  # type: ignore[arg-type]  # whatever a test gives
    return refused.value.problems


def dsc(a: int, b: int) -> float:
    return 2 * min(a, b) / (a + b)


def test_pairs_of_raters_are_compared_case_by_case(tmp_path: Path) -> None:
    page = compare_raters(write_raters(tmp_path, [(3, 4, 6), (5, 5, 5)]), labels={"nodule": 1})
    first, second = page.results.cases
    assert first.case == "C001"
    assert first.dsc == pytest.approx((dsc(3, 4) + dsc(3, 6) + dsc(4, 6)) / 3)
    assert first.assd is not None
    assert first.assd > 0
    voxel = float(np.prod(SPACING_ZYX)) / 1000
    assert first.volume == pytest.approx(8 * (3 + 4 + 6) / 3 * voxel)
    assert first.volume_range == pytest.approx(8 * 3 * voxel)
    assert (second.dsc, second.assd, second.volume_cv, second.ged) == (1.0, 0.0, 0.0, 0.0)
    assert page.results.volume_unit == "ml"
    assert page.labels == (("nodule", 1),)
    assert page.results.systems == ()


def test_a_missing_rater_is_counted_and_measures_are_over_those_present(tmp_path: Path) -> None:
    table = write_raters(tmp_path, [(3, None, 6), (4, 4, 4), (5, None, None)])
    page = compare_raters(table)
    by_case = {it.case: it for it in page.results.cases}
    assert set(by_case) == {"C001", "C002"}
    assert by_case["C001"].raters == 2
    assert by_case["C001"].dsc == pytest.approx(dsc(3, 6))
    assert page.alone == 1
    assert [(it.rater, it.cases) for it in page.used] == [
        ("rater_1", 3), ("rater_2", 1), ("rater_3", 2)
    ]  # fmt: skip
    assert page.warnings[:2] == (
        "case 'case-0': has 2 of 3 raters, not rater_2; measures are over those present",
        "case 'case-2': has 1 of 3 raters, not rater_2, rater_3; it enters nothing",
    )


def test_labels_are_those_that_occur_and_who_never_uses_one_is_told(tmp_path: Path) -> None:
    two = box(3)
    two[3, 3:7, 2:5] = 7
    write_volume(tmp_path / "a.nii.gz", two)
    write_volume(tmp_path / "b.nii.gz", box(4))
    table = write_table(
        tmp_path / "cases.csv", [{"case": "x", "rater_1": "a.nii.gz", "rater_2": "b.nii.gz"}]
    )
    page = compare_raters(table)
    assert page.labels == (("label_1", 1), ("label_7", 7))
    assert "rater_2 never uses label 7, others do: rater_1 on 1 case(s)" in page.warnings
    disputed = page.results.labels[1]
    assert (disputed.label, disputed.disputed, disputed.assd.n) == ("label_7", 1, 0)
    asked = compare_raters(table, labels={"nodule": 1})
    assert "the masks hold the labels 7, which are not asked for" in asked.warnings
    assert [it.label for it in asked.results.cases] == ["nodule"]


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    good = write_volume(tmp_path / "good.nii.gz", box(3)).name
    rows = [
        (
            "a-half",
            write_volume(tmp_path / "half.nii.gz", np.asarray(box(3), dtype=np.float32) / 2).name,
        ),
        ("b-huge", write_volume(tmp_path / "huge.nrrd", box(3, 70000, kind="int32")).name),
        ("c-negative", write_volume(tmp_path / "less.nii.gz", box(3, -1, kind="int16")).name),
        ("d-shape", write_volume(tmp_path / "shape.nii.gz", np.ones((5, 12, 13), np.uint8)).name),
        ("e-turned", write_volume(tmp_path / "turn.nii.gz", box(3), direction=oblique(9)).name),
        ("f-moved", write_volume(tmp_path / "moved.nii.gz", box(3), origin=(-12.5, 40, 9)).name),
    ]
    (tmp_path / "torn.nii.gz").write_bytes((tmp_path / "good.nii.gz").read_bytes()[:60])
    rows.append(("g-torn", "torn.nii.gz"))
    table = write_table(
        tmp_path / "cases.csv",
        [{"case": name, "rater_1": good, "rater_2": file} for name, file in rows],
    )
    problems = problems_of(table)
    assert len(problems) == len(rows)
    for (name, file), problem in zip(rows, problems, strict=True):
        assert problem.startswith(f"case {name!r}, rater_2: ")
        assert file in problem
    assert "whole label numbers" in problems[0]
    assert "whole label numbers" in problems[1]
    assert "shape (5, 12, 14) against (5, 12, 13)" in problems[3]
    assert "the grid of the other raters, theirs against its own: shape" in problems[3]
    assert "direction" in problems[4]
    assert "origin" in problems[5]
    assert all("nothing is resampled silently" in it for it in problems[3:6])


def test_one_rater_is_none_to_compare_with(tmp_path: Path) -> None:
    (problem,) = problems_of(write_raters(tmp_path, [(3,), (4,)]))
    assert problem.startswith("at least two raters are needed on some case, there is at most 1")
    reference = write_table(tmp_path / "only.csv", [{"case": "x", "reference": "m0-1.nii.gz"}])
    (problem,) = problems_of(reference)
    assert "there are at most 0" in problem


def test_labels_that_nobody_used_and_masks_without_any_are_refused(tmp_path: Path) -> None:
    table = write_raters(tmp_path / "a", [(3, 4)])
    (problem,) = problems_of(table, labels={"nodule": 1, "vessel": 2})
    assert problem == "label vessel (2) must occur in a mask; all of them hold 1"
    (problem,) = problems_of(write_raters(tmp_path / "b", [(0, 0)]))
    assert problem == "every mask of every rater is empty: there is nothing to compare"


def test_an_image_of_another_grid_is_refused_unless_no_picture_is_wanted(tmp_path: Path) -> None:
    table = write_raters(tmp_path, [(3, 4)], image=True)
    write_volume(tmp_path / "i0.nii.gz", scan(shape=(5, 12, 15)))
    (problem,) = problems_of(table)
    assert "i0.nii.gz and its masks must lie on one grid" in problem
    assert compare_raters(table, images=False).pictures[0].png == ""


def test_a_picture_shows_the_slice_of_the_largest_disagreement(tmp_path: Path) -> None:
    table = write_raters(tmp_path, [(3, 3)], image=True)
    other = box(3)
    other[2, 3:9, 2:9] = 1  # slice 2 alone
    write_volume(tmp_path / "m0-2.nii.gz", other)
    (picture,) = compare_raters(table).pictures
    assert (picture.case, picture.slice, picture.plane) == ("C001", 2, "rows y, columns x")
    assert picture.spacing == pytest.approx(SPACING_ZYX[1:])
    assert [it.rater for it in picture.contours] == ["rater_1", "rater_2"]
    assert picture.png
    bare = compare_raters(table, images=False).pictures[0]
    assert bare.png == ""
    assert bare.contours == picture.contours


def test_raters_who_agree_everywhere_are_not_pictured(tmp_path: Path) -> None:
    page = compare_raters(write_raters(tmp_path, [(3, 3), (4, 4)]))
    assert page.pictures == ()
    assert "No two raters differ on any case" in render_raters(page)


def test_pictures_without_a_spacing_are_in_pixels(tmp_path: Path) -> None:
    for number, columns in ((1, 3), (2, 5)):
        write_volume(tmp_path / f"{number}.png", box(columns)[1])
    table = write_table(tmp_path / "c.csv", [{"case": "x", "rater_1": "1.png", "rater_2": "2.png"}])
    page = compare_raters(table)
    assert (page.length_unit, page.results.volume_unit) == ("px", "px")
    assert page.results.cases[0].volume == 16.0
    assert page.pictures[0].slice is None


def numbers_of(record: object) -> set[str]:
    if isinstance(record, dict):
        return set().union(*(numbers_of(it) for it in record.values()))
    if isinstance(record, list | tuple):
        return set().union(set(), *(numbers_of(it) for it in record))
    if isinstance(record, int | float) and not isinstance(record, bool):
        return {f"{float(record):.7g}"}
    return set()


def test_every_number_of_the_page_is_stored_and_nothing_is_fetched(tmp_path: Path) -> None:
    drawn = [(3 + k % 4, 4 + k % 3, 6) for k in range(12)]
    page = compare_raters(write_raters(tmp_path, drawn, image=True), labels={"nodule": 1})
    text = render_raters(page)
    stored = numbers_of(asdict(page)) | {f"{len(page.used):.7g}"}
    found = DATA.findall(text)
    assert len(found) > 60
    assert {f"{float(value):.7g}" for value, _ in found} <= stored
    assert "http" not in text.replace("http-equiv", "")
    assert "<script" not in text
    assert " style=" not in text
    assert render_raters(page) == text


def test_what_is_stored_is_read_back_and_has_no_name_and_no_path(tmp_path: Path) -> None:
    page = compare_raters(write_raters(tmp_path, [(3, 4, 6), (0, 2, 2), (0, 0, 0)]))
    text = encode(page)
    assert decode(text, RaterPage) == page
    assert page.version == RATERS_VERSION
    assert "NaN" not in text
    assert "case-0" not in text.replace(json.dumps(list(page.warnings)), "")
    assert str(tmp_path) not in text
    assert compare_raters(tmp_path / "cases.csv") == page


def test_names_of_files_and_cases_cannot_break_the_page(tmp_path: Path) -> None:
    table = write_raters(tmp_path, [(3, None, 6), (4, 4, None)])
    hostile = tmp_path / "<script>alert(1)</script>.csv".replace("/", "_")
    hostile.write_text(
        table.read_text(encoding="utf-8").replace("case-0", "<img src=x>"), encoding="utf-8"
    )
    page = compare_raters(hostile, labels={"<b>nodule</b>": 1})
    text = render_raters(page)
    assert "<script" not in text
    assert "<img" not in text
    assert "<b>" not in text
