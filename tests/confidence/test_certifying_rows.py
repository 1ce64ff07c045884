"""Stored rows become calibration scans: nothing that was planned is lost on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from rows_tables import LABEL, NOISE, Cohort, fail, rows_of, setup_of, table_of

from auditor.confidence.certifying import Calibrated, calibration_scans, placing_axes
from auditor.execution.calibration import AGREEMENT, MARGINS, PREDICTED_RATIO
from auditor.schema import CalibrationScan, CertificateSpec, PerturbationSpec, Row

BLUR = PerturbationSpec("gaussian_blur", (1.0,), (1.5,), "mm FWHM")
BIAS = PerturbationSpec("bias_field", (1.0,), (10.0,), "%")
GHOSTS = PerturbationSpec("ghosting", (2.0,), (6.0,), "%")
COHORT = Cohort(patients=3, systems=("strong", "weak"), perturbations=(NOISE, BLUR, BIAS, GHOSTS))
SPEC = CertificateSpec("strong", LABEL, ("rician_noise",), grades=(0.9, 0.8))
COPIES = tuple(
    replace(it, severities=it.severities[:1], levels=it.levels[:1]) for it in (NOISE, BLUR, BIAS)
)


def calibration(row: Row) -> list[Row]:
    """Add what an execution stores beside an evaluation of the certified system."""
    numbers = {PREDICTED_RATIO: 0.02, **dict.fromkeys(MARGINS, 1.5)}
    facts: dict[str, Any] = {"channels": 1, "voxels": f"digest of {row.case}"}
    if row.perturbation != "clean":
        numbers[AGREEMENT] = 0.75
        facts = {"estimates": {"ghosting": 4.0 + row.severity}}
    beside = {PREDICTED_RATIO: facts, AGREEMENT: {"copies": 2, "failed": 1}}
    return [
        replace(
            row, record="calibration", metric=name, value=value, self_dsc=None, clean_agreement=None,
            facts=json.dumps(beside[name]) if name in beside else None,
        )
        for name, value in numbers.items()
    ]  # fmt: skip


def stored() -> list[Row]:
    rows = []
    for row in rows_of(COHORT):
        if row.record == "evaluation" and row.system == "strong":
            known = {"rician_noise": 0.9, "gaussian_blur": 0.8, "bias_field": 0.4}
            agreed = known.get(row.perturbation) if row.severity == 1.0 else 0.1
            rows.append(replace(row, self_dsc=0.95, clean_agreement=agreed))
            if row.perturbation in ("clean", "rician_noise"):
                rows += calibration(row)
        elif row.record == "scan":
            clean = row.perturbation == "clean"
            rows.append(
                replace(
                    row,
                    native_level=None if clean else 2.0,
                    estimated_level=None if clean else 2.0 + row.severity,
                    estimated_noise=7.0,
                    estimated_blur=1.25,
                    estimated_bias=None,
                )
            )
        else:
            rows.append(row)
    return rows


def made(rows: list[Row], spec: CertificateSpec = SPEC) -> Calibrated:
    return calibration_scans(table_of(rows), spec, copies=COPIES, setup=setup_of(COHORT))


def scan_of(found: Calibrated, case: str, severity: float) -> CalibrationScan:
    return next(it for it in found.scans if (it.case, it.severity) == (case, severity))


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return stored()


def test_every_planned_scan_is_one_row_under_its_display_ids(rows: list[Row]) -> None:
    found = made(rows)
    assert [(it.case, it.patient, it.perturbation, it.severity) for it in found.scans[:4]] == [
        ("C001", "P001", "clean", 0.0),
        ("C001", "P001", "rician_noise", 1.0),
        ("C001", "P001", "rician_noise", 2.0),
        ("C001", "P001", "rician_noise", 4.0),
    ]
    assert len(found.scans) == 3 * (1 + 3)
    assert found.voxel_digests == tuple(f"digest of scan_00{i}_0" for i in range(3))
    assert found.channels == 1


def test_clean_scans_take_their_copies_from_the_plan(rows: list[Row]) -> None:
    clean = scan_of(made(rows), "C001", 0.0)
    # noise, blur and bias at severity 1: (.9 + .8 + .4) / 3
    assert clean.agreement == pytest.approx(0.7)
    assert clean.copies == 3
    one = calibration_scans(table_of(rows), SPEC, copies=COPIES[:1], setup=setup_of(COHORT))
    assert scan_of(one, "C001", 0.0).agreement == pytest.approx(0.9)
    perturbed = scan_of(made(rows), "C001", 2.0)
    assert (perturbed.agreement, perturbed.copies) == (0.75, 2)


def test_a_copy_without_effect_leaves_the_mean_and_a_failed_one_stays(rows: list[Row]) -> None:
    without = fail(rows, "no_effect", case="scan_000_0", perturbation="gaussian_blur")
    clean = scan_of(made(list(without)), "C001", 0.0)
    assert clean.copies == 2
    assert clean.agreement == pytest.approx((0.9 + 0.4) / 2)
    lost = fail(rows, "crashed", case="scan_000_0", perturbation="gaussian_blur")
    clean = scan_of(made(list(lost)), "C001", 0.0)
    assert clean.copies == 3
    assert clean.agreement == pytest.approx((0.9 + 0.4) / 3)


def test_estimates_are_those_of_the_scan_itself(rows: list[Row]) -> None:
    found = made(rows)
    axes = ("rician_noise", "gaussian_blur", "bias_field", "ghosting")
    assert dict(scan_of(found, "C001", 0.0).estimates) == dict.fromkeys(axes, 2.0)
    assert scan_of(found, "C001", 0.0).estimate is None
    noisy = scan_of(found, "C001", 4.0)
    assert noisy.estimate == 6.0  # its own axis: the total, 2 + 4
    assert dict(noisy.estimates) == {
        "rician_noise": 6.0,
        "gaussian_blur": 1.25,
        "bias_field": None,  # the estimator gave nothing there
        "ghosting": 8.0,  # measured beside the prediction
    }


def test_failures_stay_and_say_so(rows: list[Row]) -> None:
    lost = list(fail(rows, "crashed", case="scan_001_0", perturbation="clean", system="strong"))
    clean = scan_of(made(lost), "C002", 0.0)
    assert (clean.status, clean.dsc, clean.agreement, clean.copies) == ("crashed", None, None, 0)
    other = scan_of(made(lost), "C001", 0.0)
    assert other.status == "ok"
    assert other.dsc is not None


def test_a_scan_without_rows_counts_as_failed(rows: list[Row]) -> None:
    kept = [it for it in rows if (it.case, it.severity) != ("scan_002_0", 2.0)]
    gone = scan_of(made(kept), "C003", 2.0)
    assert (gone.status, gone.dsc, gone.foreground_ratio) == ("failed", None, None)


def test_another_system_and_label_are_not_looked_at(rows: list[Row]) -> None:
    assert all(it.status == "failed" for it in made(rows, replace(SPEC, label="liver")).scans)
    weak = made(rows, replace(SPEC, system="weak"))
    strong = made(rows)
    assert weak.scans[0].dsc != strong.scans[0].dsc
    assert weak.scans[0].foreground_ratio is None


def test_the_order_of_rows_changes_nothing(rows: list[Row]) -> None:
    assert made(rows[::-1]) == made(rows)


def test_axes_that_place_a_scan() -> None:
    equal = replace(BLUR, iso_effect=True)
    rotated = PerturbationSpec("rotation", (1.0,), (5.0,), "deg")
    assert placing_axes((NOISE, equal, rotated, GHOSTS)) == ("rician_noise", "ghosting")
