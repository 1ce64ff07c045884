"""A first audit.yaml, from what can be recognised and probed.

What the checkpoint shows, and what its maker ships, stands there as a comment with its source: `check` and
`run` find it again, and the report keeps saying who says it. What would be a scientific choice, or what
only the maker knows, stands there as a line to fill in, so that `segaudit check` asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from auditor.cases import Gathered, gather, read_manifest
from auditor.config import parse_config
from auditor.errors import ConfigError, DataError
from auditor.pipeline.audit_text import (
    PRESET_OF,
    AuditText,
    flow,
    relative,
    system_name,
    write_audit,
)
from auditor.pipeline.given_cases import label_numbers, source_of
from auditor.systems.contract import canonical_text
from auditor.systems.probe import ProbeReport, probe
from auditor.systems.questions import Question, is_settled
from auditor.systems.sidecars import Located, locate

__all__ = ["draft"]

_FIRST = 5
"""References of so many cases are looked through for their labels."""


def draft(
    checkpoint: Path, data: Path, *, modality: str | None, folder: Path
) -> tuple[str, tuple[str, ...]]:
    """Write a first configuration.

    Parameters
    ----------
    checkpoint : Path
        File or folder to audit; it is probed in its sandbox.
    data : Path
        CSV table of cases, or a folder in a layout that is recognised.
    modality : str or None
        None: as the layout of the cases says, else left to fill in.
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
    source = source_of(data)
    gathered = gather(data) if data.is_dir() else None
    cases = read_manifest(source)
    located = locate(checkpoint)
    report = probe(located.checkpoint)
    numbers = label_numbers(cases[:_FIRST])
    if not numbers:
        msg = f"the references of the first {_FIRST} cases must hold a label, they are all empty"
        raise DataError(msg)
    called = _called(located, gathered, numbers)
    modality = modality or (gathered.modality if gathered else "") or None
    shipped = "labels" in located.sidecar.get("output", {})
    asked = [it for it in _asked(located, report) if it.name != "output.labels"]
    several = any(case.reference is None and len(case.raters) > 1 for case in cases)
    label = flow(next(iter(called)))
    text = write_audit(
        AuditText(
            name=system_name(checkpoint),
            seed=1,
            data=("folder" if gathered else "table", relative(data, folder)),
            modality=modality,
            reference="{use: majority, tie: above_half}" if several else "",
            labels=flow(dict(called)) if shipped else "",
            system=system_name(checkpoint),
            checkpoint=relative(checkpoint, folder),
            contract=() if shipped else (("output.labels", flow(dict(called)), _channels(report)),),
            found=_found(located, report),
            questions=tuple(line for it in asked for line in (f"{it.name}: {it.why}", it.line)),
            preset=PRESET_OF.get(modality or "", "generic"),
            label=next(iter(called)),
            criteria=(
                f"C-01: {{label: {label}, metric: dsc, at: clean, mean_at_least: .., evidence: assured}}",
            ),
        )
    )
    told = ", ".join(f"{name} ({number})" for name, number in called.items())
    raters = max(len(case.raters) for case in cases)
    patients = len({case.patient for case in cases})
    notes = [
        (
            f"recognised {gathered.text if gathered else f'table {data.name}'}: {len(cases)} cases of "
            f"{patients} patients, {raters} rater(s) each, labels {told}"
        ),
        *(
            f"label {name} ({number}) is in none of the first references; take it out if no case holds it"
            for name, number in called.items()
            if number not in numbers
        ),
        *(gathered.notes if gathered else ()),
        *located.notes,
        *(f"say, where you know it: {it.name}: {it.why}" for it in asked),
        *(f"fill in: {problem}" for problem in _left_open(text, folder)),
        *_unsettled(report, located),
    ]
    return text, tuple(notes)


def _called(
    located: Located, gathered: Gathered | None, numbers: Sequence[int]
) -> Mapping[str, int]:
    """Name the labels that the references hold: by the maker, else by the layout, else by number."""
    shipped = located.sidecar.get("output", {}).get("labels", {})
    listed = gathered.labels if gathered else ()
    names = {number: name for name, number in listed}
    names |= {number: name for name, number in shipped.items() if isinstance(number, int)}
    # a layout lists the labels of its references, a maker perhaps fifty organs
    wanted = dict.fromkeys((*(number for _, number in listed), *numbers))
    return {str(names.get(number, f"label_{number}")): number for number in wanted}


def _channels(report: ProbeReport) -> str:
    many = report.classes is not None and report.classes > 1
    return f"channel{f', of {report.classes},' if many else ''} of each label; its value in the references"


def _found(located: Located, report: ProbeReport) -> tuple[tuple[str, str, str], ...]:
    """List what the maker ships, and what was probed beside it."""
    read = f"sidecar, {' and '.join(located.read)}"
    shipped = {
        f"{part}.{key}": canonical_text(value)
        for part, own in located.sidecar.items()
        for key, value in own.items()
    }
    probed = [
        (it.name, it.value, it.source.value) for it in report.fields if it.name not in shipped
    ]
    return (*((name, text, read) for name, text in shipped.items()), *probed)


def _left_open(text: str, folder: Path) -> tuple[str, ...]:
    """Say what the reader of the configuration asks for."""
    try:
        parse_config(yaml.safe_load(text), folder=folder, name="audit.yaml")
    except ConfigError as error:
        return tuple(error.problems) or (str(error),)
    return ()


def _shipped(located: Located) -> set[str]:
    """Name the fields that the files of the maker tell."""
    return {f"{part}.{key}" for part, own in located.sidecar.items() for key in own}


def _asked(located: Located, report: ProbeReport) -> list[Question]:
    """List what the files of the maker leave open, and what a probe, which knows no files, does."""
    known = _shipped(located) | {question.name for question in located.questions}
    return [*located.questions, *(it for it in report.questions if not is_settled(it, known))]


def _unsettled(report: ProbeReport, located: Located) -> tuple[str, ...]:
    """Say what must be declared because no try could find it."""
    known = {it.name for it in report.fields} | _shipped(located)
    open_ = [it for it in report.questions if it.name in _REQUIRED and it.name not in known]
    return tuple(f"fill in: {it.name}: {it.why}; add {it.line}" for it in _unique(open_))


_REQUIRED = ("output.activation", "output.index", "input.size")
"""Without these a system cannot be run."""


def _unique(questions: Sequence[Question]) -> list[Question]:
    return list({it.name: it for it in questions}.values())
