"""Phantom patients: small MR-like scans whose truth and whose raters are known.

**Conventions.** Arrays are (z, y, x) with spacing (3.0, 1.2, 1.2) mm; the axes run towards
superior, posterior and left, tilted by a few degrees per patient. Intensities are whole numbers as
a scanner stores them, about 600 in the audited organ. Lengths are mm.

**The scene.** An elliptic body holds one audited, textured *organ* on the patient's right, whose
share of the image runs from about 0.1 % to 10 % over a cohort. Three things make it a task:
a *twin* of the same brightness and texture on the left (only position tells them apart), a
*neighbour* of the same brightness that touches the organ (only texture tells them apart), and a
dark *lesion* inside that still belongs to the organ. Noise and blur destroy exactly the texture.

**Raters** see the true boundary displaced by a smooth random field whose standard deviation
differs from patient to patient, so that disagreement is a property of the case.

**Sites.** A has little native noise, B more; severity 0 of an audit is the scan with that noise.

Everything follows from ``(seed, index)``: another seed is another, disjoint set of patients.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Volume = NDArray[np.float32]
Mask = NDArray[np.uint8]
_Triple = Sequence[float] | NDArray[np.float64]

SHAPE = (24, 64, 64)
"""Voxels along (z, y, x)."""
SPACING_MM = (3.0, 1.2, 1.2)
"""Distance of voxel centres along (z, y, x)."""
RATIO_RANGE = (0.0011, 0.095)
"""Share of the image that the organ fills, smallest and largest patient; log-uniform between."""
RATER_SD_RANGE_MM = (0.3, 1.5)
"""Standard deviation of a rater's boundary displacement, easiest and hardest patient."""
NOISE_PERCENT = {"A": 2.0, "B": 5.0}
"""Native Rician noise of each site: sigma in % of the organ's signal."""
RATERS = 3
"""Raters per patient."""

_ORGAN_SIGNAL = 600.0
_EDGE_MM = 1.6  # width over which a boundary voxel is shared: partial volume
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0  # low-discrepancy steps: any cohort spans the whole range
_SILVER = math.sqrt(2.0) - 1.0


@dataclass(frozen=True, slots=True)
class Phantom:
    """One phantom patient: the scan, the truth, the raters."""

    image: Volume
    """(z, y, x), magnitude, whole numbers, never negative."""
    reference: Mask
    """(z, y, x), 1 inside the organ (lesion included): the truth that no rater sees."""
    raters: tuple[Mask, ...]
    """One (z, y, x) mask per rater."""
    spacing: tuple[float, float, float]
    """Along (z, y, x), mm."""
    direction: tuple[tuple[float, float, float], ...]
    """Unit vector of each array axis (z, y, x) in LPS+ patient coordinates."""
    origin: tuple[float, float, float]
    """LPS+ position (x, y, z) of the first voxel's centre, mm."""
    metadata: tuple[tuple[str, str], ...]
    """(name, value): site, scanner, sex."""


def phantom(index: int, *, seed: int) -> Phantom:
    """Draw one phantom patient.

    Parameters
    ----------
    index : 0, 1, ..: which patient of the cohort.
    seed : at least 0: which cohort; cohorts of different seeds share no patient.

    Returns
    -------
    Phantom
        The same bits for the same arguments on one platform.

    Raises
    ------
    ValueError
        If `index` or `seed` is negative.

    Examples
    --------
    >>> patient = phantom(0, seed=1)
    >>> patient.image.shape, len(patient.raters)
    ((24, 64, 64), 3)
    """
    if index < 0 or seed < 0:
        msg = f"index and seed must be at least 0, got index {index!r} and seed {seed!r}"
        raise ValueError(msg)
    rng = np.random.default_rng([seed, index])
    start = np.random.default_rng(seed).random(2)
    ratio = _between(RATIO_RANGE, (start[0] + index * _GOLDEN) % 1.0, logarithmic=True)
    rater_sd = _between(RATER_SD_RANGE_MM, (start[1] + index * _SILVER) % 1.0, logarithmic=False)
    site = "A" if index % 5 < 3 else "B"

    organ = _organ_distance(ratio, rng=rng)
    signal = _paint(organ, radius=_radius_mm(ratio), rng=rng)
    raters = tuple(_rate(organ, sd_mm=rater_sd, rng=rng) for _ in range(RATERS))
    scanner = f"{site}{1 + int(rng.integers(2))}"
    image = _acquire(signal, noise_percent=NOISE_PERCENT[site], scanner=scanner, rng=rng)
    direction = _tilted_axes(rng)
    sex = "F" if rng.random() < 0.5 else "M"
    return Phantom(
        image=image,
        reference=(organ < 0).astype(np.uint8),
        raters=raters,
        spacing=SPACING_MM,
        direction=direction,
        origin=_origin(direction),
        metadata=(("site", site), ("scanner", scanner), ("sex", sex)),
    )


