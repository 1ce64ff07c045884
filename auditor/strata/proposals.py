"""Where an axis could be cut: its histogram, and the patients in every group of several proposals.

Nothing is chosen here. Where to cut is a scientific choice; what a look at the references can show is
how many patients each choice would leave in a group.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditor.schema import StratumSpec
from auditor.strata.assign import MISSING, FrozenStratum, freeze, halves, tertiles

__all__ = [
    "AxisProposals",
    "Bin",
    "Proposal",
    "counted",
    "grouped",
    "propose",
    "round_edges",
]

_BINS = 8
_SPREAD = 20.0
"""Values that span more than so many fold are binned by ratio."""
_ROUND = (1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of a histogram."""

    low: float
    """Its lower end, which belongs to it."""
    high: float
    """Its upper end, which belongs to the next one; the last bar holds its own."""
    cases: int
    """Cases in it."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One way to cut an axis."""

    name: str
    """declared, tertiles, halves, round numbers."""
    edges: tuple[float, ...]
    """Inner edges; none where the values cannot be cut so."""
    groups: tuple[tuple[str, int], ...]
    """(group, patients) in order; a patient with cases in several groups counts in each."""
    note: str = ""
    """Why there is none, or what a reader must know."""


@dataclass(frozen=True, slots=True)
class AxisProposals:
    """One axis of groups, looked at before any prediction."""

    axis: str
    label: str
    unit: str
    """Of values and edges; empty: shares, numbers."""
    declared: bool
    """Whether the configuration has it."""
    minimum: int
    """Groups of fewer patients are too few to infer from."""
    cases: int
    """Cases with a number."""
    missing: int
    """Cases without one."""
    bins: tuple[Bin, ...]
    """Histogram of the numbers, by ratio where they span more than 20 fold."""
    proposals: tuple[Proposal, ...]
    """The declared way first, where there is one."""
    note: str = ""
    """What is measured where it is not said by the name: windows, the axes of a cross."""


def counted(frozen: FrozenStratum, patients: Mapping[str, str], name: str = "declared") -> Proposal:
    """Count the patients in every group of one way to group cases.

    Parameters
    ----------
    frozen : an axis with the group of every case
    patients : case -> patient
    name : of the way
    """
    members: dict[str, set[str]] = {group: set() for group in frozen.names}
    for case, group in frozen.membership.items():
        members[group].add(patients[case])
    groups = tuple((group, len(found)) for group, found in members.items())
    return Proposal(name, frozen.edges, groups, frozen.note)


def grouped(frozen: FrozenStratum, patients: Mapping[str, str]) -> AxisProposals:
    """Show a declared axis whose groups are no ranges of a measure: a column, or a cross.

    Parameters
    ----------
    frozen : the axis with the group of every case
    patients : case -> patient
    """
    missing = sum(group == MISSING for group in frozen.membership.values())
    return AxisProposals(
        axis=frozen.axis,
        label=frozen.label,
        unit=frozen.unit,
        declared=True,
        minimum=frozen.minimum,
        cases=len(frozen.membership) - missing,
        missing=missing,
        bins=(),
        proposals=(counted(frozen, patients),),
        note=" x ".join(axis for axis, _ in frozen.cross),
    )


def propose(
    values: Mapping[str, float | str | None],
    patients: Mapping[str, str],
    spec: StratumSpec,
    *,
    declared: bool,
    length_unit: str = "mm",
    ndim: int = 3,
    modality: str = "",
    note: str = "",
) -> AxisProposals:
    """Look at one measured axis.

    Parameters
    ----------
    values : case -> number; texts are groups of their own, None is no value
    patients : case -> patient
    spec : axis, label, minimum, and the declared edges where there are some
    declared : whether the configuration has this axis
    length_unit, ndim, modality : of the scans, for units
    note : what is measured, where the name of the axis does not say it
    """
    numbers = sorted(float(it) for it in values.values() if isinstance(it, int | float))
    ways: dict[str, tuple[float, ...]] = {
        "tertiles": tertiles(numbers)[0],
        "halves": halves(numbers),
        "round numbers": round_edges(numbers),
    }

    def cut(edges: StratumSpec) -> FrozenStratum:
        return freeze(values, edges, length_unit=length_unit, ndim=ndim, modality=modality)

    found = [counted(cut(spec), patients)] if declared and spec.edges is not None else []
    for name, edges in ways.items():
        if edges:
            plain = StratumSpec(spec.axis, spec.label, edges)
            found.append(counted(cut(plain), patients, name))
        else:
            found.append(Proposal(name, (), (), _why_not(numbers)))
    unit = cut(StratumSpec(spec.axis, spec.label, (1.0,))).unit
    return AxisProposals(
        axis=spec.axis,
        label=spec.label,
        unit=unit,
        declared=declared,
        minimum=spec.minimum_patients,
        cases=len(numbers),
        missing=len(values) - len(numbers),
        bins=_histogram(numbers),
        proposals=tuple(found),
        note=note,
    )


def round_edges(numbers: Sequence[float]) -> tuple[float, ...]:
    """Find round numbers (1, 2 or 5 times a power of ten) near the thirds of sorted numbers.

    Returns
    -------
    Two edges, or one where both thirds have the same round number beside them; none where no round
    number parts the values.

    Examples
    --------
    >>> round_edges([0.0011, 0.0017, 0.0042, 0.0048, 0.012, 0.031])
    (0.002, 0.01)
    """
    cuts, _ = tertiles(numbers)
    edges = []
    for edge in cuts:
        if edge <= 0.0:
            continue
        power = 10.0 ** math.floor(math.log10(edge))
        near = min(
            (float(f"{m * scale:.1g}") for scale in (power, 10 * power) for m in _ROUND),
            key=lambda it: abs(math.log(it / edge)),
        )
        if near not in edges and numbers[0] <= near < numbers[-1]:
            edges.append(near)
    return tuple(sorted(edges))


def _why_not(numbers: Sequence[float]) -> str:
    if len(numbers) < 3:
        return f"{len(numbers)} case(s) with a value are too few to cut"
    if numbers[0] == numbers[-1]:
        return "all cases have the same value"
    return "no such edge parts the values"


def _histogram(numbers: Sequence[float]) -> tuple[Bin, ...]:
    if not numbers:
        return ()
    low, high = numbers[0], numbers[-1]
    if low == high:
        return (Bin(low, high, len(numbers)),)
    steps = [i / _BINS for i in range(_BINS + 1)]
    if low > 0.0 and high / low > _SPREAD:
        ends = [low * (high / low) ** step for step in steps]
    else:
        ends = [low + (high - low) * step for step in steps]
    ends[0], ends[-1] = low, high
    return tuple(
        Bin(a, b, sum(a <= it and (it < b or b == high) for it in numbers))
        for a, b in itertools.pairwise(ends)
    )
