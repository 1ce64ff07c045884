"""From measurements to stored rows: one number a place, caps as declared, and what is missing counted."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from auditor.errors import DataError
from auditor.metrics.policy import FAILURES
from auditor.pipeline.measured_metrics import TableMetric
from auditor.pipeline.measured_options import TableOptions
from auditor.pipeline.measured_values import Lines, Measured
from auditor.schema import CLEAN, CaseRecord, Gap, Record, Region, Replaced, Row, Status

__all__ = ["Place", "Placed", "gaps_of", "placed", "rows_of"]

_MOST_NAMED = 10


class Place(NamedTuple):
    """What one measurement is about; no two may be about the same."""

    system: str
    perturbation: str
    severity: float
    label: str
    metric: str
    case: str
    replicate: int


@dataclass(frozen=True, slots=True)
class Placed:
    """All measurements of a table, each at its place."""

    values: Mapping[Place, Measured]
    replaced: tuple[Replaced, ...]
    replicates: int
    """Most replicates of a case under one condition."""
    notes: tuple[str, ...]
    """What was done that its user may not expect, in words."""


def placed(
    found: Sequence[Measured],
    systems: Sequence[str],
    metrics: Mapping[str, TableMetric],
    options: TableOptions,
    unused: Sequence[str],
) -> Placed:
    """Put every measurement at its place, and apply caps.

    Parameters
    ----------
    found : measurements, in the order of the tables
    systems : name of the system of each, in the same order
    metrics : name -> metric
    options : caps and their order
    unused : columns that were not read, which may be what tells lines apart

    Raises
    ------
    DataError
        When two measurements have one place, or infinite values have no policy.
    """
    lines = Lines()
    replicates = _replicates(found)
    values, merged = _unique(found, systems, replicates, options, lines)
    problems = lines.told()
    if problems and unused:
        problems.append(
            f"if a column tells these lines apart, say what it is, as --map replicate={unused[0]}; columns "
            f"that are not used: {', '.join(unused)}"
        )
    replaced: list[Replaced] = []
    notes = []
    if merged:
        notes.append(
            f"{merged} clean lines stand several times, one for each perturbation, with the same value; each "
            "counts once"
        )
    for name, metric in metrics.items():
        own = {at: it for at, it in values.items() if at.metric == name}
        values |= _finite(own, metric, options, replaced, problems)
        notes += _above_cap(own, metric)
    _check_failures(values, metrics, problems)
    if problems:
        msg = "these measurements cannot be used:"
        raise DataError(msg, problems)
    if options.cap_order == "after":
        values = _averaged(values, metrics, replaced)
    return Placed(values, tuple(replaced), len(replicates), tuple(notes))


def _unique(
    found: Sequence[Measured],
    systems: Sequence[str],
    replicates: Mapping[str, int],
    options: TableOptions,
    lines: Lines,
) -> tuple[dict[Place, Measured], int]:
    """Put each measurement at its place; also count clean ones that begin several curves."""
    values: dict[Place, Measured] = {}
    merged = 0
    for it, system in zip(found, systems, strict=True):
        at = Place(
            system, it.perturbation, it.severity, _label(it, options), it.cell.metric,
            _case(it), replicates[it.cell.get("replicate")],
        )  # fmt: skip
        before = values.setdefault(at, it)
        if before is it:
            continue
        if _repeats_clean(before, it):
            merged += 1
            continue
        lines.add(
            "a line repeats another of the same system, case, condition, replicate, label and metric",
            it.cell,
            f"repeats {before.cell.unit} {before.cell.line} of {before.cell.file}",
        )
    return values, merged


def _above_cap(own: Mapping[Place, Measured], metric: TableMetric) -> list[str]:
    """Say that a finite value lies beyond what stands in for infinite ones."""
    known = [it.value for it in own.values() if it.value is not None and math.isfinite(it.value)]
    if metric.cap is None or not known or max(known) <= metric.cap or metric.info.higher_is_better:
        return []
    return [
        f"{metric.name}: the largest finite value, {max(known):g}, lies above the cap and stays"
    ]


def _label(it: Measured, options: TableOptions) -> str:
    text = it.cell.get("label")
    if not text:
        return options.label or "foreground"
    return options.labels.get(text, f"label_{text}" if text.isdecimal() else text)


def _case(it: Measured) -> str:
    return it.cell.get("case") or it.cell.get("patient")


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _replicates(found: Sequence[Measured]) -> dict[str, int]:
    """Give every replicate its number, in the order of their numbers or names."""
    names = {it.cell.get("replicate") for it in found}
    whole = all(name.isascii() and name.isdecimal() for name in names)
    ordered = sorted(names, key=lambda name: (int(name) if whole else 0, name))
    return {name: place for place, name in enumerate(ordered)}


def _repeats_clean(first: Measured, second: Measured) -> bool:
    """Tell whether two lines are the start of two curves: clean, of two perturbations, equal."""
    names = [it.cell.get("perturbation") or it.cell.get("condition") for it in (first, second)]
    # nan is no equal of itself
    same = repr((first.value, first.status)) == repr((second.value, second.status))
    return first.perturbation == CLEAN and names[0] != names[1] and same


def _finite(
    own: Mapping[Place, Measured],
    metric: TableMetric,
    options: TableOptions,
    replaced: list[Replaced],
    problems: list[str],
) -> dict[Place, Measured]:
    """Give what is infinite or no number its declared treatment."""
    wrong = {at: it for at, it in own.items() if it.value is not None and not _is_finite(it.value)}
    if not wrong:
        return {}
    name = metric.name
    empty = {at: it for at, it in wrong.items() if it.status is Status.BOTH_EMPTY}
    found = {at: replace(it, value=None) for at, it in empty.items()}
    wrong = {at: it for at, it in wrong.items() if at not in empty}
    if empty:
        replaced.append(
            Replaced(name, len(empty), "two empty masks: no value, left out of the worst case too")
        )
    if not wrong:
        return found
    if metric.cap is None and metric.worst is None:
        first = next(iter(wrong.values())).cell
        problems.append(
            f"{len(wrong)} values of {name} are infinite or no number (first: {first.file} {first.unit} "
            f"{first.line}); what stands in for them is a choice: --cap {name}=VALUE --cap-order "
            f"before|after (the value counts in means, as in published tables), --worst {name}=VALUE (means "
            "leave them out; comparisons, criteria and the worst-case mean count the value), or a column "
            "status that says what happened"
        )
        return found
    if metric.cap is None:
        words = f"left out of means; counted as {metric.worst:g} where failures count"
        replaced.append(Replaced(name, len(wrong), words))
        return found | {at: replace(it, value=None) for at, it in wrong.items()}
    several = len({at.replicate for at in own}) > 1
    if several and not options.cap_order:
        problems.append(
            f"--cap {name}: {len(wrong)} values are infinite or no number, and there are replicates: say "
            "--cap-order before (each is capped, then replicates are averaged) or after (replicates are "
            "averaged, and a mean that is not finite is capped)"
        )
        return found
    if options.cap_order == "after":
        return found  # with the means over replicates
    words = f"replaced by the declared {metric.cap:g}"
    words += " before replicates are averaged" if several else ""
    replaced.append(Replaced(name, len(wrong), words))
    capped = {at: _capped(it, metric.cap) for at, it in wrong.items()}
    return found | capped


def _capped(it: Measured, cap: float) -> Measured:
    status = Status.NOT_FINITE if it.status is Status.OK else it.status
    return replace(it, value=cap, status=status)


def _averaged(
    values: Mapping[Place, Measured],
    metrics: Mapping[str, TableMetric],
    replaced: list[Replaced],
) -> dict[Place, Measured]:
    """Average the replicates of metrics with a cap, and cap the means that are not finite.

    A mean of which one replicate failed does not exist: the place counts as failed, and is not averaged away.
    """
    kept: dict[Place, Measured] = {}
    grouped: dict[Place, list[Measured]] = defaultdict(list)
    for at, it in values.items():
        if metrics[at.metric].cap is None:
            kept[at] = it
        else:
            grouped[at._replace(replicate=0)].append(it)
    counts: dict[str, int] = defaultdict(int)
    for at, several in grouped.items():
        cap = metrics[at.metric].cap
        assert cap is not None  # grouped above
        known = [it.value for it in several if it.value is not None]
        other = next((it for it in several if it.status is not Status.OK), several[0])
        mean = sum(known) / len(known) if known else None
        if mean is not None and not math.isfinite(mean):
            counts[at.metric] += 1
            kept[at] = _capped(replace(other, value=mean), cap)
        elif failed := [it for it in several if it.value is None and it.status in FAILURES]:
            kept[at] = failed[0]
        else:
            kept[at] = replace(other, value=mean)
    replaced += [
        Replaced(
            name,
            n,
            (
                f"means over replicates that are not finite, replaced by the declared {metrics[name].cap:g} "
                "after replicates were averaged"
            ),
        )
        for name, n in counts.items()
    ]
    return kept


def _check_failures(
    values: Mapping[Place, Measured], metrics: Mapping[str, TableMetric], problems: list[str]
) -> None:
    """Ask for a worst value where evaluations failed that have none."""
    counts: dict[str, int] = defaultdict(int)
    for at, it in values.items():
        metric = metrics[at.metric]
        stays = it.status in {
            Status.OK,
            Status.BOTH_EMPTY,
            Status.NO_EFFECT,
            Status.NOT_APPLICABLE,
        }
        if it.value is None and not stays and metric.worst is None and metric.cap is None:
            counts[at.metric] += 1
    problems += [
        f"{n} evaluations have no value of {name} and a status that counts as a failure; say what they count "
        f"as where failures count, as --worst {name}=VALUE"
        for name, n in counts.items()
    ]


def rows_of(
    found: Placed, cases: Mapping[str, CaseRecord], metrics: Mapping[str, TableMetric]
) -> list[Row]:
    """Make the rows that an execution would have stored: evaluations and their measurements.

    Parameters
    ----------
    found : every measurement at its place
    cases : case -> record
    metrics : name -> metric
    """
    rows: list[Row] = []
    evaluated: dict[tuple[object, ...], Row] = {}
    for at, it in found.values.items():
        metric = metrics[at.metric]
        row = Row(
            record=Record.MEASUREMENT.value,
            system=at.system,
            case=at.case,
            patient=cases[at.case].patient,
            perturbation=at.perturbation,
            severity=at.severity,
            level=it.level,
            unit="" if at.perturbation == CLEAN else it.cell.get("unit"),
            replicate=at.replicate,
            status=it.status.value,
            reason=it.cell.get("reason"),
            label=at.label,
            metric=at.metric,
            region=Region.WHOLE.value,
            reference="reference",
            value=it.value,
            worst=metric.worst_of(it.status),
        )
        rows.append(row)
        key = (at.system, at.perturbation, at.severity, at.case, at.replicate, at.label)
        known = evaluated.get(key)
        # what happened to an evaluation is what its first measurement with a status but ok says
        if known is None or (known.status == Status.OK.value and it.value is None):
            evaluated[key] = replace(
                row,
                record=Record.EVALUATION.value,
                metric=None,
                region=None,
                value=None,
                worst=None,
            )
    return [*rows, *_of_every_label(evaluated)]


def _of_every_label(evaluated: Mapping[tuple[object, ...], Row]) -> list[Row]:
    """Give every evaluation a row of every label, as an execution does: the first one is counted."""
    labels = list(dict.fromkeys(row.label for row in evaluated.values()))
    grouped: dict[tuple[object, ...], dict[str | None, Row]] = defaultdict(dict)
    for key, row in evaluated.items():
        grouped[key[:-1]][row.label] = row
    return [
        own.get(label) or replace(next(iter(own.values())), label=label)
        for own in grouped.values()
        for label in labels
    ]


def gaps_of(
    found: Placed,
    cases: Sequence[CaseRecord],
    systems: Sequence[str],
    metrics: Sequence[str],
) -> tuple[Gap, ...]:
    """Count the cells that a whole table would have, and this one has not.

    Every system, condition, label and metric that occurs is expected of every case.
    """
    display = {record.case: record.display_case for record in cases}
    conditions: dict[tuple[str, float], tuple[float | None, str]] = {}
    labels: dict[str, None] = {}
    present: dict[tuple[str, str, float, str, str], dict[str, int]] = defaultdict(dict)
    for at, it in found.values.items():
        unit = "" if at.perturbation == CLEAN else it.cell.get("unit")
        conditions.setdefault((at.perturbation, at.severity), (it.level, unit))
        labels[at.label] = None
        own = present[at.system, at.perturbation, at.severity, at.label, at.metric]
        own[at.case] = own.get(at.case, 0) + 1
    gaps = []
    for system in systems:
        for (perturbation, severity), (level, unit) in sorted(conditions.items()):
            for label in sorted(labels):
                for metric in metrics:
                    own = present.get((system, perturbation, severity, label, metric), {})
                    most = max(own.values(), default=0)
                    missing = [name for name in display if name not in own]
                    partial = [name for name, n in own.items() if n < most]
                    if not missing and not partial:
                        continue
                    shown = sorted(display[it] for it in (*missing, *partial))[:_MOST_NAMED]
                    gaps.append(
                        Gap(
                            system, perturbation, severity, level, unit, label, metric,
                            len(missing), len(partial), tuple(shown),
                        )
                    )  # fmt: skip
    return tuple(gaps)
