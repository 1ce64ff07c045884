"""Metal in a CT scan: hardened, starved rays and the streaks that they make.

**Conventions.** As in `ct`. Two rods of steel stand across the slices, in bone when there is any. What
they do to the rays is computed from a spectrum; how strong the streaks are is the level, so that their
shape is physics and their strength is declared: an approximation, and labelled as one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.attenuation import (
    BODY_HU,
    WATER_PER_MM,
    Attenuation,
    Block,
    attenuation_of,
    incident_photons,
    stacked,
)
from perturbations.chunks import spread, unit_field
from perturbations.ct import Change, reconstruct
from perturbations.projector import Geometry, Grid, ramp_filter, resample
from perturbations.scan import Scan

__all__ = ["Rod", "hardened", "metal_streaks"]

_METAL_HU = 3071.0
"""Highest value of a scan of 12 bits: metal lies beyond."""

_LOWEST_HU = -1024.0
"""Lowest value of a scan of 12 bits."""

_FULL_FROM = 50.0
"""Level from which on the metal itself is seen in full; below it fades, so that level 0 has none."""

_CANDIDATES = 4096
_BONE_HU = (200.0, 2500.0)
_SOFT_HU = (0.0, 100.0)
_APART_MM = (15.0, 80.0)
_LARGEST_SHARE = 0.1
_QUANTILE = 0.99
_BESIDE_MM = 5.0

_SPECTRUM = np.array(
    [
        # share of photons, water in cm^2/g, iron in cm^2/g, at 40, 50, 60, 80 and 100 keV
        [0.08, 0.2683, 3.629],
        [0.20, 0.2269, 1.958],
        [0.27, 0.2059, 1.205],
        [0.27, 0.1837, 0.5952],
        [0.18, 0.1707, 0.3717],
    ]
)
"""Mass attenuation of Hubbell & Seltzer (NISTIR 5632); shares assumed for 120 kVp behind its filters."""

_SHARES = _SPECTRUM[:, 0]
_WATER = _SPECTRUM[:, 1] / 10
_IRON = _SPECTRUM[:, 2] * 7.874 / 10
"""Attenuation in 1/mm."""


@dataclass(frozen=True, slots=True)
class Rod:
    """A rod of metal across the slices."""

    y_mm: float
    x_mm: float
    radius_mm: float

    def chords(self, rays: Geometry) -> NDArray[np.float64]:
        """Return the mean length inside the rod over each ray's bin, mm, (view, bin).

        A chord at distance u is 2 sqrt(r^2 - u^2), with the integral u sqrt(r^2 - u^2) + r^2 asin(u / r).
        """
        centre = self.x_mm * np.cos(rays.angles) + self.y_mm * np.sin(rays.angles)
        edges = np.append(rays.t, rays.t[-1] + rays.bin_mm) - rays.bin_mm / 2 - centre[:, None]
        u = np.clip(edges / self.radius_mm, -1.0, 1.0)
        primitive = self.radius_mm**2 * (u * np.sqrt(1.0 - u * u) + np.arcsin(u))
        return np.asarray(np.diff(primitive, axis=1) / rays.bin_mm)

    def away(self, grid: Grid) -> NDArray[np.float64]:
        """Return the distance of each pixel's centre from the rod's surface, mm; negative inside."""
        return np.asarray(
            np.hypot(grid.y[:, None] - self.y_mm, grid.x - self.x_mm) - self.radius_mm
        )

    def coverage(self, grid: Grid) -> NDArray[np.float64]:
        """Share of each pixel that is metal, about."""
        pixel = math.sqrt(grid.row_mm * grid.column_mm)
        return np.asarray(np.clip(0.5 - self.away(grid) / pixel, 0.0, 1.0))


def metal_streaks(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, None]]:
    """Insert two rods of steel and the streaks that they make.

    Rays through metal are hardened and starved of photons: -ln of the transmitted spectrum, corrected
    for water as a scanner does it, with the noise of the photons that are left, at least one. What the
    rods themselves explain (the multiple of their chords that fits best) is taken away; the rest is
    reconstructed (De Man et al. 1999, doi 10.1109/23.775600) and cut off at the -1024 and 3071 HU of 12
    bits. The level is the 99th percentile of the change, before that, over the body's voxels 5 mm and
    more away from the rods, in the slices that hold them.

    Raises
    ------
    ValueError
        When the scan is not in HU.
    """
    body = attenuation_of(scan, "metal_streaks")
    rods, first, last = _placed(scan, body, generator)
    change = Change(scan, first, last)
    coverage = np.zeros((body.grid.rows, body.grid.columns))
    if rods:
        _streak(body, change, rods, generator)
        coverage = np.max([rod.coverage(body.grid) for rod in rods], axis=0)
        # under the metal nothing else is seen
        change.values.masked_fill_(torch.from_numpy(coverage > 0.0), 0.0)
        beside = np.min([rod.away(body.grid) for rod in rods], axis=0) >= _BESIDE_MM
        change.scaled(1.0 / _strength(change, beside))
    metal = torch.from_numpy(coverage.astype(np.float32))

    def at(level: float) -> tuple[Tensor, None]:
        out = change.added(level)
        _show(stacked(out, scan), change, metal * min(level / _FULL_FROM, 1.0))
        return out, None

    return at


def _show(target: Tensor, change: Change, share: Tensor) -> None:
    """Put the metal into the slices that hold it, and cut off what 12 bits cannot hold."""

    def fill(start: int, stop: int) -> None:
        for place in range(change.first + start, change.first + stop):
            for channel in range(target.shape[0]):
                clean = change.image[channel, place]
                highest, lowest = clean.clamp(min=_METAL_HU), clean.clamp(max=_LOWEST_HU)
                filled = torch.lerp(target[channel, place], highest, share)
                filled.clamp_(lowest, highest)
                unmet = change.unmet(channel, slice(place, place + 1), slice(None))[0]
                target[channel, place] = torch.where(unmet, clean, filled)

    spread(fill, change.last - change.first, 1)


def hardened(
    p: NDArray[np.float64], chord: NDArray[np.float64], photons: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure rays through tissue and steel.

    Parameters
    ----------
    p : any shape
        Line integrals through tissue at 70 keV.
    chord : like p
        Length in steel, mm.
    photons : float
        Of a ray through air.

    Returns
    -------
    measured : like p
        Corrected for water, so that it is p where there is no metal and a photon is left.
    counted : like p
        Photons, at least 1.
    """
    lengths = np.linspace(0.0, 1200.0, 4097)
    water = -np.log((np.exp(-np.multiply.outer(lengths, _WATER)) * _SHARES).sum(axis=1))
    passed = np.zeros_like(p)
    for share, of_water, of_iron in zip(_SHARES, _WATER, _IRON, strict=True):
        passed += share * np.exp(-p * (of_water / WATER_PER_MM) - chord * of_iron)
    counted = np.maximum(passed * photons, 1.0)
    measured = np.interp(-np.log(counted / photons), water, lengths) * WATER_PER_MM
    return measured, counted


