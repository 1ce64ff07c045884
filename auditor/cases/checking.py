"""Every problem of every case, at once, before any long work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from auditor.cases.layouts import CasesSource, gather_source
from auditor.cases.manifest import names_patients
from auditor.cases.reference_rules import rule_problems, rule_warnings
from auditor.errors import DataError
from auditor.schema import CaseRecord, Geometry
from auditor.volumes.geometry import difference
from auditor.volumes.images import read_mask, read_volume

__all__ = ["Checked", "check_cases", "contradiction"]

Labels = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found."""

    problems: tuple[str, ...]
    """Each stops the audit."""
    warnings: tuple[str, ...]
    """Worth knowing."""
    geometries: tuple[Geometry, ...]
    """Of each readable scan, in the order of the cases."""


@dataclass(slots=True)
class _Findings:
    """Collected over all cases."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    geometries: list[Geometry] = field(default_factory=list)
    channels: dict[int, str] = field(default_factory=dict)
    """Number of channels -> the first case that has it."""
    numbers: set[int] = field(default_factory=set)
    """Every label number in any mask."""


def check_cases(cases: Sequence[CaseRecord], source: CasesSource, *, labels: Labels) -> Checked:
    """Read every file once and list everything that does not fit.

    Parameters
    ----------
    cases : sequence of CaseRecord
        From `auditor.cases.read_manifest`.
    source : CasesSource
        What the configuration says of them: modality, state, which mask counts.
    labels : tuple of (name, number)
        Audited labels.

    Returns
    -------
    Checked
        Problems: unreadable or non-finite images, masks on another grid, labels that no mask holds,
        cases without the mask that the rule asks for, scans with other axes, units or channels than
        the rest. Warnings: labels that are not audited, empty references, voxels that contradict
        the declared state, one image under two names, patients that were never named.
    """
    found = _Findings(warnings=_manifest_warnings(cases, source))
    found.warnings += rule_warnings(cases, source.reference)
    for record in cases:
        found.problems += rule_problems(record, source.reference)
        geometry = _check_image(record, source, found)
        masks = [record.reference] if record.reference else []
        for path in (*masks, *record.raters):
            _check_mask(record, path, geometry, labels, found)
    found.problems += _audit_problems(found, labels)
    return Checked(
        tuple(found.problems), tuple(dict.fromkeys(found.warnings)), tuple(found.geometries)
    )


def _manifest_warnings(cases: Sequence[CaseRecord], source: CasesSource) -> list[str]:
    warnings = []
    gathered = gather_source(source)
    if gathered is not None:
        warnings.append(f"cases: recognised {gathered.text}, {len(cases)} cases")
        warnings += [f"cases: {note}" for note in gathered.notes]
    if gathered is None:
        named = source.table is not None and names_patients(source.table)
    else:
        named = gathered.names_patients
    if len(cases) > 1 and not named:
        warnings.append(
            "cases: every case counts as a patient of its own; intervals and bounds are too narrow if "
            "one patient has several: name them in the column patient of a table"
        )
    first: dict[tuple[tuple[str, str], ...], CaseRecord] = {}
    for record in cases:
        files = tuple(pair for pair in record.digests if pair[0].startswith("image_"))
        before = first.setdefault(files, record) if files else record
        if before is not record:
            whose = "one patient" if before.patient == record.patient else "two patients"
            warnings.append(
                f"cases {before.case!r} and {record.case!r} of {whose} have the same image, byte for "
                "byte"
            )
    return warnings


def _check_image(record: CaseRecord, source: CasesSource, found: _Findings) -> Geometry | None:
    try:
        image, geometry = read_volume(record.images)
    except DataError as error:
        found.problems.append(f"case {record.case!r}: {error}")
        return None
    found.geometries.append(geometry)
    found.channels.setdefault(len(image), record.case)
    found.warnings += _contradictions(record, image, source)
    return geometry


def _check_mask(
    record: CaseRecord, path: str, geometry: Geometry | None, labels: Labels, found: _Findings
) -> None:
    name = Path(path).name
    where = f"case {record.case!r}"
    try:
        mask, grid = read_mask(path)
    except DataError as error:
        found.problems.append(f"{where}: {error}")
        return
    told = difference(geometry, grid) if geometry is not None else ""
    if told:
        image = Path(record.images[0]).name
        found.problems.append(f"{where}: {image} and {name} must lie on one grid: {told}")
    numbers = {int(number) for number in torch.unique(mask)} - {0}
    found.numbers |= numbers
    audited = {number for _, number in labels}
    if numbers - audited:
        strange = ", ".join(map(str, sorted(numbers - audited)))
        found.warnings.append(
            f"{where}: {name} holds the labels {strange}, which no system declares; they count as "
            "background"
        )
    if not numbers & audited:
        found.warnings.append(f"{where}: {name} is empty: it holds none of the audited labels")


def _audit_problems(found: _Findings, labels: Labels) -> list[str]:
    """List what only all cases together show."""
    problems = []
    held = ", ".join(map(str, sorted(found.numbers))) or "nothing"
    for name, number in labels:
        # an unreadable mask, reported already, may be the one that holds it
        if number not in found.numbers and not found.problems:
            problems.append(
                f"label {name} ({number}) must occur in a reference; all of them hold {held}"
            )
    units = sorted({geometry.unit for geometry in found.geometries})
    dims = sorted({len(geometry.shape) for geometry in found.geometries})
    if len(units) > 1 or len(dims) > 1:
        problems.append(
            "all scans of an audit must have as many axes, and all a spacing or none; there are "
            f"{' and '.join(f'{n}-D' for n in dims)} scans in {' and '.join(units)}"
        )
    if len(found.channels) > 1:
        told = ", ".join(f"{n} (case {case!r})" for n, case in sorted(found.channels.items()))
        problems.append(f"all scans of an audit must have as many channels; there are {told}")
    return problems


def _contradictions(record: CaseRecord, image: Tensor, source: CasesSource) -> list[str]:
    """Say what the voxels say against the declared modality and state."""
    where = f"case {record.case!r}"
    low, high = float(image.min()), float(image.max())
    if low == high:
        return [f"{where}: the image is constant ({low:g})"]
    if told := contradiction(image, modality=source.modality, state=source.state):
        return [f"{where}: {told}"]
    if source.state == "raw" and abs(float(image.mean())) < 0.1 and 0.8 < float(image.std()) < 1.2:
        told = _declared(source.modality, low, high)
        return [f"{where}: {told} with mean 0 and standard deviation 1: is it normalised already?"]
    return []


def contradiction(image: Tensor, *, modality: str, state: str) -> str:
    """Say why voxels are no raw scan of the declared modality; empty when they may be one.

    Parameters
    ----------
    image : (channel, z, y, x) or (channel, y, x), intensities as they were read
    modality, state : str
        As declared. Scans that are not raw may hold any values.
    """
    low, high = float(image.min()), float(image.max())
    if state == "raw" and modality == "ct" and low > -500:
        return f"{_declared(modality, low, high)}: raw CT reaches the -1000 HU of air"
    if state == "raw" and modality == "mr" and low < 0:
        return f"{_declared(modality, low, high)}: magnitude MR is never negative"
    return ""


def _declared(modality: str, low: float, high: float) -> str:
    return f"declared {modality}, raw, but the values run from {low:g} to {high:g}"
