"""Which bytes a system is: one SHA-256 each, whatever it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from auditor.config import AuditConfig
from auditor.errors import AuditError, ConfigError
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
        When something cannot be run or read: all of them at once.
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
    if problems:
        msg = "these systems cannot be run:"
        raise ConfigError(msg, problems)
    return known


def _digest(spec: SystemSpec) -> str:
    if spec.command:
        return identify_command(spec).sha256
    if spec.predictions is not None:
        return identify_predictions(spec).sha256
    return sniff(Path(str(spec.checkpoint))).sha256
