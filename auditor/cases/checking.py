"""Every problem of every case, at once, before any long work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from auditor.cases.geometry import difference
from auditor.cases.images import read_mask, read_volume
from auditor.errors import DataError
from auditor.schema import CaseRecord, Geometry, ReferenceRule

__all__ = ["Checked", "check_cases"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found."""

    problems: tuple[str, ...]
    """Each stops the audit."""
    warnings: tuple[str, ...]
    """Worth knowing."""
    geometries: tuple[Geometry, ...]
    """Of each readable scan, in the order of the cases."""


def check_cases(
    cases: Sequence[CaseRecord],
    *,
    modality: str,
    state: str,
    labels: tuple[tuple[str, int], ...],
    reference_rule: ReferenceRule,
) -> Checked:
    """Read every file once and list everything that does not fit.

    Parameters
    ----------
    cases, modality, state, labels, reference_rule
        As declared.

    Returns
    -------
    Checked
        Problems: unreadable or non-finite images, masks on another grid, labels that no mask holds,
        cases without the mask that the rule asks for. Warnings: labels that are not audited, empty
        references, voxels that contradict the declared state.
    """
    problems: list[str] = []
    warnings: list[str] = []
    geometries: list[Geometry] = []
    seen: set[int] = set()
    for record in cases:
        try:
            image, geometry = read_volume(record.images)
        except DataError as error:
            problems.append(f"case {record.case!r}: {error}")
            continue
        geometries.append(geometry)
        warnings += _contradictions(record, image, modality, state)
        for path in _masks(record):
            found = _check_mask(record, path, geometry, labels, problems, warnings)
            seen |= found
        problems += _rule_problems(record, reference_rule)
    for name, number in labels:
        if cases and not problems and number not in seen:
            problems.append(
                f"label {name} ({number}) occurs in no reference; the references hold "
                f"{', '.join(map(str, sorted(seen))) or 'nothing'}"
            )
    units = {geometry.unit for geometry in geometries}
    dims = {len(geometry.shape) for geometry in geometries}
    if len(units) > 1 or len(dims) > 1:
        problems.append(
            "all scans of an audit must be 2-D or 3-D alike, and all with or all without a spacing; "
            f"there are {sorted(dims)} axes in {sorted(units)}"
        )
    return Checked(tuple(problems), tuple(dict.fromkeys(warnings)), tuple(geometries))


def _masks(record: CaseRecord) -> list[str]:
    return [*([record.reference] if record.reference else []), *record.raters]


def _check_mask(
    record: CaseRecord,
    path: str,
    geometry: Geometry,
    labels: tuple[tuple[str, int], ...],
    problems: list[str],
    warnings: list[str],
) -> set[int]:
    """Return the label numbers that the mask holds."""
    name = Path(path).name
    try:
        mask, found = read_mask(path)
    except DataError as error:
        problems.append(f"case {record.case!r}: {error}")
        return set()
    told = difference(geometry, found)
    if told:
        problems.append(
            f"case {record.case!r}: {Path(record.images[0]).name} and {name} must lie on one grid: {told}"
        )
    numbers = {int(number) for number in torch.unique(mask)} - {0}
    strange = sorted(numbers - {number for _, number in labels})
    if strange:
        warnings.append(
            f"case {record.case!r}: {name} holds labels {strange} that no system declares; they count "
            "as background"
        )
    if not numbers & {number for _, number in labels}:
        warnings.append(f"case {record.case!r}: {name} is empty: none of the audited labels")
    return numbers


def _rule_problems(record: CaseRecord, rule: ReferenceRule) -> list[str]:
    raters = len(record.raters)
    if rule.use == "given" and record.reference is None and raters != 1:
        return [
            f"case {record.case!r}: has {raters} raters and no reference; say cases.reference: "
            "{use: majority, tie: above_half}"
        ]
    if rule.use == "majority" and raters == 0:
        return [f"case {record.case!r}: has no raters for cases.reference.use: majority"]
    if rule.use.startswith("rater_") and int(rule.use.removeprefix("rater_")) > raters:
        return [f"case {record.case!r}: has no {rule.use}, only {raters} raters"]
    return []


def _contradictions(record: CaseRecord, image: Tensor, modality: str, state: str) -> list[str]:
    """Say what the voxels say against the declared modality and state."""
    low, high = float(image.min()), float(image.max())
    where = f"case {record.case!r}: declared {modality}, {state}, but the values run from"
    told = f"{where} {low:g} to {high:g}"
    if low == high:
        return [f"case {record.case!r}: the image is constant ({low:g})"]
    if modality == "ct" and state == "raw" and low > -500:
        return [f"{told}: raw CT reaches the -1000 HU of air"]
    if modality == "mr" and state == "raw" and low < 0:
        return [f"{told}: magnitude MR is never negative"]
    if state == "raw" and abs(float(image.mean())) < 0.1 and 0.8 < float(image.std()) < 1.2:
        return [f"{told} with mean 0 and standard deviation 1: is it normalised already?"]
    return []
