"""A screen: a first look at an unknown checkpoint, within a time limit.

**Conventions.** At most so many patients are drawn by the seed, one case of each. Their names are written
before anything is looked at, so that a confirmatory audit can leave them out. The units run in an order
that is fair at any moment (`auditor.plan.balanced`); what is stored when the time is over, or when
somebody interrupts, is what the page shows. The same command goes on where it stopped.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from auditor.analysis.screening import Screened, clean_failures, screened
from auditor.cases import Checked, check_cases, read_manifest
from auditor.config import AuditConfig, digest
from auditor.errors import CheckpointError, ConfigError, DataError, IntegrityError, NothingEvaluated
from auditor.execution.job import Job
from auditor.execution.local import Progress, run_local
from auditor.execution.pace import Ended, Pace, Timing, representative, whole_s
from auditor.execution.store import has_shard, read_rows, write_bytes
from auditor.metrics.catalog import metric_info
from auditor.pipeline.examination import Looked, examine_systems
from auditor.pipeline.folder import lock_run, manifest_digest, tool_version, write_manifest
from auditor.pipeline.given_cases import label_numbers, source_of
from auditor.pipeline.identities import identities
from auditor.pipeline.preflight import SHARD_KB
from auditor.pipeline.remembered import Remembered
from auditor.pipeline.screen_contract import (
    METRICS,
    Configured,
    Wanted,
    configured,
    screen_name,
)
from auditor.pipeline.screen_draft import DRAWN, DraftFacts, draft_text
from auditor.plan import balanced, make_plan
from auditor.schema import CLEAN, CaseRecord, Geometry, SystemRecord, encode
from auditor.schema.screen import SCREEN_VERSION, AuditCost, Screen
from perturbations import CATALOG, derive_seed

__all__ = ["Screening", "draw", "screen"]

_TIMINGS = "timings.json"
"""What the units took, for the same command when it goes on."""


@dataclass(frozen=True, slots=True)
class Screening:
    """What a screen left behind."""

    folder: Path
    """With screen.json, drawn_patients.csv and audit.yaml."""
    screen: Screen
    """The content of screen.json."""
    kept: bool
    """True: audit.yaml was changed by somebody since it was drafted, and stays as it is."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Everything before the first unit."""

    wanted: Wanted
    found: Configured
    everybody: tuple[CaseRecord, ...]
    drawn: tuple[CaseRecord, ...]
    geometry: Geometry
    """Of the first drawn scan."""
    record: SystemRecord
    job: Job

    @property
    def run(self) -> Path:
        """Folder of the screen."""
        return self.job.run

    def draft_facts(self, ranked: Screened) -> DraftFacts:
        """Collect what the drafted audit is written from."""
        return DraftFacts(
            config=self.found.whole,
            preset=self.found.preset,
            checkpoint=self.wanted.checkpoint,
            contract=self.wanted.contract,
            data=self.wanted.data,
            settings=self.wanted.settings,
            drawn=len(self.drawn),
            patients=len({case.patient for case in self.everybody}),
            contract_found=self.record.contract,
            ranked=ranked.vulnerabilities,
        )


def draw(cases: Sequence[CaseRecord], *, seed: int, patients: int) -> tuple[CaseRecord, ...]:
    """Draw patients, and one case of each.

    Parameters
    ----------
    cases : sequence of CaseRecord
        All of them.
    seed : int
        Another seed draws others; fewer patients of a seed are among the more of it.
    patients : int
        At most.

    Returns
    -------
    tuple of CaseRecord
        In the order of the cases.
    """
    of_patient: dict[str, list[CaseRecord]] = {}
    for case in sorted(cases, key=lambda case: (case.patient, case.case)):
        of_patient.setdefault(case.patient, []).append(case)
    names = list(of_patient)
    order = np.random.default_rng(derive_seed(seed, "", "screened patients", 0))
    picked = [names[i] for i in order.permutation(len(names))[:patients]]
    chosen = set()
    for name in picked:
        among = of_patient[name]
        own = np.random.default_rng(derive_seed(seed, name, "screened case", 0))
        chosen.add(among[int(own.integers(len(among)))].case)
    return tuple(case for case in cases if case.case in chosen)


