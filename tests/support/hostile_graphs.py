"""ONNX graphs made to harm, to break a runtime, or to answer with nonsense."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from checkpoints import FREE_2D, double_graph, save_graph, weighted_graph
from hostile_files import Hostile, Yard
from onnx import TensorProto, helper

Make = Callable[[Yard], Path]


def one(op: str, *more: str, weights: dict[str, Any] | None = None, **attributes: Any) -> Make:
    """Make a graph of one operator on the image."""
    held = [(name, np.asarray(value)) for name, value in (weights or {}).items()]

    def make(yard: Yard) -> Path:
        node = helper.make_node(op, ["image", *more], ["out"], **attributes)
        return save_graph(yard.folder / "net.onnx", [node], weights=held)

    return make


def nodes(*given: Sequence[Any], weights: dict[str, Any] | None = None, **keep: Any) -> Make:
    """Make a graph of (operator, inputs, outputs) or (.., attributes)."""
    held = [(name, np.asarray(value)) for name, value in (weights or {}).items()]

    def make(yard: Yard) -> Path:
        made = [helper.make_node(*it[:3], **(it[3] if len(it) > 3 else {})) for it in given]
        return save_graph(yard.folder / "net.onnx", made, weights=held, **keep)

    return make


def edited(change: Callable[[Any], None], *, source: Make | None = None) -> Make:
    """Make a graph whose message was changed; no check of onnx is asked."""

    def make(yard: Yard) -> Path:
        path = source(yard) if source else weighted_graph(yard.folder / "net.onnx")
        model = onnx.load(str(path), load_external_data=False)
        change(model)
        path.write_bytes(model.SerializeToString())
        return path

    return make


def beside(change: Callable[[Any, Yard], None]) -> Make:
    """Make a graph with weights in a file beside it, and change what it announces, or the file."""

    def make(yard: Yard) -> Path:
        path = weighted_graph(yard.folder / "net.onnx", beside="weights.bin")
        model = onnx.load(str(path), load_external_data=False)
        change(model.graph.initializer[0], yard)
        path.write_bytes(model.SerializeToString())
        return path

    return make


def announced(**values: str) -> Make:
    """Announce other external data."""

    def change(tensor: Any, yard: Yard) -> None:
        for key, value in values.items():
            found = [entry for entry in tensor.external_data if entry.key == key]
            entry = found[0] if found else tensor.external_data.add()
            entry.key, entry.value = key, value.replace("SECRET", str(yard.secret))

    return beside(change)


def instead(make_file: Callable[[Path, Yard], None]) -> Make:
    """Put something else where the weights were."""

    def change(tensor: Any, yard: Yard) -> None:
        del tensor
        path = yard.folder / "weights.bin"
        path.unlink()
        make_file(path, yard)

    return beside(change)


def _dims(*dims: int, raw: bytes | None = None, kind: int | None = None) -> Make:
    """Announce other sizes, bytes or types of the weights."""

    def change(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.dims[:] = dims
        if raw is not None:
            tensor.raw_data = raw
        if kind is not None:
            tensor.data_type = kind

    return edited(change)


def _loop(yard: Yard) -> Path:
    """Add zero 2^62 times."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["goes"]),
            helper.make_node("Mul", ["x", "one"], ["y"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, FREE_2D),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, FREE_2D),
        ],
    )
    return save_graph(
        yard.folder / "net.onnx",
        [helper.make_node("Loop", ["often", "go0", "image"], ["out"], body=body)],
        weights=[
            ("often", np.array(2**62)),
            ("go0", np.array(True)),  # noqa: FBT003  # a tensor of one truth
            ("one", np.array(1, np.float32)),
        ],
    )


def _branches(yard: Yard) -> Path:
    """25 branches, each inside the other."""
    kind = helper.make_tensor_value_info("y", TensorProto.FLOAT, FREE_2D)
    inner = helper.make_graph([helper.make_node("Add", ["image", "image"], ["y"])], "g", [], [kind])
    for _ in range(25):
        node = helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([node], "g", [], [kind])
        # only the first branch goes on, or the file doubles with every step
        flat = helper.make_graph(
            [helper.make_node("Add", ["image", "image"], ["y"])], "g", [], [kind]
        )
        inner.node[0].attribute[1].g.CopyFrom(flat)
    last = helper.make_node("If", ["yes"], ["out"], then_branch=inner, else_branch=inner)
    return save_graph(yard.folder / "net.onnx", [last], weights=[("yes", np.array(1, bool))])


