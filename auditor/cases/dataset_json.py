"""The file dataset.json of nnU-Net (versions 1 and 2) and of the Medical Segmentation Decathlon.

**Conventions.** Version 1 and the Decathlon write ``labels`` from number to name (``{"1": "liver"}``),
version 2 from name to number (``{"liver": 1}``), with a list of numbers for a region. Both are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.cases.finding import listed
from auditor.documents import read_text
from auditor.errors import ConfigError
from auditor.schema import LARGEST_LABEL

__all__ = [
    "NAME",
    "Labels",
    "channel_numbers",
    "count_notes",
    "read_channels",
    "read_json",
    "read_labels",
    "training_note",
    "whole_number",
]

NAME = "dataset.json"
"""In the folder of the dataset."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What dataset.json says of the numbers in the masks."""

    named: tuple[tuple[str, int], ...]
    """(name, number), by number, background left out."""
    notes: tuple[str, ...]
    """Regions and the number that is to be ignored: what is no label of its own."""


def read_json(file: Path, problems: list[str]) -> dict[str, Any]:
    """Read a JSON object; empty, with a problem, when it is none."""
    try:
        content = json.loads(read_text(file, what=file.name))
    except ConfigError as error:
        problems.append(str(error))
    except json.JSONDecodeError as error:
        problems.append(
            f"{file.name} must be JSON; line {error.lineno}, column {error.colno}: {error.msg}"
        )
    except ValueError as error:
        problems.append(f"{file.name} must be JSON; {str(error)[:120]}")
    except RecursionError:
        problems.append(f"{file.name} must be JSON; it is nested too deeply to be read")
    else:
        if isinstance(content, dict):
            return content
        problems.append(f"{file.name} must hold a JSON object, it holds {type(content).__name__}")
    return {}


def read_labels(value: object, problems: list[str]) -> Labels:
    """Read ``labels`` in either direction.

    Parameters
    ----------
    value : object
        As it stands in the file.
    problems : list of str
        Grows by what is wrong: names and numbers that stand twice, values that are no numbers.
    """
    if not isinstance(value, Mapping) or not value:
        problems.append(
            f'{NAME}: labels must be an object such as {{"background": 0, "liver": 1}}, was {value!r:.80}'
        )
        return Labels((), ())
    by_number = all(isinstance(key, str) and whole_number(key) is not None for key in value)
    pairs = [(name, key) if by_number else (key, name) for key, name in value.items()]
    named: list[tuple[str, int]] = []
    united: set[int] = set()
    notes: list[str] = []
    for name, number in pairs:
        numbers = _numbers(number)
        if (
            not isinstance(name, str)
            or not name.strip().isprintable()
            or not name.strip()
            or not numbers
        ):
            problems.append(
                f"{NAME}: labels must give each printable name a whole number from 0 to {LARGEST_LABEL}, or a "
                f"list of them for a region; {name!r:.60} has {number!r:.60}"
            )
        elif len(numbers) > 1:
            united |= set(numbers)
            told = ", ".join(map(str, numbers))
            notes.append(
                f"the region {name!r} unites the labels {told}; it is no label of the masks, and the "
                "audit scores the labels themselves, unless label_groups unites them again"
            )
        elif name == "ignore":
            notes.append(
                f"label {numbers[0]} marks what is to be ignored; an audit counts it as background, "
                "also where a system finds something there"
            )
        elif numbers[0]:
            named.append((name.strip(), numbers[0]))
    problems += _twice(named)
    # what only regions name is a label of the masks all the same
    named += [(f"label_{it}", it) for it in sorted(united - {0} - {it for _, it in named})]
    return Labels(tuple(sorted(named, key=lambda it: it[1])), tuple(notes))


def _numbers(value: object) -> list[int]:
    values: list[object] = value if isinstance(value, list) else [value]
    found = [number for it in values if (number := whole_number(it)) is not None]
    return found if len(found) == len(values) and max(found, default=0) <= LARGEST_LABEL else []


def whole_number(value: object) -> int | None:
    """Read a whole number of at most nine digits, or its text; None for anything else."""
    text = "" if isinstance(value, bool) else str(value).strip()
    return int(text) if text.isdecimal() and len(text) <= 9 else None


def _twice(named: Sequence[tuple[str, int]]) -> list[str]:
    problems = []
    for part, what in ((0, "name"), (1, "number")):
        seen: dict[object, str] = {}
        for pair in named:
            told = f"{pair[0]} = {pair[1]}"
            before = seen.setdefault(pair[part], told)
            if before is not told:
                problems.append(
                    f"{NAME}: labels must have a {what} each; {before} and {told} share one"
                )
    return problems


def read_channels(value: object, key: str, problems: list[str]) -> tuple[str, ...]:
    """Read the names of the image channels, in the order of their numbers.

    Parameters
    ----------
    value : object
        ``{"0": "T1", "1": "FLAIR"}``.
    key : str
        channel_names (nnU-Net 2) or modality (nnU-Net 1, MSD).
    problems : list of str
        Grows.
    """
    if isinstance(value, Mapping) and value:
        names = {whole_number(number): str(name) for number, name in value.items()}
        if set(names) == set(range(len(value))):
            return tuple(names[number] for number in range(len(value)))
    problems.append(
        f'{NAME}: {key} must name the channels from 0 on, such as {{"0": "CT"}}, was {value!r:.80}'
    )
    return ()


def channel_numbers(
    names: Sequence[str], asked: Sequence[str], problems: list[str]
) -> tuple[int, ...]:
    """Return the numbers of the channels that are asked for; all of them when none are."""
    unknown = [name for name in asked if name not in names]
    if unknown:
        problems.append(
            f"the images {listed(unknown)} must be channels of {NAME}, which has {listed(tuple(names))}"
        )
    chosen = [names.index(name) for name in asked if name in names]
    return tuple(chosen) if asked else tuple(range(len(names)))


def training_note(folder: Path) -> str:
    """Warn of cases that a system may have learned from."""
    return (
        f"these are the training cases of {folder.name}: a system that learned from them looks "
        "better than it is"
    )


def count_notes(content: Mapping[str, Any], split: str, count: int) -> list[str]:
    """Say when a dataset announces another number of cases than it has.

    Parameters
    ----------
    content : of dataset.json.
    split : training or test.
    count : cases found.
    """
    key = "numTraining" if split == "training" else "numTest"
    told = content.get(key)
    if told is None or told == count:
        return []
    return [f"{NAME} says {key}: {told!r:.20}, the dataset has {count} such cases"]
