"""Line integrals through slices and back: a parallel-beam Radon transform and its inverse.

**Conventions.** A grid is one slice: rows along y, columns along x, lengths in mm. A ray of view v and
bin b is the line x cos(a) + y sin(a) = t, with a = pi v / views and t = (b - (bins - 1) / 2) bin_mm;
the iso-centre x = y = 0 is the centre of the slice. Slices lie side by side in memory: a *table* is
(pixel, slice), a sinogram (view, bin, slice), so that one gather fetches all slices at once. Each value
is a sum in a fixed order on one thread, so that the number of threads changes no bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from perturbations.chunks import empty, spread

__all__ = [
    "Geometry",
    "Grid",
    "backproject",
    "forward",
    "ramp",
    "ramp_filter",
    "resample",
]

_MOST_VIEWS = 512
_FEWEST_VIEWS = 48
_MOST_BINS = 2048

_PIXELS = 256
"""Pixels of one piece of the back-projection: their rows of the sinogram stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the pixels of a slice lie."""

    rows: int
    columns: int
    row_mm: float
    """Distance of rows."""
    column_mm: float
    """Distance of columns."""
    first_row_mm: float
    """y of the first row's centre."""
    first_column_mm: float
    """x of the first column's centre."""

    @staticmethod
    def centred(shape: tuple[int, int], spacing: tuple[float, float]) -> Grid:
        """Put the iso-centre into the middle of a slice of (rows, columns)."""
        (rows, columns), (row_mm, column_mm) = shape, spacing
        first = -(rows - 1) / 2 * row_mm, -(columns - 1) / 2 * column_mm
        return Grid(rows, columns, row_mm, column_mm, *first)

    def coarser(self, factor: int) -> Grid:
        """Join factor x factor pixels; the last ones may reach beyond the slice."""
        shift = (factor - 1) / 2
        return Grid(
            -(-self.rows // factor),
            -(-self.columns // factor),
            self.row_mm * factor,
            self.column_mm * factor,
            self.first_row_mm + shift * self.row_mm,
            self.first_column_mm + shift * self.column_mm,
        )

    @property
    def y(self) -> NDArray[np.float64]:
        """Of each row's centre, mm."""
        return np.asarray(self.first_row_mm + np.arange(self.rows) * self.row_mm, dtype=np.float64)

    @property
    def x(self) -> NDArray[np.float64]:
        """Of each column's centre, mm."""
        return np.asarray(
            self.first_column_mm + np.arange(self.columns) * self.column_mm, dtype=np.float64
        )


@dataclass(frozen=True, slots=True)
class Geometry:
    """Which rays are measured: views over half a turn, bins over the detector."""

    views: int
    bins: int
    bin_mm: float

    @staticmethod
    def covering(grid: Grid) -> Geometry:
        """Choose rays that cover a slice with its corners at the sampling of its pixels.

        Bins are as wide as the finer side of a pixel; views are pi / 2 times the pixels along a side
        (Kak & Slaney 1988, chapter 5), at least 48 and at most 512.
        """
        sides = grid.rows * grid.row_mm, grid.columns * grid.column_mm
        reach = 2 * math.hypot(
            max(abs(grid.y[0]), abs(grid.y[-1])) + grid.row_mm / 2,
            max(abs(grid.x[0]), abs(grid.x[-1])) + grid.column_mm / 2,
        )
        bin_mm = max(min(grid.row_mm, grid.column_mm), reach / _MOST_BINS)
        views = math.ceil(math.pi / 2 * max(sides) / bin_mm)
        bins = 2 * math.ceil(reach / bin_mm / 2) + 3
        return Geometry(min(max(views, _FEWEST_VIEWS), _MOST_VIEWS), bins, bin_mm)

    @property
    def angles(self) -> NDArray[np.float64]:
        """Of the views, radians in [0, pi)."""
        return np.asarray(np.arange(self.views) * (math.pi / self.views), dtype=np.float64)

    @property
    def t(self) -> NDArray[np.float64]:
        """Signed distance of each bin from the iso-centre, mm."""
        return np.asarray(
            (np.arange(self.bins) - (self.bins - 1) / 2) * self.bin_mm, dtype=np.float64
        )


def forward(table: Tensor, grid: Grid, geometry: Geometry) -> Tensor:
    """Integrate along every ray, linear between the pixels that it passes (Joseph's method).

    A ray is sampled once in each row, or in each column when it passes more of those; outside the slice
    there is nothing. Joseph 1982, IEEE Trans. Med. Imaging 1: 192.

    Parameters
    ----------
    table : (pixel, slice), float32, contiguous
        Attenuation in 1/mm, pixels row by row.

    Returns
    -------
    (view, bin, slice), float32, without a unit
    """
    sinogram = empty((geometry.views, geometry.bins, table.shape[1]))
    if table.shape[1] == 0:
        return sinogram
    angles = geometry.angles

    def project(start: int, stop: int) -> None:
        for view in range(start, stop):
            places, weights = _along_rays(grid, geometry, float(angles[view]))
            sinogram[view] = embedding_bag(places, table, per_sample_weights=weights, mode="sum")

    spread(project, geometry.views, 1)
    return sinogram


def _along_rays(grid: Grid, geometry: Geometry, angle: float) -> tuple[Tensor, Tensor]:
    """Pixels that the rays of one view pass, (bin, taps), and their share of the integral in mm."""
    cosine, sine = math.cos(angle), math.sin(angle)
    by_row = abs(cosine) * grid.column_mm >= abs(sine) * grid.row_mm
    if by_row:
        step, first, across = grid.column_mm, grid.first_column_mm, grid.columns
        met = (geometry.t[:, None] - grid.y * sine) / cosine
        length, place, hop = grid.row_mm / abs(cosine), np.arange(grid.rows) * grid.columns, 1
    else:
        step, first, across = grid.row_mm, grid.first_row_mm, grid.rows
        met = (geometry.t[:, None] - grid.x * cosine) / sine
        length, place, hop = grid.column_mm / abs(sine), np.arange(grid.columns), grid.columns
    position = (met - first) / step
    low = np.floor(position)
    share = position - low
    low = np.clip(low, -2, across).astype(np.int64)
    places = np.empty((*low.shape, 2), dtype=np.int64)
    weights = np.empty((*low.shape, 2), dtype=np.float32)
    for tap, weight in ((0, 1 - share), (1, share)):
        index = low + tap
        inside = (index >= 0) & (index < across)
        weights[..., tap] = np.where(inside, weight * length, 0.0)
        places[..., tap] = np.where(inside, index * hop + place, 0)
    bags = geometry.bins
    return torch.from_numpy(places).view(bags, -1), torch.from_numpy(weights).view(bags, -1)


def ramp(geometry: Geometry, *, soft: bool = False) -> NDArray[np.float64]:
    """Return the ramp filter between bins that are 0, 1, 2, ... bins apart.

    Band-limited at half a cycle a bin: h(0) = 1/4, h(odd n) = -1 / (pi n)^2, else 0, over bin_mm (Kak
    & Slaney 1988, equation 61 of chapter 3, times the step of the sum). `soft` multiplies the spectrum
    by a Hann window, which between bins is a sum with the weights 1/4, 1/2, 1/4.
    """
    distance = np.arange(-1, geometry.bins + 1)
    odd = distance % 2 != 0
    kernel = np.zeros(len(distance))
    kernel[odd] = -1.0 / (math.pi * distance[odd]) ** 2
    kernel[distance == 0] = 0.25
    plain = kernel[1:-1]
    smooth = plain / 2 + (kernel[:-2] + kernel[2:]) / 4
    return np.asarray((smooth if soft else plain) / geometry.bin_mm)


def ramp_filter(sinogram: Tensor, geometry: Geometry, *, soft: bool = False) -> Tensor:
    """Filter every view by the ramp, in place.

    As a product with the (bin, bin) matrix of the filter: exact without padding, and at the speed of
    the processor's matrix unit.

    Parameters
    ----------
    sinogram : (view, bin, slice), float32, contiguous
        Changed.
    soft : bool
        See `ramp`.

    Returns
    -------
    sinogram, per mm
    """
    kernel = ramp(geometry, soft=soft)
    apart = np.abs(np.arange(geometry.bins)[:, None] - np.arange(geometry.bins))
    matrix = torch.from_numpy(kernel[apart].astype(np.float32)).clone()

    def apply(start: int, stop: int) -> None:
        for view in range(start, stop):
            # clones begin where torch aligns them; the bits of a product depend on that
            sinogram[view] = matrix @ sinogram[view].clone()

    spread(apply, geometry.views, 1)
    return sinogram


def backproject(
    sinogram: Tensor, geometry: Geometry, grid: Grid, take: Callable[[int, int, Tensor], None]
) -> None:
    """Average the views at every pixel, linear between bins, times pi: the inverse after `ramp_filter`.

    Parameters
    ----------
    sinogram : (view, bin, slice), float32, contiguous
    take : function of (first row, last row (exclusive), values of (row, column, slice))
        Receives pieces of the outcome, on several threads; must write its own rows only.
    """
    table = sinogram.view(-1, sinogram.shape[2])
    angles = geometry.angles
    cosine = torch.from_numpy((np.cos(angles) / geometry.bin_mm).astype(np.float32))
    sine = torch.from_numpy((np.sin(angles) / geometry.bin_mm).astype(np.float32))
    along_x = (
        torch.from_numpy(grid.x.astype(np.float32))[:, None] * cosine + (geometry.bins - 1) / 2
    )
    along_y = torch.from_numpy(grid.y.astype(np.float32))[:, None] * sine
    first_bin = torch.arange(geometry.views) * geometry.bins
    scale = math.pi / geometry.views
    lines = max(1, _PIXELS // grid.columns)

    def sum_views(start: int, stop: int) -> None:
        position = along_y[start:stop, None, :] + along_x
        low = position.floor().clamp_(0, geometry.bins - 2)
        share = position.sub_(low)
        places = torch.empty((*low.shape, 2), dtype=torch.int64)
        torch.add(low.to(torch.int64), first_bin, out=places[..., 0])
        torch.add(places[..., 0], 1, out=places[..., 1])
        weights = torch.empty((*low.shape, 2))
        torch.mul(share, scale, out=weights[..., 1])
        torch.sub(scale, weights[..., 1], out=weights[..., 0])
        bags = (stop - start) * grid.columns
        values = embedding_bag(
            places.view(bags, -1), table, per_sample_weights=weights.view(bags, -1), mode="sum"
        )
        take(start, stop, values.view(stop - start, grid.columns, -1))

    spread(sum_views, grid.rows, lines)


def resample(sinogram: Tensor, known: Geometry, wanted: Geometry) -> Tensor:
    """Interpolate a sinogram to other rays, linear between views and between bins.

    Beyond the last view comes the first one seen from the other side; beyond the detector nothing.

    Parameters
    ----------
    sinogram : (view, bin, slice), float32, contiguous

    Returns
    -------
    (view, bin, slice) of the wanted geometry; the sinogram itself when that is the known one
    """
    if known == wanted:
        return sinogram
    table = sinogram.view(-1, sinogram.shape[2])
    bins = wanted.t / known.bin_mm + (known.bins - 1) / 2
    views = wanted.angles * (known.views / math.pi)
    result = empty((wanted.views, wanted.bins, sinogram.shape[2]))

    def interpolate(start: int, stop: int) -> None:
        for view in range(start, stop):
            low = min(int(views[view]), known.views - 1)
            places, weights = [], []
            for near in (low, low + 1):
                at = bins if near < known.views else known.bins - 1 - bins
                share = 1.0 - abs(float(views[view]) - near)
                for tap in (np.floor(at), np.floor(at) + 1):
                    inside = (tap >= 0) & (tap < known.bins)
                    weights.append(np.where(inside, (1 - np.abs(at - tap)) * share, 0.0))
                    row = (near % known.views) * known.bins
                    places.append(np.where(inside, tap + row, 0))
            result[view] = embedding_bag(
                torch.from_numpy(np.stack(places, axis=1).astype(np.int64)),
                table,
                per_sample_weights=torch.from_numpy(np.stack(weights, axis=1).astype(np.float32)),
                mode="sum",
            )

    spread(interpolate, wanted.views, 1)
    return result
