"""Rays through steel by arithmetic, and the streaks that they make."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from ct_phantoms import water
from scans import abdomen
from scipy import ndimage

import perturbations
from perturbations.attenuation import attenuation_of
from perturbations.metal import Rod, hardened
from perturbations.projector import Geometry


def test_rays_beside_metal_measure_what_they_did() -> None:
    p = np.linspace(0.0, 8.0, 50)
    measured, counted = hardened(p, np.zeros(50), 1e6)
    # the table of water is 0.3 mm fine
    assert measured == pytest.approx(p, abs=1e-4)
    assert counted[0] == pytest.approx(1e6)
    assert np.all(np.diff(counted) < 0)


def test_metal_hardens_and_starves() -> None:
    chord = np.linspace(0.0, 60.0, 61)
    measured, counted = hardened(np.full(61, 3.0), chord, 1e6)
    # never falls, and each of the first mm adds less than the one before: hardening
    slope = np.diff(measured)
    assert np.all(slope >= 0)
    assert np.all(np.diff(slope[:12]) < 0)
    # 12 mm of iron at 60 keV alone: exp(-.949 12); the harder part of the spectrum passes better
    assert measured[12] - 3.0 < 0.949 * 12
    assert measured[12] - 3.0 > 0.29 * 12
    assert counted.min() == 1.0
    assert measured.max() == pytest.approx(measured[-2])


def test_chords_of_a_rod_hold_its_area() -> None:
    rod = Rod(y_mm=7.0, x_mm=-12.0, radius_mm=4.0)
    rays = Geometry(views=40, bins=81, bin_mm=1.0)
    chords = rod.chords(rays)
    assert chords.sum(axis=1) == pytest.approx(np.full(40, math.pi * 16.0))
    # the view from above: rays at x = -12 pass 8 mm, less the curvature over the bin
    assert chords[0, 28] == pytest.approx(8.0, rel=0.01)
    assert rod.coverage(attenuation_of(water(), "x").grid).sum() * 2.25 == pytest.approx(
        math.pi * 16.0, rel=0.05
    )


@pytest.mark.parametrize("level", [50.0, 200.0, 800.0])
def test_streaks_have_the_stated_strength_beside_the_metal(level: float) -> None:
    scan = abdomen()
    drawn = perturbations.realise("metal_streaks", scan, seed=3)
    image = drawn.at(level=level).image
    added = (image - scan.image)[0]
    metal = image[0] == 3071.0
    touched = (added != 0).flatten(1).any(dim=1)
    distance = ndimage.distance_transform_edt(~metal.any(dim=0).numpy(), sampling=1.5)
    # 5 mm from the rod, whose surface lies half a pixel beyond the last centre inside
    far = torch.from_numpy(distance >= 5.75)
    body = (scan.image[0] > -500) & touched[:, None, None] & far
    strength = float(np.quantile(added[body].abs().numpy(), 0.99))
    # streaks that reach the ends of 12 bits are cut off there
    assert strength == pytest.approx(level, rel=0.1)
    assert 20 < int(metal.sum()) < 3000
    assert float(image.min()) >= min(-1024.0, float(scan.image.min()))


def test_metal_stands_in_bone_where_there_is_bone() -> None:
    scan = abdomen()
    for seed in range(5):
        image = perturbations.realise("metal_streaks", scan, seed=seed).at(severity=3).image
        metal = image[0] == 3071.0
        # bone, or its edge where a rod is wider
        assert float((scan.image[0][metal] > 150).float().mean()) > 0.4
