"""The catalogue: one line a perturbation; units, levels and sources are data.

**Conventions.** Severity 0 is the scan as it is, 1 to 3 lie in what is seen in practice, 4 and 5 are
stress beyond routine. Levels are in the unit of their row; *body* rows are for CT, MR and other scans
with a spacing, *display* rows (pixels) for ultrasound, X-ray and microscopy, *ct* rows for HU. Between
the listed severities a level is interpolated from the neutral value on, linearly or in the logarithm.
This module loads neither torch nor SciPy.
"""

from __future__ import annotations

import difflib
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

__all__ = [
    "CATALOG",
    "MODALITIES",
    "PRESETS",
    "STATES",
    "Levels",
    "Perturbation",
    "get",
    "interpolated",
    "level_at",
    "levels_for",
    "modality_class",
    "severity_at",
]

MODALITIES = ("ct", "mr", "us", "xray", "microscopy", "other")
"""Declared for all scans of an audit."""

STATES = ("raw", "windowed", "normalised", "skull_stripped")
"""What may have been done to the scans before the audit."""

Scale = Literal["linear", "log", "ordinal"]
"""How levels between the listed ones are found; ordinal: there are none."""


@dataclass(frozen=True, slots=True)
class Levels:
    """One row of levels."""

    unit: str
    """As printed."""
    values: tuple[float, float, float, float, float]
    """Severities 1 to 5."""


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One line of the catalogue."""

    name: str
    """Name in configurations and tables."""
    family: str
    """noise, blur, resolution, intensity, geometry."""
    function: str
    """``module:function``, loaded when it is used."""
    body: Levels
    """Levels for scans with a spacing."""
    neutral: float
    """The level that changes nothing."""
    scale: Scale
    """How levels between the listed ones are found."""
    draws: str
    """What is drawn once, and how the levels share it."""
    channels: Literal["shared", "independent"]
    """Whether channels see the same draw."""
    source: str
    """Where the levels and the physics come from."""
    note: str
    """What severities 4 and 5 stand for."""
    modalities: tuple[str, ...] = ()
    """Those it is physical for; empty: any."""
    display: Levels | None = None
    """Levels in pixels."""
    ct: Levels | None = None
    """Levels in HU."""
    geometric: bool = False
    """True: voxels move, and predictions are scored in the original frame."""
    needs: str = ""
    """What the scan must have: 'magnitude >= 0', 'three axes'."""
    refused_states: tuple[str, ...] = ()
    """States of the scans on which it would be no physics; HU levels also refuse rescaled values."""
    keeps_background: bool = False
    """True: where the background is masked, nothing is changed there."""
    stress_from: int = 4
    """First severity beyond what is seen in routine."""

    def on_state(self, state: str, modality: str) -> Literal["allowed", "masked", "refused"]:
        """Tell what it does on scans of a declared state."""
        in_hu = modality == "ct" and self.ct is not None
        if state in self.refused_states or (in_hu and state in ("windowed", "normalised")):
            return "refused"
        return "masked" if self.keeps_background and state == "skull_stripped" else "allowed"

    def resolve(self) -> Callable[..., Any]:
        """Load the function that realises it."""
        module, _, function = self.function.partition(":")
        resolved: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return resolved


_BRAINWEB = (
    "BrainWeb: x % noise is sigma over the signal of a bright reference tissue (levels 3, 5, 9 %)"
)

_LINES = (
    Perturbation(
        name="gaussian_noise",
        family="noise",
        function="perturbations.noise:gaussian_noise",
        body=Levels("% of S_ref", (3.0, 6.0, 9.0, 15.0, 25.0)),
        ct=Levels("HU", (10.0, 20.0, 35.0, 60.0, 100.0)),
        neutral=0.0,
        scale="linear",
        draws="one unit normal field, scaled by sigma",
        channels="independent",
        source=_BRAINWEB,
        note="sigma of additive white noise; 15 % and 25 % (60 and 100 HU) exceed routine",
        keeps_background=True,
    ),
    Perturbation(
        name="rician_noise",
        family="noise",
        function="perturbations.noise:rician_noise",
        body=Levels("% of S_ref", (3.0, 5.0, 9.0, 15.0, 25.0)),
        neutral=0.0,
        scale="linear",
        draws="two unit normal fields (real and imaginary part), scaled by sigma",
        channels="independent",
        modalities=("mr",),
        needs="magnitude >= 0",
        source=f"Gudbjartsson & Patz 1995, doi 10.1002/mrm.1910340618; {_BRAINWEB}",
        note="sigma of the complex noise of a magnitude image; 15 % and 25 % exceed routine",
        refused_states=("normalised",),
        keeps_background=True,
    ),
    Perturbation(
        name="gaussian_blur",
        family="blur",
        function="perturbations.blur:gaussian_blur",
        body=Levels("mm FWHM", (1.5, 2.5, 4.0, 6.0, 9.0)),
        display=Levels("px FWHM", (1.0, 2.0, 3.0, 4.0, 6.0)),
        neutral=0.0,
        scale="linear",
        draws="nothing",
        channels="shared",
        source="width of a Gaussian point-spread function; smoothing kernels of 4 to 8 mm are common",
        note="full width at half maximum, the same in mm along every axis; 6 and 9 mm are stress",
        keeps_background=True,
    ),
    Perturbation(
        name="thick_slices",
        family="resolution",
        function="perturbations.resolution:thick_slices",
        body=Levels("x native thickness", (1.5, 2.0, 3.0, 4.0, 6.0)),
        neutral=1.0,
        scale="log",
        draws="nothing",
        channels="shared",
        modalities=("ct", "mr", "other"),
        needs="three axes",
        source="boxcar slice profile, contiguous slices, linear interpolation back to the grid",
        note="slices thicker than acquired, along the axis of the largest spacing; 4 and 6 x are stress",
        keeps_background=True,
    ),
    Perturbation(
        name="bias_field",
        family="intensity",
        function="perturbations.intensity:bias_field",
        body=Levels("% INU", (20.0, 40.0, 60.0, 80.0, 100.0)),
        neutral=0.0,
        scale="linear",
        draws="one log-polynomial of order 3, scaled to the level",
        channels="independent",
        modalities=("mr",),
        source=(
            "Van Leemput et al. 1999, doi 10.1109/42.811268 (log-domain polynomial); BrainWeb: 20 % "
            "INU spans 0.90 to 1.10 over the head"
        ),
        note="max / min over the foreground is (1 + u/2) / (1 - u/2); 80 and 100 % are stress",
        refused_states=("normalised",),
    ),
    Perturbation(
        name="gamma_up",
        family="intensity",
        function="perturbations.intensity:gamma",
        body=Levels("exponent", (1.1, 1.25, 1.5, 1.8, 2.2)),
        neutral=1.0,
        scale="log",
        draws="nothing",
        channels="shared",
        source="power law on the robust range (1st to 99th percentile), linear beyond",
        note="darkens middle tones; exponents of 1.8 and 2.2 are stress",
        keeps_background=True,
    ),
    Perturbation(
        name="gamma_down",
        family="intensity",
        function="perturbations.intensity:gamma",
        body=Levels("exponent", (1 / 1.1, 1 / 1.25, 1 / 1.5, 1 / 1.8, 1 / 2.2)),
        neutral=1.0,
        scale="log",
        draws="nothing",
        channels="shared",
        source="reciprocal exponents of gamma_up",
        note="brightens middle tones; exponents of 1/1.8 and 1/2.2 are stress",
        keeps_background=True,
    ),
    Perturbation(
        name="rotation",
        family="geometry",
        function="perturbations.geometry:rotation",
        body=Levels("deg", (3.0, 6.0, 10.0, 15.0, 25.0)),
        neutral=0.0,
        scale="linear",
        draws="one axis of rotation (3-D) or sense (2-D); the angle is the level",
        channels="shared",
        geometric=True,
        source="patient positioning; angles of 3 to 10 degrees occur, 15 and 25 are stress",
        note="about the centre of the scan, in mm; scored in the original frame",
    ),
)

CATALOG: Mapping[str, Perturbation] = MappingProxyType({line.name: line for line in _LINES})
"""Every perturbation by name."""

PRESETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "mri": (
            "rician_noise", "gaussian_blur", "thick_slices", "bias_field", "gamma_up",
            "gamma_down", "rotation",
        ),
        "ct": ("gaussian_noise", "gaussian_blur", "thick_slices", "rotation"),
        "ultrasound": ("gaussian_noise", "gaussian_blur", "gamma_up", "gamma_down", "rotation"),
        "xray": ("gaussian_noise", "gaussian_blur", "gamma_up", "gamma_down", "rotation"),
        "microscopy": ("gaussian_noise", "gaussian_blur", "gamma_up", "gamma_down", "rotation"),
        "generic": ("gaussian_noise", "gaussian_blur", "gamma_up", "gamma_down", "rotation"),
    }
)  # fmt: skip
"""Named lists of perturbations."""


def modality_class(modality: str) -> Literal["body", "display"]:
    """Tell whether levels are in mm (body) or in pixels (display)."""
    return "display" if modality in ("us", "xray", "microscopy") else "body"


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
    if name in CATALOG:
        return CATALOG[name]
    near = difflib.get_close_matches(name, CATALOG, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(CATALOG)}"
    msg = f"unknown perturbation {name!r}; {hint}"
    raise ValueError(msg)


def levels_for(name: str, modality: str) -> tuple[tuple[float, ...], str]:
    """Return the five levels of a perturbation for a modality, and their unit.

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
    if entry.modalities and modality not in entry.modalities:
        msg = f"{name} is for {', '.join(entry.modalities)}, the scans are {modality}"
        raise ValueError(msg)
    row = entry.body
    if modality == "ct" and entry.ct is not None:
        row = entry.ct
    elif modality_class(modality) == "display" and entry.display is not None:
        row = entry.display
    return row.values, row.unit


