"""Whether predictions that were made elsewhere are there, and lie where their scans lie.

Only names and headers are looked at, so that a thousand files cost seconds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from auditor.config import AuditConfig
from auditor.errors import DataError
from auditor.execution.job import condition_rows
from auditor.plan import AuditPlan, scan_name
from auditor.schema import CaseRecord, Geometry, SystemSpec
from auditor.systems.masks import read_answer, told_of_numbers
from auditor.systems.running import Prediction
from auditor.volumes.label_maps import find_label_map, grid_as_written, grid_problem

__all__ = ["look_at_predictions"]

_NAMED = 5
"""Files that are named; of the others only the number is told."""


def look_at_predictions(
    config: AuditConfig,
    plan: AuditPlan,
    cases: Sequence[CaseRecord],
    geometries: Sequence[Geometry],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Look for the prediction of every planned evaluation, in every folder of predictions.

    Parameters
    ----------
    config, plan : of the audit.
    cases : in the order of the manifest.
    geometries : of their scans, in the same order.

    Returns
    -------
    problems : tuple of str
        Folders without a single prediction of this plan.
    warnings : tuple of str
        Evaluations that will fail because a file is missing or lies on another grid, and label numbers
        that nobody declared.
    """
    display = {case.case: case.display_case for case in cases}
    grids = dict(zip((case.case for case in cases), map(grid_as_written, geometries), strict=True))
    problems, warnings = [], []
    for spec in config.systems:
        if spec.predictions is None:
            continue
        where = f"systems.{spec.name}.predictions"
        total, missing, wrong = _found(plan, Path(spec.predictions), display, grids)
        if len(missing) == total:
            problems.append(
                f"{where}: holds no prediction of this plan: none of {total} scans, as "
                f"{', '.join(missing[:_NAMED])}; `segaudit scans` writes them, and after a change of seed, "
                "levels or images they have other names"
            )
        elif missing:
            warnings.append(
                f"{where}: {len(missing)} of {total} planned evaluations have no prediction and will count "
                f"as failed: {_listed(missing)} (a level that changes nothing on a scan needs none)"
            )
        warnings += [f"{where}: {told}" for told in _numbers(spec, plan, grids)]
        if wrong:
            warnings.append(
                f"{where}: {len(wrong)} of {total} predictions cannot be used and will count as rejected: "
                f"{_listed(wrong)}"
            )
    return tuple(problems), tuple(warnings)


def _found(
    plan: AuditPlan, folder: Path, display: Mapping[str, str], grids: Mapping[str, Geometry]
) -> tuple[int, list[str], list[str]]:
    """Return the number of scans, those without a file, and those whose file lies wrong."""
    total, missing, wrong = 0, [], []
    for unit in plan.units:
        for condition in condition_rows(unit):
            total += 1
            name = scan_name(unit, condition.severity)
            told = f"{display[unit.case]} {unit.perturbation.name}"
            told += f" {condition.severity:g}" if condition.severity else ""
            told += f" draw {unit.replicate + 1}" if unit.perturbation.replicates > 1 else ""
            try:
                file = find_label_map(folder, name)
                if file is None:
                    missing.append(f"{told} ({name})")
                elif problem := grid_problem(file, grids[unit.case]):
                    wrong.append(f"{told} ({file.name}: {problem})")
            except DataError as error:
                wrong.append(f"{told} ({error})")
    return total, missing, wrong


def _numbers(spec: SystemSpec, plan: AuditPlan, grids: Mapping[str, Geometry]) -> tuple[str, ...]:
    """Look at the label numbers of the first prediction that can be read."""
    for unit in plan.units:
        for condition in condition_rows(unit):
            with contextlib.suppress(DataError):
                file = find_label_map(
                    Path(str(spec.predictions)), scan_name(unit, condition.severity)
                )
                if file is not None:
                    found = read_answer(file, grids[unit.case], spec.output)
                    if isinstance(found.outcome, Prediction):
                        return told_of_numbers(found.undeclared)
    return ()


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
