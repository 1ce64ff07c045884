"""The table of cases: which files belong together. Nothing is opened but the table itself.

**Conventions.** Rows are counted as a text editor counts lines: the header is row 1. Display ids say
nothing of a name but its place in the order of (patient, case). A digest covers every byte that an
image is read from, also when header and voxels are two files.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from auditor.cases.finding import there
from auditor.documents import csv_reader
from auditor.errors import DataError
from auditor.schema import CaseRecord
from auditor.volumes.digests import file_digest
from auditor.volumes.selectors import file_of, split_channel

__all__ = ["THICKNESS", "finished", "names_patients", "read_table", "roles"]

THICKNESS = "slice_thickness_mm"
"""Column of the thickness of the slices, where it is not their distance."""


def read_table(
    table: Path, *, images: bool = True, references: bool = True
) -> tuple[CaseRecord, ...]:
    """Read a CSV table of cases.

    Parameters
    ----------
    table : Path
        Columns: ``case``, ``patient`` (without the column: the case's name), ``image`` or ``image_1`` ..
        (one per channel; ``p.nii.gz[1]`` is the second volume of a file), ``reference`` and/or
        ``rater_1`` .. ``rater_k`` (the cell of a rater who did not see a case stays empty); every other
        column is metadata, of which perturbations know ``slice_thickness_mm``. Separated by comma,
        semicolon or tab. Paths are relative to the table.
    images : bool
        False: the columns of images may be missing, and their cells empty.
    references : bool
        False: a case may have no mask at all.

    Returns
    -------
    tuple of CaseRecord
        Sorted by patient and case, with display ids and the digest of every file.

    Raises
    ------
    DataError
        With every problem at once: missing columns, duplicate or empty cases, missing files.
    """
    columns, rows, too_long = _rows(table)
    channels, raters = _numbered(columns, "image"), _numbered(columns, "rater")
    problems = _column_problems(columns, channels, raters, images=images, references=references)
    if problems:
        msg = f"{table.name} is no table of cases:"
        raise DataError(msg, problems)
    problems += too_long
    records = []
    first_row: dict[str, int] = {}
    for number, row in rows:
        record = _record(row, table.parent, columns, channels, raters)
        records.append(record)
        wanted = channels if images or record.images else []
        told = _row_problems(row, record, wanted, references=references)
        problems += [f"row {number}: {it}" for it in told]
        before = first_row.setdefault(record.case, number)
        if record.case and before != number:
            problems.append(
                f"row {number}: the case {record.case!r} stands in row {before} already"
            )
    if not rows:
        problems.append("the table has no rows below its header")
    if problems:
        msg = f"{len(problems)} problem(s) in {table.name}:"
        raise DataError(msg, problems)
    return finished(records)


def names_patients(table: Path) -> bool:
    """Tell whether a table of cases has the column ``patient``."""
    return "patient" in _rows(table)[0]


def roles(record: CaseRecord) -> tuple[tuple[str, str], ...]:
    """List (role, path) of every file of a case: image_1 .., reference, rater_1 .."""
    found = [(f"image_{i + 1}", path) for i, path in enumerate(record.images)]
    if record.reference is not None:
        found.append(("reference", record.reference))
    return (*found, *zip(record.rater_names, record.raters, strict=True))


def finished(records: Sequence[CaseRecord]) -> tuple[CaseRecord, ...]:
    """Sort cases, give them display ids, and digest their files.

    Parameters
    ----------
    records : sequence of CaseRecord
        All of them: the ids count through the whole audit.

    Returns
    -------
    tuple of CaseRecord
        Sorted by (patient, case).

    Raises
    ------
    DataError
        When a file cannot be read.
    """
    ordered = sorted(records, key=lambda record: (record.patient, record.case))
    names = dict.fromkeys(record.patient for record in ordered)
    patients = {name: number for number, name in enumerate(names, start=1)}
    return tuple(
        replace(
            record,
            display_case=f"C{number:03d}",
            display_patient=f"P{patients[record.patient]:03d}",
            digests=_digests(record),
            slice_thickness_mm=_length(dict(record.metadata).get(THICKNESS, "")),
        )
        for number, record in enumerate(ordered, start=1)
    )


def _digests(record: CaseRecord) -> tuple[tuple[str, str], ...]:
    """(role, SHA-256) of every file; ``image_1[2]`` is another image than ``image_1[0]`` of a file."""
    known: dict[Path, str] = {}
    found = []
    for role, path in roles(record):
        file, channel = split_channel(path)
        if file not in known:
            known[file] = file_digest(file)
        found.append((role if channel is None else f"{role}[{channel}]", known[file]))
    return tuple(found)


def _length(text: str) -> float | None:
    """Read a positive number; None for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def _rows(table: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]], list[str]]:
    """Return columns, (row number, cells) of every row that is not blank, and problems of rows."""
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        msg = f"the table of cases {table.name} must be a readable CSV file: {why}"
        raise DataError(msg) from error
    reader = csv_reader(text)
    columns: list[str] = []
    rows = []
    problems = []
    try:
        columns = [cell.strip() for cell in next(reader, [])]
        for cells in reader:
            if any(cell.strip() for cell in cells):
                row = dict.fromkeys(columns, "")
                row.update(zip(columns, (cell.strip() for cell in cells), strict=False))
                rows.append((reader.line_num, row))
            if len(cells) > len(columns):
                problems.append(
                    f"row {reader.line_num}: must have at most {len(columns)} cells, has {len(cells)}; "
                    f"a {reader.dialect.delimiter!r} inside a cell needs quotes around the cell"
                )
    except csv.Error as error:
        problems.append(f"row {reader.line_num}: {error}")
    return columns, rows, problems


