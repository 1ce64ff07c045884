"""ONNX graphs of networks with and without skip connections, drawn by hand; torch is not needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from checkpoints import FREE_2D, Sizes, save_graph
from numpy.typing import NDArray
from onnx import helper

CHANNELS = {"first": (3, 1), "second": (5, 3), "low": (7, 5), "after": (5, 10), "last": (2, 6)}
"""Channels out and in of each convolution of `u_net_graph`."""


def weights(names: dict[str, tuple[int, int]]) -> list[tuple[str, NDArray[Any]]]:
    rng = np.random.default_rng(0)
    return [
        (f"w_{name}", rng.standard_normal((made, given, 3, 3), dtype=np.float32))
        for name, (made, given) in names.items()
    ]


def conv(name: str, given: str) -> Any:
    return helper.make_node("Conv", [given, f"w_{name}"], [name], pads=[1] * 4, name=name)


def pool(name: str, given: str) -> Any:
    return helper.make_node("MaxPool", [given], [name], kernel_shape=[2, 2], strides=[2, 2])


def grown(name: str, given: str) -> Any:
    return helper.make_node("Resize", [given, "", "twice"], [name], mode="nearest")


def u_net_graph(
    path: Path, *, joins: bool = True, sizes: Sizes = FREE_2D, beside: str = "", **names: str
) -> Path:
    """Write a U-Net of three levels with 3, 5 and 7 channels; without its skips an autoencoder.

    Parameters
    ----------
    names : other names of its values.
    """
    # a constant of the graph itself: onnxruntime reads the factors of a Resize from no other file
    twice = helper.make_node("Constant", [], ["twice"], value_floats=[1.0, 1.0, 2.0, 2.0])
    shrink = {"up_low": (5, 7), "up": (3, 5)}
    given = dict(CHANNELS)
    if not joins:
        given |= {"after": (5, 5), "last": (2, 3)}

    def joined(high: str, low: str, name: str) -> Any:
        parts = [high, low] if joins else [low]
        return helper.make_node("Concat", parts, [name], axis=1)

    nodes = [
        twice,
        conv("first", "image"),
        pool("half", "first"),
        conv("second", "half"),
        pool("quarter", "second"),
        conv("low", "quarter"),
        conv("up_low", "low"),
        grown("back_low", "up_low"),
        joined("second", "back_low", "both_low"),
        conv("after", "both_low"),
        conv("up", "after"),
        grown("back", "up"),
        joined("first", "back", "both"),
        conv("last", "both"),
        helper.make_node("Sigmoid", ["last"], ["out"]),
    ]
    for node in nodes:
        node.input[:] = [names.get(it, it) for it in node.input]
        node.output[:] = [names.get(it, it) for it in node.output]
    outputs = (("out", 1, (sizes[0], 2, *sizes[2:])),)
    held = weights(given | shrink)
    return save_graph(path, nodes, sizes=sizes, outputs=outputs, weights=held, beside=beside)
