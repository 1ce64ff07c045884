"""Severity-response: curve, band, area and the monotone reading, by hand and by law."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from rows_tables import NOISE, Cohort, fail, rows_of, setup_of, table_of
from scipy.optimize import isotonic_regression

from auditor.analysis import AnalysisSetup, summarise
from auditor.analysis.intervals import bootstrap_weights
from auditor.analysis.monotone import falling, largest_rise, passing, passing_estimate
from auditor.analysis.response import main_metric, responses, trapezoid
from auditor.analysis.table import measurements, of_kind
from auditor.schema import Record, Response, Row

Floats = NDArray[np.float64]


def array(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)


def test_neighbours_that_rise_are_pooled_as_by_hand() -> None:
    # .4 .6 pool to .5, and .7 with them to (.4 + .6 + .7) / 3 = .5667; .8 before them stays
    assert falling(array(0.8, 0.4, 0.6, 0.7, 0.2)[None])[0] == pytest.approx(
        [0.8, 1.7 / 3, 1.7 / 3, 1.7 / 3, 0.2]
    )
    assert falling(array(0.1, 0.2, 0.3)[None])[0] == pytest.approx([0.2, 0.2, 0.2])
    assert falling(array(0.3, 0.2, 0.2)[None])[0] == pytest.approx([0.3, 0.2, 0.2])


def test_many_curves_at_once_agree_with_the_reference_implementation() -> None:
    curves = np.random.default_rng(3).normal(size=(300, 6)).cumsum(axis=1)
    fitted = falling(curves)
    for curve, fit in zip(curves, fitted, strict=True):
        assert fit == pytest.approx(isotonic_regression(curve, increasing=False).x, abs=1e-12)
    assert (np.diff(fitted, axis=1) <= 1e-12).all()
    assert fitted.sum(axis=1) == pytest.approx(curves.sum(axis=1))


def test_a_falling_curve_passes_a_limit_between_two_severities() -> None:
    severities = array(0, 1, 3)
    fitted = np.array([[0.9, 0.8, 0.6], [0.9, 0.9, 0.9], [0.5, 0.4, 0.4], [0.9, 0.7, 0.7]])
    # .75 lies a quarter of the way from .8 at 1 to .6 at 3; the last one passes it 3/4 of the way to 1
    assert passing(severities, fitted, 0.75).tolist() == pytest.approx(
        [1.5, math.inf, -math.inf, 0.75]
    )
    # exactly on the limit is not below it
    assert passing(severities, fitted[:1], 0.6).tolist() == [math.inf]
    assert passing(severities, fitted[:1], 0.8).tolist() == [1.0]


def test_the_crossing_has_an_interval_and_says_where_it_has_none() -> None:
    rng = np.random.default_rng(5)
    values = array(0.9, 0.8, 0.6, 0.3) + rng.normal(0, 0.03, (40, 4))
    weights = bootstrap_weights(40, 1)
    found = passing_estimate(array(0, 1, 2, 3), values, weights, 0.7, level=0.95)
    assert found.value == pytest.approx(1.5, abs=0.1)
    assert found.low is not None
    assert found.high is not None
    assert 1.3 < found.low < (found.value or 0) < found.high < 1.7
    never = passing_estimate(array(0, 1, 2, 3), values, weights, 0.1, level=0.95)
    assert (never.value, never.side) == (None, "none")
    assert never.note == "at no tested severity"
    always = passing_estimate(array(0, 1, 2, 3), values, weights, 0.99, level=0.95)
    assert "every severity, clean among them" in always.note
    # near the end: some draws do not pass any more, so the upper end is open
    last = float(values[:, 3].mean()) + 0.001
    end = passing_estimate(array(0, 1, 2, 3), values, weights, last, level=0.95)
    assert end.value is not None
    assert end.high is None


def test_a_rise_is_told_only_where_it_is_beyond_chance() -> None:
    rng = np.random.default_rng(6)
    weights = bootstrap_weights(40, 1)
    flat = array(0.8, 0.8, 0.8) + rng.normal(0, 0.05, (40, 3))
    rise = largest_rise(flat, weights, level=0.95)
    assert rise.low is not None
    assert rise.low <= 0
    up = largest_rise(array(0.7, 0.8, 0.75) + rng.normal(0, 0.02, (40, 3)), weights, level=0.95)
    assert up.value == pytest.approx(0.1, abs=0.02)
    assert up.low is not None
    assert up.low > 0
    few = largest_rise(flat[:9], bootstrap_weights(9, 1), level=0.95)
    assert (few.status, few.low) == ("too_few", None)


def test_the_weights_of_an_area_are_those_of_the_trapezoid() -> None:
    assert trapezoid(array(0, 1, 2, 3, 4, 5)).tolist() == pytest.approx(
        [0.1, 0.2, 0.2, 0.2, 0.2, 0.1]
    )
    # unequal steps 1 and 3: weights .5, (1 + 3) / 2, 1.5 over 4
    assert trapezoid(array(0, 1, 4)).tolist() == pytest.approx([0.125, 0.5, 0.375])
    curve = array(0.9, 0.7, 0.5, 0.4)
    x = array(0, 1, 3, 5)
    assert curve @ trapezoid(x) == pytest.approx(np.trapezoid(curve, x) / 5)


def respond(cohort: Cohort, *, lost: dict[float, list[int]] | None = None) -> Response:
    """Response of the first system to noise; `lost`: severity -> cases without effect there."""
    rows = rows_of(cohort)
    for severity, cases in (lost or {}).items():
        for case in cases:
            rows = fail(rows, "no_effect", case=cohort.cases[case].case, severity=severity)
    setup = replace(setup_of(cohort), response_margin=0.1, response_floor=0.85)
    return read(rows, setup)


def read(rows: list[Row], setup: AnalysisSetup) -> Response:
    measured = of_kind(table_of(rows), Record.MEASUREMENT)
    return responses(measurements(measured, setup.names), setup)[0]


ONE = Cohort(patients=30, systems=("only",), perturbations=(NOISE,))


def test_a_curve_agrees_with_the_summaries_of_the_same_patients() -> None:
    results = summarise(table_of(rows_of(ONE)), setup=setup_of(ONE))
    (response,) = results.responses
    assert [it.severity for it in response.points] == [0.0, 1.0, 2.0, 4.0]
    for point in response.points:
        (row,) = (
            it
            for it in results.summaries
            if (it.severity, it.metric, it.axis) == (point.severity, "dsc", "all")
        )
        assert (point.mean.value, point.mean.low, point.mean.high) == pytest.approx(
            (row.mean.value, row.mean.low, row.mean.high)
        )
        if point.severity:
            assert (point.drop.value, point.drop.low) == pytest.approx(
                (row.drop.value, row.drop.low)
            )
    # what holds at all severities at once holds what holds at one
    for point in response.points:
        assert None not in (point.band.low, point.band.high, point.mean.low, point.mean.high)
        assert (point.band.low or 0) <= (point.mean.low or 0) < (point.mean.value or 0)
        assert (point.band.high or 0) >= (point.mean.high or 0) > (point.mean.value or 0)
    assert "max-T" in response.points[1].band.method


def test_area_and_its_share_of_clean_are_ratios_of_means() -> None:
    response = respond(ONE)
    means = np.array([it.mean.value for it in response.points])
    severities = np.array([it.severity for it in response.points])
    area = np.trapezoid(means, severities) / 4
    assert response.area.value == pytest.approx(area)
    assert response.relative_area.value == pytest.approx(area / means[0])
    for estimate in (response.area, response.relative_area):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low < (estimate.value or 0) < estimate.high
    # patients differ far more than their share of clean does: pairing shows
    whole = (response.area.high or 0) - (response.area.low or 0)
    assert (response.relative_area.high or 0) - (response.relative_area.low or 0) < whole / 2


def test_cases_without_a_number_at_a_severity_leave_the_curve_and_are_counted() -> None:
    response = respond(ONE, lost={1.0: [0, 1, 2], 2.0: [2, 3]})
    assert (response.n, response.left_out) == (26, 4)
    assert {it.mean.n for it in response.points} == {26}
    # the breakpoint takes what each severity has
    assert [it.estimate.n for it in response.breakpoints[0].steps] == [27, 28, 30]
    assert [it.left_out for it in response.breakpoints[0].steps] == [3, 2, 0]


def test_two_cases_of_a_patient_are_one_number() -> None:
    cohort = replace(ONE, patients=12, cases_per_patient=2)
    response = respond(cohort, lost={1.0: [0]})
    # the first patient keeps its other case
    assert (response.n, response.left_out) == (12, 0)


def test_few_patients_are_described_and_one_is_bounded_by_nothing() -> None:
    few = respond(replace(ONE, patients=6))
    assert few.status == "too_few"
    assert {it.mean.side for it in few.points} == {"none"}
    assert (few.area.status, few.relative_area.status) == ("too_few", "too_few")
    assert few.monotone == ()
    assert few.crossings[0].at.value is None
    one = respond(replace(ONE, patients=1, cases_per_patient=3))
    assert one.n == 1
    assert one.breakpoints[0].steps[0].upper.value is None
    assert one.breakpoints[0].status.value == "not attainable"


def test_the_limits_are_passed_where_the_fit_says() -> None:
    response = respond(ONE)
    assert [(it.claim, it.threshold) for it in response.crossings] == [
        ("drop", 0.1),
        ("mean", 0.85),
    ]
    fit = dict(response.monotone)
    assert fit[0.0] >= fit[1.0] >= fit[2.0] >= fit[4.0]


def test_a_response_that_rises_has_no_falling_fit() -> None:
    cohort = replace(ONE, patients=30)
    rows = [
        replace(row, value=min(0.999, row.value + 0.06 * row.severity))
        if row.record == "measurement" and row.metric == "dsc" and row.system == "only"
        and row.value is not None else row
        for row in rows_of(cohort)
    ]  # fmt: skip
    setup = replace(setup_of(cohort), response_margin=0.1)
    response = read(rows, setup)
    assert (response.status, response.monotone) == ("rises", ())
    assert "rises" in response.crossings[0].at.note
    assert response.breakpoints[0].supported == 4.0  # what is assured needs no falling curve


def test_without_a_share_of_overlap_there_is_no_response() -> None:
    setup = setup_of(ONE)
    distance = replace(setup, metrics=(setup.metrics[1],))
    assert main_metric(distance) is None
    nsd = replace(setup.metrics[0], name="nsd")
    assert main_metric(replace(setup, metrics=(nsd, setup.metrics[1]))) == nsd
    assert main_metric(replace(setup, metrics=(nsd, setup.metrics[0]))) == setup.metrics[0]
