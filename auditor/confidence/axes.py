"""The table from estimate to severity, read from the stored scans of a run."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from auditor.confidence.placement import axis_of
from auditor.errors import DataError
from auditor.schema.site import SeverityAxis

__all__ = ["axes_of_run"]

_COLUMNS = (
    "case", "perturbation", "severity", "level", "unit", "label", "status",
    "native_level", "estimated_level",
)  # fmt: skip


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
    rows = _rows(run)
    clean: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    added: dict[str, dict[float, dict[str, list[float]]]] = defaultdict(
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
        clean[name][case].append(float(native))  # type: ignore[arg-type]  # a number of parquet
        added[name][severity][case].append(float(estimated))  # type: ignore[arg-type]
        levels[name][severity] = float(row["level"])  # type: ignore[arg-type]
        units[name] = str(row["unit"])
    if not clean:
        raise DataError(_nothing(run, equal))
    return tuple(
        _axis(name, units[name], levels[name], clean[name], added[name], len(clean))
        for name in sorted(clean)
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


def _axis(
    name: str,
    unit: str,
    levels: dict[float, float],
    clean: dict[str, list[float]],
    added: dict[float, dict[str, list[float]]],
    axes: int,
) -> SeverityAxis:
    from perturbations.catalog import get

    estimates = {0.0: [float(np.median(values)) for values in clean.values()]}
    for severity, cases in added.items():
        estimates[severity] = [float(np.median(values)) for values in cases.values()]
    return axis_of(name, unit, {0.0: get(name).neutral, **levels}, estimates, axes=axes)


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
