"""Mixes: stated in words or in a file, or read from the scans of a site.

A mix gives conditions a share; the shares sum to 1. Fractional severities are shared between the tested
neighbours, which is linear interpolation of the response curve.

A scan of a site that lies above severity 0 on several axes counts on the one on which it lies furthest: one
axis at a time. What that leaves out is looked at by adding the effects of all its axes (`Scans.added`) and by
the joint condition.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.confidence.placement import hidden_up_to, place
from auditor.confidence.recipe_scores import CLEAN_CONDITION, Condition, blend, weights_at
from auditor.config.site_rows import SAME_PROPERTY
from auditor.errors import ConfigError, DataError
from auditor.schema import CLEAN
from auditor.schema.recipe import SiteUse
from auditor.schema.site import Placement, ProfiledScan, SeverityAxis, Side, SiteProfile

__all__ = ["ScansOfSite", "parse_mix", "scans_of_site", "split_mix"]

Floats = NDArray[np.float64]

_ROUNDING = 1e-6
"""By which stated shares may miss 1."""


@dataclass(frozen=True, slots=True)
class ScansOfSite:
    """Every placed scan of a site as a mix of conditions."""

    furthest: tuple[Mapping[Condition, float], ...]
    """One a scan: the axis on which it lies furthest."""
    added: tuple[Mapping[Condition, float], ...]
    """One a scan: the effects of all its axes added to clean; clean may have a negative share."""
    use: SiteUse

    @property
    def mix(self) -> dict[Condition, float]:
        """Of all placed scans, with equal shares."""
        return _means(self.furthest)

    @property
    def mix_of_added(self) -> dict[Condition, float]:
        """As `mix`, of the added effects: no shares of scans, but weights of means."""
        return _means(self.added)


def _means(scans: Sequence[Mapping[Condition, float]]) -> dict[Condition, float]:
    return blend((scan, 1.0 / len(scans)) for scan in scans)


def split_mix(text: str) -> list[tuple[str, str]]:
    """Read ``rician_noise:1=0.3,clean=0.7`` as pairs of condition and share.

    Raises
    ------
    ConfigError
        When a part is no pair.
    """
    pairs = []
    for part in text.split(","):
        name, equals, share = part.partition("=")
        if not (equals and name.strip() and share.strip()):
            msg = (
                "a mix must be CONDITION=SHARE,.. as clean=0.6,rician_noise:1=0.3,rician_noise:3=0.1; was "
                f"{part.strip()!r}"
            )
            raise ConfigError(msg)
        pairs.append((name.strip(), share.strip()))
    return pairs


def parse_mix(
    pairs: Iterable[tuple[object, object]], conditions: Sequence[Condition]
) -> dict[Condition, float]:
    """Check a stated mix, and share it between tested conditions.

    Parameters
    ----------
    pairs : of (condition, share)
        ``clean``, or ``NAME:SEVERITY``; shares are numbers of [0, 1] or their texts.
    conditions : of the run

    Raises
    ------
    ConfigError
        With every problem at once: unknown or untested conditions, what is no share, a condition that stands
        twice, shares that do not sum to 1.

    Examples
    --------
    >>> tested = [("clean", 0.0), ("noise", 1.0), ("noise", 3.0)]
    >>> parse_mix([("clean", 0.5), ("noise:2", "0.5")], tested)
    {('clean', 0.0): 0.5, ('noise', 1.0): 0.25, ('noise', 3.0): 0.25}
    """
    problems: list[str] = []
    parts: list[tuple[Mapping[Condition, float], float]] = []
    seen: set[Condition] = set()
    total = 0.0
    for name, given in pairs:
        share = _share(given)
        if share is None:
            problems.append(f"{name}: the share must be a number from 0 to 1, was {given!r}")
            continue
        total += share
        try:
            perturbation, severity = _condition(str(name), conditions)
            if (perturbation, severity) in seen:
                problems.append(f"{name}: stands twice")
                continue
            seen.add((perturbation, severity))
            parts.append((weights_at(conditions, perturbation, severity), share))
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if not problems and not parts:
        problems.append("it must name at least one condition")
    if not problems and abs(total - 1.0) > _ROUNDING:
        problems.append(f"the shares must sum to 1, they sum to {total:.6g}")
    if problems:
        msg = f"the mix cannot be used; conditions of this run: {listed(conditions)}"
        raise ConfigError(msg, problems)
    return {it: share / total for it, share in blend(parts).items() if share > 0.0}


def listed(conditions: Sequence[Condition]) -> str:
    """List the conditions of a run in the words of a mix.

    Examples
    --------
    >>> listed([("clean", 0.0), ("noise", 1.0), ("noise", 3.0)])
    'clean, noise:1 to noise:3'
    """
    names = [CLEAN]
    for perturbation in dict.fromkeys(name for name, _ in conditions if name != CLEAN):
        own = sorted(severity for name, severity in conditions if name == perturbation)
        ends = dict.fromkeys((own[0], own[-1]))
        names.append(" to ".join(f"{perturbation}:{severity:g}" for severity in ends))
    return ", ".join(names)


def _share(given: object) -> float | None:
    try:
        share = float(given) if isinstance(given, str | int | float) else math.nan
    except ValueError:
        return None
    # True is a number to Python, and no share
    return share if not isinstance(given, bool) and 0.0 <= share <= 1.0 else None


def _condition(name: str, conditions: Sequence[Condition]) -> Condition:
    if name == CLEAN:
        return CLEAN_CONDITION
    perturbation, colon, text = name.rpartition(":")
    known = sorted({it for it, _ in conditions if it != CLEAN})
    if not colon or perturbation not in known:
        msg = f"must be clean or NAME:SEVERITY with a perturbation of the run ({', '.join(known)})"
        raise ValueError(msg)
    try:
        severity = float(text)
    except ValueError:
        severity = math.nan
    if not 0.0 < severity < math.inf:
        msg = f"the severity must be a number above 0, was {text!r}"
        raise ValueError(msg)
    return perturbation, severity


def scans_of_site(
    profile: SiteProfile,
    axes: Sequence[SeverityAxis],
    conditions: Sequence[Condition],
    *,
    plan_digest: str,
) -> ScansOfSite:
    """Make a mix of every scan of a site.

    Parameters
    ----------
    profile : SiteProfile
    axes : sequence of SeverityAxis
        The run's own. Scans are placed by it from their estimates, whichever run placed them before.
    conditions : of the run
    plan_digest : of the run

    Raises
    ------
    DataError
        When the profile holds no scan with an estimate on an axis of the run.
    """
    usable = _usable(axes, conditions)
    again = profile.run != plan_digest
    rows = [_placements(scan, usable) for scan in profile.scans]
    if not usable or not any(rows):
        names = ", ".join(usable) or "none"
        msg = (
            "the profile must hold scans that were placed on the severity axes of a run (axes of this run: "
            f"{names}); write it by `segaudit profile SCANS --run RUN`"
        )
        raise DataError(msg)
    sides = [{it.side for it in row} for row in rows]
    beyond = [Side.BEYOND in it for it in sides]
    undefined = [not it - {Side.UNDEFINED} for it in sides]
    kept = [
        row
        for row, far, unknown in zip(rows, beyond, undefined, strict=True)
        if not far and not unknown
    ]
    severities = [{it.perturbation: it.severity or 0.0 for it in row} for row in kept]
    return ScansOfSite(
        furthest=tuple(_furthest(it, conditions) for it in severities),
        added=tuple(_added(it, conditions) for it in severities),
        use=SiteUse(
            scans=len(rows),
            placed=len(kept),
            beyond=sum(beyond),
            undefined=sum(undefined),
            several=sum(sum(value > 0.0 for value in it.values()) > 1 for it in severities),
            placed_again=again,
            hidden=tuple((name, hidden_up_to(axis)) for name, axis in usable.items()),
        ),
    )


def _usable(
    axes: Sequence[SeverityAxis], conditions: Sequence[Condition]
) -> dict[str, SeverityAxis]:
    """Axes on which scans can be placed, of each property one."""
    tested = {name for name, _ in conditions}
    found = {it.perturbation: it for it in axes if it.usable and it.perturbation in tested}
    for same in SAME_PROPERTY:
        for other in [name for name in same if name in found][1:]:
            del found[other]
    return found


def _placements(scan: ProfiledScan, axes: Mapping[str, SeverityAxis]) -> list[Placement]:
    return [
        place(axes[it.perturbation], it.estimate, it.reason)
        for it in scan.placements
        if it.perturbation in axes
    ]


def _furthest(
    severities: Mapping[str, float], conditions: Sequence[Condition]
) -> dict[Condition, float]:
    name = max(severities, key=lambda it: severities[it])
    return weights_at(conditions, name, severities[name])


def _added(
    severities: Mapping[str, float], conditions: Sequence[Condition]
) -> dict[Condition, float]:
    clean: dict[Condition, float] = {CLEAN_CONDITION: 1.0}
    effects = [
        blend([(weights_at(conditions, name, severity), 1.0), (clean, -1.0)])
        for name, severity in severities.items()
    ]
    return blend([(clean, 1.0), *((it, 1.0) for it in effects)])
