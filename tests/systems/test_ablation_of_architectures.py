"""Ablations of architectures as they are in the world: every format answers alike, and nothing else moves."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from in_process import opened
from numpy.typing import NDArray
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from zoo import ZOO, built, written

from auditor.schema import AblationSpec, InputSpec
from auditor.systems.ablation.ablated import ablated_model
from auditor.systems.skips import find_skips

KINDS = (
    AblationSpec((), "zero"),
    AblationSpec((), "mean"),
    AblationSpec((), "blur", 1.0),
    AblationSpec((), "noise", 0.5, seed=1),
    AblationSpec((), "dose", 0.5),
)
QUICK = ["unet 2-D", "attention unet", "segresnet", "few channels"]
"""Padded or not, 2-D and 3-D, joined, gated and summed skips."""
SLOW = [
    name
    for name, member in ZOO.items()
    if member.skips and name not in QUICK and member.index != "asked"
]


def model_of(name: str, kind: str, folder: Path) -> Any:
    return opened(written(name, kind, folder))


@functools.cache
def example(name: str) -> tuple[nn.Module, NDArray[np.float32]]:
    module, values = built(name)
    return module, values.numpy()


@pytest.mark.parametrize("kind", ["trace", "onnx"])
@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(it, marks=pytest.mark.slow) for it in SLOW)]
)
def test_an_instrumented_network_answers_as_it_is(name: str, kind: str, tmp_path: Path) -> None:
    model = model_of(name, kind, tmp_path)
    _, values = example(name)
    answers = model.forward(values)
    for (_, one), (_, other) in zip(
        answers, ablated_model(model, AblationSpec((), "dose", 1.0)).forward(values), strict=True
    ):
        if kind == "onnx":
            np.testing.assert_allclose(other, one, atol=1e-6 * max(1.0, float(np.abs(one).max())))
        else:
            np.testing.assert_array_equal(other, one)
    both = np.concatenate([values, values], axis=1)
    for (_, one), (_, other) in zip(
        answers, ablated_model(model, AblationSpec((), "image")).forward(both), strict=True
    ):
        np.testing.assert_allclose(other, one, atol=1e-6 * max(1.0, float(np.abs(one).max())))


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("unet 2-D", ["onnx", "trace", "script"]),
        ("attention unet", ["onnx", "trace"]),
        ("segresnet", ["onnx", "script"]),
        pytest.param("unet 2-D", ["onnx", "dynamo", "exported"], marks=pytest.mark.slow),
        pytest.param("unet++", ["onnx", "trace", "script"], marks=pytest.mark.slow),
        pytest.param("swin unetr", ["onnx", "trace"], marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_all_formats_answer_an_ablation_alike(name: str, kinds: list[str], tmp_path: Path) -> None:
    _, values = example(name)
    models = []
    for kind in kinds:
        folder = tmp_path / kind
        folder.mkdir()
        models.append(model_of(name, kind, folder))
    for spec in KINDS:
        answers = [ablated_model(model, spec).forward(values)[0][1] for model in models]
        for other in answers[1:]:
            atol = 1e-5 * max(1.0, float(np.abs(answers[0]).max()))
            np.testing.assert_allclose(other, answers[0], atol=atol, err_msg=spec.by)


def test_each_level_of_an_attention_gate_is_cut_before_the_gate(tmp_path: Path) -> None:
    """With its stem zero, a gate sees zeros at both its edges, whatever format it is in."""
    module, values = example("attention unet")
    model = model_of("attention unet", "trace", tmp_path)
    net: Any = module.net
    gates = [it for it in net.modules() if type(it).__name__ == "AttentionLayer"]
    assert len(gates) == 3
    for level, gate in enumerate(gates):
        hook = gate.attention.register_forward_pre_hook(
            lambda _, given, named: (given, {**named, "x": torch.zeros_like(named["x"])}),
            with_kwargs=True,
        )
        with torch.inference_mode():
            right = module(torch.from_numpy(values)).numpy()
        hook.remove()
        answer = ablated_model(model, AblationSpec((level,), "zero")).forward(values)[0][1]
        np.testing.assert_allclose(answer, right, atol=1e-5)


def dense(net: Any, x: torch.Tensor, zeroed: int) -> torch.Tensor:
    """Run MONAI's UNet++ as its code does, with zeros for whatever skips at one level."""
    nodes = {(0, 0): net.conv_0_0(x)}
    for down in range(1, 5):
        below = nodes[down - 1, 0]
        nodes[down, 0] = getattr(net, f"conv_{down}_0")(below)
        for level in range(down - 1, -1, -1):
            along = down - level
            row = [nodes[level, i] for i in range(along)]
            joined = torch.cat([torch.zeros_like(it) if level == zeroed else it for it in row], 1)
            merge = getattr(net, f"upcat_{level}_{along}")
            nodes[level, along] = merge(nodes[level + 1, along - 1], joined)
    answer: torch.Tensor = net.final_conv_0_4(nodes[0, 4])
    return answer


def test_a_level_of_a_lattice_is_every_skip_of_its_row(tmp_path: Path) -> None:
    module, values = example("unet++")
    model = model_of("unet++", "onnx", tmp_path)
    for level in (-1, 0, 1, 2, 3):
        with torch.inference_mode():
            right = dense(module, torch.from_numpy(values), level).numpy()
        if level < 0:
            np.testing.assert_allclose(model.forward(values)[0][1], right, atol=1e-5)
            continue
        answer = ablated_model(model, AblationSpec((level,), "zero")).forward(values)[0][1]
        np.testing.assert_allclose(answer, right, atol=1e-5)


def test_modes_around_an_ablation_see_the_calls_of_the_network_alone(tmp_path: Path) -> None:
    model = model_of("unet 2-D", "script", tmp_path)
    _, values = example("unet 2-D")
    seen: list[str] = []
    joined: list[torch.Tensor] = []

    class Outer(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            answer = func(*args, **(kwargs or {}))
            seen.append(str(func))
            if "cat" in seen[-1]:
                joined.extend(args[0])
            return answer

    def watched(ablated: Any) -> list[str]:
        ablated.forward(values)
        seen.clear()
        joined.clear()
        with Outer():  # type: ignore[no-untyped-call]
            ablated.forward(values)
        return list(seen)

    plain = watched(model)
    for spec in KINDS:
        assert watched(ablated_model(model, spec)) == plain
    watched(ablated_model(model, KINDS[0]))
    # the innermost module of this network joins two values of one resolution, which is no skip; then come
    # two skips, of which the outer mode sees the zeros
    zeros = [bool((it == 0).all()) for it in joined]
    assert zeros == [False, False, True, False, True, False]


def test_facts_are_those_of_the_network_as_it_is(tmp_path: Path) -> None:
    model = model_of("unet 2-D", "onnx", tmp_path)
    _, values = example("unet 2-D")
    for spec, fed in (
        (KINDS[1], values),
        (AblationSpec((), "image"), np.concatenate([values] * 2, 1)),
    ):
        facts = ablated_model(model, spec).facts(fed, InputSpec())
        assert facts.recording is not None
        assert len(find_skips(facts.recording).found) == ZOO["unet 2-D"].skips