def write_cohort(folder: Path, *, patients: int = 60, seed: int) -> Path:
    """Write a cohort as NIfTI files with its table of cases.

    Parameters
    ----------
    folder : is made if missing; files of the same names are replaced.
    patients : number of patients, at least 1; one case each.
    seed : which cohort.

    Returns
    -------
    Path
        ``cases.csv`` with columns case, patient, image, rater_1 .. rater_3, site, scanner, sex;
        file names relative to the table.

    Raises
    ------
    ValueError
        If `patients` is below 1.
    """
    if patients < 1:
        msg = f"patients must be at least 1, got {patients!r}"
        raise ValueError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [_write_case(folder, index, seed=seed) for index in range(patients)]
    table = folder / "cases.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return table


def write_volume(path: Path, values: Volume | Mask, *, like: Phantom) -> None:
    """Write an image (as int16) or a mask (as uint8) on a phantom's grid.

    Parameters
    ----------
    path : a NIfTI file name.
    values : (z, y, x), on the grid of `like`.
    like : the phantom whose spacing, direction and origin are written.
    """
    import SimpleITK

    kind = np.uint8 if values.dtype == np.uint8 else np.int16
    image: Any = SimpleITK.GetImageFromArray(np.ascontiguousarray(values, dtype=kind))
    image.SetSpacing(tuple(reversed(like.spacing)))
    columns = np.array(like.direction)[::-1]  # file axes are (x, y, z), one column each
    image.SetDirection(tuple(columns.T.ravel().tolist()))
    image.SetOrigin(like.origin)
    SimpleITK.WriteImage(image, str(path), useCompression=True, compressionLevel=1)


def _write_case(folder: Path, index: int, *, seed: int) -> dict[str, str]:
    drawn = phantom(index, seed=seed)
    name = f"phantom-{index + 1:03d}"
    row = {"case": name, "patient": name, "image": f"{name}_mr.nii.gz"}
    write_volume(folder / row["image"], drawn.image, like=drawn)
    for number, mask in enumerate(drawn.raters, start=1):
        row[f"rater_{number}"] = f"{name}_rater_{number}.nii.gz"
        write_volume(folder / row[f"rater_{number}"], mask, like=drawn)
    return row | dict(drawn.metadata)


def _between(limits: tuple[float, float], share: float, *, logarithmic: bool) -> float:
    low, high = limits
    if logarithmic:
        return low * math.pow(high / low, share)
    return low + (high - low) * share


def _radius_mm(ratio: float) -> float:
    """Radius of the ball that fills `ratio` of the image."""
    volume = ratio * math.prod(SHAPE) * math.prod(SPACING_MM)
    return math.pow(3.0 * volume / (4.0 * math.pi), 1.0 / 3.0)


def _positions() -> tuple[NDArray[np.float64], ...]:
    """Distance from the image's centre along each axis, mm, ready to broadcast."""
    axes = [(np.arange(n) - (n - 1) / 2.0) * s for n, s in zip(SHAPE, SPACING_MM, strict=True)]
    return tuple(np.meshgrid(*axes, indexing="ij", sparse=True))


def _smooth_field(rng: np.random.Generator, length_mm: float) -> NDArray[np.float64]:
    """Gaussian random field of mean 0, SD 1 and the given correlation length, (z, y, x)."""
    from scipy.ndimage import gaussian_filter

    sigma = [length_mm / spacing for spacing in SPACING_MM]
    field = gaussian_filter(rng.standard_normal(SHAPE), sigma, mode="wrap", truncate=3.0)
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float64)


def _ellipsoid(
    centre: _Triple, radii: _Triple, *, axes: Sequence[int] = (0, 1, 2)
) -> NDArray[np.float64]:
    """Signed distance from an ellipsoid's surface, negative inside, mm, to first order.

    F / |grad F| of F = |q| - 1 with q = (position - centre) / radii; along fewer than three
    `axes` it is a cylinder.
    """
    positions = _positions()
    scaled = [(positions[a] - centre[a]) / radii[a] for a in axes]
    norm = np.sqrt(sum(q**2 for q in scaled))
    slope = np.sqrt(sum((q / radii[a]) ** 2 for q, a in zip(scaled, axes, strict=True)))
    return np.broadcast_to(norm * (norm - 1.0) / np.maximum(slope, 1e-9), SHAPE)


def _organ_distance(ratio: float, *, rng: np.random.Generator) -> NDArray[np.float64]:
    """Signed distance from the organ's boundary; the organ fills exactly `ratio` of the image."""
    radius = _radius_mm(ratio)
    room = 1.0 - radius / 25.0  # small organs wander, large ones have no space to
    centre = (
        rng.uniform(-8.0, 8.0) * room,
        rng.uniform(-9.0, 9.0) * room,
        -12.0 - 5.0 * room + rng.uniform(-3.0, 3.0) * room,
    )
    radii = radius * np.array([1.25, 0.95, 0.85]) * rng.uniform(0.93, 1.07, size=3)
    distance = _ellipsoid(centre, radii) + 0.12 * radius * _smooth_field(rng, 5.0)
    return np.asarray(distance - np.quantile(distance, ratio), dtype=np.float64)


