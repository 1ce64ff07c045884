"""Whole audits of systems whose right contract is known: doubted, confirmed, completed, resumed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from checkpoints import conv_graph, save_graph
from numpy.typing import NDArray
from onnx import TensorProto, helper
from volumes import write_volume

import auditor
from auditor.cli import _run
from auditor.config import load_config, parse_settings
from auditor.errors import ConfigError
from auditor.pipeline import examination, look
from auditor.schema import CaseRecord, Certainty, ContractStatus, SystemRecord, Verdict
from auditor.systems.completion import Completion

PATIENTS = 12
SHAPE = (8, 12, 10)
Image = NDArray[np.float32]


def write_cases(folder: Path) -> Path:
    """Twelve oblique scans: an organ at the beginning of each axis, a distractor at the end of the first."""
    rows = []
    for number in range(PATIENTS):
        draw = np.random.default_rng(number)
        z, y, x = draw.integers(1, 3, 3)
        organ = np.zeros(SHAPE, np.uint8)
        organ[z : z + 3, y : y + 5, x : x + 4] = 1
        image = draw.normal(60, 5, SHAPE).astype(np.float32)
        image[organ == 1] += 80
        image[6:, 1:9, 1:8] += 80
        name = f"case{number}"
        write_volume(folder / f"{name}.nii.gz", image)
        write_volume(folder / f"{name}_mask.nii.gz", organ)
        rows.append((name, f"patient{number}", f"{name}.nii.gz", f"{name}_mask.nii.gz"))
    with (folder / "cases.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("case", "patient", "image", "reference"), *rows])
    return folder / "cases.csv"


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cases(tmp_path_factory.mktemp("cases"))


def near(image: Image) -> NDArray[Any]:
    """Find what is brighter than 100 in the first three quarters of the first fed axis."""
    answer = (image > 100).astype(np.float32)
    answer[:, 3 * answer.shape[1] // 4 :] = 0
    return answer


def fields(cases: Path, **changes: Any) -> dict[str, Any]:
    declared = {"input": {"axes": "native"}, "output": {"activation": "sigmoid"}}
    return {
        "audit": "doubts",
        "seed": 5,
        "purpose": "confirmatory",
        "cases": {"table": str(cases), "modality": "mr"},
        "labels": {"organ": 1},
        "systems": {"near": {**declared, **changes.pop("declared", {})}},
        "perturbations": {"gaussian_blur": {"severities": [1]}},
        "metrics": {"dsc": {}},
        "criteria": {
            "C-01": {
                "label": "organ", "metric": "dsc", "at": "clean",
                "share_of_patients_at_least": 0.8, "with": {"at_least": 0.8}, "evidence": "assured",
            }
        },
        "keep": {"exhibits": 0},
        **changes,
    }  # fmt: skip


def audited(
    cases: Path, out: Path, system: Callable[[Image], NDArray[Any]] = near, **changes: Any
) -> tuple[auditor.Run, SystemRecord]:
    run = auditor.audit(fields(cases, **changes), systems={"near": system}, out=out)
    return run, run.results.systems[0]


def test_a_right_contract_passes_without_doubt(cases: Path, tmp_path: Path) -> None:
    run, record = audited(cases, tmp_path / "run")
    assert record.contract.status is ContractStatus.DECLARED_ONLY
    assert record.contract.sensitivity is not None
    assert record.contract.sensitivity.cases == 3
    assert run.results.criteria[0].verdict is not Verdict.CONTRACT_IN_DOUBT
    assert not record.findings[1:]  # the first says that a callable runs without a sandbox


@pytest.fixture(scope="module")
def doubted(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> auditor.Run:
    out = tmp_path_factory.mktemp("runs") / "doubted"
    return audited(cases, out, declared={"input": {"axes": "IPL"}})[0]


def test_a_fail_under_a_wrong_contract_is_a_contract_in_doubt(doubted: auditor.Run) -> None:
    record = doubted.results.systems[0]
    assert record.contract.status is ContractStatus.IN_DOUBT
    assert record.contract.sensitivity is not None
    assert record.contract.sensitivity.line.startswith("input: {axes: S")
    assert record.contract.note == record.contract.sensitivity.note
    assert "(n = 3 cases, " in record.contract.note
    # no patient of twelve reaches .8: the upper bound of the share is 1 - .05^(1/12) = .22, below .8
    assert doubted.results.criteria[0].verdict is Verdict.CONTRACT_IN_DOUBT
    # the contract itself is not changed
    values = {it.name: it.value for it in record.contract.fields}
    assert values["input.axes"] == "IPL"


def test_the_same_fail_under_a_contract_that_is_not_questioned_is_a_fail(
    cases: Path, tmp_path: Path
) -> None:
    off = {"input": {"axes": "IPL"}, "contract_sensitivity": False}
    run, record = audited(cases, tmp_path / "run", declared=off)
    assert run.results.criteria[0].verdict is Verdict.FAIL
    assert record.contract.status is ContractStatus.DECLARED_ONLY
    assert record.contract.sensitivity is not None
    assert "contract_sensitivity is false" in record.contract.sensitivity.note
    assert any("contract_sensitivity is false" in it for it in run.results.not_assessed)


def test_golden_pairs_settle_what_three_cases_would_doubt(cases: Path, tmp_path: Path) -> None:
    """The maker runs it so: then no reference of this audit puts the contract in doubt."""
    golden = tmp_path / "golden"
    first = cases.parent / "case0.nii.gz"
    image, _ = auditor.cases.read_volume((str(first),))
    turned = near(image.numpy()[:, ::-1])[:, ::-1][0].astype(np.uint8)
    write_volume(golden / "mask.nii.gz", turned)
    (golden / "golden.csv").write_text(f"image,prediction\n{first},mask.nii.gz\n")
    declared = {"input": {"axes": "IPL"}, "golden": str(golden / "golden.csv")}
    run, record = audited(cases, tmp_path / "run", declared=declared)
    assert record.contract.status is ContractStatus.CONFIRMED
    assert record.contract.sensitivity is None
    assert run.results.criteria[0].verdict is Verdict.FAIL


def test_a_resumed_run_tries_nothing_again_and_has_the_same_bytes(
    doubted: auditor.Run, cases: Path
) -> None:
    calls = 0

    def near(image: Image) -> NDArray[Any]:
        nonlocal calls
        calls += 1
        return globals()["near"](image)  # type: ignore[no-any-return]  # the one above

    near.__qualname__ = "near"
    before = (doubted.folder / "results.json").read_bytes()
    audited(cases, doubted.folder, near, declared={"input": {"axes": "IPL"}})
    assert calls == 2  # the numeric floor
    assert (doubted.folder / "results.json").read_bytes() == before
    # and a folder that has forgotten finds the same once more
    (doubted.folder / "examinations.json").write_text("{damaged")
    audited(cases, doubted.folder, near, declared={"input": {"axes": "IPL"}})
    assert calls > 40
    assert (doubted.folder / "results.json").read_bytes() == before


def test_the_numeric_floor_is_recorded_and_a_finding_where_it_is_not_zero(
    cases: Path, tmp_path: Path
) -> None:
    draw = np.random.default_rng(1)

    def moody(image: Image) -> NDArray[Any]:
        return np.asarray(np.clip(near(image) * draw.uniform(0.6, 1.0), 0, 1))

    run, record = audited(cases, tmp_path / "run", moody, purpose="exploratory", criteria={})
    provenance = json.loads((run.folder / "provenance.json").read_text())
    floor = provenance["numeric_floor"]["near"]
    assert floor["largest_difference_of_scores"] > 0
    assert "two runs of the same scan give different answers" in record.findings
    steady, _ = audited(cases, tmp_path / "steady", purpose="exploratory", criteria={})
    floor = json.loads((steady.folder / "provenance.json").read_text())["numeric_floor"]["near"]
    assert floor == {
        "largest_difference_of_scores": 0.0, "differing_voxels": 0, "smallest_dsc": 1.0, "problem": "",
        "largest_difference_beside_another_scan": None,
    }  # fmt: skip


def graph_config(cases: Path, folder: Path, **declared: Any) -> Path:
    """An audit of a graph that answers sigmoid(image - 100)."""
    sizes = ("n", 1, "z", "y", "x")
    save_graph(
        folder / "net.onnx",
        [
            helper.make_node("Constant", [], ["level"], value_float=-100.0),
            helper.make_node("Add", ["image", "level"], ["moved"]),
            helper.make_node("Sigmoid", ["moved"], ["out"]),
        ],
        sizes=sizes,
        outputs=[("out", TensorProto.FLOAT, sizes)],
    )
    content = fields(cases, purpose="exploratory", criteria={})
    content["systems"] = {"net": {"checkpoint": "net.onnx", **declared}}
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def test_five_sources_by_rank_end_to_end(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "contract.yaml").write_text(
        "input: {axes: SAR, zscore: nonzero, layout: channel_first}"
    )
    config = graph_config(cases, tmp_path, input={"axes": "RAS", "zscore": "none"})
    run = tmp_path / "run"
    typed = ["--set", "net.input.axes=LPS", "--set", "net.contract_sensitivity=false"]
    assert _run(["run", str(config), "-o", str(run), "-j", "1", "-q", *typed]) == 0
    record = auditor.read_run(run).results.systems[0]
    found = {it.name: (it.value, it.source) for it in record.contract.fields}
    assert found["input.axes"] == ("LPS", Certainty.COMMAND_LINE)
    assert found["input.zscore"] == ("none", Certainty.DECLARED)
    assert found["output.labels"] == ("{organ: 1}", Certainty.DECLARED)
    assert found["input.layout"] == ("channel_first", Certainty.CONTRACT_FILE)
    assert found["output.activation"] == ("sigmoid", Certainty.PROBED)
    assert found["input.dims"] == ("3", Certainty.PROBED)
    assert found["input.clip"] == ("none", Certainty.DEFAULT)
    # the same command resumes; without its settings it is another audit
    assert _run(["run", str(config), "-o", str(run), "-j", "1", "-q", *typed]) == 0
    assert _run(["run", str(config), "-o", str(run), "-j", "1", "-q"]) == 7
    assert "systems.net.input.axes" in capsys.readouterr().err
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "probed, not declared" in page
    assert "Numeric floor" in page
    assert "contract_sensitivity is false" in page


def test_check_shows_the_other_contract_and_the_line_to_change(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = graph_config(cases, tmp_path, input={"scale_to": [0, 1]})
    assert _run(["check", str(config)]) == 0
    out = capsys.readouterr().out
    assert "output.activation: sigmoid (probed, not declared)" in out
    assert "contract in doubt: scale_to: none instead of [0, 1] has a mean DSC of" in out
    assert "if that is right, write input: {scale_to: null}" in out


def test_what_is_still_asked_for_is_asked_again(
    cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = Completion(problems=("output.activation: is required",))
    monkeypatch.setattr(examination, "complete", lambda *_: open_)
    looked = examination.Looked(
        load_config(graph_config(cases, tmp_path)), (), (), {"net": "0" * 64}
    )
    for _ in range(2):  # the folder remembers answers, and this is none
        with pytest.raises(ConfigError, match=r"output\.activation: is required"):
            examination.completed(looked)


def test_three_patients_are_asked_before_a_second_scan_of_one(
    cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten scans of one patient, and one each of three others, of which one holds no organ."""
    config = load_config(graph_config(cases, tmp_path))
    patients = {**{f"a{i}": "ann" for i in range(10)}, "b": "ben", "c": "eve", "d": "zoe"}
    records = tuple(CaseRecord(case, patient, ("i",), "r") for case, patient in patients.items())
    organ = {case: torch.full((2, 3), int(case != "d")) for case in patients}
    monkeypatch.setattr(examination, "loaded_pair", lambda _, case: (None, None, organ[case.case]))
    looked = examination.Looked(config, records, (), {})
    found = [it.case for it in examination._witnesses(looked)]
    assert sorted(patients[case] for case in found) == ["ann", "ben", "eve"]
    few = replace(looked, cases=tuple(it for it in records if it.patient in {"ann", "zoe"}))
    found = [it.case for it in examination._witnesses(few)]
    assert [patients[case] for case in found] == ["ann"] * 3


