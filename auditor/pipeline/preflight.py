"""What is looked at before any long work: files, contracts, golden pairs, one dry case, the plan.

`check` reports all problems at once, sorted; `run` begins with the same look and refuses to start
when there is one. Everything costs seconds.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.analysis import attainable
from auditor.cases import (
    Checked,
    check_cases,
    left_out,
    load_case,
    read_manifest,
    read_mask,
    read_volume,
)
from auditor.config import AuditConfig
from auditor.errors import AuditError, ConfigError, DataError
from auditor.execution.perturbed import same_unit
from auditor.plan import AuditPlan, make_plan
from auditor.schema import CaseRecord, ContractStatus, SystemRecord, SystemSpec
from auditor.systems.contract import build_contract
from auditor.systems.golden import GoldenOutcome, Pair, check_golden, read_golden_table
from auditor.systems.runners import CallableSystem
from auditor.systems.running import Asked, Failure, open_system
from auditor.systems.sniff import sniff
from perturbations import realise

__all__ = [
    "SHARD_KB",
    "Dry",
    "Estimates",
    "Preflight",
    "examine_systems",
    "identities",
    "look",
    "require",
]

Callables = Mapping[str, CallableSystem]

SHARD_KB = 40
"""Measured size of one shard with six severities, eight metrics and one label."""


@dataclass(frozen=True, slots=True)
class Dry:
    """One prediction of one system on the first case."""

    system: str
    seconds: float
    problem: str
    """Empty when it worked."""


@dataclass(frozen=True, slots=True)
class Estimates:
    """What the audit will take, and what it can show at best."""

    evaluations: int
    seconds: float | None
    """Forward passes of one worker; None when no dry run worked."""
    disk_mb: float
    free_mb: float
    half_width: float
    """Half width of a 95 % interval of a mean at SD 0.10 with this many patients."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """Everything that was found before the work."""

    cases: tuple[CaseRecord, ...]
    plan: AuditPlan
    systems: tuple[SystemRecord, ...]
    dry: tuple[Dry, ...]
    estimates: Estimates
    problems: tuple[str, ...]
    """Each stops the audit."""
    warnings: tuple[str, ...]
    """Worth knowing; stop nothing."""
    unattainable: tuple[str, ...]
    """Ids of criteria that no data of this many patients could meet."""
    excluded: int = 0
    """Patients that `cases.exclude` leaves out."""


def identities(config: AuditConfig, callables: Callables) -> dict[str, str]:
    """SHA-256 of every system's checkpoint; callables are identified by their own name.

    Raises
    ------
    ConfigError
        When a file is no checkpoint that can be run: all of them at once.
    """
    known, problems = {}, []
    for spec in config.systems:
        if spec.name in callables:
            call = callables[spec.name]
            known[spec.name] = f"callable:{getattr(call, '__qualname__', type(call).__name__)}"
            continue
        try:
            known[spec.name] = sniff(Path(str(spec.checkpoint))).sha256
        except AuditError as error:
            problems.append(f"systems.{spec.name}.checkpoint: {error}")
    if problems:
        msg = "these systems cannot be run:"
        raise ConfigError(msg, problems)
    return known


def require(config: AuditConfig) -> tuple[tuple[CaseRecord, ...], Checked]:
    """Read the manifest and check every file of it.

    Returns
    -------
    cases : tuple of CaseRecord
    checked : Checked
        Warnings, and the grid of each scan.

    Raises
    ------
    DataError
        With all problems at once.
    """
    cases = left_out(read_manifest(config.cases), config.cases.excluded)
    checked = check_cases(cases, config.cases, labels=config.labels)
    if checked.problems:
        msg = f"{len(checked.problems)} problem(s) with the cases:"
        raise DataError(msg, checked.problems)
    return cases, checked


def examine_systems(
    config: AuditConfig, callables: Callables
) -> tuple[tuple[SystemRecord, ...], tuple[str, ...]]:
    """Open every system once and check its golden pairs.

    Returns
    -------
    records : tuple of SystemRecord
        In the order of the configuration; without the counts of statuses, which come later.
    problems : tuple of str
        Systems that do not open.
    """
    records, problems = [], []
    for spec in config.systems:
        try:
            records.append(_examined(spec, callables.get(spec.name)))
        except AuditError as error:
            problems.append(f"systems.{spec.name}: {error}")
    return tuple(records), tuple(problems)


def look(config: AuditConfig, *, callables: Callables | None = None) -> Preflight:
    """Look at everything once: the work of ``segaudit check``.

    Raises
    ------
    ConfigError, DataError
        When nothing can be planned: a checkpoint or the table of cases is unusable. All other
        findings are in the result.
    """
    callables = callables or {}
    known = identities(config, callables)
    cases, checked = require(config)
    plan = make_plan(config, cases, known)
    systems, problems = examine_systems(config, callables)
    opened = {record.name for record in systems}
    dry = [
        _dry(config, cases, spec, callables.get(spec.name))
        for spec in config.systems
        if spec.name in opened
    ]
    problems += tuple(
        f"systems.{it.system}: one dry case failed: {it.problem}" for it in dry if it.problem
    )
    doubts = tuple(
        f"systems.{record.name}: contract in doubt: {record.contract.note}"
        for record in systems
        if record.contract.status is ContractStatus.IN_DOUBT
    )
    patients = len({case.patient for case in cases})
    return Preflight(
        cases=cases,
        plan=plan,
        systems=systems,
        dry=tuple(dry),
        estimates=_estimates(config, plan, dry, patients),
        problems=problems,
        warnings=(*config.warnings, *checked.warnings, *_refused(config, cases[0]), *doubts),
        unattainable=tuple(
            spec.id
            for spec in config.criteria
            if not attainable(spec, patients, level=config.criteria_level)
        ),
        excluded=len(config.cases.excluded),
    )


def _golden_pairs(spec: SystemSpec) -> list[Pair]:
    """Load the golden pairs of a system: image, geometry, the maker's labels."""
    pairs = []
    for images, prediction in read_golden_table(Path(str(spec.golden))):
        image, geometry = read_volume(tuple(str(path) for path in images))
        labels, _ = read_mask(str(prediction))
        pairs.append((image, geometry, labels))
    return pairs


