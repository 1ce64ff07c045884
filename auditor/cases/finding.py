"""Find files in folders: each folder once, links and hidden files known, nothing opened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from auditor.errors import DataError

__all__ = [
    "SUFFIXES",
    "Found",
    "find_files",
    "find_scans",
    "is_scan",
    "listed",
    "stem_of",
    "there",
    "told_of",
]

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".png", ".tif", ".tiff")
"""Of the files that hold scans and masks."""


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in a folder, at any depth."""

    files: tuple[Path, ...]
    """Sorted; hidden files and folders are left out."""
    problems: tuple[str, ...]
    """Folders that cannot be read, links that lead nowhere."""
    notes: tuple[str, ...]
    """Links to folders that are searched already."""


def is_scan(path: Path) -> bool:
    """Tell by its name whether a file can hold a scan; hidden files (``._p.nii.gz``) cannot."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def there(path: Path) -> bool:
    """Tell whether a file exists, also of a text that no file system takes for a name."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def stem_of(path: Path) -> str:
    """Return the name of a scan without its suffix."""
    suffix = next(suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix))
    return path.name[: -len(suffix)]


def told_of(path: Path, folder: Path) -> str:
    """Name a file in a message: its place in the folder, never an absolute path."""
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return path.name


def listed(names: list[str] | tuple[str, ...], *, most: int = 5) -> str:
    """Join the first few names for a sentence.

    Examples
    --------
    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def find_files(folder: Path) -> Found:
    """Search a folder to any depth.

    Links to folders are followed, each folder is searched once: a link that leads back into a
    folder on its own way ends there.
    """
    files: list[Path] = []
    problems: list[str] = []
    notes: list[str] = []
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        name = told_of(place, folder)
        try:
            known = place.stat()
            if (known.st_dev, known.st_ino) in seen:
                notes.append(f"{name} is a link to a folder that is searched already")
                continue
            seen.add((known.st_dev, known.st_ino))
            entries = sorted(place.iterdir())
        except OSError as error:
            problems.append(f"{name} must be a readable folder: {error.strerror or error}")
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                waiting.append(entry)
            elif entry.is_file():
                files.append(entry)
            elif entry.is_symlink():
                target = os.path.basename(os.readlink(entry))  # noqa: PTH119, PTH115  # may be no path
                problems.append(
                    f"{told_of(entry, folder)} is a link to {target}, which is not there or leads in "
                    "a circle; fetch the file, or remove the link"
                )
    return Found(tuple(sorted(files)), tuple(sorted(problems)), tuple(sorted(notes)))


def find_scans(place: Path) -> tuple[Path, ...]:
    """Find the files of scans that have no references.

    Parameters
    ----------
    place : Path
        One file, or a folder that is searched to any depth. Hidden files are left out.

    Returns
    -------
    tuple of Path
        Sorted by their place in the folder; the header of a pair of files stands for both.

    Raises
    ------
    DataError
        When there is no such place, or nothing in it that can be read.
    """
    if place.is_file():
        return (place,)
    if not place.is_dir():
        msg = f"{place.name} must be a scan or a folder of scans; there is no such file or folder"
        raise DataError(msg)
    found = sorted(path for path in place.rglob("*") if is_scan(path) and path.is_file())
    if not found:
        msg = f"{place.name} must hold scans ({', '.join(SUFFIXES)}); it holds none of them"
        raise DataError(msg)
    return tuple(found)
