"""From the cells of a table to measurements: every number read strictly, every problem with its line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditor.metrics.policy import FAILURES, NOT_ASKED
from auditor.pipeline.measured_columns import Layout, metric_name
from auditor.pipeline.measured_metrics import TableMetric
from auditor.pipeline.measured_options import TableOptions
from auditor.pipeline.measured_sheets import Sheet
from auditor.schema import CLEAN, Status

__all__ = ["Lines", "Measured", "RawCell", "cells_of", "measured", "number_of"]

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INFINITE = re.compile(r"\+?inf(inity)?", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_NAN = frozenset({"nan", "-nan"})
_ROUNDING = 1e-6
"""A value so little beyond the end of its range is that end, rounded in another number type."""
_SHOWN_LINES = 5


@dataclass(frozen=True, slots=True)
class RawCell:
    """One measurement as it stands in a table."""

    file: str
    line: int
    unit: str
    """What lines are called in this file."""
    texts: Mapping[str, str]
    """Role -> text, without metric and value."""
    metric: str
    """Name in rows and results."""
    value: str
    groups: Mapping[str, str]
    """Column -> text of what is kept with the case."""

    def get(self, role: str) -> str:
        """Return the text of a role; empty without one, and for what tables write where there is none."""
        text = self.texts.get(role, "")
        return "" if text.lower() == "nan" else text


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement, read."""

    cell: RawCell
    perturbation: str
    severity: float
    level: float | None
    value: float | None
    """None: see the status; infinite until a cap is applied."""
    status: Status


class Lines:
    """Problems that are told once with all their lines."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[str, list[str]]] = {}

    def add(self, problem: str, cell: RawCell, was: str = "") -> None:
        """Note a problem of one line."""
        place = f"{cell.line}{f' ({was})' if was else ''}"
        self._lines.setdefault(problem, {}).setdefault(f"{cell.file} {cell.unit}", []).append(place)

    def told(self) -> list[str]:
        """Return one sentence a problem."""
        return [
            f"{problem}: {'; '.join(_listed(where, places) for where, places in files.items())}"
            for problem, files in self._lines.items()
        ]


def _listed(where: str, places: Sequence[str]) -> str:
    shown = list(dict.fromkeys(places))
    more = len(shown) - _SHOWN_LINES
    return f"{where} {', '.join(shown[:_SHOWN_LINES])}{f' and {more} more' if more > 0 else ''}"


def cells_of(sheet: Sheet, layout: Layout, options: TableOptions) -> Iterator[RawCell]:
    """Give every measurement of a table, whatever its layout."""
    shared = {role: text for role, text in sheet.fixed.items() if role != "metric"}
    if options.system:
        shared.setdefault("system", options.system)
    for line, row in sheet.lines:
        texts = shared | {role: row[column] for role, column in layout.roles.items()}
        groups = {column: row[column] for column in layout.groups}

        def cell(
            metric: str,
            value: str,
            *,
            line: int = line,
            texts: Mapping[str, str] = texts,
            groups: Mapping[str, str] = groups,
        ) -> RawCell:
            return RawCell(sheet.name, line, sheet.unit, texts, metric, value, groups)

        if layout.systems:
            for column in layout.systems:
                yield cell(layout.metric, row[column], texts=texts | {"system": column})
        elif layout.metrics:
            for column, metric in layout.metrics.items():
                yield cell(metric, row[column])
        else:
            named = texts.get("metric") or sheet.fixed.get("metric", "")
            yield cell(metric_name(named, options) if named else layout.metric, texts["value"])


def measured(
    cells: Sequence[RawCell],
    metrics: Mapping[str, TableMetric],
    options: TableOptions,
    clean: str,
    lines: Lines,
) -> list[Measured]:
    """Read every cell; empty ones that have no status are left out, they were not measured.

    Parameters
    ----------
    cells : of all tables
    metrics : name -> metric
    options : what the user says
    clean : the clean condition, as the table calls it
    lines : problems are added to it
    """
    found = []
    for cell in cells:
        if not cell.metric:
            lines.add("the metric is empty", cell)
        if cell.metric not in metrics:
            continue  # told once, with the metrics
        at = _condition(cell, options, clean, lines)
        read = _value(cell, metrics[cell.metric], options, lines)
        if at is not None and read is not None:
            found.append(Measured(cell, *at, *read))
    return found


def number_of(text: str) -> float | None:
    """Read a plain finite number; None for anything else."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def _condition(
    cell: RawCell, options: TableOptions, clean: str, lines: Lines
) -> tuple[str, float, float | None] | None:
    """Find (perturbation, severity, level); None with a problem."""
    name = cell.get("perturbation") or cell.get("condition")
    severity_text, level_text = cell.get("severity"), cell.get("level")
    severity = number_of(severity_text) if severity_text else None
    level = number_of(level_text) if level_text else None
    conditioned = {"perturbation", "condition", "severity"} & cell.texts.keys()
    if severity_text and (severity is None or severity < 0.0):
        lines.add("the severity must be a number from 0 on", cell, severity_text[:30])
        return None
    if level_text and level is None:
        lines.add("the level must be a number", cell, level_text[:30])
        return None
    if not conditioned or (name and name == clean) or severity == 0.0:
        return CLEAN, 0.0, None
    if not name:
        if {"perturbation", "condition"} & cell.texts.keys():
            lines.add("the condition is empty", cell)
            return None
        name = "severity"
    if name in options.conditions:
        name, severity = options.conditions[name]
        if severity == 0.0:
            return CLEAN, 0.0, None
    if name == CLEAN:
        lines.add(
            f"the condition {CLEAN!r} must be the clean one: leave --clean out, or rename it", cell
        )
        return None
    severity = 1.0 if severity is None else severity
    return name, severity, severity if level is None else level


