"""The graph of features of a recording: sizes, depths and ancestors.

Spatial sizes are trusted only where the layout is known: around convolutions, pooling, resizing and
normalisation, and from there through operators that keep it. Transposes from channels first to channels
last and back are followed, as TensorFlow's exporters write them around every convolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from auditor.systems.skips.recording import Operation, Recording, Value

__all__ = ["MERGES", "Feature", "FeatureGraph", "feature_graph", "is_coarser", "sees_neighbours"]

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
    channel_axis: int | None
    """Of its value: 1, or the last; None where the layout is not known."""
    depth: int
    """Convolutions and products of matrices on the longest way here."""
    ancestors: int
    """Features that it depends on, itself included, as bits."""
    number: int
    """Of the value in the recording."""

    @property
    def channels(self) -> int:
        """Number of its channels; 0 where the layout is not known."""
        return 0 if self.channel_axis is None else self.value.shape[self.channel_axis]


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
        """Return the features of lower resolution and more than one voxel, as bits.

        Before the first convolution there are no features: an image that is padded is no coarser one.
        """
        bits = 0
        for index, feature in enumerate(self.features):
            if feature.depth and is_coarser(feature.sizes, sizes):
                bits |= 1 << index
        return bits


def feature_graph(recording: Recording) -> FeatureGraph:
    """Order the features of a recording, with sizes, depths and ancestors.

    Parameters
    ----------
    recording : of one forward pass.
    """
    made = {value: op for op in recording.operations for value in op.outputs}
    axes = _channel_axes(recording, made)
    place: dict[int, int] = {}
    features: list[Feature] = []
    order = [*recording.inputs, *(v for op in recording.operations for v in op.outputs)]
    for number in order:
        value = recording.values[number]
        if not value.feature or number in place:
            continue
        axis = axes.get(number)
        op = _with_meaning(made.get(number), axis)
        parents = tuple((s, place[v]) for s, v in op.inputs if v in place) if op else ()
        ancestors = 1 << len(features)
        for _, parent in parents:
            ancestors |= features[parent].ancestors
        deeper = op is not None and op.kind in {"convolution", "product"}
        depth = max((features[p].depth for _, p in parents), default=0) + deeper
        place[number] = len(features)
        sizes = _space(value.shape, axis)
        features.append(Feature(value, op, parents, sizes, axis, depth, ancestors, number))
    return FeatureGraph(
        _without_contexts(features),
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


def _without_contexts(features: Sequence[Feature]) -> tuple[Feature, ...]:
    """Forget the sizes of averages over a few bins, as of a pyramid of pooling.

    They are told from levels of a network by what works there: nothing but convolutions of one voxel,
    while one that sees neighbours works at another resolution below the finest.
    """
    working: dict[tuple[int, ...], bool] = {}
    for feature in features:
        op = feature.operation
        if feature.sizes and op is not None and op.kind == "convolution":
            working[feature.sizes] = working.get(feature.sizes, False) or sees_neighbours(feature)
    if not working:
        return tuple(features)
    finest = max(working, key=math.prod)
    if not any(sees and is_coarser(sizes, finest) for sizes, sees in working.items()):
        return tuple(features)
    contexts = {sizes for sizes, sees in working.items()
                if not sees and is_coarser(sizes, finest)}  # fmt: skip
    return tuple(replace(it, sizes=()) if it.sizes in contexts else it for it in features)


def sees_neighbours(feature: Feature) -> bool:
    """Tell whether it was made by a convolution whose kernel has several voxels, as far as is known.

    Parameters
    ----------
    feature : of the graph.
    """
    op = feature.operation
    if op is None or op.kind != "convolution":
        return False
    return op.kernel is None or math.prod(op.kernel) > 1


def _with_meaning(op: Operation | None, axis: int | None) -> Operation | None:
    """Call a concatenation along anything but the channels an operator like any other."""
    if op is None or op.kind != "concat" or op.axis in (None, axis):
        return op
    return replace(op, kind="other")


def _space(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    """Return the sizes of all axes but the batch and the channels."""
    return () if axis is None else shape[1:axis] + shape[axis + 1 :]


def _channel_axes(recording: Recording, made: dict[int, Operation]) -> dict[int, int]:
    """Find the values whose layout is surely known, and the axis of their channels."""
    shapes = [value.shape for value in recording.values]
    found: dict[int, int] = {}
    for op in recording.operations:
        if op.kind in {"convolution", "spatial"}:
            found |= {v: 1 for v in (*op.outputs, *(v for s, v in op.inputs if s == 0))
                      if len(shapes[v]) > 2}  # fmt: skip
    # what is declared of the input goes before what its first operator suggests
    found |= {v: len(shapes[v]) - 1 if recording.channel_last else 1
              for v in recording.inputs if len(shapes[v]) > 2}  # fmt: skip
    links = _links(shapes, made)
    waiting = list(found)
    while waiting:
        number = waiting.pop()
        for other, op in links.get(number, ()):
            if other in found:
                continue
            axis = _axis_across(op, found[number], shapes[number], shapes[other],
                                forward=other in op.outputs)  # fmt: skip
            if axis is not None:
                found[other] = axis
                waiting.append(other)
    return found


def _links(
    shapes: Sequence[tuple[int, ...]], made: dict[int, Operation]
) -> dict[int, list[tuple[int, Operation]]]:
    """List the neighbours of each value with as many axes, and the operator between them."""
    links: dict[int, list[tuple[int, Operation]]] = {}
    for number, op in made.items():
        for _, parent in op.inputs:
            if len(shapes[number]) == len(shapes[parent]) > 2:
                links.setdefault(number, []).append((parent, op))
                links.setdefault(parent, []).append((number, op))
    return links


def _axis_across(
    op: Operation, axis: int, shape: tuple[int, ...], other: tuple[int, ...], *, forward: bool
) -> int | None:
    """Return the axis of the channels on the other side of an operator; None when it may change."""
    if op.kind == "permute":
        return _permuted(op, axis, forward=forward)
    if op.kind == "crop":
        return axis
    keeps = op.kind in _CARRY and not (op.kind == "concat" and op.axis not in (None, axis))
    return axis if keeps and _space(shape, axis) == _space(other, axis) else None


def _permuted(op: Operation, axis: int, *, forward: bool) -> int | None:
    """Return the axis of the channels on the other side of a permutation that moves only these."""
    if op.order is None:
        return None
    rank = len(op.order)
    # axis i of the result is axis order[i] of the argument
    order = op.order if forward else tuple(op.order.index(i) for i in range(rank))
    moved = order.index(axis)
    rest = [it for it in order if it != axis]
    return moved if rest == sorted(rest) and moved in {1, rank - 1} else None


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
