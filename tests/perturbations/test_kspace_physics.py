"""K-space artefacts, by arithmetic and against NumPy's transform in double precision."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from kspace_lines import Array, lines_of, perturbed, textured
from scans import head
from scipy import ndimage, optimize

import perturbations
from perturbations import Scan, effect
from perturbations.field_of_view import extent_along
from perturbations.kspace import fold_over, phase_encoding
from perturbations.kspace_truncation import kept_lines

GRIDS = [
    ((6, 20, 14), (4.0, 1.0, 1.5)),
    ((7, 21, 15), (3.0, 1.2, 0.9)),
    ((20, 17), (1.0, 1.3)),
]
"""Even, odd, and two-dimensional; all anisotropic."""

NAMES = ["motion", "ghosting", "epi_ghosting", "spike", "gibbs", "zipper", "wraparound"]


def one_row(size: int, row: int, spacing: tuple[float, float, float] = (3.0, 1.0, 1.5)) -> Scan:
    """A single row of signal along the phase-encode axis (y) of length `size`, nothing elsewhere."""
    image = torch.zeros(1, 4, size, 5)
    image[0, :, row] = 100.0
    return Scan(image=image, spacing=spacing, modality="mr")


@pytest.mark.parametrize("size", [40, 41])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_ghosts_of_half_the_modulation_lie_m_voxels_either_side(size: int, seed: int) -> None:
    made = perturbed("ghosting", one_row(size, 20), 20.0, seed, phase_axis=1)
    row = made[2, :, 3]
    found = np.flatnonzero(row > 1e-3)
    shift = int((found[found != 20][0] - 20) % size)
    assert set(found) == {20, (20 + shift) % size, (20 - shift) % size}
    # the parent keeps its amplitude; a modulation of a = .4 makes ghosts of a / 2 = .2
    assert row[20] == pytest.approx(100.0, rel=1e-5)
    assert row[(20 + shift) % size] == pytest.approx(20.0, rel=1e-5)
    assert row[(20 - shift) % size] == pytest.approx(20.0, rel=1e-5)
    # between 8 and 45 % of the field of view
    nearest = min(shift, size - shift)
    assert 0.07 * size <= nearest <= 0.46 * size


def largest_difference(phi: float, made: Array, clean: Array, axis: int, shift: int) -> float:
    """How far an outcome is from a modulation of depth .6 with `shift` periods over k-space."""
    k = lines_of(clean.shape[axis], axis, clean.ndim)
    wave = 1 + 0.6 * np.cos(2 * math.pi * shift * k / clean.shape[axis] + phi)
    return float(np.abs(np.abs(np.fft.ifftn(np.fft.fftn(clean) * wave)) - made).max())


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_ghosting_is_a_periodic_modulation_of_the_lines(
    shape: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    scan = textured(shape, spacing)
    clean = scan.image[0].numpy().astype(np.float64)
    for axis in range(len(shape)):
        made = perturbed("ghosting", scan, 30.0, 5, phase_axis=axis)
        # phi and m are drawn and unknown; |y| is the same for phi and -phi
        least = min(
            optimize.minimize_scalar(
                largest_difference,
                bounds=(0, math.pi),
                args=(made, clean, axis, shift),
                method="bounded",
            ).fun
            for shift in range(1, shape[axis])
        )
        assert least < 0.01
        assert np.abs(made - clean).max() > 1.0


@pytest.mark.parametrize("size", [40, 12])
def test_the_nyquist_ghost_lies_half_a_field_of_view_away(size: int) -> None:
    made = perturbed("epi_ghosting", one_row(size, 5), 10.0, phase_axis=1)[1, :, 2]
    parent, ghost = 5, (5 + size // 2) % size
    assert set(np.flatnonzero(made > 1e-3)) == {parent, ghost}
    # tan(phi) = .1, and the energy of the two is that of the scan
    assert made[ghost] / made[parent] == pytest.approx(0.1, rel=1e-5)
    assert math.hypot(made[ghost], made[parent]) == pytest.approx(100.0, rel=1e-5)


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_epi_ghosting_gives_odd_and_even_lines_opposite_phases(
    shape: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    scan = textured(shape, spacing)
    for axis in range(len(shape)):
        made = perturbed("epi_ghosting", scan, 40.0, phase_axis=axis)
        k = lines_of(shape[axis], axis, len(shape))
        spectrum = np.fft.fftn(scan.image[0].numpy().astype(np.float64))
        expected = np.abs(np.fft.ifftn(spectrum * np.exp(1j * math.atan(0.4) * (-1.0) ** k)))
        assert np.abs(made - expected).max() < 1e-3


@pytest.mark.parametrize("fraction", [0.85, 0.55, 0.35])
@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_truncation_keeps_a_box_of_k_space(
    shape: tuple[int, ...], spacing: tuple[float, ...], fraction: float
) -> None:
    scan = textured(shape, spacing)
    kept = np.fft.fftn(scan.image[0].numpy().astype(np.float64))
    for axis, size in enumerate(shape):
        kept = kept * (np.abs(lines_of(size, axis, len(shape))) <= fraction * size / 2 + 1e-9)
    made = perturbed("gibbs", scan, fraction)
    assert np.abs(made - np.abs(np.fft.ifftn(kept))).max() < 1e-3


def test_truncation_can_be_kept_to_the_axes_that_were_encoded() -> None:
    scan = textured((6, 20, 14), (4.0, 1.0, 1.5))
    spectrum = np.fft.fftn(scan.image[0].numpy().astype(np.float64), axes=(1, 2))
    for axis, size in ((1, 20), (2, 14)):
        spectrum = spectrum * (np.abs(lines_of(size, axis, 3)) <= 0.5 * size / 2)
    expected = np.abs(np.fft.ifftn(spectrum, axes=(1, 2)))
    assert np.abs(perturbed("gibbs", scan, 0.5, axes=[2, 1]) - expected).max() < 1e-3


def test_truncation_done_twice_is_done_once() -> None:
    scan = textured((9, 24, 21), (3.0, 1.0, 1.2))
    # far above 0, where the magnitude of a real image is the image
    scan = replace(scan, image=scan.image + 1000.0)
    once = perturbations.realise("gibbs", scan, seed=1).at(level=0.5).image
    again = perturbations.realise("gibbs", replace(scan, image=once), seed=1).at(level=0.5).image
    assert float((once - scan.image).abs().max()) > 5.0
    assert float((again - once).abs().max()) < 1e-3


def test_an_edge_overshoots_by_nine_percent_of_its_step() -> None:
    image = torch.full((1, 512, 6), 200.0)
    image[0, 128:384] = 300.0
    scan = Scan(image=image, spacing=(0.5, 2.0), modality="mr")
    made = perturbed("gibbs", scan, 0.2, axes=[0])[:, 0]
    # Wilbraham and Gibbs: Si(pi) / pi - 1/2 = .0895 of the step
    assert made.max() - 300.0 == pytest.approx(8.95, abs=0.3)
    assert 200.0 - made.min() == pytest.approx(8.95, abs=0.3)
    assert made.mean() == pytest.approx(250.0, rel=1e-6)


def test_the_fewer_lines_are_kept_the_larger_is_the_distortion() -> None:
    scan = head()
    drawn = perturbations.realise("gibbs", scan, seed=1)
    sizes = [
        effect.measure(scan, drawn.at(level=float(level)).image).nrmse
        for level in np.linspace(0.99, 0.05, 24)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_products_that_end_beside_a_whole_number_keep_its_line() -> None:
    # .55 * 40 / 2 is 11.000000000000002, .7 * 20 / 2 is 7, .29 * 200 / 2 is 28.999999999999996
    assert [kept_lines(40, 0.55), kept_lines(20, 0.7), kept_lines(200, 0.29)] == [11, 7, 29]
    # the line -N/2 of an even axis has no partner; an odd axis has none such
    assert [kept_lines(8, 0.999), kept_lines(9, 0.999), kept_lines(1, 0.5)] == [3, 4, 0]


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_spike_is_exactly_one_plane_wave(
    shape: tuple[int, ...], spacing: tuple[float, ...], seed: int
) -> None:
    flat = Scan(image=torch.full((1, *shape), 50.0), spacing=spacing, modality="mr")
    found = []
    for level in (6.0, 25.0):
        made = perturbed("spike", flat, level, seed)
        # |b + A e^(i psi)|^2 = b^2 + A^2 + 2 A b cos(psi): a constant and one pair of lines
        amplitude = level / 100 * 50
        power = np.fft.fftn(made**2) / made.size
        assert power.flat[0].real == pytest.approx(50**2 + amplitude**2, rel=1e-5)
        power.flat[0] = 0
        places = np.argwhere(np.abs(power) > 1e-3 * amplitude * 50)
        assert len(places) == 2
        assert (((places[0] + places[1]) % shape) == 0).all()
        assert np.abs(power[tuple(places[0])]) == pytest.approx(amplitude * 50, rel=1e-4)
        found.append(places.tolist())
    assert found[0] == found[1]
    for line, size, step in zip(found[0][0], shape, spacing, strict=True):
        # no finer than one stripe in 4 mm, but for the rounding to a whole number of cycles
        cycles = min(line, size - line)
        assert cycles <= 0.25 * size * step + 0.5


def test_a_spike_is_a_pedestal_where_there_is_no_signal_and_nothing_where_it_was_removed() -> None:
    image = torch.full((1, 12, 20, 20), 100.0)
    image[0, 4:8, 5:15, 5:15] = 0.0
    scan = Scan(image=image, spacing=(3.0, 1.0, 1.0), modality="mr")
    made = perturbed("spike", scan, 12.0)
    assert made[4:8, 5:15, 5:15] == pytest.approx(12.0, rel=1e-5)
    masked = Scan(image=100.0 - image, spacing=(3.0, 1.0, 1.0), modality="mr")
    assert masked.masked_background
    assert (perturbed("spike", masked, 12.0)[image[0].numpy() == 100.0] == 0).all()


@pytest.mark.parametrize("width", [1.0, 2.0, 3.3])
@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_a_zipper_stays_on_its_line(
    shape: tuple[int, ...], spacing: tuple[float, ...], width: float
) -> None:
    scan = textured(shape, spacing)
    phase = len(shape) - 2
    for seed in range(5):
        made = perturbed("zipper", scan, 50.0, seed, phase_axis=phase, width_mm=width)
        changed = made != scan.image[0].numpy()
        columns = np.flatnonzero(changed.any(axis=tuple(range(len(shape) - 1))))
        # along x, the other in-plane axis: neighbours, as many as the width can touch
        assert (np.diff(columns) == 1).all()
        assert 1 <= len(columns) <= math.ceil(width / spacing[-1]) + 1
        assert changed[..., columns[len(columns) // 2]].all()


@pytest.mark.parametrize("step", [0.7, 1.0, 2.0, 5.0])
def test_the_power_of_a_zipper_is_its_amplitude_squared_on_its_width(step: float) -> None:
    flat = Scan(image=torch.full((1, 20, 300, 30), 1.0), spacing=(8.0, 4.0, step), modality="mr")
    made = perturbed("zipper", flat, 5000.0, 3)
    # complex noise of power A^2 = 2500 on 2 mm: |1 + A w|^2 is 1 + A^2 |w|^2 on average
    power = (made**2 - 1).mean(axis=(0, 1)).sum() * step
    assert power == pytest.approx(2500 * 2.0, rel=0.06)


def test_a_line_folds_into_its_window_by_hand() -> None:
    # voxels 1 to 4 are shown: 5 comes in at 1, and 0 at 4
    folded, covered = fold_over(6, (0.5, 4.5))
    made = folded @ np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    assert made == pytest.approx([0.0, 2.0 + 32.0, 4.0, 8.0, 16.0 + 1.0, 0.0])
    assert covered == pytest.approx([0, 1, 1, 1, 1, 0])
    # half a voxel less on either side: voxels 1 and 4 show half of themselves, and what folds in
    # is half of 5 and all of 0 or half of each neighbour
    folded, covered = fold_over(6, (1.0, 4.0))
    assert covered == pytest.approx([0, 0.5, 1, 1, 0.5, 0])
    assert folded.sum(axis=0) == pytest.approx(np.ones(6))


@pytest.mark.parametrize("size", [24, 25])
def test_folding_keeps_sums_wherever_the_window_lies(size: int) -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        start = rng.uniform(-0.5, size / 2)
        window = (start, start + rng.uniform(0.2 * size, size - 0.5 - start))
        folded, covered = fold_over(size, window)
        assert folded.sum(axis=0) == pytest.approx(np.ones(size))
        assert covered.sum() == pytest.approx(window[1] - window[0])
        assert (folded[covered == 0] == 0).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_wraparound_keeps_the_sum_of_a_scan_and_shows_the_window(axis: int) -> None:
    image = torch.zeros(1, 22, 40, 33)
    image[0, 4:16, 6:30, 8:27] = torch.from_numpy(
        np.random.default_rng(0).uniform(50, 100, (12, 24, 19)).astype(np.float32)
    )
    scan = Scan(image=image, spacing=(3.0, 1.2, 1.5), modality="mr")
    drawn = perturbations.realise("wraparound", scan, seed=1, phase_axis=axis)
    low, high = extent_along(scan, axis)
    for level in (5.0, 20.0, 50.0):
        result = drawn.at(level=level)
        made = result.image
        whole = scan.image.sum(dim=axis + 1)
        slack = (1e-4 * whole).clamp(min=1e-2)
        assert float(((made.sum(dim=axis + 1) - whole).abs() / slack).max()) <= 1.0
        assert result.warp is not None
        assert not result.warp.moves
        shown = result.warp.retained
        extent = float(shown.sum()) / (shown.numel() / shown.shape[axis])
        assert abs(extent - (1 - level / 100) * (high - low)) <= 1
        # nothing moved: predictions need no warp
        assert result.warp.pull_back(made) is made
        assert float(result.warp.displacement().abs().max()) == 0.0
        # more than a voxel beyond the window there is no signal
        outside = ~torch.from_numpy(ndimage.binary_dilation(shown.numpy()))
        assert float(made[0][outside].abs().max()) == 0.0


def test_wraparound_of_a_tenth_doubles_a_tenth_of_a_block() -> None:
    image = torch.zeros(1, 6, 60, 20)
    image[0, :, 10:50] = 100.0
    scan = Scan(image=image, spacing=(4.0, 1.0, 1.0), modality="mr")
    # 40 voxels are seen through 36: 2 of either end lie over 2 of the other. The extent leaves out 1 in
    # 1000 of the foreground, .02 voxels at either end, so that up to .04 of a voxel folds over beside
    made = perturbed("wraparound", scan, 10.0, phase_axis=1)[3, :, 7]
    assert made[14:46] == pytest.approx(100.0, abs=4)
    assert made[12:48].sum() == pytest.approx(4000.0, rel=0.002)
    assert made[12:14] == pytest.approx(200.0, abs=4)
    assert made[46:48] == pytest.approx(200.0, abs=4)
    assert made[:11] == pytest.approx(0.0)
    assert made[49:] == pytest.approx(0.0)


def test_phase_runs_along_the_longer_in_plane_axis_unless_told() -> None:
    def chosen(shape: tuple[int, ...], spacing: tuple[float, ...], axis: int | None = None) -> int:
        return phase_encoding(
            "ghosting", Scan(image=torch.ones(1, *shape), spacing=spacing, modality="mr"), axis
        )

    assert chosen((40, 20, 30), (5.0, 1.0, 1.0)) == 2
    assert chosen((40, 20, 30), (5.0, 1.6, 1.0)) == 1
    assert chosen((20, 30, 30), (5.0, 1.0, 1.0)) == 1
    assert chosen((50, 30, 9), (1.0, 1.0, 5.0)) == 0
    assert chosen((20, 30), (5.0, 1.0)) == 0
    assert chosen((40, 20, 30), (5.0, 1.0, 1.0), 0) == 0


@pytest.mark.parametrize("name", NAMES)
def test_what_was_cut_out_stays_empty_and_a_dark_background_does_not(name: str) -> None:
    image = torch.zeros(1, 16, 32, 30)
    image[0, 4:12, 8:24, 7:23] = torch.from_numpy(
        np.random.default_rng(0).uniform(60, 100, (8, 16, 16)).astype(np.float32)
    )
    empty = image == 0
    for state in ("raw", "skull_stripped"):
        scan = Scan(image=image, spacing=(3.0, 1.0, 1.0), modality="mr", state=state)
        made = perturbations.realise(name, scan, seed=2).at(severity=5).image
        assert not torch.equal(made, image)
        filled = float(made[empty].abs().max())
        # ghosts and ringing spread into mere zeros, interference does not, as noise does not
        spreads = state == "raw" and name not in ("spike", "zipper", "wraparound")
        assert (filled > 0.5) == spreads


@pytest.mark.parametrize("name", NAMES)
def test_a_scan_that_is_no_magnitude_is_refused(name: str) -> None:
    scan = Scan(image=torch.full((1, 8, 8, 8), -1.0), spacing=(1, 1, 1), modality="mr")
    with pytest.raises(ValueError, match=f"{name} needs a magnitude image .* got a minimum of -1"):
        perturbations.realise(name, scan, seed=1)
    with pytest.raises(ValueError, match="is no physics on normalised scans"):
        perturbations.realise(name, replace(scan, state="normalised"), seed=1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ghosting", {"phase_axis": 3}, "phase_axis of ghosting must be a spatial axis, 0 to 2"),
        ("motion", {"phase_axis": -1}, "phase_axis of motion must be a spatial axis, 0 to 2"),
        ("motion", {"moves": 0}, "moves of motion must be a whole number from 1 to 16, got 0"),
        ("motion", {"moves": True}, "moves of motion must be a whole number from 1 to 16"),
        ("motion", {"translation_mm": [[2, 2], [1, 3]]}, "translation_mm of motion must be pairs"),
        ("motion", {"translation_mm": [[1, 2], [2, 1]]}, "translation_mm of motion must be pairs"),
        ("motion", {"translation_mm": 3.0}, "translation_mm of motion must be pairs"),
        ("motion", {"translation_mm": [[1, 2], [3]]}, "translation_mm of motion must be pairs"),
        ("motion", {"translation_mm": []}, "translation_mm of motion must be pairs"),
        ("zipper", {"width_mm": 0.0}, "width_mm of zipper must be a positive number of mm, got 0"),
        ("gibbs", {"axes": [0, 3]}, "axes of gibbs must be a list of some of 0 to 2"),
        ("gibbs", {"axes": []}, "axes of gibbs must be a list of some of 0 to 2"),
        ("spike", {"phase_axis": 1}, "unknown option 'phase_axis' of spike"),
    ],
)
def test_options_out_of_range_are_refused_in_words(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        perturbations.realise(name, head(), seed=1, **options)