def _numbered(columns: Sequence[str], stem: str) -> list[str]:
    """Return the columns ``stem`` and ``stem_1`` .., in the order of their numbers."""
    prefix = f"{stem}_"
    numbered = [it for it in columns if it.startswith(prefix) and it[len(prefix) :].isdecimal()]
    plain = [stem] if stem == "image" and stem in columns else []
    return plain + sorted(numbered, key=lambda it: int(it[len(prefix) :]))


def _column_problems(
    columns: Sequence[str],
    channels: Sequence[str],
    raters: Sequence[str],
    *,
    images: bool,
    references: bool,
) -> list[str]:
    there = f"there are {', '.join(columns) or 'none'}"
    problems = [
        f"the column {it!r} stands {n} times" for it, n in Counter(columns).items() if n > 1
    ]
    if "case" not in columns:
        problems.append(f"a column case is required, {there}")
    if images and not channels:
        problems.append(f"a column image is required (or image_1 and on, one per channel), {there}")
    if "image" in channels and len(channels) > 1:
        problems.append("image and image_1 exclude each other: one file, or one file per channel")
    if references and "reference" not in columns and not raters:
        problems.append(f"a column reference, or rater_1 and on, is required, {there}")
    if [int(name[6:]) for name in raters] != list(range(1, len(raters) + 1)):
        problems.append(f"raters must be numbered from rater_1 on, there are {', '.join(raters)}")
    return problems


def _record(
    row: dict[str, str],
    folder: Path,
    columns: Sequence[str],
    images: Sequence[str],
    raters: Sequence[str],
) -> CaseRecord:
    known = {"case", "patient", "reference", *images, *raters}
    numbers = tuple(number for number, name in enumerate(raters, start=1) if row[name])
    gap = numbers != tuple(range(1, len(numbers) + 1))
    return CaseRecord(
        case=row["case"],
        patient=row.get("patient") or row["case"],
        images=tuple(str(folder / row[name]) for name in images if row[name]),
        reference=str(folder / row["reference"]) if row.get("reference") else None,
        raters=tuple(str(folder / row[name]) for name in raters if row[name]),
        rater_numbers=numbers if gap else (),
        metadata=tuple((name, row[name]) for name in columns if name not in known),
    )


def _row_problems(
    row: dict[str, str], record: CaseRecord, images: Sequence[str], *, references: bool
) -> list[str]:
    problems = [] if record.case else ["the cell case is empty"]
    if row.get("patient") == "":
        # a case of its own would be one patient more than there are, and every interval too narrow
        problems.append("the cell patient is empty; fill it in, or leave the whole column out")
    where = f"case {record.case!r}"
    problems += [f"{where} has no file in the column {name}" for name in images if not row[name]]
    if references and record.reference is None and not record.raters:
        problems.append(f"{where} has neither a reference nor a rater")
    thickness = row.get(THICKNESS, "")
    if thickness and _length(thickness) is None:
        problems.append(f"{where}: {THICKNESS} must be a positive number, was {thickness!r:.40}")
    problems += [
        f"{where}: the file of {role} must exist, {file_of(path).name} does not"
        for role, path in roles(record)
        if not there(file_of(path))
    ]
    return problems
