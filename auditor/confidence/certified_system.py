"""How a certified system is run, as a certificate tells it: its contract and settings, without a path.

**Conventions.** An entry has the keys of a system in audit.yaml (input, window, output, flips, ..), with
what is not a default. Labels and their channels stand there as lists of pairs, because their order
counts and the keys of JSON have none. `runs` says what kind of thing runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from auditor.errors import DataError
from auditor.schema import Certainty, InputSpec, OutputSpec, SystemSpec, WindowSpec
from auditor.systems.command_line import shown_command
from auditor.systems.contract import parse_contract

__all__ = ["system_entry", "system_of"]

_PAIRS = ("labels", "channels")
"""Fields of the output that are mappings in audit.yaml."""

_SETTINGS = ("flips", "precision", "batch", "threads", "device")
"""Beside the contract: what predictions depend on."""

Part = TypeVar("Part", InputSpec, OutputSpec, WindowSpec)


def system_entry(spec: SystemSpec) -> dict[str, Any]:
    """Write down how a system is run.

    Parameters
    ----------
    spec : SystemSpec
        Completed, as it ran.

    Returns
    -------
    dict
        JSON values. Two systems with the same entry and the same SHA-256 have the same
        `auditor.plan.system_identity`.
    """
    runs = "command" if spec.command else "callable" if spec.checkpoint is None else "checkpoint"
    entry: dict[str, Any] = {"runs": runs, "input": _stated(spec.input, InputSpec())}
    entry["output"] = _stated(spec.output, OutputSpec())
    if spec.window is not None:
        entry["window"] = _stated(spec.window, WindowSpec(()))
    plain = SystemSpec(spec.name)
    for name in _SETTINGS:
        if getattr(spec, name) != getattr(plain, name):
            entry[name] = _listed(getattr(spec, name))
    if spec.command:
        entry |= {"command": shown_command(spec), "files": spec.files, "version": spec.version}
    return entry


def system_of(entry: Mapping[str, Any], *, name: str, checkpoint: Path | None = None) -> SystemSpec:
    """Read how a system is run.

    Parameters
    ----------
    entry : mapping
        Of `system_entry`.
    name : str
        Of the system.
    checkpoint : Path, optional
        Where its file lies now; None for a callable.

    Returns
    -------
    SystemSpec
        Time and memory are those of every system that declares none.

    Raises
    ------
    DataError
        When the entry is none, or is about a command, which only its audit can start.
    """
    if entry.get("runs") == "command":
        msg = (
            f"{name} is a command, which stands in the configuration of its audit; a certificate does "
            "not hold what would start it"
        )
        raise DataError(msg)
    try:
        spec, problems = _spec(entry, name, checkpoint)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"the certificate does not say how {name} is run ({type(error).__name__}: {error})"
        raise DataError(msg) from error
    if problems:
        msg = f"the certificate does not say how {name} is run: {'; '.join(problems)}"
        raise DataError(msg)
    return spec


def _spec(
    entry: Mapping[str, Any], name: str, checkpoint: Path | None
) -> tuple[SystemSpec, tuple[str, ...]]:
    """Return the system, and what a contract may not say."""
    parts = {key: entry[key] for key in ("input", "output", "window") if key in entry}
    spec = SystemSpec(
        name,
        None if checkpoint is None else str(checkpoint),
        input=InputSpec(**_read(parts.get("input", {}))),
        output=OutputSpec(**_read(parts["output"])),
        window=WindowSpec(**_read(parts["window"])) if "window" in parts else None,
        **{key: _tupled(entry[key]) for key in _SETTINGS if key in entry},
    )
    named = {key: dict(value) for key, value in parts["output"].items() if key in _PAIRS}
    told = {**parts, "output": {**parts["output"], **named}}
    return spec, parse_contract([(Certainty.DECLARED, told)], name).problems


def _stated(part: Part, default: Part) -> dict[str, Any]:
    known = {it.name: getattr(part, it.name) for it in fields(part)}
    return {
        name: _listed(value) for name, value in known.items() if value != getattr(default, name)
    }


def _read(stated: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _tupled(value) for name, value in stated.items()}


def _listed(value: Any) -> Any:  # noqa: ANN401  # any field of a contract
    return [_listed(it) for it in value] if isinstance(value, tuple) else value


def _tupled(value: Any) -> Any:  # noqa: ANN401  # any JSON value of a contract
    return tuple(_tupled(it) for it in value) if isinstance(value, list | tuple) else value
