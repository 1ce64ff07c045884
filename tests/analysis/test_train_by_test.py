"""Families by trained and by tested level: cells, losses and differences by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from rows_tables import DSC, HD95, LABEL, Cohort, setup_of
from scipy import stats

from auditor.analysis.table import Column, Key
from auditor.analysis.train_test import Studied, family_differences, train_test
from auditor.schema import (
    AblationSpec,
    FamilyDifference,
    SystemRecord,
    TrainingFacts,
    TrainTestCell,
    TrainTestMatrix,
)

BLEND = "kamath_texture_blend"
TESTS = ((("clean"), 0.0, None), (BLEND, 1.0, 0.1), (BLEND, 9.0, 0.9))
"""(perturbation, severity, level) of the columns."""


@dataclass(frozen=True)
class Net:
    """One training run."""

    name: str
    family: str
    seed: int | None
    trained: tuple[str, float] | None
    scores: Sequence[Sequence[float]]
    """(tests, cases)."""
    group: str = ""


def column(values: Sequence[float], level: float | None, missing: Sequence[int] = ()) -> Column:
    numbers = np.array(values, dtype=np.float64)
    lost = np.zeros(len(numbers), dtype=bool)
    lost[list(missing)] = True
    return Column(
        level=level,
        unit="" if level is None else "share",
        value=np.where(lost, np.nan, numbers),
        judged=np.where(lost, 0.0, numbers),
        missing=lost,
        first=numbers,
        statuses=np.full((len(numbers), 1), "ok", dtype=object),
        reasons=np.full(len(numbers), "", dtype=object),
        draws=numbers[:, None],
    )


def studied(
    nets: Sequence[Net],
    *,
    patients: Sequence[int] | None = None,
    missing: Mapping[tuple[str, int], Sequence[int]] | None = None,
    **changes: object,
) -> Studied:
    cases = len(nets[0].scores[0])
    known = setup_of(Cohort(systems=tuple(it.name for it in nets))).systems
    records = [
        replace(
            record, family=net.family, training_seed=net.seed, sha256=f"{k:064d}",
            architecture_group=net.group, training=TrainingFacts(condition=net.trained),
        )
        for k, (record, net) in enumerate(zip(known, nets, strict=True))
    ]  # fmt: skip
    columns = {
        Key(net.name, name, severity, LABEL, "dsc", "whole"): column(
            values, level, (missing or {}).get((net.name, place), ())
        )
        for net in nets
        for place, ((name, severity, level), values) in enumerate(
            zip(TESTS, net.scores, strict=True)
        )
    }
    made = Studied(
        columns=columns,
        systems=records,
        patients=np.array(range(cases) if patients is None else patients, dtype=np.intp),
        metric=DSC,
        label=LABEL,
        level=0.95,
        seed=3,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def cell(matrix: TrainTestMatrix, trained: float, tested: float) -> TrainTestCell:
    (found,) = (it for it in matrix.cells if (it.trained, it.tested) == (trained, tested))
    return found


def two_runs() -> list[Net]:
    return [
        Net("u1", "unet", 1, (BLEND, 0.1), [[0.8, 0.6, 0.9], [0.9, 0.8, 1.0], [0.5, 0.4, 0.0]]),
        Net("u2", "unet", 2, (BLEND, 0.1), [[0.6, 0.6, 0.7], [0.8, 0.8, 0.8], [0.3, 0.0, 0.0]]),
    ]


def test_cells_by_hand() -> None:
    # cases 1 and 2 are one patient
    (matrix,) = train_test(studied(two_runs(), patients=[0, 0, 1]))
    assert (matrix.family, matrix.perturbation, matrix.unit) == ("unet", BLEND, "share")
    assert [(it.trained, it.tested) for it in matrix.cells] == [(0.1, 0.0), (0.1, 0.1), (0.1, 0.9)]
    hard = cell(matrix, 0.1, 0.9)
    # u1: patients .45 and 0; u2: .15 and 0; patients over runs .3 and 0; mean .15
    assert hard.mean.value == pytest.approx(0.15)
    assert (hard.mean.n, hard.mean.status, hard.systems) == (2, "too_few", ("u1", "u2"))
    # means of the runs .225 and .075: sample SD .15 / sqrt(2)
    assert hard.spread == pytest.approx(0.15 / math.sqrt(2))
    # losses from .1: u1 (.4, .4), 1 -> patients .4, 1; u2 (.5, .8), .8 -> .65, .8; mean .7125
    assert hard.baseline == 0.1
    assert hard.loss.value == pytest.approx(0.7125)
    assert cell(matrix, 0.1, 0.1).loss.status == "not_applicable"
    # clean against .1: u1 (.1, .2), .1 -> .15, .1; u2 (.2, .2), .1 -> .2, .1; mean .1375
    assert cell(matrix, 0.1, 0.0).loss.value == pytest.approx(0.1375)


def test_losses_count_from_clean_where_the_trained_level_was_not_tested() -> None:
    nets = [replace(it, trained=(BLEND, 0.5)) for it in two_runs()]
    (matrix,) = train_test(studied(nets))
    hard = cell(matrix, 0.5, 0.9)
    assert hard.baseline == 0.0
    # u1: .3, .2, .9; u2: .3, .6, .7; mean of all 3.0 / 6
    assert hard.loss.value == pytest.approx(0.5)


def test_no_loss_is_told_where_neither_the_trained_level_nor_clean_was_tested() -> None:
    made = studied(two_runs())
    kept = {key: it for key, it in made.columns.items() if key.severity == 9.0}
    (matrix,) = train_test(replace(made, columns=kept))
    (only,) = matrix.cells
    assert only.tested == 0.9
    assert only.mean.value == pytest.approx(0.2)
    assert (only.loss.value, only.loss.status) == (None, "not_assessable")
    assert "neither the level of the training nor clean was tested" in only.loss.note


def test_rounding_of_a_level_hides_no_baseline() -> None:
    nets = [replace(it, trained=(BLEND, 0.30000000000000004 / 3)) for it in two_runs()]
    (matrix,) = train_test(studied(nets))
    assert {it.baseline for it in matrix.cells} == {0.1}


def test_a_failure_counts_at_its_worst_and_a_failed_baseline_as_if_nothing_had_been_lost_before() -> (
    None
):
    lost = {("u1", 2): [0], ("u2", 1): [1]}
    (matrix,) = train_test(studied(two_runs(), missing=lost))
    # u1 case 1 failed when tested hard: .5 becomes 0; sum of the six .4 + .3 = .7
    assert cell(matrix, 0.1, 0.9).mean.value == pytest.approx(0.7 / 6)
    # losses: u1 .9, .4, 1; u2 .5, 1 (its baseline failed and counts as the best value 1), .8
    assert cell(matrix, 0.1, 0.9).loss.value == pytest.approx(4.6 / 6)


def test_trainings_on_clean_images_belong_to_every_perturbation() -> None:
    nets = [
        *two_runs(),
        Net("c1", "unet", 1, ("clean", 0.0), [[0.9] * 3, [0.5] * 3, [0.1] * 3]),
        Net("n1", "noskip", 1, ("clean", 0.0), [[0.8] * 3, [0.7] * 3, [0.6] * 3]),
    ]
    first, second = train_test(studied(nets))
    assert [(it.trained, it.tested) for it in first.cells][:3] == [(0, 0), (0, 0.1), (0, 0.9)]
    assert cell(first, 0.0, 0.9).loss.value == pytest.approx(0.8)
    assert (second.family, len(second.cells)) == ("noskip", 3)
    # nobody has been trained under a perturbation: there is nothing to cross
    assert train_test(studied(nets[2:])) == ()


def test_ablated_systems_and_repeated_checkpoints_are_no_training_runs() -> None:
    made = studied([*two_runs(), replace(two_runs()[0], name="u1-wide")])
    known = {it.name: it for it in made.systems}
    same = replace(known["u1-wide"], sha256=known["u1"].sha256)
    ablated = replace(known["u2"], ablation=AblationSpec(skips=(1,), by="mean"))
    (matrix,) = train_test(replace(made, systems=[known["u1"], ablated, same]))
    assert matrix.cells[0].systems == ("u1",)
    assert matrix.left_out == ("u1-wide",)


def test_levels_of_equal_effect_are_not_set_beside_levels_of_a_training() -> None:
    (matrix,) = train_test(studied(two_runs(), levels_of_effect=frozenset({BLEND})))
    assert [it.tested for it in matrix.cells] == [0.0]
    assert "equal effect" in matrix.note


def test_a_perturbation_that_is_not_tested_leaves_clean_alone() -> None:
    nets = [replace(it, trained=("gaussian_noise", 3.0)) for it in two_runs()]
    (matrix,) = train_test(studied(nets))
    assert [it.tested for it in matrix.cells] == [0.0]
    assert "does not test gaussian_noise" in matrix.note


def test_patches_tell_families_apart() -> None:
    made = studied(two_runs())
    patched = [
        replace(it, training=TrainingFacts(patch=(size, size), condition=(BLEND, 0.1)))
        for it, size in zip(made.systems, (32, 64), strict=True)
    ]
    found = train_test(replace(made, systems=patched))
    assert [it.family for it in found] == ["unet (patch 32x32)", "unet (patch 64x64)"]


def cohort(seed: int, *, loss: Mapping[str, float], runs: int = 3, patients: int = 14) -> list[Net]:
    """Families whose scores fall by `loss` from the matched to the hard test."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(0.85, 0.05, patients)
    nets = []
    for family, lost in loss.items():
        for run in range(1, runs + 1):
            matched = ease + rng.normal(0, 0.01, patients)
            hard = matched - lost - rng.normal(0, 0.01) - rng.normal(0, 0.02, patients)
            nets.append(
                Net(
                    f"{family}-{run}", family, run, (BLEND, 0.1), [list(matched)] * 2 + [list(hard)]
                )
            )
    return nets


