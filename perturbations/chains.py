"""Several perturbations in the order in which an acquisition has them.

A chain is realised like a single perturbation: every part has a seed of its own, drawn once, so that all
severities of the chain share the draws of each part. At a level the parts act one after the other, each
on the outcome of the one before; what they must know of the scan (reference signal, foreground, support)
stays that of the clean scan, and so do the rays of CT, which are projected once for all parts and levels.
Parts that move voxels are refused: a chain has one frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor

from perturbations.catalog import (
    CATALOG,
    admit,
    get,
    interpolated,
    level_at,
    levels_for,
    options_for,
    severity_of,
)
from perturbations.options import is_number
from perturbations.perturbation import Perturbed, Realisation, realise
from perturbations.scan import Scan
from perturbations.seeds import check_seed, derive_seed

__all__ = ["Part", "chain", "compose", "joint", "mixture", "replay_joint"]

_COILS = "coils"
_STAGES = (
    "texture", _COILS, "blur", "ultrasound", "ct", "k-space", "resolution", "intensity", "noise",
)  # fmt: skip
"""What comes first in an acquisition: the object, coils, the beam and its echoes or rays, sampling,
calibration, receiver noise. Blur comes before speckle, rings and noise, which would lose by it what their
levels say of the finished image."""

_STAGE_OF = {"bias_field": _COILS, "rood_bias_field": _COILS}
"""Lines whose stage is not that of their family: coils act on the signal before k-space samples it."""

_LAST = ("quantisation", "jpeg")
"""After the noise: the display pipeline."""

_JOINT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Part:
    """One link of a chain."""

    name: str
    """In the catalogue."""
    severity: float = 1.0
    """Severity of the part per severity of the chain."""


def chain(
    scan: Scan,
    generator: np.random.Generator,
    *,
    parts: Sequence[Sequence[Any]],
    part_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[float], tuple[Tensor, None]]:
    """Realise a chain whose level is a severity.

    Parameters
    ----------
    scan : Scan
    generator : numpy.random.Generator
        Gives every part its seed.
    parts : sequence of (name, share) or name
        In the order in which they act; at level s a part acts at severity `share` times s, 5 at most.
    part_options : mapping of name to (mapping of option to value), optional
        What is declared for the parts of a name, as the catalogue has it; the others have the defaults.

    Raises
    ------
    TypeError
        When a part, a name, a share or an option has another type.
    ValueError
        When there is no part, one is unknown, moves voxels, or refuses the scan, a share is not positive,
        or an option is unknown.
    """
    links = _parts(parts)
    _check([link.name for link in links], scan)
    declared = _declared(part_options, links)
    seeds = [int(generator.integers(2**63)) for _ in links]

    def at(level: float) -> tuple[Tensor, None]:
        image = scan.image
        for link, seed in zip(links, seeds, strict=True):
            severity = min(level * link.severity, float(len(get(link.name).body.values)))
            wanted = level_at(link.name, severity, scan.modality, scan.unit)
            image = _next(scan, image, link.name, seed, wanted, declared.get(link.name, {}))
        return image if image is not scan.image else image.clone(), None

    return at


def compose(
    scan: Scan,
    parts: Sequence[Part | str | Sequence[Any]],
    *,
    seed: int,
    part_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Realisation:
    """Chain perturbations of your own choice.

    Parameters
    ----------
    scan : Scan
    parts : sequence of Part, (name, share) or name
        In the order in which they act; at severity s of the chain a part acts at `share` times s.
    seed : int
        Of all draws.
    part_options : mapping of name to (mapping of option to value), optional
        `{"motion": {"phase_axis": 1}}`; parts of one name share them.

    Returns
    -------
    Realisation
        With `at(severity=...)` and `record(...)` like any other.

    Raises
    ------
    TypeError, ValueError
        As `chain`.

    Examples
    --------
    >>> import torch
    >>> scan = Scan(image=torch.rand(1, 8, 16, 16) * 100, spacing=(3, 1, 1), modality="mr")
    >>> drawn = compose(scan, ["bias_field", ("thick_slices", 0.5), "rician_noise"], seed=7)
    >>> drawn.at(severity=2).unit
    'severity'
    """
    links = _parts(parts)
    return realise(
        "chain",
        scan,
        seed=seed,
        parts=[[link.name, link.severity] for link in links],
        part_options=_declared(part_options, links),
    )


def joint(levels: Mapping[str, float], scan: Scan, *, seed: int) -> Perturbed:
    """Apply the levels of several axes together: one row of a site profile.

    Parameters
    ----------
    levels : mapping of name to level
        In the unit of each perturbation; neutral ones are left out. They act in the order of an
        acquisition whatever the order here: object, coils, beam, echoes or rays, k-space, resolution,
        values, noise, display.
    scan : Scan
    seed : int
        Of all draws; each perturbation draws from a seed derived from it and its name.

    Returns
    -------
    Perturbed
        Its level is the number of perturbations that acted, its unit 'perturbations together'.

    Raises
    ------
    TypeError
        When the levels are no mapping of names to numbers.
    ValueError
        When a name is unknown, a level is outside its limits, or a perturbation moves voxels or refuses
        the scan.
    """
    _check_row(levels)
    check_seed(seed)
    acting = {name: level for name, level in levels.items() if level != get(name).neutral}
    names = sorted(acting, key=_place)
    _check(names, scan, empty=True)
    for name in names:
        admit(name, acting[name], scan.modality, scan.unit)
    image = scan.image
    for name in names:
        image = _next(scan, image, name, derive_seed(seed, "", name), acting[name])
    changed = bool((image != scan.image).any())
    reason = "" if changed or not names else f"{', '.join(names)} change no voxel of this scan"
    return Perturbed(
        image=image,
        severity=None if names else 0.0,
        level=float(len(names)),
        unit="perturbations together",
        status="ok" if changed or not names else "no_effect",
        reason=reason,
        warp=None,
    )


def replay_joint(record: Mapping[str, Any], scan: Scan) -> Perturbed:
    """Do `joint` again from JSON values: {"version": 1, "levels": {...}, "seed": ..., "modality": ...}.

    Raises
    ------
    ValueError
        When the record is of another version, or for another modality.
    """
    if record.get("version") != _JOINT_VERSION or record.get("modality") != scan.modality:
        msg = (
            f"record must be of version {_JOINT_VERSION} and modality {scan.modality}, got "
            f"{record.get('version')!r} and {record.get('modality')!r}"
        )
        raise ValueError(msg)
    missing = [key for key in ("levels", "seed") if key not in record]
    if missing:
        msg = f"record must hold levels and seed, and lacks {', '.join(missing)}"
        raise ValueError(msg)
    return joint(record["levels"], scan, seed=record["seed"])


def mixture(
    scan: Scan, generator: np.random.Generator, *, rows: Sequence[Mapping[str, float]]
) -> Callable[[float], tuple[Tensor, None]]:
    """Realise one row of a site, drawn among all; the level is how much of it is applied.

    Parameters
    ----------
    scan : Scan
    generator : numpy.random.Generator
        Draws the row, and the seed of what it holds.
    rows : sequence of (mapping of name to level)
        As scans of a site were placed: what occurs together stays together. Empty rows are scans like the
        test set. At level 1 a row is applied as it is; below, each of its levels is moved towards its
        neutral value along its axis of severities.
    """
    if not _listed(rows, "rows of joint", "mappings of perturbation to level"):
        msg = "joint needs rows, mappings of perturbation to level; got none"
        raise ValueError(msg)
    for row in rows:
        _check_row(row)
        _check(list(row), scan, empty=True)
    drawn = dict(rows[int(generator.integers(len(rows)))])
    seed = int(generator.integers(2**63))

    def at(level: float) -> tuple[Tensor, None]:
        moved = {name: _toward(name, it, level, scan) for name, it in drawn.items()}
        image = joint(moved, scan, seed=seed).image
        return image if image is not scan.image else image.clone(), None

    return at


def _toward(name: str, level: float, share: float, scan: Scan) -> float:
    """Move a level towards its neutral value along its axis of severities."""
    if share == 1.0:
        return level
    severity = severity_of(name, level, scan.modality, scan.unit)
    knots = (get(name).neutral, *levels_for(name, scan.modality, scan.unit)[0])
    if severity is None or get(name).scale == "ordinal":
        msg = f"{name} at {level:g} lies beyond its listed levels, so that no share of it can be taken"
        raise ValueError(msg)
    return interpolated(knots, severity * share, get(name).scale)


def _next(
    scan: Scan,
    image: Tensor,
    name: str,
    seed: int,
    level: float,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Tensor:
    """Apply one part to what the parts before it left."""
    if level == get(name).neutral:
        return image
    return realise(name, scan.successor(image), seed=seed, **options).at(level=level).image


def _parts(given: object) -> list[Part]:
    """Read the parts of a chain, one by one."""
    return [_part(it) for it in _listed(given, "parts of a chain", "names and (name, share)")]


def _listed(given: object, what: str, of: str) -> Sequence[Any]:
    """Refuse what is no list; a name is none, though Python takes it for one of letters."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        msg = f"{what} must be a list of {of}, got {given!r}"
        raise TypeError(msg)
    return given


