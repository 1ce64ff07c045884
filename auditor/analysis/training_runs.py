"""Intervals where training runs vary beside patients.

A claim about an architecture, or about a way of training it, is about other training runs too. What varies
is put into independent parts, each the variance of a mean with its degrees of freedom; their sum has a
Student t interval with the degrees of freedom of Satterthwaite (Biometrics Bulletin 2, 110-114, 1946):

    SE2 = sum of v_i,   df = SE2^2 / sum of (v_i^2 / df_i).

A bootstrap of three runs knows too little of how runs vary. The part of the patients and that of the runs
both hold what is particular to a run *and* a patient, so that the intervals are a little wide; how often
they err is measured (docs/decisions/0028-recipes.md, benchmarks/family_size.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.schema import Estimate

__all__ = ["ENOUGH_RUNS", "Part", "part_of", "t_interval"]

Floats = NDArray[np.float64]

ENOUGH_RUNS = 3
"""Fewer runs of a family say nothing of other runs."""


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
    if variance == 0:
        note = "it is the same in all patients and runs; the interval says nothing of others"
        return Estimate(value, n, "descriptive", status="degenerate", note=note)
    freedom = variance**2 / math.fsum(it.variance**2 / it.freedom for it in parts)
    quantile = float(stats.t.ppf((1.0 + (level if each is None else each)) / 2.0, freedom))
    low, high = (value + sign * quantile * math.sqrt(variance) for sign in (-1.0, 1.0))
    if reach is not None:
        low, high = max(reach[0], low), min(reach[1], high)
    told = method.format(freedom=f"{freedom:.1f} degrees of freedom")
    return Estimate(value, n, told, "two-sided", level, low, high)
