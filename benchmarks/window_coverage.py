"""How often the intervals of window studies hold: drops, drops of one family less another, shares of the loss.

    python benchmarks/window_coverage.py

Patients differ in how hard they are, training runs in their level and in what they lose outside of the range,
and both in what is particular to a run and a patient. ``collapse``: one patient in twelve is missed altogether.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# a script's folder comes first on the path, where perturbations.py would hide the package of its name
sys.path.remove(str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from rows_tables import Cohort, setup_of

from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.window_estimates import drop_between, losses
from auditor.analysis.window_groups import Member, sides_of
from auditor.schema import Estimate

Floats = NDArray[np.float64]

REPETITIONS = 2000
DROP = 0.1
"""By which every family loses more outside of the range."""
BIG = 100_000
"""Patients from whom the true share of the loss is counted."""


def scores(
    rng: np.random.Generator, shares: Floats, runs: int, law: str, patients: Floats
) -> Floats:
    """Draw (runs, patients): level of a run, its drop, the patient, and what is particular to both."""
    n = len(shares)
    outside = shares > 0.2
    level = rng.normal(0, 0.02, (runs, 1))
    lost = rng.normal(DROP, 0.03 if runs else 0.0, (runs, 1)) * outside
    own = rng.normal(0, 0.04, n) + rng.normal(0, 0.02, (runs, n))
    found = np.clip(0.8 + level + patients - lost + own, 0.0, 1.0)
    if law == "collapse":
        found[:, rng.random(n) < 1 / 12] = 0.0
    return np.asarray(found)


def held(estimate: Estimate, truth: float) -> bool:
    """Tell whether an interval holds the truth."""
    return (
        estimate.low is not None
        and estimate.high is not None
        and estimate.low <= truth <= estimate.high
    )


def covered(n: int, runs: int, law: str, setup: AnalysisSetup) -> tuple[float, float, float]:
    """Count the coverage of a drop, of a difference of drops, and of the outer half's share of the loss."""
    shares = np.array([0.1, 0.4] * (n // 2))
    sides = sides_of(shares, [(0.05, 0.2)])
    everywhere, outside = np.ones(n, dtype=bool), shares > 0.2
    truth_of_drop, truth_of_share = truths(runs, law)
    rng = np.random.default_rng([n, runs, len(law)])
    counts = np.zeros(3)
    for _ in range(REPETITIONS):
        patients = rng.normal(0, 0.05, n)
        members = [
            Member(
                name, (), scores(rng, shares, runs, law, patients), shares, sides, of_family=True
            )
            for name in ("one", "other")
        ]
        counts += [
            held(drop_between(members[:1], sides, everywhere, setup), truth_of_drop),
            held(drop_between(members, sides, everywhere, setup), 0.0),
            held(losses(members[:1], {"outer": outside}, setup)[0].share, truth_of_share),
        ]
    drop, difference, share = counts / REPETITIONS
    return float(drop), float(difference), float(share)


def truths(runs: int, law: str) -> tuple[float, float]:
    """Drop, and share of the loss outside of the range, of very many patients and runs."""
    rng = np.random.default_rng(1)
    shares = np.array([0.1, 0.4] * (BIG // 2))
    # every patient under a run of its own
    found = np.concatenate(
        [scores(rng, shares[:100], 1, law, rng.normal(0, 0.05, 100))[0] for _ in range(BIG // 100)]
    )
    outside = shares[: len(found)] > 0.2
    lost = 1.0 - found
    return float(found[~outside].mean() - found[outside].mean()), float(
        lost[outside].sum() / lost.sum()
    )


def main() -> None:
    """Print a table."""
    print("| law | runs | patients | drop | one family less another | share of the loss |")
    print("|---|---|---|---|---|---|")
    for law in ("normal", "collapse"):
        for runs in (3, 5):
            for n in (20, 40, 100):
                setup = setup_of(Cohort(patients=n, perturbations=()))
                told = " | ".join(
                    f"{it:.3f}".removeprefix("0") for it in covered(n, runs, law, setup)
                )
                print(f"| {law} | {runs} | {n} | {told} |", flush=True)


if __name__ == "__main__":
    main()
