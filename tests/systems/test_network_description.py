"""What the child tells of its network, and what is believed of it."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from checkpoints import conv_graph, save_graph, save_script
from in_process import TorchModel, of_graph, of_module
from onnx import TensorProto, helper
from torch import Tensor, nn
from typing_extensions import override

from auditor.schema import Status
from auditor.systems.describing import describe
from auditor.systems.description import Description, description_of
from auditor.systems.process import ModelFailure, ModelProcess
from auditor.systems.skips import find_skips
from auditor.systems.skips.graph import feature_graph
from auditor.systems.skips.onnx_recording import read_graph, record_onnx
from auditor.systems.skips.torch_recording import record_torch


class SmallUNet(nn.Module):
    """One skip; 3-D, halved along two axes only."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(1, 2, 3, padding=1)
        self.second = nn.Conv3d(2, 2, 3, padding=1, stride=(1, 2, 2))
        self.up = nn.ConvTranspose3d(2, 2, (1, 2, 2), stride=(1, 2, 2))
        self.norm, self.last = nn.BatchNorm3d(4), nn.Conv3d(4, 3, 1)

    @override
    def forward(self, x: Tensor) -> Tensor:
        high = torch.relu(self.first(x))
        joined = torch.cat([high, self.up(torch.relu(self.second(high)))], dim=1)
        answer: Tensor = self.last(self.norm(joined))
        return answer.softmax(dim=1)


PARAMETERS = (27 * 2 + 2) + (27 * 4 + 2) + (4 * 4 + 2) + (4 + 4) + (4 * 3 + 3)
"""Kernel voxels x channels in x channels out + biases, layer by layer; norm: scales and shifts."""


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_a_child_describes_its_network(tmp_path: Path, kind: str) -> None:
    module = SmallUNet().eval()
    path = tmp_path / ("net.pt" if kind == "torchscript" else "net.onnx")
    if kind == "onnx":
        export: Any = torch.onnx.export
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # in evaluation mode, but without folding the normalisation into a convolution
            export(module, (torch.zeros(1, 1, 4, 8, 12),), str(path), dynamo=False,
                   training=torch.onnx.TrainingMode.PRESERVE)  # fmt: skip
    else:
        save_script(module, path)
    with ModelProcess(path, kind) as process:
        told = process.describe((1, 1, 4, 8, 12), "channel_first")
        # the child still runs after it
        assert process.describe((1, 1, 4, 8, 12), "channel_first").skips == told.skips
    assert told.fed == (1, 1, 4, 8, 12)
    assert told.parameters == PARAMETERS
    counts = {it.name.lower(): it.count for it in told.operators}
    assert counts["conv3d" if kind == "torchscript" else "conv"] == 3
    assert [it.count for it in told.operators] == sorted(counts.values(), reverse=True)
    (out,) = told.outputs
    assert (out.shape, out.dtype) == ((1, 3, 4, 8, 12), "float32")
    assert (out.ending.meaning, out.ending.axis) == ("softmax", 1)
    assert told.skips is not None
    (skip,) = told.skips.found
    assert (skip.level, skip.resolution, skip.nested) == (0, (4, 8, 12), False)
    assert told.skips.coarsest == (4, 4, 6)
    assert (told.skips.complete, told.skips.minimal) == (True, True)
    assert told.live == ()
    assert 0 < told.seconds < 20
    assert 10 < told.peak_mb < 4000
    assert told.versions
    assert kind == "torchscript" or told.producer.startswith("pytorch")


def test_a_description_is_stopped_at_its_limit_and_a_refusal_is_a_sentence(tmp_path: Path) -> None:
    class Endless(nn.Module):
        @override
        def forward(self, x: Tensor) -> Tensor:
            while x.numel() > 10:
                x = x + 1
            return x

    path = save_script(Endless(), tmp_path / "net.pt")
    with ModelProcess(path, "torchscript", timeout_s=20) as process:
        with pytest.raises(ModelFailure) as caught:
            process.describe((1, 1, 32, 32), "channel_first", limit_s=1.0)
        assert caught.value.status == Status.TIMED_OUT
        assert process.pid is None
        assert process.describe((1, 1, 1, 1), "channel_first").fed == (1, 1, 1, 1)
    with ModelProcess(conv_graph(tmp_path / "two.onnx", dims=2), "onnx") as process:
        with pytest.raises(ModelFailure, match="that the graph declares, it was fed") as caught:
            process.describe((1, 5, 32, 32), "channel_first")
        assert caught.value.status == Status.REJECTED
        assert process.pid is not None


def honest() -> dict[str, Any]:
    told = describe(
        TorchModel(SmallUNet().eval()), {"shape": [1, 1, 4, 8, 12], "layout": "channel_first"}
    )
    answer: dict[str, Any] = json.loads(json.dumps(told))
    return answer