def screen(
    wanted: Wanted,
    *,
    limit_s: float,
    patients: int = 10,
    out: Path | None = None,
    workers: int = 1,
    progress: Callable[[Progress], None] = lambda _: None,
    told: Callable[[str], None] = lambda _: None,
) -> Screening:
    """Take a first look at a checkpoint, or go on with one.

    Parameters
    ----------
    wanted : Wanted
        Checkpoint, data, and what is known of them.
    limit_s : float
        From now: the look at the contract counts.
    patients : int
        At most.
    out : Path, optional
        Folder; ``audit-runs/<system>-screen`` by default.
    workers : int
        Worker processes.
    progress : callable
        Called after every unit.
    told : callable
        Called with sentences that are worth printing.

    Returns
    -------
    Screening

    Raises
    ------
    ConfigError, DataError, CheckpointError
        What must be declared, all at once; cases or a checkpoint that cannot be used.
    IntegrityError
        When the folder holds something else.
    NothingEvaluated
        When not even one scan was evaluated within the limit.
    """
    pace = Pace(limit_s)
    ready = _prepared(wanted, patients=patients, out=out, told=told)
    pace.remember(_timings(ready.run))
    ended = _executed(ready.job, workers=workers, pace=pace, progress=progress)
    timings = json.dumps([asdict(it) for it in pace.measured], indent=1)
    write_bytes(ready.run / _TIMINGS, timings.encode())
    return _concluded(ready, ended, pace, limit_s)


def _prepared(
    wanted: Wanted, *, patients: int, out: Path | None, told: Callable[[str], None]
) -> _Prepared:
    """Draw, configure, check, freeze, and look at the contract."""
    everybody = read_manifest(source_of(wanted.data))
    drawn = draw(everybody, seed=wanted.seed, patients=patients)
    numbers = label_numbers(drawn)
    run = out if out is not None else Path("audit-runs") / screen_name(wanted.checkpoint)
    remembered = Remembered(run)
    found = configured(wanted, everybody, drawn, numbers, remembered)
    config = found.config
    known = identities(config, {})
    checked = _checked(config, drawn, numbers, told)
    _lock(run, config, drawn, known)
    remembered.keep_in(run)
    write_manifest(run, drawn)
    write_bytes(run / DRAWN, _names(drawn))
    total = len({case.patient for case in everybody})
    told(
        f"drew {len(drawn)} of {total} patients by seed {wanted.seed}, named in {run.name}/{DRAWN}"
    )
    for sentence in found.said:
        told(sentence)
    return _Prepared(
        wanted=wanted,
        found=found,
        everybody=everybody,
        drawn=drawn,
        geometry=checked.geometries[0],
        record=_examined(
            Looked(
                config,
                drawn,
                checked.geometries,
                known,
                remembered=remembered,
                findings=found.findings,
            )
        ),
        job=Job(run, config, drawn, balanced(make_plan(config, drawn, known)), known),
    )


def _checked(
    config: AuditConfig,
    drawn: Sequence[CaseRecord],
    numbers: Sequence[int],
    told: Callable[[str], None],
) -> Checked:
    """Check the files of the drawn cases; a label that none of them holds is said, and stops nothing."""
    present = tuple(it for it in config.labels if it[1] in numbers)
    checked = check_cases(drawn, config.cases, labels=present or config.labels)
    if checked.problems:
        msg = f"{len(checked.problems)} problem(s) with the drawn cases:"
        raise DataError(msg, checked.problems)
    for name, number in config.labels:
        if number not in numbers:
            told(f"label {name} ({number}) occurs in no drawn reference: nothing is seen of it")
    for warning in checked.warnings:
        # counts of the drawn cases would read like counts of the data
        if not warning.startswith("cases: recognised"):
            told(warning)
    return checked


def _lock(
    run: Path, config: AuditConfig, drawn: Sequence[CaseRecord], known: Mapping[str, str]
) -> None:
    try:
        lock_run(run, config, drawn, known)
    except IntegrityError as error:
        told = str(error).partition(". Use another folder")[0]
        msg = f"{told}. A screen goes on with the very same options; give another folder with -o"
        raise IntegrityError(msg) from error


def _names(drawn: Sequence[CaseRecord]) -> bytes:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(("patient", "case", "display_patient", "display_case"))
    writer.writerows(
        (case.patient, case.case, case.display_patient, case.display_case) for case in drawn
    )
    return sink.getvalue().encode()


def _examined(looked: Looked) -> SystemRecord:
    examined, problems = examine_systems(looked)
    if problems:
        msg = "this system cannot be run:"
        raise ConfigError(msg, problems)
    return examined[0].record


def _timings(run: Path) -> tuple[Timing, ...]:
    """Read what units took before; a file that was damaged counts as none."""
    try:
        stored = json.loads((run / _TIMINGS).read_text(encoding="utf-8"))
        return tuple(Timing(**it) for it in stored)
    except (OSError, ValueError, TypeError):
        return ()


