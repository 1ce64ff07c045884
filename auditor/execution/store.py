"""The store: one atomic Parquet shard per unit and system; tables are read back from all shards.

A shard is written beside its place, flushed to the disk, and renamed, so that it is whole or absent
whatever kills the process. A torn or foreign shard is moved to ``quarantine/`` and listed, never
read: one unreadable file would otherwise make the whole table unreadable.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.errors import DataError, StoreError
from auditor.schema import ROW_COLUMNS, SHARD_VERSION, Record, Row

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "compact",
    "digest_file",
    "has_shard",
    "read_compacted",
    "read_rows",
    "shard_path",
    "stray_shards",
    "table_of",
    "write_bytes",
    "write_shard",
]

_TEXT = (
    "record", "system", "case", "patient", "perturbation", "unit", "status", "reason",
    "label", "metric", "region", "reference", "mask_digest", "facts",
)  # fmt: skip
_REQUIRED = (
    "record", "system", "case", "patient", "perturbation", "severity", "unit", "replicate",
    "status",
)  # fmt: skip
_TABLES = {
    Record.MEASUREMENT: "measurements",
    Record.EVALUATION: "evaluations",
    Record.SCAN: "scans",
    Record.PROPERTY: "properties",
    Record.CALIBRATION: "calibration",
    Record.LAYER: "layers",
}
"""Name of the compacted table of each kind."""
_WHERE_DECLARED = frozenset({Record.CALIBRATION, Record.LAYER})
"""Kinds without a table where nobody asked for them."""
_MAGIC = b"PAR1"


def shard_path(run: Path, key: str) -> Path:
    """Return where the shard of a key lies: ``units/ab/<key>.parquet``."""
    return run / "units" / key[:2] / f"{key}.parquet"


def has_shard(run: Path, key: str) -> bool:
    """Tell whether the shard of a key is there and whole (its both ends, not its every byte)."""
    path = shard_path(run, key)
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(-4, os.SEEK_END)
            return start == _MAGIC and file.read(4) == _MAGIC
    except OSError:
        return False


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, also through a power cut.

    Raises
    ------
    StoreError
        When the disk is full or the folder cannot be written. What was stored before stays.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            temporary.unlink(missing_ok=True)
        why = (
            "the disk is full; free some space and run the same command again: finished units are "
            "kept and not repeated"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else f"{error.strerror or error}; finished units are kept"
        )
        msg = f"a file of the run could not be written ({path.name}): {why}"
        raise StoreError(msg) from error


def write_shard(run: Path, key: str, rows: Sequence[Row]) -> None:
    """Store the rows of one unit and system.

    Raises
    ------
    StoreError
        When the disk is full or the folder cannot be written.
    ValueError
        When there are no rows: a planned unit always ends as rows.
    """
    if not rows:
        msg = f"a shard needs at least one row, got none (key {key[:12]})"
        raise ValueError(msg)
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = table_of(rows).replace_schema_metadata(
        {"segaudit.key": key, "segaudit.version": str(SHARD_VERSION)}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(shard_path(run, key), sink.getvalue().to_pybytes())


def table_of(rows: Sequence[Row]) -> pa.Table:
    """Make one table of rows, with the columns `ROW_COLUMNS` in the types of the store."""
    import pyarrow as pa

    schema = _schema()
    columns = list(zip(*(astuple(row) for row in rows), strict=True)) or [()] * len(schema)
    return pa.Table.from_arrays(
        [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)],
        schema=schema,
    )


def read_rows(run: Path, keys: Iterable[str]) -> pa.Table:
    """Read the rows of the planned shards that are there.

    Parameters
    ----------
    run : Path
        Folder of the run.
    keys : iterable of str
        Keys of the plan. Shards of other plans in the same folder are not read.

    Returns
    -------
    pyarrow.Table
        Columns `ROW_COLUMNS`; text is dictionary-encoded. In the order of `keys`.

    Raises
    ------
    StoreError
        When a shard is torn or belongs to something else; it is then in ``quarantine/`` and the
        next run repeats its unit.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables, bad = [], []
    for key in keys:
        path = shard_path(run, key)
        if not path.exists():
            continue
        try:
            table = pq.read_table(path, schema=None, memory_map=False)
        except (pa.ArrowException, OSError):
            table = None
        if table is None or not _belongs(table, key):
            bad.append(_quarantine(run, path))
            continue
        tables.append(table.replace_schema_metadata(None))
    if bad:
        msg = (
            f"{len(bad)} stored shard(s) were torn or belong to another audit and were moved to "
            f"quarantine/ ({', '.join(sorted(bad)[:3])}); run the same command again to repeat "
            "only their units"
        )
        raise StoreError(msg)
    if not tables:
        return _schema().empty_table()
    table = pa.concat_tables(tables)
    encoded = [
        table[name].combine_chunks().dictionary_encode() if name in _TEXT else table[name]
        for name in ROW_COLUMNS
    ]
    return pa.Table.from_arrays(encoded, names=list(ROW_COLUMNS))


