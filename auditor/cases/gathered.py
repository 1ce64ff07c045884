"""What a folder of cases holds: the records that every layout is brought to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from auditor.errors import DataError
from auditor.schema import CaseRecord

__all__ = ["Choice", "Gathered", "modality_of", "refuse", "same_names"]

_MR = ("t1", "t2", "flair", "adc", "dwi", "pd", "swi", "inplane")
"""Beginnings of the names of MR contrasts."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is said where a folder can be read in several ways; empty: as the folder itself says."""

    split: Literal["", "test", "training"] = ""
    """Which part of a dataset of nnU-Net or MSD."""
    images: tuple[str, ...] = ()
    """The channels, by name: ``T1w``, ``FLAIR`` of BIDS, or channel names of a dataset.json."""
    references: str = ""
    """The masks that are scored against, by name: a pipeline of BIDS, a description in DICOM."""
    raters: tuple[str, ...] = ()
    """Masks of several raters, by name, in the order rater_1, rater_2 and on."""
    labels: tuple[str, ...] = ()
    """Structures that are converted from DICOM, in the order of their numbers 1, 2 and on."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """The cases of a folder, in whatever layout they lie."""

    layout: str
    """nnunet, msd, bids, pairs or dicom; table for a table that was read."""
    text: str
    """What was recognised, in words."""
    cases: tuple[CaseRecord, ...]
    """Without display ids and digests: nothing was opened but lists and headers."""
    labels: tuple[tuple[str, int], ...] = ()
    """(name, number) of each label that the layout names, background left out."""
    channels: tuple[str, ...] = ()
    """Names of the image channels, where the layout tells them."""
    modality: str = ""
    """ct, mr or us, where the layout tells it beyond doubt."""
    notes: tuple[str, ...] = ()
    """Worth knowing; stops nothing."""
    names_patients: bool = False
    """True when the layout says which cases belong to one patient."""


def refuse(problems: Sequence[str], what: str) -> None:
    """Raise every problem at once, if there is any.

    Raises
    ------
    DataError
        With all of them.
    """
    if problems:
        msg = f"{len(problems)} problem(s) with the {what}:"
        raise DataError(msg, sorted(problems))


def same_names(cases: Sequence[CaseRecord]) -> list[str]:
    """List the case names that stand for several cases."""
    counted = Counter(record.case for record in cases)
    return [
        f"{count} cases would have the name {name!r}; rename their files, or write a table"
        for name, count in counted.items()
        if count > 1
    ]


def modality_of(channels: Sequence[str]) -> str:
    """Tell the modality from the names of channels: ct, mr, or empty when they do not say."""
    names = [name.strip().lower() for name in channels]
    if names and all(name == "ct" for name in names):
        return "ct"
    if names and all("mri" in name or name == "mr" or name.startswith(_MR) for name in names):
        return "mr"
    return ""
