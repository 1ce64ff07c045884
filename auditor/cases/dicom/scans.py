"""Put the headers of a folder together: series, and the structures that refer to each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.cases.dicom.reading import (
    CONTOURS,
    SEGMENTATIONS,
    Header,
    damage_told,
    text_of,
)
from auditor.cases.dicom.series import Plane, grid_of, planes_of
from auditor.cases.dicom.structures import Structures, structures_of
from auditor.cases.finding import listed
from auditor.cases.gathered import Choice
from auditor.errors import DataError
from auditor.schema import Geometry

__all__ = ["DicomCase", "find_cases"]

_NO_SCANS = ("SR", "PR", "KO", "REG", "RTDOSE", "RTPLAN", "RTRECORD", "DOC", "FID")
"""Modalities of objects that are no images."""


@dataclass(frozen=True, slots=True)
class DicomCase:
    """One series with its structures, nothing decoded."""

    series: str
    """SeriesInstanceUID."""
    study: str
    """StudyInstanceUID."""
    patient: str
    """PatientID; the study (or the series) when there is none."""
    modality: str
    """CT, MR, .."""
    told: str
    """What it is called in messages."""
    planes: tuple[Plane, ...]
    """In order."""
    geometry: Geometry
    """Their grid."""
    references: tuple[Structures, ...]
    """One, or one per rater."""


def find_cases(
    headers: Sequence[Header], choice: Choice, problems: list[str], notes: list[str]
) -> tuple[DicomCase, ...]:
    """Find the series that have structures, sorted by patient, study and series.

    Parameters
    ----------
    headers : sequence of Header
        Of the whole folder.
    choice : Choice
        ``references`` or ``raters``: which objects count where a series has several.
    problems, notes : list of str
        Grow.
    """
    series, objects = _sorted_out(_without_copies(headers, problems, notes), problems)
    owned: dict[str, list[Structures]] = {}
    for it in objects:
        uid = _series_of(it, series)
        if uid:
            owned.setdefault(uid, []).append(it)
        else:
            problems.append(
                f"{it.header.told} refers to a series that is not in the folder; put the images beside "
                "it, or remove it"
            )
    alone = [_told(headers) for uid, headers in series.items() if uid not in owned]
    if alone:
        notes.append(
            f"{len(alone)} series have no SEG or RTSTRUCT and are left out: {listed(alone)}"
        )
    cases = []
    for uid, structures in owned.items():
        try:
            cases.append(_case(uid, series[uid], _chosen(structures, choice)))
        except DataError as error:
            problems.append(f"{_told(series[uid])}: {error}")
    nameless = [it.told for it in cases if it.patient in (it.study, it.series)]
    if nameless:
        notes.append(
            f"{len(nameless)} series have no PatientID; each of their studies counts as a patient: "
            f"{listed(nameless)}"
        )
    if not objects and not problems:
        problems.append(
            f"there must be SEG or RTSTRUCT objects for the {len(series)} series of images, there are "
            "none; without references there is nothing to score against"
        )
    return tuple(sorted(cases, key=lambda it: (it.patient, it.study, it.series)))


def _sorted_out(
    headers: Sequence[Header], problems: list[str]
) -> tuple[dict[str, list[Header]], list[Structures]]:
    """Part the images, by their series, from the objects that hold structures."""
    series: dict[str, list[Header]] = {}
    objects: list[Structures] = []
    for header in headers:
        if text_of(header.content, "SOPClassUID") in (*SEGMENTATIONS, *CONTOURS):
            try:
                with damage_told(header.told):
                    objects.append(structures_of(header))
            except DataError as error:
                problems.append(str(error))
        elif text_of(header.content, "Modality") not in _NO_SCANS:
            series.setdefault(text_of(header.content, "SeriesInstanceUID"), []).append(header)
    return series, objects


def _without_copies(
    headers: Sequence[Header], problems: list[str], notes: list[str]
) -> list[Header]:
    """Keep one of files that are the same byte for byte; refuse one name for two contents."""
    kept: dict[str, Header] = {}
    for header in headers:
        uid = text_of(header.content, "SOPInstanceUID") or header.told
        before = kept.setdefault(uid, header)
        if before is header:
            continue
        if _digest(before.file) == _digest(header.file):
            notes.append(f"{header.told} is a copy of {before.told} and counts once")
        else:
            problems.append(
                f"{before.told} and {header.told} have one SOPInstanceUID and different contents; remove "
                "the one that is wrong"
            )
    return list(kept.values())


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        return str(error)


def _series_of(structures: Structures, series: dict[str, list[Header]]) -> str:
    """Return the series that structures belong to; empty when it is not there.

    Named by its UID, else by its images, else the only one in the same frame of reference.
    """
    if structures.series:
        return structures.series if structures.series in series else ""
    images = set(structures.images)
    by_image = [
        uid
        for uid, headers in series.items()
        if images & {text_of(it.content, "SOPInstanceUID") for it in headers}
    ]
    frame = text_of(structures.header.content, "FrameOfReferenceUID")
    by_frame = [
        uid
        for uid, headers in series.items()
        if frame and text_of(headers[0].content, "FrameOfReferenceUID") == frame
    ]
    found = by_image or by_frame
    return found[0] if len(found) == 1 else ""


def _told(headers: Sequence[Header]) -> str:
    number = text_of(headers[0].content, "SeriesNumber")
    place = Path(headers[0].told).parent.as_posix()
    where = "" if place == "." else f" in {place}"
    return f"series {number or 'without a number'}{where} ({len(headers)} files)"


def _chosen(structures: Sequence[Structures], choice: Choice) -> tuple[Structures, ...]:
    asked = choice.raters or ((choice.references,) if choice.references else ())
    names = sorted(it.name or "unnamed" for it in structures)
    if not asked:
        if len(structures) == 1:
            return tuple(structures)
        msg = (
            f"must have one SEG or RTSTRUCT, it has {len(structures)}: {', '.join(names)}. Say which "
            f"one counts (--references '{names[0]}'), or that they are several raters "
            f"(--raters '{','.join(names)}')"
        )
        raise DataError(msg)
    picked = []
    for name in asked:
        found = [it for it in structures if it.name == name]
        if len(found) != 1:
            msg = (
                f"must have one SEG or RTSTRUCT {name!r}, it has {len(found)} of that name; all of them: "
                f"{', '.join(names)}"
            )
            raise DataError(msg)
        picked += found
    return tuple(picked)


def _case(uid: str, headers: Sequence[Header], structures: tuple[Structures, ...]) -> DicomCase:
    planes: list[Plane] = []
    for header in headers:
        with damage_told(header.told):
            planes += planes_of(header)
    ordered, geometry = grid_of(planes)
    held = {text_of(header.content, "SOPInstanceUID") for header in headers}
    for it in structures:
        missing = set(it.images) - held - {""}
        if missing:
            msg = (
                f"slices are missing: {it.header.told} refers to {len(set(it.images))} images, "
                f"{len(missing)} of them are not in the folder"
            )
            raise DataError(msg)
    content = headers[0].content
    study = text_of(content, "StudyInstanceUID")
    return DicomCase(
        series=uid,
        study=study,
        patient=text_of(content, "PatientID") or study or uid,
        modality=text_of(content, "Modality"),
        told=_told(headers),
        planes=ordered,
        geometry=geometry,
        references=structures,
    )
