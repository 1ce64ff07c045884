"""How the clean DSC grows with the foreground ratio: a monotone curve, unless the data contradict one.

**Conventions.** One ratio and one DSC a patient (means of its cases); what failed counts at DSC 0. The
curve is the isotonic regression (Barlow et al. 1972) of DSC on the ratio, rising, read by straight lines
between the ratios that were seen. Its band is the percentile bootstrap over patients and *descriptive*:
where the true curve is flat the bootstrap of an isotonic fit does not converge to the right law (Kosorok
2008; Sen, Banerjee & Woodroofe 2010), so no statement about other patients is made of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from auditor.analysis.difficulty import values_of
from auditor.analysis.intervals import (
    DRAWS,
    FEW,
    bootstrap_weights,
    order_statistic,
    studentized_draws,
)
from auditor.analysis.promises import main_columns
from auditor.analysis.properties import Properties
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Column, Key, over_patients
from auditor.schema import CLEAN, Crossing, DoseResponse, Estimate, MetricInfo

__all__ = ["crossing", "dose_responses", "falls", "monotone", "ratio_groups"]

Floats = NDArray[np.float64]
Groups = NDArray[np.intp]

_DRAWS = DRAWS // 4
_MOST_GROUPS = 5
_MOST_PLACES = 41
METHOD = "isotonic regression, percentile bootstrap over patients (descriptive)"
FALL_METHOD = "studentized bootstrap within groups, max-T over pairs of groups"


def monotone(
    dose: Floats, response: Floats, weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """Fit the rising curve of least weighted squares (pool adjacent violators; Barlow et al. 1972).

    Parameters
    ----------
    dose, response : (patients,)
    weights : (patients,), or None for equal ones
        Zero leaves a patient out.

    Returns
    -------
    places, fitted : (different doses that have weight,)
        Equal doses share their weighted mean.

    Examples
    --------
    >>> monotone(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.2, 0.6, 0.4, 0.8]))[1].round(
    ...     9
    ... ).tolist()
    [0.2, 0.5, 0.5, 0.8]
    """
    weights = np.ones(len(dose)) if weights is None else weights
    places, group = np.unique(dose, return_inverse=True)
    held = np.bincount(group, weights=weights)
    some = held > 0
    mean = np.bincount(group, weights=weights * response)[some] / held[some]
    return places[some], np.asarray(isotonic_regression(mean, weights=held[some]).x)


def crossing(places: Floats, fitted: Floats, value: float) -> float:
    """Find the smallest dose from which on a rising curve is at least a value.

    Parameters
    ----------
    places, fitted : (doses,), both rising
    value : in the unit of the curve

    Returns
    -------
    The dose; -inf where all of the curve is at least the value, inf where none of it is.

    Examples
    --------
    >>> crossing(np.array([1.0, 3.0]), np.array([0.25, 0.75]), 0.5)
    2.0
    """
    reached = np.flatnonzero(fitted >= value - 1e-12)
    if not len(reached):
        return math.inf
    first = int(reached[0])
    if first == 0:
        return -math.inf
    low, high = fitted[first - 1], fitted[first]
    share = min(1.0, (value - low) / (high - low))
    return float(places[first - 1] + share * (places[first] - places[first - 1]))


def ratio_groups(dose: Floats) -> Groups:
    """Cut patients into at most five groups of rising dose, each of ten patients or more.

    Equal doses stay together. With fewer than twenty patients, or too many equal doses, there is one group.

    Parameters
    ----------
    dose : (patients,)

    Returns
    -------
    (patients,)
        0, 1, ..
    """
    ranks = np.searchsorted(np.sort(dose), dose, side="left") + np.searchsorted(
        np.sort(dose), dose, side="right"
    )
    for count in range(min(_MOST_GROUPS, len(dose) // FEW), 1, -1):
        # the middle rank of equal doses, from 0 to 1
        group = np.minimum((count * ranks / (2 * len(dose)) - 1e-9).astype(np.intp), count - 1)
        if np.bincount(group, minlength=count).min() >= FEW:
            return group
    return np.zeros(len(dose), dtype=np.intp)


def falls(response: Floats, groups: Groups, *, level: float, seed: int) -> Estimate:
    """Ask whether the mean falls from any group to a later one.

    Patients are resampled within their group. The intervals of all pairs hold at once: the largest
    absolute studentized difference of a draw is their common quantile.

    Parameters
    ----------
    response : (patients,)
    groups : (patients,), see `ratio_groups`
    level : simultaneous confidence level, two-sided
    seed : of the draws

    Returns
    -------
    Estimate
        Mean of the earlier group less that of the later one, of the pair whose lower end is largest; a
        lower end above 0 contradicts a rising curve.
    """
    n, count = len(response), int(groups.max()) + 1
    if count < 2:
        note = f"needs {2 * FEW} patients of different foreground ratio"
        return Estimate(None, n, "none", status="too_few", note=note)
    parts = [_group_draws(response[groups == g], seed + g) for g in range(count)]
    pairs = list(itertools.combinations(range(count), 2))
    apart = np.array([parts[a][0] - parts[b][0] for a, b in pairs])
    error = np.array([math.hypot(parts[a][1], parts[b][1]) for a, b in pairs])
    if not (error > 0).all():
        note = "some groups of patients all have the same value"
        return Estimate(float(apart.max()), n, "descriptive", status="degenerate", note=note)
    drawn = np.stack([_pair_draws(parts[a], parts[b]) for a, b in pairs], axis=1)
    times = float(order_statistic(np.abs(drawn).max(axis=1)[:, None], level)[0])
    if not math.isfinite(times):
        note = "too few different values for a resampling interval"
        return Estimate(float(apart.max()), n, "descriptive", status="degenerate", note=note)
    most = int(np.argmax(apart - times * error))
    low, high = (float(apart[most] + side * times * error[most]) for side in (-1, 1))
    low, high = max(-1.0, low), min(1.0, high)
    return Estimate(float(apart[most]), n, FALL_METHOD, "two-sided", level, low, high)


_Part = tuple[float, float, Floats, Floats]
"""Mean, standard error; drawn deviation of the mean, drawn standard error."""


def _group_draws(values: Floats, seed: int) -> _Part:
    n = len(values)
    weights = bootstrap_weights(n, seed)
    mean, error, _ = studentized_draws(values[:, None], weights)
    centred = values - values.mean()
    gap = weights @ centred / n
    spread = np.sqrt(np.clip(weights @ (centred * centred) / n - gap * gap, 0, None) / (n - 1))
    return float(mean[0]), float(error[0]), gap, spread


def _pair_draws(first: _Part, second: _Part) -> Floats:
    gap, spread = first[2] - second[2], np.hypot(first[3], second[3])
    usual = math.hypot(first[1], second[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(spread > 1e-6 * usual, gap / spread, np.sign(gap) * np.inf)
    return np.asarray(np.where(np.isnan(ratio), 0.0, ratio))


def dose_responses(
    columns: Mapping[Key, Column], found: Properties, setup: AnalysisSetup
) -> tuple[DoseResponse, ...]:
    """Relate the clean DSC to the foreground ratio, for every system and label."""
    info = setup.metric("dsc")
    clean = [
        (key, it) for key, it in main_columns(columns, "dsc").items() if key.perturbation == CLEAN
    ]
    return tuple(
        _response(key, column, found, info, setup)
        for key, column in sorted(clean, key=lambda it: (it[0].system, it[0].label))
    )


def _response(
    key: Key, column: Column, found: Properties, info: MetricInfo, setup: AnalysisSetup
) -> DoseResponse:
    values = values_of(found, "foreground_ratio", key.label, setup)
    known = ~np.isnan(values.numbers) & ~np.isnan(column.judged)
    dose, response = (
        over_patients(it, setup.patient_numbers, known) for it in (values.numbers, column.judged)
    )
    n, level = len(dose), setup.audit.interval_level
    status, note = "ok", values.note
    groups = ratio_groups(dose) if n else np.empty(0, dtype=np.intp)
    fall = Estimate(None, n, "none", status="not_assessable", note="no curve")
    curve: tuple[tuple[float, float, float, float], ...] = ()
    met: Crossing | None = None
    declared = next((it for name, it in info.parameters if name.startswith("within")), None)
    if n == 0:
        status, note = "not_assessable", values.note or "no DSC"
    elif n < FEW:
        status, note = "too_few", f"needs n >= {FEW}"
    elif np.ptp(dose) == 0:
        status, note = "not_assessable", "all patients have the same foreground ratio"
    else:
        fall = falls(response, groups, level=level, seed=setup.seed("falls", key.label))
        if fall.low is not None and fall.low > 0:
            status, note = "contradicted", "the mean falls as the foreground ratio grows"
        else:
            curve, met = _curve(dose, response, declared, setup)
    if met is None and declared is not None:
        at = Estimate(None, n, "none", status="not_assessable", note="there is no monotone curve")
        met = Crossing(declared, at)
    return DoseResponse(
        system=key.system,
        label=key.label,
        metric=info.name,
        n=n,
        level=level,
        method=METHOD,
        status=status,
        note=note,
        curve=curve,
        violation=fall,
        groups=_group_rows(dose, response, groups) if n >= FEW else (),
        crossing=met,
    )


def _group_rows(
    dose: Floats, response: Floats, groups: Groups
) -> tuple[tuple[float, float, int, float], ...]:
    rows = []
    for group in range(int(groups.max()) + 1):
        inside = groups == group
        ends = float(dose[inside].min()), float(dose[inside].max())
        rows.append((*ends, int(inside.sum()), float(response[inside].mean())))
    return tuple(rows)


def _curve(
    dose: Floats, response: Floats, declared: float | None, setup: AnalysisSetup
) -> tuple[tuple[tuple[float, float, float, float], ...], Crossing | None]:
    """Curve with its band at the ratios that were seen, and where it meets the declared value."""
    fits = [monotone(dose, response, it) for it in (None, *setup.weights(len(dose))[:_DRAWS])]
    shown = np.unique(np.quantile(dose, np.linspace(0, 1, _MOST_PLACES)))
    read = np.stack([np.interp(shown, places, fitted) for places, fitted in fits])
    tail = (1 - setup.audit.interval_level) / 2
    low, high = order_statistic(read[1:], tail), order_statistic(read[1:], 1 - tail)
    curve = tuple(
        (float(x), float(y), float(min(a, y)), float(max(b, y)))
        for x, y, a, b in zip(shown, read[0], low, high, strict=True)
    )
    if declared is None:
        return curve, None
    at = np.array([crossing(places, fitted, declared) for places, fitted in fits])
    return curve, Crossing(declared, _met(at, len(dose), setup.audit.interval_level))


def _met(at: Floats, n: int, level: float) -> Estimate:
    """State where the curve meets the value, with ends that may lie beyond what was seen."""
    if at[0] == -math.inf:
        note = "the fitted mean is at least that at every foreground ratio seen"
        return Estimate(None, n, METHOD, status="not_assessable", note=note)
    if at[0] == math.inf:
        note = "the fitted mean is below that at every foreground ratio seen"
        return Estimate(None, n, METHOD, status="not_assessable", note=note)
    tail = (1 - level) / 2
    low, high = (float(order_statistic(at[1:, None], p)[0]) for p in (tail, 1 - tail))
    open_ends = [
        words
        for end, words in (
            (low, "the lower end lies below every ratio seen"),
            (high, "the upper end lies above every ratio seen"),
        )
        if not math.isfinite(end)
    ]
    return Estimate(
        float(at[0]),
        n,
        METHOD,
        "two-sided",
        level,
        low if math.isfinite(low) else None,
        high if math.isfinite(high) else None,
        note="; ".join(open_ends),
    )
