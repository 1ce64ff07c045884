"""The stored rows of a finished run beside its results: cases, patients, groups, columns."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.analysis.properties import Properties, properties
from auditor.errors import DataError
from auditor.execution.store import read_compacted
from auditor.pipeline.run import read_run
from auditor.schema import CaseRow, Record, Results, StratumInfo, StratumSpec
from auditor.strata.assign import freeze
from auditor.strata.axes import AXES

__all__ = ["RunTables", "StoredCase", "groups_of", "named_cases", "read_tables"]


@dataclass(frozen=True, slots=True)
class StoredCase:
    """One case of a run."""

    case: str
    """The user's name: it joins rows, and is never shown."""
    row: CaseRow
    """Display ids and metadata."""
    images: tuple[tuple[str, str], ...]
    """(role, SHA-256) of its image files."""
    references: tuple[tuple[str, str], ...]
    """(role, SHA-256) of its reference and raters."""


@dataclass(frozen=True, slots=True)
class RunTables:
    """What is read of one run."""

    folder: Path
    results: Results
    cases: tuple[StoredCase, ...]
    """In the order of their display ids."""


def read_tables(run: Path) -> RunTables:
    """Read the results of a finished run, and who its cases are.

    Parameters
    ----------
    run : Path
        Folder of the run, with identities.csv and manifest.csv.

    Raises
    ------
    DataError, IntegrityError
        When a file is missing or is not as the run wrote it.
    """
    results = read_run(run).results
    if results.measured is not None:
        msg = (
            f"{run.name} must be a run of its own scans: it holds measurements made elsewhere, and cases are "
            "matched by the content of their files, which were never here. Put both releases into one "
            "analysis, where they are two systems: segaudit analyse before.csv after.csv "
            "--name-pattern '{system}.csv'"
        )
        raise DataError(msg)
    rows = {row.case: row for row in results.cases}
    files: dict[str, list[tuple[str, str]]] = {}
    for it in _csv(run, "manifest.csv", ("case", "file", "sha256")):
        files.setdefault(it["case"], []).append((it["file"], it["sha256"]))
    cases = []
    for name, row in named_cases(run, results).items():
        known = sorted(files.get(row.case, []))
        images = tuple(pair for pair in known if pair[0].startswith("image"))
        others = tuple(pair for pair in known if not pair[0].startswith("image"))
        cases.append(StoredCase(name, row, images, others))
    lacking = sorted(set(rows) - {it.row.case for it in cases})
    if lacking:
        msg = (
            f"identities.csv of {run.name} must name every case of the run, and lacks {len(lacking)} "
            f"({', '.join(lacking[:3])}); restore the file"
        )
        raise DataError(msg)
    return RunTables(run, results, tuple(cases))


def named_cases(run: Path, results: Results) -> dict[str, CaseRow]:
    """Find the row of results.json of every case that identities.csv names.

    Returns
    -------
    mapping of the user's name to the row
        In the order of the display ids.

    Raises
    ------
    DataError
        When the file is missing or is not as the run wrote it.
    """
    rows = {row.case: row for row in results.cases}
    named = _csv(run, "identities.csv", ("display_case", "case"))
    ordered = sorted(named, key=lambda it: it["display_case"])
    return {it["case"]: rows[it["display_case"]] for it in ordered if it["display_case"] in rows}


def _csv(run: Path, name: str, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        text = (run / name).read_text(encoding="utf-8")
        rows = list(csv.DictReader(text.splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{name} of {run.name} must be as the run wrote it, and cannot be read"
        raise DataError(msg) from error
    if any(row.get(column) is None for row in rows for column in columns):
        wanted = ", ".join(columns)
        msg = (
            f"{name} of {run.name} must have the columns {wanted}, and cannot be read without them"
        )
        raise DataError(msg)
    return rows


def groups_of(tables: RunTables) -> dict[tuple[str, str], Mapping[str, str]]:
    """Assign every case to its group on every axis of the run that a case alone decides.

    Returns
    -------
    mapping of (axis, label) to (case -> group)
        Axes that no prediction had chosen, without windows, crosses and training ranges.
    """
    known = {
        **properties(read_compacted(tables.folder, Record.SCAN)),
        **properties(read_compacted(tables.folder, Record.PROPERTY)),
    }
    found: dict[tuple[str, str], Mapping[str, str]] = {}
    for info in tables.results.strata:
        plain = info.kind == "inferential" and not (info.window or info.cross or info.system)
        if plain and info.rule != "training range":
            found[info.axis, info.label] = _membership(tables, info, known)
    return found


def _membership(tables: RunTables, info: StratumInfo, known: Properties) -> Mapping[str, str]:
    if info.axis in AXES:
        label = info.label if AXES[info.axis].of_label else ""
        own = known.get((info.axis, label), {})
        values = {it.case: own[it.case].value if it.case in own else None for it in tables.cases}
    else:
        values = {it.case: dict(it.row.metadata).get(info.axis) for it in tables.cases}
    spec = StratumSpec(info.axis, info.label, info.edges or None)
    audit = tables.results.audit
    ndim = len(tables.results.cases[0].shape) if tables.results.cases else 3
    frozen = freeze(values, spec, length_unit=audit.length_unit, ndim=ndim, modality=audit.modality)
    return frozen.membership
