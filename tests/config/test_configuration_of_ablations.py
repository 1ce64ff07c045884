"""`ablate` in audit.yaml: what it says, what it inherits, how it is swept, and every mistake in words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from configurations import changed, valid_data, write_named_files

from auditor.config import AuditConfig, digest, json_schema, parse_config
from auditor.config.decisions import decisions
from auditor.errors import ConfigError
from auditor.plan import system_identity
from auditor.schema import AblationSpec, SystemSpec, ablation_words


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_named_files(tmp_path)
    write_scan(tmp_path / "other.nii.gz", seed=1)
    return tmp_path


def write_scan(path: Path, *, seed: int) -> None:
    voxels = np.random.default_rng(seed).normal(size=(4, 6, 8)).astype(np.float32)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(path))


def data_with(**systems: Any) -> dict[str, Any]:
    data = valid_data()
    data["systems"] |= {name.replace("_", "-"): entry for name, entry in systems.items()}
    for criterion in data["criteria"].values():
        criterion["system"] = "vendor-a"
    return data


def read(folder: Path, data: dict[str, Any], **settings: Any) -> AuditConfig:
    return parse_config(data, folder=folder, name="audit.yaml", **settings)


def ablated(folder: Path, ablate: Any, **more: Any) -> SystemSpec:
    return read(folder, data_with(a={"like": "vendor-a", "ablate": ablate, **more})).systems[1]


def problems(folder: Path, data: dict[str, Any], **more: Any) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(folder, data, **more)
    return [line.strip(" -") for line in str(raised.value).splitlines()[1:]]


@pytest.mark.parametrize(
    ("given", "spec"),
    [
        ({"skip": 1, "by": "mean"}, AblationSpec((1,), "mean")),
        ({"skip": "all", "by": "zero"}, AblationSpec((), "zero")),
        # the order says nothing, and names come after levels
        ({"skip": ["/up/Relu", 2, 0], "by": "zero"}, AblationSpec((0, 2, "/up/Relu"), "zero")),
        ({"skip": "/up/Relu", "by": "mean"}, AblationSpec(("/up/Relu",), "mean")),
        ({"skip": 0, "by": "blur", "sigma": 2}, AblationSpec((0,), "blur", 2.0)),
        ({"skip": 0, "by": "noise", "sd": 0.5}, AblationSpec((0,), "noise", 0.5, 0)),
        ({"skip": 0, "by": "noise", "sd": 1, "seed": 7}, AblationSpec((0,), "noise", 1.0, 7)),
        ({"skip": 0, "by": "dose", "alpha": 0}, AblationSpec((0,), "dose", 0.0)),
        ({"skip": 0, "by": "dose", "alpha": -1.5}, AblationSpec((0,), "dose", -1.5)),
    ],
)
def test_an_ablation_is_read(folder: Path, given: dict[str, Any], spec: AblationSpec) -> None:
    system = ablated(folder, given)
    assert system.ablation == spec
    # pairs and claims of the maker are about the network as it is
    assert (system.golden, system.claimed, system.claimed_source) == (None, (), "")
    assert system.family == "unet"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, ["by: is required, one of zero, mean, blur, noise, dose, image", "skip: is required"]),
        ({"skip": 1}, ["by: is required"]),
        ({"by": "mean"}, ["skip: is required, a level (0 is the finest)"]),
        ({"skip": 1, "by": "dose"}, ["alpha: is required with by: dose, the factor"]),
        ({"skip": 1, "by": "noise"}, ["sd: is required with by: noise, SD of the noise"]),
        ({"skip": 1, "by": "blur"}, ["sigma: is required with by: blur"]),
        ({"skip": 1, "by": "image"}, ["image: is required with by: image, path of another scan"]),
        (
            {"skip": 1, "by": "mean", "sd": 1, "alpha": 0.5},
            [
                "alpha: must be left out with by: mean, it belongs to by: dose",
                "sd: must be left out with by: mean, it belongs to by: noise",
            ],
        ),
        (
            {"skip": 1, "by": "zero", "seed": 3},
            ["seed: must be left out with by: zero, it belongs"],
        ),
        (
            {"skip": 1, "by": "noise", "sd": 0, "sigma": -1},
            ["sd: must be above 0, was 0", "sigma: must be above 0, was -1"],
        ),
        ({"skip": 1, "by": "dose", "alpha": float("nan")}, ["alpha: must be a finite number"]),
        ({"skip": 1, "by": "dose", "alpha": "much"}, ["alpha: must be a number, was 'much'"]),
        ({"skip": 1, "by": "noise", "sd": 1, "seed": -1}, ["seed: must be at least 0, was -1"]),
        ({"skip": -1, "by": "mean"}, ["skip: must be a level from 0 on (the finest), the name"]),
        ({"skip": True, "by": "mean"}, ["skip: must be a level from 0 on"]),
        ({"skip": 0.5, "by": "mean"}, ["skip: must be a level from 0 on"]),
        ({"skip": [], "by": "mean"}, ["skip: must be a level from 0 on"]),
        ({"skip": [0, "all"], "by": "mean"}, ["skip: must be a level from 0 on"]),
        ({"skip": [1, 1], "by": "mean"}, ["skip: must name each level or value once, was [1, 1]"]),
        ({"skip": 1, "by": "maen"}, ["by: must be one of zero, mean, blur, noise, dose or image"]),
        ({"skips": 1, "by": "mean"}, ["skips: is not known; did you mean 'skip'?"]),
        (
            {"skip": 1, "by": "image", "image": "nobody.nii"},
            [
                "image: must be a file, 'nobody.nii' is none (paths are relative to the configuration)"
            ],
        ),
        ({"skip": 1, "by": "image", "image": "cases.csv"}, ["image: "]),
        ({"skip": 1, "by": "image", "image": []}, ["image: must be the path of a scan, or a list"]),
        ({"skip": 1, "by": "image", "image": 3}, ["image: must be the path of a scan, or a list"]),
    ],
)
def test_every_mistake_is_told(folder: Path, given: dict[str, Any], told: list[str]) -> None:
    found = problems(folder, data_with(a={"like": "vendor-a", "ablate": given}))
    assert len(found) == len(told), found
    for line, begin in zip(found, told, strict=True):
        assert line.startswith(f"systems.a.ablate.{begin}"), line


def test_the_other_image_must_have_the_channels_that_are_declared(folder: Path) -> None:
    given = {"skip": 0, "by": "image", "image": ["other.nii.gz", "other.nii.gz"]}
    entry = {"like": "vendor-a", "ablate": given, "input": {"channels": 1}}
    (found,) = problems(folder, data_with(a=entry))
    assert found == (
        "systems.a.ablate.image: must hold the 1 channel(s) of input.channels, holds 2"
    )


def test_what_runs_elsewhere_cannot_be_ablated(folder: Path) -> None:
    ablate = {"skip": 1, "by": "mean"}
    (folder / "masks").mkdir()
    command = {
        "command": "true {input} {output}",
        "ablate": ablate,
        "output": {"labels": {"spleen": 1}},
    }
    masks = {"predictions": "masks", "ablate": ablate, "output": {"labels": {"spleen": 1}}}
    call = {"ablate": ablate, "output": {"labels": {"spleen": 1}}}
    data = data_with(command=command, masks=masks, call=call)
    found = problems(folder, data, callables=("call",))
    assert [it.partition(",")[0] for it in found] == [
        f"systems.{name}.ablate: must be left out" for name in ("call", "command", "masks")
    ]
    assert "the network behind a command cannot be reached" in found[1]


def test_an_entry_inherits_an_ablation_and_changes_parts_of_it(folder: Path) -> None:
    noisy = {"like": "vendor-a", "ablate": {"skip": 1, "by": "noise", "sd": 0.5, "seed": 3}}
    data = data_with(
        noisy=noisy,
        coarser={"like": "noisy", "ablate": {"skip": 2}},
        # another kind takes the inherited strength and seed away
        meant={"like": "noisy", "ablate": {"by": "mean"}},
        whole={"like": "noisy", "ablate": None},
    )
    found = {it.name: it.ablation for it in read(folder, data).systems}
    assert found == {
        "vendor-a": None,
        "noisy": AblationSpec((1,), "noise", 0.5, 3),
        "coarser": AblationSpec((2,), "noise", 0.5, 3),
        "meant": AblationSpec((1,), "mean"),
        "whole": None,
    }


@pytest.mark.parametrize(
    ("ablate", "expand", "names"),
    [
        ({"by": "mean"}, {"ablate.skip": [1, 2, [1, 2], "all"]}, ["1", "2", "1x2", "all"]),
        ({"by": "mean"}, {"ablate.skip": ["/enc/Relu_3"]}, ["enc-Relu_3"]),
        ({"skip": 1, "by": "dose"}, {"ablate.alpha": [0, 0.25, 1]},
         ["alpha-0", "alpha-0.25", "alpha-1"]),
        ({"skip": 1, "by": "noise"}, {"ablate.sd": [0.1, 2], "ablate.seed": [0, 1]},
         ["sd-0.1-seed-0", "sd-0.1-seed-1", "sd-2-seed-0", "sd-2-seed-1"]),
        ({"skip": 1, "by": "blur"}, {"ablate.sigma": [1.5]}, ["sigma-1.5"]),
        ({"skip": 1}, {"ablate.by": ["mean", "zero"]}, ["mean", "zero"]),
        ({}, {"ablate.skip": [0, 1], "ablate.by": ["mean", "zero"]},
         ["0-mean", "0-zero", "1-mean", "1-zero"]),
        (None, {"ablate": [{"skip": 1, "by": "mean"}, {"by": "noise", "sd": 0.5, "skip": [0, 1]},
                           {"skip": 0, "by": "image", "image": "other.nii.gz"}, None]},
         ["skip-1-mean", "skip-0x1-noise-sd-0.5", "skip-0-image-other", "ablate-none"]),
        ({"skip": 2}, {"ablate": [{"by": "mean"}], "precision": ["float16", "float32"]},
         ["mean-float16", "mean-float32"]),
    ],
)  # fmt: skip
def test_swept_ablations_have_names_that_say_what_they_are(
    folder: Path, ablate: Any, expand: dict[str, Any], names: list[str]
) -> None:
    data = data_with(unet_s={"like": "vendor-a", "ablate": ablate, "expand": expand})
    systems = read(folder, data).systems[1:]
    assert [it.name for it in systems] == [f"unet-s-{name}" for name in names]
    assert len({system_identity(it, "same") for it in systems}) == len(names)


@pytest.mark.parametrize(
    ("expand", "told"),
    [
        ({"ablate.sd": [0.5, 0]}, "expand.ablate.sd: must be above 0, was 0"),
        ({"ablate.by": ["maen"]}, "expand.ablate.by: must be one of zero, mean"),
        ({"ablate": [{"skips": 1}]}, "expand.ablate.skips: is not known; did you mean 'skip'?"),
        ({"ablate": [3]}, "expand.ablate: must hold keys and values, was 3"),
        ({"ablate.skp": [1]}, "expand.ablate.skp: must name a field of input, window or output"),
        # what a kind needs is told of the system that lacks it
        ({"ablate.by": ["dose"]}, "-dose.ablate.alpha: is required with by: dose"),
    ],
)
def test_mistakes_in_a_sweep_are_told_where_they_stand(
    folder: Path, expand: dict[str, Any], told: str
) -> None:
    data = data_with(s={"like": "vendor-a", "ablate": {"skip": 1, "by": "noise", "sd": 1},
                        "expand": expand})  # fmt: skip
    (found,) = problems(folder, data)
    assert found.startswith(f"systems.s{told if told.startswith('-') else f'.{told}'}"), found


def test_a_near_miss_of_a_swept_key_is_proposed(folder: Path) -> None:
    data = data_with(s={"like": "vendor-a", "expand": {"ablate.skp": [1]}})
    (found,) = problems(folder, data)
    assert found.endswith("did you mean 'ablate.skip'?")


def test_the_command_line_wins_over_parts_of_an_ablation(folder: Path) -> None:
    data = data_with(a={"like": "vendor-a", "ablate": {"skip": 1, "by": "noise", "sd": 0.5}})
    settings = {"a.ablate.skip": 2, "a.ablate.by": "mean"}
    assert read(folder, data, settings=settings).systems[1].ablation == AblationSpec((2,), "mean")
    assert read(folder, data, settings={"a.ablate": None}).systems[1].ablation is None
    told = problems(folder, data, settings={"a.ablate.sd": -1})
    assert told == ["systems.a.ablate.sd: must be above 0, was -1 (on the command line)"]


def test_facts_of_the_training_can_be_set_part_by_part(folder: Path) -> None:
    data = changed("systems/vendor-a/training", {"patch": [96, 96, 64]})
    settings = {"vendor-a.training.foreground_ratio": [0.1, 0.2]}
    training = read(folder, data, settings=settings).systems[0].training
    assert training is not None
    assert (training.patch, training.foreground_ratio) == ((96, 96, 64), (0.1, 0.2))


def test_what_is_ablated_decides_the_identity_and_the_name_does_not(folder: Path) -> None:
    mean = ablated(folder, {"skip": 1, "by": "mean"})
    other = read(
        folder, data_with(b={"like": "vendor-a", "ablate": {"skip": [1], "by": "mean"}})
    ).systems[1]
    assert mean.name != other.name
    assert system_identity(mean, "x") == system_identity(other, "x")
    (whole,) = read(folder, valid_data()).systems
    assert system_identity(whole, "x") != system_identity(mean, "x")
    again = ablated(folder, {"skip": 1, "by": "noise", "sd": 1})
    seeded = ablated(folder, {"skip": 1, "by": "noise", "sd": 1, "seed": 1})
    assert system_identity(again, "x") != system_identity(seeded, "x")


def test_the_other_image_is_its_content_and_not_its_place(folder: Path) -> None:
    def with_image(path: str) -> SystemSpec:
        return ablated(folder, {"skip": 0, "by": "image", "image": path})

    first = with_image("other.nii.gz")
    (folder / "elsewhere").mkdir()
    shutil.copy(folder / "other.nii.gz", folder / "elsewhere" / "moved.nii.gz")
    moved = with_image("elsewhere/moved.nii.gz")
    assert system_identity(first, "x") == system_identity(moved, "x")
    write_scan(folder / "other.nii.gz", seed=2)
    changed_ = with_image("other.nii.gz")
    assert system_identity(first, "x") != system_identity(changed_, "x")
    assert first.ablation is not None
    assert first.ablation.images == (str(folder / "other.nii.gz"),)


def test_a_system_without_an_ablation_keeps_the_identity_it_had(folder: Path) -> None:
    (whole,) = read(folder, valid_data()).systems
    # computed before ablations existed: finished units stay what they were
    assert system_identity(whole, "0" * 64) == (
        "9af7292c03b78b4c71a8003a2462f65f662dbb317012abd67676ead80fd11b35"
    )


def test_no_name_of_the_other_image_is_in_the_canonical_form(folder: Path) -> None:
    entry = {"like": "vendor-a", "ablate": {"skip": 0, "by": "image", "image": "other.nii.gz"}}
    config = read(folder, data_with(a=entry))
    text = json.dumps(config.canonical)
    assert "other.nii.gz" not in text
    known = config.canonical["systems"]["a"]["ablate"]
    assert len(known["images_sha256"][0]) == 64
    assert "ablate" not in config.canonical["systems"]["vendor-a"]
    other = read(folder, data_with(a={"like": "vendor-a", "ablate": {"skip": 0, "by": "mean"}}))
    assert digest(config) != digest(other)


def test_an_ablation_is_a_declared_decision(folder: Path) -> None:
    config = read(folder, data_with(a={"like": "vendor-a", "ablate": {"skip": 1, "by": "mean"}}))
    found = {it.where: it for it in decisions(config)}
    assert found["systems.a.ablate"].value == "level 1 by mean"
    assert (found["systems.a.ablate"].made_by, found["systems.a.ablate"].kind) == (
        "declared",
        "scientific",
    )
    assert "systems.a.ablate.skip" in config.given


def test_an_ablated_system_without_its_whole_one_is_warned_about(folder: Path) -> None:
    mean = {"skip": 1, "by": "mean"}
    data = data_with(
        a={"like": "vendor-a", "ablate": mean},
        half={"like": "vendor-a", "precision": "float16", "ablate": mean},
        half_window={"like": "vendor-a", "window": {"size": [64, 64, 64]}, "ablate": mean},
    )
    warnings = [it for it in read(folder, data).warnings if ".ablate:" in it]
    assert [it.partition(":")[0] for it in warnings] == [
        "systems.half.ablate",
        "systems.half-window.ablate",
    ]
    assert "what the network loses by it cannot be told" in warnings[0]


def test_an_audit_of_nothing_but_ablations_is_refused(folder: Path) -> None:
    data = changed("systems/vendor-a/ablate", {"skip": 1, "by": "mean"})
    for criterion in data["criteria"].values():
        criterion["system"] = "vendor-a"
    (found,) = problems(folder, data)
    assert found.startswith("systems: at least one must run as it is, all are ablated")


def test_the_only_system_that_is_not_ablated_need_not_be_named(folder: Path) -> None:
    data = data_with(a={"like": "vendor-a", "ablate": {"skip": 1, "by": "mean"}})
    for criterion in data["criteria"].values():
        del criterion["system"]
    data["certificate"] = {"grades": [0.85, 0.7], "copies": 0}
    config = read(folder, data)
    assert {it.system for it in config.criteria} == {"vendor-a"}
    assert [it.system for it in config.certificates] == ["vendor-a"]


def test_claims_about_an_ablated_system_are_warned_about_and_certificates_refused(
    folder: Path,
) -> None:
    data = data_with(a={"like": "vendor-a", "ablate": {"skip": 1, "by": "mean"}})
    data["criteria"]["C-01"]["system"] = "a"
    warnings = [it for it in read(folder, data).warnings if it.startswith("criteria.")]
    assert len(warnings) == 1
    assert warnings[0].startswith("criteria.C-01.system: a is ablated (level 1 by mean)")
    data["certificate"] = {"system": "a", "grades": [0.85, 0.7], "copies": 0}
    (found,) = problems(folder, data)
    assert found.startswith("certificate.system: must be a system as it is used, a is ablated")


def test_the_schema_for_editors_knows_ablations() -> None:
    definitions = json_schema()["$defs"]
    assert "ablate" in definitions["SystemShape"]["properties"]
    known = definitions["AblateShape"]["properties"]
    assert set(known) == {"skip", "by", "sigma", "sd", "alpha", "seed", "image"}
    assert definitions["AblateShape"]["additionalProperties"] is False
    kinds = next(it for it in known["by"]["anyOf"] if "enum" in it)
    assert kinds["enum"] == ["zero", "mean", "blur", "noise", "dose", "image"]
    assert ablation_words(AblationSpec()) == "every skip connection by mean"
