from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditor.errors import CheckpointError
from auditor.schema import Geometry, InputSpec, OutputSpec, Status, SystemSpec, WindowSpec
from auditor.systems.decision import decide
from auditor.systems.running import Failure, Prediction, open_system

GEOMETRY = Geometry(
    shape=(6, 9, 8),
    spacing=(3.0, 0.8, 1.2),
    direction=((0.17, 0.0, 0.985), (0.0, 1.0, 0.0), (0.985, 0.0, -0.17)),
)
SIGMOID = OutputSpec(activation="sigmoid", labels=(("organ", 1),))


def scan(seed: int = 0) -> Tensor:
    drawn = np.random.default_rng(seed).uniform(0, 1, (1, *GEOMETRY.shape))
    return torch.from_numpy(drawn.astype(np.float32))


def echo(image: NDArray[np.float32]) -> NDArray[Any]:
    return image


def predict_one(spec: SystemSpec, system: Any, image: Tensor) -> Prediction | Failure:
    with open_system(spec, callable=system) as running:
        return running.predict([image], GEOMETRY)[0]


@pytest.mark.parametrize("window", [None, WindowSpec((4, 4, 4), 0.5)])
def test_a_system_that_answers_with_its_input_predicts_the_scan_itself(
    window: WindowSpec | None,
) -> None:
    spec = SystemSpec("echo", input=InputSpec(axes="RAS"), output=SIGMOID, window=window)
    answer = predict_one(spec, echo, scan())
    assert isinstance(answer, Prediction)
    assert torch.equal(answer.probabilities, scan())
    assert torch.equal(answer.labels == 1, scan()[0] >= 0.5)
    assert answer.labels.dtype == torch.int16


def test_softmax_scores_start_with_the_background_and_probabilities_with_the_labels() -> None:
    def two(image: NDArray[np.float32]) -> NDArray[Any]:
        return np.concatenate([1 - image, image])

    spec = SystemSpec("two", output=OutputSpec(labels=(("organ", 1),)))
    answer = predict_one(spec, two, scan())
    assert isinstance(answer, Prediction)
    assert answer.scores.shape == (2, *GEOMETRY.shape)
    assert torch.equal(answer.probabilities, answer.scores[1:])
    assert torch.equal(answer.labels, decide(answer.scores, spec.output))
    assert torch.equal(answer.labels, decide(answer.probabilities, spec.output))


def test_label_numbers_may_come_without_a_channel_and_as_booleans() -> None:
    def mask(image: NDArray[np.float32]) -> NDArray[Any]:
        found: NDArray[Any] = image[0] > 0.5
        return found

    spec = SystemSpec(
        "m", output=OutputSpec("labels", (("organ", 1),)), window=WindowSpec((4, 4, 4))
    )
    answer = predict_one(spec, mask, scan())
    assert isinstance(answer, Prediction)
    assert torch.equal(answer.labels == 1, scan()[0] > 0.5)


def test_label_numbers_given_as_floats_are_not_averaged_between_windows() -> None:
    calls = itertools.count()

    def floor(image: NDArray[np.float32]) -> NDArray[Any]:
        # neighbouring windows disagree by one, so that an average would not be whole
        return np.asarray(np.floor(image * 3).clip(0, 2) + next(calls) % 2)

    spec = SystemSpec("f", output=OutputSpec("labels", (("a", 1), ("b", 2), ("c", 3))))
    windowed = replace(spec, window=WindowSpec((4, 4, 4), 0.5))
    answer = predict_one(windowed, floor, scan())
    assert isinstance(answer, Prediction)
    assert 3 in answer.labels


def test_a_slicewise_system_sees_slices_only() -> None:
    shapes: set[tuple[int, ...]] = set()

    def watch(image: NDArray[np.float32]) -> NDArray[Any]:
        shapes.add(image.shape)
        return image

    spec = SystemSpec("s", input=InputSpec(axes="SLP", dims=2, divisor=(4, 4)), output=SIGMOID)
    answer = predict_one(spec, watch, scan())
    assert shapes == {(1, 8, 12)}
    assert isinstance(answer, Prediction)
    assert torch.equal(answer.probabilities, scan())


