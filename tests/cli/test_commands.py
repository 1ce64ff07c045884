"""The command line as a user meets it: exit statuses, messages, bad input, nothing with a traceback."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk  # noqa: N813  # its own documentation's name
import torch
from tiny_audits import tiny_config, unet

from auditor.cli import _run


def told(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out, captured.err


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    config = tiny_config(folder, perturbations={"rician_noise": {"severities": [2]}})
    run = folder / "run"
    assert _run(["run", str(config), "-o", str(run), "-j", "1", "-q"]) == 0
    return run


def test_help_teaches_and_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["--help"]) == 0
    out, _ = told(capsys)
    for command in (
        "demo", "inspect", "init", "check", "run", "report", "gate", "status", "verify", "ls",
        "perturb", "screen",
        "doctor", "schema", "cases",
    ):  # fmt: skip
        assert f"  {command} " in out
    assert "Exit status" in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["rnu"], "Did you mean 'run'?"),
        (["run"], "Missing argument 'CONFIG'"),
        (["run", "audit.yaml", "--workers", "0"], "Invalid value"),
        (["ls", "perturbation"], "perturbations"),
        (["gate", "no-such-folder"], "does not exist"),
    ],
)
def test_bad_usage_is_status_4_with_a_hint(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(arguments) == 4
    _, err = told(capsys)
    assert expected in err


def test_a_missing_configuration_is_status_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["run", str(tmp_path / "audit.yaml")]) == 4
    assert "must be a readable file" in told(capsys)[1]


def test_all_problems_of_a_configuration_come_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(
        tmp_path,
        seed="eleven",
        metrics={"dcs": {}, "nsd": {}},
        perturbation={"preset": "mri"},
        systems={"unet": unet(input={"axes": "RAX", "zscores": "image"})},
    )
    assert _run(["check", str(config)]) == 4
    _, err = told(capsys)
    assert "seed" in err
    assert "perturbation" in err
    assert "did you mean" in err


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>not found</html>", "it is a web page"),
        (b"\x80\x04\x95nothing", "Python pickle"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"just some text that is no model at all", "neither TorchScript nor ONNX"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_named_for_what_it_is(
    tmp_path: Path, content: bytes, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(tmp_path)
    (tmp_path / "unet_skips.onnx").write_bytes(content)
    assert _run(["run", str(config), "-o", str(tmp_path / "run")]) == 4
    assert expected in told(capsys)[1]
    assert not (tmp_path / "run").exists()


def test_a_state_dict_and_a_truncated_graph_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(tmp_path)
    checkpoint = tmp_path / "unet_skips.onnx"
    whole = checkpoint.read_bytes()
    torch.save({"weight": torch.zeros(3)}, checkpoint)
    assert _run(["check", str(config)]) == 4
    assert "state_dict" in told(capsys)[1]
    checkpoint.write_bytes(whole[: len(whole) // 2])
    assert _run(["inspect", str(checkpoint)]) == 4
    assert "interrupted" in told(capsys)[1]


def test_a_wrong_channel_count_is_found_by_check_before_any_long_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(
        tmp_path,
        systems={"unet": unet(output={"activation": "softmax", "labels": {"organ": 5}})},
        labels={"organ": 5},
    )
    assert _run(["check", str(config)]) == 4
    _, err = told(capsys)
    assert "organ" in err


def test_a_mask_on_another_grid_names_both_files_and_both_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(tmp_path)
    mask_path = next((tmp_path / "cases").rglob("*rater*1*.nii.gz"))
    mask = sitk.ReadImage(str(mask_path))
    mask.SetSpacing((4.5, 1.8, 1.8))  # type: ignore[no-untyped-call]  # SimpleITK has no types
    sitk.WriteImage(mask, str(mask_path))
    assert _run(["check", str(config)]) == 4
    _, err = told(capsys)
    assert mask_path.name in err
    assert "spacing" in err
    assert "tolerance" in err


def test_a_table_without_cases_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(tmp_path)
    table = tmp_path / "cases" / "cases.csv"
    table.write_text(table.read_text().splitlines()[0] + "\n")
    assert _run(["check", str(config)]) == 4
    assert "row" in told(capsys)[1]


def test_another_audits_folder_is_status_7(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tiny_config(tmp_path, seed=12)
    assert _run(["run", str(other), "-o", str(finished), "-q"]) == 7
    _, err = told(capsys)
    assert "another audit" in err
    assert "seed" in err
    foreign = tmp_path / "holiday"
    foreign.mkdir()
    (foreign / "picture.png").write_bytes(b"x")
    assert _run(["run", str(other), "-o", str(foreign), "-q"]) == 7
    assert "other files" in told(capsys)[1]


def test_check_tells_the_size_of_the_plan_and_what_cannot_be_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = {"label": "organ", "metric": "dsc", "at": "clean", "evidence": "assured"}
    config = tiny_config(tmp_path, criteria={"C-01": {**claim, "mean_at_least": 0.9}})
    assert _run(["check", str(config)]) == 0
    out, _ = told(capsys)
    assert "4 of 4 patients" in out
    assert "12 units, 16 evaluations" in out
    # four perfect patients assure a mean of .05^(1/4) = .47 at most
    assert "C-01 is NOT ATTAINABLE" in out
    assert _run(["check", str(config), "--json"]) == 0
    content: dict[str, Any] = json.loads(told(capsys)[0])
    assert content["unattainable"] == ["C-01"]
    # what nobody declared is listed, and what somebody did is not
    assert "undecided  defaults of segaudit count" in out
    open_ = {it["where"] for it in content["undecided"]}
    assert "confidence.criteria" in open_
    assert "perturbations.rician_noise" not in open_
    # every way to cut an axis is shown with its patients, declared or not; none is chosen
    assert "groups     foreground_ratio of organ (declared): 4 cases" in out
    assert "groups     object_volume of organ (not declared): 4 cases" in out
    assert "groups     rater_disagreement of organ (not declared): 4 cases" in out
    axes = {it["axis"]: it for it in content["strata"]}
    ways = {way["name"]: way for way in axes["foreground_ratio"]["proposals"]}
    assert list(ways) == ["declared", "tertiles", "halves", "round numbers"]
    assert all(sum(n for _, n in way["groups"]) == 4 for way in ways.values())
    assert f"declared: edges [{ways['declared']['edges'][0]:g}], patients " in out


def test_a_lock_stands_before_any_result_and_a_run_goes_on_from_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(tmp_path)
    folder = tmp_path / "run"
    assert _run(["lock", str(config), "-o", str(folder), "--json"]) == 0
    first = json.loads(told(capsys)[0])
    assert not (folder / "units").exists()
    assert (
        hashlib.sha256((folder / "audit.lock.yaml").read_bytes()).hexdigest()
        == (first["lock_sha256"])
    )
    # locking again changes nothing; another claim is another audit
    assert _run(["lock", str(config), "-o", str(folder)]) == 0
    assert first["lock_sha256"] in told(capsys)[0]
    claim = {"label": "organ", "metric": "dsc", "at": "clean", "evidence": "assured"}
    config = tiny_config(tmp_path, criteria={"C-01": {**claim, "mean_at_least": 0.2}})
    assert _run(["run", str(config), "-o", str(folder), "-q"]) == 7
    assert "criteria.C-01.threshold" in told(capsys)[1]
    config = tiny_config(tmp_path)
    assert _run(["run", str(config), "-o", str(folder), "-q", "-j", "1"]) == 0
    results = json.loads((folder / "results.json").read_text())
    assert results["audit"]["config_digest"] == first["config_digest"]
    assert results["audit"]["stamp"] == "PRE-DECLARED"


def test_check_judges_a_claim_by_the_patients_of_its_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = {
        "label": "organ",
        "metric": "dsc",
        "at": "clean",
        "evidence": "assured",
        "share_of_patients_at_least": 0.3,
        "with": {"at_least": 0.5},
    }
    # any four patients could assure .3: .05^(1/4) = .47; a group needs ten
    config = tiny_config(tmp_path, criteria={"C-01": claim})
    assert _run(["check", str(config), "--json"]) == 0
    known = json.loads(told(capsys)[0])
    assert known["unattainable"] == []
    sites = next(it for it in known["strata"] if it["axis"] == "site")["proposals"][0]["groups"]
    config = tiny_config(
        tmp_path,
        criteria={"C-01": claim, "C-02": {**claim, "stratum": {"site": sites[0][0]}}},
    )
    assert _run(["check", str(config)]) == 0
    out, _ = told(capsys)
    assert "C-01 is NOT ATTAINABLE" not in out
    told_of = f"C-02 is NOT ATTAINABLE: no data of {sites[0][1]} patients of site {sites[0][0]}"
    assert told_of in out


def test_check_names_a_column_that_the_table_does_not_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(tmp_path, strata={"sites": {}, "objct_volume": {"edges": [3]}})
    assert _run(["check", str(config)]) == 4
    _, err = told(capsys)
    assert "strata.sites: must be measured" in err
    assert "did you mean 'site'?" in err
    assert "did you mean 'object_volume'?" in err


def test_gate_maps_verdicts_and_a_changed_folder_is_status_7(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["verify", str(finished)]) == 0
    assert _run(["gate", str(finished)]) == 0
    assert "PASS" in told(capsys)[1]
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    text = (copy / "results.json").read_text()
    (copy / "results.json").write_text(text.replace('"mean"', '"mean" ', 1))
    assert _run(["gate", str(copy)]) == 7
    assert _run(["verify", str(copy)]) == 7
    assert "results.json was changed" in told(capsys)[1]


def test_gate_without_criteria_is_status_5_and_undecided_is_6(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = {"rician_noise": {"severities": [2]}}
    plain = tiny_config(tmp_path, purpose="exploratory", criteria={}, perturbations=grid)
    assert _run(["run", str(plain), "-o", str(tmp_path / "plain"), "-q", "-j", "1"]) == 0
    assert _run(["gate", str(tmp_path / "plain")]) == 5
    claim = {"label": "organ", "metric": "dsc", "at": "clean", "evidence": "assured"}
    strict = tiny_config(
        tmp_path, perturbations=grid, criteria={"C-01": {**claim, "mean_at_least": 0.85}}
    )
    arguments = ["run", str(strict), "-o", str(tmp_path / "strict"), "-q", "-j", "1", "--gate"]
    assert _run(arguments) == 6
    assert "NOT ATTAINABLE" in told(capsys)[0]


def test_status_and_report_read_a_finished_run(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["status", str(finished), "--json"]) == 0
    state = json.loads(told(capsys)[0])
    assert state["results"] == "written"
    assert state["audit"] == "tiny"
    (finished / "report.html").unlink()
    assert _run(["report", str(finished)]) == 0
    first = (finished / "report.html").read_bytes()
    assert _run(["report", str(finished)]) == 0
    assert (finished / "report.html").read_bytes() == first
    assert b"http://" not in first.replace(b"http://www.w3.org", b"")


def test_status_of_a_folder_that_is_no_run_is_status_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["status", str(tmp_path)]) == 4
    assert "audit.lock.yaml" in told(capsys)[1]
    assert _run(["report", str(tmp_path)]) == 4
    told(capsys)


def test_inspect_and_init_say_what_was_found_and_what_must_be_declared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_config(tmp_path)
    checkpoint = tmp_path / "unet_skips.onnx"
    assert _run(["inspect", str(checkpoint)]) == 0
    out, _ = told(capsys)
    assert "format     onnx" in out
    words = " ".join(out.split())
    assert "contract input.channels 1 [probed]" in words
    assert "skips 3 skip connections (complete; minimal)" in words
    assert "forward 1 x 1 x 32 x 32 x 32: " in words
    assert "declare    output: {labels" in out
    assert _run(["inspect", str(checkpoint), "--json"]) == 0
    assert json.loads(told(capsys)[0])["file"]["format"] == "onnx"
    assert (
        _run(["inspect", str(checkpoint), "--set", "input.axes=RAS", "--set", "input.clip=[0, 9]"])
        == 0
    )
    out, _ = told(capsys)
    assert "contract input.axes RAS [command line]" in " ".join(out.split())
    assert "declare    input" not in out.replace("declare    input: {spacing_mm", "")
    assert _run(["inspect", str(checkpoint), "--set", "input.axis=RAS"]) == 4
    assert "input.axis" in told(capsys)[1]
    draft = tmp_path / "first.yaml"
    table = tmp_path / "cases" / "cases.csv"
    assert _run(["init", str(checkpoint), str(table), "-o", str(draft), "--modality", "mr"]) == 0
    assert "label_1" in draft.read_text()
    assert _run(["check", str(draft)]) == 0
    assert _run(["init", str(checkpoint), str(table), "-o", str(draft)]) == 4
    assert "exists already" in told(capsys)[1]


@pytest.mark.parametrize("what", ["perturbations", "metrics", "presets"])
def test_ls_lists_a_catalogue(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["ls", what, "--json"]) == 0
    rows = json.loads(told(capsys)[0])
    assert len(rows) >= 6
    assert all(row["name"] for row in rows)


def test_doctor_finds_this_installation_usable(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["doctor"]) == 0
    out, _ = told(capsys)
    assert "onnxruntime" in out
    assert "sandbox" in out


def test_schema_is_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["schema"]) == 0
    content = json.loads(told(capsys)[0])
    assert "systems" in content["properties"]


def test_check_draws_every_perturbation_once_and_names_what_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(
        tmp_path, perturbations={"motion": {"options": {"phase_axis": 9}}, "rician_noise": {}}
    )
    assert _run(["check", str(config)]) == 0
    told_of = " ".join(told(capsys)[0].split())
    assert "perturbations.motion: is not applicable to case" in told_of
    assert "phase_axis of motion must be a spatial axis, 0 to 2, got 9" in told_of
    assert "perturbations.rician_noise: is not" not in told_of
