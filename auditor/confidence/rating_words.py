"""Why a scan is not rated, and what must be known of a rating, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.analysis.conformal import needed_marginal
from auditor.confidence.calibration import Calibration
from auditor.confidence.scan_places import (
    NewScan,
    ScanBound,
    ScanPlace,
    bin_name,
    farness,
    level_on,
    proxy_on,
)
from auditor.schema import Certificate, Status
from auditor.schema.ratings import bound_text
from auditor.schema.site import SeverityAxis

__all__ = [
    "SPACING_FACTOR", "notes", "outside", "sentence", "strangeness", "too_few", "undefined_axes", "unlike",
    "unpredicted",
]  # fmt: skip

SPACING_FACTOR = 1.25
"""A spacing beyond that of all calibration scans by more is not rated."""


def unlike(certificate: Certificate, scan: NewScan) -> tuple[str, ...]:
    """Say why a scan is none that the certificate's system was calibrated for; empty: it may be one.

    A scan with one of these reasons need not be predicted at all.
    """
    kind = f"{certificate.modality}, {certificate.state}"
    declared = f"{scan.modality}, {scan.state}"
    wanted = certificate.channels
    told = []
    if declared != kind:
        told.append(f"it is declared {declared}; the certificate is for {kind}")
    elif scan.contradiction:
        told.append(f"the certificate is for {kind}: {scan.contradiction}")
    if len(scan.spacing) != certificate.ndim:
        told.append(
            f"it is {len(scan.spacing)}-D; the certificate is for {certificate.ndim}-D scans"
        )
    if scan.channels != wanted:
        told.append(f"it has {scan.channels} channel(s); the system takes {wanted}")
    if scan.unit != certificate.length_unit:
        told.append(
            f"its lengths are in {scan.unit}; those of the calibration scans in {certificate.length_unit}"
        )
    return tuple(told)


def strangeness(certificate: Certificate, scan: NewScan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Compare the spacing with that of the calibration scans.

    Returns
    -------
    far, near : tuple of str
        Axes beyond it by more than `SPACING_FACTOR`, which is not rated; axes just outside, which is told.
    """
    far, near = [], []
    names = "zyx"[-len(scan.spacing) :]
    limits = zip(certificate.spacing_low, certificate.spacing_high, strict=True)
    for name, own, (low, high) in zip(names, scan.spacing, limits, strict=True):
        seen = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        told = (
            f"its spacing along {name} is {own:.4g} {scan.unit}; the calibration scans have {seen} "
            f"{scan.unit}"
        )
        if not low / SPACING_FACTOR <= own <= high * SPACING_FACTOR:
            far.append(told)
        elif not low * 0.999 <= own <= high * 1.001:
            near.append(told)
    return tuple(far), tuple(near)


def undefined_axes(calibration: Calibration, scan: NewScan) -> tuple[str, ...]:
    """Name the axes on which every calibration scan was placed, and this one cannot be."""
    told = []
    for axis in calibration.axes:
        level, reason = scan.estimates.get(axis.perturbation, (None, ""))
        if level is None:
            why = f": {reason}" if reason else ""
            told.append(f"{axis.perturbation} cannot be estimated on it{why}")
    return tuple(told)


def outside(calibration: Calibration, places: Sequence[ScanPlace], scan: NewScan) -> list[str]:
    """Say on which axes a scan is unlike the calibration scans, seen by the family that is nearest."""
    beyond = [it.family.axis for it in places if it.number is None and it.family.axis is not None]
    nearest = min(places, key=farness)
    told = [
        _strange(axis, nearest, scan, calibrated=axis in [it.family.axis for it in places])
        for axis in calibration.axes
        if axis.perturbation in nearest.strange and axis not in beyond
    ]
    return [*(_beyond(axis, scan) for axis in beyond), *told]


def _strange(axis: SeverityAxis, place: ScanPlace, scan: NewScan, *, calibrated: bool) -> str:
    """Say that a scan has more on an axis than the calibration scans that are like it otherwise."""
    own = place.family.bins[place.number or 0]
    level = f"{axis.perturbation}: estimated at {level_on(scan, axis):.3g} {axis.unit}"
    seen = f"up to {own.limits[axis.perturbation]:.3g}"
    if own.name != "0":
        return (
            f"{level}; calibration scans at {place.family.name} {own.name} have {seen}, and the two "
            "together were not calibrated"
        )
    why = "" if calibrated else f", and severities of {axis.perturbation} were not calibrated"
    return f"{level}; the calibration scans as they are have {seen}{why}"


