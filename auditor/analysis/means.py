"""A mean over patients as an `Estimate`: with its interval, or described where they are too few."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.intervals import (
    DRAWS,
    FEW,
    bootstrap_weights,
    studentized_interval,
    unseen_rate,
)
from auditor.schema import Estimate

__all__ = ["described", "interval_estimate", "mean_estimate", "unseen"]

Floats = NDArray[np.float64]


def mean_estimate(
    sample: Floats, *, level: float, seed: int, least: float | None = None
) -> Estimate:
    """Estimate the mean of one sample with its two-sided studentized bootstrap interval.

    Parameters
    ----------
    sample : (patients,)
        Without NaN.
    level : confidence level
    seed : of the resampling
    least : smallest value that the mean can have, the largest being 1; None: no range

    Returns
    -------
    Estimate
        Descriptive with fewer than `FEW` patients, and where all have the same value.
    """
    if len(sample) < FEW:
        return described(sample, level=level)
    weights = bootstrap_weights(len(sample), seed)
    low, high = studentized_interval(sample[:, None], weights, level=level, bounded=False)
    return interval_estimate(sample, (float(low[0]), float(high[0])), least, level)


def unseen(n: int, *, level: float) -> str:
    """Say what n patients cannot show, which stands with every mean: the rule of three, exactly."""
    if n < 2:
        return "one patient says nothing of others"
    rate = unseen_rate(n, level=level)
    return f"a rate of failures up to {rate:.3f} that no patient shows is not excluded"


def described(sample: Floats, *, level: float, few: int = FEW) -> Estimate:
    """Describe the mean of too few patients, or say that there is none.

    Parameters
    ----------
    sample : (patients,)
    level : of what the patients cannot show
    few : how many patients an interval needs
    """
    n = len(sample)
    if n == 0:
        return Estimate(None, 0, "none", status="not_assessable", note="no value")
    note = (
        f"{n} patient(s): described, not inferred from (needs n >= {few}); {unseen(n, level=level)}"
    )
    return Estimate(float(sample.mean()), n, "descriptive", status="too_few", note=note)


def interval_estimate(
    sample: Floats, ends: tuple[float, float], least: float | None, level: float
) -> Estimate:
    """Put mean and interval together; an interval that says nothing of others is left out.

    Parameters
    ----------
    sample : (patients,)
        At least one.
    ends : (low, high)
        Of the interval.
    least : smallest value that the mean can have, the largest being 1; None: no range
    level : of the interval
    """
    n = len(sample)
    mean = float(sample.mean())
    low, high = ends
    told = unseen(n, level=level)
    if low == high:
        note = f"all patients have the same value; the interval says nothing of others; {told}"
        return Estimate(mean, n, "descriptive", status="degenerate", note=note)
    if not (math.isfinite(low) and math.isfinite(high)):
        note = f"too few different values for a resampling interval; {told}"
        return Estimate(mean, n, "descriptive", status="degenerate", note=note)
    if least is not None:
        low, high = max(least, low), min(1.0, high)
    method = f"studentized bootstrap ({DRAWS} draws)"
    return Estimate(mean, n, method, "two-sided", level, low, high, note=told)
