from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch
from scipy import ndimage
from torch import Tensor

from auditor.errors import CheckpointError, DataError
from auditor.schema import Geometry, InputSpec, OutputSpec, WindowSpec
from auditor.systems.orientation import match_axes, native_letters
from auditor.systems.preparation import (
    Prepared,
    decide,
    fed_mask,
    prepare,
    resample,
    restore,
)

LABELS = OutputSpec(activation="labels", labels=(("liver", 1), ("tumour", 2)))
SOFTMAX = OutputSpec(activation="softmax", labels=(("ball", 1),))
AXES = [
    "".join(letters)
    for triple in itertools.permutations(["RL", "AP", "IS"])
    for letters in itertools.product(*triple)
]


def rotation(*degrees: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        c, s = math.cos(angle), math.sin(angle)
        i, j = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[i, i], turn[j, j], turn[i, j], turn[j, i] = c, c, -s, s
        matrix = matrix @ turn
    return matrix


def oblique(shape: tuple[int, int, int] = (7, 9, 11)) -> Geometry:
    """Array axes z, y, x near to S, P, L, tilted by 10, -15 and 20 degrees; 3 x 0.8 x 1.2 mm."""
    turned = rotation(10, -15, 20)
    return Geometry(
        shape=shape,
        spacing=(3.0, 0.8, 1.2),
        direction=tuple(tuple(float(v) for v in turned[:, axis]) for axis in (2, 1, 0)),
        origin=(-100.0, 20.0, 35.0),
    )


def random_image(geometry: Geometry, channels: int = 1) -> Tensor:
    drawn = np.random.default_rng(11).standard_normal((channels, *geometry.shape))
    return torch.from_numpy(drawn.astype(np.float32))


def ball(geometry: Geometry, radius: float) -> Tensor:
    grid = torch.meshgrid(
        *[
            (torch.arange(n) - (n - 1) / 2) * s
            for n, s in zip(geometry.shape, geometry.spacing, strict=True)
        ],
        indexing="ij",
    )
    distance = torch.stack(grid).square().sum(dim=0).sqrt()
    return (radius - distance).div(1.5).sigmoid()[None]


def two_classes(prepared: Prepared) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.concatenate([1 - prepared.array, prepared.array])


def dsc(a: Tensor, b: Tensor) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_letters_of_a_scan_without_directions_are_those_of_lps() -> None:
    assert native_letters(Geometry(shape=(4, 5, 6), spacing=(3.0, 1.0, 1.0))) == "SPL"
    assert native_letters(Geometry(shape=(5, 6), spacing=(0.5, 0.7))) == "PL"


def test_letters_of_an_oblique_scan_are_the_nearest_axes() -> None:
    assert native_letters(oblique()) == "SPL"
    # a sagittal scan: z runs to the right, y to inferior, x to posterior; tilted by 20 degrees
    c, s = math.cos(math.radians(20)), math.sin(math.radians(20))
    sagittal = Geometry(
        shape=(4, 5, 6),
        spacing=(4.0, 0.5, 0.5),
        direction=((-c, s, 0.0), (0.0, 0.0, -1.0), (s, c, 0.0)),
    )
    assert native_letters(sagittal) == "RIP"


def test_no_letter_is_given_twice_when_two_axes_point_to_the_same_side() -> None:
    # both in-plane axes are nearest to P; the second one is nearer, so the first becomes L
    c, s = math.cos(math.radians(46)), math.sin(math.radians(46))
    geometry = Geometry(
        shape=(4, 5, 6),
        spacing=(4.0, 0.5, 0.7),
        direction=((0.0, 0.0, 1.0), (c, s, 0.0), (0.1, 0.99, 0.0)),
    )
    assert native_letters(geometry) == "SLP"


def test_at_exactly_45_degrees_the_stored_order_is_kept() -> None:
    h = math.sqrt(0.5)
    geometry = Geometry(
        shape=(4, 5, 6),
        spacing=(2.0, 0.5, 0.7),
        direction=((0.0, 0.0, 1.0), (-h, h, 0.0), (h, h, 0.0)),
    )
    assert native_letters(geometry) == "SPL"


def test_ras_of_an_lps_scan_by_hand() -> None:
    geometry = Geometry(shape=(2, 3, 4), spacing=(3.0, 1.0, 1.5))
    image = torch.arange(24, dtype=torch.float32).reshape(1, 2, 3, 4)
    fed = prepare(image, geometry, InputSpec(axes="RAS")).array
    assert fed.shape == (1, 4, 3, 2)
    # the fed voxel (r, a, s) is the native (z, y, x) = (s, 2 - a, 3 - r)
    assert fed[0, 0, 0, 0] == image[0, 0, 2, 3]
    assert fed[0, 3, 1, 1] == image[0, 1, 1, 0]


@pytest.mark.parametrize("axes", AXES)
def test_a_label_map_survives_every_orientation_of_an_oblique_scan_exactly(axes: str) -> None:
    geometry = oblique()
    labels = torch.from_numpy(np.random.default_rng(3).integers(0, 3, geometry.shape))
    prepared = prepare(labels[None].float(), geometry, InputSpec(axes=axes))
    assert prepared.array.shape[1:] == tuple(
        geometry.shape[{"S": 0, "I": 0, "P": 1, "A": 1, "L": 2, "R": 2}[a]] for a in axes
    )
    back = decide(restore(prepared.array, prepared, LABELS), LABELS)
    assert back.dtype == torch.int16
    assert torch.equal(back.long(), labels)


def test_there_are_48_orientations() -> None:
    geometry = oblique()
    found = {match_axes(axes, geometry, slicewise=False) for axes in AXES}
    assert len(found) == len(AXES) == 48


@pytest.mark.parametrize("axes", ["native", "RAS", "SLA"])
@pytest.mark.parametrize("spacing", [(1.5, 1.5, 2.0), (0.9, 1.1, 1.3), (4.0, 2.5, 3.0)])
def test_a_ball_survives_resampling(axes: str, spacing: tuple[float, ...]) -> None:
    geometry = oblique((21, 60, 45))
    image = ball(geometry, 16.0)
    prepared = prepare(image, geometry, InputSpec(axes=axes, spacing_mm=spacing))
    scores = restore(two_classes(prepared), prepared, SOFTMAX)
    assert scores.shape == (2, *geometry.shape)
    assert dsc(decide(scores, SOFTMAX) == 1, image[0] > 0.5) > 0.95


def test_resampling_keeps_the_physical_centre_and_the_declared_spacing() -> None:
    # a linear ramp in mm: each fed voxel must hold its own distance from the image's centre
    geometry = Geometry(shape=(8, 6, 10), spacing=(3.0, 0.8, 1.2))
    z = (torch.arange(8) - 3.5) * 3.0
    image = z[None, :, None, None].expand(1, 8, 6, 10)
    spec = InputSpec(axes="SPL", spacing_mm=(2.0, 0.8, 1.2))
    fed = prepare(image, geometry, spec).array
    # 8 * 3 / 2 = 12 voxels from -11 to 11 mm; the scan's outer centres lie at -10.5 and 10.5
    assert fed.shape == (1, 12, 6, 10)
    assert fed[0, :, 0, 0] == pytest.approx([-10.5, *range(-9, 10, 2), 10.5])


def test_spacing_follows_the_fed_axes() -> None:
    geometry = Geometry(shape=(8, 6, 10), spacing=(3.0, 0.8, 1.2))
    spec = InputSpec(axes="LPS", spacing_mm=(0.6, 0.8, 6.0))
    assert prepare(random_image(geometry), geometry, spec).array.shape == (1, 20, 6, 4)


def test_a_spacing_that_differs_in_the_last_digits_changes_nothing() -> None:
    geometry = Geometry(shape=(8, 6, 10), spacing=(3.0, 0.7000001, 1.2))
    image = random_image(geometry)
    prepared = prepare(image, geometry, InputSpec(spacing_mm=(3.0, 0.7, 1.2)))
    assert prepared.resamplings == ()
    assert np.array_equal(prepared.array, image.numpy())


def test_a_spacing_in_mm_is_refused_for_an_image_in_pixels() -> None:
    geometry = Geometry(shape=(6, 8), spacing=(1.0, 1.0), unit="px")
    with pytest.raises(DataError, match="no spacing in mm"):
        prepare(random_image(geometry), geometry, InputSpec(spacing_mm=(1.0, 1.0)))


def test_a_fixed_size_is_padded_and_cropped_about_the_centre_and_undone() -> None:
    geometry = Geometry(shape=(2, 6, 5), spacing=(3.0, 0.8, 1.2))
    image = random_image(geometry)
    prepared = prepare(image, geometry, InputSpec(size=(5, 4, 5)))
    assert prepared.margins == ((1, 2), (-1, -1), (0, 0))
    assert np.array_equal(prepared.array[0, 1:3], image[0, :, 1:5].numpy())
    assert (prepared.array[0, 0] == image[0, :, 1:5].min().numpy()).all()
    ones = np.stack([np.zeros(prepared.array.shape[1:]), np.ones(prepared.array.shape[1:])])
    scores = restore(ones.astype(np.float32), prepared, SOFTMAX)
    assert (decide(scores, SOFTMAX)[:, 1:5] == 1).all()
    # what was cropped away is background, with certainty
    assert (scores[0, :, [0, 5]] == 1).all()
    assert (decide(scores, SOFTMAX)[:, [0, 5]] == 0).all()


def test_a_fixed_size_by_resizing_keeps_the_edges() -> None:
    geometry = Geometry(shape=(4, 30, 24), spacing=(3.0, 0.8, 1.2))
    image = ball(geometry, 8.0)
    prepared = prepare(image, geometry, InputSpec(size=(8, 15, 24), fit="resize"))
    assert prepared.array.shape == (1, 8, 15, 24)
    # half the voxels along y: each new voxel is the mean of two old ones
    back = restore(two_classes(prepared), prepared, SOFTMAX)
    assert dsc(decide(back, SOFTMAX) == 1, image[0] > 0.5) > 0.95
    halved = prepare(image, geometry, InputSpec(size=(4, 15, 24), fit="resize")).array
    assert halved[0] == pytest.approx(image[0].reshape(4, 15, 2, 24).mean(dim=2).numpy(), abs=1e-6)


def test_sizes_are_padded_to_the_divisor_and_cut_back() -> None:
    geometry = oblique((7, 9, 16))
    image = random_image(geometry)
    prepared = prepare(image, geometry, InputSpec(axes="LPS", divisor=(8, 4, 2)))
    assert prepared.array.shape == (1, 16, 12, 8)
    assert prepared.margins == ((0, 0), (0, 3), (0, 1))
    spec = OutputSpec(activation="sigmoid", labels=(("ball", 1),))
    echoed = restore(1 / (1 + np.exp(-prepared.array)), prepared, spec)
    assert torch.allclose(echoed, image.sigmoid(), atol=1e-6)


def test_a_slicewise_system_gets_one_slice_at_a_time() -> None:
    geometry = oblique((7, 9, 11))
    image = random_image(geometry, channels=2)
    spec = InputSpec(channels=2, axes="SPL", dims=2, size=(16, 16))
    prepared = prepare(image, geometry, spec)
    assert [piece.shape for piece in prepared.pieces] == [(2, 16, 16)] * 7
    labels = [np.full((1, 16, 16), i % 3) for i in range(7)]
    back = decide(restore(prepared.join(labels), prepared, LABELS), LABELS)
    assert back[:, 4, 5].tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_two_letters_of_a_slicewise_system_name_the_axes_of_its_slices() -> None:
    geometry = oblique((7, 9, 11))
    image = random_image(geometry)
    # coronal slices: along P, each running towards L and S
    prepared = prepare(image, geometry, InputSpec(axes="LS", dims=2))
    assert len(prepared.pieces) == 9
    assert np.array_equal(prepared.pieces[3][0], image[0, :, 3, :].T.numpy())


def test_in_plane_spacing_leaves_the_slices_of_a_slicewise_system_alone() -> None:
    geometry = oblique((7, 10, 20))
    spec = InputSpec(dims=2, spacing_mm=(1.6, 2.4))
    assert prepare(random_image(geometry), geometry, spec).array.shape == (1, 7, 5, 10)


def test_two_dimensional_images_keep_two_axes() -> None:
    geometry = Geometry(shape=(6, 8), spacing=(0.5, 0.7))
    image = random_image(geometry)
    prepared = prepare(image, geometry, InputSpec(axes="LA"))
    assert np.array_equal(prepared.array[0], image[0].flip(0).T.numpy())
    values = 1 / (1 + np.exp(-prepared.array))
    spec = OutputSpec(activation="sigmoid", labels=(("ball", 1),))
    assert torch.allclose(restore(values, prepared, spec), image.sigmoid())


@pytest.mark.parametrize(
    ("spec", "window", "words"),
    [
        (InputSpec(axes="RAX"), None, "must be 'native' or two or three letters"),
        (InputSpec(axes="RLS"), None, "must be 'native' or two or three letters"),
        (InputSpec(axes="RA"), None, "must name the 3 axes of the scan, which runs towards SPL"),
        (InputSpec(channels=3), None, "input.channels must be the scan's 1, got 3"),
        (InputSpec(size=(4, 4)), None, "input.size must have 3 numbers"),
        (InputSpec(divisor=(4, 4, 4), dims=2), None, "input.divisor must have 2 numbers"),
        (InputSpec(spacing_mm=(1.0, 1.0)), None, "input.spacing_mm must have 3 numbers"),
        (InputSpec(), WindowSpec((4, 4)), "window.size must have 3 numbers"),
    ],
)
def test_a_contract_that_does_not_fit_the_scan_says_where(
    spec: InputSpec, window: WindowSpec | None, words: str
) -> None:
    geometry = oblique()
    with pytest.raises(CheckpointError) as error:
        prepare(random_image(geometry), geometry, spec, window)
    assert words in str(error.value)


def test_an_answer_on_another_grid_is_refused() -> None:
    geometry = oblique()
    prepared = prepare(random_image(geometry), geometry, InputSpec())
    with pytest.raises(CheckpointError, match="on the grid"):
        restore(np.zeros((2, 3, 3, 3), dtype=np.float32), prepared, SOFTMAX)


def test_the_scan_is_not_changed() -> None:
    geometry = oblique()
    image = random_image(geometry)
    before = image.clone()
    spec = InputSpec(axes="RAS", clip=(-1, 1), scale_to=(0, 1), zscore="image", divisor=(4, 4, 4))
    prepare(image, geometry, spec).array[:] = 0
    prepare(image, geometry, InputSpec()).array[:] = 0
    assert torch.equal(image, before)


@pytest.mark.parametrize("axes", AXES)
def test_orientations_agree_with_simpleitk(axes: str) -> None:
    geometry = oblique()
    image = random_image(geometry)
    sitk: Any = SimpleITK  # untyped
    volume = sitk.GetImageFromArray(image[0].numpy())
    # SimpleITK's axes are (x, y, z), and its direction matrix holds one axis per column
    volume.SetSpacing(geometry.spacing[::-1])
    volume.SetDirection(np.array(geometry.direction[::-1]).T.flatten().tolist())
    oriented = sitk.GetArrayFromImage(sitk.DICOMOrient(volume, axes))
    fed = prepare(image, geometry, InputSpec(axes=axes)).array[0]
    assert np.array_equal(fed, oriented.transpose(2, 1, 0))


def test_resampling_agrees_with_scipy() -> None:
    geometry = Geometry(shape=(9, 14, 11), spacing=(3.0, 0.8, 1.2))
    image = random_image(geometry)
    fed = prepare(image, geometry, InputSpec(spacing_mm=(2.0, 1.1, 0.7))).array[0]
    assert fed.shape == (14, 10, 19)  # 27 / 2 = 13.5 to even, 11.2 / 1.1, 13.2 / 0.7
    ratio = np.array([2.0, 1.1, 0.7]) / geometry.spacing
    offset = (np.array(geometry.shape) - 1) / 2 - (np.array(fed.shape) - 1) / 2 * ratio
    theirs = ndimage.affine_transform(
        image[0].numpy(), ratio, offset, fed.shape, order=1, mode="nearest"
    )
    assert fed == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize(
    "spec",
    [
        InputSpec(),
        InputSpec(axes="RAS", spacing_mm=(1.1, 0.7, 3.0)),
        InputSpec(axes="LPI", spacing_mm=(1.1, 2.0, 4.4), grid="corner", divisor=(8, 8, 4)),
        InputSpec(
            axes="SAR", spacing_mm=(2.0, 1.5, 1.5), grid="extent", size=(20, 16, 12), fit="pad"
        ),
        InputSpec(spacing_mm=(2.5, 0.9, 1.2), size=(9, 12, 15), fit="resize"),
        InputSpec(dims=2, spacing_mm=(0.9, 1.3), divisor=(4, 8)),
    ],
)
def test_a_mask_on_the_fed_grid_is_what_nearest_neighbours_of_the_fed_scan_are(
    spec: InputSpec,
) -> None:
    geometry = Geometry((7, 18, 22), (3.0, 0.8, 1.0))
    mask = torch.from_numpy(np.random.default_rng(1).random(geometry.shape) < 0.4)
    prepared = prepare(mask[None].float(), geometry, spec)
    values = prepared.orientation.apply(mask[None].float())
    for step in prepared.resamplings:
        values = resample(values, step, nearest=True)
    expected = np.zeros(prepared.array.shape[1:], dtype=bool)
    inner, outer = [], []
    sizes: tuple[int, ...] = prepared.array.shape[1:]
    for (before, after), fed, own in zip(prepared.margins, sizes, values.shape[1:], strict=True):
        inner.append(slice(max(0, before), fed - max(0, after)))
        outer.append(slice(max(0, -before), own - max(0, -after)))
    expected[tuple(inner)] = values[0].numpy()[tuple(outer)] > 0.5
    found = fed_mask(mask, mask[None].float(), geometry, spec)
    assert found.dtype == bool
    assert np.array_equal(found, expected)
