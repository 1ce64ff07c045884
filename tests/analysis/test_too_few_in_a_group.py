"""Groups of fewer patients than declared are shown, and never inferred from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rows_tables import LABEL, NOISE, Cohort, rows_of, setup_of, table_of

from auditor.analysis import AnalysisSetup, summarise
from auditor.schema import CriterionSpec, Results, Verdict
from auditor.strata.assign import FrozenStratum

COHORT = Cohort(patients=24, perturbations=(replace(NOISE, severities=(1.0,), levels=(3.0,)),))
"""Twelve patients of site A, twelve of site B."""
CLAIM = CriterionSpec(
    "C-01", "strong", LABEL, "dsc", threshold=0.2, evidence="assured", stratum=("site", "A")
)


def results(
    *, cohort: Cohort = COHORT, criteria: tuple[CriterionSpec, ...] = (), **changes: Any
) -> Results:
    setup = setup_of(cohort, criteria=criteria)
    strata = tuple(replace(it, **changes) for it in setup.strata)
    return summarise(table_of(rows_of(cohort)), setup=replace(setup, strata=strata))


def of_site(found: Results) -> list[Any]:
    return [it for it in found.summaries if it.axis == "site" and it.metric == "dsc"]


def test_a_larger_minimum_takes_intervals_and_bounds_away_from_groups_and_not_from_all_cases() -> (
    None
):
    found = results(minimum=13)
    assert found.strata[0].minimum == 13
    assert of_site(found)
    for row in of_site(found):
        assert (row.mean.status, row.mean.n, row.mean.low) == ("too_few", 12, None)
        assert row.mean.value is not None
        assert row.lower.status == "too_few"
        assert "needs n >= 13" in row.mean.note
    whole = [it for it in found.summaries if it.axis == "all" and it.metric == "dsc"]
    assert {it.mean.status for it in whole} == {"ok"}
    # the front page names no group that nothing can be inferred from
    assert found.headline.hardest == ()


def test_a_minimum_that_is_reached_changes_nothing() -> None:
    assert of_site(results(minimum=12)) == of_site(results())
    # below ten there is no inference, whatever is declared
    assert results(minimum=3).strata[0].minimum == 10


def test_a_claim_on_a_group_of_too_few_patients_is_undecided_and_says_how_many_it_needs() -> None:
    passed = results(criteria=(CLAIM,)).criteria[0]
    assert passed.verdict is Verdict.PASS
    few = results(criteria=(CLAIM,), minimum=13).criteria[0]
    assert few.verdict is Verdict.INSUFFICIENT
    assert few.needed_patients == 13
    assert few.change == "A group needs at least 13 patients, this one has 12."
    assert few.bound.value is None
    assert few.estimate.value == passed.estimate.value


def test_a_claim_on_groups_that_were_chosen_late_is_not_judged() -> None:
    late = results(criteria=(CLAIM,), kind="descriptive")
    assert late.criteria[0].verdict is Verdict.NOT_RUN
    assert "changed after results existed" in late.criteria[0].change
    assert late.headline.hardest == ()


def test_a_patient_with_cases_in_two_groups_counts_in_both_and_is_counted_as_shared() -> None:
    cohort = replace(COHORT, patients=12, cases_per_patient=2)
    first = {it.case: "first" if it.case.endswith("_0") else "second" for it in cohort.cases}
    # one patient has both scans in one group
    first[cohort.cases[1].case] = "first"
    info = results(cohort=cohort, axis="visit", names=("first", "second"), membership=first).strata[
        0
    ]
    assert info.patients == (12, 11)
    assert info.shared == 11


def test_a_cross_is_summarised_like_any_other_axis() -> None:
    setup: AnalysisSetup = setup_of(COHORT)
    [site] = setup.strata
    half = {case: "old" if k % 4 < 2 else "young" for k, case in enumerate(site.membership)}
    names = ("A & old", "A & young", "B & old", "B & young")
    cross = FrozenStratum(
        "site_by_age", "", (), names,
        {case: f"{group} & {half[case]}" for case, group in site.membership.items()},
        "", "inferential", rule="cross", cross=(("site", ("A", "B")), ("age", ("old", "young"))),
    )  # fmt: skip
    found = summarise(table_of(rows_of(COHORT)), setup=replace(setup, strata=(site, cross)))
    cells = [
        it for it in found.summaries if it.axis == "site_by_age" and it.perturbation == "clean"
        and it.metric == "dsc" and it.system == "strong"
    ]  # fmt: skip
    assert {it.stratum: it.mean.n for it in cells} == dict.fromkeys(names, 6)
    by_name = {it.stratum: it.mean.value or 0.0 for it in cells}
    pooled = sum(by_name[f"A & {age}"] for age in ("old", "young")) / 2
    clean = next(
        it.mean.value
        for it in of_site(found)
        if (it.stratum, it.perturbation, it.system) == ("A", "clean", "strong")
    )
    assert pooled == pytest.approx(clean)
