"""What the scans of a certificate calibrate: bounds, bin by bin, and where they hold.

**Which scans are alike.** Estimators answer to more than their own artefact: a scan to which nothing but
noise was added may look as if it had a bias field, too. So every calibrated axis has calibration scans
of its own (those as they are, and those under that axis), put into bins by their estimate on it. In every bin
the same scans tell what is to be expected on all *other* axes: the limits of the bin. A new scan is rated by
an axis when it lies in one of its bins and, on every other axis, within the limits of that bin. Noise
that looks like a bias field is then rated; noise together with a bias field, which no calibration scan had,
is not.

**Which number.** One score per patient and bin, the worst: DSC minus proxy, or the DSC alone where the proxy
tells too little. What failed counts with DSC 0. A bound never rises with noise.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.binned_conformal import binned_lowers
from auditor.analysis.conformal import left_out_bounds, needed_marginal, needed_pac
from auditor.analysis.grouped_conformal import ENOUGH
from auditor.analysis.proxy_scores import ProxyScores, proxy_scores
from auditor.confidence.noise_bins import bin_names, gate
from auditor.confidence.placement import reached_by
from auditor.metrics.policy import FAILURES
from auditor.schema import CLEAN, CalibrationScan, Certificate, Status
from auditor.schema.ratings import CalibratedBin
from auditor.schema.site import SeverityAxis
from auditor.strata.assign import place_between, range_names

__all__ = [
    "Calibration",
    "Family",
    "NoiseBin",
    "Scored",
    "calibrated",
    "dsc_of",
    "group_of",
    "is_lost",
    "left_out_offsets",
    "offsets_of",
    "scores_by_patient",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """One calibration scan that counts in a bin."""

    patient: str
    dsc: float
    """What failed: 0."""
    proxy: float
    """What it does not have: 1, the most that it could claim."""
    score: float
    """DSC minus proxy, or the DSC alone."""
    group: str
    """Of the predicted foreground ratio."""
    rated: bool
    """False: it failed or has an empty prediction, so that nothing would have been promised."""
    source: CalibrationScan


@dataclass(frozen=True, slots=True)
class NoiseBin:
    """The calibration scans of one bin."""

    name: str
    """``0``, ``0-1`` and on."""
    scans: tuple[Scored, ...]
    limits: Mapping[str, float]
    """Highest estimate on each other axis with which a scan still looks like these."""
    apart: bool
    """Whether each group of foreground ratio has patients enough for bounds of its own."""

    def worst(self, group: str | None = None) -> dict[str, float]:
        """Smallest score of each patient, of all scans or of one group."""
        found: dict[str, float] = {}
        for scan in self.scans:
            if group is None or scan.group == group:
                found[scan.patient] = min(scan.score, found.get(scan.patient, np.inf))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """The scans as they are together with those under one axis."""

    name: str
    """Of the axis; ``clean``: nothing but scans as they are."""
    axis: SeverityAxis | None
    """None: scans as they are."""
    bins: tuple[NoiseBin, ...]
    """Lowest noise first."""


@functools.lru_cache(maxsize=1024)
def scores_by_patient(family: Family, group: str) -> tuple[Mapping[str, float], ...]:
    """Scores of each bin by patient: those of a group where every group has enough, else all."""
    return tuple(it.worst(group if it.apart else None) for it in family.bins)


@functools.lru_cache(maxsize=1024)
def offsets_of(
    family: Family, group: str, *, alpha: float, delta: float | None = None
) -> tuple[float | None, ...]:
    """Bound the score of a new patient in each bin; None: too few patients."""
    columns = [np.array(list(it.values())) for it in scores_by_patient(family, group)]
    return binned_lowers(columns, alpha=alpha, delta=delta)


def left_out_offsets(
    family: Family, number: int, group: str, *, alpha: float
) -> Mapping[str, float | None]:
    """Bound the score of each patient of a bin by the scores of all other patients."""
    columns = scores_by_patient(family, group)
    whole = offsets_of(family, group, alpha=alpha)
    per_bin = [_left_out(it, alpha) for it in columns[: number + 1]]
    found: dict[str, float | None] = {}
    for patient in columns[number]:
        values = [
            # who is not in a bin leaves its bound as it is
            (None if own is None else own[patient]) if patient in columns[i] else whole[i]
            for i, own in enumerate(per_bin)
        ]
        known = [it for it in values if it is not None]
        found[patient] = None if values[number] is None else min(known)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What a certificate promises, ready to rate scans."""

    certificate: Certificate
    proxy: str
    """agreement, self_dsc; empty: none is used."""
    proxies: ProxyScores
    """Why; over the clean scans."""
    families: tuple[Family, ...]
    axes: tuple[SeverityAxis, ...]
    """On which scans can be placed."""
    not_placed: tuple[str, ...]
    """Declared perturbations on whose axis no scan can be placed: their scans calibrate nothing."""

    @property
    def bins(self) -> tuple[CalibratedBin, ...]:
        """What was calibrated, over all groups of foreground ratio."""
        spec = self.certificate.declared
        rows = []
        for family in self.families:
            columns = [np.array(list(it.worst().values())) for it in family.bins]
            offsets = binned_lowers(columns, alpha=spec.alpha)
            strict = binned_lowers(columns, alpha=spec.alpha, delta=spec.delta)
            for it, column, offset, pac in zip(family.bins, columns, offsets, strict, strict=True):
                rows.append(
                    CalibratedBin(
                        axis=family.name,
                        bin=it.name,
                        patients=len(column),
                        offset=offset,
                        pac_offset=pac,
                        needed=needed_marginal(spec.alpha),
                        needed_pac=needed_pac(spec.alpha, spec.delta),
                        status="not_certifiable" if offset is None else "ok",
                    )
                )
        return tuple(rows)


