"""Bias fields and gamma, by arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scans import head

import perturbations
from perturbations import Scan, effect


@pytest.mark.parametrize("level", [20.0, 60.0, 100.0])
def test_a_bias_field_spans_exactly_its_level_and_its_log_has_no_mean(level: float) -> None:
    scan = head()
    result = perturbations.realise("bias_field", scan, seed=8).at(level=level).image
    gain = (result / scan.image)[0][scan.foreground].double()
    # BrainWeb: 20 % spans 0.90 to 1.10
    ratio = (1 + level / 200) / (1 - level / 200)
    assert float(gain.max() / gain.min()) == pytest.approx(ratio, rel=1e-4)
    assert float(gain.log().mean()) == pytest.approx(0.0, abs=1e-4)


def test_gamma_is_a_power_on_the_robust_range_and_leaves_the_rest() -> None:
    scan = head(noise=0.5)
    image = scan.image[0].numpy()
    low, high = np.quantile(image, [0.01, 0.99])
    result = perturbations.realise("gamma_up", scan, seed=1).at(level=1.5).image[0].numpy()
    inside = (image > low) & (image < high)
    expected = low + (high - low) * (np.clip(image - low, 0, None) / (high - low)) ** 1.5
    assert result[inside] == pytest.approx(expected[inside], rel=1e-4, abs=1e-3)
    assert result[~inside] == pytest.approx(image[~inside], abs=1e-3)


def test_gamma_down_undoes_gamma_up() -> None:
    scan = head(noise=0.5)
    up = perturbations.realise("gamma_up", scan, seed=1).at(severity=3).image
    back = perturbations.realise("gamma_down", replace(scan, image=up), seed=1).at(severity=3).image
    assert effect.measure(scan, back).nrmse < 0.005


def test_a_bias_field_stays_in_its_range_beyond_the_foreground() -> None:
    image = torch.full((1, 20, 40, 40), 20.0)
    image[0, 4:9, 5:15, 6:16] = 500.0
    scan = Scan(image=image, spacing=(4.0, 1.0, 1.0), modality="mr")
    for seed in range(5):
        result = perturbations.realise("bias_field", scan, seed=seed).at(level=100.0).image
        gain = result / image
        inside = gain[0][scan.foreground]
        # (1 + .5) / (1 - .5) = 3
        assert float(inside.max() / inside.min()) == pytest.approx(3.0, rel=1e-4)
        assert float(gain.max()) <= float(inside.max()) * (1 + 1e-6)
        assert float(gain.min()) >= float(inside.min()) * (1 - 1e-6)


def test_gamma_by_hand() -> None:
    # values 0, 1, .., 100: q01 = 1, q99 = 99; 50 is the middle, z = .5
    image = torch.arange(101.0).repeat(9, 1)[None]
    scan = Scan(image=image, spacing=(1.0, 1.0), modality="other")
    row = perturbations.realise("gamma_up", scan, seed=1).at(level=1.5).image[0, 4]
    assert float(row[50]) == pytest.approx(1 + 98 * 0.5**1.5, rel=1e-5)
    assert torch.equal(row[[0, 1, 99, 100]], torch.tensor([0.0, 1.0, 99.0, 100.0]))
    assert bool((row.diff() > 0).all())
