"""What `check` shows of the axes of groups: read from the references, before any prediction.

Every declared axis that is measured is looked at, and beside them, for each label, those that cost
little more than the reading of a reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from auditor.cases import LoadedCase, load_case
from auditor.config import AuditConfig
from auditor.errors import AuditError
from auditor.pipeline.grouping import property_of
from auditor.schema import CaseRecord, Geometry, InputSpec, ScoredLabel, StratumSpec
from auditor.strata.assign import FrozenStratum, cross, freeze
from auditor.strata.axes import AXES
from auditor.strata.foreground import foreground_ratio
from auditor.strata.measure import case_properties
from auditor.strata.proposals import AxisProposals, grouped, propose
from auditor.strata.raters import rater_disagreement
from auditor.strata.window_rules import rule_of_stratum
from auditor.strata.windows import native_window
from perturbations import estimate

__all__ = ["axis_proposals"]

Values = dict[tuple[str, str], float | str | None]
"""(property, label) -> value of one case."""

_CHEAP_VOXELS = 500_000_000
"""Voxels times raters of all cases, up to which their disagreement is measured without being asked for."""

_ESTIMATES = {
    "native_noise": estimate.estimate_noise,
    "native_blur": estimate.estimate_blur,
    "native_bias": estimate.estimate_bias,
}


def axis_proposals(
    config: AuditConfig,
    cases: Sequence[CaseRecord],
    geometries: Sequence[Geometry],
    *,
    told: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[AxisProposals, ...]:
    """Measure the axes of groups on every case, and propose where to cut them.

    Parameters
    ----------
    config, cases, geometries : of the audit
    told : is told how many of how many cases were measured

    Returns
    -------
    Declared axes that are measured, in the order of the configuration; then those that nobody declared;
    then declared columns of the table and crosses, whose groups are as they are.
    """
    declared = [spec for spec in config.strata if spec.axis in AXES]
    specs = [*declared, *_beside(config, cases, geometries, declared)]
    if not cases:
        return ()
    found: dict[str, Values] = {}
    for number, record in enumerate(cases, start=1):
        found[record.case] = _measured(config, record, specs)
        told(number, len(cases))
    patients = {record.case: record.patient for record in cases}
    unit, ndim = geometries[0].unit, len(geometries[0].shape)
    shown = []
    frozen: dict[str, FrozenStratum] = {}
    for place, spec in enumerate(specs):
        key = property_of(spec, config)
        values = {case: measured.get(key) for case, measured in found.items()}
        shown.append(
            propose(
                values,
                patients,
                spec,
                declared=place < len(declared),
                length_unit=unit,
                ndim=ndim,
                modality=config.cases.modality,
                note=_windows(spec, config, geometries[0]),
            )
        )
        if place < len(declared):
            frozen[spec.axis] = freeze(
                values, spec, length_unit=unit, ndim=ndim, modality=config.cases.modality
            )
    return (*shown, *_as_they_are(config, cases, frozen, patients))


def _as_they_are(
    config: AuditConfig,
    cases: Sequence[CaseRecord],
    frozen: dict[str, FrozenStratum],
    patients: dict[str, str],
) -> Iterator[AxisProposals]:
    """Count the groups of declared columns of the table, and of crosses."""
    for spec in config.strata:
        if not spec.cross and spec.axis not in AXES:
            column = {case.case: dict(case.metadata).get(spec.axis) for case in cases}
            frozen[spec.axis] = freeze(column, spec)
            yield grouped(frozen[spec.axis], patients)
    for spec in config.strata:
        if spec.cross:
            first, second = (frozen[axis] for axis in spec.cross)
            yield grouped(cross(first, second, spec), patients)


def _windows(spec: StratumSpec, config: AuditConfig, first: Geometry) -> str:
    """Say in which windows a share is measured, and how large they are on the first scan."""
    rule = rule_of_stratum(spec, config.systems)
    if rule is None:
        return ""
    try:
        native = native_window(rule, first)
    except AuditError:
        native = None  # told by the dry case
    if native is None or rule.grid == InputSpec():
        return f"windows {rule.text}"
    size = " x ".join(f"{length:.3g}" for length in native)
    return f"windows {rule.text}: about {size} voxels of the first scan"


def _beside(
    config: AuditConfig,
    cases: Sequence[CaseRecord],
    geometries: Sequence[Geometry],
    declared: Sequence[StratumSpec],
) -> list[StratumSpec]:
    """List axes that nobody declared and that cost little."""
    known = {(spec.axis, spec.label) for spec in declared}
    names = ["foreground_ratio", "object_volume"]
    work = sum(
        len(record.raters) * math.prod(geometry.shape)
        for record, geometry in zip(cases, geometries, strict=False)
    )
    if any(len(record.raters) > 1 for record in cases) and work <= _CHEAP_VOXELS:
        names.append("rater_disagreement")
    return [
        StratumSpec(name, label.name)
        for label in config.scored
        for name in names
        if (name, label.name) not in known
    ]


def _measured(config: AuditConfig, record: CaseRecord, specs: Sequence[StratumSpec]) -> Values:
    """Measure what some axes need of one case; nothing of a case that cannot be read."""
    try:
        case = load_case(
            record,
            modality=config.cases.modality,
            state=config.cases.state,
            labels=config.labels,
            reference_rule=config.cases.reference,
        )
    except AuditError:
        return {}  # told by the check of the files
    scored = {label.name: label for label in config.scored}
    keys = [property_of(spec, config) for spec in specs]
    rules = [rule for spec in specs if (rule := rule_of_stratum(spec, config.systems)) is not None]
    values: Values = {}
    for label in dict.fromkeys(label for _, label in keys if label):
        names = {name for name, its in keys if its == label}
        mask = scored[label].mask(case.references["reference"])
        if "foreground_ratio" in names:
            values["foreground_ratio", label] = foreground_ratio(mask)
        if names & {"rater_disagreement", "rater_dsc"}:
            values |= _of_raters(case, scored[label])
        values |= {
            (it.name, label): it.value
            for it in case_properties(
                case.scan.image, {label: mask}, case.geometry, rules, wanted=names.__contains__
            )
        }
    values |= {
        (name, ""): estimator(case.scan)
        for name, estimator in _ESTIMATES.items()
        if (name, "") in keys
    }
    return values


def _of_raters(case: LoadedCase, label: ScoredLabel) -> Values:
    masks = [label.mask(mask) for name, mask in case.references.items() if name != "reference"]
    found = rater_disagreement(masks, case.geometry.spacing, case.geometry.unit)
    return {
        ("rater_disagreement", label.name): found.stratum_value,
        ("rater_dsc", label.name): found.dsc,
    }
