"""Whether probabilities mean what they say: Brier score and expected calibration error.

**Conventions.** Both are of one label against everything else, over all voxels of the image, or of
the region that is scored. Sums are in double precision and in a fixed order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from auditor.metrics.pair import MaskPair
    from auditor.schema import MetricSpec

__all__ = ["brier", "ece"]

_CHUNK = 1 << 20
"""Voxels that are looked at together: no copy of a whole image is made."""


def brier(pair: MaskPair, spec: MetricSpec) -> float | None:
    """Compute the mean of (p - r)²; None in a region without a voxel."""
    del spec
    total, count = 0.0, 0
    for probability, inside in _chunks(pair):
        total += float(np.square(probability - inside).sum())
        count += len(probability)
    return total / count if count else None


def ece(pair: MaskPair, spec: MetricSpec) -> float | None:
    """Compute sum_b (n_b / N) |mean p in b - share of the reference in b|; None without a voxel.

    Raises
    ------
    ValueError
        When the spec declares no number of bins.
    """
    if spec.bins is None:
        msg = f"metric {spec.name!r} needs bins, got None"
        raise ValueError(msg)
    said, held, count = np.zeros(spec.bins), np.zeros(spec.bins), 0
    for probability, inside in _chunks(pair):
        place = np.minimum((probability * spec.bins).astype(np.intp), spec.bins - 1)
        said += np.bincount(place, weights=probability, minlength=spec.bins)
        held += np.bincount(place[inside], minlength=spec.bins)
        count += len(probability)
    # n_b |said_b / n_b - held_b / n_b| is |said_b - held_b|
    return float(np.abs(said - held).sum()) / count if count else None


def _chunks(pair: MaskPair) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Go through the voxels that are scored: probability, and whether the reference holds them."""
    if pair.probability is None:
        msg = "probabilities are needed, got None"
        raise ValueError(msg)
    region = pair.reference.inside
    probability, mask = pair.probability.reshape(-1), pair.reference.mask.reshape(-1)
    scored = None if region is None else region.reshape(-1)
    for start in range(0, len(mask), _CHUNK):
        part = slice(start, start + _CHUNK)
        values, inside = probability[part].astype(np.float64), mask[part]
        yield (values, inside) if scored is None else (values[scored[part]], inside[scored[part]])
