"""The transforms of ROOD-MRI, a benchmark of MR segmentation.

Boone et al. 2023, "ROOD-MRI: Benchmarking the robustness of deep learning segmentation models to
out-of-distribution and corrupted data in MRI", doi 10.1016/j.neuroimage.2023.120289, with the levels of its
released code, which calls TorchIO and MONAI. There a level is the bound of a random parameter, drawn anew at
every severity. Here every parameter is drawn once, and the level scales it.

**Conventions.** Scans are MR magnitudes; lengths are mm, axes in the order of the array.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.averages import averaged
from perturbations.blur import FWHM_OF_SIGMA
from perturbations.blur import gaussian_blur as blur_of_width
from perturbations.chunks import elementwise, empty, extremes, magnitude, scratch, spread
from perturbations.elastic import ElasticWarp, deformation
from perturbations.geometry import (
    AffineWarp,
    affine,
    movable_axes,
    rotation_matrix,
    turnable_axes,
    unmoved,
)
from perturbations.kspace import empty_again, require_magnitude, thickness
from perturbations.kspace_motion import motion as moved_in_steps
from perturbations.noise import rician
from perturbations.operators import AxisOperator
from perturbations.resolution import thickening
from perturbations.scan import Scan

__all__ = [
    "affine_motion", "anisotropy", "bias_field", "contrast", "elastic_deformation", "ghosting",
    "motion", "rician_noise", "smoothing",
]  # fmt: skip

At = Callable[[float], tuple[Tensor, None]]

_DEGREES_PER_MM = 0.75
"""Rotation that goes with a translation: 30 degrees with 40 mm."""

_RMS_OF_UNIFORM = 1 / math.sqrt(3)
"""Root mean square of a uniform number from -1 to 1."""

_ORDER = 3
_RESTORED = 0.02
"""Share of k-space around its centre that ghosting leaves as it is."""

_COMB = 7
"""Every 7th line, as at severity 3 of 3, 5, 7, 9, 11."""

_LAST = ((5.0, 10.0),)
"""Rotation and translation of severity 5, degrees and mm."""

_MOVES = 6
"""Moves of severity 3, the middle of 2 to 10."""


def affine_motion(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, AffineWarp | None]]:
    """Shift along and turn about every axis; the level is the bound of the shift in mm.

    Mended: published are shifts U(-level, level) and angles U(-0.75 level, 0.75 level) degrees, random at every
    severity. Here the signs are drawn, and the size is the root mean square, 1 / sqrt(3) of the bound. The
    prediction is warped back, the reference stays. A single slice moves in its plane alone.
    """
    signs = generator.choice([-1.0, 1.0], size=(2, 3))
    dims = scan.ndim
    movable, turnable = movable_axes(scan.spatial_shape), turnable_axes(scan.spatial_shape)
    if not movable.any():
        return unmoved(scan)

    def placed(level: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        size = level * _RMS_OF_UNIFORM
        angles = np.deg2rad(size * _DEGREES_PER_MM) * signs[1] * turnable
        if dims == 2:
            turn = rotation_matrix(np.array([1.0, 0.0, 0.0]), float(angles[0]), 2)
        else:
            about = [
                rotation_matrix(axis, float(angle), 3)
                for axis, angle in zip(np.eye(3), angles, strict=True)
            ]
            turn = about[0] @ about[1] @ about[2]
        return turn, size * signs[0, :dims] * movable

    return affine(scan, placed)


def anisotropy(scan: Scan, generator: np.random.Generator) -> At:
    """Sample one random axis more coarsely by the factor `level`, and interpolate back.

    Mended: coarse voxels are averages, where TorchIO skips voxels and so aliases; and the reference stays,
    where ROOD-MRI samples it as coarsely.
    """
    axes = [axis for axis, size in enumerate(scan.spatial_shape) if size > 1]
    axis = int(generator.choice(axes)) if axes else 0

    def at(level: float) -> tuple[Tensor, None]:
        operators: list[AxisOperator | None] = [None] * scan.ndim
        if axes:
            operators[axis] = AxisOperator.of(thickening(scan.spatial_shape[axis], level))
        return averaged(scan, operators), None

    return at


def bias_field(scan: Scan, generator: np.random.Generator) -> At:
    """Multiply by exp(level sum c_ijk x^i y^j z^k), i + j + k <= 3, c uniform in [-1, 1], x in [-1, 1].

    Mended: the coefficients are drawn once, and the log-field has mean zero over the foreground, so that
    the scan does not become brighter or darker as a whole.
    """
    image = scan.image.contiguous()
    powers = itertools.product(range(_ORDER + 1), repeat=scan.ndim)
    weights = np.zeros((_ORDER + 1,) * scan.ndim)
    for power in powers:
        if sum(power) <= _ORDER:
            weights[power] = generator.uniform(-1.0, 1.0)
    field = _polynomial(weights, scan.spatial_shape)
    inside = scan.foreground
    mean = float(field[inside].mean(dtype=torch.float64)) if bool(inside.any()) else 0.0

    def at(level: float) -> tuple[Tensor, None]:
        def shade(out: Tensor, clean: Tensor, log_gain: Tensor) -> None:
            torch.sub(log_gain, mean, out=out)
            out.mul_(level).exp_().mul_(clean)

        result = empty(image.shape)
        for made, clean in zip(result, image, strict=True):
            elementwise(shade, made, clean, field)
        return result, None

    return at


def contrast(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
) -> At:
    """Power law over the whole range of a channel: low + (high - low) z^level.

    As MONAI's AdjustContrast; each channel by its own smallest and largest value. A masked background keeps
    its values.
    """
    image = scan.image.contiguous()
    ranges = [extremes(channel) for channel in image]
    support = scan.support.contiguous() if scan.masked_background else None

    def at(level: float) -> tuple[Tensor, None]:
        result = empty(image.shape)
        for made, clean, (low, high) in zip(result, image, ranges, strict=True):
            span = high - low
            if not 0 < span < math.inf:
                made.copy_(clean)
                continue

            def bend(
                out: Tensor,
                values: Tensor,
                kept: Tensor | None = None,
                low: float = low,
                span: float = span,
            ) -> None:
                torch.sub(values, low, out=out)
                out.div_(span).pow_(level).mul_(span).add_(low)
                if kept is not None:
                    torch.where(kept, out, values, out=out)

            elementwise(bend, made, clean, *(() if support is None else (support,)))
        return result, None

    return at


def elastic_deformation(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, ElasticWarp | None]]:
    """Deform by a smooth field whose largest displacement is `level` mm.

    Mended: the lattice is as coarse as it must be so that nothing folds at 30 mm; with the published 7
    control points an axis, random ones fold from 6 to 12 mm on.
    """
    return deformation(scan, generator, unit=1.0, last=30.0, name="rood_elastic")


def ghosting(scan: Scan, generator: np.random.Generator) -> At:
    """Weaken every 7th line of k-space along one in-plane axis by the factor 1 - level.

    A comb of every n-th line weakened by I makes n - 1 ghosts of I / n. Mended: n is that of severity 3 at
    all severities, where the published 3 to 11 make weaker ghosts of a stronger I; the outcome is a
    magnitude, where TorchIO takes the real part and ROOD-MRI cuts what is negative.
    """
    require_magnitude("rood_ghosting", scan)
    image = scan.image.contiguous()
    axis = scan.ndim - 1 - int(generator.integers(2))
    real, imaginary = _of_comb(image, axis, scan.spatial_shape)
    for part in (real, imaginary):
        empty_again(scan, part, cut=scan.cut_out)

    def at(level: float) -> tuple[Tensor, None]:
        def combine(out: Tensor, clean: Tensor, one: Tensor, other: Tensor) -> None:
            torch.add(clean, one, alpha=-level, out=out)
            magnitude(out, torch.mul(other, level, out=scratch(other.shape)), scan.square_unit)

        return elementwise(combine, empty(image.shape), image, real, imaginary), None

    return at


def _of_comb(image: Tensor, axis: int, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of what every n-th line holds, without the lines around the centre."""
    from scipy import fft

    size, cut = shape[axis], (0 if axis != 0 else 1)
    lines_of = np.zeros(size, dtype=np.float32)
    lines_of[::_COMB] = 1.0
    kept = max(1, round(_RESTORED * size))
    first = size // 2 - kept // 2
    lines_of[first : first + kept] = 0.0
    wide = [1] * image.dim()
    wide[axis + 1] = size
    comb = fft.ifftshift(lines_of).reshape(wide)
    real, imaginary = empty(image.shape), empty(image.shape)

    def piece(start: int, stop: int) -> None:
        part = image.narrow(cut + 1, start, stop - start).numpy()
        lines = fft.fft(part, axis=axis + 1)
        lines *= comb
        made = torch.from_numpy(fft.ifft(lines, axis=axis + 1, overwrite_x=True))
        real.narrow(cut + 1, start, stop - start).copy_(made.real)
        imaginary.narrow(cut + 1, start, stop - start).copy_(made.imag)

    spread(piece, shape[cut], thickness(shape, cut))
    return real, imaginary


