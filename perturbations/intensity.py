"""Intensity: what coils, calibration and display do to values.

**Conventions.** `bias_field`: level u in % intensity non-uniformity (INU); the field's largest over
smallest value over the foreground is (1 + u/200) / (1 - u/200). `gamma`: the level is the exponent on
the robust range [q01, q99]. Powers and exponentials are taken by numpy on one thread, because
vectorised ones differ in the last bit with the way they are cut into pieces.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from numpy.polynomial import legendre
from numpy.typing import NDArray
from torch import Tensor

from perturbations.scan import Scan

__all__ = ["bias_field", "gamma", "polynomials"]

_ORDER = 3


def bias_field(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, None]]:
    """Multiply by exp of a smooth log-polynomial (Van Leemput et al. 1999).

    The log-field is centred over the foreground and scaled so that its span there is exactly the
    logarithm of the level's ratio. Beyond the foreground, where a cubic would soon multiply by
    thousands, it stays within the values it takes there.
    """
    foreground = scan.foreground.numpy()
    terms = polynomials(scan.spatial_shape)
    fields = []
    for _ in range(scan.image.shape[0]):
        weights = generator.standard_normal(len(terms))
        field = sum(w * term for w, term in zip(weights, terms, strict=True))
        field = np.asarray(np.broadcast_to(field, scan.spatial_shape), dtype=np.float64)
        inside = field[foreground]
        low, high = float(inside.min()), float(inside.max())
        centred = np.clip(field, low, high) - inside.mean()
        fields.append(centred / (high - low) if high > low else np.zeros_like(field))
    unit = np.stack(fields)

    def at(level: float) -> tuple[Tensor, None]:
        ratio = math.log((1 + level / 200) / (1 - level / 200))
        gain = np.exp(unit * ratio).astype(np.float32)
        return torch.from_numpy(scan.image.numpy() * gain), None

    return at


def gamma(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
) -> Callable[[float], tuple[Tensor, None]]:
    """Power law on the robust range: y = q01 + (q99 - q01) z^g, unchanged beyond the range."""
    image = scan.image.numpy()
    inside = scan.support.numpy() if scan.masked_background else None
    limits = []
    for channel in image:
        values = channel if inside is None else channel[inside]
        low, high = np.quantile(values, [0.01, 0.99]) if values.size else (0.0, 0.0)
        limits.append((float(low), float(high)))

    def at(level: float) -> tuple[Tensor, None]:
        result = image.copy()
        for channel, (low, high) in zip(result, limits, strict=True):
            if high <= low:
                continue
            z = (channel - low) / (high - low)
            between = (z > 0) & (z < 1)
            curved = low + (high - low) * np.power(z[between].astype(np.float64), level)
            channel[between] = curved.astype(np.float32)
        if inside is not None:
            result[:, ~inside] = image[:, ~inside]
        return torch.from_numpy(result), None

    return at


def polynomials(shape: tuple[int, ...], order: int = _ORDER) -> list[NDArray[np.float64]]:
    """Legendre products up to a total degree, without the constant, broadcastable to `shape`."""
    axes = []
    for axis, size in enumerate(shape):
        grid = np.linspace(-1.0, 1.0, size) if size > 1 else np.zeros(1)
        column = [1] * len(shape)
        column[axis] = size
        axes.append([legendre.Legendre.basis(k)(grid).reshape(column) for k in range(order + 1)])
    terms = []
    for degrees in product(range(order + 1), repeat=len(shape)):
        if 0 < sum(degrees) <= order:
            # without the factors that are 1 most terms are lines and planes, not volumes
            factors = [axes[axis][k] for axis, k in enumerate(degrees) if k > 0]
            terms.append(np.asarray(math.prod(factors[1:], start=factors[0])))
    return terms
