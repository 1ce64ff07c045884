"""Control systems: masks whose score is known beforehand, so that the audit itself is tested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from auditor.analysis.promises import main_columns
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Column, Key, over_patients
from auditor.schema import CLEAN, ControlRow, Status

__all__ = ["control_rows"]

_TITLES = {
    "control:reference": "The reference itself",
    "control:empty": "An empty mask",
    "control:other_patient": "Another patient's mask",
    "control:otsu": "Otsu's threshold",
}

_NOTHING_FOUND = frozenset({Status.PREDICTION_EMPTY.value, Status.BOTH_EMPTY.value})


def control_rows(columns: Mapping[Key, Column], setup: AnalysisSetup) -> tuple[ControlRow, ...]:
    """Score the control systems, and say whether each behaves as it must.

    The reference must have a DSC of exactly 1 on clean scans, an empty mask must find nothing, and
    another patient's mask must score below every audited system. The last one fails also when a
    system is no better than a mask of somebody else: a finding either way.
    """
    kept = main_columns(columns, "dsc", controls=True)
    rivals = {
        (key.system, key.label): mean
        for key, column in main_columns(columns, "dsc").items()
        if key.perturbation == CLEAN and (mean := _mean(column, setup)) is not None
    }
    rows = []
    for key, column in kept.items():
        if key.system == "control:otsu" and key.label != setup.labels[0]:
            continue  # one threshold finds one label
        mean = _mean(column, setup)
        against = [value for (_, label), value in rivals.items() if label == key.label]
        expectation, passed = _expected(key, column, mean, against, setup)
        rows.append(
            ControlRow(
                name=key.system,
                title=_TITLES.get(key.system, _rater(key.system)),
                expectation=expectation,
                label=key.label,
                perturbation=key.perturbation,
                severity=key.severity,
                mean=mean,
                n=len(_per_patient(column, setup)),
                passed=passed,
            )
        )
    return tuple(sorted(rows, key=lambda it: (it.name, it.perturbation, it.severity, it.label)))


def _rater(name: str) -> str:
    return f"Rater {name.removeprefix('control:rater_')}"


def _per_patient(column: Column, setup: AnalysisSetup) -> Sequence[float]:
    everyone = np.ones(len(setup.cases), dtype=bool)
    return [float(it) for it in over_patients(column.judged, setup.patient_numbers, everyone)]


def _mean(column: Column, setup: AnalysisSetup) -> float | None:
    values = _per_patient(column, setup)
    return float(np.mean(values)) if values else None


def _expected(
    key: Key, column: Column, mean: float | None, rivals: Iterable[float], setup: AnalysisSetup
) -> tuple[str, bool | None]:
    """Say what is expected, and whether it holds; None where nothing is."""
    known = column.judged[~np.isnan(column.judged)]
    mean_over = setup.audit.reference_rule.startswith("mean over")
    if key.system == "control:reference":
        if mean_over:
            return "shown for orientation: the majority of the raters against each of them", None
        if key.perturbation != CLEAN:
            return "shows what the warp there and back costs", None
        return "mean DSC is 1", None if mean is None else bool((known == 1.0).all())
    if key.system == "control:empty":
        found = {status for status in column.statuses.ravel() if status}
        right = found <= _NOTHING_FOUND and bool((known == 0.0).all())
        return "nothing found, no DSC above 0", right if found else None
    if key.system == "control:other_patient":
        told = "mean DSC below that of every audited system"
        least = min(rivals, default=None)
        return told, None if mean is None or least is None else mean < least
    if key.system.startswith("control:rater"):
        part = mean_over or setup.audit.reference_rule.startswith(("majority", "STAPLE"))
        told = "scored against a reference that it is part of" if part else "one rater's mask"
        return f"shown for orientation: {told}", None
    return "shown for orientation", None
