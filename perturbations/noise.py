"""Noise: what the receiver adds.

**Conventions.** Levels are sigma in % of the reference signal `Scan.s_ref`; for CT in HU. Fields are
drawn by numpy in chunks of fixed size, each from its own generator, so that neither the number of
threads nor the device changes a bit. Nothing is added where the background is masked.
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
    field = _supported(unit_field(scan.image.shape, generator), scan)
    unit = sigma_unit(scan)
    return lambda level: (torch.add(scan.image, field, alpha=level * unit), None)


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
        msg = f"rician_noise needs a magnitude image without negative values, got a minimum of {low:g}"
        raise ValueError(msg)
    real = _supported(unit_field(scan.image.shape, generator), scan)
    imaginary = _supported(unit_field(scan.image.shape, generator), scan)
    unit = sigma_unit(scan)

    def at(level: float) -> tuple[Tensor, None]:
        sigma = level * unit
        first = torch.add(scan.image, real, alpha=sigma)
        second = imaginary * sigma
        # square root and products are exact in IEEE arithmetic, whatever the vector width
        return torch.sqrt(first * first + second * second), None

    return at


def sigma_unit(scan: Scan) -> float:
    """Return intensities per unit of level: 1 HU for CT, 1 % of S_ref elsewhere."""
    return 1.0 if scan.modality == "ct" else scan.s_ref / 100.0


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


def _supported(field: Tensor, scan: Scan) -> Tensor:
    return field * scan.support if scan.masked_background else field
