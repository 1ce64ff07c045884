"""Intervals where training runs vary beside patients.

A claim about an architecture, or about a way of training it, is about other training runs too. What varies
is put into independent parts, each the variance of a mean with its degrees of freedom; their sum has a
Student t interval with the degrees of freedom of Satterthwaite (Biometrics Bulletin 2, 110-114, 1946):

    SE2 = sum of v_i,   df = SE2^2 / sum of (v_i^2 / df_i).

A bootstrap of three runs knows too little of how runs vary. The part of the patients and that of the runs
both hold what is particular to a run *and* a patient, which makes the intervals a little wide; degrees of
freedom that are estimated from three runs make that of a mean a little short where runs vary more than
patients. How often they err is measured (docs/windows.md, benchmarks/training_runs_coverage.py and
family_size.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.analysis.intervals import FEW
from auditor.analysis.means import described, mean_estimate
from auditor.schema import Estimate

__all__ = [
    "ENOUGH_RUNS",
    "Part",
    "difference_of_runs",
    "mean_of_runs",
    "part_of",
    "t_interval",
]

Floats = NDArray[np.float64]

ENOUGH_RUNS = 3
"""Fewer runs of a family say nothing of other runs."""

_ROUNDING = 1e-12
"""A standard error below this, or below this share of the estimate, is rounding."""


class Part(NamedTuple):
    """One independent source of variation of an estimate."""

    variance: float
    """Of the estimate, from this source alone."""
    freedom: int
    """Degrees of freedom behind it."""


def part_of(values: Floats) -> Part:
    """Return the part of a mean over these independent values.

    Parameters
    ----------
    values : (n,), n at least 2

    Examples
    --------
    >>> part_of(np.array([1.0, 2.0, 3.0]))  # s^2 = 1, over 3
    Part(variance=0.3333333333333333, freedom=2)
    """
    return Part(float(values.var(ddof=1)) / len(values), len(values) - 1)


def t_interval(
    value: float,
    parts: Sequence[Part],
    *,
    n: int,
    level: float,
    each: float | None = None,
    reach: tuple[float, float] | None = None,
    method: str,
) -> Estimate:
    """Give an estimate its interval from independent parts of variation.

    Parameters
    ----------
    value : the estimate
    parts : at least one
    n : patients
    level : two-sided confidence, as printed
    each : confidence of this interval alone where several hold together at `level`; None: the same
    reach : smallest and largest possible value; None: unbounded
    method : as printed; ``{freedom}`` stands for the degrees of freedom

    Returns
    -------
    Estimate
        Degenerate, without an interval, where nothing varies.
    """
    variance = math.fsum(it.variance for it in parts)
    # equal numbers may differ in their last bits after averaging; that is no spread
    if math.sqrt(variance) <= _ROUNDING * max(1.0, abs(value)):
        note = "it is the same in all patients and runs; the interval says nothing of others"
        return Estimate(value, n, "descriptive", status="degenerate", note=note)
    freedom = variance**2 / math.fsum(it.variance**2 / it.freedom for it in parts)
    quantile = float(stats.t.ppf((1.0 + (level if each is None else each)) / 2.0, freedom))
    low, high = (value + sign * quantile * math.sqrt(variance) for sign in (-1.0, 1.0))
    if reach is not None:
        low, high = max(reach[0], low), min(reach[1], high)
    told = method.format(freedom=f"{freedom:.1f} degrees of freedom")
    return Estimate(value, n, told, "two-sided", level, low, high)


def mean_of_runs(
    scores: Floats, *, level: float, seed: int, reach: tuple[float, float] | None
) -> Estimate:
    """Estimate the mean of a way of training, over patients and training runs.

    Parameters
    ----------
    scores : (runs, patients)
        Without NaN.
    level : two-sided confidence
    seed : of the resampling of patients, where there are too few runs for a word about others
    reach : smallest and largest possible mean; None: unbounded

    Returns
    -------
    Estimate
        With fewer than `ENOUGH_RUNS` runs the interval is about other patients of these very checkpoints,
        and its method says so. Descriptive with fewer than `FEW` patients.
    """
    sample = scores.mean(axis=0)
    if len(sample) < FEW:
        return described(sample, level=level)
    if len(scores) >= ENOUGH_RUNS:
        parts = [part_of(sample), part_of(scores.mean(axis=1))]
        method = "t on patients and training runs ({freedom})"
        return t_interval(
            float(sample.mean()), parts, n=len(sample), level=level, reach=reach, method=method
        )
    found = mean_estimate(sample, level=level, seed=seed, least=None)
    if found.low is None or found.high is None:
        return found
    low, high = found.low, found.high
    if reach is not None:
        low, high = max(reach[0], low), min(reach[1], high)
    these = "this training run" if len(scores) == 1 else f"these {len(scores)} training runs"
    method = f"{found.method}, over patients of {these} alone"
    return replace(found, method=method, low=low, high=high)


def difference_of_runs(
    first: Floats,
    second: Floats,
    *,
    level: float,
    pairs: int = 1,
    reach: float | None = None,
    scans: Floats | None = None,
) -> Estimate:
    """Estimate how two ways of training differ, on the same patients; their runs are independent.

    With y_ir the score of patient i in run r, V_P the variance over patients of the difference of their
    means over runs, over n, and S2_F the variance of the run means of F over its k_F runs, the parts are V_P,
    S2_F / k_F and S2_G / k_G.

    Parameters
    ----------
    first, second : (runs, patients)
        The same patients in the same order, without NaN.
    level : two-sided confidence
    pairs : so many intervals hold together at the level (Bonferroni)
    reach : largest difference that is possible; None: unbounded
    scans : (scans,), optional
        Difference under the mix of each scan of a site: one more part.

    Returns
    -------
    Estimate
        Of first less second. Descriptive where one has fewer than `ENOUGH_RUNS` runs or there are fewer
        than `FEW` patients.
    """
    apart = first.mean(axis=0) - second.mean(axis=0)
    n = len(apart)
    if n == 0:
        return described(apart, level=level)
    mean, fewest = float(apart.mean()), min(len(first), len(second))
    if fewest < ENOUGH_RUNS:
        note = f"{fewest} training run(s) of a family are described, not inferred from (needs >= {ENOUGH_RUNS})"
        return Estimate(mean, n, "descriptive", status="too_few", note=note)
    if n < FEW:
        note = f"{n} patient(s) are too few to compare; at least {FEW} are needed"
        return Estimate(mean, n, "descriptive", status="too_few", note=note)
    parts = [part_of(apart), *(part_of(runs.mean(axis=1)) for runs in (first, second))]
    if scans is not None and len(scans) > 1:
        parts.append(part_of(scans))
    adjusted = ", Bonferroni over pairs" if pairs > 1 else ""
    return t_interval(
        mean,
        parts,
        n=n,
        level=level,
        each=1.0 - (1.0 - level) / max(1, pairs),
        reach=None if reach is None else (-reach, reach),
        method="t on patients and training runs ({freedom})" + adjusted,
    )