def _places(given: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List where something stands in an answer."""
    if isinstance(given, dict):
        keys: list[Any] = list(given)
    elif isinstance(given, list):
        keys = list(range(len(given)))
    else:
        return [path]
    return [path, *(place for key in keys for place in _places(given[key], (*path, key)))]


def _replaced(told: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(told)
    inner: Any = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


LIES = (
    {"a": 1},
    [[[1]]],
    "no",
    -1,
    1.5,
    float("nan"),
    float("inf"),
    1 << 70,
    True,
    None,
    [0] * 400,
)


def test_no_lie_of_a_child_passes_as_another_type() -> None:
    told = honest()
    assert isinstance(description_of(told), Description)
    tried = 0
    for path in _places(told):
        if not path:
            continue
        true: Any = told
        for key in path:
            true = true[key]
        for lie in LIES:
            # of the same type it is a value like any other
            if type(lie) is type(true) and not isinstance(lie, list | dict):
                continue
            changed = _replaced(told, path, lie)
            try:
                found = description_of(changed)
            except ValueError:
                tried += 1
                continue
            # what passes is of the right kind: a number for a duration, no axis, no skips
            assert (
                (path[0] in {"seconds", "peak_mb"} and isinstance(lie, int | float))
                or (path[-1] in {"axis", "skips"} and (lie is None or true is None))
                or (path[-1] == "axis" and isinstance(lie, int))
            ), (path, lie, found)
    assert tried > 500
    for missing in told:
        changed = dict(told)
        del changed[missing]
        if missing == "skips":
            assert description_of(changed).skips is None
        else:
            with pytest.raises(ValueError, match="must be"):
                description_of(changed)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0, -1])
def test_durations_and_sizes_are_finite_and_not_negative(number: float) -> None:
    for name in ("seconds", "peak_mb"):
        with pytest.raises(ValueError, match="not negative"):
            description_of(honest() | {name: number})


@pytest.mark.parametrize("number", [-1, 1 << 62, 1 << 70])
def test_counts_are_counts_that_can_be_stored(number: int) -> None:
    with pytest.raises(ValueError, match="must be a count"):
        description_of(honest() | {"parameters": number})


def test_only_channels_are_concatenated(tmp_path: Path) -> None:
    path = save_graph(
        tmp_path / "net.onnx",
        [
            helper.make_node("Concat", ["image", "image"], ["deep"], axis=-3),
            helper.make_node("Concat", ["deep", "deep"], ["out"], axis=-1),
        ],
        sizes=("n", 1, "y", "x"),
    )
    fed = np.zeros((1, 1, 6, 8), np.float32)
    found = record_onnx(read_graph(path), fed, folder=tmp_path, channel_last=False)
    assert [(it.kind, it.axis) for it in found.operations] == [("concat", 1), ("concat", 3)]
    meant = [it.operation.kind for it in feature_graph(found).features if it.operation is not None]
    assert meant == ["concat", "other"]


@pytest.mark.parametrize("axis", [0, 8])
def test_channels_stand_after_the_batch(axis: int) -> None:
    told = honest()
    told["skips"]["found"][0]["channel_axis"] = axis
    with pytest.raises(ValueError, match="axis of channels"):
        description_of(told)


def test_words_of_a_file_are_cut_and_cleaned() -> None:
    told = honest()
    told["producer"] = "\x1b[31mevil " + "x" * 1000
    told["operators"] = [["\x07Conv\n" + "y" * 500, 3]]
    found = description_of(told)
    assert found.producer.startswith("[31mevil ")
    assert len(found.producer) == 120
    assert found.operators[0].name == "Conv" + "y" * 74  # 80 letters, two of them not printed


def test_more_than_a_message_can_hold_is_said_instead_of_sent() -> None:
    class Many(nn.Module):
        """Seventy branches of different depth around one halving, and one more that skips into each."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

        @override
        def forward(self, x: Tensor) -> Tensor:
            first = self.conv(x)
            up = nn.functional.interpolate(
                self.conv(nn.functional.avg_pool2d(first, 2)), scale_factor=2.0
            )
            parts = [self.conv(first) for _ in range(70)]
            return torch.cat([*parts, self.conv(self.conv(up))], dim=1)

    told = of_module(Many()).describe((1, 1, 8, 12), "channel_first")
    assert told.skips is None
    assert told.skips_note == "too many skip connections to be told: 1, at 70 places"


def test_writing_into_a_view_is_followed() -> None:
    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.low, self.high = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)

        @override
        def forward(self, x: Tensor) -> Tensor:
            high = self.high(x)
            low = self.low(nn.functional.avg_pool2d(x, 2))
            up = nn.functional.interpolate(self.low(low), scale_factor=2.0)
            room = torch.zeros_like(torch.cat([high, up], dim=1))
            room[:, :1] = high
            room[:, 1:] = up
            return room + 1

    seen, answer = record_torch(Writes().eval(), torch.ones(1, 1, 8, 12), channel_last=False)
    assert answer.shape == (1, 2, 8, 12)
    skips = find_skips(seen.recording)
    # what is written cannot be cut apart, so it is no skip, but the way around is not denied
    assert skips.coarsest == (4, 6)
    assert not skips.complete


