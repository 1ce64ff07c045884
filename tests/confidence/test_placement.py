"""Placing scans on the axes of a run, by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.confidence import BINS, axis_of, hidden_up_to, place, severity_bin
from auditor.schema.site import Placement, SeverityAxis, Side

LEVELS = {0.0: 0.0, 1.0: 3.0, 2.0: 6.0, 3.0: 9.0}


def axis(axes: int = 1) -> SeverityAxis:
    """Five clean scans of 2 to 4 %; added levels raise the estimates."""
    return axis_of(
        "gaussian_noise",
        "% of S_ref",
        LEVELS,
        {
            0.0: [2.0, 2.5, 3.0, 3.5, 4.0],
            1.0: [4.0, 4.5, 5.0, 5.5, 6.0],
            2.0: [6.5, 7.0, 7.5, 8.0, 8.5],
            3.0: [9.0, 9.5, 10.0, 10.5, 11.0],
        },
        axes=axes,
    )


def test_the_table_holds_medians_and_extremes_of_few_scans() -> None:
    made = axis()
    assert made.median == (3.0, 5.0, 7.5, 10.0)
    assert made.low == (2.0, 4.0, 6.5, 9.0)
    assert made.high == (4.0, 6.0, 8.5, 11.0)
    assert (made.n, made.levels, made.usable) == (5, (0.0, 3.0, 6.0, 9.0), True)


@pytest.mark.parametrize("estimate", [2.0, 3.0, 4.0])
def test_what_clean_test_scans_have_is_severity_0(estimate: float) -> None:
    found = place(axis(), estimate)
    assert (found.side, found.severity, found.low) == (Side.WITHIN, 0.0, 0.0)
    assert severity_bin(found) == "0"


def test_a_noisier_scan_lies_where_the_median_equals_its_estimate() -> None:
    # 6.25 is half way between the medians 5.0 (severity 1) and 7.5 (severity 2); the upper limits reach
    # 6.25 a tenth of the way from 6.0 to 8.5, the lower ones nine tenths of the way from 4.0 to 6.5
    found = place(axis(), 6.25)
    assert (found.side, found.severity) == (Side.WITHIN, 1.5)
    assert found.low == pytest.approx(1.1)
    assert found.high == pytest.approx(1.9)
    assert severity_bin(found) == "1-2"


def test_a_cleaner_scan_counts_as_severity_0_and_is_said_to_be_cleaner() -> None:
    found = place(axis(), 1.0)
    assert (found.side, found.severity, severity_bin(found)) == (Side.CLEANER, 0.0, "cleaner")


def test_beyond_the_highest_severity_nothing_is_placed() -> None:
    found = place(axis(), 11.5)
    assert (found.side, found.severity, found.high) == (Side.BEYOND, None, None)
    assert severity_bin(found) == "beyond"
    # between the highest median and what scans have there it still is the highest severity
    edge = place(axis(), 10.8)
    assert (edge.side, edge.severity, severity_bin(edge)) == (Side.WITHIN, 3.0, "2-3")


def test_an_undefined_estimate_is_a_status_with_its_reason() -> None:
    found = place(axis(), None, "a constant image")
    assert (found.side, found.severity, found.reason) == (Side.UNDEFINED, None, "a constant image")


def test_an_axis_along_which_the_estimate_does_not_rise_places_nothing() -> None:
    blind = axis_of(
        "bias_field", "% INU", LEVELS, {s: [20.0, 30.0, 40.0] for s in (0.0, 1.0)}, axes=1
    )
    assert not blind.usable
    found = place(blind, 30.0)
    assert found.side is Side.UNDEFINED
    assert "does not exceed what its clean scans have (up to 40)" in found.reason


def test_medians_that_fall_by_chance_are_made_to_rise() -> None:
    made = axis_of(
        "gaussian_blur",
        "mm",
        LEVELS,
        {0.0: [2.0], 1.0: [5.0], 2.0: [4.0], 3.0: [8.0]},
        axes=1,
    )
    assert made.median == (2.0, 5.0, 5.0, 8.0)
    # 5.0 is first reached at severity 1
    assert place(made, 5.0).severity == 1.0


@pytest.mark.parametrize("axes", [1, 4])
def test_a_clean_test_set_lies_at_severity_0_on_all_axes_together(axes: int) -> None:
    # the limit of each axis leaves at most 5 % / axes of the clean scans above it
    rng = np.random.default_rng(5)
    clean = rng.gamma(4.0, 1.0, (200, axes))
    tables = [
        axis_of(
            "gaussian_noise",
            "%",
            {0.0: 0.0, 5.0: 25.0},
            {0.0: list(clean[:, k]), 5.0: list(np.hypot(clean[:, k], 25.0))},
            axes=axes,
        )
        for k in range(axes)
    ]
    zero = [
        all(place(table, row[k]).severity == 0.0 for k, table in enumerate(tables)) for row in clean
    ]
    assert np.mean(zero) >= 0.95


def test_what_the_spread_of_the_test_set_hides_is_told() -> None:
    # clean scans reach 4.0, half way between the medians 3.0 (severity 0) and 5.0 (severity 1)
    assert hidden_up_to(axis()) == 0.5
    mixed = axis_of(
        "gaussian_noise", "%", LEVELS,
        {0.0: [2.0, 3.0, 8.0], 1.0: [4.0, 5.0, 9.0], 2.0: [6.0, 7.0, 10.0], 3.0: [8.0, 9.0, 12.0]},
        axes=1,
    )  # fmt: skip
    # one noisy clean scan of 8.0: half way between 7.0 (severity 2) and 9.0 (severity 3)
    assert hidden_up_to(mixed) == 2.5
    assert place(mixed, 7.9).severity == 0.0


def test_every_bin_has_a_name() -> None:
    for severity, name in ((0.0, "0"), (0.2, "0-1"), (1.0, "0-1"), (1.01, "1-2"), (5.0, "4-5")):
        found = severity_bin(Placement("x", 1.0, Side.WITHIN, severity, 0.0, 5.0))
        assert found == name
        assert found in BINS
