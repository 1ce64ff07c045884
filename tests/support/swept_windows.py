"""A cohort under several windows of one checkpoint: rows, and what the analysis must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from rows_tables import Cohort, property_rows, rows_of, setup_of

from auditor.analysis import AnalysisSetup
from auditor.schema import (
    Certainty,
    Contract,
    ContractField,
    Row,
    SystemRecord,
    TrainingFacts,
)

COHORT = Cohort(patients=36, systems=("w32", "w64", "other"), perturbations=())
WINDOWS = {
    "w32": "window_foreground_ratio[32x32x16; axes RAS]",
    "w64": "window_foreground_ratio[64x64x32; axes RAS]",
    "other": "window_foreground_ratio[64x64x32; axes RAS]",
}
RANGE = (0.05, 0.20)


def record(base: SystemRecord, **changes: Any) -> SystemRecord:
    fields = (
        ContractField("input.axes", "RAS", Certainty.DECLARED),
        ContractField("window.size", base.name, Certainty.DECLARED),
    )
    known: dict[str, Any] = {
        "sha256": "b" * 64 if base.name == "other" else "a" * 64,
        "contract": Contract(fields, base.contract.status),
        "training": TrainingFacts((32, 32, 16), RANGE),
    }
    return replace(base, **(known | changes))


def setup(windows: Mapping[str, str] = WINDOWS, **changes: Any) -> AnalysisSetup:
    base = setup_of(COHORT)
    systems = tuple(record(it, **changes) for it in base.systems)
    return replace(base, systems=systems, windows=windows)


def shares(name: str) -> dict[str, float | None]:
    """Share of foreground in windows: grows with the number of the case; twice as large in small ones."""
    factor = 2.0 if name == "w32" else 1.0
    return {it.case: factor * 0.005 * (i + 1) for i, it in enumerate(COHORT.cases)}


def volumes() -> dict[str, float]:
    """Object sizes in an order of their own."""
    order = np.random.default_rng(2).permutation(36)
    return {it.case: 2.0 + float(order[i]) for i, it in enumerate(COHORT.cases)}


def rows() -> list[Row]:
    made = rows_of(COHORT)
    made += property_rows(made, "object_volume", volumes())
    for name in ("w32", "w64"):
        made += property_rows(made, WINDOWS[name], shares(name))
    return made
