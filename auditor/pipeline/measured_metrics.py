"""The metrics of a table: direction, range and worst value of each, from the catalogue or as declared."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from auditor.metrics.catalog import METRICS, unit_text
from auditor.metrics.policy import EMPTY_MASK_POLICY, FAILURES, NOT_ASKED, POLICY
from auditor.pipeline.measured_columns import metric_name
from auditor.pipeline.measured_options import DeclaredMetric, TableOptions
from auditor.schema import MetricInfo, Status

__all__ = ["TableMetric", "table_metrics"]

_LENGTH = "mm"


@dataclass(frozen=True, slots=True)
class TableMetric:
    """One metric of a table, with what is done with its values."""

    info: MetricInfo
    low: float
    """Smallest value that is accepted; -inf: any."""
    high: float
    """Largest; inf: any."""
    scale: float
    """Factor on every value of the table."""
    cap: float | None
    """Stands in for what is infinite or no number, also in means."""
    worst: float | None
    """Named worst value: declared, the cap, or the worse end of [0, 1]; None: none is known."""

    @property
    def name(self) -> str:
        """Name in rows and results."""
        return self.info.name

    def worst_of(self, status: Status) -> float | None:
        """Return what a row of this status names as its worst case; None where nothing may stand in."""
        if status in NOT_ASKED or status is Status.OK:
            return self.worst if status is Status.OK else None
        if status in FAILURES:
            return self.worst
        rule = EMPTY_MASK_POLICY.get((self.name, status))
        counts = status is not Status.BOTH_EMPTY if rule is None else rule.counts
        return self.worst if counts else None


def table_metrics(
    names: Sequence[str], options: TableOptions, problems: list[str]
) -> dict[str, TableMetric]:
    """Describe every metric that a table holds.

    Parameters
    ----------
    names : names as `metric_name` gives them
    options : scales, caps, worst values, declared metrics
    problems : sentences are added to it

    Returns
    -------
    dict
        Name -> metric, of those that are known.
    """
    asked = {
        key: _by_name(key, getattr(options, key), names, options, problems)
        for key in ("scale", "cap", "worst")
    }
    found = {}
    for name in names:
        declared = options.metric_info.get(name)
        if declared is None and name not in METRICS:
            problems.append(_unknown(name))
            continue
        if declared is None and METRICS[name].unit == _LENGTH and not options.length_unit:
            problems.append(f"--length-unit: is required for {name}: mm or px")
        info = _declared(name, declared) if declared is not None else _known(name, options)
        low, high = _range(name, declared)
        end = low if info.higher_is_better else high
        bounded = info.high == 1.0 and info.low == 0.0
        cap, worst = asked["cap"].get(name), asked["worst"].get(name)
        for key, value in (("cap", cap), ("worst", worst)):
            if value is not None and not low <= value <= high:
                problems.append(f"--{key} {name}={value:g}: must lie in [{low:g}, {high:g}]")
        stands_in = worst if worst is not None else cap
        worst_value = stands_in if stands_in is not None else end if bounded else None
        found[name] = TableMetric(
            info=_with_policy(info, worst_value, cap, options.cap_order),
            low=low,
            high=high,
            scale=asked["scale"].get(name, 1.0),
            cap=cap,
            worst=worst_value,
        )
    return found


def _by_name(
    option: str,
    given: Mapping[str, float],
    names: Sequence[str],
    options: TableOptions,
    problems: list[str],
) -> dict[str, float]:
    """Key an option by the names of the metrics; what it names must be there."""
    found = {}
    for key, value in given.items():
        name = metric_name(key, options)
        if name not in names:
            problems.append(
                f"--{option} {key}: must be a metric of the table, there are {', '.join(names) or 'none'}"
            )
        elif not math.isfinite(value) or (option == "scale" and value <= 0.0):
            problems.append(
                f"--{option} {key}: must be a finite number, of a scale above 0, was {value:g}"
            )
        else:
            found[name] = value
    return found


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), METRICS, n=1)
    hint = f" or, if it is {near[0]}, rename it" if near else ""
    return (
        f"the metric {name!r} is not in the catalogue: say which way is better, as "
        f"--metric-info {name}=higher,0,1{hint}"
    )


def _range(name: str, declared: DeclaredMetric | None) -> tuple[float, float]:
    low, high = (
        (declared.low, declared.high)
        if declared is not None
        else (METRICS[name].low, METRICS[name].high)
    )
    return (-math.inf if low is None else low), (math.inf if high is None else high)


def _known(name: str, options: TableOptions) -> MetricInfo:
    line = METRICS[name]
    needs = ", ".join(it.removesuffix("_mm") for it in line.needs)
    return MetricInfo(
        name=name,
        title=line.title,
        unit=unit_text(name, options.length_unit or _LENGTH),
        low=line.low,
        high=line.high,
        higher_is_better=line.higher_is_better,
        definition=(
            "Measured elsewhere: how is not known here"
            f"{f', nor with which {needs}' if needs else ''}. What goes by this name: {line.definition}"
        ),
        reference="the table",
        parameters=(),
        blind=line.blind,
    )


def _declared(name: str, declared: DeclaredMetric) -> MetricInfo:
    # an end at 1 means [0, 1] to every bound of a mean
    whole = declared.high == 1.0 and declared.low == 0.0
    ends = "".join(
        f", {words} {value:g}"
        for words, value in (("at least", declared.low), ("at most", declared.high))
        if value is not None
    )
    return MetricInfo(
        name=name,
        title=name.replace("_", " "),
        unit=declared.unit,
        low=declared.low,
        high=declared.high if whole or declared.high != 1.0 else None,
        higher_is_better=declared.higher_is_better,
        definition=f"Measured elsewhere: how is not known here. Declared as it stands here{ends}.",
        reference="the table",
        parameters=(),
    )


def _with_policy(
    info: MetricInfo, worst: float | None, cap: float | None, order: str
) -> MetricInfo:
    """Say what stands in for what is missing."""
    counted = "no value; none is declared that could stand in" if worst is None else (
        "no value; the worst case stands in"
    )  # fmt: skip
    empty = "as the table says"
    left = "no value; left out of the worst case too"
    policy = (
        (Status.PREDICTION_EMPTY.value, empty),
        (Status.REFERENCE_EMPTY.value, empty),
        (Status.BOTH_EMPTY.value, left if info.name not in POLICY else empty),
        (Status.FAILED.value, counted),
        (Status.NO_EFFECT.value, left),
        (Status.NOT_APPLICABLE.value, left),
    )
    told = "not declared" if worst is None else f"{worst:g}"
    if cap is not None:
        told += ", as declared; it also stands in for what is infinite or no number, in means too"
        told += f", {order} replicates are averaged" if order else ""
    return replace(info, policy=policy, worst=told)
