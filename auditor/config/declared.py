"""The systems of a configuration: like, expand, contract files, sources."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from auditor.config.ablations import AblateShape, laid_over, read_ablation
from auditor.config.inference import TrainingShape
from auditor.config.kinds import (
    KINDS,
    kind_problems,
    runs_without_checkpoint,
    unfit,
    why_closed,
)
from auditor.config.problems import Problems
from auditor.config.settings import Settings
from auditor.config.shape import SystemShape
from auditor.config.shipped import told_by, unanswered, with_labels, without_doubles
from auditor.config.sweeps import expanded
from auditor.config.training import read_training
from auditor.errors import CheckpointError, ConfigError
from auditor.metrics.catalog import get
from auditor.schema import Certainty, SystemSpec
from auditor.systems.contract import (
    PARTS,
    ContractParts,
    Told,
    fed_axes,
    find_contract_file,
    parse_contract,
    read_contract_file,
)
from auditor.systems.sidecars import Located, locate

__all__ = ["Surroundings", "read_systems"]

_SAME_NAME = (
    "golden_agree_at_least", "contract_sensitivity", "family", "training_seed", "architecture_group",
    "precision", "batch", "threads", "device", "timeout_s", "memory_gb",
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
    settings: Settings
    """What the command line says, over everything else."""
    modality: str | None = None
    """Of the cases, which decides the unit of a level; None: not known."""


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
    entries: list[tuple[str, str, dict[str, Any]]] = []
    for name, shape in given.items():
        try:
            content = _merged(name, given, ())
        except ConfigError as error:
            # when the other entry has problems of its own, they are told there
            if shape.like not in around.names or shape.like in given:
                problems.append(str(error))
            continue
        variants = expanded(name, content, shape, problems)
        entries += [(name, f"{name}{suffix}", variant) for suffix, variant in variants]
    known = {*around.names, *(name for _, name, _ in entries)}
    specs: list[SystemSpec] = []
    for entry, name, variant in entries:
        typed = around.settings.of(entry, name, known, problems)
        specs.append(_system(f"systems.{name}", variant, typed, around, problems, warnings))
    problems += around.settings.unused(sorted(known))
    names = [spec.name for spec in specs]
    problems += [f"systems.{it}: stands twice" for it in names if names.count(it) > 1]
    return tuple(specs)


def _merged(name: str, given: Mapping[str, SystemShape], seen: tuple[str, ...]) -> dict[str, Any]:
    """Content of an entry over the entry that it is like, part by part."""
    shape = given[name]
    own = {key: getattr(shape, key) for key in shape.model_fields_set - {"like", "expand"}}
    if isinstance(own.get("ablate"), AblateShape):
        own["ablate"] = own["ablate"].model_dump(exclude_unset=True)
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
    if any(key in own for key in KINDS):
        # what runs is one thing: an entry's own kind takes the place of the other's
        for key in KINDS:
            base.pop(key, None)
    for key, value in own.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        lay = laid_over if key == "ablate" else _over
        base[key] = lay(base[key], value) if both else value
    return base


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    return {**below, **above}


def _system(
    where: str,
    content: Mapping[str, Any],
    typed: Mapping[str, Any],
    around: Surroundings,
    problems: Problems,
    warnings: list[str],
) -> SystemSpec:
    name = where.removeprefix("systems.")
    content = _with_typed(content, typed)
    wrong = kind_problems(where, content, is_callable=name in around.callables)
    problems += wrong
    runs = {} if wrong else runs_without_checkpoint(content, around.folder)
    located = None
    if not (wrong or runs):
        located = _located(where, content.get("checkpoint"), around, problems)
    checkpoint = None if located is None else located.checkpoint
    file = _contract_file(where, content, located, around.folder, warnings)
    told: list[Told] = [] if located is None else [(Certainty.SIDECAR, located.sidecar)]
    if file is not None:
        read = problems.attempt(f"{where}.contract", partial(read_contract_file, file)) or {}
        told.append((Certainty.CONTRACT_FILE, read))
    declared: dict[str, Any] = {key: content[key] for key in PARTS if key in content}
    told.append((Certainty.DECLARED, declared))
    spoken = (Certainty.COMMAND_LINE, {key: typed[key] for key in PARTS if key in typed})
    parts = parse_contract([*with_labels(told, dict(around.labels)), spoken], where)
    asked = [] if located is None else unanswered(located, [*told, spoken], where)
    problems += without_doubles(_with_file(parts, where, file, located), asked)
    if not wrong:
        problems += unfit(where, content, parts.sources, activation=parts.output.activation)
    if located is not None:
        warnings += told_by(located, where)
    flips = _flips(where, content.get("flips") or (), parts, problems)
    golden = content.get("golden")
    if golden is not None and not (around.folder / golden).is_file():
        problems.append(f"{where}.golden: must be a file, {golden!r} is none")
    claimed, source = _claims(where, content.get("claimed") or {}, problems)
    spec = SystemSpec(
        name=name,
        checkpoint=None if checkpoint is None else str(checkpoint),
        input=parts.input,
        output=replace(parts.output, activation="labels") if runs else parts.output,
        window=parts.window,
        sources=parts.sources,
        golden=None if golden is None else str(around.folder / golden),
        claimed=claimed,
        claimed_source=source,
        **runs,
        flips=flips,
        training=read_training(
            where,
            content.get("training"),
            around.modality,
            problems,
            axes=fed_axes(parts.input, parts.window),
        ),
        **{key: content[key] for key in _SAME_NAME if key in content},
    )
    return read_ablation(
        where,
        content.get("ablate"),
        spec,
        folder=around.folder,
        refused=why_closed(content, is_callable=name in around.callables),
        problems=problems,
    )


def _with_typed(content: Mapping[str, Any], typed: Mapping[str, Any]) -> dict[str, Any]:
    """Lay what the command line says over an entry; its contract has a source of its own."""
    whole = {**content, **{key: typed[key] for key in typed if key not in PARTS}}
    if typed.get("ablate") is not None:
        whole["ablate"] = laid_over(content.get("ablate"), typed["ablate"])
    if isinstance(typed.get("training"), Mapping):
        before = content.get("training")
        known = {} if before is None else before.model_dump(exclude_unset=True)
        whole["training"] = TrainingShape.model_validate({**known, **typed["training"]})
    return whole


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


def _located(
    where: str, given: str | None, around: Surroundings, problems: Problems
) -> Located | None:
    """Find the file that runs; None when there is none, and for callables."""
    if where.removeprefix("systems.") in around.callables:
        return None
    if not given:
        problems.append(
            f"{where}.checkpoint: is required, the path of the file to audit (or a command, or the "
            "folder of predictions)"
        )
        return None
    path = around.folder / given
    if not path.exists():
        problems.append(
            f"{where}.checkpoint: must exist, {given!r} does not (paths are relative to the "
            "configuration)"
        )
        return Located(path, "file")
    try:
        return locate(path)
    except CheckpointError as error:
        problems.append(f"{where}.checkpoint: {error}")
        return None


def _contract_file(
    where: str,
    content: Mapping[str, Any],
    located: Located | None,
    folder: Path,
    warnings: list[str],
) -> Path | None:
    """Return the contract file that is named, else one in the folder or beside the checkpoint."""
    if content.get("contract") is not None:
        return folder / str(content["contract"])
    if located is None:
        return None
    places = [located.checkpoint]
    given = folder / str(content["checkpoint"])
    if given.is_dir():  # the file that runs lies in it, or a few folders below
        above = located.checkpoint.parents
        places += [it / it.name for it in above if it == given or it.is_relative_to(given)]
    found = next((file for it in places if (file := find_contract_file(it)) is not None), None)
    if found is not None:
        warnings.append(
            f"{where}: {found.name}, which lies beside the checkpoint, was read; what the "
            "configuration says wins"
        )
    return found


def _with_file(
    parts: ContractParts, where: str, file: Path | None, located: Located | None
) -> list[str]:
    """Name the file, or the command line, behind problems of fields that stand there."""
    sources = dict(parts.sources)
    told = {Certainty.COMMAND_LINE: " (on the command line)"}
    if file is not None:
        told[Certainty.CONTRACT_FILE] = f" (in {file.name})"
    if located is not None and located.read:
        told[Certainty.SIDECAR] = f" (in {' or '.join(located.read)})"
    named = [(it, it.partition(":")[0].removeprefix(f"{where}.")) for it in parts.problems]
    return [f"{it}{told.get(sources.get(name, Certainty.DEFAULT), '')}" for it, name in named]


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
