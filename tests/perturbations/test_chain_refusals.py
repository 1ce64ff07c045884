"""Parts, options and rows of another type are refused in words: what must be, and what was."""

from __future__ import annotations

from typing import Any

import pytest
import scans

import perturbations
from perturbations import compose, joint
from perturbations.chains import Part


@pytest.mark.parametrize(
    ("parts", "error", "told"),
    [
        ("gamma_up", TypeError, "must be a list of names and .*, got 'gamma_up'"),
        ({"gamma_up": 1.0}, TypeError, "must be a list of names"),
        ([7], TypeError, "must be a name or .*, got 7"),
        ([("gamma_up",)], TypeError, "must be a name or"),
        ([("gamma_up", 1.0, 2.0)], TypeError, "must be a name or"),
        ([(1.0, "gamma_up")], TypeError, "begin with the name of a perturbation, got 1.0"),
        ([("gamma_up", "1")], TypeError, "share of gamma_up .* positive number, got '1'"),
        ([("gamma_up", True)], TypeError, "share of gamma_up .* positive number, got True"),
        ([("gamma_up", float("nan"))], ValueError, "share of gamma_up .* positive number, got nan"),
        ([("gamma_up", float("inf"))], ValueError, "share of gamma_up .* positive number, got inf"),
        ([Part("gamma_up", -1.0)], ValueError, "share of gamma_up .* positive number, got -1.0"),
    ],
)
def test_parts_of_another_type_are_refused_in_words(
    parts: Any,
    error: type[Exception],
    told: str,
) -> None:
    with pytest.raises(error, match=told):
        compose(scans.head(), parts, seed=1)


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        (["axes"], TypeError, "mapping of part to its options, got \\['axes'\\]"),
        ({"gibbs": 1}, TypeError, "mapping of part to its options, got {'gibbs': 1}"),
        ({"gamma_up": {}}, ValueError, "for parts of the chain, gibbs; got 'gamma_up'"),
        ({"gibbs": {"axis": 1}}, ValueError, "unknown option 'axis' of gibbs; did you mean 'axes'"),
    ],
)
def test_options_that_no_part_has_are_refused(
    given: Any,
    error: type[Exception],
    told: str,
) -> None:
    with pytest.raises(error, match=told):
        compose(scans.head(), ["gibbs"], seed=1, part_options=given)


@pytest.mark.parametrize(
    ("levels", "error", "told"),
    [
        ([("gamma_up", 1.5)], TypeError, "must be a mapping of perturbation to level, got"),
        ({3: 1.5}, TypeError, "must hold names of perturbations, got 3"),
        ({"gamma_up": "1.5"}, TypeError, "level of gamma_up .* must be a number, got '1.5'"),
        ({"gamma_up": None}, TypeError, "level of gamma_up .* must be a number, got None"),
        ({"gamma_up": float("nan")}, ValueError, "level of gamma_up must lie between"),
    ],
)
def test_rows_of_another_type_are_refused_in_words(
    levels: Any,
    error: type[Exception],
    told: str,
) -> None:
    with pytest.raises(error, match=told):
        joint(levels, scans.head(), seed=1)
    if error is TypeError:  # limits are checked when a row is applied
        with pytest.raises(error, match=told):
            perturbations.realise("joint", scans.head(), seed=1, rows=[levels])


@pytest.mark.parametrize(
    ("rows", "error", "told"),
    [
        ({"gamma_up": 1.5}, TypeError, "rows of joint must be a list"),
        ("gamma_up", TypeError, "rows of joint must be a list"),
        ([], ValueError, "joint needs rows"),
    ],
)
def test_rows_that_are_no_list_are_refused(
    rows: Any,
    error: type[Exception],
    told: str,
) -> None:
    with pytest.raises(error, match=told):
        perturbations.realise("joint", scans.head(), seed=1, rows=rows)
