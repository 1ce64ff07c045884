"""Systems against each other: paired, simultaneous, and no winner without evidence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.comparison import NO_WINNER, Pair, best_set, paired
from auditor.analysis.intervals import bootstrap_weights
from auditor.schema import Estimate


def compare(
    values: dict[str, np.ndarray], *, higher_is_better: bool = True, reach: float | None = 1.0
) -> list[Pair]:
    n = len(next(iter(values.values())))
    return paired(
        values,
        bootstrap_weights(n, 1),
        level=0.95,
        higher_is_better=higher_is_better,
        reach=reach,
    )


def test_a_small_paired_gain_is_found_where_patients_differ_much() -> None:
    rng = np.random.default_rng(0)
    ease = rng.uniform(0.3, 0.9, 40)
    pair = compare({"a": ease + 0.02 + rng.normal(0, 0.01, 40), "b": ease})[0]
    assert pair.verdict == "a"
    assert pair.difference.low is not None
    assert pair.difference.low > 0
    # unpaired, the standard error .18 sqrt(2 / 40) = .04 would hide it
    assert pair.difference.value == pytest.approx(0.02, abs=0.005)


def test_lower_distances_are_preferred() -> None:
    rng = np.random.default_rng(1)
    far = rng.uniform(5, 9, 30)
    found = compare(
        {"a": far, "b": far - rng.uniform(1, 2, 30)}, higher_is_better=False, reach=None
    )
    assert found[0].verdict == "b"


def test_equal_systems_have_no_winner() -> None:
    scores = np.random.default_rng(2).beta(9, 2, 25)
    pair = compare({"a": scores, "copy": scores})[0]
    assert (pair.verdict, pair.difference.status) == (NO_WINNER, "degenerate")
    assert pair.difference.value == 0.0
    assert pair.difference.low is None


def test_a_pair_without_spread_leaves_the_other_pairs_their_interval() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.beta(9, 2, (2, 30))
    alone = compare({"a": a, "b": b})[0].difference
    among = {(it.first, it.second): it.difference for it in compare({"a": a, "b": b, "c": b})}
    assert among["b", "c"].status == "degenerate"
    assert among["a", "b"].low == pytest.approx(alone.low)


def test_one_patient_who_differs_makes_no_winner_and_no_infinite_interval() -> None:
    # 35 % of the draws of ten miss that patient: their T is infinite
    a = np.full(10, 0.5)
    b = a.copy()
    b[3] = 0.1
    for reach in (1.0, None):
        pair = compare({"a": a, "b": b}, reach=reach)[0]
        assert (pair.verdict, pair.difference.status) == (NO_WINNER, "degenerate")
        assert (pair.difference.low, pair.difference.high) == (None, None)


def test_two_almost_equal_systems_hide_no_difference_from_a_third() -> None:
    rng = np.random.default_rng(9)
    good = rng.normal(0.9, 0.02, 20)
    nearly = good.copy()
    nearly[3] -= 0.01
    found = compare({"good": good, "nearly": nearly, "poor": good - rng.normal(0.2, 0.02, 20)})
    assert [pair.verdict for pair in found] == [NO_WINNER, "good", "nearly"]


def test_nine_patients_are_described() -> None:
    pair = compare({"a": np.linspace(0.8, 0.9, 9), "b": np.linspace(0.1, 0.3, 9)})[0]
    assert (pair.verdict, pair.difference.status) == (NO_WINNER, "too_few")
    # mean .85 - mean .2
    assert pair.difference.value == pytest.approx(0.65)


def test_one_system_has_nothing_to_be_compared_with() -> None:
    assert compare({"a": np.ones(20)}) == []


def test_intervals_of_more_pairs_are_wider() -> None:
    rng = np.random.default_rng(5)
    values = {name: rng.beta(9, 2, 30) for name in "abcd"}
    two = compare({name: values[name] for name in "ab"})[0].difference
    four = compare(values)[0].difference
    assert two.low is not None
    assert four.low is not None
    assert four.low < two.low


def test_the_best_set_keeps_all_that_none_beats() -> None:
    def pair(first: str, second: str, verdict: str) -> Pair:
        return Pair(first, second, Estimate(0.0, 20, "none"), verdict)

    pairs = [pair("a", "b", NO_WINNER), pair("a", "c", "a"), pair("b", "c", NO_WINNER)]
    assert best_set(["a", "b", "c"], pairs) == ("a", "b")
    assert best_set(["a"], []) == ("a",)


@pytest.mark.slow
def test_equal_laws_get_a_winner_in_at_most_one_audit_of_twenty() -> None:
    # three systems of one law, 25 patients, 600 audits: any winner at all is an error
    rng = np.random.default_rng(6)
    weights = bootstrap_weights(25, 6, draws=999)
    wrong = 0
    for _ in range(600):
        ease = rng.normal(0.8, 0.05, 25)
        values = {name: ease + rng.normal(0, 0.02, 25) for name in "abc"}
        found = paired(values, weights, level=0.95, higher_is_better=True, reach=1.0)
        wrong += any(it.verdict != NO_WINNER for it in found)
    # simulated size is up to .06 at n = 25; the limit is the 99.9 % point of its binomial
    assert wrong <= stats.binom.ppf(0.999, 600, 0.06)
