"""What BIDS writes beside the images: participants.tsv, tables of labels, JSON sidecars."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from auditor.cases.bids_names import BidsFile
from auditor.cases.dataset_json import read_json, whole_number
from auditor.cases.finding import stem_of, told_of
from auditor.documents import read_text
from auditor.errors import ConfigError, DataError

__all__ = ["read_participants", "sidecar_thickness", "table_labels"]

_TAKEN = re.compile(r"case|patient|image(_\d+)?|reference|rater_\d+|session|run|slice_thickness_mm")
"""Columns of the table of cases that mean something else."""

_IDENTIFYING = re.compile(
    r"(^|_)(id|ids|uid|mrn|name|names|birth|birthday|birthdate|dob|date|address|phone|email|ssn|"
    r"insurance|path|file|filename)(_|$)",
    re.IGNORECASE,
)
_DATE = re.compile(r"\d{4}-?\d{2}-?\d{2}([T ].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}")
_FEW = 3
"""From so many participants on a column of words that are all different is no group but a name."""


def read_participants(
    folder: Path, problems: list[str], notes: list[str]
) -> dict[str, tuple[tuple[str, str], ...]]:
    """Read the columns of participants.tsv that can group cases.

    Left out, with a note: columns whose name or content may identify a person (names, ids, dates,
    paths, words that every participant has for himself), because metadata stands in the results.

    Returns
    -------
    dict
        sub-01 -> ((column, value), ..); ``n/a`` becomes empty.
    """
    table = folder / "participants.tsv"
    if not table.is_file():
        return {}
    rows = _rows(table, problems)
    if rows and "participant_id" not in rows[0]:
        problems.append(
            f"participants.tsv must have the column participant_id, it has {', '.join(rows[0])}"
        )
        return {}
    ids = [row["participant_id"] for row in rows]
    twice = sorted(name for name, count in Counter(ids).items() if count > 1)
    problems += [f"participants.tsv must name {name} once, it stands there twice" for name in twice]
    names = [name for name in (rows[0] if rows else {}) if name and name != "participant_id"]
    kept: list[str] = []
    dropped: list[str] = []
    for name in names:
        good = _groups_people([row[name] for row in rows], name) and not _TAKEN.fullmatch(name)
        (kept if good else dropped).append(name)
    if dropped:
        notes.append(
            f"columns of participants.tsv that may identify a person, or have a name of their own "
            f"meaning here, are left out: {', '.join(dropped)}"
        )
    return {row["participant_id"]: tuple((name, row[name]) for name in kept) for row in rows}


def _rows(table: Path, problems: list[str]) -> list[dict[str, str]]:
    try:
        text = read_text(table, what=table.name)
        reader = csv.DictReader(
            io.StringIO(text, newline=""), delimiter="\t", restval="", quoting=csv.QUOTE_NONE
        )
        return [
            {
                str(key).strip(): "" if value.strip() == "n/a" else value.strip()
                for key, value in row.items()
                if isinstance(key, str)
            }
            for row in reader
        ]
    except ConfigError as error:
        problems.append(str(error))
        return []
    except csv.Error:
        problems.append(f"{table.name} must be a readable table: it is no table in UTF-8")
        return []


def _groups_people(values: Sequence[str], name: str) -> bool:
    held = [value for value in values if value]
    if _IDENTIFYING.search(name) or any(_DATE.fullmatch(value) or "/" in value for value in held):
        return False
    words = [value for value in held if not _is_number(value)]
    return not (len(words) >= _FEW and len(set(words)) == len(words))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def sidecar_thickness(image: BidsFile, folder: Path, problems: list[str]) -> str:
    """Return SliceThickness (mm) of an image, as text; empty when no sidecar tells it.

    The file beside the image counts, then the one for all images of its kind at the top.
    """
    sidecar = image.path.with_name(f"{stem_of(image.path)}.json")
    for file in (sidecar, folder / f"{image.suffix}.json"):
        if not file.is_file():
            continue
        found: list[str] = []
        value = read_json(file, found).get("SliceThickness")
        problems += [it.replace(file.name, told_of(file, folder), 1) for it in found]
        if value is None:
            continue
        if isinstance(value, int | float) and math.isfinite(value) and value > 0:
            return f"{value:g}"
        problems.append(
            f"{told_of(file, folder)}: SliceThickness must be a positive number, was {value!r:.40}"
        )
    return ""


def table_labels(masks: Sequence[BidsFile], folder: Path) -> tuple[tuple[str, int], ...]:
    """Return the labels that the names of the masks, or the tables beside them, tell.

    Raises
    ------
    DataError
        When two tables give one number two names.
    """
    known: dict[int, str] = {}
    for table in dict.fromkeys(it for mask in masks for it in _label_tables(mask, folder)):
        for name, number in _read_labels(table, folder):
            before = known.setdefault(number, name)
            if before != name:
                msg = (
                    f"{told_of(table, folder)} must name label {number} as the other tables of the "
                    f"masks do: {before!r}, it says {name!r}"
                )
                raise DataError(msg)
    if known:
        return tuple((name, number) for number, name in sorted(known.items()) if number)
    names = {mask.entity("label") or mask.entity("desc") for mask in masks if mask.suffix == "mask"}
    return tuple((name, 1) for name in names if name and len(names) == 1)


def _label_tables(mask: BidsFile, folder: Path) -> list[Path]:
    """Find the table of a label map: beside it, or for all maps in the folder of its pipeline."""
    if mask.suffix != "dseg":
        return []
    beside = mask.path.with_name(f"{stem_of(mask.path)}.tsv")
    if beside.is_file():
        return [beside]
    top = folder / "derivatives" / mask.pipeline if mask.pipeline else folder
    return sorted(it for it in top.glob("*dseg.tsv") if it.is_file() and _fits(it, mask))


def _fits(table: Path, mask: BidsFile) -> bool:
    said = [tuple(it.split("-", 1)) for it in table.stem.split("_") if "-" in it]
    return all(pair in mask.entities for pair in said)


def _read_labels(table: Path, folder: Path) -> list[tuple[str, int]]:
    problems: list[str] = []
    rows: Sequence[Mapping[str, str]] = _rows(table, problems)
    told = told_of(table, folder)
    found = []
    for row in rows:
        number, name = whole_number(row.get("index", "")), row.get("name", "")
        if number is not None and name:
            found.append((name, number))
        else:
            problems.append(f"{told} must have a whole index and a name in each row")
    if problems:
        msg = f"the labels of the masks cannot be read: {problems[0]}"
        raise DataError(msg)
    return found
