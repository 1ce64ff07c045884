"""Probes of networks that can be looked into, without a process for each."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from checkpoints import ChannelLast, ConvNet, MultipleOf16, Named, Threshold
from in_process import InProcess, of_module, probed
from torch import Tensor, nn
from typing_extensions import override

from auditor.schema import InputSpec, OutputSpec, Status, SystemSpec, WindowSpec
from auditor.systems.probe.behaviour import difference
from auditor.systems.runners import RunFailure


class Then(nn.Module):
    """A network with something after it."""

    def __init__(self, net: nn.Module, last: Any) -> None:
        super().__init__()
        self.net, self.last = net, last

    @override
    def forward(self, x: Tensor) -> Any:
        return self.last(self.net(x))


def head(last: Any, *, classes: int = 3, dims: int = 2) -> InProcess:
    return of_module(Then(ConvNet(dims=dims, classes=classes), last).eval())


def swapped_softmax(x: Tensor) -> Tensor:
    return x.transpose(1, 3).softmax(dim=3).transpose(1, 3)


def one_hot(x: Tensor) -> Tensor:
    return nn.functional.one_hot(x.argmax(dim=1), 3).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize(
    ("last", "classes", "activation"),
    [
        (lambda x: x.softmax(dim=1), 3, "softmax"),
        (swapped_softmax, 3, "softmax"),
        (one_hot, 3, "softmax"),
        (lambda x: x.sigmoid(), 3, "sigmoid"),
        (lambda x: x.sigmoid(), 1, "sigmoid"),
        (lambda x: x.sigmoid_(), 1, "sigmoid"),
        (lambda x: x > 0, 3, "sigmoid"),
        (lambda x: x.log_softmax(dim=1), 3, "logits_softmax"),
        (lambda x: x.argmax(dim=1), 3, "labels"),
        (lambda x: x.max(dim=1, keepdim=True)[1], 3, "labels"),
        (lambda x: (x > 0).float(), 1, "labels"),
        (lambda x: x, 1, "logits_sigmoid"),
    ],
)
def test_an_activation_is_believed_when_values_and_last_operation_agree(
    last: Any, classes: int, activation: str
) -> None:
    report, found = probed(head(last, classes=classes), thorough=False)
    assert found["output.activation"] == activation
    assert "output.activation" not in {question.name for question in report.questions}
    assert any(it.startswith(f"output.activation {activation}: ") for it in report.findings)


@pytest.mark.parametrize(
    ("last", "classes", "seen"),
    [
        (lambda x: x, 3, "the last operation is conv2d"),
        (lambda x: x.relu(), 1, "the last operation is relu"),
        (
            lambda x: x.relu().clamp(max=1),
            2,
            "the values lie in [0, 1], the last operation is clamp",
        ),
        (lambda x: (x.tanh() + 1) / 2, 1, "the values lie in [0, 1], the last operation is div"),
        (lambda x: x.softmax(dim=2), 3, "the last operation is softmax along axis 2"),
        (lambda x: x.softmax(dim=1), 1, "the values are the same everywhere"),
        (lambda x: x / 0, 3, "NaN or infinite"),
    ],
)
def test_otherwise_the_activation_is_asked_for_with_what_was_seen(
    last: Any, classes: int, seen: str
) -> None:
    report, found = probed(head(last, classes=classes), thorough=False)
    assert "output.activation" not in found
    (question,) = [q for q in report.questions if q.name == "output.activation"]
    assert seen in question.why
    assert question.line == "output: {activation: logits_softmax}"


def test_an_answer_by_name_is_chosen_by_its_key() -> None:
    report, found = probed(of_module(Named()))
    assert found["output.index"] == "logits"
    assert found["output.activation"] == "logits_sigmoid"
    told = next(it for it in report.findings if it.startswith("3 outputs: "))
    assert told.startswith(
        "3 outputs: half (1, 1, 32, 32), logits (1, 1, 64, 64), labels (1, 64, 64)"
    )
    assert told.endswith("logits is taken, by its key")


class Pyramid(nn.Module):
    """Logits of half the size, of the size, and of a quarter, as deep supervision leaves them."""

    @override
    def forward(self, x: Tensor) -> list[Tensor]:
        two = torch.cat([x, -x], dim=1)
        pool = nn.functional.avg_pool2d
        return [pool(two, 2), two.softmax(dim=1), pool(two, 4)]


def test_of_deep_supervision_the_largest_is_taken_and_said() -> None:
    report, found = probed(of_module(Pyramid()))
    assert found["output.index"] == "1"
    assert found["output.activation"] == "softmax"
    assert "input.divisor" not in found  # pooling leaves a rest out
    assert any("1 is taken, the largest" in it for it in report.findings)


class Equals(nn.Module):
    """Two outputs that could both be the prediction."""

    @override
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.sigmoid(), torch.cat([x, -x], dim=1).softmax(dim=1)


def test_outputs_of_one_size_are_asked_for_and_so_is_what_depends_on_them() -> None:
    report, found = probed(of_module(Equals()), thorough=False)
    assert "output.index" not in found
    assert "output.activation" not in found
    names = [question.name for question in report.questions]
    assert "output.index" in names
    declared = SystemSpec("net", output=OutputSpec(index=1))
    report, found = probed(of_module(Equals()), spec=declared, declared=frozenset({"output.index"}))
    assert found["output.activation"] == "softmax"
    assert report.classes == 2
    assert "output.index" not in {question.name for question in report.questions}


def test_channels_at_the_end_are_found_on_both_sides() -> None:
    _, found = probed(of_module(ChannelLast()))
    assert (found["input.layout"], found["output.layout"]) == ("channel_last", "channel_last")
    assert (found["input.channels"], found["input.dims"]) == ("2", "2")


class LastToFirst(nn.Module):
    """Takes channels last and answers with channels first."""

    def __init__(self) -> None:
        super().__init__()
        self.net = ConvNet(dims=2, channels=3)

    @override
    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.net(x.permute(0, 3, 1, 2))
        return answer.softmax(dim=1)


def test_layouts_of_input_and_output_may_differ() -> None:
    _, found = probed(of_module(LastToFirst()), thorough=False)
    assert (found["input.layout"], found["output.layout"]) == ("channel_last", "channel_first")
    assert (found["input.channels"], found["output.activation"]) == ("3", "softmax")


def test_a_divisor_is_found_per_axis() -> None:
    class Anisotropic(nn.Module):
        @override
        def forward(self, x: Tensor) -> Tensor:
            down = nn.functional.max_pool3d(x, (1, 4, 8))
            up = nn.functional.interpolate(down, scale_factor=(1.0, 4.0, 8.0))
            return torch.cat([x, up], dim=1)

    _, found = probed(of_module(Anisotropic()), thorough=False)
    assert found["input.divisor"] == "[1, 4, 8]"
    assert "input.size" not in found
    _, found = probed(of_module(MultipleOf16()), thorough=False)
    assert found["input.divisor"] == "[16, 16]"


class Fixed(nn.Module):
    """Works at one size only."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 1, sizes[0] * sizes[1]).reshape(1, 1, *sizes))
        self.conv = nn.Conv2d(1, 2, 1)

    @override
    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.conv(x) * self.scale
        return answer.softmax(dim=1)


