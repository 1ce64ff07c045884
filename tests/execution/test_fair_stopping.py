"""A time limit: whatever was done when it ends is fair, and nothing is begun that would not end."""

from __future__ import annotations

import dataclasses
import itertools
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest
import torch
from tiny_audits import tiny_config

from auditor.config import load_config
from auditor.execution.clean_masks import CleanMasks
from auditor.execution.job import Job
from auditor.execution.local import Progress, pending_units, run_local
from auditor.execution.pace import Ended, Pace, Timing, whole_s
from auditor.execution.store import has_shard
from auditor.pipeline.identities import identities
from auditor.pipeline.preflight import require
from auditor.plan import AuditPlan, Unit, balanced, make_plan
from auditor.schema import CLEAN, CONTROLS, PerturbationSpec


def plan_of(cases: int, perturbations: int) -> AuditPlan:
    """List units as `make_plan` does: by case, clean first."""
    names = [CLEAN, *(f"p{k}" for k in range(perturbations))]
    units = tuple(
        Unit(
            index=place,
            case=f"c{case}",
            other="",
            perturbation=PerturbationSpec(name, () if name == CLEAN else (1.0, 3.0, 5.0), (), ""),
            replicate=0,
            seed=place,
            shards=((CONTROLS, f"k{case}{name}"), ("net", f"s{case}{name}")),
        )
        for place, (case, name) in enumerate(itertools.product(range(cases), names))
    )
    return AuditPlan(units, ("net",), "")


def spread(counts: Counter[str], names: set[str]) -> int:
    numbers = [counts[name] for name in names]
    return max(numbers) - min(numbers)


@pytest.mark.parametrize("cases", range(1, 13))
@pytest.mark.parametrize("perturbations", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 19, 20])
def test_every_prefix_is_fair_to_perturbations_and_to_patients(
    cases: int, perturbations: int
) -> None:
    plan = plan_of(cases, perturbations)
    ordered = balanced(plan)
    assert [unit.index for unit in ordered.units] == list(range(len(plan.units)))
    # the same units, each once
    assert {(u.case, u.perturbation.name, u.seed) for u in ordered.units} == {
        (u.case, u.perturbation.name, u.seed) for u in plan.units
    }
    assert len({(u.case, u.perturbation.name) for u in ordered.units}) == len(plan.units)
    assert [u.case for u in ordered.units[:cases]] == [f"c{i}" for i in range(cases)]
    assert {u.perturbation.name for u in ordered.units[:cases]} == {CLEAN}
    by_perturbation: Counter[str] = Counter()
    by_case: Counter[str] = Counter()
    names, patients = {f"p{k}" for k in range(perturbations)}, {f"c{i}" for i in range(cases)}
    for unit in ordered.units[cases:]:
        by_perturbation[unit.perturbation.name] += 1
        by_case[unit.case] += 1
        assert spread(by_perturbation, names) <= 1
        assert spread(by_case, patients) <= 1
    # controls of every clean scan, and of one case under every perturbation
    measured = Counter(u.perturbation.name for u in ordered.units if CONTROLS in dict(u.shards))
    assert measured == {CLEAN: cases, **dict.fromkeys(names, 1)}
    assert all("net" in dict(unit.shards) for unit in ordered.units)


def test_the_order_by_hand_where_two_perturbations_meet_four_patients() -> None:
    # K = 2, P = 4, g = 2: case = (turn + 2 round + floor(round / 2)) mod 4
    ordered = balanced(plan_of(4, 2)).units[4:]
    assert [u.case for u in ordered] == ["c0", "c1", "c2", "c3", "c1", "c2", "c3", "c0"]
    assert [u.perturbation.name for u in ordered] == ["p0", "p1"] * 4


def test_an_empty_plan_and_one_of_clean_scans_stay_as_they_are() -> None:
    assert balanced(AuditPlan((), ("net",), "")).units == ()
    assert [u.case for u in balanced(plan_of(3, 0)).units] == ["c0", "c1", "c2"]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def test_what_the_next_unit_takes_is_read_from_the_units_before() -> None:
    clean, noise, blur = plan_of(1, 2).units
    later = dataclasses.replace(noise, shards=(("net", "x"),))
    clock = Clock()
    pace = Pace(60.0, now=clock)
    assert pace.expected_s(clean) is None
    assert pace.fits(clean)
    pace.note(clean, 8.0, warm=False)
    # 8 s for one evaluation: 24 s for three
    assert pace.expected_s(noise) == 24.0
    pace.note(clean, 2.0, warm=True)
    # a unit whose system had to be started counts no more: 3 x 2 s
    assert pace.expected_s(noise) == 6.0
    pace.note(noise, 15.0, warm=True)
    assert pace.expected_s(noise) == 15.0
    assert pace.expected_s(blur) == 15.0  # the slowest that is known
    pace.note(later, 9.0, warm=True)
    assert (pace.expected_s(noise), pace.expected_s(later)) == (15.0, 9.0)
    clock.at += 51.0
    assert pace.left_s == pytest.approx(9.0)
    assert pace.fits(later)
    assert not pace.fits(noise)
    clock.at += 100.0
    assert (pace.left_s, pace.fits(clean)) == (0.0, False)
    assert pace.spent_s == pytest.approx(151.0)


