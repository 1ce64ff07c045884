"""The perturbed scans of one unit, or why there is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import perturbations
from auditor.execution.job import ConditionRow, condition_rows
from auditor.plan import Unit, scan_name
from auditor.schema import CLEAN, PerturbationSpec, Status
from auditor.systems.running import Asked
from perturbations import Facts, Perturbed, Realisation, Scan, Warp

__all__ = ["Scanned", "evaluation", "moved", "perturb", "same_unit"]


@dataclass(frozen=True, slots=True)
class Scanned:
    """One perturbed scan of a unit, or why there is none."""

    condition: ConditionRow
    scan: Scan
    status: Status
    reason: str
    warp: Warp | None
    facts: str | None = None
    """See `Row.facts`."""


def evaluation(unit: Unit, item: Scanned) -> Asked:
    """Name the evaluation that a perturbed scan is for, as systems that use files name it."""
    severity = item.condition.severity
    return Asked(
        unit.case, unit.perturbation.name, severity, unit.replicate, scan_name(unit, severity)
    )


def perturb(unit: Unit, scan: Scan) -> list[Scanned]:
    """Realise a unit's perturbation once and evaluate it at every planned level.

    Returns
    -------
    list of Scanned
        In the order of the severities. A perturbation that the scan does not admit gives
        `not_applicable` at every severity, a level that changes nothing `no_effect`.
    """
    conditions = condition_rows(unit)
    if unit.perturbation.name == CLEAN:
        return [Scanned(conditions[0], scan, Status.OK, "", None)]
    try:
        realisation = perturbations.realise(
            unit.perturbation.name, scan, seed=unit.seed, **unit.perturbation.options
        )
        if unit.perturbation.iso_effect:
            return _of_equal_effect(realisation, conditions)
        same_unit(unit.perturbation, realisation)
        drawn = [(condition, realisation.at(level=condition.level)) for condition in conditions]
    except ValueError as error:
        return [
            Scanned(condition, scan, Status.NOT_APPLICABLE, str(error), None)
            for condition in conditions
        ]
    return [_scanned(condition, scan, it) for condition, it in drawn]


def same_unit(spec: PerturbationSpec, realisation: Realisation) -> None:
    """Refuse a scan whose levels mean something else than those that were planned.

    Raises
    ------
    ValueError
        When they do.
    """
    planned, own = spec.unit, realisation.listed[1]
    if planned != own:
        msg = (
            f"{spec.name} was planned in {planned}, but on a scan without a spacing in mm its "
            f"levels are in {own}; declare the modality whose levels are in pixels (us, xray, "
            "microscopy), or give images with a spacing"
        )
        raise ValueError(msg)


def _scanned(condition: ConditionRow, scan: Scan, it: Perturbed, *, told: str = "") -> Scanned:
    # the foreground moves under a warp, and what is measured there needs none
    region = None if moved(it.warp) else scan.region
    perturbed = replace(scan, image=it.image, region=region)
    facts = json.dumps(dict(it.facts), sort_keys=True) if it.facts else None
    return Scanned(condition, perturbed, Status(it.status), it.reason or told, it.warp, facts)


def _of_equal_effect(realisation: Realisation, conditions: Sequence[ConditionRow]) -> list[Scanned]:
    """Solve the level of every condition on this scan; its level is a structural similarity."""
    targets = [condition.level for condition in conditions if condition.level is not None]
    found = perturbations.iso_effect_levels(realisation, targets=targets)
    last = len(realisation.listed[0])  # beyond it counts as the next one
    scanned = []
    for condition, solved in zip(conditions, found, strict=True):
        if solved.level is None:
            scanned.append(
                Scanned(condition, realisation.scan, Status.NOT_APPLICABLE, solved.reason, None)
            )
            continue
        told = f"solved for an SSIM of {condition.level:g}: {solved.level:.6g} {solved.unit}"
        at = realisation.at(level=solved.level)
        facts: Facts = {
            "solved_level": solved.level,
            "solved_unit": solved.unit,
            "solved_severity": last + 1.0 if solved.severity is None else solved.severity,
        }
        at = replace(at, facts={**at.facts, **facts})
        scanned.append(_scanned(condition, realisation.scan, at, told=told))
    return scanned


def moved(warp: Warp | None) -> bool:
    """Tell whether anatomy lies elsewhere than in the clean scan."""
    return warp is not None and warp.moves
