"""How often promised bounds held on patients who did not calibrate them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.conformal import BROKEN, UNBROKEN, check_alpha
from auditor.analysis.intervals import clopper_pearson

__all__ = ["KeptPromises", "kept"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class KeptPromises:
    """Promises counted on fresh patients."""

    held: int
    """Patients all of whose bounds held."""
    counted: int
    """Patients with a bound and a DSC."""
    without_bound: int
    """Patients with a DSC who were promised nothing: not rated, or not certifiable."""
    without_value: int
    """Patients with a bound whose DSC is not known."""
    nominal: float
    """1 - alpha."""
    low: float | None
    """Clopper-Pearson, two-sided at `level`; None: nothing was counted."""
    high: float | None
    level: float
    verdict: str
    """BROKEN, no evidence of breaking, nothing to count."""
    note: str
    """In words, with every number."""


def kept(
    bounds: Floats,
    values: Floats,
    *,
    alpha: float,
    level: float = 0.95,
    patients: NDArray[np.intp] | None = None,
) -> KeptPromises:
    """Count the patients for whom their bounds held.

    Parameters
    ----------
    bounds : (scans,), NaN: none was given
    values : (scans,), the DSC that was then measured; what failed counts 0; NaN: not known
    alpha : share of the bounds that may fail, in (0, .5]
    level : of the interval
    patients : (scans,), number of each scan's patient; None: one scan each
        A patient counts as kept when every bound of that patient held.

    Raises
    ------
    ValueError
        When the arrays do not fit.

    Examples
    --------
    >>> kept(np.full(20, 0.7), np.append(np.full(18, 0.8), [0.1, 0.2]), alpha=0.1).note
    'held for 18 of 20 patients (.683 to .988; promised: .9)'
    """
    check_alpha(alpha)
    numbers = np.arange(len(bounds)) if patients is None else patients
    if not bounds.shape == values.shape == numbers.shape:
        found = f"{bounds.shape}, {values.shape}, {numbers.shape}"
        msg = f"every scan needs a bound, a value and a patient, got {found}"
        raise ValueError(msg)
    given, known = ~np.isnan(bounds), ~np.isnan(values)
    both = set(numbers[given & known].tolist())
    missed = set(numbers[given & known & (values < bounds)].tolist())
    counted, held = len(both), len(both) - len(missed)
    silent = len(set(numbers[known & ~given].tolist()) - both)
    blank = len(set(numbers[given & ~known].tolist()) - both)
    if not counted:
        note = "no patient has both a bound and a DSC"
        return KeptPromises(
            0, 0, silent, blank, 1 - alpha, None, None, level, "nothing to count", note
        )
    low, high = clopper_pearson(held, counted, level=level)
    verdict = BROKEN if high < 1 - alpha else UNBROKEN
    interval = f"{_short(low)} to {_short(high)}; promised: {_short(1 - alpha)}"
    note = f"held for {held} of {counted} patients ({interval})"
    return KeptPromises(held, counted, silent, blank, 1 - alpha, low, high, level, verdict, note)


def _short(share: float) -> str:
    return f"{share:.3f}".rstrip("0").rstrip(".").removeprefix("0") or "0"
