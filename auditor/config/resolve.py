"""From the shape of the file to the record: names, levels, contracts, criteria."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from auditor.config.claims import read_criteria
from auditor.config.declared import read_systems
from auditor.config.records import AuditConfig, CasesConfig, Keep
from auditor.config.shape import GridShape, PresetShape, Shape
from auditor.errors import ConfigError
from auditor.metrics.catalog import check_spec
from auditor.schema import (
    MetricSpec,
    PerturbationSpec,
    ReferenceRule,
    StratumSpec,
    SystemSpec,
)

__all__ = ["resolve"]

Found = TypeVar("Found")

MEASURED_AXES = ("foreground_ratio", "rater_disagreement", "rater_dsc")
"""Strata that are computed from the references; all others are columns of the table."""


class Problems(list[str]):
    """Sentences that stop the audit; collected, never raised one by one."""

    def attempt(self, where: str, read: Callable[[], Found]) -> Found | None:
        """Run a reader; its error becomes a sentence."""
        try:
            return read()
        except (ConfigError, ValueError) as error:
            self.append(f"{where}: {error}")
            return None


def resolve(
    shape: Shape, *, folder: Path, callables: frozenset[str]
) -> tuple[AuditConfig | None, list[str]]:
    """Resolve a configuration whose shape is right.

    Returns
    -------
    config : AuditConfig or None
        None when there are problems.
    problems : list of str
        Sorted by path.
    """
    problems = Problems()
    cases = _cases(shape, folder, problems)
    declared = tuple((shape.labels or {}).items())
    systems, warnings = read_systems(
        shape.systems, folder=folder, callables=callables, labels=declared, problems=problems
    )
    if not shape.systems:
        problems.append("systems: at least one system is needed")
    labels = _labels(declared, systems, problems)
    perturbations = _perturbations(shape, cases.modality, problems)
    metrics = _metrics(shape, problems)
    strata = _strata(shape, labels, problems)
    criteria = read_criteria(
        shape.criteria,
        systems=tuple(shape.systems),
        labels=tuple(name for name, _ in labels),
        metrics=metrics,
        perturbations=perturbations,
        problems=problems,
    )
    if shape.purpose == "confirmatory" and not shape.criteria:
        problems.append(
            "criteria: a confirmatory audit needs at least one; declare it, or say purpose: "
            "exploratory"
        )
    if problems:
        return None, sorted(problems)
    config = AuditConfig(
        name=shape.audit,
        seed=shape.seed,
        purpose=shape.purpose,
        folder=folder,
        cases=cases,
        systems=systems,
        labels=labels,
        perturbations=perturbations,
        metrics=metrics,
        strata=strata,
        criteria=criteria,
        criteria_level=shape.confidence.criteria,
        interval_level=shape.confidence.intervals,
        alpha=shape.bounds.alpha,
        delta=shape.bounds.delta,
        keep=Keep(shape.keep.predictions, shape.keep.exhibits),
        warnings=tuple(warnings),
    )
    return dataclasses.replace(config, canonical=_canonical(config)), []


def _cases(shape: Shape, folder: Path, problems: Problems) -> CasesConfig:
    given = shape.cases
    pair = (given.images, given.references)
    ways = [given.table is not None, given.folder is not None, any(pair)]
    if sum(ways) != 1 or (any(pair) and not all(pair)):
        problems.append(
            "cases: exactly one is needed of table (a CSV file), folder, or images with references "
            "(two folders whose file names pair up)"
        )
    paths = {
        name: None if path is None else folder / path
        for name in ("table", "folder", "images", "references")
        for path in (getattr(given, name),)
    }
    for name, path in paths.items():
        kind = "file" if name == "table" else "folder"
        if path is not None and not (path.is_file() if name == "table" else path.is_dir()):
            problems.append(
                f"cases.{name}: must be a {kind}, {getattr(given, name)!r} is none (paths are relative "
                "to the configuration)"
            )
    use = given.reference.use
    if use not in ("given", "majority") and not use.removeprefix("rater_").isdigit():
        problems.append(
            f"cases.reference.use: must be given, majority or rater_1 and on, was {use!r}"
        )
    return CasesConfig(
        modality=given.modality,
        state=given.state,
        reference=ReferenceRule(use, given.reference.tie),
        **paths,
    )


def _labels(
    declared: tuple[tuple[str, int], ...], systems: tuple[SystemSpec, ...], problems: Problems
) -> tuple[tuple[str, int], ...]:
    known: dict[str, int] = dict(declared)
    for spec in systems:
        for name, number in spec.output.labels:
            if known.setdefault(name, number) != number:
                problems.append(
                    f"systems.{spec.name}.output.labels: {name} is {number} here and {known[name]} "
                    "elsewhere; a label has one number in the references"
                )
    numbers = list(known.values())
    if len(set(numbers)) < len(numbers):
        problems.append(f"labels: two labels share a number: {known}")
    for spec in systems:
        missing = sorted(set(known) - {name for name, _ in spec.output.labels})
        if missing and spec.output.labels:
            problems.append(
                f"systems.{spec.name}.output.labels: must name every audited label, "
                f"{', '.join(missing)} is missing"
            )
    return tuple(known.items())


def _perturbations(shape: Shape, modality: str, problems: Problems) -> tuple[PerturbationSpec, ...]:
    from perturbations import PRESETS

    given = shape.perturbations
    if isinstance(given, PresetShape):
        if given.preset not in PRESETS:
            problems.append(
                f"perturbations.preset: must be one of {', '.join(PRESETS)}, was {given.preset!r}"
            )
            return ()
        grid = GridShape(severities=given.severities, replicates=given.replicates)
        grids = dict.fromkeys(PRESETS[given.preset], grid)
    elif isinstance(given, list):
        grids = dict.fromkeys(given, GridShape())
    else:
        grids = dict(given)
    found = (
        problems.attempt(f"perturbations.{name}", lambda n=name, g=grid: _grid(n, g, modality))  # type: ignore[misc]  # defaults bind the loop's values
        for name, grid in grids.items()
    )
    return tuple(spec for spec in found if spec is not None)


def _grid(name: str, grid: GridShape, modality: str) -> PerturbationSpec:
    from perturbations.catalog import get, level_at, levels_for, severity_at

    entry = get(name)
    if entry.modalities and modality not in entry.modalities:
        msg = f"is for {', '.join(entry.modalities)}, the cases are {modality}"
        raise ValueError(msg)
    _, unit = levels_for(name, modality)
    if grid.levels is not None and grid.severities is not None:
        msg = "give severities or levels, not both"
        raise ValueError(msg)
    if grid.levels is not None:
        levels = tuple(grid.levels)
        severities = tuple(severity_at(name, level, modality) for level in levels)
    else:
        severities = tuple(sorted(set(grid.severities or (1.0, 2.0, 3.0, 4.0, 5.0))))
        levels = tuple(level_at(name, severity, modality) for severity in severities)
    return PerturbationSpec(name, severities, levels, unit, grid.replicates)


def _metrics(shape: Shape, problems: Problems) -> tuple[MetricSpec, ...]:
    if not shape.metrics:
        problems.append("metrics: at least one is needed, as {dsc: {}}")
    specs = []
    for name, given in shape.metrics.items():
        spec = MetricSpec(name, given.tolerance_mm)
        if problems.attempt(f"metrics.{name}", lambda s=spec: check_spec(s)):  # type: ignore[misc]  # the default binds the loop's value
            specs.append(spec)
    return tuple(specs)


def _strata(
    shape: Shape, labels: tuple[tuple[str, int], ...], problems: Problems
) -> tuple[StratumSpec, ...]:
    names = [name for name, _ in labels]
    strata = []
    for axis, given in shape.strata.items():
        where = f"strata.{axis}"
        if axis not in MEASURED_AXES:
            if given.label or given.edges is not None:
                problems.append(f"{where}: a column of the table takes neither label nor edges")
            strata.append(StratumSpec(axis))
            continue
        if given.edges is None:
            problems.append(
                f"{where}.edges: is required (numbers, or tertiles of the references): where "
                "groups are cut is a scientific choice"
            )
        if given.label not in names:
            problems.append(
                f"{where}.label: must be one of {', '.join(names)}, was {given.label!r}"
            )
        edges = tuple(given.edges) if isinstance(given.edges, list) else given.edges
        strata.append(StratumSpec(axis, given.label or "", edges))
    return tuple(strata)


def _canonical(config: AuditConfig) -> Mapping[str, Any]:
    """Everything that was resolved, as JSON values; paths keep their last part only."""

    def plain(value: Any) -> Any:  # noqa: ANN401  # any field
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {str(key): plain(inner) for key, inner in value.items()}
        if isinstance(value, tuple | list):
            return [plain(inner) for inner in value]
        return value.name if isinstance(value, Path) else value

    systems = {}
    for spec in config.systems:
        known = plain(spec)
        for key in ("checkpoint", "golden"):
            known[key] = Path(known[key]).name if known[key] else None
        systems[spec.name] = known
    return {
        "audit": config.name,
        "seed": config.seed,
        "purpose": config.purpose,
        "cases": plain(config.cases),
        "labels": plain(dict(config.labels)),
        "systems": systems,
        "perturbations": {spec.name: plain(spec) for spec in config.perturbations},
        "metrics": {spec.name: plain(spec) for spec in config.metrics},
        "strata": {spec.axis: plain(spec) for spec in config.strata},
        "criteria": {spec.id: plain(spec) for spec in config.criteria},
        "confidence": {"criteria": config.criteria_level, "intervals": config.interval_level},
        "bounds": {"alpha": config.alpha, "delta": config.delta},
        "keep": plain(config.keep),
    }
