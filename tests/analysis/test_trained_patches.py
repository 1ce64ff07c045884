"""Families by training patch: runs averaged within patients, both resampled together, sides and drops."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from patch_families import (
    NAMES,
    PROPERTIES,
    RANGES,
    changed,
    rows,
    scores,
    setup,
)
from rows_tables import Cohort, setup_of, table_of
from scipy import stats

from auditor.analysis import summarise
from auditor.analysis.intervals import studentized_interval
from auditor.analysis.trained_patches import runs_by_patch
from auditor.analysis.training_runs import (
    Part,
    difference_of_runs,
    mean_of_runs,
    part_of,
    t_interval,
)
from auditor.analysis.window_estimates import CHANGES_SIDE, differences, drop_between, losses
from auditor.analysis.window_groups import Member, sides_of
from auditor.analysis.window_sweep import swept
from auditor.schema import AblationSpec, Results, TrainingFacts, WindowStudy

SMALL, LARGE = "unet, patch 32x32x32", "unet, patch 64x64x64"


@pytest.fixture(scope="module")
def results() -> Results:
    return summarise(table_of(rows()), setup=setup())


@pytest.fixture(scope="module")
def unet(results: Results) -> WindowStudy:
    return next(it for it in results.trained_patches if it.family == "unet")


def of_runs(patch: int, family: str = "unet") -> np.ndarray:
    return np.array([scores(f"{family}-{patch}-s{seed}") for seed in (1, 2, 3)])


def test_a_family_holds_its_training_runs_from_the_smallest_patch_to_the_largest(
    results: Results, unet: WindowStudy
) -> None:
    assert [it.family for it in results.trained_patches] == ["unet", "agu"]
    assert results.sweeps == ()  # other checkpoints: no sweep of one
    assert [(it.name, it.window) for it in unet.uses] == [(SMALL, "32x32x32"), (LARGE, "64x64x64")]
    assert unet.uses[0].systems == ("unet-32-s1", "unet-32-s2", "unet-32-s3")
    assert [it.training for it in unet.uses] == [RANGES[32], RANGES[64]]
    assert unet.missing == ()
    case, share, score = unet.uses[0].points[0]
    assert (case, share) == ("C001", 0.01)
    assert score == pytest.approx(of_runs(32).mean(axis=0)[0])


def test_runs_are_averaged_within_patients_and_both_make_the_interval(unet: WindowStudy) -> None:
    values = of_runs(32)
    patients, runs = values.mean(axis=0), values.mean(axis=1)
    v_p, v_r = patients.var(ddof=1) / 36, runs.var(ddof=1) / 3
    freedom = (v_p + v_r) ** 2 / (v_p**2 / 35 + v_r**2 / 2)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(v_p + v_r)
    cell = next(it.mean for it in unet.cells if (it.use, it.side, it.size) == (SMALL, "all", "all"))
    expected = (values.mean(), values.mean() - half, min(1.0, values.mean() + half), 36)
    assert (cell.value, cell.low, cell.high, cell.n) == pytest.approx(expected)
    assert "patients and training runs" in cell.method


def test_sides_belong_to_the_patch_and_are_crossed_with_size(unet: WindowStudy) -> None:
    cells = {(it.use, it.side, it.size): it.mean for it in unet.cells}
    # shares 0.01 (i + 1) in patches of 32: strictly inside (0.05, 0.20) are cases 5 .. 18
    inside = of_runs(32).mean(axis=0)[5:19]
    assert cells[SMALL, "inside", "all"].n == 14
    assert cells[SMALL, "inside", "all"].value == pytest.approx(inside.mean())
    assert [cells[SMALL, side, "all"].n for side in ("outside", "below", "above")] == [22, 5, 17]
    assert len(unet.sizes) == 3
    thirds = [cells[SMALL, "inside", size] for size in unet.sizes]
    assert [it.n for it in thirds] == [5, 4, 5]  # of 5 .. 18 those with i % 3 = 0, 1, 2
    assert {it.status for it in thirds} == {"too_few"}


def test_patches_are_compared_on_the_same_patients(unet: WindowStudy) -> None:
    found = {it.group: it for it in unet.differences}
    apart = of_runs(32) - of_runs(64)
    alone = found["all"].difference
    assert alone.value == pytest.approx(apart.mean())
    parts = [part_of(apart.mean(axis=0)), part_of(of_runs(32).mean(axis=1))]
    parts.append(part_of(of_runs(64).mean(axis=1)))
    expected = t_interval(apart.mean(), parts, n=36, level=0.95, method="")
    assert (alone.low, alone.high) == pytest.approx((expected.low, expected.high))
    # the shares of a case and its range are halved alike, so that no case changes its side
    assert found[CHANGES_SIDE].difference.status == "not_assessable"


def test_a_drop_is_that_of_welch_where_no_run_varies() -> None:
    """One checkpoint: t on two groups of patients of their own variance, as SciPy has it."""
    cohort = setup_of(Cohort(patients=30, perturbations=()))
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(0.9, 0.02, 12), rng.normal(0.7, 0.1, 18)])
    shares = np.array([0.1] * 12 + [0.4] * 18)
    member = Member("u", ("u",), values[None], shares, sides_of(shares, [(0.05, 0.2)]))
    found = drop_between([member], member.sides, np.ones(30, dtype=bool), cohort)
    peer = stats.ttest_ind(values[:12], values[12:], equal_var=False)
    low, high = peer.confidence_interval(0.95)
    assert found.value == pytest.approx(values[:12].mean() - values[12:].mean())
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.n == 30


def test_families_are_compared_by_what_leaving_the_range_costs_them(results: Results) -> None:
    rows_ = [it for it in results.range_drops if it.size == "all"]
    assert [(it.patch, it.first, it.second) for it in rows_] == [
        ("32x32x32", "unet", "agu"),
        ("64x64x64", "unet", "agu"),
    ]
    apart = of_runs(32).mean(axis=0) - of_runs(32, "agu").mean(axis=0)
    outside = np.r_[apart[:5], apart[19:]]
    assert rows_[0].difference.value == pytest.approx(apart[5:19].mean() - outside.mean())
    assert rows_[0].difference.n == 36
    ends = rows_[0].difference.low, rows_[0].difference.high
    assert rows_[0].difference.value == pytest.approx(sum(it or 0.0 for it in ends) / 2)
    assert None not in ends


def test_families_of_other_ranges_are_compared_where_both_are_on_one_side() -> None:
    known = changed(setup(), "agu-32-s3", family="third")
    for name in ("agu-32-s1", "agu-32-s2"):
        known = changed(known, name, training=TrainingFacts((32, 32, 32), (0.10, 0.30)))
    rows_of_32 = summarise(table_of(rows()), setup=known).range_drops
    found = {
        (it.first, it.second): it.difference
        for it in rows_of_32
        if (it.patch, it.size) == ("32x32x32", "all")
    }
    assert list(found) == [("unet", "agu"), ("unet", "third"), ("agu", "third")]
    # shares .01 .. .36: inside (.05, .2) and (.1, .3) .11 to .19; outside of both to .05 and from .30
    assert found["unet", "agu"].n == 9 + 5 + 7
    assert found["unet", "third"].n == 36
    assert found["unet", "third"].method.endswith("Bonferroni over pairs")


def test_the_loss_of_groups_by_hand() -> None:
    """Losses 0.05, 0.15, 0.3, 0.5, ten times: means 0.1 and 0.4, so that the second half holds 8 tenths."""
    cohort = setup_of(Cohort(patients=40, perturbations=()))
    values = 1.0 - np.tile([0.05, 0.15, 0.3, 0.5], 10)
    second = np.tile([False, False, True, True], 10)
    member = Member("u", ("u",), values[None], np.full(40, np.nan), {})
    (found,) = losses([member], {"second": second}, cohort)
    assert (found.share.value, found.cases) == pytest.approx((0.8, 0.5))
    # R moves with the mean in the group by w (1 - R) / .25 = .4, with the other by (1 - w) R / .25 = 1.6;
    # variances over 20 patients: .1^2 x 20 / 19 and .05^2 x 20 / 19
    parts = [Part(0.4**2 * 0.01 / 19, 19), Part(1.6**2 * 0.0025 / 19, 19)]
    expected = t_interval(0.8, parts, n=40, level=0.95, method="")
    assert (found.share.low, found.share.high) == pytest.approx((expected.low, expected.high))
    perfect = replace(member, scores=np.ones((1, 40)))
    (found,) = losses([perfect], {"second": second}, cohort)
    assert (found.share.value, found.share.note) == (None, "nothing is lost")
    (found,) = losses([member], {"all": np.ones(40, dtype=bool)}, cohort)
    assert found.share.note == "every case is in this group"


def test_a_case_is_on_a_side_only_where_it_is_so_for_every_run() -> None:
    shares = np.array([0.04, 0.06, 0.12, 0.18, 0.3, np.nan])
    found = sides_of(shares, [(0.05, 0.15), (0.08, 0.20)])
    assert found["below"].tolist() == [True, False, False, False, False, False]
    assert found["inside"].tolist() == [False, False, True, False, False, False]
    assert found["above"].tolist() == [False, False, False, False, True, False]
    assert sides_of(shares, []) == {}
    known = changed(setup(), "unet-32-s2", training=TrainingFacts((32, 32, 32), (0.1, 0.3)))
    study = summarise(table_of(rows()), setup=known).trained_patches[0]
    assert study.uses[0].training == (0.1, 0.2)
    assert "3 training runs with patches of 32x32x32 declare different ranges" in study.missing[0]


def test_fewer_than_three_runs_speak_of_themselves_alone() -> None:
    known = changed(setup(), "unet-32-s3", family="")
    study = summarise(table_of(rows()), setup=known).trained_patches[0]
    cell = next(
        it.mean for it in study.cells if (it.use, it.side, it.size) == (SMALL, "all", "all")
    )
    told = "studentized bootstrap (4000 draws), over patients of these 2 training runs alone"
    assert cell.method == told
    assert cell.low is not None
    whole = next(it.difference for it in study.differences if it.group == "all")
    assert whole.method.endswith("over patients of these 3 training runs alone")


def test_what_is_no_training_run_is_told_or_left_out() -> None:
    base = setup()
    other = replace(base, windows={**base.windows, "unet-32-s1": PROPERTIES[64]})
    families, told = runs_by_patch(other)
    assert [it.name for it in families["unet"]["32x32x32"]] == ["unet-32-s2", "unet-32-s3"]
    assert "unet-32-s1 was trained with patches of 32x32x32 and does not run" in told["unet"][0]
    twin = changed(base, "unet-32-s2", sha256=base.systems[NAMES.index("unet-32-s1")].sha256)
    families, told = runs_by_patch(twin)
    assert len(families["unet"]["32x32x32"]) == 2
    assert "unet-32-s2 is the same checkpoint as another run" in told["unet"][0]
    # another export of the same run is no further run
    export = changed(base, "unet-32-s3", training_seed=1)
    families, told = runs_by_patch(export)
    assert [it.name for it in families["unet"]["32x32x32"]] == ["unet-32-s1", "unet-32-s2"]
    assert "unet-32-s3 is the same checkpoint as another run" in told["unet"][0]
    assert "or has its training seed" in told["unet"][0]
    # shares in windows that overlap otherwise are other shares
    overlapping = {**base.windows, "unet-32-s1": f"{PROPERTIES[32][:-1]}; overlap 0.25]"}
    parted = runs_by_patch(replace(base, windows=overlapping))[0]
    assert list(parted) == ["unet (as unet-64-s1)", "unet (as unet-32-s1)", "agu"]
    # what has no digest is known by its seed alone
    bare = replace(base, systems=tuple(replace(it, sha256="") for it in base.systems))
    assert len(runs_by_patch(bare)[0]["unet"]["32x32x32"]) == 3
    ablated = changed(base, "unet-32-s2", ablation=AblationSpec((1,), "mean"))
    assert len(runs_by_patch(ablated)[0]["unet"]["32x32x32"]) == 2
    # trained on other images: a family of its own
    facts = TrainingFacts((32, 32, 32), RANGES[32], ("blur", 2.0))
    assert list(runs_by_patch(changed(base, "unet-32-s2", training=facts))[0]) == [
        "unet (as unet-64-s1)",
        "unet (as unet-32-s2)",
        "agu",
    ]
    lacking = changed(base, "unet-32-s2", training=TrainingFacts((32, 32, 32)))
    study = summarise(table_of(rows()), setup=lacking).trained_patches[0]
    assert "1 of 3 training run(s) declare no training.foreground_ratio" in study.missing[0]
    assert {it.side for it in study.cells if it.use == SMALL} == {"all"}


def test_an_ablated_network_is_no_window_of_a_sweep() -> None:
    base = setup()
    alike = replace(base, systems=tuple(replace(it, sha256="a" * 64) for it in base.systems[:6]))
    assert len(swept(alike)[0]) == 6
    assert len(swept(changed(alike, "unet-32-s2", ablation=AblationSpec((1,), "mean")))[0]) == 5


def test_parts_add_up_and_nothing_varying_gives_no_interval() -> None:
    # SE2 = 1 + 3 = 4; df = 16 / (1 / 4 + 9 / 9) = 12.8
    found = t_interval(0.0, [Part(1.0, 4), Part(3.0, 9)], n=5, level=0.95, method="t ({freedom})")
    assert found.high == pytest.approx(2 * stats.t.ppf(0.975, 12.8))
    assert found.method == "t (12.8 degrees of freedom)"
    flat = t_interval(0.5, [Part(0.0, 4)], n=5, level=0.95, method="t")
    assert (flat.low, flat.status) == (None, "degenerate")


def test_the_last_bits_of_equal_numbers_are_no_spread() -> None:
    scores = np.full((3, 13), 0.1)
    assert 0 < scores.mean(axis=0).var() < 1e-30
    alike = mean_of_runs(scores, level=0.95, seed=1, reach=(0.0, 1.0))
    assert (alike.low, alike.status) == (None, "degenerate")
    runs = np.random.default_rng(0).random((3, 13))
    # the same runs in another order: the sums differ in their last bits
    shuffled = runs[[1, 2, 0]]
    assert 0 < abs(runs.mean(axis=0) - shuffled.mean(axis=0)).max() < 1e-15
    for same in (scores, 0.5 + scores, 300 + scores):
        found = difference_of_runs(same, same + 0.2, level=0.95)
        assert (found.low, found.status) == (None, "degenerate")


def of_runs_drawn(name: str, seed: int, missing: int | None = None) -> Member:
    """Three runs on 40 patients, of which the first 20 are inside; a run may lack one of them."""
    rng = np.random.default_rng(seed)
    shares = np.array([0.1] * 20 + [0.4] * 20)
    drop = 0.1 * (shares > 0.2) * (1 + rng.normal(0, 0.3, (3, 1)))
    scores = 0.8 - drop + rng.normal(0, 0.03, 40) + rng.normal(0, 0.02, (3, 40))
    if missing is not None:
        scores[1, missing] = np.nan
    return Member(name, (), scores, shares, sides_of(shares, [(0.05, 0.2)]), of_family=True)


def test_a_drop_between_families_by_hand_on_the_cases_of_both_and_for_all_pairs() -> None:
    cohort = setup_of(Cohort(patients=40, perturbations=()))
    one, other = of_runs_drawn("one", 1), of_runs_drawn("other", 2, missing=0)
    found = drop_between([one, other], one.sides, np.ones(40, dtype=bool), cohort, pairs=3)
    inside, outside = np.arange(40) < 20, np.arange(40) >= 20
    inside[0] = False  # other has no number there
    apart = (one.scores - other.scores).mean(axis=0)
    parts = [part_of(apart[inside]), part_of(apart[outside])]
    for it in (one, other):
        parts.append(
            part_of(it.scores[:, inside].mean(axis=1) - it.scores[:, outside].mean(axis=1))
        )
    value = apart[inside].mean() - apart[outside].mean()
    expected = t_interval(value, parts, n=39, level=0.95, each=1 - 0.05 / 3, method="")
    assert (found.n, found.level) == (39, 0.95)
    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )
    assert found.method.endswith("Bonferroni over pairs")


def test_windows_are_compared_on_the_cases_of_all_of_them() -> None:
    cohort = setup_of(Cohort(patients=40, perturbations=()))
    members = [of_runs_drawn("one", 1), of_runs_drawn("other", 2), of_runs_drawn("third", 3, 5)]
    rows = differences(members, {"first": np.arange(40) < 20}, cohort)
    known = np.arange(40) != 5
    first = next(it.difference for it in rows if it.group == "all")
    assert first.n == 39
    apart = (members[0].scores - members[1].scores)[:, known].mean()
    assert first.value == pytest.approx(apart)
    assert {it.difference.n for it in rows if it.group == "first"} == {19}


def test_the_interval_of_a_share_of_the_loss_by_hand() -> None:
    """R = w a / (w a + (1 - w) b), w = 1/2: dR/da = w (1 - R) / T, dR/db = -(1 - w) R / T."""
    cohort = setup_of(Cohort(patients=40, perturbations=()))
    member = of_runs_drawn("one", 1)
    outer = np.arange(40) >= 20
    (found,) = losses([replace(member, sides={})], {"outer": outer}, cohort)
    lost = 1 - member.scores
    a, b = lost[:, outer], lost[:, ~outer]
    total = (a.mean() + b.mean()) / 2
    share = a.mean() / 2 / total
    parts = [
        part_of((1 - share) / 2 * a.mean(axis=0) / total),
        part_of(share / 2 * b.mean(axis=0) / total),
        part_of(a.mean(axis=1) / (a.mean(axis=1) + b.mean(axis=1))),
    ]
    expected = t_interval(share, parts, n=40, level=0.95, method="")
    assert found.cases == 0.5
    assert (found.share.value, found.share.low, found.share.high) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_a_mean_does_not_leave_what_is_possible(runs: int) -> None:
    scores = np.linspace(0.4, 1.0, 12) + np.array([[0.0], [0.01], [-0.01]])[:runs]
    free = mean_of_runs(scores, level=0.95, seed=1, reach=None)
    held = mean_of_runs(scores, level=0.95, seed=1, reach=(0.69, 0.71))
    assert free.low is not None
    assert free.high is not None
    assert free.low < 0.69
    assert free.high > 0.71
    assert (held.low, held.high) == (0.69, 0.71)


@pytest.mark.parametrize(("runs", "patches"), [((3, 3, 3), 3), ((1, 1, 1), 3), ((3, 3), 2)])
def test_cases_that_change_their_side_are_compared_for_all_pairs_at_once(
    runs: tuple[int, ...], patches: int
) -> None:
    """Windows halve the share: every pair of them moves other cases, and the pairs share the level."""
    cohort = setup_of(Cohort(patients=60, perturbations=()))
    rng = np.random.default_rng(5)
    members = []
    for patch, number in zip(range(patches), runs, strict=True):
        shares = 0.5**patch * np.linspace(0.01, 0.4, 60)
        scores = np.clip(rng.normal(0.7, 0.05, 60) + rng.normal(0, 0.02, (number, 60)), 0, 1)
        sides = sides_of(shares, [(0.05, 0.2)])
        members.append(Member(f"p{patch}", (), scores, shares, sides, of_family=True))
    rows = [it for it in differences(members, {}, cohort) if it.group == CHANGES_SIDE]
    pairs = list(itertools.combinations(members, 2))
    assert [(it.first, it.second) for it in rows] == [(a.name, b.name) for a, b in pairs]
    each = 1 - 0.05 / len(pairs)
    for row, (a, b) in zip(rows, pairs, strict=True):
        apart = np.concatenate(
            [
                (a.scores - b.scores)[:, a.sides["inside"] & b.sides["outside"]],
                (b.scores - a.scores)[:, a.sides["outside"] & b.sides["inside"]],
            ],
            axis=1,
        )
        n = apart.shape[1]
        found = row.difference
        assert (found.n, found.level) == (n, 0.95)
        assert found.value == pytest.approx(apart.mean())
        assert ("Bonferroni over pairs" in found.method) == (len(pairs) > 1)
        assert found.low is not None
        assert found.high is not None
        if runs[0] < 3:
            # in the order of the patients, whichever way they moved
            of_patients = np.where(
                a.sides["inside"] & b.sides["outside"], a.scores[0] - b.scores[0], b.scores[0] - a.scores[0]
            )[(a.sides["inside"] & b.sides["outside"]) | (a.sides["outside"] & b.sides["inside"])]  # fmt: skip
            low, high = studentized_interval(
                of_patients[:, None], cohort.weights(n), level=each, bounded=False
            )
            # symmetric in |T| there, of either tail here
            assert (found.high - found.low) == pytest.approx(high[0] - low[0], rel=0.1)
            continue
        parts = [part_of(apart.mean(axis=0)), part_of(apart.mean(axis=1))]
        expected = t_interval(found.value or 0.0, parts, n=n, level=0.95, each=each, method="")
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_the_drop_between_families_errs_no_more_often_than_it_says() -> None:
    """Both families lose .1 outside; runs vary in what they lose: three runs each, 30 patients."""
    cohort = setup_of(Cohort(patients=30, perturbations=()))
    shares = np.array([0.1] * 15 + [0.4] * 15)
    sides = sides_of(shares, [(0.05, 0.2)])
    everywhere, outside = np.ones(30, dtype=bool), shares > 0.2
    rng, wrong, repetitions = np.random.default_rng(8), 0, 300
    for _ in range(repetitions):
        patients = rng.normal(0.8, 0.05, 30)
        members = []
        for name in ("one", "other"):
            lost = rng.normal(0.1, 0.03, (3, 1)) * outside
            noise = rng.normal(0, 0.05, 30) + rng.normal(0, 0.02, (3, 30))
            members.append(Member(name, (), patients - lost + noise, shares, sides, of_family=True))
        found = drop_between(members, sides, everywhere, cohort)
        assert found.low is not None
        assert found.high is not None
        wrong += not found.low <= 0.0 <= found.high
    assert wrong <= stats.binom.ppf(1 - 1e-4, repetitions, 0.05)
