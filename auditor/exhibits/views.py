"""Which cuts of a scan tell most, and how they are hung on the wall.

**Conventions.** Arrays are (z, y, x) or (y, x); `Geometry.direction` holds one LPS+ unit vector per array
axis. Anatomical planes are shown as radiologists hang them: superior or anterior up, the patient's left on
the viewer's right, anterior on the left of a sagittal plane. A scan without a direction is shown as stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.schema import Geometry

__all__ = ["View", "telling_slices", "views_of"]

_BODY_SHARE = 0.75
"""A slice that is chosen shows at least this share of the largest cut through the foreground."""

_LOCAL = 2.5
"""A change is local, and its place decides, when some slice has this many times the median change."""

_HUNG = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}
"""Patient axes (0 left, 1 posterior, 2 superior) that are cut, run down, run to the right."""


@dataclass(frozen=True, slots=True)
class View:
    """A way to cut an array and to lay the cut down."""

    name: str
    """axial, coronal, sagittal; or the array axes shown: 'y, x'."""
    axis: int | None
    """Array axis that is cut; None in 2-D."""
    rows: int
    """Array axis that runs down."""
    columns: int
    """Array axis that runs to the right."""
    flip: tuple[bool, bool]
    """Whether the rows, the columns run backwards."""
    spacing: tuple[float, float]
    """Distance of rows, of columns, mm or px."""
    hung: bool = False
    """True: an anatomical plane, turned as radiologists hang it."""

    def cut(self, array: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        """Take one plane of (z, y, x), or (y, x) as it is.

        Returns
        -------
        (rows, columns)
            A copy, so that the volume behind it can go.
        """
        plane = array if self.axis is None else np.asarray(array.take(index, self.axis))
        if self.rows > self.columns:
            plane = plane.T
        steps = tuple(slice(None, None, -1 if flipped else 1) for flipped in self.flip)
        return np.ascontiguousarray(plane[steps])


def views_of(geometry: Geometry) -> tuple[View, ...]:
    """Return the three planes of a volume (axial, coronal, sagittal), or the one of an image.

    Examples
    --------
    >>> [view.name for view in views_of(Geometry(shape=(4, 5), spacing=(1.0, 1.0), unit="px"))]
    ['y, x']
    """
    spacing = geometry.spacing
    if len(geometry.shape) == 2:
        return (View("y, x", None, 0, 1, (False, False), (spacing[0], spacing[1])),)
    patient = _patient_axes(geometry)
    if patient is None:
        plain = [tuple(other for other in range(3) if other != axis) for axis in range(3)]
        return tuple(
            View(
                f"{'zyx'[rows]}, {'zyx'[columns]}", axis, rows, columns, (False, False),
                (spacing[rows], spacing[columns]),
            )
            for axis, (rows, columns) in enumerate(plain)
        )  # fmt: skip
    found = []
    for name, (cut, down, right) in _HUNG.items():
        axis, rows, columns = (patient.index(side) for side in (cut, down, right))
        flip = (_backwards(geometry, rows), _backwards(geometry, columns))
        found.append(
            View(name, axis, rows, columns, flip, (spacing[rows], spacing[columns]), hung=True)
        )
    return tuple(found)


def telling_slices(
    views: tuple[View, ...], foreground: NDArray[np.bool_], change: NDArray[np.float32]
) -> tuple[int, ...]:
    """Choose where to cut: through the foreground, and where a local change is largest.

    Parameters
    ----------
    views : tuple of View
        Of `views_of`.
    foreground : (z, y, x) or (y, x), bool
        What is worth looking at.
    change : as foreground, float32
        Perturbed minus clean.

    Returns
    -------
    tuple of int
        Index along the axis of each view; 0 in 2-D.
    """
    return tuple(
        0 if view.axis is None else _slice(view.axis, foreground, change) for view in views
    )


def _slice(axis: int, foreground: NDArray[np.bool_], change: NDArray[np.float32]) -> int:
    letters = "abc"
    others = tuple(other for other in range(3) if other != axis)
    area = foreground.sum(axis=others).astype(np.float64)
    energy = np.einsum(f"abc,abc->{letters[axis]}", change, change, dtype=np.float64)
    if area.max() == 0:
        area[:] = 1.0
    allowed = np.flatnonzero(area >= _BODY_SHARE * area.max())
    middle = float(np.average(np.arange(area.size), weights=area))
    seen = energy[allowed]
    if seen.max() > _LOCAL * np.median(seen):
        return int(allowed[int(np.argmax(seen))])
    return int(allowed[int(np.argmin(np.abs(allowed - middle)))])


def _patient_axes(geometry: Geometry) -> tuple[int, ...] | None:
    """Patient axis (0 left, 1 posterior, 2 superior) that each array axis is closest to."""
    if len(geometry.direction) != 3:
        return None
    nearest = tuple(int(np.argmax(np.abs(vector))) for vector in geometry.direction)
    return nearest if sorted(nearest) == [0, 1, 2] else None


def _backwards(geometry: Geometry, axis: int) -> bool:
    """Tell whether an array axis runs against the wall: to superior, anterior or right."""
    vector = geometry.direction[axis]
    patient = int(np.argmax(np.abs(vector)))
    return vector[patient] > 0 if patient == 2 else vector[patient] < 0
