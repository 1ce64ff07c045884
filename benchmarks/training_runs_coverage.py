"""How often intervals about patients and training runs err, by how much more runs vary than patients do.

Scores of patient i in run r: patient + run + residual, all normal. A column is the variance that three runs add
to a mean, over that of its patients. A mean of one family, a difference of two with as many runs, and one of
a family with 3 runs and one with 10. Nominal: .05.

Usage: python benchmarks/training_runs_coverage.py     (a minute)
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

# a script's folder comes first on the path, where perturbations.py would hide the package of its name
sys.path.remove(str(Path(__file__).resolve().parent))

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.training_runs import difference_of_runs, mean_of_runs
from auditor.schema import Estimate

REPETITIONS = 4000
PATIENT, RESIDUAL = 0.1, 0.03
SHARES = (0.0, 1.0, 3.0, 10.0, 100.0)


def drawn(
    rng: np.random.Generator, ease: NDArray[np.float64], runs: int, share: float
) -> NDArray[np.float64]:
    """Draw (runs, patients) of a family with a true mean of 0."""
    n = len(ease)
    own = rng.normal(0, PATIENT / math.sqrt(2), n)
    # of three runs: share times the variance that patients add to a mean
    sd = PATIENT * math.sqrt(3 * share / n)
    run = rng.normal(0, sd, (runs, 1))
    return np.asarray(ease + own + run + rng.normal(0, RESIDUAL, (runs, n)))


def errs(estimate: Estimate) -> bool:
    """Tell whether 0, the truth, lies outside."""
    assert estimate.low is not None
    assert estimate.high is not None
    return not estimate.low <= 0.0 <= estimate.high


def sizes(runs: int, others: int, n: int, share: float) -> tuple[float, float]:
    """Count errors of a mean and of a difference."""
    rng = np.random.default_rng([runs, others, n, round(10 * share)])
    wrong = np.zeros(2)
    for _ in range(REPETITIONS):
        ease = rng.normal(0, PATIENT / math.sqrt(2), n)
        first, second = (drawn(rng, ease, it, share) for it in (runs, others))
        wrong += [
            errs(mean_of_runs(first, level=0.95, seed=1, reach=None)),
            errs(difference_of_runs(first, second, level=0.95)),
        ]
    mean, difference = wrong / REPETITIONS
    return float(mean), float(difference)


def main() -> None:
    """Print a table."""
    print("| runs | patients | estimate | " + " | ".join(f"{it:g}" for it in SHARES) + " |")
    print("|---|---|---|" + "---|" * len(SHARES))
    for runs, others in ((3, 3), (5, 5), (10, 10), (3, 10)):
        for n in (10, 30, 100):
            found = np.array([sizes(runs, others, n, it) for it in SHARES])
            told = f"{runs} and {others}" if runs != others else str(runs)
            for name, row in zip(("mean", "difference"), found.T, strict=True):
                if name == "mean" and runs != others:
                    continue
                words = " | ".join(f"{it:.3f}".removeprefix("0") for it in row)
                print(f"| {told} | {n} | {name} | {words} |", flush=True)


if __name__ == "__main__":
    main()
