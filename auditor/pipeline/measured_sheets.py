"""Tables of measurements as plain cells: CSV and TSV, nnU-Net's summary.json, columns in memory.

A file's name may say what no column does (``--name-pattern "{system}_{condition}.csv"``).
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.documents import csv_reader, json_content, read_text
from auditor.errors import ConfigError, DataError

__all__ = ["Columns", "Sheet", "read_sheets"]

Columns = Mapping[str, Iterable[Any]]
"""Name -> values of one column; a DataFrame is one, too."""

_FIELD = re.compile(r"\{([a-z_]+)\}")
_IN_NAMES = ("system", "condition", "perturbation", "severity", "label", "metric", "replicate",
             "training_seed", "family")  # fmt: skip
"""What the name of a file may say."""

_PREDICTED, _REFERENCE = "n_pred", "n_ref"


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table, not yet understood."""

    name: str
    """Last part of its path."""
    sha256: str
    layout: str
    """``table`` or ``nnU-Net summary``."""
    columns: tuple[str, ...]
    lines: tuple[tuple[int, Mapping[str, str]], ...]
    """(number of the line, column -> text)."""
    fixed: Mapping[str, str]
    """Role -> what the file's name says for all lines."""
    unit: str = "line"
    """What is counted: line, entry or row."""


def read_sheets(
    tables: str | Path | Columns | Sequence[str | Path], name_pattern: str
) -> tuple[Sheet, ...]:
    """Read every table.

    Parameters
    ----------
    tables : path, sequence of paths, or mapping of column to values
    name_pattern : see `TableOptions.name_pattern`; empty: names say nothing

    Raises
    ------
    DataError
        When a file cannot be read as what it is, or has no line: all of them at once.
    ConfigError
        When the pattern is none, or a name does not fit it.
    """
    if not isinstance(tables, str | Path) and hasattr(tables, "items"):
        return (_in_memory(tables),)
    paths = [Path(tables)] if isinstance(tables, str | Path) else [Path(str(it)) for it in tables]
    pattern = _compiled(name_pattern) if name_pattern else None
    sheets, problems = [], []
    for path in paths:
        try:
            fixed = {} if pattern is None else _named(path, pattern, name_pattern)
            sheets.append(_read(path, fixed))
        except (ConfigError, DataError) as error:
            problems.append(str(error))
    if not paths:
        problems.append("a table is required, there is none")
    if problems:
        msg = "these tables of measurements cannot be read:"
        raise DataError(msg, problems)
    return tuple(sheets)


def _compiled(pattern: str) -> re.Pattern[str]:
    """Turn a pattern into an expression over the end of a path."""
    fields = _FIELD.findall(pattern)
    wrong = [name for name in fields if name not in _IN_NAMES]
    if wrong or not fields or len(set(fields)) < len(fields):
        msg = (
            f"--name-pattern must name one or more of {', '.join(f'{{{it}}}' for it in _IN_NAMES)}, each "
            f"once, was {pattern!r}"
        )
        raise ConfigError(msg)
    parts = _FIELD.split(pattern)
    text = "".join(
        f"(?P<{part}>[^/]+?)" if place % 2 else re.escape(part) for place, part in enumerate(parts)
    )
    return re.compile(rf"(?:^|.*/){text}")


def _named(path: Path, pattern: re.Pattern[str], text: str) -> dict[str, str]:
    found = pattern.fullmatch(path.absolute().as_posix())
    if found is None:
        msg = f"{path.name}: its path must end as --name-pattern says, {text!r}"
        raise ConfigError(msg)
    return found.groupdict()


