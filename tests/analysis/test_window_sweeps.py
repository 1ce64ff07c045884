"""One checkpoint under several windows: what belongs together, inside and outside, and paired."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rows_tables import LABEL, rows_of, setup_of, table_of
from swept_windows import COHORT, RANGE, WINDOWS, rows, setup, volumes

from auditor.analysis import summarise
from auditor.analysis.window_estimates import CHANGES_SIDE
from auditor.analysis.window_groups import window_words
from auditor.analysis.window_sweep import swept
from auditor.schema import Certainty, ContractField, TrainingFacts, WindowStudy


@pytest.fixture(scope="module")
def sweep() -> WindowStudy:
    (found,) = summarise(table_of(rows()), setup=setup()).sweeps
    return found


def scores(system: str) -> dict[str, float]:
    return {
        row.case: row.value or 0.0
        for row in rows()
        if (row.record, row.system, row.metric) == ("measurement", system, "dsc")
    }


def test_a_sweep_holds_the_windows_of_one_checkpoint_from_small_to_large(
    sweep: WindowStudy,
) -> None:
    assert [(it.name, it.window) for it in sweep.uses] == [
        ("w32", "32x32x16"),
        ("w64", "64x64x32"),
    ]
    assert (sweep.label, sweep.family, sweep.missing) == (LABEL, "", ())
    assert {it.training for it in sweep.uses} == {RANGE}
    assert sweep.uses[0].points[0] == ("C001", 0.01, scores("w32")["scan_000_0"])


def test_inside_is_strictly_between_the_ends_of_the_training(sweep: WindowStudy) -> None:
    # w32: 0.01 (i + 1): 0.06 .. 0.19 are strictly inside, 0.05 and 0.20 are not; w64: 0.055 .. 0.18
    inside = {"w32": range(5, 19), "w64": range(10, 36)}
    cells = {(it.use, it.side): it.mean for it in sweep.cells if it.size == "all"}
    for system, places in inside.items():
        mine = scores(system)
        known = [mine[COHORT.cases[i].case] for i in places]
        assert cells[system, "inside"].n == len(known)
        assert cells[system, "inside"].value == pytest.approx(np.mean(known))
        assert cells[system, "outside"].n == 36 - len(known)
        assert cells[system, "all"].n == 36


def test_sides_are_crossed_with_thirds_of_object_size(sweep: WindowStudy) -> None:
    assert len(sweep.sizes) == 3
    cells = {(it.use, it.side, it.size): it.mean for it in sweep.cells}
    # all, inside, outside by all and three sizes; below and above for all sizes
    assert len(cells) == 2 * (3 * 4 + 2)
    thirds = np.argsort(np.argsort(list(volumes().values()))) // 12
    mine = scores("w32")
    for place, size in enumerate(sweep.sizes):
        inside = [mine[COHORT.cases[i].case] for i in range(5, 19) if thirds[i] == place]
        found = cells["w32", "inside", size]
        assert found.n == len(inside)
        assert found.value == pytest.approx(np.mean(inside))
        assert cells["w32", "all", size].n == 12
        assert cells["w32", "all", size].low is not None
        # fewer than ten patients are described only
        assert (found.low is None) == (found.n < 10)


def test_windows_are_compared_on_the_same_patients(sweep: WindowStudy) -> None:
    first, second = scores("w32"), scores("w64")
    apart = {case: first[case] - second[case] for case in first}
    found = {it.group: it for it in sweep.differences}
    assert list(found) == ["all", *sweep.sizes, CHANGES_SIDE]
    assert (found["all"].first, found["all"].second) == ("w32", "w64")
    assert found["all"].difference.value == pytest.approx(np.mean(list(apart.values())))
    assert found["all"].difference.low is not None
    # inside under w32 alone: cases 5 .. 9 (+); under w64 alone: 19 .. 35 (-)
    cases = [it.case for it in COHORT.cases]
    moved = [apart[cases[i]] for i in range(5, 10)] + [-apart[cases[i]] for i in range(19, 36)]
    assert found[CHANGES_SIDE].difference.n == 22
    assert found[CHANGES_SIDE].difference.value == pytest.approx(np.mean(moved))


def test_another_checkpoint_another_contract_and_one_window_alone_are_no_sweep() -> None:
    together = setup()
    assert [[it.name for it in group] for group in swept(together)] == [["w32", "w64"]]
    assert swept(setup(sha256="")) == ()
    assert swept(setup({"w32": WINDOWS["w32"]})) == ()
    assert swept(setup(dict.fromkeys(WINDOWS, WINDOWS["w32"]))) == ()
    other = ContractField("input.axes", "LPS", Certainty.DECLARED)
    systems = list(together.systems)
    systems[1] = replace(systems[1], contract=replace(systems[1].contract, fields=(other,)))
    assert swept(replace(together, systems=tuple(systems))) == ()
    systems[1] = replace(together.systems[1], settings=(("flips", "[0]"),))
    assert swept(replace(together, systems=tuple(systems))) == ()
    results = summarise(table_of(rows_of(COHORT)), setup=setup_of(COHORT))
    assert results.sweeps == ()


def test_windows_are_named_by_what_tells_them_apart() -> None:
    names = [
        "w[whole image; axes RAS]",
        "w[64x64x32; overlap 0.25; axes RAS]",
        "w[9x9x9; axes RAS]",
    ]
    assert list(window_words(names).values()) == ["whole image", "64x64x32, overlap 0.25", "9x9x9"]
    whole = {"w32": WINDOWS["w32"], "w64": "window_foreground_ratio[whole image; axes RAS]"}
    ((small, large),) = swept(setup(whole))
    assert (small.name, large.name) == ("w32", "w64")


def test_what_a_sweep_cannot_say_is_told() -> None:
    bare = rows_of(COHORT)
    (found,) = summarise(table_of(bare), setup=setup(training=None)).sweeps
    assert {it.training for it in found.uses} == {None}
    assert found.sizes == ()
    assert {it.side for it in found.cells} == {"all"}
    told = " ".join(found.missing)
    assert "training.foreground_ratio is not declared" in told
    assert "windows of 32x32x16: not measured in this run" in told
    assert "Object size: not measured in this run." in told
    base = setup()
    systems = (
        replace(base.systems[0], training=TrainingFacts(None, (0.1, 0.3))),
        *base.systems[1:],
    )
    (found,) = summarise(table_of(rows()), setup=replace(base, systems=systems)).sweeps
    assert "declare different ranges" in found.missing[0]


def test_a_case_without_a_share_is_on_neither_side() -> None:
    made = [
        replace(row, value=None, status="reference_empty", reason="nothing is marked")
        if row.metric == WINDOWS["w32"] and row.case == "scan_010_0"
        else row
        for row in rows()
    ]
    (found,) = summarise(table_of(made), setup=setup()).sweeps
    n = {it.side: it.mean.n for it in found.cells if (it.use, it.size) == ("w32", "all")}
    # below: 0.01 .. 0.05; above: 0.20 .. 0.36
    assert n == {"all": 36, "inside": 13, "outside": 22, "below": 5, "above": 17}
    assert "1 case(s) without a value: nothing is marked" in found.missing[0]
