"""What a child tells of the network that it holds, checked before it is believed.

Every part of the answer is read by `auditor.systems.told`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.systems.last_operations import Ending
from auditor.systems.skips.levels import Level
from auditor.systems.skips.rule import Skip, SkipEdge, Skips
from auditor.systems.told import (
    count_of,
    counts_of,
    list_of,
    name_of,
    pair_of,
    real_of,
    record_of,
    text_of,
    truth_of,
)

__all__ = ["Description", "OperatorCount", "OutputSeen", "description_of"]

MOST_OPERATORS = 300
"""Kinds of operators that are told."""
MOST_OUTPUTS = 64
"""Outputs that are told."""
MOST_SKIPS = 200
"""Skips that are told."""
MOST_EDGES = 64
"""Places where one skip enters that are told."""
MOST_LEVELS = 64
"""Resolutions that are told."""


@dataclass(frozen=True, slots=True)
class OperatorCount:
    """How often an operator is used."""

    name: str
    """Conv, conv2d .."""
    count: int
    """Nodes of the graph, or calls of one forward pass."""


@dataclass(frozen=True, slots=True)
class OutputSeen:
    """One output as it came back from the forward pass."""

    name: str
    """In the graph, or key or number in what was returned."""
    shape: tuple[int, ...]
    """At the fed size, with the batch."""
    dtype: str
    """float32, int64 .."""
    ending: Ending
    """Last operations before it."""


@dataclass(frozen=True, slots=True)
class Description:
    """A network at one size of its input."""

    fed: tuple[int, ...]
    """Shape of what was fed, (1, channel, *sizes)."""
    producer: str
    """What made the file; empty when it does not say."""
    versions: tuple[str, ...]
    """Of the format and its operators: opset ai.onnx 17."""
    parameters: int
    """Numbers in its weights, without statistics of batch normalisation."""
    operators: tuple[OperatorCount, ...]
    """The most frequent first."""
    outputs: tuple[OutputSeen, ...]
    """In their order."""
    skips: Skips | None
    """Skip connections; None when they could not be looked for."""
    skips_note: str
    """Why not; empty otherwise."""
    live: tuple[str, ...]
    """What behaves as in training: dropout, batch normalisation, random numbers."""
    seconds: float
    """Wall clock of one forward pass."""
    peak_mb: float
    """Largest resident memory of the child so far, with its libraries (2^20 bytes)."""


def description_of(header: Mapping[str, object]) -> Description:
    """Take over an answer of the child.

    Parameters
    ----------
    header : what it sent.

    Returns
    -------
    The description.

    Raises
    ------
    ValueError
        When it is none.
    """
    skips = header.get("skips")
    return Description(
        fed=counts_of(header.get("fed"), 8),
        producer=text_of(header.get("producer"), 120),
        versions=list_of(header.get("versions"), 40, lambda it: text_of(it, 120)),
        parameters=count_of(header.get("parameters")),
        operators=list_of(header.get("operators"), MOST_OPERATORS, _operator),
        outputs=list_of(header.get("outputs"), MOST_OUTPUTS, _output),
        skips=None if skips is None else _skips(record_of(skips)),
        skips_note=text_of(header.get("skips_note"), 300),
        live=list_of(header.get("live"), 40, lambda it: text_of(it, 200)),
        seconds=real_of(header.get("seconds")),
        peak_mb=real_of(header.get("peak_mb")),
    )


def _operator(given: object) -> OperatorCount:
    name, count = pair_of(given)
    return OperatorCount(name_of(name, 80), count_of(count))


def _output(given: object) -> OutputSeen:
    it = record_of(given)
    axis = it.get("axis")
    return OutputSeen(
        name=name_of(it.get("name")),
        shape=counts_of(it.get("shape"), 8),
        dtype=text_of(it.get("dtype"), 40),
        ending=Ending(
            operations=list_of(it.get("operations"), 16, lambda name: name_of(name, 100)),
            meaning=text_of(it.get("meaning"), 40),
            axis=None if axis is None else count_of(axis),
        ),
    )


def _skips(given: Mapping[str, object]) -> Skips:
    return Skips(
        found=list_of(given.get("found"), MOST_SKIPS, _skip),
        complete=truth_of(given.get("complete")),
        minimal=truth_of(given.get("minimal")),
        coarsest=counts_of(given.get("coarsest"), 8),
        one_voxel=truth_of(given.get("one_voxel")),
        levels=list_of(given.get("levels"), MOST_LEVELS, _level),
    )


def _level(given: object) -> Level:
    it = record_of(given)
    return Level(
        resolution=counts_of(it.get("resolution"), 8),
        down=count_of(it.get("down")),
        up=count_of(it.get("up")),
    )


def _skip(given: object) -> Skip:
    it = record_of(given)
    return Skip(
        level=count_of(it.get("level")),
        resolution=counts_of(it.get("resolution"), 8),
        channels=count_of(it.get("channels")),
        channel_axis=_channel_axis(it.get("channel_axis")),
        source=name_of(it.get("source")),
        operator=name_of(it.get("operator"), 80),
        nested=truth_of(it.get("nested")),
        edges=list_of(it.get("edges"), MOST_EDGES, _edge),
    )


def _channel_axis(given: object) -> int:
    axis = count_of(given)
    if not 1 <= axis < 8:
        msg = "the axis of channels must be one of a tensor, after the batch"
        raise ValueError(msg)
    return axis


def _edge(given: object) -> SkipEdge:
    it = record_of(given)
    return SkipEdge(
        source=name_of(it.get("source")),
        merge=name_of(it.get("merge")),
        operator=name_of(it.get("operator"), 80),
        call=count_of(it.get("call")),
        slot=count_of(it.get("slot")),
    )
