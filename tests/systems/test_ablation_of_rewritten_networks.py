"""Ablations against the same networks written anew, with the replacement in their own code."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
import torch
from ablated_nets import one_skip_graph
from in_process import opened
from onnx import TensorProto, helper
from scipy import ndimage
from torch import Tensor, nn
from typing_extensions import override
from zoo import exported_to

from auditor.schema import AblationSpec
from auditor.systems.ablation.ablated import ablated_model

KINDS = (
    AblationSpec((), "zero"),
    AblationSpec((), "mean"),
    AblationSpec((), "blur", 1.3),
    AblationSpec((), "noise", 0.7, seed=3),
    AblationSpec((), "dose", -0.5),
    AblationSpec((), "image"),
)


class Instead(nn.Module):
    """Stands where a skip is taken: what takes its place, in double precision and by other means."""

    def __init__(self, spec: AblationSpec, skip: int) -> None:
        super().__init__()
        self.spec, self.skip = spec, skip
        self.kept: Tensor | None = None
        """Of the other image; None while that runs."""
        self.keeps = spec.by == "image"

    @override
    def forward(self, b: Tensor) -> Tensor:
        if self.spec.by == "image":
            if self.keeps:
                self.kept = b.clone()
            assert self.kept is not None
            return self.kept
        return torch.from_numpy(self._instead(b.detach().double().numpy())).to(b.dtype)

    def _instead(self, b: Any) -> Any:
        by, strength = self.spec.by, self.spec.strength
        if by in {"zero", "dose"}:
            return b * (strength or 0.0)
        if by == "blur":
            sigma = (0, 0, strength, strength)
            return ndimage.gaussian_filter(b, sigma, mode="nearest", truncate=4.0)
        if by == "mean":
            return b.mean(axis=(2, 3), keepdims=True) + 0 * b
        drawn = np.random.default_rng([self.spec.seed, self.skip, 0])
        field = np.resize(drawn.standard_normal(65521, np.float32), b.shape[1:])
        return b + strength * b.std(axis=(2, 3), keepdims=True) * field


def conv(given: int, made: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(given, made, kernel, padding=kernel // 2)


class Levels(nn.Module):
    """Three levels; each skip passes a module that a test exchanges."""

    places: ClassVar[tuple[tuple[str, int, int], ...]] = (("skip0", 0, 0), ("skip1", 1, 1))
    """(module, level, place among all skips)."""
    skip0: Any
    skip1: Any

    def __init__(self) -> None:
        super().__init__()
        self.enc0, self.enc1, self.low = conv(1, 3), conv(3, 4), conv(4, 5)
        self.dec1, self.dec0 = conv(9, 4), conv(7, 2)
        self.down, self.up = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)
        for name, _, _ in self.places:
            self.add_module(name, nn.Identity())

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Rectify in place what skips, after the encoder has gone on with it."""
        a = self.enc0(x)
        first = a
        b = self.enc1(self.down(a.relu_()))
        u = self.up(torch.relu(self.low(self.down(torch.relu(b)))))
        u = self.up(torch.relu(self.dec1(torch.cat([self.skip1(b), u], 1))))
        answer: Tensor = self.dec0(torch.cat([u, self.skip0(first)], 1))
        return answer


class Normed(Levels):
    """Normalisations that see what skips and what came up together."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm0 = nn.InstanceNorm2d(9), nn.BatchNorm2d(7)
        nn.init.normal_(self.norm0.running_mean)  # type: ignore[arg-type]  # it has one
        self.last = conv(10, 2)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Take the finest skip twice in one concatenation."""
        a = torch.relu(self.enc0(x))
        b = torch.relu(self.enc1(self.down(a)))
        u = self.up(torch.relu(self.low(self.down(b))))
        u = self.up(torch.relu(self.dec1(self.norm1(torch.cat([u, self.skip1(b)], 1)))))
        first = self.skip0(a)
        answer: Tensor = self.last(torch.cat([self.norm0(torch.cat([first, u], 1)), first], 1))
        return answer


class Gated(Levels):
    """Attention gates, a rectifier with weights, and a sum at the finest level."""

    def __init__(self) -> None:
        super().__init__()
        self.x1, self.g1, self.psi1 = conv(4, 2, 1), conv(5, 2, 1), conv(2, 1, 1)
        self.x0, self.g0, self.psi0 = conv(3, 2, 1), conv(4, 2, 1), conv(2, 1, 1)
        self.act = nn.PReLU()

    @override
    def forward(self, x: Tensor) -> Tensor:
        a = self.act(self.enc0(x))
        b = self.act(self.enc1(self.down(a)))
        g, k = self.up(self.act(self.low(self.down(b)))), self.skip1(b)
        gate = torch.sigmoid(self.psi1(torch.relu(self.g1(g) + self.x1(k))))
        g, k = self.up(self.act(self.dec1(torch.cat([g, gate * k], 1)))), self.skip0(a)
        gate = torch.sigmoid(self.psi0(torch.relu(self.x0(k) + self.g0(g))))
        answer: Tensor = self.dec0(torch.cat([k * gate, g], 1))
        return answer


