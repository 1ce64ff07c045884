"""Textures as stationary random fields: measured inside a mask of any shape, drawn on a whole grid.

**Conventions.** Volumes are (z, y, x) or (y, x), a spacing follows them. The *texture* of an image is
what varies faster than a smooth local mean; its autocovariance, in intensity^2 by lag, says how strong
and how coarse it is, and nothing of where it was seen.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.chunks import spread, unit_field

__all__ = ["autocovariance", "draw_stationary"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_WINDOW = 1 << 18
"""Voxels of one window in which pairs are counted."""

_WINDOWS = 8
"""Windows at most, the fullest ones: 2 million voxels fix an autocovariance well enough."""

_PAIRS = 0.02
"""A lag that fewer pairs have, relative to lag 0, is not measured: it counts as uncorrelated."""

_ROUNDING = 1e-6
"""Residuals below this share of the values are rounding of float32, no texture."""

_PIECE = 1 << 18
"""Values that are transformed at a time."""


def autocovariance(
    values: NDArray[np.float32], mask: Mask, spacing: tuple[float, ...], scale: float
) -> Floats:
    """Measure the autocovariance of the texture inside a mask.

    The texture is r = v - G(m v) / G(m), m the mask and G a Gaussian of the full width at half maximum
    `scale`: the local mean of the voxels of the mask alone, so that its border is no texture. Then

        C(h) = sum_p r(p) m(p) r(p + h) m(p + h) / sum_p m(p) m(p + h),

    the mean over the pairs that both lie in the mask: the sums are correlations by FFT, and dividing by
    the mask's own takes its shape out. From half the scale on, C is led to 0 at the scale, beyond which
    the local mean has taken out what was correlated.

    Parameters
    ----------
    values : float32, (z, y, x) or (y, x)
        Intensities; what lies outside the mask is not read.
    mask : bool, like values
        At least one voxel.
    spacing : tuple of float
        Of the voxels, in the unit of `scale`.
    scale : float
        > 0.

    Returns
    -------
    (2 l + 1 per axis), intensity^2
        Lag 0 in the centre; lags reach to `scale`, or as far as the mask does. Zeros without texture.
    """
    box = tuple(slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(mask))
    values, mask = values[box], mask[box]
    side = _sides(mask.shape)
    reach = tuple(
        min(math.ceil(scale / step), n - 1) for step, n in zip(spacing, side, strict=True)
    )
    windows = _fullest(mask, side)
    sums: list[tuple[Floats, Floats]] = [(np.empty(0), np.empty(0))] * len(windows)
    centre = float(values[mask].mean(dtype=np.float64))
    largest = float(np.abs(values[mask]).max())

    def measure(start: int, stop: int) -> None:
        for number in range(start, stop):
            inside = mask[windows[number]]
            rest = np.where(inside, values[windows[number]] - np.float64(centre), 0.0)
            rest = _without_local_mean(rest, inside, spacing, scale)
            if np.abs(rest).max() <= _ROUNDING * largest:
                rest[:] = 0.0
            sums[number] = _correlated(rest, reach), _correlated(inside.astype(np.float64), reach)

    spread(measure, len(windows), 1)
    products = sum((one for one, _ in sums), start=np.zeros(()))
    pairs = sum((one for _, one in sums), start=np.zeros(()))
    known = pairs >= max(0.5, _PAIRS * float(pairs.max()))
    means = np.where(known, products / np.where(known, pairs, 1.0), 0.0)
    return np.asarray(means * _lead_out(reach, spacing, scale))


def draw_stationary(
    shape: tuple[int, ...],
    covariance: Floats,
    generator: np.random.Generator,
    write: Callable[[int, int, Tensor], None],
) -> None:
    """Draw a field of given autocovariance by random phases.

    The amplitude at a frequency is the root of the power spectrum, the Fourier transform of the
    autocovariance (Wiener-Khinchin); the phase is that of white noise (Galerne, Gousseau & Morel 2011,
    doi 10.1109/TIP.2010.2052822, random-phase textures). Values are normally distributed about 0 whatever
    the distribution was that the autocovariance was measured on. The grid is larger than the field by
    the longest lag, so that opposite borders are not neighbours; over that grid the variance is exactly
    C(0) and the mean exactly 0. Estimated spectra can dip below 0: they are cut there, and the rest
    scaled to the variance.

    Parameters
    ----------
    shape : tuple of int
        Of the field.
    covariance : as `autocovariance` returns it
        With as many axes.
    generator : numpy.random.Generator
        Gives the white noise.
    write : function of first slice, last slice (exclusive), values
        Is given the field in pieces (slices, y, x), each once, on several threads; an image is one slice.

    Notes
    -----
    Holds one and a half padded grids in complex64 for a moment, less for what was given out before.
    """
    from scipy import fft

    flat = covariance if covariance.ndim == 3 else covariance[None]
    frame = shape if len(shape) == 3 else (1, *shape)
    grid = tuple(
        fft.next_fast_len(n + lags // 2, real=axis == 2)
        for axis, (n, lags) in enumerate(zip(frame, flat.shape, strict=True))
    )
    variance = float(flat[tuple(n // 2 for n in flat.shape)])
    if variance == 0.0:
        _nothing(frame, write)
        return
    spectrum = _noise_spectrum(grid, generator)
    power = _shaped(spectrum, flat / variance, grid)
    # by Parseval the variance is the power over the square of the number of voxels
    unit = math.prod(grid) / math.sqrt(power) if power > 0 else 0.0
    deviation = math.sqrt(variance)

    def back(start: int, stop: int) -> None:
        part = fft.ifft(spectrum[start:stop].numpy(), axis=1)[:, : frame[1]]
        lines = fft.irfft(part, n=grid[2], axis=2)[:, :, : frame[2]]
        write(start, stop, torch.from_numpy(lines).mul_(unit).mul_(deviation))

    spread(back, frame[0], _slices(grid[1] * grid[2]))


def _sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Sides of a window: short axes whole, the long ones cut alike."""
    sides = dict(enumerate(shape))
    free = sorted(sides, key=lambda axis: shape[axis])
    room = float(_WINDOW)
    for place, axis in enumerate(free):
        sides[axis] = min(shape[axis], max(1, int(room ** (1.0 / (len(free) - place)))))
        room /= sides[axis]
    return tuple(sides.values())


