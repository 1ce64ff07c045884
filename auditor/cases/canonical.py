"""The canonical table of cases: what `auditor.cases.read_table` reads, from any layout."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

from auditor.schema import CaseRecord
from auditor.volumes.selectors import split_channel

__all__ = ["canonical_table"]


def canonical_table(cases: Sequence[CaseRecord], folder: Path) -> str:
    """Write cases as a CSV table.

    Parameters
    ----------
    cases : sequence of CaseRecord
        From `auditor.cases.gather`, or from DICOM that was converted.
    folder : Path
        Where the table will lie: paths are relative to it.

    Returns
    -------
    str
        Columns ``case``, ``patient``, ``image`` (or ``image_1`` and on), ``reference``, ``rater_1`` and
        on, then metadata; sorted by patient and case.
    """
    channels = max((len(record.images) for record in cases), default=1)
    raters = max(
        (int(it.rpartition("_")[2]) for record in cases for it in record.rater_names), default=0
    )
    images = ["image"] if channels == 1 else [f"image_{n}" for n in range(1, channels + 1)]
    references = ["reference"] if any(record.reference for record in cases) else []
    columns = dict.fromkeys(name for record in cases for name, _ in record.metadata)
    header = ["case", "patient", *images, *references]
    header += [*(f"rater_{n}" for n in range(1, raters + 1)), *columns]
    sink = io.StringIO()
    writer = csv.DictWriter(sink, header, restval="", lineterminator="\n")
    writer.writeheader()
    for record in sorted(cases, key=lambda it: (it.patient, it.case)):
        row = {"case": record.case, "patient": record.patient, **dict(record.metadata)}
        row |= zip(images, (_relative(it, folder) for it in record.images), strict=False)
        if record.reference:
            row["reference"] = _relative(record.reference, folder)
        row |= {
            name: _relative(it, folder)
            for name, it in zip(record.rater_names, record.raters, strict=True)
        }
        writer.writerow(row)
    return sink.getvalue()


def _relative(path: str, folder: Path) -> str:
    file, channel = split_channel(path)
    # the folder alone is resolved: a link to a file in a store keeps its own name and suffix
    place = file.parent.resolve() / file.name
    told = Path(os.path.relpath(place, folder.resolve())).as_posix()
    return told if channel is None else f"{told}[{channel}]"
