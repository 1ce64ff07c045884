"""From the shape of the file to the record: names, levels, contracts, criteria."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from auditor.config.ablations import ablations_alone, as_used, claims_on_ablations
from auditor.config.certificates import Audited, read_certificates
from auditor.config.claims import Declared, blind_claims, read_criteria
from auditor.config.declared import Surroundings, read_systems
from auditor.config.excluded import read_excluded
from auditor.config.given import given_keys
from auditor.config.grid import read_metrics, read_perturbations
from auditor.config.label_groups import read_label_groups
from auditor.config.layers import read_layers
from auditor.config.problems import Problems
from auditor.config.records import AuditConfig, CasesConfig, Keep, canonical
from auditor.config.sentences import Shaped
from auditor.config.settings import Settings
from auditor.config.shape import CasesShape, Shape
from auditor.config.strata import read_strata
from auditor.config.training import trainings_beside
from auditor.schema import (
    REFERENCE_RULES,
    CriterionSpec,
    MetricSpec,
    PerturbationSpec,
    ReferenceRule,
    SystemSpec,
)

__all__ = ["resolve"]

Labels = tuple[tuple[str, int], ...]


def resolve(
    shaped: Shaped,
    *,
    folder: Path,
    callables: frozenset[str],
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[AuditConfig | None, list[str]]:
    """Resolve a configuration.

    Parameters
    ----------
    shaped : Shaped
        What could be read, with the problems of what could not.
    folder : Path
        Paths are relative to it.
    callables : frozenset of str
        Systems that are Python callables.
    settings : mapping
        Fields of systems that win over the file.

    Returns
    -------
    config : AuditConfig or None
        None when there are problems.
    problems : list of str
        Sorted by path.
    """
    shape = shaped.shape
    problems = Problems(shaped.problems)
    warnings: list[str] = []
    # without the modality nobody knows which perturbations fit: silence beats guesses
    about_cases = Problems() if "cases" in shaped.damaged else problems
    cases = _cases(shape.cases, folder, about_cases)
    names = shaped.names["systems"]
    modality = None if "cases" in shaped.damaged else cases.modality
    around = Surroundings(folder, callables, _declared(shape), names, Settings(settings), modality)
    systems, labels = _systems(shaped, around, problems, warnings)
    planned = read_perturbations(
        shape.perturbations, cases=cases, folder=folder, problems=about_cases, warnings=warnings
    )
    told = () if problems.touch("systems") else systems
    metrics = read_metrics(shape.metrics, systems=told, problems=problems, warnings=warnings)
    groups = read_label_groups(shape.label_groups, labels=_names(labels), problems=problems)
    # a group that could not be read is told once, there
    scored = None if labels is None else (*dict(labels), *shape.label_groups)
    strata = read_strata(
        shape.strata,
        labels=scored,
        systems=systems,
        declared={key: shaped.names[key] for key in ("systems", "strata")},
        problems=problems,
    )
    criteria = _criteria(shaped, systems, scored, metrics, planned, problems)
    unread = {key: _unread(key, shaped, problems) for key in ("systems", "perturbations")}
    audited = Audited(
        systems=systems,
        unread_systems=unread["systems"] - {spec.name for spec in systems},
        labels=scored,
        perturbations=planned,
        unread_perturbations=unread["perturbations"] - {spec.name for spec in planned},
        metrics=shaped.names["metrics"],
        reference=cases.reference,
        bounds=shape.bounds,
    )
    certificates = read_certificates(shape.certificate, audited, problems=problems)
    layers = read_layers(shape.layers, systems, unread=audited.unread_systems, problems=problems)
    warnings += blind_claims(criteria)
    if systems and not as_used(systems) and not problems.touch("systems"):
        problems.append(
            "systems: at least one must run as it is, all are ablated; an ablation explains a system beside it"
        )
    warnings += ablations_alone(systems)
    warnings += trainings_beside(systems, planned)
    warnings += claims_on_ablations(criteria, systems)
    if (
        shape.response is not None
        and shape.response.margin is None
        and shape.response.floor is None
    ):
        problems.append("response: must declare margin, floor, or both; or leave the block out")
    if problems:
        return None, sorted(set(problems))
    config = AuditConfig(
        name=shape.audit,
        seed=shape.seed,
        purpose=shape.purpose,
        folder=folder,
        cases=cases,
        systems=systems,
        labels=labels or (),
        label_groups=groups,
        perturbations=planned,
        metrics=metrics,
        strata=strata,
        criteria=criteria,
        criteria_level=shape.confidence.criteria,
        interval_level=shape.confidence.intervals,
        alpha=shape.bounds.alpha,
        delta=shape.bounds.delta,
        keep=Keep(shape.keep.predictions, shape.keep.exhibits),
        rater_margin=None if shape.raters is None else shape.raters.margin,
        response_margin=None if shape.response is None else shape.response.margin,
        response_floor=None if shape.response is None else shape.response.floor,
        warnings=tuple(warnings),
        given=given_keys(shape),
        certificates=certificates,
        layers=layers,
    )
    return dataclasses.replace(config, canonical=canonical(config)), []


def _unread(section: str, shaped: Shaped, problems: Problems) -> frozenset[str]:
    """Name the entries of a section with problems: nobody shall be told that they are not there."""
    troubled = section in shaped.damaged or problems.touch(section)
    return frozenset(shaped.names[section]) if troubled else frozenset()


def _declared(shape: Shape) -> Labels:
    return tuple((shape.labels or {}).items())


def _names(labels: Labels | None) -> tuple[str, ...] | None:
    return None if labels is None else tuple(name for name, _ in labels)


def _systems(
    shaped: Shaped, around: Surroundings, problems: Problems, warnings: list[str]
) -> tuple[tuple[SystemSpec, ...], Labels | None]:
    """Return the systems and the audited labels; None for labels that cannot be known yet."""
    systems = read_systems(shaped.shape.systems, around, problems=problems, warnings=warnings)
    if not around.names and "systems" not in shaped.damaged:
        problems.append("systems: at least one is required")
    known = not (problems.touch("systems") or problems.touch("labels"))
    labels = _labels(around.labels, systems, problems)
    return systems, labels if known else None


def _criteria(
    shaped: Shaped,
    systems: tuple[SystemSpec, ...],
    labels: tuple[str, ...] | None,
    metrics: tuple[MetricSpec, ...],
    planned: tuple[PerturbationSpec, ...],
    problems: Problems,
) -> tuple[CriterionSpec, ...]:
    if shaped.shape.purpose == "confirmatory" and not shaped.names["criteria"]:
        problems.append(
            "criteria: a confirmatory audit needs at least one; declare it, or say purpose: "
            "exploratory"
        )
    names = {
        "systems": tuple(spec.name for spec in systems),
        "metrics": tuple(spec.name for spec in metrics),
        "perturbations": tuple(spec.name for spec in planned),
    }
    declared = Declared(
        systems=names["systems"],
        labels=labels,
        metrics=names["metrics"],
        perturbations=planned,
        strata=shaped.names["strata"],
        unablated=tuple(spec.name for spec in as_used(systems)),
        broken={key: frozenset(shaped.names[key]) - {*read} for key, read in names.items()},
        levels_known=not (
            {"cases", "perturbations"} & shaped.damaged or problems.touch("perturbations.preset")
        ),
    )
    return read_criteria(shaped.shape.criteria, declared, problems=problems)


def _cases(given: CasesShape, folder: Path, problems: Problems) -> CasesConfig:
    pair = (given.images is not None, given.references is not None)
    ways = (given.table is not None, given.folder is not None, any(pair))
    if sum(ways) != 1 or (any(pair) and not all(pair)):
        problems.append(
            "cases: exactly one is required of table (a CSV file), folder, or images with references "
            "(two folders whose file names pair up)"
        )
    paths: dict[str, Path | None] = {}
    for name in ("table", "folder", "images", "references"):
        text = getattr(given, name)
        paths[name] = None if text is None else folder / text
        kind, exists = ("file", Path.is_file) if name == "table" else ("folder", Path.is_dir)
        if text is not None and not exists(folder / text):
            problems.append(
                f"cases.{name}: must be a {kind}, {text!r} is none (paths are relative to the "
                "configuration)"
            )
    use = given.reference.use
    if use not in REFERENCE_RULES and not re.fullmatch(r"rater_[1-9]\d*", use):
        problems.append(
            f"cases.reference.use: must be {', '.join(REFERENCE_RULES)}, or one rater (rater_1), was "
            f"{use!r}"
        )
    exclude = None if given.exclude is None else folder / given.exclude
    names: tuple[str, ...] | None = ()
    if exclude is not None:
        names = problems.attempt("cases.exclude", partial(read_excluded, exclude))
    return CasesConfig(
        modality=given.modality,
        state=given.state,
        reference=ReferenceRule(use, given.reference.tie),
        exclude=exclude,
        excluded=names or (),
        **paths,
    )


def _labels(declared: Labels, systems: tuple[SystemSpec, ...], problems: Problems) -> Labels:
    """Unite the labels of all systems; one name has one number, and each system all of them."""
    known: dict[str, int] = dict(declared)
    told: dict[str, Any] = dict.fromkeys(known, "labels")
    for spec in systems:
        for name, number in spec.output.labels:
            told.setdefault(name, f"systems.{spec.name}")
            if known.setdefault(name, number) != number:
                problems.append(
                    f"systems.{spec.name}.output.labels: must give {name} the number {known[name]}, as "
                    f"{told[name]} does, was {number}; a label has one number in the references"
                )
    shared = [f"{n}: {i}" for n, i in known.items() if list(known.values()).count(i) > 1]
    if shared:
        problems.append(f"labels: must have different numbers, were {', '.join(shared)}")
    for spec in systems:
        missing = [name for name in known if name not in dict(spec.output.labels)]
        if missing and spec.output.labels:
            problems.append(
                f"systems.{spec.name}.output.labels: must name every audited label, "
                f"{', '.join(missing)} is missing"
            )
    return tuple(known.items())
