"""Put nodes into an ONNX graph that replace some of its values; in the child only.

Every node stands between a value and those of its consumers that are meant; everything else goes on with the
value. The nodes are those of opset 11 (with the axes of a mean where later opsets have them), no size and no
batch is written into them, and weights beside the graph stay there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.schema import AblationSpec
from auditor.systems.ablation.patching import Replaced
from auditor.systems.ablation.replacing import NORMALS, gaussian_kernel, normals, strength_of
from auditor.systems.answers import Refusal

__all__ = ["keeping_graph", "kept_names", "other_names", "replacing_graph"]

_OLDEST_OPSET = 11
_CASTS_ONLY = "bfloat16"
"""What onnxruntime on a CPU can move and cast and no more, nor hand over to numpy."""
_AXES_ARE_INPUTS = 18
"""First opset in which a mean takes its axes as an input."""


def replacing_graph(
    model: Any,  # noqa: ANN401  # of onnx, without types
    values: Sequence[Replaced],
    spec: AblationSpec,
    kinds: Mapping[str, np.dtype[Any]] | None = None,
) -> Any:  # noqa: ANN401
    """Return a graph in which values are replaced.

    Parameters
    ----------
    model : ModelProto; it is not changed.
    values : that are replaced, as `values_to_replace` found them in a recording of this graph.
    spec : by what. ``image``: by new inputs of the graph, `other_names`.
    kinds : types of these inputs by their names, for ``image``.

    Returns
    -------
    ModelProto.

    Raises
    ------
    Refusal
        For an opset before 11.
    """
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    opset = _opset(made)
    others = dict(zip(values, other_names(model, values), strict=True))
    before: dict[int, list[Any]] = {}
    for value, other in others.items():
        taken = other
        if spec.by == "image":
            kind = onnx.helper.np_dtype_to_tensor_dtype((kinds or {})[other])
            info = onnx.helper.make_tensor_value_info(other, kind, [None] * value.rank)
            made.graph.input.append(info)
            if value.dtype == _CASTS_ONLY:
                to = onnx.TensorProto.BFLOAT16
                narrow = onnx.helper.make_node("Cast", [other], [f"{other}.narrow"], to=to)
                before.setdefault(0, []).append(narrow)
                taken = narrow.output[0]
        else:
            nodes = _Nodes(other, opset)
            nodes.replace(value, spec)
            before.setdefault(_after(made.graph, value.name), []).extend(nodes.made)
        for place in value.places:
            node = made.graph.node[place.call]
            if place.slot >= len(node.input) or node.input[place.slot] != value.name:
                msg = f"node {place.call} of the graph does not take {value.name[:80]}"
                raise ValueError(msg)
            node.input[place.slot] = taken
    nodes_in_order = [
        node
        for call in range(len(made.graph.node) + 1)
        for node in [*before.get(call, ()), *made.graph.node[call : call + 1]]
    ]
    copied = [onnx.NodeProto() for _ in nodes_in_order]
    for copy, node in zip(copied, nodes_in_order, strict=True):
        copy.CopyFrom(node)
    del made.graph.node[:]
    made.graph.node.extend(copied)
    return made


def keeping_graph(model: Any, values: Sequence[Replaced]) -> Any:  # noqa: ANN401  # of onnx, without types
    """Return what of a graph makes some of its values, which it returns under `kept_names`.

    Parameters
    ----------
    model : ModelProto; it is not changed.
    values : as of `replacing_graph`.
    """
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    needed = {value.name for value in values}
    kept = []
    for node in reversed(list(made.graph.node)):
        if needed.intersection(node.output):
            needed.update(_read_by(node))
            kept.append(node)
    nodes = [onnx.NodeProto() for _ in kept]
    for copy, node in zip(nodes, reversed(kept), strict=True):
        copy.CopyFrom(node)
    del made.graph.node[:]
    del made.graph.output[:]
    made.graph.node.extend(nodes)
    for value, name in zip(values, kept_names(model, values), strict=True):
        wide = value.dtype == _CASTS_ONLY
        to: dict[str, Any] = {"to": onnx.TensorProto.FLOAT} if wide else {}
        node = onnx.helper.make_node("Cast" if wide else "Identity", [value.name], [name], **to)
        made.graph.node.append(node)
        made.graph.output.append(onnx.ValueInfoProto(name=name))
    return made


def other_names(model: Any, values: Sequence[Replaced]) -> list[str]:  # noqa: ANN401  # of onnx
    """Name what takes the place of each value; no name of the graph begins alike.

    Parameters
    ----------
    model : ModelProto.
    values : in their order.
    """
    prefix = _free_prefix(model)
    return [f"{prefix}.{value.skip}.{value.number}" for value in values]


def kept_names(model: Any, values: Sequence[Replaced]) -> list[str]:  # noqa: ANN401  # of onnx
    """Name the values that are kept of another image.

    Parameters
    ----------
    model : ModelProto.
    values : in their order.
    """
    return [f"{name}.kept" for name in other_names(model, values)]


class _Nodes:
    """Writes the nodes that make one value of another; all their names begin with its name."""

    def __init__(self, name: str, opset: int) -> None:
        self._name, self._opset = name, opset
        self.made: list[Any] = []

    def replace(self, value: Replaced, spec: AblationSpec) -> None:
        """Write the nodes of one replacement, which see what the value is when it arrives."""
        b, kind = value.name, np.dtype(value.dtype)
        if spec.by == "zero":
            import onnx

            zero = onnx.numpy_helper.from_array(np.zeros(1, kind))
            self._op("ConstantOfShape", [self._op("Shape", [b])], self._name, value=zero)
            return
        if spec.by == "dose" and value.dtype != _CASTS_ONLY:
            self._op("Mul", [b, self._constant(np.asarray(strength_of(spec), kind))], self._name)
            return
        wide = np.dtype(np.float64 if kind == np.float64 and spec.by != "blur" else np.float32)
        x = b if kind == wide else self._cast(b, wide)
        if spec.by == "dose":
            factor = self._constant(np.asarray(strength_of(spec), wide))
            self._cast(self._op("Mul", [x, factor]), kind, self._name)
            return
        if value.channel_axis != 1:
            x = self._op("Transpose", [x], perm=_moved(value.rank, value.channel_axis, 1))
        if spec.by == "mean":
            answer = self._op("Expand", [self._mean(x, value.rank), self._op("Shape", [x])])
        elif spec.by == "blur":
            answer = self._blurred(x, value.rank, strength_of(spec))
        else:
            field = normals(spec.seed, value.skip, value.number).astype(wide)
            answer = self._noisy(x, value.rank, strength_of(spec), field)
        if value.channel_axis != 1:
            answer = self._op("Transpose", [answer], perm=_moved(value.rank, 1, value.channel_axis))
        self._cast(answer, kind, self._name)

    def _mean(self, x: str, rank: int) -> str:
        axes = list(range(2, rank))
        if self._opset < _AXES_ARE_INPUTS:
            return self._op("ReduceMean", [x], axes=axes, keepdims=1)
        return self._op("ReduceMean", [x, self._whole(*axes)], keepdims=1)

    def _noisy(self, x: str, rank: int, strength: float, field: NDArray[Any]) -> str:
        off = self._op("Sub", [x, self._mean(x, rank)])
        sd = self._op("Sqrt", [self._mean(self._op("Mul", [off, off]), rank)])
        by = self._op("Mul", [sd, self._constant(np.asarray(strength, field.dtype))])
        item = self._op("Slice", [self._op("Shape", [x]), self._whole(1), self._whole(rank)])
        count = self._op("ReduceProd", [item], keepdims=1)
        up = self._op("Add", [count, self._whole(NORMALS - 1)])
        times = self._op("Div", [up, self._whole(NORMALS)])
        long = self._op("Tile", [self._constant(field), times])
        cut = self._op("Slice", [long, self._whole(0), count])
        shape = self._op("Concat", [self._whole(1), item], axis=0)
        noise = self._op("Mul", [by, self._op("Reshape", [cut, shape])])
        return self._op("Add", [x, noise])

    def _blurred(self, x: str, rank: int, sigma: float) -> str:
        kernel = gaussian_kernel(sigma)
        radius, axes = len(kernel) // 2, rank - 2
        shape = self._op("Shape", [x])
        space = self._op("Slice", [shape, self._whole(2), self._whole(rank)])
        # items and channels one after the other, each blurred by itself
        alone = self._op("Reshape", [x, self._op("Concat", [self._whole(-1, 1), space], axis=0)])
        for axis in range(axes):
            side = [radius if i == axis + 2 else 0 for i in range(rank)]
            wide = self._op("Pad", [alone, self._whole(*side, *side)], mode="edge")
            weights = kernel.reshape(1, 1, *(-1 if i == axis else 1 for i in range(axes)))
            alone = self._op("Conv", [wide, self._constant(weights)])
        return self._op("Reshape", [alone, shape])

    def _cast(self, x: str, kind: np.dtype[Any], name: str = "") -> str:
        import onnx

        return self._op("Cast", [x], name, to=onnx.helper.np_dtype_to_tensor_dtype(kind))

    def _whole(self, *numbers: int) -> str:
        return self._constant(np.array(numbers, np.int64))

    def _constant(self, array: NDArray[Any]) -> str:
        import onnx

        # a node: initializers of old files must be inputs, too
        return self._op("Constant", [], value=onnx.numpy_helper.from_array(array))

    def _op(self, operator: str, given: Sequence[str], name: str = "", **attributes: Any) -> str:  # noqa: ANN401
        import onnx

        name = name or f"{self._name}.{len(self.made)}"
        node = onnx.helper.make_node(operator, list(given), [name], name=name, **attributes)
        self.made.append(node)
        return name


def _moved(rank: int, source: int, target: int) -> list[int]:
    """Return the permutation that moves one axis."""
    order = [axis for axis in range(rank) if axis != source]
    order.insert(target, source)
    return order


def _opset(model: Any) -> int:  # noqa: ANN401  # of onnx, without types
    found = max(
        (it.version for it in model.opset_import if it.domain in {"", "ai.onnx"}), default=0
    )
    if found < _OLDEST_OPSET:
        msg = (
            f"the graph must be of opset {_OLDEST_OPSET} or later for an ablation, it is of {found}; "
            "export the model anew"
        )
        raise Refusal(msg)
    return int(found)


def _after(graph: Any, name: str) -> int:  # noqa: ANN401  # of onnx, without types
    """Return the number of the node before which a value is there."""
    for call, node in enumerate(graph.node):
        if name in node.output:
            return call + 1
    return 0


def _free_prefix(model: Any) -> str:  # noqa: ANN401  # of onnx, without types
    prefix = "segaudit.ablated"
    taken = set(_all_names(model.graph))
    while any(name.startswith(prefix) for name in taken):
        prefix += "_"
    return prefix


def _all_names(graph: Any) -> Iterator[str]:  # noqa: ANN401  # of onnx, without types
    yield from (str(it.name) for it in (*graph.input, *graph.output, *graph.initializer))
    for node in graph.node:
        yield from map(str, (node.name, *node.input, *node.output))
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _all_names(body)


def _read_by(node: Any) -> Iterator[str]:  # noqa: ANN401  # of onnx, without types
    """Yield the inputs of a node, and whatever its bodies name."""
    yield from map(str, node.input)
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            yield from _all_names(body)
