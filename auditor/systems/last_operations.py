"""The last operations before an output, and what they say of its activation.

Walked backwards from the output: operators that only move or convert values (transpose, cast, crop,
interpolate ..) are passed, and the axis of a softmax is followed through permutations to the axis of
the output. The first operator that computes decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from auditor.systems.skips.recording import Operation, Recording

__all__ = ["Ending", "ending"]

_MOST = 8

_MOVES = (
    "Identity Cast Transpose Reshape Squeeze Unsqueeze Flatten Dropout Slice Pad Resize Upsample "
    "QuantizeLinear DequantizeLinear "
    "permute transpose view reshape _unsafe_view flatten unflatten squeeze unsqueeze to _to_copy clone "
    "contiguous detach alias lift_fresh dropout feature_dropout slice narrow select pad constant_pad_nd "
    "upsample_bilinear2d upsample_trilinear3d upsample_nearest2d upsample_nearest3d interpolate "
    "dequantize type_as float"
)
_PASSED = frozenset(_MOVES.split())

_MEANING = {
    "softmax": "Softmax softmax _softmax",
    "log_softmax": "LogSoftmax log_softmax _log_softmax",
    "sigmoid": "Sigmoid sigmoid QLinearSigmoid",
    "log_sigmoid": "log_sigmoid log_sigmoid_forward LogSigmoid",
    "argmax": "ArgMax argmax",
    "one_hot": "OneHot one_hot scatter ScatterElements",
    "comparison": "Greater GreaterOrEqual Less LessOrEqual Equal gt ge lt le eq ne",
    "relu": "Relu relu relu6 LeakyRelu leaky_relu Elu elu Softplus softplus PRelu prelu Gelu gelu",
    "clip": "Clip clamp clip clamp_min clamp_max hardtanh",
    "tanh": "Tanh tanh",
    "hard_sigmoid": "HardSigmoid hardsigmoid",
    "rounding": "Round round Floor floor",
    "linear": (
        "Conv ConvTranspose Gemm MatMul Add Sub Mul Concat BatchNormalization InstanceNormalization "
        "QLinearConv AveragePool MaxPool conv1d conv2d conv3d convolution _convolution conv_transpose2d "
        "conv_transpose3d linear matmul addmm add sub mul cat batch_norm instance_norm group_norm "
        "avg_pool2d avg_pool3d max_pool2d max_pool3d"
    ),
}
_OF = {name: meaning for meaning, names in _MEANING.items() for name in names.split()}


@dataclass(frozen=True, slots=True)
class Ending:
    """How an output comes about."""

    operations: tuple[str, ...]
    """Operators before it, the last one first: Transpose, Softmax(axis=1)."""
    meaning: str
    """softmax, log_softmax, sigmoid, log_sigmoid, argmax, one_hot, comparison, relu, clip, tanh,
    hard_sigmoid, rounding, linear; other: an operator without a name here; empty: none was seen."""
    axis: int | None
    """Of the output, along which a softmax or argmax ran; None when it cannot be followed."""


def ending(recording: Recording, output: int) -> Ending:
    """Walk back from an output.

    Parameters
    ----------
    recording : of one forward pass.
    output : its value.

    Returns
    -------
    The last operations.
    """
    made = {value: op for op in recording.operations for value in op.outputs}
    rank = len(recording.values[output].shape)
    axes: tuple[int, ...] | None = tuple(range(rank))
    names: list[str] = []
    value = output
    while (op := made.get(value)) is not None and len(names) < _MOST:
        names.append(op.name if op.axis is None else f"{op.name}(axis={op.axis})")
        plain = op.name if op.name in _OF or op.name in _PASSED else op.name.removesuffix("_")
        if plain == "max" and op.axis is not None and value != op.outputs[0]:
            plain = "argmax"  # the second answer of a maximum along an axis
        if plain not in _PASSED or not op.inputs:
            return Ending(tuple(names), _OF.get(plain, "other"), _followed(op, axes, recording))
        value = op.inputs[0][1]
        axes = _before(op, axes, recording)
    return Ending(tuple(names), "other" if names else "", None)


def _followed(op: Operation, axes: tuple[int, ...] | None, recording: Recording) -> int | None:
    """Follow the axis of an operator to the output; argmax has removed it from there."""
    if op.axis is None or axes is None:
        return None
    if len(recording.values[op.outputs[0]].shape) != len(recording.values[op.inputs[0][1]].shape):
        return op.axis if axes == tuple(range(len(axes))) else None
    return axes[op.axis] if op.axis < len(axes) else None


def _before(
    op: Operation, axes: tuple[int, ...] | None, recording: Recording
) -> tuple[int, ...] | None:
    """Say to which axis of the output each axis of the argument becomes; None when it is mixed."""
    given = recording.values[op.inputs[0][1]].shape
    made = recording.values[op.outputs[0]].shape
    if axes is None or len(given) != len(axes):
        return None
    if op.order is not None:
        turned = [0] * len(axes)
        for result, argument in enumerate(op.order):
            turned[argument] = axes[result]
        return tuple(turned)
    moved = {"reshape", "permute"}
    return None if op.kind in moved and given != made else axes
