"""Motion during the acquisition, against SciPy's resampling and NumPy's transform."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from kspace_lines import Array, lines_of, perturbed, textured
from numpy.typing import NDArray
from scans import head
from scipy import ndimage
from scipy.spatial.transform import Rotation

import perturbations
from perturbations import Scan, effect
from perturbations.kspace_motion import Pose, draw_path


def frequencies(scan: Scan, axis: int) -> Array:
    """Frequency of each line in cycles per mm, in the order of NumPy's transform."""
    size = scan.spatial_shape[axis]
    return lines_of(size, axis, scan.ndim) / (size * scan.spacing[axis])


def lines_in(pose: Pose, frequency: Array) -> NDArray[np.bool_]:
    """The lines of a segment, from its frequencies."""
    distance = frequency * pose.side
    return np.asarray((distance > pose.first + 1e-12) & (distance <= pose.last + 1e-12))


def moved(scan: Scan, pose: Pose, degrees: float, length: float) -> Array:
    """The anatomy in a pose, by SciPy."""
    steps, middle = np.asarray(scan.spacing), (np.asarray(scan.spatial_shape) - 1) / 2
    vector = np.radians(degrees) * np.asarray(pose.turn)
    if scan.ndim == 3:
        turn = Rotation.from_rotvec(vector).as_matrix()
    else:
        cosine, sine = math.cos(vector[0]), math.sin(vector[0])
        turn = np.array([[cosine, -sine], [sine, cosine]])
    # place p of T x is place R^-1 (p - t) of x; from voxels to mm and back
    matrix = np.diag(1 / steps) @ turn.T @ np.diag(steps)
    offset = middle - matrix @ middle - turn.T @ (length * np.asarray(pose.shift)) / steps
    values = scan.image[0].numpy().astype(np.float64)
    return np.asarray(ndimage.affine_transform(values, matrix, offset, order=1, mode="nearest"))


@pytest.mark.parametrize("moves", [1, 2, 5])
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        # few voxels, and so large ones: moves happen at up to 1 cycle in 30 mm
        ((6, 20, 14), (14.0, 6.0, 8.0)),
        ((7, 21, 15), (13.0, 7.0, 9.0)),
        ((20, 17), (6.0, 7.0)),
    ],
)
def test_motion_puts_lines_of_the_moved_anatomy_into_k_space(
    shape: tuple[int, ...], spacing: tuple[float, ...], moves: int
) -> None:
    scan = textured(shape, spacing)
    path = draw_path(np.random.Generator(np.random.SFC64(4)), moves, scan.spatial_shape)
    for axis in range(scan.ndim):
        spectrum = np.fft.fftn(scan.image[0].numpy().astype(np.float64))
        for pose in path:
            there = np.fft.fftn(moved(scan, pose, 5.0, 6.0))
            spectrum = np.where(lines_in(pose, frequencies(scan, axis)), there, spectrum)
        expected = np.abs(np.fft.ifftn(spectrum))
        made = perturbed("motion", scan, 5.0, 4, phase_axis=axis, moves=moves)
        assert np.abs(made - expected).max() < 2e-3
        assert np.abs(made - scan.image[0].numpy()).max() > 1.0


@pytest.mark.parametrize("size", [32, 33])
def test_a_translation_is_a_phase_ramp_on_its_lines(size: int) -> None:
    (pose,) = draw_path(np.random.Generator(np.random.SFC64(7)), 1, (size, 30))
    # voxels such that 60 mm along the drawn direction are 3 voxels one way and 2 the other
    spacing = (abs(pose.shift[0]) * 60 / 3, abs(pose.shift[1]) * 60 / 2)
    image = np.zeros((size, 30))
    image[10:20, 9:21] = np.random.default_rng(1).uniform(50, 100, (10, 12))
    scan = Scan(
        image=torch.from_numpy(image.astype(np.float32))[None], spacing=spacing, modality="mr"
    )
    # a rotation of a millionth of a degree moves no voxel
    made = perturbed("motion", scan, 1e-6, 7, phase_axis=0, moves=1, translation_mm=[[1e-6, 60.0]])
    spectrum = np.fft.fftn(image)
    ramp = np.ones(image.shape, dtype=complex)
    for axis, voxels in enumerate((3, 2)):
        k = lines_of(image.shape[axis], axis, 2)
        shift = math.copysign(voxels, pose.shift[axis])
        ramp = ramp * np.exp(-2j * math.pi * k * shift / image.shape[axis])
    changed = np.where(lines_in(pose, frequencies(scan, 0)), spectrum * ramp, spectrum)
    # the line -N/2 of a ramp by whole voxels is real as well: shift and ramp are one
    assert np.abs(made - np.abs(np.fft.ifftn(changed))).max() < 5e-3
    assert np.abs(made - image).max() > 5


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_motion_leaves_the_centre_of_k_space_where_it_was(axis: int) -> None:
    shape = (20, 24, 21)
    scan = textured(shape, (6.0, 8.0, 7.0))
    # far above 0 the magnitude is the real part, but for the imaginary part squared over 2e6
    scan = replace(scan, image=scan.image + 1e6)
    made = perturbed("motion", scan, 8.0, 3, phase_axis=axis)
    change = made - scan.image[0].numpy()
    assert np.abs(change).max() > 10
    # k = 0 along the phase-encode axis is the sum along it; float32 knows 1e6 to .06
    assert np.abs(change.mean(axis=axis)).max() < 0.1


def test_the_nearer_to_no_motion_the_nearer_to_the_scan() -> None:
    scan = head()
    drawn = perturbations.realise("motion", scan, seed=1)
    sizes = [effect.measure(scan, drawn.at(level=v).image).nrmse for v in (1e-4, 1e-3, 1e-2, 0.1)]
    assert sizes[0] < 1e-4
    assert sizes == sorted(sizes)
    flat = replace(scan, image=torch.full_like(scan.image, 7.0))
    assert perturbations.realise("motion", flat, seed=1).at(severity=5).status == "no_effect"


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("moves", [1, 2, 3, 7])
def test_a_path_is_as_large_as_its_level_and_its_segments_share_out_the_lines(
    dims: int, moves: int
) -> None:
    for seed in range(20):
        path = draw_path(np.random.default_rng(seed), moves, (40,) * dims)
        assert len(path) == moves
        assert max(np.linalg.norm(pose.turn) for pose in path) == pytest.approx(1.0)
        assert max(np.linalg.norm(pose.shift) for pose in path) == pytest.approx(1.0)
        for size in (40, 41):
            lines = [pose.side * k for pose in path for k in range(*pose.lines(size, 5.0))]
            assert len(lines) == len(set(lines))
            assert set(lines) <= set(range(-(size // 2), (size + 1) // 2)) - {0}
            # whatever is not near the centre belongs to a pose, on the sides that have one
            for side in {pose.side for pose in path}:
                outermost = size // 2 if side < 0 else (size - 1) // 2
                assert side * outermost in lines


def test_the_translation_goes_along_with_the_rotation() -> None:
    scan = head()
    options = {"translation_mm": [[2.0, 6.0], [4.0, 7.0]]}
    drawn = perturbations.realise("motion", scan, seed=3, **options)
    # at 1 degree half of 6 mm, at 3 half-way from 6 to 7, at 8 twice as far as at 4
    for level, length in ((1.0, 3.0), (3.0, 6.5), (8.0, 14.0)):
        alone = {"translation_mm": [[level, length]]}
        same = perturbations.realise("motion", scan, seed=3, **alone).at(level=level).image
        assert torch.equal(drawn.at(level=level).image, same)
