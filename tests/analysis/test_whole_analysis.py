"""Laws of the whole analysis: counts, failures, replicates, patients, exhibits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rows_tables import LABEL, Cohort, fail, rows_of, setup_of, table_of

from auditor.analysis import AnalysisSetup, summarise
from auditor.schema import (
    ContractStatus,
    CriterionSpec,
    Results,
    Row,
    Summary,
    Verdict,
    decode,
    encode,
)

MEAN = CriterionSpec("C-01", "strong", LABEL, "dsc", threshold=0.7)
DROP = CriterionSpec(
    "C-02",
    "strong",
    LABEL,
    "dsc",
    perturbation="rician_noise",
    level=6.0,
    severity=2.0,
    unit="% of S_ref",
    form="mean_drop_at_most",
    threshold=0.2,
)
NEAR = CriterionSpec(
    "C-03",
    "strong",
    LABEL,
    "hd95",
    form="share_of_patients_at_least",
    threshold=0.8,
    value_at_most=20.0,
)
ALL = (MEAN, DROP, NEAR)


def analyse(cohort: Cohort, rows: list[Row] | None = None, **setup: Any) -> Results:
    rows = rows_of(cohort) if rows is None else rows
    return summarise(table_of(rows), setup=setup_of(cohort, **setup))


def found(results: Results, **where: Any) -> Summary:
    """The one summary at a place; the main metric on all cases unless told otherwise."""
    place = {"metric": "dsc", "axis": "all", "perturbation": "clean", **where}
    rows = [it for it in results.summaries if all(getattr(it, k) == v for k, v in place.items())]
    assert len(rows) == 1, place
    return rows[0]


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return Cohort()


@pytest.fixture(scope="module")
def results(cohort: Cohort) -> Results:
    return analyse(cohort, criteria=ALL)


def test_lists_are_sorted_by_what_they_are_about(results: Results) -> None:
    places = [
        (it.system, it.perturbation, it.severity, it.label, it.metric, it.region, it.axis)
        for it in results.summaries
    ]
    assert places == sorted(places)
    conditions = [(it.perturbation, it.severity) for it in results.conditions]
    assert conditions == sorted(conditions)


def test_every_evaluation_is_counted(cohort: Cohort, results: Results) -> None:
    # 24 patients x 2 systems x (clean + 3 severities + 1)
    assert results.planned == 24 * 2 * 5
    assert sum(it.n for it in results.statuses) == results.planned
    for record in results.systems:
        assert sum(it.n for it in record.statuses) == 24 * 5


def test_geometry_is_summarised_in_both_regions(results: Results) -> None:
    regions = {it.region for it in results.summaries if it.perturbation == "rotation"}
    assert regions == {"retained", "whole"}


def test_strata_part_the_patients(results: Results) -> None:
    parts = [
        found(results, system="strong", axis="site", stratum=name).mean.n for name in ("A", "B")
    ]
    assert parts == [12, 12]
    assert [it.patients for it in results.strata] == [(12, 12)]


def test_the_better_system_is_preferred_everywhere(results: Results) -> None:
    assert {(it.first, it.second, it.verdict) for it in results.comparisons} == {
        ("strong", "weak", "strong")
    }
    assert results.headline.best_clean == results.headline.best_noise == ("strong",)
    assert (results.headline.noise_perturbation, results.headline.noise_severity) == (
        "rician_noise",
        2.0,
    )


def test_verdicts_of_a_system_that_keeps_its_claims(results: Results) -> None:
    assert [it.id for it in results.criteria] == ["C-01", "C-02", "C-03"]
    assert [it.verdict for it in results.criteria] == [Verdict.PASS] * 3
    assert results.overall == "PASS: 3 of 3 declared claims supported"


def test_a_doubted_contract_turns_failures_only(cohort: Cohort) -> None:
    strict = (replace(MEAN, threshold=0.99), DROP)
    verdicts = [
        it.verdict
        for it in analyse(cohort, criteria=strict, contract=ContractStatus.IN_DOUBT).criteria
    ]
    assert verdicts == [Verdict.CONTRACT_IN_DOUBT, Verdict.PASS]


def test_failures_leave_the_mean_but_not_the_worst_case(cohort: Cohort) -> None:
    rows = fail(rows_of(cohort), system="weak", perturbation="clean", case="scan_004_0")
    failed = analyse(cohort, rows)
    clean = found(failed, system="weak")
    assert {(it.status, it.n) for it in clean.statuses} == {("ok", 23), ("crashed", 1)}
    assert clean.mean.n == 23
    assert clean.worst_case_mean == pytest.approx((clean.mean.value or 0) * 23 / 24)
    far = found(failed, system="weak", metric="hd95")
    assert far.worst_case_mean == pytest.approx(((far.mean.value or 0) * 23 + 250) / 24)
    first = next(it for it in failed.worst if it.system == "weak")
    assert (first.case, first.value, first.status) == ("C005", None, "crashed")
    assert "it broke" in first.reason


def ranked(verdict: Verdict) -> int:
    order = [Verdict.FAIL, Verdict.NOT_ATTAINABLE, Verdict.INSUFFICIENT, Verdict.PASS]
    return order.index(verdict)


@pytest.mark.parametrize("status", ["crashed", "not_finite", "quarantined"])
@pytest.mark.parametrize("where", ["clean", "rician_noise"])
def test_more_failures_never_improve_a_verdict_or_a_bound(
    cohort: Cohort, status: str, where: str
) -> None:
    rows = rows_of(cohort)
    before = analyse(cohort, criteria=ALL).criteria
    for patient in range(0, 24, 5):
        rows = fail(
            rows, status, system="strong", perturbation=where, patient=f"person_{patient:03d}"
        )
        after = analyse(cohort, rows, criteria=ALL).criteria
        for old, new in zip(before, after, strict=True):
            assert ranked(new.verdict) <= ranked(old.verdict)
            sign = 1 if old.form != "mean_drop_at_most" else -1
            assert old.bound.value is not None
            assert new.bound.value is not None
            assert sign * new.bound.value <= sign * old.bound.value
        before = after


def test_when_everything_failed_everything_is_said(cohort: Cohort) -> None:
    rows = rows_of(cohort)
    for system in cohort.systems:
        rows = fail(rows, "timed_out", system=system)
    failed = analyse(cohort, rows, criteria=ALL)
    assert {it.verdict for it in failed.criteria} == {Verdict.FAIL}
    assert [(it.status, it.n) for it in failed.statuses] == [("timed_out", 240)]
    assert failed.exhibits == ()
    clean = found(failed, system="strong")
    assert (clean.mean.value, clean.mean.n, clean.worst_case_mean) == (None, 0, 0.0)
    assert decode(encode(failed), Results) == failed


def test_total_misses_are_values(cohort: Cohort) -> None:
    rows = [
        replace(row, value=0.0 if row.metric == "dsc" else None, status="prediction_empty")
        if (row.system, row.record, row.case) == ("weak", "measurement", "scan_003_0")
        else row
        for row in rows_of(cohort)
    ]
    missed = analyse(cohort, rows)
    clean = found(missed, system="weak")
    assert (clean.mean.n, clean.minimum) == (24, 0.0)
    assert found(missed, system="weak", metric="hd95").mean.n == 23


def test_several_cases_of_a_patient_are_one_patient() -> None:
    each = Cohort(patients=20, cases_per_patient=1)
    rows = rows_of(each)
    twice = Cohort(patients=20, cases_per_patient=2)
    doubled = rows + [replace(row, case=row.case[:-1] + "1") for row in rows]
    one, two = analyse(each), analyse(twice, doubled)
    for place in ({"system": "weak"}, {"system": "strong", "axis": "site", "stratum": "A"}):
        assert found(one, **place).mean == found(two, **place).mean
        assert found(one, **place).lower == found(two, **place).lower
    assert one.conformal == two.conformal
    assert one.comparisons == two.comparisons


def test_replicates_are_averaged_and_shown_by_the_first() -> None:
    cohort = Cohort(patients=12, replicates=3)
    rows = rows_of(cohort)
    results = analyse(cohort, rows)
    assert found(results, system="weak", perturbation="rotation", region="whole").mean.n == 12
    stored = {
        (row.case, row.system, row.perturbation, row.severity): row.value
        for row in rows
        if row.metric == "dsc" and row.replicate == 0
    }
    names = {record.display_case: record.case for record in cohort.cases}
    for it in results.exhibits:
        assert it.value == stored[names[it.case], it.system, it.perturbation, it.severity]


def test_exhibits_are_few_different_and_by_their_rules(results: Results) -> None:
    assert [it.id for it in results.exhibits] == [f"E-{i:02d}" for i in range(1, 7)]
    assert [it.rule for it in results.exhibits] == ["worst"] * 2 + ["worst drop"] * 2 + [
        "random"
    ] * 2
    places = {(it.system, it.case, it.perturbation, it.severity) for it in results.exhibits}
    assert len(places) == 6
    lowest = min(it.value for it in results.worst if it.value is not None)
    assert results.exhibits[0].value == lowest
    assert results.exhibits[2].severity == 4.0


@pytest.mark.parametrize("wanted", [0, 1, 2, 5, 12])
def test_no_more_exhibits_than_asked(cohort: Cohort, wanted: int) -> None:
    assert len(analyse(cohort, exhibits=wanted).exhibits) == wanted


def test_conformal_bounds_are_order_statistics_of_the_patients(results: Results) -> None:
    clean = next(
        it for it in results.conformal if (it.system, it.perturbation) == ("strong", "clean")
    )
    # n = 24: k = floor(25 * .1) = 2; PAC: P(Bin(24, .1) <= 0) = .08 <= .1
    assert (clean.rank, clean.pac_rank, clean.needed, clean.needed_pac) == (2, 1, 9, 22)
    assert clean.pac_bound == found(results, system="strong").minimum
    assert clean.clean_verdict == "by construction"
    hard = next(it for it in results.conformal if (it.system, it.severity) == ("weak", 4.0))
    assert hard.clean_held <= hard.held
    assert hard.clean_verdict == "BROKEN"


def test_ties_between_systems_have_no_winner() -> None:
    cohort = Cohort(systems=("strong", "copy"))
    rows = [row for row in rows_of(cohort) if row.system != "copy"]
    rows += [replace(row, system="copy") for row in rows if row.system == "strong"]
    results = analyse(cohort, rows)
    assert {it.verdict for it in results.comparisons} == {"no clear winner"}
    assert results.headline.best_clean == ("strong", "copy")


def test_an_audit_without_perturbations_speaks_of_clean_scans() -> None:
    cohort = Cohort(perturbations=())
    results = analyse(cohort, criteria=(MEAN, replace(DROP, required=False)))
    assert [it.verdict for it in results.criteria] == [Verdict.PASS, Verdict.NOT_RUN]
    assert results.headline.best_noise == ()
    assert decode(encode(results), Results) == results


def test_what_is_not_assessed_follows_from_the_audit(results: Results) -> None:
    said = " ".join(results.not_assessed)
    assert "fewer than two raters" in said
    assert "one training run each" in said
    raters = " ".join(analyse(Cohort(patients=12, raters=3)).not_assessed)
    assert "fewer than two raters" not in raters


def test_the_setup_knows_its_patients() -> None:
    setup: AnalysisSetup = setup_of(Cohort(patients=3, cases_per_patient=2))
    assert setup.patient_numbers.tolist() == [0, 0, 1, 1, 2, 2]
    assert setup.patients == 3


def test_a_mean_of_distances_cannot_be_claimed(cohort: Cohort) -> None:
    with pytest.raises(ValueError, match=r"metrics in \[0, 1\] only, got 'hd95'"):
        analyse(cohort, criteria=(replace(MEAN, metric="hd95"),))


def test_a_claim_tells_of_patients_on_whom_its_level_changes_nothing(cohort: Cohort) -> None:
    rows = rows_of(cohort)
    for patient in range(3):
        rows = fail(rows, "no_effect", patient=f"person_{patient:03d}", severity=2.0)
    (judged,) = analyse(cohort, rows, criteria=(DROP,)).criteria
    assert judged.estimate.n == 21
    assert "3 patient(s) are left out" in judged.change


def test_an_exploratory_audit_gives_no_verdicts(cohort: Cohort) -> None:
    setup = setup_of(cohort, criteria=ALL)
    explored = replace(setup, audit=replace(setup.audit, purpose="exploratory"))
    results = summarise(table_of(rows_of(cohort)), setup=explored)
    assert {it.verdict for it in results.criteria} == {Verdict.NOT_RUN}
    assert results.criteria[0].change == "Not run: an exploratory audit gives no verdicts."
    assert results.overall.startswith("EXPLORATORY")


def test_a_share_counts_failures_beyond_a_value_that_their_worst_case_would_reach(
    cohort: Cohort,
) -> None:
    setup = setup_of(cohort)
    generous = tuple(
        replace(info, parameters=(("within_mm", 300.0),)) if info.name == "hd95" else info
        for info in setup.metrics
    )
    rows = fail(rows_of(cohort), system="weak", perturbation="clean", case="scan_004_0")
    results = summarise(table_of(rows), setup=replace(setup, metrics=generous))
    share = found(results, system="weak", metric="hd95").share
    assert share is not None
    assert share.value == pytest.approx(23 / 24)  # the diagonal is 250 mm, but it has no surface
    # Clopper-Pearson, 23 of 24: (.789, .999)
    assert (share.low, share.high) == pytest.approx((0.789, 0.999), abs=1e-3)
    assert found(results, system="weak").share is None
