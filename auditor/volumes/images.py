"""Read images and masks through SimpleITK: NIfTI, NRRD, MetaImage, PNG, TIFF.

**Conventions.** Arrays are (z, y, x) or (y, x); SimpleITK tells sizes, spacing and direction in the
order x, y, z, so every tuple is reversed here, once. `Geometry.direction` holds one LPS+ unit vector
per *array* axis: the reversed columns of SimpleITK's direction matrix. PNG and TIFF have no
physical spacing of their own that can be believed; their unit of length is the pixel. A fourth axis of
NIfTI is never guessed at: its volumes are channels when they are named one by one, ``p.nii.gz[0]``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditor.errors import DataError, StoreError
from auditor.schema import Geometry
from auditor.volumes.detached import detached_file
from auditor.volumes.geometry import VOXEL_SIDES_MM, difference, is_credible
from auditor.volumes.label_numbers import whole_labels
from auditor.volumes.nifti import (
    is_nifti,
    refuse_incomplete,
    refuse_not_finite,
    refuse_twin,
)
from auditor.volumes.selectors import split_channel

__all__ = ["read_mask", "read_volume", "write_image", "write_mask"]

sitk: Any = SimpleITK  # untyped

_MOST_VALUES = 1 << 31
"""Of one file: 8 GB in memory."""

_FASTEST = 1
"""Noise hardly shrinks, however long one tries."""

_PIXEL_FORMATS = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")


def read_volume(paths: Sequence[str]) -> tuple[Tensor, Geometry]:
    """Read one scan.

    Parameters
    ----------
    paths : sequence of str
        One file (of one or several channels), or one file per channel; ``p.nii.gz[1]`` is the second
        volume of a NIfTI file with four axes.

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
    opened: tuple[Path, NDArray[Any], Geometry] | None = None
    for path in paths:
        file, channel = split_channel(path)
        if opened is None or opened[0] != file:  # the channels of one file are read at once
            opened = (file, *_read(file, volumes=channel is not None))
        _, array, found = opened
        if channel is not None:
            array = _volume(array, channel, file)
        if geometry is not None and (told := difference(geometry, found)):
            msg = f"the channels of a scan must lie on one grid: {file.name} differs: {told}"
            raise DataError(msg)
        geometry = geometry or found
        with np.errstate(over="ignore"):  # infinite values are refused below
            channels += list(array.astype(np.float32))
    if geometry is None:
        msg = "a scan needs at least one file, got none"
        raise DataError(msg)
    image = torch.from_numpy(np.ascontiguousarray(np.stack(channels)))
    if not bool(torch.isfinite(image).all()):
        bad = int((~torch.isfinite(image)).sum())
        msg = (
            f"image must be finite, {Path(paths[0]).name} holds NaN or infinite values in "
            f"{bad / image.numel():.2%} of its voxels ({bad} of {image.numel()}); replace them (by air, "
            "for instance) before the audit"
        )
        raise DataError(msg)
    return image, geometry


def write_mask(path: Path, mask: Tensor, geometry: Geometry) -> None:
    """Write a label map as NIfTI, on its own grid.

    Parameters
    ----------
    path : Path
        Ends in ``.nii.gz``; folders are made.
    mask : (z, y, x) or (y, x), int16 or int32
    geometry : Geometry
        Of the mask; images without a spacing are written with pixels of 1 mm.

    Raises
    ------
    StoreError
        When the file cannot be written.
    """
    _write(path, mask, geometry, "a predicted mask could not be written", level=-1)


def write_image(path: Path, image: Tensor, geometry: Geometry) -> None:
    """Write one channel, or a label map, as NIfTI: its voxels to the last bit and its grid, nothing else.

    Parameters
    ----------
    path : Path
        Ends in ``.nii.gz``; folders are made.
    image : (z, y, x) or (y, x), float32, int16 or int32
    geometry : Geometry
        Of the image; images without a spacing are written with pixels of 1 mm.

    Raises
    ------
    StoreError
        When the file cannot be written.
    """
    level = _FASTEST if image.is_floating_point() else -1
    _write(path, image, geometry, "an image could not be written", level=level)


