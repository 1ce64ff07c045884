"""Resampling as MONAI and nnU-Net do it, against the libraries that they call."""

from __future__ import annotations

import math
from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from auditor.schema import Geometry, InputSpec, OutputSpec
from auditor.systems.preparation import prepare, restore
from auditor.systems.resampling import Resampling, resample, to_sizes, to_spacing

monai: Any = import_module("monai.transforms")
MetaTensor: Any = import_module("monai.data").MetaTensor
resize: Any = import_module("skimage.transform").resize


def drawn(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(5).normal(size=shape).astype(np.float32))


def nnunet_resample(
    data: NDArray[Any], new: tuple[int, ...], axis: int | None, order: int
) -> NDArray[Any]:
    """Write out nnU-Net's rule: slices by skimage, then the nearest slice by scipy."""
    told = {"order": order, "mode": "edge", "anti_aliasing": False}
    if axis is None:
        return np.stack([resize(channel.astype(float), new, **told) for channel in data])
    inside = tuple(n for i, n in enumerate(new) if i != axis)
    found = []
    for channel in data:
        slices = [
            resize(one.astype(float), inside, **told) for one in np.moveaxis(channel, axis, 0)
        ]
        stacked = np.stack(slices, axis)
        grid = np.mgrid[tuple(slice(n) for n in new)].astype(float)
        scale = [a / b for a, b in zip(stacked.shape, new, strict=True)]
        for i, s in enumerate(scale):
            grid[i] = s * (grid[i] + 0.5) - 0.5
        found.append(map_coordinates(stacked, grid, order=0, mode="nearest"))
    return np.stack(found)


@pytest.mark.parametrize(
    ("shape", "old", "new", "axis"),
    [
        ((9, 14, 13), (2.0, 0.9, 1.1), (1.3, 1.3, 1.0), None),
        ((7, 14, 13), (5.0, 0.9, 1.1), (3.0, 1.3, 1.0), 0),
        ((14, 7, 13), (0.9, 5.0, 1.1), (1.3, 2.0, 1.0), 1),
        ((14, 13, 9), (0.9, 1.1, 1.5), (1.3, 1.0, 4.5), 2),  # thick only afterwards
        ((7, 14, 13), (5.0, 1.0, 5.0), (2.0, 1.3, 2.0), None),  # two long axes: none by itself
        ((6, 14, 13), (5.0, 0.9, 1.1), (5.0, 1.3, 1.0), 0),  # the slices themselves stay
    ],
)
def test_cubic_in_plane_and_its_way_back_are_those_of_nnunet(
    shape: tuple[int, int, int],
    old: tuple[float, ...],
    new: tuple[float, ...],
    axis: int | None,
) -> None:
    image = drawn(2, *shape)
    step = to_spacing(shape, old, new, grid="extent", interpolation="cubic_in_plane")
    assert step is not None
    assert step.after == tuple(round(o / n * k) for o, n, k in zip(old, new, shape, strict=True))
    assert step.slices == axis
    expected = nnunet_resample(image.numpy(), step.after, axis, order=3)
    np.testing.assert_allclose(resample(image, step).numpy(), expected, atol=2e-6)
    logits = drawn(3, *step.after)
    back = nnunet_resample(logits.numpy(), shape, axis, order=1)
    np.testing.assert_allclose(resample(logits, step.back).numpy(), back, atol=2e-6)


@pytest.mark.parametrize("mode", ["bilinear", 3])
@pytest.mark.parametrize("spacing", [(2.0, 0.7, 1.0), (0.9, 2.0, 1.3)])
def test_the_corner_grid_is_that_of_monai_spacing(
    mode: str | int, spacing: tuple[float, ...]
) -> None:
    image = drawn(1, 12, 11, 13)
    affine = np.diag([1.5, 1.0, 2.0, 1.0])
    # an oblique direction changes nothing: the spacing is that of the columns
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    affine[:3, :3] = turn @ affine[:3, :3]
    padding = "border" if mode == "bilinear" else "nearest"
    maker = monai.Spacing(pixdim=spacing, mode=mode, padding_mode=padding)
    expected = maker(MetaTensor(image, affine=affine)).numpy()
    step = to_spacing(
        (12, 11, 13),
        (1.5, 1.0, 2.0),
        spacing,
        grid="corner",
        interpolation="linear" if mode == "bilinear" else "cubic",
    )
    assert step is not None
    assert (1, *step.after) == expected.shape
    np.testing.assert_allclose(resample(image, step).numpy(), expected, atol=1e-5)


