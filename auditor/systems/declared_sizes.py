"""Feed a graph that declares type and sizes of its input: a clear refusal, and batches as it wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.systems.answers import Refusal

__all__ = ["as_type", "in_fixed_batches", "require_declared_sizes"]


def as_type(values: NDArray[np.float32], kind: type) -> NDArray[Any]:
    """Cast to the declared type; whole numbers are rounded and stay in its range."""
    if np.issubdtype(kind, np.integer):
        limits = np.iinfo(kind)
        return np.clip(np.rint(values), limits.min, limits.max).astype(kind)
    return values.astype(kind)


def require_declared_sizes(
    declared: Sequence[int | None], fed_shape: Sequence[int], *, ranges: str = ""
) -> None:
    """Say before the runtime does, and better, that sizes do not fit; the batch is fitted later.

    Parameters
    ----------
    declared : sequence of int or None
        With the batch, None where free; empty: nothing declared.
    fed_shape : sequence of int
        With the batch.
    ranges : str
        What else is declared of the free ones, in words.

    Raises
    ------
    Refusal
        When they do not fit.
    """
    if not declared:
        return
    pairs = list(zip(declared, fed_shape, strict=False))[1:]
    if len(declared) != len(fed_shape) or any(want not in (None, is_) for want, is_ in pairs):
        wanted = ", ".join("any" if size is None else str(size) for size in declared)
        msg = (
            f"the input must have the sizes ({wanted}) that the graph declares{ranges}, it was fed "
            f"{tuple(fed_shape)}; see input.channels, input.layout, input.dims, input.size and window"
        )
        raise Refusal(msg)


def in_fixed_batches(
    values: NDArray[Any],
    declared: Sequence[int | None],
    run: Callable[[NDArray[Any]], list[NDArray[Any]]],
) -> list[NDArray[Any]]:
    """Run in the batch that the graph was exported for, when it was for one.

    Parameters
    ----------
    values : (n, ...) of the graph's own type.
    declared : sizes of the input with the batch, None where free; empty: nothing declared.
    run : from a batch to its outputs.

    Returns
    -------
    The outputs for all n.
    """
    fixed = declared[0] if declared else None
    if not fixed or fixed == len(values):
        return run(values)
    parts = []
    for start in range(0, len(values), fixed):
        part = values[start : start + fixed]
        filled = np.concatenate([part, np.repeat(part[-1:], fixed - len(part), axis=0)])
        # an output without a batch axis is kept whole, and then refused for its shape
        parts.append([out[: len(part)] if np.ndim(out) else out for out in run(filled)])
    return [np.concatenate(it) if np.ndim(it[0]) else it[0] for it in zip(*parts, strict=True)]
