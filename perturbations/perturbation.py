"""Realise once, evaluate at many levels.

A perturbation is first *realised* on a scan: what is random is drawn once, from a seed that depends on
who the case is and never on the severity, the system or the order of work. It is then evaluated at as
many levels as wanted, so that the severities of a case share one draw and all systems see the very
same images.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from perturbations.catalog import (
    Perturbation,
    admit,
    get,
    level_at,
    levels_for,
    options_for,
    severity_of,
)
from perturbations.chunks import finite, same
from perturbations.facts import Facts, Stated
from perturbations.scan import Scan
from perturbations.seeds import check_seed
from perturbations.warp import Warp

__all__ = ["Perturbed", "Realisation", "realise", "replay"]

RECORD_VERSION = 3
"""Of the records that `replay` reads."""

_ROUNDING = 2.0**-21
"""Four times what float32 resolves, relative to the largest value."""


@dataclass(frozen=True, slots=True, eq=False)
class Perturbed:
    """One perturbed scan."""

    image: Tensor
    """(channel, z, y, x) or (channel, y, x), float32; the very same tensor at severity 0."""
    severity: float | None
    """Place among the listed levels; None when the level lies beyond them."""
    level: float
    """In `unit`."""
    unit: str
    """Of the level."""
    status: Literal["ok", "no_effect"]
    """no_effect: the level changes nothing on this scan."""
    reason: str
    """Why, when it has no effect."""
    warp: Warp | None
    """Of a geometric perturbation; None when no voxel moves or leaves the field of view."""
    facts: Facts = field(default_factory=dict)
    """What belongs into a record beside the level: `slice_thickness_mm`, `full_dose_noise_hu`; and
    `background: masked` where noise and the like are kept out of a background that was removed."""


@dataclass(frozen=True, slots=True, eq=False)
class Realisation:
    """A perturbation drawn on one scan, ready for any level."""

    entry: Perturbation
    """Its line of the catalogue."""
    scan: Scan
    """The clean scan."""
    seed: int
    """Of the draw."""
    options: Mapping[str, Any]
    """What was declared beside the level, completed by the defaults."""
    at_level: Callable[[float], tuple[Tensor, Warp | None]]
    """The image at a level, and the warp of a geometric perturbation."""

    @property
    def listed(self) -> tuple[tuple[float, ...], str]:
        """Levels of severities 1, 2, ... on this scan, and their unit."""
        return levels_for(self.entry.name, self.scan.modality, self.scan.unit)

    def at(self, *, severity: float | None = None, level: float | None = None) -> Perturbed:
        """Evaluate at one severity or one level.

        Parameters
        ----------
        severity : float, optional
            In [0, 5]; between the listed ones the level is interpolated.
        level : float, optional
            In the unit of the catalogue; it may lie beyond the listed ones as far as physics goes.

        Returns
        -------
        Perturbed
            At severity 0 with the scan's own tensor.

        Raises
        ------
        TypeError
            When what is given is no number.
        ValueError
            When neither or both are given, one lies outside, or values grow beyond float32.
        """
        name, modality, length = self.entry.name, self.scan.modality, self.scan.unit
        if (severity is None) == (level is None):
            msg = f"{name} needs a severity or a level, got severity={severity!r}, level={level!r}"
            raise ValueError(msg)
        if level is None:
            assert severity is not None  # one of the two is given
            level = level_at(name, severity, modality, length)
            severity = float(severity)
        else:
            admit(name, level, modality, length)
            level = float(level)
            severity = severity_of(name, level, modality, length)
        _, unit = self.listed
        if level == self.entry.neutral:
            return Perturbed(self.scan.image, 0.0, level, unit, "ok", "", None)
        with _named(name), _plain():
            image, warp = self.at_level(level)
        if not finite(image.contiguous()):
            msg = f"{name} at {level:g} {unit} leaves the range of float32; rescale the scan"
            raise ValueError(msg)
        clean = self.scan.image
        # matrix products round: what they change by less than that is no change
        slack = _ROUNDING * self.scan.largest
        seen = warp is None or (not warp.moves and bool(warp.retained.all()))
        unchanged = seen and same(image, clean.cpu().contiguous(), slack)
        image = image.to(clean.device)
        if unchanged:
            reason = f"{name} at {level:g} {unit} changes no voxel of this scan"
            return Perturbed(clean.clone(), severity, level, unit, "no_effect", reason, None)
        return Perturbed(image, severity, level, unit, "ok", "", warp, self.facts(level))

    def facts(self, level: float) -> Facts:
        """State what belongs into a record beside the level."""
        stated = dict(self.at_level.facts(level)) if isinstance(self.at_level, Stated) else {}
        if self.entry.keeps_background and (self.scan.masked_background or self.scan.cut_out):
            stated["background"] = "masked"
        return stated

    def record(self, level: float) -> dict[str, Any]:
        """Write down what `replay` needs, as JSON values.

        Raises
        ------
        TypeError, ValueError
            When there is no such level.
        """
        admit(self.entry.name, level, self.scan.modality, self.scan.unit)
        return {
            "version": RECORD_VERSION,
            "name": self.entry.name,
            "seed": self.seed,
            "level": float(level),
            "unit": self.listed[1],
            "modality": self.scan.modality,
            "options": copy.deepcopy(dict(self.options)),
        }


def realise(name: str, scan: Scan, *, seed: int, **options: Any) -> Realisation:  # noqa: ANN401
    """Draw a perturbation on a scan.

    Parameters
    ----------
    name : str
        In the catalogue.
    scan : Scan
        The clean scan; it is never modified.
    seed : int
        See `derive_seed`.
    **options
        As the line of the catalogue names them (`phase_axis=1`); JSON values.

    Raises
    ------
    TypeError
        When the seed is no whole number.
    ValueError
        When the seed is negative, the name or an option is unknown, the perturbation is not for the
        scan's modality or state, or the scan lacks what it needs.

    Notes
    -----
    The work is done on the CPU and its outcome moved to where the scan lies, so that a GPU gets the
    very bits that a CPU gets.
    """
    _must_be_scan(scan)
    entry = get(name)
    seed = check_seed(seed)
    _, unit = levels_for(name, scan.modality, scan.unit)
    if scan.unit == "px" and unit.startswith("mm"):
        msg = f"{name} has levels in mm only; give the scan its spacing in mm"
        raise ValueError(msg)
    if entry.on_state(scan.state, scan.modality) == "refused":
        msg = f"{name} in {unit} is no physics on {scan.state} scans; audit the scans before that"
        raise ValueError(msg)
    if entry.uses_region and (scan.region is None or not bool(scan.region.any())):
        msg = f"{name} needs the region of the reference (Scan.region), which is missing or empty"
        raise ValueError(msg)
    # what the caller changes in a list later on must not change the record
    declared = copy.deepcopy(options_for(name, options))
    generator = np.random.Generator(np.random.SFC64(seed))
    # what is known of a scan on a GPU is measured once, not at every realisation
    held = scan if scan.image.device.type == "cpu" else scan.successor(scan.image.cpu())
    with _named(name), _plain():
        at_level = entry.resolve()(held, generator, **declared)
    return Realisation(entry, scan, seed, declared, at_level)


@contextmanager
def _plain() -> Iterator[None]:
    """Compute as always, whatever the caller declared for its network: bits must not depend on it."""
    with torch.inference_mode(mode=False), torch.no_grad(), torch.autocast("cpu", enabled=False):
        yield


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Name the perturbation in every refusal: a part of a chain only knows itself."""
    try:
        yield
    except ValueError as error:
        if name in str(error):
            raise
        msg = f"{name}: {error}"
        raise ValueError(msg) from error


