"""Where spikes and zippers fall, over many draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kspace_lines import perturbed

from perturbations import Scan
from perturbations.kspace_interference import _wave_vector

FINE_AND_COARSE = Scan(image=torch.ones(1, 128, 96, 40), spacing=(0.5, 0.8, 3.0), modality="mr")
REACH = np.array([16.0, 19.2, 20.0])
"""Cycles of its finest stripes: .25 per mm on 64 mm and 76.8 mm, half the voxels where they are coarse."""


def test_stripes_are_as_fine_in_mm_on_fine_voxels_as_on_coarse_ones() -> None:
    draws = [_wave_vector(FINE_AND_COARSE, np.random.default_rng(seed)) for seed in range(200)]
    found = np.abs(draws)
    # evenly in the box and rounded: 200 draws all miss the outer tenth once in 10^9
    assert (found.max(axis=0) <= REACH + 0.5).all()
    assert (found.max(axis=0) >= 0.9 * REACH - 0.5).all()
    # the mean of a uniform share is 1/2, with a standard error of 1 / sqrt(12 x 200) = .02
    assert found.mean(axis=0) / REACH == pytest.approx([0.5, 0.5, 0.5], abs=0.08)


def test_a_spike_near_the_centre_of_k_space_is_drawn_again() -> None:
    def first(seed: int) -> float:
        return float(np.abs(np.random.default_rng(seed).uniform(-1, 1, 3)).max())

    # one draw in 1000 lies within a tenth of the box, where stripes would be shading
    close = [seed for seed in range(6000) if first(seed) < 0.1]
    assert len(close) >= 3
    for seed in close:
        drawn = np.abs(_wave_vector(FINE_AND_COARSE, np.random.default_rng(seed)))
        assert ((drawn + 0.5) / REACH).max() >= 0.1
        # it is the second draw, but for the rounding to whole cycles
        again = np.random.default_rng(seed)
        _, second = again.uniform(-1, 1, 3), again.uniform(-1, 1, 3)
        assert drawn == pytest.approx(np.abs(second) * REACH, abs=0.501)


def test_a_zipper_falls_anywhere_in_the_middle_of_the_anatomy() -> None:
    image = torch.full((1, 4, 20, 200), 1.0)
    image[..., 50:150] = 100.0
    scan = Scan(image=image, spacing=(4.0, 12.0, 1.0), modality="mr")
    places = []
    for seed in range(60):
        changed = perturbed("zipper", scan, 50.0, seed, phase_axis=1) != image[0].numpy()
        places.append(float(np.flatnonzero(changed.any(axis=(0, 1))).mean()))
    # between 10 and 90 % of columns 49.5 to 149.5, but for a line of 2 voxels that touches 3
    assert min(places) >= 59.5 - 1
    assert max(places) <= 139.5 + 1
    # 60 draws of a uniform place: a mean of 99.5 +- 80 / sqrt(12 x 60) = 3, and both ends come near
    assert np.mean(places) == pytest.approx(99.5, abs=12)
    assert min(places) < 70
    assert max(places) > 130
