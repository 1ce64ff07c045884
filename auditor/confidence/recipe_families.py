"""Families of systems: what training runs say of an architecture.

A system is one training run. A claim about its architecture is about other runs too, so that runs vary beside
patients (crossed). The intervals are those of `auditor.analysis.training_runs` on patients and on run means, at
(1 - level) / pairs for each pair (Bonferroni). How often each errs is measured; see
docs/decisions/0028-recipes.md and benchmarks/family_size.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.comparison import Pair, judged
from auditor.analysis.intervals import order_statistic
from auditor.analysis.trained_systems import repeated, runs_by_training, training_words
from auditor.analysis.training_runs import difference_of_runs
from auditor.confidence.recipe_draws import pairs_of
from auditor.schema import SystemRecord

__all__ = [
    "crossed_bootstrap",
    "crossed_draws",
    "families_of",
    "family_pairs",
    "run_weights",
]

Floats = NDArray[np.float64]


def families_of(systems: Sequence[SystemRecord]) -> dict[str, tuple[str, ...]]:
    """Group systems by their declared family, in order; ablated ones are no training runs.

    Returns
    -------
    dict
        Family -> its runs. Checkpoints that were trained otherwise (other patches, other conditions of the
        training images) are no repetitions of each other: each way of training has a name of its own.

    Raises
    ------
    ValueError
        When a system declares none, or a training seed stands twice in a way of training.
    """
    lacking = [it.name for it in systems if not it.family]
    if lacking:
        msg = f"every system must declare its family, {', '.join(lacking)} declare(s) none"
        raise ValueError(msg)
    found = runs_by_training(systems)
    names = training_words(found)
    for way, runs in found.items():
        if repeated(runs):
            msg = (
                f"the training runs of {names[way]} must be different checkpoints with different training "
                f"seeds; {', '.join(it.name for it in runs)} are not, so that they are no repetitions"
            )
            raise ValueError(msg)
    return {names[way]: tuple(it.name for it in runs) for way, runs in found.items()}


def family_pairs(
    scores: Mapping[str, Floats],
    *,
    level: float,
    reach: float | None = 1.0,
    of_scans: Mapping[str, Floats] | None = None,
) -> list[Pair]:
    """Compare every pair of families.

    With y_ir the score of patient i in run r, V_P the variance over patients of the difference of their
    family means over n, and S2_F the variance of the run means of F over its k_F runs:

    SE2 = V_P + S2_F / k_F + S2_G / k_G,
    df = SE2^2 / (V_P^2 / (n - 1) + (S2_F / k_F)^2 / (k_F - 1) + (S2_G / k_G)^2 / (k_G - 1)).

    Where the mix is that of m scans of a site, the variance over scans of the difference over m joins, with
    m - 1 degrees of freedom. V_P and S2 both hold what is particular to a run *and* a patient, so that the
    interval is a little wide.

    Parameters
    ----------
    scores : family -> (runs, patients)
        The same patients in the same order, without NaN.
    level : simultaneous confidence level
    reach : largest difference that the metric allows; None: unbounded
    of_scans : family -> (scans,), optional
        Its mean under the mix of each scan.

    Returns
    -------
    list of Pair
        Descriptive, without a winner, where a family has fewer than `ENOUGH_RUNS` runs or there are fewer
        than `FEW` patients.
    """
    pairs = pairs_of(tuple(scores))
    found = [
        difference_of_runs(
            scores[a],
            scores[b],
            level=level,
            pairs=len(pairs),
            reach=reach,
            scans=None if of_scans is None else of_scans[a] - of_scans[b],
        )
        for a, b in pairs
    ]
    return judged(pairs, found, higher_is_better=True)


def run_weights(runs: int, draws: int, seed: int) -> Floats:
    """Multinomial(runs, 1 / runs) counts, one row a draw."""
    rng = np.random.default_rng([seed, runs])
    return rng.multinomial(runs, np.full(runs, 1.0 / runs), size=draws).astype(np.float64)


def crossed_draws(
    scores: Mapping[str, Floats], weights: Floats, runs: Mapping[str, Floats]
) -> Floats:
    """Means of families with patients and training runs resampled together, (draws, families).

    Parameters
    ----------
    scores : family -> (runs, patients)
    weights : (draws, patients)
        Shared by all families, so that patients stay paired.
    runs : family -> (draws, runs)
        See `run_weights`; families are trained independently of each other.
    """
    n = weights.shape[1]
    return np.stack(
        [
            ((weights @ values.T / n) * runs[name]).sum(axis=1) / len(values)
            for name, values in scores.items()
        ],
        axis=1,
    )


def crossed_bootstrap(
    scores: Mapping[str, Floats], weights: Floats, runs: Mapping[str, Floats], *, level: float
) -> list[tuple[float, float]]:
    """Simultaneous intervals of the differences by the crossed bootstrap: max |M_b - m| / sd(M_b) over pairs.

    Kept to be measured, not used for verdicts: with few runs it is too narrow.
    """
    drawn = crossed_draws(scores, weights, runs)
    mean = np.array([values.mean() for values in scores.values()])
    places = pairs_of([str(k) for k in range(len(scores))])
    left, right = ([int(pair[side]) for pair in places] for side in (0, 1))
    apart = (drawn[:, left] - drawn[:, right]) - (mean[left] - mean[right])
    spread = apart.std(axis=0, ddof=1)
    largest = np.max(np.abs(apart) / np.where(spread > 0, spread, np.inf), axis=1)
    times = float(order_statistic(largest[:, None], level)[0])
    middle = mean[left] - mean[right]
    return [
        (float(m - times * s), float(m + times * s)) for m, s in zip(middle, spread, strict=True)
    ]