def test_a_fixed_size_is_found_or_asked_for() -> None:
    _, found = probed(of_module(Fixed(64, 64)))
    assert found["input.size"] == "[64, 64]"
    report, found = probed(of_module(Fixed(40, 56)))
    assert found == {}
    assert {"input.size", "input.channels"} < {question.name for question in report.questions}
    # the window is a size that the user knows
    spec = SystemSpec("net", window=WindowSpec((40, 56)))
    _, found = probed(of_module(Fixed(40, 56)), spec=spec)
    assert found["output.activation"] == "softmax"
    assert "input.size" not in found


def test_what_is_declared_restricts_the_tries_and_is_not_found_again() -> None:
    net = of_module(Then(ConvNet(dims=2, channels=7), nn.Softmax(dim=1)).eval())
    shapes = []
    run = net.run

    def counted(pieces: Any, spec: SystemSpec) -> Any:
        shapes.append(pieces[0].shape)
        return run(pieces, spec)

    net.run = counted  # type: ignore[method-assign]
    declared = {"input.channels", "input.divisor", "input.layout", "input.clip", "output.labels"}
    spec = SystemSpec("net", input=InputSpec(channels=7, divisor=(12, 20)))
    report, found = probed(net, spec=spec, declared=frozenset(declared), thorough=False)
    assert found == {
        "input.dims": "2",
        "output.activation": "softmax",
        "output.layout": "channel_first",
    }
    assert report.questions == ()
    # 64 x 64 made a multiple of (12, 20), five inputs and nothing else
    assert shapes == [(7, 72, 80)] * len(shapes)
    assert len(shapes) == 5


def test_a_declaration_that_the_network_contradicts_is_said() -> None:
    spec = SystemSpec("net", input=InputSpec(channels=2), output=OutputSpec(activation="softmax"))
    report, found = probed(
        head(lambda x: x.sigmoid()), spec=spec, declared=frozenset({"output.activation"})
    )
    assert "output.activation" not in found
    (told,) = [it for it in report.findings if "is declared as" in it]
    assert told.startswith("output.activation is declared as softmax, but it looks like sigmoid")
    report, found = probed(
        head(lambda x: x.sigmoid()), spec=spec, declared=frozenset({"input.channels"})
    )
    assert found == {}
    (told,) = [it for it in report.findings if "no tried input was accepted" in it]
    assert "2 channels" in told
    assert "the last one because: " in told


