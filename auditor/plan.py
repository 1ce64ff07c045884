"""The plan: every unit of an audit, listed before any system is called.

A plan is a value. Seeds, resume, progress, sharding and "what was tested" are read from it. It
imports neither torch nor a reader of images, so that a supervisor that only hands out work stays
small.

**Identity.** A unit is one case under one perturbation (or `clean`), all its severities. Each unit
is stored once per system; the key of that shard is the SHA-256 of everything that its numbers
depend on: the files of the case, the perturbation with its levels and seed, the checkpoint with its
contract, batch and threads, the labels and the metrics. Two audits that share a key share the
numbers, and a changed input can never be taken for the old one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from auditor.config import AuditConfig
from auditor.config.certificates import calibrated_by, certificate_seed, mild_copies
from auditor.schema import (
    CLEAN,
    CONTROLS,
    SHARD_VERSION,
    CaseRecord,
    PerturbationSpec,
    SystemSpec,
)
from auditor.strata.window_rules import property_names, window_rules
from perturbations import derive_seed

__all__ = [
    "AuditPlan",
    "Unit",
    "balanced",
    "digest_of",
    "make_plan",
    "preview",
    "scan_name",
    "shard_of",
    "system_identity",
]


@dataclass(frozen=True, slots=True)
class Unit:
    """One case under one perturbation, all severities: the piece of work."""

    index: int
    """Position in the plan."""
    case: str
    """Name of the case."""
    other: str
    """Name of a case of another patient, whose mask is a control; empty when there is none."""
    perturbation: PerturbationSpec
    """What is done to the scan; ``clean`` has no severities."""
    replicate: int
    """Which independent draw."""
    seed: int
    """Of the draw; depends on audit, case, perturbation and replicate alone."""
    shards: tuple[tuple[str, str], ...]
    """(system or ``controls``, key of its shard)."""
    drawn: str = ""
    """Digest of everything that the voxels of its scans depend on, their levels apart."""

    @property
    def evaluations(self) -> int:
        """Number of predictions that each system makes for this unit."""
        return max(1, len(self.perturbation.severities))


@dataclass(frozen=True, slots=True)
class AuditPlan:
    """All units in the order in which they are done, and the digest of the whole."""

    units: tuple[Unit, ...]
    systems: tuple[str, ...]
    """Names of the audited systems, in the order of the configuration."""
    digest: str
    """SHA-256 over the keys of all shards."""
    preview: bool = False
    """True when the plan was cut by `preview`: no verdicts."""

    @property
    def evaluations(self) -> int:
        """Planned evaluations of the audited systems, controls apart."""
        return sum(unit.evaluations for unit in self.units) * len(self.systems)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of all planned shards."""
        return tuple(key for unit in self.units for _, key in unit.shards)


