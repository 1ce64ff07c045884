"""Raters whose borders differ by a known width: star-shaped objects around one centre.

A rater's border lies at radius + displacement, a smooth random function of the angle (eight harmonics,
the amplitude of the k-th falling as exp(-k / 4)) with a standard deviation in px, *whatever the radius*.
Areas and overlaps of such objects are integrals over the angle, so that thousands of patients cost
nothing; `drawn` draws the same objects on a grid.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ANGLES = np.linspace(-np.pi, np.pi, 128, endpoint=False)
_ORDERS = np.arange(1, 9)
_SIZES = np.exp(-_ORDERS / 4) / np.sqrt(np.exp(-_ORDERS / 2).sum())


def displaced(
    rng: np.random.Generator, radius: Floats, raters: int, *, noise: float, bias: float = 0.0
) -> Floats:
    """Borders of raters, (patients, raters, angles), px.

    Parameters
    ----------
    radius : (patients,), px
    noise : standard deviation of the displacement, px
    bias : outward, px
    """
    waves = [f(np.outer(_ORDERS, ANGLES)) for f in (np.cos, np.sin)]
    shape = (len(radius), raters, len(_ORDERS))
    shift = sum(rng.normal(size=shape) * _SIZES @ wave for wave in waves)
    return np.asarray(np.maximum(radius[:, None, None] + bias + noise * shift, 0.1))


def dsc(a: Floats, b: Floats) -> Floats:
    """DSC of star-shaped objects: areas are the integral of r^2 / 2 over the angle."""
    common = (np.minimum(a, b) ** 2).sum(axis=-1)
    return np.asarray(2 * common / ((a**2).sum(axis=-1) + (b**2).sum(axis=-1)))


def majority_border(borders: Floats) -> Floats:
    """Border of what more than half of the raters marked, (patients, angles)."""
    k = borders.shape[1]
    return np.asarray(np.sort(borders, axis=1)[:, k - (k // 2 + 1)])


def agreements(
    rng: np.random.Generator,
    patients: int,
    *,
    noise: float,
    system_noise: float,
    bias: float = 0.0,
    raters: int = 4,
) -> tuple[Floats, Floats]:
    """Mean DSC of a system with the raters, and of the raters with each other, for each patient."""
    radius = rng.uniform(4.0, 20.0, patients)
    borders = displaced(rng, radius, raters, noise=noise)
    system = displaced(rng, radius, 1, noise=system_noise, bias=bias)
    own = dsc(system, borders).mean(axis=1)
    first, second = np.triu_indices(raters, 1)
    return own, dsc(borders[:, first], borders[:, second]).mean(axis=1)


def drawn(borders: Floats, spacing: tuple[float, float], side: float) -> list[torch.Tensor]:
    """Draw the borders (raters, angles) of one patient, in mm, on a grid of a side in mm."""
    y, x = (
        (np.arange(round(side / step)) - (round(side / step) - 1) / 2) * step for step in spacing
    )
    angle = np.arctan2(y[:, None], x[None, :])
    distance = np.hypot(y[:, None], x[None, :])
    return [
        torch.from_numpy(distance <= np.interp(angle, ANGLES, border, period=2 * np.pi))
        for border in borders
    ]
