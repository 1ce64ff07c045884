"""What nobody declared is found by trying; what is declared stays; what cannot be found is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import ChannelLast, ConvNet, MultipleOf16, conv_graph, save_script
from torch import Tensor, nn
from typing_extensions import override

from auditor.schema import Certainty, ContractField, Geometry, SystemSpec, WindowSpec
from auditor.systems.completion import complete, filled, undeclared
from auditor.systems.contract import parse_contract

VOLUME = Geometry(
    shape=(10, 14, 12),
    spacing=(3.0, 0.8, 1.2),
    direction=((0.17, 0.0, 0.985), (0.0, 1.0, 0.0), (0.985, 0.0, -0.17)),
)
SLICE = Geometry(shape=(70, 90), spacing=(0.8, 1.2))
LABELS = {"labels": {"organ": 1}}


def spec_of(path: Path | None, **parts: Any) -> SystemSpec:
    parts.setdefault("output", LABELS)
    read = parse_contract([(Certainty.DECLARED, parts)], "systems.net")
    assert not read.problems
    return SystemSpec(
        "net",
        None if path is None else str(path),
        read.input,
        read.output,
        read.window,
        sources=read.sources,
        memory_gb=4.0,
    )


class OnlyOneSize(nn.Module):
    """Takes 64 x 64 voxels and no other size."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.size(2) != 64 or x.size(3) != 64:
            msg = "64 x 64, please"
            raise ValueError(msg)
        return torch.sigmoid(x)


