"""Means over a mix: scores, draws, ranks, and what is left out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from rows_tables import DSC, LABEL, NOISE, Cohort, fail, rows_of, setup_of, table_of
from scipy import stats

from auditor.analysis.comparison import paired
from auditor.analysis.intervals import bootstrap_weights, order_statistic, studentized_draws
from auditor.analysis.promises import comparisons
from auditor.analysis.table import measurements, of_kind
from auditor.confidence.reality_check import not_checked
from auditor.confidence.recipe import make_recipe
from auditor.confidence.recipe_draws import kendall, mean_draws, mixed_draws, rank_shares, ranks_of
from auditor.confidence.recipe_interaction import not_assessed
from auditor.confidence.recipe_scores import Condition, ScoreTable, score_table
from auditor.confidence.recipe_weighing import Asked
from auditor.schema import PerturbationSpec, Record, Row

CLEAN = ("clean", 0.0)
SEVERE: Condition = ("rician_noise", 4.0)


def table(cohort: Cohort, rows: list[Row], needed: list[Condition]) -> ScoreTable:
    setup = setup_of(cohort)
    columns = measurements(of_kind(table_of(rows), Record.MEASUREMENT), setup.names)
    return score_table(
        columns,
        setup.patient_numbers,
        systems=cohort.systems,
        label=LABEL,
        metric="dsc",
        needed=needed,
    )


def value_of(rows: list[Row], **where: Any) -> float:
    found = [
        row.value
        for row in rows
        if row.record == "measurement" and row.metric == "dsc"
        and all(getattr(row, name) == it for name, it in where.items())
    ]  # fmt: skip
    assert len(found) == 1
    assert found[0] is not None
    return found[0]


def test_scores_are_those_of_the_rows_averaged_within_patients() -> None:
    cohort = Cohort(patients=3, cases_per_patient=2, perturbations=(NOISE,))
    rows = rows_of(cohort)
    found = table(cohort, rows, [CLEAN])
    assert found.conditions == (CLEAN, *(("rician_noise", it) for it in (1.0, 2.0, 4.0)))
    assert found.values.shape == (3, 4, 2)
    two = [value_of(rows, system="weak", case=f"scan_001_{c}", severity=4.0) for c in (0, 1)]
    assert found.values[1, 3, 1] == pytest.approx(sum(two) / 2)
    assert found.left_out == ()


def test_failures_count_at_their_worst_and_no_effect_is_left_out_and_told() -> None:
    cohort = Cohort(patients=4, perturbations=(NOISE,))
    rows = fail(rows_of(cohort), system="weak", case="scan_000_0", severity=4.0)
    crashed = table(cohort, rows, [CLEAN, SEVERE])
    assert crashed.n == 4
    assert crashed.values[0, crashed.place(SEVERE), 1] == 0.0
    rows = fail(rows, "no_effect", system="strong", case="scan_001_0", severity=4.0)
    used = table(cohort, rows, [CLEAN, SEVERE])
    assert used.patients == (0, 2, 3)
    (told,) = used.left_out
    assert (told.perturbation, told.severity) == SEVERE
    assert (told.cases, told.patients, told.statuses, told.used) == (1, 1, ("no_effect",), True)
    # a mix without the condition keeps the patient, and the condition leaves the map
    kept = table(cohort, rows, [CLEAN])
    assert kept.n == 4
    assert SEVERE not in kept.conditions
    assert [(it.severity, it.used) for it in kept.left_out] == [(4.0, False)]


def test_condition_that_one_system_lacks_is_an_error() -> None:
    cohort = Cohort(patients=3, perturbations=(NOISE,))
    rows = [row for row in rows_of(cohort) if (row.system, row.severity) != ("weak", 4.0)]
    with pytest.raises(KeyError):
        table(cohort, rows, [CLEAN, SEVERE])
    assert SEVERE not in table(cohort, rows, [CLEAN]).conditions


def test_clean_mix_gives_the_comparison_of_the_report() -> None:
    cohort = Cohort(patients=20, perturbations=(NOISE,), systems=("a", "b", "c"))
    rows, setup = rows_of(cohort), setup_of(cohort)
    found = table(cohort, rows, [CLEAN])
    columns = measurements(of_kind(table_of(rows), Record.MEASUREMENT), setup.names)
    expected = [it for it in comparisons(columns, setup, "dsc") if it.perturbation == "clean"]
    values = {name: found.values[:, 0, k] for k, name in enumerate(found.systems)}
    pairs = paired(values, setup.weights(20), level=0.95, higher_is_better=True, reach=1.0)
    assert [it.difference for it in pairs] == [it.difference for it in expected]


def drawn(seed: int, n: int = 30, m: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """Scores (patients, 4 conditions, 2 columns), and mixes of scans."""
    rng = np.random.default_rng(seed)
    values = rng.beta(8, 3, (n, 4, 2))
    return values, rng.dirichlet([1, 1, 1, 1], m)


def test_fixed_mix_is_the_paired_bootstrap_of_its_scores() -> None:
    values, scans = drawn(1)
    mix = scans.mean(axis=0)
    weights = bootstrap_weights(30, 5)
    found = mixed_draws(values, mix[None, :], weights)
    mean, error, t = studentized_draws(np.einsum("ncK,c->nK", values, mix), weights)
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.error, error)
    np.testing.assert_allclose(found.t, t, rtol=1e-7, atol=1e-9)


def test_scans_add_their_variance() -> None:
    values, scans = drawn(2)
    found = mixed_draws(values, scans, bootstrap_weights(30, 5), bootstrap_weights(14, 6))
    mix, means = scans.mean(axis=0), values.mean(axis=0)
    for k in range(2):
        of_patients = np.var(values[:, :, k] @ mix, ddof=1) / 30
        of_scans = np.var(scans @ means[:, k], ddof=1) / 14
        assert found.error[k] == pytest.approx(math.sqrt(of_patients + of_scans))
    # one draw by hand
    w, v = bootstrap_weights(30, 5)[7], bootstrap_weights(14, 6)[7]
    pi = v @ scans / 14
    y = values[:, :, 0] @ pi
    z = scans @ (w @ values[:, :, 0] / 30)
    top = w @ y / 30 - found.mean[0]
    spread = (w @ y**2 / 30 - (w @ y / 30) ** 2) / 29 + (v @ z**2 / 14 - (v @ z / 14) ** 2) / 13
    assert found.t[7, 0] == pytest.approx(top / math.sqrt(spread))


@pytest.mark.slow
def test_intervals_with_resampled_scans_cover() -> None:
    """Both patients and scans vary: 95 % intervals of the mean over the true mix, 400 repetitions."""
    rng = np.random.default_rng(3)
    truth = np.array([0.9, 0.8, 0.5])
    alpha = np.array([2.0, 1.0, 1.0])
    held, without = 0, 0
    for _ in range(400):
        ease = rng.normal(0, 0.05, (30, 1))
        values = (truth + ease + rng.normal(0, 0.03, (30, 3)))[:, :, None]
        scans = rng.dirichlet(alpha, 15)
        weights = bootstrap_weights(30, int(rng.integers(2**31)), 400)
        found = mixed_draws(
            values, scans, weights, bootstrap_weights(15, int(rng.integers(2**31)), 400)
        )
        times = float(order_statistic(np.abs(found.t), 0.95)[0])
        missed = abs(found.mean[0] - truth @ alpha / alpha.sum())
        held += missed <= times * found.error[0]
        fixed = mixed_draws(values, scans.mean(axis=0)[None, :], weights)
        times = float(order_statistic(np.abs(fixed.t), 0.95)[0])
        without += missed <= times * fixed.error[0]
    # with coverage .93 or more, fewer than this are held with probability below 1e-4
    assert held >= stats.binom.ppf(1e-4, 400, 0.93)
    # a mix taken as known is far too narrow here, so that the test can fail
    assert without < stats.binom.ppf(1e-4, 400, 0.9)


def test_ranks_are_those_of_the_challenge_toolkit() -> None:
    """Agree with test-aggregateThenRank.R of challengeR: A1 (.6, .4), A2 (.8, 1), small is better."""
    means = np.array([[0.6, 0.4], [0.8, 1.0]]).mean(axis=1)
    assert means.tolist() == pytest.approx([0.5, 0.9])
    assert ranks_of(-means).tolist() == [1, 2]
    # equal means share the better rank, as its ties.method "min"
    assert ranks_of(-np.array([0.5, 0.5, 0.9])).tolist() == [1, 1, 3]


def test_ranks_of_draws() -> None:
    draws = np.array([[0.9, 0.8, 0.7], [0.9, 0.7, 0.8], [0.8, 0.9, 0.9], [0.9, 0.8, 0.7]])
    assert ranks_of(draws).tolist() == [[1, 2, 3], [1, 3, 2], [3, 1, 1], [1, 2, 3]]
    np.testing.assert_allclose(
        rank_shares(draws), [[0.75, 0.0, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
    )
    # pairs (1,2), (1,3), (2,3): +3, +1, -2 with a tie, +3, each over 3 pairs
    assert kendall(np.array([0.9, 0.8, 0.7]), draws) == pytest.approx((3 + 1 - 2 + 3) / 12)
    assert kendall(np.array([0.9]), draws[:, :1]) is None


def test_kendall_is_that_of_scipy_without_ties() -> None:
    rng = np.random.default_rng(4)
    mean, draws = rng.random(6), rng.random((20, 6))
    taus = [stats.kendalltau(mean, draw).statistic for draw in draws]
    assert kendall(mean, draws) == pytest.approx(np.mean(taus))


def test_drawn_means_vary_with_both() -> None:
    values, scans = drawn(5)
    weights, of_scans = bootstrap_weights(30, 5), bootstrap_weights(14, 6)
    found = mean_draws(values, scans, weights, of_scans)
    expected = (weights[3] @ values[:, :, 1] / 30) @ (of_scans[3] @ scans / 14)
    assert found[3, 1] == pytest.approx(expected)
    fixed = mean_draws(values, scans, weights)
    assert fixed[3, 1] == pytest.approx((weights[3] @ values[:, :, 1] / 30) @ scans.mean(axis=0))


def test_order_of_rows_changes_nothing() -> None:
    cohort = Cohort(patients=5, perturbations=(NOISE,))
    rows = rows_of(cohort)
    order = np.random.default_rng(6).permutation(len(rows))
    one, other = table(cohort, rows, [CLEAN]), table(cohort, [rows[i] for i in order], [CLEAN])
    assert np.array_equal(one.values, other.values)
    assert (one.conditions, one.left_out) == (other.conditions, other.left_out)


def test_scan_of_a_site_that_is_like_the_test_set_counts_as_the_clean_scan() -> None:
    joint = PerturbationSpec("joint", (1.0,), (1.0,), "of the row", replicates=2)
    cohort = Cohort(patients=4, perturbations=(joint,), replicates=2)
    together: Condition = ("joint", 1.0)
    rows = rows_of(cohort)
    whole = table(cohort, rows, [together])
    rows = fail(rows, "no_effect", case="scan_000_0", perturbation="joint")
    rows = fail(rows, "no_effect", case="scan_001_0", perturbation="joint", replicate=1)
    rows = fail(rows, "crashed", case="scan_002_0", perturbation="joint", system="weak")
    setup = setup_of(cohort)
    columns = measurements(of_kind(table_of(rows), Record.MEASUREMENT), setup.names)
    found = score_table(
        columns, setup.patient_numbers, systems=cohort.systems, label=LABEL, metric="dsc",
        needed=[together], as_clean=together,
    )  # fmt: skip
    assert found.n == 4
    assert found.counted_clean == 2
    at, clean = found.place(together), found.place(CLEAN)
    np.testing.assert_allclose(found.values[0, at], found.values[0, clean])
    # one of two replicates acts: half of it, half of the clean scan
    acting = value_of(rows, system="weak", case="scan_001_0", perturbation="joint", replicate=0)
    assert found.values[1, at, 1] == pytest.approx((acting + found.values[1, clean, 1]) / 2)
    assert found.values[2, at].tolist() == [whole.values[2, at, 0], 0.0]
    # without it, the clean scans of the site would be left out
    assert table(cohort, rows, [together]).n == 3
    # where every replicate acts, nothing hangs on the clean scan: not that it exists, nor on a missing row
    rows = fail(rows, "no_effect", case="scan_002_0", perturbation="clean")  # no number
    rows = [it for it in rows if (it.case, it.perturbation) != ("scan_003_0", "joint")]
    columns = measurements(of_kind(table_of(rows), Record.MEASUREMENT), setup.names)
    some = score_table(
        columns, setup.patient_numbers, systems=cohort.systems, label=LABEL, metric="dsc",
        needed=[together], as_clean=together,
    )  # fmt: skip
    assert some.patients == (0, 1, 2)
    assert some.values[2, some.place(together)].tolist() == found.values[2, at].tolist()


def test_systems_that_are_equal_in_every_draw_share_the_first_rank() -> None:
    rng = np.random.default_rng(4)
    values = rng.uniform(0.6, 0.9, (20, 1, 3))
    values[:, :, 1] = values[:, :, 0]
    values[:, :, 2] -= 0.5
    scores = ScoreTable(
        ("A", "B", "C"), (CLEAN,), {CLEAN: (None, "")}, values, tuple(range(20)), ()
    )
    asked = Asked("tool", "audit", "", LABEL, DSC, 0.95, 7, "stated mix", 0.1)
    found = make_recipe(
        asked, scores, {CLEAN: 1.0}, None,
        interaction=not_assessed(scores, None), reality=not_checked("not asked"),
    )  # fmt: skip
    assert found.not_beaten == ("A", "B")
    # not that A alone ranks first in all draws, as B does, too
    assert any(
        it.startswith("A and B rank first in 100.0% of the bootstrap draws each")
        for it in found.sentences
    )
