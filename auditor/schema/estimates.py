"""A number that does not travel alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number that does not travel alone."""

    value: float | None
    """Point estimate, or the bound itself when `side` is lower or upper; None: see `status`."""
    n: int
    """Patients that enter it."""
    method: str
    """studentized bootstrap, phantom-zero bound, Clopper-Pearson, split conformal, descriptive."""
    side: Literal["two-sided", "lower", "upper", "none"] = "none"
    """none: no statement about other patients (descriptive)."""
    level: float | None = None
    """Confidence level of the interval or bound."""
    low: float | None = None
    """Lower end of a two-sided interval."""
    high: float | None = None
    """Upper end of a two-sided interval."""
    status: str = "ok"
    """ok, too_few, degenerate, not_certifiable, not_assessable, not_applicable, undefined."""
    note: str = ""
    """What a reader must know with it: 'needs n >= 9', 'failure rate up to 0.14 not excluded'."""
