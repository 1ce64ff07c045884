"""Make ``report.html`` from the files of a run.

Reads ``results.json``, ``provenance.json`` (if there) and ``exhibits/``; needs neither the systems
nor the scans, so a report can be made again at any time.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from auditor.errors import DataError, StoreError
from auditor.schema import RESULTS_VERSION, Results, decode
from reports import html
from reports.document import Exhibit, Page, Section
from reports.exhibits import read_exhibits
from reports.sections.ablations import ablations, has_skips
from reports.sections.bounds import bounds
from reports.sections.certificates import certificates
from reports.sections.clean import clean
from reports.sections.comparison import comparison
from reports.sections.data import accounting
from reports.sections.difficulty import difficulty
from reports.sections.evidence import controls, worst
from reports.sections.front import front
from reports.sections.layers import layers
from reports.sections.measured import conditions, measured
from reports.sections.methods import limits, methods
from reports.sections.provenance import glossary, provenance
from reports.sections.raters import raters
from reports.sections.response import response
from reports.sections.strata import strata
from reports.sections.textures import failures, has_failures, has_trainings, trainings
from reports.view import View, view_of

SECTIONS = (
    *(
        accounting,
        clean,
        response,
        difficulty,
        raters,
        strata,
        bounds,
        certificates,
        comparison,
        trainings,
        ablations,
        layers,
        failures,
        worst,
    ),
    *(controls, methods, limits, provenance, glossary),
)
"""In the order of the report."""

_NEEDS_A_RUN = frozenset({accounting, raters, certificates, controls})
"""Sections that say nothing where the measurements were made elsewhere."""


def build(run: Path, *, images: bool = True, out: Path | None = None) -> Path:
    """Write the report of a run.

    Parameters
    ----------
    run
        Folder with ``results.json``.
    images
        False: no pixel is embedded; contours are drawn alone.
    out
        File to write; None: ``report.html`` in the folder of the run.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    DataError
        ``results.json`` is missing or foreign, or a file of an exhibit is not what it must be.
    StoreError
        The report cannot be written.
    """
    results = read_results(run)
    chosen = [exhibit.id for exhibit in results.exhibits]
    exhibits = read_exhibits(run / "exhibits", chosen)
    page = render(results, read_provenance(run), exhibits, images=images)
    target = run / "report.html" if out is None else out
    write_page(target, page)
    return target


def render(
    results: Results,
    provenance: Mapping[str, str],
    exhibits: Mapping[str, Exhibit],
    *,
    images: bool,
) -> str:
    """Print a report; the same records give the same bytes.

    Parameters
    ----------
    results
        Every number that is shown.
    provenance
        Versions, dates and times in words; may be empty.
    exhibits
        Pictures and contours by id; may be empty.
    images
        False: no pixel is embedded.
    """
    view = view_of(results, provenance, exhibits, images=images)
    return html.write(Page(front(view), tuple(make(view) for make in _sections(results))))


def _sections(results: Results) -> tuple[Callable[[View], Section], ...]:
    """Return the sections of an audit, or those of a table of measurements."""
    empty = {
        ablations: not has_skips(results),
        trainings: not has_trainings(results),
        failures: not has_failures(results),
        layers: not results.layers,
    }
    kept = [make for make in SECTIONS if not empty.get(make, False)]
    if results.measured is None:
        return tuple(kept)
    kept = [make for make in kept if make not in _NEEDS_A_RUN]
    if not any(axis.points for axis in results.difficulty):
        kept.remove(difficulty)  # no column of the table holds a property of the cases
    return (measured, kept[0], conditions, *kept[1:])


def read_results(run: Path) -> Results:
    """Read ``results.json`` of a run.

    Raises
    ------
    DataError
        It is missing, or of another version or tool.
    """
    path = run / "results.json"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        msg = (
            f"a report needs results.json in the folder of the run, and {run.name!r} has none; "
            "finish the run first"
        )
        raise DataError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"results.json of {run.name!r} cannot be read: {error}"
        raise DataError(msg) from error
    try:
        results = decode(text, Results)
    except ValueError as error:
        msg = (
            f"results.json of {run.name!r} must be written by segaudit with results version "
            f"{RESULTS_VERSION}; {error}"
        )
        raise DataError(msg) from error
    if results.version != RESULTS_VERSION:
        msg = (
            f"results.json of {run.name!r} must have results version {RESULTS_VERSION}, got "
            f"{results.version!r}; make the report with the version of segaudit that ran the audit"
        )
        raise DataError(msg)
    return results


def read_provenance(run: Path) -> dict[str, str]:
    """Read ``provenance.json`` as words; nested names are joined by dots; {} when there is none.

    Raises
    ------
    DataError
        It is there and is no JSON object.
    """
    path = run / "provenance.json"
    if not path.exists():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"provenance.json of {run.name!r} must be a JSON object, and cannot be read: {error}"
        raise DataError(msg) from error
    if not isinstance(data, dict):
        msg = f"provenance.json of {run.name!r} must be a JSON object, got {type(data).__name__}"
        raise DataError(msg)
    return dict(_flat(data))


def _flat(data: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    entries: list[tuple[str, str]] = []
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            entries += _flat(value, f"{name}.")
        elif isinstance(value, list):
            entries.append((name, ", ".join(str(item) for item in value)))
        elif value is None:
            entries.append((name, "not known"))
        else:
            entries.append((name, str(value)))
    return entries


def write_page(target: Path, text: str) -> None:
    """Write beside the target, then rename: a reader never sees half a report.

    Raises
    ------
    StoreError
        When the file cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".report-", suffix=".html")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        msg = f"the report cannot be written as {target.name!r}: {error.strerror}"
        raise StoreError(msg) from error
