"""Shifts, scales and smooth deformations, by arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scans import head
from scipy import ndimage

import perturbations
from perturbations import Scan
from perturbations.elastic import ElasticWarp
from perturbations.resampling import SampledWarp

SPACING = (3.0, 0.8, 1.1)
SHAPE = (36, 120, 90)


def places() -> list[NDArray[np.float64]]:
    """Positions of the voxels in mm from the centre."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(SHAPE, SPACING, strict=True)]
    return list(np.meshgrid(*axes, indexing="ij"))


def spot(at: tuple[float, float, float], sigma: float = 6.0) -> Scan:
    """One smooth spot on an anisotropic grid; it holds no own noise."""
    squared = sum((p - c) ** 2 for p, c in zip(places(), at, strict=True))
    image = (1000 * np.exp(-squared / (2 * sigma**2))).astype(np.float32)
    return Scan(image=torch.from_numpy(image)[None], spacing=SPACING, modality="mr")


def centre_of(image: torch.Tensor) -> NDArray[np.float64]:
    values = image[0].double().numpy()
    return np.array([(values * p).sum() / values.sum() for p in places()])


@pytest.mark.parametrize("level", [5.0, 12.5, 20.0])
def test_a_translation_moves_by_its_length_in_mm(level: float) -> None:
    scan = spot((0.0, 0.0, 0.0))
    directions = []
    for seed in range(3):
        result = perturbations.realise("translation", scan, seed=seed).at(level=level)
        moved = centre_of(result.image)
        assert np.linalg.norm(moved) == pytest.approx(level, rel=0.01)
        directions.append(moved / level)
        assert result.warp is not None
        assert result.warp.displacement().numpy() == pytest.approx(level, abs=1e-5)
        # pulled back, the spot lies where it was
        assert np.linalg.norm(centre_of(result.warp.pull_back(result.image))) < 0.05
    assert abs(directions[0] @ directions[1]) < 0.999


def test_a_translation_of_a_picture_is_in_percent_of_its_mean_side() -> None:
    image = torch.rand(1, 100, 60)
    scan = Scan(image=image, spacing=(1.0, 1.0), unit="px", modality="xray")
    warp = perturbations.realise("translation", scan, seed=1).at(level=5.0).warp
    assert warp is not None
    # 5 % of (100 + 60) / 2 = 4 px
    assert float(warp.displacement().max()) == pytest.approx(4.0)


def test_what_is_shifted_out_is_lost_and_what_comes_in_is_background() -> None:
    image = torch.full((1, 6, 40, 40), 50.0)
    image[:, :, 10:30, 10:30] = 80.0
    scan = Scan(image=image, spacing=(2.0, 1.0, 1.0), modality="mr")
    result = perturbations.realise("translation", scan, seed=3).at(level=6.0)
    assert result.warp is not None
    assert bool((result.image >= 50.0 - 1e-4).all())
    share = float(result.warp.retained.float().mean())
    # shifted by t: at least (1 - |t_z| / 12) (1 - |t_y| / 40) (1 - |t_x| / 40) stays
    assert 0.4 < share < 1.0


@pytest.mark.parametrize("level", [1.05, 1.3])
def test_a_scaling_multiplies_or_divides_lengths(level: float) -> None:
    scan = spot((15.0, 20.0, -18.0))
    found = set()
    for seed in range(8):
        result = perturbations.realise("scaling", scan, seed=seed).at(level=level)
        ratio = np.linalg.norm(centre_of(result.image)) / np.linalg.norm([15.0, 20.0, -18.0])
        found.add(bool(ratio > 1))
        assert ratio == pytest.approx(level if ratio > 1 else 1 / level, rel=0.01)
        assert result.warp is not None
        factor = level if ratio > 1 else 1 / level
        assert result.warp.smallest_jacobian() == pytest.approx(factor**3)
    assert found == {True, False}


