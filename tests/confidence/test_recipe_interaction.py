"""Two perturbations together against the sum of each alone."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.analysis.intervals import bootstrap_weights
from auditor.confidence.recipe_interaction import (
    interaction,
    not_assessed,
    pair_of_rows,
    worst_two,
)
from auditor.confidence.recipe_scores import Condition, ScoreTable

CONDITIONS: tuple[Condition, ...] = (
    *(("clean", 0.0), ("gaussian_blur", 2.0), ("gaussian_noise", 2.0), ("joint", 1.0)),
    ("rician_noise", 2.0),
)
LEVELS: dict[Condition, tuple[float | None, str]] = {
    ("clean", 0.0): (None, ""), ("gaussian_blur", 2.0): (1.5, "mm"), ("gaussian_noise", 2.0): (5.0, "%"),
    ("joint", 1.0): (1.0, "of the row"), ("rician_noise", 2.0): (6.0, "%"),
}  # fmt: skip
PAIR: tuple[Condition, Condition] = (("rician_noise", 2.0), ("gaussian_blur", 2.0))


def table(excess: float, n: int = 30, noise: float = 0.01) -> ScoreTable:
    """Drops .1 (blur), .15 (gaussian noise), .2 (rician noise); together .3 + excess."""
    rng = np.random.default_rng(1)
    clean = rng.normal(0.9, 0.02, (n, 1, 2))
    drops = np.array([0.0, 0.1, 0.15, 0.3 + excess, 0.2])[:, None]
    values = clean - drops + rng.normal(0, noise, (n, 5, 2))
    return ScoreTable(("A", "B"), CONDITIONS, LEVELS, values, tuple(range(n)), ())


def test_sum_of_drops_by_hand() -> None:
    made = table(0.0)
    found = interaction(made, ("joint", 1.0), PAIR, bootstrap_weights(30, 1), level=0.95)
    assert found.status == "adds up"
    means = made.values.mean(axis=0)
    row = found.rows[1]
    assert row.together.value == pytest.approx(means[0, 1] - means[3, 1])
    assert row.summed.value == pytest.approx(2 * means[0, 1] - means[4, 1] - means[1, 1])
    assert row.together.value is not None
    assert row.summed.value is not None
    assert row.excess.value == pytest.approx(row.together.value - row.summed.value)
    assert found.parts == (("rician_noise", 2.0, 6.0, "%"), ("gaussian_blur", 2.0, 1.5, "mm"))


@pytest.mark.parametrize("excess", [0.15, -0.15])
def test_what_is_worse_or_better_together_is_told(excess: float) -> None:
    found = interaction(table(excess), ("joint", 1.0), PAIR, bootstrap_weights(30, 1), level=0.95)
    assert found.status == "does not add up"
    assert "does not carry over" in found.sentence


def test_much_scatter_leaves_it_undecided() -> None:
    made = table(0.02, n=12, noise=0.1)
    found = interaction(made, ("joint", 1.0), PAIR, bootstrap_weights(12, 1), level=0.95)
    assert found.status == "undecided"


def test_row_of_two_tested_levels_is_found() -> None:
    rows = [{"rician_noise": 6.0, "gaussian_blur": 1.5}]
    assert pair_of_rows(rows, LEVELS) == PAIR
    assert pair_of_rows([*rows, {}], LEVELS) is None
    assert pair_of_rows([{"rician_noise": 6.0}], LEVELS) is None
    assert pair_of_rows([{"rician_noise": 7.0, "gaussian_blur": 1.5}], LEVELS) is None


def test_default_check_takes_the_two_worst_of_different_properties() -> None:
    made = table(0.0)
    movable = ["gaussian_noise", "rician_noise", "gaussian_blur"]
    # the two laws of noise are one property
    assert worst_two(made, movable) == PAIR
    assert worst_two(made, ["rician_noise"]) is None
    told = not_assessed(made, PAIR)
    assert told.sentence == "One axis at a time; interactions not assessed."
    assert told.lines[1] == "  joint: {options: {rows: [{rician_noise: 6.0, gaussian_blur: 1.5}]}}"
    assert not_assessed(made, None).lines == ()
