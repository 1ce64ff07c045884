"""A system against its successor: losses paired per patient, non-inferiority, groups, flipped cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from auditor.analysis.bands import simultaneous_band
from auditor.analysis.intervals import bootstrap_weights
from auditor.analysis.release import Asked, Condition, Group, Paired, compare_systems
from auditor.analysis.release_words import limits, sentences
from auditor.analysis.table import Column
from auditor.schema import CLEAN, decode, encode
from auditor.schema.release import (
    ReleaseComparison,
    ReleasePair,
    ReleaseVerdict,
    RunAsCompared,
)

CLEAN_ORGAN: Condition = (CLEAN, 0.0, "organ")
NOISE: Condition = ("rician_noise", 3.0, "organ")


def column(values: object, *, failed: tuple[int, ...] = (), level: float | None = None) -> Column:
    judged = np.asarray(values, dtype=np.float64)
    value = judged.copy()
    value[list(failed)] = np.nan
    missing = np.isnan(value) & ~np.isnan(judged)
    statuses = np.array([["failed" if it else "ok"] for it in missing], dtype=object)
    return Column(
        level, "% of S_ref" if level else "", value, judged, missing, value, statuses,
        np.full(len(judged), "", dtype=object),
    )  # fmt: skip


def compared(
    before: Mapping[Condition, Column],
    after: Mapping[Condition, Column],
    *,
    patients: object = None,
    groups: tuple[Group, ...] = (),
    margin: float = 0.05,
    higher_is_better: bool = True,
) -> ReleasePair:
    n = len(next(iter(before.values())).judged)
    numbers = np.arange(n) if patients is None else np.asarray(patients)
    paired = Paired(
        before, after, numbers.astype(np.intp), tuple(f"C{i:03d}" for i in range(n)),
        tuple(f"P{i:03d}" for i in numbers), higher_is_better=higher_is_better,
    )  # fmt: skip
    return compare_systems(
        ("v1", "v2"), paired, groups, asked=Asked(margin, 0.8, 0.95, 7), same_predictions=(0, n)
    )


def scores(n: int = 80, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).beta(18, 2, n)


def test_losses_are_paired_and_positive_where_the_later_is_worse() -> None:
    one = scores()
    pair = compared({CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(one - 0.01)})
    (change,) = pair.changes
    assert change.loss.value == pytest.approx(0.01)
    assert change.before == pytest.approx(one.mean())
    assert change.after == pytest.approx(one.mean() - 0.01)
    # every patient loses the same, so that resampling says nothing of others and no interval stands there
    assert change.loss.status == "degenerate"
    assert change.loss.low is None
    # the phantom bound still does: .01 and one patient of 81 who goes from perfect to zero
    assert change.assured.value is not None
    assert 0.01 < change.assured.value < 0.05
    assert change.verdict is ReleaseVerdict.NON_INFERIOR


def test_a_loss_beyond_the_margin_is_inferior() -> None:
    one = scores()
    worse = one - np.random.default_rng(2).normal(0.1, 0.02, len(one))
    pair = compared({CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(worse)})
    assert pair.changes[0].verdict is ReleaseVerdict.INFERIOR
    assert pair.verdict is ReleaseVerdict.INFERIOR


def test_a_loss_that_all_patients_share_is_inferior_though_resampling_says_nothing() -> None:
    one = np.full(30, 0.9)
    change = compared({CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(one - 0.5)}).changes[0]
    assert change.loss.status == "degenerate"
    # thirty patients and one phantom who goes from zero to perfect: (1.5 * .05^(1/30)) - 1 = .357
    assert change.verdict is ReleaseVerdict.INFERIOR
    small = compared({CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(one - 0.1)}).changes[0]
    assert small.verdict is ReleaseVerdict.UNDECIDED


def test_too_few_patients_to_assure_the_margin_leave_a_conditional_verdict() -> None:
    one = scores(20)
    change = compared(
        {CLEAN_ORGAN: column(one)},
        {CLEAN_ORGAN: column(one + np.random.default_rng(3).normal(0, 0.003, 20))},
    ).changes[0]
    # 20 patients cannot assure a loss below 1 - .05^(1/20) = .139
    assert change.assured.value is not None
    assert change.assured.value > 0.13
    assert change.assured.note == "with 20 patients no loss below 0.139 can be assured"
    assert change.verdict is ReleaseVerdict.CONDITIONAL
    assert "given no unseen collapse" in change.conditional.note


def test_fewer_than_ten_patients_decide_nothing() -> None:
    one = scores(9)
    change = compared({CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(one - 0.3)}).changes[0]
    assert change.verdict is ReleaseVerdict.UNDECIDED
    assert change.assured.value is None
    assert change.loss.status == "too_few"
    assert change.loss.value == pytest.approx(0.3)


def test_a_crash_after_counts_as_a_total_loss_and_is_not_dropped() -> None:
    one = scores()
    crashed = one.copy()
    crashed[:3] = 0.0
    pair = compared({CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(crashed, failed=(0, 1, 2))})
    assert pair.changes[0].loss.value == pytest.approx(one[:3].sum() / 80)
    lost = {it.case: it for it in pair.flips}
    assert lost["C000"].way == "lost"
    assert lost["C000"].after is None
    assert lost["C000"].status_after == "failed"
    assert (pair.lost, pair.gained) == (3, 0)


def test_patients_without_a_number_in_one_run_are_left_out_and_counted() -> None:
    one = scores()
    two = one.copy()
    two[5] = np.nan
    change = compared({CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(two)}).changes[0]
    assert (change.loss.n, change.left_out) == (79, 1)
    # means before and after are about the same patients
    assert change.before == pytest.approx(np.delete(one, 5).mean())


def test_cases_of_a_patient_are_averaged_first() -> None:
    one = np.tile([0.9, 0.7], 20)
    two = one - np.tile([0.2, 0.0], 20)
    pair = compared(
        {CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(two)}, patients=np.repeat(np.arange(20), 2)
    )
    assert pair.changes[0].loss.n == 20
    assert pair.changes[0].loss.value == pytest.approx(0.1)


def test_intervals_hold_for_all_conditions_together() -> None:
    rng = np.random.default_rng(4)
    one = scores()
    after = {key: column(one + rng.normal(0, 0.02, 80), level=9.0) for key in (CLEAN_ORGAN, NOISE)}
    before = {CLEAN_ORGAN: column(one), NOISE: column(one, level=9.0)}
    both = compared(before, after).changes
    alone = compared({CLEAN_ORGAN: before[CLEAN_ORGAN]}, {CLEAN_ORGAN: after[CLEAN_ORGAN]}).changes

    def width(change: object) -> float:
        loss = change.loss  # type: ignore[attr-defined]
        return float(loss.high - loss.low)

    assert [it.perturbation for it in both] == [CLEAN, "rician_noise"]
    assert width(both[0]) > width(alone[0])


def test_the_whole_is_as_good_as_its_weakest_condition() -> None:
    one = scores()
    small = np.random.default_rng(5).normal(0, 0.002, 80)
    large = np.random.default_rng(6).normal(0.2, 0.02, 80)
    pair = compared(
        {CLEAN_ORGAN: column(one), NOISE: column(one, level=9.0)},
        {CLEAN_ORGAN: column(one - small), NOISE: column(one - large, level=9.0)},
    )
    assert [it.verdict for it in pair.changes] == [
        ReleaseVerdict.NON_INFERIOR,
        ReleaseVerdict.INFERIOR,
    ]
    assert pair.verdict is ReleaseVerdict.INFERIOR


def test_a_regression_in_one_group_is_found_though_the_mean_hides_it() -> None:
    one = scores()
    rng = np.random.default_rng(8)
    two = one + rng.normal(0.02, 0.005, 80)
    small = np.arange(80) < 20
    two[small] = one[small] - rng.normal(0.05, 0.01, 20)
    groups = (
        Group("foreground_ratio", "small", "organ", small),
        Group("foreground_ratio", "large", "organ", ~small),
        Group("site", "tiny", "", np.arange(80) < 4),
        Group("foreground_ratio", "other label", "vessel", small),
    )
    pair = compared({CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(two)}, groups=groups)
    found = {it.stratum: it for it in pair.strata}
    assert set(found) == {"small", "large", "tiny"}
    assert found["small"].regression
    assert not found["large"].regression
    assert found["tiny"].loss.status == "too_few"


def test_flips_are_counted_both_ways_and_the_largest_comes_first() -> None:
    one = np.full(40, 0.9)
    two = one.copy()
    two[3], two[7] = 0.1, 0.75
    three = one.copy()
    three[0] = 0.5
    pair = compared({CLEAN_ORGAN: column(three)}, {CLEAN_ORGAN: column(two)})
    assert [(it.case, it.way) for it in pair.flips] == [
        ("C003", "lost"), ("C007", "lost"), ("C000", "gained"),
    ]  # fmt: skip


def whole(pair: ReleasePair) -> ReleaseComparison:
    run = RunAsCompared("spleen", "0.1.0", "ab" * 32, 80, 80, 0)
    return sentences(
        ReleaseComparison(
            1,
            run,
            run,
            "dsc",
            0.05,
            0.8,
            0.95,
            80,
            (pair,),
            (),
            (),
            limits(same_seed=False, level=0.95),
        )
    )


def test_the_answer_is_told_in_plain_sentences_and_survives_its_file() -> None:
    one = scores()
    rng = np.random.default_rng(9)
    pair = compared(
        {CLEAN_ORGAN: column(one), NOISE: column(one, level=9.0)},
        {
            CLEAN_ORGAN: column(one - rng.normal(0, 0.002, 80)),
            NOISE: column(one - rng.normal(0.2, 0.02, 80), level=9.0),
        },
    )
    found = whole(pair)
    told = " ".join(found.sentences)
    assert "v2 after v1: INFERIOR. It loses more than 0.05 at 1 of 2 conditions" in told
    assert (
        "The largest loss is under rician_noise 9 % of S_ref: the mean DSC of organ got worse"
        in told
    )
    assert any("different seeds" in it for it in found.limits)
    assert decode(encode(found), ReleaseComparison) == found


def test_a_scan_that_failed_in_one_run_alone_is_no_identical_prediction() -> None:
    # 80 evaluations before, 75 after: those have the same masks, the other five crashed
    one = scores()
    after = one.copy()
    after[:5] = 0.0
    pair = compared(
        {CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(after, failed=(0, 1, 2, 3, 4))}
    )
    told = whole(replace(pair, same_predictions=75, compared_predictions=75)).sentences
    assert not any("identical" in it for it in told)
    assert told[0].startswith("v2 after v1: ")
    assert any("5 evaluations fell below 0.8" in it for it in told)


def test_where_less_is_better_a_rise_is_the_loss() -> None:
    one = 1 - scores()  # about .1, all below .8
    two = one + np.random.default_rng(2).normal(0.75, 0.02, 80)
    pair = compared({CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(two)}, higher_is_better=False)
    assert pair.changes[0].loss.value == pytest.approx(float((two - one).mean()))
    assert pair.verdict is ReleaseVerdict.INFERIOR
    # values up to .8 reach it
    assert (pair.lost, pair.gained) == (int((two > 0.8).sum()), 0)


def test_a_loss_within_the_margin_is_not_inferior_though_it_is_certain() -> None:
    one = scores(20)
    two = one - np.random.default_rng(3).normal(0.03, 0.004, 20)
    change = compared({CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(two)}).changes[0]
    assert change.loss.low is not None
    assert 0.02 < change.loss.low < 0.05
    assert change.verdict is ReleaseVerdict.CONDITIONAL


def test_conditions_with_other_patients_share_the_level_of_the_interval() -> None:
    one = scores()
    clean = one - np.random.default_rng(4).normal(0.1, 0.03, 80)
    noisy = clean - 0.1
    noisy[:8] = np.nan  # 72 patients: two intervals, each at 1 - .05 / 2
    pair = compared(
        {CLEAN_ORGAN: column(one), NOISE: column(one, level=9.0)},
        {CLEAN_ORGAN: column(clean), NOISE: column(noisy, level=9.0)},
    )
    for change, kept, after in zip(pair.changes, (one, one[8:]), (clean, noisy[8:]), strict=True):
        lost = (kept - after)[:, None]
        low, high = simultaneous_band(lost, bootstrap_weights(len(lost), 7), level=0.975)
        assert (change.loss.low, change.loss.high) == (float(low[0]), float(high[0]))


def test_groups_of_a_label_share_the_level_of_their_intervals() -> None:
    one = scores()
    two = one - np.random.default_rng(5).normal(0.02, 0.03, 80)
    inside = np.arange(80) < 40
    groups = (Group("site", "north", "", inside), Group("site", "south", "", ~inside))
    pair = compared({CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(two)}, groups=groups)
    for found, kept in zip(pair.strata, (inside, ~inside), strict=True):
        lost = (one - two)[kept][:, None]
        low, _ = simultaneous_band(lost, bootstrap_weights(40, 7), level=0.975)
        assert found.loss.low == float(low[0])


def test_a_case_with_a_failure_does_not_reach_the_threshold_by_its_other_replicates() -> None:
    one = np.linspace(0.85, 0.95, 40)
    pair = compared({CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(one, failed=(6,))})
    assert [(it.case, it.way) for it in pair.flips] == [("C006", "lost")]


def test_patients_who_got_better_are_not_told_that_nothing_can_be_assured() -> None:
    # 20 patients without any loss assure none below .139; these gained .3 each
    one = np.linspace(0.5, 0.6, 20)
    (change,) = compared({CLEAN_ORGAN: column(one)}, {CLEAN_ORGAN: column(one + 0.3)}).changes
    assert change.verdict is ReleaseVerdict.NON_INFERIOR
    assert change.assured.value is not None
    assert change.assured.value < 0.05
    assert change.assured.note == ""
