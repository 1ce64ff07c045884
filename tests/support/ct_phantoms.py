"""Cylinders of water in air, of which every chord is known."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

import perturbations
from perturbations import Scan

__all__ = ["change", "plane", "water"]


def water(
    radius: float = 50.0,
    *,
    slices: int = 24,
    size: tuple[int, int] = (100, 100),
    spacing: tuple[float, float, float] = (3.0, 1.5, 1.5),
    centre: tuple[float, float] = (0.0, 0.0),
) -> Scan:
    """A cylinder of water of 40 HU in air."""
    y, x = plane(size, spacing[1:], centre)
    image = np.where(np.hypot(y, x) < radius, 40.0, -1000.0)
    whole = np.repeat(image[None], slices, axis=0).astype(np.float32)
    return Scan(image=torch.from_numpy(whole)[None], spacing=spacing, modality="ct")


def plane(
    size: tuple[int, int], spacing: tuple[float, ...], centre: tuple[float, float] = (0.0, 0.0)
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """y and x in mm from a centre."""
    y, x = ((np.arange(n) - (n - 1) / 2) * s for n, s in zip(size, spacing, strict=True))
    return np.asarray(y[:, None] - centre[0]), np.asarray(x[None, :] - centre[1])


def change(name: str, scan: Scan, level: float, seed: int = 1, **options: object) -> torch.Tensor:
    """What a level adds, (slice, row, column), float64."""
    drawn = perturbations.realise(name, scan, seed=seed, **options)
    return (drawn.at(level=level).image - scan.image)[0].double()
