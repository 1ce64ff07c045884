"""A small certificate by hand, to be changed in one place per test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from auditor.schema import (
    CERTIFICATE_VERSION,
    CalibrationScan,
    Certificate,
    CertificateSpec,
    PerturbationSpec,
    ReferenceRule,
)
from auditor.schema.site import SeverityAxis


def calibration_scan(number: int, dsc: float | None = 0.9, **changes: Any) -> CalibrationScan:
    """Return a clean scan of patient `number`; `changes` replace fields."""
    known = CalibrationScan(
        case=f"C{number:03d}",
        patient=f"P{number:03d}",
        perturbation="clean",
        severity=0.0,
        replicate=0,
        status="ok" if dsc is not None else "failed",
        dsc=dsc,
        agreement=0.95,
        copies=2,
        self_dsc=0.9,
        foreground_ratio=0.01,
        estimate=None,
        estimates=(("rician_noise", 2.0),),
        outer_distance=1.5,
        inner_distance=1.0,
        outer_probability=0.2,
        inner_probability=0.8,
    )
    return replace(known, **changes)


def certificate(**changes: Any) -> Certificate:
    """Return a certificate of three patients; `changes` replace fields."""
    known = Certificate(
        version=CERTIFICATE_VERSION,
        tool="segaudit 1",
        audit="tiny",
        plan_digest="a" * 64,
        declared=CertificateSpec("unet", "organ", ("rician_noise",), grades=(0.85, 0.7), copies=2),
        system={"runs": "checkpoint", "output": {"labels": [["organ", 1]]}},
        identity="b" * 64,
        sha256="c" * 64,
        label_members=("organ",),
        label_numbers=(1,),
        reference="majority of 3 raters",
        reference_rule=ReferenceRule("majority", "above_half"),
        pre_declared=True,
        modality="mr",
        state="raw",
        channels=1,
        length_unit="mm",
        ndim=3,
        spacing_low=(3.0, 1.0, 1.0),
        spacing_high=(3.0, 1.0, 1.5),
        copies=(
            PerturbationSpec("gaussian_blur", (1.0,), (1.2,), "mm FWHM", options={"axis": [0, 1]}),
        ),
        seed=2**63 + 1,
        axes=(
            SeverityAxis(
                "rician_noise", "% of S_ref", (0.0, 1.0), (0.0, 3.0), (2.0, 4.0), (1.0, 3.0),
                (3.0, 6.0), 3, 0.95,
            ),
        ),
        scans=tuple(calibration_scan(i) for i in (1, 2, 3)),
        voxel_digests=("d" * 64,),
    )  # fmt: skip
    return replace(known, **changes)
