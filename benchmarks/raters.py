"""The simulated figures of docs/raters.md: which measures see size, STAPLE, consensus, how often within.

Usage: python benchmarks/raters.py            (two minutes; seeds are fixed)
"""

from __future__ import annotations

import sys
from pathlib import Path

# a script's folder comes first on the path, where perturbations.py would hide the package of its name
sys.path.remove(str(Path(__file__).resolve().parent))

import numpy as np
import torch
from scipy import stats

from auditor.analysis.intervals import bootstrap_weights, studentized_bounds
from auditor.analysis.phantom import paired_bounds
from auditor.cases.staple import staple_of_label
from auditor.proxies import agreement
from auditor.strata.raters import rater_disagreement

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from simulated_raters import agreements, displaced, drawn, dsc, majority_border

GRID = (1.5, 1.0)
MARGIN, LEVEL = 0.02, 0.95


def size() -> None:
    """Rank correlation of each measure with the radius, borders that differ by .8 mm."""
    rng = np.random.default_rng(67)
    radius = rng.uniform(6.0, 24.0, 240)
    borders = displaced(rng, radius, 3, noise=0.8)
    found = [
        rater_disagreement(drawn(own, GRID, side=2 * r + 12), GRID)
        for own, r in zip(borders, radius, strict=True)
    ]
    wide = [rater_disagreement(drawn(own, GRID, side=200), GRID) for own in borders[:60]]
    values = {
        "assd": [it.assd for it in found],
        "1 - dsc": [1 - it.dsc for it in found],
        "1 - kappa": [1 - it.kappa for it in found],
        "cv": [it.volume.cv for it in found],
    }
    for name, it in values.items():
        print(
            f"{name:10s} rank correlation with the radius {stats.spearmanr(radius, it).statistic:.2f}"
        )
    near, far = (np.mean([it.kappa for it in some]) for some in (found[:60], wide))
    print(f"kappa near the object {near:.3f}, in an image of 200 mm {far:.3f}")


def staple(objects: int = 40) -> None:
    """STAPLE beside the majority, and in a 25 times larger image."""
    rng = np.random.default_rng(11)
    for raters in (2, 3, 5, 7):
        scores, changes = [], []
        for _ in range(objects):
            radius = rng.uniform(6, 14)
            borders = displaced(rng, np.array([radius]), raters, noise=0.8)[0]
            [truth] = drawn(np.full((1, borders.shape[1]), radius), GRID, 60.0)
            masks = drawn(borders, GRID, 60.0)
            found = staple_of_label(masks).mask
            wide = staple_of_label(
                [torch.nn.functional.pad(it, (120, 120, 80, 80)) for it in masks]
            )
            changes.append(abs(int(wide.mask.sum()) - int(found.sum())) / int(found.sum()))
            voted = torch.stack(masks).sum(dim=0) * 2 > raters
            scores.append((agreement(found, truth), agreement(voted, truth)))
        own, majority = np.mean(scores, axis=0)
        print(
            f"{raters} raters: STAPLE {own:.3f}, majority {majority:.3f}; larger image: "
            f"{np.count_nonzero(changes)} of {objects} change, mean {np.mean(changes):.3f}, "
            f"at most {max(changes):.3f}"
        )


def consensus(patients: int = 20_000) -> None:
    """Compare a rater, and a system like one, with a majority that holds the rater and one that does not."""
    rng = np.random.default_rng(1)
    for raters in (3, 5, 7):
        radius = rng.uniform(4.0, 20.0, patients)
        borders = displaced(rng, radius, raters, noise=0.8)
        system = displaced(rng, radius, 1, noise=0.8)[:, 0]
        full = majority_border(borders)
        others = [majority_border(np.delete(borders, place, 1)) for place in range(raters)]
        alone = np.mean([dsc(borders[:, place], it).mean() for place, it in enumerate(others)])
        beside = np.mean([dsc(system, it).mean() for it in others])
        print(
            f"{raters} raters: rater with all {dsc(borders, full[:, None]).mean():.3f}, with the others "
            f"{alone:.3f}; system with all {dsc(system, full).mean():.3f}, with the others {beside:.3f}"
        )


def kinds(patients: int = 20_000) -> None:
    """Williams index and mean difference of systems of a known kind."""
    rng = np.random.default_rng(1)
    for name, noise, bias in (
        ("like a rater", 0.8, 0.0), ("twice the noise", 1.6, 0.0),
        ("1 px too wide", 0.8, 1.0), ("the truth", 0.0, 0.0),
    ):  # fmt: skip
        own, raters = agreements(rng, patients, noise=0.8, system_noise=noise, bias=bias)
        print(
            f"{name:16s} index {own.mean() / raters.mean():.4f}, difference {(own - raters).mean():.4f}"
        )


def cohorts(rng: np.random.Generator, n: int, noise: float, count: int) -> np.ndarray:
    """Differences of so many cohorts of n patients, (n, count)."""
    pairs = (agreements(rng, n, noise=noise, system_noise=noise) for _ in range(count))
    return np.stack([own - raters for own, raters in pairs], axis=1)


def rates() -> None:
    """How often a system like a rater is within the margin."""
    rng = np.random.default_rng(5)
    for noise in (0.8, 2.0, 2.4):
        for n in (20, 50, 120):
            low, _ = studentized_bounds(
                cohorts(rng, n, noise, 1000), bootstrap_weights(n, 7), level=LEVEL
            )
            print(
                f"{noise} px, n = {n}: within {(low > -MARGIN).mean():.3f}, above 0 {(low > 0).mean():.3f}"
            )
    for n, count in ((100, 200), (150, 200), (300, 100)):
        low, _ = paired_bounds(cohorts(rng, n, 0.8, count), level=LEVEL)
        print(f".8 px, n = {n}, phantom bound: within {(low > -MARGIN).mean():.2f}")


if __name__ == "__main__":
    for part in (size, staple, consensus, kinds, rates):
        print(f"\n{part.__doc__.splitlines()[0]}")
        part()
