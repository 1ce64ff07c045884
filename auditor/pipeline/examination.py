"""Every system looked at once before the long work: its contract completed, doubted, and its noise measured.

**Conventions.** First what nobody declared is found by trying (`completed`), because the plan and the
lock need the whole contract; the probe has a child process of its own, with shorter limits. Then each
system is opened once (`examine_systems`) for its golden pairs, for other contracts on three cases, and
for two runs of the first case. What was found is remembered in the folder of the run, so that a resumed
run has the same contract and pays nothing again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from auditor.cases import load_case, read_mask, read_volume
from auditor.config import AuditConfig, with_systems
from auditor.errors import AuditError, ConfigError
from auditor.pipeline.remembered import Remembered
from auditor.plan import system_identity
from auditor.schema import (
    CaseRecord,
    Certainty,
    ContractField,
    ContractStatus,
    Geometry,
    NetworkFacts,
    Sensitivity,
    Status,
    SystemRecord,
    SystemSpec,
    ablation_words,
)
from auditor.systems.completion import Completion, complete, filled, undeclared
from auditor.systems.contract import build_contract, canonical_text
from auditor.systems.fixed_size import declared_otherwise, refused_window
from auditor.systems.golden import GoldenOutcome, Pair, compare_golden, read_golden_table
from auditor.systems.numeric_floor import NOT_RUN, NumericFloor, numeric_floor
from auditor.systems.runners import CallableSystem, RunningInfo
from auditor.systems.running import RunningSystem, System, open_system
from auditor.systems.sensitivity import MARGINS, Witness, contract_sensitivity, unasked
from perturbations import derive_seed

__all__ = ["Examined", "Looked", "completed", "examine_systems", "loaded_pair"]

Callables = Mapping[str, CallableSystem]

_MOST_LOOKED = 30
"""Of so many drawn cases at most the references are looked at for a label."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What systems are examined against."""

    config: AuditConfig
    """With completed contracts, from the plan on."""
    cases: tuple[CaseRecord, ...]
    """All cases."""
    geometries: tuple[Geometry, ...]
    """Of each scan, in the order of the cases."""
    identities: Mapping[str, str]
    """SHA-256 of each checkpoint, or the name of a callable."""
    callables: Callables = field(default_factory=dict)
    """Python callables by the name of their system."""
    remembered: Remembered = field(default_factory=Remembered)
    """What is known already."""
    told: Callable[[str, int, int], None] = lambda _, __, ___: None
    """Is told which system is under how many of how many other contracts."""
    findings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """System -> what speaks against its declared fields."""
    networks: tuple[NetworkFacts, ...] = ()
    """Of every checkpoint of which a system is ablated."""


@dataclass(frozen=True, slots=True)
class Examined:
    """One system, as it was found."""

    record: SystemRecord
    """For the results; without the counts of statuses, which come later."""
    floor: NumericFloor
    """Two runs of the first case."""
    peak_mb: float | None = None
    """Largest resident memory of its process up to then, MB; None: it has none of its own, or its device
    is no CPU."""


def completed(looked: Looked) -> Looked:
    """Fill in what nobody declared.

    Parameters
    ----------
    looked : Looked
        With the contracts as declared.

    Returns
    -------
    Looked
        With the completed contracts, and the findings.

    Raises
    ------
    ConfigError
        What must be declared, and declared fields with which nothing is accepted: all of them at once.
    """
    specs, problems = [], []
    findings: dict[str, tuple[str, ...]] = {}
    for spec in looked.config.systems:
        where = f"systems.{spec.name}"
        if spec.name in looked.callables or not undeclared(spec):
            specs.append(spec)
            continue
        try:
            found = _completion(looked, spec)
        except AuditError as error:
            problems.append(f"{where}: {error}")
            continue
        problems += [f"{where}.{problem}" for problem in found.problems]
        findings[spec.name] = found.findings
        specs.append(filled(spec, found.fields))
    if problems:
        msg = "these systems cannot be run as they are declared:"
        raise ConfigError(msg, problems)
    return replace(looked, config=with_systems(looked.config, tuple(specs)), findings=findings)


