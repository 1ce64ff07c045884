"""Levels of equal effect: how strong a perturbation must be for a scan to look so different.

Levels in physical units do not say that one perturbation is as bad as another. Here the level is solved
at which the structural similarity (SSIM) to the clean scan has a given value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal

from perturbations.catalog import SSIM_TARGETS, severity_of
from perturbations.effect import similarity
from perturbations.perturbation import Realisation, realise
from perturbations.scan import Scan

__all__ = ["TARGETS", "TOLERANCE", "IsoEffect", "iso_effect_levels"]

TARGETS = SSIM_TARGETS
"""SSIM of five severities."""

TOLERANCE = 0.005
"""A level counts as found when its SSIM is so near to the target."""

_DOUBLINGS = 6
"""So often the last listed level's distance from neutral is doubled, within the limits of physics."""

_STEPS = 40
"""Halvings of a bracket; beyond, SSIM jumps there."""


@dataclass(frozen=True, slots=True)
class IsoEffect:
    """The level of a perturbation on one scan that has a given effect."""

    target: float
    """SSIM that was asked for."""
    status: Literal["ok", "out_of_reach", "undefined"]
    """out_of_reach: no level within the limits has it; undefined: SSIM does not measure this effect."""
    level: float | None
    """In `unit`; None unless the status is ok."""
    severity: float | None
    """Where the level lies among the listed ones; None beyond them, or without a level."""
    ssim: float | None
    """At the level; the nearest that was reached when the target is out of reach."""
    unit: str
    """Of the level."""
    reason: str = ""
    """Why there is no level."""


def iso_effect_levels(
    what: Realisation | str,
    scan: Scan | None = None,
    *,
    seed: int | None = None,
    targets: Sequence[float] = TARGETS,
    tolerance: float = TOLERANCE,
    **options: Any,  # noqa: ANN401  # as the catalogue's line has them
) -> tuple[IsoEffect, ...]:
    """Solve the levels at which a scan has given structural similarities to its clean self.

    By bisection on one realisation: the same draw at every level, so that the outcome is deterministic.
    It is also monotone: a lower target never has a milder level.

    Parameters
    ----------
    what : Realisation or str
        A realisation, or the name of a perturbation, which is then realised on `scan` with `seed`.
    scan : Scan, optional
        With a name.
    seed : int, optional
        With a name.
    targets : sequence of float
        SSIM, in (0, 1), in any order.
    tolerance : float
        Largest difference of the SSIM of a level from its target, in (0, .5).
    **options
        With a name: of the perturbation.

    Returns
    -------
    tuple of IsoEffect
        One per target, in the order of the targets.

    Raises
    ------
    ValueError
        When a target or the tolerance lies outside, a name comes without scan or seed, or the
        perturbation refuses the scan.

    Examples
    --------
    >>> import torch
    >>> image = torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(1)) * 100
    >>> scan = Scan(image=image, spacing=(1.0, 1.0), modality="other")
    >>> [it.status for it in iso_effect_levels("gaussian_noise", scan, seed=3)]
    ['ok', 'ok', 'ok', 'ok', 'ok']
    """
    _check(targets, tolerance)
    if isinstance(what, Realisation):
        if scan is not None or seed is not None or options:
            msg = "a realisation has its scan, seed and options; leave them out, or give a name"
            raise ValueError(msg)
        drawn = what
    elif scan is None or seed is None:
        msg = (
            "iso_effect_levels needs a realisation, or the name of a perturbation with scan and seed; got "
            f"{what!r} with scan={'None' if scan is None else 'a Scan'}, seed={seed!r}"
        )
        raise ValueError(msg)
    else:
        drawn = realise(what, scan, seed=seed, **options)
    axis = _Axis(drawn)
    found: dict[float, IsoEffect] = {}
    mildest = 0.0
    for target in sorted(set(targets), reverse=True):
        found[target], mildest = _solve(axis, target, tolerance, mildest)
    return tuple(found[target] for target in targets)


def _check(targets: object, tolerance: object) -> None:
    given = targets if isinstance(targets, Sequence) and not isinstance(targets, str) else ()
    if not given or not all(isinstance(it, Real) and 0 < float(it) < 1 for it in given):
        msg = f"targets must be a list of structural similarities between 0 and 1, got {targets!r}"
        raise ValueError(msg)
    if not isinstance(tolerance, Real) or not 0 < float(tolerance) < 0.5:
        msg = f"tolerance must lie between 0 and .5, got {tolerance!r}"
        raise ValueError(msg)


class _UndefinedError(Exception):
    """SSIM does not measure what this perturbation does to this scan."""


