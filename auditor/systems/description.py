"""What a child tells of the network that it holds, checked before it is believed.

The child may be hostile: every type, length and number of its answer is checked here, and words of a
file are cut and cleaned before they reach a report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from auditor.systems.last_operations import Ending
from auditor.systems.reasons import plain
from auditor.systems.skips.levels import Level
from auditor.systems.skips.rule import Skip, SkipEdge, Skips

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
_MOST_NUMBER = 1 << 62
_T = TypeVar("_T")


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
        fed=_numbers(header.get("fed"), 8),
        producer=_text(header.get("producer"), 120),
        versions=_listed(header.get("versions"), 40, lambda it: _text(it, 120)),
        parameters=_whole(header.get("parameters")),
        operators=_listed(header.get("operators"), MOST_OPERATORS, _operator),
        outputs=_listed(header.get("outputs"), MOST_OUTPUTS, _output),
        skips=None if skips is None else _skips(_record(skips)),
        skips_note=_text(header.get("skips_note"), 300),
        live=_listed(header.get("live"), 40, lambda it: _text(it, 200)),
        seconds=_real(header.get("seconds")),
        peak_mb=_real(header.get("peak_mb")),
    )


def _operator(given: object) -> OperatorCount:
    name, count = _pair(given)
    return OperatorCount(_name(name, 80), _whole(count))


def _output(given: object) -> OutputSeen:
    it = _record(given)
    axis = it.get("axis")
    return OutputSeen(
        name=_name(it.get("name")),
        shape=_numbers(it.get("shape"), 8),
        dtype=_text(it.get("dtype"), 40),
        ending=Ending(
            operations=_listed(it.get("operations"), 16, lambda name: _name(name, 100)),
            meaning=_text(it.get("meaning"), 40),
            axis=None if axis is None else _whole(axis),
        ),
    )


def _skips(given: Mapping[str, object]) -> Skips:
    return Skips(
        found=_listed(given.get("found"), MOST_SKIPS, _skip),
        complete=_truth(given.get("complete")),
        minimal=_truth(given.get("minimal")),
        coarsest=_numbers(given.get("coarsest"), 8),
        one_voxel=_truth(given.get("one_voxel")),
        levels=_listed(given.get("levels"), MOST_LEVELS, _level),
    )


def _level(given: object) -> Level:
    it = _record(given)
    return Level(
        resolution=_numbers(it.get("resolution"), 8),
        down=_whole(it.get("down")),
        up=_whole(it.get("up")),
    )


def _skip(given: object) -> Skip:
    it = _record(given)
    return Skip(
        level=_whole(it.get("level")),
        resolution=_numbers(it.get("resolution"), 8),
        channels=_whole(it.get("channels")),
        channel_axis=_channel_axis(it.get("channel_axis")),
        source=_name(it.get("source")),
        operator=_name(it.get("operator"), 80),
        nested=_truth(it.get("nested")),
        edges=_listed(it.get("edges"), MOST_EDGES, _edge),
    )


def _channel_axis(given: object) -> int:
    axis = _whole(given)
    if not 1 <= axis < 8:
        msg = "the axis of channels must be one of a tensor, after the batch"
        raise ValueError(msg)
    return axis


def _edge(given: object) -> SkipEdge:
    it = _record(given)
    return SkipEdge(
        source=_name(it.get("source")),
        merge=_name(it.get("merge")),
        operator=_name(it.get("operator"), 80),
        call=_whole(it.get("call")),
        slot=_whole(it.get("slot")),
    )


def _record(given: object) -> Mapping[str, object]:
    if not isinstance(given, dict):
        msg = "a part of a description must be a record"
        raise ValueError(msg)  # noqa: TRY004  # of a message, not of a caller
    return given


def _pair(given: object) -> Sequence[Any]:
    if not isinstance(given, list) or len(given) != 2:
        msg = "a part of a description must be a pair"
        raise ValueError(msg)
    return given


def _listed(given: object, most: int, read: Callable[[object], _T]) -> tuple[_T, ...]:
    if not isinstance(given, list) or len(given) > most:
        msg = f"a part of a description must be a list of at most {most}"
        raise ValueError(msg)
    return tuple(read(it) for it in given)


def _text(given: object, most: int) -> str:
    if not isinstance(given, str):
        msg = "a part of a description must be a text"
        raise ValueError(msg)  # noqa: TRY004  # of a message, not of a caller
    return plain(given[: 4 * most])[:most]


def _name(given: object, most: int = 200) -> str:
    """Of a value or operator; exporters write them like paths, so nothing is cut at a slash."""
    if not isinstance(given, str):
        msg = "a name must be a text"
        raise ValueError(msg)  # noqa: TRY004  # of a message, not of a caller
    return "".join(letter for letter in given[:most] if letter.isprintable())


def _truth(given: object) -> bool:
    if not isinstance(given, bool):
        msg = "a part of a description must be true or false"
        raise ValueError(msg)  # noqa: TRY004  # of a message, not of a caller
    return given


def _whole(given: object) -> int:
    if type(given) is not int or not 0 <= given < _MOST_NUMBER:
        msg = "a part of a description must be a count"
        raise ValueError(msg)
    return given


def _numbers(given: object, most: int) -> tuple[int, ...]:
    return _listed(given, most, _whole)


def _real(given: object) -> float:
    if type(given) not in {int, float} or not math.isfinite(float(given)) or float(given) < 0:  # type: ignore[arg-type]  # just checked
        msg = "a part of a description must be a number that is not negative"
        raise ValueError(msg)
    return float(given)  # type: ignore[arg-type]  # just checked
