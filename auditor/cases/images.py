"""Read images and masks through SimpleITK: NIfTI, NRRD, MetaImage, PNG, TIFF.

**Conventions.** Arrays are (z, y, x) or (y, x); SimpleITK tells sizes, spacing and direction in the
order x, y, z, so every tuple is reversed here, once. `Geometry.direction` holds one LPS+ unit vector
per *array* axis: the reversed columns of SimpleITK's direction matrix. PNG and TIFF have no
physical spacing of their own that can be believed; their unit of length is the pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813  # its own documentation's name
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditor.cases.geometry import difference
from auditor.errors import DataError
from auditor.schema import Geometry

__all__ = ["read_mask", "read_volume"]

_PIXEL_FORMATS = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")


def read_volume(paths: Sequence[str]) -> tuple[Tensor, Geometry]:
    """Read one scan.

    Parameters
    ----------
    paths : sequence of str
        One file (of one or several channels), or one file per channel.

    Returns
    -------
    image : (channel, z, y, x) or (channel, y, x), float32
    geometry : Geometry

    Raises
    ------
    DataError
        When a file is missing, unreadable, holds NaN, has another number of axes than 2 or 3, or the
        channels do not lie on one grid.
    """
    channels: list[NDArray[np.float32]] = []
    geometry: Geometry | None = None
    for path in paths:
        array, found = _read(path)
        if geometry is not None and (told := difference(geometry, found)):
            msg = f"the channels of a scan must lie on one grid: {Path(path).name} differs: {told}"
            raise DataError(msg)
        geometry = geometry or found
        channels += list(array.astype(np.float32))
    if geometry is None:
        msg = "a scan needs at least one file, got none"
        raise DataError(msg)
    image = torch.from_numpy(np.ascontiguousarray(np.stack(channels)))
    if not bool(torch.isfinite(image).all()):
        share = 1.0 - float(torch.isfinite(image).float().mean())
        msg = (
            f"image must be finite, {Path(paths[0]).name} holds NaN or infinite values in "
            f"{share:.2%} of its voxels; replace them (by air, for instance) before the audit"
        )
        raise DataError(msg)
    return image, geometry


def read_mask(path: str) -> tuple[Tensor, Geometry]:
    """Read one mask of label numbers.

    Returns
    -------
    mask : (z, y, x) or (y, x), int16
    geometry : Geometry

    Raises
    ------
    DataError
        When the file is missing, unreadable, has several channels, or values that are no whole
        numbers.
    """
    array, geometry = _read(path)
    if len(array) != 1:
        msg = f"a mask must have one channel, {Path(path).name} has {len(array)}"
        raise DataError(msg)
    whole = array[0].astype(np.int16)
    if not np.array_equal(whole, array[0]):
        msg = f"a mask must hold whole label numbers, {Path(path).name} holds others"
        raise DataError(msg)
    return torch.from_numpy(np.ascontiguousarray(whole)), geometry


def _read(path: str) -> tuple[NDArray[Any], Geometry]:
    """Return (channel, *spatial) and the geometry."""
    file = Path(path)
    _refuse_twin(file)
    if not file.is_file():
        msg = f"image must be a file, {file.name} is missing"
        raise DataError(msg)
    try:
        sitk.ProcessObject.SetGlobalWarningDisplay(flag=False)
        image = sitk.ReadImage(path)
    except RuntimeError as error:
        told = next((line for line in str(error).splitlines() if "rror" in line), "unknown format")
        msg = (
            f"image must be NIfTI, NRRD, MetaImage, PNG or TIFF; {file.name} cannot be read "
            f"({told.strip()[:160]})"
        )
        raise DataError(msg) from error
    array = np.asarray(sitk.GetArrayFromImage(image))
    array = array[None] if image.GetNumberOfComponentsPerPixel() == 1 else np.moveaxis(array, -1, 0)
    dims = image.GetDimension()
    pixels = file.suffix.lower() in _PIXEL_FORMATS
    if dims == 3 and pixels and array.shape[1] == 1:
        array, dims = array[:, 0], 2
    if dims not in (2, 3):
        msg = f"image must have 2 or 3 axes, {file.name} has {dims}; give one file per time or channel"
        raise DataError(msg)
    if pixels:
        return array, Geometry(shape=array.shape[1:], spacing=(1.0,) * dims, unit="px")
    matrix = np.asarray(image.GetDirection()).reshape(dims, dims)
    geometry = Geometry(
        shape=tuple(int(size) for size in array.shape[1:]),
        spacing=tuple(float(value) for value in image.GetSpacing()[::-1]),
        direction=tuple(tuple(float(v) for v in matrix[:, axis]) for axis in reversed(range(dims))),
        origin=tuple(float(value) for value in image.GetOrigin()),
        unit="mm",
    )
    return array, geometry


def _refuse_twin(file: Path) -> None:
    """SimpleITK reads ``p.nii`` when asked for ``p.nii.gz`` and both exist: another image."""
    name = file.name
    twin = file.with_name(name[:-3] if name.endswith(".nii.gz") else f"{name}.gz")
    if name.endswith((".nii", ".nii.gz")) and twin.exists() and file.exists():
        msg = (
            f"{name} and {twin.name} lie side by side, and readers take one for the other; remove or "
            "rename one of them"
        )
        raise DataError(msg)
