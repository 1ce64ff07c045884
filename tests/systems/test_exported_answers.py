"""torch.export archives: the answers of the module itself, what they declare, and what they may say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import ConvNet
from hostile_exported import Scaled, save_exported
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from auditor.schema import InputSpec, OutputSpec, Status
from auditor.systems.exported_file import _needed_bytes
from auditor.systems.exported_program import ForbiddenProgram, clean_program
from auditor.systems.probe import probe
from auditor.systems.process import ModelFailure, ModelProcess
from auditor.systems.sniff import sniff


class ByName(nn.Module):
    """Several answers by name; the input is passed by name, too."""

    def __init__(self) -> None:
        super().__init__()
        self.net = ConvNet(dims=3)

    @override
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        half = torch.nn.functional.avg_pool3d(x, 2)
        return {"half": half, "logits": self.net(x), "labels": (x[:, 0] > 0.5).long()}


def drawn(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).uniform(0, 1, shape).astype(np.float32)


def test_free_sizes_run_to_the_last_bit_and_others_are_refused(tmp_path: Path) -> None:
    module = Scaled()
    path = save_exported(module, tmp_path / "net.bin", torch.zeros(1, 1, 8, 12), free=(2, 3))
    assert (sniff(path).format, sniff(path).detail) == ("exported", "program 'model'")
    images = [drawn(1, 9, 14), drawn(1, 20, 7)]
    with ModelProcess(path, "exported", batch=2) as process:
        # one image at a time, as it was exported; rows of zeros are not needed
        assert process.info.input_shape == (1, 1, None, None)
        assert process.info.inputs[0].dtype == "tensor(float)"
        assert process.info.outputs[0].sizes == (1, 1, None, None)
        assert process.info.findings == ()
        answers = process.run(images, None, OutputSpec(), InputSpec())
        with pytest.raises(ModelFailure, match="to be <= 512, but got 600") as caught:
            process.run([drawn(1, 600, 4)], None, OutputSpec(), InputSpec())
        assert caught.value.status == Status.REJECTED
    torch.set_num_threads(1)
    with torch.inference_mode():
        expected = [module(torch.from_numpy(image[None]))[0].numpy() for image in images]
    for answer, other in zip(answers, expected, strict=True):
        assert np.array_equal(answer, other)


def test_a_fixed_size_is_declared_and_answers_are_found_by_name(tmp_path: Path) -> None:
    module, image = ByName(), drawn(1, 4, 8, 6)
    path = save_exported(module, tmp_path / "net.pt2", torch.zeros(2, 1, 4, 8, 6))
    with ModelProcess(path, "exported") as process:
        assert process.info.input_shape == (2, 1, 4, 8, 6)  # the batch is filled up
        answers = {
            index: process.run([image], None, OutputSpec(index=index), InputSpec())[0]
            for index in ("logits", "labels")
        }
        with pytest.raises(ModelFailure, match=r"sizes \(2, 1, 4, 8, 6\) that the graph declares"):
            process.run([drawn(1, 4, 8, 8)], None, OutputSpec(), InputSpec())
    with torch.inference_mode():
        expected = module(torch.from_numpy(np.stack([image, image])))
    assert np.allclose(answers["logits"], expected["logits"][0].numpy(), atol=1e-6)
    assert np.array_equal(answers["labels"][0], image[0] > 0.5)


@pytest.mark.slow
def test_a_probe_starts_with_the_declared_sizes(tmp_path: Path) -> None:
    path = save_exported(
        ConvNet(dims=3, channels=2), tmp_path / "net.pt2", torch.zeros(1, 2, 6, 8, 10)
    )
    found = {field.name: field.value for field in probe(path).fields}
    assert found["input.size"] == "[6, 8, 10]"
    assert found["input.channels"] == "2"


def program(**node: Any) -> bytes:
    """Return the smallest program, with a node changed."""
    made = {
        "target": "torch.ops.aten.relu.default",
        "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "x"}}}],
        "outputs": [{"as_tensor": {"name": "relu"}}],
        "metadata": {"stack_trace": "/home/jo/model.py"},
        **node,
    }
    leaf: dict[str, Any] = {"type": None, "context": None, "children_spec": []}
    arguments = {"type": "builtins.tuple", "context": "null", "children_spec": [leaf]}
    named = {"type": "builtins.dict", "context": "[]", "children_spec": []}
    call = {"type": "builtins.tuple", "context": "null", "children_spec": [arguments, named]}
    signature = {"in_spec": json.dumps([1, call]), "out_spec": json.dumps([1, leaf])}
    content = {
        "graph_module": {
            "graph": {"nodes": [made]},
            "signature": {"input_specs": [{"user_input": {"arg": {"as_tensor": {"name": "x"}}}}]},
            "module_call_graph": [{"fqn": "", "signature": signature}],
        },
        "guards_code": ["print('read')"],
    }
    return json.dumps(content).encode()


def test_traces_and_guards_are_dropped_and_devices_become_the_cpu() -> None:
    given = {"name": "device", "arg": {"as_device": {"type": "cuda", "index": 1}}}
    content, by_keyword = clean_program(program(inputs=[given]))
    assert by_keyword is None
    assert b"/home/jo" not in content
    assert b"print" not in content
    assert b'{"type": "cpu", "index": null}' in content


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.convolution.default",
        "torch.ops.aten.__and__.Tensor",
        "torch.ops.quantized_decomposed.quantize_per_tensor.default",
        "_operator.floordiv",
        "math.ceil",
        "torch.sym_max",
    ],
)
def test_operators_of_networks_are_allowed(target: str) -> None:
    assert target.encode() in clean_program(program(target=target))[0]


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.load",
        "torch.ops.load_library",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.__class__",
        "torch.ops.aten.relu.default.__globals__",
        "torch.ops.hostile.relu.default",
        "_operator.attrgetter",
        "_operator.methodcaller",
        "math.__loader__",
        "#hostile:relu",
        "torch.ops.aten.relu.default\n.x",
        7,
        None,
    ],
)
def test_everything_else_is_no_operator(target: Any) -> None:
    with pytest.raises(ForbiddenProgram, match="no operator of a network"):
        clean_program(program(target=target))
    given = {"name": "fn", "arg": {"as_operator": target}}
    with pytest.raises(ForbiddenProgram, match="no operator of a network"):
        clean_program(program(inputs=[given]))


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("Symbol('s53', positive=True, integer=True)", True),
        ("Mul(Integer(16), Symbol('s0', integer=True))", True),
        ("16*s0 // 2 + Max(1, s1)", True),
        ("Eq(Mod(s0, 16), 0)", True),
        ("__import__('os')", False),
        ("s0.__class__", False),
        ("().__class__", False),
        ("open", False),
        ("Symbol('import os')", False),
        ("lambda: s0", False),
        ("[s0 for s0 in s1]", False),
        ("'s0'.join", False),
        ("s0; s1", False),
        ("S0", False),
        ("s0x", False),
        ("1" * 3000, False),
        (5, False),
    ],
)
def test_sizes_are_arithmetic(text: Any, good: Any) -> None:
    given = {"name": "n", "arg": {"as_sym_int": {"as_expr": {"expr_str": text}}}}
    if good:
        clean_program(program(inputs=[given]))
        return
    with pytest.raises(ForbiddenProgram, match="no arithmetic"):
        clean_program(program(inputs=[given]))


def test_the_bytes_of_a_tensor_end_behind_its_last_element() -> None:
    """3 rows 2 apart of 2 elements, from element 1 on: the last is 1 + 2 * 2 + 1 = 6, so 7 of 4 bytes."""

    def numbers(*values: int) -> list[dict[str, int]]:
        return [{"as_int": value} for value in values]

    meta: dict[str, Any] = {
        "sizes": numbers(3, 2), "strides": numbers(2, 1), "storage_offset": numbers(1)[0],
        "layout": 7, "dtype": 7,
    }  # fmt: skip
    assert _needed_bytes(meta) == 28
    assert _needed_bytes(meta | {"sizes": numbers(0, 2)}) == 0


@pytest.mark.parametrize("name", ["x=1", "x, y", "x:int", "import", "x\n", "é", ["x"], "9x"])
def test_names_are_names(name: Any) -> None:
    with pytest.raises(ForbiddenProgram, match="which is no name"):
        clean_program(program(name=name))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_program_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(ForbiddenProgram, match="its program"):
        clean_program(content)