def satterthwaite(parts: Sequence[tuple[float, int]], level: float) -> float:
    variance = sum(v for v, _ in parts)
    freedom = variance**2 / sum(v**2 / df for v, df in parts)
    return float(stats.t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)


def test_intervals_are_about_patients_and_runs_by_hand() -> None:
    nets = cohort(1, loss={"unet": 0.3})
    (matrix,) = train_test(studied(nets))
    values = np.array([it.scores[2] for it in nets])
    half = satterthwaite(
        [
            (values.mean(axis=0).var(ddof=1) / 14, 13),
            (values.mean(axis=1).var(ddof=1) / 3, 2),
        ],
        0.95,
    )
    found = cell(matrix, 0.1, 0.9).mean
    assert found.low == pytest.approx(values.mean() - half)
    assert found.high == pytest.approx(values.mean() + half)
    assert (found.n, found.level, found.side) == (14, 0.95, "two-sided")
    assert "patients and training runs" in found.method
    (alone,) = train_test(studied(nets[:2]))
    assert "over patients of these 2 training runs alone" in alone.cells[2].mean.method


def pick(
    rows: Sequence[FamilyDifference], tested: float
) -> dict[tuple[str, str], FamilyDifference]:
    return {(it.first, it.second): it for it in rows if it.tested == tested}


