"""Datasets of the Medical Segmentation Decathlon: dataset.json lists the files.

Images of several modalities are one NIfTI file each, with the modalities along its fourth axis; the
table of cases names them one by one: ``BRATS_001.nii.gz[0]``, ``BRATS_001.nii.gz[1]`` and on.

References
----------
Antonelli et al. 2022, The Medical Segmentation Decathlon, Nature Communications 13:4128.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from auditor.cases.dataset_json import (
    NAME,
    channel_numbers,
    count_notes,
    read_channels,
    read_json,
    read_labels,
    training_note,
)
from auditor.cases.finding import SUFFIXES, is_scan, stem_of, there, told_of
from auditor.cases.gathered import Choice, Gathered, modality_of, refuse, same_names
from auditor.schema import CaseRecord
from auditor.volumes.nifti import fourth_axis, is_nifti

__all__ = ["gather_msd", "is_msd"]


def is_msd(folder: Path) -> bool:
    """Tell whether a folder has a dataset.json that lists its files."""
    return isinstance(read_json(folder / NAME, []).get("training"), list)


def gather_msd(folder: Path, choice: Choice) -> Gathered:
    """Read a dataset of the Decathlon; every case is a patient of its own.

    Parameters
    ----------
    folder : Path
        Holds dataset.json.
    choice : Choice
        ``split``: test cases count where the list names labels for them, else the training cases.
        ``images``: the modalities that count.

    Raises
    ------
    DataError
        With every problem at once.
    """
    problems: list[str] = []
    content = read_json(folder / NAME, problems)
    refuse(problems, f"MSD dataset {folder.name}")
    names = read_channels(content.get("modality"), "modality", problems)
    chosen = channel_numbers(names, choice.images, problems)
    labels = read_labels(content.get("labels"), problems)
    test = _labelled(content.get("test"))
    split = choice.split or ("test" if test else "training")
    entries = test if split == "test" else _entries(content.get("training"), problems)
    if not entries:
        problems.append(f"{NAME} must list {split} cases with a label each, it lists none")
    cases = []
    for image, label in entries:
        problems += _file_problems(folder, (image, label), len(names))
        if image.lower().endswith(SUFFIXES):
            cases.append(_record(folder, image, label, chosen, len(names)))
    notes = list(labels.notes)
    if split == "training":
        notes.append(training_note(folder))
    notes += count_notes(content, split, len(entries))
    problems += same_names(cases)
    text = f"MSD dataset {folder.name}: the {split} cases that {NAME} lists"
    refuse(problems, text)
    return Gathered(
        layout="msd",
        text=text,
        cases=tuple(cases),
        labels=labels.named,
        channels=tuple(names[number] for number in chosen),
        modality=modality_of([names[number] for number in chosen]),
        notes=tuple(notes),
    )


def _labelled(entries: object) -> list[tuple[str, str]]:
    """Return (image, label) of the test cases; the Decathlon lists images alone."""
    given: Sequence[object] = entries if isinstance(entries, list) else []
    return [pair for entry in given if (pair := _pair(entry)) is not None]


def _entries(value: object, problems: list[str]) -> list[tuple[str, str]]:
    given: Sequence[object] = value if isinstance(value, list) else []
    problems += [
        f'{NAME}: training must list {{"image": a file, "label": a file}}, entry {number} is '
        f"{entry!r:.80}"
        for number, entry in enumerate(given)
        if _pair(entry) is None
    ]
    return [pair for entry in given if (pair := _pair(entry)) is not None]


def _pair(entry: object) -> tuple[str, str] | None:
    if not isinstance(entry, Mapping):
        return None
    image, label = entry.get("image"), entry.get("label")
    return (image, label) if isinstance(image, str) and isinstance(label, str) else None


def _file_problems(folder: Path, files: Sequence[str], channels: int) -> list[str]:
    problems = []
    for role, name in zip(("image", "label"), files, strict=True):
        path = folder / name
        told = told_of(path, folder)
        if not there(path):
            problems.append(f"{told}, which {NAME} names as {role}, is missing")
        elif not is_scan(path):
            problems.append(f"{told} must be a scan ({', '.join(SUFFIXES)})")
        elif role == "image" and channels and (held := _volumes(path)) != channels:
            problems.append(
                f"{told} must have {channels} volumes along its fourth axis, one per modality of "
                f"{NAME}; it has {held}"
            )
    return problems


def _volumes(path: Path) -> int:
    """Count the volumes of a file; formats without a fourth axis have one."""
    return fourth_axis(path) if is_nifti(path) else 1


def _record(
    folder: Path, image: str, label: str, chosen: Sequence[int], channels: int
) -> CaseRecord:
    path = folder / image
    several = channels > 1
    images = tuple(f"{path}[{number}]" for number in chosen) if several else (str(path),)
    name = stem_of(path)
    return CaseRecord(case=name, patient=name, images=images, reference=str(folder / label))
