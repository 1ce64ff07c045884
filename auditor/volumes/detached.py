"""The file of voxels that a header of MetaImage or NRRD names.

A header may name any file of the machine, whose bytes would then be voxels: shown in a report, or fed to
a system. MetaImage even looks for a name with folders where the program was started, not beside the
header. So voxels lie in the file itself, or in one file of the header's own folder.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from auditor.errors import DataError

__all__ = ["detached_file"]

_META, _NRRD = (".mha", ".mhd"), (".nrrd", ".nhdr")
_APART = (".mhd", ".nhdr")
"""Endings of headers that stand alone."""

_LONGEST_HEADER = 1 << 20


def detached_file(path: Path) -> Path | None:
    """Find the file that holds the voxels of an image, where it is another one.

    Parameters
    ----------
    path : Path
        An image of any format.

    Returns
    -------
    Path or None
        None: the image holds them itself.

    Raises
    ------
    DataError
        When its header names a file elsewhere, several files, or none that can be told.
    OSError
        When it cannot be read.
    """
    ending = path.suffix.lower()
    if ending not in (*_META, *_NRRD):
        return None
    named = _named(path, meta=ending in _META)
    if not named:
        return None
    inner = PurePosixPath(named.replace("\\", "/"))
    folders = inner.parts[:-1]
    problem = ""
    if ending not in _APART:
        problem = f"voxels in another file belong to a header that ends in {', '.join(_APART)}"
    elif named.upper().split()[0] == "LIST" or "%" in named:
        problem = "it must be one file"
    elif not named.isprintable() or inner.is_absolute() or ".." in folders or ":" in named:
        problem = "it must lie in the folder of the header"
    elif folders and ending in _META:
        problem = "its name must stand there without a folder"
    elif not _is_inside(path.parent / inner, path.parent):
        problem = "it is a link that leads out of the folder of the header; copy the file there"
    if problem:
        told = "".join(letter for letter in named[:80] if letter.isprintable())
        msg = (
            f"image must hold its voxels, or lie beside them; {path.name} names {told!r}: {problem}"
        )
        raise DataError(msg)
    return path.parent / inner


def _named(path: Path, *, meta: bool) -> str:
    """Return what a header names; empty when the voxels follow in the same file."""
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    key = "elementdatafile" if meta else "datafile"
    lines = head.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for line in lines:
        if not meta and not line.strip():
            return ""  # the end of the header
        name, _, value = line.replace("=", ":", 1).partition(":")
        if "".join(filter(str.isalnum, name)).lower() == key:
            local = meta and value.strip().lower() == "local"
            return "" if local else value.strip() or "nothing"
    if len(head) == _LONGEST_HEADER:
        msg = f"image must have a header of at most {_LONGEST_HEADER >> 20} MB, {path.name} has a longer one"
        raise DataError(msg)
    return ""


def _is_inside(file: Path, folder: Path) -> bool:
    try:
        return file.resolve().is_relative_to(folder.resolve())
    except RuntimeError:  # what a loop of links raised before Python 3.13
        return False
