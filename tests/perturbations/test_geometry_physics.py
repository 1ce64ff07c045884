"""Rotations and their warps, by arithmetic and against SciPy."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from scans import SPACING, body, head, padded_ct
from scipy import ndimage

import perturbations
from perturbations import Scan
from perturbations.geometry import AffineWarp, background, mover, rotation_matrix


def test_a_rotation_turns_by_its_angle_in_mm() -> None:
    scan = head()
    result = perturbations.realise("rotation", scan, seed=9).at(level=10.0)
    assert isinstance(result.warp, AffineWarp)
    matrix = np.asarray(result.warp.matrix)
    assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    assert np.degrees(np.arccos((np.trace(matrix) - 1) / 2)) == pytest.approx(10.0)
    # a point moves by at most 2 sin(angle / 2) times its distance from the centre
    corner = np.linalg.norm(
        [(n - 1) / 2 * s for n, s in zip(scan.spatial_shape, SPACING, strict=True)]
    )
    furthest = float(result.warp.displacement().max())
    assert furthest <= 2 * math.sin(math.radians(5)) * corner + 1e-6


def test_a_quarter_turn_in_two_dimensions_is_exact() -> None:
    image = torch.arange(49, dtype=torch.float32).reshape(1, 7, 7)
    matrix = rotation_matrix(np.array([1.0, 0, 0]), math.pi / 2, 2)
    warp = AffineWarp((7, 7), (1.0, 1.0), tuple(map(tuple, matrix.tolist())), (0.0, 0.0))
    turned = warp.forward(image)
    assert torch.allclose(turned[0], torch.rot90(image[0], 1), atol=1e-4) or torch.allclose(
        turned[0], torch.rot90(image[0], -1), atol=1e-4
    )
    assert torch.allclose(warp.pull_back(turned), image, atol=1e-4)


def test_a_mask_survives_the_warp_there_and_back() -> None:
    scan = head()
    assert scan.region is not None
    warp = perturbations.realise("rotation", scan, seed=10).at(severity=3).warp
    assert warp is not None
    moved = warp.push_forward(scan.region.to(torch.uint8))
    back = warp.pull_back(moved[None].float())[0] > 0.5
    both = float((back & scan.region).sum())
    # a ball of 14 mm on slices of 3 mm; the ceiling of a large object is high
    assert 2 * both / float(back.sum() + scan.region.sum()) > 0.95
    assert moved.dtype == torch.uint8


def test_what_leaves_the_field_of_view_is_not_retained() -> None:
    scan = head()
    warp = perturbations.realise("rotation", scan, seed=11).at(severity=5).warp
    assert warp is not None
    share = float(warp.retained.float().mean())
    assert 0.5 < share < 1.0
    ones = torch.ones(1, *scan.spatial_shape)
    # where a point stayed well inside, what was sent there comes back
    core = ndimage.binary_erosion(warp.retained.numpy(), iterations=2)
    assert float(warp.pull_back(ones)[0][torch.from_numpy(core)].min()) > 0.99


@pytest.mark.parametrize("level", [3.0, 10.0, 25.0])
def test_a_spot_turns_by_the_angle_in_mm_on_an_anisotropic_grid(level: float) -> None:
    spacing = (2.0, 0.8)
    y, x = ((np.arange(n) - (n - 1) / 2) * s for n, s in zip((64, 160), spacing, strict=True))
    spot = np.exp(-((y[:, None] - 20.0) ** 2 + (x[None] - 30.0) ** 2) / (2 * 4.0**2))
    image = torch.from_numpy(spot.astype(np.float32))[None]
    scan = Scan(image=image, spacing=spacing, modality="mr")
    result = perturbations.realise("rotation", scan, seed=3).at(level=level)
    turned = result.image[0].double().numpy()
    centre = np.array([(turned.sum(1) * y).sum(), (turned.sum(0) * x).sum()]) / turned.sum()
    assert np.linalg.norm(centre) == pytest.approx(math.hypot(20, 30), rel=0.005)
    angle = math.degrees(
        math.acos(centre @ np.array([20.0, 30.0]) / 1300**0.5 / np.linalg.norm(centre))
    )
    assert angle == pytest.approx(level, abs=0.1)
    assert result.warp is not None
    # every voxel moves by 2 r sin(angle / 2)
    radius = np.hypot(y[:, None], x[None])
    expected = 2 * radius * math.sin(math.radians(level / 2))
    assert np.abs(result.warp.displacement().numpy() - expected).max() < 1e-9


def test_the_warp_of_a_volume_is_the_same_however_it_is_cut() -> None:
    # more voxels than one slab holds
    shape = (9, 200, 200)
    values = torch.from_numpy(np.random.default_rng(1).random((1, *shape), dtype=np.float32))
    scan = Scan(image=values, spacing=(4.0, 1.0, 1.0), modality="mr")
    warp = perturbations.realise("rotation", scan, seed=5).at(severity=2).warp
    assert isinstance(warp, AffineWarp)
    reference = ndimage.affine_transform(
        values[0].numpy().astype(np.float64),
        np.diag(1 / np.array(scan.spacing)) @ np.asarray(warp.matrix) @ np.diag(scan.spacing),
        offset=_offset(warp.matrix, shape, scan.spacing),
        order=1,
        mode="constant",
    )
    pulled = warp.pull_back(values)[0].numpy()
    # SciPy treats the outermost half voxel differently; inside both are trilinear
    core = ndimage.binary_erosion(warp.retained.numpy(), iterations=1)
    assert np.abs(pulled - reference)[core].max() < 1e-5


def _offset(
    matrix: tuple[tuple[float, ...], ...], shape: tuple[int, ...], spacing: tuple[float, ...]
) -> np.ndarray:
    centre = (np.array(shape) - 1) / 2
    scale = np.diag(1 / np.array(spacing)) @ np.asarray(matrix) @ np.diag(spacing)
    return np.asarray(centre - scale @ centre)


def test_what_turns_in_is_background() -> None:
    def corner(scan: Scan) -> float:
        image = perturbations.realise("rotation", scan, seed=1).at(severity=5).image
        return float(image[(0, *(0,) * scan.ndim)])

    # noise of 8 HU about -1000 goes down to -1030; no air has less than -1024
    assert float(body().image.min()) < -1024.0
    assert corner(body()) == -1024.0
    bright = torch.full((1, 40, 40), 240.0)
    bright[0, 15:25, 12:28] = 60.0
    # bright-field microscopy: the border is white, black corners would be no background
    assert corner(Scan(image=bright, spacing=(1, 1), unit="px", modality="microscopy")) == 240.0


def test_values_on_another_grid_cannot_be_warped() -> None:
    warp = perturbations.realise("rotation", head(), seed=1).at(severity=1).warp
    assert warp is not None
    with pytest.raises(ValueError, match=r"values must lie on a grid of \(24, 48, 40\)"):
        warp.pull_back(torch.zeros(1, 24, 40, 48))


def test_labels_keep_their_numbers_and_probabilities_their_sum_under_a_warp() -> None:
    scan = head()
    warp = perturbations.realise("rotation", scan, seed=6).at(severity=3).warp
    assert warp is not None
    labels = torch.zeros(scan.spatial_shape, dtype=torch.int16)
    labels[8:16, 10:20, 10:20] = 3
    labels[8:16, 24:34, 20:30] = 7
    assert set(np.unique(warp.push_forward(labels).numpy())) == {0, 3, 7}
    probabilities = torch.rand(3, *scan.spatial_shape).softmax(dim=0)
    summed = warp.pull_back(probabilities).sum(dim=0)
    core = torch.from_numpy(ndimage.binary_erosion(warp.retained.numpy(), iterations=2))
    assert float((summed[core] - 1).abs().max()) < 1e-5


def chest(state: str = "raw", **values: float) -> Scan:
    """Tissue of 40 HU between air of -1000, and single voxels of other values."""
    image = torch.full((1, 6, 30, 30), -1000.0)
    image[:, :, 10:20, 8:22] = 40.0
    for number, value in enumerate(values.values()):
        image[0, 2, 12, 10 + number] = value
    return Scan(image=image, spacing=(5.0, 1.0, 1.0), modality="ct", state=state)


@pytest.mark.parametrize(
    ("scan", "air"),
    [
        (chest(), -1000.0),
        (chest(noise=-1010.0), -1010.0),
        (chest(noise=-1040.0), -1024.0),
        # one odd voxel is no air, nor is padding that stands in a few places
        (chest(odd=-1400.0), -1024.0),
        (chest(padding=-2000.0), -1000.0),
        (replace(chest(), image=chest().image[:, :, 10:20, 8:22].contiguous()), -1000.0),
        # values that are no HU have no air
        (chest("windowed", odd=-1400.0), -1400.0),
        (replace(chest(odd=-1400.0), modality="mr"), -1400.0),
        # more than 20 % of padding is what the scan is surrounded by
        (padded_ct(), -3024.0),
    ],
)
def test_beyond_ct_lies_air_or_the_padding_that_surrounds_it(scan: Scan, air: float) -> None:
    assert background(scan).tolist() == [air]
    result = perturbations.realise("translation", scan, seed=1).at(level=1000.0)
    assert bool((result.image == air).all())


def shifted(scan: Scan, voxels: float) -> list[float]:
    """One row of a scan that is moved along it."""
    warp = AffineWarp(scan.spatial_shape, (1.0, 1.0), ((1.0, 0.0), (0.0, 1.0)), (0.0, voxels))
    row: list[float] = mover(scan)(warp)[0, 1].tolist()
    return row


def row_of(values: list[float], **facts: str) -> Scan:
    image = torch.tensor(values).expand(1, 4, len(values)).contiguous()
    return Scan(image=image, spacing=(1.0, 1.0), **{"modality": "ct", **facts})  # type: ignore[arg-type]


def test_padding_moves_by_the_nearest_voxel_and_is_mixed_with_nothing() -> None:
    padding = -3024.0
    scan = row_of([padding, padding, -1000.0, 40.0, 40.0, 80.0])
    # voxel k shows place k - 0.25: of the padding's two voxels, and of air, 3/4 and 1/4 of air are air;
    # 3/4 of 40 and 1/4 of -1000 are -220; what comes in at the left is padding
    assert shifted(scan, 0.25) == [padding, padding, -1000.0, -220.0, 40.0, 70.0]
    # by 0.75: voxel 2 shows place 1.25, whose nearest is padding, voxel 3 3/4 of air and 1/4 of 40
    assert shifted(scan, 0.75) == [padding, padding, padding, -740.0, 40.0, 50.0]
    # to the left: voxel 0 shows place 0.75, voxel 1 place 1.75, voxel 5 place 5.75 is beyond the scan
    assert shifted(scan, -0.75) == [padding, -1000.0, -220.0, 40.0, 70.0, padding]


def test_little_padding_moves_within_air() -> None:
    scan = row_of([-2000.0, -1000.0, *[40.0] * 8])
    # 1 of 10 voxels is padding: what comes in is air
    assert shifted(scan, 1.0) == [-1000.0, -2000.0, -1000.0, *[40.0] * 7]
    assert shifted(scan, 1.25)[:4] == [-1000.0, -2000.0, -1000.0, -220.0]


def test_zeros_around_a_skull_stripped_head_are_mixed_as_ever() -> None:
    scan = row_of([0.0, 0.0, 100.0, 100.0, 100.0, 0.0], modality="mr", state="skull_stripped")
    assert shifted(scan, 0.25) == [0.0, 0.0, 75.0, 100.0, 100.0, 25.0]


@pytest.mark.parametrize("name", ["rotation", "translation", "scaling", "elastic"])
def test_moved_ct_holds_its_padding_or_tissue_and_air_and_nothing_between(name: str) -> None:
    scan = padded_ct()
    for seed in range(3):
        drawn = perturbations.realise(name, scan, seed=seed)
        for severity in (1.5, 4.0):
            image = drawn.at(severity=severity).image
            padded = image == -3024.0
            assert float(image[~padded].min()) >= -1000.0
            assert 0.1 < float(padded.float().mean()) < 0.9
    assert float((scan.image == -3024.0).float().mean()) == pytest.approx(0.34, abs=0.02)


@pytest.mark.parametrize("name", ["translation", "elastic"])
@pytest.mark.parametrize(
    ("spacing", "unit"), [((1.0, 1.0), "px"), ((0.5, 1.0), "mm"), ((0.2, 0.2), "mm")]
)
def test_levels_of_displays_are_shares_of_the_mean_side_whatever_the_spacing(
    name: str, spacing: tuple[float, float], unit: Literal["mm", "px"]
) -> None:
    image = torch.from_numpy(np.random.default_rng(1).random((1, 120, 80), dtype=np.float32))
    scan = Scan(image=image, spacing=spacing, unit=unit, modality="xray")
    warp = perturbations.realise(name, scan, seed=2).at(level=4.0).warp
    assert warp is not None
    # 4 % of the mean of 120 and 80 pixels, in the scan's own unit of length
    side = (120 * spacing[0] + 80 * spacing[1]) / 2
    assert float(warp.displacement().max()) == pytest.approx(0.04 * side, rel=1e-3)
