"""How long units take, and whether the next one still fits into a time limit.

**Conventions.** Seconds of wall clock, counted where units are handed out: reading the scan, perturbing
it, predicting and scoring are all in them. What a unit is expected to take is what the slowest measured
unit of its perturbation took, for each evaluation; units whose system had to be started first count
only where nothing else is known.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from auditor.plan import Unit
from auditor.schema import CONTROLS

__all__ = ["Ended", "Pace", "Timing", "representative", "whole_s"]


class Ended(StrEnum):
    """Why an execution came to its end."""

    FINISHED = "finished"
    """Every unit of the plan is stored."""
    TIME = "time limit"
    """The next unit would have ended after the limit."""
    INTERRUPTED = "interrupted"
    """Somebody asked for it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What one unit took."""

    perturbation: str
    """Name, or ``clean``."""
    evaluations: int
    """Predictions of one system in it."""
    controls: bool
    """Whether scans and controls were measured beside."""
    warm: bool
    """Whether the worker had done a unit before: its systems were running."""
    seconds: float
    """Wall clock."""

    @property
    def each(self) -> float:
        """Seconds of one evaluation."""
        return self.seconds / self.evaluations


class Pace:
    """A time limit with what was measured so far.

    Parameters
    ----------
    limit_s : float
        From now on; infinite for none.
    earlier : sequence of Timing
        Measured before, by an execution that is now continued.
    now : callable
        The clock, seconds.
    """

    def __init__(
        self,
        limit_s: float,
        *,
        earlier: Sequence[Timing] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.now = now
        self._started = now()
        self._deadline = self._started + limit_s
        self._measured = list(earlier)

    @property
    def measured(self) -> tuple[Timing, ...]:
        """Everything that was measured, in the order in which it ended."""
        return tuple(self._measured)

    @property
    def spent_s(self) -> float:
        """Seconds since the start."""
        return self.now() - self._started

    @property
    def left_s(self) -> float:
        """Seconds to the limit, at least 0."""
        return max(0.0, self._deadline - self.now())

    def remember(self, earlier: Sequence[Timing]) -> None:
        """Take what was measured before, by an execution that is now continued."""
        self._measured = [*earlier, *self._measured]

    def note(self, unit: Unit, seconds: float, *, warm: bool) -> None:
        """Remember what a unit took."""
        controls = CONTROLS in dict(unit.shards)
        self._measured.append(
            Timing(unit.perturbation.name, unit.evaluations, controls, warm, seconds)
        )

    def fits(self, unit: Unit) -> bool:
        """Tell whether a unit would end before the limit; before anything is measured, whether time is left."""
        expected = self.expected_s(unit)
        left = self._deadline - self.now()
        return left > 0 if expected is None else expected <= left

    def expected_s(self, unit: Unit) -> float | None:
        """Tell what a unit is expected to take; None before anything was measured."""
        alike = [it for it in self._measured if it.perturbation == unit.perturbation.name]
        same = [it for it in alike if it.controls == (CONTROLS in dict(unit.shards))]
        for known in (same, alike, self._measured):
            warm = [it for it in known if it.warm] or known
            if warm:
                return max(it.each for it in warm) * unit.evaluations
        return None


def representative(measured: Sequence[Timing]) -> tuple[Timing, ...]:
    """Keep the units that took what they take in a whole audit: with controls and warm, where there are any."""
    with_controls = [it for it in measured if it.controls] or list(measured)
    return tuple([it for it in with_controls if it.warm] or with_controls)


def whole_s(units: Sequence[tuple[str, int]], measured: Sequence[Timing]) -> float | None:
    """Tell what units would take that were not measured themselves.

    Parameters
    ----------
    units : sequence of (perturbation, evaluations)
        Of one worker, with controls.
    measured : sequence of Timing
        Of which the `representative` ones count; a perturbation that was not measured takes the mean of
        the others.

    Returns
    -------
    float or None
        Seconds of one worker; None when nothing was measured.
    """
    known = representative(measured)
    if not known:
        return None
    mean = math.fsum(it.each for it in known) / len(known)
    each: dict[str, list[float]] = {}
    for it in known:
        each.setdefault(it.perturbation, []).append(it.each)
    means = {name: math.fsum(values) / len(values) for name, values in each.items()}
    return math.fsum(means.get(name, mean) * evaluations for name, evaluations in units)
