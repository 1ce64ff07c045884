"""Promises on patients who did not calibrate the certificate: how many of them were kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auditor.analysis.kept_promises import kept
from auditor.confidence.grading import LEVEL, Graded, outcomes_of
from auditor.schema import CertificateSpec, Estimate
from auditor.schema.ratings import Grade, Promises, Rating, ScanOutcome

__all__ = ["Checked", "count_promises"]


@dataclass(frozen=True, slots=True)
class Checked:
    """A rating beside the reference of its scan."""

    rating: Rating
    patient: str
    """Display id."""
    dsc: float | None
    """None: undefined; a failed prediction counts with 0."""
    status: str
    """Of the DSC."""


def count_promises(scans: Sequence[Checked], spec: CertificateSpec) -> Promises:
    """Count the patients for whom every bound held.

    Parameters
    ----------
    scans : sequence of Checked
        At least one; those that calibrated the certificate are told, and count nowhere.
    spec : CertificateSpec
        What was declared.

    Returns
    -------
    Promises
        The patient is the unit: with several scans all of their bounds must hold.
    """
    fresh = [it for it in scans if not it.rating.used_for_calibration]
    order = {name: i for i, name in enumerate(dict.fromkeys(it.patient for it in fresh))}
    found = kept(
        np.array([it.rating.bound.value for it in fresh], dtype=np.float64),
        np.array([it.dsc for it in fresh], dtype=np.float64),
        alpha=spec.alpha,
        level=LEVEL,
        patients=np.array([order[it.patient] for it in fresh], dtype=np.intp),
    )
    graded = [
        Graded(it.patient, it.rating.grade, it.dsc)
        for it in fresh
        if it.dsc is not None and it.rating.grade is not Grade.NOT_RATED
    ]
    return Promises(
        kept=_share(found.held, found.counted, found.low, found.high),
        held=found.held,
        patients=found.counted,
        nominal=found.nominal,
        verdict=found.verdict,
        outcomes=outcomes_of(graded, spec.grades, method="Clopper-Pearson"),
        not_rated=found.without_bound,
        calibration=len(scans) - len(fresh),
        scans=tuple(_outcome(it) for it in scans),
    )


def _share(held: int, counted: int, low: float | None, high: float | None) -> Estimate:
    if not counted:
        note = "no patient has both a bound and a DSC"
        return Estimate(None, 0, "Clopper-Pearson", status="undefined", note=note)
    return Estimate(held / counted, counted, "Clopper-Pearson", "two-sided", LEVEL, low, high)


def _outcome(it: Checked) -> ScanOutcome:
    bound = it.rating.bound.value
    held = None if bound is None or it.dsc is None else it.dsc >= bound
    return ScanOutcome(it.rating.scan, it.patient, it.dsc, it.status, held)
