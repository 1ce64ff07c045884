"""`segaudit raters`: a table of masks to one page, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from drawn_raters import write_raters

from auditor.cli import _run
from auditor.schema import decode
from auditor.schema.rater_page import RATERS_VERSION, RaterPage


def told(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out, captured.err


def test_the_command_writes_the_page_and_its_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_raters(tmp_path, [(3, 4, 6), (5, 5, 5)])
    out = str(tmp_path / "out")
    assert _run(["raters", str(table), "-o", out, "--labels", "nodule=1"]) == 0
    text, _ = told(capsys)
    assert "nodule     DSC 0.8" in text
    assert "C001: ASSD" in text
    assert (tmp_path / "out" / "raters.html").is_file()
    who = (tmp_path / "out" / "identities.csv").read_text(encoding="utf-8").splitlines()
    assert who[0] == "display_case,display_patient,case,patient"
    assert who[1] == "C001,P001,case-0,case-0"
    assert len(who) == 3
    stored = decode((tmp_path / "out" / "raters.json").read_text(encoding="utf-8"), RaterPage)
    assert stored.results.labels[0].label == "nodule"
    assert _run(["raters", str(table), "-o", out, "--json", "--no-images"]) == 0
    text, _ = told(capsys)
    assert json.loads(text)["version"] == RATERS_VERSION


def test_warnings_go_to_stderr_and_the_page_is_written_beside_the_audits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_raters(tmp_path, [(3, 4, None), (5, 5, 5)])
    monkeypatch.chdir(tmp_path)
    assert _run(["raters", "cases.csv"]) == 0
    _, err = told(capsys)
    assert "warning: case 'case-0': has 2 of 3 raters, not rater_3" in err
    assert (tmp_path / "audit-runs" / "cases-raters" / "raters.html").is_file()


def test_a_distance_that_no_case_has_is_named_without_a_unit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_raters(tmp_path, [(3, 0), (0, 5)])
    assert _run(["raters", str(table), "-o", str(tmp_path / "out")]) == 0
    text, _ = told(capsys)
    assert "ASSD not defined, n = 2 and 0" in text
    assert "C001: only some marked it, DSC 0.000" in text
    assert "none" not in text
    assert "intervals" not in text


def test_an_interval_that_is_printed_has_its_level(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_raters(tmp_path, [(3 + place % 3, 4, 6) for place in range(10)])
    out = str(tmp_path / "out")
    assert _run(["raters", str(table), "-o", out, "--level", "0.9", "--no-images"]) == 0
    assert "disputed 0 of 10, 90 % intervals" in told(capsys)[0]
    page = (tmp_path / "out" / "raters.html").read_text(encoding="utf-8")
    told_of = page.split("between pairs of raters")[1].split("</p>")[0]
    sentence = " ".join(re.sub(r"<[^>]+>", "", told_of).split())
    assert sentence.startswith(", n = 10, 90 % interval, ")
    assert sentence.count("90 % interval, ") == 2


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (("--labels", "nodule"), "must be NAME=NUMBER"),
        (("--labels", "nodule=0"), "must be NAME=NUMBER"),
        (("--labels", "a=1,b=1"), "repeats one"),
        (("--level", "1.5"), "--level"),
    ],
)
def test_a_wrong_option_is_refused_with_exit_status_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], wrong: str
) -> None:
    assert _run(["raters", str(write_raters(tmp_path, [(3, 4)])), *options]) == 4
    assert wrong in told(capsys)[1]


def test_a_table_that_is_none_is_refused_with_exit_status_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given in (tmp_path, tmp_path / "missing.csv"):
        assert _run(["raters", str(given)]) == 4
        assert "must be a readable CSV file" in told(capsys)[1]
    assert _run(["raters", str(write_raters(tmp_path, [(3,)]))]) == 4
    assert "at least two raters" in told(capsys)[1]
