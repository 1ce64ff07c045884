"""The criteria of a configuration: one form each, at a planned condition."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from auditor.config.problems import Problems, must_be_one_of
from auditor.config.shape import CriterionShape, ValueShape
from auditor.metrics.catalog import METRICS, Metric
from auditor.schema import CLEAN, CriterionSpec, PerturbationSpec

__all__ = ["Declared", "blind_claims", "read_criteria"]

Form = Literal["mean_at_least", "mean_drop_at_most", "share_of_patients_at_least"]
_FORMS: tuple[Form, ...] = ("mean_at_least", "mean_drop_at_most", "share_of_patients_at_least")

Condition = tuple[str, float, float | None, str]
"""Perturbation, severity, level, unit."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What criteria may name."""

    systems: tuple[str, ...]
    """Names of the systems."""
    labels: tuple[str, ...] | None
    """Audited labels; None when a system could not be read."""
    metrics: tuple[str, ...]
    """Names of the metrics."""
    perturbations: tuple[PerturbationSpec, ...]
    """What is planned."""
    strata: tuple[str, ...]
    """Axes of groups."""
    broken: Mapping[str, frozenset[str]]
    """Section -> names that were declared, but could not be read: told once, there."""
    unablated: tuple[str, ...]
    """Names of the systems that run as they are: the only one need not be named."""
    levels_known: bool
    """False without a modality or preset: nobody knows then what is planned, at which levels."""


def read_criteria(
    given: Mapping[str, CriterionShape], declared: Declared, *, problems: Problems
) -> tuple[CriterionSpec, ...]:
    """Read every criterion.

    Parameters
    ----------
    given : mapping of id to CriterionShape
    declared : Declared
        What they may name.
    problems : list of str
        Sentences about what is wrong are added to it.

    Returns
    -------
    tuple of CriterionSpec
        Those that could be read.
    """
    found = []
    for name, shape in given.items():
        own = Problems()
        system = shape.system or (declared.unablated[0] if len(declared.unablated) == 1 else "")
        _check_names(shape, system, declared, own)
        form, threshold = _form(shape, own)
        condition = _condition(shape.at, declared, own)
        if form == "mean_drop_at_most" and condition and condition[0] == CLEAN:
            own.append("at: must be a perturbation, a drop from clean to clean is always 0")
        problems += [f"criteria.{name}.{problem}" for problem in own]
        if own or condition is None or form is None:
            continue
        perturbation, severity, level, unit = condition
        value = shape.reaching or ValueShape()
        found.append(
            CriterionSpec(
                id=name,
                system=system,
                label=shape.label,
                metric=shape.metric,
                perturbation=perturbation,
                level=level,
                severity=severity,
                unit=unit,
                form=form,
                threshold=threshold,
                value_at_least=value.at_least,
                value_at_most=value.at_most,
                evidence=shape.evidence,
                hazard=shape.hazard,
                required=shape.required,
                stratum=next(iter(shape.stratum.items())) if shape.stratum else None,
                waived_by=shape.waived.by if shape.waived else "",
                waived_reason=shape.waived.reason if shape.waived else "",
            )
        )
    return tuple(found)


def blind_claims(criteria: Sequence[CriterionSpec]) -> list[str]:
    """Warn of claims on metrics on which a total miss may look good, unless another claim sees it.

    Returns
    -------
    One sentence for each criterion on such a metric whose system and label no other claim is about
    that would see the miss.
    """
    blind = {name: line.blind for name, line in METRICS.items() if line.blind}
    seen = {
        (it.system, it.label, it.perturbation, it.severity)
        for it in criteria
        if it.metric not in blind
    }
    return [
        f"criteria.{it.id}.metric: {it.metric} cannot see a total miss: {blind[it.metric]}; declare a "
        f"claim on another metric (sensitivity, DSC) of {it.label} at the same condition, too"
        for it in criteria
        if it.metric in blind and (it.system, it.label, it.perturbation, it.severity) not in seen
    ]


