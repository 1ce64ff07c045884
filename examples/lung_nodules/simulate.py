"""Simulate CT around a nodule that real radiologists outlined. Every voxel of it is SIMULATED.

**Conventions.** Arrays are (z, y, x): towards superior, posterior and left; values are HU; lengths mm. The
grid has the true spacing of the scan, and the nodule lies
in it where its contours say (within 3 mm of the centre, as if somebody had clicked on it), but lung, vessels,
pleura and nodule are drawn.

**The true shape** is none of the readers': the zero level of a randomly weighted mean of their signed
distances, moved by a smooth field of .25 mm. Where the readers disagree, its border is drawn softer: an
error function with a width of .3 mm and half of the readers' standard deviation there. A nodule that they
rate as ground glass is faint. So the picture is hard where the readers found it hard, by construction.

**The scan:** in-plane point spread of 1.1 mm (full width at half maximum), across slices one of the slice's
thickness, which the scan states; noise of 20 HU by `ct_dose` of this project (rays of a ramp filter with a
Hann window), the same at every thickness.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from nodules import Nodule
from numpy.typing import NDArray
from rasterise import Box, Mask, box_of, mask_of

import perturbations

Field = NDArray[np.float64]
Volume = NDArray[np.float32]

WIDTH_MM = (40.0, 64.0, 64.0)
"""Least size of a scan along (z, y, x)."""
MARGIN_MM = (16.0, 28.0, 28.0)
"""Least room around a nodule, both sides together."""
CLICK_MM = 3.0
"""Farthest that a scan's centre lies from the centre of the nodule's box, along each axis."""
NOISE_HU = 20.0
"""Of every simulated scan."""
IN_PLANE_MM = 1.1
"""Full width at half maximum of the point spread in a slice."""

_FINE_MM = 1.0
_DISPLACEMENT_MM = 0.25
_SEEN_MM = 1.5
"""Five times the width of a drawn edge."""
_LEAST_WIDTH_MM = 0.3
_LUNG_HU = -860.0
_VESSEL_HU = 40.0
_NODULE_HU = (-650.0, -480.0, -300.0, -100.0, 20.0)
"""At a mean texture of 1 (ground glass) to 5 (solid)."""
_FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))


@dataclass(frozen=True, slots=True)
class Simulated:
    """One simulated scan with the four readers' real masks."""

    image: Volume
    """(z, y, x), HU, whole numbers."""
    masks: tuple[Mask, ...]
    """One per reader, in an order drawn for this nodule."""
    spacing: tuple[float, float, float]
    """Along (z, y, x), mm."""
    origin: tuple[float, float, float]
    """(x, y, z) of the first voxel, see `Scan.position`."""
    surroundings: str
    """``pleura`` or ``vessel`` when the drawn one touches the nodule, ``free`` otherwise."""


