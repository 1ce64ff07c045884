"""Line integrals by arithmetic, against scikit-image, and back to the slice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage import transform
from torch import Tensor

from perturbations.projector import (
    Geometry,
    Grid,
    backproject,
    forward,
    ramp,
    ramp_filter,
    resample,
)

PEER: Any = transform  # its functions have no types

GRIDS = {
    "square": Grid.centred((96, 96), (1.0, 1.0)),
    "anisotropic": Grid.centred((80, 120), (1.4, 0.8)),
    "of one row side": Grid.centred((60, 140), (1.0, 1.0)),
}


def disk(
    grid: Grid, radius: float, centre: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float64]:
    """Share of each pixel inside a disk, by 8 x 8 points a pixel."""
    parts = (np.arange(8) - 3.5) / 8
    y = (grid.y[:, None] + parts * grid.row_mm).ravel() - centre[0]
    x = (grid.x[:, None] + parts * grid.column_mm).ravel() - centre[1]
    inside = y[:, None] ** 2 + x**2 < radius**2
    return np.asarray(inside.reshape(grid.rows, 8, grid.columns, 8).mean(axis=(1, 3)))


def table(*slices: NDArray[np.float64]) -> Tensor:
    """(pixel, slice)."""
    return torch.from_numpy(np.stack([s.ravel() for s in slices], axis=1).astype(np.float32))


def back(sinogram: Tensor, geometry: Geometry, grid: Grid) -> NDArray[np.float32]:
    """(row, column, slice)."""
    out = torch.full((grid.rows, grid.columns, sinogram.shape[2]), math.nan)

    def take(start: int, stop: int, piece: Tensor) -> None:
        out[start:stop] = piece

    backproject(sinogram, geometry, grid, take)
    return out.numpy()


@pytest.mark.parametrize("kind", list(GRIDS))
def test_a_disk_projects_to_its_chords(kind: str) -> None:
    grid = GRIDS[kind]
    radius, mu, y, x = 22.0, 0.02, 5.0, -11.0
    geometry = Geometry.covering(grid)
    p = forward(table(disk(grid, radius, (y, x)) * mu), grid, geometry)[:, :, 0].numpy()
    t = geometry.t - (x * np.cos(geometry.angles) + y * np.sin(geometry.angles))[:, None]
    chord = 2 * mu * np.sqrt(np.maximum(radius**2 - t**2, 0))
    # pixels of 1.4 mm at most against a radius of 22 mm; the rim, where the slope is infinite, apart
    within = np.abs(t) < radius - 3
    assert np.abs(p - chord)[within].max() < 0.015 * chord.max()
    assert np.abs(p - chord)[within].mean() < 0.003 * chord.max()
    assert np.abs(p[np.abs(t) > radius + 3]).max() < 1e-6


def test_every_view_holds_the_whole_mass() -> None:
    grid = GRIDS["anisotropic"]
    values = ndimage.gaussian_filter(disk(grid, 25.0, (4.0, 7.0)), 2.0)
    geometry = Geometry.covering(grid)
    p = forward(table(values), grid, geometry)[:, :, 0].double().numpy()
    mass = values.sum() * grid.row_mm * grid.column_mm
    assert p.sum(axis=1) * geometry.bin_mm == pytest.approx(np.full(geometry.views, mass), rel=2e-3)


def smooth_phantom() -> NDArray[np.float64]:
    """Without any symmetry, zero outside the inscribed circle."""
    grid = Grid.centred((65, 65), (1.0, 1.0))
    values = disk(grid, 20.0) + disk(grid, 6.0, (8.0, 5.0)) - 0.5 * disk(grid, 4.0, (-9.0, 3.0))
    return np.asarray(ndimage.gaussian_filter(values, 1.5))


def test_projections_agree_with_scikit_image() -> None:
    values = smooth_phantom()
    grid = Grid.centred((65, 65), (1.0, 1.0))
    geometry = Geometry(views=90, bins=65, bin_mm=1.0)
    ours = forward(table(values), grid, geometry)[:, :, 0].numpy()
    # its angles turn the other way, for its y points up
    theirs = PEER.radon(values, theta=-np.degrees(geometry.angles), circle=True)
    assert np.abs(ours - theirs.T).max() < 0.01 * theirs.max()


def test_reconstructions_agree_with_scikit_image() -> None:
    values = smooth_phantom()
    grid = Grid.centred((65, 65), (1.0, 1.0))
    geometry = Geometry(views=120, bins=65, bin_mm=1.0)
    theta = -np.degrees(geometry.angles)
    sinogram = PEER.radon(values, theta=theta, circle=True)
    theirs = PEER.iradon(sinogram, theta=theta, filter_name="ramp", circle=True)
    ours = torch.from_numpy(np.ascontiguousarray(sinogram.T, dtype=np.float32))[:, :, None]
    found = back(ramp_filter(ours.contiguous(), geometry), geometry, grid)[:, :, 0]
    circle = grid.y[:, None] ** 2 + grid.x**2 < 30**2
    assert np.abs(found - theirs)[circle].max() < 0.01 * values.max()
    assert np.abs(found - values)[circle].max() < 0.03 * values.max()


@pytest.mark.parametrize("kind", list(GRIDS))
def test_a_disk_comes_back_in_its_place_with_its_value(kind: str) -> None:
    grid = GRIDS[kind]
    geometry = Geometry.covering(grid)
    values = disk(grid, 20.0, (6.0, -9.0))
    p = forward(table(values, 2 * values), grid, geometry)
    found = back(ramp_filter(p, geometry), geometry, grid)
    away = np.hypot(grid.y[:, None] - 6.0, grid.x + 9.0)
    # 1000 HU over air: the mean within 5 HU, pixels beside the rim within 40 HU
    assert found[away < 16, 0].mean() == pytest.approx(1.0, abs=0.005)
    assert np.abs(found[away < 16, 0] - 1.0).max() < 0.04
    assert np.abs(found[away > 24, 0]).max() < 0.04
    assert found[..., 1] == pytest.approx(2 * found[..., 0], abs=1e-4)


def test_the_filter_is_the_band_limited_ramp() -> None:
    geometry = Geometry(views=1, bins=401, bin_mm=0.7)
    for soft in (False, True):
        half = ramp(geometry, soft=soft)
        spectrum = np.fft.fft(np.concatenate([half, half[:0:-1]])).real
        frequency = np.abs(np.fft.fftfreq(801, 0.7))
        window = (1 + np.cos(2 * np.pi * frequency * 0.7)) / 2 if soft else 1.0
        # cut off after 400 bins the filter lacks 2 / (pi^2 400) / bin of its sum
        assert spectrum == pytest.approx(frequency * window, abs=2e-3)


def test_filtering_by_a_matrix_is_a_convolution() -> None:
    geometry = Geometry(views=5, bins=37, bin_mm=1.3)
    values = np.random.default_rng(0).standard_normal((5, 37, 3))
    half = ramp(geometry, soft=True)
    kernel = np.concatenate([half[:0:-1], half])[None, :, None]
    expected = ndimage.convolve(values, kernel, mode="constant")
    found = ramp_filter(torch.from_numpy(values.astype(np.float32)), geometry, soft=True)
    assert found.numpy() == pytest.approx(expected, abs=1e-5)


def test_rays_between_rays_are_interpolated_also_past_the_last_view() -> None:
    grid = GRIDS["square"]
    values = table(ndimage.gaussian_filter(disk(grid, 14.0, (10.0, -17.0)), 3.0))
    known = Geometry.covering(grid)
    wanted = Geometry(known.views * 3, known.bins + 8, known.bin_mm * 0.9)
    direct = forward(values, grid, wanted)
    found = resample(forward(values, grid, known), known, wanted)
    assert float((found - direct).abs().max()) < 0.02 * float(direct.max())
    # the last views lie between the last one known and the first seen from the other side
    assert float((found[-2:] - direct[-2:]).abs().max()) < 0.02 * float(direct.max())
    assert resample(direct, wanted, wanted) is direct


def test_a_coarser_grid_keeps_its_place() -> None:
    grid = Grid.centred((7, 10), (1.0, 2.0))
    coarse = grid.coarser(2)
    assert (coarse.rows, coarse.columns) == (4, 5)
    assert coarse.y[0] == grid.y[:2].mean()
    assert coarse.x == pytest.approx(grid.x.reshape(5, 2).mean(axis=1))
    assert grid.coarser(1) == grid


def test_the_number_of_threads_and_of_slices_changes_no_bit_of_a_projection() -> None:
    grid = GRIDS["anisotropic"]
    geometry = Geometry.covering(grid)
    slices = np.random.default_rng(1).random((5, grid.rows, grid.columns))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            p = forward(table(*slices), grid, geometry)
            q = ramp_filter(p.clone(), geometry)
            found.append((p, q, torch.from_numpy(back(q, geometry, grid))))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


def test_very_unequal_pixels_keep_the_rays_bounded() -> None:
    geometry = Geometry.covering(Grid.centred((9, 9), (100.0, 0.001)))
    assert geometry.bins <= 2060
    assert geometry.views <= 512
