"""From a declared claim to its verdict, and to what would change it.

**Conventions.** Failed cases count at their named worst value, and as beyond the value of a share. PASS
needs the bound on the side of the claim, FAIL the opposite bound on the other side; between them the
evidence is insufficient, or no data of this many patients could pass at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.claim_bounds import (
    PASSED,
    ClaimBounds,
    attainable,
    claim_bounds,
    claim_scores,
    decide,
    needed_at_best,
    resampled,
)
from auditor.analysis.claim_searches import (
    misses_survived,
    needed_patients,
    needed_without_misses,
)
from auditor.analysis.claim_words import beyond_reach, change_text, claim_text, sensitivity_text
from auditor.analysis.intervals import FEW
from auditor.schema import (
    ContractStatus,
    CriterionResult,
    CriterionSpec,
    Estimate,
    FailureSensitivity,
    Verdict,
    Waiver,
)

__all__ = ["Evidence", "attainable", "claim_text", "judge", "overall", "waived"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The numbers that a criterion is judged on, one per patient."""

    values: Floats
    """Means and shares: the metric; shares: infinite on the wrong side where it failed. Drops: the change
    for the worse from clean, in [-1, 1]."""
    failed: int
    """Patients that count at a worst value."""
    contract: ContractStatus
    """Of the system."""
    preview: bool
    """True: nothing is judged."""
    exploratory: bool = False
    """True: the audit was declared to give no verdicts."""
    left_out: int = 0
    """Patients without any number: the level changes nothing on them, or there is nothing to find."""
    minimum: int = 0
    """Fewest patients that the claim's group of cases needs; 0: it is about all cases."""
    chosen_late: bool = False
    """True: the groups of cases were chosen after results existed."""
    measured: Floats = field(default_factory=lambda: np.empty(0))
    """`values` of the patients who did not fail: of all their cases that did not."""
    excluded: int = 0
    """Patients excluded by a list before anything was looked at."""
    unit: str = ""
    """Unit of the metric's values, as mm; empty for a ratio."""


def judge(spec: CriterionSpec, evidence: Evidence, *, level: float, seed: int) -> CriterionResult:
    """Judge one criterion.

    Parameters
    ----------
    spec : CriterionSpec
        The claim.
    evidence : Evidence
        One number per patient.
    level : float
        One-sided confidence level.
    seed : int
        Of the resampling.
    """
    n = len(evidence.values)
    made = partial(_result, spec, unit=evidence.unit)
    if why := _why_not(evidence):
        nothing = ClaimBounds(None, None, None, "none")
        return made(Verdict.NOT_RUN, n, nothing, level, None, f"Not run: {why}.")
    scored = claim_scores(spec, evidence.values)
    if n < evidence.minimum:
        point = ClaimBounds(float(scored.mean()), None, None, "none")
        told = f"A group needs at least {evidence.minimum} patients, this one has {n}."
        return made(Verdict.INSUFFICIENT, n, point, level, evidence.minimum, told)
    bounds, verdict = _bounded(spec, scored, level, seed)
    if verdict is Verdict.NOT_ATTAINABLE:
        best = needed_at_best(spec, level)
        change = beyond_reach(spec, n, best)
        return made(Verdict.NOT_ATTAINABLE, n, bounds, level, best, change)
    needed = without_misses = None
    if verdict is Verdict.INSUFFICIENT:
        needed = needed_patients(spec, scored, level=level, seed=seed)
        without_misses = needed_without_misses(spec, scored, level=level, seed=seed)
    verdict = _with_contract(verdict, evidence)
    told = change_text(
        spec, verdict, bounds, n, needed=needed, without_misses=without_misses, level=level
    )
    hanging = _sensitivity(spec, evidence, scored, verdict, level=level, seed=seed)
    remarks = sensitivity_text(spec, verdict, hanging, scored)
    change = " ".join(filter(None, (told, *remarks)))
    return replace(made(verdict, n, bounds, level, needed, change), sensitivity=hanging)


def _bounded(
    spec: CriterionSpec, scored: Floats, level: float, seed: int
) -> tuple[ClaimBounds, Verdict]:
    """Bound the numbers of a claim, and compare them with its threshold."""
    n, point = len(scored), float(scored.mean())
    # one patient bounds nothing, and resampling needs several
    few = n == 1 or (resampled(spec) and n < FEW)
    bounds = (
        ClaimBounds(point, None, None, "none") if few else claim_bounds(spec, scored, level, seed)
    )
    verdict = decide(spec, bounds)
    # scans that came out better than clean can meet a drop that no absence of a drop could
    improved = spec.form == "mean_drop_at_most" and point < 0
    settled = verdict is Verdict.FAIL or (improved and verdict is not Verdict.INSUFFICIENT)
    if not settled and not attainable(spec, n, level=level):
        verdict = Verdict.NOT_ATTAINABLE
    return bounds, verdict


