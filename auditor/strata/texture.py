"""How much the texture inside an object differs from the texture outside it.

**Conventions.** Images are tensors (z, y, x) or (y, x), or (channel, ...) with one axis more than
the mask, of which the first channel counts. Masks are bool, on the grid of the clean scan. Textures
are read in slices of the first spatial axis as it is stored, with distances in pixels: neither
measure knows the spacing, so values of scans with other pixel sizes do not compare.

A pixel's *code* is its uniform local binary pattern of 24 neighbours at a radius of 3 pixels
(Ojala, Pietikäinen, Mäenpää, IEEE TPAMI 24(7):971-987, 2002): 0 to 24, the number of neighbours
that are not darker, where these lie side by side, and 25 for every other pattern.

Two measures of how the codes inside differ from those outside:

- `texture_disparity_compat` is the published one (Kamath et al., "Do we really need that
  skip-connection?", MICCAI 2023): asymmetric, unsmoothed, over the codes that both regions hold. It
  keeps a published value comparable, and has the flaws of the published definition: it may be
  negative, grows without a bound, for small objects mostly measures how few pixels they have, and
  counts the patterns at the slice's border, which reach out of the image, as texture outside.
- `texture_disparity` is symmetric, smoothed, in [0, 1], and stands beside its *floor*: the value
  that the same shapes have where they do not belong.

Values depend on the texture more than on the difficulty: thresholds of one data set do not hold on
another.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.metrics.reference import check_mask
from auditor.schema import Status

__all__ = [
    "CODES",
    "TextureDisparity",
    "js_bits",
    "kl_bits_of_shared",
    "texture_codes",
    "texture_disparity",
    "texture_disparity_compat",
]

CODES = 26
"""Of a uniform pattern of 24 neighbours: 0 to 24, and one for all patterns that are not uniform."""

MOST_SLICES = 16
"""That `texture_disparity` reads, so that a long scan costs no more than a short one."""

DRAWS = 20
"""Of the floor: a value above all of 20 has a chance of 1 in 21 where the texture does not differ."""

_NEIGHBOURS = 24
_RADIUS = 3
_SIDE = 256
"""Rows and columns to which the published measure resizes every slice."""
_PROPORTION = 0.95

_NO_OBJECT = "the mask has no voxel, so that there is no texture inside"
_NO_OUTSIDE = "the mask fills every slice that it touches, so that there is no texture outside"

Codes = NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TextureDisparity:
    """Disparity of one object's texture from its surroundings."""

    value: float | None
    """Bits: in [0, 1] for the smoothed measure, any for the published one; None: see `status`."""
    slices: int
    """How many were read."""
    slices_with_object: int
    """How many hold a voxel of the object."""
    status: Status
    """ok, reference_empty, not_finite, or not_applicable."""
    reason: str = ""
    """One sentence: why there is no value, or what weakens it."""
    floor: float | None = None
    """Mean over the draws; None for the published measure, which has none, or without a value."""
    floor_high: float | None = None
    """The draws' upper 95 % limit: their ceil(0.95 (draws + 1))-th smallest."""
    draws: int = 0
    """Of the floor."""

    @property
    def above_floor(self) -> float | None:
        """Value minus floor; about 0, and sometimes below it, where the texture does not differ."""
        return None if self.value is None or self.floor is None else self.value - self.floor

    @property
    def distinguishable(self) -> bool | None:
        """Whether the value exceeds `floor_high`; None without a value or a floor."""
        if self.value is None or self.floor_high is None:
            return None
        return self.value > self.floor_high