def replay(record: Mapping[str, Any], scan: Scan) -> Perturbed:
    """Do again what a record of `Realisation.record` describes, to the same bits.

    Raises
    ------
    ValueError
        When the record is of another version, or for another modality.
    """
    _must_be_mapping(record)
    if record.get("version") != RECORD_VERSION or record.get("modality") != scan.modality:
        msg = (
            f"record must be of version {RECORD_VERSION} and modality {scan.modality}, got "
            f"{record.get('version')!r} and {record.get('modality')!r}"
        )
        raise ValueError(msg)
    missing = [key for key in ("name", "seed", "options", "level", "unit") if key not in record]
    if missing:
        msg = f"record must be as Realisation.record makes it, and lacks {', '.join(missing)}"
        raise ValueError(msg)
    drawn = realise(record["name"], scan, seed=record["seed"], **record["options"])
    if record["unit"] != drawn.listed[1]:
        msg = (
            f"record must be in {drawn.listed[1]}, the unit of {drawn.entry.name} on this scan, got "
            f"{record['unit']!r}"
        )
        raise ValueError(msg)
    return drawn.at(level=record["level"])


def _must_be_scan(given: object) -> None:
    if not isinstance(given, Scan):
        msg = f"scan must be a perturbations.Scan, got {type(given).__name__}; see perturbations.apply"
        raise TypeError(msg)


def _must_be_mapping(given: object) -> None:
    if not isinstance(given, Mapping):
        msg = f"record must be a mapping, as Realisation.record makes it, got {given!r}"
        raise TypeError(msg)
