"""The resolved configuration: what every later step reads."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from auditor.schema import (
    CertificateSpec,
    CriterionSpec,
    LayerSpec,
    MetricSpec,
    PerturbationSpec,
    ReferenceRule,
    ScoredLabel,
    StratumSpec,
    SystemSpec,
)
from auditor.systems.command_line import shown_command

__all__ = ["AuditConfig", "CasesConfig", "Keep", "canonical", "digest", "with_systems"]

Modality = Literal["ct", "mr", "us", "xray", "microscopy", "other"]
State = Literal["raw", "windowed", "normalised", "skull_stripped"]


@dataclass(frozen=True, slots=True)
class CasesConfig:
    """Where the cases are, and what is known of all of them."""

    modality: Modality
    """Decides units, levels and which perturbations are physical."""
    state: State = "raw"
    """What was done to the scans before."""
    table: Path | None = None
    """CSV table of cases ..."""
    folder: Path | None = None
    """... or a folder in a layout that is recognised ..."""
    images: Path | None = None
    """... or the folder of the images, with `references`."""
    references: Path | None = None
    """Folder of the references, with file names as in `images`."""
    reference: ReferenceRule = field(default_factory=ReferenceRule)
    """Which mask counts."""
    exclude: Path | None = None
    """CSV table of the patients that are left out."""
    excluded: tuple[str, ...] = ()
    """The user's names of them, sorted; in the canonical form only their number and digest."""

    @property
    def excluded_digest(self) -> str:
        """SHA-256 of the names that are left out; empty when there are none."""
        names = "\n".join(self.excluded)
        return hashlib.sha256(names.encode()).hexdigest() if self.excluded else ""


@dataclass(frozen=True, slots=True)
class Keep:
    """What a run leaves behind beside its numbers."""

    predictions: bool = False
    """Store every predicted mask, under ``predictions/``."""
    exhibits: int = 12
    """Evaluations of which pictures are shown, at most 12."""


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """One audit, completely declared."""

    name: str
    """Of the audit; also of its folder."""
    seed: int
    """From which every draw of the audit is derived."""
    purpose: Literal["confirmatory", "exploratory"]
    """confirmatory: with criteria that were frozen before the first result."""
    folder: Path
    """Folder of the file; paths in it are relative to this."""
    cases: CasesConfig
    """The cases."""
    systems: tuple[SystemSpec, ...]
    """In the order of the file."""
    labels: tuple[tuple[str, int], ...]
    """(name, number in the references) of every audited label."""
    perturbations: tuple[PerturbationSpec, ...]
    """With severities and levels."""
    metrics: tuple[MetricSpec, ...]
    """With their parameters."""
    strata: tuple[StratumSpec, ...]
    """Axes of groups."""
    criteria: tuple[CriterionSpec, ...]
    """Claims with thresholds."""
    criteria_level: float = 0.95
    """One-sided confidence level of verdicts."""
    interval_level: float = 0.95
    """Level of two-sided intervals."""
    alpha: float = 0.10
    """Conformal bounds: share of new patients for which the bound may fail."""
    delta: float = 0.10
    """PAC bounds: probability that the calibration set is a bad one."""
    rater_margin: float | None = None
    """DSC by which a system may agree less with raters than they do with each other; None: not declared."""
    keep: Keep = field(default_factory=Keep)
    """What is left behind."""
    warnings: tuple[str, ...] = ()
    """Worth knowing; stops nothing."""
    canonical: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The resolved configuration as JSON values, without absolute paths."""
    label_groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(name, its labels) of every union of labels that is scored like a label."""
    given: frozenset[str] = field(default=frozenset(), compare=False)
    """Dotted keys that the file names: what was declared, apart from what is a default."""
    certificates: tuple[CertificateSpec, ...] = ()
    """What new scans shall be rated with; none: nothing is calibrated for that."""
    response_margin: float | None = None
    """Largest drop of the mean DSC from clean that counts as none; None: not declared."""
    response_floor: float | None = None
    """Smallest mean DSC that is enough; None: not declared."""
    layers: LayerSpec | None = None
    """Whose activations are compared under perturbations; None: nobody's."""

    @property
    def scored(self) -> tuple[ScoredLabel, ...]:
        """What is measured, grouped and judged: every label, then every group."""
        numbers = dict(self.labels)
        return (
            *(ScoredLabel(name, (name,), (number,)) for name, number in self.labels),
            *(
                ScoredLabel(name, members, tuple(numbers[member] for member in members))
                for name, members in self.label_groups
            ),
        )


