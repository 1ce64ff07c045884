"""Freeze an audit before its first result: what `audit` does before it calls any system, and no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from auditor.config import AuditConfig
from auditor.pipeline.examination import Looked, completed
from auditor.pipeline.folder import LOCK, Lock, lock_run, write_manifest
from auditor.pipeline.identities import identities
from auditor.pipeline.networks import require_ablations
from auditor.pipeline.preflight import require
from auditor.pipeline.remembered import Remembered
from auditor.schema import CaseRecord, Geometry
from auditor.systems.runners import CallableSystem

__all__ = ["Prepared", "lock", "prepare"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An audit that may be locked: its files were read, and nobody's contract is open."""

    looked: Looked
    """With the completed configuration."""
    cases: tuple[CaseRecord, ...]
    geometries: Sequence[Geometry]
    """Of the cases."""
    identities: Mapping[str, str]
    """SHA-256 of every system."""
    remembered: Remembered
    """What was found by trying."""


def prepare(
    declared: AuditConfig,
    run: Path,
    *,
    callables: Mapping[str, CallableSystem],
    told: Callable[[str, int, int], None],
) -> Prepared:
    """Read every file of an audit, and complete the contracts that nobody declared.

    Parameters
    ----------
    declared : AuditConfig
        As it was written.
    run : Path
        Folder of the run, which may hold what an earlier look found.
    callables : mapping of name to callable
        Systems that are Python callables.
    told : callable
        Is told which system is tried under how many of how many contracts.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        All problems of a kind at once.
    """
    known = identities(declared, callables)
    cases, checked = require(declared)
    remembered = Remembered(run)
    looked = completed(
        Looked(declared, cases, checked.geometries, known, callables, remembered, told)
    )
    looked = replace(looked, networks=require_ablations(looked))
    return Prepared(looked, cases, checked.geometries, known, remembered)


def lock(
    config: AuditConfig,
    out: Path | None = None,
    *,
    amend: str | None = None,
    told: Callable[[str, int, int], None] = lambda _, __, ___: None,
) -> tuple[Path, Lock]:
    """Freeze a configuration into the folder of its run, before any result exists.

    Parameters
    ----------
    config : AuditConfig
        As declared.
    out : Path, optional
        Folder of the run; ``audit-runs/<audit>`` by default.
    amend : str, optional
        Reason for which a difference from an existing lock is accepted and recorded.
    told : callable, optional
        Is told which system is tried under how many of how many contracts.

    Returns
    -------
    path : Path
        The lock.
    lock : Lock
        What it holds.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        When the audit could not be run.
    IntegrityError
        When the folder holds another audit.
    """
    run = out if out is not None else Path("audit-runs") / config.name
    prepared = prepare(config, run, callables={}, told=told)
    resolved = prepared.looked.config
    frozen = lock_run(run, resolved, prepared.cases, prepared.identities, amend=amend)
    prepared.remembered.keep_in(run)
    write_manifest(run, prepared.cases)
    return run / LOCK, frozen
