from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from auditor.errors import ConfigError
from auditor.schema import Certainty, ContractStatus, InputSpec, OutputSpec, SystemSpec, WindowSpec
from auditor.systems.contract import (
    Told,
    build_contract,
    contract_fields,
    find_contract_file,
    parse_contract,
    parse_input,
    parse_output,
    parse_window,
    read_contract_file,
)

WHERE = "systems.vendor-a"


def test_a_full_declaration_is_read_into_the_records() -> None:
    spec, problems = parse_input(
        {
            "channels": 2,
            "axes": "ras",
            "spacing_mm": [1.5, 1.5, 2],
            "clip": [-57, 164],
            "clip_quantiles": [0.005, 0.995],
            "scale_to": [0, 1],
            "zscore": "nonzero",
            "affine": [255, -1],
            "size": [96, 96, 64],
            "fit": "resize",
            "divisor": [16, 16, 8],
            "layout": "channel_last",
            "dims": 3,
        },
        f"{WHERE}.input",
    )
    assert problems == []
    assert spec == InputSpec(
        channels=2,
        axes="RAS",
        spacing_mm=(1.5, 1.5, 2.0),
        clip=(-57.0, 164.0),
        clip_quantiles=(0.005, 0.995),
        scale_to=(0.0, 1.0),
        zscore="nonzero",
        affine=(255.0, -1.0),
        size=(96, 96, 64),
        fit="resize",
        divisor=(16, 16, 8),
        layout="channel_last",
        dims=3,
    )


def test_labels_keep_the_order_in_which_they_are_declared() -> None:
    spec, problems = parse_output(
        {"activation": "sigmoid", "labels": {"whole": 2, "core": 1}, "threshold": 0.4, "index": 1},
        "o",
    )
    assert problems == []
    assert spec == OutputSpec("sigmoid", (("whole", 2), ("core", 1)), threshold=0.4, index=1)


def test_channels_may_differ_in_their_intensities() -> None:
    told = {
        "channels": 2,
        "clip": [[-57, 164], None],
        "zscore": ["none", "image"],
        "affine": [[0.5, 0], [0.5, 0]],
        "scale_to": None,
    }
    spec, problems = parse_input(told, "i")
    assert problems == []
    assert spec.clip == ((-57.0, 164.0), None)
    assert spec.zscore == ("none", "image")
    assert spec.affine == (0.5, 0.0)  # the same for both: one value
    text = {f.name: f.value for f in contract_fields(SystemSpec("a", input=spec))}
    assert text["input.clip"] == "[[-57, 164], none]"
    assert text["input.zscore"] == "[none, image]"


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        ({"labels": {"a": 1}, "channels": {"b": 2}}, "o.channels: must name labels, b is none"),
        ({"labels": {"a": 1, "b": 2}, "channels": {"a": 2}}, "a channel of its own, got [2, 2]"),
        ({"labels": {"a": 1}, "channels": {"a": 2}, "activation": "labels"}, "o.channels: needs"),
        ({"labels": {"a": 1}, "resampled": "logits", "activation": "labels"}, "o.resampled: needs"),
    ],
)
def test_channels_of_labels_are_checked(mapping: object, problem: str) -> None:
    _, problems = parse_output(mapping, "o")
    assert len(problems) == 1
    assert problem in problems[0]


