"""Noise: what the receiver adds.

**Conventions.** Levels are sigma in % of each channel's reference signal (`Scan.signals`); for CT in
HU. Nothing is added where the background is masked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from perturbations.chunks import elementwise, empty, unit_field
from perturbations.scan import Scan

__all__ = ["gaussian_noise", "rician_noise", "sigma_unit"]


def gaussian_noise(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, None]]:
    """Add white normal noise: y = x + sigma n.

    Valid for MR magnitudes only where the signal is several sigma; see `rician_noise`.
    """
    field = _scaled_field(scan, generator)
    image = scan.image.contiguous()

    def at(level: float) -> tuple[Tensor, None]:
        def add(out: Tensor, clean: Tensor, noise: Tensor) -> None:
            torch.add(clean, noise, alpha=level, out=out)

        return elementwise(add, empty(image.shape), image, field), None

    return at


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

    image = scan.image.contiguous()

    def at(level: float) -> tuple[Tensor, None]:
        def magnitude(out: Tensor, clean: Tensor, first: Tensor, second: Tensor) -> None:
            torch.add(clean, first, alpha=level, out=out)
            torch.hypot(out, second * level, out=out)

        return elementwise(magnitude, empty(image.shape), image, real, imaginary), None

    return at


def sigma_unit(scan: Scan, channel: int = 0) -> float:
    """Return intensities per unit of level: 1 HU for CT, 1 % of the channel's signal elsewhere."""
    return 1.0 if scan.modality == "ct" else scan.signals[channel] / 100.0


def _scaled_field(scan: Scan, generator: np.random.Generator) -> Tensor:
    """Noise per unit of level, nothing where the background is masked."""
    field = unit_field(scan.image.shape, generator)
    units = [sigma_unit(scan, channel) for channel in range(scan.image.shape[0])]
    field *= torch.tensor(units, dtype=torch.float32).reshape(-1, *[1] * scan.ndim)
    if scan.masked_background:
        field *= scan.support
    return field
