"""Count how often intervals of rank correlations cover the truth, and flat curves count as falling.

``python benchmarks/difficulty_coverage.py [RUNS]`` prints the numbers of docs/difficulty.md; 1000 runs take
about half an hour on one core. The peer is Fisher's z with the variance of Bonett & Wright (2000).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.difficulty_ranks import drawn, partial, spearman
from auditor.analysis.dose_response import falls, ratio_groups

Floats = NDArray[np.float64]
Law = Callable[[int, np.random.Generator], tuple[Floats, Floats, Floats]]
"""(n, generator) -> difficulty, score, size."""

DRAWS = 400


def normal(rho: float) -> Law:
    """Two normal variables with a correlation, and a size that tells nothing."""

    def law(n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        x, noise, size = rng.normal(0, 1, (3, n))
        return x, rho * x + math.sqrt(1 - rho * rho) * noise, size

    return law


def spread(n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Scores that scatter more, the harder a case is."""
    x = rng.uniform(size=n)
    return x, 0.95 - 0.1 * x - (0.01 + 0.125 * x) * rng.exponential(size=n), rng.normal(0, 1, n)


def failures(n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Draw a weak trend, size beside it, and one case in eight that fails."""
    size = rng.normal(0, 1, n)
    x = 0.5 * size + 0.8 * rng.normal(0, 1, n)
    score = np.clip(0.88 + 0.04 * size - 0.04 * x + rng.normal(0, 0.04, n), 0, 1)
    score[rng.uniform(size=n) < 0.12] = 0.0
    return x, score, size


def ties(n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Difficulty in a few steps."""
    size = rng.normal(0, 1, n)
    x = np.round(1.2 * rng.normal(0, 1, n) + 0.5 * size)
    return x, -0.4 * x + 0.5 * size + 0.6 * rng.normal(0, 1, n), size


def hump(n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Let the easiest and the hardest cases score lowest: ranks are uncorrelated, and not independent."""
    x = rng.uniform(-1, 1, n)
    return x, 0.9 - 0.2 * x * x + 0.03 * rng.normal(0, 1, n), rng.normal(0, 1, n)


def through_size(n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Difficulty is nearly size (correlation .9), and tells nothing beyond it."""
    size = rng.normal(0, 1, n)
    x = 0.9 * size + 0.44 * rng.normal(0, 1, n)
    return x, 0.8 * size + 0.6 * rng.normal(0, 1, n), size


LAWS: dict[str, Law] = {
    "normal, rho 0": normal(0.0),
    "normal, rho .5": normal(0.5),
    "normal, rho .8": normal(0.8),
    "normal, rho .95": normal(0.95),
    "spread grows": spread,
    "failures": failures,
    "ties": ties,
    "hump": hump,
    "through size": through_size,
}


def coverage(law: Law, n: int, runs: int, *, held: bool) -> tuple[float, float]:
    """Share of intervals that hold the truth: bootstrap, Fisher's z."""
    x, y, size = law(1_000_000, np.random.default_rng(5))
    truth = partial(x, y, size) if held else spearman(x, y)
    rng, kept, counted = np.random.default_rng(n), np.zeros(2), 0
    for _ in range(runs):
        x, y, size = law(n, rng)
        rho = partial(x, y, size) if held else spearman(x, y)
        if rho is None or truth is None:
            continue
        counted += 1
        draws = drawn(rng.integers(0, n, (DRAWS, n)), x, y, size if held else None)
        low, high = np.quantile(draws, [0.025, 0.975])
        reach = 1.96 * math.sqrt((1 + rho * rho / 2) / (n - 3 - held))
        middle = math.atanh(min(max(rho, -1 + 1e-12), 1 - 1e-12))
        kept += (low <= truth <= high, abs(math.atanh(truth) - middle) <= reach)
    return float(kept[0] / counted), float(kept[1] / counted)


def refusals(response: Callable[[Floats, np.random.Generator], Floats], n: int, runs: int) -> float:
    """Share of cohorts whose curve is refused because it falls."""
    rng, refused = np.random.default_rng(n), 0
    for _ in range(runs):
        ratio = rng.uniform(size=n)
        found = falls(response(ratio, rng), ratio_groups(ratio), level=0.95, seed=7)
        refused += found.low is not None and found.low > 0
    return refused / runs


def main() -> None:
    """Print three tables."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for held in (False, True):
        print(f"with size held fixed: {held}\n| law | n | bootstrap | Fisher |\n|---|---|---|---|")
        for name, law in LAWS.items():
            for n in (10, 20, 40, 100):
                found = coverage(law, n, runs, held=held)
                print(f"| {name} | {n} | {found[0]:.3f} | {found[1]:.3f} |", flush=True)
    print("\n| DSC over the ratio | n | refused |\n|---|---|---|")
    responses: dict[str, Callable[[Floats, np.random.Generator], Floats]] = {
        "flat": lambda r, rng: rng.beta(18, 2, len(r)),
        "flat, spread differs": lambda r, rng: (
            0.9 - (0.15 - 0.1 * r) * (rng.exponential(size=len(r)) - 1)
        ),
        "falls by .15": lambda r, rng: 0.9 - 0.15 * r + 0.06 * rng.normal(0, 1, len(r)),
    }
    for name, response in responses.items():
        for n in (20, 40, 60, 100):
            print(f"| {name} | {n} | {refusals(response, n, runs):.3f} |", flush=True)


if __name__ == "__main__":
    main()
