"""What can be told of a checkpoint without any data: the work of ``segaudit inspect``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from auditor.config.declared import Surroundings, read_systems
from auditor.config.problems import Problems
from auditor.config.settings import ALL, Settings
from auditor.config.shape import SystemShape
from auditor.errors import ConfigError
from auditor.pipeline.audit_text import system_name
from auditor.schema import ContractField, SystemSpec
from auditor.systems.completion import filled
from auditor.systems.contract import contract_fields
from auditor.systems.description import Description
from auditor.systems.probe import ProbeReport, probe_system
from auditor.systems.questions import Question, is_settled
from auditor.systems.sidecars import Located, locate
from auditor.systems.sniff import Sniffed, sniff

__all__ = ["Inspection", "inspect_checkpoint"]


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything that is known of a checkpoint."""

    located: Located
    """The file that runs, and what its maker ships with it."""
    sniffed: Sniffed
    """Format, digest, size."""
    spec: SystemSpec
    """The system as far as it is known."""
    contract: tuple[ContractField, ...]
    """Every field with its value and who says it, sorted by name."""
    report: ProbeReport
    """What was found by trying, the network's description included."""
    questions: tuple[Question, ...]
    """What only the maker or the user knows, and nobody said."""
    notes: tuple[str, ...]
    """Which files were read, and what of them could not be followed."""

    @property
    def description(self) -> Description | None:
        """Operators, outputs, skip connections; None when it could not be looked into."""
        return self.report.description


def inspect_checkpoint(
    path: Path,
    *,
    settings: Mapping[str, Any] = MappingProxyType({}),
    limit_s: float = 60.0,
    thorough: bool = True,
) -> Inspection:
    """Look at a checkpoint from all sides, in its sandbox.

    Parameters
    ----------
    path : Path
        A file, or the folder of a MONAI bundle or an nnU-Net training. A contract file beside it is read.
    settings : mapping, optional
        Dotted field of the system -> value, over everything else: ``{"input.channels": 2}``.
    limit_s : float
        After this time no further try begins.
    thorough : bool
        False: only what the contract needs, without the network's description.

    Returns
    -------
    Inspection

    Raises
    ------
    CheckpointError
        When there is nothing that can be run, or it cannot be started.
    ConfigError
        When a contract file or a setting cannot be read; every problem at once.
    """
    located = locate(path)
    sniffed = sniff(located.checkpoint)
    spec, notes = _declared(path, located, settings)
    known = frozenset(name for name, _ in spec.sources)
    report = probe_system(spec, declared=known, limit_s=limit_s, thorough=thorough)
    whole = filled(spec, report.fields)
    said = {name for name, _ in whole.sources}
    asked = {it.name: it for it in (*located.questions, *report.questions)}
    questions = tuple(it for it in asked.values() if not is_settled(it, said))
    return Inspection(located, sniffed, whole, contract_fields(whole), report, questions, notes)


def _declared(
    path: Path, located: Located, settings: Mapping[str, Any]
) -> tuple[SystemSpec, tuple[str, ...]]:
    """Read what is said of a system by its maker, a contract file and the command line."""
    name = system_name(path)
    problems, warnings = Problems(), list[str]()
    around = Surroundings(
        folder=Path.cwd(),
        callables=frozenset(),
        labels=(),
        names=(name,),
        settings=Settings({f"{ALL}.{field}": value for field, value in settings.items()}),
    )
    shape = SystemShape(checkpoint=str(path.resolve()))
    specs = read_systems({name: shape}, around, problems=problems, warnings=warnings)
    asked = {"output.labels", *(it.name for it in located.questions)}
    prefix = f"systems.{name}."
    wrong = [
        problem.removeprefix(prefix)
        for problem in problems
        if problem.partition(":")[0].removeprefix(prefix) not in asked
    ]
    if wrong:
        msg = f"{len(wrong)} problem(s) with what is declared of {path.name}:"
        raise ConfigError(msg, wrong)
    (spec,) = specs
    told = tuple(warning.partition(": ")[2] for warning in warnings)
    return spec, told
