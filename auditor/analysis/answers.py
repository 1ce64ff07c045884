"""The front page as numbers, and what this audit says nothing about."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.analysis.intervals import unseen_rate
from auditor.analysis.measured import limits_elsewhere, not_assessed_elsewhere
from auditor.analysis.promises import best_at
from auditor.analysis.setup import AnalysisSetup
from auditor.schema import (
    CLEAN,
    Comparison,
    ConformalBound,
    ContractStatus,
    Estimate,
    Headline,
    PerturbationSpec,
    Summary,
)

__all__ = ["headline", "limits", "not_assessed"]


def headline(
    summaries: Sequence[Summary],
    bounds: Sequence[ConformalBound],
    compared: tuple[Comparison, ...],
    setup: AnalysisSetup,
) -> Headline:
    """Collect the five answers: how well, where it fails, under noise, promised, preferable."""
    label = setup.labels[0]
    metric = "dsc" if any(it.name == "dsc" for it in setup.metrics) else setup.metrics[0].name
    own = [it for it in summaries if it.label == label and it.metric == metric]
    clean = [it for it in own if it.perturbation == CLEAN]
    overall = {it.system: it for it in clean if it.axis == "all"}
    order = [record.name for record in setup.systems]
    noise = _noise(setup)
    severity = _nearest(noise, 3.0) if noise else 0.0
    level, unit = _level(noise, severity)
    return Headline(
        label=label,
        metric=metric,
        clean=tuple((name, overall[name].mean) for name in order if name in overall),
        hardest=tuple(_hardest(clean, order, setup)),
        steepest=tuple(_steepest(own, order, setup)),
        promised=tuple(_promised(bounds, order, label)),
        best_clean=best_at(compared, setup, CLEAN, 0.0, label),
        best_noise=best_at(compared, setup, noise.name, severity, label) if noise else (),
        noise_perturbation=noise.name if noise else "",
        noise_severity=severity,
        noise_level=level,
        noise_unit=unit,
    )


def _hardest(
    clean: Sequence[Summary], order: Sequence[str], setup: AnalysisSetup
) -> list[tuple[str, str, str, Estimate]]:
    """Per system, the stratum with the worst mean on clean scans, among those with enough patients.

    Groups that were chosen after results existed do not count: the worst of them would be.
    """
    late = {it.axis for it in setup.strata if it.kind == "descriptive"}
    better = setup.metric(clean[0].metric).higher_is_better if clean else True
    found = []
    for name in order:
        own = [
            it
            for it in clean
            if it.system == name
            and it.axis not in {"all", *late}
            and it.mean.value is not None
            and it.mean.status != "too_few"
        ]
        if own:
            worst = min(own, key=lambda it: (it.mean.value or 0.0) * (1 if better else -1))
            found.append((name, worst.axis, worst.stratum, worst.mean))
    return found


def _steepest(
    own: Sequence[Summary], order: Sequence[str], setup: AnalysisSetup
) -> list[tuple[str, str, float, float | None, str, Estimate]]:
    """Per system, the largest drop at severity 3, or the planned one nearest to it."""
    wanted = {(spec.name, _nearest(spec, 3.0)) for spec in setup.perturbations if spec.severities}
    found = []
    for name in order:
        drops = [
            it
            for it in _main(own)
            if it.system == name
            and it.axis == "all"
            and (it.perturbation, it.severity) in wanted
            and it.drop.value is not None
        ]
        if drops:
            it = max(drops, key=lambda row: row.drop.value or 0.0)
            found.append((name, it.perturbation, it.severity, it.level, it.unit, it.drop))
    return found


def _main(own: Sequence[Summary]) -> list[Summary]:
    """Keep the retained region where a condition has one."""
    retained = {(it.perturbation, it.severity) for it in own if it.region == "retained"}
    return [
        it
        for it in own
        if it.region == "retained" or (it.perturbation, it.severity) not in retained
    ]


def _promised(
    bounds: Sequence[ConformalBound], order: Sequence[str], label: str
) -> list[tuple[str, Estimate, int, int]]:
    found = []
    for name in order:
        for it in bounds:
            if (it.system, it.label, it.perturbation) != (name, label, CLEAN):
                continue
            note = "" if it.rank else f"needs n >= {it.needed}, has {it.n}"
            estimate = Estimate(
                it.bound,
                it.n,
                "split conformal, leave-one-patient-out count",
                "lower" if it.rank else "none",
                1 - it.alpha if it.rank else None,
                status=it.status,
                note=note,
            )
            found.append((name, estimate, it.held, it.counted))
    return found


def _noise(setup: AnalysisSetup) -> PerturbationSpec | None:
    """Find the axis that stands for noise: the modality's own, else the first planned."""
    named = {spec.name: spec for spec in setup.perturbations if spec.severities}
    for name in ("rician_noise", "gaussian_noise"):
        if name in named:
            return named[name]
    noises = [spec for name, spec in named.items() if setup.families.get(name) == "noise"]
    return next(iter([*noises, *named.values()]), None)


