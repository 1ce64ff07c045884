"""Tables of raters who each drew a box: masks on anisotropic voxels whose overlaps are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from volumes import scan, write_table, write_volume

SHAPE = (5, 12, 14)


def box(columns: int, number: int = 1, *, kind: str = "uint8") -> NDArray[np.generic]:
    """2 slices, 4 rows and some columns: one inside the other."""
    mask = np.zeros(SHAPE, dtype=kind)
    mask[1:3, 3:7, 2 : 2 + columns] = number
    return mask


def write_raters(
    folder: Path, drawn: Sequence[Sequence[int | None]], *, image: bool = False
) -> Path:
    """One row a case: how many columns each rater drew; None: did not see it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for place, columns in enumerate(drawn):
        row = {"case": f"case-{place}"}
        if image:
            row["image"] = write_volume(folder / f"i{place}.nii.gz", scan(shape=SHAPE)).name
        for number, width in enumerate(columns, start=1):
            name = f"m{place}-{number}.nii.gz"
            row[f"rater_{number}"] = (
                "" if width is None else write_volume(folder / name, box(width)).name
            )
        rows.append(row)
    return write_table(folder / "cases.csv", rows)
