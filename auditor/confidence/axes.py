"""The table from estimate to severity, read from the stored scans of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auditor.confidence.placement import axis_of
from auditor.errors import DataError
from auditor.schema.site import SeverityAxis

__all__ = ["AxisEstimates", "axes_of_run", "estimates_of_run"]

_COLUMNS = (
    "case", "perturbation", "severity", "level", "unit", "label", "status",
    "native_level", "estimated_level",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AxisEstimates:
    """What the estimator of one axis gives on the scans of a run."""

    perturbation: str
    unit: str
    levels: Mapping[float, float]
    """Severity -> level, without 0."""
    of_cases: Mapping[float, Mapping[str, float]]
    """Severity, 0 included -> case -> estimate; replicates as their median."""


def axes_of_run(run: Path) -> tuple[SeverityAxis, ...]:
    """Read the axes that have an estimator from the folder of a finished run.

    Parameters
    ----------
    run : Path
        With ``scans.parquet``.

    Returns
    -------
    tuple of SeverityAxis
        One per perturbation whose level could be estimated on the clean scans, in alphabetical order.
        A scan is placed among scans, so that every case counts; replicates as their
        median.

    Raises
    ------
    DataError
        When the run holds no scans, or nothing in it can be estimated.
    """
    found = estimates_of_run(run)
    return tuple(_axis(it, len(found)) for it in found)


def estimates_of_run(run: Path) -> tuple[AxisEstimates, ...]:
    """Read what the estimators give on every scan of a finished run; parameters and errors as `axes_of_run`."""
    rows = _rows(run)
    gathered: dict[str, dict[float, dict[str, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    levels: dict[str, dict[float, float]] = defaultdict(dict)
    units: dict[str, str] = {}
    equal: set[str] = set()
    for row in rows:
        name, case = str(row["perturbation"]), str(row["case"])
        native, estimated = row["native_level"], row["estimated_level"]
        if native is None or estimated is None or row["status"] not in ("ok", "no_effect"):
            continue
        if row["unit"] == "SSIM":
            equal.add(name)  # levels of equal effect differ from scan to scan
            continue
        severity = float(row["severity"])  # type: ignore[arg-type]  # never null in a stored row
        gathered[name][0.0][case].append(float(native))  # type: ignore[arg-type]  # a number of parquet
        gathered[name][severity][case].append(float(estimated))  # type: ignore[arg-type]
        levels[name][severity] = float(row["level"])  # type: ignore[arg-type]
        units[name] = str(row["unit"])
    if not gathered:
        raise DataError(_nothing(run, equal))
    return tuple(
        AxisEstimates(
            perturbation=name,
            unit=units[name],
            levels=levels[name],
            of_cases={
                severity: {case: float(np.median(values)) for case, values in cases.items()}
                for severity, cases in gathered[name].items()
            },
        )
        for name in sorted(gathered)
    )


def _nothing(run: Path, equal: set[str]) -> str:
    """Say why a run places no scan."""
    from perturbations.estimate import LEVELS

    if equal:
        return (
            f"{run.name} has {', '.join(sorted(equal))} at levels of equal effect only, which differ from "
            "scan to scan and place none; a run that places scans needs one of them without iso_effect"
        )
    return (
        f"{run.name} holds no perturbation whose level can be estimated on a scan; a run that places "
        f"scans needs one of {', '.join(LEVELS)}"
    )


def _axis(found: AxisEstimates, axes: int) -> SeverityAxis:
    from perturbations.catalog import get

    estimates = {severity: list(cases.values()) for severity, cases in found.of_cases.items()}
    levels = {0.0: get(found.perturbation).neutral, **found.levels}
    return axis_of(found.perturbation, found.unit, levels, estimates, axes=axes)


def _rows(run: Path) -> list[dict[str, object]]:
    """One row per scan and condition: what is measured on a scan is the same for each label."""
    import pyarrow.parquet as pq

    path = run / "scans.parquet"
    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        msg = (
            f"{run.name} must be the folder of a finished run; its scans.parquet cannot be read. Run "
            "`segaudit run` with this folder to finish it"
        )
        raise DataError(msg) from error
    known = [column for column in _COLUMNS if column in table.column_names]
    rows = table.select(known).to_pylist()
    for missing in set(_COLUMNS) - set(known):
        for row in rows:
            row[missing] = None
    if not rows:
        return []
    first = rows[0]["label"]
    return [row for row in rows if row["label"] == first]
