"""How much a perturbation changed a scan, measured.

Levels in physical units do not say that one is as bad as another; these numbers stand beside them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.scan import Scan

__all__ = ["Effect", "measure"]


@dataclass(frozen=True, slots=True)
class Effect:
    """A perturbed scan against the clean one."""

    nrmse: float
    """Root mean square of the difference over each channel's S_ref; 0 when nothing changed."""
    psnr: float | None
    """-20 log10 of the root mean square of the difference over each clean channel's range, dB; None
    without change."""
    ssim: float | None
    """Structural similarity, mean over voxels and channels; None when an axis is shorter than 3."""
    contrast_to_noise: float | None
    """|mean inside - mean around| / noise of the perturbed scan; None without a region."""


def measure(clean: Scan, image: Tensor) -> Effect:
    """Compare a perturbed image with its clean scan.

    Parameters
    ----------
    clean : Scan
        With its region, for the contrast.
    image : as clean.image

    Raises
    ------
    ValueError
        When the shapes differ.
    """
    if image.shape != clean.image.shape:
        msg = f"image must have shape {tuple(clean.image.shape)}, got {tuple(image.shape)}"
        raise ValueError(msg)
    before, after = clean.image.cpu().numpy(), image.cpu().numpy()
    axes = tuple(range(1, before.ndim))
    square = np.mean((after.astype(np.float64) - before) ** 2, axis=axes)
    spans = np.ptp(before.astype(np.float64), axis=axes)
    ranged = spans > 0
    relative = float(np.mean(square[ranged] / spans[ranged] ** 2)) if ranged.any() else 0.0
    scores = [_ssim(a, b, float(span)) for a, b, span in zip(before, after, spans, strict=True)]
    known = [score for score in scores if score is not None]
    return Effect(
        nrmse=math.sqrt(float(np.mean(square / np.square(clean.signals)))),
        psnr=-10.0 * math.log10(relative) if relative > 0 else None,
        ssim=float(np.mean(known)) if known else None,
        contrast_to_noise=_contrast(clean, image.cpu()),
    )


def _ssim(clean: NDArray[np.float32], image: NDArray[np.float32], span: float) -> float | None:
    """SSIM with a uniform 7-voxel window (Wang et al. 2004, doi 10.1109/TIP.2003.819861)."""
    window = min(7, *clean.shape)
    window -= 1 - window % 2
    if window < 3 or span <= 0:
        return None
    from scipy import ndimage

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(ndimage.uniform_filter(values, window, mode="nearest"))

    a, b = clean.astype(np.float64), image.astype(np.float64)
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    score = ((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    # windows that reach beyond the border are left out, as scikit-image does
    inner = tuple(slice(window // 2, size - window // 2) for size in clean.shape)
    return float(score[inner].mean())


def _contrast(clean: Scan, image: Tensor) -> float | None:
    from perturbations.estimate import residual_sigma

    if clean.region is None or not bool(clean.region.any()):
        return None
    around = _ring(clean.region)
    sigma = residual_sigma(image[0].numpy(), clean.foreground.numpy(), clean.spacing)
    if sigma is None or sigma <= 0 or not bool(around.any()):
        return None
    first = image[0]
    return abs(float(first[clean.region].mean()) - float(first[around].mean())) / sigma


def _ring(region: Tensor) -> Tensor:
    """Two voxels around the region."""
    from scipy import ndimage

    inside = region.numpy()
    grown = ndimage.binary_dilation(inside, iterations=2)
    return torch.from_numpy(grown & ~inside)
