"""Volumes of one slice: X-ray, ultrasound and 2-D MR stored with an axis of one voxel stay in their plane."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import perturbations
from perturbations import Scan
from perturbations.elastic import ElasticWarp
from perturbations.geometry import AffineWarp
from perturbations.kspace_motion import draw_path

SHAPE, SPACING = (60, 90), (1.5, 1.0)

PLANE = np.array([[0, 0], [20.0, -12.0]])
"""Places of two spots in mm from the centre."""


def picture() -> Scan:
    """Two smooth spots in a plane of 90 mm x 90 mm, far enough from its border to be moved by 10 mm."""
    y, x = ((np.arange(n) - (n - 1) / 2) * s for n, s in zip(SHAPE, SPACING, strict=True))
    image = sum(
        np.exp(-((y[:, None] - cy) ** 2 + (x[None] - cx) ** 2) / (2 * 4.0**2)) for cy, cx in PLANE
    )
    values = torch.from_numpy(np.asarray(100 * image, dtype=np.float32))
    return Scan(image=values[None], spacing=SPACING, modality="mr")


def single(axis: int, modality: str = "mr", spacing: tuple[float, ...] = SPACING) -> Scan:
    """The same picture as a volume with an axis of one voxel, 5 mm thick unless it is in pixels."""
    display = modality != "mr"
    along = list(spacing)
    along.insert(axis, 1.0 if display else 5.0)
    return Scan(
        image=picture().image.unsqueeze(axis + 1).contiguous(),
        spacing=tuple(along),
        unit="px" if display else "mm",
        modality=modality,
    )


def centre_of(image: torch.Tensor, axis: int) -> np.ndarray:
    values = image[0].squeeze(axis).double().numpy()
    grids = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * s for n, s in zip(SHAPE, SPACING, strict=True)),
        indexing="ij",
    )
    return np.array([(values * p).sum() / values.sum() for p in grids])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_translation_moves_a_slice_by_its_length_in_its_plane(axis: int) -> None:
    scan = single(axis)
    start = centre_of(scan.image, axis)
    for seed in range(4):
        result = perturbations.realise("translation", scan, seed=seed).at(level=10.0)
        assert isinstance(result.warp, AffineWarp)
        assert result.warp.offset[axis] == 0.0
        assert np.linalg.norm(centre_of(result.image, axis) - start) == pytest.approx(
            10.0, rel=0.01
        )
        assert result.warp.displacement().numpy() == pytest.approx(10.0, abs=1e-9)
        # a shift by 10 mm of 90 mm loses at most 1 - (1 - 10 / 90 / sqrt(2))^2 = 15 %, and a voxel
        assert float(result.warp.retained.float().mean()) > 0.83


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_rotation_turns_a_slice_in_its_plane(axis: int) -> None:
    scan = single(axis)
    inside = [other for other in range(3) if other != axis]
    senses = set()
    for seed in range(8):
        result = perturbations.realise("rotation", scan, seed=seed).at(level=10.0)
        assert isinstance(result.warp, AffineWarp)
        matrix = np.asarray(result.warp.matrix)
        assert matrix[axis].tolist() == np.eye(3)[axis].tolist()
        assert matrix[:, axis].tolist() == np.eye(3)[axis].tolist()
        turn = matrix[np.ix_(inside, inside)]
        angle = math.degrees(math.atan2(turn[1, 0], turn[0, 0]))
        assert abs(angle) == pytest.approx(10.0)
        senses.add(angle > 0)
        assert float(result.warp.retained.float().mean()) > 0.9
        # the second spot lies as far from the first as before, 10 degrees further round
        there = turn @ PLANE[1]
        spots = [centre_of(scan.image, axis) * 2, centre_of(result.image, axis) * 2]
        assert spots[1] == pytest.approx(there, abs=0.2)
        assert spots[0] == pytest.approx(PLANE[1], abs=0.1)
    assert senses == {True, False}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_scaling_scales_a_slice_and_not_its_thickness(axis: int) -> None:
    factors = set()
    for seed in range(8):
        result = perturbations.realise("scaling", single(axis), seed=seed).at(level=1.2)
        assert isinstance(result.warp, AffineWarp)
        diagonal = np.diag(np.asarray(result.warp.matrix))
        factor = diagonal[1 if axis == 0 else 0]
        assert diagonal.tolist() == [1.0 if other == axis else factor for other in range(3)]
        assert result.warp.smallest_jacobian() == pytest.approx(factor**2)
        same = perturbations.realise("scaling", picture(), seed=seed).at(level=1.2).image
        assert torch.allclose(result.image.squeeze(axis + 1), same, atol=1e-4)
        factors.add(round(factor, 6))
    assert factors == {1.2, round(1 / 1.2, 6)}


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    ("name", "level", "longest"),
    # in pixels of 1 mm: three standard deviations of 0.5 / (2 sqrt(3 pi)) = 0.0814 a unit
    [("elastic", 9.0, 9.0), ("rood_elastic", 9.0, 9.0), ("imagenet_c_elastic", 20.0, 4.886)],
)
def test_a_deformation_of_a_slice_is_that_of_its_image(
    name: str, level: float, longest: float, axis: int
) -> None:
    scan = single(axis)
    for seed in range(3):
        result = perturbations.realise(name, scan, seed=seed).at(level=level)
        flat = perturbations.realise(name, picture(), seed=seed).at(level=level)
        assert isinstance(result.warp, ElasticWarp)
        assert result.warp.moved(0, scan.spatial_shape[0])[axis].abs().max() == 0.0
        assert float(result.warp.displacement().max()) == pytest.approx(longest, rel=1e-3)
        assert result.warp.smallest_jacobian() > 0.05
        # the largest move is 9 of 90 mm, and most move by less
        assert float(result.warp.retained.float().mean()) > 0.85
        assert torch.allclose(result.image.squeeze(axis + 1), flat.image, atol=1e-3)


def test_a_crop_ends_along_an_axis_of_the_plane() -> None:
    for axis in range(3):
        scan = single(axis)
        seen = set()
        for seed in range(30):
            result = perturbations.realise("crop", scan, seed=seed).at(level=20.0)
            assert result.warp is not None
            lost = ~result.warp.retained
            whole = [bool(lost.movedim(k, 0).flatten(1).all(dim=1).any()) for k in range(3)]
            # some of its lines are lost, and the one of the cut mixed: not the slice as a whole
            assert whole.count(True) == 1
            changed = int((result.image[0] != scan.image[0]).sum())
            assert changed <= int(lost.sum()) + max(SHAPE)
            seen |= {k for k in range(3) if whole[k]}
        assert seen == {0, 1, 2} - {axis}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rood_affine_shifts_and_turns_a_slice_in_its_plane(axis: int) -> None:
    size = 8.0 / math.sqrt(3)
    for seed in range(4):
        warp = perturbations.realise("rood_affine", single(axis), seed=seed).at(level=8.0).warp
        assert isinstance(warp, AffineWarp)
        shift = [0.0 if other == axis else size for other in range(3)]
        assert np.abs(warp.offset).tolist() == pytest.approx(shift)
        matrix = np.asarray(warp.matrix)
        assert matrix[axis].tolist() == np.eye(3)[axis].tolist()
        # one turn of 0.75 degrees a mm is left of three
        angle = math.degrees(math.acos((np.trace(matrix) - 1) / 2))
        assert angle == pytest.approx(0.75 * size)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_moves_in_its_plane_while_it_is_acquired(axis: int) -> None:
    shape = single(axis).spatial_shape
    for seed in range(10):
        path = draw_path(np.random.default_rng(seed), 4, shape)
        turns, shifts = (np.array([getattr(p, kind) for p in path]) for kind in ("turn", "shift"))
        assert np.abs(np.delete(turns, axis, axis=1)).max() == 0.0
        assert np.abs(turns[:, axis]).max() == pytest.approx(1.0)
        assert np.abs(shifts[:, axis]).max() == 0.0
        assert np.linalg.norm(shifts, axis=1).max() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "name",
    [
        "rotation", "translation", "scaling", "elastic", "crop", "missing_slices", "motion",
        "rood_affine", "rood_elastic", "rood_motion", "imagenet_c_elastic",
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1)])
def test_one_voxel_has_nowhere_to_move(name: str, shape: tuple[int, ...]) -> None:
    scan = Scan(image=torch.full((1, *shape), 7.0), spacing=(1.0,) * len(shape), modality="mr")
    result = perturbations.realise(name, scan, seed=1).at(severity=5)
    assert result.status == "no_effect"
    assert result.warp is None
    assert torch.equal(result.image, scan.image)


@pytest.mark.parametrize("shape", [(1, 1, 60), (1, 60, 1), (60, 1, 1), (1, 60), (60, 1)])
def test_a_line_moves_along_itself_and_does_not_turn(shape: tuple[int, ...]) -> None:
    image = torch.arange(60, dtype=torch.float32).reshape(1, *shape)
    scan = Scan(image=image, spacing=(2.0,) * len(shape), modality="mr")
    turned = perturbations.realise("rotation", scan, seed=2).at(severity=5)
    assert turned.status == "no_effect"
    assert turned.warp is None
    for seed in range(2):
        moved = perturbations.realise("translation", scan, seed=seed).at(level=10.0)
        assert moved.warp is not None
        # 5 voxels leave at one end, 0 is what comes in
        assert int(moved.warp.retained.sum()) == 55
        values = moved.image.flatten()
        assert values.tolist() in (
            [0.0] * 5 + list(range(55)),
            [*range(5, 60)] + [0.0] * 5,
        )
        path = draw_path(np.random.default_rng(seed), 3, shape)
        assert max(np.linalg.norm(pose.shift) for pose in path) == pytest.approx(1.0)
        assert not any(any(pose.turn) for pose in path)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_in_pixels_is_measured_by_the_sides_of_its_plane(axis: int) -> None:
    scan = single(axis, "xray", (1.0, 1.0))
    # 4 and 3 % of (60 + 90) / 2 = 75 px
    for name, level, longest in (("translation", 4.0, 3.0), ("elastic", 3.0, 2.25)):
        result = perturbations.realise(name, scan, seed=1).at(level=level)
        assert result.warp is not None
        assert float(result.warp.displacement().max()) == pytest.approx(longest, rel=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_occlusion_hides_its_share_of_a_slice_in_pixels(axis: int) -> None:
    scan = single(axis, "xray", (1.0, 1.0))
    result = perturbations.realise("occlusion", scan, seed=1).at(level=6.0)
    assert result.warp is not None
    hidden = (~result.warp.retained).squeeze(axis)
    assert int(hidden.sum()) == round(0.06 * 60 * 90)
    # an ellipse is at most twice as long as wide, no bar across the image
    sides = [int(hidden.any(dim=k).sum()) for k in (0, 1)]
    assert max(sides) < 2.2 * min(sides)
    assert max(sides) < 60


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_slice_with_voxels_of_equal_sides_is_none_to_lose(axis: int) -> None:
    along = single(axis, "xray", (1.0, 1.0))
    scan = Scan(image=along.image, spacing=(1.0, 1.0, 1.0), modality="mr")
    result = perturbations.realise("missing_slices", scan, seed=1).at(severity=5)
    assert result.status == "no_effect"
    assert result.warp is None
