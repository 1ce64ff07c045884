"""What is looked at before any long work: files, contracts, golden pairs, one dry case, the plan.

`check` reports all problems at once, sorted; `run` begins with the same look and refuses to start
when there is one. Everything costs seconds.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditor.analysis.intervals import half_width
from auditor.cases import Checked, check_cases, left_out, load_case, read_manifest
from auditor.config import AuditConfig
from auditor.config.decisions import decisions, undecided
from auditor.config.grid import check_probabilities
from auditor.errors import DataError
from auditor.execution.perturbed import same_unit
from auditor.metrics.catalog import METRICS
from auditor.metrics.discretisation import below_voxel_size
from auditor.pipeline.attaining import Unattainable, unattainable_claims
from auditor.pipeline.axis_proposals import axis_proposals
from auditor.pipeline.certificate_look import (
    CertificateLook,
    extra_passes,
    look_at_certificates,
)
from auditor.pipeline.envelope_limits import limits_of_envelope
from auditor.pipeline.examination import Looked, completed, examine_systems
from auditor.pipeline.grouping import grouping_problems
from auditor.pipeline.identities import identities
from auditor.pipeline.layer_look import LayerLook, layer_passes, look_at_layers
from auditor.pipeline.networks import (
    ablated_networks,
    ablation_problems,
    network_warnings,
    own_other_scans,
    unlike_other_scans,
)
from auditor.pipeline.prediction_files import look_at_predictions
from auditor.pipeline.window_sizes import windows_beyond_scans
from auditor.plan import AuditPlan, make_plan
from auditor.schema import CaseRecord, ContractStatus, Decision, SystemRecord
from auditor.strata.proposals import AxisProposals
from auditor.systems.runners import CallableSystem
from perturbations import realise

__all__ = [
    "SHARD_KB",
    "Dry",
    "Estimates",
    "Preflight",
    "look",
    "require",
    "too_fine",
]

Callables = Mapping[str, CallableSystem]

_SMALLEST_GROUP = 10
"""The smallest `minimum_patients` of an axis, and the one of axes that declare none."""

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
    """Forward passes of one worker, also for certificates and layers; None when no dry run worked."""
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
    unattainable: tuple[Unattainable, ...]
    """Criteria that no data of their patients could meet."""
    excluded: int = 0
    """Patients that `cases.exclude` leaves out."""
    strata: tuple[AxisProposals, ...] = ()
    """Where the axes of groups could be cut, with the patients in every group."""
    undecided: tuple[Decision, ...] = ()
    """Scientific choices that nobody made: defaults of segaudit count."""
    certificates: tuple[CertificateLook, ...] = ()
    """What declared certificates cost, and what they can promise at best."""
    layers: tuple[LayerLook, ...] = ()
    """What comparing layers costs, for each declared system."""


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
    problems = (*checked.problems, *grouping_problems(config, cases, checked.geometries))
    if problems:
        msg = f"{len(problems)} problem(s) with the cases:"
        raise DataError(msg, problems)
    return cases, checked


def too_fine(config: AuditConfig, cases: Sequence[CaseRecord], checked: Checked) -> tuple[str, ...]:
    """Warn of tolerances below the voxel size.

    Parameters
    ----------
    config : AuditConfig
    cases, checked
        From `require`.

    Returns
    -------
    One sentence for each such metric, which names the coarsest case: the first of the largest voxel side.
    """
    sides = [max(grid.spacing) for grid in checked.geometries]
    coarsest = sides.index(max(sides))
    grid = checked.geometries[coarsest]
    below = sum(
        bool(below_voxel_size(config.metrics, it.spacing, it.unit)) for it in checked.geometries
    )
    where = f"case {cases[coarsest].case!r}, the coarsest ({below} of {len(sides)} cases are too coarse)"
    return tuple(
        f"metrics.{told}: {where}"
        for told in below_voxel_size(config.metrics, grid.spacing, grid.unit)
    )


def look(
    config: AuditConfig,
    *,
    callables: Callables | None = None,
    told: Callable[[str, int, int], None] = lambda _, __, ___: None,
    measured: Callable[[int, int], None] = lambda _, __: None,
) -> Preflight:
    """Look at everything once: the work of ``segaudit check``.

    Parameters
    ----------
    config : AuditConfig
        As declared.
    callables : mapping of name to callable, optional
        Systems that are Python callables.
    told : callable, optional
        Is told which system is under how many of how many other contracts.
    measured : callable, optional
        Is told on how many of how many cases the axes of groups were measured.

    Raises
    ------
    ConfigError, DataError
        When nothing can be planned: a checkpoint, its contract or the table of cases is unusable. All
        other findings are in the result.
    """
    callables = callables or {}
    known = identities(config, callables)
    cases, checked = require(config)
    looked = completed(
        Looked(config, cases, checked.geometries, known, callables=callables, told=told)
    )
    config = looked.config
    plan = make_plan(config, cases, known)
    networks, closed = ablated_networks(looked)
    examined, problems = examine_systems(looked, without=closed)
    problems += ablation_problems(closed)
    files = {spec.name for spec in config.systems if spec.predictions is not None}
    dry = [
        Dry(it.record.name, it.floor.seconds, it.floor.problem)
        for it in examined
        if it.record.name not in files
    ]
    lacking, unused = look_at_predictions(config, plan, cases, checked.geometries)
    problems += lacking
    problems += tuple(
        f"systems.{it.system}: one dry case failed: {it.problem}"
        for it in dry
        if it.problem
        and not any(told.startswith(f"systems.{it.system}.window.size: ") for told in problems)
    )
    bare, partly = _without_probabilities(config)
    problems += bare
    strata = axis_proposals(config, cases, checked.geometries, told=measured)
    patients = len({case.patient for case in cases})
    records = tuple(it.record for it in examined)
    return Preflight(
        cases=cases,
        plan=plan,
        systems=records,
        dry=tuple(dry),
        estimates=_estimates(config, plan, dry, patients),
        problems=problems,
        warnings=(
            *config.warnings,
            *checked.warnings,
            *too_fine(config, cases, checked),
            *windows_beyond_scans(config, cases, checked.geometries),
            *_unused_margin(config, cases),
            *limits_of_envelope(config, patients),
            *_unattainable_groups(config, patients),
            *_refused(config, cases[0]),
            *(line for record in records for line in _doubts(record, looked)),
            *unused,
            *network_warnings(networks),
            *unlike_other_scans(looked),
            *own_other_scans(looked),
            *(line for line in partly if line not in config.warnings),
        ),
        unattainable=unattainable_claims(config, patients, strata),
        excluded=len(config.cases.excluded),
        strata=strata,
        undecided=undecided(decisions(config)),
        certificates=look_at_certificates(config, plan, patients=patients, seconds=_timed(dry)),
        layers=look_at_layers(config, plan, seconds=_timed(dry)),
    )


def _doubts(record: SystemRecord, looked: Looked) -> Iterator[str]:
    """Say what speaks against a contract, with the line to change."""
    where = f"systems.{record.name}"
    for finding in looked.findings.get(record.name, ()):
        yield f"{where}.{finding}"
    if record.contract.status is ContractStatus.IN_DOUBT:
        yield f"{where}: contract in doubt: {record.contract.note}"
        other = record.contract.sensitivity
        if other is not None and other.line:
            yield f"{where}: if that is right, write {other.line}"


def _without_probabilities(config: AuditConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Look again at what needs probabilities: activations that nobody had declared are known now."""
    problems: list[str] = []
    warnings: list[str] = []
    for spec in config.metrics:
        if METRICS[spec.name].needs_probabilities:
            check_probabilities(spec.name, config.systems, problems, warnings)
    return tuple(problems), tuple(warnings)


