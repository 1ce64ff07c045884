"""A claim and what would change its verdict, in words.

Every sentence is written from the fields, so that text and numbers agree.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.claim_bounds import PASSED, ClaimBounds, resampled
from auditor.analysis.claim_searches import MOST_PATIENTS, most_misses
from auditor.analysis.intervals import unseen_rate
from auditor.metrics.catalog import METRICS
from auditor.schema import CriterionSpec, FailureSensitivity, Verdict

__all__ = ["beyond_reach", "change_text", "claim_text", "sensitivity_text"]

Floats = NDArray[np.float64]


def claim_text(spec: CriterionSpec, unit: str = "") -> str:
    """Write the sentence of a claim from its fields, so that text and numbers agree.

    Parameters
    ----------
    spec
        The claim.
    unit
        Of the metric's values, as mm; empty for a ratio.
    """
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
    return f"{share} have {metric} {who}{where} of {value} {unit}".rstrip() + "."


def beyond_reach(spec: CriterionSpec, n: int, best: int | None) -> str:
    """Say that no data of so many patients could meet a claim, and how many it takes."""
    told = f"No data of {n} patient(s) could meet it; "
    if spec.form == "mean_drop_at_most" and not resampled(spec) and n > 1:
        told = f"No data of {n} patient(s) could meet it unless scans came out better than clean; "
    if best is None:
        return told + "no number of patients could assure a threshold at the end of the range."
    return told + f"at least {best} are needed."


def change_text(
    spec: CriterionSpec,
    verdict: Verdict,
    bounds: ClaimBounds,
    n: int,
    *,
    needed: int | None,
    without_misses: int | None,
    level: float,
) -> str:
    """Say what would change a verdict.

    Parameters
    ----------
    spec, verdict, bounds
        Of the claim; `n` patients.
    needed : all patients that would decide it; None: not within reach
    without_misses : further patients that would make it met if none were a total miss; None: see
        `needed_without_misses`
    level : of the bounds
    """
    told = []
    if verdict is Verdict.INSUFFICIENT:
        told.append(
            f"About {needed - n} more patient(s) like these would decide it."
            if needed is not None
            else f"More patients like these would not decide it within {MOST_PATIENTS} times as many: "
            "the estimate lies close to the threshold."
        )
        if without_misses is not None:
            told.append(
                f"About {without_misses} more patient(s) without a total miss among them would meet it."
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


def sensitivity_text(
    spec: CriterionSpec, verdict: Verdict, found: FailureSensitivity, scored: Floats
) -> Iterator[str]:
    """Say what a reader must know of the patients behind a verdict."""
    if resampled(spec) and np.ptp(scored) == 0:
        yield "All patients have the same value, so resampling them says nothing of others."
    if found.failed:
        yield f"{found.failed} patient(s) without a value count at the worst value."
    if found.verdict_without_failed not in ("", verdict.value):
        yield f"Without them it would be {found.verdict_without_failed}."
    if found.left_out:
        yield (
            f"{found.left_out} patient(s) are left out: the level changes nothing on their scans, "
            "or there was nothing to find."
        )
    if verdict in PASSED and found.misses_survived is not None:
        yield _survived(found, found.misses_survived, most_misses(len(scored)))


def _survived(found: FailureSensitivity, survived: int, most: int) -> str:
    """How many misses among patients without a number, or among further ones, a met claim bears."""
    unknown = found.left_out + found.excluded
    if unknown and survived >= unknown:
        who = "the patient" if unknown == 1 else f"all {unknown} patients"
        return f"It would still be met if {who} left out or excluded were total misses."
    if survived >= most:
        return (
            f"It would still be met with {survived} further total misses, the most that were tried."
        )
    if unknown:
        return (
            f"It would not be met if {survived + 1} of the {unknown} patient(s) left out or excluded were "
            "total misses."
        )
    if survived == 0:
        return "One further patient that is a total miss would undo it."
    return f"It would still be met with {survived} further total miss(es), not with {survived + 1}."


def _gap(spec: CriterionSpec, bounds: ClaimBounds) -> str:
    assert bounds.lower is not None  # a claim fails by its bounds
    assert bounds.upper is not None
    if spec.form == "mean_drop_at_most":
        return f"the mean drop to be at least {bounds.lower - spec.threshold:.3f} smaller"
    what = "share" if spec.form == "share_of_patients_at_least" else "mean"
    return f"the {what} to be at least {spec.threshold - bounds.upper:.3f} higher"
