"""What was measured on the scans themselves: conditions and cases."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Rows
from auditor.schema import CLEAN, CaseRow, Condition, Status

__all__ = ["case_rows", "conditions", "of_cases"]

Floats = NDArray[np.float64]

_STRESS_FROM = 4
_MEASURED = ("nrmse", "psnr", "ssim", "contrast_to_noise", "estimated_level")


def conditions(scans: Rows, setup: AnalysisSetup) -> tuple[Condition, ...]:
    """Median measured effect of every condition over its scans."""
    grouped: dict[tuple[str, float], list[int]] = {}
    names, severities = scans.columns["perturbation"], scans.columns["severity"]
    # one row a label; what is measured on the scan is the same on each
    for i in np.flatnonzero(scans.columns["label"] == setup.labels[0]):
        grouped.setdefault((names[i], float(severities[i])), []).append(int(i))
    return tuple(
        _condition(name, severity, members, scans, setup)
        for (name, severity), members in sorted(grouped.items())
    )


def _condition(
    name: str, severity: float, members: list[int], scans: Rows, setup: AnalysisSetup
) -> Condition:
    columns = scans.columns
    status = [columns["status"][i] for i in members]
    usable = [
        i for i, it in zip(members, status, strict=True) if it in (Status.OK, Status.NO_EFFECT)
    ]
    medians = {field: _median(columns[field][usable]) for field in _MEASURED}
    native = columns["native_level"][usable]
    native = native[~np.isnan(native)]
    low, high = np.quantile(native, [0.05, 0.95]) if native.size else (np.nan, np.nan)
    facts = [json.loads(columns["facts"][i]) for i in usable if columns["facts"][i]]
    masked = sum(it.get("background") == "masked" for it in facts)
    return Condition(
        perturbation=name,
        family=setup.families.get(name, ""),
        severity=severity,
        level=_or_none(columns["level"][members[0]]),
        unit=columns["unit"][members[0]],
        n_scans=len(members),
        n_no_effect=status.count(Status.NO_EFFECT.value),
        nrmse=medians["nrmse"],
        psnr=medians["psnr"],
        ssim=medians["ssim"],
        contrast_to_noise=medians["contrast_to_noise"],
        native_level=_median(native),
        native_low=_or_none(low),
        native_high=_or_none(high),
        estimated_level=medians["estimated_level"],
        stress=_severity(facts, severity) >= setup.stress_from.get(name, _STRESS_FROM),
        n_not_applicable=status.count(Status.NOT_APPLICABLE.value),
        axis_unit=next(
            (str(it["solved_unit"]) for it in facts if "solved_unit" in it),
            columns["unit"][members[0]],
        ),
        n_masked=masked,
        facts=_ranges(facts),
        invariant=() if masked else setup.invariant.get(name, ()),
    )


def _severity(facts: list[dict[str, float | str]], severity: float) -> float:
    """Return the severity, or the median of those at which levels of equal effect lie."""
    solved = [float(it["solved_severity"]) for it in facts if "solved_severity" in it]
    return float(np.median(solved)) if solved else severity


def _ranges(facts: list[dict[str, float | str]]) -> tuple[tuple[str, float, float, float], ...]:
    """Smallest, median and largest of every fact that is a number."""
    numbers: dict[str, list[float]] = {}
    for stated in facts:
        for name, value in stated.items():
            if not isinstance(value, str):
                numbers.setdefault(name, []).append(float(value))
    return tuple(
        (name, min(values), float(np.median(values)), max(values))
        for name, values in sorted(numbers.items())
    )


def of_cases(scans: Rows, field: str) -> dict[tuple[str, str], float | None]:
    """Read one field of the clean scans: (case, label) -> value."""
    columns = scans.columns
    return {
        (columns["case"][i], columns["label"][i]): _or_none(columns[field][i])
        for i in np.flatnonzero(columns["perturbation"] == CLEAN)
    }


def case_rows(scans: Rows, setup: AnalysisSetup) -> tuple[CaseRow, ...]:
    """Describe every case under its display id."""
    ratio = of_cases(scans, "foreground_ratio")
    assd, dsc = of_cases(scans, "rater_assd"), of_cases(scans, "rater_dsc")
    noise = of_cases(scans, "estimated_noise")
    return tuple(
        CaseRow(
            case=record.display_case,
            patient=record.display_patient,
            shape=setup.geometries[record.case].shape,
            spacing=setup.geometries[record.case].spacing,
            raters=len(record.raters),
            foreground_ratio=_by_label(ratio, record.case, setup),
            rater_assd=_by_label(assd, record.case, setup),
            rater_dsc=_by_label(dsc, record.case, setup),
            native_noise=noise.get((record.case, setup.labels[0])),
            metadata=record.metadata,
        )
        for record in setup.cases
    )


def _by_label(
    values: Mapping[tuple[str, str], float | None], case: str, setup: AnalysisSetup
) -> tuple[tuple[str, float | None], ...]:
    return tuple((label, values.get((case, label))) for label in setup.labels)


def _median(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else None


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
