"""`segaudit analyse`: its example works as pasted, its output says what was read, its errors teach."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from measured_tables import summary_json, wide, write_table

from auditor.cli import _run

ROOT = Path(__file__).parents[2]


def told(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out, captured.err


def commands() -> list[str]:
    """Commands of the page, with their continued lines joined."""
    page = (ROOT / "docs" / "analyse.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\n(.*?)```", page, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("segaudit analyse examples/")]


def test_the_commands_of_the_page_work_as_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    found = commands()
    assert found
    for line in found:
        arguments = shlex.split(line, comments=True)[1:]
        assert _run(arguments) == 0
        out, _ = told(capsys)
        assert "read       column 'dice' as metric dsc" in out
        assert "clean      skips: mean dsc of foreground 0.905 [" in out
        run = Path(arguments[arguments.index("-o") + 1])
        for command in ("status", "verify", "report"):
            assert _run([command, str(run)]) == 0
        assert _run(["gate", str(run)]) == 5
        told(capsys)


def test_what_was_read_assumed_replaced_and_missing_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_table(
        tmp_path, "model,case,dice,hd", "a,c1,0.9,3", "a,c2,0.8,inf", "b,c1,0.7,2", name="t.csv"
    )
    status = _run(
        ["analyse", str(table), "--patients-are-cases", "--cap", "hd=50", "--length-unit", "px",
         "-o", str(tmp_path / "out")]
    )  # fmt: skip
    assert status == 0
    out, _ = told(capsys)
    for line in (
        "read       column 'model' as system",
        "found      2 systems, 2 cases of 2 patients, 1 conditions, 3 evaluations",
        "assumed    no patient has two cases (--patients-are-cases)",
        "replaced   1 values of hd100: replaced by the declared 50",
        "missing    2 cells of 2 columns",
        "clean      a: mean dsc of foreground 0.850, n = 2",
    ):
        assert line in out


def test_results_go_to_stdout_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_table(tmp_path, *wide(3))
    assert (
        _run(["analyse", str(table), "--clean", "clean", "--json", "-o", str(tmp_path / "o")]) == 0
    )
    out, err = told(capsys)
    assert json.loads(out)["measured"]["clean"] == "clean"
    assert "report " in err


def test_several_summaries_of_nnunet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {"1": {"Dice": 0.9, "n_pred": 5, "n_ref": 5}}
    paths = [summary_json(tmp_path, name, {"s1": metrics, "s2": metrics}) for name in ("a", "b")]
    status = _run(
        ["analyse", *map(str, paths), "--name-pattern", "{system}/summary.json",
         "--patients-are-cases", "--labels", "1=spleen", "-o", str(tmp_path / "o")]
    )  # fmt: skip
    assert status == 0
    assert "clean      b: mean dsc of spleen 0.900, n = 2" in told(capsys)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--map", "system"], "must be NAME=VALUE"),
        (["--cap", "hd=far"], "must be a number, was 'far'"),
        (["--edges", "age"], "must be COLUMN=NUMBER,NUMBER"),
        (["--condition", "low=1"], "must be NAME=PERTURBATION:SEVERITY"),
        (["--metric-info", "mcc=up"], "must be declared as NAME=higher"),
        (["--metrics", ","], "must be names with commas"),
        (["--clean", "dirty"], "--clean dirty: must be a condition of the table"),
        (["--map", "sytem=system"], "--map sytem=system: must be one of system"),
        ([], "a clean condition is required"),
    ],
)
def test_wrong_usage_is_told_in_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    lines = [line.replace("clean", "plain") for line in wide(3)]
    table = write_table(tmp_path, *lines)
    assert _run(["analyse", str(table), *arguments, "-o", str(tmp_path / "out")]) == 4
    _, err = told(capsys)
    assert message in " ".join(err.split())
    assert not (tmp_path / "out").exists()


def test_a_table_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["analyse"]) == 4
    assert "Missing argument" in told(capsys)[1]
