"""Bins of noise and the gate at their end, by hand on a table of five scans a severity."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.confidence import axis_of
from auditor.confidence.noise_bins import (
    BEYOND,
    UNDEFINED,
    bin_names,
    bins_of,
    gate,
    scores_by_bin,
)
from auditor.schema.site import SeverityAxis

NAN = float("nan")


@pytest.fixture
def axis() -> SeverityAxis:
    """Clean scans of 2 to 4 %; medians 3, 5, 7.5, 10."""
    estimates = {
        0.0: [2.0, 2.5, 3.0, 3.5, 4.0],
        1.0: [4.0, 4.5, 5.0, 5.5, 6.0],
        2.0: [6.5, 7.0, 7.5, 8.0, 8.5],
        3.0: [9.0, 9.5, 10.0, 10.5, 11.0],
    }
    return axis_of("gaussian_noise", "%", {s: 3.0 * s for s in estimates}, estimates, axes=1)


def test_bins_run_to_the_highest_severity(axis: SeverityAxis) -> None:
    assert bin_names(axis) == ("0", "0-1", "1-2", "2-3")


@pytest.mark.parametrize(
    ("estimate", "state", "name"),
    [
        (1.0, "inside", "0"),  # cleaner than the clean scans: their bin
        (4.0, "inside", "0"),  # the noisiest clean scan
        (4.5, "inside", "0-1"),
        (5.0, "inside", "0-1"),  # the median of severity 1: a bin holds its upper end
        (5.1, "inside", "1-2"),
        (10.0, "inside", "2-3"),
        (11.0, "inside", "2-3"),  # the noisiest scan of severity 3
        (11.1, "beyond", "beyond"),
        (None, "undefined", "undefined"),
    ],
)
def test_a_scan_lies_in_a_bin_or_outside(
    axis: SeverityAxis, estimate: float | None, state: str, name: str
) -> None:
    found = gate(axis, estimate, "" if estimate else "no background")
    assert (found.state, found.name) == (state, name)
    assert (found.bin is None) == (state != "inside")
    if state == "undefined":
        assert found.placement.reason == "no background"


def test_calibration_scans_give_one_score_per_patient_and_bin(axis: SeverityAxis) -> None:
    # rows: patients, columns: the clean scan and one of severities 1 and 3
    estimates = np.array([[3.0, 4.8, 9.0], [3.5, 3.9, 12.0], [NAN, 5.0, 10.0]])
    bins = bins_of(axis, estimates)
    assert bins.tolist() == [[0, 1, 3], [0, 0, BEYOND], [UNDEFINED, 1, 3]]
    scores = np.array([[0.9, 0.8, 0.5], [0.9, 0.7, 0.1], [0.9, 0.6, NAN]])
    patients = np.repeat(np.arange(3)[:, None], 3, axis=1)
    found = scores_by_bin(axis, bins, scores, patients)
    # the second patient has two scans in bin 0: the worse counts; the third has no score in bin 2-3
    assert [it.tolist() for it in found] == [[0.9, 0.7], [0.8, 0.6], [], [0.5]]


def test_an_axis_that_places_nothing_promises_nothing() -> None:
    flat = {0.0: [3.0, 4.0, 5.0], 1.0: [3.0, 4.0, 5.0]}
    blind = axis_of("noise", "%", {0.0: 0.0, 1.0: 3.0}, flat, axes=1)
    found = gate(blind, 4.0)
    assert (found.state, found.bin) == ("undefined", None)
    assert "does not exceed" in found.placement.reason
    assert (bins_of(blind, np.array([3.0, 9.0])) == UNDEFINED).all()
