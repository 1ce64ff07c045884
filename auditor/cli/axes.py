"""An axis of groups as lines of text: its histogram, and what some ways to cut it would give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditor.strata.proposals import AxisProposals, Proposal

__all__ = ["lines_of_axes"]

_WIDTH = 30
"""Signs of the longest bar."""
_SHARES = ("foreground_ratio", "window_foreground_ratio")
"""Shares, which are printed in %."""


def lines_of_axes(axes: Sequence[AxisProposals]) -> Iterator[str]:
    """Write the axes of groups.

    Parameters
    ----------
    axes : sequence of AxisProposals
        As `auditor.pipeline.look` found them.

    Yields
    ------
    Lines: of each axis a heading, bars, proposals. Nothing is recommended.
    """
    for axis in axes:
        yield from _lines(axis)


def _lines(axis: AxisProposals) -> Iterator[str]:
    factor, unit = (100.0, "%") if axis.axis in _SHARES else (1.0, axis.unit)
    of = f" of {axis.label}" if axis.label else ""
    told = "declared" if axis.declared else "not declared"
    missing = f", {axis.missing} without a number" if axis.missing else ""
    yield (
        f"groups     {axis.axis}{of} ({told}): {axis.cases} cases{missing}; groups of fewer than "
        f"{axis.minimum} patients are too few"
    )
    if axis.note:
        yield f"           {axis.note}"
    most = max((bar.cases for bar in axis.bins), default=0)
    for bar in axis.bins:
        ends = f"{bar.low * factor:.3g} to {bar.high * factor:.3g} {unit}".rstrip()
        length = -(-bar.cases * _WIDTH // most)
        yield f"           {ends:>24} {'#' * length:<{_WIDTH}} {bar.cases}"
    for way in axis.proposals:
        yield f"           {way.name}: {_cut(way, axis)}"


def _cut(way: Proposal, axis: AxisProposals) -> str:
    if not way.groups:
        return f"none, {way.note}"
    counts = "; ".join(
        f"{name}: {n}{' (too few)' if n < axis.minimum else ''}" for name, n in way.groups
    )
    edges = ", ".join(f"{edge:.6g}" for edge in way.edges)
    told = f"; {way.note}" if way.note.startswith("not assessable") else ""
    return f"{f'edges [{edges}], ' if edges else ''}patients {counts}{told}"
