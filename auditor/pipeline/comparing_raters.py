"""Raters alone: how much they agree, on which cases they do not, and what that looks like."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from auditor.analysis.rater_cases import rater_case
from auditor.analysis.raters import Draws, label_agreement, ranked
from auditor.cases import read_table, read_volume
from auditor.errors import DataError
from auditor.execution.rater_rows import rater_properties
from auditor.exhibits.planes import cut_disputed, display_window, png_of
from auditor.metrics.catalog import volume_unit
from auditor.pipeline.folder import manifest_digest, tool_version, write_identities
from auditor.pipeline.rater_files import RaterFiles, examine, masks_of
from auditor.schema import CaseRecord, Geometry, RaterCase, RaterResults
from auditor.schema.rater_page import (
    RATERS_VERSION,
    RaterContours,
    RaterPage,
    RaterPicture,
    UsedLabels,
)
from auditor.strata.raters import rater_disagreement

__all__ = ["compare_raters"]

PICTURES = 6
"""Worst cases of each label that are shown, at most `MOST_PICTURES` in all."""

MOST_PICTURES = 12

NOTES = (
    (
        "Agreement is no accuracy: raters may agree and be wrong together, and nothing here says who is right."
    ),
    (
        "Intervals speak of patients like these and of these raters; other raters are another question, and a "
        "few of them say little about it."
    ),
    (
        "DSC falls for small objects even where raters always differ by the same width; the surface distance "
        "is that width. The rank correlations with size show how far each of the two repeats the size."
    ),
)


def compare_raters(
    table: Path,
    *,
    labels: Mapping[str, int] | None = None,
    images: bool = True,
    level: float = 0.95,
    seed: int = 0,
    out: Path | None = None,
    told: Callable[[int, int], None] = lambda _, __: None,
) -> RaterPage:
    """Compare the raters of a table of cases.

    Parameters
    ----------
    table : Path
        With the columns ``case`` and ``rater_1`` and on; ``image`` may be missing.
    labels : mapping of name to number, optional
        None: every number that occurs, as ``label_1``.
    images : bool
        False: no pixel is read or kept.
    level : float
        Of two-sided intervals.
    seed : int
        Of the resampling.
    out : Path, optional
        Folder in which ``identities.csv`` says which case stands behind which display id.
    told : callable, optional
        Is told how many of how many cases were measured.

    Returns
    -------
    RaterPage

    Raises
    ------
    DataError
        With every problem at once; see `auditor.pipeline.rater_files.examine`.
    """
    cases = read_table(table, images=False)
    files = examine(cases, labels=labels, images=images)
    if files.problems:
        msg = f"{len(files.problems)} problem(s) with the raters of {table.name}:"
        raise DataError(msg, files.problems)
    named = labels or {f"label_{number}": number for number in files.held}
    several = [record for record in cases if len(record.raters) > 1]
    measured: list[RaterCase] = []
    for done, record in enumerate(several, start=1):
        measured += _measured(record, named, files)
        told(done, len(several))
    found = ranked(measured)
    if out is not None:
        write_identities(out, cases)
    draws = Draws(level, seed)
    grid = files.grids[several[0].case]
    results = RaterResults(
        labels=tuple(label_agreement(name, found, draws) for name in named),
        systems=(),
        cases=found,
        volume_unit=volume_unit(grid.unit, ndim=len(grid.shape)),
        notes=NOTES,
    )
    return RaterPage(
        version=RATERS_VERSION,
        tool=f"segaudit {tool_version()}",
        name=table.stem,
        manifest_digest=manifest_digest(cases),
        length_unit=grid.unit,
        level=level,
        seed=seed,
        labels=tuple(named.items()),
        used=_used(files),
        cases=len(cases),
        patients=len({record.patient for record in cases}),
        alone=len(cases) - len(several),
        results=results,
        pictures=_pictures(found, several, named, files, images=images),
        warnings=tuple(files.warnings),
    )


def _measured(record: CaseRecord, labels: Mapping[str, int], files: RaterFiles) -> list[RaterCase]:
    """Measure one case, label by label."""
    maps = masks_of(record)
    grid = files.grids[record.case]
    rows = []
    for label, number in labels.items():
        masks = [it == number for it in maps.values()]
        apart = rater_disagreement(masks, grid.spacing, grid.unit)
        values = {name: value for name, (value, _) in rater_properties(masks, apart).items()}
        values |= {"rater_dsc": apart.dsc, "rater_assd": apart.assd}
        rows.append(
            rater_case(
                values, label=label, case=record.display_case, patient=record.display_patient
            )
        )
    return rows


def _used(files: RaterFiles) -> tuple[UsedLabels, ...]:
    return tuple(
        UsedLabels(rater, files.drawn[rater], tuple(sorted(own.items())))
        for rater, own in sorted(files.numbers.items(), key=lambda it: int(it[0][6:]))
    )


def _pictures(
    found: Sequence[RaterCase],
    records: Sequence[CaseRecord],
    labels: Mapping[str, int],
    files: RaterFiles,
    *,
    images: bool,
) -> tuple[RaterPicture, ...]:
    """Draw the cases with the largest disagreement, each label in turn."""
    known = {record.display_case: record for record in records}
    shown = []
    for label in labels:
        own = [it for it in found if it.label == label and it.empty < it.raters]
        shown += [it for it in own if it.dsc is not None and it.dsc < 1.0][:PICTURES]
    return tuple(
        _picture(it, known[it.case], labels[it.label], files.grids[known[it.case].case], images)
        for it in shown[:MOST_PICTURES]
    )


def _picture(
    case: RaterCase,
    record: CaseRecord,
    number: int,
    grid: Geometry,
    images: bool,  # noqa: FBT001  # handed through
) -> RaterPicture:
    maps: Mapping[str, Tensor] = masks_of(record)
    masks = {name: (it == number).numpy() for name, it in maps.items()}
    with_pixels = images and bool(record.images)
    image = (
        read_volume(record.images)[0][0].numpy()
        if with_pixels
        else np.zeros(grid.shape, dtype=np.float32)
    )
    plane = cut_disputed(image, masks, spacing=grid.spacing, window=display_window(image))
    return RaterPicture(
        case=case.case,
        label=case.label,
        plane=plane.name,
        slice=plane.slice if len(grid.shape) == 3 else None,
        width=plane.pixels.shape[1],
        height=plane.pixels.shape[0],
        spacing=plane.spacing,
        contours=tuple(
            RaterContours(name, tuple(tuple(line) for line in lines))
            for name, lines in plane.contours.items()
        ),
        png=base64.b64encode(png_of(plane.pixels)).decode("ascii") if with_pixels else "",
    )
