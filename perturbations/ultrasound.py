"""Ultrasound: what scattering and attenuation do to an image of echoes.

**Conventions.** Ultrasound images are log-compressed: the display range, 0 to the scan's largest value,
stands for `dynamic_range_db` decibels of the envelope e = 10^(D / 20 (I - 1)), I = x / max. A factor on
the envelope is a sum on the display, so that y = x + max / D * 20 log10(factor), kept in the display
range. Zeros outside the sector (zeros connected to the border) stay zeros.

**Geometry.** A volume is a stack of images along the axis of its largest spacing (of one voxel, where
there is such). Beam lines run along the first in-plane axis, the transducer lies at its start; with an
`apex` (row, column in voxels; it may lie outside the image) they fan out from there, as those of curved
and phased arrays do. Depth is 0 where the sector begins and 1 where it ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.chunks import elementwise, empty, spread, unit_field
from perturbations.geometry import image_plane, stacking_axis
from perturbations.operators import AxisOperator, along
from perturbations.options import positive
from perturbations.scan import Scan

__all__ = ["depth_attenuation", "shadow", "speckle"]

_FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian of unit sigma."""

_RAYLEIGH_MEAN = math.sqrt(math.pi / 2.0)
"""Mean magnitude of a complex normal number whose parts have unit variance."""

_EDGE = 0.2
"""Share of a shadow's width over which each of its sides rises."""

_ONSET = 0.05
"""Share of the depth over which a shadow begins."""


def speckle(
    scan: Scan,
    generator: np.random.Generator,
    *,
    dynamic_range_db: float = 60.0,
    psf_fwhm_px: Sequence[float] = (2.0, 4.0),
) -> Callable[[float], tuple[Tensor, None]]:
    """Mix fully developed speckle into the envelope: y = e ((1 - s) + s r), the level is s.

    r is the magnitude of complex white normal noise seen through the point spread function (PSF), over
    its mean: Rayleigh, signal-to-noise ratio sqrt(pi / (4 - pi)) = 1.91 (Wagner et al. 1983, doi
    10.1109/T-SU.1983.31404). The correlation of r^2 over a distance is the Gaussian of the PSF.

    Parameters
    ----------
    scan : Scan
        Log-compressed, no value below 0.
    generator : numpy.random.Generator
        Of the complex field, one for all channels.
    dynamic_range_db : float
        Decibels of the display range.
    psf_fwhm_px : two numbers
        Full width at half maximum of the PSF along the beam (axial) and across it (lateral), in voxels;
        slices of a volume are independent.

    Raises
    ------
    ValueError
        When the scan has values below 0, or an option is no positive number.
    """
    peak = _peak(scan, "ultrasound_speckle", dynamic_range_db)
    axial, lateral = _pair("ultrasound_speckle", "psf_fwhm_px", psf_fwhm_px)
    if min(axial, lateral) < 0:
        msg = f"ultrasound_speckle needs psf_fwhm_px of 0 or more, got {tuple(psf_fwhm_px)!r}"
        raise ValueError(msg)
    envelope = unit_field((1, *scan.spatial_shape), generator)
    imaginary = unit_field((1, *scan.spatial_shape), generator)
    for axis, fwhm in zip(image_plane(scan), (axial, lateral), strict=True):
        operator = _unit_variance_blur(scan.spatial_shape[axis], fwhm)
        for part in (envelope, imaginary):
            along(part, axis + 1, operator, out=part)
    elementwise(_magnitude, envelope, envelope, imaginary)
    del imaginary
    decibels = peak * 20.0 / (dynamic_range_db * math.log(10.0))  # of display, per unit of ln

    def at(level: float) -> tuple[Tensor, None]:
        result = empty(scan.image.shape)
        for out, clean in zip(result, scan.image.contiguous(), strict=True):
            elementwise(_mixed(level, decibels, peak), out, clean, envelope[0], scan.support)
        return result, None

    return at


