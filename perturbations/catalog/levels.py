"""From severity to level and back."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perturbations.catalog.entry import MODALITIES, Perturbation, Scale, modality_class
from perturbations.catalog.lines import CATALOG
from perturbations.options import is_number

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "SSIM_TARGETS",
    "admit",
    "get",
    "interpolated",
    "level_at",
    "levels_for",
    "options_for",
    "severity_at",
    "severity_of",
]


_FEW = 12
"""Names that a message can list."""

SSIM_TARGETS = (0.95, 0.85, 0.75, 0.65, 0.55)
"""Structural similarity to the clean scan at the five severities of equal effect."""


def get(name: str) -> Perturbation:
    """Look a perturbation up by name.

    Raises
    ------
    ValueError
        When there is none of that name; the message proposes the nearest.

    Examples
    --------
    >>> get("rotation").body.unit
    'deg'
    """
    _must_be_text(name)
    if name in CATALOG:
        return CATALOG[name]
    msg = f"unknown perturbation {name!r}; {_hint(name, CATALOG)}"
    raise ValueError(msg)


def levels_for(name: str, modality: str, length_unit: str = "mm") -> tuple[tuple[float, ...], str]:
    """Return the levels of a perturbation for a modality, and their unit.

    Parameters
    ----------
    name, modality : str
    length_unit : mm or px
        Of the scans' spacing.

    Raises
    ------
    ValueError
        When the perturbation is unknown, or not for that modality.

    Examples
    --------
    >>> levels_for("gaussian_noise", "ct")
    ((10.0, 20.0, 35.0, 60.0, 100.0), 'HU')
    """
    entry = get(name)
    if modality not in MODALITIES:
        msg = f"modality must be one of {', '.join(MODALITIES)}, got {modality!r}"
        raise ValueError(msg)
    if entry.modalities and modality not in entry.modalities:
        msg = f"{name} is for {', '.join(entry.modalities)}, the scans are {modality}"
        raise ValueError(msg)
    row = entry.body
    if modality == "ct" and entry.ct is not None:
        row = entry.ct
    elif modality_class(modality, length_unit) == "display" and entry.display is not None:
        row = entry.display
    return row.values, row.unit


def options_for(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Complete what is declared beside the level by the defaults of the catalogue.

    Raises
    ------
    ValueError
        When there is no option of a name; the message proposes the nearest.

    Examples
    --------
    >>> options_for("rotation", {})
    {}
    """
    known = get(name).options
    for option in given:
        if option not in known:
            hint = _hint(option, known) if known else "it has none"
            msg = f"unknown option {option!r} of {name}; {hint}"
            raise ValueError(msg)
    return {**known, **given}


def level_at(name: str, severity: float, modality: str, length_unit: str = "mm") -> float:
    """Interpolate the level of a real-valued severity, 0 to 5 (or to the last of a protocol).

    Raises
    ------
    TypeError
        When the severity is no number.
    ValueError
        When the severity lies outside, or between two levels of an ordinal scale.

    Examples
    --------
    >>> level_at("gaussian_noise", 1.5, "mr"), level_at("gamma_up", 0, "mr")
    (4.5, 1.0)
    """
    _must_be_number(f"severity of {name}", severity)
    knots = _knots(name, modality, length_unit)
    if not 0.0 <= severity <= len(knots) - 1:
        msg = f"severity of {name} must lie in [0, {len(knots) - 1}], got {severity!r}"
        raise ValueError(msg)
    try:
        return interpolated(knots, severity, get(name).scale)
    except ValueError as error:
        msg = f"severity of {name} {error}"
        raise ValueError(msg) from None


