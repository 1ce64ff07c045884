"""The rows of a site profile, as what is applied together to a test scan."""

from __future__ import annotations

from pathlib import Path

from auditor.schema.encoding import decode
from auditor.schema.site import ProfiledScan, SeverityAxis, Side, SiteProfile
from perturbations.catalog import get, interpolated

__all__ = ["SAME_PROPERTY", "rows_of_site"]

SAME_PROPERTY = (("rician_noise", "noncentral_chi_noise", "gaussian_noise"),)
"""Axes of one property, the most physical first: a scan has its noise once, whichever law it is told by."""


def rows_of_site(
    path: Path, modality: str, state: str, warnings: list[str]
) -> list[dict[str, float]]:
    """Read what each scan of a site has beyond the test set, as levels to be added together.

    Parameters
    ----------
    path : Path
        Written by ``segaudit profile --run``.
    modality, state : str
        Of the cases of the audit.
    warnings : list of str
        Is told of scans that lie beyond the tested severities, of axes on which scans could not be
        placed, and of a site that is no worse than the test set.

    Returns
    -------
    list of (mapping of perturbation to level)
        One a scan; empty for a scan like the test set. What lies beyond the last tested severity counts as
        that severity.

    Raises
    ------
    ValueError
        When the file is no site profile, was not placed by a run, or is of other scans than the cases.
    """
    profile = _read(path)
    if (profile.modality, profile.state) != (modality, state):
        msg = (
            f"the profile must be of {modality} scans in the state {state}, as the cases are, was of "
            f"{profile.modality}, {profile.state}: {path.name}"
        )
        raise ValueError(msg)
    axes = {axis.perturbation: axis for axis in profile.axes if axis.usable}
    for same in SAME_PROPERTY:
        for other in [name for name in same if name in axes][1:]:
            del axes[other]
    if not axes or not profile.scans:
        msg = (
            f"the profile must hold scans that a run placed on its severity axes; write {path.name} by "
            "`segaudit profile SCANS --run RUN`"
        )
        raise ValueError(msg)
    beyond, unplaced, rows = 0, 0, []
    for scan in profile.scans:
        rows.append(_row(scan, axes))
        sides = [it.side for it in scan.placements if it.perturbation in axes]
        beyond += Side.BEYOND in sides
        unplaced += Side.UNDEFINED in sides
    for count, what in (
        (beyond, "lie beyond the last tested severity of an axis and count as that severity"),
        (unplaced, "could not be placed on an axis, on which nothing is applied"),
    ):
        if count:
            warnings.append(f"perturbations.joint: {count} of {len(rows)} scans of the site {what}")
    if not any(rows):
        warnings.append(
            f"perturbations.joint: none of the {len(rows)} scans of the site has anything beyond the test "
            "set, so that joint changes nothing"
        )
    return rows


def _row(scan: ProfiledScan, axes: dict[str, SeverityAxis]) -> dict[str, float]:
    row = {}
    for place in scan.placements:
        axis = axes.get(place.perturbation)
        if axis is None or place.side in (Side.CLEANER, Side.UNDEFINED):
            continue
        severity = place.severity
        if severity is None or severity >= axis.severities[-1]:
            row[place.perturbation] = axis.levels[-1]
        elif severity > 0:
            row[place.perturbation] = _level(axis, severity)
    return row


def _level(axis: SeverityAxis, severity: float) -> float:
    """Find the level that the run added at a severity, between those that it tested."""
    above = next(k for k, it in enumerate(axis.severities) if it >= severity)
    if axis.severities[above] == severity:
        return axis.levels[above]
    low, high = axis.severities[above - 1], axis.severities[above]
    knots = (axis.levels[above - 1], axis.levels[above])
    return interpolated(knots, (severity - low) / (high - low), get(axis.perturbation).scale)


def _read(path: Path) -> SiteProfile:
    try:
        return decode(path.read_text(encoding="utf-8"), SiteProfile)
    except OSError as error:
        msg = f"the profile must be a site.json of `segaudit profile`, {path.name} is not: {error.strerror}"
        raise ValueError(msg) from None
    except ValueError as error:
        msg = f"the profile must be a site.json of `segaudit profile`, {path.name} is not: {error}"
        raise ValueError(msg) from None
