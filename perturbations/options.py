"""What is declared beside a level, checked in one way."""

from __future__ import annotations

import math
from numbers import Real

__all__ = ["positive"]


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
    if not isinstance(given, bool) and isinstance(given, Real):
        try:
            number = float(given)
        except OverflowError:  # a whole number beyond all floats
            number = math.inf
    if not (0.0 < number <= most and number < math.inf):
        up_to = "" if most == math.inf else f" up to {most:g}"
        msg = f"{option} of {name} must be a positive number of {what}{up_to}, got {given!r}"
        raise ValueError(msg)
    return number
