"""Architectures in every format: the probed contract is right or asked for, and all formats agree."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from in_process import InProcess, probed
from numpy.typing import NDArray
from zoo import FORMATS, ZOO, Member, built, written

from auditor.schema import InputSpec, OutputSpec, SystemSpec
from auditor.systems.describing import noise
from auditor.systems.probe import ProbeReport, probe

QUICK_BY_DYNAMO = {"unet 2-D", "channel last"}
"""These exporters take seconds for each."""

QUICK_BY_ONNX_ONLY = {
    "unetr",
    "unet++",
    "unet++ supervised",
    "attention unet",
    "unet 3-D anisotropic",
}
"""Their programs take seconds, too."""


def _pairs() -> list[Any]:
    return [
        pytest.param(
            name,
            kind,
            marks=[] if _is_quick(name, kind) else [pytest.mark.slow],
        )
        for name, member in ZOO.items()
        for kind in FORMATS
        if kind not in member.without
    ]


def _is_quick(name: str, kind: str) -> bool:
    if kind in {"dynamo", "exported"}:
        return name in QUICK_BY_DYNAMO
    return not ZOO[name].slow and (kind == "onnx" or name not in QUICK_BY_ONNX_ONLY)


@functools.cache
def _example(name: str) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Return an image and what the network itself predicts for it, both with channels first."""
    module, fed = built(name)
    return _first(ZOO[name], fed.numpy())[0], _predicted(ZOO[name], module, fed)


def _first(member: Member, array: NDArray[Any]) -> NDArray[Any]:
    moved: NDArray[Any] = np.moveaxis(array, -1, 1) if member.layout == "channel_last" else array
    return moved


def _predicted(member: Member, module: Any, fed: torch.Tensor) -> NDArray[Any]:
    with torch.inference_mode():
        answer = module(fed)
    if isinstance(answer, dict):
        answer = answer[member.index]
    elif isinstance(answer, list | tuple):
        answer = answer[int(member.index) if member.index not in (None, "asked") else 0]
    array: NDArray[Any] = answer.numpy()
    array = array[:, None] if array.ndim == fed.ndim - 1 else _first(member, array)
    kept: NDArray[Any] = array[0]
    return kept


def _spec(member: Member, fields: dict[str, str]) -> SystemSpec:
    """Build the contract that was found, as a configuration would."""
    values = {name: yaml.safe_load(text) for name, text in fields.items()}
    return SystemSpec(
        "net",
        input=InputSpec(channels=values["input.channels"], layout=values["input.layout"]),
        output=OutputSpec(
            activation=values.get("output.activation", "logits_softmax"),
            layout=values["output.layout"],
            index=values.get("output.index", 0 if member.index == "asked" else None),
        ),
    )


@pytest.mark.parametrize(("name", "kind"), _pairs())
def test_the_contract_is_right_or_asked_for(name: str, kind: str, tmp_path: Path) -> None:
    member = ZOO[name]
    runner = FORMATS[kind].run(written(name, kind, tmp_path))
    report, fields = probed(runner, limit_s=300.0)
    asked = {question.name for question in report.questions}
    channel_last = member.layout == "channel_last"
    sizes = member.shape[:-1] if channel_last else member.shape[1:]
    assert fields["input.dims"] == str(len(sizes))
    assert fields["input.channels"] == str(member.shape[-1 if channel_last else 0])
    assert (fields["input.layout"], fields["output.layout"]) == (member.layout, member.layout)
    assert report.classes == member.classes
    assert report.not_tried == ()
    assert fields.get("output.activation") == member.activation
    assert ("output.activation" in asked) == (member.activation is None)
    _check_index(member, kind, fields, asked)
    _check_skips(member, report)
    _check_predictions(name, kind, runner, report, fields)


def _check_index(member: Member, kind: str, fields: dict[str, str], asked: set[str]) -> None:
    assert ("output.index" in asked) == (member.index == "asked")
    found = fields.get("output.index")
    if member.index in (None, "asked"):
        assert found is None
    elif found != member.index:
        # exporters that name the outputs themselves
        assert (member.index, kind) == ("1", "dynamo")
        assert found is not None


def _check_skips(member: Member, report: ProbeReport) -> None:
    assert report.description is not None
    skips = report.description.skips
    assert skips is not None, report.description.skips_note
    if member.skips is not None:
        assert len(skips.found) == member.skips
        assert skips.complete
        assert skips.minimal == member.minimal


def _check_predictions(
    name: str, kind: str, runner: InProcess, report: ProbeReport, fields: dict[str, str]
) -> None:
    member = ZOO[name]
    spec = _spec(member, fields)
    image, expected = _example(name)
    (answer,) = runner.run([image], spec)
    assert answer.shape == expected.shape
    assert np.abs(answer - expected).max() <= 1e-4
    if "input.size" in fields:
        assert member.divisor == 0 or FORMATS[kind].fixed
        assert tuple(yaml.safe_load(fields["input.size"])) == image.shape[1:]
        return
    divisor = tuple(yaml.safe_load(fields.get("input.divisor", "[1]")))
    divisor *= len(image.shape) - 1 if len(divisor) == 1 else 1
    traced = kind in {"trace", "onnx"} and member.traced_divisor
    truth = traced or member.divisor
    assert divisor == (truth if isinstance(truth, tuple) else (truth,) * (image.ndim - 1))
    # and at another allowed size the network itself must agree
    grown = (image.shape[0], *(n + d for n, d in zip(image.shape[1:], divisor, strict=True)))
    other = noise(grown, seed=9)
    module, _ = built(name)
    fed = np.ascontiguousarray(
        np.moveaxis(other, 0, -1) if member.layout == "channel_last" else other
    )
    (answer,) = runner.run([other], spec)
    assert np.abs(answer - _predicted(member, module, torch.from_numpy(fed[None]))).max() <= 1e-4
    assert report.batches == "alike"


@pytest.mark.parametrize("kind", ["onnx", pytest.param("trace", marks=pytest.mark.slow)])
def test_a_child_is_probed_alike(kind: str, tmp_path: Path) -> None:
    path = written("dynunet", kind, tmp_path)
    report = probe(path, limit_s=300.0)
    within, _ = probed(FORMATS[kind].run(path), limit_s=300.0)
    assert report.fields == within.fields
    assert report.questions == within.questions
    assert (report.batches, report.classes) == (within.batches, within.classes)
    assert report.description is not None
    assert within.description is not None
    assert report.description.skips == within.description.skips
    assert report.description.outputs == within.description.outputs
    assert "ends with its parent" in report.sandbox
