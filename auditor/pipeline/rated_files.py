"""The files of rated scans: masks on the grid of the scan, the ratings as JSON and as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from auditor.errors import ConfigError
from auditor.execution.store import write_bytes
from auditor.pipeline.output_folder import make_folder
from auditor.pipeline.rated_cases import Rated
from auditor.pipeline.rating import RatedScan
from auditor.schema import encode
from auditor.schema.ratings import RatedScans

__all__ = ["make_room", "write_rated", "write_summary"]

_OF_ONE = ("prediction.nii.gz", "outer.nii.gz", "inner.nii.gz", "rating.json", "rating.html")
_OF_MANY = ("ratings.json", "ratings.csv", "identities.csv")


def make_room(folder: Path, names: Sequence[str], *, force: bool) -> None:
    """See that no file of an earlier rating stays beside those of this one.

    Parameters
    ----------
    folder : Path
        Of the output.
    names : sequence of str
        Display ids of several scans, which get a folder each; empty: one scan alone.
    force : bool
        Take files of earlier ratings away.

    Raises
    ------
    ConfigError
        When there are some, and they are not to be taken away; when the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        msg = f"-o must be a folder, {folder} is a file"
        raise ConfigError(msg)
    standing = [folder / name for name in (*_OF_ONE, *_OF_MANY) if (folder / name).exists()]
    for name in {path.parent.name for path in folder.glob("*/rating.json")} | set(names):
        standing += [folder / name / it for it in _OF_ONE if (folder / name / it).exists()]
    if standing and not force:
        msg = (
            f"{folder.name} holds an earlier rating ({standing[0].name}); give another folder with -o, or "
            "replace it with --force"
        )
        raise ConfigError(msg)
    for path in standing:
        path.unlink()


def write_rated(folder: Path, rated: RatedScan) -> None:
    """Write one rating, and the masks that there are, each on the grid of the scan.

    Raises
    ------
    ConfigError, StoreError
        When the folder cannot be made, or not be written.
    """
    import torch

    from auditor.cases import write_mask

    make_folder(folder)
    masks = {"prediction": rated.prediction, "outer": rated.outer, "inner": rated.inner}
    for name, mask in masks.items():
        if mask is not None:
            whole = mask.to(torch.int16) if mask.dtype == torch.bool else mask
            write_mask(folder / f"{name}.nii.gz", whole, rated.geometry)
    write_bytes(folder / "rating.json", encode(rated.rating).encode())


def write_summary(folder: Path, summary: RatedScans, rated: Sequence[Rated]) -> None:
    """Write what was found of many scans; ``identities.csv`` says which file is meant by which id.

    Raises
    ------
    StoreError
        When the folder cannot be written.
    """
    write_bytes(folder / "ratings.json", encode(summary).encode())
    write_bytes(folder / "ratings.csv", _table(summary).encode())
    names = [[it.scan.name, it.scan.source] for it in rated]
    write_bytes(folder / "identities.csv", _csv([["scan", "file"], *names]).encode())


def _table(summary: RatedScans) -> str:
    outcomes = {it.scan: it for it in summary.promises.scans} if summary.promises else {}
    rows: list[list[object]] = [
        [
            "scan", "grade", "bound", "pac_bound", "level", "n", "calibrated_by", "bin", "group", "proxy",
            "copies", "used_for_calibration", "status", "reasons", "dsc", "held",
        ]
    ]  # fmt: skip
    for it in summary.ratings:
        known = outcomes.get(it.scan)
        rows.append(
            [
                it.scan, it.grade.value, it.bound.value, it.pac_bound.value, it.bound.level, it.bound.n,
                it.calibrated_by, it.bin, it.group, it.proxy, it.copies, it.used_for_calibration,
                it.status, "; ".join(it.reasons), known and known.dsc, known and known.held,
            ]
        )  # fmt: skip
    rated = {it.scan for it in summary.ratings}
    rows += [
        [name, "NR", *[""] * 10, "unread", reason]
        for name, reason in summary.unread
        if name not in rated
    ]
    return _csv(rows)


def _csv(rows: Sequence[Sequence[object]]) -> str:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows(
        [["" if cell is None else cell for cell in row] for row in rows]
    )
    return sink.getvalue()
