"""Three ways in which a NIfTI file is read as another image without a word.

SimpleITK reads ``p.nii`` when it is asked for ``p.nii.gz`` and both exist, fills the missing end of a
file that was cut off (an interrupted copy) with zeros, and turns NaN and infinite values into zeros.
All three are refused here, from the names, the header and the bytes of the file itself.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auditor.errors import DataError

__all__ = ["fourth_axis", "is_nifti", "refuse_incomplete", "refuse_not_finite", "refuse_twin"]

_CHUNK = 1 << 22

_FLOATS = {16: "f4", 64: "f8"}
"""NIfTI's codes of the number types that can hold NaN."""


@dataclass(frozen=True, slots=True)
class _Header:
    """What the header says of the bytes behind it."""

    order: str
    """Byte order, as NumPy and struct write it."""
    offset: int
    """Bytes before the first voxel."""
    voxels: int
    """Number of values."""
    bits: int
    """Of one value."""
    datatype: int
    """NIfTI's code of the number type."""
    volumes: int
    """Length of the fourth axis, 1 when there is none."""

    @property
    def size(self) -> int:
        """Bytes of header and voxels."""
        return self.offset + self.voxels * self.bits // 8


def is_nifti(file: Path) -> bool:
    """Tell from its name whether a file is NIfTI."""
    return file.name.lower().endswith((".nii", ".nii.gz"))


def fourth_axis(file: Path) -> int:
    """Return the length of the fourth axis; 1 when there is none, or no header that is understood."""
    header = _header(file)
    return 1 if header is None else header.volumes


def refuse_twin(file: Path) -> None:
    """Refuse a file beside which its (un)compressed namesake lies.

    Raises
    ------
    DataError
        Naming both.
    """
    name = file.name
    twin = file.with_name(name[:-3] if _compressed(file) else f"{name}.gz")
    if twin.exists() and file.exists():
        msg = (
            f"{name} and {twin.name} lie side by side, and readers take one for the other; remove or "
            "rename one of them"
        )
        raise DataError(msg)


def refuse_incomplete(file: Path) -> None:
    """Refuse a file that holds fewer bytes than its header announces.

    Notes
    -----
    A compressed file ends with the size of its content (RFC 1952, ISIZE, modulo 2^32). Only when
    that disagrees is the file decompressed to count: files of several members state the size of
    the last one alone.

    Raises
    ------
    DataError
        With both numbers. A header that cannot be understood is left to the reader.
    """
    header = _header(file)
    if header is None:
        return
    held = file.stat().st_size
    if _compressed(file):
        with file.open("rb") as raw:
            raw.seek(-4, 2)
            (stated,) = struct.unpack("<I", raw.read(4))
        agrees = stated == header.size % 2**32
        held = header.size if agrees else sum(len(chunk) for chunk in _chunks(file))
    if held < header.size:
        msg = (
            f"image must be complete, {file.name} holds {held} of the {header.size} bytes that its "
            "header announces; copy or export it again"
        )
        raise DataError(msg)


def refuse_not_finite(file: Path) -> None:
    """Refuse a file with NaN or infinite values, which its reader would turn into zeros.

    Raises
    ------
    DataError
        With the share of such values.
    """
    header = _header(file)
    if header is None or header.datatype not in _FLOATS or header.bits % 32:
        return
    dtype = np.dtype(f"{header.order}{_FLOATS[header.datatype]}")
    bad, skip, rest = 0, header.offset, b""
    for chunk in _chunks(file):
        content = rest + chunk[min(skip, len(chunk)) :]
        skip = max(0, skip - len(chunk))
        whole = len(content) - len(content) % dtype.itemsize
        rest = content[whole:]
        bad += int(np.count_nonzero(~np.isfinite(np.frombuffer(content[:whole], dtype))))
    if bad:
        msg = (
            f"image must be finite, {file.name} holds NaN or infinite values in "
            f"{bad / header.voxels:.2%} of its voxels ({bad} of {header.voxels}); replace them (by air, "
            "for instance) before the audit"
        )
        raise DataError(msg)


def _compressed(file: Path) -> bool:
    return file.name.lower().endswith(".gz")


def _chunks(file: Path) -> Iterator[bytes]:
    """Yield the content, decompressed, up to where it breaks off."""
    try:
        with gzip.open(file) if _compressed(file) else file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
    except (OSError, EOFError, zlib.error):
        return


def _header(file: Path) -> _Header | None:
    """Read the header of NIfTI-1 or NIfTI-2, of either byte order; None for anything else."""
    try:
        with gzip.open(file) if _compressed(file) else file.open("rb") as stream:
            start = stream.read(540)
    except (OSError, EOFError, zlib.error):
        return None
    for order in "<>":
        if start[:4] == struct.pack(f"{order}i", 348) and len(start) >= 348:
            dim = struct.unpack_from(f"{order}8h", start, 40)
            datatype, bits = struct.unpack_from(f"{order}2h", start, 70)
            (offset,) = struct.unpack_from(f"{order}f", start, 108)
        elif start[:4] == struct.pack(f"{order}i", 540) and len(start) >= 540:
            dim = struct.unpack_from(f"{order}8q", start, 16)
            datatype, bits = struct.unpack_from(f"{order}2h", start, 12)
            (offset,) = struct.unpack_from(f"{order}q", start, 168)
        else:
            continue
        if 1 <= dim[0] <= 7 and math.isfinite(offset):
            voxels = math.prod(max(1, int(n)) for n in dim[1 : dim[0] + 1])
            volumes = max(1, int(dim[4])) if dim[0] >= 4 else 1
            return _Header(order, int(offset), voxels, int(bits), int(datatype), volumes)
    return None
