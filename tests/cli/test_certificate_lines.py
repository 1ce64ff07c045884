"""What `segaudit check` prints of a certificate."""

from __future__ import annotations

from dataclasses import replace

from auditor.cli.certificates import lines_of_certificates
from auditor.pipeline.certificate_look import CertificateLook

LOOK = CertificateLook(
    system="vendor-a", label="spleen", patients=40, scans=240, copies=("gaussian_noise", "gamma_up"),
    passes=400, seconds=800.0, alpha=0.1, delta=0.05, needed=9, needed_pac=29, notes=(),
)  # fmt: skip


def test_who_calibrates_and_what_it_costs() -> None:
    first, second = lines_of_certificates([LOOK])
    assert first == (
        "certificate vendor-a, spleen: 40 patients with 240 scans calibrate; a bound at alpha 0.1 needs 9 "
        "patients in a bin of noise, one that also holds with an unlucky calibration set (delta 0.05) 29"
    )
    assert second.strip().startswith(
        "2 mild copies of a scan (gaussian_noise, gamma_up): 400 more forward passes, about 13 min"
    )


def test_notes_stand_below_and_unknown_times_are_left_out() -> None:
    lines = list(
        lines_of_certificates([replace(LOOK, copies=(), seconds=None, notes=("too few",))])
    )
    assert lines[1].strip() == "0 mild copies of a scan: 400 more forward passes"
    assert lines[2].strip() == "too few"
