"""From what a system answers to a label map.

**Conventions.** *Scores* are what is decided on: one channel per declared label, in the order of
`OutputSpec.labels`, and for softmax before them one channel 0, the *rest*: the strongest class that
is not declared (class 0 is the background, and an audit may look at one organ of fourteen).

* softmax: the largest score wins; equal scores: the rest, then the label declared first.
* sigmoid: foreground from the threshold on; where several labels reach it, the one declared *last*
  wins, so nested regions are declared from the outer to the inner (the rule of nnU-Net's
  ``regions_class_order``).
* labels: voxels that hold a declared number; scores are 0 and 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditor.errors import CheckpointError
from auditor.schema import OutputSpec
from auditor.systems.channels import channels_of
from auditor.volumes.label_numbers import label_type

OUT_OF_RANGE = 1e-2
"""Probabilities may leave [0, 1] by this much (half precision, blending)."""


def has_rest_channel(spec: OutputSpec) -> bool:
    """Tell whether scores start with the strongest undeclared class.

    Parameters
    ----------
    spec : the output contract.

    Returns
    -------
    True for softmax, also when the system gives logits.
    """
    return spec.activation in {"softmax", "logits_softmax"}


def classes_needed(spec: OutputSpec) -> int:
    """Count the channels that the output must have at least.

    Parameters
    ----------
    spec : the output contract.

    Returns
    -------
    1 for label numbers; the largest label number for sigmoid, one more for softmax.
    """
    if spec.activation == "labels":
        return 1
    largest = max(channels_of(spec).values(), default=1)
    return largest + 1 if has_rest_channel(spec) else largest


def scores_of(output: NDArray[Any], spec: OutputSpec) -> Tensor:
    """Turn an answer into scores on the same grid.

    Parameters
    ----------
    output : (class, *sizes): probabilities, logits or, with one class, label numbers.
    spec : the output contract.

    Returns
    -------
    (channel, *sizes) float32, see the module's conventions.

    Raises
    ------
    CheckpointError
        Too few classes, or values that the declared activation cannot give.
    """
    needed = classes_needed(spec)
    count = output.shape[0]
    if count < needed or (spec.activation == "labels" and count != 1):
        msg = (
            f"the output must have {_amount(spec, needed)} for activation {spec.activation!r} and "
            f"labels {dict(spec.labels)}, got {count}"
        )
        raise CheckpointError(msg)
    if spec.activation == "labels":
        numbers = np.rint(output[0])
        if not np.array_equal(numbers, output[0]):
            msg = (
                "output.activation is 'labels', but the output holds numbers that are not whole; "
                "declare softmax, sigmoid or their logits"
            )
            raise CheckpointError(msg)
        return torch.stack(
            [torch.from_numpy((numbers == number).astype(np.float32)) for _, number in spec.labels]
        )
    channels = list(channels_of(spec).values())
    values = _probabilities(torch.from_numpy(np.asarray(output, dtype=np.float32)), spec)
    if not has_rest_channel(spec):
        return values[[channel - 1 for channel in channels]]
    if channels == list(range(1, count)):
        return values
    others = [channel for channel in range(count) if channel not in channels]
    rest = values[others].amax(dim=0, keepdim=True)
    return torch.cat([rest, values[channels]])


def _amount(spec: OutputSpec, needed: int) -> str:
    return "1 channel" if spec.activation == "labels" else f"at least {needed} channels"


def _probabilities(values: Tensor, spec: OutputSpec) -> Tensor:
    if spec.activation == "logits_softmax":
        return values.softmax(dim=0)
    if spec.activation == "logits_sigmoid":
        return values.sigmoid()
    low, high = float(values.min()), float(values.max())
    if low < -OUT_OF_RANGE or high > 1 + OUT_OF_RANGE:
        msg = (
            f"output.activation is {spec.activation!r}, so the output must lie in [0, 1], got "
            f"{low:.4g} to {high:.4g}; declare 'logits_{spec.activation}' if these are logits"
        )
        raise CheckpointError(msg)
    return values.clamp(0, 1)


def decide(probabilities: Tensor, output: OutputSpec) -> Tensor:
    """Decide on one label per voxel.

    Parameters
    ----------
    probabilities : (channel, *spatial): scores as `restore` gives them, also after a warp; or one
        channel per declared label only, when the rest is taken as what is missing from 1.
    output : the output contract.

    Returns
    -------
    (*spatial): the declared label numbers, and 0; int16, or int32 where a number needs it.

    Raises
    ------
    ValueError
        For another number of channels.
    """
    count = len(output.labels)
    device = probabilities.device
    kept = label_type(max(number for _, number in output.labels))
    if "sigmoid" in output.activation:
        _expect(probabilities, {count})
        chosen = torch.zeros(probabilities.shape[1:], dtype=kept, device=device)
        for channel, (_, number) in zip(probabilities, output.labels, strict=True):
            chosen.masked_fill_(channel >= output.threshold, number)
        return chosen
    _expect(probabilities, {count, count + 1} if has_rest_channel(output) else {count})
    if probabilities.shape[0] == count:
        rest = (1 - probabilities.sum(dim=0, keepdim=True)).clamp(min=0)
        probabilities = torch.cat([rest, probabilities])
    # argmax promises nothing about equal values; this keeps the first, hence the background
    best = probabilities[0]
    chosen = torch.zeros(best.shape, dtype=kept, device=device)
    for channel, (_, number) in zip(probabilities[1:], output.labels, strict=True):
        chosen.masked_fill_(channel > best, number)
        best = torch.maximum(best, channel)
    return chosen


def _expect(probabilities: Tensor, counts: set[int]) -> None:
    if probabilities.shape[0] not in counts:
        wanted = " or ".join(map(str, sorted(counts)))
        msg = f"probabilities must have {wanted} channels, got {tuple(probabilities.shape)}"
        raise ValueError(msg)