def _unused_margin(config: AuditConfig, cases: Sequence[CaseRecord]) -> tuple[str, ...]:
    """Tell when a comparison with raters was declared for cases that have none to compare with."""
    if config.rater_margin is None or any(len(case.raters) > 1 for case in cases):
        return ()
    return ("raters.margin: decides nothing, as no case has two raters",)


def _unattainable_groups(config: AuditConfig, patients: int) -> tuple[str, ...]:
    """Tell which axes ask for more patients in a group than there are: nothing can be inferred there."""
    return tuple(
        f"strata.{spec.axis}.minimum_patients: {spec.minimum_patients} is more than the {patients} "
        "patient(s) of the audit, so that every group is too small to infer from"
        for spec in config.strata
        if spec.minimum_patients > max(patients, _SMALLEST_GROUP)
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


def _timed(dry: Sequence[Dry]) -> dict[str, float]:
    return {it.system: it.seconds for it in dry if not it.problem}


def _estimates(
    config: AuditConfig, plan: AuditPlan, dry: Sequence[Dry], patients: int
) -> Estimates:
    each = sum(unit.evaluations for unit in plan.units)
    timed = _timed(dry)
    further = Counter(extra_passes(config, plan)) + Counter(layer_passes(config, plan))
    planned = sum((each + further[system]) * one for system, one in timed.items())
    return Estimates(
        evaluations=plan.evaluations,
        seconds=planned if timed else None,
        disk_mb=len(plan.keys) * SHARD_KB / 1024,
        free_mb=shutil.disk_usage(config.folder).free / 2**20,
        half_width=half_width(0.10, max(1, patients), level=0.95),
    )
