"""How often architectures that are alike are called different, at 1, 3 and 5 training runs of each.

Scores of patient i in run r of a family: 0.8 + patient (sd .08, shared by all runs) + run (sd given) + residual
(sd .03). Three families without any difference; an error is any pair with a preferred family. Methods: the
patients' bootstrap of family means as if runs did not vary, the crossed bootstrap, and t on patients and runs.

Usage: python benchmarks/family_size.py > family_size.json     (two minutes; seeds are fixed)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# a script's folder comes first on the path, where perturbations.py would hide the package of its name
sys.path.remove(str(Path(__file__).resolve().parent))

import numpy as np

from auditor.analysis.comparison import NO_WINNER, paired
from auditor.analysis.intervals import bootstrap_weights
from auditor.confidence.recipe_families import crossed_bootstrap, family_pairs, run_weights

REPETITIONS = 1000
DRAWS = 500
FAMILIES = ("F", "G", "H")


def scores(rng: np.random.Generator, runs: int, patients: int, sd: float) -> dict[str, np.ndarray]:
    ease = rng.normal(0.8, 0.08, patients)
    return {
        name: ease + rng.normal(0, sd, (runs, 1)) + rng.normal(0, 0.03, (runs, patients))
        for name in FAMILIES
    }


def sizes(runs: int, patients: int, sd: float) -> dict[str, float | int]:
    rng = np.random.default_rng([runs, patients, round(1000 * sd)])
    wrong = {"patients alone": 0, "crossed bootstrap": 0, "t on patients and runs": 0}
    for _ in range(REPETITIONS):
        values = scores(rng, runs, patients, sd)
        weights = bootstrap_weights(patients, int(rng.integers(2**31)), DRAWS)
        means = {name: it.mean(axis=0) for name, it in values.items()}
        pairs = paired(means, weights, level=0.95, higher_is_better=True, reach=1.0)
        wrong["patients alone"] += any(it.verdict != NO_WINNER for it in pairs)
        drawn = {name: run_weights(runs, DRAWS, int(rng.integers(2**31))) for name in values}
        ends = crossed_bootstrap(values, weights, drawn, level=0.95)
        wrong["crossed bootstrap"] += any(low > 0 or high < 0 for low, high in ends)
        found = family_pairs(values, level=0.95)
        wrong["t on patients and runs"] += any(it.verdict != NO_WINNER for it in found)
    return {
        "runs": runs, "patients": patients, "sd of runs": sd,
        **{name: round(count / REPETITIONS, 3) for name, count in wrong.items()},
    }  # fmt: skip


def main() -> None:
    rows = []
    for runs in (1, 2, 3, 5):
        for patients in (20, 60):
            for sd in (0.005, 0.02):
                rows.append(sizes(runs, patients, sd))
                print(rows[-1], file=sys.stderr)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
