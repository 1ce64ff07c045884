"""The table of decisions of an audit: every choice behind its numbers, and who made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from auditor.config.records import AuditConfig
from auditor.schema import (
    Certainty,
    CertificateSpec,
    CriterionSpec,
    Decision,
    MetricSpec,
    PerturbationSpec,
    StratumSpec,
    SystemSpec,
    ablation_words,
)

__all__ = ["decisions", "undecided"]

MadeBy = Literal[
    "declared", "command line", "contract file", "maker", "probed", "default", "frozen rule"
]

_SOURCES: dict[Certainty, MadeBy] = {
    Certainty.COMMAND_LINE: "command line",
    Certainty.DECLARED: "declared",
    Certainty.CONTRACT_FILE: "contract file",
    Certainty.SIDECAR: "maker",
    Certainty.PROBED: "probed",
    Certainty.DEFAULT: "default",
}


def decisions(config: AuditConfig) -> tuple[Decision, ...]:
    """List every choice of a resolved configuration.

    Parameters
    ----------
    config : AuditConfig
        With what was probed, where something was.

    Returns
    -------
    tuple of Decision
        In the order of audit.yaml.
    """
    return (
        *_about_cases(config),
        *(it for spec in config.systems for it in _of_system(spec, config)),
        *(_of_perturbation(spec, config) for spec in config.perturbations),
        *(_of_metric(spec, config) for spec in config.metrics),
        Decision(
            "metrics: empty masks",
            "one policy for every metric, printed in its sheet",
            "default",
            "scientific",
        ),
        *(it for spec in config.strata for it in _of_stratum(spec, config)),
        *(_of_criterion(spec) for spec in config.criteria),
        *(_of_certificate(spec) for spec in config.certificates),
        *_of_layers(config),
        *_levels(config),
    )


def undecided(found: Sequence[Decision]) -> tuple[Decision, ...]:
    """Keep the scientific choices that nobody made: defaults of segaudit that could be declared."""
    return tuple(
        it
        for it in found
        if (it.made_by, it.kind) == ("default", "scientific") and ": " not in it.where
    )


def _by(config: AuditConfig, key: str) -> MadeBy:
    return "declared" if key in config.given else "default"


def _about_cases(config: AuditConfig) -> Iterator[Decision]:
    cases = config.cases
    yield Decision("purpose", config.purpose, "declared", "scientific")
    yield Decision("cases.modality", cases.modality, _by(config, "cases.modality"), "scientific")
    yield Decision("cases.state", cases.state, _by(config, "cases.state"), "scientific")
    rule = cases.reference
    ties = "" if rule.tie is None else f", ties {rule.tie.replace('_', ' ')}"
    by: MadeBy = (
        "declared" if "cases.reference" in config.given or rule.use == "given" else "default"
    )
    yield Decision("cases.reference", f"{rule.use.replace('_', ' ')}{ties}", by, "scientific")
    if cases.excluded:
        told = f"{len(cases.excluded)} patient(s) left out before anything was looked at"
        yield Decision("cases.exclude", told, "declared", "scientific")
    for name, members in config.label_groups:
        yield Decision(f"label_groups.{name}", " + ".join(members), "declared", "scientific")


def _of_system(spec: SystemSpec, config: AuditConfig) -> Iterator[Decision]:
    """One line for each source of its contract, and one for how it is computed."""
    where = f"systems.{spec.name}"
    known: dict[Certainty, list[str]] = {}
    for name, source in spec.sources:
        known.setdefault(source, []).append(name)
    for source in Certainty:
        if source in known:
            told = ", ".join(sorted(known[source]))
            yield Decision(f"{where}: contract", told, _SOURCES[source], "scientific")
    if spec.ablation is not None:
        told = ablation_words(spec.ablation)
        yield Decision(f"{where}.ablate", told, "declared", "scientific")
    if spec.command or spec.predictions is not None:
        return  # they reach no program that runs elsewhere
    chosen = {
        "batch": spec.batch,
        "threads": spec.threads,
        "precision": spec.precision,
        "device": spec.device,
    }
    declared = any(f"{where}.{key}" in config.given for key in chosen)
    told = ", ".join(f"{key} {value}" for key, value in chosen.items())
    yield Decision(where, told, "declared" if declared else "default", "engineering")


def _of_perturbation(spec: PerturbationSpec, config: AuditConfig) -> Decision:
    """Severities of the catalogue are a choice of segaudit, unless they or a preset were written down."""
    key = f"perturbations.{spec.name}"
    by = any(f"{key}.{part}" in config.given for part in ("severities", "levels", "profile"))
    by = by or bool({"perturbations.severities", "perturbations.preset"} & config.given)
    levels = ", ".join(f"{level:.4g}" for level in spec.levels)
    draws = f", {spec.replicates} draws" if spec.replicates > 1 else ""
    told = f"{levels} {spec.unit}".strip() + draws
    return Decision(key, told, "declared" if by else "default", "scientific")


def _of_metric(spec: MetricSpec, config: AuditConfig) -> Decision:
    settings = {
        "tolerance_mm": spec.tolerance_mm,
        "within": spec.within,
        "width_mm": spec.width_mm,
        "overlap": spec.overlap,
        "bins": spec.bins,
    }
    told = ", ".join(f"{key} {value:g}" for key, value in settings.items() if value is not None)
    return Decision(f"metrics.{spec.name}", told or "no parameter", "declared", "scientific")


def _of_stratum(spec: StratumSpec, config: AuditConfig) -> Iterator[Decision]:
    key = f"strata.{spec.axis}"
    if spec.cross:
        yield Decision(key, " x ".join(spec.cross), "declared", "scientific")
    elif spec.training:
        yield Decision(f"{key}.edges", f"training range of {spec.system}", "declared", "scientific")
    elif spec.edges == "tertiles":
        told = "tertiles of the references"
        yield Decision(f"{key}.edges", told, "frozen rule", "scientific")
    elif spec.edges:
        told = ", ".join(f"{edge:g}" for edge in spec.edges)
        yield Decision(f"{key}.edges", told, "declared", "scientific")
    else:
        yield Decision(key, "its categories as they are", "declared", "scientific")
    where = f"{key}.minimum_patients"
    yield Decision(where, str(spec.minimum_patients), _by(config, where), "scientific")


def _of_criterion(spec: CriterionSpec) -> Decision:
    waived = f", waived by {spec.waived_by}" if spec.waived_by else ""
    told = f"{spec.form.replace('_', ' ')} {spec.threshold:g}, {spec.evidence}{waived}"
    return Decision(f"criteria.{spec.id}", told, "declared", "scientific")


def _of_certificate(spec: CertificateSpec) -> Decision:
    first, second = spec.grades
    edges = ", ".join(f"{edge:g}" for edge in spec.edges)
    told = (
        f"A from a bound of {first:g}, B from {second:g}; alpha {spec.alpha:g}, delta {spec.delta:g}; the "
        f"outer mask holds {spec.outer_share:g} of the reference, {spec.inner_share:g} of the inner mask "
        f"belongs to it; severities of {', '.join(spec.perturbations) or 'none'}; at most {spec.copies} "
        f"mild copies" + (f"; groups at {edges}" if edges else "")
    )
    return Decision(f"certificate: {spec.system}, {spec.label}", told, "declared", "scientific")


def _of_layers(config: AuditConfig) -> Iterator[Decision]:
    if config.layers is not None:
        of = ", ".join(config.layers.systems)
        yield Decision("layers.systems", of, "declared", "scientific")
        key = "layers.bins"
        yield Decision(key, str(config.layers.bins), _by(config, key), "engineering")


def _levels(config: AuditConfig) -> Iterator[Decision]:
    for key, limit in (
        ("raters.margin", config.rater_margin),
        ("response.margin", config.response_margin),
        ("response.floor", config.response_floor),
    ):
        if limit is not None:
            yield Decision(key, f"{limit:g}", "declared", "scientific")
    for key, value in (
        ("confidence.criteria", config.criteria_level),
        ("confidence.intervals", config.interval_level),
        ("bounds.alpha", config.alpha),
        ("bounds.delta", config.delta),
    ):
        yield Decision(key, f"{value:g}", _by(config, key), "scientific")
    yield Decision("seed", str(config.seed), _by(config, "seed"), "engineering")
