"""Analyse measurements that were made elsewhere: a run's folder without a run."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from auditor.analysis import summarise
from auditor.errors import ConfigError, IntegrityError
from auditor.execution.store import compact, table_of, write_bytes
from auditor.pipeline.folder import (
    LOCK,
    Lock,
    read_lock,
    refuse_foreign,
    write_failures,
    write_identities,
    write_lock,
    write_provenance,
    write_sums,
)
from auditor.pipeline.measured_elsewhere import ReadTable, Tables, read_measurements
from auditor.pipeline.measured_options import TableOptions
from auditor.pipeline.run import Run
from auditor.plan import digest_of
from auditor.schema import encode

__all__ = ["analyse"]


def analyse(
    table: Tables,
    options: TableOptions | None = None,
    *,
    out: str | Path | None = None,
    **given: Any,  # noqa: ANN401  # fields of the options, checked there
) -> Run:
    """Analyse a table of measurements: the same strata, bounds, comparisons and report as an audit.

    Parameters
    ----------
    table : path, sequence of paths, or mapping of column to values
        CSV or TSV, nnU-Net's ``summary.json``, a mapping or a DataFrame: one line a measurement, one
        column per metric, or one column per system.
    options : TableOptions, optional
        How it is to be read; see there.
    out : path, optional
        Folder of the run; ``audit-runs/<name>`` by default.
    **given
        Fields of `TableOptions`, over those of `options`: ``clean="clean"``, ``cap={"hd100": 362.04}``.

    Returns
    -------
    Run
        The folder and its results.

    Raises
    ------
    ConfigError
        When options contradict themselves or the table; every problem at once.
    DataError
        When the table is not usable; every problem at once, with its lines.
    IntegrityError
        When the folder holds something else.

    Examples
    --------
    >>> import auditor
    >>> auditor.analyse("table.csv", clean="clean", strata=("site",))  # doctest: +SKIP
    """
    chosen = _options(options or TableOptions(), given)
    name = chosen.name or _name(table)
    read = read_measurements(table, chosen, name=name)
    run = Path(out) if out is not None else Path("audit-runs") / name
    _lock(run, read)
    rows = table_of(read.rows)
    results = summarise(rows, setup=read.setup)
    write_identities(run, read.setup.cases)
    compact(run, rows)
    write_failures(run, results)
    write_bytes(run / "results.json", encode(results).encode())
    write_provenance(run, {"measured": "elsewhere"})
    write_sums(run)
    return Run(run, results)


def _options(options: TableOptions, given: dict[str, Any]) -> TableOptions:
    known = [it.name for it in fields(TableOptions)]
    wrong = [f"{name}: must be one of {', '.join(known)}" for name in given if name not in known]
    if wrong:
        msg = "these options are not known:"
        raise ConfigError(msg, wrong)
    # sequences may come as lists, which records do not hold
    frozen: dict[str, Any] = {
        key: tuple(it) if isinstance(it, list) else it for key, it in given.items()
    }
    return replace(options, **frozen)


def _name(table: Tables) -> str:
    if isinstance(table, str | Path):
        return Path(table).stem
    if hasattr(table, "items"):
        return "measurements"
    paths = [Path(str(it)) for it in table]
    return paths[0].parent.name or "measurements" if paths else "measurements"


def _lock(run: Path, read: ReadTable) -> None:
    """Freeze options and files into the folder, or check that it holds this very analysis."""
    audit = read.setup.audit
    config = {
        "audit": audit.name,
        "purpose": audit.purpose,
        "measured": "elsewhere",
        "options": read.options,
    }
    lock = Lock(
        config_digest=digest_of(config),
        manifest_digest=audit.manifest_digest,
        config=config,
        systems={record.name: record.sha256 for record in read.setup.systems},
        amendments=(),
    )
    old = read_lock(run)
    if old is None:
        refuse_foreign(run)
        write_lock(run, lock)
        return
    same = (old.config_digest, old.manifest_digest) == (lock.config_digest, lock.manifest_digest)
    if not same or old.systems != lock.systems:
        msg = (
            f"this folder ({run.name}) holds another analysis: its {LOCK} differs in the table or in the "
            "options. Use another folder (-o)"
        )
        raise IntegrityError(msg)
