"""What goes wrong with the signal while MR data are acquired: ghosts, truncation, fold-over.

**Conventions.** The scan is a magnitude image x; its k-space K is the discrete Fourier transform with
k = 0 at no modulation, so that lines run over -N/2 <= k < N/2. Every outcome is the magnitude of a
complex image. Phase is encoded along `phase_axis`, counted over the spatial axes in the order of the
array; files seldom tell which it was, so that the longer in-plane axis is taken where none is given.

A background that was cut out stays empty: what is removed after reconstruction takes the artefact with
it. A background of mere zeros in a raw scan does receive ghosts and ringing, as it does receive blur,
but no interference (spikes, zippers), as it does not receive noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.chunks import elementwise, empty, magnitude, scratch, spread
from perturbations.field_of_view import FieldOfView, extent_along
from perturbations.operators import AxisOperator, along
from perturbations.scan import Scan

__all__ = [
    "empty_again", "epi_ghosting", "fold_over", "ghosting", "phase_encoding",
    "require_magnitude", "thickness", "wraparound",
]  # fmt: skip

_GHOST_SHIFT = (0.08, 0.45)
"""Distance of a ghost from its parent, as a share of the field of view."""

_POINTS = 1 << 16
"""Voxels of one piece, where a slice is not larger."""


def ghosting(
    scan: Scan, generator: np.random.Generator, *, phase_axis: int | None = None
) -> Callable[[float], tuple[Tensor, None]]:
    """Modulate the phase-encode lines periodically, as breathing and pulsation do.

    K'(k) = K(k) [1 + 2 g cos(2 pi m k / N + phi)] is, by the shift theorem,
    y(p) = |x(p) + g (e^(i phi) x(p + m) + e^(-i phi) x(p - m))|: two ghosts of g times their parent,
    m voxels away on either side, g = level / 100. m and phi are drawn once per channel, m between 8
    and 45 % of the field of view.

    Parameters
    ----------
    scan : Scan
        Magnitudes.
    generator : numpy.random.Generator
        Of m and phi.
    phase_axis : int, optional
        Spatial axis along which the ghosts lie; the longer in-plane axis by default.

    Raises
    ------
    ValueError
        When the scan has negative values, or no such axis.
    """
    require_magnitude("ghosting", scan)
    axis = phase_encoding("ghosting", scan, phase_axis)
    image = scan.image.contiguous()
    size = scan.spatial_shape[axis]
    together, apart = empty(image.shape), empty(image.shape)
    phases = []
    for channel, clean in enumerate(image):
        shift = max(1, round(generator.uniform(*_GHOST_SHIFT) * size))
        phases.append(generator.uniform(0.0, 2.0 * math.pi))
        _ghosts(together[channel], apart[channel], clean, axis, shift)
    for part in (together, apart):
        empty_again(scan, part, cut=scan.cut_out)

    def at(level: float) -> tuple[Tensor, None]:
        out = empty(image.shape)
        for channel, phi in enumerate(phases):
            real, imaginary = level / 100.0 * math.cos(phi), level / 100.0 * math.sin(phi)

            def combine(
                made: Tensor,
                clean: Tensor,
                both: Tensor,
                difference: Tensor,
                gains: tuple[float, float] = (real, imaginary),
            ) -> None:
                torch.add(clean, both, alpha=gains[0], out=made)
                turned = torch.mul(difference, gains[1], out=scratch(difference.shape))
                magnitude(made, turned, scan.square_unit)

            elementwise(combine, out[channel], image[channel], together[channel], apart[channel])
        return out, None

    return at


def _ghosts(together: Tensor, apart: Tensor, clean: Tensor, axis: int, shift: int) -> None:
    """Write x(p + m) + x(p - m) and x(p + m) - x(p - m), some slices at a time."""
    slices = 0 if axis != 0 else 1
    size = clean.shape[axis]
    breaks = sorted({0, shift % size, size - shift % size, size})

    def piece(start: int, stop: int) -> None:
        # between the breaks neither ghost leaves the field of view to come back on the other side
        for first, last in pairwise(breaks):
            cut = (axis, first, last - first)
            part = clean.narrow(slices, start, stop - start)
            fore = part.narrow(axis, (first + shift) % size, last - first)
            back = part.narrow(axis, (first - shift) % size, last - first)
            torch.add(fore, back, out=together.narrow(slices, start, stop - start).narrow(*cut))
            torch.sub(fore, back, out=apart.narrow(slices, start, stop - start).narrow(*cut))

    spread(piece, clean.shape[slices], thickness(clean.shape, slices))


def epi_ghosting(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
    *,
    phase_axis: int | None = None,
) -> Callable[[float], tuple[Tensor, None]]:
    """Give odd and even lines opposite phases, as uncorrected echo-planar imaging does.

    K'(k) = K(k) e^(i phi (-1)^k) is y = |cos(phi) x + i sin(phi) s| with s the image shifted by half
    the field of view: the Nyquist ghost, tan(phi) = level / 100 times its parent. With an odd number
    of lines the shift is one of half voxels too, by Fourier interpolation.

    Parameters
    ----------
    scan : Scan
        Magnitudes.
    generator : numpy.random.Generator
        Not used.
    phase_axis : int, optional
        Spatial axis along which the ghost lies; the longer in-plane axis by default.

    Raises
    ------
    ValueError
        When the scan has negative values, or no such axis.
    """
    require_magnitude("epi_ghosting", scan)
    axis = phase_encoding("epi_ghosting", scan, phase_axis)
    image = scan.image.contiguous()
    size = scan.spatial_shape[axis]
    if size == 1:  # one line has no neighbour to differ from
        return lambda level: (image.clone(), None)
    lines = np.fft.fftfreq(size, 1.0 / size).round()
    alternating = AxisOperator.of(_circulant(np.where(lines % 2 == 0, 1.0, -1.0)))
    ghost = (
        torch.roll(image, size // 2, axis + 1)
        if size % 2 == 0
        else along(image, axis + 1, alternating)
    )
    empty_again(scan, ghost, cut=scan.cut_out)

    def at(level: float) -> tuple[Tensor, None]:
        phi = math.atan(level / 100.0)

        def combine(out: Tensor, clean: Tensor, moved: Tensor) -> None:
            torch.mul(clean, math.cos(phi), out=out)
            turned = torch.mul(moved, math.sin(phi), out=scratch(moved.shape))
            magnitude(out, turned, scan.square_unit)

        return elementwise(combine, empty(image.shape), image, ghost), None

    return at


def _circulant(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix F^-1 diag(weights) F for weights that are even in k, so that it is real."""
    size = len(weights)
    kernel = np.fft.ifft(weights).real
    return np.asarray(kernel[(np.arange(size)[:, None] - np.arange(size)[None]) % size])


