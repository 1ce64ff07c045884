"""What the command line says of systems: read as YAML, over everything else, wrong ones named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from configurations import changed, valid_data, write_named_files

from auditor.config import AuditConfig, digest, parse_config, parse_fields, parse_settings
from auditor.errors import ConfigError
from auditor.schema import Certainty


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_named_files(tmp_path)


def read(folder: Path, *typed: str, data: dict[str, Any] | None = None) -> AuditConfig:
    settings = parse_settings(typed)
    return parse_config(data or valid_data(), folder=folder, name="audit.yaml", settings=settings)


def problems(folder: Path, *typed: str, data: dict[str, Any] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as error:
        read(folder, *typed, data=data)
    return tuple(error.value.problems)


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("a.input.axes=LPS", "a.input.axes", "LPS"),
        ("a.batch=4", "a.batch", 4),
        ("a.window.size=[96, 96, 32]", "a.window.size", [96, 96, 32]),
        ("a.window=null", "a.window", None),
        ("a.output.labels={left: 1, right: 2}", "a.output.labels", {"left": 1, "right": 2}),
        ("a.timeout_s=1e3", "a.timeout_s", 1000.0),
        ("a.family=x=y", "a.family", "x=y"),
    ],
)
def test_values_are_yaml(text: str, path: str, value: object) -> None:
    assert parse_settings([text]) == {path: value}


@pytest.mark.parametrize(
    "text", ["batch=4", "a.batch", "a.batch=[1", "a.batch={x: 1, x: 2}", "a.b=!!python/name:os.x"]
)
def test_what_is_no_setting_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"must be|stands twice; keep one"):
        parse_settings([text])


def test_a_field_of_the_contract_wins_and_says_who_set_it(folder: Path) -> None:
    before = read(folder)
    after = read(folder, "vendor-a.input.axes=lps", "vendor-a.output.threshold=0.3")
    spec = after.systems[0]
    assert (spec.input.axes, spec.output.threshold) == ("LPS", 0.3)
    sources = dict(spec.sources)
    assert sources["input.axes"] is Certainty.COMMAND_LINE
    assert sources["output.threshold"] is Certainty.COMMAND_LINE
    assert sources["input.clip"] is Certainty.DECLARED
    assert spec.input.clip == before.systems[0].input.clip
    # the lock sees another configuration
    assert digest(after) != digest(before)


def test_a_window_can_be_taken_away(folder: Path) -> None:
    assert read(folder, "vendor-a.window=null").systems[0].window is None


def test_other_fields_replace_what_stands_in_the_entry(folder: Path) -> None:
    spec = read(folder, "vendor-a.batch=4", "vendor-a.contract_sensitivity=false").systems[0]
    assert (spec.batch, spec.contract_sensitivity) == (4, False)


def test_a_star_is_every_system_and_a_name_wins_over_it(folder: Path) -> None:
    data = changed("systems/b", {"like": "vendor-a"})
    for criterion in data["criteria"].values():
        criterion["system"] = "b"
    specs = read(folder, "vendor-a.batch=2", "*.batch=8", "*.device=cuda:1", data=data).systems
    assert [(it.batch, it.device) for it in specs] == [(2, "cuda:1"), (8, "cuda:1")]
    assert parse_settings(["a.device=cpu"], device="cuda") == {
        "*.device": "cuda",
        "a.device": "cpu",
    }


def test_an_entry_with_expand_is_set_as_a_whole_or_one_by_one(folder: Path) -> None:
    data = changed(
        "systems/w",
        {"like": "vendor-a", "expand": {"window.size": [[64, 64, 64], [96, 96, 96]]}},
    )
    for criterion in data["criteria"].values():
        criterion["system"] = "vendor-a"
    config = read(folder, "w.window.overlap=0.25", "w-96.batch=3", data=data)
    found = [(it.name, it.window and it.window.overlap, it.batch) for it in config.systems]
    assert found == [("vendor-a", 0.5, 1), ("w-64", 0.25, 1), ("w-96", 0.25, 3)]


def test_names_with_dots_are_told_apart(folder: Path) -> None:
    data = changed("systems/vendor-a.2", {"like": "vendor-a"})
    for criterion in data["criteria"].values():
        criterion["system"] = "vendor-a"
    specs = read(folder, "vendor-a.2.batch=5", data=data).systems
    assert [it.batch for it in specs] == [1, 5]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vendor-b.batch=4", "--set vendor-b.batch: no system is called 'vendor-b'; did you mean 'vendor-a'?"),
        ("zzz.batch=4", "--set zzz.batch: no system is called 'zzz'; known are vendor-a"),
        ("vendor-a.batc=4", "systems.vendor-a.batc: is not known; did you mean 'batch'? (on the command line)"),
        (
            "vendor-a.input.axess=LPS",
            "systems.vendor-a.input.axess: is not known; did you mean 'axes'? (on the command line)",
        ),
        ("vendor-a.batch=0", "systems.vendor-a.batch: must be at least 1, was 0 (on the command line)"),
        ("*.batch=two", "systems.*.batch: must be a whole number, was 'two' (on the command line)"),
        (
            "vendor-a.device=gpu",
            "systems.vendor-a.device: must be cpu, cuda or cuda:1, was 'gpu' (on the command line)",
        ),
        ("vendor-a.like=b", "systems.vendor-a.like: cannot be set (on the command line)"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_what_it_should_be(
    folder: Path, text: str, expected: str
) -> None:
    assert problems(folder, text) == (expected,)


def test_a_wrong_value_of_the_contract_says_that_it_was_typed(folder: Path) -> None:
    (told,) = problems(folder, "vendor-a.input.axes=RAX")
    assert told.startswith("systems.vendor-a.input.axes: must be 'native' or")
    assert told.endswith("(on the command line)")


def test_settings_of_a_system_whose_entry_is_wrong_add_no_second_problem(folder: Path) -> None:
    data = changed("systems/b", {"checkpoint": 4})
    found = problems(folder, "b.batch=2", data=data)
    assert found == ("systems.b.checkpoint: must be text, was 4",)


def test_all_four_declared_sources_by_rank(folder: Path) -> None:
    """Each field is said by one source more than the one before; the strongest of them wins."""
    (folder / "own.yaml").write_text(
        yaml.safe_dump({"input": {"axes": "SAR", "zscore": "image", "scale_to": [0, 1]}})
    )
    data = valid_data()
    data["systems"]["vendor-a"]["contract"] = "own.yaml"
    data["systems"]["vendor-a"]["input"] = {"axes": "RAS", "zscore": "none"}
    spec = read(folder, "vendor-a.input.axes=LPS", data=data).systems[0]
    sources = dict(spec.sources)
    assert (spec.input.axes, sources["input.axes"]) == ("LPS", Certainty.COMMAND_LINE)
    assert (spec.input.zscore, sources["input.zscore"]) == ("none", Certainty.DECLARED)
    assert (spec.input.scale_to, sources["input.scale_to"]) == ((0.0, 1.0), Certainty.CONTRACT_FILE)
    assert "input.channels" not in sources


def test_fields_of_the_only_system_are_read_as_the_configuration_reads_them() -> None:
    typed = ["output.threshold=3e-1", "window.size = [8, 8]", "batch=2", "batch=4", "input.clip="]
    assert parse_fields(typed) == {
        "output.threshold": 0.3, "window.size": [8, 8], "batch": 4, "input.clip": None,
    }  # fmt: skip
    wrong = ["checkpoint=a.onnx", "like=b", "=4", "batch", "input={axes: RAS, axes: LPS}"]
    with pytest.raises(ConfigError) as caught:
        parse_fields(wrong)
    assert len(caught.value.problems) == len(wrong)
    for text, problem in zip(wrong, caught.value.problems, strict=True):
        assert problem.startswith(f"--set {text}: ")
    assert "stands twice" in caught.value.problems[-1]
