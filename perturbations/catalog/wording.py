"""Levels in words: some units stand behind a number, others are what the number is of."""

from __future__ import annotations

__all__ = ["levels_are", "worded"]

_NOUNS = (
    "alpha", "exponent", "factor", "intensity", "kept fraction", "mixing fraction", "quality", "range",
    "row", "sd", "severity", "share", "slope", "variance",
)  # fmt: skip
"""What a level is, where it has no unit of measure; stands before the number."""

_FORMULAS = ("1 / photons", "largest zoom - 1")


def worded(level: str, unit: str) -> str:
    """Put a level, or several, together with their unit.

    Examples
    --------
    >>> worded("3", "% of S_ref"), worded("90", "quality"), worded("1.01", "slope about -1000 HU")
    ('3 % of S_ref', 'quality 90', 'slope 1.01 about -1000 HU')
    >>> worded("0.2", "1 / photons"), worded("0.5, 0.25", "of the dose")
    ('0.2 (1 / photons)', '0.5, 0.25 of the dose')
    """
    if unit in _FORMULAS:
        return f"{level} ({unit})"
    noun = _noun(unit)
    return f"{noun} {level}{unit.removeprefix(noun)}" if noun else f"{level} {unit}"


def levels_are(unit: str) -> str:
    """Say in what the levels of a perturbation are given.

    Examples
    --------
    >>> levels_are("mm FWHM"), levels_are("of the dose"), levels_are("x native thickness")
    ('levels in mm FWHM', 'levels are shares of the dose', 'levels are multiples: x native thickness')
    >>> levels_are("quality")
    'levels tell the quality'
    """
    if unit.startswith("of "):
        return f"levels are shares {unit}"
    if unit.startswith("x "):
        return f"levels are multiples: {unit}"
    if unit in _FORMULAS:
        return f"levels are {unit}"
    return f"levels tell the {unit}" if _noun(unit) else f"levels in {unit}"


def _noun(unit: str) -> str:
    return next((noun for noun in _NOUNS if unit == noun or unit.startswith(f"{noun} ")), "")
