"""The alternative annotator test: shares, adjustment, raters without a name."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.annotator_test import annotator_test, case_stand_in, holm
from auditor.analysis.intervals import clopper_pearson
from auditor.schema import AnnotatorTest, decode, encode

NAMES = ("rater_1", "rater_2", "rater_3")


def scores(*held: int, n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """A system that stands in for rater r on the first held[r] of n patients."""
    raters = np.full((n, len(held)), 0.8)
    model = np.stack([np.where(np.arange(n) < k, 0.9, 0.7) for k in held], axis=1)
    return model, raters


def test_system_and_rater_are_both_scored_with_the_other_raters() -> None:
    between = [[1.0, 0.9, 0.7], [0.9, 1.0, 0.8], [0.7, 0.8, 1.0]]
    own, others = case_stand_in([0.85, 0.9, 0.8], between)
    assert own == pytest.approx((0.85, 0.825, 0.875))
    assert others == pytest.approx((0.8, 0.85, 0.75))


def test_each_rater_has_his_share_and_all_are_adjusted_together() -> None:
    found = annotator_test(*scores(36, 30, 22), least=0.5, level=0.95, names=NAMES)
    raw = [float(stats.binomtest(k, 40, 0.5, alternative="greater").pvalue) for k in (36, 30, 22)]
    assert [it.p_value for it in found.positions] == pytest.approx(holm(raw))
    assert [it.passed for it in found.positions] == [True, True, False]
    assert [it.share.value for it in found.positions] == [0.9, 0.75, 0.55]
    low, high = clopper_pearson(30, 40, level=0.95)
    assert (found.positions[1].share.low, found.positions[1].share.high) == (low, high)
    assert found.positions[1].share.method == "Clopper-Pearson"
    assert (found.verdict, found.pooled) == ("for some raters", False)
    assert decode(encode(found), AnnotatorTest) == found


def test_verdict_is_about_all_raters() -> None:
    def verdict(*held: int) -> str:
        return annotator_test(*scores(*held), least=0.5, level=0.95, names=NAMES).verdict

    assert verdict(36, 36, 36) == "for every rater"
    assert verdict(20, 20, 20) == "for no rater"


def test_a_tie_stands_in() -> None:
    same = np.full((40, 2), 0.8)
    shaken = same.copy()
    shaken[:, 0] -= 1e-16  # the last bit of a sum in another order
    found = annotator_test(shaken, same, least=0.5, level=0.95, names=NAMES[:2])
    assert [it.share.value for it in found.positions] == [1.0, 1.0]


def test_a_rater_who_did_not_see_a_patient_is_not_asked() -> None:
    model, raters = scores(36, 30)
    model[30:, 0] = raters[30:, 0] = np.nan
    model[4:, 1] = raters[4:, 1] = np.nan
    found = annotator_test(model, raters, least=0.5, level=0.95, names=NAMES[:2])
    first, second = found.positions
    assert (first.share.n, first.share.value) == (30, 1.0)
    # alone in the family: nothing to adjust for
    assert first.p_value == pytest.approx(0.5**30)
    assert (second.share.n, second.share.status, second.p_value, second.passed) == (
        4, "too_few", None, False,
    )  # fmt: skip
    assert found.verdict == "for some raters"


def test_raters_without_a_name_are_pooled_by_patient() -> None:
    found = annotator_test(*scores(40, 20), least=0.5, level=0.95, names=None)
    [position] = found.positions
    assert (position.rater, position.p_value, found.pooled) == ("any", None, True)
    # 20 patients of 1 and 20 of .5, not 60 of 80 independent answers
    assert (position.share.value, position.share.n) == (0.75, 40)
    assert position.share.method == "phantom bound"
    assert position.share.low is not None
    assert position.share.low < 0.75


def test_pooled_bound_of_patients_of_one_mind_is_that_of_clopper_and_pearson() -> None:
    [position] = annotator_test(*scores(30, 30, 30), least=0.5, level=0.95, names=None).positions
    assert (position.share.low, position.share.high) == pytest.approx(
        clopper_pearson(30, 40, level=0.95), abs=1e-6
    )


def test_few_patients_are_not_tested() -> None:
    for names in (NAMES[:2], None):
        found = annotator_test(*scores(9, 9, n=9), least=0.5, level=0.95, names=names)
        assert found.verdict == "too few patients"
        assert not any(it.passed for it in found.positions)
    nobody = np.empty((0, 2))
    assert (
        annotator_test(nobody, nobody, least=0.5, level=0.95, names=None).verdict
        == "too few patients"
    )


def test_holm_against_published_values() -> None:
    # statsmodels multipletests(method="holm"): .03 .06 .06 .02
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    for order in itertools.permutations([0.01, 0.04, 0.03, 0.005]):
        assert sorted(holm(order)) == pytest.approx([0.02, 0.03, 0.06, 0.06])


def test_what_cannot_be_tested_is_refused() -> None:
    model, raters = scores(30, 30)
    hole = model.copy()
    hole[0, 0] = np.nan
    for bad in (hole, model[:5], model[:, 0]):
        with pytest.raises(ValueError, match="with the same patients missing"):
            annotator_test(bad, raters, least=0.5, level=0.95, names=None)
    with pytest.raises(ValueError, match="one for each of the 2 columns, got 3"):
        annotator_test(model, raters, least=0.5, level=0.95, names=NAMES)
    for least, level in ((0.0, 0.95), (1.0, 0.95), (0.5, 0.5), (0.5, 95.0)):
        with pytest.raises(ValueError, match=r"least must lie in \(0, 1\)"):
            annotator_test(model, raters, least=least, level=level, names=None)
    with pytest.raises(ValueError, match="must be"):
        case_stand_in([0.9], [[1.0]])
    with pytest.raises(ValueError, match="numbers off the diagonal, got None"):
        case_stand_in([0.9, 0.8], [[None, None], [None, None]])


def test_chance_of_any_false_pass_is_bounded() -> None:
    # Four raters whom the system stands in for on half of the patients: exactly what must be exceeded.
    rng = np.random.default_rng(1979)
    cohorts, false = 400, 0
    for _ in range(cohorts):
        model = 0.8 + np.where(rng.random((40, 4)) < 0.5, 0.1, -0.1)
        found = annotator_test(model, np.full((40, 4), 0.8), least=0.5, level=0.95, names="abcd")
        false += found.verdict != "for no rater"
    # at most .05 by Holm; P(Bin(400, .05) > 38) < .0002
    assert false <= 38


def test_raters_without_a_name_pass_by_the_one_sided_bound_and_show_the_two_sided() -> None:
    """Ten patients, all held: a phantom leaves (1 - level)^(1/10), .741 one-sided and .691 two-sided."""
    model, raters = np.full((10, 2), 0.9), np.full((10, 2), 0.8)
    for least, passed in ((0.74, True), (0.75, False)):
        [found] = annotator_test(model, raters, least=least, level=0.95, names=None).positions
        assert found.passed is passed
        assert found.share.low == pytest.approx(0.025**0.1)