def _write(path: Path, values: Tensor, geometry: Geometry, failed: str, *, level: int) -> None:
    image = sitk.GetImageFromArray(values.numpy())
    image.SetSpacing(geometry.spacing[::-1])
    if geometry.direction:
        image.SetDirection([v for row in zip(*geometry.direction[::-1], strict=True) for v in row])
    if geometry.origin:
        image.SetOrigin(geometry.origin)
    temporary = path.with_name(f"{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(temporary), useCompression=True, compressionLevel=level)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        msg = f"{failed} ({path.name}): is the disk full? finished units are kept"
        raise StoreError(msg) from error


def read_mask(path: str) -> tuple[Tensor, Geometry]:
    """Read one mask of label numbers.

    Returns
    -------
    mask : (z, y, x) or (y, x), int16, or int32 where a number needs it
    geometry : Geometry

    Raises
    ------
    DataError
        When the file is missing, unreadable, has several channels, or holds anything else than whole
        numbers from 0 to 65535; see `auditor.volumes.label_numbers.whole_labels`.
    """
    array, geometry = _read(Path(path), volumes=False)
    if len(array) != 1:
        msg = (
            f"a mask must have one channel, {Path(path).name} has {len(array)}; save the label numbers "
            "themselves, as grey values, not colours"
        )
        raise DataError(msg)
    return whole_labels(array[0], Path(path).name), geometry


def _volume(array: NDArray[Any], channel: int, file: Path) -> NDArray[Any]:
    if channel < len(array):
        return array[channel : channel + 1]
    msg = (
        f"image must have the channel that is asked for, {file.name}[{channel}]; the file has "
        f"{len(array)}, counted from 0"
    )
    raise DataError(msg)


def _read(file: Path, *, volumes: bool) -> tuple[NDArray[Any], Geometry]:
    """Return (channel, *spatial) and the geometry; `volumes`: a fourth axis holds channels."""
    if not file.is_file():
        msg = f"image must be a file, {file.name} is {'a folder' if file.is_dir() else 'missing'}"
        raise DataError(msg)
    _refuse_foreign(file)
    if is_nifti(file):
        refuse_twin(file)
        _refuse_huge(file)
        refuse_incomplete(file)
        refuse_not_finite(file)
    else:
        _refuse_huge(file)
    image = _opened(file)
    array = np.asarray(sitk.GetArrayFromImage(image))
    array = array[None] if image.GetNumberOfComponentsPerPixel() == 1 else np.moveaxis(array, -1, 0)
    if np.iscomplexobj(array):
        msg = f"image must hold real numbers, {file.name} holds complex ones; give their magnitude"
        raise DataError(msg)
    dims = int(image.GetDimension())
    pixels = file.suffix.lower() in _PIXEL_FORMATS
    if dims == 3 and pixels and array.shape[1] == 1:
        array, dims = array[:, 0], 2
    if dims == 4 and volumes and len(array) == 1:
        array, dims = array[0], 3
    if dims not in (2, 3):
        msg = (
            f"image must have 2 or 3 axes, {file.name} has {dims}: sizes "
            f"{' x '.join(map(str, image.GetSize()))}; give one file per time or channel, or name the "
            "volumes of a NIfTI file that are channels: image_1: p.nii.gz[0], image_2: p.nii.gz[1]"
        )
        raise DataError(msg)
    if pixels:
        return array, Geometry(shape=array.shape[1:], spacing=(1.0,) * dims, unit="px")
    stored = int(image.GetDimension())
    matrix = np.asarray(image.GetDirection()).reshape(stored, stored)[:dims, :dims]
    geometry = Geometry(
        shape=tuple(int(size) for size in array.shape[1:]),
        spacing=tuple(float(value) for value in image.GetSpacing()[:dims][::-1]),
        direction=tuple(tuple(float(v) for v in matrix[:, axis]) for axis in reversed(range(dims))),
        origin=tuple(float(value) for value in image.GetOrigin()[:dims]),
        unit="mm",
    )
    if not is_credible(geometry.spacing):
        smallest, largest = VOXEL_SIDES_MM
        msg = (
            f"image must have voxels of {smallest:g} to {largest:g} mm, the header of {file.name} says "
            f"{' x '.join(f'{side:g}' for side in geometry.spacing)}; write the true spacing into it"
        )
        raise DataError(msg)
    return array, geometry


def _refuse_foreign(file: Path) -> None:
    """Refuse a header that names voxels elsewhere, and a file that cannot be looked into."""
    try:
        detached_file(file)
    except OSError as error:
        msg = f"image must be readable: {file.name}: {error.strerror or error}"
        raise DataError(msg) from error


def _refuse_huge(file: Path) -> None:
    """Refuse what a header of a few bytes can announce and no memory can hold."""
    sitk.ProcessObject.SetGlobalWarningDisplay(flag=False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
        sizes = [*map(int, reader.GetSize()), int(reader.GetNumberOfComponents())]
    except (RuntimeError, MemoryError):
        return  # whoever reads it says why it cannot be read
    if math.prod(sizes) > _MOST_VALUES:
        told = " x ".join(map(str, sizes))
        msg = f"image must have at most {_MOST_VALUES} values, the header of {file.name} announces {told}"
        raise DataError(msg)


def _opened(file: Path) -> Any:  # noqa: ANN401  # an untyped image
    # the C++ side prints its warnings to stderr, past Python's; what matters here is raised
    sitk.ProcessObject.SetGlobalWarningDisplay(flag=False)
    try:
        return sitk.ReadImage(str(file))
    except (RuntimeError, MemoryError) as error:
        lines = [line for line in str(error).splitlines() if "error" in line.lower()]
        told = (lines[-1] if lines else "unknown format").replace(f"{file.parent}/", "").strip()
        advice = ""
        if "orthonormal" in told:
            advice = "; its header is sheared or scaled unevenly: resample it to a straight grid"
        msg = (
            f"image must be NIfTI, NRRD, MetaImage, PNG or TIFF; {file.name} cannot be read "
            f"({told[:160]}){advice}"
        )
        raise DataError(msg) from error
