"""A network with ablated copies of it: rows drawn from a law with known truths, and their set-up.

The network loses .05 a severity of noise. Replacing level 1 by the mean costs .20 everywhere. Replacing level
0 costs .02 on clean scans, and then only .01 a severity is lost: that skip lets the noise in. Replacing
level 2 changes nothing, in any bit. At alpha a, dose costs .20 (1 - a).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from rows_tables import NOISE, Cohort, rows_of, setup_of

from auditor.analysis import AnalysisSetup
from auditor.schema import (
    AblationSpec,
    Certainty,
    Contract,
    ContractField,
    NetworkFacts,
    NetworkLevel,
    NetworkSkip,
    Row,
    SystemRecord,
)

LAWS: Mapping[str, tuple[AblationSpec | None, float, float]] = {
    "net": (None, 0.0, 0.05),
    "net-0": (AblationSpec((0,), "mean"), 0.02, 0.01),
    "net-1": (AblationSpec((1,), "mean"), 0.20, 0.05),
    "net-2": (AblationSpec((2,), "mean"), 0.0, 0.05),
    "dose-1.0": (AblationSpec((1,), "dose", 1.0), 0.0, 0.05),
    "dose-0.5": (AblationSpec((1,), "dose", 0.5), 0.10, 0.05),
    "dose-0.0": (AblationSpec((1,), "dose", 0.0), 0.20, 0.05),
    "other": (None, 0.03, 0.04),
}
"""System -> what is replaced, its cost on clean scans, its loss a severity."""

NETWORK = NetworkFacts(
    systems=("net", "net-0", "net-1", "net-2"),
    fed=(1, 1, 32, 32, 16),
    skips=(
        NetworkSkip(0, (32, 32, 16), 8, "/enc0/Relu", "Concat", nested=False, places=1),
        NetworkSkip(1, (16, 16, 8), 16, "/enc1/Relu", "Concat", nested=False, places=1),
        NetworkSkip(2, (8, 8, 4), 32, "/enc2/Relu", "Add", nested=False, places=2),
    ),
    complete=True,
    minimal=True,
    coarsest=(4, 4, 2),
    levels=(
        NetworkLevel((32, 32, 16), 8, 8),
        NetworkLevel((16, 16, 8), 16, 16),
        NetworkLevel((8, 8, 4), 32, 32),
        NetworkLevel((4, 4, 2), 64, 0),
    ),
)


def cohort(patients: int = 24, *, cases: int = 1, systems: tuple[str, ...] = tuple(LAWS)) -> Cohort:
    return Cohort(
        patients=patients, cases_per_patient=cases, systems=systems, perturbations=(NOISE,)
    )


def record(base: SystemRecord, **changes: Any) -> SystemRecord:
    fields = (
        ContractField("input.axes", "RAS", Certainty.DECLARED),
        ContractField("window.size", "[32, 32, 16]", Certainty.DECLARED),
    )
    known: dict[str, Any] = {
        "sha256": "b" * 64 if base.name == "other" else "a" * 64,
        "contract": Contract(fields, base.contract.status),
        "settings": (("batch", "1"), ("precision", "float32")),
        "ablation": LAWS[base.name][0],
    }
    return replace(base, **(known | changes))


def setup(made: Cohort | None = None, **changes: Any) -> AnalysisSetup:
    base = setup_of(made or cohort())
    systems = tuple(record(it, **changes.get(it.name, {})) for it in base.systems)
    return replace(base, systems=systems, networks=(NETWORK,))


def score(row: Row, *, spread: float = 0.01) -> float:
    """DSC of a row: the ease of its patient and of the scan, less what its system loses there."""
    _, cost, slope = LAWS[row.system]
    patient, case = int(row.case.split("_")[1]), int(row.case.split("_")[2])
    ease = 0.80 + 0.10 * np.random.default_rng([3, patient]).uniform()
    rng = np.random.default_rng([5, patient, case, int(10 * row.severity), round(1000 * cost)])
    return float(ease - cost - slope * row.severity + spread * rng.uniform(-1, 1))


def rows(made: Cohort | None = None, law: Callable[[Row], float] = score) -> list[Row]:
    """Rows of the cohort, with the DSC of the law."""
    return [
        replace(row, value=law(row))
        if (row.record, row.metric) == ("measurement", "dsc") and row.system in LAWS
        else row
        for row in rows_of(made or cohort())
    ]
