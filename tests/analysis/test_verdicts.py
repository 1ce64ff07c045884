"""Claims and their verdicts: the truth table, what no data could meet, what would change it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.claim_bounds import claim_bounds
from auditor.analysis.criteria import Evidence, attainable, claim_text, judge, overall
from auditor.analysis.phantom import phantom_lower
from auditor.schema import ContractStatus, CriterionResult, CriterionSpec, Verdict

MEAN = CriterionSpec("C-01", "unet", "organ", "dsc", threshold=0.8)
DROP = CriterionSpec(
    "C-02",
    "unet",
    "organ",
    "dsc",
    perturbation="rician_noise",
    level=8.0,
    severity=3.0,
    unit="% of S_ref",
    form="mean_drop_at_most",
    threshold=0.1,
)
SHARE = CriterionSpec(
    "C-03",
    "unet",
    "organ",
    "dsc",
    form="share_of_patients_at_least",
    threshold=0.8,
    value_at_least=0.7,
)
NEAR = replace(SHARE, metric="hd95", value_at_least=None, value_at_most=5.0)


def judged(
    spec: CriterionSpec,
    values: object,
    *,
    contract: ContractStatus = ContractStatus.CONFIRMED,
    preview: bool = False,
    failed: int = 0,
) -> CriterionResult:
    evidence = Evidence(np.asarray(values, dtype=np.float64), failed, contract, preview)
    return judge(spec, evidence, level=0.95, seed=7)


def around(mean: float, n: int, spread: float = 0.05) -> np.ndarray:
    """Evenly spread values with exactly this mean."""
    return mean + np.linspace(-spread, spread, n)


def test_a_claim_is_written_from_its_fields() -> None:
    assert claim_text(MEAN) == "Mean DSC of organ by unet on clean scans is at least 0.8."
    assert claim_text(DROP) == (
        "Mean DSC of organ by unet under rician_noise at 8 % of S_ref falls by at most 0.1 from clean."
    )
    assert claim_text(SHARE) == (
        "At least 80 % of patients have DSC of organ by unet on clean scans of at least 0.7."
    )
    assert claim_text(replace(NEAR, stratum=("site", "north"))) == (
        "At least 80 % of patients have HD95 of organ by unet on clean scans in site north of at most 5."
    )


@pytest.mark.parametrize(
    ("spec", "values", "verdict"),
    [
        # assured means, phantom bounds at n = 60
        (MEAN, around(0.92, 60), Verdict.PASS),
        (MEAN, around(0.60, 60), Verdict.FAIL),
        (MEAN, around(0.81, 60), Verdict.INSUFFICIENT),
        (MEAN, np.ones(10), Verdict.NOT_ATTAINABLE),  # .05^(1/10) = .741 < .8
        (MEAN, np.zeros(10), Verdict.FAIL),  # few, but what they show is enough
        # conditional means, studentized bounds
        (replace(MEAN, evidence="conditional"), around(0.83, 20), Verdict.PASS_CONDITIONAL),
        (replace(MEAN, evidence="conditional"), around(0.77, 20), Verdict.FAIL),
        (replace(MEAN, evidence="conditional"), around(0.801, 20), Verdict.INSUFFICIENT),
        (replace(MEAN, evidence="conditional"), around(0.99, 9, 0.01), Verdict.NOT_ATTAINABLE),
        # a drop is a change for the worse, so a negative one is an improvement
        (DROP, around(0.00, 60, 0.02), Verdict.PASS),
        (DROP, around(0.40, 60), Verdict.FAIL),
        (DROP, around(0.09, 60), Verdict.INSUFFICIENT),
        (DROP, np.zeros(20), Verdict.NOT_ATTAINABLE),  # 1 - .05^(1/20) = .139 > .1
        (DROP, np.full(20, -0.5), Verdict.PASS),  # better than clean: met although no 0 could
        (replace(DROP, evidence="conditional"), around(0.05, 20), Verdict.PASS_CONDITIONAL),
        # shares: 28 of 30 -> lower .805; 27 of 30 -> .761; 18 of 30 -> upper .750
        (SHARE, [0.9] * 28 + [0.1] * 2, Verdict.PASS),
        (SHARE, [0.9] * 27 + [0.1] * 3, Verdict.INSUFFICIENT),
        (SHARE, [0.9] * 18 + [0.1] * 12, Verdict.FAIL),
        (SHARE, [0.9] * 13, Verdict.NOT_ATTAINABLE),  # .05^(1/13) = .794
        (SHARE, [0.7] * 14, Verdict.PASS),  # .05^(1/14) = .807; the value itself counts
        (NEAR, [5.0] * 14, Verdict.PASS),
        (NEAR, [np.inf] * 14, Verdict.FAIL),
        # one patient bounds nothing, none is not run
        (MEAN, [0.0], Verdict.NOT_ATTAINABLE),
        (SHARE, [0.0], Verdict.NOT_ATTAINABLE),
        (MEAN, [], Verdict.NOT_RUN),
    ],
)
def test_verdicts(spec: CriterionSpec, values: object, verdict: Verdict) -> None:
    assert judged(spec, values).verdict is verdict


def test_shares_are_bounded_by_clopper_pearson() -> None:
    result = judged(SHARE, [0.9] * 27 + [0.1] * 3)
    theirs = stats.binomtest(27, 30).proportion_ci(0.90, method="exact")
    assert result.estimate.value == pytest.approx(0.9)
    assert result.bound.value == pytest.approx(theirs.low)
    assert result.opposite.value == pytest.approx(theirs.high)
    assert (result.bound.side, result.bound.level, result.bound.n) == ("lower", 0.95, 30)


def test_a_drop_is_met_by_its_upper_bound() -> None:
    result = judged(DROP, around(0.0, 60, 0.02))
    assert (result.bound.side, result.opposite.side) == ("upper", "lower")
    assert result.opposite.value is not None
    assert result.bound.value is not None
    assert result.opposite.value < 0.0 < result.bound.value <= 0.1


@pytest.mark.parametrize("spec", [MEAN, DROP, SHARE])
def test_the_drop_or_value_that_just_cannot_be_assured_is_known_beforehand(
    spec: CriterionSpec,
) -> None:
    # .05^(1/n): 58 -> .9497, 59 -> .9505
    nearly = 0.95 if spec is not DROP else 0.05
    claim = replace(spec, threshold=nearly)
    assert not attainable(claim, 58, level=0.95)
    assert attainable(claim, 59, level=0.95)


def test_a_doubted_contract_turns_a_failure_but_nothing_else() -> None:
    doubt = ContractStatus.IN_DOUBT
    assert judged(MEAN, around(0.6, 60), contract=doubt).verdict is Verdict.CONTRACT_IN_DOUBT
    assert judged(MEAN, around(0.92, 60), contract=doubt).verdict is Verdict.PASS
    assert judged(MEAN, around(0.81, 60), contract=doubt).verdict is Verdict.INSUFFICIENT
    declared = ContractStatus.DECLARED_ONLY
    assert judged(MEAN, around(0.6, 60), contract=declared).verdict is Verdict.FAIL


def test_what_stands_behind_a_verdict_is_told() -> None:
    evidence = Evidence(np.full(20, 0.9), 2, ContractStatus.CONFIRMED, preview=False, left_out=3)
    spec = replace(MEAN, evidence="conditional")
    told = judge(spec, evidence, level=0.95, seed=7).change
    assert "All patients have the same value" in told
    assert "2 patient(s) without a value count at the worst value." in told
    assert "3 patient(s) are left out" in told


def test_a_preview_judges_nothing() -> None:
    result = judged(MEAN, around(0.92, 60), preview=True)
    assert result.verdict is Verdict.NOT_RUN
    assert result.estimate.value is result.bound.value is result.opposite.value is None
    assert "preview" in result.change


def test_few_patients_are_described_without_a_bound() -> None:
    result = judged(replace(MEAN, evidence="conditional"), [0.9] * 4)
    assert result.estimate.value == pytest.approx(0.9)
    assert result.bound.value is result.opposite.value is None
    assert result.needed_patients == 10
    assert "at least 10" in result.change


def test_what_is_needed_at_best_is_the_fewest_that_could_pass() -> None:
    # .05^(1/14) = .807 is the first above .8
    assert judged(MEAN, np.ones(10)).needed_patients == 14


def test_a_threshold_that_no_number_of_patients_reaches_says_so() -> None:
    result = judged(replace(MEAN, threshold=1.0), np.ones(40))
    assert (result.verdict, result.needed_patients) == (Verdict.NOT_ATTAINABLE, None)
    assert "no number of patients" in result.change


def test_about_how_many_patients_like_these_would_decide() -> None:
    # 27 of 30 is .9; a share of .9 first has a lower bound of .8 at about 36 to 45 patients
    result = judged(SHARE, [0.9] * 27 + [0.1] * 3)
    assert result.needed_patients is not None
    n = result.needed_patients
    assert 31 < n < 60
    reached = round(0.9 * n)
    assert stats.beta.ppf(0.05, reached, n - reached + 1) >= 0.8
    assert f"{n - 30} more" in result.change


def test_an_estimate_on_the_threshold_is_not_decided_by_more_patients() -> None:
    result = judged(MEAN, around(0.8, 20, 0.2))
    assert (result.verdict, result.needed_patients) == (Verdict.INSUFFICIENT, None)
    assert "close to the threshold" in result.change


def test_a_conditional_pass_names_the_failures_that_it_does_not_exclude() -> None:
    result = judged(replace(MEAN, evidence="conditional"), around(0.9, 20))
    assert "13.9 %" in result.change  # 1 - .05^(1/20)


@pytest.mark.parametrize("evidence", ["assured", "conditional"])
@pytest.mark.parametrize("form", [MEAN, SHARE])
def test_total_misses_never_improve_a_bound(evidence: str, form: CriterionSpec) -> None:
    spec = replace(form, evidence=evidence)  # type: ignore[arg-type]  # one of the two words
    values = np.random.default_rng(3).beta(12, 2, 40)
    before = judged(spec, values)
    for misses in (1, 4, 20, 40):
        missed = values.copy()
        missed[:misses] = 0.0
        after = judged(spec, missed, failed=misses)
        assert before.bound.value is not None
        assert after.bound.value is not None
        assert after.bound.value < before.bound.value
        assert f"{misses} patient(s) without a value" in after.change or misses == 0
        before = after


def test_a_resampled_bound_that_is_infinite_is_the_range_itself() -> None:
    # (9/10)^10 = 35 % of the draws hold only ones and have no spread
    result = judged(replace(MEAN, evidence="conditional"), [1.0] * 9 + [0.0])
    assert (result.bound.value, result.verdict) == (0.0, Verdict.INSUFFICIENT)
    fallen = judged(replace(DROP, evidence="conditional"), [0.0] * 9 + [1.0])
    assert (fallen.bound.value, fallen.verdict) == (1.0, Verdict.INSUFFICIENT)


def test_the_same_evidence_gives_the_same_result() -> None:
    values = np.random.default_rng(5).beta(9, 2, 25)
    assert judged(MEAN, values) == judged(MEAN, values)


def test_the_overall_verdict_is_the_weakest_required_one() -> None:
    good, bad = judged(MEAN, around(0.92, 60)), judged(MEAN, around(0.6, 60))
    conditional = judged(replace(MEAN, evidence="conditional"), around(0.9, 60))
    optional = replace(bad, required=False)

    def told(*results: CriterionResult, purpose: str = "confirmatory") -> str:
        return overall(results, purpose=purpose, preview=False)

    assert told(good, good) == "PASS: 2 of 2 declared claims supported"
    assert told(good, conditional) == "PASS (conditional): 2 of 2 declared claims supported"
    assert told(good, conditional, bad) == "FAIL: 2 of 3 declared claims supported"
    assert told(good, optional) == "PASS: 1 of 1 declared claims supported"
    assert told().startswith("EXPLORATORY")
    assert told(good, purpose="exploratory").startswith("EXPLORATORY")
    assert overall((good,), purpose="confirmatory", preview=True).startswith("PREVIEW")


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 60])
def test_a_false_assured_claim_passes_rarely(n: int) -> None:
    # a tenth of the patients fail: the mean is .9 * .9 = .81, the claim says .812; 150 audits at .95
    rng = np.random.default_rng(n)
    spec = replace(MEAN, threshold=0.812)
    cohorts = rng.beta(18, 2, (n, 150)) * (rng.uniform(size=(n, 150)) > 0.1)
    lower = phantom_lower(cohorts, level=0.95)
    # the bound that decides a verdict, for all cohorts together
    assert claim_bounds(spec, cohorts[:, 0], 0.95, 7).lower == pytest.approx(lower[0], abs=1e-9)
    passed = int((lower >= 0.812).sum())
    assert passed <= stats.binom.ppf(0.9999, 150, 0.05)
