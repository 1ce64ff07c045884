"""From a declared claim to its verdict, and to what would change it.

**Conventions.** Failed cases count at their named worst value, and as beyond the value of a share. PASS
needs the bound on the side of the claim, FAIL the opposite bound on the other side; between them the
evidence is insufficient, or no data of this many patients could pass at all.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.intervals import (
    DRAWS,
    FEW,
    bootstrap_weights,
    clopper_pearson_lower,
    clopper_pearson_upper,
    studentized_bounds,
    unseen_rate,
)
from auditor.analysis.phantom import paired_bounds, phantom_lower, phantom_upper
from auditor.metrics.catalog import METRICS
from auditor.schema import ContractStatus, CriterionResult, CriterionSpec, Estimate, Verdict

__all__ = ["Evidence", "attainable", "claim_text", "judge", "overall"]

Floats = NDArray[np.float64]

_SEARCH_DRAWS = 1000
"""Draws of each step of that search, which is said to be approximate."""

_DISTINCT = 100
"""Quantiles that stand for a distribution in that search."""

_MANY = 1_000_000
"""A claim that no perfect data of so many patients could meet cannot be met."""

_MOST_PATIENTS = 20
"""A needed number of patients is looked for up to so many times the present one."""


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


@dataclass(frozen=True, slots=True)
class _Bounds:
    """A point estimate with its one-sided bounds; None where too few patients bound anything."""

    point: float | None
    lower: float | None
    upper: float | None
    method: str


def claim_text(spec: CriterionSpec) -> str:
    """Write the sentence of a claim from its fields, so that text and numbers agree."""
    at = (
        "on clean scans"
        if spec.level is None
        else f"under {spec.perturbation} at {spec.level:g} {spec.unit}".rstrip()
    )
    metric = spec.metric.upper() if len(spec.metric) <= 4 else spec.metric.replace("_", " ")
    who = f"of {spec.label} by {spec.system} {at}"
    where = f" in {spec.stratum[0]} {spec.stratum[1]}" if spec.stratum else ""
    if spec.form == "mean_at_least":
        return f"Mean {metric} {who}{where} is at least {spec.threshold:g}."
    if spec.form == "mean_drop_at_most":
        line = METRICS.get(spec.metric)
        way = "falls" if line is None or line.higher_is_better else "rises"
        return f"Mean {metric} {who}{where} {way} by at most {spec.threshold:g} from clean."
    value = (
        f"at least {spec.value_at_least:g}"
        if spec.value_at_least is not None
        else f"at most {spec.value_at_most:g}"
    )
    share = f"At least {100 * spec.threshold:g} % of patients"
    return f"{share} have {metric} {who}{where} of {value}."


def attainable(spec: CriterionSpec, patients: int, *, level: float) -> bool:
    """Tell whether any data of this many patients could pass; needs no data.

    Assured claims: with n perfect patients the bound is (1 - level)^(1/n), and a drop below
    1 - (1 - level)^(1/n) cannot be assured. Conditional means need ten patients.
    """
    if patients < 2:
        return False  # one patient bounds nothing
    best = 1 - unseen_rate(patients, level=level)
    if spec.form == "share_of_patients_at_least":
        return best >= spec.threshold
    if spec.evidence == "conditional":
        return patients >= FEW
    if spec.form == "mean_drop_at_most":
        return 1 - best <= spec.threshold
    return best >= spec.threshold


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
    if why := _why_not(evidence):
        nothing = _Bounds(None, None, None, "none")
        return _result(spec, Verdict.NOT_RUN, n, nothing, level, None, f"Not run: {why}.")
    scored = _scored(spec, evidence.values)
    if n < evidence.minimum:
        point = _Bounds(float(scored.mean()), None, None, "none")
        told = f"A group needs at least {evidence.minimum} patients, this one has {n}."
        return _result(spec, Verdict.INSUFFICIENT, n, point, level, evidence.minimum, told)
    # one patient bounds nothing, and resampling needs several
    few = n == 1 or (_resampled(spec) and n < FEW)
    bounds = (
        _Bounds(float(scored.mean()), None, None, "none")
        if few
        else _bounds(spec, scored, level, seed)
    )
    verdict = _verdict(spec, bounds)
    # scans that came out better than clean can meet a drop that no absence of a drop could
    improved = spec.form == "mean_drop_at_most" and float(scored.mean()) < 0
    settled = verdict is Verdict.FAIL or (improved and verdict is not Verdict.INSUFFICIENT)
    if not settled and not attainable(spec, n, level=level):
        best = _needed_at_best(spec, level)
        change = _beyond_reach(n, best)
        return _result(spec, Verdict.NOT_ATTAINABLE, n, bounds, level, best, change)
    needed = None
    if verdict is Verdict.INSUFFICIENT:
        needed = _needed(spec, scored, level, seed)
    if verdict is Verdict.FAIL and evidence.contract is ContractStatus.IN_DOUBT:
        verdict = Verdict.CONTRACT_IN_DOUBT
    told = _change(spec, verdict, bounds, n, needed, level)
    change = " ".join(filter(None, (told, *_remarks(spec, scored, evidence))))
    return _result(spec, verdict, n, bounds, level, needed, change)


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
    order = (
        Verdict.FAIL, Verdict.CONTRACT_IN_DOUBT, Verdict.NOT_RUN, Verdict.NOT_ATTAINABLE,
        Verdict.INSUFFICIENT, Verdict.PASS_CONDITIONAL,
    )  # fmt: skip
    found = {result.verdict for result in required}
    worst = next((verdict for verdict in order if verdict in found), Verdict.PASS)
    return f"{worst.value}: {told}"


def _scored(spec: CriterionSpec, values: Floats) -> Floats:
    """Share: 1 where a patient reaches the value; otherwise the values themselves."""
    if spec.form != "share_of_patients_at_least":
        return values
    if spec.value_at_least is not None:
        return (values >= spec.value_at_least).astype(np.float64)
    assert spec.value_at_most is not None  # the configuration asks for one of them
    return (values <= spec.value_at_most).astype(np.float64)


def _bounds(
    spec: CriterionSpec, scored: Floats, level: float, seed: int, counts: Floats | None = None
) -> _Bounds:
    """Bound the mean or share; `counts`: of a search, how many patients each number stands for."""
    n = len(scored)
    point = float(scored.mean())
    if spec.form == "share_of_patients_at_least":
        reached = int(scored.sum())
        return _Bounds(
            point,
            clopper_pearson_lower(reached, n, level=level),
            clopper_pearson_upper(reached, n, level=level),
            "Clopper-Pearson",
        )
    column = scored[:, None]
    if _resampled(spec):
        weights = bootstrap_weights(n, seed, DRAWS if counts is None else _SEARCH_DRAWS)
        low, high = studentized_bounds(column, weights, level=level)
        # where hardly any patient differs the resampled bound is infinite: the range itself bounds then
        least = -1.0 if spec.form == "mean_drop_at_most" else 0.0
        low, high = np.clip(low, least, 1.0), np.clip(high, least, 1.0)
        return _Bounds(point, float(low[0]), float(high[0]), "studentized bootstrap")
    if spec.form == "mean_drop_at_most":
        low, high = paired_bounds(column, level=level, counts=counts)
        return _Bounds(point, float(low[0]), float(high[0]), "phantom bound, paired")
    low = phantom_lower(column, level=level, counts=counts)
    high = phantom_upper(column, level=level, counts=counts)
    return _Bounds(point, float(low[0]), float(high[0]), "phantom bound")


def _resampled(spec: CriterionSpec) -> bool:
    """Tell whether a claim is judged by resampling: conditional on no unseen collapse."""
    return spec.evidence == "conditional" and spec.form != "share_of_patients_at_least"


def _verdict(spec: CriterionSpec, bounds: _Bounds) -> Verdict:
    if bounds.lower is None or bounds.upper is None:
        return Verdict.INSUFFICIENT
    passed = Verdict.PASS_CONDITIONAL if _resampled(spec) else Verdict.PASS
    if spec.form == "mean_drop_at_most":
        if bounds.upper <= spec.threshold:
            return passed
        return Verdict.FAIL if bounds.lower > spec.threshold else Verdict.INSUFFICIENT
    if bounds.lower >= spec.threshold:
        return passed
    return Verdict.FAIL if bounds.upper < spec.threshold else Verdict.INSUFFICIENT


def _needed(spec: CriterionSpec, scored: Floats, level: float, seed: int) -> int | None:
    """About how many patients like these would decide it, one way or the other.

    More patients of one distribution only sharpen the bounds, so the sizes are searched by halving.
    """
    n = len(scored)
    sizes = [n]
    while sizes[-1] < _MOST_PATIENTS * n:
        sizes.append(max(sizes[-1] + 1, int(sizes[-1] * 1.08)))
    first = bisect.bisect_left(
        sizes, x=True, lo=1, key=lambda size: _decided(spec, scored, size, level, seed)
    )
    return sizes[first] if first < len(sizes) else None


def _decided(spec: CriterionSpec, scored: Floats, size: int, level: float, seed: int) -> bool:
    """Tell whether a cohort of this size with the same distribution would decide the claim."""
    kept = size if _resampled(spec) else min(len(scored), _DISTINCT)
    grown = np.sort(scored)[((np.arange(kept) + 0.5) * len(scored) / kept).astype(int)]
    if spec.form == "share_of_patients_at_least":
        grown = (np.arange(size) < round(float(scored.mean()) * size)).astype(np.float64)
    counts = np.full(len(grown), size / len(grown))
    bounds = _bounds(spec, grown, level, seed, counts=counts)
    return _verdict(spec, bounds) is not Verdict.INSUFFICIENT


def _needed_at_best(spec: CriterionSpec, level: float) -> int | None:
    """Fewest patients of whom perfect data would pass; None: no number would."""
    if not attainable(spec, _MANY, level=level):
        return None
    low, high = 1, _MANY  # one patient never suffices
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if attainable(spec, middle, level=level) else (middle, high)
    return high


def _beyond_reach(n: int, best: int | None) -> str:
    told = f"No data of {n} patient(s) could meet it; "
    if best is None:
        return told + "no number of patients could assure a threshold at the end of the range."
    return told + f"at least {best} are needed."


def _change(
    spec: CriterionSpec,
    verdict: Verdict,
    bounds: _Bounds,
    n: int,
    needed: int | None,
    level: float,
) -> str:
    told = []
    if verdict is Verdict.INSUFFICIENT:
        told.append(
            f"About {needed - n} more patient(s) like these would decide it."
            if needed is not None
            else f"More patients like these would not decide it within {_MOST_PATIENTS} times as many: "
            "the estimate lies close to the threshold."
        )
    if verdict is Verdict.PASS_CONDITIONAL:
        rate = unseen_rate(n, level=level)
        told.append(
            f"Holds given no unseen collapse: with {n} patients a rate of failures up to {rate:.1%} "
            "that none of them shows is not excluded.".replace("%", " %")
        )
    if verdict is Verdict.FAIL:
        told.append(f"The claim would need {_gap(spec, bounds)}.")
    if verdict is Verdict.CONTRACT_IN_DOUBT:
        told.append("It would fail, but the system may not have been run as its maker runs it.")
    return " ".join(told)


def _remarks(spec: CriterionSpec, scored: Floats, evidence: Evidence) -> Iterator[str]:
    """Say what a reader must know of the numbers behind a verdict."""
    if _resampled(spec) and np.ptp(scored) == 0:
        yield "All patients have the same value, so resampling them says nothing of others."
    if evidence.failed:
        yield f"{evidence.failed} patient(s) without a value count at the worst value."
    if evidence.left_out:
        yield (
            f"{evidence.left_out} patient(s) are left out: the level changes nothing on their scans, "
            "or there was nothing to find."
        )


def _gap(spec: CriterionSpec, bounds: _Bounds) -> str:
    assert bounds.lower is not None  # a claim fails by its bounds
    assert bounds.upper is not None
    if spec.form == "mean_drop_at_most":
        return f"the mean drop to be at least {bounds.lower - spec.threshold:.3f} smaller"
    what = "share" if spec.form == "share_of_patients_at_least" else "mean"
    return f"the {what} to be at least {spec.threshold - bounds.upper:.3f} higher"


def _result(
    spec: CriterionSpec,
    verdict: Verdict,
    n: int,
    bounds: _Bounds,
    level: float,
    needed: int | None,
    change: str,
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
        text=claim_text(spec),
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
