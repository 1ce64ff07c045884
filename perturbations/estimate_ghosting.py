"""Estimate ghosting: how much of the object appears shifted in its own background."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from perturbations.estimate_noise import FEW, quieted
from perturbations.estimate_resolution import plane_sigma
from perturbations.planes import sampled
from perturbations.scan import Scan

__all__ = ["ghost_ratio"]

_Kind = TypeVar("_Kind", np.float64, np.bool_)

_NEAREST = 0.04
"""Ghosts nearer to their parent than this share of the field of view lie upon it."""

_CLEARANCE = 3
"""Voxels around the object that do not count as background: skin and chemical shift."""

_BRIGHT = (0.25, 0.4, 0.6)
"""Shares of the signal above which a voxel is part of the object, rising."""

_SEEN = 0.02
"""Share of the background's power that a ghost must explain to be seen."""

_SEEN_INSIDE = 0.15
"""The same share where what is darker than the object counts as background: a second organ like the first
one explains up to 0.09 of it on clean phantoms, ghosts of 25 % from 0.17 on."""

_PLANES = 12
"""Planes that are looked at."""

_CANDIDATES = 6
"""Shifts that are fitted exactly."""


def ghost_ratio(scan: Scan) -> float | str:
    """Amplitude of a ghost over that of its parent, or the reason why it cannot be told.

    In the background the power is g^2 (x(p + m)^2 + x(p - m)^2) plus that of the noise, with x the
    object: a line, whose slope is fitted for every shift m along every in-plane axis. The shift that
    explains most of the power counts; where none explains 2 % of it, no ghost is seen, which is 0.

    A ghost that falls upon the object is not seen. Strong ghosts look like parts of the object, so that
    what is one is tried at three thresholds. Above the lowest of them dark tissue counts as background, with
    organs in it that look like shifted copies of the brightest one: there a ghost must explain 15 %, and
    at the highest one is looked for only when nothing was seen below.
    """
    first = scan.image[0]
    if scan.modality != "mr" or float(first.min()) < 0:
        return "ghosts are looked for in magnitude images of MR"
    part = sampled(scan, _PLANES)
    if part.masked_background:
        return "the background was removed, or is empty"
    width = plane_sigma(scan) or 0.0
    steps = scan.spacing if scan.modality_class == "body" else (1.0,) * scan.ndim
    reach = [math.ceil(_CLEARANCE + 3.0 * width / step) for step in steps]
    axes = [a for a in range(scan.ndim) if scan.ndim == 2 or a != scan.slice_axis]
    image = part.image[0].numpy()
    found = [
        [it for axis in axes if (it := _along(image, inside, axis, reach, axes)) is not None]
        for inside in _objects(part)
    ]
    # much noise, or a strong ghost, leaves no background at the lowest threshold
    known = found[0] or found[1]
    seen = [it for it in known if it[0] >= _SEEN]
    seen += [it for it in found[1] if it[0] >= _SEEN_INSIDE]
    seen = seen or [it for it in found[2] if it[0] >= _SEEN_INSIDE]
    if seen:
        return max(seen)[1]
    return 0.0 if known else "too little background beside the object"


def _objects(scan: Scan) -> list[NDArray[np.bool_]]:
    """Find the largest bright part with what it encloses in its slices, at each threshold."""
    from scipy import ndimage

    values, inside = quieted(scan)
    signal = float(np.quantile(values[inside], 0.95)) if inside.any() else 0.0
    axis = scan.slice_axis if scan.ndim == 3 else None
    objects = []
    for share in _BRIGHT:
        bright = values >= share * signal
        parts, count = ndimage.label(bright)
        if count > 1:
            bright = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
        planes = bright[None] if axis is None else np.moveaxis(bright, axis, 0)
        filled = np.stack([ndimage.binary_fill_holes(plane) for plane in planes])
        objects.append(filled[0] if axis is None else np.moveaxis(filled, 0, axis))
    return objects


