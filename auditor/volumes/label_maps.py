"""Label maps that somebody else wrote: found by their name, held against the grid of their scan.

A map on another grid is never resampled, turned or moved: it is refused, and both grids are named.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from torch import Tensor

from auditor.errors import DataError
from auditor.schema import Geometry
from auditor.volumes.geometry import difference
from auditor.volumes.images import read_mask

__all__ = ["ENDINGS", "find_label_map", "grid_as_written", "grid_problem", "read_label_map"]

sitk: Any = SimpleITK  # untyped

ENDINGS = (".nii.gz", ".nii", ".mha", ".nrrd", ".png", ".tif", ".tiff")
"""Of files that are looked for, in this order."""

_PIXEL_FORMATS = (".png", ".tif", ".tiff")


def grid_as_written(geometry: Geometry) -> Geometry:
    """Return the grid that a scan has once it is written as NIfTI.

    Parameters
    ----------
    geometry : Geometry
        Of the scan. Without a spacing its pixels are written with 1 mm; without directions its axes
        are straight.
    """
    count = len(geometry.shape)
    straight = tuple(
        tuple(float(axis == count - 1 - i) for axis in range(count)) for i in range(count)
    )
    return Geometry(
        shape=geometry.shape,
        spacing=geometry.spacing,
        direction=geometry.direction or straight,
        origin=geometry.origin or (0.0,) * count,
        unit="mm",
    )


def find_label_map(folder: Path, name: str) -> Path | None:
    """Look for the label map of a scan.

    Parameters
    ----------
    folder : Path
        Where label maps are.
    name : str
        Of the scan, without an ending.

    Returns
    -------
    Path or None
        None: there is none.

    Raises
    ------
    DataError
        When there are several.
    """
    found = [path for ending in ENDINGS if (path := folder / f"{name}{ending}").is_file()]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        msg = f"a scan must have one label map, there are {names}"
        raise DataError(msg)
    return found[0] if found else None


def grid_problem(file: Path, grid: Geometry) -> str:
    """Say from the header alone how a label map lies wrong; empty when it fits.

    Parameters
    ----------
    file : Path
        The label map.
    grid : Geometry
        Of its scan, as `grid_as_written` has it.

    Raises
    ------
    DataError
        When the header cannot be read.
    """
    told = difference(grid, _grid_of(file))
    return f"the label map must lie on the grid of its scan: {told}" if told else ""


def read_label_map(file: Path, grid: Geometry) -> Tensor:
    """Read a label map and hold it against the grid of its scan.

    Parameters
    ----------
    file : Path
        The label map.
    grid : Geometry
        Of its scan, as `grid_as_written` has it.

    Returns
    -------
    (z, y, x) or (y, x), int16, or int32 where a number needs it

    Raises
    ------
    DataError
        When it cannot be read, lies on another grid, or holds anything else than label numbers.
        Voxels are only read when the header announces as many as the scan has.
    """
    if told := grid_problem(file, grid):
        raise DataError(told)
    mask, found = read_mask(str(file))
    if told := difference(grid, found):
        msg = f"the label map must lie on the grid of its scan: {told}"
        raise DataError(msg)
    return mask


def _grid_of(file: Path) -> Geometry:
    sitk.ProcessObject.SetGlobalWarningDisplay(flag=False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        msg = (
            f"a label map must be NIfTI, NRRD, MetaImage, PNG or TIFF; {file.name} cannot be read as "
            "one (is it whole?)"
        )
        raise DataError(msg) from error
    shape = tuple(int(size) for size in reader.GetSize()[::-1])
    dims = len(shape)
    if file.suffix.lower() in _PIXEL_FORMATS:
        shape = shape[1:] if dims == 3 and shape[0] == 1 else shape
        return Geometry(shape=shape, spacing=(1.0,) * len(shape), unit="px")
    matrix = np.asarray(reader.GetDirection()).reshape(dims, dims)
    return Geometry(
        shape=shape,
        spacing=tuple(float(value) for value in reader.GetSpacing()[::-1]),
        direction=tuple(tuple(float(v) for v in matrix[:, axis]) for axis in reversed(range(dims))),
        origin=tuple(float(value) for value in reader.GetOrigin()),
    )
