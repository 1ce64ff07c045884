"""Test-time flips: the answers to all mirrored inputs, mirrored back and averaged before blending."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import ConvNet, Threshold, conv_graph, save_script
from numpy.typing import NDArray
from torch import Tensor

from auditor.schema import Geometry, InputSpec, OutputSpec, Status, SystemSpec, WindowSpec
from auditor.systems.process import ModelFailure, ModelProcess
from auditor.systems.running import Failure, Prediction, open_system
from auditor.systems.window import importance, run_images, run_windows, window_starts

LOGITS = OutputSpec("logits_softmax", (("organ", 1),))
GEOMETRY = Geometry(
    shape=(6, 9, 8),
    spacing=(3.0, 0.8, 1.2),
    direction=((0.17, 0.0, 0.985), (0.0, 1.0, 0.0), (0.985, 0.0, -0.17)),
)


def noise(*shape: int, seed: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def lopsided(batch: NDArray[np.float32]) -> NDArray[Any]:
    """Two classes, not symmetric about any axis."""
    moved = [np.roll(batch, axis + 1, axis=axis + 2) for axis in range(batch.ndim - 2)]
    return np.concatenate([np.tanh(sum(moved, batch)), batch * moved[0]], axis=1)


def test_two_voxels_by_hand() -> None:
    def minus_left(batch: NDArray[np.float32]) -> NDArray[Any]:
        # each voxel minus its left neighbour, the first one minus nothing
        return batch - np.pad(batch, [(0, 0), (0, 0), (1, 0)])[..., :-1]

    image = np.array([[3.0, 10.0]], np.float32)
    # as it is: 3, 7; mirrored (10, 3): 10, -7, mirrored back -7, 10; the mean: -2, 8.5
    assert run_windows(image, minus_left, window=None, batch=1, flips=[0]).tolist() == [[-2, 8.5]]


@pytest.mark.parametrize("flips", [(0,), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_they_equal_an_average_written_by_hand_to_the_last_bit(
    flips: tuple[int, ...], batch: int
) -> None:
    image = noise(1, 5, 7, 6)
    total = np.zeros((2, 5, 7, 6), np.float32)
    combinations = [
        c for count in range(len(flips) + 1) for c in itertools.combinations(flips, count)
    ]
    assert len(combinations) == 2 ** len(flips)
    for axes in combinations:
        spatial = tuple(axis + 1 for axis in axes)
        total += np.flip(lopsided(np.flip(image, spatial)[None])[0], spatial)
    answer = run_windows(image, lopsided, window=None, batch=batch, flips=flips)
    assert np.array_equal(answer, total / np.float32(len(combinations)))


def as_nnunet(
    image: Tensor, network: Any, window: tuple[int, ...], axes: tuple[int, ...]
) -> Tensor:
    """Mirror each window, run, mirror back, average; then weigh and blend: nnU-Net's order."""

    def mirrored(x: Tensor) -> Tensor:
        prediction = network(x)
        combinations = [
            c
            for i in range(len(axes))
            for c in itertools.combinations([axis + 2 for axis in axes], i + 1)
        ]
        for it in combinations:
            prediction = prediction + torch.flip(network(torch.flip(x, it)), it)
        averaged: Tensor = prediction / (len(combinations) + 1)
        return averaged

    weights = torch.from_numpy(importance(window, "gaussian").copy()).double()
    total = torch.zeros((2, *image.shape[1:]), dtype=torch.float64)
    count = torch.zeros(image.shape[1:], dtype=torch.float64)
    for corner in itertools.product(*window_starts(image.shape[1:], window, 0.5)):
        place = tuple(slice(s, s + w) for s, w in zip(corner, window, strict=True))
        total[(slice(None), *place)] += mirrored(image[(slice(None), *place)][None])[0] * weights
        count[place] += weights
    return total / count


def test_windows_are_mirrored_one_by_one_and_blended_afterwards_as_in_nnunet() -> None:
    network, image = ConvNet(dims=3), noise(1, 13, 9, 11)

    def predict(batch: NDArray[np.float32]) -> NDArray[Any]:
        with torch.inference_mode():
            answer: NDArray[Any] = network(torch.from_numpy(batch)).numpy()
        return answer

    window, flips = (8, 4, 6), (0, 2)
    with torch.inference_mode():
        expected = as_nnunet(torch.from_numpy(image), network, window, flips).numpy()
    answer = run_windows(image, predict, window=WindowSpec(window, 0.5), batch=3, flips=flips)
    assert np.abs(answer - expected).max() < 1e-4 * np.abs(expected).max()
    assert np.array_equal(answer.argmax(0), expected.argmax(0))
    # the order matters: whole images mirrored around the windows have other windows
    whole = run_windows(image, predict, window=WindowSpec(window, 0.5), batch=3)
    assert np.abs(answer - whole).max() > 0.1


def test_a_network_that_commutes_with_mirrors_answers_as_without_flips() -> None:
    image = noise(1, 12, 9, 7)
    spec = WindowSpec((6, 4, 5), 0.5)
    answer = run_windows(image, np.tanh, window=spec, batch=4, flips=[0, 1, 2])
    assert answer == pytest.approx(run_windows(image, np.tanh, window=spec, batch=4), abs=1e-6)


