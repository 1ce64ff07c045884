"""Which bytes a system is: one SHA-256 each, whatever it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from auditor.config import AuditConfig
from auditor.errors import AuditError, ConfigError
from auditor.plan import system_identity
from auditor.schema import SystemSpec
from auditor.systems.command_line import identify_command
from auditor.systems.precomputed import identify_predictions
from auditor.systems.runners import CallableSystem
from auditor.systems.sniff import sniff

__all__ = ["identities"]


def identities(config: AuditConfig, callables: Mapping[str, CallableSystem]) -> dict[str, str]:
    """SHA-256 of every system: of its checkpoint, of its command with the files it names, or of its
    predictions; callables are identified by their own name.

    Raises
    ------
    ConfigError
        When something cannot be run or read, or two systems are one and the same: all of them at once.
    """  # noqa: D205  # the list of kinds is one thought
    known, problems = {}, []
    for spec in config.systems:
        if spec.name in callables:
            call = callables[spec.name]
            known[spec.name] = f"callable:{getattr(call, '__qualname__', type(call).__name__)}"
            continue
        kind = "command" if spec.command else "checkpoint" if spec.checkpoint else "predictions"
        try:
            known[spec.name] = _digest(spec)
        except AuditError as error:
            problems.append(f"systems.{spec.name}.{kind}: {error}")
    problems += _doubles([it for it in config.systems if it.name in known], known)
    if problems:
        msg = "these systems cannot be run:"
        raise ConfigError(msg, problems)
    return known


def _doubles(specs: Sequence[SystemSpec], known: Mapping[str, str]) -> list[str]:
    """Name systems whose stored rows could not be told from those of another."""
    first: dict[str, str] = {}
    told = []
    for spec in specs:
        same = first.setdefault(system_identity(spec, known[spec.name]), spec.name)
        if same != spec.name:
            bytes_of = "the callable" if known[spec.name].startswith("callable:") else "the bytes"
            named = "; give each callable a __qualname__ of its own" if "call" in bytes_of else ""
            told.append(
                f"systems.{spec.name}: must differ from {same}, and has {bytes_of}, contract and settings of "
                f"it, so that it would give the same answers; leave one of them out{named}"
            )
    return told


def _digest(spec: SystemSpec) -> str:
    if spec.command:
        return identify_command(spec).sha256
    if spec.predictions is not None:
        return identify_predictions(spec).sha256
    return sniff(Path(str(spec.checkpoint))).sha256