def _beyond(axis: SeverityAxis, scan: NewScan) -> str:
    return (
        f"{axis.perturbation}: estimated at {level_on(scan, axis):.3g} {axis.unit}; beyond the highest "
        f"severity that was calibrated, where scans have up to {axis.high[-1]:.3g}"
    )


def unpredicted(calibration: Calibration, scan: NewScan) -> list[str]:
    """Say why there is no prediction that could be rated."""
    if scan.status == "not_run":
        return []
    if scan.status == Status.PREDICTION_EMPTY.value:
        return [f"its prediction holds no voxel of {calibration.certificate.declared.label}"]
    if scan.status != Status.OK.value:
        return [f"its prediction {scan.status.replace('_', ' ')}: {scan.reason}"]
    if calibration.proxy and proxy_on(calibration, scan) is None:
        why = (
            scan.why_no_agreement
            if calibration.proxy == "agreement"
            else "there are no probabilities"
        )
        return [f"the proxy ({calibration.proxy}) cannot be measured on it: {why}"]
    return []


def too_few(calibration: Calibration, inside: Sequence[ScanPlace]) -> str:
    """Say how many patients there are in the bins that a scan lies in, and how many it takes."""
    spec = calibration.certificate.declared
    told = " and ".join(
        f"{it.family.name} {bin_name(it)} has {len(it.family.bins[it.number or 0].worst())}"
        for it in inside
    )
    return (
        f"too few patients were calibrated where it lies ({told}); a bound for "
        f"{100 * (1 - spec.alpha):.3g} % of scans needs {needed_marginal(spec.alpha)}"
    )


def sentence(calibration: Calibration, found: ScanBound | None) -> str:
    """Say what is promised, and what it is not."""
    if found is None:
        return "Nothing is promised for this scan."
    spec = calibration.certificate.declared
    where = ""
    if found.place.family.axis is not None and bin_name(found.place) != "0":
        where = f" at {found.place.family.name} {bin_name(found.place)}"
    return (
        f"Of 100 scans like those of the {found.patients} patients used for calibration{where}, about "
        f"{100 * (1 - spec.alpha):.0f} have a DSC above the bound shown for them; for this scan it is "
        f"{bound_text(found.bound)}. This is not a probability for this patient, and not a treatment margin."
    )


def notes(
    calibration: Calibration,
    scan: NewScan,
    found: ScanBound | None,
    near: Sequence[str],
    *,
    used: bool,
) -> tuple[str, ...]:
    """Say what a reader must know of a rating, beside the reasons why there is none.

    Parameters
    ----------
    calibration, scan
        What is rated, with what.
    found : ScanBound, optional
        What bounds it; None: not rated.
    near : sequence of str
        What is unusual, but no reason.
    used : bool
        Whether this scan is one of the calibration scans.
    """
    told = [f"{it[:1].upper()}{it[1:]}." for it in near]
    if used:
        told.insert(
            0,
            "This very scan was used for calibration: its bound says nothing new, and it proves no promise.",
        )
    if not calibration.proxy:
        told.append(
            f"No proxy is used ({calibration.proxies.reason}): the bound is the same for every scan of its bin."
        )
    told += [
        f"On {axis.perturbation} it is cleaner than the calibration scans, and counts as one of them."
        for axis in calibration.axes
        if (level := level_on(scan, axis)) is not None and level < axis.low[0]
    ]
    unplaced = [it.perturbation for it in calibration.certificate.axes if not it.usable]
    unknown = sorted({*unplaced, *calibration.not_placed})
    if unknown:
        told.append(
            f"Whether this scan has {', '.join(unknown)} cannot be told, and is not part of the rating."
        )
    if not calibration.axes:
        told.append(
            "The audit has no axis on which a scan could be placed: nothing is known of its noise."
        )
    if found is not None and found.bound == 0.0:
        told.append("The bound is 0: no DSC is excluded.")
    if found is not None and calibration.certificate.declared.edges and not found.group:
        told.append(
            "Groups of foreground ratio are calibrated together: some have too few patients."
        )
    return tuple(told)
