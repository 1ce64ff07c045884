"""Measure the unlabelled scans of a site, and place them on the severity axes of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from auditor.confidence import BINS, axes_of_run, hidden_up_to, place, severity_bin
from auditor.errors import AuditError, ConfigError, DataError
from auditor.pipeline.folder import tool_version
from auditor.pipeline.run import read_run
from auditor.schema.site import (
    SITE_VERSION,
    Measured,
    Placement,
    ProfiledScan,
    SeverityAxis,
    Side,
    SiteProfile,
)
from perturbations import Scan

__all__ = ["estimated_on", "profile", "profile_lines"]


def profile(
    scans: Path,
    *,
    modality: str | None = None,
    state: str | None = None,
    run: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[SiteProfile, tuple[tuple[str, str], ...]]:
    """Measure every scan below a folder.

    Parameters
    ----------
    scans : Path
        One scan, or a folder that is searched to any depth; references are not needed.
    modality, state : str, optional
        Of all scans; those of the run when they are left out, and raw without a run.
    run : Path, optional
        Folder of a finished run, whose own table places the scans on its severity axes.
    progress : function of (done, total), optional
        Called after every scan.

    Returns
    -------
    profile : SiteProfile
        Rows under display ids; no file name.
    identities : tuple of (display id, file name)
        To be kept by the site.

    Raises
    ------
    ConfigError
        When the modality is not known, or is not that of the run.
    DataError
        When there is no scan, none could be read, or the run is not finished.
    """
    axes: tuple[SeverityAxis, ...] = ()
    digest = ""
    if run is not None:
        audit = read_run(run).results.audit
        modality = _same("modality", modality, audit.modality)
        state = _same("state", state, audit.state)
        axes, digest = axes_of_run(run), audit.plan_digest
    if modality is None:
        msg = "the modality of the scans must be declared: --modality ct, mr, us, xray, microscopy, other"
        raise ConfigError(msg)
    from auditor.cases import find_scans

    files = find_scans(scans)
    rows: list[ProfiledScan] = []
    unread: list[tuple[str, str]] = []
    identities = []
    for number, file in enumerate(files, start=1):
        name = f"S{number:03d}"
        identities.append((name, file.name))
        try:
            rows.append(
                measure_scan(name, file, modality=modality, state=state or "raw", axes=axes)
            )
        except (AuditError, ValueError) as error:
            # the sentence names the file, which is not to leave the site
            unread.append((name, str(error).splitlines()[0].replace(file.name, "the file")))
        if progress is not None:
            progress(number, len(files))
    if not rows:
        msg = f"none of the {len(files)} files is a scan that can be profiled:"
        told = zip(files, unread, strict=True)
        raise DataError(msg, [f"{file.name}: {reason}" for file, (_, reason) in told])
    profiled = SiteProfile(
        version=SITE_VERSION,
        tool=f"segaudit {tool_version()}",
        modality=modality,
        state=state or "raw",
        scans=tuple(rows),
        unread=tuple(unread),
        run=digest,
        axes=axes,
    )
    return profiled, tuple(identities)


def measure_scan(
    name: str, file: Path, *, modality: str, state: str, axes: Sequence[SeverityAxis]
) -> ProfiledScan:
    """Estimate what can be estimated on one scan, and place it.

    Raises
    ------
    DataError
        When the file cannot be read, or its voxels are no scan of that modality.
    ValueError
        When its voxels are no scan at all.
    """
    from auditor.cases import contradiction, read_volume
    from perturbations import estimate

    image, geometry = read_volume([str(file)])
    if told := contradiction(image, modality=modality, state=state):
        raise DataError(told)
    scan = Scan(
        image=image, spacing=geometry.spacing, unit=geometry.unit, modality=modality, state=state
    )
    return ProfiledScan(
        scan=name,
        spacing=scan.spacing,
        shape=scan.spatial_shape,
        measured=tuple(
            Measured(it.name, it.value, it.unit, it.reason) for it in estimate.estimate_all(scan)
        ),
        placements=tuple(place(axis, *estimated_on(axis, scan)) for axis in axes),
    )


def estimated_on(axis: SeverityAxis, scan: Scan) -> tuple[float | None, str]:
    """Estimate where a scan lies on an axis whose levels are in the unit of the scan's own.

    Returns
    -------
    estimate : float, optional
        In the unit of the axis.
    reason : str
        Why there is none, where that is known.
    """
    from perturbations import estimate, levels_for

    _, unit = levels_for(axis.perturbation, scan.modality, scan.unit)
    if unit != axis.unit:
        return None, (
            f"its lengths are in {scan.unit}, so that it is measured in {unit}; the axis of the run is in "
            f"{axis.unit}"
        )
    return estimate.estimate_level(axis.perturbation, scan), ""


def profile_lines(profile: SiteProfile) -> list[str]:
    """Say in a few lines where the scans of a site lie."""
    lines = []
    for axis in profile.axes:
        placed = [it for scan in profile.scans for it in scan.placements]
        lines += _axis_lines(axis, [it for it in placed if it.perturbation == axis.perturbation])
    if not profile.axes:
        every = [it for scan in profile.scans for it in scan.measured]
        for name, unit in dict.fromkeys((it.name, it.unit) for it in every):
            found = [it for it in every if (it.name, it.unit) == (name, unit)]
            lines.append(f"{name:16} {_summary(found)}")
    return lines


def _axis_lines(axis: SeverityAxis, placed: Sequence[Placement]) -> list[str]:
    """Count the scans in every bin of an axis, and say what it cannot tell."""
    if not axis.usable:
        return [f"{axis.perturbation:16} {axis.reason}"]
    counted = dict.fromkeys(BINS, 0)
    for it in placed:
        counted[severity_bin(it)] += 1
    told = ", ".join(f"{label}: {count}" for label, count in counted.items() if count)
    lines = [f"{axis.perturbation:16} {told} (of {len(placed)} scans; severity)"]
    if hidden := hidden_up_to(axis):
        lines.append(f"{'':16} up to {hidden:.2g} is not told from the test set's own spread")
    reasons = dict.fromkeys(it.reason for it in placed if it.side is Side.UNDEFINED)
    return lines + [f"{'':16} undefined: {reason}" for reason in reasons]


def _summary(found: Sequence[Measured]) -> str:
    """Summarise one property in one unit."""
    values = [it.value for it in found if it.value is not None]
    if not values:
        return f"undefined: {found[0].reason}"
    return (
        f"median {float(np.median(values)):.4g} {found[0].unit}, {min(values):.4g} to {max(values):.4g} "
        f"(n = {len(values)})"
    )


def _same(what: str, given: str | None, of_run: str) -> str:
    if given is not None and given != of_run:
        msg = f"the {what} of the scans must be that of the run, {of_run}, was {given}"
        raise ConfigError(msg)
    return of_run
