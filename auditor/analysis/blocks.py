"""Columns in blocks of fixed size, on as many threads as there are cores.

The size of a block bounds the memory, and is the same on every machine: whoever computes a block, and in
which order, changes no bit of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

__all__ = ["by_blocks", "threads"]

Floats = NDArray[np.float64]

_MOST = 8
"""Threads at most; each holds some megabytes."""


def threads() -> int:
    """Cores that this process may use, at most eight."""
    able = getattr(os, "sched_getaffinity", None)
    return min(_MOST, len(able(0)) if able else os.cpu_count() or 1)


def by_blocks(
    function: Callable[[Floats], Floats], values: Floats, size: int, *, workers: int | None = None
) -> Floats:
    """Apply a function to the columns in blocks, and join what it returns along the last axis.

    Parameters
    ----------
    function : (patients, some columns) -> (.., the same columns)
        Whose numbers of a column hang on that column alone; NumPy leaves the interpreter free meanwhile.
    values : (patients, columns)
    size : columns of a block
    workers : threads; None: see `threads`

    Returns
    -------
    (.., columns)
        An empty block is computed when there is no column, so that the shape is right.
    """
    blocks = [values[:, i : i + size] for i in range(0, max(1, values.shape[1]), size)]
    workers = min(len(blocks), workers or threads())
    if workers == 1:
        return np.concatenate([function(it) for it in blocks], axis=-1)
    with ThreadPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(function, blocks)), axis=-1)
