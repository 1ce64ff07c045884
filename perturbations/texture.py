"""Texture: the object and what surrounds it grow alike.

**Conventions.** These are oracles: they read the reference to know which side is which, so that
unlabelled scans cannot have them. No voxel moves and the reference stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.chunks import elementwise, empty
from perturbations.options import positive
from perturbations.scan import Scan
from perturbations.stationary import autocovariance, draw_stationary

__all__ = ["DIRECTIONS", "texture_blend"]

At = Callable[[float], tuple[Tensor, None]]

DIRECTIONS = ("background", "foreground")
"""Which side of the reference changes; the other one is the donor."""


def texture_blend(
    scan: Scan,
    generator: np.random.Generator,
    *,
    direction: str = "background",
    scale: float = 15.0,
) -> At:
    """Blend one side of the reference with the other's intensity and texture: y = (1 - a) x + a d.

    d is a field without anatomy that looks like the donor: the mean intensity of the donor, plus a
    stationary random texture with its variance and autocorrelation. Of the donor's shape nothing is left.
    The donor side is not changed, and neither is a background that was masked. All channels see the same
    phases, each with its own spectrum. Where a channel of the scan has no negative values, d has none.

    Parameters
    ----------
    direction : str
        'background': what lies outside the region grows like the region. 'foreground': the region grows
        like its surroundings, all that lies outside of it within `scale` of its bounding box.
    scale : float
        Full width at half maximum of the local mean that texture is measured against, in the scan's unit
        of length: what varies more slowly counts as intensity or anatomy, not as texture.

    Raises
    ------
    ValueError
        When an option is none of these, or a side of the reference has no voxel.
    """
    _check(direction, scale)
    target, donor = _sides(scan, direction, float(scale))
    seed = int(generator.integers(2**63))
    image = scan.image.contiguous()
    change = empty(image.shape)
    for channel, clean in enumerate(image):
        known = clean.numpy()
        mean = float(known[donor].mean(dtype=np.float64))
        lowest = 0.0 if float(clean.min()) >= 0 else -math.inf
        covariance = autocovariance(known, donor, scan.spacing, float(scale))
        phases = np.random.Generator(np.random.SFC64(seed))
        write = _donated(change[channel], clean, target, mean, lowest)
        draw_stationary(tuple(clean.shape), covariance, phases, write)

    def at(level: float) -> tuple[Tensor, None]:
        def blend(out: Tensor, clean: Tensor, difference: Tensor) -> None:
            torch.add(clean, difference, alpha=level, out=out)

        return elementwise(blend, empty(image.shape), image, change), None

    return at


def _donated(
    change: Tensor, clean: Tensor, target: Tensor, mean: float, lowest: float
) -> Callable[[int, int, Tensor], None]:
    """Return what turns slices of a texture into the difference of the donor's field to the scan."""
    change, clean, target = (it.view(-1, *it.shape[-2:]) for it in (change, clean, target))

    def write(start: int, stop: int, texture: Tensor) -> None:
        field = texture.add_(mean).clamp_(min=lowest)
        torch.sub(field, clean[start:stop], out=change[start:stop])
        change[start:stop].masked_fill_(~target[start:stop], 0.0)

    return write


def _sides(scan: Scan, direction: str, scale: float) -> tuple[Tensor, NDArray[np.bool_]]:
    """Return the voxels that change, and those whose texture is taken."""
    if scan.region is None:
        msg = "texture_blend needs the region of the reference (Scan.region), got none; give a mask"
        raise ValueError(msg)
    region, support = scan.region.cpu().contiguous(), scan.support
    keeps = scan.masked_background or scan.cut_out
    target = ~region if direction == "background" else region
    target = target & support if keeps else target
    # zeros and padding at the border are no texture of anything
    donor = region & support
    if direction == "foreground":
        donor = support & ~region & _around(region, scan.spacing, scale)
    for side, held in (("to be changed", target), ("whose texture is taken", donor)):
        if not bool(held.any()):
            msg = (
                f"texture_blend (direction {direction}) needs a voxel with signal on both sides of the "
                f"reference, got none on the side {side}; give a reference that covers a part of the scan"
            )
            raise ValueError(msg)
    return target, donor.numpy()


def _around(region: Tensor, spacing: tuple[float, ...], scale: float) -> Tensor:
    """Return the bounding box of a region and what lies within `scale` of it, bool."""
    box = torch.zeros_like(region)
    cut = []
    for axis, step in enumerate(spacing):
        others = [other for other in range(region.dim()) if other != axis]
        held = np.flatnonzero(region.numpy().any(axis=tuple(others)))
        if held.size == 0:
            return box
        wide = max(1, math.ceil(scale / step))
        cut.append(slice(max(0, int(held[0]) - wide), int(held[-1]) + wide + 1))
    box[tuple(cut)] = True
    return box


def _check(direction: object, scale: object) -> None:
    if direction not in DIRECTIONS:
        msg = (
            f"texture_blend: direction must be {' or '.join(map(repr, DIRECTIONS))}, got {direction!r}; "
            "it names the side that changes"
        )
        raise ValueError(msg)
    positive("texture_blend", "scale", scale, "mm (px)")
