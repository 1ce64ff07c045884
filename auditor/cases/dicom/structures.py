"""SEG and RTSTRUCT objects: what they refer to, and their structures on the grid of a scan.

**Conventions.** Nothing is resampled: a frame of a SEG must lie on the voxels of its scan (it may be
cropped, flipped or sorted otherwise), a contour in one of its slices.

References
----------
DICOM PS3.3, A.51 and C.8.20 (Segmentation), A.19 and C.8.8.6 (ROI Contour).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.cases.dicom.contours import fill_even_odd
from auditor.cases.dicom.reading import (
    SEGMENTATIONS,
    Header,
    damage_told,
    numbers_of,
    read_pixels,
    read_whole,
    text_of,
)
from auditor.cases.dicom.series import frame_groups, group_item
from auditor.errors import DataError
from auditor.schema import Geometry
from auditor.volumes.geometry import DIRECTION_TOLERANCE, ORIGIN_TOLERANCE, SPACING_TOLERANCE

__all__ = ["Structures", "masks_of", "structures_of"]

_BETWEEN = 0.1
"""Slices by which the points of a contour may lie beside the slice: positions are rounded."""


@dataclass(frozen=True, slots=True)
class Structures:
    """One SEG or RTSTRUCT, without its voxels or contours."""

    header: Header
    """Its file."""
    series: str
    """SeriesInstanceUID that it refers to; empty when it names none."""
    images: tuple[str, ...]
    """SOPInstanceUID of every image that it refers to."""
    name: str
    """SeriesDescription, ContentLabel or StructureSetLabel: how it is chosen among several."""
    labels: tuple[tuple[str, int], ...]
    """(name, number) of each structure; numbers of an RTSTRUCT are those of its ROIs."""

    @property
    def is_seg(self) -> bool:
        """True for segmentations, whose numbers may be kept."""
        return text_of(self.header.content, "SOPClassUID") in SEGMENTATIONS


def structures_of(header: Header) -> Structures:
    """Return what the header of a SEG or RTSTRUCT says.

    Raises
    ------
    DataError
        When it refers to several series, or names no structure.
    """
    content = header.content
    if text_of(content, "SOPClassUID") in SEGMENTATIONS:
        series = list(getattr(content, "ReferencedSeriesSequence", None) or ())
        # a label map lists its background too, as segment 0
        named = _items(content, "SegmentSequence", "SegmentNumber", "SegmentLabel")
        names = tuple(pair for pair in named if pair[1] != 0)
        images = [
            text_of(it, "ReferencedSOPInstanceUID")
            for one in series
            for it in getattr(one, "ReferencedInstanceSequence", None) or ()
        ]
        name = text_of(content, "SeriesDescription") or text_of(content, "ContentLabel")
    else:
        series = _referenced_by_contours(content)
        names = _items(content, "StructureSetROISequence", "ROINumber", "ROIName")
        images = [
            text_of(it, "ReferencedSOPInstanceUID")
            for one in series
            for it in getattr(one, "ContourImageSequence", None) or ()
        ]
        name = text_of(content, "StructureSetLabel") or text_of(content, "SeriesDescription")
    uids = {text_of(one, "SeriesInstanceUID") for one in series}
    if len(uids) > 1:
        msg = f"{header.told} must refer to one series, it refers to {len(uids)}"
        raise DataError(msg)
    if not names:
        msg = f"{header.told} must name its structures, it names none"
        raise DataError(msg)
    return Structures(header, next(iter(uids), ""), tuple(images), name, names)


def _referenced_by_contours(content: Any) -> list[Any]:  # noqa: ANN401  # untyped datasets
    return [
        series
        for frame in getattr(content, "ReferencedFrameOfReferenceSequence", None) or ()
        for study in getattr(frame, "RTReferencedStudySequence", None) or ()
        for series in getattr(study, "RTReferencedSeriesSequence", None) or ()
    ]


def _items(content: Any, sequence: str, number: str, name: str) -> tuple[tuple[str, int], ...]:  # noqa: ANN401
    found = []
    for item in getattr(content, sequence, None) or ():
        value = numbers_of(item, number, 1)
        if value is not None and text_of(item, name):
            found.append((text_of(item, name), int(value[0])))
    return tuple(found)


def masks_of(
    structures: Structures, geometry: Geometry, wanted: Sequence[str], notes: list[str]
) -> dict[str, NDArray[np.bool_]]:
    """Put structures onto the grid of their scan.

    Parameters
    ----------
    structures : Structures
        Of the scan.
    geometry : Geometry
        Of the scan.
    wanted : sequence of str
        Names; others are left out.
    notes : list of str
        Grows by what was decided on the way.

    Returns
    -------
    dict of (z, y, x), bool
        In the order of `wanted`. Segments of one name are united.

    Raises
    ------
    DataError
        When something lies between the voxels, between the slices, or outside the scan.
    """
    whole = read_whole(structures.header.file)
    numbers = {number: name for name, number in structures.labels if name in wanted}
    masks = {
        name: np.zeros(geometry.shape, np.bool_) for name in wanted if name in numbers.values()
    }
    fill = _fill_segments if structures.is_seg else _fill_contours
    with damage_told(structures.header.told):
        fill(whole, structures, _Grid(geometry), numbers, masks, notes)
    return masks


@dataclass(frozen=True, slots=True)
class _Grid:
    """The voxels of a scan, to which positions are turned."""

    geometry: Geometry
    """Of the scan."""

    def indices(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn positions (n, 3) in mm, LPS+, to voxels (n, 3) along the array axes."""
        axes = np.asarray(self.geometry.direction)  # one unit vector per array axis
        steps: NDArray[np.float64] = (points - np.asarray(self.geometry.origin)) @ axes.T
        found: NDArray[np.float64] = steps / np.asarray(self.geometry.spacing)
        return found


