"""The entries of a zip archive, listed with bounded memory; nothing of them is read.

A listing can itself be the attack: millions of entries, or gigabytes that unpack from a small file. So
its length is read before the listing, and what it announces is compared with the size of the file.
Standard library only.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

__all__ = ["DamagedArchive", "entries_of", "read_entry", "require_short_listing"]

MOST_LISTING = 1 << 22
"""Bytes of the longest listing that is read: some fifty thousand entries."""

MOST_RATIO = 50
"""torch writes entries as they are; those packed by hand shrink a little, bombs a thousand times."""

_FREE_BYTES = 1 << 24
"""May unpack from anything, so that small archives need no ratio."""

_END, _END_64, _LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_BYTES, _MOST_COMMENT = 22, 1 << 16


class DamagedArchive(ValueError):
    """The archive has no usable listing; the message says why."""


def entries_of(path: Path) -> list[zipfile.ZipInfo]:
    """List the entries of an archive.

    Parameters
    ----------
    path : Path
        A regular file that begins as a zip archive.

    Returns
    -------
    list of ZipInfo
        In the order of the listing.

    Raises
    ------
    DamagedArchive
        When its end is missing or damaged, an entry occurs twice, lies outside the archive's folder,
        or the whole unpacks to far more than the file holds.
    OSError
        When it cannot be read.
    """
    size = path.stat().st_size
    require_short_listing(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except OSError:
        raise
    except Exception as error:  # zipfile raises many kinds on bytes that are no archive
        msg = "its end is missing or damaged"
        raise DamagedArchive(msg) from error
    if len({entry.filename for entry in entries}) < len(entries):
        msg = "the archive must hold every entry once, it holds one twice"
        raise DamagedArchive(msg)
    for entry in entries:
        parts = entry.filename.replace("\\", "/").split("/")
        if ".." in parts or not parts[0] or ":" in parts[0]:
            msg = "an entry of the archive lies outside its folder"
            raise DamagedArchive(msg)
    announced = sum(entry.file_size for entry in entries)
    if announced > max(_FREE_BYTES, MOST_RATIO * size):
        msg = (
            f"it is {size / 2**20:.1f} MB long and unpacks to {announced / 2**30:.1f} GB, which no "
            "weights do"
        )
        raise DamagedArchive(msg)
    return entries


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """Read one entry of an archive, never more of it than may be.

    Parameters
    ----------
    archive : ZipFile
        Open.
    entry : ZipInfo
        Of its listing.
    most : int
        Bytes.

    Raises
    ------
    DamagedArchive
        When it is longer, is encrypted, or does not unpack.
    """
    try:
        with archive.open(entry) as file:
            content = file.read(most + 1)
    except Exception as error:  # encrypted, unknown packing, damaged: zipfile has an error for each
        msg = f"its entry {_last(entry)!r} cannot be unpacked"
        raise DamagedArchive(msg) from error
    if len(content) > most:
        msg = f"its entry {_last(entry)!r} must have at most {most} bytes, it has more"
        raise DamagedArchive(msg)
    return content


def _last(entry: zipfile.ZipInfo) -> str:
    name = entry.filename.rpartition("/")[2][:80]
    return "".join(letter for letter in name if letter.isprintable())


def require_short_listing(path: Path) -> None:
    """Find the record of the end where zipfile does, and look how long the listing says it is.

    Raises
    ------
    DamagedArchive
        When there is no such record, or the listing is longer than that of any checkpoint.
    OSError
        When it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = max(0, size - _END_BYTES - _MOST_COMMENT - 76)
        file.seek(start)
        tail = file.read()
    at = len(tail) - _END_BYTES
    if at < 0 or not (tail[at : at + 4] == _END and tail.endswith(b"\x00\x00")):
        at = tail.rfind(_END)
    if at < 0 or at + _END_BYTES > len(tail):
        msg = "its end is missing or damaged"
        raise DamagedArchive(msg)
    (length,) = struct.unpack("<L", tail[at + 12 : at + 16])
    if at >= 76 and tail[at - 20 : at - 16] == _LOCATOR_64 and tail[at - 76 : at - 72] == _END_64:
        (length,) = struct.unpack("<Q", tail[at - 36 : at - 28])
    if length > MOST_LISTING:
        msg = f"the listing of its entries is {length / 2**20:.0f} MB long, which no checkpoint has"
        raise DamagedArchive(msg)
