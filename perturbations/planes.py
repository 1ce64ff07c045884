"""The planes of a scan in which it is finest, and a sample of them to estimate from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perturbations.scan import Scan

__all__ = ["PLANES", "finest", "sampled"]

PLANES = 48
"""Of so many planes at most an estimate is made; more would change it less than its own spread."""


def finest(spacing: tuple[float, ...]) -> tuple[int, int]:
    """Return the two spatial axes of the smallest spacing, in rising order; the last of equals.

    Examples
    --------
    >>> finest((3.0, 1.0, 1.0)), finest((1.0, 4.0, 1.0)), finest((1.0, 1.0, 1.0))
    ((1, 2), (0, 2), (1, 2))
    """
    order = sorted(range(len(spacing)), key=lambda axis: (spacing[axis], -axis))
    first, second = sorted(order[:2])
    return first, second


def sampled(scan: Scan, planes: int = PLANES) -> Scan:
    """Return the first channel with evenly spaced planes of the two finest axes, `planes` at most.

    The outermost planes stay, so that what touches the border of the scan still does.
    """
    image = scan.image[:1].cpu()
    rest = [axis for axis in range(scan.ndim) if axis not in finest(scan.spacing)]
    if not rest or scan.spatial_shape[rest[0]] <= planes:
        return replace(scan, image=image, region=None)
    count = scan.spatial_shape[rest[0]]
    chosen = np.unique(np.linspace(0, count - 1, planes).round().astype(int))
    cut: list[slice | np.ndarray[tuple[int], np.dtype[np.int64]]] = [slice(None)] * (scan.ndim + 1)
    cut[rest[0] + 1] = chosen
    return replace(scan, image=image[tuple(cut)].contiguous(), region=None)
