"""Split-conformal lower bounds on the DSC of a new patient.

**Conventions.** Scores are one number per patient, higher is better (several cases: the patient's worst).
The bound is the k-th smallest calibration score; it holds for a new exchangeable patient with
probability at least 1 - alpha (Vovk et al. 2005; Papadopoulos et al. 2002). The PAC rank also holds
against an unlucky calibration set: with probability 1 - delta the coverage is at least 1 - alpha.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.analysis.intervals import clopper_pearson_upper

__all__ = [
    "LeaveOneOut",
    "leave_one_out",
    "lower_bound",
    "marginal_rank",
    "needed_marginal",
    "needed_pac",
    "pac_rank",
    "transferred",
]

Floats = NDArray[np.float64]


def marginal_rank(n: int, alpha: float) -> int:
    """K = floor((n + 1) alpha); 0: not certifiable. One patient certifies nothing."""
    return math.floor(round((n + 1) * alpha, 9)) if n > 1 else 0


def pac_rank(n: int, alpha: float, delta: float) -> int:
    """Largest k with P(Bin(n, alpha) <= k - 1) <= delta; 0: not certifiable.

    The nonparametric tolerance limit (Wilks 1941): P(coverage >= 1 - alpha) >= 1 - delta.
    """
    ranks = np.arange(1, n + 1)
    fitting = ranks[stats.binom.cdf(ranks - 1, n, alpha) <= delta]
    return int(fitting[-1]) if fitting.size else 0


def needed_marginal(alpha: float) -> int:
    """Smallest n with a marginal bound: ceil(1 / alpha) - 1."""
    return math.ceil(round(1 / alpha, 9)) - 1


def needed_pac(alpha: float, delta: float) -> int:
    """Smallest n with a PAC bound: n >= log(delta) / log(1 - alpha)."""
    return math.ceil(round(math.log(delta) / math.log(1 - alpha), 9))


def lower_bound(scores: Floats, rank: int) -> float | None:
    """Return the rank-th smallest score; None at rank 0."""
    return float(np.sort(scores)[rank - 1]) if rank > 0 else None


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


def transferred(calibration: Floats, target: Floats, alpha: float) -> LeaveOneOut:
    """Calibrate on all patients but one, and look at that one's score under another condition.

    Parameters
    ----------
    calibration, target : (patients,)
        The same patients in the same order.
    """
    n = len(calibration)
    rank = marginal_rank(n - 1, alpha)
    if rank == 0:
        return LeaveOneOut(0, 0)
    ordered = np.sort(calibration)
    # without one patient the rank-th smallest moves up by one where that patient stood below it
    bounds = np.where(calibration <= ordered[rank - 1], ordered[rank], ordered[rank - 1])
    return LeaveOneOut(int((target >= bounds).sum()), n)


def transfer_verdict(found: LeaveOneOut, alpha: float, *, clean: bool, level: float = 0.975) -> str:
    """Say what the count means for a bound that was calibrated on clean scans."""
    if found.counted == 0:
        return "not certifiable"
    if clean:
        return "by construction"
    upper = clopper_pearson_upper(found.held, found.counted, level=level)
    return "BROKEN" if upper < 1 - alpha else "no evidence of breaking"
