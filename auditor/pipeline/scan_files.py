"""Every scan of a plan as files, for systems that can only run elsewhere.

The folder holds ``images/``, which is what may be handed on (its names say neither who nor what),
``scans.csv`` with one row a file, ``identities.csv`` (who is who, for inside use) and ``scans.json``,
which says whose scans they are. Rows of a unit are written after its files, so a row is a promise that
its file is whole: what has rows is not written again.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.cases import LoadedCase, load_case
from auditor.config import AuditConfig
from auditor.errors import DataError, IntegrityError, StoreError
from auditor.execution.local import Progress
from auditor.execution.perturbed import Scanned, perturb
from auditor.execution.store import digest_file, write_bytes
from auditor.pipeline.preflight import require
from auditor.plan import AuditPlan, Unit, digest_of, make_plan, preview, scan_name
from auditor.schema import CaseRecord, Geometry, Status
from auditor.systems.command import channel_names
from auditor.volumes.images import write_image
from auditor.volumes.label_maps import grid_as_written

__all__ = ["IDENTITIES", "RECORD", "TABLE", "WrittenScans", "write_scans"]

TABLE = "scans.csv"
RECORD = "scans.json"
IDENTITIES = "identities.csv"
_IMAGES = "images"
_VERSION = 1

_COLUMNS = (
    "scan", "channel", "file", "case", "perturbation", "severity", "level", "unit", "replicate",
    "status", "reason", "sha256",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WrittenScans:
    """What lies in the folder now."""

    scans: int
    """Scans with files."""
    without: int
    """Planned evaluations without a scan: levels without effect, or not applicable there."""
    files: int
    """Files of scans."""


def write_scans(
    config: AuditConfig,
    out: Path,
    *,
    files: str = "nnunet",
    limit: int | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> WrittenScans:
    """Write every scan of an audit, clean and under every condition, or finish what was begun.

    Parameters
    ----------
    config : AuditConfig
        The audit. Its systems are not looked at.
    out : Path
        Folder, made when it does not exist.
    files : str
        nnunet: one file a channel, ``scan_.._0000.nii.gz``; single: one file a scan of one channel.
    limit : int, optional
        So many cases only.
    progress : callable
        Called after every unit.

    Returns
    -------
    WrittenScans

    Raises
    ------
    DataError
        When a case cannot be read, or has several channels and `files` is single.
    IntegrityError
        When the folder holds something else.
    StoreError
        When there is not enough room, or the folder cannot be written.

    Notes
    -----
    Scans are float32 and the very bits that systems are given in the audit. Levels that change nothing
    on a scan, or that it does not admit, have a row and no file, for no system is asked there.
    """
    cases, checked = require(config)
    plan = make_plan(config, cases, dict.fromkeys((spec.name for spec in config.systems), ""))
    digest = digest_of([_VERSION, files, _names(plan)])
    plan = plan if limit is None else preview(plan, limit)
    _own(out, digest)
    _sweep(out / _IMAGES)
    known = _rows_of(out / TABLE)
    todo = [unit for unit in plan.units if not _is_complete(unit, known, out)]
    writer = _Writer(config, {case.case: case for case in cases}, out, files)
    if todo:
        channels = writer.channels(todo[0])
        grids = dict(zip((case.case for case in cases), checked.geometries, strict=True))
        _require_room(out, sum(channels * _bytes(unit, grids[unit.case]) for unit in todo))
    write_bytes(out / RECORD, json.dumps({"version": _VERSION, "scans": digest}).encode())
    write_bytes(out / IDENTITIES, _identities(cases))
    done = {unit.index for unit in plan.units} - {unit.index for unit in todo}
    kept = {row: None for unit in plan.units if unit.index in done for row in _of_unit(unit, known)}
    write_bytes(out / TABLE, _csv([_COLUMNS, *kept]))
    started = time.monotonic()
    for count, unit in enumerate(todo, start=1):
        _append(out / TABLE, writer.rows(unit))
        seconds, left = time.monotonic() - started, len(todo) - count
        progress(Progress(len(plan.units) - left, len(plan.units), seconds, seconds / count * left))
    return _finish(out, plan)


class _Writer:
    """Writes the scans of one unit after the other; keeps the case that it read last."""

    def __init__(
        self, config: AuditConfig, records: dict[str, CaseRecord], out: Path, files: str
    ) -> None:
        self._config, self._records, self._out, self._files = config, records, out, files
        self._case: LoadedCase | None = None

    def channels(self, unit: Unit) -> int:
        """Count the channels of a scan; all of an audit have as many. Refuse what has no names."""
        count = int(self._loaded(unit.case).scan.image.shape[0])
        channel_names("", count, self._files)
        return count

    def rows(self, unit: Unit) -> list[tuple[str, ...]]:
        case = self._loaded(unit.case)
        return [row for item in perturb(unit, case.scan) for row in self._written(unit, item, case)]

    def _loaded(self, name: str) -> LoadedCase:
        if self._case is None or self._case.record.case != name:
            cases = self._config.cases
            self._case = load_case(
                self._records[name],
                modality=cases.modality,
                state=cases.state,
                labels=self._config.labels,
                reference_rule=cases.reference,
            )
        return self._case

    def _written(self, unit: Unit, item: Scanned, case: LoadedCase) -> list[tuple[str, ...]]:
        severity, level = item.condition.severity, item.condition.level
        name = scan_name(unit, severity)
        told = (
            case.record.display_case, unit.perturbation.name, f"{severity:g}",
            "" if level is None else f"{level:.12g}", unit.perturbation.unit, str(unit.replicate),
            item.status.value,
        )  # fmt: skip
        if item.status is not Status.OK:
            return [(name, "", "", *told, " ".join(item.reason.split()), "")]
        image = item.scan.image
        rows: list[tuple[str, ...]] = []
        grid = grid_as_written(case.geometry)
        for number, file in enumerate(channel_names(name, int(image.shape[0]), self._files)):
            path = self._out / _IMAGES / file
            write_image(path, image[number], grid)
            rows.append((name, str(number), file, *told, "", digest_file(path)))
        return rows


def _names(plan: AuditPlan) -> list[str]:
    return [scan_name(unit, it) for unit in plan.units for it in _severities(unit)]


def _severities(unit: Unit) -> tuple[float, ...]:
    return unit.perturbation.severities or (0.0,)


def _own(out: Path, digest: str) -> None:
    """Refuse a folder that holds anything but these very scans."""
    if out.exists() and not out.is_dir():
        msg = f"-o must be a folder, {out.name} is a file"
        raise StoreError(msg)
    if not out.exists() or not any(out.iterdir()):
        return
    try:
        found = json.loads((out / RECORD).read_text(encoding="utf-8"))
        theirs = found["scans"] if found["version"] == _VERSION else ""
    except (OSError, ValueError, KeyError, TypeError):
        theirs = None
    if theirs == digest:
        return
    what = "other files" if theirs is None else "the scans of another audit, or of this one before"
    msg = (
        f"the folder of scans must be new, empty, or begun for this very audit; {out.name} holds {what}; "
        "give another folder with -o"
    )
    raise IntegrityError(msg)


def _rows_of(table: Path) -> dict[str, list[tuple[str, ...]]]:
    """Read what is there already: scan -> its rows; a last line that was torn is left out."""
    try:
        text = table.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    whole = text[: text.rfind("\n") + 1]
    known: dict[str, list[tuple[str, ...]]] = {}
    for row in list(csv.reader(io.StringIO(whole, newline="")))[1:]:
        rows = known.setdefault(row[0], [])
        # the clean scans of two cases with the same image are one scan
        if len(row) == len(_COLUMNS) and row[1] not in {it[1] for it in rows}:
            rows.append(tuple(row))
    return known


def _of_unit(unit: Unit, known: dict[str, list[tuple[str, ...]]]) -> list[tuple[str, ...]]:
    return [row for it in _severities(unit) for row in known.get(scan_name(unit, it), [])]


def _is_complete(unit: Unit, known: dict[str, list[tuple[str, ...]]], out: Path) -> bool:
    """Tell whether every scan of a unit has its rows, and every file is as its row says."""
    rows = _of_unit(unit, known)
    if {row[0] for row in rows} != {scan_name(unit, it) for it in _severities(unit)}:
        return False
    files = [(out / _IMAGES / row[2], row[-1]) for row in rows if row[2]]
    return all(path.is_file() and digest_file(path) == digest for path, digest in files)


def _bytes(unit: Unit, grid: Geometry) -> int:
    """Bytes of one channel of all scans of a unit, not compressed."""
    return 4 * math.prod(grid.shape) * len(_severities(unit))


def _require_room(out: Path, needed: int) -> None:
    place = next(it for it in (out.absolute(), *out.absolute().parents) if it.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        msg = (
            f"the scans take up to {needed / 2**20:.0f} MB, and {free / 2**20:.0f} MB are free; give a "
            "folder on another disk with -o, fewer severities, or --limit"
        )
        raise StoreError(msg)


def _sweep(images: Path) -> None:
    """Remove what a killed process had half written, so that it is taken for no scan."""
    for path in images.glob("*.nii.gz"):
        if re.fullmatch(r"\d+\.scan_[0-9a-f]{16}(_\d{4})?\.nii\.gz", path.name):
            path.unlink(missing_ok=True)


def _identities(cases: Sequence[CaseRecord]) -> bytes:
    names = [(case.display_case, case.display_patient, case.case, case.patient) for case in cases]
    return _csv([("display_case", "display_patient", "case", "patient"), *names])


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows(rows)
    return sink.getvalue().encode()


def _append(table: Path, rows: Sequence[Sequence[str]]) -> None:
    try:
        with table.open("ab") as file:
            file.write(_csv(rows))
    except OSError as error:
        msg = f"{table.name} could not be written: {error.strerror}; finished scans are kept"
        raise StoreError(msg) from error


def _finish(out: Path, plan: AuditPlan) -> WrittenScans:
    """Put the rows into the order of the plan, and count them."""
    known = _rows_of(out / TABLE)
    names = dict.fromkeys(_names(plan))
    rows = [row for name in names for row in known.get(name, [])]
    if {row[0] for row in rows} != set(names):
        msg = f"{TABLE} was changed while it was written; run the same command again"
        raise DataError(msg)
    write_bytes(out / TABLE, _csv([_COLUMNS, *rows]))
    with_files = [row for row in rows if row[2]]
    scans = {row[0] for row in with_files}
    return WrittenScans(len(scans), len(rows) - len(with_files), len(with_files))