def _check_names(shape: CriterionShape, system: str, declared: Declared, own: Problems) -> None:
    broken = declared.broken
    told = {}
    if declared.systems:  # that there is none is told once, under systems
        told["system"] = must_be_one_of(system, declared.systems, broken=broken["systems"])
    if declared.labels:
        told["label"] = must_be_one_of(shape.label, declared.labels)
    if declared.metrics:
        told["metric"] = must_be_one_of(shape.metric, declared.metrics, broken=broken["metrics"])
    for axis in shape.stratum or {}:
        told["stratum"] = must_be_one_of(axis, declared.strata)
    own += [f"{key}: {sentence}" for key, sentence in told.items() if sentence]


def _form(shape: CriterionShape, own: Problems) -> tuple[Form | None, float]:
    given = [(form, value) for form in _FORMS if (value := getattr(shape, form)) is not None]
    if len(given) != 1:
        was = " and ".join(form for form, _ in given) or "none"
        own.append(f"form: must be exactly one of {', '.join(_FORMS)}, was {was}")
        return None, math.nan
    form, threshold = given[0]
    metric = METRICS.get(shape.metric)
    if form == "share_of_patients_at_least":
        _check_value(shape, metric, own)
        return form, threshold
    if shape.reaching is not None:
        own.append(f"with: belongs to share_of_patients_at_least, not to {form}")
    if metric is not None and metric.high != 1.0:
        own.append(
            f"{form}: must be about a metric in [0, 1], {shape.metric} has no upper end; declare "
            "share_of_patients_at_least: .. with: {at_most: ..}"
        )
    elif metric is not None and form == "mean_at_least" and not metric.higher_is_better:
        own.append(
            f"{form}: must be about a metric of which more is better, of {shape.metric} less is; "
            "declare share_of_patients_at_least: .. with: {at_most: ..}"
        )
    elif not 0.0 < threshold < 1.0:
        own.append(f"{form}: must lie between 0 and 1, was {threshold:g}")
    return form, threshold


def _check_value(shape: CriterionShape, metric: Metric | None, own: Problems) -> None:
    """Check the value that a patient must reach: one end, in range, in the metric's direction."""
    value = shape.reaching or ValueShape()
    ends = {"at_least": value.at_least, "at_most": value.at_most}
    named = {key: number for key, number in ends.items() if number is not None}
    if len(named) != 1:
        own.append("with: must be {at_least: value} or {at_most: value}")
        return
    if metric is None:
        return
    ((key, number),) = named.items()
    better = "at_least" if metric.higher_is_better else "at_most"
    if key != better:
        which = "higher" if metric.higher_is_better else "lower"
        own.append(f"with: must be {better} for {metric.name} ({which} is better), was {key}")
    high = math.inf if metric.high is None else metric.high
    if not metric.low <= number <= high:
        own.append(f"with.{key}: must lie in [{metric.low:g}, {high:g}], was {number:g}")


def _condition(
    at: str | Mapping[str, float | str], declared: Declared, own: Problems
) -> Condition | None:
    """Find the planned condition; None without one."""
    if isinstance(at, str):
        return CLEAN, 0.0, None, ""
    if not declared.levels_known:
        return None
    name = str(at["perturbation"]) if "perturbation" in at else next(iter(at))
    by_level = "perturbation" not in at
    wanted = float(at[name] if by_level else at["severity"])
    planned = {spec.name: spec for spec in declared.perturbations}
    if name not in planned:
        told = must_be_one_of(name, tuple(planned), broken=declared.broken["perturbations"])
        if told:
            own.append(f"at: {told} (planned perturbations)")
        return None
    spec = planned[name]
    for severity, level in zip(spec.severities, spec.levels, strict=True):
        if math.isclose(wanted, level if by_level else severity, rel_tol=1e-6):
            return name, severity, level, spec.unit
    listed = ", ".join(f"{value:.4g}" for value in (spec.levels if by_level else spec.severities))
    what = f"level in {spec.unit}" if by_level else "severity"
    own.append(f"at: must be a planned {what} of {name}, one of {listed}, was {wanted:g}")
    return None
