"""What a report tells of a certificate: one that rates clean and noisy scans, and one with too few patients."""

from __future__ import annotations

from auditor.schema import Estimate
from auditor.schema.ratings import CalibratedBin, CertificateFacts, Grade, GradeOutcome

METHOD = "Clopper-Pearson, each patient left out"


def certificates_of() -> tuple[CertificateFacts, ...]:
    """Two certificates of one label."""
    return (rating(), bare())


def rating() -> CertificateFacts:
    """40 patients, two bins of noise with bounds and one without, an axis that places nothing."""
    return CertificateFacts(
        audit="spleen-ct-vendor-a", digest="5c1f" * 16, system="unet", sha256="ab12" * 16,
        label="spleen", modality="ct", state="raw", length_unit="mm", alpha=0.1, delta=0.1,
        grades=(0.85, 0.7), patients=40, scans=240, failed=3, axes=("gaussian_noise",),
        not_placed=("bias_field",), proxy="agreement", correlation=0.81,
        proxy_note="agreement with mildly perturbed copies: its rank correlation with the DSC is 0.81 "
        "over 40 patients",
        bins=(
            CalibratedBin("gaussian_noise", "0", 40, -0.0523, -0.0816, 9, 22, "ok"),
            CalibratedBin("gaussian_noise", "0-1", 12, -0.1357, None, 9, 22, "ok"),
            CalibratedBin("gaussian_noise", "1-2", 4, None, None, 9, 22, "not_certifiable"),
        ),
        outcomes=(
            GradeOutcome(
                Grade.A, 0.85,
                Estimate(0.9565, 23, METHOD, "two-sided", 0.95, 0.7805, 0.9989), 0.9313,
            ),
            GradeOutcome(
                Grade.B, 0.7, Estimate(0.875, 16, METHOD, "two-sided", 0.95, 0.6165, 0.9845), 0.8046
            ),
            GradeOutcome(
                Grade.C, 0.7,
                Estimate(None, 0, METHOD, status="undefined", note="no patient has this grade"), None,
            ),
        ),
    )  # fmt: skip


def bare() -> CertificateFacts:
    """Six patients and no proxy: nothing can be certified."""
    none = Estimate(None, 0, METHOD, status="undefined", note="no patient has this grade")
    return CertificateFacts(
        audit="spleen-ct-vendor-a", digest="77aa" * 16, system="unet", sha256="ab12" * 16,
        label="liver", modality="ct", state="raw", length_unit="mm", alpha=0.1, delta=0.1,
        grades=(0.85, 0.7), patients=6, scans=6, failed=0, axes=(), not_placed=(), proxy="",
        correlation=0.12,
        proxy_note="none: every scan of a bin gets the same bound (proxy and DSC correlate by 0.12 over 6 "
        "patients, below 0.3)",
        bins=(CalibratedBin("clean", "0", 6, None, None, 9, 22, "not_certifiable"),),
        outcomes=tuple(GradeOutcome(grade, 0.7, none, None) for grade in (Grade.A, Grade.B, Grade.C)),
    )  # fmt: skip
