"""Architectures as they are in the world, with seeded random weights, and the formats they are written in.

One format is one line of `FORMATS`; one architecture is one entry of `ZOO`.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import monai.networks.nets
import torch
from in_process import InProcess, of_exported, of_graph, of_script
from torch import Tensor, nn
from typing_extensions import override

jit: Any = torch.jit  # typed only in part
nets: Any = monai.networks.nets


@dataclass(frozen=True, slots=True)
class Member:
    """One architecture and what is true of it."""

    build: Callable[[], nn.Module]
    """With weights drawn from the current seed."""
    shape: tuple[int, ...]
    """(channel, *sizes) that it is exported at; the channel last for `channel_last`."""
    classes: int
    """Channels of its prediction."""
    activation: str | None = None
    """None: cannot be known from outside, so it must be asked for."""
    divisor: int | tuple[int, ...] = 1
    """Of each axis where sizes may change; 0: the size is fixed in every format."""
    traced_divisor: int = 0
    """Of a traced one, whose padding has become a constant; 0: as of the others."""
    skips: int | None = None
    """Right number; None: not known."""
    minimal: bool = True
    """Whether the certificate says so, too."""
    index: str | None = None
    """The output that is the prediction, of several; 'asked': it must be asked for."""
    layout: str = "channel_first"
    """Of input and output."""
    without: frozenset[str] = frozenset()
    """Formats in which it cannot be written."""
    slow: bool = False
    """Takes seconds for each call."""


class Then(nn.Module):
    """A network with something after it."""

    def __init__(self, net: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.net, self.last = net, last

    @override
    def forward(self, x: Tensor) -> Any:
        return self.last(self.net(x))


class ChannelsLast(nn.Module):
    """As networks from TensorFlow are: channels at the end, softmax over the last axis."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    @override
    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.net(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return answer.softmax(dim=3)


class Fixed(nn.Module):
    """A network with a learned map of positions, which fits one size only."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(1, 4, *sizes))
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)

    @override
    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.second(torch.relu(self.first(x) + self.position))
        return answer.softmax(dim=1)


class Supervised(nn.Module):
    """Logits at half, full and quarter size, in this order."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1, stride=2)
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.at_full, self.at_half = nn.Conv2d(8, 2, 1), nn.Conv2d(4, 2, 1)

    @override
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        high = torch.relu(self.first(x))
        low = torch.relu(self.second(high))
        half = self.at_half(low)
        full = self.at_full(torch.cat([high, self.up(low)], dim=1))
        return half, full.softmax(dim=1), nn.functional.avg_pool2d(half, 2)


class ByName(nn.Module):
    """A dictionary of answers, the prediction not first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 3, 1)

    @override
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = torch.relu(self.conv(x))
        return {"features": features, "pred": self.head(features).softmax(dim=1)}


class ArgMax(nn.Module):
    """Label numbers."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        return x.argmax(dim=1)


def _u_net(dims: int = 2, channels: int = 1, classes: int = 3, **options: Any) -> nn.Module:
    widths = options.pop("channels_inside", (4, 8, 16, 32))
    strides = options.pop("strides", (2, 2, 2))
    net: nn.Module = nets.UNet(dims, channels, classes, widths, strides, **options)
    return net


def _anisotropic() -> nn.Module:
    strides = ((1, 2, 2), (2, 2, 2), (1, 2, 2))
    return Then(_u_net(3, 2, 2, strides=strides, num_res_units=1), nn.Softmax(dim=1))


def _dyn_unet(dims: int, **options: Any) -> nn.Module:
    net: nn.Module = nets.DynUNet(
        dims, 1, 3, [3] * 4, [1, 2, 2, 2], [2] * 3, filters=[4, 8, 8, 8], **options
    )
    return net


def _plus_plus(**options: Any) -> nn.Module:
    net: nn.Module = nets.BasicUNetPlusPlus(2, 1, 2, (4, 4, 8, 8, 16, 4), **options)
    return net


ZOO: dict[str, Member] = {
    "unet 2-D": Member(lambda: _u_net(num_res_units=1), (1, 32, 32), 3, divisor=8, skips=2),
    "unet 3-D anisotropic": Member(
        _anisotropic, (2, 16, 32, 32), 2, "softmax", divisor=(2, 8, 8), skips=2
    ),
    "attention unet": Member(
        lambda: Then(
            nets.AttentionUnet(2, 1, 2, (4, 8, 16, 32), (2, 2, 2)), nn.LogSoftmax(dim=1)
        ),
        (1, 32, 32), 2, "logits_softmax", divisor=8, skips=3,
    ),
    "unet++": Member(
        _plus_plus, (1, 32, 32), 2, traced_divisor=16, skips=20, minimal=False
    ),
    "unet++ supervised": Member(
        lambda: _plus_plus(deep_supervision=True), (1, 32, 32), 2, traced_divisor=16, index="asked"
    ),
    "segresnet": Member(
        lambda: nets.SegResNet(2, 8, 1, 2, blocks_down=(1, 1, 1, 1)), (1, 32, 32), 2,
        divisor=8, skips=3,
    ),
    "dynunet": Member(
        lambda: Then(_dyn_unet(2), nn.Softmax(dim=1)), (1, 32, 32), 3, "softmax", divisor=8, skips=3
    ),
    "dynunet supervised": Member(
        lambda: _dyn_unet(3, deep_supervision=True, deep_supr_num=2, res_block=True),
        (1, 32, 32, 32), 3, divisor=8, skips=3, without=frozenset({"script"}),
    ),
    "vnet": Member(
        lambda: Then(nets.VNet(3, 1, 2), nn.Softmax(dim=1)), (1, 32, 32, 32), 2, "softmax",
        divisor=16, skips=4, slow=True,
    ),
    "unetr": Member(
        lambda: nets.UNETR(1, 2, (32, 32, 32), feature_size=4, hidden_size=24, mlp_dim=24, num_heads=2),
        (1, 32, 32, 32), 2, divisor=0, skips=4, minimal=False,
    ),
    "swin unetr": Member(
        lambda: nets.SwinUNETR(1, 2, depths=(1, 1, 1, 1), num_heads=(2, 2, 2, 2), feature_size=12,
                               spatial_dims=2),
        (1, 64, 64), 2, divisor=32, skips=5, without=frozenset({"script"}), slow=True,
    ),
    "channel last": Member(
        lambda: ChannelsLast(_u_net(2, 2, 3, channels_inside=(4, 8), strides=(2,))),
        (32, 48, 2), 3, "softmax", divisor=2, skips=0, layout="channel_last",
    ),
    "fixed size": Member(lambda: Fixed(64, 64), (1, 64, 64), 2, "softmax", divisor=0, skips=0),
    "one sigmoid": Member(
        lambda: Then(_u_net(2, 3, 1), nn.Sigmoid()), (3, 32, 48), 1, "sigmoid", divisor=8, skips=2
    ),
    "few channels": Member(
        lambda: Then(_u_net(3, 1, 1, channels_inside=(2, 2, 4), strides=(2, 2)), nn.Sigmoid()),
        (1, 16, 24, 32), 1, "sigmoid", divisor=4, skips=1,
    ),
    "supervised": Member(Supervised, (1, 32, 48), 2, "softmax", divisor=2, skips=1, index="1"),
    "by name": Member(ByName, (1, 32, 48), 3, "softmax", skips=0, index="pred"),
    "label numbers": Member(
        lambda: Then(_u_net(), ArgMax()), (1, 32, 32), 1, "labels", divisor=8, skips=2
    ),
    "logits cut at zero": Member(lambda: Then(_u_net(), nn.ReLU()), (1, 32, 32), 3, divisor=8, skips=2),
}  # fmt: skip
"""Each with the truth about it."""


def built(name: str) -> tuple[nn.Module, Tensor]:
    """Return a network in evaluation mode and the input that it is exported with."""
    torch.manual_seed(sum(map(ord, name)))
    module = ZOO[name].build().eval()
    return module, torch.randn(1, *ZOO[name].shape)


def _traced(module: nn.Module, example: Tensor, path: Path) -> None:
    jit.trace(module, example, strict=False, check_trace=False).save(str(path))


def _scripted(module: nn.Module, example: Tensor, path: Path) -> None:
    assert example.ndim > 3
    jit.script(module).save(str(path))


def _graph(module: nn.Module, example: Tensor, path: Path) -> None:
    """By the exporter that traces, with free batch and sizes as far as it can."""
    first = 1 if isinstance(module, ChannelsLast) else 2
    axes = {0: "n", **{axis: f"s{axis}" for axis in range(first, first + example.ndim - 2)}}
    free = {} if getattr(module, "fixed_size", False) else {"dynamic_axes": {"image": axes}}
    _export(module, example, path, dynamo=False, input_names=["image"], **free)


def _graph_by_dynamo(module: nn.Module, example: Tensor, path: Path) -> None:
    """By the exporter of torch.export, which fixes batch and sizes unless told otherwise."""
    _export(module, example, path, dynamo=True, external_data=False)


def _export(module: nn.Module, example: Tensor, path: Path, **options: Any) -> None:
    onnx: Any = torch.onnx
    if isinstance(module, ByName):
        options["output_names"] = ["features", "pred"]
    onnx.export(module, (example,), str(path), opset_version=18, verbose=False, **options)


def _exported(module: nn.Module, example: Tensor, path: Path) -> None:
    """By torch.export, which fixes batch and sizes unless told otherwise."""
    torch.export.save(torch.export.export(module, (example,), strict=False), path)


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a network, and to run it as the child does."""

    suffix: str
    """Of the file."""
    write: Callable[[nn.Module, Tensor, Path], None]
    """Exports."""
    run: Callable[[Path], InProcess]
    """Opens."""
    fixed: bool = False
    """The file declares its size and batch."""


FORMATS: dict[str, Format] = {
    "trace": Format(".pt", _traced, of_script),
    "script": Format(".pt", _scripted, of_script),
    "onnx": Format(".onnx", _graph, of_graph),
    "dynamo": Format(".onnx", _graph_by_dynamo, of_graph, fixed=True),
    "exported": Format(".pt2", _exported, of_exported, fixed=True),
}
"""One line each."""


def written(name: str, kind: str, folder: Path) -> Path:
    """Export a member."""
    return exported_to(folder, kind, *built(name))


def exported_to(folder: Path, kind: str, module: nn.Module, example: Tensor) -> Path:
    """Export a network."""
    path = folder / f"net{FORMATS[kind].suffix}"
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        # exporters remark what they fold, and announce their own end
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            FORMATS[kind].write(module, example, path)
    finally:
        logging.disable(level)
    return path
