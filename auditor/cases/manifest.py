"""Tables and folders of cases: which files belong together. Nothing is opened but the table."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

from auditor.errors import DataError
from auditor.schema import CaseRecord

__all__ = ["read_folder", "read_table"]

_IMAGE_FOLDERS = ("images", "imagesTs", "imagesTr", "image")
_REFERENCE_FOLDERS = ("references", "labels", "labelsTs", "labelsTr", "masks", "segmentations")
_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".png", ".tif", ".tiff")


def read_table(table: Path) -> tuple[CaseRecord, ...]:
    """Read a CSV table of cases.

    Parameters
    ----------
    table : Path
        Columns: ``case``, ``patient`` (the case's name when absent), ``image`` or ``image_1`` ..
        (one per channel), ``reference`` and/or ``rater_1`` .. ``rater_k``; every other column is
        metadata. Separated by comma, semicolon or tab. Paths are relative to the table.

    Returns
    -------
    tuple of CaseRecord
        Sorted by patient and case, with display ids and the digest of every file.

    Raises
    ------
    DataError
        With every problem at once: missing columns, duplicate or empty cases, missing files.
    """
    columns, rows = _rows(table)
    images = [name for name in columns if name == "image" or name.startswith("image_")]
    raters = sorted(
        (name for name in columns if name.startswith("rater_") and name[6:].isdigit()),
        key=lambda name: int(name[6:]),
    )
    problems = []
    if "case" not in columns:
        problems.append(f"the column case is required, there are {', '.join(columns)}")
    if not images:
        problems.append("a column image is required (or image_1 and on, one per channel)")
    if "reference" not in columns and not raters:
        problems.append("a column reference, or rater_1 and on, is required")
    if problems:
        msg = f"{table.name} is no table of cases:"
        raise DataError(msg, problems)
    known = {"case", "patient", "reference", *images, *raters}
    extra = [name for name in columns if name not in known]
    records = []
    for number, row in rows:
        records.append(_record(row, table.parent, images, raters, extra))
        problems += [f"row {number}: {problem}" for problem in _row_problems(row, records[-1])]
    counts = Counter(record.case for record in records)
    problems += [f"case {name!r} stands {n} times" for name, n in counts.items() if n > 1]
    if not rows:
        problems.append("the table has no rows")
    if problems:
        msg = f"{len(problems)} problem(s) in {table.name}:"
        raise DataError(msg, problems)
    return _finished(records)


def read_folder(folder: Path) -> tuple[tuple[CaseRecord, ...], str]:
    """Recognise a folder with paired files: images/ and references/ with equal names.

    Returns
    -------
    cases : tuple of CaseRecord
        As `read_table`; the patient is the case.
    layout : str
        What was recognised, in words.

    Raises
    ------
    DataError
        When no layout is recognised, or a file has no partner: all of them at once.
    """
    images = next((folder / name for name in _IMAGE_FOLDERS if (folder / name).is_dir()), None)
    masks = next((folder / name for name in _REFERENCE_FOLDERS if (folder / name).is_dir()), None)
    if images is None or masks is None:
        msg = (
            f"{folder.name} must hold a folder of images ({', '.join(_IMAGE_FOLDERS)}) and one of "
            f"references ({', '.join(_REFERENCE_FOLDERS)}) with equal file names; or write a table"
        )
        raise DataError(msg)
    references = {_stem(path): path for path in _files(masks)}
    channels: dict[str, list[Path]] = {}
    for path in _files(images):
        stem = _stem(path)
        # nnU-Net names the channels of a case case_0000, case_0001, ..
        base = stem[:-5] if stem not in references and stem[-5:-4] == "_" else stem
        channels.setdefault(base, []).append(path)
    problems = [
        f"{path.name} has no image" for stem, path in references.items() if stem not in channels
    ]
    problems += [
        f"{files[0].name} has no reference"
        for stem, files in channels.items()
        if stem not in references
    ]
    if not channels:
        problems.append(f"{images.name} holds no image ({', '.join(_SUFFIXES)})")
    if problems:
        msg = f"{len(problems)} problem(s) in {folder.name}:"
        raise DataError(msg, sorted(problems))
    records = [
        CaseRecord(
            case=stem,
            patient=stem,
            images=tuple(str(path) for path in sorted(files)),
            reference=str(references[stem]),
        )
        for stem, files in channels.items()
    ]
    layout = (
        f"paired folders {images.name}/ and {masks.name}/, {len(records)} cases, one per patient"
    )
    return _finished(records), layout


def _rows(table: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        msg = f"the table of cases {table.name} must be a readable CSV file: {why}"
        raise DataError(msg) from error
    lines = text.splitlines()
    header = lines[0] if lines else ""
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(lines, delimiter=delimiter, restval="", skipinitialspace=True)
    columns = [name.strip() for name in reader.fieldnames or []]
    doubled = [name for name, n in Counter(columns).items() if n > 1]
    if doubled:
        msg = f"{table.name} has the column {doubled[0]!r} twice"
        raise DataError(msg)
    reader.fieldnames = columns
    rows = []
    for row in reader:
        if None in row:
            msg = f"row {reader.line_num} of {table.name} has more cells than there are columns"
            raise DataError(msg)
        cells = {key: (value or "").strip() for key, value in row.items()}
        if any(cells.values()):
            rows.append((reader.line_num, cells))
    return columns, rows


def _record(
    row: dict[str, str], folder: Path, images: list[str], raters: list[str], extra: list[str]
) -> CaseRecord:
    def placed(cell: str) -> str:
        return str(folder / cell)

    return CaseRecord(
        case=row["case"],
        patient=row.get("patient") or row["case"],
        images=tuple(placed(row[name]) for name in images if row[name]),
        reference=placed(row["reference"]) if row.get("reference") else None,
        raters=tuple(placed(row[name]) for name in raters if row[name]),
        metadata=tuple((name, row[name]) for name in extra),
    )


def _row_problems(row: dict[str, str], record: CaseRecord) -> list[str]:
    problems = []
    if not row["case"]:
        problems.append("the cell case is empty")
    if not record.images:
        problems.append(f"case {record.case!r} has no image")
    if record.reference is None and not record.raters:
        problems.append(f"case {record.case!r} has neither reference nor raters")
    problems += [
        f"case {record.case!r}: the {role} file {Path(path).name} is missing"
        for role, path in _roles(record)
        if not Path(path).is_file()
    ]
    return problems


def _roles(record: CaseRecord) -> list[tuple[str, str]]:
    roles = [(f"image_{i + 1}", path) for i, path in enumerate(record.images)]
    if record.reference is not None:
        roles.append(("reference", record.reference))
    return roles + [(f"rater_{i + 1}", path) for i, path in enumerate(record.raters)]


def _finished(records: list[CaseRecord]) -> tuple[CaseRecord, ...]:
    """Sort, number and digest; the numbers say nothing of the names but their order."""
    ordered = sorted(records, key=lambda record: (record.patient, record.case))
    patients = {
        name: i for i, name in enumerate(dict.fromkeys(r.patient for r in ordered), start=1)
    }
    return tuple(
        replace(
            record,
            display_case=f"C{number:03d}",
            display_patient=f"P{patients[record.patient]:03d}",
            digests=tuple((role, _digest(path)) for role, path in _roles(record)),
        )
        for number, record in enumerate(ordered, start=1)
    )


def _digest(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        msg = f"{Path(path).name} must be readable: {error.strerror or error}"
        raise DataError(msg) from error


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith(_SUFFIXES))


def _stem(path: Path) -> str:
    name = path.name
    suffix = next(suffix for suffix in _SUFFIXES if name.lower().endswith(suffix))
    return name[: -len(suffix)]
