"""Write a changed scan beside its original: same format, same grid.

**What is written.** NIfTI, NRRD and MetaImage as float32, so that no small change is lost to rounding.
NIfTI files keep every byte of the original's header but those that say how a voxel is stored, so that
qform, sform, units and extensions are the very same. PNG, TIFF and BMP go back to the number type of the
original: values are rounded and clipped to its range, and the share that was clipped is told. JPEG would
add artefacts of its own; such scans are written as PNG. Formats of two files become their one-file kin.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from torch import Tensor

from auditor.errors import StoreError
from auditor.volumes.nifti import is_nifti

__all__ = ["Written", "suffix_of", "write_like"]

sitk: Any = SimpleITK  # untyped

_PIXEL_FORMATS = (".png", ".tif", ".tiff", ".bmp")
_KIN = {
    ".jpg": ".png", ".jpeg": ".png", ".mhd": ".mha", ".nhdr": ".nrrd", ".hdr": ".nii", ".img": ".nii",
}  # fmt: skip
"""Suffixes that are not written, and what is written instead."""
_FLOAT32 = 16
"""NIfTI's code of the number type."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the values of one file."""

    dtype: str
    """Number type in the file."""
    clipped: float
    """Share of the values that lay outside the range of that type; 0 for float32."""


def suffix_of(file: Path) -> str:
    """Return the suffix that the changed scan gets: that of the file, but no JPEG and no pairs.

    Examples
    --------
    >>> suffix_of(Path("scan.v2.nii.gz")), suffix_of(Path("photo.JPG"))
    ('.nii.gz', '.png')
    """
    if file.name.lower().endswith(".nii.gz"):
        return file.name[-7:]
    return _KIN.get(file.suffix.lower(), file.suffix)


def write_like(
    paths: Sequence[Path], image: Tensor, originals: Sequence[Path]
) -> tuple[Written, ...]:
    """Write a scan on the grid and in the format of its original.

    Parameters
    ----------
    paths : sequence of Path
        One for each original, with the suffix that `suffix_of` tells.
    image : (channel, z, y, x) or (channel, y, x), float32
        All channels, in the order of the files.
    originals : sequence of Path
        The files that `read_volume` read.

    Raises
    ------
    StoreError
        When a file cannot be written.
    """
    written, first = [], 0
    for path, original in zip(paths, originals, strict=True):
        last = first + int(_header_of(original).GetNumberOfComponents())
        written.append(_write(path, image[first:last].numpy(), original))
        first = last
    return tuple(written)


def _write(path: Path, values: NDArray[np.float32], original: Path) -> Written:
    temporary = path.with_name(f"{os.getpid()}.{path.name}")
    try:
        if is_nifti(path) and (prefix := _header_for_float32(original, values.size)):
            opened = (
                gzip.GzipFile(temporary, "wb", 1, mtime=0) if _gz(path) else temporary.open("wb")
            )
            order = "<" if prefix[:4] == struct.pack("<i", 348) else ">"
            with opened as stream:
                stream.write(prefix)
                for channel in values:  # piecewise: a big-endian copy of one channel at a time
                    stream.write(np.ascontiguousarray(channel, dtype=f"{order}f4").data)
            written = Written("float32", 0.0)
        else:
            written = _write_by_sitk(temporary, values, original)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        told = str(error).splitlines()[-1].replace(f"{path.parent}/", "")[:160]
        msg = f"the perturbed scan could not be written ({path.name}: {told})"
        raise StoreError(msg) from error
    return written


def _gz(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _header_for_float32(original: Path, voxels: int) -> bytes:
    """Return all bytes before the first voxel, changed to float32 without scaling.

    Empty for what is stored otherwise than voxel after voxel (colours), and for NIfTI pairs.
    """
    with gzip.open(original) if _gz(original) else original.open("rb") as stream:
        start = bytearray(stream.read(348))
        order = "<" if start[:4] == struct.pack("<i", 348) else ">"
        if len(start) < 348 or start[344:347] != b"n+1":
            return b""
        dim = struct.unpack_from(f"{order}8h", start, 40)
        offset = int(struct.unpack_from(f"{order}f", start, 108)[0])
        if math.prod(max(1, n) for n in dim[1 : dim[0] + 1]) != voxels or offset < 352:
            return b""
        struct.pack_into(f"{order}2h", start, 70, _FLOAT32, 32)
        struct.pack_into(f"{order}2f", start, 112, 1.0, 0.0)  # no scaling
        return bytes(start) + stream.read(offset - 348)


def _header_of(original: Path) -> Any:  # noqa: ANN401  # an untyped reader
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(original))
    reader.ReadImageInformation()
    return reader


def _write_by_sitk(path: Path, values: NDArray[np.float32], original: Path) -> Written:
    reader = _header_of(original)
    written = Written("float32", 0.0)
    if path.suffix.lower() in _PIXEL_FORMATS:
        values, written = _as_stored(values, sitk.GetPixelIDValueAsString(reader.GetPixelID()))
    dims = int(reader.GetDimension())
    if values.ndim - 1 < dims:  # a page of a stack of one
        values = values[:, None]
    several = len(values) > 1
    image = sitk.GetImageFromArray(
        np.ascontiguousarray(np.moveaxis(values, 0, -1) if several else values[0]), isVector=several
    )
    image.SetSpacing(reader.GetSpacing())
    image.SetOrigin(reader.GetOrigin())
    image.SetDirection(reader.GetDirection())
    sitk.WriteImage(image, str(path), useCompression=True)
    return written


def _as_stored(values: NDArray[np.float32], kind: str) -> tuple[NDArray[Any], Written]:
    """Bring values back to the number type of a picture."""
    bits = next((n for n in (8, 16, 32) if f"{n}-bit" in kind), 0)
    if "float" in kind or bits == 0:
        return values, Written("float32", 0.0)
    dtype = np.dtype(f"{'u' if 'unsigned' in kind else ''}int{bits}")
    limits = np.iinfo(dtype)
    # in float64, for float32 has no room for the largest 32-bit numbers
    whole = np.rint(values.astype(np.float64))
    clipped = float(np.mean((whole < limits.min) | (whole > limits.max)))
    return np.clip(whole, limits.min, limits.max).astype(dtype), Written(dtype.name, clipped)
