"""Blur: what the point-spread function takes away.

**Conventions.** Levels are the full width at half maximum (FWHM) in mm, the same along every axis
whatever the spacing; in pixels for display modalities. FWHM = 2 sqrt(2 ln 2) sigma. What lies outside
the support of a skull-stripped or padded scan was cut out after the acquisition: it neither blurs in
nor changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.scan import Scan

__all__ = ["FWHM_OF_SIGMA", "gaussian_blur", "kernel", "smoothed", "within_support"]

FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""2.3548.."""

_REACH = 5.0
"""A kernel ends after so many sigma."""


def gaussian_blur(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
) -> Callable[[float], tuple[Tensor, None]]:
    """Convolve with a Gaussian of a given FWHM in mm (px)."""
    lengths = scan.spacing if scan.modality_class == "body" else (1.0,) * scan.ndim

    def at(level: float) -> tuple[Tensor, None]:
        sigma = [level / FWHM_OF_SIGMA / s for s in lengths]
        return within_support(scan, lambda image: smoothed(image, sigma)), None

    return at


def within_support(scan: Scan, average: Callable[[Tensor], Tensor]) -> Tensor:
    """Average what was acquired, with weights that sum to 1 inside the support of a cut-out scan.

    Parameters
    ----------
    scan : Scan
        Where its background was cut out, those voxels keep their values and weigh nothing.
    average : function of a (channel, z, y, x) image
        Linear, with positive weights that sum to 1.
    """
    if not scan.cut_out:
        return average(scan.image)
    support = scan.support
    weight = average(support[None].to(torch.float32))
    total = average(scan.image * support)
    return torch.where(support & (weight > 0), total / weight.clamp(min=1e-30), scan.image)


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
            values = ndimage.correlate1d(values, kernel(width), axis, mode="nearest")
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


@lru_cache(maxsize=256)
def kernel(sigma: float) -> NDArray[np.float64]:
    """Return a sampled Gaussian whose variance on the grid is exactly sigma^2 voxels.

    From about one voxel on these are the plain samples. A narrower Gaussian falls between the voxels,
    so that its samples would blur less than stated (1.5 mm along slices of 3 mm: not at all); there
    the sampled width is raised until the variance is right, because variances add along a chain of
    blurs whatever their shape.
    """
    reach = max(1, int(_REACH * sigma + 0.5))
    place = np.arange(-reach, reach + 1, dtype=np.float64)

    def sampled(width: float) -> NDArray[np.float64]:
        weights = np.exp(-0.5 * (place / width) ** 2)
        return np.asarray(weights / weights.sum())

    low, high = 0.5 * sigma, sigma + 0.5
    for _ in range(60):
        middle = (low + high) / 2
        if float((sampled(middle) * place**2).sum()) < sigma * sigma:
            low = middle
        else:
            high = middle
    return sampled(high)