def wraparound(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
    *,
    phase_axis: int | None = None,
) -> Callable[[float], tuple[Tensor, FieldOfView]]:
    """Encode a field of view smaller than the anatomy, which folds over.

    The foreground has the extent E along the phase-encode axis. A field of view of L = (1 - p) E about
    its middle, p = level / 100, shows y(q) = sum_m x(q + m L); beyond it lies air (the darkest value
    of each channel). The image counts as constant within its voxels, so that any L is possible and
    sums along the axis are kept.

    Parameters
    ----------
    scan : Scan
        Magnitudes.
    generator : numpy.random.Generator
        Not used.
    phase_axis : int, optional
        Spatial axis that folds; the longer in-plane axis by default.

    Raises
    ------
    ValueError
        When the scan has negative values, or no such axis.
    """
    require_magnitude("wraparound", scan)
    axis = phase_encoding("wraparound", scan, phase_axis)
    image = scan.image.contiguous()
    size = scan.spatial_shape[axis]
    low, high = extent_along(scan, axis)
    air = [float(channel.min()) for channel in image]

    def at(level: float) -> tuple[Tensor, FieldOfView]:
        half = (1.0 - level / 100.0) * (high - low) / 2
        window = ((low + high) / 2 - half, (low + high) / 2 + half)
        folded, covered = fold_over(size, window)
        out = along(image, axis + 1, AxisOperator.of(folded))
        for plane in np.flatnonzero(covered < 1).tolist():
            for channel, dark in zip(out, air, strict=True):
                channel.select(axis, plane).add_((1.0 - float(covered[plane])) * dark)
        shown = np.abs(np.arange(size) - (low + high) / 2) < half
        line = torch.from_numpy(shown).reshape([-1 if a == axis else 1 for a in range(scan.ndim)])
        retained = line.expand(scan.spatial_shape).contiguous()
        return empty_again(scan, out, cut=scan.cut_out), FieldOfView(retained)

    return at


