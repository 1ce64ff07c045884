"""One new scan under the mix of a recipe: from the rows of a run to the bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rows_tables import LABEL, NOISE, Cohort, fail, rows_of, setup_of, table_of

from auditor.analysis.table import measurements, of_kind
from auditor.analysis.weighted_conformal import hcp_lower
from auditor.confidence.mix_promises import mix_promises
from auditor.confidence.recipe_scores import Condition, with_clean
from auditor.errors import ConfigError
from auditor.schema import Estimate, PerturbationSpec, Record, Row

CLEAN: Condition = ("clean", 0.0)
SEVERE: Condition = ("rician_noise", 4.0)
COHORT = Cohort(patients=20, cases_per_patient=2, perturbations=(NOISE,))


def promised(
    rows: list[Row], mix: dict[Condition, float], scans: int | None = None
) -> dict[str, Estimate]:
    setup = setup_of(COHORT)
    columns = measurements(of_kind(table_of(rows), Record.MEASUREMENT), setup.names)
    return dict(
        mix_promises(
            columns, setup.patient_numbers, systems=COHORT.systems, label=LABEL, metric="dsc", mix=mix,
            alpha=0.1, scans=scans,
        )
    )  # fmt: skip


def worst(rows: list[Row], system: str, severity: float) -> list[float]:
    """Smallest DSC of each patient, failed ones 0."""
    found: dict[str, float] = {}
    for row in rows:
        if (row.record, row.metric, row.system, row.severity) == (
            "measurement", "dsc", system, severity,
        ):  # fmt: skip
            value = 0.0 if row.value is None else row.value
            found[row.patient] = min(value, found.get(row.patient, 1.0))
    return [found[name] for name in sorted(found)]


def test_the_bound_is_that_of_the_worst_cases_under_the_mix() -> None:
    rows = fail(rows_of(COHORT), system="weak", case="scan_003_1", severity=4.0)
    found = promised(rows, {CLEAN: 0.7, SEVERE: 0.3})
    for system in COHORT.systems:
        scores = np.array([worst(rows, system, 0.0), worst(rows, system, 4.0)]).T
        bound = found[system]
        assert bound.value == hcp_lower(scores, np.array([0.7, 0.3]), 0.1)
        assert (bound.n, bound.level, bound.side, bound.note) == (20, 0.9, "lower", "")
    assert min(worst(rows, "weak", 4.0)) == 0.0  # the failed case counts


def test_missing_scores_and_estimated_shares_are_told() -> None:
    rows = rows_of(COHORT)
    for case in ("scan_000_0", "scan_000_1"):
        rows = fail(rows, "no_effect", system="strong", case=case, severity=4.0)
    found = promised(rows, {CLEAN: 0.7, SEVERE: 0.3}, scans=31)
    assert found["strong"].note == (
        "1 of 40 scores are missing and count as below the bound; the shares of the mix were found on 31 "
        "scans"
    )
    assert found["weak"].note == "the shares of the mix were found on 31 scans"


def test_a_condition_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="mix"):
        promised(rows_of(COHORT), {CLEAN: 0.7, ("gaussian_blur", 1.0): 0.3})


def test_a_joint_scan_without_effect_counts_with_the_clean_scan() -> None:
    # taken as unknown, the clean scans of a site would be left out of what is promised for its next one
    joint = PerturbationSpec("joint", (1.0,), (1.0,), "of the row")
    cohort = replace(COHORT, cases_per_patient=1, perturbations=(joint,))
    rows = rows_of(cohort)
    for patient in range(12):
        rows = fail(rows, "no_effect", case=f"scan_{patient:03d}_0", perturbation="joint")
    setup = setup_of(cohort)
    columns = measurements(of_kind(table_of(rows), Record.MEASUREMENT), setup.names)
    found = dict(
        mix_promises(
            with_clean(columns, ("joint", 1.0)), setup.patient_numbers, systems=cohort.systems,
            label=LABEL, metric="dsc", mix={("joint", 1.0): 1.0}, alpha=0.1,
        )
    )  # fmt: skip
    scores = worst(rows, "weak", 0.0)[:12] + worst(rows, "weak", 1.0)[12:]
    assert (found["weak"].n, found["weak"].note) == (20, "")
    assert found["weak"].value == sorted(scores)[1]  # floor(21 * .1) = 2
