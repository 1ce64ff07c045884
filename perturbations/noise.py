"""Noise: what the receiver adds.

**Conventions.** Levels are sigma in % of each channel's reference signal (`Scan.signals`); for CT in
HU. Fields are drawn by numpy in chunks of fixed size, each from its own generator, so that neither
the number of threads nor the device changes a bit. Nothing is added where the background is masked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from perturbations.scan import Scan

__all__ = ["gaussian_noise", "rician_noise", "unit_field"]

_CHUNK = 1 << 20


def gaussian_noise(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, None]]:
    """Add white normal noise: y = x + sigma n.

    Valid for MR magnitudes only where the signal is several sigma; see `rician_noise`.
    """
    field = _scaled_field(scan, generator)
    # a product, then a sum: each is exact in IEEE arithmetic, a fused one depends on the vector width
    return lambda level: (scan.image + field * level, None)


def rician_noise(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, None]]:
    """Magnitude of a complex signal with noise: y = sqrt((x + sigma n1)^2 + (sigma n2)^2).

    Without signal this is Rayleigh: mean sigma sqrt(pi / 2), variance (2 - pi / 2) sigma^2
    (Gudbjartsson & Patz 1995, doi 10.1002/mrm.1910340618).

    Raises
    ------
    ValueError
        When the scan has negative values, so that it is no magnitude image.
    """
    low = float(scan.image.min())
    if low < 0:
        msg = (
            f"rician_noise needs a magnitude image without negative values, got a minimum of {low:g}; "
            "audit the scan before it was standardised or resampled by splines, or use gaussian_noise"
        )
        raise ValueError(msg)
    real = _scaled_field(scan, generator)
    imaginary = _scaled_field(scan, generator)

    def at(level: float) -> tuple[Tensor, None]:
        first = scan.image + real * level
        second = imaginary * level
        # square root, sums and products are exact in IEEE arithmetic, whatever the vector width
        return torch.sqrt(first * first + second * second), None

    return at


def sigma_unit(scan: Scan, channel: int = 0) -> float:
    """Return intensities per unit of level: 1 HU for CT, 1 % of the channel's signal elsewhere."""
    return 1.0 if scan.modality == "ct" else scan.signals[channel] / 100.0


def unit_field(shape: torch.Size | tuple[int, ...], generator: np.random.Generator) -> Tensor:
    """Draw a standard normal field, float32, in chunks of fixed size."""
    count = int(np.prod(shape))
    values = np.empty(count, dtype=np.float32)
    for start in range(0, count, _CHUNK):
        # one generator a chunk: chunks could be drawn in any order and on any number of threads
        own = np.random.Generator(np.random.SFC64(int(generator.integers(2**63))))
        stop = min(start + _CHUNK, count)
        values[start:stop] = own.standard_normal(stop - start, dtype=np.float32)
    return torch.from_numpy(values.reshape(tuple(shape)))


def _scaled_field(scan: Scan, generator: np.random.Generator) -> Tensor:
    """Noise per unit of level, nothing where the background is masked."""
    field = unit_field(scan.image.shape, generator)
    units = [sigma_unit(scan, channel) for channel in range(scan.image.shape[0])]
    field *= torch.tensor(units, dtype=torch.float32).reshape(-1, *[1] * scan.ndim)
    return field * scan.support if scan.masked_background else field
