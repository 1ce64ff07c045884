"""Where the cases of an audit come from: a table, or folders whose file names pair up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from auditor.cases.manifest import finished, read_table
from auditor.errors import DataError
from auditor.schema import CaseRecord, ReferenceRule

__all__ = ["CasesSource", "Layout", "find_layout", "find_scans", "read_manifest", "read_pairs"]

_IMAGE_FOLDERS = ("images", "imagesTs", "imagesTr", "image")
_REFERENCE_FOLDERS = ("references", "labels", "labelsTs", "labelsTr", "masks", "segmentations")
_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".png", ".tif", ".tiff")


class CasesSource(Protocol):
    """What the configuration says of the cases; exactly one of the three ways is given."""

    @property
    def table(self) -> Path | None:
        """CSV table of cases ..."""

    @property
    def folder(self) -> Path | None:
        """... or a folder in a layout that is recognised ..."""

    @property
    def images(self) -> Path | None:
        """... or the folder of the images, with `references`."""

    @property
    def references(self) -> Path | None:
        """Folder of the references, with file names as in `images`."""

    @property
    def modality(self) -> str:
        """ct, mr, us, xray, microscopy, other."""

    @property
    def state(self) -> str:
        """raw, windowed, normalised, skull_stripped."""

    @property
    def reference(self) -> ReferenceRule:
        """Which mask counts."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A pair of folders whose file names belong together."""

    images: Path
    """Folder of the images."""
    references: Path
    """Folder of the references."""

    @property
    def text(self) -> str:
        """What was recognised, in words."""
        return f"paired folders {self.images.name}/ and {self.references.name}/"


def read_manifest(source: CasesSource) -> tuple[CaseRecord, ...]:
    """Read the cases of an audit, from wherever it has them.

    Parameters
    ----------
    source : CasesSource
        The part ``cases`` of the configuration.

    Returns
    -------
    tuple of CaseRecord
        Sorted by patient and case, with display ids and the digest of every file.

    Raises
    ------
    DataError
        With every problem at once.
    """
    if source.table is not None:
        return read_table(source.table)
    layout = find_layout(source)
    if layout is None:
        msg = "cases must come from a table, a folder, or the two folders images and references"
        raise DataError(msg)
    return read_pairs(layout)


def find_layout(source: CasesSource) -> Layout | None:
    """Find the paired folders of an audit; None when its cases stand in a table.

    Raises
    ------
    DataError
        When the folder holds no layout that is recognised.
    """
    if source.images is not None and source.references is not None:
        return Layout(source.images, source.references)
    if source.folder is None:
        return None
    images = _first_folder(source.folder, _IMAGE_FOLDERS)
    references = _first_folder(source.folder, _REFERENCE_FOLDERS)
    if images is None or references is None:
        msg = (
            f"{source.folder.name} must hold a folder of images ({', '.join(_IMAGE_FOLDERS)}) and "
            f"one of references ({', '.join(_REFERENCE_FOLDERS)}) with equal file names; or write a "
            "table"
        )
        raise DataError(msg)
    return Layout(images, references)


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
    found = sorted(
        path
        for path in place.rglob("*")
        if path.name.lower().endswith(_SUFFIXES)
        and not path.name.startswith(".")
        and path.is_file()
    )
    if not found:
        msg = f"{place.name} must hold scans ({', '.join(_SUFFIXES)}); it holds none of them"
        raise DataError(msg)
    return tuple(found)


def read_pairs(layout: Layout) -> tuple[CaseRecord, ...]:
    """Pair images and references by their file names; every case is a patient of its own.

    Parameters
    ----------
    layout : Layout
        Channels may be files of their own, named CASE_0000, CASE_0001 and on.

    Returns
    -------
    tuple of CaseRecord
        As `auditor.cases.manifest.read_table` returns them.

    Raises
    ------
    DataError
        When a file has no partner, or two files have one name: all of them at once.
    """
    problems: list[str] = []
    masks = _files(layout.references, problems)
    references = {_stem(path): path for path in masks}
    problems += [
        f"{path.name} and {references[_stem(path)].name} are one reference twice"
        for path in masks
        if references[_stem(path)] != path
    ]
    channels: dict[str, list[Path]] = {}
    for path in _files(layout.images, problems):
        channels.setdefault(_case_of(path, references), []).append(path)
    if not channels and not problems:
        problems.append(f"{layout.images.name}/ must hold images ({', '.join(_SUFFIXES)})")
    problems += [
        f"{path.name} of {layout.references.name}/ has no image in {layout.images.name}/"
        for stem, path in references.items()
        if stem not in channels
    ]
    for stem, files in channels.items():
        if stem not in references:
            problems.append(f"{files[0].name} has no reference in {layout.references.name}/")
        elif len({_stem(path) for path in files}) < len(files):
            problems.append(f"{' and '.join(path.name for path in files)} are one image twice")
    if problems:
        msg = f"{len(problems)} problem(s) with the {layout.text}:"
        raise DataError(msg, sorted(problems))
    return finished(
        [
            CaseRecord(
                case=stem,
                patient=stem,
                images=tuple(str(path) for path in sorted(files)),
                reference=str(references[stem]),
            )
            for stem, files in channels.items()
        ]
    )


def _first_folder(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _files(folder: Path, problems: list[str]) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name.lower().endswith(_SUFFIXES))
    except OSError as error:
        problems.append(f"{folder.name}/ must be a readable folder: {error.strerror or error}")
        return []


def _stem(path: Path) -> str:
    suffix = next(suffix for suffix in _SUFFIXES if path.name.lower().endswith(suffix))
    return path.name[: -len(suffix)]


def _case_of(path: Path, references: dict[str, Path]) -> str:
    """Return the case of an image; nnU-Net names the channels of a case CASE_0000, CASE_0001."""
    stem = _stem(path)
    base, _, channel = stem.rpartition("_")
    numbered = len(channel) == 4 and channel.isdigit()
    return base if stem not in references and numbered else stem
