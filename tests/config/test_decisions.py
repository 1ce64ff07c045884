"""The table of decisions: every choice behind the numbers, and who made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from configurations import changed, valid_data, without, write_named_files

from auditor.config import AuditConfig, parse_config
from auditor.config.decisions import decisions, undecided
from auditor.errors import ConfigError
from auditor.schema import Decision


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_named_files(tmp_path)


def read(folder: Path, data: dict[str, Any]) -> AuditConfig:
    return parse_config(data, folder=folder, name="audit.yaml")


def table(folder: Path, data: dict[str, Any]) -> dict[str, Decision]:
    return {it.where: it for it in decisions(read(folder, data))}


def test_what_the_file_says_is_declared_and_the_rest_is_a_default(folder: Path) -> None:
    found = table(folder, changed("confidence/criteria", 0.975))
    assert (found["confidence.criteria"].value, found["confidence.criteria"].made_by) == (
        "0.975",
        "declared",
    )
    assert (found["confidence.intervals"].value, found["confidence.intervals"].made_by) == (
        "0.95",
        "default",
    )
    assert found["bounds.alpha"].made_by == "default"
    assert found["metrics.nsd"].value == "tolerance_mm 2"
    assert found["strata.foreground_ratio.edges"].made_by == "declared"
    assert found["strata.foreground_ratio.minimum_patients"].made_by == "default"
    assert found["criteria.C-02"].value == "mean drop at most 0.1, assured"
    assert (found["seed"].made_by, found["seed"].kind) == ("declared", "engineering")


def test_a_value_that_equals_the_default_is_still_declared(folder: Path) -> None:
    found = table(folder, changed("confidence/intervals", 0.95))
    assert found["confidence.intervals"].made_by == "declared"


def test_tertiles_are_a_rule_that_is_frozen_before_any_prediction(folder: Path) -> None:
    found = table(folder, changed("strata/foreground_ratio/edges", "tertiles"))
    edges = found["strata.foreground_ratio.edges"]
    assert (edges.value, edges.made_by) == ("tertiles of the references", "frozen rule")


def test_levels_of_the_catalogue_are_nobodys_choice(folder: Path) -> None:
    found = table(folder, valid_data())
    assert found["perturbations.gaussian_noise"].made_by == "declared"  # severities are written
    found = table(folder, changed("perturbations/gaussian_blur", {}))
    assert found["perturbations.gaussian_blur"].made_by == "default"


def test_a_contract_is_told_by_its_sources(folder: Path) -> None:
    found = [
        it
        for it in decisions(read(folder, valid_data()))
        if it.where == "systems.vendor-a: contract"
    ]
    by = {it.made_by: it.value for it in found}
    assert "input.axes" in by["declared"]
    assert "input.spacing_mm" in by["declared"]


def test_choices_that_nobody_made_are_listed_without_engineering(folder: Path) -> None:
    open_ = {it.where for it in undecided(decisions(read(folder, valid_data())))}
    assert "confidence.criteria" in open_
    assert "bounds.delta" in open_
    assert "seed" not in open_
    assert not any(where.startswith("criteria.") for where in open_)
    everything = valid_data()
    everything["confidence"] = {"criteria": 0.95, "intervals": 0.95}
    everything["bounds"] = {"alpha": 0.1, "delta": 0.1}
    for axis in ("foreground_ratio", "site"):
        everything["strata"][axis]["minimum_patients"] = 10
    assert undecided(decisions(read(folder, everything))) == ()


def test_decisions_change_no_digest(folder: Path) -> None:
    plain, written = valid_data(), changed("confidence/intervals", 0.95)
    assert read(folder, plain).canonical == read(folder, written).canonical


def test_a_waived_claim_names_who_and_why(folder: Path) -> None:
    waiver = {"by": "quality department", "reason": "scanner out of use"}
    config = read(folder, changed("criteria/C-02/waived", waiver))
    (spec,) = [it for it in config.criteria if it.id == "C-02"]
    assert (spec.waived_by, spec.waived_reason) == ("quality department", "scanner out of use")
    assert table(folder, changed("criteria/C-02/waived", waiver))["criteria.C-02"].value.endswith(
        "waived by quality department"
    )
    for bad in ({"by": "me"}, {"by": "", "reason": "x"}, {"by": "me", "reason": "x", "when": 1}):
        with pytest.raises(ConfigError) as caught:
            read(folder, changed("criteria/C-02/waived", bad))
        assert "criteria.C-02.waived" in str(caught.value)


def test_a_file_without_a_state_of_the_scans_leaves_it_undecided(folder: Path) -> None:
    assert table(folder, without("cases/state"))["cases.state"].made_by == "default"


def test_a_certificate_is_one_choice(folder: Path) -> None:
    found = table(folder, {**valid_data(), "certificate": {"grades": [0.85, 0.7], "copies": 3}})
    told = found["certificate: vendor-a, spleen"]
    assert (told.made_by, told.kind) == ("declared", "scientific")
    assert told.value.startswith("A from a bound of 0.85, B from 0.7; alpha 0.1, delta 0.1; ")
    assert told.value.endswith("severities of none; at most 3 mild copies")
