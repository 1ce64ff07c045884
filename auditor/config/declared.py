"""The systems of a configuration: like, expand, contract files, sources."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auditor.config.shape import SystemShape
from auditor.errors import ConfigError
from auditor.schema import SystemSpec
from auditor.systems.contract import (
    PARTS,
    find_contract_file,
    parse_contract,
    read_contract_file,
)

__all__ = ["read_systems"]


def read_systems(
    given: Mapping[str, SystemShape],
    *,
    folder: Path,
    callables: frozenset[str],
    labels: tuple[tuple[str, int], ...],
    problems: list[str],
) -> tuple[tuple[SystemSpec, ...], list[str]]:
    """Read every system; an entry with `expand` becomes several.

    Parameters
    ----------
    given : mapping of name to SystemShape
        As in the file.
    folder : Path
        Paths are relative to it.
    callables : frozenset of str
        Systems that need no checkpoint.
    labels : tuple of (name, number)
        Labels of the audit, for systems that declare none.
    problems : list of str
        Sentences are added to it.

    Returns
    -------
    systems, warnings
    """
    specs: list[SystemSpec] = []
    warnings: list[str] = []
    for name, shape in given.items():
        try:
            content = _merged(name, given, ())
        except ConfigError as error:
            problems.append(str(error))
            continue
        for suffix, variant in _expanded(name, content, shape, problems):
            spec = _system(
                f"{name}{suffix}", variant, folder, callables, labels, problems, warnings
            )
            specs.append(spec)
    names = [spec.name for spec in specs]
    problems += [f"systems.{name}: stands twice" for name in set(names) if names.count(name) > 1]
    return tuple(specs), warnings


def _merged(name: str, given: Mapping[str, SystemShape], seen: tuple[str, ...]) -> dict[str, Any]:
    """Content of an entry over the entry that it is like, part by part."""
    own = given[name].model_dump(exclude_unset=True, exclude={"like", "expand"})
    other = given[name].like
    if other is None:
        return own
    if other not in given or other in (*seen, name):
        near = difflib.get_close_matches(other, [key for key in given if key != name], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        msg = f"systems.{name}.like: must be another system, was {other!r}{hint}"
        raise ConfigError(msg)
    base = _merged(other, given, (*seen, name))
    for key, value in own.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        base[key] = {**base[key], **value} if both else value
    return base


def _expanded(
    name: str, content: dict[str, Any], shape: SystemShape, problems: list[str]
) -> list[tuple[str, dict[str, Any]]]:
    """One variant per value of the expanded field; several fields are crossed."""
    variants = [("", content)]
    for path, values in (shape.expand or {}).items():
        part, _, key = path.partition(".")
        if part not in ("input", "window", "output") or not key:
            problems.append(
                f"systems.{name}.expand.{path}: must name a field of input, window or output, as "
                "window.size"
            )
            continue
        variants = [
            (f"{suffix}-{_short(value)}", {**known, part: {**(known.get(part) or {}), key: value}})
            for suffix, known in variants
            for value in values
        ]
    return variants


def _short(value: object) -> str:
    if isinstance(value, list):
        parts = [_short(inner) for inner in value]
        return parts[0] if len(set(parts)) == 1 else "x".join(parts)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _system(  # one call, in the loop above
    name: str,
    content: dict[str, Any],
    folder: Path,
    callables: frozenset[str],
    labels: tuple[tuple[str, int], ...],
    problems: list[str],
    warnings: list[str],
) -> SystemSpec:
    where = f"systems.{name}"
    checkpoint = content.get("checkpoint")
    path = folder / checkpoint if checkpoint else None
    if path is None and name not in callables:
        problems.append(f"{where}.checkpoint: is required, the path of the file to audit")
    elif path is not None and not path.exists():
        problems.append(f"{where}.checkpoint: must exist, {checkpoint} does not")
    sidecar = _sidecar(content, path, folder, where, problems, warnings)
    declared: dict[str, Any] = {key: content[key] for key in PARTS if key in content}
    output = dict(declared.get("output") or {})
    if labels and "labels" not in output and "labels" not in (sidecar or {}).get("output", {}):
        declared["output"] = {**output, "labels": dict(labels)}
    parts = parse_contract(declared, where, sidecar=sidecar)
    problems += parts.problems
    golden = content.get("golden")
    if golden and not (folder / golden).exists():
        problems.append(f"{where}.golden: must exist, {golden} does not")
    claimed = dict(content.get("claimed") or {})
    source = str(claimed.pop("source", ""))
    known = {
        key: content[key]
        for key in (
            "golden_agree_at_least", "family", "training_seed", "batch", "threads", "device",
            "timeout_s", "memory_gb",
        )
        if key in content
    }  # fmt: skip
    return SystemSpec(
        name=name,
        checkpoint=str(path) if path else None,
        input=parts.input,
        output=parts.output,
        window=parts.window,
        sources=parts.sources,
        golden=str(folder / golden) if golden else None,
        claimed=tuple(
            (metric, float(value))
            for metric, value in claimed.items()
            if not isinstance(value, str)
        ),
        claimed_source=source,
        **known,
    )


def _sidecar(  # one call, above
    content: Mapping[str, Any],
    checkpoint: Path | None,
    folder: Path,
    where: str,
    problems: list[str],
    warnings: list[str],
) -> Mapping[str, Any] | None:
    named = content.get("contract")
    path = folder / named if named else None
    if path is None and checkpoint is not None and checkpoint.exists():
        path = find_contract_file(checkpoint)
        if path is not None:
            warnings.append(f"{where}: reads {path.name}, which lies beside the checkpoint")
    if path is None:
        return None
    try:
        return read_contract_file(path)
    except ConfigError as error:
        problems.append(f"{where}.contract: {error}")
        return None
