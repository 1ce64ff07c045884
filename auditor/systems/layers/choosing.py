"""Which values of a network count as layers, and which of their axes holds the channels.

A layer is a value that a convolution, a product with weights, a normalisation, an activation function, or
a merge of two values made. Views, pooling and resizing only hand on what is there; products of two values
(the scores of an attention) have no channels.

**Channels** stand where `skips.graph` finds them, and on axis 1 of matrices (item, channel). Elsewhere they
stand last where a product with weights or a layer normalisation put them there; other
values of unknown layout are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from auditor.systems.skips.graph import MERGES, Feature, feature_graph
from auditor.systems.skips.recording import Operation, Recording

__all__ = ["MOST_LAYERS", "Layer", "choose_layers"]

MOST_LAYERS = 200
"""Layers of one network; of more only convolutions, products and merges count, spread evenly at last."""

_NORMS = frozenset(
    {"BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization", "LRN",
     "batch_norm", "instance_norm", "group_norm", "layer_norm", "native_batch_norm",
     "native_group_norm", "native_layer_norm", "_native_batch_norm_legit",
     "_native_batch_norm_legit_no_training", "cudnn_batch_norm"}
)  # fmt: skip
_LAYER_NORMS = frozenset({"LayerNormalization", "layer_norm", "native_layer_norm"})
_ACTIVATIONS = frozenset(
    {"Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Mish", "Sigmoid", "HardSigmoid",
     "HardSwish", "Swish", "Tanh", "Softplus", "Softsign", "ThresholdedRelu", "Softmax", "LogSoftmax",
     "QLinearSigmoid", "QLinearLeakyRelu", "relu", "relu6", "leaky_relu", "prelu", "_prelu_kernel",
     "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "log_sigmoid", "hardsigmoid",
     "hardswish", "hardtanh", "tanh", "softplus", "softsign", "threshold", "softmax", "_softmax",
     "log_softmax", "_log_softmax"}
)  # fmt: skip
_SHARES = frozenset({"Softmax", "LogSoftmax", "softmax", "_softmax", "log_softmax", "_log_softmax"})
"""They share one out along an axis, which may be any: they tell nothing of a layout."""
_WEIGHTED = frozenset({"convolution", "product"})


@dataclass(frozen=True, slots=True)
class Layer:
    """One value whose activations are compared."""

    name: str
    """Of the value: in the graph, or operator and call."""
    operator: str
    """That makes it."""
    resolution: tuple[int, ...]
    """Spatial sizes in the recorded pass; empty where the layout is not known."""
    channels: int
    axis: int
    """Of the channels."""
    call: int
    """When its operator ran in the recorded pass."""
    numbers: int
    """Of the whole value, in the recorded pass."""


def choose_layers(recording: Recording, *, most: int = MOST_LAYERS) -> tuple[Layer, ...]:
    """Choose the layers of a network, in the order in which they run.

    Parameters
    ----------
    recording : of one forward pass.
    most : layers at most.

    Returns
    -------
    At most so many layers; none where no value has a known layout.
    """
    features = feature_graph(recording).features
    axes = _channel_axes(features)
    found = []
    for feature, axis in zip(features, axes, strict=True):
        op = feature.operation
        if op is None or axis is None or recording.values[op.outputs[0]] is not feature.value:
            continue
        if _is_layer(feature, op) and math.prod(feature.value.shape) > 0:
            layer = Layer(
                name=feature.value.name,
                operator=op.name,
                resolution=feature.sizes,
                channels=feature.value.shape[axis],
                axis=axis,
                call=op.call,
                numbers=math.prod(feature.value.shape),
            )
            found.append((layer, op.kind in _WEIGHTED or op.kind in MERGES))
    if len(found) > most:
        found = [it for it in found if it[1]]
    layers = [layer for layer, _ in found]
    if len(layers) > most:
        layers = [layers[i] for i in np.linspace(0, len(layers) - 1, most).round().astype(int)]
    return tuple(layers)


def _is_layer(feature: Feature, op: Operation) -> bool:
    plain = op.name if op.name in _ACTIVATIONS else op.name.rstrip("_")
    if op.kind == "product":
        return len(op.inputs) == 1
    if op.kind in MERGES:
        return len({parent for _, parent in feature.parents}) > 1
    return op.kind == "convolution" or plain in _NORMS or plain in _ACTIVATIONS


def _channel_axes(features: tuple[Feature, ...]) -> list[int | None]:
    """Find the axis of the channels of each feature; None where it is not known."""
    axes: list[int | None] = []
    last: set[int] = set()
    for place, feature in enumerate(features):
        rank = len(feature.value.shape)
        if feature.channel_axis is not None or rank == 2:
            axes.append(feature.channel_axis or 1)
            continue
        if rank > 2 and _puts_channels_last(feature, features, last):
            last.add(place)
            axes.append(rank - 1)
            continue
        axes.append(None)
    return axes


def _puts_channels_last(feature: Feature, features: tuple[Feature, ...], last: set[int]) -> bool:
    op = feature.operation
    if op is None or op.name in _SHARES:
        return False
    if op.name in _LAYER_NORMS or (op.kind == "product" and len(op.inputs) == 1):
        return True
    same = [p for _, p in feature.parents if features[p].value.shape == feature.value.shape]
    return op.kind in {"pointwise", "merge"} and any(parent in last for parent in same)
