"""Raw datasets of nnU-Net: imagesTs with labelsTs, imagesTr with labelsTr, and dataset.json.

Version 1 and version 2 are read: names and order of the channels, labels in either direction, the
suffix of the files, and explicit lists of files (``dataset``). ``overwrite_image_reader_writer`` says
how nnU-Net opens a file, and nothing of what is in it.

References
----------
nnU-Net, documentation/dataset_format.md of the version 2 repository.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from auditor.cases.dataset_json import (
    NAME,
    channel_numbers,
    count_notes,
    read_channels,
    read_json,
    read_labels,
    training_note,
    whole_number,
)
from auditor.cases.finding import SUFFIXES, stem_of, there, told_of
from auditor.cases.gathered import Choice, Gathered, modality_of, refuse, same_names
from auditor.cases.pairs import Pair, pair_up
from auditor.schema import CaseRecord

__all__ = ["gather_nnunet", "is_nnunet"]

_SPLITS = {"test": "Ts", "training": "Tr"}


@dataclass(frozen=True, slots=True)
class _Read:
    """What dataset.json says of the channels."""

    names: tuple[str, ...]
    """Of all channels."""
    chosen: tuple[int, ...]
    """Numbers of those that count."""


def is_nnunet(folder: Path) -> bool:
    """Tell whether a folder is a raw dataset of nnU-Net.

    Version 2 has ``channel_names`` or ``file_ending`` in its dataset.json; version 1 differs from a
    dataset of the Decathlon by the names of its images, which end in _0000.
    """
    content = read_json(folder / NAME, [])
    if "channel_names" in content or "file_ending" in content:
        return True
    images = (folder / f"images{part}" for part in _SPLITS.values())
    named = (path for place in images if place.is_dir() for path in place.iterdir())
    return bool(content) and any("_0000." in path.name for path in named)


def gather_nnunet(folder: Path, choice: Choice) -> Gathered:
    """Read a raw dataset of nnU-Net; every case is a patient of its own.

    Parameters
    ----------
    folder : Path
        Holds dataset.json; the test cases count where they have labels, else the training cases.
    choice : Choice
        ``split`` names the part, ``images`` the channels.

    Raises
    ------
    DataError
        With every problem at once.
    """
    problems: list[str] = []
    content = read_json(folder / NAME, problems)
    refuse(problems, f"nnU-Net dataset {folder.name}")
    key = "channel_names" if "channel_names" in content else "modality"
    names = read_channels(content.get(key), key, problems)
    read = _Read(names, channel_numbers(names, choice.images, problems))
    labels = read_labels(content.get("labels"), problems)
    notes = list(labels.notes)
    ending = _ending(content, problems)
    split = choice.split or ("test" if (folder / "labelsTs").is_dir() else "training")
    part = _SPLITS[split]
    listed_cases = content.get("dataset")
    if split == "training" and isinstance(listed_cases, Mapping):
        what = f"nnU-Net dataset {folder.name}: the {split} cases that {NAME} lists"
        cases = _listed(folder, listed_cases, read, problems)
    else:
        what = f"nnU-Net dataset {folder.name}: imagesTr/ and labelsTr/".replace("Tr/", f"{part}/")
        pair = Pair(folder / f"images{part}", folder / f"labels{part}")
        found = pair_up(pair, problems, ending=ending)
        cases = tuple(_with_channels(record, read, problems) for record in found)
    if split == "training":
        notes += [training_note(folder), *count_notes(content, split, len(cases))]
    problems += same_names(cases)
    refuse(problems, what)
    return Gathered(
        layout="nnunet",
        text=what,
        cases=cases,
        labels=labels.named,
        channels=tuple(names[number] for number in read.chosen),
        modality=modality_of([names[number] for number in read.chosen]),
        notes=tuple(notes),
    )


def _ending(content: Mapping[str, Any], problems: list[str]) -> str:
    ending = content.get("file_ending", "")
    if ending and ending not in SUFFIXES:
        problems.append(
            f"{NAME}: file_ending must be one of {', '.join(SUFFIXES)}, was {ending!r:.40}; convert the "
            "files, or write a table"
        )
        return ""
    return str(ending)


def _with_channels(record: CaseRecord, read: _Read, problems: list[str]) -> CaseRecord:
    """Keep the chosen channels of a case, after a look whether all of them are there."""
    found = {_channel_of(Path(path), record.case): path for path in record.images}
    wanted = set(range(len(read.names)))
    colours = set(found) == {0} and _is_picture(Path(record.images[0]))
    if colours and len(read.chosen) == len(wanted) > 1:
        return record  # the channels of a picture lie in one file, by the rules of nnU-Net
    if wanted and set(found) != wanted:
        held = ", ".join("no channel" if n is None else f"_{n:04d}" for n in found)
        needed = ", ".join(f"_{n:04d} ({name})" for n, name in enumerate(read.names))
        problems.append(f"case {record.case!r} must have the channels {needed}, it has {held}")
        return record
    return replace(record, images=tuple(found[n] for n in read.chosen) or record.images)


def _is_picture(path: Path) -> bool:
    return path.name.lower().endswith((".png", ".tif", ".tiff"))


def _channel_of(path: Path, case: str) -> int | None:
    return whole_number(stem_of(path)[len(case) + 1 :])


def _listed(
    folder: Path, cases: Mapping[str, Any], read: _Read, problems: list[str]
) -> tuple[CaseRecord, ...]:
    """Read ``dataset``: {case: {"images": [file of each channel], "label": file}}."""
    records = []
    for case, entry in cases.items():
        images = entry.get("images") if isinstance(entry, Mapping) else None
        label = entry.get("label") if isinstance(entry, Mapping) else None
        if not _texts(images) or not isinstance(label, str):
            problems.append(
                f'{NAME}: dataset.{case} must be {{"images": [a file per channel], "label": a file}}, '
                f"was {entry!r:.80}"
            )
            continue
        files = [folder / name for name in images or ()]
        problems += [
            f"case {case!r}: the file {told_of(path, folder)} that {NAME} names is missing"
            for path in (*files, folder / label)
            if not there(path)
        ]
        if read.names and len(files) != len(read.names):
            problems.append(
                f"case {case!r} must have {len(read.names)} channels ({', '.join(read.names)}), "
                f"{NAME} lists {len(files)}"
            )
            continue
        chosen = [str(files[number]) for number in read.chosen] or [str(path) for path in files]
        records.append(CaseRecord(case, case, tuple(chosen), str(folder / label)))
    if not cases:
        problems.append(f"{NAME}: dataset must list cases, it lists none")
    return tuple(records)


def _texts(value: object) -> bool:
    given: Sequence[object] = value if isinstance(value, list) else []
    return bool(given) and all(isinstance(it, str) for it in given)
