"""From a table of rows to results: complete, reproducible, and honest about what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from rows_tables import DSC, LABEL, NOISE, Cohort, fail, rows_of, setup_of, table_of
from scipy import stats

from auditor.analysis import AnalysisSetup, summarise
from auditor.schema import (
    CriterionSpec,
    PerturbationSpec,
    Results,
    Row,
    Summary,
    Verdict,
    decode,
    encode,
)

COHORT = Cohort()
MEAN = CriterionSpec("C-01", "strong", LABEL, "dsc", threshold=0.5)
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
    threshold=0.3,
)
NEAR = CriterionSpec(
    "C-03",
    "strong",
    LABEL,
    "hd95",
    form="share_of_patients_at_least",
    threshold=0.8,
    value_at_most=1000.0,
)


def analysed(rows: Sequence[Row], setup: AnalysisSetup) -> Results:
    """Analyse, and prove that what comes out can be stored and read back unchanged."""
    results = summarise(table_of(rows), setup=setup)
    assert decode(encode(results), Results) == results
    return results


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return rows_of(COHORT)


@pytest.fixture(scope="module")
def results(rows: list[Row]) -> Results:
    return analysed(rows, setup_of(COHORT, criteria=(MEAN, DROP, NEAR)))


def summary(results: Results, **where: object) -> Summary:
    wanted = {"metric": "dsc", "axis": "all", "region": "whole", **where}
    (found,) = [
        it for it in results.summaries if all(getattr(it, k) == v for k, v in wanted.items())
    ]
    return found


def dsc_of(rows: Sequence[Row], system: str, severity: float, perturbation: str) -> list[float]:
    return [
        row.value
        for row in rows
        if (row.system, row.severity, row.perturbation, row.metric, row.region)
        == (system, severity, perturbation, "dsc", "whole")
        and row.value is not None
    ]


def test_the_order_of_rows_changes_no_byte(rows: list[Row], results: Results) -> None:
    order = [int(i) for i in np.random.default_rng(1).permutation(len(rows))]
    shuffled = summarise(
        table_of(rows, order=order), setup=setup_of(COHORT, criteria=(MEAN, DROP, NEAR))
    )
    assert encode(shuffled) == encode(results)


def test_another_seed_moves_intervals_and_nothing_else(rows: list[Row], results: Results) -> None:
    setup = setup_of(COHORT, criteria=(MEAN, DROP, NEAR))
    other = analysed(rows, replace(setup, audit=replace(setup.audit, seed=12)))
    ours, theirs = (it.summaries[0] for it in (results, other))
    assert ours.mean.value == theirs.mean.value
    assert ours.mean.low != theirs.mean.low
    assert ours.lower == theirs.lower  # computed, not drawn


def test_every_system_condition_metric_and_group_has_its_summary(results: Results) -> None:
    # conditions: clean and 3 severities of noise in one region, one rotation in two: 4 + 2
    # times 2 systems, 2 metrics, 3 groups (all, site A, site B)
    assert len(results.summaries) == 6 * 2 * 2 * 3
    keys = [
        (
            it.system,
            it.perturbation,
            it.severity,
            it.label,
            it.metric,
            it.region,
            it.axis,
            it.stratum,
        )
        for it in results.summaries
    ]
    assert keys == sorted(set(keys))


def test_means_and_drops_are_those_of_the_rows(rows: list[Row], results: Results) -> None:
    clean = np.array(dsc_of(rows, "weak", 0.0, "clean"))
    noisy = np.array(dsc_of(rows, "weak", 4.0, "rician_noise"))
    found = summary(results, system="weak", perturbation="rician_noise", severity=4.0)
    assert found.mean.value == pytest.approx(noisy.mean())
    assert found.drop.value == pytest.approx((clean - noisy).mean())
    assert found.median == pytest.approx(np.median(noisy))
    assert (found.minimum, found.maximum) == (noisy.min(), noisy.max())
    assert found.worst_case_mean == pytest.approx(noisy.mean())
    assert (found.level, found.unit, found.mean.n) == (20.0, "% of S_ref", 24)


def test_a_longer_distance_is_a_positive_drop(results: Results) -> None:
    where = {"system": "weak", "perturbation": "rician_noise", "severity": 4.0}
    # HD95 is 2 + 40 (1 - DSC): it grows by 40 times the loss of DSC
    dsc = summary(results, **where).drop.value
    distance = summary(results, metric="hd95", **where).drop.value
    assert dsc is not None
    assert dsc > 0
    assert distance == pytest.approx(40 * dsc)


def test_intervals_lie_around_their_mean_and_bounds_below_it(results: Results) -> None:
    for it in results.summaries:
        if it.mean.status == "ok":
            assert it.mean.low is not None
            assert it.mean.high is not None
            assert it.mean.value is not None
            assert it.mean.low <= it.mean.value <= it.mean.high
        if it.lower.value is not None:
            assert it.mean.value is not None
            assert it.lower.value <= it.mean.value


def test_distances_have_no_bounded_mean(results: Results) -> None:
    found = summary(results, system="strong", perturbation="clean", metric="hd95")
    assert (found.lower.value, found.lower.status) == (None, "not_assessable")


def test_conformal_bounds_are_calibrated_on_clean_and_counted_under_noise(results: Results) -> None:
    found = {(it.system, it.perturbation, it.severity): it for it in results.conformal}
    clean = found["weak", "clean", 0.0]
    # floor(25 * .1) = 2; PAC at (.1, .1): P(Bin(24, .1) <= 0) = .08 <= .1, so rank 1
    assert (clean.n, clean.rank, clean.pac_rank, clean.needed, clean.needed_pac) == (
        24,
        2,
        1,
        9,
        22,
    )
    assert clean.clean_verdict == "by construction"
    assert (clean.held, clean.counted) == (22, 24)
    # the weak system loses .12 at severity 4 where its patients spread by about .05
    assert found["weak", "rician_noise", 4.0].clean_verdict == "BROKEN"
    assert found["weak", "rician_noise", 4.0].held == 22


def test_the_stronger_system_is_preferred_and_heads_the_page(results: Results) -> None:
    assert {it.verdict for it in results.comparisons} == {"strong"}
    head = results.headline
    assert head.best_clean == head.best_noise == ("strong",)
    assert (head.noise_perturbation, head.noise_severity, head.noise_level) == (
        "rician_noise",
        2.0,  # severities 1, 2, 4: 2 and 4 are as near to 3, the milder one counts
        6.0,
    )
    assert [name for name, _ in head.clean] == ["strong", "weak"]
    assert [row[0] for row in head.promised] == ["strong", "weak"]


def test_an_unknown_noise_is_found_by_its_family() -> None:
    cohort = Cohort(
        patients=10,
        perturbations=(
            PerturbationSpec("blur", (3.0,), (2.0,), "mm"),
            PerturbationSpec("speckle", (3.0,), (0.2,), ""),
        ),
    )
    setup = replace(setup_of(cohort), families={"blur": "blur", "speckle": "noise"})
    assert analysed(rows_of(cohort), setup).headline.noise_perturbation == "speckle"


def test_claims_are_judged_on_the_rows(results: Results) -> None:
    assert [(it.id, it.verdict) for it in results.criteria] == [
        ("C-01", Verdict.PASS),
        ("C-02", Verdict.PASS),
        ("C-03", Verdict.PASS),
    ]
    assert results.overall == "PASS: 3 of 3 declared claims supported"
    clean = summary(results, system="strong", perturbation="clean")
    assert results.criteria[0].bound.value == pytest.approx(clean.lower.value)


def test_a_crash_on_the_clean_scan_does_not_look_like_an_improvement(rows: list[Row]) -> None:
    setup = setup_of(COHORT, criteria=(DROP,))
    before = analysed(rows, setup).criteria[0]
    broken = rows
    for patient in range(6):
        broken = fail(broken, system="strong", perturbation="clean", case=f"scan_{patient:03d}_0")
    after = analysed(broken, setup).criteria[0]
    assert before.bound.value is not None
    assert after.bound.value is not None
    assert after.bound.value > before.bound.value
    assert "6 patient(s) without a value" in after.change


def test_a_failure_lies_beyond_every_distance(rows: list[Row]) -> None:
    # the named worst value, 250 mm, lies within the 1000 mm of the claim; a failure never does
    broken = rows
    for patient in range(12):
        broken = fail(broken, system="strong", case=f"scan_{patient:03d}_0")
    found = analysed(broken, setup_of(COHORT, criteria=(NEAR,))).criteria[0]
    assert found.estimate.value == pytest.approx(0.5)
    assert found.verdict is Verdict.FAIL


def test_total_misses_never_improve_a_number_that_counts_them(rows: list[Row]) -> None:
    setup = setup_of(COHORT, criteria=(MEAN,))
    last: tuple[float, float] | None = None
    broken = rows
    for patient in range(4):
        found = analysed(broken, setup)
        clean = summary(found, system="strong", perturbation="clean")
        assert clean.worst_case_mean is not None
        assert found.criteria[0].bound.value is not None
        now = (clean.worst_case_mean, found.criteria[0].bound.value)
        assert last is None or (now[0] < last[0] and now[1] < last[1])
        last = now
        broken = fail(broken, "timed_out", system="strong", case=f"scan_{patient:03d}_0")


def test_a_level_without_effect_is_counted_and_not_averaged(rows: list[Row]) -> None:
    changed = fail(rows, "no_effect", severity=1.0, case="scan_003_0")
    found = summary(
        analysed(changed, setup_of(COHORT)),
        system="weak",
        perturbation="rician_noise",
        severity=1.0,
    )
    assert found.mean.n == 23
    assert {(it.status, it.n) for it in found.statuses} == {("no_effect", 1), ("ok", 23)}
    assert found.worst_case_mean == pytest.approx(found.mean.value)


def test_a_system_that_always_fails_has_counts_and_no_means(rows: list[Row]) -> None:
    setup = setup_of(COHORT, criteria=(MEAN,))
    found = analysed(fail(rows, "crashed", system="strong"), setup)
    clean = summary(found, system="strong", perturbation="clean")
    assert (clean.mean.value, clean.mean.n, clean.worst_case_mean) == (None, 0, 0.0)
    assert [(it.status, it.n) for it in found.systems[0].statuses] == [("crashed", 24 * 5)]
    assert found.criteria[0].verdict is Verdict.FAIL
    assert found.overall.startswith("FAIL")
    assert all(it.system == "weak" for it in found.exhibits)


def test_cases_of_one_patient_count_once() -> None:
    cohort = Cohort(patients=12, cases_per_patient=3)
    rows = rows_of(cohort)
    found = analysed(rows, setup_of(cohort))
    clean = summary(found, system="weak", perturbation="clean")
    values = np.array(dsc_of(rows, "weak", 0.0, "clean")).reshape(12, 3)
    assert clean.mean.n == 12
    assert clean.mean.value == pytest.approx(values.mean(axis=1).mean())
    assert clean.minimum == pytest.approx(values.mean(axis=1).min())
    assert len(found.cases) == 36
    assert {it.n for it in found.conformal} == {12}


def test_one_patient_is_described_and_bounds_nothing() -> None:
    cohort = Cohort(patients=1)
    found = analysed(rows_of(cohort), setup_of(cohort, criteria=(MEAN, NEAR)))
    assert all(it.mean.low is None and it.lower.value is None for it in found.summaries)
    assert all(it.bound is None for it in found.conformal)
    assert all(it.difference.low is None for it in found.comparisons)
    assert {it.verdict for it in found.criteria} == {Verdict.NOT_ATTAINABLE}
    assert all(it.bound.value is None for it in found.criteria)
    assert any("too few" in sentence for sentence in found.not_assessed)


def test_without_claims_there_is_no_verdict(rows: list[Row]) -> None:
    found = analysed(rows, setup_of(COHORT))
    assert found.criteria == ()
    assert found.overall.startswith("EXPLORATORY")


def test_a_preview_runs_no_claim(rows: list[Row]) -> None:
    found = analysed(rows, setup_of(COHORT, criteria=(MEAN, DROP), preview=True))
    assert {it.verdict for it in found.criteria} == {Verdict.NOT_RUN}
    assert found.overall.startswith("PREVIEW")


def test_a_claim_about_a_group_uses_its_patients_alone(rows: list[Row]) -> None:
    spec = replace(MEAN, stratum=("site", "A"))
    found = analysed(rows, setup_of(COHORT, criteria=(spec,)))
    group = summary(found, system="strong", perturbation="clean", axis="site", stratum="A")
    assert found.criteria[0].estimate.n == group.mean.n == 12
    assert found.criteria[0].estimate.value == pytest.approx(group.mean.value)


def test_the_worst_list_holds_the_lowest_values_and_the_largest_drops(
    rows: list[Row], results: Results
) -> None:
    mine = [it for it in results.worst if it.system == "weak"]
    assert 10 <= len(mine) <= 20
    lowest = min(it.value for it in rows if it.system == "weak" and it.metric == "dsc" and it.value)
    # rotation is scored alike in both regions, so that the lowest row is in the main one too
    assert mine[0].value == pytest.approx(lowest)
    assert {it.case[0] for it in mine} == {"C"}


def test_difficulty_is_a_rank_correlation_with_its_interval(
    rows: list[Row], results: Results
) -> None:
    (found,) = [
        it for it in results.difficulty if (it.system, it.axis) == ("strong", "foreground_ratio")
    ]
    ratios = [it.foreground_ratio for it in rows if it.record == "scan" and it.severity == 0.0]
    expected = stats.spearmanr(ratios, dsc_of(rows, "strong", 0.0, "clean")).statistic
    # less foreground is harder, so that the sign is that of difficulty
    assert found.rho.value == pytest.approx(-expected)
    assert found.rho.low is not None
    assert found.rho.high is not None
    assert -1 <= found.rho.low <= -expected <= found.rho.high <= 1
    assert len(found.points) == 24


def test_raters_that_do_not_exist_are_not_assessed(results: Results) -> None:
    (found,) = [
        it for it in results.difficulty if (it.system, it.axis) == ("strong", "rater_disagreement")
    ]
    assert found.rho.value is None
    assert found.points == ()
    assert any(sentence.startswith("Inter-rater") for sentence in results.not_assessed)


def test_conditions_are_medians_over_scans(results: Results) -> None:
    (found,) = [
        it for it in results.conditions if (it.perturbation, it.severity) == ("rician_noise", 4.0)
    ]
    assert (found.nrmse, found.psnr, found.n_scans, found.stress) == (0.04, 36.0, 24, True)
    assert found.native_low is not None
    assert found.native_high is not None
    assert found.native_level is not None
    assert found.native_low <= found.native_level <= found.native_high


def test_exhibits_are_distinct_evaluations_with_a_mask(rows: list[Row], results: Results) -> None:
    assert [it.id for it in results.exhibits] == [f"E-{n:02d}" for n in range(1, 7)]
    assert [it.rule for it in results.exhibits].count("random") >= 2
    places = {(it.system, it.case, it.perturbation, it.severity) for it in results.exhibits}
    assert len(places) == 6
    known = {row.mask_digest for row in rows if row.record == "evaluation"}
    assert {it.mask_digest for it in results.exhibits} <= known


def test_no_exhibits_can_be_asked_for(rows: list[Row]) -> None:
    assert analysed(rows, setup_of(COHORT, exhibits=0)).exhibits == ()


def test_results_name_no_patient_of_the_user(results: Results) -> None:
    text = encode(results)
    assert "person_" not in text
    assert "scan_0" not in text


def test_a_single_system_with_a_single_metric_is_enough() -> None:
    cohort = Cohort(patients=12, systems=("only",), perturbations=(NOISE,))
    rows = [row for row in rows_of(cohort) if row.metric != "hd95"]
    found = analysed(rows, replace(setup_of(cohort), metrics=(DSC,)))
    assert found.comparisons == ()
    assert found.headline.best_clean == ("only",)


def test_an_audit_without_perturbations_has_a_clean_page() -> None:
    cohort = Cohort(patients=12, perturbations=())
    found = analysed(rows_of(cohort), setup_of(cohort))
    assert found.headline.noise_perturbation == ""
    assert found.headline.steepest == ()
    assert len(found.conditions) == 1
