"""Axes: which native axis a system's axis is, and in which direction it runs.

**Conventions.** Native arrays are ``(z, y, x)`` or ``(y, x)``; directions are LPS+ patient
coordinates, so that +x runs towards the patient's left (L), +y towards posterior (P) and +z
towards superior (S). The letters of ``input.axes`` name the side *towards* which each fed axis
runs. In 2-D the letters L, R (image x) and P, A (image y) exist.

Oblique scans: each native axis takes the name of one patient axis such that the sum of the
absolute cosines is largest, so no name is given twice and nothing is interpolated. At exactly 45
degrees the assignment closest to ``(z, y, x)`` wins.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditor.errors import CheckpointError
from auditor.schema import Geometry

if TYPE_CHECKING:  # reading a configuration must not import torch
    from torch import Tensor

POSITIVE = "LPS"
"""Letter towards which the patient axes x, y, z increase."""
NEGATIVE = "RAI"
"""Letter towards which the patient axes x, y, z decrease."""
NATIVE = "native"
"""The scan's own axes, as stored."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """How fed axes follow from native ones; applied to the spatial axes of an array."""

    order: tuple[int, ...]
    """Fed axis i is native axis order[i]."""
    flipped: tuple[int, ...]
    """Fed axes that run against their native axis."""

    def apply(self, values: Tensor) -> Tensor:
        """Bring native axes into the fed order.

        Parameters
        ----------
        values : (channel, *native).

        Returns
        -------
        (channel, *fed).
        """
        moved = values.permute(0, *(axis + 1 for axis in self.order))
        return moved.flip([axis + 1 for axis in self.flipped]) if self.flipped else moved

    def undo(self, values: Tensor) -> Tensor:
        """Bring fed axes back into the native order.

        Parameters
        ----------
        values : (channel, *fed).

        Returns
        -------
        (channel, *native): exactly what `apply` was given, when it is its answer.
        """
        back = values.flip([axis + 1 for axis in self.flipped]) if self.flipped else values
        return back.permute(0, *(self.order.index(axis) + 1 for axis in range(len(self.order))))


def native_letters(geometry: Geometry) -> str:
    """Name the side towards which each native axis runs.

    Parameters
    ----------
    geometry : of the scan; without directions the axes are exactly (z, y, x) in LPS+.

    Returns
    -------
    One letter per native axis: ``SPL`` for an axial scan as DICOM stores it.

    Examples
    --------
    >>> native_letters(Geometry(shape=(9, 8, 7), spacing=(5.0, 1.0, 1.0)))
    'SPL'
    """
    count = len(geometry.shape)
    directions = geometry.direction or _straight(count)
    # candidates start at the one without any exchange, and max keeps the first of equals
    candidates = itertools.permutations(range(count - 1, -1, -1))
    best = max(candidates, key=lambda axes: _agreement(directions, axes))
    return "".join(
        POSITIVE[axis] if vector[axis] >= 0 else NEGATIVE[axis]
        for vector, axis in zip(directions, best, strict=True)
    )


def _straight(count: int) -> tuple[tuple[float, ...], ...]:
    return tuple(
        tuple(1.0 if i == count - 1 - axis else 0.0 for i in range(count)) for axis in range(count)
    )


def _agreement(directions: Sequence[Sequence[float]], axes: Sequence[int]) -> float:
    # rounded, so that the last bits of a 45 degree rotation do not decide
    return round(sum(abs(v[a]) for v, a in zip(directions, axes, strict=True)), 9)


def patient_axis(letter: str) -> int:
    """Return 0, 1, 2 for the patient's x, y, z.

    Parameters
    ----------
    letter : one of R, L, A, P, I, S.

    Returns
    -------
    The axis that the letter is an end of.
    """
    return POSITIVE.index(letter) if letter in POSITIVE else NEGATIVE.index(letter)


def axes_problem(axes: str) -> str:
    """Say what is wrong with declared axes, whatever the scan.

    Parameters
    ----------
    axes : ``native`` or letters.

    Returns
    -------
    Empty when they can be right; otherwise a sentence.
    """
    named = [POSITIVE.find(a) if a in POSITIVE else NEGATIVE.find(a) for a in axes]
    if axes == NATIVE or (len(axes) in {2, 3} and -1 not in named and len(set(named)) == len(axes)):
        return ""
    return (
        "must be 'native' or two or three letters, one of each pair R/L, A/P, I/S, naming the side "
        f"towards which each axis runs (RAS, LPS, SAR), got {axes!r}"
    )


def match_axes(
    axes: str,
    geometry: Geometry,
    *,
    slicewise: bool,
    transpose: tuple[int, ...] | None = None,
) -> Orientation:
    """Find the permutation and the flips that bring a scan into a system's axes.

    Parameters
    ----------
    axes : ``native``, or letters towards which each fed axis runs. A slice-wise system on a 3-D
        scan may name two letters: its slices are then taken along the third patient axis.
    geometry : of the scan.
    slicewise : whether slices are fed one at a time along the first fed axis.
    transpose : which native axis each fed axis is; ``native`` axes only.

    Returns
    -------
    The orientation; the identity for ``native`` axes that are not transposed.

    Raises
    ------
    CheckpointError
        For letters that are no axes, or axes that the scan does not have.
    """
    count = len(geometry.shape)
    if axes == NATIVE:
        order = tuple(range(count)) if transpose is None else transpose
        if len(order) != count:
            msg = f"input.transpose must have the scan's {count} axes, got {list(order)}"
            raise CheckpointError(msg)
        return Orientation(order=order, flipped=())
    problem = axes_problem(axes)
    if problem:
        msg = f"input.axes {problem}"
        raise CheckpointError(msg)
    native = native_letters(geometry)
    wanted = axes
    if slicewise and count == 3 and len(axes) == 2:
        missing = ({0, 1, 2} - {patient_axis(letter) for letter in axes}).pop()
        wanted = next(a for a in native if patient_axis(a) == missing) + axes
    of = {patient_axis(letter): i for i, letter in enumerate(native)}
    if len(wanted) != count or any(patient_axis(letter) not in of for letter in wanted):
        msg = (
            f"input.axes must name the {count} axes of the scan, which runs towards {native}, "
            f"got {axes!r}"
        )
        raise CheckpointError(msg)
    order = tuple(of[patient_axis(letter)] for letter in wanted)
    flipped = tuple(i for i, letter in enumerate(wanted) if native[order[i]] != letter)
    return Orientation(order=order, flipped=flipped)