def fold_over(
    size: int, window: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Operator along one axis that folds a line into a window, and how much of each voxel it covers.

    Parameters
    ----------
    size : int
        Voxels.
    window : (float, float)
        Where the field of view begins and ends, in voxels; voxel i reaches from i - .5 to i + .5.

    Returns
    -------
    folded : (size, size)
        Row i, column j: what voxel i shows of voxel j. Columns sum to 1, for copies of the window
        tile the line.
    covered : (size,)
        In [0, 1].
    """
    start, stop = window
    length = stop - start
    voxels = np.arange(size)
    low, high = np.maximum(voxels - 0.5, start), np.minimum(voxels + 0.5, stop)
    folded = np.zeros((size, size))
    for copy in range(
        math.floor((-0.5 - stop) / length), math.ceil((size - 0.5 - start) / length) + 1
    ):
        moved = voxels - copy * length
        common = np.minimum(high[:, None], moved[None] + 0.5) - np.maximum(
            low[:, None], moved[None] - 0.5
        )
        folded += np.clip(common, 0.0, None)
    return folded, np.clip(high - low, 0.0, None)


def require_magnitude(name: str, scan: Scan) -> None:
    """Refuse a scan with negative values: it is no magnitude image.

    Raises
    ------
    ValueError
        When it has any.
    """
    low = float(scan.image.min())
    if low < 0:
        msg = (
            f"{name} needs a magnitude image without negative values, got a minimum of {low:g}; "
            "audit the scan before it was standardised or resampled by splines"
        )
        raise ValueError(msg)


def phase_encoding(name: str, scan: Scan, phase_axis: int | None) -> int:
    """Return the spatial axis of phase encoding.

    The one that is given, else the in-plane axis of the larger field of view in mm (px), the first of
    equals; in-plane are the axes other than `Scan.slice_axis`, in 2-D both.

    Raises
    ------
    ValueError
        When the scan has no such axis.
    """
    if phase_axis is None:
        inside = [axis for axis in range(scan.ndim) if scan.ndim == 2 or axis != scan.slice_axis]
        return max(inside, key=lambda axis: scan.spatial_shape[axis] * scan.spacing[axis])
    if isinstance(phase_axis, bool) or phase_axis not in range(scan.ndim):
        msg = (
            f"phase_axis of {name} must be a spatial axis, 0 to {scan.ndim - 1}, got {phase_axis!r}"
        )
        raise ValueError(msg)
    return phase_axis


def thickness(shape: Sequence[int], axis: int) -> int:
    """Return how many slices across an axis make one piece of work; at least one."""
    return max(1, _POINTS * shape[axis] // math.prod(shape))


def empty_again(scan: Scan, values: Tensor, *, cut: bool) -> Tensor:
    """Set what was cut out to zero again, in place; nothing unless `cut`."""
    if cut:
        for channel in values:
            elementwise(_keep, channel, scan.support)
    return values


def _keep(part: Tensor, kept: Tensor) -> None:
    torch.mul(part, kept, out=part)
