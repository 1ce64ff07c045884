"""The folder of a run: its lock, its manifest, who is who, provenance, and checksums.

The lock is written before the first result. A folder whose lock says something else is another
audit: it is refused (exit 7) unless the change is recorded as an amendment, with its reason.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from auditor.config import AuditConfig
from auditor.config import digest as config_digest
from auditor.errors import ConfigError, DataError, IntegrityError
from auditor.execution.store import digest_file, write_bytes
from auditor.pipeline.grouping import columns_of
from auditor.plan import digest_of
from auditor.schema import CaseRecord, Results

__all__ = [
    "LOCK",
    "Lock",
    "lock_run",
    "manifest_digest",
    "read_lock",
    "refuse_foreign",
    "tool_version",
    "verify_sums",
    "write_failures",
    "write_lock",
    "write_manifest",
    "write_provenance",
    "write_sums",
]

LOCK = "audit.lock.yaml"
"""Name of the lock in the folder of a run."""

_COLUMN = "the column "
"""How a changed column of metadata is named in a lock."""

_UNSUMMED = ("SHA256SUMS", "units", "quarantine", "report.html", "report.pdf")


@dataclass(frozen=True, slots=True)
class Lock:
    """What was frozen before the first result."""

    config_digest: str
    manifest_digest: str
    config: dict[str, Any]
    """Resolved configuration in canonical form."""
    systems: dict[str, str]
    """SHA-256 of each system: of its checkpoint, its command, or its predictions."""
    amendments: tuple[dict[str, Any], ...]
    """Recorded changes: reason, changed keys, whether results existed, whether claims changed."""
    columns: dict[str, str] = field(default_factory=dict)
    """Axis -> digest of its column of metadata; none in a lock of before they were frozen."""

    @property
    def pre_declared(self) -> bool:
        """True when no claim was changed after results existed."""
        return not any(it["results_existed"] and it["claims_changed"] for it in self.amendments)

    @property
    def changed_late(self) -> frozenset[str]:
        """Everything that was changed after results existed, as paths of the configuration."""
        late = (it["changed"] for it in self.amendments if it["results_existed"])
        return frozenset(key for changed in late for key in changed)


def tool_version() -> str:
    """Return the version of the installed segaudit."""
    try:
        return metadata.version("segaudit")
    except metadata.PackageNotFoundError:
        return "not installed"


def manifest_digest(cases: Sequence[CaseRecord]) -> str:
    """Digest over the files of all cases and their slice thickness where it is known, in order."""
    return digest_of(
        [
            [case.case, case.patient, case.digests, *filter(None, [case.slice_thickness_mm])]
            for case in cases
        ]
    )


def read_lock(run: Path) -> Lock | None:
    """Read the lock of a run; None when the folder holds none.

    Raises
    ------
    IntegrityError
        When the lock cannot be read, or does not match its own digest.
    """
    path = run / LOCK
    if not path.exists():
        return None
    try:
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
        lock = Lock(
            config_digest=stored["config_digest"],
            manifest_digest=stored["manifest_digest"],
            config=stored["config"],
            systems=stored["systems"],
            amendments=tuple(stored["amendments"]),
            columns=dict(stored.get("columns", {})),
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        msg = f"{LOCK} cannot be read; it must be as segaudit wrote it ({type(error).__name__})"
        raise IntegrityError(msg) from error
    if digest_of(lock.config) != lock.config_digest:
        msg = (
            f"{LOCK} was changed after it was written: its configuration no longer has the digest "
            f"{lock.config_digest[:12]}; restore the file, or start a new run in another folder"
        )
        raise IntegrityError(msg)
    return lock


def lock_run(
    run: Path,
    config: AuditConfig,
    cases: Sequence[CaseRecord],
    systems: Mapping[str, str],
    *,
    amend: str | None = None,
) -> Lock:
    """Freeze a configuration into a folder, or check that the folder is this very audit.

    Parameters
    ----------
    run : Path
        Folder of the run; made when it does not exist.
    config, cases, systems
        The audit: configuration, cases with digests, SHA-256 of each system.
    amend : str, optional
        Reason for which a difference from the existing lock is accepted and recorded.

    Raises
    ------
    IntegrityError
        When the folder holds another audit, or files that are no audit.
    StoreError
        When the folder cannot be written.
    """
    new = Lock(
        config_digest=config_digest(config),
        manifest_digest=manifest_digest(cases),
        config=dict(config.canonical),
        systems=dict(systems),
        amendments=(),
        columns={axis: digest_of(values) for axis, values in columns_of(config, cases).items()},
    )
    old = read_lock(run)
    if old is None:
        refuse_foreign(run)
        return write_lock(run, new)
    changed = _changed(old, new)
    if not changed:
        return old
    if amend is None:
        msg = (
            f"this folder ({run.name}) holds another audit: {', '.join(changed)} differ(s) from "
            f"its {LOCK}. Use another folder (-o), or record the change with --amend 'why'"
        )
        raise IntegrityError(msg)
    amendment = {
        "reason": amend,
        "changed": changed,
        "results_existed": any((run / "units").glob("*/*.parquet")),
        "claims_changed": any(
            key.startswith(_COLUMN)
            or key.split(".")[0] in ("criteria", "confidence", "strata", "metrics", "response")
            for key in changed
        ),
    }
    return write_lock(
        run,
        Lock(
            config_digest=new.config_digest,
            manifest_digest=new.manifest_digest,
            config=new.config,
            systems=new.systems,
            amendments=(*old.amendments, amendment),
            columns=new.columns,
        ),
    )


def write_manifest(run: Path, cases: Sequence[CaseRecord]) -> None:
    """Write ``manifest.csv`` (digests) and ``identities.csv`` (who is who), both for inside use."""
    write_identities(run, cases)
    manifest = [
        (case.display_case, role, digest) for case in cases for role, digest in case.digests
    ]
    write_bytes(run / "manifest.csv", _csv(("case", "file", "sha256"), manifest))


def write_identities(folder: Path, cases: Sequence[CaseRecord]) -> None:
    """Write ``identities.csv``: which case and patient stand behind which display id."""
    names = [(case.display_case, case.display_patient, case.case, case.patient) for case in cases]
    header = ("display_case", "display_patient", "case", "patient")
    write_bytes(folder / "identities.csv", _csv(header, names))


def write_failures(run: Path, results: Results) -> None:
    """Write ``failures.csv``: the worst single evaluations under their display ids."""
    header = (
        "system", "case", "patient", "perturbation", "severity", "level", "unit", "label",
        "metric", "value", "status", "reason",
    )  # fmt: skip
    rows = [tuple(getattr(it, name) for name in header) for it in results.worst]
    write_bytes(run / "failures.csv", _csv(header, rows))


def write_provenance(run: Path, facts: Mapping[str, Any]) -> None:
    """Write ``provenance.json``: versions, hardware, times; the only file that holds dates."""
    packages = {
        name: _version(name)
        for name in (
            "torch",
            "onnxruntime-gpu",
            "onnxruntime",
            "onnx",
            "numpy",
            "scipy",
            "SimpleITK",
        )
    }
    content = {
        "tool": f"segaudit {tool_version()}",
        "packages": {name: version for name, version in packages.items() if version},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "processor": _processor(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "clock": "this machine's clock, not witnessed",
        # names only: the arguments may hold paths of this machine
        "command": " ".join(["segaudit", *(Path(part).name for part in sys.argv[1:])]),
        **facts,
    }
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    write_bytes(run / "provenance.json", text.encode())


def _processor() -> str:
    """Name the processor, as far as the system tells."""
    with contextlib.suppress(OSError):
        for line in (
            Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        ):
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or "not known"


def write_sums(run: Path) -> None:
    """Write ``SHA256SUMS`` over what an audit leaves behind, shards and the report apart.

    The report can be rendered again from the listed files; the shards carry their own keys.
    """
    lines = [
        f"{digest_file(path)}  {path.relative_to(run).as_posix()}" for path in _summed_files(run)
    ]
    write_bytes(run / "SHA256SUMS", ("\n".join(lines) + "\n").encode())


def verify_sums(run: Path) -> list[str]:
    """Compare the files of a run with ``SHA256SUMS``.

    Returns
    -------
    list of str
        One sentence per difference; empty when all is as it was written.

    Raises
    ------
    DataError
        When the folder holds no ``SHA256SUMS``.
    """
    try:
        lines = (run / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        msg = f"{run.name} must be the folder of a finished run, with SHA256SUMS; finish it first"
        raise DataError(msg) from error
    known = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = {path.relative_to(run).as_posix(): path for path in _summed_files(run)}
    problems = [f"{name} is missing" for name in known if name not in found]
    problems += [f"{name} was not written by this run" for name in found if name not in known]
    problems += [
        f"{name} was changed: its SHA-256 is no longer {known[name][:12]}.."
        for name, path in found.items()
        if name in known and digest_file(path) != known[name]
    ]
    return sorted(problems)


def _summed_files(run: Path) -> list[Path]:
    return sorted(
        path
        for path in run.rglob("*")
        if path.is_file()
        and path.relative_to(run).parts[0] not in _UNSUMMED
        and path.suffix != ".tmp"
    )


def write_lock(run: Path, lock: Lock) -> Lock:
    """Write the lock of a run, and return it."""
    content = {
        "config_digest": lock.config_digest,
        "manifest_digest": lock.manifest_digest,
        "systems": lock.systems,
        "amendments": list(lock.amendments),
        "columns": lock.columns,
        "config": lock.config,
    }
    # a plain copy: YAML would otherwise write shared parts as references
    text = yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=True, allow_unicode=True)
    write_bytes(run / LOCK, text.encode())
    return lock


def refuse_foreign(run: Path) -> None:
    """Refuse a folder that holds other files than a run.

    Raises
    ------
    IntegrityError, ConfigError
        When it does, or is no folder.
    """
    if run.exists() and not run.is_dir():
        msg = f"the folder of a run must be a folder, {run.name} is a file; give another with -o"
        raise ConfigError(msg)
    if run.exists() and any(path.name != "units" for path in run.iterdir()):
        msg = (
            f"the folder of a run must be new, empty or an earlier run; {run.name} holds other "
            "files; give another with -o"
        )
        raise IntegrityError(msg)


def _changed(old: Lock, new: Lock) -> list[str]:
    changed = _differences(old.config, json.loads(json.dumps(new.config)))
    changed += [
        f"what runs as {name}"
        for name in sorted({*old.systems, *new.systems})
        if old.systems.get(name) != new.systems.get(name)
    ]
    if old.manifest_digest != new.manifest_digest:
        changed.append("the files of the cases")
    changed += [
        f"{_COLUMN}{axis} of the cases"
        for axis in sorted(old.columns.keys() & new.columns.keys())
        if old.columns[axis] != new.columns[axis]
    ]
    return changed


def _differences(old: Any, new: Any, path: str = "") -> list[str]:  # noqa: ANN401  # JSON values
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for key in sorted({*old, *new})
            for line in _differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if old == new else [path]


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return sink.getvalue().encode()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
