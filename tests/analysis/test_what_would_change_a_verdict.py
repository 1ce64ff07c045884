"""What would change a verdict: more patients, patients without a number, waivers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.claim_bounds import needed_at_best
from auditor.analysis.claim_searches import misses_survived, needed_without_misses
from auditor.analysis.criteria import Evidence, judge, overall, waived
from auditor.schema import ContractStatus, CriterionResult, CriterionSpec, Verdict, Waiver

MEAN = CriterionSpec("C-01", "unet", "organ", "dsc", threshold=0.8)
SHARE = replace(MEAN, form="share_of_patients_at_least", threshold=0.8, value_at_least=0.7)
DROP = replace(
    MEAN, form="mean_drop_at_most", threshold=0.1, perturbation="rician_noise", severity=3.0
)
CONFIRMED = ContractStatus.CONFIRMED


def judged(
    spec: CriterionSpec,
    values: object,
    *,
    measured: object = None,
    failed: int = 0,
    left_out: int = 0,
    excluded: int = 0,
) -> CriterionResult:
    own = np.asarray(values if measured is None else measured, dtype=np.float64)
    evidence = Evidence(
        np.asarray(values, dtype=np.float64), failed, CONFIRMED, preview=False,
        left_out=left_out, excluded=excluded, measured=own,
    )  # fmt: skip
    return judge(spec, evidence, level=0.95, seed=7)


def lower(reached: int, n: int) -> float:
    """Clopper-Pearson, from its definition."""
    return float(stats.beta.ppf(0.05, reached, n - reached + 1))


def test_a_share_survives_as_many_misses_as_its_bound_allows() -> None:
    # 30 of 30 reach it: the bound is .05^(1/30) = .905; with k misses beside them it is that of 30 of 30 + k
    allowed = max(k for k in range(30) if lower(30, 30 + k) >= 0.8)
    assert allowed == 2
    result = judged(SHARE, np.full(30, 0.9))
    assert result.verdict is Verdict.PASS
    assert result.sensitivity is not None
    assert result.sensitivity.misses_survived == allowed
    assert not result.sensitivity.fragile
    assert f"with {allowed} further total miss(es), not with {allowed + 1}" in result.change


def test_patients_without_a_number_are_asked_about_as_misses() -> None:
    fragile = judged(SHARE, np.full(30, 0.9), left_out=2, excluded=3)
    assert fragile.verdict is Verdict.PASS
    assert fragile.sensitivity is not None
    assert fragile.sensitivity.fragile
    assert "It would not be met if 3 of the 5 patient(s) left out or excluded" in fragile.change
    sound = judged(SHARE, np.full(60, 0.9), excluded=3)
    assert lower(60, 63) >= 0.8
    assert sound.sensitivity is not None
    assert not sound.sensitivity.fragile
    assert "still be met if all 3 patients left out or excluded were total misses" in sound.change


def test_misses_that_a_mean_survives_are_counted_as_zero() -> None:
    scored = np.full(100, 0.95)
    survived = misses_survived(MEAN, scored, level=0.95, seed=1)
    for misses, met in ((survived, True), (survived + 1, False)):
        again = judged(MEAN, np.concatenate([scored, np.zeros(misses)]))
        assert (again.verdict is Verdict.PASS) is met


def test_a_drop_counts_a_miss_as_one() -> None:
    scored = np.full(200, 0.01)
    survived = misses_survived(DROP, scored, level=0.95, seed=1)
    for misses, met in ((survived, True), (survived + 1, False)):
        again = judged(DROP, np.concatenate([scored, np.ones(misses)]))
        assert (again.verdict is Verdict.PASS) is met


def test_a_verdict_that_hangs_on_failures_says_so() -> None:
    # 50 good patients pass; 10 crashes beside them do not
    good = np.full(50, 0.95)
    result = judged(MEAN, np.concatenate([good, np.zeros(10)]), measured=good, failed=10)
    assert result.verdict is Verdict.INSUFFICIENT
    assert result.sensitivity is not None
    assert result.sensitivity.verdict_without_failed == Verdict.PASS.value
    assert result.sensitivity.without_failed.value == pytest.approx(0.95)
    assert result.sensitivity.without_failed.n == 50
    assert result.sensitivity.fragile
    assert "10 patient(s) without a value count at the worst value." in result.change
    assert "Without them it would be PASS." in result.change


def test_when_all_patients_failed_nothing_is_left_to_compare() -> None:
    result = judged(MEAN, np.zeros(20), measured=np.empty(0), failed=20)
    assert result.verdict is Verdict.FAIL
    assert result.sensitivity is not None
    assert result.sensitivity.without_failed.value is None
    assert result.sensitivity.verdict_without_failed == ""


def test_more_patients_without_a_miss_are_fewer_than_more_of_the_same() -> None:
    # one miss among 30: the share is 29/30, its bound .851 .. below .9
    spec = replace(SHARE, threshold=0.9)
    values = np.concatenate([np.full(29, 0.9), [0.0]])
    result = judged(spec, values)
    assert result.verdict is Verdict.INSUFFICIENT
    more = needed_without_misses(spec, (values >= 0.7).astype(float), level=0.95, seed=1)
    assert more is not None
    exact = next(k for k in range(1, 600) if lower(29 + k, 30 + k) >= 0.9)
    assert exact <= more <= 1.08 * exact + 1  # sizes are tried in steps of 8 %
    assert f"About {more} more patient(s) without a total miss among them" in result.change
    assert result.needed_patients is not None
    assert more < result.needed_patients - 30


def test_without_a_miss_there_is_nothing_else_to_hope_for() -> None:
    assert needed_without_misses(MEAN, np.full(10, 0.85), level=0.95, seed=1) is None
    assert needed_without_misses(MEAN, np.zeros(10), level=0.95, seed=1) is None


def test_a_waived_claim_keeps_what_it_would_have_been() -> None:
    failed = judged(MEAN, np.full(40, 0.3))
    aside = waived(failed, Waiver("quality department", "scanner out of use"))
    assert aside.verdict is Verdict.WAIVED
    assert aside.change.startswith(
        "Waived by quality department: scanner out of use. Otherwise it would be FAIL."
    )
    assert aside.bound == failed.bound
    passed = judged(MEAN, np.full(60, 0.95))
    told = overall((passed, aside), purpose="confirmatory", preview=False)
    assert told == "PASS: 1 of 2 declared claims supported, 1 waived"
    alone = overall((aside,), purpose="confirmatory", preview=False)
    assert alone == "WAIVED: 0 of 1 declared claims supported, 1 waived"


def test_no_number_of_patients_is_needed_for_what_none_can_assure() -> None:
    assert needed_at_best(replace(MEAN, threshold=1.0), 0.95) is None
    # .05^(1/n) >= .8 from n = 14: log .05 / log .8 = 13.4
    assert needed_at_best(MEAN, 0.95) == 14


def test_a_doubted_system_would_not_fail_without_its_failures_either() -> None:
    own = np.random.default_rng(1).beta(5, 5, 60)  # far below .8, whether two more failed or not
    evidence = Evidence(
        np.append(own, [0.0, 0.0]), 2, ContractStatus.IN_DOUBT, preview=False, measured=own
    )
    result = judge(MEAN, evidence, level=0.95, seed=7)
    assert result.verdict is Verdict.CONTRACT_IN_DOUBT
    assert result.sensitivity is not None
    assert result.sensitivity.verdict_without_failed == "CONTRACT IN DOUBT"
    assert not result.sensitivity.fragile
    assert "Without them" not in result.change


def test_a_group_that_is_too_small_without_its_failures_is_not_judged_on_the_rest() -> None:
    own = np.full(59, 0.99)
    evidence = Evidence(np.append(own, 0.0), 1, CONFIRMED, preview=False, measured=own, minimum=60)
    result = judge(MEAN, evidence, level=0.95, seed=7)
    assert result.verdict is Verdict.PASS
    assert result.sensitivity is not None
    assert result.sensitivity.verdict_without_failed == "INSUFFICIENT EVIDENCE"
    assert "Without them it would be INSUFFICIENT EVIDENCE." in result.change


@pytest.mark.parametrize("left_out", [0, 200])
def test_no_number_of_misses_is_named_that_was_not_tried(left_out: int) -> None:
    # 30 of .9 and 4 x 30 + 1 misses: mean 27 / 151 = .18, and with one more 27 / 152: still far above .05
    result = judged(replace(MEAN, threshold=0.05), np.full(30, 0.9), left_out=left_out)
    assert "still be met with 121 further total misses, the most that were tried" in result.change
    assert "122" not in result.change


def test_what_no_data_could_meet_is_said_of_what_it_holds_for() -> None:
    # 12 patients without any drop have the bound 1 - .05^(1/12) = .221 > .1; who gained .3 each has another
    few = judged(DROP, np.zeros(12))
    assert few.verdict is Verdict.NOT_ATTAINABLE
    assert few.change == (
        "No data of 12 patient(s) could meet it unless scans came out better than clean; at least 29 are "
        "needed."
    )
    assert judged(DROP, np.full(12, -0.3)).verdict is Verdict.PASS
    # a mean has no such way out, nor one patient, nor what resampling needs ten for
    assert "unless" not in judged(MEAN, np.ones(12)).change
    assert "unless" not in judged(DROP, np.zeros(1)).change
    assert "unless" not in judged(replace(DROP, evidence="conditional"), np.full(9, -0.3)).change
