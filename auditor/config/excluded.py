"""The list of patients that are left out: a CSV table with the column ``patient``.

Whether they are patients of the cases at all is seen where the cases are read, see
`auditor.cases.exclusion`.
"""

from __future__ import annotations

import csv
from pathlib import Path

from auditor.documents import csv_reader

__all__ = ["read_excluded"]


def read_excluded(path: Path) -> tuple[str, ...]:
    """Read a list of patients.

    Parameters
    ----------
    path : Path
        CSV table, separated by comma, semicolon or tab.

    Returns
    -------
    tuple of str
        The user's names, sorted, each once.

    Raises
    ------
    ValueError
        When the file cannot be read, has no column ``patient``, or an empty cell in it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        msg = f"must be a readable CSV table with the column patient, {path.name!r} is none: {why}"
        raise ValueError(msg) from error
    reader = csv_reader(text)
    try:
        columns = [cell.strip() for cell in next(reader, [])]
        rows = [(reader.line_num, cells) for cells in reader if any(it.strip() for it in cells)]
    except csv.Error as error:
        msg = f"{path.name} must be a CSV table: row {reader.line_num}: {error}"
        raise ValueError(msg) from error
    if columns.count("patient") != 1:
        there = ", ".join(columns) or "none"
        msg = f"{path.name} must have one column patient, its columns are {there}"
        raise ValueError(msg)
    place = columns.index("patient")
    names = {}
    for line, cells in rows:
        name = cells[place].strip() if place < len(cells) else ""
        if not name:
            msg = f"{path.name}, row {line}: the cell patient must not be empty"
            raise ValueError(msg)
        names[name] = line
    return tuple(sorted(names))
