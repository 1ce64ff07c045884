"""Two families, three training runs per patch size: rows, and what the analysis must know."""

from __future__ import annotations

import functools
from dataclasses import replace

from rows_tables import Cohort, property_rows, rows_of, setup_of

from auditor.analysis import AnalysisSetup
from auditor.schema import Row, SystemRecord, TrainingFacts

NAMES = tuple(
    f"{family}-{patch}-s{seed}"
    for family in ("unet", "agu")
    for patch in (64, 32)
    for seed in (1, 2, 3)
)
COHORT = Cohort(patients=36, systems=NAMES, perturbations=())
RANGES = {32: (0.05, 0.20), 64: (0.025, 0.10)}
PROPERTIES = {patch: f"window_foreground_ratio[{patch}x{patch}x{patch}]" for patch in RANGES}


def patch_of(name: str) -> int:
    return int(name.split("-")[1])


def record(base: SystemRecord) -> SystemRecord:
    family, _, run = base.name.split("-")
    patch = patch_of(base.name)
    return replace(
        base,
        family=family,
        training_seed=int(run[1:]),
        sha256=f"{NAMES.index(base.name):064x}",
        training=TrainingFacts((patch, patch, patch), RANGES[patch]),
    )


def setup() -> AnalysisSetup:
    base = setup_of(COHORT)
    windows = {name: PROPERTIES[patch_of(name)] for name in NAMES}
    return replace(base, systems=tuple(map(record, base.systems)), windows=windows)


def changed(setup: AnalysisSetup, name: str, **changes: object) -> AnalysisSetup:
    """Change one system of the audit."""
    systems = tuple(
        replace(it, **changes) if it.name == name else it  # type: ignore[arg-type]
        for it in setup.systems
    )
    return replace(setup, systems=systems)


def shares(patch: int) -> dict[str, float | None]:
    """Share of foreground in windows: grows with the number of the case, half as large in large windows."""
    factor = 1.0 if patch == 32 else 0.5
    return {it.case: factor * 0.01 * (i + 1) for i, it in enumerate(COHORT.cases)}


def volumes() -> dict[str, float | None]:
    """Object sizes that alternate, so that every third has cases on both sides."""
    return {it.case: 2.0 + i % 3 + i / 100 for i, it in enumerate(COHORT.cases)}


@functools.cache
def rows() -> tuple[Row, ...]:
    made = rows_of(COHORT)
    made += property_rows(made, "object_volume", volumes())
    for patch, name in PROPERTIES.items():
        made += property_rows(made, name, shares(patch))
    return tuple(made)


def scores(name: str) -> list[float]:
    """DSC of one system, in the order of the cases."""
    known = {
        row.case: row.value
        for row in rows()
        if (row.record, row.system, row.metric) == ("measurement", name, "dsc")
    }
    return [known[it.case] or 0.0 for it in COHORT.cases]
