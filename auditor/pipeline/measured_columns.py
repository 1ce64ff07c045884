"""What each column of a table of measurements is: recognised by its name, or said by its user.

**Layouts.** A *long table* has a column of metrics and one of values; a *wide table* one column per
metric; or *one column per system*. A column that is nothing of this may group cases, if its user names it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditor.metrics.catalog import METRICS
from auditor.pipeline.measured_options import TableOptions
from auditor.pipeline.measured_sheets import Sheet
from auditor.schema import ReadColumn

__all__ = ["Layout", "layout_of", "metric_name"]

_ROLE_NAMES: Mapping[str, tuple[str, ...]] = {
    "system": ("system", "model", "method", "algorithm", "network"),
    "family": ("family", "architecture_family"),
    "training_seed": ("training_seed", "seed"),
    "case": ("case", "case_id", "caseid", "image", "image_id", "scan", "scan_id"),
    "patient": ("patient", "patient_id", "patientid", "subject", "subject_id", "participant_id"),
    "condition": ("condition",),
    "perturbation": ("perturbation", "corruption"),
    "severity": ("severity",),
    "level": ("level",),
    "unit": ("unit",),
    "replicate": ("replicate",),
    "label": ("label", "structure", "organ"),
    "metric": ("metric", "measure"),
    "value": ("value", "score"),
    "status": ("status",),
    "reason": ("reason",),
}
"""Role -> names of columns that are read as it, letters and underscores only."""

_METRIC_NAMES: Mapping[str, tuple[str, ...]] = {
    "dsc": ("dsc", "dice", "dice_score", "dice_coefficient", "dice_similarity_coefficient"),
    "iou": ("iou", "jaccard", "jaccard_index"),
    "hd95": ("hd95", "hausdorff95", "hausdorff_95", "hausdorff_distance_95", "hd_95"),
    "hd100": ("hd100", "hd", "hausdorff", "hausdorff_distance"),
    "assd": ("assd", "asd", "average_symmetric_surface_distance", "avg_symmetric_surface_distance"),
    "nsd": ("nsd", "surface_dice", "normalised_surface_distance", "normalized_surface_distance"),
    "precision": ("precision", "ppv"),
    "sensitivity": ("sensitivity", "recall", "tpr", "true_positive_rate"),
    "specificity": ("specificity", "tnr", "true_negative_rate"),
}
"""Name in the catalogue -> names that are read as it."""

_METRIC_OF = {name: metric for metric, names in _METRIC_NAMES.items() for name in names}


@dataclass(frozen=True, slots=True)
class Layout:
    """What the columns of one table are."""

    kind: str
    """long table, wide table, one column per system, nnU-Net summary."""
    roles: Mapping[str, str]
    """Role -> column."""
    metrics: Mapping[str, str]
    """Column -> metric, of a wide table."""
    systems: tuple[str, ...]
    """Columns that are systems."""
    metric: str
    """The metric of a table with one column per system."""
    groups: tuple[str, ...]
    """Columns that are kept with each case."""
    unused: tuple[str, ...]
    """All others."""
    columns: tuple[str, ...]
    """All, in the order of the table."""

    @property
    def told(self) -> tuple[ReadColumn, ...]:
        """Every column with what it was read as, in words, in the order of the table."""
        found = {column: f"metric {name}" for column, name in self.metrics.items()}
        found |= {column: f"{self.metric} of the system {column}" for column in self.systems}
        found |= dict.fromkeys(self.groups, "kept with each case")
        found |= dict.fromkeys(self.unused, "not used")
        for role, column in self.roles.items():
            before = found.get(column)
            found[column] = f"{role}, {before}" if before and before != "not used" else role
        return tuple(ReadColumn(column, found[column]) for column in self.columns)


def metric_name(text: str, options: TableOptions) -> str:
    """Return the catalogue's name of a metric, or the text itself where its user declared it.

    Examples
    --------
    >>> metric_name("Dice", TableOptions()), metric_name("HD", TableOptions())
    ('dsc', 'hd100')
    """
    if text in options.metric_info:
        return text
    plain = _plain(text)
    return _METRIC_OF.get(plain, plain if plain in METRICS else text)


def layout_of(sheet: Sheet, options: TableOptions, problems: list[str]) -> Layout:
    """Say what each column is; what is missing or ambiguous becomes a problem.

    Parameters
    ----------
    sheet : one table
    options : what its user says
    problems : sentences are added to it
    """
    roles = _roles(sheet, options, problems)
    free = [it for it in sheet.columns if it not in roles.values()]
    systems = tuple(it for it in options.systems if it in sheet.columns)
    metrics: dict[str, str] = {}
    metric = ""
    if options.systems:
        kind = "one column per system"
        problems += _absent("--systems", options.systems, sheet)
        metric = metric_name(options.metrics[0], options) if options.metrics else ""
    elif "metric" in roles or "metric" in sheet.fixed or "value" in roles:
        kind = "long table"
        if "value" not in roles:
            problems.append(
                f"{sheet.name}: a column value is required beside the column of metrics"
            )
        elif "metric" not in roles and "metric" not in sheet.fixed and len(options.metrics) != 1:
            problems.append(
                f"{sheet.name}: has values and no column that says of which metric; name it, as --metrics dsc"
            )
        metric = metric_name(options.metrics[0], options) if len(options.metrics) == 1 else ""
    else:
        kind = sheet.layout if sheet.layout != "table" else "wide table"
        problems += _absent("--metrics", options.metrics, sheet)
        wanted = options.metrics or [it for it in free if _is_metric(it, options)]
        metrics = {it: metric_name(it, options) for it in wanted if it in sheet.columns}
        problems += _wide_problems(sheet, metrics, options)
    kept = tuple(dict.fromkeys((*options.strata, *options.metadata)))
    groups = tuple(it for it in kept if it in sheet.columns)
    used = {*systems, *metrics, *groups}
    _require(sheet, roles, options, problems)
    return Layout(
        kind=kind,
        roles=roles,
        metrics=metrics,
        systems=systems,
        metric=metric,
        groups=groups,
        unused=tuple(it for it in free if it not in used),
        columns=sheet.columns,
    )


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.strip().lower()).strip("_")


def _is_metric(column: str, options: TableOptions) -> bool:
    return column in options.metric_info or metric_name(column, options) in METRICS


def _absent(option: str, columns: Sequence[str], sheet: Sheet) -> list[str]:
    told = []
    for column in columns:
        if column not in sheet.columns:
            near = difflib.get_close_matches(column, sheet.columns, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            told.append(
                f"{sheet.name}: {option} {column}: must be a column, there are {', '.join(sheet.columns)}{hint}"
            )
    return told


def _roles(sheet: Sheet, options: TableOptions, problems: list[str]) -> dict[str, str]:
    """Role -> column: what is mapped first, then what is recognised."""
    problems += _absent("--map", [it for it in options.columns.values() if it], sheet)
    taken = {column: role for role, column in options.columns.items() if column in sheet.columns}
    roles = {role: column for column, role in taken.items()}
    reserved = {*taken, *options.metrics, *options.systems, *options.strata, *options.metadata}
    for role, names in _ROLE_NAMES.items():
        if role in options.columns or role in sheet.fixed:
            continue
        found = [it for it in sheet.columns if it not in reserved and _plain(it) in names]
        if len(found) > 1:
            listed = " and ".join(repr(it) for it in found)
            problems.append(
                f"{sheet.name}: the columns {listed} could each be the {role}; say which, as "
                f"--map {role}={found[0]}"
            )
        if found:
            roles[role] = found[0]
    return roles


def _wide_problems(sheet: Sheet, metrics: Mapping[str, str], options: TableOptions) -> list[str]:
    told = []
    if not metrics and not options.metrics:
        told.append(
            f"{sheet.name}: no column is recognised as a metric, there are {', '.join(sheet.columns)}; name "
            "them, as --metrics dsc,hd95, or --map metric=COLUMN,value=COLUMN for a long table"
        )
    for name in dict.fromkeys(metrics.values()):
        same = [column for column, metric in metrics.items() if metric == name]
        if len(same) > 1:
            told.append(
                f"{sheet.name}: the columns {' and '.join(map(repr, same))} would both be the metric {name}; "
                f"say which, as --metrics {same[0]}"
            )
    return told


def _require(
    sheet: Sheet, roles: Mapping[str, str], options: TableOptions, problems: list[str]
) -> None:
    """Ask for what every measurement needs: its case, patient and system."""
    there = f"there are {', '.join(sheet.columns)}"
    if "case" not in roles and "patient" not in roles:
        problems.append(f"{sheet.name}: a column case is required, as --map case=COLUMN; {there}")
    if "patient" not in roles and not options.patients_are_cases:
        problems.append(
            f"{sheet.name}: a column patient is required, because the patient is the unit of statistics: "
            "--map patient=COLUMN, or --patients-are-cases if no patient has two cases"
        )
    if "patient" in roles and options.patients_are_cases:
        problems.append(
            f"{sheet.name}: --patients-are-cases, but the column {roles['patient']!r} names patients; leave "
            "the option out"
        )
    named = "system" in roles or "system" in sheet.fixed or options.system or options.systems
    if not named:
        problems.append(
            f"{sheet.name}: a column system is required: --map system=COLUMN, --system NAME for a table of "
            "one system, --name-pattern '{system}.csv' for names of files, or --systems A,B for columns"
        )
    problems += _absent(
        "--strata", [it for it in (*options.strata, *options.metadata) if it], sheet
    )
