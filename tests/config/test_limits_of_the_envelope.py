"""The limits of the operating envelope: declared, canonical, and what `check` says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from configurations import valid_data, write_named_files

from auditor.config import AuditConfig, digest, parse_config
from auditor.config.decisions import decisions
from auditor.errors import ConfigError
from auditor.pipeline.envelope_limits import limits_of_envelope


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_named_files(tmp_path)


def parsed(folder: Path, **response: Any) -> AuditConfig:
    data = valid_data() | ({"response": response} if response else {})
    return parse_config(data, folder=folder, name="audit.yaml")


def test_a_limit_is_part_of_what_was_declared(folder: Path) -> None:
    without, config = parsed(folder), parsed(folder, margin=0.1, floor=0.8)
    assert (without.response_margin, without.response_floor) == (None, None)
    # digests of audits without the block stay as they were
    assert "response" not in without.canonical
    assert (config.response_margin, config.response_floor) == (0.1, 0.8)
    assert config.canonical["response"] == {"margin": 0.1, "floor": 0.8}
    assert parsed(folder, margin=0.1).canonical["response"] == {"margin": 0.1}
    assert len({digest(it) for it in (without, config, parsed(folder, margin=0.1))}) == 3
    told = {it.where: it.value for it in decisions(config)}
    assert (told["response.margin"], told["response.floor"]) == ("0.1", "0.8")


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, "small", None, True])
@pytest.mark.parametrize("name", ["margin", "floor"])
def test_a_limit_lies_between_zero_and_one(folder: Path, name: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(folder, **{name: value})
    assert "response" in "\n".join(caught.value.problems)


def test_an_empty_block_and_unknown_keys_are_refused(folder: Path) -> None:
    for block in ({}, {"margins": 0.1}):
        with pytest.raises(ConfigError) as caught:
            parse_config(valid_data() | {"response": block}, folder=folder, name="audit.yaml")
        assert "response" in "\n".join(caught.value.problems)


def test_what_no_data_could_meet_is_told_before_any_work(folder: Path) -> None:
    config = parsed(folder, margin=0.1, floor=0.9)
    assert limits_of_envelope(config, 29) == ()
    margin, floor = limits_of_envelope(config, 20)
    assert margin.startswith(
        "response.margin: 0.1 is NOT ATTAINABLE: with 20 patient(s) no drop below 0.139"
    )
    assert floor.startswith(
        "response.floor: 0.9 is NOT ATTAINABLE: with 20 patient(s) no mean above 0.861"
    )
    assert margin.endswith("at least 29 are needed")
    assert limits_of_envelope(parsed(folder), 1) == ()
    assert len(limits_of_envelope(config, 1)) == 2


def test_a_limit_without_a_metric_that_it_is_about_is_told(folder: Path) -> None:
    config = parsed(folder, margin=0.1)
    distances = replace(config, metrics=tuple(it for it in config.metrics if it.name == "hd95"))
    (told,) = limits_of_envelope(distances, 60)
    assert told.startswith("response: decides nothing")
