"""Breakpoints: the fixed sequence by hand, what is attainable, and its size by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from rows_tables import NOISE, Cohort, evaluation, fail, rows_of, setup_of, table_of
from scipy import stats

from auditor.analysis import AnalysisSetup
from auditor.analysis.breakpoint import (
    Evidence,
    bounds_of,
    breakpoint_of,
    least_margin,
    patients_for,
    walk,
)
from auditor.analysis.envelope import envelope
from auditor.analysis.response import responses
from auditor.analysis.table import measurements, of_kind
from auditor.schema import EnvelopeRow, Record, Response, Row, StepVerdict

Floats = NDArray[np.float64]
S, U, V = StepVerdict.SUPPORTED, StepVerdict.UNDETERMINED, StepVerdict.VIOLATED
OUT, LATE, NONE = (
    StepVerdict.NOT_ATTAINABLE,
    StepVerdict.NOT_REACHED,
    StepVerdict.NOT_ASSESSED,
)


def steps(*pairs: tuple[float, float] | None, n: int = 60, claim: str = "drop") -> list[str]:
    counts = [0 if pair is None else n for pair in pairs]
    threshold = 0.1 if claim == "drop" else 0.8
    return [
        it.value
        for it in walk(claim, threshold, counts, pairs, level=0.95)  # type: ignore[arg-type]
    ]


def test_the_sequence_ends_at_the_first_severity_that_is_not_supported() -> None:
    # upper bounds .05 and .10 meet the margin .10, .11 does not; what comes after is not reached
    assert steps((0, 0.05), (0, 0.10), (0.02, 0.11), (0, 0.06)) == [S, S, U, LATE]
    # evidence of violation is told of each severity alone: its lower bound lies above the margin
    assert steps((0.0, 0.2), (0.101, 0.3), (0.05, 0.2)) == [U, V, U]
    assert steps((0.1, 0.2)) == [U]  # exactly at the margin is no violation


def test_a_severity_that_changes_no_scan_is_skipped_and_supports_nothing() -> None:
    assert steps(None, (0, 0.05), None, (0, 0.2)) == [NONE, S, NONE, U]
    assert steps(None, None) == [NONE, NONE]


def test_a_floor_is_met_from_above() -> None:
    assert steps((0.85, 0.95), (0.80, 0.9), (0.79, 0.9), (0.6, 0.79), claim="mean") == [S, S, U, V]


def test_few_patients_cannot_support_any_severity() -> None:
    # the phantom alone costs 1 - .05^(1/20) = .139, which is more than the margin
    assert least_margin(20, level=0.95) == pytest.approx(1 - 0.05 ** (1 / 20))
    assert steps((-0.2, 0.14), (0.0, 0.05), n=20) == [OUT, LATE]
    # scans that came out better than clean can meet it all the same, and a violation is one
    assert steps((-0.5, 0.09), n=20) == [S]
    assert steps((0.2, 0.4), n=20) == [V]
    assert steps((0.7, 0.95), n=9, claim="mean") == [OUT]
    assert walk("drop", 0.5, [1], [None], level=0.95) == (OUT,)


def test_the_needed_patients_are_the_fewest_that_attain_the_margin() -> None:
    for margin in (0.01, 0.05, 0.1, 0.139, 0.5, 0.9):
        n = patients_for(margin, level=0.95)
        assert least_margin(n, level=0.95) <= margin
        assert n == 2 or least_margin(n - 1, level=0.95) > margin
    assert (patients_for(0.1, level=0.95), patients_for(0.05, level=0.95)) == (29, 59)


def test_bounds_do_not_depend_on_which_samples_are_bounded_together() -> None:
    rng = np.random.default_rng(1)
    samples = [rng.uniform(-0.1, 0.3, n) for n in (12, 30, 12, 1, 0, 30)]
    together = bounds_of(samples, "drop", level=0.95)
    assert together[3] is None
    assert together[4] is None
    for sample, found in zip(samples, together, strict=True):
        (alone,) = bounds_of([sample], "drop", level=0.95)
        assert alone == (None if found is None else pytest.approx(found, abs=1e-9))
    # n perfect patients: mean at least .05^(1/n), drop at most 1 - .05^(1/n)
    (perfect,) = bounds_of([np.ones(30)], "mean", level=0.95)
    (flat,) = bounds_of([np.zeros(30)], "drop", level=0.95)
    assert perfect is not None
    assert flat is not None
    assert perfect[0] == pytest.approx(0.05 ** (1 / 30))
    assert flat[1] == pytest.approx(1 - 0.05 ** (1 / 30))


def test_a_breakpoint_tells_the_last_supported_and_the_first_violated_severity() -> None:
    bounds = [(0.0, 0.04), (0.01, 0.09), (0.05, 0.2), (0.12, 0.3), (0.2, 0.5)]
    evidence = [Evidence(float(i + 1), 3.0 * (i + 1), np.full(60, 0.02), 0, 0) for i in range(5)]
    found = breakpoint_of("drop", 0.1, evidence, bounds, level=0.95)
    assert (found.supported, found.supported_level) == (2.0, 6.0)
    assert (found.violated, found.violated_level) == (4.0, 12.0)
    assert [it.verdict for it in found.steps] == [S, S, U, V, V]
    assert found.status is S
    assert found.steps[0].upper.value == 0.04
    assert found.steps[0].upper.side == "upper"


LEVELS = (0.0, 1.0, 2.0, 4.0)


def audit(
    drops: tuple[float, float, float],
    *,
    patients: int = 60,
    margin: float | None = 0.10,
    floor: float | None = None,
    preview: bool = False,
    hurt: str = "",
    where: float = 0.0,
    few: int = 0,
) -> tuple[Response, EnvelopeRow]:
    """Summarise patients at DSC .9 who all lose the same; the first `few` end as `hurt` at a severity."""
    cohort = Cohort(patients=patients, systems=("only",), perturbations=(NOISE,))
    rows: list[Row] = []
    lost = dict(zip(LEVELS, (0.0, *drops), strict=True))
    for row in rows_of(cohort):
        if row.record == "scan":
            rows.append(row)
        if row.record == "evaluation" and row.system == "only":
            place = replace(row, record="scan", status="ok", label=None, reference=None)
            rows += evaluation(place, {"dsc": 0.9 - lost[row.severity], "hd95": 3.0})
    if hurt:
        for record in cohort.cases[:few]:
            rows = fail(rows, hurt, system="only", case=record.case, severity=where)
    setup = replace(setup_of(cohort, preview=preview), response_margin=margin, response_floor=floor)
    return read(rows, setup)


def read(rows: list[Row], setup: AnalysisSetup) -> tuple[Response, EnvelopeRow]:
    """Response of the only system, and its row of the envelope."""
    measured = of_kind(table_of(rows), Record.MEASUREMENT)
    found = responses(measurements(measured, setup.names), setup)
    (axis,) = envelope(found, setup)
    return found[0], axis


def test_what_is_supported_is_told_in_severity_and_level() -> None:
    # 60 patients without any drop: .0487 more than the drop itself is what the phantom costs
    response, row = audit((0.01, 0.04, 0.20))
    (found,) = response.breakpoints
    assert [it.verdict for it in found.steps] == [S, S, V]
    assert found.steps[0].upper.value is not None
    assert 0.01 < found.steps[0].upper.value <= 0.01 + least_margin(60, level=0.95)
    assert (row.supported, row.supported_level, row.unit) == (2.0, 6.0, "% of S_ref")
    assert (row.degraded, row.degraded_level) == (4.0, 20.0)
    assert (row.tested, row.tested_level, row.n) == (4.0, 20.0, 60)
    assert row.claims == (("drop", 0.10),)
    assert row.status is S


def test_nothing_is_assessed_without_a_margin_or_in_a_preview() -> None:
    for response, row in (
        audit((0.0, 0.0, 0.0), margin=None),
        audit((0.0, 0.0, 0.0), preview=True),
    ):
        assert row.status is NONE
        assert row.claims == ()
        assert response.breakpoints == ()
    assert "preview" in row.note
    assert "no margin was declared" in audit((0.0, 0.0, 0.0), margin=None)[1].note


def test_twenty_patients_cannot_support_a_margin_of_ten_points() -> None:
    _, row = audit((0.0, 0.0, 0.0), patients=20)
    assert (row.status, row.supported, row.degraded) == (OUT, None, None)
    assert (
        row.note
        == "with 20 patient(s) of whom none gains, no margin below 0.139 can be met (declared: 0.1)"
    )


def test_failures_count_at_the_worst_value_and_are_told() -> None:
    # 6 of 60 crash at severity 2: their drop is .9, and the mean drop .01 * .9 + .9 * .1 = .099
    response, row = audit((0.01, 0.01, 0.01), hurt="crashed", where=2.0, few=6)
    (found,) = response.breakpoints
    assert found.steps[1].failed == 6
    assert found.steps[1].estimate.value == pytest.approx(0.9 * 0.01 + 0.1 * 0.9)
    assert [it.verdict for it in found.steps] == [S, U, LATE]
    assert (row.supported, row.degraded) == (1.0, None)


def test_a_failure_on_the_clean_scan_does_not_look_like_an_improvement() -> None:
    # at the worst value there, the drop of six patients would be -.9; at the best one it is .1 + .01
    response, _ = audit((0.01, 0.01, 0.01), hurt="crashed", where=0.0, few=6)
    (found,) = response.breakpoints
    assert found.steps[0].estimate.value == pytest.approx(0.9 * 0.01 + 0.1 * 0.11)
    assert found.steps[0].failed == 6


def test_scans_that_a_level_does_not_change_support_nothing() -> None:
    response, row = audit((0.0, 0.01, 0.01), hurt="no_effect", where=1.0, few=60)
    (found,) = response.breakpoints
    assert [it.verdict for it in found.steps] == [NONE, S, S]
    assert found.steps[0].estimate.n == 0
    assert row.supported == 4.0
    # severity 1 is not in the curve either, and the patients of it are all there
    assert [it.severity for it in response.points] == [0.0, 2.0, 4.0]
    assert (response.n, response.left_out) == (60, 0)
    # where it changes ten scans only, ten patients decide, and cannot
    response, row = audit((0.0, 0.01, 0.01), hurt="no_effect", where=1.0, few=50)
    (found,) = response.breakpoints
    assert (found.steps[0].estimate.n, found.steps[0].left_out) == (10, 50)
    assert row.status is OUT
    assert (response.n, response.left_out) == (10, 50)


def test_an_axis_that_changes_no_scan_at_all_is_not_assessed() -> None:
    cohort = Cohort(patients=30, systems=("only",), perturbations=(NOISE,))
    rows = rows_of(cohort)
    for severity in LEVELS[1:]:
        rows = fail(rows, "no_effect", system="only", severity=severity)
    setup = replace(setup_of(cohort), response_margin=0.1)
    response, row = read(rows, setup)
    assert (row.status, row.tested, row.supported, row.degraded) == (NONE, None, None, None)
    assert (response.status, response.points) == ("not_assessable", ())
    assert "no level changes" in response.note


def test_both_limits_must_hold_and_the_first_violation_of_either_counts() -> None:
    # drops .01 .02 .05 hold the margin; means .89 .88 .85 hold .8 with 60 patients up to about .05
    _, row = audit((0.01, 0.02, 0.20), margin=0.5, floor=0.82)
    assert row.claims == (("drop", 0.5), ("mean", 0.82))
    assert (row.supported, row.degraded) == (2.0, 4.0)
    # drops of .3 break the margin at severity 2, a mean of .3 the floor at 4: the first of both counts
    _, row = audit((0.01, 0.3, 0.6), margin=0.1, floor=0.5)
    assert (row.supported, row.degraded) == (1.0, 2.0)
    # a floor that even clean scans miss: nothing is supported, and clean is where it begins
    _, row = audit((0.01, 0.02, 0.03), floor=0.95)
    assert (row.supported, row.degraded, row.status) == (None, 0.0, V)
    assert row.degraded_level is None
    # a floor that clean scans hold and severity 1 does not: nothing beyond clean
    _, row = audit((0.2, 0.2, 0.2), margin=None, floor=0.8)
    assert (row.supported, row.degraded, row.status) == (None, 1.0, V)


COLLAPSE, REST, SPREAD, RATE = 0.85, 0.0745, 0.03, 0.02
"""Rare new failures: 2 of 100 patients lose .85, the others about .0745; on average .02 * .85 + .98 *
.0745 = .09001."""


def rare_failures(rng: np.random.Generator, n: int, draws: int) -> Floats:
    hit = rng.uniform(size=(draws, n)) < RATE
    return np.where(hit, COLLAPSE, np.clip(rng.normal(REST, SPREAD, (draws, n)), -1, 1))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "draws"), [(20, 400), (60, 300), (120, 200)])
def test_a_limit_that_is_just_broken_is_rarely_supported(n: int, draws: int) -> None:
    margin = RATE * COLLAPSE + (1 - RATE) * REST  # the true mean drop: support would be wrong
    samples = list(rare_failures(np.random.default_rng(n), n, draws))
    upper = np.array([pair[1] for pair in bounds_of(samples, "drop", level=0.95) if pair])
    wrong = int((upper <= margin).sum())
    # a test of size .05 supports so many or fewer in 999 of 1000 simulations (binomial)
    assert wrong <= stats.binom.ppf(0.999, draws, 0.05)
    if n == 60:  # the resampled bound, which this one replaces, does so far more often
        means, spread = np.mean(samples, axis=1), np.std(samples, axis=1, ddof=1)
        t_bound = means + stats.t.ppf(0.95, n - 1) * spread / np.sqrt(n)
        assert (t_bound <= margin).sum() > stats.binom.ppf(0.999, draws, 0.05)
