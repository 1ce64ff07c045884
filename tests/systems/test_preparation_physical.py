"""Voxels keep their places in the patient: anisotropic and oblique scans, there and back.

Against formulas, SimpleITK, and MONAI's Spacing where its definition is ours.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.spatial.array import Spacing
from numpy.typing import NDArray
from torch import Tensor

from auditor.schema import Geometry, InputSpec, OutputSpec
from auditor.systems.orientation import native_letters
from auditor.systems.preparation import Prepared, decide, prepare, restore

Array = NDArray[np.float64]
SIGMOID = OutputSpec("sigmoid", (("organ", 1),))
LABELS = OutputSpec("labels", (("liver", 1), ("tumour", 2)))
sitk: Any = SimpleITK  # untyped


def turned(*degrees: float) -> Array:
    """Rotate about x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        i, j = (k for k in range(3) if k != axis)
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ turn
    return matrix


def scan_of(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], columns: Array
) -> Geometry:
    """Directions of the array's axes z, y, x are the columns 2, 1, 0 of a rotation."""
    direction = tuple(tuple(float(v) for v in columns[:, axis]) for axis in (2, 1, 0))
    return Geometry(shape=shape, spacing=spacing, direction=direction, origin=(-90.0, 20.0, 35.5))


# an axial scan that is tilted; a sagittal one (z runs to the left); a coronal one that runs backwards
SAGITTAL = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
CORONAL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])
SCANS = {
    "axial": scan_of((9, 16, 13), (3.0, 0.8, 1.2), turned(10, -15, 20)),
    "sagittal": scan_of((8, 14, 15), (4.0, 1.0, 0.7), turned(-12, 8, 5) @ SAGITTAL),
    "coronal": scan_of((10, 12, 11), (2.5, 1.5, 0.9), turned(25, 5, -9) @ CORONAL),
}
CONTRACTS = [
    InputSpec(axes="RAS", spacing_mm=(1.5, 1.0, 2.0)),
    InputSpec(axes="SPL", spacing_mm=(2.0, 1.7, 0.6)),
    InputSpec(axes="ILA", spacing_mm=(1.1, 1.3, 1.9), divisor=(4, 8, 2)),
    InputSpec(spacing_mm=(1.3, 2.1, 1.0)),
]


def affine(geometry: Geometry) -> tuple[Array, Array]:
    """Matrix and offset from (z, y, x) indices to millimetres (x, y, z)."""
    columns = np.array(geometry.direction).T * np.array(geometry.spacing)
    return columns, np.array(geometry.origin)


def positions(shape: tuple[int, ...], matrix: Array, first: Array) -> Array:
    """Place of every voxel in mm: (3, *shape)."""
    return np.tensordot(matrix, np.indices(shape), axes=1) + first[:, None, None, None]


def fed_grid(geometry: Geometry, spec: InputSpec, prepared: Prepared) -> tuple[Array, Array]:
    """Say where fed voxels must lie, from the letters alone: the direction matrix, and the centre."""
    matrix, first = affine(geometry)
    natives, letters = native_letters(geometry), spec.axes
    letters = natives if letters == "native" else letters
    pairs = {"R": "RL", "L": "RL", "A": "AP", "P": "AP", "I": "IS", "S": "IS"}
    order = [next(i for i, n in enumerate(natives) if pairs[n] == pairs[it]) for it in letters]
    signs = [1.0 if natives[i] == it else -1.0 for i, it in zip(order, letters, strict=True)]
    assert spec.spacing_mm is not None
    unit = np.array(
        [np.array(geometry.direction)[i] * s for i, s in zip(order, signs, strict=True)]
    )
    columns = unit.T * np.array(spec.spacing_mm)
    centre = first + matrix @ ((np.array(geometry.shape) - 1) / 2)
    inside = np.array(prepared.resamplings[0].after)
    return columns, centre - columns @ ((inside - 1) / 2)