def test_the_time_of_a_whole_audit_is_the_sum_of_its_units() -> None:
    assert whole_s([("clean", 1)], []) is None
    cold = Timing("clean", 1, controls=True, warm=False, seconds=50.0)
    assert whole_s([("clean", 1)] * 2, [cold]) == 100.0
    measured = [
        cold,
        Timing("clean", 1, controls=True, warm=True, seconds=2.0),
        Timing("blur", 3, controls=True, warm=True, seconds=12.0),
        Timing("blur", 3, controls=False, warm=True, seconds=3.0),
    ]
    # clean 2 s, blur 5 x 4 s; noise was not measured: 5 x the mean of 2 s and 4 s
    units = [("clean", 1), ("blur", 5), ("noise", 5)]
    assert whole_s(units, measured) == pytest.approx(2 + 20 + 15)


def test_kept_masks_come_back_bit_for_bit_and_the_oldest_leave() -> None:
    kept = CleanMasks()
    generator = torch.Generator().manual_seed(1)
    masks = {
        f"c{i}": torch.randint(0, 4, (3, 5, 2 + i), generator=generator, dtype=torch.int16)
        for i in range(70)
    }
    for case, mask in masks.items():
        kept.put(("net", case), mask)
    kept.put(("net", "failed"), None)
    assert ("net", "c0") not in kept
    assert kept.get(("net", "failed")) is None
    for case in ("c40", "c69"):
        again = kept.get(("net", case))
        assert again is not None
        assert again.dtype == torch.int16
        assert torch.equal(again, masks[case])
    with pytest.raises(KeyError):
        kept.get(("other", "c69"))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    config = load_config(
        tiny_config(
            tmp_path,
            patients=2,
            perturbations={"rician_noise": {"severities": [1]}, "rotation": {"severities": [2]}},
        )
    )
    cases, _ = require(config)
    plan = balanced(make_plan(config, cases, identities(config, {})))
    return Job(run=tmp_path / "run", config=config, cases=cases, plan=plan)


def stored(job: Job) -> list[int]:
    return [u.index for u in job.plan.units if all(has_shard(job.run, key) for _, key in u.shards)]


def test_a_run_stops_at_the_limit_and_goes_on_later(job: Job) -> None:
    clock = Clock()
    pace = Pace(1000.0, now=clock)

    def tick(_: Progress) -> None:
        clock.at += 400.0

    # begun at 0, 400 and 800 s; when the third is done, 1200 s have gone
    assert run_local(job, workers=1, report=tick, until=pace) is Ended.TIME
    assert stored(job) == [0, 1, 2]
    assert [it.warm for it in pace.measured] == [False, True, True]
    seen: list[Progress] = []
    again = Pace(1000.0, earlier=pace.measured, now=clock)
    assert run_local(job, workers=1, report=seen.append, until=again) is Ended.FINISHED
    assert [it.done for it in seen] == [4, 5, 6]
    assert pending_units(job) == []
    assert run_local(job, workers=1, report=seen.append, until=again) is Ended.FINISHED
    assert len(seen) == 3


def test_no_unit_is_begun_that_would_end_after_the_limit(job: Job) -> None:
    slow = Timing("rician_noise", 1, controls=True, warm=True, seconds=2000.0)
    fast = Timing("clean", 1, controls=True, warm=True, seconds=1.0)
    pace = Pace(1000.0, earlier=(slow, fast), now=Clock())
    assert run_local(job, workers=2, report=lambda _: None, until=pace) is Ended.TIME
    # the two clean scans; rotation, the other of the round, is not taken before its turn
    assert stored(job) == [0, 1]


def test_a_unit_that_runs_into_the_limit_is_left(job: Job) -> None:
    assert run_local(job, workers=1, report=lambda _: None, until=Pace(0.3)) is Ended.TIME
    assert stored(job) == []


def test_an_interrupt_lets_the_running_unit_end(job: Job) -> None:
    # ignored from the start where tests run in the background of a shell
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _interrupted(job)
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted(job: Job) -> None:
    notes: list[str] = []

    def interrupt(progress: Progress) -> None:
        if progress.note:
            notes.append(progress.note)
        elif progress.done == 1:
            # while the main thread waits for the next answer; to that thread, as from a keyboard
            main = threading.main_thread().ident
            threading.Timer(0.02, signal.pthread_kill, [main, signal.SIGINT]).start()

    ended = run_local(job, workers=1, report=interrupt, until=Pace(600.0))
    assert ended is Ended.INTERRUPTED
    done = stored(job)
    assert 2 <= len(done) < 6
    assert done == list(range(len(done)))
    assert notes == ["interrupted: the running units end first; interrupt again to leave them"]