def shadow(
    scan: Scan,
    generator: np.random.Generator,
    *,
    dynamic_range_db: float = 60.0,
    apex: Sequence[float] | None = None,
) -> Callable[[float], tuple[Tensor, None]]:
    """Attenuate what lies behind a strong reflector: level dB less in a sector of beam lines.

    The sector takes 12 to 25 % of the beams and begins at 15 to 45 % of the depth. Its sides rise over a
    fifth of its width each, its beginning over 5 % of the depth, both as raised cosines; in the core the
    loss is the level.

    Parameters
    ----------
    scan : Scan
        Log-compressed, no value below 0.
    generator : numpy.random.Generator
        Of place, width and beginning.
    dynamic_range_db : float
        Decibels of the display range.
    apex : (row, column), optional
        Where the beam lines meet, in voxels; parallel when left out.

    Raises
    ------
    ValueError
        When the scan has values below 0, or an option does not fit.
    """
    peak = _peak(scan, "shadow", dynamic_range_db)
    beams = _beams(scan, "shadow", apex)
    width = float(generator.uniform(0.12, 0.25))
    middle = float(generator.uniform(width / 2, 1 - width / 2))
    begin = float(generator.uniform(0.15, 0.45))
    across = _rise((0.5 * width - np.abs(beams.across - middle)) / (_EDGE * width))
    profile = across * _rise((beams.depth - begin) / _ONSET)
    return _attenuated(scan, peak / dynamic_range_db, profile)


def depth_attenuation(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
    *,
    dynamic_range_db: float = 60.0,
    apex: Sequence[float] | None = None,
) -> Callable[[float], tuple[Tensor, None]]:
    """Lose decibels in proportion to depth: nothing where the sector begins, the level where it ends.

    Attenuation in tissue is a constant number of decibels per centimetre at a given frequency; this is
    what an uncompensated part of it (time-gain compensation set too low, a fatter patient) leaves.

    Parameters
    ----------
    scan : Scan
        Log-compressed, no value below 0.
    generator : numpy.random.Generator
        Nothing is random.
    dynamic_range_db : float
        Decibels of the display range.
    apex : (row, column), optional
        Where the beam lines meet, in voxels; parallel when left out.

    Raises
    ------
    ValueError
        When the scan has values below 0, or an option does not fit.
    """
    peak = _peak(scan, "depth_attenuation", dynamic_range_db)
    return _attenuated(scan, peak / dynamic_range_db, _beams(scan, "depth_attenuation", apex).depth)


@dataclass(frozen=True, slots=True, eq=False)
class _Beams:
    """Where every voxel of a slice lies in the sector."""

    depth: NDArray[np.float64]
    """(row, column): 0 where the sector begins, 1 where it ends."""
    across: NDArray[np.float64]
    """(row, column): 0 at the first beam line, 1 at the last."""


def _beams(scan: Scan, name: str, apex: Sequence[float] | None) -> _Beams:
    support = scan.support if scan.ndim == 2 else scan.support.any(dim=stacking_axis(scan))
    inside: NDArray[np.bool_] = support.numpy()
    row = np.arange(inside.shape[0], dtype=np.float64)[:, None] + np.zeros(inside.shape)
    column = np.arange(inside.shape[1], dtype=np.float64) + np.zeros(inside.shape)
    if apex is None:
        return _Beams(_share(row, inside), _share(column, inside))
    top, side = _pair(name, "apex", apex)
    first, second = image_plane(scan)
    down, right = (row - top) * scan.spacing[first], (column - side) * scan.spacing[second]
    if (down[inside] < 0).any():
        msg = (
            f"{name} needs an apex at or above the first row of the sector, got row {top:g} for a sector "
            f"that begins in row {int(row[inside].min())}"
        )
        raise ValueError(msg)
    return _Beams(_share(np.hypot(down, right), inside), _share(np.arctan2(right, down), inside))