def stray_shards(run: Path, keys: Iterable[str]) -> tuple[str, ...]:
    """Names of shards in the folder that the plan does not know, sorted."""
    known = set(keys)
    found = (path.stem for path in (run / "units").glob("*/*.parquet"))
    return tuple(sorted(name for name in found if name not in known))


def compact(run: Path, table: pa.Table) -> None:
    """Write ``measurements.parquet``, ``evaluations``, ``scans`` and ``properties``.

    And ``calibration``, where there is a certificate, and ``layers``, where these are compared. Columns
    that a kind of row does not use are left out; measurements are also written as CSV.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pv
    import pyarrow.parquet as pq

    for record, name in _TABLES.items():
        part = table.filter(pc.equal(table["record"].cast(pa.string()), record.value))
        if record in _WHERE_DECLARED and not len(part):
            (run / f"{name}.parquet").unlink(missing_ok=True)
            continue
        used = [
            column
            for column in ROW_COLUMNS
            if column in _REQUIRED or column == "level" or part[column].null_count < len(part)
        ]
        part = part.select([column for column in used if column not in ("record", "seconds")])
        sink = pa.BufferOutputStream()
        pq.write_table(part, sink, compression="zstd")
        write_bytes(run / f"{name}.parquet", sink.getvalue().to_pybytes())
        if record is Record.MEASUREMENT:
            text = pa.BufferOutputStream()
            plain = pa.Table.from_arrays(
                [part[c].cast(pa.string()) if c in _TEXT else part[c] for c in part.column_names],
                names=part.column_names,
            )
            pv.write_csv(plain, text)
            write_bytes(run / f"{name}.csv", text.getvalue().to_pybytes())


def read_compacted(run: Path, record: Record) -> pa.Table:
    """Read one table of a finished run as the analysis takes it: with every column of `ROW_COLUMNS`.

    Parameters
    ----------
    run : Path
        Folder of the run.
    record : Record
        Kind of the rows: a measurement, an evaluation, a scan or a property.

    Raises
    ------
    DataError
        When the table is missing, cannot be read, or lacks a column that every row has.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = f"{_TABLES[record]}.parquet"
    try:
        table = pq.read_table(run / name, memory_map=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        msg = (
            f"{run.name} must be the folder of a finished run; its {name} cannot be read. Run "
            "`segaudit run` with this folder to finish it"
        )
        raise DataError(msg) from error
    lacking = [it for it in _REQUIRED if it != "record" and it not in table.column_names]
    if lacking:
        msg = f"{name} of {run.name} must have the columns of a run, and lacks {', '.join(lacking)}"
        raise DataError(msg)
    schema, n = _schema(), len(table)
    columns = [
        pa.array([record.value] * n).dictionary_encode()
        if it == "record"
        else table[it]
        if it in table.column_names
        else pa.nulls(n, schema.field(it).type)
        for it in ROW_COLUMNS
    ]
    return pa.Table.from_arrays(columns, names=list(ROW_COLUMNS))


def digest_file(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _schema() -> pa.Schema:
    import pyarrow as pa

    def kind(name: str) -> pa.DataType:
        if name in _TEXT:
            return pa.string()
        return pa.int32() if name == "replicate" else pa.float64()

    return pa.schema(
        [pa.field(name, kind(name), nullable=name not in _REQUIRED) for name in ROW_COLUMNS]
    )


def _belongs(table: pa.Table, key: str) -> bool:
    stored = table.schema.metadata or {}
    return (
        stored.get(b"segaudit.key") == key.encode()
        and stored.get(b"segaudit.version") == str(SHARD_VERSION).encode()
        and tuple(table.column_names) == ROW_COLUMNS
    )


def _quarantine(run: Path, path: Path) -> str:
    target = run / "quarantine" / path.name
    target.parent.mkdir(exist_ok=True)
    path.replace(target)
    return path.name


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # folders cannot be opened elsewhere; the rename is still atomic there
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
