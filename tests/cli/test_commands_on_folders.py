"""inspect, init, check and run on the folder of a MONAI bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from shipped_folders import write_bundle, write_training

from auditor.cli import _run as run
from auditor.demo import write_cohort


def test_inspect_tells_what_a_folder_ships(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_bundle(tmp_path / "spleen")
    assert run(["inspect", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert "file       model.ts" in out
    words = " ".join(out.split())
    assert "input.spacing_mm [1.5, 1.5, 2] [sidecar]" in words
    assert "output.labels {spleen: 1} [sidecar]" in words
    assert "setting    batch: 4" in out
    assert "declare    output: {labels" not in out
    assert "declare    input: {axes" not in out
    assert run(["inspect", str(bundle), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["shipped"]["sidecar"]["input"]["axes"] == "RAS"
    assert str(tmp_path) not in json.dumps(content)


def test_inspect_refuses_a_training_of_weights_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = write_training(tmp_path)
    (training / "fold_0" / "model.ts").unlink()
    assert run(["inspect", str(training)]) == 4
    assert "holds weights only (checkpoint_final.pth)" in capsys.readouterr().err


def test_init_drafts_a_configuration_of_a_bundle_that_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(tmp_path / "spleen")
    write_cohort(tmp_path / "cases", patients=2, seed=4)
    draft = tmp_path / "audit.yaml"
    arguments = [str(tmp_path / "spleen"), str(tmp_path / "cases" / "cases.csv"), "-o", str(draft)]
    assert run(["init", *arguments, "--modality", "mr"]) == 0
    capsys.readouterr()
    text = draft.read_text()
    assert "#   input.spacing_mm: [1.5, 1.5, 2]" in text
    content = yaml.safe_load(text)
    system = content["systems"]["spleen"]
    assert system["checkpoint"] == "spleen"
    assert "labels" not in (system.get("output") or {})
    assert content["strata"]["foreground_ratio"]["label"] == "spleen"
    from auditor.config import load_config

    (read,) = load_config(draft).systems
    assert read.input.axes == "RAS"
    assert read.output.labels == (("spleen", 1),)