def test_a_window_without_a_mapping_is_the_whole_image() -> None:
    assert parse_window(None, "w") == (None, [])
    assert parse_window({"size": [96, 96], "overlap": 0, "blend": "constant"}, "w") == (
        WindowSpec((96, 96), 0.0, "constant"),
        [],
    )


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        ({"spacing": [1, 1, 1]}, "i.spacing: is not known; did you mean 'spacing_mm'?"),
        ({"axes": "RAX"}, "i.axes: must be 'native' or two or three letters"),
        ({"axes": 3}, "i.axes: must be 'native'"),
        ({"spacing_mm": [1, 0, 1]}, "i.spacing_mm: must be two or three positive numbers in mm"),
        ({"spacing_mm": 1.5}, "got 1.5"),
        ({"clip": [164, -57]}, "i.clip: must be two ascending numbers in the scan's units"),
        ({"clip_quantiles": [0.5, 99.5]}, "i.clip_quantiles: must be two ascending numbers in [0,"),
        (
            {"scale_to": [0]},
            "i.scale_to: must be two ascending numbers, as [0, 1], or one such entry",
        ),
        ({"zscore": True}, "i.zscore: must be one of none, image, nonzero, filled, or one"),
        ({"transpose": [0, 2]}, "i.transpose: must be the native axes, counted from 0"),
        ({"transpose": [True, 0, 2]}, "i.transpose: must be the native axes, counted from 0"),
        ({"axes": "RAS", "transpose": [0, 2, 1]}, "i.transpose: needs axes: native"),
        ({"clip": [[0, 1], [2, 3]]}, "one for each of the 1 of input.channels, got 2"),
        ({"clip": [[0, 1], 3]}, "i.clip: must be two ascending numbers"),
        ({"interpolation": "sinc"}, "i.interpolation: must be one of linear, cubic"),
        ({"affine": [float("nan"), 0]}, "i.affine: must be two numbers"),
        ({"size": [96.5, 96, 96]}, "i.size: must be two or three whole numbers"),
        ({"dims": 4}, "i.dims: must be 2 or 3, got 4"),
        ({"channels": True}, "i.channels: must be a whole number of at least 1, got True"),
        ({"fit": "resize"}, "i.fit: needs size"),
        (
            {"axes": "RAS", "size": [96, 96]},
            "i: axes and lists must have one entry per axis, got: size has 2, axes has 3",
        ),
        ("RAS", "i: must hold some of channels, axes"),
    ],
)
def test_each_wrong_input_field_says_where_what_must_be_and_what_was(
    mapping: object, problem: str
) -> None:
    _, problems = parse_input(mapping, "i")
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        ({}, "o.labels: is required"),
        ({"labels": {"liver": 0}}, "o.labels: must be printable names with their channel"),
        ({"labels": {"liver\nx": 1}}, "o.labels: must be printable names with their channel"),
        ({"labels": {"liver": 1, "spleen": 1}}, "another whole number from 1 to 65535 for each"),
        ({"labels": {"liver": 65536}}, "another whole number from 1 to 65535 for each"),
        ({"labels": ["liver"]}, "got ['liver']"),
        ({"labels": {"a": 1}, "activation": "argmax"}, "o.activation: must be one of softmax,"),
        ({"labels": {"a": 1}, "threshold": 1}, "o.threshold: must be a number between 0 and 1"),
        ({"labels": {"a": 1}, "index": -1}, "o.index: must be the number of an output"),
    ],
)
def test_each_wrong_output_field_says_what_must_be(mapping: object, problem: str) -> None:
    _, problems = parse_output(mapping, "o")
    assert len(problems) == 1
    assert problem in problems[0]


def test_all_problems_of_a_contract_are_told_at_once() -> None:
    declared: dict[str, object] = {
        "input": {"axis": "RAS", "clip": [1, 1]},
        "output": {"labels": {"a": 1}, "activations": "softmax"},
        "window": {"size": [64, 64, 64], "overlap": 1},
    }
    parts = parse_contract([(Certainty.DECLARED, declared)], WHERE)
    assert [problem.split(":")[0] for problem in parts.problems] == [
        f"{WHERE}.input.axis",
        f"{WHERE}.input.clip",
        f"{WHERE}.output.activations",
        f"{WHERE}.window.overlap",
    ]
    assert parts.window == WindowSpec((64, 64, 64))


def test_the_window_must_fit_the_axes_and_the_divisor() -> None:
    output = {"labels": {"a": 1}}
    flat = {"input": {"axes": "RAS"}, "output": output, "window": {"size": [64, 64]}}
    assert (
        "window.size: must have 3 numbers"
        in parse_contract([(Certainty.DECLARED, flat)], WHERE).problems[0]
    )
    odd = {
        "input": {"divisor": [16, 16, 16]},
        "output": output,
        "window": {"size": [64, 72, 64]},
    }
    assert (
        "must be multiples of input.divisor"
        in parse_contract([(Certainty.DECLARED, odd)], WHERE).problems[0]
    )
    slices = {
        "input": {"axes": "SAR", "dims": 2},
        "output": output,
        "window": {"size": [64, 64]},
    }
    assert parse_contract([(Certainty.DECLARED, slices)], WHERE).problems == ()


def test_a_later_source_wins_over_an_earlier_one_field_by_field() -> None:
    sidecar = {
        "input": {"axes": "SAR", "spacing_mm": [3, 3, 3], "clip": [0, 9]},
        "output": {"labels": {"organ": 1}, "activation": "sigmoid"},
    }
    file = {
        "input": {"axes": "RAS", "spacing_mm": [1, 1, 2]},
        "output": {"labels": {"spleen": 1}},
        "window": {"size": [96, 96, 96]},
    }
    declared = {"input": {"axes": "LPS", "zscore": "image"}, "window": None}
    parts = parse_contract(
        [
            (Certainty.SIDECAR, sidecar),
            (Certainty.CONTRACT_FILE, file),
            (Certainty.DECLARED, declared),
            (Certainty.COMMAND_LINE, {"input": {"zscore": "nonzero"}}),
        ],
        WHERE,
    )
    assert parts.problems == ()
    assert parts.input == InputSpec(
        axes="LPS", spacing_mm=(1.0, 1.0, 2.0), clip=(0.0, 9.0), zscore="nonzero"
    )
    assert parts.window is None
    assert parts.sources == (
        ("input.axes", Certainty.DECLARED),
        ("input.clip", Certainty.SIDECAR),
        ("input.spacing_mm", Certainty.CONTRACT_FILE),
        ("input.zscore", Certainty.COMMAND_LINE),
        ("output.activation", Certainty.SIDECAR),
        ("output.labels", Certainty.CONTRACT_FILE),
    )