def _deep(yard: Yard) -> Path:
    """Two hundred graphs, each inside the other, which no reader needs to follow."""
    content = b""
    for _ in range(200):
        graph = b"\x32" + _length(content) + content  # attribute 6: a graph
        node = b"\x2a" + _length(graph) + graph  # node 5: an attribute
        content = b"\x0a" + _length(node) + node  # graph 1: a node
    path = yard.folder / "net.onnx"
    path.write_bytes(b"\x08\x08\x3a" + _length(content) + content + b"\x42\x00")
    return path


def _length(content: bytes) -> bytes:
    size, out = len(content), b""
    while size >= 0x80:
        out += bytes([size & 0x7F | 0x80])
        size >>= 7
    return out + bytes([size])


def _crumbs(yard: Yard) -> Path:
    """Ten million fields of two bytes."""
    content = b"\x0a\x00" * 10_000_000  # graph 1: an empty node
    path = yard.folder / "net.onnx"
    path.write_bytes(b"\x08\x08\x3a" + _length(content) + content + b"\x42\x00")
    return path


def _chain(yard: Yard) -> Path:
    """Twenty thousand operators, one after the other."""
    names = ["image", *(f"a{i}" for i in range(19_999)), "out"]
    made = [
        helper.make_node("Relu" if i % 2 else "Neg", [names[i]], [names[i + 1]])
        for i in range(20_000)
    ]
    return save_graph(yard.folder / "net.onnx", made)


def _no_inputs(model: Any) -> None:
    del model.graph.input[:]


def _no_graph(model: Any) -> None:
    model.ClearField("graph")


def _version(model: Any) -> None:
    model.ir_version = 9999


def _opset(model: Any) -> None:
    model.opset_import[0].version = 999


def _link_out(path: Path, yard: Yard) -> None:
    path.symlink_to(yard.secret)


def _hard_link(path: Path, yard: Yard) -> None:
    os.link(yard.secret, path)


def _cut_beside(path: Path, yard: Yard) -> None:
    del yard
    path.write_bytes(b"\x00\x00")


def _kept(tensor: Any, yard: Yard) -> None:
    del tensor, yard


_BIG = np.array([1 << 36], np.int64)
_ONES = np.ones((2, 2, 3, 3), np.float32)

BESIDE = (
    Hostile("weights_beside", beside(_kept), "answered"),
    Hostile("weights_missing", instead(lambda *_: None), "refused", "copy that file too"),
    Hostile(
        "weights_short", instead(_cut_beside), "refused", "4 bytes from byte 0 of 'weights.bin'"
    ),
    Hostile("weights_above", announced(location="../outside/secret"), "refused", "must lie in"),
    Hostile(
        "weights_around", announced(location="a/../../outside/secret"), "refused", "must lie in"
    ),
    Hostile("weights_absolute", announced(location="SECRET"), "refused", "must lie in"),
    Hostile("weights_by_link", instead(_link_out), "refused", "a link that leads out"),
    Hostile("weights_by_hard_link", instead(_hard_link), "refused", "a hard link"),
    Hostile(
        "weights_of_a_device",
        instead(lambda path, _: path.symlink_to("/dev/zero")),
        "refused",
        "leads out",
    ),
    Hostile(
        "weights_of_a_pipe", instead(lambda path, _: os.mkfifo(path)), "refused", "regular file"
    ),
    Hostile("weights_of_a_loop", instead(lambda path, _: path.symlink_to(path)), "refused"),
    Hostile("weights_unnamed", announced(location=""), "refused", "must lie in"),
    Hostile(
        "weights_in_memory", announced(location="*/_ORT_MEM_ADDR_/*"), "refused", "must lie in"
    ),
    Hostile("weights_before", announced(offset="-4"), "refused", "positive byte"),
    Hostile("weights_behind", announced(offset="99999999999"), "refused", "cut off"),
    Hostile("weights_endless", announced(length="99999999999"), "refused", "cut off"),
    Hostile("weights_of_words", announced(offset="0x10"), "refused", "is no number"),
)
"""Weights in files beside the graph."""