def _share(values: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Bring the values inside to 0 to 1, and hold the others there; all 0 when they are equal."""
    if not inside.any():
        return np.zeros_like(values)
    low, high = float(values[inside].min()), float(values[inside].max())
    if not low < high:
        return np.zeros_like(values)
    return np.asarray(np.clip((values - low) / (high - low), 0.0, 1.0))


def _rise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rise as a raised cosine, from 0 at 0 to 1 at 1."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(values, 0.0, 1.0)))


def _attenuated(
    scan: Scan, per_db: float, profile: NDArray[np.float64]
) -> Callable[[float], tuple[Tensor, None]]:
    """Take level times a profile (row, column) of decibels from every slice; never below 0."""
    image = scan.image.contiguous()
    plane = torch.from_numpy((profile * per_db).astype(np.float32))
    shape = scan.spatial_shape if scan.ndim == 3 else (1, *scan.spatial_shape)
    wide = plane.unsqueeze(stacking_axis(scan) if scan.ndim == 3 else 0).expand(shape)

    def at(level: float) -> tuple[Tensor, None]:
        result = empty(image.shape)
        clean, out = image.view(-1, *shape[1:]), result.view(-1, *shape[1:])

        def slices(start: int, stop: int) -> None:
            for piece in range(start, stop):
                torch.add(clean[piece], wide[piece % shape[0]], alpha=-level, out=out[piece])
                out[piece].clamp_(min=0.0)

        spread(slices, out.shape[0], 1)
        return result, None

    return at


def _mixed(level: float, decibels: float, peak: float) -> Callable[..., None]:
    """Display value of an envelope times (1 - s) + s r."""

    def mixed(out: Tensor, clean: Tensor, rayleigh: Tensor, inside: Tensor) -> None:
        values = out.numpy()
        np.subtract(rayleigh.numpy(), np.float32(1.0), out=values)
        np.multiply(values, np.float32(level), out=values)
        np.add(values, np.float32(1.0), out=values)
        # an echo of nothing at all would have no logarithm; this one is far below the display range
        np.maximum(values, np.float32(1e-30), out=values)
        np.log(values, out=values)
        np.multiply(values, np.float32(decibels), out=values)
        np.add(values, clean.numpy(), out=values)
        np.clip(values, np.float32(0.0), np.float32(peak), out=values)
        np.multiply(values, inside.numpy(), out=values)

    return mixed


def _magnitude(out: Tensor, real: Tensor, imaginary: Tensor) -> None:
    torch.hypot(real, imaginary, out=out)
    out.div_(_RAYLEIGH_MEAN)


def _unit_variance_blur(size: int, fwhm: float) -> AxisOperator:
    """Gaussian whose rows have unit energy, so that white noise keeps its variance up to the border."""
    if fwhm == 0:
        return AxisOperator.of(np.eye(size))
    distance = np.subtract.outer(np.arange(size), np.arange(size)) * (_FWHM / fwhm)
    weights = np.where(np.abs(distance) <= 4.0, np.exp(-0.5 * distance**2), 0.0)
    return AxisOperator.of(weights / np.sqrt((weights**2).sum(axis=1, keepdims=True)))


def _peak(scan: Scan, name: str, dynamic_range_db: object) -> float:
    """Return the largest value of a scan, which stands for 0 dB."""
    positive(name, "dynamic_range_db", dynamic_range_db, "decibels of the display range")
    low, high = (float(extreme) for extreme in torch.aminmax(scan.image))
    if low < 0:
        msg = (
            f"{name} needs a log-compressed image with 0 for no echo, got a minimum of {low:g}; audit the "
            "scan before it was standardised"
        )
        raise ValueError(msg)
    return high


def _pair(name: str, option: str, given: object) -> tuple[float, float]:
    """Check an option of two numbers."""
    values = list(given) if isinstance(given, Sequence) else []
    numbers = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
    if len(values) != 2 or len(numbers) != 2:
        msg = f"{name} needs {option} as two numbers, got {given!r}"
        raise ValueError(msg)
    return numbers[0], numbers[1]
