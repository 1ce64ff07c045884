"""What of one pair of label maps is asked for: which metrics, and which labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from auditor.errors import ConfigError, DataError
from auditor.metrics.catalog import METRICS, Metric, check_spec, get
from auditor.schema import LARGEST_LABEL, MetricSpec, ScoredLabel

__all__ = [
    "MOST_LABELS",
    "LeftOut",
    "Wanted",
    "chosen_metrics",
    "given_parameters",
    "wanted_labels",
]

MOST_LABELS = 512
"""That are scored without being named: more of them are an image, or instances to be counted."""

_NO_PROBABILITIES = (
    "needs the probabilities of a system, which a label map does not hold; an audit has them"
)

Wanted = Mapping[str, int | Sequence[int]]
"""Name -> number of a label, or numbers of several that are scored as one."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A metric that was not computed."""

    metric: str
    """Name in the catalogue."""
    needs: tuple[str, ...]
    """Parameters that must be declared for it; empty when no parameter would help."""
    reason: str
    """One sentence."""


def given_parameters(given: Mapping[str, object]) -> dict[str, float]:
    """Keep the parameters that were given.

    Parameters
    ----------
    given : name -> number, or None where nothing was given

    Raises
    ------
    ConfigError
        For anything but a number; its range is checked with the metric that takes it.
    """
    found = {}
    for name, value in given.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            msg = f"{name} must be a number, got {value!r}"
            raise ConfigError(msg)
        found[name] = float(value)
    return found


def chosen_metrics(
    names: Sequence[str] | None, given: Mapping[str, float]
) -> tuple[tuple[MetricSpec, ...], tuple[LeftOut, ...]]:
    """Choose the metrics, in the order of the catalogue, and say why the others are left out.

    Parameters
    ----------
    names : in the catalogue; None: all that two label maps and the given parameters are enough for
    given : name -> value of the declared parameters

    Raises
    ------
    ConfigError
        When a name is unknown or needs probabilities; when a parameter is missing, out of range, or
        taken by none of the metrics.
    """
    if names is None:
        left_out = tuple(it for line in METRICS.values() if (it := _left_out(line, given)))
        without = {it.metric for it in left_out}
        lines = [line for name, line in METRICS.items() if name not in without]
    else:
        left_out, lines = (), _named(names)
    if idle := sorted(set(given) - {name for line in lines for name in line.needs}):
        takers = ", ".join(it.name for it in METRICS.values() if set(idle) & set(it.needs))
        msg = (
            f"{' and '.join(idle)} must be left out, none of the metrics asked for takes it; "
            f"{takers or 'no metric'} would"
        )
        raise ConfigError(msg)
    specs = tuple(_spec(line, given) for line in lines)
    for spec in specs:
        check_spec(spec)
    return specs, left_out


def _left_out(line: Metric, given: Mapping[str, float]) -> LeftOut | None:
    if line.needs_probabilities:
        return LeftOut(line.name, (), _NO_PROBABILITIES)
    lacking = tuple(name for name in line.needs if name not in given)
    return LeftOut(line.name, lacking, f"needs {' and '.join(lacking)}") if lacking else None


def _named(names: Sequence[str]) -> list[Metric]:
    if not names:
        msg = "metrics must name at least one metric, got none; leave it out for all"
        raise ConfigError(msg)
    asked = {line.name: line for line in map(get, names)}
    for line in asked.values():
        if line.needs_probabilities:
            msg = f"metric {line.name!r} cannot be scored here: it {_NO_PROBABILITIES}"
            raise ConfigError(msg)
    return [asked[name] for name in METRICS if name in asked]


def _spec(line: Metric, given: Mapping[str, float]) -> MetricSpec:
    """Declare a metric with what of the parameters it takes."""
    taken: dict[str, Any] = {it: given.get(it) for it in line.needs}
    return MetricSpec(line.name, **taken)


def wanted_labels(
    labels: Wanted | None, held: tuple[frozenset[int], frozenset[int]], names: tuple[str, str]
) -> list[ScoredLabel]:
    """Name what is scored: what was asked for, or every number that either map holds.

    Parameters
    ----------
    labels : see `auditor.score`
    held : numbers above 0 of reference and prediction
    names : of both maps, for messages

    Raises
    ------
    ConfigError
        When labels are named wrongly.
    DataError
        When none is named and there are none, or more than `MOST_LABELS`.
    """
    if labels is not None:
        return _declared(labels)
    numbers = sorted(held[0] | held[1])
    if not numbers:
        msg = (
            f"{names[0]} or {names[1]} must hold a label, all voxels of both are 0; name the label that "
            "should be there: labels={'organ': 1}, --label organ=1"
        )
        raise DataError(msg)
    if len(numbers) > MOST_LABELS:
        msg = (
            f"at most {MOST_LABELS} labels are scored without being named, {names[0]} and {names[1]} hold "
            f"{len(numbers)}; is one of them an image? else name labels: labels={{'organ': 1}}, "
            "--label organ=1"
        )
        raise DataError(msg)
    return [ScoredLabel(str(number), (str(number),), (number,)) for number in numbers]


def _declared(labels: object) -> list[ScoredLabel]:
    if not isinstance(labels, Mapping):
        msg = f"labels must be a mapping of names to numbers, as {{'organ': 1}}, got {labels!r}"
        raise ConfigError(msg)
    wanted: list[ScoredLabel] = []
    for name, given in labels.items():
        listed: Sequence[Any] = given if isinstance(given, Sequence) else (given,)
        if (
            not isinstance(name, str)
            or not name
            or not listed
            or not all(_is_label(number) for number in listed)
        ):
            msg = (
                f"labels must give each name a whole number from 1 to {LARGEST_LABEL}, or several to be "
                f"scored as one, {name!r} has {given!r}"
            )
            raise ConfigError(msg)
        numbers = tuple(sorted({int(number) for number in listed}))
        wanted.append(ScoredLabel(name, tuple(map(str, numbers)), numbers))
    if not wanted:
        msg = "labels must name at least one label, got none; leave it out for all"
        raise ConfigError(msg)
    return wanted


def _is_label(number: object) -> bool:
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    return whole and 1 <= int(number) <= LARGEST_LABEL  # type: ignore[call-overload]  # whole says so
