"""Sliding windows give what MONAI's `sliding_window_inference` gives, where both place the same windows."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import ConvNet
from monai.data.utils import compute_importance_map, dense_patch_slices
from monai.inferers.utils import _get_scan_interval, sliding_window_inference
from numpy.typing import NDArray
from torch import Tensor

from auditor.schema import WindowSpec
from auditor.systems.window import importance, run_images, run_windows, window_starts

NETWORKS = {2: ConvNet(dims=2, classes=3), 3: ConvNet(dims=3, classes=3)}

# (sizes, window): anisotropic, some axes smaller than the window, some equal, some with a remainder
SIZES = [
    ((40, 28), (16, 8)),
    ((37, 21), (16, 12)),
    ((10, 30), (16, 8)),
    ((20, 26, 12), (8, 12, 6)),
    ((19, 11, 23), (8, 8, 10)),
    ((6, 17, 25), (8, 8, 8)),
    ((8, 5, 9), (8, 8, 12)),
]


def noise(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def predict(batch: NDArray[np.float32]) -> NDArray[Any]:
    with torch.inference_mode():
        answer: NDArray[Any] = NETWORKS[batch.ndim - 2](torch.from_numpy(batch)).numpy()
    return answer


def of_monai(
    image: NDArray[np.float32], spec: WindowSpec, *, batch: int, padding: str = "constant"
) -> NDArray[Any]:
    def network(x: Tensor) -> Tensor:
        answer: Tensor = NETWORKS[x.ndim - 2](x)
        return answer

    with torch.inference_mode():
        answer: Any = sliding_window_inference(
            torch.from_numpy(image[None]), spec.size, batch, network, spec.overlap, spec.blend,
            padding_mode=padding,
        )  # fmt: skip
    found: NDArray[Any] = answer[0].numpy()
    return found


def assert_equal(ours: NDArray[Any], theirs: NDArray[Any]) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-4
    assert np.array_equal(ours.argmax(0), theirs.argmax(0))


@pytest.mark.parametrize(("sizes", "window"), SIZES)
@pytest.mark.parametrize("overlap", [0.25, 0.5])
@pytest.mark.parametrize("blend", ["gaussian", "constant"])
@pytest.mark.parametrize("batch", [1, 4])
def test_with_the_windows_and_the_padding_of_monai_every_size_agrees(
    sizes: tuple[int, ...], window: tuple[int, ...], overlap: float, blend: Any, batch: int
) -> None:
    image = noise(1, *sizes)
    spec = WindowSpec(window, overlap, blend, placement="monai", padding="zero")
    ours = run_windows(image, predict, window=spec, batch=batch)
    assert_equal(ours, of_monai(image, spec, batch=batch))


@pytest.mark.parametrize(("sizes", "window"), [((9, 21), (16, 12)), ((9, 30, 8), (16, 12, 12))])
@pytest.mark.parametrize(("padding", "name"), [("edge", "replicate"), ("reflect", "reflect")])
def test_small_images_are_filled_up_as_in_monai(
    sizes: tuple[int, ...], window: tuple[int, ...], padding: Any, name: str
) -> None:
    image = noise(1, *sizes)
    spec = WindowSpec(window, 0.5, placement="monai", padding=padding)
    assert_equal(
        run_windows(image, predict, window=spec, batch=2),
        of_monai(image, spec, batch=2, padding=name),
    )


@pytest.mark.parametrize(
    ("sizes", "window", "overlap"),
    [
        # what is left behind the first window, over the step: 24/8, 20/4
        ((40, 28), (16, 8), 0.5),
        # 36/12, 12/6
        ((52, 20), (16, 8), 0.25),
        # 12/4, 12/6, 6/3
        ((20, 24, 12), (8, 12, 6), 0.5),
        # 12/6, 9/9, one window
        ((20, 21, 8), (8, 12, 8), 0.25),
    ],
)
def test_evenly_spread_windows_agree_where_the_step_divides_the_rest(
    sizes: tuple[int, ...], window: tuple[int, ...], overlap: float
) -> None:
    image = noise(1, *sizes)
    for blend in ("gaussian", "constant"):
        spec = WindowSpec(window, overlap, "gaussian" if blend == "gaussian" else "constant")
        assert spec.placement == "even"  # the default
        assert_equal(
            run_windows(image, predict, window=spec, batch=3), of_monai(image, spec, batch=3)
        )


def test_elsewhere_evenly_spread_windows_give_another_answer() -> None:
    image, spec = noise(1, 37, 21), WindowSpec((16, 12), 0.5)
    theirs = of_monai(image, spec, batch=1)
    assert np.abs(run_windows(image, predict, window=spec, batch=1) - theirs).max() > 1e-2


def test_starts_are_those_of_monai_on_every_axis() -> None:
    for size, window, overlap in itertools.product(
        range(1, 40), (1, 2, 3, 7, 10), (0, 0.25, 0.5, 0.8)
    ):
        if size < window:
            continue
        interval = _get_scan_interval((size,), (window,), 1, (overlap,))
        theirs = [place[0].start for place in dense_patch_slices((size,), (window,), interval)]
        assert window_starts((size,), (window,), overlap, "monai") == [theirs]


def test_both_placements_have_as_many_windows_and_the_same_ones_where_the_step_divides() -> None:
    for size, window, overlap in itertools.product(range(16, 70), (8, 12, 16), (0.25, 0.5)):
        (even,), (monai,) = (
            window_starts((size,), (window,), overlap, placement) for placement in ("even", "monai")
        )
        assert len(even) == len(monai)
        step = int(window * (1 - overlap))
        if (size - window) % step == 0:
            assert even == monai


@pytest.mark.parametrize("window", [(8, 4), (7, 12, 5)])
def test_weights_are_those_of_monai(window: tuple[int, ...]) -> None:
    theirs = compute_importance_map(window, mode="gaussian", sigma_scale=0.125).numpy()
    assert importance(window, "gaussian") == pytest.approx(theirs, abs=1e-6)


def test_several_images_in_one_batch_agree_too() -> None:
    images = [noise(1, 20, 26, 12), noise(1, 19, 11, 23), noise(1, 6, 17, 25)]
    spec = WindowSpec((8, 12, 6), 0.5, placement="monai", padding="zero")
    answers = run_images(images, predict, spec, 4)
    for image, answer in zip(images, answers, strict=True):
        assert_equal(answer, of_monai(image, spec, batch=4))


def test_an_image_too_small_for_reflection_is_refused() -> None:
    spec = WindowSpec((8, 8), padding="reflect")
    with pytest.raises(ValueError, match=r"\(3, 9\) is too small .* another window.padding"):
        run_windows(noise(1, 3, 9), predict, window=spec, batch=1)
