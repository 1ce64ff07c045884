"""The operating envelope: up to which level of each axis the declared limits are supported.

All declared limits must hold, each tested at the full level: the chance to support a severity that breaks
one of them stays within one minus the level (intersection-union test; Berger, Technometrics 24, 1982).
A severity is *degraded* where one of them is violated at that severity, each at its own level.
"""

from __future__ import annotations

from collections.abc import Sequence

from auditor.analysis.setup import AnalysisSetup
from auditor.schema import (
    Breakpoint,
    BreakpointStep,
    ContractStatus,
    EnvelopeRow,
    Response,
    StepVerdict,
)

__all__ = ["envelope"]

_ORDER = (
    StepVerdict.VIOLATED,
    StepVerdict.NOT_ATTAINABLE,
    StepVerdict.UNDETERMINED,
    StepVerdict.NOT_ASSESSED,
)
"""Which limit is told of when several are not supported."""


def envelope(responses: Sequence[Response], setup: AnalysisSetup) -> tuple[EnvelopeRow, ...]:
    """Read the envelope from the breakpoints of every axis; nothing is tested anew."""
    doubted = {it.name for it in setup.systems if it.contract.status is ContractStatus.IN_DOUBT}
    return tuple(_row(it, setup, doubted=it.system in doubted) for it in responses)


def _row(response: Response, setup: AnalysisSetup, *, doubted: bool) -> EnvelopeRow:
    found = response.breakpoints
    levels = {it.severity: it.level for it in response.points}
    tested = _tested(response)
    supported = _supported(found)
    degraded = min((it.violated for it in found if it.violated is not None), default=None)
    status, note = _status(found, supported, setup)
    if doubted and StepVerdict.VIOLATED in {it.status for it in found}:
        note = "its contract is in doubt: it may not have been run as its maker runs it"
    for found_one in found:
        levels |= {it.severity: it.level for it in found_one.steps}
    return EnvelopeRow(
        system=response.system,
        label=response.label,
        metric=response.metric,
        perturbation=response.perturbation,
        unit=response.unit,
        claims=tuple((it.claim, it.threshold) for it in found),
        level=setup.audit.criteria_level,
        tested=tested,
        tested_level=None if tested is None else levels.get(tested),
        supported=supported,
        supported_level=None if supported is None else levels.get(supported),
        degraded=degraded,
        degraded_level=None if degraded is None else levels.get(degraded),
        n=_patients(found, supported) if found else response.n,
        status=status,
        note=note,
    )


def _tested(response: Response) -> float | None:
    """Highest severity at which some patient has a number."""
    steps = [step for it in response.breakpoints for step in it.steps]
    known = [it.severity for it in steps if it.verdict is not StepVerdict.NOT_ASSESSED]
    known += [it.severity for it in response.points]
    return max((it for it in known if it > 0), default=None)


def _supported(found: Sequence[Breakpoint]) -> float | None:
    """Severity beyond clean up to which every limit is supported."""
    if not found or any(it.supported is None for it in found):
        return None
    least = min(it.supported for it in found if it.supported is not None)
    return least if least > 0 else None


def _status(
    found: Sequence[Breakpoint], supported: float | None, setup: AnalysisSetup
) -> tuple[StepVerdict, str]:
    if not found:
        if setup.audit.preview:
            return StepVerdict.NOT_ASSESSED, "a preview gives no verdicts"
        return StepVerdict.NOT_ASSESSED, "no margin was declared"
    if supported is not None:
        return StepVerdict.SUPPORTED, ""
    shown = {_first_beyond_clean(it): it.note for it in reversed(found)}
    status = next((it for it in _ORDER if it in shown), StepVerdict.UNDETERMINED)
    return status, shown.get(status, "")


def _first_beyond_clean(it: Breakpoint) -> StepVerdict:
    """Verdict that keeps a limit from being supported beyond clean."""
    if it.supported is None:
        return it.status
    assessed = [step for step in it.steps if step.verdict is not StepVerdict.NOT_ASSESSED]
    later = [step for step in assessed if step.severity > it.supported]
    return later[0].verdict if later and it.supported == 0 else StepVerdict.SUPPORTED


def _patients(found: Sequence[Breakpoint], supported: float | None) -> int:
    """Fewest patients of the severities that are supported, or of the first that is not."""
    counts = [n for it in found for n in _counts(it.steps, supported)]
    return min(counts, default=0)


def _counts(steps: Sequence[BreakpointStep], supported: float | None) -> list[int]:
    assessed = [it for it in steps if it.verdict is not StepVerdict.NOT_ASSESSED]
    kept = [it for it in assessed if supported is not None and it.severity <= supported]
    return [it.estimate.n for it in (kept or assessed[:1])]
