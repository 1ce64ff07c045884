"""The files beside an ONNX graph that hold its weights, checked before any process may read them.

A graph names these files itself, so a hostile one can point to any file of the user, and what it reads
could leave the machine as weights or as a picture. They must be plain files of the graph's own folder.
onnxruntime refuses most others, but follows hard links, and believes an address in memory.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from auditor.errors import CheckpointError
from auditor.systems.onnx_file import External

__all__ = ["external_files", "printable"]

_IN_MEMORY = "_ORT_MEM_ADDR"
"""By this location onnxruntime takes the offset for an address in its own memory."""


def external_files(path: Path, pieces: Sequence[External]) -> tuple[Path, ...]:
    """List the files that hold the weights of a graph.

    Parameters
    ----------
    path : Path
        The graph.
    pieces : sequence of External
        What it announces.

    Returns
    -------
    tuple of Path
        Sorted by name, each once.

    Raises
    ------
    CheckpointError
        When one is missing, is no plain file of the folder, is also known by another name (a hard
        link), or is shorter than announced.
    OSError
        When one cannot be looked at.
    """
    sizes: dict[str, int] = {}
    files: dict[str, Path] = {}
    for piece in pieces:
        try:
            if piece.location not in files:
                files[piece.location], sizes[piece.location] = _plain_file(path, piece.location)
            _fits(piece, sizes[piece.location])
        except ValueError as error:
            msg = f"{path.name} cannot be audited: {error}"
            raise CheckpointError(msg) from error
    return tuple(files[location] for location in sorted(files))


def printable(text: str) -> str:
    """Cut a file's own words for a message, and drop control characters."""
    return "".join(letter for letter in text[:80] if letter.isprintable())


def _plain_file(path: Path, location: str) -> tuple[Path, int]:
    """Return a file and its size."""
    told = repr(printable(location))
    inner = PurePosixPath(location.replace("\\", "/"))
    outside = not inner.parts or inner.is_absolute() or ".." in inner.parts or ":" in location
    if outside or _IN_MEMORY in location or not location.isprintable():
        msg = f"its weights must lie in the folder of the file, it asks for {told}"
        raise ValueError(msg)
    beside = path.parent / inner
    try:
        folder, real = path.parent.resolve(), beside.resolve(strict=True)
        found = real.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = (
            f"its weights lie in {told}, which must be in the same folder and is not; copy that file "
            "too"
        )
        raise ValueError(msg) from error
    except RuntimeError as error:  # what a loop of links raised before Python 3.13
        msg = f"its weights lie in {told}, which is a loop of links"
        raise ValueError(msg) from error
    if not real.is_relative_to(folder):
        msg = (
            f"its weights must lie in the folder of the file, {told} is a link that leads out of it; "
            "copy the file there"
        )
        raise ValueError(msg)
    if not stat.S_ISREG(found.st_mode):
        msg = f"its weights must lie in a regular file, {told} is a folder, device, pipe or socket"
        raise ValueError(msg)
    if found.st_nlink > 1:
        msg = (
            f"its weights must lie in a file of their own, {told} is also known by another name (a "
            "hard link), perhaps of a file that is none of its business; copy the file"
        )
        raise ValueError(msg)
    return beside, found.st_size


def _fits(piece: External, size: int) -> None:
    told = repr(printable(piece.location))
    if piece.offset < 0 or piece.length < 0:
        msg = (
            f"its weights must begin at a positive byte of {told} and have a positive length, it "
            f"announces {piece.length} bytes from byte {piece.offset} on"
        )
        raise ValueError(msg)
    needed = max(piece.length, piece.needed)
    if piece.offset + needed > size:
        msg = (
            f"its weights {printable(piece.tensor)!r} are announced as {needed} bytes from byte "
            f"{piece.offset} of {told} on, which holds {size}; the file is cut off or another one"
        )
        raise ValueError(msg)
