"""Small image files with anisotropic spacing and oblique directions, written by SimpleITK."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import ArrayLike, NDArray

sitk: Any = SimpleITK  # untyped

SPACING_ZYX = (3.0, 0.8, 0.7)
"""mm along the array's axes; three different numbers, so that a swap shows."""
ORIGIN_XYZ = (-12.5, 40.0, 7.25)
"""mm, LPS+: the centre of the first voxel."""
SHAPE_ZYX = (5, 7, 9)


def oblique(degrees: float = 20.0) -> NDArray[np.float64]:
    """A direction matrix as SimpleITK has it (column i: axis i of x, y, z), turned about x and z."""
    a, b = math.radians(degrees), math.radians(degrees / 2)
    about_z = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    return np.asarray(about_z @ about_x)


def write_volume(
    path: Path,
    array: ArrayLike,
    *,
    spacing: Sequence[float] = SPACING_ZYX,
    origin: Sequence[float] = ORIGIN_XYZ,
    direction: ArrayLike | None = None,
    vector: bool = False,
) -> Path:
    """Write an array (z, y, x), (y, x) or, as vector, (.., channel); spacing follows the array."""
    image = sitk.GetImageFromArray(np.asarray(array), isVector=vector)
    dims = image.GetDimension()
    turned = oblique() if direction is None and dims == 3 else direction
    image.SetSpacing([float(value) for value in spacing[-dims:][::-1]])
    image.SetOrigin([float(value) for value in origin[:dims]])
    if turned is not None:
        image.SetDirection([float(value) for value in np.asarray(turned).ravel()])
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def scan(seed: int = 1, shape: Sequence[int] = SHAPE_ZYX) -> NDArray[np.float32]:
    """A positive scan with values from 0 to 1000 that no two voxels share."""
    values = np.random.default_rng(seed).permutation(math.prod(shape)).reshape(tuple(shape))
    return (values * (1000.0 / values.size)).astype(np.float32)


def box(
    low: Sequence[int] = (1, 2, 3),
    high: Sequence[int] = (3, 5, 6),
    *,
    number: int = 1,
    shape: Sequence[int] = SHAPE_ZYX,
) -> NDArray[np.uint8]:
    """A label map with one box: from `low` up to, not with, `high`."""
    mask = np.zeros(tuple(shape), dtype=np.uint8)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = number
    return mask


def write_table(path: Path, rows: Sequence[dict[str, str]], *, delimiter: str = ",") -> Path:
    """Write a CSV table; the columns are the keys of the first row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_cases(folder: Path, *, count: int = 3, suffix: str = ".nii.gz") -> Path:
    """Write a table ``cases.csv`` with so many cases, two of them of one patient; return its path."""
    rows = []
    for index in range(count):
        image = write_volume(folder / f"scan{index}{suffix}", scan(index))
        reference = write_volume(folder / f"mask{index}{suffix}", box())
        rows.append(
            {
                "case": f"case-{index}",
                "patient": f"patient-{max(index, 1)}",
                "image": image.name,
                "reference": reference.name,
                "site": "north" if index % 2 else "south",
            }
        )
    return write_table(folder / "cases.csv", rows)