def _part(given: object) -> Part:
    """Read one part, as `Part`, name, or name and share."""
    pair: Sequence[object] = ()
    if isinstance(given, Part):
        pair = given.name, given.severity
    elif isinstance(given, str):
        pair = given, 1.0
    elif isinstance(given, Sequence):
        pair = given
    if len(pair) != 2:
        msg = f"a part of a chain must be a name or (name, share), got {given!r}"
        raise TypeError(msg)
    name, severity = pair
    if not isinstance(name, str):
        msg = f"a part of a chain must begin with the name of a perturbation, got {name!r}"
        raise TypeError(msg)
    if not is_number(severity):
        msg = f"the share of {name} in a chain must be a positive number, got {severity!r}"
        raise TypeError(msg)
    if not 0 < severity < math.inf:
        msg = f"the share of {name} in a chain must be a positive number, got {severity!r}"
        raise ValueError(msg)
    return Part(name, float(severity))


def _declared(given: object, links: Sequence[Part]) -> dict[str, dict[str, Any]]:
    """Read what is declared for parts, by name."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(it, Mapping) for it in given.values()):
        msg = f"part_options of a chain must be a mapping of part to its options, got {given!r}"
        raise TypeError(msg)
    names = list(dict.fromkeys(link.name for link in links))
    for name, options in given.items():
        if name not in names:
            msg = f"part_options must be for parts of the chain, {', '.join(names)}; got {name!r}"
            raise ValueError(msg)
        options_for(name, options)
    return {name: dict(options) for name, options in given.items()}


def _check_row(levels: object) -> None:
    """Refuse what is no mapping of names to numbers."""
    if not isinstance(levels, Mapping):
        msg = f"a row of joint must be a mapping of perturbation to level, got {levels!r}"
        raise TypeError(msg)
    for name, level in levels.items():
        if not isinstance(name, str):
            msg = f"a row of joint must hold names of perturbations, got {name!r}"
            raise TypeError(msg)
        if not is_number(level):
            msg = f"the level of {name} in a row of joint must be a number, got {level!r}"
            raise TypeError(msg)


def _check(names: Sequence[str], scan: Scan, *, empty: bool = False) -> None:
    """Refuse what cannot be a part."""
    if not names and not empty:
        msg = "a chain needs at least one part, got none"
        raise ValueError(msg)
    for name in names:
        entry = get(name)
        levels_for(name, scan.modality, scan.unit)
        if entry.geometric or entry.family == "acquisition":
            what = "moves voxels or loses them" if entry.geometric else "is a chain itself"
            msg = f"{name} {what} and cannot be part of a chain; parts may be {', '.join(_possible())}"
            raise ValueError(msg)
        if entry.on_state(scan.state, scan.modality) == "refused":
            msg = f"{name} is no physics on {scan.state} scans and cannot be part of a chain there"
            raise ValueError(msg)


def _possible() -> list[str]:
    return [
        name
        for name, entry in CATALOG.items()
        if not entry.geometric and entry.family != "acquisition" and not entry.protocol
    ]


def _place(name: str) -> tuple[int, int, str]:
    """Sort by: display or not, stage, name."""
    stage = _STAGE_OF.get(name, get(name).family)
    known = _STAGES.index(stage) if stage in _STAGES else len(_STAGES)
    return (int(name in _LAST), known, name)
