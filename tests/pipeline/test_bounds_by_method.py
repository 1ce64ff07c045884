"""The bound of a mean by its method, from Python and in the report."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rows_tables import Cohort, rows_of, setup_of, table_of

from auditor.analysis import summarise
from auditor.analysis.phantom import phantom_lower
from auditor.analysis.proven import betting_lower, hoeffding_lower
from auditor.errors import ConfigError
from auditor.pipeline.run import BoundMethod, Run
from reports.sections.clean import clean
from reports.view import view_of

COHORT = Cohort(patients=24)


@pytest.fixture(scope="module")
def run() -> Run:
    return Run(Path("run"), summarise(table_of(rows_of(COHORT)), setup=setup_of(COHORT)))


def clean_dsc() -> np.ndarray:
    """One clean DSC a patient of the strong system, in the order of the patients."""
    rows = [
        row
        for row in rows_of(COHORT)
        if (row.metric, row.system, row.perturbation) == ("dsc", "strong", "clean")
    ]
    return np.array(
        [[row.value] for row in sorted(rows, key=lambda row: row.case)], dtype=np.float64
    )


@pytest.mark.parametrize(
    ("method", "bound"),
    [("phantom", phantom_lower), ("betting", betting_lower), ("hoeffding", hoeffding_lower)],
)
def test_a_bound_is_that_of_the_method(run: Run, method: BoundMethod, bound: object) -> None:
    found = run.bound("dsc", system="strong", method=method)
    expected = bound(clean_dsc(), level=0.95)[0]  # type: ignore[operator]
    assert found.value == pytest.approx(expected, abs=1e-8)
    assert (found.n, found.level, found.side) == (24, 0.95, "lower")
    assert method in found.method.lower()
    under = run.bound(
        "dsc", system="strong", perturbation="rician_noise", severity=2.0, method=method
    )
    assert under.value is not None
    assert found.value is not None
    assert under.value < found.value


def test_an_unknown_method_is_refused_and_a_group_has_the_phantom_bound_alone(run: Run) -> None:
    with pytest.raises(ConfigError, match="must be one of phantom, betting, hoeffding, got 'wald'"):
        run.bound("dsc", system="strong", method="wald")  # type: ignore[arg-type]
    asked = {"metric": "dsc", "system": "strong", "stratum": ("site", "A")}
    assert run.bound(**asked).value is not None  # type: ignore[arg-type]
    none = run.bound(**asked, method="betting")  # type: ignore[arg-type]
    assert (none.value, none.status) == (None, "not_assessable")
    assert "all cases" in none.note
    # a mean without any bound says why, whatever the method
    assert run.bound("hd95", system="strong", method="betting").status == "not_assessable"


def test_the_report_names_proven_bounds_on_clean_scans_and_lives_without_them(run: Run) -> None:
    section = str(clean(view_of(run.results, {}, {}, images=False)).blocks)
    told = re.sub("<[^>]+>", "", section)
    value = run.bound("dsc", system="strong", method="betting").value
    assert f"wider, but proven: betting bound {value:.3f}" in told
    # 1 - .05^(1/24) = .117
    assert "With 24 patients a rate of failures up to 0.117 that no patient shows" in told
    without = replace(
        run.results, summaries=tuple(replace(it, proven=()) for it in run.results.summaries)
    )
    assert "proven" not in str(clean(view_of(without, {}, {}, images=False)).blocks)
