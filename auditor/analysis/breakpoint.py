"""Up to which severity a declared limit is supported: fixed-sequence tests, each at the full level.

H_s says that the mean drop at severity s is larger than the margin (or the mean smaller than the floor).
The severities are tested from the lowest on, each at the full level, and the sequence ends at the first
that is not rejected: under this order no level is split, and the chance to support any severity that
breaks the limit stays within one minus the level (Maurer, Hothorn & Lehmacher 1995; Westfall & Krishen,
J Stat Plan Inference 99, 2001). The bounds are phantom bounds: with rare failures that a small
cohort does not show, resampled bounds reject far too often (docs/statistics.md).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.intervals import unseen_rate
from auditor.analysis.phantom import paired_bounds, phantom_lower, phantom_upper
from auditor.schema import Breakpoint, BreakpointStep, Estimate, StepVerdict

__all__ = [
    "Claim",
    "Evidence",
    "bounds_of",
    "breakpoint_of",
    "least_margin",
    "patients_for",
    "walk",
]

Floats = NDArray[np.float64]
Claim = Literal["drop", "mean"]
Bounds = tuple[float, float]

_OPEN = (StepVerdict.SUPPORTED, StepVerdict.NOT_ASSESSED)
"""Verdicts after which the next severity is tested."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The numbers of one severity, one per patient."""

    severity: float
    level: float | None
    """Of the perturbation."""
    values: Floats
    """Drops in [-1, 1], or means in [0, 1]."""
    left_out: int
    failed: int


def least_margin(n: int, *, level: float) -> float:
    """Smallest margin that n patients could support: 1 - (1 - level)^(1/n), if none of them dropped at all.

    Examples
    --------
    >>> [round(least_margin(n, level=0.95), 4) for n in (20, 40, 59)]
    [0.1391, 0.0722, 0.0495]
    """
    return unseen_rate(n, level=level) if n > 1 else 1.0


def patients_for(margin: float, *, level: float) -> int:
    """Fewest patients that could support a margin.

    Examples
    --------
    >>> patients_for(0.10, level=0.95), patients_for(0.05, level=0.95)
    (29, 59)
    """
    n = max(2, math.floor(math.log(1 - level) / math.log1p(-margin)))
    while least_margin(n, level=level) > margin:
        n += 1
    return n


def bounds_of(
    samples: Sequence[Floats], claim: Claim, *, level: float
) -> list[tuple[float, float] | None]:
    """Lower and upper phantom bound of the mean of each sample, each at the level.

    Parameters
    ----------
    samples : of (patients,), drops in [-1, 1] or means in [0, 1]
    claim : ``drop``: paired bounds
    level : one-sided confidence level

    Returns
    -------
    list
        None for samples of fewer than two patients, who bound nothing.
    """
    found: list[Bounds | None] = [None] * len(samples)
    together: dict[int, list[int]] = defaultdict(list)
    for i, sample in enumerate(samples):
        if len(sample) > 1:
            together[len(sample)].append(i)
    for members in together.values():
        values = np.stack([samples[i] for i in members], axis=1)
        if claim == "drop":
            low, high = paired_bounds(values, level=level)
        else:
            low, high = phantom_lower(values, level=level), phantom_upper(values, level=level)
        for place, i in enumerate(members):
            found[i] = (float(low[place]), float(high[place]))
    return found


def walk(
    claim: Claim,
    threshold: float,
    counts: Sequence[int],
    bounds: Sequence[Bounds | None],
    *,
    level: float,
) -> tuple[StepVerdict, ...]:
    """Say what each severity of a fixed sequence shows.

    Parameters
    ----------
    claim : ``drop``: at most the threshold; ``mean``: at least that
    threshold : in (0, 1)
    counts : patients of each severity, from the lowest severity on
    bounds : lower and upper bound at each; None: nothing is bounded
    level : one-sided confidence level of the bounds

    Examples
    --------
    >>> walk("drop", 0.1, [60, 60, 60], [(0.0, 0.05), (0.05, 0.2), (0.15, 0.3)], level=0.95)[1:]
    (<StepVerdict.UNDETERMINED: 'undetermined'>, <StepVerdict.VIOLATED: 'violated'>)
    """
    verdicts: list[StepVerdict] = []
    reached = True
    for n, pair in zip(counts, bounds, strict=True):
        verdict = _alone(claim, threshold, n, pair, level)
        if verdict is StepVerdict.SUPPORTED and not reached:
            verdict = StepVerdict.NOT_REACHED
        reached = reached and verdict in _OPEN
        verdicts.append(verdict)
    return tuple(verdicts)


