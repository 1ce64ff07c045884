"""Blur: what the point-spread function takes away.

**Conventions.** Levels are the full width at half maximum (FWHM) in mm, the same along every axis
whatever the spacing; in pixels for display modalities. FWHM = 2 sqrt(2 ln 2) sigma.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from perturbations.scan import Scan

__all__ = ["FWHM_OF_SIGMA", "gaussian_blur", "smoothed"]

FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""2.3548.."""


def gaussian_blur(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
) -> Callable[[float], tuple[Tensor, None]]:
    """Convolve with a Gaussian of a given FWHM in mm (px)."""
    lengths = scan.spacing if scan.modality_class == "body" else (1.0,) * scan.ndim

    def at(level: float) -> tuple[Tensor, None]:
        return smoothed(scan.image, [level / FWHM_OF_SIGMA / s for s in lengths]), None

    return at


def smoothed(image: Tensor, sigma: list[float]) -> Tensor:
    """Smooth each channel with a Gaussian.

    Parameters
    ----------
    image : (channel, z, y, x) or (channel, y, x), float32
    sigma : list of float
        In voxels, along each spatial axis. Beyond the border the nearest voxel counts.
    """
    from scipy import ndimage

    values = image.cpu().numpy()
    for axis, width in enumerate(sigma, start=1):
        if width > 0:
            values = ndimage.gaussian_filter1d(values, width, axis, mode="nearest", truncate=5.0)
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
