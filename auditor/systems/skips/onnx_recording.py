"""Record one forward pass of an ONNX graph; in the child only.

The graph says which operator takes what; the sizes come from one run of onnxruntime without
optimisations, because inference of shapes has gaps wherever a size is computed. Only the sizes of the
intermediate values are returned from that run, never the values, so that it needs no more memory than
an ordinary one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.systems.skips.kinds import kind_in_onnx
from auditor.systems.skips.recording import Kind, Operation, Recording, Value

__all__ = ["OnnxGraph", "read_graph", "record_onnx"]

_FEATURES = frozenset({"float32", "float16", "float64", "bfloat16", "int8", "uint8"})
_WHOLE = frozenset({"Shape", "Size", "ArgMax", "ArgMin", "NonZero"})
"""Operators that answer with whole numbers, for when the types cannot be inferred."""
_INTEGER_SUMS = frozenset({"ConvInteger", "MatMulInteger"})
"""Operators of networks whose numbers are quantised as they come; what they sum is scaled back next."""
_WITH_AXIS = frozenset({"Softmax", "LogSoftmax", "ArgMax", "Concat", "QLinearConcat", "OneHot"})


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """A parsed file, without the weights that lie in files beside it."""

    model: Any
    """ModelProto, its functions written out where they are called."""
    dtypes: dict[str, str]
    """Types of its values as far as they can be inferred; empty for what is no tensor."""


def read_graph(path: Path) -> OnnxGraph:
    """Parse a file.

    Parameters
    ----------
    path : the graph.

    Returns
    -------
    The graph with the types of its values.
    """
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    if model.functions:
        import onnx.inliner

        model = onnx.inliner.inline_local_functions(model)
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except Exception:  # noqa: BLE001  # it raises many kinds; the types are then guessed
        inferred = model
    graph = inferred.graph
    infos = [*graph.input, *graph.value_info, *graph.output]
    return OnnxGraph(model, {info.name: _dtype(info) for info in infos})


def record_onnx(
    graph: OnnxGraph, fed: NDArray[Any], *, folder: Path, channel_last: bool
) -> Recording:
    """Run once and record what was made of what.

    Parameters
    ----------
    graph : of `read_graph`.
    fed : the input, of the type that the graph declares.
    folder : of the graph, where its weights may lie beside it.
    channel_last : the input has its channels last.

    Returns
    -------
    The recording.
    """
    proto = graph.model.graph
    weights = {it.name for it in proto.initializer} | {
        it.values.name for it in proto.sparse_initializer
    }
    fed_names = [node.name for node in proto.input if node.name not in weights]
    nodes = list(_dependent(proto.node, fed_names))
    names = list(dict.fromkeys(name for _, node in nodes for name in node.output if name))
    shapes = _run(graph, fed_names[0], fed, names, folder)
    place = {name: i for i, name in enumerate([*fed_names, *names])}
    values = [Value(name, fed.shape, fed.dtype.name, feature=True) for name in fed_names]
    makers = {name: node.op_type for _, node in nodes for name in node.output}
    for name in names:
        dtype = graph.dtypes.get(name) or ("int64" if makers[name] in _WHOLE else "float32")
        sums = dtype == "int32" and makers[name] in _INTEGER_SUMS
        feature = (dtype in _FEATURES or sums) and name in shapes
        values.append(Value(name, shapes.get(name, ()), dtype, feature=feature))
    kernels = {it.name: tuple(it.dims)[2:] for it in proto.initializer}
    operations = tuple(_operation(call, node, place, values, kernels) for call, node in nodes)
    return Recording(
        values=tuple(values),
        operations=operations,
        inputs=tuple(range(len(fed_names))),
        outputs=tuple((out.name, place[out.name]) for out in proto.output if out.name in place),
        channel_last=channel_last,
    )


def _dtype(info: Any) -> str:  # noqa: ANN401  # of onnx, without types
    import onnx

    if not info.type.HasField("tensor_type") or not info.type.tensor_type.elem_type:
        return ""
    try:
        return str(onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type).name)
    except (KeyError, ValueError, TypeError):
        return ""


def _dependent(nodes: Iterable[Any], start: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """Yield the nodes that depend on the input, numbered among all; graphs come in their order."""
    reached = set(start)
    for call, node in enumerate(nodes):
        if reached.intersection(_read_by(node)):
            reached.update(name for name in node.output if name)
            yield call, node


def _read_by(node: Any) -> list[str]:  # noqa: ANN401  # of onnx, without types
    """List the inputs of a node, and what the bodies of a loop or branch read from outside."""
    names = [str(name) for name in node.input]
    waiting = [a.g for a in node.attribute if a.HasField("g")]
    while waiting:
        body = waiting.pop()
        for inner in body.node:
            names += [str(name) for name in inner.input]
            waiting += [a.g for a in inner.attribute if a.HasField("g")]
    return names


def _run(
    graph: OnnxGraph, fed_name: str, fed: NDArray[Any], names: Sequence[str], folder: Path
) -> dict[str, tuple[int, ...]]:
    """Run the graph once and return the shape of every named value that is a tensor."""
    import onnx
    import onnxruntime as ort

    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    tensors = [name for name in names if graph.dtypes.get(name, "float32")]
    asked = []
    for i, name in enumerate(tensors):
        asked.append(f"segaudit.shape.{i}")
        model.graph.node.append(onnx.helper.make_node("Shape", [name], [asked[-1]]))
    del model.graph.output[:]
    for name in asked:
        info = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, None)
        model.graph.output.append(info)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # weights beside the graph, which is loaded from memory here
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(folder)
    )
    session = ort.InferenceSession(
        model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    found = session.run(asked, {fed_name: fed})
    return {
        name: tuple(int(n) for n in np.asarray(shape))
        for name, shape in zip(tensors, found, strict=True)
    }


def _operation(
    call: int,
    node: Any,  # noqa: ANN401  # of onnx, without types
    place: dict[str, int],
    values: Sequence[Value],
    kernels: Mapping[str, tuple[int, ...]],
) -> Operation:
    given = {a.name: a for a in node.attribute}
    inputs = tuple((s, place[n]) for s, n in enumerate(_read_by(node)) if n in place)
    kind: Kind = kind_in_onnx(node.op_type)
    rank = len(values[inputs[0][1]].shape) if inputs else 0
    axis = given["axis"].i if "axis" in given else -1
    op = Operation(
        name=str(node.op_type)[:80],
        kind=kind,
        inputs=inputs,
        outputs=tuple(place[name] for name in node.output if name),
        call=call,
    )
    if node.op_type in _WITH_AXIS and rank:
        default = 0 if node.op_type == "ArgMax" and "axis" not in given else axis
        op = replace(op, axis=default % rank)
    if kind == "convolution":
        op = replace(op, kernel=_kernel(node, given, kernels))
    if node.op_type == "Transpose":
        order = tuple(given["perm"].ints) if "perm" in given else tuple(reversed(range(rank)))
        op = replace(op, order=order)
    return op


def _kernel(
    node: Any,  # noqa: ANN401  # of onnx, without types
    given: Mapping[str, Any],
    kernels: Mapping[str, tuple[int, ...]],
) -> tuple[int, ...] | None:
    if "kernel_shape" in given:
        return tuple(given["kernel_shape"].ints)
    slot = 3 if node.op_type == "QLinearConv" else 1
    return (kernels.get(node.input[slot]) or None) if len(node.input) > slot else None