def calibrated(certificate: Certificate) -> Calibration:
    """Make the bins of a certificate.

    Parameters
    ----------
    certificate : Certificate
        As it was read.

    Returns
    -------
    Calibration
        Bins with too few patients are kept; they promise nothing.
    """
    spec = certificate.declared
    counted = [scan for scan in certificate.scans if dsc_of(scan) is not None]
    clean = [scan for scan in counted if scan.perturbation == CLEAN]
    name = _proxy_name(certificate)
    proxies = _correlated(clean, name)
    axes = tuple(axis for axis in certificate.axes if axis.usable)
    usable = {axis.perturbation: axis for axis in axes}
    chosen = name if proxies.used else ""
    known = {scan.case: dict(scan.estimates) for scan in clean}
    scored = [
        (scan, _scored(scan, chosen, spec.edges), _estimates(scan, known)) for scan in counted
    ]
    families = [
        _family(
            usable[axis], axis, axes, [it for it in scored if it[0].perturbation in (CLEAN, axis)]
        )
        for axis in spec.perturbations
        if axis in usable
    ]
    if not families:
        families = [
            _family(None, CLEAN, axes, [it for it in scored if it[0].perturbation == CLEAN])
        ]
    return Calibration(
        certificate=certificate,
        proxy=chosen,
        proxies=proxies,
        families=tuple(families),
        axes=axes,
        not_placed=tuple(it for it in spec.perturbations if it not in usable),
    )


def group_of(ratio: float | None, edges: Sequence[float]) -> str:
    """Name the group of a predicted foreground ratio; empty where no edges were declared.

    Examples
    --------
    >>> group_of(0.004, (0.003, 0.01)), group_of(0.5, ())
    ('0.3 to 1 %', '')
    """
    if not edges:
        return ""
    return range_names(edges, "foreground_ratio", "")[place_between(ratio or 0.0, edges)]


def dsc_of(scan: CalibrationScan) -> float | None:
    """DSC with which a calibration scan counts: 0 where it failed; None: there is nothing to count.

    Nothing to count has a scan that does not exist (the perturbation refuses it, or changes nothing), and
    one on which prediction and reference are both empty: an empty prediction is never rated, and as a
    success it would raise the bounds of those that are.
    """
    if scan.status == Status.BOTH_EMPTY.value:
        return None
    return 0.0 if scan.dsc is None and is_lost(scan) else scan.dsc