def interpolated(knots: tuple[float, ...], severity: float, scale: Scale) -> float:
    """Find the level of a severity between the neutral value and the listed levels.

    Parameters
    ----------
    knots : tuple of float
        The neutral value, then the levels of severities 1, 2, ...
    severity : float
        In [0, number of levels].
    scale : linear, log or ordinal
        log interpolates the logarithm, so that neutral must not be 0.

    Raises
    ------
    ValueError
        When the scale is ordinal and the severity no whole number.

    Examples
    --------
    >>> interpolated((1.0, 2.0, 8.0, 16.0, 32.0, 64.0), 1.5, "log")
    4.0
    """
    low = min(int(severity), len(knots) - 2)
    if severity in (low, low + 1):
        return knots[int(severity)]
    if scale == "ordinal":
        msg = f"must be a whole number, for its levels have nothing between them; got {severity!r}"
        raise ValueError(msg)
    share = severity - low
    if scale == "log":
        return math.exp((1 - share) * math.log(knots[low]) + share * math.log(knots[low + 1]))
    return (1 - share) * knots[low] + share * knots[low + 1]


def severity_at(name: str, level: float, modality: str, length_unit: str = "mm") -> float:
    """Place a level on the axis of severities; the inverse of `level_at`.

    Raises
    ------
    ValueError
        When the level lies outside the listed ones, or between two of an ordinal scale.

    Examples
    --------
    >>> severity_at("gaussian_noise", 4.5, "mr")
    1.5
    """
    found = severity_of(name, level, modality, length_unit)
    if found is not None:
        return found
    knots = _knots(name, modality, length_unit)
    _, unit = levels_for(name, modality, length_unit)
    msg = (
        f"level of {name} must lie between {knots[0]:g} (no change) and {knots[-1]:g} {unit}, "
        f"got {level!r}"
    )
    if get(name).scale == "ordinal":
        msg = f"level of {name} must be one of {', '.join(f'{k:g}' for k in knots[1:])} {unit}, got {level!r}"
    raise ValueError(msg)


def severity_of(name: str, level: float, modality: str, length_unit: str = "mm") -> float | None:
    """Place a level on the axis of severities; None beyond the listed levels.

    Examples
    --------
    >>> severity_of("gaussian_noise", 4.5, "mr"), severity_of("gaussian_noise", 60.0, "mr")
    (1.5, None)
    """
    knots = _knots(name, modality, length_unit)
    if level in knots:
        return float(knots.index(level))
    scale = get(name).scale
    for low in range(len(knots) - 1):
        first, second = knots[low], knots[low + 1]
        if scale != "ordinal" and min(first, second) < level < max(first, second):
            if scale == "log":
                first, second, level = math.log(first), math.log(second), math.log(level)
            return low + (level - first) / (second - first)
    return None


def admit(name: str, level: float, modality: str, length_unit: str = "mm") -> None:
    """Check that physics admits a level.

    Raises
    ------
    TypeError
        When the level is no number.
    ValueError
        When the level lies outside the limits of the catalogue, or is no whole number on an ordinal
        scale.
    """
    entry = get(name)
    _must_be_number(f"level of {name}", level)
    _, unit = levels_for(name, modality, length_unit)
    low, high = entry.limits
    if level != entry.neutral and not low <= level <= high:
        msg = f"level of {name} must lie between {low:g} and {high:g} {unit}, got {level!r}"
        raise ValueError(msg)
    if entry.scale == "ordinal" and level != int(level):
        msg = f"level of {name} must be a whole number of {unit}, got {level!r}"
        raise ValueError(msg)


def _must_be_text(name: object) -> None:
    if not isinstance(name, str):
        msg = f"the name of a perturbation must be text, got {name!r}"
        raise TypeError(msg)


def _must_be_number(what: str, value: object) -> None:
    if not is_number(value):
        msg = f"{what} must be a number, got {value!r}"
        raise TypeError(msg)


def _knots(name: str, modality: str, length_unit: str) -> tuple[float, ...]:
    return (get(name).neutral, *levels_for(name, modality, length_unit)[0])


def _hint(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name.lower(), names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return (
        f"there are {', '.join(names)}"
        if len(names) <= _FEW
        else f"none of {len(names)} is like it"
    )
