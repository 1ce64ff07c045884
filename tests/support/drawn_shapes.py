"""Scenes of 64 x 64 voxels with one irregular shape, a prediction of it and its probabilities.

The prediction is the reference with a smooth error of its border whose size differs from case to case; the
probability is the one of an observer who knows how large the error of this case is. A share of the
predictions misses the shape altogether. Used by tests and `benchmarks/coverage_masks.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from auditor.metrics.mask_families import signed_distance
from auditor.metrics.mask_scores import missed_shares, scan_scores

Floats = NDArray[np.float64]

SPACING = (1.5, 1.0)
RADII = tuple(np.arange(0.0, 40.0, 0.5).tolist())
MISSED = 0.02


@dataclass(frozen=True)
class Scene:
    reference: Tensor
    prediction: Tensor
    probability: Tensor


@dataclass(frozen=True)
class Pool:
    """Scores of many scenes, one row each."""

    outer: Floats
    inner: Floats
    outer_soft: Floats
    inner_soft: Floats
    losses: Floats
    """(scenes, `RADII`), share of the reference that the outer mask misses."""


def scenes(n: int, seed: int) -> Iterator[Scene]:
    rng = np.random.default_rng(seed)
    for _ in range(n):
        yield scene(rng)


def scene(rng: np.random.Generator) -> Scene:
    rows, columns = np.indices((64, 64)).astype(float)
    rows = (rows - rng.uniform(28, 36)) * SPACING[0]
    columns = (columns - rng.uniform(28, 36)) * SPACING[1]
    angle = np.arctan2(rows, columns)
    border = rng.uniform(8, 20) * (
        1
        + sum(rng.normal(0, 0.12 / k) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in (2, 3, 5))
    )
    away = np.hypot(rows, columns) - border
    size = rng.lognormal(np.log(1.6), 0.5)
    error = ndimage.gaussian_filter(rng.normal(size=(64, 64)), 4) * 14.2  # of variance 1
    told = away + size * (error + rng.normal(0, 0.5))
    soft = 1 / (1 + np.exp(np.clip(1.7 * told / (1.1 * size), -40, 40)))
    if rng.random() < MISSED:
        soft = soft * 0.1
    probability = torch.from_numpy(soft.astype(np.float32))
    return Scene(torch.from_numpy(away <= 0), probability > 0.5, probability)


def pool(n: int, seed: int, *, outer_share: float, inner_share: float) -> Pool:
    found, losses = [], []
    for one in scenes(n, seed):
        scores = scan_scores(
            one.prediction,
            one.reference,
            SPACING,
            outer_share=outer_share,
            inner_share=inner_share,
            probability=one.probability,
        )
        found.append(
            (
                scores.outer_distance,
                scores.inner_distance,
                scores.outer_probability,
                scores.inner_probability,
            )
        )
        distance = signed_distance(one.prediction, SPACING)
        losses.append(missed_shares(distance, one.reference, RADII))
    columns = np.asarray(found, dtype=np.float64).T
    return Pool(columns[0], columns[1], columns[2], columns[3], np.asarray(losses))
