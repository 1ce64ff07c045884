"""How far activations move between scans: networks against hooks and numpy."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import conv_graph, save_graph, save_script
from in_process import TorchModel, of_exported, of_graph, of_script
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor, nn
from typing_extensions import override
from zoo import FORMATS, ZOO, written

from auditor.schema import WindowSpec
from auditor.systems.answers import Refusal
from auditor.systems.layers.answer import LayerDistances, layers_of
from auditor.systems.layers.choosing import choose_layers
from auditor.systems.layers.measuring import LayerMeter
from auditor.systems.skips.torch_recording import record_torch

Floats = NDArray[np.float64]


def drawn(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# networks


class Net(nn.Module):
    """A skip, a halving along two axes, a normalisation; in place where that is usual."""

    def __init__(self, dims: int = 2) -> None:
        super().__init__()
        torch.manual_seed(dims)
        conv: Any = (nn.Conv2d, nn.Conv3d)[dims - 2]
        norm: Any = (nn.BatchNorm2d, nn.BatchNorm3d)[dims - 2]
        turned: Any = (nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 2]
        step = (1, 2, 2)[3 - dims :] if dims == 3 else (2, 2)
        self.first, self.norm = conv(1, 3, 3, padding=1), norm(3)
        self.act = nn.ReLU(inplace=True)
        self.down = conv(3, 4, 3, padding=1, stride=step)
        self.up = turned(4, 3, step, stride=step)
        self.last = conv(6, 2, 1)
        self.norm.running_mean = torch.tensor([0.1, -0.2, 0.3])

    @override
    def forward(self, x: Tensor) -> Tensor:
        high = self.act(self.norm(self.first(x)))
        low = torch.nn.functional.silu(self.down(high))
        answer: Tensor = self.last(torch.cat([high, self.up(low)], dim=1))
        return answer.softmax(dim=1)


OPERATORS = (
    "conv",
    "batch_norm",
    "relu_",
    "conv",
    "silu",
    "conv_transpose",
    "cat",
    "conv",
    "softmax",
)
"""Of `Net`, in the order in which they run."""


def by_hooks(module: nn.Module, *windows: NDArray[np.float32]) -> dict[str, list[Floats]]:
    """Values of the layers of modules, in each window, as (channel, number)."""
    found: dict[str, list[Floats]] = {}

    def hook(name: str) -> Any:
        def keep(_: nn.Module, __: object, answer: Tensor) -> None:
            array = answer.detach().numpy().astype(np.float64)
            found.setdefault(name, []).append(np.moveaxis(array, 1, 0).reshape(array.shape[1], -1))

        return keep

    hooks = [it.register_forward_hook(hook(name)) for name, it in module.named_children()]
    with torch.inference_mode():
        for window in windows:
            module(torch.from_numpy(window[None].copy()))
    for it in hooks:
        it.remove()
    return found


def expected(clean: Sequence[Floats], other: Sequence[Floats], bins: int) -> float:
    """Mean over channels of the distance, by numpy alone."""
    distances = []
    one, two = np.concatenate(clean, axis=1), np.concatenate(other, axis=1)
    for p, q in zip(one, two, strict=True):
        edges = np.concatenate([[-np.inf], np.linspace(p.min(), p.max(), bins + 1)])
        edges[-1] = np.nextafter(edges[-1], np.inf)
        edges = np.concatenate([edges, [np.inf]])
        shares = [np.histogram(it, edges)[0] / len(it) for it in (p, q)]
        distances.append(math.sqrt(max(0.0, 1 - np.sqrt(shares[0] * shares[1]).sum())))
    return float(np.mean(distances))


def header(pieces: Sequence[int], *, window: WindowSpec | None = None, bins: int = 16) -> Any:
    return {
        "input_layout": "channel_first",
        "window": None if window is None else json.loads(json.dumps(asdict(window))),
        "bins": bins,
        "pieces": list(pieces),
    }


def measured(
    model: Any, scans: Sequence[NDArray[np.float32]], **options: Any
) -> tuple[LayerDistances, ...]:
    meter = LayerMeter(model, device="cpu", threads=1)
    told = meter.measure(header([1] * len(scans), **options), scans)
    return layers_of(json.loads(json.dumps(told)), len(scans) - 1)


def model_of(kind: str, module: nn.Module, shape: tuple[int, ...], folder: Path) -> Any:
    example = torch.zeros(1, *shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = folder / f"net{FORMATS[kind].suffix}"
        FORMATS[kind].write(module, example, path)
    return FORMATS[kind].run(path).model


@pytest.mark.parametrize("kind", ["module", *FORMATS])
def test_all_formats_agree_with_hooks_and_numpy(tmp_path: Path, kind: str) -> None:
    module = Net().eval()
    shape = (1, 24, 20)
    scans = [drawn(*shape), drawn(*shape) + 0.3 * drawn(*shape, seed=1), 2 * drawn(*shape)]
    model = TorchModel(module) if kind == "module" else model_of(kind, module, shape, tmp_path)
    layers = measured(model, scans)
    assert [it.channels for it in layers][-1] == 2
    clean, *others = (by_hooks(module, scan) for scan in scans)
    named = {"conv": "first", "down": "down", "up": "up", "last": "last"}
    convolutions = [it for it in layers if "conv" in it.operator.lower()]
    names = ["first", "down", "up", "last"]
    assert len(convolutions) == len(names) == len(named)
    for name, layer in zip(names, convolutions, strict=True):
        assert layer.resolution == ((12, 10) if name == "down" else (24, 20))
        assert layer.voxels == math.prod(layer.resolution)
        for other, found in zip(others, layer.distances, strict=True):
            if kind in ("onnx", "dynamo") and name == "first":
                continue  # exporters fold the normalisation into the convolution
            # a value on the edge of a bin may fall on either side of it
            assert found == pytest.approx(expected(clean[name], other[name], 16), abs=0.02)


def test_a_script_tells_every_layer_once_and_in_order(tmp_path: Path) -> None:
    scans = [drawn(1, 8, 6), drawn(1, 8, 6)]
    layers = measured(of_script(save_script(Net().eval(), tmp_path / "net.pt")).model, scans)
    assert [it.operator.rstrip("123d") for it in layers] == list(OPERATORS)
    assert [it.distances for it in layers] == [(0.0,)] * len(layers)
    assert [it.name.partition("#")[0] for it in layers] == [it.operator for it in layers]


def test_windows_count_every_voxel_once_a_window_in_three_dimensions() -> None:
    module = Net(3).eval()
    clean, other = drawn(1, 6, 12, 10), drawn(1, 6, 12, 10, seed=2)
    window = WindowSpec(size=(4, 8, 10), overlap=0.5)
    layers = measured(TorchModel(module), [clean, other], window=window)
    # starts along z: 0 and 2; along y: 0 and 4; along x: 0
    places = [(z, y) for z in (0, 2) for y in (0, 4)]
    cuts = [[it[:, z : z + 4, y : y + 8] for z, y in places] for it in (clean, other)]
    one, two = (by_hooks(module, *it) for it in cuts)
    last = [it for it in layers if "conv" in it.operator][-1]
    assert last.voxels == 4 * 4 * 8 * 10
    assert last.distances[0] == pytest.approx(expected(one["last"], two["last"], 16), abs=1e-9)


def test_slices_of_a_scan_are_one_scan() -> None:
    module = Net().eval()
    slices = [drawn(1, 8, 6, seed=seed) for seed in range(5)]
    meter = LayerMeter(TorchModel(module), device="cpu", threads=1)
    told = layers_of(meter.measure(header([2, 3]), slices), 1)
    one, two = by_hooks(module, *slices[:2]), by_hooks(module, *slices[2:])
    last = [it for it in told if "conv" in it.operator][-1]
    assert last.voxels == 2 * 48
    assert last.distances[0] == pytest.approx(expected(one["last"], two["last"], 16), abs=1e-9)


def test_scans_of_other_sizes_are_compared_by_shares() -> None:
    module = Net().eval()
    scans = [drawn(1, 8, 6), drawn(1, 16, 12, seed=1)]
    one, two = (by_hooks(module, scan) for scan in scans)
    last = [it for it in measured(TorchModel(module), scans) if "conv" in it.operator][-1]
    assert last.distances[0] == pytest.approx(expected(one["last"], two["last"], 16), abs=1e-9)


def test_what_is_remembered_of_a_clean_scan_changes_no_number() -> None:
    clean, first, second = drawn(1, 8, 6), drawn(1, 8, 6, seed=1), drawn(1, 8, 6, seed=2)
    meter = LayerMeter(TorchModel(Net().eval()), device="cpu", threads=1)

    def ask(*scans: NDArray[np.float32], bins: int = 16) -> Any:
        return meter.measure(header([1] * len(scans), bins=bins), scans)

    once = ask(clean, second)
    ask(first, clean)
    ask(clean, first)
    assert ask(clean, second) == once
    assert ask(clean, second, bins=4) != once
    alone = LayerMeter(TorchModel(Net().eval()), device="cpu", threads=1)
    assert alone.measure(header([1, 1]), [clean, second]) == once


def test_a_graph_with_a_fixed_batch_and_half_precision(tmp_path: Path) -> None:
    kind = TensorProto.FLOAT16
    weight = drawn(2, 1, 3, 3).astype(np.float16)
    path = save_graph(
        tmp_path / "net.onnx",
        [
            helper.make_node("Conv", ["image", "w"], ["a"], pads=[1] * 4),
            helper.make_node("Relu", ["a"], ["out"]),
        ],
        sizes=(3, 1, 8, 6),
        outputs=[("out", kind, (3, 2, 8, 6))],
        weights=[("w", weight)],
        kind=kind,
    )
    scans = [drawn(1, 8, 6), drawn(1, 8, 6, seed=1)]
    layers = measured(of_graph(path).model, scans)
    assert [(it.name, it.operator, it.channels) for it in layers] == [
        ("a", "Conv", 2),
        ("out", "Relu", 2),
    ]
    assert [it.voxels for it in layers] == [8 * 6, 8 * 6]  # of one scan, not of its three copies
    halves = [torch.from_numpy(it.astype(np.float16)[None]) for it in scans]
    values = [
        torch.conv2d(it.float(), torch.from_numpy(weight).float(), padding=1) for it in halves
    ]
    one, two = ([it[0].half().double().reshape(2, -1).numpy()] for it in values)
    assert layers[0].distances[0] == pytest.approx(expected(one, two, 16), abs=0.02)


def test_large_layers_are_read_in_several_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = [drawn(1, 8, 6), drawn(1, 8, 6, seed=1)]
    model = of_graph(conv_graph(tmp_path / "net.onnx", dims=2)).model
    together = measured(model, scans)
    monkeypatch.setattr("auditor.systems.layers.onnx_taps._AT_ONCE", 1)
    assert measured(model, scans) == together


@pytest.mark.parametrize("name", ["attention unet", "unet++", "segresnet", "unetr", "channel last"])
def test_graphs_and_programs_of_known_networks_agree(tmp_path: Path, name: str) -> None:
    """What both formats merge, and what they convolve last, moves alike."""
    shape = ZOO[name].shape
    layout = ZOO[name].layout
    found: Mapping[str, Sequence[float | None]] = {}
    sizes = shape if layout == "channel_first" else (shape[-1], *shape[:-1])
    scans = [drawn(*sizes), drawn(*sizes) + drawn(*sizes, seed=3)]
    for kind in ("trace", "onnx"):
        model = FORMATS[kind].run(written(name, kind, tmp_path)).model
        meter = LayerMeter(model, device="cpu", threads=1)
        told = meter.measure({**header([1, 1]), "input_layout": layout}, scans)
        layers = layers_of(told, 1)
        assert all(
            it.distances[0] is not None and 0 < it.distances[0] < 1
            for it in layers
            if it.voxels > 1
        )
        merged = [it for it in layers if it.operator.lower() in ("cat", "concat")]
        convolved = [it for it in layers if "conv" in it.operator.lower()]
        assert convolved
        # normalisations are folded into most convolutions of a graph, but not into the last one; and
        # concatenations of concatenations are one
        own = [convolved[-1]] if name == "unet++" else [*merged, convolved[-1]]
        found = {**found, kind: [it.distances[0] for it in own]}
    assert found["trace"] == pytest.approx(found["onnx"], abs=0.05)


class Deeper(nn.Module):
    """Convolves as often as the image is large."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    @override
    def forward(self, x: Tensor) -> Tensor:
        if x.size(2) > 8:
            x = torch.relu(x)
        for _ in range(x.size(2) // 8):
            x = self.conv(x)
        return x


def test_a_network_that_runs_otherwise_on_another_scan_is_refused() -> None:
    with pytest.raises(Refusal, match="other operators"):
        measured(TorchModel(Deeper().eval()), [drawn(1, 8, 8), drawn(1, 16, 8)])


class Tokens(nn.Module):
    """Attention over the voxels of an image: channels stand last."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.norm = nn.Conv2d(1, 4, 2, stride=2), nn.LayerNorm(4)
        self.mix, self.out = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 4)

    @override
    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(self.embed(x).flatten(2).transpose(1, 2))
        mixed = tokens + self.mix(tokens, tokens, tokens, need_weights=False)[0]
        grid = self.out(mixed).transpose(1, 2).reshape(x.size(0), 4, x.size(2) // 2, x.size(3) // 2)
        return torch.nn.functional.interpolate(grid, scale_factor=2.0)


def test_channels_of_tokens_stand_last() -> None:
    module = Tokens().eval()
    seen, _ = record_torch(module, torch.zeros(1, 1, 8, 6), channel_last=False)
    layers = choose_layers(seen.recording)
    assert {it.channels for it in layers if it.operator in ("layer_norm", "linear", "add")} <= {
        4,
        12,
    }
    assert [it.operator for it in layers][:2] == ["conv2d", "layer_norm"]
    assert layers[-1].operator == "linear"


def test_of_very_many_layers_only_some_are_chosen() -> None:
    module = nn.Sequential(*(nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU()) for _ in range(6)))
    seen, _ = record_torch(module.eval(), torch.zeros(1, 1, 4, 4), channel_last=False)
    assert len(choose_layers(seen.recording, most=12)) == 12
    assert [it.operator for it in choose_layers(seen.recording, most=11)] == ["conv2d"] * 6
    few = choose_layers(seen.recording, most=3)
    everything = choose_layers(seen.recording)
    assert [everything.index(it) for it in few] == [0, 4, 10]


class Exploding(nn.Module):
    """The square root of the image: no number where it is negative."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1, bias=False)
        self.conv.weight.data.fill_(1.0)

    @override
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(torch.sqrt(x)))


