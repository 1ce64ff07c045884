"""Group cases into strata, frozen before the first prediction.

**Conventions.** An inner edge belongs to the group below it: the edges a < b make the groups
``<= a``, ``a to b`` (above a, up to b) and ``> b``. A group's name says its range with the edge as
it is used, so that a reader can sort a case by hand. The training range of a system is the exception:
inside it lies what is strictly between its ends, as in the published protocol. A text among the numbers
of a numeric axis is a group of its own (raters who disagree whether there is anything to draw). A
missing value is the group ``missing``, never a dropped case.

Groups are made of cases; a patient with cases in several groups counts in each of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from auditor.errors import ConfigError
from auditor.schema import StratumSpec
from auditor.strata.axes import AXES, MEASURED_AXES, unit_of

__all__ = [
    "DETECTION",
    "MEASURED_AXES",
    "MISSING",
    "NOTHING",
    "FrozenStratum",
    "Kind",
    "Rule",
    "cross",
    "disagreement_value",
    "freeze",
    "halves",
    "pair_name",
    "place_between",
    "range_names",
    "tertiles",
]

MISSING = "missing"
"""Name of the group of cases without a value."""
DETECTION = "raters disagree whether there is any"
"""Group of cases of which some raters, but not all, marked nothing."""
NOTHING = "no rater marked any"
"""Group of cases of which all raters marked nothing."""
INSIDE = "inside training range"
"""Group of cases strictly between the ends of a training range."""
OUTSIDE = "outside training range"
"""Group of all other cases with a value."""

Kind = Literal["inferential", "descriptive", "not assessable"]
Rule = Literal["declared edges", "tertiles", "training range", "categories", "cross"]


@dataclass(frozen=True, slots=True)
class FrozenStratum:
    """One axis, with the group of every case."""

    axis: str
    """A measured axis, a column of metadata, or the name of a cross."""
    label: str
    """Label that it is measured on; empty for metadata and for what is measured on whole scans."""
    edges: tuple[float, ...]
    """Inner edges, rising, in the unit of the values; the ends of a training range; empty for
    categories."""
    names: tuple[str, ...]
    """All groups in order, also those without a case; ``missing`` last, when there is one."""
    membership: Mapping[str, str]
    """Case -> name of its group."""
    note: str
    """What a reader must know: ties, cases without a value, why it is not assessable."""
    kind: Kind
    """inferential: frozen before the first prediction; not assessable: there is only one group."""
    rule: Rule = "declared edges"
    """How the groups are made."""
    unit: str = ""
    """Of the values; empty for shares, numbers and categories."""
    minimum: int = 10
    """Groups of fewer patients are too few to infer from."""
    window: str = ""
    """Windows in which a share is measured, in words."""
    system: str = ""
    """System whose windows or training range are meant."""
    cross: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(axis, its groups) of the two axes of a cross."""


def freeze(
    values: Mapping[str, float | str | None],
    spec: StratumSpec,
    *,
    length_unit: str = "mm",
    ndim: int = 3,
    modality: str = "",
    before_predictions: bool = True,
    window: str = "",
) -> FrozenStratum:
    """Assign every case to a group.

    Parameters
    ----------
    values : case -> value. Numbers for measured axes (a ratio in [0, 1], a length in `length_unit`,
        a DSC), with texts as groups of their own; texts for metadata; None or an empty text:
        missing
    spec : axis, label and edges
    length_unit : ``mm`` or ``px``, for the names
    ndim : 2 or 3, for the unit of volumes
    modality : of the scans, for the unit of noise
    before_predictions : False when a prediction has been seen: the strata are then descriptive
    window : windows in which a share was measured, in words

    Raises
    ------
    ConfigError
        When edges are missing for a measured axis, do not rise, or meet a value that is no number.

    Examples
    --------
    >>> spec = StratumSpec("foreground_ratio", "spleen", (0.002, 0.01))
    >>> freeze({"a": 0.001, "b": 0.002, "c": 0.02}, spec).membership
    {'a': '<= 0.2 %', 'b': '<= 0.2 %', 'c': '> 1 %'}
    """
    present = {case: value for case, value in values.items() if value not in {None, ""}}
    unit = unit_of(spec.axis, length_unit, ndim=ndim, modality=modality)
    edges: tuple[float, ...] = ()
    rule: Rule = "tertiles" if spec.edges == "tertiles" else "declared edges"
    if spec.edges is None:
        if spec.axis in MEASURED_AXES:
            msg = (
                f"strata.{spec.axis}.edges must be rising numbers or 'tertiles', got nothing; "
                "where to cut is a choice that this tool does not make"
            )
            raise ConfigError(msg)
        rule = "categories"
        groups = {case: str(value) for case, value in present.items()}
        names, note = tuple(sorted(set(groups.values()) - {MISSING})), ""
    else:
        numbers, texts = _split(present, spec)
        edges, note = _edges(spec, sorted(numbers.values()))
        if spec.training:
            rule = "training range"
            groups = {case: _side(number, edges) for case, number in numbers.items()}
            ranges: tuple[str, ...] = (INSIDE, OUTSIDE)
        else:
            ranges = range_names(edges, spec.axis, unit)
            groups = {
                case: ranges[place_between(number, edges)] for case, number in numbers.items()
            }
        groups |= texts
        names = (*(ranges if numbers else ()), *sorted(set(texts.values())))
    membership = {case: groups.get(case, MISSING) for case in values}
    kind: Kind = "inferential" if before_predictions else "descriptive"
    if len(names) < 2:
        kind = "not assessable"
        note = (note if present else "") or _why_single(names, spec)
    missing = sum(group == MISSING for group in membership.values())
    if missing:
        names = (*names, MISSING)
        note = "; ".join(filter(None, (note, f"{missing} of {len(values)} cases without a value")))
    return FrozenStratum(
        spec.axis,
        spec.label,
        edges,
        names,
        membership,
        note,
        kind,
        rule=rule,
        unit=unit,
        minimum=spec.minimum_patients,
        window=window,
        system=spec.system,
    )