def _along(
    image: NDArray[np.float32],
    inside: NDArray[np.bool_],
    axis: int,
    reach: list[int],
    plane: list[int],
) -> tuple[float, float] | None:
    """Return (share of the power that is explained, amplitude) of the best shift along one axis."""
    from scipy import ndimage

    size = image.shape[axis]
    nearest = max(reach[axis] + 1, math.ceil(_NEAREST * size))
    if size < 2 * nearest + 2:
        return None
    around = inside
    for other in plane:
        around = ndimage.maximum_filter1d(around, 2 * reach[other] + 1, axis=other)
    power = np.moveaxis(image, axis, -1).astype(np.float64) ** 2
    hollow = ~np.moveaxis(around, axis, -1)
    parent = np.where(np.moveaxis(inside, axis, -1), power, 0.0)
    power, hollow, parent = _lines(power), _lines(hollow), _lines(parent)
    used = hollow.any(axis=1) & parent.any(axis=1)  # lines that hold an object and its background
    power, hollow, parent = power[used], hollow[used], parent[used]
    if int(hollow.sum()) < FEW:
        return None
    best: tuple[float, float] | None = None
    for shift in _likely(power, hollow, parent, nearest):
        forth, back = (
            np.roll(parent, shift, axis=-1)[hollow],
            np.roll(parent, -shift, axis=-1)[hollow],
        )
        fitted = _slope(forth + back, np.sqrt(forth * back), power[hollow])
        if fitted is not None and (best is None or fitted > best):
            best = fitted
    return best


def _lines(volume: NDArray[_Kind]) -> NDArray[_Kind]:
    return volume.reshape(-1, volume.shape[-1])


def _likely(
    power: NDArray[np.float64], hollow: NDArray[np.bool_], parent: NDArray[np.float64], nearest: int
) -> list[int]:
    """Shifts whose ghosts correlate most with the background, by Fourier transforms of the lines.

    Sums over the background of ghosts, of their squares (but for where two cross) and of their product
    with the power are correlations along the line.
    """
    size = power.shape[-1]

    def matched(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        spectrum = np.fft.rfft(one, axis=-1) * np.fft.rfft(other, axis=-1).conj()
        forth = np.fft.irfft(spectrum.sum(axis=0), n=size)
        return np.asarray(forth + np.roll(forth[::-1], 1))

    count = float(hollow.sum())
    where = hollow.astype(np.float64)
    mean = matched(where, parent) / count
    square = matched(where, parent**2) / count - mean**2
    product = matched(where * power, parent) / count - mean * float(power[hollow].mean())
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(square > 0, product / np.sqrt(np.maximum(square, 0)), 0.0)
    shifts = np.arange(nearest, size // 2 + 1)
    return [int(s) for s in shifts[np.argsort(-score[shifts], kind="stable")[:_CANDIDATES]]]


def _slope(
    ghosts: NDArray[np.float64], crossing: NDArray[np.float64], power: NDArray[np.float64]
) -> tuple[float, float] | None:
    """Fit power = noise + slope ghosts + c crossing; the explained share and the root of the slope.

    Where the two ghosts cross they add with their phases: c = 2 slope cos(2 phi).
    """
    centred = power - power.mean()
    total = float((centred**2).sum())
    terms = np.stack([ghosts - ghosts.mean(), crossing - crossing.mean()], axis=1)
    gram, product = terms.T @ terms, terms.T @ centred
    if total <= 0 or gram[0, 0] <= 0:
        return None
    if gram[1, 1] > 1e-6 * gram[0, 0]:
        slope, cross = np.linalg.lstsq(gram, product, rcond=1e-9)[0]
        # phases only go so far
        cross = float(np.clip(cross, -2.0 * max(slope, 0.0), 2.0 * max(slope, 0.0)))
    else:
        slope, cross = product[0] / gram[0, 0], 0.0
    if slope <= 0:
        return 0.0, 0.0
    weights = np.array([slope, cross])
    explained = float(2.0 * weights @ product - weights @ gram @ weights) / total
    return explained, math.sqrt(float(slope))
