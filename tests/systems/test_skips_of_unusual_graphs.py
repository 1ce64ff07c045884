"""Skip connections of graphs with bodies, quantised numbers, and weights in files of their own."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from drawn_graphs import u_net_graph
from in_process import of_graph, of_script
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from typing_extensions import override

from auditor.schema import NetworkFacts
from auditor.systems.skips.facts import network_facts

Sources = list[tuple[str, int]]


def facts_of(path: Path) -> NetworkFacts:
    return network_facts(of_graph(path).describe((1, 1, 32, 48), "channel_first"))


def sources(facts: NetworkFacts) -> Sources:
    return [(it.source, it.channels) for it in facts.skips]


def merge_of(model: Any, name: str) -> tuple[int, Any]:
    return next((i, it) for i, it in enumerate(model.graph.node) if it.output[0] == name)


def constant(model: Any, name: str, value: object) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def with_branch(path: Path) -> Path:
    """Send what was merged at the finest level through one of two branches."""
    model = onnx.load(u_net_graph(path))
    place, merge = merge_of(model, "both")
    merge.output[0] = "raw"
    told = [helper.make_tensor_value_info("kept", TensorProto.FLOAT, None)]
    turned = [helper.make_tensor_value_info("turned", TensorProto.FLOAT, None)]
    then = helper.make_graph([helper.make_node("Identity", ["raw"], ["kept"])], "then", [], told)
    other = helper.make_graph([helper.make_node("Neg", ["raw"], ["turned"])], "other", [], turned)
    least = constant(model, "least", np.float32(-1e9))
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["grey"], keepdims=0),
        helper.make_node("Greater", ["grey", least], ["which"]),
        helper.make_node("If", ["which"], ["both"], then_branch=then, else_branch=other),
    ]
    for shift, node in enumerate(nodes, 1):
        model.graph.node.insert(place + shift, node)
    onnx.save(model, str(path))
    return path


def with_loop(path: Path) -> Path:
    """Merge the finest level in the body of a loop, where nobody looks."""
    model = onnx.load(u_net_graph(path))
    place, merge = merge_of(model, "both")
    model.graph.node.remove(merge)
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Concat", ["first", "back"], ["joined"], axis=1),
            helper.make_node("Identity", ["on"], ["still"]),
        ],
        "body",
        [value("turn", TensorProto.INT64, []), value("on", TensorProto.BOOL, [])],
        [value("still", TensorProto.BOOL, []), value("joined", TensorProto.FLOAT, None)],
    )
    once, go = constant(model, "once", np.int64(1)), constant(model, "go", np.ones((), bool))
    axes = constant(model, "axes", np.array([0]))
    nodes = [
        helper.make_node("Loop", [once, go], ["stacked"], body=body),
        helper.make_node("Squeeze", ["stacked", axes], ["both"]),
    ]
    for shift, node in enumerate(nodes):
        model.graph.node.insert(place + shift, node)
    onnx.save(model, str(path))
    return path


def test_a_branch_after_the_merge_changes_nothing_but_is_said(tmp_path: Path) -> None:
    facts = facts_of(with_branch(tmp_path / "net.onnx"))
    assert sources(facts) == [("first", 3), ("second", 5)]
    assert facts.complete
    (remark,) = facts.remarks
    assert "If (1)" in remark


def test_a_merge_inside_a_loop_is_not_seen_and_the_list_is_not_complete(tmp_path: Path) -> None:
    facts = facts_of(with_loop(tmp_path / "net.onnx"))
    assert sources(facts) == [("second", 5)]
    assert not facts.complete
    (remark,) = facts.remarks
    assert "Loop (1)" in remark


class _Images:
    """What a quantiser measures the ranges of values on."""

    def __init__(self) -> None:
        self.left = 2

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        self.left -= 1
        if self.left < 0:
            return None
        rng = np.random.default_rng(self.left)
        return {"image": rng.standard_normal((1, 1, 32, 48), dtype=np.float32)}


def _quantised(kind: str, path: Path) -> None:
    import onnxruntime.quantization as quantisation

    plain = u_net_graph(path.with_name("plain.onnx"))
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it recommends what is no matter here
    try:
        if kind == "dynamic":
            quantisation.quantize_dynamic(str(plain), str(path))
            return
        form = quantisation.QuantFormat
        quantisation.quantize_static(
            str(plain),
            str(path),
            _Images(),
            quant_format=form.QDQ if kind == "qdq" else form.QOperator,
        )
    finally:
        logging.disable(level)


@pytest.mark.parametrize(
    ("kind", "operator", "found"),
    [
        ("qdq", "QuantizeLinear",
         [("first_DequantizeLinear_Output", 3), ("second_DequantizeLinear_Output", 5)]),
        ("qoperator", "QLinearConv", [("first_quantized", 3), ("second_quantized", 5)]),
        ("dynamic", "ConvInteger", [("first", 3), ("second", 5)]),
    ],
)  # fmt: skip
def test_a_quantised_graph_has_the_skips_of_the_network_that_it_was(
    tmp_path: Path, kind: str, operator: str, found: Sources
) -> None:
    path = tmp_path / "net.onnx"
    _quantised(kind, path)
    assert operator in {node.op_type for node in onnx.load(str(path)).graph.node}
    facts = facts_of(path)
    assert sources(facts) == found
    assert (facts.complete, facts.minimal, facts.coarsest) == (True, True, (8, 12))


class Quantisable(nn.Module):
    """A U-Net of two levels between the two ends that torch quantises between."""

    def __init__(self, into: nn.Module, out_of: nn.Module, join: nn.Module) -> None:
        super().__init__()
        self.into, self.out_of, self.join = into, out_of, join
        self.first, self.low = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.last = nn.Conv2d(12, 2, 1)

    @override
    def forward(self, x: Tensor) -> Tensor:
        high = self.first(self.into(x))
        low = self.low(nn.functional.max_pool2d(high, 2))
        up = nn.functional.interpolate(low, scale_factor=2.0, mode="nearest")
        joined = self.join.cat([high, up], dim=1)  # type: ignore[operator]  # a functional module
        answer: Tensor = self.out_of(self.last(joined))
        return answer


def test_a_quantised_program_of_torch_has_its_skip(tmp_path: Path) -> None:
    ao: Any = torch.ao
    engines: Any = torch.backends.quantized
    jit: Any = torch.jit
    path = tmp_path / "net.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # announced for a later version, and still shipped
        stub, unstub = ao.quantization.QuantStub(), ao.quantization.DeQuantStub()
        net = Quantisable(stub, unstub, ao.nn.quantized.FloatFunctional()).eval()
        engine = "fbgemm" if "fbgemm" in engines.supported_engines else "qnnpack"
        net.qconfig = ao.quantization.get_default_qconfig(engine)
        ao.quantization.prepare(net, inplace=True)
        net(torch.randn(1, 1, 16, 24))
        ao.quantization.convert(net, inplace=True)
        jit.trace(net, torch.randn(1, 1, 16, 24), check_trace=False).save(str(path))
        described = of_script(path).describe((1, 1, 16, 24), "channel_first")
    facts = network_facts(described)
    assert any("quant" in it.name for it in described.operators)
    assert [(it.resolution, it.channels) for it in facts.skips] == [((16, 24), 4)]
    assert (facts.complete, facts.minimal) == (True, True)


@pytest.mark.parametrize("damaged", [False, True])
def test_weights_beside_a_graph_are_read_where_they_lie(tmp_path: Path, damaged: bool) -> None:  # noqa: FBT001  # a parameter of the test
    path = u_net_graph(tmp_path / "net.onnx", beside="weights.bin")
    assert (tmp_path / "weights.bin").stat().st_size > 4 * 3 * 3 * 7 * 5
    proto = onnx.load(str(path), load_external_data=False)
    assert all(it.data_location == TensorProto.EXTERNAL for it in proto.graph.initializer)
    runner = of_graph(path)
    if damaged:  # after the graph was opened, so that only the look inside fails
        (tmp_path / "weights.bin").unlink()
    facts = network_facts(runner.describe((1, 1, 32, 48), "channel_first"))
    if damaged:
        assert facts.skips == ()
        assert "could not be followed" in facts.note
        return
    assert sources(facts) == [("first", 3), ("second", 5)]