_Numbers = dict[int, str]
_Masks = dict[str, NDArray[np.bool_]]


def _fill_segments(
    whole: Any,  # noqa: ANN401  # an untyped dataset
    structures: Structures,
    grid: _Grid,
    numbers: _Numbers,
    masks: _Masks,
    notes: list[str],
) -> None:
    told = structures.header.told
    values = read_pixels(whole, told)
    shared, groups = frame_groups(whole)
    kind = text_of(whole, "SegmentationType")
    if len(groups) != len(values):
        msg = f"{told} must tell of {len(values)} frames where they lie, it tells of {len(groups)}"
        raise DataError(msg)
    threshold = 1.0
    if kind == "FRACTIONAL":
        threshold = (numbers_of(whole, "MaximumFractionalValue", 1) or (255.0,))[0] / 2
        notes.append(f"{told} holds fractions; voxels of at least half count as foreground")
    for frame, own in zip(values, groups, strict=True):
        place = _placed(shared, own, grid, told)
        if kind == "LABELMAP":
            found = [(number, frame == number) for number in numbers]
        else:
            item = group_item(shared, own, "SegmentIdentificationSequence", None)
            number = (numbers_of(item, "ReferencedSegmentNumber", 1) or (0,))[0]
            found = [(int(number), frame >= threshold)]
        for segment, mask in found:
            if segment in numbers:
                place(mask, masks[numbers[segment]])


def _placed(
    shared: Any,  # noqa: ANN401  # untyped datasets
    own: Any,  # noqa: ANN401
    grid: _Grid,
    told: str,
) -> Callable[[NDArray[np.bool_], NDArray[np.bool_]], None]:
    """Return what writes one frame into a volume, after a look whether its voxels are those of the scan."""
    place = numbers_of(
        group_item(shared, own, "PlanePositionSequence", None), "ImagePositionPatient", 3
    )
    turned = numbers_of(
        group_item(shared, own, "PlaneOrientationSequence", None), "ImageOrientationPatient", 6
    )
    measures = group_item(shared, own, "PixelMeasuresSequence", None)
    spacing = numbers_of(measures, "PixelSpacing", 2)
    if place is None or turned is None or spacing is None:
        msg = f"{told} must say of each frame where it lies, one lacks position, orientation or spacing"
        raise DataError(msg)
    row, column = np.asarray(turned[:3]), np.asarray(turned[3:])
    corner = np.asarray(place)
    ends = np.stack([corner, corner + spacing[0] * column, corner + spacing[1] * row])
    first, *neighbours = grid.indices(ends)
    steps = np.stack([it - first for it in neighbours])
    _refuse_other_voxels(steps, measures, grid, told)
    steps = np.round(steps).astype(np.int64)

    def write(mask: NDArray[np.bool_], volume: NDArray[np.bool_]) -> None:
        at = np.argwhere(mask)
        if not len(at):
            return
        astray = float(np.abs(first - np.round(first)).max())
        if astray > ORIGIN_TOLERANCE:
            msg = (
                f"{told} must lie on the voxels of its scan, a frame lies {astray:.2g} of a voxel beside "
                "them; nothing is resampled silently"
            )
            raise DataError(msg)
        index = at @ steps + np.round(first).astype(np.int64)
        outside = int((~((index >= 0) & (index < volume.shape)).all(axis=1)).sum())
        if outside:
            msg = (
                f"{told} must lie inside its scan, a frame has {outside} voxels outside of it (are slices "
                "of the scan missing?)"
            )
            raise DataError(msg)
        volume[tuple(index.T)] = True

    return write


