"""The self-check of the statistics: it passes here, and fails where a bound does not hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from click.testing import CliRunner

from auditor.analysis import simulations
from auditor.analysis.laws import LAWS
from auditor.analysis.simulations import Counted
from auditor.cli.qualifying import qualify as command
from auditor.errors import IntegrityError
from auditor.pipeline import qualifying
from auditor.pipeline.qualifying import Qualified, qualify


@pytest.mark.slow
def test_every_bound_of_this_installation_holds() -> None:
    told: list[Qualified] = []
    found = qualify(cohorts=60, told=told.append)
    assert told == list(found)
    assert len(found) > 100
    assert [it.what for it in found if not it.good] == []


def too_high(values: np.ndarray, *, level: float) -> np.ndarray:
    """The mean itself: a lower bound for about half of the cohorts."""
    del level
    return np.asarray(values.mean(axis=0))


def test_a_bound_that_does_not_hold_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulations, "LOWER_BOUNDS", {"phantom": too_high})
    rng = np.random.default_rng(1)
    held = simulations.lower_bound_held(LAWS["A"], 30, method="phantom", cohorts=60, rng=rng)
    # about 30 of 60 hold, and fewer than 51 accuse a bound of .95 (binomial, one in ten thousand)
    assert Counted.of(held).below(0.95)
    checked = qualifying._counted("phantom", held, 0.95)
    assert not checked.good
    assert checked.drawn == 60


def test_a_right_bound_is_hardly_ever_accused() -> None:
    assert not Counted(300 - 29, 300).below(0.95)
    assert Counted(300 - 34, 300).below(0.95)


@pytest.mark.parametrize("method", simulations.INTERVALS)
def test_every_interval_is_counted(method: str) -> None:
    # law A, n = 30: studentized .946, BCa .929 of 3000; of 200 at .9 fewer than 164 come once in 10 000
    held = simulations.interval_held(
        LAWS["A"], 30, method=method, cohorts=200, rng=np.random.default_rng(4)
    )
    assert held.shape == (200,)
    assert not Counted.of(held).below(0.9)


def test_the_count_depends_on_the_seed_alone() -> None:
    first, again = (
        simulations.interval_held(
            LAWS["C"], 20, method="studentized", cohorts=40, rng=np.random.default_rng(3)
        )
        for _ in range(2)
    )
    assert (first == again).all()


def test_a_failed_check_ends_with_the_status_of_broken_integrity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def one_bad(*, told: Callable[[Qualified], None]) -> tuple[Qualified, ...]:
        bad = Qualified("phantom lower bound", 0.95, 0.5, 300, good=False)
        told(bad)
        return (bad,)

    monkeypatch.setattr(qualifying, "qualify", one_bad)
    shown = CliRunner().invoke(command, ["--oq"])
    assert (
        "FAILED  phantom lower bound: held for 0.500 of 300 cohorts (at least 0.95)" in shown.output
    )
    assert "0 of 1 checks passed" in shown.output
    assert isinstance(shown.exception, IntegrityError)
    assert shown.exception.exit_code == 7


def test_nothing_is_qualified_unless_it_is_said_what() -> None:
    shown = CliRunner().invoke(command, [])
    assert "say what is to be qualified: --oq" in str(shown.exception)
