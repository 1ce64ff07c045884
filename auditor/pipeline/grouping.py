"""The groups of an audit: what must fit before the first prediction, and what was frozen then.

Groups are read from the references and the table of cases of the lock. An axis that an amendment added
or changed after results existed is descriptive from then on.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from auditor.analysis.properties import Properties
from auditor.config import AuditConfig
from auditor.config.problems import must_be_one_of
from auditor.errors import ConfigError
from auditor.schema import CaseRecord, Geometry, StratumSpec
from auditor.strata.assign import (
    DETECTION,
    MISSING,
    NOTHING,
    FrozenStratum,
    cross,
    freeze,
    pair_name,
)
from auditor.strata.axes import AXES, MEASURED_AXES
from auditor.strata.window_rules import WINDOW_AXIS, rule_of_stratum, rule_of_system

if TYPE_CHECKING:
    from auditor.pipeline.folder import Lock

__all__ = ["columns_of", "frozen_strata", "grouping_problems", "property_of", "system_windows"]

_FILES = "the files of the cases"


def columns_of(config: AuditConfig, cases: Sequence[CaseRecord]) -> dict[str, list[list[str]]]:
    """Read the columns of metadata that a configuration groups by: axis -> [case, value] of every case.

    They are frozen with the lock: a value that is corrected after results existed changes groups.
    """
    return {
        spec.axis: [[case.case, dict(case.metadata).get(spec.axis, "")] for case in cases]
        for spec in config.strata
        if _is_column(spec)
    }


def grouping_problems(
    config: AuditConfig, cases: Sequence[CaseRecord], geometries: Sequence[Geometry]
) -> tuple[str, ...]:
    """Say what of the declared groups does not fit these cases; needs no prediction and no image.

    Returns
    -------
    tuple of str
        Columns that the table does not have, values that are no numbers where edges are declared,
        windows with other axes than the scans, groups of criteria that no case can be in.
    """
    problems = []
    columns = list(dict.fromkeys(name for case in cases for name, _ in case.metadata))
    names = {
        spec.axis: _possible(spec, geometries[0], config.cases.modality)
        for spec in config.strata
        if geometries and spec.axis in AXES and isinstance(spec.edges, tuple)
    }
    axes = {len(geometry.shape) for geometry in geometries}
    for spec in config.strata:
        if _is_column(spec) and spec.axis not in columns:
            problems.append(_unknown_column(spec.axis, columns))
        elif _is_column(spec):
            values = {case.case: dict(case.metadata).get(spec.axis) for case in cases}
            try:
                names[spec.axis] = freeze(values, spec).names
            except ConfigError as error:
                problems.append("; ".join([str(error).splitlines()[0], *error.problems[:3]]))
        if spec.window is not None and axes and axes != {len(spec.window)}:
            has = " and ".join(f"{n}-D" for n in sorted(axes))
            problems.append(
                f"strata.{spec.axis}.window: must have as many numbers as the scans have axes, which "
                f"are {has}, was {list(spec.window)}"
            )
    for spec in config.strata:
        if spec.cross and all(axis in names for axis in spec.cross):
            first, second = (names[axis] for axis in spec.cross)
            names[spec.axis] = tuple(pair_name(a, b) for a in first for b in second)
    for criterion in config.criteria:
        axis, name = criterion.stratum or ("", "")
        if told := must_be_one_of(name, names[axis]) if axis in names else "":
            problems.append(f"criteria.{criterion.id}.stratum.{axis}: {told}")
    return tuple(problems)


def frozen_strata(
    config: AuditConfig,
    cases: Sequence[CaseRecord],
    geometries: Sequence[Geometry],
    measured: Properties,
    lock: Lock,
) -> tuple[FrozenStratum, ...]:
    """Assign every case to its group on every axis, in the order of the configuration.

    Parameters
    ----------
    config, cases, geometries : of the audit; the first geometry says unit and axes of all
    measured : what is known of each case
    lock : tells what was changed after results existed
    """
    unit, ndim = geometries[0].unit, len(geometries[0].shape)
    frozen: dict[str, FrozenStratum] = {}
    for spec in config.strata:
        if spec.cross:
            continue
        rule = rule_of_stratum(spec, config.systems)
        changed = _changed(spec, lock)
        found = freeze(
            _values(spec, config, cases, measured),
            spec,
            length_unit=unit,
            ndim=ndim,
            modality=config.cases.modality,
            before_predictions=not changed,
            window="" if rule is None else rule.text,
        )
        frozen[spec.axis] = _noted(found, _at_floor(spec, cases, measured), changed=changed)
    for spec in config.strata:
        if spec.cross:
            first, second = (frozen[axis] for axis in spec.cross)
            paired = cross(first, second, spec)
            changed = _changed(spec, lock)
            if changed and paired.kind == "inferential":
                paired = replace(paired, kind="descriptive")
            frozen[spec.axis] = _noted(paired, "", changed=changed)
    return tuple(frozen[spec.axis] for spec in config.strata)


def property_of(spec: StratumSpec, config: AuditConfig) -> tuple[str, str]:
    """Return (name, label) of the property that a measured axis groups by."""
    rule = rule_of_stratum(spec, config.systems)
    name = spec.axis if rule is None else rule.name
    return name, spec.label if AXES[spec.axis].of_label else ""


def system_windows(config: AuditConfig) -> dict[str, str]:
    """Name, for each system that is fed here, the property that holds the share in its windows."""
    known = {spec.name: rule_of_system(spec) for spec in config.systems}
    return {name: rule.name for name, rule in known.items() if rule is not None}


def _possible(spec: StratumSpec, geometry: Geometry, modality: str) -> tuple[str, ...]:
    """Name every group that a case can be in on a measured axis with declared edges."""
    ndim = len(geometry.shape)
    ranges = freeze(
        {"any": 0.0}, spec, length_unit=geometry.unit, ndim=ndim, modality=modality
    ).names
    texts = (NOTHING, DETECTION) if spec.axis == "rater_disagreement" else ()
    return (*ranges, *texts, MISSING)


def _is_column(spec: StratumSpec) -> bool:
    return not spec.cross and spec.axis not in AXES


def _values(
    spec: StratumSpec, config: AuditConfig, cases: Sequence[CaseRecord], measured: Properties
) -> Mapping[str, float | str | None]:
    if _is_column(spec):
        return {case.case: dict(case.metadata).get(spec.axis) for case in cases}
    known = measured.get(property_of(spec, config), {})
    return {case.case: known[case.case].value if case.case in known else None for case in cases}


def _unknown_column(axis: str, columns: Sequence[str]) -> str:
    listed = ", ".join(columns) or "none"
    near = difflib.get_close_matches(axis, [*MEASURED_AXES, *columns], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"strata.{axis}: must be measured ({', '.join(MEASURED_AXES)}), a cross, or a column of the "
        f"table of cases (there are {listed}){hint}"
    )


def _changed(spec: StratumSpec, lock: Lock) -> bool:
    """Tell whether an amendment changed the groups of an axis after results existed."""
    parts = [f"strata.{spec.axis}", f"the column {spec.axis} of the cases"]
    if spec.system and spec.axis == WINDOW_AXIS:
        parts += [f"systems.{spec.system}.window", f"systems.{spec.system}.input"]
    if spec.edges == "tertiles":
        # tertiles of other references are other edges
        parts += [_FILES, "cases", "labels", "label_groups"]
    elif spec.axis in AXES:
        parts += ["cases.reference", "labels", "label_groups"]
    return any(
        key == part or key.startswith(f"{part}.") for key in lock.changed_late for part in parts
    )


def _at_floor(spec: StratumSpec, cases: Sequence[CaseRecord], measured: Properties) -> str:
    """Say on how many cases a texture is not told from the floor that belongs to it."""
    if spec.axis != "texture_disparity":
        return ""
    known = measured.get((spec.axis, spec.label), {})
    held = [known[case.case] for case in cases if case.case in known]
    valued = [it for it in held if it.value is not None]
    alike = sum(it.reason.startswith("not distinguishable") for it in valued)
    return (
        f"{alike} of {len(valued)} cases are not distinguishable from their floor" if alike else ""
    )


def _noted(found: FrozenStratum, more: str, *, changed: bool) -> FrozenStratum:
    late = "changed after results existed: descriptive" if changed else ""
    note = "; ".join(filter(None, (late, found.note, more)))
    return replace(found, note=note)
