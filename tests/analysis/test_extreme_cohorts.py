"""One patient, no patient, all alike, all failed: described numbers, and no bound that says more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from rows_tables import LABEL, Cohort, fail, rows_of, setup_of, table_of

from auditor.analysis import summarise
from auditor.analysis.means import described, interval_estimate, mean_estimate, unseen
from auditor.schema import CriterionSpec, Estimate, Results, Row, Verdict

CLAIMS = (
    CriterionSpec("C-01", "strong", LABEL, "dsc", threshold=0.1),
    CriterionSpec("C-02", "strong", LABEL, "dsc", threshold=0.1, evidence="conditional"),
    CriterionSpec(
        "C-03", "strong", LABEL, "dsc", form="share_of_patients_at_least", threshold=0.1,
        value_at_least=0.1,
    ),
)  # fmt: skip


def estimates(record: object) -> Iterator[Estimate]:
    """Every estimate in a record, wherever it stands."""
    if isinstance(record, Estimate):
        yield record
    elif is_dataclass(record):
        for field in fields(record):
            yield from estimates(getattr(record, field.name))
    elif isinstance(record, tuple):
        for part in record:
            yield from estimates(part)


def analysed(cohort: Cohort, rows: list[Row]) -> Results:
    return summarise(table_of(rows), setup=setup_of(cohort, criteria=CLAIMS))


def test_one_patient_with_all_cases_is_described_and_bounds_nothing_anywhere() -> None:
    cohort = Cohort(patients=1, cases_per_patient=30)
    found = analysed(cohort, rows_of(cohort))
    every = list(estimates(found))
    assert len(every) > 100
    for it in every:
        assert (it.side, it.level, it.low, it.high) == ("none", None, None, None)
        assert it.n <= 1
    for row in found.summaries:
        assert (row.mean.status, row.mean.n) == ("too_few", 1)
        assert row.mean.value is not None
        assert "one patient says nothing of others" in row.mean.note
        assert row.lower.value is None
        assert row.proven == ()
        assert row.median is not None
    for bound in found.conformal:
        assert (bound.n, bound.bound, bound.pac_bound, bound.rank) == (1, None, None, 0)
    assert {it.verdict for it in found.comparisons} == {"no clear winner"}
    for criterion in found.criteria:
        assert criterion.bound.value is None
        assert criterion.verdict not in (Verdict.PASS, Verdict.PASS_CONDITIONAL, Verdict.FAIL)


def test_many_scans_of_few_patients_count_as_few() -> None:
    cohort = Cohort(patients=9, cases_per_patient=4)
    found = analysed(cohort, rows_of(cohort))
    assert {it.mean.status for it in found.summaries} == {"too_few"}
    assert {it.lower.status for it in found.summaries} == {"too_few", "not_assessable"}
    # 1 - .05^(1/9) = .283; groups of four and five patients say their own
    whole = [it.mean.note for it in found.summaries if it.axis == "all"]
    assert all("up to 0.283 that no patient shows is not excluded" in note for note in whole)


def test_the_rule_of_three_stands_with_every_mean_and_bound_of_a_mean() -> None:
    cohort = Cohort(patients=24)
    found = analysed(cohort, rows_of(cohort))
    for row in found.summaries:
        bounded = [row.lower] if row.lower.value is not None else []
        changed = [row.drop] if row.drop.value is not None else []
        for it in (row.mean, *bounded, *changed):
            assert "that no patient shows is not excluded" in it.note
    for pair in found.comparisons:
        assert "that no patient shows is not excluded" in pair.difference.note


def test_where_every_prediction_failed_nothing_is_estimated_from_nobody() -> None:
    cohort = Cohort(patients=12)
    found = analysed(cohort, fail(rows_of(cohort), system="strong"))
    strong = [it for it in found.summaries if it.system == "strong"]
    for row in strong:
        assert (row.mean.value, row.mean.n, row.mean.status) == (None, 0, "not_assessable")
        assert (row.lower.value, row.proven) == (None, ())
    clean = next(it for it in strong if it.perturbation == "clean" and it.metric == "dsc")
    assert clean.worst_case_mean == 0.0
    assert found.criteria[0].bound.value == 0.0


def test_perfect_scores_have_no_interval_and_the_bounds_of_what_nobody_shows() -> None:
    cohort = Cohort(patients=20)
    rows = [
        replace(row, value=1.0) if row.metric == "dsc" and row.system == "strong" else row
        for row in rows_of(cohort)
    ]
    found = analysed(cohort, rows)
    clean = next(
        it for it in found.summaries
        if (it.system, it.metric, it.perturbation, it.axis) == ("strong", "dsc", "clean", "all")
    )  # fmt: skip
    assert (clean.mean.value, clean.mean.side, clean.mean.status) == (1.0, "none", "degenerate")
    # .05^(1/20) = .8609; proven ones lie below: sqrt(log(20) / 40) = .2737 below 1
    assert clean.lower.value == pytest.approx(0.8609, abs=1e-4)
    betting, hoeffding = clean.proven
    assert hoeffding.value == pytest.approx(1 - 0.2737, abs=1e-4)
    assert betting.value is not None
    assert 1 - 0.2737 < betting.value < 0.8609
    assert (betting.method, hoeffding.method) == ("betting bound", "Hoeffding's bound")


def test_means_of_nobody_and_of_one() -> None:
    nobody = mean_estimate(np.empty(0), level=0.95, seed=1)
    assert (nobody.value, nobody.n, nobody.side) == (None, 0, "none")
    for n in (1, 2, 9):
        few = mean_estimate(np.linspace(0.4, 0.6, n), level=0.95, seed=1)
        assert (few.side, few.low, few.status) == ("none", None, "too_few")
    assert unseen(1, level=0.95) == "one patient says nothing of others"
    # 1 - .1^(1/22) = .0994
    assert "up to 0.099 " in unseen(22, level=0.9)
    assert described(np.array([0.5, 0.7]), level=0.95).value == pytest.approx(0.6)


def test_an_infinite_end_is_no_interval() -> None:
    found = interval_estimate(np.array([0.5] * 11 + [0.6]), (-np.inf, 0.7), 0.0, 0.95)
    assert (found.side, found.status) == ("none", "degenerate")
    assert "is not excluded" in found.note
