"""Who and what a table is about: systems with their training runs, cases with their patients."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditor.cases.manifest import finished
from auditor.pipeline.measured_options import TableOptions
from auditor.pipeline.measured_values import Lines, Measured, number_of
from auditor.schema import CaseRecord, Contract, ContractStatus, SystemRecord

__all__ = ["FORMAT", "Subjects", "subjects_of"]

_WHOLE = re.compile(r"-?[0-9]{1,18}")

FORMAT = "measured elsewhere"
"""Format of a system that only its measurements are known of."""


@dataclass(frozen=True, slots=True)
class Subjects:
    """Systems and cases of a table."""

    systems: tuple[SystemRecord, ...]
    """In the order of the table."""
    of_lines: tuple[str, ...]
    """Name of the system of each measurement."""
    cases: tuple[CaseRecord, ...]
    """In the order of their display ids."""
    varying: tuple[str, ...]
    """Columns of groups that differ within a case, which are left out."""


def subjects_of(found: Sequence[Measured], options: TableOptions, lines: Lines) -> Subjects:
    """Collect systems and cases.

    A system with several training seeds is several systems of one family: a claim about an architecture
    needs several runs, a claim about a checkpoint one.

    Parameters
    ----------
    found : measurements
    options : what the user says
    lines : problems are added to it
    """
    seeds: dict[str, dict[str, None]] = defaultdict(dict)
    families: dict[str, dict[str, None]] = defaultdict(dict)
    for it in found:
        system = it.cell.get("system")
        if not system:
            lines.add("the system is empty", it.cell)
        if system.startswith("control:"):
            lines.add(
                "a system must not be called control:.., which are those of an audit", it.cell
            )
        seed = it.cell.get("training_seed")
        if seed and not _WHOLE.fullmatch(seed):
            lines.add("the training seed must be a whole number", it.cell, seed[:30])
        seeds[system][seed] = None
        families[system][it.cell.get("family")] = None
    for it in found:
        if len(families[it.cell.get("system")]) > 1:
            lines.add("a system must be of one family", it.cell)
    names: dict[tuple[str, str], str] = {
        (system, seed): f"{system}-seed{seed or '?'}" if len(own) > 1 else system
        for system, own in seeds.items()
        for seed in own
    }
    records = tuple(
        _record(
            name,
            family=next(iter(families[system])) or (system if len(seeds[system]) > 1 else ""),
            seed=seed,
        )
        for (system, seed), name in names.items()
    )
    return Subjects(
        systems=records,
        of_lines=tuple(names[it.cell.get("system"), it.cell.get("training_seed")] for it in found),
        cases=_cases(found, options, lines),
        varying=_varying(found),
    )


def _record(name: str, *, family: str, seed: str) -> SystemRecord:
    note = "measured elsewhere: nothing here ran it, or knows how it was run"
    return SystemRecord(
        name=name,
        family=family,
        training_seed=int(seed) if _WHOLE.fullmatch(seed) else None,
        format=FORMAT,
        sha256="",
        size_bytes=0,
        contract=Contract((), ContractStatus.DECLARED_ONLY, note),
        golden_pairs=0,
        golden_agreement=None,
        claimed=(),
        claimed_source="",
        sandbox=(),
        statuses=(),
    )


def _cases(
    found: Sequence[Measured], options: TableOptions, lines: Lines
) -> tuple[CaseRecord, ...]:
    patients: dict[str, str] = {}
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for it in found:
        case = it.cell.get("case") or it.cell.get("patient")
        patient = case if options.patients_are_cases else it.cell.get("patient")
        if not case:
            lines.add("the case is empty", it.cell)
        if case and not patient:
            # a case of its own would be one patient more than there are, and every interval too narrow
            lines.add("the patient is empty", it.cell)
        if patients.setdefault(case, patient) != patient:
            lines.add("a case must belong to one patient, this line names another", it.cell)
        for column, text in it.cell.groups.items():
            groups[case].setdefault(column, "" if text.lower() == "nan" else text)
    records = [
        CaseRecord(
            case=case,
            patient=patient,
            images=(),
            reference=None,
            metadata=tuple(groups[case].items()),
        )
        for case, patient in patients.items()
    ]
    return finished(records)


def _varying(found: Sequence[Measured]) -> tuple[str, ...]:
    """Columns that are no property of a case, for they differ within one."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for it in found:
        case = it.cell.get("case") or it.cell.get("patient")
        for column, text in it.cell.groups.items():
            seen[column, case].add(text)
    return tuple(dict.fromkeys(column for (column, _), texts in seen.items() if len(texts) > 1))


def is_number(text: str) -> bool:
    """Tell whether a cell holds a plain finite number."""
    return number_of(text) is not None


def numbers(values: Mapping[str, str]) -> dict[str, float | str | None]:
    """Case -> number where the text is one; None where it is empty."""
    return {
        case: (number_of(text) if is_number(text) else text or None)
        for case, text in values.items()
    }
