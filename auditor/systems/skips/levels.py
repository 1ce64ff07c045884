"""The resolutions at which a network works, with what it computes there on its way down and up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from auditor.systems.skips.graph import MERGES, Feature, FeatureGraph

__all__ = ["Level", "find_levels"]


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution at which convolutions or merges work."""

    resolution: tuple[int, ...]
    """Spatial sizes at the fed size."""
    down: int
    """Most channels of a convolution there that depends on nothing coarser; of a merge where no
    convolution does; 0 when there is neither."""
    up: int
    """The same of what depends on something coarser."""


def find_levels(graph: FeatureGraph) -> tuple[Level, ...]:
    """List the resolutions of more than one voxel at which a network works, finest first.

    Parameters
    ----------
    graph : of one forward pass.
    """
    at: dict[tuple[int, ...], list[Feature]] = {}
    for feature in graph.features:
        kind = feature.operation.kind if feature.operation is not None else None
        if math.prod(feature.sizes) > 1 and (kind == "convolution" or kind in MERGES):
            at.setdefault(feature.sizes, []).append(feature)
    levels = []
    for sizes in sorted(at, key=lambda it: (math.prod(it), it), reverse=True):
        below = graph.coarser(sizes)
        down = [it for it in at[sizes] if not it.ancestors & below]
        up = [it for it in at[sizes] if it.ancestors & below]
        levels.append(Level(sizes, _widest(down), _widest(up)))
    return tuple(levels)


def _widest(features: Sequence[Feature]) -> int:
    convolved = [it.channels for it in features
                 if it.operation is not None and it.operation.kind == "convolution"]  # fmt: skip
    return max(convolved or [it.channels for it in features], default=0)
