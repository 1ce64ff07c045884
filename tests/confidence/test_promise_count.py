"""Promises on further patients, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rated_patients import SPEC, Drawn, drawn_certificate, new_scan

from auditor.confidence.calibration import calibrated
from auditor.confidence.promise_count import Checked, count_promises
from auditor.confidence.rating import rate
from auditor.schema import Estimate
from auditor.schema.ratings import Grade, Rating


@pytest.fixture(scope="module")
def like() -> Rating:
    return rate(calibrated(drawn_certificate(1)), new_scan(Drawn(0.9, 0.95, 2.0, 30.0)), tool="")


def scan(
    like: Rating, patient: str, bound: float | None, dsc: float | None, *, used: bool = False
) -> Checked:
    grade = Grade.NOT_RATED if bound is None else Grade.A if bound >= 0.8 else Grade.C
    own = replace(
        like,
        bound=Estimate(bound, 30, "split conformal", "lower", 0.9),
        grade=grade,
        used_for_calibration=used,
    )
    return Checked(own, patient, dsc, "ok")


def test_a_patient_counts_once_and_keeps_every_promise_or_none(like: Rating) -> None:
    found = count_promises(
        [
            scan(like, "P1", 0.8, 0.9),
            scan(like, "P2", 0.8, 0.9),
            scan(like, "P2", 0.8, 0.7),  # one of its two bounds fails
            scan(like, "P3", 0.8, 0.8),  # at its bound is held
            scan(like, "P4", None, 0.1),  # nothing was promised
            scan(like, "P5", 0.8, 0.0, used=True),  # it calibrated
            scan(like, "P6", 0.5, 0.9),
        ],
        SPEC,
    )
    assert (found.held, found.patients, found.not_rated, found.calibration) == (3, 4, 1, 1)
    assert found.kept.value == 0.75
    # binom.test(3, 4)$conf.int
    assert found.kept.low == pytest.approx(0.1941204, abs=1e-6)
    assert found.kept.high == pytest.approx(0.9936905, abs=1e-6)
    assert found.verdict == "no evidence of breaking"
    a, _, c = found.outcomes
    assert a.reached.n == 3
    assert a.reached.value == pytest.approx(2 / 3)
    assert a.mean_dsc == pytest.approx((0.9 + 0.8 + 0.8) / 3)
    assert (c.reached.n, c.mean_dsc) == (1, 0.9)
    assert [it.held for it in found.scans] == [True, True, False, True, None, False, True]


def test_broken_promises_are_called_broken(like: Rating) -> None:
    # 12 of 20 with 0.9 promised: the upper limit, 0.81, lies below
    found = count_promises(
        [scan(like, f"P{i}", 0.8, 0.9 if i < 12 else 0.5) for i in range(20)], SPEC
    )
    assert (found.verdict, found.kept.value) == ("BROKEN", 0.6)


def test_nothing_to_count_is_an_answer(like: Rating) -> None:
    found = count_promises([scan(like, "P1", None, 0.9), scan(like, "P2", 0.8, None)], SPEC)
    assert (found.patients, found.kept.value, found.kept.status) == (0, None, "undefined")
    assert found.verdict == "nothing to count"
