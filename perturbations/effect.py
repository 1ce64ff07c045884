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

from perturbations.chunks import CHUNK, finite, spread
from perturbations.estimate_noise import residual_sigma
from perturbations.scan import Scan
from perturbations.similarity import structural_similarity

__all__ = ["Effect", "measure", "similarity"]


@dataclass(frozen=True, slots=True)
class Effect:
    """A perturbed scan against the clean one."""

    nrmse: float
    """Root mean square of the difference over each channel's S_ref; 0 when nothing changed."""
    psnr: float | None
    """-20 log10 of the root mean square of the difference over each clean channel's range, dB; None
    without change."""
    ssim: float | None
    """Structural similarity, mean over channels and over windows (in the support, where the background is
    masked); None without an axis of 3 voxels, or without contrast in the clean scan."""
    contrast_to_noise: float | None
    """|mean inside - mean of two voxels around| / noise of the perturbed scan, first channel; None without
    a region, or without noise."""


def measure(clean: Scan, image: Tensor) -> Effect:
    """Compare a perturbed image with its clean scan.

    Parameters
    ----------
    clean : Scan
        With its region, for the contrast.
    image : as clean.image

    Raises
    ------
    TypeError
        When the image is no float32 tensor.
    ValueError
        When the shapes differ, or the image is not finite.
    """
    before, after = clean.image.cpu().contiguous(), _compared(clean, image)
    squares, relative = [], []
    for signal, a, b in zip(clean.signals, before, after, strict=True):
        square = _mean_square(a, b)
        low, high = torch.aminmax(a)
        span = float(high) - float(low)
        squares.append(square / signal**2)
        if span > 0:
            relative.append(square / span**2)
    loss = math.fsum(relative) / len(relative) if relative else 0.0
    return Effect(
        nrmse=math.sqrt(math.fsum(squares) / len(squares)),
        psnr=-10.0 * math.log10(loss) if loss > 0 else None,
        ssim=similarity(clean, after),
        contrast_to_noise=_contrast(clean, after),
    )


def similarity(clean: Scan, image: Tensor) -> float | None:
    """SSIM alone, as `measure` has it: the mean over channels; None where it is not defined.

    Where the background is masked only windows centred in the support count: a mean over what was cut out
    would tell how large the field of view is.
    """
    known = []
    after = _compared(clean, image)
    inside = clean.support if clean.masked_background else None
    for a, b in zip(clean.image.cpu(), after, strict=True):
        low, high = torch.aminmax(a)
        score = structural_similarity(a, b, float(high) - float(low), inside=inside)
        if score is not None:
            known.append(score)
    return math.fsum(known) / len(known) if known else None


def _compared(clean: Scan, image: object) -> Tensor:
    """Check what is compared with a clean scan, and bring it to the CPU."""
    if not isinstance(image, Tensor) or image.dtype != torch.float32:
        kind = image.dtype if isinstance(image, Tensor) else type(image).__name__
        msg = f"image must be a float32 tensor, as Perturbed.image is, got {kind}"
        raise TypeError(msg)
    if image.shape != clean.image.shape:
        msg = f"image must have shape {tuple(clean.image.shape)}, got {tuple(image.shape)}"
        raise ValueError(msg)
    held = image.detach().cpu().contiguous()
    if not finite(held):
        msg = "image must be finite, got NaN or infinite values"
        raise ValueError(msg)
    return held


def _mean_square(clean: Tensor, image: Tensor) -> float:
    """Mean square of the difference in float64, piece by piece."""
    a, b = clean.view(-1), image.view(-1)
    sums = [0.0] * -(-a.numel() // CHUNK)

    def piece(start: int, stop: int) -> None:
        difference = b[start:stop].double() - a[start:stop]
        sums[start // CHUNK] = float(difference.square_().sum())

    spread(piece, a.numel())
    return math.fsum(sums) / a.numel()


def _contrast(clean: Scan, image: Tensor) -> float | None:
    """Contrast of the region against two voxels around it, over the noise of the perturbed image."""
    if clean.region is None or not bool(clean.region.any()):
        return None
    inside, box = _cropped(clean.region.cpu().numpy())
    around = _grown(inside) & ~inside
    if not around.any():
        return None
    values = image[0].numpy()
    sigma = residual_sigma(values, clean.foreground.numpy(), clean.spacing)
    if sigma is None or sigma <= 0:
        return None
    near = values[box]
    difference = near[inside].mean(dtype=np.float64) - near[around].mean(dtype=np.float64)
    return abs(float(difference)) / sigma


def _cropped(region: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], tuple[slice, ...]]:
    """Cut the region out with two voxels around it, and tell where it lay."""
    box = []
    for axis, size in enumerate(region.shape):
        other = tuple(a for a in range(region.ndim) if a != axis)
        used = np.flatnonzero(region.any(axis=other))
        box.append(slice(max(0, int(used[0]) - 2), min(size, int(used[-1]) + 3)))
    return region[tuple(box)], tuple(box)


def _grown(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Add every voxel within two steps along the axes."""
    grown = inside
    for _ in range(2):
        before = grown
        grown = before.copy()
        for axis in range(inside.ndim):
            ahead, behind = [slice(None)] * inside.ndim, [slice(None)] * inside.ndim
            ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
            grown[tuple(ahead)] |= before[tuple(behind)]
            grown[tuple(behind)] |= before[tuple(ahead)]
    return grown