def test_in_place_operators_and_constants_keep_their_own_place() -> None:
    class Steps(nn.Module):
        @override
        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            y.relu_()
            z = torch.ones_like(y)
            z.mul_(3)
            return (y + z).sigmoid_()

    seen, _ = record_torch(Steps(), torch.ones(1, 1, 4, 6), channel_last=False)
    names = [op.name for op in seen.recording.operations]
    assert names == ["mul", "relu_", "ones_like", "mul_", "add", "sigmoid_"]
    add = seen.recording.operations[4]
    made = {v: op.name for op in seen.recording.operations for v in op.outputs}
    assert [made[v] for _, v in add.inputs] == ["relu_", "mul_"]
    assert seen.counts["mul"] == 1


def test_a_quantised_graph_is_followed_through_its_whole_numbers(tmp_path: Path) -> None:
    scale = helper.make_tensor("scale", TensorProto.FLOAT, [], [0.1])
    zero = helper.make_tensor("zero", TensorProto.UINT8, [], [128])
    kernel = helper.make_tensor("kernel", TensorProto.UINT8, [1, 1, 1, 1], [130])
    path = tmp_path / "net.onnx"
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["q"]),
        helper.make_node(
            "QLinearConv",
            ["q", "scale", "zero", "kernel", "scale", "zero", "scale", "zero"], ["c"], strides=[2, 2],
        ),
        helper.make_node("DequantizeLinear", ["c", "scale", "zero"], ["d"]),
        helper.make_node("Resize", ["d", "", "factors"], ["up"], mode="nearest"),
        helper.make_node("Add", ["up", "image"], ["out"]),
    ]  # fmt: skip
    save_graph(path, nodes, weights=[("factors", np.array([1, 1, 2, 2], np.float32))])
    model = onnx.load(str(path))
    model.graph.initializer.extend([scale, zero, kernel])
    onnx.save(model, str(path))
    told = of_graph(path).describe((1, 1, 8, 12), "channel_first")
    assert told.skips is not None, told.skips_note
    (skip,) = told.skips.found
    assert (skip.source, skip.operator) == ("image", "Add")
    assert told.skips.complete
    assert told.parameters == 1 + 4  # the kernel, and the factors, which are floats too


def test_live_dropout_of_a_graph_is_named(tmp_path: Path) -> None:
    path = save_graph(
        tmp_path / "net.onnx",
        [
            helper.make_node("Constant", [], ["on"], value=helper.make_tensor("t", 9, [], [1])),
            helper.make_node("Dropout", ["image", "ratio", "on"], ["a"]),
            helper.make_node("RandomNormalLike", ["a"], ["b"]),
            helper.make_node("Add", ["a", "b"], ["out"]),
        ],
        weights=[("ratio", np.array(0.5, np.float32))],
    )
    told = of_graph(path).describe((1, 1, 8, 12), "channel_first")
    assert told.live == ("dropout is switched on", "random numbers are drawn (RandomNormalLike)")


def test_running_statistics_and_single_numbers_of_a_graph_are_no_parameters(tmp_path: Path) -> None:
    """One channel: scale and shift are learned, mean and variance are counted, the factor is one number."""
    numbers = ("scale", "shift", "mean", "variance")
    path = save_graph(
        tmp_path / "net.onnx",
        [
            helper.make_node("BatchNormalization", ["image", *numbers], ["a"]),
            helper.make_node("Mul", ["a", "factor"], ["out"]),
        ],
        sizes=("n", 1, "y", "x"),
        weights=[
            *((name, np.ones(1, np.float32)) for name in numbers),
            ("factor", np.array(2.0, np.float32)),
        ],
    )
    assert of_graph(path).describe((1, 1, 6, 8), "channel_first").parameters == 2


def test_weights_beside_a_graph_are_found_by_the_recorded_run(tmp_path: Path) -> None:
    path = conv_graph(tmp_path / "net.onnx", dims=3)
    model = onnx.load(str(path))
    onnx.save(model, str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    told = of_graph(path).describe((1, 1, 4, 8, 6), "channel_first")
    assert told.skips_note == ""
    assert told.skips is not None
    # two convolutions of 27 voxels: 1 to 4 channels, 4 to 3
    assert told.parameters == 27 * 4 + 27 * 12


def test_a_frozen_program_counts_the_weights_that_it_uses() -> None:
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = torch.ones(2, 1, 3, 3)

        @override
        def forward(self, x: Tensor) -> Tensor:
            first = nn.functional.conv2d(x, self.kernel, padding=1)
            return first + nn.functional.conv2d(x, self.kernel, padding=1)

    told = of_module(Frozen()).describe((1, 1, 6, 8), "channel_first")
    assert told.parameters == 18  # used twice, counted once
