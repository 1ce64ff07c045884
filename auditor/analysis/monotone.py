"""A response that falls with severity: the nearest falling curve, and where it passes a limit.

**Conventions.** Rows are draws (or one curve), columns severities in rising order; every severity has the
same patients, so all weigh alike. Everything here is *descriptive*: where the true curve is flat the
bootstrap of an isotonic fit does not converge to the right law (Kosorok 2008; Sen, Banerjee & Woodroofe
2010). What is assured is the fixed sequence of `breakpoint`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.bands import simultaneous_band
from auditor.analysis.intervals import DRAWS, FEW, order_statistic
from auditor.schema import Estimate

__all__ = ["FIT_METHOD", "falling", "largest_rise", "passing", "passing_estimate"]

Floats = NDArray[np.float64]

_DRAWS = DRAWS // 4
FIT_METHOD = "falling isotonic fit, percentile bootstrap over patients (descriptive)"
RISE_METHOD = "studentized bootstrap, max-T over neighbouring severities"


def falling(means: Floats) -> Floats:
    """Fit the falling curve of least squares to each row (pool adjacent violators; Barlow et al. 1972).

    By its min-max form, which serves all rows at once: at severity j the smallest over a <= j of the largest
    over b >= j of the mean of the values from a to b (Robertson, Wright & Dykstra 1988, section 1.4).

    Parameters
    ----------
    means : (curves, severities)

    Returns
    -------
    (curves, severities)

    Examples
    --------
    >>> falling(np.array([[0.8, 0.4, 0.6, 0.2]])).round(9).tolist()
    [[0.8, 0.5, 0.5, 0.2]]
    """
    count = means.shape[1]
    summed = np.concatenate([np.zeros((len(means), 1)), np.cumsum(means, axis=1)], axis=1)
    fitted = np.full(means.shape, np.inf)
    for start in range(count):
        lengths = np.arange(1, count - start + 1)
        averages = (summed[:, start + 1 :] - summed[:, start : start + 1]) / lengths
        largest = np.maximum.accumulate(averages[:, ::-1], axis=1)[:, ::-1]
        fitted[:, start:] = np.minimum(fitted[:, start:], largest)
    return fitted


def passing(severities: Floats, fitted: Floats, limit: float) -> Floats:
    """Severity at which each falling curve passes below a limit, by straight lines between severities.

    Parameters
    ----------
    severities : (severities,), rising
    fitted : (curves, severities), falling
    limit : in the unit of the curve

    Returns
    -------
    (curves,)
        -inf where all of the curve is below the limit, inf where none of it is.

    Examples
    --------
    >>> passing(np.array([0.0, 1.0, 3.0]), np.array([[0.9, 0.8, 0.6]]), 0.75).round(9).tolist()
    [1.5]
    """
    below = fitted < limit - 1e-12
    first = np.where(below.any(axis=1), below.argmax(axis=1), len(severities))
    at = np.full(len(fitted), np.inf)
    at[first == 0] = -np.inf
    rows = np.flatnonzero((first > 0) & (first < len(severities)))
    after = first[rows]
    high, low = fitted[rows, after - 1], fitted[rows, after]
    share = np.clip((high - limit) / (high - low), 0.0, 1.0)
    at[rows] = severities[after - 1] + share * (severities[after] - severities[after - 1])
    return at


def largest_rise(values: Floats, weights: Floats, *, level: float) -> Estimate:
    """Ask whether the mean rises from any severity to the next.

    Parameters
    ----------
    values : (patients, severities), without NaN
    weights : (draws, patients), see `bootstrap_weights`
    level : simultaneous confidence level, two-sided

    Returns
    -------
    Estimate
        Rise of the pair of neighbours whose lower end is largest, with its interval; a lower end above 0
        contradicts a falling curve. Where there is no interval: the largest rise, descriptive.
    """
    n = len(values)
    if n == 0 or values.shape[1] < 2:
        return Estimate(None, n, "none", status="not_assessable", note="no curve")
    rises = np.diff(values, axis=1)
    mean = rises.mean(axis=0)
    if n < FEW:
        note = f"{n} patient(s): described, not inferred from (needs n >= {FEW})"
        return Estimate(float(mean.max()), n, "descriptive", status="too_few", note=note)
    low, high = simultaneous_band(rises, weights, level=level)
    if not np.isfinite(low).any():
        note = "too few patients differ for a resampling interval"
        return Estimate(float(mean.max()), n, "descriptive", status="degenerate", note=note)
    most = int(np.argmax(low))
    ends = max(-1.0, float(low[most])), min(1.0, float(high[most]))
    return Estimate(float(mean[most]), n, RISE_METHOD, "two-sided", level, *ends)


def passing_estimate(
    severities: Floats, values: Floats, weights: Floats, limit: float, *, level: float
) -> Estimate:
    """Estimate the severity at which the falling fit of the means passes below a limit.

    Parameters
    ----------
    severities : (severities,), rising
    values : (patients, severities), without NaN
    weights : (draws, patients)
    limit : in the unit of the values
    level : of the percentile interval, descriptive

    Returns
    -------
    Estimate
        Ends beyond what was tested are None and said in the note.
    """
    n = len(values)
    whole = values.mean(axis=0)[None]
    drawn = weights[:_DRAWS] @ values / n
    at = passing(severities, falling(np.concatenate([whole, drawn])), limit)
    here = float(at[0])
    if math.isinf(here):
        note = "at no tested severity" if here > 0 else "at every severity, clean among them"
        return Estimate(None, n, FIT_METHOD, status="not_assessable", note=note)
    tail = (1 - level) / 2
    low, high = (float(order_statistic(at[1:, None], p)[0]) for p in (tail, 1 - tail))
    open_ends = [
        words
        for end, words in (
            (low, "the lower end lies before clean"),
            (high, "the upper end lies beyond every tested severity"),
        )
        if math.isinf(end)
    ]
    return Estimate(
        here,
        n,
        FIT_METHOD,
        "two-sided",
        level,
        None if math.isinf(low) else low,
        None if math.isinf(high) else high,
        note="; ".join(open_ends),
    )
