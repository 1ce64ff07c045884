"""`auditor.skips`: the same facts from a checkpoint in its sandbox and from a module in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_graphs import u_net_graph
from further_networks import ChannelsLastUNet, UNet
from torch import nn

import auditor
from auditor.errors import CheckpointError, ConfigError


def test_a_path_and_a_text_are_checkpoints(tmp_path: Path) -> None:
    graph = u_net_graph(tmp_path / "net.onnx")
    found = auditor.skips(str(graph), settings={"input.size": [32, 48]})
    assert found.systems == ("net",)
    assert found.fed == (1, 1, 32, 48)
    assert [(it.source, it.channels) for it in found.skips] == [("first", 3), ("second", 5)]
    assert found.remarks == ()


def test_a_module_is_recorded_in_this_process_and_that_is_said() -> None:
    found = auditor.skips(UNet(), example=np.zeros((1, 1, 24, 32), np.float32))
    assert found.systems == ("UNet",)
    assert [(it.level, it.resolution, it.channels) for it in found.skips] == [
        (0, (24, 32), 4),
        (1, (12, 16), 8),
    ]
    assert (found.complete, found.minimal) == (True, True)
    assert any("outside of any sandbox" in it for it in found.remarks)


def test_channels_of_a_module_may_come_last() -> None:
    found = auditor.skips(
        ChannelsLastUNet(), example=torch.zeros(1, 24, 32, 2), layout="channel_last"
    )
    assert found.fed == (1, 2, 24, 32)
    assert [(it.resolution, it.channels) for it in found.skips] == [((24, 32), 4), ((12, 16), 8)]


def test_a_pass_leaves_a_module_as_it_was() -> None:
    module = UNet().train()
    module.down[0].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    auditor.skips(module, example=torch.randn(2, 1, 16, 16))
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


class Silent(nn.Module):
    def forward(self, x: torch.Tensor) -> str:
        return str(x.shape)


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (UNet(), {}, "example must be an array or tensor"),
        (UNet(), {"example": torch.zeros(8, 8)}, "axes \\(batch, channel, \\*sizes\\)"),
        (UNet(), {"example": torch.zeros(1, 1, 8, 8, dtype=torch.int64)}, "floating-point numbers"),
        (
            UNet(),
            {"example": torch.zeros(1, 1, 8, 8), "settings": {"device": "cpu"}},
            "settings are",
        ),
        (7, {"example": torch.zeros(1, 1, 8, 8)}, "was int"),
        ("net.onnx", {"example": torch.zeros(1, 1, 8, 8)}, "fed by itself"),
    ],
)
def test_what_does_not_go_together_is_refused(
    model: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        auditor.skips(model, **options)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (UNet(), "must run on example, of shape \\(1, 3, 8, 8\\), and gave RuntimeError"),
        (Silent(), "must return a tensor made by torch"),
    ],
)
def test_a_module_that_cannot_be_looked_into_says_why(model: nn.Module, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        auditor.skips(model, example=torch.zeros(1, 3, 8, 8))