def _fullest(mask: Mask, side: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Windows that hold most voxels of the mask, the first of equals first."""
    starts = itertools.product(
        *(range(0, n, step) for n, step in zip(mask.shape, side, strict=True))
    )
    windows = [
        tuple(slice(at, at + step) for at, step in zip(start, side, strict=True))
        for start in starts
    ]
    counts = {place: int(mask[window].sum()) for place, window in enumerate(windows)}
    best = sorted(counts, key=lambda place: (-counts[place], place))[:_WINDOWS]
    return [windows[place] for place in best if counts[place]]


def _without_local_mean(
    values: Floats, inside: Mask, spacing: tuple[float, ...], scale: float
) -> Floats:
    """Take the mask-normalised Gaussian mean away; 0 outside the mask."""
    from scipy import ndimage

    sigma = [scale / math.sqrt(8.0 * math.log(2.0)) / step for step in spacing]
    smooth, weight = (
        ndimage.gaussian_filter(part, sigma, mode="constant")
        for part in (values, inside.astype(np.float64))
    )
    # in the mask the weight is at least the kernel's own centre
    rest = values - smooth / np.where(inside, weight, 1.0)
    return np.asarray(np.where(inside, rest, 0.0))


def _correlated(values: Floats, reach: tuple[int, ...]) -> Floats:
    """Sum of values(p) values(p + h) over p, for lags h from -reach to reach."""
    from scipy import fft

    grid = [
        fft.next_fast_len(n + lag, real=True)
        for n, lag in zip(values.shape, reach, strict=True)
    ]  # fmt: skip
    lines = fft.rfftn(values, grid)
    sums = fft.irfftn(lines.real**2 + lines.imag**2, grid)
    return np.asarray(sums[np.ix_(*(np.arange(-lag, lag + 1) for lag in reach))])


def _lead_out(reach: tuple[int, ...], spacing: tuple[float, ...], scale: float) -> Floats:
    """Weights of lags: 1 up to half the scale, then a cosine to 0 at the scale."""
    squares = [
        (np.arange(-lag, lag + 1) * step / scale) ** 2
        for lag, step in zip(reach, spacing, strict=True)
    ]
    length = np.sqrt(sum(np.meshgrid(*squares, indexing="ij"), start=np.zeros(())))
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * np.clip(2.0 * length - 1.0, 0.0, 1.0)))


def _noise_spectrum(grid: tuple[int, ...], generator: np.random.Generator) -> Tensor:
    """Transform white noise along the last two axes; frequencies >= 0 along the last."""
    from scipy import fft

    noise = unit_field(grid, generator)
    spectrum = torch.from_numpy(np.empty((*grid[:2], grid[2] // 2 + 1), dtype=np.complex64))

    def planes(start: int, stop: int) -> None:
        lines = fft.rfft(noise[start:stop].numpy(), axis=2)
        spectrum[start:stop] = torch.from_numpy(fft.fft(lines, axis=1, overwrite_x=True))

    spread(planes, grid[0], _slices(grid[1] * grid[2]))
    return spectrum


def _shaped(spectrum: Tensor, covariance: Floats, grid: tuple[int, ...]) -> float:
    """Transform along the first axis, set the amplitudes, transform back; return the power.

    The power spectrum is a sum over lags, one axis after the other: products of small matrices, by
    pieces, so that it is never held as a whole.
    """
    from scipy import fft

    first, second, third = (
        _waves(n, lags // 2) for n, lags in zip(grid, covariance.shape, strict=True)
    )
    lags = torch.from_numpy(np.tensordot(first, covariance, axes=1).astype(np.complex64))
    second, third = second.astype(np.complex64), third[: grid[2] // 2 + 1].astype(np.complex64)
    across, along = torch.from_numpy(second), torch.from_numpy(third.T.copy())
    step = _slices(grid[0] * grid[2])
    powers = np.zeros(-(-grid[1] // step))
    # a line and its mirror image, which is not stored, except where they are the same
    twice = torch.full((grid[2] // 2 + 1,), 2.0)
    twice[0] = 1.0
    if grid[2] % 2 == 0:
        twice[-1] = 1.0

    def columns(start: int, stop: int) -> None:
        power = torch.matmul(torch.matmul(across[start:stop], lags), along).real.clamp_(min=0.0)
        if start == 0:
            power[0, 0, 0] = 0.0  # the mean is no texture
        part = torch.from_numpy(fft.fft(spectrum[:, start:stop].numpy(), axis=0))
        size = part.abs()
        part.mul_(power.sqrt().div_(size.clamp_(min=torch.finfo(torch.float32).tiny)))
        spectrum[:, start:stop] = torch.from_numpy(fft.ifft(part.numpy(), axis=0, overwrite_x=True))
        powers[start // step] = float(power.mul_(twice).sum(dtype=torch.float64))

    spread(columns, grid[1], step)
    return float(powers.sum())


def _waves(size: int, lag: int) -> NDArray[np.complex128]:
    """exp(-2 pi i k h / size) for all frequencies k and lags h from -lag to lag."""
    products = np.outer(np.arange(size), np.arange(-lag, lag + 1)) % size
    return np.asarray(np.exp(-2j * np.pi * products / size))


def _slices(values: int) -> int:
    return max(1, _PIECE // values)


def _nothing(frame: tuple[int, ...], write: Callable[[int, int, Tensor], None]) -> None:
    step = _slices(frame[1] * frame[2])

    def zeros(start: int, stop: int) -> None:
        write(start, stop, torch.zeros((stop - start, *frame[1:])))

    spread(zeros, frame[0], step)
