"""How often intervals and bounds hold, counted on cohorts that are drawn from laws with known means.

**Conventions.** A cohort is one column; `cohorts` of them are drawn at once. What is returned says for each
cohort whether the statement about the true value held. Everything is drawn from the given generator, so that
one seed gives one count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.analysis.bands import simultaneous_band
from auditor.analysis.binned_conformal import binned_lowers
from auditor.analysis.conformal import lower_bound, rank_of
from auditor.analysis.intervals import bca_interval, bootstrap_weights, studentized_interval
from auditor.analysis.laws import Law
from auditor.analysis.phantom import paired_bounds, phantom_lower
from auditor.analysis.proven import betting_lower, hoeffding_lower
from auditor.analysis.quantiles import quantile_interval
from auditor.analysis.weighted_conformal import hcp_lower

__all__ = [
    "INTERVALS",
    "LOWER_BOUNDS",
    "Counted",
    "band_held",
    "breakpoint_refused",
    "conformal_coverage",
    "interval_held",
    "lower_bound_held",
    "median_held",
    "mix_held",
    "noisy_bins_held",
]

Floats = NDArray[np.float64]
Held = NDArray[np.bool_]

DRAWS = 1000
"""Bootstrap draws of a simulated cohort."""

_TOGETHER = 100
"""Cohorts that share one matrix of weights; others have another, as independent audits would."""

INTERVALS = ("studentized", "BCa")
"""Two-sided intervals of a mean."""

LOWER_BOUNDS: Mapping[str, Callable[..., Floats]] = {
    "phantom": phantom_lower,
    "betting": betting_lower,
    "Hoeffding": hoeffding_lower,
}
"""One-sided lower bounds of a mean that are meant to hold whatever the law."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How often a statement held."""

    held: int
    drawn: int

    @property
    def share(self) -> float:
        """Coverage, as found."""
        return self.held / self.drawn

    def below(self, level: float, *, doubt: float = 1e-4) -> bool:
        """Tell whether so few would hardly ever be seen of a statement that holds at the level.

        Parameters
        ----------
        level : promised coverage
        doubt : probability with which a statement that just holds it is accused
        """
        return self.held < float(stats.binom.ppf(doubt, self.drawn, level))

    @staticmethod
    def of(held: Held) -> Counted:
        """Count."""
        return Counted(int(held.sum()), int(held.size))


def interval_held(
    law: Law, n: int, *, method: str, cohorts: int, rng: np.random.Generator, level: float = 0.95
) -> Held:
    """Tell of each cohort whether the interval of its mean holds the true mean.

    Parameters
    ----------
    law : of a patient's score
    n : patients of a cohort
    method : of `INTERVALS`
    cohorts : number of cohorts
    rng : numpy Generator
    level : of the interval
    """
    held = []
    for start in range(0, cohorts, _TOGETHER):
        values = law.draw((n, min(_TOGETHER, cohorts - start)), rng)
        weights = bootstrap_weights(n, int(rng.integers(2**62)), DRAWS)
        if method == "studentized":
            low, high = studentized_interval(values, weights, level=level, bounded=True)
        else:
            low, high = bca_interval(values, weights, level=level)
        held.append((low <= law.mean) & (law.mean <= high))
    return np.concatenate(held)


def lower_bound_held(
    law: Law, n: int, *, method: str, cohorts: int, rng: np.random.Generator, level: float = 0.95
) -> Held:
    """Tell of each cohort whether the lower bound of its mean lies at or below the true mean.

    Parameters
    ----------
    method : of `LOWER_BOUNDS`
    law, n, cohorts, rng, level
        See `interval_held`.
    """
    bounds = LOWER_BOUNDS[method](law.draw((n, cohorts), rng), level=level)
    return np.asarray(bounds <= law.mean)


def median_held(
    law: Law, n: int, *, cohorts: int, rng: np.random.Generator, level: float = 0.95
) -> Held:
    """Tell of each cohort whether the order-statistic interval of the median holds the true median."""
    true = law.quantile(0.5)
    held = []
    for column in law.draw((n, cohorts), rng).T:
        found = quantile_interval(column, 0.5, level=level)
        held.append(found is None or found[0] <= true <= found[1])
    return np.array(held)


def conformal_coverage(
    law: Law, n: int, *, alpha: float, delta: float | None, cohorts: int, rng: np.random.Generator
) -> Floats:
    """Coverage of the split-conformal bound of each calibration cohort: P(new score >= bound), exactly.

    Parameters
    ----------
    law, n, cohorts, rng
        See `interval_held`.
    alpha : share of new patients for which it may fail
    delta : of the PAC rank; None: the marginal rank
    """
    rank = rank_of(n, alpha, delta)
    bounds = (lower_bound(column, rank) for column in law.draw((n, cohorts), rng).T)
    # where nothing is certified nothing can fail
    return np.array([1.0 if it is None else 1 - _share_under(law, it) for it in bounds])


def _share_under(law: Law, value: float) -> float:
    """P(score < value): at an atom the score itself does not count."""
    atom = {0.0: law.zeros, 1.0: law.ones}.get(value, 0.0)
    return law.share_below(value) - atom


