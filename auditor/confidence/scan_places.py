"""Where a new scan lies among the calibration scans, and what bounds it there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditor.analysis.proxy_scores import proxy_bound
from auditor.confidence.calibration import (
    Calibration,
    Family,
    group_of,
    offsets_of,
    scores_by_patient,
)
from auditor.confidence.noise_bins import NoiseGate, gate
from auditor.schema.site import SeverityAxis

__all__ = [
    "NewScan", "ScanBound", "ScanPlace", "bin_name", "farness", "level_on", "lowest_bound", "place_in",
    "proxy_on",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewScan:
    """What was measured on a scan before it is rated."""

    name: str
    """Display id."""
    digest: str
    """Of its voxels."""
    modality: str
    state: str
    contradiction: str
    """What its voxels say against modality and state; empty: nothing."""
    unit: str
    """Of length: mm or px."""
    channels: int
    spacing: tuple[float, ...]
    """Along each array axis."""
    estimates: Mapping[str, tuple[float | None, str]]
    """Axis -> (estimate, why there is none)."""
    status: str = "not_run"
    """Of its prediction, for the label of the certificate."""
    reason: str = ""
    """Why there is no prediction."""
    agreement: float | None = None
    copies: int = 0
    """That took part in the agreement."""
    why_no_agreement: str = ""
    self_dsc: float | None = None
    foreground_ratio: float | None = None
    volume: float | None = None
    """Of the prediction, ml or px."""


@dataclass(frozen=True, slots=True)
class ScanPlace:
    """A scan seen by one family of calibration scans."""

    family: Family
    number: int | None
    """Of the bin; None: in none of them."""
    gate: NoiseGate | None
    """On the axis of the family; None: it has none."""
    strange: tuple[str, ...]
    """Other axes on which the scan is unlike the scans of the bin."""

    @property
    def inside(self) -> bool:
        """Whether the scan looks like the scans of the bin on every axis."""
        return self.number is not None and not self.strange


@dataclass(frozen=True, slots=True)
class ScanBound:
    """The bound of one scan, and where it is from."""

    place: ScanPlace
    group: str
    """Empty: all scans of the bin."""
    patients: int
    bound: float
    pac: float | None


def place_in(calibration: Calibration, family: Family, scan: NewScan) -> ScanPlace:
    """Place a scan among the calibration scans of one family."""
    found = (
        None
        if family.axis is None
        else gate(family.axis, *scan.estimates.get(family.name, (None, "")))
    )
    number = 0 if found is None else found.bin
    if number is None:
        return ScanPlace(family, None, found, ())
    limits = family.bins[number].limits
    strange = tuple(
        axis.perturbation
        for axis in calibration.axes
        if axis.perturbation in limits and (level_on(scan, axis) or 0.0) > limits[axis.perturbation]
    )
    return ScanPlace(family, number, found, strange)


def level_on(scan: NewScan, axis: SeverityAxis) -> float | None:
    """Return the estimate of a scan on an axis."""
    return scan.estimates.get(axis.perturbation, (None, ""))[0]


def farness(place: ScanPlace) -> tuple[bool, int]:
    """Tell how far a family is from rating a scan; the smallest is the one to talk of."""
    return place.number is None, len(place.strange)


def proxy_on(calibration: Calibration, scan: NewScan) -> float | None:
    """Return the value of the proxy that is used; None: none is used, or it could not be measured."""
    return {"agreement": scan.agreement, "self_dsc": scan.self_dsc}.get(calibration.proxy)


def lowest_bound(
    calibration: Calibration, inside: Sequence[ScanPlace], scan: NewScan
) -> ScanBound | None:
    """Bound a scan by every family that it looks like; the lowest counts."""
    spec = calibration.certificate.declared
    proxy = proxy_on(calibration, scan)
    group = group_of(scan.foreground_ratio, spec.edges)
    found: list[ScanBound] = []
    for place in inside:
        number = place.number
        assert number is not None  # such places are not inside
        offset = offsets_of(place.family, group, alpha=spec.alpha)[number]
        pac = offsets_of(place.family, group, alpha=spec.alpha, delta=spec.delta)[number]
        if offset is None or (calibration.proxy and proxy is None):
            continue
        found.append(
            ScanBound(
                place=place,
                group=group if place.family.bins[number].apart else "",
                patients=len(scores_by_patient(place.family, group)[number]),
                bound=proxy_bound(offset, proxy),
                pac=None if pac is None else proxy_bound(pac, proxy),
            )
        )
    return min(found, key=lambda it: it.bound, default=None)


def bin_name(place: ScanPlace) -> str:
    """Name the bin of a place that has one."""
    return place.family.bins[place.number or 0].name
