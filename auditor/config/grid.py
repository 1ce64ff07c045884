"""What is done and measured: perturbations with their levels, metrics."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from auditor.config.problems import Problems
from auditor.config.records import CasesConfig
from auditor.config.shape import GridShape, MetricShape, PresetShape
from auditor.config.site_rows import rows_of_site
from auditor.metrics.catalog import check_spec
from auditor.schema import MetricSpec, PerturbationSpec, SystemSpec
from perturbations.catalog import (
    PRESETS,
    SSIM_TARGETS,
    get,
    level_at,
    levels_for,
    options_for,
    severity_at,
)

__all__ = ["check_probabilities", "read_metrics", "read_perturbations"]


def read_perturbations(
    given: PresetShape | list[str] | dict[str, GridShape],
    *,
    cases: CasesConfig,
    folder: Path,
    problems: Problems,
    warnings: list[str],
) -> tuple[PerturbationSpec, ...]:
    """Read the grid of perturbations; levels come from the catalogue.

    Parameters
    ----------
    given : a preset, names, or names with severities or levels
    cases : CasesConfig
        Their modality decides levels and units, and which perturbations are physical.
    folder : Path
        That paths count from.
    problems, warnings : list of str
        Sentences are added to them.

    Returns
    -------
    tuple of PerturbationSpec
        In the order of the file, severities rising; those that could not be read are left out.
    """
    found = []
    for name, grid in _grids(given, problems, warnings).items():
        where = f"perturbations.{name}"
        read = partial(_with_rows, name, grid, cases, folder, warnings)
        whole = grid if grid.profile is None else problems.attempt(where, read)
        if whole is None:
            continue
        spec = problems.attempt(where, partial(_grid, name, whole, cases.modality))
        if spec is None:
            continue
        found.append(spec)
        if spec.replicates < grid.replicates:
            warnings.append(
                f"{where}.replicates: nothing is drawn here, all draws would be alike; 1 is made "
                f"instead of {grid.replicates}"
            )
    return tuple(found)


def _grids(
    given: PresetShape | list[str] | dict[str, GridShape],
    problems: Problems,
    warnings: list[str],
) -> Mapping[str, GridShape]:
    if isinstance(given, dict):
        return given
    if isinstance(given, list):
        doubled = sorted({name for name in given if given.count(name) > 1})
        problems += [f"perturbations.{name}: stands twice" for name in doubled]
        return dict.fromkeys(given, GridShape())
    if given.preset in PRESETS:
        return _preset(given, warnings)
    near = difflib.get_close_matches(given.preset, PRESETS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    problems.append(
        f"perturbations.preset: must be one of {', '.join(PRESETS)}, was {given.preset!r}{hint}"
    )
    return {}


def _preset(given: PresetShape, warnings: list[str]) -> Mapping[str, GridShape]:
    """Give each line of a preset the severities that it has; published protocols may have fewer."""
    grids = {}
    for name in PRESETS[given.preset]:
        entry = get(name)
        if given.iso_effect and (entry.geometric or entry.scale == "ordinal"):
            warnings.append(f"perturbations.{name}: has no levels of equal effect; it is left out")
            continue
        last = len(SSIM_TARGETS) if given.iso_effect else len(entry.body.values)
        wanted = given.severities
        if wanted is not None and max(wanted) > last:
            wanted = [severity for severity in wanted if severity <= last]
            warnings.append(
                f"perturbations.{name}: has severities up to {last}; higher ones are left out"
            )
        if wanted is None or wanted:
            grids[name] = GridShape(
                severities=wanted, replicates=given.replicates, iso_effect=given.iso_effect
            )
    return grids


def _with_rows(
    name: str, grid: GridShape, cases: CasesConfig, folder: Path, warnings: list[str]
) -> GridShape:
    """Read the rows of a site; the plan holds them, so that it needs the file no more."""
    if name != "joint" or "rows" in grid.options:
        msg = "profile is for joint, whose rows it holds; leave it out, or leave out options.rows"
        raise ValueError(msg)
    assert grid.profile is not None  # the caller asks for it
    rows = rows_of_site(folder / grid.profile, cases.modality, cases.state, warnings)
    return grid.model_copy(update={"options": {**grid.options, "rows": rows}, "profile": None})


def _grid(name: str, grid: GridShape, modality: str) -> PerturbationSpec:
    entry = get(name)
    if entry.modalities and modality not in entry.modalities:
        msg = f"is for {', '.join(entry.modalities)}, the cases are {modality}; leave it out"
        raise ValueError(msg)
    if grid.levels is not None and grid.severities is not None:
        msg = "must have severities or levels, has both"
        raise ValueError(msg)
    options_for(name, grid.options)
    if grid.iso_effect:
        return _iso_effect(name, grid)
    known, unit = levels_for(name, modality)
    if grid.levels is not None:
        pairs = sorted((severity_at(name, level, modality), level) for level in grid.levels)
    else:
        wanted = sorted(grid.severities or (float(n) for n in range(1, len(known) + 1)))
        pairs = [(severity, level_at(name, severity, modality)) for severity in wanted]
    severities, levels = zip(*pairs, strict=True)
    if severities[0] == 0.0:
        msg = f"levels must not hold {levels[0]:g} {unit}, which changes nothing: that is clean"
        raise ValueError(msg)
    if any(low == high for low, high in itertools.pairwise(severities)):
        msg = f"levels must differ, were {', '.join(f'{level:g}' for level in grid.levels or ())}"
        raise ValueError(msg)
    replicates = 1 if entry.draws == "nothing" else grid.replicates
    return PerturbationSpec(name, severities, levels, unit, replicates, grid.options)


def _iso_effect(name: str, grid: GridShape) -> PerturbationSpec:
    """Read a grid whose severities are structural similarities, falling."""
    entry = get(name)
    if entry.geometric or entry.scale == "ordinal":
        msg = (
            "has no levels of equal effect: SSIM does not measure its effect; leave iso_effect out"
        )
        raise ValueError(msg)
    targets = tuple(sorted(grid.levels, reverse=True)) if grid.levels else SSIM_TARGETS
    if len(set(targets)) < len(targets) or not all(0.0 < target < 1.0 for target in targets):
        msg = f"levels of equal effect must be different SSIM between 0 and 1, were {grid.levels}"
        raise ValueError(msg)
    wanted = sorted(grid.severities or (float(n) for n in range(1, len(targets) + 1)))
    if any(severity != int(severity) or severity > len(targets) for severity in wanted):
        msg = (
            f"severities of equal effect must be whole numbers up to {len(targets)}, were {wanted}"
        )
        raise ValueError(msg)
    return PerturbationSpec(
        name,
        tuple(wanted),
        tuple(targets[int(severity) - 1] for severity in wanted),
        "SSIM",
        1 if entry.draws == "nothing" else grid.replicates,
        grid.options,
        iso_effect=True,
    )


def read_metrics(
    given: Mapping[str, MetricShape],
    *,
    systems: Sequence[SystemSpec] = (),
    problems: Problems,
    warnings: list[str] | None = None,
) -> tuple[MetricSpec, ...]:
    """Read the metrics; those that could not be read are left out.

    Parameters
    ----------
    given : mapping of name to MetricShape
    systems : sequence of SystemSpec
        Those that give labels only have no probabilities to measure.
    problems, warnings : list of str
        Sentences are added to them.
    """
    if not given and not problems.touch("metrics"):
        problems.append("metrics: at least one is required, as {dsc: {}}")
    specs = []
    for name, shape in given.items():
        spec = MetricSpec(name, **dict(shape))
        line = problems.attempt(f"metrics.{name}", partial(check_spec, spec))
        if line is None:
            continue
        specs.append(spec)
        if line.needs_probabilities and systems:
            check_probabilities(name, systems, problems, [] if warnings is None else warnings)
    return tuple(specs)


def check_probabilities(
    name: str, systems: Sequence[SystemSpec], problems: list[str], warnings: list[str]
) -> None:
    """Say which systems cannot be measured by a metric that needs probabilities.

    Parameters
    ----------
    name : str
        Of the metric.
    systems : sequence of SystemSpec
        Their activation decides; one that is found by trying may become known later.
    problems, warnings : list of str
        Sentences are added to them.
    """
    bare = [spec.name for spec in systems if spec.output.activation == "labels"]
    if len(bare) == len(systems):
        problems.append(
            f"metrics.{name}: needs a system that gives probabilities, all of them give labels only; "
            "leave it out, or declare another output.activation"
        )
        return
    warnings += [
        f"metrics.{name}: is not applicable to {system}, which gives labels only" for system in bare
    ]
    warnings += [
        f"metrics.{name}: takes the channels of {spec.name} (sigmoid) for the probabilities of its "
        "labels; where a channel means a region with other labels in it, that is another event than "
        "the label, and the number says nothing"
        for spec in systems
        if "sigmoid" in spec.output.activation and len(spec.output.labels) > 1
    ]
