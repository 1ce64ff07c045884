"""Scans as grey pictures, for protocols that were made for pictures of 8 bits.

**Conventions.** A scan is cut along the axis of its largest spacing; every slice of every channel is a
picture (row, column), numbered channel by channel. A display window maps values to grey levels from 0 to
1: a declared one, else the robust range [q01, q99] of each channel. What a value has beyond its window
it keeps. A masked background is left as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from perturbations.chunks import empty, spread
from perturbations.scan import Scan

__all__ = ["Change", "count", "field_shape", "pictures", "sliced", "windows"]

Change = Callable[[int, Tensor], Tensor]
"""Number of a picture and its grey levels (row, column), 0 to 1; gives new ones, of any range."""

_WHITE = 255.0


def sliced(image: Tensor, scan: Scan) -> Tensor:
    """View as (channel, slice, row, column)."""
    return image[:, None] if scan.ndim == 2 else image.movedim(1 + scan.slice_axis, 1)


def field_shape(scan: Scan) -> tuple[int, int, int]:
    """Return (picture, row, column): the shape of a field with a value for every pixel."""
    shape = sliced(scan.image, scan).shape
    return shape[0] * shape[1], shape[2], shape[3]


def count(scan: Scan) -> int:
    """Return how many pictures a scan is."""
    return field_shape(scan)[0]


def windows(scan: Scan, name: str, window: object) -> list[tuple[float, float]]:
    """Black and white of each channel.

    Parameters
    ----------
    scan : Scan
    name : str
        Of the perturbation, for the message.
    window : two numbers, optional
        In the scan's units; the robust range of each channel when left out.

    Raises
    ------
    ValueError
        When the window is not two numbers, black before white.
    """
    if window is None:
        return scan.robust_ranges
    bounds = list(window) if isinstance(window, Sequence) else []
    numbers = [float(b) for b in bounds if isinstance(b, int | float) and math.isfinite(b)]
    if len(bounds) != 2 or len(numbers) != 2 or not numbers[0] < numbers[1]:
        msg = (
            f"{name} needs a window of two numbers, black before white in the scan's units "
            f"([-160, 240] for soft tissue in HU), got {window!r}"
        )
        raise ValueError(msg)
    return [(numbers[0], numbers[1])] * scan.image.shape[0]


def pictures(
    scan: Scan, name: str, *, window: object, round_trip: object
) -> Callable[[Change], Tensor]:
    """Return what shows a scan as pictures, changes each, and puts them back.

    Parameters
    ----------
    scan : Scan
    name : str
        Of the perturbation, for messages.
    window : two numbers, optional
        See `windows`.
    round_trip : bool
        True: the picture is rounded to 8 bits before the change, and cut to 8 bits after it, as
        programs that read and write pictures do.

    Returns
    -------
    function of a Change
        Gives the new image, float32 of the shape of the scan's. New grey levels are clipped to 0 and 1;
        a pixel whose grey level is not changed keeps its value exactly.

    Raises
    ------
    ValueError
        When an option is not what it must be.
    """
    if round_trip not in (True, False):
        msg = f"{name}: round_trip must be true or false, got {round_trip!r}"
        raise ValueError(msg)
    image = scan.image.contiguous()
    ranges = windows(scan, name, window)
    clean = sliced(image, scan)
    slices = clean.shape[1]
    support = (
        sliced(scan.support[None], scan)[0] if scan.masked_background or scan.cut_out else None
    )

    def shown(change: Change) -> Tensor:
        result = empty(image.shape)
        target = sliced(result, scan)

        def piece(start: int, stop: int) -> None:
            for number in range(start, stop):
                channel, place = divmod(number, slices)
                values, (black, white) = clean[channel, place], ranges[channel]
                if not black < white:  # an even channel has no contrast to change
                    target[channel, place] = values
                    continue
                # float64: the range of float32 values may be longer than float32 can tell
                grey = ((values.double() - black) / (white - black)).clamp_(0.0, 1.0).float()
                seen = grey.mul(_WHITE).round_().div_(_WHITE) if round_trip else grey
                made = change(number, seen).clamp(0.0, 1.0)
                if round_trip:
                    # half a bit of float32 below a whole number is that number
                    made = (made * _WHITE + 1e-4).floor_() / _WHITE
                changed = values + (made - grey).double().mul_(white - black)
                kept = changed if support is None else torch.where(support[place], changed, values)
                target[channel, place] = kept.float()

        spread(piece, clean.shape[0] * slices, 1)
        return result

    return shown
