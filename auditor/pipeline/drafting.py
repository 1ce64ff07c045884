"""A first audit.yaml, from what can be recognised and probed.

What was found stands there as a value with its source; what would be a scientific choice, or what only
the maker knows, stands there as a line to fill in, so that `segaudit check` asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auditor.cases import read_manifest, read_mask
from auditor.errors import DataError
from auditor.pipeline.audit_text import (
    PRESET_OF,
    AuditText,
    relative,
    system_name,
    write_audit,
)
from auditor.schema import CaseRecord, ReferenceRule
from auditor.systems.probe import ProbeReport, probe

__all__ = ["draft"]


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the cases of the draft are."""

    table: Path | None = None
    folder: Path | None = None
    images: Path | None = None
    references: Path | None = None
    modality: str = "other"
    state: str = "raw"
    reference: ReferenceRule = field(default_factory=ReferenceRule)


def draft(
    checkpoint: Path, data: Path, *, modality: str | None, folder: Path
) -> tuple[str, tuple[str, ...]]:
    """Write a first configuration.

    Parameters
    ----------
    checkpoint : Path
        The file to audit; it is probed in its sandbox.
    data : Path
        CSV table of cases, or a folder in a layout that is recognised.
    modality : str or None
        None: left to fill in.
    folder : Path
        Of the file to be written; paths in it are relative to this.

    Returns
    -------
    text : str
        audit.yaml.
    notes : tuple of str
        What was recognised, and what is left to fill in.

    Raises
    ------
    CheckpointError
        When the file is no checkpoint that can be run.
    DataError
        When no case is recognised.
    """
    if not data.exists():
        msg = f"the cases must be a CSV table or a folder, {data} does not exist"
        raise DataError(msg)
    source = _Source(folder=data) if data.is_dir() else _Source(table=data)
    cases = read_manifest(source)
    report = probe(checkpoint)
    numbers = _labels(cases)
    name = system_name(checkpoint)
    patients = len({case.patient for case in cases})
    raters = max(len(case.raters) for case in cases)
    several = raters > 1 and any(case.reference is None for case in cases)
    notes = [
        (
            f"recognised {len(cases)} cases of {patients} patients, {raters} rater(s) each, labels "
            f"{', '.join(map(str, numbers))} in the first references"
        ),
        *(f"fill in: {question.name}: {question.why}" for question in report.questions),
    ]
    label = f"label_{numbers[0]}"
    text = AuditText(
        name=name,
        seed=1,
        data=("folder" if data.is_dir() else "table", relative(data, folder)),
        modality=modality,
        reference="{use: majority, tie: above_half}" if several else "",
        system=name,
        checkpoint=relative(checkpoint, folder),
        contract=_contract(report, numbers),
        questions=tuple(
            line
            for question in report.questions
            if question.name != "output.labels"
            for line in (f"{question.name}: {question.why}", question.line)
        ),
        preset=PRESET_OF.get(modality or "", "generic"),
        label=label,
        criteria=(
            f"C-01: {{label: {label}, metric: dsc, at: clean, mean_at_least: .., evidence: assured}}",
        ),
    )
    return write_audit(text), tuple(notes)


def _contract(report: ProbeReport, numbers: Sequence[int]) -> tuple[tuple[str, str, str], ...]:
    """Return found values, and the labels by their numbers."""
    labels = ", ".join(f"label_{number}: {number}" for number in numbers)
    found = [
        (it.name, it.value, it.source.value)
        for it in report.fields
        if it.name.startswith(("input.", "output.")) and it.name != "output.labels"
    ]
    return (*found, ("output.labels", f"{{{labels}}}", "channel of each label; rename them"))


def _labels(cases: Sequence[CaseRecord]) -> list[int]:
    """Label numbers in the references of the first cases."""
    import torch

    found: set[int] = set()
    for case in cases[:5]:
        path = case.reference or case.raters[0]
        found |= {int(number) for number in torch.unique(read_mask(path)[0])}
    found -= {0}
    if not found:
        msg = "the references of the first five cases must hold a label, they are all empty"
        raise DataError(msg)
    return sorted(found)
