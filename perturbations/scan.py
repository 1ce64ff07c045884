"""The scan that perturbations act on, checked once.

**Conventions.** ``image`` is (channel, z, y, x) or (channel, y, x), float32, in the scan's own units
(HU for CT, magnitude for MR). ``spacing`` follows the array: (z, y, x). Lengths are mm, or pixels for
images without a spacing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.catalog import MODALITIES, modality_class

__all__ = ["Scan"]

STATES = ("raw", "windowed", "normalised", "skull_stripped")
"""What may have been done to a scan before."""

_MASKED_SHARE = 0.2
"""Share of exact zeros, connected to the border, above which a background counts as masked."""


@dataclass(frozen=True)
class Scan:
    """One scan with what a perturbation must know of it."""

    image: Tensor
    """(channel, z, y, x) or (channel, y, x), float32, finite."""
    spacing: tuple[float, ...]
    """Distance of voxel centres along each spatial axis, in `unit`."""
    unit: Literal["mm", "px"] = "mm"
    """Unit of length."""
    modality: str = "other"
    """ct, mr, us, xray, microscopy, other."""
    state: str = "raw"
    """raw, windowed, normalised, skull_stripped."""
    region: Tensor | None = None
    """(z, y, x) or (y, x), bool: foreground of the reference, for measures of contrast."""
    slice_thickness: float | None = None
    """Along the axis of the largest spacing; the spacing when not known."""

    def __post_init__(self) -> None:
        _check_image(self.image)
        dims = self.image.dim() - 1
        if len(self.spacing) != dims or not all(0 < s < float("inf") for s in self.spacing):
            msg = f"spacing must be {dims} positive numbers, got {self.spacing!r}"
            raise ValueError(msg)
        if self.modality not in MODALITIES:
            msg = f"modality must be one of {', '.join(MODALITIES)}, got {self.modality!r}"
            raise ValueError(msg)
        if self.state not in STATES:
            msg = f"state must be one of {', '.join(STATES)}, got {self.state!r}"
            raise ValueError(msg)
        if self.region is not None and (
            self.region.dtype != torch.bool or self.region.shape != self.image.shape[1:]
        ):
            msg = (
                f"region must be bool of shape {tuple(self.image.shape[1:])}, got {self.region.dtype} "
                f"of shape {tuple(self.region.shape)}"
            )
            raise ValueError(msg)

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Voxels along each spatial axis."""
        return tuple(self.image.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of spatial axes: 2 or 3."""
        return self.image.dim() - 1

    @property
    def modality_class(self) -> Literal["body", "display"]:
        """Body: levels in mm and HU; display: levels in pixels."""
        return modality_class(self.modality)

    @property
    def slice_axis(self) -> int:
        """Spatial axis of the largest spacing; the first of equals."""
        return int(np.argmax(self.spacing))

    @cached_property
    def foreground(self) -> Tensor:
        """(z, y, x), bool: voxels above Otsu's threshold of the first channel.

        Of the nonzero voxels when the background is masked; everything when the scan is constant.
        """
        first = self.image[0].cpu().numpy()
        values = first[self.support.numpy()] if self.masked_background else first
        if values.size == 0 or values.min() == values.max():
            return torch.ones(self.spatial_shape, dtype=torch.bool)
        return torch.from_numpy(first > _otsu(values))

    @cached_property
    def s_ref(self) -> float:
        """Reference signal: the 95th percentile of the intensities above Otsu's threshold.

        CT counts from the -1000 HU of air. A scan without signal has 1.
        """
        first = self.image[0].cpu()
        values = first[self.foreground].numpy()
        signal = float(np.quantile(values, 0.95)) if values.size else 0.0
        if self.modality == "ct":
            signal += 1000.0
        return abs(signal) if abs(signal) > 1e-12 else 1.0

    @cached_property
    def masked_background(self) -> bool:
        """True when more than 20 % of the voxels are exact zeros connected to the border.

        Skull-stripped, defaced and padded scans: acquisition noise is not invented there.
        """
        return bool((~self.support).float().mean() > _MASKED_SHARE)

    @cached_property
    def support(self) -> Tensor:
        """(z, y, x), bool: False where all channels are zero and connected to the border."""
        from scipy import ndimage

        zero = (self.image == 0).all(dim=0).cpu().numpy()
        parts, count = ndimage.label(zero)
        if count == 0:
            return torch.ones(self.spatial_shape, dtype=torch.bool)
        touching = np.zeros(count + 1, dtype=bool)
        for axis in range(zero.ndim):
            for side in (0, -1):
                touching[np.unique(parts.take(side, axis))] = True
        touching[0] = False
        return torch.from_numpy(~touching[parts])


def _check_image(image: object) -> None:
    if not isinstance(image, Tensor):
        msg = f"image must be a torch tensor, got {type(image).__name__}"
        raise TypeError(msg)
    if image.dtype != torch.float32 or image.dim() not in (3, 4) or image.numel() == 0:
        msg = (
            "image must be float32 of shape (channel, z, y, x) or (channel, y, x), got "
            f"{image.dtype} of shape {tuple(image.shape)}"
        )
        raise ValueError(msg)
    if not bool(torch.isfinite(image).all()):
        msg = "image must be finite, got NaN or infinite values"
        raise ValueError(msg)


def _otsu(values: NDArray[np.float32]) -> float:
    """Otsu's threshold from 256 bins (Otsu 1979, doi 10.1109/TSMC.1979.4310076)."""
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    weight = np.cumsum(counts).astype(np.float64)
    total = np.cumsum(counts * centres)
    below = total[:-1] / np.maximum(weight[:-1], 1)
    above = (total[-1] - total[:-1]) / np.maximum(weight[-1] - weight[:-1], 1)
    between = weight[:-1] * (weight[-1] - weight[:-1]) * (below - above) ** 2
    return float(centres[int(np.argmax(between))])
