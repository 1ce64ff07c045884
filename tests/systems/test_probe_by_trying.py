from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from auditor.schema import Certainty, InputSpec, OutputSpec, SystemSpec
from auditor.systems.description import OutputSeen
from auditor.systems.last_operations import Ending
from auditor.systems.probe import ProbeReport, probe_system
from auditor.systems.probe.behaviour import batches
from auditor.systems.probe.candidates import Candidate
from auditor.systems.probe.outputs import choose

Array = NDArray[np.float32]


def net(
    *,
    dims: int,
    channels: int = 1,
    divisors: tuple[int, ...] = (),
    size: tuple[int, ...] = (),
    head: Callable[[Array], NDArray[Any]],
) -> Callable[[Array], NDArray[Any]]:
    """A system that accepts only what it says, and answers with its head of the channels' mean."""

    def run(image: Array) -> NDArray[Any]:
        sizes = image.shape[1:]
        if len(sizes) != dims or image.shape[0] != channels or min(sizes) < 16:
            raise RuntimeError
        if any(n % d for n, d in zip(sizes, divisors, strict=False)) or (size and sizes != size):
            raise RuntimeError
        return head(image.mean(axis=0, keepdims=True))

    return run


def sigmoid(x: Array) -> NDArray[Any]:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))))


def softmax(x: Array) -> NDArray[Any]:
    p = sigmoid(x)
    return np.concatenate([1 - p, p * 0.5, p * 0.5])


def probe(system: Callable[[Array], NDArray[Any]]) -> tuple[ProbeReport, dict[str, str]]:
    report = probe_system(SystemSpec("net"), callable=system)
    assert all(field.source == Certainty.PROBED for field in report.fields)
    assert [f.name for f in report.fields] == sorted(f.name for f in report.fields)
    return report, {field.name: field.value for field in report.fields}


def test_a_volume_system_with_an_anisotropic_divisor_is_found() -> None:
    report, found = probe(net(dims=3, channels=2, divisors=(2, 16, 8), head=softmax))
    assert found == {
        "input.channels": "2",
        "input.dims": "3",
        "input.divisor": "[2, 16, 8]",
        "input.layout": "channel_first",
        "output.activation": "softmax",
        "output.layout": "channel_first",
    }
    assert report.classes == 3
    assert "the output has 3 channels" in report.findings
    asked = [question.name for question in report.questions]
    assert report.missing[0].startswith("input: {axes: RAS}  # input.axes: ")
    assert asked == ["input.axes", "input.spacing_mm", "input intensities", "output.labels"]


def test_a_fixed_size_is_found() -> None:
    _, found = probe(net(dims=2, channels=3, size=(224, 224), head=sigmoid))
    assert found["input.size"] == "[224, 224]"
    assert found["input.channels"] == "3"
    assert found["input.dims"] == "2"
    assert "input.divisor" not in found


@pytest.mark.parametrize(
    ("head", "activation"),
    [
        (softmax, "softmax"),
        (sigmoid, "sigmoid"),
        (lambda x: x * 3, "logits_sigmoid"),
        (lambda x: np.log(softmax(x)), "logits_softmax"),
        (lambda x: np.concatenate([x, -x, 2 * x]), None),
        (lambda x: (x > 0).astype(np.int64) * 4, "labels"),
        # never negative and below one on plain noise, but not on larger values: no logits, no sigmoid
        (lambda x: np.maximum(x / 10, 0), None),
        (lambda x: np.zeros_like(x) + 0.5, None),
        (lambda x: np.full_like(x, np.nan), None),
    ],
)
def test_the_activation_is_read_from_ranges_and_left_open_when_in_doubt(
    head: Callable[[Array], NDArray[Any]], activation: str | None
) -> None:
    report, found = probe(net(dims=2, head=head))
    assert found.get("output.activation") == activation
    asked = {question.name: question.line for question in report.questions}
    assert ("output.activation" in asked) == (activation is None)
    assert asked["output.labels"] == "output: {labels: {organ: 1}}"


def test_live_dropout_is_remarked() -> None:
    generator = np.random.default_rng(0)

    def dropout(x: Array) -> NDArray[Any]:
        return np.where(generator.random(x.shape) < 0.5, 0.0, sigmoid(x))

    report, _ = probe(net(dims=2, head=dropout))
    told = [it for it in report.findings if it.startswith("the same input gives another answer")]
    assert len(told) == 1
    # it is random, so nothing can be said of the number of calls
    assert not any("number of calls" in it for it in report.findings)


def test_a_system_that_accepts_nothing_leaves_everything_to_be_asked() -> None:
    report, found = probe(net(dims=3, channels=17, head=sigmoid))
    assert found == {}
    assert report.classes is None
    assert "no tried input was accepted" in report.findings[0]
    assert [question.name for question in report.questions] == [
        "input.axes",
        "input.spacing_mm",
        "input.size",
        "input.channels",
        "input intensities",
        "output.activation",
        "output.labels",
    ]


class Odd:
    """Answers the second of two images otherwise when they come together."""

    over, lost, refusal = False, 0, ""

    def __call__(self, array: Array, tried: Candidate) -> Array:
        return array

    def together(self, arrays: list[Array], tried: Candidate) -> list[Array]:
        return [arrays[0], arrays[1] + np.float32(0.5)]


def test_one_image_of_a_batch_that_differs_is_enough() -> None:
    tried = Candidate(InputSpec(), OutputSpec(), (4, 6, 5))
    odd: Any = Odd()
    kept, (told,) = batches(odd, tried, None)
    assert kept == "differ"
    assert "keep batch: 1" in told


def test_the_output_of_the_fed_sizes_is_taken_where_channels_come_last() -> None:
    tried = Candidate(InputSpec(), OutputSpec(layout="channel_last"), (4, 6, 5))
    shapes = ((1, 4, 6, 5, 2), (1, 3, 4, 6, 5), (1, 4, 6, 5), (1, 2, 3, 5, 2))
    seen = [
        OutputSeen(f"out{i}", shape, "float32", Ending((), "", None))
        for i, shape in enumerate(shapes)
    ]
    assert choose([seen[1], seen[3]], tried) is None
    for fitting in (seen[0], seen[2]):  # the last has no axis of channels
        choice = choose([seen[1], fitting], tried)
        assert choice is not None
        assert (choice.index, choice.certain) == (fitting.name, True)
    first = replace(tried, output=OutputSpec())
    choice = choose([seen[0], seen[1]], first)
    assert choice is not None
    assert choice.index == "out1"
