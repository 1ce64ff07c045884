"""The criteria of a configuration: one form each, at a planned condition."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence

from auditor.config.shape import CriterionShape
from auditor.errors import ConfigError
from auditor.metrics.catalog import METRICS
from auditor.schema import CLEAN, CriterionSpec, MetricSpec, PerturbationSpec

__all__ = ["read_criteria"]

_FORMS = ("mean_at_least", "mean_drop_at_most", "share_of_patients_at_least")


def read_criteria(
    given: Mapping[str, CriterionShape],
    *,
    systems: Sequence[str],
    labels: Sequence[str],
    metrics: Sequence[MetricSpec],
    perturbations: Sequence[PerturbationSpec],
    problems: list[str],
) -> tuple[CriterionSpec, ...]:
    """Read every criterion; sentences about what is wrong are added to `problems`."""
    found = []
    for name, shape in given.items():
        own: list[str] = []
        system = shape.system or (systems[0] if len(systems) == 1 else "")
        _choose("system", system, systems, own)
        _choose("label", shape.label, labels, own)
        _choose("metric", shape.metric, [spec.name for spec in metrics], own)
        form, threshold = _form(shape, own)
        condition = _condition(shape.at, perturbations, own)
        problems += [f"criteria.{name}.{problem}" for problem in own]
        if own or condition is None:
            continue
        perturbation, severity, level, unit = condition
        value = shape.reaching
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
                form=form,  # type: ignore[arg-type]  # one of _FORMS
                threshold=threshold,
                value_at_least=value.at_least if value else None,
                value_at_most=value.at_most if value else None,
                evidence=shape.evidence,
                hazard=shape.hazard,
                required=shape.required,
                stratum=next(iter(shape.stratum.items())) if shape.stratum else None,
            )
        )
    return tuple(found)


def _choose(key: str, value: str, choices: Sequence[str], problems: list[str]) -> None:
    if value in choices:
        return
    near = difflib.get_close_matches(value, choices, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    was = f"was {value!r}" if value else "is missing"
    problems.append(f"{key}: must be one of {', '.join(choices)}, {was}{hint}")


def _form(shape: CriterionShape, problems: list[str]) -> tuple[str, float]:
    given = [(form, value) for form in _FORMS if (value := getattr(shape, form)) is not None]
    if len(given) != 1:
        problems.append(f"form: exactly one of {', '.join(_FORMS)} is needed, got {len(given)}")
        return _FORMS[0], math.nan
    form, threshold = given[0]
    bounded = shape.metric in METRICS and METRICS[shape.metric].high == 1.0
    if form.startswith("mean") and not bounded:
        problems.append(
            f"{form}: a mean is judged only for metrics in [0, 1]; for {shape.metric} declare "
            "share_of_patients_at_least: .. with: {at_most: ..}"
        )
    if form.startswith("mean") and not 0.0 < threshold < 1.0:
        problems.append(f"{form}: must lie between 0 and 1, was {threshold:g}")
    value = shape.reaching
    ends = 0 if value is None else (value.at_least is not None) + (value.at_most is not None)
    if form == "share_of_patients_at_least" and ends != 1:
        problems.append("with: must be {at_least: value} or {at_most: value}")
    if form != "share_of_patients_at_least" and value is not None:
        problems.append("with: belongs to share_of_patients_at_least only")
    return form, threshold


def _condition(
    at: str | Mapping[str, float | str],
    perturbations: Sequence[PerturbationSpec],
    problems: list[str],
) -> tuple[str, float, float | None, str] | None:
    """Return perturbation, severity, level and unit of a planned condition."""
    if isinstance(at, str):
        return CLEAN, 0.0, None, ""
    planned = {spec.name: spec for spec in perturbations}
    try:
        name, wanted, by_level = _named(at)
    except ConfigError as error:
        problems.append(str(error))
        return None
    if name not in planned:
        near = difflib.get_close_matches(name, planned, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        problems.append(f"at: {name!r} is not among the planned perturbations{hint}")
        return None
    spec = planned[name]
    for severity, level in zip(spec.severities, spec.levels, strict=True):
        if math.isclose(wanted, level if by_level else severity, rel_tol=1e-9):
            return name, severity, level, spec.unit
    listed = ", ".join(f"{value:g}" for value in (spec.levels if by_level else spec.severities))
    what = f"level ({spec.unit})" if by_level else "severity"
    problems.append(f"at: {name} must be at a planned {what}, one of {listed}, was {wanted:g}")
    return None


def _named(at: Mapping[str, float | str]) -> tuple[str, float, bool]:
    """Read {name: level} or {perturbation: name, severity: number}."""
    if set(at) == {"perturbation", "severity"}:
        name, severity = at["perturbation"], at["severity"]
        if isinstance(name, str) and not isinstance(severity, str):
            return name, float(severity), False
    elif len(at) == 1:
        name, level = next(iter(at.items()))
        if not isinstance(level, str):
            return name, float(level), True
    msg = (
        "at: must be clean, {name: level} or {perturbation: name, severity: 2}, "
        f"was {dict(at)!r}"
    )
    raise ConfigError(msg)