def texture_disparity_compat(
    image: torch.Tensor, mask: torch.Tensor, *, most_slices: int | None = None
) -> TextureDisparity:
    """Compute the texture disparity exactly as it was published.

    Parameters
    ----------
    image : (z, y, x) or (y, x), or with channels before them, of which the first counts
    mask : bool, (z, y, x) or (y, x)
    most_slices : of those that hold the object, see `texture_disparity`; None: all of them

    Returns
    -------
    KL(inside || outside) in bits; 3-D: its mean over the slices that hold object and background,
    which the publication, on pictures, does not have.

    Raises
    ------
    TypeError, ValueError
        When the mask is not bool, or image and mask do not fit.

    Notes
    -----
    Each slice is resized to 256 x 256 by scikit-image as the published code calls it: the image with
    ``anti_aliasing=True``, the mask as a map of numbers with ``anti_aliasing=False``. For numbers
    that means first order (bilinear) with reflection, so that every resized pixel to which an object
    pixel contributes counts as object; a slice of 256 x 256 stays as it is. The disparity is
    sum p log2(p / q) over the codes that are in both histograms, p inside and q outside, without
    normalising them again. A slice whose regions share no code has no value; the sum over nothing
    would be 0, the value of equal textures.
    """
    pixels = _first_channel(image, mask)
    if refused := _refused(pixels, mask):
        return refused
    holding = _slices_holding(mask)
    chosen = _spread(holding, mask, most_slices)
    values = [
        value
        for index in chosen
        if (value := _published(pixels[index], _slices(mask)[index])) is not None
    ]
    if not values:
        reason = _NO_OUTSIDE if _fills(mask, chosen) else "no slice has a code in both regions"
        return TextureDisparity(None, 0, len(holding), Status.NOT_APPLICABLE, reason)
    left_out = len(chosen) - len(values)
    note = (
        f"{left_out} of {len(chosen)} slices have no outside or no shared code" if left_out else ""
    )
    return TextureDisparity(
        math.fsum(values) / len(values), len(values), len(holding), Status.OK, note
    )


