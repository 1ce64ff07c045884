"""DICOM series with their structures, written once as NIfTI: voxels and grid, nothing of a header.

**Names.** Patients are patient001, patient002 and on in the order of their PatientID, cases case001 and on in
the order of patient, study and series; who they are stands in one file beside the folder, which must not
leave the machine. A series without PatientID counts as a patient of its study.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.cases.dicom.reading import read_headers
from auditor.cases.dicom.scans import DicomCase, find_cases
from auditor.cases.dicom.series import read_intensities
from auditor.cases.dicom.structures import Structures, masks_of
from auditor.cases.finding import listed
from auditor.cases.gathered import Choice, Gathered, refuse
from auditor.cases.manifest import THICKNESS
from auditor.errors import DataError, StoreError
from auditor.schema import CaseRecord
from auditor.volumes.images import write_image

__all__ = ["Converted", "convert"]

_WARNING = "# Names patients: this file must not leave the machine."

_MODALITIES = {"CT": "ct", "MR": "mr", "US": "us"}

Labels = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written."""

    gathered: Gathered
    """The cases, as files in the folder of the volumes."""
    identities: Path
    """Who is who; must not leave the machine."""


def convert(folder: Path, volumes: Path, choice: Choice | None = None) -> Converted:
    """Convert every series that has a SEG or RTSTRUCT.

    Parameters
    ----------
    folder : Path
        DICOM files of one or many patients, at any depth.
    volumes : Path
        New folder: images/, references/ or rater_1/ and on. Written whole or not at all.
    choice : Choice, optional
        ``references`` or ``raters``: objects by their description; ``labels``: structures, in the order
        of their numbers.

    Raises
    ------
    DataError
        With every problem of every series at once; nothing is left behind then.
    StoreError
        When the folder cannot be written.
    """
    with warnings.catch_warnings():
        # pydicom warns of values that break a rule of form, and repeats them: they may be names
        warnings.simplefilter("ignore")
        place = volumes if volumes.name not in ("", "..") else volumes.resolve()
        return _convert(folder, place, choice or Choice())


