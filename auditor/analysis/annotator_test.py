"""The alternative annotator test: whether a system could stand in for one of the raters.

**Conventions.** Scores as in `auditor.analysis.rater_agreement`. For each rater r the system takes his
place: it *stands in* on a patient when it agrees with the other raters at least as well as r does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.analysis.intervals import FEW, clopper_pearson
from auditor.analysis.phantom import phantom_lower, phantom_upper
from auditor.schema import AnnotatorPosition, AnnotatorTest, Estimate

__all__ = ["annotator_test", "case_stand_in", "holm"]

Floats = NDArray[np.float64]


def case_stand_in(
    model: Sequence[float], between: Sequence[Sequence[float | None]]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Score the system and each rater against the other raters of one case.

    Parameters
    ----------
    model : (k,), k >= 2, score of the system with each rater
    between : (k, k), scores of the raters with each other

    Returns
    -------
    For each r: mean over r' != r of s(M, R_r'), and of s(R_r, R_r'). Both are averaged over the cases of a
    patient before they are compared.

    Raises
    ------
    ValueError
        When there are fewer than two raters, or a score between two raters is missing.

    Examples
    --------
    >>> case_stand_in([0.9, 0.7], [[1.0, 0.8], [0.8, 1.0]])
    ((0.7, 0.9), (0.8, 0.8))
    """
    k = len(model)
    if k < 2 or len(between) != k:
        msg = f"between must be (k, k) for the k = {k} scores of the system, k >= 2"
        raise ValueError(msg)
    own = tuple(_mean(model[j] for j in range(k) if j != i) for i in range(k))
    return own, tuple(_mean(between[i][j] for j in range(k) if j != i) for i in range(k))


def annotator_test(
    model: Floats,
    raters: Floats,
    *,
    least: float,
    level: float,
    names: Sequence[str] | None,
) -> AnnotatorTest:
    """Test for how many patients the system stands in for a rater.

    Parameters
    ----------
    model, raters : (patients, raters)
        Scores of the system in the place of each rater, and of that rater, with the other raters: both
        parts of `case_stand_in`, averaged over the cases of a patient. NaN in both where the rater did not
        see the patient.
    least : in (0, 1)
        Share of patients that must be exceeded; a rater exchangeable with the others reaches .5, and more
        with ties.
    level : in (.5, 1)
        1 - level bounds the chance of any false pass.
    names : of the raters, in the order of the columns; None: raters have no identity across cases
        (anonymous readers who change), and columns are mere positions

    Returns
    -------
    With names: Clopper-Pearson for each rater, and exact binomial tests adjusted by Holm. Without: the
    patient's mean over positions, bounded with a phantom patient, which on zeros and ones is the bound of
    Clopper & Pearson too; positions of one patient are not independent and are not counted as if they
    were. Raters of fewer than 10 patients are described only and leave the family.

    Raises
    ------
    ValueError
        When shapes differ, names are not one a column, or least or level are out of range.

    Notes
    -----
    After Calderon, Reichart & Dror (arXiv 2501.10970), who compare two rates with a cost-benefit
    allowance; here the share itself is tested, so that its bound is exact.
    """
    own = np.asarray(model, dtype=np.float64)
    others = np.asarray(raters, dtype=np.float64)
    if own.ndim != 2 or own.shape != others.shape or (np.isnan(own) != np.isnan(others)).any():
        msg = (
            "model and raters must be (patients, raters) with the same patients missing, got "
            f"{own.shape} and {others.shape}"
        )
        raise ValueError(msg)
    if names is not None and len(names) != own.shape[1]:
        msg = f"names must be one for each of the {own.shape[1]} columns, got {len(names)}"
        raise ValueError(msg)
    if not 0 < least < 1 or not 0.5 < level < 1:
        msg = f"least must lie in (0, 1) and level in (.5, 1), got {least!r} and {level!r}"
        raise ValueError(msg)
    seen = ~np.isnan(own)
    with np.errstate(invalid="ignore"):
        # sums of the same scores in another order may differ in the last bit
        stands = seen & (own >= others - 1e-12)
    if names is None:
        positions = [_pooled(stands, seen, least=least, level=level)]
    else:
        positions = _named(stands, seen, names, least=least, level=level)
    return AnnotatorTest(tuple(positions), least, level, names is None, _verdict(positions))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm, Scandinavian Journal of Statistics 6, 65-70, 1979).

    Examples
    --------
    >>> [round(p, 9) for p in holm([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = largest
    return adjusted


def _named(
    stands: NDArray[np.bool_],
    seen: NDArray[np.bool_],
    names: Sequence[str],
    *,
    least: float,
    level: float,
) -> list[AnnotatorPosition]:
    n = seen.sum(axis=0)
    held = stands.sum(axis=0)
    tested = [place for place in range(len(names)) if n[place] >= FEW]
    raw = [float(stats.binom.sf(held[place] - 1, n[place], least)) for place in tested]
    adjusted = dict(zip(tested, holm(raw), strict=True))
    positions = []
    for place, name in enumerate(names):
        count, share = int(n[place]), None
        if count:
            share = int(held[place]) / count
        if place not in adjusted:
            positions.append(AnnotatorPosition(name, _few(share, count), None, passed=False))
            continue
        low, high = clopper_pearson(int(held[place]), count, level=level)
        estimate = Estimate(share, count, "Clopper-Pearson", "two-sided", level, low, high)
        p = adjusted[place]
        positions.append(AnnotatorPosition(name, estimate, p, passed=p <= round(1 - level, 12)))
    return positions


def _pooled(
    stands: NDArray[np.bool_], seen: NDArray[np.bool_], *, least: float, level: float
) -> AnnotatorPosition:
    """Test the mean over positions, one number a patient."""
    patients = seen.any(axis=1)
    shares = stands[patients].sum(axis=1) / seen[patients].sum(axis=1)
    n = len(shares)
    if n < FEW:
        return AnnotatorPosition(
            "any", _few(float(shares.mean()) if n else None, n), None, passed=False
        )
    column = shares[:, None]
    side = (1 + level) / 2
    low = float(phantom_lower(column, level=side)[0])
    high = float(phantom_upper(column, level=side)[0])
    share = float(shares.mean())
    estimate = Estimate(share, n, "phantom bound", "two-sided", level, low, high)
    passed = float(phantom_lower(column, level=level)[0]) > least
    return AnnotatorPosition("any", estimate, None, passed=passed)


def _few(share: float | None, n: int) -> Estimate:
    note = f"{n} patient(s) are too few to test; at least {FEW} are needed"
    return Estimate(share, n, "descriptive", status="too_few" if n else "not_assessable", note=note)


def _verdict(
    positions: Sequence[AnnotatorPosition],
) -> Literal["for every rater", "for some raters", "for no rater", "too few patients"]:
    if all(position.share.n < FEW for position in positions):
        return "too few patients"
    passed = [position.passed for position in positions]
    if all(passed):
        return "for every rater"
    return "for some raters" if any(passed) else "for no rater"


def _mean(values: Iterable[float | None]) -> float:
    given = list(values)
    scores = [score for score in given if score is not None]
    if len(scores) < len(given):
        msg = "scores between raters must be numbers off the diagonal, got None"
        raise ValueError(msg)
    return math.fsum(scores) / len(scores)