@dataclass
class _Axis:
    """Levels of a realisation by their distance from neutral, with the SSIM of those evaluated."""

    drawn: Realisation
    known: dict[float, float] = field(default_factory=lambda: {0.0: 1.0})
    """Distance -> SSIM."""

    def level(self, distance: float) -> float:
        """Return the level at a distance: a ratio on logarithmic scales, else a difference."""
        entry = self.drawn.entry
        sign = 1.0 if self._listed()[-1] > entry.neutral else -1.0
        low, high = entry.limits
        if entry.scale == "log":
            wanted = entry.neutral * math.exp(sign * distance)
        else:
            wanted = entry.neutral + sign * distance
        return min(max(wanted, low), high)

    def distance(self, level: float) -> float:
        """Return how far a level lies from neutral."""
        entry = self.drawn.entry
        if entry.scale == "log":
            return abs(math.log(level / entry.neutral)) if level > 0 else math.inf
        return abs(level - entry.neutral)

    def ahead(self) -> Iterator[float]:
        """Go through the distances of the listed levels, then twice as far each time, to the limit."""
        entry = self.drawn.entry
        listed = self._listed()
        limit = self.distance(entry.limits[1] if listed[-1] > entry.neutral else entry.limits[0])
        last = 0.0
        for level in listed:
            last = min(self.distance(level), limit)
            yield last
        for _ in range(_DOUBLINGS):
            if last >= limit:
                return
            last = min(2.0 * last, limit)
            yield last

    def ssim(self, distance: float) -> float:
        """Evaluate the realisation at a distance; each only once.

        Raises
        ------
        _UndefinedError
            When voxels move, or the scan has no structure.
        ValueError
            When the level cannot be evaluated.
        """
        if distance not in self.known:
            result = self.drawn.at(level=self.level(distance))
            if result.warp is not None and result.warp.moves:
                msg = (
                    "voxels move: SSIM compares places, and falls with any shift of a fine texture"
                )
                raise _UndefinedError(msg)
            value = similarity(self.drawn.scan, result.image)
            if value is None:
                msg = "the scan has no structure: it is constant, or has no axis of 3 voxels"
                raise _UndefinedError(msg)
            self.known[distance] = value
        return self.known[distance]

    def _listed(self) -> tuple[float, ...]:
        return self.drawn.listed[0]


def _solve(axis: _Axis, target: float, tolerance: float, start: float) -> tuple[IsoEffect, float]:
    """Solve one target beyond the distance of the one before; also return the distance."""
    name, scan = axis.drawn.entry.name, axis.drawn.scan
    _, unit = axis.drawn.listed
    try:
        low, high, reason = _bracket(axis, target, start)
        if not reason:
            low, high, reason = _halved(axis, target, tolerance, low, high)
    except _UndefinedError as error:
        return IsoEffect(target, "undefined", None, None, None, unit, str(error)), start
    nearest = min((low, high), key=lambda d: abs(axis.known[d] - target))
    ssim = axis.known[nearest]
    if nearest == 0.0 or abs(ssim - target) > tolerance:
        return IsoEffect(target, "out_of_reach", None, None, ssim, unit, reason), start
    level = axis.level(nearest)
    severity = severity_of(name, level, scan.modality, scan.unit)
    return IsoEffect(target, "ok", level, severity, ssim, unit), nearest


def _bracket(axis: _Axis, target: float, start: float) -> tuple[float, float, str]:
    """Find two distances with the target between their similarities; a reason when there are none."""
    low, why = start, ""
    beyond = sorted({*axis.ahead(), *axis.known})
    for distance in (d for d in beyond if d > start):
        try:
            value = axis.ssim(distance)
        except ValueError as error:
            why = f"; further on: {error}"
            break
        if value < target:
            return low, distance, ""
        low = distance
    _, unit = axis.drawn.listed
    reason = (
        f"SSIM is still {axis.known[low]:.3f} at {axis.level(low):g} {unit}, the strongest that was "
        f"tried{why}"
    )
    return low, low, reason


def _halved(
    axis: _Axis, target: float, tolerance: float, low: float, high: float
) -> tuple[float, float, str]:
    """Halve a bracket until one end has the target; whole levels until they are neighbours."""
    whole = axis.drawn.entry.scale == "ordinal"
    for _ in range(_STEPS):
        near = min(abs(axis.known[low] - target) if low else 1.0, abs(axis.known[high] - target))
        middle = (low + high) / 2
        if whole:
            middle = float(math.floor(middle))
        if near <= tolerance or middle in (low, high):
            break
        if axis.ssim(middle) < target:
            high = middle
        else:
            low = middle
    _, unit = axis.drawn.listed
    jump = (
        f"SSIM goes from {axis.known[low]:.3f} at {axis.level(low):g} to {axis.known[high]:.3f} at "
        f"{axis.level(high):g} {unit} with nothing between"
    )
    return low, high, jump
