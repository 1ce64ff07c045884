"""How far a run is, read from its folder alone."""

from __future__ import annotations

from pathlib import Path

from auditor.errors import DataError
from auditor.pipeline.folder import LOCK, read_lock

__all__ = ["state_of"]


def state_of(run: Path) -> dict[str, object]:
    """Describe a run's folder.

    Returns
    -------
    dict
        audit, purpose, systems, stored_shards, quarantined_shards, results, report, amendments.

    Raises
    ------
    DataError
        When the folder holds no lock, so that it is no run.
    IntegrityError
        When the lock is damaged.
    """
    lock = read_lock(run)
    if lock is None:
        msg = f"{run.name} must be the folder of a run, with {LOCK}"
        raise DataError(msg)
    return {
        "audit": lock.config.get("audit", ""),
        "purpose": lock.config.get("purpose", ""),
        "systems": ", ".join(sorted(lock.systems)),
        "stored_shards": sum(1 for _ in (run / "units").glob("*/*.parquet")),
        "quarantined_shards": sum(1 for _ in (run / "quarantine").glob("*.parquet")),
        "results": "written" if (run / "results.json").exists() else "not yet",
        "report": "written" if (run / "report.html").exists() else "not yet",
        "amendments": len(lock.amendments),
    }
