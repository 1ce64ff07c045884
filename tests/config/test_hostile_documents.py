"""Texts that others wrote cost what they are long, whatever they say."""

import time

import pytest

from auditor.documents import json_content, yaml_content
from auditor.errors import ConfigError


def doubled(first: str, line: str) -> str:
    """Forty lines, each of which stands for its predecessor twice: 2^40 values."""
    return f"a0: &a0 {first}\n" + "".join(
        line.format(i=i, before=i - 1) for i in range(1, 40)
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        doubled("[x]", "a{i}: &a{i} [*a{before}, *a{before}]\n"),
        doubled("{k: 1}", "a{i}: &a{i} {{<<: [*a{before}, *a{before}]}}\n"),
    ],
)
def test_anchors_that_multiply_are_refused_at_once(text: str) -> None:
    began = time.monotonic()
    with pytest.raises(ConfigError, match="it must stand for at most 1048576 values"):
        yaml_content(text, what="contract.yaml")
    assert time.monotonic() - began < 5


def test_anchors_are_still_what_they_were() -> None:
    text = "a: &a {axes: RAS}\nb: {<<: *a, dims: 3}\nc: [*a, *a]\n"
    axes = {"axes": "RAS"}
    assert yaml_content(text, what="x") == {"a": axes, "b": {**axes, "dims": 3}, "c": [axes, axes]}


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}"])
def test_a_value_inside_itself_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="recursive"):
        yaml_content(text, what="x")


def test_yaml_longer_than_anybody_writes_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"must be at most 1048576 letters of YAML, it has 1500000"
    ):
        yaml_content("a: 1\n" * 300_000, what="contract.yaml")


@pytest.mark.parametrize("number", ["9" * 41, "0x" + "f" * 100_000, "1:" * 5000 + "1"])
def test_a_whole_number_that_no_type_holds_is_refused(number: str) -> None:
    with pytest.raises(ConfigError, match="line 2: a whole number has more than 40 digits"):
        yaml_content(f"a: 1\nb: {number}", what="x")


def test_a_whole_number_that_no_type_holds_is_refused_in_json() -> None:
    with pytest.raises(ConfigError, match="at most 40 digits, one has 41"):
        json_content(f"[{'9' * 41}]", what="x")


def test_the_key_that_stands_twice_is_found_at_once_among_many() -> None:
    many = ",".join(f'"k{i}":1' for i in range(100_000))
    began = time.monotonic()
    with pytest.raises(ConfigError, match="the key 'k99999' stands twice"):
        json_content(f'{{{many},"k99999":2}}', what="dataset.json")
    assert time.monotonic() - began < 10
