"""Split-conformal lower bounds on the DSC of a new patient.

**Conventions.** Scores are one number per patient, higher is better (several cases: the patient's worst;
what failed: DSC 0). Alpha lies in (0, .5]. The bound is the k-th smallest calibration score; it holds for a
new exchangeable patient with probability at least 1 - alpha (Vovk et al. 2005; Papadopoulos et al. 2002).
The PAC rank also holds against an unlucky calibration set: with probability 1 - delta the coverage is at
least 1 - alpha.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.analysis.intervals import clopper_pearson_upper

__all__ = [
    "BROKEN",
    "UNBROKEN",
    "CoverageLaw",
    "LeaveOneOut",
    "check_alpha",
    "coverage_law",
    "leave_one_out",
    "left_out_bounds",
    "lower_bound",
    "marginal_rank",
    "needed_marginal",
    "needed_pac",
    "pac_rank",
    "rank_of",
    "transfer_verdict",
    "transferred",
]

Floats = NDArray[np.float64]

BROKEN = "BROKEN"
"""Even the upper limit of the share for which a bound held lies below what it promised."""
UNBROKEN = "no evidence of breaking"
"""Said with the lower limit: few patients would rarely prove a right bound right."""


def check_alpha(alpha: float, delta: float | None = None) -> None:
    """Refuse rates that no bound is made for.

    Parameters
    ----------
    alpha : share of new patients for which the bound may fail, in (0, .5]
    delta : probability that the calibration set is a bad one, in (0, 1); None: not asked for

    Raises
    ------
    ValueError
        When one lies outside; NaN does.
    """
    if not 0 < alpha <= 0.5:
        msg = f"alpha, the share for which a bound may fail, must lie above 0 and up to 0.5, got {alpha}"
        raise ValueError(msg)
    if delta is not None and not 0 < delta < 1:
        msg = f"delta, the probability of a bad calibration set, must lie between 0 and 1, got {delta}"
        raise ValueError(msg)


@functools.lru_cache(maxsize=4096)
def marginal_rank(n: int, alpha: float) -> int:
    """K = floor((n + 1) alpha); 0: not certifiable. One patient certifies nothing.

    Rounded to nine digits first: (n + 1) (1 - .9) is 1.9999999999999996 at n = 19.
    """
    check_alpha(alpha)
    return math.floor(round((n + 1) * alpha, 9)) if n > 1 else 0


@functools.lru_cache(maxsize=4096)
def pac_rank(n: int, alpha: float, delta: float) -> int:
    """Largest k with P(Bin(n, alpha) <= k - 1) <= delta; 0: not certifiable.

    The nonparametric tolerance limit (Wilks 1941): P(coverage >= 1 - alpha) >= 1 - delta.
    """
    check_alpha(alpha, delta)
    ranks = np.arange(1, n + 1)
    fitting = ranks[stats.binom.cdf(ranks - 1, n, alpha) <= delta]
    return int(fitting[-1]) if fitting.size and n > 1 else 0


def rank_of(n: int, alpha: float, delta: float | None = None) -> int:
    """Return the marginal rank, or with a delta the PAC rank."""
    return marginal_rank(n, alpha) if delta is None else pac_rank(n, alpha, delta)


@functools.lru_cache(maxsize=64)
def needed_marginal(alpha: float) -> int:
    """Smallest n with a marginal bound: ceil(1 / alpha) - 1, and never one patient alone."""
    check_alpha(alpha)
    return max(2, math.ceil(round(1 / alpha, 9)) - 1)


def needed_pac(alpha: float, delta: float) -> int:
    """Smallest n with a PAC bound: n >= log(delta) / log(1 - alpha), and never one patient alone."""
    check_alpha(alpha, delta)
    return max(2, math.ceil(round(math.log(delta) / math.log(1 - alpha), 9)))


def lower_bound(scores: Floats, rank: int) -> float | None:
    """Return the rank-th smallest score; None at rank 0.

    Raises
    ------
    ValueError
        When a score is NaN (sorting would make it the best one), or there are fewer than rank.
    """
    if rank == 0:
        return None
    if np.isnan(scores).any() or not 0 < rank <= len(scores):
        found = f"rank {rank} of {len(scores)}"
        msg = f"a bound needs scores without NaN and a rank up to their number, got {found}"
        raise ValueError(msg)
    return float(np.sort(scores)[rank - 1])


@dataclass(frozen=True, slots=True)
class CoverageLaw:
    """How the coverage of a bound varies from one calibration set to the next: Beta(n + 1 - k, k).

    Exact for continuous scores; with ties the coverage is at least that (Vovk 2012; Marques F.,
    arXiv 2303.02770).
    """

    n: int
    """Calibration patients."""
    rank: int
    """k: the bound is the k-th smallest score, 1 to n."""

    @property
    def mean(self) -> float:
        """Coverage on average over calibration sets: (n + 1 - k) / (n + 1)."""
        return (self.n + 1 - self.rank) / (self.n + 1)

    def quantile(self, share: float) -> float:
        """Coverage that is missed by so large a share of the calibration sets."""
        return _quantile(share, self.n + 1 - self.rank, self.rank)

    def shortfall(self, alpha: float) -> float:
        """Probability that a calibration set covers less than 1 - alpha."""
        return _below(1 - alpha, self.n + 1 - self.rank, self.rank)

    def chance(self, further: int, *, level: float = 0.95) -> tuple[int, int]:
        """Two-sided range of how many of so many further patients a bound holds for.

        The beta-binomial law of Marques F. (arXiv 2303.02770): patients and calibration set are both drawn.
        """
        return _chance(further, self.n + 1 - self.rank, self.rank, level)


@functools.lru_cache(maxsize=4096)
def _quantile(share: float, a: int, b: int) -> float:
    return float(stats.beta.ppf(share, a, b))


@functools.lru_cache(maxsize=4096)
def _below(value: float, a: int, b: int) -> float:
    return float(stats.beta.cdf(value, a, b))


@functools.lru_cache(maxsize=4096)
def _chance(further: int, a: int, b: int, level: float) -> tuple[int, int]:
    law = stats.betabinom(further, a, b)
    tail = (1 - level) / 2
    return int(law.ppf(tail)), int(law.ppf(1 - tail))


def coverage_law(n: int, rank: int) -> CoverageLaw | None:
    """Return the law of the coverage of the rank-th smallest of n scores; None at rank 0.

    Examples
    --------
    >>> law = coverage_law(30, 3)
    >>> round(law.quantile(0.05), 3), round(law.shortfall(0.1), 3)
    (0.805, 0.411)

    Raises
    ------
    ValueError
        When the rank is negative or above n.
    """
    if not 0 <= rank <= n:
        msg = f"the rank of a bound must lie between 0 and its {n} patients, got {rank}"
        raise ValueError(msg)
    return CoverageLaw(n, rank) if rank else None


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """How often a bound held for the patient who was left out of its calibration."""

    held: int
    """Patients for whom it held."""
    counted: int
    """Patients; 0 when the others are too few for a bound."""


def leave_one_out(scores: Floats, alpha: float) -> LeaveOneOut:
    """Calibrate on all patients but one, and look at that one."""
    return transferred(scores, scores, alpha)


def left_out_bounds(calibration: Floats, alpha: float) -> Floats | None:
    """Bound for each patient from the scores of all others; None when the others are too few.

    Parameters
    ----------
    calibration : (patients,), without NaN

    Returns
    -------
    (patients,)
    """
    rank = marginal_rank(len(calibration) - 1, alpha)
    if rank == 0:
        return None
    ordered = np.sort(calibration)
    # without one patient the rank-th smallest moves up by one where that patient stood below it
    moved = np.where(calibration <= ordered[rank - 1], ordered[rank], ordered[rank - 1])
    return np.asarray(moved, dtype=np.float64)


def transferred(calibration: Floats, target: Floats, alpha: float) -> LeaveOneOut:
    """Calibrate on all patients but one, and look at that one's score under another condition.

    Parameters
    ----------
    calibration : (patients,), without NaN
    target : (patients,)
        The same patients in the same order; NaN: not known, and not counted.
    """
    bounds = left_out_bounds(calibration, alpha)
    if bounds is None:
        return LeaveOneOut(0, 0)
    return LeaveOneOut(int((target >= bounds).sum()), int((~np.isnan(target)).sum()))


def transfer_verdict(found: LeaveOneOut, alpha: float, *, clean: bool, level: float = 0.975) -> str:
    """Say what the count means for a bound that was calibrated on clean scans."""
    if found.counted == 0:
        return "not certifiable"
    if clean:
        return "by construction"
    upper = clopper_pearson_upper(found.held, found.counted, level=level)
    return BROKEN if upper < 1 - alpha else UNBROKEN
