"""Scans and lines of k-space for the tests of its artefacts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

import perturbations
from perturbations import Scan

__all__ = ["Array", "lines_of", "perturbed", "textured"]

Array = NDArray[np.float64]


def textured(shape: tuple[int, ...], spacing: tuple[float, ...], seed: int = 0) -> Scan:
    """Positive random voxels, smooth enough to have edges and dark places."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.0)
    image = torch.from_numpy((100.0 + 100.0 * field / np.abs(field).max()).astype(np.float32))
    return Scan(image=image[None], spacing=spacing, modality="mr")


def perturbed(name: str, scan: Scan, level: float, seed: int = 1, **options: Any) -> Array:
    """The first channel of the outcome, in double precision."""
    drawn = perturbations.realise(name, scan, seed=seed, **options)
    return drawn.at(level=level).image[0].numpy().astype(np.float64)


def lines_of(size: int, axis: int, dims: int) -> Array:
    """k along one axis, -N/2 <= k < N/2, in the order of NumPy's transform, ready to broadcast."""
    shape = [1] * dims
    shape[axis] = size
    return np.asarray(np.fft.fftfreq(size, 1 / size).round().reshape(shape), dtype=np.float64)