def digest_of(value: object) -> str:
    """SHA-256 of the canonical JSON of a value, as hexadecimal text."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def system_identity(spec: SystemSpec, sha256: str) -> str:
    """Digest of everything about a system that its predictions depend on.

    The name, the family, the claims and the limits of the child process are left out: renaming a
    system or allowing it more time changes no prediction.
    """
    known = asdict(spec)
    for unrelated in (
        "name", "checkpoint", "predictions", "sources", "golden", "golden_agree_at_least",
        "contract_sensitivity", "claimed", "claimed_source", "family", "training_seed", "training",
        "architecture_group",
        "timeout_s", "memory_gb",
        "command", "runs_in", "files", "version",  # the SHA-256 of a command covers them
    ):  # fmt: skip
        known.pop(unrelated)
    if spec.ablation is None:
        known.pop("ablation")
    else:
        known["ablation"].pop("images")  # their SHA-256 stands beside them
    return digest_of({"sha256": sha256, **known})


def shard_of(unit: Unit, system: str) -> str:
    """Key of the shard of one system in one unit.

    Raises
    ------
    KeyError
        When the unit plans nothing for the system.
    """
    return dict(unit.shards)[system]


def scan_name(unit: Unit, severity: float) -> str:
    """Name a scan of the plan as a file, without an ending.

    Parameters
    ----------
    unit : Unit
        To which it belongs.
    severity : float
        One of the unit's; 0 for `clean`.

    Returns
    -------
    str
        ``scan_`` and 16 hexadecimal digits: 64 bits of a SHA-256. It names neither case nor condition,
        and other voxels have another name.
    """
    levels = dict(zip(unit.perturbation.severities, unit.perturbation.levels, strict=True))
    return f"scan_{digest_of([unit.drawn, levels.get(severity)])[:16]}"


def make_plan(
    config: AuditConfig, cases: Sequence[CaseRecord], identities: Mapping[str, str]
) -> AuditPlan:
    """List every unit of an audit.

    Parameters
    ----------
    config : AuditConfig
        The resolved configuration.
    cases : sequence of CaseRecord
        With the digests of their files.
    identities : mapping of str to str
        SHA-256 of the checkpoint (or of the source of a callable) of each system.

    Returns
    -------
    AuditPlan
        Units ordered by case, `clean` first.
    """
    known = {spec.name: system_identity(spec, identities[spec.name]) for spec in config.systems}
    scored = digest_of(
        {
            "version": SHARD_VERSION,
            "labels": [(label.name, label.numbers) for label in config.scored],
            # what is reported of a number changes no number
            "metrics": [{**asdict(metric), "within": None} for metric in config.metrics],
            "modality": config.cases.modality,
            "state": config.cases.state,
            "reference": asdict(config.cases.reference),
        }
    )
    clean = PerturbationSpec(CLEAN, (), (), "")
    # stored with the controls of the clean scan, once for all systems
    properties = property_names(window_rules(config.systems, config.strata))
    units: list[Unit] = []
    for case in cases:
        other = _other_patient(case, cases)
        for perturbation in (clean, *config.perturbations):
            for replicate in range(perturbation.replicates):
                seed = derive_seed(config.seed, case.case, perturbation.name, replicate)
                what = {
                    "scored": scored,
                    "case": case.digests,
                    **_thickness(case),
                    "perturbation": asdict(perturbation),
                    "seed": seed,
                }
                beside: dict[str, object] = {"other": other.digests if other else None}
                if perturbation.name == CLEAN:
                    beside["properties"] = properties
                controls = digest_of({**what, **beside})
                shards = (
                    (CONTROLS, controls),
                    *(
                        (
                            name,
                            digest_of(
                                {
                                    **what,
                                    "system": known[name],
                                    **_calibrated(config, name, perturbation.name),
                                    **_layered(config, name, perturbation.name, other),
                                }
                            ),
                        )
                        for name in known
                    ),
                )
                units.append(
                    Unit(
                        index=len(units),
                        case=case.case,
                        other=other.case if other else "",
                        perturbation=perturbation,
                        replicate=replicate,
                        seed=seed,
                        shards=shards,
                        drawn=_drawn(config, case, perturbation, seed),
                    )
                )
    names = tuple(spec.name for spec in config.systems)
    return _with_digest(AuditPlan(tuple(units), names, ""))


def _calibrated(config: AuditConfig, system: str, perturbation: str) -> dict[str, object]:
    """Return what the calibration rows of a system depend on beside everything else; nothing without any."""
    specs = calibrated_by(config.certificates, system, perturbation)
    if not specs:
        return {}
    shares = [[it.label, it.outer_share, it.inner_share] for it in specs]
    if perturbation == CLEAN:  # its copies are units of the plan
        return {"certificate": shares}
    copies = [
        [it.label, *(asdict(copy) for copy in mild_copies(config.perturbations, it.copies))]
        for it in specs
    ]
    return {"certificate": [shares, copies, certificate_seed(config.seed)]}


def _layered(
    config: AuditConfig, system: str, perturbation: str, other: CaseRecord | None
) -> dict[str, object]:
    """Return what the rows of layers depend on beside everything else; nothing without any."""
    spec = config.layers
    if spec is None or system not in spec.systems:
        return {}
    beside = (other.digests if other else None,) if perturbation == CLEAN else ()
    return {"layers": [spec.bins, *beside]}


def _thickness(case: CaseRecord) -> dict[str, float]:
    """Return the slice thickness where it is known: perturbations of slices depend on it."""
    known = case.slice_thickness_mm
    return {} if known is None else {"slice_thickness_mm": known}


def _drawn(config: AuditConfig, case: CaseRecord, perturbation: PerturbationSpec, seed: int) -> str:
    images = [digest for role, digest in case.digests if role.startswith("image")]
    if perturbation.name == CLEAN:
        return digest_of([SHARD_VERSION, images])
    # a perturbation may look at the region of the reference; levels of equal effect are solved one
    # after the other, all others are independent of each other
    known = asdict(perturbation)
    for independent in (
        "severities",
        "replicates",
        *(() if perturbation.iso_effect else ("levels",)),
    ):
        known.pop(independent)
    return digest_of(
        {
            "version": SHARD_VERSION,
            "case": case.digests,
            **_thickness(case),
            "labels": config.labels,
            "modality": config.cases.modality,
            "state": config.cases.state,
            "reference": asdict(config.cases.reference),
            "perturbation": known,
            "seed": seed,
        }
    )


def preview(plan: AuditPlan, cases: int) -> AuditPlan:
    """Keep the units of the first `cases` cases only; such an audit has no verdicts."""
    kept = list(dict.fromkeys(unit.case for unit in plan.units))[:cases]
    units = [unit for unit in plan.units if unit.case in kept]
    numbered = tuple(replace(unit, index=index) for index, unit in enumerate(units))
    return _with_digest(replace(plan, units=numbered, preview=True))


def balanced(plan: AuditPlan) -> AuditPlan:
    """Order the units of a plan so that it may be stopped at any moment and still be fair.

    The clean scans come first. Then come rounds: in each one every perturbation has its turn once, each
    time on the next case, so that in the end every perturbation has met every case. With K
    perturbations and P cases, g = gcd(K, P), turn i of round r is about case
    (i + r K + floor(r g / P)) mod P: the cases are taken in a circle, which is shifted by one whenever
    it would meet the same pairs again.

    Scans and controls are measured in the first round only, which tells what they cost: they say
    nothing of how a system changes.

    Parameters
    ----------
    plan : AuditPlan
        Of cases that all have the same perturbations.

    Returns
    -------
    AuditPlan
        The same units, numbered anew. After any number of them the cases met by two perturbations
        differ by at most one in number, and so do the perturbations met by two cases.
    """
    grid: dict[str, list[Unit]] = {}
    for unit in plan.units:
        grid.setdefault(unit.case, []).append(unit)
    cases = list(grid.values())
    clean = [units[0] for units in cases]
    turns = len(cases[0]) - 1 if cases else 0
    period = len(cases) // math.gcd(turns, len(cases)) if turns else 1
    ordered = [
        cases[(turn + round_ * turns + round_ // period) % len(cases)][1 + turn]
        for round_ in range(len(cases))
        for turn in range(turns)
    ]
    measured = len(clean) + turns
    units = tuple(
        replace(unit, index=index, shards=unit.shards if index < measured else _systems_of(unit))
        for index, unit in enumerate([*clean, *ordered])
    )
    return _with_digest(replace(plan, units=units))


def _systems_of(unit: Unit) -> tuple[tuple[str, str], ...]:
    return tuple((name, key) for name, key in unit.shards if name != CONTROLS)


def _with_digest(plan: AuditPlan) -> AuditPlan:
    return replace(plan, digest=digest_of([plan.preview, *plan.keys]))


def _other_patient(case: CaseRecord, cases: Sequence[CaseRecord]) -> CaseRecord | None:
    """Return the next case, in order and around the end, that is another patient's."""
    start = next(i for i, candidate in enumerate(cases) if candidate.case == case.case)
    for step in range(1, len(cases)):
        candidate = cases[(start + step) % len(cases)]
        if candidate.patient != case.patient:
            return candidate
    return None
