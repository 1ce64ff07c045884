"""The systems of a configuration: like, expand, contract files, sources."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from auditor.config.inference import TrainingShape
from auditor.config.problems import Problems
from auditor.config.shape import SystemShape
from auditor.config.sweeps import expanded
from auditor.errors import ConfigError
from auditor.metrics.catalog import get
from auditor.schema import Certainty, SystemSpec, TrainingFacts
from auditor.systems.contract import (
    PARTS,
    ContractParts,
    fed_axes,
    find_contract_file,
    parse_contract,
    read_contract_file,
)

__all__ = ["Surroundings", "read_systems"]

_SAME_NAME = (
    "golden_agree_at_least", "family", "training_seed", "precision", "batch", "threads", "device",
    "timeout_s", "memory_gb",
)  # fmt: skip
"""Keys of the file that are fields of the record."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the entry of a system is read against."""

    folder: Path
    """Paths are relative to it."""
    callables: frozenset[str]
    """Systems that are Python callables: they need no checkpoint."""
    labels: tuple[tuple[str, int], ...]
    """Labels of the audit, for systems that declare none."""
    names: tuple[str, ...]
    """All entries, also those whose shape is wrong."""


def read_systems(
    given: Mapping[str, SystemShape],
    around: Surroundings,
    *,
    problems: Problems,
    warnings: list[str],
) -> tuple[SystemSpec, ...]:
    """Read every system; an entry with `expand` becomes several.

    Parameters
    ----------
    given : mapping of name to SystemShape
        As in the file.
    around : Surroundings
        What they are read against.
    problems, warnings : list of str
        Sentences are added to them.

    Returns
    -------
    tuple of SystemSpec
        In the order of the file.
    """
    specs: list[SystemSpec] = []
    for name, shape in given.items():
        try:
            content = _merged(name, given, ())
        except ConfigError as error:
            # when the other entry has problems of its own, they are told there
            if shape.like not in around.names or shape.like in given:
                problems.append(str(error))
            continue
        for suffix, variant in expanded(name, content, shape, problems):
            where = f"systems.{name}{suffix}"
            specs.append(_system(where, variant, around, problems, warnings))
    names = [spec.name for spec in specs]
    problems += [f"systems.{it}: stands twice" for it in names if names.count(it) > 1]
    return tuple(specs)


def _merged(name: str, given: Mapping[str, SystemShape], seen: tuple[str, ...]) -> dict[str, Any]:
    """Content of an entry over the entry that it is like, part by part."""
    shape = given[name]
    own = {key: getattr(shape, key) for key in shape.model_fields_set - {"like", "expand"}}
    other = shape.like
    if other is None:
        return own
    if other not in given or other in (*seen, name):
        circle = " (they are like each other in a circle)" if other in given else ""
        near = difflib.get_close_matches(other, [key for key in given if key != name], n=1)
        hint = f"; did you mean {near[0]!r}?" if near and not circle else ""
        msg = f"systems.{name}.like: must be another system, was {other!r}{circle}{hint}"
        raise ConfigError(msg)
    base = _merged(other, given, (*seen, name))
    for key, value in own.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        base[key] = {**base[key], **value} if both else value
    return base


def _system(
    where: str,
    content: Mapping[str, Any],
    around: Surroundings,
    problems: Problems,
    warnings: list[str],
) -> SystemSpec:
    name = where.removeprefix("systems.")
    checkpoint = _checkpoint(where, content.get("checkpoint"), around, problems)
    file = _contract_file(where, content, checkpoint, around.folder, warnings)
    sidecar: Mapping[str, Any] = {}
    if file is not None:
        sidecar = problems.attempt(f"{where}.contract", partial(read_contract_file, file)) or {}
    declared: dict[str, Any] = {key: content[key] for key in PARTS if key in content}
    output = dict(declared.get("output") or {})
    if around.labels and not _names_labels(output) and not _names_labels(sidecar.get("output")):
        declared["output"] = {**output, "labels": dict(around.labels)}
    told = [(Certainty.CONTRACT_FILE, sidecar), (Certainty.DECLARED, declared)]
    parts = parse_contract(told, where)
    problems += _with_file(parts, where, file)
    flips = _flips(where, content.get("flips") or (), parts, problems)
    golden = content.get("golden")
    if golden is not None and not (around.folder / golden).is_file():
        problems.append(f"{where}.golden: must be a file, {golden!r} is none")
    claimed, source = _claims(where, content.get("claimed") or {}, problems)
    return SystemSpec(
        name=name,
        checkpoint=None if checkpoint is None else str(checkpoint),
        input=parts.input,
        output=parts.output,
        window=parts.window,
        sources=parts.sources,
        golden=None if golden is None else str(around.folder / golden),
        claimed=claimed,
        claimed_source=source,
        flips=flips,
        training=_training(content.get("training")),
        **{key: content[key] for key in _SAME_NAME if key in content},
    )


