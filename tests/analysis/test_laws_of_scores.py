"""The laws that coverage is counted on have the means and quantiles that they state."""

from __future__ import annotations

import math

import numpy as np
import pytest

from auditor.analysis.laws import LAWS


def test_means_by_hand() -> None:
    means = {name: law.mean for name, law in LAWS.items()}
    assert means == pytest.approx(
        {
            "A": 18 / 20,
            "B": 4 / 5.5,
            "C": 0.95 * 18 / 20,
            "D": 0.85 * 9 / 12,
            "E": 0.8 * 30 / 33 + 0.2 * 2 / 5,
            "F": 0.1 + 0.85 * 9 / 11,
            "G": 0.55 * 9 / 12,
        }
    )


@pytest.mark.parametrize("name", LAWS)
def test_draws_have_the_stated_mean_and_quantiles(name: str) -> None:
    law, n = LAWS[name], 40_000
    assert law.zeros + law.ones + sum(weight for weight, _, _ in law.parts) == pytest.approx(1)
    drawn = law.draw(n, np.random.default_rng(ord(name)))
    assert 0 <= drawn.min() <= drawn.max() <= 1
    # four standard errors
    assert drawn.mean() == pytest.approx(law.mean, abs=4 * drawn.std() / math.sqrt(n))
    for share in (0.02, 0.3, 0.5, 0.95):
        at = law.quantile(share)
        error = 4 * math.sqrt(share * (1 - share) / n)
        assert (drawn <= at).mean() >= share - error
        assert (drawn < at).mean() <= share + error
    assert law.share_below(0.0) == law.zeros
    assert law.share_below(1.0) == pytest.approx(1.0)
    assert law.draw((3, 4), np.random.default_rng(1)).shape == (3, 4)