def examine_systems(
    looked: Looked, *, without: Collection[str] = ()
) -> tuple[tuple[Examined, ...], tuple[str, ...]]:
    """Open every system once: golden pairs, other contracts, two runs of the first case.

    Parameters
    ----------
    looked : Looked
        With completed contracts.
    without : collection of str
        Systems that are known not to run.

    Returns
    -------
    examined : tuple of Examined
        In the order of the configuration.
    problems : tuple of str
        Systems that do not open.
    """
    examined: list[Examined] = []
    problems = []
    witnesses: list[Witness] | None = None
    for spec in looked.config.systems:
        if spec.name in without:
            continue
        try:
            pairs = _golden_pairs(spec) if spec.golden else []
            with open_system(spec, callable=looked.callables.get(spec.name)) as running:
                unfit = declared_otherwise(spec, running.info.input_shape)
                if unfit:
                    problems.append(f"systems.{spec.name}.{unfit}")
                    continue
                outcome = GoldenOutcome(0, None, ContractStatus.DECLARED_ONLY, "")
                if pairs:
                    outcome = compare_golden(running, pairs)
                floor = _floor_of(looked, running)
                peak = _peak_mb(running)
                # a command shows only when it runs what it answers with; other contracts are tried once
                # for a folder, so what they show cannot be told again
                info = running.info
                sensitivity = None
                if outcome.status is ContractStatus.DECLARED_ONLY:
                    if witnesses is None:
                        witnesses = _witnesses(looked)
                    sensitivity = _sensitivity(looked, running, witnesses)
                found = _examined(looked, spec, info, outcome, floor, sensitivity)
                examined.append(replace(found, peak_mb=peak))
        except AuditError as error:
            said = str(error).removeprefix(f"the checkpoint of system {spec.name!r} ")
            problems.append(f"systems.{spec.name}: {said}")
    return tuple(examined), (*problems, *_refused_windows(looked.config.systems, examined))


def _refused_windows(specs: Sequence[SystemSpec], examined: Sequence[Examined]) -> tuple[str, ...]:
    """Say of every refused window of a checkpoint which other window the same checkpoint takes."""
    windows = {it.name: it.window for it in specs if it.window is not None}
    by_name = {it.name: it for it in specs}
    told = []
    for it in examined:
        name, reason = it.record.name, it.floor.problem
        if name not in windows or not reason.startswith(f"{Status.REJECTED.value}: "):
            continue
        taken = next(
            (
                other.record.name
                for other in examined
                if other.record.name in windows
                and other.record.sha256 == it.record.sha256 != ""
                and not other.floor.problem
                and windows[other.record.name].size != windows[name].size
            ),
            None,
        )
        if taken is not None:
            why = reason.removeprefix(f"{Status.REJECTED.value}: ")
            by = f"systems.{taken} runs with it"
            told.append(
                f"systems.{name}.{refused_window(by_name[name], windows[taken].size, by, why)}"
            )
    return tuple(told)


def _completion(looked: Looked, spec: SystemSpec) -> Completion:
    question = {
        "question": "completion of the contract",
        "system": system_identity(spec, looked.identities[spec.name]),
        "sources": [list(it) for it in spec.sources],
        "scans": sorted({(it.shape, it.spacing, it.direction) for it in looked.geometries}),
    }
    known = looked.remembered.get(question)
    if known is not None:
        try:
            found = Completion(
                tuple(ContractField(n, v, Certainty.PROBED) for n, v in known["fields"]),
                tuple(str(it) for it in known["findings"]),
            )
            filled(spec, found.fields)
        except (KeyError, TypeError, ValueError):
            pass  # not as it was written: tried again
        else:
            return found
    found = complete(spec, looked.geometries)
    if not found.problems:
        answer = {"fields": [[it.name, it.value] for it in found.fields]}
        looked.remembered.put(question, {**answer, "findings": list(found.findings)})
    return found


def _witnesses(looked: Looked) -> list[Witness]:
    """Draw up to three cases whose references hold a declared label, of different patients first."""
    config = looked.config
    order = np.random.default_rng(derive_seed(config.seed, "", "contract sensitivity", 0))
    drawn = [looked.cases[i] for i in order.permutation(len(looked.cases))]
    seen: set[str] = set()
    first = [case for case in drawn if not (case.patient in seen or seen.add(case.patient))]  # type: ignore[func-returns-value]  # add says nothing
    rest = [case for case in drawn if case not in first]
    found: list[Witness] = []
    for case in (*first, *rest)[:_MOST_LOOKED]:
        load = partial(loaded_pair, config, case)
        reference = load()[2]
        if any(bool((reference == number).any()) for _, number in config.labels):
            found.append(Witness(case.case, load))
        if len(found) == max(MARGINS):
            break
    return found


