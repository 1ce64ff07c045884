"""Where the cases of an audit come from: a table, or a folder in a layout that is recognised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from auditor.cases.bids import gather_bids, is_bids
from auditor.cases.dataset_json import NAME
from auditor.cases.dicom.reading import is_dicom
from auditor.cases.gathered import Choice, Gathered
from auditor.cases.manifest import finished, read_table
from auditor.cases.msd import gather_msd, is_msd
from auditor.cases.nnunet_layout import gather_nnunet, is_nnunet
from auditor.cases.pairs import Pair, find_pair, gather_pairs
from auditor.errors import DataError
from auditor.schema import CaseRecord, ReferenceRule

__all__ = [
    "LAYOUTS",
    "CasesSource",
    "gather",
    "gather_source",
    "label_names",
    "read_manifest",
    "recognise",
]

LAYOUTS = ("nnunet", "msd", "bids", "pairs", "dicom")
"""Every layout of a folder that is recognised."""


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
    gathered = gather_source(source)
    if gathered is None:
        msg = "cases must come from a table, a folder, or the two folders images and references"
        raise DataError(msg)
    return finished(gathered.cases)


def gather_source(source: CasesSource) -> Gathered | None:
    """Gather the cases of an audit from its folders; None when they stand in a table.

    Raises
    ------
    DataError
        When the folder holds no layout that is recognised, several, or one with problems.
    """
    if source.table is not None:
        return None
    if source.images is not None and source.references is not None:
        return gather_pairs(Pair(source.images, source.references))
    return None if source.folder is None else gather(source.folder)


def gather(folder: Path, *, layout: str = "auto", choice: Choice | None = None) -> Gathered:
    """Gather the cases of a folder.

    Parameters
    ----------
    folder : Path
        In one of the layouts.
    layout : str
        auto, or one of `LAYOUTS`.
    choice : Choice, optional
        What is said where the folder can be read in several ways.

    Raises
    ------
    DataError
        With every problem at once. DICOM is refused here: it must be converted first, by
        `auditor.cases.dicom.convert`.
    """
    chosen = choice or Choice()
    if not folder.is_dir():
        msg = f"the cases must be a folder, {folder.name} is none"
        raise DataError(msg)
    if layout == "auto":
        (layout,) = _only(folder)
    if layout == "nnunet":
        return gather_nnunet(folder, chosen)
    if layout == "msd":
        return gather_msd(folder, chosen)
    if layout == "bids":
        return gather_bids(folder, chosen)
    if layout == "dicom":
        msg = (
            f"{folder.name} holds DICOM files, which an audit does not read; convert them once: segaudit "
            f"cases {folder.name} --volumes volumes -o cases.csv, and say cases: {{table: cases.csv}}"
        )
        raise DataError(msg)
    pair = find_pair(folder)
    if pair is None:
        raise DataError(_unknown(folder))
    return gather_pairs(pair)


def recognise(folder: Path) -> tuple[str, ...]:
    """Tell in which layouts a folder could be read: none, one, or several that do not agree.

    Paired folders whose names are those of nnU-Net count as a layout of their own only where no
    dataset.json tells more.
    """
    if (folder / NAME).is_file() and not (is_nnunet(folder) or is_msd(folder)):
        found = [] if _other_json(folder) else ["nnunet"]
    else:
        found = ["nnunet"] if is_nnunet(folder) else ["msd"] if is_msd(folder) else []
    plain = _plain_pair(folder) if found else find_pair(folder) is not None
    tests: tuple[tuple[str, Callable[[Path], bool]], ...] = (("bids", is_bids), ("dicom", is_dicom))
    found += ["pairs"] if plain else []
    return (*found, *(name for name, test in tests if test(folder)))


def label_names(folder: Path) -> tuple[tuple[str, int], ...]:
    """Return (name, number) of the labels that the layout of a folder names; empty when it names none.

    Raises
    ------
    DataError
        As `gather` does.
    """
    return gather(folder).labels


def _only(folder: Path) -> tuple[str]:
    found = recognise(folder)
    if not found:
        raise DataError(_unknown(folder))
    if len(found) > 1:
        commands = [f"segaudit cases {folder.name} --layout {name} -o cases.csv" for name in found]
        msg = (
            f"{folder.name} could be read as {' and as '.join(found)}; say which one counts, and use its "
            "table in the configuration (cases: {table: cases.csv}):"
        )
        raise DataError(msg, commands)
    return (found[0],)


def _other_json(folder: Path) -> bool:
    """Tell whether a dataset.json is of something else: no folder of nnU-Net or MSD lies beside it."""
    return not any((folder / name).is_dir() for name in ("imagesTr", "imagesTs"))


def _plain_pair(folder: Path) -> bool:
    """Tell whether a dataset holds another pair of folders beside those that dataset.json is about."""
    names = ("images", "image"), ("references", "labels", "masks", "segmentations")
    return all(any((folder / name).is_dir() for name in part) for part in names)


def _unknown(folder: Path) -> str:
    return (
        f"{folder.name} must be in a layout that is recognised: a folder of images (images, imagesTs, "
        "imagesTr, image) and one of references (references, labels, labelsTs, labelsTr, masks, "
        "segmentations) with equal file names; a dataset.json of nnU-Net or MSD; BIDS (sub-*/ with "
        "derivatives/); or DICOM series with SEG or RTSTRUCT. It is none of them; or write a table"
    )
