"""init: what is known already is not asked again, and what is asked for can be written where it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch
import yaml
from checkpoints import conv_graph, save_script
from layouts import write_nnunet
from torch import nn
from typing_extensions import override
from volumes import box, scan, write_volume

from auditor.cli import _run as run

sitk: Any = SimpleITK  # untyped


class Bright(nn.Module):
    """Two channels: background, and what is brighter than 100."""

    def __init__(self, *, softmax: bool) -> None:
        super().__init__()
        self.softmax = softmax

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.cat([torch.zeros_like(x), x - 100], dim=1)
        return logits.softmax(dim=1) if self.softmax else logits


def pictures(folder: Path, *, number: int = 255, count: int = 2) -> Path:
    """Write images/ and masks/ of PNG files; masks hold 0 and `number`."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for place in range(count):
        mask = np.zeros((32, 48), dtype=np.uint8)
        mask[8:20, 10 + place : 30] = 1
        image = (50 + 100 * mask).astype(np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(image), str(folder / "images" / f"p{place}.png"))
        sitk.WriteImage(
            sitk.GetImageFromArray(number * mask), str(folder / "masks" / f"p{place}.png")
        )
    return folder


def nifti(folder: Path) -> Path:
    """Write images/ and labels/ with two oblique scans of one label, 1."""
    for place in range(2):
        write_volume(folder / "images" / f"p{place}.nii.gz", scan(place))
        write_volume(folder / "labels" / f"p{place}.nii.gz", box())
    return folder


def test_masks_of_0_and_255_are_the_foreground_of_two_channels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = save_script(Bright(softmax=True), tmp_path / "bright.pt")
    out = tmp_path / "audit.yaml"
    data = pictures(tmp_path / "data")
    assert run(["init", str(net), str(data), "-o", str(out), "--modality", "microscopy"]) == 0
    assert "rater(s)" not in capsys.readouterr().err
    system = yaml.safe_load(out.read_text())["systems"]["bright"]
    assert system["output"] == {"labels": {"label_255": 255}, "channels": {"label_255": 1}}
    assert run(["check", str(out)]) == 0


def test_what_cannot_be_run_without_is_marked_and_may_be_written_where_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = save_script(Bright(softmax=False), tmp_path / "bright.pt")
    out = tmp_path / "audit.yaml"
    data = pictures(tmp_path / "data", number=1)
    assert run(["init", str(net), str(data), "-o", str(out), "--modality", "microscopy"]) == 0
    err = capsys.readouterr().err
    assert err.count("output.activation") == 1, err  # not twice: once to say, once to fill in
    assert "fill in: output.activation" in err
    text = out.read_text()
    assert "      # activation: logits_softmax  # fill in: " in text
    assert run(["check", str(out)]) == 4
    out.write_text(re.sub(r"# (activation:)", r"\1", text))
    assert run(["check", str(out)]) == 0


def test_a_contract_file_is_not_asked_about_again_and_keeps_its_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = conv_graph(tmp_path / "net.onnx", dims=3, classes=3)
    (tmp_path / "contract.yaml").write_text(
        "input: {axes: RAS, spacing_mm: null, zscore: image}\n"
        "output: {activation: softmax, labels: {spleen: 1, liver: 2}}\n"
    )
    out = tmp_path / "audit.yaml"
    data = nifti(tmp_path / "data")
    assert run(["init", str(net), str(data), "-o", str(out), "--modality", "ct"]) == 0
    err = capsys.readouterr().err
    assert "say, where you know it" not in err
    assert "fill in" not in err
    text = out.read_text()
    assert "#   input.axes: RAS   (contract file)" in text
    content = yaml.safe_load(text)
    assert content["labels"] == {"spleen": 1}
    assert content["systems"]["net"] == {"checkpoint": "net.onnx"}


def test_labels_that_maker_and_cases_call_differently_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = conv_graph(tmp_path / "net.onnx", dims=3, classes=3)
    (tmp_path / "contract.yaml").write_text("output: {activation: softmax, labels: {spleen: 1}}\n")
    data = write_nnunet(tmp_path / "data", channels=("T1",))  # liver 1, lesion 2
    out = tmp_path / "audit.yaml"
    assert run(["init", str(net), str(data), "-o", str(out)]) == 0
    err = capsys.readouterr().err
    assert "label 1 is spleen for the maker of the checkpoint and liver for the cases" in err
    assert "label lesion (2) of the cases is none that the maker lists; it is not audited" in err
    assert yaml.safe_load(out.read_text())["labels"] == {"spleen": 1}
