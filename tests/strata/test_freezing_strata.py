"""Groups of cases: declared edges, tertiles, metadata, and what is missing."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.errors import ConfigError
from auditor.schema import StratumSpec
from auditor.strata.assign import DETECTION, MISSING, NOTHING, freeze

RATIO = StratumSpec("foreground_ratio", "spleen", (0.002, 0.01))
TERTILES = StratumSpec("rater_disagreement", "spleen", "tertiles")


def test_declared_edges_name_ranges_and_belong_to_the_lower_group() -> None:
    found = freeze({"a": 0.0, "b": 0.002, "c": 0.0021, "d": 0.01, "e": 0.3}, RATIO)
    assert found.names == ("<= 0.2 %", "0.2 to 1 %", "> 1 %")
    assert list(found.membership.values()) == [
        "<= 0.2 %",
        "<= 0.2 %",
        "0.2 to 1 %",
        "0.2 to 1 %",
        "> 1 %",
    ]
    assert (found.axis, found.label, found.edges) == ("foreground_ratio", "spleen", (0.002, 0.01))
    assert (found.kind, found.note) == ("inferential", "")


def test_a_declared_group_without_a_case_is_still_named() -> None:
    found = freeze({"a": 0.02, "b": 0.03}, RATIO)
    assert found.names == ("<= 0.2 %", "0.2 to 1 %", "> 1 %")
    assert set(found.membership.values()) == {"> 1 %"}
    assert found.kind == "inferential"


def test_lengths_carry_their_unit_and_dsc_none() -> None:
    edges = (0.5, 1.25)
    in_mm = freeze({"a": 1.0}, StratumSpec("rater_disagreement", "spleen", edges))
    in_px = freeze({"a": 1.0}, StratumSpec("rater_disagreement", "cell", edges), length_unit="px")
    plain = freeze({"a": 0.9}, StratumSpec("rater_dsc", "spleen", (0.8,)))
    assert in_mm.names == ("<= 0.5 mm", "0.5 to 1.25 mm", "> 1.25 mm")
    assert in_px.names == ("<= 0.5 px", "0.5 to 1.25 px", "> 1.25 px")
    assert plain.names == ("<= 0.8", "> 0.8")


def test_tertiles_cut_between_neighbouring_references() -> None:
    # sorted: .1 .2 | .4 .5 | .9 1.3; cuts half-way: .3 and .7
    values = {"c1": 0.5, "c2": 0.1, "c3": 1.3, "c4": 0.2, "c5": 0.9, "c6": 0.4}
    found = freeze(values, TERTILES)
    assert found.edges == (0.3, 0.7)
    assert found.names == ("<= 0.3 mm", "0.3 to 0.7 mm", "> 0.7 mm")
    assert Counter(found.membership.values()) == dict.fromkeys(found.names, 2)
    assert found.note == "tertiles of the references"


def test_equal_values_are_never_parted() -> None:
    found = freeze({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0, "e": 2.0, "f": 3.0}, TERTILES)
    assert found.edges == (1.5,)
    assert Counter(found.membership.values()) == {"<= 1.5 mm": 4, "> 1.5 mm": 2}
    assert "equal values leave only two groups" in found.note


def test_tertiles_of_one_value_are_not_assessable() -> None:
    found = freeze({"a": 1.0, "b": 1.0, "c": 1.0}, TERTILES)
    assert found.kind == "not assessable"
    assert found.note == "not assessable: all cases have the same value"
    assert set(found.membership.values()) == {"all"}


def test_tertiles_of_two_cases_are_not_assessable() -> None:
    found = freeze({"a": 1.0, "b": 2.0}, TERTILES)
    assert found.kind == "not assessable"
    assert "need three cases with a value, there are 2" in found.note


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.lists(st.floats(0.0, 50.0), min_size=3, max_size=40))
def test_tertiles_put_every_case_where_its_name_says(values: list[float]) -> None:
    found = freeze({f"case {k}": value for k, value in enumerate(values)}, TERTILES)
    assert len(found.membership) == len(values)
    assert set(found.membership.values()) <= set(found.names)
    for k, value in enumerate(values):
        name = found.membership[f"case {k}"]
        written = re.findall(r"[\d.]+(?:e[+-]?\d+)?", name)
        numbers = [float(number) for number in written]
        if name.startswith("<="):
            assert value <= found.edges[0]
        elif name.startswith(">"):
            assert value > found.edges[-1]
        elif name != "all":
            assert found.edges[0] < value <= found.edges[1]
        assert numbers == pytest.approx([e for e in found.edges if f"{e:.12g}" in written])
    if len(found.edges) == 2:
        sizes = Counter(found.membership.values())
        assert all(sizes[name] for name in found.names)


def test_metadata_make_a_group_per_value() -> None:
    found = freeze({"a": "Basel", "b": "Aarau", "c": "Basel"}, StratumSpec("site"))
    assert found.names == ("Aarau", "Basel")
    assert found.membership == {"a": "Basel", "b": "Aarau", "c": "Basel"}
    assert (found.edges, found.label, found.kind) == ((), "", "inferential")


def test_numeric_metadata_are_cut_when_edges_are_declared() -> None:
    found = freeze({"a": "34", "b": "70.5"}, StratumSpec("age", edges=(65.0,)))
    assert found.membership == {"a": "<= 65", "b": "> 65"}


def test_a_missing_value_is_a_group_and_never_a_dropped_case() -> None:
    found = freeze({"a": "Basel", "b": "", "c": None, "d": "Aarau"}, StratumSpec("site"))
    assert found.names == ("Aarau", "Basel", MISSING)
    assert found.membership == {"a": "Basel", "b": MISSING, "c": MISSING, "d": "Aarau"}
    assert found.note == "2 of 4 cases without a value"
    numeric = freeze({"a": 0.001, "b": None}, RATIO)
    assert numeric.names[-1] == MISSING
    assert numeric.membership["b"] == MISSING


def test_a_zero_is_a_value() -> None:
    assert freeze({"a": 0.0, "b": 0}, RATIO).membership == {"a": "<= 0.2 %", "b": "<= 0.2 %"}


def test_disagreement_on_detection_is_a_group_of_its_own() -> None:
    spec = StratumSpec("rater_disagreement", "lesion", (1.0,))
    found = freeze({"a": 0.4, "b": DETECTION, "c": 2.0, "d": NOTHING, "e": None}, spec)
    assert found.names == ("<= 1 mm", "> 1 mm", NOTHING, DETECTION, MISSING)
    assert found.membership["b"] == DETECTION


@pytest.mark.parametrize("edges", [(1.0,), "tertiles"])
def test_without_two_raters_disagreement_is_not_assessable(
    edges: tuple[float, ...] | Literal["tertiles"],
) -> None:
    spec = StratumSpec("rater_disagreement", "lesion", edges)
    found = freeze({"a": None, "b": None, "c": None}, spec)
    assert found.kind == "not assessable"
    assert found.names == (MISSING,)
    assert found.note.startswith("not assessable: no case has two raters")


def test_one_site_is_not_assessable() -> None:
    found = freeze({"a": "Basel", "b": "Basel"}, StratumSpec("site"))
    assert found.kind == "not assessable"
    assert found.note == "not assessable: all cases are in the group 'Basel'"


def test_strata_made_after_a_prediction_are_descriptive() -> None:
    assert freeze({"a": 0.1}, RATIO, before_predictions=False).kind == "descriptive"


@pytest.mark.parametrize("axis", ["foreground_ratio", "rater_disagreement", "rater_dsc"])
def test_edges_of_a_measured_axis_are_a_choice_of_the_user(axis: str) -> None:
    with pytest.raises(ConfigError, match=rf"strata\.{axis}\.edges must be rising numbers"):
        freeze({"a": 0.1}, StratumSpec(axis, "spleen"))


@pytest.mark.parametrize("edges", [(), (0.2, 0.1), (0.1, 0.1), (float("nan"),), (float("inf"),)])
def test_edges_rise(edges: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"'tertiles', got {edges!r}")):
        freeze({"a": 0.1}, StratumSpec("foreground_ratio", "spleen", edges))


def test_values_that_are_no_numbers_are_listed_with_their_cases() -> None:
    with pytest.raises(ConfigError, match="every value must be a finite number") as caught:
        freeze({"a": "old", "b": "44", "c": "nan"}, StratumSpec("age", edges=(65.0,)))
    assert caught.value.problems == ("case 'a' has 'old'", "case 'c' has 'nan'")


def test_no_cases_are_no_strata() -> None:
    found = freeze({}, StratumSpec("site"))
    assert (found.names, dict(found.membership), found.kind) == ((), {}, "not assessable")
