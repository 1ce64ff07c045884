"""What a caller declares, checked in one way: what a number is, and options beside a level."""

from __future__ import annotations

import math
from numbers import Real
from typing import TypeGuard

__all__ = ["is_number", "positive"]


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value is a real number; True and False are none.

    Examples
    --------
    >>> is_number(2), is_number(True), is_number("2")
    (True, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool)


def positive(name: str, option: str, given: object, what: str, *, most: float = math.inf) -> float:
    """Check an option that is a positive number.

    Parameters
    ----------
    name, option : str
        Of the perturbation and of its option, for the message.
    given : object
        What was declared.
    what : str
        What it counts, in the words of the message: "mm", "photons at S_ref".
    most : float
        The largest number that makes sense.

    Raises
    ------
    ValueError
        When it is no number, not positive, or larger than that.

    Examples
    --------
    >>> positive("zipper", "width_mm", 2, "mm")
    2.0
    """
    number = math.nan
    if is_number(given):
        try:
            number = float(given)
        except OverflowError:  # a whole number beyond all floats
            number = math.inf
    if not (0.0 < number <= most and number < math.inf):
        up_to = "" if most == math.inf else f" up to {most:g}"
        msg = f"{option} of {name} must be a positive number of {what}{up_to}, got {given!r}"
        raise ValueError(msg)
    return number
