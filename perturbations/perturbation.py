"""Realise once, evaluate at many levels.

A perturbation is first *realised* on a scan: what is random is drawn once, from a seed that depends on
who the case is and never on the severity, the system or the order of work. It is then evaluated at as
many levels as wanted, so that the severities of a case share one draw and all systems see the very
same images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.catalog import Perturbation, get, level_at, levels_for, severity_at
from perturbations.geometry import Warp
from perturbations.scan import Scan

__all__ = ["Perturbed", "Realisation", "apply", "realise", "replay"]

RECORD_VERSION = 1
"""Of the records that `replay` reads."""


@dataclass(frozen=True, slots=True, eq=False)
class Perturbed:
    """One perturbed scan."""

    image: Tensor
    """(channel, z, y, x) or (channel, y, x), float32; the very same tensor at severity 0."""
    severity: float
    """In [0, 5]."""
    level: float
    """In `unit`."""
    unit: str
    """Of the level."""
    status: Literal["ok", "no_effect"]
    """no_effect: the level changes nothing on this scan."""
    reason: str
    """Why, when it has no effect."""
    warp: Warp | None
    """Of a geometric perturbation; None when no voxel moves."""


@dataclass(frozen=True, slots=True, eq=False)
class Realisation:
    """A perturbation drawn on one scan, ready for any level."""

    entry: Perturbation
    """Its line of the catalogue."""
    scan: Scan
    """The clean scan."""
    seed: int
    """Of the draw."""
    at_level: Callable[[float], tuple[Tensor, Warp | None]]
    """The image at a level, and the warp of a geometric perturbation."""

    def at(self, *, severity: float | None = None, level: float | None = None) -> Perturbed:
        """Evaluate at one severity or one level.

        Parameters
        ----------
        severity : float, optional
            In [0, 5]; between the listed ones the level is interpolated.
        level : float, optional
            In the unit of the catalogue.

        Returns
        -------
        Perturbed
            At severity 0 with the scan's own tensor.

        Raises
        ------
        ValueError
            When neither or both are given, one lies outside, or values grow beyond float32.
        """
        name, modality = self.entry.name, self.scan.modality
        if (severity is None) == (level is None):
            msg = f"{name} needs a severity or a level, got severity={severity!r}, level={level!r}"
            raise ValueError(msg)
        if level is None:
            assert severity is not None  # one of the two is given
            level = level_at(name, severity, modality)
        else:
            severity = severity_at(name, level, modality)
        _, unit = levels_for(name, modality)
        if level == self.entry.neutral:
            return Perturbed(self.scan.image, 0.0, level, unit, "ok", "", None)
        image, warp = self.at_level(level)
        if not bool(torch.isfinite(image).all()):
            msg = f"{name} at {level:g} {unit} leaves the range of float32; rescale the scan"
            raise ValueError(msg)
        image = image.to(self.scan.image.device)
        if warp is None and torch.equal(image, self.scan.image):
            wanted = f"; it needs {self.entry.needs}" if self.entry.needs else ""
            reason = f"{name} at {level:g} {unit} changes no voxel of this scan{wanted}"
            return Perturbed(image, severity, level, unit, "no_effect", reason, None)
        return Perturbed(image, severity, level, unit, "ok", "", warp)

    def record(self, level: float) -> dict[str, Any]:
        """Write down what `replay` needs, as JSON values."""
        return {
            "version": RECORD_VERSION,
            "name": self.entry.name,
            "seed": self.seed,
            "level": level,
            "modality": self.scan.modality,
        }


def realise(name: str, scan: Scan, *, seed: int) -> Realisation:
    """Draw a perturbation on a scan.

    Parameters
    ----------
    name : str
        In the catalogue.
    scan : Scan
        The clean scan; it is never modified.
    seed : int
        See `derive_seed`.

    Raises
    ------
    ValueError
        When the name is unknown, the perturbation is not for the scan's modality or state, or the
        scan lacks what it needs.

    Notes
    -----
    The work is done on the CPU and its outcome moved to where the scan lies, so that a GPU gets the
    very bits that a CPU gets.
    """
    entry = get(name)
    _, unit = levels_for(name, scan.modality)
    if scan.unit == "px" and unit.startswith("mm"):
        msg = (
            f"{name} needs a spacing in mm for modality {scan.modality}; declare the modality whose "
            "levels are in pixels (us, xray, microscopy), or give images with a spacing"
        )
        raise ValueError(msg)
    if entry.on_state(scan.state, scan.modality) == "refused":
        msg = f"{name} in {unit} is no physics on {scan.state} scans; audit the scans before that"
        raise ValueError(msg)
    generator = np.random.Generator(np.random.SFC64(seed))
    held = scan if scan.image.device.type == "cpu" else replace(scan, image=scan.image.cpu())
    return Realisation(entry, scan, seed, entry.resolve()(held, generator))


def replay(record: Mapping[str, Any], scan: Scan) -> Perturbed:
    """Do again what a record of `Realisation.record` describes, to the same bits.

    Raises
    ------
    ValueError
        When the record is of another version, or for another modality.
    """
    if record.get("version") != RECORD_VERSION or record.get("modality") != scan.modality:
        msg = (
            f"record must be of version {RECORD_VERSION} and modality {scan.modality}, got "
            f"{record.get('version')!r} and {record.get('modality')!r}"
        )
        raise ValueError(msg)
    return realise(record["name"], scan, seed=record["seed"]).at(level=record["level"])


def apply(
    name: str,
    image: Tensor | NDArray[Any],
    *,
    severity: float | None = None,
    level: float | None = None,
    seed: int,
    spacing_mm: tuple[float, ...] | None = None,
    modality: str = "other",
) -> Tensor | NDArray[np.float32]:
    """Perturb one image, the short way.

    Parameters
    ----------
    name : str
        In the catalogue.
    image : (z, y, x) or (y, x), numpy or torch
        One channel, intensities in any unit (HU for CT, magnitude for MR).
    severity, level : float, optional
        One of them.
    seed : int
        Of the draw.
    spacing_mm : tuple of float, optional
        Follows the array; pixels count as the unit of length when it is left out.
    modality : str
        Decides units and levels.

    Returns
    -------
    float32 of the same type and shape
    """
    numpy = not isinstance(image, Tensor)
    values = torch.as_tensor(np.array(image) if numpy else image, dtype=torch.float32).detach()
    scan = Scan(
        image=values[None].contiguous(),
        spacing=spacing_mm or (1.0,) * values.dim(),
        unit="mm" if spacing_mm else "px",
        modality=modality,
    )
    result = realise(name, scan, seed=seed).at(severity=severity, level=level).image[0]
    return result.numpy().copy() if numpy else result.clone()
