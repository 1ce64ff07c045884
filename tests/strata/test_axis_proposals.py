"""What a look at the references shows of an axis, without choosing where to cut it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.cli.axes import lines_of_axes
from auditor.schema import StratumSpec
from auditor.strata.assign import NOTHING, cross, freeze
from auditor.strata.proposals import grouped, propose, round_edges

SPEC = StratumSpec("object_volume", "organ", (12.0,))
VALUES = {f"c{k}": value for k, value in enumerate([1.0, 2.0, 4.0, 9.0, 15.0, 40.0])}
PATIENTS = {case: f"p{place // 2}" for place, case in enumerate(VALUES)}
"""Two cases of each patient."""


def test_every_way_to_cut_counts_patients_and_names_its_edges() -> None:
    found = propose(VALUES, PATIENTS, SPEC, declared=True)
    ways = {way.name: way for way in found.proposals}
    assert list(ways) == ["declared", "tertiles", "halves", "round numbers"]
    # c0 .. c3 of p0, p0, p1, p1 lie below 12 ml; c4 and c5 of p2 above
    assert ways["declared"].groups == (("<= 12 ml", 2), ("> 12 ml", 1))
    assert ways["tertiles"].edges == (3.0, 12.0)
    # 4 | 9: c2 and c3 are of one patient, who counts in both halves
    assert ways["halves"].edges == (6.5,)
    assert [n for _, n in ways["halves"].groups] == [2, 2]
    assert (found.cases, found.missing, found.unit) == (6, 0, "ml")


def test_an_undeclared_axis_has_no_declared_way() -> None:
    found = propose(VALUES, PATIENTS, StratumSpec("object_volume", "organ"), declared=False)
    assert [way.name for way in found.proposals] == ["tertiles", "halves", "round numbers"]


def test_the_histogram_holds_every_number_once() -> None:
    found = propose(VALUES, PATIENTS, SPEC, declared=True)
    assert sum(bar.cases for bar in found.bins) == 6
    assert (found.bins[0].low, found.bins[-1].high) == (1.0, 40.0)
    # 1 to 40 spans more than 20 fold: bars of equal ratio
    ratios = {round(bar.high / bar.low, 6) for bar in found.bins}
    assert len(ratios) == 1


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.floats(0.0, 1e4), min_size=0, max_size=30))
def test_any_values_have_a_histogram_and_counts_that_add_up(numbers: list[float]) -> None:
    values = dict(enumerate(numbers))
    cases = {str(case): value for case, value in values.items()}
    found = propose(cases, {case: case for case in cases}, SPEC, declared=True)
    assert sum(bar.cases for bar in found.bins) == len(numbers)
    for way in found.proposals:
        assert way.groups or way.note
        if way.groups:
            assert sum(n for _, n in way.groups) == len(numbers)
    assert list(lines_of_axes([found]))


def test_texts_and_missing_values_are_counted_apart() -> None:
    spec = StratumSpec("rater_disagreement", "organ", (1.0,))
    values: dict[str, float | str | None] = {"a": 0.5, "b": NOTHING, "c": None, "d": 2.0}
    found = propose(values, {case: case for case in values}, spec, declared=True)
    assert (found.cases, found.missing) == (2, 2)
    declared = found.proposals[0]
    assert dict(declared.groups) == {"<= 1 mm": 1, "> 1 mm": 1, NOTHING: 1, "missing": 1}


def test_columns_and_crosses_are_counted_as_they_are() -> None:
    cases = {"a": "north", "b": "south", "c": None, "d": "north"}
    patients = {"a": "p1", "b": "p1", "c": "p2", "d": "p3"}
    site = freeze(cases, StratumSpec("site"))
    found = grouped(site, patients)
    assert (found.cases, found.missing, found.bins) == (3, 1, ())
    # p1 has a case in both groups
    assert found.proposals[0].groups == (("north", 2), ("south", 1), ("missing", 1))
    size = freeze({"a": 1.0, "b": 20.0, "c": 1.0, "d": 30.0}, SPEC)
    pairs = grouped(
        cross(site, size, StratumSpec("both", cross=("site", "object_volume"))), patients
    )
    assert pairs.note == "site x object_volume"
    assert dict(pairs.proposals[0].groups)["north & > 12 ml"] == 1
    assert list(lines_of_axes([pairs]))[-1].startswith(
        "           declared: patients north & <= 12 ml: 1"
    )


def test_a_column_with_one_value_is_said_to_make_no_groups() -> None:
    alone = freeze({"a": "north", "b": "north"}, StratumSpec("site"))
    *_, last = lines_of_axes([grouped(alone, {"a": "p1", "b": "p2"})])
    assert last.endswith("north: 2 (too few); not assessable: all cases are in the group 'north'")


def test_equal_values_cannot_be_cut_and_it_is_said() -> None:
    found = propose({"a": 1.0, "b": 1.0, "c": 1.0}, dict.fromkeys("abc", "p"), SPEC, declared=False)
    assert {way.note for way in found.proposals} == {"all cases have the same value"}
    assert len(found.bins) == 1


@pytest.mark.parametrize(
    ("numbers", "edges"),
    [
        ([0.0011, 0.0017, 0.0042, 0.0048, 0.012, 0.031], (0.002, 0.01)),
        ([0.0, 0.0, 0.0, 0.0, 5.0, 6.0], (2.0,)),
        ([1.1, 1.2, 1.3], ()),
        ([], ()),
    ],
)
def test_round_edges_are_one_two_or_five_and_part_the_values(
    numbers: list[float], edges: tuple[float, ...]
) -> None:
    found = round_edges(numbers)
    assert found == edges
    for edge in found:
        digit = edge / 10 ** math.floor(math.log10(edge))
        assert round(digit, 9) in {1.0, 2.0, 5.0}
        assert any(it <= edge for it in numbers)
        assert any(it > edge for it in numbers)


def test_the_lines_show_bars_and_mark_groups_of_too_few_patients() -> None:
    ratio = StratumSpec("foreground_ratio", "organ", (0.01,), minimum_patients=12)
    values = {f"c{k}": 0.001 * k for k in range(1, 31)}
    found = propose(values, {case: case for case in values}, ratio, declared=True)
    lines = list(lines_of_axes([found]))
    assert lines[0] == (
        "groups     foreground_ratio of organ (declared): 30 cases; groups of fewer than 12 patients "
        "are too few"
    )
    assert sum(line.rstrip()[-1].isdigit() and "#" in line for line in lines) == len(found.bins)
    assert "           declared: edges [0.01], patients <= 1 %: 10 (too few); > 1 %: 20" in lines