def motion(scan: Scan, generator: np.random.Generator) -> At:
    """Move during the acquisition, by `level` degrees and twice as many mm at most.

    Mended: one path scaled by the level with 6 moves at every severity, where published are 2 to 10 moves
    that are random each time; k = 0 stays unmoved; the outcome is a magnitude.
    """
    return moved_in_steps(scan, generator, moves=_MOVES, translation_mm=_LAST)


def rician_noise(scan: Scan, generator: np.random.Generator) -> At:
    """Rician noise with sigma = level times the standard deviation of the channel, background included.

    That unit depends on how much air a scan holds, see `perturbations.noise.rician_noise` for one that
    does not. Mended: one field for all severities, and none in a masked background.
    """
    units = [float(channel.double().std(correction=0)) for channel in scan.image]
    return rician(scan, generator, units, "rood_rician_noise")


def smoothing(scan: Scan, generator: np.random.Generator) -> At:
    """Convolve with a Gaussian of the standard deviation `level` mm."""
    blurred = blur_of_width(scan, generator)
    return lambda level: blurred(level * FWHM_OF_SIGMA)


def _polynomial(weights: NDArray[np.float64], shape: tuple[int, ...]) -> Tensor:
    """Evaluate a polynomial on a grid that spans -1 to 1 along each axis, slice by slice."""
    from numpy.polynomial import polynomial

    axes = [
        (np.arange(size) + 0.5 - size / 2) / max((size - 1) / 2, 0.5) if size > 1 else np.zeros(1)
        for size in shape
    ]
    field = empty(shape)
    if len(shape) == 2:
        field.copy_(torch.from_numpy(polynomial.polygrid2d(axes[0], axes[1], weights)))
        return field
    for place, z in enumerate(axes[0]):
        at_z = np.tensordot(float(z) ** np.arange(_ORDER + 1), weights, axes=1)
        field[place] = torch.from_numpy(polynomial.polygrid2d(axes[1], axes[2], at_z))
    return field
