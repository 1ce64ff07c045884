"""Count how often a breakpoint supports a severity that breaks the margin, and how often one that keeps it.

``python benchmarks/breakpoint_size.py [RUNS]`` prints the numbers of docs/statistics.md; 1000 runs take some
minutes on one core. Patients lose little, and a few of them collapse: the law under which resampled bounds
go wrong. The severities of a patient share their collapse, so that a response never rises by chance
alone. The peer is Student's one-sided bound in the same fixed sequence.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.analysis.bands import simultaneous_band
from auditor.analysis.breakpoint import bounds_of, walk
from auditor.analysis.intervals import bootstrap_weights
from auditor.schema import StepVerdict

Floats = NDArray[np.float64]

MARGIN = 0.10
LEVEL = 0.95
MEANS = np.array([0.01, 0.03, 0.10, 0.18, 0.30])
"""True mean drops; the third severity breaks the margin by the least that there is: not at all."""
RATES = np.array([0.002, 0.005, 0.02, 0.05, 0.15])
"""Shares of patients that collapse."""
COLLAPSE, SPREAD = 0.85, 0.03


def drops(n: int, rng: np.random.Generator) -> Floats:
    """Draw the drops of n patients at five severities, with exactly these means."""
    usual = (MEANS - RATES * COLLAPSE) / (1 - RATES)
    hit = rng.uniform(size=(n, 1)) < RATES
    return np.where(hit, COLLAPSE, usual + rng.normal(0, SPREAD, (n, len(MEANS))))


def supported(verdicts: tuple[StepVerdict, ...]) -> int:
    """Count the severities that are supported."""
    return sum(it is StepVerdict.SUPPORTED for it in verdicts)


def student(values: Floats) -> list[tuple[float, float]]:
    """Bounds of Student's t at each severity."""
    n = len(values)
    reach = stats.t.ppf(LEVEL, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    mean = values.mean(axis=0)
    return list(zip((mean - reach).tolist(), (mean + reach).tolist(), strict=True))


def count(n: int, runs: int) -> dict[str, float]:
    """Rates of one cohort size over many cohorts."""
    rng = np.random.default_rng([20261130, n])
    cohorts = [drops(n, rng) for _ in range(runs)]
    bounds = iter(bounds_of([column for it in cohorts for column in it.T], "drop", level=LEVEL))
    found = {"wrong": 0, "power": 0, "violation wrong": 0, "student wrong": 0, "band": 0}
    for values in cohorts:
        pairs = [next(bounds) for _ in MEANS]
        verdicts = walk("drop", MARGIN, [n] * len(MEANS), pairs, level=LEVEL)
        found["wrong"] += supported(verdicts) >= 3
        found["power"] += supported(verdicts) >= 2
        found["violation wrong"] += StepVerdict.VIOLATED in verdicts[:3]
        peer = walk("drop", MARGIN, [n] * len(MEANS), student(values), level=LEVEL)
        found["student wrong"] += supported(peer) >= 3
        low, _ = simultaneous_band(-values, bootstrap_weights(n, 1), level=LEVEL, side="lower")
        found["band"] += bool((low <= -MEANS).all())
    return {name: hits / runs for name, hits in found.items()}


def main(runs: int) -> None:
    """Print a table."""
    at_most = stats.binom.ppf(0.999, runs, 1 - LEVEL) / runs
    print(
        f"{runs} runs a row; a size of {1 - LEVEL:.2f} shows up to {at_most:.3f} in 999 of 1000 cases"
    )
    print("n | supports the broken severity: phantom | Student | supports the two kept ones | "
          "violation told wrongly | upper band over severities holds")  # fmt: skip
    for n in (20, 60, 120, 300):
        row = count(n, runs)
        told = ("wrong", "student wrong", "power", "violation wrong", "band")
        print(n, *(f"{row[name]:.3f}" for name in told), sep=" | ", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
