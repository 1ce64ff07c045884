"""The masks of the raters as files: everything that is wrong with them, at once, before anything is measured.

**Conventions.** The first rater of a case who can be read gives the grid of the case; nothing is resampled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from auditor.cases import difference, read_mask, read_volume
from auditor.errors import DataError
from auditor.schema import CaseRecord, Geometry

__all__ = ["RaterFiles", "examine", "masks_of"]


@dataclass(slots=True)
class RaterFiles:
    """What the files of all cases hold."""

    problems: list[str] = field(default_factory=list)
    """Each stops the comparison."""
    warnings: list[str] = field(default_factory=list)
    """Worth knowing."""
    grids: dict[str, Geometry] = field(default_factory=dict)
    """Case -> grid of its masks."""
    drawn: Counter[str] = field(default_factory=Counter)
    """Rater -> cases that he drew."""
    numbers: dict[str, Counter[int]] = field(default_factory=dict)
    """Rater -> label number -> cases on which it occurs."""

    @property
    def held(self) -> tuple[int, ...]:
        """Every label number that somebody used, rising."""
        return tuple(sorted({number for own in self.numbers.values() for number in own}))


def examine(
    cases: Sequence[CaseRecord], *, labels: Mapping[str, int] | None, images: bool
) -> RaterFiles:
    """Read every mask once.

    Parameters
    ----------
    cases : sequence of CaseRecord
        With their raters; a case may lack some.
    labels : mapping of name to number, optional
        That are asked for; None: every number that occurs.
    images : bool
        Read the images of the cases, too, and hold them against the masks.

    Returns
    -------
    RaterFiles
        Problems: no case with two raters; masks that cannot be read, lie on another grid or hold anything
        else than label numbers; images that do; scans of several kinds; labels that nobody used.
        Warnings: raters who never used a label that others did, labels that were not asked for, cases with
        one rater or none.
    """
    found = RaterFiles()
    for record in cases:
        for name, path in zip(record.rater_names, record.raters, strict=True):
            _read(record, name, path, found)
        if images and record.images:
            _image(record, found)
    found.problems += _count_problems(cases) + _kind_problems(found)
    found.warnings += _count_warnings(cases)
    unreadable = bool(found.problems)
    wanted = tuple(labels.values()) if labels is not None else found.held
    if not unreadable:
        held = ", ".join(map(str, found.held)) or "nothing"
        found.problems += [
            f"label {name} ({number}) must occur in a mask; all of them hold {held}"
            for name, number in (labels or {}).items()
            if number not in found.held
        ]
        if labels is None and not found.held:
            found.problems.append("every mask of every rater is empty: there is nothing to compare")
        found.warnings += _label_warnings(found, wanted)
    return found


def masks_of(record: CaseRecord) -> dict[str, Tensor]:
    """Read the masks of one case: name of the rater -> label map.

    Raises
    ------
    DataError
        When a file cannot be read any more.
    """
    return {
        name: read_mask(path)[0]
        for name, path in zip(record.rater_names, record.raters, strict=True)
    }


def _read(record: CaseRecord, rater: str, path: str, found: RaterFiles) -> None:
    where = f"case {record.case!r}, {rater}"
    try:
        mask, grid = read_mask(path)
    except DataError as error:
        found.problems.append(f"{where}: {error}")
        return
    first = found.grids.setdefault(record.case, grid)
    if told := difference(first, grid):
        found.problems.append(
            f"{where}: {Path(path).name} must lie on the grid of the other raters, theirs against its "
            f"own: {told}; resample it yourself, nothing is resampled silently"
        )
    found.drawn[rater] += 1
    own = found.numbers.setdefault(rater, Counter())
    own.update(int(number) for number in torch.unique(mask) if int(number))


def _image(record: CaseRecord, found: RaterFiles) -> None:
    name = Path(record.images[0]).name
    try:
        _, grid = read_volume(record.images)
    except DataError as error:
        found.problems.append(f"case {record.case!r}: {error}")
        return
    mask = found.grids.get(record.case)
    if mask is not None and (told := difference(grid, mask)):
        found.problems.append(
            f"case {record.case!r}: {name} and its masks must lie on one grid: {told} (or compare them "
            "without pictures: --no-images)"
        )


def _count_problems(cases: Sequence[CaseRecord]) -> list[str]:
    most = max((len(record.raters) for record in cases), default=0)
    if most >= 2:
        return []
    return [
        (
            f"at least two raters are needed on some case, there {'is' if most == 1 else 'are'} at most "
            f"{most}: give each rater's mask a column, rater_1, rater_2 and on"
        )
    ]


def _kind_problems(found: RaterFiles) -> list[str]:
    units = sorted({grid.unit for grid in found.grids.values()})
    dims = sorted({len(grid.shape) for grid in found.grids.values()})
    if len(units) < 2 and len(dims) < 2:
        return []
    return [
        (
            "all masks must have as many axes, and all a spacing or none; there are "
            f"{' and '.join(f'{n}-D' for n in dims)} masks in {' and '.join(units)}"
        )
    ]


def _count_warnings(cases: Sequence[CaseRecord]) -> list[str]:
    every = {name for record in cases for name in record.rater_names}
    warnings = []
    for record in cases:
        lacking = sorted(every - set(record.rater_names), key=lambda it: int(it[6:]))
        if not lacking:
            continue
        count = len(record.raters)
        told = "it enters nothing" if count < 2 else "measures are over those present"
        whom = f"{count} of {len(every)} raters"
        warnings.append(f"case {record.case!r}: has {whom}, not {', '.join(lacking)}; {told}")
    return warnings


def _label_warnings(found: RaterFiles, wanted: Sequence[int]) -> list[str]:
    strange = [number for number in found.held if number not in wanted]
    warnings = []
    if strange:
        told = ", ".join(map(str, strange))
        warnings.append(f"the masks hold the labels {told}, which are not asked for")
    for rater, own in sorted(found.numbers.items(), key=lambda it: int(it[0][6:])):
        never = [number for number in wanted if number not in own and number in found.held]
        for number in never:
            others = {name: it[number] for name, it in found.numbers.items() if number in it}
            told = ", ".join(f"{name} on {n} case(s)" for name, n in sorted(others.items()))
            warnings.append(f"{rater} never uses label {number}, others do: {told}")
    return warnings
