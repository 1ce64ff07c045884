"""What was measured on the scans themselves: conditions, cases, difficulty."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.analysis.intervals import DRAWS, FEW
from auditor.analysis.promises import main_columns
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Column, Key, Rows, over_patients
from auditor.schema import CLEAN, CaseRow, Condition, DifficultyAxis, Estimate, Status

__all__ = ["case_rows", "conditions", "difficulty", "of_cases"]

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


def difficulty(
    columns: Mapping[Key, Column], scans: Rows, setup: AnalysisSetup
) -> tuple[DifficultyAxis, ...]:
    """Rank correlation of the clean DSC with each meaning of difficulty."""
    fields = {
        "foreground_ratio": "foreground_ratio",
        "native_noise": "estimated_noise",
        "rater_assd": "rater_assd",
        "rater_dsc": "rater_dsc",
    }
    rows = []
    for axis, field in sorted(fields.items()):
        measured = of_cases(scans, field)
        for key, column in main_columns(columns, "dsc").items():
            if key.perturbation != CLEAN:
                continue
            values = np.array(
                [_number(measured.get((case, key.label))) for case in setup.names], dtype=np.float64
            )
            known = ~np.isnan(values) & ~np.isnan(column.judged)
            rows.append(
                DifficultyAxis(
                    system=key.system,
                    label=key.label,
                    axis=axis,
                    rho=_spearman(values, column.judged, known, setup, axis),
                    points=tuple(
                        (record.display_case, float(values[i]), float(column.judged[i]))
                        for i, record in enumerate(setup.cases)
                        if known[i]
                    ),
                )
            )
    return tuple(sorted(rows, key=lambda it: (it.system, it.label, it.axis)))


def _spearman(
    values: Floats, scores: Floats, known: NDArray[np.bool_], setup: AnalysisSetup, axis: str
) -> Estimate:
    """Spearman's rho over patients with a percentile bootstrap interval."""
    numbers = setup.patient_numbers
    x, y = (over_patients(it, numbers, known) for it in (values, scores))
    n = len(x)
    if n < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        note = f"no variation in {axis.replace('_', ' ')} or DSC" if n >= 3 else f"{n} patient(s)"
        return Estimate(None, n, "Spearman", status="not_assessable", note=note)
    rho = float(stats.spearmanr(x, y).statistic)
    if n < FEW:
        return Estimate(rho, n, "Spearman", status="too_few", note=f"needs n >= {FEW}")
    rng = np.random.default_rng(setup.seed("spearman", axis))
    picked = rng.integers(0, n, (DRAWS // 4, n))
    drawn = _rank_correlations(x[picked], y[picked])
    tail = (1 - setup.audit.interval_level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(
        rho,
        n,
        "Spearman, percentile bootstrap over patients",
        "two-sided",
        setup.audit.interval_level,
        float(low),
        float(high),
    )


def _rank_correlations(x: Floats, y: Floats) -> Floats:
    """Spearman's rho of each row; rows without variation count as 0."""
    a, b = stats.rankdata(x, axis=1), stats.rankdata(y, axis=1)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    size = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.asarray(np.where(size > 0, (a * b).sum(axis=1) / np.where(size > 0, size, 1), 0.0))


def _median(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else None


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