def _alone(
    claim: Claim, threshold: float, n: int, bounds: Bounds | None, level: float
) -> StepVerdict:
    """Judge one severity by itself."""
    if n == 0:
        return StepVerdict.NOT_ASSESSED
    if bounds is None:
        return StepVerdict.NOT_ATTAINABLE
    low, high = bounds
    met = high <= threshold if claim == "drop" else low >= threshold
    missed = low > threshold if claim == "drop" else high < threshold
    if missed:
        return StepVerdict.VIOLATED
    if met:  # scans that came out better than clean can meet what no absence of a drop could
        return StepVerdict.SUPPORTED
    margin = threshold if claim == "drop" else 1 - threshold
    attainable = least_margin(n, level=level) <= margin
    return StepVerdict.UNDETERMINED if attainable else StepVerdict.NOT_ATTAINABLE


def breakpoint_of(
    claim: Claim,
    threshold: float,
    evidence: Sequence[Evidence],
    bounds: Sequence[Bounds | None],
    *,
    level: float,
) -> Breakpoint:
    """Put the tests of one axis together.

    Parameters
    ----------
    claim, threshold, bounds, level
        See `walk`.
    evidence : one a severity, from the lowest on
    """
    counts = [len(it.values) for it in evidence]
    verdicts = walk(claim, threshold, counts, bounds, level=level)
    steps = tuple(
        _step(it, pair, verdict, claim, level)
        for it, pair, verdict in zip(evidence, bounds, verdicts, strict=True)
    )
    supported = [it for it in steps if it.verdict is StepVerdict.SUPPORTED]
    violated = [it for it in steps if it.verdict is StepVerdict.VIOLATED]
    assessed = [it for it in steps if it.verdict is not StepVerdict.NOT_ASSESSED]
    status = assessed[0].verdict if assessed else StepVerdict.NOT_ASSESSED
    return Breakpoint(
        claim=claim,
        threshold=threshold,
        level=level,
        steps=steps,
        supported=supported[-1].severity if supported else None,
        supported_level=supported[-1].level if supported else None,
        violated=violated[0].severity if violated else None,
        violated_level=violated[0].level if violated else None,
        status=status,
        note=_note(status, assessed, claim, threshold, level),
    )


def _step(
    it: Evidence, bounds: Bounds | None, verdict: StepVerdict, claim: Claim, level: float
) -> BreakpointStep:
    n = len(it.values)
    method = "phantom bound, paired" if claim == "drop" else "phantom bound"
    if bounds is None:
        note = "one patient bounds nothing" if n else "no patient has a number here"
        none = Estimate(None, n, "none", status="not_assessable", note=note)
        lower = upper = none
    else:
        lower = Estimate(bounds[0], n, method, "lower", level)
        upper = Estimate(bounds[1], n, method, "upper", level)
    point = (
        Estimate(float(it.values.mean()), n, "mean over patients")
        if n
        else Estimate(None, 0, "none", status="not_assessable", note="no patient has a number here")
    )
    return BreakpointStep(
        it.severity, it.level, point, lower, upper, it.left_out, it.failed, verdict
    )


def _note(
    status: StepVerdict,
    assessed: Sequence[BreakpointStep],
    claim: Claim,
    threshold: float,
    level: float,
) -> str:
    if status is StepVerdict.NOT_ASSESSED:
        return "no level changes the scan of any patient that has a clean number"
    if status is not StepVerdict.NOT_ATTAINABLE:
        return ""
    n = assessed[0].estimate.n
    least = least_margin(n, level=level)
    if claim == "drop":
        best = f"no margin below {least:.3g} can be met"
        return f"with {n} patient(s) of whom none gains, {best} (declared: {threshold:g})"
    return f"with {n} patient(s) no mean above {1 - least:.3g} can be assured (declared: {threshold:g})"
