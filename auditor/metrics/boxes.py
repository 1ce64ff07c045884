"""Parts of an image: what lies outside a mask's bounding box need not be looked at.

**Conventions.** A box is one slice per axis, never empty. A part is an array cut to its box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "Part", "bounding_box", "cut_out", "shared"]

Box = tuple[slice, ...]
BoolArray = NDArray[np.bool_]
Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Part(Generic[Kind]):
    """An array that is 0 outside its box."""

    box: Box
    """Where it lies in the image."""
    values: NDArray[Kind]
    """The shape of the box."""


def bounding_box(mask: BoolArray) -> Box:
    """Find the smallest box that holds a mask; of an empty one the first voxel's."""
    # One pass adds up the layers; what it finds shortens the second one.
    voxels = mask.view(np.uint8)
    shadow = np.bitwise_or.reduce(voxels, axis=0)
    sides = []
    for axis in range(shadow.ndim):
        others = tuple(other for other in range(shadow.ndim) if other != axis)
        held = np.flatnonzero(shadow.any(axis=others))
        if held.size == 0:
            return (slice(0, 1),) * mask.ndim
        sides.append(slice(int(held[0]), int(held[-1]) + 1))
    column = np.bitwise_or.reduce(voxels[(slice(None), *sides)], axis=1)
    held = np.flatnonzero(column.any(axis=1) if column.ndim > 1 else column)
    return (slice(int(held[0]), int(held[-1]) + 1), *sides)


def cut_out(mask: BoolArray) -> Part[np.bool_]:
    """Cut a mask to its bounding box."""
    box = bounding_box(mask)
    return Part(box, mask[box])


def shared(one: Part[Any], other: Part[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Take of two parts of one image what both hold; arrays without a voxel where nothing is."""
    starts = [max(a.start, b.start) for a, b in zip(one.box, other.box, strict=True)]
    stops = [
        max(start, min(a.stop, b.stop))
        for start, a, b in zip(starts, one.box, other.box, strict=True)
    ]
    first, second = (
        part.values[
            tuple(
                slice(start - its.start, stop - its.start)
                for start, stop, its in zip(starts, stops, part.box, strict=True)
            )
        ]
        for part in (one, other)
    )
    return first, second