def _rate(organ: NDArray[np.float64], *, sd_mm: float, rng: np.random.Generator) -> Mask:
    """One rater's mask: the boundary moved by a smooth field, plus a habit of in- or excluding."""
    habit = 0.3 * sd_mm * rng.standard_normal()
    return (organ + sd_mm * _smooth_field(rng, 5.0) + habit < 0).astype(np.uint8)


def _cover(
    signal: NDArray[np.float64], distance: NDArray[np.float64], value: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Paint a structure over what is there, boundary voxels in proportion."""
    share = np.clip(0.5 - distance / _EDGE_MM, 0.0, 1.0)
    return np.asarray(signal + share * (value - signal), dtype=np.float64)


def _paint(
    organ: NDArray[np.float64], *, radius: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Noise-free signal of the whole scene, (z, y, x)."""
    texture = _ORGAN_SIGNAL * (1.0 + 0.13 * _smooth_field(rng, 1.5))
    tissue = 340.0 * rng.uniform(0.9, 1.1) + 18.0 * _smooth_field(rng, 4.0)
    inside = np.argwhere(organ < 0)
    middle = (inside.mean(axis=0) - (np.array(SHAPE) - 1) / 2.0) * SPACING_MM

    body = _ellipsoid((0, 0, 0), (0, 31.0 + 3 * rng.random(), 34.0 + 3 * rng.random()), axes=(1, 2))
    signal = _cover(np.zeros(SHAPE), body, tissue)
    signal = _cover(signal, _ellipsoid((0, 23, 0), (0, 5.5, 6.5), axes=(1, 2)), 180.0)
    vessel = (0.0, rng.uniform(8.0, 14.0), rng.uniform(3.0, 6.0))
    signal = _cover(signal, _ellipsoid(vessel, (0, 2.8, 2.8), axes=(1, 2)), 880.0)

    size = rng.uniform(6.0, 11.0)
    twin = (rng.uniform(-9, 9), rng.uniform(-8, 8), 19.0 + rng.uniform(-2, 2))
    twin_radii = size * np.array([1.25, 0.95, 0.85])
    signal = _cover(signal, _ellipsoid(twin, twin_radii), texture)

    side = rng.uniform(-0.6, 0.6) * math.pi  # any side but the one of the body wall
    reach = 0.9 * radius + 5.0
    neighbour = middle + reach * np.array([rng.uniform(-0.4, 0.4), math.sin(side), math.cos(side)])
    flat = _ORGAN_SIGNAL * rng.uniform(0.95, 1.05)
    neighbour_radii = rng.uniform(5.0, 8.5) * np.array([1.3, 0.8, 1.0])
    signal = _cover(signal, np.maximum(_ellipsoid(neighbour, neighbour_radii), body + 3.0), flat)

    signal = _cover(signal, organ, texture)
    lesion = middle + 0.35 * radius * rng.uniform(-1.0, 1.0, size=3)
    hole = np.maximum(_ellipsoid(lesion, np.full(3, 0.33 * radius + 0.8)), organ + 0.5)
    return _cover(signal, hole, 0.68 * _ORGAN_SIGNAL)


def _acquire(
    signal: NDArray[np.float64], *, noise_percent: float, scanner: str, rng: np.random.Generator
) -> Volume:
    """Receive field, Rician noise, gain of the scanner, whole numbers."""
    field = np.exp(0.05 * _smooth_field(rng, 25.0))
    sigma = noise_percent / 100.0 * _ORGAN_SIGNAL
    real, imaginary = sigma * rng.standard_normal((2, *SHAPE))
    gain = {"A1": 1.0, "A2": 0.9, "B1": 1.25, "B2": 1.1}[scanner]
    magnitude = gain * np.hypot(np.maximum(signal, 0.0) * field + real, imaginary)
    return np.asarray(np.round(magnitude), dtype=np.float32)


def _tilted_axes(rng: np.random.Generator) -> tuple[tuple[float, float, float], ...]:
    """Tilt the unit vectors of the array axes (z, y, x) by up to 8 degrees about x, then z."""
    about_x, about_z = np.deg2rad(rng.uniform(2.0, 8.0, size=2) * rng.choice([-1.0, 1.0], size=2))
    turn_x = np.array(
        [
            [1, 0, 0],
            [0, math.cos(about_x), -math.sin(about_x)],
            [0, math.sin(about_x), math.cos(about_x)],
        ]
    )
    turn_z = np.array(
        [
            [math.cos(about_z), -math.sin(about_z), 0],
            [math.sin(about_z), math.cos(about_z), 0],
            [0, 0, 1],
        ]
    )
    x, y, z = (turn_z @ turn_x).T.tolist()
    return tuple(z), tuple(y), tuple(x)


def _origin(
    direction: tuple[tuple[float, float, float], ...],
) -> tuple[float, float, float]:
    """Place the image's centre at the patient's origin."""
    half = [(n - 1) / 2.0 * s for n, s in zip(SHAPE, SPACING_MM, strict=True)]
    x, y, z = (-np.array(half) @ np.array(direction)).tolist()
    return x, y, z
