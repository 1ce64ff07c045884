"""Noise: what the receiver and the detector add.

**Conventions.** Levels of a sigma are in % of each channel's reference signal (`Scan.signals`); for CT
in HU. Nothing is added where the background is masked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.chunks import drawn_field, elementwise, empty, magnitude, scratch, unit_field
from perturbations.options import positive
from perturbations.scan import Scan

__all__ = [
    "gaussian_noise",
    "noncentral_chi_noise",
    "poisson_noise",
    "rician",
    "rician_noise",
    "salt_and_pepper",
    "sigma_unit",
    "speckle_noise",
]

At = Callable[[float], tuple[Tensor, None]]

_MOST_COILS = 256
"""More than any receiver has."""

_ENDPOINTS = (0.001, 0.999)
"""Quantiles of a channel that defective voxels show."""

_NEVER = 2.0
"""Beyond every fraction of corrupted voxels."""


def gaussian_noise(scan: Scan, generator: np.random.Generator) -> At:
    """Add white normal noise: y = x + sigma n.

    Valid for MR magnitudes only where the signal is several sigma; see `rician_noise`.
    """
    return _scaled_addition(scan, _noise(scan, generator), _sigma_units(scan))


def rician_noise(scan: Scan, generator: np.random.Generator) -> At:
    """Magnitude of a complex signal with noise: y = sqrt((x + sigma n1)^2 + (sigma n2)^2).

    Without signal this is Rayleigh: mean sigma sqrt(pi / 2), variance (2 - pi / 2) sigma^2
    (Gudbjartsson & Patz 1995, doi 10.1002/mrm.1910340618).

    Raises
    ------
    ValueError
        When the scan has negative values, so that it is no magnitude image.
    """
    return rician(scan, generator, _sigma_units(scan), "rician_noise")


def rician(scan: Scan, generator: np.random.Generator, units: Sequence[float], name: str) -> At:
    """Rician noise whose sigma is the level times a unit per channel, in the scan's intensities."""
    _refuse_negative(scan, name, "a magnitude image")
    return _magnitude(scan, _noise(scan, generator), _noise(scan, generator), units)


def noncentral_chi_noise(scan: Scan, generator: np.random.Generator, *, coils: int = 8) -> At:
    """Root of the sum of squares of L coils, each with complex noise: y = sqrt(sum |x_l + sigma n_l|^2).

    Every coil sees x / sqrt(L), so that the combined image without noise is x. Then

        y^2 = (x + sigma n)^2 + sigma^2 C,    C chi-square with 2 L - 1 degrees of freedom,

    exactly: the 2 L noise parts are a normal vector, which any rotation leaves normal, and one rotation
    lays the signal of all coils along its first part (Constantinides, Atalar & McVeigh 1997, doi
    10.1002/mrm.1910380524; Dietrich et al. 2008, doi 10.1016/j.mri.2008.02.001). L = 1 is Rician. The
    background is not dark: about sigma sqrt(2 L - 1/2).

    Parameters
    ----------
    coils : int
        L, from 1 to 256; all with the same sigma, uncorrelated, not accelerated.

    Raises
    ------
    ValueError
        When `coils` is no such number, or the scan has negative values.
    """
    if type(coils) is not int or not 1 <= coils <= _MOST_COILS:  # True is no number of coils
        msg = (
            f"noncentral_chi_noise: coils must be a whole number from 1 to {_MOST_COILS}, got "
            f"{coils!r}; declare the receiver's number of channels"
        )
        raise ValueError(msg)
    _refuse_negative(scan, "noncentral_chi_noise", "a magnitude image")

    def root_of_chi_square(out: NDArray[np.float32], bits: np.random.SFC64) -> None:
        # a chi-square of k degrees of freedom is twice a gamma variate of shape k / 2
        np.random.Generator(bits).standard_gamma(coils - 0.5, out=out, dtype=np.float32)
        out *= np.float32(2.0)
        np.sqrt(out, out=out)

    along_signal = _noise(scan, generator)
    across = drawn_field(scan.image.shape, generator, root_of_chi_square)
    return _magnitude(scan, along_signal, _where_measured(scan, across), _sigma_units(scan))


def poisson_noise(scan: Scan, generator: np.random.Generator, *, counts: float = 1000.0) -> At:
    """Lower the dose: y = x + sqrt((1 - a) / a * x * S_ref / counts) n, a the fraction that is left.

    An intensity x stands for k = counts x / S_ref photons, whose number has the variance k. The scan
    holds that noise already; at a fraction a of the dose, with the same brightness, the variance of x
    is x S_ref / (a counts), so that what must be added is its difference to a = 1. Nothing is cut at 0,
    which keeps the mean: an offset-corrected detector reads below 0 as well.

    Parameters
    ----------
    counts : float
        Photons per voxel of brightness S_ref in the scan as it is, > 0.

    Raises
    ------
    ValueError
        When `counts` is not positive, or the scan has negative values, which are no counts.
    """
    counts = positive("poisson_noise", "counts", counts, "photons at S_ref")
    _refuse_negative(scan, "poisson_noise", "intensities in proportion to counts,")
    image, field = scan.image.contiguous(), unit_field(scan.image.shape, generator)
    for channel, signal in enumerate(scan.signals):
        # roots apart: the product of two tiny or two huge numbers leaves float32
        unit = math.sqrt(signal / counts)

        def by_signal(out: Tensor, clean: Tensor, unit: float = unit) -> None:
            out.mul_(torch.sqrt(clean).mul_(unit))

        elementwise(by_signal, field[channel], image[channel])
    added = _scaled_addition(scan, field)
    return lambda level: added(math.sqrt((1.0 - level) / level))