def _flips(
    where: str, given: str | Sequence[int], parts: ContractParts, problems: Problems
) -> tuple[int, ...]:
    """Resolve `all`, and compare with the axes and the output of the contract."""
    if not given:
        return ()
    count = fed_axes(parts.input, parts.window)
    if given == "all" and count is None:
        problems.append(
            f"{where}.flips: must name the axes, as [0, 1, 2]: how many `all` are is told neither by "
            "window.size nor by input.axes, .size or .dims"
        )
        return ()
    axes = tuple(range(count or 0)) if isinstance(given, str) else tuple(sorted(given))
    if count is not None and max(axes) >= count:
        problems.append(
            f"{where}.flips: must be axes from 0 to {count - 1}, as the system is fed with {count}, was "
            f"{list(axes)}"
        )
    if parts.output.activation == "labels":
        problems.append(
            f"{where}.flips: must be left out for output.activation: labels, as label numbers cannot be "
            "averaged"
        )
    return axes


def _training(given: TrainingShape | None) -> TrainingFacts | None:
    if given is None:
        return None
    patch, ratio = given.patch, given.foreground_ratio
    return TrainingFacts(
        patch=None if patch is None else tuple(patch),
        foreground_ratio=None if ratio is None else (ratio[0], ratio[1]),
    )


def _names_labels(output: object) -> bool:
    return isinstance(output, Mapping) and "labels" in output


def _checkpoint(
    where: str, given: str | None, around: Surroundings, problems: Problems
) -> Path | None:
    if where.removeprefix("systems.") in around.callables:
        if given is not None:
            problems.append(f"{where}.checkpoint: must be left out, the system is a callable")
        return None
    if not given:
        problems.append(f"{where}.checkpoint: is required, the path of the file to audit")
        return None
    path = around.folder / given
    if not path.exists():
        problems.append(
            f"{where}.checkpoint: must exist, {given!r} does not (paths are relative to the "
            "configuration)"
        )
    return path


def _contract_file(
    where: str,
    content: Mapping[str, Any],
    checkpoint: Path | None,
    folder: Path,
    warnings: list[str],
) -> Path | None:
    """Return the contract file that is named, else one beside the checkpoint."""
    if content.get("contract") is not None:
        return folder / str(content["contract"])
    found = None if checkpoint is None else find_contract_file(checkpoint)
    if found is not None:
        warnings.append(
            f"{where}: {found.name}, which lies beside the checkpoint, was read; what the "
            "configuration says wins"
        )
    return found


def _with_file(parts: ContractParts, where: str, file: Path | None) -> list[str]:
    """Name the contract file behind problems of fields that stand there."""
    sources = dict(parts.sources)
    problems = []
    for problem in parts.problems:
        name = problem.partition(":")[0].removeprefix(f"{where}.")
        there = file is not None and sources.get(name) is Certainty.CONTRACT_FILE
        problems.append(f"{problem} (in {file.name})" if there and file else problem)
    return problems


def _claims(
    where: str, given: Mapping[str, Any], problems: Problems
) -> tuple[tuple[tuple[str, float], ...], str]:
    """Return what is claimed by metric, and where it is written."""
    claimed: Sequence[tuple[str, float]] = [
        (metric, float(value)) for metric, value in given.items() if metric != "source"
    ]
    for name, value in claimed:
        metric = problems.attempt(f"{where}.claimed", partial(get, name))
        high = None if metric is None else metric.high
        top = math.inf if high is None else high
        if metric is not None and not metric.low <= value <= top:
            problems.append(
                f"{where}.claimed.{name}: must lie in [{metric.low:g}, {top:g}], was {value:g}"
            )
    return tuple(claimed), str(given.get("source", ""))
