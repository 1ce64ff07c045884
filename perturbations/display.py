"""Display: what is lost when scans are stored as pictures.

**Conventions.** Both act on the range of values that is shown: the robust range [q01, q99] of each channel,
or a declared window. What a value has beyond that range it keeps, so that grey levels are lost and
nothing else. A masked background is left as it is.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.chunks import CHUNK, elementwise, empty, spread
from perturbations.pictures import sliced, windows
from perturbations.quantiles import length
from perturbations.scan import Scan

__all__ = ["even_step", "jpeg", "quantisation"]

_SIDE = 65500
"""Largest side of a JPEG picture, in pixels (libjpeg)."""

_SAMPLE = 1 << 14
_ROUNDS = 8
"""Times that a value off the grid may correct a sample's guess of its step."""


def quantisation(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
) -> Callable[[float], tuple[Tensor, None]]:
    """Round to 2^b evenly spaced values from q01 to q99, and to the same steps beyond, b the level.

    A channel whose values are already evenly spaced, by at least that step, stays as it is: 8 bits of
    an 8-bit picture are no change.
    """
    image = scan.image.contiguous()
    measured = scan.support if scan.masked_background or scan.cut_out else None
    ranges = scan.robust_ranges
    steps = [even_step(channel if measured is None else channel[measured]) for channel in image]

    def at(level: float) -> tuple[Tensor, None]:
        result = empty(image.shape)
        for out, clean, (low, high), own in zip(result, image, ranges, steps, strict=True):
            step = length(low, high) / (2 ** int(level) - 1)
            if step <= own * (1 + 1e-6):
                out.copy_(clean)
            elif measured is None:
                elementwise(_rounded(low, step), out, clean)
            else:
                elementwise(_rounded(low, step), out, clean, measured)
        return result, None

    return at


def jpeg(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
    *,
    window: Sequence[float] | None = None,
) -> Callable[[float], tuple[Tensor, None]]:
    """Store every slice as a grey JPEG picture of 8 bits, and read it again; the level is the quality.

    Parameters
    ----------
    scan : Scan
        Cut along the axis of its largest spacing; each channel is a picture of its own.
    generator : numpy.random.Generator
        Nothing is random.
    window : two numbers, optional
        Display values of black and white, in the scan's units; the robust range of each channel when
        left out.

    Raises
    ------
    ValueError
        When the window is none, or a side is longer than JPEG can store.
    """
    image = scan.image.contiguous()
    ranges = windows(scan, "jpeg", window)
    measured = scan.support if scan.masked_background or scan.cut_out else None
    clean, kept = sliced(image, scan), None
    if measured is not None:
        kept = sliced(measured[None], scan)[0].numpy()
    if max(clean.shape[2:]) > _SIDE:
        msg = (
            f"jpeg stores sides of at most {_SIDE} pixels, got slices of {tuple(clean.shape[2:])}; "
            "cut them into tiles"
        )
        raise ValueError(msg)
    pictures = np.empty(tuple(clean.shape), dtype=np.uint8)
    count = clean.shape[1]

    def expose(start: int, stop: int) -> None:
        for which in range(start, stop):
            channel, piece = divmod(which, count)
            pictures[channel, piece] = _exposed(clean[channel, piece].numpy(), *ranges[channel])

    spread(expose, len(image) * count, 1)

    def at(level: float) -> tuple[Tensor, None]:
        result = empty(image.shape)
        target = sliced(result, scan)

        def store(start: int, stop: int) -> None:
            for which in range(start, stop):
                channel, piece = divmod(which, count)
                values, out = clean[channel, piece].numpy(), target[channel, piece].numpy()
                low, high = ranges[channel]
                if not low < high:
                    out[:] = values
                    continue
                grey = _stored(pictures[channel, piece], int(level))
                seen = grey * ((high - low) / 255) + low
                seen += values - np.clip(values, low, high, dtype=np.float64)
                with np.errstate(over="ignore"):  # what is infinite is refused in words
                    out[:] = seen if kept is None else np.where(kept[piece], seen, values)

        spread(store, len(image) * count, 1)
        return result, None

    return at


def even_step(values: Tensor) -> float:
    """Distance of the evenly spaced values that all values lie on.

    Parameters
    ----------
    values : float32, any shape

    Returns
    -------
    float
        1 for whole numbers, 1/255 for a picture of 8 bits scaled to [0, 1]; infinite for a single value,
        and 0 when there is no such grid of up to 2^16 values.

    Examples
    --------
    >>> even_step(torch.tensor([3.0, 9.0, 5.0, 1.0]))
    2.0
    >>> even_step(torch.tensor([0.0, 1.0, 3.14159, 100.0]))
    0.0
    """
    flat = values.reshape(-1)
    if flat.numel() == 0:
        return math.inf
    low, high = (float(extreme) for extreme in torch.aminmax(flat))
    if low == high:
        return math.inf
    # what float32 may round away; a grid must be coarser than that by far
    slack = 32 * max(abs(low), abs(high)) * 2.0**-23
    known = np.append(flat[:: max(1, flat.numel() // _SAMPLE) | 1].numpy(), [low, high])
    for _ in range(_ROUNDS):
        step = _common_step(np.diff(np.unique(known.astype(np.float64))), slack)
        if step < max(4 * slack, (high - low) / (1 << 16)):
            return 0.0
        step = (high - low) / round((high - low) / step)
        strays = _strays(flat, low, step, slack)
        if strays.size == 0:
            return step
        known = np.append(known, strays)
    return 0.0


def _common_step(gaps: NDArray[np.float64], slack: float) -> float:
    """Largest step that all gaps are multiples of, by Euclid's algorithm; below `slack` without one."""
    gaps = gaps[gaps > slack]
    step = float(gaps.min()) if gaps.size else 0.0
    while step > slack:
        rest = np.abs(gaps - np.round(gaps / step) * step)
        if not (rest > slack).any():
            break
        step = float(rest[rest > slack].min())
    return step


def _strays(flat: Tensor, low: float, step: float, slack: float) -> NDArray[np.float32]:
    """Return values that lie off a grid, one of each piece that has any."""
    found: list[float | None] = [None] * -(-flat.numel() // CHUNK)

    def look(start: int, stop: int) -> None:
        place = flat[start:stop].double().sub_(low).div_(step)
        off = place.sub_(place.round()).abs_()
        worst = int(off.argmax())
        if float(off[worst]) * step > slack:
            found[start // CHUNK] = float(flat[start + worst])

    spread(look, flat.numel())
    return np.array([value for value in found if value is not None], dtype=np.float32)


def _rounded(low: float, step: float) -> Callable[..., None]:
    def rounded(out: Tensor, clean: Tensor, measured: Tensor | None = None) -> None:
        torch.sub(clean, low, out=out)
        # apart, for a fused product and sum would round one value in two ways within a piece
        out.div_(step).round_().mul_(step).add_(low)
        if measured is not None:
            torch.where(measured, out, clean, out=out)

    return rounded


def _exposed(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Grey levels, 0 to 255, of values between black and white."""
    if not low < high:
        return np.zeros(values.shape, dtype=np.uint8)
    grey = (np.clip(values, low, high, dtype=np.float64) - low) * (255 / (high - low))
    return np.asarray(np.rint(grey), dtype=np.uint8)


def _stored(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    from PIL import Image

    with io.BytesIO() as memory:
        Image.fromarray(np.ascontiguousarray(picture)).save(memory, format="JPEG", quality=quality)
        memory.seek(0)
        with Image.open(memory, formats=["JPEG"]) as read:
            return np.asarray(read)
