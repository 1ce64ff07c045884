"""Voxels around an image that is too small.

**Conventions.** numpy only, so that a child process without torch can import it; images are
``(channel, *sizes)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["pad_with_minimum", "padded"]

_PADDING: dict[str, dict[str, Any]] = {
    "zero": {"mode": "constant", "constant_values": 0.0},
    "edge": {"mode": "edge"},
    "reflect": {"mode": "reflect"},
}


def pad_with_minimum(
    image: NDArray[np.float32], padding: Sequence[tuple[int, int]]
) -> NDArray[np.float32]:
    """Pad each channel of an image with its own minimum.

    Parameters
    ----------
    image : (channel, *sizes).
    padding : voxels before and after, along each spatial axis, none negative.

    Returns
    -------
    (channel, *padded sizes); the image itself when nothing is to be padded.
    """
    if not any(before or after for before, after in padding):
        return image
    sizes = [n + b + a for n, (b, a) in zip(image.shape[1:], padding, strict=True)]
    lowest = image.reshape(image.shape[0], -1).min(axis=1)
    padded = np.empty((image.shape[0], *sizes), dtype=image.dtype)
    padded[:] = lowest.reshape(-1, *([1] * len(sizes)))
    inner = tuple(slice(b, b + n) for n, (b, _) in zip(image.shape[1:], padding, strict=True))
    padded[(slice(None), *inner)] = image
    return padded


def padded(
    image: NDArray[np.float32], padding: Sequence[tuple[int, int]], how: str
) -> NDArray[np.float32]:
    """Pad an image.

    Parameters
    ----------
    image : (channel, *sizes).
    padding : voxels before and after, along each spatial axis, none negative.
    how : minimum (of each channel), zero, edge, or reflect.

    Raises
    ------
    ValueError
        By reflection, for an image of which an axis is no longer than its padding.
    """
    if how == "minimum" or not any(before or after for before, after in padding):
        return pad_with_minimum(image, padding)
    if how == "reflect" and any(
        after >= n for n, (_, after) in zip(image.shape[1:], padding, strict=True)
    ):
        msg = (
            f"an image of sizes {image.shape[1:]} is too small to be padded by reflection; choose "
            "another window.padding"
        )
        raise ValueError(msg)
    return np.pad(image, [(0, 0), *padding], **_PADDING[how])