def test_a_difference_of_losses_by_hand_and_its_verdict() -> None:
    nets = cohort(2, loss={"noskip": 0.1, "attention": 0.4})
    ((pair, found),) = pick(family_differences(studied(nets)), 0.9).items()
    assert pair == ("noskip", "attention")
    lost = {
        family: np.array(
            [np.subtract(it.scores[1], it.scores[2]) for it in nets if it.family == family]
        )
        for family in pair
    }
    a, b = lost["noskip"], lost["attention"]
    half = satterthwaite(
        [
            ((a.mean(axis=0) - b.mean(axis=0)).var(ddof=1) / 14, 13),
            (a.mean(axis=1).var(ddof=1) / 3, 2),
            (b.mean(axis=1).var(ddof=1) / 3, 2),
        ],
        0.95,
    )
    assert found.loss.value == pytest.approx(a.mean() - b.mean())
    assert found.loss.low == pytest.approx(a.mean() - b.mean() - half)
    assert found.loss.high is not None
    assert found.loss.high < 0  # the no-skip network loses less
    assert (found.baseline, found.trained) == (0.1, 0.1)
    # matched: nothing to lose yet
    assert pick(family_differences(studied(nets)), 0.1)[pair].loss.status == "not_applicable"


def test_pairs_that_were_chosen_beforehand_share_the_level_among_themselves_alone() -> None:
    made = studied(cohort(3, loss={"a": 0.1, "b": 0.2, "c": 0.3}))
    all_pairs = pick(family_differences(made), 0.9)
    assert list(all_pairs) == [("a", "b"), ("a", "c"), ("b", "c")]
    (chosen,) = pick(family_differences(made, between=[("c", "a")]), 0.9).values()
    turned = all_pairs["a", "c"].difference
    assert chosen.difference.value == pytest.approx(-turned.value)  # type: ignore[operator]
    assert chosen.difference.low is not None
    assert turned.high is not None
    assert chosen.difference.low > -turned.high  # closer than with three pairs
    assert "Bonferroni" not in chosen.difference.method
    assert "Bonferroni" in turned.method


