"""Whether a system agrees with raters as they agree with each other.

**Conventions.** A *score* is a similarity in [0, 1] of two masks, the DSC as a rule, higher is better; two
empty masks score 1 on both sides of a comparison. Per case there are ``model``: (k,), the system with
each of the k raters, and ``between``: (k, k), the raters with each other (the diagonal is not read).
Several cases of a patient are averaged first, and the tests take one number per patient.

Three comparisons, because each has a weak side:

- *range*: mean_r s(M, R_r) - mean_{r<r'} s(R_r, R_r'). A system that is smoother than any rater beats
  them legitimately; it is within, and not equivalent.
- *leave-one-out consensus*: mean_r [s(M, C_r) - s(R_r, C_r)] with C_r the majority of all raters but r,
  on both sides. A consensus that holds the rater favours him by some hundredths of DSC.
- *Williams index* (`auditor.analysis.williams`): the ratio of the means of the first.

Below 120 patients *within* needs the bound with a phantom patient of the worst difference, which any
patient could still be; the resampling bound alone is a conditional verdict, as for criteria.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.intervals import (
    FEW,
    bootstrap_weights,
    studentized_bounds,
    unseen_rate,
)
from auditor.analysis.phantom import paired_bounds
from auditor.schema import Estimate, RangeTest, RangeVerdict

__all__ = [
    "MANY",
    "case_agreement",
    "case_consensus_delta",
    "case_delta",
    "one_per_patient",
    "over_cases",
    "two_sided_level",
    "within_rater_range",
]

Floats = NDArray[np.float64]

MANY = 120
"""From so many patients on, resampling alone decides; see docs/raters.md for its size below."""


def case_agreement(
    model: Sequence[float], between: Sequence[Sequence[float | None]]
) -> tuple[float, float]:
    """Average the scores of one case.

    Parameters
    ----------
    model : (k,), k >= 2, score of the system with each rater
    between : (k, k), scores of the raters with each other

    Returns
    -------
    mean_r s(M, R_r) and mean_{r<r'} s(R_r, R_r').

    Raises
    ------
    ValueError
        When there are fewer than two raters, the sizes differ, or a score leaves [0, 1].
    """
    k = len(model)
    if k < 2 or len(between) != k or any(len(row) != k for row in between):
        msg = (
            f"between must be (k, k) for the k = {k} scores of the system, k >= 2, got "
            f"{len(between)} rows"
        )
        raise ValueError(msg)
    pairs = [between[i][j] for i, j in itertools.combinations(range(k), 2)]
    for score in (*model, *pairs):
        if score is None or not 0.0 <= score <= 1.0:
            msg = f"scores must lie in [0, 1], got {score!r}"
            raise ValueError(msg)
    return math.fsum(model) / k, math.fsum(it for it in pairs if it is not None) / len(pairs)


def case_delta(model: Sequence[float], between: Sequence[Sequence[float | None]]) -> float:
    """Compute mean_r s(M, R_r) - mean_{r<r'} s(R_r, R_r') of one case, in [-1, 1].

    Examples
    --------
    >>> round(case_delta([0.9, 0.8], [[1.0, 0.8], [0.8, 1.0]]), 9)
    0.05
    """
    own, others = case_agreement(model, between)
    return own - others


def case_consensus_delta(model: Sequence[float], raters: Sequence[float]) -> float:
    """Compute mean_r [s(M, C_r) - s(R_r, C_r)] of one case, in [-1, 1].

    Parameters
    ----------
    model, raters : (k,), k >= 2
        Scores of the system and of rater r with the majority of the raters but r, see
        `auditor.metrics.rater_metrics.leave_one_out_scores`.

    Raises
    ------
    ValueError
        When there are fewer than two raters, or the lengths differ.
    """
    if len(model) != len(raters) or len(model) < 2:
        msg = f"model and raters must have one length, at least 2, got {len(model)}, {len(raters)}"
        raise ValueError(msg)
    return math.fsum(m - r for m, r in zip(model, raters, strict=True)) / len(model)


def over_cases(values: Sequence[float], patients: Sequence[str]) -> Floats:
    """Average the cases of each patient, in the order in which patients first appear.

    Parameters
    ----------
    values : one per case
    patients : the patient of each

    Returns
    -------
    (patients,)
    """
    cases: dict[str, list[float]] = {}
    for value, patient in zip(values, patients, strict=True):
        cases.setdefault(patient, []).append(value)
    return np.array([math.fsum(own) / len(own) for own in cases.values()], dtype=np.float64)


def within_rater_range(
    deltas: Floats,
    *,
    margin: float,
    level: float,
    seed: int,
    question: str = "the system agrees with raters as raters do with each other",
    reach: float | None = 1.0,
) -> RangeTest:
    """Test whether a system is within the range of the raters, up to a margin.

    Parameters
    ----------
    deltas : (patients,)
        Difference for each patient, positive where the system agrees better: `case_delta` or
        `case_consensus_delta`, averaged by `over_cases`.
    margin : > 0
        Largest mean loss that still counts as within; a clinical choice without a default.
    level : in (.5, 1)
        Of each one-sided bound.
    seed : of the resampling, see `auditor.analysis.intervals.seed_of`
    question : what was compared, for the record
    reach : largest possible difference, 1 for scores in [0, 1]; None: unbounded (lengths, volumes), and
        then resampling is all there is

    Returns
    -------
    Non-inferiority: *within* when the lower bound exceeds -margin, *outside* when the upper one is below
    it. The bounds are those with a phantom patient of difference -reach (or reach) below `MANY`
    patients, and studentized from there on; a verdict by the studentized bound below `MANY` is
    *conditional*. Below 10 patients there is no verdict. Equivalence (TOST) needs both bounds inside
    +-margin.

    Raises
    ------
    ValueError
        When the margin is not positive, the level not in (.5, 1), or a difference beyond the reach.
    """
    values = one_per_patient(deltas, margin=margin, level=level)
    if reach is not None and len(values) and float(np.abs(values).max()) > reach:
        msg = f"differences must lie in +-{reach:g}, got {float(np.abs(values).max()):g}"
        raise ValueError(msg)
    n = len(values)
    needed = None if reach is None else _needed(margin / reach, level)
    if n < FEW:
        note = f"{n} patient(s) are too few to compare; at least {FEW} are needed"
        status = "too_few" if n else "not_assessable"
        mean = float(values.mean()) if n else None
        none = Estimate(None, n, "none", status=status, note=note)
        point = Estimate(mean, n, "descriptive", status=status, note=note)
        return RangeTest(
            question, point, margin, level, none, none, none, none,
            "too few patients", "not shown", needed,
        )  # fmt: skip
    cond_low, cond_high = _resampled(values, level=level, seed=seed, reach=reach)
    if reach is None:
        note = "differences have no largest value, so that nothing bounds an unseen patient"
        low, high = (Estimate(None, n, "none", status="undefined", note=note) for _ in range(2))
    elif n >= MANY and cond_low.value is not None:
        low, high = cond_low, cond_high
    else:
        # also where many patients are all alike: a phantom patient is then all that differs
        below, above = paired_bounds(values[:, None] / reach, level=level)
        low = Estimate(reach * float(below[0]), n, "phantom bound", "lower", level)
        high = Estimate(reach * float(above[0]), n, "phantom bound", "upper", level)
    return RangeTest(
        question=question,
        difference=_two_sided(float(values.mean()), n, cond_low, cond_high, level),
        margin=margin,
        level=level,
        lower=low,
        upper=high,
        conditional_lower=cond_low,
        conditional_upper=cond_high,
        verdict=_verdict(low, high, cond_low, cond_high, -margin),
        equivalence=_equivalence(low, high, cond_low, cond_high, margin),
        needed=needed,
    )


def one_per_patient(values: Floats, *, margin: float, level: float) -> Floats:
    """Refuse what is not one finite number per patient, or no margin or level.

    Raises
    ------
    ValueError
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        msg = f"there must be one finite number per patient, got shape {array.shape}"
        raise ValueError(msg)
    if not 0 < margin < math.inf:
        msg = f"margin must be a positive number, got {margin!r}"
        raise ValueError(msg)
    if not 0.5 < level < 1:
        msg = f"level must lie between .5 and 1, got {level!r}"
        raise ValueError(msg)
    return array