def _refuse_other_voxels(
    steps: NDArray[np.float64],
    measures: Any,  # noqa: ANN401  # an untyped dataset
    grid: _Grid,
    told: str,
) -> None:
    """Refuse frames whose pixels are larger, smaller or turned against the voxels of the scan."""
    whole = np.round(steps)
    unit = bool((np.abs(whole).sum(axis=1) == 1).all())
    if not unit or float(np.abs(steps - whole).max()) > DIRECTION_TOLERANCE * 5:
        spacing = ", ".join(f"{it:.6g}" for it in grid.geometry.spacing)
        msg = (
            f"{told} must have the voxels of its scan (spacing {spacing} mm along z, y, x); the pixels of "
            "its frames have another size or direction; nothing is resampled silently"
        )
        raise DataError(msg)
    between = numbers_of(measures, "SpacingBetweenSlices", 1)
    (across,) = {0, 1, 2} - {int(np.argmax(np.abs(it))) for it in whole}
    step = grid.geometry.spacing[across]
    if between and abs(abs(between[0]) - step) > max(SPACING_TOLERANCE, 0.02 * step):
        msg = (
            f"{told} must have the slices of its scan, {step:.6g} mm apart; its own are "
            f"{abs(between[0]):.6g} mm apart"
        )
        raise DataError(msg)


def _fill_contours(
    whole: Any,  # noqa: ANN401  # an untyped dataset
    structures: Structures,
    grid: _Grid,
    numbers: _Numbers,
    masks: _Masks,
    notes: list[str],
) -> None:
    told = structures.header.told
    for item in getattr(whole, "ROIContourSequence", None) or ():
        number = int((numbers_of(item, "ReferencedROINumber", 1) or (-1,))[0])
        if number not in numbers:
            continue
        name = numbers[number]
        slices: dict[int, list[NDArray[np.float64]]] = {}
        for contour in getattr(item, "ContourSequence", None) or ():
            index, corners = _flat(contour, grid, f"{told}, {name!r}")
            same = slices.setdefault(index, [])
            if any(it.shape == corners.shape and np.allclose(it, corners) for it in same):
                notes.append(
                    f"{told}: a contour of {name!r} stands twice in slice {index}; it counts once"
                )
                continue
            same.append(corners)
        for index, contours in slices.items():
            rows, columns = masks[name].shape[1:]
            masks[name][index] |= fill_even_odd(contours, (rows, columns))
        if slices and (gap := max(slices) - min(slices) + 1 - len(slices)):
            notes.append(
                f"{told}: {name!r} has no contour in {gap} slices between its first and last; they stay "
                "background"
            )


def _flat(contour: Any, grid: _Grid, what: str) -> tuple[int, NDArray[np.float64]]:  # noqa: ANN401
    """Return the slice of a contour, and its corners in voxels (rows, columns)."""
    kind = text_of(contour, "ContourGeometricType")
    if kind not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
        msg = f"{what}: contours must be CLOSED_PLANAR, one is {kind or 'of no kind'}"
        raise DataError(msg)
    raw = getattr(contour, "ContourData", None)
    points = numbers_of(contour, "ContourData", len(raw) if raw else 0)
    if points is None or len(points) % 3 or len(points) < 9:
        count = len(raw) if raw else 0
        msg = f"{what}: a contour must have at least 3 points of 3 numbers, one has {count} numbers"
        raise DataError(msg)
    index = grid.indices(np.asarray(points).reshape(-1, 3))
    slice_index = round(float(np.median(index[:, 0])))
    astray = float(np.abs(index[:, 0] - slice_index).max())
    if astray > _BETWEEN:
        msg = (
            f"{what}: the points of a contour must lie in one slice of the scan, some lie {astray:.2g} of a "
            "slice beside it; nothing is interpolated silently"
        )
        raise DataError(msg)
    depth = grid.geometry.shape[0]
    if not 0 <= slice_index < depth:
        msg = (
            f"{what}: a contour must lie in one of the {depth} slices of the scan, one lies in slice "
            f"{slice_index} (counted from 0; are slices missing?)"
        )
        raise DataError(msg)
    return slice_index, index[:, 1:]