def test_an_extent_that_holds_the_same_number_of_voxels_is_left_alone() -> None:
    assert to_spacing((10, 10), (1.0, 1.0), (1.02, 1.0), grid="extent") is None


def test_going_back_twice_is_going_forth() -> None:
    step = to_spacing((10, 7, 9), (3.0, 1.0, 0.5), (1.0, 1.0, 1.0), grid="corner")
    assert isinstance(step, Resampling)
    np.testing.assert_allclose(step.back.back.first, step.first, atol=1e-12)
    np.testing.assert_allclose(step.back.back.ratio, step.ratio)


def test_each_way_takes_its_own_thick_axis_first() -> None:
    """Slices of 5 mm along z become slices of 5 mm along y; on the way back y is what is thick."""
    step = to_spacing(
        (4, 20, 6), (5.0, 1.0, 1.0), (1.0, 5.0, 1.0), grid="extent", interpolation="cubic_in_plane"
    )
    assert step is not None
    assert (step.after, step.slices, step.back.slices, step.back.back.slices) == (
        (20, 4, 6),
        0,
        1,
        0,
    )


def test_half_way_between_two_voxels_the_nearest_is_the_first() -> None:
    """Four voxels become two: they lie at 0.5 and 2.5, half way between 0 and 1, and 2 and 3."""
    numbers = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert resample(numbers, to_sizes((4,), (2,)), nearest=True).tolist() == [[1.0, 3.0]]


GEOMETRY = Geometry(shape=(5, 7, 6), spacing=(3.0, 0.8, 1.2))


def test_a_transposed_and_cropped_scan_comes_back_in_its_place() -> None:
    """Nonzero voxels fill z 1-3, y 2-5, x 0-4; fed as (x, z, y)."""
    image = torch.zeros(2, 5, 7, 6)
    image[0, 1:4, 2:5, 1:5] = 3.0
    image[1, 1:3, 2:6, 0:3] = -2.0
    spec = InputSpec(channels=2, transpose=(2, 0, 1), crop="nonzero")
    fed = prepare(image, GEOMETRY, spec)
    assert fed.array.shape == (2, 5, 3, 4)
    np.testing.assert_array_equal(fed.array, image[:, 1:4, 2:6, 0:5].permute(0, 3, 1, 2).numpy())
    output = OutputSpec("softmax", (("a", 1),))
    ones = np.stack([np.zeros(fed.array.shape[1:]), np.ones(fed.array.shape[1:])])
    scores = restore(ones.astype(np.float32), fed, output)
    inside = torch.zeros(5, 7, 6)
    inside[1:4, 2:6, 0:5] = 1
    torch.testing.assert_close(scores, torch.stack([1 - inside, inside]))


def test_an_empty_scan_is_not_cropped() -> None:
    assert prepare(torch.zeros(1, 5, 7, 6), GEOMETRY, InputSpec(crop="nonzero")).cropped == ()


def test_intensities_on_the_native_grid_come_before_the_resampling() -> None:
    """Clipping 0, 0, 9, 9 to [0, 3] first gives 1.5 half way, afterwards 3."""
    geometry = Geometry(shape=(4, 1), spacing=(1.0, 1.0))
    image = torch.tensor([0.0, 0.0, 9.0, 9.0]).reshape(1, 4, 1)
    spec = InputSpec(spacing_mm=(1.5, 1.0), grid="corner", clip=(0.0, 3.0))
    # voxels at 0, 1.5, 3 of the old grid
    assert prepare(image, geometry, spec).array.ravel().tolist() == [0.0, 3.0, 3.0]
    first = InputSpec(
        spacing_mm=(1.5, 1.0), grid="corner", clip=(0.0, 3.0), intensities_on="native"
    )
    assert prepare(image, geometry, first).array.ravel().tolist() == [0.0, 1.5, 3.0]


