"""Estimate intensity non-uniformity: a smooth field in the logarithm of the foreground."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from perturbations.estimate_noise import FEW, MAD
from perturbations.intensity import polynomials
from perturbations.scan import Scan

__all__ = ["field_span"]

_SAMPLE = 20_000
"""Voxels that a field is fitted to."""

_SEEN = 200_000
"""Voxels over which its span is taken."""

_ROUNDS = 3
"""Fits that find outliers, before the one that counts."""


def field_span(scan: Scan) -> float | None:
    """Span of the fitted field over the foreground, in % INU; None with too few voxels above 0.

    Least squares fit of log-polynomials of order 3, the family that `bias_field` draws from, without
    the residuals beyond 2.5 robust deviations. Anatomy that is smooth on the scale of the head is
    taken for a field.
    """
    first = scan.image[0].cpu().numpy()
    places = np.flatnonzero(scan.foreground.numpy() & (first > 0))
    if places.size < FEW:
        return None
    terms = polynomials(scan.spatial_shape)
    chosen = places[:: max(1, places.size // _SAMPLE)]
    design = _design(terms, chosen, first.shape)
    target = np.log(first.ravel()[chosen].astype(np.float64))
    kept = np.ones(len(target), dtype=bool)
    for _ in range(_ROUNDS):
        weights = _fitted(design[kept], target[kept])
        residual = target - design @ weights
        residual -= np.median(residual)
        spread = float(np.median(np.abs(residual))) / MAD
        kept = np.abs(residual) <= 2.5 * spread if spread > 0 else np.ones_like(kept)
    weights = _fitted(design[kept], target[kept])
    seen = places[:: max(1, places.size // _SEEN)]
    field = _design(terms, seen, first.shape) @ weights
    ratio = math.exp(min(float(np.ptp(field)), 50.0))
    return 200.0 * (ratio - 1.0) / (ratio + 1.0)


def _fitted(design: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    weights, *_ = np.linalg.lstsq(design, target, rcond=None)
    return np.asarray(weights, dtype=np.float64)


def _design(
    terms: list[NDArray[np.float64]], places: NDArray[np.intp], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Values of the constant and of the terms, which may be broadcast, at some voxels."""
    where = np.unravel_index(places, shape)
    columns = [np.ones(len(places))]
    for term in terms:
        index = tuple(
            place if size > 1 else np.zeros_like(place)
            for place, size in zip(where, term.shape, strict=True)
        )
        columns.append(np.asarray(term[index]))
    return np.stack(columns, axis=1)
