"""The two label maps of one pair, from files or arrays, each on its grid."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditor.errors import ConfigError, DataError
from auditor.schema import LARGEST_LABEL, Geometry
from auditor.volumes.geometry import VOXEL_SIDES_MM, is_credible
from auditor.volumes.images import read_mask
from auditor.volumes.label_numbers import whole_labels

__all__ = ["LabelMap", "label_map", "lossy", "name_of", "numbers_in", "same_file"]

LabelMap = str | os.PathLike[str] | NDArray[Any] | Tensor
"""A file, or an array (z, y, x) or (y, x) of label numbers."""


def label_map(
    given: LabelMap, role: str, spacing_mm: Sequence[float] | None
) -> tuple[Tensor, Geometry]:
    """Read a map with its grid; a declared spacing counts where the map has none of its own.

    Parameters
    ----------
    given : file or array
    role : ``reference`` or ``prediction``, for messages
    spacing_mm : along each axis of the array; None: not declared

    Raises
    ------
    DataError
        When it is no label map.
    ConfigError
        When it is neither a path nor an array, or the spacing does not fit.
    """
    if isinstance(given, str | os.PathLike):
        try:
            mask, geometry = read_mask(str(Path(given)))
        except DataError as error:
            msg = f"{role}: {error}"
            raise DataError(msg) from error
        if spacing_mm is not None and geometry.unit == "mm":
            msg = (
                f"spacing_mm must be left out where the files have a spacing, {Path(given).name} has "
                f"{geometry.spacing} mm"
            )
            raise ConfigError(msg)
    else:
        mask = whole_labels(_array(given, role), role)
        ones = (1.0,) * mask.ndim
        geometry = Geometry(shape=tuple(mask.shape), spacing=ones, unit="px")
    if spacing_mm is None:
        return mask, geometry
    try:
        steps = tuple(float(step) for step in spacing_mm)
    except (TypeError, ValueError):
        steps = ()
    if len(steps) != mask.ndim or not is_credible(steps):
        smallest, largest = VOXEL_SIDES_MM
        msg = (
            f"spacing_mm must be {mask.ndim} positive numbers, one for each axis of the {role} in the "
            f"order of the array, from {smallest:g} to {largest:g}, got {spacing_mm!r}"
        )
        raise ConfigError(msg)
    return mask, Geometry(shape=tuple(mask.shape), spacing=steps, unit="mm")


def _array(given: object, role: str) -> NDArray[Any]:
    if isinstance(given, Tensor):
        held = given.detach().cpu()
        given = (held.float() if held.dtype == torch.bfloat16 else held).numpy()
    if not isinstance(given, np.ndarray):
        msg = f"{role} must be a path, a NumPy array or a torch tensor, got {type(given).__name__}"
        raise ConfigError(msg)
    if given.ndim not in {2, 3} or given.size == 0:
        msg = f"{role} must be (z, y, x) or (y, x) with at least one voxel, got shape {given.shape}"
        raise DataError(msg)
    return given


def name_of(given: LabelMap, role: str) -> str:
    """Name a map in what is printed: its file without the folder, or its role."""
    return Path(given).name if isinstance(given, str | os.PathLike) else role


def numbers_in(mask: Tensor) -> frozenset[int]:
    """Find the numbers above 0 that a map holds."""
    seen = np.zeros(LARGEST_LABEL + 1, dtype=np.bool_)
    for plane in mask.numpy():  # sorting all voxels takes seconds
        seen[plane] = True
    return frozenset(int(number) for number in np.flatnonzero(seen)) - {0}


def lossy(names: tuple[str, str]) -> list[str]:
    """Warn of files in a format that changes numbers."""
    return [
        f"{name}: JPEG changes numbers near every border; save label maps as PNG"
        for name in names
        if Path(name).suffix.lower() in {".jpg", ".jpeg"}
    ]


def same_file(reference: LabelMap, prediction: LabelMap) -> list[str]:
    """Warn when one file is scored against itself: every value is then perfect."""
    files = [Path(it) for it in (reference, prediction) if isinstance(it, str | os.PathLike)]
    if len(files) < 2 or not files[0].samefile(files[1]):
        return []
    name = name_of(reference, "reference")
    return [f"{name} is both reference and prediction: a file agrees with itself"]