def without_padding(prepared: Prepared) -> NDArray[np.float32]:
    after = prepared.resamplings[0].after
    return prepared.array[(slice(None), *(slice(0, n) for n in after))]


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("spec", CONTRACTS)
def test_a_fed_voxel_holds_what_the_scan_has_at_its_place_in_the_patient(
    name: str, spec: InputSpec
) -> None:
    geometry = SCANS[name]
    # three images, whose intensity is the x, the y and the z coordinate in mm: linear, so that linear
    # interpolation is exact
    places = positions(geometry.shape, *affine(geometry))
    image = torch.from_numpy(places.astype(np.float32))
    three = InputSpec(3, spec.axes, spacing_mm=spec.spacing_mm, divisor=spec.divisor)
    prepared = prepare(image, geometry, three)
    fed = without_padding(prepared)
    expected = positions(fed.shape[1:], *fed_grid(geometry, spec, prepared))
    # beyond the centres of the outer voxels the edge is repeated
    matrix, first = affine(geometry)
    index = np.linalg.solve(matrix, (expected - first[:, None, None, None]).reshape(3, -1))
    last = np.array(geometry.shape)[:, None] - 1
    inside = ((index > -1e-6) & (index < last + 1e-6)).all(axis=0).reshape(fed.shape[1:])
    assert inside.mean() > 0.5
    assert np.abs(fed - expected)[:, inside].max() < 1e-4
    # and the centre of the fed image is the centre of the scan
    middle = [slice((n - 1) // 2, n // 2 + 1) for n in fed.shape[1:]]
    centre = fed[(slice(None), *middle)].mean(axis=(1, 2, 3))
    assert centre == pytest.approx(places.mean(axis=(1, 2, 3)), abs=1e-3)


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("spec", CONTRACTS)
def test_a_smooth_answer_comes_back_to_its_place(name: str, spec: InputSpec) -> None:
    geometry = SCANS[name]
    places = positions(geometry.shape, *affine(geometry))
    ramp = places.sum(axis=0)
    ramp = 0.1 + 0.8 * (ramp - ramp.min()) / (ramp.max() - ramp.min())
    prepared = prepare(torch.from_numpy(ramp.astype(np.float32))[None], geometry, spec)
    back = restore(prepared.array, prepared, SIGMOID)[0].numpy()
    assert back.shape == geometry.shape
    inner = tuple(slice(3, -3) for _ in range(3))  # away from repeated edges
    assert back[inner] == pytest.approx(ramp[inner], abs=1e-5)


def image_of(values: NDArray[Any], geometry: Geometry) -> Any:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(geometry.spacing[::-1])
    image.SetDirection(np.array(geometry.direction[::-1]).T.flatten().tolist())
    image.SetOrigin(geometry.origin)
    return image


def resampled(image: Any, like: Any, how: int) -> NDArray[Any]:
    """Resample by SimpleITK onto another grid; edges repeated."""
    method = sitk.ResampleImageFilter()
    method.SetReferenceImage(like)
    method.SetInterpolator(how)
    method.UseNearestNeighborExtrapolatorOn()
    found: NDArray[Any] = sitk.GetArrayFromImage(method.Execute(image))
    return found


def grid_image(geometry: Geometry, spec: InputSpec, prepared: Prepared) -> Any:
    """Make an empty SimpleITK image on the fed grid, whose axes (x, y, z) are the fed ones in order."""
    columns, first = fed_grid(geometry, spec, prepared)
    size = prepared.resamplings[0].after
    grid = sitk.Image([int(n) for n in size], sitk.sitkFloat64)
    lengths = np.linalg.norm(columns, axis=0)
    grid.SetSpacing(lengths.tolist())
    grid.SetDirection((columns / lengths).flatten().tolist())
    grid.SetOrigin(first.tolist())
    return grid


def drawn(geometry: Geometry, seed: int = 0) -> Tensor:
    values = np.random.default_rng(seed).uniform(0, 1, geometry.shape)
    return torch.from_numpy(values.astype(np.float32))


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("spec", CONTRACTS)
def test_resampling_there_and_back_is_that_of_simpleitk(name: str, spec: InputSpec) -> None:
    geometry, values = SCANS[name], drawn(SCANS[name])
    prepared = prepare(values[None], geometry, spec)
    grid = grid_image(geometry, spec, prepared)
    scan = image_of(values.numpy(), geometry)
    theirs = resampled(scan, grid, sitk.sitkLinear).transpose(2, 1, 0)
    fed = without_padding(prepared)[0]
    inside = tuple(slice(2, -2) for _ in range(3))
    assert np.abs(fed - theirs)[inside].max() < 1e-4

    answer = np.random.default_rng(1).uniform(0, 1, prepared.array.shape).astype(np.float32)
    kept = replace(prepared, array=answer)
    given = sitk.GetImageFromArray(without_padding(kept)[0].transpose(2, 1, 0))
    given.CopyInformation(grid)
    back = restore(answer, prepared, SIGMOID)[0].numpy()
    assert np.abs(back - resampled(given, scan, sitk.sitkLinear))[inside].max() < 1e-4


@pytest.mark.parametrize("name", SCANS)
def test_label_numbers_come_back_by_the_nearest_voxel_as_in_simpleitk(name: str) -> None:
    geometry, spec = SCANS[name], InputSpec(axes="RAS", spacing_mm=(1.53, 1.07, 1.91))
    prepared = prepare(drawn(geometry)[None], geometry, spec)
    labels = np.random.default_rng(2).integers(0, 3, prepared.array.shape[1:]).astype(np.int16)
    grid = grid_image(geometry, spec, prepared)
    given = sitk.GetImageFromArray(labels.transpose(2, 1, 0))
    given.CopyInformation(grid)
    back = decide(restore(labels[None], prepared, LABELS), LABELS).numpy()
    theirs = resampled(given, image_of(drawn(geometry).numpy(), geometry), sitk.sitkNearestNeighbor)
    # the place of each voxel of the scan in voxels of the fed grid: half way is either neighbour's
    columns, first = fed_grid(geometry, spec, prepared)
    places = positions(geometry.shape, *affine(geometry)) - first[:, None, None, None]
    index = np.tensordot(np.linalg.inv(columns), places, axes=1)
    decided = (np.abs(index - np.floor(index) - 0.5) > 1e-6).all(axis=0)
    last = np.array(prepared.resamplings[0].after)[:, None, None, None] - 1
    decided &= ((index >= 0) & (index <= last)).all(axis=0)
    assert decided.mean() > 0.4
    assert np.array_equal(back[decided], theirs[decided])


def affine_of_monai(geometry: Geometry) -> Tensor:
    matrix, first = affine(geometry)
    whole = np.eye(4)
    whole[:3, :3], whole[:3, 3] = matrix, first
    return torch.from_numpy(whole)


@pytest.mark.parametrize(
    ("shape", "spacing", "new"),
    [
        # 9 * 3 / 1.5 = 18, 16 * .8 / .4 = 32, 12 * 1.2 / .9 = 16 voxels
        ((9, 16, 12), (3.0, 0.8, 1.2), (1.5, 0.4, 0.9)),
        # 10 * 2.4 / 3 = 8, 15 * .9 / 1.5 = 9, 14 * 1 / 2 = 7 voxels
        ((10, 15, 14), (2.4, 0.9, 1.0), (3.0, 1.5, 2.0)),
    ],
)
def test_whole_numbers_of_voxels_are_those_of_monai(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    new: tuple[float, float, float],
) -> None:
    """MONAI's Spacing with scale_extent keeps the first edge of the image, ours the centre.

    Both are the same where the old extent is a whole number of new voxels.
    """
    geometry = scan_of(shape, spacing, turned(10, -15, 20))
    values = drawn(geometry)
    fed = prepare(values[None], geometry, InputSpec(spacing_mm=new)).array
    spaced: Any = Spacing(new, mode="bilinear", padding_mode="border", scale_extent=True)
    theirs = spaced(MetaTensor(values[None], affine=affine_of_monai(geometry)))
    assert fed.shape == tuple(theirs.shape)
    assert fed == pytest.approx(theirs.numpy(), abs=1e-4)
