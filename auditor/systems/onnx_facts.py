"""What can be told of an ONNX graph; in the child only, because it is parsed for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.schema import InputSpec
from auditor.systems.describing import Facts
from auditor.systems.skips.onnx_recording import read_graph, record_onnx

__all__ = ["facts_of_onnx"]

_RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli",
     "Multinomial"}
)  # fmt: skip
_FLOATS = frozenset({1, 10, 11, 16})
"""Element types of TensorProto: float, float16, double, bfloat16."""
_QUANTISED = frozenset({2, 3})
"""uint8, int8."""


def facts_of_onnx(path: Path, values: NDArray[Any], inputs: InputSpec) -> Facts:
    """Find the facts of a graph.

    Parameters
    ----------
    path : the file.
    values : what is fed, of the type that it declares.
    inputs : where its channels stand.

    Returns
    -------
    The facts; without a recording when the graph could not be run without optimisations.
    """
    graph = read_graph(path)
    recording, why = None, ""
    try:
        recording = record_onnx(
            graph, values, folder=path.parent, channel_last=inputs.layout == "channel_last"
        )
    except Exception as error:  # noqa: BLE001  # of onnx or onnxruntime; the rest is still told
        why = f"the graph could not be followed: {' '.join(str(error).split())}"
    model = graph.model
    keys = ", ".join(str(it.key)[:60] for it in model.metadata_props)
    return Facts(
        recording=recording,
        operators=Counter(str(node.op_type)[:80] for node in model.graph.node),
        parameters=_parameters(model.graph),
        producer=f"{model.producer_name[:80]} {model.producer_version[:40]}".strip(),
        versions=(
            f"IR {model.ir_version}",
            *(f"opset {it.domain or 'ai.onnx'} {it.version}" for it in model.opset_import),
            *([f"metadata: {keys}"] if keys else []),
        ),
        live=tuple(dict.fromkeys(_live(model.graph))),
        why_none=why,
    )


def _parameters(graph: Any) -> int:  # noqa: ANN401  # of onnx, without types
    """Count the numbers in the weights that operators take, without running statistics."""
    statistics = {
        name for node in graph.node if node.op_type == "BatchNormalization"
        for name in node.input[3:5]
    }  # fmt: skip
    quantised = {
        node.input[0] for node in graph.node if node.op_type == "DequantizeLinear" and node.input
    } | {name for node in graph.node if node.op_type == "QLinearConv" for name in node.input[3:4]}
    return sum(
        math.prod(it.dims)
        for name, it in _constants(graph)
        if len(it.dims) > 0
        and name not in statistics
        and (it.data_type in _FLOATS or (it.data_type in _QUANTISED and name in quantised))
    )


def _live(graph: Any) -> Iterator[str]:  # noqa: ANN401  # of onnx, without types
    """Say what behaves as in training."""
    import onnx

    constants = dict(_constants(graph))
    for node in graph.node:
        if node.op_type in _RANDOM:
            yield f"random numbers are drawn ({node.op_type})"
        elif node.op_type == "BatchNormalization" and any(
            a.name == "training_mode" and a.i for a in node.attribute
        ):
            yield "batch normalisation uses the statistics of its input, as in training"
        elif node.op_type == "Dropout" and len(node.input) > 2:
            training = constants.get(node.input[2])
            if training is not None and np.any(onnx.numpy_helper.to_array(training)):
                yield "dropout is switched on"


def _constants(graph: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # of onnx, without types
    """Yield name and tensor of each constant."""
    for it in graph.initializer:
        yield it.name, it
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield node.output[0], attribute.t
