"""The transforms of ROOD-MRI, held against their published definitions by arithmetic."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scans
import torch
from numpy.typing import NDArray
from scipy import ndimage

import perturbations
from perturbations import CATALOG, Scan

SPACING = (3.0, 1.0, 1.5)


def magnitude(values: NDArray[np.float64]) -> Scan:
    image = torch.from_numpy(np.asarray(values, dtype=np.float32))[None]
    return Scan(image=image, spacing=SPACING[-values.ndim :], modality="mr")


@pytest.mark.parametrize(
    ("name", "neutral", "last"),
    [
        ("rood_affine", 0, 40),
        ("rood_anisotropy", 1, 10),
        ("rood_bias_field", 0, 1.5),
        ("rood_contrast_compression", 1, 0.3),
        ("rood_contrast_expansion", 1, 3),
        ("rood_elastic", 0, 30),
        ("rood_ghosting", 0, 2.5),
        ("rood_motion", 0, 5),
        ("rood_rician_noise", 0, 0.8),
        ("rood_smoothing", 0, 4),
    ],
)
def test_levels_rise_in_equal_steps_as_published(name: str, neutral: float, last: float) -> None:
    entry = CATALOG[name]
    assert entry.neutral == neutral
    # np.linspace(neutral, max, 6)[1:] in its defaults
    assert list(entry.body.values) == pytest.approx(np.linspace(neutral, last, 6)[1:].tolist())


def test_affine_shifts_and_turns_by_the_root_mean_square_of_the_published_draws() -> None:
    scan = scans.head()
    for seed in range(4):
        warp = perturbations.realise("rood_affine", scan, seed=seed).at(level=24.0).warp
        assert warp is not None
        matrix, offset = np.asarray(warp.matrix), np.asarray(warp.offset)  # type: ignore[attr-defined]
        assert np.abs(offset) == pytest.approx(24 / np.sqrt(3), abs=1e-9)
        assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-12)
        # three turns of 0.75 x 24 / sqrt(3) = 10.39 degrees: cos^3 and products of sines on the diagonal
        angle = np.deg2rad(0.75 * 24 / np.sqrt(3))
        turns = []
        for signs in itertools.product((-1, 1), repeat=3):
            s, c = np.sin(angle * np.array(signs)), np.cos(angle)
            about_0 = np.array([[1, 0, 0], [0, c, -s[0]], [0, s[0], c]])
            about_1 = np.array([[c, 0, s[1]], [0, 1, 0], [-s[1], 0, c]])
            about_2 = np.array([[c, -s[2], 0], [s[2], c, 0], [0, 0, 1]])
            turns.append(about_0 @ about_1 @ about_2)
        assert min(np.abs(matrix - turn).max() for turn in turns) < 1e-9


def test_anisotropy_averages_along_one_axis_and_leaves_the_others() -> None:
    ramps = [np.linspace(50, 150, n) for n in (20, 30, 24)]
    values = np.stack(np.meshgrid(*ramps, indexing="ij")).sum(axis=0)
    impulse = values.copy()
    impulse[10, 15, 12] += 1000
    changed = set()
    for seed in range(12):
        image = (
            perturbations.realise("rood_anisotropy", magnitude(impulse), seed=seed)
            .at(level=4.6)
            .image
        )
        bump = (
            image[0].numpy()
            - perturbations.realise("rood_anisotropy", magnitude(values), seed=seed)
            .at(level=4.6)
            .image[0]
            .numpy()
        )
        spread = [np.unique(where).size for where in np.nonzero(np.abs(bump) > 1)]
        assert sorted(spread)[:2] == [1, 1]
        assert max(spread) > 4
        assert bump.sum() == pytest.approx(1000, rel=0.15)
        changed.add(int(np.argmax(spread)))
    assert changed == {0, 1, 2}


@pytest.mark.parametrize("shape", [(12, 30, 34), (30, 34)])
def test_the_bias_field_is_a_log_polynomial_of_order_3_without_a_mean(
    shape: tuple[int, ...],
) -> None:
    scan = magnitude(np.full(shape, 100.0))
    drawn = perturbations.realise("rood_bias_field", scan, seed=3)
    log_gain = np.log(drawn.at(level=0.6).image[0].double().numpy() / 100)
    assert log_gain.mean() == pytest.approx(0.0, abs=1e-5)
    twice = np.log(drawn.at(level=1.2).image[0].double().numpy() / 100)
    assert np.abs(twice - 2 * log_gain).max() < 1e-5
    # least squares on all monomials of order 3 leaves nothing, and finds coefficients within the level
    axes = [np.linspace(-1, 1, n) for n in shape]
    grids = np.meshgrid(*axes, indexing="ij")
    powers = [p for p in itertools.product(range(4), repeat=len(shape)) if sum(p) <= 3]
    columns = np.stack(
        [np.prod([g**k for g, k in zip(grids, p, strict=True)], axis=0).ravel() for p in powers],
        axis=1,
    )
    found, *_ = np.linalg.lstsq(columns, log_gain.ravel(), rcond=None)
    assert np.abs(columns @ found - log_gain.ravel()).max() < 1e-5
    assert np.abs(found[1:]).max() <= 0.6 + 1e-4
    assert np.abs(found[1:]).max() > 0.3


@pytest.mark.parametrize("shape", [(12, 30, 34), (30, 34)])
def test_the_bias_field_reaches_the_third_order(shape: tuple[int, ...]) -> None:
    drawn = perturbations.realise("rood_bias_field", magnitude(np.full(shape, 100.0)), seed=3)
    log_gain = np.log(drawn.at(level=0.6).image[0].double().numpy() / 100)
    for axis, size in enumerate(shape):
        lines = np.moveaxis(log_gain, axis, 0).reshape(size, -1)
        found = np.polynomial.legendre.legfit(np.linspace(-1, 1, size), lines, 4)
        assert np.abs(found[4]).max() < 1e-5
        # x^3 has one coefficient, at most the level, on every line; it holds 2/5 of the third Legendre
        # polynomial
        assert found[3] == pytest.approx(found[3][0], abs=1e-5)
        assert 0.4 * 0.6 >= abs(found[3][0]) > 1e-3


def test_contrast_is_a_power_law_over_the_whole_range() -> None:
    values = np.random.default_rng(1).uniform(20, 220, (8, 20, 22))
    values[0, 0, 0], values[0, 0, 1] = 20, 220
    for name, level in (("rood_contrast_compression", 0.58), ("rood_contrast_expansion", 2.2)):
        image = perturbations.realise(name, magnitude(values), seed=1).at(level=level).image[0]
        expected = 20 + 200 * ((values - 20) / 200) ** level
        assert np.abs(image.numpy() - expected).max() < 2e-3


def test_ghosts_of_a_comb_lie_at_sevenths_of_the_field_of_view() -> None:
    values = np.zeros((2, 70, 70))
    values[:, 35, 35] = 700.0
    changed = (
        perturbations.realise("rood_ghosting", magnitude(values), seed=1).at(level=0.5).image[0, 0]
    )
    profile = changed.numpy()[35] if changed[35].count_nonzero() > 1 else changed.numpy()[:, 35]
    # I / n = 0.5 / 7 of its parent, every 10 voxels; 2 % of 70 lines, one, are restored in the centre,
    # which costs 0.5 / 70 of it everywhere where that line was of the comb
    places = [(35 + 10 * k) % 70 for k in range(1, 7)]
    assert profile[places] == pytest.approx(700 * 0.5 / 7, rel=0.15)
    others = np.delete(profile, [35, *places])
    assert np.abs(others).max() < 700 * 0.5 / 70 + 1e-3
    assert profile[35] == pytest.approx(700 * (1 - 0.5 / 7), rel=0.02)


def test_ghosting_restores_a_fiftieth_of_k_space_around_its_centre() -> None:
    values = np.zeros((350, 350))
    values[175, 175] = 1000.0
    made = perturbations.realise("rood_ghosting", magnitude(values), seed=1).at(level=0.5).image[0]
    # 50 of 350 lines are of the comb, but the 7 around the centre, of which 1 is, are restored: 49 are halved
    assert float(made[175, 175]) == pytest.approx(1000 * (1 - 0.5 * 49 / 350), rel=1e-5)


def test_rician_sigma_counts_from_the_standard_deviation_with_its_air() -> None:
    values = np.zeros((20, 60, 60))
    values[:, :, 30:] = 100.0
    # half 0, half 100: an sd of 50, of which 0.16 is 8; the mean of Rayleigh is 8 sqrt(pi / 2)
    scan = magnitude(values + 1e-3)
    image = perturbations.realise("rood_rician_noise", scan, seed=1).at(level=0.16).image[0].numpy()
    assert image[:, :, :30].mean() == pytest.approx(8 * np.sqrt(np.pi / 2), rel=0.01)
    assert image[:, :, 30:].std() == pytest.approx(8, rel=0.02)


def test_smoothing_is_a_gaussian_in_mm() -> None:
    values = np.zeros((21, 41, 41))
    values[10, 20, 20] = 1000.0
    image = (
        perturbations.realise("rood_smoothing", magnitude(values), seed=1).at(level=3.2).image[0]
    )
    spread = [3.2 / step for step in SPACING]
    expected = ndimage.gaussian_filter(values, spread, mode="nearest", truncate=5)
    assert np.abs(image.numpy() - expected).max() < 0.02


def test_motion_of_severity_5_is_5_degrees_and_10_mm_at_most() -> None:
    scan = scans.head()
    same = perturbations.realise("motion", scan, seed=9, moves=6, translation_mm=[[5.0, 10.0]])
    rood = perturbations.realise("rood_motion", scan, seed=9)
    assert torch.equal(rood.at(severity=5).image, same.at(level=5.0).image)


def test_elastic_of_30_mm_does_not_fold() -> None:
    warp = perturbations.realise("rood_elastic", scans.head(), seed=2).at(level=30.0).warp
    assert warp is not None
    assert warp.smallest_jacobian() > 0
    assert float(warp.displacement().max()) == pytest.approx(30.0, rel=1e-3)