def test_one_number_for_a_window_takes_the_axes_of_the_last_who_named_them() -> None:
    told: list[Told] = [
        (Certainty.SIDECAR, {"window": {"size": [96, 96, 96]}, "output": {"labels": {"organ": 1}}}),
        (Certainty.CONTRACT_FILE, {"window": {"size": [64, 64]}}),
        (Certainty.COMMAND_LINE, {"window": {"size": 32}}),
    ]
    assert parse_contract(told, WHERE).window == WindowSpec((32, 32))


def test_logits_cannot_come_back_from_a_size_that_cuts() -> None:
    output = {"labels": {"organ": 1}, "activation": "logits_softmax", "resampled": "logits"}
    sized = {"input": {"size": [64, 64], "fit": "pad"}, "output": output}
    whole = {"input": {"size": [64, 64], "fit": "resize"}, "output": output}
    (problem,) = parse_contract([(Certainty.DECLARED, sized)], WHERE).problems
    assert problem.startswith("systems.vendor-a.output.resampled: logits need input.fit: resize")
    assert parse_contract([(Certainty.DECLARED, whole)], WHERE).problems == ()


def test_a_contract_lists_every_field_sorted_with_its_source() -> None:
    spec = SystemSpec(
        name="vendor-a",
        input=InputSpec(axes="RAS", spacing_mm=(1.5, 1.5, 2.0)),
        output=OutputSpec(labels=(("spleen", 1), ("liver", 2))),
        sources=(("input.axes", Certainty.DECLARED), ("output.labels", Certainty.SIDECAR)),
    )
    fields = {f.name: f for f in contract_fields(spec)}
    assert list(fields) == sorted(fields)
    assert fields["input.spacing_mm"].value == "[1.5, 1.5, 2]"
    assert fields["input.clip"].value == "none"
    assert fields["output.labels"].value == "{spleen: 1, liver: 2}"
    assert fields["output.labels"].source == Certainty.SIDECAR
    assert fields["input.channels"].source == Certainty.DEFAULT
    assert fields["window"].value == "whole image"
    windowed = SystemSpec(name="b", window=WindowSpec((96, 96, 64), 0.25))
    names = [f.name for f in contract_fields(windowed)]
    assert [n for n in names if n.startswith("window")] == [
        "window.blend",
        "window.overlap",
        "window.padding",
        "window.placement",
        "window.size",
    ]
    contract = build_contract(spec, status=ContractStatus.IN_DOUBT, note="axes")
    assert (contract.status, contract.note) == (ContractStatus.IN_DOUBT, "axes")


def test_a_contract_file_is_found_beside_its_checkpoint(tmp_path: Path) -> None:
    checkpoint = tmp_path / "net.onnx"
    assert find_contract_file(checkpoint) is None
    (tmp_path / "contract.yaml").write_text("input: {axes: RAS}\n")
    assert find_contract_file(checkpoint) == tmp_path / "contract.yaml"
    (tmp_path / "net.contract.yaml").write_text("input: {axes: LPS}\n")
    found = find_contract_file(checkpoint)
    assert found is not None
    assert read_contract_file(found) == {"input": {"axes": "LPS"}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("inputs: {axes: RAS}", "did you mean 'input'?"),
        ("- input", "must hold input, output and window, got list"),
        ("input: {axes: RAS", "contract.yaml must be YAML"),
        ("input: !!python/object/apply:os.system ['true']", "contract.yaml must be YAML"),
        ("\x00", "contract.yaml must be YAML"),
        ("input: {axes: RAS, axes: LPS}", "line 1: the key 'axes' stands twice"),
        ("output: {}\noutput: {}", "line 2: the key 'output' stands twice"),
    ],
)
def test_an_unusable_contract_file_is_refused_in_words(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_contract_file(path)
    assert words in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_reading_contracts_imports_no_torch() -> None:
    code = "import sys, auditor.systems.contract; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