def _with_contract(verdict: Verdict, evidence: Evidence) -> Verdict:
    """Take a failure back where the system may not have been run as meant."""
    doubted = evidence.contract is ContractStatus.IN_DOUBT
    return Verdict.CONTRACT_IN_DOUBT if verdict is Verdict.FAIL and doubted else verdict


def _sensitivity(
    spec: CriterionSpec,
    evidence: Evidence,
    scored: Floats,
    verdict: Verdict,
    *,
    level: float,
    seed: int,
) -> FailureSensitivity:
    """Ask the same of the patients with a number of their own, and of further misses."""
    method = "mean over patients with a number of their own"
    own = claim_scores(spec, evidence.measured)
    n = len(own)
    note = "" if n else "no patient has a number of its own"
    mean = Estimate(
        float(own.mean()) if n else None,
        n,
        method,
        status="ok" if n else "not_assessable",
        note=note,
    )
    without = ""
    if evidence.failed and n:
        few = n < evidence.minimum
        found = Verdict.INSUFFICIENT if few else _bounded(spec, own, level, seed)[1]
        without = _with_contract(found, evidence).value
    survived = None
    if verdict in PASSED:
        survived = misses_survived(spec, scored, level=level, seed=seed)
    unknown = evidence.left_out + evidence.excluded
    return FailureSensitivity(
        failed=evidence.failed,
        left_out=evidence.left_out,
        excluded=evidence.excluded,
        without_failed=mean,
        verdict_without_failed=without,
        misses_survived=survived,
        fragile=(survived is not None and survived < unknown)
        or (without not in ("", verdict.value)),
    )


def waived(result: CriterionResult, waiver: Waiver) -> CriterionResult:
    """Set a verdict aside: it stays in the text, and the claim no longer decides the audit."""
    told = f"Waived by {waiver.by}: {waiver.reason}. Otherwise it would be {result.verdict.value}."
    return replace(
        result,
        verdict=Verdict.WAIVED,
        waiver=waiver,
        change=" ".join(filter(None, (told, result.change))),
    )


def _why_not(evidence: Evidence) -> str:
    """Say why nothing is judged; empty when something is."""
    if evidence.preview:
        return "a preview gives no verdicts"
    if evidence.exploratory:
        return "an exploratory audit gives no verdicts"
    if evidence.chosen_late:
        return "its groups of cases were changed after results existed, and are descriptive"
    return "" if len(evidence.values) else "no patient was evaluated"


def overall(results: tuple[CriterionResult, ...], *, purpose: str, preview: bool) -> str:
    """Summarise the verdicts: all required criteria must pass, so each is tested at full level."""
    required = [result for result in results if result.required]
    if preview:
        return "PREVIEW: no verdicts"
    if purpose == "exploratory" or not required:
        return "EXPLORATORY: no declared claim decides this audit"
    met = [it for it in required if it.verdict in (Verdict.PASS, Verdict.PASS_CONDITIONAL)]
    told = f"{len(met)} of {len(required)} declared claims supported"
    aside = sum(result.verdict is Verdict.WAIVED for result in required)
    if aside:
        told += f", {aside} waived"
    order = (
        Verdict.FAIL, Verdict.CONTRACT_IN_DOUBT, Verdict.NOT_RUN, Verdict.NOT_ATTAINABLE,
        Verdict.INSUFFICIENT, Verdict.PASS_CONDITIONAL, Verdict.PASS,
    )  # fmt: skip
    found = {result.verdict for result in required}
    worst = next((verdict for verdict in order if verdict in found), Verdict.WAIVED)
    return f"{worst.value}: {told}"


def _result(
    spec: CriterionSpec,
    verdict: Verdict,
    n: int,
    bounds: ClaimBounds,
    level: float,
    needed: int | None,
    change: str,
    *,
    unit: str,
) -> CriterionResult:
    drop = spec.form == "mean_drop_at_most"

    def bound(side: str) -> Estimate:
        value = bounds.lower if side == "lower" else bounds.upper
        if value is None:
            return Estimate(None, n, "none", status="not_assessable", note=change)
        return Estimate(value, n, bounds.method, side, level)  # type: ignore[arg-type]  # lower or upper

    point = (
        Estimate(None, n, "none", status="not_assessable", note=change)
        if bounds.point is None
        else Estimate(bounds.point, n, "mean over patients")
    )
    return CriterionResult(
        id=spec.id,
        text=claim_text(spec, unit),
        system=spec.system,
        label=spec.label,
        metric=spec.metric,
        perturbation=spec.perturbation,
        severity=spec.severity,
        level=spec.level,
        unit=spec.unit,
        form=spec.form,
        threshold=spec.threshold,
        evidence=spec.evidence,
        hazard=spec.hazard,
        required=spec.required,
        verdict=verdict,
        estimate=point,
        bound=bound("upper" if drop else "lower"),
        opposite=bound("lower" if drop else "upper"),
        needed_patients=needed,
        change=change,
    )
