"""A reference mask with everything about it that is computed once and asked often.

**Conventions.** Masks are bool tensors (z, y, x) or (y, x); the spacing follows their axes, in mm,
or in px for images without one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from auditor.metrics.boundary import inner_band
from auditor.metrics.boxes import Box, Part, bounding_box
from auditor.metrics.centreline import skeleton_of
from auditor.metrics.lesions import Components, components_of
from auditor.metrics.outlines import BoolArray, extract_boundary, extract_surface
from auditor.metrics.outlook import Outlook
from auditor.metrics.policy import Extent


@dataclass(frozen=True)
class Reference:
    """One reference mask of one label; make it with `prepare_reference`."""

    mask: BoolArray
    """(z, y, x) or (y, x)."""
    spacing: tuple[float, ...]
    """Along each axis, in `unit`."""
    unit: Literal["mm", "px"]
    """Unit of lengths."""
    n_foreground: int
    """Voxels of the reference."""
    n_image: int
    """Voxels that are scored: of the image, or of the region that `restrict` left."""
    reused: bool = True
    """False: too short-lived for a map of what is near to pay."""
    inside: BoolArray | None = None
    """The region that `restrict` left; None: the whole image."""
    _bands: dict[float, Part[np.bool_]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def is_empty(self) -> bool:
        """True when the reference has no voxel."""
        return self.n_foreground == 0

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel in the unit of volumes."""
        return voxel_volume(self.spacing, self.unit)

    @property
    def diagonal(self) -> float:
        """Diagonal of the whole image, mm or px: no two points of it lie further apart."""
        return math.hypot(*(n * s for n, s in zip(self.mask.shape, self.spacing, strict=True)))

    @property
    def volume(self) -> float:
        """Volume of the reference in the unit of volumes."""
        return self.n_foreground * self.voxel_volume

    @property
    def extent(self) -> Extent:
        """What the worst cases of the metrics depend on."""
        return Extent(
            diagonal=self.diagonal,
            reference_volume=self.volume,
            image_volume=self.n_image * self.voxel_volume,
            most_components=math.prod((n + 1) // 2 for n in self.mask.shape),
        )

    @cached_property
    def box(self) -> Box:
        """Smallest box that holds the reference."""
        return bounding_box(self.mask)

    @cached_property
    def lesions(self) -> Components:
        """Components of the reference."""
        return components_of(self.mask)

    @cached_property
    def skeleton(self) -> Part[np.bool_]:
        """Skeleton of the reference."""
        return skeleton_of(self.mask)

    def band(self, width: float) -> Part[np.bool_]:
        """Voxels of the reference within a width of its border; computed once for each width."""
        if width not in self._bands:
            self._bands[width] = inner_band(self.mask, self.spacing, width)
        return self._bands[width]

    @cached_property
    def surface(self) -> Outlook:
        """Surface elements of the reference, and what is near them."""
        elements = extract_surface(self.mask, self.spacing, self.box)
        corners = tuple(n + 1 for n in self.mask.shape)
        return Outlook(elements=elements, shape=corners, reused=self.reused)

    @cached_property
    def boundary(self) -> Outlook:
        """Boundary voxels of the reference, and what is near them."""
        elements = extract_boundary(self.mask, self.spacing, self.box)
        return Outlook(elements=elements, shape=self.mask.shape, reused=self.reused)


def prepare_reference(
    mask: torch.Tensor,
    spacing: tuple[float, ...],
    unit: Literal["mm", "px"] = "mm",
    *,
    reused: bool = True,
) -> Reference:
    """Prepare a reference for many measurements.

    Parameters
    ----------
    mask : (z, y, x) or (y, x), bool: the voxels of one label
    spacing : distance of voxel centres along each axis of `mask`, in `unit`
    unit : ``mm``, or ``px`` for images without a spacing
    reused : False for a mask that is compared a few times only; no map is made for it then

    Raises
    ------
    TypeError
        When the mask is not a bool tensor.
    ValueError
        When it has not two or three axes, or the spacing is not one positive number per axis.

    Examples
    --------
    >>> mask = torch.zeros(4, 6, 6, dtype=torch.bool)
    >>> mask[1:3, 2:4, 2:4] = True
    >>> prepare_reference(mask, (3.0, 1.0, 1.0)).volume
    0.024
    """
    check_mask("reference", mask)
    check_spacing(spacing, mask.ndim)
    if unit not in {"mm", "px"}:
        msg = f"unit must be 'mm' or 'px', got {unit!r}"
        raise ValueError(msg)
    array: BoolArray = mask.detach().cpu().contiguous().numpy()
    return Reference(
        mask=array,
        spacing=tuple(float(step) for step in spacing),
        unit=unit,
        n_foreground=int(mask.sum()),
        n_image=mask.numel(),
        reused=reused,
    )


def restrict(reference: Reference, region: torch.Tensor) -> Reference:
    """Keep only what of a reference lies inside a region.

    Parameters
    ----------
    reference : see `prepare_reference`
    region : bool, the shape of the reference

    Returns
    -------
    A reference that is empty outside the region. Its diagonal stays that of the image, its image
    volume becomes that of the region. The border of the region cuts the surface as the border of
    an image does: a mask that crosses it has surface there.

    Raises
    ------
    TypeError, ValueError
        When the region is not a bool tensor of the reference's shape.
    """
    check_mask("region", region, shape=reference.mask.shape)
    inside: BoolArray = region.detach().cpu().numpy()
    mask = reference.mask & inside
    return Reference(
        mask=mask,
        spacing=reference.spacing,
        unit=reference.unit,
        n_foreground=int(mask.sum()),
        n_image=int(inside.sum()),
        reused=False,
        inside=inside,
    )


def check_mask(name: str, mask: object, shape: tuple[int, ...] | None = None) -> None:
    """Refuse what is no mask.

    Parameters
    ----------
    name : of the argument, for the message
    mask : must be a bool tensor with two or three axes, each at least one voxel long
    shape : that it must have, where there is one

    Raises
    ------
    TypeError, ValueError
    """
    if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool:
        was = mask.dtype if isinstance(mask, torch.Tensor) else type(mask).__name__
        msg = f"{name} must be a bool tensor, got {was}; compare a label map with its number first"
        raise TypeError(msg)
    if mask.ndim not in {2, 3} or mask.numel() == 0:
        msg = f"{name} must be (z, y, x) or (y, x) with at least one voxel, got {tuple(mask.shape)}"
        raise ValueError(msg)
    if shape is not None and tuple(mask.shape) != tuple(shape):
        msg = (
            f"{name} must have the shape of the reference, {tuple(shape)}, got {tuple(mask.shape)}"
        )
        raise ValueError(msg)


def check_spacing(spacing: tuple[float, ...], ndim: int) -> None:
    """Refuse a spacing that is not one positive, finite number per axis.

    Raises
    ------
    ValueError
    """
    if len(spacing) != ndim or not all(0.0 < step < math.inf for step in spacing):
        msg = f"spacing must be {ndim} positive numbers, one per axis, got {tuple(spacing)!r}"
        raise ValueError(msg)


def voxel_volume(spacing: tuple[float, ...], unit: Literal["mm", "px"]) -> float:
    """Give the volume of one voxel: ml (3-D) or mm² (2-D) in mm, 1 in px."""
    if unit == "px":
        return 1.0
    volume = math.prod(spacing)
    return volume / 1000.0 if len(spacing) == 3 else volume