def test_logits_may_be_resampled_before_their_softmax() -> None:
    """Half way between logits (0, 0) and (0, 4) lies (0, 2); between their softmax .741."""
    geometry = Geometry(shape=(1, 3), spacing=(1.0, 1.0))
    spec = InputSpec(spacing_mm=(1.0, 2.0), grid="corner")
    fed = prepare(torch.arange(3.0).reshape(1, 1, 3), geometry, spec)
    assert fed.array.shape == (1, 1, 2)
    logits = np.array([[[0.0, 0.0]], [[0.0, 4.0]]], dtype=np.float32)
    labels = (("a", 1),)
    late = OutputSpec("logits_softmax", labels, resampled="logits")
    assert restore(logits, fed, late)[1, 0, 1].item() == pytest.approx(1 / (1 + np.exp(-2)))
    early = OutputSpec("logits_softmax", labels)
    between = (0.5 + 1 / (1 + np.exp(-4))) / 2
    assert restore(logits, fed, early)[1, 0, 1].item() == pytest.approx(between)


def test_what_a_crop_left_out_is_background_also_behind_logits() -> None:
    """Nonzero voxels are 1 to 3 of 5; logits (0, 2) inside are a probability of .881."""
    image = torch.tensor([0.0, 7.0, 7.0, 7.0, 0.0]).reshape(1, 5, 1)
    fed = prepare(image, Geometry(shape=(5, 1), spacing=(3.0, 0.8)), InputSpec(crop="nonzero"))
    assert fed.array.shape == (1, 3, 1)
    logits = np.stack([np.zeros((3, 1)), np.full((3, 1), 2.0)]).astype(np.float32)
    late = OutputSpec("logits_softmax", (("a", 1),), resampled="logits")
    inside = 1 / (1 + np.exp(-2))
    scores = restore(logits, fed, late)
    assert scores[1, :, 0].tolist() == pytest.approx([0, inside, inside, inside, 0])
    assert scores[0, :, 0].tolist() == pytest.approx([1, 1 - inside, 1 - inside, 1 - inside, 1])


def test_channels_are_treated_each_in_their_own_way() -> None:
    """First clipped and shifted, second standardised over the filled box without its corner hole."""
    image = torch.zeros(2, 4, 4)
    image[0] = torch.tensor([[-9.0, 2, 4, 9]] * 4)
    image[1, :3, :3] = torch.tensor([[1.0, 2, 3], [4, 0, 6], [7, 8, 9]])
    image[0, 3], image[0, :, 3] = 0, 0
    spec = InputSpec(
        channels=2,
        clip=((0.0, 4.0), None),
        affine=((0.5, -1.0), None),
        zscore=("none", "filled"),
    )
    fed = prepare(image, Geometry(shape=(4, 4), spacing=(1.0, 1.0)), spec).array
    assert fed[0, 0].tolist() == [-1.0, 0.0, 1.0, -1.0]
    values = np.array([1, 2, 3, 4, 0, 6, 7, 8, 9.0])  # the hole of the second channel counts
    expected = (values - values.mean()) / values.std()
    np.testing.assert_allclose(fed[1, :3, :3].ravel(), expected, atol=1e-6)
    assert fed[1, 3].tolist() == [0, 0, 0, 0]


def test_a_region_is_read_from_its_channel_and_written_as_its_number() -> None:
    """KiTS: kidney, masses, tumour in channels 1, 2, 3 become 1, 3, 2; the last one wins."""
    output = OutputSpec(
        "sigmoid",
        (("kidney", 1), ("masses", 3), ("tumour", 2)),
        channels=(("masses", 2), ("tumour", 3)),
    )
    from auditor.systems.decision import decide, scores_of

    answer = np.array([[[1, 1, 1, 0]], [[0, 1, 1, 0]], [[0, 0, 1, 0]]], dtype=np.float32)
    assert decide(scores_of(answer, output), output).tolist() == [[1, 3, 2, 0]]


@pytest.mark.parametrize("before", range(3, 12))
@pytest.mark.parametrize("after", range(3, 12))
def test_label_numbers_half_way_between_two_voxels_come_from_the_first(
    before: int, after: int
) -> None:
    """Positions as fractions; 11 voxels from 4: the one in the middle lies at 3 / 2, hence on 1."""
    ratio = Fraction(after, before)
    middles = [ratio / 2 - Fraction(1, 2) + j * ratio for j in range(before)]
    wanted = [min(max(math.ceil(it - Fraction(1, 2)), 0), after - 1) for it in middles]
    values = torch.arange(float(after))[None]
    found = resample(values, to_sizes((before,), (after,)).back, nearest=True)
    assert found[0].tolist() == wanted