def texture_disparity(
    image: torch.Tensor,
    mask: torch.Tensor,
    *,
    most_slices: int = MOST_SLICES,
    draws: int = DRAWS,
    seed: int | None = None,
) -> TextureDisparity:
    """Compute the symmetric, smoothed texture disparity with its floor.

    Parameters
    ----------
    image : (z, y, x) or (y, x), or with channels before them, of which the first counts
    mask : bool, (z, y, x) or (y, x)
    most_slices : the slices that hold the object are parted, in order, into so many runs of equal
        length, and of each run the slice with most of the object is read
    draws : of the floor, at least 19
    seed : of the draws; None: from the codes and the mask, so that equal data have equal floors

    Returns
    -------
    Jensen-Shannon divergence in bits, in [0, 1], of the codes inside and outside.

    Raises
    ------
    TypeError, ValueError
        When the mask is not bool, image and mask do not fit, or a number is out of range.

    Notes
    -----
    *Resolution.* Slices keep their own pixels: resizing would invent or remove texture.

    *Outside* is the band around the object that holds as many pixels as the object, and is at least
    6 pixels wide, the width of a pattern. The whole slice would mostly tell the body from the
    air around it, which says nothing of a border that must be found.

    *Pooling.* The codes of all slices are counted together, a half is added to each of the 26 counts
    of both regions (Jeffreys' prior), and one divergence is computed: a mean over slices would add
    the bias of many small samples. Object and band have about the same share of every slice, so
    that no slice's texture counts for one region alone.

    *Floor.* Codes of neighbouring pixels depend on each other, so that shuffled pixels would give
    far too low a floor. Object and band are moved together instead, as they are, around the slice
    (what leaves on one side comes back on the other), by the same random step in all slices, a
    quarter of the slice or more along at least one axis. Where an organ has its own place in the
    body, the floor holds the anatomy that the moved shape meets; large objects meet themselves, so
    that their floor is too high rather than too low.

    Pixels within 3 of the slice's border are left out: their neighbours lie outside the image.
    """
    if draws < 19 or most_slices < 1:
        msg = f"draws must be at least 19 and most_slices at least 1, got {draws} and {most_slices}"
        raise ValueError(msg)
    pixels = _first_channel(image, mask)
    if refused := _refused(pixels, mask):
        return refused
    holding = _slices_holding(mask)
    kept = _slices(mask)[:, _RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
    usable = [index for index in holding if kept[index].any() and not kept[index].all()]
    if not usable:
        reason = (
            _NO_OUTSIDE
            if _fills(mask, holding)
            else (
                f"no pixel of the object, or none beside it, is {_RADIUS} pixels away from the border"
            )
        )
        return TextureDisparity(None, 0, len(holding), Status.NOT_APPLICABLE, reason)
    chosen = _spread(usable, torch.from_numpy(kept), most_slices)
    inside = kept[chosen]
    outside = np.stack([_band(one) for one in inside])
    codes = np.stack(
        [texture_codes(pixels[index])[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS] for index in chosen]
    )
    value = _divergence(codes, inside, outside)
    generator = np.random.default_rng(_seed_of(codes, inside) if seed is None else seed)
    floors = sorted(
        _divergence(np.roll(codes, step, axis=(1, 2)), inside, outside)
        for step in _steps(generator, draws, (codes.shape[1], codes.shape[2]))
    )
    high = floors[min(math.ceil(_PROPORTION * (draws + 1)), draws) - 1]
    reason = (
        ""
        if value > high
        else (f"not distinguishable from the floor: moved shapes reach {high:.3g} bits")
    )
    return TextureDisparity(
        value,
        len(chosen),
        len(holding),
        Status.OK,
        reason,
        floor=math.fsum(floors) / draws,
        floor_high=high,
        draws=draws,
    )


def texture_codes(pixels: NDArray[np.float64]) -> Codes:
    """Give every pixel of a picture its uniform local binary pattern, 0 to 25.

    Parameters
    ----------
    pixels : (y, x), finite

    Returns
    -------
    (y, x): `skimage.feature.local_binary_pattern` with P = 24, R = 3 and method ``uniform``. Near the
    border, neighbours outside the picture count as 0, as there.
    """
    from skimage.feature import local_binary_pattern

    with warnings.catch_warnings():
        # warns of every picture of floating-point numbers, which the published code hands over too
        warnings.simplefilter("ignore", UserWarning)
        found = local_binary_pattern(  # type: ignore[no-untyped-call]  # scikit-image has no types
            pixels, P=_NEIGHBOURS, R=_RADIUS, method="uniform"
        )
    codes: Codes = found.astype(np.intp)
    return codes


def kl_bits_of_shared(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float | None:
    """Sum p log2(p / q) over the bins that are in both histograms, as published.

    Parameters
    ----------
    inside, outside : shares p and q of each code; each sums to 1

    Returns
    -------
    Bits, any sign; None when no bin is in both.

    Examples
    --------
    >>> kl_bits_of_shared(
    ...     np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.75, 0.0])
    ... )  # .5 - .25 log2 3
    0.10375...
    """
    shared = (inside > 0.0) & (outside > 0.0)
    if not shared.any():
        return None
    p, q = inside[shared], outside[shared]
    return float(np.sum(p * np.log2(p / q)))


def js_bits(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Compute the Jensen-Shannon divergence of two histograms.

    Parameters
    ----------
    one, other : shares, each sums to 1; zeros are allowed

    Returns
    -------
    Bits, in [0, 1]; it does not change when the two are exchanged.

    Examples
    --------
    >>> js_bits(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    1.0
    """
    middle = (one + other) / 2.0
    total = 0.0
    for p in (one, other):
        held = p > 0.0
        total += float(np.sum(p[held] * np.log2(p[held] / middle[held]))) / 2.0
    return min(max(total, 0.0), 1.0)  # rounding only


def _first_channel(image: torch.Tensor, mask: torch.Tensor) -> NDArray[np.float64]:
    """Check both, and return the slices of the channel that counts: (slice, y, x)."""
    check_mask("mask", mask)
    spatial = tuple(image.shape[1:] if image.ndim == mask.ndim + 1 else image.shape)
    if spatial != tuple(mask.shape) or image.numel() == 0:
        msg = (
            f"image must have the shape of the mask {tuple(mask.shape)}, or channels before it, "
            f"got {tuple(image.shape)}"
        )
        raise ValueError(msg)
    channel = image[0] if image.ndim == mask.ndim + 1 else image
    pixels: NDArray[np.float64] = channel.detach().cpu().double().numpy()
    return pixels if pixels.ndim == 3 else pixels[None]


def _refused(pixels: NDArray[np.float64], mask: torch.Tensor) -> TextureDisparity | None:
    """Say why there can be no value, before anything is computed."""
    holding = _slices_holding(mask)
    if not holding:
        return TextureDisparity(None, 0, 0, Status.REFERENCE_EMPTY, _NO_OBJECT)
    bad = int(np.count_nonzero(~np.isfinite(pixels)))
    if bad:
        reason = f"the image holds {bad} values that are not finite"
        return TextureDisparity(None, 0, len(holding), Status.NOT_FINITE, reason)
    return None


def _slices(mask: torch.Tensor) -> Bools:
    array: Bools = mask.detach().cpu().numpy()
    return array if array.ndim == 3 else array[None]


def _slices_holding(mask: torch.Tensor) -> list[int]:
    return [int(index) for index in np.flatnonzero(_slices(mask).any(axis=(1, 2)))]


def _fills(mask: torch.Tensor, chosen: Sequence[int]) -> bool:
    return bool(_slices(mask)[list(chosen)].all())


def _spread(holding: Sequence[int], mask: torch.Tensor, most: int | None) -> list[int]:
    """Of runs of equal length, choose the slice with most of the object; the first of equal ones."""
    if most is None or len(holding) <= most:
        return list(holding)
    counts = np.count_nonzero(_slices(mask), axis=(1, 2))
    edges = [round(run * len(holding) / most) for run in range(most + 1)]
    return [
        max(holding[low:high], key=lambda index: int(counts[index]))
        for low, high in itertools.pairwise(edges)
    ]


def _published(pixels: NDArray[np.float64], mask: Bools) -> float | None:
    """Compute the published disparity of one slice; None when a region is empty or no code shared."""
    from skimage.transform import resize

    sides = (_SIDE, _SIDE)
    small = resize(pixels, sides, anti_aliasing=True)  # type: ignore[no-untyped-call]  # no types
    numbers = mask.astype(np.float64)
    label = resize(numbers, sides, anti_aliasing=False) > 0  # type: ignore[no-untyped-call]  # no types
    if label.all() or not label.any():
        return None
    codes = texture_codes(small)
    bins = int(codes.max() + 1)
    inside, outside = (
        np.histogram(codes[region], bins=bins, range=(0, bins), density=True)[0]
        for region in (label, ~label)
    )
    return kl_bits_of_shared(inside, outside)


def _band(mask: Bools) -> Bools:
    """Give the pixels around an object: as many as it has, and at least 6 pixels around it."""
    from scipy.ndimage import distance_transform_edt

    distance = distance_transform_edt(~mask)
    around = np.sort(distance[~mask])
    count = min(int(np.count_nonzero(mask)), around.size)
    width = max(float(around[count - 1]), 2.0 * _RADIUS)
    band: Bools = ~mask & (distance <= width)
    return band


def _divergence(codes: Codes, inside: Bools, outside: Bools) -> float:
    """Compute the divergence of the smoothed histograms, pooled over slices."""
    one, other = (
        (np.bincount(codes[region], minlength=CODES) + 0.5)
        / (np.count_nonzero(region) + CODES / 2.0)
        for region in (inside, outside)
    )
    return js_bits(one, other)


def _steps(
    generator: np.random.Generator, draws: int, sides: tuple[int, int]
) -> list[tuple[int, int]]:
    """Draw steps around the slice, a quarter of it or more along at least one axis."""
    found: list[tuple[int, int]] = []
    while len(found) < draws:
        step = (int(generator.integers(sides[0])), int(generator.integers(sides[1])))
        if any(4 * min(way, side - way) >= side for way, side in zip(step, sides, strict=True)):
            found.append(step)
    return found


def _seed_of(codes: Codes, inside: Bools) -> int:
    content = hashlib.sha256(codes.astype(np.uint8).tobytes() + inside.tobytes())
    return int.from_bytes(content.digest()[:8], "little")
