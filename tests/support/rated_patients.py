"""Patients of a known law, to calibrate certificates with and to rate: what a system does is drawn, not run.

A patient has a quality; noise lowers the DSC, half of it unseen by the proxy; the estimate of noise rises with
it, and so does that of the bias field, which nobody touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from certificates_samples import calibration_scan, certificate

from auditor.confidence import axis_of
from auditor.confidence.scan_places import NewScan
from auditor.schema import CLEAN, CalibrationScan, Certificate, CertificateSpec
from auditor.schema.site import SeverityAxis

NOISE, BIAS = "rician_noise", "bias_field"
SEVERITIES = (0.0, 1.0, 2.0, 3.0)
SPEC = CertificateSpec("unet", "organ", (NOISE,), grades=(0.8, 0.6), copies=2)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One scan of a patient under one severity of noise."""

    dsc: float
    agreement: float
    noise: float
    """Estimated."""
    bias: float
    """Estimated."""


def draw_patient(
    rng: np.random.Generator, severities: Sequence[float] = SEVERITIES
) -> dict[float, Drawn]:
    """Draw a patient's scans at every severity."""
    quality, own = rng.beta(9, 1.5), rng.uniform(1.5, 2.5)
    found = {}
    for severity in severities:
        dsc = float(np.clip(quality - 0.09 * severity + rng.normal(0, 0.03), 0, 1))
        seen = float(np.clip(quality - 0.045 * severity + 0.05 + rng.normal(0, 0.04), 0, 1))
        noise = float(own + 3.0 * severity * np.exp(rng.normal(0, 0.1)))
        bias = float(30.0 + 8.0 * severity + rng.normal(0, 2.0))
        found[severity] = Drawn(dsc, seen, noise, bias)
    return found


def axes_of(patients: Sequence[dict[float, Drawn]]) -> tuple[SeverityAxis, ...]:
    """Make the tables of noise, and of a bias field that was added to the same patients."""
    noise = {s: [it[s].noise for it in patients] for s in SEVERITIES}
    bias = {s: [it[0.0].bias + 15.0 * s for it in patients] for s in SEVERITIES}
    levels = {s: 3.0 * s for s in SEVERITIES}
    return (
        axis_of(BIAS, "% INU", levels, bias, axes=2),
        axis_of(NOISE, "% of S_ref", levels, noise, axes=2),
    )


def drawn_certificate(
    seed: int, *, patients: int = 80, spec: CertificateSpec = SPEC, **changes: Any
) -> Certificate:
    """Calibrate a certificate with drawn patients; `changes` replace fields of it."""
    rng = np.random.default_rng(seed)
    drawn = [draw_patient(rng) for _ in range(patients)]
    scans = [
        _scan(number, severity, it)
        for number, patient in enumerate(drawn, start=1)
        for severity, it in patient.items()
        if severity == 0.0 or spec.perturbations
    ]
    known: dict[str, Any] = {
        "declared": spec,
        "axes": axes_of(drawn),
        "scans": tuple(scans),
        "voxel_digests": tuple(f"{number:064x}" for number in range(1, patients + 1)),
    }
    return certificate(**(known | changes))


def new_scan(drawn: Drawn, **changes: Any) -> NewScan:
    """Present a drawn scan for rating; `changes` replace fields."""
    known = NewScan(
        name="S001",
        digest="f" * 64,
        modality="mr",
        state="raw",
        contradiction="",
        unit="mm",
        channels=1,
        spacing=(3.0, 1.0, 1.2),
        estimates={NOISE: (drawn.noise, ""), BIAS: (drawn.bias, "")},
        status="ok",
        agreement=drawn.agreement,
        copies=2,
        self_dsc=0.9,
        foreground_ratio=0.01,
        volume=12.0,
    )
    return replace(known, **changes)


def _scan(number: int, severity: float, it: Drawn) -> CalibrationScan:
    return calibration_scan(
        number,
        it.dsc,
        perturbation=NOISE if severity else CLEAN,
        severity=severity,
        agreement=it.agreement,
        estimate=it.noise if severity else None,
        estimates=((BIAS, it.bias), (NOISE, it.noise)),
        outer_distance=10.0 * (1.0 - it.dsc),
        inner_distance=8.0 * (1.0 - it.dsc),
    )
