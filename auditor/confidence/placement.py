"""Where a scan lies on the severity axes of a run.

An estimator measures the total degradation of a scan, the severities of an audit are *added* to test
scans that have degradation of their own. So a scan is placed by the run's own table: what the same
estimator gives on the run's scans at severity 0 and at every other severity.

Severity 0 is the test set as it is. A scan whose estimate is no higher than what the clean test scans
have is placed there, whatever the medians say; otherwise at the severity whose median estimate equals
its own. The limits around it are the severities at which test scans have such an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from auditor.schema.site import Placement, SeverityAxis, Side

__all__ = ["BINS", "axis_of", "hidden_up_to", "place", "reached_by", "severity_bin"]

_TAIL = 0.05
"""Share of the clean test scans, over all axes together, that may count as more than clean."""


BINS = ("cleaner", "0", "0-1", "1-2", "2-3", "3-4", "4-5", "beyond", "undefined")
"""Of `severity_bin`, from little to much."""


def axis_of(
    perturbation: str,
    unit: str,
    levels: Mapping[float, float],
    estimates: Mapping[float, Sequence[float]],
    *,
    axes: int,
) -> SeverityAxis:
    """Make the table of one axis.

    Parameters
    ----------
    perturbation, unit : str
        Of the axis.
    levels : mapping of severity to level
        Severity 0 included.
    estimates : mapping of severity to the estimates of scans
        One number a case, severity 0 included.
    axes : int
        Number of axes of the run: the tail of the clean scans is shared between them, so that a clean
        test set as a whole is placed at severity 0.

    Returns
    -------
    SeverityAxis
        Limits are order statistics at 1 - 0.05 / axes; with few scans the extremes. Medians and
        limits are made non-decreasing by the running maximum.
    """
    severities = tuple(sorted(estimates))
    share = 1.0 - _TAIL / axes
    columns = [
        np.sort(np.asarray(estimates[severity], dtype=np.float64)) for severity in severities
    ]
    median = _rising([float(np.median(column)) for column in columns])
    axis = SeverityAxis(
        perturbation=perturbation,
        unit=unit,
        severities=severities,
        levels=tuple(float(levels[severity]) for severity in severities),
        median=median,
        low=_rising([reached_by(column, 1.0 - share) for column in columns]),
        high=_rising([reached_by(column, share) for column in columns]),
        n=min(column.size for column in columns),
        share=share,
    )
    return axis if median[-1] > axis.high[0] else _blind(axis)


def place(axis: SeverityAxis, estimate: float | None, reason: str = "") -> Placement:
    """Place one estimate on an axis.

    Parameters
    ----------
    axis : SeverityAxis
        Of `axis_of`.
    estimate : float, optional
        By the estimator of the axis; None where it is not defined.
    reason : str
        Why there is no estimate.

    Examples
    --------
    >>> table = {0.0: [3.0, 4.0, 5.0], 1.0: [5.0, 6.0, 7.0], 2.0: [9.0, 10.0, 11.0]}
    >>> axis = axis_of("noise", "%", {0.0: 0, 1.0: 3, 2.0: 9}, table, axes=1)
    >>> place(axis, 4.9).severity, place(axis, 8.0).severity, place(axis, 2.0).side.value
    (0.0, 1.5, 'cleaner')
    >>> place(axis, 12.0).side.value, place(axis, 12.0).severity
    ('beyond', None)
    """
    if not axis.usable:
        return Placement(axis.perturbation, estimate, Side.UNDEFINED, None, None, None, axis.reason)
    if estimate is None:
        told = reason or "the estimator gives nothing on this scan"
        return Placement(axis.perturbation, None, Side.UNDEFINED, None, None, None, told)
    low, high = (
        _where(axis.high, axis.severities, estimate),
        _where(axis.low, axis.severities, estimate),
    )
    if estimate > axis.high[-1]:
        return Placement(axis.perturbation, estimate, Side.BEYOND, None, low, None)
    if estimate <= axis.high[0]:
        side = Side.CLEANER if estimate < axis.low[0] else Side.WITHIN
        return Placement(axis.perturbation, estimate, side, 0.0, 0.0, high)
    severity = _where(axis.median, axis.severities, estimate)
    return Placement(axis.perturbation, estimate, Side.WITHIN, severity, low, high)


def hidden_up_to(axis: SeverityAxis) -> float:
    """Severity up to which half of the scans of the run look like its clean ones.

    A site that is worse than the test set by less counts as severity 0: where test scans differ among
    each other, what was added to them does not show before it exceeds these differences.

    Examples
    --------
    >>> table = {0.0: [3.0, 4.0, 6.5], 1.0: [5.0, 6.0, 8.0], 2.0: [6.5, 7.0, 9.0]}
    >>> hidden_up_to(axis_of("noise", "%", {0.0: 0, 1.0: 3, 2.0: 6}, table, axes=1))
    1.5
    """
    return _where(axis.median, axis.severities, axis.high[0])


def severity_bin(placement: Placement) -> str:
    """Name the bin of `BINS` that a scan falls into; a bin holds its upper end.

    Examples
    --------
    >>> severity_bin(Placement("noise", 4.0, Side.WITHIN, 1.0, 0.0, 2.0))
    '0-1'
    """
    if placement.side is not Side.WITHIN or placement.severity is None:
        return placement.side.value
    if placement.severity <= 0.0:
        return "0"
    upper = math.ceil(placement.severity)
    return f"{upper - 1}-{upper}"


def _where(curve: Sequence[float], severities: Sequence[float], value: float) -> float:
    """Severity at which a non-decreasing curve reaches a value; its ends where it never does."""
    knots, places = np.unique(np.asarray(curve), return_index=True)
    return float(np.interp(value, knots, np.asarray(severities)[places]))


def _rising(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.maximum.accumulate(values))


def reached_by(ordered: NDArray[np.float64], share: float) -> float:
    """Return the value with at least `share` of all below or at it; the extremes when they are few."""
    rank = int(np.ceil(share * ordered.size - 1e-9)) - 1
    return float(ordered[min(max(rank, 0), ordered.size - 1)])


def _blind(axis: SeverityAxis) -> SeverityAxis:
    reason = (
        f"the estimate of {axis.perturbation} at the highest severity of the run (median "
        f"{axis.median[-1]:.3g} {axis.unit}) does not exceed what its clean scans have (up to "
        f"{axis.high[0]:.3g}), so that no scan can be placed"
    )
    return SeverityAxis(
        axis.perturbation, axis.unit, axis.severities, axis.levels, axis.median, axis.low,
        axis.high, axis.n, axis.share, usable=False, reason=reason,
    )  # fmt: skip
