"""Where each skip connection of a recording is cut: the arguments in which its value is replaced.

A skip that enters the decoder at its merges is cut there. An attention gate takes its value twice, as it is
and after a convolution; it is cut before both, at the operators that take their common stem, so that the gate
sees one value. In either case everything else that reads the value, the encoder first of all, goes on with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from auditor.systems.skips.graph import MERGES, FeatureGraph, feature_graph
from auditor.systems.skips.recording import Recording
from auditor.systems.skips.rule import Skip, Skips

__all__ = ["Cut", "Place", "find_cuts"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One argument of one operator."""

    call: int
    """Of the operator, see `auditor.systems.skips.recording`."""
    slot: int
    """Of the argument, among its tensors."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A value, and where another one takes its place."""

    value: int
    """In the recording."""
    channel_axis: int
    """Of the value: 1, or the last."""
    places: tuple[Place, ...]
    """In the order of the calls."""


def find_cuts(recording: Recording, skips: Skips) -> tuple[tuple[Cut, ...], ...]:
    """Find where each skip is cut.

    Parameters
    ----------
    recording : of one forward pass.
    skips : that were found in it.

    Returns
    -------
    For each skip, in their order, the values that are replaced: one, or several where the edges of a gate
    cannot be cut before they part.
    """
    graph = feature_graph(recording)
    return tuple(
        tuple(
            Cut(
                graph.features[source].number,
                graph.features[source].channel_axis or 1,
                tuple(sorted(places)),
            )
            for source, places in sorted(_cuts(graph, skip))
        )
        for skip in skips.found
    )


def _cuts(graph: FeatureGraph, skip: Skip) -> Iterable[tuple[int, list[Place]]]:
    """Yield each replaced feature with its places."""
    at_edges: dict[int, list[Place]] = {}
    merges: list[int] = []
    for edge in skip.edges:
        consumer, source = _entered(graph, edge.call, edge.slot)
        at_edges.setdefault(source, []).append(Place(edge.call, edge.slot))
        merges.append(consumer)
    if len(at_edges) == 1:
        return at_edges.items()
    stem = _stem(graph, skip.source, at_edges)
    at_stem = None if stem is None else _before_parting(graph, stem, set(at_edges), merges)
    return at_edges.items() if stem is None or at_stem is None else [(stem, at_stem)]


def _entered(graph: FeatureGraph, call: int, slot: int) -> tuple[int, int]:
    """Return the merge of a call, and what it takes in a slot."""
    for index, feature in enumerate(graph.features):
        op = feature.operation
        if op is not None and op.call == call and op.kind in MERGES:
            return index, dict(feature.parents)[slot]
    msg = f"the recording has no merge with call {call}"
    raise ValueError(msg)


def _stem(graph: FeatureGraph, name: str, sources: Iterable[int]) -> int | None:
    """Find the common stem by its name; None when its layout is not known."""
    shared = -1
    for source in sources:
        shared &= graph.features[source].ancestors
    named = [
        index
        for index, feature in enumerate(graph.features)
        if shared >> index & 1 and feature.value.name == name and feature.channel_axis is not None
    ]
    return named[-1] if named else None


def _before_parting(
    graph: FeatureGraph, stem: int, sources: set[int], merges: list[int]
) -> list[Place] | None:
    """List the arguments through which a stem reaches its merges; None when some lead elsewhere, too.

    Elsewhere is any value that is no part of the way to the merges: the encoder, which must go on with
    what it had.
    """
    children: dict[int, list[tuple[int, int]]] = {}
    for index, feature in enumerate(graph.features):
        for slot, parent in feature.parents:
            children.setdefault(parent, []).append((index, slot))
    leading = _leading(graph, stem, sources)
    inside = {index for index in leading if index not in merges}
    for index in inside - {stem}:
        if any(
            child not in leading and child not in merges for child, _ in children.get(index, [])
        ):
            return None
    found = []
    for child, slot in children.get(stem, []):
        if child in inside or child in merges:
            op = graph.features[child].operation
            # the body of a loop reads values without a slot of its own
            if op is None or op.kind == "other":
                return None
            found.append(Place(op.call, slot))
    return sorted(found)


def _leading(graph: FeatureGraph, stem: int, sources: set[int]) -> set[int]:
    """List what lies between a stem and the values that enter the merges, both included."""
    return {
        index
        for index, feature in enumerate(graph.features)
        if feature.ancestors >> stem & 1
        and any(graph.features[source].ancestors >> index & 1 for source in sources)
    }