def canonical(config: AuditConfig) -> Mapping[str, Any]:
    """Write everything that was resolved as JSON values.

    Parameters
    ----------
    config : AuditConfig

    Returns
    -------
    mapping
        Warnings apart. Paths keep their last part only: where a file lies changes no number, and
        its content is identified by digests elsewhere.
    """
    systems = {}
    for spec in config.systems:
        known = _plain(spec)
        for key in ("checkpoint", "predictions", "golden"):
            known[key] = Path(known[key]).name if known[key] else None
        known["command"] = shown_command(spec)
        known.pop("runs_in")
        systems[spec.name] = _without_silence(known)
    return {
        "audit": config.name,
        "seed": config.seed,
        "purpose": config.purpose,
        "cases": _cases(config.cases),
        "labels": dict(config.labels),
        **(
            {"label_groups": {name: [*of] for name, of in config.label_groups}}
            if config.label_groups
            else {}
        ),
        "systems": systems,
        "perturbations": {spec.name: _plain(spec) for spec in config.perturbations},
        "metrics": {spec.name: _plain(spec) for spec in config.metrics},
        "strata": {spec.axis: _plain(spec) for spec in config.strata},
        "criteria": {spec.id: _plain(spec) for spec in config.criteria},
        "confidence": {"criteria": config.criteria_level, "intervals": config.interval_level},
        "bounds": {"alpha": config.alpha, "delta": config.delta},
        "keep": _plain(config.keep),
        **({} if config.rater_margin is None else {"raters": {"margin": config.rater_margin}}),
        **(
            {"certificate": [_plain(spec) for spec in config.certificates]}
            if config.certificates
            else {}
        ),
        **({"response": limits} if (limits := _limits(config)) else {}),
        **({} if config.layers is None else {"layers": _plain(config.layers)}),
    }


def _without_silence(known: dict[str, Any]) -> dict[str, Any]:
    """Leave out what nobody declared of an architecture: as before where nothing is said."""
    for name in ("ablation", "architecture_group"):
        if not known[name]:
            known.pop(name)
    if known.get("ablation"):
        known["ablate"] = known.pop("ablation")  # as the file calls it
        # a name may be a patient's; their SHA-256 stand beside them
        known["ablate"].pop("images")
    if known["training"] and known["training"]["condition"] is None:
        known["training"].pop("condition")
    return known


def _limits(config: AuditConfig) -> dict[str, float]:
    """Write the limits of the operating envelope that are declared; as before where none is."""
    declared = {"margin": config.response_margin, "floor": config.response_floor}
    return {name: value for name, value in declared.items() if value is not None}


def with_systems(config: AuditConfig, systems: tuple[SystemSpec, ...]) -> AuditConfig:
    """Return the configuration with other systems of the same names, its canonical form included."""
    changed = dataclasses.replace(config, systems=systems)
    return dataclasses.replace(changed, canonical=canonical(changed))


def _cases(cases: CasesConfig) -> dict[str, Any]:
    """Without the names of patients, and as before where none are left out."""
    known: dict[str, Any] = _plain(cases)
    names, file = known.pop("excluded"), known.pop("exclude")
    if names:
        known["exclude"] = {"file": file, "patients": len(names), "sha256": cases.excluded_digest}
    return known


def _plain(value: Any) -> Any:  # noqa: ANN401  # any field of a record
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {it.name: _plain(getattr(value, it.name)) for it in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, StrEnum):
        return value.value
    return value.name if isinstance(value, Path) else value


def digest(config: AuditConfig) -> str:
    """SHA-256 of the canonical JSON of a resolved configuration."""
    text = json.dumps(config.canonical, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