class Counting(nn.Module):
    """Another answer from the second call on."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    @override
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + (1.0 if self.calls > 1 else 0.0)


def test_dependence_on_the_number_of_calls_is_found_in_a_fresh_process() -> None:
    from in_process import TorchModel

    report, _ = probed(InProcess(lambda: TorchModel(Counting())))
    (told,) = [it for it in report.findings if "number of calls" in it]
    assert "differs by 1 " in told or "differs by 0." in told
    report, _ = probed(of_module(ConvNet(dims=2).eval()))
    assert not any("number of calls" in it for it in report.findings)


def test_live_dropout_and_norms_are_named_and_their_effect_is_seen() -> None:
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.4), nn.Conv2d(4, 1, 1)]
    report, _ = probed(of_module(nn.Sequential(*layers).train()))
    assert report.description is not None
    assert report.description.live == (
        "batch normalisation uses the statistics of its input, as in training",
        "dropout with a probability of 0.4 is switched on",
    )
    assert any("the same input gives another answer" in it for it in report.findings)
    report, _ = probed(of_module(nn.Sequential(*layers).eval()))
    assert report.description is not None
    assert report.description.live == ()
    assert report.batches == "alike"
    assert not any("another answer" in it for it in report.findings)


def test_batches_that_mix_their_images_and_batches_that_are_refused_are_told_apart() -> None:
    class Mixes(nn.Module):
        @override
        def forward(self, x: Tensor) -> Tensor:
            return x - x.mean()

    class One(nn.Module):
        @override
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(1, *x.shape[1:]) * 2

    report, _ = probed(of_module(Mixes()))
    assert report.batches == "differ"
    report, _ = probed(of_module(One()))
    assert report.batches == "refused"
    assert any("keep batch: 1" in it for it in report.findings)


def test_the_time_limit_says_what_was_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    report, found = probed(head(lambda x: x.softmax(dim=1)), limit_s=600.0)
    assert report.not_tried == ()
    # every look at the clock takes a second: the input is accepted in time, and then it is over
    needed = next(n for n in range(10, 400) if _accepted_within(n))
    report, found = probed(head(lambda x: x.softmax(dim=1)), limit_s=float(needed + 1))
    assert found == {
        "input.channels": "1",
        "input.dims": "2",
        "input.layout": "channel_first",
        "output.layout": "channel_first",
    }
    assert "whether sizes may change, and their divisor" in report.not_tried
    asked = {question.name for question in report.questions}
    assert {"input.divisor", "output.activation"} < asked
    assert any(it.startswith("probing ended after its ") for it in report.findings)
    report, found = probed(head(lambda x: x.softmax(dim=1)), limit_s=3.0)
    assert found == {}
    assert report.not_tried == ("other channels, layouts and sizes of the input",)


def _accepted_within(seconds: int) -> bool:
    _, found = probed(head(lambda x: x.softmax(dim=1)), limit_s=float(seconds), thorough=False)
    return bool(found)


def test_crashes_and_time_outs_end_the_probe() -> None:
    net = of_module(ConvNet(dims=2).eval())
    tried = []

    def crash(pieces: Any, spec: SystemSpec) -> Any:
        tried.append((pieces[0].shape, spec.input.channels))
        raise RunFailure((Status.CRASHED, Status.TIMED_OUT)[len(tried) % 2], "it is gone")

    net.run = crash  # type: ignore[method-assign]
    report, found = probed(net)
    assert (found, len(tried)) == ({}, 3)
    assert report.findings[0].startswith(
        "probing was given up after 3 crashes or time-outs; not tried"
    )
    assert report.findings[1].endswith("because: it is gone")


def test_skips_are_counted_again_at_twice_the_size_when_the_bottom_was_one_voxel() -> None:
    class Deep(nn.Module):
        """Halves six times, with a skip around the last of them."""

        def __init__(self) -> None:
            super().__init__()
            self.bottom = nn.Conv2d(1, 1, 3, padding=1)  # one of a voxel is pooled context
            self.side = nn.Conv2d(1, 1, 3, padding=1)

        @override
        def forward(self, x: Tensor) -> Tensor:
            low = nn.functional.avg_pool2d(x, 32)
            side = torch.relu(self.side(low))
            bottom = self.bottom(nn.functional.avg_pool2d(side, 2))
            up = nn.functional.interpolate(self.bottom(bottom), scale_factor=2.0)
            return nn.functional.interpolate(torch.cat([side, up], dim=1), scale_factor=32.0)

    report, _ = probed(of_module(Deep()), thorough=False)
    assert report.description is not None
    assert report.description.fed == (1, 1, 128, 128)
    assert report.description.skips is not None
    assert len(report.description.skips.found) == 1


def test_differences_are_relative_above_one_and_infinite_for_other_nan() -> None:
    a = torch.tensor([1.0, 200.0, float("nan")]).numpy()
    b = torch.tensor([1.5, 201.0, float("nan")]).numpy()
    assert difference(a, b) == 0.5  # 1 of 200 is less
    assert difference(a, torch.zeros(3).numpy()) == float("inf")
    assert difference(a[:2], b) == float("inf")


def test_whole_numbers_of_a_threshold_are_labels() -> None:
    _, found = probed(of_module(Threshold()), thorough=False)
    assert found["output.activation"] == "labels"
