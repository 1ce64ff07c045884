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
from auditor.pipeline.inspecting import Inspection, inspect_checkpoint
from auditor.schema import Certainty

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
    found = inspect_checkpoint(checkpoint, thorough=False)
    located = found.located
    numbers = label_numbers(cases[:_FIRST])
    if not numbers:
        msg = f"the references of the first {_FIRST} cases must hold a label, they are all empty"
        raise DataError(msg)
    shipped = _shipped(found)
    called = _called(shipped, gathered, numbers)
    modality = modality or (gathered.modality if gathered else "") or None
    asked = [it for it in found.questions if it.name != "output.labels"]
    needed = {it.name for it in located.questions} | _REQUIRED
    several = any(case.reference is None and len(case.raters) > 1 for case in cases)
    label = flow(next(iter(called)))
    declared = () if shipped else _label_lines(called, found)
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
            contract=declared,
            found=_found(found),
            asked=(
                *((it.line, f"{'fill in: ' if it.name in needed else ''}{it.why}") for it in asked),
                *(
                    (f"{key}: {flow(value)}", "as the maker predicts; not switched on by itself")
                    for key, value in located.settings.items()
                ),
            ),
            preset=PRESET_OF.get(modality or "", "generic"),
            label=next(iter(called)),
            criteria=(
                f"C-01: {{label: {label}, metric: dsc, at: clean, mean_at_least: .., evidence: assured}}",
            ),
        )
    )
    told = ", ".join(f"{name} ({number})" for name, number in called.items())
    raters = max(len(case.raters) for case in cases)
    rated = f"{raters} rater(s) each, " if raters else ""
    patients = len({case.patient for case in cases})
    notes = [
        (
            f"recognised {gathered.text if gathered else f'table {data.name}'}: {len(cases)} cases of "
            f"{patients} patients, {rated}labels {told}"
        ),
        *(
            f"label {name} ({number}) is in none of the first references; take it out if no case holds it"
            for name, number in called.items()
            if number not in numbers
        ),
        *(gathered.notes if gathered else ()),
        *found.notes,
        *(note for note in located.notes if note not in found.notes),
        *_disputed(shipped, gathered, numbers),
        *(f"say, where you know it: {it.name}: {it.why}" for it in asked if it.name not in needed),
        *(f"fill in: {problem}" for problem in _left_open(text, folder)),
        *(
            why.replace(":", f": {name}:", 1)
            for name, _, why in declared
            if why.startswith("fill in")
        ),
        *(f"fill in: {it.name}: {it.why}; add {it.line}" for it in asked if it.name in needed),
    ]
    return text, tuple(notes)


def _shipped(found: Inspection) -> Mapping[str, int]:
    """Return the labels that the maker or a contract file names; empty: none does."""
    if "output.labels" not in dict(found.spec.sources):
        return {}
    return dict(found.spec.output.labels)


def _called(
    shipped: Mapping[str, int], gathered: Gathered | None, numbers: Sequence[int]
) -> Mapping[str, int]:
    """Name the labels that the references hold: by the maker, else by the layout, else by number."""
    listed = gathered.labels if gathered else ()
    names = {number: name for name, number in listed}
    names |= {number: name for name, number in shipped.items()}
    # a layout lists the labels of its references, a maker perhaps fifty organs
    wanted = list(dict.fromkeys((*(number for _, number in listed), *numbers)))
    both = [number for number in wanted if number in shipped.values()]
    wanted = both or wanted
    return {str(names.get(number, f"label_{number}")): number for number in wanted}


def _disputed(
    shipped: Mapping[str, int], gathered: Gathered | None, numbers: Sequence[int]
) -> tuple[str, ...]:
    """Say where the maker and the cases do not speak of the same labels."""
    if not shipped:
        return ()
    listed = {number: name for name, number in (gathered.labels if gathered else ())}
    called = {number: name for name, number in shipped.items()}
    others = [number for number in dict.fromkeys((*listed, *numbers)) if number not in called]
    return (
        *(
            f"label {number} is {called[number]} for the maker of the checkpoint and {name} for the cases; "
            "make sure that both mean the same"
            for number, name in listed.items()
            if number in called and called[number].casefold() != name.casefold()
        ),
        *(
            f"label {listed.get(number, number)} ({number}) of the cases is none that the maker lists; it "
            "is not audited"
            for number in others
        ),
    )


def _label_lines(called: Mapping[str, int], found: Inspection) -> tuple[tuple[str, str, str], ...]:
    """Declare the labels of the references, and the channel where one reading only is left."""
    channels = found.report.classes
    many = channels is not None and channels > 1
    why = f"channel{f', of {channels},' if many else ''} of each label; its value in the references"
    known = "output.activation" in dict(found.spec.sources)
    activation = found.spec.output.activation if known else ""
    background = 1 if "softmax" in activation else 0
    if channels is None or activation == "labels" or max(called.values()) <= channels - background:
        return (("output.labels", flow(dict(called)), why),)
    (name, number), *others = called.items()
    if others or channels != 1 + background:
        beyond = f"fill in: the output has {channels} channels; add channels: {{{flow(name)}: 1}}, and so on"
        return (("output.labels", flow(dict(called)), beyond),)
    return (
        ("output.labels", flow(dict(called)), "its value in the references"),
        (
            "output.channels",
            flow({name: 1}),
            f"its channel: the one of the foreground, not {number}",
        ),
    )


def _found(found: Inspection) -> tuple[tuple[str, str, str], ...]:
    """List what the maker ships, what a contract file says, and what was probed beside it."""
    told = {Certainty.SIDECAR: f"sidecar, {' and '.join(found.located.read)}"}
    shown = [it for it in found.contract if it.source is not Certainty.DEFAULT]
    return tuple((it.name, it.value, told.get(it.source, it.source.value)) for it in shown)


def _left_open(text: str, folder: Path) -> tuple[str, ...]:
    """Say what the reader of the configuration asks for."""
    try:
        parse_config(yaml.safe_load(text), folder=folder, name="audit.yaml")
    except ConfigError as error:
        return tuple(error.problems) or (str(error),)
    return ()


_REQUIRED = {"output.activation", "output.index", "input.size"}
"""Without these a system cannot be run."""
