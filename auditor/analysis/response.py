"""Severity-response of the main metric: curve with its band, area, breakpoints, and the monotone reading.

**Conventions.** One curve per system, label and perturbation, from clean to the highest severity, on the
region that is scored (what a geometric perturbation left inside the field of view). What failed counts
at its worst value. A curve has the same cases at every severity: a case without a number at one of them
(the level changes nothing, or the scan refuses it) is left out of the curve, and counted. Breakpoints
take, severity by severity, all cases that have a number there. Cases are averaged within their patient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.bands import largest_t
from auditor.analysis.breakpoint import Claim, Evidence, bounds_of, breakpoint_of
from auditor.analysis.clusters import ratio_interval
from auditor.analysis.intervals import DRAWS, FEW, studentized_draws, studentized_interval
from auditor.analysis.means import described, interval_estimate
from auditor.analysis.monotone import falling, largest_rise, passing_estimate
from auditor.analysis.promises import main_columns
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.summaries import clean_key, worst_drops
from auditor.analysis.table import Column, Key, over_patients
from auditor.schema import (
    CLEAN,
    Breakpoint,
    Estimate,
    MetricInfo,
    Response,
    ResponsePoint,
    SeverityCrossing,
)

__all__ = ["Axis", "axes_of", "main_metric", "responses", "trapezoid"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

BAND_METHOD = f"studentized bootstrap ({DRAWS} draws), max-T over severities"
RATIO_METHOD = f"ratio of means, studentized bootstrap ({DRAWS} draws)"


@dataclass(frozen=True, slots=True)
class Axis:
    """One system and label under one perturbation."""

    system: str
    label: str
    perturbation: str
    unit: str
    severities: tuple[float, ...]
    """Planned and stored ones, rising, without clean."""
    columns: tuple[Column, ...]
    """One a severity."""
    clean: Column


@dataclass(frozen=True, slots=True)
class _Curve:
    """Patients of a curve, and their numbers."""

    severities: Floats
    levels: tuple[float | None, ...]
    values: Floats
    """(patients, severities), clean first."""
    drops: Floats
    """(patients, severities), 0 at clean unless it failed there."""
    left_out: int


def main_metric(setup: AnalysisSetup) -> MetricInfo | None:
    """Find what responses are about: the DSC, else the first metric in [0, 1] of which more is better."""
    fits = [it for it in setup.metrics if (it.low, it.high) == (0.0, 1.0) and it.higher_is_better]
    return next((it for it in fits if it.name == "dsc"), next(iter(fits), None))


def trapezoid(severities: Floats) -> Floats:
    """Weights of the trapezoidal rule over severities, divided by their range.

    Examples
    --------
    >>> trapezoid(np.array([0.0, 1.0, 2.0])).tolist()
    [0.25, 0.5, 0.25]
    """
    steps = np.diff(severities)
    weights = np.zeros(len(severities))
    weights[:-1] += steps / 2
    weights[1:] += steps / 2
    return np.asarray(weights / (severities[-1] - severities[0]))


def axes_of(columns: Mapping[Key, Column], metric: str) -> tuple[Axis, ...]:
    """Gather the columns of one metric by system, label and perturbation, sorted.

    What has no clean column to be paired with is left out.
    """
    grouped: dict[tuple[str, str, str], list[Key]] = {}
    for key in main_columns(columns, metric):
        if key.perturbation != CLEAN and clean_key(key) in columns:
            grouped.setdefault((key.system, key.label, key.perturbation), []).append(key)
    axes = []
    for (system, label, perturbation), keys in sorted(grouped.items()):
        ordered = sorted(keys, key=lambda it: it.severity)
        axes.append(
            Axis(
                system=system,
                label=label,
                perturbation=perturbation,
                unit=columns[ordered[0]].unit,
                severities=tuple(it.severity for it in ordered),
                columns=tuple(columns[it] for it in ordered),
                clean=columns[clean_key(ordered[0])],
            )
        )
    return tuple(axes)


def responses(columns: Mapping[Key, Column], setup: AnalysisSetup) -> tuple[Response, ...]:
    """Describe every response, and test the declared limits on it."""
    info = main_metric(setup)
    if info is None:
        return ()
    axes = axes_of(columns, info.name)
    tested = [_breakpoints(axes, claim, info, setup) for claim in ("drop", "mean")]
    return tuple(
        _response(axis, tuple(it for it in found if it is not None), info, setup)
        for axis, *found in zip(axes, *tested, strict=True)
    )


def _breakpoints(
    axes: Sequence[Axis], claim: Claim, info: MetricInfo, setup: AnalysisSetup
) -> list[Breakpoint | None]:
    """Test one declared limit on every axis; None where it is not declared, or nothing is judged."""
    threshold = setup.response_margin if claim == "drop" else setup.response_floor
    if threshold is None or setup.audit.preview:
        return [None] * len(axes)
    level = setup.audit.criteria_level
    evidence = [_evidence(axis, claim, info, setup) for axis in axes]
    flat = [it.values for found in evidence for it in found]
    bounds = iter(bounds_of(flat, claim, level=level))
    return [
        breakpoint_of(claim, threshold, found, [next(bounds) for _ in found], level=level)
        for found in evidence
    ]


def _evidence(
    axis: Axis, claim: Claim, info: MetricInfo, setup: AnalysisSetup
) -> tuple[Evidence, ...]:
    """Numbers of every severity; those of a mean begin with the clean scans."""
    steps = list(zip(axis.severities, axis.columns, strict=True))
    if claim == "mean":
        steps = [(0.0, axis.clean), *steps]
    known = ~np.isnan(axis.clean.judged)
    start = len(set(setup.patient_numbers[known]))
    found = []
    for severity, column in steps:
        used = worst_drops(column, axis.clean, info) if claim == "drop" else column.judged
        failed = column.missing | axis.clean.missing if claim == "drop" else column.missing
        values = over_patients(used, setup.patient_numbers, ~np.isnan(used))
        behind = set(setup.patient_numbers[failed & ~np.isnan(used)])
        left_out = max(0, start - len(values))
        found.append(Evidence(severity, column.level, values, left_out, len(behind)))
    return tuple(found)


def _curve(axis: Axis, info: MetricInfo, setup: AnalysisSetup) -> _Curve:
    """Keep the severities at which some case has a number, and the cases that have one at all of them."""
    steps = [
        (severity, column, worst_drops(column, axis.clean, info))
        for severity, column in zip(axis.severities, axis.columns, strict=True)
    ]
    steps = [it for it in steps if not np.isnan(it[2]).all()]
    judged = np.stack([axis.clean.judged, *(column.judged for _, column, _ in steps)], axis=1)
    worse = np.stack([np.zeros(len(judged)), *(drops for *_, drops in steps)], axis=1)
    inside = np.asarray(~(np.isnan(judged) | np.isnan(worse)).any(axis=1))
    numbers = setup.patient_numbers

    def by_patient(values: Floats) -> Floats:
        return np.stack([over_patients(it, numbers, inside) for it in values.T], axis=1)

    started = len(set(numbers[~np.isnan(axis.clean.judged)]))
    return _Curve(
        severities=np.array([0.0, *(severity for severity, *_ in steps)]),
        levels=(None, *(column.level for _, column, _ in steps)),
        values=by_patient(judged),
        drops=by_patient(worse),
        left_out=started - len(set(numbers[inside])),
    )


def _response(
    axis: Axis, breakpoints: tuple[Breakpoint, ...], info: MetricInfo, setup: AnalysisSetup
) -> Response:
    curve = _curve(axis, info, setup)
    n, level = len(curve.values), setup.audit.interval_level
    some = n > 0 and len(curve.severities) > 1
    nothing = Estimate(None, n, "none", status="not_assessable", note="no curve")
    area = relative = rise = nothing
    fitted: tuple[tuple[float, float], ...] = ()
    crossings: tuple[SeverityCrossing, ...] = ()
    status, note = _status(curve, axis)
    if some:
        area, relative = _areas(curve, setup)
        rise = largest_rise(curve.values, setup.weights(n), level=level)
        if rise.status == "ok" and (rise.low or 0.0) > 0:
            status, note = (
                "rises",
                "the mean rises with severity, so that no falling curve is fitted",
            )
        elif n >= FEW:
            fit = falling(curve.values.mean(axis=0)[None])[0]
            fitted = tuple((float(s), float(y)) for s, y in zip(curve.severities, fit, strict=True))
        crossings = _crossings(curve, setup, fitted=bool(fitted), why=note)
    return Response(
        system=axis.system,
        label=axis.label,
        metric=info.name,
        perturbation=axis.perturbation,
        unit=axis.unit,
        n=n,
        left_out=curve.left_out,
        points=_points(curve, setup) if some else (),
        area=area,
        relative_area=relative,
        breakpoints=breakpoints,
        rise=rise,
        monotone=fitted,
        crossings=crossings,
        status=status,
        note=note,
    )


def _status(curve: _Curve, axis: Axis) -> tuple[str, str]:
    n = len(curve.values)
    if len(curve.severities) < 2:
        return "not_assessable", "no level changes any scan that has a clean number"
    if n == 0:
        return "not_assessable", "no case has a number at every severity"
    if n < FEW:
        return "too_few", f"{n} patient(s): described, not inferred from (needs n >= {FEW})"
    lost = [s for s in axis.severities if s not in curve.severities]
    if lost:
        return "ok", f"no scan is changed at severity {', '.join(f'{s:g}' for s in lost)}"
    return "ok", ""


def _points(curve: _Curve, setup: AnalysisSetup) -> tuple[ResponsePoint, ...]:
    means, bands = _intervals(curve.values, 0.0, setup)
    drops, drop_bands = _intervals(curve.drops[:, 1:], -1.0, setup)
    note = "clean scans are what others are compared with"
    none = Estimate(None, len(curve.values), "none", status="not_assessable", note=note)
    points = zip(
        *(curve.severities, curve.levels, means, bands),
        *([none, *drops], [none, *drop_bands]),
        strict=True,
    )
    return tuple(ResponsePoint(float(severity), *rest) for severity, *rest in points)


def _intervals(
    values: Floats, least: float, setup: AnalysisSetup
) -> tuple[list[Estimate], list[Estimate]]:
    """Mean of every column with its pointwise interval, and with the one that holds for all at once."""
    n, level = len(values), setup.audit.interval_level
    if n < FEW:
        found = [described(column, level=level) for column in values.T]
        return found, found
    weights = setup.weights(n)
    low, high = studentized_interval(values, weights, level=level, bounded=False)
    ends = zip(low.tolist(), high.tolist(), strict=True)
    alone = [
        interval_estimate(column, pair, least, level)
        for column, pair in zip(values.T, ends, strict=True)
    ]
    low, high = _band(values, weights, level)
    together = [
        _banded(column, a, b, least, level)
        for column, a, b in zip(values.T, low.tolist(), high.tolist(), strict=True)
    ]
    return alone, together


def _band(values: Floats, weights: Floats, level: float) -> tuple[Floats, Floats]:
    """Lower and upper band, each at (1 + level) / 2: skewed like the pointwise intervals, which it holds."""
    side = (1 + level) / 2
    mean, error, draws = studentized_draws(values, weights)
    below, fits_below = largest_t(draws, error, level=side, side="lower")
    above, fits_above = largest_t(-draws, error, level=side, side="lower")
    low, high = np.full(len(mean), -np.inf), np.full(len(mean), np.inf)
    # nothing is claimed of the other columns, whose times may be infinite
    low[fits_below] = mean[fits_below] - below * error[fits_below]
    high[fits_above] = mean[fits_above] + above * error[fits_above]
    return low, high


def _banded(sample: Floats, low: float, high: float, least: float, level: float) -> Estimate:
    n, mean = len(sample), float(sample.mean())
    if not (np.isfinite(low) and np.isfinite(high)):
        note = "all patients have the same value, or too few differ: nothing is said of others"
        return Estimate(mean, n, "descriptive", status="degenerate", note=note)
    ends = max(least, low), min(1.0, high)
    return Estimate(mean, n, BAND_METHOD, "two-sided", level, *ends)


def _areas(curve: _Curve, setup: AnalysisSetup) -> tuple[Estimate, Estimate]:
    """Area under the response, and its share of the clean mean."""
    each = curve.values @ trapezoid(curve.severities)
    clean = curve.values[:, 0]
    n, level = len(each), setup.audit.interval_level
    if n < FEW:
        return described(each, level=level), _ratio(each, clean, None, setup)
    weights = setup.weights(n)
    low, high = studentized_interval(each[:, None], weights, level=level, bounded=False)
    area = interval_estimate(each, (float(low[0]), float(high[0])), 0.0, level)
    return area, _ratio(each, clean, weights, setup)


def _ratio(each: Floats, clean: Floats, weights: Floats | None, setup: AnalysisSetup) -> Estimate:
    """Mean area over mean clean value."""
    n, total = len(each), float(clean.sum())
    if total == 0:
        return Estimate(None, n, "none", status="undefined", note="the mean on clean scans is 0")
    ratio = float(each.sum()) / total
    if weights is None:
        note = f"{n} patient(s): described, not inferred from (needs n >= {FEW})"
        return Estimate(ratio, n, "descriptive", status="too_few", note=note)
    level = setup.audit.interval_level
    ends = ratio_interval(each, clean, weights, level=level)
    if ends is None or not np.isfinite(ends).all():
        note = "too few patients differ for a resampling interval"
        return Estimate(ratio, n, "descriptive", status="degenerate", note=note)
    return Estimate(ratio, n, RATIO_METHOD, "two-sided", level, max(0.0, ends[0]), ends[1])


def _crossings(
    curve: _Curve, setup: AnalysisSetup, *, fitted: bool, why: str
) -> tuple[SeverityCrossing, ...]:
    """Where the falling fit passes each declared limit; refused without a fit."""
    n, level = len(curve.values), setup.audit.interval_level
    limits: tuple[tuple[Claim, float | None, Floats, float], ...] = (
        ("drop", setup.response_margin, -curve.drops, -1.0),
        ("mean", setup.response_floor, curve.values, 1.0),
    )
    found = []
    for claim, threshold, values, sign in limits:
        if threshold is None:
            continue
        at = (
            passing_estimate(
                curve.severities, values, setup.weights(n), sign * threshold, level=level
            )
            if fitted
            else Estimate(None, n, "none", status="not_assessable", note=why or "no falling fit")
        )
        found.append(SeverityCrossing(claim, threshold, at))
    return tuple(found)
