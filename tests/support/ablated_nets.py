"""Networks in which it is known by hand what a skip connection carries and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoints import FREE_2D, Sizes, save_graph
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from typing_extensions import override


class OneSkip(nn.Module):
    """Twice the image skips, beside a way down and up; the answer weighs both.

    Parameters
    ----------
    skip, deep : weights of what skips and of what came up again.
    dims : axes of space.
    """

    def __init__(self, skip: float = 1.0, deep: float = 0.0, *, dims: int = 2) -> None:
        super().__init__()
        conv: Any = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
        pool: Any = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[dims - 1]
        self.first, self.low = conv(1, 1, 1, bias=False), conv(1, 1, 1, bias=False)
        self.last = conv(2, 1, 1, bias=False)
        self.down, self.up = pool(2), nn.Upsample(scale_factor=2.0)
        with torch.no_grad():
            self.first.weight.fill_(2.0)
            self.low.weight.fill_(1.0)
            self.last.weight.copy_(torch.tensor([skip, deep]).reshape(1, 2, *[1] * dims))

    @override
    def forward(self, x: Tensor) -> Tensor:
        b = self.first(x)
        deep = self.up(self.low(self.down(b)))
        answer: Tensor = self.last(torch.cat([b, deep], dim=1))
        return answer


def one_skip_graph(
    path: Path,
    *,
    skip: float = 1.0,
    deep: float = 0.0,
    sizes: Sizes = FREE_2D,
    kind: type = np.float32,
    opset: int = 17,
    beside: str = "",
) -> Path:
    """Write `OneSkip` in 2-D as a graph."""

    def weights(*values: float) -> NDArray[Any]:
        return np.array(values, kind).reshape(1, -1, 1, 1)

    of = TensorProto.FLOAT16 if kind is np.float16 else TensorProto.FLOAT
    # as nodes, because sizes must be known before weights beside the graph are read
    sizing = {"scales": np.array([1, 1, 2, 2], np.float32), "roi": np.zeros(0, np.float32)}
    nodes = [
        *(
            helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values))
            for name, values in sizing.items()
        ),
        helper.make_node("Conv", ["image", "two"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["down"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["down", "one"], ["low"]),
        helper.make_node(
            "Resize",
            ["low", "roi", "scales"],
            ["up"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        helper.make_node("Concat", ["b", "up"], ["joined"], axis=1),
        helper.make_node("Conv", ["joined", "last"], ["out"]),
    ]
    given = [
        ("two", weights(2)),
        ("one", weights(1)),
        ("last", weights(skip, deep)),
    ]
    return save_graph(
        path, nodes, sizes=sizes, outputs=[("out", of, sizes)], weights=given, kind=of,
        beside=beside, opset=opset,
    )  # fmt: skip


def blurred_by_hand(
    image: NDArray[np.float32], sigma: float, blur: Callable[..., Any]
) -> NDArray[np.float64]:
    """Blur each channel of each item by somebody else's filter."""
    answer = np.empty(image.shape)
    for place in np.ndindex(*image.shape[:2]):
        answer[place] = blur(image[place].astype(float), sigma, mode="nearest", truncate=4.0)
    return answer