def test_activations_that_are_no_numbers_have_no_distance() -> None:
    sound, broken = np.abs(drawn(1, 4, 4)), drawn(1, 4, 4)
    model = TorchModel(Exploding().eval())
    assert [it.distances for it in measured(model, [sound, sound, broken])] == [(0.0, None)] * 2
    lost = measured(model, [broken, sound])
    assert [(it.distances, it.voxels) for it in lost] == [((None,), 0)] * 2


def test_networks_without_layers_are_refused_in_words() -> None:
    with pytest.raises(Refusal, match="no value of its network"):
        measured(TorchModel(nn.Flatten()), [drawn(1, 4, 4), drawn(1, 4, 4)])


def test_exported_programs_are_read_like_scripts(tmp_path: Path) -> None:
    from hostile_exported import save_exported

    path = save_exported(Net().eval(), tmp_path / "net.pt2", torch.zeros(1, 1, 8, 6))
    scans = [drawn(1, 8, 6), drawn(1, 8, 6, seed=1)]
    exported = measured(of_exported(path).model, scans)
    script = measured(of_script(save_script(Net().eval(), tmp_path / "net.pt")).model, scans)
    assert [it.distances for it in exported] == [it.distances for it in script]
    pair = save_exported(Net().eval(), tmp_path / "pair.pt2", torch.zeros(2, 1, 8, 6))
    in_pairs = measured(of_exported(pair).model, scans)
    assert [it.voxels for it in in_pairs] == [it.voxels for it in script]
    assert in_pairs[-1].distances == pytest.approx(script[-1].distances, abs=0.02)
