"""The graph of features of a recording: sizes, depths and ancestors.

Spatial sizes are trusted only where the layout is known: around convolutions, pooling, resizing and
normalisation, and from there through operators that keep it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from auditor.systems.skips.recording import Operation, Recording, Value

__all__ = ["MERGES", "Feature", "FeatureGraph", "feature_graph", "is_coarser"]

_CARRY = frozenset({"pointwise", "merge", "concat", "reshape"})
MERGES = frozenset({"merge", "concat"})
"""Kinds of operators that put two values together."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One value of the graph that the rule looks at."""

    value: Value
    """Name, shape and type."""
    operation: Operation | None
    """That made it; None for an input."""
    parents: tuple[tuple[int, int], ...]
    """(slot, feature) of each argument."""
    sizes: tuple[int, ...]
    """Spatial sizes; empty where the layout is not known."""
    depth: int
    """Convolutions and products of matrices on the longest way here."""
    ancestors: int
    """Features that it depends on, itself included, as bits."""


@dataclass(frozen=True, slots=True)
class FeatureGraph:
    """All features, each after what it depends on."""

    features: tuple[Feature, ...]
    """With their ancestors."""
    inputs: tuple[int, ...]
    """Features that were fed."""
    outputs: tuple[int, ...]
    """Features that were returned, or from which label numbers were made."""

    def coarser(self, sizes: tuple[int, ...]) -> int:
        """Return the features of lower resolution and more than one voxel, as bits."""
        bits = 0
        for index, feature in enumerate(self.features):
            if is_coarser(feature.sizes, sizes):
                bits |= 1 << index
        return bits


def feature_graph(recording: Recording) -> FeatureGraph:
    """Order the features of a recording, with sizes, depths and ancestors.

    Parameters
    ----------
    recording : of one forward pass.
    """
    made = {value: op for op in recording.operations for value in op.outputs}
    sizes = _sizes(recording, made)
    place: dict[int, int] = {}
    features: list[Feature] = []
    order = [*recording.inputs, *(v for op in recording.operations for v in op.outputs)]
    for number in order:
        value = recording.values[number]
        if not value.feature or number in place:
            continue
        op = made.get(number)
        parents = tuple((s, place[v]) for s, v in op.inputs if v in place) if op else ()
        ancestors = 1 << len(features)
        for _, parent in parents:
            ancestors |= features[parent].ancestors
        deeper = op is not None and op.kind in {"convolution", "product"}
        depth = max((features[p].depth for _, p in parents), default=0) + deeper
        place[number] = len(features)
        features.append(Feature(value, op, parents, sizes.get(number, ()), depth, ancestors))
    return FeatureGraph(
        tuple(features),
        tuple(place[v] for v in recording.inputs if v in place),
        tuple(sorted(_returned(recording, made, place))),
    )


def _returned(recording: Recording, made: dict[int, Operation], place: dict[int, int]) -> set[int]:
    """Follow returned label numbers back to the features that they were made from."""
    waiting, seen = [value for _, value in recording.outputs], set()
    found = set()
    while waiting:
        number = waiting.pop()
        if number in seen:
            continue
        seen.add(number)
        if number in place:
            found.add(place[number])
        elif number in made:
            waiting += [value for _, value in made[number].inputs]
    return found


def _sizes(recording: Recording, made: dict[int, Operation]) -> dict[int, tuple[int, ...]]:
    """Find the values whose last axes are surely space, and their sizes."""
    values = recording.values
    known = {v for v in recording.inputs if len(values[v].shape) > 2 and not recording.channel_last}
    for op in recording.operations:
        if op.kind in {"convolution", "spatial"}:
            known |= {v for v in (*op.outputs, *(v for s, v in op.inputs if s == 0))
                      if len(values[v].shape) > 2}  # fmt: skip
    links: dict[int, list[int]] = {}
    for number, op in made.items():
        for _, parent in op.inputs:
            if _carries(op, values[number].shape, values[parent].shape):
                links.setdefault(number, []).append(parent)
                links.setdefault(parent, []).append(number)
    waiting = list(known)
    while waiting:
        for other in links.get(waiting.pop(), ()):
            if other not in known:
                known.add(other)
                waiting.append(other)
    found = {v: values[v].shape[2:] for v in known if len(values[v].shape) > 2}
    if recording.channel_last:
        found |= {v: values[v].shape[1:-1] for v in recording.inputs}
    return found


def _carries(op: Operation, made: tuple[int, ...], given: tuple[int, ...]) -> bool:
    """Tell whether result and argument of an operator have the same layout."""
    if len(made) != len(given) or len(made) < 3:
        return False
    return op.kind == "crop" or (op.kind in _CARRY and made[2:] == given[2:])


def is_coarser(sizes: tuple[int, ...], than: tuple[int, ...]) -> bool:
    """Tell whether sizes are of lower resolution, and of more than one voxel.

    Parameters
    ----------
    sizes, than : of two features; other numbers of axes are never coarser.
    """
    return (
        bool(sizes)
        and len(sizes) == len(than)
        and sizes != than
        and all(a <= b for a, b in zip(sizes, than, strict=True))
        and math.prod(sizes) > 1
    )
