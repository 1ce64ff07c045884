"""What stands beside a verdict: who waived it, and how much hangs on the patients without a number."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.schema.estimates import Estimate

__all__ = ["FailureSensitivity", "Waiver"]


@dataclass(frozen=True, slots=True)
class Waiver:
    """A declared claim that somebody decided not to insist on."""

    by: str
    """Name or role of who decided it."""
    reason: str


@dataclass(frozen=True, slots=True)
class FailureSensitivity:
    """How a verdict depends on patients without a number of their own."""

    failed: int
    """Patients counted at a worst value."""
    left_out: int
    """Patients who have no number at this condition: no effect, not applicable, or nothing to find."""
    excluded: int
    """Patients excluded by a list before anything was looked at."""
    without_failed: Estimate
    """Mean or share of the patients who have a number of their own."""
    verdict_without_failed: str
    """Of the same claim on those patients alone; empty when nobody failed."""
    misses_survived: int | None
    """So many further patients could be total misses, and the claim would still be met; None: it is not
    met."""
    fragile: bool
    """True: the claim is met, and would not be if all patients left out or excluded were total misses; or
    another verdict stands without the failed patients."""
