"""Masks of clean scans, kept packed: units of one case need not follow each other to share them."""

from __future__ import annotations

import zlib
from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor

__all__ = ["CleanMasks"]

_MOST = 64
"""Masks that are kept; the one that was used longest ago leaves first."""


class CleanMasks:
    """(system, case) -> mask of its clean scan, or None where the system failed there."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], tuple[bytes, str, tuple[int, ...]] | None] = (
            OrderedDict()
        )

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._kept

    def put(self, key: tuple[str, str], labels: Tensor | None) -> None:
        """Keep a mask; label maps shrink to a hundredth, so that dozens take no memory to speak of."""
        if labels is None:
            self._kept[key] = None
        else:
            array = np.ascontiguousarray(labels.cpu().numpy())
            packed = zlib.compress(array.tobytes(), level=1)
            self._kept[key] = (packed, array.dtype.str, array.shape)
        self._kept.move_to_end(key)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)

    def get(self, key: tuple[str, str]) -> Tensor | None:
        """Return a mask, equal to the one that was kept.

        Raises
        ------
        KeyError
            When none is kept.
        """
        kept = self._kept[key]
        self._kept.move_to_end(key)
        if kept is None:
            return None
        packed, dtype, shape = kept
        array = np.frombuffer(bytearray(zlib.decompress(packed)), dtype=dtype)
        return torch.from_numpy(array.reshape(shape))