def simulate(nodule: Nodule, *, seed: int) -> Simulated:
    """Draw the scan around one nodule.

    Parameters
    ----------
    nodule : Nodule
        With at least two readers, whose masks are not empty.
    seed : int
        At least 0; with the number of the first annotation it decides every bit.

    Returns
    -------
    Simulated
        The same bits for the same arguments on one platform.
    """
    rng = np.random.default_rng([seed, nodule.annotations[0].number])
    scan = nodule.scan
    spacing = scan.spacing
    box = _around(box_of(nodule.annotations), spacing, rng)
    order = rng.permutation(len(nodule.annotations))
    masks = tuple(mask_of(nodule.annotations[i], box) for i in order)

    factor = max(1, math.ceil(spacing[0] / _FINE_MM))
    fine = _Grid((box.shape[0] * factor, *box.shape[1:]), (spacing[0] / factor, *spacing[1:]))
    distance, width = _true_shape(masks, spacing, factor, fine, rng)
    scene, surroundings = _paint(distance, width, nodule.mean_rating("texture"), fine, rng)
    sharp = _smeared(scene, (scan.thickness_mm, IN_PLANE_MM, IN_PLANE_MM), fine)
    slices = sharp.reshape(box.shape[0], factor, *box.shape[1:])
    whole = slices[:, (factor - 1) // 2 : factor // 2 + 1].mean(axis=1).astype(np.float32)
    noisy = perturbations.apply(
        "ct_dose",
        whole,
        level=0.5,  # half the dose adds as much noise as the whole one has
        seed=int(rng.integers(1 << 31)),
        spacing_mm=spacing,
        modality="ct",
        full_dose_noise_hu=NOISE_HU,
    )
    image = np.clip(np.round(np.asarray(noisy)), -1024, 3071).astype(np.float32)
    return Simulated(image, masks, spacing, scan.position(box.first), surroundings)


def _around(box: Box, spacing: tuple[float, ...], rng: np.random.Generator) -> Box:
    """Choose the part of the scan: around a point near the nodule's middle, as somebody clicks on it."""
    first, shape = [], []
    for low, length, step, width, margin in zip(
        box.first, box.shape, spacing, WIDTH_MM, MARGIN_MM, strict=True
    ):
        size = max(math.ceil(width / step), length + math.ceil(margin / step))
        room = (size - length) / 2
        shift = rng.uniform(-1.0, 1.0) * min(CLICK_MM / step, room)
        first.append(low - round(room + shift))
        shape.append(size)
    return Box((first[0], first[1], first[2]), (shape[0], shape[1], shape[2]))


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where the scene is drawn: the scan's grid with its slices divided."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]

    def positions(self) -> tuple[Field, ...]:
        """Millimetres from the first voxel along each axis, ready to broadcast."""
        axes = [np.arange(n) * s for n, s in zip(self.shape, self.spacing, strict=True)]
        return tuple(np.meshgrid(*axes, indexing="ij", sparse=True))

    def centre(self) -> Field:
        return (np.array(self.shape) - 1) / 2 * self.spacing

    def smooth(self, rng: np.random.Generator, length_mm: float) -> Field:
        """Gaussian random field of mean 0, SD 1 and the given width of its kernel."""
        from scipy.ndimage import gaussian_filter

        sigma = [length_mm / step for step in self.spacing]
        field = gaussian_filter(rng.standard_normal(self.shape), sigma, mode="wrap", truncate=3.0)
        return np.asarray((field - field.mean()) / field.std())


def _true_shape(
    masks: tuple[Mask, ...],
    spacing: tuple[float, float, float],
    factor: int,
    fine: _Grid,
    rng: np.random.Generator,
) -> tuple[Field, Field]:
    """Signed distance from a shape between the readers' (negative inside), and its border's width."""
    from scipy.ndimage import gaussian_filter

    distances = np.stack([_signed(mask, spacing) for mask in masks])
    weights = rng.dirichlet(np.full(len(masks), 2.0))
    middle = np.tensordot(weights, distances, axes=1)
    spread = gaussian_filter(distances.std(axis=0), [1.0 / step for step in spacing])
    distance = _divided(middle, factor) + _DISPLACEMENT_MM * fine.smooth(rng, 3.0)
    width = np.hypot(_LEAST_WIDTH_MM, 0.5 * _divided(spread, factor))
    return distance, width


def _signed(mask: Mask, spacing: tuple[float, float, float]) -> Field:
    """Distance of voxel centres to the border between voxels, to half a voxel; negative inside."""
    from scipy.ndimage import distance_transform_edt

    half = 0.5 * min(spacing)
    away = distance_transform_edt(~mask, sampling=spacing)
    deep = distance_transform_edt(mask, sampling=spacing)
    return np.asarray(np.where(mask, half - deep, away - half))


def _divided(values: Field, factor: int) -> Field:
    """Interpolate along z between slices, `factor` values a slice, centred on it."""
    slices = values.shape[0]
    places = np.clip((np.arange(slices * factor) + 0.5) / factor - 0.5, 0, slices - 1)
    low = np.minimum(places.astype(int), max(slices - 2, 0))
    share = (places - low)[:, None, None]
    high = np.minimum(low + 1, slices - 1)
    return np.asarray(values[low] * (1 - share) + values[high] * share)


def _paint(
    distance: Field, width: Field, texture: float, grid: _Grid, rng: np.random.Generator
) -> tuple[Field, str]:
    """Draw lung, vessels, pleura and the nodule, HU."""
    from scipy.special import ndtr

    inside = np.argwhere(distance < 0)
    middle = (inside.mean(axis=0) if len(inside) else np.array(grid.shape) / 2) * grid.spacing
    radius = float(np.cbrt(len(inside) * math.prod(grid.spacing) * 3 / (4 * math.pi)))
    y = grid.positions()[1] - grid.centre()[1]
    scene = _LUNG_HU + 0.4 * y + 25.0 * grid.smooth(rng, 2.0)  # lung is denser towards the back
    vessels, fed = _vessels(grid, middle, radius, rng)
    scene = _cover(scene, ndtr(-vessels / 0.3), _VESSEL_HU)
    touched = "vessel" if fed else "free"
    if rng.random() < 0.4:
        gap = rng.uniform(-1.0, 12.0)
        wall = _pleura(grid, middle, radius + gap, rng)
        tissue = 20.0 + 15.0 * grid.smooth(rng, 4.0)
        scene = _cover(scene, ndtr(-wall / 0.3), tissue)
        touched = "pleura" if gap < 1.0 else touched
    density = np.interp(texture, np.arange(1, 6), _NODULE_HU)
    flesh = density + rng.uniform(-20, 20) + 15.0 * grid.smooth(rng, 1.5)
    share = ndtr(-distance / width)
    return scene + share * np.maximum(flesh - scene, 0.0), touched


def _cover(scene: Field, share: Field, value: Field | float) -> Field:
    return scene + share * (value - scene)


def _vessels(
    grid: _Grid, middle: Field, radius: float, rng: np.random.Generator
) -> tuple[Field, bool]:
    """Signed distance from bent tubes; half of the nodules are fed by one."""
    count = int(rng.poisson(10))
    fed = bool(rng.random() < 0.5)
    length = float(np.linalg.norm(np.array(grid.shape) * grid.spacing))
    found = np.full(grid.shape, np.inf)
    for number in range(count + fed):
        heading = rng.normal(size=3)
        heading *= length / np.linalg.norm(heading)
        through = rng.uniform(0.0, 1.0, size=3) * grid.shape * grid.spacing
        thickness = 0.4 * math.exp(rng.uniform(0.0, 1.5))
        start, end = through - heading, through + heading  # both outside: no vessel ends in view
        if number == count:
            start = middle + heading / length * 0.7 * radius
            end = start + heading
        bend = (start + end) / 2 + rng.normal(0, 5, size=3)
        for one, other in itertools.pairwise((start, bend, end)):
            _draw_tube(found, grid, one, other, thickness)
    return found, fed


def _draw_tube(found: Field, grid: _Grid, one: Field, other: Field, thickness: float) -> None:
    """Lower the distances near a straight piece; farther away nothing would be seen of it."""
    reach = thickness + _SEEN_MM
    low = np.floor((np.minimum(one, other) - reach) / grid.spacing).astype(int)
    high = np.ceil((np.maximum(one, other) + reach) / grid.spacing).astype(int) + 1
    window = tuple(slice(max(f, 0), max(n, 0)) for f, n in zip(low, high, strict=True))
    axes = [np.arange(n)[w] * s for n, w, s in zip(grid.shape, window, grid.spacing, strict=True)]
    away = [a - o for a, o in zip(np.meshgrid(*axes, indexing="ij", sparse=True), one, strict=True)]
    along = other - one
    share = sum(d * a for d, a in zip(away, along, strict=True)) / float(along @ along)
    share = np.clip(share, 0.0, 1.0)
    squared = sum((d - share * a) ** 2 for d, a in zip(away, along, strict=True))
    found[window] = np.minimum(found[window], np.sqrt(squared) - thickness)


def _pleura(grid: _Grid, middle: Field, away: float, rng: np.random.Generator) -> Field:
    """Signed distance from the chest wall, a hollow ball of 80 mm: negative in the wall."""
    angle = rng.uniform(0, 2 * math.pi)
    normal = np.array([rng.uniform(-0.3, 0.3), math.sin(angle), math.cos(angle)])
    normal /= np.linalg.norm(normal)
    centre = middle + normal * (away - 80.0)
    squared = sum((p - c) ** 2 for p, c in zip(grid.positions(), centre, strict=True))
    return np.asarray(80.0 - np.sqrt(squared))


def _smeared(scene: Field, fwhm_mm: tuple[float, ...], grid: _Grid) -> Field:
    from scipy.ndimage import gaussian_filter

    sigma = [width / _FWHM / step for width, step in zip(fwhm_mm, grid.spacing, strict=True)]
    return np.asarray(gaussian_filter(scene, sigma, mode="nearest"))
