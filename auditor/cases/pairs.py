"""Paired folders: images and references whose file names are equal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from auditor.cases.finding import SUFFIXES, is_scan, stem_of, there
from auditor.cases.gathered import Gathered, refuse
from auditor.errors import DataError
from auditor.schema import CaseRecord

__all__ = ["Pair", "find_pair", "gather_pairs", "pair_up"]

_IMAGES = ("images", "imagesTs", "imagesTr", "image")
_REFERENCES = ("references", "labels", "labelsTs", "labelsTr", "masks", "segmentations")
_PARTS = ("Ts", "Tr")
"""Endings by which folders of one part of a dataset belong together: test before training."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair of folders whose file names belong together."""

    images: Path
    """Folder of the images."""
    references: Path
    """Folder of the references."""

    @property
    def text(self) -> str:
        """What was recognised, in words."""
        return f"paired folders {self.images.name}/ and {self.references.name}/"


def find_pair(folder: Path) -> Pair | None:
    """Find the two folders of images and references; None when there are none.

    imagesTs belongs to labelsTs and imagesTr to labelsTr; where both pairs are complete, the test
    cases count.

    Raises
    ------
    DataError
        When several folders could be meant.
    """
    images = [name for name in _IMAGES if (folder / name).is_dir()]
    references = [name for name in _REFERENCES if (folder / name).is_dir()]
    for part, other in zip(_PARTS, reversed(_PARTS), strict=True):
        if f"images{part}" in images and f"labels{part}" in references:
            images = [name for name in images if name != f"images{other}"]
            references = [name for name in references if name != f"labels{other}"]
            break
    if len(images) > 1 or len(references) > 1:
        held = ", ".join(f"{name}/" for name in (*images, *references))
        msg = (
            f"{folder.name} must hold one folder of images and one of references, it holds {held}; "
            "name the two that count with cases.images and cases.references"
        )
        raise DataError(msg)
    if not images or not references:
        return None
    return Pair(folder / images[0], folder / references[0])


def gather_pairs(pair: Pair) -> Gathered:
    """Pair images and references by their file names; every case is a patient of its own.

    Parameters
    ----------
    pair : Pair
        Channels may be files of their own, named CASE_0000, CASE_0001 and on.

    Raises
    ------
    DataError
        When a file has no partner, or two files have one name: all of them at once.
    """
    problems: list[str] = []
    cases = pair_up(pair, problems)
    refuse(problems, pair.text)
    return Gathered("pairs", pair.text, cases)


def pair_up(pair: Pair, problems: list[str], *, ending: str = "") -> tuple[CaseRecord, ...]:
    """Return the cases of a pair of folders, and add what is wrong to `problems`.

    Parameters
    ----------
    pair : Pair
        The folders.
    problems : list of str
        Grows.
    ending : str, optional
        Only files with this suffix count.
    """
    masks = _files(pair.references, ending, problems)
    references = {stem_of(path): path for path in masks}
    problems += [
        f"{path.name} and {references[stem_of(path)].name} are one reference twice"
        for path in masks
        if references[stem_of(path)] != path
    ]
    channels: dict[str, list[Path]] = {}
    for path in _files(pair.images, ending, problems):
        channels.setdefault(_case_of(path, references), []).append(path)
    if not channels and not problems:
        held = ending or ", ".join(SUFFIXES)
        problems.append(f"{pair.images.name}/ must hold images ({held})")
    problems += [
        f"{path.name} of {pair.references.name}/ has no image in {pair.images.name}/"
        for stem, path in references.items()
        if stem not in channels
    ]
    for stem, files in channels.items():
        if stem not in references:
            problems.append(f"{files[0].name} has no reference in {pair.references.name}/")
        elif len({stem_of(path) for path in files}) < len(files):
            problems.append(f"{' and '.join(path.name for path in files)} are one image twice")
    return tuple(
        CaseRecord(
            case=stem,
            patient=stem,
            images=tuple(str(path) for path in sorted(files)),
            reference=str(references[stem]),
        )
        for stem, files in channels.items()
        if stem in references
    )


def _files(folder: Path, ending: str, problems: list[str]) -> list[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if is_scan(path))
    except OSError as error:
        problems.append(f"{folder.name}/ must be a readable folder: {error.strerror or error}")
        return []
    problems += [
        f"{path.name} of {folder.name}/ must be a readable file; it is a folder, or a link to a file "
        "that is not there"
        for path in found
        if not there(path)
    ]
    return [path for path in found if there(path) and path.name.endswith(ending)]


def _case_of(path: Path, references: dict[str, Path]) -> str:
    """Return the case of an image; nnU-Net names the channels of a case CASE_0000, CASE_0001."""
    stem = stem_of(path)
    base, _, channel = stem.rpartition("_")
    numbered = len(channel) == 4 and channel.isdecimal()
    return base if stem not in references and numbered else stem
