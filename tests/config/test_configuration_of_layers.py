"""Whose layers are compared: read, and refused with all problems at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from configurations import changed, valid_data, write_named_files

from auditor.config import AuditConfig, parse_config
from auditor.config.decisions import decisions
from auditor.config.shape import json_schema
from auditor.errors import ConfigError
from auditor.plan import make_plan
from auditor.schema import CONTROLS, CaseRecord, LayerSpec


def read(
    folder: Path, layers: object, data: dict[str, Any] | None = None, **more: Any
) -> AuditConfig:
    content = {**(data or valid_data()), "layers": layers}
    return parse_config(content, folder=write_named_files(folder), **more)


def problems_of(
    folder: Path, layers: object, data: dict[str, Any] | None = None, **more: Any
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, layers, data, **more)
    return list(caught.value.problems)


def two() -> dict[str, Any]:
    return changed("systems/without", {"like": "vendor-a", "ablate": {"skip": 0, "by": "mean"}})


def test_systems_and_bins_are_read_in_the_order_of_the_systems(tmp_path: Path) -> None:
    assert read(tmp_path, {"systems": ["vendor-a"]}).layers == LayerSpec(("vendor-a",), 64)
    both = {"systems": ["without", "vendor-a"], "bins": 16}
    assert read(tmp_path, both, two()).layers == LayerSpec(("vendor-a", "without"), 16)
    data = valid_data()
    assert parse_config(data, folder=write_named_files(tmp_path)).layers is None


def test_what_is_compared_is_part_of_the_canonical_form_and_of_the_decisions(
    tmp_path: Path,
) -> None:
    config = read(tmp_path, {"systems": ["vendor-a"]})
    assert config.canonical["layers"] == {"systems": ["vendor-a"], "bins": 64}
    told = {it.where: it for it in decisions(config)}
    assert (told["layers.systems"].value, told["layers.systems"].made_by) == (
        "vendor-a",
        "declared",
    )
    assert (told["layers.bins"].value, told["layers.bins"].made_by) == ("64", "default")
    silent = parse_config(valid_data(), folder=tmp_path)
    assert "layers" not in silent.canonical


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        (
            {"systems": ["vendor-b"]},
            "layers.systems: must be one of vendor-a, was 'vendor-b'; did you mean",
        ),
        ({"systems": ["vendor-a", "vendor-a"]}, "layers.systems: must name each system once"),
        ({"systems": []}, "layers.systems: "),
        ({}, "layers.systems: is required"),
        ({"systems": ["vendor-a"], "bins": 1}, "layers.bins: must be at least 2, was 1"),
        ({"systems": ["vendor-a"], "bins": 2000}, "layers.bins: must be at most 1024, was 2000"),
        ({"systems": ["vendor-a"], "bins": 6.5}, "layers.bins: must be a whole number"),
        ({"systems": ["vendor-a"], "bin": 64}, "layers.bin: "),
        ({"systems": "vendor-a"}, "layers.systems: must be a list"),
        (["vendor-a"], "layers: must hold keys and values"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, layers: object, told: str) -> None:
    assert any(it.startswith(told) for it in problems_of(tmp_path, layers)), problems_of(
        tmp_path, layers
    )


def test_systems_whose_activations_nobody_sees_are_refused(tmp_path: Path) -> None:
    data = valid_data()
    (tmp_path / "masks").mkdir()
    output = data["systems"]["vendor-a"]["output"]
    data["systems"] |= {
        "files": {"predictions": "masks", "output": output},
        "outside": {"command": ["segment", "{input}", "{output}"], "output": output},
        "inside": {"output": output},
    }
    names = ["vendor-a", "files", "outside", "inside"]
    told = problems_of(tmp_path, {"systems": names}, data, callables=("inside",))
    kinds = [
        it.partition("checkpoint, ")[2].partition(",")[0] for it in told if "activations" in it
    ]
    assert kinds == ["files is predictions", "inside is a Python callable", "outside is a command"]


def test_an_ablation_by_another_image_is_refused(tmp_path: Path) -> None:
    data = two()
    SimpleITK.WriteImage(
        SimpleITK.GetImageFromArray(np.ones((4, 4, 4), np.float32)), tmp_path / "other.nii.gz"
    )
    data["systems"]["without"]["ablate"] = {"skip": 0, "by": "image", "image": "other.nii.gz"}
    (told,) = problems_of(tmp_path, {"systems": ["without"]}, data)
    assert told.startswith(
        "layers.systems: must not be ablated by the activation of another image, without is"
    )


def test_problems_of_a_system_are_told_once(tmp_path: Path) -> None:
    data = changed("systems/vendor-a/window/overlap", 3)
    told = problems_of(tmp_path, {"systems": ["vendor-a"]}, data)
    assert not [it for it in told if it.startswith("layers")]


def test_the_schema_knows_the_block() -> None:
    schema = json_schema()
    (of,) = [
        it
        for it in schema["$defs"].values()
        if set(it.get("properties", {})) == {"systems", "bins"}
    ]
    assert (of["properties"]["bins"]["minimum"], of["properties"]["bins"]["maximum"]) == (2, 1024)
    assert "layers" in schema["properties"]


def keys_of(config: AuditConfig, *, other: str = "two") -> dict[tuple[str, str], str]:
    cases = tuple(
        CaseRecord(name, name, ("a.nii",), "r.nii", digests=(("image_1", name), ("reference", "r")))
        for name in (("one", other))
    )
    plan = make_plan(config, cases, {spec.name: "0" * 64 for spec in config.systems})
    return {
        (name, unit.perturbation.name): key
        for unit in plan.units
        if unit.case == "one"
        for name, key in unit.shards
    }


def test_only_keys_of_compared_systems_depend_on_the_block(tmp_path: Path) -> None:
    folder = write_named_files(tmp_path)
    plain = keys_of(parse_config(two(), folder=folder))
    some = keys_of(read(folder, {"systems": ["without"]}, two()))
    fewer = keys_of(read(folder, {"systems": ["without"], "bins": 8}, two()))
    moved = keys_of(read(folder, {"systems": ["without"]}, two()), other="three")
    for name, perturbation in plain:
        compared = name == "without"
        at = (name, perturbation)
        assert (some[at] == plain[at]) is not compared
        assert (fewer[at] == some[at]) is not compared
        # clean scans are compared with those of another patient
        beside = name == CONTROLS or (compared and perturbation == "clean")
        assert (moved[at] == some[at]) is not beside