SHAPES = (
    Hostile("huge_sizes_without_data", _dims(1 << 30, 1 << 30, raw=b""), "unstarted"),
    Hostile("sizes_overflow", _dims(1 << 40, 1 << 40, 1 << 40), "unstarted"),
    Hostile("negative_size", _dims(-1, 1, 1, 1), "unstarted"),
    Hostile("fewer_bytes_than_sizes", _dims(1, 1, 4, 4), "unstarted"),
    Hostile("unknown_type", _dims(1, 1, 1, 1, kind=77), "unstarted"),
    Hostile(
        "terabytes_by_shape",
        nodes(
            ("ConstantOfShape", ["sizes"], ["much"]),
            ("ReduceSum", ["much"], ["sum"], {"keepdims": 0}),
            ("Add", ["image", "sum"], ["out"]),
            weights={"sizes": _BIG},
        ),
        "crashed",
        "more memory",
    ),
    Hostile(
        "terabytes_by_expansion",
        nodes(
            ("Expand", ["image", "sizes"], ["much"]),
            ("ReduceSum", ["much"], ["sum"], {"keepdims": 0}),
            ("Add", ["image", "sum"], ["out"]),
            weights={"sizes": np.array([4096, 4096, 1, 1, 1, 1], np.int64)},
        ),
        "crashed",
        "more memory",
    ),
    Hostile("no_groups", one("Conv", "w", weights={"w": _ONES}, group=0), "rejected"),
    Hostile(
        "no_stride", one("Conv", "w", weights={"w": _ONES[:, :1]}, strides=[0, 0]), "unstarted"
    ),
    Hostile(
        "negative_pads", one("Conv", "w", weights={"w": _ONES[:, :1]}, pads=[-9] * 4), "unstarted"
    ),
    Hostile("flat_weights", one("Conv", "w", weights={"w": np.ones(9, np.float32)}), "unstarted"),
    Hostile("index_beyond", one("Gather", "i", weights={"i": np.array(9)}, axis=1), "rejected"),
)
"""Sizes that do not fit."""

STRUCTURES = (
    Hostile("cycle", nodes(("Add", ["image", "b"], ["a"]), ("Relu", ["a"], ["b"]),
                           ("Relu", ["b"], ["out"])), "unstarted"),
    Hostile("undefined_input", one("Add", "nowhere"), "unstarted"),
    Hostile("unknown_operator", one("Segment"), "unstarted"),
    Hostile("foreign_domain", one("Relu", domain="com.hostile"), "unstarted"),
    Hostile("opset_999", edited(_opset), "unstarted"),
    Hostile("ir_9999", edited(_version), "unstarted"),
    Hostile("no_graph", edited(_no_graph), "refused", "no graph"),
    Hostile("no_inputs", edited(_no_inputs), "unstarted"),
    Hostile("endless_loop", _loop, "timed_out", "no answer within"),
    Hostile("nested_branches", _branches, "answered"),
    Hostile("nested_too_deep", _deep, "refused", "too deep"),
    Hostile("ten_million_fields", _crumbs, "refused", "too many fields", slow=True),
    Hostile("long_chain", _chain, "answered", slow=True),
    Hostile("outputs_of_one_name", nodes(("Relu", ["image"], ["out"]), ("Neg", ["image"], ["out"])),
            "unstarted"),
)  # fmt: skip
"""Graphs that do not hang together."""

ANSWERS = (
    Hostile("nan_weights", one("Add", "w", weights={"w": np.float32("nan")}), "not_finite", "100"),
    Hostile("infinities", one("Div", "w", weights={"w": np.float32(0)}), "not_finite"),
    Hostile(
        "text_for_an_answer",
        one("Cast", to=TensorProto.STRING),
        "unstarted",
    ),
    Hostile(
        "two_graph_inputs",
        edited(
            lambda model: model.graph.input.append(
                helper.make_tensor_value_info("other", TensorProto.FLOAT, FREE_2D)
            )
        ),
        "unstarted",
        "must have one input",
    ),
    Hostile("smaller_answer", one("MaxPool", kernel_shape=[2, 2], strides=[2, 2]), "rejected",
            "of the input"),
    Hostile("drawn_answer", nodes(("RandomNormalLike", ["image"], ["r"]),
                                  ("Add", ["r", "image"], ["out"])), "answered"),
    Hostile(
        "one_by_one",
        lambda yard: double_graph(
            yard.folder / "net.onnx",
            sizes=(1, 1, "y", "x"),
            outputs=[("out", TensorProto.FLOAT, (1, 1, "y", "x"))],
        ),
        "answered",
    ),
    Hostile(
        "another_fixed_size",
        lambda yard: double_graph(
            yard.folder / "net.onnx",
            sizes=(1, 1, 64, 64),
            outputs=[("out", TensorProto.FLOAT, (1, 1, 64, 64))],
        ),
        "rejected",
        "that the graph declares",
    ),
)  # fmt: skip
"""Answers that are none."""

GRAPHS = BESIDE + SHAPES + STRUCTURES + ANSWERS