def test_a_deformation_reaches_its_level_and_no_further() -> None:
    scan = head()
    for level in (2.0, 7.5, 12.0):
        warp = perturbations.realise("elastic", scan, seed=4).at(level=level).warp
        assert warp is not None
        assert float(warp.displacement().max()) == pytest.approx(level, rel=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_a_deformation_does_not_fold_and_its_jacobian_is_that_of_its_displacement(
    seed: int,
) -> None:
    scan = head()
    warp = perturbations.realise("elastic", scan, seed=seed).at(severity=5).warp
    assert isinstance(warp, ElasticWarp)
    assert warp.smallest_jacobian() > 0.05
    # the same by differences of where the voxels go
    moved = torch.stack(warp.moved(0, scan.spatial_shape[0])).numpy()
    gradient = np.stack(
        [np.stack(np.gradient(component, *scan.spacing), axis=-1) for component in moved],
        axis=-2,
    )
    inner = gradient[2:-2, 2:-2, 2:-2]
    assert np.linalg.det(inner).min() > 0
    assert np.linalg.det(inner).min() == pytest.approx(warp.smallest_jacobian(), abs=0.15)


def test_a_deformation_and_its_inverse_meet_within_a_twentieth_of_a_voxel() -> None:
    scan = head()
    warp = perturbations.realise("elastic", scan, seed=2).at(level=12.0).warp
    assert isinstance(warp, ElasticWarp)
    slices = scan.spatial_shape[0]
    # p goes to q = p + u(p), and w(q) must bring it back
    forth = torch.stack(warp.moved(0, slices)).numpy()
    back = warp.inverse.at(forth.reshape(3, -1))
    start = np.stack(
        np.meshgrid(
            *[
                (np.arange(n) - (n - 1) / 2) * s
                for n, s in zip(scan.spatial_shape, scan.spacing, strict=True)
            ],
            indexing="ij",
        )
    ).reshape(3, -1)
    missed = np.abs(forth.reshape(3, -1) + back - start) / np.asarray(scan.spacing)[:, None]
    assert missed.max() < 0.05


def test_a_mask_comes_back_from_a_deformation() -> None:
    scan = head()
    assert scan.region is not None
    warp = perturbations.realise("elastic", scan, seed=2).at(severity=3).warp
    assert warp is not None
    moved = warp.push_forward(scan.region.to(torch.uint8))
    back = warp.pull_back(moved[None].float())[0] > 0.5
    both = float((back & scan.region).sum())
    assert 2 * both / float(back.sum() + scan.region.sum()) > 0.94
    # and it did move
    assert not torch.equal(moved.bool(), scan.region)


def test_a_deformed_spot_lies_where_the_field_says() -> None:
    scan = spot((6.0, 10.0, -8.0), sigma=4.0)
    result = perturbations.realise("elastic", scan, seed=6).at(level=8.0)
    assert isinstance(result.warp, ElasticWarp)
    start = np.array([[6.0], [10.0], [-8.0]])
    there = (start + result.warp.field.at(start))[:, 0]
    # the field bends a little over the 4 mm of the spot
    assert np.linalg.norm(centre_of(result.image) - there) < 0.5
    assert np.linalg.norm(there - start[:, 0]) > 0.5


def test_a_level_that_would_fold_is_refused_with_the_largest_that_does_not() -> None:
    drawn = perturbations.realise("elastic", spot((0.0, 0.0, 0.0)), seed=1)
    with pytest.raises(ValueError, match=r"must (lie between 0 and 18|stay below)"):
        drawn.at(level=40.0)


def test_deformations_of_pictures_are_in_percent_of_the_side() -> None:
    drawn = ndimage.gaussian_filter(np.random.default_rng(1).random((80, 120)), 2)
    image = torch.from_numpy(drawn.astype(np.float32))[None]
    scan = Scan(image=image, spacing=(1.0, 1.0), unit="px", modality="microscopy")
    warp = perturbations.realise("elastic", scan, seed=1).at(level=3.0).warp
    assert warp is not None
    # 3 % of 100 px
    assert float(warp.displacement().max()) == pytest.approx(3.0, rel=1e-4)
    assert warp.smallest_jacobian() > 0


@pytest.mark.parametrize("name", ["rotation", "translation", "scaling", "elastic"])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_read_between_voxels_stays_in_the_range_of_the_voxels(name: str, seed: int) -> None:
    # the weights of eight voxels, each rounded, may sum to 1 + 1e-7
    scan = head()
    warp = perturbations.realise(name, scan, seed=seed).at(severity=3).warp
    assert isinstance(warp, SampledWarp)
    certain = torch.stack([torch.ones(scan.spatial_shape), -torch.ones(scan.spatial_shape)])
    for values in (warp.pull_back(certain), warp.forward(certain)):
        assert float(values[0].max()) == 1.0
        assert float(values[0].min()) >= 0.0
        assert float(values[1].min()) == -1.0
        assert float(values[1].max()) <= 0.0
