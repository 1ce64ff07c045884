"""Which of several outputs is the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditor.systems.description import OutputSeen
from auditor.systems.probe.candidates import Candidate

__all__ = ["Choice", "choose"]

_KEYS = ("out", "logits", "pred")


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen output."""

    place: int
    """Among all, from 0."""
    index: int | str
    """As `output.index` names it."""
    certain: bool
    """False: others fit as well, so it is asked for."""
    words: str
    """What was chosen from; empty for a single output."""


def choose(outputs: Sequence[OutputSeen], tried: Candidate) -> Choice | None:
    """Choose the output of the input's size: by key, else the largest.

    Parameters
    ----------
    outputs : all, as they came back.
    tried : the input that they answer to.

    Returns
    -------
    The choice; None when none has the size of the input.
    """
    fitting = [i for i, it in enumerate(outputs) if _fits(it.shape, tried)]
    if not fitting:
        return None
    by_key = [i for key in _KEYS for i in fitting if outputs[i].name.lower() == key]
    place = by_key[0] if by_key else fitting[0]
    certain = len(fitting) == 1 or bool(by_key)
    if len(outputs) == 1:
        return Choice(place, _index(outputs, place), certain=True, words="")
    told = ", ".join(f"{_index(outputs, i)} {it.shape}" for i, it in enumerate(outputs[:8]))
    why = "by its key" if by_key else "the largest" if certain else "the first of equal size"
    words = f"{len(outputs)} outputs: {told}; {_index(outputs, place)} is taken, {why}"
    return Choice(place, _index(outputs, place), certain, words)


def channel_axis(output: OutputSeen, tried: Candidate) -> int:
    """Return the axis of the channels; that of a label map without one counts as 1.

    Parameters
    ----------
    output : as it came back.
    tried : the input that it answers to.
    """
    last = tried.output.layout == "channel_last" and len(output.shape) == len(tried.sizes) + 2
    return len(output.shape) - 1 if last else 1


def _fits(shape: tuple[int, ...], tried: Candidate) -> bool:
    if len(shape) == len(tried.sizes) + 1:
        return shape[1:] == tried.sizes
    if len(shape) != len(tried.sizes) + 2:
        return False
    inner = shape[1:-1] if tried.output.layout == "channel_last" else shape[2:]
    return inner == tried.sizes


def _index(outputs: Sequence[OutputSeen], place: int) -> int | str:
    """Name an output by its key when it has a readable one, else by number."""
    name = outputs[place].name
    unique = sum(it.name == name for it in outputs) == 1
    return name if name.isidentifier() and unique else place
