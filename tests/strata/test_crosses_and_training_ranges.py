"""Crosses of two axes, training ranges, and units of groups."""

from __future__ import annotations

from collections import Counter

import pytest

from auditor.errors import ConfigError
from auditor.schema import StratumSpec
from auditor.strata.assign import INSIDE, MISSING, OUTSIDE, cross, freeze

TRAINED = StratumSpec("foreground_ratio", "organ", (0.01, 0.2), training=True, system="unet")
SITE = StratumSpec("site")
SIZE = StratumSpec("object_volume", "organ", (12.0,))


def test_inside_a_training_range_lies_what_is_strictly_between_its_ends() -> None:
    values = {"a": 0.0, "b": 0.01, "c": 0.0100001, "d": 0.19, "e": 0.2, "f": 0.7}
    found = freeze(values, TRAINED)
    assert found.names == (INSIDE, OUTSIDE)
    assert [case for case, group in found.membership.items() if group == INSIDE] == ["c", "d"]
    assert (found.rule, found.system, found.edges) == ("training range", "unet", (0.01, 0.2))
    assert found.note == "declared for unet: from 0.01 to 0.2, both ends outside"


def test_a_case_without_a_window_is_missing_and_not_outside() -> None:
    found = freeze({"a": 0.1, "b": None}, TRAINED)
    assert found.membership == {"a": INSIDE, "b": MISSING}


def test_an_axis_says_how_its_groups_were_made() -> None:
    values = {"a": 1.0, "b": 20.0, "c": 30.0}
    assert freeze(values, SIZE).rule == "declared edges"
    assert freeze(values, StratumSpec("object_volume", "organ", "tertiles")).rule == "tertiles"
    assert freeze({"a": "x"}, SITE).rule == "categories"


def test_volumes_carry_the_unit_of_the_scans() -> None:
    assert freeze({"a": 3.0}, SIZE).names == ("<= 12 ml", "> 12 ml")
    assert freeze({"a": 3.0}, SIZE, ndim=2).names == ("<= 12 mm²", "> 12 mm²")
    assert freeze({"a": 3.0}, SIZE, length_unit="px").names == ("<= 12 voxels", "> 12 voxels")
    noise = StratumSpec("native_noise", "", (5.0,))
    assert freeze({"a": 3.0}, noise).names == ("<= 5 %", "> 5 %")


def test_a_cross_pairs_the_groups_of_its_axes_also_where_no_case_is() -> None:
    site = freeze({"a": "Basel", "b": "Aarau", "c": "Basel", "d": "Aarau"}, SITE)
    size = freeze({"a": 3.0, "b": 5.0, "c": 40.0, "d": None}, SIZE)
    found = cross(site, size, StratumSpec("both", cross=("site", "object_volume")))
    assert found.names == (
        "Aarau & <= 12 ml", "Aarau & > 12 ml", "Aarau & missing",
        "Basel & <= 12 ml", "Basel & > 12 ml", "Basel & missing",
    )  # fmt: skip
    assert found.membership == {
        "a": "Basel & <= 12 ml", "b": "Aarau & <= 12 ml", "c": "Basel & > 12 ml",
        "d": "Aarau & missing",
    }  # fmt: skip
    assert found.cross == (("site", ("Aarau", "Basel")), ("object_volume", size.names))
    assert (found.label, found.kind, found.rule) == ("organ", "inferential", "cross")
    # every margin of the cross is a group of its axis
    for group in site.names:
        paired = sum(name.startswith(f"{group} & ") for name in found.membership.values())
        assert paired == Counter(site.membership.values())[group]


def test_a_cross_is_no_better_than_its_axes() -> None:
    spec = StratumSpec("both", cross=("site", "object_volume"))
    size = freeze({"a": 3.0, "b": 50.0}, SIZE)
    late = freeze({"a": "x", "b": "y"}, SITE, before_predictions=False)
    assert cross(late, size, spec).kind == "descriptive"
    alone = freeze({"a": "x", "b": "x"}, SITE)
    found = cross(alone, size, spec)
    assert found.kind == "not assessable"
    assert found.note == "not assessable: site has one group only"


def test_a_cross_with_its_own_minimum_keeps_it() -> None:
    site = freeze({"a": "x", "b": "y"}, SITE)
    spec = StratumSpec("both", cross=("site", "site"), minimum_patients=25)
    assert cross(site, site, spec).minimum == 25
    assert freeze({"a": "x"}, StratumSpec("site", minimum_patients=30)).minimum == 30
    assert site.minimum == 10


def test_two_pairs_of_one_name_are_refused() -> None:
    first = freeze({"a": "x & y", "b": "x"}, StratumSpec("site"))
    second = freeze({"a": "z", "b": "y & z"}, StratumSpec("scanner"))
    with pytest.raises(ConfigError, match="two pairs of groups would both be called 'x & y & z'"):
        cross(first, second, StratumSpec("both", cross=("site", "scanner")))
