"""Commands and predictions in audit.yaml: what may stand there, what may not, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from configurations import valid_data, write_named_files

from auditor.config import AuditConfig, parse_config
from auditor.errors import ConfigError

COMMAND = ["predict", "-i", "{input}", "-o", "{output}"]


def with_system(**system: Any) -> dict[str, Any]:
    data = valid_data()
    labels = {"output": {"labels": {"spleen": 1}}}
    data["systems"] = {"vendor-a": {**labels, **system}}
    return data


def read(folder: Path, **system: Any) -> AuditConfig:
    return parse_config(with_system(**system), folder=write_named_files(folder))


def problems(folder: Path, **system: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, **system)
    return [it.removeprefix("systems.vendor-a") for it in caught.value.problems]


def test_a_command_is_a_list_or_one_text_split_as_a_shell_does(tmp_path: Path) -> None:
    text = "nnUNetv2_predict -i {input} -o '{output}' -d 3 --name 'two words'"
    words = (
        *("nnUNetv2_predict", "-i", "{input}", "-o", "{output}", "-d", "3"),
        *("--name", "two words"),
    )
    for given in (text, [*words[:6], 3, *words[7:]]):
        (spec,) = read(tmp_path, command=given).systems
        assert spec.command == words
        assert spec.runs_in == str(tmp_path)
        assert spec.checkpoint is None
        assert spec.output.activation == "labels"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["x", {"input": None}, "{output}"], 'in quotes: "{input}"'),
        (["x", "{input}"], "must hold {output}"),
        ("x", "must hold {input} and {output}"),
        (["x", "{input}", "{output}", "{cases}"], "no other brace, got '{cases}'"),
        (["x", "{input}", "{output}", "{{"], "no other brace"),
        (["x", "{input}", "{output}", "a}"], "no other brace"),
        ("x '{input} {output}", "quotes are closed"),
        ([], "must begin with a program"),
        (["", "{input}", "{output}"], "must begin with a program"),
        (5, "must be one text"),
        (["x", True, "{input}", "{output}"], "must be one text"),
    ],
)
def test_a_command_that_cannot_be_meant_is_said(tmp_path: Path, command: Any, told: str) -> None:
    (problem,) = problems(tmp_path, command=command)
    assert problem.startswith(".command: ")
    assert told in problem


def test_a_system_is_one_thing(tmp_path: Path) -> None:
    told = problems(tmp_path, command=COMMAND, checkpoint="vendor_a.onnx", predictions="there")
    assert told == [
        ": must have one of checkpoint, command, predictions, has checkpoint and command and predictions"
    ]
    (told_none,) = problems(tmp_path)
    assert told_none.startswith(".checkpoint: is required")


def test_what_a_command_does_itself_must_be_left_out_all_at_once(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        command=COMMAND,
        input={"spacing_mm": [1, 1, 1], "clip": [0, 1], "channels": 1},
        window={"size": [8, 8, 8]},
        output={"labels": {"spleen": 1}, "activation": "softmax", "threshold": 0.4},
        batch=2,
        memory_gb=3.0,
        threads=2,
    )
    assert told == [
        ".batch: must be left out, the command does this itself",
        ".input.clip: must be left out, the command does this itself",
        ".input.spacing_mm: must be left out, the command does this itself",
        ".memory_gb: must be left out, the command does this itself",
        (
            ".output.activation: must be labels (or left out), for command gives label maps, was softmax"
        ),
        ".output.threshold: must be left out, the command does this itself",
        (".threads: is said, but the command does not use it; write {threads} where it belongs"),
        ".window.size: must be left out, the command does this itself",
    ]


def test_labels_are_required_and_may_come_from_the_audit(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, command=COMMAND, output=None)
    assert ".output.labels: is required" in told
    data = {**with_system(command=COMMAND, output=None), "labels": {"spleen": 1}}
    (spec,) = parse_config(data, folder=tmp_path).systems
    assert spec.output.labels == (("spleen", 1),)


def test_predictions_have_labels_and_nothing_to_run(tmp_path: Path) -> None:
    told = problems(
        tmp_path, predictions="there", golden="golden.csv", device="cpu", timeout_s=3.0,
        input={"channels": 2}, files="single",
    )  # fmt: skip
    keys = [it.partition(":")[0] for it in told]
    assert keys == [".device", ".files", ".golden", ".input.channels", ".timeout_s"]
    assert all("predictions were made elsewhere" in it for it in told)
    # the folder need not be there yet: `segaudit scans` comes first
    (spec,) = read(tmp_path, predictions="there", version="3.1").systems
    assert spec.predictions == str(tmp_path / "there")
    assert (spec.version, spec.output.activation) == ("3.1", "labels")


def test_files_and_version_are_no_matter_of_a_checkpoint(tmp_path: Path) -> None:
    told = problems(tmp_path, checkpoint="vendor_a.onnx", files="single", version="1")
    assert [it.partition(":")[0] for it in told] == [".files", ".version"]


def test_an_entry_that_is_like_another_runs_what_it_names_itself(tmp_path: Path) -> None:
    data = with_system(command=COMMAND, family="unet")
    data["systems"]["there"] = {"like": "vendor-a", "predictions": "there"}
    data["systems"]["again"] = {"like": "vendor-a", "files": "single"}
    for criterion in data["criteria"].values():
        criterion["system"] = "vendor-a"
    _, there, again = parse_config(data, folder=write_named_files(tmp_path)).systems
    assert (there.command, there.predictions) == ((), str(tmp_path / "there"))
    assert there.family == "unet"
    assert (again.command, again.files) == (tuple(COMMAND), "single")


def test_a_callable_is_no_command(tmp_path: Path) -> None:
    data = with_system(command=COMMAND)
    with pytest.raises(ConfigError, match=r"command: must be left out, the system is a callable"):
        parse_config(data, folder=write_named_files(tmp_path), callables=["vendor-a"])


def test_the_lock_holds_no_folder_of_this_machine(tmp_path: Path) -> None:
    weights = tmp_path / "Jane Doe" / "weights.pt"
    weights.parent.mkdir()
    weights.write_bytes(b"1")
    command = [
        str(tmp_path / "bin" / "predict"), str(weights), f"--weights={weights}",
        "--cache=/home/jane/cache/x", "-v", "/home/jane/models:/models:ro", "-v={input}:/in/put:ro",
        "file:///home/jane/a.txt", "docker://host.org/net:1", "{output}",
    ]  # fmt: skip
    config = read(tmp_path, command=command)
    known = config.canonical["systems"]["vendor-a"]
    # also folders inside a container are cut: nobody can tell them from those of this machine
    assert known["command"] == [
        "predict", "weights.pt", "--weights=weights.pt", "--cache=x", "-v", "models:/models:ro",
        "-v={input}:put:ro", "a.txt", "docker://host.org/net:1", "{output}",
    ]  # fmt: skip
    text = json.dumps(config.canonical, default=str)
    assert str(tmp_path) not in text
    assert "jane" not in text.lower()
    assert "{input}" in text
    assert "docker://host.org/net:1" in text
