"""Two ways in which a NIfTI file is read as another image without a word.

SimpleITK reads ``p.nii`` when it is asked for ``p.nii.gz`` and both exist, and fills the missing end
of a file that was cut off (an interrupted copy) with zeros. Both are refused here, from the header
and the size alone.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

from auditor.errors import DataError

__all__ = ["is_nifti", "refuse_incomplete", "refuse_twin"]


def is_nifti(file: Path) -> bool:
    """Tell from its name whether a file is NIfTI."""
    return file.name.lower().endswith((".nii", ".nii.gz"))


def refuse_twin(file: Path) -> None:
    """Refuse a file beside which its (un)compressed namesake lies.

    Raises
    ------
    DataError
        Naming both.
    """
    name = file.name
    compressed = name.lower().endswith(".gz")
    twin = file.with_name(name[:-3] if compressed else f"{name}.gz")
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
    compressed = file.name.lower().endswith(".gz")
    try:
        with gzip.open(file) if compressed else file.open("rb") as stream:
            announced = _announced(stream.read(540))
    except (OSError, EOFError, zlib.error):
        return
    if announced is None:
        return
    held = file.stat().st_size
    if compressed:
        with file.open("rb") as raw:
            raw.seek(-4, 2)
            (stated,) = struct.unpack("<I", raw.read(4))
        held = announced if stated == announced % 2**32 else _content(file)
    if held < announced:
        msg = (
            f"image must be complete, {file.name} holds {held} of the {announced} bytes that its "
            "header announces; copy or export it again"
        )
        raise DataError(msg)


def _announced(header: bytes) -> int | None:
    """Bytes of header and voxels: NIfTI-1 and NIfTI-2 of either byte order; None for others."""
    for order in "<>":
        if header[:4] == struct.pack(f"{order}i", 348) and len(header) >= 348:
            dim = struct.unpack_from(f"{order}8h", header, 40)
            (bits,) = struct.unpack_from(f"{order}h", header, 72)
            (offset,) = struct.unpack_from(f"{order}f", header, 108)
        elif header[:4] == struct.pack(f"{order}i", 540) and len(header) >= 540:
            dim = struct.unpack_from(f"{order}8q", header, 16)
            (bits,) = struct.unpack_from(f"{order}h", header, 14)
            (offset,) = struct.unpack_from(f"{order}q", header, 168)
        else:
            continue
        if 1 <= dim[0] <= 7 and math.isfinite(offset):
            voxels: int = math.prod(max(1, n) for n in dim[1 : dim[0] + 1])
            return int(offset) + voxels * int(bits) // 8
    return None


def _content(file: Path) -> int:
    """Count the bytes of a compressed file, up to where it breaks off."""
    count = 0
    try:
        with gzip.open(file) as stream:
            while chunk := stream.read(1 << 20):
                count += len(chunk)
    except (OSError, EOFError, zlib.error):
        pass
    return count
