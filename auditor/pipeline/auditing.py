"""One audit: config -> plan -> execute -> store -> analyse -> exhibit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from auditor.analysis import summarise
from auditor.config import AuditConfig, load_config, parse_config
from auditor.errors import ConfigError, NothingEvaluated
from auditor.execution.job import Job
from auditor.execution.local import Progress, pending_units, run_local
from auditor.execution.store import compact, read_rows, write_bytes
from auditor.execution.unit import UnitRunner
from auditor.exhibits import make_exhibits
from auditor.pipeline.certifying import facts_of_all, make_certificates, write_certificates
from auditor.pipeline.costs import costs
from auditor.pipeline.examination import examine_systems
from auditor.pipeline.folder import (
    lock_run,
    write_failures,
    write_manifest,
    write_provenance,
    write_sums,
)
from auditor.pipeline.locking import prepare
from auditor.pipeline.prediction_files import look_at_predictions
from auditor.pipeline.run import Run
from auditor.pipeline.setup import analysis_setup
from auditor.plan import make_plan, preview
from auditor.schema import encode
from auditor.systems.numeric_floor import NumericFloor
from auditor.systems.runners import CallableSystem

__all__ = ["audit"]


def audit(
    config: str | Path | Mapping[str, Any] | AuditConfig | None = None,
    *,
    systems: Mapping[str, CallableSystem] | Sequence[CallableSystem] = (),
    out: str | Path | None = None,
    workers: int = 1,
    limit: int | None = None,
    amend: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
    **fields: Any,  # noqa: ANN401  # fields of the configuration, checked there
) -> Run:
    """Run an audit, or finish one that was interrupted.

    Parameters
    ----------
    config : path, mapping or AuditConfig, optional
        audit.yaml or its content; None: the configuration is given by `fields`.
    systems : mapping of name to callable, or sequence of callables
        Python callables to audit beside (or instead of) checkpoints. Each takes a float32 array
        (channel, z, y, x) or (channel, y, x), prepared as its contract says, and returns what the
        contract's activation says. They run in this process, outside the sandbox.
    out : path, optional
        Folder of the run; ``audit-runs/<audit>`` by default.
    workers : int
        Worker processes; changes no number. Audits of callables use this process alone.
    limit : int, optional
        A preview of so many cases, without verdicts.
    amend : str, optional
        Reason for a change of the locked configuration, which is then recorded.
    progress : callable, optional
        Called after every unit, and with a note before other contracts are tried.
    settings : mapping, optional
        ``{"vendor-a.batch": 4}``: fields of systems that win over the configuration, as ``--set`` does;
        ``*`` is every system.
    **fields
        Fields of the configuration (cases, modality, labels, perturbations, metrics ..), over those
        of `config` when that is a mapping.

    Returns
    -------
    Run
        The folder and its results.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        All problems of a kind at once, before any long work.
    IntegrityError
        When the folder holds another audit.
    StoreError
        When the disk is full; finished units are kept.

    Examples
    --------
    >>> import auditor
    >>> auditor.audit("audit.yaml")  # doctest: +SKIP
    """
    calls = _named(systems)
    progress = progress or (lambda _: None)
    declared = _resolved(config, calls, fields, settings)
    run = Path(out) if out is not None else Path("audit-runs") / declared.name
    prepared = prepare(declared, run, callables=calls, told=_noting(progress))
    cases, known, looked = prepared.cases, prepared.identities, prepared.looked
    resolved = looked.config
    plan = make_plan(resolved, cases, known)
    if limit is not None:
        plan = preview(plan, limit)
    lacking, _ = look_at_predictions(resolved, plan, cases, prepared.geometries)
    if lacking:
        msg = "these systems cannot be read:"
        raise ConfigError(msg, lacking)
    lock = lock_run(run, resolved, cases, known, amend=amend)
    prepared.remembered.keep_in(run)
    write_manifest(run, cases)
    examined, problems = examine_systems(looked)
    if problems:
        msg = "these systems cannot be run:"
        raise ConfigError(msg, problems)
    records = [it.record for it in examined]
    started = time.monotonic()
    job = Job(run=run, config=resolved, cases=cases, plan=plan, identities=known)
    _execute(job, calls, workers=workers, progress=progress)
    table = read_rows(run, plan.keys)
    if not len(table):
        msg = f"the run {run.name} stored no row: the plan is empty"
        raise NothingEvaluated(msg)
    setup = analysis_setup(job, lock, records, prepared.geometries, table, networks=looked.networks)
    results = summarise(table, setup=setup)
    compact(run, table)
    certificates = make_certificates(job, lock, table=table, setup=setup)
    write_certificates(run, certificates)
    results = replace(results, certificates=facts_of_all(certificates))
    irreproducible = make_exhibits(job, results.exhibits, callables=calls)
    write_failures(run, results)
    write_bytes(run / "results.json", encode(results).encode())
    write_provenance(
        run,
        {
            "seconds": round(time.monotonic() - started, 1),
            "workers": workers,
            "amendments": list(lock.amendments),
            "exhibits_not_reproduced": irreproducible,
            "numeric_floor": {it.record.name: _floor(it.floor) for it in examined},
            "cost": costs(table, examined),
        },
    )
    write_sums(run)
    return Run(run, results)


def _noting(progress: Callable[[Progress], None]) -> Callable[[str, int, int], None]:
    """Turn the start of the tries of other contracts into a note."""

    def told(system: str, done: int, total: int) -> None:
        if done == 0 and total:
            note = f"{system}: trying {total} other contracts on three cases"
            progress(Progress(0, 0, 0.0, None, note))

    return told


def _floor(floor: NumericFloor) -> dict[str, Any]:
    """Put two runs of the first case into the words of provenance.json."""
    return {
        "largest_difference_of_scores": floor.score,
        "differing_voxels": floor.voxels,
        "smallest_dsc": floor.dsc,
        "largest_difference_beside_another_scan": floor.beside,
        "problem": floor.problem,
    }


def _named(
    systems: Mapping[str, CallableSystem] | Sequence[CallableSystem],
) -> dict[str, CallableSystem]:
    if isinstance(systems, Mapping):
        return dict(systems)
    named = {getattr(call, "__name__", type(call).__name__): call for call in systems}
    if len(named) < len(systems):
        msg = "systems must have different names; give a mapping of name to callable"
        raise ConfigError(msg)
    return named


def _resolved(
    config: str | Path | Mapping[str, Any] | AuditConfig | None,
    calls: Mapping[str, CallableSystem],
    fields: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> AuditConfig:
    if isinstance(config, AuditConfig):
        if settings:
            msg = (
                "settings can be given with a file or a mapping, not over a resolved configuration"
            )
            raise ConfigError(msg)
        return config
    if isinstance(config, str | Path):
        if fields:
            msg = (
                f"fields can be given with a mapping or alone, not over the file {config}: "
                f"{', '.join(fields)}"
            )
            raise ConfigError(msg)
        return load_config(Path(config), callables=tuple(calls), settings=settings)
    data = {**(config or {}), **fields}
    data.setdefault("audit", "audit")
    return parse_config(data, folder=Path.cwd(), callables=tuple(calls), settings=settings)


def _execute(
    job: Job,
    calls: Mapping[str, CallableSystem],
    *,
    workers: int,
    progress: Callable[[Progress], None],
) -> None:
    if not calls:
        run_local(job, workers=workers, report=progress)
        return
    todo = pending_units(job)
    started = time.monotonic()
    total = len(job.plan.units)
    with UnitRunner(job, callables=calls) as runner:
        for count, unit in enumerate(todo, start=1):
            runner.run(unit)
            seconds = time.monotonic() - started
            left = len(todo) - count
            progress(Progress(total - left, total, seconds, seconds / count * left))
