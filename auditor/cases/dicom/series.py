"""One series of DICOM images as a volume: its planes in order, its grid, its intensities.

**Conventions.** A plane lies where ImagePositionPatient says (centre of its first pixel, LPS+, mm);
the first three cosines of ImageOrientationPatient point along a row (towards higher columns), the last
three along a column. Planes are sorted along their normal, row x column, so that the array (z, y, x)
is right-handed. The distance of the planes is that of their positions, never SliceThickness.

References
----------
DICOM PS3.3, C.7.6.2 (Image Plane), C.7.6.16 (multi-frame functional groups), C.11.1 (rescaling).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.cases.dicom.reading import (
    Header,
    numbers_of,
    read_pixels,
    read_whole,
    text_of,
)
from auditor.errors import DataError
from auditor.schema import Geometry
from auditor.volumes.geometry import DIRECTION_TOLERANCE

__all__ = ["Plane", "frame_groups", "grid_of", "group_item", "planes_of", "read_intensities"]

_SAME_POSITION = 0.005
"""Share of the distance of planes, below which two of them lie at one position."""
_UNEVEN = 0.02
"""Share of the distance of planes by which single distances may differ from it: positions are rounded."""
_ASTRAY = 0.1
"""Voxels by which a plane may lie beside the line of the others."""

_DIMENSIONS = (
    "AcquisitionNumber", "EchoTime", "TemporalPositionIdentifier", "DiffusionBValue", "TriggerTime",
    "ImageType",
)  # fmt: skip
"""Attributes that tell planes at one position apart."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One frame of one file."""

    header: Header
    """Its file."""
    frame: int
    """Counted from 0."""
    position: tuple[float, ...]
    """(x, y, z) of the first pixel, mm, LPS+."""
    orientation: tuple[float, ...]
    """Six cosines: along a row, along a column."""
    spacing: tuple[float, ...]
    """mm between rows, and between columns."""
    shape: tuple[int, int]
    """Rows, columns."""
    rescale: tuple[float, float]
    """Slope, intercept."""
    thickness: float | None
    """mm; None when it is not told."""
    between: float | None
    """SpacingBetweenSlices, mm; believed for a single plane only."""


def group_item(shared: Any, own: Any, sequence: str, default: Any) -> Any:  # noqa: ANN401
    """Return the item of a functional group: the frame's own, that of all frames, or `default`."""
    for group in (own, shared):
        found = getattr(group, sequence, None) if group is not None else None
        if found:
            return found[0]
    return default


def frame_groups(content: Any) -> tuple[Any, Sequence[Any]]:  # noqa: ANN401  # untyped datasets
    """Return the functional groups of all frames, and those of each frame."""
    shared = getattr(content, "SharedFunctionalGroupsSequence", None)
    return (shared[0] if shared else None), getattr(
        content, "PerFrameFunctionalGroupsSequence", None
    ) or ()


def planes_of(header: Header) -> tuple[Plane, ...]:
    """Return the planes of one file, single- or multi-frame.

    Raises
    ------
    DataError
        When the file does not say where its planes lie, or holds colours.
    """
    content = header.content
    if numbers_of(content, "SamplesPerPixel", 1) != (1.0,) or not text_of(
        content, "PhotometricInterpretation"
    ).startswith("MONOCHROME2"):
        kind = text_of(content, "PhotometricInterpretation") or "no photometric interpretation"
        msg = f"{header.told} must hold grey values (MONOCHROME2), it holds {kind}"
        raise DataError(msg)
    if getattr(content, "ModalityLUTSequence", None):
        msg = f"{header.told} must have a rescale slope and intercept, it has a modality table instead"
        raise DataError(msg)
    shared, frames = frame_groups(content)
    count = int((numbers_of(content, "NumberOfFrames", 1) or (1,))[0])
    if frames and len(frames) != count:
        msg = f"{header.told} must tell of {count} frames where they lie, it tells of {len(frames)}"
        raise DataError(msg)
    if not frames and count > 1:
        msg = f"{header.told} has {count} frames and does not say where each of them lies"
        raise DataError(msg)
    return tuple(_plane(header, i, shared, own) for i, own in enumerate(frames or (None,)))