def _nearest(spec: PerturbationSpec, wanted: float) -> float:
    return min(spec.severities, key=lambda severity: (abs(severity - wanted), severity))


def _level(spec: PerturbationSpec | None, severity: float) -> tuple[float | None, str]:
    if spec is None:
        return None, ""
    return dict(zip(spec.severities, spec.levels, strict=True))[severity], spec.unit


def not_assessed(setup: AnalysisSetup) -> tuple[str, ...]:
    """List what this audit says nothing about, from what it holds."""
    if setup.measured is not None:
        return not_assessed_elsewhere(setup)
    told = []
    if all(len(record.raters) < 2 for record in setup.cases):
        told.append("Inter-rater disagreement: the cases have fewer than two raters.")
    told += [
        f"{stratum.axis.replace('_', ' ').capitalize()}: {stratum.note}"
        for stratum in setup.strata
        if stratum.kind == "not assessable"
    ]
    if not any(record.metadata for record in setup.cases):
        told.append("Site, scanner and patient groups: the table of cases has no such columns.")
    doubted = [it.name for it in setup.systems if it.contract.status is ContractStatus.IN_DOUBT]
    if doubted:
        told.append(
            f"Whether {', '.join(doubted)} would do better when run as its maker runs it: its contract "
            "is in doubt."
        )
    unproven = [
        it.name for it in setup.systems if it.contract.status is ContractStatus.DECLARED_ONLY
    ]
    if unproven:
        told.append(
            f"Whether {', '.join(unproven)} is run as its maker runs it: there are no golden pairs."
        )
    told += [
        f"Whether another contract fits {it.name} better: {it.contract.sensitivity.note}."
        for it in setup.systems
        if it.contract.sensitivity is not None and not it.contract.sensitivity.cases
    ]
    if setup.response_margin is None and setup.response_floor is None and setup.perturbations:
        told.append(
            "Up to which severity a drop is small enough: no limit was declared (response.margin, "
            "response.floor)."
        )
    if setup.patients < 10:
        told.append(
            f"Anything beyond these {setup.patients} patient(s): they are too few to infer from."
        )
    families = sorted({setup.families.get(spec.name, "") for spec in setup.perturbations} - {""})
    told.append(
        f"Changes of the image other than the simulated ones ({', '.join(families) or 'none'})."
    )
    together = [
        spec.name for spec in setup.perturbations if setup.families.get(spec.name) == "acquisition"
    ]
    if together:
        told.append(
            f"Interactions of several perturbations other than those of {', '.join(together)}: elsewhere one "
            "axis is changed at a time."
        )
    else:
        told.append("Interactions of several perturbations: one axis is changed at a time.")
    if len(setup.systems) > 1:
        told.append(
            "Which architecture is preferable: this compares checkpoints, one training run each."
        )
    told.append("Use by people, clinical benefit, adversarial inputs, and drift after deployment.")
    return tuple(told)


def limits(setup: AnalysisSetup) -> tuple[str, ...]:
    """List what a reader must not conclude."""
    if setup.measured is not None:
        return (*limits_elsewhere(setup.measured, setup), *_shared_limits(setup))
    return (
        (
            "Simulated perturbations are no clinical validation; promises under them cover the simulated "
            "kind of change only."
        ),
        *_shared_limits(setup),
        *_ablated(setup),
    )


def _ablated(setup: AnalysisSetup) -> tuple[str, ...]:
    """Say where ablated systems are left out."""
    count = len(setup.ablated)
    if not count:
        return ()
    one = count == 1
    what = "The ablated system explains" if one else f"The {count} ablated systems explain"
    told = (
        f"{what} a network and {'is' if one else 'are'} used by nobody: {'it is' if one else 'they are'} left "
        "out of every comparison, best set, promise, bound and envelope; what skip connections are worth "
        "stands in a section of its own."
    )
    return (told,)


def _shared_limits(setup: AnalysisSetup) -> tuple[str, ...]:
    """List the limits of the statistics, wherever was measured."""
    return (
        (
            "Intervals and bounds speak of patients like these: they assume that tomorrow's patients are "
            "exchangeable with them."
        ),
        (
            f"With {setup.patients} patient(s) and no failure among them, a rate of failures up to "
            f"{100 * unseen_rate(setup.patients, level=setup.audit.criteria_level):.2g} % is not excluded."
        ),
        "A bound on a new patient's DSC is a statement on the long run of such patients, not on one.",
        (
            "The phantom bounds are exact for zeros and ones and conjectured, and checked by simulation, for "
            "other laws on [0, 1]."
        ),
        (
            f"The numbers of {len(setup.metrics)} metrics over {len(setup.perturbations)} perturbations and "
            f"{len(setup.strata)} axes of strata are many: only declared criteria and simultaneous comparisons "
            "control their errors, everything else is descriptive."
        ),
        (
            "The patient is the unit: replicates and several cases of one patient are averaged first, and a "
            "conformal bound takes the worst of them."
        ),
        (
            "Failures are counted at a metric's named worst value in criteria, comparisons and the worst-case "
            "mean; the plain mean leaves out what has no value."
        ),
    )
