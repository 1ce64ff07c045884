"""A system beside its raters: the arithmetic, the verdicts, and how often simulated raters get them."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_raters import agreements, displaced, dsc, majority_border

from auditor.analysis.intervals import (
    bootstrap_weights,
    seed_of,
    studentized_interval,
    unseen_rate,
)
from auditor.analysis.rater_agreement import (
    MANY,
    case_agreement,
    case_consensus_delta,
    case_delta,
    over_cases,
    within_rater_range,
)
from auditor.analysis.williams import williams_index
from auditor.schema import RangeTest, WilliamsIndex, decode, encode

LEVEL = 0.95


def asked(deltas: object, *, margin: float = 0.02, **more: object) -> RangeTest:
    values = np.asarray(deltas, dtype=np.float64)
    return within_rater_range(values, margin=margin, level=LEVEL, seed=seed_of("test"), **more)  # type: ignore[arg-type]


def index_of(model: object, between: object, *, margin: float = 0.05) -> WilliamsIndex:
    a, b = np.asarray(model, dtype=np.float64), np.asarray(between, dtype=np.float64)
    return williams_index(a, b, margin=margin, level=LEVEL, seed=seed_of("test"))


# ------------------------------------------------------------------------------ by hand


def test_a_case_is_the_system_with_each_rater_against_each_pair_of_raters() -> None:
    between = [[None, 0.9, 0.7], [0.9, None, 0.8], [0.7, 0.8, None]]
    model = [0.85, 0.9, 0.8]
    assert case_agreement(model, between) == pytest.approx((2.55 / 3, 2.4 / 3))
    assert case_delta(model, between) == pytest.approx(0.05)


def test_a_case_against_leave_one_out_consensus_is_paired_rater_by_rater() -> None:
    assert case_consensus_delta([0.9, 0.8, 0.7], [0.85, 0.85, 0.85]) == pytest.approx(-0.05)


def test_cases_of_a_patient_are_averaged_first() -> None:
    found = over_cases([0.1, 0.4, 0.3, -0.2], ["a", "b", "a", "a"])
    assert found == pytest.approx([0.2 / 3, 0.4])


def test_what_is_no_case_is_refused() -> None:
    with pytest.raises(ValueError, match="between must be"):
        case_delta([0.9], [[1.0]])
    with pytest.raises(ValueError, match="between must be"):
        case_delta([0.9, 0.8], [[1.0, 0.8]])
    with pytest.raises(ValueError, match=r"scores must lie in \[0, 1\], got None"):
        case_delta([0.9, 0.8], [[None, None], [None, None]])
    for bad in (1.01, float("nan")):
        with pytest.raises(ValueError, match=r"scores must lie in \[0, 1\]"):
            case_delta([0.9, bad], [[1.0, 0.8], [0.8, 1.0]])
    with pytest.raises(ValueError, match="one length, at least 2, got 2, 3"):
        case_consensus_delta([0.9, 0.8], [0.9, 0.8, 0.7])


# ------------------------------------------------------------------------------ verdicts


def spread(mean: float, n: int, sd: float = 0.01) -> np.ndarray:
    """Patients around a mean, symmetric, none repeated."""
    return mean + sd * np.linspace(-1.7, 1.7, n)


@pytest.mark.parametrize(
    ("mean", "n", "verdict", "equivalence"),
    [
        (0.0, 150, "within", "equivalent"),
        (0.0, 40, "within (conditional)", "equivalent (conditional)"),
        (0.05, 150, "within", "not shown"),  # better than raters is within, and not equivalent
        (0.05, 40, "within (conditional)", "not shown"),
        (-0.02, 40, "undetermined", "not shown"),
        (-0.02, 150, "undetermined", "not shown"),
        (-0.05, 40, "outside (conditional)", "not shown"),
        (-0.05, 150, "outside", "not shown"),
        (-0.3, 40, "outside", "not shown"),  # no unseen patient makes up for that
    ],
)
def test_verdicts(mean: float, n: int, verdict: str, equivalence: str) -> None:
    found = asked(spread(mean, n))
    assert (found.verdict, found.equivalence) == (verdict, equivalence)
    assert (found.lower.side, found.upper.side, found.lower.level) == ("lower", "upper", LEVEL)
    assert found.difference.value == pytest.approx(mean)
    assert (found.difference.level, found.difference.n) == (0.9, n)


def test_the_interval_is_that_of_the_drawn_means() -> None:
    values = np.random.default_rng(3).normal(0.01, 0.03, 30)
    weights = bootstrap_weights(30, seed_of("test"))
    low, high = studentized_interval(values[:, None], weights, level=0.9, bounded=False)
    found = asked(values)
    assert (found.difference.low, found.difference.high) == pytest.approx((low[0], high[0]))
    assert found.conditional_lower.value == pytest.approx(low[0])
    assert found.conditional_upper.value == pytest.approx(high[0])


@pytest.mark.parametrize(("margin", "needed"), [(0.02, MANY), (0.05, 59), (0.1, 29), (0.3, 10)])
def test_how_many_patients_without_any_difference_would_be_within(
    margin: float, needed: int
) -> None:
    # the bound of n zeros is -(1 - .05^(1/n))
    found = asked(np.zeros(max(needed, 60)), margin=margin)
    assert found.needed == needed
    if 10 < needed < MANY:
        assert asked(np.zeros(needed), margin=margin).verdict == "within"
        assert asked(np.zeros(needed - 1), margin=margin).verdict == "undetermined"
        assert asked(np.zeros(needed)).lower.value == pytest.approx(
            -unseen_rate(needed, level=LEVEL)
        )


def test_patients_who_are_all_alike_are_bounded_by_a_phantom_at_any_number() -> None:
    found = asked(np.zeros(160))
    assert found.conditional_lower.status == "degenerate"
    assert found.lower.value == pytest.approx(-unseen_rate(160, level=LEVEL))
    assert found.verdict == "within"
    assert asked(np.zeros(130)).verdict == "undetermined"


def test_few_patients_are_described_only() -> None:
    found = asked([0.01, -0.01, 0.0])
    assert (found.verdict, found.equivalence) == ("too few patients", "not shown")
    assert (found.difference.value, found.difference.status) == (0.0, "too_few")
    assert found.lower.value is None
    nothing = asked([])
    assert (nothing.verdict, nothing.difference.value) == ("too few patients", None)
    assert nothing.difference.status == "not_assessable"


def test_from_120_patients_on_resampling_alone_decides() -> None:
    assert asked(spread(0.0, 119)).lower.method == "phantom bound"
    assert asked(spread(0.0, 120)).lower.method == "paired studentized bootstrap"
    assert asked(spread(0.0, 120)).verdict == "within"


def test_a_reach_is_only_the_unit_of_the_differences() -> None:
    small, doubled = asked(spread(0.0, 40)), asked(2 * spread(0.0, 40), margin=0.04, reach=2.0)
    for end in ("lower", "upper", "conditional_lower", "conditional_upper"):
        value = getattr(small, end).value
        assert value is not None
        assert getattr(doubled, end).value == pytest.approx(2 * value)
    assert (doubled.verdict, doubled.needed) == (small.verdict, small.needed)


def test_no_bound_lies_beyond_the_largest_possible_difference() -> None:
    """One patient of ten at the other end: resampling alone would go beyond -1."""
    one_of_ten = np.linspace(0.8, 1.0, 10)
    one_of_ten[0] = -0.9
    assert asked(one_of_ten).conditional_lower.value == -1.0
    assert asked(-one_of_ten).conditional_upper.value == 1.0
    assert (asked(2 * one_of_ten, reach=2.0).conditional_lower.value) == -2.0


def test_lengths_have_no_phantom_and_only_conditional_verdicts() -> None:
    found = asked(spread(0.1, 150), margin=0.5, reach=None)
    assert (found.verdict, found.lower.status, found.needed) == (
        "within (conditional)", "undefined", None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"margin": 0.0}, "margin must be a positive number, got 0.0"),
        ({"margin": float("nan")}, "margin must be a positive number"),
        ({"deltas": [0.0, float("nan")]}, "one finite number per patient"),
        ({"deltas": [[0.0, 0.1]]}, "one finite number per patient"),
        ({"deltas": [1.5] * 12}, r"differences must lie in \+-1, got 1.5"),
    ],
)
def test_what_cannot_be_tested_is_refused(changed: dict[str, object], problem: str) -> None:
    given: dict[str, object] = {"deltas": [0.0] * 12, "margin": 0.02} | changed
    with pytest.raises(ValueError, match=problem):
        asked(given["deltas"], margin=given["margin"])  # type: ignore[arg-type]


@pytest.mark.parametrize("level", [0.5, 1.0, 95.0])
def test_a_level_is_a_level(level: float) -> None:
    with pytest.raises(ValueError, match=r"level must lie between .5 and 1"):
        within_rater_range(np.zeros(12), margin=0.02, level=level, seed=1)


def test_records_can_be_stored() -> None:
    for deltas in (spread(0.0, 40), np.zeros(160), np.zeros(3)):
        record = asked(deltas)
        assert decode(encode(record), RangeTest) == record
    index = index_of(spread(0.9, 40), spread(0.9, 40)[::-1])
    assert decode(encode(index), WilliamsIndex) == index


# ------------------------------------------------------------------------------ Williams index


def test_williams_index_is_a_ratio_of_means_and_no_mean_of_ratios() -> None:
    model, between = [0.9] * 9 + [0.1], [0.8] * 9 + [0.01]
    found = index_of(model, between)
    assert found.index.value == pytest.approx((9 * 0.9 + 0.1) / (9 * 0.8 + 0.01))
    assert np.mean(np.divide(model, between)) > 2.0


def test_williams_index_needs_the_whole_interval() -> None:
    rng = np.random.default_rng(8)
    between = rng.uniform(0.8, 0.95, 40)
    exact = index_of(between + rng.normal(0, 0.01, 40), between)
    assert exact.verdict == "within (conditional)"
    # an interval that holds 1 and reaches below .95 is absence of evidence
    wide = index_of(np.clip(between + rng.normal(0, 0.3, 40), 0, 1), between)
    assert wide.index.low is not None
    assert wide.index.low < 0.95
    assert wide.verdict != "within (conditional)"
    assert (
        index_of(0.8 * between + rng.normal(0, 0.01, 40), between).verdict
        == "outside (conditional)"
    )


def test_patients_whose_raters_hardly_agree_do_not_widen_the_williams_interval() -> None:
    # half of what raters reach, whether that is .2 or .95: only what is beside the ratio counts
    rng = np.random.default_rng(62)
    between = rng.uniform(0.2, 0.95, 60)
    beside = rng.normal(0.0, 0.006, 60)
    found = index_of(0.5 * between + beside, between).index
    half = float(np.std(beside, ddof=1) / 60**0.5 / between.mean()) * 1.671  # t(59), .95
    assert found.value is not None
    assert (found.low, found.high) == pytest.approx(
        (found.value - half, found.value + half), abs=0.2 * half
    )


def test_williams_index_without_anything_to_divide_by() -> None:
    assert index_of(np.full(20, 0.5), np.zeros(20)).index.status == "undefined"
    same = index_of(np.full(20, 0.45), np.full(20, 0.9))
    assert (same.index.value, same.index.status, same.verdict) == (
        0.5,
        "degenerate",
        "undetermined",
    )
    few = index_of([0.9] * 3, [0.8] * 3)
    assert (few.index.status, few.verdict) == ("too_few", "too few patients")
    assert index_of([], []).index.status == "not_assessable"
    with pytest.raises(ValueError, match="one shape"):
        index_of([0.9], [0.8, 0.8])
    with pytest.raises(ValueError, match="must be below 1"):
        index_of([0.9] * 12, [0.8] * 12, margin=1.0)


def test_williams_index_does_not_change_with_the_scale_of_the_score() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.uniform(0.7, 0.9, 30), rng.uniform(0.7, 0.9, 30)
    first, second = index_of(a, b).index, index_of(a / 10, b / 10).index
    assert (first.value, first.low, first.high) == pytest.approx(
        (second.value, second.low, second.high)
    )


# ------------------------------------------------------------------------------ simulated raters

# Objects of 4 to 20 px whose borders differ by .8 px, 4 raters (tests/support/simulated_raters), as in
# the simulation that the limits of docs/raters.md come from.


@pytest.mark.parametrize(
    ("system", "index", "delta"),
    [
        # benchmarks/raters.py, 20000 patients
        ((0.8, 0.0), 1.0, 0.0),
        ((1.6, 0.0), 0.9459, -0.0493),
        ((0.8, 1.0), 0.9717, -0.0258),
        ((0.0, 0.0), 1.0284, 0.0259),  # smoother than any rater
    ],
)
def test_index_and_difference_of_systems_of_a_known_kind(
    system: tuple[float, float], index: float, delta: float
) -> None:
    noise, bias = system
    rng = np.random.default_rng(1)
    own, raters = agreements(rng, 4000, noise=0.8, system_noise=noise, bias=bias)
    assert own.mean() / raters.mean() == pytest.approx(index, abs=0.004)
    # standard deviations of the differences are .015 to .040
    assert (own - raters).mean() == pytest.approx(delta, abs=4 * 0.04 / 4000**0.5)


@pytest.mark.parametrize(
    ("raters", "with_himself", "left_out", "system_full"),
    # benchmarks/raters.py, 20000 patients
    [(3, 0.955, 0.907, 0.923), (5, 0.947, 0.921, 0.927), (7, 0.943, 0.926, 0.930)],
)
def test_a_consensus_that_holds_the_rater_makes_an_equal_system_look_worse(
    raters: int, with_himself: float, left_out: float, system_full: float
) -> None:
    rng = np.random.default_rng(raters)
    radius = rng.uniform(4.0, 20.0, 4000)
    borders = displaced(rng, radius, raters, noise=0.8)
    system = displaced(rng, radius, 1, noise=0.8)[:, 0]
    full = majority_border(borders)
    others = [majority_border(np.delete(borders, place, 1)) for place in range(raters)]
    own = np.mean([dsc(borders[:, place], it).mean() for place, it in enumerate(others)])
    its = np.mean([dsc(system, it).mean() for it in others])
    inside, outside = dsc(borders, full[:, None]).mean(), dsc(system, full).mean()
    assert (inside, own, outside) == pytest.approx((with_himself, left_out, system_full), abs=0.004)
    assert inside - outside > 0.01
    assert abs(its - own) < 0.002


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "rate"),
    # benchmarks/raters.py, 1000 cohorts each, borders that differ by 2 px (mean DSC of raters .79)
    [(20, 0.656), (50, 0.933)],
)
def test_how_often_a_rater_like_the_others_is_within_the_range(n: int, rate: float) -> None:
    rng = np.random.default_rng(n)
    cohorts = 80
    verdicts = []
    for _ in range(cohorts):
        own, raters = agreements(rng, n, noise=2.0, system_noise=2.0)
        verdicts.append(asked(own - raters).verdict)
    held = verdicts.count("within (conditional)")
    # four standard errors of a share of 80, and of the 1000 that it is compared with
    assert held / cohorts == pytest.approx(
        rate, abs=4 * (rate * (1 - rate) * (1 / 80 + 1 / 1000)) ** 0.5
    )
    assert "within" not in verdicts  # no 119 patients could be, with a margin of .02
    assert not any(verdict.startswith("outside") for verdict in verdicts)


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "bias"), [(1.6, 0.0), (0.8, 1.0)], ids=["noisy", "biased"])
def test_a_worse_system_is_not_within_the_range(noise: float, bias: float) -> None:
    # both lie beyond the margin: chance of a false within is at most 1 - level
    rng = np.random.default_rng(9)
    for n in (20, 130):
        verdicts = []
        for _ in range(40):
            own, raters = agreements(rng, n, noise=0.8, system_noise=noise, bias=bias)
            verdicts.append(asked(own - raters).verdict)
        # P(Bin(40, .05) >= 8) = .0005
        assert sum(verdict.startswith("within") for verdict in verdicts) < 8
        assert sum(verdict.startswith("outside") for verdict in verdicts) > 5


@pytest.mark.slow
def test_the_interval_of_the_williams_index_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(16)
    truth = 0.9456  # a system of twice the noise, mean of two runs of 20000 patients
    cohorts, held = 300, 0
    for _ in range(cohorts):
        own, raters = agreements(rng, 30, noise=0.8, system_noise=1.6)
        found = index_of(own, raters).index
        held += (found.low or 0.0) <= truth <= (found.high or 0.0)
    # .9 +- 4 standard errors of .017, and .01 for what resampling of 30 patients may miss
    assert held / cohorts == pytest.approx(0.9, abs=4 * (0.9 * 0.1 / cohorts) ** 0.5 + 0.01)