def level_at(name: str, severity: float, modality: str) -> float:
    """Interpolate the level of a real-valued severity in [0, 5].

    Raises
    ------
    ValueError
        When the severity lies outside, or between two levels of an ordinal scale.

    Examples
    --------
    >>> level_at("gaussian_noise", 1.5, "mr"), level_at("gamma_up", 0, "mr")
    (4.5, 1.0)
    """
    if not 0.0 <= severity <= 5.0:
        msg = f"severity of {name} must lie in [0, 5], got {severity!r}"
        raise ValueError(msg)
    try:
        return interpolated(_knots(name, modality), severity, get(name).scale)
    except ValueError as error:
        msg = f"severity of {name} {error}"
        raise ValueError(msg) from None


def interpolated(knots: tuple[float, ...], severity: float, scale: Scale) -> float:
    """Find the level of a severity between the neutral value and the five levels.

    Parameters
    ----------
    knots : tuple of six
        The neutral value, then the levels of severities 1 to 5.
    severity : float
        In [0, 5].
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
    low = min(int(severity), 4)
    if severity in (low, low + 1):
        return knots[int(severity)]
    if scale == "ordinal":
        msg = f"must be a whole number, for its levels have nothing between them; got {severity!r}"
        raise ValueError(msg)
    share = severity - low
    if scale == "log":
        return math.exp((1 - share) * math.log(knots[low]) + share * math.log(knots[low + 1]))
    return (1 - share) * knots[low] + share * knots[low + 1]


def severity_at(name: str, level: float, modality: str) -> float:
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
    knots = _knots(name, modality)
    if level in knots:
        return float(knots.index(level))
    scale = get(name).scale
    for low in range(5):
        first, second = knots[low], knots[low + 1]
        if scale != "ordinal" and min(first, second) < level < max(first, second):
            if scale == "log":
                first, second, level = math.log(first), math.log(second), math.log(level)
            return low + (level - first) / (second - first)
    _, unit = levels_for(name, modality)
    msg = (
        f"level of {name} must lie between {knots[0]:g} (no change) and {knots[5]:g} {unit}, "
        f"got {level!r}"
    )
    raise ValueError(msg)


def _knots(name: str, modality: str) -> tuple[float, ...]:
    return (get(name).neutral, *levels_for(name, modality)[0])