def test_two_runs_of_a_family_prove_nothing_of_it() -> None:
    made = studied(cohort(4, loss={"a": 0.0, "b": 0.5}, runs=2))
    ((_, found),) = pick(family_differences(made), 0.9).items()
    assert (found.loss.low, found.loss.status) == (None, "too_few")
    assert "2 training run(s)" in found.loss.note


def test_families_trained_at_other_levels_are_not_compared() -> None:
    nets = cohort(5, loss={"a": 0.1, "b": 0.2})
    moved = [replace(it, trained=(BLEND, 0.9)) if it.family == "b" else it for it in nets]
    assert family_differences(studied(moved)) == ()


def test_families_are_compared_at_every_level_at_which_both_were_trained() -> None:
    easy = cohort(5, loss={"a": 0.1, "b": 0.2})
    hard = [replace(it, name=f"{it.name}-hard", trained=(BLEND, 0.9)) for it in easy]
    found = family_differences(studied([*easy, *hard]))
    places = [(level, test) for level in (0.1, 0.9) for test in (0.0, 0.1, 0.9)]
    assert [(it.trained, it.tested, it.first, it.second) for it in found] == [
        (*place, "a", "b") for place in places
    ]


def test_a_metric_of_which_less_is_better_loses_upwards_and_has_no_range() -> None:
    nets = cohort(6, loss={"a": -30.0, "b": -40.0})
    made = studied(nets, metric=replace(HD95, name="dsc"))
    matrix, _ = train_test(made)
    assert cell(matrix, 0.1, 0.9).loss.value == pytest.approx(30, abs=0.1)
    assert cell(matrix, 0.1, 0.9).mean.low is not None
    ((_, found),) = pick(family_differences(made), 0.9).items()
    assert found.loss.value == pytest.approx(-10, abs=0.1)


def test_a_case_without_a_number_in_one_run_counts_in_none() -> None:
    nets = two_runs()
    nets[0] = replace(nets[0], scores=[*nets[0].scores[:2], [math.nan, 0.4, 0.0]])
    (matrix,) = train_test(studied(nets))
    # cases 2 and 3 of both runs: .4, 0, 0, 0
    assert cell(matrix, 0.1, 0.9).mean.value == pytest.approx(0.1)
    assert cell(matrix, 0.1, 0.9).mean.n == 2
    none = replace(nets[0], scores=[*nets[0].scores[:2], [math.nan] * 3])
    (matrix,) = train_test(studied([none, nets[1]]))
    assert cell(matrix, 0.1, 0.9).mean.status == "not_assessable"
    assert cell(matrix, 0.1, 0.9).spread is None