def _placed(
    scan: Scan, body: Attenuation, generator: np.random.Generator
) -> tuple[list[Rod], int, int]:
    """Draw rods, and the first and last slice (exclusive) that hold them; none in air.

    At the first places drawn that lie in bone, else in soft tissue, else in the body.
    """
    draws = generator.random((_CANDIDATES, 3))
    radii, half = generator.uniform(3.0, 6.0, 2), float(generator.uniform(10.0, 20.0))
    count = body.last - body.first
    if count == 0:
        return [], 0, 0
    hu = body.hu[:count].numpy()
    slices = scan.spatial_shape[scan.slice_axis] if scan.ndim == 3 else 1
    place = np.minimum((draws[:, 0] * slices).astype(np.int64), slices - 1) - body.first
    sides = body.grid.rows * body.grid.row_mm, body.grid.columns * body.grid.column_mm
    mm = (draws[:, 1:] - 0.5) * sides
    row, column = _nearest(mm[:, 0], body.coarse.y), _nearest(mm[:, 1], body.coarse.x)
    held = (place >= 0) & (place < count)
    values = np.where(held, hu[np.clip(place, 0, count - 1), row, column], -1000.0)
    for tissue in (_BONE_HU, _SOFT_HU, (BODY_HU, math.inf)):
        found = np.flatnonzero(_is(values, tissue))
        if not found.size:
            continue
        chosen = int(found[0])
        pair = _pair(mm, chosen, _is(hu[place[chosen], row, column], tissue))
        area = (hu[place[chosen]] > BODY_HU).sum() * body.coarse.row_mm * body.coarse.column_mm
        sizes = np.minimum(radii, _LARGEST_SHARE * math.sqrt(area / math.pi))
        rods = [
            Rod(float(mm[at, 0]), float(mm[at, 1]), float(radius))
            for at, radius in zip(pair, sizes, strict=False)
        ]
        middle = int(place[chosen]) + body.first
        reach = int(half / scan.spacing[scan.slice_axis]) if scan.ndim == 3 else 0
        return rods, max(body.first, middle - reach), min(body.last, middle + reach + 1)
    return [], 0, 0


