"""What a system is made of, when it is no file in a sandbox: a command, or predictions made elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from auditor.schema import Certainty
from auditor.systems.command_line import placeholders_of

__all__ = ["KINDS", "kind_problems", "runs_without_checkpoint", "unfit", "why_closed"]

KINDS = ("checkpoint", "command", "predictions")
"""Keys of which a system has exactly one, callables apart."""

_CONTRACT = {
    "command": ("input.channels", "output.activation", "output.labels"),
    "predictions": ("output.activation", "output.labels"),
}
"""Fields that mean something without a network in the auditor's hands."""

_UNFIT = {
    "checkpoint": ("files", "version"),
    "command": ("batch", "memory_gb", "flips", "precision"),
    "predictions": (
        "files", "batch", "threads", "device", "timeout_s", "memory_gb", "flips", "precision",
        "golden", "golden_agree_at_least",
    ),
}  # fmt: skip
"""Other keys that mean nothing for a kind."""

_WHY = {
    "checkpoint": "only a command or predictions have it",
    "command": "the command does this itself",
    "predictions": "predictions were made elsewhere",
}


def kind_problems(where: str, content: Mapping[str, Any], *, is_callable: bool) -> list[str]:
    """Say whether an entry has one of the things that can run.

    Parameters
    ----------
    where : str
        Path of the system: ``systems.vendor-a``.
    content : mapping
        Its entry, with what it inherits.
    is_callable : bool
        True for a Python callable, which has none of them.
    """
    given = [kind for kind in KINDS if content.get(kind)]
    if is_callable:
        return [f"{where}.{kind}: must be left out, the system is a callable" for kind in given]
    if len(given) > 1:
        return [f"{where}: must have one of {', '.join(KINDS)}, has {' and '.join(given)}"]
    return []


def why_closed(content: Mapping[str, Any], *, is_callable: bool) -> str:
    """Say why nothing inside the network of a system can be changed; empty when it can.

    Parameters
    ----------
    content : mapping
        Its entry, with what it inherits.
    is_callable : bool
        True for a Python callable.
    """
    if is_callable:
        return "a Python callable is not looked into; make it with auditor.ablated, or give a checkpoint"
    if content.get("command"):
        return "the network behind a command cannot be reached; only that of a checkpoint can"
    if content.get("predictions"):
        return "predictions were made elsewhere; only the network of a checkpoint can be changed"
    return ""


def runs_without_checkpoint(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the fields of `SystemSpec` that say what runs; empty for checkpoints and callables.

    Parameters
    ----------
    content : mapping
        Entry of a system.
    folder : Path
        Of the configuration: a command runs in it.
    """
    if content.get("command"):
        chosen = {key: content[key] for key in ("files", "version") if key in content}
        return {"command": tuple(content["command"]), "runs_in": str(folder), **chosen}
    if content.get("predictions"):
        return {
            "predictions": str(folder / content["predictions"]),
            "version": content.get("version", ""),
        }
    return {}


def unfit(
    where: str,
    content: Mapping[str, Any],
    sources: Sequence[tuple[str, Certainty]],
    *,
    activation: str,
) -> list[str]:
    """Name everything that means nothing for this kind of system.

    Parameters
    ----------
    where : str
        Path of the system.
    content : mapping
        Its entry, with what it inherits.
    sources : sequence of (dotted name, source)
        Of the fields of its contract that somebody stated.
    activation : str
        Of the contract as it was read.
    """
    kind = next((it for it in ("command", "predictions") if content.get(it)), "checkpoint")
    why = _WHY[kind]
    problems = [f"{where}.{key}: must be left out, {why}" for key in _UNFIT[kind] if key in content]
    if kind == "checkpoint":
        return problems
    stated = dict(sources)
    problems += [
        f"{where}.{name}: must be left out, {why}"
        for name in sorted(stated)
        if name not in _CONTRACT[kind]
    ]
    if "output.activation" in stated and activation != "labels":
        problems.append(
            f"{where}.output.activation: must be labels (or left out), for {kind} gives label maps, was "
            f"{activation}"
        )
    if kind == "command":
        problems += _unused(where, content, placeholders_of(content["command"]))
    return problems


def _unused(where: str, content: Mapping[str, Any], used: Collection[str]) -> list[str]:
    return [
        f"{where}.{key}: is said, but the command does not use it; write {{{key}}} where it belongs"
        for key in ("threads", "device")
        if key in content and key not in used
    ]
