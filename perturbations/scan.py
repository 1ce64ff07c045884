"""The scan that perturbations act on, checked once.

**Conventions.** ``image`` is (channel, z, y, x) or (channel, y, x), float32, in the scan's own units
(HU for CT, magnitude for MR). ``spacing`` follows the array: (z, y, x). Lengths are mm, or pixels for
images without a spacing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.catalog import MODALITIES, STATES, modality_class
from perturbations.chunks import extremes, finite
from perturbations.options import is_number

__all__ = ["Scan"]

_MASKED_SHARE = 0.2
"""Share of exact zeros, connected to the border, above which a background counts as masked."""

_AIR_HU = -1000.0
_PADDING_HU = -1500.0
"""Below this no tissue and no air lies: readers fill the outside of a round field of view with it."""


@dataclass(frozen=True, eq=False)
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
    """Along the axis of the largest spacing, in `unit`; the spacing when not known."""

    def __post_init__(self) -> None:
        _check_image(self.image)
        dims = self.image.dim() - 1
        if len(self.spacing) != dims or not all(map(_positive, self.spacing)):
            msg = f"spacing must be {dims} positive numbers, got {self.spacing!r}"
            raise ValueError(msg)
        if self.unit not in ("mm", "px"):
            msg = f"unit must be 'mm' or 'px', got {self.unit!r}"
            raise ValueError(msg)
        if self.slice_thickness is not None and not _positive(self.slice_thickness):
            msg = f"slice_thickness must be a positive number, got {self.slice_thickness!r}"
            raise ValueError(msg)
        if self.modality not in MODALITIES:
            msg = f"modality must be one of {', '.join(MODALITIES)}, got {self.modality!r}"
            raise ValueError(msg)
        if self.state not in STATES:
            msg = f"state must be one of {', '.join(STATES)}, got {self.state!r}"
            raise ValueError(msg)
        _check_region(self.region, self.spatial_shape)

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
        return modality_class(self.modality, self.unit)

    @property
    def slice_axis(self) -> int:
        """Spatial axis of the largest spacing; the first of equals."""
        return int(np.argmax(self.spacing))

    def successor(self, image: Tensor) -> Scan:
        """Return the scan with other voxels, which keeps the reference signal, foreground and support.

        For the next link of a chain: noise is related to the signal of the clean scan, whatever was
        done to it before, and X-rays met what the clean scan shows.
        """
        after = replace(self, image=image)
        after.__dict__["_clean"] = self.clean
        for fact in ("signals", "foreground", "support", "masked_background", "cut_out"):
            after.__dict__[fact] = getattr(self, fact)
        return after

    @property
    def clean(self) -> Scan:
        """The scan that a chain began with; this one, where none was done to it before."""
        first: Scan = self.__dict__.get("_clean", self)  # no cache: a scan that holds itself stays
        return first

    @cached_property
    def foreground(self) -> Tensor:
        """(z, y, x), bool: voxels above Otsu's threshold of the first channel.

        CT padding counts as air. Where a masked background is 0 among positive and negative values
        (standardised scans), all that was not masked; everything when the scan is constant.
        """
        return self._foreground(0)

    @property
    def s_ref(self) -> float:
        """Reference signal of the first channel, see `signals`."""
        return self.signals[0]

    @cached_property
    def signals(self) -> tuple[float, ...]:
        """Reference signal per channel: the 95th percentile of the intensities above Otsu's threshold.

        CT counts from the -1000 HU of air, standardised scans from their 1st percentile. A channel
        without signal has 1.
        """
        return tuple(self._signal(channel) for channel in range(self.image.shape[0]))

    @cached_property
    def largest(self) -> float:
        """Largest magnitude of a value."""
        return max(abs(extreme) for extreme in extremes(self.image.cpu().contiguous()))

    @cached_property
    def square_unit(self) -> float:
        """Power of two to divide by before squaring: 1 where squares of values fit into float32."""
        if 1e-12 < self.largest < 1e15 or self.largest == 0:
            return 1.0
        return 2.0 ** max(-126, min(126, math.frexp(self.largest)[1]))

    @cached_property
    def robust_ranges(self) -> list[tuple[float, float]]:
        """Robust range of every channel, see `perturbations.quantiles.robust_ranges`."""
        from perturbations.quantiles import robust_ranges

        return robust_ranges(self)

    @cached_property
    def masked_background(self) -> bool:
        """True when more than 20 % of the voxels are exact zeros (or CT padding) at the border.

        Skull-stripped, defaced and padded scans: acquisition noise is not invented there. Dark
        microscopy is no mask: light does reach those pixels.
        """
        hollow = float((~self.support).float().mean())
        return hollow > (0.0 if self.state == "skull_stripped" else _MASKED_SHARE)

    @cached_property
    def cut_out(self) -> bool:
        """True when the background was surely removed: declared skull-stripped, or CT padding.

        Zeros alone do not say so: light and signal do blur into an empty background.
        """
        if self.modality == "ct" and bool((self.image < _PADDING_HU).any()):
            return not bool(self.support.all())
        return self.state == "skull_stripped" and self.masked_background

    @cached_property
    def support(self) -> Tensor:
        """(z, y, x), bool: False at zeros of all channels (or CT padding) connected to the border."""
        from scipy import ndimage

        hollow = (self.image == 0).all(dim=0).cpu().numpy()
        if self.modality == "microscopy":
            hollow[:] = False
        if self.modality == "ct":
            hollow |= (self.image < _PADDING_HU).any(dim=0).cpu().numpy()
        parts, count = ndimage.label(hollow)
        if count == 0:
            return torch.ones(self.spatial_shape, dtype=torch.bool)
        touching = np.zeros(count + 1, dtype=bool)
        for axis in range(hollow.ndim):
            for side in (0, -1):
                touching[np.unique(parts.take(side, axis))] = True
        touching[0] = False
        return torch.from_numpy(~touching[parts])

    def _foreground(self, channel: int) -> Tensor:
        values = self.image[channel].cpu().numpy()
        if self.modality == "ct":
            values = np.maximum(values, _AIR_HU)
        elif self.masked_background and values.min() < 0:
            return self.support
        if values.min() == values.max():
            return torch.ones(self.spatial_shape, dtype=torch.bool)
        return torch.from_numpy(values >= _otsu(values))

    def _signal(self, channel: int) -> float:
        values = self.image[channel].cpu().numpy()
        inside = values[self._foreground(channel).numpy()]
        signal = float(np.quantile(inside, 0.95)) if inside.size else 0.0
        if self.modality == "ct":
            signal -= _AIR_HU
        elif self.state == "normalised":
            kept = values[self.support.numpy()] if self.masked_background else values
            signal -= float(np.quantile(kept, 0.01))
        # next to nothing beside the values themselves is what rounding left
        return abs(signal) if abs(signal) > 1e-12 * self.largest else 1.0


def _positive(value: object) -> bool:
    return is_number(value) and 0 < value < math.inf


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
    if not finite(image.detach().cpu().contiguous()):
        msg = "image must be finite and within float32, got NaN, infinite or larger values"
        raise ValueError(msg)
    if image.requires_grad:
        msg = "image must not require gradients; give image.detach()"
        raise ValueError(msg)


def _check_region(region: object, shape: tuple[int, ...]) -> None:
    if region is None:
        return
    if not isinstance(region, Tensor):
        msg = f"region must be a torch tensor, got {type(region).__name__}"
        raise TypeError(msg)
    if region.dtype != torch.bool or region.shape != shape:
        msg = f"region must be bool of shape {shape}, got {region.dtype} of shape {tuple(region.shape)}"
        raise ValueError(msg)


def _otsu(values: NDArray[np.float32]) -> float:
    """Smallest bright value by 256 bins (Otsu 1979, doi 10.1109/TSMC.1979.4310076).

    The upper edge of the last dark bin; its centre would split that bin, a whole background at times.
    """
    # in float64: neighbouring float32 values leave no room for 256 edges of their own kind
    span = (np.float64(values.min()), np.float64(values.max()))
    counts, edges = np.histogram(values, bins=256, range=span)
    centres = (edges[:-1] + edges[1:]) / 2
    weight = np.cumsum(counts).astype(np.float64)
    total = np.cumsum(counts * centres)
    below = total[:-1] / np.maximum(weight[:-1], 1)
    above = (total[-1] - total[:-1]) / np.maximum(weight[-1] - weight[:-1], 1)
    between = weight[:-1] * (weight[-1] - weight[:-1]) * (below - above) ** 2
    return float(edges[int(np.argmax(between)) + 1])