def _plane(header: Header, frame: int, shared: Any, own: Any) -> Plane:  # noqa: ANN401
    content = header.content
    place = group_item(shared, own, "PlanePositionSequence", content)
    turned = group_item(shared, own, "PlaneOrientationSequence", content)
    measures = group_item(shared, own, "PixelMeasuresSequence", content)
    values = group_item(shared, own, "PixelValueTransformationSequence", content)
    needed = {
        "ImagePositionPatient": numbers_of(place, "ImagePositionPatient", 3),
        "ImageOrientationPatient": numbers_of(turned, "ImageOrientationPatient", 6),
        "PixelSpacing": numbers_of(measures, "PixelSpacing", 2),
        "Rows": numbers_of(content, "Rows", 1),
        "Columns": numbers_of(content, "Columns", 1),
    }
    known = {name: value for name, value in needed.items() if value is not None}
    if len(known) < len(needed) or min(known["PixelSpacing"]) <= 0:
        bad = ", ".join(name for name in needed if name not in known) or "a positive PixelSpacing"
        msg = f"{header.told} must say where its voxels lie, it lacks {bad}"
        raise DataError(msg)
    slope = numbers_of(values, "RescaleSlope", 1) or (1.0,)
    intercept = numbers_of(values, "RescaleIntercept", 1) or (0.0,)
    return Plane(
        header=header,
        frame=frame,
        position=known["ImagePositionPatient"],
        orientation=known["ImageOrientationPatient"],
        spacing=known["PixelSpacing"],
        shape=(int(known["Rows"][0]), int(known["Columns"][0])),
        rescale=(slope[0], intercept[0]),
        thickness=_length(measures, "SliceThickness"),
        between=_length(measures, "SpacingBetweenSlices"),
    )


def _length(content: Any, keyword: str) -> float | None:  # noqa: ANN401  # an untyped dataset
    found = numbers_of(content, keyword, 1)
    return found[0] if found and found[0] > 0 else None


def grid_of(planes: Sequence[Plane]) -> tuple[tuple[Plane, ...], Geometry]:
    """Sort planes along their normal and return the grid that they make.

    Returns
    -------
    planes : tuple of Plane
        Along the first array axis.
    geometry : Geometry

    Raises
    ------
    DataError
        When they make no straight, even grid: several sizes, spacings, orientations, images at one
        position, missing slices, uneven distances, a tilted gantry.
    """
    first = planes[0]
    _refuse_mixed(planes)
    row, column = np.asarray(first.orientation[:3]), np.asarray(first.orientation[3:])
    lengths = [float(np.linalg.norm(row)), float(np.linalg.norm(column)), float(row @ column) + 1]
    if max(abs(value - 1) for value in lengths) > DIRECTION_TOLERANCE:
        msg = f"ImageOrientationPatient must be two perpendicular unit vectors, was {first.orientation}"
        raise DataError(msg)
    row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    column = np.cross(normal, row)  # exactly perpendicular, as writers of NIfTI ask for
    positions = np.asarray([plane.position for plane in planes])
    order = np.argsort(positions @ normal, kind="stable")
    ordered = tuple(planes[int(i)] for i in order)
    positions = positions[order]
    step = _even_step(ordered, positions @ normal)
    _refuse_tilt(positions, normal, step, min(first.spacing))
    geometry = Geometry(
        shape=(len(ordered), *first.shape),
        spacing=(step, *first.spacing),
        direction=tuple(tuple(float(v) for v in axis) for axis in (normal, column, row)),
        origin=tuple(float(v) for v in positions[0]),
    )
    return ordered, geometry


def _refuse_mixed(planes: Sequence[Plane]) -> None:
    first = planes[0]
    shapes = sorted({plane.shape for plane in planes})
    if len(shapes) > 1:
        told = " and ".join(f"{rows} x {columns}" for rows, columns in shapes[:3])
        msg = f"its images must have one size, there are {told}"
        raise DataError(msg)
    for name, tolerance in (("orientation", DIRECTION_TOLERANCE), ("spacing", 1e-3)):
        values = np.asarray([getattr(plane, name) for plane in planes])
        apart = np.abs(values - values[0]).max(axis=1)
        if apart.max() > tolerance:
            other = getattr(planes[int(apart.argmax())], name)
            count = int((apart > tolerance).sum())
            msg = (
                f"its images must have one {name}, {count} of {len(planes)} have another: "
                f"{getattr(first, name)} and {other}; part the series (a localizer?)"
            )
            raise DataError(msg)