class Dense(Levels):
    """UNet++ of two levels: the finest row has three skips."""

    places = (("skip00", 0, 0), ("skip01", 0, 1), ("skip02", 0, 2), ("skip1", 1, 3))
    skip00: Any
    skip01: Any
    skip02: Any

    def __init__(self) -> None:
        super().__init__()
        self.mid, self.last = conv(7, 3), conv(10, 2)

    @override
    def forward(self, x: Tensor) -> Tensor:
        x00 = torch.relu(self.enc0(x))
        x10 = torch.relu(self.enc1(self.down(x00)))
        x01 = torch.relu(self.mid(torch.cat([self.skip00(x00), self.up(x10)], 1)))
        low = self.up(torch.relu(self.low(self.down(x10))))
        x11 = self.up(torch.relu(self.dec1(torch.cat([self.skip1(x10), low], 1))))
        answer: Tensor = self.last(torch.cat([self.skip01(x00), self.skip02(x01), x11], 1))
        return answer


def expected(net: Levels, spec: AblationSpec, own: Tensor, other: Tensor) -> Any:
    """Run the network with the replacement in its code."""
    written = copy.deepcopy(net)
    put = [
        (name, Instead(spec, place))
        for name, level, place in net.places
        if not spec.skips or level in spec.skips
    ]
    for name, module in put:
        setattr(written, name, module)
    with torch.inference_mode():
        if spec.by == "image":
            written(other.clone())
        for _, module in put:
            module.keeps = False
        return written(own.clone()).numpy()


@pytest.mark.parametrize("kind", ["trace", "onnx"])
@pytest.mark.parametrize("net", [Levels, Normed, Gated, Dense])
def test_every_kind_is_what_the_network_gives_with_the_replacement_in_its_code(
    net: type[Levels], kind: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    own, other = torch.randn(2, 1, 12, 16), torch.randn(2, 1, 12, 16)
    module = net().eval()
    model = opened(exported_to(tmp_path, kind, module, own))
    for spec in KINDS:
        for skips in ((), (0,), (1,)):
            asked = replace(spec, skips=skips)
            given = [own, other] if spec.by == "image" else [own]
            answer = ablated_model(model, asked).forward(torch.cat(given, 1).numpy())[0][1]
            right = expected(module, asked, own, other)
            # the replacement matters: nothing is compared with the network as it is
            assert np.abs(right - module(own).detach().numpy()).max() > 1e-3
            np.testing.assert_allclose(answer, right, atol=1e-5, err_msg=f"{spec.by} {skips}")


@pytest.mark.parametrize("kind", ["trace", "onnx"])
def test_what_skips_is_found_anew_at_each_size(kind: str, tmp_path: Path) -> None:
    """At 4 x 4 the bottleneck is one voxel, and what goes around it is no skip there."""
    torch.manual_seed(0)
    module = Levels().eval()
    model = opened(exported_to(tmp_path, kind, module, torch.randn(2, 1, 12, 16)))
    ablated = ablated_model(model, AblationSpec((), "dose", 0.5))
    for size, skips in ((8, ()), (4, (0,)), (8, ())):
        own = torch.randn(1, 1, size, size)
        right = expected(module, AblationSpec(skips, "dose", 0.5), own, own)
        np.testing.assert_allclose(ablated.forward(own.numpy())[0][1], right, atol=1e-5)


def test_a_graph_with_skips_in_bfloat16(tmp_path: Path) -> None:
    """Which onnxruntime can cast on a CPU, and neither multiply nor hand over."""
    path = one_skip_graph(tmp_path / "net.onnx")
    model = onnx.load(path)
    at = next(i for i, node in enumerate(model.graph.node) if node.op_type == "Concat")
    del model.graph.node[at]
    made = [
        *(helper.make_node("Cast", [it], [f"{it}16"], to=TensorProto.BFLOAT16) for it in ("b", "up")),
        helper.make_node("Concat", ["b16", "up16"], ["joined16"], axis=1),
        helper.make_node("Cast", ["joined16"], ["joined"], to=TensorProto.FLOAT),
    ]  # fmt: skip
    for i, node in enumerate(made):
        model.graph.node.insert(at + i, node)
    onnx.save(model, path)
    own, other = np.random.default_rng(0).normal(size=(2, 2, 1, 12, 10)).astype(np.float32)
    b = torch.from_numpy(2 * own).bfloat16()
    for spec in KINDS:
        given = [own, other] if spec.by == "image" else [own]
        answer = ablated_model(opened(path), spec).forward(np.concatenate(given, 1))[0][1]
        instead = Instead(spec, 0)
        instead.kept, instead.keeps = torch.from_numpy(2 * other).bfloat16(), False
        # one step of bfloat16 is 1/128 of a number
        right = instead(b).float().numpy()
        np.testing.assert_allclose(answer, right, rtol=1 / 64, atol=1e-2, err_msg=spec.by)
