"""Which numbers a label map may hold, and how it is kept in memory.

**Conventions.** Labels are whole numbers from 0 to 65535, what the formats of label maps hold. A map is
kept as int16 as long as its numbers fit, which is nearly always, and as int32 otherwise; comparing
either with a number is right for all of them, and `auditor.execution.scoring.mask_digest` does not
depend on which it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.errors import DataError
from auditor.schema import LARGEST_LABEL

__all__ = ["ROUNDING", "label_type", "whole_labels"]

ROUNDING = 1e-3
"""How far a floating-point number may lie from a whole one: what scale factors of a header leave."""

_LARGEST_SHORT = 32767


def label_type(largest: int) -> torch.dtype:
    """Choose how a label map is kept.

    Parameters
    ----------
    largest : int
        The largest label number that it may hold.

    Examples
    --------
    >>> label_type(4), label_type(40000)
    (torch.int16, torch.int32)
    """
    return torch.int16 if largest <= _LARGEST_SHORT else torch.int32


def whole_labels(values: NDArray[Any], name: str) -> torch.Tensor:
    """Take an array for a label map.

    Parameters
    ----------
    values : array of any shape
        Whole numbers of any type, also floating-point ones within `ROUNDING` of a whole number, or
        truth values.
    name : str
        Of the file or argument, for the message.

    Returns
    -------
    The same shape, int16 or int32, see `label_type`.

    Raises
    ------
    DataError
        When a value is not finite, negative, above 65535 or no whole number; it is named.
    """
    must = f"a mask must hold whole label numbers from 0 to {LARGEST_LABEL}"
    if values.dtype.kind not in "biuf":
        msg = f"{must}, {name} holds values of the type {values.dtype}"
        raise DataError(msg)
    low, high = (values.min(), values.max()) if values.size else (0, 0)
    if not (np.isfinite(low) and np.isfinite(high)):  # NaN is the smallest and the largest of all
        bad = int(np.count_nonzero(~np.isfinite(values)))
        msg = f"{must}, {name} holds NaN or infinity in {bad} of {values.size} voxels"
        raise DataError(msg)
    if low <= -0.5 or high >= LARGEST_LABEL + 0.5:
        told = f"{low:.10g}" if low <= -0.5 else f"{high:.10g}"
        msg = f"{must}, {name} holds {told} (its values run from {low:.10g} to {high:.10g})"
        raise DataError(msg)
    kept = np.int16 if label_type(round(float(high))) is torch.int16 else np.int32
    whole = values.astype(kept)
    if values.dtype.kind == "f" and not np.array_equal(whole, values):
        whole = _rounded(values, must, name).astype(kept)
    return torch.from_numpy(np.ascontiguousarray(whole))


def _rounded(values: NDArray[Any], must: str, name: str) -> NDArray[Any]:
    """Round what lies near enough to a whole number, and refuse the rest."""
    whole: NDArray[Any] = np.rint(values)
    apart = np.abs(whole - values) > ROUNDING
    if bad := int(np.count_nonzero(apart)):
        first = values.reshape(-1)[int(np.argmax(apart))]
        msg = (
            f"{must}, {name} holds {first:.6g}, and {bad} of {values.size} voxels are no whole numbers; is "
            "it an image, or a map of probabilities?"
        )
        raise DataError(msg)
    return whole