_MEAN_DROPS = np.array([0.0, 0.01, 0.03, 0.06, 0.1, 0.16])
_COLLAPSES = np.array([0.0, 0.0, 0.01, 0.02, 0.04, 0.06])


def _response(shape: tuple[int, int], rng: np.random.Generator, *, harsh: bool) -> Floats:
    """Scores (cohorts, patients, 6 severities) that fall, while one to six patients of a hundred collapse.

    A patient who collapses at a severity has collapsed at every higher one. Harsh: all others score high and
    alike, and a collapse is total, which is the hardest for any resampling.
    """
    first = rng.beta(*((18, 2) if harsh else (9, 3)), shape)
    loss = _MEAN_DROPS * rng.gamma(4, 0.25, (*shape, 1))
    collapsed = rng.uniform(size=(*shape, 1)) < _COLLAPSES
    rest = 0.0 if harsh else rng.beta(2, 8, (*shape, 1))
    return np.where(collapsed, rest, np.clip(first[..., None] - loss, 0, 1))


def band_held(
    n: int,
    *,
    cohorts: int,
    rng: np.random.Generator,
    level: float = 0.95,
    harsh: bool = False,
) -> Held:
    """Tell of each cohort whether the lower max-T band lies below all six true means at once.

    Parameters
    ----------
    n, cohorts, rng, level
        See `interval_held`.
    harsh : see `_response`
    """
    large = _response((1, 400_000), np.random.default_rng(20), harsh=harsh)
    exact = large.mean(axis=1)[0]
    held = []
    for values in _response((cohorts, n), rng, harsh=harsh):
        weights = bootstrap_weights(n, int(rng.integers(2**62)), DRAWS)
        low, _ = simultaneous_band(values, weights, level=level, side="lower")
        held.append(bool((low <= exact).all()))
    return np.array(held)


def breakpoint_refused(
    n: int,
    *,
    margin: float,
    smooth: float,
    collapse: float,
    cohorts: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> Held:
    """Tell of each cohort whether a drop beyond the margin is *not* excluded by the paired phantom bound.

    Every patient loses `smooth` give or take .03, and a share `collapse` of them loses .9. With a true mean
    drop of just the margin, or above it, the bound must refuse all but a share 1 - level of the cohorts.

    Parameters
    ----------
    margin : of the drop
    smooth : mean loss of a patient who does not collapse
    collapse : share of patients who do
    n, cohorts, rng, level
        See `interval_held`.
    """
    loss = rng.normal(smooth, 0.03, (n, cohorts))
    loss = np.where(rng.uniform(size=loss.shape) < collapse, 0.9, loss)
    _, upper = paired_bounds(np.clip(loss, -1, 1), level=level)
    return np.asarray(upper > margin)


def _noisy(shape: tuple[int, ...], severity: Floats, rng: np.random.Generator) -> Floats:
    """Scores of patients that fall with the severity of their scans; of one patient they go together."""
    patient = rng.normal(size=(*shape, 1))
    own = rng.normal(size=(*shape, len(severity)))
    return 1 / (1 + np.exp(-(2.5 - 0.7 * severity + 0.6 * patient + 0.5 * own)))


def mix_held(n: int, mix: Floats, *, alpha: float, cohorts: int, rng: np.random.Generator) -> Held:
    """Tell of each calibration cohort whether the hierarchical bound holds for one new patient of the mix.

    Parameters
    ----------
    n : calibration patients, each scored at every severity
    mix : (severities,)
        Shares with sum 1.
    alpha, cohorts, rng
        See `conformal_coverage`.
    """
    severity = np.arange(len(mix), dtype=np.float64)
    held = []
    for scores, new in zip(
        _noisy((cohorts, n), severity, rng), _noisy((cohorts,), severity, rng), strict=True
    ):
        bound = hcp_lower(scores, mix, alpha)
        held.append(bound is None or new[rng.choice(len(mix), p=mix)] >= bound)
    return np.array(held)


def noisy_bins_held(
    n: int, *, alpha: float, cohorts: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Tell of each cohort and noise bin whether the clamped bound holds for a new patient of that bin.

    Scans are placed by an estimate of their noise (true severity with an error of .3), for calibration and
    for the new scan alike.

    Returns
    -------
    (cohorts, bins)
    """
    severity = np.arange(5, dtype=np.float64)
    held = np.ones((cohorts, len(severity)), dtype=bool)
    for number in range(cohorts):
        scores = _noisy((n,), severity, rng)
        seen = np.clip(np.rint(severity + rng.normal(0, 0.3, scores.shape)), 0, 4).astype(int)
        bins = [
            np.array(
                [
                    row[at == k].min()
                    for row, at in zip(scores, seen, strict=True)
                    if (at == k).any()
                ]
            )
            for k in range(len(severity))
        ]
        bounds = binned_lowers(bins, alpha=alpha)
        new = _noisy((1,), severity, rng)[0]
        place = np.clip(np.rint(severity + rng.normal(0, 0.3, 5)), 0, 4).astype(int)
        for score, k in zip(new, place, strict=True):
            bound = bounds[k]
            held[number, k] &= bound is None or score >= bound
    return held
