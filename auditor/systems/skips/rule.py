"""The rule of resolution: which values bypass the coarser part of a network.

At every merge (sum, product, concatenation ..) let *a* be its deepest input. Another input *b* is a skip
when *a* depends on some coarser value on which *b* does not depend, and *b* is less deep: the way through
*a* went down and came up again, the way through *b* did not. Sums of residual blocks, strided or not,
gates of one voxel and pooled context are no skips by this rule; no graph of dominators is needed.

Two certificates need no ground truth. *complete*: with all skips cut, every way from input to output
crosses the coarsest resolution. *minimal*: giving back any one of them opens a way around it again.

**Limits.** Bodies of loops and branches are opaque. Merges by attention between values are not seen.
Networks of parallel resolutions have no skips in this sense. A skip that bypasses no change of resolution
(the innermost one of some networks) is none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from auditor.systems.skips.graph import (
    MERGES,
    Feature,
    FeatureGraph,
    feature_graph,
    is_coarser,
    sees_neighbours,
)
from auditor.systems.skips.levels import Level, find_levels
from auditor.systems.skips.recording import Recording

__all__ = ["Skip", "SkipEdge", "Skips", "find_skips"]


@dataclass(frozen=True, slots=True)
class SkipEdge:
    """One place where a skip enters the decoder."""

    source: str
    """Name of the value that skips."""
    merge: str
    """Name of the value that it becomes part of."""
    operator: str
    """That merges: Concat, add .."""
    call: int
    """Of that operator."""
    slot: int
    """Of its argument."""


@dataclass(frozen=True, slots=True)
class Skip:
    """One skip connection."""

    level: int
    """0 for the finest resolution of the network."""
    resolution: tuple[int, ...]
    """Spatial sizes at the fed size."""
    channels: int
    """Of the value that skips; 0 where its layout is not known."""
    channel_axis: int
    """Of the value that skips, the batch being axis 0: 1, or the last one."""
    source: str
    """Name of the value that skips; of a gate the common stem of its two edges."""
    operator: str
    """That merges it, of the last edge."""
    nested: bool
    """The source itself depends on a coarser value, as in dense decoders."""
    edges: tuple[SkipEdge, ...]
    """Where it enters; an attention gate has several."""


@dataclass(frozen=True, slots=True)
class Skips:
    """All skip connections, finest first."""

    found: tuple[Skip, ...]
    """Each once."""
    complete: bool
    """With all of them cut, every way crosses the coarsest resolution."""
    minimal: bool
    """Giving back any one opens a way around it."""
    coarsest: tuple[int, ...]
    """Resolution of the bottleneck; that of the input when nothing is coarser."""
    one_voxel: bool
    """Some convolution that sees neighbours worked on a single voxel: at a larger size more may be
    found."""
    levels: tuple[Level, ...] = ()
    """Resolutions at which the network works, finest first, also those without a skip."""


@dataclass(frozen=True, slots=True)
class _Edge:
    source: int
    consumer: int
    slot: int
    merge: int


def find_skips(recording: Recording) -> Skips:
    """Find the skip connections of a network.

    Parameters
    ----------
    recording : of one forward pass, at a size whose coarsest level has more than one voxel.

    Returns
    -------
    The skips with their certificates.
    """
    graph = _towards_the_finest(feature_graph(recording))
    groups = _grouped(graph, _edges(graph))
    coarsest = _coarsest(graph)
    cut = {(e.consumer, e.slot) for group in groups for e in group}
    complete = _connected(graph) and not _bypassed(graph, coarsest, cut)
    minimal = all(
        _bypassed(graph, coarsest, cut - {(e.consumer, e.slot) for e in group}) for group in groups
    )
    levels = find_levels(graph)
    numbers = {it.resolution: number for number, it in enumerate(levels)}
    found = sorted(
        (_described(graph, group, numbers) for group in groups),
        key=lambda skip: (skip.level, skip.edges[-1].call, skip.edges[0].slot),
    )
    one_voxel = any(
        math.prod(f.sizes) == 1 and sees_neighbours(f) for f in graph.features if f.sizes
    )
    return Skips(tuple(found), complete, minimal, coarsest, one_voxel, levels)


def _towards_the_finest(graph: FeatureGraph) -> FeatureGraph:
    """Leave out coarser outputs, as of deep supervision, and what leads only to them."""
    sizes = [graph.features[i].sizes for i in graph.outputs]
    kept = tuple(
        i
        for i in graph.outputs
        if not any(is_coarser(graph.features[i].sizes, other) for other in sizes)
    )
    needed = sum(1 << i for i in graph.inputs)
    for i in kept:
        needed |= graph.features[i].ancestors
    features = tuple(
        feature if needed >> i & 1 else replace(feature, sizes=())
        for i, feature in enumerate(graph.features)
    )
    return FeatureGraph(features, graph.inputs, kept)


def _edges(graph: FeatureGraph) -> list[_Edge]:
    """Apply the rule at every merge."""
    children: dict[int, list[int]] = {}
    for index, feature in enumerate(graph.features):
        for _, parent in feature.parents:
            children.setdefault(parent, []).append(index)
    found = []
    coarser: dict[tuple[int, ...], int] = {}
    for index, feature in enumerate(graph.features):
        if feature.operation is None or feature.operation.kind not in MERGES or not feature.sizes:
            continue
        after = children.get(index, [])
        if _is_concat(feature) and after and all(_is_concat(graph.features[c]) for c in after):
            continue  # only a part of a longer concatenation
        if feature.sizes not in coarser:
            coarser[feature.sizes] = graph.coarser(feature.sizes)
        found += _at(graph, index, coarser[feature.sizes])
    return found


def _is_concat(feature: Feature) -> bool:
    return feature.operation is not None and feature.operation.kind == "concat"


def _at(graph: FeatureGraph, merge: int, below: int) -> list[_Edge]:
    """List the skips of one merge."""
    features = graph.features
    inputs = [e for e in _joined(graph, merge) if features[e.source].sizes == features[merge].sizes]
    if len(inputs) < 2:
        return []
    deepest = max(inputs, key=lambda e: features[e.source].depth).source
    a = features[deepest]
    return [
        edge
        for edge in inputs
        if features[edge.source].depth < a.depth
        and a.ancestors & ~features[edge.source].ancestors & below
    ]


def _joined(graph: FeatureGraph, merge: int) -> Iterable[_Edge]:
    """List the inputs of a merge; concatenations of concatenations are one."""
    waiting = [merge]
    while waiting:
        consumer = waiting.pop()
        for slot, parent in graph.features[consumer].parents:
            if _is_concat(graph.features[merge]) and _is_concat(graph.features[parent]):
                waiting.append(parent)
            else:
                yield _Edge(parent, consumer, slot, merge)


def _grouped(graph: FeatureGraph, edges: Sequence[_Edge]) -> list[list[_Edge]]:
    """Join edges that are one skip: no coarser value stands between their sources, nor their merges."""
    groups: list[list[_Edge]] = []
    for edge in edges:
        mine = [group for group in groups if any(_same(graph, edge, other) for other in group)]
        merged = [*itertools.chain.from_iterable(mine), edge]
        groups = [group for group in groups if group not in mine] + [merged]
    return groups


def _same(graph: FeatureGraph, one: _Edge, other: _Edge) -> bool:
    features = graph.features
    sizes = features[one.merge].sizes
    if sizes != features[other.merge].sizes:
        return False
    below = graph.coarser(sizes)
    sources = features[one.source].ancestors ^ features[other.source].ancestors
    merges = features[one.merge].ancestors ^ features[other.merge].ancestors
    in_line = (
        features[one.merge].ancestors >> other.merge | features[other.merge].ancestors >> one.merge
    ) & 1
    return bool(in_line) and not (sources | merges) & below


def _coarsest(graph: FeatureGraph) -> tuple[int, ...]:
    """Return the lowest resolution of more than one voxel."""
    start = next((graph.features[i].sizes for i in graph.inputs if graph.features[i].sizes), ())
    below = [f.sizes for f in graph.features if is_coarser(f.sizes, start)]
    return min(below, key=math.prod, default=start)


def _connected(graph: FeatureGraph) -> bool:
    """Tell whether a way was seen from input to output at all."""
    fed = sum(1 << i for i in graph.inputs)
    return any(graph.features[i].ancestors & fed for i in graph.outputs)


def _bypassed(graph: FeatureGraph, coarsest: tuple[int, ...], cut: set[tuple[int, int]]) -> bool:
    """Tell whether a way leads from input to output around the coarsest resolution."""
    if coarsest in [graph.features[i].sizes for i in graph.inputs]:
        return False  # nothing is coarser, so there is nothing to bypass
    open_ = [False] * len(graph.features)
    for index, feature in enumerate(graph.features):
        if feature.sizes == coarsest:
            continue
        open_[index] = index in graph.inputs or any(
            open_[parent] for slot, parent in feature.parents if (index, slot) not in cut
        )
    return any(open_[i] for i in graph.outputs)


def _described(
    graph: FeatureGraph, group: Sequence[_Edge], levels: dict[tuple[int, ...], int]
) -> Skip:
    features = graph.features
    ordered = sorted(group, key=lambda e: (e.consumer, e.slot))
    sizes = features[ordered[0].merge].sizes
    stem = _stem(graph, [edge.source for edge in ordered])
    below = graph.coarser(sizes)
    edges = []
    for edge in ordered:
        op = features[edge.consumer].operation
        assert op is not None  # a merge was made by an operator
        edges.append(
            SkipEdge(
                source=features[edge.source].value.name,
                merge=features[edge.merge].value.name,
                operator=op.name,
                call=op.call,
                slot=edge.slot,
            )
        )
    return Skip(
        level=levels[sizes],
        resolution=sizes,
        channels=features[stem].channels,
        channel_axis=features[stem].channel_axis or 1,
        source=features[stem].value.name,
        operator=edges[-1].operator,
        nested=bool(features[stem].ancestors & below),
        edges=tuple(edges),
    )


def _stem(graph: FeatureGraph, sources: Sequence[int]) -> int:
    """Return the deepest value that all sources depend on, of their resolution if there is one."""
    if len(set(sources)) == 1:
        return sources[0]
    shared = graph.features[sources[0]].ancestors
    for source in sources[1:]:
        shared &= graph.features[source].ancestors
    sizes = graph.features[sources[0]].sizes
    common = [i for i in range(shared.bit_length()) if shared >> i & 1]
    same = [i for i in common if graph.features[i].sizes == sizes]
    return max(same or sources, key=lambda i: (graph.features[i].depth, i))
