"""The audit that a screen drafts says what the screen doubted."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from checkpoints import conv_graph

from auditor.config import parse_config
from auditor.pipeline.screen_draft import DraftFacts, draft_text
from auditor.schema import Contract, ContractStatus, Sensitivity


def facts(folder: Path, contract: Contract) -> DraftFacts:
    """Of a screen of one ONNX graph."""
    net = conv_graph(folder / "net.onnx", dims=3)
    (folder / "cases.csv").write_text("case,image,reference\n")
    output = {"activation": "softmax", "labels": {"organ": 1}}
    config = parse_config(
        {
            "audit": "net",
            "seed": 1,
            "purpose": "exploratory",
            "cases": {"table": "cases.csv", "modality": "mr", "state": "raw"},
            "systems": {"net": {"checkpoint": "net.onnx", "output": output}},
            "perturbations": {"preset": "mri"},
            "metrics": {"dsc": {}},
        },
        folder=folder,
        name="audit.yaml",
    )
    return DraftFacts(
        config=config, preset="mri", checkpoint=net, contract=None, data=folder / "cases.csv",
        settings={}, drawn=1, patients=3, contract_found=contract, ranked=(),
    )  # fmt: skip


@pytest.mark.parametrize("line", ["input: {axes: RAS}", ""])
def test_a_doubt_stands_beside_the_system_with_the_line_to_change(
    tmp_path: Path, line: str
) -> None:
    other = Sensitivity("RAS is better", 3, 59, 0.0, "axes: RAS", 0.9, line)
    doubted = Contract((), ContractStatus.IN_DOUBT, "RAS is better", other)
    text = draft_text(facts(tmp_path, doubted), tmp_path)
    assert "    # contract in doubt: RAS is better\n" in text
    assert ("    # if that is right, write input: {axes: RAS}\n" in text) == bool(line)
    assert "axes" not in (yaml.safe_load(text)["systems"]["net"].get("input") or {})


def test_without_a_doubt_nothing_is_said(tmp_path: Path) -> None:
    sound = Contract((), ContractStatus.DECLARED_ONLY, "")
    assert "doubt" not in draft_text(facts(tmp_path, sound), tmp_path)
