"""Architectures: patients and training runs vary together."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from rows_tables import Cohort, setup_of
from scipy import stats

from auditor.analysis.comparison import NO_WINNER
from auditor.analysis.intervals import bootstrap_weights
from auditor.confidence.recipe_families import (
    crossed_bootstrap,
    crossed_draws,
    families_of,
    family_pairs,
    run_weights,
)
from auditor.schema import AblationSpec, SystemRecord, TrainingFacts


def records(*given: tuple[str, int | None]) -> list[SystemRecord]:
    systems = setup_of(Cohort(systems=tuple(f"s{k}" for k in range(len(given))))).systems
    return [
        replace(it, family=family, training_seed=seed, sha256=f"{k:064d}")
        for k, (it, (family, seed)) in enumerate(zip(systems, given, strict=True))
    ]


def test_families_are_declared_and_their_runs_differ() -> None:
    found = families_of(records(("unet", 1), ("swin", 1), ("unet", 2)))
    assert found == {"unet": ("s0", "s2"), "swin": ("s1",)}
    with pytest.raises(ValueError, match="s1 declare"):
        families_of(records(("unet", 1), ("", 2)))
    with pytest.raises(ValueError, match="different training seeds"):
        families_of(records(("unet", 1), ("unet", 1)))
    same = [replace(it, sha256="0" * 64) for it in records(("unet", 1), ("unet", 2))]
    with pytest.raises(ValueError, match="no repetitions"):
        families_of(same)


def test_other_ways_of_training_are_families_of_their_own_and_ablated_systems_are_none() -> None:
    given = records(("unet", 1), ("unet", 2), ("unet", 1), ("unet", 1), ("swin", 1))
    easy, hard = (TrainingFacts(condition=("texture_blend", it)) for it in (0.1, 0.9))
    systems = [
        *(replace(it, training=easy) for it in given[:2]),
        replace(given[2], training=hard),
        replace(given[3], sha256=given[0].sha256, ablation=AblationSpec(skips=(1,), by="zero")),
        given[4],
    ]
    assert families_of(systems) == {
        "unet (texture_blend 0.1)": ("s0", "s1"),
        "unet (texture_blend 0.9)": ("s2",),
        "swin": ("s4",),
    }


def scores(seed: int, runs: int, patients: int = 20, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Two families: patient effects shared, runs and their patients' residuals own."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(0.8, 0.08, patients)
    return {
        name: ease + rng.normal(move, 0.02, (runs, 1)) + rng.normal(0, 0.03, (runs, patients))
        for name, move in (("F", shift), ("G", 0.0))
    }


def test_interval_by_hand() -> None:
    values = scores(1, 3)
    (pair,) = family_pairs(values, level=0.95)
    f, g = values["F"], values["G"]
    parts = [
        (np.var(f.mean(axis=0) - g.mean(axis=0), ddof=1) / 20, 19),
        (np.var(f.mean(axis=1), ddof=1) / 3, 2),
        (np.var(g.mean(axis=1), ddof=1) / 3, 2),
    ]
    variance = sum(it for it, _ in parts)
    freedom = variance**2 / sum(it**2 / df for it, df in parts)
    reached = stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    assert pair.difference.value == pytest.approx(f.mean() - g.mean())
    assert pair.difference.high == pytest.approx(f.mean() - g.mean() + reached)
    assert f"{freedom:.1f} degrees of freedom" in pair.difference.method


def test_scans_of_a_site_widen_the_interval() -> None:
    values = scores(2, 3)
    (narrow,) = family_pairs(values, level=0.95)
    of_scans = {"F": np.linspace(0.6, 0.9, 12), "G": np.linspace(0.7, 0.8, 12)}
    (wide,) = family_pairs(values, level=0.95, of_scans=of_scans)
    assert wide.difference.low is not None
    assert narrow.difference.low is not None
    assert wide.difference.low < narrow.difference.low


@pytest.mark.parametrize("runs", [1, 2])
def test_one_or_two_runs_prove_nothing(runs: int) -> None:
    (pair,) = family_pairs(scores(3, runs, shift=0.5), level=0.95)
    assert pair.verdict == NO_WINNER
    assert pair.difference.low is None
    assert f"{runs} training run(s)" in pair.difference.note


def test_large_difference_is_found_with_three_runs_and_not_with_few_patients() -> None:
    (pair,) = family_pairs(scores(4, 3, shift=0.3), level=0.95)
    assert pair.verdict == "F"
    (pair,) = family_pairs(scores(4, 3, patients=9, shift=0.3), level=0.95)
    assert (pair.verdict, pair.difference.status) == (NO_WINNER, "too_few")


def test_pairs_share_the_level() -> None:
    values = scores(5, 4) | {"H": scores(6, 4)["F"]}
    three = family_pairs(values, level=0.95)
    (alone,) = family_pairs({name: values[name] for name in ("F", "G")}, level=1 - 0.05 / 3)
    assert three[0].difference.low == pytest.approx(alone.difference.low)
    assert three[0].difference.level == 0.95


def test_crossed_draw_by_hand() -> None:
    values = scores(7, 3)
    weights = bootstrap_weights(20, 1, 50)
    runs = {name: run_weights(3, 50, k) for k, name in enumerate(values)}
    drawn = crossed_draws(values, weights, runs)
    expected = runs["F"][9] @ (values["F"] @ weights[9] / 20) / 3
    assert drawn[9, 0] == pytest.approx(expected)
    assert np.all(runs["F"].sum(axis=1) == 3)


@pytest.mark.slow
def test_size_at_three_runs_and_what_the_bootstrap_would_have() -> None:
    """Two architectures that are alike, 20 patients, runs that vary as much as their mean over patients."""
    repetitions, wrong, wrong_bootstrap, wrong_single = 500, 0, 0, 0
    for k in range(repetitions):
        values = scores(1000 + k, 3)
        (pair,) = family_pairs(values, level=0.95)
        wrong += pair.verdict != NO_WINNER
        weights = bootstrap_weights(20, k, 400)
        runs = {name: run_weights(3, 400, 2 * k + j) for j, name in enumerate(values)}
        ((low, high),) = crossed_bootstrap(values, weights, runs, level=0.95)
        wrong_bootstrap += low > 0 or high < 0
        apart = values["F"][0] - values["G"][0]
        wrong_single += stats.ttest_1samp(apart, 0.0).pvalue < 0.05
    # at a size of .05 more are wrong with probability below 1e-4
    assert wrong <= stats.binom.ppf(1 - 1e-4, repetitions, 0.05)
    # the crossed bootstrap and one run each are too liberal for a claim about architectures
    assert wrong_bootstrap > stats.binom.ppf(1 - 1e-4, repetitions, 0.05)
    assert wrong_single > wrong_bootstrap