def test_only_the_guilty_image_fails() -> None:
    def picky(image: NDArray[np.float32]) -> NDArray[Any]:
        if image.max() > 5:
            msg = "too\nbright"
            raise RuntimeError(msg)
        return image

    spec = SystemSpec("p", output=SIGMOID)
    images = [scan(0), scan(1) + 10, scan(2)]
    with open_system(spec, callable=picky) as running:
        answers = running.predict(images, GEOMETRY)
    assert isinstance(answers[0], Prediction)
    assert answers[1] == Failure(Status.FAILED, "the system raised RuntimeError: too bright")
    assert isinstance(answers[2], Prediction)
    assert torch.equal(answers[2].probabilities, scan(2))


def test_the_answer_to_an_image_does_not_depend_on_its_neighbours() -> None:
    spec = SystemSpec("e", input=InputSpec(zscore="image", affine=(0.1, 0.5)), output=SIGMOID)

    def squash(image: NDArray[np.float32]) -> NDArray[Any]:
        return np.clip(image, 0, 1)

    with open_system(spec, callable=squash) as running:
        together = running.predict([scan(0), scan(1)], GEOMETRY)
        alone = running.predict([scan(1)], GEOMETRY)[0]
    assert isinstance(together[1], Prediction)
    assert isinstance(alone, Prediction)
    assert torch.equal(together[1].scores, alone.scores)


@pytest.mark.parametrize(
    ("system", "status", "words"),
    [
        (lambda x: np.full_like(x, np.nan), Status.NOT_FINITE, "100.00% of the output's values"),
        (lambda x: x[:, :-1], Status.REJECTED, "must answer with (1, classes, 6, 9, 8)"),
        (lambda x: x * 9 - 4, Status.REJECTED, "must lie in [0, 1]"),
        (lambda x: x[:0], Status.REJECTED, "at least 1 channels"),
        (lambda x: "mask", Status.REJECTED, "array of numbers"),
        (lambda x: 1 / 0, Status.FAILED, "ZeroDivisionError"),
    ],
)
def test_a_bad_answer_is_a_failure_with_its_reason(system: Any, status: Status, words: str) -> None:
    answer = predict_one(SystemSpec("bad", output=SIGMOID), system, scan())
    assert isinstance(answer, Failure)
    assert answer.status == status
    assert words in answer.reason


def test_a_constant_answer_is_legal() -> None:
    answer = predict_one(SystemSpec("zero", output=SIGMOID), np.zeros_like, scan())
    assert isinstance(answer, Prediction)
    assert not answer.labels.any()


def test_a_scan_that_the_contract_does_not_fit_is_rejected_not_raised() -> None:
    spec = SystemSpec("c", input=InputSpec(channels=2), output=SIGMOID)
    answer = predict_one(spec, echo, scan())
    assert isinstance(answer, Failure)
    assert answer.status == Status.REJECTED
    assert "input.channels" in answer.reason


def test_a_system_that_writes_into_its_input_does_not_change_the_scan() -> None:
    def vandal(image: NDArray[np.float32]) -> NDArray[Any]:
        image[:] = 0
        return image

    image = scan()
    predict_one(SystemSpec("v", output=SIGMOID), vandal, image)
    assert torch.equal(image, scan())


def test_another_contract_shares_the_runner() -> None:
    spec = SystemSpec("e", output=SIGMOID)
    with open_system(spec, callable=echo) as running:
        flipped = SystemSpec("other", input=InputSpec(axes="IPL"), output=SIGMOID)
        other = running.under(flipped)
        answer = other.predict([scan()], GEOMETRY)[0]
    assert other.spec.name == "e"
    assert other.spec.input.axes == "IPL"
    assert isinstance(answer, Prediction)
    assert torch.equal(answer.probabilities, scan())


def test_a_callable_says_that_it_runs_without_a_sandbox() -> None:
    with open_system(SystemSpec("e", output=SIGMOID), callable=echo) as running:
        assert running.info.format == "callable"
        assert running.info.sandbox == ()
        assert "without a sandbox" in running.info.findings[0]


def test_a_system_needs_exactly_one_of_checkpoint_and_callable_and_labels() -> None:
    with pytest.raises(CheckpointError, match="got neither"):
        open_system(SystemSpec("e", output=SIGMOID))
    with pytest.raises(CheckpointError, match="got a checkpoint and a Python callable"):
        open_system(SystemSpec("e", checkpoint="net.onnx", output=SIGMOID), callable=echo)
    with pytest.raises(CheckpointError, match=r"must declare output\.labels"):
        open_system(SystemSpec("e"), callable=echo)
