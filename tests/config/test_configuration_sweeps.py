"""`expand` makes systems for sweeps: crossed, with readable names, and every bad value told where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from configurations import changed, valid_data, write_named_files

from auditor.config import AuditConfig, json_schema, parse_config
from auditor.errors import ConfigError
from auditor.plan import system_identity
from auditor.schema import SystemSpec, TrainingFacts

SIGMOID = {"activation": "sigmoid", "labels": {"spleen": 1}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_named_files(tmp_path)


def read(folder: Path, data: dict[str, Any]) -> AuditConfig:
    for criterion in data["criteria"].values():
        criterion["system"] = "vendor-a"
    return parse_config(data, folder=folder, name="audit.yaml")


def sweep(folder: Path, expand: dict[str, Any], **changes: Any) -> tuple[SystemSpec, ...]:
    entry = {"like": "vendor-a", "expand": expand, **changes}
    return read(folder, changed("systems/s", entry)).systems[1:]


def problems(folder: Path, data: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(folder, data)
    return [line.strip(" -") for line in str(raised.value).splitlines()[1:]]


def test_one_number_is_the_size_of_a_window_on_every_axis(folder: Path) -> None:
    found = sweep(folder, {"window.size": [32, 48, [64, 64, 32]]})
    assert [(it.name, it.window.size) for it in found if it.window] == [
        ("s-32", (32, 32, 32)),
        ("s-48", (48, 48, 48)),
        ("s-64x64x32", (64, 64, 32)),
    ]


def test_all_fields_of_a_sweep_are_crossed_in_the_order_of_the_file(folder: Path) -> None:
    found = sweep(
        folder,
        {
            "flips": [[], [0, 1, 2]],
            "precision": ["float32", "bfloat16"],
            "output.threshold": [0.3, 0.5],
        },
        output=SIGMOID,
    )
    assert [it.name for it in found] == [
        "s-flips-none-float32-threshold-0.3",
        "s-flips-none-float32-threshold-0.5",
        "s-flips-none-bfloat16-threshold-0.3",
        "s-flips-none-bfloat16-threshold-0.5",
        "s-flips-012-float32-threshold-0.3",
        "s-flips-012-float32-threshold-0.5",
        "s-flips-012-bfloat16-threshold-0.3",
        "s-flips-012-bfloat16-threshold-0.5",
    ]
    assert [(it.flips, it.precision, it.output.threshold) for it in found] == [
        (flips, precision, threshold)
        for flips in ((), (0, 1, 2))
        for precision in ("float32", "bfloat16")
        for threshold in (0.3, 0.5)
    ]
    assert len({system_identity(it, "same") for it in found}) == 8  # no two share a shard


@pytest.mark.parametrize(
    ("field", "values", "names"),
    [
        ("window.overlap", [0.25, 0], ["s-overlap-0.25", "s-overlap-0"]),
        ("window.blend", ["gaussian", "constant"], ["s-gaussian", "s-constant"]),
        ("window.placement", ["even", "monai"], ["s-even", "s-monai"]),
        ("flips", ["all", [2]], ["s-flips-all", "s-flips-2"]),
        ("batch", [1, 4], ["s-batch-1", "s-batch-4"]),
        ("input.clip", [[-57, 164], None], ["s-clip--57x164", "s-clip-none"]),
        ("input.spacing_mm", [[2, 2, 2], [1, 1, 2.5]], ["s-spacing-mm-2", "s-spacing-mm-1x1x2.5"]),
        ("output.labels", [{"spleen": 1}], ["s-labels-spleen"]),
    ],
)
def test_names_say_what_was_swept(
    folder: Path, field: str, values: list[Any], names: list[str]
) -> None:
    assert [it.name for it in sweep(folder, {field: values})] == names


def test_an_entry_may_sweep_itself(folder: Path) -> None:
    data = changed("systems/vendor-a/expand", {"window.size": [64]})
    data["systems"]["vendor-a-64"] = data["systems"].pop("vendor-a")
    data["systems"] = {"vendor-a": {**valid_data()["systems"]["vendor-a"]}, **data["systems"]}
    names = [it.name for it in read(folder, data).systems]
    assert names == ["vendor-a", "vendor-a-64-64"]


@pytest.mark.parametrize(
    ("expand", "told"),
    [
        ({"window.size": [64, "big"]}, "systems.s.expand.window.size: must be two or three whole"),
        ({"window.overlap": [0.5, 1]}, "systems.s.expand.window.overlap: must be a number from 0"),
        ({"precision": ["float8"]}, "systems.s.expand.precision: must be one of float32, float16,"),
        ({"flips": [[0, 0]]}, "systems.s.expand.flips: must be different fed axes, counted from 0"),
        ({"flips": [0]}, "systems.s.expand.flips: must be different fed axes"),
        ({"batch": [0]}, "systems.s.expand.batch: must be a whole number of at least 1, was 0"),
        ({"window.sise": [64]}, "systems.s.expand.window.sise: must name a field of input, window"),
        ({"precison": ["float16"]}, "systems.s.expand.precison: must name a field"),
        ({"device": ["cuda"]}, "systems.s.expand.device: must name a field"),
        (
            {"output.index": ["a b"]},
            "systems.s.expand: the name s-a b must be a name of at most 80",
        ),
        ({"window.size": [64, [64, 64, 64]]}, "systems.s-64: stands twice"),
        # 96 is a multiple of 32, 100 is not
        ({"window.size": [96, 100]}, "systems.s-100.window.size: must be multiples of input.div"),
    ],
)
def test_bad_values_of_a_sweep_are_told_with_their_path(
    folder: Path, expand: dict[str, Any], told: str
) -> None:
    entry = {"like": "vendor-a", "expand": expand, "input": {"divisor": [32, 32, 32]}}
    found = problems(folder, changed("systems/s", entry))
    assert len(found) == 1, found
    assert found[0].startswith(told)


def test_a_near_miss_of_a_field_is_proposed(folder: Path) -> None:
    entry = {"like": "vendor-a", "expand": {"window.sise": [64]}}
    assert problems(folder, changed("systems/s", entry))[0].endswith("did you mean 'window.size'?")


def test_one_number_needs_to_know_the_axes(folder: Path) -> None:
    data = changed("systems/vendor-a/window/size", 64)
    (system,) = read(folder, data).systems  # input.axes: RAS has three
    assert system.window is not None
    assert system.window.size == (64, 64, 64)
    data["systems"]["vendor-a"]["input"] = {"dims": 2}
    (system,) = read(folder, data).systems
    assert system.window is not None
    assert system.window.size == (64, 64)
    data["systems"]["vendor-a"]["input"] = {}
    (found,) = problems(folder, data)
    assert found == (
        "systems.vendor-a.window.size: must be one number per axis, as [96, 96, 96]: neither "
        "input.axes nor another list says how many axes 64 is for"
    )


def test_one_number_takes_the_axes_of_the_window_that_the_entry_had(folder: Path) -> None:
    axes = {"axes": "native", "spacing_mm": None}
    found = sweep(folder, {"window.size": [32]}, input=axes, window={"size": [64, 48]})
    assert [it.window.size for it in found if it.window] == [(32, 32)]


def test_one_number_takes_the_axes_of_the_contract_file(folder: Path) -> None:
    text = "window: {size: [96, 96]}\n"
    (folder / "vendor_a.contract.yaml").write_text(text, encoding="utf-8")
    data = changed("systems/vendor-a/window", {"size": 64})
    data["systems"]["vendor-a"]["input"] = {}
    (system,) = read(folder, data).systems
    assert system.window is not None
    assert system.window.size == (64, 64)


def test_all_flips_are_those_of_the_fed_axes(folder: Path) -> None:
    (system,) = read(folder, changed("systems/vendor-a/flips", "all")).systems
    assert system.flips == (0, 1, 2)
    (system,) = read(folder, changed("systems/vendor-a/flips", [2, 0])).systems
    assert system.flips == (0, 2)  # the order changes nothing, so it changes no shard


@pytest.mark.parametrize(
    ("flips", "changes", "told"),
    [
        ([0, 2], {"input": {"dims": 2}, "window": None}, "must be axes from 0 to 1, as the system"),
        ([3], {}, "must be different fed axes, counted from 0, as [0, 1, 2], or all, was [3]"),
        ([True], {}, "must be different fed axes"),
        ("RA", {}, "must be different fed axes"),
        ("all", {"input": {}, "window": None}, "must name the axes, as [0, 1, 2]: how many"),
        (
            [0],
            {"output": {"activation": "labels", "labels": {"spleen": 1}}},
            "must be left out for",
        ),
    ],
)
def test_flips_that_cannot_be_are_told(
    folder: Path, flips: object, changes: dict[str, Any], told: str
) -> None:
    data = changed("systems/vendor-a/flips", flips)
    data["systems"]["vendor-a"] |= changes
    (found,) = problems(folder, data)
    assert found.startswith(f"systems.vendor-a.flips: {told}")


def test_facts_of_the_training_are_kept_and_change_no_prediction(folder: Path) -> None:
    facts = {"patch": [96, 96, 64], "foreground_ratio": [0.001, 0.2]}
    (plain,) = read(folder, valid_data()).systems
    (system,) = read(folder, changed("systems/vendor-a/training", facts)).systems
    assert system.training == TrainingFacts((96, 96, 64), (0.001, 0.2))
    assert system_identity(system, "x") == system_identity(plain, "x")
    part = changed("systems/vendor-a/training", {"patch": [96, 96, 96]})
    assert read(folder, part).systems[0].training == TrainingFacts((96, 96, 96), None)


@pytest.mark.parametrize(
    ("written", "condition"),
    [
        ("clean", ("clean", 0.0)),
        ({"kamath_texture_blend": 0.3}, ("kamath_texture_blend", 0.3)),
        ({"texture_blend": 1}, ("texture_blend", 1.0)),  # beyond the listed levels, within physics
        ({"gaussian_noise": 20}, ("gaussian_noise", 20.0)),  # HU, as the cases are CT
        # severities 1 and 2 are 0.2 and 0.4: half way
        ({"perturbation": "texture_blend", "severity": 1.5}, ("texture_blend", 0.3)),
    ],
)
def test_the_condition_of_the_training_images_is_kept(
    folder: Path, written: object, condition: tuple[str, float]
) -> None:
    config = read(folder, changed("systems/vendor-a/training", {"condition": written}))
    (plain,), (system,) = read(folder, valid_data()).systems, config.systems
    assert system.training is not None
    known = system.training.condition
    assert known is not None
    assert known == pytest.approx(condition)
    assert system_identity(system, "x") == system_identity(plain, "x")
    told = config.canonical["systems"]["vendor-a"]["training"]["condition"]
    assert told == [*known]


def test_a_training_that_no_test_is_read_against_and_a_group_without_a_family_are_told(
    folder: Path,
) -> None:
    data = changed("systems/vendor-a/training", {"condition": {"texture_blend": 0.3}})
    data["systems"]["vendor-a"] |= {"family": "", "architecture_group": "standard"}
    told = [it for it in read(folder, data).warnings if it.startswith("systems.vendor-a")]
    assert any("texture_blend is not among the perturbations of this audit" in it for it in told)
    assert any("architecture_group: groups hold families" in it for it in told)
    data["perturbations"] = {**data["perturbations"], "texture_blend": {}}
    data["systems"]["vendor-a"]["family"] = "unet"
    assert not [it for it in read(folder, data).warnings if "training" in it or "groups" in it]


def test_without_a_modality_nobody_judges_the_level_of_a_training(folder: Path) -> None:
    data = changed("systems/vendor-a/training", {"condition": {"gaussian_noise": 20}})
    data["cases"]["modality"] = "xct"
    assert [it.partition(":")[0] for it in problems(folder, data)] == ["cases.modality"]


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"patch": [96]}, "patch: must be two or three whole numbers of at least 1"),
        ({"patch": [96, 0]}, "patch: must be two or three whole numbers of at least 1"),
        ({"foreground_ratio": [0.2, 0.1]}, "foreground_ratio: must be two rising shares between"),
        ({"foreground_ratio": [1, 20]}, "foreground_ratio: must be two rising shares between"),
        ({"patches": [96, 96]}, "patches: is not known; did you mean 'patch'?"),
        ({"condition": "dirty"}, "condition: must be clean, {name: level} or"),
        (
            {"condition": {"gamma_up": 1.2, "gibbs": 0.7}},
            "condition: must be clean, {name: level} or",
        ),
        (
            {"condition": {"texture_blendd": 0.3}},
            "condition: unknown perturbation 'texture_blendd'; did",
        ),
        (
            {"condition": {"texture_blend": 1.3}},
            "condition: level of texture_blend must lie between 0 and 1",
        ),
        (
            {"condition": {"texture_blend": 0}},
            "condition: must not be 0 share of texture_blend, which",
        ),
        ({"condition": {"gibbs": 0.7}}, "condition: gibbs is for mr, the scans are ct"),
        (
            {"condition": {"perturbation": "texture_blend", "severity": 6}},
            "condition: severity of texture_blend must lie in [0, 5], got 6",
        ),
    ],
)
def test_facts_of_the_training_that_cannot_be_are_told(
    folder: Path, facts: dict[str, Any], told: str
) -> None:
    (found,) = problems(folder, changed("systems/vendor-a/training", facts))
    assert found.startswith(f"systems.vendor-a.training.{told}")


def test_the_schema_for_editors_knows_the_settings() -> None:
    known = json_schema()["$defs"]["SystemShape"]["properties"]
    assert {"flips", "precision", "training", "expand"} <= set(known)
    assert known["precision"]["enum"] == ["float32", "float16", "bfloat16"]
    assert {"const": "all"} in known["flips"]["anyOf"]
    window = next(it for it in known["window"]["anyOf"] if it.get("type") == "object")
    assert {"type": "integer", "minimum": 1} in window["properties"]["size"]["anyOf"]