def _examined(spec: SystemSpec, call: CallableSystem | None) -> SystemRecord:
    outcome = GoldenOutcome(0, None, ContractStatus.DECLARED_ONLY, "")
    if spec.golden:
        outcome = check_golden(spec, _golden_pairs(spec), callable=call)
    with open_system(spec, callable=call) as running:
        info = running.info
    return SystemRecord(
        name=spec.name,
        family=spec.family,
        training_seed=spec.training_seed,
        format=info.format,
        sha256=info.sha256,
        size_bytes=info.size_bytes,
        contract=build_contract(spec, status=outcome.status, note=outcome.note),
        golden_pairs=outcome.pairs,
        golden_agreement=outcome.agreement,
        claimed=spec.claimed,
        claimed_source=spec.claimed_source,
        sandbox=tuple(info.sandbox),
        statuses=(),
        findings=tuple(info.findings),
    )


def _refused(config: AuditConfig, first: CaseRecord) -> tuple[str, ...]:
    """Draw every perturbation on one case, and tell which are refused there."""
    scan = load_case(
        first,
        modality=config.cases.modality,
        state=config.cases.state,
        labels=config.labels,
        reference_rule=config.cases.reference,
    ).scan
    told = []
    for spec in config.perturbations:
        try:
            drawn = realise(spec.name, scan, seed=0, **spec.options)
            if not spec.iso_effect:
                same_unit(spec, drawn)
        except ValueError as error:
            told.append(
                f"perturbations.{spec.name}: is not applicable to case {first.case}: {error}"
            )
    return tuple(told)


def _dry(
    config: AuditConfig,
    cases: Sequence[CaseRecord],
    spec: SystemSpec,
    call: CallableSystem | None,
) -> Dry:
    case = load_case(
        cases[0],
        modality=config.cases.modality,
        state=config.cases.state,
        labels=config.labels,
        reference_rule=config.cases.reference,
    )
    with open_system(spec, callable=call) as running:
        asked = [Asked(case.record.case)]
        # the first call also starts the child
        running.predict([case.scan.image], case.geometry, asked=asked)
        started = time.perf_counter()
        outcome = running.predict([case.scan.image], case.geometry, asked=asked)[0]
        seconds = time.perf_counter() - started
    problem = f"{outcome.status.value}: {outcome.reason}" if isinstance(outcome, Failure) else ""
    return Dry(spec.name, seconds, problem)


def _estimates(
    config: AuditConfig, plan: AuditPlan, dry: Sequence[Dry], patients: int
) -> Estimates:
    each = sum(unit.evaluations for unit in plan.units)
    timed = [it.seconds for it in dry if not it.problem]
    return Estimates(
        evaluations=plan.evaluations,
        seconds=each * sum(timed) if timed else None,
        disk_mb=len(plan.keys) * SHARD_KB / 1024,
        free_mb=shutil.disk_usage(config.folder).free / 2**20,
        half_width=1.96 * 0.10 / math.sqrt(max(1, patients)),
    )
