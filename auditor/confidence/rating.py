"""How far one new scan may be trusted: its bound and grade, or why it is not rated.

A scan is rated when it is one of those that the certificate was calibrated for: same modality, state, axes and
channels, a spacing near theirs, on every axis of noise within what calibration scans like it have, and with a
prediction that is not empty. Everything else is *not rated*, which is no judgement of the scan.
"""

from __future__ import annotations

from dataclasses import dataclass

from auditor.analysis.conformal import needed_pac
from auditor.confidence.calibration import Calibration
from auditor.confidence.certificate_facts import facts_of
from auditor.confidence.grading import grade_of, left_out_outcomes
from auditor.confidence.placement import place, severity_bin
from auditor.confidence.rated_masks import MaskFamily, margins_at, no_margins
from auditor.confidence.rating_words import (
    notes,
    outside,
    sentence,
    strangeness,
    too_few,
    undefined_axes,
    unlike,
    unpredicted,
)
from auditor.confidence.scan_places import (
    NewScan,
    ScanBound,
    ScanPlace,
    bin_name,
    farness,
    lowest_bound,
    place_in,
    proxy_on,
)
from auditor.schema import Estimate
from auditor.schema.ratings import RATING_VERSION, AxisPosition, GradeOutcome, Rating
from auditor.schema.site import Placement

__all__ = ["rate"]


@dataclass(frozen=True, slots=True)
class _Looked:
    """What is known of a scan before a bound is given."""

    alike: bool
    """Whether it is of the kind that the certificate is for."""
    places: tuple[ScanPlace, ...]
    """By family; empty when it is not alike."""
    found: ScanBound | None
    """Where it lies inside, and its patients suffice."""
    reasons: tuple[str, ...]
    """Why it is not rated."""
    near: tuple[str, ...]
    """What is unusual, but no reason."""

    @property
    def bound(self) -> ScanBound | None:
        """None: not rated."""
        return None if self.reasons else self.found

    @property
    def shown(self) -> ScanPlace | None:
        """The place to talk of; None: there is none."""
        return self.found.place if self.found else min(self.places, key=farness, default=None)


def rate(
    calibration: Calibration, scan: NewScan, *, tool: str, masks: MaskFamily = "distance"
) -> Rating:
    """Rate one scan.

    Parameters
    ----------
    calibration : Calibration
        Of `calibrated`.
    scan : NewScan
        As it was measured.
    tool : str
        segaudit and its version.
    masks : distance or probability
        By which inner and outer mask are nested around the prediction.

    Returns
    -------
    Rating
        A scan that is not rated has the grade NR, no bound, no margins, and the reasons.
    """
    certificate = calibration.certificate
    looked = _look(calibration, scan)
    bound, spec = looked.bound, certificate.declared
    grade = grade_of(None if bound is None else bound.bound, spec.grades)
    outcomes: tuple[GradeOutcome, ...] = ()
    margins = no_margins(certificate, masks)
    if bound is not None:
        family, number = bound.place.family, bound.place.number or 0
        outcomes = left_out_outcomes(calibration, family, number)
        margins = margins_at(calibration, family, number, masks)
    used = scan.digest in certificate.voxel_digests
    return Rating(
        version=RATING_VERSION,
        tool=tool,
        scan=scan.name,
        grade=grade,
        bound=_estimate(calibration, looked, pac=False),
        pac_bound=_estimate(calibration, looked, pac=True),
        sentence=sentence(calibration, bound),
        reasons=looked.reasons,
        notes=notes(calibration, scan, bound, looked.near, used=used),
        calibrated_by="" if bound is None else bound.place.family.name,
        bin="" if bound is None else bin_name(bound.place),
        group="" if bound is None else bound.group,
        proxy=proxy_on(calibration, scan),
        copies=scan.copies,
        foreground_ratio=scan.foreground_ratio,
        volume=scan.volume,
        positions=_positions(calibration, looked.shown, scan),
        margins=margins,
        outcome=next((it for it in outcomes if it.grade is grade), None),
        used_for_calibration=used,
        status=scan.status,
        certificate=facts_of(calibration),
    )


def _look(calibration: Calibration, scan: NewScan) -> _Looked:
    strange = unlike(calibration.certificate, scan)
    if strange:
        return _Looked(alike=False, places=(), found=None, reasons=strange, near=())
    far, near = strangeness(calibration.certificate, scan)
    places = tuple(place_in(calibration, family, scan) for family in calibration.families)
    reasons = [*far, *undefined_axes(calibration, scan)]
    inside = [it for it in places if it.inside]
    if not inside and not undefined_axes(calibration, scan):
        reasons += outside(calibration, places, scan)
    reasons += unpredicted(calibration, scan)
    found = lowest_bound(calibration, inside, scan)
    if not reasons and found is None:
        reasons.append(too_few(calibration, inside))
    return _Looked(alike=True, places=places, found=found, reasons=tuple(reasons), near=near)


def _estimate(calibration: Calibration, looked: _Looked, *, pac: bool) -> Estimate:
    spec, found = calibration.certificate.declared, looked.bound
    level = 1 - spec.alpha
    method = f"split conformal, PAC rank (delta {spec.delta:g})" if pac else "split conformal"
    if found is None:
        note = looked.reasons[0]
        return Estimate(None, 0, method, "lower", level, status="not_rated", note=note)
    value = found.pac if pac else found.bound
    if value is not None:
        return Estimate(value, found.patients, method, "lower", level)
    note = f"needs n >= {needed_pac(spec.alpha, spec.delta)}"
    return Estimate(
        None, found.patients, method, "lower", level, status="not_certifiable", note=note
    )


def _positions(
    calibration: Calibration, shown: ScanPlace | None, scan: NewScan
) -> tuple[AxisPosition, ...]:
    """Where the scan lies on every axis, beside the calibration scans of the family that is shown."""
    if shown is None:
        return ()
    calibrated = {it.name for it in calibration.families}
    own = shown.family.name
    limits = (
        shown.family.bins[shown.number].limits
        if shown.number is not None
        else {it.perturbation: it.high[0] for it in calibration.axes}
    )
    rows = []
    for axis in calibration.certificate.axes:
        name = axis.perturbation
        level, reason = scan.estimates.get(name, (None, ""))
        placed: Placement = place(axis, level, reason)
        limit = None
        if axis.usable:
            limit = axis.high[-1] if name == own else limits[name]
        rows.append(
            AxisPosition(
                axis=axis,
                placement=placed,
                bin=severity_bin(placed),
                calibrated=name in calibrated,
                limit=limit,
                inside=not axis.usable or (level is not None and level <= (limit or 0.0)),
            )
        )
    return tuple(rows)