def loaded_pair(config: AuditConfig, case: CaseRecord) -> Pair:
    """Load a case as a golden pair is: image, geometry, labels of the reference.

    Raises
    ------
    DataError
        When a file cannot be read.
    """
    loaded = load_case(
        case,
        modality=config.cases.modality,
        state=config.cases.state,
        labels=config.labels,
        reference_rule=config.cases.reference,
    )
    return loaded.scan.image, loaded.geometry, loaded.references["reference"]


def _sensitivity(looked: Looked, running: System, witnesses: Sequence[Witness]) -> Sensitivity:
    spec = running.spec
    if spec.ablation is not None:
        return unasked("an ablated network is no answer of its maker")
    if not spec.contract_sensitivity:
        return unasked("contract_sensitivity is false in the configuration")
    if spec.predictions is not None:
        return unasked("its predictions were made elsewhere")
    digests = {case.case: case.digests for case in looked.cases}
    question: dict[str, Any] = {
        "question": "contract sensitivity",
        "system": system_identity(spec, looked.identities[spec.name]),
        "cases": [list(digests[it.case]) for it in witnesses],
        "modality": looked.config.cases.modality,
        "state": looked.config.cases.state,
        "reference": asdict(looked.config.cases.reference),
    }
    known = looked.remembered.get(question)
    if isinstance(known, dict) and known.keys() == set(Sensitivity.__dataclass_fields__):
        return Sensitivity(**known)
    found = contract_sensitivity(running, witnesses, told=partial(looked.told, spec.name))
    looked.remembered.put(question, asdict(found))
    return found


def _golden_pairs(spec: SystemSpec) -> list[Pair]:
    """Load the golden pairs of a system: image, geometry, the maker's labels."""
    pairs = []
    for images, prediction in read_golden_table(Path(str(spec.golden))):
        image, geometry = read_volume(tuple(str(path) for path in images))
        labels, _ = read_mask(str(prediction))
        pairs.append((image, geometry, labels))
    return pairs


def _floor_of(looked: Looked, running: System) -> NumericFloor:
    if running.spec.predictions is not None:
        return NOT_RUN
    image, geometry, _ = loaded_pair(looked.config, looked.cases[0])
    return numeric_floor(running, image, geometry, case=looked.cases[0].case)


def _peak_mb(running: System) -> float | None:
    """Read the memory before other contracts are tried, which are not what an audit runs."""
    if not isinstance(running, RunningSystem) or running.spec.device != "cpu":
        return None
    return running.peak_mb


def _examined(
    looked: Looked,
    spec: SystemSpec,
    info: RunningInfo,
    outcome: GoldenOutcome,
    floor: NumericFloor,
    sensitivity: Sensitivity | None,
) -> Examined:
    status, note = outcome.status, outcome.note
    if sensitivity is not None and sensitivity.better:
        status, note = ContractStatus.IN_DOUBT, sensitivity.note
    record = SystemRecord(
        name=spec.name,
        family=spec.family,
        training_seed=spec.training_seed,
        format=info.format,
        sha256=info.sha256,
        size_bytes=info.size_bytes,
        contract=build_contract(spec, status=status, note=note, sensitivity=sensitivity),
        golden_pairs=outcome.pairs,
        golden_agreement=outcome.agreement,
        claimed=spec.claimed,
        claimed_source=spec.claimed_source,
        sandbox=tuple(info.sandbox),
        statuses=(),
        findings=(
            *_ablated(spec),
            *info.findings,
            *looked.findings.get(spec.name, ()),
            *floor.findings,
        ),
        settings=_settings(spec),
        training=spec.training,
        architecture_group=spec.architecture_group,
        ablation=None if spec.ablation is None else replace(spec.ablation, images=()),
    )
    return Examined(record, floor)


def _ablated(spec: SystemSpec) -> tuple[str, ...]:
    if spec.ablation is None:
        return ()
    return (f"ablated: {ablation_words(spec.ablation)}; that explains the network, nobody uses it",)


def _settings(spec: SystemSpec) -> tuple[tuple[str, str], ...]:
    """List what is set beside the contract, as it is written in the configuration.

    Nothing of it reaches predictions that were made elsewhere, and a command only what it asks for.
    """
    names: tuple[str, ...] = ("batch", "device", "flips", "precision", "threads")
    if spec.predictions:
        names = ()
    elif spec.command:
        names = tuple(it for it in names if any(f"{{{it}}}" in word for word in spec.command))
    return tuple((name, canonical_text(getattr(spec, name))) for name in names)