class OnlyOneWindow(nn.Module):
    """Takes 24 x 40 x 40 voxels and no other size."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 5 or x.size(2) != 24 or x.size(3) != 40:
            msg = "24 x 40 x 40, please"
            raise ValueError(msg)
        return torch.sigmoid(x)


def test_everything_declared_means_nothing_is_tried() -> None:
    whole = spec_of(
        Path("no-such-file.onnx"),
        input={"channels": 1, "dims": 3, "layout": "channel_first", "divisor": [1, 1, 1]},
        output={**LABELS, "layout": "channel_first", "activation": "softmax"},
    )
    assert undeclared(whole) == frozenset()
    assert not complete(whole, [VOLUME]).fields  # the file does not even exist


def test_a_callable_and_a_command_are_not_probed() -> None:
    assert undeclared(spec_of(None)) == frozenset()


def test_sizes_are_looked_for_without_windows_only() -> None:
    assert undeclared(spec_of(Path("a"))) >= {"input.size", "input.divisor"}
    for parts in ({"window": {"size": [8, 8, 8]}}, {"input": {"divisor": [4, 4, 4]}}):
        assert not undeclared(spec_of(Path("a"), **parts)) & {"input.size", "input.divisor"}


def test_what_is_left_open_is_filled_in_with_its_source(tmp_path: Path) -> None:
    spec = spec_of(conv_graph(tmp_path / "net.onnx", dims=3, channels=2))
    found = complete(spec, [VOLUME])
    assert not found.problems
    assert not found.findings
    whole = filled(spec, found.fields)
    assert (whole.input.channels, whole.input.dims) == (2, 3)
    assert whole.output.activation == "softmax"
    sources = dict(whole.sources)
    assert sources["output.labels"] is Certainty.DECLARED
    assert sources["input.channels"] is Certainty.PROBED
    assert {it.source for it in found.fields} == {Certainty.PROBED}
    # nothing is open any more but sizes, which are free
    assert undeclared(whole) <= {"input.size", "input.divisor"}


def test_a_declared_field_is_never_changed(tmp_path: Path) -> None:
    spec = spec_of(Path("a"), input={"channels": 3})
    fields = [
        ContractField("input.channels", "1", Certainty.PROBED),
        ContractField("input.divisor", "[2, 16, 8]", Certainty.PROBED),
        ContractField("output.index", "1", Certainty.PROBED),
    ]
    whole = filled(spec, fields)
    assert whole.input.channels == 3
    assert whole.input.divisor == (2, 16, 8)
    assert whole.output.index == 1
    assert dict(whole.sources)["input.channels"] is Certainty.DECLARED


def test_a_divisor_of_flat_images_is_found(tmp_path: Path) -> None:
    # a convolution would take a volume; scans of two dimensions say which it is
    path = save_script(MultipleOf16(), tmp_path / "net.pt")
    whole = spec_of(path, output={**LABELS, "activation": "logits_softmax"})
    whole = filled(whole, complete(whole, [SLICE]).fields)
    assert (whole.input.dims, whole.input.divisor) == (2, (16, 16))


def test_a_declared_divisor_that_is_too_small_is_a_finding(tmp_path: Path) -> None:
    path = save_script(MultipleOf16(), tmp_path / "net.pt")
    known = {**LABELS, "activation": "logits_softmax"}
    found = complete(spec_of(path, input={"divisor": [4, 32]}, output=known), [SLICE])
    assert found.findings == (
        "input.divisor is declared as [4, 32], but sizes must be multiples of [16, 16]",
    )
    fits = complete(spec_of(path, input={"divisor": [16, 32]}, output=known), [SLICE])
    assert not fits.findings


@pytest.mark.slow
def test_channels_last_are_found_and_a_wrong_declaration_is_refused(tmp_path: Path) -> None:
    path = save_script(ChannelLast(), tmp_path / "net.pt")
    known = {**LABELS, "activation": "logits_softmax"}
    spec = spec_of(path, output=known)
    whole = filled(spec, complete(spec, [SLICE]).fields)
    assert (whole.input.layout, whole.output.layout) == ("channel_last", "channel_last")
    assert whole.input.channels == 2
    wrong = complete(spec_of(path, input={"layout": "channel_first"}, output=known), [SLICE])
    assert wrong.problems == (
        (
            "input.layout: channel_first is declared, but only channel_last is accepted; if that is "
            "right, write input: {layout: channel_last}"
        ),
    )


def test_volumes_asked_of_a_network_for_slices_are_refused(tmp_path: Path) -> None:
    path = conv_graph(tmp_path / "net.onnx", dims=2)
    spec = spec_of(path, window={"size": [16, 16, 16]})
    found = complete(spec, [VOLUME])
    assert len(found.problems) == 1
    assert found.problems[0].startswith(
        "input.dims: 3 follows from the scans or the lists, but only 2 is accepted"
    )


def test_an_activation_that_has_two_readings_is_asked_for(tmp_path: Path) -> None:
    path = save_script(ConvNet(dims=3, classes=2), tmp_path / "net.pt")
    found = complete(spec_of(path), [VOLUME])
    (problem,) = found.problems
    assert problem.startswith("output.activation: is required, as it could not be found by trying")
    assert "the last operation is conv3d" in problem
    assert problem.endswith("add output: {activation: logits_softmax}")
    told = complete(spec_of(path, output={**LABELS, "activation": "logits_softmax"}), [VOLUME])
    assert not told.problems
    # also where nothing else is open, so that nothing at all is found
    rest = {"channels": 1, "dims": 3, "layout": "channel_first", "divisor": [1, 1, 1]}
    alone = spec_of(path, input=rest, output={**LABELS, "layout": "channel_first"})
    assert complete(alone, [VOLUME]).problems == found.problems


class Twins(nn.Module):
    """Two outputs of which either could be the one."""

    @override
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.sigmoid(x), torch.sigmoid(-x)


def test_which_of_two_outputs_counts_is_asked_for(tmp_path: Path) -> None:
    path = save_script(Twins(), tmp_path / "net.pt")
    rest = {"channels": 1, "dims": 3, "layout": "channel_first", "divisor": [1, 1, 1]}
    output = {**LABELS, "layout": "channel_first"}
    found = complete(spec_of(path, input=rest, output=output), [VOLUME])
    assert [it.partition(":")[0] for it in found.problems] == ["output.index", "output.activation"]
    told = complete(spec_of(path, input=rest, output={**output, "index": 1}), [VOLUME])
    assert not told.problems
    assert [(it.name, it.value) for it in told.fields] == [("output.activation", "sigmoid")]


def test_a_declared_activation_that_the_answers_contradict_is_a_finding(tmp_path: Path) -> None:
    path = conv_graph(tmp_path / "net.onnx", dims=3)
    found = complete(spec_of(path, output={**LABELS, "activation": "logits_softmax"}), [VOLUME])
    assert len(found.findings) == 1
    assert found.findings[0].startswith(
        "output.activation is declared as logits_softmax, but it looks like softmax"
    )
    assert not found.problems


def test_a_fixed_size_is_filled_in_where_nothing_is_cropped_and_asked_for_elsewhere(
    tmp_path: Path,
) -> None:
    spec = spec_of(save_script(OnlyOneSize(), tmp_path / "net.pt"))
    small = Geometry(shape=(50, 64), spacing=(0.8, 1.2))
    found = complete(spec, [small])
    assert not found.problems
    assert filled(spec, found.fields).input.size == (64, 64)
    asked = complete(spec, [small, SLICE])
    assert len(asked.problems) == 1
    assert asked.problems[0].startswith(
        "input.size: is required, as the checkpoint takes [64, 64] only and a scan has [70, 90]; add "
        "window: {size: [64, 64]}"
    )


@pytest.mark.slow
def test_a_network_that_takes_nothing_but_its_window_is_probed_with_it(tmp_path: Path) -> None:
    spec = spec_of(save_script(OnlyOneWindow(), tmp_path / "net.pt"), window={"size": [24, 40, 40]})
    found = complete(spec, [VOLUME])
    assert not found.problems
    whole = filled(spec, found.fields)
    assert whole.output.activation == "sigmoid"
    assert whole.input.size is None
    assert whole.window == WindowSpec((24, 40, 40))


def test_a_network_of_which_nothing_is_accepted_is_asked_about(tmp_path: Path) -> None:
    found = complete(spec_of(save_script(OnlyOneWindow(), tmp_path / "net.pt")), [VOLUME])
    assert [it.partition(":")[0] for it in found.problems] == [
        "input.channels",
        "input.size",
        "output.activation",
    ]
    assert all("is required" in it and "; add " in it for it in found.problems)


@pytest.mark.parametrize("value", ["[1, two]", "nothing", "{a: 1}"])
def test_a_value_that_a_field_cannot_hold_is_no_field(value: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        filled(spec_of(Path("a")), [ContractField("input.divisor", value, Certainty.PROBED)])
