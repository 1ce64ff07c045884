"""Scans of more voxels than one piece of work holds, one per modality; procedural."""

from __future__ import annotations

import numpy as np
import torch

from perturbations import Scan
from perturbations.catalog import modality_class

__all__ = ["large"]


def large(modality: str, shape: tuple[int, ...] = (36, 90, 100)) -> Scan:
    """An ellipsoid with texture on an anisotropic grid; CT in HU, the others from 0 on.

    Parameters
    ----------
    modality : str
        Decides values and unit of length.
    shape : tuple of int
        2-D or 3-D.
    """
    rng = np.random.default_rng(2)
    axes = [np.linspace(-1, 1, size, dtype=np.float32) for size in shape]
    grids = np.meshgrid(*axes, indexing="ij", sparse=True)
    inside = sum((grid / 0.8) ** 2 for grid in grids) < 1
    core = sum((grid / 0.3) ** 2 for grid in grids) < 1
    texture = np.cos(9 * grids[-1]) * np.cos(7 * grids[-2])
    image = rng.random(shape, dtype=np.float32)
    image += inside * (60 + 40 * core + 10 * texture)
    if modality == "ct":
        image = np.where(inside, 40 + 60 * core + 10 * texture + image, np.float32(-1000))
    display = modality_class(modality) == "display"
    spacing = (3.0, 1.2, 1.5)[-len(shape) :]
    return Scan(
        image=torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None],
        spacing=(1.0,) * len(shape) if display else spacing,
        unit="px" if display else "mm",
        modality=modality,
        region=torch.from_numpy(np.broadcast_to(core, shape).copy()),
    )
