"""What one forward pass of a network did: its values and its operations, whatever the format.

**Conventions.** Values and operations stand in the order in which they were made. A value is told by its
place in the record. ``call`` counts every operator that ran, also those left out of the record, so that
a second pass can find the same one again; ``slot`` counts the tensors among its arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Kind", "Operation", "Recording", "Value"]

Kind = Literal[
    "convolution",
    "product",
    "spatial",
    "crop",
    "pointwise",
    "merge",
    "concat",
    "reshape",
    "permute",
    "other",
]
"""What an operator means to the layout of its values: the last axes of what goes into and comes out of
*convolution* and *spatial* (pooling, resizing, normalisation) are space; *crop* keeps the number of
axes, *pointwise* and *merge* (of two values) also the sizes, *concat* joins along its axis; *product* is a
product of matrices."""


@dataclass(frozen=True, slots=True)
class Value:
    """One tensor."""

    name: str
    """In the graph; of a traced program its operator and call: conv2d#12."""
    shape: tuple[int, ...]
    """In this pass."""
    dtype: str
    """float32, int64 .."""
    feature: bool
    """It holds features: floating-point numbers, or 8 bits of a quantised network. Shapes, indices
    and masks do not count as ways through a network."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operator that ran."""

    name: str
    """Conv, conv2d .."""
    kind: Kind
    """What it means to the layout."""
    inputs: tuple[tuple[int, int], ...]
    """(slot, value) of each argument that depends on the input of the network."""
    outputs: tuple[int, ...]
    """Values that it made."""
    call: int
    """When it ran, from 0."""
    axis: int | None = None
    """Of a softmax, argmax or concat, from 0."""
    order: tuple[int, ...] | None = None
    """Of a permutation: axis i of the result is axis order[i] of the argument."""
    kernel: tuple[int, ...] | None = None
    """Of a convolution, in voxels; None where it is not known."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One forward pass."""

    values: tuple[Value, ...]
    """Of the input and of everything that depends on it."""
    operations: tuple[Operation, ...]
    """In the order in which they ran."""
    inputs: tuple[int, ...]
    """Values that were fed."""
    outputs: tuple[tuple[str, int], ...]
    """(name, value) of what the network returned."""
    channel_last: bool = False
    """The input has its channels last."""
