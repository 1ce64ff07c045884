"""Patients that a list leaves out: named, counted, and gone from everything."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tiny_audits import tiny_config

import auditor
from auditor.cases import left_out
from auditor.cli import _run
from auditor.config import digest, load_config
from auditor.config.excluded import read_excluded
from auditor.errors import ConfigError, DataError
from auditor.pipeline.folder import read_lock
from auditor.pipeline.preflight import require
from auditor.schema import CaseRecord
from reports.build import build


def record(case: str, patient: str) -> CaseRecord:
    return CaseRecord(case, patient, images=(f"{case}.nii.gz",), reference=f"{case}_r.nii.gz")


CASES = (record("a1", "a"), record("a2", "a"), record("b1", "b"), record("c1", "c"))


def test_every_case_of_a_patient_leaves_with_the_patient() -> None:
    assert [case.case for case in left_out(CASES, ("a",))] == ["b1", "c1"]
    assert left_out(CASES, ()) == CASES


def test_strange_patients_are_named_and_nobody_left_is_an_error() -> None:
    with pytest.raises(DataError, match="'x' is none; the list belongs to other data"):
        left_out(CASES, ("a", "x"))
    with pytest.raises(DataError, match=r"'1', '2', '3', '4', '5' and 2 more are none"):
        left_out(CASES, tuple("1234567"))
    with pytest.raises(DataError, match="it names all 3"):
        left_out(CASES, ("a", "b", "c"))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("patient\nb\na\nb\n", ("a", "b")),
        ("case;patient\nc1; p 1\n\n", ("p 1",)),
        ("﻿patient\tcase\n'x'\tc\n", ("'x'",)),
        ("patient\n", ()),
    ],
)
def test_lists_are_read_with_any_separator(
    tmp_path: Path, text: str, names: tuple[str, ...]
) -> None:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    assert read_excluded(tmp_path / "list.csv") == names


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "must be a readable CSV table"),
        (b"\xff\xfe\x00", "no UTF-8 text"),
        (b"", "its columns are none"),
        (b"name\na\n", "its columns are name"),
        (b"patient,patient\na,b\n", "must have one column patient"),
        (b"case,patient\na,\n", "row 2: the cell patient must not be empty"),
        (b"case,patient\na\n", "row 2: the cell patient must not be empty"),
    ],
)
def test_a_list_that_cannot_be_read_is_a_problem_of_the_configuration(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / "list.csv").write_bytes(content)
    path = tiny_config(tmp_path, patients=2)
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data["cases"]["exclude"] = "list.csv"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(ConfigError, match=told) as caught:
        load_config(path)
    assert any(it.startswith("cases.exclude: ") for it in caught.value.problems)


def test_an_audit_says_whom_it_left_out_without_naming_anybody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tiny_config(
        tmp_path,
        patients=3,
        perturbations={"rician_noise": {"severities": [2]}},
        keep={"exhibits": 0},
        strata={},
    )
    without = load_config(path)
    everybody = require(without)[0]
    gone = everybody[0]
    (tmp_path / "drawn.csv").write_text(f"patient\n{gone.patient}\n", encoding="utf-8")
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data["cases"]["exclude"] = "drawn.csv"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    config = load_config(path)
    # the ids of the others stay as they are without the list
    assert require(config)[0] == everybody[1:]
    assert _run(["check", str(path)]) == 0
    assert "cases      2 of 2 patients; 1 more are excluded" in capsys.readouterr().out
    run = auditor.audit(path, out=tmp_path / "run")
    lock = read_lock(run.folder)
    assert lock is not None
    assert lock.config["cases"]["exclude"] == {
        "file": "drawn.csv",
        "patients": 1,
        "sha256": config.cases.excluded_digest,
    }
    assert digest(config) != digest(without)
    assert "exclude" not in without.canonical["cases"]
    assert run.results.audit.excluded_patients == 1
    assert {case.case for case in run.results.cases} == {"C002", "C003"}
    page = build(run.folder).read_text(encoding="utf-8")
    assert "1</data> patient was left out by a list" in page
    assert config.cases.excluded_digest in page
    assert gone.patient not in page
    assert gone.patient not in (run.folder / "results.json").read_text(encoding="utf-8")
    # another list is another audit
    (tmp_path / "drawn.csv").write_text(f"patient\n{everybody[1].patient}\n", encoding="utf-8")
    assert _run(["run", str(path), "-o", str(run.folder), "-q"]) == 7
    assert "cases.exclude.sha256" in capsys.readouterr().err