def speckle_noise(scan: Scan, generator: np.random.Generator) -> At:
    """Multiply by white normal noise: y = x (1 + s n).

    A display-domain approximation for comparison with the literature: the speckle of an ultrasound
    scanner is correlated and acts on the envelope.
    """
    image, field = scan.image.contiguous(), unit_field(scan.image.shape, generator)

    def by_signal(out: Tensor, clean: Tensor) -> None:
        out.mul_(clean)

    return _scaled_addition(scan, elementwise(by_signal, field, image))


def salt_and_pepper(scan: Scan, generator: np.random.Generator) -> At:
    """Let a fraction of the voxels fail: half show the channel's 99.9th percentile, half its 0.1th.

    One uniform number v in [-1, 1) belongs to every voxel. It has failed when |v| lies below the
    fraction, bright for v >= 0, so that what failed at a low level has failed at every higher one, and in
    the same way. The endpoints are those of the voxels in the support.
    """

    def signed_uniform(out: NDArray[np.float32], bits: np.random.SFC64) -> None:
        np.random.Generator(bits).random(out=out, dtype=np.float32)
        out *= np.float32(2.0)
        out -= np.float32(1.0)

    image, field = scan.image.contiguous(), drawn_field(scan.image.shape, generator, signed_uniform)
    if scan.masked_background or scan.cut_out:
        field[:, ~scan.support] = _NEVER
    endpoints = [_endpoints(scan, channel) for channel in range(image.shape[0])]

    def at(level: float) -> tuple[Tensor, None]:
        result = empty(image.shape)
        for channel, (dark, bright) in enumerate(endpoints):

            def fail(
                out: Tensor, clean: Tensor, v: Tensor, dark: float = dark, bright: float = bright
            ) -> None:
                out.copy_(clean)
                out.masked_fill_((v >= 0) & (v < level), bright)
                out.masked_fill_((v >= -level) & (v < 0), dark)

            elementwise(fail, result[channel], image[channel], field[channel])
        return result, None

    return at


def sigma_unit(scan: Scan, channel: int = 0) -> float:
    """Return intensities per unit of level: 1 HU for CT, 1 % of the channel's signal elsewhere."""
    return 1.0 if scan.modality == "ct" else scan.signals[channel] / 100.0


def _endpoints(scan: Scan, channel: int) -> tuple[float, float]:
    """Return what failed voxels of a channel show: dark and bright."""
    values = scan.image[channel]
    kept = values[scan.support] if scan.masked_background or scan.cut_out else values
    if kept.numel() == 0:  # nothing but background: no voxel can fail
        return 0.0, 0.0
    dark, bright = np.quantile(kept.numpy(), _ENDPOINTS)
    return float(dark), float(bright)


def _refuse_negative(scan: Scan, name: str, needed: str) -> None:
    low = float(scan.image.min())
    if low < 0:
        msg = (
            f"{name} needs {needed} without negative values, got a minimum of {low:g}; audit the scan "
            "before it was standardised or resampled by splines, or use gaussian_noise"
        )
        raise ValueError(msg)


def _scaled_addition(scan: Scan, field: Tensor, units: Sequence[float] | None = None) -> At:
    """Add a field times the level, and times a unit per channel: y = x + level * unit * field."""
    image = scan.image.contiguous()
    scales = units or [1.0] * image.shape[0]

    def at(level: float) -> tuple[Tensor, None]:
        result = empty(image.shape)
        for out, clean, noise, unit in zip(result, image, field, scales, strict=True):

            def add(out: Tensor, clean: Tensor, noise: Tensor, gain: float = level * unit) -> None:
                torch.add(clean, noise, alpha=gain, out=out)

            elementwise(add, out, clean, noise)
        return result, None

    return at


def _magnitude(scan: Scan, first: Tensor, second: Tensor, units: Sequence[float]) -> At:
    """Take sqrt((x + g first)^2 + (g second)^2), g the level times a unit per channel.

    No square leaves float32.
    """
    image = scan.image.contiguous()

    def at(level: float) -> tuple[Tensor, None]:
        result = empty(image.shape)
        for out, clean, one, other, unit in zip(result, image, first, second, units, strict=True):

            def combine(
                out: Tensor, clean: Tensor, one: Tensor, other: Tensor, gain: float = level * unit
            ) -> None:
                torch.add(clean, one, alpha=gain, out=out)
                magnitude(out, torch.mul(other, gain, out=scratch(other.shape)), scan.square_unit)

            elementwise(combine, out, clean, one, other)
        return result, None

    return at


def _sigma_units(scan: Scan) -> list[float]:
    return [sigma_unit(scan, channel) for channel in range(scan.image.shape[0])]


def _noise(scan: Scan, generator: np.random.Generator) -> Tensor:
    """Draw a standard normal field, 0 where the background is masked."""
    return _where_measured(scan, unit_field(scan.image.shape, generator))


def _where_measured(scan: Scan, field: Tensor) -> Tensor:
    """Take the noise away where nothing was measured: from masked backgrounds and CT padding."""
    if scan.masked_background or scan.cut_out:
        field *= scan.support
    return field
