"""Truncation of k-space: the outer lines are never acquired.

**Conventions.** As in `perturbations.kspace`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from perturbations.chunks import empty, spread
from perturbations.kspace import empty_again, require_magnitude, thickness
from perturbations.scan import Scan

__all__ = ["gibbs", "kept_lines"]


def gibbs(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
    *,
    axes: Sequence[int] | None = None,
) -> Callable[[float], tuple[Tensor, None]]:
    """Acquire only the centre of k-space and fill the rest with zeros.

    K' = K where |k_d| <= f N_d / 2 along every axis, f = level: edges overshoot by 9 % of their step
    and ring. A box and not a ball, because lines are acquired in a box. Before the magnitude this is a
    projection: doing it twice is doing it once. The transform is made once, a level only transforms
    back what it keeps.

    Parameters
    ----------
    scan : Scan
        Magnitudes.
    generator : numpy.random.Generator
        Not used.
    axes : sequence of int, optional
        Spatial axes that were encoded by frequency or phase; all by default. Slices that were excited
        one by one do not ring: give the in-plane axes, [1, 2].

    Raises
    ------
    ValueError
        When the scan has negative values, or no such axes.
    """
    require_magnitude("gibbs", scan)
    chosen = _encoded(axes, scan.ndim)
    image = scan.image.contiguous()
    # axes of one channel once the first chosen axis has moved to the front
    others = [axis if axis > chosen[0] else axis + 1 for axis in chosen[1:]]
    # without its first voxel's value a flat image is exactly 0, and stays flat
    levels = [float(channel.view(-1)[0]) for channel in image]
    spectra = [
        _half_spectrum(channel.movedim(chosen[0], 0), others, base)
        for channel, base in zip(image, levels, strict=True)
    ]

    def at(level: float) -> tuple[Tensor, None]:
        out = empty(image.shape)
        for channel, spectrum, base in zip(out, spectra, levels, strict=True):
            _truncated(channel.movedim(chosen[0], 0), spectrum, others, base, level)
        return empty_again(scan, out, cut=scan.cut_out), None

    return at


def _encoded(axes: object, dims: int) -> list[int]:
    """Return the axes that are truncated, rising."""
    known = range(dims)
    if axes is None:
        return list(known)
    if not isinstance(axes, Sequence) or not axes or not all(axis in known for axis in axes):
        msg = f"axes of gibbs must be a list of some of 0 to {dims - 1}, got {axes!r}"
        raise ValueError(msg)
    return sorted(set(axes))


def kept_lines(size: int, fraction: float) -> int:
    """Return the largest |k| that is kept of an axis, in cycles per field of view.

    Parameters
    ----------
    size : int
        Voxels.
    fraction : float
        In (0, 1). The line -N/2 of an even size, which no line N/2 answers, is always lost.
    """
    # products such as .55 * 40 / 2 end a hair above or below the whole number that is meant
    return min(math.floor(fraction * size / 2 + 1e-6), (size - 1) // 2)


def _half_spectrum(values: Tensor, others: list[int], base: float) -> Tensor:
    """Transform values - base along the first axis, where k >= 0 is kept, and along `others`."""
    from scipy import fft

    size = values.shape[0]
    spectrum = torch.empty((size // 2 + 1, *values.shape[1:]), dtype=torch.complex64)

    def first(start: int, stop: int) -> None:
        part = values.narrow(1, start, stop - start) - base
        spectrum.narrow(1, start, stop - start).copy_(
            torch.from_numpy(fft.rfft(part.numpy(), axis=0))
        )

    def planes(start: int, stop: int) -> None:
        part = spectrum[start:stop].numpy()
        part[...] = fft.fftn(part, axes=others)

    spread(first, values.shape[1], thickness(values.shape, 1))
    if others:
        spread(planes, spectrum.shape[0], thickness(values.shape, 0))
    return spectrum


def _truncated(
    out: Tensor, spectrum: Tensor, others: list[int], base: float, fraction: float
) -> None:
    """Write |base + what the kept lines hold|.

    Lines k >= 0 along the first axis, with their real and imaginary parts in planes of their own, need
    no more room than the outcome: the plane k = 0 is real.
    """
    from scipy import fft

    size = out.shape[0]
    kept = kept_lines(size, fraction)

    def planes(start: int, stop: int) -> None:
        part = _inverse(spectrum[start:stop], others, fraction)
        out[start:stop].copy_(part.real)
        skipped = 1 if start == 0 else 0
        out[kept + start + skipped : kept + stop].copy_(part.imag[skipped:])

    def lines(start: int, stop: int) -> None:
        target = out.narrow(1, start, stop - start)
        nothing = torch.zeros((1, *target.shape[1:]))
        imaginary = torch.cat([nothing, target[kept + 1 : 2 * kept + 1]])
        half = torch.complex(target[: kept + 1], imaginary)
        change = torch.from_numpy(fft.irfft(half.numpy(), n=size, axis=0))
        torch.abs(change.add_(base), out=target)

    spread(planes, kept + 1, thickness(out.shape, 0))
    spread(lines, out.shape[1], thickness(out.shape, 1))


def _inverse(spectrum: Tensor, others: list[int], fraction: float) -> Tensor:
    """Transform the kept lines back along `others`; lines that are lost cost nothing."""
    from scipy import fft

    part = spectrum
    for axis in others:
        size = spectrum.shape[axis]
        kept = kept_lines(size, fraction)
        wanted = torch.cat([torch.arange(kept + 1), torch.arange(size - kept, size)])
        part = part.index_select(axis, wanted)
    for axis in others:
        size = spectrum.shape[axis]
        kept = kept_lines(size, fraction)
        shape = list(part.shape)
        shape[axis] = size
        filled = torch.zeros(shape, dtype=torch.complex64)
        filled.narrow(axis, 0, kept + 1).copy_(part.narrow(axis, 0, kept + 1))
        filled.narrow(axis, size - kept, kept).copy_(part.narrow(axis, kept + 1, kept))
        part = torch.from_numpy(fft.ifft(filled.numpy(), axis=axis, overwrite_x=True))
    return part