def _value(
    cell: RawCell, metric: TableMetric, options: TableOptions, lines: Lines
) -> tuple[float | None, Status] | None:
    """Read (value, status); None where nothing was measured, and with a problem."""
    said = cell.get("status").lower()
    if said and said not in {it.value for it in Status}:
        known = ", ".join(it.value for it in Status)
        lines.add(f"the status must be one of {known}", cell, said[:30])
        return None
    status = Status(said or Status.OK)
    if not cell.value:
        if said == Status.OK:
            lines.add("a value is required where the status is ok", cell)
        return (None, status) if said and status is not Status.OK else None
    if cell.value.lower() in _NAN:
        return math.nan, Status(options.nan) if status is Status.OK else status
    if _INFINITE.fullmatch(cell.value) and math.isinf(metric.high):
        return math.inf, Status.NOT_FINITE if status is Status.OK else status
    value = _number(cell, metric, lines)
    if value is not None and status in {*FAILURES, *NOT_ASKED}:
        lines.add(
            f"a value of {metric.name} must be absent where the status says that there is none",
            cell,
        )
        return None
    return None if value is None else (value, status)


def _number(cell: RawCell, metric: TableMetric, lines: Lines) -> float | None:
    """Read a finite number in the metric's range; None with a problem."""
    infinite = _INFINITE.fullmatch(cell.value)
    value = math.inf if infinite else number_of(cell.value)
    if value is None:
        lines.add(_no_number(metric.name, cell.value), cell, repr(cell.value[:30]))
        return None
    value *= metric.scale
    if not metric.low - _ROUNDING <= value <= metric.high + _ROUNDING:
        lines.add(_beyond(metric, value), cell, cell.value[:30])
        return None
    return min(max(value, metric.low), metric.high)


def _no_number(metric: str, text: str) -> str:
    hint = "; decimals are written with a point" if _COMMA.fullmatch(text) else ""
    return f"a value of {metric} must be a number, inf, nan, or an empty cell for what was not measured{hint}"


def _beyond(metric: TableMetric, value: float) -> str:
    told = f"a value of {metric.name} must lie in [{metric.low:g}, {metric.high:g}]"
    if metric.high == 1.0 and 1.0 < value <= 100.0:
        return f"{told}; these look like per cent: --scale {metric.name}=0.01"
    return told
