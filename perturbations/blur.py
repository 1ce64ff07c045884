"""Blur: what optics and motion during the exposure take away.

**Conventions.** Lengths are in mm, the same along every axis whatever the spacing; in pixels for display
modalities. Beyond the border the nearest voxel counts. A sampled kernel has the variance of the kernel
that it stands for, exactly: a grid resolves nothing finer of a narrow one, and variances add along a
chain of blurs whatever their shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from perturbations.averages import averaged, averaged_in_plane, within_support
from perturbations.operators import AxisOperator, along
from perturbations.scan import Scan

__all__ = [
    "FWHM_OF_SIGMA",
    "defocus",
    "disk",
    "gaussian_blur",
    "gaussian_operators",
    "kernel",
    "line",
    "motion_blur",
    "smoothed",
    "smoothed_by",
    "within_support",
]

FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""2.3548.."""

_REACH = 5.0
"""A kernel ends after so many sigma."""

_STEPS = 64
"""Points per voxel at which lines and disks are integrated."""


def gaussian_blur(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
) -> Callable[[float], tuple[Tensor, None]]:
    """Convolve with a Gaussian of a given full width at half maximum (FWHM) in mm (px).

    FWHM = 2 sqrt(2 ln 2) sigma.
    """
    lengths = scan.spacing if scan.modality_class == "body" else (1.0,) * scan.ndim

    def at(level: float) -> tuple[Tensor, None]:
        sigma = [level / FWHM_OF_SIGMA / s for s in lengths]
        return averaged(scan, gaussian_operators(scan.spatial_shape, sigma)), None

    return at


def motion_blur(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, None]]:
    """Smear along a line of a given length in mm (px), within the plane.

    What moves at constant speed during an exposure. The direction is drawn once, uniformly among all
    directions of the plane across the slice axis.
    """
    angle = float(generator.uniform(0.0, math.pi))
    steps = _plane_steps(scan)

    def at(level: float) -> tuple[Tensor, None]:
        return averaged_in_plane(scan, line(level, angle, steps)), None

    return at


def defocus(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
) -> Callable[[float], tuple[Tensor, None]]:
    """Spread every point over a disk of a given diameter in mm (px), within the plane.

    The circle of confusion of a lens out of focus, by geometrical optics.
    """
    steps = _plane_steps(scan)

    def at(level: float) -> tuple[Tensor, None]:
        return averaged_in_plane(scan, disk(level, steps)), None

    return at


def smoothed(image: Tensor, sigma: Sequence[float]) -> Tensor:
    """Smooth each channel with a Gaussian.

    Parameters
    ----------
    image : (channel, z, y, x) or (channel, y, x), float32
    sigma : list of float
        In voxels, along each spatial axis. Beyond the border the nearest voxel counts.
    """
    values = image.cpu().contiguous()
    return smoothed_by(values, gaussian_operators(tuple(image.shape[1:]), sigma))


def smoothed_by(values: Tensor, operators: Sequence[AxisOperator | None]) -> Tensor:
    """Apply an operator along each spatial axis of (channel, z, y, x) or (channel, y, x)."""
    result: Tensor | None = None
    for axis, operator in enumerate(operators, start=1):
        if operator is not None:
            result = along(values if result is None else result, axis, operator, out=result)
    return values.clone() if result is None else result


def gaussian_operators(shape: tuple[int, ...], sigma: Sequence[float]) -> list[AxisOperator | None]:
    """Operators of a Gaussian along each axis of a shape, sigma in voxels; None where it is 0."""
    return [
        _convolution(size, kernel(width)) if width > 0 and size > 1 else None
        for size, width in zip(shape, sigma, strict=True)
    ]


def _convolution(size: int, weights: NDArray[np.float64]) -> AxisOperator:
    """Operator of a kernel on an axis; weights beyond the border fall to the outermost voxel."""
    reach = len(weights) // 2

    def rows(start: int, stop: int) -> NDArray[np.float64]:
        row = np.arange(stop - start)[:, None]
        column = np.clip(row + start + np.arange(-reach, reach + 1), 0, size - 1)
        part = np.zeros((stop - start, size))
        np.add.at(part, (np.broadcast_to(row, column.shape), column), weights)
        return part

    return AxisOperator.from_rows(size, rows)


@lru_cache(maxsize=256)
def kernel(sigma: float) -> NDArray[np.float64]:
    """Return a sampled Gaussian whose variance on the grid is exactly sigma^2 voxels.

    From about one voxel on these are the plain samples. A narrower Gaussian falls between the voxels,
    so that its samples would blur less than stated (1.5 mm along slices of 3 mm: not at all); there
    the sampled width is raised until the variance is right.
    """
    reach = max(1, int(_REACH * sigma + 0.5))
    place = np.arange(-reach, reach + 1, dtype=np.float64)

    def sampled(width: float) -> NDArray[np.float64]:
        weights = np.exp(-0.5 * (place / width) ** 2)
        return np.asarray(weights / weights.sum())

    low, high = 0.5 * sigma, sigma + 0.5
    for _ in range(60):
        middle = (low + high) / 2
        if float((sampled(middle) * place**2).sum()) < sigma * sigma:
            low = middle
        else:
            high = middle
    return sampled(high)