def _even_step(planes: Sequence[Plane], offsets: NDArray[np.float64]) -> float:
    """Return the distance of neighbouring planes; refuse what is not even."""
    if len(planes) == 1:
        step = planes[0].between or planes[0].thickness
        if step is None:
            msg = (
                "its only image must tell SpacingBetweenSlices or SliceThickness, it tells neither"
            )
            raise DataError(msg)
        return step
    gaps = np.diff(offsets)
    apart = gaps[gaps > _SAME_POSITION * max(float(gaps.max()), 1e-6)]
    step = float(np.sort(apart)[(len(apart) - 1) // 2]) if len(apart) else 0.0
    same = int((gaps <= _SAME_POSITION * step).sum()) if step else len(gaps)
    if same:
        differs = [
            name
            for name in _DIMENSIONS
            if len({text_of(plane.header.content, name) for plane in planes}) > 1
        ]
        told = f"; they differ in {', '.join(differs)}" if differs else ""
        msg = (
            f"its {len(planes)} images must lie at positions of their own, {same} lie where another "
            f"does{told}; part the series (several echoes, times or phases?), or remove the copies"
        )
        raise DataError(msg)
    missing = [
        (int(i), round(float(gaps[i] / step)) - 1) for i in np.flatnonzero(gaps > 1.5 * step)
    ]
    if missing:
        told = "; ".join(
            f"{count} between {offsets[i]:.6g} and {offsets[i + 1]:.6g} mm"
            for i, count in missing[:3]
        )
        msg = (
            f"slices are missing: its images lie {step:.6g} mm apart along their normal, but there are "
            f"gaps: {told}; copy the whole series"
        )
        raise DataError(msg)
    mean = float((offsets[-1] - offsets[0]) / len(gaps))
    if float(np.abs(gaps - mean).max()) > max(_UNEVEN * mean, 0.011):
        msg = (
            f"its images must lie evenly apart, the distances run from {gaps.min():.6g} to "
            f"{gaps.max():.6g} mm; resample the series to even slices"
        )
        raise DataError(msg)
    return mean


def _refuse_tilt(
    positions: NDArray[np.float64], normal: NDArray[np.float64], step: float, side: float
) -> None:
    """Refuse planes that slide against each other: a tilted gantry, or a patient who moved."""
    along = positions[0] + np.outer(np.arange(len(positions)) * step, normal)
    inside = positions - along
    inside -= np.outer(inside @ normal, normal)
    astray = float(np.linalg.norm(inside, axis=1).max())
    if astray > _ASTRAY * side:
        msg = (
            f"its images must lie one above the other, they slide by up to {astray:.4g} mm across their "
            "normal (a tilted gantry?); resample the series to a straight grid"
        )
        raise DataError(msg)


def read_intensities(planes: Sequence[Plane]) -> NDArray[np.float32]:
    """Read the voxels of a series, rescaled plane by plane to its own units (HU for CT).

    Returns
    -------
    (z, y, x), float32

    Raises
    ------
    DataError
        When a file cannot be decoded, or holds something else than its header says.
    """
    volume = np.empty((len(planes), *planes[0].shape), np.float32)
    opened: tuple[Path, NDArray[Any]] | None = None
    for index, plane in enumerate(planes):
        if opened is None or opened[0] != plane.header.file:
            whole = read_whole(plane.header.file)
            opened = (plane.header.file, read_pixels(whole, plane.header.told))
        frames = opened[1]
        if plane.frame >= len(frames) or frames.shape[1:] != plane.shape:
            msg = (
                f"{plane.header.told} must hold {plane.shape[0]} x {plane.shape[1]} voxels in each frame, "
                f"it holds {frames.shape}"
            )
            raise DataError(msg)
        slope, intercept = plane.rescale
        volume[index] = frames[plane.frame].astype(np.float64) * slope + intercept
    return volume
