"""What a declared certificate will cost and what it can promise at best, told before the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditor.analysis.conformal import needed_marginal, needed_pac
from auditor.analysis.grouped_conformal import ENOUGH
from auditor.config import AuditConfig
from auditor.config.certificates import calibrated_by, mild_copies
from auditor.plan import AuditPlan
from auditor.schema import CLEAN

__all__ = ["CertificateLook", "extra_passes", "look_at_certificates"]


@dataclass(frozen=True, slots=True)
class CertificateLook:
    """One declared certificate, before anything is calibrated."""

    system: str
    label: str
    patients: int
    """Whose scans calibrate it: the most that any bin of noise can have."""
    scans: int
    """Planned calibration scans."""
    copies: tuple[str, ...]
    """Perturbations of the mild copies."""
    passes: int
    """Predictions of mild copies beside the planned evaluations, shared by the certificates of a
    system. Those of clean scans are planned evaluations."""
    seconds: float | None
    """That they take on one worker; None when no dry run worked."""
    alpha: float
    delta: float
    needed: int
    """Patients that a bin needs for a bound."""
    needed_pac: int
    """Patients that it needs for a bound that also holds against an unlucky calibration set."""
    notes: tuple[str, ...]
    """What it cannot do, in words."""


def extra_passes(config: AuditConfig, plan: AuditPlan) -> dict[str, int]:
    """Count the predictions of mild copies: system -> number, for systems with certificates."""
    found = dict.fromkeys((spec.system for spec in config.certificates), 0)
    for unit in plan.units:
        if unit.perturbation.name == CLEAN:
            continue
        for system in found:
            specs = calibrated_by(config.certificates, system, unit.perturbation.name)
            most = max((spec.copies for spec in specs), default=0)
            found[system] += unit.evaluations * len(mild_copies(config.perturbations, most))
    return found


def look_at_certificates(
    config: AuditConfig, plan: AuditPlan, *, patients: int, seconds: Mapping[str, float]
) -> tuple[CertificateLook, ...]:
    """Tell what every declared certificate costs and promises.

    Parameters
    ----------
    config : AuditConfig
    plan : AuditPlan
    patients : int
        Of the audit.
    seconds : mapping of system to float
        Of one prediction, for systems whose dry run worked.
    """
    passes = extra_passes(config, plan)
    looks = []
    for spec in config.certificates:
        copies = tuple(it.name for it in mild_copies(config.perturbations, spec.copies))
        needed, strict = needed_marginal(spec.alpha), needed_pac(spec.alpha, spec.delta)
        each = seconds.get(spec.system)
        looks.append(
            CertificateLook(
                system=spec.system,
                label=spec.label,
                patients=patients,
                scans=sum(
                    unit.evaluations
                    for unit in plan.units
                    if unit.perturbation.name in (CLEAN, *spec.perturbations)
                ),
                copies=copies,
                passes=passes[spec.system],
                seconds=None if each is None else passes[spec.system] * each,
                alpha=spec.alpha,
                delta=spec.delta,
                needed=needed,
                needed_pac=strict,
                notes=(
                    *_too_few(patients, needed, strict, spec.alpha),
                    *_without_groups(patients, spec.edges),
                    *_without_proxy(config, spec.system, copies),
                ),
            )
        )
    return tuple(looks)


def _too_few(patients: int, needed: int, strict: int, alpha: float) -> tuple[str, ...]:
    if patients < needed:
        told = (
            f"not certifiable with n = {patients}: a bound at alpha {alpha:g} needs {needed} patients in "
            "a bin of noise, so that no scan will be rated"
        )
        return (told,)
    if patients < strict:
        told = (
            f"no bin of noise can have a bound that also holds against an unlucky calibration set: it "
            f"needs {strict} patients, there are {patients}"
        )
        return (told,)
    return ()


def _without_groups(patients: int, edges: Sequence[float]) -> tuple[str, ...]:
    least = ENOUGH * (len(edges) + 1)
    if not edges or patients >= least:
        return ()
    told = (
        f"groups by edges get no bounds of their own: {len(edges) + 1} groups of {ENOUGH} patients each "
        f"need {least}, there are {patients}"
    )
    return (told,)


def _without_proxy(config: AuditConfig, system: str, copies: Sequence[str]) -> tuple[str, ...]:
    output = next(it.output for it in config.systems if it.name == system)
    if copies or output.activation != "labels":
        return ()
    told = (
        f"{system} gives labels only and copies is 0: there is no proxy, and every scan of a bin gets the "
        "same bound"
    )
    return (told,)
