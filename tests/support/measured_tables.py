"""Small tables of measurements, as others write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from auditor.pipeline.measured_elsewhere import ReadTable, read_measurements
from auditor.pipeline.measured_options import TableOptions
from auditor.schema import Row


def write_table(folder: Path, *lines: str, name: str = "table.csv") -> Path:
    """Write lines as a file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read_lines(folder: Path, *lines: str, **options: Any) -> ReadTable:
    """Write a table and read it back."""
    table = write_table(folder, *lines)
    return read_measurements(table, TableOptions(**options), name="table")


def values_of(read: ReadTable, metric: str = "dsc") -> list[tuple[Any, ...]]:
    """(system, perturbation, severity, case, replicate, value, status) of every measurement, sorted."""
    found = [row for row in read.rows if row.record == "measurement" and row.metric == metric]
    return sorted(
        (it.system, it.perturbation, it.severity, it.case, it.replicate, it.value, it.status)
        for it in found
    )


def rows_of_metric(read: ReadTable, metric: str) -> list[Row]:
    """Measurement rows of one metric, in the order of the table."""
    return [row for row in read.rows if row.record == "measurement" and row.metric == metric]


def wide(patients: int, systems: tuple[str, ...] = ("unet",), dice: float = 0.8) -> list[str]:
    """Lines of a wide table: clean and low, 0.1 lower there; patients rise by 0.005."""
    lines = ["system,patient,condition,dice"]
    for p in range(patients):
        for place, system in enumerate(systems):
            here = dice + 0.005 * p - 0.05 * place
            lines += [f"{system},P{p},clean,{here:.4f}", f"{system},P{p},low,{here - 0.1:.4f}"]
    return lines


def summary_json(folder: Path, name: str, cases: dict[str, dict[str, dict[str, Any]]]) -> Path:
    """Write nnU-Net's summary.json: case -> label -> metrics; NaN as Python writes it."""
    entries = [
        {
            "metrics": metrics,
            "prediction_file": f"/data/predicted/{case}.nii.gz",
            "reference_file": f"/data/labelsTr/{case}.nii.gz",
        }
        for case, metrics in cases.items()
    ]
    path = folder / name / "summary.json"
    path.parent.mkdir(parents=True)
    path.write_text(
        json.dumps({"foreground_mean": {}, "mean": {}, "metric_per_case": entries}),
        encoding="utf-8",
    )
    return path
