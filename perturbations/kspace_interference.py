"""Interference while MR data are acquired: spikes and zippers.

**Conventions.** As in `perturbations.kspace`. Levels are in % of each channel's reference signal
(`Scan.signals`). Where the background is masked nothing is added, as no noise is.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from perturbations.chunks import elementwise, empty, magnitude, scratch, spread
from perturbations.field_of_view import extent_along
from perturbations.kspace import empty_again, phase_encoding, require_magnitude
from perturbations.noise import sigma_unit
from perturbations.options import positive
from perturbations.scan import Scan

__all__ = ["spike", "zipper"]

_FINEST_WAVE = 0.25
"""Cycles per mm of the finest stripes: one in 4 mm, what voxels of 2 mm can hold."""

_CENTRE = 0.1
"""A spike this close to the centre of k-space is shading rather than stripes, and is drawn again."""

_POINTS = 1 << 18
"""Voxels in one piece of a plane wave, where a row is not larger."""


def spike(scan: Scan, generator: np.random.Generator) -> Callable[[float], tuple[Tensor, None]]:
    """Add one wrong sample to k-space, a discharge in the scanner room.

    A sample at k0 that its mirror image at -k0 does not share is one complex plane wave,
    y(p) = |x(p) + A e^(i (2 pi k0.p / N + theta))|: stripes of wave vector k0 where there is signal,
    a pedestal of A where there is none. A = level % of S_ref. k0 and theta are drawn once per
    channel; k0 is a sample of the grid, evenly in a box of up to one cycle in 4 mm (px).

    Raises
    ------
    ValueError
        When the scan has negative values.
    """
    require_magnitude("spike", scan)
    image = scan.image.contiguous()
    waves = [_plane_wave(_wave_vector(scan, generator), scan, generator) for _ in image]
    width = image.shape[-1]

    def at(level: float) -> tuple[Tensor, None]:
        out = empty(image.shape)
        for channel, wave in enumerate(waves):
            amplitude = level * sigma_unit(scan, channel)
            flat = out[channel].view(-1, width), image[channel].view(-1, width)
            _add_wave(*flat, wave, amplitude, scan.square_unit)
        return empty_again(scan, out, cut=scan.masked_background), None

    return at


def _wave_vector(scan: Scan, generator: np.random.Generator) -> list[int]:
    """Draw a sample of k-space, in cycles per field of view along each spatial axis."""
    reach = [
        min(size / 2, _FINEST_WAVE * size * step)
        for size, step in zip(scan.spatial_shape, scan.spacing, strict=True)
    ]
    share = np.zeros(len(reach))
    while np.abs(share).max() < _CENTRE:
        share = generator.uniform(-1.0, 1.0, len(reach))
    drawn = [round(s * r) for s, r in zip(share.tolist(), reach, strict=True)]
    if not any(drawn):  # a field of view too small for stripes this wide: one cycle
        longest = int(np.argmax(scan.spatial_shape))
        drawn[longest] = min(1, scan.spatial_shape[longest] // 2)
    return drawn


def _plane_wave(
    cycles: list[int], scan: Scan, generator: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Factors of e^(i (2 pi k.p / N + theta)): rows @ columns is the real, the imaginary part.

    The wave is a product of a function of the row and one of the place in it; by the addition
    theorem each part is the sum of two such products, so that no transform is needed.
    """
    theta = generator.uniform(0.0, 2.0 * math.pi)
    phases = [
        2.0 * math.pi * np.mod(k * np.arange(size), size) / size
        for k, size in zip(cycles, scan.spatial_shape, strict=True)
    ]
    row = np.asarray(theta)
    for phase in phases[:-1]:
        row = row[..., None] + phase
    flat, column = row.reshape(-1), phases[-1]
    rows = np.stack([np.cos(flat), np.sin(flat)], axis=1)
    real = np.stack([np.cos(column), -np.sin(column)])
    imaginary = np.stack([np.sin(column), np.cos(column)])
    first, second, third = (
        torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32))
        for part in (rows, real, imaginary)
    )
    return first, second, third