def cross(first: FrozenStratum, second: FrozenStratum, spec: StratumSpec) -> FrozenStratum:
    """Pair the groups of two axes.

    Parameters
    ----------
    first, second : the two axes, of the same cases
    spec : name and minimum of the cross

    Returns
    -------
    One group for every pair, also for pairs without a case; descriptive when one of the axes is, not
    assessable when one of them is.

    Raises
    ------
    ConfigError
        When two pairs would have one name.

    Examples
    --------
    >>> site = freeze({"a": "Basel", "b": "Aarau"}, StratumSpec("site"))
    >>> age = freeze({"a": "34", "b": "70"}, StratumSpec("age", edges=(65.0,)))
    >>> cross(site, age, StratumSpec("site_by_age", cross=("site", "age"))).membership
    {'a': 'Basel & <= 65', 'b': 'Aarau & > 65'}
    """
    kinds = {first.kind, second.kind}
    kind: Kind = "descriptive" if "descriptive" in kinds else "inferential"
    note = ""
    if "not assessable" in kinds:
        kind = "not assessable"
        alone = [it.axis for it in (first, second) if it.kind == "not assessable"]
        note = f"not assessable: {' and '.join(alone)} has one group only"
    names = tuple(pair_name(a, b) for a, b in itertools.product(first.names, second.names))
    if len(set(names)) < len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        msg = (
            f"strata.{spec.axis}: two pairs of groups would both be called {doubled!r}; take the "
            f"'&' out of the values of {first.axis} or {second.axis}"
        )
        raise ConfigError(msg)
    return FrozenStratum(
        axis=spec.axis,
        label=first.label or second.label,
        edges=(),
        names=names,
        membership={
            case: pair_name(group, second.membership[case])
            for case, group in first.membership.items()
        },
        note=note,
        kind=kind,
        rule="cross",
        minimum=spec.minimum_patients,
        cross=((first.axis, first.names), (second.axis, second.names)),
    )


def disagreement_value(assd: float | None, dsc: float | None) -> float | str | None:
    """Turn the two stored measures of raters into a value of the axis ``rater_disagreement``.

    Parameters
    ----------
    assd : mean pairwise ASSD, mm or px; None when at least one rater marked nothing
    dsc : mean pairwise DSC; None with fewer than two raters

    Returns
    -------
    The ASSD; `NOTHING` when all raters marked nothing (only then the DSC is 1 without an ASSD);
    `DETECTION` when some did; None with fewer than two raters.

    Examples
    --------
    >>> (
    ...     disagreement_value(0.8, 0.93),
    ...     disagreement_value(None, 0.31),
    ...     disagreement_value(None, None),
    ... )
    (0.8, 'raters disagree whether there is any', None)
    """
    if dsc is None or assd is not None:
        return assd
    return NOTHING if dsc == 1.0 else DETECTION