def test_mirrored_windows_travel_in_batches_of_the_same_size() -> None:
    seen: list[int] = []

    def watch(batch: NDArray[np.float32]) -> NDArray[Any]:
        seen.append(len(batch))
        return batch

    run_images([noise(1, 6, 4), noise(1, 4, 4)], watch, WindowSpec((4, 4), 0.5), 5, [0, 1])
    # 2 + 1 windows, each four times: 12 in batches of five, the last one filled up
    assert seen == [5, 5, 5]


def test_an_answer_does_not_depend_on_what_travels_with_it() -> None:
    images = [noise(1, 9, 8, 7, seed=i) for i in range(3)]
    for window in (WindowSpec((5, 4, 3), 0.5), None):
        together = run_images(images, lopsided, window, 3, [1, 2])
        for image, answer in zip(images, together, strict=True):
            alone = run_windows(image, lopsided, window=window, batch=3, flips=[1, 2])
            assert np.array_equal(alone, answer)


@pytest.mark.parametrize("flips", [[3], [-1], [0, 0]])
def test_what_is_no_axis_of_the_image_is_refused(flips: list[int]) -> None:
    with pytest.raises(ValueError, match="flips must be different axes from 0 to 2 of the 3"):
        run_windows(noise(1, 4, 4, 4), lopsided, window=None, batch=1, flips=flips)


def scan(seed: int = 0) -> Tensor:
    return torch.from_numpy(noise(1, *GEOMETRY.shape, seed=seed))


@pytest.mark.parametrize("kind", ["onnx", "torchscript", "callable"])
def test_severities_in_one_batch_do_not_change_each_other_in_any_kind_of_system(
    tmp_path: Path, kind: str
) -> None:
    spec = SystemSpec(
        "net",
        None,
        InputSpec(axes="RAS"),
        LOGITS,
        WindowSpec((5, 6, 4), 0.5),
        flips=(0, 2),
        batch=3,
    )
    network, call = ConvNet(dims=3), None
    if kind == "onnx":
        output = OutputSpec("softmax", LOGITS.labels)
        path = conv_graph(tmp_path / "net.onnx", dims=3, classes=2)
        spec = replace(spec, checkpoint=str(path), output=output)
    elif kind == "torchscript":
        path = save_script(network, tmp_path / "net.pt")
        spec = replace(spec, checkpoint=str(path))
    else:

        def call(image: NDArray[np.float32]) -> NDArray[Any]:
            with torch.inference_mode():
                return np.asarray(network(torch.from_numpy(image[None]))[0])

    with open_system(spec, callable=call) as system:
        severities = [scan(), scan() + 0.1 * scan(1), scan() + 0.5 * scan(1)]
        together = system.predict(severities, GEOMETRY)
        alone = [system.predict([image], GEOMETRY)[0] for image in severities]
    with open_system(replace(spec, flips=()), callable=call) as system:
        plain = system.predict(severities[:1], GEOMETRY)[0]
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Prediction)
        assert isinstance(other, Prediction)
        assert torch.equal(one.scores, other.scores)
    assert isinstance(together[0], Prediction)
    assert isinstance(plain, Prediction)
    assert not torch.allclose(together[0].scores, plain.scores, atol=1e-3)


def test_a_checkpoint_and_a_callable_are_flipped_alike(tmp_path: Path) -> None:
    network, image = ConvNet(dims=3), noise(1, 9, 8, 7)
    window, flips = WindowSpec((5, 4, 3), 0.5), (0, 1, 2)
    with ModelProcess(save_script(network, tmp_path / "net.pt"), "torchscript", batch=4) as process:
        answer = process.run([image], window, LOGITS, InputSpec(), flips=flips)[0]

    def predict(batch: NDArray[np.float32]) -> NDArray[Any]:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(batch)))

    expected = run_windows(image, predict, window=window, batch=1, flips=flips)
    assert np.abs(answer - expected).max() < 1e-4


def test_label_numbers_are_refused_in_words(tmp_path: Path) -> None:
    labels, told = OutputSpec("labels", (("organ", 1),)), "label numbers cannot be averaged"
    with (
        ModelProcess(save_script(Threshold(), tmp_path / "net.pt"), "torchscript") as process,
        pytest.raises(ModelFailure, match=told) as caught,
    ):
        process.run([noise(1, 4, 4)], None, labels, InputSpec(), flips=[0])
    assert caught.value.status == Status.REJECTED

    def floor(image: NDArray[np.float32]) -> NDArray[Any]:
        return np.asarray(image > 0)

    spec = SystemSpec("m", output=labels, flips=(0,))
    with open_system(spec, callable=floor) as system:
        (answer,) = system.predict([scan()], GEOMETRY)
    assert isinstance(answer, Failure)
    assert answer.status == Status.REJECTED
    assert told in answer.reason


def test_a_slicewise_system_has_the_axes_of_its_slices() -> None:
    def lean(image: NDArray[np.float32]) -> NDArray[Any]:
        return np.asarray(1 / (1 + np.exp(-(image + np.roll(image, 1, axis=1)))))

    output = OutputSpec("sigmoid", (("organ", 1),))
    spec = SystemSpec("s", input=InputSpec(axes="SLP", dims=2), output=output)
    with open_system(replace(spec, flips=(0, 1)), callable=lean) as system:
        (good,) = system.predict([scan()], GEOMETRY)
    with open_system(replace(spec, flips=(2,)), callable=lean) as system:
        (bad,) = system.predict([scan()], GEOMETRY)
    assert isinstance(good, Prediction)
    assert isinstance(bad, Failure)
    assert "from 0 to 1 of the 2" in bad.reason
