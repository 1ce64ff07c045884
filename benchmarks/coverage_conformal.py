"""How often conformal bounds hold for new patients: the tables of docs/statistics.md.

    python benchmarks/coverage_conformal.py [--sets 1000]

Calibration sets are drawn from laws whose coverage is known exactly (tests/support/noisy_cohorts.py), so
that only the calibration set is random. Nothing is timed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.binned_conformal import binned_lowers
from auditor.analysis.conformal import (
    coverage_law,
    left_out_bounds,
    lower_bound,
    marginal_rank,
    pac_rank,
)
from auditor.analysis.weighted_conformal import hcp_lower, weighted_lower
from auditor.confidence.noise_bins import bins_of, scores_by_bin

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from noisy_cohorts import HALF_BLIND, HARSH, MILD, SILENT, SITE, Fading, estimates, noise_axis

Floats = NDArray[np.float64]

ALPHA, DELTA = 0.10, 0.10
CALIBRATED = np.arange(5.0)
SEEN = np.arange(7.0)
"""Severities 5 and 6 are never calibrated."""


def plain(n: int, sets: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Marginal coverage, its 5 % quantile, share of sets below 1 - alpha, and the same share by PAC rank."""
    clean = np.zeros(1)
    marginal, strict = np.empty(sets), np.empty(sets)
    for i in range(sets):
        scores = SITE.draw(n, clean, rng)[:, 0]
        marginal[i] = SITE.coverage(lower_bound(scores, marginal_rank(n, ALPHA)), clean)[0]
        strict[i] = SITE.coverage(lower_bound(scores, pac_rank(n, ALPHA, DELTA)), clean)[0]
    short = (marginal < 1 - ALPHA).mean(), (strict < 1 - ALPHA).mean()
    return float(marginal.mean()), float(np.quantile(marginal, 0.05)), *map(float, short)


def mixed(
    n: int, mix: Floats, sets: int, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Coverage under a mix of severities (mean, standard deviation over calibration sets), by method."""
    methods: dict[str, Callable[[Floats], float | None]] = {
        "clean": lambda scores: lower_bound(scores[:, 0], marginal_rank(n, ALPHA)),
        "pooled, equal": lambda scores: lower_bound(
            scores.ravel(), marginal_rank(scores.size, ALPHA)
        ),
        "hierarchical": lambda scores: hcp_lower(scores, mix, ALPHA),
        "one drawn severity": lambda scores: lower_bound(
            scores[np.arange(n), rng.choice(5, n, p=mix)], marginal_rank(n, ALPHA)
        ),
    }
    found: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(sets):
        scores = SITE.draw(n, CALIBRATED, rng)
        for name, bound in methods.items():
            found[name].append(float(SITE.coverage(bound(scores), CALIBRATED) @ mix))
    return {name: (float(np.mean(it)), float(np.std(it))) for name, it in found.items()}


def binned(
    law: Fading, n: int, sets: int, rng: np.random.Generator, *, new: int = 400
) -> tuple[Floats, Floats, Floats]:
    """Coverage by severity of the clean bound and of the bins, and the share still rated after the gate.

    Parameters
    ----------
    new : fresh patients of each set
    """
    clean, held, rated = np.zeros((3, len(SEEN)))
    for _ in range(sets):
        scores, seen = law.draw(n, CALIBRATED, rng), estimates(n, CALIBRATED, rng)
        axis = noise_axis(seen, CALIBRATED)
        patients = np.repeat(np.arange(n)[:, None], len(CALIBRATED), axis=1)
        per_bin = scores_by_bin(axis, bins_of(axis, seen), scores, patients)
        bounds = np.array(
            [-np.inf if b is None else b for b in binned_lowers(per_bin, alpha=ALPHA)]
        )
        clean += law.coverage(lower_bound(scores[:, 0], marginal_rank(n, ALPHA)), SEEN)
        fresh, places = law.draw(new, SEEN, rng), bins_of(axis, estimates(new, SEEN, rng))
        inside = places >= 0
        held += (inside & (fresh >= bounds[places])).sum(axis=0)
        rated += inside.sum(axis=0)
    return clean / sets, held / rated, rated / (sets * new)


def left_out(n: int, sets: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Mean leave-one-patient-out share by severity, the true coverage, and the root mean square error."""
    shares, truths = np.empty((2, sets, len(CALIBRATED)))
    for i in range(sets):
        scores = SITE.draw(n, CALIBRATED, rng)
        bounds = left_out_bounds(scores[:, 0], ALPHA)
        assert bounds is not None
        shares[i] = (scores >= bounds[:, None]).mean(axis=0)
        truths[i] = SITE.coverage(lower_bound(scores[:, 0], marginal_rank(n, ALPHA)), CALIBRATED)
    error = np.sqrt(((shares - truths) ** 2).mean(axis=0))
    return shares.mean(axis=0), truths.mean(axis=0), error


def weighted(n: int, sets: int, rng: np.random.Generator) -> tuple[float, float]:
    """Coverage where hard patients are more frequent than in calibration: weighted, and not.

    A patient has a difficulty x ~ N(0, 1) in calibration and N(.7, 1) where the bound is used: the weight of
    x is exp(.7 x - .245). The score is N(-x, 1).
    """
    weights = lambda x: np.exp(0.7 * x - 0.245)  # noqa: E731  # one line
    held, plain_held = [], []
    for _ in range(sets):
        x = rng.normal(size=n)
        scores, new = rng.normal(-x), rng.normal(0.7)
        bound = weighted_lower(scores, weights(x), float(weights(new)), ALPHA)
        score = rng.normal(-new)
        held.append(bound is None or score >= bound)
        plain_held.append(score >= np.sort(scores)[marginal_rank(n, ALPHA) - 1])
    return float(np.mean(held)), float(np.mean(plain_held))


def row(*cells: object) -> None:
    """Print one line of a table."""
    told = [f"{it:.3f}".removeprefix("0") if isinstance(it, float) else str(it) for it in cells]
    print("| " + " | ".join(told) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=1000, help="calibration sets")
    sets = parser.parse_args().sets
    print("n | coverage | 5 % quantile (law) | below .9 (law) | PAC below .9")
    for n in (30, 50, 100, 200):
        law = coverage_law(n, marginal_rank(n, ALPHA))
        assert law is not None
        mean, low, short, strict = plain(n, sets, np.random.default_rng([n, 1]))
        row(n, mean, low, law.quantile(0.05), short, law.shortfall(ALPHA), strict)
    print("mix | n | method: coverage (sd)")
    for name, mix in (("mild", MILD), ("harsh", HARSH)):
        for n in (20, 40, 80):
            found = mixed(n, mix, sets, np.random.default_rng([n, 2]))
            row(name, n, *(f"{method}: {m:.3f} ({sd:.3f})" for method, (m, sd) in found.items()))
    print("noise bins, n = 80: severities 0 to 6")
    for name, law in (("half blind", HALF_BLIND), ("silent", SILENT)):
        clean, held, rated = binned(law, 80, max(20, sets // 5), np.random.default_rng(3))
        row(name, "clean", *clean.tolist())
        row(name, "bins", *held.tolist())
        row(name, "rated", *rated.tolist())
    print("left out, n = 40: severities 0 to 4")
    for name, values in zip(
        ("mean", "truth", "error"), left_out(40, sets, np.random.default_rng(4)), strict=True
    ):
        row(name, *values.tolist())
    print("weighted: coverage, and unweighted")
    for n in (40, 100, 300):
        row(n, *weighted(n, 4 * sets, np.random.default_rng([n, 5])))


if __name__ == "__main__":
    main()