def test_families_are_compared_on_the_cases_of_both() -> None:
    nets = cohort(8, loss={"a": 0.1, "b": 0.2})
    lacking = [math.nan, *nets[0].scores[2][1:]]  # case 1 of one run of a
    nets[0] = replace(nets[0], scores=[*nets[0].scores[:2], lacking])
    ((_, found),) = pick(family_differences(studied(nets)), 0.9).items()
    a, b = (
        np.array([it.scores[2][1:] for it in nets if it.family == family]) for family in ("a", "b")
    )
    assert (found.difference.n, found.loss.n) == (13, 13)
    assert found.difference.value == pytest.approx(a.mean() - b.mean())


def without(made: Studied, system: str, severity: float) -> Studied:
    kept = {
        key: it
        for key, it in made.columns.items()
        if (key.system, key.severity) != (system, severity)
    }
    return replace(made, columns=kept)


def test_only_tests_that_every_run_went_through_are_laid_out() -> None:
    (matrix,) = train_test(without(studied(two_runs()), "u2", 9.0))
    assert [it.tested for it in matrix.cells] == [0.0, 0.1]
    assert [it.systems for it in matrix.cells] == [("u1", "u2")] * 2


def test_losses_from_different_tests_are_not_compared() -> None:
    nets = cohort(9, loss={"a": 0.1, "b": 0.2})
    made = without(
        studied(nets), "b-2", 1.0
    )  # b loses from clean, a from the level of its training
    ((_, found),) = pick(family_differences(made), 0.9).items()
    assert found.difference.low is not None
    assert (found.loss.value, found.loss.status) == (None, "not_assessable")
    assert "no test in common from which losses would count" in found.loss.note


def test_losses_differ_by_two_at_most() -> None:
    """One family gains all, the other loses all: 2; runs that vary as much reach beyond it."""
    nets = []
    for family, hard in (("a", (0.0, 0.0, 1.0)), ("b", (1.0, 1.0, 0.0))):
        for run, end in enumerate(hard, 1):
            start = [1.0 - end] * 12
            nets.append(
                Net(f"{family}-{run}", family, run, (BLEND, 0.1), [start, start, [end] * 12])
            )
    # losses: a 1, 1, -1 and b -1, -1, 1; means 1/3 and -1/3
    ((_, found),) = pick(family_differences(studied(nets)), 0.9).items()
    assert found.loss.value == pytest.approx(2 / 3)
    # the runs of either: s^2 = 4/3, over 3; 4 degrees of freedom
    half = 2 * stats.t.ppf(0.975, 4) * math.sqrt(2 / 9)
    assert 2 / 3 + half > 2
    assert found.loss.low == pytest.approx(2 / 3 - half)
    assert found.loss.high == 2.0
    # a mean cannot differ by more than 1
    assert found.difference.low == -1.0
    assert found.difference.high == pytest.approx(half / 2 - 1 / 3)


def test_seeds_that_are_not_stated_are_not_the_same() -> None:
    bare = [replace(it, seed=None) for it in two_runs()]
    (matrix,) = train_test(studied(bare))
    assert (matrix.cells[0].systems, matrix.left_out) == (("u1", "u2"), ())


def test_order_of_systems_moves_no_number() -> None:
    made = studied(cohort(7, loss={"a": 0.1, "b": 0.2}))
    turned = replace(made, systems=list(reversed(made.systems)))
    first, second = (
        {it.family: [c.mean.value for c in it.cells] for it in train_test(one)}
        for one in (made, turned)
    )
    assert first["a"] == pytest.approx(second["a"])
    assert isinstance(made.systems[0], SystemRecord)