def _add_wave(
    out: Tensor, clean: Tensor, wave: tuple[Tensor, Tensor, Tensor], amplitude: float, unit: float
) -> None:
    """Write |clean + amplitude * wave|, some rows at a time."""
    rows, real, imaginary = wave
    scaled = rows * amplitude

    def piece(start: int, stop: int) -> None:
        target = out[start:stop]
        one, other = scaled[start:stop, :1], scaled[start:stop, 1:]
        torch.addcmul(clean[start:stop], one, real[:1], out=target).addcmul_(other, real[1:])
        turned = torch.mul(one, imaginary[:1], out=scratch(target.shape))
        magnitude(target, turned.addcmul_(other, imaginary[1:]), unit)

    spread(piece, clean.shape[0], max(1, _POINTS // clean.shape[1]))


def zipper(
    scan: Scan,
    generator: np.random.Generator,
    *,
    phase_axis: int | None = None,
    width_mm: float = 2.0,
) -> Callable[[float], tuple[Tensor, None]]:
    """Let a radio leak into the receiver: noise on one line along the phase-encode axis.

    Interference of one frequency falls on one place along the frequency-encode axis, with a phase that
    changes from line to line: y = |x + A w|, w complex white noise of mean power 1 on the line
    (Graves & Mitchell 2013, doi 10.1002/jmri.24288). A = level % of S_ref. Place and noise are drawn
    once per channel; the place lies within the foreground's extent, where it can do harm.

    Parameters
    ----------
    scan : Scan
        Magnitudes.
    generator : numpy.random.Generator
        Of the place and the noise.
    phase_axis : int, optional
        Spatial axis along which the line runs; the longer in-plane axis by default.
    width_mm : float
        Width of the line, mm (px). A voxel that it covers in part has that part of the power.

    Raises
    ------
    ValueError
        When the scan has negative values, no such axis, or the width is not positive.
    """
    require_magnitude("zipper", scan)
    axis = phase_encoding("zipper", scan, phase_axis)
    width_mm = positive("zipper", "width_mm", width_mm, "mm")
    across = _frequency_encoding(scan, axis)
    image = scan.image.contiguous()
    lines = [_noise_line(scan, generator, across, width_mm) for _ in image]
    support = scan.support if scan.masked_background else None

    def at(level: float) -> tuple[Tensor, None]:
        out = elementwise(lambda part, clean: part.copy_(clean), empty(image.shape), image)
        for channel, (first, real, imaginary) in enumerate(lines):
            amplitude = level * sigma_unit(scan, channel)
            cut = (across, first, real.shape[across])
            struck = torch.hypot(
                image[channel].narrow(*cut) + amplitude * real, amplitude * imaginary
            )
            out[channel].narrow(*cut).copy_(
                struck if support is None else struck * support.narrow(*cut)
            )
        return out, None

    return at


def _frequency_encoding(scan: Scan, phase: int) -> int:
    """Return the other in-plane axis; the longer in-plane axis where phase runs along the slices."""
    others = [axis for axis in range(scan.ndim) if axis != phase]
    inside = [axis for axis in others if scan.ndim == 2 or axis != scan.slice_axis]
    return max(inside, key=lambda axis: scan.spatial_shape[axis] * scan.spacing[axis])


def _noise_line(
    scan: Scan, generator: np.random.Generator, axis: int, width_mm: float
) -> tuple[int, Tensor, Tensor]:
    """Draw the first voxel of the line across `axis`, and the real and imaginary part on it."""
    size = scan.spatial_shape[axis]
    half = min(width_mm / scan.spacing[axis], float(size)) / 2
    low, high = extent_along(scan, axis)
    middle = low + generator.uniform(0.1, 0.9) * (high - low)
    middle = min(max(middle, half - 0.5), size - 0.5 - half)
    edges = np.arange(size + 1) - 0.5
    covered = np.minimum(edges[1:], middle + half) - np.maximum(edges[:-1], middle - half)
    struck = np.flatnonzero(covered > 0)
    shape = list(scan.spatial_shape)
    shape[axis] = len(struck)
    across = [1] * scan.ndim
    across[axis] = -1
    weight = np.sqrt(covered[struck] / 2).reshape(across)  # power 1/2 for each of the parts
    real, imaginary = (
        torch.from_numpy((generator.standard_normal(shape) * weight).astype(np.float32))
        for _ in range(2)
    )
    return int(struck[0]), real, imaginary
