"""CT: what dose, spectrum and detector do, from the measured rays on.

**Conventions.** Levels are in HU, or a fraction of the dose. A perturbation changes line integrals and
adds only the reconstruction of that change, so that the scan keeps the kernel of its own. Slices that
were not projected (see `attenuation`), padding and a masked background stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.attenuation import (
    BODY_HU,
    FALLBACK_HU,
    FLOOR_HU,
    HU_PER_MM,
    PADDING_HU,
    Attenuation,
    Block,
    attenuation_of,
    hollow_of,
    in_place,
    incident_photons,
    stacked,
)
from perturbations.chunks import elementwise, empty, spread, unit_field
from perturbations.facts import Facts, Stated
from perturbations.options import positive
from perturbations.projector import Geometry, Grid, backproject, ramp_filter, resample
from perturbations.scan import Scan

__all__ = ["Change", "beam_hardening", "ct_dose", "reconstruct", "ring_artefact"]

_CENTRE = 0.05
"""Radius of a body's centre, over that of a disk of the body's area."""

_RINGS = 12
_INNERMOST = 0.05
"""Radius of the least ring over that of the largest: an element nearer to the axis makes a dot."""

_WIDEST_RING_MM = 100.0
"""Of one element; beyond it there is no ring."""

_GROUP_MM = 5.0
"""Slices that one row of the detector measures, so that thin slices share their rings."""

_FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))


class Change:
    """What one unit of level adds to some slices of a scan."""

    def __init__(self, scan: Scan, first: int, last: int) -> None:
        self.image = stacked(scan.image, scan)
        """(channel, slice, row, column), a view."""
        self._scan, self._hollow = scan, hollow_of(scan)
        self.first, self.last = first, last
        channels, _, rows, columns = self.image.shape
        self.values = empty((channels, last - first, rows, columns))
        """HU per unit of level, slices from `first` on."""

    def put(self, block: Block, start: int, stop: int, piece: Tensor, scale: float) -> None:
        """Write some rows of a block, (row, column, slice), without what no ray met."""
        inside = slice(block.start - self.first, block.stop - self.first)
        target = self.values[block.channel, inside, start:stop]
        torch.mul(piece.permute(2, 0, 1), scale, out=target)
        where = slice(block.start, block.stop)
        target.masked_fill_(self.unmet(block.channel, where, slice(start, stop)), 0.0)

    def unmet(self, channel: int, slices: slice, rows: slice) -> Tensor:
        """(slice, row, column), bool: what no ray met, and nothing may change."""
        padding = self.image[channel, slices, rows] < PADDING_HU
        return padding if self._hollow is None else padding | self._hollow[slices, rows]

    def scaled(self, factor: float) -> None:
        """Multiply what a unit of level adds."""

        def multiply(out: Tensor, old: Tensor) -> None:
            torch.mul(old, factor, out=out)

        elementwise(multiply, self.values, self.values)

    def added(self, weight: float) -> Tensor:
        """Return a new volume: the scan, and `weight` times the change."""
        out = empty(self._scan.image.shape)
        target = stacked(out, self._scan)
        slices = self.image.shape[1]

        def add(start: int, stop: int) -> None:
            for plane in range(start, stop):
                channel, place = divmod(plane, slices)
                if self.first <= place < self.last:
                    change = self.values[channel, place - self.first]
                    clean = self.image[channel, place]
                    torch.add(clean, change, alpha=weight, out=target[channel, place])
                else:
                    target[channel, place] = self.image[channel, place]

        spread(add, self.image.shape[0] * slices, 1)
        return out


def ct_dose(
    scan: Scan,
    generator: np.random.Generator,
    *,
    full_dose_noise_hu: float | None = None,
    kernel: str = "soft",
) -> Callable[[float], tuple[Tensor, None]]:
    """Insert the noise that a fraction a of the dose adds to the measured rays.

    A ray of p has a variance of exp(p) / I0 at full dose and exp(p) / (a I0) at a, so that p' - p =
    sqrt((1 - a) / a exp(p) / I0) n with n ~ N(0, 1) makes up the difference (Yu et al. 2012, doi
    10.1097/RCT.0b013e318258e891; electronic noise is left out). One field of noise is reconstructed; a
    level scales it.

    Parameters
    ----------
    full_dose_noise_hu : float, optional
        The noise of the scan itself in soft tissue, which sets I0; estimated when it is not declared,
        see `attenuation.own_noise_hu`. In a chain that of the clean scan, whatever blurred it before.
    kernel : soft or sharp
        Of the inserted noise: the ramp with a Hann window, or without.

    Raises
    ------
    ValueError
        When the scan is not in HU, or an option is none of those.
    """
    if kernel not in ("soft", "sharp"):
        msg = f"kernel of ct_dose must be 'soft' or 'sharp', got {kernel!r}"
        raise ValueError(msg)
    declared = full_dose_noise_hu
    if declared is not None:
        declared = positive("ct_dose", "full_dose_noise_hu", declared, "HU")
    body = attenuation_of(scan, "ct_dose")
    sigma = body.noise_hu if declared is None else declared
    rays, soft = Geometry.covering(body.grid), kernel == "soft"
    photons = incident_photons(body, rays, sigma, soft=soft)
    starved = max(math.log(photons), 0.0)
    change = Change(scan, body.first, body.last)
    for block in body.blocks():
        spread_of = in_place(body.integrals(block), lambda p: p.clamp_(max=starved).div_(2).exp_())
        spread_of = resample(spread_of, body.geometry, rays)
        noise = unit_field(spread_of.shape, generator)
        _for_views(noise, spread_of, lambda n, s: n.mul_(s))
        reconstruct(change, block, ramp_filter(noise, rays, soft=soft), rays, body, photons**-0.5)

    def at(level: float) -> tuple[Tensor, None]:
        return change.added(math.sqrt((1.0 - level) / level)), None

    known_by = {FLOOR_HU: "floor", FALLBACK_HU: "fallback"}.get(sigma, "estimated")
    facts: Facts = {
        "full_dose_noise_hu": sigma,
        "full_dose_noise_by": known_by if declared is None else "declared",
    }
    return Stated(at, lambda _level: facts)


def beam_hardening(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, None]]:
    """Darken the centre: rays that were hardened measure p' = p - b p^2.

    The second order of -ln sum w exp(-mu L) (Herman 1979, doi 10.1088/0031-9155/24/1/008). A disk of
    radius R loses b mu^2 8 / pi sqrt(R^2 - r^2): nothing at its rim, most at its centre (cupping); dense
    bone makes dark bands. b is such that the mean change at the centre of the body's largest slice is
    -level.
    """
    del generator  # nothing is random
    body = attenuation_of(scan, "beam_hardening")
    change = Change(scan, body.first, body.last)
    for block in body.blocks():
        squared = in_place(body.integrals(block), Tensor.square_)
        filtered = ramp_filter(squared, body.geometry)
        reconstruct(change, block, filtered, body.geometry, body, 1.0)
    change.scaled(-1.0 / _at_centre(change, body))

    def at(level: float) -> tuple[Tensor, None]:
        return change.added(level), None

    return at


def ring_artefact(
    scan: Scan, generator: np.random.Generator, *, width_mm: float = 1.5
) -> Callable[[float], tuple[Tensor, None]]:
    """Add rings about the iso-centre: elements of the detector with a wrong gain.

    ln of a gain that is wrong by the same factor in all views adds g(t) to every view, so that what
    is reconstructed has no angle: f(r) = -1 / pi int_r^inf g'(t) / sqrt(t^2 - r^2) dt, the inverse Abel
    transform of g (Bracewell 1956, doi 10.1071/PH560198), which is exact. Twelve elements are drawn
    for each 5 mm of slices. The largest deviation of a slice is the level.

    Parameters
    ----------
    width_mm : float
        Full width at half maximum of an element at the iso-centre, with what reconstruction blurs.

    Raises
    ------
    ValueError
        When the scan is not in HU, or the width is not positive.
    """
    width_mm = positive("ring_artefact", "width_mm", width_mm, "mm", most=_WIDEST_RING_MM)
    body = attenuation_of(scan, "ring_artefact")
    step = scan.spacing[scan.slice_axis] if scan.ndim == 3 else _GROUP_MM
    count = scan.spatial_shape[scan.slice_axis] if scan.ndim == 3 else 1
    group = [int(place * step / _GROUP_MM) for place in range(count)]
    profiles, pace = _ring_profiles(body.grid, width_mm, group[-1] + 1, generator)
    radius = np.hypot(body.grid.y[:, None], body.grid.x) / pace
    low = torch.from_numpy(np.minimum(radius.astype(np.int64), profiles.shape[1] - 2))
    share = torch.from_numpy(radius).sub_(low).clamp_(0.0, 1.0).float()
    change = Change(scan, body.first, body.last)

    def draw(start: int, stop: int) -> None:
        for place in range(body.first + start, body.first + stop):
            profile = profiles[group[place]]
            plane = torch.lerp(profile[low], profile[low + 1], share)
            for channel in range(body.channels):
                block = Block(channel, place, place + 1, slice(0))
                change.put(block, 0, body.grid.rows, plane[..., None], 1.0)

    spread(draw, body.last - body.first, 1)

    def at(level: float) -> tuple[Tensor, None]:
        return change.added(level), None

    return at


def _for_views(
    sinogram: Tensor, other: Tensor, function: Callable[[Tensor, Tensor], object]
) -> None:
    """Change a sinogram by another one, view by view."""

    def change(start: int, stop: int) -> None:
        for view in range(start, stop):
            function(sinogram[view], other[view])

    spread(change, sinogram.shape[0], 4)


def reconstruct(
    change: Change,
    block: Block,
    filtered: Tensor,
    rays: Geometry,
    body: Attenuation,
    scale: float,
) -> None:
    """Back-project a block into the change, in HU."""

    def take(start: int, stop: int, piece: Tensor) -> None:
        change.put(block, start, stop, piece, scale * HU_PER_MM)

    backproject(filtered, rays, body.grid, take)


def _at_centre(change: Change, body: Attenuation) -> float:
    """Mean change at the centre of the first channel's largest slice; 1 when nothing changes.

    Between two legs there may be no body at the centre, and hardly a change; then the largest change.
    """
    dense = body.hu[: body.last - body.first].numpy() > BODY_HU
    if not dense.any():
        return 1.0
    place = int(np.argmax(dense.sum(axis=(1, 2))))
    rows, columns = np.nonzero(dense[place])
    y, x = body.coarse.y[rows].mean(), body.coarse.x[columns].mean()
    area = len(rows) * body.coarse.row_mm * body.coarse.column_mm
    away = np.hypot(body.grid.y[:, None] - y, body.grid.x - x)
    near = away <= max(_CENTRE * math.sqrt(area / math.pi), float(away.min()))
    values = change.values[0, place].numpy()
    mean, largest = float(values[near].mean(dtype=np.float64)), float(values.max())
    return mean if mean > 0.1 * largest else largest if largest > 0 else 1.0


def _ring_profiles(
    grid: Grid, width_mm: float, groups: int, generator: np.random.Generator
) -> tuple[Tensor, float]:
    """HU per HU of level over the distance from the iso-centre, (group, step), and the step in mm."""
    reach = min(grid.rows * grid.row_mm, grid.columns * grid.column_mm) / 2
    radii = generator.uniform(_INNERMOST, 1.0, (groups, _RINGS, 1)) * reach
    heights = generator.uniform(0.3, 1.0, (groups, _RINGS))
    weights = torch.from_numpy(heights * generator.choice((-1.0, 1.0), (groups, _RINGS)))
    sigma = max(width_mm, reach / 400) / _FWHM
    step = min(sigma / 4, reach / 64)
    steps = math.ceil((reach + 5 * sigma) / step) + 2
    edges = np.arange(steps, dtype=np.float64) * step
    bumps = np.exp(-(((edges - radii) / sigma) ** 2) / 2)
    bumps += np.exp(-(((edges + radii) / sigma) ** 2) / 2)
    slopes = torch.from_numpy(np.diff(bumps, axis=2) / step)
    inverse = torch.from_numpy(_inverse_abel(edges)).clone()
    profiles = torch.zeros(groups, len(edges))

    def rings(start: int, stop: int) -> None:
        for group in range(start, stop):
            single = slopes[group].clone() @ inverse
            single *= (weights[group] / single.abs().amax(dim=1))[:, None]
            together = single.sum(dim=0)
            profiles[group, :-1] = together / together.abs().max()

    spread(rings, groups, 1)
    return profiles, step


def _inverse_abel(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """(interval, edge): what a slope of 1 over an interval of t adds at each radius but the last.

    The integral of 1 / sqrt(t^2 - r^2) is ln(t + sqrt(t^2 - r^2)), so that slopes that are constant
    between edges need no quadrature. At r = 0 the slope of the first interval grows from 0 on, in
    proportion to t: the integral is 2, as if it began at exp(-2) of the interval.
    """
    r = edges[:-1]
    reached = np.maximum(edges[:, None], np.maximum(r, edges[1] * math.exp(-2.0)))
    primitive = np.log(reached + np.sqrt(np.maximum(reached**2 - r**2, 0.0)))
    return np.asarray(-np.diff(primitive, axis=0) / math.pi)