def _resampled(
    values: Floats, *, level: float, seed: int, reach: float | None
) -> tuple[Estimate, Estimate]:
    """One-sided studentized bounds; degenerate where resampling has nothing to say."""
    n = len(values)
    low, high = studentized_bounds(values[:, None], bootstrap_weights(n, seed), level=level)
    ends = float(low[0]), float(high[0])
    note = ""
    if float(np.ptp(values)) <= 1e-12:
        note = "the difference is the same in all patients; resampling says nothing of others"
    elif not all(map(math.isfinite, ends)):
        note = "too few patients differ for a resampling bound"
    if note:
        none = Estimate(None, n, "none", status="degenerate", note=note)
        return none, none
    if reach is not None:
        ends = max(-reach, ends[0]), min(reach, ends[1])
    method = "paired studentized bootstrap"
    return (
        Estimate(ends[0], n, method, "lower", level),
        Estimate(ends[1], n, method, "upper", level),
    )


def two_sided_level(level: float) -> float:
    """Level of the interval between two one-sided bounds: .95 gives .9."""
    return round(2 * level - 1, 12)


def _two_sided(mean: float, n: int, low: Estimate, high: Estimate, level: float) -> Estimate:
    """Two-sided interval of the two one-sided bounds."""
    if low.value is None or high.value is None:
        return Estimate(mean, n, "descriptive", status=low.status, note=low.note)
    return Estimate(mean, n, low.method, "two-sided", two_sided_level(level), low.value, high.value)


def _verdict(
    low: Estimate, high: Estimate, cond_low: Estimate, cond_high: Estimate, least: float
) -> RangeVerdict:
    above, below = _compared(least)
    if above(low):
        return "within"
    if below(high):
        return "outside"
    if above(cond_low):
        return "within (conditional)"
    return "outside (conditional)" if below(cond_high) else "undetermined"


def _equivalence(
    low: Estimate, high: Estimate, cond_low: Estimate, cond_high: Estimate, margin: float
) -> Literal["equivalent", "equivalent (conditional)", "not shown"]:
    above, below = _compared(-margin)[0], _compared(margin)[1]
    if above(low) and below(high):
        return "equivalent"
    return "equivalent (conditional)" if above(cond_low) and below(cond_high) else "not shown"


def _compared(
    threshold: float,
) -> tuple[Callable[[Estimate], bool], Callable[[Estimate], bool]]:
    """Tell whether a bound exists and lies above, or below, a threshold."""
    return (
        lambda bound: bound.value is not None and bound.value > threshold,
        lambda bound: bound.value is not None and bound.value < threshold,
    )


def _needed(margin: float, level: float) -> int | None:
    """Fewest patients, all without any difference, whose phantom bound exceeds the margin.

    The bound of n zeros on [-1, 1] is (1 - level)^(1/n) - 1; from `MANY` patients on no phantom is asked.
    """
    for n in range(FEW, MANY):
        if unseen_rate(n, level=level) < margin:
            return n
    return MANY
