"""`segaudit ls`: everything of one line, and columns that fit."""

from __future__ import annotations

import json
import re

import pytest

import perturbations
from auditor.cli import _run


def told(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out, captured.err


def test_ls_tells_every_field_and_filters(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["ls", "perturbations", "--json"]) == 0
    rows = json.loads(told(capsys)[0])
    assert [row["name"] for row in rows] == list(perturbations.CATALOG)
    for row in rows:
        entry = perturbations.CATALOG[row["name"]]
        assert row["source"] == entry.source
        assert row["options"] == json.loads(json.dumps(dict(entry.options)))
        held = (row["levels"].get(kind) for kind in ("body", "ct", "display"))
        for told_row, line in zip(held, (entry.body, entry.ct, entry.display), strict=True):
            assert told_row is None or line is None or told_row["values"] == list(line.values)
    assert _run(["ls", "perturbations", "--modality", "us", "--json"]) == 0
    assert "rician_noise" not in told(capsys)[0]
    assert _run(["ls", "perturbations", "--family", "geometry"]) == 0
    out, _ = told(capsys)
    assert "rotation" in out
    assert "gamma_up" not in out
    assert _run(["ls", "perturbations"]) == 0
    out, _ = told(capsys)
    assert all(name in out for name in perturbations.CATALOG)
    assert max(len(line) for line in out.splitlines()) <= 120


def test_ls_fits_a_narrow_terminal_and_keeps_its_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert _run(["ls", "perturbations"]) == 0
    lines = told(capsys)[0].splitlines()
    assert max(map(len, lines)) <= 60
    levels = [
        line for line in lines if line.startswith(("      body", "      ct", "      display"))
    ]
    assert len(levels) > len(perturbations.CATALOG)
    starts = [re.match(r" +\w+ +", line) for line in levels]
    assert {it.end() for it in starts if it is not None} == {17}
    assert "      body       quality 90, 70, 50, 30, 10" in lines


def test_ls_gives_what_a_preset_holds_as_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["ls", "presets", "mri", "--json"]) == 0
    (row,) = json.loads(told(capsys)[0])
    assert row["holds"] == list(perturbations.PRESETS["mri"])
    assert _run(["ls", "presets", "mri"]) == 0
    assert "rician_noise, gaussian_blur" in told(capsys)[0]


def test_ls_tells_everything_of_one_and_proposes_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _run(["ls", "perturbations", "gaussian_noise"]) == 0
    out, _ = told(capsys)
    for expected in ("3, 6, 9, 15, 25 % of S_ref", "10, 20, 35, 60, 100 HU", "BrainWeb", "limits"):
        assert expected in out
    assert _run(["ls", "metrics", "dsc"]) == 0
    assert "hd95" not in told(capsys)[0]
    for arguments, expected in (
        (["perturbations", "gausian_noise"], "did you mean 'gaussian_noise'?"),
        (["presets", "mir"], "did you mean 'mri'?"),
        (["perturbations", "--family", "noice"], "--family must be one of"),
        (["metrics", "--modality", "ct"], "not metrics"),
        (["perturbations", "nope"], " is like it"),
    ):
        assert _run(["ls", *arguments]) == 4
        assert expected in told(capsys)[1]