def _is(values: NDArray[np.floating], tissue: tuple[float, float]) -> NDArray[np.bool_]:
    return np.asarray((values > tissue[0]) & (values < tissue[1]))


def _pair(mm: NDArray[np.float64], chosen: int, tissue: NDArray[np.bool_]) -> list[int]:
    """Return the chosen place and the first one of the same tissue at some distance, if any."""
    apart = np.hypot(*(mm - mm[chosen]).T)
    near = (apart > _APART_MM[0]) & (apart < _APART_MM[1]) & tissue
    return [chosen, *np.flatnonzero(near)[:1].tolist()]


def _nearest(mm: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.int64]:
    step = centres[1] - centres[0] if len(centres) > 1 else 1.0
    index = np.clip(np.round((mm - centres[0]) / step), 0, len(centres) - 1)
    return np.asarray(index.astype(np.int64))


def _streak(
    body: Attenuation, change: Change, rods: list[Rod], generator: np.random.Generator
) -> None:
    """Reconstruct what the rods do to the rays beyond what they explain themselves."""
    rays = Geometry.covering(body.grid)
    photons = incident_photons(body, rays, body.noise_hu, soft=True)
    chords = np.sum([rod.chords(rays) for rod in rods], axis=0).reshape(-1)
    met = np.flatnonzero(chords > 0)
    chord = chords[met, None]
    for block in body.blocks():
        start, stop = max(block.start, change.first), min(block.stop, change.last)
        if start >= stop:
            continue
        offset = block.planes.start - block.start
        part = Block(block.channel, start, stop, slice(offset + start, offset + stop))
        whole = resample(body.integrals(part), body.geometry, rays)
        rows = whole.view(-1, stop - start)
        p = rows[torch.from_numpy(met)].numpy().astype(np.float64)
        measured, counted = hardened(p, np.broadcast_to(chord, p.shape), photons)
        excess = measured - p
        excess -= chord * ((excess * chord).sum(axis=0) / (chord * chord).sum())
        noise = unit_field(p.shape, generator).numpy()
        excess += noise / np.sqrt(counted)
        rows.zero_()
        rows[torch.from_numpy(met)] = torch.from_numpy(excess.astype(np.float32))
        reconstruct(change, part, ramp_filter(whole, rays, soft=True), rays, body, 1.0)


def _strength(change: Change, beside: NDArray[np.bool_]) -> float:
    """99th percentile of the change over the body's voxels beside the metal; 1 when there are none."""
    image = change.image[:, change.first : change.last].numpy()
    chosen = (image > BODY_HU) & beside
    strength = (
        float(np.quantile(np.abs(change.values.numpy()[chosen]), _QUANTILE)) if chosen.any() else 0
    )
    return strength if strength > 0 else 1.0