def tertiles(numbers: Sequence[float]) -> tuple[tuple[float, ...], str]:
    """Cut sorted numbers into thirds, between neighbouring values and never between equal ones.

    Returns
    -------
    edges : two; fewer where equal values leave fewer groups
    note : what was done, or why nothing was
    """
    n = len(numbers)
    if n < 3:
        return (), f"not assessable: tertiles need three cases with a value, there are {n}"
    edges = _cut(numbers, [math.ceil(third * n / 3) for third in (1, 2)])
    note = "tertiles of the references"
    if len(edges) == 2:
        return edges, note
    if edges:
        return edges, f"{note}; equal values leave only two groups"
    return (), "not assessable: all cases have the same value"


def halves(numbers: Sequence[float]) -> tuple[float, ...]:
    """Cut sorted numbers at their median; nothing where all are equal, or there are fewer than two."""
    return _cut(numbers, [math.ceil(len(numbers) / 2)]) if len(numbers) > 1 else ()


def _cut(numbers: Sequence[float], counts: Sequence[int]) -> tuple[float, ...]:
    """Find an edge behind so many of the sorted numbers each, or behind those equal to the last."""
    edges: list[float] = []
    for count in counts:
        lower = numbers[count - 1]
        above = [number for number in numbers if number > lower]
        if above:
            edge = _short_number_between(lower, above[0])
            edges.extend([edge] if edge not in edges else [])
    return tuple(edges)


def pair_name(first: str, second: str) -> str:
    """Name a pair of groups of a cross."""
    return f"{first} & {second}"


def _split(
    present: Mapping[str, float | str | None], spec: StratumSpec
) -> tuple[dict[str, float], dict[str, str]]:
    """Part numbers from texts; numbers of a metadata column are written as text."""
    numbers: dict[str, float] = {}
    texts: dict[str, str] = {}
    problems = []
    for case, value in present.items():
        if isinstance(value, str) and spec.axis in MEASURED_AXES:
            texts[case] = value
            continue
        try:
            number = float(value)  # type: ignore[arg-type]  # None is not among the present
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            numbers[case] = number
        else:
            problems.append(f"case {case!r} has {value!r}")
    if problems:
        msg = f"strata.{spec.axis} has edges, so that every value must be a finite number"
        raise ConfigError(msg, problems)
    return numbers, texts


def _edges(spec: StratumSpec, numbers: Sequence[float]) -> tuple[tuple[float, ...], str]:
    """Give the inner edges and a note on them."""
    if spec.edges == "tertiles":
        return tertiles(numbers)
    edges = tuple(float(edge) for edge in spec.edges or ())
    rising = all(low < high for low, high in itertools.pairwise(edges))
    if not edges or not rising or not all(math.isfinite(edge) for edge in edges):
        msg = f"strata.{spec.axis}.edges must be rising numbers or 'tertiles', got {spec.edges!r}"
        raise ConfigError(msg)
    if spec.training:
        low, high = (f"{edge:.6g}" for edge in edges)
        return edges, f"declared for {spec.system}: from {low} to {high}, both ends outside"
    return edges, ""


def _side(number: float, edges: Sequence[float]) -> str:
    return INSIDE if edges[0] < number < edges[1] else OUTSIDE


def _short_number_between(low: float, high: float) -> float:
    """Find a number in [low, high) with few digits, so that a name can carry it exactly."""
    middle = low + (high - low) / 2.0
    for digits in range(2, 17):
        rounded = float(f"{middle:.{digits}g}")
        if low <= rounded < high:
            return rounded
    return low


def place_between(number: float, edges: Sequence[float]) -> int:
    """Return the number of the group in `range_names`; an edge belongs to the group below it."""
    return sum(number > edge for edge in edges)


def range_names(edges: Sequence[float], axis: str, unit: str) -> tuple[str, ...]:
    """Name the groups between edges by their ranges."""
    if not edges:
        return ("all",)
    factor, shown = 1.0, f" {unit}" if unit else ""
    if axis in AXES and AXES[axis].quantity == "share":
        factor, shown = 100.0, " %"
    texts = [f"{edge * factor:.12g}" for edge in edges]
    between = (f"{low} to {high}{shown}" for low, high in itertools.pairwise(texts))
    return (f"<= {texts[0]}{shown}", *between, f"> {texts[-1]}{shown}")


def _why_single(names: Sequence[str], spec: StratumSpec) -> str:
    """Say why there are no groups to compare."""
    if names:
        return f"not assessable: all cases are in the group {names[0]!r}"
    if spec.axis in {"rater_disagreement", "rater_dsc"}:
        return "not assessable: no case has two raters"
    return "not assessable: no case has a value"