def _read(path: Path, fixed: Mapping[str, str]) -> Sheet:
    text = read_text(path, what=f"the table {path.name}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if path.suffix.lower() in {".xlsx", ".xls", ".ods"}:
        msg = f"{path.name}: spreadsheets are not read; save it as CSV"
        raise DataError(msg)
    if path.suffix.lower() == ".json":
        return _summary(path.name, text, digest, fixed)
    columns, lines = _csv(path.name, text)
    return Sheet(path.name, digest, "table", columns, lines, fixed)


def _csv(name: str, text: str) -> tuple[tuple[str, ...], tuple[tuple[int, Mapping[str, str]], ...]]:
    reader = csv_reader(text)
    problems, lines = [], []
    columns: tuple[str, ...] = ()
    try:
        columns = tuple(cell.strip() for cell in next(reader, []))
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(columns):
                problems.append(
                    f"{name} line {reader.line_num}: must have {len(columns)} cells as the header has, has "
                    f"{len(cells)}"
                )
                continue
            row = zip(columns, (cell.strip() for cell in cells), strict=True)
            lines.append((reader.line_num, dict(row)))
    except csv.Error as error:
        problems.append(f"{name} line {reader.line_num}: {error}")
    twice = [it for it, n in Counter(columns).items() if n > 1]
    problems += [f"{name}: the column {it!r} stands twice" for it in twice if it]
    unnamed = columns.count("")
    if unnamed > 1:
        problems.append(f"{name}: {unnamed} columns have no name")
    if not lines and not problems:
        problems.append(
            f"{name}: has no line below its header, so that there is nothing to analyse"
        )
    if problems:
        msg = f"{name} is no usable table:"
        raise DataError(msg, _few(problems))
    return columns, tuple(lines)


def _few(problems: Sequence[str], most: int = 20) -> list[str]:
    more = len(problems) - most
    return [*problems[:most], *([f"and {more} more"] if more > 0 else [])]


def _summary(name: str, text: str, digest: str, fixed: Mapping[str, str]) -> Sheet:
    """Read nnU-Net's summary.json: one line for each case and label, a column for each metric."""
    content = json_content(text, what=name, finite=False)
    entries = content.get("metric_per_case") if isinstance(content, Mapping) else None
    if not isinstance(entries, list) or not entries:
        msg = (
            f"{name} must be the summary.json of nnU-Net (version 2), with a list metric_per_case; other "
            "JSON is not read, write a CSV table"
        )
        raise DataError(msg)
    lines, columns = [], dict.fromkeys(("case", "label", "status"))
    for number, entry in enumerate(entries, start=1):
        file = entry.get("reference_file") if isinstance(entry, Mapping) else None
        metrics = entry.get("metrics") if isinstance(entry, Mapping) else None
        if not isinstance(file, str) or not isinstance(metrics, Mapping):
            msg = f"{name} entry {number}: must have reference_file and metrics"
            raise DataError(msg)
        for label, values in metrics.items():
            if not isinstance(values, Mapping):
                msg = f"{name} entry {number}: the metrics of {label!r} must be names with numbers"
                raise DataError(msg)
            columns |= dict.fromkeys(values)
            row = {key: _text(value) for key, value in values.items()}
            lines.append(
                (number, {"case": _stem(file), "label": label, "status": _empties(values), **row})
            )
    kept = tuple(columns)
    whole = tuple((number, {it: row.get(it, "") for it in kept}) for number, row in lines)
    return Sheet(name, digest, "nnU-Net summary", kept, whole, fixed, unit="entry")


def _empties(values: Mapping[str, Any]) -> str:
    """Name the status of a case whose counts of voxels are told."""
    counts = [values.get(it) for it in (_PREDICTED, _REFERENCE)]
    if not all(isinstance(it, int | float) for it in counts):
        return ""
    predicted, reference = counts
    if not predicted and not reference:
        return "both_empty"
    return "prediction_empty" if not predicted else "" if reference else "reference_empty"


def _stem(file: str) -> str:
    name = file.replace("\\", "/").rpartition("/")[2]
    return name.removesuffix(".gz").rpartition(".")[0] or name


def _in_memory(columns: Any) -> Sheet:  # noqa: ANN401  # a mapping, or what behaves like one
    known = {str(name): [_text(it) for it in values] for name, values in columns.items()}
    lengths = {len(values) for values in known.values()}
    if len(lengths) != 1 or not lengths - {0}:
        msg = (
            "columns of measurements must be of one length, and not empty; their lengths are "
            f"{', '.join(f'{name} {len(values)}' for name, values in known.items()) or 'none'}"
        )
        raise DataError(msg)
    names = tuple(known)
    rows = zip(*known.values(), strict=True)
    lines = tuple(
        (number, dict(zip(names, row, strict=True))) for number, row in enumerate(rows, 1)
    )
    digest = hashlib.sha256(repr([(name, known[name]) for name in names]).encode()).hexdigest()
    return Sheet("columns", digest, "table", names, lines, {}, unit="row")


def _text(value: object) -> str:
    """Write a value as a table would: whole numbers without a point, nothing for None."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return ""
    if isinstance(value, Iterable) and not isinstance(value, str):
        msg = f"a cell must hold one value, got {type(value).__name__}"
        raise DataError(msg)
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
            return str(int(value))
        return repr(value)
    return str(value).strip()
