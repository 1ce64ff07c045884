"""Count how often intervals of reliance hold for all skips at once, and how often the wrong skip is named.

``python benchmarks/reliance_coverage.py [RUNS]`` prints the numbers of docs/statistics.md; 1000 runs take some
minutes on one core. Four skips of a network, the second and the third worth the same, so that "relies most" is
never right. Under one law nobody collapses, under the other a tenth of the patients does without the second, as
many without the third, and 2 of 100 without the last. The peer is one interval a skip, not adjusted.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.analysis.comparison import simultaneous
from auditor.analysis.intervals import (
    bootstrap_weights,
    studentized_draws,
    studentized_interval,
)

Floats = NDArray[np.float64]

LEVEL = 0.95
USUAL = np.array([0.01, 0.03, 0.03, 0.0])
"""What a usual patient loses without each skip."""
LAWS = {
    "nobody collapses": np.zeros(4),
    "some collapse": np.array([0.0, 0.10, 0.10, 0.02]),
}
"""Shares of patients that collapse without each."""
COLLAPSE, SPREAD = 0.85, 0.03


def losses(n: int, rates: Floats, rng: np.random.Generator) -> Floats:
    """Draw what n patients lose without each skip; usual losses of a patient go together."""
    shared = rng.normal(0, SPREAD, (n, 1))
    usual = USUAL + 0.7 * shared + 0.7 * rng.normal(0, SPREAD, (n, 4))
    hit = rng.uniform(size=(n, 4)) < rates
    return np.where(hit, COLLAPSE + (usual - USUAL), usual)


def named(low: Floats, high: Floats) -> int | None:
    """Which skip lies above all others, if one does."""
    first = int(np.argmax(low))
    return first if low[first] > 0 and low[first] > np.delete(high, first).max() else None


def count(n: int, rates: Floats, runs: int) -> dict[str, float]:
    """Rates of one cohort size over many cohorts."""
    means = (1 - rates) * USUAL + rates * COLLAPSE
    rng = np.random.default_rng([20261130, n])
    weights = bootstrap_weights(n, 1)
    found = dict.fromkeys(("holds", "peer holds", "wrongly named", "peer wrongly named"), 0)
    for _ in range(runs):
        values = losses(n, rates, rng)
        estimates = simultaneous(studentized_draws(values, weights), n, level=LEVEL, reach=1.0)
        # without an interval nothing is claimed
        low = np.array([-1.0 if it.low is None else it.low for it in estimates])
        high = np.array([1.0 if it.high is None else it.high for it in estimates])
        found["holds"] += bool(((low <= means) & (high >= means)).all())
        found["wrongly named"] += named(low, high) is not None
        low, high = studentized_interval(values, weights, level=LEVEL, bounded=False)
        found["peer holds"] += bool(((low <= means) & (high >= means)).all())
        found["peer wrongly named"] += named(low, high) is not None
    return {name: hits / runs for name, hits in found.items()}


def main(runs: int) -> None:
    """Print a table."""
    at_least = stats.binom.ppf(0.001, runs, LEVEL) / runs
    print(f"{runs} runs a row; a coverage of {LEVEL} shows at least {at_least:.3f} in 999 of 1000")
    print(
        "law | n | holds for all four | one interval a skip | wrongly named | the same, one a skip"
    )
    for law, rates in LAWS.items():
        for n in (12, 20, 60, 120, 300):
            told = (f"{it:.3f}" for it in count(n, rates, runs).values())
            print(law, n, *told, sep=" | ", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