def _executed(job: Job, *, workers: int, pace: Pace, progress: Callable[[Progress], None]) -> Ended:
    """Run what the time allows; stop at once when no clean scan could be evaluated."""
    clean = [unit for unit in job.plan.units if unit.perturbation.name == CLEAN]
    keys = [key for unit in clean for _, key in unit.shards]
    seen = False

    def watched(done: Progress) -> None:
        nonlocal seen
        progress(done)
        if not seen and all(has_shard(job.run, key) for key in keys):
            seen = True
            _require_clean(job, keys)

    if all(has_shard(job.run, key) for key in keys):
        _require_clean(job, keys)
    try:
        return run_local(job, workers=workers, report=watched, until=pace)
    except KeyboardInterrupt:
        return Ended.INTERRUPTED


def _require_clean(job: Job, keys: Sequence[str]) -> None:
    told = clean_failures(read_rows(job.run, keys), [case.case for case in job.cases])
    if told:
        msg = (
            f"the system failed on every one of the {len(job.cases)} drawn clean scans, so there is nothing "
            f"to compare with: {'; '.join(told[:3])}"
        )
        raise CheckpointError(msg)


def _concluded(ready: _Prepared, ended: Ended, pace: Pace, limit_s: float) -> Screening:
    """Read what is stored, rank it, and write screen.json and the draft."""
    config, run, plan = ready.job.config, ready.run, ready.job.plan
    spent = pace.spent_s
    found = screened(
        read_rows(run, plan.keys),
        cases=ready.drawn,
        labels=[label.name for label in config.scored],
        perturbations=config.perturbations,
        families={name: entry.family for name, entry in CATALOG.items()},
        distance=METRICS[1],
        seed=config.seed,
    )
    if not found.done:
        why = "it was interrupted" if ended is Ended.INTERRUPTED else "the time was too short"
        msg = (
            f"no scan was evaluated, {why}: {spent:.0f} s went into the look at the system and its first "
            f"scan, the limit is {limit_s:.0f} s; run the same command again with more time (-t)"
        )
        raise NothingEvaluated(msg)
    total = len({case.patient for case in ready.everybody})
    text = draft_text(ready.draft_facts(found), run)
    drafted, kept = _keep_draft(run, text)
    unit, ndim = ready.geometry.unit, len(ready.geometry.shape)
    result = Screen(
        version=SCREEN_VERSION,
        tool=f"segaudit {tool_version()}",
        name=config.name,
        stamp="EXPLORATORY",
        modality=config.cases.modality,
        state=config.cases.state,
        seed=config.seed,
        preset=ready.found.preset,
        reference_rule=config.cases.reference.use,
        length_unit=unit,
        system=ready.record,
        labels=tuple(label.name for label in config.scored),
        metrics=tuple(metric_info(spec, unit, ndim=ndim) for spec in config.metrics),
        patients=total,
        drawn=found.drawn,
        vulnerabilities=found.vulnerabilities,
        planned=plan.evaluations,
        done=found.done,
        statuses=found.statuses,
        ended=ended.value,
        limit_s=limit_s,
        spent_s=round(spent, 1),
        cost=_cost(ready, pace.measured),
        said=ready.found.said,
        config_digest=digest(config),
        plan_digest=plan.digest,
        manifest_digest=manifest_digest(ready.drawn),
        draft_sha256=drafted,
        remaining=total - len(ready.drawn),
    )
    write_bytes(run / "screen.json", encode(result).encode())
    return Screening(run, result, kept=kept)


def _cost(ready: _Prepared, measured: Sequence[Timing]) -> AuditCost:
    """Tell what the drafted audit takes; of all patients, where none would be left otherwise."""
    drawn = {case.patient for case in ready.drawn}
    others = [case for case in ready.everybody if case.patient not in drawn]
    cases = others or list(ready.everybody)
    each = [(CLEAN, 1)]
    each += [(it.name, len(it.severities)) for it in ready.found.whole.perturbations]
    one = whole_s(each, measured)
    shards = 2 * len(each) * len(cases)
    return AuditCost(
        patients=len({case.patient for case in cases}),
        cases=len(cases),
        evaluations=sum(n for _, n in each) * len(cases),
        seconds=None if one is None else round(one * len(cases), 1),
        measured_units=len(representative(measured)),
        disk_mb=round(shards * SHARD_KB / 1024, 1),
        free_mb=round(shutil.disk_usage(ready.run).free / 2**20, 1),
    )


def _keep_draft(run: Path, text: str) -> tuple[str, bool]:
    """Write the draft, unless somebody changed the one that lies there.

    Returns
    -------
    digest : str
        SHA-256 of what was drafted last.
    kept : bool
        True when the file was changed, and stays.
    """
    path = run / "audit.yaml"
    try:
        before = str(json.loads((run / "screen.json").read_text(encoding="utf-8"))["draft_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        before = ""
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() != before:
        return before, True
    write_bytes(path, text.encode())
    return hashlib.sha256(text.encode()).hexdigest(), False
