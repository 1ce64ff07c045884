"""From what a model returns to one array: which output, which axis holds the channels.

**Conventions.** numpy only, so that a child without torch can use it. Fed batches are (n, channel,
*sizes) and answers (n, class, *sizes); integer answers are label numbers with one class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.schema import InputSpec, OutputSpec

__all__ = ["Refusal", "chosen", "fed"]


class Refusal(Exception):
    """The model and its contract do not fit; the message says what must be and what was."""


def fed(batch: NDArray[np.float32], spec: InputSpec) -> NDArray[np.float32]:
    """Put the channel axis where the model wants it."""
    if spec.layout == "channel_last":
        return np.ascontiguousarray(np.moveaxis(batch, 1, -1))
    return batch


def chosen(
    outputs: Sequence[tuple[str, NDArray[Any]]], spec: OutputSpec, batch: NDArray[np.float32]
) -> NDArray[Any]:
    """Choose one output and bring it to (n, class, *sizes).

    Parameters
    ----------
    outputs : sequence of (name, array)
        What the model returned, in order.
    spec : OutputSpec
        The output by number or name; None: the first with the sizes of the input.
    batch : (n, channel, *sizes)
        What it was asked.

    Raises
    ------
    Refusal
        When no output fits.
    """
    if not outputs:
        msg = "the model must return a tensor of numbers, it returned none"
        raise Refusal(msg)
    if spec.index is None:
        fitting = [
            shaped for _, array in outputs if (shaped := _shaped(array, spec, batch)) is not None
        ]
        if fitting:
            return fitting[0]
        told = ", ".join(str(array.shape) for _, array in outputs)
        msg = (
            f"an output must have {batch.shape[0]} items and the sizes {batch.shape[2:]} of the input, "
            f"the model returned {told}; see output.layout, output.index and input.divisor"
        )
        raise Refusal(msg)
    name, array = _indexed(outputs, spec.index)
    shaped = _shaped(array, spec, batch)
    if shaped is None:
        msg = (
            f"output {name} must have {batch.shape[0]} items and the sizes {batch.shape[2:]} of the "
            f"input, it has the shape {array.shape}"
        )
        raise Refusal(msg)
    return shaped


def _indexed(
    outputs: Sequence[tuple[str, NDArray[Any]]], index: int | str
) -> tuple[str, NDArray[Any]]:
    named = dict(outputs)
    if isinstance(index, str) and index in named:
        return index, named[index]
    if isinstance(index, int) and 0 <= index < len(outputs):
        return outputs[index]
    known = ", ".join(named)
    msg = f"output.index must be one of {known} or from 0 to {len(outputs) - 1}, was {index!r}"
    raise Refusal(msg)


def _label_numbers(array: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers as integers, so that windows never average them; others are left to be refused."""
    if array.dtype.kind == "f" and np.array_equal(array, np.rint(array)):
        return np.ascontiguousarray(array, dtype=np.int32)
    return np.ascontiguousarray(array)


def _shaped(
    array: NDArray[Any], spec: OutputSpec, batch: NDArray[np.float32]
) -> NDArray[Any] | None:
    """(n, class, *sizes), or None when it does not fit."""
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iuf":
        return None
    sizes = batch.shape[2:]
    if array.shape == (batch.shape[0], *sizes):
        array = array[:, None]
    elif spec.layout == "channel_last" and array.ndim == batch.ndim:
        array = np.moveaxis(array, -1, 1)
    if array.ndim != batch.ndim or (array.shape[0], *array.shape[2:]) != (batch.shape[0], *sizes):
        return None
    if spec.activation == "labels":
        return _label_numbers(array)
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array, dtype=np.float32)
    # a model that was declared to give scores and gives whole numbers is still averaged as scores
    return np.ascontiguousarray(array, dtype=np.float32)