def test_what_must_be_declared_is_asked_for_all_at_once_before_the_lock(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = graph_config(cases, tmp_path, window={"size": [8, 8]})
    conv_graph(tmp_path / "net.onnx", dims=3)
    run = tmp_path / "run"
    typed = ["--set", "net.window=null", "--set", "net.input.channels=3"]
    assert _run(["run", str(config), "-o", str(run), "-q", *typed]) == 4
    err = capsys.readouterr().err
    assert "systems.net.input.channels: 3 is declared, but only 1 is accepted" in err
    assert not run.exists()
    assert _run(["run", str(config), "-o", str(run), "-q"]) == 4
    assert (
        "input.dims: 2 follows from the scans or the lists, but only 3" in capsys.readouterr().err
    )


def test_settings_are_taken_by_python_too(cases: Path, tmp_path: Path) -> None:
    config = graph_config(cases, tmp_path)
    settings = parse_settings(["net.input.zscore=image", "*.contract_sensitivity=false"])
    found = look(load_config(config, settings=settings))
    assert {it.name: it.value for it in found.systems[0].contract.fields}["input.zscore"] == "image"
    with pytest.raises(auditor.ConfigError, match="not over a resolved configuration"):
        auditor.audit(load_config(config), settings={"net.batch": 2}, out=tmp_path / "run")