def _convert(folder: Path, volumes: Path, chosen: Choice) -> Converted:
    identities = volumes.with_name(f"{volumes.name}.identities.csv")
    _refuse_existing(volumes, identities)
    problems: list[str] = []
    notes: list[str] = []
    headers = read_headers(folder, problems, notes)
    cases = find_cases(headers, chosen, problems, notes)
    labels = _labels(cases, chosen, problems, notes)
    text = f"DICOM series in {folder.name} with SEG or RTSTRUCT"
    if not cases:
        refuse(problems, text)
    partial = volumes.with_name(f".{volumes.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        rows, records = [], []
        patients = {name: n for n, name in enumerate(sorted({it.patient for it in cases}), start=1)}
        for number, case in enumerate(cases, start=1):
            record = _record(f"case{number:03d}", f"patient{patients[case.patient]:03d}", case)
            try:
                _write(record, case, partial, labels, notes)
            except DataError as error:
                problems.append(f"{case.told}: {error}")
            records.append(_moved(record, volumes))
            rows.append((record.case, record.patient, case.patient, case.study, case.series))
        refuse(problems, text)
        _write_identities(identities, rows)
        if volumes.exists():
            volumes.rmdir()
        partial.replace(volumes)
    except OSError as error:
        msg = f"the volumes could not be written to {volumes.name}: {error.strerror or error}"
        raise StoreError(msg) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    modalities = {_MODALITIES.get(case.modality, "") for case in cases}
    return Converted(
        Gathered(
            layout="dicom",
            text=text,
            cases=tuple(records),
            labels=labels,
            modality=modalities.pop() if len(modalities) == 1 else "",
            notes=tuple(dict.fromkeys(notes)),
            names_patients=True,
        ),
        identities,
    )


def _refuse_existing(volumes: Path, identities: Path) -> None:
    if volumes.exists() and (not volumes.is_dir() or any(volumes.iterdir())):
        msg = (
            f"the volumes must go to a new or empty folder, {volumes.name} holds something already"
        )
        raise DataError(msg)
    if identities.exists():
        msg = (
            f"{identities.name} exists already, from an earlier conversion; remove it, or give the volumes "
            "another folder"
        )
        raise DataError(msg)


def _labels(
    cases: Sequence[DicomCase], choice: Choice, problems: list[str], notes: list[str]
) -> Labels:
    """Give every structure one number in all cases."""
    objects = [it for case in cases for it in case.references]
    pairs = dict.fromkeys(pair for it in objects for pair in it.labels)
    names = sorted({name for name, _ in pairs})
    if choice.labels:
        unknown = [name for name in choice.labels if name not in names]
        if unknown and objects:
            problems.append(
                f"the structures {listed(unknown)} must be in a SEG or RTSTRUCT; there are {listed(names)}"
            )
        labels: Labels = tuple((name, n) for n, name in enumerate(choice.labels, start=1))
        left = [name for name in names if name not in choice.labels]
        if left:
            notes.append(f"structures that were not asked for are left out: {listed(left)}")
    elif all(it.is_seg for it in objects) and _agree(list(pairs)):
        labels = tuple(sorted(pairs, key=lambda it: it[1]))
    else:
        labels = tuple((name, n) for n, name in enumerate(names, start=1))
        notes.append(
            "the labels are numbered in the order of their names, for the files do not number them alike"
        )
    for name, _ in labels:
        without = [case.told for case in cases if not _has(case.references, name)]
        if without and name in names:
            notes.append(f"{name!r} is in none of the structures of {listed(without)}")
    return labels


def _agree(pairs: Sequence[tuple[str, int]]) -> bool:
    """Tell whether each name has one number, each number one name, and none is 0."""
    names = {name for name, _ in pairs}
    numbers = {number for _, number in pairs}
    return len(names) == len(numbers) == len(pairs) and 0 not in numbers


def _has(references: Sequence[Structures], name: str) -> bool:
    return all(name in dict(it.labels) for it in references)


def _record(name: str, patient: str, case: DicomCase) -> CaseRecord:
    """Return a case with paths below the folder of the volumes."""
    raters = len(case.references) > 1
    thick = {plane.thickness for plane in case.planes}
    thickness = thick.pop() if len(thick) == 1 else None
    # the column speaks of the axis of the largest spacing
    along = case.geometry.spacing[0] >= max(case.geometry.spacing)
    told = f"{thickness:g}" if thickness and along else ""
    return CaseRecord(
        case=name,
        patient=patient,
        images=(f"images/{name}.nii.gz",),
        reference=None if raters else f"references/{name}.nii.gz",
        raters=tuple(f"rater_{n}/{name}.nii.gz" for n in range(1, len(case.references) + 1))
        if raters
        else (),
        metadata=((THICKNESS, told),),
    )


def _moved(record: CaseRecord, folder: Path) -> CaseRecord:
    return CaseRecord(
        case=record.case,
        patient=record.patient,
        images=tuple(str(folder / path) for path in record.images),
        reference=str(folder / record.reference) if record.reference else None,
        raters=tuple(str(folder / path) for path in record.raters),
        metadata=record.metadata,
    )


def _write(
    record: CaseRecord, case: DicomCase, folder: Path, labels: Labels, notes: list[str]
) -> None:
    paths = (record.reference,) if record.reference else record.raters
    maps = [_label_map(it, case, labels, notes) for it in case.references]
    image = torch.from_numpy(_smallest(read_intensities(case.planes)))
    write_image(folder / record.images[0], image, case.geometry)
    for path, label_map in zip(paths, maps, strict=True):
        write_image(folder / path, torch.from_numpy(label_map), case.geometry)


def _label_map(
    structures: Structures, case: DicomCase, labels: Labels, notes: list[str]
) -> NDArray[np.int16]:
    """Unite the masks of all labels; one voxel can have one label only."""
    found = np.zeros(case.geometry.shape, np.int16)
    names = {number: name for name, number in labels}
    own: list[str] = []
    masks = masks_of(structures, case.geometry, [name for name, _ in labels], own)
    notes += own
    for name, number in labels:
        if name not in masks:
            continue
        taken = found[masks[name]]
        if (taken > 0).any():
            other = names[int(taken[taken > 0][0])]
            count = int((taken > 0).sum())
            msg = (
                f"{structures.header.told}: a voxel can have one label; {other!r} and {name!r} share "
                f"{count} voxels; choose the structures that count with --labels"
            )
            raise DataError(msg)
        found[masks[name]] = number
    return found


def _smallest(values: NDArray[np.float32]) -> NDArray[np.float32] | NDArray[np.int16]:
    """Store whole numbers as such: half the space, the same values."""
    limits = np.iinfo(np.int16)
    inside = bool((values >= limits.min).all() and (values <= limits.max).all())
    if inside and np.array_equal(values, np.rint(values)):
        return values.astype(np.int16)
    return values


def _write_identities(path: Path, rows: Sequence[Sequence[str]]) -> None:
    sink = io.StringIO()
    sink.write(f"{_WARNING}\n")
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(("case", "patient", "patient_id", "study_instance_uid", "series_instance_uid"))
    writer.writerows(rows)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        file.write(sink.getvalue())
