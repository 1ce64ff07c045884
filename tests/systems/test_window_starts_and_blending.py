from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from auditor.schema import WindowSpec
from auditor.systems.window import importance, run_images, run_windows, window_starts


def echo(batch: NDArray[np.float32]) -> NDArray[Any]:
    return batch


def noise(*shape: int, seed: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_starts_by_hand() -> None:
    # step floor(4 * .5) = 2, span 6: three gaps of 2
    assert window_starts((10,), (4,), 0.5) == [[0, 2, 4, 6]]
    # step floor(4 * .75) = 3, span 7: ceil(7/3) = 3 gaps of 7/3: 0, 2.33, 4.67, 7
    assert window_starts((11,), (4,), 0.25) == [[0, 2, 5, 7]]
    # 10 * (1 - 0.8) is a little below 2 in floating point and must not become 1
    assert window_starts((14,), (10,), 0.8) == [[0, 2, 4]]
    assert window_starts((7, 5), (7, 2), 0.0) == [[0], [0, 2, 3]]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(size=st.integers(1, 120), part=st.floats(0.01, 1.0), overlap=st.floats(0.0, 0.95))
def test_starts_cover_the_axis_with_at_least_the_asked_overlap(
    size: int, part: float, overlap: float
) -> None:
    window = max(1, math.floor(size * part))
    (starts,) = window_starts((size,), (window,), overlap)
    assert starts[0] == 0
    assert starts[-1] == size - window
    gaps = np.diff(starts)
    assert (gaps >= 1).all()
    if window * (1 - overlap) >= 1:
        assert (window - gaps >= overlap * window - 1e-6).all()
    else:  # one voxel is the smallest step there is
        assert (gaps == 1).all()


def test_weights_are_the_gaussian_of_an_eighth_of_the_size() -> None:
    weights = importance((8, 4), "gaussian")
    # sigma 1 and .5; the voxel (4, 2) lies half a voxel off the centre on both axes
    assert weights[4, 2] == pytest.approx(math.exp(-(0.5**2) / 2) * math.exp(-(0.5**2) / 0.5))
    # the corner would have exp(-3.5^2/2) * exp(-1.5^2/.5) = 2.4e-5
    assert weights[0, 0] == pytest.approx(1e-3)
    assert np.array_equal(weights, weights[::-1, ::-1])
    assert (importance((3, 5), "constant") == 1).all()


@pytest.mark.parametrize("blend", ["gaussian", "constant"])
@pytest.mark.parametrize(
    ("sizes", "window"),
    [((13, 9, 21), (8, 4, 6)), ((5, 30, 7), (8, 8, 8)), ((17, 6), (5, 4)), ((3, 4), (8, 8))],
)
def test_a_system_that_answers_with_its_input_reproduces_the_image_exactly(
    sizes: tuple[int, ...], window: tuple[int, ...], blend: str
) -> None:
    spec = WindowSpec(
        size=window, overlap=0.4, blend="gaussian" if blend == "gaussian" else "constant"
    )
    image = noise(2, *sizes)
    answer = run_windows(image, echo, window=spec, batch=3)
    assert answer.dtype == np.float32
    assert np.array_equal(answer, image)


def test_a_constant_answer_stays_exactly_constant() -> None:
    def answer_a_third(batch: NDArray[np.float32]) -> NDArray[Any]:
        return np.full((batch.shape[0], 2, *batch.shape[2:]), 1 / 3, dtype=np.float32)

    image = noise(1, 11, 7, 19)
    answer = run_windows(image, answer_a_third, window=WindowSpec((4, 5, 6), 0.6), batch=4)
    assert answer.shape == (2, 11, 7, 19)
    assert (answer == np.float32(1 / 3)).all()


def test_overlapping_windows_are_averaged_by_their_weights() -> None:
    calls = iter([0.0, 3.0])

    def count(batch: NDArray[np.float32]) -> NDArray[Any]:
        return np.full_like(batch, next(calls))

    # windows of 4 on 6 voxels with overlap .5: starts 0 and 2, voxels 2 and 3 are shared
    spec = WindowSpec((4,), 0.5)
    answer = run_windows(noise(1, 6), count, window=spec, batch=1)
    weights = importance((4,), "gaussian")
    shared_2 = 3 * weights[0] / (weights[0] + weights[2])
    shared_3 = 3 * weights[1] / (weights[1] + weights[3])
    assert answer[0] == pytest.approx([0, 0, shared_2, shared_3, 3, 3])


def test_label_numbers_come_from_the_most_central_window_and_are_never_averaged() -> None:
    calls = iter([1, 3])

    def label(batch: NDArray[np.float32]) -> NDArray[Any]:
        return np.full(batch.shape, next(calls), dtype=np.int64)

    answer = run_windows(noise(1, 6), label, window=WindowSpec((4,), 0.5), batch=1)
    assert np.issubdtype(answer.dtype, np.integer)
    # voxel 2 is the third of window one and the first of window two; voxel 3 the other way round
    assert answer[0].tolist() == [1, 1, 1, 3, 3, 3]


def test_equally_central_windows_leave_a_voxel_to_the_first() -> None:
    calls = iter([1, 3])

    def label(batch: NDArray[np.float32]) -> NDArray[Any]:
        return np.full(batch.shape, next(calls), dtype=np.int64)

    window = WindowSpec((4,), 0.5, blend="constant")  # every voxel of a window weighs one
    answer = run_windows(noise(1, 6), label, window=window, batch=1)
    assert answer[0].tolist() == [1, 1, 1, 1, 3, 3]


def test_a_system_may_answer_from_the_same_memory_again() -> None:
    memory = np.zeros((1, 1, 3, 4), dtype=np.float32)

    def forgetful(batch: NDArray[np.float32]) -> NDArray[Any]:
        memory[:] = batch
        return memory

    images = [noise(1, 3, 4, seed=seed) for seed in (1, 2)]
    for window in (WindowSpec((3, 4), 0.5), None):
        for image, answer in zip(
            images, run_images(images, forgetful, window, batch=1), strict=True
        ):
            assert np.array_equal(answer, image)


def test_an_image_smaller_than_the_window_is_padded_with_the_minimum_of_each_channel() -> None:
    seen: list[NDArray[np.float32]] = []

    def watch(batch: NDArray[np.float32]) -> NDArray[Any]:
        seen.append(batch)
        return batch

    image = np.array([[[1.0, 2.0, 3.0]], [[-5.0, 0.0, 4.0]]], dtype=np.float32)
    answer = run_windows(image, watch, window=WindowSpec((2, 4)), batch=1)
    assert np.array_equal(answer, image)
    assert seen[0][0, 0].tolist() == [[1, 2, 3, 1], [1, 1, 1, 1]]
    assert seen[0][0, 1].tolist() == [[-5, 0, 4, -5], [-5, -5, -5, -5]]


def test_every_call_has_the_same_batch_and_windows_of_several_images_share_it() -> None:
    sizes: list[int] = []

    def watch(batch: NDArray[np.float32]) -> NDArray[Any]:
        sizes.append(batch.shape[0])
        return batch

    images = [noise(1, 6, 4, seed=1), noise(1, 8, 4, seed=2), noise(1, 4, 4, seed=3)]
    answers = run_images(images, watch, WindowSpec((4, 4), 0.5), 4)
    # 2 + 3 + 1 windows in batches of four; the second batch holds two copies
    assert sizes == [4, 4]
    for image, answer in zip(images, answers, strict=True):
        assert np.array_equal(answer, image)


def test_whole_images_share_a_batch_only_with_neighbours_of_their_shape() -> None:
    shapes: list[tuple[int, ...]] = []

    def watch(batch: NDArray[np.float32]) -> NDArray[Any]:
        shapes.append(batch.shape)
        return batch

    images = [noise(1, 3, 4), noise(1, 3, 4, seed=2), noise(1, 5, 4, seed=3)]
    answers = run_images(images, watch, None, 2)
    assert shapes == [(2, 1, 3, 4), (2, 1, 5, 4)]
    assert all(np.array_equal(a, b) for a, b in zip(images, answers, strict=True))


def test_an_images_answer_does_not_depend_on_the_images_that_travel_with_it() -> None:
    def smooth(batch: NDArray[np.float32]) -> NDArray[Any]:
        return np.concatenate([np.tanh(batch), np.roll(batch, 1, axis=-1)], axis=1)

    spec = WindowSpec((5, 4, 3), 0.5)
    images = [noise(1, 9, 8, 7, seed=i) for i in range(3)]
    together = run_images(images, smooth, spec, 5)
    for image, answer in zip(images, together, strict=True):
        assert np.array_equal(run_windows(image, smooth, window=spec, batch=5), answer)


def test_not_finite_answers_stay_visible() -> None:
    def broken(batch: NDArray[np.float32]) -> NDArray[Any]:
        return np.full_like(batch, np.nan)

    assert np.isnan(run_windows(noise(1, 6, 6), broken, window=WindowSpec((4, 4)), batch=2)).all()


def test_an_answer_of_another_size_is_refused_with_both_shapes() -> None:
    def valid_convolution(batch: NDArray[np.float32]) -> NDArray[Any]:
        return batch[..., 1:-1]

    with pytest.raises(ValueError, match=r"\(1, classes, 4, 4\), got \(1, 1, 4, 2\)"):
        run_windows(noise(1, 6, 6), valid_convolution, window=WindowSpec((4, 4)), batch=1)


def test_wrong_settings_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"overlap must be in \[0, 1\), got 1.0"):
        window_starts((4,), (2,), 1.0)
    with pytest.raises(ValueError, match=r"window\.size must have 2 numbers"):
        run_windows(noise(1, 6, 6), echo, window=WindowSpec((4, 4, 4)), batch=1)
    with pytest.raises(ValueError, match="batch must be at least 1"):
        run_windows(noise(1, 6, 6), echo, window=None, batch=0)
    with pytest.raises(ValueError, match="blend must be"):
        importance((3, 3), "cubic")
