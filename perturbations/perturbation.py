"""Realise once, evaluate at many levels.

A perturbation is first *realised* on a scan: what is random is drawn once, from a seed that depends on
who the case is and never on the severity, the system or the order of work. It is then evaluated at as
many levels as wanted, so that the severities of a case share one draw and all systems see the very
same images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
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
from perturbations.warp import Warp

__all__ = ["Perturbed", "Realisation", "apply", "realise", "replay"]

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
        else:
            admit(name, level, modality, length)
            severity = severity_of(name, level, modality, length)
        _, unit = self.listed
        if level == self.entry.neutral:
            return Perturbed(self.scan.image, 0.0, level, unit, "ok", "", None)
        with _named(name):
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
        """Write down what `replay` needs, as JSON values."""
        return {
            "version": RECORD_VERSION,
            "name": self.entry.name,
            "seed": self.seed,
            "level": level,
            "unit": self.listed[1],
            "modality": self.scan.modality,
            "options": dict(self.options),
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
    entry = get(name)
    if not _whole(seed):
        msg = f"seed must be a whole number, got {seed!r}; see perturbations.derive_seed"
        raise TypeError(msg)
    if seed < 0:
        msg = f"seed must be 0 or more, got {seed!r}; see perturbations.derive_seed"
        raise ValueError(msg)
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
    declared = options_for(name, options)
    generator = np.random.Generator(np.random.SFC64(seed))
    # what is known of a scan on a GPU is measured once, not at every realisation
    held = scan if scan.image.device.type == "cpu" else scan.successor(scan.image.cpu())
    with _named(name):
        at_level = entry.resolve()(held, generator, **declared)
    return Realisation(entry, scan, seed, declared, at_level)


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
    if record.get("version") != RECORD_VERSION or record.get("modality") != scan.modality:
        msg = (
            f"record must be of version {RECORD_VERSION} and modality {scan.modality}, got "
            f"{record.get('version')!r} and {record.get('modality')!r}"
        )
        raise ValueError(msg)
    drawn = realise(record["name"], scan, seed=record["seed"], **record["options"])
    if record["unit"] != drawn.listed[1]:
        msg = (
            f"record must be in {drawn.listed[1]}, the unit of {drawn.entry.name} on this scan, got "
            f"{record['unit']!r}"
        )
        raise ValueError(msg)
    return drawn.at(level=record["level"])


def apply(  # noqa: PLR0913  # what an image does not say of itself must be said beside it
    name: str,
    image: Tensor | NDArray[Any],
    *,
    severity: float | None = None,
    level: float | None = None,
    seed: int,
    spacing_mm: tuple[float, ...] | None = None,
    modality: str = "other",
    state: str = "raw",
    channel_axis: int | None = None,
    region: Tensor | NDArray[Any] | None = None,
    **options: Any,  # noqa: ANN401  # as the catalogue's line has them
) -> Tensor | NDArray[np.float32]:
    """Perturb one image, the short way.

    Parameters
    ----------
    name : str
        In the catalogue.
    image : (z, y, x) or (y, x), with a channel axis where `channel_axis` says so; numpy or torch
        Floating point, intensities in any unit (HU for CT, magnitude for MR).
    severity, level : float, optional
        One of them.
    seed : int
        Of the draw.
    spacing_mm : tuple of float, optional
        Along the spatial axes in the order of the array; pixels count as the unit of length when it is
        left out.
    modality : str
        Decides units and levels.
    state : str
        raw, windowed, normalised, skull_stripped.
    channel_axis : int, optional
        Axis of the channels; None when there is one channel and no axis for it.
    region : bool mask of the spatial shape, optional
        Foreground of the reference, for perturbations that need it.
    **options
        As the line of the catalogue names them.

    Returns
    -------
    float32 of the same type, shape and device

    Raises
    ------
    TypeError
        When the image is no array, or holds whole numbers.
    ValueError
        When anything else does not fit; the message says what must be and what was.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).random((20, 48, 48), dtype=np.float32)
    >>> apply("rician_noise", image, severity=3, seed=7, modality="mr", spacing_mm=(3, 1, 1)).shape
    (20, 48, 48)
    """
    values = _floating(image)
    if channel_axis is not None and not -values.dim() <= channel_axis < values.dim():
        msg = (
            f"channel_axis must be one of the {values.dim()} axes of the image, got {channel_axis}"
        )
        raise ValueError(msg)
    stacked = values[None] if channel_axis is None else values.movedim(channel_axis, 0)
    dims = stacked.dim() - 1
    if dims not in (2, 3):
        msg = (
            f"image must have 2 or 3 spatial axes, got shape {tuple(values.shape)} with "
            f"channel_axis={channel_axis}"
        )
        raise ValueError(msg)
    if spacing_mm is not None and not _numbers(spacing_mm, dims):
        msg = f"spacing_mm must be {dims} numbers in the order of the array, got {spacing_mm!r}"
        raise ValueError(msg)
    scan = Scan(
        image=stacked.contiguous(),
        spacing=(1.0,) * dims if spacing_mm is None else tuple(map(float, spacing_mm)),
        unit="px" if spacing_mm is None else "mm",
        modality=modality,
        state=state,
        region=None if region is None else torch.as_tensor(region).bool().cpu(),
    )
    result = realise(name, scan, seed=seed, **options).at(severity=severity, level=level).image
    back = result[0] if channel_axis is None else result.movedim(0, channel_axis)
    return back.clone() if isinstance(image, Tensor) else back.numpy().copy()


def _whole(given: object) -> bool:
    return isinstance(given, int | np.integer) and not isinstance(given, bool)


def _numbers(given: object, count: int) -> bool:
    """Tell whether something is a sequence of so many numbers."""
    if not isinstance(given, Sequence | np.ndarray) or len(given) != count:
        return False
    return all(isinstance(value, Real) and not isinstance(value, bool) for value in given)


def _floating(image: object) -> Tensor:
    """Return the image as float32.

    Whole numbers are refused: whether 255 is white, 40 is HU, or labels were given by mistake cannot be
    seen, and an outcome in whole numbers would lose small levels.
    """
    if not isinstance(image, Tensor | np.ndarray):
        msg = f"image must be a numpy array or a torch tensor, got {type(image).__name__}"
        raise TypeError(msg)
    values = torch.as_tensor(image)
    if not values.is_floating_point():
        msg = f"image must be floating point, got {values.dtype}; give image.astype(np.float32)"
        raise TypeError(msg)
    return values.detach().to(torch.float32)
