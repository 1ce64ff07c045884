"""Synthetic scans for the gallery, drawn from formulas: no patient, no file.

**Conventions.** Arrays are (z, y, x) or (y, x); in the head and the body y runs to posterior and x to the
patient's left, as radiologists look at them. Lengths are mm, in the pictures pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from perturbations import Scan

__all__ = ["APEX", "phantom_scan"]

Array = NDArray[np.float64]

APEX = (-26.0, 71.5)
"""Row and column from which the beams of the sonogram fan out."""


@cache
def phantom_scan(modality: str) -> Scan:
    """Return the scan that stands for a modality; its region is a lesion or an object.

    Raises
    ------
    KeyError
        When there is none.
    """
    return {
        "mr": _head, "ct": _body, "us": _sonogram, "xray": _chest, "microscopy": _nuclei,
        "other": _uptake,
    }[modality]()  # fmt: skip


def _head() -> Scan:
    """T1-weighted head: fat, skull, folded cortex, ventricles, a ring-enhancing lesion."""
    shape, spacing = (26, 112, 96), (5.0, 1.8, 1.8)
    z, y, x = _positions(shape, spacing)
    rng = np.random.default_rng(11)
    wobble = 2.0 * _field(rng, shape, spacing, 30.0)
    head = _ellipsoid((z - 8, y, x), (86, 94, 77)) + wobble
    image = np.zeros(shape)
    image = _cover(image, head, 760.0)
    image = _cover(image, head + 5.5, 70.0)
    image = _cover(image, head + 12.0, 170.0)
    brain = head + 14.5
    fold = _field(rng, shape, spacing, 4.6)
    outer = np.clip((brain + 24.0) / 10.0, 0.0, 1.0)  # folds fade towards the centre
    ribbon = np.minimum(np.abs(fold) * 6.0 / np.maximum(outer, 0.05), -brain)
    white = 640.0 * (1 + 0.02 * _field(rng, shape, spacing, 4.0))
    image = _cover(image, brain, white)
    image = _cover(image, np.maximum(brain, ribbon - 3.0), 455.0)
    image = _cover(image, np.maximum(brain, ribbon - 0.7), 190.0)
    for side in (-1, 1):
        image = _cover(image, _ellipsoid((z - 2, y - 6, x - side * 13), (16, 15, 9)), 480.0)
        image = _cover(image, _ellipsoid((z - 2, y + 8, x - side * 27), (13, 19, 6)), 500.0)
        bent = x - side * (5.0 + 0.012 * (y - 4) ** 2)
        image = _cover(image, _ellipsoid((z - 10, y - 2, bent), (15, 32, 4.5)), 165.0)
    image = _cover(image, np.maximum(np.abs(x) - 0.8, np.maximum(brain, -brain - 26.0)), 200.0)
    lesion = _ellipsoid((z - 8, y - 34, x - 36), (15, 12, 11)) + 0.8 * _field(
        rng, shape, spacing, 5
    )
    image = _cover(image, lesion, 830.0)
    image = _cover(image, lesion + 3.0, 330.0)
    image = ndimage.gaussian_filter(image, [0.3, 0.55, 0.55])
    noisy = np.hypot(image + rng.normal(0, 11, shape), rng.normal(0, 11, shape))
    return _scan(noisy, spacing, "mr", lesion < 0)


def _body() -> Scan:
    """Abdomen in HU: liver with a lesion, spleen, kidneys, spine, ribs, stomach with gas, a table."""
    shape, spacing = (20, 100, 132), (8.0, 3.0, 3.0)
    z, y, x = _positions(shape, spacing)
    rng = np.random.default_rng(5)
    wobble = 3.0 * _field(rng, shape, spacing, 45.0)
    wall = _ellipsoid((y, x), (112 - 0.05 * z, 168 - 0.1 * z)) + wobble
    image = np.full(shape, -1000.0)
    table = np.abs(y - 132 + 0.0012 * x**2) - 2.5
    image = _cover(image, np.maximum(table, np.abs(x) - 170), -150.0)
    image = _cover(image, wall, -100.0)
    image = _cover(image, wall + 16, 55.0)
    image = _cover(image, wall + 30, -95.0)
    for angle in np.linspace(0.2, np.pi - 0.2, 7):
        for side in (-1, 1):
            place = 88 * np.cos(angle) + 4, side * 142 * np.sin(angle) + 0.25 * z * side
            image = _cover(image, _ellipsoid((y - place[0], x - place[1]), (4.5, 8)), 420.0)
    for _ in range(9):  # loops of bowel
        cz, cy, cx = rng.uniform(-60, 60), rng.uniform(-70, -10), rng.uniform(-30, 110)
        image = _cover(
            image, np.maximum(_ellipsoid((z - cz, y - cy, x - cx), (24, 16, 20)), wall + 32), 35
        )
    liver = np.maximum(_ellipsoid((z - 18, y + 12, x + 78), (95, 78, 82)), wall + 33)
    vessels = np.abs(_field(rng, shape, spacing, 16.0)) * 14 - 1.2
    tissue = 108 + 5 * _field(rng, shape, spacing, 6.0)
    image = _cover(image, liver, tissue)
    image = _cover(image, np.maximum(liver + 8, vessels), 158.0)
    lesion = _ellipsoid((z - 4, y + 2, x + 92), (24, 20, 23)) + 2 * _field(rng, shape, spacing, 8)
    image = _cover(image, lesion, 48.0)
    image = _cover(
        image, np.maximum(_ellipsoid((z - 20, y - 18, x - 108), (50, 40, 24)), wall + 33), 122.0
    )
    stomach = np.maximum(_ellipsoid((z - 25, y + 48, x - 62), (45, 34, 46)), wall + 33)
    image = _cover(image, stomach, 70.0)
    image = _cover(image, stomach + 5, np.where(y < -58, -950.0, 18.0))
    for side in (-1, 1):
        kidney = _ellipsoid((z + 25, y - 44, x - side * 66), (52, 28, 24))
        image = _cover(image, kidney, 190.0)
        image = _cover(image, _ellipsoid((z + 25, y - 40, x - side * 56), (28, 14, 10)), 20.0)
        image = _cover(image, _ellipsoid((y - 68, x - side * 34), (26, 24)), 58.0)
    spine = _ellipsoid((y - 52, x), (21, 25))
    image = _cover(image, spine, 430.0)
    image = _cover(image, spine + 4, 190.0 + 30 * _field(rng, shape, spacing, 4.0))
    image = _cover(image, _ellipsoid((y - 80, x), (9, 11)), 40.0)
    image = _cover(image, np.maximum(np.abs(x) - 5, np.abs(y - 100) - 12), 380.0)
    image = _cover(image, _ellipsoid((y - 22, x - 12), (11, 11)), 210.0)
    image = _cover(image, _ellipsoid((y - 18, x + 22), (10, 13)), 150.0)
    image = ndimage.gaussian_filter(image, [0.3, 0.5, 0.5])
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), [0, 0.5, 0.5])
    return _scan(np.maximum(image + 9 * noise / noise.std(), -1024), spacing, "ct", lesion < 0)


def _sonogram() -> Scan:
    """Log-compressed sector: speckle, a cyst with enhancement behind it, a mass, a bright interface."""
    shape, rng = (118, 144), np.random.default_rng(4)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
    down, aside = y - APEX[0], x - APEX[1]
    r, angle = np.hypot(down, aside), np.arctan2(aside, down)
    depth, beams = 300, 220
    scatter = rng.standard_normal((2, depth, beams))
    blurred = ndimage.gaussian_filter(scatter, [0, 1.3, 1.9])
    fine = np.hypot(*(part / part.std() for part in blurred))
    at = np.stack([(r - 24) * depth / 124, (angle + 0.72) * beams / 1.44])
    speckle = ndimage.map_coordinates(fine, at, order=1, mode="nearest")
    cyst = _ellipsoid((y - 50, x - 52), (15, 19))
    mass = _ellipsoid((y - 74, x - 100), (13, 17)) + 1.2 * _field(rng, shape, (1.0, 1.0), 5)
    amplitude = 1.0 + 0.25 * _field(rng, shape, (1.0, 1.0), 14)
    behind = (np.abs(angle + 0.25) < 0.2) & (r > 92)
    amplitude = amplitude * np.where(behind, 1.8, 1.0)
    amplitude = _cover(amplitude, mass, 0.22)
    amplitude = _cover(amplitude, cyst, 0.01)
    amplitude = _cover(amplitude, np.abs(r - 118 - 5 * np.sin(4 * angle)) - 1.5, 7.0)
    amplitude = _cover(amplitude, np.abs(r - 42) - 0.6, 2.4) * np.exp(-0.006 * (r - 24))
    decibel = 20 * np.log10(np.maximum(speckle * np.maximum(amplitude, 0.004), 1e-6) / 17.0)
    image = np.clip(255 * (1 + decibel / 50), 0, 255)
    sector = (np.abs(angle) < 0.66) & (r > 27) & (r < 143)
    return _scan(np.round(image * sector), (1.0, 1.0), "us", mass < 0)


def _chest() -> Scan:
    """Projection of a chest: lungs, heart, ribs, spine, clavicles, a nodule."""
    shape, rng = (124, 128), np.random.default_rng(8)
    y, x = _positions(shape, (1.0, 1.0))
    trunk = np.clip(-_ellipsoid((y - 20, x), (118, 60)), 0, 20) / 20
    image = 1500.0 * np.sqrt(trunk)
    image += 500 * np.clip((np.abs(x) - 42) / 20, 0, 1) * (trunk > 0)
    for side in (-1, 1):
        lung = _ellipsoid((y + 4, x - side * 27), (46, 20)) + 1.5 * _field(
            rng, shape, (1.0, 1.0), 9
        )
        lung = np.maximum(lung, y - 34 + 0.02 * (x - side * 27) ** 2)
        air = np.clip(0.5 - lung / 5, 0, 1)
        marks = np.clip(_field(rng, shape, (1.0, 1.0), 2.2), 0, None) * np.exp(-np.abs(x) / 18)
        image -= air * (1000 - 260 * marks)
        for number in range(7):
            rib = y + 44 - 13 * number - 9 * np.cos((np.abs(x) - 12) / 30) + 0.25 * np.abs(x)
            on = (np.abs(x) < 52) & (np.sign(x) == side) & (trunk > 0)
            image += on * 270 * np.exp(-((np.abs(rib) / 2.6) ** 4))
        collar = y + 47 + 0.12 * side * x - 2 * np.cos(x / 12)
        image += (np.sign(x) == side) * (np.abs(x) < 48) * 380 * np.exp(-((collar / 2.5) ** 4))
    heart = _ellipsoid((y - 17 + 0.3 * x, x - 10), (21, 25))
    image += 950 * np.clip(0.5 - heart / 6, 0, 1)
    image += 500 * np.exp(-((x / 7) ** 4)) * (1 + 0.12 * np.cos(y / 1.6))
    nodule = _ellipsoid((y + 12, x + 30), (5, 5))
    image += 420 * np.clip(0.5 - nodule / 2, 0, 1)
    image = ndimage.gaussian_filter(np.clip(image + 120, 0, None), 0.7)
    image += rng.normal(0, 1, shape) * np.sqrt(image + 50) * 0.35
    return _scan(np.round(np.clip(image, 0, 4095)), (1.0, 1.0), "xray", nodule < 0)


def _nuclei() -> Scan:
    """Stained nuclei with chromatin texture in faint cytoplasm."""
    shape, rng = (118, 140), np.random.default_rng(21)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
    texture = _field(rng, shape, (1.0, 1.0), 1.4)
    image, mask = 14 + 5 * _field(rng, shape, (1.0, 1.0), 20), np.zeros(shape, dtype=bool)
    placed: list[tuple[float, float]] = []
    while len(placed) < 26:
        cy, cx = rng.uniform(4, shape[0] - 4), rng.uniform(4, shape[1] - 4)
        if any((cy - a) ** 2 + (cx - b) ** 2 < 19**2 for a, b in placed):
            continue
        placed.append((cy, cx))
        turn, long, short = rng.uniform(0, np.pi), rng.uniform(8, 11.5), rng.uniform(6, 8.5)
        u = (y - cy) * np.cos(turn) + (x - cx) * np.sin(turn)
        v = (x - cx) * np.cos(turn) - (y - cy) * np.sin(turn)
        shell = _ellipsoid((u, v), (long, short))
        image += 26 * np.exp(-np.clip(shell, 0, None) / 5.0) * (shell > 0)
        image = _cover(image, shell, rng.uniform(105, 190) * (1 + 0.16 * texture))
        for _ in range(int(rng.integers(1, 4))):
            du, dv = rng.uniform(-0.5, 0.5, 2) * (long, short)
            image += 50 * np.exp(-((u - du) ** 2 + (v - dv) ** 2) / 3.0)
        mask |= shell < 0
    image = ndimage.gaussian_filter(image, 0.9)
    image = rng.poisson(np.clip(image, 0, None) * 2.0) / 2.0
    return _scan(np.round(np.clip(image, 0, 255)), (1.0, 1.0), "microscopy", mask)


def _uptake() -> Scan:
    """Nuclear-medicine-like head: smooth uptake in the cortex, a hot lesion."""
    head = _head()
    assert head.region is not None  # it is drawn with one
    values = head.image[0].numpy().astype(np.float64)
    cortex = np.exp(-(((values - 460) / 110) ** 2)) + 0.35 * (values > 560) * (values < 720)
    uptake = ndimage.gaussian_filter(9000 * cortex, [0.8, 2.0, 2.0])
    uptake += 14000 * ndimage.gaussian_filter(head.region.numpy().astype(float), [0.8, 1.8, 1.8])
    counts = np.random.default_rng(6).poisson(uptake / 25) * 25.0
    smooth = ndimage.gaussian_filter(counts, [0.5, 0.9, 0.9])
    return _scan(smooth, head.spacing, "other", head.region.numpy())


def _scan(
    image: Array, spacing: tuple[float, ...], modality: str, region: NDArray[np.bool_]
) -> Scan:
    units: Mapping[int, str] = {2: "px", 3: "mm"}
    return Scan(
        image=torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None],
        spacing=spacing,
        unit="px" if units[image.ndim] == "px" else "mm",
        modality=modality,
        region=torch.from_numpy(np.ascontiguousarray(region)),
    )


def _positions(shape: tuple[int, ...], spacing: tuple[float, ...]) -> list[Array]:
    """Distance from the middle along each axis."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    return list(np.meshgrid(*axes, indexing="ij"))


def _ellipsoid(offsets: tuple[Array, ...], radii: tuple[float | Array, ...]) -> Array:
    """Signed distance from an ellipsoid (a cylinder along axes left out), to first order."""
    scaled = [offset / radius for offset, radius in zip(offsets, radii, strict=True)]
    norm = np.sqrt(sum(q**2 for q in scaled))
    slope = np.sqrt(sum((q / r) ** 2 for q, r in zip(scaled, radii, strict=True)))
    return np.asarray(norm * (norm - 1) / np.maximum(slope, 1e-9))


def _field(
    rng: np.random.Generator, shape: tuple[int, ...], spacing: tuple[float, ...], length: float
) -> Array:
    """Smooth random field of mean 0 and SD 1."""
    sigma = [length / step for step in spacing]
    field = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return np.asarray((field - field.mean()) / field.std())


def _cover(image: Array, distance: Array, value: Array | float) -> Array:
    """Paint over what is there, voxels at the boundary in proportion."""
    share = np.clip(0.5 - distance / 2.0, 0.0, 1.0)
    return np.asarray(image + share * (value - image))
