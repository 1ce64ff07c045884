"""What one line of the catalogue holds."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

__all__ = ["MODALITIES", "STATES", "Levels", "Perturbation", "Scale", "modality_class"]

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
    values: tuple[float, ...]
    """Severities 1, 2, 3, ...: five of them, or as many as a published protocol has."""


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One line of the catalogue."""

    name: str
    """Name in configurations and tables."""
    family: str
    """noise, blur, resolution, intensity, k-space, ct, ultrasound, geometry, field of view, texture,
    acquisition."""
    function: str
    """``module:function``, loaded when it is used."""
    body: Levels
    """Levels for scans with a spacing."""
    neutral: float
    """The level that changes nothing."""
    limits: tuple[float, float]
    """Smallest and largest level that physics admits; a level may lie beyond the listed ones."""
    scale: Scale
    """How levels between the listed ones are found."""
    draws: str
    """What is drawn once, and how the levels share it."""
    channels: Literal["shared", "independent"]
    """Whether channels see the same draw."""
    source: str
    """Where the levels and the physics come from."""
    note: str
    """What the level is, and what the highest severities stand for."""
    modalities: tuple[str, ...] = ()
    """Those it is physical for; empty: any."""
    display: Levels | None = None
    """Levels in pixels or % of the side, for ultrasound, X-ray, microscopy and scans without a spacing."""
    ct: Levels | None = None
    """Levels in HU."""
    geometric: bool = False
    """True: voxels move or leave the field of view; predictions are scored in the original frame, the
    retained region first."""
    needs: str = ""
    """What the scan must have: 'magnitude >= 0', 'three axes'."""
    uses_region: bool = False
    """True: an oracle that needs the reference, so that unlabelled scans cannot have it."""
    refused_states: tuple[str, ...] = ()
    """States of the scans on which it would be no physics; HU levels also refuse rescaled values."""
    keeps_background: bool = False
    """True: where the background was declared or found to be removed, nothing is changed there; zeros
    of a raw scan may still receive what blurs, rings or ghosts into them."""
    affine: bool = False
    """True: slope times x plus offset; a system that standardises its input sees no change."""
    stress_from: int = 4
    """First severity beyond what is seen in practice."""
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What may be declared beside the level, with its default: keyword arguments of the function."""
    protocol: str = ""
    """Published protocol that it reproduces ('rood-mri'); empty for the lines of this catalogue."""

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


def modality_class(modality: str, length_unit: str = "mm") -> Literal["body", "display"]:
    """Tell whether levels are in mm (body) or in pixels (display).

    Parameters
    ----------
    modality : str
    length_unit : mm or px
        Of the scan's spacing; whatever has none in mm has levels in pixels.
    """
    display = modality in ("us", "xray", "microscopy") or length_unit == "px"
    return "display" if display else "body"
