"""What a reader of a rating must know of its certificate."""

from __future__ import annotations

import functools

from auditor.confidence.calibration import Calibration, is_lost
from auditor.confidence.grading import left_out_outcomes
from auditor.schema.ratings import CertificateFacts

__all__ = ["facts_of"]


@functools.lru_cache(maxsize=16)
def facts_of(calibration: Calibration) -> CertificateFacts:
    """Collect what a reader must know of a certificate."""
    certificate = calibration.certificate
    spec, proxies = certificate.declared, calibration.proxies
    name = {"agreement": "agreement with mildly perturbed copies", "self_dsc": "self-DSC"}
    if calibration.proxy:
        note = (
            f"{name[calibration.proxy]}: its rank correlation with the DSC is {proxies.correlation:.2f} over "
            f"{proxies.n} patients"
        )
    else:
        note = f"none: every scan of a bin gets the same bound ({proxies.reason})"
    first = calibration.families[0]
    return CertificateFacts(
        audit=certificate.audit,
        digest=certificate.digest,
        system=spec.system,
        sha256=certificate.sha256,
        label=spec.label,
        modality=certificate.modality,
        state=certificate.state,
        length_unit=certificate.length_unit,
        alpha=spec.alpha,
        delta=spec.delta,
        grades=spec.grades,
        patients=len({it.patient for it in certificate.scans}),
        scans=len(certificate.scans),
        failed=sum(is_lost(it) for it in certificate.scans),
        axes=tuple(it.name for it in calibration.families if it.axis is not None),
        not_placed=calibration.not_placed,
        proxy=calibration.proxy,
        proxy_note=note,
        correlation=proxies.correlation,
        bins=calibration.bins,
        outcomes=left_out_outcomes(calibration, first, 0),
    )
