"""Bounds made on clean scans, counted by severity and stratum: against counts by hand and the slow way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rows_tables import LABEL, Cohort, setup_of
from scipy import stats

from auditor.analysis.conformal import BROKEN, UNBROKEN, marginal_rank
from auditor.analysis.coverage_audit import coverage_rows
from auditor.analysis.promises import conformal_bounds
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.stratum_bounds import stratum_bounds
from auditor.analysis.table import Column, Key
from auditor.schema import CoverageRow
from auditor.strata.assign import FrozenStratum

Values = NDArray[np.floating[Any]]
NAN = float("nan")


def column(values: Values, level: float | None = None) -> Column:
    nothing = np.full(len(values), "", dtype=object)
    scores = values.astype(np.float64)
    return Column(level, "%", scores, scores, np.isnan(scores), scores, nothing[:, None], nothing)


def columns(by_severity: dict[float, Values]) -> dict[Key, Column]:
    return {
        Key("strong", "noise" if s else "clean", s, LABEL, "dsc", "whole"): column(v, s or None)
        for s, v in by_severity.items()
    }


def stratum(setup: AnalysisSetup, names: list[str], **changes: object) -> FrozenStratum:
    made = FrozenStratum(
        axis="foreground_ratio", label=LABEL, edges=(0.01,), names=tuple(dict.fromkeys(names)),
        membership=dict(zip(setup.names, names, strict=True)), note="", kind="inferential",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of the record


def rows_by(found: tuple[CoverageRow, ...]) -> dict[tuple[float, str, str], CoverageRow]:
    return {(it.severity, it.axis, it.stratum): it for it in found}


@pytest.fixture
def setup() -> AnalysisSetup:
    made = setup_of(Cohort(patients=40, systems=("strong",)))
    return replace(made, strata=(stratum(made, ["small"] * 12 + ["large"] * 28),))


def test_counts_by_hand(setup: AnalysisSetup) -> None:
    # 40 different clean scores: of 39 others the bound is the 4th smallest: .64 for the four lowest
    # patients (.60 to .63), .63 for the others. .195 less under noise: who had .83 or more keeps it
    clean = 0.60 + 0.01 * np.arange(40)
    found = rows_by(coverage_rows(columns({0.0: clean, 2.0: clean - 0.195}), setup))
    here = found[0.0, "all", "all"]
    assert (here.n, here.rank, here.needed, here.alpha) == (40, 4, 10, 0.1)
    assert (here.held, here.counted, here.missing, here.verdict) == (36, 40, 0, "by construction")
    assert here.mean_bound == pytest.approx((4 * 0.64 + 36 * 0.63) / 40)
    noisy = found[2.0, "all", "all"]
    assert (noisy.held, noisy.counted, noisy.verdict, noisy.level) == (17, 40, BROKEN, 2.0)
    exact = stats.binomtest(17, 40).proportion_ci(0.95, method="exact")
    assert noisy.share.value == 17 / 40
    assert noisy.share.low == pytest.approx(exact.low)
    assert noisy.share.high == pytest.approx(exact.high)
    assert (noisy.share.n, noisy.share.side, noisy.share.level) == (40, "two-sided", 0.95)
    assert noisy.share.note == "approximate: the calibration set is shared"
    # 40 further patients, bound of 39: beta-binomial(40, 36, 4)
    assert (noisy.chance_low, noisy.chance_high) == tuple(
        stats.betabinom(40, 36, 4).ppf([0.025, 0.975])
    )


def test_chance_is_that_of_the_bound_of_the_others() -> None:
    # 20 patients: each bound is made of 19, rank 2, Beta(18, 2); of 20 it would be 14 to 20
    made = setup_of(Cohort(patients=20, systems=("strong",)))
    (row,) = coverage_rows(columns({0.0: np.linspace(0.5, 0.9, 20)}), replace(made, strata=()))
    assert (row.chance_low, row.chance_high) == (13, 20)


def test_a_group_is_judged_by_the_bound_of_all(setup: AnalysisSetup) -> None:
    clean = 0.60 + 0.01 * np.arange(40)
    found = rows_by(coverage_rows(columns({0.0: clean}), setup))
    small = found[0.0, "foreground_ratio", "small"]
    # the four lowest patients are all small: 8 of 12; by construction it holds for all together only
    assert (small.held, small.counted, small.n, small.verdict) == (8, 12, 40, UNBROKEN)
    assert found[0.0, "foreground_ratio", "large"].held == 28


def test_a_hard_group_breaks_the_promise_on_clean_scans() -> None:
    # 120 patients, 10 hard ones: of 119 others the bound is the 12th smallest, above every hard score
    made = setup_of(Cohort(patients=120, systems=("strong",)))
    made = replace(made, strata=(stratum(made, ["hard"] * 10 + ["easy"] * 110),))
    clean = np.concatenate([np.full(10, 0.3), 0.7 + 0.001 * np.arange(110)])
    found = rows_by(coverage_rows(columns({0.0: clean}), made))
    hard = found[0.0, "foreground_ratio", "hard"]
    assert (hard.held, hard.counted, hard.verdict) == (0, 10, BROKEN)
    assert found[0.0, "all", "all"].verdict == "by construction"


@pytest.mark.parametrize("ties", [False, True])
def test_counts_equal_leaving_out_one_by_one(ties: bool) -> None:  # noqa: FBT001  # a parameter of the test
    # two cases a patient, one of them in each group for some patients; holes on both sides
    rng = np.random.default_rng(11)
    made = setup_of(Cohort(patients=30, cases_per_patient=2, systems=("strong",)))
    names = rng.choice(["a", "b"], 60).tolist()
    made = replace(made, strata=(stratum(made, names),))
    clean, noisy = rng.beta(9, 2, 60), rng.beta(7, 3, 60)
    if ties:
        clean, noisy = clean.round(1), noisy.round(1)
    clean[[0, 1, 7]] = NAN  # patient 0 has no clean score at all
    noisy[[10, 11, 20]] = NAN  # patient 5 has none under noise
    found = rows_by(coverage_rows(columns({0.0: clean, 1.0: noisy}), made))
    per_patient = {p: np.nanmin(clean[2 * p : 2 * p + 2]) for p in range(1, 30)}
    for group in ("all", "a", "b"):
        held = counted = missing = 0
        bounds = []
        for p in range(30):
            mine = [i for i in (2 * p, 2 * p + 1) if group in ("all", names[i])]
            scores = [noisy[i] for i in mine if not np.isnan(noisy[i])]
            if mine and (p == 0 or not scores):
                missing += 1
            if p == 0 or not scores:
                continue
            others = sorted(v for q, v in per_patient.items() if q != p)
            bounds.append(others[marginal_rank(28, 0.1) - 1])
            counted += 1
            held += min(scores) >= bounds[-1]
        row = found[1.0, "all" if group == "all" else "foreground_ratio", group]
        assert (row.n, row.held, row.counted, row.missing) == (29, held, counted, missing)
        assert row.mean_bound == pytest.approx(np.mean(bounds))


def test_groups_have_bounds_of_their_own_where_all_are_large_enough() -> None:
    # two cases a patient; patients 0 to 29 have small objects, the others one case in each group
    made = setup_of(Cohort(patients=62, cases_per_patient=2, systems=("strong",)))
    names = ["small"] * 60 + ["small", "large"] * 32
    made = replace(made, strata=(stratum(made, names),))
    clean = 0.50 + 0.001 * np.arange(124)
    (found,) = stratum_bounds(columns({0.0: clean, 1.0: clean}), made)
    small, large = found.groups
    assert (found.axis, found.least, found.needed, found.needed_pac) == (
        "foreground_ratio", 30, 9, 22,
    )  # fmt: skip
    # small: 62 patients, rank 6; the worst of both cases of the first 30, .500 .502 ..: .510
    assert (small.group, small.own, small.n, small.patients, small.rank) == (
        "small",
        True,
        62,
        62,
        6,
    )
    assert small.bound == pytest.approx(0.510)
    # large: 32 patients, rank 3, cases 61, 63, 65: .565
    assert (large.own, large.n, large.rank, large.pac_rank) == (True, 32, 3, 1)
    assert large.bound == pytest.approx(0.565)
    assert large.pac_bound == pytest.approx(0.561)
    # three patients without a score in the large group: 29 are one short
    clean[[61, 63, 65]] = NAN
    (pooled,) = stratum_bounds(columns({0.0: clean}), made)
    assert {(it.own, it.n, it.rank) for it in pooled.groups} == {(False, 62, 6)}
    assert {it.note for it in pooled.groups} == {
        "pooled over all groups: each needs 30 patients, large has 29"
    }
    assert pooled.groups[0].bound == pytest.approx(0.510)
    late = replace(made, strata=(stratum(made, names, kind="descriptive"),))
    assert stratum_bounds(columns({0.0: clean}), late) == ()


def test_few_patients_are_counted_and_not_judged(setup: AnalysisSetup) -> None:
    few = replace(setup, strata=(stratum(setup, ["small"] * 9 + ["large"] * 31),))
    clean = 0.60 + 0.01 * np.arange(40)
    row = rows_by(coverage_rows(columns({0.0: clean}), few))[0.0, "foreground_ratio", "small"]
    assert (row.held, row.counted, row.verdict) == (5, 9, "too few patients")
    assert (row.share.side, row.share.low, row.share.status) == ("none", None, "too_few")
    assert row.chance_low is None
    # an axis other than the foreground ratio shows its large groups only, and none chosen late
    other = replace(setup, strata=(stratum(setup, ["small"] * 9 + ["large"] * 31, axis="site"),))
    assert {it.stratum for it in coverage_rows(columns({0.0: clean}), other)} == {"all", "large"}
    late = replace(
        setup, strata=(stratum(setup, ["a"] * 20 + ["b"] * 20, axis="site", kind="descriptive"),)
    )
    assert {it.stratum for it in coverage_rows(columns({0.0: clean}), late)} == {"all"}


@pytest.mark.parametrize("n", [1, 2, 9])
def test_too_few_patients_certify_nothing(n: int) -> None:
    made = setup_of(Cohort(patients=n, systems=("strong",)))
    for row in coverage_rows(columns({0.0: np.linspace(0.5, 0.9, n), 1.0: np.zeros(n)}), made):
        assert (row.rank, row.held, row.counted, row.verdict) == (0, 0, 0, "not certifiable")
        assert row.share.note == f"not certifiable with n = {n}; needs n >= 10"
        assert row.mean_bound is None


def test_no_score_at_a_severity_is_told(setup: AnalysisSetup) -> None:
    clean = 0.60 + 0.01 * np.arange(40)
    found = rows_by(coverage_rows(columns({0.0: clean, 1.0: np.full(40, NAN)}), setup))
    row = found[1.0, "all", "all"]
    assert (row.held, row.counted, row.missing, row.verdict) == (0, 0, 40, "nothing to count")
    assert (row.share.value, row.share.status) == (None, "not_assessable")


def test_all_failures_and_all_equal(setup: AnalysisSetup) -> None:
    found = rows_by(coverage_rows(columns({0.0: np.full(40, 0.8), 1.0: np.zeros(40)}), setup))
    assert (found[0.0, "all", "all"].held, found[1.0, "all", "all"].held) == (40, 0)
    assert found[1.0, "all", "all"].verdict == BROKEN


def test_the_bounds_tell_the_law_of_their_coverage(setup: AnalysisSetup) -> None:
    clean = 0.60 + 0.01 * np.arange(40)
    noisy = clean - 0.195
    noisy[:10] = NAN  # their level changes nothing
    first, second = conformal_bounds(columns({0.0: clean, 1.0: noisy}), setup)
    # n = 40: rank 4, Beta(37, 4)
    assert first.coverage_low == pytest.approx(stats.beta.ppf(0.05, 37, 4))
    assert first.shortfall == pytest.approx(stats.beta.cdf(0.9, 37, 4))
    assert (first.clean_held, first.clean_counted) == (36, 40)
    # the clean bound is that of all 40, counted on the 30 with a score under noise: .83 and more keep it
    row = rows_by(coverage_rows(columns({0.0: clean, 1.0: noisy}), setup))[1.0, "all", "all"]
    assert (second.clean_held, second.clean_counted) == (row.held, row.counted) == (17, 30)
    few = setup_of(Cohort(patients=8, systems=("strong",)))
    (none,) = conformal_bounds(columns({0.0: clean[:8]}), few)
    assert (none.coverage_low, none.shortfall, none.clean_counted) == (None, None, 0)
