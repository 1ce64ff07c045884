"""Promises counted on fresh patients, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.analysis.conformal import BROKEN, UNBROKEN
from auditor.analysis.kept_promises import kept

NAN = float("nan")


def test_promises_are_counted_with_their_interval() -> None:
    values = np.append(np.full(36, 0.8), np.full(4, 0.5))
    found = kept(np.full(40, 0.7), values, alpha=0.1)
    exact = stats.binomtest(36, 40).proportion_ci(0.95, method="exact")
    assert (found.held, found.counted, found.verdict) == (36, 40, UNBROKEN)
    assert found.low == pytest.approx(exact.low)
    assert found.high == pytest.approx(exact.high)
    assert (found.nominal, found.level) == (0.9, 0.95)


def test_a_bound_that_is_met_exactly_held() -> None:
    assert kept(np.full(3, 0.7), np.full(3, 0.7), alpha=0.1).held == 3


def test_a_broken_promise_is_called_broken() -> None:
    # Clopper-Pearson, .975: 31 of 40 -> .892 < .9; 32 of 40 -> .909
    for held, verdict in ((31, BROKEN), (32, UNBROKEN), (0, BROKEN)):
        values = np.append(np.full(held, 0.8), np.zeros(40 - held))
        assert kept(np.full(40, 0.7), values, alpha=0.1).verdict == verdict


def test_what_was_not_promised_or_not_measured_is_told() -> None:
    bounds = np.array([0.5, 0.5, NAN, NAN, 0.5])
    values = np.array([0.6, NAN, 0.9, NAN, 0.0])
    found = kept(bounds, values, alpha=0.1)
    assert (found.held, found.counted) == (1, 2)
    assert (found.without_bound, found.without_value) == (1, 1)
    none = kept(np.full(4, NAN), np.ones(4), alpha=0.1)
    assert (none.verdict, none.low, none.without_bound) == ("nothing to count", None, 4)
    assert kept(np.empty(0), np.empty(0), alpha=0.1).counted == 0


def test_a_patient_is_counted_once() -> None:
    patients = np.array([0, 0, 1, 1, 2])
    bounds = np.array([0.5, 0.5, 0.5, NAN, NAN])
    values = np.array([0.9, 0.4, 0.9, 0.1, 0.9])  # one of the two scans of the first fails
    found = kept(bounds, values, alpha=0.1, patients=patients)
    assert (found.held, found.counted, found.without_bound) == (1, 2, 1)
    with pytest.raises(ValueError, match="every scan"):
        kept(bounds, values[:4], alpha=0.1)
