"""Whether the measured axes explain how groups of the labelled cases differ.

A recipe carries response curves from the patients of an audit to a site by what is measured on the site's
scans. Where metadata split the labelled cases (site, scanner), the same can be tried where the answer is known:
a group is placed relative to all *other* groups by the medians of the estimates, on the axis on which it lies
furthest; the curves of the others at that severity predict its mean, which was observed. A group that is
cleaner than the others is compared the other way round, at the severity at which it looks like them: nothing
is extrapolated below severity 0.

The residual has a standard error from 1000 draws that resample patients within both sides and place the group
anew each time, and Student's t with the degrees of freedom of the smaller side, Bonferroni over its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.analysis.intervals import FEW, seed_of
from auditor.config.site_rows import SAME_PROPERTY
from auditor.schema import Estimate
from auditor.schema.recipe import RealityCheck, RealityRow

__all__ = ["TOLERANCE", "GroupAxis", "not_checked", "reality_check"]

Floats = NDArray[np.float64]

TOLERANCE = 0.05
"""Difference of means that does not matter, in the unit of a metric in [0, 1]."""

_DRAWS = 1000


@dataclass(frozen=True, slots=True)
class GroupAxis:
    """One measured axis with its response, over patients."""

    perturbation: str
    severities: tuple[float, ...]
    """Rising, 0 first."""
    estimates: Floats
    """(patients, severities), NaN where the estimator gives nothing."""
    scores: Floats
    """(patients, severities, systems), without NaN."""


@dataclass(frozen=True, slots=True)
class _Side:
    """A group, or all others, in every draw."""

    medians: Floats
    """(draws, severities) of the estimates, non-decreasing; the first is that of the clean scans."""
    means: Floats
    """(draws, severities, systems) of the scores."""


@dataclass(frozen=True, slots=True)
class _Split:
    """One group against all others."""

    group: str
    inside: NDArray[np.intp]
    """Places of its patients."""
    outside: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Rule:
    """By what rows are judged."""

    tolerance: float
    level: float
    """Simultaneous over the rows."""
    each: float
    """Of one row."""
    systems: tuple[str, ...]


def reality_check(
    axes: Sequence[GroupAxis],
    groups: Sequence[str],
    systems: Sequence[str],
    *,
    column: str,
    level: float,
    seed: int,
    tolerance: float = TOLERANCE,
) -> RealityCheck:
    """Predict the mean of each group from the other groups, and compare it with what was observed.

    Parameters
    ----------
    axes : sequence of GroupAxis
    groups : of each patient; empty: none
        Groups of fewer than `FEW` patients are left out.
    systems : in order
    column : name of what splits the cases
    level : simultaneous over the rows
    seed : of the resampling
    tolerance : difference that does not matter

    Returns
    -------
    RealityCheck
        Of every group with enough patients; of two groups the first alone, as the other is its mirror image.
        not explained: for some group and system the interval of the residual excludes 0 and the residual is
        beyond the tolerance; explained: all intervals lie within the tolerance; undecided otherwise.
    """
    names = np.array(groups, dtype=object)
    enough = [name for name in sorted(set(groups)) if name and (names == name).sum() >= FEW]
    kept = _usable(axes)
    if len(enough) < 2:
        why = f"{column} splits the cases into fewer than two groups of at least {FEW} patients"
        return not_checked(why, column=column)
    if not kept:
        return not_checked("the run has no axis whose level can be estimated on its scans", column)
    known = np.isin(names, enough)
    # of two groups, the second is the first one read backwards
    tried = enough if len(enough) > 2 else enough[:1]
    each = 1.0 - (1.0 - level) / (len(systems) * len(tried))
    rule = _Rule(tolerance, level, each, tuple(systems))
    placements, rows = [], []
    for name in tried:
        split = _Split(name, np.flatnonzero(names == name), np.flatnonzero(known & (names != name)))
        placed = [_placed(axis, split) for axis in kept]
        placements += [(name, axis.perturbation, v) for axis, v in zip(kept, placed, strict=True)]
        furthest = kept[int(np.argmax(np.abs(placed)))]
        rows += _rows(furthest, split, rule, seed_of(seed, column, name))
    status = _status([row.verdict for row in rows])
    return RealityCheck(
        status=status,
        column=column,
        axes=tuple(it.perturbation for it in kept),
        tolerance=tolerance,
        placements=tuple(placements),
        rows=tuple(rows),
        sentence=_sentence(status, column, rows, tolerance),
    )


def not_checked(why: str, column: str = "") -> RealityCheck:
    """Say why the check could not be made."""
    sentence = (
        f"Whether measured noise explains how groups of cases differ was not assessed: {why}."
    )
    return RealityCheck("not assessed", column, (), TOLERANCE, (), (), sentence)


def _usable(axes: Sequence[GroupAxis]) -> list[GroupAxis]:
    """Axes whose estimates rise, of each property one."""
    found = {}
    for axis in axes:
        medians = _side(axis, np.arange(len(axis.scores))[None]).medians[0]
        if len(medians) > 1 and medians[-1] > medians[0] > -np.inf:
            found[axis.perturbation] = axis
    for same in SAME_PROPERTY:
        for other in [name for name in same if name in found][1:]:
            del found[other]
    return list(found.values())


def _side(axis: GroupAxis, members: NDArray[np.intp]) -> _Side:
    """Summarise one side; members: (draws, patients), one row a draw."""
    taken = axis.estimates[members]
    if np.isnan(taken).any():
        # what is not known sorts last, and the middle is that of the known ones
        ordered, known = np.sort(taken, axis=1), (~np.isnan(taken)).sum(axis=1)
        last = np.maximum(known - 1, 0)
        low, high = (np.minimum(it, last)[:, None] for it in (last // 2, known // 2))
        both = [np.take_along_axis(ordered, it, axis=1)[:, 0] for it in (low, high)]
        medians = np.where(known > 0, (both[0] + both[1]) / 2, -np.inf)
    else:
        medians = np.median(taken, axis=1)
    draws, n = members.shape
    counts = np.zeros((draws, len(axis.scores)))
    np.add.at(counts, (np.arange(draws)[:, None], members), 1.0)
    means = np.tensordot(counts, axis.scores, axes=1) / n
    return _Side(np.maximum.accumulate(medians, axis=1), means)


def _severity(axis: GroupAxis, own: _Side, other: _Side) -> Floats:
    """Severity of one side relative to the other, (draws,); below 0 when it is the cleaner one."""
    worse = _where(other.medians, axis.severities, own.medians[:, 0])
    cleaner = _where(own.medians, axis.severities, other.medians[:, 0])
    return np.where(own.medians[:, 0] >= other.medians[:, 0], worse, -cleaner)


def _where(curves: Floats, severities: Sequence[float], values: Floats) -> Floats:
    """Severity at which each non-decreasing curve reaches its value; the ends where it never does."""
    last = len(severities) - 1
    above = np.minimum((curves < values[:, None]).sum(axis=1), last)
    below = np.maximum(above - 1, 0)
    rows, knots = np.arange(len(curves)), np.asarray(severities)
    low, high = curves[rows, below], curves[rows, above]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip((values - low) / (high - low), 0.0, 1.0)
    share = np.where(high > low, share, 1.0)
    return np.asarray(knots[below] + share * (knots[above] - knots[below]))


def _placed(axis: GroupAxis, split: _Split) -> float:
    own, other = _side(axis, split.inside[None]), _side(axis, split.outside[None])
    return float(_severity(axis, own, other)[0])


def _residual(axis: GroupAxis, own: _Side, other: _Side) -> Floats:
    """Difference of the means at equal degradation, (draws, systems)."""
    severity = _severity(axis, own, other)
    here = _at(axis, own.means, np.maximum(0.0, -severity))
    there = _at(axis, other.means, np.maximum(0.0, severity))
    return here - there


def _at(axis: GroupAxis, means: Floats, severity: Floats) -> Floats:
    """Means at a severity of each draw, between the tested ones."""
    knots = np.asarray(axis.severities)
    hats = np.stack([np.interp(severity, knots, unit) for unit in np.eye(len(knots))], axis=1)
    return np.asarray((hats[:, :, None] * means).sum(axis=1))


def _rows(axis: GroupAxis, split: _Split, rule: _Rule, seed: int) -> list[RealityRow]:
    """Judge every system on one group."""
    inside, outside = split.inside, split.outside
    own, other = _side(axis, inside[None]), _side(axis, outside[None])
    residual = _residual(axis, own, other)[0]
    rng = np.random.default_rng(seed)
    drawn = _residual(
        axis,
        _side(axis, rng.choice(inside, (_DRAWS, len(inside)))),
        _side(axis, rng.choice(outside, (_DRAWS, len(outside)))),
    )
    freedom = min(len(inside), len(outside)) - 1
    quantile = float(stats.t.ppf((1.0 + rule.each) / 2.0, freedom))
    reached = quantile * drawn.std(axis=0, ddof=1)
    beyond = bool(
        own.medians[0, 0] > other.medians[0, -1] or other.medians[0, 0] > own.medians[0, -1]
    )
    method = "bootstrap over patients of both sides, t, Bonferroni over groups and systems"
    rows = []
    for k, system in enumerate(rule.systems):
        value = float(residual[k])
        low, high = value - float(reached[k]), value + float(reached[k])
        estimate = Estimate(
            value, len(inside) + len(outside), method, "two-sided", rule.level, low, high,
            note="it lies beyond the highest tested severity of the other side" if beyond else "",
        )  # fmt: skip
        rows.append(
            RealityRow(
                group=split.group,
                system=system,
                n=len(inside),
                others=len(outside),
                observed=float(own.means[0, 0, k]),
                predicted=float(own.means[0, 0, k]) - value,
                residual=estimate,
                verdict="undecided" if beyond else _verdict(value, low, high, rule.tolerance),
            )
        )
    return rows


def _verdict(
    value: float, low: float, high: float, tolerance: float
) -> Literal["explained", "not explained", "undecided"]:
    if low > -tolerance and high < tolerance:
        return "explained"
    return "not explained" if (low > 0 or high < 0) and abs(value) > tolerance else "undecided"


def _status(
    verdicts: Sequence[str],
) -> Literal["explained", "not explained", "undecided"]:
    if "not explained" in verdicts:
        return "not explained"
    return "explained" if set(verdicts) == {"explained"} else "undecided"


def _sentence(status: str, column: str, rows: Sequence[RealityRow], tolerance: float) -> str:
    if status == "explained":
        return (
            f"What was measured on the scans explains how the means differ between groups by {column}, within "
            f"{tolerance:g}."
        )
    if status == "not explained":
        worst = max(
            (row for row in rows if row.verdict == "not explained"),
            key=lambda it: abs(it.residual.value or 0.0),
        )
        return (
            "What was measured on the scans does not explain how the means differ between groups by "
            f"{column}: {worst.system} has {worst.observed:.3f} on {worst.group}, where the other groups "
            f"predict {worst.predicted:.3f}. Something that is not measured matters, so that the recipe is "
            "not offered across these groups."
        )
    widest = max(max(abs(it.residual.low or 0.0), abs(it.residual.high or 0.0)) for it in rows)
    return (
        f"Whether what was measured on the scans explains how the means differ between groups by {column} is "
        f"undecided: unexplained differences up to {widest:.2f} are not excluded."
    )