@lru_cache(maxsize=64)
def line(length: float, angle: float, steps: tuple[float, float]) -> NDArray[np.float64]:
    """Return a line through the centre of a plane, whose mean square distance to it is length^2 / 12.

    Every point of the line is shared linearly among its four voxels, which blurs by itself; the line that
    is drawn is so much shorter.

    Parameters
    ----------
    length : float
        In mm (px), > 0.
    angle : float
        From the second axis of the plane towards the first, in radians.
    steps : (2,)
        Distance of the voxels along the two axes, in mm (px).

    Returns
    -------
    (2 r + 1, 2 q + 1), float64
        Sums to 1, symmetric about its centre.
    """
    direction = np.array([math.sin(angle), math.cos(angle)])
    reach = [math.ceil(length / 2 * abs(d) / s) + 1 for d, s in zip(direction, steps, strict=True)]
    shape = tuple(2 * r + 1 for r in reach)
    count = 2 * _STEPS * max(reach)
    share = (np.arange(count) + 0.5) / count - 0.5

    def drawn(drawn_length: float) -> NDArray[np.float64]:
        weights = np.zeros(shape)
        place = [
            share * drawn_length * d / s + r
            for d, s, r in zip(direction, steps, reach, strict=True)
        ]
        corner = [np.floor(p).astype(int) for p in place]
        part = [p - c for p, c in zip(place, corner, strict=True)]
        for down in (0, 1):
            for right in (0, 1):
                weight = np.abs(1 - down - part[0]) * np.abs(1 - right - part[1])
                np.add.at(weights, (corner[0] + down, corner[1] + right), weight / count)
        return (weights + weights[::-1, ::-1]) / 2

    return _of_variance(drawn, _squared_distance(reach, steps), length**2 / 12, length)


@lru_cache(maxsize=64)
def disk(diameter: float, steps: tuple[float, float]) -> NDArray[np.float64]:
    """Return a disk, voxels at its rim weighted by the area they share with it.

    Its variance is exactly diameter^2 / 16 along each axis (in the mean of both where the voxels are no
    squares); sharing by area blurs as well, so that the disk that is drawn is smaller.

    Parameters
    ----------
    diameter : float
        In mm (px), > 0.
    steps : (2,)
        Distance of the voxels along the two axes, in mm (px).

    Returns
    -------
    (2 r + 1, 2 q + 1), float64
        Sums to 1, symmetric.
    """
    reach = [math.ceil(diameter / 2 / s) + 1 for s in steps]
    place = [np.arange(-r, r + 1.0) for r in reach]
    fine = (np.arange((2 * reach[0] + 1) * _STEPS) + 0.5) / _STEPS - reach[0] - 0.5

    def drawn(drawn_diameter: float) -> NDArray[np.float64]:
        # chords of the disk on fine rows, in voxels of the second axis, cut at the borders of the voxels
        half = (
            np.sqrt(np.clip(drawn_diameter**2 / 4 - (fine * steps[0]) ** 2, 0.0, None)) / steps[1]
        )
        right = np.minimum(place[1] + 0.5, half[:, None])
        left = np.maximum(place[1] - 0.5, -half[:, None])
        area = np.clip(right - left, 0.0, None)
        weights = area.reshape(len(place[0]), _STEPS, -1).sum(axis=1)
        weights[reach[0], reach[1]] += 1e-12  # a disk between two fine rows lies in the centre
        return np.asarray(weights / weights.sum())

    squared = _squared_distance(reach, steps)
    return _of_variance(drawn, squared, diameter**2 / 8, diameter + 2 * max(steps))


def _squared_distance(reach: list[int], steps: tuple[float, float]) -> NDArray[np.float64]:
    """Squared distance to the centre of a kernel, in mm^2 (px^2)."""
    down, right = (np.arange(-r, r + 1.0) * s for r, s in zip(reach, steps, strict=True))
    return np.asarray(down[:, None] ** 2 + right[None] ** 2)


def _of_variance(
    drawn: Callable[[float], NDArray[np.float64]],
    squared: NDArray[np.float64],
    variance: float,
    largest: float,
) -> NDArray[np.float64]:
    """Find the size whose kernel has a variance (the mean of `squared`), by bisection."""
    low, high = 0.0, largest
    for _ in range(50):
        middle = (low + high) / 2
        if middle > 0 and float((drawn(middle) * squared).sum()) >= variance:
            high = middle
        else:
            low = middle
    return drawn(high)


def _plane_steps(scan: Scan) -> tuple[float, float]:
    """Distance of the voxels along the two axes of a plane, in the unit of the level."""
    if scan.modality_class == "display":
        return 1.0, 1.0
    rows, columns = (
        step for axis, step in enumerate(scan.spacing) if scan.ndim == 2 or axis != scan.slice_axis
    )
    return rows, columns
