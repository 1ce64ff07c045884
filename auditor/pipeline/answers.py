"""The last lines of the demo, read from its results: one of each answer that an audit can give."""

from __future__ import annotations

from auditor.schema import ContractStatus, CriterionResult, Estimate, Results, Verdict

__all__ = ["demo_lines", "doubt_lines"]


def demo_lines(results: Results) -> list[str]:
    """Six lines: a PASS, a FAIL, an INSUFFICIENT, the preferred systems, promises, controls."""
    passed = (Verdict.PASS, Verdict.PASS_CONDITIONAL)
    undecided = (Verdict.INSUFFICIENT, Verdict.NOT_ATTAINABLE)
    return [
        _verdict_line(results, passed, "no criterion is met"),
        _verdict_line(results, (Verdict.FAIL,), "no criterion fails"),
        _verdict_line(results, undecided, "every criterion is decided"),
        _preference(results),
        _promises(results),
        _controls(results),
    ]


_IN_DOUBT = "CONTRACT IN DOUBT"


def doubt_lines(results: Results) -> list[str]:
    """One line per system whose contract is in doubt."""
    doubted = [
        record for record in results.systems if record.contract.status is ContractStatus.IN_DOUBT
    ]
    audit = results.audit.name
    return [
        f"{_IN_DOUBT:21} {record.name} of {audit}: {record.contract.note}" for record in doubted
    ] or [f"{_IN_DOUBT:21} no contract of {audit} is in doubt"]


def _verdict_line(results: Results, wanted: tuple[Verdict, ...], otherwise: str) -> str:
    found = next((it for it in results.criteria if it.verdict in wanted), None)
    if found is None:
        return f"{wanted[0].value:21} {otherwise}"
    return f"{found.verdict.value:21} {found.id}: {found.text} {_deciding(found)}"


def _deciding(result: CriterionResult) -> str:
    bound = result.opposite if result.verdict is Verdict.FAIL else result.bound
    words = f"({_in_words(bound)})"
    if result.verdict is Verdict.INSUFFICIENT and result.needed_patients is not None:
        words += f" It would need about {result.needed_patients} patients."
    return words


def _in_words(estimate: Estimate) -> str:
    if estimate.value is None:
        return estimate.note or estimate.status
    level = "" if estimate.level is None else f", {100 * estimate.level:.3g} %"
    return f"{estimate.side} bound {estimate.value:.3f}{level}, n = {estimate.n}, {estimate.method}"


def _preference(results: Results) -> str:
    head = results.headline

    def named(systems: tuple[str, ...]) -> str:
        return systems[0] if len(systems) == 1 else f"no clear winner ({', '.join(systems)})"

    level = "" if head.noise_level is None else f" {head.noise_level:g} {head.noise_unit}"
    under = f"{head.noise_perturbation}{level}" if head.noise_perturbation else "noise"
    return (
        f"{'PREFERRED':21} clean scans: {named(head.best_clean)}; "
        f"under {under}: {named(head.best_noise)}"
    )


def _promises(results: Results) -> str:
    held = sum(it.held for it in results.conformal if it.severity == 0 and it.bound is not None)
    counted = sum(
        it.counted for it in results.conformal if it.severity == 0 and it.bound is not None
    )
    share = {f"{100 * (1 - it.alpha):.3g} %" for it in results.conformal} or {"90 %"}
    return (
        f"{'PROMISES':21} lower bounds promised for {min(share)} of new "
        f"patients held for {held} of {counted} (each patient left out of its own calibration)"
    )


def _controls(results: Results) -> str:
    expected = [row for row in results.controls if row.passed is not None]
    good = sum(bool(row.passed) for row in expected)
    return f"{'CONTROLS':21} {good} of {len(expected)} behave as they must"