def is_lost(scan: CalibrationScan) -> bool:
    """Tell whether a scan has no prediction that could be rated."""
    return (
        scan.status in FAILURES
        or scan.status == Status.PREDICTION_EMPTY.value
        or scan.foreground_ratio == 0.0
    )


def _estimates(
    scan: CalibrationScan, clean: Mapping[str, Mapping[str, float | None]]
) -> dict[str, float | None]:
    """Estimates of a scan on all axes; where only its own axis was measured, those of its clean scan."""
    found = {**clean.get(scan.case, {}), **dict(scan.estimates)}
    if scan.perturbation != CLEAN and scan.estimate is not None:
        found[scan.perturbation] = scan.estimate
    return found


def _left_out(scores: Mapping[str, float], alpha: float) -> dict[str, float] | None:
    """Bound of each patient of one bin from the others; None: the others are too few."""
    bounds = left_out_bounds(np.array(list(scores.values())), alpha)
    if bounds is None:
        return None
    return dict(zip(scores, map(float, bounds), strict=True))


def _proxy_name(certificate: Certificate) -> str:
    """Agreement with copies where there are any, else the self-DSC, else none."""
    if certificate.copies and any(scan.agreement is not None for scan in certificate.scans):
        return "agreement"
    return "self_dsc" if any(scan.self_dsc is not None for scan in certificate.scans) else ""


def proxy_value(scan: CalibrationScan, name: str) -> float | None:
    """Value of a proxy on a calibration scan."""
    if is_lost(scan):
        return None
    return scan.agreement if name == "agreement" else scan.self_dsc if name else None


def _correlated(clean: Sequence[CalibrationScan], name: str) -> ProxyScores:
    """Decide on the proxy, from the clean scans."""
    order = {patient: i for i, patient in enumerate(dict.fromkeys(it.patient for it in clean))}
    return proxy_scores(
        np.array([dsc_of(it) for it in clean], dtype=np.float64),
        np.array([proxy_value(it, name) for it in clean], dtype=np.float64),
        patients=np.array([order[it.patient] for it in clean], dtype=np.intp),
    )


def _scored(scan: CalibrationScan, proxy: str, edges: Sequence[float]) -> Scored:
    dsc = dsc_of(scan)
    assert dsc is not None  # only such scans are asked for
    value = proxy_value(scan, proxy)
    claimed = (1.0 if value is None else value) if proxy else 0.0
    return Scored(
        patient=scan.patient,
        dsc=dsc,
        proxy=claimed,
        score=dsc - claimed,
        group=group_of(scan.foreground_ratio, edges),
        rated=not is_lost(scan) and (not proxy or value is not None),
        source=scan,
    )


Placed = tuple[CalibrationScan, Scored, dict[str, float | None]]


def _family(
    axis: SeverityAxis | None, name: str, axes: Sequence[SeverityAxis], scans: Sequence[Placed]
) -> Family:
    names = ("0",) if axis is None else bin_names(axis)
    others = [it for it in axes if it.perturbation != name]
    held: list[list[Placed]] = [[] for _ in names]
    for scan in scans:
        number = 0 if axis is None else gate(axis, scan[2].get(name)).bin
        if number is not None:
            held[number].append(scan)
    floor = {it.perturbation: it.high[0] for it in others}
    bins = []
    for bin_name, inside in zip(names, held, strict=True):
        floor = {it.perturbation: max(floor[it.perturbation], _limit(it, inside)) for it in others}
        own = tuple(scored for _, scored, _ in inside)
        bins.append(NoiseBin(bin_name, own, floor, _apart(own)))
    return Family(name, axis, tuple(bins))


def _limit(axis: SeverityAxis, scans: Sequence[Placed]) -> float:
    """Highest estimate on another axis, at the share of the axis; with few scans the highest of all."""
    found = [it[2].get(axis.perturbation) for it in scans]
    known = np.sort(np.array([it for it in found if it is not None], dtype=np.float64))
    return reached_by(known, axis.share) if known.size else -np.inf


def _apart(scans: Sequence[Scored]) -> bool:
    groups = {scan.group for scan in scans}
    counts = [len({it.patient for it in scans if it.group == group}) for group in groups]
    return len(groups) > 1 and min(counts) >= ENOUGH
