"""Tiny checkpoints whose answer is known by hand, and some that mean harm; written when a test asks."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from typing_extensions import override

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before any test imports onnxruntime

Sizes = Sequence[str | int]
FREE_2D: Sizes = ("n", 1, "y", "x")
FREE_3D: Sizes = ("n", 1, "z", "y", "x")


def save_script(module: nn.Module, path: Path) -> Path:
    """Write a module as a TorchScript program."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted: Any = torch.jit.script(module.eval())
        scripted.save(str(path))
    return path


def save_graph(
    path: Path,
    nodes: Sequence[Any],
    *,
    sizes: Sizes = FREE_2D,
    outputs: Sequence[tuple[str, int, Sizes]] = (("out", TensorProto.FLOAT, FREE_2D),),
    weights: Sequence[tuple[str, NDArray[Any]]] = (),
    kind: int = TensorProto.FLOAT,
    beside: str = "",
    opset: int = 17,
) -> Path:
    """Write an ONNX graph with the input ``image``; its weights into a file beside it if asked."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("image", kind, list(sizes))],
        [helper.make_tensor_value_info(name, of, list(shape)) for name, of, shape in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    model.producer_name, model.producer_version = "by hand", "1"
    if beside:
        onnx.save(
            model, str(path), save_as_external_data=True, location=beside, size_threshold=0
        )  # fmt: skip
    else:
        onnx.save(model, str(path))
    return path


def double_graph(path: Path, **keep: Any) -> Path:
    """2 x, so that every answer is the question doubled, to the last bit."""
    return save_graph(path, [helper.make_node("Add", ["image", "image"], ["out"])], **keep)


def weighted_graph(path: Path, *, factor: float = 2.0, beside: str = "") -> Path:
    """Write factor * x, with the factor as its weights."""
    return save_graph(
        path,
        [helper.make_node("Mul", ["image", "factor"], ["out"])],
        weights=[("factor", np.full((1, 1, 1, 1), factor, np.float32))],
        beside=beside,
    )


def conv_graph(path: Path, *, dims: int, channels: int = 1, classes: int = 3) -> Path:
    """Write a convolution, ReLU, convolution, softmax with drawn weights."""
    draw = np.random.default_rng(dims)
    first = draw.normal(size=(4, channels, *[3] * dims)).astype(np.float32)
    second = draw.normal(size=(classes, 4, *[3] * dims)).astype(np.float32)
    free: Sizes = ("n", channels, *"zyx"[-dims:])
    return save_graph(
        path,
        [
            helper.make_node("Conv", ["image", "w1"], ["a"], pads=[1] * 2 * dims),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Conv", ["b", "w2"], ["c"], pads=[1] * 2 * dims),
            helper.make_node("Softmax", ["c"], ["out"], axis=1),
        ],
        sizes=free,
        outputs=[("out", TensorProto.FLOAT, ("n", classes, *"zyx"[-dims:]))],
        weights=[("w1", first), ("w2", second)],
    )


class ConvNet(nn.Module):
    """A convolution, ReLU, convolution with drawn weights."""

    def __init__(self, *, dims: int, channels: int = 1, classes: int = 2) -> None:
        super().__init__()
        conv: Any = (nn.Conv2d, nn.Conv3d)[dims - 2]
        generator = torch.Generator().manual_seed(dims)
        self.first = conv(channels, 4, 3, padding=1)
        self.second = conv(4, classes, 3, padding=1)
        for weight in self.parameters():
            weight.data = torch.randn(weight.shape, generator=generator)

    @override
    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.second(torch.relu(self.first(x)))
        return answer


class Threshold(nn.Module):
    """1 where the image is above one half, else 0, as integer label numbers."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        return (x > 0.5).long()


class Named(nn.Module):
    """Several answers by name: one of half the size first, logits, and label numbers."""

    @override
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        half = torch.nn.functional.avg_pool2d(x, 2)
        return {"half": half, "logits": x * 2 - 1, "labels": (x[:, 0] > 0.5).long()}


class MultipleOf16(nn.Module):
    """Halve four times and double four times, which brings back only multiples of 16."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        down = torch.nn.functional.avg_pool2d(x, 16)
        up = torch.nn.functional.interpolate(down, scale_factor=16.0)
        return torch.cat([x, up], dim=1)


class ChannelLast(nn.Module):
    """Takes (n, y, x, 2) and answers (n, y, x, 3): both channels, and their sum."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        if x.size(3) != 2:
            msg = "two channels, please"
            raise ValueError(msg)
        return torch.cat([x, x.sum(dim=3, keepdim=True)], dim=3)


class Moody(nn.Module):
    """Answers with its input below 10; above, the first value says which harm is done."""

    def __init__(self, *, secret: Path, target: Path) -> None:
        super().__init__()
        self.secret, self.target = str(secret), str(target)

    @override
    def forward(self, x: Tensor) -> Tensor:
        mood = int(x.max().item())
        if mood == 11:
            for _ in range(2000):
                print("printed by the model")  # noqa: T201  # the very noise under test
        if mood == 12:
            return x * 0 + torch.from_file(self.secret, shared=False, size=1, dtype=torch.uint8)[0]
        if mood == 13:
            torch.save(x, self.target)
        if mood == 14:
            return x + torch.zeros([1 << 38]).sum()
        while mood == 15:
            mood = int(x.max().item())
        if mood == 16:
            return x / 0
        if mood == 17:
            return x[:, :, 1:]
        if mood == 18:
            return x * 0
        return x


def rewrite(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """Copy an archive entry by entry; what `change` returns for an entry is written instead."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if not name.endswith(".debug_pkl"):
                new.writestr(name, change(name, old.read(name)))
    return target


def deep_parentheses(source: Path, target: Path) -> Path:
    """Nest parentheses in the code until the parser's stack overflows."""
    nested = b"return " + b"(" * 100_000 + b"x" + b")" * 100_000 + b"\n#"

    def change(name: str, content: bytes) -> bytes:
        return content.replace(b"return ", nested, 1) if name.endswith(".py") else content

    return rewrite(source, target, change)


def short_weights(source: Path, target: Path) -> Path:
    """Cut every record of weights to 8 bytes, which torch fills up with anything."""

    def change(name: str, content: bytes) -> bytes:
        return content[:8] if Path(name).parent.name == "data" else content

    return rewrite(source, target, change)
