"""Perturbations of a study of skip connections, on grey pictures.

Kamath et al., "Do We Really Need that Skip-Connection? Understanding Its Interplay with Task Complexity",
MICCAI 2023, and Computers in Biology and Medicine 184, 2025. Two ways to make an object easier to tell from
what surrounds it, by the reference, and two to make it harder.

**Conventions.** As in `perturbations.pictures`. Lengths are pixels. With ``round_trip`` pictures have 8 bits
before and after, as the study's had; its fraction is cut, not rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from perturbations.blur import gaussian_operators, smoothed_by
from perturbations.chunks import unit_field
from perturbations.pictures import field_shape, pictures, sliced
from perturbations.scan import Scan

__all__ = ["background_blur", "picture_speckle"]

At = Callable[[float], tuple[Tensor, None]]


def background_blur(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
    *,
    window: object = None,
    round_trip: bool = False,
) -> At:
    """Blur what lies outside the region: a Gaussian of `level` pixels, pasted on the background.

    The whole picture is blurred, so that the object shines into what surrounds it. An oracle.

    Parameters
    ----------
    window, round_trip : see `perturbations.pictures.pictures`
    """
    assert scan.region is not None  # realise refuses scans without one
    shown = pictures(scan, "kamath_background_blur", window=window, round_trip=round_trip)
    inside = sliced(scan.region.cpu()[None], scan)[0]

    def at(level: float) -> tuple[Tensor, None]:
        operators = gaussian_operators(tuple(inside.shape[1:]), (level, level))

        def change(number: int, grey: Tensor) -> Tensor:
            blurred = smoothed_by(grey[None], operators)[0]
            return torch.where(inside[number % len(inside)], grey, blurred)

        return shown(change), None

    return at


def picture_speckle(
    scan: Scan,
    generator: np.random.Generator,
    *,
    window: object = None,
    round_trip: bool = False,
) -> At:
    """Multiply grey levels by 1 + n, the variance of n the level, and clip them.

    Parameters
    ----------
    window, round_trip : see `perturbations.pictures.pictures`
    """
    shown = pictures(scan, "kamath_speckle", window=window, round_trip=round_trip)
    field = unit_field(torch.Size(field_shape(scan)), generator)

    def at(level: float) -> tuple[Tensor, None]:
        return shown(lambda number, grey: grey + math.sqrt(level) * field[number] * grey), None

    return at
